//! Which keys are drawn: what a connection draws from, and the options of tests for it.

mod distribution;

use std::sync::Arc;

use clap::{Args, ValueEnum};
use serde::Deserialize;

use crate::keys::Random;

pub use distribution::{Distribution, draw};

const THETA_MAX: f64 = 10.0;

/// What distributions are called, in profiles and on the command line.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Shape {
    #[default]
    Uniform,
    Zipfian,
    Hot,
    Sequential,
}

/// How tests draw: the same words as in profiles.
#[derive(Debug, Clone, Default, Args)]
pub struct DrawOptions {
    /// How random numbers are drawn from those of --keyspace: uniform; zipfian, the first ones most often; hot, some
    /// of them with a share of the draws; or sequential, one after the other by each connection for itself. On
    /// clusters only profiles do so.
    #[arg(long, value_name = "NAME", value_enum, default_value_t, conflicts_with_all = ["profile", "cluster"])]
    pub distribution: Shape,
    /// With zipfian: the exponent, 0.99 by default.
    #[arg(long, value_name = "NUMBER", value_parser = parse_theta)]
    pub theta: Option<f64>,
    /// With zipfian: the hottest numbers lie anywhere instead of being the first ones.
    #[arg(long)]
    pub scrambled: bool,
    /// With hot: which share of the numbers is hot, such as 0.2. They are the first ones.
    #[arg(long, value_name = "SHARE", value_parser = parse_share, requires = "hot_share")]
    pub hot_keys: Option<f64>,
    /// With hot: which share of the draws goes to them, such as 0.8.
    #[arg(long, value_name = "SHARE", value_parser = parse_share, requires = "hot_keys")]
    pub hot_share: Option<f64>,
}

impl DrawOptions {
    /// The distribution over so many numbers. The error names the option that does not belong to it.
    pub fn over(&self, count: u64) -> Result<Distribution, String> {
        let shape = self.distribution;
        if shape != Shape::Zipfian && (self.theta.is_some() || self.scrambled) {
            return Err("--theta and --scrambled: only --distribution zipfian has them".into());
        }
        match (shape, self.hot_keys.zip(self.hot_share)) {
            (Shape::Hot, Some(hot)) => Ok(Distribution::hot(count, hot)),
            (Shape::Hot, None) => Err("--distribution hot: needs --hot-keys and --hot-share".into()),
            (_, Some(_)) => Err("--hot-keys and --hot-share: only --distribution hot has them".into()),
            (Shape::Uniform, _) => Ok(Distribution::Uniform),
            (Shape::Zipfian, _) => Ok(Distribution::zipfian(count, self.theta, self.scrambled)),
            (Shape::Sequential, _) => Ok(Distribution::Sequential),
        }
    }
}

fn parse_theta(text: &str) -> Result<f64, String> {
    let theta = text.parse::<f64>().ok().filter(|theta| is_theta(*theta));
    theta.ok_or_else(|| format!("is no number from 0 to {THETA_MAX}"))
}

/// Whether a zipfian distribution may have this exponent.
pub fn is_theta(theta: f64) -> bool {
    (0.0..=THETA_MAX).contains(&theta)
}

fn parse_share(text: &str) -> Result<f64, String> {
    let share = text.parse::<f64>().ok().filter(|share| (0.0..=1.0).contains(share));
    share.ok_or_else(|| "is no share from 0.0 to 1.0".into())
}

/// The numbers that a connection draws its keys from.
#[derive(Debug, Clone)]
pub enum KeySet {
    /// All numbers below this.
    Below(u64),
    /// These: the keys of one node. Never empty.
    Listed(Arc<[u32]>),
    /// All numbers below the count, but not all as often; `step` is how many were drawn.
    Drawn { distribution: Arc<Distribution>, count: u64, step: u64 },
}

impl KeySet {
    /// All numbers below a count, drawn like this.
    pub fn new(count: u64, distribution: &Distribution) -> KeySet {
        match distribution {
            Distribution::Uniform => KeySet::Below(count),
            other => KeySet::Drawn { distribution: Arc::new(other.clone()), count, step: 0 },
        }
    }

