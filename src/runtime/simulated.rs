//! The simulated engine: connections are byte queues in memory, and a seed decides what happens when.
//!
//! A test holds the [`Network`] of each engine. It connects [`Peer`]s, writes what a client would write
//! and reads what came back, and turns the planes in whatever order it likes:
//!
//! ```text
//!   Peer::write ──► to_server ──┐ 1..=8 KiB pieces, cut    ┌─► Received ─► the plane
//!   Peer::end, Peer::reset ─────┤ anywhere, some later     ├─► Ended
//!   Peer::read ◄── to_client ◄──┘                          └─◄ send: at once, later, in parts
//! ```
//!
//! What is random is what a kernel may do as it likes: which connections have something in a turn and in
//! which order, how much of it, when a send is over, whether bytes before a reset still arrive. What a
//! kernel guarantees holds: bytes arrive in order and once, the end comes after them, no event of a closed
//! connection comes after the turn in which it was closed. Chunks that are not released run out, as in the
//! real engines.
//!
//! It never sleeps, keeps no time and opens no socket. An accepted connection is handed over as a
//! descriptor of `/dev/null`, which says nothing about addresses: the connection counts as local.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::fs::File;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::rc::Rc;

use super::engine::{Chunk, Engine, Event, Token, Wait};

/// Receive buffers; few, so that running out of them is tested.
const BUFFERS: usize = 16;
const BUFFER_BYTES: usize = 8192;
/// What a peer that does not read lets through: the socket buffers of both sides.
const WINDOW_BYTES: usize = 64 * 1024;
/// Pieces of one connection in one turn.
const PIECES_MAX: usize = 3;

/// Where the peers of one engine connect.
#[derive(Clone, Default)]
pub struct Network {
    arriving: Rc<RefCell<VecDeque<Rc<RefCell<Link>>>>>,
}

/// The client's end of a connection.
pub struct Peer {
    link: Rc<RefCell<Link>>,
}

/// What both ends of a connection share.
#[derive(Default)]
struct Link {
    to_server: VecDeque<u8>,
    to_client: Vec<u8>,
    /// The client sends nothing more.
    ended: bool,
    /// The client is gone: what is sent to it breaks the connection.
    reset: bool,
    /// The server has closed.
    closed: bool,
}

impl Network {
    /// A new connection, which the engine will accept in one of its next turns.
    pub fn connect(&self) -> Peer {
        let link = Rc::new(RefCell::new(Link::default()));
        self.arriving.borrow_mut().push_back(link.clone());
        Peer { link }
    }
}

impl Peer {
    /// Sends bytes; those behind an end, or to a server that has closed, are lost.
    pub fn write(&self, bytes: &[u8]) {
        let mut link = self.link.borrow_mut();
        if !link.ended && !link.closed {
            link.to_server.extend(bytes);
        }
    }

    /// Takes everything that has come back.
    pub fn read(&self) -> Vec<u8> {
        std::mem::take(&mut self.link.borrow_mut().to_client)
    }

    /// Sends nothing more, but still reads.
    pub fn end(&self) {
        self.link.borrow_mut().ended = true;
    }

    /// Goes away without a word.
    pub fn reset(&self) {
        let mut link = self.link.borrow_mut();
        link.ended = true;
        link.reset = true;
    }

    /// Whether the server has closed; what it sent before can still be read.
    pub fn is_closed(&self) -> bool {
        self.link.borrow().closed
    }
}

/// One shard's engine.
pub struct SimulatedEngine {
    network: Network,
    random: Random,
    connections: Vec<Connection>,
    free: Vec<u32>,
    /// Accepted, but not added yet: by their placeholder.
    accepted: Vec<(RawFd, Rc<RefCell<Link>>)>,
    listening: bool,
    buffers: Vec<Vec<u8>>,
    free_buffers: Vec<u32>,
    /// What was written before a turn arrives in one piece, as far as it fits a buffer.
    whole: bool,
}

