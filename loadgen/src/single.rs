//! One load for those who run many: options as words of a command line, results as [`Run`]s.

use clap::Parser;

use crate::client::{Address, Handshake};
use crate::error::Failure;
use crate::options::{Cli, CpuList, EngineChoice, ServerOptions};
use crate::outcome::INTERRUPTED;
use crate::result::Run;
use crate::runner;
use crate::running::Running;
use crate::servers::Server;
use crate::tls::TlsOptions;

/// A server under load, and where the load runs.
pub struct Target<'a> {
    /// Where it is, and what it wants to hear first.
    pub server: ServerOptions,
    /// The server's, if it is known here.
    pub process: Option<u32>,
    pub engine: EngineChoice,
    /// Processors of the load; empty: all.
    pub cpus: &'a [usize],
}

impl<'a> Target<'a> {
    /// A server that was started here.
    pub fn started(server: &Server, engine: EngineChoice, cpus: &'a [usize]) -> Target<'a> {
        let access = ServerOptions { port: server.port(), ..access(server.handshake()) };
        Target { server: access, process: Some(server.process()), engine, cpus }
    }

    /// A server that runs already.
    pub fn running(server: &'a Running, engine: EngineChoice, cpus: &'a [usize]) -> Target<'a> {
        let access = access(&server.handshake);
        let access = match &server.address {
            Address::Tcp { host, port } => ServerOptions { host: host.clone(), port: *port, ..access },
            Address::Unix(path) => ServerOptions { socket: Some(path.clone()), ..access },
        };
        Target { server: access, process: server.process, engine, cpus }
    }

    /// The same, with connections protected like this.
    pub fn with_tls(mut self, tls: &TlsOptions) -> Target<'a> {
        self.server.tls = tls.clone();
        self
    }

    /// Runs the load that these words of a command line ask for; each test is a run. Replies that are errors
    /// or wrong are a failure, for a figure that rests on them would say nothing.
    pub fn load(&self, words: &[&str]) -> Result<Vec<Run>, Failure> {
        let line = ["polder-loadgen", "--quiet"].iter().chain(words);
        let cli = Cli::try_parse_from(line).map_err(|error| Failure::Options(error.to_string()))?;
        let mut options = cli.load;
        options.server = self.server.clone();
        options.server_pid = self.process;
        options.cpus = (!self.cpus.is_empty()).then(|| CpuList(self.cpus.to_vec()));
        options.engine = self.engine;
        let runs = runner::runs(&options)?;
        runs.iter().try_for_each(check)?;
        Ok(runs)
    }

    /// The same for a single test.
    pub fn load_one(&self, words: &[&str]) -> Result<Run, Failure> {
        let run = self.load(words)?.pop();
        run.ok_or_else(|| Failure::Options(format!("no test in '{}'", words.join(" "))))
    }
}

/// Who the connections of a load are; how they are protected is not told by what was read of it.
fn access(handshake: &Handshake) -> ServerOptions {
    let (user, password) = (handshake.user.clone(), handshake.password.clone());
    ServerOptions { user, password, ..ServerOptions::default() }
}

/// A generator that was the bottleneck is no failure here: it is shown beside the figures.
fn check(run: &Run) -> Result<(), Failure> {
    if run.failure.as_deref() == Some(INTERRUPTED) {
        return Err(Failure::Interrupted(format!("{}: {INTERRUPTED}", run.name)));
    }
    if let Some(reason) = &run.failure {
        return Err(Failure::ServerGone(format!("{}: {reason}", run.name)));
    }
    if run.errors + run.wrong == 0 {
        return Ok(());
    }
    let first = run.first_error.as_deref().unwrap_or("none");
    Err(Failure::Replies(format!(
        "{}: {} error replies, {} wrong ones; the first error: {first}",
        run.name, run.errors, run.wrong
    )))
}
