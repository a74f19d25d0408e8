//! Bursts with idle gaps between them: nobody sleeps through a wake-up.
//!
//! Several servers run side by side, each with a few connections that one thread drives in step, so that a
//! server is really idle in its gaps: its shards sleep in the kernel, and the next burst has to wake the
//! ones that it reaches by a socket and those that it reaches through another shard. A wake-up that is
//! lost costs up to 100 ms, the longest sleep of a shard.
//!
//! The suite runs a short form with a limit that a busy machine keeps. The full form wants a machine of its
//! own: `POLDER_LONG=1 cargo test --test idle_gaps -- --nocapture --test-threads 1`, 10,000 gaps of 1 ms to
//! 2 s for each engine, no reply later than 5 ms. How late the test's own threads woke from their gaps is
//! reported beside it: where the machine wakes a thread late, it wakes a server late as well, and a reply
//! is judged by the greater of the two.

mod support;

use std::time::{Duration, Instant};

use support::client::{Client, Reply};
use support::random::{Random, seed};
use support::server::Server;

struct Form {
    servers: usize,
    /// Gaps of each server.
    gaps: usize,
    gap_max: Duration,
    /// No reply may take longer.
    limit: Duration,
}

const SHORT: Form =
    Form { servers: 6, gaps: 70, gap_max: Duration::from_millis(1000), limit: Duration::from_millis(80) };

const FULL: Form =
    Form { servers: 20, gaps: 500, gap_max: Duration::from_secs(2), limit: Duration::from_millis(5) };

const GAP_MIN: Duration = Duration::from_millis(1);
const SHARDS: usize = 3;
const CONNECTIONS: usize = 4;
/// Bursts before the first that counts: code and tables are paged in.
const WARM_UP: usize = 5;

/// A gap of any magnitude alike.
fn gap(random: &mut Random, longest: Duration) -> Duration {
    let ratio = longest.as_secs_f64() / GAP_MIN.as_secs_f64();
    let chance = random.below(1_000_000) as f64 / 1e6;
    GAP_MIN.mul_f64(ratio.powf(chance))
}

/// One burst over some of the connections; how long the last reply took.
fn burst(clients: &mut [Client], random: &mut Random) -> Duration {
    let first = random.below(clients.len());
    let last = first + 1 + random.below(clients.len() - first);
    let keys: Vec<String> = (0..4).map(|_| format!("key:{}", random.below(100))).collect();
    let local = random.one_in(2);
    let request = if local {
        format!("SET {} v\r\nGET {}\r\n", keys[0], keys[0])
    } else {
        format!(
            "MSET {0} v {1} v {2} v {3} v\r\nMGET {0} {1} {2} {3}\r\n",
            keys[0], keys[1], keys[2], keys[3]
        )
    };
    let expected = if local { Reply::bulk("v") } else { Reply::Array(vec![Reply::bulk("v"); 4]) };
    let started = Instant::now();
    for client in &mut clients[first..last] {
        client.send(request.as_bytes()).expect("the server reads");
    }
    for client in &mut clients[first..last] {
        assert_eq!(client.read(), Ok(Reply::ok()));
        assert_eq!(client.read(), Ok(expected.clone()));
    }
    started.elapsed()
}

/// For each gap of one server, how late its thread woke from it, and how long the burst took.
fn drive(server: &Server, form: &Form, mut random: Random) -> Vec<(Duration, Duration)> {
    let mut clients: Vec<Client> = (0..CONNECTIONS).map(|_| server.client()).collect();
    for _ in 0..WARM_UP {
        burst(&mut clients, &mut random);
    }
    let gaps = (0..form.gaps).map(|_| {
        let (gap, began) = (gap(&mut random, form.gap_max), Instant::now());
        std::thread::sleep(gap);
        (began.elapsed().saturating_sub(gap), burst(&mut clients, &mut random))
    });
    gaps.collect()
}

fn run(engine: &str, test: &str) {
    let form = if std::env::var_os("POLDER_LONG").is_some() { FULL } else { SHORT };
    let seed = seed("idle_gaps", test);
    let servers: Vec<Server> =
        (0..form.servers).map(|_| Server::polder(SHARDS, &["--engine", engine])).collect();
    let gaps: Vec<(Duration, Duration)> = std::thread::scope(|scope| {
        let drive = |(number, server)| {
            let random = Random::new(seed + number as u64);
            let form = &form;
            scope.spawn(move || drive(server, form, random))
        };
        let threads: Vec<_> = servers.iter().enumerate().map(drive).collect();
        threads.into_iter().flat_map(|thread| thread.join().expect("every burst is answered")).collect()
    });
    // Their logs say nothing about a late reply.
    drop(servers);
    let (mut late_wakes, mut latencies): (Vec<_>, Vec<_>) = gaps.into_iter().unzip();
    println!("{engine}: the test itself woke late by {}", describe(&mut late_wakes));
    println!("{engine}: bursts {}", describe(&mut latencies));
    let (worst, limit) = (latencies[latencies.len() - 1], form.limit.max(late_wakes[late_wakes.len() - 1]));
    assert!(worst <= limit, "{engine}: a burst took {worst:?}, {limit:?} at most");
}

/// Sorts the durations and says how they are spread.
fn describe(durations: &mut [Duration]) -> String {
    durations.sort_unstable();
    let at = |share: f64| durations[((durations.len() - 1) as f64 * share) as usize];
    let late = durations.iter().filter(|duration| **duration > FULL.limit).count();
    format!(
        "p50 {:?}, p99 {:?}, p99.9 {:?}, worst {:?}, {late} of {} over {:?}",
        at(0.5),
        at(0.99),
        at(0.999),
        at(1.0),
        durations.len(),
        FULL.limit
    )
}

#[test]
fn gaps_with_the_engine_of_this_kernel() {
    run("auto", "gaps_with_the_engine_of_this_kernel");
}

#[test]
fn gaps_with_epoll() {
    run("epoll", "gaps_with_epoll");
}
