//! Commands that go to their shards together, some of them divided: where each reply comes from.

use std::ops::Range;

use crate::commands::{CommandId, Merge, Run, Split};
use crate::error::CommandError;
use crate::resp::{Args, Reply, Span};
use crate::runtime::clock::Ticks;
use crate::runtime::engine::Token;
use crate::session::ReplyMode;
use crate::shard::batch::{BatchKind, ItemHeader};

use super::Dispatcher;
use super::burst::{Burst, Call, Way};
use super::command::{SHARE, merge_replies};
use super::gate;
use super::local::latency_event;
use super::wait::{Kind, PartOf};

/// Where the reply to a command comes from.
pub enum Slot {
    Text(Vec<u8>),
    Known(&'static [u8]),
    /// The head of an array of the replies that follow.
    Array(usize),
    /// The next item of this part.
    Item(u16),
    /// The next item of each of these parts, merged.
    Shares(Box<Shares>),
}

/// A command that was divided among shards.
pub struct Shares {
    command: u16,
    merge: Merge,
    parts: Vec<u16>,
    /// For each key in order, which of `parts` answers for it.
    key_parts: Vec<u16>,
    started: u64,
}

/// The part of a batch, made if this is its first item.
pub fn part_of(parts: &mut Vec<PartOf>, part: PartOf) -> u16 {
    match parts.iter().position(|known| known.batch == part.batch) {
        Some(known) => {
            parts[known].count += part.count;
            known as u16
        }
        None => {
            parts.push(part);
            parts.len() as u16 - 1
        }
    }
}

impl Dispatcher {
    /// Whether a command on several shards needs one round of them, each with its own keys: it can go with
    /// its neighbours.
    pub(super) fn is_divided(&self, call: Call) -> bool {
        let run = || self.table.get(CommandId(call.command)).run;
        call.way == Way::Several && matches!(run(), Some(Run::EachShard { split: Split::Keys { .. }, .. }))
    }

    /// Puts a command into the batches of its shards.
    pub(super) fn put_slot(
        &mut self,
        kind: BatchKind,
        bytes: &[u8],
        burst: &mut Burst,
        index: usize,
        header: ItemHeader,
        parts: &mut Vec<PartOf>,
    ) -> Slot {
        let call = burst.call(index);
        let command = self.table.get(CommandId(call.command));
        match (call.way, command.run) {
            (Way::Several, Some(Run::EachShard { split, merge, .. })) => {
                let mut args = burst.args(index, bytes);
                if !split.accepts(args.len()) {
                    let mut text = Vec::new();
                    let error = CommandError::Arity(command.name.into());
                    self.fail(call.command, &error, &mut Reply::new(&mut text, header.resp3));
                    self.shard.metrics.ran(call.command, 0);
                    return Slot::Text(text);
                }
                let started = Ticks::now();
                let mut key_parts = Vec::new();
                let header = ItemHeader { command: call.command, step: SHARE, ..header };
                let shares = self.put_shares(kind, header, &mut args, split, &mut key_parts);
                let shares = shares.into_iter().map(|part| part_of(parts, part)).collect();
                let command = call.command;
                Slot::Shares(Box::new(Shares { command, merge, parts: shares, key_parts, started }))
            }
            (Way::Shard(target), _) => {
                let part = self.put_call(kind, bytes, burst, index, target as usize, header);
                Slot::Item(part_of(parts, part))
            }
            _ => Slot::Text(Vec::new()),
        }
    }

