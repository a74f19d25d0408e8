//! Scales: where a value stands on an axis, and which values are written beside it.

use crate::units;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scale {
    Linear,
    /// Only for values above 0.
    Log,
}

/// What an axis' values are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    Count,
    /// A number that somebody chose: not rounded if it is short.
    Step,
    Seconds,
    /// Microseconds.
    Time,
    /// The decimal logarithm of 1/(1-q): 2 is the 99th percentile.
    Percentile,
}

impl Unit {
    /// Short, for an axis.
    pub fn tick(self, value: f64) -> String {
        match self {
            Unit::Step if value < 99_999.5 => units::rate(value),
            Unit::Count | Unit::Step => units::short(value),
            Unit::Seconds => units::rate(value),
            Unit::Time => units::time_micro(value),
            Unit::Percentile => percentile(value),
        }
    }

    /// In full, for tables and titles.
    pub fn text(self, value: f64) -> String {
        match self {
            Unit::Count | Unit::Step => units::rate(value),
            Unit::Seconds => format!("{value:.1} s"),
            Unit::Time => units::time_micro(value),
            Unit::Percentile => percentile(value),
        }
    }
}

/// `99.9 %` for 3: as many digits as tell it from 100 %.
fn percentile(nines: f64) -> String {
    let share = 100.0 * (1.0 - 10f64.powf(-nines));
    let decimals = (nines.ceil().max(1.0) as usize).saturating_sub(2).min(10);
    let rounded = format!("{share:.decimals$}");
    let plain = format!("{share:.*}", decimals + 1);
    let plain = plain.trim_end_matches('0').trim_end_matches('.');
    // Whole nines have no further digits; between them one more is shown.
    let text = if nines.fract() < 1e-9 { rounded } else { plain.to_string() };
    format!("{text} %")
}

#[derive(Debug, Clone)]
pub struct Axis {
    pub name: String,
    pub unit: Unit,
    scale: Scale,
    min: f64,
    max: f64,
    ticks: Vec<f64>,
}

impl Axis {
    /// An axis that holds all values; linear ones begin at 0.
    pub fn new(name: &str, unit: Unit, scale: Scale, values: impl Iterator<Item = f64> + Clone) -> Axis {
        let usable = values.filter(|value| value.is_finite() && (scale == Scale::Linear || *value > 0.0));
        let min = usable.clone().fold(f64::INFINITY, f64::min);
        let max = usable.fold(f64::NEG_INFINITY, f64::max);
        let (min, max) = if min <= max { (min, max) } else { (1.0, 10.0) };
        let (min, max, ticks) = match (scale, unit) {
            (_, Unit::Percentile) => {
                let max = max.max(1.0);
                (0.0, max, (0..=max as u32).map(f64::from).collect())
            }
            (Scale::Linear, Unit::Seconds) => {
                // Time ends where the run ended, not at a round number.
                let max = max.max(1e-9);
                let (_, _, ticks) = linear(max, &[1.0, 2.0, 5.0, 10.0], 6.0);
                (0.0, max, ticks.into_iter().filter(|tick| *tick <= max * 1.0001).collect())
            }
            (Scale::Linear, _) => linear(max.max(1e-9), &[1.0, 2.0, 2.5, 5.0, 10.0], 4.0),
            (Scale::Log, _) => logarithmic(min, max),
        };
        Axis { name: name.to_string(), unit, scale, min, max, ticks }
    }

    /// An axis whose ticks are the values themselves, such as 1, 2, 4, …: those of a sweep.
    pub fn of_steps(name: &str, mut values: Vec<f64>) -> Axis {
        values.retain(|value| value.is_finite() && *value > 0.0);
        values.sort_by(f64::total_cmp);
        values.dedup();
        let (min, max) = match (values.first(), values.last()) {
            (Some(&min), Some(&max)) if min < max => (min, max),
            (Some(&value), _) => (value / 2.0, value * 2.0),
            _ => (1.0, 2.0),
        };
        Axis { name: name.to_string(), unit: Unit::Step, scale: Scale::Log, min, max, ticks: values }
    }

    /// Where a value stands, from 0 to 1.
    pub fn place(&self, value: f64) -> f64 {
        let (low, high, value) = match self.scale {
            Scale::Linear => (self.min, self.max, value),
            Scale::Log => (self.min.ln(), self.max.ln(), value.max(self.min).ln()),
        };
        ((value - low) / (high - low)).clamp(0.0, 1.0)
    }

    /// Values with their labels, so few that labels of the given size do not touch on `length`.
    pub fn ticks(&self, length: f64, size: impl Fn(&str) -> f64) -> Vec<(f64, String)> {
        let all: Vec<(f64, String)> = self.ticks.iter().map(|&tick| (tick, self.unit.tick(tick))).collect();
        let fits = |ticks: &[(f64, String)]| {
            ticks.windows(2).all(|pair| {
                let room = (self.place(pair[1].0) - self.place(pair[0].0)) * length;
                room >= (size(&pair[0].1) + size(&pair[1].1)) / 2.0
            })
        };
        let powers = || all.iter().filter(|(tick, _)| (tick.log10() - tick.log10().round()).abs() < 1e-9);
        let candidates = match (self.scale, self.unit) {
            (Scale::Log, Unit::Count | Unit::Time) => vec![all.clone(), powers().cloned().collect()],
            _ => Vec::new(),
        };
        // Else every tick, every second one, and so on, from the first.
        let thinned =
            (1..=all.len().max(1)).map(|step| all.iter().step_by(step).cloned().collect::<Vec<_>>());
        let few = |ticks: &Vec<(f64, String)>| ticks.len() > 1 || all.len() < 2;
        candidates.into_iter().filter(few).chain(thinned).find(|ticks| fits(ticks)).unwrap_or_default()
    }
}

