//! MULTI, EXEC and what belongs to them, seen from the connection's core.
//!
//! ```text
//!   EXEC ─► all keys are here and nothing is in the way ─► run in place
//!        ─► one round suffices ──────────────────────────► one group for one shard, or a share for each
//!        ─► watched keys elsewhere, or commands of several
//!           hops ────────────────────────────────────────► take all locks ─► check the watched keys ─►
//!                                                           segment by segment ─► let go
//! ```
//!
//! A segment is what can run in one hop: neighbouring commands that need one round on their shards, and those
//! about the session itself, which run here as the segment is put together. A command of several hops or
//! about all shards stands alone between segments.

use crate::commands::keyspec::{find_keys, reads_anywhere};
use crate::commands::transactions::{STEP_CHECK, STEP_UNWATCH, STEP_WATCH};
use crate::commands::{CommandId, Run, Split, TransactionAction, flag, key_flag};
use crate::error::CommandError;
use crate::log;
use crate::resp::number::parse_integer;
use crate::resp::{Args, Reply, Span};
use crate::runtime::clock::Ticks;
use crate::runtime::engine::Token;
use crate::session::{ReplyMode, Transaction, WatchedKey};
use crate::shard::batch::{BatchKind, ItemHeader};
use crate::shard::locks::Intent;
use crate::shard::planted::Bug;
use crate::shard::queue::TransactionId;
use crate::transaction::{Participation, StepResult};

use super::Dispatcher;
use super::burst::{Burst, Call, Way};
use super::participant::{self, push_intents};
use super::segment::{Slot, part_of};
use super::wait::{Kind, PartOf};

/// An EXEC under way.
pub struct Exec {
    /// Of EXEC itself.
    command: u16,
    bytes: Vec<u8>,
    burst: Burst,
    /// The database of each command: SELECT may stand among them.
    databases: Vec<u16>,
    /// The command that comes next.
    next: usize,
    /// The last command that goes to a shard.
    last_sent: usize,
    /// How its commands go to their shards.
    kind: BatchKind,
    /// Whose locks it holds.
    pub transaction: Option<TransactionId>,
    watched: Vec<WatchedKey>,
    /// The replies that are there.
    replies: Vec<u8>,
    /// Where the replies of this segment come from.
    slots: Vec<Slot>,
    started: u64,
    /// For other shards.
    waited: bool,
}

/// Watched keys whose versions are asked for.
pub struct Watching {
    command: u16,
    keys: Vec<WatchedKey>,
    /// For each key the part that answers for it.
    order: Vec<u16>,
    started: u64,
}

/// What EXEC needs to know of its commands together.
#[derive(Default)]
struct Needs {
    /// The one shard of all keys, as far as seen.
    owner: Option<usize>,
    /// Keys on several shards.
    spread: bool,
    /// A command that stands alone between segments.
    alone: bool,
}

impl Needs {
    fn note(&mut self, shard: usize) {
        self.spread |= *self.owner.get_or_insert(shard) != shard;
    }
}

impl Exec {
    fn header(&self, index: usize, (resp3, no_touch): (bool, bool)) -> ItemHeader {
        let command = self.burst.call(index).command;
        let exec_goes_on = index < self.last_sent;
        ItemHeader { resp3, no_touch, exec_goes_on, ..ItemHeader::new(command, self.databases[index]) }
    }

    pub fn call(&self, index: usize) -> Call {
        self.burst.call(index)
    }

    pub fn args(&mut self, index: usize) -> Args<'_> {
        self.burst.args(index, &self.bytes)
    }

    pub fn database(&self, index: usize) -> u16 {
        self.databases[index]
    }

    /// A command that stood alone has answered.
    pub fn push_reply(&mut self, reply: &[u8]) {
        self.replies.extend_from_slice(reply);
    }
}

