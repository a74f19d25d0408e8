//! What a request costs load generators: this one, redis-benchmark and memtier_benchmark.
//!
//! A generator that costs more than the server measures itself. So two figures count: how many requests it
//! drives in a second of processor time against those that the server answers in one, and how many other
//! generators drive. Each has one thread on the same processor, and the same load: connections, pipeline,
//! random keys, value; the server is the same process for all of them within a round. With `--tls` all of them
//! speak it.

mod tool;

use std::path::{Path, PathBuf};

use clap::Args;
use serde::Serialize;

use crate::client::{Handshake, Value};
use crate::compare::ratio::median;
use crate::error::Failure;
use crate::external::External;
use crate::interrupt::{self, Caught};
use crate::machine::{Machine, own_words};
use crate::options::{EngineChoice, parse_seconds};
use crate::origin::field_in;
use crate::report::{check_folder, write_json};
use crate::runner;
use crate::servers::{CommandLine, Launch, MachineLock, ProcessorOptions, Server, free_port};
use crate::show::table::Table;
use crate::single::Target;
use crate::tls::TlsOptions;
use crate::units;

use tool::Tool;

const CLIENTS: u64 = 50;
const KEYS: u64 = 100_000;
const VALUE_BYTES: u64 = 32;
/// This generator drives at least so many times the requests of any other.
const TIMES_OTHERS: f64 = 1.5;

#[derive(Debug, Clone, Args)]
pub struct GeneratorsOptions {
    /// Servers to load, one after the other: {port} is replaced, else --port N is added. With --tls they have to be
    /// named, and say where TLS is spoken: 'redis-server --port 0 --tls-port {port} …'.
    #[arg(long, value_name = "COMMAND", value_parser = CommandLine::parse,
          default_values = ["polder-server --shards 1", "redis-server --save ''"],
          required_if_eq("tls", "true"))]
    pub server: Vec<CommandLine>,
    #[command(flatten)]
    pub tls: TlsOptions,
    /// Tests.
    #[arg(short, long, value_name = "NAMES", value_delimiter = ',', default_value = "set,get",
          value_parser = ["set", "get"])]
    pub tests: Vec<String>,
    /// Commands of a pipeline, one or several numbers.
    #[arg(short = 'P', long, value_name = "NUMBERS", value_delimiter = ',', default_value = "1,16,64",
          value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub pipeline: Vec<u32>,
    /// About so long does each measurement take.
    #[arg(long, default_value = "1", value_parser = parse_seconds)]
    pub seconds: f64,
    /// Rounds, each with fresh servers.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub rounds: u32,
    #[command(flatten)]
    pub processors: ProcessorOptions,
    /// How sockets are served in this generator.
    #[arg(long, value_enum, default_value_t = EngineChoice::Auto)]
    pub engine: EngineChoice,
    /// Writes DIRECTORY/DATE-NAME.md and .json, too.
    #[arg(long, value_name = "DIRECTORY")]
    pub output: Option<PathBuf>,
    /// Name of these files.
    #[arg(long, default_value = "generator")]
    pub name: String,
    /// Holds an exclusive lock on this file while a server is measured, as flock(1) does.
    #[arg(long, value_name = "FILE")]
    pub lock: Option<PathBuf>,
}

/// One generator, measured once.
#[derive(Debug, Clone, Serialize)]
struct Sample {
    server: String,
    tool: Tool,
    test: String,
    pipeline: u32,
    requests: u64,
    generator_ns: f64,
    server_ns: f64,
}

/// What is written as JSON.
#[derive(Debug, Serialize)]
struct Measured {
    machine: Machine,
    samples: Vec<Sample>,
    notes: Vec<String>,
}

