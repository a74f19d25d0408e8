//! What all shards of the process share: facts that never change, and gauges with one writer each.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};

use crate::runtime::bell::Bell;
use crate::runtime::clock::Ticks;

use super::config_log::ConfigLog;

/// Descriptors that the process needs besides its clients: some for itself, and for each shard those of its
/// executor, its ring, its bell and its listeners.
pub fn reserved_descriptors(shards: usize) -> u64 {
    64 + 10 * shards as u64
}

/// The process, as all its shards see it.
pub struct Node {
    /// 40 hexadecimal digits, new at every start.
    pub run_id: String,
    /// 40 hexadecimal digits, the name of the data's history.
    pub replication_id: String,
    pub started_ms: i64,
    pub executable: PathBuf,
    pub config_file: Option<PathBuf>,
    /// `io_uring`, `epoll` or `simulated`.
    pub engine: &'static str,
    pub ticks: Ticks,
    /// Hashes keys alike on every shard, and differently in every process.
    pub hasher: ahash::RandomState,
    /// The port of each shard, if cores are announced as the nodes of a cluster.
    pub core_ports: Option<Vec<u16>>,
    /// 40 hexadecimal digits for each shard: its name as a node of a cluster.
    pub core_ids: Vec<String>,
    pub gauges: Vec<Gauges>,
    pub config_log: ConfigLog,
    pub bells: Arc<[Bell]>,
    /// The server is to end.
    stopping: AtomicBool,
    /// What the threads that are not shards hold of the allocator, in bytes.
    pub other_held_bytes: AtomicI64,
    /// Memory in use when all shards had started, in bytes; 0 until then.
    startup_bytes: AtomicU64,
    /// The most memory in use that was noticed, in bytes.
    peak_bytes: AtomicU64,
}

/// Numbers that one shard writes, now and then, and every shard may read.
#[derive(Default)]
#[repr(align(128))]
pub struct Gauges {
    /// What the shard's thread holds of the allocator, in bytes.
    pub held_bytes: AtomicI64,
    /// Connections of the shard.
    pub clients: AtomicU64,
    /// The memory limit is reached and the shard has nothing left that it may evict.
    pub exhausted: AtomicBool,
}

/// What [`Node::new`] cannot find out itself.
pub struct NodeOptions {
    pub executable: PathBuf,
    pub config_file: Option<PathBuf>,
    pub engine: &'static str,
    pub core_ports: Option<Vec<u16>>,
    pub hasher: ahash::RandomState,
    pub started_ms: i64,
    pub ticks: Ticks,
}

impl Node {
    pub fn new(options: NodeOptions, bells: Arc<[Bell]>) -> Self {
        // 40 hexadecimal digits out of the process's random hasher.
        let name = |salt: u64| {
            let words = (0..3u64).map(|word| format!("{:016x}", options.hasher.hash_one((salt, word))));
            words.collect::<String>()[..40].to_string()
        };
        Node {
            run_id: name(u64::MAX),
            replication_id: name(u64::MAX - 1),
            startup_bytes: AtomicU64::new(0),
            peak_bytes: AtomicU64::new(0),
            started_ms: options.started_ms,
            executable: options.executable,
            config_file: options.config_file,
            engine: options.engine,
            ticks: options.ticks,
            core_ports: options.core_ports,
            core_ids: (0..bells.len() as u64).map(name).collect(),
            hasher: options.hasher,
            config_log: ConfigLog::new(bells.len()),
            gauges: bells.iter().map(|_| Gauges::default()).collect(),
            bells,
            stopping: AtomicBool::new(false),
            other_held_bytes: AtomicI64::new(0),
        }
    }

    pub fn shards(&self) -> usize {
        self.gauges.len()
    }

    /// Memory in use by the whole process, in bytes, as of the shards' last turns.
    pub fn used_memory_bytes(&self) -> u64 {
        let shards: i64 = self.gauges.iter().map(|gauges| gauges.held_bytes.load(Ordering::Relaxed)).sum();
        (shards + self.other_held_bytes.load(Ordering::Relaxed)).max(0) as u64
    }

    /// Looks how much memory is in use, for the two that follow; call now and then.
    pub fn note_memory(&self) {
        let used = self.used_memory_bytes();
        self.peak_bytes.fetch_max(used, Ordering::Relaxed);
        let told = |gauges: &Gauges| gauges.held_bytes.load(Ordering::Relaxed) != 0;
        if self.startup_memory_bytes() == 0 && self.gauges.iter().all(told) {
            self.startup_bytes.store(used, Ordering::Relaxed);
        }
    }

    /// The most memory that was in use, in bytes.
    pub fn peak_memory_bytes(&self) -> u64 {
        self.peak_bytes.load(Ordering::Relaxed)
    }

    /// Memory that was in use at the start, in bytes.
    pub fn startup_memory_bytes(&self) -> u64 {
        self.startup_bytes.load(Ordering::Relaxed)
    }

    /// Connections of the whole process, as of the shards' last turns.
    pub fn clients(&self) -> u64 {
        self.gauges.iter().map(|gauges| gauges.clients.load(Ordering::Relaxed)).sum()
    }

    /// Asks every shard to end.
    pub fn stop(&self) {
        self.stopping.store(true, Ordering::SeqCst);
        self.bells.iter().for_each(Bell::ring_always);
    }

    #[inline]
    pub fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Relaxed)
    }
}
