//! How keys are chosen out of a key space: evenly, a few far more often than the rest, or one by one.

use crate::keys::Random;

/// Of a zipfian distribution, when nothing else is said: that of YCSB.
const THETA_DEFAULT: f64 = 0.99;

/// A way to draw numbers below a count. Needs no memory for the keys.
#[derive(Debug, Clone, PartialEq)]
pub enum Distribution {
    Uniform,
    Zipfian(Zipfian),
    /// The same, but the hottest numbers are not the first ones: they lie anywhere.
    Scrambled(Zipfian, Permutation),
    /// The first `hot` numbers get this share of the draws.
    Hot {
        hot: u64,
        share: f64,
    },
    /// One after the other, by each connection for itself.
    Sequential,
}

impl Distribution {
    /// Without an exponent that of YCSB.
    pub fn zipfian(count: u64, theta: Option<f64>, scrambled: bool) -> Distribution {
        let zipfian = Zipfian::new(count, theta.unwrap_or(THETA_DEFAULT));
        match scrambled {
            true => Distribution::Scrambled(zipfian, Permutation::new(count)),
            false => Distribution::Zipfian(zipfian),
        }
    }

    /// Shares of the numbers, at least one of them, and of the draws.
    pub fn hot(count: u64, (keys, share): (f64, f64)) -> Distribution {
        Distribution::Hot { hot: ((count as f64 * keys) as u64).clamp(1, count), share }
    }

    pub fn words(&self) -> String {
        match self {
            Distribution::Uniform => "uniform".into(),
            Distribution::Zipfian(zipfian) => format!("zipfian {}", zipfian.theta()),
            Distribution::Scrambled(zipfian, _) => format!("zipfian {}, scrambled", zipfian.theta()),
            Distribution::Hot { hot, share } => format!("{:.0} % to {hot} hot keys", share * 100.0),
            Distribution::Sequential => "sequential".into(),
        }
    }
}

/// Draws below `count`; `step` is how often this connection drew here before.
#[inline]
pub fn draw(distribution: &Distribution, count: u64, step: &mut u64, random: &mut Random) -> u64 {
    match distribution {
        Distribution::Uniform => random.below(count),
        Distribution::Zipfian(zipfian) => zipfian.draw(random) - 1,
        Distribution::Scrambled(zipfian, permutation) => permutation.of(zipfian.draw(random) - 1),
        Distribution::Hot { hot, share } if *hot < count => {
            if random.unit() < *share {
                random.below(*hot)
            } else {
                hot + random.below(count - hot)
            }
        }
        Distribution::Hot { .. } => random.below(count),
        Distribution::Sequential => {
            *step += 1;
            (*step - 1) % count
        }
    }
}

/// Number k from 1 to n with a probability proportional to k^-theta, by rejection-inversion: W. Hörmann and
/// G. Derflinger, "Rejection-inversion to generate variates from monotone discrete distributions", ACM
/// TOMACS 6 (1996). Exact, without a table and without a sum over all numbers.
#[derive(Debug, Clone, PartialEq)]
pub struct Zipfian {
    count: f64,
    theta: f64,
    /// The integral from where the first and up to where the last number's column lies.
    low: f64,
    high: f64,
    /// So close to a number a draw is accepted without further ado.
    sure: f64,
}

impl Zipfian {
    pub fn new(count: u64, theta: f64) -> Zipfian {
        let mut zipfian = Zipfian { count: count as f64, theta, low: 0.0, high: 0.0, sure: 0.0 };
        zipfian.low = zipfian.integral(1.5) - 1.0;
        zipfian.high = zipfian.integral(count as f64 + 0.5);
        zipfian.sure = 2.0 - zipfian.inverse(zipfian.integral(2.5) - zipfian.density(2.0));
        zipfian
    }

    #[inline]
    pub fn draw(&self, random: &mut Random) -> u64 {
        loop {
            let area = self.high + random.unit() * (self.low - self.high);
            let x = self.inverse(area);
            let number = x.round().clamp(1.0, self.count);
            if number - x <= self.sure || area >= self.integral(number + 0.5) - self.density(number) {
                return number as u64;
            }
        }
    }

    pub fn theta(&self) -> f64 {
        self.theta
    }

