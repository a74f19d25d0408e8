//! The same load over and over with one setting changed, and the search for the highest rate that is kept.

use std::time::Duration;

use clap::Args;

use crate::error::Failure;
use crate::options::LoadOptions;
use crate::result::Run;

/// Steps of a sweep at most.
const STEPS_MAX: usize = 1000;
/// The search ends when the bounds are as close as this.
const CLOSE: f64 = 1.03;
/// A rate that is kept brings at least this share of its requests.
const KEPT_SHARE: f64 = 0.97;

/// What changes from step to step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Setting {
    Pipeline,
    Clients,
    Value,
    Rate,
    /// Of the server, which is started anew.
    Shards,
}

/// `pipeline=1..1024` (doubling) or `clients=1,10,100`.
#[derive(Debug, Clone, PartialEq)]
pub struct Sweep {
    setting: Setting,
    steps: Vec<f64>,
}

const WORDS: &str =
    "such as pipeline=1..1024 (doubling), clients=1,10,100, value=8..64k, rate=10k..1m or shards=1,2,4";

pub fn parse(text: &str) -> Result<Sweep, String> {
    let (name, values) =
        text.split_once('=').ok_or_else(|| format!("must be a setting and its values, {WORDS}"))?;
    let (setting, most) = match name {
        "pipeline" => (Setting::Pipeline, 1e6),
        "clients" => (Setting::Clients, 1e6),
        "value" => (Setting::Value, f64::from(1 << 29)),
        "rate" => (Setting::Rate, 1e9),
        "shards" => (Setting::Shards, 4096.0),
        _ => return Err(format!("'{name}' is none of pipeline, clients, value, rate and shards, {WORDS}")),
    };
    let number = |text: &str| {
        let number = crate::options::parse_rate(text).ok();
        let fits = |&number: &f64| {
            (1.0..=most).contains(&number) && (setting == Setting::Rate || number.fract() == 0.0)
        };
        number
            .filter(fits)
            .ok_or_else(|| format!("'{text}' is no number from 1 to {most} for {name}, {WORDS}"))
    };
    let mut steps = Vec::new();
    if let Some((first, last)) = values.split_once("..") {
        let (mut step, last) = (number(first)?, number(last)?);
        if step > last {
            return Err(format!("'{values}' goes down, {WORDS}"));
        }
        while step < last {
            steps.push(step);
            step *= 2.0;
        }
        steps.push(last);
    } else {
        steps = values.split(',').map(number).collect::<Result<_, _>>()?;
    }
    if steps.len() > STEPS_MAX {
        return Err(format!("has more than {STEPS_MAX} steps"));
    }
    Ok(Sweep { setting, steps })
}

impl Sweep {
    /// What is added to a run's name, and its options.
    pub fn steps(&self, options: &LoadOptions) -> Vec<(String, LoadOptions)> {
        let step = |&value: &f64| {
            let mut options = options.clone();
            let name = match self.setting {
                Setting::Pipeline => {
                    options.pipeline = value as u32;
                    "pipeline"
                }
                Setting::Clients => {
                    options.clients = value as u32;
                    "clients"
                }
                Setting::Value => {
                    options.value_bytes = value as u32;
                    "value"
                }
                Setting::Rate => {
                    options.rate = Some(value);
                    "rate"
                }
                Setting::Shards => {
                    options.shards = Some(value as u32);
                    "shards"
                }
            };
            (format!(" {name}={value}"), options)
        };
        self.steps.iter().map(step).collect()
    }

    /// The step that needs most connections.
    pub fn clients_max(&self) -> Option<u32> {
        let most = self.steps.iter().copied().fold(0.0, f64::max);
        (self.setting == Setting::Clients).then_some(most as u32)
    }

    pub fn sets_values(&self) -> bool {
        self.setting == Setting::Value
    }

    /// If it goes over the server's shards: their number in each step, and a sweep of this step alone.
    pub fn over_shards(&self) -> Option<Vec<(u32, Sweep)>> {
        let step = |&value: &f64| (value as u32, Sweep { steps: vec![value], ..self.clone() });
        (self.setting == Setting::Shards).then(|| self.steps.iter().map(step).collect())
    }
}

/// The search for the highest rate whose 99th percentile of response times keeps a limit.
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

/// What a step says of its rate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    Kept,
    TooSlow,
    /// The generator could not send so fast.
    Generator,
}

pub fn judge(run: &Run, p99: Duration) -> Verdict {
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
pub fn search(
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
    fn steps_of_sweeps() {
        let steps = |text: &str| parse(text).unwrap().steps;
        assert_eq!(steps("pipeline=1..1024").len(), 11);
        assert_eq!(steps("clients=1,10,100"), [1.0, 10.0, 100.0]);
        assert_eq!(steps("value=8..20"), [8.0, 16.0, 20.0]);
        assert_eq!(steps("rate=10k..40k"), [10_000.0, 20_000.0, 40_000.0]);
        let applied = parse("value=8..64k").unwrap().steps(&LoadOptions::default());
        let last = applied.last().unwrap();
        assert_eq!((last.0.as_str(), last.1.value_bytes), (" value=64000", 64_000));
        let shards = parse("shards=1,4").unwrap();
        assert_eq!(shards.steps(&LoadOptions::default())[1].1.shards, Some(4));
        assert_eq!(shards.over_shards().unwrap()[1], (4, parse("shards=4").unwrap()));
        assert_eq!(parse("clients=1,4").unwrap().over_shards(), None);
        for (wrong, part) in [
            ("pipeline", "pipeline=1..1024"),
            ("depth=1..2", "none of pipeline"),
            ("pipeline=0..4", "'0'"),
            ("clients=1,x", "'x'"),
            ("clients=1.5", "1.5"),
            ("value=9..8", "goes down"),
            ("shards=0,1", "'0'"),
            ("shards=5000", "4096 for shards"),
        ] {
            let error = parse(wrong).unwrap_err();
            assert!(error.contains(part), "{wrong}: {error}");
        }
    }

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