    /// Puts a stretch with divided commands or blocks into the batches of the shards; the session waits for
    /// them.
    pub(super) fn send_segment(
        &mut self,
        token: Token,
        kind: BatchKind,
        bytes: &[u8],
        burst: &mut Burst,
        stretch: Range<usize>,
        header: ItemHeader,
    ) {
        let authenticated = self.shard.sessions.current(token).authenticated;
        let mut parts = Vec::new();
        let mut slots = Vec::with_capacity(stretch.len());
        let mut index = stretch.start;
        while index < stretch.end {
            let call = burst.call(index);
            if call.way == Way::Here {
                index = self.put_block(kind, bytes, burst, index, header, &mut parts, &mut slots);
                continue;
            }
            let command = self.table.get(CommandId(call.command));
            let slot = match gate::admit(command, authenticated, &self.shard) {
                Ok(()) => {
                    if !self.shard.monitors.is_empty() {
                        self.feed_monitors(token, command, &burst.args(index, bytes));
                    }
                    self.put_slot(kind, bytes, burst, index, header, &mut parts)
                }
                Err(error) => {
                    let mut text = Vec::new();
                    let message = error.message();
                    Reply::new(&mut text, false).error_line(&message);
                    self.shard.metrics.error_replied(&message);
                    self.shard.metrics.commands[call.command as usize].rejected += 1;
                    Slot::Text(text)
                }
            };
            slots.push(slot);
            index += 1;
        }
        if parts.is_empty() {
            // All of them were refused.
            let silent = self.shard.sessions.current(token).reply_mode != ReplyMode::On;
            return self.answer_session(token, silent, |dispatcher, out| {
                dispatcher.collect_slots(token, &mut slots, &[], out);
                true
            });
        }
        self.wait_with(token, Kind::Segment(slots), parts);
    }

    /// Appends the replies to the commands of `slots`, which are there, in order.
    pub(super) fn collect_slots(
        &mut self,
        token: Token,
        slots: &mut Vec<Slot>,
        parts: &[PartOf],
        replies: &mut Vec<u8>,
    ) {
        let mut next: Vec<u32> = parts.iter().map(|part| part.first).collect();
        for slot in slots.drain(..) {
            match slot {
                Slot::Text(text) => replies.extend_from_slice(&text),
                Slot::Known(text) => replies.extend_from_slice(text),
                Slot::Array(length) => Reply::new(replies, false).array(length),
                Slot::Item(part) => {
                    let part = part as usize;
                    replies.extend_from_slice(self.batches.reply_at(&parts[part], next[part]));
                    next[part] += 1;
                }
                Slot::Shares(shares) => {
                    let mut answers: Vec<&[u8]> = Vec::with_capacity(shares.parts.len());
                    let mut items: Vec<(u32, u32)> = Vec::with_capacity(shares.parts.len());
                    for &part in &shares.parts {
                        let part = part as usize;
                        answers.push(self.batches.reply_at(&parts[part], next[part]));
                        items.push((parts[part].batch, next[part]));
                        next[part] += 1;
                    }
                    let merged = merge_replies(shares.merge, &answers, &shares.key_parts, replies);
                    debug_assert!(merged.is_some(), "shards answer with whole replies");
                    self.shard.metrics.ended(shares.command, Ticks::now().wrapping_sub(shares.started));
                    // Slow is what a shard works on for long, not what waits for others.
                    let slow = |(batch, item): &(u32, u32)| self.batches.batch_mut(*batch).take_slow(*item);
                    if let Some(ticks) = items.iter().filter_map(slow).max() {
                        self.report_slow_shares(token, &shares, &items, ticks);
                    }
                }
            }
        }
    }

    /// Notes a divided command that took long, with its arguments in the order in which they came.
    #[cold]
    fn report_slow_shares(&mut self, token: Token, shares: &Shares, items: &[(u32, u32)], ticks: u64) {
        let mut words: Vec<std::vec::IntoIter<Vec<u8>>> = Vec::new();
        for &(batch, item) in items {
            words.push(self.batches.batch_mut(batch).arguments_of(item).into_iter());
        }
        let mut line: Vec<Vec<u8>> = words.iter_mut().filter_map(Iterator::next).collect();
        line.truncate(1);
        let left: usize = words.iter().map(ExactSizeIterator::len).sum();
        let stride = left / shares.key_parts.len().max(1);
        for &part in &shares.key_parts {
            line.extend(words[part as usize].by_ref().take(stride));
        }
        let mut spans = Vec::with_capacity(line.len());
        let mut start = 0;
        for word in &line {
            spans.push(Span::new(start, word.len()));
            start += word.len();
        }
        let event = latency_event(self.table.get(CommandId(shares.command)));
        self.shard.observe_slow(token, &Args::new(&line.concat(), &spans, &mut []), ticks, event);
    }
}
