//! The coordinator: takes a transaction through its phases on all shards it involves.
//!
//! ```text
//!   begin ─► Schedule to all ─► all granted ─► Go to those that write, Release to those that have read
//!                    │                              └─► all work is back: Complete
//!                    └─ one refused ─► Abort to the others ─► all work is back ─► again, with a newer id
//! ```
//!
//! Every shard's share comes home exactly once, whatever happens: run, refused or aborted. Two things make
//! it cheaper than two rounds for everything:
//! - A share that only reads runs when it is granted; its locks are kept until all others are granted.
//! - If one share only is another shard's and this shard's own is granted, the other one runs as soon as it
//!   is granted: by then all locks are held.
//!
//! A transaction of several hops ([`Participation::Held`]) only takes its locks here; its hops run in
//! between, and [`Coordinator::conclude`] ends it.
//!
//! No I/O: it is told what has happened and says what is to be sent. See `shard::queue` for the rules of the
//! locks.

use ahash::HashMap;

use crate::runtime::latch::Latch;
use crate::shard::planted::Bug;
use crate::shard::queue::TransactionId;

/// Clock ticks are counted in units of this many (as a power of two): fine enough to tell transactions
/// apart, coarse enough for decades.
const TICK_SHIFT: u32 = 8;

/// What a share does once it has its locks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Participation {
    /// Its work only reads.
    Reads,
    Writes,
    /// It only reads, if anything; its locks are kept for the hops to come.
    Held,
}

/// What is to be sent.
#[derive(Debug, Clone)]
pub enum Action {
    /// The share `batch` to its shard; `run_when_granted`: it need not ask again. Of the answers of other
    /// shards, to this and to [`Action::Go`], the last one counted by `latch` is to wake this one.
    Schedule { shard: usize, batch: u32, id: TransactionId, run_when_granted: bool, latch: Latch },
    /// Run what was scheduled and let go.
    Go { shard: usize, id: TransactionId },
    /// Let go.
    Release { shard: usize, id: TransactionId },
    /// Let go and give the work back, unless it has come back already.
    Abort { shard: usize, id: TransactionId },
    /// All is done: the replies in this batch count.
    Complete { batch: u32 },
    /// All batches of a transaction have been completed.
    Finished { owner: u32 },
    /// All locks are held: the hops can begin.
    Ready { owner: u32, id: TransactionId },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// The shard has been asked for its locks.
    Asked,
    Granted,
    /// The work is here: not sent yet, run, or given back.
    Home,
}

#[derive(Debug, Clone, Copy)]
struct Share {
    shard: u16,
    batch: u32,
    participation: Participation,
    state: State,
    /// Its locks are held: it was granted, or it has read.
    granted: bool,
}

struct Transaction {
    latch: Latch,
    shares: Vec<Share>,
    /// The caller's number for it, for [`Action::Ready`].
    owner: u32,
    /// Shares that are not granted yet.
    ungranted: usize,
    phase: Phase,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// Locks are asked for; with the second flag, the one other shard's share is still to be sent.
    Locking { last_is_unsent: bool },
    /// All locks are held.
    Running,
    /// Refused by somebody.
    Aborting,
}

/// One shard's coordinator.
pub struct Coordinator {
    shard: usize,
    /// Of the newest id that was made or seen.
    time: u64,
    clock: fn() -> u64,
    under_way: HashMap<TransactionId, Transaction>,
    spare: Vec<(Vec<Share>, Latch)>,
}

impl Coordinator {
    /// `clock` only has to be roughly alike on all shards: ids follow it so that few come late.
    pub fn new(shard: usize, clock: fn() -> u64) -> Self {
        Coordinator { shard, time: 0, clock, under_way: HashMap::default(), spare: Vec::new() }
    }

    /// An id of another shard was seen: the next one made here is newer.
    pub fn observe(&mut self, id: TransactionId) {
        self.time = self.time.max(id.time());
    }

    pub fn is_empty(&self) -> bool {
        self.under_way.is_empty()
    }

    fn next_id(&mut self) -> TransactionId {
        self.time = (self.time + 1).max((self.clock)() >> TICK_SHIFT);
        TransactionId::new(self.time, self.shard)
    }

    /// A transaction begins: its shares by shard and batch.
    pub fn begin(
        &mut self,
        owner: u32,
        shares: impl Iterator<Item = (usize, u32, Participation)>,
        actions: &mut Vec<Action>,
    ) {
        let (mut list, latch) = self.spare.pop().unwrap_or_default();
        list.extend(shares.map(|(shard, batch, participation)| Share {
            shard: shard as u16,
            batch,
            participation,
            state: State::Home,
            granted: false,
        }));
        let phase = Phase::Locking { last_is_unsent: false };
        let ungranted = list.len();
        self.start(Transaction { latch, shares: list, owner, ungranted, phase }, actions);
    }

    fn start(&mut self, mut transaction: Transaction, actions: &mut Vec<Action>) {
        let id = self.next_id();
        // The own share is asked for first: its answer is there at once.
        let own = self.shard as u16;
        let shares = &mut transaction.shares;
        let held = shares.iter().any(|share| share.participation == Participation::Held);
        let last_is_unsent = !held && shares.len() == 2 && shares.iter().any(|share| share.shard == own);
        transaction.phase = Phase::Locking { last_is_unsent };
        let others = shares.iter().filter(|share| share.shard != own).count() as u32;
        transaction.latch.expect(others);
        for share in shares.iter_mut() {
            if last_is_unsent && share.shard != own {
                continue;
            }
            share.state = State::Asked;
            let (shard, batch) = (share.shard as usize, share.batch);
            let latch = transaction.latch.clone();
            let run_when_granted = Bug::RunsTooEarly.is_planted() && !held && !last_is_unsent;
            actions.push(Action::Schedule { shard, batch, id, run_when_granted, latch });
        }
        self.under_way.insert(id, transaction);
    }