/// The link is `None` while the entry is free.
struct Connection {
    link: Option<Rc<RefCell<Link>>>,
    placeholder: Option<OwnedFd>,
    generation: u32,
    receiving: bool,
    /// The end was told.
    ended: bool,
    /// What is being sent, and how much of it has left.
    sending: Option<(Vec<u8>, usize)>,
}

impl SimulatedEngine {
    /// An engine whose every decision follows from `seed`.
    pub fn new(seed: u64) -> Self {
        SimulatedEngine {
            network: Network::default(),
            random: Random(seed),
            connections: Vec::new(),
            free: Vec::new(),
            accepted: Vec::new(),
            listening: true,
            buffers: vec![Vec::new(); BUFFERS],
            free_buffers: (0..BUFFERS as u32).collect(),
            whole: false,
        }
    }

    /// From now on bytes that were written together arrive together, as far as they fit a buffer.
    pub fn deliver_whole(&mut self) {
        self.whole = true;
    }

    /// Where peers connect.
    pub fn network(&self) -> Network {
        self.network.clone()
    }

    /// Connections that are open, those with a peer that is gone included.
    pub fn connections(&self) -> usize {
        self.connections.len() - self.free.len()
    }

    /// Chunks that were handed out and not released.
    pub fn chunks_lent(&self) -> usize {
        BUFFERS - self.free_buffers.len()
    }

    fn connection(&mut self, token: Token) -> Option<&mut Connection> {
        let connection = self.connections.get_mut(token.index as usize)?;
        (connection.generation == token.generation && connection.link.is_some()).then_some(connection)
    }

    fn accept(&mut self, events: &mut Vec<Event>) {
        while self.listening && !self.network.arriving.borrow().is_empty() && !self.random.one_in(4) {
            // Without a descriptor the connection stays in the queue, as it does in a kernel.
            let Ok(placeholder) = File::open("/dev/null") else { return };
            let socket = OwnedFd::from(placeholder);
            let Some(link) = self.network.arriving.borrow_mut().pop_front() else { return };
            self.accepted.push((socket.as_raw_fd(), link));
            events.push(Event::Accepted { listener: 0, socket });
        }
    }

    /// Delivers some of what a connection sent, or its end.
    fn receive(&mut self, token: Token, events: &mut Vec<Event>) {
        for _ in 0..1 + self.random.below(PIECES_MAX) {
            let (random, free_buffers) = (&mut self.random, &mut self.free_buffers);
            let Some(connection) = self.connections.get_mut(token.index as usize) else { return };
            let Some(link) = &connection.link else { return };
            if !connection.receiving || connection.ended {
                return;
            }
            let mut link = link.borrow_mut();
            if link.reset && random.one_in(2) {
                link.to_server.clear();
            }
            if link.to_server.is_empty() {
                if link.ended {
                    connection.ended = true;
                    events.push(Event::Ended { connection: token });
                }
                return;
            }
            let Some(buffer) = free_buffers.pop() else { return };
            let length = if self.whole { BUFFER_BYTES } else { random.size(BUFFER_BYTES) };
            let length = length.min(link.to_server.len());
            let bytes = &mut self.buffers[buffer as usize];
            bytes.clear();
            bytes.extend(link.to_server.drain(..length));
            events
                .push(Event::Received { connection: token, chunk: Chunk { buffer, length: length as u32 } });
        }
    }

    /// Goes on with a send; `None` while it is not over, then whether all has left.
    fn progress(&mut self, token: Token) -> Option<(Vec<u8>, bool)> {
        let (connection, random) = (self.connections.get_mut(token.index as usize)?, &mut self.random);
        let (buffer, sent) = connection.sending.as_mut()?;
        let mut link = connection.link.as_ref()?.borrow_mut();
        if !link.reset {
            let room = WINDOW_BYTES.saturating_sub(link.to_client.len());
            let rest = &buffer[*sent..];
            let length =
                if random.one_in(2) { rest.len() } else { random.size(WINDOW_BYTES).min(rest.len()) };
            let length = length.min(room);
            link.to_client.extend_from_slice(&rest[..length]);
            *sent += length;
            if *sent < buffer.len() {
                return None;
            }
        }
        let complete = !link.reset;
        drop(link);
        connection.sending.take().map(|(buffer, _)| (buffer, complete))
    }

