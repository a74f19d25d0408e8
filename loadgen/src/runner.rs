//! A run from its options to its result: threads, phases, and what the processes used meanwhile.
//!
//! ```text
//!   connect everything ─► warm up ─► sample processor time ─► measure ─► sample again ─► stop
//! ```

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Barrier};
use std::time::{Duration, Instant};

use polder::runtime::engine::Engine;
use polder::runtime::epoll::EpollEngine;
use polder::runtime::process;
use polder::runtime::uring::UringEngine;

use crate::client::{Client, Dialer};
use crate::command::Test;
use crate::draws::{Distribution, KeySet};
use crate::error::Failure;
use crate::interrupt::{self, Caught};
use crate::keys::Random;
use crate::options::{EngineChoice, LoadOptions};
use crate::origin;
use crate::outcome::{self, Gathering, INTERRUPTED, NOT_AVAILABLE};
use crate::plan::{Control, Outcome, Part, Phase, Plan, Publisher, Socket};
use crate::preload;
use crate::processes::CpuSample;
use crate::profile::{self, fill};
use crate::report::{self, Audience, Kept, Reporter, TestResult};
use crate::result::ResultFile;
use crate::result::{Load, Run, Schedule as ScheduleResult};
use crate::schedule::Schedule;
use crate::sweep::{self, FindRateOptions, Sweep, Verdict};
use crate::tally::{NoObserver, Observer};
use crate::topology::Topology;
use crate::worker::Worker;
use crate::workload::{Role, Workload};

/// As late may a load hear of Ctrl-C.
const INTERRUPT_INTERVAL: Duration = Duration::from_millis(50);
/// Descriptors that the process needs besides its connections.
const RESERVED_DESCRIPTORS: u64 = 64;

/// Runs what the command line asks for and reports it.
pub fn run(options: &LoadOptions) -> Result<(), Failure> {
    let topology = prepare(options)?;
    let mut reporter = Reporter::begin(options, server_name(options, &topology))?;
    let outcome = follow(options, &topology, &mut reporter);
    let kept = reporter.end();
    outcome.and(kept)
}

/// The results of what the command line asks for, for who does not want them shown.
pub fn runs(options: &LoadOptions) -> Result<Vec<Run>, Failure> {
    let topology = prepare(options)?;
    let mut kept = Kept::default();
    match follow(options, &topology, &mut kept) {
        Err(failure) if kept.runs.is_empty() => Err(failure),
        _ => Ok(kept.runs),
    }
}

/// Runs each test or the profile, with each step of a sweep; after one that ended early there is none.
pub fn follow(
    options: &LoadOptions,
    topology: &Topology,
    audience: &mut dyn Audience,
) -> Result<(), Failure> {
    let engine = choose_engine(options.engine)?;
    let steps = match &options.sweep {
        Some(sweep) => sweep.steps(options),
        None => vec![(String::new(), options.clone())],
    };
    let mut outcome = Ok(());
    let loads = loads(options, topology)?;
    let _caught = audience.is_shown().then(Caught::begin);
    for load in &loads {
        for (suffix, options) in &steps {
            let run = measure_load(load, suffix, options, engine, topology, audience.observer())?;
            outcome = outcome.and(outcome::verdict(&run));
            let is_over = run.failure.is_some();
            audience.take(run);
            if is_over {
                return outcome;
            }
        }
    }
    outcome
}

/// What the server calls itself; it is asked only if the answer is kept.
fn server_name(options: &LoadOptions, topology: &Topology) -> String {
    let asked = options.json.as_ref().and_then(|_| connect(options, &topology.nodes[0]).ok());
    asked.map_or_else(|| "unknown server".into(), |mut client| origin::server_name(&mut client))
}

/// What is run once, or once for each step of a sweep.
enum Loaded {
    /// The test of this position in the command line.
    Test(usize),
    Profile(Arc<Workload>),
    /// A profile that cannot run, and why.
    NotAvailable {
        name: String,
        reason: String,
    },
}

