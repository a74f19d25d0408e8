//! What a worker is told and what it tells: its plan, its sockets, the phases, and what it counted.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::mpsc::Receiver;
use std::time::Duration;

use crate::client::{Dialer, Link};
use crate::draws::KeySet;
use crate::schedule::Schedule;
use crate::tally::Tally;
use crate::workload::{Role, Workload};

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

    pub fn phase(&self) -> Phase {
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
    pub workload: Arc<Workload>,
    /// The most requests that a connection has under way.
    pub pipeline: usize,
    pub seed: u64,
    /// Requests that are sent in the measured phase; `None`: until told to stop.
    pub requests: Option<u64>,
    /// Send times of an open loop.
    pub schedule: Option<Schedule>,
    /// A connection is replaced after so many requests.
    pub reconnect_every: Option<u64>,
    /// No reply of any connection for so long is a failure.
    pub timeout: Duration,
    pub dialer: Arc<Dialer>,
}

/// A connected socket and what it is for.
#[derive(Debug)]
pub struct Socket {
    pub link: Link,
    /// Counted over all threads.
    pub number: u64,
    /// The node of the cluster that it leads to.
    pub node: usize,
    pub keys: KeySet,
    pub role: Role,
}

/// What a worker counted in one second of the measured phase.
#[derive(Debug)]
pub struct Part {
    pub tally: Tally,
    /// Nanoseconds since the phase began.
    pub start_ns: u64,
    pub span_ns: u64,
}

/// Where parts go, and where their tallies come back from.
pub struct Publisher {
    pub parts: Box<dyn Fn(Part)>,
    pub cleared: Receiver<Tally>,
}

/// What a worker brings home besides its parts.
#[derive(Debug, Default)]
pub struct Outcome {
    /// Processor time of this thread in the measured phase, without what it spun away.
    pub cpu_ns: u64,
    /// How long it waited for a processor meanwhile.
    pub wait_ns: u64,
    pub measured: Duration,
    /// Commands whose time had come, but that were never sent.
    pub unsent: u64,
    /// The load ended early, for this reason.
    pub failure: Option<String>,
}
