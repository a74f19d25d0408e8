//! Reading commands: RESP arrays of bulk strings, and inline commands.
//!
//! [`parse`] reads one command from a buffer and can stop anywhere: what it knows so far is a small
//! [`Progress`] that goes on when more bytes have come, so a command of a million arguments that arrives
//! in a thousand pieces is looked at once. Nothing is copied; arguments are spans of the buffer. Only
//! quoted inline arguments, which need unescaping, become vectors of their own.

use crate::error::ProtocolError;
use crate::resp::Span;
use crate::resp::number::parse_integer;

/// A line (an inline command, a count, a length) may be this long.
const LINE_BYTES_MAX: usize = 64 * 1024;
/// No argument is longer, whatever the configuration allows: lengths are kept in 32 bits, of which batches use
/// one for themselves.
pub const BULK_BYTES_MAX: usize = i32::MAX as usize;
/// What a client may send before it has authenticated.
const UNAUTHENTICATED_ARGUMENTS_MAX: i64 = 10;
const UNAUTHENTICATED_BULK_BYTES_MAX: i64 = 16 * 1024;

/// What a connection may send.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// `proto-max-bulk-len`.
    pub bulk_bytes_max: usize,
    /// The narrow limits for clients that have yet to authenticate.
    pub authenticated: bool,
}

/// How far the reading of a command has come; all zero between commands.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Progress {
    /// Where reading goes on, in the buffer.
    pub position: usize,
    /// Arguments that are yet to come.
    pub missing: u32,
    /// The length of the bulk that comes next, if its header has been read.
    pub bulk: Option<u32>,
}

impl Progress {
    /// At the beginning of a command at `position`.
    #[inline(always)]
    pub fn at(position: usize) -> Self {
        Progress { position, missing: 0, bulk: None }
    }
}

/// Goes on reading a command from `data`, appending the spans of its arguments. `true`: the command is
/// complete (with no argument at all if the client sent an empty one) and `progress.position` is its end.
#[inline]
pub fn parse(
    data: &[u8],
    progress: &mut Progress,
    spans: &mut Vec<Span>,
    owned: &mut Vec<Vec<u8>>,
    limits: Limits,
) -> Result<bool, ProtocolError> {
    if progress.missing == 0 {
        let Some(&first) = data.get(progress.position) else { return Ok(false) };
        if first != b'*' {
            return inline(data, progress, spans, owned);
        }
        match length_line(data, progress.position + 1) {
            Line::Value(count, next) => {
                if !(0..=i32::MAX as i64).contains(&count) && count != -1 {
                    // Any count below one is an empty command, as far as it is a number at all.
                    if count > 0 {
                        return Err(ProtocolError::InvalidMultibulkLength);
                    }
                }
                if count > UNAUTHENTICATED_ARGUMENTS_MAX && !limits.authenticated {
                    return Err(ProtocolError::UnauthenticatedMultibulkLength);
                }
                progress.position = next;
                if count <= 0 {
                    return Ok(true);
                }
                progress.missing = count as u32;
            }
            Line::Incomplete => return Ok(false),
            Line::TooLong => return Err(ProtocolError::TooBigCountString),
            Line::Invalid => return Err(ProtocolError::InvalidMultibulkLength),
        }
    }
    while progress.missing > 0 {
        let length = match progress.bulk {
            Some(length) => length as usize,
            None => match bulk_header(data, progress.position, limits)? {
                Some((length, next)) => {
                    progress.position = next;
                    progress.bulk = Some(length as u32);
                    length
                }
                None => return Ok(false),
            },
        };
        if data.len() - progress.position < length + 2 {
            return Ok(false);
        }
        spans.push(Span::new(progress.position, length));
        progress.position += length + 2;
        progress.bulk = None;
        progress.missing -= 1;
    }
    Ok(true)
}

#[inline(always)]
fn bulk_header(
    data: &[u8],
    position: usize,
    limits: Limits,
) -> Result<Option<(usize, usize)>, ProtocolError> {
    match data.get(position) {
        None => return Ok(None),
        Some(b'$') => {}
        Some(&other) => return not_a_bulk(data, position, other),
    }
    match length_line(data, position + 1) {
        Line::Incomplete => Ok(None),
        Line::TooLong => Err(ProtocolError::TooBigBulkCountString),
        Line::Value(length, next) if length >= 0 && length as u64 <= limits.bulk_bytes_max as u64 => {
            if length > UNAUTHENTICATED_BULK_BYTES_MAX && !limits.authenticated {
                return Err(ProtocolError::UnauthenticatedBulkLength);
            }
            Ok(Some((length as usize, next)))
        }
        _ => Err(ProtocolError::InvalidBulkLength),
    }
}

