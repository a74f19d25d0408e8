//! What a reader must know before believing the figures of a run.

use crate::result::{Run, WAITED_MAX};
use crate::units;

/// From this share of late commands on the schedule was not kept.
const LATE_MAX: f64 = 0.001;

/// Sentences without a full stop, the gravest first. None: nothing is in doubt.
pub fn notes(run: &Run) -> Vec<String> {
    let mut notes = Vec::new();
    if let Some(failure) = &run.failure {
        notes.push(format!("the load ended early: {failure}"));
    }
    if run.errors + run.wrong > 0 {
        let first = run.first_error.as_deref();
        let first = first.map(|error| format!("; the first error was '{error}'")).unwrap_or_default();
        let (errors, wrong) = (units::count(run.errors), units::count(run.wrong));
        notes.push(format!("{errors} error replies, {wrong} wrong ones{first}"));
    }
    match run.generator_is_bottleneck {
        Some(false) => {}
        Some(true) => notes.push("the generator was the bottleneck, not the server".into()),
        None => notes
            .push("the generator was busy all the time: it may be the bottleneck, see --server-pid".into()),
    }
    notes.extend(slip_note(run));
    if run.generator.waited > WAITED_MAX {
        let share = units::percent(run.generator.waited);
        notes.push(format!("something else held the generator's processor {share} of the time"));
    }
    if let Some(server) = run.server.as_ref().filter(|server| server.waited > WAITED_MAX) {
        let share = units::percent(server.waited);
        notes.push(format!("something else held the server's processor {share} of the time"));
    }
    if run.reconnects > 0 {
        let took = run
            .connect_us
            .map(|us| format!(", in {} (p50), {} (p99)", units::time_us(us.p50), units::time_us(us.p99)));
        let took = took.unwrap_or_default();
        notes.push(format!("{} connections were made anew{took}", units::count(run.reconnects)));
    }
    notes
}

fn slip_note(run: &Run) -> Option<String> {
    let slip = run.slip.as_ref()?;
    let mut parts = Vec::new();
    if slip.late > LATE_MAX {
        parts.push(format!(
            "{} of the commands left the generator more than 1 ms late (p99 {}, at most {})",
            units::percent(slip.late),
            units::time_us(slip.us.p99),
            units::time_us(slip.us.max)
        ));
    }
    if slip.unsent > 0 {
        parts.push(format!("{} commands that were due were never sent", units::count(slip.unsent)));
    }
    (!parts.is_empty()).then(|| parts.join("; "))
}
