//! Elements of large collections, fetched into the cache before the commands run that seek them.
//!
//! A command on an element looks at memory three times, each time where the look before it said: the key's
//! entry, the slot of the collection's index, the element; one on a small hash reads through its entry. Of
//! commands that come together, the looks of all are made side by side instead.

use std::ops::Range;

use crate::commands::{CommandId, CommandTable};
use crate::keyspace::{Database, KeyPlace};
use crate::resp::{Args, Span};
use crate::shard::batch::{Batch, ItemHeader};
use crate::types::Object;

use super::Dispatcher;
use super::burst::Burst;

/// So many commands are looked at together.
pub const FETCHED_COMMANDS: usize = 16;

/// The elements that some commands seek.
struct Sought<'a> {
    database: &'a Database,
    elements: [Option<(&'a Object, u64)>; FETCHED_COMMANDS],
    count: usize,
    /// The key of the command before: neighbours often have the same.
    last: Option<(u64, Option<&'a Object>)>,
}

impl<'a> Sought<'a> {
    fn new(database: &'a Database) -> Self {
        Sought { database, elements: [None; FETCHED_COMMANDS], count: 0, last: None }
    }

    /// A command on the key `place` that seeks the element named by the argument at `position`.
    #[inline(always)]
    fn add(&mut self, place: KeyPlace, args: &Args<'_>, position: usize) {
        let object = match self.last {
            Some((hash, object)) if hash == place.hash => object,
            _ => self.database.fetch_collection(&place.key(args.get(1))),
        };
        self.last = Some((place.hash, object));
        // All elements have no argument, and neither has what will be refused.
        if let Some(object) = object
            && position < args.len()
            && let Some(hash) = object.fetch_slot(args.get(position))
            && let Some(element) = self.elements.get_mut(self.count)
        {
            *element = Some((object, hash));
            self.count += 1;
        }
    }

    #[inline(always)]
    fn fetch(self) {
        for (object, hash) in self.elements.into_iter().flatten() {
            object.fetch_element(hash);
        }
    }
}

/// The position of the argument by which a command seeks an element, if it does.
#[inline(always)]
fn element(table: &CommandTable, command: u16) -> Option<usize> {
    match table.get(CommandId(command)).element {
        0 => None,
        position => Some(position as usize),
    }
}

impl Dispatcher {
    /// Begins to fetch the elements that commands of this shard seek, up to [`FETCHED_COMMANDS`]. Nothing is
    /// fetched if the first of them seeks none: those of a pipeline are mostly alike.
    #[inline]
    pub(super) fn fetch_elements(
        &mut self,
        bytes: &[u8],
        burst: &mut Burst,
        commands: Range<usize>,
        database: usize,
    ) {
        if commands.len() < 2 || element(&self.table, burst.call(commands.start).command).is_none() {
            return;
        }
        let mut sought = Sought::new(self.shard.keyspace.database(database));
        for index in commands {
            let call = burst.call(index);
            if let Some(position) = element(&self.table, call.command)
                && call.has_key()
            {
                sought.add(call.place(), &burst.args(index, bytes), position);
            }
        }
        sought.fetch();
    }

    /// The same for items of a batch, up to [`FETCHED_COMMANDS`].
    #[inline]
    pub(super) fn fetch_elements_of_items(
        &mut self,
        batch: &mut Batch,
        items: &[(ItemHeader, u32)],
        spans: &[Span],
    ) {
        let [(first, _), _, ..] = items else { return };
        let element = |header: &ItemHeader| match header.is_whole_with_key() {
            true => element(&self.table, header.command),
            false => None,
        };
        if element(first).is_none() {
            return;
        }
        let mut sought = Sought::new(self.shard.keyspace.database(first.database as usize));
        let (bytes, owned, _) = batch.parts();
        for (header, first_span) in items.iter().filter(|(header, _)| header.database == first.database) {
            if let Some(position) = element(header) {
                let spans = &spans[*first_span as usize..(first_span + header.arguments) as usize];
                let place = KeyPlace { hash: header.hash, slot: header.slot };
                sought.add(place, &Args::new(bytes, spans, owned), position);
            }
        }
        sought.fetch();
    }
}
