//! Running a burst: commands of this shard in place, the others into batches.
//!
//! A stretch of single-shard commands is judged as a whole: if this shard owns all their keys they run
//! where they stand, with their replies going straight to the connection. If not, the stretch is taken
//! apart by shard and the connection waits for all of them; a stretch over several shards is a share of a
//! transaction on each. Everything else (the session's own commands, commands over several shards) runs
//! alone, when the replies before it are there.

use std::ops::Range;

use crate::commands::{Command, CommandId, Data, Here, Next, Run, TransactionAction, flag};
use crate::config::PipelineOrder;
use crate::error::CommandError;
use crate::log;
use crate::resp::Reply;
use crate::runtime::clock::Ticks;
use crate::runtime::engine::Token;
use crate::session::{OUTPUT_PIECE_BYTES, ReplyMode, Session};
use crate::shard::batch::{BatchKind, ItemHeader};
use crate::shard::planted::Bug;

use super::burst::{self, Burst, Way};
use super::fetch::FETCHED_COMMANDS;
use super::participant::{self, push_intents};
use super::wait::{Kind, PartOf};
use super::{Dispatcher, gate};

/// Commands that go to other shards at once: bounds what their replies can come to before the limits of
/// output are looked at.
const SENT_COMMANDS_MAX: usize = 128;

/// How far a burst came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Served {
    /// Every command has run.
    All,
    /// The connection waits (for other shards, or the end of a pause) from this command on.
    Until(usize),
}

impl Dispatcher {
    /// Looks up the commands of `burst`, which were read from `bytes`, and starts to fetch what they need.
    #[inline]
    pub fn resolve(&mut self, token: Token, bytes: &[u8], burst: &mut Burst) {
        let database = self.shard.sessions.current(token).database as usize;
        burst.resolve(bytes, &mut self.shard, &self.table, database);
    }

    /// Goes on fetching what the first commands of a resolved burst need.
    #[inline]
    pub fn prefetch(&mut self, token: Token, burst: &Burst) {
        let database = self.shard.sessions.current(token).database as usize;
        burst.prefetch_first(&mut self.shard, database);
    }

    /// Runs the commands of a resolved `burst` for the session `token`. The session exists and waits for
    /// nothing.
    pub fn serve(&mut self, token: Token, bytes: &[u8], burst: &mut Burst) -> Served {
        let session = self.shard.sessions.current(token);
        session.last_interaction_ms = self.shard.keyspace.now();
        let mut out = self.shard.sessions.take_output(token);
        let served = self.run_burst(token, bytes, burst, &mut out);
        self.shard.sessions.put_output(token, out);
        served
    }

