//! The ratios drawn: for every case, how the cost of each server relates to that of the first, round by round.

#![forbid(unsafe_code)]

use crate::draw::{
    Align, Area, DrawResult, GRID, MUTED, TEXT, dot, filled, legend, line, provenance, series, short, svg, text,
};
use crate::results::Results;
use crate::stats::Spread;

const WIDTH: i32 = 860;
/// Where the scale begins and ends.
const LEFT: i32 = 190;
const RIGHT: i32 = 790;
const TOP: i32 = 82;
const FOOT: i32 = 58;
/// Height of a case, and of each server in it.
const CASE_HEIGHT: i32 = 14;
const SERVER_HEIGHT: i32 = 18;
const BOX_HALF: i32 = 6;
/// The scale reaches at least this far, and never further than that.
const SCALE_MIN: f64 = 1.2;
const SCALE_MAX: f64 = 3.0;
/// A picture of more cases than these would be too long to look at; the table has them all.
pub(crate) const CASES_MAX: usize = 60;

/// One server's ratios in one case.
struct Row {
    server: usize,
    ratios: Vec<f64>,
    spread: Spread,
}

/// A case that has ratios.
struct Band<'a> {
    label: &'a str,
    rows: Vec<Row>,
}

fn bands(results: &Results) -> Vec<Band<'_>> {
    let bands = results.cases.iter().map(|case| {
        let rows = results.servers.iter().enumerate().skip(1).filter_map(|(index, server)| {
            let ratios = results.ratios(&case.name, &server.name, |measured| Some(measured.cost()));
            Spread::of(&ratios).map(|spread| Row { server: index, ratios, spread })
        });
        Band { label: case.label.as_str(), rows: rows.collect() }
    });
    bands.filter(|band| !band.rows.is_empty()).take(CASES_MAX).collect()
}

/// The picture; none where no case has a ratio.
pub(crate) fn draw(results: &Results) -> anyhow::Result<Option<String>> {
    let bands = bands(results);
    if bands.is_empty() {
        return Ok(None);
    }
    let rows: usize = bands.iter().map(|band| band.rows.len()).sum();
    let height = TOP + bands.len() as i32 * CASE_HEIGHT + rows as i32 * SERVER_HEIGHT + FOOT;
    let largest =
        bands.iter().flat_map(|band| &band.rows).map(|row| row.spread.upper_quartile).fold(SCALE_MIN, f64::max);
    let scale = Axis { end: (largest * 10.0).ceil().min(SCALE_MAX * 10.0) / 10.0 };
    let title = format!("Cost relative to {}", results.servers[0].name);
    svg(&title, (WIDTH, height), |area| draw_on(area, results, &bands, scale, height)).map(Some)
}

/// The horizontal scale: linear, from nothing to `end`.
#[derive(Clone, Copy)]
struct Axis {
    end: f64,
}

impl Axis {
    fn x(self, ratio: f64) -> i32 {
        LEFT + (f64::from(RIGHT - LEFT) * (ratio / self.end).min(1.0)).round() as i32
    }
}

fn draw_on(area: &Area<'_>, results: &Results, bands: &[Band<'_>], axis: Axis, height: i32) -> DrawResult {
    let bottom = height - FOOT;
    draw_head(area, results)?;
    draw_scale(area, results, axis, bottom)?;
    let mut y = TOP;
    for band in bands {
        let band_height = CASE_HEIGHT + band.rows.len() as i32 * SERVER_HEIGHT;
        line(area, vec![(16, y), (RIGHT, y)], GRID.0, 1)?;
        text(area, band.label, (LEFT - 12, y + band_height / 2), 13, TEXT.0, Align::Right)?;
        for (index, row) in band.rows.iter().enumerate() {
            let center = y + CASE_HEIGHT / 2 + index as i32 * SERVER_HEIGHT + SERVER_HEIGHT / 2;
            draw_row(area, row, axis, center)?;
        }
        y += band_height;
    }
    let what = format!(
        "Server CPU time per request, or memory; {} rounds. Dots: rounds, box: quartiles, bar: median.",
        results.settings.rounds
    );
    text(area, &what, (16, bottom + 32), 12, MUTED.0, Align::Left)?;
    text(area, &provenance(results), (16, bottom + 48), 12, MUTED.0, Align::Left)
}

fn draw_head(area: &Area<'_>, results: &Results) -> DrawResult {
    let title = format!("Cost relative to {} (less is better)", results.servers[0].name);
    text(area, &title, (16, 20), 17, TEXT.0, Align::Left)?;
    let names: Vec<_> =
        results.servers.iter().enumerate().skip(1).map(|(index, server)| (index, server.name.clone())).collect();
    legend(area, &names, 16, 46).map(|_| ())
}

fn draw_scale(area: &Area<'_>, results: &Results, axis: Axis, bottom: i32) -> DrawResult {
    let step = if axis.end > 2.5 { 0.5 } else { 0.2 };
    for index in 0..=(axis.end / step + 1e-9) as i32 {
        let ratio = f64::from(index) * step;
        let x = axis.x(ratio);
        line(area, vec![(x, TOP), (x, bottom)], GRID.0, 1)?;
        text(area, &format!("{ratio:.1}"), (x, bottom + 12), 12, MUTED.0, Align::Center)?;
    }
    let x = axis.x(1.0);
    line(area, vec![(x, TOP - 4), (x, bottom)], series(0), 2)?;
    text(area, &format!("{} = 1", results.servers[0].name), (x, TOP - 12), 12, TEXT.0, Align::Center)
}

fn draw_row(area: &Area<'_>, row: &Row, axis: Axis, center: i32) -> DrawResult {
    let color = series(row.server);
    let spread = row.spread;
    line(area, vec![(axis.x(spread.min), center), (axis.x(spread.max), center)], color, 1)?;
    let corners =
        [(axis.x(spread.lower_quartile), center - BOX_HALF), (axis.x(spread.upper_quartile), center + BOX_HALF)];
    filled(area, corners, color, 0.25)?;
    for ratio in &row.ratios {
        dot(area, (axis.x(*ratio), center), 2, color, 0.6)?;
    }
    let x = axis.x(spread.median);
    line(area, vec![(x, center - BOX_HALF - 1), (x, center + BOX_HALF + 1)], color, 3)?;
    let figure = if spread.median < 10.0 { format!("{:.2}", spread.median) } else { short(spread.median) };
    text(area, &figure, (RIGHT + 16, center), 13, color, Align::Left)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::results::tests::example;

    #[test]
    fn a_picture_has_every_case() {
        let svg = draw(&example()).unwrap().unwrap();
        assert!(svg.starts_with("<svg") && svg.trim_end().ends_with("</svg>"));
        for text in ["GET c=1", "memory, 10 keys", "a = 1", "0.80", "prefers-color-scheme: dark"] {
            assert!(svg.contains(text), "{text}");
        }
    }

    #[test]
    fn without_a_second_server_there_is_nothing_to_draw() {
        let mut results = example();
        results.servers.truncate(1);
        assert!(draw(&results).unwrap().is_none());
    }

    #[test]
    fn the_scale_ends_at_its_edge() {
        let axis = Axis { end: 2.0 };
        assert_eq!((axis.x(0.0), axis.x(1.0), axis.x(2.0), axis.x(9.0)), (LEFT, (LEFT + RIGHT) / 2, RIGHT, RIGHT));
    }
}
