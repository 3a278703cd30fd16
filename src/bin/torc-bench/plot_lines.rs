//! Curves of a comparison: throughput against latency, and throughput over clients, pipeline, threads and length of values.
//! One panel for each group of cases that differ in one thing only.

#![forbid(unsafe_code)]

use crate::case::{Case, LoadCase};
use crate::draw::{
    Align, Area, DrawResult, GRID, MUTED, Scale, TEXT, dot, legend, line, provenance, series, short, svg, text,
};
use crate::results::{Results, Summary};

const COLUMNS: i32 = 2;
const PANEL_WIDTH: i32 = 430;
const PANEL_HEIGHT: i32 = 280;
const TOP: i32 = 62;
const FOOT: i32 = 34;
/// More panels than these would be too many to look at; the table has all figures.
const PANELS_MAX: usize = 12;
/// Room left and right of the points of a panel.
const EDGE: i32 = 12;
/// A group with fewer cases is no curve.
const POINTS_MIN: usize = 2;

/// What a group's cases differ in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Varied {
    Clients,
    Pipeline,
    Threads,
    ValueBytes,
    Rate,
}

impl Varied {
    fn of(self, case: &LoadCase) -> u64 {
        match self {
            Varied::Clients => case.clients as u64,
            Varied::Pipeline => case.pipeline as u64,
            Varied::Threads => case.threads as u64,
            Varied::ValueBytes => case.value_bytes as u64,
            Varied::Rate => case.rate.unwrap_or(0),
        }
    }

    fn label(self) -> &'static str {
        match self {
            Varied::Clients => "clients",
            Varied::Pipeline => "pipeline",
            Varied::Threads => "threads of the load",
            Varied::ValueBytes => "bytes of a value",
            Varied::Rate => "requests per second due",
        }
    }

    /// The case with what is varied taken out: the same for all of a group.
    fn rest(self, case: &LoadCase) -> LoadCase {
        let mut rest = case.clone();
        match self {
            Varied::Clients => rest.clients = 1,
            Varied::Pipeline => rest.pipeline = 1,
            Varied::Threads => rest.threads = 1,
            Varied::ValueBytes => rest.value_bytes = 1,
            Varied::Rate => rest.rate = None,
        }
        rest
    }

    /// What the cases of a group have in common.
    fn title(self, case: &LoadCase) -> String {
        let mut parts = vec![case.test.to_uppercase()];
        if self != Varied::Clients {
            parts.push(format!("{} client{}", case.clients, if case.clients == 1 { "" } else { "s" }));
        }
        if self != Varied::Pipeline && case.pipeline != 1 {
            parts.push(format!("pipeline {}", case.pipeline));
        }
        if self != Varied::ValueBytes && case.value_bytes != crate::case::VALUE_LEN {
            parts.push(format!("{} B values", case.value_bytes));
        }
        if self != Varied::Threads && case.threads != 1 {
            parts.push(format!("{} threads", case.threads));
        }
        parts.extend(case.transport.title().map(str::to_owned));
        parts.join(", ")
    }
}

/// Cases that differ in one thing, ascending in it.
struct Group {
    varied: Varied,
    cases: Vec<(String, LoadCase)>,
}

fn groups(results: &Results, kinds: &[Varied]) -> Vec<Group> {
    let loads: Vec<(String, LoadCase)> = results
        .cases
        .iter()
        .filter_map(|case| match case.name.parse() {
            Ok(Case::Load(load)) => Some((case.name.clone(), load)),
            _ => None,
        })
        .collect();
    let mut groups: Vec<Group> = Vec::new();
    for &varied in kinds {
        for (name, load) in &loads {
            // Cases at a rate and cases without one are no curve together.
            if (varied == Varied::Rate) != load.rate.is_some() {
                continue;
            }
            let rest = varied.rest(load);
            let group =
                groups.iter_mut().find(|group| group.varied == varied && varied.rest(&group.cases[0].1) == rest);
            match group {
                Some(group) => group.cases.push((name.clone(), load.clone())),
                None => groups.push(Group { varied, cases: vec![(name.clone(), load.clone())] }),
            }
        }
    }
    for group in &mut groups {
        group.cases.sort_by_key(|(_, load)| group.varied.of(load));
    }
    groups.retain(|group| group.cases.len() >= POINTS_MIN);
    groups
}

