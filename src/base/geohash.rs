//! Places on the globe as numbers: cells whose two coordinates are interleaved bit by bit, their neighbours, and
//! distances on a sphere. The formulas are evaluated in the order that gives Redis' digits. Pure; any thread.
//!
//! ```text
//!   bits of a cell    ... lon 1, lat 1, lon 0, lat 0        2 * steps of them
//! ```

#![forbid(unsafe_code)]

use std::f64::consts::PI;

/// Halvings of each coordinate in a score: 52 bits, which a double holds exactly.
pub const STEPS_MAX: u32 = 26;
/// The most degrees east or west.
pub const LON_MAX: f64 = 180.0;
/// The most degrees north or south, where a square map of the globe ends (EPSG:900913).
pub const LAT_MAX: f64 = 85.051_128_78;
/// Degrees to the poles, which the text of a geohash counts from.
const LAT_POLE: f64 = 90.0;
/// Radius of the sphere in meters.
const EARTH_RADIUS_M: f64 = 6_372_797.560_856;
/// Half of the equator on the square map, in meters.
const MERCATOR_MAX_M: f64 = 20_037_726.37;
const RADIANS_IN_DEGREE: f64 = PI / 180.0;
/// What the digits of a geohash's text stand for.
const DIGITS: &[u8; 32] = b"0123456789bcdefghjkmnpqrstuvwxyz";
/// Letters of a geohash's text.
pub const TEXT_LEN: usize = 11;

/// A place in degrees.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Point {
    /// East of Greenwich.
    pub lon: f64,
    /// North of the equator.
    pub lat: f64,
}

impl Point {
    /// Whether it lies on the map.
    pub fn is_valid(self) -> bool {
        self.lon.abs() <= LON_MAX && self.lat.abs() <= LAT_MAX
    }

    /// The score that stands for the place.
    pub fn score(self) -> f64 {
        Cell::at(self, LAT_MAX, STEPS_MAX).bits() as f64
    }

    /// The middle of the cell that a score stands for.
    pub fn of_score(score: f64) -> Point {
        let area = Cell::of_bits(bits_of_score(score), STEPS_MAX).area();
        let middle = |min: f64, max: f64, limit: f64| ((min + max) / 2.0).clamp(-limit, limit);
        Point { lon: middle(area.west, area.east, LON_MAX), lat: middle(area.south, area.north, LAT_MAX) }
    }

    /// Meters from here to there, along the sphere.
    pub fn distance_m(self, other: Point) -> f64 {
        let half_lon = ((other.lon * RADIANS_IN_DEGREE - self.lon * RADIANS_IN_DEGREE) / 2.0).sin();
        if half_lon == 0.0 {
            return lat_distance_m(self.lat, other.lat);
        }
        let (lat, other_lat) = (self.lat * RADIANS_IN_DEGREE, other.lat * RADIANS_IN_DEGREE);
        let half_lat = ((other_lat - lat) / 2.0).sin();
        let chord = half_lat * half_lat + lat.cos() * other_lat.cos() * half_lon * half_lon;
        2.0 * EARTH_RADIUS_M * chord.sqrt().asin()
    }

    /// The text of a geohash as geohash.org has it.
    pub fn text(self) -> [u8; TEXT_LEN] {
        let bits = Cell::at(self, LAT_POLE, STEPS_MAX).bits();
        let mut text = [DIGITS[0]; TEXT_LEN];
        // 52 bits fill ten letters; the last one stays a zero.
        for (index, letter) in text[..TEXT_LEN - 1].iter_mut().enumerate() {
            *letter = DIGITS[(bits >> (52 - 5 * (index + 1))) as usize & 31];
        }
        text
    }
}

/// Meters between two parallels.
fn lat_distance_m(lat: f64, other: f64) -> f64 {
    EARTH_RADIUS_M * (other * RADIANS_IN_DEGREE - lat * RADIANS_IN_DEGREE).abs()
}

