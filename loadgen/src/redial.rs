//! Connects again for a worker, on threads of its own, so that its other connections need not wait.
//!
//! ```text
//!   worker ── position, node ──► one of the threads: connect, TLS, AUTH …
//!      ▲                           │
//!      └── link, and a wake-up ◄───┘
//! ```

use std::io;
use std::os::fd::RawFd;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use polder::runtime::bell::Bell;

use crate::client::{Dialer, Link};
use crate::processes::thread_cpu_ns;

/// So many connections of a worker are made at a time: with a server that is a millisecond away, that many
/// thousand come back a second.
const THREADS_MAX: usize = 8;

/// A connection to make.
struct Wanted {
    position: u32,
    node: usize,
}

/// What came of it.
pub struct Redialed {
    pub position: u32,
    pub link: io::Result<Link>,
    pub took: Duration,
    /// Processor time that it cost.
    pub cpu_ns: u64,
}

/// The threads end when this is gone and what they are at is done.
pub struct Redialer {
    wanted: Sender<Wanted>,
    made: Receiver<Redialed>,
    bell: Arc<Bell>,
}

impl Redialer {
    /// Threads for a worker of so many connections; they run where the calling thread may run.
    pub fn start(dialer: &Arc<Dialer>, connections: usize) -> io::Result<Redialer> {
        let bell = Arc::new(Bell::new()?);
        let (wanted, queue) = channel::<Wanted>();
        let (give, made) = channel();
        let queue = Arc::new(Mutex::new(queue));
        for _ in 0..connections.clamp(1, THREADS_MAX) {
            let (queue, give) = (Arc::clone(&queue), give.clone());
            let (bell, dialer) = (Arc::clone(&bell), Arc::clone(dialer));
            std::thread::Builder::new().name("redial".into()).spawn(move || {
                loop {
                    // One thread waits for the queue, the others for the lock: it is not kept while a
                    // connection is made.
                    let next = queue.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).recv();
                    let Ok(Wanted { position, node }) = next else { return };
                    let (began, cpu_before_ns) = (Instant::now(), thread_cpu_ns());
                    let link = dialer.dial(node);
                    let cpu_ns = thread_cpu_ns().saturating_sub(cpu_before_ns);
                    let redialed = Redialed { position, link, took: began.elapsed(), cpu_ns };
                    if give.send(redialed).is_err() {
                        return;
                    }
                    bell.ring_always();
                }
            })?;
        }
        Ok(Redialer { wanted, made, bell })
    }

    /// What the worker's engine has to watch.
    pub fn bell(&self) -> RawFd {
        self.bell.descriptor()
    }

    /// Asks for a connection to a node.
    pub fn ask(&self, position: usize, node: usize) {
        // The threads live as long as the queue.
        let _ = self.wanted.send(Wanted { position: position as u32, node });
    }

    /// The next connection that is made.
    pub fn next(&self) -> Option<Redialed> {
        self.made.try_recv().ok()
    }
}
