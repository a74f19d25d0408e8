//! Is there an order of the operations on one object that explains every reply and keeps to the clock?
//! (Herlihy and Wing, "Linearizability: A Correctness Condition for Concurrent Objects", TOPLAS 1990.)
//!
//! The search is that of Wing and Gong ("Testing and Verifying Concurrent Objects", J. Parallel Distrib.
//! Comput. 1993) with Lowe's improvements ("Testing for Linearizability", Concurrency and Computation 2017):
//! just in time, and no configuration twice. It goes through the history once, in the order of the clock,
//! and knows the *configurations* that are possible so far: the object's state, and which of the operations
//! under way have had their effect.
//!
//! ```text
//!   a command is sent     it is under way
//!   its reply comes       whoever has not had its effect yet gets it now, after none, some or all of the
//!                         others under way, in every order; where the reply does not fit, the
//!                         configuration is dropped. None is left: the history is refused here.
//! ```
//!
//! First one of them is followed at a time, back and forth ([`depth`]); only if that leads nowhere are all of
//! them held at once.
//!
//! What one client sent on one connection happens in that order, also if it was sent together.
//!
//! What makes it quick besides: reads take their effect as soon as they fit, since that never does harm; a
//! state is not left while somebody is still to see it, if it can never come back ([`Model::witnesses`]);
//! states that nobody can tell apart any more are one ([`Model::settle`]); writes that nobody sees need no
//! place of their own once something else was overwritten ([`Model::hides`]); and of operations of unknown
//! outcome that are alike, the first goes first ([`Model::class`]).

mod depth;

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::fmt::Debug;
use std::hash::Hash;

use super::history::NEVER;

/// Configurations at a time, at most: more are not decided.
const CONFIGURATIONS_MAX: usize = 200_000;

/// One operation on the object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Step<A> {
    pub call: u64,
    /// [`NEVER`] if no reply came.
    pub back: u64,
    /// It has happened; otherwise it may have, between its call and its back.
    pub certain: bool,
    pub client: u16,
    pub action: A,
    /// Its number in the history.
    pub number: u32,
}

/// Who has still to see a state.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Witnesses {
    /// Operations that certainly saw it, and whose replies are still to come.
    pub certain: usize,
    /// All that may have.
    pub all: usize,
}

/// An object: what operations do to its state, and which replies fit.
pub trait Model {
    type Action: Copy + Debug;
    type State: Copy + Eq + Hash + Debug;

    fn start(&self) -> Self::State;
    /// The state after an action; `None` if its reply does not fit.
    fn next(&self, state: Self::State, action: Self::Action) -> Option<Self::State>;
    /// It leaves every state as it is, if its reply fits.
    fn is_read(&self, action: Self::Action) -> bool;
    /// It fits every state, and what it leaves will be seen by nobody, as far as it can be told from any
    /// other state but [`Model::wants_any`].
    fn is_unseen_write(&self, _: Self::Action) -> bool {
        false
    }
    /// A read that fits whatever an unseen write leaves.
    fn fits_unseen(&self, _: Self::Action) -> bool {
        false
    }
    /// An unseen write directly before this one changes nothing.
    fn hides(&self, _: Self::Action) -> bool {
        false
    }
    /// Whether an unseen write makes a difference to this state.
    fn wants_any(&self, _: Self::State) -> bool {
        true
    }
    /// Actions of the same class do the same.
    fn class(&self, _: Self::Action) -> Option<u64> {
        None
    }
    /// Who has still to see this state, if it cannot come back after it was left.
    fn witnesses(&self, _: Self::State) -> Option<Witnesses> {
        None
    }
    /// Whether the action is one of the state's witnesses.
    fn is_witness(&self, _: Self::State, _: Self::Action) -> bool {
        false
    }
    /// The one that stands for a state and all others that look the same from now on, given how many of its
    /// witnesses have had their effect.
    fn settle(&self, state: Self::State, _: usize) -> Self::State {
        state
    }
    /// The operation's reply is there.
    fn ended(&mut self, _: &Step<Self::Action>) {}
    /// What [`Model::ended`] did is undone.
    fn reopened(&mut self, _: &Step<Self::Action>) {}
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    Fits,
    /// No order explains the replies.
    Refused,
    /// There are more possibilities than memory should hold.
    Undecided,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Configuration<S> {
    state: S,
    /// Steps under way that have had their effect, in ascending order.
    done: Vec<u32>,
    /// Those that did not have to.
    used: Vec<u32>,
    /// Unseen writes under way that may have had their effect, hidden by another, or may still have it; and
    /// reads behind them.
    free: Vec<u32>,
}

impl<S> Configuration<S> {
    fn start(state: S) -> Configuration<S> {
        Configuration { state, done: Vec::new(), used: Vec::new(), free: Vec::new() }
    }

