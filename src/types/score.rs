//! Scores of sorted sets as text: what clients may write and what they read back.
//!
//! A score is a 64-bit floating-point number that is not NaN. Reading follows C's `strtod`, as Redis uses
//! it; writing follows Redis 7.2: an integer within ±2^62 is written out, anything else with the fewest
//! digits that read back as the same number:
//!
//! ```text
//!   3            integers, up to 19 digits
//!   0.1 -1.5e-7  a fraction of few places or four digits at most before the point, else an exponent
//!   1e+300 inf   large numbers, infinities
//! ```

use std::fmt::{self, Write};

use crate::resp::number::{IntegerText, parse_integer};

/// The longest text of a score: `-0.00012345678901234567` and `-1.2345678901234567e-300` are shorter.
const TEXT_BYTES_MAX: usize = 32;

/// Integers up to here are written digit by digit; beyond, what follows the 17th digit is noise.
const PLAIN_INTEGER_MAX: f64 = (i64::MAX / 2) as f64;

/// Reads a score as ZADD takes it: the whole text must be a number, which neither overflows nor vanishes.
pub fn parse(text: &[u8]) -> Option<f64> {
    if let Some(number) = parse_integer(text) {
        return Some(number as f64);
    }
    match read(text)? {
        Number::Exact(value) => Some(value),
        Number::OutOfRange(_) => None,
    }
}

/// Reads a bound of a range of scores: more loosely, a C string's beginning. Blanks may stand in front,
/// nothing at all is 0, what is too large is infinite and what is too small is 0.
pub fn parse_bound(text: &[u8]) -> Option<f64> {
    match read_loosely(text)? {
        Number::Exact(value) | Number::OutOfRange(value) => Some(value),
    }
}

/// Reads a number as [`parse_bound`] does, but none that is too large or too small.
pub fn parse_number(text: &[u8]) -> Option<f64> {
    match read_loosely(text)? {
        Number::Exact(value) => Some(value),
        Number::OutOfRange(_) => None,
    }
}

fn read_loosely(text: &[u8]) -> Option<Number> {
    if let Some(number) = parse_integer(text) {
        return Some(Number::Exact(number as f64));
    }
    let end = text.iter().position(|&byte| byte == 0).unwrap_or(text.len());
    let text = &text[..end];
    if text.is_empty() {
        return Some(Number::Exact(0.0));
    }
    let start = text.iter().position(|byte| !matches!(byte, b' ' | 9..=13)).unwrap_or(text.len());
    read(&text[start..])
}

enum Number {
    Exact(f64),
    /// Became infinite or zero although the text says otherwise.
    OutOfRange(f64),
}

impl Number {
    fn judged(value: f64, is_zero: bool) -> Number {
        if value.is_infinite() || value == 0.0 && !is_zero {
            Number::OutOfRange(value)
        } else {
            Number::Exact(value)
        }
    }
}

/// A text that is a number from its first byte to its last, as `strtod` reads it.
fn read(text: &[u8]) -> Option<Number> {
    let (negative, body) = match text {
        [b'-', body @ ..] => (true, body),
        [b'+', body @ ..] => (false, body),
        body => (false, body),
    };
    let sign = if negative { -1.0 } else { 1.0 };
    match body {
        [b'0', b'x' | b'X', digits @ ..] => {
            let (magnitude, is_zero) = read_hexadecimal(digits)?;
            Some(Number::judged(sign * magnitude, is_zero))
        }
        // The standard library reads signs and NaN, too: both are none of the body's business.
        [b'0'..=b'9' | b'.', ..] => {
            let magnitude: f64 = std::str::from_utf8(body).ok()?.parse().ok()?;
            let significand = body.iter().take_while(|&&byte| byte | 0x20 != b'e');
            let is_zero = significand.clone().all(|byte| matches!(byte, b'0' | b'.'));
            Some(Number::judged(sign * magnitude, is_zero))
        }
        _ if body.eq_ignore_ascii_case(b"inf") || body.eq_ignore_ascii_case(b"infinity") => {
            Some(Number::Exact(sign * f64::INFINITY))
        }
        _ => None,
    }
}

