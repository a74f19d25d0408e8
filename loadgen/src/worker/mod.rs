//! One thread of the load: its connections, in a closed loop or by a schedule.
//!
//! ```text
//!   closed   fire: make a whole pipeline, send it ─► all replies are there ─► fire
//!   open     a command's time has come ─► the next connection that has room takes it
//!   both     each command's instants stand in its connection's list until its reply comes
//! ```
//!
//! The loop turns the same engine as the server's. A pipeline is one buffer that lives as long as its
//! connection: it goes to the engine with each send and comes back when it has left. Nothing is allocated
//! while the load runs, except that an open loop's buffers grow to the longest pipeline it needs.
//!
//! In an open loop a command that no connection can take keeps its intended time, and so do all behind it:
//! a stall of the server shows in the response times of all that were due meanwhile. What the generator
//! itself is late is recorded apart, as slip.
//!
//! The worker is told by a shared [`Control`] when to count and when to stop; it looks once per turn.

mod open_loop;
mod reconnect;

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use polder::runtime::engine::{Chunk, Engine, Event, Token, Wait};

use crate::check::{Broken, InFlight, Messages, Missed, Replies};
use crate::keys::Random;
use crate::plan::{Control, Outcome, Part, Phase, Plan, Publisher, Socket};
use crate::processes::{thread_cpu_ns, thread_wait_ns};
use crate::profile::requests::State;
use crate::redial::Redialer;
use crate::tally::Tally;
use crate::tls::Session;
use crate::workload::{Draws, Role};

use open_loop::Open;

/// The longest sleep of the loop: as late may it hear of a change of phase.
const SLEEP_MAX: Duration = Duration::from_millis(20);
/// At the end replies that are under way are waited for, but no longer than this.
const DRAIN_MAX: Duration = Duration::from_millis(200);
/// What one [`Part`] of the measured phase lasts.
const PART_NS: u64 = 1_000_000_000;

struct Connection {
    token: Token,
    /// Closed; the one in its place is being made.
    away: bool,
    /// `None`: what is sent travels as it is.
    session: Option<Session>,
    node: usize,
    role: Role,
    draws: Draws,
    /// The pipeline, while it is not with the engine.
    buffer: Option<Vec<u8>>,
    replies: Replies,
    /// What a subscriber gets instead.
    messages: Messages,
    /// Misses that something is to be sent for.
    missed: VecDeque<Missed>,
    /// Requests since it connected.
    sent: u64,
    /// It is in the list of those that may have room.
    listed: bool,
    /// It got commands in this round.
    filling: bool,
}

impl Connection {
    /// Takes what was sent back from the engine.
    #[inline]
    fn take_back(&mut self, sent: Vec<u8>) {
        self.buffer = Some(match &mut self.session {
            None => sent,
            Some(session) => session.restore(sent),
        });
    }
}

pub struct Worker<E: Engine> {
    engine: E,
    plan: Plan,
    publisher: Publisher,
    connections: Vec<Connection>,
    /// The position in `connections` of each of the engine's indexes.
    positions: Vec<u32>,
    open: Option<Open>,
    /// Only if connections are replaced.
    redialer: Option<Redialer>,
    /// Processor time of its threads.
    redial_cpu_ns: u64,
    epoch: Instant,
    phase: Phase,
    tally: Tally,
    first_error: Option<String>,
    /// Requests of the measured phase that are not sent yet.
    unsent: u64,
    /// Requests that were sent and are not answered.
    due: u64,
    last_reply_ns: u64,
    failure: Option<String>,
    /// Processor time that was spent waiting for the time of the next command.
    spun_ns: u64,
    /// When the last round ended, if it found nothing.
    spin_end_ns: Option<u64>,
    part_start_ns: u64,
    /// When the measured phase began: the time, and what this thread had run, waited and spun.
    measure_start: Option<[u64; 4]>,
    /// The same, as spans, once the phase has ended.
    measured: Option<[u64; 4]>,
}

