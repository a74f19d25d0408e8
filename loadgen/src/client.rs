//! A plain blocking connection: for the handshake, for questions to the server and for preloading.

use std::io::{self, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::Duration;

use crate::scan::{Head, Scanner};
use crate::tls::{Session, Tls};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
const REPLY_TIMEOUT: Duration = Duration::from_secs(30);
const READ_BYTES: usize = 16 * 1024;

/// Where a server listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Address {
    Tcp { host: String, port: u16 },
    Unix(PathBuf),
}

impl std::fmt::Display for Address {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Address::Tcp { host, port } => write!(formatter, "{host}:{port}"),
            Address::Unix(path) => write!(formatter, "{}", path.display()),
        }
    }
}

/// What a new connection says first.
#[derive(Debug, Clone, Default)]
pub struct Handshake {
    pub user: Option<String>,
    pub password: Option<String>,
    pub database: u32,
    /// Speaks RESP3.
    pub resp3: bool,
    /// Before anything else.
    pub tls: Option<Tls>,
}

/// Connects for the load, at its begin and again and again.
#[derive(Debug, Clone)]
pub struct Dialer {
    pub nodes: Vec<Address>,
    pub handshake: Handshake,
}

impl Dialer {
    /// A link to this node.
    pub fn dial(&self, node: usize) -> io::Result<Link> {
        Client::connect(&self.nodes[node], &self.handshake)?.into_link()
    }
}

/// A connection that has said what comes first, ready for an engine.
#[derive(Debug)]
pub struct Link {
    pub socket: OwnedFd,
    /// `None`: what is sent travels as it is.
    pub session: Option<Session>,
}

enum Stream {
    Tcp(TcpStream),
    Unix(UnixStream),
}

impl Stream {
    fn connect(address: &Address) -> io::Result<Stream> {
        match address {
            Address::Unix(path) => Ok(Stream::Unix(UnixStream::connect(path)?)),
            Address::Tcp { host, port } => {
                let mut last = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
                for address in (host.as_str(), *port).to_socket_addrs()? {
                    match TcpStream::connect_timeout(&address, CONNECT_TIMEOUT) {
                        Ok(stream) => {
                            stream.set_nodelay(true)?;
                            return Ok(Stream::Tcp(stream));
                        }
                        Err(error) => last = error,
                    }
                }
                Err(last)
            }
        }
    }

    fn set_timeouts(&self, timeout: Duration) -> io::Result<()> {
        match self {
            Stream::Tcp(stream) => stream.set_read_timeout(Some(timeout)),
            Stream::Unix(stream) => stream.set_read_timeout(Some(timeout)),
        }
    }

    fn into_socket(self) -> io::Result<OwnedFd> {
        match self {
            Stream::Tcp(stream) => {
                stream.set_nonblocking(true)?;
                Ok(stream.into())
            }
            Stream::Unix(stream) => {
                stream.set_nonblocking(true)?;
                Ok(stream.into())
            }
        }
    }
}

impl Read for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Stream::Tcp(stream) => stream.read(buffer),
            Stream::Unix(stream) => stream.read(buffer),
        }
    }
}

impl Write for Stream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Stream::Tcp(stream) => stream.write(bytes),
            Stream::Unix(stream) => stream.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A reply as a tree: questions that are asked once get one, and what is verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    Text(String),
    Integer(i64),
    Null,
    /// An error reply.
    Error(String),
    Array(Vec<Value>),
}

/// A command as it travels.
pub fn encode(words: &[&str]) -> String {
    let mut text = format!("*{}\r\n", words.len());
    for word in words {
        text.push_str(&format!("${}\r\n{word}\r\n", word.len()));
    }
    text
}

pub struct Client {
    stream: Stream,
    session: Option<Session>,
    /// Received bytes that no reply has used yet.
    input: Vec<u8>,
}

impl Client {
    /// Connects and does the handshake.
    pub fn connect(address: &Address, handshake: &Handshake) -> io::Result<Client> {
        let mut stream = Stream::connect(address)?;
        let session = match (&handshake.tls, address) {
            (Some(tls), Address::Tcp { host, .. }) => {
                stream.set_timeouts(CONNECT_TIMEOUT)?;
                Some(Session::begin(tls, host, &mut stream)?)
            }
            // No server speaks TLS on a unix socket.
            _ => None,
        };
        stream.set_timeouts(REPLY_TIMEOUT)?;
        let mut client = Client { stream, session, input: Vec::new() };
        if handshake.resp3 {
            let user = handshake.user.as_deref().unwrap_or("default");
            match &handshake.password {
                Some(password) => client.ask(&["HELLO", "3", "AUTH", user, password])?,
                None => client.ask(&["HELLO", "3"])?,
            };
        } else if let Some(password) = &handshake.password {
            match &handshake.user {
                Some(user) => client.ask(&["AUTH", user, password])?,
                None => client.ask(&["AUTH", password])?,
            };
        }
        if handshake.database != 0 {
            client.ask(&["SELECT", &handshake.database.to_string()])?;
        }
        Ok(client)
    }

