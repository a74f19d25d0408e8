//! Claims about many clients at once, and about a single read.

use crate::error::Failure;
use crate::result::{Run, WAITED_MAX};
use crate::units;

use super::bench::{Bench, disturbance};
use super::{Claim, Finding};

const RATE: f64 = 100_000.0;

pub const THROUGHPUT: Claim = Claim {
    name: "throughput",
    text: "over 100,000 operations a second on modest hardware, without pipelining",
    commands: &["SET", "GET"],
    by_hand: "redis-benchmark -p {port} -t set,get -c 50 -n 1000000 -r 100000 -d 32 -q",
    measure: throughput,
};

pub const LATENCY: Claim = Claim {
    name: "latency",
    text: "99 of 100 requests take less than a millisecond at 100,000 requests a second",
    commands: &["GET"],
    by_hand: "polder-loadgen -p {port} -t get -c 50 -r 100000 -d 32 --preload --rate 100k --seconds 10; redis-benchmark \
              has no open loop: it counts from the actual sending only",
    measure: latency,
};

pub const CACHE_READ: Claim = Claim {
    name: "cache-read",
    text: "a read from the cache takes about 0.3 ms or less",
    commands: &["GET"],
    by_hand: "redis-benchmark -p {port} -t get -c 1 -n 50000 -r 100000 -d 1024",
    measure: cache_read,
};

fn latency_text(run: &Run) -> String {
    let us = &run.total.felt().us;
    let disturbance = disturbance(run);
    let note = if disturbance > WAITED_MAX {
        format!(" (DISTURBED: something else held the processors {:.0} % of the time)", disturbance * 100.0)
    } else {
        String::new()
    };
    format!("p50 {:.0} us, p99 {:.0} us, max {:.0} us{note}", us.p50, us.p99, us.max)
}

fn throughput(bench: &Bench, finding: &mut Finding) -> Result<(), Failure> {
    finding.holds = true;
    for test in ["set", "get"] {
        let words =
            ["-t", test, "-c", "50", "-r", "100000", "-d", "32", "--preload", "--seconds", bench.seconds()];
        let run = bench.load(&words)?;
        finding.holds &= run.requests_per_second > RATE;
        finding.figure(&format!("{test}_requests_per_second"), run.requests_per_second);
        finding.say(format!(
            "{} {}/s from 50 connections, one request each at a time, 32-byte values, 100,000 keys; {}",
            run.name,
            units::rate(run.requests_per_second),
            latency_text(&run)
        ));
    }
    Ok(())
}

fn latency(bench: &Bench, finding: &mut Finding) -> Result<(), Failure> {
    let rate = (RATE as u64).to_string();
    let common =
        ["-t", "get", "-c", "50", "-r", "100000", "-d", "32", "--preload", "--seconds", bench.seconds()];
    let run = bench.load(&[&common[..], &["--rate", &rate]].concat())?;
    let p99 = run.total.felt().us.p99;
    finding.holds = p99 < 1000.0 && run.requests_per_second >= RATE * 0.99;
    finding.figure("requests_per_second", run.requests_per_second);
    finding.figure("p99_us", p99);
    finding.say(format!(
        "open loop of {} GETs/s at equal distances, {} of them answered a second, 50 connections; from the intended \
         sending to the reply: {}",
        units::rate(RATE),
        units::rate(run.requests_per_second),
        latency_text(&run)
    ));
    let us = &run.total.service.us;
    finding.say(format!("from the actual sending: p50 {:.0} us, p99 {:.0} us", us.p50, us.p99));
    if run.generator_is_bottleneck == Some(true) {
        let late = run.slip.as_ref().map_or(0.0, |slip| slip.late * 100.0);
        finding.say(format!(
            "the generator, not the server, was the bottleneck: {late:.1} % of the requests left more than a millisecond \
             late; this says little of the server"
        ));
    }
    if !finding.holds {
        let still = bench.stillness();
        finding.figure("machine_still_share", still.share);
        finding.figure("machine_still_us_max", still.longest.as_secs_f64() * 1e6);
        finding.say(format!(
            "right after it, with no server and no load, threads that only looked at the clock on the same processors \
             stood still for {:.2} % of the time, at most {:.1} ms at once: that much is the machine's own",
            still.share * 100.0,
            still.longest.as_secs_f64() * 1e3
        ));
    }
    Ok(())
}

fn cache_read(bench: &Bench, finding: &mut Finding) -> Result<(), Failure> {
    let words =
        ["-t", "get", "-c", "1", "-r", "100000", "-d", "1024", "--preload", "--seconds", bench.seconds()];
    let run = bench.load(&words)?;
    let us = run.total.felt().us;
    finding.holds = us.p50 <= 300.0 && run.misses == 0;
    finding.figure("p50_us", us.p50);
    finding.figure("p99_us", us.p99);
    finding.say(format!(
        "one connection over loopback, 1,024-byte values, 100,000 keys, {} reads: {}",
        units::count(run.requests),
        latency_text(&run)
    ));
    finding.say("the verdict rests on the median; a network adds its round trip".into());
    Ok(())
}