    fn density(&self, x: f64) -> f64 {
        x.powf(-self.theta)
    }

    /// The integral of the density from 1 to x: (x^(1 - theta) - 1) / (1 - theta), or ln x for theta 1.
    fn integral(&self, x: f64) -> f64 {
        let (log, exponent) = (x.ln(), 1.0 - self.theta);
        let power = exponent * log;
        // Near 0 the quotient loses its digits.
        if power.abs() > 1e-9 { power.exp_m1() / exponent } else { log * (1.0 + power / 2.0) }
    }

    fn inverse(&self, area: f64) -> f64 {
        let exponent = 1.0 - self.theta;
        let power = (area * exponent).max(-1.0);
        if power.abs() > 1e-9 { (power.ln_1p() / exponent).exp() } else { (area * (1.0 - power / 2.0)).exp() }
    }
}

/// The numbers below a count in another order, always the same one. Unlike a hash, as YCSB takes it, no two
/// numbers become one, so probabilities stay what they are, and every key is drawn.
///
/// Needs no table: each step of the mixing can be undone on as many bits as the count needs, and a result beyond
/// the count is mixed again (J. Black, P. Rogaway, "Ciphers with Arbitrary Finite Domains", CT-RSA 2002: cycle
/// walking), less than once on average.
#[derive(Debug, Clone, PartialEq)]
pub struct Permutation {
    count: u64,
    /// Of the bits that the largest number has.
    mask: u64,
    shift: u32,
}

impl Permutation {
    pub fn new(count: u64) -> Permutation {
        let bits = u64::BITS - count.saturating_sub(1).leading_zeros();
        let mask = 1u64.checked_shl(bits).map_or(u64::MAX, |beyond| beyond - 1);
        Permutation { count, mask, shift: bits.div_ceil(2).max(1) }
    }

