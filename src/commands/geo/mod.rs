//! The commands of the `geo` group: sorted sets whose scores stand for places. Main thread.

#![forbid(unsafe_code)]

mod add;
mod radius;
mod read;
mod search;
mod specs;

use crate::base::float::parse_f64;
use crate::base::geohash::Point;
use crate::command::error::{CommandError, NOT_A_FLOAT};
use crate::command::spec::Command;
use crate::resp::reply::Reply;

/// Commands of this group.
pub static COMMANDS: &[&Command] = &[
    &add::GEOADD,
    &read::GEODIST,
    &read::GEOHASH,
    &read::GEOPOS,
    &specs::GEORADIUS,
    &specs::GEORADIUSBYMEMBER,
    &specs::GEORADIUSBYMEMBER_RO,
    &specs::GEORADIUS_RO,
    &specs::GEOSEARCH,
    &specs::GEOSEARCHSTORE,
];

const UNKNOWN_UNIT: CommandError = CommandError::fixed("unsupported unit provided. please use M, KM, FT, MI");

/// Meters in a unit.
fn unit(word: &[u8]) -> Result<f64, CommandError> {
    const UNITS: [(&str, f64); 4] = [("m", 1.0), ("km", 1000.0), ("ft", 0.3048), ("mi", 1609.34)];
    let known = UNITS.into_iter().find(|(name, _)| word.eq_ignore_ascii_case(name.as_bytes()));
    known.map(|(_, meters)| meters).ok_or(UNKNOWN_UNIT)
}

/// A place from its two arguments.
fn point(lon: &[u8], lat: &[u8]) -> Result<Point, CommandError> {
    let number = |text| parse_f64(text).ok_or(NOT_A_FLOAT);
    let point = Point { lon: number(lon)?, lat: number(lat)? };
    if point.is_valid() {
        return Ok(point);
    }
    Err(CommandError::filled(format!("invalid longitude,latitude pair {:.6},{:.6}", point.lon, point.lat)))
}

/// Four decimals, whatever the protocol: rounded as a whole number of ten-thousandths.
fn reply_distance(reply: &mut Reply, distance: f64) {
    const PARTS: i64 = 10_000;
    let parts = (distance * PARTS as f64).round_ties_even() as i64;
    reply.bulk(format!("{}.{:04}", parts / PARTS, parts % PARTS).as_bytes());
}

fn reply_point(reply: &mut Reply, point: Point) {
    reply.array(2);
    reply.double(point.lon);
    reply.double(point.lat);
}

#[cfg(test)]
mod tests;