/// What follows `0x`: `digits[.digits][p[sign]digits]`; and whether all digits are zero.
fn read_hexadecimal(text: &[u8]) -> Option<(f64, bool)> {
    let end = text.iter().position(|&byte| byte | 0x20 == b'p').unwrap_or(text.len());
    let scale = if end < text.len() { read_exponent(&text[end + 1..])? } else { 0 };
    let (mut bits, mut exponent) = (0u64, 0i64);
    let (mut any, mut point, mut more) = (false, false, false);
    for &byte in &text[..end] {
        if byte == b'.' && !point {
            point = true;
            continue;
        }
        let digit = (byte as char).to_digit(16)? as u64;
        any = true;
        if bits >> 59 == 0 {
            bits = bits << 4 | digit;
            exponent -= 4 * i64::from(point);
        } else {
            more |= digit != 0;
            exponent += 4 * i64::from(!point);
        }
    }
    any.then(|| (scaled(bits, exponent.saturating_add(scale), more), bits == 0))
}

/// Reads `[sign] digits` to the end; the value saturates.
fn read_exponent(text: &[u8]) -> Option<i64> {
    let (negative, digits) = match text {
        [b'-', digits @ ..] => (true, digits),
        [b'+', digits @ ..] => (false, digits),
        digits => (false, digits),
    };
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let value = digits.iter().fold(0i64, |value, digit| (value * 10 + (digit - b'0') as i64).min(1 << 40));
    Some(if negative { -value } else { value })
}

/// The number nearest to `bits` × 2^`exponent`, ties to even; with `more` the exact value lies above by a
/// part of the last bit, and `bits` then has at least 60 significant ones.
fn scaled(bits: u64, exponent: i64, more: bool) -> f64 {
    const FRACTION_BITS: i64 = 52;
    const EXPONENT_MIN: i64 = -1074;
    const EXPONENT_MAX: i64 = 971;
    if bits == 0 {
        return 0.0;
    }
    let width = 64 - i64::from(bits.leading_zeros());
    // How many low bits a number with this exponent cannot hold; below zero: how many it has to spare.
    let drop = (width - (FRACTION_BITS + 1)).max(EXPONENT_MIN.saturating_sub(exponent));
    if drop > 64 {
        return 0.0;
    }
    let significand = if drop <= 0 {
        bits << -drop
    } else {
        let wide = u128::from(bits) << 1 | u128::from(more);
        let (kept, rest, half) = (wide >> (drop + 1), wide & ((2 << drop) - 1), 1u128 << drop);
        kept as u64 + u64::from(rest > half || rest == half && kept & 1 == 1)
    };
    let exponent = exponent + drop;
    if exponent > EXPONENT_MAX || exponent == EXPONENT_MAX && significand >> (FRACTION_BITS + 1) != 0 {
        return f64::INFINITY;
    }
    // A significand that was rounded up to the next power carries into the exponent's bits by itself.
    let subnormal = significand >> FRACTION_BITS == 0;
    let biased = if subnormal { 0 } else { (exponent - EXPONENT_MIN) as u64 };
    f64::from_bits((biased << FRACTION_BITS) + significand)
}

/// The text of a score, on the stack.
pub struct ScoreText {
    buffer: [u8; TEXT_BYTES_MAX],
    length: u8,
}

impl ScoreText {
    #[inline]
    pub fn new(score: f64) -> ScoreText {
        let mut text = ScoreText { buffer: [0; TEXT_BYTES_MAX], length: 0 };
        if score == 0.0 {
            text.push(if score.is_sign_negative() { b"-0" } else { b"0" });
        } else if let Some(integer) = integer_of(score) {
            text.push(IntegerText::new(integer).as_bytes());
        } else {
            text.write_fraction(score);
        }
        text
    }

    #[inline]
    pub fn as_bytes(&self) -> &[u8] {
        &self.buffer[..self.length as usize]
    }

    pub fn as_str(&self) -> &str {
        std::str::from_utf8(self.as_bytes()).unwrap_or_default()
    }

    #[inline]
    fn push(&mut self, bytes: &[u8]) {
        let start = self.length as usize;
        self.buffer[start..start + bytes.len()].copy_from_slice(bytes);
        self.length += bytes.len() as u8;
    }

    fn push_zeros(&mut self, count: usize) {
        (0..count).for_each(|_| self.push(b"0"));
    }

