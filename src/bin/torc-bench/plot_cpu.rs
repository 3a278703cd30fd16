//! CPU time per request drawn: for every load, one bar per server, as long as its cost relative to the first server,
//! split into user and system.

#![forbid(unsafe_code)]

use crate::draw::{
    Align, Area, DrawResult, GRID, MUTED, TEXT, filled, legend, line, provenance, series, short, svg, text,
};
use crate::plot_ratios::CASES_MAX;
use crate::results::{Results, Summary};

const WIDTH: i32 = 860;
const LEFT: i32 = 190;
const RIGHT: i32 = 700;
const TOP: i32 = 72;
const FOOT: i32 = 58;
const CASE_HEIGHT: i32 = 16;
const BAR_HEIGHT: i32 = 15;
const SCALE_MIN: f64 = 1.1;
const SCALE_MAX: f64 = 2.5;
const USER_OPACITY: f64 = 0.95;
const SYSTEM_OPACITY: f64 = 0.45;

struct Bar<'a> {
    server: usize,
    line: &'a Summary,
    /// Relative to the first server's median.
    length: f64,
}

fn bars<'a>(results: &'a Results, case: &str) -> Vec<Bar<'a>> {
    let Some(base) = results.line(case, &results.servers[0].name).filter(|line| line.cost > 0.0) else {
        return Vec::new();
    };
    let bars = results.servers.iter().enumerate().filter_map(|(server, entry)| {
        let line = results.line(case, &entry.name)?;
        line.modes?;
        Some(Bar { server, line, length: line.cost / base.cost })
    });
    bars.collect()
}

/// The picture; none where no load's CPU time was split.
pub(crate) fn draw(results: &Results) -> anyhow::Result<Option<String>> {
    let cases = results.cases.iter().map(|case| (case.label.as_str(), bars(results, &case.name)));
    let cases: Vec<_> = cases.filter(|(_, bars)| !bars.is_empty()).take(CASES_MAX).collect();
    if cases.is_empty() {
        return Ok(None);
    }
    let count: usize = cases.iter().map(|(_, bars)| bars.len()).sum();
    let height = TOP + cases.len() as i32 * CASE_HEIGHT + count as i32 * BAR_HEIGHT + FOOT;
    let longest = cases.iter().flat_map(|(_, bars)| bars).map(|bar| bar.length).fold(SCALE_MIN, f64::max);
    let end = longest.min(SCALE_MAX);
    svg("CPU time per request", (WIDTH, height), |area| draw_on(area, results, &cases, end, height)).map(Some)
}

fn draw_on(area: &Area<'_>, results: &Results, cases: &[(&str, Vec<Bar<'_>>)], end: f64, height: i32) -> DrawResult {
    let bottom = height - FOOT;
    let x = |length: f64| LEFT + (f64::from(RIGHT - LEFT) * (length / end).min(1.0)).round() as i32;
    let title =
        format!("Server CPU time per request, {} = 1: user (strong) and system (pale)", results.servers[0].name);
    text(area, &title, (16, 20), 17, TEXT.0, Align::Left)?;
    let names: Vec<_> =
        results.servers.iter().enumerate().map(|(index, server)| (index, server.name.clone())).collect();
    legend(area, &names, 16, 46)?;
    for tenth in (0..=(end * 10.0) as i32).step_by(2) {
        let at = x(f64::from(tenth) / 10.0);
        line(area, vec![(at, TOP), (at, bottom)], GRID.0, 1)?;
        text(area, &format!("{:.1}", f64::from(tenth) / 10.0), (at, bottom + 12), 12, MUTED.0, Align::Center)?;
    }
    let mut y = TOP;
    for (label, bars) in cases {
        let band_height = CASE_HEIGHT + bars.len() as i32 * BAR_HEIGHT;
        line(area, vec![(16, y), (RIGHT, y)], GRID.0, 1)?;
        text(area, label, (LEFT - 12, y + band_height / 2), 13, TEXT.0, Align::Right)?;
        for (index, bar) in bars.iter().enumerate() {
            let top = y + CASE_HEIGHT / 2 + index as i32 * BAR_HEIGHT;
            let (user, system) = bar.line.modes.unwrap_or_default();
            let middle = x(bar.length * user / (user + system).max(1e-9));
            let color = series(bar.server);
            filled(area, [(LEFT, top + 2), (middle, top + BAR_HEIGHT - 2)], color, USER_OPACITY)?;
            filled(area, [(middle, top + 2), (x(bar.length), top + BAR_HEIGHT - 2)], color, SYSTEM_OPACITY)?;
            let figure = format!("{} ns: {} + {}", short(bar.line.cost), short(user), short(system));
            text(area, &figure, (RIGHT + 12, top + BAR_HEIGHT / 2), 11, MUTED.0, Align::Left)?;
        }
        y += band_height;
    }
    let what = "As the kernel accounts it, medians of all rounds; right: nanoseconds, user + system.";
    text(area, what, (16, bottom + 32), 12, MUTED.0, Align::Left)?;
    text(area, &provenance(results), (16, bottom + 48), 12, MUTED.0, Align::Left)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::results::tests::example;

    #[test]
    fn loads_have_bars_and_memory_has_none() {
        let svg = draw(&example()).unwrap().unwrap();
        assert!(svg.contains("GET c=1") && !svg.contains("memory"));
        assert!(svg.contains("80 ns: 20 + 60"), "{svg}");
    }

    #[test]
    fn without_a_split_there_is_no_picture() {
        let mut results = example();
        for line in &mut results.summary {
            line.modes = None;
        }
        assert!(draw(&results).unwrap().is_none());
    }
}
