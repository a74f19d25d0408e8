//! One command on several shards: taken apart, run in one or more hops, put together again.
//!
//! Every command that touches more than one shard passes through [`Dispatcher::run_several`] or
//! [`Dispatcher::gather`], and every reply through [`Dispatcher::complete`]. The shares of a command that
//! needs one round go into the turn's transaction; one of several hops is a transaction of its own, whose
//! hops run once all its locks are held. What tells about shards rather than keys takes no locks.

use crate::commands::keyspec::{KeyPosition, find_keys, reads_anywhere};
use crate::commands::{CommandId, Here, Merge, Next, Run, Split, key_flag};
use crate::error::CommandError;
use crate::resp::{Args, Reply, Span, scan};
use crate::runtime::clock::Ticks;
use crate::runtime::engine::Token;
use crate::session::ReplyMode;
use crate::shard::Report;
use crate::shard::batch::{Batch, BatchKind, Extra, ItemHeader};
use crate::shard::locks::Intent;
use crate::shard::planted::Bug;
use crate::shard::queue::TransactionId;
use crate::transaction::{Plan, StepResult, Work};

use super::Dispatcher;
use super::burst::Burst;
use super::exec::Exec;
use super::gate;
use super::local::latency_event;
use super::participant;
use super::wait::{Kind, NOBODY, PartOf, Wait};

/// The step of an item that is one shard's share of a command; the command is counted where it came from.
pub const SHARE: u8 = u8::MAX;

/// A command that is under way on several shards.
pub struct Coordination {
    pub command: u16,
    pub args: KeptArgs,
    pub database: u16,
    resp3: bool,
    no_touch: bool,
    started: u64,
    state: State,
    /// The transaction whose locks it holds.
    pub transaction: Option<TransactionId>,
    /// The number of its client's waiting for elements, if it has found none before.
    pub block: Option<u64>,
    /// The EXEC that it belongs to, and that goes on with its reply.
    exec: Option<Box<Exec>>,
}

/// What a plan has said.
#[derive(Default)]
struct Planned {
    work: Vec<Work>,
    park: Option<i64>,
    waits_as: Option<Vec<Vec<u8>>>,
}

enum State {
    /// Shares of an `EachShard` command; for each key in order, the part that answers for it.
    Shares { key_parts: Vec<u16> },
    /// A command of several hops: how many are done, and the work of the first one while it waits for its
    /// locks.
    Hops { done: usize, first: Vec<Work> },
    /// Every shard reports about itself.
    Gather,
}

/// Arguments that outlive the buffer they arrived in.
pub struct KeptArgs {
    bytes: Vec<u8>,
    spans: Vec<Span>,
}

impl KeptArgs {
    pub fn keep(args: &Args<'_>) -> Self {
        KeptArgs::of(args.iter())
    }

    pub fn of<'b>(arguments: impl Iterator<Item = &'b [u8]>) -> Self {
        let mut kept = KeptArgs { bytes: Vec::new(), spans: Vec::with_capacity(arguments.size_hint().0) };
        for argument in arguments {
            kept.spans.push(Span::new(kept.bytes.len(), argument.len()));
            kept.bytes.extend_from_slice(argument);
        }
        kept
    }

    pub fn args(&self) -> Args<'_> {
        Args::new(&self.bytes, &self.spans, &mut [])
    }
}

/// A key of a command that is being divided among shards.
pub struct DividedKey {
    /// Of its argument.
    position: usize,
    shard: usize,
    hash: u64,
    slot: u16,
}

impl Dispatcher {
    /// Starts a command whose keys belong to several shards. `true`: it is answered already.
    pub(super) fn run_several(
        &mut self,
        token: Token,
        bytes: &[u8],
        burst: &mut Burst,
        index: usize,
        out: &mut Vec<u8>,
    ) -> bool {
        let call = burst.call(index);
        let command = self.table.get(CommandId(call.command));
        let session = self.shard.sessions.current(token);
        session.commands += 1;
        session.last_command = call.command;
        let (database, resp3, no_touch) = (session.database, session.resp3, session.no_touch);
        let authenticated = session.authenticated;
        if let Err(error) = gate::admit(command, authenticated, &self.shard) {
            self.refuse(token, call.command, &error, out);
            return true;
        }
        if !self.shard.monitors.is_empty() {
            self.feed_monitors(token, command, &burst.args(index, bytes));
        }
        let coordination = Box::new(Coordination {
            command: call.command,
            args: KeptArgs::keep(&burst.args(index, bytes)),
            database,
            resp3,
            no_touch,
            started: Ticks::now(),
            state: State::Hops { done: 0, first: Vec::new() },
            transaction: None,
            block: None,
            exec: None,
        });
        self.start_several(token, coordination, out)
    }