    /// Everything but zero and the integers of moderate size.
    fn write_fraction(&mut self, score: f64) {
        if score < 0.0 {
            self.push(b"-");
        }
        if score.is_infinite() {
            return self.push(b"inf");
        }
        let (digits, count, power) = shortest_digits(score.abs());
        let digits = &digits[..count];
        // The exponent if one digit stands before the point.
        let exponent = power + count as i32 - 1;
        if power >= 0 && exponent < count as i32 + 7 {
            self.push(digits);
            self.push_zeros(power as usize);
        } else if power < 0 && (power > -7 || exponent.abs() < 4) {
            let whole = count as i32 + power;
            if whole <= 0 {
                self.push(b"0.");
                self.push_zeros(whole.unsigned_abs() as usize);
                self.push(digits);
            } else {
                let (whole, fraction) = digits.split_at(whole as usize);
                self.push(whole);
                self.push(b".");
                self.push(fraction);
            }
        } else {
            self.push(&digits[..1]);
            if count > 1 {
                self.push(b".");
                self.push(&digits[1..]);
            }
            self.push(if exponent < 0 { b"e-" } else { b"e+" });
            self.push(IntegerText::new(exponent.unsigned_abs().into()).as_bytes());
        }
    }
}

impl fmt::Write for ScoreText {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        if text.len() > TEXT_BYTES_MAX - self.length as usize {
            return Err(fmt::Error);
        }
        self.push(text.as_bytes());
        Ok(())
    }
}

/// The integer that equals `score`, if it is one of those that are written digit by digit.
#[inline]
pub(super) fn integer_of(score: f64) -> Option<i64> {
    let integer = score as i64;
    (score.abs() <= PLAIN_INTEGER_MAX && integer as f64 == score).then_some(integer)
}

