//! The 80-bit floating-point numbers of INCRBYFLOAT and HINCRBYFLOAT.
//!
//! Redis computes these commands in the x87 `long double` and prints the result with 17 digits after the
//! point, trailing zeros trimmed. Replies and stored values show every bit of that arithmetic (`0.1 + 0.2`
//! is `0.3` here and would not be in 64 bits), so the format is rebuilt in software:
//!
//! ```text
//!   value = significand × 2^exponent      64 bits × [-16445, 16320]
//! ```
//!
//! Reading, adding and printing round to nearest, ties to even, from the exact value: what the C library
//! and the hardware do. Texts of up to 19 digits and moderate exponents stay in 128-bit integers, the rest
//! goes through arbitrary precision. There is no NaN: nothing here produces one.

use num_bigint::BigUint;

/// The longest text that is read as a number, in bytes; longer ones are refused.
pub const TEXT_BYTES_MAX: usize = 5 * 1024 - 1;

/// The exponent of the smallest subnormal number's only bit.
const EXPONENT_MIN: i32 = -16_445;
/// The exponent of the largest finite numbers.
const EXPONENT_MAX: i32 = 16_320;
/// Digits after the point in the printed form.
const FRACTION_DIGITS: usize = 17;
/// Powers of five up to this one fit the quotients of the short way of reading.
const SHORT_POWER_MAX: i64 = 26;
/// No finite number has more digits before the point than this, none but zero more zeros behind it.
const DECIMAL_EXPONENT_MAX: i64 = 5_000;

/// An 80-bit extended-precision number, finite or infinite.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LongDouble {
    negative: bool,
    /// [`INFINITE`] for the infinities.
    exponent: i32,
    /// The top bit is set, except in zero and in the subnormal numbers, whose exponent is the smallest.
    significand: u64,
}

const INFINITE: i32 = i32::MAX;

impl LongDouble {
    pub const ZERO: LongDouble = LongDouble { negative: false, exponent: EXPONENT_MIN, significand: 0 };

    fn infinity(negative: bool) -> Self {
        LongDouble { negative, exponent: INFINITE, significand: 0 }
    }

    pub fn is_finite(self) -> bool {
        self.exponent != INFINITE
    }

    /// The exact value of an integer.
    pub fn from_integer(value: i64) -> Self {
        round(value < 0, value.unsigned_abs() as u128, 0, false)
    }

    /// Reads what C's `strtold` reads, if it reads all of it: decimal and hexadecimal numbers and
    /// infinities. `None` for anything else, for NaN, and for numbers too large or too small to represent.
    pub fn parse(text: &[u8]) -> Option<Self> {
        if text.len() > TEXT_BYTES_MAX {
            return None;
        }
        let (negative, body) = match text {
            [b'-', rest @ ..] => (true, rest),
            [b'+', rest @ ..] => (false, rest),
            _ => (false, text),
        };
        if body.eq_ignore_ascii_case(b"inf") || body.eq_ignore_ascii_case(b"infinity") {
            return Some(LongDouble::infinity(negative));
        }
        let value = match body {
            [b'0', b'x' | b'X', rest @ ..] => parse_hexadecimal(negative, rest)?,
            _ => parse_decimal(negative, body)?,
        };
        value.is_finite().then_some(value)
    }

    /// The text of the number: 17 digits after the point, without the zeros at the end. A value that
    /// prints as zero has no sign. Must be finite.
    pub fn to_text(self) -> Vec<u8> {
        debug_assert!(self.is_finite());
        let mut text = if self.exponent >= 0 { self.integer_digits() } else { self.fixed_digits() };
        if self.negative && text != b"0" {
            text.insert(0, b'-');
        }
        text
    }

    /// The digits of a number without a fraction by its exponent.
    fn integer_digits(self) -> Vec<u8> {
        let shift = self.exponent as u32;
        if shift <= 64 {
            ((self.significand as u128) << shift).to_string().into_bytes()
        } else {
            (BigUint::from(self.significand) << shift).to_string().into_bytes()
        }
    }

