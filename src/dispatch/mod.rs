//! From the commands of a connection to their replies: gates, routing, local runs, work for other shards.
//!
//! ```text
//!   burst of commands ─► resolve: record, hash, shard; prefetch
//!                     ─► all of this shard?  run them in place, replies to the connection
//!                     ─► else                append each to the batch for its shard, connection waits
//!   flush ─► batches to the mesh ─► run on the owner ─► batches come back ─► replies in order
//! ```
//!
//! [`Dispatcher`] is the core of one shard's data plane. It knows no sockets: `net` hands it bytes and
//! takes output from the sessions. A connection that waits for other shards gets its next commands run
//! when all replies are there, so replies leave in the order of the requests.

mod batches;
mod block;
mod burst;
mod command;
mod exec;
mod fetch;
mod gate;
mod local;
mod monitor;
mod park;
mod participant;
mod remote;
mod segment;
mod wait;

use std::collections::VecDeque;

use crate::commands::CommandTable;
use crate::runtime::clock::Ticks;
use crate::runtime::engine::Token;
use crate::runtime::latch::Latch;
use crate::shard::Shard;
use crate::shard::batch::{Batch, BatchKind};
use crate::shard::mailbox::{Mailbox, Message, Wake};
use crate::shard::queue::Queue;
use crate::transaction::{Action, Coordinator, Participation};

pub use burst::Burst;
pub use local::Served;

use batches::Batches;
use command::DividedKey;
use park::Parking;
use participant::Work;
use remote::Executor;
use wait::Waits;

/// The owner of a transaction that was made of all that had collected.
const MERGED: u32 = u32::MAX;
/// So many of them are under way at once: the more that waits is merged, the less it costs, and where keys
/// are in conflict they would only wait for each other.
const MERGED_UNDER_WAY_MAX: u32 = 1;

/// One shard's way from commands to replies.
pub struct Dispatcher {
    pub shard: Shard,
    pub table: CommandTable,
    pub mailbox: Mailbox,
    batches: Batches,
    waits: Waits,
    executor: Executor,
    /// Clients that wait for elements.
    parking: Parking,
    /// Their answers, on their way.
    #[allow(clippy::vec_box, reason = "batches travel in their boxes")]
    late: Vec<Box<Batch>>,
    /// The commands of an EXEC run at this moment, in place.
    exec_running: bool,
    /// The position of WATCH in the command table.
    watch_command: u16,
    /// The transactions of this shard's connections.
    coordinator: Coordinator,
    /// Transactions under way that were made of what had collected.
    merged_under_way: u32,
    /// What the coordinator wants done.
    actions: Vec<Action>,
    /// Transactions of all shards that want something here.
    queue: Queue<Work>,
    /// Shares that have come and are not scheduled yet.
    #[allow(clippy::vec_box, reason = "batches travel in their boxes")]
    arrived: Vec<Box<Batch>>,
    /// Messages from this shard to itself.
    loopback: VecDeque<Message>,
    /// Sessions whose replies have all come: their next commands can run.
    resumable: Vec<Token>,
    /// The keys of the command that is being divided.
    divided: Vec<DividedKey>,
}

impl Dispatcher {
    pub fn new(shard: Shard, table: CommandTable, mailbox: Mailbox) -> Self {
        Dispatcher::with_clock(shard, table, mailbox, Ticks::now)
    }

    /// With another clock for the ids of transactions.
    pub fn with_clock(shard: Shard, table: CommandTable, mailbox: Mailbox, clock: fn() -> u64) -> Self {
        let watch = table.find(b"watch");
        Dispatcher {
            watch_command: watch.map_or(u16::MAX, |id| id.0),
            batches: Batches::new(shard.route.shards()),
            waits: Waits::default(),
            executor: Executor::default(),
            parking: Parking::default(),
            late: Vec::new(),
            exec_running: false,
            coordinator: Coordinator::new(shard.id, clock),
            merged_under_way: 0,
            actions: Vec::new(),
            queue: Queue::default(),
            arrived: Vec::new(),
            loopback: VecDeque::new(),
            resumable: Vec::new(),
            divided: Vec::new(),
            shard,
            table,
            mailbox,
        }
    }

    /// Whether other shards work for connections of this one.
    pub fn has_outstanding(&self) -> bool {
        !self.waits.is_empty() || !self.coordinator.is_empty()
    }

