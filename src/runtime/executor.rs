//! One glommio executor per core, and the little that the rest of the server wants of it.
//!
//! The data plane is one task that sleeps in the engine's own wait; whatever waits for files is an ordinary
//! task beside it. While a task stays runnable glommio polls neither timers nor
//! I/O until its preempt timer fires, hence the short timer here and [`yield_now`] in the engine's loop.

use std::future::Future;
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

/// Lets the executor look after its other tasks, timers and files.
pub async fn yield_now() {
    glommio::executor().yield_task_queue_now().await;
}