    fn fixed_digits(self) -> Vec<u8> {
        const SCALE: u128 = 10u128.pow(FRACTION_DIGITS as u32);
        // At most 64 + 57 bits.
        let scaled = self.significand as u128 * SCALE;
        let shift = self.exponent.unsigned_abs();
        let rounded = if shift >= 128 { 0 } else { shift_right_rounded(scaled, shift, false) };
        let mut text = format!("{rounded:0width$}", width = FRACTION_DIGITS + 1).into_bytes();
        text.insert(text.len() - FRACTION_DIGITS, b'.');
        while text.last() == Some(&b'0') {
            text.pop();
        }
        if text.last() == Some(&b'.') {
            text.pop();
        }
        text
    }

    /// The larger magnitude first, by exponent and then significand.
    fn ordered(self, other: Self) -> (Self, Self) {
        if (self.exponent, self.significand) >= (other.exponent, other.significand) {
            (self, other)
        } else {
            (other, self)
        }
    }
}

impl std::ops::Add for LongDouble {
    type Output = LongDouble;

    /// The sum. An infinity stays one, whatever is added.
    fn add(self, other: Self) -> Self {
        if !self.is_finite() || !other.is_finite() {
            return LongDouble::infinity(if self.is_finite() { other.negative } else { self.negative });
        }
        /// The larger operand is moved up by this, which leaves a bit for the carry.
        const HEADROOM: u32 = 62;
        let (large, small) = self.ordered(other);
        let distance = large.exponent.abs_diff(small.exponent);
        let large_bits = (large.significand as u128) << HEADROOM;
        let small_bits = (small.significand as u128) << HEADROOM;
        let (aligned, lost) = if distance < 128 {
            (small_bits >> distance, small_bits & ((1u128 << distance) - 1) != 0)
        } else {
            (0, small_bits != 0)
        };
        let exponent = large.exponent - HEADROOM as i32;
        if large.negative == small.negative {
            round(large.negative, large_bits + aligned, exponent, lost)
        } else {
            // What was lost of the smaller operand is missing from the difference.
            round(large.negative, large_bits - aligned - lost as u128, exponent, lost)
        }
    }
}

/// Drops the lowest `shift` (0 to 127) bits, to nearest and ties to even; `more` says that the exact
/// value lies above `value` by a part of its last bit.
fn shift_right_rounded(value: u128, shift: u32, more: bool) -> u128 {
    if shift == 0 {
        return value;
    }
    let kept = value >> shift;
    let dropped = value & ((1 << shift) - 1);
    let half = 1u128 << (shift - 1);
    let up = dropped > half || dropped == half && (more || kept & 1 == 1);
    kept + up as u128
}

/// The nearest number to ±`bits` × 2^`exponent`. With `more` the exact value lies above by a part of the
/// last bit; `bits` then has at least 66 significant ones.
fn round(negative: bool, bits: u128, exponent: i32, more: bool) -> LongDouble {
    if bits == 0 {
        return LongDouble { negative, ..LongDouble::ZERO };
    }
    let mut bits = bits;
    let mut exponent = exponent;
    let mut more = more;
    let width = 128 - bits.leading_zeros() as i32;
    if width > 96 {
        // Narrow it, so that the subnormal case below never shifts by the whole word.
        let excess = width - 96;
        more |= bits & ((1 << excess) - 1) != 0;
        bits >>= excess;
        exponent += excess;
    }
    let width = 128 - bits.leading_zeros() as i32;
    let shift = (width - 64).max(EXPONENT_MIN - exponent);
    let mut significand = if shift <= 0 {
        bits << -shift
    } else if shift > width {
        0
    } else {
        shift_right_rounded(bits, shift as u32, more)
    };
    exponent += shift;
    if significand >> 64 != 0 {
        significand >>= 1;
        exponent += 1;
    }
    if significand == 0 {
        LongDouble { negative, ..LongDouble::ZERO }
    } else if exponent > EXPONENT_MAX {
        LongDouble::infinity(negative)
    } else {
        LongDouble { negative, exponent, significand: significand as u64 }
    }
}

/// As [`round`], of an integer of any size.
fn round_big(negative: bool, bits: BigUint, exponent: i32, more: bool) -> LongDouble {
    let excess = bits.bits().saturating_sub(120);
    let lost = bits.trailing_zeros().is_some_and(|zeros| zeros < excess);
    let top = u128::try_from(&(bits >> excess)).unwrap_or(u128::MAX);
    round(negative, top, exponent + excess as i32, more | lost)
}

