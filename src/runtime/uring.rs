//! The io_uring engine: one ring per core, multishot accept and receive, batched sends.
//!
//! ```text
//!   multishot ACCEPT per listener ─┐
//!   multishot RECV per connection ─┼─► completion queue ─► events      one io_uring_enter per turn
//!   POLL of the bell ──────────────┘                                   submits, reaps and sleeps
//!   provided-buffer ring: up to 1024 × 8 KiB, shared by all connections
//!   one SEND per connection and turn, the whole output in one buffer
//! ```
//!
//! `SINGLE_ISSUER | DEFER_TASKRUN`: completions are produced inside our own `io_uring_enter`, on our own
//! core, never in an interrupt of somebody else. A multishot request ends when the kernel says so (no
//! `MORE` flag: buffers ran out, an error, the peer is gone) and is armed again unless the connection is
//! over. Closing a socket with requests in flight goes through `shutdown`, which makes them end; the
//! descriptor and its index are free once the last of them has completed.

use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{Duration, Instant};

use io_uring::{IoUring, cqueue, opcode, squeue, types};

use super::engine::{Chunk, Engine, Event, Token, Wait};

/// Entries of the submission queue: so many sends go in one system call.
const SUBMISSIONS: u32 = 4096;
/// Entries of the completion queue.
const COMPLETIONS: u32 = 16384;
/// Receive buffers at most; a power of two.
const BUFFERS: u16 = 1024;
/// Receive buffers at first: the kernel goes round all it has, so that few of them stay in the cache (and
/// little memory is touched) as long as few connections send at once.
const BUFFERS_AT_FIRST: u16 = 128;
/// Bytes of a receive buffer.
const BUFFER_BYTES: usize = 8192;
/// IORING_ENTER_GETEVENTS: run what the kernel deferred to our next call.
const GET_EVENTS: u32 = 1;
/// After accepting failed (no descriptors left), it is tried again after this time.
const ACCEPT_RETRY: Duration = Duration::from_millis(100);

const KIND_ACCEPT: u64 = 1;
const KIND_RECEIVE: u64 = 2;
const KIND_SEND: u64 = 3;
const KIND_BELL: u64 = 4;
const KIND_CANCEL: u64 = 5;

const GENERATION_MASK: u32 = (1 << 28) - 1;

pub struct UringEngine {
    ring: IoUring,
    buffers: ProvidedBuffers,
    connections: Vec<Connection>,
    free: Vec<u32>,
    listeners: Vec<Listener>,
    bell: Option<RawFd>,
    /// Connections whose receive ended for want of buffers; armed again when the turn begins.
    rearm: Vec<Token>,
    /// Accepting failed at this time.
    accept_failed: Option<Instant>,
}

struct Listener {
    number: u32,
    socket: RawFd,
    armed: bool,
}

/// The socket is `None` while the entry is free.
struct Connection {
    socket: Option<OwnedFd>,
    generation: u32,
    /// A multishot receive is in the kernel.
    receiving: bool,
    /// Receiving is wanted.
    wanted: bool,
    closing: bool,
    /// How much of `sending` the kernel has taken.
    sent: u32,
    sending: Option<Vec<u8>>,
}

impl UringEngine {
    /// Sets up a ring for the calling thread, which must be the one that turns it.
    /// The error says what the kernel refused.
    pub fn new() -> Result<Self, String> {
        let ring: IoUring = IoUring::builder()
            .setup_cqsize(COMPLETIONS)
            .setup_single_issuer()
            .setup_defer_taskrun()
            .setup_taskrun_flag()
            .build(SUBMISSIONS)
            .map_err(|error| format!("io_uring_setup with DEFER_TASKRUN (Linux 6.1): {error}"))?;
        let buffers = ProvidedBuffers::new(&ring)
            .map_err(|error| format!("a ring of provided buffers (Linux 5.19): {error}"))?;
        Ok(UringEngine {
            ring,
            buffers,
            connections: Vec::new(),
            free: Vec::new(),
            listeners: Vec::new(),
            bell: None,
            rearm: Vec::new(),
            accept_failed: None,
        })
    }

