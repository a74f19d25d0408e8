//! A blocking client of RESP2 and RESP3: replies as they came, nothing converted.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

/// How long a reply may take before the test says that the server hangs.
pub const REPLY_TIMEOUT: Duration = Duration::from_secs(20);

/// One reply, with the distinctions of the wire kept: the three nils are three values.
#[derive(Clone, Debug, PartialEq)]
pub enum Reply {
    Simple(Vec<u8>),
    Error(Vec<u8>),
    Integer(i64),
    Bulk(Vec<u8>),
    /// `$-1`
    NullBulk,
    /// `*-1`
    NullArray,
    /// `_`
    Null,
    Array(Vec<Reply>),
    Map(Vec<(Reply, Reply)>),
    Set(Vec<Reply>),
    Push(Vec<Reply>),
    /// The text, because `1.0` and `1` are different answers.
    Double(String),
    Boolean(bool),
    BigNumber(String),
    Verbatim(String, Vec<u8>),
}

#[derive(Debug, PartialEq)]
pub enum ReadError {
    TimedOut,
    Closed,
    Malformed(String),
}

impl Reply {
    /// The reply as the golden scripts write it, one string per line.
    pub fn render(&self) -> Vec<String> {
        match self {
            Reply::Simple(text) => vec![String::from_utf8_lossy(text).into_owned()],
            Reply::Error(text) => vec![format!("(error) {}", String::from_utf8_lossy(text))],
            Reply::Integer(number) => vec![format!("(integer) {number}")],
            Reply::Bulk(bytes) => vec![quote(bytes)],
            Reply::NullBulk => vec!["(nil)".into()],
            Reply::NullArray => vec!["(nil array)".into()],
            Reply::Null => vec!["(null)".into()],
            Reply::Double(text) => vec![format!("(double) {text}")],
            Reply::Boolean(value) => vec![format!("({value})")],
            Reply::BigNumber(text) => vec![format!("(big number) {text}")],
            Reply::Verbatim(kind, bytes) => vec![format!("(verbatim {kind}) {}", quote(bytes))],
            Reply::Array(items) => render_items(items, "array", ')'),
            Reply::Set(items) => render_items(items, "set", '~'),
            Reply::Push(items) => render_items(items, "push", '!'),
            Reply::Map(pairs) => render_map(pairs),
        }
    }

    /// The same reply with its outermost elements in the order of their texts.
    pub fn sorted(&self) -> Reply {
        let by_text = |items: &Vec<Reply>| {
            let mut items = items.clone();
            items.sort_by_key(Reply::render);
            items
        };
        match self {
            Reply::Array(items) => Reply::Array(by_text(items)),
            Reply::Set(items) => Reply::Set(by_text(items)),
            Reply::Map(pairs) => {
                let mut pairs = pairs.clone();
                pairs.sort_by_key(|(key, _)| key.render());
                Reply::Map(pairs)
            }
            other => other.clone(),
        }
    }

    /// The text of a status, error, bulk, verbatim or number.
    pub fn text(&self) -> String {
        match self {
            Reply::Simple(bytes) | Reply::Error(bytes) | Reply::Bulk(bytes) | Reply::Verbatim(_, bytes) => {
                String::from_utf8_lossy(bytes).into_owned()
            }
            Reply::Integer(number) => number.to_string(),
            Reply::Double(text) | Reply::BigNumber(text) => text.clone(),
            other => panic!("{other:?} has no text"),
        }
    }

    pub fn integer(&self) -> i64 {
        match self {
            Reply::Integer(number) => *number,
            other => panic!("expected an integer, not {other:?}"),
        }
    }

    pub fn items(&self) -> &[Reply] {
        match self {
            Reply::Array(items) | Reply::Set(items) | Reply::Push(items) => items,
            other => panic!("expected an array, not {other:?}"),
        }
    }

    pub fn is_error(&self) -> bool {
        matches!(self, Reply::Error(_))
    }

    pub fn ok() -> Reply {
        Reply::Simple(b"OK".to_vec())
    }