impl Dispatcher {
    /// Keeps a command until EXEC.
    pub(super) fn enqueue(
        &mut self,
        token: Token,
        bytes: &[u8],
        burst: &mut Burst,
        index: usize,
        out: &mut Vec<u8>,
    ) {
        let call = burst.call(index);
        let command = self.table.get(CommandId(call.command));
        let authenticated = self.shard.sessions.current(token).authenticated;
        let refused = match super::gate::admit(command, authenticated, &self.shard) {
            // The queue itself grows, whatever the command does.
            Ok(()) if self.shard.out_of_memory => Some(CommandError::OutOfMemory),
            Ok(()) if command.flags & flag::NO_MULTI != 0 => {
                Some(CommandError::text("ERR Command not allowed inside a transaction"))
            }
            Ok(()) => None,
            Err(error) => Some(error),
        };
        if let Some(error) = refused {
            self.refuse(token, call.command, &error, out);
            return self.fail_queue(token);
        }
        let session = self.shard.sessions.current(token);
        session.commands += 1;
        session.last_command = call.command;
        let queued = session.transaction.as_mut().and_then(|transaction| transaction.queued.as_mut());
        if let Some(queued) = queued {
            queued.push(burst.args(index, bytes), command.flags);
            // What waits for EXEC is input that has not run, too.
            if queued.argument_bytes as u64 > self.shard.config.client_query_buffer_limit {
                log!(Warning, "Closing client {} that reached max query buffer length", session.id);
                session.closing = true;
                self.shard.sessions.kill.push(token);
                return;
            }
        }
        let mark = out.len();
        out.extend_from_slice(b"+QUEUED\r\n");
        super::local::settle_reply(session, mark, out);
    }

    /// A command was refused between MULTI and EXEC: EXEC will refuse all.
    pub(super) fn fail_queue(&mut self, token: Token) {
        let session = self.shard.sessions.current(token);
        let queued = session.transaction.as_mut().and_then(|transaction| transaction.queued.as_mut());
        if let Some(queued) = queued {
            queued.failed = true;
        }
    }

    /// Runs MULTI, EXEC, DISCARD, WATCH or UNWATCH; `false` if the session has to wait for other shards.
    pub(super) fn run_transaction(
        &mut self,
        token: Token,
        bytes: &[u8],
        burst: &mut Burst,
        index: usize,
        action: TransactionAction,
        out: &mut Vec<u8>,
    ) -> bool {
        let call = burst.call(index);
        let command = self.table.get(CommandId(call.command));
        let started = Ticks::now();
        let session = self.shard.sessions.current(token);
        session.commands += 1;
        session.last_command = call.command;
        let authenticated = session.authenticated;
        if let Err(error) = super::gate::admit(command, authenticated, &self.shard) {
            self.refuse_control(token, call.command, &error, out);
            return true;
        }
        if !self.shard.monitors.is_empty() && action != TransactionAction::Exec {
            self.feed_monitors(token, command, &burst.args(index, bytes));
        }
        let result = match action {
            TransactionAction::Multi => self.multi(token),
            TransactionAction::Discard => self.discard(token),
            TransactionAction::Unwatch => {
                // It is none of a MULTI's commands here: nothing is left, and blocks go their short way again.
                self.unwatch(token);
                self.shard.sessions.current(token).transaction = None;
                Ok(())
            }
            TransactionAction::Watch => match self.watch(token, call.command, bytes, burst, index, started) {
                Ok(true) => Ok(()),
                Ok(false) => return false,
                Err(error) => Err(error),
            },
            TransactionAction::Exec => match self.exec(token, call.command, started) {
                Ok(exec) => return self.start_exec(token, exec, out),
                Err(error) => {
                    self.show_exec(token, call.command);
                    Err(error)
                }
            },
        };
        let mark = out.len();
        let reply = &mut Reply::new(out, false);
        match result {
            Ok(()) => reply.ok(),
            Err(error) => self.fail(call.command, &error, reply),
        }
        self.shard.metrics.ran(call.command, Ticks::now().wrapping_sub(started));
        super::local::settle_reply(self.shard.sessions.current(token), mark, out);
        true
    }

    /// One of these commands did not get as far as running; for EXEC that ends the transaction.
    pub(super) fn refuse_control(
        &mut self,
        token: Token,
        command: u16,
        error: &CommandError,
        out: &mut Vec<u8>,
    ) {
        let known = (command != u16::MAX).then(|| self.table.get(CommandId(command)).run);
        if !matches!(known, Some(Some(Run::Transaction { action: TransactionAction::Exec, .. }))) {
            self.fail_queue(token);
            return self.refuse(token, command, error, out);
        }
        self.unwatch(token);
        self.shard.sessions.current(token).transaction = None;
        let message = error.message();
        let reason = message.strip_prefix("ERR ").unwrap_or(&message);
        self.refuse(token, command, &discarded_because(reason), out);
    }

