//! The command line: redis-benchmark's flags where they mean the same, and our own.

use std::path::PathBuf;

use clap::{ArgAction, Args, Parser, ValueEnum};

use crate::client::{Address, Handshake};
use crate::command::{DEFAULT_TESTS, Test, test_names};
use crate::draws::DrawOptions;
use crate::error::Failure;
use crate::keys::RANGE_MAX;
use crate::processes::parse_cpus;
use crate::tls::TlsOptions;

/// A load generator for RESP servers, on the engine of polder-server.
///
/// Closed loop: each connection sends a pipeline of commands, waits for all its replies and sends the next;
/// latency is counted for each command from the moment it was sent. Open loop (--rate): commands are sent at
/// their times whatever the server does, and latency is counted from those times, too. Exit code 0: done;
/// 1: bad options, or replies that were errors or wrong; 2: the server is gone; 3: the generator, not the
/// server, was the bottleneck of an open loop; 130: ended early with Ctrl-C, which leaves the result so far.
#[derive(Debug, Parser)]
#[command(name = "polder-loadgen", version, disable_help_flag = true, args_conflicts_with_subcommands = true)]
pub struct Cli {
    #[command(subcommand)]
    pub subcommand: Option<Subcommand>,
    #[command(flatten)]
    pub load: LoadOptions,
    /// Prints this help.
    #[arg(long, action = ArgAction::Help, global = true)]
    help: Option<bool>,
}

#[derive(Debug, clap::Subcommand)]
pub enum Subcommand {
    /// Starts any two servers in turns and compares them under the same load.
    Compare(Box<crate::compare::CompareOptions>),
    /// Starts a server and reproduces what is claimed of it, one claim after the other.
    Claims(Box<crate::claims::ClaimsOptions>),
    /// Makes polder-server's own table: what a request costs it beside redis-server, with its targets.
    Bench(BenchOptions),
    /// Measures what a request costs load generators: this one, redis-benchmark, memtier_benchmark.
    Generators(Box<crate::generators::GeneratorsOptions>),
    Verify(Box<crate::verify::options::VerifyOptions>),
    /// Searches the highest rate whose 99th percentile of response times keeps a limit.
    #[command(disable_help_flag = true)]
    FindRate(Box<crate::find_rate::FindRateOptions>),
    /// Lists the built-in profiles, or prints one.
    Profiles {
        /// Name of the profile to print.
        name: Option<String>,
    },
    /// Merges interval logs and results of several generators into common percentiles.
    Merge(crate::merge::MergeOptions),
    /// Makes one HTML page with plots of one or several results.
    Report(crate::page::ReportOptions),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum EngineChoice {
    /// io_uring if it works here, else epoll.
    Auto,
    #[value(name = "io_uring")]
    IoUring,
    Epoll,
}

/// Where the server is, and what a connection says of itself.
#[derive(Debug, Clone, Args)]
pub struct ServerOptions {
    /// Host of the server.
    #[arg(short = 'h', long, value_name = "HOST", default_value = "127.0.0.1")]
    pub host: String,
    /// Port of the server.
    #[arg(short, long, default_value_t = 6379)]
    pub port: u16,
    /// Unix socket of the server, instead of host and port.
    #[arg(short, long, value_name = "PATH")]
    pub socket: Option<PathBuf>,
    /// Password to authenticate with.
    #[arg(short = 'a', long = "pass", value_name = "PASSWORD")]
    pub password: Option<String>,
    /// User to authenticate as; needs a password.
    #[arg(long, value_name = "NAME", requires = "password")]
    pub user: Option<String>,
    /// Database to select.
    #[arg(long = "dbnum", value_name = "NUMBER", default_value_t = 0)]
    pub database: u32,
    #[command(flatten)]
    pub tls: TlsOptions,
}

impl ServerOptions {
    pub fn address(&self) -> Address {
        match &self.socket {
            Some(path) => Address::Unix(path.clone()),
            None => Address::Tcp { host: self.host.clone(), port: self.port },
        }
    }