    pub fn bulk(bytes: impl AsRef<[u8]>) -> Reply {
        Reply::Bulk(bytes.as_ref().to_vec())
    }
}

fn render_items(items: &[Reply], name: &str, mark: char) -> Vec<String> {
    if items.is_empty() {
        return vec![format!("(empty {name})")];
    }
    let mut lines = Vec::new();
    for (index, item) in items.iter().enumerate() {
        hang(&mut lines, format!("{}{mark} ", index + 1), item);
    }
    lines
}

fn render_map(pairs: &[(Reply, Reply)]) -> Vec<String> {
    if pairs.is_empty() {
        return vec!["(empty map)".into()];
    }
    let mut lines = Vec::new();
    for (index, (key, value)) in pairs.iter().enumerate() {
        let key = key.render().join(" ");
        let single = value.render();
        if single.len() == 1 {
            lines.push(format!("{}# {key} => {}", index + 1, single[0]));
        } else {
            lines.push(format!("{}# {key} =>", index + 1));
            lines.extend(single.into_iter().map(|line| format!("   {line}")));
        }
    }
    lines
}

/// Appends `item` with `mark` before its first line and as much space before the others.
fn hang(lines: &mut Vec<String>, mark: String, item: &Reply) {
    let indent = " ".repeat(mark.len());
    for (index, line) in item.render().into_iter().enumerate() {
        lines.push(format!("{}{line}", if index == 0 { &mark } else { &indent }));
    }
}

/// Bytes between quotes as redis-cli shows them.
pub fn quote(bytes: &[u8]) -> String {
    let mut text = String::from("\"");
    for &byte in bytes {
        match byte {
            b'"' => text.push_str("\\\""),
            b'\\' => text.push_str("\\\\"),
            b'\n' => text.push_str("\\n"),
            b'\r' => text.push_str("\\r"),
            b'\t' => text.push_str("\\t"),
            0x20..=0x7e => text.push(byte as char),
            other => text.push_str(&format!("\\x{other:02x}")),
        }
    }
    text.push('"');
    text
}

/// A command as an array of bulk strings.
pub fn encode<A: AsRef<[u8]>>(arguments: &[A]) -> Vec<u8> {
    let mut bytes = format!("*{}\r\n", arguments.len()).into_bytes();
    for argument in arguments {
        let argument = argument.as_ref();
        bytes.extend_from_slice(format!("${}\r\n", argument.len()).as_bytes());
        bytes.extend_from_slice(argument);
        bytes.extend_from_slice(b"\r\n");
    }
    bytes
}

enum Stream {
    Tcp(TcpStream),
    Unix(UnixStream),
}

pub struct Client {
    stream: Stream,
    received: Vec<u8>,
    /// How much of `received` has been handed out.
    taken: usize,
}

impl Client {
    pub fn connect(port: u16) -> std::io::Result<Client> {
        Client::connect_to(([127, 0, 0, 1], port).into())
    }

    pub fn connect_to(address: std::net::SocketAddr) -> std::io::Result<Client> {
        let stream = TcpStream::connect_timeout(&address, Duration::from_secs(5))?;
        stream.set_nodelay(true)?;
        // Neither side may wait for ever: a server that stops reading is a failure, not a hang.
        stream.set_write_timeout(Some(REPLY_TIMEOUT))?;
        Ok(Client { stream: Stream::Tcp(stream), received: Vec::new(), taken: 0 })
    }

    pub fn connect_unix(path: &Path) -> std::io::Result<Client> {
        let stream = UnixStream::connect(path)?;
        stream.set_write_timeout(Some(REPLY_TIMEOUT))?;
        Ok(Client { stream: Stream::Unix(stream), received: Vec::new(), taken: 0 })
    }

    /// The same connection once more, to send from another thread.
    pub fn second(&self) -> Client {
        let Stream::Tcp(stream) = &self.stream else { panic!("only for TCP") };
        let stream = stream.try_clone().expect("a second handle of the socket");
        Client { stream: Stream::Tcp(stream), received: Vec::new(), taken: 0 }
    }

