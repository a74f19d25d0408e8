//! A shard: one core's part of everything, and how it talks to the others.
//!
//! [`Shard`] is what commands work on: the keyspace, the sessions of the connections that this core
//! accepted, its copy of the configuration, its counters. Nothing in it is shared; what several cores
//! must see stands in [`Node`], which is immutable but for a few gauges that every shard writes for itself.

pub mod batch;
pub mod config_log;
pub mod locks;
pub mod mailbox;
pub mod node;
pub mod planted;
pub mod queue;
pub mod report;
pub mod route;
pub mod upkeep;

use std::sync::Arc;

use crate::config::Config;
use crate::keyspace::{AccessClock, Keyspace, KeyspaceOptions};
use crate::metrics::Metrics;
use crate::metrics::latency::LatencyMonitor;
use crate::metrics::slowlog::Slowlog;
use crate::runtime::engine::Token;
use crate::runtime::log;
use crate::session::{Sessions, Unblocked, WatchedKey};
use crate::types::{Limits, hash, list, set, sorted_set, stream};

pub use node::Node;
pub use report::Report;
pub use route::Route;

/// One core's part of the server.
pub struct Shard {
    pub id: usize,
    pub node: Arc<Node>,
    pub route: Route,
    pub keyspace: Keyspace,
    pub sessions: Sessions,
    pub config: Config,
    pub metrics: Metrics,
    pub slowlog: Slowlog,
    /// As it was set in the keyspace.
    access_clock: AccessClock,
    pub latency: LatencyMonitor,
    /// Commands that take longer than this many clock ticks are looked at closely.
    pub slow_ticks: u64,
    /// The memory limit is reached and eviction did not help: commands that grow data are refused.
    pub out_of_memory: bool,
    pub pause: Option<Pause>,
    /// Sessions that wait for the end of a pause.
    pub paused: Vec<Token>,
    /// Clients of any shard that sent MONITOR: their shard and session id.
    pub monitors: Vec<(usize, u64)>,
    /// Lines for monitors of other shards, on their way.
    pub feeds: Vec<(usize, mailbox::Feed)>,
    /// Ids of sessions that are no monitors any more: every shard is to forget them.
    pub monitors_gone: Vec<u64>,
    /// Waits of sessions that are over, and how.
    pub unblocked: Vec<(u32, Unblocked)>,
    /// Keys that sessions watch no more: their shards are to be told.
    pub unwatched: Vec<WatchedKey>,
    /// DEBUG PAUSE-CRON: the periodic work rests.
    pub cron_paused: bool,
}

/// CLIENT PAUSE.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pause {
    pub until_ms: i64,
    /// Only commands that write wait.
    pub writes_only: bool,
}

impl Shard {
    /// Shard number `id` of a node; `commands` is the size of the command table.
    pub fn new(id: usize, node: Arc<Node>, config: Config, commands: usize) -> Self {
        let route = Route::new(node.shards());
        let keyspace = Keyspace::new(KeyspaceOptions {
            databases: config.databases as usize,
            hasher: node.hasher.clone(),
            slots: node.core_ports.is_some().then(|| route.slots_of(id)),
        });
        let mut shard = Shard {
            id,
            route,
            keyspace,
            sessions: Sessions::new(id, node.shards()),
            metrics: Metrics::new(commands),
            slowlog: Slowlog::default(),
            access_clock: AccessClock::LastUse,
            latency: LatencyMonitor::default(),
            slow_ticks: u64::MAX,
            out_of_memory: false,
            pause: None,
            paused: Vec::new(),
            monitors: Vec::new(),
            feeds: Vec::new(),
            monitors_gone: Vec::new(),
            unblocked: Vec::new(),
            unwatched: Vec::new(),
            cron_paused: false,
            node,
            config,
        };
        shard.apply_config();
        shard
    }

    /// Derives what the hot path reads from the configuration; call after every change of it.
    pub fn apply_config(&mut self) {
        let slowlog_us = u64::try_from(self.config.slowlog_log_slower_than_us).unwrap_or(u64::MAX);
        let monitor_us = match self.config.latency_monitor_threshold_ms {
            0 => u64::MAX,
            // At least so long is a spike, longer than so long is slow.
            threshold_ms => threshold_ms.saturating_mul(1000) - 1,
        };
        self.slow_ticks = match slowlog_us.min(monitor_us) {
            u64::MAX => u64::MAX,
            us => self.node.ticks.from_us(us),
        };
        self.metrics.track_latency = self.config.latency_tracking;
        let access_clock = upkeep::access_clock(&self.config);
        if access_clock != self.access_clock {
            self.access_clock = access_clock;
            self.keyspace.set_access_clock(access_clock);
        }
        self.keyspace.limits = limits(&self.config);
        self.keyspace.compress = self.config.rdbcompression;
        if self.config.requirepass.is_empty() {
            self.sessions.iter_mut().for_each(|session| session.authenticated = true);
        }
        log::set_level(upkeep::log_level(self.config.loglevel));
    }

    /// Milliseconds since 1970, as of this turn.
    pub fn now_ms(&self) -> i64 {
        self.keyspace.now()
    }
}

/// What the configuration says of how values are represented.
fn limits(config: &Config) -> Limits {
    let number = |limit: u64| usize::try_from(limit).unwrap_or(usize::MAX);
    Limits {
        list: list::limit_of_setting(config.list_max_listpack_size),
        set: set::Limits {
            integers: number(config.set_max_intset_entries),
            entries: number(config.set_max_listpack_entries),
            member_bytes: number(config.set_max_listpack_value),
        },
        hash: hash::Limits {
            entries: number(config.hash_max_listpack_entries),
            value_bytes: number(config.hash_max_listpack_value),
        },
        sorted_set: sorted_set::Limits {
            entries: number(config.zset_max_listpack_entries),
            member_bytes: number(config.zset_max_listpack_value),
        },
        stream: stream::Limits::of_settings(config.stream_node_max_bytes, config.stream_node_max_entries),
        hyperloglog_sparse_bytes: number(config.hll_sparse_max_bytes),
    }
}
