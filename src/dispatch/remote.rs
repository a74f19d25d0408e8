//! Running the batch of another shard (or this shard's own share of a mixed burst).

use crate::commands::{CommandId, CommandTable, Data, DataFunction, Part, Run, Split};
use crate::error::CommandError;
use crate::keyspace::KeyPlace;
use crate::resp::{Args, Reply, Span};
use crate::runtime::clock::Ticks;
use crate::shard::batch::{Batch, BatchKind, Extra, Group, ItemHeader, NO_KEY};

use super::Dispatcher;
use super::command::{KeptArgs, SHARE};
use super::fetch::FETCHED_COMMANDS;

/// Reusable lists for one batch.
#[derive(Default)]
pub struct Executor {
    items: Vec<(ItemHeader, u32)>,
    spans: Vec<Span>,
    /// The keys of the items in the window.
    keys: Vec<KeyPlace>,
    /// Where the keys of each of these items end in `keys`.
    key_ends: Vec<usize>,
}

/// An item of a batch that is about to run.
struct Item<'a> {
    number: u32,
    header: ItemHeader,
    spans: &'a [Span],
    /// Where its keys are, those that were looked at.
    keys: &'a [KeyPlace],
}

/// Which items belong to groups that were put off, asked in order.
#[derive(Default)]
struct Deferred {
    group: usize,
}

impl Deferred {
    #[inline(always)]
    fn has(&mut self, item: u32, groups: &[Group]) -> bool {
        while let Some(group) = groups.get(self.group) {
            if item < group.first + group.count {
                return group.deferred;
            }
            self.group += 1;
        }
        false
    }
}

/// Keys whose buckets and entries are fetched ahead.
const PREFETCH_WINDOW: usize = 64;

impl Dispatcher {
    /// Runs every item of a batch and fills in the replies.
    pub(super) fn execute(&mut self, mut batch: Box<Batch>) -> Box<Batch> {
        let mut executor = std::mem::take(&mut self.executor);
        executor.items.clear();
        executor.spans.clear();
        let mut position = 0;
        loop {
            let first_span = executor.spans.len() as u32;
            let Some((header, next)) = batch.read(position, &mut executor.spans) else { break };
            executor.items.push((header, first_span));
            position = next;
        }
        if batch.kind == BatchKind::Plain && !self.queue.is_empty() {
            self.defer_groups(&mut batch, &executor.items, &executor.spans);
        }
        let mut deferred = Deferred::default();
        let mut start = 0;
        while start < executor.items.len() {
            let end = self.prefetch_keys(&mut executor, start, &mut batch);
            let mut first_key = 0;
            for number in start..end {
                let (header, first) = executor.items[number];
                let spans = &executor.spans[first as usize..(first + header.arguments) as usize];
                if (number - start).is_multiple_of(FETCHED_COMMANDS) {
                    let together = &executor.items[number..end.min(number + FETCHED_COMMANDS)];
                    self.fetch_elements_of_items(&mut batch, together, &executor.spans);
                }
                let keys = &executor.keys[first_key..executor.key_ends[number - start]];
                first_key += keys.len();
                if !deferred.has(number as u32, &batch.groups) {
                    let item = Item { number: number as u32, header, spans, keys };
                    self.execute_item(&mut batch, item, deferred.group);
                    if !self.parking.is_empty() && !header.exec_goes_on && batch.kind == BatchKind::Plain {
                        self.serve_ready();
                    }
                }
                batch.end_reply();
            }
            start = end;
        }
        self.executor = executor;
        if !self.parking.is_empty() {
            self.serve_ready();
        }
        batch
    }

    /// Fetches what the items from `start` on need, as many as there are keys in a window; where those items
    /// end.
    fn prefetch_keys(&mut self, executor: &mut Executor, start: usize, batch: &mut Batch) -> usize {
        let Executor { items, spans, keys, key_ends } = executor;
        keys.clear();
        key_ends.clear();
        let keyspace = &mut self.shard.keyspace;
        let (bytes, owned, _) = batch.parts();
        let mut end = start;
        while end < items.len() && keys.len() < PREFETCH_WINDOW {
            let (header, first) = items[end];
            let first_key = keys.len();
            if header.slot != NO_KEY {
                keys.push(KeyPlace { hash: header.hash, slot: header.slot });
            }
            if let Some(stride) = stride_of_share(&self.table, &header) {
                let spans = &spans[first as usize..(first + header.arguments) as usize];
                let args = Args::new(bytes, spans, owned);
                keys.extend(
                    (1 + stride..args.len()).step_by(stride).map(|at| keyspace.key(args.get(at)).place()),
                );
            }
            let database = keyspace.database(header.database as usize);
            for key in &keys[first_key..] {
                database.prefetch_bucket(&key.key(&[]));
            }
            key_ends.push(keys.len());
            end += 1;
        }
        if keys.len() > 1 {
            let mut first_key = 0;
            for (&(header, _), &key_end) in items[start..end].iter().zip(key_ends.iter()) {
                let database = keyspace.database(header.database as usize);
                for key in &keys[first_key..key_end] {
                    database.prefetch_entry(&key.key(&[]));
                }
                first_key = key_end;
            }
        }
        end
    }

