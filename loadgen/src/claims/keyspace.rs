//! The claim about going through all keys.

use std::time::{Duration, Instant};

use crate::client::{Value, encode};
use crate::error::Failure;
use crate::result::LatencyUs;
use crate::units;

use super::bench::{Bench, gone, ms};
use super::{Claim, Finding};

/// "Does not stall others".
const P99_US_MAX: f64 = 1_000.0;
/// KEYS stalls others if the longest wait beside it is so many times the longest beside SCAN.
const TIMES_STALLED: f64 = 2.0;
const SCAN_COUNT: &str = "1000";

pub const SCAN: Claim = Claim {
    name: "scan",
    text: "SCAN of a large keyspace does not stall others, while KEYS does",
    commands: &["SCAN", "KEYS"],
    by_hand: "redis-cli -p {port} --latency in one terminal; redis-cli -p {port} --scan --count 1000 >/dev/null, then \
              redis-cli -p {port} KEYS 'no such:*' in another (SET a million keys before)",
    measure: scan,
};

fn scan(bench: &Bench, finding: &mut Finding) -> Result<(), Failure> {
    let keys: u64 = if bench.quick { 200_000 } else { 2_000_000 };
    bench.fill(keys, 1_000, |number| encode(&["SET", &format!("key:{number}"), "value"]))?;
    let (_, alone) = bench.probe_beside(|| {
        std::thread::sleep(Duration::from_millis(if bench.quick { 300 } else { 2_000 }));
        Ok(())
    })?;
    let ((seen, scan_ms), beside_scan) = bench.probe_beside(|| scan_all(bench))?;
    // A pattern that nothing matches: what is measured is the walk, not the transfer of a reply.
    let (keys_ms, beside_keys) = bench.probe_beside(|| {
        let mut client = bench.client()?;
        let began = Instant::now();
        gone(client.ask(&["KEYS", "no such:*"]))?;
        Ok(ms(began.elapsed()))
    })?;
    let whole = seen >= keys;
    finding.holds = whole && beside_scan.p99 <= P99_US_MAX;
    let text = |us: &LatencyUs| format!("p50 {:.0} us, p99 {:.0} us, max {:.0} us", us.p50, us.p99, us.max);
    finding.figure("p99_us_beside_scan", beside_scan.p99);
    finding.figure("max_us_beside_scan", beside_scan.max);
    finding.figure("max_us_beside_keys", beside_keys.max);
    finding.say(format!(
        "{} keys; a GET every half millisecond on a connection of its own, alone: {}",
        units::count(keys),
        text(&alone)
    ));
    finding.say(format!(
        "beside SCAN COUNT {SCAN_COUNT} through all of them ({scan_ms:.0} ms, {} keys seen): {}",
        units::count(seen),
        text(&beside_scan)
    ));
    finding.say(format!("beside one KEYS ({keys_ms:.0} ms): {}", text(&beside_keys)));
    let stalls = beside_keys.max >= beside_scan.max * TIMES_STALLED;
    finding.say(if stalls {
        format!("KEYS stalls others {:.0} times as long as SCAN does", beside_keys.max / beside_scan.max)
    } else {
        "KEYS stalled others no longer than SCAN did: the verdict rests on SCAN".into()
    });
    Ok(())
}

/// Goes through all keys; tells how many it saw and how long it took.
fn scan_all(bench: &Bench) -> Result<(u64, f64), Failure> {
    let mut client = bench.client()?;
    let (mut cursor, mut seen, began) = ("0".to_string(), 0, Instant::now());
    loop {
        let wrong = |value: &Value| Failure::Replies(format!("no reply of SCAN: {value:?}"));
        let reply = gone(client.ask(&["SCAN", &cursor, "COUNT", SCAN_COUNT]))?;
        match &reply {
            Value::Array(parts) => match &parts[..] {
                [Value::Text(next), Value::Array(keys)] => {
                    seen += keys.len() as u64;
                    cursor.clone_from(next);
                }
                _ => return Err(wrong(&reply)),
            },
            _ => return Err(wrong(&reply)),
        }
        if cursor == "0" {
            return Ok((seen, ms(began.elapsed())));
        }
    }
}
