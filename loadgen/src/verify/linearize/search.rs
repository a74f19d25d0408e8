//! The moves of the search: what a configuration can become before the reply of a step.

use std::collections::BTreeMap;

use super::configuration::{Configuration, insert};
use super::model::{Model, Step};
use crate::verify::history::NEVER;

/// The step that the same client sent before each, where one that may not have happened holds nobody up; and
/// which steps are followed by one that was sent before their reply came.
fn neighbours<A>(steps: &[Step<A>]) -> (Vec<Option<u32>>, Vec<bool>) {
    let mut last: BTreeMap<u16, u32> = BTreeMap::new();
    let (mut previous, mut followed) = (Vec::with_capacity(steps.len()), vec![false; steps.len()]);
    for (step, number) in steps.iter().zip(0..) {
        let before = last.get(&step.client).copied();
        if let Some(before) = before {
            followed[before as usize] |= step.call <= steps[before as usize].back;
        }
        if step.certain {
            last.insert(step.client, number);
        }
        previous.push(before);
    }
    (previous, followed)
}

pub(super) struct Search<'a, M: Model> {
    pub(super) model: M,
    pub(super) steps: &'a [Step<M::Action>],
    previous: Vec<Option<u32>>,
    /// The same client sent a further one before the reply came.
    followed: Vec<bool>,
    /// Steps under way, in the order of their calls.
    pub(super) open: Vec<u32>,
}

pub(super) type Configurations<M> = Vec<Configuration<<M as Model>::State>>;

