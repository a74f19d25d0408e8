//! What a load sends: one or several kinds of requests, and how the bytes of the next ones are made.

use crate::check::{Check, Missed};
use crate::command::{Requests, Test};
use crate::keys::{KeySet, Random};
use crate::tally::KindName;

/// All that the workers of a run have to know of it.
#[derive(Debug, Clone)]
pub struct Workload {
    pub name: String,
    pub kinds: Vec<KindName>,
    /// One for each kind.
    pub checks: Vec<Check>,
    /// Connections besides those of the load, and what each is for.
    pub own_connections: Vec<Role>,
    /// The distribution of keys, in words.
    pub distribution: String,
    content: Content,
}

#[derive(Debug, Clone)]
enum Content {
    Test {
        requests: Requests,
        /// Random numbers stay below this.
        range: u64,
    },
}

/// What a connection draws from.
#[derive(Debug, Clone)]
pub struct Draws {
    pub random: Random,
    pub keys: KeySet,
    /// The connection's number, counted over all threads.
    pub number: u64,
}

/// What a connection is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// It takes its part of the load.
    Load,
    /// It sends requests of this kind, one after the other, whatever the load is.
    Own(u16),
    /// It subscribes and gets messages, which are counted as this kind.
    Subscriber(u16),
}

impl Workload {
    /// One test of the command line; a mixture has a second kind.
    pub fn of_test(test: &Test, range: u64) -> Workload {
        let other = test.other();
        let tests = || std::iter::once(test).chain(&other);
        // Of a mixture the first kind is called as it is without the other.
        let name = |test: &Test| if other.is_some() { test.base_name() } else { test.name.clone() };
        Workload {
            name: test.name.clone(),
            kinds: tests().map(|test| KindName { name: name(test), apart: false }).collect(),
            checks: tests().map(Check::of_test).collect(),
            own_connections: Vec::new(),
            distribution: "uniform".into(),
            content: Content::Test { requests: test.requests(), range },
        }
    }

    /// A buffer for pipelines of at most so many requests.
    pub fn buffer(&self, pipeline: usize) -> Vec<u8> {
        match &self.content {
            Content::Test { requests, .. } => requests.buffer(pipeline),
        }
    }

    /// Makes a whole pipeline in a buffer that is empty or held one before, and tells what is in it: kinds,
    /// numbers of requests and keys.
    #[inline]
    pub fn fill(
        &self,
        buffer: &mut Vec<u8>,
        requests: usize,
        draws: &mut Draws,
        mut sent: impl FnMut(u16, u32, u64),
    ) {
        match &self.content {
            Content::Test { requests: test, range } => {
                test.fill(buffer, requests, &mut draws.random, &draws.keys, *range, |kind, count| {
                    sent(kind, count, 0);
                });
            }
        }
    }

    /// Appends one request; its kind and key.
    #[inline]
    pub fn append(&self, buffer: &mut Vec<u8>, draws: &mut Draws) -> (u16, u64) {
        match &self.content {
            Content::Test { requests, range } => {
                (requests.append(buffer, &mut draws.random, &draws.keys, *range), 0)
            }
        }
    }

    /// Appends what follows upon a miss.
    pub fn follow_up(&self, _missed: Missed, _buffer: &mut Vec<u8>, _draws: &mut Draws) {
        match &self.content {
            // No test follows up on anything.
            Content::Test { .. } => {}
        }
    }

    /// Appends what a connection of this role sends.
    pub fn append_own(&self, _role: Role, _buffer: &mut Vec<u8>, _draws: &mut Draws) {
        match &self.content {
            Content::Test { .. } => {}
        }
    }
}