    fn execute_item(&mut self, batch: &mut Batch, item: Item<'_>, group: usize) {
        let Item { number, header, spans, keys } = item;
        let started = Ticks::now();
        let moved = match batch.take_extra_in(number) {
            Some(Extra::Moved(moved)) => Some(moved),
            _ => None,
        };
        let (bytes, owned, replies) = batch.parts();
        let args = Args::new(bytes, spans, owned);
        if header.command == u16::MAX {
            // Refused where it came from; the text is its argument.
            let text = String::from_utf8_lossy(args.get(0)).into_owned();
            Reply::new(replies, header.resp3).error_line(&text);
            self.shard.metrics.error_replied(&text);
            return;
        }
        let command = self.table.get(CommandId(header.command));
        let function: DataFunction = match command.run {
            Some(Run::OneShard(function)) => function,
            Some(Run::EachShard { part, .. }) => part,
            // Step 0 is the whole command, for when one shard owns all its keys.
            Some(Run::Hops { whole, .. } | Run::Wait { whole, .. }) if header.step == 0 => whole,
            Some(Run::Hops { steps, .. } | Run::Wait { steps, .. } | Run::Transaction { steps, .. }) => {
                steps[header.step as usize - 1]
            }
            Some(Run::Gather { part, .. }) => {
                let report = part(&mut Part {
                    shard: &mut self.shard,
                    table: &self.table,
                    args,
                    client_id: header.hash,
                    client_resp3: header.resp3,
                    database: header.database as usize,
                });
                batch.extras_out.push((number, Extra::Report(Box::new(report))));
                return self.shard.metrics.worked(header.command, Ticks::now().wrapping_sub(started));
            }
            Some(Run::Here(_)) | None => return,
        };
        let mark = replies.len();
        self.shard.keyspace.set_no_touch(header.no_touch);
        let mut data = Data {
            keyspace: &mut self.shard.keyspace,
            database: header.database as usize,
            args,
            key_hash: header.hash,
            key_slot: header.slot,
            known_keys: if header.step == SHARE { keys } else { &[] },
            reply: Reply::new(replies, header.resp3),
            moved,
            string_bytes_max: self.shard.config.proto_max_bulk_len as usize,
            has_waited: false,
            park: None,
            waits_as: None,
        };
        let result = function(&mut data);
        let moved = data.moved.take();
        let waits_as = data.waits_as.take();
        let park = data.park.filter(|_| header.parks && result.is_ok());
        if let Some(timeout_ms) = park {
            let nil = replies.split_off(mark);
            let (origin, wait) = (batch.origin, batch.groups[group].wait);
            batch.groups[group].deferred = true;
            let (bytes, owned, _) = batch.parts();
            let args = match waits_as {
                Some(words) => KeptArgs::of(words.iter().map(Vec::as_slice)),
                None => KeptArgs::keep(&Args::new(bytes, spans, owned)),
            };
            return self.park(origin, wait, &header, args, nil, timeout_ms);
        }
        if let Err(error) = result {
            replies.truncate(mark);
            self.fail_item(header.command, &error, replies);
        }
        if let Some(moved) = moved {
            batch.extras_out.push((number, Extra::Moved(moved)));
        }
        let ticks = Ticks::now().wrapping_sub(started);
        if header.step == 0 {
            self.shard.metrics.ran(header.command, ticks);
        } else {
            self.shard.metrics.worked(header.command, ticks);
        }
        if ticks > self.shard.slow_ticks {
            batch.slow.push((number, ticks));
        }
    }

    #[cold]
    fn fail_item(&mut self, command: u16, error: &CommandError, replies: &mut Vec<u8>) {
        let message = error.message();
        Reply::new(replies, false).error_line(&message);
        self.shard.metrics.error_replied(&message);
        self.shard.metrics.commands[command as usize].failed += 1;
    }
}

/// Of a share of a divided command: the arguments from one key to the next.
fn stride_of_share(table: &CommandTable, header: &ItemHeader) -> Option<usize> {
    if header.step != SHARE || header.slot == NO_KEY {
        return None;
    }
    match table.get(CommandId(header.command)).run {
        Some(Run::EachShard { split: Split::Keys { stride }, .. }) => Some(stride),
        _ => None,
    }
}
