//! Elements of large collections, fetched into the cache before the commands run that seek them.
//!
//! A command on an element looks at memory three times, each time where the look before it said: the key's
//! entry, the slot of the collection's index, the element; one on a small hash reads through its entry. Of
//! commands that come together, the looks of all are made side by side instead.

use std::ops::Range;

use crate::commands::CommandId;
use crate::keyspace::{Database, Key};
use crate::types::Object;

use super::Dispatcher;
use super::burst::Burst;

/// So many commands are looked at together.
pub const FETCHED_COMMANDS: usize = 16;

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
        let element = |command| usize::from(self.table.get(CommandId(command)).element);
        if commands.len() < 2 || element(burst.call(commands.start).command) == 0 {
            return;
        }
        let database: &Database = self.shard.keyspace.database(database);
        let mut fetched: [Option<(&Object, u64)>; FETCHED_COMMANDS] = [None; FETCHED_COMMANDS];
        let mut last: Option<(u64, Option<&Object>)> = None;
        for (place, index) in fetched.iter_mut().zip(commands) {
            let call = burst.call(index);
            let position = element(call.command);
            let args = burst.args(index, bytes);
            if position == 0 || !call.has_key() {
                continue;
            }
            let object = match last {
                Some((hash, object)) if hash == call.hash => object,
                _ => database.fetch_collection(&Key { bytes: args.get(1), hash: call.hash, slot: call.slot }),
            };
            last = Some((call.hash, object));
            // All elements have no argument, and neither has what will be refused.
            if position < args.len() {
                *place = object.and_then(|object| Some((object, object.fetch_slot(args.get(position))?)));
            }
        }
        for (object, hash) in fetched.into_iter().flatten() {
            object.fetch_element(hash);
        }
    }
}
