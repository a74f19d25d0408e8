//! The smallest part of a history that is still wrong: delta debugging (Zeller and Hildebrandt, "Simplifying
//! and Isolating Failure-Inducing Input", TSE 2002).
//!
//! To leave an operation out must not make a right history wrong: without its writer, any read is a lie. So
//! what is left out stays behind as a *shadow*, which may have happened or not; reads leave none. If no order
//! with and without the shadows explains the rest, the rest is wrong by itself.

use std::time::{Duration, Instant};

use super::history::NEVER;
use super::linearize::Step;

/// After so long the smallest history so far is told.
pub const TIME_MAX: Duration = Duration::from_secs(5);

/// What is left of refused steps.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Smaller {
    pub positions: Vec<usize>,
    /// Time was short: further ones could perhaps be left out.
    pub is_unfinished: bool,
}

/// What is left of refused steps: no further one can be left out, unless time was short.
pub fn minimise<A: Copy>(
    steps: &[Step<A>],
    is_read: impl Fn(A) -> bool,
    is_refused: impl Fn(&[Step<A>]) -> bool,
) -> Smaller {
    let candidates = beginning(steps, &is_read, &is_refused);
    let mut kept: Vec<bool> = candidates.iter().map(|(_, step)| step.certain).collect();
    let history = |kept: &[bool]| -> Vec<Step<A>> {
        let with_kept = candidates.iter().zip(kept);
        let visible = with_kept.filter(|((_, step), kept)| **kept || !is_read(step.action));
        visible.map(|((_, step), kept)| Step { certain: *kept, ..*step }).collect()
    };
    let (started, mut is_unfinished) = (Instant::now(), false);
    let mut size = candidates.len().next_power_of_two();
    loop {
        let mut changed = false;
        for start in (0..candidates.len()).step_by(size) {
            if started.elapsed() > TIME_MAX {
                is_unfinished = true;
                break;
            }
            let mut fewer = kept.clone();
            fewer[start..(start + size).min(candidates.len())].fill(false);
            if fewer != kept && is_refused(&history(&fewer)) {
                kept = fewer;
                changed = true;
            }
        }
        if size == 1 && (!changed || is_unfinished) {
            break;
        }
        size = (size / 2).max(1);
    }
    let with_kept = candidates.iter().zip(&kept);
    let positions = with_kept.filter(|(_, kept)| **kept).map(|((position, _), _)| *position).collect();
    Smaller { positions, is_unfinished }
}

/// The shortest beginning that is refused, with the positions of its steps. What was under way at its end may
/// have happened.
fn beginning<A: Copy>(
    steps: &[Step<A>],
    is_read: impl Fn(A) -> bool,
    is_refused: impl Fn(&[Step<A>]) -> bool,
) -> Vec<(usize, Step<A>)> {
    let until = |end: u64| -> Vec<(usize, Step<A>)> {
        let called = steps.iter().enumerate().filter(|(_, step)| step.call <= end);
        let ended = called.map(|(position, step)| match step.back <= end {
            true => (position, *step),
            false => (position, Step { back: NEVER, certain: false, ..*step }),
        });
        ended.filter(|(_, step)| step.certain || !is_read(step.action)).collect()
    };
    let mut ends: Vec<u64> = steps.iter().filter(|step| step.certain).map(|step| step.back).collect();
    ends.sort_unstable();
    let fits = |end: &u64| {
        let beginning: Vec<Step<A>> = until(*end).into_iter().map(|(_, step)| step).collect();
        !is_refused(&beginning)
    };
    let first = ends.partition_point(fits);
    until(ends.get(first).copied().unwrap_or(NEVER))
}
