//! Clients that wait for elements: parked at the keys they wait for, first come first served.
//!
//! ```text
//!   all keys on one shard:   try ─ nothing ─► parked there ─ a key is written ─► served there, at once
//!                                                          ─ time is up, CLIENT UNBLOCK, client gone ─► over
//!   keys on several shards:  try, under the locks of all ─ nothing ─► a hint on each shard
//!                            a key is written ─► the hint's shard asks ─► the client's shard tries again
//!                                                 (who stands behind the hint waits for the outcome)
//! ```
//!
//! One side always decides alone whether a client is served or its time is up: the shard where it is parked,
//! or for one with hints the shard of its connection. So no element is lost and none is handed out twice.
//!
//! A key under the lock of a transaction serves nobody until that is over.

use std::collections::{BTreeSet, VecDeque};

use ahash::HashMap;

use crate::commands::{CommandId, Data, Run};
use crate::keyspace::Key;
use crate::resp::Reply;
use crate::runtime::clock::Ticks;
use crate::runtime::engine::Token;
use crate::session::Unblocked;
use crate::shard::batch::{BatchKind, ItemHeader};
use crate::shard::locks::Intent;
use crate::shard::mailbox::{Hint, Message};

use super::Dispatcher;
use super::command::{Coordination, KeptArgs};
use super::wait::Kind;

/// A client that waits here, or the hint of one that waits for several shards.
struct Parked {
    /// The shard of its connection.
    origin: u16,
    database: u16,
    /// The hashes of the keys that it waits for.
    keys: Vec<u64>,
    /// It is tried as well when one of them has gone.
    minds_removal: bool,
    waits: Waits,
}

enum Waits {
    /// For elements to take here.
    Here(Box<Waiter>),
    /// Its shard is told when there may be some; `asked`: it was, and has not said what came of it; `again`:
    /// since then there may be more.
    Elsewhere { block: u64, asked: bool, again: bool },
}

struct Waiter {
    /// The origin's number of its wait.
    wait: u32,
    command: u16,
    args: KeptArgs,
    resp3: bool,
    no_touch: bool,
    /// What it touches once it is served.
    intents: Vec<Intent>,
    /// What it is answered when its time is up.
    nil: Vec<u8>,
    deadline_ms: Option<i64>,
}

/// The clients that wait at one shard.
#[derive(Default)]
pub struct Parking {
    clients: HashMap<u64, Parked>,
    /// By database and hash, in the order of arrival.
    by_key: HashMap<(u16, u64), VecDeque<u64>>,
    by_deadline: BTreeSet<(i64, u64)>,
    by_wait: HashMap<(u16, u32), u64>,
    next: u64,
    /// Keys that were written while a transaction had them.
    postponed: Vec<(u16, u64)>,
    /// Connections of this shard that wait for keys of several.
    blocks: HashMap<u64, Block>,
    blocks_by_deadline: BTreeSet<(i64, u64)>,
    next_block: u64,
}

/// A connection of this shard that waits for keys of several shards.
struct Block {
    token: Token,
    /// Its command, while it is not being tried.
    idle: Option<(u32, Box<Coordination>)>,
    /// Where its hints are.
    shards: Vec<usize>,
    /// Shards that asked since the last try began.
    asked: Vec<usize>,
    nil: Vec<u8>,
    deadline_ms: Option<i64>,
    /// It is over, which the try under way does not know yet.
    over: Option<Unblocked>,
}

const UNBLOCKED: &[u8] = b"-UNBLOCKED client unblocked via CLIENT UNBLOCK\r\n";

impl Parking {
    #[inline(always)]
    pub fn is_empty(&self) -> bool {
        self.clients.is_empty()
    }

    /// Clients parked here, hints included.
    pub fn len(&self) -> usize {
        self.clients.len()
    }

    /// Whether keys serve nobody until a transaction is over.
    pub fn has_postponed(&self) -> bool {
        !self.postponed.is_empty()
    }

