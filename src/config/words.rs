//! The grammar of one line: words, quotes and escapes; and the way back, a quoted word.
//!
//! `"…"` knows `\xHH`, `\n`, `\r`, `\t`, `\b`, `\a` and a backslash before any other byte; `'…'` knows
//! only `\'`. Quotes may open within a word but must be followed by white space or the end.

/// The words of a line, or nothing when its quotes do not balance.
pub fn split_words(line: &[u8]) -> Option<Vec<Vec<u8>>> {
    let mut words = Vec::new();
    let mut rest = line.trim_ascii_start();
    while !rest.is_empty() {
        let mut word = Vec::new();
        rest = read_word(rest, &mut word)?.trim_ascii_start();
        words.push(word);
    }
    Some(words)
}

/// Reads one word and returns what follows it.
fn read_word<'line>(mut rest: &'line [u8], word: &mut Vec<u8>) -> Option<&'line [u8]> {
    while let Some((&byte, after)) = rest.split_first() {
        match byte {
            b'"' => return ends_word(read_double_quoted(after, word)?),
            b'\'' => return ends_word(read_single_quoted(after, word)?),
            byte if byte.is_ascii_whitespace() || byte == 0 => return Some(after),
            byte => word.push(byte),
        }
        rest = after;
    }
    Some(rest)
}

fn ends_word(rest: &[u8]) -> Option<&[u8]> {
    match rest.first() {
        Some(byte) if !byte.is_ascii_whitespace() => None,
        _ => Some(rest),
    }
}

fn read_double_quoted<'line>(mut rest: &'line [u8], word: &mut Vec<u8>) -> Option<&'line [u8]> {
    loop {
        match *rest {
            [] => return None,
            [b'"', ..] => return Some(&rest[1..]),
            [b'\\', b'x', high, low, ..] if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => {
                word.push(hex_digit(high) << 4 | hex_digit(low));
                rest = &rest[4..];
            }
            [b'\\', escaped, ..] => {
                word.push(match escaped {
                    b'n' => b'\n',
                    b'r' => b'\r',
                    b't' => b'\t',
                    b'b' => 0x08,
                    b'a' => 0x07,
                    other => other,
                });
                rest = &rest[2..];
            }
            [byte, ..] => {
                word.push(byte);
                rest = &rest[1..];
            }
        }
    }
}

fn read_single_quoted<'line>(mut rest: &'line [u8], word: &mut Vec<u8>) -> Option<&'line [u8]> {
    loop {
        match *rest {
            [] => return None,
            [b'\'', ..] => return Some(&rest[1..]),
            [b'\\', b'\'', ..] => {
                word.push(b'\'');
                rest = &rest[2..];
            }
            [byte, ..] => {
                word.push(byte);
                rest = &rest[1..];
            }
        }
    }
}

fn hex_digit(byte: u8) -> u8 {
    match byte {
        b'0'..=b'9' => byte - b'0',
        _ => byte.to_ascii_lowercase() - b'a' + 10,
    }
}

/// The word in double quotes, such that [`split_words`] reads it back.
pub fn quote(word: &[u8]) -> Vec<u8> {
    let mut quoted = Vec::with_capacity(word.len() + 2);
    quoted.push(b'"');
    for &byte in word {
        match byte {
            b'\\' | b'"' => quoted.extend([b'\\', byte]),
            b'\n' => quoted.extend(b"\\n"),
            b'\r' => quoted.extend(b"\\r"),
            b'\t' => quoted.extend(b"\\t"),
            0x07 => quoted.extend(b"\\a"),
            0x08 => quoted.extend(b"\\b"),
            b' '..=b'~' => quoted.push(byte),
            other => quoted.extend(format!("\\x{other:02x}").bytes()),
        }
    }
    quoted.push(b'"');
    quoted
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn split(line: &str) -> Option<Vec<String>> {
        let words = split_words(line.as_bytes())?;
        Some(words.into_iter().map(|word| String::from_utf8(word).unwrap()).collect())
    }

    #[test]
    fn plain_and_quoted_words() {
        assert_eq!(split("  a \t b\r\n").unwrap(), ["a", "b"]);
        assert_eq!(split(r#"save "" 'x y' z"w v""#).unwrap(), ["save", "", "x y", "zw v"]);
        assert_eq!(split(r#""\x41\n\"\\\q" '\n\''"#).unwrap(), ["A\n\"\\q", "\\n'"]);
        assert_eq!(split("").unwrap(), [""; 0]);
    }

    #[test]
    fn unbalanced_quotes() {
        for line in ["\"abc", "'abc", "\"abc\"x", "'a'b", "\"a\\\"", "x\"y\"z"] {
            assert_eq!(split(line), None, "{line}");
        }
    }

    proptest! {
        #[test]
        fn a_quoted_word_reads_back(words in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..12), 0..4)) {
            let line = words.iter().map(|word| quote(word)).collect::<Vec<_>>().join(&b' ');
            prop_assert_eq!(split_words(&line), Some(words));
        }

        #[test]
        fn any_bytes_are_safe(line in prop::collection::vec(any::<u8>(), 0..40)) {
            split_words(&line);
        }
    }
}
