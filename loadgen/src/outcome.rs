//! Puts together what the workers of a run tell: seconds for whoever observes, and the result at the end.

use std::collections::VecDeque;
use std::sync::mpsc::Sender;
use std::time::Duration;

use hdrhistogram::Histogram;

use crate::error::Failure;
use crate::plan::{Outcome, Part};
use crate::processes::CpuSample;
use crate::result::{
    self, CommandResult, Distribution, GeneratorCost, Interval, Latencies, LatencyUs, Load, Run, ServerCost,
    Slip,
};
use crate::tally::{IntervalHistograms, KindName, KindTally, Observer, SlipTally, Tally};

/// From this share of late commands on an open loop did not do what was asked.
const LATE_SHARE_MAX: f64 = 0.01;

/// A generator kept its schedule if 99 of 100 commands left no later than this, or than this share of the 99th
/// percentile that is reported. The same loop sends and reads, so that it read no later than that, either.
const KEPT_SLIP_US: f64 = 100.0;
const KEPT_SLIP_SHARE: f64 = 0.25;

/// So begins the failure of a load that needs commands which the server lacks.
pub const NOT_AVAILABLE: &str = "not available";

/// The failure of a load that the user ended early.
pub const INTERRUPTED: &str = "interrupted";

/// A second, or what has come of it.
struct Second {
    tally: Tally,
    start_ns: u64,
    end_ns: u64,
}

/// What a worker has told so far.
struct Told {
    parts: usize,
    finished: bool,
    /// Takes tallies back.
    cleared: Sender<Tally>,
}

/// Takes parts and outcomes as they come.
pub struct Gathering<'a> {
    kinds: &'a [KindName],
    open_loop: bool,
    observer: &'a mut dyn Observer,
    workers: Vec<Told>,
    /// Seconds that are not complete; the first is number `shown`.
    seconds: VecDeque<Second>,
    shown: usize,
    total: Tally,
    intervals: Vec<Interval>,
    outcomes: Vec<Outcome>,
}