impl<E: Engine> Worker<E> {
    /// Takes over connected sockets.
    pub fn new(engine: E, plan: Plan, publisher: Publisher, sockets: Vec<Socket>) -> Self {
        let open = plan.schedule.clone().map(Open::new);
        let mut worker = Worker {
            engine,
            publisher,
            connections: Vec::with_capacity(sockets.len()),
            positions: Vec::new(),
            redialer: None,
            redial_cpu_ns: 0,
            epoch: Instant::now(),
            phase: Phase::Warmup,
            tally: Tally::new(plan.workload.kinds.len(), open.is_some()),
            first_error: None,
            unsent: u64::MAX,
            due: 0,
            last_reply_ns: 0,
            failure: None,
            spun_ns: 0,
            spin_end_ns: None,
            part_start_ns: 0,
            measure_start: None,
            measured: None,
            open,
            plan,
        };
        if worker.plan.reconnect_every.is_some() {
            worker.start_redialer(sockets.len());
        }
        for socket in sockets {
            let token = worker.engine.add(socket.link.socket);
            let position = worker.connections.len();
            worker.place(token, position);
            let random = Random::new(worker.plan.seed, socket.number);
            let state = State::new(socket.number, socket.node);
            let draws = Draws { random, keys: socket.keys, state };
            worker.connections.push(Connection {
                token,
                away: false,
                session: socket.link.session,
                node: socket.node,
                role: socket.role,
                draws,
                buffer: Some(worker.plan.workload.buffer(worker.plan.pipeline)),
                replies: Replies::with_capacity(worker.plan.pipeline.min(1 << 12)),
                messages: Messages::new(),
                missed: VecDeque::new(),
                sent: 0,
                listed: false,
                filling: false,
            });
        }
        worker
    }

    fn place(&mut self, token: Token, position: usize) {
        let index = token.index as usize;
        if self.positions.len() <= index {
            self.positions.resize(index + 1, u32::MAX);
        }
        self.positions[index] = position as u32;
    }

    /// The connection that a token means, unless it was closed.
    #[inline]
    fn position(&self, token: Token) -> Option<usize> {
        let position = *self.positions.get(token.index as usize)? as usize;
        let connection = self.connections.get(position)?;
        (connection.token == token && !connection.away).then_some(position)
    }

    /// Loads until told to stop, until all requests are answered or until something breaks.
    pub fn run(mut self, control: &Control) -> Outcome {
        self.epoch = Instant::now();
        self.enter(control.phase());
        for position in 0..self.connections.len() {
            self.begin(position);
        }
        let mut events = Vec::new();
        while self.phase != Phase::Stop {
            self.send_due();
            let wait = self.wait();
            self.turn(wait, &mut events);
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
            self.publish_if_due();
            if self.failure.is_some() || (self.unsent == 0 && self.due == 0) {
                self.enter(Phase::Stop);
            }
        }
        self.drain(&mut events);
        let [measured_ns, cpu_ns, wait_ns, spun_ns] = self.measured.unwrap_or_default();
        Outcome {
            cpu_ns: cpu_ns.saturating_sub(spun_ns),
            wait_ns,
            measured: Duration::from_nanos(measured_ns),
            unsent: self.backlog(),
            failure: self.failure,
        }
    }

    fn now_ns(&self) -> u64 {
        self.epoch.elapsed().as_nanos() as u64
    }

    fn enter(&mut self, phase: Phase) {
        self.phase = phase;
        let cpu_ns = thread_cpu_ns() + self.redial_cpu_ns;
        let now = [self.now_ns(), cpu_ns, thread_wait_ns(), self.spun_ns];
        match phase {
            Phase::Warmup => {}
            Phase::Measure => {
                self.tally.clear();
                self.unsent = self.plan.requests.unwrap_or(u64::MAX);
                self.measure_start = Some(now);
                self.part_start_ns = now[0];
            }
            Phase::Stop => {
                self.measured =
                    self.measure_start.map(|start| std::array::from_fn(|index| now[index] - start[index]));
                if self.measured.is_some() {
                    self.publish(now[0]);
                }
            }
        }
    }

    #[inline]
    fn publish_if_due(&mut self) {
        if self.phase == Phase::Measure {
            let now_ns = self.now_ns();
            if now_ns - self.part_start_ns >= PART_NS {
                self.publish(now_ns);
            }
        }
    }

