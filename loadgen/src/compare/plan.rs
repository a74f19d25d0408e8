//! What is measured: the setups, the cells measured in each, and the rows that come out with their targets.

use clap::ValueEnum;
use serde::Serialize;

/// Bytes of every value.
pub const VALUE_BYTES: u32 = 32;
const KEYS: u64 = 100_000;
/// More than any cache holds.
const KEYS_LARGE: u64 = 4_000_000;
const CLIENTS: u32 = 50;
const CLIENTS_MANY: u32 = 1000;
const PIPELINES: [u32; 3] = [1, 16, 64];
const TESTS: [&str; 2] = ["set", "get"];

/// A part of the run that can be chosen alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ValueEnum)]
pub enum Part {
    /// One shard against redis-server: pipelines, many connections, one connection.
    OneShard,
    /// The same with more keys than caches hold.
    Large,
    /// Four shards on one core against redis-server.
    FourShards,
    /// Four shards, each key sent to its owner, against one shard.
    Cluster,
    /// The same load by redis-benchmark.
    RedisBenchmark,
}

/// A server as it is started.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
pub enum Setup {
    Redis,
    OneShard,
    FourShards,
    Cluster,
}

/// One load: what, by how many, how deep, on how many keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
pub struct Cell {
    pub test: &'static str,
    pub clients: u32,
    pub pipeline: u32,
    pub keys: u64,
}

impl Part {
    pub const ALL: [Part; 5] =
        [Part::OneShard, Part::FourShards, Part::Cluster, Part::Large, Part::RedisBenchmark];

    pub fn name(self) -> &'static str {
        match self {
            Part::OneShard => "one shard",
            Part::Large => "4M keys",
            Part::FourShards => "four shards on one core",
            Part::Cluster => "four shards, cluster client",
            Part::RedisBenchmark => "redis-benchmark",
        }
    }

    /// In how many of the rounds the part is measured.
    pub fn rounds(self, rounds: u32, quick: bool) -> u32 {
        match self {
            // Loading millions of keys and redis-benchmark's runs take long.
            Part::Large | Part::RedisBenchmark if quick => 1,
            Part::Large | Part::RedisBenchmark => rounds.min(3),
            _ => rounds,
        }
    }

    pub fn setups(self) -> Vec<Setup> {
        match self {
            Part::OneShard | Part::Large | Part::RedisBenchmark => vec![Setup::Redis, Setup::OneShard],
            Part::FourShards => vec![Setup::FourShards],
            Part::Cluster => vec![Setup::Cluster],
        }
    }

    pub fn cells(self) -> Vec<Cell> {
        let each_test = |clients, pipeline, keys| TESTS.map(|test| Cell { test, clients, pipeline, keys });
        let mut cells: Vec<Cell> = match self {
            Part::Large => return each_test(CLIENTS, 64, KEYS_LARGE).to_vec(),
            _ => PIPELINES.iter().flat_map(|&pipeline| each_test(CLIENTS, pipeline, KEYS)).collect(),
        };
        if self == Part::OneShard {
            cells.extend(each_test(CLIENTS_MANY, 1, KEYS));
            cells.extend(each_test(1, 1, KEYS));
        }
        cells
    }
}

impl Setup {
    pub fn name(self) -> &'static str {
        match self {
            Setup::Redis => "redis-server",
            Setup::OneShard => "polder, one shard",
            Setup::FourShards => "polder, four shards on one core",
            Setup::Cluster => "polder, four shards, cluster client",
        }
    }

    pub fn arguments(self, port: u16, cpu: usize) -> Vec<String> {
        let mut words = vec!["--port".to_string(), port.to_string(), "--bind".into(), "127.0.0.1".into()];
        let mut add = |more: &[&str]| words.extend(more.iter().map(|word| word.to_string()));
        add(&["--save", "", "--appendonly", "no"]);
        if self == Setup::Redis {
            return words;
        }
        add(&["--shards", if self == Setup::OneShard { "1" } else { "4" }, "--cpus", &cpu.to_string()]);
        if self == Setup::Cluster {
            add(&["--core-cluster", "yes"]);
        }
        words
    }
}

/// What a row must reach.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub enum Target {
    /// Requests per processor second, as a multiple of redis-server's, at least.
    TimesRedis(f64),
    /// Processor time per request, as a multiple of one shard's, at most.
    TimesOneShard(f64),
    /// Median and 99th percentile of latency no worse than redis-server's.
    LatencyOfRedis,
}

/// A row of the result: a cell, measured in a setup, and its target.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Row {
    pub name: &'static str,
    pub setup: Setup,
    pub cell: Cell,
    pub target: Target,
}

/// All rows, whether or not they were measured.
pub fn rows() -> Vec<Row> {
    let mut rows = Vec::new();
    let mut add = |name, setup, clients, pipeline, keys, target| {
        let cells = TESTS.map(|test| Cell { test, clients, pipeline, keys });
        rows.extend(cells.map(|cell| Row { name, setup, cell, target }));
    };
    for (pipeline, times) in PIPELINES.into_iter().zip([1.25, 2.0, 3.0]) {
        add("one shard", Setup::OneShard, CLIENTS, pipeline, KEYS, Target::TimesRedis(times));
    }
    add("4M keys", Setup::OneShard, CLIENTS, 64, KEYS_LARGE, Target::TimesRedis(3.0));
    add("1,000 connections", Setup::OneShard, CLIENTS_MANY, 1, KEYS, Target::TimesRedis(1.15));
    for (pipeline, times) in PIPELINES.into_iter().zip([1.0, 1.5, 2.0]) {
        add("four shards on one core", Setup::FourShards, CLIENTS, pipeline, KEYS, Target::TimesRedis(times));
    }
    for pipeline in PIPELINES {
        let target = Target::TimesOneShard(1.08);
        add("four shards, cluster client", Setup::Cluster, CLIENTS, pipeline, KEYS, target);
    }
    add("one connection", Setup::OneShard, 1, 1, KEYS, Target::LatencyOfRedis);
    rows
}