    fn run_burst(&mut self, token: Token, bytes: &[u8], burst: &mut Burst, out: &mut Vec<u8>) -> Served {
        let count = burst.frames.len();
        let mut index = 0;
        while index < count {
            let call = burst.call(index);
            if self.must_pause(token, call.command) {
                self.shard.sessions.current(token).paused = true;
                self.shard.paused.push(token);
                return Served::Until(index);
            }
            if call.way != Way::Refused && self.shard.sessions.current(token).is_queueing() {
                let command = self.table.get(CommandId(call.command));
                if command.flags & flag::NOT_QUEUED == 0 {
                    self.enqueue(token, bytes, burst, index, out);
                    index += 1;
                    continue;
                }
            }
            match call.way {
                Way::Shard(_) => {
                    let mut end = self.stretch(token, burst, index, index + 1);
                    let own = Way::Shard(self.shard.id as u16);
                    let all_own = !burst.call(index).may_wait
                        && (index..end).all(|position| burst.call(position).way == own);
                    if all_own && (self.queue.is_empty() || !self.is_in_the_way(bytes, burst, index..end)) {
                        index = self.run_stretch(token, bytes, burst, index..end, out);
                        if out.len() >= OUTPUT_PIECE_BYTES && index < count {
                            self.shard.sessions.current(token).deferred = true;
                            return Served::Until(index);
                        }
                    } else {
                        if self.shard.sessions.current(token).reply_mode == ReplyMode::Skip {
                            // The replies of a stretch come or are dropped together.
                            end = index + 1;
                        }
                        let end = end.min(index + SENT_COMMANDS_MAX);
                        self.send_stretch(token, bytes, burst, index..end);
                        return Served::Until(end);
                    }
                }
                Way::Here if let Some(action) = self.transaction_action(call) => {
                    if let Some(end) = self.block_to_send(token, burst, index) {
                        self.send_stretch(token, bytes, burst, index..end);
                        return Served::Until(end);
                    }
                    if !self.run_transaction(token, bytes, burst, index, action, out) {
                        return Served::Until(index + 1);
                    }
                    index += 1;
                }
                Way::Here => {
                    if !self.run_here(token, bytes, burst, index, out) {
                        return Served::Until(index + 1);
                    }
                    index += 1;
                }
                Way::Several if self.is_divided(call) => {
                    let mut end = self.stretch(token, burst, index, index + 1);
                    if self.shard.sessions.current(token).reply_mode == ReplyMode::Skip {
                        end = index + 1;
                    }
                    let end = end.min(index + SENT_COMMANDS_MAX);
                    self.send_stretch(token, bytes, burst, index..end);
                    return Served::Until(end);
                }
                Way::Several => {
                    if !self.run_several(token, bytes, burst, index, out) {
                        return Served::Until(index + 1);
                    }
                    index += 1;
                }
                Way::Refused if burst::is_http(call, &burst.args(index, bytes)) => {
                    log!(Warning, "Closing a connection that speaks HTTP: a web page may be its author");
                    self.shard.sessions.current(token).closing = true;
                    self.shard.sessions.kill.push(token);
                    return Served::All;
                }
                Way::Refused => {
                    let error = burst::refusal(call, &burst.args(index, bytes), &self.table);
                    self.refuse_control(token, call.command, &error, out);
                    index += 1;
                }
            }
            if self.shard.sessions.current(token).closing {
                return Served::All;
            }
        }
        Served::All
    }

    #[inline(always)]
    fn must_pause(&mut self, token: Token, command: u16) -> bool {
        self.shard.pause.is_some() && command != u16::MAX && self.is_paused(token, CommandId(command))
    }

    #[cold]
    fn is_paused(&mut self, token: Token, command: CommandId) -> bool {
        let command = self.table.get(command);
        let mut flags = command.flags;
        if let Some(Run::Transaction { action: TransactionAction::Exec, .. }) = command.run {
            flags |= self.shard.sessions.current(token).queued_flags();
        }
        gate::is_paused(flags, &self.shard)
    }

    /// Whether commands of this shard conflict with a transaction.
    fn is_in_the_way(&mut self, bytes: &[u8], burst: &mut Burst, stretch: Range<usize>) -> bool {
        let mut intents = Vec::new();
        for index in stretch {
            let call = burst.call(index);
            let command = self.table.get(CommandId(call.command));
            push_intents(command, &burst.args(index, bytes), &call, &self.shard.keyspace, &mut intents);
        }
        self.queue.conflicts(&intents) && !Bug::HereUnguarded.is_planted()
    }

    /// In which kind of batch a stretch goes: as one transaction if it goes to several shards, for the sake
    /// of whoever relies on the order of its commands, or because one of them or a block of them does.
    fn kind_of_stretch(&self, burst: &Burst, stretch: Range<usize>) -> BatchKind {
        let ways = || stretch.clone().map(|index| burst.call(index).way);
        let first = ways().find(|&way| way != Way::Here);
        let divided = ways().any(|way| way == Way::Several);
        let several = divided || ways().any(|way| way != Way::Here && Some(way) != first);
        let strict =
            self.shard.config.pipeline_order == PipelineOrder::Strict && !Bug::PipelineTorn.is_planted();
        let whole = strict || divided || ways().any(|way| way == Way::Here);
        if several && whole { BatchKind::Share } else { BatchKind::Plain }
    }

