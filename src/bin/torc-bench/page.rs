//! A comparison's report: one page of HTML that needs nothing else, and its plots as files of their own.

#![forbid(unsafe_code)]

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context;

use crate::cli::ReportArgs;
use crate::draw::{escaped, short};
use crate::results::{Results, Summary};
use crate::{plot_cpu, plot_lines, plot_ratios};

/// Nothing is loaded, from nowhere; a browser holds the page to it.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; img-src data:";

/// Of system calls, where nothing outside of the servers counted them.
const NOT_COUNTED: &str = "not counted, but for servers that count their own (INFO ring)";

const STYLE: &str = "
:root { color-scheme: light dark; --text: #1f2328; --muted: #59636e; --line: #d1d9e0; --ground: #ffffff; --band: #f6f8fa;
  --good: #1a7f37; --bad: #cf222e; }
@media (prefers-color-scheme: dark) { :root { --text: #e6edf3; --muted: #9ba5b0; --line: #3d444d; --ground: #0d1117;
  --band: #151b23; --good: #3fb950; --bad: #f85149; } }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 24px 20px 60px; max-width: 1080px; background: var(--ground); color: var(--text);
  font: 15px/1.5 system-ui, sans-serif; }
h1 { font-size: 26px; margin: 0 0 4px; } h2 { font-size: 19px; margin: 36px 0 10px; }
p { margin: 6px 0; } .muted { color: var(--muted); font-size: 13px; }
figure { margin: 18px 0; overflow-x: auto; } figure svg { display: block; max-width: 100%; height: auto; font-family: system-ui, sans-serif; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-size: 13px; font-variant-numeric: tabular-nums; }
th, td { padding: 4px 8px; border-bottom: 1px solid var(--line); text-align: right; white-space: nowrap; }
th { text-align: right; font-weight: 600; } th:first-child, td:first-child { text-align: left; }
tbody tr.first td { border-top: 2px solid var(--line); } thead th { position: sticky; top: 0; background: var(--ground); }
td.why { text-align: left; white-space: normal; color: var(--muted); } .good { color: var(--good); } .bad { color: var(--bad); }
dl { display: grid; grid-template-columns: max-content 1fr; gap: 2px 16px; font-size: 13px; margin: 8px 0; }
dt { color: var(--muted); } dd { margin: 0; overflow-wrap: anywhere; }
";

/// Reads results and writes their report.
pub(crate) fn run(args: &ReportArgs) -> anyhow::Result<()> {
    let results = Results::read(&args.results)?;
    let path = args.output.clone().unwrap_or_else(|| args.results.with_extension("html"));
    println!("{}", write(&results, &path)?.display());
    Ok(())
}

/// The plots that there is something to draw for, by name.
pub(crate) fn plots(results: &Results) -> anyhow::Result<Vec<(&'static str, String)>> {
    let all = [
        ("ratios", plot_ratios::draw(results)?),
        ("cpu", plot_cpu::draw(results)?),
        ("latency", plot_lines::latency(results)?),
        ("scaling", plot_lines::scaling(results)?),
    ];
    Ok(all.into_iter().filter_map(|(name, svg)| Some((name, svg?))).collect())
}

/// Where a plot of a report lies: beside it.
pub(crate) fn plot_path(page: &Path, plot: &str) -> PathBuf {
    let stem = page.file_stem().unwrap_or_default().to_string_lossy();
    page.with_file_name(format!("{stem}-{plot}.svg"))
}

/// Writes the page and its plots. Returns the page's path.
pub(crate) fn write(results: &Results, path: &Path) -> anyhow::Result<PathBuf> {
    let plots = plots(results)?;
    for (name, svg) in &plots {
        let path = plot_path(path, name);
        fs::write(&path, svg).with_context(|| format!("writing {}", path.display()))?;
    }
    fs::write(path, html(results, &plots)?).with_context(|| format!("writing {}", path.display()))?;
    Ok(path.to_owned())
}

fn html(results: &Results, plots: &[(&str, String)]) -> Result<String, std::fmt::Error> {
    let title = if results.title.is_empty() { "Comparison" } else { results.title.as_str() };
    let title = escaped(title);
    let mut page = String::new();
    writeln!(page, "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">")?;
    writeln!(page, "<meta http-equiv=\"Content-Security-Policy\" content=\"{POLICY}\">")?;
    writeln!(page, "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">")?;
    writeln!(page, "<title>{title}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n<h1>{title}</h1>")?;
    let servers: Vec<String> = results.servers.iter().map(|server| escaped(&server.name)).collect();
    writeln!(page, "<p class=\"muted\">{} &middot; {}</p>", servers.join(", "), escaped(&results.started))?;
    for (name, svg) in plots {
        writeln!(page, "<figure id=\"{name}\">\n{svg}\n</figure>")?;
    }
    table(results, &mut page)?;
    missing(results, &mut page)?;
    conditions(results, &mut page)?;
    writeln!(page, "</body>\n</html>")?;
    Ok(page)
}

fn table(results: &Results, page: &mut String) -> std::fmt::Result {
    let baseline = escaped(&results.servers[0].name);
    writeln!(page, "<h2>Figures</h2>\n<p class=\"muted\">Medians of {} rounds. ", results.settings.rounds)?;
    writeln!(page, "Relative: cost against {baseline} in the same round, median and 95 % interval.</p>")?;
    writeln!(page, "<div class=\"wide\"><table>\n<thead><tr><th>case</th><th>server</th><th>cost</th>")?;
    writeln!(
        page,
        "<th>user + system</th><th>relative</th><th>main thread</th><th>requests/s</th><th>p50</th><th>p99</th>"
    )?;
    writeln!(page, "<th>switches</th><th>system calls</th><th>resident</th></tr></thead>\n<tbody>")?;
    for case in &results.cases {
        for (index, server) in results.servers.iter().enumerate() {
            let class = if index == 0 { " class=\"first\"" } else { "" };
            let label = if index == 0 { escaped(&case.label) } else { String::new() };
            write!(page, "<tr{class}><td>{label}</td><td>{}</td>", escaped(&server.name))?;
            match results.line(&case.name, &server.name) {
                Some(line) => figures(line, page)?,
                None => {
                    let why = results.why_not(&case.name, &server.name).unwrap_or("did not run");
                    write!(page, "<td class=\"why\" colspan=\"10\">{}</td>", escaped(why))?;
                }
            }
            writeln!(page, "</tr>")?;
        }
    }
    writeln!(page, "</tbody>\n</table></div>")
}

fn figures(line: &Summary, page: &mut String) -> std::fmt::Result {
    let cell = |value: Option<String>| format!("<td>{}</td>", value.unwrap_or_default());
    let unit = line.unit.replace("/request", "");
    write!(page, "<td>{} {unit}</td>", short(line.cost))?;
    page.push_str(&cell(line.modes.map(|(user, system)| format!("{} + {}", short(user), short(system)))));
    match (line.cost_ratio, line.cost_interval) {
        (Some(spread), Some((low, high))) => {
            // Coloured only where the interval says which side of one it is on.
            let class = if high < 1.0 {
                " class=\"good\""
            } else if low > 1.0 {
                " class=\"bad\""
            } else {
                ""
            };
            write!(page, "<td{class}>{:.2} [{low:.2}, {high:.2}]</td>", spread.median)?;
        }
        (Some(spread), None) => write!(page, "<td>{:.2}</td>", spread.median)?,
        (None, _) => page.push_str("<td></td>"),
    }
    page.push_str(&cell(line.main_cost.map(|main| match line.main_ratio {
        Some(spread) => format!("{} ({:.2})", short(main), spread.median),
        None => short(main),
    })));
    page.push_str(&cell(line.rate.map(short)));
    page.push_str(&cell(line.p50.map(time)));
    page.push_str(&cell(line.p99.map(time)));
    page.push_str(&cell(line.switches.map(|switches| format!("{switches:.3}"))));
    page.push_str(&cell(line.syscalls.map(|syscalls| format!("{syscalls:.3}"))));
    write!(page, "<td>{:.1} MiB</td>", line.resident_bytes / f64::from(1 << 20))
}

fn time(ns: f64) -> String {
    if ns >= 1e6 { format!("{:.2} ms", ns / 1e6) } else { format!("{} µs", short(ns / 1e3)) }
}

/// What did not run anywhere, and who took no part.
fn missing(results: &Results, page: &mut String) -> std::fmt::Result {
    if results.absent.is_empty() && results.not_run.is_empty() {
        return Ok(());
    }
    writeln!(page, "<h2>What did not run</h2>\n<div class=\"wide\"><table><tbody>")?;
    for entry in &results.absent {
        writeln!(
            page,
            "<tr><td>{}</td><td class=\"why\">{}</td></tr>",
            escaped(&entry.server),
            escaped(&entry.reason)
        )?;
    }
    for entry in &results.not_run {
        let server = entry.server.as_deref().unwrap_or("all servers");
        let (case, reason) = (escaped(&entry.case), escaped(&entry.reason));
        writeln!(page, "<tr><td>{case} on {}</td><td class=\"why\">{reason}</td></tr>", escaped(server))?;
    }
    writeln!(page, "</tbody></table></div>")
}

fn conditions(results: &Results, page: &mut String) -> std::fmt::Result {
    let host = &results.host;
    writeln!(page, "<h2>Conditions</h2>\n<dl>")?;
    for server in &results.servers {
        let args = server.args.join(" ");
        let environment: Vec<String> =
            server.environment.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let command = [environment.join(" "), server.binary.clone(), args].join(" ");
        let cores: Vec<String> = server.cores.iter().map(usize::to_string).collect();
        let (name, version) = (escaped(&server.name), escaped(&server.version));
        let cores = if cores.is_empty() { String::new() } else { format!(", core {}", cores.join(", ")) };
        writeln!(page, "<dt>{name}</dt><dd>{}{cores}<br>{version}</dd>", escaped(command.trim()))?;
    }
    let machine = format!(
        "{}, {} cores, {} MiB, Linux {}{}",
        host.cpu,
        host.cores,
        host.memory_mib,
        host.kernel,
        if host.hypervisor { ", in a virtual machine" } else { "" }
    );
    let settings = &results.settings;
    let run = format!(
        "{} rounds, {} s each after {} s of warm-up, {} keys",
        settings.rounds, settings.seconds, settings.warmup_seconds, settings.keys
    );
    for (name, value) in [
        ("machine", machine.as_str()),
        ("run", run.as_str()),
        ("tool", results.tool.as_str()),
        ("system calls", if results.syscall_method.is_empty() { NOT_COUNTED } else { results.syscall_method.as_str() }),
        ("method", results.method.as_str()),
    ] {
        writeln!(page, "<dt>{name}</dt><dd>{}</dd>", escaped(value))?;
    }
    if let Some(share) = results.disturbance() {
        let share = format!("servers were ready and had no core {:.1} % of the time (median)", share * 100.0);
        writeln!(page, "<dt>disturbance</dt><dd>{share}</dd>")?;
    }
    writeln!(page, "</dl>")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::results::tests::example;
    use crate::results::{Absent, NotRun};

    #[test]
    fn the_page_needs_nothing_else() {
        let mut results = example();
        results.title = "A < B".to_owned();
        results.absent.push(Absent { server: "c".to_owned(), reason: "no <binary>".to_owned() });
        results.not_run.push(NotRun { case: "x".to_owned(), server: None, reason: "too big".to_owned() });
        let page = html(&results, &plots(&results).unwrap()).unwrap();
        for word in ["http:", "https:", "<script", "<link", "<img", "src=", "url(", "@import"] {
            // The name of SVG's own language is an address that nobody calls.
            let rest = page.replace("http://www.w3.org/2000/svg", "");
            assert!(!rest.contains(word), "{word}");
        }
        for text in ["A &lt; B", "no &lt;binary&gt;", "x on all servers", "0.80 [0.70, 0.90]", "class=\"good\"", POLICY]
        {
            assert!(page.contains(text), "{text}");
        }
        assert_eq!(page.matches("<svg").count(), 2);
    }

    #[test]
    fn plots_lie_beside_the_page() {
        assert_eq!(plot_path(Path::new("a/b.html"), "cpu"), Path::new("a/b-cpu.svg"));
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("r.html");
        write(&example(), &path).unwrap();
        assert!(plot_path(&path, "ratios").is_file() && path.is_file());
    }
}
