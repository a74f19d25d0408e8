//! A counter, 0 at first.

use super::model::Model;

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