    /// Splits a line at its spaces and runs it: `run("SET k v")`.
    pub fn run(&mut self, line: &str) -> Reply {
        let words: Vec<&str> = line.split(' ').collect();
        self.command(&words)
    }

    pub fn command<A: AsRef<[u8]>>(&mut self, arguments: &[A]) -> Reply {
        let sent = self.send(&encode(arguments));
        match self.read() {
            Ok(reply) => reply,
            Err(error) => {
                let first = String::from_utf8_lossy(arguments[0].as_ref()).into_owned();
                panic!("{first}: no reply from {}: {error:?} (sending: {sent:?})", self.peer())
            }
        }
    }

    /// Our end of the connection, as the server's CLIENT LIST has it in `addr`.
    pub fn local_address(&self) -> String {
        match &self.stream {
            Stream::Tcp(stream) => stream.local_addr().map_or("none".into(), |address| address.to_string()),
            Stream::Unix(_) => "a unix socket".into(),
        }
    }

    fn peer(&self) -> String {
        match &self.stream {
            Stream::Tcp(stream) => stream.peer_addr().map_or("a lost peer".into(), |peer| peer.to_string()),
            Stream::Unix(_) => "the unix socket".into(),
        }
    }

    pub fn send(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        match &mut self.stream {
            Stream::Tcp(stream) => stream.write_all(bytes),
            Stream::Unix(stream) => stream.write_all(bytes),
        }
    }

    pub fn read(&mut self) -> Result<Reply, ReadError> {
        self.read_within(REPLY_TIMEOUT)
    }

    pub fn read_within(&mut self, limit: Duration) -> Result<Reply, ReadError> {
        let deadline = Instant::now() + limit;
        loop {
            let mut position = self.taken;
            if let Some(reply) = parse(&self.received, &mut position)? {
                self.taken = position;
                if self.taken == self.received.len() {
                    self.received.clear();
                    self.taken = 0;
                }
                return Ok(reply);
            }
            self.fill(deadline)?;
        }
    }

    /// Everything that arrives until the server closes; an open connection at the limit is an error.
    pub fn read_to_close(&mut self, limit: Duration) -> Result<Vec<Reply>, ReadError> {
        let deadline = Instant::now() + limit;
        let mut replies = Vec::new();
        loop {
            match self.read_within(deadline.saturating_duration_since(Instant::now())) {
                Ok(reply) => replies.push(reply),
                Err(ReadError::Closed) => return Ok(replies),
                Err(other) => return Err(other),
            }
        }
    }

    pub fn shut_down_sending(&mut self) {
        // A peer that has closed already makes this fail, which is as good.
        let _ = match &self.stream {
            Stream::Tcp(stream) => stream.shutdown(Shutdown::Write),
            Stream::Unix(stream) => stream.shutdown(Shutdown::Write),
        };
    }

    fn fill(&mut self, deadline: Instant) -> Result<(), ReadError> {
        // A timeout of zero would mean "wait for ever" to the socket.
        let left = deadline.saturating_duration_since(Instant::now()).max(Duration::from_millis(1));
        if self.taken > 1 << 20 {
            self.received.drain(..self.taken);
            self.taken = 0;
        }
        let mut chunk = vec![0; 256 * 1024];
        let outcome = match &mut self.stream {
            Stream::Tcp(stream) => stream.set_read_timeout(Some(left)).and_then(|()| stream.read(&mut chunk)),
            Stream::Unix(stream) => {
                stream.set_read_timeout(Some(left)).and_then(|()| stream.read(&mut chunk))
            }
        };
        match outcome {
            Ok(0) => Err(ReadError::Closed),
            Ok(length) => {
                self.received.extend_from_slice(&chunk[..length]);
                Ok(())
            }
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                if Instant::now() >= deadline {
                    Err(ReadError::TimedOut)
                } else {
                    Ok(())
                }
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => Ok(()),
            Err(_) => Err(ReadError::Closed),
        }
    }
}

