//! What the plots have in common: colours for light and dark pages, text, lines, and scales.
//!
//! Backgrounds are transparent. The light colours are drawn; a style block in every SVG knows the dark ones.

#![forbid(unsafe_code)]

use anyhow::{Context, anyhow};
use plotters::coord::Shift;
use plotters::prelude::{
    Circle, DrawingArea, IntoDrawingArea, IntoFont, PathElement, RGBAColor, RGBColor, Rectangle, SVGBackend,
    ShapeStyle, TextStyle,
};
use plotters::style::Color;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use crate::results::Results;

pub(crate) const TEXT: (RGBColor, &str) = (RGBColor(31, 35, 40), "#E6EDF3");
pub(crate) const MUTED: (RGBColor, &str) = (RGBColor(89, 99, 110), "#9BA5B0");
pub(crate) const GRID: (RGBColor, &str) = (RGBColor(209, 217, 224), "#3D444D");
/// One colour for each server, in order; more servers than colours begin again.
const SERIES: [(RGBColor, &str); 6] = [
    (RGBColor(99, 110, 123), "#8B949E"),
    (RGBColor(154, 103, 0), "#D29922"),
    (RGBColor(9, 105, 218), "#58A6FF"),
    (RGBColor(130, 80, 223), "#BC8CFF"),
    (RGBColor(188, 76, 0), "#F0883E"),
    (RGBColor(191, 57, 137), "#F778BA"),
];
/// Advance of a character of the fonts that are asked for, in parts of their size: an estimate, for layout only.
const CHARACTER_WIDTH: f64 = 0.56;

/// A drawing.
pub(crate) type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;
/// Drawing into memory cannot fail, but its interface says so.
pub(crate) type DrawResult = Result<(), Box<dyn std::error::Error>>;

/// The colour of server `index`.
pub(crate) fn series(index: usize) -> RGBColor {
    SERIES[index % SERIES.len()].0
}

