//! The result of a load, as it is kept in a file: what measuring, showing and reporting have in common.
//!
//! A file holds one or several runs; a run has a total, a part for each command and one for each second.
//! Times are in microseconds, rates per second, shares between 0 and 1, instants in seconds since the
//! measurement began. Whoever reads files of an older `format` must say so.

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

/// Counts up when a field changes its meaning or goes away; new fields alone do not count.
pub const FORMAT: u32 = 1;

/// What `--json` writes and `report` reads.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ResultFile {
    pub format: u32,
    /// Name and version of the generator.
    pub generator: String,
    /// When it began, in RFC 3339 with UTC.
    pub started_at: String,
    pub command_line: Vec<String>,
    pub machine: String,
    /// What the server calls itself, such as "redis-server 7.0.15" or "polder-server 0.1.0".
    pub server: String,
    pub runs: Vec<Run>,
}

/// One load from its begin to its end: a test, a profile, or a step of a sweep.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Run {
    /// The test's or profile's name.
    pub name: String,
    pub load: Load,
    pub seconds: f64,
    pub requests: u64,
    pub requests_per_second: f64,
    /// Error replies.
    pub errors: u64,
    /// Replies of the wrong type or length.
    pub wrong: u64,
    /// Keys that were not there.
    pub misses: u64,
    /// Connections that were made anew.
    pub reconnects: u64,
    /// How long each of them took, with all that a connection says first; `None`: there were none.
    #[serde(default)]
    pub connect_us: Option<LatencyUs>,
    pub first_error: Option<String>,
    pub total: Latencies,
    /// One for each command of the load, in its order; a single one has the total's latencies.
    pub commands: Vec<CommandResult>,
    /// One for each second, the last one may be shorter.
    pub intervals: Vec<Interval>,
    /// Only of an open loop.
    pub slip: Option<Slip>,
    pub server: Option<ServerCost>,
    pub generator: GeneratorCost,
    /// `None`: not known, since the generator was busy and the server's process was not named.
    pub generator_is_bottleneck: Option<bool>,
    /// Why the load ended early.
    pub failure: Option<String>,
}

/// What was asked for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Load {
    pub engine: String,
    pub clients: u32,
    pub pipeline: u32,
    pub keys: u64,
    pub value_bytes: u32,
    pub threads: u32,
    /// `None`: a closed loop.
    pub schedule: Option<Schedule>,
    /// The distribution of keys, in words.
    pub distribution: String,
    /// Shards of the server, if the load is a step of a sweep over them.
    #[serde(default)]
    pub shards: Option<u32>,
}

/// The send times of an open loop.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Schedule {
    /// Commands a second, over all connections.
    pub rate: f64,
    /// Intervals are exponentially distributed instead of equal.
    pub poisson: bool,
}

/// Latencies from two beginnings: a closed loop has only the second.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Latencies {
    /// From the instant at which the schedule wanted a command to be sent, to its reply.
    pub response: Option<Distribution>,
    /// From the instant at which it was sent, to its reply.
    pub service: Distribution,
}

impl Latencies {
    /// What a user waits: response times if there is a schedule, else service times.
    pub fn felt(&self) -> &Distribution {
        self.response.as_ref().unwrap_or(&self.service)
    }
}

/// A histogram, summarised and in full.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Distribution {
    pub count: u64,
    pub us: LatencyUs,
    /// Nanoseconds in an HdrHistogram: V2 with deflate, as base64.
    pub hdr: String,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CommandResult {
    /// The command's name, or the operation's name in a profile.
    pub name: String,
    pub requests: u64,
    pub errors: u64,
    pub misses: u64,
    pub latencies: Latencies,
}

/// What happened between two instants.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Interval {
    pub start: f64,
    pub seconds: f64,
    pub requests: u64,
    pub errors: u64,
    /// As [`Latencies::felt`].
    pub us: LatencyUs,
}

/// How late the generator itself was: the actual against the intended send time of commands whose
/// connection was free to send.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Slip {
    pub us: LatencyUs,
    /// The share of commands that left more than a millisecond late.
    pub late: f64,
    /// Commands that the schedule wanted but that were never sent.
    pub unsent: u64,
}

impl ResultFile {
    /// Reads a file; the error says what is wrong with it.
    pub fn parse(bytes: &[u8]) -> Result<ResultFile, String> {
        /// What every format has.
        #[derive(Deserialize)]
        struct Head {
            format: u32,
        }
        let head: Head = serde_json::from_slice(bytes)
            .map_err(|error| format!("is no result of polder-loadgen --json: {error}"))?;
        if head.format != FORMAT {
            return Err(format!("has format {}, but this version reads {FORMAT}", head.format));
        }
        serde_json::from_slice(bytes).map_err(|error| error.to_string())
    }
}

/// Microseconds that something took, from the sending of a command to its reply if nothing else is said.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct LatencyUs {
    pub min: f64,
    pub mean: f64,
    pub p50: f64,
    pub p90: f64,
    pub p95: f64,
    pub p99: f64,
    pub p999: f64,
    pub max: f64,
}

impl LatencyUs {
    pub fn of(latency_ns: &Histogram<u64>) -> LatencyUs {
        let us = |ns: u64| ns as f64 / 1000.0;
        let quantile = |quantile| us(latency_ns.value_at_quantile(quantile));
        LatencyUs {
            min: us(latency_ns.min()),
            mean: latency_ns.mean() / 1000.0,
            p50: quantile(0.5),
            p90: quantile(0.9),
            p95: quantile(0.95),
            p99: quantile(0.99),
            p999: quantile(0.999),
            max: us(latency_ns.max()),
        }
    }
}

/// Processor time that requests cost the server.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct ServerCost {
    pub user_ns_per_request: f64,
    pub system_ns_per_request: f64,
    /// 1 is all of its processor.
    pub utilisation: f64,
    /// How much of the time, at least, the thread that fared worst was ready while neither the server's other
    /// threads nor the generator had its processor.
    pub waited: f64,
}

impl ServerCost {
    pub fn ns_per_request(&self) -> f64 {
        self.user_ns_per_request + self.system_ns_per_request
    }
}

/// Processor time that requests cost the generator.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct GeneratorCost {
    pub ns_per_request: f64,
    /// Of its busiest thread.
    pub utilisation: f64,
    /// How much of the time the thread that waited longest was ready but had no processor.
    pub waited: f64,
}

/// From this share of its processor on, the generator may be what limits the load.
const BUSY: f64 = 0.95;

/// Whether the generator rather than the server was the limit.
pub fn generator_is_bottleneck(utilisation: f64, server: Option<&ServerCost>) -> Option<bool> {
    if utilisation <= BUSY {
        return Some(false);
    }
    server.map(|server| server.utilisation <= BUSY)
}

/// From this share of the time on, others on the same processor disturb a measurement.
pub const WAITED_MAX: f64 = 0.05;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_the_bottleneck() {
        let server = |utilisation| ServerCost {
            user_ns_per_request: 1.0,
            system_ns_per_request: 1.0,
            utilisation,
            waited: 0.0,
        };
        assert_eq!(generator_is_bottleneck(0.5, None), Some(false));
        assert_eq!(generator_is_bottleneck(0.99, None), None);
        assert_eq!(generator_is_bottleneck(0.99, Some(&server(0.5))), Some(true));
        assert_eq!(generator_is_bottleneck(0.99, Some(&server(0.99))), Some(false));
    }
}