fn loads(options: &LoadOptions, topology: &Topology) -> Result<Vec<Loaded>, Failure> {
    let Some(profile) = &options.profile else {
        return Ok((0..options.chosen_tests()?.len()).map(Loaded::Test).collect());
    };
    if options.sweep.as_ref().is_some_and(Sweep::sets_values) {
        return Err(Failure::Options(
            "--sweep value=…: a profile says itself how long its values are".into(),
        ));
    }
    let (name, mut parts) = profile::load(profile)?;
    let mut clients =
        topology.nodes.iter().map(|node| connect(options, node)).collect::<Result<Vec<_>, _>>()?;
    let missing = fill::missing_commands(&mut clients[0], &parts).map_err(Failure::ServerGone)?;
    if !missing.is_empty() {
        let reason = format!("{NOT_AVAILABLE}: the server has no {}", missing.join(", "));
        return Ok(vec![Loaded::NotAvailable { name, reason }]);
    }
    if options.cluster {
        parts
            .route(&mut clients[0], topology)
            .map_err(|error| Failure::Options(format!("--cluster: profile {name}: {error}")))?;
    }
    if !options.no_preload {
        fill::fill(&mut clients, &parts, options.seed, options.quiet || options.csv)
            .map_err(|failure| failure.behind(&format!("profile {name}")))?;
    }
    Ok(vec![Loaded::Profile(Arc::new(Workload::of_profile(&name, parts)))])
}

fn measure_load(
    load: &Loaded,
    suffix: &str,
    options: &LoadOptions,
    engine: EngineChoice,
    topology: &Topology,
    observer: &mut dyn Observer,
) -> Result<Run, Failure> {
    let subject = match load {
        Loaded::Test(position) => {
            let sets_values = options.sweep.as_ref().is_some_and(Sweep::sets_values);
            if sets_values && options.preload {
                // Values of another length are wanted now.
                prepare(options)?;
            }
            Subject::of_test(options, topology, &options.chosen_tests()?[*position])?
        }
        Loaded::Profile(workload) => Subject::of_workload(workload, topology),
        Loaded::NotAvailable { name, reason } => {
            let subject = Subject::of_workload(&Arc::new(Workload::nothing(name)), topology);
            let mut run = subject.not_run(options, engine);
            run.failure = Some(reason.clone());
            return Ok(run);
        }
    };
    let mut run = subject.measure(options, engine, observer)?;
    run.name.push_str(suffix);
    Ok(run)
}