    /// The open connections, in a new order.
    fn shuffled(&mut self) -> Vec<Token> {
        let open = self.connections.iter().enumerate().filter(|(_, connection)| connection.link.is_some());
        let mut tokens: Vec<Token> = open
            .map(|(index, connection)| Token { index: index as u32, generation: connection.generation })
            .collect();
        for position in (1..tokens.len()).rev() {
            tokens.swap(position, self.random.below(position + 1));
        }
        tokens
    }
}

impl Engine for SimulatedEngine {
    fn listen(&mut self, _listener: u32, _socket: RawFd) {}

    fn stop_listening(&mut self) {
        self.listening = false;
    }

    fn watch_bell(&mut self, _bell: RawFd) {
        // An engine that never sleeps need not be woken.
    }

    fn add(&mut self, socket: OwnedFd) -> Token {
        let accepted = self.accepted.iter().position(|(placeholder, _)| *placeholder == socket.as_raw_fd());
        // A socket that did not come from here is a connection with nobody at its other end.
        let link = accepted.map(|position| self.accepted.swap_remove(position).1).unwrap_or_default();
        let index = self.free.pop().unwrap_or_else(|| {
            self.connections.push(Connection {
                link: None,
                placeholder: None,
                generation: 0,
                receiving: false,
                ended: false,
                sending: None,
            });
            self.connections.len() as u32 - 1
        });
        let connection = &mut self.connections[index as usize];
        connection.link = Some(link);
        connection.placeholder = Some(socket);
        connection.receiving = true;
        connection.ended = false;
        Token { index, generation: connection.generation }
    }

    fn send(&mut self, connection: Token, buffer: Vec<u8>) -> Option<Vec<u8>> {
        let Some(entry) = self.connection(connection) else { return Some(buffer) };
        assert!(entry.sending.is_none(), "one send at a time");
        entry.sending = Some((buffer, 0));
        if self.random.one_in(2) {
            return None;
        }
        match self.progress(connection) {
            Some((buffer, true)) => Some(buffer),
            // What broke is told by the next turn, like everything that went wrong.
            Some((buffer, false)) => {
                let length = buffer.len();
                if let Some(entry) = self.connection(connection) {
                    entry.sending = Some((buffer, length));
                }
                None
            }
            None => None,
        }
    }

    fn set_receiving(&mut self, connection: Token, receiving: bool) {
        if let Some(entry) = self.connection(connection) {
            entry.receiving = receiving;
        }
    }

    fn close(&mut self, connection: Token) {
        let Some(entry) = self.connection(connection) else { return };
        if let Some(link) = entry.link.take() {
            link.borrow_mut().closed = true;
        }
        entry.placeholder = None;
        entry.sending = None;
        entry.generation = entry.generation.wrapping_add(1);
        self.free.push(connection.index);
    }

    fn turn(&mut self, _wait: Wait, events: &mut Vec<Event>) {
        self.accept(events);
        for token in self.shuffled() {
            if self.random.one_in(4) {
                continue;
            }
            let receive_first = self.random.one_in(2);
            if receive_first {
                self.receive(token, events);
            }
            if !self.random.one_in(4)
                && let Some((buffer, complete)) = self.progress(token)
            {
                events.push(Event::Sent { connection: token, buffer, complete });
            }
            if !receive_first {
                self.receive(token, events);
            }
        }
    }

    fn is_ready(&mut self) -> bool {
        let arriving = self.listening && !self.network.arriving.borrow().is_empty();
        arriving
            || self.connections.iter().any(|connection| {
                let Some(link) = &connection.link else { return false };
                let link = link.borrow();
                let receives = connection.receiving && !connection.ended;
                (receives && (link.ended || !link.to_server.is_empty())) || connection.sending.is_some()
            })
    }

