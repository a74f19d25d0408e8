//! One load for those who run many: options as words of a command line, results as [`Run`]s.

use clap::Parser;

use crate::command::Test;
use crate::error::Failure;
use crate::options::{Cli, EngineChoice, LoadOptions};
use crate::report::TestResult;
use crate::result::{CommandResult, Distribution, FORMAT, Latencies, Load, ResultFile, Run};
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
        let options = parse(&line)?;
        let topology = runner::prepare(&options)?;
        let runs = options.chosen_tests()?.into_iter().map(|test| {
            let result = runner::measure(&options, self.engine, &topology, &test)?;
            runner::verdict(&result)?;
            Ok(run_of(&test, result))
        });
        runs.collect()
    }

    /// The same for a single test.
    pub fn load_one(&self, words: &[&str]) -> Result<Run, Failure> {
        let run = self.load(words)?.pop();
        run.ok_or_else(|| Failure::Options(format!("no test in '{}'", words.join(" "))))
    }
}

fn parse(line: &[&str]) -> Result<LoadOptions, Failure> {
    let cli = Cli::try_parse_from(line).map_err(|error| Failure::Options(error.to_string()))?;
    Ok(cli.load)
}

fn run_of(test: &Test, result: TestResult) -> Run {
    let latencies = Latencies { response: None, service: Distribution::of(&result.latency_ns) };
    Run {
        name: result.test,
        load: Load {
            engine: result.engine,
            clients: result.clients,
            pipeline: result.pipeline,
            keys: result.keys,
            value_bytes: result.value_bytes,
            threads: result.threads,
            schedule: None,
            distribution: "uniform".into(),
        },
        seconds: result.seconds,
        requests: result.requests,
        requests_per_second: result.requests_per_second,
        errors: result.errors,
        wrong: result.wrong,
        misses: result.misses,
        reconnects: 0,
        first_error: result.first_error,
        commands: vec![CommandResult {
            name: test.name.clone(),
            requests: result.requests,
            errors: result.errors,
            misses: result.misses,
            latencies: latencies.clone(),
        }],
        total: latencies,
        intervals: Vec::new(),
        slip: None,
        server: result.server,
        generator: result.generator,
        generator_is_bottleneck: result.generator_is_bottleneck,
        failure: result.failure,
    }
}

/// A file of runs that began at `started_at`.
pub fn result_file(started_at: &str, machine: String, server: String, runs: Vec<Run>) -> ResultFile {
    ResultFile {
        format: FORMAT,
        generator: concat!("polder-loadgen ", env!("CARGO_PKG_VERSION")).into(),
        started_at: started_at.into(),
        command_line: std::env::args().collect(),
        machine,
        server,
        runs,
    }
}
