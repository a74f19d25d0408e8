//! One thread of the load: a closed loop over its connections.
//!
//! ```text
//!   fire: draw digits ─► send the whole pipeline, note the time
//!     ▲                                    │
//!     └── all replies are there ◄── count replies, record their latency
//! ```
//!
//! The loop turns the same engine as the server's and keeps its connections in a table indexed by the
//! engine's tokens. A pipeline is one buffer that lives as long as its connection: it goes to the engine with
//! each send and comes back when it has left. Nothing is allocated while the load runs.
//!
//! The worker is told by a shared [`Control`] when to count and when to stop; it looks once per turn.

use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use polder::runtime::engine::{Chunk, Engine, Event, Token, Wait};

use crate::command::{Expect, Requests, Test, UsualReply};
use crate::keys::{KeySet, Random};
use crate::processes::{thread_cpu_ns, thread_wait_ns};
use crate::scan::{Head, Scanner};

/// The longest sleep of the loop: as late may it hear of a change of phase.
const SLEEP_MAX: Duration = Duration::from_millis(20);
/// At the end replies that are under way are waited for, but no longer than this.
const DRAIN_MAX: Duration = Duration::from_millis(200);
/// Latencies beyond this are recorded as this.
const LATENCY_NS_MAX: u64 = 3600 * 1_000_000_000;

/// What the load is at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Phase {
    /// Load, but nothing is counted.
    Warmup,
    Measure,
    Stop,
}

/// The phase, told to all workers at once.
#[derive(Debug)]
pub struct Control(AtomicU8);

impl Control {
    pub fn new() -> Self {
        Control(AtomicU8::new(Phase::Warmup as u8))
    }

    pub fn enter(&self, phase: Phase) {
        self.0.store(phase as u8, Ordering::SeqCst);
    }

    fn phase(&self) -> Phase {
        match self.0.load(Ordering::Relaxed) {
            0 => Phase::Warmup,
            1 => Phase::Measure,
            _ => Phase::Stop,
        }
    }
}

impl Default for Control {
    fn default() -> Self {
        Self::new()
    }
}

/// What all connections of a worker do.
#[derive(Debug, Clone)]
pub struct Plan {
    pub test: Test,
    pub pipeline: usize,
    /// Random numbers stay below this.
    pub range: u64,
    pub seed: u64,
    /// Requests that are sent in the measured phase; `None`: until told to stop.
    pub requests: Option<u64>,
    /// No reply of any connection for so long is a failure.
    pub timeout: Duration,
}

/// Counts and latencies of the measured phase.
#[derive(Debug, Clone)]
pub struct Tally {
    /// Requests that were answered.
    pub requests: u64,
    /// Error replies, also those inside an EXEC's.
    pub errors: u64,
    /// Replies of the wrong type or length.
    pub wrong: u64,
    /// Keys that were not there.
    pub misses: u64,
    pub first_error: Option<String>,
    /// Nanoseconds from the sending of a request to its reply, the last one of a transaction.
    pub latency_ns: Histogram<u64>,
}

impl Tally {
    pub fn new() -> Self {
        Tally { requests: 0, errors: 0, wrong: 0, misses: 0, first_error: None, latency_ns: new_histogram() }
    }

    pub fn add(&mut self, other: Tally) {
        self.requests += other.requests;
        self.errors += other.errors;
        self.wrong += other.wrong;
        self.misses += other.misses;
        self.first_error = self.first_error.take().or(other.first_error);
        // Histograms of the same bounds always add up.
        let _ = self.latency_ns.add(other.latency_ns);
    }
}

impl Default for Tally {
    fn default() -> Self {
        Self::new()
    }
}

fn new_histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1, LATENCY_NS_MAX, 3).unwrap_or_else(|_| unreachable!("constant bounds"))
}

/// What a worker brings home.
#[derive(Debug)]
pub struct Outcome {
    pub tally: Tally,
    /// Processor time of this thread in the measured phase.
    pub cpu_ns: u64,
    /// How long it waited for a processor meanwhile.
    pub wait_ns: u64,
    pub measured: Duration,
    /// The load ended early, for this reason.
    pub failure: Option<String>,
}

struct Connection {
    token: Token,
    keys: KeySet,
    random: Random,
    /// The pipeline, while it is not with the engine.
    buffer: Option<Vec<u8>>,
    scanner: Scanner,
    /// Requests whose replies are still to come.
    due: u32,
    /// Replies that the first of them has got already.
    replies_got: u32,
    sent_ns: u64,
}

pub struct Worker<E: Engine> {
    engine: E,
    plan: Plan,
    requests: Requests,
    check: Check,
    connections: Vec<Connection>,
    epoch: Instant,
    phase: Phase,
    tally: Tally,
    /// Requests of the measured phase that are not sent yet.
    unsent: u64,
    /// Connections whose replies are not all there.
    waiting: usize,
    last_reply_ns: u64,
    failure: Option<String>,
    /// When the measured phase began: the time, and what this thread had run and waited.
    measure_start: Option<[u64; 3]>,
    /// The same, as spans, once the phase has ended.
    measured: Option<[u64; 3]>,
}