    /// Starts a command of an EXEC that stands alone between segments. `true`: EXEC is answered already.
    pub(super) fn exec_alone(
        &mut self,
        token: Token,
        mut exec: Box<Exec>,
        index: usize,
        out: &mut Vec<u8>,
    ) -> bool {
        let session = self.shard.sessions.get(token);
        let (resp3, no_touch, client_id) =
            session.map_or((false, false, 0), |session| (session.resp3, session.no_touch, session.id));
        let call = exec.call(index);
        let (args, database) = (KeptArgs::keep(&exec.args(index)), exec.database(index));
        let transaction = exec.transaction;
        let command = self.table.get(CommandId(call.command));
        let mut coordination = Box::new(Coordination {
            command: call.command,
            args,
            database,
            resp3,
            no_touch,
            started: Ticks::now(),
            state: State::Hops { done: 0, first: Vec::new() },
            transaction,
            block: None,
            exec: Some(exec),
        });
        let Some(Run::Gather { check, .. }) = command.run else {
            return self.start_several(token, coordination, out);
        };
        if client_id == 0 {
            let mut reply = Vec::new();
            Reply::new(&mut reply, resp3).null();
            return self.finish_reply(token, &mut coordination, &reply, out);
        }
        let mut reply = Vec::new();
        self.shard.sessions.current(token).in_exec = true;
        let mut here = Here {
            shard: &mut self.shard,
            table: &self.table,
            token,
            args: coordination.args.args(),
            reply: Reply::new(&mut reply, resp3),
        };
        let checked = check(&mut here);
        self.shard.sessions.current(token).in_exec = false;
        match checked {
            Ok(Next::Gather) => {
                self.gather_for(token, client_id, coordination);
                false
            }
            Ok(Next::Answered) => self.finish_reply(token, &mut coordination, &reply, out),
            Err(error) => self.finish_error(token, &mut coordination, &error, out),
        }
    }

    pub(super) fn start_several(
        &mut self,
        token: Token,
        mut coordination: Box<Coordination>,
        out: &mut Vec<u8>,
    ) -> bool {
        let command = self.table.get(CommandId(coordination.command));
        let parts = match command.run {
            Some(Run::EachShard { split, .. }) if !split.accepts(coordination.args.spans.len()) => {
                let error = CommandError::Arity(command.name.into());
                return self.finish_error(token, &mut coordination, &error, out);
            }
            Some(Run::EachShard { split, .. }) => {
                let mut key_parts = Vec::new();
                let (header, mut args) = (coordination.share_header(), coordination.args.args());
                let parts = self.put_shares(BatchKind::Share, header, &mut args, split, &mut key_parts);
                coordination.state = State::Shares { key_parts };
                parts
            }
            Some(Run::Hops { plan, .. } | Run::Wait { plan, .. }) => {
                let mut reply = Vec::new();
                let work = match self.plan(&coordination, plan, Vec::new(), &mut reply) {
                    Ok(Planned { work, .. }) if work.is_empty() => {
                        return self.finish_reply(token, &mut coordination, &reply, out);
                    }
                    Ok(Planned { work, .. }) => work,
                    Err(error) => return self.finish_error(token, &mut coordination, &error, out),
                };
                let mut keys = Vec::new();
                find_keys(command, &coordination.args.args(), &mut keys);
                if !keys.is_empty() && coordination.transaction.is_none() {
                    coordination.state = State::Hops { done: 0, first: work };
                    self.lock_for_hops(token, coordination, &keys);
                    return false;
                }
                // Its locks are held, or it goes from shard to shard and promises nothing about all of them.
                self.put_work(&coordination, work)
            }
            _ => return true,
        };
        self.wait_with(token, Kind::Command(coordination), parts);
        false
    }