    /// Where the stretch of single-shard commands, divided ones and blocks that begins at `first` ends. Blocks
    /// are within the commands that are sent at once.
    fn stretch(&mut self, token: Token, burst: &Burst, first: usize, end: usize) -> usize {
        let mut end = end;
        if burst.call(first).may_wait {
            return end;
        }
        let own = Way::Shard(self.shard.id as u16);
        let mut all_own = (first..end).all(|index| burst.call(index).way == own);
        while end < burst.frames.len() {
            let call = burst.call(end);
            if call.way == Way::Here {
                // What is of this shard alone need not wait for what follows it.
                match self.block_end(token, burst, end) {
                    Some(block_end) if !all_own && block_end <= first + SENT_COMMANDS_MAX => end = block_end,
                    _ => return end,
                }
            } else if (matches!(call.way, Way::Shard(_)) || self.is_divided(call))
                && !call.may_wait
                && !self.must_pause(token, call.command)
            {
                all_own &= call.way == own;
                end += 1;
            } else {
                return end;
            }
        }
        end
    }

    /// Where the stretch ends that begins with a block at `first`, if that is one that goes to other shards.
    fn block_to_send(&mut self, token: Token, burst: &Burst, first: usize) -> Option<usize> {
        let here = self.shard.id as u16;
        let own = |way| way == Way::Here || way == Way::Shard(here);
        if self.shard.route.shards() == 1 {
            return None;
        }
        let end = self.block_end(token, burst, first)?;
        if end > first + SENT_COMMANDS_MAX || (first..end).all(|index| own(burst.call(index).way)) {
            return None;
        }
        Some(self.stretch(token, burst, first, end).min(first + SENT_COMMANDS_MAX))
    }

    /// Runs single-shard commands of this shard, replies to `out`, until there is much of it; where it
    /// stopped.
    pub(super) fn run_stretch(
        &mut self,
        token: Token,
        bytes: &[u8],
        burst: &mut Burst,
        stretch: Range<usize>,
        out: &mut Vec<u8>,
    ) -> usize {
        let mut started = Ticks::now();
        let session = self.shard.sessions.current(token);
        session.commands += stretch.len() as u64;
        session.last_command = burst.call(stretch.end - 1).command;
        let (database, resp3) = (session.database as usize, session.resp3);
        let (authenticated, reply_mode) = (session.authenticated, session.reply_mode);
        self.shard.keyspace.set_no_touch(session.no_touch);
        for index in stretch.clone() {
            if out.len() >= OUTPUT_PIECE_BYTES && !self.exec_running {
                return index;
            }
            let call = burst.call(index);
            burst.prefetch(index, &mut self.shard, database);
            if (index - stretch.start).is_multiple_of(FETCHED_COMMANDS) {
                let end = stretch.end.min(index + FETCHED_COMMANDS);
                self.fetch_elements(bytes, burst, index..end, database);
            }
            let command = self.table.get(CommandId(call.command));
            if let Err(error) = gate::admit(command, authenticated, &self.shard) {
                self.refuse(token, call.command, &error, out);
                continue;
            }
            if !self.shard.monitors.is_empty() {
                self.feed_monitors(token, command, &burst.args(index, bytes));
            }
            let mark = out.len();
            let shard = &mut self.shard;
            let mut data = Data {
                keyspace: &mut shard.keyspace,
                database,
                args: burst.args(index, bytes),
                key_hash: call.hash,
                key_slot: call.slot,
                reply: Reply::new(out, resp3),
                moved: None,
                string_bytes_max: shard.config.proto_max_bulk_len as usize,
                has_waited: false,
                park: None,
                waits_as: None,
                known_keys: &[],
            };
            if let Err(error) = data_function(command)(&mut data) {
                out.truncate(mark);
                self.fail(call.command, &error, &mut Reply::new(out, resp3));
            }
            if !self.parking.is_empty() && !self.exec_running {
                self.serve_ready();
            }
            let ended = Ticks::now();
            let ticks = ended.wrapping_sub(started);
            started = ended;
            self.shard.metrics.ran(call.command, ticks);
            if ticks > self.shard.slow_ticks {
                let args = burst.args(index, bytes);
                self.shard.observe_slow(token, &args, ticks, latency_event(command));
            }
            if reply_mode != ReplyMode::On {
                let session = self.shard.sessions.current(token);
                settle_reply(session, mark, out);
            }
        }
        stretch.end
    }

