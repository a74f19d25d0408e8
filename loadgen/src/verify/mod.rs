//! Verifying: load a server, record what every client saw and when, and judge whether it can be right.
//!
//! ```text
//!   workload ─► driver, wire ─► history ─► keyed         registers, counters: linearize
//!                                  │       transfers     sums
//!                                  │       queues        lists
//!                                  │       pipelines     order
//!                                  │       transactions  polder_history
//!                                  │          └─► fault, minimise ─► report
//!                               a file
//! ```
//!
//! Every fault that is told is one. What is let through: orders of blind writes in transactions over several
//! keys that only a search over all of them could exclude (see `polder_history`), and what operations of
//! unknown outcome may excuse.

mod driver;
mod fault;
mod history;
mod keyed;
mod linearize;
mod minimise;
pub mod options;
mod pipelines;
mod queues;
mod report;
#[cfg(test)]
mod tests;
mod transactions;
mod transfers;
mod wire;
mod workload;

use fault::{Fault, Findings};
use history::{History, Reply};
use options::{Check, VerifyOptions};

use crate::error::Failure;

/// Faults of each check that are shown.
const FAULTS_SHOWN_MAX: usize = 3;

/// Loads and judges, or only judges a history that was kept.
pub fn run(options: &VerifyOptions) -> Result<(), Failure> {
    let (history, gone) = match &options.check {
        Some(path) => (History::read(path, options.operations)?, None),
        None => load(options)?,
    };
    let judged = judge(&history, &options.checks)?;
    let mut verdict = Verdict::default();
    for (check, operations, findings) in &judged {
        println!("{}", report::line(*check, *operations, findings));
        verdict.add(*check, findings);
    }
    for fault in judged.iter().flat_map(|(.., findings)| findings.faults.iter().take(FAULTS_SHOWN_MAX)) {
        println!("\n{}", report::fault(&history, fault));
    }
    if verdict.faults > 0 {
        println!("seed {}; the load again: {}", history.header.seed, history.header.command_line);
        match options.check.as_ref().or(options.history.as_ref()) {
            Some(path) => {
                println!("the verdict again: polder-loadgen verify --check {}", path.display());
            }
            None => println!("with --history FILE the history is kept, and judged again by --check FILE"),
        }
    }
    verdict.conclude(&history, gone)
}

fn load(options: &VerifyOptions) -> Result<(History, Option<String>), Failure> {
    let recorded = driver::record(options)?;
    let history = recorded.history;
    if let Some(path) = &options.history {
        history.write(path)?;
    }
    let unknown = history.operations.iter().filter(|operation| operation.is_unknown()).count();
    println!(
        "{} operations of {} clients in {:.1} s, {unknown} of unknown outcome, {} reconnections",
        history.operations.len(),
        options.clients,
        recorded.seconds,
        recorded.reconnects
    );
    if recorded.full {
        println!(
            "  NOTE: the load ended early, since the history was full: see --operations ({})",
            options.operations
        );
    }
    if !history.header.complete {
        println!("  NOTE: the keys could not be read in the end: what is lost is not known");
    }
    Ok((history, recorded.gone))
}

/// The verdict of each check that has operations, with their number.
pub fn judge(history: &History, checks: &[Check]) -> Result<Vec<(Check, usize, Findings)>, Failure> {
    let mut judged = Vec::new();
    for check in Check::ALL.into_iter().filter(|check| checks.contains(check)) {
        let numbers: Vec<u32> = history.of(check).collect();
        if numbers.is_empty() {
            continue;
        }
        let mut findings = wrong_replies(history, &numbers);
        findings.merge(match check {
            Check::Registers => keyed::check_registers(history, &numbers),
            Check::Counters => keyed::check_counters(history, &numbers),
            Check::Transfers => {
                let mut findings = transfers::check(history, &numbers);
                findings.merge(keyed::check_counters(history, &numbers));
                findings
            }
            Check::Lists => queues::check(history, &numbers),
            Check::Pipelines => {
                let mut findings = pipelines::check(history, &numbers);
                findings.merge(keyed::check_registers(history, &numbers));
                findings
            }
            Check::Append => transactions::check(history, &numbers)?,
        });
        judged.push((check, numbers.len(), findings));
    }
    Ok(judged)
}

/// Replies that make no sense whatever else happened.
fn wrong_replies(history: &History, numbers: &[u32]) -> Findings {
    let mut findings = Findings::default();
    for &number in numbers {
        let operation = &history.operations[number as usize];
        if matches!(operation.reply, Reply::Garbage(_)) {
            let first = findings.total == 0;
            let name = || operation.names(&history.header.prefix).remove(0);
            findings.add(first, || {
                Fault::new(format!("{}: no reply that this command can have", name()), vec![number])
            });
        }
    }
    findings
}

/// What all checks came to.
#[derive(Default)]
struct Verdict {
    faults: usize,
    undecided: Vec<&'static str>,
}

impl Verdict {
    fn add(&mut self, check: Check, findings: &Findings) {
        self.faults += findings.total;
        if !findings.undecided.is_empty() {
            self.undecided.push(check.name());
        }
    }

    fn conclude(&self, history: &History, gone: Option<String>) -> Result<(), Failure> {
        if self.faults > 0 {
            let count = self.faults;
            let text =
                if count == 1 { "there is 1 fault".into() } else { format!("there are {count} faults") };
            return Err(Failure::Replies(text));
        }
        if let Some(reason) = gone {
            let until_then = match &self.undecided[..] {
                [] => "is consistent".into(),
                names => format!("has no fault, but was not decided: {}", names.join(", ")),
            };
            return Err(Failure::ServerGone(format!("{reason}; what was recorded until then {until_then}")));
        }
        if !self.undecided.is_empty() {
            return Err(Failure::Replies(format!("undecided: {}", self.undecided.join(", "))));
        }
        let error = |reply: &Reply| match reply {
            Reply::Error(text) => Some(text.to_string()),
            _ => None,
        };
        let mut errors = history.operations.iter().filter_map(|operation| error(&operation.reply));
        match errors.next() {
            Some(first) => {
                let count = 1 + errors.count();
                Err(Failure::Replies(format!("{count} error replies, the first one: {first}")))
            }
            None => Ok(()),
        }
    }
}
