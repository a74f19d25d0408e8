//! When an open loop wants its commands to be sent: at equal distances, or as a Poisson process.
//!
//! A schedule knows nothing of replies. A command that could not be sent at its time keeps that time: the
//! schedule stands still until a connection takes it, so a backlog of any length needs no memory.

use crate::keys::Random;

/// One worker's part of the send times, in nanoseconds since the worker began.
#[derive(Debug, Clone)]
pub struct Schedule {
    interval_ns: f64,
    /// `Some`: the distances are exponentially distributed around the interval.
    random: Option<Random>,
    /// The time of the next command: fractions add up, hence a float (exact to 1 ns for 100 days).
    next_ns: f64,
}

impl Schedule {
    /// `rate` commands a second, the first one after `phase` (0 to 1) of an interval.
    pub fn new(rate: f64, phase: f64, poisson: Option<Random>) -> Schedule {
        let interval_ns = 1e9 / rate;
        let mut schedule = Schedule { interval_ns, random: poisson, next_ns: interval_ns * phase };
        if schedule.random.is_some() {
            // The process has no memory, so it has no phase either.
            schedule.next_ns = 0.0;
            schedule.advance();
        }
        schedule
    }

    /// When the next command is to be sent.
    #[inline]
    pub fn next_ns(&self) -> u64 {
        self.next_ns as u64
    }

    #[inline]
    pub fn advance(&mut self) {
        self.next_ns += match &mut self.random {
            None => self.interval_ns,
            // By inversion; 1 - u is never 0.
            Some(random) => -(1.0 - random.unit()).ln() * self.interval_ns,
        };
    }

    /// How many commands up to this instant have not been taken.
    pub fn backlog(mut self, now_ns: u64) -> u64 {
        let mut count = 0;
        while self.next_ns() <= now_ns {
            self.advance();
            count += 1;
        }
        count
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_constant_rate_is_exact() {
        let mut schedule = Schedule::new(3_000_000.0, 0.5, None);
        assert_eq!(schedule.next_ns(), 166);
        for _ in 0..3_000_000 {
            schedule.advance();
        }
        assert!((schedule.next_ns() as i64 - 1_000_000_166).abs() <= 2, "{}", schedule.next_ns());
        assert_eq!(Schedule::new(1000.0, 0.0, None).backlog(10_000_000), 11);
    }

    /// The gaps of a Poisson process are exponentially distributed: chi-squared over ten bins of equal
    /// probability, nine degrees of freedom, so 99.99 % lie below 33.7.
    #[test]
    fn poisson_gaps_are_exponential() {
        const GAPS: u32 = 100_000;
        for seed in 0..5 {
            let mut schedule = Schedule::new(1000.0, 0.0, Some(Random::new(seed, 0)));
            let (mut counts, mut last) = ([0u32; 10], schedule.next_ns);
            for _ in 0..GAPS {
                schedule.advance();
                let probability = 1.0 - (-(schedule.next_ns - last) / 1e6).exp();
                counts[(probability * 10.0).min(9.0) as usize] += 1;
                last = schedule.next_ns;
            }
            let expected = f64::from(GAPS) / 10.0;
            let chi: f64 = counts.iter().map(|&count| (f64::from(count) - expected).powi(2) / expected).sum();
            assert!(chi < 33.7, "seed {seed}: {chi} {counts:?}");
            // 100,000 gaps of 1 ms: the standard deviation of their sum is 0.32 s.
            assert!((98.0..102.0).contains(&(last / 1e9)), "seed {seed}: {last}");
        }
    }
}
