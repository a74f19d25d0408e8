//! The end of a table, in steps.

use super::directory::Directory;
use super::segment::Node;
use super::{DIRECTORY_WIDTH_MAX, Table, next_position};
use crate::keyspace::database::BURY_PARTS_MIN;
use crate::keyspace::entry::Payload;
use crate::types::Object;

/// A table that is being freed, a segment at a time.
pub(in crate::keyspace) struct DyingTable {
    table: Table,
    /// The position at which the next segment to free begins; none when all are freed.
    position: Option<u64>,
}

impl DyingTable {
    pub(in crate::keyspace) fn new(table: Table) -> DyingTable {
        let position = if table.root.is_empty() { None } else { Some(0) };
        DyingTable { table, position }
    }

    /// Bytes of segments and directories that are not freed yet.
    pub(in crate::keyspace) fn memory_bytes(&self) -> usize {
        self.table.bytes
    }

    /// Frees segments until about `budget` entries are gone. Returns what was freed as (entries, bytes of
    /// entries); when no entries are returned, the table is gone. Objects that take long to free are handed
    /// to `bury`, and their bytes are among those that were freed.
    pub(in crate::keyspace) fn free_some(
        &mut self,
        budget: usize,
        bury: &mut dyn FnMut(Box<Object>),
    ) -> (usize, usize) {
        let (mut entries, mut bytes) = (0, 0);
        while entries < budget.max(1)
            && let Some(at) = self.position
            && let Some(segment) = self.table.segment_at(at)
        {
            segment.for_each_entry_prefetched(|_, entry| {
                bytes += entry.memory_bytes();
                if entry.object().is_some_and(|object| object.parts() >= BURY_PARTS_MIN)
                    && let Payload::Object(object) = entry.take_payload()
                {
                    bury(object);
                }
                // SAFETY: the table is about to lose this segment, and nobody else has the table.
                unsafe { entry.free() };
            });
            // An empty segment counts as well, so that "none" means the end.
            entries += segment.entries().max(1);
            self.table.bytes -= segment.bytes();
            self.position = next_position(at, segment.depth());
            // SAFETY: `position` moves past it and never comes back, so its nodes are not followed again.
            unsafe { segment.free() };
        }
        if self.position.is_none() {
            free_directories(self.table.root);
            self.table.root = Node::EMPTY;
            self.table.bytes = 0;
            self.table.len = 0;
        }
        (entries, bytes)
    }
}

/// Frees a directory and those below it.
fn free_directories(node: Node) {
    let Some(directory) = Directory::of(node) else { return };
    if directory.width() == DIRECTORY_WIDTH_MAX {
        (0..directory.len()).for_each(|index| free_directories(directory.get(index)));
    }
    // SAFETY: the table is going away and its segments are gone.
    unsafe { directory.free() };
}

impl Drop for DyingTable {
    fn drop(&mut self) {
        while self.free_some(usize::MAX, &mut drop).0 > 0 {}
    }
}

impl Drop for Table {
    fn drop(&mut self) {
        if !self.root.is_empty() {
            let table = std::mem::replace(self, Table::new());
            drop(DyingTable::new(table));
        }
    }
}