    fn multi(&mut self, token: Token) -> Result<(), CommandError> {
        let session = self.shard.sessions.current(token);
        if session.is_queueing() {
            return Err(CommandError::text("ERR MULTI calls can not be nested"));
        }
        session.transaction.get_or_insert_default().queued = Some(Default::default());
        Ok(())
    }

    fn discard(&mut self, token: Token) -> Result<(), CommandError> {
        if !self.shard.sessions.current(token).is_queueing() {
            return Err(CommandError::text("ERR DISCARD without MULTI"));
        }
        self.unwatch(token);
        self.shard.sessions.current(token).transaction = None;
        Ok(())
    }

    fn unwatch(&mut self, token: Token) {
        if let Some(transaction) = &mut self.shard.sessions.current(token).transaction {
            self.shard.unwatched.append(&mut transaction.watched);
        }
    }

    /// Tells the shards of keys that nobody watches any more.
    pub(super) fn send_unwatched(&mut self) {
        for watched in std::mem::take(&mut self.shard.unwatched) {
            if watched.shard as usize == self.shard.id {
                let key = self.shard.keyspace.key(&watched.key);
                self.shard.keyspace.database(watched.database as usize).unwatch(&key);
            } else {
                let part = self.put_watch_item(BatchKind::Plain, STEP_UNWATCH, &watched, &[]);
                self.batches.add_wait(part.batch, super::wait::NOBODY);
            }
        }
    }

    fn put_watch_item(&mut self, kind: BatchKind, step: u8, watched: &WatchedKey, more: &[u8]) -> PartOf {
        let arguments = if more.is_empty() { 2 } else { 3 };
        let header = ItemHeader { step, arguments, ..ItemHeader::new(self.watch_command, watched.database) };
        let words = [b"watch".as_slice(), &watched.key, more];
        let words = words.into_iter().take(header.arguments as usize);
        self.put_share(kind, watched.shard as usize, header, words)
    }

    /// Begins to watch keys; `Ok(false)`: other shards have been asked.
    fn watch(
        &mut self,
        token: Token,
        command: u16,
        bytes: &[u8],
        burst: &mut Burst,
        index: usize,
        started: u64,
    ) -> Result<bool, CommandError> {
        let session = self.shard.sessions.current(token);
        if session.is_queueing() {
            return Err(CommandError::text("ERR WATCH inside MULTI is not allowed"));
        }
        let database = session.database;
        let args = burst.args(index, bytes);
        let mut keys: Vec<WatchedKey> = Vec::new();
        for key in args.iter().skip(1) {
            let transaction = self.shard.sessions.current(token).transaction.as_ref();
            let known = transaction.is_some_and(|transaction| transaction.watches(database, key));
            if !known && !keys.iter().any(|watched| watched.key == key) {
                let shard = self.shard.route.shard_of(key) as u16;
                keys.push(WatchedKey { shard, database, key: key.to_vec(), version: 0 });
            }
        }
        let own = self.shard.id as u16;
        let intent = |dispatcher: &Dispatcher, key: &WatchedKey| {
            Intent::key(dispatcher.shard.keyspace.hash_of(&key.key), false)
        };
        if keys.iter().all(|key| key.shard == own && !self.queue.conflicts_with(intent(self, key))) {
            for watched in &mut keys {
                let key = self.shard.keyspace.key(&watched.key);
                watched.version = self.shard.keyspace.database(database as usize).watch(&key);
            }
            self.keep_watched(token, keys);
            return Ok(true);
        }
        let (mut parts, mut order) = (Vec::new(), Vec::new());
        for key in &keys {
            let part = self.put_watch_item(BatchKind::Plain, STEP_WATCH, key, &[]);
            let intent = intent(self, key);
            self.batches.batch_mut(part.batch).intents.push(intent);
            order.push(part_of(&mut parts, part));
        }
        let watching = Watching { command, keys, order, started };
        self.wait_with(token, Kind::Watch(Box::new(watching)), parts);
        Ok(false)
    }

    fn keep_watched(&mut self, token: Token, keys: Vec<WatchedKey>) {
        match self.shard.sessions.get(token) {
            Some(session) => session.transaction.get_or_insert_default().watched.extend(keys),
            None => self.shard.unwatched.extend(keys),
        }
    }