    #[inline]
    pub fn of(&self, number: u64) -> u64 {
        // The odd constants of SplitMix64.
        const ADDED: u64 = 0x9E37_79B9_7F4A_7C15;
        const FACTORS: [u64; 2] = [0xBF58_476D_1CE4_E5B9, 0x94D0_49BB_1331_11EB];
        let mut mixed = number;
        loop {
            mixed = mixed.wrapping_add(ADDED) & self.mask;
            for factor in FACTORS {
                mixed = (mixed ^ (mixed >> self.shift)).wrapping_mul(factor) & self.mask;
            }
            mixed ^= mixed >> self.shift;
            if mixed < self.count.max(1) {
                return mixed;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DRAWS: u64 = 1_000_000;

    /// Draws, and holds the counts against the weights of all numbers: the statistic and its limit, which
    /// 99.99 % of right generators keep (normal approximation of chi-squared).
    fn chi_squared(distribution: &Distribution, weights: &[f64], seed: u64) -> (f64, f64) {
        let (mut random, mut step) = (Random::new(seed, 0), 0);
        let mut counts = vec![0u64; weights.len()];
        for _ in 0..DRAWS {
            counts[draw(distribution, weights.len() as u64, &mut step, &mut random) as usize] += 1;
        }
        let total: f64 = weights.iter().sum();
        let terms = counts.iter().zip(weights).map(|(&count, weight)| {
            let expected = weight / total * DRAWS as f64;
            assert!(expected > 5.0, "too few draws for this test");
            (count as f64 - expected).powi(2) / expected
        });
        let freedom = weights.len() as f64 - 1.0;
        (terms.sum(), freedom + 3.9 * (2.0 * freedom).sqrt() + 10.0)
    }

    #[test]
    fn zipfian_draws_have_their_probabilities() {
        for (seed, theta) in [0.2, 0.5, 0.99, 1.0, 1.2, 2.0].into_iter().enumerate() {
            for count in [1u32, 2, 10, 300] {
                let weights: Vec<f64> = (1..=count).map(|number| f64::from(number).powf(-theta)).collect();
                let zipfian = Distribution::Zipfian(Zipfian::new(u64::from(count), theta));
                let (found, limit) = chi_squared(&zipfian, &weights, seed as u64);
                assert!(found < limit, "theta {theta}, {count} numbers: {found} >= {limit}");
                // The test does see a wrong exponent.
                let wrong = Distribution::Zipfian(Zipfian::new(u64::from(count), theta + 0.03));
                let (found, limit) = chi_squared(&wrong, &weights, seed as u64);
                assert!(count == 1 || found > limit, "theta {theta}, {count} numbers: {found} < {limit}");
            }
        }
    }

    #[test]
    fn scrambled_draws_have_the_same_probabilities_elsewhere() {
        for (seed, theta) in [0.5, 0.99, 1.2].into_iter().enumerate() {
            for count in [2u64, 10, 300] {
                let (zipfian, permutation) = (Zipfian::new(count, theta), Permutation::new(count));
                let mut weights = vec![0.0; count as usize];
                for rank in 0..count {
                    weights[permutation.of(rank) as usize] = ((rank + 1) as f64).powf(-theta);
                }
                let scrambled = Distribution::Scrambled(zipfian.clone(), permutation);
                let (found, limit) = chi_squared(&scrambled, &weights, seed as u64);
                assert!(found < limit, "theta {theta}, {count} numbers: {found} >= {limit}");
                // The test does see an order that is another one.
                let (found, limit) = chi_squared(&Distribution::Zipfian(zipfian), &weights, seed as u64);
                assert!(count == 2 || found > limit, "theta {theta}, {count} numbers: {found} < {limit}");
            }
        }
    }

    #[test]
    fn a_permutation_leaves_out_nothing() {
        for count in (1..300).chain([1000, 4096, 4097, 65_535, 100_000]) {
            let permutation = Permutation::new(count);
            let mut seen = vec![false; count as usize];
            for number in 0..count {
                assert!(!std::mem::replace(&mut seen[permutation.of(number) as usize], true), "{count}");
            }
        }
        for count in [1 << 40, (1 << 40) - 1, u64::MAX] {
            let permutation = Permutation::new(count);
            assert!((0..1000).all(|number| permutation.of(number) < count));
        }
    }

    /// The hottest numbers of a million in 20 equal parts of them: 19 degrees of freedom, so 99.99 % of even
    /// spreads lie below 51.
    #[test]
    fn hot_numbers_lie_anywhere() {
        for (count, hottest) in [(1_000_000u64, 1000u64), (1 << 20, 1000), (50_000, 2000)] {
            let permutation = Permutation::new(count);
            let chi = |parts: &[u32]| {
                let expected = hottest as f64 / parts.len() as f64;
                parts.iter().map(|&part| (f64::from(part) - expected).powi(2) / expected).sum::<f64>()
            };
            let (mut by_place, mut by_end) = ([0u32; 20], [0u32; 20]);
            for number in 0..hottest {
                let place = permutation.of(number);
                by_place[(place * 20 / count) as usize] += 1;
                by_end[(place % 20) as usize] += 1;
            }
            assert!(chi(&by_place) < 51.0 && chi(&by_end) < 51.0, "{count}: {by_place:?} {by_end:?}");
        }
    }

    #[test]
    fn zipfian_of_very_many_stays_in_bounds() {
        let (zipfian, mut random) = (Zipfian::new(1 << 40, 0.99), Random::new(1, 1));
        let draws: Vec<u64> = (0..10_000).map(|_| zipfian.draw(&mut random)).collect();
        assert!(draws.iter().all(|&number| (1..=1 << 40).contains(&number)));
        assert!(draws.contains(&1) && draws.iter().any(|&number| number > 1 << 30));
    }

    #[test]
    fn hot_keys_get_their_share() {
        let weights: Vec<f64> =
            (0..1000).map(|key| if key < 100 { 0.9 / 100.0 } else { 0.1 / 900.0 }).collect();
        for seed in 0..3 {
            let (found, limit) = chi_squared(&Distribution::Hot { hot: 100, share: 0.9 }, &weights, seed);
            assert!(found < limit, "{found} >= {limit}");
            let (found, limit) = chi_squared(&Distribution::Uniform, &weights, seed);
            assert!(found > limit, "{found} < {limit}");
        }
    }

    #[test]
    fn sequential_keys_follow_one_another() {
        let (mut random, mut step) = (Random::new(1, 1), 0);
        let keys: Vec<u64> =
            (0..7).map(|_| draw(&Distribution::Sequential, 3, &mut step, &mut random)).collect();
        assert_eq!(keys, [0, 1, 2, 0, 1, 2, 0]);
    }
}
