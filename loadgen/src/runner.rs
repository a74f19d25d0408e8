//! A run from its options to its result: threads, phases, and what the processes used meanwhile.
//!
//! ```text
//!   connect everything ─► warm up ─► sample processor time ─► measure ─► sample again ─► stop
//! ```

use std::os::fd::OwnedFd;
use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};

use polder::runtime::epoll::EpollEngine;
use polder::runtime::process;
use polder::runtime::uring::UringEngine;

use crate::client::Client;
use crate::command::Test;
use crate::error::Failure;
use crate::keys::KeySet;
use crate::options::{EngineChoice, LoadOptions};
use crate::preload;
use crate::processes::CpuSample;
use crate::report::{self, GeneratorCost, LatencyUs, ServerCost, TestResult};
use crate::topology::Topology;
use crate::worker::{Control, Outcome, Phase, Plan, Tally, Worker};

/// Descriptors that the process needs besides its connections.
const RESERVED_DESCRIPTORS: u64 = 64;

/// Runs all tests of the command line and reports them.
pub fn run(options: &LoadOptions) -> Result<(), Failure> {
    let tests = options.chosen_tests()?;
    let engine = choose_engine(options.engine)?;
    let topology = prepare(options)?;
    let mut results = Vec::new();
    let mut outcome = Ok(());
    report::begin(options);
    for test in &tests {
        let result = measure(options, engine, &topology, test)?;
        report::print(options, &result);
        outcome = outcome.and(verdict(&result));
        let over = result.failure.is_some();
        results.push(result);
        if over {
            break;
        }
    }
    if let Some(path) = &options.json {
        report::write_json(path, &results)?;
    }
    outcome
}

/// What a result means for the exit code.
pub fn verdict(result: &TestResult) -> Result<(), Failure> {
    if let Some(reason) = &result.failure {
        return Err(Failure::ServerGone(format!("{}: {reason}; the result so far is above", result.test)));
    }
    if result.errors + result.wrong > 0 {
        return Err(Failure::Replies(format!(
            "{}: {} error replies, {} wrong ones",
            result.test, result.errors, result.wrong
        )));
    }
    Ok(())
}

/// Everything before the first test: limits, the nodes of the cluster, the keys.
pub fn prepare(options: &LoadOptions) -> Result<Topology, Failure> {
    let wanted = u64::from(options.clients) + RESERVED_DESCRIPTORS;
    let granted = process::raise_open_files_limit(wanted);
    if granted < wanted {
        return Err(Failure::Options(format!(
            "{} connections need {wanted} open files, but the limit is {granted}: raise it with 'ulimit -n'",
            options.clients
        )));
    }
    let address = options.address();
    let topology = if options.cluster {
        let mut client = connect(options, &address)?;
        Topology::discover(&mut client, &address).map_err(Failure::ServerGone)?
    } else {
        Topology::single(address)
    };
    if options.preload {
        let quiet = options.quiet || options.csv;
        for test in options.preloading_tests()? {
            preload::fill(&topology, &options.handshake(), &test, options.keys, quiet)
                .map_err(Failure::ServerGone)?;
        }
    }
    Ok(topology)
}

fn connect(options: &LoadOptions, address: &crate::client::Address) -> Result<Client, Failure> {
    Client::connect(address, &options.handshake())
        .map_err(|error| Failure::ServerGone(format!("Could not connect to {address}: {error}")))
}

/// Decides between the engines once, so that every thread and every test has the same.
pub fn choose_engine(choice: EngineChoice) -> Result<EngineChoice, Failure> {
    if choice == EngineChoice::Epoll {
        return Ok(choice);
    }
    match UringEngine::new() {
        Ok(_) => Ok(EngineChoice::IoUring),
        Err(error) if choice == EngineChoice::Auto => {
            eprintln!("polder-loadgen: io_uring is not usable here ({error}): using epoll");
            Ok(EngineChoice::Epoll)
        }
        Err(error) => {
            Err(Failure::Options(format!("io_uring is not usable here: {error}; try --engine epoll")))
        }
    }
}

/// One thread's part of the connections and requests.
struct Share {
    thread: usize,
    first_connection: u64,
    connections: u64,
    plan: Plan,
}

enum Message {
    Connected(Result<(), Failure>),
    Finished(Outcome),
}

