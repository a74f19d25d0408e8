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
const PIPELINES_OF_TRANSACTIONS: [u32; 2] = [1, 16];
const TESTS: [&str; 2] = ["set", "get"];
const TESTS_OF_TRANSACTIONS: [&str; 4] = ["mset", "mget", "exec-tag", "exec-random"];
/// Requests of one key, and the same with every hundredth an MSET of ten.
const TESTS_OF_MIXTURES: [&str; 4] = ["set", "set-1pct-mset", "get", "get-1pct-mset"];
/// With the number of keys, fields or elements.
const TESTS_OF_TYPES: [(&str, u64); 14] = [
    ("hset", KEYS),
    ("hgetall", KEYS),
    ("lpush", KEYS),
    ("lrange_100", KEYS),
    ("sadd", KEYS),
    ("sismember", KEYS),
    ("zadd", MILLION),
    ("zrange_100", MILLION),
    ("zrank", MILLION),
    ("xadd", KEYS),
    ("xreadgroup", 2 * MILLION),
    ("pfadd", MILLION),
    ("bitcount", 1),
    ("geosearch", MILLION),
];
const MILLION: u64 = 1_000_000;
/// Each of these has five counters.
const TAGS: u64 = 20_000;
/// Shards, all on one processor, that have to work together.
const SHARDS: [u8; 3] = [2, 4, 8];

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
    /// Commands and transactions of several keys, on one to eight shards.
    Transactions,
    /// Pipelines of single keys on several shards, in strict order and concurrently.
    Order,
    /// The usual commands of every type against redis-server.
    Types,
    /// What collections take in memory.
    Memory,
    /// Requests of single keys beside one per cent of MSETs, on one to eight shards.
    Mixed,
}

/// A server as it is started.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
pub enum Setup {
    Redis,
    /// So many shards on one core, as they are by default.
    Shards(u8),
    /// The same with `pipeline-order concurrent`.
    Concurrent(u8),
    /// Four shards as nodes of a cluster.
    Cluster,
}

/// What every row that is no other setup's is about.
pub const ONE_SHARD: Setup = Setup::Shards(1);

/// One load: what, by how many, how deep, on how many keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
pub struct Cell {
    pub test: &'static str,
    pub clients: u32,
    pub pipeline: u32,
    pub keys: u64,
}

impl Part {
    /// What is measured when nothing is chosen.
    pub const DEFAULT: [Part; 5] =
        [Part::OneShard, Part::FourShards, Part::Cluster, Part::Large, Part::RedisBenchmark];
    /// The parts without targets: their rows only say what a request costs beside redis-server.
    pub const WITHOUT_TARGETS: [Part; 3] = [Part::Transactions, Part::Order, Part::Mixed];

