//! One load for those who run many: options as words of a command line, results as [`Run`]s.

use clap::Parser;

use crate::error::Failure;
use crate::options::{Cli, EngineChoice};
use crate::result::Run;
use crate::runner;
use crate::servers::Server;

/// A server under load, and where the load runs.
pub struct Target<'a> {
    pub server: &'a Server,
    pub engine: EngineChoice,
    /// Processors of the load; empty: all.
    pub cpus: &'a [usize],
}

impl Target<'_> {
    /// Runs the load that these words of a command line ask for; each test is a run. Replies that are errors
    /// or wrong are a failure, for a figure that rests on them would say nothing.
    pub fn load(&self, words: &[&str]) -> Result<Vec<Run>, Failure> {
        let (port, process) = (self.server.port().to_string(), self.server.process().to_string());
        let mut line = vec!["polder-loadgen", "-p", &port, "--server-pid", &process, "--quiet"];
        let cpus = self.cpus.iter().map(usize::to_string).collect::<Vec<_>>().join(",");
        if !cpus.is_empty() {
            line.extend(["--cpus", &cpus]);
        }
        line.extend(words);
        let cli = Cli::try_parse_from(&line).map_err(|error| Failure::Options(error.to_string()))?;
        let mut options = cli.load;
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

/// A generator that was the bottleneck is no failure here: it is shown beside the figures.
fn check(run: &Run) -> Result<(), Failure> {
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
