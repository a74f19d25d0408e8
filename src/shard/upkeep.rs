//! What a shard does besides running commands: keeping below the memory limit, noticing slow commands,
//! cleaning up after connections.

use std::sync::atomic::Ordering;

use crate::config::{Config, LogLevel, MaxmemoryPolicy};
use crate::keyspace::{AccessClock, Budget, EvictionPolicy};
use crate::metrics::slowlog::{SlowCommand, shown_arguments};
use crate::resp::Args;
use crate::runtime::engine::Token;
use crate::runtime::log::Level;
use crate::runtime::{allocator, socket};
use crate::session::{ConnectionKind, Session, Unblocked};

use super::Shard;
use super::planted::Bug;

/// Keys that are evicted in one turn at most: some hundred microseconds.
const EVICTIONS_PER_TURN_MAX: usize = 256;
/// Dead entries that are freed between two looks at the memory in use.
const GRAVE_STEP_KEYS: usize = 32;

/// How access clocks run under the eviction policy.
pub fn access_clock(config: &Config) -> AccessClock {
    if policy_of(config.maxmemory_policy).counts_frequency() {
        AccessClock::Frequency {
            log_factor: config.lfu_log_factor,
            decay_minutes: config.lfu_decay_time_minutes,
        }
    } else {
        AccessClock::LastUse
    }
}

impl Shard {
    /// Memory of the process in bytes: this shard's as of now, the others' as they last told.
    pub fn used_memory_bytes(&self) -> u64 {
        let own = &self.node.gauges[self.id].held_bytes;
        own.store(allocator::thread_held_bytes(), Ordering::Relaxed);
        self.node.used_memory_bytes()
    }

    /// Evicts while the process holds more than `maxmemory`, in small steps; each shard does its share.
    /// Commands that grow data are refused while no shard has anything left to evict.
    pub fn make_room(&mut self) {
        if self.config.maxmemory == 0 {
            self.out_of_memory = false;
            return;
        }
        let exhausted = !self.evict_some();
        self.node.gauges[self.id].exhausted.store(exhausted, Ordering::Relaxed);
        let all = || self.node.gauges.iter().all(|gauges| gauges.exhausted.load(Ordering::Relaxed));
        let never_evicts = self.config.maxmemory_policy == MaxmemoryPolicy::NoEviction;
        self.out_of_memory = exhausted && (never_evicts || all());
    }

    /// One turn's share of eviction; `false` if this shard cannot make the room that is needed.
    fn evict_some(&mut self) -> bool {
        let limit = self.config.maxmemory;
        let policy = policy_of(self.config.maxmemory_policy);
        let samples = self.config.maxmemory_samples as usize;
        for _ in 0..EVICTIONS_PER_TURN_MAX {
            if self.used_memory_bytes() <= limit {
                return true;
            }
            // What was deleted and is not freed yet comes before keys that are alive.
            if self.keyspace.has_graves() {
                self.keyspace.step(Budget(GRAVE_STEP_KEYS));
            } else if !self.keyspace.evict_one(policy, samples) {
                return false;
            }
        }
        // Still too much, but there is more to free: the next turns go on.
        true
    }

    /// Notes a command that took longer than one of the thresholds; `event` is what the latency monitor
    /// calls it.
    #[cold]
    pub fn observe_slow(&mut self, token: Token, args: &Args<'_>, ticks: u64, event: &'static str) {
        let duration_us = self.node.ticks.to_ns(ticks) / 1000;
        let threshold_ms = self.config.latency_monitor_threshold_ms;
        if threshold_ms > 0 && duration_us / 1000 >= threshold_ms {
            self.latency.add(event, self.keyspace.now() / 1000, duration_us / 1000);
        }
        match u64::try_from(self.config.slowlog_log_slower_than_us) {
            Ok(slow_us) if duration_us >= slow_us => self.log_slow(token, args, duration_us),
            _ => {}
        }
    }

