//! Walking over encoded replies without decoding them.

use super::number::parse_integer;

/// Where the reply that begins at `start` ends, nested elements included; `None` if it is not whole.
pub fn end_of_reply(bytes: &[u8], start: usize) -> Option<usize> {
    let mut position = start;
    // Elements that are still to come; nesting needs no stack, only their number.
    let mut missing: u64 = 1;
    while missing > 0 {
        let (kind, count, next) = header(bytes, position)?;
        position = next;
        missing -= 1;
        match kind {
            b'$' | b'=' | b'!' if count >= 0 => position += count as usize + 2,
            b'*' | b'~' | b'>' if count > 0 => missing += count as u64,
            b'%' | b'|' if count > 0 => missing += count as u64 * 2,
            _ => {}
        }
    }
    (position <= bytes.len()).then_some(position)
}

/// The first line of a reply: its kind, the number on it (0 if it has none) and where the next line begins.
pub fn header(bytes: &[u8], start: usize) -> Option<(u8, i64, usize)> {
    let kind = *bytes.get(start)?;
    let length = bytes[start + 1..].iter().position(|&byte| byte == b'\r')?;
    let end = start + 1 + length;
    let count = match kind {
        b'$' | b'=' | b'!' | b'*' | b'~' | b'>' | b'%' | b'|' | b':' => {
            parse_integer(&bytes[start + 1..end]).unwrap_or(0)
        }
        _ => 0,
    };
    Some((kind, count, end + 2))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replies_of_all_kinds_are_walked_over() {
        for reply in [
            "+OK\r\n",
            "-ERR no\r\n",
            ":12\r\n",
            "$-1\r\n",
            "$0\r\n\r\n",
            "$3\r\na\r\n\r\n",
            "*-1\r\n",
            "*0\r\n",
            "*2\r\n:1\r\n*1\r\n$1\r\nx\r\n",
            "%1\r\n+a\r\n~2\r\n:1\r\n:2\r\n",
            "_\r\n",
            ",1.5\r\n",
            "#t\r\n",
            "=5\r\ntxt:a\r\n",
        ] {
            let bytes = [reply.as_bytes(), b"+next\r\n"].concat();
            assert_eq!(end_of_reply(&bytes, 0), Some(reply.len()), "{reply:?}");
            assert_eq!(end_of_reply(&bytes[..reply.len() - 1], 0).filter(|&end| end < reply.len()), None);
        }
    }
}