    #[inline]
    pub fn draw(&mut self, random: &mut Random) -> u64 {
        match self {
            KeySet::Below(range) => random.below(*range),
            KeySet::Listed(keys) => u64::from(keys[random.below(keys.len() as u64) as usize]),
            KeySet::Drawn { distribution, count, step } => draw_apart(distribution, *count, step, random),
        }
    }

    /// A number below `range` that need not belong to the connection's node.
    #[inline]
    pub fn draw_free(&mut self, random: &mut Random, range: u64) -> u64 {
        match self {
            KeySet::Below(_) | KeySet::Listed(_) => random.below(range),
            KeySet::Drawn { distribution, count, step } => draw_apart(distribution, *count, step, random),
        }
    }
}

/// Not inlined: the loop that draws evenly stays as short as it is.
#[inline(never)]
fn draw_apart(distribution: &Distribution, count: u64, step: &mut u64, random: &mut Random) -> u64 {
    draw(distribution, count, step, random)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Chi-squared over 1,000 equal bins: 999 degrees of freedom, so 99.99 % lie below 1,174.
    fn evenness(mut keys: KeySet, bin_of: impl Fn(u64) -> usize, seed: u64) -> f64 {
        const BINS: usize = 1000;
        const DRAWS: usize = 1_000_000;
        let mut random = Random::new(seed, 0);
        let mut counts = [0u32; BINS];
        for _ in 0..DRAWS {
            counts[bin_of(keys.draw(&mut random))] += 1;
        }
        let expected = (DRAWS / BINS) as f64;
        counts.iter().map(|&count| (f64::from(count) - expected).powi(2) / expected).sum()
    }

    #[test]
    fn keys_are_uniform() {
        for seed in 0..5 {
            let all = evenness(KeySet::Below(100_000), |key| (key / 100) as usize, seed);
            assert!(all < 1174.0, "seed {seed}: high digits {all}");
            let low = evenness(KeySet::Below(100_000), |key| (key % 1000) as usize, seed);
            assert!(low < 1174.0, "seed {seed}: low digits {low}");
            let listed: Arc<[u32]> = (0..1000).map(|key| key * 7).collect();
            let listed = evenness(KeySet::Listed(listed), |key| (key / 7) as usize, seed);
            assert!(listed < 1174.0, "seed {seed}: listed {listed}");
        }
    }

    /// A set draws as its distribution does, the numbers that belong to no node, too.
    #[test]
    fn keys_are_drawn_like_this() {
        let options = |shape| DrawOptions { distribution: shape, ..DrawOptions::default() };
        let hot = DrawOptions { hot_keys: Some(0.01), hot_share: Some(0.9), ..options(Shape::Hot) };
        let scrambled = DrawOptions { theta: Some(1.2), scrambled: true, ..options(Shape::Zipfian) };
        for options in [options(Shape::Zipfian), scrambled, hot, options(Shape::Sequential)] {
            let distribution = options.over(1000).unwrap();
            let (mut keys, mut step) = (KeySet::new(1000, &distribution), 0);
            let (mut random, mut same) = (Random::new(5, 0), Random::new(5, 0));
            for _ in 0..100 {
                for drawn in [keys.draw(&mut random), keys.draw_free(&mut random, 1000)] {
                    assert_eq!(drawn, draw(&distribution, 1000, &mut step, &mut same), "{options:?}");
                }
            }
        }
        assert!(matches!(KeySet::new(7, &options(Shape::Uniform).over(7).unwrap()), KeySet::Below(7)));
    }

    #[test]
    fn options_that_do_not_belong_together() {
        let options = |shape| DrawOptions { distribution: shape, ..DrawOptions::default() };
        for (options, part) in [
            (DrawOptions { theta: Some(1.0), ..options(Shape::Uniform) }, "--theta"),
            (DrawOptions { scrambled: true, ..options(Shape::Hot) }, "--scrambled"),
            (options(Shape::Hot), "needs --hot-keys"),
            (
                DrawOptions { hot_keys: Some(0.1), hot_share: Some(0.1), ..options(Shape::Zipfian) },
                "only --distribution hot",
            ),
        ] {
            let error = options.over(10).unwrap_err();
            assert!(error.contains(part), "{error}");
        }
        assert!(parse_theta("10").is_ok() && parse_theta("-0.1").is_err() && parse_theta("nan").is_err());
        assert!(parse_share("1.0").is_ok() && parse_share("20").is_err());
    }
}