/// An SVG of that size, made by `paint`.
pub(crate) fn svg(
    title: &str,
    (width, height): (i32, i32),
    paint: impl FnOnce(&Area<'_>) -> DrawResult,
) -> anyhow::Result<String> {
    let mut svg = String::new();
    {
        let area = SVGBackend::with_string(&mut svg, (width as u32, height as u32)).into_drawing_area();
        paint(&area).map_err(|error| anyhow!("drawing: {error}"))?;
        area.present().map_err(|error| anyhow!("drawing: {error}"))?;
    }
    let tag = svg.find("<svg").context("the drawing has no beginning")?;
    let start = tag + svg[tag..].find('>').context("the drawing has no beginning")? + 1;
    svg.insert_str(start, &format!("\n<title>{}</title>{}", escaped(title), style_block()));
    svg.insert_str(tag + "<svg".len(), " role=\"img\"");
    Ok(svg)
}

/// Text inside a tag.
pub(crate) fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

pub(crate) fn style_block() -> String {
    let mut rules = String::new();
    for (light, dark) in [TEXT, MUTED, GRID].into_iter().chain(SERIES) {
        let RGBColor(red, green, blue) = light;
        let light = format!("#{red:02X}{green:02X}{blue:02X}");
        rules.push_str(&format!("[fill=\"{light}\"]{{fill:{dark}}}[stroke=\"{light}\"]{{stroke:{dark}}}"));
    }
    format!("\n<style>@media (prefers-color-scheme: dark){{{rules}}}</style>")
}

/// Where a text stands in relation to its point.
#[derive(Clone, Copy)]
pub(crate) enum Align {
    Left,
    Center,
    Right,
}

pub(crate) fn text(
    area: &Area<'_>,
    words: &str,
    at: (i32, i32),
    size: i32,
    color: RGBColor,
    align: Align,
) -> DrawResult {
    let horizontal = match align {
        Align::Left => HPos::Left,
        Align::Center => HPos::Center,
        Align::Right => HPos::Right,
    };
    let style: TextStyle<'_> = ("sans-serif", size).into_font().color(&color).pos(Pos::new(horizontal, VPos::Center));
    Ok(area.draw_text(words, &style, at)?)
}

/// About how wide a text is.
pub(crate) fn text_width(words: &str, size: i32) -> i32 {
    (words.chars().count() as f64 * f64::from(size) * CHARACTER_WIDTH).ceil() as i32
}

pub(crate) fn line(area: &Area<'_>, points: Vec<(i32, i32)>, color: RGBColor, width: u32) -> DrawResult {
    Ok(area.draw(&PathElement::new(points, color.stroke_width(width)))?)
}

pub(crate) fn filled(area: &Area<'_>, corners: [(i32, i32); 2], color: RGBColor, opacity: f64) -> DrawResult {
    Ok(area.draw(&Rectangle::new(corners, color.mix(opacity).filled()))?)
}

pub(crate) fn dot(area: &Area<'_>, at: (i32, i32), radius: i32, color: RGBColor, opacity: f64) -> DrawResult {
    let color = RGBAColor(color.0, color.1, color.2, opacity);
    Ok(area.draw(&Circle::new(at, radius, ShapeStyle { color, filled: true, stroke_width: 0 }))?)
}

/// The names of servers, each behind its colour, in one row. Returns where it ends.
pub(crate) fn legend(
    area: &Area<'_>,
    names: &[(usize, String)],
    mut x: i32,
    y: i32,
) -> Result<i32, Box<dyn std::error::Error>> {
    const SQUARE: i32 = 12;
    for (index, name) in names {
        filled(area, [(x, y - SQUARE / 2), (x + SQUARE, y + SQUARE / 2)], series(*index), 1.0)?;
        text(area, name, (x + SQUARE + 6, y), 13, TEXT.0, Align::Left)?;
        x += SQUARE + 6 + text_width(name, 13) + 18;
    }
    Ok(x)
}

/// What was measured where, in one line for below a plot.
pub(crate) fn provenance(results: &Results) -> String {
    let servers: Vec<String> =
        results.servers.iter().map(|server| format!("{} {}", server.name, server.short_version())).collect();
    format!(
        "{}; {}, {} cores, Linux {}; {}",
        servers.join(", "),
        results.host.cpu,
        results.host.cores,
        results.host.kernel.split('-').next().unwrap_or_default(),
        results.started.split('T').next().unwrap_or_default()
    )
}

/// A scale from numbers to pixels.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scale {
    pub(crate) from: f64,
    pub(crate) to: f64,
    pub(crate) first_pixel: i32,
    pub(crate) last_pixel: i32,
    pub(crate) logarithmic: bool,
}

impl Scale {
    /// Around these values, from nothing or, where the scale is logarithmic, from tick to tick.
    pub(crate) fn around(values: &[f64], logarithmic: bool, first_pixel: i32, last_pixel: i32) -> Scale {
        let low = values.iter().copied().fold(f64::INFINITY, f64::min);
        let high = values.iter().copied().fold(0.0, f64::max);
        let (from, to) = if logarithmic {
            let low = if low.is_finite() && low > 0.0 { low } else { 1.0 };
            (tick_below(low), tick_above((high.max(low) * 1.001).max(tick_below(low) * 1.01)))
        } else {
            (0.0, if high > 0.0 { high * 1.08 } else { 1.0 })
        };
        Scale { from, to, first_pixel, last_pixel, logarithmic }
    }

    pub(crate) fn pixel(self, value: f64) -> i32 {
        let part = if self.logarithmic {
            (value.max(self.from).ln() - self.from.ln()) / (self.to.ln() - self.from.ln()).max(1e-9)
        } else {
            (value - self.from) / (self.to - self.from)
        };
        self.first_pixel + (f64::from(self.last_pixel - self.first_pixel) * part.clamp(0.0, 1.0)).round() as i32
    }

