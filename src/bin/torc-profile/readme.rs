//! README's table of what a request costs: made from the newest committed result, and checked to be that.

#![forbid(unsafe_code)]

use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};

use crate::cli::ReadmeArgs;
use crate::profile::{Document, Profile};
use crate::stacks::Category;
use crate::table::{small, tenth, whole};

const BEGIN: &str = "<!-- profile:begin -->\n";
const END: &str = "<!-- profile:end -->";
const RESULTS: &str = "bench-results";
/// Results are called by their date and this.
const SUFFIX: &str = "-profile.json";
/// Categories with a column of their own; the others are summed up in the last.
const COLUMNS: [Category; 6] =
    [Category::User, Category::SyscallEntry, Category::Tcp, Category::WakeUps, Category::IoUring, Category::Epoll];

/// Writes the table into README.md, or checks that it stands there.
pub(crate) fn run(args: &ReadmeArgs) -> anyhow::Result<()> {
    let path = args.root.join("README.md");
    let readme = fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))?;
    let result = newest(&args.root.join(RESULTS))?;
    let text = fs::read_to_string(&result).with_context(|| format!("reading {}", result.display()))?;
    let document = serde_json::from_str(&text).with_context(|| format!("{} is no profile", result.display()))?;
    let name = result.file_name().unwrap_or_default().to_string_lossy();
    let mut section = section(&document, &name);
    section.push_str(&pictures(&args.root.join(RESULTS), &name)?);
    let updated = replaced(&readme, &section)?;
    if args.check {
        ensure!(updated == readme, "README.md does not show {name}; `torc-profile readme` puts it there");
    } else if updated != readme {
        fs::write(&path, updated).with_context(|| format!("writing {}", path.display()))?;
    }
    Ok(())
}

/// The last result by name, which begins with its date.
fn newest(folder: &Path) -> anyhow::Result<PathBuf> {
    let entries = fs::read_dir(folder).with_context(|| format!("reading {}", folder.display()))?;
    let paths = entries.filter_map(|entry| entry.ok().map(|entry| entry.path()));
    let newest = paths.filter(|path| path.to_string_lossy().ends_with(SUFFIX)).max();
    newest.with_context(|| format!("there is no result *{SUFFIX} in {}", folder.display()))
}

/// Links to the flame graphs that lie beside a result, if any.
fn pictures(folder: &Path, name: &str) -> anyhow::Result<String> {
    let stem = name.trim_end_matches(".json");
    let entries = fs::read_dir(folder).with_context(|| format!("reading {}", folder.display()))?;
    let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    let links = names.filter_map(|file| {
        let shows = file.strip_prefix(stem)?.strip_prefix('-')?.strip_suffix(".svg")?.to_owned();
        Some(format!("[{shows}]({RESULTS}/{file})"))
    });
    let mut links = links.collect::<Vec<_>>();
    links.sort();
    Ok(if links.is_empty() { String::new() } else { format!("\nFlame graphs:\n{}.\n", links.join(",\n")) })
}

/// The text with what stands between the marks replaced.
fn replaced(readme: &str, section: &str) -> anyhow::Result<String> {
    let (before, rest) = readme.split_once(BEGIN).context("README.md has no place for the profile")?;
    let (_, after) = rest.split_once(END).context("README.md's place for the profile has no end")?;
    Ok(format!("{before}{BEGIN}{section}{END}{after}"))
}

fn section(document: &Document, name: &str) -> String {
    let mut text = String::from("| load | server | system calls | switches | CPU, ns |");
    for category in COLUMNS {
        let _ = write!(text, " {} |", category.label());
    }
    text.push_str(" rest |\n| --- | --- | --: | --: | --: |");
    text.push_str(&" --: |".repeat(COLUMNS.len() + 1));
    text.push('\n');
    for profile in &document.profiles {
        row(&mut text, document, profile);
    }
    text.push('\n');
    for profile in &document.profiles {
        ring(&mut text, document, profile);
    }
    let seconds = document.seconds;
    let rounds = document.profiles.iter().map(|profile| profile.rounds.len()).max().unwrap_or(0);
    let machine = &document.machine;
    let _ = writeln!(
        text,
        "\nAll per request; medians of {rounds} rounds, {seconds} s for each pass. {} cores of {}, Linux {}, loopback TCP; load\n\
         average before it began {:.1}: above 0.5 the machine had other things to do, and figures are rough. Every round is in\n\
         [{name}]({RESULTS}/{name}).",
        machine.cores, machine.processor, machine.kernel, machine.load_average
    );
    text
}

