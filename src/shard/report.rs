//! What the shards tell when a command asks all of them.

use crate::keyspace::Stats;
use crate::metrics::Metrics;
use crate::metrics::latency::LatencyMonitor;
use crate::metrics::slowlog::SlowCommand;
use crate::runtime::allocator;

use super::Shard;

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
    Statistics(Box<Statistics>),
    SlowCommands(Vec<SlowCommand>),
    Latency(LatencyMonitor),
    Keys(Vec<Vec<u8>>),
    /// For each database that has keys: its number and the sum of its keys' digests.
    Digests(Vec<(u32, [u8; 20])>),
}

/// The numbers of one shard, or of all of them added up.
#[derive(Debug, Default)]
pub struct Statistics {
    pub metrics: Metrics,
    pub keyspace: Stats,
    pub databases: Vec<DatabaseStatistics>,
    pub changes: u64,
    pub clients: u64,
    /// Clients that wait for elements.
    pub clients_blocked: u64,
    /// Keys that clients wait for.
    pub keys_awaited: u64,
    /// What all sessions hold, in bytes.
    pub clients_bytes: u64,
    pub input_bytes_max: u64,
    pub output_bytes_max: u64,
    /// Tables, keys and values, in bytes.
    pub keyspace_bytes: u64,
    /// What the shard's thread holds of the allocator, in bytes.
    pub held_bytes: i64,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct DatabaseStatistics {
    pub keys: u64,
    pub expires: u64,
    /// The mean time that keys with a deadline have left, roughly, in milliseconds.
    pub ttl_ms: i64,
}

impl Shard {
    pub fn statistics(&mut self) -> Statistics {
        let mut databases = Vec::with_capacity(self.keyspace.database_count());
        for index in 0..self.keyspace.database_count() {
            let database = self.keyspace.database(index);
            databases.push(DatabaseStatistics {
                keys: database.len() as u64,
                expires: database.expires_len() as u64,
                ttl_ms: database.average_ttl_ms(),
            });
        }
        let databases_count = self.keyspace.database_count();
        let keys_awaited =
            (0..databases_count).map(|index| self.keyspace.database(index).awaited_keys() as u64).sum();
        let sessions = || self.sessions.iter();
        Statistics {
            metrics: self.metrics.clone(),
            keyspace: self.keyspace.stats(),
            databases,
            changes: self.keyspace.dirty(),
            clients: self.sessions.len() as u64,
            clients_blocked: sessions().filter(|session| session.blocked).count() as u64,
            keys_awaited,
            clients_bytes: sessions().map(|session| session.memory_bytes() as u64).sum(),
            input_bytes_max: sessions()
                .map(|session| session.input.pending_bytes() as u64)
                .max()
                .unwrap_or(0),
            output_bytes_max: sessions().map(|session| session.output_bytes() as u64).max().unwrap_or(0),
            keyspace_bytes: self.keyspace.memory_bytes() as u64,
            held_bytes: allocator::thread_held_bytes(),
        }
    }
}

impl Statistics {
    /// Adds the numbers of another shard.
    pub fn merge(&mut self, other: &Statistics) {
        self.metrics.merge(&other.metrics);
        self.keyspace.hits += other.keyspace.hits;
        self.keyspace.misses += other.keyspace.misses;
        self.keyspace.expired_keys += other.keyspace.expired_keys;
        self.keyspace.expired_fields += other.keyspace.expired_fields;
        self.keyspace.evicted_keys += other.keyspace.evicted_keys;
        self.keyspace.lazyfreed_objects += other.keyspace.lazyfreed_objects;
        self.databases.resize(self.databases.len().max(other.databases.len()), DatabaseStatistics::default());
        for (mine, theirs) in self.databases.iter_mut().zip(&other.databases) {
            let weighted = i128::from(mine.ttl_ms) * i128::from(mine.expires)
                + i128::from(theirs.ttl_ms) * i128::from(theirs.expires);
            mine.keys += theirs.keys;
            mine.expires += theirs.expires;
            mine.ttl_ms = (weighted / i128::from(mine.expires.max(1))) as i64;
        }
        self.changes += other.changes;
        self.clients += other.clients;
        self.clients_blocked += other.clients_blocked;
        self.keys_awaited += other.keys_awaited;
        self.clients_bytes += other.clients_bytes;
        self.input_bytes_max = self.input_bytes_max.max(other.input_bytes_max);
        self.output_bytes_max = self.output_bytes_max.max(other.output_bytes_max);
        self.keyspace_bytes += other.keyspace_bytes;
        self.held_bytes += other.held_bytes;
    }

    pub fn keys(&self) -> u64 {
        self.databases.iter().map(|database| database.keys).sum()
    }
}