    /// The versions of watched keys have come.
    pub(super) fn finish_watch(
        &mut self,
        token: Token,
        watching: Watching,
        parts: &[PartOf],
        out: &mut Vec<u8>,
    ) {
        let Watching { command, mut keys, order, started } = watching;
        let mut next: Vec<u32> = parts.iter().map(|part| part.first).collect();
        for (key, &part) in keys.iter_mut().zip(&order) {
            let reply = self.item_reply(&parts[part as usize], &mut next[part as usize]);
            key.version = integer(reply).unwrap_or_default() as u64;
        }
        self.keep_watched(token, keys);
        Reply::new(out, false).ok();
        self.shard.metrics.ended(command, Ticks::now().wrapping_sub(started));
    }

    /// The reply to the next item of a part.
    fn item_reply(&mut self, part: &PartOf, next: &mut u32) -> &[u8] {
        let item = *next;
        *next += 1;
        self.batches.batch_mut(part.batch).reply(item)
    }

    /// Takes the queued commands out of the session, if they may run.
    fn exec(&mut self, token: Token, command: u16, started: u64) -> Result<Box<Exec>, CommandError> {
        let session = self.shard.sessions.current(token);
        if !session.is_queueing() {
            return Err(CommandError::text("ERR EXEC without MULTI"));
        }
        let database = session.database;
        let Transaction { queued, watched } =
            session.transaction.take().map(|state| *state).unwrap_or_default();
        let queued = queued.unwrap_or_default();
        if queued.failed {
            self.shard.unwatched.extend(watched);
            return Err(CommandError::text("EXECABORT Transaction discarded because of previous errors."));
        }
        if self.shard.out_of_memory && queued.flags & flag::DENYOOM != 0 {
            self.shard.unwatched.extend(watched);
            return Err(discarded_because(&CommandError::OutOfMemory.message()));
        }
        let mut burst = Burst::new(queued.frames, queued.spans, queued.owned);
        burst.resolve(&queued.bytes, &mut self.shard, &self.table, database as usize);
        let databases = self.databases_of(&queued.bytes, &mut burst, database);
        let last_sent = (0..burst.frames.len()).rev().find(|&index| burst.call(index).way != Way::Here);
        Ok(Box::new(Exec {
            command,
            bytes: queued.bytes,
            burst,
            databases,
            next: 0,
            last_sent: last_sent.unwrap_or(0),
            kind: BatchKind::Plain,
            waited: false,
            transaction: None,
            watched,
            replies: Vec::new(),
            slots: Vec::new(),
            started,
        }))
    }

    /// The database of each command, in which SELECT may have its word.
    fn databases_of(&self, bytes: &[u8], burst: &mut Burst, first: u16) -> Vec<u16> {
        let mut database = first;
        let mut databases = Vec::with_capacity(burst.frames.len());
        for index in 0..burst.frames.len() {
            databases.push(database);
            let args = burst.args(index, bytes);
            if args.is(0, "SELECT") {
                let selected = parse_integer(args.get(1)).and_then(|selected| u16::try_from(selected).ok());
                let count = self.shard.keyspace.database_count();
                database = selected.filter(|&selected| (selected as usize) < count).unwrap_or(database);
            }
        }
        databases
    }

    fn needs_of(&self, exec: &Exec) -> Needs {
        let mut needs = Needs::default();
        for index in 0..exec.burst.frames.len() {
            let call = exec.burst.call(index);
            match (call.way, self.table.get(CommandId(call.command)).run) {
                (Way::Shard(shard), _) => needs.note(shard as usize),
                (Way::Several, Some(Run::EachShard { .. })) => needs.spread = true,
                (Way::Several, _) | (_, Some(Run::Gather { .. })) => needs.alone = true,
                _ => {}
            }
        }
        exec.watched.iter().for_each(|watched| needs.note(watched.shard as usize));
        needs
    }

