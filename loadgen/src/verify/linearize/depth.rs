//! Depth first: of a history that can be right one order is enough, and it is mostly found at once, where all
//! that is possible would be too much to hold.
//!
//! A node is a configuration before the reply of a step. It is left by the step's own effect, or by that of
//! another step under way. What did not lead to the end is remembered, by 128 bits of a hash, and not tried
//! again (Lowe 2017, section 3). First goes what makes the awaited reply fit, then what ends first. An early
//! choice that was bad may cost all nodes before it is met again, so that there is a second attempt, longer and a
//! little at random.

use std::cmp::Reverse;
use std::collections::HashSet;
use std::hash::{DefaultHasher, Hash, Hasher};

use super::configuration::Configuration;
use super::model::{Model, Step};
use super::search::Search;
use super::{Effort, Event};
use crate::keys::Random;
use crate::verify::history::NEVER;

/// One way through the history.
struct Attempt {
    /// Nodes that it tries, and so holds: so many for each step, and so many besides.
    nodes_each: usize,
    nodes_more: usize,
    /// What ends first need not go first: by up to this share of the longest overlap another may.
    jitter: f64,
}

/// Decides nearly all that can be decided.
const SHORT: Attempt = Attempt { nodes_each: 4, nodes_more: 5_000, jitter: 0.0 };
/// Of what the short one leaves of registers that 64 clients write at once, this decides the half.
const LONG: Attempt = Attempt { nodes_each: 8, nodes_more: 50_000, jitter: 0.3 };

/// Whether there is an order; `None` if that was not found out. The search stands at its begin again then.
pub fn has_an_order<M: Model>(search: &mut Search<'_, M>, events: &[Event], effort: Effort) -> Option<bool> {
    let attempt = if effort == Effort::More { &LONG } else { &SHORT };
    let mut path = Path::new(search, events);
    let verdict = path.attempt(attempt);
    path.go_to(0);
    verdict
}

fn hash<S: Hash>(place: usize, configuration: &Configuration<S>) -> u128 {
    let half = |salt: u8| {
        let mut hasher = DefaultHasher::new();
        (salt, place, configuration).hash(&mut hasher);
        u128::from(hasher.finish())
    };
    half(0) << 64 | half(1)
}

/// A place in the history, to which what is under way and the model belong.
struct Path<'a, 'b, M: Model> {
    search: &'a mut Search<'b, M>,
    events: &'a [Event],
    place: usize,
    /// The place of each step's call.
    calls: Vec<usize>,
}

type Node<M> = (usize, Configuration<<M as Model>::State>);

impl<'a, 'b, M: Model> Path<'a, 'b, M> {
    fn new(search: &'a mut Search<'b, M>, events: &'a [Event]) -> Path<'a, 'b, M> {
        let mut calls = vec![0; search.steps.len()];
        for (place, (_, is_back, number)) in events.iter().enumerate() {
            if !is_back {
                calls[*number as usize] = place;
            }
        }
        Path { search, events, place: 0, calls }
    }

    /// `None`: there were too many nodes.
    fn attempt(&mut self, attempt: &Attempt) -> Option<bool> {
        let nodes_max = self.search.steps.len() * attempt.nodes_each + attempt.nodes_more;
        let mut random = Random::new(0, 0);
        let mut tried: HashSet<u128> = HashSet::new();
        let mut stack = vec![(0, Configuration::start(self.search.model.start()))];
        while let Some((place, mut configuration)) = stack.pop() {
            self.go_to(place);
            let Some(number) = self.advance(&mut configuration) else { return Some(true) };
            if !tried.insert(hash(self.place, &configuration)) {
                continue;
            }
            if tried.len() > nodes_max {
                return None;
            }
            self.push_next(&configuration, number, &mut stack, |range| {
                random.below((range as f64 * attempt.jitter) as u64 + 1)
            });
        }
        Some(false)
    }

    fn go_to(&mut self, place: usize) {
        while self.place < place {
            self.step_forward();
        }
        while self.place > place {
            self.step_back();
        }
    }

    fn step_forward(&mut self) {
        let (_, is_back, number) = self.events[self.place];
        match is_back {
            true => self.search.close(number),
            false => self.search.open.push(number),
        }
        self.place += 1;
    }

    fn step_back(&mut self) {
        self.place -= 1;
        let (_, is_back, number) = self.events[self.place];
        if !is_back {
            self.search.open.pop();
            return;
        }
        let call = self.calls[number as usize];
        let open = &mut self.search.open;
        let position = open.partition_point(|&other| self.calls[other as usize] < call);
        open.insert(position, number);
        self.search.model.reopened(&self.search.steps[number as usize]);
    }

    /// Goes on to the next reply whose step has not had its effect; `None` at the end.
    fn advance(&mut self, configuration: &mut Configuration<M::State>) -> Option<u32> {
        while let Some(&(_, is_back, number)) = self.events.get(self.place) {
            if is_back && !configuration.has(number) {
                return Some(number);
            }
            self.step_forward();
            if is_back {
                self.search.end(configuration, number);
            }
        }
        None
    }

    /// What can be after a configuration, the most promising last.
    fn push_next(
        &mut self,
        configuration: &Configuration<M::State>,
        number: u32,
        stack: &mut Vec<Node<M>>,
        mut jitter: impl FnMut(u64) -> u64,
    ) {
        let place = self.place;
        let (mut left, mut others) = (Vec::new(), Vec::new());
        self.search.advance(configuration, number, &mut left, |other, next| others.push((other, next)));
        let search = &*self.search;
        let back = |other: u32| search.steps[other as usize].back;
        let fits =
            |next: &Configuration<M::State>| search.model.next(next.state, search.action(number)).is_some();
        let first = back(number);
        let ends = others.iter().map(|(other, _)| back(*other)).filter(|&back| back != NEVER);
        let range = ends.max().unwrap_or(first) - first;
        others.sort_by_cached_key(|(other, next)| {
            (fits(next), Reverse(back(*other).saturating_add(jitter(range))))
        });
        stack.extend(others.into_iter().map(|(_, next)| (place, next)));
        stack.extend(left.into_iter().map(|next| (place, next)));
        let Step { certain, .. } = self.search.steps[number as usize];
        if !certain || configuration.free.contains(&number) {
            let mut without = configuration.clone();
            self.step_forward();
            self.search.end(&mut without, number);
            stack.push((place + 1, without));
        }
    }
}
