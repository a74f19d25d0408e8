//! Claims about what pipelines save, and about bulk work.

use std::time::{Duration, Instant};

use crate::client::{Client, encode};
use crate::error::Failure;
use crate::units;

use super::bench::{Bench, gone, ms};
use super::{Claim, Finding, netem, relay};

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

/// The same commands in both ways.
#[derive(Debug, Clone, Copy)]
struct Both {
    each: Duration,
    pipeline: Duration,
}

impl Both {
    fn measure(client: &mut Client) -> Result<Both, Failure> {
        let commands = sets();
        let each = one_by_one(client, &commands)?;
        Ok(Both { each, pipeline: in_one_pipeline(client, &commands)? })
    }

    fn times(self) -> f64 {
        self.each.as_secs_f64() / self.pipeline.as_secs_f64().max(1e-9)
    }

    fn holds(self) -> bool {
        ms(self.pipeline) <= PIPELINE_MS_MAX && self.times() >= TIMES_MIN
    }

    fn figures(self, network: &str, finding: &mut Finding) {
        finding.figure(&format!("{network}_one_by_one_ms"), ms(self.each));
        finding.figure(&format!("{network}_pipeline_ms"), ms(self.pipeline));
    }

    fn text(self) -> String {
        let (each, pipeline) = (ms(self.each), ms(self.pipeline));
        format!(
            "{each:.0} ms one by one, {pipeline:.2} ms in one pipeline, {:.0} times as fast",
            self.times()
        )
    }
}

fn pipeline(bench: &Bench, finding: &mut Finding) -> Result<(), Failure> {
    let round_trip = humantime::format_duration(bench.delay);
    let relayed = relay::start(bench.server()?.port(), bench.delay);
    let port = relayed.map_err(|error| Failure::System(format!("the relay: {error}")))?;
    let far = Both::measure(&mut bench.client_at(port)?)?;
    finding.holds = far.holds();
    far.figures("delayed", finding);
    finding.say(format!(
        "with a round trip of {round_trip} (a relay in this process delays every byte): {}",
        far.text()
    ));
    match beyond_netem(bench) {
        Ok(kernels) => {
            let kernels = kernels?;
            finding.holds &= kernels.holds();
            kernels.figures("netem", finding);
            finding.say(format!(
                "with the same round trip by tc netem (a further such server in a network of its own): {}",
                kernels.text()
            ));
        }
        Err(reason) => finding.say(format!("not with tc netem, which is not possible here: {reason}")),
    }
    let near = Both::measure(&mut bench.client()?)?;
    near.figures("loopback", finding);
    finding.say(format!("on loopback: {}", near.text()));
    Ok(())
}

/// The same behind a delay of the kernel; the outer error says why there is none.
fn beyond_netem(bench: &Bench) -> Result<Result<Both, Failure>, String> {
    let measured = netem::within(bench.delay, || {
        let server = bench.launch()?;
        Both::measure(&mut server.client()?)
    })?;
    let least = bench.delay * SETS as u32;
    match measured {
        Ok(both) if both.each < least => {
            let took = humantime::format_duration(both.each);
            Err(format!("'tc' agreed, but {SETS} round trips took {took}"))
        }
        measured => Ok(measured),
    }
}

fn expiry(bench: &Bench, finding: &mut Finding) -> Result<(), Failure> {
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
    finding.holds = median <= EXPIRING_MS_MAX;
    finding.figure("median_ms", median);
    finding.say(format!(
        "one connection, one pipeline of 10,000 SET session:N value EX 3600, {REPEATS} times: median {median:.1} ms \
         [{least:.1} … {most:.1}]"
    ));
    let left = bench.ask(&["TTL", "session:1"])?;
    let expires = super::bench::integer(&left) > 3000;
    finding.holds &= expires;
    finding.say(format!("TTL session:1 answers {} s", super::bench::integer(&left)));
    Ok(())
}

fn updates(bench: &Bench, finding: &mut Finding) -> Result<(), Failure> {
    let count = UPDATES_COUNT.to_string();
    finding.holds = true;
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
    Ok(())
}
