//! Random numbers, cheap and repeatable, and the digits that they become.

/// Digits of a random number inside a command, as redis-benchmark writes it.
pub const DIGITS: usize = 12;
/// Random numbers stay below this.
pub const RANGE_MAX: u64 = 10u64.pow(DIGITS as u32);

/// A small generator (xorshift64*, Vigna 2016): a few cycles per number, good enough to pick keys.
#[derive(Debug, Clone)]
pub struct Random(u64);

impl Random {
    /// Stream number `stream` of `seed`; different streams are unrelated.
    pub fn new(seed: u64, stream: u64) -> Self {
        // SplitMix64 spreads neighbouring seeds over all states; only zero is not a state.
        let mut state = seed.wrapping_add(stream.wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15));
        state = (state ^ (state >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        state = (state ^ (state >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        Random((state ^ (state >> 31)).max(1))
    }

    #[inline]
    pub fn draw(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }

    /// A number below `range`, every one equally likely.
    #[inline]
    pub fn below(&mut self, range: u64) -> u64 {
        ((u128::from(self.draw()) * u128::from(range)) >> 64) as u64
    }

    /// A number from 0 to 1, without 1: 53 random bits.
    #[inline]
    pub fn unit(&mut self) -> f64 {
        (self.draw() >> 11) as f64 / (1u64 << 53) as f64
    }
}

static PAIRS: [[u8; 2]; 100] = pairs();

const fn pairs() -> [[u8; 2]; 100] {
    let mut pairs = [[0; 2]; 100];
    let mut number = 0;
    while number < 100 {
        pairs[number] = [b'0' + (number / 10) as u8, b'0' + (number % 10) as u8];
        number += 1;
    }
    pairs
}

/// Writes the last `2 * pairs` decimal digits of `number` at the end of `digits`; what stands before stays.
#[inline]
pub fn write_digits(digits: &mut [u8], mut number: u64, pairs: usize) {
    let mut end = digits.len();
    for _ in 0..pairs {
        digits[end - 2..end].copy_from_slice(&PAIRS[(number % 100) as usize]);
        number /= 100;
        end -= 2;
    }
}

/// How many pairs of digits numbers below `range` need: the digits before them are always zero.
pub fn digit_pairs(range: u64) -> usize {
    let largest = range.saturating_sub(1);
    (largest.checked_ilog10().unwrap_or(0) as usize + 1).div_ceil(2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_are_those_of_the_number() {
        for number in [0, 1, 9, 10, 99, 100, 12_345, 999_999, 123_456_789_012, RANGE_MAX - 1] {
            let mut digits = [b'0'; DIGITS];
            write_digits(&mut digits, number, digit_pairs(number + 1));
            assert_eq!(String::from_utf8_lossy(&digits), format!("{number:012}"));
        }
    }

    #[test]
    fn short_ranges_touch_few_digits() {
        assert_eq!(digit_pairs(1), 1);
        assert_eq!(digit_pairs(100), 1);
        assert_eq!(digit_pairs(101), 2);
        assert_eq!(digit_pairs(100_000), 3);
        assert_eq!(digit_pairs(RANGE_MAX), 6);
    }

    #[test]
    fn streams_differ_and_repeat() {
        let draw = |seed, stream| {
            let mut random = Random::new(seed, stream);
            [random.draw(), random.draw()]
        };
        assert_eq!(draw(1, 2), draw(1, 2));
        assert_ne!(draw(1, 2), draw(1, 3));
        assert_ne!(draw(1, 2), draw(2, 2));
    }
}
