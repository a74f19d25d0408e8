//! What the shards tell when a command asks all of them.

/// One shard's answer to a command that runs on every shard.
#[derive(Debug)]
pub enum Report {
    /// Done, nothing to tell.
    Done,
    Count(u64),
    Text(Vec<u8>),
}