    fn bytes(&self, chunk: &Chunk) -> &[u8] {
        &self.buffers[chunk.buffer as usize][..chunk.length as usize]
    }

    fn release(&mut self, chunk: Chunk) {
        assert!(!self.free_buffers.contains(&chunk.buffer), "a chunk is released once");
        self.free_buffers.push(chunk.buffer);
    }

    fn socket(&self, _connection: Token) -> Option<RawFd> {
        None
    }

    fn name(&self) -> &'static str {
        "simulated"
    }
}

/// SplitMix64 (Steele, Lea, Flood, 2014): one word of state, every seed is a good seed.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut word = self.0;
        word = (word ^ (word >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        word ^ (word >> 31)
    }

    /// A number in `0..limit`; the bias of the remainder does not matter here.
    fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit.max(1) as u64) as usize
    }

    fn one_in(&mut self, count: usize) -> bool {
        self.below(count) == 0
    }

    /// A size in `1..=max`, of any magnitude alike.
    fn size(&mut self, max: usize) -> usize {
        let magnitude = self.below(max.ilog2() as usize + 1);
        (1 + self.below(2 << magnitude)).min(max)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Turns until `enough` events of the wanted kind are there.
    fn turn_until(engine: &mut SimulatedEngine, mut done: impl FnMut(&mut SimulatedEngine, Event) -> bool) {
        for _ in 0..10_000 {
            let mut events = Vec::new();
            engine.turn(Wait::Poll, &mut events);
            for event in events {
                if done(engine, event) {
                    return;
                }
            }
        }
        panic!("it does not happen");
    }

    fn accept(engine: &mut SimulatedEngine) -> Token {
        let mut token = None;
        turn_until(engine, |engine, event| {
            let Event::Accepted { socket, .. } = event else { return false };
            token = Some(engine.add(socket));
            true
        });
        token.unwrap()
    }

    #[test]
    fn bytes_arrive_in_order_and_once_and_then_the_end() {
        for seed in 0..50 {
            let mut engine = SimulatedEngine::new(seed);
            let peer = engine.network().connect();
            let token = accept(&mut engine);
            let sent: Vec<u8> = (0..50_000u32).map(|number| (number * 7 + number / 256) as u8).collect();
            peer.write(&sent);
            peer.end();
            let mut received = Vec::new();
            turn_until(&mut engine, |engine, event| match event {
                Event::Received { chunk, .. } => {
                    received.extend_from_slice(engine.bytes(&chunk));
                    engine.release(chunk);
                    false
                }
                Event::Ended { connection } => connection == token,
                _ => false,
            });
            assert!(received == sent, "seed {seed}");
            assert_eq!(engine.chunks_lent(), 0);
        }
    }

    #[test]
    fn sends_finish_when_the_peer_reads_and_break_when_it_is_gone() {
        for seed in 0..50 {
            let mut engine = SimulatedEngine::new(seed);
            let peer = engine.network().connect();
            let token = accept(&mut engine);
            let mut read = Vec::new();
            let mut sent = engine.send(token, vec![7; 200_000]).is_some();
            for _ in 0..10_000 {
                // A send goes on only while the peer reads, which is no event of the engine.
                read.extend(peer.read());
                let mut events = Vec::new();
                engine.turn(Wait::Poll, &mut events);
                for event in events {
                    sent |= matches!(event, Event::Sent { complete: true, .. });
                }
            }
            assert!(sent, "seed {seed}");
            read.extend(peer.read());
            assert_eq!(read.len(), 200_000, "seed {seed}");
            peer.reset();
            assert!(engine.send(token, vec![7; 10]).is_none());
            turn_until(&mut engine, |_, event| matches!(event, Event::Sent { complete: false, .. }));
            engine.close(token);
            assert!(peer.is_closed());
            assert_eq!(engine.connections(), 0);
        }
    }
}
