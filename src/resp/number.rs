//! Numbers as text, in the strict forms that Redis reads and the exact forms that it writes.

/// The longest text of an `i64`, a sign and 19 digits, and of an `u64`, 20 digits.
pub const INTEGER_TEXT_BYTES: usize = 20;

/// Reads a signed integer in canonical form: what [`IntegerText`] would write, and nothing else.
#[inline]
pub fn parse_integer(text: &[u8]) -> Option<i64> {
    let (negative, digits) = match text {
        [b'-', rest @ ..] => (true, rest),
        _ => (false, text),
    };
    if digits.is_empty() || digits.len() > 19 {
        return None;
    }
    if digits[0] == b'0' {
        return (digits.len() == 1 && !negative).then_some(0);
    }
    let mut value: u64 = 0;
    for &byte in digits {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            return None;
        }
        // 19 digits stay below 10^19, which an u64 holds.
        value = value * 10 + digit as u64;
    }
    if negative {
        if value > i64::MIN.unsigned_abs() { None } else { Some((value as i64).wrapping_neg()) }
    } else {
        i64::try_from(value).ok()
    }
}

/// The decimal text of an integer, on the stack.
pub struct IntegerText {
    buffer: [u8; INTEGER_TEXT_BYTES],
    start: u8,
}

const DIGIT_PAIRS: [u8; 200] = {
    let mut table = [0; 200];
    let mut index = 0;
    while index < 100 {
        table[index * 2] = b'0' + (index / 10) as u8;
        table[index * 2 + 1] = b'0' + (index % 10) as u8;
        index += 1;
    }
    table
};

impl IntegerText {
    #[inline]
    pub fn new(value: i64) -> Self {
        let mut text = IntegerText::unsigned(value.unsigned_abs());
        if value < 0 {
            text.start -= 1;
            text.buffer[text.start as usize] = b'-';
        }
        text
    }

    /// The text of an integer without a sign: up to 20 digits.
    #[inline]
    pub fn unsigned(value: u64) -> Self {
        let mut buffer = [0; INTEGER_TEXT_BYTES];
        let mut position = INTEGER_TEXT_BYTES;
        let mut rest = value;
        while rest >= 100 {
            let pair = (rest % 100) as usize * 2;
            rest /= 100;
            position -= 2;
            buffer[position..position + 2].copy_from_slice(&DIGIT_PAIRS[pair..pair + 2]);
        }
        if rest >= 10 {
            let pair = rest as usize * 2;
            position -= 2;
            buffer[position..position + 2].copy_from_slice(&DIGIT_PAIRS[pair..pair + 2]);
        } else {
            position -= 1;
            buffer[position] = b'0' + rest as u8;
        }
        IntegerText { buffer, start: position as u8 }
    }

    #[inline]
    pub fn as_bytes(&self) -> &[u8] {
        &self.buffer[self.start as usize..]
    }
}

/// The two digits of a number below 100.
#[inline(always)]
pub fn digit_pair(value: usize) -> [u8; 2] {
    [DIGIT_PAIRS[value * 2], DIGIT_PAIRS[value * 2 + 1]]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_round_trip_at_the_edges() {
        for value in [0, 1, -1, 9, 10, 99, 100, -100, i64::MAX, i64::MIN, 1_000_000_007] {
            let text = IntegerText::new(value);
            assert_eq!(text.as_bytes(), value.to_string().as_bytes());
            assert_eq!(parse_integer(text.as_bytes()), Some(value));
        }
    }

    #[test]
    fn only_the_canonical_form_is_an_integer() {
        for text in [
            "",
            "-",
            "+1",
            "01",
            "-0",
            " 1",
            "1 ",
            "1.0",
            "9223372036854775808",
            "-9223372036854775809",
            "99999999999999999999",
            "12345678901234567890",
            "1e3",
            "0x1",
        ] {
            assert_eq!(parse_integer(text.as_bytes()), None, "{text:?}");
        }
    }
}