    fn publish(&mut self, now_ns: u64) {
        let new = || Tally::new(self.plan.workload.kinds.len(), self.open.is_some());
        let empty = self.publisher.cleared.try_recv().unwrap_or_else(|_| new());
        let tally = std::mem::replace(&mut self.tally, empty);
        if self.first_error.is_none() {
            self.first_error.clone_from(&tally.first_error);
        }
        let measure_start_ns = self.measure_start.map_or(0, |start| start[0]);
        let start_ns = self.part_start_ns - measure_start_ns;
        (self.publisher.parts)(Part { tally, start_ns, span_ns: now_ns - self.part_start_ns });
        self.part_start_ns = now_ns;
    }

    /// Turns the engine. Rounds in a row that find nothing are time spun away, as a whole.
    #[inline]
    fn turn(&mut self, wait: Wait, events: &mut Vec<Event>) {
        if wait != Wait::Poll {
            self.spin_end_ns = None;
            return self.engine.turn(wait, events);
        }
        let start_ns = self.spin_end_ns.take().unwrap_or_else(|| self.now_ns());
        self.engine.turn(wait, events);
        if events.is_empty() {
            let end_ns = self.now_ns();
            self.spun_ns += end_ns - start_ns;
            self.spin_end_ns = Some(end_ns);
        }
    }

    /// A connection is new: what it does first.
    fn begin(&mut self, position: usize) {
        match self.connections[position].role {
            Role::Load if self.open.is_some() => self.list(position),
            Role::Load | Role::Own(_) => self.fire(position, self.now_ns()),
            Role::Subscriber(_) => {
                let connection = &mut self.connections[position];
                let Some(mut buffer) = connection.buffer.take() else { return };
                buffer.clear();
                self.plan.workload.append_own(connection.role, &mut buffer, &mut connection.draws);
                self.send(position, buffer);
            }
        }
    }

    #[inline]
    fn send(&mut self, position: usize, buffer: Vec<u8>) {
        let connection = &mut self.connections[position];
        let outgoing = match &mut connection.session {
            None => buffer,
            Some(session) => match session.seal(buffer) {
                Ok(records) => records,
                Err(error) => return self.fail(&error.to_string()),
            },
        };
        if let Some(buffer) = self.engine.send(connection.token, outgoing) {
            connection.take_back(buffer);
        }
    }

    /// Sends the next pipeline of a closed loop, if there is anything left to send.
    fn fire(&mut self, position: usize, now_ns: u64) {
        if self.must_reconnect(position) {
            return self.reconnect(position);
        }
        let connection = &mut self.connections[position];
        if self.phase == Phase::Stop || connection.away || connection.replies.due() > 0 {
            return;
        }
        let room = self.plan.reconnect_every.map_or(u64::MAX, |every| every - connection.sent);
        let requests = self.unsent.min(self.plan.pipeline as u64).min(room);
        if requests == 0 && connection.missed.is_empty() && connection.role == Role::Load {
            return;
        }
        let Some(mut buffer) = connection.buffer.take() else { return };
        let replies = &mut connection.replies;
        let mut expect = |kind, count, key| {
            replies.expect(InFlight { kind, count, key, intended_ns: now_ns, sent_ns: now_ns });
        };
        if let Role::Own(kind) = connection.role {
            buffer.clear();
            self.plan.workload.append_own(connection.role, &mut buffer, &mut connection.draws);
            expect(kind, 1, 0);
        } else {
            let follow_ups = connection.missed.len();
            if follow_ups == 0 {
                self.plan.workload.fill(&mut buffer, requests as usize, &mut connection.draws, expect);
            } else {
                buffer.clear();
                for missed in connection.missed.drain(..) {
                    self.plan.workload.follow_up(missed, &mut buffer, &mut connection.draws);
                    expect(missed.kind, 1, missed.key);
                }
                for _ in 0..requests {
                    let (kind, key) = self.plan.workload.append(&mut buffer, &mut connection.draws);
                    expect(kind, 1, key);
                }
            }
            connection.sent += requests;
            self.unsent -= requests;
            self.due += requests + follow_ups as u64;
        }
        self.send(position, buffer);
    }

