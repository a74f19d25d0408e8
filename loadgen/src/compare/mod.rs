//! The comparison of any two servers under the same load.
//!
//! ```text
//!   for each round, in the order a b, b a, b a, a b, …:
//!       fresh server on its processors ─► for each pipeline and test: preload, load ─► kill
//!       (one that runs already is only loaded)
//!   then: medians over the rounds, ratios round by round ─► table, sentences, Markdown, two results
//! ```
//!
//! Only one of the servers that are started runs at a time. What is compared first is the processor time of the
//! server per request, which does not depend on how fast the generator is. A ratio counts as a difference only
//! if all rounds agree on its direction.

mod options;
pub mod ratio;
mod side;
mod table;

use std::path::{Path, PathBuf};

use crate::error::Failure;
use crate::interrupt::{self, Caught};
use crate::machine::{Machine, own_words};
use crate::options::EngineChoice;
use crate::origin::server_name;
use crate::report::{check_folder, write_json};
use crate::result::{ResultFile, Run};
use crate::runner;
use crate::servers::MachineLock;
use crate::single::Target;

pub use options::CompareOptions;
use side::Side;
use table::{Cell, Comparison, LETTERS, Sample};

/// Load before anything is counted, as a share of the measurement.
const WARMUP_SHARE: f64 = 0.25;

pub fn run(options: &CompareOptions) -> Result<(), Failure> {
    check_folder(&options.output)?;
    let engine = runner::choose_engine(options.engine)?;
    let (server_cpus, load_cpus) = options.processors.choose();
    let cells = options.cells()?;
    let sides = Side::both(options)?;
    let machine = Machine::with_servers(sides.iter().map(Side::version).collect(), command());
    if machine.is_busy() {
        eprintln!("WARNING: the load average is {:.2}: something else runs here", machine.load_average);
    }
    let mut comparison = Comparison::new([sides[0].text(), sides[1].text()]);
    for (side, letter) in sides.iter().zip(LETTERS) {
        for note in side.notes(letter, options, &load_cpus) {
            eprintln!("NOTE: {note}");
            comparison.note(note);
        }
    }
    if server_cpus == load_cpus {
        comparison
            .note("the server and the load share a processor: latencies and rates are those of both".into());
    }
    let begun = ResultFile::begin(String::new());
    let mut outcome = Ok(());
    let _caught = Caught::begin();
    'rounds: for round in 0..options.rounds {
        for side in order(round) {
            eprintln!("round {} of {}: {}", round + 1, options.rounds, sides[side].text());
            let turn =
                Turn { side, round, options, engine, server_cpus: &server_cpus, load_cpus: &load_cpus };
            if let Err(failure) = turn.measure(&sides[side], &cells, &mut comparison) {
                outcome = Err(failure);
                break 'rounds;
            }
        }
    }
    if let Err(failure) = &outcome {
        if comparison.is_empty() {
            return outcome;
        }
        comparison.note(format!("ended early: {failure}; what was measured until then counts"));
    }
    print!("{}", comparison.text());
    write(options, &machine, &begun, &comparison).and(outcome)
}

/// A server's part of a round.
struct Turn<'a> {
    side: usize,
    round: u32,
    options: &'a CompareOptions,
    engine: EngineChoice,
    server_cpus: &'a [usize],
    load_cpus: &'a [usize],
}

impl Turn<'_> {
    /// Measures every load; those before one that fails stay.
    fn measure(&self, side: &Side, cells: &[Cell], comparison: &mut Comparison) -> Result<(), Failure> {
        let letter = LETTERS[self.side];
        let _lock = MachineLock::take(self.options.lock.as_deref())?;
        let server = side.ready(self.server_cpus)?;
        if self.round == 0 {
            comparison.names[self.side] = server_name(&mut server.client()?);
            server.saving(letter).into_iter().for_each(|note| comparison.note(note));
        }
        let target = server.target(self.engine, self.load_cpus).with_tls(&self.options.tls);
        for cell in cells {
            interrupt::check()?;
            let run = measure(&target, self.options, cell)
                .map_err(|failure| failure.behind(&letter.to_string()))?;
            comparison.add(Sample { side: self.side, round: self.round, cell: cell.clone(), run });
        }
        Ok(())
    }
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

fn write(
    options: &CompareOptions,
    machine: &Machine,
    begun: &ResultFile,
    comparison: &Comparison,
) -> Result<(), Failure> {
    let failed = |path: &Path, error: std::io::Error| Failure::System(format!("{}: {error}", path.display()));
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
