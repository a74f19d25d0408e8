//! Start and end of the process: from a configuration to running shards.
//!
//! ```text
//!   configuration ─► checks (locked memory, open files, engine) ─► sockets ─► mesh, node
//!                 ─► one executor per shard, each with its engine and its plane ─► all have begun
//!                 ─► wait for the end
//! ```

mod start;

use std::sync::Arc;
use std::sync::mpsc::Sender;
use std::time::Duration;

use crate::commands::CommandTable;
use crate::config::Config;
use crate::dispatch::Dispatcher;
use crate::net::{Listener, Plane};
use crate::runtime::engine::Engine;
use crate::runtime::{clock, executor, process};
use crate::shard::mailbox::Mailbox;
use crate::shard::{Node, Shard};

pub use start::run;

/// Everything one shard's thread needs to begin.
struct ShardStart {
    id: usize,
    cpu: Option<usize>,
    node: Arc<Node>,
    config: Config,
    mailbox: Mailbox,
    listeners: Vec<Listener>,
    may_spin: bool,
    /// Told once: that the shard serves from now on, or why it cannot. Dropped unused, the executor failed.
    begun: Sender<Result<(), String>>,
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
                // Whoever waits for it may have given up on another shard.
                let _ = start.begun.send(Err(error));
                return;
            }
        };
        let table = CommandTable::new();
        let shard = Shard::new(start.id, start.node.clone(), start.config, table.len());
        let dispatcher = Dispatcher::new(shard, table, start.mailbox);
        let plane = Plane::new(engine, dispatcher, start.listeners, start.may_spin);
        let _ = start.begun.send(Ok(()));
        drive(plane, &start.node).await;
    })
}

/// The loop of a shard: one turn of the data plane after the other.
async fn drive<E: Engine>(mut plane: Plane<E>, node: &Node) {
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
        // Nothing else runs on this executor, so there is nobody to yield to: see `runtime::executor` for
        // what a yield has to reckon with.
        plane.turn(Duration::MAX, clock::unix_ms);
    }
    plane.drain_output();
}