    /// Asks for the locks of a command of several hops.
    fn lock_for_hops(&mut self, token: Token, coordination: Box<Coordination>, keys: &[KeyPosition]) {
        let command = self.table.get(CommandId(coordination.command));
        let mut shares = Vec::new();
        if reads_anywhere(command, &coordination.args.args()) {
            self.lock_everything(&mut shares);
        }
        let keys = if Bug::HopsHalfLocked.is_planted() { &keys[..1] } else { keys };
        for key in keys {
            let args = coordination.args.args();
            let bytes = args.get(key.index);
            let share = self.share_of(self.shard.route.shard_of(bytes), &mut shares);
            let writes = participant::writes(command) && key_flag::is_written(key.flags);
            let intent = Intent::key(self.shard.keyspace.hash_of(bytes), writes);
            self.batches.batch_mut(shares[share].batch).intents.push(intent);
        }
        self.hold_locks(token, Kind::Command(coordination), shares);
    }

    /// The locks of a transaction of several hops are held: the first hop.
    pub(super) fn begin_hops(&mut self, owner: u32, id: TransactionId) {
        let Some(wait) = self.waits.remove(owner) else { return };
        let Wait { token, parts, kind, silent, .. } = *wait;
        match kind {
            Kind::Command(mut coordination) => {
                self.release(&parts);
                coordination.transaction = Some(id);
                if let State::Hops { first, .. } = &mut coordination.state {
                    let work = std::mem::take(first);
                    let parts = self.put_work(&coordination, work);
                    self.wait_with(token, Kind::Command(coordination), parts);
                }
            }
            Kind::Exec(exec) => self.answer_session(token, silent, |dispatcher, out| {
                let done = dispatcher.exec_is_locked(token, exec, id, &parts, out);
                dispatcher.release(&parts);
                done
            }),
            _ => debug_assert!(false, "only these take their locks first"),
        }
    }

    /// Has a session wait for something that is not in batches yet.
    pub(super) fn register(&mut self, token: Token, kind: Kind, parts: Vec<PartOf>) -> u32 {
        let session = self.shard.sessions.get(token);
        let silent = session.is_none_or(|session| session.reply_mode != ReplyMode::On);
        let (number, _) =
            self.waits.insert(Box::new(Wait { token, outstanding: 0, parts, kind, silent, parked_on: None }));
        if let Some(session) = self.shard.sessions.get(token) {
            session.waiting = Some(number);
        }
        number
    }

    /// Asks every shard to report.
    pub(super) fn gather(&mut self, token: Token, command: u16, args: Args<'_>) {
        let session = self.shard.sessions.current(token);
        let client_id = session.id;
        let coordination = Box::new(Coordination {
            command,
            args: KeptArgs::keep(&args),
            database: session.database,
            resp3: session.resp3,
            no_touch: session.no_touch,
            started: Ticks::now(),
            state: State::Gather,
            transaction: None,
            block: None,
            exec: None,
        });
        self.gather_for(token, client_id, coordination);
    }

    fn gather_for(&mut self, token: Token, client_id: u64, mut coordination: Box<Coordination>) {
        coordination.state = State::Gather;
        let arguments = coordination.args.spans.len() as u32;
        // A report is about the shard: in place of a key's hash it learns who asks.
        let header = ItemHeader { arguments, hash: client_id, ..coordination.share_header() };
        let parts = (0..self.shard.route.shards())
            .map(|shard| self.put_share(BatchKind::Plain, shard, header, coordination.args.args().iter()))
            .collect();
        self.wait_with(token, Kind::Command(coordination), parts);
    }

    /// Has a session wait for items that are in open batches.
    pub(super) fn wait_with(&mut self, token: Token, kind: Kind, parts: Vec<PartOf>) {
        let session = self.shard.sessions.get(token);
        let silent = session.is_none_or(|session| session.reply_mode != ReplyMode::On);
        self.start_waiting(
            token,
            Box::new(Wait { token, outstanding: 0, parts, kind, silent, parked_on: None }),
        );
    }

