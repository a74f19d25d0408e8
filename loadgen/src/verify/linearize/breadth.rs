//! Breadth first: all configurations that are possible at once, so that a history that none of them explains
//! is refused, and where.

use std::collections::VecDeque;

use super::configuration::{Best, Configuration};
use super::model::Model;
use super::search::{Configurations, Search};
use super::{Event, Verdict};

/// Configurations at a time, at most: more are not decided.
const CONFIGURATIONS_MAX: usize = 200_000;

/// Goes through all that is possible at once.
pub(super) fn decide<M: Model>(search: &mut Search<'_, M>, events: &[Event]) -> Verdict {
    let mut configurations = vec![Configuration::start(search.model.start())];
    for &(_, is_back, number) in events {
        if !is_back {
            search.open.push(number);
            continue;
        }
        let Some(left) = search.back(configurations, number) else { return Verdict::Undecided };
        if left.is_empty() {
            return Verdict::Refused;
        }
        configurations = left;
    }
    Verdict::Fits
}

impl<M: Model> Search<'_, M> {
    /// The configurations that are left when the reply to a step came; `None` if there are too many.
    fn back(&mut self, before: Configurations<M>, number: u32) -> Option<Configurations<M>> {
        let certain = self.steps[number as usize].certain;
        let (mut left, mut queue) = (Vec::with_capacity(before.len()), VecDeque::new());
        for configuration in before {
            if configuration.has(number) {
                left.push(configuration);
                continue;
            }
            if !certain || configuration.free.contains(&number) {
                left.push(configuration.clone());
            }
            queue.push_back(configuration);
        }
        // Those that used less are met first.
        let mut seen = Best::new();
        while let Some(configuration) = queue.pop_front() {
            if left.len() + seen.count > CONFIGURATIONS_MAX {
                return None;
            }
            self.advance(&configuration, number, &mut left, |_, next| {
                if seen.add(&next) {
                    queue.push_back(next);
                }
            });
        }
        self.close(number);
        left.iter_mut().for_each(|configuration| self.end(configuration, number));
        if left.len() > 1 {
            let mut best = Best::new();
            left.iter().for_each(|configuration| {
                best.add(configuration);
            });
            left = best.into_configurations();
        }
        Some(left)
    }
}