    fn push(&mut self, entry: &squeue::Entry) {
        loop {
            // SAFETY: whatever an entry points to outlives its completion: send buffers are kept in the
            // connection until then, receive buffers and the ring live as long as the engine.
            let pushed = unsafe { self.ring.submission().push(entry) };
            if pushed.is_ok() {
                return;
            }
            // The submission queue is full: hand it over early. An error here (EBUSY: completions wait to
            // be reaped) resolves itself on the next attempt or turn.
            let _ = self.ring.submit();
        }
    }

    fn arm_accept(&mut self, position: usize) {
        let listener = &mut self.listeners[position];
        listener.armed = true;
        let entry = opcode::AcceptMulti::new(types::Fd(listener.socket))
            .flags(libc::SOCK_CLOEXEC)
            .build()
            .user_data(user_data(KIND_ACCEPT, Token { index: position as u32, generation: 0 }));
        self.push(&entry);
    }

    fn arm_receive(&mut self, token: Token) {
        let Some(connection) = self.connection(token) else { return };
        if connection.receiving || connection.closing || !connection.wanted {
            return;
        }
        connection.receiving = true;
        let socket = connection.descriptor();
        let entry = opcode::RecvMulti::new(types::Fd(socket), ProvidedBuffers::GROUP)
            .build()
            .user_data(user_data(KIND_RECEIVE, token));
        self.push(&entry);
    }

    fn arm_bell(&mut self) {
        let Some(bell) = self.bell else { return };
        let entry = opcode::PollAdd::new(types::Fd(bell), libc::POLLIN as u32)
            .multi(true)
            .build()
            .user_data(user_data(KIND_BELL, Token { index: 0, generation: 0 }));
        self.push(&entry);
    }

    /// Submits what is unsent of the connection's buffer.
    fn push_send(&mut self, token: Token) {
        let Some(connection) = self.connection(token) else { return };
        let Some(buffer) = &connection.sending else { return };
        let rest = &buffer[connection.sent as usize..];
        let length = u32::try_from(rest.len()).unwrap_or(u32::MAX);
        let entry = opcode::Send::new(types::Fd(connection.descriptor()), rest.as_ptr(), length)
            .flags(libc::MSG_NOSIGNAL | libc::MSG_WAITALL)
            .build()
            .user_data(user_data(KIND_SEND, token));
        self.push(&entry);
    }

    fn connection(&mut self, token: Token) -> Option<&mut Connection> {
        let connection = self.connections.get_mut(token.index as usize)?;
        (connection.generation == token.generation && connection.socket.is_some()).then_some(connection)
    }

    /// Frees the entry of a closing connection once nothing of it is in the kernel.
    fn retire(&mut self, token: Token) {
        let Some(connection) = self.connection(token) else { return };
        if connection.closing && !connection.receiving && connection.sending.is_none() {
            connection.socket = None;
            connection.generation = (connection.generation + 1) & GENERATION_MASK;
            self.free.push(token.index);
        }
    }

    fn accepted(&mut self, position: u32, result: i32, more: bool, events: &mut Vec<Event>) {
        let listener = &mut self.listeners[position as usize];
        let number = listener.number;
        listener.armed = more;
        if result >= 0 {
            // SAFETY: a successful accept returns a new descriptor that nobody else owns.
            let socket = unsafe { std::os::fd::FromRawFd::from_raw_fd(result) };
            events.push(Event::Accepted { listener: number, socket });
            if !more {
                self.arm_accept(position as usize);
            }
        } else if !more && result != -libc::ECANCELED {
            self.accept_failed = Some(Instant::now());
        }
    }

