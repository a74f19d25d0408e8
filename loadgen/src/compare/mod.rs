//! The comparison of any two servers under the same load.
//!
//! ```text
//!   for each round, in the order a b, b a, b a, a b, …:
//!       fresh server on its processors ─► for each pipeline and test: preload, load ─► kill
//!   then: medians over the rounds, ratios round by round ─► table, sentences, Markdown, two results
//! ```
//!
//! Only one server runs at a time. What is compared first is the processor time of the server per request,
//! which does not depend on how fast the generator is. A ratio counts as a difference only if all rounds
//! agree on its direction.

mod options;
pub mod ratio;
mod table;

use std::path::{Path, PathBuf};

use crate::client::Value;
use crate::error::Failure;
use crate::machine::{Machine, own_words};
use crate::report::write_json;
use crate::result::{ResultFile, Run};
use crate::runner;
use crate::servers::{MachineLock, Server, free_port};
use crate::single::Target;

pub use options::CompareOptions;
use table::{Cell, Comparison, Sample};

/// Load before anything is counted, as a share of the measurement.
const WARMUP_SHARE: f64 = 0.25;

pub fn run(options: &CompareOptions) -> Result<(), Failure> {
    let engine = runner::choose_engine(options.engine)?;
    let (server_cpus, load_cpus) = options.processors.choose();
    let lines = [&options.a, &options.b];
    let machine = Machine::describe(&[&options.a.program, &options.b.program], command());
    if machine.is_busy() {
        eprintln!("WARNING: the load average is {:.2}: something else runs here", machine.load_average);
    }
    let mut comparison = Comparison::new(lines.map(|line| line.text.clone()));
    if server_cpus == load_cpus {
        comparison
            .note("the server and the load share a processor: latencies and rates are those of both".into());
    }
    let cells = options.cells()?;
    let begun = ResultFile::begin(String::new());
    for round in 0..options.rounds {
        for side in order(round) {
            let line = lines[side];
            eprintln!("round {} of {}: {}", round + 1, options.rounds, line.text);
            let _lock = MachineLock::take(options.lock.as_deref())?;
            let server = Server::start(&line.launch(free_port()?, &server_cpus))?;
            if round == 0 {
                comparison.names[side] = server.name()?;
                notes_on(&server, &line.text, &mut comparison);
            }
            let target = Target { server: &server, engine, cpus: &load_cpus };
            for cell in &cells {
                let run = measure(&target, options, cell)?;
                comparison.add(Sample { side, round, cell: cell.clone(), run });
            }
        }
    }
    print!("{}", comparison.text());
    write(options, &machine, &begun, &comparison)
}

/// Whoever comes second finds a warmer machine: they take turns, and the turns do, too.
fn order(round: u32) -> [usize; 2] {
    if matches!(round % 4, 0 | 3) { [0, 1] } else { [1, 0] }
}

fn command() -> String {
    format!("polder-loadgen {}", own_words(1))
}

fn measure(target: &Target, options: &CompareOptions, cell: &Cell) -> Result<Run, Failure> {
    let (keys, bytes) = (options.keys.to_string(), options.value_bytes.to_string());
    let what = match &options.profile {
        Some(profile) => vec!["--profile", profile],
        None => vec!["-t", &cell.test, "-r", &keys, "-d", &bytes, "--preload"],
    };
    let how = [
        ("-P", cell.pipeline.to_string()),
        ("-c", options.clients.to_string()),
        ("--threads", options.threads.to_string()),
        ("--seconds", options.seconds.to_string()),
        ("--warmup", (options.seconds * WARMUP_SHARE).to_string()),
    ];
    let mut line = what;
    line.extend(how.iter().flat_map(|(flag, value)| [*flag, value.as_str()]));
    target.load_one(&line)
}

/// A server that writes snapshots meanwhile does work that the other may not do.
fn notes_on(server: &Server, text: &str, comparison: &mut Comparison) {
    let Ok(mut client) = server.client() else { return };
    let mut setting = |name: &str| match client.ask(&["CONFIG", "GET", name]) {
        Ok(Value::Array(pair)) => match pair.into_iter().nth(1) {
            Some(Value::Text(value)) => value,
            _ => String::new(),
        },
        _ => String::new(),
    };
    let save = setting("save");
    if !save.is_empty() {
        comparison
            .note(format!("'{text}' writes snapshots (save {save}): add --save '' to measure it without"));
    }
    if setting("appendonly") == "yes" {
        comparison.note(format!("'{text}' logs its writes (appendonly yes)"));
    }
}

fn write(
    options: &CompareOptions,
    machine: &Machine,
    begun: &ResultFile,
    comparison: &Comparison,
) -> Result<(), Failure> {
    let failed = |path: &Path, error: std::io::Error| Failure::System(format!("{}: {error}", path.display()));
    std::fs::create_dir_all(&options.output).map_err(|error| failed(&options.output, error))?;
    let path = |end: &str| -> PathBuf { options.output.join(format!("{}{end}", options.name)) };
    let page = path(".md");
    std::fs::write(&page, comparison.markdown(machine, &options.load_text()))
        .map_err(|error| failed(&page, error))?;
    for (side, end) in ["-a.json", "-b.json"].into_iter().enumerate() {
        let (server, runs) = (comparison.names[side].clone(), comparison.median_runs(side));
        let file = ResultFile { server, runs, ..begun.clone() };
        write_json(&path(end), &file)?;
    }
    eprintln!("written: {0}.md, {0}-a.json, {0}-b.json", path("").display());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_comes_first_as_often() {
        let first: Vec<usize> = (0..8).map(|round| order(round)[0]).collect();
        assert_eq!(first, [0, 1, 1, 0, 0, 1, 1, 0]);
    }
}