    /// When the next client's time is up, in unix milliseconds.
    pub fn next_deadline_ms(&self) -> Option<i64> {
        let first = |deadlines: &BTreeSet<(i64, u64)>| deadlines.first().map(|&(at_ms, _)| at_ms);
        first(&self.by_deadline).into_iter().chain(first(&self.blocks_by_deadline)).min()
    }

    fn add(&mut self, parked: Parked) {
        let number = self.next;
        self.next += 1;
        for &hash in &parked.keys {
            self.by_key.entry((parked.database, hash)).or_default().push_back(number);
        }
        if let Waits::Here(waiter) = &parked.waits {
            self.by_wait.insert((parked.origin, waiter.wait), number);
            self.by_deadline.extend(waiter.deadline_ms.map(|at_ms| (at_ms, number)));
        }
        self.clients.insert(number, parked);
    }

    fn remove(&mut self, number: u64) -> Option<Parked> {
        let parked = self.clients.remove(&number)?;
        for &hash in &parked.keys {
            if let Some(queue) = self.by_key.get_mut(&(parked.database, hash)) {
                queue.retain(|&other| other != number);
                if queue.is_empty() {
                    self.by_key.remove(&(parked.database, hash));
                }
            }
        }
        if let Waits::Here(waiter) = &parked.waits {
            self.by_wait.remove(&(parked.origin, waiter.wait));
            if let Some(at_ms) = waiter.deadline_ms {
                self.by_deadline.remove(&(at_ms, number));
            }
        }
        Some(parked)
    }

    /// Whether the client of a hint has been told that there may be something.
    fn is_asked(&self, number: u64) -> bool {
        let waits = self.clients.get(&number).map(|parked| &parked.waits);
        matches!(waits, Some(Waits::Elsewhere { asked: true, .. }))
    }

    fn hint_of(&self, block: u64, origin: usize) -> Option<u64> {
        let is_it = |parked: &Parked| {
            parked.origin as usize == origin
                && matches!(parked.waits, Waits::Elsewhere { block: other, .. } if other == block)
        };
        self.clients.iter().find(|(_, parked)| is_it(parked)).map(|(&number, _)| number)
    }
}

/// When a time of so many milliseconds from now is up; `None` for 0, which is never.
fn deadline(now_ms: i64, timeout_ms: i64) -> Option<i64> {
    (timeout_ms > 0).then(|| now_ms.saturating_add(timeout_ms))
}

/// What a client is answered whose time is up: the null of arrays, also by a command that answers a bulk.
fn nil_of_waiting(nil: &[u8]) -> Vec<u8> {
    if nil == b"$-1\r\n" { b"*-1\r\n".to_vec() } else { nil.to_vec() }
}

/// What a client is answered that gets no element.
fn answer_of_waiting(how: Unblocked, nil: &[u8]) -> &[u8] {
    match how {
        Unblocked::TimeIsUp => nil,
        Unblocked::ByError => UNBLOCKED,
        Unblocked::Gone => &[],
    }
}

impl Dispatcher {
    /// Parks the client whose command has found nothing. `nil` is what it answers when time is up.
    pub(super) fn park(
        &mut self,
        origin: u16,
        wait: u32,
        header: &ItemHeader,
        args: KeptArgs,
        nil: Vec<u8>,
        timeout_ms: i64,
    ) {
        let command = self.table.get(CommandId(header.command));
        let database = header.database;
        let minds_removal = command.minds_removal();
        let (mut keys, mut intents) = (Vec::new(), Vec::new());
        for (position, waited) in command.waits_for(&args.args()) {
            let args = args.args();
            let key = self.shard.keyspace.key(args.get(position));
            intents.push(Intent::key(key.hash, true));
            if waited && !keys.contains(&key.hash) {
                self.shard.keyspace.database(database as usize).await_key(&key, minds_removal);
                keys.push(key.hash);
            }
        }
        let nil = nil_of_waiting(&nil);
        let deadline_ms = deadline(self.shard.now_ms(), timeout_ms);
        let ItemHeader { command, resp3, no_touch, .. } = *header;
        let waiter = Waiter { wait, command, args, resp3, no_touch, intents, nil, deadline_ms };
        let waits = Waits::Here(Box::new(waiter));
        self.parking.add(Parked { origin, database, keys, minds_removal, waits });
        self.send(origin as usize, Message::Parked(wait));
    }