    fn log_slow(&mut self, token: Token, args: &Args<'_>, duration_us: u64) {
        let (client, client_name) = match self.sessions.get(token) {
            Some(session) => {
                let name = session.details.as_ref().map(|details| details.name.clone());
                (client_address(session, self.config.unixsocket.as_bytes()), name.unwrap_or_default())
            }
            None => (String::new(), Vec::new()),
        };
        let arguments = args
            .iter()
            .enumerate()
            .map(|(position, argument)| if is_secret(args, position) { REDACTED } else { argument });
        let command = SlowCommand {
            id: 0,
            unix_ms: self.keyspace.now(),
            duration_us,
            arguments: shown_arguments(args.len(), arguments),
            client,
            client_name,
        };
        let length_max = self.config.slowlog_max_len as usize;
        self.slowlog.add(command, self.id, self.route.shards(), length_max);
    }

    /// A client is no monitor any more.
    pub fn forget_monitor(&mut self, session_id: u64) {
        self.monitors.retain(|(_, id)| *id != session_id);
    }

    /// A connection has ended.
    pub fn session_ended(&mut self, session: &mut Session) {
        if let (true, Some(wait)) = (session.blocked && !Bug::ParkedForEver.is_planted(), session.waiting) {
            self.unblocked.push((wait, Unblocked::Gone));
        }
        if let Some(transaction) = session.transaction.take()
            && !Bug::WatchedForEver.is_planted()
        {
            self.unwatched.extend(transaction.watched);
        }
        self.paused.retain(|token| *token != session.token);
        if session.monitor {
            self.monitors_gone.push(session.id);
        }
    }
}

/// What stands in place of a password.
pub const REDACTED: &[u8] = b"(redacted)";

/// Whether an argument must not be shown: users and passwords, and values of secret directives.
pub fn is_secret(args: &Args<'_>, position: usize) -> bool {
    if args.is(0, "AUTH") {
        return position > 0;
    }
    if args.is(0, "HELLO") {
        return (2..args.len())
            .any(|index| args.is(index, "AUTH") && (1..=2).contains(&position.wrapping_sub(index)));
    }
    const SECRETS: [&str; 4] = ["REQUIREPASS", "MASTERAUTH", "MASTERUSER", "TLS-KEY-FILE-PASS"];
    args.is(0, "CONFIG")
        && args.len() > 1
        && args.is(1, "SET")
        && position >= 3
        && position % 2 == 1
        && SECRETS.iter().any(|secret| args.is(position - 1, secret))
}

/// How CLIENT LIST, MONITOR and SLOWLOG show where a client is.
pub fn client_address(session: &Session, unix_socket: &[u8]) -> String {
    match session.kind {
        ConnectionKind::Unix => format!("{}:0", String::from_utf8_lossy(unix_socket)),
        ConnectionKind::Tcp => {
            socket::addresses(session.socket).0.map_or_else(|| "?:0".to_string(), |peer| peer.to_string())
        }
    }
}

/// The threshold of the log.
pub fn log_level(level: LogLevel) -> Level {
    match level {
        LogLevel::Debug => Level::Debug,
        LogLevel::Verbose => Level::Verbose,
        LogLevel::Notice => Level::Notice,
        LogLevel::Warning => Level::Warning,
        LogLevel::Nothing => Level::Nothing,
    }
}

fn policy_of(policy: MaxmemoryPolicy) -> EvictionPolicy {
    match policy {
        MaxmemoryPolicy::NoEviction => EvictionPolicy::NoEviction,
        MaxmemoryPolicy::AllkeysLru => EvictionPolicy::AllKeysLru,
        MaxmemoryPolicy::AllkeysLfu => EvictionPolicy::AllKeysLfu,
        MaxmemoryPolicy::AllkeysRandom => EvictionPolicy::AllKeysRandom,
        MaxmemoryPolicy::VolatileLru => EvictionPolicy::VolatileLru,
        MaxmemoryPolicy::VolatileLfu => EvictionPolicy::VolatileLfu,
        MaxmemoryPolicy::VolatileRandom => EvictionPolicy::VolatileRandom,
        MaxmemoryPolicy::VolatileTtl => EvictionPolicy::VolatileTtl,
    }
}
