//! GEOADD, GEOPOS, GEODIST and GEOHASH.

use super::super::Data;
use super::{parse_point, parse_unit};
use crate::error::CommandError;
use crate::resp::number::IntegerText;
use crate::resp::{Args, Reply};
use crate::types::SortedSet;
use crate::types::geo::Point;

/// What GEOADD is to do with members that are there and those that are not.
#[derive(Default)]
struct Options {
    only_if_missing: bool,
    only_if_present: bool,
    /// Count the members that moved, too.
    count_changed: bool,
}

impl Options {
    /// The options from argument 2 on, and where the places begin.
    fn parse(args: &Args<'_>) -> Result<(Options, usize), CommandError> {
        let mut options = Options::default();
        let mut index = 2;
        while index < args.len() {
            match () {
                _ if args.is(index, "NX") => options.only_if_missing = true,
                _ if args.is(index, "XX") => options.only_if_present = true,
                _ if args.is(index, "CH") => options.count_changed = true,
                _ => break,
            }
            index += 1;
        }
        let rest = args.len() - index;
        if rest == 0 || !rest.is_multiple_of(3) || options.only_if_missing && options.only_if_present {
            return Err(CommandError::Syntax);
        }
        Ok((options, index))
    }
}

pub(super) fn geoadd(data: &mut Data<'_>) -> Result<(), CommandError> {
    let (options, first) = Options::parse(&data.args)?;
    // All places are judged before anything changes.
    let first_point = parse_point(&data.args, first)?;
    for index in (first + 3..data.args.len()).step_by(3) {
        parse_point(&data.args, index)?;
    }
    let limits = data.keyspace.limits.sorted_set;
    let target = data.first();
    let set = if options.only_if_present {
        target.database.edit(&target.key)?
    } else {
        Some(target.database.edit_or_create(&target.key, SortedSet::new)?)
    };
    let (args, mut added, mut changed) = (target.args, 0, 0);
    if let Some(mut set) = set {
        set.change_some(|set| {
            for index in (first..args.len()).step_by(3) {
                let point = if index == first { Ok(first_point) } else { parse_point(args, index) };
                let score = point.unwrap_or(first_point).score();
                set.update(args.get(index + 2), limits, |present| {
                    let refused =
                        if present.is_some() { options.only_if_missing } else { options.only_if_present };
                    if refused {
                        return None;
                    }
                    added += usize::from(present.is_none());
                    changed += usize::from(present.is_some_and(|present| present != score));
                    Some(score)
                });
            }
            added + changed
        });
        if added + changed > 0 {
            set.notify("zadd");
        }
    }
    let count = if options.count_changed { added + changed } else { added };
    target.reply.integer(count as i64);
    Ok(())
}