    pub fn handshake(&self) -> Result<Handshake, Failure> {
        let (user, password) = (self.user.clone(), self.password.clone());
        if self.tls.tls && self.socket.is_some() {
            return Err(Failure::Options("--tls: no server speaks TLS on its unix socket (--socket)".into()));
        }
        let tls = self.tls.read().map_err(Failure::Options)?;
        Ok(Handshake { user, password, database: self.database, resp3: false, tls })
    }
}

#[derive(Debug, Clone, Args)]
pub struct LoadOptions {
    #[command(flatten)]
    pub server: ServerOptions,
    /// Parallel connections.
    #[arg(short, long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub clients: u32,
    /// Requests of each test.
    #[arg(short = 'n', long, default_value_t = 100_000, value_parser = clap::value_parser!(u64).range(1..))]
    pub requests: u64,
    /// Runs each test for so long, instead of for a number of requests.
    #[arg(long, value_name = "SECONDS", value_parser = parse_seconds, conflicts_with = "requests")]
    pub seconds: Option<f64>,
    /// Load before anything is counted: 0.5 with --seconds, else 0.
    #[arg(long, value_name = "SECONDS", value_parser = parse_seconds_or_none)]
    pub warmup: Option<f64>,
    /// Commands of a pipeline.
    #[arg(short = 'P', long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub pipeline: u32,
    /// Open loop: sends so many commands a second over all connections, such as 50k; --pipeline is then the
    /// most that a connection has under way.
    #[arg(long, value_name = "RATE", value_parser = parse_rate)]
    pub rate: Option<f64>,
    /// With --rate: the commands come as a Poisson process instead of at equal distances.
    #[arg(long, requires = "rate")]
    pub poisson: bool,
    /// Each connection is replaced by a new one after so many requests.
    #[arg(long, value_name = "REQUESTS", value_parser = clap::value_parser!(u64).range(1..))]
    pub reconnect_every: Option<u64>,
    /// Idle connections beside the load.
    #[arg(long, value_name = "CONNECTIONS", default_value_t = 0,
          value_parser = clap::value_parser!(u32).range(0..=1_000_000))]
    pub idle: u32,
    /// Speaks RESP3.
    #[arg(short = '3')]
    pub resp3: bool,
    /// Bytes of a value.
    #[arg(short = 'd', long = "data-size", value_name = "BYTES", default_value_t = 3,
          value_parser = clap::value_parser!(u32).range(1..=1 << 29))]
    pub value_bytes: u32,
    /// Draws keys at random from so many; without it, there is one.
    #[arg(short = 'r', long = "keyspace", value_name = "KEYS", default_value_t = 1,
          value_parser = clap::value_parser!(u64).range(1..=RANGE_MAX))]
    pub keys: u64,
    #[command(flatten)]
    pub draws: DrawOptions,
    /// A workload from a file, or a built-in one (see the subcommand profiles), instead of tests.
    #[arg(long, value_name = "FILE|NAME", conflicts_with_all = ["tests", "command", "preload"])]
    pub profile: Option<String>,
    /// With --profile: its keys are there already.
    #[arg(long, requires = "profile")]
    pub no_preload: bool,
    /// Repeats the load with one setting changed: pipeline=1..1024 (doubling), clients=1,10,100, value=8..64k,
    /// rate=10k..1m; or shards=1,2,4, for each of which --server starts anew.
    #[arg(long, value_name = "SETTING=VALUES", value_parser = crate::sweep::parse)]
    pub sweep: Option<crate::sweep::Sweep>,
    /// Tests to run, one after the other: set,get,… (a wrong name lists all).
    #[arg(short, long, value_name = "NAMES", default_value = DEFAULT_TESTS)]
    pub tests: String,
    /// One line for each test.
    #[arg(short, long)]
    pub quiet: bool,
    /// Results as comma-separated values.
    #[arg(long, conflicts_with = "quiet")]
    pub csv: bool,
    /// Writes the results as JSON, too.
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
    /// Writes an HdrHistogram interval log, too: each second's latencies, of all commands and of each.
    #[arg(long, value_name = "FILE")]
    pub hdr_log: Option<PathBuf>,
    /// Threads of the generator.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1024))]
    pub threads: u32,
    /// Pins the threads to these processors, such as 1 or 4-7.
    #[arg(long, value_name = "LIST", value_parser = CpuListParser)]
    pub cpus: Option<CpuList>,
    /// How sockets are served.
    #[arg(long, value_enum, default_value_t = EngineChoice::Auto)]
    pub engine: EngineChoice,
    /// The server's process on this machine: tells what a request costs it in processor time.
    #[arg(long, value_name = "PID")]
    pub server_pid: Option<u32>,
    #[command(flatten)]
    pub start: crate::servers::StartOptions,
    /// Shards of the server that was started for this step of a sweep.
    #[arg(skip)]
    pub shards: Option<u32>,
    /// Sets all keys that the tests read or count first.
    #[arg(long)]
    pub preload: bool,
    /// Asks CLUSTER SLOTS and sends each key to the node that owns it. The keys of a profile's request must share
    /// a slot (a hash tag).
    #[arg(long, conflicts_with = "socket")]
    pub cluster: bool,
    /// Seed of the random keys.
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Gives up when no reply came for so long.
    #[arg(long, value_name = "SECONDS", default_value = "10", value_parser = parse_seconds)]
    pub timeout: f64,
    /// A command of your own instead of tests; __rand_int__ in it becomes random digits, __data__ a value.
    #[arg(value_name = "COMMAND", trailing_var_arg = true)]
    pub command: Vec<String>,
}

