//! The project's own table: redis-server and polder-server in turns on one processor, the load on another.
//!
//! ```text
//!   for each round:  for each setup (server, shards, keys), in an order that alternates:
//!       fresh launch ─► preload ─► every cell (test, connections, pipeline) ─► kill
//!   then: medians over the rounds ─► rows: ratio, target, verdict ─► DATE-NAME.md and .json
//! ```
//!
//! Servers are launched anew in each round because the speed of a launch can differ for its whole life;
//! medians over launches, not over time, are what the verdicts rest on. What is compared is the processor
//! time of the server per request, which does not depend on how fast the generator is.

mod benchmark;
mod memory;
mod plan;
mod table;

use std::path::{Path, PathBuf};

use crate::client::{Address, Handshake};
use crate::error::Failure;
use crate::interrupt::{self, Caught};
use crate::machine::{Machine, own_words};
use crate::measure::Subject;
use crate::options::{BenchOptions, CpuList, LoadOptions, ServerOptions};
use crate::outcome;
use crate::report::{self, TestResult};
use crate::runner;
use crate::servers::{Launch, MachineLock, Server};
use crate::tally::NoObserver;

use benchmark::RedisBenchmark;
use memory::Collection;
use plan::{Cell, Setup};
use table::{Measurement, Report};

pub use plan::Part;

/// How many rounds of which length, when nothing else is said.
const QUICK: (u32, f64) = (3, 0.5);
const FULL: (u32, f64) = (5, 2.0);
/// Load before anything is counted, as a share of the measurement.
const WARMUP_SHARE: f64 = 0.25;

/// What is the same for all measurements of a run.
struct Run<'a> {
    options: &'a BenchOptions,
    polder: PathBuf,
    engine: crate::options::EngineChoice,
    rounds: u32,
    seconds: f64,
}

pub fn run(options: &BenchOptions) -> Result<(), Failure> {
    report::check_folder(&options.output)?;
    let (rounds, seconds) = if options.quick { QUICK } else { FULL };
    let run = Run {
        options,
        polder: find_polder(options)?,
        engine: runner::choose_engine(options.engine)?,
        rounds: options.rounds.unwrap_or(rounds),
        seconds: options.seconds.unwrap_or(seconds),
    };
    let machine = Machine::describe(
        &[&options.redis, &run.polder],
        format!("scripts/bench {}", own_words(2)).trim_end().to_string(),
    );
    if machine.is_busy() {
        eprintln!(
            "WARNING: the load average is {:.2}: something else runs here, and the figures suffer",
            machine.load_average
        );
    }
    let parts = if options.only.is_empty() { Part::DEFAULT.to_vec() } else { options.only.clone() };
    let mut report = Report::new(machine, run.seconds);
    let _caught = Caught::begin();
    for round in 0..run.rounds {
        for part in &parts {
            run.round(*part, round, &mut report);
        }
    }
    let interrupted = interrupt::check();
    if let Err(failure) = &interrupted {
        if report.is_empty() {
            return interrupted;
        }
        report.note(format!("the rest: {failure}"));
    }
    print!("{}", report.markdown());
    let path = write(options, &report)?;
    eprintln!("written to {} and .json", path.display());
    interrupted?;
    match report.notes.len() {
        0 => Ok(()),
        _ => Err(Failure::System("not everything could be measured: see the notes".into())),
    }
}