impl<'a> Gathering<'a> {
    /// Each worker's tallies go back to its own channel.
    pub fn new(
        kinds: &'a [KindName],
        open_loop: bool,
        observer: &'a mut dyn Observer,
        cleared: Vec<Sender<Tally>>,
    ) -> Gathering<'a> {
        let told = |cleared| Told { parts: 0, finished: false, cleared };
        Gathering {
            kinds,
            open_loop,
            observer,
            workers: cleared.into_iter().map(told).collect(),
            seconds: VecDeque::new(),
            shown: 0,
            total: Tally::new(kinds.len(), open_loop),
            intervals: Vec::new(),
            outcomes: Vec::new(),
        }
    }

    /// The measured phase begins.
    pub fn begin(&mut self, name: &str) {
        self.observer.begin(name, self.kinds);
    }

    pub fn finished(&self) -> usize {
        self.outcomes.len()
    }

    pub fn has_failed(&self) -> bool {
        self.outcomes.iter().any(|outcome| outcome.failure.is_some())
    }

    pub fn take_part(&mut self, worker: usize, part: Part) {
        let Part { mut tally, start_ns, span_ns } = part;
        let end_ns = start_ns + span_ns;
        let told = &mut self.workers[worker];
        let position = told.parts - self.shown;
        told.parts += 1;
        while self.seconds.len() <= position {
            let empty = Tally::new(self.kinds.len(), self.open_loop);
            self.seconds.push_back(Second { tally: empty, start_ns, end_ns });
        }
        let second = &mut self.seconds[position];
        second.tally.add(&tally);
        second.start_ns = second.start_ns.min(start_ns);
        second.end_ns = second.end_ns.max(end_ns);
        tally.clear();
        // A worker that has ended wants none.
        let _ = told.cleared.send(tally);
        self.show();
    }

    pub fn take_outcome(&mut self, worker: usize, outcome: Outcome) {
        self.workers[worker].finished = true;
        self.outcomes.push(outcome);
        self.show();
    }

    /// Shows the seconds of which every worker has told its part.
    fn show(&mut self) {
        while !self.seconds.is_empty()
            && self.workers.iter().all(|worker| worker.finished || worker.parts > self.shown)
            && let Some(Second { tally, start_ns, end_ns }) = self.seconds.pop_front()
        {
            self.shown += 1;
            self.total.add(&tally);
            let total = tally.total(self.kinds);
            let (start, seconds) = (start_ns as f64 / 1e9, (end_ns - start_ns) as f64 / 1e9);
            self.intervals.push(Interval {
                start,
                seconds,
                requests: total.requests,
                errors: total.errors,
                us: LatencyUs::of(total.felt_ns()),
            });
            self.observer.interval(&IntervalHistograms {
                start,
                seconds,
                kinds: self.kinds,
                tally: &tally,
                total: &total,
            });
        }
    }

    /// The result, after all outcomes.
    pub fn run(self, name: &str, load: Load, server: Option<(CpuSample, CpuSample, Duration)>) -> Run {
        self.observer.end();
        let total = self.total.total(self.kinds);
        let each = total.requests.max(1) as f64;
        let (mut seconds, mut cpu_ns, mut utilisation, mut waited) = (0f64, 0u64, 0f64, 0f64);
        let (mut failure, mut unsent) = (None, 0);
        for outcome in self.outcomes {
            let measured = outcome.measured.as_secs_f64();
            seconds = seconds.max(measured);
            cpu_ns += outcome.cpu_ns;
            utilisation = utilisation.max(outcome.cpu_ns as f64 / 1e9 / measured.max(1e-9));
            waited = waited.max(outcome.wait_ns as f64 / 1e9 / measured.max(1e-9));
            unsent += outcome.unsent;
            failure = failure.or(outcome.failure);
        }
        let server = server.map(|(before, after, elapsed)| {
            let used = after.since(&before, elapsed.as_nanos() as u64);
            ServerCost {
                user_ns_per_request: used.user_ns / each,
                system_ns_per_request: used.system_ns / each,
                utilisation: used.utilisation,
                waited: used.waited,
            }
        });
        let slip = self.total.slip.as_ref().map(|slip| slip_of(slip, unsent));
        let felt_p99_us = LatencyUs::of(total.felt_ns()).p99;
        let kept = slip.as_ref().map(|slip| (slip, kept_schedule(slip, total.requests, felt_p99_us)));
        let is_bottleneck = bottleneck(kept, utilisation, server.as_ref());
        let connect_ns = self.total.connect_ns.as_ref();
        let command = |(tally, kind): (&KindTally, &KindName)| CommandResult {
            name: kind.name.clone(),
            requests: tally.requests,
            errors: tally.errors,
            misses: tally.misses,
            latencies: latencies(tally),
        };
        Run {
            name: name.to_string(),
            load,
            seconds,
            requests: total.requests,
            requests_per_second: total.requests as f64 / seconds.max(1e-9),
            errors: total.errors,
            wrong: total.wrong,
            misses: total.misses,
            reconnects: connect_ns.map_or(0, Histogram::len),
            connect_us: connect_ns.map(LatencyUs::of),
            first_error: self.total.first_error.clone(),
            total: latencies(&total),
            commands: self.total.kinds.iter().zip(self.kinds).map(command).collect(),
            intervals: self.intervals,
            slip,
            generator_is_bottleneck: is_bottleneck,
            server,
            generator: GeneratorCost { ns_per_request: cpu_ns as f64 / each, utilisation, waited },
            failure,
        }
    }
}

fn latencies(tally: &KindTally) -> Latencies {
    Latencies {
        response: tally.response_ns.as_ref().map(Distribution::of),
        service: Distribution::of(&tally.service_ns),
    }
}

fn slip_of(slip: &SlipTally, unsent: u64) -> Slip {
    Slip { us: LatencyUs::of(&slip.ns), late: slip.late as f64 / slip.ns.len().max(1) as f64, unsent }
}

/// Whether how late the generator was shows in nothing that is reported. What a slow reader has not read keeps
/// its connection from sending, which is no slip: so nearly all must have been sent, too.
fn kept_schedule(slip: &Slip, requests: u64, felt_p99_us: f64) -> bool {
    slip.late <= LATE_SHARE_MAX
        && slip.us.p99 <= KEPT_SLIP_US.max(KEPT_SLIP_SHARE * felt_p99_us)
        && slip.unsent as f64 <= LATE_SHARE_MAX * requests as f64
}