impl<E: Engine> Worker<E> {
    /// Takes over connected sockets, each with the keys that it asks for.
    pub fn new(engine: E, plan: Plan, sockets: Vec<(OwnedFd, KeySet)>, first_connection: u64) -> Self {
        let mut worker = Worker {
            engine,
            requests: plan.test.requests(),
            check: Check::new(&plan.test),
            connections: Vec::with_capacity(sockets.len()),
            epoch: Instant::now(),
            phase: Phase::Warmup,
            tally: Tally::new(),
            unsent: u64::MAX,
            waiting: 0,
            last_reply_ns: 0,
            failure: None,
            measure_start: None,
            measured: None,
            plan,
        };
        for (number, (socket, keys)) in sockets.into_iter().enumerate() {
            // A fresh engine numbers its connections from 0, so the token leads straight to the entry.
            let token = worker.engine.add(socket);
            debug_assert_eq!(token.index as usize, number);
            worker.connections.push(Connection {
                token,
                keys,
                random: Random::new(worker.plan.seed, first_connection + number as u64),
                buffer: Some(worker.requests.buffer(worker.plan.pipeline)),
                scanner: Scanner::default(),
                due: 0,
                replies_got: 0,
                sent_ns: 0,
            });
        }
        worker
    }

    /// Loads until told to stop, until all requests are answered or until something breaks.
    pub fn run(mut self, control: &Control) -> Outcome {
        self.enter(control.phase());
        self.last_reply_ns = self.now_ns();
        for position in 0..self.connections.len() {
            self.fire(position, self.now_ns());
        }
        let mut events = Vec::new();
        while self.phase != Phase::Stop {
            self.engine.turn(Wait::AtMost(SLEEP_MAX), &mut events);
            let phase = control.phase();
            if phase != self.phase {
                self.enter(phase);
            }
            if events.is_empty() {
                self.watch_for_silence();
            }
            for event in events.drain(..) {
                self.handle(event);
            }
            if self.failure.is_some() || (self.unsent == 0 && self.waiting == 0) {
                self.enter(Phase::Stop);
            }
        }
        self.drain(&mut events);
        let [measured_ns, cpu_ns, wait_ns] = self.measured.unwrap_or_default();
        Outcome {
            tally: self.tally,
            cpu_ns,
            wait_ns,
            measured: Duration::from_nanos(measured_ns),
            failure: self.failure,
        }
    }

    fn now_ns(&self) -> u64 {
        self.epoch.elapsed().as_nanos() as u64
    }

    fn enter(&mut self, phase: Phase) {
        self.phase = phase;
        let now = [self.now_ns(), thread_cpu_ns(), thread_wait_ns()];
        match phase {
            Phase::Warmup => {}
            Phase::Measure => {
                self.tally = Tally::new();
                self.unsent = self.plan.requests.unwrap_or(u64::MAX);
                self.measure_start = Some(now);
            }
            Phase::Stop => {
                self.measured =
                    self.measure_start.map(|start| std::array::from_fn(|index| now[index] - start[index]));
            }
        }
    }

    /// Sends the next pipeline, if there is anything left to send.
    fn fire(&mut self, position: usize, now_ns: u64) {
        let requests = self.unsent.min(self.plan.pipeline as u64);
        let connection = &mut self.connections[position];
        let Some(mut buffer) = connection.buffer.take() else { return };
        if requests == 0 || self.phase == Phase::Stop {
            connection.buffer = Some(buffer);
            return;
        }
        self.unsent -= requests;
        let (random, keys) = (&mut connection.random, &connection.keys);
        self.requests.fill(&mut buffer, requests as usize, random, keys, self.plan.range);
        connection.due = requests as u32;
        connection.sent_ns = now_ns;
        self.waiting += 1;
        if let Some(buffer) = self.engine.send(connection.token, buffer) {
            connection.buffer = Some(buffer);
        }
    }

    fn handle(&mut self, event: Event) {
        match event {
            Event::Received { connection, chunk } => self.received(connection, chunk),
            Event::Sent { connection, buffer, complete } => {
                let position = connection.index as usize;
                self.connections[position].buffer = Some(buffer);
                if !complete {
                    self.fail("the server broke a connection while a request was being sent");
                } else if self.connections[position].due == 0 {
                    // All replies came before the engine told that the requests had left.
                    let now_ns = self.now_ns();
                    self.fire(position, now_ns);
                }
            }
            Event::Ended { .. } => self.fail("the server closed a connection"),
            Event::Accepted { .. } | Event::Woken => {}
        }
    }

