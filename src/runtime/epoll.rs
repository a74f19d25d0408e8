//! The epoll engine: for kernels and containers without a usable io_uring.
//!
//! Level-triggered readiness, one `recv` per ready connection and turn into a buffer of a small pool, one
//! `send` per connection and turn. When the pool is used up the rest of the ready connections is told
//! again by the next turn.

use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};

use super::engine::{Chunk, Engine, Event, Token, Wait};

/// Receive buffers of one turn.
const BUFFERS: usize = 64;
const BUFFER_BYTES: usize = 16 * 1024;
const EVENTS_MAX: usize = 1024;
/// Connections accepted from one listener in one turn.
const ACCEPTS_MAX: usize = 64;

const KIND_CONNECTION: u64 = 0;
const KIND_LISTENER: u64 = 1;
const KIND_BELL: u64 = 2;

const READ: u32 = (libc::EPOLLIN | libc::EPOLLRDHUP) as u32;
const WRITE: u32 = libc::EPOLLOUT as u32;

pub struct EpollEngine {
    epoll: OwnedFd,
    ready: Vec<libc::epoll_event>,
    memory: Box<[u8]>,
    free_buffers: Vec<u32>,
    connections: Vec<Connection>,
    free: Vec<u32>,
    listeners: Vec<(u32, RawFd)>,
    /// Listeners that are switched off because the process has no descriptor left.
    deaf: bool,
    pending: VecDeque<Event>,
}

struct Connection {
    socket: Option<OwnedFd>,
    generation: u32,
    receiving: bool,
    ended: bool,
    /// What the kernel did not take yet, from `sent` on.
    sending: Option<Vec<u8>>,
    sent: usize,
}