    fn start_exec(&mut self, token: Token, mut exec: Box<Exec>, out: &mut Vec<u8>) -> bool {
        let needs = self.needs_of(&exec);
        let here = !needs.spread && !needs.alone && needs.owner.is_none_or(|owner| owner == self.shard.id);
        if here && (self.queue.is_empty() || !self.exec_is_in_the_way(&mut exec)) {
            self.exec_in_place(token, exec, out);
            return true;
        }
        if needs.alone || !exec.watched.is_empty() {
            return self.lock_for_exec(token, exec, out);
        }
        exec.kind = if needs.spread { BatchKind::Share } else { BatchKind::Plain };
        self.continue_exec(token, exec, out)
    }

    fn exec_is_in_the_way(&mut self, exec: &mut Exec) -> bool {
        let mut intents = Vec::new();
        for index in 0..exec.burst.frames.len() {
            let call = exec.burst.call(index);
            let command = self.table.get(CommandId(call.command));
            let args = exec.burst.args(index, &exec.bytes);
            push_intents(command, &args, &call, &self.shard.keyspace, &mut intents);
        }
        let keyspace = &self.shard.keyspace;
        intents.extend(exec.watched.iter().map(|key| Intent::key(keyspace.hash_of(&key.key), false)));
        self.queue.conflicts(&intents) && !Bug::ExecUnguarded.is_planted()
    }

    /// Runs everything at once, on this shard.
    fn exec_in_place(&mut self, token: Token, mut exec: Box<Exec>, out: &mut Vec<u8>) {
        let unchanged = exec.watched.iter().all(|watched| {
            let key = self.shard.keyspace.key(&watched.key);
            self.shard.keyspace.database(watched.database as usize).is_unchanged(&key, watched.version)
        });
        if !unchanged && !Bug::WatchIgnoredHere.is_planted() {
            return self.abandon_exec(token, exec, out);
        }
        // The replies are wanted or not as a whole.
        let session = self.shard.sessions.current(token);
        let mode = std::mem::replace(&mut session.reply_mode, ReplyMode::On);
        self.exec_running = true;
        let count = exec.burst.frames.len();
        let mut replies = std::mem::take(&mut exec.replies);
        let mut index = 0;
        while index < count {
            let Exec { bytes, burst, .. } = &mut *exec;
            if matches!(burst.call(index).way, Way::Shard(_)) {
                let shards =
                    (index..count).take_while(|&index| matches!(burst.call(index).way, Way::Shard(_)));
                let end = index + shards.count();
                index = self.run_stretch(token, bytes, burst, index..end, &mut replies);
            } else {
                self.run_session_command(token, bytes, burst, index, &mut replies);
                index += 1;
            }
        }
        exec.replies = replies;
        self.exec_running = false;
        if !self.parking.is_empty() {
            self.serve_ready();
        }
        let session = self.shard.sessions.current(token);
        if session.reply_mode == ReplyMode::On {
            session.reply_mode = mode;
        }
        let mark = out.len();
        self.finish_exec(token, exec, out);
        super::local::settle_reply(self.shard.sessions.current(token), mark, out);
    }

    /// A command about the session itself, among the commands of an EXEC.
    fn run_session_command(
        &mut self,
        token: Token,
        bytes: &[u8],
        burst: &mut Burst,
        index: usize,
        out: &mut Vec<u8>,
    ) {
        let command = self.table.get(CommandId(burst.call(index).command));
        if self.shard.sessions.get(token).is_none() {
            // Nobody is left who could be told, or changed.
            return Reply::new(out, false).null();
        }
        match command.run {
            // What was watched is forgotten anyway.
            Some(Run::Transaction { .. }) => Reply::new(out, false).ok(),
            _ => {
                self.shard.sessions.current(token).in_exec = true;
                self.run_here(token, bytes, burst, index, out);
                self.shard.sessions.current(token).in_exec = false;
            }
        }
    }

    /// Takes the locks of all commands, and has the watched keys checked.
    fn lock_for_exec(&mut self, token: Token, mut exec: Box<Exec>, out: &mut Vec<u8>) -> bool {
        let mut shares: Vec<PartOf> = Vec::new();
        for index in 0..exec.burst.frames.len() {
            self.lock_for_call(&mut exec, index, &mut shares);
        }
        for watched in &exec.watched {
            let share = self.share_of(watched.shard as usize, &mut shares);
            let intent = Intent::key(self.shard.keyspace.hash_of(&watched.key), false);
            let batch = self.batches.batch_mut(shares[share].batch);
            batch.intents.push(intent);
            let version = (watched.version as i64).to_string();
            let header = ItemHeader::new(self.watch_command, watched.database);
            let header = ItemHeader { step: STEP_CHECK, arguments: 3, ..header };
            let mut writer = batch.begin(header);
            [b"watch".as_slice(), &watched.key, version.as_bytes()]
                .iter()
                .for_each(|word| writer.argument(word));
            shares[share].count += 1;
        }
        if shares.is_empty() {
            return self.continue_exec(token, exec, out);
        }
        exec.kind = BatchKind::Hop;
        exec.waited = true;
        self.hold_locks(token, Kind::Exec(exec), shares);
        false
    }

