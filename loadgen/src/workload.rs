//! What a load sends: one or several kinds of requests, and how the bytes of the next ones are made.

use crate::check::{Check, Missed};
use crate::command::{Requests, Test};
use crate::draws::{Distribution, KeySet};
use crate::keys::Random;
use crate::profile::compile::Parts;
use crate::profile::requests::{Compiled, State};
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
    /// Keys and the longest value, where a profile decides them.
    pub keys: Option<u64>,
    pub value_bytes: Option<u32>,
    content: Content,
}

#[derive(Debug, Clone)]
enum Content {
    Test {
        requests: Requests,
        /// Random numbers stay below this.
        range: u64,
    },
    Profile(Compiled),
}

/// What a connection draws from.
#[derive(Debug, Clone)]
pub struct Draws {
    pub random: Random,
    pub keys: KeySet,
    pub state: State,
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
    pub fn of_test(test: &Test, range: u64, distribution: &Distribution) -> Workload {
        let other = test.other();
        let tests = || std::iter::once(test).chain(&other);
        // Of a mixture the first kind is called as it is without the other.
        let name = |test: &Test| if other.is_some() { test.base_name() } else { test.name.clone() };
        Workload {
            name: test.name.clone(),
            kinds: tests().map(|test| KindName { name: name(test), apart: false }).collect(),
            checks: tests().map(Check::of_test).collect(),
            own_connections: Vec::new(),
            distribution: distribution.words(),
            keys: None,
            value_bytes: None,
            content: Content::Test { requests: test.requests(), range },
        }
    }

    /// A profile; its other parts are used up before.
    pub fn of_profile(name: &str, parts: Parts) -> Workload {
        Workload {
            name: name.to_string(),
            kinds: parts.kinds,
            checks: parts.checks,
            own_connections: parts.own_connections,
            distribution: parts.distribution,
            keys: Some(parts.keys),
            value_bytes: u32::try_from(parts.value_bytes).ok(),
            content: Content::Profile(parts.compiled),
        }
    }

    /// What stands for a load that cannot run.
    pub fn nothing(name: &str) -> Workload {
        let ping = Test::of_words(&[], 0);
        Workload {
            kinds: Vec::new(),
            checks: Vec::new(),
            name: name.into(),
            ..Workload::of_test(&ping, 1, &Distribution::Uniform)
        }
    }

    /// The node of each connection: of the `clients` of the load, then of the others. The error says why there
    /// are too few.
    pub fn place(&self, clients: usize, nodes: usize) -> Result<Vec<usize>, String> {
        let place = |kind, count| match &self.content {
            Content::Test { .. } => Ok((0..count).map(|number| number % nodes).collect()),
            Content::Profile(compiled) => compiled.place(kind, count, nodes),
        };
        let mut placed: Vec<usize> = place(None, clients)?;
        for same in self.own_connections.chunk_by(|a, b| a == b) {
            let (Role::Own(kind) | Role::Subscriber(kind)) = same[0] else { continue };
            placed.extend(place(Some(kind), same.len())?);
        }
        Ok(placed)
    }

    /// A buffer for pipelines of at most so many requests.
    pub fn buffer(&self, pipeline: usize) -> Vec<u8> {
        match &self.content {
            Content::Test { requests, .. } => requests.buffer(pipeline),
            Content::Profile(_) => Vec::new(),
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
                test.fill(buffer, requests, &mut draws.random, &mut draws.keys, *range, |kind, count| {
                    sent(kind, count, 0);
                });
            }
            Content::Profile(_) => {
                buffer.clear();
                for _ in 0..requests {
                    let (kind, key) = self.append(buffer, draws);
                    sent(kind, 1, key);
                }
            }
        }
    }

    /// Appends one request; its kind and key.
    #[inline]
    pub fn append(&self, buffer: &mut Vec<u8>, draws: &mut Draws) -> (u16, u64) {
        match &self.content {
            Content::Test { requests, range } => {
                (requests.append(buffer, &mut draws.random, &mut draws.keys, *range), 0)
            }
            Content::Profile(compiled) => compiled.append(buffer, &mut draws.random, &mut draws.state),
        }
    }

    /// Appends what follows upon a miss.
    pub fn follow_up(&self, missed: Missed, buffer: &mut Vec<u8>, draws: &mut Draws) {
        self.append_kind(missed.kind, Some(missed.key), buffer, draws);
    }

    /// Appends what a connection of this role sends.
    pub fn append_own(&self, role: Role, buffer: &mut Vec<u8>, draws: &mut Draws) {
        if let Role::Own(kind) | Role::Subscriber(kind) = role {
            self.append_kind(kind, None, buffer, draws);
        }
    }

    /// Only profiles have other kinds than those of the load.
    fn append_kind(&self, kind: u16, first_key: Option<u64>, buffer: &mut Vec<u8>, draws: &mut Draws) {
        if let Content::Profile(compiled) = &self.content {
            compiled.append_kind(kind, first_key, buffer, &mut draws.random, &mut draws.state);
        }
    }
}
