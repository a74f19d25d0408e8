//! Loads of a server that is started for them: once, or anew for each step of a sweep over its shards.
//!
//! ```text
//!   --server 'polder-server --shards {shards}' --sweep shards=1,2,4
//!   for each step: start, pinned ─► every test or the profile ─► end;  all runs are one result
//! ```

use crate::error::Failure;
use crate::find_rate::{self, FindRateOptions};
use crate::options::{CpuList, LoadOptions};
use crate::report::{Audience, Reporter};
use crate::runner;
use crate::servers::{CommandLine, Launch, Server, free_port};
use crate::sweep::Sweep;

/// In the command line of a server: the step of a sweep.
const SHARDS_WORD: &str = "{shards}";

/// Runs what the command line asks for and reports it.
pub fn run(options: &LoadOptions) -> Result<(), Failure> {
    let Some(steps) = steps(options)? else { return runner::run(options) };
    let mut reporter = None;
    let outcome = each(&steps, |server, options_of_step| {
        let reporter = match &mut reporter {
            Some(reporter) => reporter,
            none => none.insert(Reporter::begin(options, server.name()?)?),
        };
        load(options_of_step, reporter)
    });
    let kept = reporter.map_or(Ok(()), Reporter::end);
    outcome.and(kept)
}

/// Searches the highest rate that keeps the limit.
pub fn find_rate(options: &FindRateOptions) -> Result<(), Failure> {
    match steps(&options.load)?.as_deref() {
        Some([step]) => {
            let server = step.start()?;
            find_rate::run(&FindRateOptions { load: step.options_for(&server), ..options.clone() })
        }
        _ => find_rate::run(options),
    }
}

fn load(options: &LoadOptions, audience: &mut dyn Audience) -> Result<(), Failure> {
    let topology = runner::prepare(options)?;
    runner::follow(options, &topology, audience)
}

/// Starts a server for each step and ends it. Wrong replies and late commands of one step do not keep the
/// others from being measured, but decide the outcome.
fn each(
    steps: &[Step],
    mut load: impl FnMut(&Server, &LoadOptions) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let mut outcome = Ok(());
    for step in steps {
        let server = step.start()?;
        match load(&server, &step.options_for(&server)) {
            Err(failure @ (Failure::Replies(_) | Failure::Bottleneck(_))) => {
                outcome = outcome.and(Err(failure))
            }
            result => result?,
        }
    }
    outcome
}

/// A server that is to be started, and its load.
struct Step {
    line: CommandLine,
    server_cpus: Vec<usize>,
    load_cpus: Vec<usize>,
    options: LoadOptions,
}

impl Step {
    fn start(&self) -> Result<Server, Failure> {
        if !self.options.quiet && !self.options.csv {
            let (server, load) = (&self.server_cpus, &self.load_cpus);
            eprintln!("{}: on processors {server:?}, the load on {load:?}", self.line.text);
        }
        let handshake = self.options.handshake()?;
        Server::start(&Launch { handshake, ..self.line.launch(free_port()?, &self.server_cpus) })
    }

    fn options_for(&self, server: &Server) -> LoadOptions {
        let mut options = self.options.clone();
        options.server.host = "127.0.0.1".into();
        options.server.port = server.port();
        options.server_pid = Some(server.process());
        options.cpus = (!self.load_cpus.is_empty()).then(|| CpuList(self.load_cpus.clone()));
        options
    }
}

/// `None` if the server runs already.
fn steps(options: &LoadOptions) -> Result<Option<Vec<Step>>, Failure> {
    let wrong = |text: &str| Err(Failure::Options(text.into()));
    let shards = options.sweep.as_ref().and_then(Sweep::over_shards);
    let line = match (&options.start.server, &shards) {
        (None, None) if options.start.server_cpus.is_some() => {
            return wrong("--server-cpus: is for a server that --server starts");
        }
        (None, None) => return Ok(None),
        (None, Some(_)) => {
            return wrong(
                "--sweep shards=…: a server has to be started for each step: name it with --server, such as --server \
                 'polder-server --shards {shards}'",
            );
        }
        (Some(line), Some(_)) if !line.has(SHARDS_WORD) => {
            return wrong("--server: with --sweep shards=… the command line needs {shards}, their number");
        }
        (Some(line), None) if line.has(SHARDS_WORD) => {
            return wrong("--server: {shards} is what --sweep shards=1,2,4 goes through, and there is none");
        }
        (Some(line), _) => line,
    };
    let (server_cpus, load_cpus) = options.start.choose_cpus(&options.cpus);
    if server_cpus == load_cpus {
        eprintln!("NOTE: the server and the load share processors: latencies and rates are those of both");
    }
    let step = |line: CommandLine, options: LoadOptions| Step {
        line,
        server_cpus: server_cpus.clone(),
        load_cpus: load_cpus.clone(),
        options,
    };
    let Some(shards) = shards else { return Ok(Some(vec![step(line.clone(), options.clone())])) };
    let most = shards.iter().map(|(number, _)| *number).max().unwrap_or(0);
    if most as usize > server_cpus.len() {
        eprintln!(
            "NOTE: up to {most} shards share the processors {server_cpus:?}: what more of them gain is not seen (see \
             --server-cpus)"
        );
    }
    let steps = shards.into_iter().map(|(number, sweep)| {
        let options = LoadOptions { sweep: Some(sweep), ..options.clone() };
        step(line.with(SHARDS_WORD, &number.to_string()), options)
    });
    Ok(Some(steps.collect()))
}
