//! A histogram as text.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hdrhistogram::Histogram;
use hdrhistogram::serialization::{Deserializer, Serializer, V2DeflateSerializer};

use crate::result::{Distribution, LatencyUs};

/// V2 with deflate, as base64. It fails only for counts beyond 2^63.
pub fn encode(histogram: &Histogram<u64>) -> Result<String, String> {
    let mut bytes = Vec::new();
    V2DeflateSerializer::new().serialize(histogram, &mut bytes).map_err(|error| error.to_string())?;
    Ok(STANDARD.encode(bytes))
}

/// Reads what [`encode`] or another tool of the HdrHistogram family wrote.
pub fn decode(text: &str) -> Result<Histogram<u64>, String> {
    let bytes = STANDARD.decode(text).map_err(|error| format!("is no base64: {error}"))?;
    let histogram: Histogram<u64> =
        Deserializer::new().deserialize(&mut &bytes[..]).map_err(|error| error.to_string())?;
    Ok(histogram)
}

impl Distribution {
    pub fn of(latency_ns: &Histogram<u64>) -> Distribution {
        Distribution {
            count: latency_ns.len(),
            us: LatencyUs::of(latency_ns),
            // Counts of a single process stay far below what cannot be written.
            hdr: encode(latency_ns).unwrap_or_default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::Random;

    const LATENCY_NS_MAX: u64 = 3600 * 1_000_000_000;

    fn histogram() -> Histogram<u64> {
        Histogram::new_with_bounds(1, LATENCY_NS_MAX, 3).unwrap()
    }

    /// Values of every magnitude: uniform, or with an exponent drawn first.
    fn draw(random: &mut Random, shape: u64) -> u64 {
        match shape % 3 {
            0 => 1 + random.below(1_000_000),
            1 => {
                let bits = 1 + random.below(41);
                1 + random.below(1 << bits)
            }
            _ => 40_000 + random.below(3000) + if random.below(100) == 0 { 500_000_000 } else { 0 },
        }
    }

    /// The smallest value that at least a share `quantile` of all is not above.
    fn exact(sorted: &[u64], quantile: f64) -> u64 {
        let rank = (quantile * sorted.len() as f64).ceil() as usize;
        sorted[rank.clamp(1, sorted.len()) - 1]
    }

    #[test]
    fn quantiles_are_exact_to_three_digits_and_survive_the_text() {
        for seed in 0..24 {
            let mut random = Random::new(seed, 0);
            let mut recorded = histogram();
            let count = 1 + random.below(5_000) as usize;
            let mut values: Vec<u64> = (0..count).map(|_| draw(&mut random, seed)).collect();
            values.iter().for_each(|&value| recorded.record(value).unwrap());
            values.sort_unstable();
            let read = decode(&encode(&recorded).unwrap()).unwrap();
            assert_eq!(read.len(), count as u64);
            for quantile in [0.0, 0.1, 0.5, 0.9, 0.99, 0.999, 0.9999, 1.0] {
                let (expected, found) = (exact(&values, quantile) as f64, read.value_at_quantile(quantile));
                assert_eq!(found, recorded.value_at_quantile(quantile));
                let error = (found as f64 - expected).abs() / expected;
                assert!(error <= 0.001, "seed {seed}, {quantile}: {found} instead of {expected}");
            }
            let us = LatencyUs::of(&read);
            let mean = values.iter().sum::<u64>() as f64 / count as f64 / 1000.0;
            assert!((us.mean - mean).abs() <= mean * 0.001, "seed {seed}: {} instead of {mean}", us.mean);
            assert!(us.min <= us.p50 && us.p50 <= us.p90 && us.p90 <= us.p99 && us.p999 <= us.max);
        }
    }

    #[test]
    fn nothing_recorded_is_written_as_well() {
        let distribution = Distribution::of(&histogram());
        assert_eq!((distribution.count, distribution.us.max), (0, 0.0));
        assert!(decode(&distribution.hdr).unwrap().is_empty());
    }

    #[test]
    fn damaged_text_is_an_error_or_another_histogram() {
        let mut recorded = histogram();
        (1..2000).for_each(|value| recorded.record(value * 977).unwrap());
        let text = encode(&recorded).unwrap();
        for wrong in ["", "x", "%%%%", "HISTFAAA", &text[..text.len() / 2 / 4 * 4]] {
            assert!(decode(wrong).is_err(), "{wrong}");
        }
        let mut plain = Vec::new();
        hdrhistogram::serialization::V2Serializer::new().serialize(&recorded, &mut plain).unwrap();
        let mut random = Random::new(7, 0);
        let mut refused = 0;
        for _ in 0..400 {
            // Without the checksum of deflate, damage comes through to the reader.
            let mut bytes = plain.clone();
            let changes = 1 + random.below(3);
            for _ in 0..changes {
                let at = random.below(bytes.len().min(200) as u64) as usize;
                bytes[at] = random.below(256) as u8;
            }
            bytes.truncate(random.below(2 * bytes.len() as u64) as usize);
            refused += u32::from(decode(&STANDARD.encode(bytes)).is_err());
        }
        assert!(refused > 100, "{refused}");
    }
}
