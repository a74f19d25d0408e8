//! Where an order can stand: a configuration, and sets of them that hold no worse ones.

use std::collections::HashMap;
use std::hash::Hash;

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Configuration<S> {
    pub(super) state: S,
    /// Steps under way that have had their effect, in ascending order.
    pub(super) done: Vec<u32>,
    /// Those that did not have to.
    pub(super) used: Vec<u32>,
    /// Unseen writes under way that may have had their effect, hidden by another, or may still have it; and
    /// reads behind them.
    pub(super) free: Vec<u32>,
}

impl<S> Configuration<S> {
    pub(super) fn start(state: S) -> Configuration<S> {
        Configuration { state, done: Vec::new(), used: Vec::new(), free: Vec::new() }
    }

    pub(super) fn has(&self, number: u32) -> bool {
        self.done.binary_search(&number).is_ok() || self.used.binary_search(&number).is_ok()
    }
}

/// Configurations of which none is the better one of two: one that used less of what may have happened at any
/// time, and is the same otherwise, can do all that the other can.
pub(super) struct Best<S> {
    used: HashMap<Rest<S>, Vec<Vec<u32>>>,
    pub(super) count: usize,
}

/// A configuration without what it used: its state, `done` and `free`.
type Rest<S> = (S, Vec<u32>, Vec<u32>);

impl<S: Copy + Eq + Hash> Best<S> {
    pub(super) fn new() -> Best<S> {
        Best { used: HashMap::new(), count: 0 }
    }

    /// Whether there was none that is as good.
    pub(super) fn add(&mut self, configuration: &Configuration<S>) -> bool {
        let Configuration { state, done, used, free } = configuration;
        let all = self.used.entry((*state, done.clone(), free.clone())).or_default();
        if all.iter().any(|other| is_subset(other, used)) {
            return false;
        }
        let before = all.len();
        all.retain(|other| !is_subset(used, other));
        all.push(used.clone());
        self.count = self.count + all.len() - before;
        true
    }

    pub(super) fn into_configurations(self) -> Vec<Configuration<S>> {
        let all = self.used.into_iter().flat_map(|((state, done, free), all)| {
            all.into_iter().map(move |used| Configuration {
                state,
                done: done.clone(),
                used,
                free: free.clone(),
            })
        });
        all.collect()
    }
}

/// Of two ascending lists.
fn is_subset(small: &[u32], large: &[u32]) -> bool {
    small.len() <= large.len() && small.iter().all(|number| large.binary_search(number).is_ok())
}

pub(super) fn insert(numbers: &mut Vec<u32>, number: u32) {
    if let Err(place) = numbers.binary_search(&number) {
        numbers.insert(place, number);
    }
}