/// Reads `[sign] digits` to the end; the value saturates.
fn parse_exponent(text: &[u8]) -> Option<i64> {
    let (negative, digits) = match text {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] => (false, rest),
        _ => (false, text),
    };
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let value = digits.iter().fold(0i64, |value, digit| (value * 10 + (digit - b'0') as i64).min(1 << 40));
    Some(if negative { -value } else { value })
}

/// Splits off the exponent, which `marker` (in lower case) introduces.
fn split_exponent(text: &[u8], marker: u8) -> Option<(&[u8], i64)> {
    match text.iter().position(|byte| byte.to_ascii_lowercase() == marker) {
        Some(position) => Some((&text[..position], parse_exponent(&text[position + 1..])?)),
        None => Some((text, 0)),
    }
}

/// `digits[.digits][e[sign]digits]`; `None` also for a number too small to represent.
fn parse_decimal(negative: bool, text: &[u8]) -> Option<LongDouble> {
    let (number, mut exponent) = split_exponent(text, b'e')?;
    let mut digits = Vec::with_capacity(number.len());
    let mut point = false;
    let mut any = false;
    for &byte in number {
        match byte {
            b'0'..=b'9' => {
                any = true;
                if byte != b'0' || !digits.is_empty() {
                    digits.push(byte);
                }
                exponent -= point as i64;
            }
            b'.' if !point => point = true,
            _ => return None,
        }
    }
    if !any {
        return None;
    }
    while digits.last() == Some(&b'0') {
        digits.pop();
        exponent += 1;
    }
    if digits.is_empty() {
        return Some(LongDouble { negative, ..LongDouble::ZERO });
    }
    let magnitude = exponent + digits.len() as i64;
    if magnitude > DECIMAL_EXPONENT_MAX {
        return Some(LongDouble::infinity(negative));
    }
    if magnitude < -DECIMAL_EXPONENT_MAX {
        return None;
    }
    let value = if digits.len() <= 19 && exponent.abs() <= SHORT_POWER_MAX {
        let integer = digits.iter().fold(0u64, |value, digit| value * 10 + (digit - b'0') as u64);
        scale_short(negative, integer, exponent as i32)
    } else {
        scale_long(negative, &digits, exponent as i32)
    };
    (value.significand != 0 || !value.is_finite()).then_some(value)
}

/// `integer` × 10^`exponent`, for exponents up to [`SHORT_POWER_MAX`]; `integer` is not 0.
fn scale_short(negative: bool, integer: u64, exponent: i32) -> LongDouble {
    let power = 5u128.pow(exponent.unsigned_abs());
    if exponent >= 0 {
        return round(negative, integer as u128 * power, exponent, false);
    }
    let zeros = integer.leading_zeros();
    // 127 bits by at most 61 leave a quotient of at least 66.
    let dividend = ((integer << zeros) as u128) << 63;
    let more = !dividend.is_multiple_of(power);
    round(negative, dividend / power, exponent - 63 - zeros as i32, more)
}

/// `digits` × 10^`exponent`, for exponents of a few thousand.
fn scale_long(negative: bool, digits: &[u8], exponent: i32) -> LongDouble {
    let integer = BigUint::parse_bytes(digits, 10).unwrap_or_default();
    let power = BigUint::from(5u8).pow(exponent.unsigned_abs());
    if exponent >= 0 {
        return round_big(negative, integer * power, exponent, false);
    }
    let shift = (power.bits() + 80).saturating_sub(integer.bits());
    let dividend = integer << shift;
    let quotient = &dividend / &power;
    let more = &quotient * &power != dividend;
    round_big(negative, quotient, exponent - shift as i32, more)
}