/// With `--seconds`, when nothing else is said.
const WARMUP_SECONDS: f64 = 0.5;

impl Default for ServerOptions {
    /// What an empty command line says.
    fn default() -> Self {
        LoadOptions::default().server
    }
}

impl Default for LoadOptions {
    /// What an empty command line says.
    fn default() -> Self {
        Cli::parse_from(["polder-loadgen"]).load
    }
}

impl LoadOptions {
    pub fn address(&self) -> Address {
        self.server.address()
    }

    pub fn handshake(&self) -> Result<Handshake, Failure> {
        Ok(Handshake { resp3: self.resp3, ..self.server.handshake()? })
    }

    pub fn warmup_seconds(&self) -> f64 {
        self.warmup.unwrap_or(if self.seconds.is_some() { WARMUP_SECONDS } else { 0.0 })
    }

    /// The tests in the order of the command line.
    pub fn chosen_tests(&self) -> Result<Vec<Test>, Failure> {
        let value_bytes = self.value_bytes as usize;
        if !self.command.is_empty() {
            return Ok(vec![Test::of_words(&self.command, value_bytes)]);
        }
        let names = self.tests.split(',').map(str::trim);
        let tests = names.map(|name| {
            Test::named(name, value_bytes).ok_or_else(|| {
                Failure::Options(format!("-t: there is no test '{name}'; there are {}", test_names()))
            })
        });
        tests.collect()
    }

    /// The tests that set the keys which the chosen ones want to find, each once.
    pub fn preloading_tests(&self) -> Result<Vec<Test>, Failure> {
        let mut names: Vec<&str> = Vec::new();
        for name in self.chosen_tests()?.iter().flat_map(|test| test.preload) {
            if !names.contains(name) {
                names.push(name);
            }
        }
        Ok(names.iter().filter_map(|name| Test::named(name, self.value_bytes as usize)).collect())
    }
}

#[derive(Debug, Clone, Args)]
pub struct BenchOptions {
    /// Two minutes instead of ten: fewer and shorter rounds.
    #[arg(long)]
    pub quick: bool,
    /// Rounds, each with fresh servers.
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub rounds: Option<u32>,
    /// Length of each measurement.
    #[arg(long, value_name = "SECONDS", value_parser = parse_seconds)]
    pub seconds: Option<f64>,
    /// Only these parts: one-shard, large, four-shards, cluster, redis-benchmark; transactions, order, mixed,
    /// types and memory are measured only if they are named.
    #[arg(long, value_name = "PARTS", value_delimiter = ',')]
    pub only: Vec<crate::bench::Part>,
    /// Name of the run: the files are DIRECTORY/DATE-NAME.md and .json.
    #[arg(long, default_value = "compare")]
    pub name: String,
    /// Where the files go.
    #[arg(long, value_name = "DIRECTORY", default_value = "benches/runs")]
    pub output: PathBuf,
    /// polder-server to start; by default the one beside this program.
    #[arg(long, value_name = "PATH")]
    pub polder: Option<PathBuf>,
    /// redis-server to start.
    #[arg(long, value_name = "PATH", default_value = "redis-server")]
    pub redis: PathBuf,
    /// Processor of the servers.
    #[arg(long, value_name = "CPU", default_value_t = 0)]
    pub server_cpu: usize,
    /// Processor of the load.
    #[arg(long, value_name = "CPU", default_value_t = 1)]
    pub load_cpu: usize,
    /// First of the ports that the servers use.
    #[arg(long, default_value_t = 17_300)]
    pub port: u16,
    /// How sockets are served in the generator.
    #[arg(long, value_enum, default_value_t = EngineChoice::Auto)]
    pub engine: EngineChoice,
    /// A further flag for polder-server, such as '--engine epoll'; may be repeated.
    #[arg(long, value_name = "FLAGS", allow_hyphen_values = true)]
    pub polder_flags: Vec<String>,
    /// Holds an exclusive lock on this file while a server is measured, as flock(1) does: others that take
    /// the lock then stay out of the way.
    #[arg(long, value_name = "FILE")]
    pub lock: Option<PathBuf>,
}

/// A list of processors; a type of its own, since clap takes a vector for a repeated flag.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CpuList(pub Vec<usize>);

#[derive(Debug, Clone)]
pub struct CpuListParser;

impl clap::builder::TypedValueParser for CpuListParser {
    type Value = CpuList;

    fn parse_ref(
        &self,
        command: &clap::Command,
        _: Option<&clap::Arg>,
        value: &std::ffi::OsStr,
    ) -> Result<CpuList, clap::Error> {
        parse_cpus(&value.to_string_lossy()).map(CpuList).map_err(|reason| {
            clap::Error::raw(clap::error::ErrorKind::ValueValidation, format!("--cpus: {reason}\n"))
                .with_cmd(command)
        })
    }
}