fn row(text: &mut String, document: &Document, profile: &Profile) {
    let (server, median) = (&document.servers[profile.server], &profile.median);
    let calls = median.activity.as_ref().map_or("-".to_owned(), |activity| small(activity.calls()));
    let _ = write!(
        text,
        "| {} | {} {} | {calls} | {} | **{}** |",
        profile.load.as_deref().unwrap_or("-"),
        server.name,
        server.version,
        small(median.voluntary_switches + median.involuntary_switches),
        whole(median.cpu_ns)
    );
    let split = median.cpu_split.as_ref().filter(|split| split.sees_kernel);
    let mut rest = median.cpu_ns;
    for category in COLUMNS {
        let ns = split.map(|split| split.ns.get(&category).copied().unwrap_or(0.0));
        rest -= ns.unwrap_or(0.0);
        let _ = write!(text, " {} |", ns.map_or("-".to_owned(), whole));
    }
    let _ = writeln!(text, " {} |", split.map_or("-".to_owned(), |_| whole(rest.max(0.0))));
}

fn ring(text: &mut String, document: &Document, profile: &Profile) {
    let Some(ring) = profile.median.activity.as_ref().and_then(|activity| activity.ring.as_ref()) else { return };
    if let Some((submissions, completions)) = ring.submissions.zip(ring.completions).filter(|_| ring.enters > 0.0) {
        let _ = writeln!(
            text,
            "- {}, {}: an `io_uring_enter` takes {} submissions and brings {} completions.",
            document.servers[profile.server].name,
            profile.load.as_deref().unwrap_or("its load"),
            tenth(submissions / ring.enters),
            tenth(completions / ring.enters)
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table::tests::document;

    #[test]
    fn a_section_is_put_in_its_place() {
        let section = section(&document(), "2026-01-01-profile.json");
        let row = "| get -c 50 | One 1.2 | 0.10 | 0.0110 | **1,000** | 300 | 0 | 500 | 0 | 200 | 0 | 0 |\n";
        assert!(section.contains(row), "{section}");
        assert!(section.contains("- Other, get -c 50: an `io_uring_enter` takes 10.0 submissions"), "{section}");
        let readme = format!("a\n{BEGIN}old\n{END}\nb\n");
        let updated = replaced(&readme, &section).unwrap();
        assert!(updated.starts_with("a\n") && updated.ends_with("\nb\n") && !updated.contains("old"));
        assert_eq!(replaced(&updated, &section).unwrap(), updated);
        assert!(replaced("nothing", &section).is_err() && replaced(BEGIN, &section).is_err());
    }

    #[test]
    fn a_check_changes_nothing_and_tells_old_from_new() {
        let root = tempfile::tempdir().unwrap();
        let results = root.path().join(RESULTS);
        fs::create_dir(&results).unwrap();
        let readme = root.path().join("README.md");
        fs::write(&readme, format!("{BEGIN}{END}\n")).unwrap();
        let run = |check| run(&ReadmeArgs { check, root: root.path().to_owned() });
        assert!(run(false).unwrap_err().to_string().contains("there is no result"));
        let text = serde_json::to_string(&document()).unwrap();
        fs::write(results.join("2026-01-01-profile.json"), &text).unwrap();
        assert!(run(true).unwrap_err().to_string().contains("does not show 2026-01-01"));
        run(false).unwrap();
        run(true).unwrap();
        fs::write(results.join("2026-01-01-profile-one.svg"), "").unwrap();
        run(false).unwrap();
        let shown = fs::read_to_string(&readme).unwrap();
        assert!(shown.contains("\nFlame graphs:\n[one](bench-results/2026-01-01-profile-one.svg).\n"), "{shown}");
        fs::write(results.join("2026-01-02-profile.json"), text).unwrap();
        assert!(run(true).is_err());
    }
}
