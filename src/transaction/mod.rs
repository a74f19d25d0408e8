//! What touches several shards, seen from the connection's core.
//!
//! [`Coordinator`] takes a transaction through its phases on all shards at once; it is a state machine
//! without I/O. A command of several hops is driven by its [`Plan`], which says after each hop what the
//! next one does.

pub mod coordinator;
pub mod plan;

pub use coordinator::{Action, Coordinator, Participation};
pub use plan::{Plan, PlanFunction, StepResult, Work};

pub use crate::shard::Route;