    fn unpark(&mut self, number: u64) -> Option<Parked> {
        let parked = self.parking.remove(number)?;
        let database = self.shard.keyspace.database(parked.database as usize);
        parked.keys.iter().for_each(|&hash| database.await_no_more(hash, parked.minds_removal));
        Some(parked)
    }

    /// Serves clients at keys that have been written, until no more is to be had.
    pub(super) fn serve_ready(&mut self) {
        if !self.shard.unblocked.is_empty() {
            self.unblock_clients();
        }
        loop {
            let mut any = false;
            for database in 0..self.shard.keyspace.database_count() {
                while let Some(hash) = self.shard.keyspace.database(database).next_ready() {
                    any = true;
                    self.serve_key((database as u16, hash), 0);
                }
            }
            if !any {
                return;
            }
        }
    }

    /// Serves clients at keys that have gone by themselves; whether there were any.
    pub fn serve_gone(&mut self) -> bool {
        if self.parking.is_empty() || !self.shard.keyspace.has_ready() {
            return false;
        }
        self.serve_ready();
        true
    }

    /// Serves clients at keys that a transaction had.
    pub(super) fn serve_postponed(&mut self) {
        for key in std::mem::take(&mut self.parking.postponed) {
            self.serve_key(key, 0);
        }
        self.serve_ready();
    }

    /// Serves the clients at a key in their order, but for the first `skipped`.
    fn serve_key(&mut self, key: (u16, u64), skipped: usize) {
        let mut place = skipped;
        while let Some(&number) = self.parking.by_key.get(&key).and_then(|queue| queue.get(place)) {
            // What one client has taken is not there for the next: whoever is asked in vain may come upon
            // another of its keys, out of turn.
            let database = self.shard.keyspace.database(key.0 as usize);
            let exists = database.has_awaited(key.1);
            if !exists && !database.is_removal_awaited(key.1) {
                return;
            }
            let Some(parked) = self.parking.clients.get_mut(&number) else { return };
            if !exists && !parked.minds_removal {
                place += 1;
                continue;
            }
            let origin = parked.origin as usize;
            match &mut parked.waits {
                Waits::Elsewhere { asked: true, again, .. } => {
                    *again = true;
                    return;
                }
                Waits::Elsewhere { block, asked, .. } => {
                    *asked = true;
                    let block = *block;
                    return self.send(origin, Message::Ready(block));
                }
                Waits::Here(waiter) if self.queue.conflicts(&waiter.intents) => {
                    if !self.parking.postponed.contains(&key) {
                        self.parking.postponed.push(key);
                    }
                    return;
                }
                Waits::Here(_) => {}
            }
            match self.try_to_serve(number) {
                Some(reply) => {
                    let Some(parked) = self.unpark(number) else { return };
                    self.answer_parked(parked, reply);
                }
                // Nothing is left, or nothing that it can take: nor can those behind it that want the same.
                None => place += 1,
            }
        }
    }

