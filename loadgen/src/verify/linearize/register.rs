//! A register: values, or nothing.

use std::collections::BTreeMap;

use super::model::{Model, Step, Witnesses};

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
