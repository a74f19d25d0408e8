//! Start and end of the process: from a configuration to running shards.
//!
//! ```text
//!   configuration ─► checks (locked memory, open files, engine) ─► sockets ─► mesh, node
//!                 ─► one executor per shard, each with its engine and its plane ─► wait for the end
//! ```

mod start;

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::commands::CommandTable;
use crate::config::Config;
use crate::dispatch::Dispatcher;
use crate::net::{Listener, Plane, Turn};
use crate::runtime::engine::Engine;
use crate::runtime::{clock, executor, process};
use crate::shard::mailbox::Mailbox;
use crate::shard::{Node, Shard};

pub use start::run;

/// How long the data plane keeps the executor to itself.
const SLICE: Duration = Duration::from_millis(1);

/// Everything one shard's thread needs to begin.
struct ShardStart {
    id: usize,
    cpu: Option<usize>,
    node: Arc<Node>,
    config: Config,
    mailbox: Mailbox,
    listeners: Vec<Listener>,
    may_spin: bool,
}

/// Runs one shard until the node stops. `new_engine` is called on the shard's own thread.
fn spawn_shard<E, F>(start: ShardStart, new_engine: F) -> Result<executor::Executor, String>
where
    E: Engine + 'static,
    F: FnOnce() -> Result<E, String> + Send + 'static,
{
    let name = format!("shard-{}", start.id);
    executor::spawn(start.cpu, &name, move || async move {
        let engine = match new_engine() {
            Ok(engine) => engine,
            Err(error) => {
                crate::log!(Warning, "Shard {} cannot start: {error}", start.id);
                start.node.stop();
                return;
            }
        };
        let table = CommandTable::new();
        let shard = Shard::new(start.id, start.node.clone(), start.config, table.len());
        let dispatcher = Dispatcher::new(shard, table, start.mailbox);
        let plane = Plane::new(engine, dispatcher, start.listeners, start.may_spin);
        drive(plane, &start.node).await;
    })
}

/// The loop of a shard: turns of the data plane, and time for the executor's other tasks between them.
async fn drive<E: Engine>(mut plane: Plane<E>, node: &Node) {
    let mut slice_started = Instant::now();
    // One shard looks for signals: the one whose bell their handler rings.
    let watches_signals = plane.dispatcher.shard.id == 0;
    while !node.is_stopping() {
        if watches_signals && let Some(signal) = process::stop_signal() {
            let name = if signal == process::INTERRUPT { "SIGINT" } else { "SIGTERM" };
            crate::log!(Warning, "Received {name} scheduling shutdown...");
            crate::log!(Warning, "User requested shutdown...");
            node.stop();
            break;
        }
        let turn = plane.turn(Duration::MAX, clock::unix_ms);
        if turn == Turn::Quiet || slice_started.elapsed() >= SLICE {
            executor::yield_now().await;
            slice_started = Instant::now();
        }
    }
    plane.drain_output();
}
