//! Commands of several hops.
//!
//! Such a command is driven by its plan: a function that looks at what the last hop brought
//! back and says what the next one does, until it writes the reply instead.

use crate::error::CommandError;
use crate::keyspace::Moved;
use crate::resp::{Args, Reply, number};
use crate::shard::Route;

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
    /// The client has waited: a key of another type is none that it waits for.
    pub again: bool,
    /// Set with the null that is the reply: outside of EXEC the client waits for elements, so many
    /// milliseconds, or for ever if it is 0.
    pub park: Option<i64>,
    /// With `park`: the command line with which it waits, unless that is its own.
    pub waits_as: Option<Vec<Vec<u8>>>,
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

impl Plan<'_> {
    /// Has `shard` do `step` in the next hop, with all arguments of the command.
    pub fn push(&mut self, shard: usize, step: usize) {
        let args = self.args.iter().map(<[u8]>::to_vec).collect();
        self.work.push(Work { shard, step, args, moved: None });
    }

    /// The shard that owns the key at argument `index`.
    pub fn shard_of(&self, index: usize) -> usize {
        self.route.shard_of(self.args.get(index))
    }

    /// Answers with the first error among the results of the last hop; says whether there was one.
    pub fn reply_error(&mut self) -> bool {
        let error = self.results.iter().find(|result| result.reply.first() == Some(&b'-'));
        if let Some(error) = error {
            self.reply.encoded(&error.reply);
        }
        error.is_some()
    }
}

impl StepResult {
    /// The answer, if it is an integer.
    pub fn integer(&self) -> Option<i64> {
        number::parse_integer(self.reply.strip_prefix(b":")?.strip_suffix(b"\r\n")?)
    }

    /// The answer, if it is a bulk string; `None` for null, too.
    pub fn bulk(&self) -> Option<&[u8]> {
        let rest = self.reply.strip_prefix(b"$")?;
        let end = rest.iter().position(|&byte| byte == b'\r')?;
        let length = usize::try_from(number::parse_integer(&rest[..end])?).ok()?;
        rest.get(end + 2..end + 2 + length)
    }
}
