//! What ends a run on a terminal.

mod support;

use polder_loadgen::result::{Latencies, LatencyUs, Run, Slip};
use polder_loadgen::show::notes::notes;
use polder_loadgen::show::table::run_text;
use support::{GET, Shape, histogram, run};

/// Every latency of this run is the same, so that its table is known.
fn still(shape: &Shape, latency_ns: u64) -> Run {
    let mut run = run(shape, 1);
    let flat = |factor: u64| polder_loadgen::result::Distribution::of(&histogram([latency_ns * factor; 100]));
    let open = shape.rate.is_some();
    let latencies =
        |factor: u64| Latencies { response: open.then(|| flat(2 * factor)), service: flat(factor) };
    run.total = latencies(1);
    for (index, command) in run.commands.iter_mut().enumerate() {
        command.latencies = latencies(1 + index as u64);
        command.requests = 1234;
    }
    (run.requests, run.seconds, run.requests_per_second) = (1_234_567, 10.0, 123_456.7);
    run
}

#[test]
fn one_command_has_one_line() {
    assert_eq!(
        run_text(&still(&GET, 50_000)),
        "====== GET ======\n\
         \x20 50 connections, pipeline 1, 100,000 keys (uniform), 64-byte values, io_uring, 1 thread, closed loop\n\
         \x20 1,234,567 requests in 10.00 s: 123,457 requests/s\n\
         \n\
         \x20 command  requests/s    p50    p90    p99  p99.9    max  errors  misses\n\
         \x20 GET         123,457  50 us  50 us  50 us  50 us  50 us       0      12\n\
         \n\
         \x20 server     1400 CPU-ns per request (user 500, system 900), 97 % busy\n\
         \x20 generator  210 CPU-ns per request, 60 % busy\n"
    );
}

#[test]
fn an_open_loop_shows_both_times_of_each_command() {
    let shape = Shape { name: "sessions", commands: &["GET", "SET"], rate: Some(5000.0), ..GET };
    let text = run_text(&still(&shape, 1_000_000));
    let table: Vec<Vec<&str>> =
        text.lines().skip(4).take(7).map(|line| line.split_whitespace().take(3).collect()).collect();
    assert_eq!(
        table,
        [
            vec!["command", "time", "requests/s"],
            vec!["GET", "response", "123"],
            vec!["service", "1", "ms"],
            vec!["SET", "response", "123"],
            vec!["service", "2", "ms"],
            vec!["total", "response", "123,457"],
            vec!["service", "1", "ms"],
        ],
        "{text}"
    );
    assert!(text.contains("open loop of 5,000 commands/s (Poisson)"), "{text}");
}

#[test]
fn doubts_are_told() {
    let mut doubtful = still(&GET, 50_000);
    assert_eq!(notes(&doubtful), [""; 0]);
    doubtful.failure = Some("the server closed a connection".into());
    (doubtful.errors, doubtful.wrong, doubtful.reconnects) = (1200, 3, 4000);
    doubtful.first_error = Some("ERR no".into());
    doubtful.generator_is_bottleneck = Some(true);
    doubtful.slip = Some(Slip { us: LatencyUs::of(&histogram([2_000_000])), late: 0.25, unsent: 77 });
    doubtful.generator.waited = 0.5;
    doubtful.connect_us = Some(LatencyUs::of(&histogram([100_000, 3_000_000])));
    assert_eq!(
        notes(&doubtful),
        [
            "the load ended early: the server closed a connection",
            "1,200 error replies, 3 wrong ones; the first error was 'ERR no'",
            "the generator was the bottleneck, not the server",
            "25 % of the commands left the generator more than 1 ms late (p99 2 ms, at most 2 ms); 77 commands \
             that were due were never sent",
            "something else held the generator's processor 50 % of the time",
            "4,000 connections were made anew, in 100 us (p50), 3 ms (p99)",
        ]
    );
    assert!(
        run_text(&doubtful).contains("\n  NOTE       the generator was the bottleneck, not the server\n")
    );
}
