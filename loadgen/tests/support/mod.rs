//! Results of loads that never ran: every figure is known.

#![allow(dead_code, reason = "each test uses a part of this")]

pub mod browser;
pub mod papers;
pub mod program;
pub mod server;

use hdrhistogram::Histogram;
use polder_loadgen::keys::Random;
use polder_loadgen::result::{
    CommandResult, Distribution, FORMAT, GeneratorCost, Interval, Latencies, LatencyUs, Load, ResultFile,
    Run, Schedule, ServerCost, Slip,
};

pub fn histogram(values: impl IntoIterator<Item = u64>) -> Histogram<u64> {
    let mut histogram = Histogram::new_with_bounds(1, 3600 * 1_000_000_000, 3).unwrap();
    values.into_iter().for_each(|value| histogram.record(value).unwrap());
    histogram
}

/// Nanoseconds as servers take them: most near the median, some far above.
pub fn latencies(seed: u64, count: usize, median_ns: u64) -> Vec<u64> {
    let mut random = Random::new(seed, 0);
    let mut one = || {
        let tail = 1u64 << (random.below(1 << 12) + 1).leading_zeros().saturating_sub(51);
        median_ns / 2 + random.below(median_ns) + tail * median_ns / 8
    };
    (0..count).map(|_| one()).collect()
}

pub struct Shape<'a> {
    pub name: &'a str,
    pub pipeline: u32,
    pub commands: &'a [&'a str],
    pub median_ns: u64,
    pub seconds: usize,
    /// Offered commands a second.
    pub rate: Option<f64>,
}

pub const GET: Shape =
    Shape { name: "GET", pipeline: 1, commands: &["GET"], median_ns: 40_000, seconds: 10, rate: None };

pub const REQUESTS_PER_SECOND: usize = 1000;

pub fn run(shape: &Shape, seed: u64) -> Run {
    let open = shape.rate.is_some();
    let in_full = |values: &[u64]| Latencies {
        response: open.then(|| Distribution::of(&histogram(values.iter().map(|value| value * 3)))),
        service: Distribution::of(&histogram(values.iter().copied())),
    };
    let each: Vec<Vec<u64>> = (0..shape.commands.len() as u64)
        .map(|index| {
            latencies(seed + 100 * index, shape.seconds * REQUESTS_PER_SECOND, shape.median_ns * (index + 1))
        })
        .collect();
    let all = each.concat();
    let intervals = (0..shape.seconds).map(|second| {
        let lately: Vec<u64> = each
            .iter()
            .flat_map(|values| &values[second * REQUESTS_PER_SECOND..(second + 1) * REQUESTS_PER_SECOND])
            .map(|value| if open { value * 3 } else { *value })
            .collect();
        Interval {
            start: second as f64,
            seconds: 1.0,
            requests: lately.len() as u64,
            errors: 0,
            us: LatencyUs::of(&histogram(lately)),
        }
    });
    // As if so much more had happened than was recorded.
    let scale = 200.0 * f64::from(shape.pipeline).powf(0.7) * 40_000.0 / shape.median_ns as f64;
    Run {
        name: shape.name.into(),
        load: Load {
            engine: "io_uring".into(),
            clients: 50,
            pipeline: shape.pipeline,
            keys: 100_000,
            value_bytes: 64,
            threads: 1,
            schedule: shape.rate.map(|rate| Schedule { rate, poisson: true }),
            distribution: "uniform".into(),
            shards: None,
        },
        seconds: shape.seconds as f64,
        requests: all.len() as u64,
        requests_per_second: all.len() as f64 / shape.seconds as f64 * scale,
        errors: 0,
        wrong: 0,
        misses: 12,
        reconnects: 0,
        connect_us: None,
        first_error: None,
        total: in_full(&all),
        commands: shape
            .commands
            .iter()
            .zip(&each)
            .map(|(name, values)| CommandResult {
                name: (*name).into(),
                requests: values.len() as u64,
                errors: 0,
                misses: 0,
                latencies: in_full(values),
            })
            .collect(),
        intervals: intervals.collect(),
        slip: open.then(|| Slip { us: LatencyUs::of(&histogram([1000, 2000])), late: 0.0, unsent: 0 }),
        server: Some(ServerCost {
            user_ns_per_request: 300.0 + shape.median_ns as f64 / 200.0,
            system_ns_per_request: 900.0 / f64::from(shape.pipeline),
            utilisation: 0.97,
            waited: 0.0,
        }),
        generator: GeneratorCost { ns_per_request: 210.0, utilisation: 0.6, waited: 0.0 },
        generator_is_bottleneck: Some(false),
        failure: None,
    }
}

pub fn file(server: &str, runs: Vec<Run>) -> ResultFile {
    ResultFile {
        format: FORMAT,
        generator: "polder-loadgen 0.1.0".into(),
        started_at: "2026-01-02T03:04:05Z".into(),
        command_line: ["polder-loadgen", "-t", "get", "-P", "16", "SET", "key with blanks"]
            .map(String::from)
            .to_vec(),
        machine: "Intel(R) Xeon(R) Processor @ 2.60GHz, 8 processors, Linux 6.1.0-18-amd64 x86_64".into(),
        server: server.into(),
        runs,
    }
}

/// A result with all there is: several tests, a sweep, an open loop of several commands.
pub fn everything(server: &str, slowness: u64) -> ResultFile {
    let median_ns = 40_000 * slowness / 2;
    let mut runs = Vec::new();
    for power in 0..=10 {
        let shape = Shape { pipeline: 1 << power, median_ns: median_ns << (power / 2), seconds: 3, ..GET };
        // As a sweep names its steps.
        runs.push(Run { name: format!("GET pipeline={}", 1 << power), ..run(&shape, 7 + power) });
    }
    runs.push(run(&Shape { name: "SET", commands: &["SET"], median_ns, ..GET }, 3));
    let commands = &["GET session:{id}", "SET session:{id} with expiry", "DEL"];
    let profile = Shape { name: "sessions", commands, median_ns, rate: Some(20_000.0), seconds: 10, ..GET };
    runs.push(run(&profile, 5));
    file(server, runs)
}