/// The line is complete before its first byte is judged, as in Redis.
#[cold]
fn not_a_bulk(data: &[u8], position: usize, first: u8) -> Result<Option<(usize, usize)>, ProtocolError> {
    let rest = &data[position..];
    match rest.iter().position(|&byte| byte == b'\r') {
        end if end.unwrap_or(rest.len()) > LINE_BYTES_MAX => Err(ProtocolError::TooBigBulkCountString),
        Some(end) if end + 2 <= rest.len() => Err(ProtocolError::ExpectedDollar(first)),
        _ => Ok(None),
    }
}

enum Line {
    /// The number on the line, and where the next line begins.
    Value(i64, usize),
    Incomplete,
    TooLong,
    Invalid,
}

/// Reads a number that ends with CR LF.
#[inline(always)]
fn length_line(data: &[u8], start: usize) -> Line {
    // Almost every length has one or two digits.
    if let Some(&[first, second, third, fourth]) =
        data.get(start..start + 4).and_then(|four| four.first_chunk())
    {
        let (high, low) = (first.wrapping_sub(b'0'), second.wrapping_sub(b'0'));
        if second == b'\r' && high <= 9 {
            return Line::Value(high as i64, start + 3);
        }
        if third == b'\r' && fourth == b'\n' && (1..=9).contains(&high) && low <= 9 {
            return Line::Value((high * 10 + low) as i64, start + 4);
        }
    }
    length_line_slow(data, start)
}

#[cold]
fn length_line_slow(data: &[u8], start: usize) -> Line {
    let rest = &data[start.min(data.len())..];
    let end = rest.iter().position(|&byte| byte == b'\r');
    // Whether the line's end has come does not matter, or the answer would depend on how it was cut.
    if end.unwrap_or(rest.len()) > LINE_BYTES_MAX {
        return Line::TooLong;
    }
    let Some(end) = end else { return Line::Incomplete };
    if end + 2 > rest.len() {
        return Line::Incomplete;
    }
    match parse_integer(&rest[..end]) {
        Some(value) => Line::Value(value, start + end + 2),
        None => Line::Invalid,
    }
}

/// Reads a command that a person typed: words on a line, quoted where needed.
#[cold]
fn inline(
    data: &[u8],
    progress: &mut Progress,
    spans: &mut Vec<Span>,
    owned: &mut Vec<Vec<u8>>,
) -> Result<bool, ProtocolError> {
    let start = progress.position;
    let length = data[start..].iter().position(|&byte| byte == b'\n');
    if length.unwrap_or(data.len() - start) > LINE_BYTES_MAX {
        return Err(ProtocolError::TooBigInlineRequest);
    }
    let Some(length) = length else { return Ok(false) };
    let mut line = &data[start..start + length];
    if let [rest @ .., b'\r'] = line {
        line = rest;
    }
    let mut position = 0;
    while let Some(skipped) = line[position..].iter().position(|byte| !is_space(*byte)) {
        position += skipped;
        let rest = &line[position..];
        let word = rest.iter().position(|&byte| is_space(byte) || byte == b'"' || byte == b'\'');
        let plain = word.unwrap_or(rest.len());
        if plain == rest.len() || is_space(rest[plain]) {
            spans.push(Span::new(start + position, plain));
            position += plain;
        } else {
            let (bytes, used) = quoted_word(rest).ok_or(ProtocolError::UnbalancedQuotes)?;
            spans.push(Span::owned(owned.len()));
            owned.push(bytes);
            position += used;
        }
    }
    progress.position = start + length + 1;
    Ok(true)
}

fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r' | 0x0b | 0x0c)
}

/// Unescapes the word that `line` begins with; how many bytes of the line it took. A closing quote must
/// end the word.
fn quoted_word(line: &[u8]) -> Option<(Vec<u8>, usize)> {
    let mut bytes = Vec::new();
    let mut position = 0;
    while position < line.len() && !is_space(line[position]) {
        match line[position] {
            quote @ (b'"' | b'\'') => {
                position += 1;
                loop {
                    match *line.get(position)? {
                        byte if byte == quote => break,
                        b'\\' if quote == b'"' => position += escape(&line[position..], &mut bytes)?,
                        b'\\' if line.get(position + 1) == Some(&b'\'') => {
                            bytes.push(b'\'');
                            position += 2;
                        }
                        byte => {
                            bytes.push(byte);
                            position += 1;
                        }
                    }
                }
                position += 1;
                if line.get(position).is_some_and(|&byte| !is_space(byte)) {
                    return None;
                }
            }
            byte => {
                bytes.push(byte);
                position += 1;
            }
        }
    }
    Some((bytes, position))
}