    fn has(&self, number: u32) -> bool {
        self.done.binary_search(&number).is_ok() || self.used.binary_search(&number).is_ok()
    }
}

/// Configurations of which none is the better one of two: one that used less of what may have happened at any
/// time, and is the same otherwise, can do all that the other can.
struct Best<S> {
    used: HashMap<Rest<S>, Vec<Vec<u32>>>,
    count: usize,
}

/// A configuration without what it used: its state, `done` and `free`.
type Rest<S> = (S, Vec<u32>, Vec<u32>);

impl<S: Copy + Eq + Hash> Best<S> {
    fn new() -> Best<S> {
        Best { used: HashMap::new(), count: 0 }
    }

    /// Whether there was none that is as good.
    fn add(&mut self, configuration: &Configuration<S>) -> bool {
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

    fn into_configurations(self) -> Vec<Configuration<S>> {
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

/// How much time a verdict may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effort {
    /// One attempt to find an order: milliseconds if there is one, mostly.
    Little,
    /// Some attempts, then all that is possible: up to some ten seconds.
    Full,
}

/// A call, or (`true`) a reply: when, and of which step.
type Event = (u64, bool, u32);

/// Judges the steps: those of a client in the order in which it sent them.
pub fn judge<M: Model>(model: M, steps: &[Step<M::Action>], effort: Effort) -> Verdict {
    let (mut search, events) = (Search::new(model, steps), events(steps));
    match depth::has_an_order(&mut search, &events, effort) {
        Some(true) => Verdict::Fits,
        Some(false) => Verdict::Refused,
        None if effort == Effort::Little => Verdict::Undecided,
        None => breadth(&mut search, &events),
    }
}

/// The second half of [`judge`] alone, which few histories come to.
#[cfg(test)]
pub fn judge_by_breadth<M: Model>(model: M, steps: &[Step<M::Action>]) -> Verdict {
    breadth(&mut Search::new(model, steps), &events(steps))
}

fn events<A>(steps: &[Step<A>]) -> Vec<Event> {
    let mut events: Vec<Event> = Vec::with_capacity(2 * steps.len());
    for (step, number) in steps.iter().zip(0..) {
        events.push((step.call, false, number));
        if step.back != NEVER {
            events.push((step.back, true, number));
        }
    }
    // At the same instant calls come first: such steps overlap.
    events.sort_unstable();
    events
}

/// Goes through all that is possible at once.
fn breadth<M: Model>(search: &mut Search<'_, M>, events: &[Event]) -> Verdict {
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

struct Search<'a, M: Model> {
    model: M,
    steps: &'a [Step<M::Action>],
    previous: Vec<Option<u32>>,
    /// The same client sent a further one before the reply came.
    followed: Vec<bool>,
    /// Steps under way, in the order of their calls.
    open: Vec<u32>,
}

type Configurations<M> = Vec<Configuration<<M as Model>::State>>;

impl<'a, M: Model> Search<'a, M> {
    fn new(model: M, steps: &'a [Step<M::Action>]) -> Search<'a, M> {
        let (previous, followed) = neighbours(steps);
        Search { model, steps, previous, followed, open: Vec::new() }
    }

    fn action(&self, number: u32) -> M::Action {
        self.steps[number as usize].action
    }

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

    /// The step is not under way any more.
    fn close(&mut self, number: u32) {
        self.open.retain(|&open| open != number);
        self.model.ended(&self.steps[number as usize]);
    }

    /// Gives the step its effect, if it fits, and tells what else could happen before.
    fn advance(
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
    fn end(&self, configuration: &mut Configuration<M::State>, number: u32) {
        configuration.done.retain(|&done| done != number);
        configuration.used.retain(|&used| used != number);
        configuration.free.retain(|&free| free != number);
        let seen = self.seen(configuration.state, configuration, false);
        configuration.state = self.model.settle(configuration.state, seen);
    }
}

fn insert(numbers: &mut Vec<u32>, number: u32) {
    if let Err(place) = numbers.binary_search(&number) {
        numbers.insert(place, number);
    }
}

/// A register: values, or nothing.
pub mod register {
    use super::*;

    pub type Value = i64;

    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub enum Action {
        Set(Value),
        Read(Option<Value>),
        /// Finds one and leaves the other, at once.
        Exchange(Option<Value>, Value),
        /// Finds any value and leaves none.
        Take,
        /// Finds any value.
        ReadSome,
    }

    impl Action {
        pub fn written(self) -> Option<Value> {
            match self {
                Action::Set(value) | Action::Exchange(_, value) => Some(value),
                _ => None,
            }
        }

        pub fn seen(self) -> Option<Value> {
            match self {
                Action::Read(value) | Action::Exchange(value, _) => value,
                _ => None,
            }
        }
    }

    #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
    pub enum State {
        Empty,
        Holds(Value),
        /// A value that nobody will see.
        Unseen,
    }

    /// What is known of each value: who is still to see it, and whether it is written only once.
    pub struct Register {
        values: BTreeMap<Value, Known>,
    }

    #[derive(Default)]
    struct Known {
        written: usize,
        left: Witnesses,
    }

    impl Register {
        pub fn new(steps: &[Step<Action>]) -> Register {
            let mut values: BTreeMap<Value, Known> = BTreeMap::new();
            for step in steps {
                if let Some(value) = step.action.seen() {
                    let left = &mut values.entry(value).or_default().left;
                    left.all += 1;
                    left.certain += usize::from(step.certain);
                }
                if let Some(value) = step.action.written() {
                    values.entry(value).or_default().written += 1;
                }
            }
            Register { values }
        }

        fn is_never_seen(&self, value: Value) -> bool {
            // What was seen and is over counts as well, but then the value is settled already.
            self.values.get(&value).is_none_or(|known| known.left.all == 0)
        }
    }

    impl Model for Register {
        type Action = Action;
        type State = State;

        fn start(&self) -> State {
            State::Empty
        }

        fn next(&self, state: State, action: Action) -> Option<State> {
            let holds = |value: Option<Value>| state == value.map_or(State::Empty, State::Holds);
            match action {
                Action::Set(value) => Some(State::Holds(value)),
                Action::Read(value) => holds(value).then_some(state),
                Action::Exchange(old, new) => holds(old).then_some(State::Holds(new)),
                Action::Take => (state != State::Empty).then_some(State::Empty),
                Action::ReadSome => (state != State::Empty).then_some(state),
            }
        }

        fn is_read(&self, action: Action) -> bool {
            matches!(action, Action::Read(_) | Action::ReadSome)
        }

        fn is_unseen_write(&self, action: Action) -> bool {
            matches!(action, Action::Set(value) if self.is_never_seen(value))
        }

        fn fits_unseen(&self, action: Action) -> bool {
            action == Action::ReadSome
        }

        fn hides(&self, action: Action) -> bool {
            matches!(action, Action::Set(_) | Action::Take)
        }

        fn wants_any(&self, state: State) -> bool {
            state == State::Empty
        }

        fn class(&self, action: Action) -> Option<u64> {
            match action {
                Action::Set(value) if self.is_never_seen(value) => Some(0),
                Action::Exchange(None, value) if self.is_never_seen(value) => Some(1),
                Action::Take => Some(2),
                _ => None,
            }
        }

        fn witnesses(&self, state: State) -> Option<Witnesses> {
            let State::Holds(value) = state else { return None };
            self.values.get(&value).filter(|known| known.written <= 1).map(|known| known.left)
        }

        fn is_witness(&self, state: State, action: Action) -> bool {
            matches!(state, State::Holds(value) if action.seen() == Some(value))
        }

        fn settle(&self, state: State, seen: usize) -> State {
            let State::Holds(value) = state else { return state };
            let left = self.values.get(&value).map_or(0, |known| known.left.all);
            if left <= seen { State::Unseen } else { state }
        }

        fn ended(&mut self, step: &Step<Action>) {
            if let Some(known) = step.action.seen().and_then(|value| self.values.get_mut(&value)) {
                known.left.all -= 1;
                known.left.certain -= usize::from(step.certain);
            }
        }

        fn reopened(&mut self, step: &Step<Action>) {
            if let Some(known) = step.action.seen().and_then(|value| self.values.get_mut(&value)) {
                known.left.all += 1;
                known.left.certain += usize::from(step.certain);
            }
        }
    }
}

/// A counter, 0 at first.
pub mod counter {
    use super::*;

    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub enum Action {
        /// The amount, and what the counter has then, if that is known.
        Add(i64, Option<i64>),
        Read(i64),
    }

    pub struct Counter;

    impl Model for Counter {
        type Action = Action;
        type State = i64;

        fn start(&self) -> i64 {
            0
        }

        fn next(&self, state: i64, action: Action) -> Option<i64> {
            match action {
                Action::Add(amount, after) => {
                    state.checked_add(amount).filter(|sum| after.is_none_or(|after| after == *sum))
                }
                Action::Read(value) => (state == value).then_some(state),
            }
        }

        fn is_read(&self, action: Action) -> bool {
            matches!(action, Action::Read(_))
        }

        fn class(&self, action: Action) -> Option<u64> {
            match action {
                Action::Add(amount, None) => Some(amount as u64),
                _ => None,
            }
        }
    }
}