/// What follows `0x`: `digits[.digits][p[sign]digits]`.
fn parse_hexadecimal(negative: bool, text: &[u8]) -> Option<LongDouble> {
    let (number, binary_exponent) = split_exponent(text, b'p')?;
    let mut bits: u128 = 0;
    let mut more = false;
    let mut exponent: i64 = 0;
    let mut point = false;
    let mut any = false;
    for &byte in number {
        if byte == b'.' && !point {
            point = true;
            continue;
        }
        let digit = (byte as char).to_digit(16)? as u128;
        any = true;
        if bits >> 120 == 0 {
            bits = bits << 4 | digit;
            exponent -= 4 * point as i64;
        } else {
            more |= digit != 0;
            exponent += 4 * !point as i64;
        }
    }
    if !any {
        return None;
    }
    if bits == 0 {
        return Some(LongDouble { negative, ..LongDouble::ZERO });
    }
    // Beyond a million either way the result is the same as at a million.
    let exponent = (exponent + binary_exponent).clamp(-1_000_000, 1_000_000) as i32;
    let value = round(negative, bits, exponent, more);
    (value.significand != 0 || !value.is_finite()).then_some(value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn sum(left: &str, right: &str) -> String {
        let left = LongDouble::parse(left.as_bytes()).unwrap();
        let right = LongDouble::parse(right.as_bytes()).unwrap();
        String::from_utf8((left + right).to_text()).unwrap()
    }

    #[test]
    fn sums_print_as_in_extended_precision() {
        assert_eq!(sum("0.1", "0.2"), "0.3");
        assert_eq!(sum("10.5", "0.1"), "10.6");
        assert_eq!(sum("5.0e3", "2.0e2"), "5200");
        assert_eq!(sum("1", "-1"), "0");
        assert_eq!(sum("-0.0", "-0.0"), "0");
        assert_eq!(sum("3", "1.1"), "4.1");
        assert_eq!(sum("0x1.8p3", "1.5"), "13.5");
        assert_eq!(sum("18446744073709551615", "1"), "18446744073709551616");
        assert_eq!(sum("1e-18", "0"), "0");
        assert_eq!(sum("-1e-18", "0"), "0");
        assert_eq!(sum("1e20", "1"), "100000000000000000000");
        assert!(sum("1e400", "0").starts_with("10000000000000000000281880683947586514586453433629"));
    }

    #[test]
    fn texts_that_are_no_numbers_are_refused() {
        for text in [
            "",
            " 1",
            "1 ",
            "-",
            "+",
            ".",
            "e5",
            "1e",
            "1e+",
            "0x",
            "nan",
            "1..2",
            "--1",
            "1e5000",
            "1e-5000",
            "infin",
            "1_0",
            "0x1p",
            "0x.p1",
            "1.1897314953572317651e4932",
        ] {
            assert_eq!(LongDouble::parse(text.as_bytes()), None, "{text:?}");
        }
        for text in
            ["1.", ".5", "+1", "inf", "-INFINITY", "0e99999999999", "1e4932", "3.6e-4951", "0X1P-16445"]
        {
            assert!(LongDouble::parse(text.as_bytes()).is_some(), "{text:?}");
        }
    }

    #[test]
    fn integers_are_exact() {
        for value in [0, 1, -1, i64::MAX, i64::MIN, 1 << 53, (1 << 53) + 1] {
            assert_eq!(LongDouble::from_integer(value).to_text(), value.to_string().into_bytes());
        }
    }

    proptest! {
        #[test]
        fn the_short_and_the_long_way_agree(integer in 1u64..10_000_000_000_000_000_000, exponent in -26i32..=26) {
            let digits = integer.to_string();
            prop_assert_eq!(scale_short(false, integer, exponent), scale_long(false, digits.as_bytes(), exponent));
        }

        #[test]
        fn adding_agrees_with_exact_arithmetic(
            left in 1u64 << 63..=u64::MAX, right in 1u64 << 63..=u64::MAX, distance in 0i32..140, minus: bool,
        ) {
            let large = LongDouble { negative: false, exponent: 200, significand: left };
            let small = LongDouble { negative: minus, exponent: 200 - distance, significand: right };
            let exact_large = BigUint::from(left) << 200;
            let exact_small = BigUint::from(right) << (200 - distance);
            let expected = if !minus {
                round_big(false, exact_large + exact_small, 0, false)
            } else if exact_large >= exact_small {
                round_big(false, exact_large - exact_small, 0, false)
            } else {
                round_big(true, exact_small - exact_large, 0, false)
            };
            let found = large + small;
            prop_assert_eq!((found.exponent, found.significand), (expected.exponent, expected.significand));
        }

        #[test]
        fn any_text_is_read_or_refused(text in "[-+]?[0-9a-fA-FxXpPeE.+-]{0,24}") {
            if let Some(value) = LongDouble::parse(text.as_bytes()).filter(|value| value.is_finite()) {
                let printed = value.to_text();
                prop_assert!(LongDouble::parse(&printed).is_some());
            }
        }
    }
}
