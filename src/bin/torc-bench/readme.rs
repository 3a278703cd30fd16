//! The figures in README.md: made from a file of results, between two comments, and checked to be what the file says.

#![forbid(unsafe_code)]

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail, ensure};

use crate::case::Case;
use crate::cli::ReadmeArgs;
use crate::page;
use crate::results::{Host, Results};

/// The comments; the first one names the results, relative to the file.
const BEGIN: &str = "<!-- results:begin ";
const BEGIN_END: &str = " -->";
const END: &str = "<!-- results:end -->";

/// Writes or checks the figures.
pub(crate) fn run(args: &ReadmeArgs) -> anyhow::Result<()> {
    let file = &args.file;
    let text = fs::read_to_string(file).with_context(|| format!("reading {}", file.display()))?;
    let parts = Parts::of(&text).with_context(|| format!("in {}", file.display()))?;
    let folder = file.parent().unwrap_or(Path::new(""));
    let source = match &args.results {
        Some(path) => relative(path, folder)?,
        None => parts.source.to_owned(),
    };
    let path = folder.join(&source);
    let results = Results::read(&path)?;
    let plots = page::plots(&results)?;
    let mut stale = Vec::new();
    for (name, svg) in &plots {
        let path = page::plot_path(&path, name);
        if fs::read_to_string(&path).ok().as_ref() != Some(svg) {
            if !args.check {
                fs::write(&path, svg).with_context(|| format!("writing {}", path.display()))?;
            }
            stale.push(path);
        }
    }
    let names: Vec<&str> = plots.iter().map(|(name, _)| *name).collect();
    let fresh = parts.with(&source, &section(&results, &source, &names)?);
    if fresh != text {
        if !args.check {
            fs::write(file, fresh).with_context(|| format!("writing {}", file.display()))?;
        }
        stale.push(file.clone());
    }
    if args.check && !stale.is_empty() {
        let names: Vec<String> = stale.iter().map(|path| path.display().to_string()).collect();
        bail!("not what {} says: {}; `torc-bench readme` makes it so", path.display(), names.join(", "));
    }
    Ok(())
}

/// `path` as seen from `folder`.
fn relative(path: &Path, folder: &Path) -> anyhow::Result<String> {
    let real = fs::canonicalize(path).with_context(|| format!("finding {}", path.display()))?;
    let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    let folder = fs::canonicalize(folder)?;
    let inside =
        real.strip_prefix(&folder).with_context(|| format!("{} is not below {}", path.display(), folder.display()))?;
    Ok(inside.to_string_lossy().into_owned())
}

/// A file around its figures.
struct Parts<'a> {
    before: &'a str,
    source: &'a str,
    after: &'a str,
}

