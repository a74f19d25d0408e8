//! Connections that wait for other shards, by number.

use crate::runtime::engine::Token;

use super::command::Coordination;
use super::exec::{Exec, Watching};
use super::segment::Slot;

/// Waits kept for the next use.
const POOL_MAX: usize = 256;

/// What a connection waits for.
pub struct Wait {
    pub token: Token,
    /// Batches that are not back yet.
    pub outstanding: u32,
    /// The batches it has items in.
    pub parts: Vec<PartOf>,
    pub kind: Kind,
    /// Replies are dropped (CLIENT REPLY OFF).
    pub silent: bool,
    /// The shard on which the client is parked.
    pub parked_on: Option<u16>,
}

/// A stretch of items in a batch. Its batch is [`DEFERRED`] while its replies are yet to come in another.
#[derive(Debug, Clone, Copy)]
pub struct PartOf {
    pub batch: u32,
    pub first: u32,
    pub count: u32,
}

/// In place of a batch's number; `first` is then the shard from which the replies will come.
pub const DEFERRED: u32 = u32::MAX;

/// In place of a wait's number: the replies are nobody's.
pub const NOBODY: u32 = u32::MAX;

pub enum Kind {
    /// Single commands: for each, in the order of the requests, the part that its reply is in.
    Burst(Vec<u16>),
    /// Commands of which some are divided among shards.
    Segment(Vec<Slot>),
    /// One command on several shards.
    Command(Box<Coordination>),
    /// A segment of an EXEC, or its locks.
    Exec(Box<Exec>),
    /// Elements in keys of several shards: the number of the block.
    Blocked(u64),
    /// The versions of keys that are to be watched.
    Watch(Box<Watching>),
}

#[derive(Default)]
pub struct Waits {
    slots: Vec<Option<Box<Wait>>>,
    free: Vec<u32>,
    #[allow(clippy::vec_box, reason = "starting and ending a wait moves a pointer")]
    pool: Vec<Box<Wait>>,
    count: usize,
}

impl Waits {
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// An empty burst, with the buffers of an earlier one.
    pub fn new_burst(&mut self, token: Token) -> Box<Wait> {
        let mut wait = self.pool.pop().unwrap_or_else(|| {
            Box::new(Wait {
                token,
                outstanding: 0,
                parts: Vec::new(),
                kind: Kind::Burst(Vec::new()),
                silent: false,
                parked_on: None,
            })
        });
        wait.token = token;
        wait.silent = false;
        wait.parked_on = None;
        wait
    }

    fn get(&self, number: u32) -> Option<&Wait> {
        self.slots.get(number as usize)?.as_deref()
    }

    pub fn kind(&self, number: u32) -> Option<&Kind> {
        self.get(number).map(|wait| &wait.kind)
    }

    pub fn token(&self, number: u32) -> Option<Token> {
        self.get(number).map(|wait| wait.token)
    }

    /// The client of a wait is parked on `shard`. The batch in which that was found is yet to come.
    pub fn park(&mut self, number: u32, shard: usize) {
        if let Some(Some(wait)) = self.slots.get_mut(number as usize) {
            wait.parked_on = Some(shard as u16);
        }
    }

    /// The shard on which the client of a wait is parked.
    pub fn parked_on(&self, number: u32) -> Option<usize> {
        self.get(number)?.parked_on.map(usize::from)
    }

    /// Registers a wait: its number, and itself in its place.
    pub fn insert(&mut self, wait: Box<Wait>) -> (u32, &mut Wait) {
        self.count += 1;
        let number = self.free.pop().unwrap_or_else(|| {
            self.slots.push(None);
            self.slots.len() as u32 - 1
        });
        (number, self.slots[number as usize].insert(wait))
    }

    /// The replies in this batch were put off: they will come from the same shard in another one.
    pub fn put_off(&mut self, number: u32, batch: u32, shard: u16) {
        if let Some(Some(wait)) = self.slots.get_mut(number as usize)
            && let Some(part) = wait.parts.iter_mut().find(|part| part.batch == batch)
        {
            part.batch = DEFERRED;
            part.first = u32::from(shard);
        }
    }

    /// What was put off is here.
    pub fn came_late(&mut self, number: u32, batch: u32, shard: u16) {
        if let Some(Some(wait)) = self.slots.get_mut(number as usize) {
            let late = |part: &&mut PartOf| part.batch == DEFERRED && part.first == u32::from(shard);
            if let Some(part) = wait.parts.iter_mut().find(late) {
                part.batch = batch;
                part.first = 0;
            }
        }
    }

    /// Takes a wait out before any of its batches has come.
    pub fn remove(&mut self, number: u32) -> Option<Box<Wait>> {
        let wait = self.slots.get_mut(number as usize)?.take()?;
        self.count -= 1;
        self.free.push(number);
        Some(wait)
    }

    /// One of the batches is back; the whole wait, if it was the last.
    pub fn batch_came(&mut self, number: u32) -> Option<Box<Wait>> {
        let wait = self.slots.get_mut(number as usize)?.as_mut()?;
        wait.outstanding -= 1;
        if wait.outstanding > 0 {
            return None;
        }
        self.remove(number)
    }

    /// Keeps the buffers of a finished burst.
    pub fn recycle(&mut self, mut wait: Box<Wait>) {
        if let Kind::Burst(order) = &mut wait.kind
            && self.pool.len() < POOL_MAX
        {
            order.clear();
            wait.parts.clear();
            self.pool.push(wait);
        }
    }
}
