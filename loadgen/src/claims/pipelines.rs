//! Claims about what pipelines save, and about bulk work.

use std::time::{Duration, Instant};

use crate::client::{Client, encode};
use crate::error::Failure;
use crate::units;

use super::bench::{Bench, connect, gone, ms};
use super::{Claim, Finding, relay};

const SETS: u64 = 1_000;
/// "About 10 ms", and what a second must be of it at least.
const PIPELINE_MS_MAX: f64 = 15.0;
const TIMES_MIN: f64 = 20.0;

pub const PIPELINE: Claim = Claim {
    name: "pipeline",
    text: "1,000 SETs take about 1 s one by one, and about 10 ms in one pipeline, when the network takes 1 ms",
    commands: &["SET"],
    by_hand: "tc qdisc add dev lo root netem delay 0.5ms (as root; undo with del), then \
              redis-benchmark -p {port} -t set -n 1000 -c 1, and the same with -P 1000",
    measure: pipeline,
};

const EXPIRING: u64 = 10_000;
const EXPIRING_MS_MAX: f64 = 85.0;

pub const EXPIRY: Claim = Claim {
    name: "expiry",
    text: "10,000 pipelined SETs with expiry take 85 ms or less",
    commands: &["SET"],
    by_hand: "seq 10000 | awk '{print \"SET session:\"$1\" value EX 3600\"}' | redis-cli -p {port} --pipe, \
              under time (which counts the start of redis-cli, too)",
    measure: expiry,
};

const UPDATES_COUNT: u64 = 50_000;
const UPDATES_S_MAX: f64 = 2.0;

pub const UPDATES: Claim = Claim {
    name: "updates",
    text: "50,000 updates take less than 2 s",
    commands: &["SET"],
    by_hand: "redis-benchmark -p {port} -t set -n 50000 -c 50 -r 50000 -d 32 (and with -c 1)",
    measure: updates,
};

fn sets() -> Vec<String> {
    (0..SETS).map(|number| encode(&["SET", &format!("key:{number}"), "value"])).collect()
}

fn one_by_one(client: &mut Client, commands: &[String]) -> Result<Duration, Failure> {
    let began = Instant::now();
    for command in commands {
        gone(client.send_and_check(command.as_bytes(), 1))?;
    }
    Ok(began.elapsed())
}

fn in_one_pipeline(client: &mut Client, commands: &[String]) -> Result<Duration, Failure> {
    let pipeline = commands.concat();
    let began = Instant::now();
    gone(client.send_and_check(pipeline.as_bytes(), commands.len()))?;
    Ok(began.elapsed())
}

fn pipeline(bench: &mut Bench) -> Result<Finding, Failure> {
    let commands = sets();
    let relayed = relay::start(bench.server.port(), bench.delay);
    let port = relayed.map_err(|error| Failure::System(format!("the relay: {error}")))?;
    let (mut far, mut near) = (connect(port)?, bench.client()?);
    let far_each = one_by_one(&mut far, &commands)?;
    let far_pipeline = in_one_pipeline(&mut far, &commands)?;
    let near_each = one_by_one(&mut near, &commands)?;
    let near_pipeline = in_one_pipeline(&mut near, &commands)?;
    let times = far_each.as_secs_f64() / far_pipeline.as_secs_f64().max(1e-9);
    let mut finding =
        Finding { holds: ms(far_pipeline) <= PIPELINE_MS_MAX && times >= TIMES_MIN, ..Finding::default() };
    finding.figure("delayed_one_by_one_ms", ms(far_each));
    finding.figure("delayed_pipeline_ms", ms(far_pipeline));
    finding.figure("loopback_one_by_one_ms", ms(near_each));
    finding.figure("loopback_pipeline_ms", ms(near_pipeline));
    finding.say(format!(
        "with a round trip of {} (a relay in this process delays every byte): {:.0} ms one by one, {:.2} ms in one \
         pipeline, {times:.0} times as fast",
        humantime::format_duration(bench.delay),
        ms(far_each),
        ms(far_pipeline)
    ));
    finding.say(format!(
        "on loopback: {:.1} ms one by one, {:.2} ms in one pipeline",
        ms(near_each),
        ms(near_pipeline)
    ));
    Ok(finding)
}

fn expiry(bench: &mut Bench) -> Result<Finding, Failure> {
    const REPEATS: usize = 5;
    let command = |number: u64| encode(&["SET", &format!("session:{number}"), "value", "EX", "3600"]);
    let commands: Vec<String> = (0..EXPIRING).map(command).collect();
    let mut client = bench.client()?;
    let mut times = Vec::new();
    for _ in 0..REPEATS {
        times.push(ms(in_one_pipeline(&mut client, &commands)?));
    }
    times.sort_by(f64::total_cmp);
    let (least, median, most) = (times[0], times[REPEATS / 2], times[REPEATS - 1]);
    let mut finding = Finding { holds: median <= EXPIRING_MS_MAX, ..Finding::default() };
    finding.figure("median_ms", median);
    finding.say(format!(
        "one connection, one pipeline of 10,000 SET session:N value EX 3600, {REPEATS} times: median {median:.1} ms \
         [{least:.1} … {most:.1}]"
    ));
    let left = bench.ask(&["TTL", "session:1"])?;
    let expires = super::bench::integer(&left) > 3000;
    finding.holds &= expires;
    finding.say(format!("TTL session:1 answers {} s", super::bench::integer(&left)));
    Ok(finding)
}

fn updates(bench: &mut Bench) -> Result<Finding, Failure> {
    let count = UPDATES_COUNT.to_string();
    let mut finding = Finding { holds: true, ..Finding::default() };
    for clients in ["50", "1"] {
        let words = ["-t", "set", "-c", clients, "-n", &count, "-r", &count, "-d", "32", "--preload"];
        let run = bench.load(&words)?;
        // The claim is about many clients; one alone waits for every reply.
        finding.holds &= clients == "1" || run.seconds < UPDATES_S_MAX;
        finding.figure(&format!("seconds_of_{clients}_connections"), run.seconds);
        finding.say(format!(
            "{} SETs of existing keys without pipelining from {clients} connection{}: {:.2} s",
            units::count(run.requests),
            if clients == "1" { "" } else { "s" },
            run.seconds
        ));
    }
    finding.say("the verdict rests on the 50 connections".into());
    Ok(finding)
}