/// The reply that begins at `position`, or `None` while a part of it is missing.
pub fn parse(bytes: &[u8], position: &mut usize) -> Result<Option<Reply>, ReadError> {
    let Some(line) = take_line(bytes, position) else { return Ok(None) };
    let Some((&kind, rest)) = line.split_first() else {
        return Err(ReadError::Malformed("an empty line instead of a reply".into()));
    };
    let text = || String::from_utf8_lossy(rest).into_owned();
    let reply = match kind {
        b'+' => Reply::Simple(rest.to_vec()),
        b'-' => Reply::Error(rest.to_vec()),
        b':' => Reply::Integer(number(rest)?),
        b'_' => Reply::Null,
        b',' => Reply::Double(text()),
        b'(' => Reply::BigNumber(text()),
        b'#' => match rest {
            b"t" => Reply::Boolean(true),
            b"f" => Reply::Boolean(false),
            _ => return Err(malformed(line)),
        },
        b'$' | b'=' => match number(rest)? {
            -1 => Reply::NullBulk,
            length if length < 0 => return Err(malformed(line)),
            length => return parse_bulk(bytes, position, kind, length as usize),
        },
        b'*' => match number(rest)? {
            -1 => Reply::NullArray,
            count => match parse_items(bytes, position, count)? {
                Some(items) => Reply::Array(items),
                None => return Ok(None),
            },
        },
        b'~' | b'>' => match parse_items(bytes, position, number(rest)?)? {
            Some(items) if kind == b'~' => Reply::Set(items),
            Some(items) => Reply::Push(items),
            None => return Ok(None),
        },
        b'%' | b'|' => {
            let Some(items) = parse_items(bytes, position, number(rest)? * 2)? else { return Ok(None) };
            if kind == b'|' {
                // An attribute says something about the reply that follows it.
                return parse(bytes, position);
            }
            let mut items = items.into_iter();
            let mut pairs = Vec::new();
            while let (Some(key), Some(value)) = (items.next(), items.next()) {
                pairs.push((key, value));
            }
            Reply::Map(pairs)
        }
        _ => return Err(malformed(line)),
    };
    Ok(Some(reply))
}

fn parse_bulk(
    bytes: &[u8],
    position: &mut usize,
    kind: u8,
    length: usize,
) -> Result<Option<Reply>, ReadError> {
    let start = *position;
    if bytes.len() < start + length + 2 {
        return Ok(None);
    }
    if &bytes[start + length..start + length + 2] != b"\r\n" {
        return Err(ReadError::Malformed("a bulk does not end with CR LF".into()));
    }
    *position = start + length + 2;
    let content = bytes[start..start + length].to_vec();
    if kind == b'$' {
        return Ok(Some(Reply::Bulk(content)));
    }
    if content.len() < 4 || content[3] != b':' {
        return Err(malformed(&content));
    }
    let format = String::from_utf8_lossy(&content[..3]).into_owned();
    Ok(Some(Reply::Verbatim(format, content[4..].to_vec())))
}

fn parse_items(bytes: &[u8], position: &mut usize, count: i64) -> Result<Option<Vec<Reply>>, ReadError> {
    let mut items = Vec::new();
    for _ in 0..count {
        match parse(bytes, position)? {
            Some(item) => items.push(item),
            None => return Ok(None),
        }
    }
    Ok(Some(items))
}

fn take_line<'a>(bytes: &'a [u8], position: &mut usize) -> Option<&'a [u8]> {
    let rest = &bytes[*position..];
    let end = rest.windows(2).position(|pair| pair == b"\r\n")?;
    *position += end + 2;
    Some(&rest[..end])
}

fn number(digits: &[u8]) -> Result<i64, ReadError> {
    std::str::from_utf8(digits).ok().and_then(|text| text.parse().ok()).ok_or_else(|| malformed(digits))
}

fn malformed(line: &[u8]) -> ReadError {
    ReadError::Malformed(quote(line))
}
