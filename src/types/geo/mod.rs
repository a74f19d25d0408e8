//! Places on the earth as scores of a sorted set.
//!
//! Longitude and latitude are each cut into 2^26 steps, and their bits interleaved: 52 bits, which a score holds
//! exactly. The first 2n bits of all places in a cell of the grid with 2^n by 2^n cells are the same, so that a
//! cell is a range of scores, and an area is a few cells (`cover.rs`) of which each place is then judged
//! (`shape.rs`).
//!
//! ```text
//!   longitude  x25 x24 …            ┌────┬────┐
//!   latitude     y25 y24 …          │ 01 │ 11 │
//!   score      x25 y25 x24 y24 …    ├────┼────┤    the first two bits
//!                                   │ 00 │ 10 │
//!                                   └────┴────┘
//! ```
//!
//! Every formula has the operations of Redis in their order, so that results are the same to the last digit: the
//! ranges of EPSG:3857, which leaves the poles out, and the haversine formula on a sphere with the quadratic
//! mean radius of WGS 84.

mod cover;
mod search;
mod shape;
#[cfg(test)]
mod tests;

pub use search::{Found, Order, arrange, search};
pub use shape::{Area, Shape};

pub const LONGITUDE_MAX: f64 = 180.0;
pub const LATITUDE_MAX: f64 = 85.051_128_78;

/// Steps, as a power of two, that longitude and latitude are cut into.
const STEPS: u32 = 26;

const EARTH_RADIUS_METERS: f64 = 6_372_797.560_856;
const RADIANS_PER_DEGREE: f64 = std::f64::consts::PI / 180.0;

/// A place, in degrees.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Point {
    pub longitude: f64,
    pub latitude: f64,
}

impl Point {
    /// None if it lies out of the ranges that scores have.
    pub fn new(longitude: f64, latitude: f64) -> Option<Point> {
        let inside = longitude.abs() <= LONGITUDE_MAX && latitude.abs() <= LATITUDE_MAX;
        inside.then_some(Point { longitude, latitude })
    }

    pub fn score(self) -> f64 {
        Cell::around(self, STEPS, LATITUDE_MAX).bits as f64
    }

    /// The middle of what has this score, wherever the score comes from.
    #[inline]
    pub fn of_score(score: f64) -> Point {
        let (min, max) = Cell { bits: bits_of(score), steps: STEPS }.corners();
        Point {
            longitude: ((min.longitude + max.longitude) / 2.0).clamp(-LONGITUDE_MAX, LONGITUDE_MAX),
            latitude: ((min.latitude + max.latitude) / 2.0).clamp(-LATITUDE_MAX, LATITUDE_MAX),
        }
    }

    /// Meters to another place.
    pub fn distance(self, other: Point) -> f64 {
        self.distance_with(radians(self.latitude).cos(), other)
    }

    /// The same, where the cosine of this place's latitude is known.
    fn distance_with(self, cos_latitude: f64, other: Point) -> f64 {
        let half_longitude = (radians(other.longitude) - radians(self.longitude)) / 2.0;
        let sin_longitude = half_longitude.sin();
        if sin_longitude == 0.0 {
            return self.latitude_distance(other);
        }
        let (latitude, other_latitude) = (radians(self.latitude), radians(other.latitude));
        let sin_latitude = ((other_latitude - latitude) / 2.0).sin();
        let square =
            sin_latitude * sin_latitude + cos_latitude * other_latitude.cos() * sin_longitude * sin_longitude;
        // Opposite places may come out a little above 1.
        2.0 * EARTH_RADIUS_METERS * square.min(1.0).sqrt().asin()
    }

    /// Meters to the parallel of another place.
    fn latitude_distance(self, other: Point) -> f64 {
        EARTH_RADIUS_METERS * (radians(other.latitude) - radians(self.latitude)).abs()
    }

    /// The eleven characters of the geohash that is known elsewhere, of which the last is always 0. Its latitudes
    /// go to the poles.
    pub fn geohash(self) -> [u8; 11] {
        const ALPHABET: &[u8; 32] = b"0123456789bcdefghjkmnpqrstuvwxyz";
        let bits = Cell::around(self, STEPS, 90.0).bits;
        std::array::from_fn(|index| match index {
            10 => ALPHABET[0],
            _ => ALPHABET[(bits >> (52 - (index + 1) * 5) & 0x1F) as usize],
        })
    }
}

