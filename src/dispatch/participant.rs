//! A shard's part in the transactions of all coordinators: takes locks, runs shares when they may, and puts
//! off what is in the way of a transaction.
//!
//! ```text
//!   Schedule ─► queue ─► granted ─┬─ only reads: run, Read back, locks stay until Release
//!                                 ├─ run when granted: run, let go, Done back
//!                                 └─ else: Granted back ─► Go: run, let go, Done back
//!   a plain group that meets a conflict ─► the queue's last place ─► granted: run, let go, Late back
//! ```

use crate::commands::keyspec::{find_keys, reads_anywhere};
use crate::commands::{Command, Run, Split, flag, key_flag};
use crate::keyspace::Keyspace;
use crate::resp::{Args, Span};
use crate::shard::batch::{Batch, BatchKind, ItemHeader};
use crate::shard::locks::Intent;
use crate::shard::mailbox::Message;
use crate::shard::planted::Bug;
use crate::shard::queue::{Scheduled, TransactionId};

use super::Dispatcher;
use super::burst::Call;
use super::local::put_item;

/// What waits in a shard's queue.
pub enum Work {
    /// A share of a transaction.
    Share(Box<Batch>),
    /// A group of a plain batch that met a conflict.
    Group(Box<Batch>),
}

/// Whether a command may change what it touches.
#[inline(always)]
pub fn writes(command: &Command) -> bool {
    command.flags & (flag::WRITE | flag::MAY_REPLICATE) != 0
}

/// What a command is going to do with which keys; `call` has the hash of its first key.
#[inline]
pub fn push_intents(
    command: &Command,
    args: &Args<'_>,
    call: &Call,
    keyspace: &Keyspace,
    intents: &mut Vec<Intent>,
) {
    match command.run {
        Some(Run::OneShard(_)) if call.has_key() => intents.push(Intent::key(call.hash, writes(command))),
        Some(Run::EachShard { split: Split::Everywhere, .. }) => intents.push(Intent::whole(writes(command))),
        Some(Run::EachShard { .. } | Run::Hops { .. } | Run::Wait { .. }) => {
            let mut keys = Vec::new();
            find_keys(command, args, &mut keys);
            if reads_anywhere(command, args) {
                intents.push(Intent::whole(false));
            }
            intents.extend(keys.iter().map(|key| {
                let writes = writes(command) && key_flag::is_written(key.flags);
                Intent::key(keyspace.hash_of(args.get(key.index)), writes)
            }));
        }
        _ => {}
    }
}

impl Dispatcher {
    /// A share has arrived.
    pub(super) fn schedule(&mut self, batch: Box<Batch>) {
        let id = batch.transaction;
        self.coordinator.observe(id);
        let mut batch = batch;
        let intents = std::mem::take(&mut batch.intents);
        match self.queue.schedule(id, &intents, Work::Share(batch)) {
            Scheduled::Granted => {
                self.return_intents(id, intents);
                self.granted_here(id);
            }
            Scheduled::Waiting => self.return_intents(id, intents),
            Scheduled::Refused { newest, work: Work::Share(mut batch) | Work::Group(mut batch) } => {
                batch.intents = intents;
                let origin = batch.origin as usize;
                self.send(origin, Message::Refused(batch, newest));
            }
        }
    }

    /// The coordinator may need them again.
    fn return_intents(&mut self, id: TransactionId, intents: Vec<Intent>) {
        if let Some(Work::Share(batch)) = self.queue.work_mut(id) {
            batch.intents = intents;
        }
    }

