//! The log of slow commands: the last few of them, in memory.

use std::collections::VecDeque;

/// Arguments and bytes of an argument that an entry shows.
const ARGUMENTS_MAX: usize = 32;
const ARGUMENT_BYTES_MAX: usize = 128;

/// A command that took longer than `slowlog-log-slower-than`.
#[derive(Debug, Clone)]
pub struct SlowCommand {
    pub id: u64,
    pub unix_ms: i64,
    pub duration_us: u64,
    pub arguments: Vec<Vec<u8>>,
    /// Address and port of the client, or the path of its unix socket.
    pub client: String,
    pub client_name: Vec<u8>,
}

/// One shard's slow commands, the newest first.
#[derive(Debug, Default)]
pub struct Slowlog {
    entries: VecDeque<SlowCommand>,
    logged: u64,
}

impl Slowlog {
    /// Adds an entry and drops the oldest beyond `length_max`. The id is set here: it grows with time on
    /// one shard and is unique over all `shards`.
    pub fn add(&mut self, mut command: SlowCommand, shard: usize, shards: usize, length_max: usize) {
        command.id = self.logged * shards as u64 + shard as u64;
        self.logged += 1;
        self.entries.push_front(command);
        self.entries.truncate(length_max);
    }

    pub fn entries(&self) -> impl Iterator<Item = &SlowCommand> {
        self.entries.iter()
    }

    pub fn len(&self) -> usize {
        self.entries.len()
    }

    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    pub fn clear(&mut self) {
        self.entries.clear();
    }
}

/// The arguments as an entry shows them: long ones and long lists are cut, and it says so.
pub fn shown_arguments<'a>(count: usize, arguments: impl Iterator<Item = &'a [u8]>) -> Vec<Vec<u8>> {
    let kept = if count > ARGUMENTS_MAX { ARGUMENTS_MAX - 1 } else { count };
    let mut shown: Vec<Vec<u8>> = arguments
        .take(kept)
        .map(|argument| match argument.len().checked_sub(ARGUMENT_BYTES_MAX) {
            None | Some(0) => argument.to_vec(),
            Some(more) => {
                let mut text = argument[..ARGUMENT_BYTES_MAX].to_vec();
                text.extend_from_slice(format!("... ({more} more bytes)").as_bytes());
                text
            }
        })
        .collect();
    if count > ARGUMENTS_MAX {
        shown.push(format!("... ({} more arguments)", count - kept).into_bytes());
    }
    shown
}
