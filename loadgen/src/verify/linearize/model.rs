//! What is judged: the steps of a history, and the object that they were done to.

use std::fmt::Debug;
use std::hash::Hash;

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