    /// Puts single-shard commands into the batches of their shards; the session waits for them.
    fn send_stretch(&mut self, token: Token, bytes: &[u8], burst: &mut Burst, stretch: Range<usize>) {
        let kind = self.kind_of_stretch(burst, stretch.clone());
        let session = self.shard.sessions.current(token);
        session.commands += stretch.len() as u64;
        session.last_command = burst.call(stretch.end - 1).command;
        let silent = session.reply_mode != ReplyMode::On;
        let authenticated = session.authenticated;
        let header = ItemHeader {
            resp3: session.resp3,
            no_touch: session.no_touch,
            parks: burst.call(stretch.start).may_wait,
            ..ItemHeader::new(u16::MAX, session.database)
        };
        let single = |index| matches!(burst.call(index).way, Way::Shard(_));
        if !stretch.clone().all(single) {
            return self.send_segment(token, kind, bytes, burst, stretch, header);
        }
        let mut wait = self.waits.new_burst(token);
        wait.silent = silent;
        let Kind::Burst(order) = &mut wait.kind else { return };
        for index in stretch {
            let call = burst.call(index);
            let command = self.table.get(CommandId(call.command));
            // What is refused is answered in its place like everything else, hence by an item of its own.
            let admitted = gate::admit(command, authenticated, &self.shard);
            let target = match (call.way, &admitted) {
                (Way::Shard(target), Ok(())) => target as usize,
                _ => self.shard.id,
            };
            if !self.shard.monitors.is_empty() && admitted.is_ok() {
                self.feed_monitors(token, command, &burst.args(index, bytes));
            }
            let part = match admitted {
                Ok(()) => self.put_call(kind, bytes, burst, index, target, header),
                Err(error) => {
                    let message = error.message().into_owned();
                    self.shard.metrics.commands[call.command as usize].rejected += 1;
                    let header = ItemHeader { command: u16::MAX, arguments: 1, ..header };
                    self.put_share(kind, target, header, std::iter::once(message.as_bytes()))
                }
            };
            let known = wait.parts.iter().position(|known| known.batch == part.batch);
            let position = known.unwrap_or_else(|| {
                wait.parts.push(PartOf { count: 0, ..part });
                wait.parts.len() - 1
            });
            wait.parts[position].count += 1;
            order.push(position as u16);
        }
        self.start_waiting(token, wait);
    }

    /// Puts command `index` of a burst into the open batch for `target`.
    #[inline]
    pub(super) fn put_call(
        &mut self,
        kind: BatchKind,
        bytes: &[u8],
        burst: &mut Burst,
        index: usize,
        target: usize,
        header: ItemHeader,
    ) -> PartOf {
        let call = burst.call(index);
        let command = self.table.get(CommandId(call.command));
        let args = burst.args(index, bytes);
        let number = self.batches.open_for(kind, self.shard.id, target);
        let batch = self.batches.batch_mut(number);
        push_intents(command, &args, &call, &self.shard.keyspace, &mut batch.intents);
        batch.writes |= participant::writes(command);
        let part = PartOf { batch: number, first: batch.count(), count: 1 };
        let arguments = args.len() as u32;
        let item =
            ItemHeader { command: call.command, arguments, slot: call.slot, hash: call.hash, ..header };
        put_item(batch, item, args);
        part
    }

    /// Registers a wait whose items are in open batches.
    pub(super) fn start_waiting(&mut self, token: Token, mut wait: Box<super::wait::Wait>) {
        wait.outstanding = wait.parts.len() as u32;
        let Dispatcher { waits, batches, .. } = self;
        let (number, wait) = waits.insert(wait);
        for part in &wait.parts {
            batches.add_wait(part.batch, number);
        }
        if let Some(session) = self.shard.sessions.get(token) {
            session.waiting = Some(number);
        }
    }