pub fn run(options: &GeneratorsOptions) -> Result<(), Failure> {
    options.output.as_deref().map_or(Ok(()), check_folder)?;
    let engine = runner::choose_engine(options.engine)?;
    let tls = options.tls.read().map_err(Failure::Options)?;
    let handshake = Handshake { tls, ..Handshake::default() };
    let (server_cpus, load_cpus) = options.processors.choose();
    let programs: Vec<&Path> = options.server.iter().map(|line| line.program.as_path()).collect();
    let machine = Machine::describe(&programs, format!("polder-loadgen {}", own_words(1)));
    let mut measured = Measured { machine, samples: Vec::new(), notes: Vec::new() };
    let mut tools = Vec::new();
    for tool in Tool::ALL {
        match tool.obstacle(&options.tls) {
            None => tools.push(tool),
            Some(reason) => measured.notes.push(format!("{} {reason}: it was not measured", tool.name())),
        }
    }
    if options.tls.tls {
        measured.notes.push(format!(
            "all connections speak TLS; the time of the other generators has the {CLIENTS} handshakes in it, that of \
             polder-loadgen has not"
        ));
    }
    if server_cpus == load_cpus {
        measured.notes.push("the server and the load share a processor".into());
    }
    let _caught = Caught::begin();
    let outcome = (0..options.rounds).try_for_each(|round| {
        options.server.iter().try_for_each(|line| {
            eprintln!("round {} of {}: {}", round + 1, options.rounds, line.text);
            let _lock = MachineLock::take(options.lock.as_deref())?;
            let launch = Launch { handshake: handshake.clone(), ..line.launch(free_port()?, &server_cpus) };
            let server = Server::start(&launch)?;
            let target = Target::started(&server, engine, &load_cpus).with_tls(&options.tls);
            for test in &options.tests {
                for &pipeline in &options.pipeline {
                    interrupt::check()?;
                    let cell = (test.as_str(), pipeline);
                    with_each(&server, &target, options, &tools, &line.text, cell, &mut measured.samples)?;
                }
            }
            Ok(())
        })
    });
    if let Err(failure) = &outcome {
        if measured.samples.is_empty() {
            return outcome;
        }
        measured.notes.push(format!("ended early: {failure}; what was measured until then counts"));
    }
    print!("{}", measured.text());
    let kept = options.output.as_ref().map_or(Ok(()), |folder| measured.write(folder, &options.name));
    kept.and(outcome)
}

/// The same load by each generator; ours comes first and tells how many requests take the time. What was measured
/// before one fails stays.
fn with_each(
    loaded: &Server,
    target: &Target,
    options: &GeneratorsOptions,
    tools: &[Tool],
    server: &str,
    (test, pipeline): (&str, u32),
    samples: &mut Vec<Sample>,
) -> Result<(), Failure> {
    let (seconds, depth) = (options.seconds.to_string(), pipeline.to_string());
    let (clients, keys, bytes) = (CLIENTS.to_string(), KEYS.to_string(), VALUE_BYTES.to_string());
    let words = [
        "-t",
        test,
        "-P",
        &depth,
        "-c",
        &clients,
        "-r",
        &keys,
        "-d",
        &bytes,
        "--seconds",
        &seconds,
        "--preload",
    ];
    let own = target.load_one(&words)?;
    let sample = |tool, requests, generator_ns, server_ns| Sample {
        server: server.to_string(),
        tool,
        test: test.to_string(),
        pipeline,
        requests,
        generator_ns,
        server_ns,
    };
    let server_ns = own.server.as_ref().map_or(0.0, |server| server.ns_per_request());
    samples.push(sample(Tool::PolderLoadgen, own.requests, own.generator.ns_per_request, server_ns));
    let requests = ((own.requests_per_second * options.seconds) as u64 / CLIENTS * CLIENTS).max(CLIENTS);
    for &tool in tools.iter().filter(|tool| **tool != Tool::PolderLoadgen) {
        let mut words = tool.words(loaded.port(), test, pipeline, requests);
        words.extend(tool.tls_words(&options.tls));
        let before = commands_processed(loaded)?;
        let external = External::run(tool.name(), &words, target.cpus, loaded.process())?;
        let arrived =
            before.zip(commands_processed(loaded)?).map(|(before, after)| after.saturating_sub(before));
        // memtier_benchmark ends as if all were well although no connection could be made. Counts of several cores
        // may be a little behind.
        if let Some(arrived) = arrived.filter(|arrived| *arrived < requests / 2) {
            let line = words.join(" ");
            return Err(Failure::System(format!(
                "{} {line}: only {arrived} of its {requests} requests came to the server",
                tool.name()
            )));
        }
        let generator_ns = external.generator_cost(requests).ns_per_request;
        samples.push(sample(tool, requests, generator_ns, external.server_cost(requests).ns_per_request()));
    }
    Ok(())
}

