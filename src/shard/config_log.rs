//! Changes of the configuration, in one order for all shards.
//!
//! Every shard has a copy of the configuration of its own. Two clients of different shards may change it at
//! the same time; so that all copies end up alike, changes are appended here, each judged by the newest
//! state, and every shard applies them in this order. Taken for CONFIG SET alone, never on the data path.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::config::{Changes, Config};

pub struct ConfigLog {
    log: Mutex<Log>,
}

struct Log {
    /// Changes that some shard has not applied yet.
    changes: VecDeque<Arc<Changes>>,
    /// How many changes went before these.
    dropped: u64,
    /// How many changes each shard has applied.
    applied: Vec<u64>,
}

impl ConfigLog {
    pub fn new(shards: usize) -> Self {
        ConfigLog { log: Mutex::new(Log { changes: VecDeque::new(), dropped: 0, applied: vec![0; shards] }) }
    }

    fn lock(&self) -> MutexGuard<'_, Log> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Brings the copy of a shard up to date; `true` if that changed anything.
    pub fn catch_up(&self, shard: usize, config: &mut Config) -> bool {
        self.lock().catch_up(shard, config)
    }

    /// Appends what `make` makes of the newest configuration, unless it changes nothing; `true` if it does.
    /// The copy of the shard that asks is brought up to date first, and has the change after it.
    pub fn append<E>(
        &self,
        shard: usize,
        config: &mut Config,
        make: impl FnOnce(&Config) -> Result<Changes, E>,
    ) -> Result<bool, E> {
        let mut log = self.lock();
        log.catch_up(shard, config);
        let changes = make(config)?;
        if changes.is_empty() {
            return Ok(false);
        }
        log.changes.push_back(Arc::new(changes));
        log.catch_up(shard, config);
        Ok(true)
    }
}

impl Log {
    fn catch_up(&mut self, shard: usize, config: &mut Config) -> bool {
        let newest = self.dropped + self.changes.len() as u64;
        let first = (self.applied[shard] - self.dropped) as usize;
        for changes in self.changes.iter().skip(first) {
            config.apply(changes);
        }
        let changed = self.applied[shard] < newest;
        self.applied[shard] = newest;
        let everywhere = self.applied.iter().copied().min().unwrap_or(newest);
        self.changes.drain(..(everywhere - self.dropped) as usize);
        self.dropped = everywhere;
        changed
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::SetError;

    fn set(log: &ConfigLog, shard: usize, config: &mut Config, name: &str, value: &str) -> bool {
        log.append(shard, config, |config| config.set(&[(name.as_bytes(), value.as_bytes())], true)).unwrap()
    }

    #[test]
    fn all_copies_end_up_alike() {
        let log = ConfigLog::new(3);
        let mut configs = [Config::default(), Config::default(), Config::default()];
        assert!(set(&log, 0, &mut configs[0], "maxmemory", "1gb"));
        assert!(set(&log, 1, &mut configs[1], "maxmemory", "2gb"));
        assert!(set(&log, 0, &mut configs[0], "timeout", "7"));
        assert!(!set(&log, 0, &mut configs[0], "timeout", "7"), "nothing changes");
        for (shard, config) in configs.iter_mut().enumerate() {
            log.catch_up(shard, config);
            assert_eq!((config.maxmemory, config.timeout_seconds), (2 << 30, 7), "shard {shard}");
        }
        assert!(!log.catch_up(2, &mut configs[2]), "once only");
        assert!(log.lock().changes.is_empty(), "what all have applied is forgotten");
    }

    #[test]
    fn a_refused_change_is_none() {
        let log = ConfigLog::new(1);
        let mut config = Config::default();
        let refused: Result<bool, SetError> =
            log.append(0, &mut config, |config| config.set(&[(b"maxmemory", b"x")], true));
        assert!(refused.is_err());
        assert_eq!(config, Config::default());
    }
}
