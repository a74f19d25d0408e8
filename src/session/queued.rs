//! What a session keeps between MULTI and EXEC, and which keys it watches.

use crate::resp::{Args, Span};

use super::Frame;

/// The state of a client's transaction. Boxed, since few sessions have one.
#[derive(Default)]
pub struct Transaction {
    /// The commands since MULTI; `None` outside of it.
    pub queued: Option<Queued>,
    pub watched: Vec<WatchedKey>,
}

/// Commands that wait for EXEC, as they arrived.
#[derive(Default)]
pub struct Queued {
    pub bytes: Vec<u8>,
    pub frames: Vec<Frame>,
    pub spans: Vec<Span>,
    pub owned: Vec<Vec<u8>>,
    /// A command was refused: EXEC will refuse the whole.
    pub failed: bool,
    /// The flags of all commands together.
    pub flags: u32,
    /// Bytes of all arguments.
    pub argument_bytes: usize,
}

/// A key whose change makes EXEC do nothing.
#[derive(Debug, Clone)]
pub struct WatchedKey {
    /// The shard that owns it.
    pub shard: u16,
    pub database: u16,
    pub key: Vec<u8>,
    /// As its shard told when it began to watch it.
    pub version: u64,
}

impl Queued {
    /// Keeps a command. Big arguments move.
    pub fn push(&mut self, mut args: Args<'_>, flags: u32) {
        self.flags |= flags;
        let (start, first_span) = (self.bytes.len(), self.spans.len() as u32);
        for position in 0..args.len() {
            self.argument_bytes += args.get(position).len();
            if args.is_owned(position) {
                self.spans.push(Span::owned(self.owned.len()));
                self.owned.push(args.take(position));
            } else {
                let argument = args.get(position);
                self.spans.push(Span::new(self.bytes.len(), argument.len()));
                self.bytes.extend_from_slice(argument);
            }
        }
        let arguments = args.len() as u32;
        self.frames.push(Frame { start, end: self.bytes.len(), first_span, arguments });
    }

    pub fn memory_bytes(&self) -> usize {
        self.bytes.capacity()
            + self.frames.capacity() * size_of::<Frame>()
            + self.spans.capacity() * size_of::<Span>()
            + self.owned.iter().map(Vec::capacity).sum::<usize>()
    }
}

impl Transaction {
    pub fn memory_bytes(&self) -> usize {
        let watched = |key: &WatchedKey| size_of::<WatchedKey>() + key.key.capacity();
        size_of::<Transaction>()
            + self.queued.as_ref().map_or(0, Queued::memory_bytes)
            + self.watched.iter().map(watched).sum::<usize>()
    }

    pub fn watches(&self, database: u16, key: &[u8]) -> bool {
        self.watched.iter().any(|watched| watched.database == database && watched.key == key)
    }
}
