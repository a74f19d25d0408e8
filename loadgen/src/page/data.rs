//! Results as the page needs them: labelled, with their histograms unpacked.

use hdrhistogram::Histogram;

use crate::hdr::encoding::decode;
use crate::result::{Latencies, ResultFile, Run};
use crate::units;

/// More runs than this make no page that anyone reads.
const RUNS_MAX: usize = 2000;

/// What a sweep may step through.
const STEPS: [&str; 5] = ["pipeline", "clients", "value", "rate", "shards"];

/// One file.
pub struct Source {
    pub number: usize,
    /// The server's name; with the file's name if several files have the same server.
    pub label: String,
    pub file: ResultFile,
    /// One for each run of the file.
    pub runs: Vec<RunData>,
}

/// A run's histograms, and what it is called where its file is known.
pub struct RunData {
    /// Its name, and what sets it apart from others of the same name in any file.
    pub label: String,
    /// What sets it apart, in words.
    pub differing: Vec<(Parameter, String)>,
    pub total: Felt,
    pub commands: Vec<Felt>,
}

/// Nanoseconds.
pub struct Felt {
    pub response: Option<Histogram<u64>>,
    pub service: Histogram<u64>,
}

impl Felt {
    fn of(latencies: &Latencies) -> Result<Felt, String> {
        let response = latencies.response.as_ref().map(|response| decode(&response.hdr)).transpose()?;
        Ok(Felt { response, service: decode(&latencies.service.hdr)? })
    }

    /// Response times if there is a schedule, else service times.
    pub fn felt(&self) -> &Histogram<u64> {
        self.response.as_ref().unwrap_or(&self.service)
    }
}

/// A number that may differ between runs of the same name: then it is part of their labels, and what they
/// are plotted over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Parameter {
    Pipeline,
    Clients,
    ValueBytes,
    Keys,
    Rate,
    Threads,
    Shards,
}

impl Parameter {
    pub const ALL: [Parameter; 7] = [
        Parameter::Pipeline,
        Parameter::Clients,
        Parameter::ValueBytes,
        Parameter::Keys,
        Parameter::Rate,
        Parameter::Threads,
        Parameter::Shards,
    ];

    /// 0 for the rate of a closed loop, and for shards that are not known.
    pub fn of(self, run: &Run) -> f64 {
        match self {
            Parameter::Pipeline => f64::from(run.load.pipeline),
            Parameter::Clients => f64::from(run.load.clients),
            Parameter::ValueBytes => f64::from(run.load.value_bytes),
            Parameter::Keys => run.load.keys as f64,
            Parameter::Rate => run.load.schedule.as_ref().map_or(0.0, |schedule| schedule.rate),
            Parameter::Threads => f64::from(run.load.threads),
            Parameter::Shards => run.load.shards.map_or(0.0, f64::from),
        }
    }

    pub fn name(self) -> &'static str {
        match self {
            Parameter::Pipeline => "pipeline depth",
            Parameter::Clients => "connections",
            Parameter::ValueBytes => "value size",
            Parameter::Keys => "keys",
            Parameter::Rate => "offered rate",
            Parameter::Threads => "threads",
            Parameter::Shards => "shards",
        }
    }

    /// For an axis.
    pub fn axis(self) -> &'static str {
        match self {
            Parameter::Pipeline => "commands in a pipeline",
            Parameter::Clients => "connections",
            Parameter::ValueBytes => "bytes of a value",
            Parameter::Keys => "keys",
            Parameter::Rate => "offered commands per second",
            Parameter::Threads => "threads of the generator",
            Parameter::Shards => "shards of the server",
        }
    }

    fn words(self, value: f64) -> String {
        match self {
            Parameter::Pipeline => format!("pipeline {value}"),
            Parameter::Clients => format!("{} connections", units::count(value as u64)),
            Parameter::ValueBytes => format!("{} bytes", units::count(value as u64)),
            Parameter::Keys => format!("{} keys", units::count(value as u64)),
            Parameter::Rate if value == 0.0 => "closed loop".into(),
            Parameter::Rate => format!("{}/s offered", units::short(value)),
            Parameter::Threads => format!("{value} threads"),
            Parameter::Shards if value == 0.0 => "as many shards as it has".into(),
            Parameter::Shards if value == 1.0 => "1 shard".into(),
            Parameter::Shards => format!("{value} shards"),
        }
    }
}

/// Labels and unpacks named files.
pub fn sources(files: Vec<(String, ResultFile)>) -> Result<Vec<Source>, String> {
    let count: usize = files.iter().map(|(_, file)| file.runs.len()).sum();
    if count == 0 {
        return Err("there is no run in the results".into());
    }
    if count > RUNS_MAX {
        return Err(format!("{count} runs are too many for one page; it shows {RUNS_MAX}"));
    }
    let labels = source_labels(&files);
    let differing = differing(&files);
    let mut sources = Vec::new();
    for (number, (((name, file), label), differing)) in
        files.into_iter().zip(labels).zip(differing).enumerate()
    {
        let mut runs = Vec::new();
        for (run, differing) in file.runs.iter().zip(differing) {
            let failed = |error: String| format!("{name}, run '{}': its histogram {error}", run.name);
            let total = Felt::of(&run.total).map_err(failed)?;
            let commands = run.commands.iter().map(|command| Felt::of(&command.latencies));
            let commands = commands.collect::<Result<_, _>>().map_err(failed)?;
            let words = differing.iter().map(|(_, words)| words.as_str());
            let label = [name_of(run)].into_iter().chain(words).collect::<Vec<_>>().join(", ");
            runs.push(RunData { label, differing, total, commands });
        }
        sources.push(Source { number, label, file, runs });
    }
    Ok(sources)
}

fn source_labels(files: &[(String, ResultFile)]) -> Vec<String> {
    let servers = || files.iter().map(|(_, file)| file.server.as_str());
    let labels = files.iter().map(|(name, file)| {
        let alone = servers().filter(|server| *server == file.server).count() == 1;
        if alone { file.server.clone() } else { format!("{} ({name})", file.server) }
    });
    labels.collect()
}

/// For each run of each file the parameters in which runs of its name differ.
fn differing(files: &[(String, ResultFile)]) -> Vec<Vec<Vec<(Parameter, String)>>> {
    let all = || files.iter().flat_map(|(_, file)| &file.runs);
    let of_run = |run: &Run| {
        let differs = |parameter: &Parameter| {
            all().any(|other| name_of(other) == name_of(run) && parameter.of(other) != parameter.of(run))
        };
        let parameters = Parameter::ALL.into_iter().filter(differs);
        parameters.map(|parameter| (parameter, parameter.words(parameter.of(run)))).collect()
    };
    files.iter().map(|(_, file)| file.runs.iter().map(of_run).collect()).collect()
}

/// A run's name; that of a step of a sweep without what it steps through (`GET pipeline=16`), which is told
/// apart by the load itself.
pub fn name_of(run: &Run) -> &str {
    match run.name.rsplit_once(' ') {
        Some((name, step))
            if STEPS.iter().any(|key| step.strip_prefix(key).is_some_and(|rest| rest.starts_with('='))) =>
        {
            name
        }
        _ => &run.name,
    }
}

/// Every run with its file.
pub fn all_runs(sources: &[Source]) -> impl Iterator<Item = (&Source, &Run, &RunData)> {
    sources.iter().flat_map(|source| {
        source.file.runs.iter().zip(&source.runs).map(move |(run, data)| (source, run, data))
    })
}