fn radians(degrees: f64) -> f64 {
    degrees * RADIANS_PER_DEGREE
}

fn degrees(radians: f64) -> f64 {
    radians / RADIANS_PER_DEGREE
}

/// The bits of a score as a processor makes them of any number.
fn bits_of(score: f64) -> u64 {
    const HALF: f64 = (1u64 << 63) as f64;
    match score {
        _ if score < HALF => score as i64 as u64,
        _ if score < 2.0 * HALF => score as u64,
        _ => 0,
    }
}

/// A cell of the grid with 2^steps by 2^steps cells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Cell {
    bits: u64,
    steps: u32,
}

impl Cell {
    /// The cell that a place is in, latitudes reaching to `latitude_max`. At the upper ends of the ranges it lies
    /// just outside of the grid.
    fn around(point: Point, steps: u32, latitude_max: f64) -> Cell {
        let cells = (1u64 << steps) as f64;
        let offset = |value: f64, max: f64| ((value + max) / (max + max) * cells) as u32;
        let (x, y) = (offset(point.longitude, LONGITUDE_MAX), offset(point.latitude, latitude_max));
        Cell { bits: interleave(x, y), steps }
    }

    /// The lower left and the upper right corner.
    #[inline]
    fn corners(self) -> (Point, Point) {
        let cells = (1u64 << self.steps) as f64;
        let (x, y) = deinterleave(self.bits);
        let at = |step: u32, max: f64| -max + (step as f64 / cells) * (max + max);
        let corner = |x, y| Point { longitude: at(x, LONGITUDE_MAX), latitude: at(y, LATITUDE_MAX) };
        (corner(x, y), corner(x.wrapping_add(1), y.wrapping_add(1)))
    }

    /// The cell so many columns to the east and rows to the north, around the edges of the grid.
    fn moved(self, east: i32, north: i32) -> Cell {
        let (x, y) = deinterleave(self.bits);
        let moved = |step: u32, by: i32| match by {
            0 => step,
            _ => step.wrapping_add_signed(by) & ((1 << self.steps) - 1),
        };
        Cell { bits: interleave(moved(x, east), moved(y, north)), ..self }
    }

    /// The scores of the places in it: from the first, below the second.
    fn scores(self) -> (f64, f64) {
        let shift = 2 * (STEPS - self.steps);
        ((self.bits << shift) as f64, ((self.bits + 1) << shift) as f64)
    }
}

/// The bits of `y` in the even places, and of `x` in the odd ones.
fn interleave(x: u32, y: u32) -> u64 {
    spread(y) | spread(x) << 1
}

/// The opposite of [`interleave`].
#[inline]
fn deinterleave(bits: u64) -> (u32, u32) {
    (gather(bits >> 1), gather(bits))
}

/// Moves bit n to bit 2n, by halving the pieces that move together.
fn spread(bits: u32) -> u64 {
    let mut bits = bits as u64;
    for (shift, mask) in [
        (16, 0x0000_FFFF_0000_FFFF),
        (8, 0x00FF_00FF_00FF_00FF),
        (4, 0x0F0F_0F0F_0F0F_0F0F),
        (2, 0x3333_3333_3333_3333),
        (1, 0x5555_5555_5555_5555),
    ] {
        bits = (bits | bits << shift) & mask;
    }
    bits
}

/// The opposite of [`spread`]; what is in the odd places is let go.
#[inline(always)]
fn gather(bits: u64) -> u32 {
    let mut bits = bits & 0x5555_5555_5555_5555;
    for (shift, mask) in [
        (1, 0x3333_3333_3333_3333),
        (2, 0x0F0F_0F0F_0F0F_0F0F),
        (4, 0x00FF_00FF_00FF_00FF),
        (8, 0x0000_FFFF_0000_FFFF),
        (16, 0x0000_0000_FFFF_FFFF),
    ] {
        bits = (bits | bits >> shift) & mask;
    }
    bits as u32
}
