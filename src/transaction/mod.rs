//! Commands that touch several shards, seen from the connection's core: the coordinator.
//!
//! A command of several hops is driven by its plan: a function that looks at what the last hop brought
//! back and says what the next one does, until it writes the reply instead.

use crate::error::CommandError;
use crate::keyspace::Moved;
use crate::resp::{Args, Reply};

pub use crate::shard::Route;

/// Called before the first hop (`hop == 0`, no results) and after each: pushes the work of the next hop,
/// or pushes none and has written the reply.
pub type PlanFunction = fn(&mut Plan<'_>) -> Result<(), CommandError>;

/// What a plan sees and says.
pub struct Plan<'a> {
    pub args: Args<'a>,
    pub database: usize,
    /// How many hops are done.
    pub hop: usize,
    pub route: Route,
    /// What the last hop brought back, in the order in which its work was pushed.
    pub results: Vec<StepResult>,
    pub work: Vec<Work>,
    pub reply: Reply<'a>,
}

/// One shard's task in a hop.
pub struct Work {
    pub shard: usize,
    /// Which of the command's steps.
    pub step: usize,
    /// The arguments of the step, a name in front as for any command.
    pub args: Vec<Vec<u8>>,
    pub moved: Option<Moved>,
}

/// What a step answered.
pub struct StepResult {
    pub shard: usize,
    /// The reply of the step, encoded.
    pub reply: Vec<u8>,
    pub moved: Option<Moved>,
}