    /// Gives every shard its share of the arguments.
    pub(super) fn put_shares(
        &mut self,
        kind: BatchKind,
        header: ItemHeader,
        args: &mut Args<'_>,
        split: Split,
        key_parts: &mut Vec<u16>,
    ) -> Vec<PartOf> {
        let writes = participant::writes(self.table.get(CommandId(header.command)));
        let stride = match split {
            Split::Everywhere => {
                let header = ItemHeader { arguments: args.len() as u32, ..header };
                let shards = self.shard.route.shards();
                let mut share = |shard| {
                    let part = self.put_share(kind, shard, header, args.iter());
                    if !Bug::WholeNotLocked.is_planted() {
                        self.intend(part.batch, Intent::whole(writes));
                    }
                    part
                };
                return (0..shards).map(&mut share).collect();
            }
            Split::Keys { stride } => stride,
        };
        let mut keys = std::mem::take(&mut self.divided);
        keys.clear();
        keys.extend((1..args.len()).step_by(stride).map(|position| {
            let bytes = args.get(position);
            let key = self.shard.keyspace.key(bytes);
            DividedKey { position, shard: self.shard.route.shard_of(bytes), hash: key.hash, slot: key.slot }
        }));
        keys.sort_unstable_by_key(|key| (key.shard, key.position));
        let mut parts = Vec::new();
        key_parts.resize(keys.len(), 0);
        for own in keys.chunk_by(|one, other| one.shard == other.shard) {
            let DividedKey { shard, hash, slot, .. } = own[0];
            let arguments = (1 + own.len() * stride) as u32;
            let header = ItemHeader { arguments, hash, slot, ..header };
            let part = self.next_part(kind, shard);
            let mut writer = self.batches.batch_mut(part.batch).begin(header);
            writer.argument(args.get(0));
            // Each of the others goes to this shard alone: big ones move.
            for key in own {
                (key.position..args.len())
                    .take(stride)
                    .for_each(|position| writer.argument_of(args, position));
            }
            for key in own {
                self.intend(part.batch, Intent::key(key.hash, writes));
                key_parts[(key.position - 1) / stride] = parts.len() as u16;
            }
            parts.push(part);
        }
        self.divided = keys;
        parts
    }

    fn intend(&mut self, batch: u32, intent: Intent) {
        let batch = self.batches.batch_mut(batch);
        batch.intents.push(intent);
        batch.writes |= intent.writes();
    }