/// Runs one test; a server that goes away during the load is told in the result.
pub fn measure(
    options: &LoadOptions,
    engine: EngineChoice,
    topology: &Topology,
    test: &Test,
) -> Result<TestResult, Failure> {
    let key_sets = topology.key_sets(test, options.keys).map_err(Failure::Options)?;
    let shares = shares(options, test);
    let threads = shares.len();
    let control = Control::new();
    let start = Barrier::new(threads + 1);
    let abandoned = AtomicBool::new(false);
    let (sender, receiver) = channel();
    std::thread::scope(|scope| {
        for share in shares {
            let (sender, control, start, abandoned) = (sender.clone(), &control, &start, &abandoned);
            let (topology, key_sets) = (topology, &key_sets);
            scope.spawn(move || {
                pin(options, share.thread);
                let sockets = open_connections(options, topology, key_sets, &share);
                let sockets = match sockets {
                    Ok(sockets) => {
                        tell(&sender, Message::Connected(Ok(())));
                        sockets
                    }
                    Err(failure) => {
                        tell(&sender, Message::Connected(Err(failure)));
                        Vec::new()
                    }
                };
                start.wait();
                if !abandoned.load(Ordering::SeqCst) {
                    tell(&sender, Message::Finished(work(engine, share, sockets, control)));
                }
            });
        }
        drop(sender);
        let connected = (0..threads).try_for_each(|_| match receiver.recv() {
            Ok(Message::Connected(result)) => result,
            _ => Err(Failure::System("a thread of the generator ended".into())),
        });
        if let Err(failure) = connected {
            abandoned.store(true, Ordering::SeqCst);
            start.wait();
            return Err(failure);
        }
        conduct(options, engine, test, &control, &start, &receiver, threads)
    })
}

fn tell(sender: &Sender<Message>, message: Message) {
    // The receiver outlives the threads unless the run was abandoned.
    let _ = sender.send(message);
}

fn shares(options: &LoadOptions, test: &Test) -> Vec<Share> {
    let threads = u64::from(options.threads.min(options.clients));
    // The first threads take what does not divide evenly.
    let part = |total: u64, thread: u64| total / threads + u64::from(thread < total % threads);
    let mut first_connection = 0;
    let mut shares = Vec::new();
    for thread in 0..threads {
        let connections = part(u64::from(options.clients), thread);
        let requests = options.seconds.is_none().then(|| part(options.requests, thread));
        let plan = Plan {
            test: test.clone(),
            pipeline: options.pipeline as usize,
            range: options.keys,
            seed: options.seed,
            requests,
            timeout: Duration::from_secs_f64(options.timeout),
        };
        shares.push(Share { thread: thread as usize, first_connection, connections, plan });
        first_connection += connections;
    }
    shares
}

fn pin(options: &LoadOptions, thread: usize) {
    if let Some(cpus) = &options.cpus {
        let id = cpus.0[thread % cpus.0.len()];
        if !core_affinity::set_for_current(core_affinity::CoreId { id }) {
            eprintln!("polder-loadgen: could not pin a thread to processor {id}");
        }
    }
}

/// Connects, spreading the connections over the nodes.
fn open_connections(
    options: &LoadOptions,
    topology: &Topology,
    key_sets: &[KeySet],
    share: &Share,
) -> Result<Vec<(OwnedFd, KeySet)>, Failure> {
    let numbers = share.first_connection..share.first_connection + share.connections;
    let connections = numbers.map(|number| {
        let node = number as usize % topology.nodes.len();
        let address = &topology.nodes[node];
        let socket = connect(options, address)?
            .into_socket()
            .map_err(|error| Failure::System(format!("a connection to {address} cannot be used: {error}")))?;
        Ok((socket, key_sets[node].clone()))
    });
    connections.collect()
}

fn work(engine: EngineChoice, share: Share, sockets: Vec<(OwnedFd, KeySet)>, control: &Control) -> Outcome {
    let failed = |error: String| Outcome {
        tally: Tally::new(),
        cpu_ns: 0,
        wait_ns: 0,
        measured: Duration::ZERO,
        failure: Some(error),
    };
    let first = share.first_connection;
    if engine == EngineChoice::Epoll {
        match EpollEngine::new() {
            Ok(engine) => Worker::new(engine, share.plan, sockets, first).run(control),
            Err(error) => failed(format!("epoll: {error}")),
        }
    } else {
        match UringEngine::new() {
            Ok(engine) => Worker::new(engine, share.plan, sockets, first).run(control),
            Err(error) => failed(error),
        }
    }
}

