//! A stream: entries of fields and values that are ordered by id and only added at the end, and groups of
//! consumers that read them.
//!
//! | file | |
//! | --- | --- |
//! | `id.rs` | the id of an entry |
//! | `ordered.rs` | a sequence that is ordered by id |
//! | `block.rs` | some entries in one allocation |
//! | `log.rs` | all entries |
//! | `group.rs` | consumer groups |
//!
//! To write a stream down, go through [`Log::blocks`] and the [`Groups`] with their pending entries; to make
//! one of that, [`Log::append_restored`] the entries, set what the log knows of those that were, and [`Groups::push`],
//! [`Group::push_consumer`] and [`Group::set_pending`].

mod block;
mod group;
mod id;
mod log;
mod ordered;

pub use block::{Entry, Limits, Pairs};
pub use group::{Consumer, ConsumerNumber, Group, GroupMut, Groups, Pending};
pub use id::{Id, IdText};
pub use log::{ENTRY_BYTES_MAX, Log, RestoredNames};

use super::{Collection, Encoding, Kind, Object};

/// Up to where entries are removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Threshold {
    /// Until there are so many left.
    Length(u64),
    /// All before this id.
    Id(Id),
}

/// How entries are removed from the beginning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Trim {
    pub threshold: Threshold,
    /// Only whole blocks go.
    pub approximate: bool,
    /// At most so many entries go, in whole blocks.
    pub limit: Option<u64>,
}

/// Entries and their readers.
#[derive(Clone, Debug, Default)]
pub struct Stream(Box<Parts>);

#[derive(Clone, Debug, Default)]
struct Parts {
    log: Log,
    groups: Groups,
}

impl Stream {
    pub fn new() -> Stream {
        Stream::default()
    }

    #[inline]
    pub fn log(&self) -> &Log {
        &self.0.log
    }

    #[inline]
    pub fn log_mut(&mut self) -> &mut Log {
        &mut self.0.log
    }

    #[inline]
    pub fn groups(&self) -> &Groups {
        &self.0.groups
    }

    #[inline]
    pub fn groups_mut(&mut self) -> &mut Groups {
        &mut self.0.groups
    }

    /// The entries, and the groups for a change.
    #[inline]
    pub fn log_and_groups(&mut self) -> (&Log, &mut Groups) {
        (&self.0.log, &mut self.0.groups)
    }

    /// Removes entries from the beginning on; how many, and what was cut off to be freed, if it is something.
    pub fn trim(&mut self, trim: Trim) -> (u64, Option<Stream>) {
        let (removed, log) = self.0.log.trim(trim);
        let cut = (log.block_count() > 0).then(|| Stream(Box::new(Parts { log, groups: Groups::default() })));
        (removed, cut)
    }

    /// Takes a group out, to be freed with what is returned.
    pub fn remove_group(&mut self, name: &[u8]) -> Option<Stream> {
        let groups = self.0.groups.remove(name)?;
        Some(Stream(Box::new(Parts { log: Log::default(), groups })))
    }

    /// Verifies what holds between calls.
    #[cfg(test)]
    pub fn check_invariants(&self) {
        self.0.log.check_invariants();
        self.0.groups.check_invariants();
    }
}

impl Collection for Stream {
    kept_as!(Stream);

    fn encoding(&self) -> Encoding {
        Encoding::Stream
    }

    fn heap_bytes(&self) -> usize {
        size_of::<Parts>() + self.0.log.heap_bytes() + self.0.groups.heap_bytes()
    }

    fn parts(&self) -> usize {
        1 + self.0.log.block_count() + self.0.groups.parts()
    }

    fn free_some(&mut self, budget: usize) -> usize {
        match self.0.log.free_some(budget) {
            0 => self.0.groups.free_some(budget),
            some => some,
        }
    }

    /// A stream without entries is a value: it has had some, or has groups.
    fn removes_key(&self) -> bool {
        false
    }
}

#[cfg(test)]
mod tests;