    pub(super) fn put_share<'b>(
        &mut self,
        kind: BatchKind,
        shard: usize,
        header: ItemHeader,
        words: impl Iterator<Item = &'b [u8]>,
    ) -> PartOf {
        let part = self.next_part(kind, shard);
        let mut writer = self.batches.batch_mut(part.batch).begin(header);
        words.for_each(|word| writer.argument(word));
        part
    }

    /// Where the next item for a shard will be.
    fn next_part(&mut self, kind: BatchKind, shard: usize) -> PartOf {
        let batch = self.batches.open_for(kind, self.shard.id, shard);
        PartOf { batch, first: self.batches.batch_mut(batch).count(), count: 1 }
    }

    fn put_work(&mut self, coordination: &Coordination, work: Vec<Work>) -> Vec<PartOf> {
        let header = coordination.share_header();
        let kind = if coordination.transaction.is_some() { BatchKind::Hop } else { BatchKind::Plain };
        let mut parts = Vec::with_capacity(work.len());
        for task in work {
            // Argument 1 need not be a key, in which case the hash is not looked at.
            let hash = task.args.get(1).map_or(0, |key| self.shard.keyspace.hash_of(key));
            let header =
                ItemHeader { step: task.step as u8 + 1, arguments: task.args.len() as u32, hash, ..header };
            let part = self.put_share(kind, task.shard, header, task.args.iter().map(Vec::as_slice));
            if let Some(moved) = task.moved {
                self.batches.batch_mut(part.batch).extras_in.push((part.first, Extra::Moved(moved)));
            }
            parts.push(part);
        }
        parts
    }

    fn plan(
        &mut self,
        coordination: &Coordination,
        plan: crate::transaction::PlanFunction,
        results: Vec<StepResult>,
        reply: &mut Vec<u8>,
    ) -> Result<Planned, CommandError> {
        let State::Hops { done, .. } = coordination.state else { return Ok(Planned::default()) };
        let mut plan_state = Plan {
            args: coordination.args.args(),
            database: coordination.database as usize,
            hop: done,
            route: self.shard.route,
            results,
            work: Vec::new(),
            reply: Reply::new(reply, coordination.resp3),
            again: coordination.block.is_some(),
            park: None,
            waits_as: None,
        };
        plan(&mut plan_state)?;
        let Plan { work, park, waits_as, .. } = plan_state;
        Ok(Planned { work, park, waits_as })
    }

    /// The replies in a batch that is back count: whoever waited only for them goes on.
    pub(super) fn complete(&mut self, number: u32) {
        let shard = self.batches.batch_mut(number).target;
        let groups = self.batches.take_groups(number);
        for group in &groups {
            if group.wait == NOBODY {
                self.batches.release(number);
            } else if group.deferred {
                self.waits.put_off(group.wait, number, shard);
                self.batches.release(number);
            } else if let Some(wait) = self.waits.batch_came(group.wait) {
                self.finish(wait);
            }
        }
        self.batches.return_groups(groups);
    }

    /// A group that was put off comes in a batch of its own.
    pub(super) fn complete_late(&mut self, batch: Box<Batch>) {
        let shard = batch.target;
        let Some(wait) = batch.groups.first().map(|group| group.wait) else { return };
        if wait == NOBODY {
            return self.batches.recycle(batch);
        }
        let number = self.batches.adopt(batch);
        self.batches.add_reader(number);
        self.waits.came_late(wait, number, shard);
        if let Some(wait) = self.waits.batch_came(wait) {
            self.finish(wait);
        }
    }

    fn finish(&mut self, mut wait: Box<Wait>) {
        let (token, silent) = (wait.token, wait.silent);
        if let Kind::Burst(order) = &mut wait.kind {
            let order = std::mem::take(order);
            return self.answer_session(token, silent, |dispatcher, out| {
                dispatcher.collect_replies(&wait.parts, &order, out);
                dispatcher.report_slow_items(token, &wait.parts);
                dispatcher.release(&wait.parts);
                wait.kind = Kind::Burst(order);
                dispatcher.waits.recycle(wait);
                true
            });
        }
        let Wait { parts, kind, .. } = *wait;
        self.answer_session(token, silent, |dispatcher, out| match kind {
            Kind::Command(coordination) => dispatcher.finish_command(token, coordination, parts, out),
            Kind::Segment(mut slots) => {
                dispatcher.collect_slots(token, &mut slots, &parts, out);
                dispatcher.report_slow_items(token, &parts);
                dispatcher.release(&parts);
                true
            }
            Kind::Exec(mut exec) => {
                dispatcher.collect_exec(token, &mut exec, &parts);
                dispatcher.report_slow_items(token, &parts);
                dispatcher.release(&parts);
                dispatcher.continue_exec(token, exec, out)
            }
            Kind::Watch(watching) => {
                dispatcher.finish_watch(token, *watching, &parts, out);
                dispatcher.release(&parts);
                true
            }
            Kind::Burst(_) | Kind::Blocked(_) => true,
        });
    }

    /// What a session waited for is there: `answer` writes the reply, or has it wait for more (`false`).
    pub(super) fn answer_session(
        &mut self,
        token: Token,
        silent: bool,
        answer: impl FnOnce(&mut Self, &mut Vec<u8>) -> bool,
    ) {
        let mut out = match self.shard.sessions.get(token) {
            Some(session) => {
                session.waiting = None;
                session.blocked = false;
                self.shard.sessions.take_output(token)
            }
            // The client is gone; what was begun is finished all the same.
            None => Vec::new(),
        };
        let mark = out.len();
        let done = answer(self, &mut out);
        if done && silent {
            out.truncate(mark);
        }
        let now_ms = self.shard.now_ms();
        let Some(session) = self.shard.sessions.get(token) else { return };
        // It was not idle while it waited.
        session.last_interaction_ms = now_ms;
        if done && silent && session.reply_mode == ReplyMode::Skip {
            session.reply_mode = ReplyMode::On;
        }
        self.shard.sessions.put_output(token, out);
        if done {
            self.resumable.push(token);
        }
    }

    /// Appends the replies of a burst in the order of its requests.
    fn collect_replies(&mut self, parts: &[PartOf], order: &[u16], out: &mut Vec<u8>) {
        if let [part] = parts {
            let batch = self.batches.batch_mut(part.batch);
            out.extend_from_slice(batch.replies_of(part.first, part.first + part.count));
            return;
        }
        let mut next: Vec<u32> = parts.iter().map(|part| part.first).collect();
        for &part in order {
            let item = &mut next[part as usize];
            out.extend_from_slice(self.batches.batch_mut(parts[part as usize].batch).reply(*item));
            *item += 1;
        }
    }

    fn release(&mut self, parts: &[PartOf]) {
        for part in parts {
            self.batches.release(part.batch);
        }
    }

    /// The replies of all shards are there: the command's reply, or its next hop (`false`).
    fn finish_command(
        &mut self,
        token: Token,
        mut coordination: Box<Coordination>,
        parts: Vec<PartOf>,
        out: &mut Vec<u8>,
    ) -> bool {
        let command = self.table.get(CommandId(coordination.command));
        match (&mut coordination.state, command.run) {
            (State::Shares { key_parts }, Some(Run::EachShard { merge, .. })) => {
                let key_parts = std::mem::take(key_parts);
                let replies: Vec<&[u8]> = parts.iter().map(|part| self.batches.reply(part)).collect();
                let mut reply = Vec::new();
                let merged = merge_replies(merge, &replies, &key_parts, &mut reply);
                self.release(&parts);
                debug_assert!(merged.is_some(), "shards answer with whole replies");
                self.finish_reply(token, &mut coordination, &reply, out)
            }
            (State::Hops { done, .. }, Some(Run::Hops { plan, .. } | Run::Wait { plan, .. })) => {
                *done += 1;
                let results = self.take_results(&parts);
                self.release(&parts);
                let mut reply = Vec::new();
                match self.plan(&coordination, plan, results, &mut reply) {
                    Ok(Planned { park: Some(timeout_ms), waits_as, .. }) if coordination.exec.is_none() => {
                        if let Some(words) = waits_as {
                            coordination.args = KeptArgs::of(words.iter().map(Vec::as_slice));
                        }
                        self.block(token, coordination, &reply, timeout_ms, out)
                    }
                    Ok(Planned { work, .. }) if work.is_empty() => {
                        self.finish_reply(token, &mut coordination, &reply, out)
                    }
                    Ok(Planned { work, .. }) => {
                        let parts = self.put_work(&coordination, work);
                        self.wait_with(token, Kind::Command(coordination), parts);
                        false
                    }
                    Err(error) => self.finish_error(token, &mut coordination, &error, out),
                }
            }
            (State::Gather, Some(Run::Gather { merge, .. })) => {
                let mut reports = Vec::with_capacity(parts.len());
                for part in &parts {
                    match self.batches.batch_mut(part.batch).take_extra(part.first) {
                        Some(Extra::Report(report)) => reports.push(*report),
                        _ => reports.push(Report::Done),
                    }
                }
                self.release(&parts);
                let mut reply = Vec::new();
                if self.shard.sessions.get(token).is_none() {
                    // Nobody to be told; an EXEC that it belongs to goes on.
                    Reply::new(&mut reply, coordination.resp3).null();
                    return self.finish_reply(token, &mut coordination, &reply, out);
                }
                let mut here = Here {
                    shard: &mut self.shard,
                    table: &self.table,
                    token,
                    args: coordination.args.args(),
                    reply: Reply::new(&mut reply, coordination.resp3),
                };
                match merge(&mut here, reports) {
                    Ok(()) => self.finish_reply(token, &mut coordination, &reply, out),
                    Err(error) => self.finish_error(token, &mut coordination, &error, out),
                }
            }
            _ => {
                self.release(&parts);
                true
            }
        }
    }

    fn take_results(&mut self, parts: &[PartOf]) -> Vec<StepResult> {
        let mut results = Vec::with_capacity(parts.len());
        for part in parts {
            let batch = self.batches.batch_mut(part.batch);
            let moved = match batch.take_extra(part.first) {
                Some(Extra::Moved(moved)) => Some(moved),
                _ => None,
            };
            let reply = batch.reply(part.first).to_vec();
            results.push(StepResult { shard: batch.target as usize, reply, moved });
        }
        results
    }

    /// A command has its reply: `true` if the session has its answer with that.
    fn finish_reply(
        &mut self,
        token: Token,
        coordination: &mut Coordination,
        reply: &[u8],
        out: &mut Vec<u8>,
    ) -> bool {
        let ticks = Ticks::now().wrapping_sub(coordination.started);
        self.shard.metrics.ended(coordination.command, ticks);
        if ticks > self.shard.slow_ticks {
            let event = latency_event(self.table.get(CommandId(coordination.command)));
            self.shard.observe_slow(token, &coordination.args.args(), ticks, event);
        }
        if let Some(mut exec) = coordination.exec.take() {
            exec.push_reply(reply);
            return self.continue_exec(token, exec, out);
        }
        self.conclude(coordination.transaction.take());
        if let Some(block) = coordination.block {
            self.forget_block(block);
        }
        out.extend_from_slice(reply);
        true
    }

    fn finish_error(
        &mut self,
        token: Token,
        coordination: &mut Coordination,
        error: &CommandError,
        out: &mut Vec<u8>,
    ) -> bool {
        let message = error.message();
        let mut reply = Vec::new();
        Reply::new(&mut reply, false).error_line(&message);
        self.shard.metrics.error_replied(&message);
        self.shard.metrics.commands[coordination.command as usize].failed += 1;
        self.finish_reply(token, coordination, &reply, out)
    }

    /// Items that took long on another shard, told here, where the client is known.
    fn report_slow_items(&mut self, token: Token, parts: &[PartOf]) {
        for part in parts {
            let items = part.first..part.first + part.count;
            let batch = self.batches.batch_mut(part.batch);
            while let Some(position) = batch.slow.iter().position(|(item, _)| items.contains(item)) {
                let (item, ticks) = batch.slow.swap_remove(position);
                let mut spans = Vec::new();
                let (mut next, mut command) = (0, 0);
                for _ in 0..=item {
                    spans.clear();
                    if let Some((header, end)) = batch.read(next, &mut spans) {
                        (next, command) = (end, header.command);
                    }
                }
                let (bytes, owned, _) = batch.parts();
                let event = latency_event(self.table.get(CommandId(command)));
                self.shard.observe_slow(token, &Args::new(bytes, &spans, owned), ticks, event);
            }
        }
    }
}

