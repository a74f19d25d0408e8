//! The search for the highest rate whose 99th percentile of response times keeps a limit.

use std::time::Duration;

use clap::Args;

use crate::error::Failure;
use crate::interrupt::Caught;
use crate::options::LoadOptions;
use crate::outcome;
use crate::report;
use crate::result::{ResultFile, Run};
use crate::runner::{self, Loaded};
use crate::tally::NoObserver;
use crate::topology::Topology;

/// The length of a step, unless --seconds says otherwise.
const STEP_SECONDS: f64 = 3.0;
/// The search ends when the bounds are as close as this.
const CLOSE: f64 = 1.03;
/// A rate that is kept brings at least this share of its requests.
const KEPT_SHARE: f64 = 0.97;

/// What is searched, and with which load.
#[derive(Debug, Clone, Args)]
pub struct FindRateOptions {
    /// The limit, such as 500us, 1ms or 2s.
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    pub p99: Duration,
    /// Rate of the first step; --seconds is the length of each (default 3).
    #[arg(long, value_name = "RATE", default_value = "1k", value_parser = crate::options::parse_rate)]
    pub start_rate: f64,
    /// No rate above this one is tried.
    #[arg(long, value_name = "RATE", default_value = "100m", value_parser = crate::options::parse_rate)]
    pub max_rate: f64,
    #[command(flatten)]
    pub load: LoadOptions,
}

fn parse_time(text: &str) -> Result<Duration, String> {
    let units = [("us", 1e-6), ("ms", 1e-3), ("s", 1.0)];
    let seconds = units.iter().find_map(|(unit, seconds)| {
        let number = text.strip_suffix(unit)?.trim().parse::<f64>().ok()?;
        (number > 0.0 && number * seconds <= 3600.0).then_some(number * seconds)
    });
    seconds.map(Duration::from_secs_f64).ok_or_else(|| "must be a time such as 500us, 1ms or 2s".into())
}

/// Searches it for each test or the profile. Each step is told; the runs of all are kept, however it ends.
pub fn run(options: &FindRateOptions) -> Result<(), Failure> {
    let load = &options.load;
    if load.sweep.is_some() {
        return Err(Failure::Options("--sweep: find-rate has steps of its own, those of the rate".into()));
    }
    let topology = runner::prepare(load)?;
    let mut result = ResultFile::begin(runner::server_name(load, &topology));
    if let Some(path) = &load.json {
        report::open_json(path)?;
    }
    let outcome = find_each(options, &topology, &mut result.runs);
    let kept = load.json.as_ref().map_or(Ok(()), |path| report::write_json(path, &result));
    outcome.and(kept)
}

fn find_each(options: &FindRateOptions, topology: &Topology, runs: &mut Vec<Run>) -> Result<(), Failure> {
    let loads = runner::loads(&options.load, topology)?;
    let _caught = Caught::begin();
    let mut outcome = Ok(());
    for load in &loads {
        let (found, is_generators) =
            search(options.start_rate, options.max_rate, |rate| step(load, rate, options, topology, runs))?;
        let limit_us = options.p99.as_secs_f64() * 1e6;
        match found {
            Some(rate) => println!("highest rate with p99 up to {limit_us:.0} us: {rate:.0}/s"),
            None => println!("no rate keeps p99 up to {limit_us:.0} us"),
        }
        if is_generators {
            let reason = "the generator, not the server, set this limit";
            outcome = outcome.and(Err(Failure::Bottleneck(reason.into())));
        }
    }
    outcome
}

/// Measures one rate and tells what came of it.
fn step(
    load: &Loaded,
    rate: f64,
    options: &FindRateOptions,
    topology: &Topology,
    runs: &mut Vec<Run>,
) -> Result<Verdict, Failure> {
    let seconds = Some(options.load.seconds.unwrap_or(STEP_SECONDS));
    let of_step = LoadOptions { rate: Some(rate), seconds, ..options.load.clone() };
    let engine = runner::choose_engine(options.load.engine)?;
    let run = runner::measure_load(load, "", &of_step, engine, topology, &mut NoObserver)?;
    let (outcome, verdict) = (outcome::verdict(&run), judge(&run, options.p99));
    let words = match (&run.failure, verdict) {
        (Some(failure), _) => failure,
        (None, Verdict::Kept) => "kept",
        (None, Verdict::TooSlow) => "too slow",
        (None, Verdict::Generator) => "the generator is too slow",
    };
    println!(
        "{}: {rate:.0}/s: {:.0}/s came, p99 {:.1} us: {words}",
        run.name,
        run.requests_per_second,
        run.total.felt().us.p99
    );
    runs.push(run);
    match outcome {
        Ok(()) | Err(Failure::Bottleneck(_)) => Ok(verdict),
        Err(failure) => Err(failure),
    }
}

/// What a step says of its rate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Kept,
    TooSlow,
    /// The generator could not send so fast.
    Generator,
}

fn judge(run: &Run, p99: Duration) -> Verdict {
    let rate = run.load.schedule.as_ref().map_or(0.0, |schedule| schedule.rate);
    let is_slow =
        run.total.felt().us.p99 > p99.as_secs_f64() * 1e6 || run.requests_per_second < rate * KEPT_SHARE;
    match run.generator_is_bottleneck {
        Some(true) if is_slow => Verdict::Generator,
        _ if is_slow => Verdict::TooSlow,
        _ => Verdict::Kept,
    }
}

/// Doubles from `start` until a rate is not kept, then halves the distance. The highest rate that was kept,
/// and whether the generator set the limit.
fn search(
    start: f64,
    most: f64,
    mut step: impl FnMut(f64) -> Result<Verdict, Failure>,
) -> Result<(Option<f64>, bool), Failure> {
    let (mut kept, mut failed, mut generator) = (None, None::<f64>, false);
    let mut rate = start.min(most);
    loop {
        match step(rate)? {
            Verdict::Kept => kept = Some(rate),
            verdict => {
                generator = verdict == Verdict::Generator;
                failed = Some(rate);
            }
        }
        rate = match (kept, failed) {
            (Some(kept), _) if kept >= most => return Ok((Some(kept), generator)),
            (Some(kept), None) => (kept * 2.0).min(most),
            (Some(low), Some(high)) if high / low <= CLOSE => return Ok((Some(low), generator)),
            (Some(low), Some(high)) => (low * high).sqrt(),
            (None, Some(high)) if high <= 1.0 => return Ok((None, generator)),
            (None, Some(high)) => (high / 4.0).max(1.0),
            (None, None) => return Ok((None, generator)),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_search_finds_what_is_kept() {
        for limit in [3.0, 900.0, 5000.0, 123_456.0, 1e9] {
            let mut steps = 0;
            let (found, generator) = search(1000.0, 1e6, |rate| {
                steps += 1;
                Ok(if rate <= limit { Verdict::Kept } else { Verdict::TooSlow })
            })
            .unwrap();
            let found = found.unwrap();
            assert!(found <= limit && found * CLOSE >= limit.min(1e6) && !generator, "{limit}: {found}");
            assert!(steps < 25, "{limit}: {steps}");
        }
        let nothing = search(1000.0, 1e6, |_| Ok(Verdict::Generator)).unwrap();
        assert_eq!(nothing, (None, true));
    }

    #[test]
    fn times_have_units() {
        assert_eq!(parse_time("500us"), Ok(Duration::from_micros(500)));
        assert_eq!(parse_time("1.5ms"), Ok(Duration::from_micros(1500)));
        assert!(parse_time("5").is_err() && parse_time("0ms").is_err());
    }
}
