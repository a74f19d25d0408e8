//! One glommio executor per core: a pinned thread in which the data plane is one task.
//!
//! That task sleeps in the engine's own wait, not in glommio. It does not yield while it is the only task,
//! for a reason worth knowing before another one joins it (glommio 0.9): the executor's loop polls its
//! rings, arms the preempt timer and then runs the task queues; if the timer fires before the first queue
//! has run (the thread lost its processor for a moment), the loop takes "nothing ran" for "nothing to run"
//! and parks, although a task that yielded is runnable. Nothing wakes it until one of glommio's own timers
//! or files does. With a timer of 1 ms and a busy machine that happens within minutes. So for as long as the
//! data plane yields to another task, a timer that has not fired yet must be pending at every yield; a single
//! repeating one is not enough, since the round that parks may have consumed it.

use std::time::Duration;

use glommio::{LocalExecutorBuilder, Placement};

/// What glommio's reactor may pin for file I/O; sockets go through the engine's own ring.
const IO_MEMORY_BYTES: usize = 64 << 10;
const RING_DEPTH: usize = 128;
const PREEMPT_TIMER: Duration = Duration::from_millis(1);

/// glommio registers its rings and buffers with the kernel, which counts as locked memory.
pub const LOCKED_MEMORY_BYTES_MIN: u64 = 512 << 10;

/// A running executor.
pub struct Executor(glommio::ExecutorJoinHandle<()>);

/// Starts a thread with an executor, pinned to `cpu` if one is given, and runs `body` in it.
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