/// The fewest decimal digits that read back as `value`, their count, and the power of ten to multiply the
/// integer that they form with. `value` is finite and above zero.
fn shortest_digits(value: f64) -> ([u8; 20], usize, i32) {
    let mut text = ScoreText { buffer: [0; TEXT_BYTES_MAX], length: 0 };
    // At most 17 digits, a point and an exponent of three digits: the buffer is large enough.
    let _ = write!(text, "{value:e}");
    let text = text.as_bytes();
    let mark = text.iter().position(|&byte| byte == b'e').unwrap_or(text.len());
    let exponent = text.get(mark + 1..).and_then(parse_integer).unwrap_or(0) as i32;
    let (mut digits, mut count) = ([0u8; 20], 0);
    for &digit in text[..mark].iter().filter(|byte| byte.is_ascii_digit()) {
        digits[count] = digit;
        count += 1;
    }
    (digits, count, exponent - (count as i32 - 1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn show(score: f64) -> String {
        ScoreText::new(score).as_str().to_owned()
    }

    #[test]
    fn scores_are_written_as_redis_writes_them() {
        let expected = [
            (0.0, "0"),
            (-0.0, "-0"),
            (1.0, "1"),
            (-17.0, "-17"),
            (0.1, "0.1"),
            (-2.5, "-2.5"),
            (3.0e15 + 0.5, "3000000000000000.5"),
            (1e17, "100000000000000000"),
            (1234567890123456789.0, "1234567890123456768"),
            (4611686018427387904.0, "4611686018427387904"),
            (4611686018427388928.0, "4611686018427389000"),
            (9223372036854775808.0, "9223372036854776000"),
            (1e19, "1e+19"),
            (1e22, "1e+22"),
            (1.5e22, "1.5e+22"),
            (1e300, "1e+300"),
            (-1.7976931348623157e308, "-1.7976931348623157e+308"),
            (5e-324, "5e-324"),
            (1e-5, "0.00001"),
            (1e-6, "0.000001"),
            (1e-7, "1e-7"),
            (1.5e-7, "1.5e-7"),
            (0.00012345678901234567, "1.2345678901234567e-4"),
            (0.0012345678901234567, "0.0012345678901234567"),
            (12345.678901234567, "1.2345678901234567e+4"),
            (1234.5678901234567, "1234.5678901234567"),
            (12345.6789, "12345.6789"),
            (1.0 / 3.0, "0.3333333333333333"),
            (f64::INFINITY, "inf"),
            (f64::NEG_INFINITY, "-inf"),
        ];
        for (score, text) in expected {
            assert_eq!(show(score), text);
        }
    }

    #[test]
    fn scores_are_read_as_strtod_reads_them() {
        let expected: &[(&str, f64)] = &[
            ("1", 1.0),
            ("-0", -0.0),
            ("+1.5", 1.5),
            (".5", 0.5),
            ("5.", 5.0),
            ("1e3", 1000.0),
            ("1E-3", 0.001),
            ("inf", f64::INFINITY),
            ("+Infinity", f64::INFINITY),
            ("-INF", f64::NEG_INFINITY),
            ("0x1p3", 8.0),
            ("-0X.8", -0.5),
            ("0x1.", 1.0),
            ("0x10", 16.0),
            ("0x1.fffffffffffffp1023", f64::MAX),
            ("0x1p-1074", 5e-324),
            ("0x0.8p-1073", 5e-324),
            ("0x1.8p-1074", 1e-323),
            ("0x20000000000001", 9007199254740992.0),
            ("0x20000000000003", 9007199254740996.0),
            ("0x200000000000010000000000000000001", 2f64.powi(129) * (1.0 + 2f64.powi(-52))),
            ("0x0p99999999999999999999", 0.0),
            ("9223372036854775808", 9223372036854775808.0),
            ("00012", 12.0),
            ("0e99999", 0.0),
            ("2.2250738585072011e-308", 2.225073858507201e-308),
        ];
        for &(text, value) in expected {
            assert_eq!(parse(text.as_bytes()).map(f64::to_bits), Some(value.to_bits()), "{text}");
            assert_eq!(parse_bound(text.as_bytes()).map(f64::to_bits), Some(value.to_bits()), "{text}");
        }
        for text in [
            "", " ", "-", "+", ".", "e5", "1e", "1e+", "0x", "0x.p1", "0x1p", "0x1p+", "nan", "-NAN",
            "nan(1)", "1..2", "--1", "+-1", "infin", "1_0", "1 ", "abc", "0xg", "1,5", "\u{661}",
        ] {
            assert_eq!(parse(text.as_bytes()), None, "{text:?}");
        }
    }

    #[test]
    fn bounds_are_read_more_loosely() {
        for text in [" 1", "1e400", "-1e400", "1e-400", "0x1p1024", "0x1p-1075", "1\0abc", "\0"] {
            assert_eq!(parse(text.as_bytes()), None, "{text:?}");
        }
        assert_eq!(parse_bound(b""), Some(0.0));
        assert_eq!(parse_bound(b" \t\n\x0b\x0c\r1"), Some(1.0));
        assert_eq!(parse_bound(b"1e400"), Some(f64::INFINITY));
        assert_eq!(parse_bound(b"-1e400"), Some(f64::NEG_INFINITY));
        assert_eq!(parse_bound(b"1e-400"), Some(0.0));
        assert_eq!(parse_bound(b"1\0abc"), Some(1.0));
        assert_eq!(parse_bound(b"\0"), Some(0.0));
        for text in ["  ", "1 ", "abc", "nan", "1e", " nan", "\u{a0}1"] {
            assert_eq!(parse_bound(text.as_bytes()), None, "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn every_score_reads_back(bits: u64) {
            let score = f64::from_bits(bits);
            prop_assume!(!score.is_nan());
            let text = show(score);
            prop_assert_eq!(parse(text.as_bytes()).map(f64::to_bits), Some(bits), "{}", text);
            prop_assert!(text.len() <= 25, "{}", text);
        }

        #[test]
        fn hexadecimal_texts_read_as_what_they_say(significand: u64, exponent in -1200i32..1100) {
            let text = format!("0x{significand:x}p{exponent}");
            // Two steps of a power each: neither of them leaves the range of the format.
            let exact = num_bigint::BigUint::from(significand);
            let expected = if exponent >= 0 {
                (exact << exponent).to_string().parse().unwrap()
            } else {
                let power = num_bigint::BigUint::from(5u8).pow(exponent.unsigned_abs());
                format!("{}e{exponent}", exact * power).parse::<f64>().unwrap()
            };
            prop_assert_eq!(parse_bound(text.as_bytes()), Some(expected), "{}", text);
        }

        #[test]
        fn any_text_is_read_or_refused(text in "[-+ (]?[0-9a-fxXpPeEinf.\\x00+-]{0,24}") {
            let (score, bound) = (parse(text.as_bytes()), parse_bound(text.as_bytes()));
            prop_assert!(score.is_none_or(|score| !score.is_nan() && bound == Some(score)));
            prop_assert!(bound.is_none_or(|bound| !bound.is_nan()));
        }
    }
}
