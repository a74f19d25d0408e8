//! The cells that an area lies in: the one around its middle and those around that, of a grid that is as fine as
//! it can be for the nine to be enough.

use super::shape::Area;
use super::{Cell, LATITUDE_MAX, LONGITUDE_MAX, Point, STEPS, degrees, radians};
use super::{EARTH_RADIUS_METERS, shape::Shape};

/// Half the length of the equator in the projection, a little less: where an area ends to be smaller than a grid.
const HALF_EQUATOR_METERS: f64 = 20_037_726.37;

/// The cells around the middle one, in the order in which they are searched: east and north.
const AROUND: [(i32, i32); 8] = [(0, 1), (0, -1), (1, 0), (-1, 0), (1, 1), (-1, 1), (1, -1), (-1, -1)];

/// Visits the ranges of scores that cover an area, until `visit` returns false: from the first score, below the
/// second.
pub(super) fn ranges(area: &Area, mut visit: impl FnMut(f64, f64) -> bool) {
    let (middle, around) = cells(area);
    let mut last: Option<Cell> = None;
    let (min, max) = middle.scores();
    if !visit(min, max) {
        return;
    }
    for cell in around.into_iter().flatten() {
        // In a grid of two by two, neighbours on either side are the same cell. Only those in a row are seen to
        // be, so that huge areas may have an element twice; that is how Redis has it.
        if last == Some(cell) {
            continue;
        }
        let (min, max) = cell.scores();
        if !visit(min, max) {
            return;
        }
        last = Some(cell);
    }
}

/// The middle cell, and of those around it the ones that the area reaches.
fn cells(area: &Area) -> (Cell, [Option<Cell>; 8]) {
    let (low, high) = bounds(area);
    let mut steps = steps_for(area.reach_meters(), area.center.latitude);
    let at = |steps| Cell::around(area.center, steps, LATITUDE_MAX);
    if steps > 1 && !reaches(at(steps), low, high) {
        steps -= 1;
    }
    let middle = at(steps);
    let mut around = AROUND.map(|(east, north)| Some(middle.moved(east, north)));
    if steps >= 2 {
        let (own_low, own_high) = middle.corners();
        for (cell, (east, north)) in around.iter_mut().zip(AROUND) {
            let beyond = north < 0 && own_low.latitude < low.latitude
                || north > 0 && own_high.latitude > high.latitude
                || east < 0 && own_low.longitude < low.longitude
                || east > 0 && own_high.longitude > high.longitude;
            if beyond {
                *cell = None;
            }
        }
    }
    (middle, around)
}

/// Whether the cells around this one reach as far as the area.
fn reaches(cell: Cell, low: Point, high: Point) -> bool {
    let corners = |east, north| cell.moved(east, north).corners();
    let too_short = corners(0, 1).1.latitude < high.latitude
        || corners(0, -1).0.latitude > low.latitude
        || corners(1, 0).1.longitude < high.longitude
        || corners(-1, 0).0.longitude > low.longitude;
    !too_short
}

/// How fine a grid may be for an area that reaches so far.
fn steps_for(mut reach_meters: f64, latitude: f64) -> u32 {
    if reach_meters == 0.0 {
        return STEPS;
    }
    let mut steps = 1;
    while reach_meters < HALF_EQUATOR_METERS {
        reach_meters *= 2.0;
        steps += 1;
    }
    // Two less, so that nine cells are enough mostly; fewer towards the poles, where they are narrow.
    steps -= 2;
    steps -= i32::from(latitude.abs() > 66.0) + i32::from(latitude.abs() > 80.0);
    steps.clamp(1, STEPS as i32) as u32
}

/// The lower left and the upper right corner of what the area lies in, which may be beyond all ranges.
fn bounds(area: &Area) -> (Point, Point) {
    let Point { longitude, latitude } = area.center;
    let (width, height) = match area.shape {
        Shape::Circle { radius } => (radius, radius),
        Shape::Rectangle { width, height } => (width / 2.0, height / 2.0),
    };
    let (width, height) = (area.unit_meters * width, area.unit_meters * height);
    let latitude_delta = degrees(height / EARTH_RADIUS_METERS);
    let longitude_delta = |latitude: f64| degrees(width / EARTH_RADIUS_METERS / radians(latitude).cos());
    // The side that is nearer to the equator is the one that shows more, but for the sign: Redis's choice.
    let longitude_delta = match latitude < 0.0 {
        true => longitude_delta(latitude - latitude_delta),
        false => longitude_delta(latitude + latitude_delta),
    };
    debug_assert!(longitude.abs() <= LONGITUDE_MAX);
    (
        Point { longitude: longitude - longitude_delta, latitude: latitude - latitude_delta },
        Point { longitude: longitude + longitude_delta, latitude: latitude + latitude_delta },
    )
}