    /// Transactions that want something of this shard.
    pub fn queued_transactions(&self) -> usize {
        self.queue.len()
    }

    /// Whether keys of this shard are locked.
    pub fn has_locks(&self) -> bool {
        self.queue.has_locks()
    }

    /// Transactions of this shard's connections that were refused by another and began again.
    pub fn retried_transactions(&self) -> u64 {
        self.shard.metrics.transactions_refused
    }

    /// Batches that somebody still needs.
    pub fn batches_in_use(&self) -> usize {
        self.batches.in_use()
    }

    /// A session to go on with.
    pub fn next_resumable(&mut self) -> Option<Token> {
        self.resumable.pop()
    }

    /// Sends the batches that were opened in this turn on their way, and deals with what this shard has for
    /// itself.
    pub fn flush(&mut self) {
        if !self.shard.unwatched.is_empty() {
            self.send_unwatched();
        }
        if !self.shard.unblocked.is_empty() {
            self.unblock_clients();
        }
        loop {
            for batch in std::mem::take(&mut self.late) {
                self.send(batch.origin as usize, Message::Late(batch));
            }
            self.begin_transaction();
            for kind in [BatchKind::Plain, BatchKind::Hop] {
                while let Some((target, number)) = self.batches.next_open(kind) {
                    if let Some(batch) = self.batches.lend(number) {
                        self.send(target, Message::Run(batch));
                    }
                }
            }
            let Some(message) = self.loopback.pop_front() else { break };
            self.handle(self.shard.id, message);
        }
        for (shard, feed) in std::mem::take(&mut self.shard.feeds) {
            self.send(shard, Message::Feed(Box::new(feed)));
        }
        for id in std::mem::take(&mut self.shard.monitors_gone) {
            for shard in 0..self.mailbox.shards() {
                self.send(shard, Message::MonitorGone(id));
            }
        }
    }

    /// What collected in shares since the last time becomes one transaction; while enough are under way it
    /// goes on collecting.
    fn begin_transaction(&mut self) {
        if self.merged_under_way == MERGED_UNDER_WAY_MAX {
            return;
        }
        let Some(first) = self.batches.next_open(BatchKind::Share) else { return };
        self.merged_under_way += 1;
        self.shard.metrics.transactions += 1;
        let mut shares = vec![first];
        shares.extend(std::iter::from_fn(|| self.batches.next_open(BatchKind::Share)));
        let Dispatcher { batches, coordinator, actions, .. } = self;
        let shares = shares.into_iter().map(|(target, number)| {
            let writes = batches.batch_mut(number).writes;
            (target, number, if writes { Participation::Writes } else { Participation::Reads })
        });
        coordinator.begin(MERGED, shares, actions);
        self.carry_out();
    }

    /// Does what the coordinator wants done.
    fn carry_out(&mut self) {
        let mut actions = std::mem::take(&mut self.actions);
        for action in actions.drain(..) {
            match action {
                Action::Schedule { shard, batch, id, run_when_granted, latch } => {
                    let Some(mut batch) = self.batches.lend(batch) else { continue };
                    batch.forget_replies();
                    batch.transaction = id;
                    batch.run_when_granted = run_when_granted;
                    batch.latch = latch;
                    self.send(shard, Message::Schedule(batch));
                }
                Action::Go { shard, id } => self.send(shard, Message::Go(id)),
                Action::Release { shard, id } => {
                    self.send_with(shard, Message::Release(id), Wake::IfWaiting);
                }
                Action::Abort { shard, id } => self.send(shard, Message::Abort(id)),
                Action::Complete { batch } => self.complete(batch),
                Action::Finished { owner } => self.merged_under_way -= u32::from(owner == MERGED),
                Action::Ready { owner, id } => self.begin_hops(owner, id),
            }
        }
        // What was done may have asked for more, which went to `actions` and was carried out.
        self.actions = actions;
    }

    /// Clients that wait for elements on this shard.
    pub fn parked_clients(&self) -> usize {
        self.parking.len()
    }

    /// When the first of them has waited long enough, in unix milliseconds.
    pub fn next_deadline_ms(&self) -> Option<i64> {
        self.parking.next_deadline_ms()
    }

    fn send(&mut self, to: usize, message: Message) {
        self.send_with(to, message, Wake::Always);
    }