/// How many commands the server has had, if it tells.
fn commands_processed(server: &Server) -> Result<Option<u64>, Failure> {
    let info = server.client()?.ask(&["INFO", "stats"]);
    Ok(match info {
        Ok(Value::Text(text)) => {
            field_in(&text, "total_commands_processed:").and_then(|count| count.parse().ok())
        }
        _ => None,
    })
}

const COLUMNS: [&str; 7] = [
    "test",
    "pipeline",
    "generator",
    "generator CPU-ns",
    "server CPU-ns",
    "driven per answered",
    "polder-loadgen drives",
];

impl Measured {
    fn servers(&self) -> Vec<&str> {
        let mut servers: Vec<&str> = Vec::new();
        for sample in &self.samples {
            if !servers.contains(&sample.server.as_str()) {
                servers.push(&sample.server);
            }
        }
        servers
    }

    /// Medians over the rounds: the generator's and the server's time of a request.
    fn medians(&self, like: &Sample, tool: Tool) -> (f64, f64) {
        let same = self.samples.iter().filter(|sample| {
            (&sample.server, &sample.test, sample.pipeline, sample.tool)
                == (&like.server, &like.test, like.pipeline, tool)
        });
        let (generator, server) = same.map(|sample| (sample.generator_ns, sample.server_ns)).unzip();
        (median(generator), median(server))
    }

    /// Rows of one server, and the least advantage over another generator.
    fn rows(&self, server: &str) -> (Vec<Vec<String>>, Option<f64>) {
        let mut rows: Vec<Vec<String>> = Vec::new();
        let (mut seen, mut least) = (Vec::new(), None::<f64>);
        for sample in self.samples.iter().filter(|sample| sample.server == server) {
            let identity = (&sample.test, sample.pipeline, sample.tool);
            if seen.contains(&identity) {
                continue;
            }
            seen.push(identity);
            let (generator_ns, server_ns) = self.medians(sample, sample.tool);
            let (own_ns, own_server_ns) = self.medians(sample, Tool::PolderLoadgen);
            let times = generator_ns / own_ns.max(1e-9);
            let advantage = if sample.tool == Tool::PolderLoadgen {
                "".to_string()
            } else {
                least = Some(least.map_or(times, |least| least.min(times)));
                format!("{times:.2}x as many")
            };
            rows.push(vec![
                sample.test.to_uppercase(),
                sample.pipeline.to_string(),
                sample.tool.name().into(),
                format!("{generator_ns:.0}"),
                format!("{server_ns:.0}"),
                // The server's own cost is the one under the load that drives it best.
                format!("{:.2}", own_server_ns / generator_ns.max(1e-9)),
                advantage,
            ]);
        }
        (rows, least)
    }

    fn verdict(server: &str, least: Option<f64>) -> String {
        match least {
            None => format!("{server}: no other generator was measured"),
            Some(least) => format!(
                "{server}: polder-loadgen drives at least {least:.2}x the requests of any other generator in a second of \
                 processor time: the target of {TIMES_OTHERS}x is {}",
                if least >= TIMES_OTHERS { "reached" } else { "missed" }
            ),
        }
    }

