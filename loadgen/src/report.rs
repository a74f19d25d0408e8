//! Takes runs as they end: shows them as was asked for, and keeps them.

use std::path::Path;

use serde::Serialize;

use crate::error::Failure;
use crate::options::LoadOptions;
pub use crate::result::{GeneratorCost, LatencyUs, ServerCost, WAITED_MAX, generator_is_bottleneck};
use crate::result::{ResultFile, Run};
use crate::show::table::{line_of, run_text};
use crate::show::watch::Watch;
use crate::tally::{NoObserver, Observer};

/// Follows the runs of a command line.
pub trait Audience {
    /// Watches the next run.
    fn observer(&mut self) -> &mut dyn Observer;
    /// A run has ended.
    fn take(&mut self, run: Run);
    /// Whether somebody looks on, who may want to end it early.
    fn is_shown(&self) -> bool;
}

/// Keeps them without a word.
#[derive(Default)]
pub struct Kept {
    pub runs: Vec<Run>,
    nobody: NoObserver,
}

impl Audience for Kept {
    fn observer(&mut self) -> &mut dyn Observer {
        &mut self.nobody
    }

    fn take(&mut self, run: Run) {
        self.runs.push(run);
    }

    fn is_shown(&self) -> bool {
        false
    }
}

/// Shows and keeps the runs of one command line.
pub struct Reporter<'a> {
    options: &'a LoadOptions,
    watch: Watch,
    result: ResultFile,
}

impl<'a> Reporter<'a> {
    /// Before the first run; `server` is what the server calls itself.
    pub fn begin(options: &'a LoadOptions, server: String) -> Result<Reporter<'a>, Failure> {
        if let Some(path) = &options.json {
            open_json(path)?;
        }
        let result = ResultFile::begin(server);
        let comments = [result.generator.clone(), result.command_line.join(" "), result.machine.clone()];
        let watch = Watch::new(options, &comments)?;
        if options.csv {
            println!("{CSV_HEADER}");
        }
        Ok(Reporter { options, watch, result })
    }

    /// After the last run: writes what is to be kept.
    pub fn end(self) -> Result<(), Failure> {
        let logged = self.watch.end();
        let kept = self.options.json.as_ref().map_or(Ok(()), |path| write_json(path, &self.result));
        kept.and(logged)
    }
}

impl Audience for Reporter<'_> {
    fn observer(&mut self) -> &mut dyn Observer {
        &mut self.watch
    }

    /// Shows it, and keeps it.
    fn take(&mut self, run: Run) {
        if self.options.csv {
            print!("{}", csv_line(&TestResult::of(&run)));
        } else if self.options.quiet {
            println!("{}", quiet_line(&TestResult::of(&run)));
        } else {
            println!("{}", run_text(&run));
        }
        self.result.runs.push(run);
    }

    fn is_shown(&self) -> bool {
        true
    }
}

/// What one test brought.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TestResult {
    pub test: String,
    pub engine: String,
    pub clients: u32,
    pub pipeline: u32,
    pub keys: u64,
    pub value_bytes: u32,
    pub threads: u32,
    pub requests: u64,
    pub seconds: f64,
    pub requests_per_second: f64,
    pub latency_us: LatencyUs,
    pub errors: u64,
    pub wrong: u64,
    pub misses: u64,
    pub first_error: Option<String>,
    pub server: Option<ServerCost>,
    pub generator: GeneratorCost,
    /// `None`: not known, since the generator was busy and the server's process was not named.
    pub generator_is_bottleneck: Option<bool>,
    /// Why the load ended early.
    pub failure: Option<String>,
}

