//! The members of a sorted set that are in an area.

use super::shape::{Area, Judge};
use super::{Point, cover};
use crate::types::SortedSet;

/// A member in the area.
#[derive(Clone, Copy, Debug)]
pub struct Found<'s> {
    pub member: &'s [u8],
    pub score: f64,
    pub point: Point,
    /// From the center, in meters.
    pub distance: f64,
    /// As the how manieth it was found.
    pub position: u32,
}

/// Searches an area, cell by cell, until so many have been found.
pub fn search<'s>(set: &'s SortedSet, area: &Area, limit: usize) -> Vec<Found<'s>> {
    let judge = Judge::new(area);
    let mut found: Vec<Found<'s>> = Vec::new();
    cover::ranges(area, |min, max| {
        set.visit_scores(min, max, |score, member| {
            let point = Point::of_score(score);
            if let Some(distance) = judge.distance(point) {
                let position = found.len() as u32;
                found.push(Found { member: member.bytes(), score, point, distance, position });
            }
            found.len() < limit
        });
        found.len() < limit
    });
    found
}

/// In which order what was found is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// As it was found.
    Found,
    Nearest,
    Farthest,
}

/// Keeps the first `count` in this order; of equal distances, the ones found first.
pub fn arrange(found: &mut Vec<Found<'_>>, order: Order, count: usize) {
    if order != Order::Found {
        let compare = |one: &Found<'_>, other: &Found<'_>| {
            let distances = one.distance.total_cmp(&other.distance);
            let distances = if order == Order::Farthest { distances.reverse() } else { distances };
            distances.then(one.position.cmp(&other.position))
        };
        if count < found.len() {
            found.select_nth_unstable_by(count, compare);
            found.truncate(count);
        }
        found.sort_unstable_by(compare);
    }
    found.truncate(count);
}
