//! Finds the ends of replies in a byte stream that is cut anywhere, without building the replies.
//!
//! ```text
//!   line "+OK"          ─► one value
//!   line "$32"          ─► skip 34 bytes ─► one value
//!   line "*2"           ─► two more values are due before the reply ends
//! ```
//!
//! Nested replies need no stack: what counts is how many values are still due, and an aggregate adds its
//! elements to that. RESP2 and RESP3; pushes are skipped, attributes belong to the reply they precede.

/// As much of a line is kept as tells types, lengths and the beginning of an error.
const LINE_BYTES_MAX: usize = 120;

/// What a whole reply was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Head {
    /// A simple string.
    Status,
    /// The text is in [`Scanner::error_text`].
    Error,
    Integer,
    /// A string of so many bytes.
    Bulk(u64),
    Null,
    /// An array, map or set of so many elements; keys and values of a map count both.
    Aggregate(u64),
    /// A double, boolean or big number.
    Other,
}

/// What stood inside aggregates.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Inside {
    pub errors: u64,
    pub nulls: u64,
}

/// The bytes are no RESP.
#[derive(Debug, PartialEq, Eq)]
pub struct Garbage(pub String);

#[derive(Debug, Default)]
pub struct Scanner {
    line: Vec<u8>,
    /// Bytes of a string, with the line end behind it, that are still to come.
    skip_bytes: u64,
    /// Values still due in the current reply; 0 between replies.
    due: u64,
    /// What the current reply is, once its first line is there.
    head: Option<Head>,
    /// The current values belong to a push, which is no reply.
    push: bool,
    /// Pushes are told as if they were replies: to a subscriber they are what it waits for.
    takes_pushes: bool,
    inside: Inside,
    error_text: String,
}

impl Scanner {
    /// Whether the next byte begins a reply.
    #[inline]
    pub fn is_between_replies(&self) -> bool {
        self.due == 0 && self.skip_bytes == 0 && self.line.is_empty()
    }

    /// The text of the last error reply, from its beginning.
    pub fn error_text(&self) -> &str {
        &self.error_text
    }

    /// One that tells pushes, too.
    pub fn taking_pushes() -> Scanner {
        Scanner { takes_pushes: true, ..Scanner::default() }
    }

    /// Takes the next bytes of the stream and tells every reply that ends in them, with what stood inside.
    pub fn scan(&mut self, mut bytes: &[u8], mut on_reply: impl FnMut(Head, Inside)) -> Result<(), Garbage> {
        while !bytes.is_empty() {
            if self.skip_bytes > 0 {
                let skipped = self.skip_bytes.min(bytes.len() as u64);
                self.skip_bytes -= skipped;
                bytes = &bytes[skipped as usize..];
                if self.skip_bytes == 0 {
                    self.value_ended(&mut on_reply);
                }
                continue;
            }
            let end = bytes.iter().position(|&byte| byte == b'\n');
            let part = &bytes[..end.unwrap_or(bytes.len())];
            let room = LINE_BYTES_MAX - self.line.len();
            self.line.extend_from_slice(&part[..part.len().min(room)]);
            let Some(end) = end else { return Ok(()) };
            bytes = &bytes[end + 1..];
            self.line_ended()?;
            if self.skip_bytes == 0 {
                self.value_ended(&mut on_reply);
            }
        }
        Ok(())
    }

    /// Interprets a line: a value of its own, the length of a string, or the size of an aggregate.
    fn line_ended(&mut self) -> Result<(), Garbage> {
        let line = std::mem::take(&mut self.line);
        let (&kind, text) = line.split_first().ok_or_else(|| Garbage("an empty line".into()))?;
        let text = text.strip_suffix(b"\r").unwrap_or(text);
        let top = self.due == 0;
        self.due += u64::from(top);
        let number = || -> Result<i64, Garbage> {
            std::str::from_utf8(text)
                .ok()
                .and_then(|text| text.parse().ok())
                .filter(|&number: &i64| (-1..=u32::MAX as i64).contains(&number))
                .ok_or_else(|| Garbage(String::from_utf8_lossy(&line).into_owned()))
        };
        let head = match kind {
            b'+' => Head::Status,
            b':' => Head::Integer,
            b'_' => Head::Null,
            b'#' | b',' | b'(' => Head::Other,
            b'-' => {
                self.error_text = String::from_utf8_lossy(text).into_owned();
                Head::Error
            }
            b'$' | b'=' | b'!' => match number()? {
                -1 => Head::Null,
                length => {
                    self.skip_bytes = length as u64 + 2;
                    if kind == b'!' { Head::Error } else { Head::Bulk(length as u64) }
                }
            },
            b'*' | b'~' | b'>' | b'%' | b'|' => {
                let count = number()?.max(0) as u64;
                self.due += match kind {
                    b'%' => 2 * count,
                    // The value that it describes follows.
                    b'|' => 2 * count + 1,
                    _ => count,
                };
                self.push |= top && kind == b'>';
                match kind {
                    _ if text == b"-1" => Head::Null,
                    b'%' => Head::Aggregate(2 * count),
                    _ => Head::Aggregate(count),
                }
            }
            _ => return Err(Garbage(String::from_utf8_lossy(&line).into_owned())),
        };
        match head {
            _ if top => self.head = Some(head),
            Head::Error => self.inside.errors += 1,
            Head::Null => self.inside.nulls += 1,
            _ => {}
        }
        // The memory of the line serves the next one.
        self.line = line;
        self.line.clear();
        Ok(())
    }