impl Coordination {
    /// To be planned anew.
    pub fn try_again(&mut self) {
        self.state = State::Hops { done: 0, first: Vec::new() };
    }

    fn share_header(&self) -> ItemHeader {
        let (resp3, no_touch) = (self.resp3, self.no_touch);
        ItemHeader { step: SHARE, resp3, no_touch, ..ItemHeader::new(self.command, self.database) }
    }
}

/// One reply out of those of the shards; the first error counts. `None` if a reply is not whole.
pub(super) fn merge_replies(
    merge: Merge,
    replies: &[&[u8]],
    key_parts: &[u16],
    out: &mut Vec<u8>,
) -> Option<()> {
    if let Some(error) = replies.iter().find(|reply| reply.first() == Some(&b'-')) {
        out.extend_from_slice(error);
        return Some(());
    }
    match merge {
        Merge::Sum => {
            let mut sum = 0i64;
            for reply in replies {
                sum += scan::header(reply, 0)?.1;
            }
            Reply::new(out, false).integer(sum);
        }
        Merge::Ok => out.extend_from_slice(replies.first()?),
        Merge::Interleave => {
            Reply::new(out, false).array(key_parts.len());
            let mut positions = Vec::with_capacity(replies.len());
            for reply in replies {
                positions.push(scan::header(reply, 0)?.2);
            }
            for &part in key_parts {
                let position = &mut positions[part as usize];
                let reply = replies[part as usize];
                let end = scan::end_of_reply(reply, *position)?;
                out.extend_from_slice(&reply[*position..end]);
                *position = end;
            }
        }
        Merge::Concatenate => {
            let mut count = 0;
            for reply in replies {
                count += scan::header(reply, 0)?.1;
            }
            Reply::new(out, false).array(count as usize);
            for reply in replies {
                out.extend_from_slice(&reply[scan::header(reply, 0)?.2..]);
            }
        }
    }
    Some(())
}