    fn send_with(&mut self, to: usize, message: Message, wake: Wake) {
        if to == self.shard.id {
            self.loopback.push_back(message);
        } else {
            self.mailbox.send(to, message, wake);
        }
    }

    /// Answers a coordinator, which needs the answers of all shares before it can go on.
    fn answer(&mut self, to: usize, message: Message, latch: &Latch) {
        self.send_with(to, message, Wake::Never);
        // After the answer is there: who finds itself the last knows that all are.
        if to != self.shard.id && latch.answer() {
            self.mailbox.wake(to);
        }
    }

    /// Whether something here waits for the end of a transaction.
    pub fn has_waiting(&self) -> bool {
        self.queue.has_waiting() || self.parking.has_postponed()
    }

    /// Deals with what other shards sent; `true` if there was anything.
    pub fn drain(&mut self) -> bool {
        let mut any = false;
        for from in 0..self.mailbox.shards() {
            while let Some(message) = self.mailbox.receive(from) {
                any = true;
                match message {
                    Message::Schedule(share) => self.arrived.push(share),
                    Message::Abort(_) => {
                        // It may concern one that has just arrived.
                        self.schedule_arrived();
                        self.handle(from, message);
                    }
                    message => self.handle(from, message),
                }
            }
        }
        self.schedule_arrived();
        any
    }

    /// Schedules shares of several coordinators in the order of their ids: the other way round the older ones
    /// would be refused.
    fn schedule_arrived(&mut self) {
        if self.arrived.is_empty() {
            return;
        }
        let mut arrived = std::mem::take(&mut self.arrived);
        arrived.sort_unstable_by_key(|share| share.transaction);
        for share in arrived.drain(..) {
            self.schedule(share);
        }
        self.arrived = arrived;
        self.grant_next();
    }

    fn handle(&mut self, from: usize, message: Message) {
        match message {
            Message::Run(batch) => {
                let origin = batch.origin as usize;
                let batch = self.execute(batch);
                self.send(origin, Message::Done(batch));
            }
            Message::Done(batch) if batch.kind != BatchKind::Share => {
                let number = batch.number;
                self.batches.give_back(batch);
                self.complete(number);
            }
            Message::Late(batch) => self.complete_late(batch),
            Message::Schedule(batch) => {
                self.schedule(batch);
                self.grant_next();
            }
            Message::Go(id) => {
                self.run_share(id);
                self.grant_next();
            }
            Message::Release(id) => {
                self.release_share(id);
                self.grant_next();
            }
            Message::Abort(id) => {
                self.abort_share(id);
                self.grant_next();
            }
            Message::Parked(wait) => self.client_is_parked(from, wait),
            Message::Unpark(wait, how) => self.unpark_wait(from, wait, how),
            Message::Hint(hint) => self.add_hint(from, &hint),
            Message::Ready(block) => self.try_block(from, block),
            Message::KeepHint(block) => self.keep_hint(from, block),
            Message::RemoveHint(block) => self.remove_hint(from, block),
            Message::Granted(id) => {
                self.coordinator.granted(id, from, false, &mut self.actions);
                self.carry_out();
            }
            Message::Read(batch) => {
                let id = batch.transaction;
                self.batches.give_back(batch);
                self.coordinator.granted(id, from, true, &mut self.actions);
                self.carry_out();
            }
            Message::Done(batch) | Message::Aborted(batch) => {
                let id = batch.transaction;
                self.batches.give_back(batch);
                self.coordinator.home(id, from, &mut self.actions);
                self.carry_out();
            }
            Message::Refused(batch, newest) => {
                let id = batch.transaction;
                self.batches.give_back(batch);
                self.shard.metrics.transactions_refused += 1;
                self.coordinator.refused(id, from, newest, &mut self.actions);
                self.carry_out();
            }
            Message::Feed(feed) => self.deliver(&feed),
            Message::MonitorGone(id) => self.shard.forget_monitor(id),
        }
    }

    fn deliver(&mut self, feed: &crate::shard::mailbox::Feed) {
        let Some(session) = self.shard.sessions.find(feed.session_id) else {
            // It ended before all shards knew it as a monitor.
            self.shard.monitors_gone.push(feed.session_id);
            return;
        };
        // Not before MONITOR is answered, not after RESET.
        if !session.monitor {
            return;
        }
        session.output.extend_from_slice(&feed.bytes);
        let token = session.token;
        self.shard.sessions.mark_dirty(token);
    }
}