    pub fn name(self) -> &'static str {
        match self {
            Part::OneShard => "one shard",
            Part::Large => "4M keys",
            Part::FourShards => "four shards on one core",
            Part::Cluster => "four shards, cluster client",
            Part::RedisBenchmark => "redis-benchmark",
            Part::Transactions => "several keys",
            Part::Order => "order of pipelines",
            Part::Types => "types",
            Part::Memory => "memory",
            Part::Mixed => "single keys beside 1 % of MSETs",
        }
    }

    /// In how many of the rounds the part is measured.
    pub fn rounds(self, rounds: u32, quick: bool) -> u32 {
        match self {
            // Loading millions of keys and redis-benchmark's runs take long.
            Part::Memory => 1,
            Part::Large | Part::RedisBenchmark if quick => 1,
            Part::Large | Part::RedisBenchmark => rounds.min(3),
            // They have so many setups that two rounds take the time of three others.
            _ if quick && Part::WITHOUT_TARGETS.contains(&self) => rounds.min(2),
            _ => rounds,
        }
    }

    pub fn setups(self) -> Vec<Setup> {
        let several = SHARDS.into_iter();
        match self {
            Part::OneShard | Part::Large | Part::RedisBenchmark | Part::Types | Part::Memory => {
                vec![Setup::Redis, ONE_SHARD]
            }
            Part::FourShards => vec![Setup::Shards(4)],
            Part::Cluster => vec![Setup::Cluster],
            Part::Transactions | Part::Mixed => {
                [Setup::Redis, ONE_SHARD].into_iter().chain(several.map(Setup::Shards)).collect()
            }
            Part::Order => {
                let both = several.flat_map(|shards| [Setup::Shards(shards), Setup::Concurrent(shards)]);
                std::iter::once(Setup::Redis).chain(both).collect()
            }
        }
    }

    pub fn cells(self) -> Vec<Cell> {
        let each_test = |clients, pipeline, keys| TESTS.map(|test| Cell { test, clients, pipeline, keys });
        let each_of = |tests: &[&'static str], pipelines: &[u32]| -> Vec<Cell> {
            let pairs =
                pipelines.iter().flat_map(|&pipeline| tests.iter().map(move |&test| (test, pipeline)));
            let keys = |test| if test == "exec-tag" { TAGS } else { KEYS };
            pairs
                .map(|(test, pipeline)| Cell { test, clients: CLIENTS, pipeline, keys: keys(test) })
                .collect()
        };
        let mut cells: Vec<Cell> = match self {
            Part::Memory => return Vec::new(),
            Part::Types => return types().into_iter().map(|(cell, _)| cell).collect(),
            Part::Large => return each_test(CLIENTS, 64, KEYS_LARGE).to_vec(),
            Part::Transactions => return each_of(&TESTS_OF_TRANSACTIONS, &PIPELINES_OF_TRANSACTIONS),
            Part::Mixed => return each_of(&TESTS_OF_MIXTURES, &PIPELINES_OF_TRANSACTIONS),
            _ => each_of(&TESTS, &PIPELINES),
        };
        if self == Part::OneShard {
            cells.extend(each_test(CLIENTS_MANY, 1, KEYS));
            cells.extend(each_test(1, 1, KEYS));
        }
        cells
    }
}

impl Setup {
    pub fn name(self) -> String {
        let words = ["no", "one", "two", "three", "four", "five", "six", "seven", "eight"];
        let several = |shards: u8| match words.get(usize::from(shards)) {
            Some(word) => format!("polder, {word} shards on one core"),
            None => format!("polder, {shards} shards on one core"),
        };
        match self {
            Setup::Redis => "redis-server".into(),
            Setup::Shards(1) => "polder, one shard".into(),
            Setup::Shards(shards) => several(shards),
            Setup::Concurrent(shards) => several(shards) + ", concurrent",
            Setup::Cluster => "polder, four shards, cluster client".into(),
        }
    }