/// One server's curve.
struct Curve {
    server: usize,
    points: Vec<(f64, f64)>,
}

/// Where a case's figures stand in a panel; nowhere where they are missing.
type PointOf<'a> = &'a dyn Fn(&LoadCase, &Summary) -> Option<(f64, f64)>;

struct Panel {
    title: String,
    x_label: String,
    y_label: &'static str,
    logarithmic_y: bool,
    /// Where the horizontal scale is marked; empty: at round numbers.
    marks: Vec<f64>,
    curves: Vec<Curve>,
}

impl Panel {
    fn of(
        results: &Results,
        group: &Group,
        labels: (String, &'static str),
        logarithmic_y: bool,
        point: PointOf<'_>,
    ) -> Option<Panel> {
        let curves: Vec<Curve> = results
            .servers
            .iter()
            .enumerate()
            .filter_map(|(server, entry)| {
                let points: Vec<(f64, f64)> = group
                    .cases
                    .iter()
                    .filter_map(|(name, load)| point(load, results.line(name, &entry.name)?))
                    .filter(|(x, y)| *x > 0.0 && *y > 0.0)
                    .collect();
                (points.len() >= POINTS_MIN).then_some(Curve { server, points })
            })
            .collect();
        let title = group.varied.title(&group.cases[0].1);
        let (x_label, y_label) = labels;
        let panel = Panel { title, x_label, y_label, logarithmic_y, marks: Vec::new(), curves };
        (!panel.curves.is_empty()).then_some(panel)
    }
}

/// Throughput against latency: further right and further down is better. None where no group has a curve.
pub(crate) fn latency(results: &Results) -> anyhow::Result<Option<String>> {
    let panels = groups(results, &[Varied::Clients, Varied::Rate]).into_iter().filter_map(|group| {
        let label = format!("requests per second ({})", values_of(&group));
        Panel::of(results, &group, (label, "p99 latency, µs"), true, &|_, line| Some((line.rate?, line.p99? / 1000.0)))
    });
    draw("Throughput against latency (right and down is better)", results, panels.collect())
}

/// Throughput over what varies. None where no group has a curve.
pub(crate) fn scaling(results: &Results) -> anyhow::Result<Option<String>> {
    let kinds = [Varied::Clients, Varied::Pipeline, Varied::Threads, Varied::ValueBytes];
    let panels = groups(results, &kinds).into_iter().filter_map(|group| {
        let varied = group.varied;
        let labels = (varied.label().to_owned(), "requests per second");
        let mut panel =
            Panel::of(results, &group, labels, false, &|load, line| Some((varied.of(load) as f64, line.rate?)))?;
        panel.marks = group.cases.iter().map(|(_, load)| varied.of(load) as f64).collect();
        Some(panel)
    });
    draw("Throughput (up is better)", results, panels.collect())
}

fn values_of(group: &Group) -> String {
    let values: Vec<String> = group.cases.iter().map(|(_, load)| short(group.varied.of(load) as f64)).collect();
    let what = if group.varied == Varied::Rate { "due" } else { group.varied.label() };
    format!("{what}: {}", values.join(", "))
}

fn draw(title: &str, results: &Results, mut panels: Vec<Panel>) -> anyhow::Result<Option<String>> {
    if panels.is_empty() {
        return Ok(None);
    }
    panels.truncate(PANELS_MAX);
    let columns = COLUMNS.min(panels.len() as i32);
    let rows = (panels.len() as i32 + columns - 1) / columns;
    let size = (COLUMNS * PANEL_WIDTH, TOP + rows * PANEL_HEIGHT + FOOT);
    svg(title, size, |area| {
        text(area, title, (16, 20), 17, TEXT.0, Align::Left)?;
        let servers = results.servers.iter().enumerate();
        let names: Vec<_> = servers.map(|(index, server)| (index, server.name.clone())).collect();
        legend(area, &names, 16, 46)?;
        for (index, panel) in panels.iter().enumerate() {
            let index = index as i32;
            let corner = (index % columns * PANEL_WIDTH, TOP + index / columns * PANEL_HEIGHT);
            draw_panel(area, panel, corner)?;
        }
        text(area, &provenance(results), (16, size.1 - 16), 12, MUTED.0, Align::Left)
    })
    .map(Some)
}

fn draw_panel(area: &Area<'_>, panel: &Panel, (left, top): (i32, i32)) -> DrawResult {
    let (x_from, x_to) = (left + 66, left + PANEL_WIDTH - 20);
    let (y_from, y_to) = (top + PANEL_HEIGHT - 52, top + 52);
    let xs: Vec<f64> = panel.curves.iter().flat_map(|curve| &curve.points).map(|point| point.0).collect();
    let ys: Vec<f64> = panel.curves.iter().flat_map(|curve| &curve.points).map(|point| point.1).collect();
    // Points and their marks stand clear of the edges.
    let mut x_scale = Scale::around(&xs, true, x_from + EDGE, x_to - EDGE);
    if let (Some(first), Some(last)) = (panel.marks.first(), panel.marks.last()) {
        (x_scale.from, x_scale.to) = (*first, *last);
    }
    let y_scale = Scale::around(&ys, panel.logarithmic_y, y_from, y_to);
    text(area, &panel.title, (left + 16, top + 18), 14, TEXT.0, Align::Left)?;
    text(area, panel.y_label, (left + 16, top + 36), 11, MUTED.0, Align::Left)?;
    let marks = if panel.marks.is_empty() { x_scale.ticks() } else { panel.marks.clone() };
    for tick in marks {
        let x = x_scale.pixel(tick);
        line(area, vec![(x, y_from), (x, y_to)], GRID.0, 1)?;
        text(area, &short(tick), (x, y_from + 12), 11, MUTED.0, Align::Center)?;
    }
    for tick in y_scale.ticks() {
        let y = y_scale.pixel(tick);
        line(area, vec![(x_from, y), (x_to, y)], GRID.0, 1)?;
        text(area, &short(tick), (x_from - 6, y), 11, MUTED.0, Align::Right)?;
    }
    text(area, &panel.x_label, ((x_from + x_to) / 2, y_from + 28), 11, MUTED.0, Align::Center)?;
    for curve in &panel.curves {
        let color = series(curve.server);
        let points: Vec<(i32, i32)> =
            curve.points.iter().map(|(x, y)| (x_scale.pixel(*x), y_scale.pixel(*y))).collect();
        line(area, points.clone(), color, 2)?;
        for point in points {
            dot(area, point, 4, color, 1.0)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::results::CaseName;
    use crate::results::tests::example;

    /// The example with a second number of clients.
    fn curves() -> Results {
        let mut results = example();
        for (clients, rate) in [(50, 2.0), (500, 3.0)] {
            let name = format!("get-c{clients}-p1");
            results.cases.push(CaseName { name: name.clone(), label: name.clone() });
            for server in ["a", "b"] {
                let mut line = results.line("get-c1-p1", server).unwrap().clone();
                line.case.clone_from(&name);
                line.rate = line.rate.map(|old| old * rate);
                results.summary.push(line);
            }
        }
        results
    }

    #[test]
    fn cases_that_differ_in_one_thing_are_a_group() {
        let mut results = curves();
        for name in ["get-c50-p16", "set-c1-p1", "get-c50-p1-r1000", "get-c50-p1-r2000"] {
            results.cases.push(CaseName { name: name.to_owned(), label: name.to_owned() });
        }
        let found: Vec<(Varied, usize)> = groups(&results, &[Varied::Clients, Varied::Pipeline, Varied::Rate])
            .iter()
            .map(|group| (group.varied, group.cases.len()))
            .collect();
        assert_eq!(found, [(Varied::Clients, 3), (Varied::Pipeline, 2), (Varied::Rate, 2)]);
    }

    #[test]
    fn curves_are_drawn_for_every_server() {
        let svg = scaling(&curves()).unwrap().unwrap();
        assert_eq!(svg.matches("<circle").count(), 6);
        assert!(svg.contains("clients") && svg.contains("GET"));
        let svg = latency(&curves()).unwrap().unwrap();
        assert!(svg.contains("p99 latency") && svg.contains("clients: 1, 50, 500"), "{svg}");
    }

    #[test]
    fn one_case_is_no_curve() {
        assert!(scaling(&example()).unwrap().is_none());
        assert!(latency(&example()).unwrap().is_none());
    }
}