/// An open loop knows by its slip. A generator that waits for times that are microseconds apart is busy whether
/// it has much to do or not: one that kept its schedule is not to blame. Nor is one that did not, without being
/// very late, if the server was busy, too.
fn bottleneck(slip: Option<(&Slip, bool)>, utilisation: f64, server: Option<&ServerCost>) -> Option<bool> {
    let by_use = result::generator_is_bottleneck(utilisation, server);
    match slip {
        Some((slip, _)) if slip.late > LATE_SHARE_MAX => Some(true),
        Some((_, true)) => Some(false),
        Some(_) => Some(by_use.unwrap_or(true)),
        None => by_use,
    }
}

/// What a result means for the exit code.
pub fn verdict(run: &Run) -> Result<(), Failure> {
    if let Some(reason) = run.failure.as_ref().filter(|reason| reason.starts_with(NOT_AVAILABLE)) {
        return Err(Failure::NotAvailable(format!("{}: {reason}", run.name)));
    }
    if run.failure.as_deref() == Some(INTERRUPTED) {
        return Err(Failure::Interrupted(format!("{}: {INTERRUPTED}; the result so far is above", run.name)));
    }
    if let Some(reason) = &run.failure {
        return Err(Failure::ServerGone(format!("{}: {reason}; the result so far is above", run.name)));
    }
    if run.errors + run.wrong > 0 {
        let first = run.first_error.as_ref();
        let first = first.map(|error| format!("; the first error was '{error}'")).unwrap_or_default();
        return Err(Failure::Replies(format!(
            "{}: {} error replies, {} wrong ones{first}",
            run.name, run.errors, run.wrong
        )));
    }
    if let (Some(slip), Some(true)) = (&run.slip, run.generator_is_bottleneck) {
        return Err(Failure::Bottleneck(format!(
            "{}: the generator, not the server, was the bottleneck: it was {:.0} % busy, {:.1} % of the commands \
             left more than 1 ms late and 1 % more than {:.0} us; use more --threads or a processor of its own, or \
             a lower --rate",
            run.name,
            run.generator.utilisation * 100.0,
            slip.late * 100.0,
            slip.us.p99
        )));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tally::new_histogram;

    /// Of a hundred commands, `late` left so late.
    fn slip(late: u64, late_ns: u64) -> Slip {
        let mut tally = SlipTally { ns: new_histogram(), late: 0 };
        for number in 0..100 {
            tally.record(if number < late { late_ns } else { 1_000 });
        }
        slip_of(&tally, 0)
    }

    fn server(utilisation: f64) -> ServerCost {
        ServerCost { user_ns_per_request: 1.0, system_ns_per_request: 1.0, utilisation, waited: 0.0 }
    }

    /// Of a hundred requests with this 99th percentile.
    fn judged(slip: &Slip, p99_us: f64, utilisation: f64, server: Option<&ServerCost>) -> Option<bool> {
        bottleneck(Some((slip, kept_schedule(slip, 100, p99_us))), utilisation, server)
    }

    #[test]
    fn a_generator_that_kept_its_schedule_may_be_busy() {
        let kept = slip(5, 90_000);
        assert_eq!(judged(&kept, 200.0, 0.99, None), Some(false));
        assert_eq!(judged(&kept, 200.0, 0.99, Some(&server(0.5))), Some(false));
        assert_eq!(judged(&slip(5, 300_000), 4_000.0, 0.99, None), Some(false));
        assert_eq!(bottleneck(None, 0.99, None), None);
    }

    #[test]
    fn a_busy_generator_that_was_late_is_the_bottleneck() {
        let late = slip(5, 500_000);
        assert_eq!(judged(&late, 1_000.0, 0.5, None), Some(false));
        assert_eq!(judged(&late, 1_000.0, 0.99, None), Some(true));
        assert_eq!(judged(&late, 1_000.0, 0.99, Some(&server(0.5))), Some(true));
        assert_eq!(judged(&late, 1_000.0, 0.99, Some(&server(0.99))), Some(false));
        let unsent = Slip { unsent: 5, ..slip(5, 90_000) };
        assert_eq!(judged(&unsent, 200.0, 0.99, None), Some(true));
        assert_eq!(judged(&unsent, 200.0, 0.99, Some(&server(0.99))), Some(false));
    }

    #[test]
    fn a_generator_that_was_very_late_is_the_bottleneck_however_busy() {
        assert_eq!(judged(&slip(5, 3_000_000), 1e6, 0.3, Some(&server(0.99))), Some(true));
        assert_eq!(judged(&slip(1, 3_000_000), 1e6, 0.3, None), Some(false));
    }
}
