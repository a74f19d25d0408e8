//! The members of a sorted set that are in an area.

use super::shape::{Area, Judge};
use super::{Point, cover};
use crate::types::SortedSet;

/// A member in the area.
#[derive(Clone, Copy, Debug)]
pub struct Found<'s> {
    pub member: &'s [u8],
    pub score: f64,
    /// From the center, in meters.
    pub distance: f64,
}

/// Searches an area, cell by cell, until so many have been found.
pub fn search<'s>(set: &'s SortedSet, area: &Area, limit: usize) -> Vec<Found<'s>> {
    let judge = Judge::new(area);
    let mut found: Vec<Found<'s>> = Vec::new();
    cover::ranges(area, |min, max| {
        set.visit_scores(min, max, |score, member| {
            if let Some(distance) = judge.distance(Point::of_score(score)) {
                found.push(Found { member: member.bytes(), score, distance });
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
    if order == Order::Found {
        return found.truncate(count);
    }
    // No distance is below zero: their bits have their order. Only these are moved about.
    let turned = if order == Order::Farthest { u64::MAX } else { 0 };
    let keys = found.iter().enumerate().map(|(index, found)| (found.distance.to_bits() ^ turned, index));
    let mut keys: Vec<(u64, usize)> = keys.collect();
    if count < keys.len() {
        keys.select_nth_unstable(count);
        keys.truncate(count);
    }
    keys.sort_unstable();
    *found = keys.into_iter().map(|(_, index)| found[index]).collect();
}