    fn received(&mut self, token: Token, result: i32, flags: u32, events: &mut Vec<Event>) {
        let chunk = cqueue::buffer_select(flags)
            .map(|buffer| Chunk { buffer: buffer as u32, length: result.max(0) as u32 });
        let more = cqueue::more(flags);
        let Some(connection) = self.connection(token) else {
            chunk.into_iter().for_each(|chunk| self.buffers.put(chunk.buffer as u16));
            return;
        };
        connection.receiving = more;
        let closing = connection.closing;
        if closing {
            chunk.into_iter().for_each(|chunk| self.buffers.put(chunk.buffer as u16));
            self.retire(token);
            return;
        }
        match chunk {
            Some(chunk) if result > 0 => events.push(Event::Received { connection: token, chunk }),
            Some(chunk) => self.buffers.put(chunk.buffer as u16),
            None => {}
        }
        if more {
            return;
        }
        match result {
            _ if result > 0 => self.rearm.push(token),
            _ if result == -libc::ENOBUFS || result == -libc::ECANCELED || result == -libc::EINTR => {
                if result == -libc::ENOBUFS {
                    self.buffers.grow();
                }
                self.rearm.push(token);
            }
            _ => events.push(Event::Ended { connection: token }),
        }
    }

    fn send_completed(&mut self, token: Token, result: i32, events: &mut Vec<Event>) {
        let Some(connection) = self.connection(token) else { return };
        if result > 0 {
            connection.sent += result as u32;
        }
        let unsent = connection.sending.as_ref().map_or(0, |buffer| buffer.len() - connection.sent as usize);
        let retry = result > 0 || result == -libc::EINTR || result == -libc::EAGAIN;
        if unsent > 0 && retry && !connection.closing {
            self.push_send(token);
            return;
        }
        let buffer = connection.sending.take();
        if connection.closing {
            self.retire(token);
        } else if let Some(buffer) = buffer {
            events.push(Event::Sent { connection: token, buffer, complete: unsent == 0 });
        }
    }

    fn reap(&mut self, events: &mut Vec<Event>) {
        loop {
            // One completion at a time: handling one may submit, which needs the ring.
            let Some(entry) = self.ring.completion().next() else { return };
            let (kind, token) = from_user_data(entry.user_data());
            let (result, flags) = (entry.result(), entry.flags());
            match kind {
                KIND_RECEIVE => self.received(token, result, flags, events),
                KIND_SEND => self.send_completed(token, result, events),
                KIND_ACCEPT => self.accepted(token.index, result, cqueue::more(flags), events),
                KIND_BELL => {
                    events.push(Event::Woken);
                    if !cqueue::more(flags) {
                        self.arm_bell();
                    }
                }
                _ => debug_assert_eq!(kind, KIND_CANCEL),
            }
        }
    }

    /// Arms again what ended for a passing reason.
    fn rearm(&mut self) {
        while let Some(token) = self.rearm.pop() {
            self.arm_receive(token);
        }
        if self.accept_failed.is_some_and(|at| at.elapsed() >= ACCEPT_RETRY) {
            self.accept_failed = None;
            for position in 0..self.listeners.len() {
                if !self.listeners[position].armed {
                    self.arm_accept(position);
                }
            }
        }
    }
}

impl Engine for UringEngine {
    fn listen(&mut self, listener: u32, socket: RawFd) {
        self.listeners.push(Listener { number: listener, socket, armed: false });
        self.arm_accept(self.listeners.len() - 1);
    }

    fn stop_listening(&mut self) {
        for position in 0..self.listeners.len() {
            let target = user_data(KIND_ACCEPT, Token { index: position as u32, generation: 0 });
            let entry = opcode::AsyncCancel::new(target)
                .build()
                .user_data(user_data(KIND_CANCEL, Token { index: 0, generation: 0 }));
            self.push(&entry);
        }
    }

    fn watch_bell(&mut self, bell: RawFd) {
        self.bell = Some(bell);
        self.arm_bell();
    }