    /// Runs a command on the session or the server; `false` if the session has to wait for other shards.
    pub(super) fn run_here(
        &mut self,
        token: Token,
        bytes: &[u8],
        burst: &mut Burst,
        index: usize,
        out: &mut Vec<u8>,
    ) -> bool {
        let call = burst.call(index);
        let command = self.table.get(CommandId(call.command));
        let started = Ticks::now();
        let session = self.shard.sessions.current(token);
        session.commands += 1;
        session.last_command = call.command;
        let (resp3, authenticated) = (session.resp3, session.authenticated);
        if let Err(error) = gate::admit(command, authenticated, &self.shard) {
            self.refuse(token, call.command, &error, out);
            return true;
        }
        let mark = out.len();
        let mut here = Here {
            shard: &mut self.shard,
            table: &self.table,
            token,
            args: burst.args(index, bytes),
            reply: Reply::new(out, resp3),
        };
        let result = match command.run {
            Some(Run::Here(function)) => function(&mut here).map(|()| Next::Answered),
            Some(Run::Gather { check, .. }) => check(&mut here),
            _ => Ok(Next::Answered),
        };
        // SELECT is shown with the database that it selects.
        if !self.shard.monitors.is_empty() {
            self.feed_monitors(token, command, &burst.args(index, bytes));
        }
        match result {
            Ok(Next::Answered) => {}
            Ok(Next::Gather) => {
                self.gather(token, call.command, burst.args(index, bytes));
                return false;
            }
            Err(error) => {
                out.truncate(mark);
                self.fail(call.command, &error, &mut Reply::new(out, resp3));
            }
        }
        let ticks = Ticks::now().wrapping_sub(started);
        self.shard.metrics.ran(call.command, ticks);
        if ticks > self.shard.slow_ticks {
            let args = burst.args(index, bytes);
            self.shard.observe_slow(token, &args, ticks, latency_event(command));
        }
        let session = self.shard.sessions.current(token);
        settle_reply(session, mark, out);
        true
    }

    /// A command that did not get as far as running.
    #[cold]
    pub(super) fn refuse(&mut self, token: Token, command: u16, error: &CommandError, out: &mut Vec<u8>) {
        let mark = out.len();
        let message = error.message();
        Reply::new(out, false).error_line(&message);
        self.shard.metrics.error_replied(&message);
        if let Some(stats) = self.shard.metrics.commands.get_mut(command as usize) {
            stats.rejected += 1;
        }
        settle_reply(self.shard.sessions.current(token), mark, out);
    }

    /// A command that ran into an error.
    #[cold]
    pub(super) fn fail(&mut self, command: u16, error: &CommandError, reply: &mut Reply<'_>) {
        let message = error.message();
        reply.error_line(&message);
        self.shard.metrics.error_replied(&message);
        self.shard.metrics.commands[command as usize].failed += 1;
    }
}

/// What the latency monitor calls a slow run of this command.
pub(super) fn latency_event(command: &Command) -> &'static str {
    if command.flags & flag::FAST != 0 { "fast-command" } else { "command" }
}

/// The function of a command whose keys all belong to one shard.
#[inline(always)]
pub(super) fn data_function(command: &Command) -> crate::commands::DataFunction {
    match command.run {
        Some(Run::OneShard(function)) => function,
        Some(Run::EachShard { part, .. }) => part,
        Some(Run::Hops { whole, .. } | Run::Wait { whole, .. }) => whole,
        _ => |_| Err(CommandError::Syntax),
    }
}

/// Encodes a command with its arguments; big ones move.
pub(super) fn put_item(
    batch: &mut crate::shard::batch::Batch,
    header: ItemHeader,
    mut args: crate::resp::Args<'_>,
) {
    let mut writer = batch.begin(header);
    (0..args.len()).for_each(|position| writer.argument_of(&mut args, position));
}

/// Drops the reply written since `mark` if the client does not want it (CLIENT REPLY).
pub(super) fn settle_reply(session: &mut Session, mark: usize, out: &mut Vec<u8>) {
    match session.reply_mode {
        ReplyMode::On => {}
        ReplyMode::Off => out.truncate(mark),
        ReplyMode::SkipNext => {
            out.truncate(mark);
            session.reply_mode = ReplyMode::Skip;
        }
        ReplyMode::Skip => {
            out.truncate(mark);
            session.reply_mode = ReplyMode::On;
        }
    }
}