    /// The reply to a parked client's command, if it finds something now.
    fn try_to_serve(&mut self, number: u64) -> Option<Vec<u8>> {
        let started = Ticks::now();
        let Parked { database, waits: Waits::Here(waiter), .. } = self.parking.clients.get(&number)? else {
            return None;
        };
        let Some(Run::Wait { whole, .. }) = self.table.get(CommandId(waiter.command)).run else {
            return None;
        };
        let mut reply = Vec::new();
        let args = waiter.args.args();
        let first = self.shard.keyspace.key(args.get(1.min(args.len() - 1))).hash;
        self.shard.keyspace.set_no_touch(waiter.no_touch);
        let mut data = Data {
            keyspace: &mut self.shard.keyspace,
            database: *database as usize,
            args,
            key_hash: first,
            key_slot: crate::shard::batch::NO_KEY,
            reply: Reply::new(&mut reply, waiter.resp3),
            moved: None,
            string_bytes_max: self.shard.config.proto_max_bulk_len as usize,
            has_waited: true,
            park: None,
            waits_as: None,
            known_keys: &[],
        };
        let result = whole(&mut data);
        if data.park.is_some() {
            return None;
        }
        let command = waiter.command;
        if let Err(error) = result {
            reply.clear();
            self.fail(command, &error, &mut Reply::new(&mut reply, false));
        }
        self.shard.metrics.ran(command, Ticks::now().wrapping_sub(started));
        Some(reply)
    }

    /// A client that was parked here gets its answer.
    fn answer_parked(&mut self, parked: Parked, reply: Vec<u8>) {
        let Waits::Here(waiter) = parked.waits else { return };
        let mut batch = self.batches.take_empty();
        batch.origin = parked.origin;
        batch.target = self.shard.id as u16;
        batch.kind = BatchKind::Hop;
        batch.answer_one(waiter.wait, &reply);
        self.late.push(batch);
    }

    /// Ends the waiting of clients whose time is up.
    pub fn expire_parked(&mut self) {
        let now_ms = self.shard.now_ms();
        while let Some(&(at_ms, number)) = self.parking.by_deadline.first()
            && at_ms <= now_ms
        {
            self.parking.by_deadline.pop_first();
            self.end_parked(number, Unblocked::TimeIsUp);
        }
        while let Some(&(at_ms, block)) = self.parking.blocks_by_deadline.first()
            && at_ms <= now_ms
        {
            self.parking.blocks_by_deadline.pop_first();
            self.end_block(block, Unblocked::TimeIsUp);
        }
    }

    fn end_parked(&mut self, number: u64, how: Unblocked) {
        let Some(parked) = self.unpark(number) else { return };
        let Waits::Here(waiter) = &parked.waits else { return };
        self.shard.metrics.ran(waiter.command, 0);
        let reply = answer_of_waiting(how, &waiter.nil).to_vec();
        self.answer_parked(parked, reply);
    }

    /// The wait of a client of shard `from` is over.
    pub(super) fn unpark_wait(&mut self, from: usize, wait: u32, how: Unblocked) {
        // Served in the meantime: then the answer is on its way.
        if let Some(&number) = self.parking.by_wait.get(&(from as u16, wait)) {
            self.end_parked(number, how);
        }
    }

    /// A client of this shard is parked on shard `from`.
    pub(super) fn client_is_parked(&mut self, from: usize, wait: u32) {
        let Some(token) = self.waits.token(wait) else { return };
        self.waits.park(wait, from);
        if !self.mark_blocked(token) {
            self.send(from, Message::Unpark(wait, Unblocked::Gone));
        }
    }

    /// A client waits for elements from now on; `false`: it is gone. A client that sends nothing more is
    /// taken for gone, since of most nothing more is seen than that when they go; its earlier replies leave.
    fn mark_blocked(&mut self, token: Token) -> bool {
        let Some(session) = self.shard.sessions.get(token) else { return false };
        if session.ended {
            session.closing = true;
            self.shard.sessions.mark_dirty(token);
            return false;
        }
        session.blocked = true;
        if session.held_back {
            // Its input is read while it waits, or nobody would notice that it is gone.
            self.resumable.push(token);
        }
        true
    }

