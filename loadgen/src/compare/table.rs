//! What was measured of two servers, as a table and in sentences.

use crate::machine::Machine;
use crate::result::Run;
use crate::result::WAITED_MAX;
use crate::show::table::Table;
use crate::units;

use super::ratio::{Ratio, median};

/// One load.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cell {
    pub test: String,
    pub pipeline: u32,
}

/// A load, measured once.
#[derive(Debug, Clone)]
pub struct Sample {
    /// 0: a, 1: b.
    pub side: usize,
    pub round: u32,
    pub cell: Cell,
    pub run: Run,
}

pub struct Comparison {
    /// The servers' command lines.
    lines: [String; 2],
    /// What the servers call themselves, once they have been asked.
    pub names: [String; 2],
    samples: Vec<Sample>,
    notes: Vec<String>,
}

/// What the sides are called.
pub const LETTERS: [char; 2] = ['a', 'b'];

const NOT_MEASURED: &str = "not measured";

const COLUMNS: [&str; 10] = [
    "test",
    "pipeline",
    "a req/s",
    "b req/s",
    "a p50/p99 us",
    "b p50/p99 us",
    "a CPU-ns",
    "b CPU-ns",
    "b/a CPU",
    "b/a req/s",
];

fn server_ns(run: &Run) -> f64 {
    run.server.as_ref().map_or(0.0, |server| server.ns_per_request())
}

impl Comparison {
    pub fn new(lines: [String; 2]) -> Comparison {
        Comparison { names: lines.clone(), lines, samples: Vec::new(), notes: Vec::new() }
    }

    pub fn note(&mut self, note: String) {
        self.notes.push(note);
    }

    pub fn add(&mut self, sample: Sample) {
        self.samples.push(sample);
    }

    pub fn is_empty(&self) -> bool {
        self.samples.is_empty()
    }

    fn cells(&self) -> Vec<Cell> {
        let mut cells: Vec<Cell> = Vec::new();
        for sample in &self.samples {
            if !cells.contains(&sample.cell) {
                cells.push(sample.cell.clone());
            }
        }
        cells
    }