/// From 0 to the first round number that holds the maximum, in about so many steps.
fn linear(max: f64, factors: &[f64], steps: f64) -> (f64, f64, Vec<f64>) {
    let rough = max / steps;
    let magnitude = 10f64.powf(rough.log10().floor());
    let step = factors.iter().map(|factor| factor * magnitude).find(|step| *step >= rough * 0.999);
    let step = step.unwrap_or(rough);
    let count = (max / step - 1e-9).ceil().max(1.0) as u32;
    (0.0, step * f64::from(count), (0..=count).map(|index| step * f64::from(index)).collect())
}

/// Between the 1, 2, 5, 10 … that enclose the values.
fn logarithmic(min: f64, max: f64) -> (f64, f64, Vec<f64>) {
    let decades = min.log10().floor() as i32 - 1..=max.log10().ceil() as i32 + 1;
    let rounds = |factors: &'static [f64]| {
        decades.clone().flat_map(move |decade| factors.iter().map(move |factor| factor * 10f64.powi(decade)))
    };
    let low = rounds(&[1.0, 2.0, 5.0]).take_while(|value| *value <= min * 1.001).fold(min, |_, value| value);
    let high = rounds(&[1.0, 2.0, 5.0])
        .find(|value| *value >= max * 0.999 && *value > low * 1.5)
        .unwrap_or(max * 2.0);
    let ticks =
        rounds(&[1.0, 2.0, 5.0]).filter(|value| (low * 0.999..=high * 1.001).contains(value)).collect();
    (low, high, ticks)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn axis(unit: Unit, scale: Scale, values: &[f64]) -> Axis {
        Axis::new("", unit, scale, values.iter().copied())
    }

    fn labels(axis: &Axis, length: f64) -> Vec<String> {
        axis.ticks(length, |label| 8.0 * label.len() as f64).into_iter().map(|(_, label)| label).collect()
    }

    #[test]
    fn ticks_are_round_and_hold_all_values() {
        let rates = axis(Unit::Count, Scale::Linear, &[120_000.0, 871_000.0]);
        assert_eq!(labels(&rates, 500.0), ["0", "250k", "500k", "750k", "1M"]);
        assert_eq!((rates.place(0.0), rates.place(1e6)), (0.0, 1.0));
        let times = axis(Unit::Time, Scale::Log, &[12.0, 700.0]);
        assert_eq!(labels(&times, 500.0), ["10 µs", "20 µs", "50 µs", "100 µs", "200 µs", "500 µs", "1 ms"]);
        assert!(times.place(12.0) > 0.0 && times.place(700.0) < 1.0);
        let wide = axis(Unit::Time, Scale::Log, &[12.0, 700_000.0]);
        assert_eq!(labels(&wide, 300.0), ["10 µs", "100 µs", "1 ms", "10 ms", "100 ms", "1 s"]);
        let nines = axis(Unit::Percentile, Scale::Linear, &[0.0, 4.3]);
        assert_eq!(labels(&nines, 500.0), ["0 %", "90 %", "99 %", "99.9 %", "99.99 %"]);
    }

    #[test]
    fn time_ends_where_it_ended() {
        let seconds = axis(Unit::Seconds, Scale::Linear, &[1.0, 9.3]);
        assert_eq!(labels(&seconds, 500.0), ["0", "2", "4", "6", "8"]);
        assert_eq!(seconds.place(9.3), 1.0);
    }

    #[test]
    fn labels_never_touch() {
        let steps = Axis::of_steps("", (0..=10).map(|power| f64::from(1 << power)).collect());
        assert_eq!(labels(&steps, 800.0).len(), 11);
        assert_eq!(labels(&steps, 200.0), ["1", "4", "16", "64", "256", "1,024"]);
    }

    #[test]
    fn odd_values_make_an_axis_too() {
        for values in [&[][..], &[0.0], &[f64::NAN, f64::INFINITY], &[5.0, 5.0], &[1e-12, 1e300], &[-3.0]] {
            for scale in [Scale::Linear, Scale::Log] {
                for unit in [Unit::Count, Unit::Time, Unit::Seconds] {
                    let axis = axis(unit, scale, values);
                    assert!(axis.ticks.len() < 1000, "{values:?}: {axis:?}");
                    for value in values.iter().filter(|value| value.is_finite()) {
                        let place = axis.place(*value);
                        assert!((0.0..=1.0).contains(&place), "{value} {axis:?}");
                    }
                }
            }
        }
    }

    #[test]
    fn percentiles_have_the_digits_they_need() {
        let texts = [0.0, 0.3, 1.0, 1.5, 2.0, 3.0, 3.5, 5.0].map(|nines| Unit::Percentile.text(nines));
        assert_eq!(texts, ["0 %", "49.9 %", "90 %", "96.8 %", "99 %", "99.9 %", "99.968 %", "99.999 %"]);
    }
}