    /// Where lines are drawn: 1, 2 and 5 times powers of ten, or even steps.
    pub(crate) fn ticks(self) -> Vec<f64> {
        const TICKS_MAX: usize = 8;
        if !self.logarithmic {
            let rough = (self.to - self.from) / 5.0;
            let step = tick_above(rough);
            let count = ((self.to - self.from) / step + 1e-9) as usize;
            return (0..=count).map(|index| self.from + step * index as f64).collect();
        }
        let mut ticks = Vec::new();
        let mut tick = self.from;
        while tick <= self.to * 1.0001 {
            ticks.push(tick);
            tick = tick_above(tick * 1.01);
        }
        if ticks.len() > TICKS_MAX {
            ticks.retain(|tick| (tick.log10() - tick.log10().round()).abs() < 1e-6);
        }
        ticks
    }
}

/// The nearest 1, 2 or 5 times a power of ten that is not below.
fn tick_above(value: f64) -> f64 {
    let power = 10f64.powf(value.log10().floor());
    let steps = [1.0, 2.0, 5.0, 10.0];
    let step = steps.into_iter().find(|step| step * power >= value * 0.9999).unwrap_or(10.0);
    step * power
}

fn tick_below(value: f64) -> f64 {
    let power = 10f64.powf(value.log10().floor());
    let steps = [5.0, 2.0, 1.0];
    let step = steps.into_iter().find(|step| step * power <= value * 1.0001).unwrap_or(1.0);
    step * power
}

/// A number in few characters: 1500 is 1.5k.
pub(crate) fn short(value: f64) -> String {
    let (value, suffix) = match value {
        _ if value >= 1e6 => (value / 1e6, "M"),
        _ if value >= 1e3 => (value / 1e3, "k"),
        _ => (value, ""),
    };
    let text = match value {
        _ if value >= 100.0 => format!("{value:.0}"),
        _ if value >= 10.0 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    };
    let text = if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { text.as_str() };
    format!("{text}{suffix}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scales_reach_from_edge_to_edge() {
        let scale = Scale::around(&[30.0, 4000.0], true, 100, 500);
        assert_eq!((scale.from, scale.to), (20.0, 5000.0));
        assert_eq!((scale.pixel(20.0), scale.pixel(5000.0), scale.pixel(9e9)), (100, 500, 500));
        assert_eq!(scale.pixel(0.0), 100);
        let scale = Scale::around(&[0.5, 2.0], false, 500, 100);
        assert_eq!(scale.pixel(0.0), 500);
        assert_eq!(scale.ticks()[1], 0.5);
        let flat = Scale::around(&[5.0], true, 0, 10);
        assert_eq!((flat.from, flat.to), (5.0, 10.0));
    }

    #[test]
    fn ticks_are_few_and_round() {
        let ticks = Scale { from: 20.0, to: 5000.0, first_pixel: 0, last_pixel: 1, logarithmic: true }.ticks();
        let texts: Vec<String> = ticks.iter().map(|tick| short(*tick)).collect();
        assert_eq!(texts, ["20", "50", "100", "200", "500", "1k", "2k", "5k"]);
        let ticks = Scale { from: 1.0, to: 1e6, first_pixel: 0, last_pixel: 1, logarithmic: true }.ticks();
        assert_eq!(ticks.len(), 7);
    }

    #[test]
    fn numbers_are_short() {
        let texts: Vec<String> = [0.05, 0.5, 12.34, 999.6, 1500.0, 2e6].iter().map(|value| short(*value)).collect();
        assert_eq!(texts, ["0.05", "0.5", "12.3", "1000", "1.5k", "2M"]);
    }

    #[test]
    fn every_colour_has_a_dark_one() {
        let svg = svg("a <b>", (100, 100), |area| {
            line(area, vec![(0, 0), (1, 1)], series(3), 1)?;
            text(area, "x & y", (1, 1), 12, TEXT.0, Align::Left)
        })
        .unwrap();
        assert!(svg.contains("<title>a &lt;b&gt;</title>") && svg.contains("role=\"img\""));
        for part in svg.split("fill=\"#").skip(1).chain(svg.split("stroke=\"#").skip(1)) {
            let color = &part[..6];
            assert!(style_block().contains(color), "{color}");
        }
    }
}
