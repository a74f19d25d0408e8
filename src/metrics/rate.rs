//! How fast a counter grows: the mean over the last samples, as the `instantaneous_` fields of INFO tell.

const SAMPLES: usize = 16;
/// Between two samples at least, in milliseconds.
const PERIOD_MS: i64 = 100;

/// The latest growth of one counter.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rate {
    /// Growth per second in each period.
    samples: [u64; SAMPLES],
    next: usize,
    last_value: u64,
    last_ms: i64,
}

impl Rate {
    /// Takes a sample if the last one is old enough.
    pub fn sample(&mut self, value: u64, now_ms: i64) {
        let elapsed_ms = now_ms - self.last_ms;
        if (0..PERIOD_MS).contains(&elapsed_ms) {
            return;
        }
        if self.last_ms != 0 && elapsed_ms > 0 {
            let growth = value.saturating_sub(self.last_value);
            self.samples[self.next] = (u128::from(growth) * 1000 / elapsed_ms as u128) as u64;
            self.next = (self.next + 1) % SAMPLES;
        }
        self.last_value = value;
        self.last_ms = now_ms;
    }

    /// Adds the rate of another counter.
    pub fn add(&mut self, other: &Rate) {
        let spread = other.per_second();
        self.samples.iter_mut().for_each(|sample| *sample += spread);
    }

    /// Growth per second.
    pub fn per_second(&self) -> u64 {
        self.samples.iter().sum::<u64>() / SAMPLES as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_steady_counter_has_its_rate() {
        let mut rate = Rate::default();
        for tick in 0..=16 {
            rate.sample(tick * 50, 1_000_000 + tick as i64 * 100);
            // Too early for another one.
            rate.sample(tick * 50 + 7, 1_000_000 + tick as i64 * 100 + 99);
        }
        assert_eq!(rate.per_second(), 500);
    }

    #[test]
    fn a_reset_counter_and_a_clock_set_back_do_no_harm() {
        let mut rate = Rate::default();
        rate.sample(1000, 5000);
        rate.sample(0, 5100);
        rate.sample(10, 4000);
        assert_eq!(rate.per_second(), 0);
    }
}