/// Searches the highest rate that keeps the limit; each step is told.
pub fn find_rate(options: &FindRateOptions) -> Result<(), Failure> {
    const STEP_SECONDS: f64 = 3.0;
    let load = &options.load;
    if load.sweep.is_some() {
        return Err(Failure::Options("--sweep: find-rate has steps of its own, those of the rate".into()));
    }
    let seconds = Some(load.seconds.unwrap_or(STEP_SECONDS));
    let engine = choose_engine(load.engine)?;
    let topology = prepare(load)?;
    let limit_us = options.p99.as_secs_f64() * 1e6;
    let mut results = Vec::new();
    for loaded in loads(load, &topology)? {
        let (found, generator) = sweep::search(options.start_rate, options.max_rate, |rate| {
            let step = LoadOptions { rate: Some(rate), seconds, ..load.clone() };
            let run = measure_load(&loaded, "", &step, engine, &topology, &mut NoObserver)?;
            match outcome::verdict(&run) {
                Ok(()) | Err(Failure::Bottleneck(_)) => {}
                Err(failure) => return Err(failure),
            }
            let verdict = sweep::judge(&run, options.p99);
            let words = match verdict {
                Verdict::Kept => "kept",
                Verdict::TooSlow => "too slow",
                Verdict::Generator => "the generator is too slow",
            };
            println!(
                "{}: {rate:.0}/s: {:.0}/s came, p99 {:.1} us: {words}",
                run.name,
                run.requests_per_second,
                run.total.felt().us.p99
            );
            results.push(run);
            Ok(verdict)
        })?;
        match found {
            Some(rate) => println!("highest rate with p99 up to {limit_us:.0} us: {rate:.0}/s"),
            None => println!("no rate keeps p99 up to {limit_us:.0} us"),
        }
        if generator {
            return Err(Failure::Bottleneck("the generator, not the server, set this limit".into()));
        }
    }
    if let Some(path) = &load.json {
        let file = ResultFile { runs: results, ..ResultFile::begin(server_name(load, &topology)) };
        report::write_json(path, &file)?;
    }
    Ok(())
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
    options.draws.over(options.keys).map_err(Failure::Options)?;
    // With as many connections as a sweep comes to.
    let clients = options.sweep.as_ref().and_then(Sweep::clients_max).unwrap_or(options.clients);
    let wanted = u64::from(clients) + u64::from(options.idle) + RESERVED_DESCRIPTORS;
    let granted = process::raise_open_files_limit(wanted);
    if granted < wanted {
        return Err(Failure::Options(format!(
            "{} connections need {wanted} open files, but the limit is {granted}: raise it with 'ulimit -n'",
            clients + options.idle
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
            preload::fill(&topology, &options.handshake()?, &test, options.keys, quiet)?;
        }
    }
    Ok(topology)
}

fn connect(options: &LoadOptions, address: &crate::client::Address) -> Result<Client, Failure> {
    Client::connect(address, &options.handshake()?)
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

/// Runs one test; a server that goes away during the load is told in the result.
pub fn measure(
    options: &LoadOptions,
    engine: EngineChoice,
    topology: &Topology,
    test: &Test,
) -> Result<TestResult, Failure> {
    let run = Subject::of_test(options, topology, test)?.measure(options, engine, &mut NoObserver)?;
    Ok(TestResult::of(&run))
}

/// What is to be measured: a workload, and the keys of each node.
pub struct Subject {
    pub workload: Arc<Workload>,
    pub topology: Topology,
    pub key_sets: Vec<KeySet>,
}

/// One thread's part of the connections and requests.
struct Share {
    thread: usize,
    /// Number, role and node of each connection.
    connections: Vec<(u64, Role, usize)>,
    plan: Plan,
}

enum Message {
    Connected(Result<(), Failure>),
    Part(usize, Part),
    Finished(usize, Outcome),
}

impl Subject {
    pub fn of_test(options: &LoadOptions, topology: &Topology, test: &Test) -> Result<Subject, Failure> {
        let distribution = options.draws.over(options.keys).map_err(Failure::Options)?;
        let key_sets = match distribution {
            Distribution::Uniform => topology.key_sets(test, options.keys).map_err(Failure::Options)?,
            _ => vec![KeySet::new(options.keys, &distribution); topology.nodes.len()],
        };
        let workload = Arc::new(Workload::of_test(test, options.keys, &distribution));
        Ok(Subject { workload, topology: topology.clone(), key_sets })
    }

    /// A workload whose keys are not bound to nodes.
    pub fn of_workload(workload: &Arc<Workload>, topology: &Topology) -> Subject {
        let key_sets = vec![KeySet::Below(1); topology.nodes.len()];
        Subject { workload: Arc::clone(workload), topology: topology.clone(), key_sets }
    }

    /// The result of not running it at all.
    fn not_run(&self, options: &LoadOptions, engine: EngineChoice) -> Run {
        let mut observer = NoObserver;
        let gathering =
            Gathering::new(&self.workload.kinds, options.rate.is_some(), &mut observer, Vec::new());
        gathering.run(&self.workload.name, self.load(options, engine), None)
    }

    /// Runs it; a server that goes away during the load is told in the result.
    pub fn measure(
        &self,
        options: &LoadOptions,
        engine: EngineChoice,
        observer: &mut dyn Observer,
    ) -> Result<Run, Failure> {
        let idle = self.open_idle(options)?;
        let shares = self.shares(options)?;
        let threads = shares.len();
        let control = Control::new();
        let start = Barrier::new(threads + 1);
        let abandoned = AtomicBool::new(false);
        let (sender, receiver) = channel();
        let run = std::thread::scope(|scope| {
            let mut cleared = Vec::new();
            for share in shares {
                let (give_back, taken_back) = channel();
                cleared.push(give_back);
                let (sender, control, start, abandoned) = (sender.clone(), &control, &start, &abandoned);
                scope.spawn(move || {
                    pin(options, share.thread);
                    let (sockets, connected) = match self.open_connections(&share) {
                        Ok(sockets) => (sockets, Ok(())),
                        Err(failure) => (Vec::new(), Err(failure)),
                    };
                    tell(&sender, Message::Connected(connected));
                    start.wait();
                    if !abandoned.load(Ordering::SeqCst) {
                        let thread = share.thread;
                        let parts = sender.clone();
                        let publisher = Publisher {
                            parts: Box::new(move |part| tell(&parts, Message::Part(thread, part))),
                            cleared: taken_back,
                        };
                        let outcome = work(engine, share.plan, publisher, sockets, control);
                        tell(&sender, Message::Finished(thread, outcome));
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
            let gathering = Gathering::new(&self.workload.kinds, options.rate.is_some(), observer, cleared);
            Ok(self.conduct(options, engine, &control, &start, &receiver, gathering))
        });
        drop(idle);
        run
    }

    /// Connections that do nothing, spread over the nodes; they live as long as what is returned.
    fn open_idle(&self, options: &LoadOptions) -> Result<Vec<Client>, Failure> {
        let nodes = &self.topology.nodes;
        (0..options.idle as usize).map(|number| connect(options, &nodes[number % nodes.len()])).collect()
    }

    fn shares(&self, options: &LoadOptions) -> Result<Vec<Share>, Failure> {
        let placed = self.workload.place(options.clients as usize, self.topology.nodes.len());
        let nodes = placed.map_err(|error| Failure::Options(format!("--cluster: {error}")))?;
        let threads = u64::from(options.threads.min(options.clients));
        // The first threads take what does not divide evenly.
        let part = |total: u64, thread: u64| total / threads + u64::from(thread < total % threads);
        let handshake = options.handshake()?;
        let dialer = Arc::new(Dialer { nodes: self.topology.nodes.clone(), handshake });
        let clients = u64::from(options.clients);
        let mut first = 0;
        let mut shares = Vec::new();
        for thread in 0..threads {
            let connections = part(clients, thread);
            let plan = Plan {
                workload: Arc::clone(&self.workload),
                pipeline: options.pipeline as usize,
                seed: options.seed,
                requests: options.seconds.is_none().then(|| part(options.requests, thread)),
                schedule: options.rate.map(|rate| {
                    let random = options.poisson.then(|| Random::new(!options.seed, thread));
                    let share = connections as f64 / clients as f64;
                    Schedule::new(rate * share, thread as f64 / threads as f64, random)
                }),
                reconnect_every: options.reconnect_every,
                timeout: Duration::from_secs_f64(options.timeout),
                dialer: Arc::clone(&dialer),
            };
            let connections =
                (first..first + connections).map(|number| (number, Role::Load, nodes[number as usize]));
            let connections: Vec<_> = connections.collect();
            first += connections.len() as u64;
            shares.push(Share { thread: thread as usize, connections, plan });
        }
        for (number, &role) in self.workload.own_connections.iter().enumerate() {
            let thread = number % shares.len();
            let number = options.clients as usize + number;
            shares[thread].connections.push((number as u64, role, nodes[number]));
        }
        Ok(shares)
    }

    /// Connects each connection to its node.
    fn open_connections(&self, share: &Share) -> Result<Vec<Socket>, Failure> {
        let dialer = &share.plan.dialer;
        let connections = share.connections.iter().map(|&(number, role, node)| {
            let link = dialer.dial(node).map_err(|error| {
                Failure::ServerGone(format!("Could not connect to {}: {error}", dialer.nodes[node]))
            })?;
            Ok(Socket { link, number, node, keys: self.key_sets[node].clone(), role })
        });
        connections.collect()
    }

    /// Leads connected workers through the phases and puts together what they tell.
    fn conduct(
        &self,
        options: &LoadOptions,
        engine: EngineChoice,
        control: &Control,
        start: &Barrier,
        receiver: &Receiver<Message>,
        mut gathering: Gathering,
    ) -> Run {
        let threads = options.threads.min(options.clients);
        let warmup = options.warmup_seconds();
        if warmup > 0.0 {
            start.wait();
            collect_until(receiver, &mut gathering, 1, Some(warmup));
        }
        let sample = || options.server_pid.map(CpuSample::of).transpose().ok().flatten();
        if options.server_pid.is_some() && sample().is_none() && gathering.finished() == 0 {
            eprintln!("polder-loadgen: there is nothing to read of the server's process: see --server-pid");
        }
        gathering.begin(&self.workload.name);
        let (server_before, began) = (sample(), Instant::now());
        control.enter(Phase::Measure);
        if warmup <= 0.0 {
            start.wait();
        }
        if gathering.finished() == 0 {
            // With a duration one early outcome is a failure; with a number all have to come.
            let wanted = if options.seconds.is_some() { 1 } else { threads as usize };
            collect_until(receiver, &mut gathering, wanted, options.seconds);
        }
        let (server_after, elapsed) = (sample(), began.elapsed());
        control.enter(Phase::Stop);
        // Every thread tells its outcome, and the channel ends with the last one.
        receiver.iter().for_each(|message| take(&mut gathering, message));
        let server = server_before.zip(server_after).map(|(before, after)| (before, after, elapsed));
        let mut run = gathering.run(&self.workload.name, self.load(options, engine), server);
        if interrupt::is_requested() {
            run.failure.get_or_insert_with(|| INTERRUPTED.into());
        }
        run
    }

    /// What was asked for, in the words of the result.
    fn load(&self, options: &LoadOptions, engine: EngineChoice) -> Load {
        Load {
            engine: if engine == EngineChoice::Epoll { "epoll" } else { "io_uring" }.into(),
            clients: options.clients,
            pipeline: options.pipeline,
            keys: self.workload.keys.unwrap_or(options.keys),
            value_bytes: self.workload.value_bytes.unwrap_or(options.value_bytes),
            threads: options.threads.min(options.clients),
            schedule: options.rate.map(|rate| ScheduleResult { rate, poisson: options.poisson }),
            distribution: self.workload.distribution.clone(),
            shards: options.shards,
        }
    }
}

fn tell(sender: &Sender<Message>, message: Message) {
    // The receiver outlives the threads unless the run was abandoned.
    let _ = sender.send(message);
}

fn take(gathering: &mut Gathering, message: Message) {
    match message {
        Message::Part(thread, part) => gathering.take_part(thread, part),
        Message::Finished(thread, outcome) => gathering.take_outcome(thread, outcome),
        Message::Connected(_) => {}
    }
}

fn pin(options: &LoadOptions, thread: usize) {
    if let Some(cpus) = &options.cpus {
        let id = cpus.0[thread % cpus.0.len()];
        if !core_affinity::set_for_current(core_affinity::CoreId { id }) {
            eprintln!("polder-loadgen: could not pin a thread to processor {id}");
        }
    }
}

fn work(
    engine: EngineChoice,
    plan: Plan,
    publisher: Publisher,
    sockets: Vec<Socket>,
    control: &Control,
) -> Outcome {
    fn run<E: Engine>(
        engine: Result<E, String>,
        plan: Plan,
        publisher: Publisher,
        sockets: Vec<Socket>,
        control: &Control,
    ) -> Outcome {
        match engine {
            Ok(engine) => Worker::new(engine, plan, publisher, sockets).run(control),
            Err(error) => Outcome { failure: Some(error), ..Outcome::default() },
        }
    }
    if engine == EngineChoice::Epoll {
        let engine = EpollEngine::new().map_err(|error| format!("epoll: {error}"));
        run(engine, plan, publisher, sockets, control)
    } else {
        run(UringEngine::new(), plan, publisher, sockets, control)
    }
}

/// Takes what comes until there are `wanted` outcomes, the time is over, one is a failure, none can come any
/// more or the user wants no more.
fn collect_until(
    receiver: &Receiver<Message>,
    gathering: &mut Gathering,
    wanted: usize,
    seconds: Option<f64>,
) {
    let end = seconds.map(|seconds| Instant::now() + Duration::from_secs_f64(seconds));
    while gathering.finished() < wanted && !gathering.has_failed() && !interrupt::is_requested() {
        let left = end.map_or(INTERRUPT_INTERVAL, |end| end.saturating_duration_since(Instant::now()));
        match receiver.recv_timeout(left.min(INTERRUPT_INTERVAL)) {
            Ok(message) => take(gathering, message),
            Err(RecvTimeoutError::Timeout) if left > INTERRUPT_INTERVAL || end.is_none() => {}
            Err(_) => return,
        }
    }
}