    /// Sends a command and waits for its reply; an error reply is an error.
    pub fn ask(&mut self, words: &[&str]) -> io::Result<Value> {
        self.send(encode(words).as_bytes())?;
        match self.receive()? {
            Value::Error(text) => Err(io::Error::other(text)),
            value => Ok(value),
        }
    }

    /// Sends bytes that are whole commands.
    pub fn send(&mut self, commands: &[u8]) -> io::Result<()> {
        match &mut self.session {
            None => self.stream.write_all(commands),
            Some(session) => {
                let mut records = Vec::new();
                session.seal_into(commands, &mut records)?;
                self.stream.write_all(&records)
            }
        }
    }

    /// Waits for the next reply, or for what comes unasked, such as a message of a channel.
    pub fn receive(&mut self) -> io::Result<Value> {
        self.read_value(0)
    }

    /// How long a reply may take, from now on.
    pub fn set_reply_timeout(&self, timeout: Duration) -> io::Result<()> {
        self.stream.set_timeouts(timeout)
    }

    /// Sends whole commands and waits for `replies` replies, each of which must not be an error.
    pub fn send_and_check(&mut self, commands: &[u8], replies: usize) -> io::Result<()> {
        self.send(commands)?;
        let mut scanner = Scanner::default();
        let (mut due, mut failed) = (replies, false);
        while due > 0 {
            if self.input.is_empty() {
                self.fill()?;
            }
            let scanned = scanner.scan(&self.input, |head, _| {
                due = due.saturating_sub(1);
                failed |= head == Head::Error;
            });
            self.input.clear();
            scanned.map_err(|garbage| io::Error::new(io::ErrorKind::InvalidData, garbage.0))?;
            if failed {
                return Err(io::Error::other(scanner.error_text().to_string()));
            }
        }
        Ok(())
    }

    /// What an engine goes on with.
    pub fn into_link(self) -> io::Result<Link> {
        Ok(Link { socket: self.stream.into_socket()?, session: self.session })
    }

    fn read_value(&mut self, depth: usize) -> io::Result<Value> {
        const DEPTH_MAX: usize = 16;
        let garbage = |line: &str| io::Error::new(io::ErrorKind::InvalidData, format!("no RESP: '{line}'"));
        let line = self.read_line()?;
        if depth > DEPTH_MAX || !line.is_char_boundary(1) || line.is_empty() {
            return Err(garbage(&line));
        }
        let (kind, text) = line.split_at(1);
        let number = || text.parse::<i64>().map_err(|_| garbage(&line));
        match kind {
            "+" => Ok(Value::Text(text.into())),
            "-" => Ok(Value::Error(text.into())),
            ":" => Ok(Value::Integer(number()?)),
            "_" => Ok(Value::Null),
            "$" | "*" if number()? < 0 => Ok(Value::Null),
            "$" => {
                let bytes = self.read_bytes(number()? as usize)?;
                Ok(Value::Text(String::from_utf8_lossy(&bytes).into_owned()))
            }
            "," | "#" | "(" => Ok(Value::Text(text.into())),
            // A map's keys and values one behind the other, as RESP2 has them.
            "*" | "~" | "%" => (0..number()? * if kind == "%" { 2 } else { 1 })
                .map(|_| self.read_value(depth + 1))
                .collect::<io::Result<_>>()
                .map(Value::Array),
            _ => Err(garbage(&line)),
        }
    }

    fn read_line(&mut self) -> io::Result<String> {
        loop {
            if let Some(end) = self.input.iter().position(|&byte| byte == b'\n') {
                let line: Vec<u8> = self.input.drain(..=end).collect();
                return Ok(String::from_utf8_lossy(line.trim_ascii_end()).into_owned());
            }
            self.fill()?;
        }
    }

    fn read_bytes(&mut self, length: usize) -> io::Result<Vec<u8>> {
        while self.input.len() < length + 2 {
            self.fill()?;
        }
        let bytes = self.input.drain(..length).collect();
        self.input.drain(..2);
        Ok(bytes)
    }

    /// Receives at least a byte.
    fn fill(&mut self) -> io::Result<()> {
        let mut buffer = [0; READ_BYTES];
        let before = self.input.len();
        while self.input.len() == before {
            let count = match self.stream.read(&mut buffer) {
                Ok(0) => {
                    let text = "the server closed the connection";
                    return Err(io::Error::new(io::ErrorKind::UnexpectedEof, text));
                }
                // The kernel interrupts for its own work, too: what is left of a ring that was closed.
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    return Err(io::Error::new(io::ErrorKind::TimedOut, "the server does not answer"));
                }
                count => count?,
            };
            match &mut self.session {
                None => self.input.extend_from_slice(&buffer[..count]),
                Some(session) => session.open(&buffer[..count], |plain| {
                    self.input.extend_from_slice(plain);
                    Ok::<_, io::Error>(())
                })?,
            }
        }
        Ok(())
    }
}