    fn lock_for_call(&mut self, exec: &mut Exec, index: usize, shares: &mut Vec<PartOf>) {
        let call = exec.burst.call(index);
        let command = self.table.get(CommandId(call.command));
        let args = exec.burst.args(index, &exec.bytes);
        let writes = participant::writes(command);
        match (call.way, command.run) {
            (Way::Shard(shard), _) => {
                let share = self.share_of(shard as usize, shares);
                let batch = self.batches.batch_mut(shares[share].batch);
                push_intents(command, &args, &call, &self.shard.keyspace, &mut batch.intents);
            }
            (Way::Several, Some(Run::EachShard { split: Split::Everywhere, .. })) => {
                for shard in 0..self.shard.route.shards() {
                    let share = self.share_of(shard, shares);
                    self.batches.batch_mut(shares[share].batch).intents.push(Intent::whole(writes));
                }
            }
            (Way::Several, _) => {
                let mut keys = Vec::new();
                find_keys(command, &args, &mut keys);
                if reads_anywhere(command, &args) {
                    self.lock_everything(shares);
                }
                for key in keys {
                    let bytes = args.get(key.index);
                    let share = self.share_of(self.shard.route.shard_of(bytes), shares);
                    let writes = writes && key_flag::is_written(key.flags);
                    let intent = Intent::key(self.shard.keyspace.hash_of(bytes), writes);
                    self.batches.batch_mut(shares[share].batch).intents.push(intent);
                }
            }
            _ => {}
        }
    }

    /// Adds an intent to read any key of any shard.
    pub(super) fn lock_everything(&mut self, shares: &mut Vec<PartOf>) {
        for shard in 0..self.shard.route.shards() {
            let share = self.share_of(shard, shares);
            self.batches.batch_mut(shares[share].batch).intents.push(Intent::whole(false));
        }
    }

    /// The locks of an EXEC are held; `parts` have the answers of the watched keys' shards.
    pub(super) fn exec_is_locked(
        &mut self,
        token: Token,
        mut exec: Box<Exec>,
        id: TransactionId,
        parts: &[PartOf],
        out: &mut Vec<u8>,
    ) -> bool {
        exec.transaction = Some(id);
        let mut unchanged = true;
        for part in parts {
            let mut next = part.first;
            while next < part.first + part.count {
                unchanged &= integer(self.item_reply(part, &mut next)) == Some(1);
            }
        }
        if !unchanged && !Bug::WatchIgnoredElsewhere.is_planted() {
            self.abandon_exec(token, exec, out);
            return true;
        }
        self.continue_exec(token, exec, out)
    }

    /// A watched key has changed: nothing is done.
    fn abandon_exec(&mut self, token: Token, mut exec: Box<Exec>, out: &mut Vec<u8>) {
        let session = self.shard.sessions.get(token);
        let resp3 = session.is_some_and(|session| session.resp3);
        Reply::new(out, resp3).null_array();
        self.end_exec(token, &mut exec);
    }

    /// Runs segments, until one has to be waited for (`false`) or all is done.
    pub(super) fn continue_exec(&mut self, token: Token, mut exec: Box<Exec>, out: &mut Vec<u8>) -> bool {
        let mut parts: Vec<PartOf> = Vec::new();
        while exec.next < exec.burst.frames.len() {
            let index = exec.next;
            let call = exec.burst.call(index);
            match (call.way, self.table.get(CommandId(call.command)).run) {
                (Way::Several, Some(Run::Hops { .. } | Run::Wait { .. })) | (_, Some(Run::Gather { .. })) => {
                    if !parts.is_empty() {
                        break;
                    }
                    self.collect_exec(token, &mut exec, &[]);
                    exec.next += 1;
                    return self.exec_alone(token, exec, index, out);
                }
                _ => {
                    let slot = self.put_exec_call(token, &mut exec, index, call, &mut parts);
                    exec.slots.push(slot);
                    exec.next += 1;
                }
            }
        }
        if parts.is_empty() {
            self.collect_exec(token, &mut exec, &[]);
            self.finish_exec(token, exec, out);
            return true;
        }
        exec.waited = true;
        self.wait_with(token, Kind::Exec(exec), parts);
        false
    }