/// The bits of a score. Sorted sets hold any number: others become what x86 makes of them.
fn bits_of_score(score: f64) -> u64 {
    const TOP: u64 = 1 << 63;
    const TOP_AS_F64: f64 = TOP as f64;
    let signed = |value: f64| if (-TOP_AS_F64..TOP_AS_F64).contains(&value) { value as i64 as u64 } else { TOP };
    if score < TOP_AS_F64 { signed(score) } else { signed(score - TOP_AS_F64) ^ TOP }
}

/// The low 32 bits, moved to the even places.
fn spread(bits: u32) -> u64 {
    let mut bits = u64::from(bits);
    for (shift, mask) in [
        (16, 0x0000_ffff_0000_ffff),
        (8, 0x00ff_00ff_00ff_00ff),
        (4, 0x0f0f_0f0f_0f0f_0f0f),
        (2, 0x3333_3333_3333_3333),
        (1, 0x5555_5555_5555_5555),
    ] {
        bits = (bits | (bits << shift)) & mask;
    }
    bits
}

/// The bits at the even places.
fn gather(bits: u64) -> u32 {
    let mut bits = bits & 0x5555_5555_5555_5555;
    for (shift, mask) in [
        (1, 0x3333_3333_3333_3333),
        (2, 0x0f0f_0f0f_0f0f_0f0f),
        (4, 0x00ff_00ff_00ff_00ff),
        (8, 0x0000_ffff_0000_ffff),
        (16, 0x0000_0000_ffff_ffff),
    ] {
        bits = (bits | (bits >> shift)) & mask;
    }
    bits as u32
}

/// Edges in degrees.
#[derive(Clone, Copy, Debug)]
pub struct Area {
    /// The least longitude.
    pub west: f64,
    /// The greatest longitude.
    pub east: f64,
    /// The least latitude.
    pub south: f64,
    /// The greatest latitude.
    pub north: f64,
}

/// A cell of the map when each coordinate is halved `steps` times.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cell {
    lon: u32,
    lat: u32,
    steps: u32,
}

impl Cell {
    /// The cell that a place on the map lies in.
    fn at(point: Point, lat_max: f64, steps: u32) -> Cell {
        let index = |value: f64, max: f64| ((value + max) / (2.0 * max) * f64::from(1u32 << steps)) as u32;
        Cell { lon: index(point.lon, LON_MAX), lat: index(point.lat, lat_max), steps }
    }

    fn of_bits(bits: u64, steps: u32) -> Cell {
        Cell { lon: gather(bits >> 1), lat: gather(bits), steps }
    }

    fn bits(self) -> u64 {
        spread(self.lat) | (spread(self.lon) << 1)
    }

    /// The scores of the places in it, the second one excluded.
    pub fn scores(self) -> (f64, f64) {
        let score = |bits: u64| (bits << (52 - 2 * self.steps)) as f64;
        (score(self.bits()), score(self.bits() + 1))
    }

    fn area(self) -> Area {
        let edge = |index: u32, max: f64| -max + f64::from(index) / f64::from(1u32 << self.steps) * (max + max);
        Area {
            west: edge(self.lon, LON_MAX),
            east: edge(self.lon.wrapping_add(1), LON_MAX),
            south: edge(self.lat, LAT_MAX),
            north: edge(self.lat.wrapping_add(1), LAT_MAX),
        }
    }

    /// The cell so many further; the map has no edges here.
    fn neighbor(self, east: i32, north: i32) -> Cell {
        let step = |index: u32, by: i32| match by {
            0 => index,
            by => index.wrapping_add_signed(by) & ((1 << self.steps) - 1),
        };
        Cell { lon: step(self.lon, east), lat: step(self.lat, north), ..self }
    }
}

