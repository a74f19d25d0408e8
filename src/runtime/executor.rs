//! One glommio executor per core: a pinned thread in which the data plane is one task.
//!
//! That task sleeps in the engine's own wait, not in glommio, and does not yield. The executor's loop is
//! entered once, and even that once has a trap (glommio 0.9):
//!
//! ```text
//!   poll the rings, arm the preempt timer ──► has the timer fired? ── no ──► run the task
//!                                                      │ yes
//!                                                      └─► "nothing ran, so nothing is to run" ─► park
//! ```
//!
//! If the thread loses its processor between the two for as long as the timer takes, the executor parks
//! although its first task has never run, and nothing wakes it: a shard that never begins, while the kernel
//! goes on to put connections into its listener's queue. Hence [`PREEMPT_TIMER`]: a time for which no thread
//! loses its processor. The timer serves to leave a task that is one among several, and here is only one.
//!
//! For whoever adds a task beside the data plane: the loop comes back to its rings only when the timer
//! fires, so the data plane would have to yield and the timer to be short, and then the trap is open at every
//! yield. It closes only while a timer of glommio's own that has not fired yet is pending; a single repeating
//! one is not enough, since the round that parks may have consumed it.

use std::time::Duration;

use glommio::{LocalExecutorBuilder, Placement};

/// What glommio's reactor may pin for file I/O; sockets go through the engine's own ring.
const IO_MEMORY_BYTES: usize = 64 << 10;
const RING_DEPTH: usize = 128;
/// A year: it never fires.
const PREEMPT_TIMER: Duration = Duration::from_secs(365 * 24 * 3600);

/// glommio registers its rings and buffers with the kernel, which counts as locked memory.
pub const LOCKED_MEMORY_BYTES_MIN: u64 = 512 << 10;

/// A running executor.
pub struct Executor(glommio::ExecutorJoinHandle<()>);

/// Starts a thread with an executor, pinned to `cpu` if one is given, and runs `body` in it. The thread may
/// still fail to set its executor up: then `body` is dropped without having run, and [`Executor::join`] tells
/// why.
pub fn spawn<B, F>(cpu: Option<usize>, name: &str, body: B) -> Result<Executor, String>
where
    B: FnOnce() -> F + Send + 'static,
    F: Future<Output = ()> + 'static,
{
    let placement = cpu.map_or(Placement::Unbound, Placement::Fixed);
    LocalExecutorBuilder::new(placement)
        .name(name)
        .io_memory(IO_MEMORY_BYTES)
        .ring_depth(RING_DEPTH)
        .preempt_timer(PREEMPT_TIMER)
        .spawn(body)
        .map(Executor)
        .map_err(|error| error.to_string())
}

impl Executor {
    /// Waits until its body has ended.
    pub fn join(self) -> Result<(), String> {
        self.0.join().map_err(|error| error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A shard that never began: an executor whose preempt timer has fired before its first task runs parks
    /// for ever. Whether it fires within a time can be seen from inside, in an executor that did begin.
    #[test]
    fn an_executor_that_loses_its_processor_at_the_start_begins_all_the_same() {
        let (sender, receiver) = std::sync::mpsc::channel();
        let executor = spawn(None, "begins", || async move {
            std::thread::sleep(Duration::from_millis(100));
            let parks = glommio::executor().need_preempt();
            sender.send(parks).expect("the test waits for it");
        })
        .expect("an executor");
        let parks = receiver.recv_timeout(Duration::from_secs(60)).expect("the executor begins");
        assert!(!parks, "100 ms without a processor would have left it parked");
        executor.join().expect("it ends");
    }
}