impl TestResult {
    /// What is kept of a run in few words.
    pub fn of(run: &Run) -> TestResult {
        let load = &run.load;
        TestResult {
            test: run.name.clone(),
            engine: load.engine.clone(),
            clients: load.clients,
            pipeline: load.pipeline,
            keys: load.keys,
            value_bytes: load.value_bytes,
            threads: load.threads,
            requests: run.requests,
            seconds: run.seconds,
            requests_per_second: run.requests_per_second,
            latency_us: run.total.felt().us,
            errors: run.errors,
            wrong: run.wrong,
            misses: run.misses,
            first_error: run.first_error.clone(),
            server: run.server,
            generator: run.generator,
            generator_is_bottleneck: run.generator_is_bottleneck,
            failure: run.failure.clone(),
        }
    }
}

const CSV_HEADER: &str = "\"test\",\"rps\",\"avg_latency_ms\",\"min_latency_ms\",\"p50_latency_ms\",\
    \"p95_latency_ms\",\"p99_latency_ms\",\"max_latency_ms\",\"p99.9_latency_ms\",\"requests\",\"errors\",\
    \"wrong\",\"misses\",\"server_user_ns\",\"server_system_ns\",\"generator_ns\",\"generator_utilisation\"";

fn csv_line(result: &TestResult) -> String {
    let latency = &result.latency_us;
    let ms = [latency.mean, latency.min, latency.p50, latency.p95, latency.p99, latency.max, latency.p999];
    let mut fields = vec![result.test.clone(), format!("{:.2}", result.requests_per_second)];
    fields.extend(ms.iter().map(|us| format!("{:.3}", us / 1000.0)));
    let counts = [result.requests, result.errors, result.wrong, result.misses];
    fields.extend(counts.iter().map(u64::to_string));
    let server = |ns: fn(&ServerCost) -> f64| {
        result.server.as_ref().map(|server| format!("{:.0}", ns(server))).unwrap_or_default()
    };
    fields.push(server(|server| server.user_ns_per_request));
    fields.push(server(|server| server.system_ns_per_request));
    fields.push(format!("{:.0}", result.generator.ns_per_request));
    fields.push(format!("{:.3}", result.generator.utilisation));
    line_of(fields)
}

fn quiet_line(result: &TestResult) -> String {
    let mut line = format!(
        "{}: {:.2} requests per second, p50={:.3} msec, p99={:.3} msec",
        result.test,
        result.requests_per_second,
        result.latency_us.p50 / 1000.0,
        result.latency_us.p99 / 1000.0
    );
    if let Some(server) = &result.server {
        line.push_str(&format!(", server {:.0} ns per request", server.ns_per_request()));
    }
    if result.errors + result.wrong > 0 {
        line.push_str(&format!(", {} errors, {} wrong replies", result.errors, result.wrong));
    }
    if let Some(note) = bottleneck_note(result) {
        line.push_str(&format!(" ({note})"));
    }
    line
}

fn bottleneck_note(result: &TestResult) -> Option<&'static str> {
    match result.generator_is_bottleneck {
        Some(false) => None,
        Some(true) => Some("the generator was the bottleneck, not the server"),
        None => Some("the generator was busy all the time: it may be the bottleneck, see --server-pid"),
    }
}

/// Whether a file can be written is better known before a load than after it.
pub fn open_json(path: &Path) -> Result<(), Failure> {
    let opened = std::fs::File::options().create(true).append(true).open(path);
    opened.map(drop).map_err(|error| Failure::System(format!("--json {}: {error}", path.display())))
}

/// Makes the folder that results go to, and fails if nothing can be written there: better before a load than after
/// it.
pub fn check_folder(path: &Path) -> Result<(), Failure> {
    let written = std::fs::create_dir_all(path).and_then(|()| tempfile::tempfile_in(path));
    written.map(drop).map_err(|error| Failure::System(format!("--output {}: {error}", path.display())))
}

pub fn write_json(path: &Path, results: &impl Serialize) -> Result<(), Failure> {
    let failed = |error: String| Failure::System(format!("{}: {error}", path.display()));
    let text = serde_json::to_string_pretty(results).map_err(|error| failed(error.to_string()))?;
    std::fs::write(path, text + "\n").map_err(|error| failed(error.to_string()))
}
