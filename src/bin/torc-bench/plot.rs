//! Draws a comparison as SVG: for every case, how the cost of each server relates to that of the first.
//!
//! The background is transparent; a style block gives other colours where the reader prefers a dark scheme.

#![forbid(unsafe_code)]

use std::fs;

use anyhow::{Context, anyhow, ensure};
use plotters::coord::Shift;
use plotters::prelude::{
    Circle, DrawingArea, EmptyElement, IntoDrawingArea, IntoFont, PathElement, RGBAColor, RGBColor, Rectangle,
    SVGBackend, ShapeStyle, TextStyle,
};
use plotters::style::Color;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use crate::cli::{PlotArgs, Target};
use crate::report::{FORMAT, Results};
use crate::stats::Spread;

const WIDTH: i32 = 860;
/// Where the scale begins and ends.
const LEFT: i32 = 170;
const RIGHT: i32 = 770;
const TOP: i32 = 76;
const FOOT: i32 = 58;
/// Height of a case, and of each server in it.
const CASE_HEIGHT: i32 = 14;
const SERVER_HEIGHT: i32 = 22;
const BOX_HALF: i32 = 6;
/// The scale reaches at least this far, and never further than that.
const SCALE_MIN: f64 = 1.2;
const SCALE_MAX: f64 = 5.0;

/// Colours, light and dark. The light ones are drawn, the style block knows the dark ones.
const TEXT: (RGBColor, &str) = (RGBColor(31, 35, 40), "#E6EDF3");
const MUTED: (RGBColor, &str) = (RGBColor(89, 99, 110), "#9BA5B0");
const GRID: (RGBColor, &str) = (RGBColor(209, 217, 224), "#3D444D");
const TARGET: (RGBColor, &str) = (RGBColor(26, 127, 55), "#3FB950");
const SERIES: [(RGBColor, &str); 4] = [
    (RGBColor(9, 105, 218), "#58A6FF"),
    (RGBColor(188, 76, 0), "#F0883E"),
    (RGBColor(130, 80, 223), "#BC8CFF"),
    (RGBColor(191, 57, 137), "#F778BA"),
];

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;

/// Reads results and writes their picture.
pub(crate) fn run(args: &PlotArgs) -> anyhow::Result<()> {
    let text = fs::read_to_string(&args.results).with_context(|| format!("reading {}", args.results.display()))?;
    let results: Results = serde_json::from_str(&text).with_context(|| format!("in {}", args.results.display()))?;
    ensure!(results.format == FORMAT, "{} has another layout: {}", args.results.display(), results.format);
    let svg = draw(&results, &args.targets)?;
    fs::write(&args.output, svg).with_context(|| format!("writing {}", args.output.display()))
}

/// One server's ratios in one case.
struct Row {
    /// Which of the servers after the baseline.
    series: usize,
    ratios: Vec<f64>,
    spread: Spread,
}

/// A case that has ratios.
struct Band<'a> {
    name: &'a str,
    label: &'a str,
    rows: Vec<Row>,
}

fn bands(results: &Results) -> Vec<Band<'_>> {
    let band = |name, label| {
        let rows = results.servers.iter().skip(1).enumerate().filter_map(|(series, server)| {
            let ratios = results.ratios(name, &server.name, |measured| Some(measured.cost()));
            Spread::of(&ratios).map(|spread| Row { series, ratios, spread })
        });
        Band { name, label, rows: rows.collect() }
    };
    let all = results.cases.iter().map(|case| band(case.name.as_str(), case.label.as_str()));
    all.filter(|band| !band.rows.is_empty()).collect()
}

fn draw(results: &Results, targets: &[Target]) -> anyhow::Result<String> {
    let bands = bands(results);
    ensure!(!bands.is_empty(), "there are no ratios to draw: a comparison needs two servers");
    for case in targets.iter().filter_map(|target| target.case.as_deref()) {
        ensure!(bands.iter().any(|band| band.name == case), "there is a target for {case}, but no such case");
    }
    let rows: usize = bands.iter().map(|band| band.rows.len()).sum();
    let height = TOP + bands.len() as i32 * CASE_HEIGHT + rows as i32 * SERVER_HEIGHT + FOOT;
    let largest = bands.iter().flat_map(|band| &band.rows).map(|row| row.spread.max).fold(SCALE_MIN, f64::max);
    let scale = Scale { end: (largest * 10.0).ceil().min(SCALE_MAX * 10.0) / 10.0 };
    let mut svg = String::new();
    {
        let area = SVGBackend::with_string(&mut svg, (WIDTH as u32, height as u32)).into_drawing_area();
        draw_on(&area, results, &bands, targets, scale, height).map_err(|error| anyhow!("drawing: {error}"))?;
        area.present().map_err(|error| anyhow!("drawing: {error}"))?;
    }
    let start = svg.find('>').context("the drawing has no beginning")? + 1;
    svg.insert_str(start, &style_block());
    Ok(svg)
}

