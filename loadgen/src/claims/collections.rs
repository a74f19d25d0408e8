//! Claims about leaderboards and HyperLogLogs.

use crate::client::{Value, encode};
use crate::error::Failure;
use crate::units;

use super::bench::{Bench, gone, integer};
use super::{Claim, Finding};

/// Members of the leaderboards: each ten times the one before.
const SIZES: [u64; 5] = [1_000, 10_000, 100_000, 1_000_000, 10_000_000];
const SIZES_QUICK: usize = 4;
/// Of the machine's memory the largest leaderboard wants so much.
const LARGEST_BYTES: u64 = 4 << 30;
/// How many times more than the logarithm a cost may grow: larger leaderboards leave the caches.
const BEYOND_LOGARITHM_MAX: f64 = 3.0;
const UPDATES_PER_HOUR: f64 = 1e6;

pub const LEADERBOARD: Claim = Claim {
    name: "leaderboard",
    text: "an update of a leaderboard costs O(log n), and there may be millions of them an hour",
    commands: &["ZADD", "ZINCRBY", "ZREVRANK"],
    by_hand: "ZADD board SCORE player:N for n members, then redis-benchmark -p {port} -c 20 -P 16 -r N -n 500000 \
              ZINCRBY board __rand_int__ player:__rand_int__, and the server's CPU time (ps -o time) before and after",
    measure: leaderboard,
};

fn leaderboard(bench: &Bench, finding: &mut Finding) -> Result<(), Failure> {
    let mut sizes = &SIZES[..if bench.quick { SIZES_QUICK } else { SIZES.len() }];
    if sizes.len() > SIZES_QUICK && available_bytes() < LARGEST_BYTES {
        finding.say("10,000,000 members are left out: less than 4 GiB of memory are free".into());
        sizes = &sizes[..SIZES_QUICK];
    }
    let mut costs = Vec::new();
    for &size in sizes {
        bench.clear()?;
        fill(bench, size)?;
        let range = size.to_string();
        let load = |words: &[&str]| {
            let common =
                ["-c", "20", "-P", "16", "-r", &range, "--seconds", if bench.quick { "0.4" } else { "2" }];
            bench.load(&[&common[..], words].concat())
        };
        let update = load(&["ZINCRBY", "board", "__rand_int__", "player:__rand_int__"])?;
        let rank = load(&["ZREVRANK", "board", "player:__rand_int__"])?;
        let members = integer(&bench.ask(&["ZCARD", "board"])?) as u64;
        if members != size {
            return Err(Failure::Replies(format!("the leaderboard has {members} members instead of {size}")));
        }
        let ns = |run: &crate::result::Run| run.server.as_ref().map_or(0.0, |server| server.ns_per_request());
        costs.push((size, ns(&update), update.requests_per_second));
        finding.figure(&format!("update_cpu_ns_of_{size}"), ns(&update));
        finding.say(format!(
            "{} members: an update (ZINCRBY) costs the server {:.0} CPU-ns, a rank (ZREVRANK) {:.0}; {} million updates \
             an hour",
            units::count(size),
            ns(&update),
            ns(&rank),
            units::rate(update.requests_per_second * 3600.0 / 1e6)
        ));
    }
    let (growth, logarithm) = growth(&costs);
    let slowest = costs.iter().map(|cost| cost.2 * 3600.0).fold(f64::INFINITY, f64::min);
    finding.holds = growth > 0.0 && growth <= logarithm * BEYOND_LOGARITHM_MAX && slowest >= UPDATES_PER_HOUR;
    finding.figure("growth", growth);
    finding.say(format!(
        "from the smallest to the largest the cost grows {growth:.1} times, the logarithm {logarithm:.1} times (up to \
         {BEYOND_LOGARITHM_MAX} times that is allowed: large ones leave the caches); a linear cost would grow {} times",
        units::count(costs.last().map_or(0, |cost| cost.0) / SIZES[0])
    ));
    Ok(())
}