/// One escape sequence inside double quotes; how many bytes it took.
fn escape(text: &[u8], bytes: &mut Vec<u8>) -> Option<usize> {
    if let [_, b'x', high, low, ..] = text {
        let digit = |byte: u8| (byte as char).to_digit(16);
        if let (Some(high), Some(low)) = (digit(*high), digit(*low)) {
            bytes.push((high * 16 + low) as u8);
            return Some(4);
        }
    }
    bytes.push(match *text.get(1)? {
        b'n' => b'\n',
        b'r' => b'\r',
        b't' => b'\t',
        b'b' => 8,
        b'a' => 7,
        other => other,
    });
    Some(2)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resp::Args;

    const LIMITS: Limits = Limits { bulk_bytes_max: 512 << 20, authenticated: true };

    fn words(data: &[u8]) -> Result<Option<Vec<Vec<u8>>>, ProtocolError> {
        let (mut spans, mut owned) = (Vec::new(), Vec::new());
        let mut progress = Progress::default();
        let complete = parse(data, &mut progress, &mut spans, &mut owned, LIMITS)?;
        let args = Args::new(data, &spans, &mut owned);
        Ok(complete.then(|| args.iter().map(<[u8]>::to_vec).collect()))
    }

    #[test]
    fn arrays_and_inline_commands() {
        assert_eq!(
            words(b"*2\r\n$3\r\nGET\r\n$1\r\nk\r\n").unwrap().unwrap(),
            [b"GET".to_vec(), b"k".to_vec()]
        );
        assert_eq!(
            words(b"  SET k  \"a\\x41\\n\" 'it\\'s'\r\n").unwrap().unwrap(),
            [b"SET".to_vec(), b"k".to_vec(), b"aA\n".to_vec(), b"it's".to_vec()]
        );
        assert_eq!(words(b"*0\r\n").unwrap().unwrap(), Vec::<Vec<u8>>::new());
        assert_eq!(words(b"\r\n").unwrap().unwrap(), Vec::<Vec<u8>>::new());
        assert_eq!(words(b"*-5\r\n").unwrap().unwrap(), Vec::<Vec<u8>>::new());
    }

    #[test]
    fn what_is_wrong_is_named() {
        assert_eq!(words(b"*x\r\n"), Err(ProtocolError::InvalidMultibulkLength));
        assert_eq!(words(b"*99999999999\r\n"), Err(ProtocolError::InvalidMultibulkLength));
        assert_eq!(words(b"*1\r\n:1\r\n"), Err(ProtocolError::ExpectedDollar(b':')));
        assert_eq!(words(b"*1\r\n$-1\r\n"), Err(ProtocolError::InvalidBulkLength));
        assert_eq!(words(b"*1\r\n$536870913\r\n"), Err(ProtocolError::InvalidBulkLength));
        assert_eq!(words(b"SET \"a\r\n"), Err(ProtocolError::UnbalancedQuotes));
        assert_eq!(words(b"SET \"a\"b\r\n"), Err(ProtocolError::UnbalancedQuotes));
        assert_eq!(words(&vec![b'a'; 70_000]), Err(ProtocolError::TooBigInlineRequest));
        assert_eq!(
            words(&[b"*".to_vec(), vec![b'1'; 70_000]].concat()),
            Err(ProtocolError::TooBigCountString)
        );
    }

    #[test]
    fn a_command_cut_anywhere_is_read_as_a_whole() {
        let data = b"*3\r\n$3\r\nSET\r\n$10\r\n0123456789\r\n$0\r\n\r\n";
        for cut in 0..data.len() {
            let (mut spans, mut owned) = (Vec::new(), Vec::new());
            let mut progress = Progress::default();
            let first = parse(&data[..cut], &mut progress, &mut spans, &mut owned, LIMITS);
            assert_eq!(first, Ok(false), "cut at {cut}");
            assert_eq!(parse(data, &mut progress, &mut spans, &mut owned, LIMITS), Ok(true), "cut at {cut}");
            assert_eq!(progress.position, data.len());
            assert_eq!(spans.len(), 3);
        }
    }
}