impl Run<'_> {
    /// All that one round measures of a part; parts that take long do so only in some rounds.
    fn round(&self, part: Part, round: u32, report: &mut Report) {
        let rounds = part.rounds(self.rounds, self.options.quick);
        if round >= rounds {
            return;
        }
        let mut setups = part.setups();
        // Whoever comes second finds a warmer machine: they take turns.
        if round % 2 == 1 {
            setups.reverse();
        }
        for setup in setups {
            if interrupt::is_requested() {
                return;
            }
            eprintln!("round {} of {rounds}: {}", round + 1, setup.name());
            // What one setup cannot do, another may.
            if let Err(failure) = self.with_setup(part, setup, report) {
                note(report, &failure, format!("{}: {}", part.name(), setup.name()));
            }
        }
    }

    fn with_setup(&self, part: Part, setup: Setup, report: &mut Report) -> Result<(), Failure> {
        let _lock = MachineLock::take(self.options.lock.as_deref())?;
        if part == Part::Memory {
            return self.with_collections(setup, report);
        }
        let server = Server::start(&self.launch(setup))?;
        if part == Part::RedisBenchmark {
            self.with_redis_benchmark(setup, &server, report)
        } else {
            self.with_loadgen(part, setup, &server, report);
            Ok(())
        }
    }

    fn launch(&self, setup: Setup) -> Launch {
        let port = self.options.port;
        let (program, arguments) = match setup {
            Setup::Redis => (self.options.redis.clone(), setup.arguments(port, self.options.server_cpu)),
            _ => {
                let mut arguments = setup.arguments(port, self.options.server_cpu);
                let further = self.options.polder_flags.iter().flat_map(|flags| flags.split_whitespace());
                arguments.extend(further.map(String::from));
                (self.polder.clone(), arguments)
            }
        };
        let handshake = Handshake::default();
        Launch { program, arguments, cpus: vec![self.options.server_cpu], port, handshake }
    }

    fn load_options(&self, setup: Setup, server: &Server, cell: &Cell) -> LoadOptions {
        let default = LoadOptions::default();
        LoadOptions {
            server: ServerOptions { port: self.options.port, ..default.server },
            clients: cell.clients,
            requests: 1,
            seconds: Some(self.seconds),
            warmup: Some(self.seconds * WARMUP_SHARE),
            pipeline: cell.pipeline,
            value_bytes: plan::VALUE_BYTES,
            keys: cell.keys,
            tests: cell.test.into(),
            quiet: true,
            cpus: Some(CpuList(vec![self.options.load_cpu])),
            engine: self.engine,
            server_pid: Some(server.process()),
            cluster: setup == Setup::Cluster,
            ..default
        }
    }

    /// Measures all cells; one that fails is noted, and the next one has its turn.
    fn with_loadgen(&self, part: Part, setup: Setup, server: &Server, report: &mut Report) {
        let cells = part.cells();
        let mut filled = Vec::new();
        for cell in &cells {
            if interrupt::is_requested() {
                return;
            }
            let outcome = self
                .fill(setup, server, cell, &mut filled)
                .and_then(|()| self.measure_cell(setup, server, cell, report));
            if let Err(failure) = outcome {
                note(report, &failure, format!("{}: {}: {}", part.name(), setup.name(), cell.test));
            }
        }
    }

    /// Sets the keys that a cell wants to find, unless another cell has set them.
    fn fill(
        &self,
        setup: Setup,
        server: &Server,
        cell: &Cell,
        filled: &mut Vec<(&'static [&'static str], u64)>,
    ) -> Result<(), Failure> {
        let options = LoadOptions { preload: true, cluster: false, ..self.load_options(setup, server, cell) };
        let wanted: Vec<_> = options.chosen_tests()?.iter().map(|test| (test.preload, cell.keys)).collect();
        if wanted.iter().any(|keys| !filled.contains(keys)) {
            runner::prepare(&options)?;
            filled.extend(wanted);
        }
        Ok(())
    }

    fn measure_cell(
        &self,
        setup: Setup,
        server: &Server,
        cell: &Cell,
        report: &mut Report,
    ) -> Result<(), Failure> {
        let options = self.load_options(setup, server, cell);
        let topology = runner::prepare(&options)?;
        for test in options.chosen_tests()? {
            let subject = Subject::of_test(&options, &topology, &test)?;
            let run = subject.measure(&options, self.engine, &mut NoObserver)?;
            outcome::verdict(&run)?;
            let result = TestResult::of(&run);
            // A cost of nothing would beat every target.
            if result.server.as_ref().is_none_or(|server| server.ns_per_request() <= 0.0) {
                let text = "no processor time of the server was seen: measure for longer";
                return Err(Failure::System(text.into()));
            }
            report.add(Measurement { setup, cell: *cell, result });
        }
        Ok(())
    }

    fn with_collections(&self, setup: Setup, report: &mut Report) -> Result<(), Failure> {
        for collection in Collection::ALL {
            interrupt::check()?;
            eprintln!("{}: {}", setup.name(), collection.name());
            let server = Server::start(&self.launch(setup))?;
            let address = Address::Tcp { host: "127.0.0.1".into(), port: self.options.port };
            report.add_footprint(collection.measure(setup, &address, server.process())?);
        }
        Ok(())
    }

    fn with_redis_benchmark(
        &self,
        setup: Setup,
        server: &Server,
        report: &mut Report,
    ) -> Result<(), Failure> {
        for cell in Part::RedisBenchmark.cells() {
            let benchmark = RedisBenchmark {
                cell,
                port: self.options.port,
                cpu: self.options.load_cpu,
                requests: report.requests_in(setup, &cell, self.seconds),
            };
            let beside = benchmark.run(setup, server.process())?;
            report.add_beside(beside);
        }
        Ok(())
    }
}

/// What could not be measured, and why; that the user ended it is said once, at the end.
fn note(report: &mut Report, failure: &Failure, what: String) {
    if matches!(failure, Failure::Interrupted(_)) {
        return;
    }
    let text = format!("{what}: {failure}");
    eprintln!("{text}");
    report.note(text);
}

fn find_polder(options: &BenchOptions) -> Result<PathBuf, Failure> {
    if let Some(path) = &options.polder {
        return Ok(path.clone());
    }
    let beside = std::env::current_exe().ok().and_then(|path| Some(path.parent()?.join("polder-server")));
    beside.filter(|path| path.exists()).ok_or_else(|| {
        Failure::Options("there is no polder-server beside this program: build it, or see --polder".into())
    })
}

/// Writes both files and tells the path of the first.
fn write(options: &BenchOptions, report: &Report) -> Result<PathBuf, Failure> {
    let failed = |path: &Path, error: std::io::Error| Failure::System(format!("{}: {error}", path.display()));
    let path = options.output.join(format!("{}-{}.md", report.machine.date, options.name));
    std::fs::write(&path, report.markdown()).map_err(|error| failed(&path, error))?;
    report::write_json(&path.with_extension("json"), report)?;
    Ok(path)
}