    fn text(&self) -> String {
        let mut text = String::new();
        for server in self.servers() {
            let (rows, least) = self.rows(server);
            let mut table = Table::new(COLUMNS);
            rows.into_iter().for_each(|row| table.row(row));
            text.push_str(&format!("{server}\n\n{}\n{}\n\n", table.text(), Measured::verdict(server, least)));
        }
        self.notes.iter().for_each(|note| text.push_str(&format!("NOTE: {note}\n")));
        text
    }

    fn markdown(&self) -> String {
        let machine = &self.machine;
        let mut page = format!(
            "# What a request costs load generators\n\n- Date: {}\n- Machine: {}\n- {}\n- Load: closed loop, {CLIENTS} \
             connections, {} random keys, {VALUE_BYTES}-byte values; each generator with one thread on the same processor, \
             the server on another; medians over the rounds\n- Repeat it: `{}`\n",
            machine.date,
            machine.machine,
            machine.servers.join("\n- "),
            units::count(KEYS),
            machine.command
        );
        page.push_str(
            "- *driven per answered*: requests that the generator drives in a second of processor time, for each that the \
             server answers in one (under polder-loadgen's load); below 1 the generator is the bottleneck\n",
        );
        if machine.is_busy() {
            let average = machine.load_average;
            page.push_str(&format!(
                "- **The machine was not idle** (load average {average:.2} before the run)\n"
            ));
        }
        self.notes.iter().for_each(|note| page.push_str(&format!("- {note}\n")));
        for server in self.servers() {
            let (rows, least) = self.rows(server);
            page.push_str(&format!("\n## `{server}`\n\n| {} |\n", COLUMNS.join(" | ")));
            page.push_str("| --- | ---: | --- | ---: | ---: | ---: | ---: |\n");
            rows.iter().for_each(|row| page.push_str(&format!("| {} |\n", row.join(" | "))));
            page.push_str(&format!("\n{}.\n", Measured::verdict(server, least)));
        }
        page
    }

    fn write(&self, folder: &Path, name: &str) -> Result<(), Failure> {
        let failed =
            |path: &Path, error: std::io::Error| Failure::System(format!("{}: {error}", path.display()));
        let path = folder.join(format!("{}-{name}.md", self.machine.date));
        std::fs::write(&path, self.markdown()).map_err(|error| failed(&path, error))?;
        write_json(&path.with_extension("json"), self)?;
        eprintln!("written to {} and .json", path.display());
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(tool: Tool, generator_ns: f64, server_ns: f64) -> Sample {
        Sample {
            server: "server".into(),
            tool,
            test: "set".into(),
            pipeline: 16,
            requests: 1,
            generator_ns,
            server_ns,
        }
    }

    #[test]
    fn generators_are_told_by_their_medians() {
        let samples = vec![
            sample(Tool::PolderLoadgen, 100.0, 300.0),
            sample(Tool::RedisBenchmark, 250.0, 310.0),
            sample(Tool::PolderLoadgen, 110.0, 300.0),
            sample(Tool::RedisBenchmark, 240.0, 310.0),
            sample(Tool::PolderLoadgen, 900.0, 300.0),
            sample(Tool::RedisBenchmark, 242.0, 310.0),
        ];
        let machine = Machine::describe(&[], "command".into());
        let measured = Measured { machine, samples, notes: vec!["remark".into()] };
        let (rows, least) = measured.rows("server");
        assert_eq!(rows.len(), 2);
        assert_eq!(rows[0], ["SET", "16", "polder-loadgen", "110", "300", "2.73", ""]);
        assert_eq!(rows[1][3..], ["242", "310", "1.24", "2.20x as many"]);
        assert_eq!(least, Some(2.2));
        let page = measured.markdown();
        assert!(page.contains("the target of 1.5x is reached") && page.contains("- remark"), "{page}");
        assert!(Measured::verdict("server", Some(1.4)).contains("missed"));
    }
}
