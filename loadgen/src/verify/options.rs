//! The command line of `verify`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use crate::options::{ServerOptions, parse_seconds};

/// Operations that a history holds: about 64 bytes each, and as much again while they are judged.
const OPERATIONS_MAX: u64 = 5_000_000;

/// Clients are numbered with 16 bits, and the last number is the reader's at the end.
const CLIENTS_MAX: i64 = 10_000;

/// What clients do, and what is judged of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, ValueEnum)]
pub enum Check {
    /// SET, GET, GETSET, SET NX, DEL, WATCH with MULTI and EXEC: every key is linearizable.
    Registers,
    /// INCR, INCRBY, GET: every key is linearizable.
    Counters,
    /// MULTI, DECRBY, INCRBY, EXEC, read by MGET and EXEC: the sum stays, every account is linearizable.
    Transfers,
    /// LPUSH, RPUSH, LPOP, RPOP, LMOVE and the blocking ones: no element is lost or doubled, the first goes
    /// first.
    Lists,
    /// A later command's effect is never seen without that of an earlier one of its pipeline.
    Pipelines,
    /// SET, APPEND and INCR of several keys, alone, in pipelines, in MSET and in MULTI: strictly serializable.
    Append,
}

impl Check {
    pub const ALL: [Check; 6] =
        [Check::Registers, Check::Counters, Check::Transfers, Check::Lists, Check::Pipelines, Check::Append];

    pub fn name(self) -> &'static str {
        match self {
            Check::Registers => "registers",
            Check::Counters => "counters",
            Check::Transfers => "transfers",
            Check::Lists => "lists",
            Check::Pipelines => "pipelines",
            Check::Append => "append",
        }
    }
}

/// Loads a server, records every operation with its times, and judges whether the replies can be right.
///
/// Exit code 0: an order of all operations explains every reply; 1: bad options, error replies, or a fault:
/// it is told in one sentence, with the smallest history that still shows it; 2: the server is gone.
///
/// Connections may break, and the server may be restarted meanwhile: clients connect again, and operations
/// whose reply never came may have happened or not. A server that restarts has to keep what it acknowledged.
/// All keys begin with "verify:" and a number of the run, and are deleted at the end.
#[derive(Debug, Clone, Args)]
pub struct VerifyOptions {
    #[command(flatten)]
    pub server: ServerOptions,
    /// Clients, each with a connection and a thread of its own.
    #[arg(short, long, default_value_t = 16, value_parser = clap::value_parser!(u16).range(1..=CLIENTS_MAX))]
    pub clients: u16,
    /// Commands of a pipeline, at most; 1: every command waits for the reply to the one before.
    #[arg(short = 'P', long, default_value_t = 8, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub pipeline: u32,
    /// How long to load.
    #[arg(long, value_name = "SECONDS", default_value = "10", value_parser = parse_seconds)]
    pub seconds: f64,
    /// Seed of what the clients do; when they do it is up to the machine.
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Keys of each check that are in use at a time: the fewer, the more often clients meet.
    #[arg(short = 'r', long, default_value_t = 8, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub keys: u32,
    /// Operations on a key, on average, until the clients go on to fresh keys.
    #[arg(long, value_name = "NUMBER", default_value_t = 1_000,
          value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    pub key_operations: u64,
    /// What to do and to judge.
    #[arg(
        long,
        value_name = "NAMES",
        value_delimiter = ',',
        default_value = "registers,counters,transfers,lists,pipelines,append"
    )]
    pub checks: Vec<Check>,
    /// Ends the load when so many operations are recorded: what memory has to hold.
    #[arg(long, value_name = "NUMBER", default_value_t = OPERATIONS_MAX,
          value_parser = clap::value_parser!(u64).range(1..=1 << 31))]
    pub operations: u64,
    /// Keeps the history in this file, as a line of JSON for each operation.
    #[arg(long, value_name = "FILE")]
    pub history: Option<PathBuf>,
    /// Judges a history that was kept, instead of loading a server.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["history", "seconds", "clients", "pipeline"])]
    pub check: Option<PathBuf>,
    /// Takes a connection for broken when no reply came for so long, and the server for gone when none can
    /// be made for so long.
    #[arg(long, value_name = "SECONDS", default_value = "10", value_parser = parse_seconds)]
    pub timeout: f64,
    /// Leaves the keys in the server.
    #[arg(long)]
    pub keep_keys: bool,
}

impl VerifyOptions {
    /// The command line that loads in the same way; a password is left out.
    pub fn command_line(&self) -> String {
        let mut words = vec!["polder-loadgen verify".to_string()];
        let server = &self.server;
        match &server.socket {
            Some(path) => words.push(format!("-s {}", path.display())),
            None => words.push(format!("-h {} -p {}", server.host, server.port)),
        }
        words.extend(server.user.iter().map(|user| format!("--user {user}")));
        words.extend(server.password.iter().map(|_| "-a PASSWORD".to_string()));
        if server.database != 0 {
            words.push(format!("--dbnum {}", server.database));
        }
        words.extend(server.tls.words());
        let checks: Vec<&str> = self.checks.iter().map(|check| check.name()).collect();
        words.push(format!(
            "-c {} -P {} -r {} --key-operations {} --seconds {} --checks {} --seed {}",
            self.clients,
            self.pipeline,
            self.keys,
            self.key_operations,
            self.seconds,
            checks.join(","),
            self.seed
        ));
        words.join(" ")
    }
}
