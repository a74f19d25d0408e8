//! The line that lives while the load runs: a bar on a terminal, elsewhere a plain line now and then.

use hdrhistogram::Histogram;

use crate::progress::{Progress, is_watched};
use crate::units;

/// Without a terminal one line for so many seconds: logs of a short run stay as they are.
const PLAIN_SECONDS: f64 = 5.0;
/// Steps of the bar when time is what passes.
const STEPS_PER_SECOND: f64 = 100.0;

/// When a run is over.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Goal {
    Requests(u64),
    Seconds(f64),
}

impl Goal {
    fn steps(self) -> u64 {
        match self {
            Goal::Requests(requests) => requests,
            Goal::Seconds(seconds) => (seconds * STEPS_PER_SECOND) as u64,
        }
    }
}

/// What happened in the last second or so.
#[derive(Debug, Clone, Copy)]
pub struct Lately<'a> {
    /// When it ended, in seconds since the measurement began.
    pub end: f64,
    pub seconds: f64,
    pub requests: u64,
    pub errors: u64,
    /// Nanoseconds.
    pub latency_ns: &'a Histogram<u64>,
}

pub struct Live {
    name: String,
    goal: Goal,
    progress: Progress,
    requests: u64,
    errors: u64,
    /// When the next plain line is due; `None`: none ever.
    plain_at: Option<f64>,
}

impl Live {
    pub fn new(name: &str, goal: Goal, quiet: bool) -> Live {
        Live {
            name: name.to_string(),
            goal,
            progress: Progress::new(name, goal.steps(), quiet),
            requests: 0,
            errors: 0,
            plain_at: (!quiet && !is_watched()).then_some(PLAIN_SECONDS),
        }
    }

    /// Shows a second.
    pub fn update(&mut self, lately: &Lately) {
        self.requests += lately.requests;
        self.errors += lately.errors;
        self.progress.set(match self.goal {
            Goal::Requests(_) => self.requests,
            Goal::Seconds(_) => (lately.end * STEPS_PER_SECOND) as u64,
        });
        let words = words(lately, self.errors);
        if let Some(line) = self.plain_line(lately.end, &words) {
            eprintln!("{line}");
        }
        self.progress.say(words);
    }

    fn plain_line(&mut self, now: f64, words: &str) -> Option<String> {
        let due = self.plain_at.filter(|&due| now >= due)?;
        // After a silence there is one line, not all that were missed.
        self.plain_at = Some(due + PLAIN_SECONDS * ((now - due) / PLAIN_SECONDS).floor() + PLAIN_SECONDS);
        Some(format!("{}: {now:.0} s, {words}", self.name))
    }

    pub fn end(self) {
        self.progress.clear();
    }
}

/// `123k/s, p50 12 us, p99 40 us, p99.9 1 ms, 0 errors`
fn words(lately: &Lately, errors: u64) -> String {
    let rate = lately.requests as f64 / lately.seconds.max(1e-9);
    let mut words = format!("{}/s", units::short(rate));
    if lately.latency_ns.is_empty() {
        words.push_str(", no reply");
    } else {
        for (name, quantile) in [("p50", 0.5), ("p99", 0.99), ("p99.9", 0.999)] {
            let us = lately.latency_ns.value_at_quantile(quantile) as f64 / 1000.0;
            words.push_str(&format!(", {name} {}", units::time_us(us)));
        }
    }
    let ending = if errors == 1 { "" } else { "s" };
    words + &format!(", {} error{ending}", units::count(errors))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn latencies(values: &[u64]) -> Histogram<u64> {
        let mut histogram = Histogram::new(3).unwrap();
        values.iter().for_each(|&value| histogram.record(value).unwrap());
        histogram
    }

    #[test]
    fn a_second_in_words() {
        let latency_ns = latencies(&[12_000, 12_000, 2_000_000]);
        let lately = Lately { end: 3.0, seconds: 0.5, requests: 61_500, errors: 0, latency_ns: &latency_ns };
        assert_eq!(words(&lately, 1), "123k/s, p50 12 us, p99 2 ms, p99.9 2 ms, 1 error");
        let nothing = latencies(&[]);
        let lately = Lately { requests: 0, latency_ns: &nothing, ..lately };
        assert_eq!(words(&lately, 2000), "0/s, no reply, 2,000 errors");
    }

    #[test]
    fn plain_lines_are_rare() {
        let mut live = Live::new("GET", Goal::Seconds(60.0), true);
        assert_eq!(live.plain_line(7.0, "x"), None);
        live.plain_at = Some(PLAIN_SECONDS);
        let times = [1.0, 4.9, 5.0, 6.0, 9.9, 10.1, 23.0, 24.0, 25.0];
        let shown: Vec<_> = times.iter().filter_map(|&now| live.plain_line(now, "x")).collect();
        assert_eq!(shown, ["GET: 5 s, x", "GET: 10 s, x", "GET: 23 s, x", "GET: 25 s, x"]);
    }
}