/// What lies around a place.
#[derive(Clone, Copy, Debug)]
pub enum Extent {
    /// Everything within so many meters.
    Circle {
        #[allow(missing_docs)]
        radius_m: f64,
    },
    /// A rectangle with its middle at the place.
    Box {
        #[allow(missing_docs)]
        width_m: f64,
        #[allow(missing_docs)]
        height_m: f64,
    },
}

/// A part of the map.
#[derive(Clone, Copy, Debug)]
pub struct Region {
    /// Its middle.
    pub center: Point,
    /// What belongs to it.
    pub extent: Extent,
}

impl Region {
    /// Meters from the middle to a place of the region; None for one outside.
    pub fn distance_m(&self, point: Point) -> Option<f64> {
        match self.extent {
            Extent::Circle { radius_m } => {
                let distance_m = self.center.distance_m(point);
                // One that is not a number, as of places that lie opposite, is not too far.
                if distance_m > radius_m { None } else { Some(distance_m) }
            }
            Extent::Box { width_m, height_m } => {
                if lat_distance_m(point.lat, self.center.lat) > height_m / 2.0 {
                    return None;
                }
                let along = Point { lon: self.center.lon, lat: point.lat };
                if point.distance_m(along) > width_m / 2.0 { None } else { Some(self.center.distance_m(point)) }
            }
        }
    }

    /// Edges that enclose the region, as long as it is small beside the globe.
    fn bounds(&self) -> Area {
        let (half_width_m, half_height_m) = match self.extent {
            Extent::Circle { radius_m } => (radius_m, radius_m),
            Extent::Box { width_m, height_m } => (width_m / 2.0, height_m / 2.0),
        };
        let Point { lon, lat } = self.center;
        let lat_delta = half_height_m / EARTH_RADIUS_M / RADIANS_IN_DEGREE;
        // A degree of longitude is shortest at the edge that is nearer to a pole.
        let edge = if lat < 0.0 { lat - lat_delta } else { lat + lat_delta };
        let lon_delta = half_width_m / EARTH_RADIUS_M / (edge * RADIANS_IN_DEGREE).cos() / RADIANS_IN_DEGREE;
        Area { west: lon - lon_delta, east: lon + lon_delta, south: lat - lat_delta, north: lat + lat_delta }
    }

    /// How often the map is to be halved, so that the region lies in a cell and its neighbours.
    fn steps(&self) -> u32 {
        let mut radius_m = match self.extent {
            Extent::Circle { radius_m } => radius_m,
            Extent::Box { width_m, height_m } => {
                ((width_m / 2.0) * (width_m / 2.0) + (height_m / 2.0) * (height_m / 2.0)).sqrt()
            }
        };
        if radius_m == 0.0 {
            return STEPS_MAX;
        }
        let mut steps = 1i32;
        while radius_m < MERCATOR_MAX_M && steps < 2 * STEPS_MAX as i32 {
            radius_m *= 2.0;
            steps += 1;
        }
        // Two less, for the region may lie at an edge of its cell. Towards the poles cells are narrower.
        steps -= 2;
        let lat = self.center.lat.abs();
        steps -= i32::from(lat > 66.0) + i32::from(lat > 80.0);
        steps.clamp(1, STEPS_MAX as i32) as u32
    }