    /// The locks of a share are held; of one that reads, the work has come home with that.
    pub fn granted(&mut self, id: TransactionId, from: usize, home: bool, actions: &mut Vec<Action>) {
        let Some(transaction) = self.under_way.get_mut(&id) else { return };
        let Some(share) = transaction.shares.iter_mut().find(|share| share.shard as usize == from) else {
            return;
        };
        share.state = if home { State::Home } else { State::Granted };
        share.granted = true;
        transaction.ungranted -= 1;
        match transaction.phase {
            Phase::Locking { last_is_unsent: true } => {
                transaction.phase = Phase::Locking { last_is_unsent: false };
                let own = self.shard as u16;
                if let Some(last) = transaction.shares.iter_mut().find(|share| share.shard != own) {
                    last.state = State::Asked;
                    let (shard, batch) = (last.shard as usize, last.batch);
                    let latch = transaction.latch.clone();
                    actions.push(Action::Schedule { shard, batch, id, run_when_granted: true, latch });
                }
            }
            Phase::Locking { .. } if transaction.ungranted == 0 => self.run(id, actions),
            // An answer that crossed an abort: the abort brings its work home.
            _ => self.settle(id, actions),
        }
    }

    /// All locks are held.
    fn run(&mut self, id: TransactionId, actions: &mut Vec<Action>) {
        let Some(transaction) = self.under_way.get_mut(&id) else { return };
        transaction.phase = Phase::Running;
        let own = self.shard as u16;
        let to_run = |share: &&Share| share.state == State::Granted && share.shard != own;
        transaction.latch.expect(transaction.shares.iter().filter(to_run).count() as u32);
        let mut held = false;
        for share in &transaction.shares {
            let shard = share.shard as usize;
            match (share.participation, share.state) {
                (Participation::Held, _) => held = true,
                (_, State::Granted) => actions.push(Action::Go { shard, id }),
                // What ran when it was granted has let go.
                (Participation::Writes, _) => {}
                (Participation::Reads, _) => actions.push(Action::Release { shard, id }),
            }
        }
        if held {
            actions.push(Action::Ready { owner: transaction.owner, id });
        } else {
            self.settle(id, actions);
        }
    }

    /// The work of a share has come home. `ran`: it has let go, and needed not ask again if it was to run
    /// when granted. Otherwise it was given back after an abort.
    pub fn home(&mut self, id: TransactionId, from: usize, actions: &mut Vec<Action>) {
        let Some(transaction) = self.under_way.get_mut(&id) else { return };
        let Some(share) = transaction.shares.iter_mut().find(|share| share.shard as usize == from) else {
            return;
        };
        share.state = State::Home;
        let first_answer = !share.granted;
        if first_answer && transaction.phase != Phase::Aborting {
            // It ran when it was granted.
            share.granted = true;
            share.participation = Participation::Writes;
            transaction.ungranted -= 1;
            if transaction.ungranted == 0 {
                return self.run(id, actions);
            }
        }
        self.settle(id, actions);
    }

    /// A share was refused; its work has come home.
    pub fn refused(
        &mut self,
        id: TransactionId,
        from: usize,
        newest: TransactionId,
        actions: &mut Vec<Action>,
    ) {
        self.observe(newest);
        let Some(transaction) = self.under_way.get_mut(&id) else { return };
        let first = transaction.phase != Phase::Aborting;
        transaction.phase = Phase::Aborting;
        for share in &mut transaction.shares {
            if share.shard as usize == from {
                share.state = State::Home;
            } else if first && (share.state != State::Home || share.granted) {
                actions.push(Action::Abort { shard: share.shard as usize, id });
            }
        }
        self.settle(id, actions);
    }

    /// Whether all work is home, and what follows.
    fn settle(&mut self, id: TransactionId, actions: &mut Vec<Action>) {
        let Some(transaction) = self.under_way.get(&id) else { return };
        if transaction.shares.iter().any(|share| share.state != State::Home) {
            return;
        }
        match transaction.phase {
            Phase::Locking { .. } => {}
            Phase::Running => {
                actions
                    .extend(transaction.shares.iter().map(|share| Action::Complete { batch: share.batch }));
                actions.push(Action::Finished { owner: transaction.owner });
                self.forget(id);
            }
            Phase::Aborting => {
                let Some(mut transaction) = self.under_way.remove(&id) else { return };
                for share in &mut transaction.shares {
                    share.granted = false;
                }
                transaction.ungranted = transaction.shares.len();
                // Not all answers that were expected have come.
                transaction.latch = Latch::default();
                self.start(transaction, actions);
            }
        }
    }

    /// The hops of a transaction that holds its locks are done.
    pub fn conclude(&mut self, id: TransactionId, actions: &mut Vec<Action>) {
        let Some(transaction) = self.under_way.get(&id) else { return };
        for share in &transaction.shares {
            actions.push(Action::Release { shard: share.shard as usize, id });
        }
        self.forget(id);
    }

    fn forget(&mut self, id: TransactionId) {
        if let Some(mut transaction) = self.under_way.remove(&id) {
            transaction.shares.clear();
            self.spare.push((transaction.shares, transaction.latch));
        }
    }
}

#[cfg(test)]
mod tests;