impl<'a> Parts<'a> {
    fn of(text: &'a str) -> anyhow::Result<Parts<'a>> {
        let (before, rest) = text.split_once(BEGIN).with_context(|| format!("no {BEGIN:?}"))?;
        let (source, rest) = rest.split_once(BEGIN_END).context("the first comment does not end")?;
        let (_, after) = rest.split_once(END).with_context(|| format!("no {END:?}"))?;
        ensure!(!source.contains('\n'), "the first comment does not end in its line");
        Ok(Parts { before, source, after })
    }

    fn with(&self, source: &str, section: &str) -> String {
        format!("{}{BEGIN}{source}{BEGIN_END}\n{section}{END}{}", self.before, self.after)
    }
}

fn section(results: &Results, source: &str, plots: &[&str]) -> Result<String, std::fmt::Error> {
    let mut text = String::new();
    let baseline = &results.servers[0];
    let versions: Vec<String> =
        results.servers.iter().map(|server| format!("{} {}", server.name, server.short_version())).collect();
    writeln!(
        text,
        "Server CPU time per request, medians of {} interleaved rounds: of {} in microseconds, of the others relative to \
         it in the same round, with the 95 % interval of the median. Below 1 is less. {}.\n",
        results.settings.rounds,
        baseline.name,
        versions.join(", ")
    )?;
    let loads: Vec<(&str, String)> = results
        .cases
        .iter()
        .filter_map(|case| match case.name.parse() {
            Ok(Case::Load(load)) => Some((case.name.as_str(), words(&load))),
            _ => None,
        })
        .collect();
    cost_table(results, &loads, &mut text)?;
    writeln!(text, "Requests per second, and system calls per request where they were counted:\n")?;
    rate_table(results, &loads, &mut text)?;
    memory(results, &mut text)?;
    for plot in plots {
        let path = page::plot_path(&PathBuf::from(source), plot);
        writeln!(text, "![{}]({})\n", alternative(plot), path.display())?;
    }
    writeln!(
        text,
        "{} Every sample is in [{}]({source}).",
        machine(&results.host, &results.started),
        file_name(source)
    )?;
    Ok(text)
}

/// A load for people who have not read how cases are named.
fn words(load: &crate::case::LoadCase) -> String {
    let name = match load.test.as_str() {
        "mixed" => "9 GET to 1 SET".to_owned(),
        test => test.to_uppercase(),
    };
    let mut text = format!("{name}, {} client{}", load.clients, if load.clients == 1 { "" } else { "s" });
    if load.pipeline != 1 {
        let _ = write!(text, ", pipeline {}", load.pipeline);
    }
    if load.value_bytes != crate::case::VALUE_LEN {
        let _ = write!(text, ", {} B values", load.value_bytes);
    }
    if load.threads != 1 {
        let _ = write!(text, ", {} load threads", load.threads);
    }
    if let Some(title) = load.transport.title() {
        let _ = write!(text, ", {title}");
    }
    if let Some(rate) = load.rate {
        let _ = write!(text, ", {rate}/s due");
    }
    text
}

fn row(cells: &[String]) -> String {
    format!("| {} |\n", cells.join(" | "))
}

fn header(results: &Results, first: &str, text: &mut String) {
    let names = results.servers.iter().map(|server| server.name.clone());
    let cells: Vec<String> = std::iter::once(first.to_owned()).chain(names).collect();
    text.push_str(&row(&cells));
    text.push_str(&row(&vec!["---".to_owned(); cells.len()]));
}

fn cost_table(results: &Results, loads: &[(&str, String)], text: &mut String) -> std::fmt::Result {
    header(results, "load", text);
    for (name, label) in loads {
        let mut cells = vec![label.clone()];
        for (index, server) in results.servers.iter().enumerate() {
            let cell = match results.line(name, &server.name) {
                None => results.why_not(name, &server.name).unwrap_or("did not run").to_owned(),
                Some(line) if index == 0 => format!("{:.2} µs", line.cost / 1000.0),
                Some(line) => match (line.cost_ratio, line.cost_interval) {
                    (Some(ratio), Some((low, high))) => format!("**{:.2}** ({low:.2} to {high:.2})", ratio.median),
                    (Some(ratio), None) => format!("**{:.2}**", ratio.median),
                    (None, _) => String::new(),
                },
            };
            cells.push(cell);
        }
        text.push_str(&row(&cells));
    }
    writeln!(text)
}

fn rate_table(results: &Results, loads: &[(&str, String)], text: &mut String) -> std::fmt::Result {
    header(results, "load", text);
    for (name, label) in loads {
        let mut cells = vec![label.clone()];
        for server in &results.servers {
            let line = results.line(name, &server.name);
            let rate = line.and_then(|line| line.rate).map(|rate| format!("{} k", (rate / 1000.0).round()));
            let calls = line.and_then(|line| line.syscalls).map(|calls| format!(", {calls:.3}"));
            cells.push(format!("{}{}", rate.unwrap_or_default(), calls.unwrap_or_default()));
        }
        text.push_str(&row(&cells));
    }
    writeln!(text)
}

fn memory(results: &Results, text: &mut String) -> std::fmt::Result {
    let cases = results.cases.iter().filter(|case| !matches!(case.name.parse(), Ok(Case::Load(_))));
    let cases: Vec<_> = cases.collect();
    if cases.is_empty() {
        return Ok(());
    }
    header(results, "bytes", text);
    for case in cases {
        let mut cells = vec![case.label.clone()];
        for server in &results.servers {
            cells.push(match results.line(&case.name, &server.name) {
                None => results.why_not(&case.name, &server.name).unwrap_or("did not run").to_owned(),
                Some(line) => format!("{:.0} {}", line.cost, line.unit),
            });
        }
        text.push_str(&row(&cells));
    }
    writeln!(text)
}

fn alternative(plot: &str) -> &'static str {
    match plot {
        "ratios" => "Cost of each server relative to the first, with its spread",
        "cpu" => "Server CPU time per request, split into user and system",
        "latency" => "Throughput against latency",
        _ => "Throughput over clients and pipeline",
    }
}

fn machine(host: &Host, started: &str) -> String {
    let kind = if host.hypervisor { "a virtual machine" } else { "a machine" };
    let kernel = host.kernel.split('-').next().unwrap_or_default();
    let date = started.split('T').next().unwrap_or_default();
    format!("Measured on {date} on {kind} with {} cores ({}), Linux {kernel}.", host.cores, host.cpu)
}

fn file_name(source: &str) -> &str {
    source.rsplit('/').next().unwrap_or(source)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::results::tests::example;

    fn readme(folder: &Path, text: &str) -> PathBuf {
        let path = folder.join("README.md");
        fs::write(&path, text).unwrap();
        fs::create_dir_all(folder.join("results")).unwrap();
        example().write(&folder.join("results/r.json")).unwrap();
        path
    }

    #[test]
    fn figures_are_written_and_then_found_fresh() {
        let folder = tempfile::tempdir().unwrap();
        let file =
            readme(folder.path(), "# T\n<!-- results:begin results/r.json -->\nold\n<!-- results:end -->\nend\n");
        let args = |check| ReadmeArgs { results: None, check, file: file.clone() };
        let complaint = run(&args(true)).unwrap_err().to_string();
        assert!(complaint.contains("README.md") && complaint.contains("r-ratios.svg"), "{complaint}");
        run(&args(false)).unwrap();
        run(&args(true)).unwrap();
        let text = fs::read_to_string(&file).unwrap();
        assert!(text.starts_with("# T\n") && text.ends_with("end\n") && !text.contains("old"));
        for part in ["| GET, 1 client | 0.10 µs | **0.80** (0.70 to 0.90) |", "(results/r-ratios.svg)", "1000 k, 0.500"]
        {
            assert!(text.contains(part), "{part}\n{text}");
        }
        fs::write(&file, text.replace("0.80", "0.70")).unwrap();
        assert!(run(&args(true)).is_err());
    }

    #[test]
    fn other_results_take_their_place() {
        let folder = tempfile::tempdir().unwrap();
        let file = readme(folder.path(), "<!-- results:begin gone.json --><!-- results:end -->");
        let results = folder.path().join("results/r.json");
        run(&ReadmeArgs { results: Some(results), check: false, file: file.clone() }).unwrap();
        assert!(fs::read_to_string(&file).unwrap().starts_with("<!-- results:begin results/r.json -->"));
        for text in ["", "<!-- results:begin a -->", "<!-- results:begin a\n --><!-- results:end -->"] {
            assert!(Parts::of(text).is_err());
        }
    }
}
