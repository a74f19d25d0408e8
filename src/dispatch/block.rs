//! Whole transactions in a pipeline, MULTI to EXEC: they go to their shards with their neighbours.
//!
//! A transaction that has arrived as a whole, watches nothing and would be queued without an error needs no
//! queue. Its commands become shares of the turn's transaction like those around it, and many EXECs of one
//! connection cost one exchange with the other shards instead of one each. Everything else goes the long way
//! (`exec.rs`).

use crate::commands::{CommandId, Run, TransactionAction, flag};
use crate::runtime::clock::Ticks;
use crate::runtime::engine::Token;
use crate::session::ReplyMode;
use crate::shard::batch::{BatchKind, ItemHeader};

use super::Dispatcher;
use super::burst::{Burst, Call, Way};
use super::gate;
use super::segment::Slot;
use super::wait::PartOf;

impl Dispatcher {
    pub(super) fn transaction_action(&self, call: Call) -> Option<TransactionAction> {
        match self.table.get(CommandId(call.command)).run {
            Some(Run::Transaction { action, .. }) => Some(action),
            _ => None,
        }
    }

    /// Where the block ends that begins with command `first`, if that is a MULTI whose commands, up to EXEC,
    /// are here and would all be queued.
    pub(super) fn block_end(&mut self, token: Token, burst: &Burst, first: usize) -> Option<usize> {
        let is = |call: Call, action| call.way == Way::Here && self.transaction_action(call) == Some(action);
        if !is(burst.call(first), TransactionAction::Multi) {
            return None;
        }
        let rest = (first + 1..burst.frames.len()).map(|index| burst.call(index));
        let length = rest.take_while(|&call| self.belongs_in_block(call)).count();
        let exec = first + 1 + length;
        if exec == burst.frames.len() || !is(burst.call(exec), TransactionAction::Exec) {
            return None;
        }
        let undisturbed = self.shard.pause.is_none() && self.shard.monitors.is_empty();
        let session = self.shard.sessions.current(token);
        // Between MULTI and EXEC, or with watched keys, there is a state.
        if !undisturbed || session.transaction.is_some() || session.reply_mode != ReplyMode::On {
            return None;
        }
        let authenticated = session.authenticated;
        let admitted = (first..=exec).all(|index| {
            let command = self.table.get(CommandId(burst.call(index).command));
            gate::admit(command, authenticated, &self.shard).is_ok()
        });
        (admitted && !self.shard.out_of_memory).then_some(exec + 1)
    }

    fn belongs_in_block(&self, call: Call) -> bool {
        (matches!(call.way, Way::Shard(_)) || self.is_divided(call))
            && !call.may_wait
            && self.table.get(CommandId(call.command)).flags & flag::NO_MULTI == 0
    }

    /// Puts the block that begins with command `first` into the batches of its shards; where it ends.
    #[allow(clippy::too_many_arguments, reason = "a command of a burst, where it goes, and what it becomes")]
    pub(super) fn put_block(
        &mut self,
        kind: BatchKind,
        bytes: &[u8],
        burst: &mut Burst,
        first: usize,
        header: ItemHeader,
        parts: &mut Vec<PartOf>,
        slots: &mut Vec<Slot>,
    ) -> usize {
        let started = Ticks::now();
        let mut exec = first + 1;
        slots.push(Slot::Known(b"+OK\r\n"));
        while burst.call(exec).way != Way::Here {
            slots.push(Slot::Known(b"+QUEUED\r\n"));
            exec += 1;
        }
        slots.push(Slot::Array(exec - first - 1));
        for index in first + 1..exec {
            let header = ItemHeader { exec_goes_on: index + 1 < exec, ..header };
            slots.push(self.put_slot(kind, bytes, burst, index, header, parts));
        }
        self.shard.metrics.ran(burst.call(first).command, 0);
        self.shard.metrics.ran(burst.call(exec).command, Ticks::now().wrapping_sub(started));
        exec + 1
    }
}
