//! Shows that `simulation_serializable.rs` would notice: with one bug planted after the other, a few hundred
//! runs find each of them, as a history that no order explains or as a client that is never answered.
//!
//! Needs the feature `planted-bugs`: `cargo test --features planted-bugs --test planted_bugs`.

mod support;

use polder::shard::planted::Bug;
use support::simulation::program::Focus;
use support::simulation::run::{Effort, run_caught};

/// Runs after which a bug has to be found: the rarest takes some hundred on average, most a few.
const SEEDS_MAX: u64 = 20_000;
/// Runs without a bug.
const SEEDS_WITHOUT: u64 = 1_000;

/// The runs it took to find a bug, and what was found.
fn find(bug: Bug, first: u64, seeds_max: u64) -> Option<(u64, String)> {
    let focus = match bug {
        Bug::PostponedForgotten | Bug::ParkedForEver => Focus::Waiting,
        _ => Focus::All,
    };
    bug.plant();
    let found = (first..first + seeds_max).find_map(|seed| {
        let text = run_caught(seed, focus, Effort::Find).err()?;
        Some((seed - first + 1, text))
    });
    Bug::None.plant();
    found
}

/// One test, since a bug is planted in the whole process.
#[test]
fn every_planted_bug_is_found() {
    let first = support::random::seed("planted_bugs --features planted-bugs", "every_planted_bug_is_found");
    let found = find(Bug::None, first, SEEDS_WITHOUT);
    assert!(found.is_none(), "without a bug there is one: {found:?}");
    let mut missed = Vec::new();
    for bug in Bug::ALL {
        let started = std::time::Instant::now();
        match find(bug, first, SEEDS_MAX) {
            Some((runs, text)) => {
                let line = text.lines().nth(1).unwrap_or_default().chars().take(60).collect::<String>();
                println!("{bug:?}: run {runs}, {} ms: {line}", started.elapsed().as_millis());
            }
            None => missed.push(bug),
        }
    }
    assert!(missed.is_empty(), "{SEEDS_MAX} runs did not find {missed:?}, from seed {first}");
}
