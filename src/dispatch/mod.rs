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
mod burst;
mod command;
mod gate;
mod local;
mod monitor;
mod remote;
mod wait;

use crate::commands::CommandTable;
use crate::runtime::engine::Token;
use crate::shard::Shard;
use crate::shard::mailbox::{Mailbox, Message};

pub use burst::Burst;
pub use local::Served;

use batches::Batches;
use remote::Executor;
use wait::Waits;

/// One shard's way from commands to replies.
pub struct Dispatcher {
    pub shard: Shard,
    pub table: CommandTable,
    pub mailbox: Mailbox,
    batches: Batches,
    waits: Waits,
    executor: Executor,
    /// Sessions whose replies have all come: their next commands can run.
    resumable: Vec<Token>,
}

impl Dispatcher {
    pub fn new(shard: Shard, table: CommandTable, mailbox: Mailbox) -> Self {
        let shards = shard.route.shards();
        Dispatcher {
            shard,
            table,
            mailbox,
            batches: Batches::new(shards),
            waits: Waits::default(),
            executor: Executor::default(),
            resumable: Vec::new(),
        }
    }

    /// Whether other shards work for connections of this one.
    pub fn has_outstanding(&self) -> bool {
        !self.waits.is_empty()
    }

    /// A session to go on with.
    pub fn next_resumable(&mut self) -> Option<Token> {
        self.resumable.pop()
    }

    /// Sends the batches that were opened in this turn on their way; runs the one for this shard itself.
    pub fn flush(&mut self) {
        while let Some((target, number)) = self.batches.next_open() {
            let Some(batch) = self.batches.lend(number) else { continue };
            if target == self.shard.id {
                let batch = self.execute(batch);
                self.complete(batch);
            } else {
                self.mailbox.send(target, Message::Run(batch));
            }
        }
        for (shard, feed) in std::mem::take(&mut self.shard.feeds) {
            if shard == self.shard.id {
                self.deliver(&feed);
            } else {
                self.mailbox.send(shard, Message::Feed(Box::new(feed)));
            }
        }
        for id in std::mem::take(&mut self.shard.monitors_gone) {
            self.shard.forget_monitor(id);
            for shard in (0..self.mailbox.shards()).filter(|&shard| shard != self.shard.id) {
                self.mailbox.send(shard, Message::MonitorGone(id));
            }
        }
    }

    /// Runs what other shards sent and takes the replies they brought; `true` if there was anything.
    pub fn drain(&mut self) -> bool {
        let mut any = false;
        for from in 0..self.mailbox.shards() {
            while let Some(message) = self.mailbox.receive(from) {
                any = true;
                match message {
                    Message::Run(batch) => {
                        let origin = batch.origin as usize;
                        let batch = self.execute(batch);
                        self.mailbox.send(origin, Message::Done(batch));
                    }
                    Message::Done(batch) => self.complete(batch),
                    Message::Feed(feed) => self.deliver(&feed),
                    Message::MonitorGone(id) => self.shard.forget_monitor(id),
                }
            }
        }
        any
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