/// Visits the members from argument 2 on, each with its place, if it has one.
fn for_each_member(
    data: &mut Data<'_>,
    mut write: impl FnMut(Option<Point>, &mut Reply<'_>),
) -> Result<(), CommandError> {
    let target = data.first();
    let set = target.database.find::<SortedSet>(&target.key)?;
    let args = target.args;
    target.reply.array(args.len() - 2);
    for index in 2..args.len() {
        let score = set.and_then(|set| set.score(args.get(index)));
        write(score.map(Point::of_score), target.reply);
    }
    Ok(())
}

/// A number with so many digits behind the point: its text, on the stack.
struct Fixed<const DIGITS: usize> {
    /// As many digits as the longest integer has, a sign and a point.
    text: [u8; 40],
    length: usize,
}

impl<const DIGITS: usize> Fixed<DIGITS> {
    const UNITS: u64 = 10u64.pow(DIGITS as u32);

    /// The whole part, and the rest in units of the last digit.
    fn new(negative: bool, whole: u64, mut units: u64) -> Self {
        let mut fixed = Fixed { text: [0; 40], length: 0 };
        if negative {
            fixed.push(b"-");
        }
        fixed.push(IntegerText::new(whole as i64).as_bytes());
        fixed.push(b".");
        fixed.length += DIGITS;
        for place in fixed.text[..fixed.length].iter_mut().rev().take(DIGITS) {
            *place = b'0' + (units % 10) as u8;
            units /= 10;
        }
        fixed
    }

    fn push(&mut self, bytes: &[u8]) {
        self.text[self.length..][..bytes.len()].copy_from_slice(bytes);
        self.length += bytes.len();
    }

    fn as_str(&self) -> &str {
        std::str::from_utf8(&self.text[..self.length]).unwrap_or("0")
    }
}

/// A coordinate, exactly, rounded to 17 digits behind the point.
fn coordinate_text(coordinate: f64) -> Fixed<17> {
    const MANTISSA_BITS: u32 = f64::MANTISSA_DIGITS - 1;
    /// Beyond that nothing is left of the digits.
    const SHIFT_MAX: u32 = 120;
    let bits = coordinate.to_bits();
    let exponent = (bits >> MANTISSA_BITS & 0x7FF) as i32 - 1023;
    let mantissa = bits & ((1 << MANTISSA_BITS) - 1) | 1 << MANTISSA_BITS;
    // The number is the mantissa with so many bits behind the point; no coordinate is so large that it has none.
    let shift = (MANTISSA_BITS as i32 - exponent).max(0) as u32;
    let (negative, mantissa) =
        (coordinate < 0.0, if coordinate == 0.0 || shift > SHIFT_MAX { 0 } else { mantissa });
    let shift = shift.min(SHIFT_MAX);
    let whole = (mantissa as u128 >> shift) as u64;
    let behind = mantissa as u128 & ((1 << shift) - 1);
    let scaled = behind * Fixed::<17>::UNITS as u128;
    let (mut units, rest, half) = (scaled >> shift, scaled & ((1 << shift) - 1), (1u128 << shift) / 2);
    if shift > 0 && (rest > half || rest == half && units & 1 == 1) {
        units += 1;
    }
    let carry = units == Fixed::<17>::UNITS as u128;
    Fixed::new(negative, whole + u64::from(carry), if carry { 0 } else { units as u64 })
}

/// A coordinate with 17 digits behind the point, but for zeros at the end.
fn write_coordinate(coordinate: f64, reply: &mut Reply<'_>) {
    let text = coordinate_text(coordinate);
    let digits = text.as_str().trim_end_matches('0').trim_end_matches('.');
    reply.double_text(if digits == "-0" { "0" } else { digits });
}

pub(super) fn write_point(point: Point, reply: &mut Reply<'_>) {
    reply.array(2);
    write_coordinate(point.longitude, reply);
    write_coordinate(point.latitude, reply);
}

/// A distance with four digits behind the point.
pub(super) fn write_distance(distance: f64, reply: &mut Reply<'_>) {
    let units = (distance * Fixed::<4>::UNITS as f64).round_ties_even() as u64;
    let text = Fixed::<4>::new(false, units / Fixed::<4>::UNITS, units % Fixed::<4>::UNITS);
    reply.bulk(text.as_str().as_bytes());
}

pub(super) fn geopos(data: &mut Data<'_>) -> Result<(), CommandError> {
    for_each_member(data, |point, reply| match point {
        Some(point) => write_point(point, reply),
        None => reply.null_array(),
    })
}

pub(super) fn geohash(data: &mut Data<'_>) -> Result<(), CommandError> {
    for_each_member(data, |point, reply| match point {
        Some(point) => reply.bulk(&point.geohash()),
        None => reply.null(),
    })
}

pub(super) fn geodist(data: &mut Data<'_>) -> Result<(), CommandError> {
    let unit_meters = match data.args.len() {
        4 => 1.0,
        5 => parse_unit(&data.args, 4)?,
        _ => return Err(CommandError::Syntax),
    };
    let target = data.first();
    let set = target.database.find::<SortedSet>(&target.key)?;
    let place = |index| set.and_then(|set| set.score(target.args.get(index))).map(Point::of_score);
    match (place(2), place(3)) {
        (Some(one), Some(other)) => write_distance(one.distance(other) / unit_meters, target.reply),
        _ => target.reply.null(),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn coordinates_are_written_exactly(coordinate in -180.0..180.0f64, shrunk in 0..80i32) {
            let coordinate = coordinate / 2f64.powi(shrunk);
            let (text, expected) = (coordinate_text(coordinate), format!("{coordinate:.17}"));
            prop_assert_eq!(text.as_str(), expected.as_str());
        }
    }

    #[test]
    fn special_coordinates_are_written_exactly() {
        for coordinate in
            [0.0, 180.0, -180.0, 1.0, 0.5, 5e-324, 1e-17, 5e-18, 4.9e-18, 0.999_999_999_999_999_9]
        {
            assert_eq!(coordinate_text(coordinate).as_str(), format!("{coordinate:.17}"));
        }
    }
}
