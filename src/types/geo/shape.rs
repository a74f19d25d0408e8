//! Which places are in an area.
//!
//! Most places of the cells that cover an area are not, and to tell that takes no sine: each has a polynomial
//! below it, and the haversine formula made of these gives a distance that is never too large. What is near
//! enough by that is judged by the formula itself.

use super::{EARTH_RADIUS_METERS, Point, radians};

/// The form of an area, in the client's unit.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Shape {
    Circle { radius: f64 },
    Rectangle { width: f64, height: f64 },
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Area {
    pub center: Point,
    pub shape: Shape,
    /// Meters of the client's unit.
    pub unit_meters: f64,
}

impl Area {
    /// Meters from the center to the farthest place.
    pub(super) fn reach_meters(&self) -> f64 {
        self.unit_meters
            * match self.shape {
                Shape::Circle { radius } => radius,
                Shape::Rectangle { width, height } => {
                    ((width / 2.0) * (width / 2.0) + (height / 2.0) * (height / 2.0)).sqrt()
                }
            }
    }
}

/// What is the same for all places that are compared with an area.
pub(super) struct Judge {
    center: Point,
    longitude: f64,
    latitude: f64,
    cos_latitude: f64,
    limits: Limits,
}

enum Limits {
    Circle { radius: f64, square_max: f64 },
    Rectangle { half_width: f64, half_height: f64, square_max: f64 },
}

impl Judge {
    pub(super) fn new(area: &Area) -> Judge {
        let latitude = radians(area.center.latitude);
        let limits = match area.shape {
            Shape::Circle { radius } => {
                let radius = radius * area.unit_meters;
                Limits::Circle { radius, square_max: square_max(radius) }
            }
            Shape::Rectangle { width, height } => {
                let half_width = width * area.unit_meters / 2.0;
                let half_height = height * area.unit_meters / 2.0;
                Limits::Rectangle { half_width, half_height, square_max: square_max(half_width) }
            }
        };
        let longitude = radians(area.center.longitude);
        Judge { center: area.center, longitude, latitude, cos_latitude: latitude.cos(), limits }
    }

    /// The distance from the center in meters, if the place is in the area.
    #[inline]
    pub(super) fn distance(&self, point: Point) -> Option<f64> {
        let latitude = radians(point.latitude);
        let across = sin_square_min((radians(point.longitude) - self.longitude) / 2.0);
        match self.limits {
            Limits::Circle { radius, square_max } => {
                let along = sin_square_min((latitude - self.latitude) / 2.0);
                if along + self.cos_latitude * cos_min(latitude) * across > square_max {
                    return None;
                }
                let distance = self.center.distance_with(self.cos_latitude, point);
                (distance <= radius).then_some(distance)
            }
            Limits::Rectangle { half_width, half_height, square_max } => {
                if point.latitude_distance(self.center) > half_height {
                    return None;
                }
                let cos = cos_min(latitude);
                if cos * cos * across > square_max {
                    return None;
                }
                let same_latitude = Point { longitude: self.center.longitude, latitude: point.latitude };
                let inside = point.distance(same_latitude) <= half_width;
                inside.then(|| self.center.distance_with(self.cos_latitude, point))
            }
        }
    }
}

/// The square of the sine of half the angle of a distance, with room for what rounding does; infinite where no
/// place is farther.
fn square_max(meters: f64) -> f64 {
    let half_angle = meters / (2.0 * EARTH_RADIUS_METERS);
    if half_angle >= std::f64::consts::FRAC_PI_2 {
        return f64::INFINITY;
    }
    half_angle.sin().powi(2) * (1.0 + 1e-9) + f64::MIN_POSITIVE
}

/// Not above sin² x: its series up to a term below zero.
#[inline(always)]
fn sin_square_min(x: f64) -> f64 {
    let square = x * x;
    (square - square * square * (1.0 / 3.0)).max(0.0)
}

/// Not above cos x, nor below zero: its series up to a term below zero.
#[inline(always)]
fn cos_min(x: f64) -> f64 {
    let square = x * x;
    (1.0 - square * (0.5 - square * (1.0 / 24.0 - square * (1.0 / 720.0)))).max(0.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn the_polynomials_are_below_and_close(x in -3.2..3.2f64) {
            prop_assert!(sin_square_min(x) <= x.sin().powi(2) + 1e-15);
            let latitude = x * 0.464;
            prop_assert!(cos_min(latitude) <= latitude.cos() + 1e-15);
            if x.abs() < 0.3 {
                prop_assert!(x.sin().powi(2) - sin_square_min(x) < 0.001 * x.powi(2));
            }
        }

        #[test]
        fn nothing_near_enough_is_passed_over(
            center in (-180.0..180.0f64, -85.0..85.0f64), exponent in 0.0..7.4f64, width in 0.0..1.0f64,
            places in prop::collection::vec((-1.5..1.5f64, -1.5..1.5f64), 40),
        ) {
            let reach = 10f64.powf(exponent);
            let center = Point { longitude: center.0, latitude: center.1 };
            let circle = Area { center, shape: Shape::Circle { radius: reach }, unit_meters: 1.0 };
            let shape = Shape::Rectangle { width: reach * 2.0 * width, height: reach };
            let rectangle = Area { center, shape, unit_meters: 1.0 };
            let (in_circle, in_rectangle) = (Judge::new(&circle), Judge::new(&rectangle));
            for (east, north) in places {
                let degrees = reach / 111_000.0;
                let longitude = center.longitude + east * degrees / radians(center.latitude).cos();
                let latitude = (center.latitude + north * degrees).clamp(-85.05, 85.05);
                let point = Point { longitude: (longitude + 540.0).rem_euclid(360.0) - 180.0, latitude };
                let distance = center.distance(point);
                prop_assert_eq!(in_circle.distance(point), (distance <= reach).then_some(distance));
                let across = point.distance(Point { longitude: center.longitude, latitude });
                let inside = point.latitude_distance(center) <= reach / 2.0 && across <= reach * width;
                prop_assert_eq!(in_rectangle.distance(point), inside.then_some(distance));
            }
        }
    }
}