    fn add(&mut self, socket: OwnedFd) -> Token {
        let index = self.free.pop().unwrap_or_else(|| {
            self.connections.push(Connection {
                socket: None,
                generation: 0,
                receiving: false,
                wanted: false,
                closing: false,
                sent: 0,
                sending: None,
            });
            self.connections.len() as u32 - 1
        });
        let connection = &mut self.connections[index as usize];
        connection.socket = Some(socket);
        connection.wanted = true;
        connection.closing = false;
        let token = Token { index, generation: connection.generation };
        self.arm_receive(token);
        token
    }

    fn send(&mut self, connection: Token, buffer: Vec<u8>) -> Option<Vec<u8>> {
        let Some(entry) = self.connection(connection) else { return Some(buffer) };
        debug_assert!(entry.sending.is_none(), "one send at a time");
        entry.sent = 0;
        entry.sending = Some(buffer);
        self.push_send(connection);
        None
    }

    fn set_receiving(&mut self, connection: Token, receiving: bool) {
        let Some(entry) = self.connection(connection) else { return };
        entry.wanted = receiving;
        if receiving {
            self.arm_receive(connection);
        } else if entry.receiving {
            let cancel = opcode::AsyncCancel::new(user_data(KIND_RECEIVE, connection))
                .build()
                .user_data(user_data(KIND_CANCEL, Token { index: 0, generation: 0 }));
            self.push(&cancel);
        }
    }

    fn close(&mut self, connection: Token) {
        let Some(entry) = self.connection(connection) else { return };
        entry.closing = true;
        if entry.receiving || entry.sending.is_some() {
            super::socket::shutdown(entry.descriptor());
        }
        self.retire(connection);
    }

    fn turn(&mut self, wait: Wait, events: &mut Vec<Event>) {
        self.rearm();
        self.buffers.publish();
        let queued = self.ring.submission().len() as u32;
        // Errors are passing ones: ETIME (the wait is over), EINTR, EBUSY (completions wait to be reaped,
        // which comes next). What a request itself did wrong is told by its completion.
        let _ = match wait {
            Wait::AtMost(duration) if !self.has_completions() => {
                let timeout = types::Timespec::from(duration);
                let arguments = types::SubmitArgs::new().timespec(&timeout);
                self.ring.submitter().submit_with_args(1, &arguments)
            }
            // SAFETY: no argument is passed, so there is none to be wrong.
            _ => unsafe { self.ring.submitter().enter::<libc::sigset_t>(queued, 0, GET_EVENTS, None) },
        };
        self.reap(events);
    }

    fn is_ready(&mut self) -> bool {
        self.has_completions() || self.ring.submission().taskrun()
    }

    fn bytes(&self, chunk: &Chunk) -> &[u8] {
        self.buffers.bytes(chunk)
    }

    fn release(&mut self, chunk: Chunk) {
        self.buffers.put(chunk.buffer as u16);
    }

    fn socket(&self, connection: Token) -> Option<RawFd> {
        let entry = self.connections.get(connection.index as usize)?;
        (entry.generation == connection.generation).then_some(())?;
        entry.socket.as_ref().map(|socket| socket.as_raw_fd())
    }

    fn name(&self) -> &'static str {
        "io_uring"
    }
}

impl UringEngine {
    fn has_completions(&mut self) -> bool {
        !self.ring.completion().is_empty()
    }
}

impl Connection {
    fn descriptor(&self) -> RawFd {
        self.socket.as_ref().map_or(-1, |socket| socket.as_raw_fd())
    }
}

impl Drop for UringEngine {
    fn drop(&mut self) {
        // Requests in flight write into `buffers` and read from `sending`: end them before those go.
        for position in 0..self.connections.len() {
            let generation = self.connections[position].generation;
            self.close(Token { index: position as u32, generation });
        }
        let deadline = Instant::now() + Duration::from_secs(1);
        let mut events = Vec::new();
        while self.free.len() < self.connections.len() && Instant::now() < deadline {
            self.turn(Wait::AtMost(Duration::from_millis(10)), &mut events);
        }
    }
}