impl<'a, M: Model> Search<'a, M> {
    pub(super) fn new(model: M, steps: &'a [Step<M::Action>]) -> Search<'a, M> {
        let (previous, followed) = neighbours(steps);
        Search { model, steps, previous, followed, open: Vec::new() }
    }

    pub(super) fn action(&self, number: u32) -> M::Action {
        self.steps[number as usize].action
    }

    /// The step is not under way any more.
    pub(super) fn close(&mut self, number: u32) {
        self.open.retain(|&open| open != number);
        self.model.ended(&self.steps[number as usize]);
    }

    /// Gives the step its effect, if it fits, and tells what else could happen before.
    pub(super) fn advance(
        &self,
        configuration: &Configuration<M::State>,
        number: u32,
        left: &mut Configurations<M>,
        mut on_other: impl FnMut(u32, Configuration<M::State>),
    ) {
        let action = self.action(number);
        if !self.model.is_read(action) {
            left.extend(self.apply(configuration, number));
        } else if let Some(after) = self.read(configuration, number) {
            left.push(after);
            if self.is_harmless(configuration, number) {
                return;
            }
        }
        let mut classes = Vec::new();
        for &other in &self.open {
            let step = &self.steps[other as usize];
            if other == number || configuration.has(other) {
                continue;
            }
            if self.model.is_read(step.action) {
                if !self.is_harmless(configuration, other)
                    && let Some(next) = self.read(configuration, other)
                {
                    on_other(other, next);
                }
                continue;
            }
            if self.model.is_unseen_write(step.action) && !self.model.wants_any(configuration.state) {
                continue;
            }
            if self.is_better_later(configuration, other) {
                continue;
            }
            let class = if step.back == NEVER { self.model.class(step.action) } else { None };
            if class.is_some_and(|class| classes.contains(&class)) {
                continue;
            }
            if let Some(next) = self.apply(configuration, other) {
                on_other(other, next);
                classes.extend(class);
            }
        }
    }

    /// Whether another step that does the same has to go earlier, and may: in every order in which this one is
    /// before it, both could change their places. What was sent behind this one must not get in between.
    fn is_better_later(&self, configuration: &Configuration<M::State>, number: u32) -> bool {
        let step = &self.steps[number as usize];
        let Some(class) = self.model.class(step.action) else { return false };
        if !step.certain || self.followed[number as usize] {
            return false;
        }
        self.open.iter().any(|&other| {
            let earlier = &self.steps[other as usize];
            earlier.certain
                && (earlier.back, other) < (step.back, number)
                && self.model.class(earlier.action) == Some(class)
                && !configuration.has(other)
                && !configuration.free.contains(&other)
                && self.previous[other as usize]
                    .is_none_or(|before| configuration.has(before) || !self.open.contains(&before))
        })
    }

    /// The configuration after a read, if it fits there.
    fn read(&self, configuration: &Configuration<M::State>, number: u32) -> Option<Configuration<M::State>> {
        self.model.next(configuration.state, self.action(number))?;
        let mut after = configuration.clone();
        after.free.retain(|&free| free != number);
        if !self.make_ready(&mut after, number) {
            return None;
        }
        self.mark(&mut after, number);
        Some(after)
    }

    /// Whether a read that fits may have its effect at once: unless that settles that the write before it was
    /// hidden, which could still be of use.
    fn is_harmless(&self, configuration: &Configuration<M::State>, number: u32) -> bool {
        let settles = self.previous[number as usize].is_some_and(|it| configuration.free.contains(&it));
        let now_or_never = self.model.witnesses(configuration.state).is_some()
            && self.model.is_witness(configuration.state, self.action(number));
        !settles || now_or_never
    }

    /// Whether the client's step before has had its effect; a hidden one has had it then.
    fn make_ready(&self, configuration: &mut Configuration<M::State>, number: u32) -> bool {
        let Some(previous) = self.previous[number as usize] else { return true };
        if configuration.has(previous) || !self.open.contains(&previous) {
            return true;
        }
        let Some(place) = configuration.free.iter().position(|&free| free == previous) else { return false };
        configuration.free.remove(place);
        // What was hidden before it, too.
        self.make_ready(configuration, previous);
        self.mark(configuration, previous);
        true
    }

    /// The configuration after a write, if it fits there.
    fn apply(&self, before: &Configuration<M::State>, number: u32) -> Option<Configuration<M::State>> {
        let action = self.action(number);
        let state = self.model.next(before.state, action)?;
        let mut after = before.clone();
        // What the client sent later cannot have been hidden already.
        let client = self.steps[number as usize].client;
        after.free.retain(|&free| free < number || self.steps[free as usize].client != client);
        after.free.retain(|&free| free != number);
        for &other in &self.open {
            if self.model.is_read(self.action(other))
                && !after.has(other)
                && self.is_harmless(&after, other)
                && let Some(read) = self.read(&after, other)
            {
                after = read;
            }
        }
        if self.model.hides(action) {
            self.hide(&mut after, number);
        }
        if !self.make_ready(&mut after, number) {
            return None;
        }
        self.mark(&mut after, number);
        if state != before.state
            && let Some(witnesses) = self.model.witnesses(before.state)
            && self.seen(before.state, &after, true) < witnesses.certain
        {
            return None;
        }
        after.state = self.model.settle(state, 0);
        Some(after)
    }

    /// What may come directly before the write `number` without a trace.
    fn hide(&self, configuration: &mut Configuration<M::State>, number: u32) {
        for &other in &self.open {
            let action = self.action(other);
            let previous_is_free =
                self.previous[other as usize].is_some_and(|previous| configuration.free.contains(&previous));
            let leaves_no_trace =
                self.model.is_unseen_write(action) || (previous_is_free && self.model.fits_unseen(action));
            if leaves_no_trace
                && other != number
                && self.steps[other as usize].certain
                && !configuration.has(other)
                && self.is_hidden_ready(configuration, other)
            {
                insert(&mut configuration.free, other);
            }
        }
    }

    /// Whether an unseen write can be hidden: the client's step before has had its effect or is hidden, too.
    fn is_hidden_ready(&self, configuration: &Configuration<M::State>, number: u32) -> bool {
        self.previous[number as usize].is_none_or(|previous| {
            configuration.has(previous)
                || configuration.free.contains(&previous)
                || !self.open.contains(&previous)
        })
    }

    fn mark(&self, configuration: &mut Configuration<M::State>, number: u32) {
        let certain = self.steps[number as usize].certain;
        insert(if certain { &mut configuration.done } else { &mut configuration.used }, number);
    }

    /// How many of the steps that have had their effect saw this state.
    fn seen(&self, state: M::State, configuration: &Configuration<M::State>, certain: bool) -> usize {
        let done = configuration.done.iter().chain(&configuration.used);
        let steps = done.map(|&number| &self.steps[number as usize]);
        steps.filter(|step| (step.certain || !certain) && self.model.is_witness(state, step.action)).count()
    }

    /// Changes a configuration to what it is once a step is not under way any more.
    pub(super) fn end(&self, configuration: &mut Configuration<M::State>, number: u32) {
        configuration.done.retain(|&done| done != number);
        configuration.used.retain(|&used| used != number);
        configuration.free.retain(|&free| free != number);
        let seen = self.seen(configuration.state, configuration, false);
        configuration.state = self.model.settle(configuration.state, seen);
    }
}