    fn runs<'a>(&'a self, side: usize, cell: &'a Cell) -> impl Iterator<Item = (u32, &'a Run)> {
        let samples = self.samples.iter().filter(move |sample| sample.side == side && sample.cell == *cell);
        samples.map(|sample| (sample.round, &sample.run))
    }

    fn median_of(&self, side: usize, cell: &Cell, value: impl Fn(&Run) -> f64) -> f64 {
        median(self.runs(side, cell).map(|(_, run)| value(run)).collect())
    }

    /// A comparison that ended early may have run a load on one side only.
    fn has_run(&self, side: usize, cell: &Cell) -> bool {
        self.runs(side, cell).next().is_some()
    }

    /// Whether all runs tell the server's processor time.
    fn is_measured(&self, side: usize, cell: &Cell) -> bool {
        self.runs(side, cell).all(|(_, run)| run.server.is_some())
    }

    /// b to a in each round that has both.
    fn ratio(&self, cell: &Cell, value: impl Fn(&Run) -> f64) -> Option<Ratio> {
        let pairs: Vec<(f64, f64)> = self
            .runs(0, cell)
            .filter_map(|(round, a)| {
                let (_, b) = self.runs(1, cell).find(|(other, _)| *other == round)?;
                Some((value(a), value(b)))
            })
            .collect();
        Ratio::of(&pairs)
    }

    fn rows(&self) -> Vec<Vec<String>> {
        let cells = self.cells();
        let row = |cell: &Cell| {
            let rate = |side| {
                if !self.has_run(side, cell) {
                    return "-".into();
                }
                let rate = units::rate(self.median_of(side, cell, |run| run.requests_per_second));
                let limited = self.runs(side, cell).any(|(_, run)| run.generator_is_bottleneck == Some(true));
                if limited { rate + "*" } else { rate }
            };
            let latency = |side| {
                if !self.has_run(side, cell) {
                    return "-".into();
                }
                let p50 = self.median_of(side, cell, |run| run.total.felt().us.p50);
                let p99 = self.median_of(side, cell, |run| run.total.felt().us.p99);
                format!("{p50:.0}/{p99:.0}")
            };
            let cost = |side| match self.median_of(side, cell, server_ns) {
                _ if !self.is_measured(side, cell) => NOT_MEASURED.into(),
                ns if ns > 0.0 => format!("{ns:.0}"),
                _ => "-".into(),
            };
            let ratio = |ratio: Option<Ratio>| ratio.map_or_else(|| "-".into(), Ratio::text);
            vec![
                cell.test.to_uppercase(),
                cell.pipeline.to_string(),
                rate(0),
                rate(1),
                latency(0),
                latency(1),
                cost(0),
                cost(1),
                ratio(self.ratio(cell, server_ns)),
                ratio(self.ratio(cell, |run| run.requests_per_second)),
            ]
        };
        cells.iter().map(row).collect()
    }

    /// A line for each cell that says what the figures allow to say.
    fn sentences(&self) -> Vec<String> {
        let cells = self.cells();
        let sentence = |cell: &Cell| {
            let ratio = self.ratio(cell, server_ns);
            let missing: Vec<String> = (0..2)
                .filter(|&side| !self.is_measured(side, cell))
                .map(|side| LETTERS[side].to_string())
                .collect();
            let text = match ratio {
                Some(ratio) => ratio.sentence(),
                None if (0..2).any(|side| !self.has_run(side, cell)) => "was not run on both".into(),
                None if missing.is_empty() => "no processor time was seen: measure for longer".into(),
                None => format!("the processor time of {} was not measured", missing.join(" and ")),
            };
            format!("{}, pipeline {}: {text}", cell.test.to_uppercase(), cell.pipeline)
        };
        cells.iter().map(sentence).collect()
    }

    fn all_notes(&self) -> Vec<String> {
        let mut notes = self.notes.clone();
        let limited = |sample: &&Sample| sample.run.generator_is_bottleneck == Some(true);
        if self.samples.iter().any(|sample| limited(&sample)) {
            let text = "* the generator was the bottleneck: the server could answer more than this rate";
            notes.push(text.into());
        }
        let disturbed = |whose: &str, waited: fn(&Run) -> f64| {
            let count = self.samples.iter().filter(|sample| waited(&sample.run) > WAITED_MAX).count();
            (count > 0).then(|| {
                let all = self.samples.len();
                format!(
                    "disturbed: in {count} of {all} measurements something else held the {whose}'s processor"
                )
            })
        };
        notes.extend(disturbed("load", |run| run.generator.waited));
        notes.extend(disturbed("server", |run| run.server.as_ref().map_or(0.0, |server| server.waited)));
        notes
    }

    /// For a terminal.
    pub fn text(&self) -> String {
        let mut text = String::new();
        for (side, letter) in LETTERS.into_iter().enumerate() {
            text.push_str(&format!("{letter}: {} ({})\n", self.lines[side], self.names[side]));
        }
        let mut table = Table::new(COLUMNS);
        self.rows().into_iter().for_each(|row| table.row(row));
        text.push_str(&format!("\n{}\n", table.text()));
        self.sentences().iter().for_each(|sentence| text.push_str(&format!("{sentence}\n")));
        self.all_notes().iter().for_each(|note| text.push_str(&format!("NOTE: {note}\n")));
        text
    }

    pub fn markdown(&self, machine: &Machine, load: &str) -> String {
        let mut page = format!(
            "# {} and {}\n\n- Date: {}\n- Machine: {}\n",
            self.names[0], self.names[1], machine.date, machine.machine
        );
        for (side, letter) in LETTERS.into_iter().enumerate() {
            page.push_str(&format!("- {letter}: `{}` ({})\n", self.lines[side], machine.servers[side]));
        }
        page.push_str(&format!("- Load: {load}; medians over the rounds, [least … most] of the rounds\n"));
        page.push_str(&format!("- Repeat it: `{}`\n", machine.command));
        if machine.is_busy() {
            let average = machine.load_average;
            page.push_str(&format!(
                "- **The machine was not idle** (load average {average:.2} before the run)\n"
            ));
        }
        self.all_notes().iter().for_each(|note| page.push_str(&format!("- {note}\n")));
        page.push_str(&format!(
            "\n| {} |\n|{}\n",
            COLUMNS.join(" | "),
            " --- | ---: |".to_string() + &" ---: |".repeat(COLUMNS.len() - 2)
        ));
        self.rows().iter().for_each(|row| page.push_str(&format!("| {} |\n", row.join(" | "))));
        page.push('\n');
        self.sentences().iter().for_each(|sentence| page.push_str(&format!("- {sentence}\n")));
        page
    }

    /// Of each cell the round whose cost is the middle one, in full.
    pub fn median_runs(&self, side: usize) -> Vec<Run> {
        let cells = self.cells();
        let middle = |cell: &Cell| {
            let mut runs: Vec<&Run> = self.runs(side, cell).map(|(_, run)| run).collect();
            runs.sort_by(|a, b| server_ns(a).total_cmp(&server_ns(b)));
            runs.get(runs.len().saturating_sub(1) / 2).map(|run| (*run).clone())
        };
        cells.iter().filter_map(middle).collect()
    }
}