    pub fn arguments(self, port: u16, cpu: usize) -> Vec<String> {
        let mut words = vec!["--port".to_string(), port.to_string(), "--bind".into(), "127.0.0.1".into()];
        let mut add = |more: &[&str]| words.extend(more.iter().map(|word| word.to_string()));
        add(&["--save", "", "--appendonly", "no"]);
        let shards = match self {
            Setup::Redis => return words,
            Setup::Shards(shards) | Setup::Concurrent(shards) => shards,
            Setup::Cluster => 4,
        };
        add(&["--shards", &shards.to_string(), "--cpus", &cpu.to_string()]);
        match self {
            Setup::Concurrent(_) => add(&["--pipeline-order", "concurrent"]),
            Setup::Cluster => add(&["--core-cluster", "yes"]),
            _ => {}
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

/// The cells of [`Part::Types`], and how many times redis-server's requests per processor second they must
/// reach.
fn types() -> Vec<(Cell, f64)> {
    let mut cells = Vec::new();
    let mut add = |test, clients, pipeline, keys, times| {
        cells.push((Cell { test, clients, pipeline, keys }, times));
    };
    for (test, keys) in TESTS_OF_TYPES {
        add(test, CLIENTS, 16, keys, 1.7);
    }
    // Hundred thousand elements each.
    for test in ["zunionstore", "sinter"] {
        add(test, 2, 1, KEYS, 1.5);
    }
    cells
}

/// All rows, whether or not they were measured.
pub fn rows() -> Vec<Row> {
    let mut rows = Vec::new();
    let mut add = |name, setup, clients, pipeline, keys, target| {
        let cells = TESTS.map(|test| Cell { test, clients, pipeline, keys });
        rows.extend(cells.map(|cell| Row { name, setup, cell, target }));
    };
    for (pipeline, times) in PIPELINES.into_iter().zip([1.25, 2.0, 3.0]) {
        add("one shard", ONE_SHARD, CLIENTS, pipeline, KEYS, Target::TimesRedis(times));
    }
    add("4M keys", ONE_SHARD, CLIENTS, 64, KEYS_LARGE, Target::TimesRedis(3.0));
    add("1,000 connections", ONE_SHARD, CLIENTS_MANY, 1, KEYS, Target::TimesRedis(1.15));
    for (pipeline, times) in PIPELINES.into_iter().zip([1.0, 1.5, 2.0]) {
        add("four shards on one core", Setup::Shards(4), CLIENTS, pipeline, KEYS, Target::TimesRedis(times));
    }
    for pipeline in PIPELINES {
        let target = Target::TimesOneShard(1.08);
        add("four shards, cluster client", Setup::Cluster, CLIENTS, pipeline, KEYS, target);
    }
    add("one connection", ONE_SHARD, 1, 1, KEYS, Target::LatencyOfRedis);
    let row =
        |(cell, times)| Row { name: "types", setup: ONE_SHARD, cell, target: Target::TimesRedis(times) };
    rows.extend(types().into_iter().map(row));
    rows
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::Test;

    #[test]
    fn every_test_is_known() {
        for part in <Part as ValueEnum>::value_variants() {
            for cell in part.cells() {
                assert!(Test::named(cell.test, 3).is_some(), "{}", cell.test);
            }
        }
    }

    #[test]
    fn rows_are_measured() {
        let measured = |row: &Row| {
            let parts = Part::DEFAULT.into_iter().chain([Part::Types]);
            let mut holding = parts.filter(|part| part.setups().contains(&row.setup));
            holding.any(|part| part.cells().contains(&row.cell))
        };
        for row in rows() {
            assert!(measured(&row), "{row:?}");
        }
    }

    #[test]
    fn parts_without_targets_have_their_reference() {
        for part in Part::WITHOUT_TARGETS {
            assert_eq!(part.setups()[0], Setup::Redis);
            let cells = part.cells();
            let distinct: std::collections::HashSet<Cell> = cells.iter().copied().collect();
            assert_eq!(distinct.len(), cells.len());
            assert!(!Part::DEFAULT.contains(&part));
        }
        assert_eq!(Part::Transactions.cells().len(), 8);
        assert_eq!(Part::Order.setups().len(), 7);
    }

    #[test]
    fn flags_of_the_servers() {
        let flags = |setup: Setup| setup.arguments(7000, 3).join(" ");
        let common = "--port 7000 --bind 127.0.0.1 --save  --appendonly no";
        assert_eq!(flags(Setup::Redis), common);
        assert_eq!(flags(ONE_SHARD), format!("{common} --shards 1 --cpus 3"));
        let concurrent = format!("{common} --shards 8 --cpus 3 --pipeline-order concurrent");
        assert_eq!(flags(Setup::Concurrent(8)), concurrent);
        assert_eq!(flags(Setup::Cluster), format!("{common} --shards 4 --cpus 3 --core-cluster yes"));
        assert_eq!(Setup::Shards(2).name(), "polder, two shards on one core");
    }
}
