//! From registers to the number of elements: the estimator of Otmar Ertl, "New cardinality estimation algorithms
//! for HyperLogLog sketches" (2017), algorithm 6. It needs no correction for small or large numbers, and it only
//! asks how many registers have each level.
//!
//! The order of all operations is the one of the paper: results are those of Redis to the last digit.

use super::dense::GROUP;
use super::{REGISTER_MAX, REGISTERS};

/// Numbers that a register of six bits can have. No element makes one above [`REGISTER_MAX`].
pub(super) const LEVELS: usize = 64;

/// 1 / (2 ln 2).
const ALPHA_INFINITY: f64 = 0.721_347_520_444_481_7;

/// How many registers have each level.
pub(super) fn histogram(groups: impl Iterator<Item = [u8; GROUP]>) -> [u32; LEVELS] {
    // Several that take turns: neighbours often have the same level, and would wait for each other.
    const TURNS: usize = 4;
    let mut histograms = [[0u32; LEVELS]; TURNS];
    let mut zeros = 0;
    for group in groups {
        if group == [0; GROUP] {
            zeros += GROUP as u32;
            continue;
        }
        for (index, level) in group.into_iter().enumerate() {
            histograms[index % TURNS][level as usize % LEVELS] += 1;
        }
    }
    histograms[0][0] += zeros;
    std::array::from_fn(|level| histograms.iter().map(|histogram| histogram[level]).sum())
}

pub(super) fn of_histogram(histogram: &[u32; LEVELS]) -> u64 {
    let m = REGISTERS as f64;
    let top = REGISTER_MAX as usize;
    let mut z = m * tau((m - histogram[top] as f64) / m);
    for level in (1..top).rev() {
        z += histogram[level] as f64;
        z *= 0.5;
    }
    z += m * sigma(histogram[0] as f64 / m);
    // Infinite registers of zeros leave nothing.
    (ALPHA_INFINITY * m * m / z).round() as u64
}

/// x + Σ x^(2^k) 2^(k-1), for the registers that are 0.
fn sigma(mut x: f64) -> f64 {
    if x == 1.0 {
        return f64::INFINITY;
    }
    let (mut y, mut z) = (1.0, x);
    loop {
        x *= x;
        let before = z;
        z += x * y;
        y += y;
        if z == before {
            return z;
        }
    }
}

/// (1 - x - Σ (1 - x^(2^-k))² 2^-k) / 3, for the registers that are at their largest.
fn tau(mut x: f64) -> f64 {
    if x == 0.0 || x == 1.0 {
        return 0.0;
    }
    let (mut y, mut z) = (1.0, 1.0 - x);
    loop {
        x = x.sqrt();
        let before = z;
        y *= 0.5;
        z -= (1.0 - x) * (1.0 - x) * y;
        if z == before {
            return z / 3.0;
        }
    }
}