    /// Ends the waiting of this shard's clients that went away or were told to.
    pub(super) fn unblock_clients(&mut self) {
        for (wait, how) in std::mem::take(&mut self.shard.unblocked) {
            match self.waits.kind(wait) {
                Some(Kind::Blocked(block)) => {
                    let block = *block;
                    self.end_block(block, how);
                }
                Some(Kind::Command(coordination)) => {
                    if let Some(block) = coordination.block {
                        self.end_block(block, how);
                    }
                }
                Some(_) => match self.waits.parked_on(wait) {
                    // At once: no command that follows serves it any more.
                    Some(shard) if shard == self.shard.id => self.unpark_wait(shard, wait, how),
                    Some(shard) => self.send(shard, Message::Unpark(wait, how)),
                    None => {}
                },
                None => {}
            }
        }
    }

    // Clients that wait for keys of several shards: on the shard of their keys.

    /// Under the locks of the client's try, which has found nothing.
    pub(super) fn add_hint(&mut self, from: usize, hint: &Hint) {
        let mut keys = Vec::with_capacity(hint.keys.len());
        for bytes in &hint.keys {
            let key: Key<'_> = self.shard.keyspace.key(bytes);
            if !keys.contains(&key.hash) {
                self.shard.keyspace.database(hint.database as usize).await_key(&key, hint.minds_removal);
                keys.push(key.hash);
            }
        }
        let waits = Waits::Elsewhere { block: hint.block, asked: false, again: false };
        let Hint { database, minds_removal, .. } = *hint;
        self.parking.add(Parked { origin: from as u16, database, keys, minds_removal, waits });
    }

    /// The client's try has found nothing: whoever stands behind its hint gets a chance.
    pub(super) fn keep_hint(&mut self, from: usize, block: u64) {
        let Some(number) = self.parking.hint_of(block, from) else { return };
        let Some(parked) = self.parking.clients.get_mut(&number) else { return };
        let mut ask = false;
        if let Waits::Elsewhere { asked, again, .. } = &mut parked.waits {
            *asked = false;
            ask = std::mem::take(again);
        }
        let keys: Vec<(u16, u64)> = parked.keys.iter().map(|&hash| (parked.database, hash)).collect();
        for key in keys {
            let queue = self.parking.by_key.get(&key);
            let place = queue.and_then(|queue| queue.iter().position(|&other| other == number));
            self.serve_key(key, place.map_or(0, |place| place + usize::from(!ask)));
            if ask && self.parking.is_asked(number) {
                // It looks at all its keys: to be asked for the next one again would go on for ever.
                break;
            }
        }
        self.serve_ready();
    }

    pub(super) fn remove_hint(&mut self, from: usize, block: u64) {
        let Some(number) = self.parking.hint_of(block, from) else { return };
        let Some(parked) = self.unpark(number) else { return };
        for hash in parked.keys {
            self.serve_key((parked.database, hash), 0);
        }
        self.serve_ready();
    }

    // The same on the shard of their connection.

    /// A command over several shards has found nothing: the client waits. `true`: its time has run out.
    pub(super) fn block(
        &mut self,
        token: Token,
        mut coordination: Box<Coordination>,
        nil: &[u8],
        timeout_ms: i64,
        out: &mut Vec<u8>,
    ) -> bool {
        let over = coordination.block.and_then(|block| self.parking.blocks.get(&block)?.over);
        if let (Some(block), Some(how)) = (coordination.block, over) {
            self.conclude(coordination.transaction.take());
            self.forget_block(block);
            let nil = nil_of_waiting(nil);
            out.extend_from_slice(answer_of_waiting(how, &nil));
            self.shard.metrics.ran(coordination.command, 0);
            return true;
        }
        let block = match coordination.block {
            Some(block) => block,
            None => self.new_block(token, &coordination, nil, timeout_ms),
        };
        coordination.block = Some(block);
        self.conclude(coordination.transaction.take());
        let wait = self.register(token, Kind::Blocked(block), Vec::new());
        let there = self.mark_blocked(token);
        let Some(entry) = self.parking.blocks.get_mut(&block) else { return false };
        entry.idle = Some((wait, coordination));
        for shard in std::mem::take(&mut entry.asked) {
            self.send(shard, Message::KeepHint(block));
        }
        if !there {
            self.end_block(block, Unblocked::Gone);
        }
        false
    }