pub fn parse_seconds(text: &str) -> Result<f64, String> {
    let seconds = parse_seconds_or_none(text)?;
    if seconds > 0.0 { Ok(seconds) } else { Err("must be more than 0".into()) }
}

/// A number of commands a second; k and m are thousands and millions.
pub fn parse_rate(text: &str) -> Result<f64, String> {
    let lower = text.to_ascii_lowercase();
    let (number, unit) = match lower.as_bytes().last() {
        Some(b'k') => (&lower[..lower.len() - 1], 1e3),
        Some(b'm') => (&lower[..lower.len() - 1], 1e6),
        _ => (&lower[..], 1.0),
    };
    match number.parse::<f64>().map(|number| number * unit) {
        Ok(rate) if (0.001..=1e9).contains(&rate) => Ok(rate),
        _ => Err("is no number of commands a second, such as 500, 20k or 1.5m".into()),
    }
}

fn parse_seconds_or_none(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(seconds) if (0.0..=1e6).contains(&seconds) => Ok(seconds),
        _ => Err("is no number of seconds".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<LoadOptions, String> {
        let words = std::iter::once("polder-loadgen").chain(line.split_whitespace());
        Cli::try_parse_from(words).map(|cli| cli.load).map_err(|error| error.to_string())
    }

    #[test]
    fn flags_of_redis_benchmark() {
        let options = parse(
            "-h ::1 -p 7000 -c 10 -n 5000 -P 16 -d 32 -r 100000 -t set,get,INCR -q --threads 2 -a pw \
             --user u --dbnum 3",
        )
        .unwrap();
        assert_eq!(options.address(), Address::Tcp { host: "::1".into(), port: 7000 });
        assert_eq!((options.clients, options.requests, options.pipeline), (10, 5000, 16));
        assert_eq!((options.value_bytes, options.keys, options.threads), (32, 100_000, 2));
        assert_eq!(options.chosen_tests().unwrap().len(), 3);
        assert_eq!(options.handshake().unwrap().user.as_deref(), Some("u"));
        assert!(options.quiet && !options.csv);
        assert_eq!(options.warmup_seconds(), 0.0);
        let preloading = |line: &str| -> Vec<String> {
            parse(line).unwrap().preloading_tests().unwrap().into_iter().map(|test| test.name).collect()
        };
        assert_eq!(preloading("-t get,mget,set-1pct-mset,ping"), ["SET"]);
        assert_eq!(preloading("-t exec-random,incr,exec-tag,mset"), ["INCR", "EXEC-TAG", "SET"]);
        assert_eq!(preloading("GET key:__rand_int__"), ["SET"]);
        let options = parse("-s /tmp/x.sock --csv").unwrap();
        assert_eq!(options.address(), Address::Unix("/tmp/x.sock".into()));
        let options = parse("-n 10 SET key:__rand_int__ -x").unwrap();
        assert_eq!(options.command, ["SET", "key:__rand_int__", "-x"]);
    }

    #[test]
    fn flags_of_our_own() {
        let options = parse("--seconds 2.5 --cpus 1,4-5 --engine epoll --server-pid 7 --preload").unwrap();
        assert_eq!(options.seconds, Some(2.5));
        assert_eq!(options.warmup_seconds(), WARMUP_SECONDS);
        assert_eq!(options.cpus, Some(CpuList(vec![1, 4, 5])));
        assert_eq!(options.engine, EngineChoice::Epoll);
        assert_eq!(parse("--seconds 2 --warmup 0").unwrap().warmup_seconds(), 0.0);
    }

    #[test]
    fn wrong_flags_are_named() {
        for (line, part) in [
            ("-c 0", "--clients"),
            ("-P 0", "--pipeline"),
            ("-r 0", "--keyspace"),
            ("-n x", "--requests"),
            ("--seconds 0", "--seconds"),
            ("--seconds 1 -n 5", "--requests"),
            ("--cpus a", "--cpus"),
            ("--engine kqueue", "--engine"),
            ("--user u", "--pass"),
            ("--theta x", "--theta"),
            ("--distribution zipf", "zipfian"),
            ("--distribution zipfian --cluster", "--cluster"),
            ("--distribution hot --hot-keys 0.1", "--hot-share"),
            ("--nonsense", "--nonsense"),
        ] {
            let error = parse(line).unwrap_err();
            assert!(error.contains(part), "{line}: {error}");
        }
        let error = parse("-t set,nonsense").unwrap().chosen_tests().unwrap_err().to_string();
        assert!(error.contains("nonsense") && error.contains("mset"), "{error}");
    }

    #[test]
    fn the_command_line_is_sound() {
        use clap::CommandFactory;
        Cli::command().debug_assert();
    }
}
