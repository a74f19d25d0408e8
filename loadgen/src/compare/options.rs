//! The flags of `compare`.

use std::path::PathBuf;

use clap::Args;

use crate::client::Handshake;
use crate::command::{Test, test_names};
use crate::error::Failure;
use crate::keys::RANGE_MAX;
use crate::options::{EngineChoice, parse_seconds};
use crate::servers::ProcessorOptions;
use crate::tls::TlsOptions;

use super::side::Named;
use super::table::Cell;

#[derive(Debug, Clone, Args)]
pub struct CompareOptions {
    /// The first server. Either a command line such as 'polder-server --shards 1', which is started for each
    /// turn: {port} in it is replaced, else --port N is added; a program without a folder is looked for
    /// beside this one, then in PATH; with --tls, which is for both servers, it says where TLS is spoken:
    /// 'redis-server --port 0 --tls-port {port} …'. Or a server that runs already: 127.0.0.1:6379, or the path of its unix
    /// socket. That one is loaded where it is: keys are written to it (which ones is told), nothing else is
    /// changed, and what it holds stays.
    #[arg(long, value_name = "COMMAND|ADDRESS", value_parser = Named::parse)]
    pub a: Named,
    /// The second server, such as "redis-server --save ''", or the address of one that runs.
    #[arg(long, value_name = "COMMAND|ADDRESS", value_parser = Named::parse)]
    pub b: Named,
    /// Process of a first server that runs already on this machine, for its processor time; found by itself
    /// if INFO tells it.
    #[arg(long, value_name = "PID")]
    pub a_pid: Option<u32>,
    /// The same of the second server.
    #[arg(long, value_name = "PID")]
    pub b_pid: Option<u32>,
    /// Password to authenticate with at both servers, whether they run already or are started.
    #[arg(short = 'a', long = "pass", value_name = "PASSWORD")]
    pub password: Option<String>,
    /// User to authenticate as at both; needs a password.
    #[arg(long, value_name = "NAME")]
    pub user: Option<String>,
    /// Password of the first server, instead of that of both.
    #[arg(long, value_name = "PASSWORD")]
    pub a_pass: Option<String>,
    /// User of the first server, instead of that of both.
    #[arg(long, value_name = "NAME")]
    pub a_user: Option<String>,
    /// Password of the second server, instead of that of both.
    #[arg(long, value_name = "PASSWORD")]
    pub b_pass: Option<String>,
    /// User of the second server, instead of that of both.
    #[arg(long, value_name = "NAME")]
    pub b_user: Option<String>,
    #[command(flatten)]
    pub tls: TlsOptions,
    /// Tests: set,get,… (a wrong name lists all).
    #[arg(short, long, value_name = "NAMES", value_delimiter = ',', default_value = "set,get")]
    pub tests: Vec<String>,
    /// A workload from a file, or a built-in one (see the subcommand profiles), instead of tests; it says
    /// itself which keys and values it has.
    #[arg(long, value_name = "FILE|NAME", conflicts_with_all = ["tests", "keys", "value_bytes"])]
    pub profile: Option<String>,
    /// Commands of a pipeline, one or several numbers.
    #[arg(short = 'P', long, value_name = "NUMBERS", value_delimiter = ',', default_value = "1,16,64",
          value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub pipeline: Vec<u32>,
    /// Parallel connections.
    #[arg(short, long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub clients: u32,
    /// Bytes of a value.
    #[arg(short = 'd', long = "data-size", value_name = "BYTES", default_value_t = 32,
          value_parser = clap::value_parser!(u32).range(1..=1 << 29))]
    pub value_bytes: u32,
    /// Random keys from so many, all of which are set before.
    #[arg(short = 'r', long = "keyspace", value_name = "KEYS", default_value_t = 100_000,
          value_parser = clap::value_parser!(u64).range(1..=RANGE_MAX))]
    pub keys: u64,
    /// Length of each measurement.
    #[arg(long, default_value = "1", value_parser = parse_seconds)]
    pub seconds: f64,
    /// Rounds, each with fresh servers if they are started here; the spread is what they differ by.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub rounds: u32,
    /// Threads of the generator.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1024))]
    pub threads: u32,
    #[command(flatten)]
    pub processors: ProcessorOptions,
    /// How sockets are served in the generator.
    #[arg(long, value_enum, default_value_t = EngineChoice::Auto)]
    pub engine: EngineChoice,
    /// Name of the files: NAME.md, NAME-a.json, NAME-b.json.
    #[arg(long, default_value = "compare")]
    pub name: String,
    /// Where the files go.
    #[arg(long, value_name = "DIRECTORY", default_value = ".")]
    pub output: PathBuf,
    /// Holds an exclusive lock on this file while a server is measured, as flock(1) does.
    #[arg(long, value_name = "FILE")]
    pub lock: Option<PathBuf>,
}

impl CompareOptions {
    /// What connections to the server of this letter say first. The error names the option.
    pub fn handshake(&self, letter: char) -> Result<Handshake, Failure> {
        let (own_user, own_password) = match letter {
            'a' => (&self.a_user, &self.a_pass),
            _ => (&self.b_user, &self.b_pass),
        };
        let user = own_user.as_ref().or(self.user.as_ref()).cloned();
        let password = own_password.as_ref().or(self.password.as_ref()).cloned();
        if let (Some(name), None) = (&user, &password) {
            return Err(Failure::Options(format!(
                "--{letter}: user {name} needs a password: --{letter}-pass, or --pass for both servers"
            )));
        }
        let tls = self.tls.read().map_err(Failure::Options)?;
        Ok(Handshake { user, password, tls, ..Handshake::default() })
    }

    pub fn cells(&self) -> Result<Vec<Cell>, Failure> {
        let mut cells = Vec::new();
        if let Some(profile) = &self.profile {
            crate::profile::load(profile)?;
            let cell = |&pipeline| Cell { test: profile.clone(), pipeline };
            return Ok(self.pipeline.iter().map(cell).collect());
        }
        for test in &self.tests {
            if Test::named(test, 1).is_none() {
                let text = format!("-t: there is no test '{test}'; there are {}", test_names());
                return Err(Failure::Options(text));
            }
            cells.extend(self.pipeline.iter().map(|&pipeline| Cell { test: test.clone(), pipeline }));
        }
        Ok(cells)
    }

    pub fn load_text(&self) -> String {
        let load = match &self.profile {
            Some(profile) => format!("profile {profile}"),
            None => format!("{} random keys, {}-byte values", self.keys, self.value_bytes),
        };
        let rounds = match (&self.a, &self.b) {
            (Named::Line(_), Named::Line(_)) => "rounds with fresh servers",
            _ => "rounds",
        };
        format!(
            "closed loop, {} connections, {load}, {} {rounds}, {} s for each figure",
            self.clients, self.rounds, self.seconds
        )
    }
}