impl EpollEngine {
    pub fn new() -> io::Result<Self> {
        // SAFETY: a plain system call; the result is checked before it is owned.
        let descriptor = unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) };
        if descriptor < 0 {
            return Err(io::Error::last_os_error());
        }
        Ok(EpollEngine {
            // SAFETY: a new descriptor that nobody else owns.
            epoll: unsafe { OwnedFd::from_raw_fd(descriptor) },
            ready: vec![libc::epoll_event { events: 0, u64: 0 }; EVENTS_MAX],
            memory: vec![0; BUFFERS * BUFFER_BYTES].into_boxed_slice(),
            free_buffers: (0..BUFFERS as u32).collect(),
            connections: Vec::new(),
            free: Vec::new(),
            listeners: Vec::new(),
            deaf: false,
            pending: VecDeque::new(),
        })
    }

    fn control(&self, operation: i32, socket: RawFd, events: u32, data: u64) {
        let mut event = libc::epoll_event { events, u64: data };
        // SAFETY: passes a local structure. It fails only for a descriptor that is not (or already) there.
        unsafe { libc::epoll_ctl(self.epoll.as_raw_fd(), operation, socket, &raw mut event) };
    }

    fn connection(&mut self, token: Token) -> Option<&mut Connection> {
        let connection = self.connections.get_mut(token.index as usize)?;
        (connection.generation == token.generation && connection.socket.is_some()).then_some(connection)
    }

    /// Asks for exactly what the connection waits for now.
    fn update_interest(&mut self, token: Token) {
        let Some(connection) = self.connection(token) else { return };
        let read = if connection.receiving && !connection.ended { READ } else { 0 };
        let write = if connection.sending.is_some() { WRITE } else { 0 };
        let socket = connection.descriptor();
        self.control(libc::EPOLL_CTL_MOD, socket, read | write, connection_data(token));
    }

    fn accept(&mut self, listener: u32, socket: RawFd, events: &mut Vec<Event>) {
        for _ in 0..ACCEPTS_MAX {
            // SAFETY: asks for no address; the result is checked before it is owned.
            let accepted = unsafe {
                libc::accept4(
                    socket,
                    std::ptr::null_mut(),
                    std::ptr::null_mut(),
                    libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC,
                )
            };
            if accepted >= 0 {
                // SAFETY: a new descriptor that nobody else owns.
                let socket = unsafe { OwnedFd::from_raw_fd(accepted) };
                events.push(Event::Accepted { listener, socket });
                continue;
            }
            match io::Error::last_os_error().raw_os_error() {
                Some(libc::EMFILE | libc::ENFILE | libc::ENOBUFS | libc::ENOMEM) => self.set_deaf(true),
                Some(libc::ECONNABORTED | libc::EINTR) => continue,
                _ => {}
            }
            return;
        }
    }

    /// Level-triggered listeners would spin while no descriptor is free: switch them off meanwhile.
    fn set_deaf(&mut self, deaf: bool) {
        self.deaf = deaf;
        for &(number, socket) in &self.listeners {
            let events = if deaf { 0 } else { READ };
            self.control(libc::EPOLL_CTL_MOD, socket, events, KIND_LISTENER << 60 | number as u64);
        }
    }

    fn receive(&mut self, token: Token, events: &mut Vec<Event>) {
        let Some(buffer) = self.free_buffers.pop() else { return };
        let start = buffer as usize * BUFFER_BYTES;
        let Some(connection) = self.connections.get_mut(token.index as usize) else { return };
        let space = &mut self.memory[start..start + BUFFER_BYTES];
        // SAFETY: receives into a buffer of the length passed.
        let received =
            unsafe { libc::recv(connection.descriptor(), space.as_mut_ptr().cast(), space.len(), 0) };
        if received > 0 {
            let chunk = Chunk { buffer, length: received as u32 };
            events.push(Event::Received { connection: token, chunk });
            return;
        }
        self.free_buffers.push(buffer);
        let passing = received < 0
            && matches!(
                io::Error::last_os_error().kind(),
                io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted
            );
        if !passing {
            connection.ended = true;
            self.update_interest(token);
            events.push(Event::Ended { connection: token });
        }
    }

    /// Goes on with an unfinished send.
    fn flush(&mut self, token: Token, events: &mut Vec<Event>) {
        let Some(connection) = self.connection(token) else { return };
        let Some(buffer) = connection.sending.take() else { return };
        let descriptor = connection.descriptor();
        match send_some(descriptor, &buffer, &mut connection.sent) {
            Sending::Blocked => connection.sending = Some(buffer),
            done => {
                let complete = done == Sending::Done;
                events.push(Event::Sent { connection: token, buffer, complete });
                self.update_interest(token);
            }
        }
    }

    fn handle(&mut self, ready: libc::epoll_event, events: &mut Vec<Event>) {
        let data = ready.u64;
        match data >> 60 {
            KIND_LISTENER => {
                let number = data as u32;
                if let Some(&(_, socket)) = self.listeners.iter().find(|listener| listener.0 == number) {
                    self.accept(number, socket, events);
                }
            }
            KIND_BELL => events.push(Event::Woken),
            _ => {
                let token = Token { index: data as u32, generation: (data >> 32) as u32 & GENERATION_MASK };
                let Some(connection) = self.connection(token) else { return };
                let broken = ready.events & (libc::EPOLLERR | libc::EPOLLHUP) as u32 != 0;
                let readable = ready.events & READ != 0 && connection.receiving;
                if (readable || broken) && !connection.ended {
                    self.receive(token, events);
                }
                if ready.events & WRITE != 0 || broken {
                    self.flush(token, events);
                }
            }
        }
    }
}

const GENERATION_MASK: u32 = (1 << 28) - 1;

fn connection_data(token: Token) -> u64 {
    KIND_CONNECTION << 60 | ((token.generation & GENERATION_MASK) as u64) << 32 | token.index as u64
}

#[derive(PartialEq, Eq)]
enum Sending {
    Done,
    Blocked,
    Broken,
}

/// Sends `buffer` from `sent` on as far as the kernel takes it.
fn send_some(socket: RawFd, buffer: &[u8], sent: &mut usize) -> Sending {
    while *sent < buffer.len() {
        let rest = &buffer[*sent..];
        // SAFETY: passes a valid slice.
        let count = unsafe {
            libc::send(socket, rest.as_ptr().cast(), rest.len(), libc::MSG_NOSIGNAL | libc::MSG_DONTWAIT)
        };
        if count >= 0 {
            *sent += count as usize;
            continue;
        }
        match io::Error::last_os_error().kind() {
            io::ErrorKind::Interrupted => {}
            io::ErrorKind::WouldBlock => return Sending::Blocked,
            _ => return Sending::Broken,
        }
    }
    Sending::Done
}