    #[inline]
    fn value_ended(&mut self, on_reply: &mut impl FnMut(Head, Inside)) {
        self.due -= 1;
        if self.due > 0 {
            return;
        }
        let push = std::mem::take(&mut self.push);
        let inside = std::mem::take(&mut self.inside);
        if let Some(head) = self.head.take()
            && (!push || self.takes_pushes)
        {
            on_reply(head, inside);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heads(pieces: &[&[u8]]) -> Vec<Head> {
        let mut scanner = Scanner::default();
        let mut heads = Vec::new();
        for piece in pieces {
            scanner.scan(piece, |head, _| heads.push(head)).unwrap();
        }
        assert!(scanner.is_between_replies());
        heads
    }

    const STREAM: &[u8] = b"+OK\r\n-ERR no\r\n:12\r\n$5\r\nhe\nlo\r\n$-1\r\n*-1\r\n*0\r\n$0\r\n\r\n\
        *2\r\n*2\r\n:1\r\n$1\r\na\r\n+x\r\n%1\r\n+k\r\n_\r\n>2\r\n+push\r\n:1\r\n#t\r\n,1.5\r\n\
        |1\r\n+ttl\r\n:3\r\n:4\r\n=7\r\ntxt:abc\r\n~1\r\n(123\r\n";

    #[test]
    fn every_split_gives_the_same_replies() {
        let whole = heads(&[STREAM]);
        assert_eq!(
            whole,
            [
                Head::Status,
                Head::Error,
                Head::Integer,
                Head::Bulk(5),
                Head::Null,
                Head::Null,
                Head::Aggregate(0),
                Head::Bulk(0),
                Head::Aggregate(2),
                Head::Aggregate(2),
                Head::Other,
                Head::Other,
                Head::Aggregate(1),
                Head::Bulk(7),
                Head::Aggregate(1),
            ]
        );
        for first in 0..STREAM.len() {
            for second in first..STREAM.len() {
                let pieces = [&STREAM[..first], &STREAM[first..second], &STREAM[second..]];
                assert_eq!(heads(&pieces), whole, "cut at {first} and {second}");
            }
        }
        let bytes: Vec<&[u8]> = STREAM.chunks(1).collect();
        assert_eq!(heads(&bytes), whole);
    }

    #[test]
    fn errors_keep_their_text() {
        let mut scanner = Scanner::default();
        scanner.scan(b"-WRONGTYPE Operation\r\n", |_, _| {}).unwrap();
        assert_eq!(scanner.error_text(), "WRONGTYPE Operation");
        let long = format!("-{}\r\n", "x".repeat(10_000));
        let mut replies = 0;
        scanner.scan(long.as_bytes(), |_, _| replies += 1).unwrap();
        assert_eq!(replies, 1);
        assert_eq!(scanner.error_text().len(), LINE_BYTES_MAX - 1);
    }

    #[test]
    fn what_stands_inside_is_counted() {
        let stream = b"*4\r\n:1\r\n-ERR inner\r\n*2\r\n$-1\r\n*-1\r\n_\r\n-ERR outer\r\n$-1\r\n*-1\r\n";
        for piece_bytes in [1, 3, stream.len()] {
            let mut scanner = Scanner::default();
            let mut replies = Vec::new();
            for piece in stream.chunks(piece_bytes) {
                scanner.scan(piece, |head, inside| replies.push((head, inside))).unwrap();
            }
            let none = Inside::default();
            assert_eq!(
                replies,
                [
                    (Head::Aggregate(4), Inside { errors: 1, nulls: 3 }),
                    (Head::Error, none),
                    (Head::Null, none),
                    (Head::Null, none)
                ]
            );
        }
    }

    #[test]
    fn pushes_are_told_to_those_who_want_them() {
        let stream = b">3\r\n+message\r\n+channel\r\n$1\r\nx\r\n+OK\r\n";
        for (mut scanner, wanted) in [(Scanner::default(), 1), (Scanner::taking_pushes(), 2)] {
            let mut replies = 0;
            scanner.scan(stream, |_, _| replies += 1).unwrap();
            assert_eq!(replies, wanted);
        }
    }

    #[test]
    fn garbage_is_told() {
        for garbage in [&b"hello\r\n"[..], b"$x\r\n", b"*-7\r\n", b"\n", b"$99999999999\r\n"] {
            assert!(Scanner::default().scan(garbage, |_, _| {}).is_err(), "{garbage:?}");
        }
    }
}
