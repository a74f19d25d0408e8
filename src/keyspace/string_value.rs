//! Strings as they are stored: bytes, or the number that they are the decimal form of.

/// The longest decimal text of an i64: `-9223372036854775808`.
pub const INTEGER_TEXT_BYTES_MAX: usize = 20;

/// A string to be stored.
#[derive(Debug)]
pub enum StringValue<'a> {
    /// Copied. Canonical decimal text of an i64 becomes an integer, as SET does.
    Bytes(&'a [u8]),
    /// As `Bytes`, but a large buffer is adopted without a copy.
    Owned(Vec<u8>),
    /// Stored as text even if it reads as an integer, as INCRBYFLOAT's results are.
    Text(&'a [u8]),
    Int(i64),
}

/// A stored string.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StringRef<'a> {
    Int(i64),
    Bytes(&'a [u8]),
}

impl StringRef<'_> {
    /// Length of the value as text.
    pub fn len(&self) -> usize {
        match self {
            StringRef::Int(number) => integer_text_bytes(*number),
            StringRef::Bytes(bytes) => bytes.len(),
        }
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The value as text in a buffer of its own.
    pub fn to_vec(&self) -> Vec<u8> {
        match self {
            StringRef::Int(number) => number.to_string().into_bytes(),
            StringRef::Bytes(bytes) => bytes.to_vec(),
        }
    }
}

/// Number of characters of `number` in decimal.
fn integer_text_bytes(number: i64) -> usize {
    let digits = number.unsigned_abs().checked_ilog10().unwrap_or(0) as usize + 1;
    digits + usize::from(number < 0)
}

/// The number of which `text` is the canonical decimal form: no plus sign, no leading zero, no `-0`.
#[inline]
pub fn parse_integer(text: &[u8]) -> Option<i64> {
    let (negative, digits) = match text {
        [] => return None,
        [b'-', digits @ ..] => (true, digits),
        digits => (false, digits),
    };
    match digits {
        [b'0'] => return if negative { None } else { Some(0) },
        [b'1'..=b'9', ..] if text.len() <= INTEGER_TEXT_BYTES_MAX => {}
        _ => return None,
    }
    let mut magnitude: u64 = 0;
    for &digit in digits {
        let digit = digit.wrapping_sub(b'0');
        if digit > 9 {
            return None;
        }
        magnitude = magnitude.checked_mul(10)?.checked_add(digit as u64)?;
    }
    if negative { 0i64.checked_sub_unsigned(magnitude) } else { i64::try_from(magnitude).ok() }
}