impl Connection {
    fn descriptor(&self) -> RawFd {
        self.socket.as_ref().map_or(-1, |socket| socket.as_raw_fd())
    }
}

impl Engine for EpollEngine {
    fn listen(&mut self, listener: u32, socket: RawFd) {
        self.listeners.push((listener, socket));
        self.control(libc::EPOLL_CTL_ADD, socket, READ, KIND_LISTENER << 60 | listener as u64);
    }

    fn stop_listening(&mut self) {
        for (_, socket) in std::mem::take(&mut self.listeners) {
            self.control(libc::EPOLL_CTL_DEL, socket, 0, 0);
        }
    }

    fn watch_bell(&mut self, bell: RawFd) {
        let events = (libc::EPOLLIN | libc::EPOLLET) as u32;
        self.control(libc::EPOLL_CTL_ADD, bell, events, KIND_BELL << 60);
    }

    fn add(&mut self, socket: OwnedFd) -> Token {
        let index = self.free.pop().unwrap_or_else(|| {
            self.connections.push(Connection {
                socket: None,
                generation: 0,
                receiving: false,
                ended: false,
                sending: None,
                sent: 0,
            });
            self.connections.len() as u32 - 1
        });
        let connection = &mut self.connections[index as usize];
        let descriptor = socket.as_raw_fd();
        connection.socket = Some(socket);
        connection.receiving = true;
        connection.ended = false;
        let token = Token { index, generation: connection.generation };
        self.control(libc::EPOLL_CTL_ADD, descriptor, READ, connection_data(token));
        token
    }

    fn send(&mut self, connection: Token, buffer: Vec<u8>) -> Option<Vec<u8>> {
        let Some(entry) = self.connection(connection) else { return Some(buffer) };
        entry.sent = 0;
        match send_some(entry.descriptor(), &buffer, &mut entry.sent) {
            Sending::Done => return Some(buffer),
            Sending::Blocked => {
                entry.sending = Some(buffer);
                self.update_interest(connection);
            }
            Sending::Broken => self.pending.push_back(Event::Sent { connection, buffer, complete: false }),
        }
        None
    }

    fn set_receiving(&mut self, connection: Token, receiving: bool) {
        let Some(entry) = self.connection(connection) else { return };
        entry.receiving = receiving;
        self.update_interest(connection);
    }

    fn close(&mut self, connection: Token) {
        let Some(entry) = self.connection(connection) else { return };
        entry.sending = None;
        // Closing the descriptor takes it out of the epoll set.
        entry.socket = None;
        entry.generation = (entry.generation + 1) & GENERATION_MASK;
        self.free.push(connection.index);
        if self.deaf {
            self.set_deaf(false);
        }
    }

    fn turn(&mut self, wait: Wait, events: &mut Vec<Event>) {
        let timeout_ms = match wait {
            Wait::AtMost(duration) if self.pending.is_empty() => {
                // Rounded up: a wait that ends too early would spin.
                duration.as_micros().div_ceil(1000).min(i32::MAX as u128) as i32
            }
            _ => 0,
        };
        let mut ready = std::mem::take(&mut self.ready);
        // SAFETY: the kernel fills in at most as many entries as the vector has.
        let count = unsafe {
            libc::epoll_wait(self.epoll.as_raw_fd(), ready.as_mut_ptr(), EVENTS_MAX as i32, timeout_ms)
        };
        let count = count.max(0) as usize;
        if count == 0 && self.deaf {
            self.set_deaf(false);
        }
        events.extend(self.pending.drain(..));
        for &event in &ready[..count] {
            self.handle(event, events);
        }
        self.ready = ready;
    }

    fn is_ready(&mut self) -> bool {
        !self.pending.is_empty()
    }

    fn bytes(&self, chunk: &Chunk) -> &[u8] {
        let start = chunk.buffer as usize * BUFFER_BYTES;
        &self.memory[start..start + chunk.length as usize]
    }

    fn release(&mut self, chunk: Chunk) {
        self.free_buffers.push(chunk.buffer);
    }

    fn socket(&self, connection: Token) -> Option<RawFd> {
        let entry = self.connections.get(connection.index as usize)?;
        (entry.generation == connection.generation).then_some(())?;
        entry.socket.as_ref().map(|socket| socket.as_raw_fd())
    }

    fn name(&self) -> &'static str {
        "epoll"
    }
}
