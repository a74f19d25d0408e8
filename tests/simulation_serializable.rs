//! Random transactions of many clients on one to eight simulated shards, with every order of messages: is there
//! one order of all of them that explains every reply and does not contradict the clock? Does everybody get
//! an answer, and is nothing left when all are gone? See `support/simulation`.
//!
//! `POLDER_SEED=…` repeats one run, `POLDER_SIM_OPERATIONS=10000000` runs until so many commands are done.

mod support;

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use support::simulation::program::Focus;
use support::simulation::run::{Effort, Tally, record, run_caught};

/// Runs of the suite.
const SEEDS: u64 = 20_000;
const SEEDS_OF_WAITING: u64 = 5_000;
const THREADS: u64 = 2;

/// Runs seeds until `enough` says so, on several threads; the first failure ends it.
fn run_seeds(
    first: u64,
    focus: Focus,
    enough: impl Fn(&Tally) -> bool + Sync,
) -> Result<Tally, (u64, String)> {
    let next = AtomicU64::new(first);
    let over = AtomicBool::new(false);
    let total = Mutex::new(Tally::default());
    let failure = Mutex::new(None);
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                while !over.load(Ordering::Relaxed) {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    match run_caught(seed, focus, Effort::Explain) {
                        Ok(tally) => {
                            let mut total = total.lock().expect("nobody panics with it");
                            *total += tally;
                            if enough(&total) {
                                over.store(true, Ordering::Relaxed);
                            }
                        }
                        Err(text) => {
                            over.store(true, Ordering::Relaxed);
                            failure.lock().expect("nobody panics with it").get_or_insert((seed, text));
                        }
                    }
                }
            });
        }
    });
    match failure.into_inner().expect("nobody panics with it") {
        Some(failure) => Err(failure),
        None => Ok(total.into_inner().expect("nobody panics with it")),
    }
}

/// Runs the suite's number of seeds, the one that is given, or as many as it takes; what was done, if it was
/// not a single one.
fn check(test: &str, focus: Focus, seeds: u64) -> Option<Tally> {
    let replayed = std::env::var_os("POLDER_SEED").is_some();
    let first = support::random::seed("simulation_serializable", test);
    let operations: Option<u64> = std::env::var("POLDER_SIM_OPERATIONS")
        .ok()
        .map(|text| text.parse().expect("POLDER_SIM_OPERATIONS is a number"));
    let outcome = if replayed {
        run_caught(first, focus, Effort::Explain).map_err(|text| (first, text))
    } else {
        run_seeds(first, focus, |tally| match operations {
            Some(operations) => tally.commands >= operations,
            None => tally.runs >= seeds,
        })
    };
    let tally = outcome.unwrap_or_else(|(seed, text)| {
        panic!(
            "seed {seed}: {text}\n\nreplay: POLDER_SEED={seed} cargo test --test simulation_serializable {test}"
        )
    });
    println!("{tally:?}");
    (!replayed).then_some(tally)
}

#[test]
fn transactions_are_strictly_serializable() {
    let Some(tally) = check("transactions_are_strictly_serializable", Focus::All, SEEDS) else { return };
    assert!(tally.refused > tally.runs / 20, "transactions do not meet: {tally:?}");
    assert!(tally.spoilt > tally.runs / 20, "watched keys do not change: {tally:?}");
    assert!(tally.gone > tally.runs / 20, "nobody goes: {tally:?}");
    assert!(tally.undecided * 1_000 < tally.runs, "too much is left undecided: {tally:?}");
}

#[test]
fn who_waits_for_elements_gets_them() {
    let Some(tally) = check("who_waits_for_elements_gets_them", Focus::Waiting, SEEDS_OF_WAITING) else {
        return;
    };
    assert!(tally.fed > tally.runs / 20, "hardly anybody waits: {tally:?}");
    assert!(tally.undecided * 200 < tally.runs, "too much is left undecided: {tally:?}");
}

#[test]
fn a_seed_repeats_itself() {
    for seed in 0..200 {
        let [one, other] = [0, 1].map(|_| format!("{:?}", record(seed)));
        assert!(one == other, "seed {seed} does something else the second time");
    }
}
