//! One run: threads, phases, and what the processes used meanwhile.
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
use polder::runtime::uring::UringEngine;

use crate::client::{Address, Client, Dialer};
use crate::command::Test;
use crate::draws::{Distribution, KeySet};
use crate::error::Failure;
use crate::interrupt;
use crate::keys::Random;
use crate::options::{EngineChoice, LoadOptions};
use crate::outcome::{Gathering, INTERRUPTED};
use crate::plan::{Control, Outcome, Part, Phase, Plan, Publisher, Socket};
use crate::processes::CpuSample;
use crate::result::{Load, Run, Schedule as ScheduleResult};
use crate::schedule::Schedule;
use crate::tally::{NoObserver, Observer};
use crate::topology::Topology;
use crate::worker::Worker;
use crate::workload::{Role, Workload};

/// As late may a load hear of Ctrl-C.
const INTERRUPT_INTERVAL: Duration = Duration::from_millis(50);

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
    pub fn not_run(&self, options: &LoadOptions, engine: EngineChoice) -> Run {
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

pub fn connect(options: &LoadOptions, address: &Address) -> Result<Client, Failure> {
    Client::connect(address, &options.handshake()?)
        .map_err(|error| Failure::ServerGone(format!("Could not connect to {address}: {error}")))
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