    /// A transaction has its locks on this shard.
    fn granted_here(&mut self, id: TransactionId) {
        match self.queue.work_mut(id) {
            Some(Work::Share(batch)) if batch.run_when_granted => self.run_share(id),
            Some(Work::Share(batch)) if !batch.writes => {
                let Some(Work::Share(batch) | Work::Group(batch)) = self.queue.take_work(id) else { return };
                let origin = batch.origin as usize;
                let batch = self.execute(batch);
                let latch = batch.latch.clone();
                self.answer(origin, Message::Read(batch), &latch);
                if Bug::ReadLetsGo.is_planted() {
                    self.queue.conclude(id);
                }
            }
            Some(Work::Share(batch)) => {
                let (origin, latch) = (batch.origin as usize, batch.latch.clone());
                self.answer(origin, Message::Granted(id), &latch);
            }
            Some(Work::Group(_)) => {
                let Some(Work::Share(batch) | Work::Group(batch)) = self.queue.take_work(id) else { return };
                let origin = batch.origin as usize;
                let batch = self.execute(batch);
                if batch.groups.iter().any(|group| group.deferred) {
                    // Its client is parked now.
                    self.batches.recycle(batch);
                } else {
                    self.send(origin, Message::Late(batch));
                }
                self.queue.conclude(id);
            }
            None => {}
        }
    }

    /// Runs a share and lets go of its locks.
    pub(super) fn run_share(&mut self, id: TransactionId) {
        let Some(Work::Share(batch) | Work::Group(batch)) = self.queue.take_work(id) else { return };
        let origin = batch.origin as usize;
        let batch = self.execute(batch);
        self.queue.conclude(id);
        let latch = batch.latch.clone();
        self.answer(origin, Message::Done(batch), &latch);
    }

    /// A transaction lets go, having done what it wanted.
    pub(super) fn release_share(&mut self, id: TransactionId) {
        self.queue.conclude(id);
    }

    /// A transaction lets go without having run.
    pub(super) fn abort_share(&mut self, id: TransactionId) {
        let origin = id.shard();
        let kept = Bug::AbortKeepsLocks.is_planted();
        match if kept { self.queue.take_work(id) } else { self.queue.conclude(id) } {
            Some(Work::Share(batch) | Work::Group(batch)) => self.send(origin, Message::Aborted(batch)),
            // It has read, and its answer may lie there unheard: nobody counts answers any more.
            None if origin != self.shard.id => self.mailbox.wake(origin),
            None => {}
        }
    }

    /// Goes on with those that have been granted by the end of others; to be called after each of the above.
    pub(super) fn grant_next(&mut self) {
        while let Some(id) = self.queue.next_granted() {
            self.granted_here(id);
        }
        if !self.parking.is_empty() && !Bug::PostponedForgotten.is_planted() {
            self.serve_postponed();
        }
    }

    /// Puts off the groups of a plain batch that are in the way of a transaction.
    pub(super) fn defer_groups(&mut self, batch: &mut Batch, items: &[(ItemHeader, u32)], spans: &[Span]) {
        for index in 0..batch.groups.len() {
            if !self.queue.conflicts(batch.intents_of(index)) || Bug::ElsewhereUnguarded.is_planted() {
                continue;
            }
            let mut later = self.batches.take_empty();
            copy_group(batch, index, &mut later, items, spans);
            let intents = std::mem::take(&mut later.intents);
            self.queue.schedule_last(&intents, Work::Group(later));
            self.shard.metrics.commands_deferred += u64::from(batch.groups[index].count);
            batch.groups[index].deferred = true;
        }
    }
}

/// Copies a group into a batch of its own; big arguments move.
fn copy_group(
    batch: &mut Batch,
    index: usize,
    later: &mut Batch,
    items: &[(ItemHeader, u32)],
    spans: &[Span],
) {
    let group = batch.groups[index];
    later.origin = batch.origin;
    later.target = batch.target;
    later.number = batch.number;
    // Its conflicts have been dealt with when it runs.
    later.kind = BatchKind::Hop;
    later.intents.extend_from_slice(batch.intents_of(index));
    let (bytes, owned, _) = batch.parts();
    for &(header, first) in &items[group.first as usize..(group.first + group.count) as usize] {
        let spans = &spans[first as usize..(first + header.arguments) as usize];
        put_item(later, header, Args::new(bytes, spans, owned));
    }
    later.end_group(group.wait);
}
