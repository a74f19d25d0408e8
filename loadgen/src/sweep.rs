//! The same load over and over with one setting changed.

use crate::options::LoadOptions;

/// Steps of a sweep at most.
const STEPS_MAX: usize = 1000;

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
}
