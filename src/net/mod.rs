//! The data plane of one core: the loop that turns the engine, and what it does with each event.
//!
//! ```text
//!   turn ─► events ─► connection: bytes to commands ─► dispatch ─► replies in the sessions
//!        ─► batches out and in (flush, drain) ─► sessions that waited go on ─► output: one send each
//! ```
//!
//! [`Plane`] owns everything one core has. It is generic over its engine, so a test can turn several of
//! them by hand, with a simulated engine and a clock of its own.

mod connection;
mod cron;
pub mod listener;
mod output;

use std::time::Duration;

use crate::dispatch::{Burst, Dispatcher};
use crate::runtime::clock::Ticks;
use crate::runtime::engine::{Chunk, Engine, Event, Token, Wait};

pub use listener::Listener;

/// The longest sleep of a shard that has nothing to do.
const SLEEP_MAX: Duration = Duration::from_millis(100);
/// How long a shard looks at its mailbox before it sleeps, while other shards work for it: a sleeping
/// shard is woken 40 µs later than one that looks. Only where every shard has a processor of its own.
const SPIN_US: u64 = 20;
/// Chunks of different connections that are read before the first of them runs.
const CHUNKS_AT_ONCE: usize = 16;
/// Work in the background gets at most this much of a turn.
const BACKGROUND_KEYS: usize = 64;

/// One core's share of the server.
pub struct Plane<E: Engine> {
    pub engine: E,
    pub dispatcher: Dispatcher,
    listeners: Vec<Listener>,
    events: Vec<Event>,
    burst: Burst,
    /// Bursts of several connections that are read before the first of them runs.
    bursts: Vec<(Burst, Option<connection::ReadChunk>)>,
    chunks: Vec<(Token, Chunk)>,
    /// Whether every shard has a processor of its own.
    may_spin: bool,
    /// The keyspace has expired or dropped values left to look after.
    background: bool,
    next_cron_ms: i64,
    /// Sessions that go on in the next turn.
    deferred: Vec<Token>,
}

/// How busy a turn was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turn {
    Busy,
    /// Nothing happened.
    Quiet,
}

impl<E: Engine> Plane<E> {
    pub fn new(mut engine: E, dispatcher: Dispatcher, listeners: Vec<Listener>, may_spin: bool) -> Self {
        for (number, listener) in listeners.iter().enumerate() {
            engine.listen(number as u32, listener.descriptor());
        }
        if dispatcher.mailbox.shards() > 1 || dispatcher.shard.id == 0 {
            engine.watch_bell(dispatcher.mailbox.bell().descriptor());
        }
        Plane {
            engine,
            dispatcher,
            listeners,
            events: Vec::new(),
            burst: Burst::default(),
            bursts: Vec::new(),
            chunks: Vec::new(),
            may_spin,
            background: false,
            next_cron_ms: 0,
            deferred: Vec::new(),
        }
    }

    /// Sleeps until something happens, a period ends or `sleep_max` is over, and deals with all of it.
    /// `clock` tells the milliseconds since 1970.
    pub fn turn(&mut self, sleep_max: Duration, clock: impl Fn() -> i64) -> Turn {
        let mut events = std::mem::take(&mut self.events);
        self.wait(sleep_max, &mut events);
        let now_ms = clock();
        self.dispatcher.shard.keyspace.set_now(now_ms);
        let mut busy = !events.is_empty();
        self.make_room();
        busy |= self.resume_deferred();
        self.handle_all(&mut events);
        self.events = events;
        if self.dispatcher.next_deadline_ms().is_some_and(|at_ms| at_ms <= now_ms) {
            self.dispatcher.expire_parked();
        }
        busy |= self.exchange();
        if now_ms >= self.next_cron_ms {
            self.next_cron_ms = now_ms + 1000 / i64::from(self.dispatcher.shard.config.hz.max(1));
            self.cron(now_ms);
            busy |= self.exchange();
        }
        if !self.dispatcher.shard.paused.is_empty() {
            self.end_pause(now_ms);
            busy |= self.exchange();
        }
        if self.background {
            self.background = self.dispatcher.shard.keyspace.step(crate::keyspace::Budget(BACKGROUND_KEYS));
            // Keys may have expired that clients wait for the end of.
            if self.dispatcher.serve_gone() {
                busy |= self.exchange();
            }
        }
        self.close_killed();
        self.send_output();
        self.publish_gauges();
        self.dispatcher.mailbox.flush();
        if busy { Turn::Busy } else { Turn::Quiet }
    }

