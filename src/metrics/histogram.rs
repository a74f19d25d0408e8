//! A histogram that costs two instructions to record into: log-linear buckets, four to each power of two.
//!
//! Bucket bounds are within 25 % of the value, over the whole range of `u64`, in one kilobyte. Percentiles
//! are upper bounds of the bucket in which they fall.

/// Counts of values by magnitude.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Histogram {
    counts: [u32; BUCKETS],
}

const SUB_BITS: u32 = 2;
const SUB: usize = 1 << SUB_BITS;
const BUCKETS: usize = 63 * SUB;

impl Default for Histogram {
    fn default() -> Self {
        Histogram { counts: [0; BUCKETS] }
    }
}

impl Histogram {
    #[inline(always)]
    pub fn record(&mut self, value: u64) {
        let count = &mut self.counts[bucket_of(value)];
        *count = count.saturating_add(1);
    }

    pub fn merge(&mut self, other: &Histogram) {
        for (mine, theirs) in self.counts.iter_mut().zip(&other.counts) {
            *mine = mine.saturating_add(*theirs);
        }
    }

    /// How many values were recorded.
    pub fn count(&self) -> u64 {
        self.counts.iter().map(|&count| count as u64).sum()
    }

    /// The value that `percent` per cent of the recorded ones do not exceed; 0 of an empty histogram.
    pub fn percentile(&self, percent: f64) -> u64 {
        let wanted = ((self.count() as f64 * percent / 100.0).ceil() as u64).max(1);
        let mut seen = 0;
        for (bucket, &count) in self.counts.iter().enumerate() {
            seen += count as u64;
            if seen >= wanted {
                return upper_bound(bucket);
            }
        }
        0
    }

    /// The buckets that hold something: the upper bound and the count of each, ascending.
    pub fn buckets(&self) -> impl Iterator<Item = (u64, u64)> + '_ {
        let filled = self.counts.iter().enumerate().filter(|(_, count)| **count > 0);
        filled.map(|(bucket, &count)| (upper_bound(bucket), count as u64))
    }
}

#[inline(always)]
fn bucket_of(value: u64) -> usize {
    if value < SUB as u64 {
        return value as usize;
    }
    let magnitude = 63 - value.leading_zeros();
    let sub = (value >> (magnitude - SUB_BITS)) as usize & (SUB - 1);
    (magnitude - SUB_BITS + 1) as usize * SUB + sub
}

/// The largest value of a bucket.
fn upper_bound(bucket: usize) -> u64 {
    if bucket < SUB {
        return bucket as u64;
    }
    let shift = (bucket / SUB - 1) as u32;
    let lower = ((SUB + bucket % SUB) as u64) << shift;
    lower + ((1u64 << shift) - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_lies_within_its_bucket() {
        for value in (0..64).flat_map(|bit| [1u64 << bit, (1 << bit) - 1, (1 << bit) + 1, 3 << bit >> 1]) {
            let bucket = bucket_of(value);
            assert!(value <= upper_bound(bucket), "{value}");
            assert!(bucket == 0 || value > upper_bound(bucket - 1), "{value}");
        }
        assert!(bucket_of(u64::MAX) < BUCKETS);
    }

    #[test]
    fn percentiles_are_close_above_the_exact_ones() {
        let mut histogram = Histogram::default();
        (1..=10_000).for_each(|value| histogram.record(value));
        for (percent, exact) in [(50.0, 5000), (99.0, 9900), (99.9, 9990), (100.0, 10_000)] {
            let found = histogram.percentile(percent);
            assert!(found >= exact && found <= exact + exact / 4, "p{percent}: {found}");
        }
    }
}