/// How many times the cost and the logarithm grow from the first to the last; 0 if a cost is not known.
fn growth(costs: &[(u64, f64, f64)]) -> (f64, f64) {
    let (Some(first), Some(last)) = (costs.first(), costs.last()) else { return (0.0, 0.0) };
    let growth = if first.1 > 0.0 { last.1 / first.1 } else { 0.0 };
    (growth, (last.0 as f64).ln() / (first.0 as f64).ln())
}

/// Members with scores in an order that has nothing to do with their names.
fn fill(bench: &Bench, size: u64) -> Result<(), Failure> {
    const MEMBERS: u64 = 100;
    bench.fill(size / MEMBERS, 20, |batch| {
        let pairs = (batch * MEMBERS..(batch + 1) * MEMBERS).flat_map(|number| {
            let score = number.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 40;
            [score.to_string(), format!("player:{number:012}")]
        });
        let words: Vec<String> = ["ZADD".to_string(), "board".into()].into_iter().chain(pairs).collect();
        encode(&words.iter().map(String::as_str).collect::<Vec<_>>())
    })
}

fn available_bytes() -> u64 {
    let text = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("MemAvailable:"));
    line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<u64>().ok()).unwrap_or(0) * 1024
}

const ERROR_MAX: f64 = 0.01;
/// 16,384 registers of 6 bits, and a header.
const BYTES_MAX: i64 = 12 * 1024 + 16;

pub const HYPERLOGLOG: Claim = Claim {
    name: "hyperloglog",
    text: "a HyperLogLog counts with an error below 1 % in 12 KB",
    commands: &["PFADD", "PFCOUNT", "STRLEN"],
    by_hand: "PFADD visitors:0 visitor:0:0 visitor:0:1 … with redis-cli -p {port}, then PFCOUNT visitors:0 and STRLEN \
              visitors:0; the same for more keys with other elements",
    measure: hyperloglog,
};

fn hyperloglog(bench: &Bench, finding: &mut Finding) -> Result<(), Failure> {
    const BATCH: u64 = 200;
    let (keys, elements): (u64, u64) = if bench.quick { (12, 20_000) } else { (24, 100_000) };
    let mut client = bench.client()?;
    let (mut squares, mut worst, mut bytes) = (0.0, 0f64, 0);
    for key in 0..keys {
        let name = format!("visitors:{key}");
        bench.fill(elements / BATCH, 20, |batch| {
            let visitors =
                (batch * BATCH..(batch + 1) * BATCH).map(|visitor| format!("visitor:{key}:{visitor}"));
            let words: Vec<String> =
                ["PFADD".to_string(), name.clone()].into_iter().chain(visitors).collect();
            encode(&words.iter().map(String::as_str).collect::<Vec<_>>())
        })?;
        let Value::Integer(counted) = gone(client.ask(&["PFCOUNT", &name]))? else {
            return Err(Failure::Replies("PFCOUNT answered no number".into()));
        };
        let error = counted as f64 / elements as f64 - 1.0;
        squares += error * error;
        worst = worst.max(error.abs());
        bytes = bytes.max(integer(&gone(client.ask(&["STRLEN", &name]))?));
    }
    let error = (squares / keys as f64).sqrt();
    finding.holds = error < ERROR_MAX && (1..=BYTES_MAX).contains(&bytes);
    finding.figure("error", error);
    finding.figure("worst_error", worst);
    finding.figure("bytes", bytes as f64);
    finding.say(format!(
        "{keys} keys with {} different elements each: root mean square error {:.2} %, the worst key {:.2} %, {} bytes",
        units::count(elements),
        error * 100.0,
        worst * 100.0,
        units::count(bytes as u64)
    ));
    finding.say(
        "in theory the standard error is 1.04 / sqrt(16,384) = 0.81 %, so single keys may be beyond 1 %"
            .into(),
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn growth_is_told_from_the_logarithm() {
        let (cost, logarithm) =
            growth(&[(1_000, 500.0, 0.0), (10_000, 700.0, 0.0), (1_000_000, 1500.0, 0.0)]);
        assert_eq!(cost, 3.0);
        assert!((logarithm - 2.0).abs() < 1e-9);
        assert_eq!(growth(&[(1_000, 0.0, 0.0), (10_000, 700.0, 0.0)]).0, 0.0);
    }
}