/// The horizontal scale: linear, from nothing to `end`.
#[derive(Clone, Copy)]
struct Scale {
    end: f64,
}

impl Scale {
    fn x(self, ratio: f64) -> i32 {
        LEFT + (f64::from(RIGHT - LEFT) * (ratio / self.end).min(1.0)).round() as i32
    }
}

type DrawResult = Result<(), Box<dyn std::error::Error>>;

fn draw_on(
    area: &Area<'_>,
    results: &Results,
    bands: &[Band<'_>],
    targets: &[Target],
    scale: Scale,
    height: i32,
) -> DrawResult {
    let bottom = height - FOOT;
    draw_head(area, results)?;
    draw_scale(area, results, scale, bottom)?;
    let mut y = TOP;
    for band in bands {
        let band_height = CASE_HEIGHT + band.rows.len() as i32 * SERVER_HEIGHT;
        area.draw_text(band.label, &style(13, TEXT.0, HPos::Right), (LEFT - 12, y + band_height / 2))?;
        for (index, row) in band.rows.iter().enumerate() {
            let center = y + CASE_HEIGHT / 2 + index as i32 * SERVER_HEIGHT + SERVER_HEIGHT / 2;
            draw_row(area, row, scale, center)?;
        }
        if let Some(ratio) = target_of(targets, band.name) {
            let x = scale.x(ratio);
            for dash in dashes((x, y + 4), (x, y + band_height - 4)) {
                area.draw(&PathElement::new(dash.to_vec(), TARGET.0.stroke_width(2)))?;
            }
        }
        y += band_height;
    }
    draw_foot(area, results, !targets.is_empty(), bottom)
}

/// The ratio that `case` is to reach: its own, or else that of all cases.
fn target_of(targets: &[Target], case: &str) -> Option<f64> {
    let of = |wanted: Option<&str>| targets.iter().find(|target| target.case.as_deref() == wanted);
    of(Some(case)).or_else(|| of(None)).map(|target| target.ratio)
}

fn draw_head(area: &Area<'_>, results: &Results) -> DrawResult {
    let baseline = &results.servers[0];
    let title = format!("Cost relative to {} (less is better)", baseline.name);
    area.draw_text(&title, &style(17, TEXT.0, HPos::Left), (16, 20))?;
    let mut x = 16;
    for (series, server) in results.servers.iter().skip(1).enumerate() {
        let color = SERIES[series % SERIES.len()].0;
        area.draw(&Rectangle::new([(x, 40), (x + 12, 52)], color.filled()))?;
        area.draw_text(&server.name, &style(13, TEXT.0, HPos::Left), (x + 18, 46))?;
        x += 18 + 24 + 8 * server.name.len() as i32;
    }
    let legend = "dots: rounds, box: quartiles, bar: median";
    Ok(area.draw_text(legend, &style(12, MUTED.0, HPos::Right), (WIDTH - 16, 46))?)
}

fn draw_scale(area: &Area<'_>, results: &Results, scale: Scale, bottom: i32) -> DrawResult {
    let step = if scale.end > 2.5 { 0.5 } else { 0.2 };
    for index in 0..=(scale.end / step + 1e-9) as i32 {
        let ratio = f64::from(index) * step;
        let x = scale.x(ratio);
        area.draw(&PathElement::new(vec![(x, TOP), (x, bottom)], GRID.0.stroke_width(1)))?;
        area.draw_text(&format!("{ratio:.1}"), &style(12, MUTED.0, HPos::Center), (x, bottom + 12))?;
    }
    let x = scale.x(1.0);
    area.draw(&PathElement::new(vec![(x, TOP - 4), (x, bottom)], TEXT.0.stroke_width(2)))?;
    let name = &results.servers[0].name;
    Ok(area.draw_text(&format!("{name} = 1"), &style(12, TEXT.0, HPos::Center), (x, TOP - 12))?)
}

fn draw_row(area: &Area<'_>, row: &Row, scale: Scale, center: i32) -> DrawResult {
    let color = SERIES[row.series % SERIES.len()].0;
    let spread = row.spread;
    let (from, to) = (scale.x(spread.min), scale.x(spread.max));
    area.draw(&PathElement::new(vec![(from, center), (to, center)], color.stroke_width(1)))?;
    let corners =
        [(scale.x(spread.lower_quartile), center - BOX_HALF), (scale.x(spread.upper_quartile), center + BOX_HALF)];
    area.draw(&Rectangle::new(corners, color.mix(0.25).filled()))?;
    for ratio in &row.ratios {
        area.draw(&(EmptyElement::at((scale.x(*ratio), center)) + Circle::new((0, 0), 2, dot(color))))?;
    }
    let x = scale.x(spread.median);
    let median = vec![(x, center - BOX_HALF - 1), (x, center + BOX_HALF + 1)];
    area.draw(&PathElement::new(median, color.stroke_width(3)))?;
    Ok(area.draw_text(&format!("{:.2}", spread.median), &style(13, color, HPos::Left), (RIGHT + 16, center))?)
}

fn draw_foot(area: &Area<'_>, results: &Results, has_targets: bool, bottom: i32) -> DrawResult {
    let servers: Vec<String> =
        results.servers.iter().map(|server| format!("{} {}", server.name, version_number(&server.version))).collect();
    let cores = if results.settings.same_core { "load on the same core" } else { "load on another core" };
    let target = if has_targets { "; dashes: target" } else { "" };
    let what = format!(
        "Server CPU time per request, or memory. {} B values, {} keys, {} rounds, {cores}{target}.",
        results.settings.value_bytes, results.settings.keys, results.settings.rounds
    );
    let host = format!(
        "{}; {}, {} cores, Linux {}; {}",
        servers.join(", "),
        results.host.cpu,
        results.host.cores,
        results.host.kernel.split('-').next().unwrap_or_default(),
        results.started.split('T').next().unwrap_or_default()
    );
    area.draw_text(&what, &style(12, MUTED.0, HPos::Left), (16, bottom + 32))?;
    Ok(area.draw_text(&host, &style(12, MUTED.0, HPos::Left), (16, bottom + 48))?)
}

fn style<'a>(size: i32, color: RGBColor, horizontal: HPos) -> TextStyle<'a> {
    ("sans-serif", size).into_font().color(&color).pos(Pos::new(horizontal, VPos::Center))
}

fn dot(color: RGBColor) -> ShapeStyle {
    ShapeStyle { color: RGBAColor(color.0, color.1, color.2, 0.6), filled: true, stroke_width: 0 }
}

/// A vertical line in pieces.
fn dashes(from: (i32, i32), to: (i32, i32)) -> Vec<[(i32, i32); 2]> {
    const DASH: usize = 4;
    (from.1..to.1).step_by(2 * DASH).map(|y| [(from.0, y), (from.0, (y + DASH as i32).min(to.1))]).collect()
}

/// The number in what a server prints for `--version`: after `v=`, or else the last word that begins with a digit.
fn version_number(version: &str) -> &str {
    let mut words = version.split_whitespace();
    words
        .clone()
        .find_map(|word| word.strip_prefix("v="))
        .or_else(|| words.rfind(|word| word.starts_with(|first: char| first.is_ascii_digit())))
        .unwrap_or_default()
}

fn style_block() -> String {
    let mut rules = String::new();
    for (light, dark) in [TEXT, MUTED, GRID, TARGET].into_iter().chain(SERIES) {
        let RGBColor(red, green, blue) = light;
        let light = format!("#{red:02X}{green:02X}{blue:02X}");
        rules.push_str(&format!("[fill=\"{light}\"]{{fill:{dark}}}[stroke=\"{light}\"]{{stroke:{dark}}}"));
    }
    format!("\n<style>@media (prefers-color-scheme: dark){{{rules}}}</style>")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::tests::example;

    #[test]
    fn a_picture_has_every_case_and_both_schemes() {
        let target = Target { case: Some("get-c1-p1".to_owned()), ratio: 0.5 };
        let svg = draw(&example(), &[target]).unwrap();
        assert!(svg.starts_with("<svg") && svg.trim_end().ends_with("</svg>"));
        for text in ["GET c=1", "memory, 10 keys", "a = 1", "0.80", "prefers-color-scheme: dark", "dashes: target"] {
            assert!(svg.contains(text), "{text}");
        }
        // Every colour that is drawn has a rule for the dark scheme.
        for part in svg.split("fill=\"#").skip(1).chain(svg.split("stroke=\"#").skip(1)) {
            let color = &part[..6];
            assert!(style_block().contains(color), "{color}");
        }
    }

    #[test]
    fn without_a_second_server_there_is_nothing_to_draw() {
        let mut results = example();
        results.servers.truncate(1);
        assert!(draw(&results, &[]).is_err());
    }

    #[test]
    fn a_target_of_its_own_goes_before_that_of_all() {
        let target = |case: Option<&str>, ratio| Target { case: case.map(str::to_owned), ratio };
        let targets = [target(None, 0.8), target(Some("get-c1-p1"), 0.5)];
        assert_eq!(target_of(&targets, "get-c1-p1"), Some(0.5));
        assert_eq!(target_of(&targets, "memory-10"), Some(0.8));
        assert_eq!(target_of(&targets[1..], "memory-10"), None);
        assert!(draw(&example(), &[target(Some("get-c9-p9"), 0.5)]).is_err());
    }

    #[test]
    fn the_scale_ends_at_its_edge() {
        let scale = Scale { end: 2.0 };
        assert_eq!((scale.x(0.0), scale.x(1.0), scale.x(2.0), scale.x(9.0)), (LEFT, (LEFT + RIGHT) / 2, RIGHT, RIGHT));
    }

    #[test]
    fn versions_are_short() {
        assert_eq!(version_number("Redis server v=8.2.3 sha=00000000:1 malloc=jemalloc-5.3.0"), "8.2.3");
        assert_eq!(version_number("torc-server 0.1.0"), "0.1.0");
        assert_eq!(version_number(""), "");
    }
}
