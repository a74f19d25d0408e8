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

mod breadth;
mod configuration;
pub mod counter;
mod depth;
mod model;
pub mod register;
mod search;

pub use model::{Model, Step};
use search::Search;

use super::history::NEVER;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    Fits,
    /// No order explains the replies.
    Refused,
    /// There are more possibilities than memory should hold.
    Undecided,
}

/// How much time a verdict may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effort {
    /// An attempt to find an order: milliseconds if there is one, mostly.
    Little,
    /// A longer one: up to a second.
    More,
    /// The first attempt, then all that is possible: up to some ten seconds.
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
        None if effort == Effort::Full => breadth::decide(&mut search, &events),
        None => Verdict::Undecided,
    }
}

/// The second half of [`judge`] alone, which few histories come to.
#[cfg(test)]
pub fn judge_by_breadth<M: Model>(model: M, steps: &[Step<M::Action>]) -> Verdict {
    breadth::decide(&mut Search::new(model, steps), &events(steps))
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