    fn new_block(&mut self, token: Token, coordination: &Coordination, nil: &[u8], timeout_ms: i64) -> u64 {
        let block = self.parking.next_block;
        self.parking.next_block += 1;
        let command = self.table.get(CommandId(coordination.command));
        let args = coordination.args.args();
        let mut hints: Vec<(usize, Hint)> = Vec::new();
        for (position, waited) in command.waits_for(&args) {
            let key = args.get(position).to_vec();
            let shard = self.shard.route.shard_of(&key);
            if !waited {
                continue;
            }
            match hints.iter_mut().find(|(owner, _)| *owner == shard) {
                Some((_, hint)) => hint.keys.push(key),
                None => {
                    let (database, minds_removal) = (coordination.database, command.minds_removal());
                    hints.push((shard, Hint { block, database, keys: vec![key], minds_removal }));
                }
            }
        }
        let shards = hints.iter().map(|&(shard, _)| shard).collect();
        for (shard, hint) in hints {
            self.send(shard, Message::Hint(Box::new(hint)));
        }
        let deadline_ms = deadline(self.shard.now_ms(), timeout_ms);
        let nil = nil_of_waiting(nil);
        self.parking.blocks_by_deadline.extend(deadline_ms.map(|at_ms| (at_ms, block)));
        let entry = Block { token, idle: None, shards, asked: Vec::new(), nil, deadline_ms, over: None };
        self.parking.blocks.insert(block, entry);
        block
    }

    /// A shard says that there may be something: the client's command is tried again.
    pub(super) fn try_block(&mut self, from: usize, block: u64) {
        // Unknown: it is over, and the shard will hear of it.
        let Some(entry) = self.parking.blocks.get_mut(&block) else { return };
        entry.asked.push(from);
        let token = entry.token;
        let Some((wait, mut coordination)) = entry.idle.take() else { return };
        coordination.try_again();
        let silent = self.waits.remove(wait).is_none_or(|wait| wait.silent);
        self.answer_session(token, silent, |dispatcher, out| {
            dispatcher.start_several(token, coordination, out)
        });
    }

    /// The waiting of a client of this shard is over without an element.
    fn end_block(&mut self, block: u64, how: Unblocked) {
        let Some(entry) = self.parking.blocks.get_mut(&block) else { return };
        let token = entry.token;
        let Some((wait, coordination)) = entry.idle.take() else {
            entry.over = Some(how);
            return;
        };
        let nil = std::mem::take(&mut entry.nil);
        self.shard.metrics.ran(coordination.command, 0);
        self.forget_block(block);
        let silent = self.waits.remove(wait).is_none_or(|wait| wait.silent);
        self.answer_session(token, silent, |_, out| {
            out.extend_from_slice(answer_of_waiting(how, &nil));
            true
        });
    }

    /// A client waits no more: its hints go.
    pub(super) fn forget_block(&mut self, block: u64) {
        let Some(entry) = self.parking.blocks.remove(&block) else { return };
        if let Some(at_ms) = entry.deadline_ms {
            self.parking.blocks_by_deadline.remove(&(at_ms, block));
        }
        for shard in entry.shards {
            self.send(shard, Message::RemoveHint(block));
        }
    }

    /// Lets go of the locks of a transaction of several hops.
    pub(super) fn conclude(&mut self, transaction: Option<crate::shard::queue::TransactionId>) {
        if let Some(id) = transaction {
            self.coordinator.conclude(id, &mut self.actions);
            self.carry_out();
        }
    }
}