/// Leads connected workers through the phases and puts their outcomes together.
fn conduct(
    options: &LoadOptions,
    engine: EngineChoice,
    test: &Test,
    control: &Control,
    start: &Barrier,
    receiver: &Receiver<Message>,
    threads: usize,
) -> Result<TestResult, Failure> {
    let mut outcomes = Vec::new();
    let warmup = options.warmup_seconds();
    if warmup > 0.0 {
        start.wait();
        collect_until(receiver, &mut outcomes, 1, Some(warmup));
    }
    let sample = || options.server_pid.map(CpuSample::of).transpose().ok().flatten();
    if options.server_pid.is_some() && sample().is_none() && outcomes.is_empty() {
        eprintln!("polder-loadgen: there is nothing to read of the server's process: see --server-pid");
    }
    let (server_before, began) = (sample(), Instant::now());
    control.enter(Phase::Measure);
    if warmup <= 0.0 {
        start.wait();
    }
    if outcomes.is_empty() {
        // With a duration one early outcome is a failure; with a number all have to come.
        let wanted = if options.seconds.is_some() { 1 } else { threads };
        collect_until(receiver, &mut outcomes, wanted, options.seconds);
    }
    let (server_after, elapsed) = (sample(), began.elapsed());
    control.enter(Phase::Stop);
    // Every thread tells its outcome, and the channel ends with the last one.
    outcomes.extend(receiver.iter().filter_map(|message| match message {
        Message::Finished(outcome) => Some(outcome),
        Message::Connected(_) => None,
    }));
    let server = server_before.zip(server_after).map(|(before, after)| (before, after, elapsed));
    Ok(put_together(options, engine, test, outcomes, server))
}

/// Takes outcomes until there are `wanted`, the time is over, one is a failure or none can come any more.
fn collect_until(
    receiver: &Receiver<Message>,
    outcomes: &mut Vec<Outcome>,
    wanted: usize,
    seconds: Option<f64>,
) {
    let end = seconds.map(|seconds| Instant::now() + Duration::from_secs_f64(seconds));
    while outcomes.len() < wanted {
        let message = match end {
            Some(end) => receiver.recv_timeout(end.saturating_duration_since(Instant::now())),
            None => receiver.recv().map_err(|_| RecvTimeoutError::Disconnected),
        };
        match message {
            Ok(Message::Finished(outcome)) => {
                let failed = outcome.failure.is_some();
                outcomes.push(outcome);
                if failed {
                    return;
                }
            }
            Ok(Message::Connected(_)) => {}
            Err(_) => return,
        }
    }
}

fn put_together(
    options: &LoadOptions,
    engine: EngineChoice,
    test: &Test,
    outcomes: Vec<Outcome>,
    server: Option<(CpuSample, CpuSample, Duration)>,
) -> TestResult {
    let mut tally = Tally::new();
    let mut failure = None;
    let (mut seconds, mut cpu_ns, mut utilisation, mut waited) = (0f64, 0u64, 0f64, 0f64);
    for outcome in outcomes {
        let measured = outcome.measured.as_secs_f64();
        seconds = seconds.max(measured);
        cpu_ns += outcome.cpu_ns;
        utilisation = utilisation.max(outcome.cpu_ns as f64 / 1e9 / measured.max(1e-9));
        waited = waited.max(outcome.wait_ns as f64 / 1e9 / measured.max(1e-9));
        failure = failure.or(outcome.failure);
        tally.add(outcome.tally);
    }
    let requests = tally.requests;
    let each = requests.max(1) as f64;
    let server = server.map(|(before, after, elapsed)| {
        let used = after.since(&before, elapsed.as_nanos() as u64);
        ServerCost {
            user_ns_per_request: used.user_ns / each,
            system_ns_per_request: used.system_ns / each,
            utilisation: used.utilisation,
            waited: used.waited,
        }
    });
    TestResult {
        test: test.name.clone(),
        engine: if engine == EngineChoice::Epoll { "epoll" } else { "io_uring" }.into(),
        clients: options.clients,
        pipeline: options.pipeline,
        keys: options.keys,
        value_bytes: options.value_bytes,
        threads: options.threads.min(options.clients),
        requests,
        seconds,
        requests_per_second: requests as f64 / seconds.max(1e-9),
        latency_us: LatencyUs::of(&tally.latency_ns),
        errors: tally.errors,
        wrong: tally.wrong,
        misses: tally.misses,
        first_error: tally.first_error,
        generator_is_bottleneck: report::generator_is_bottleneck(utilisation, server.as_ref()),
        server,
        generator: GeneratorCost { ns_per_request: cpu_ns as f64 / each, utilisation, waited },
        failure,
        latency_ns: tally.latency_ns,
    }
}