    /// Puts a command into the segment.
    fn put_exec_call(
        &mut self,
        token: Token,
        exec: &mut Exec,
        index: usize,
        call: Call,
        parts: &mut Vec<PartOf>,
    ) -> Slot {
        let command = self.table.get(CommandId(call.command));
        let session = self.shard.sessions.get(token);
        let settings = session.map_or((false, false), |session| (session.resp3, session.no_touch));
        let header = exec.header(index, settings);
        let kind = exec.kind;
        let Exec { bytes, burst, .. } = exec;
        if !self.shard.monitors.is_empty() && call.way != Way::Here {
            self.feed_monitors(token, command, &burst.args(index, bytes));
        }
        if call.way != Way::Here {
            return self.put_slot(kind, bytes, burst, index, header, parts);
        }
        let mut text = Vec::new();
        self.run_session_command(token, bytes, burst, index, &mut text);
        Slot::Text(text)
    }

    /// The replies of a segment are there.
    pub(super) fn collect_exec(&mut self, token: Token, exec: &mut Exec, parts: &[PartOf]) {
        let Exec { slots, replies, .. } = exec;
        self.collect_slots(token, slots, parts, replies);
    }

    fn finish_exec(&mut self, token: Token, mut exec: Box<Exec>, out: &mut Vec<u8>) {
        Reply::new(out, false).array(exec.burst.frames.len());
        out.extend_from_slice(&exec.replies);
        self.end_exec(token, &mut exec);
    }

    /// Monitors see EXEC after the commands that it ran.
    fn show_exec(&mut self, token: Token, command: u16) {
        if !self.shard.monitors.is_empty() {
            let command = self.table.get(CommandId(command));
            self.feed_monitors(token, command, &Args::new(b"EXEC", &[Span::new(0, 4)], &mut []));
        }
    }

    fn end_exec(&mut self, token: Token, exec: &mut Exec) {
        self.show_exec(token, exec.command);
        self.shard.unwatched.append(&mut exec.watched);
        self.conclude(exec.transaction.take());
        let ticks = Ticks::now().wrapping_sub(exec.started);
        if exec.waited {
            self.shard.metrics.ended(exec.command, ticks);
        } else {
            self.shard.metrics.ran(exec.command, ticks);
        }
    }

    /// The share of a shard in a transaction that takes its locks first.
    pub(super) fn share_of(&mut self, shard: usize, shares: &mut Vec<PartOf>) -> usize {
        let known =
            shares.iter().position(|share| self.batches.batch_mut(share.batch).target as usize == shard);
        known.unwrap_or_else(|| {
            let batch = self.batches.new_batch(BatchKind::Share, self.shard.id, shard);
            self.batches.add_reader(batch);
            shares.push(PartOf { batch, first: 0, count: 0 });
            shares.len() - 1
        })
    }

    /// Asks for the locks of `shares`; what waits goes on when all are held.
    pub(super) fn hold_locks(&mut self, token: Token, kind: Kind, shares: Vec<PartOf>) {
        let asked: Vec<_> = shares
            .iter()
            .map(|share| {
                (self.batches.batch_mut(share.batch).target as usize, share.batch, Participation::Held)
            })
            .collect();
        let owner = self.register(token, kind, shares);
        self.shard.metrics.transactions += 1;
        self.coordinator.begin(owner, asked.into_iter(), &mut self.actions);
        self.carry_out();
    }
}

fn discarded_because(reason: &str) -> CommandError {
    CommandError::text(format!("EXECABORT Transaction discarded because of: {reason}"))
}

/// A reply that is an integer.
fn integer(reply: &[u8]) -> Option<i64> {
    StepResult { shard: 0, reply: reply.to_vec(), moved: None }.integer()
}
