//! What the shards tell when a command asks all of them.

/// One shard's answer to a command that runs on every shard.
#[derive(Debug)]
pub enum Report {
    /// Done, nothing to tell.
    Done,
    Count(u64),
    Text(Vec<u8>),
    /// Ids of connections and their lines of CLIENT LIST.
    Clients(Vec<(u64, String)>),
    /// How many connections were killed, and whether the one that asks is meant, too.
    Killed {
        count: u64,
        own: bool,
    },
}