    fn handle(&mut self, event: Event) {
        match event {
            Event::Received { connection, chunk } => self.received(connection, chunk),
            Event::Sent { connection, buffer, complete } => {
                let Some(position) = self.position(connection) else { return };
                self.connections[position].take_back(buffer);
                if !complete {
                    self.fail("the server broke a connection while a request was being sent");
                } else {
                    self.go_on(position, None);
                }
            }
            Event::Ended { connection } if self.position(connection).is_some() => {
                self.fail("the server closed a connection");
            }
            Event::Woken => self.take_redialed(),
            Event::Ended { .. } | Event::Accepted { .. } => {}
        }
    }

    /// A connection may have got the buffer or the replies that it waited for.
    #[inline]
    fn go_on(&mut self, position: usize, now_ns: Option<u64>) {
        let connection = &self.connections[position];
        match connection.role {
            Role::Subscriber(_) => {}
            Role::Load if self.open.is_some() => {
                if !connection.missed.is_empty() {
                    let now_ns = now_ns.unwrap_or_else(|| self.now_ns());
                    self.follow_up(position, now_ns);
                }
                self.list(position);
            }
            Role::Load | Role::Own(_) => {
                // All replies may come before the engine tells that the requests have left.
                if connection.replies.due() == 0 && connection.buffer.is_some() {
                    let now_ns = now_ns.unwrap_or_else(|| self.now_ns());
                    self.fire(position, now_ns);
                }
            }
        }
    }

    fn fail(&mut self, reason: &str) {
        if self.failure.is_none() && self.phase != Phase::Stop {
            let last = self.first_error.as_ref().or(self.tally.first_error.as_ref());
            let last = last.map(|error| format!(" (its first error was '{error}')")).unwrap_or_default();
            self.failure = Some(format!("{reason}{last}"));
        }
    }

    fn received(&mut self, token: Token, chunk: Chunk) {
        let now_ns = self.now_ns();
        let Some(position) = self.position(token) else { return self.engine.release(chunk) };
        let connection = &mut self.connections[position];
        let (bytes, tally) = (self.engine.bytes(&chunk), &mut self.tally);
        let mut answered = 0;
        let (role, checks) = (connection.role, &self.plan.workload.checks);
        let (replies, messages) = (&mut connection.replies, &mut connection.messages);
        let missed = &mut connection.missed;
        let mut read = |bytes: &[u8]| match role {
            Role::Subscriber(kind) => messages.read(bytes, kind, tally),
            Role::Load | Role::Own(_) => {
                replies.read(bytes, now_ns, checks, tally, missed).map(|count| answered += count)
            }
        };
        let outcome = match &mut connection.session {
            None => read(bytes),
            Some(session) => session.open(bytes, read),
        };
        self.engine.release(chunk);
        match outcome {
            Ok(()) => {
                self.last_reply_ns = now_ns;
                if role == Role::Load {
                    self.due = self.due.saturating_sub(u64::from(answered));
                }
                if answered > 0 {
                    self.go_on(position, Some(now_ns));
                }
            }
            Err(Broken::Surplus) => self.fail("the server sent more replies than it got requests"),
            Err(Broken::Garbage(garbage)) => {
                self.fail(&format!("the server does not speak RESP: '{garbage}'"));
            }
            Err(Broken::Session(reason)) => self.fail(&reason),
        }
    }

    fn watch_for_silence(&mut self) {
        let now_ns = self.now_ns();
        if self.due == 0 {
            self.last_reply_ns = now_ns;
            return;
        }
        let silence = Duration::from_nanos(now_ns - self.last_reply_ns);
        if silence > self.plan.timeout {
            self.fail(&format!("the server sent nothing for {:.1} s", silence.as_secs_f64()));
        }
    }

    /// Takes the replies that are under way, so that the server is not left with broken connections.
    fn drain(&mut self, events: &mut Vec<Event>) {
        let end = Instant::now() + DRAIN_MAX;
        while self.due > 0 && self.failure.is_none() && Instant::now() < end {
            self.engine.turn(Wait::AtMost(SLEEP_MAX), events);
            for event in events.drain(..) {
                if matches!(event, Event::Ended { .. }) {
                    self.due = 0;
                    return;
                }
                self.handle(event);
            }
        }
        for connection in self.connections.iter().filter(|connection| !connection.away) {
            self.engine.close(connection.token);
        }
    }
}
