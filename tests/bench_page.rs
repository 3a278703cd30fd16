//! The report of a comparison in a real browser: it loads, its plots have a size, and nothing is asked of any network.
//!
//! Drives built binaries and Chromium. Skipped, aloud, where there is no Chromium.

#![allow(clippy::disallowed_methods, reason = "a test starts processes")]
#![allow(clippy::unwrap_used, reason = "a test that meets an error has failed")]

mod harness;

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use harness::{eventually, skip};

/// Under which names Debian and others install it.
const BROWSERS: [&str; 3] = ["chromium", "chromium-browser", "google-chrome"];
const OPTIONS: [&str; 10] = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    // Whatever is looked up is not there.
    "--host-resolver-rules=MAP * ~NOTFOUND",
    "--virtual-time-budget=2000",
];
/// Writes what the page holds into its own document, where the dump shows it: sizes of the plots, and what was loaded.
const PROBE: &str = "<script>addEventListener('load', () => {
  const boxes = [...document.querySelectorAll('svg')].map(svg => {
    const box = svg.getBoundingClientRect();
    return Math.round(box.width) + 'x' + Math.round(box.height) + ':' + svg.querySelectorAll('path, polyline, rect, circle, text').length;
  });
  const loaded = performance.getEntriesByType('resource').map(entry => entry.name);
  document.title = 'probe|' + boxes.join(',') + '|' + loaded.join(',') + '|' + document.documentElement.scrollWidth + '|' + innerWidth
    + '|' + getComputedStyle(document.body).backgroundColor;
});</script>";

fn browser() -> Option<&'static str> {
    let runs =
        |name: &&str| Command::new(name).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok();
    BROWSERS.into_iter().find(runs)
}

/// The document after it was loaded, as the browser writes it.
fn dump(browser: &str, folder: &Path, page: &Path, extra: &[&str]) -> String {
    let mut text = String::new();
    // A browser that is starved of its core may give up; the page is not to blame.
    eventually("the browser dumps the page", || {
        let profile = tempfile::tempdir_in(folder).unwrap();
        let mut command = Command::new(browser);
        command.args(OPTIONS).args(extra).arg("--dump-dom").arg("--window-size=1100,900");
        command.arg(format!("--user-data-dir={}", profile.path().display()));
        let output = command.arg(format!("file://{}", page.display())).output().unwrap();
        text = String::from_utf8_lossy(&output.stdout).into_owned();
        text.contains("</html>")
    });
    text
}

/// The parts of the probe's title.
fn probed(dom: &str) -> Vec<String> {
    let title = dom.split("<title>").nth(1).and_then(|rest| rest.split("</title>").next()).unwrap_or_default();
    let parts: Vec<String> = title.split('|').map(str::to_owned).collect();
    assert_eq!((parts[0].as_str(), parts.len()), ("probe", 6), "the page's script did not run: {title:?}");
    parts
}

#[test]
fn the_report_renders_and_asks_for_nothing() {
    let Some(browser) = browser() else {
        skip("there is no Chromium");
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    // The results that the README's figures come from.
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let readme = fs::read_to_string(root.join("README.md")).unwrap();
    let source = readme.split("<!-- results:begin ").nth(1).and_then(|rest| rest.split(" -->").next()).unwrap();
    let page = folder.path().join("page.html");
    let mut command = Command::new(env!("CARGO_BIN_EXE_torc-bench"));
    let status =
        command.arg("report").arg(root.join(source)).arg("-o").arg(&page).stdout(Stdio::null()).status().unwrap();
    assert!(status.success());
    let html = fs::read_to_string(&page).unwrap();
    let plots = html.matches("<svg").count();
    assert!(plots >= 2, "{plots} plots");

    // As it is: under its own policy, which forbids scripts and requests.
    let dom = dump(browser, folder.path(), &page, &[]);
    assert_eq!(dom.matches("<svg").count(), plots);
    assert!(dom.contains("Conditions") && dom.contains("</table>"));

    // With a script that measures, which the policy would forbid.
    let (before, rest) = html.split_once("<meta http-equiv=\"Content-Security-Policy\"").unwrap();
    let (_, after) = rest.split_once('>').unwrap();
    let measured = folder.path().join("measured.html");
    fs::write(&measured, format!("{before}{PROBE}{after}")).unwrap();
    let light = probed(&dump(browser, folder.path(), &measured, &["--blink-settings=preferredColorScheme=1"]));
    let dark = probed(&dump(browser, folder.path(), &measured, &["--blink-settings=preferredColorScheme=0"]));
    for parts in [&light, &dark] {
        let boxes: Vec<&str> = parts[1].split(',').collect();
        assert_eq!(boxes.len(), plots);
        for shape in boxes {
            let numbers: Vec<u32> = shape.split(['x', ':']).map(|number| number.parse().unwrap()).collect();
            assert!(numbers[0] > 300 && numbers[1] > 100 && numbers[2] > 10, "a plot without size or content: {shape}");
        }
        assert_eq!(parts[2], "", "the page loaded something");
        assert!(parts[3].parse::<u32>().unwrap() <= parts[4].parse().unwrap(), "the page is wider than the window");
    }
    assert_ne!(light[5], dark[5], "light and dark pages have the same ground");
}