    fn wait(&mut self, sleep_max: Duration, events: &mut Vec<Event>) {
        if self.background || !self.deferred.is_empty() || !self.dispatcher.mailbox.is_idle() {
            return self.engine.turn(Wait::Poll, events);
        }
        if self.may_spin && self.dispatcher.has_outstanding() {
            self.engine.turn(Wait::Poll, events);
            if !events.is_empty() || self.spin() {
                return;
            }
        }
        // Reckoned from the last turn's time: a turn is short, and the periods need not be exact.
        let now_ms = self.dispatcher.shard.now_ms();
        let until_cron = Duration::from_millis(self.next_cron_ms.saturating_sub(now_ms).max(0) as u64);
        let mut sleep = SLEEP_MAX.min(sleep_max).min(until_cron);
        if let Some(at_ms) = self.dispatcher.next_deadline_ms() {
            sleep = sleep.min(Duration::from_millis(at_ms.saturating_sub(now_ms).max(0) as u64));
        }
        if self.dispatcher.mailbox.shards() == 1 {
            return self.engine.turn(Wait::AtMost(sleep), events);
        }
        let waits = self.dispatcher.has_waiting();
        self.dispatcher.mailbox.bell().going_to_sleep(waits);
        if self.dispatcher.mailbox.is_idle() {
            self.engine.turn(Wait::AtMost(sleep), events);
        } else {
            self.engine.turn(Wait::Poll, events);
        }
        self.dispatcher.mailbox.bell().awake();
    }

    /// Looks for replies of other shards for a short while; `true` if there is something to do.
    fn spin(&mut self) -> bool {
        let end = Ticks::now() + self.dispatcher.shard.node.ticks.from_us(SPIN_US);
        while Ticks::now() < end {
            for _ in 0..16 {
                if !self.dispatcher.mailbox.is_idle() {
                    return true;
                }
                std::hint::spin_loop();
            }
            if self.engine.is_ready() {
                return true;
            }
        }
        false
    }

    /// Sends batches off, runs those that came and goes on with the sessions whose replies are there,
    /// until nothing is left to do. `true` if anything was.
    fn exchange(&mut self) -> bool {
        let mut any = false;
        loop {
            // In this order: transactions that begin in `flush` are younger than those that have come.
            let came = self.dispatcher.drain();
            self.dispatcher.flush();
            let mut resumed = false;
            while let Some(token) = self.dispatcher.next_resumable() {
                resumed = true;
                self.resume(token);
            }
            any |= came || resumed;
            if !came && !resumed {
                return any;
            }
        }
    }

    /// Goes on with the sessions that had more to do than fits a turn.
    fn resume_deferred(&mut self) -> bool {
        let deferred = std::mem::take(&mut self.deferred);
        for &token in &deferred {
            if let Some(session) = self.dispatcher.shard.sessions.get(token) {
                session.deferred = false;
                self.resume(token);
                self.dispatcher.shard.sessions.mark_dirty(token);
            }
        }
        !deferred.is_empty()
    }

    /// Deals with events in order; chunks that stand next to each other are read together.
    fn handle_all(&mut self, events: &mut Vec<Event>) {
        let mut chunks = std::mem::take(&mut self.chunks);
        let mut events = events.drain(..).peekable();
        while let Some(event) = events.next() {
            let Event::Received { connection, chunk } = event else {
                self.handle(event);
                continue;
            };
            let next = match events.peek() {
                Some(Event::Received { connection, .. }) => Some(*connection),
                _ => None,
            };
            if next == Some(connection) && self.may_join(connection) {
                self.join(connection, chunk);
                continue;
            }
            chunks.push((connection, chunk));
            let full = chunks.len() == CHUNKS_AT_ONCE;
            let goes_on =
                next.is_some_and(|next| !full && chunks.iter().all(|&(earlier, _)| earlier != next));
            if !goes_on {
                match chunks.pop() {
                    Some((connection, chunk)) if chunks.is_empty() => self.received(connection, chunk),
                    Some(last) => {
                        chunks.push(last);
                        self.received_several(&mut chunks);
                    }
                    None => {}
                }
            }
        }
        self.chunks = chunks;
    }

    fn handle(&mut self, event: Event) {
        match event {
            Event::Received { connection, chunk } => self.received(connection, chunk),
            Event::Sent { connection, buffer, complete } => self.sent(connection, buffer, complete),
            Event::Accepted { listener, socket } => self.accepted(listener, socket),
            Event::Ended { connection } => self.ended(connection),
            Event::Woken => {}
        }
    }
}