/// Packs what a completion is about: 4 bits of kind, 28 of generation, 32 of index.
fn user_data(kind: u64, token: Token) -> u64 {
    kind << 60 | ((token.generation & GENERATION_MASK) as u64) << 32 | token.index as u64
}

fn from_user_data(data: u64) -> (u64, Token) {
    (data >> 60, Token { index: data as u32, generation: (data >> 32) as u32 & GENERATION_MASK })
}

/// The buffers that the kernel receives into: a ring of descriptors shared with it, and their memory.
struct ProvidedBuffers {
    /// The shared ring: page-aligned, `BUFFERS` entries.
    ring: *mut types::BufRingEntry,
    /// `BUFFERS` times `BUFFER_BYTES`; touched only as far as data ever arrived.
    memory: *mut u8,
    /// Buffers handed to the kernel so far, modulo 2^16.
    tail: u16,
    /// Buffers that are in use.
    count: u16,
}

impl ProvidedBuffers {
    const GROUP: u16 = 0;
    const RING_BYTES: usize = BUFFERS as usize * size_of::<types::BufRingEntry>();
    const MEMORY_BYTES: usize = BUFFERS as usize * BUFFER_BYTES;

    fn new(ring: &IoUring) -> std::io::Result<Self> {
        let mut buffers = ProvidedBuffers {
            ring: super::process::map_memory(Self::RING_BYTES)?.cast(),
            memory: super::process::map_memory(Self::MEMORY_BYTES)?,
            tail: 0,
            count: 0,
        };
        // SAFETY: the mapping is page-aligned, of the right size, and lives until the ring is gone: both
        // fields of the engine are dropped together, the ring first.
        unsafe {
            ring.submitter().register_buf_ring_with_flags(buffers.ring as u64, BUFFERS, Self::GROUP, 0)?;
        }
        buffers.grow();
        buffers.publish();
        Ok(buffers)
    }

    /// Twice as many buffers, up to all.
    fn grow(&mut self) {
        let count = (self.count * 2).clamp(BUFFERS_AT_FIRST, BUFFERS);
        for buffer in self.count..count {
            self.put(buffer);
        }
        self.count = count;
    }

    /// Queues a buffer for the kernel; it sees it after [`ProvidedBuffers::publish`].
    fn put(&mut self, buffer: u16) {
        let position = (self.tail & (BUFFERS - 1)) as usize;
        // SAFETY: `position` is inside the ring, whose entries between tail and head are ours to write;
        // at most BUFFERS buffers exist, so the kernel has read this entry before it comes round again.
        unsafe {
            let entry = &mut *self.ring.add(position);
            entry.set_addr(self.memory.add(buffer as usize * BUFFER_BYTES) as u64);
            entry.set_len(BUFFER_BYTES as u32);
            entry.set_bid(buffer);
        }
        self.tail = self.tail.wrapping_add(1);
    }

    fn publish(&mut self) {
        // SAFETY: the tail lies in the first entry's reserved field, two bytes aligned; the kernel reads it
        // concurrently, hence the atomic store that orders the entries before it.
        unsafe {
            let tail = types::BufRingEntry::tail(self.ring).cast::<AtomicU16>();
            (*tail).store(self.tail, Ordering::Release);
        }
    }

    fn bytes(&self, chunk: &Chunk) -> &[u8] {
        assert!(chunk.buffer < BUFFERS as u32 && chunk.length as usize <= BUFFER_BYTES);
        // SAFETY: inside the mapping; the kernel does not write a buffer that was not handed back.
        unsafe {
            let start = self.memory.add(chunk.buffer as usize * BUFFER_BYTES);
            std::slice::from_raw_parts(start, chunk.length as usize)
        }
    }
}

impl Drop for ProvidedBuffers {
    fn drop(&mut self) {
        super::process::unmap_memory(self.ring.cast(), Self::RING_BYTES);
        super::process::unmap_memory(self.memory, Self::MEMORY_BYTES);
    }
}
