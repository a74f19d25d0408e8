//! The latency monitor: when something took longer than `latency-monitor-threshold`.

use std::collections::VecDeque;

/// Samples of an event that are kept.
const SAMPLES_MAX: usize = 160;

/// One event's latest spikes, at most one per second.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Series {
    /// Seconds since 1970 and milliseconds, the oldest first.
    pub samples: VecDeque<(i64, u64)>,
    /// The longest since the last reset, in milliseconds.
    pub max_ms: u64,
}

/// The spikes of one shard by event, such as `command`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LatencyMonitor {
    pub events: Vec<(&'static str, Series)>,
}

impl LatencyMonitor {
    pub fn add(&mut self, event: &'static str, unix_seconds: i64, latency_ms: u64) {
        self.series_mut(event).add(unix_seconds, latency_ms);
    }

    pub fn series(&self, event: &[u8]) -> Option<&Series> {
        self.events.iter().find(|(name, _)| name.as_bytes() == event).map(|(_, series)| series)
    }

    fn series_mut(&mut self, event: &'static str) -> &mut Series {
        let position = match self.events.iter().position(|(name, _)| *name == event) {
            Some(position) => position,
            None => {
                self.events.push((event, Series::default()));
                self.events.len() - 1
            }
        };
        &mut self.events[position].1
    }

    /// Forgets the events for which `forget` says so, and returns them.
    pub fn reset(&mut self, forget: impl Fn(&str) -> bool) -> LatencyMonitor {
        let (gone, kept) = std::mem::take(&mut self.events).into_iter().partition(|(name, _)| forget(name));
        self.events = kept;
        LatencyMonitor { events: gone }
    }

    /// Adds what another shard has seen.
    pub fn merge(&mut self, other: LatencyMonitor) {
        for (event, theirs) in other.events {
            self.series_mut(event).merge(&theirs);
        }
    }
}

impl Series {
    fn add(&mut self, unix_seconds: i64, latency_ms: u64) {
        self.max_ms = self.max_ms.max(latency_ms);
        match self.samples.back_mut() {
            Some((second, latest)) if *second == unix_seconds => *latest = (*latest).max(latency_ms),
            _ => self.samples.push_back((unix_seconds, latency_ms)),
        }
        if self.samples.len() > SAMPLES_MAX {
            self.samples.pop_front();
        }
    }

    fn merge(&mut self, other: &Series) {
        let mut samples: Vec<(i64, u64)> = self.samples.iter().chain(&other.samples).copied().collect();
        samples.sort_unstable();
        let max_ms = self.max_ms.max(other.max_ms);
        self.samples.clear();
        samples.iter().for_each(|&(second, latency_ms)| self.add(second, latency_ms));
        self.max_ms = max_ms;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_keeps_its_worst_sample() {
        let mut monitor = LatencyMonitor::default();
        monitor.add("command", 10, 5);
        monitor.add("command", 10, 3);
        monitor.add("command", 11, 4);
        let series = monitor.series(b"command").unwrap();
        assert_eq!((Vec::from(series.samples.clone()), series.max_ms), (vec![(10, 5), (11, 4)], 5));
    }

    #[test]
    fn shards_are_merged_by_time() {
        let (mut one, mut other) = (LatencyMonitor::default(), LatencyMonitor::default());
        one.add("command", 10, 5);
        one.add("command", 12, 6);
        other.add("command", 10, 7);
        other.add("command", 11, 1);
        other.add("fast-command", 1, 1);
        one.merge(other);
        let samples = Vec::from(one.series(b"command").unwrap().samples.clone());
        assert_eq!(samples, [(10, 7), (11, 1), (12, 6)]);
        let gone = one.reset(|event| event == "command");
        assert_eq!((gone.events.len(), one.events.len()), (1, 1));
    }

    #[test]
    fn old_samples_make_room() {
        let mut monitor = LatencyMonitor::default();
        (0..1000).for_each(|second| monitor.add("command", second, 1));
        assert_eq!(monitor.series(b"command").unwrap().samples.len(), SAMPLES_MAX);
        assert_eq!(monitor.series(b"command").unwrap().samples.back(), Some(&(999, 1)));
    }
}