    fn fail(&mut self, reason: &str) {
        if self.failure.is_none() && self.phase != Phase::Stop {
            let last = self.tally.first_error.as_deref();
            let last = last.map(|error| format!(" (its first error was '{error}')")).unwrap_or_default();
            self.failure = Some(format!("{reason}{last}"));
        }
    }

    fn received(&mut self, token: Token, chunk: Chunk) {
        let now_ns = self.now_ns();
        let position = token.index as usize;
        let Some(connection) = self.connections.get_mut(position) else {
            return self.engine.release(chunk);
        };
        let bytes = self.engine.bytes(&chunk);
        let answered = self.check.read(connection, bytes, &mut self.tally);
        self.engine.release(chunk);
        let answered = match answered {
            Ok(answered) if answered <= connection.due => answered,
            Ok(_) => return self.fail("the server sent more replies than it got requests"),
            Err(garbage) => return self.fail(&format!("the server does not speak RESP: '{garbage}'")),
        };
        let latency_ns = (now_ns - connection.sent_ns).clamp(1, LATENCY_NS_MAX);
        self.tally.requests += u64::from(answered);
        // Within the bounds nothing is refused.
        let _ = self.tally.latency_ns.record_n(latency_ns, u64::from(answered));
        self.last_reply_ns = now_ns;
        connection.due -= answered;
        if connection.due == 0 && answered > 0 {
            self.waiting -= 1;
            self.fire(position, now_ns);
        }
    }

    fn watch_for_silence(&mut self) {
        let silence = Duration::from_nanos(self.now_ns() - self.last_reply_ns);
        if self.waiting > 0 && silence > self.plan.timeout {
            self.fail(&format!("the server sent nothing for {:.1} s", silence.as_secs_f64()));
        }
    }

    /// Takes the replies that are under way, so that the server is not left with broken connections.
    fn drain(&mut self, events: &mut Vec<Event>) {
        let end = Instant::now() + DRAIN_MAX;
        let mut discarded = Tally::new();
        std::mem::swap(&mut self.tally, &mut discarded);
        while self.waiting > 0 && self.failure.is_none() && Instant::now() < end {
            self.engine.turn(Wait::AtMost(SLEEP_MAX), events);
            for event in events.drain(..) {
                if matches!(event, Event::Ended { .. }) {
                    self.waiting = 0;
                }
                self.handle(event);
            }
        }
        std::mem::swap(&mut self.tally, &mut discarded);
        for connection in &self.connections {
            self.engine.close(connection.token);
        }
    }
}

/// What replies are checked against.
struct Check {
    usual: Option<UsualReply>,
    /// The reply to a request's last command.
    expect: Expect,
    /// Replies of a request.
    replies: u32,
    /// A request may be an MSET as well, whose reply is OK.
    msets: bool,
    value_bytes: u64,
}

impl Check {
    fn new(test: &Test) -> Check {
        Check {
            usual: test.usual_reply(),
            expect: test.expect,
            replies: test.replies(),
            msets: test.has_msets(),
            value_bytes: test.value_bytes() as u64,
        }
    }

    fn is_right(&self, head: Head, expect: Expect) -> bool {
        match (head, expect) {
            (_, Expect::Any) | (Head::Status, Expect::Ok | Expect::Pong) => true,
            (Head::Bulk(length), Expect::Value) => length == self.value_bytes,
            (Head::Aggregate(count), Expect::Array(elements)) => count == elements,
            (Head::Status, _) => self.msets,
            _ => false,
        }
    }

    /// Counts the requests whose last reply ends in `bytes`, and checks each reply.
    #[inline]
    fn read(&self, connection: &mut Connection, bytes: &[u8], tally: &mut Tally) -> Result<u32, String> {
        let (mut answered, used) = match &self.usual {
            Some(usual) if connection.scanner.is_between_replies() => usual.count(bytes),
            _ => (0, 0),
        };
        if used == bytes.len() {
            return Ok(answered);
        }
        let (mut errors, mut wrong, mut misses) = (0, 0, 0);
        let mut got = connection.replies_got;
        let scanned = connection.scanner.scan(&bytes[used..], |head| {
            got += 1;
            // Before the last reply of a transaction come OK and QUEUED.
            let within = got < self.replies && self.expect != Expect::Any;
            let expect = if within { Expect::Ok } else { self.expect };
            match (head, expect) {
                (Head::Error, _) => errors += 1,
                (Head::Null, Expect::Value) => misses += 1,
                _ => wrong += u64::from(!self.is_right(head, expect)),
            }
            if got == self.replies {
                got = 0;
                answered += 1;
            }
        });
        connection.replies_got = got;
        let inside = connection.scanner.take_inside();
        errors += inside.errors;
        tally.errors += errors;
        tally.wrong += wrong;
        tally.misses += misses + inside.nulls;
        if errors > 0 && tally.first_error.is_none() {
            tally.first_error = Some(connection.scanner.error_text().to_string());
        }
        scanned.map(|()| answered).map_err(|garbage| garbage.0)
    }
}
