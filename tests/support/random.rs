//! A seeded generator: small, the same on every machine, and never seeded without saying so.

use std::time::{SystemTime, UNIX_EPOCH};

/// SplitMix64 (Steele, Lea, Flood, 2014): one word of state, every seed is a good seed.
#[derive(Clone)]
pub struct Random {
    state: u64,
}

impl Random {
    pub fn new(seed: u64) -> Self {
        Random { state: seed }
    }

    pub fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// A number in `0..limit`; the bias of the remainder does not matter to a test.
    pub fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit.max(1) as u64) as usize
    }

    /// True once in `n` times.
    pub fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }

    pub fn pick<'a, T>(&mut self, choices: &'a [T]) -> &'a T {
        &choices[self.below(choices.len())]
    }

    pub fn bytes(&mut self, length: usize) -> Vec<u8> {
        (0..length).map(|_| self.next() as u8).collect()
    }
}

/// The seed of this run: `POLDER_SEED`, or a new one, printed with the command that repeats it.
pub fn seed(test_binary: &str, test: &str) -> u64 {
    let given = std::env::var("POLDER_SEED").ok().map(|text| {
        text.parse::<u64>().unwrap_or_else(|_| panic!("POLDER_SEED must be a number, not '{text}'"))
    });
    let seed = given.unwrap_or_else(|| {
        let elapsed = SystemTime::now().duration_since(UNIX_EPOCH).expect("the clock is past 1970");
        elapsed.as_nanos() as u64 % 1_000_000_000
    });
    println!("seed {seed}; replay: POLDER_SEED={seed} cargo test --test {test_binary} {test}");
    seed
}