    /// The cells in which places of the region lie, in the order in which Redis goes through them: the middle, then
    /// north, south, east, west, north-east, north-west, south-east, south-west. Some may come twice on a coarse map.
    pub fn cells(&self) -> impl Iterator<Item = Cell> + use<> {
        const NEIGHBORS: [(i32, i32); 9] =
            [(0, 0), (0, 1), (0, -1), (1, 0), (-1, 0), (1, 1), (-1, 1), (1, -1), (-1, -1)];
        let bounds = self.bounds();
        let mut steps = self.steps();
        let mut middle = Cell::at(self.center, LAT_MAX, steps);
        let reaches_further = middle.neighbor(0, 1).area().north < bounds.north
            || middle.neighbor(0, -1).area().south > bounds.south
            || middle.neighbor(1, 0).area().east < bounds.east
            || middle.neighbor(-1, 0).area().west > bounds.west;
        if steps > 1 && reaches_further {
            steps -= 1;
            middle = Cell::at(self.center, LAT_MAX, steps);
        }
        let area = middle.area();
        NEIGHBORS
            .into_iter()
            .filter(move |&(east, north)| {
                let outside = (north < 0 && area.south < bounds.south)
                    || (north > 0 && area.north > bounds.north)
                    || (east < 0 && area.west < bounds.west)
                    || (east > 0 && area.east > bounds.east);
                steps < 2 || !outside
            })
            .map(move |(east, north)| middle.neighbor(east, north))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn scores_that_are_no_places_are_what_x86_makes_of_them() {
        for (score, bits) in [
            (1.5, 1),
            (-1.0, u64::MAX),
            (f64::INFINITY, 0),
            (f64::NEG_INFINITY, 1 << 63),
            (1e300, 0),
            (9_223_372_036_854_775_808.0, 1 << 63),
        ] {
            assert_eq!(bits_of_score(score), bits, "{score}");
        }
    }

    #[test]
    fn neighbors_go_round_the_map() {
        let cell = Cell { lon: 0, lat: 3, steps: 2 };
        assert_eq!(cell.neighbor(-1, 1), Cell { lon: 3, lat: 0, steps: 2 });
        // A place on the very edge is in a cell that the map does not have.
        let edge = Cell::at(Point { lon: LON_MAX, lat: LAT_MAX }, LAT_MAX, 2);
        assert_eq!((edge.lon, edge.lat), (4, 4));
        assert_eq!(edge.neighbor(1, 0), Cell { lon: 1, lat: 4, steps: 2 });
        assert_eq!(edge.neighbor(-1, -1), Cell { lon: 3, lat: 3, steps: 2 });
    }

    proptest! {
        #[test]
        fn interleaved_bits_come_back(lon: u32, lat: u32) {
            prop_assert_eq!((gather(spread(lon)), gather(spread(lat))), (lon, lat));
            let cell = Cell { lon, lat, steps: 26 };
            prop_assert_eq!(Cell::of_bits(cell.bits(), 26), cell);
        }

        /// A place and what its score stands for are less than a cell apart: 0.6 m, at most.
        #[test]
        fn scores_stand_for_their_places(lon in -LON_MAX..LON_MAX, lat in -LAT_MAX..LAT_MAX) {
            let point = Point { lon, lat };
            let again = Point::of_score(point.score());
            prop_assert!((again.lon - lon).abs() < 360.0 / f64::from(1 << 26));
            prop_assert!((again.lat - lat).abs() < 171.0 / f64::from(1 << 26));
            prop_assert!(point.distance_m(again) < 0.6);
        }

        /// Whatever lies in a region lies in one of its cells.
        #[test]
        fn cells_cover_the_region(
            lon in -LON_MAX..LON_MAX, lat in -80.0..80.0,
            meters in 1.0f64..100_000.0, angle in 0.0..2.0 * PI, is_box: bool,
        ) {
            let extent = match is_box {
                true => Extent::Box { width_m: 2.0 * meters, height_m: 2.0 * meters },
                false => Extent::Circle { radius_m: meters },
            };
            let region = Region { center: Point { lon, lat }, extent };
            let degrees = meters / EARTH_RADIUS_M / RADIANS_IN_DEGREE;
            let point = Point {
                lon: lon + degrees * angle.cos() / (lat * RADIANS_IN_DEGREE).cos(),
                lat: lat + degrees * angle.sin(),
            };
            prop_assume!(point.is_valid());
            let point = Point::of_score(point.score());
            if region.distance_m(point).is_some() {
                let score = point.score();
                let is_in = |cell: Cell| (cell.scores().0..cell.scores().1).contains(&score);
                prop_assert!(region.cells().any(is_in), "{:?} {:?}", region, point);
            }
        }
    }
}
