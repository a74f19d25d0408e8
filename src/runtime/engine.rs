//! The engine: one core's way to its sockets.
//!
//! The data plane is one loop per core, and an engine is what that loop turns: it hands over everything
//! that happened since the last turn as a list of [`Event`]s and takes whole buffers to send. There are no
//! futures and no task per connection; a connection that is idle costs its entry in a table.
//!
//! ```text
//!   turn(wait) ──► Accepted / Received / Ended / Sent / Woken ──► the loop parses and runs
//!        ▲                                                              │
//!        └───────────── send(connection, buffer) ◄──────────────────────┘
//! ```
//!
//! Three engines: [`uring`](super::uring) (the fast one), [`epoll`](super::epoll) (where io_uring is
//! missing or forbidden) and [`simulated`](super::simulated) (no sockets at all, for tests with a seed).
//! An engine never interprets bytes, keeps no time and blocks only in [`Engine::turn`].

use std::os::fd::{OwnedFd, RawFd};
use std::time::Duration;

/// Names a connection. The index is dense and reused, the generation tells users of an index apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Token {
    pub index: u32,
    pub generation: u32,
}

/// Received bytes, in a buffer that belongs to the engine until it is [released](Engine::release).
#[derive(Debug)]
#[must_use = "a chunk that is not released is lost to the engine"]
pub struct Chunk {
    pub buffer: u32,
    pub length: u32,
}

/// What happened.
#[derive(Debug)]
pub enum Event {
    /// A client connected to listener number `listener`.
    Accepted { listener: u32, socket: OwnedFd },
    /// Bytes arrived.
    Received { connection: Token, chunk: Chunk },
    /// The peer closed or the connection broke; nothing more will arrive. It still has to be closed.
    Ended { connection: Token },
    /// The buffer of the last send is free again; `false`: the connection is broken.
    Sent { connection: Token, buffer: Vec<u8>, complete: bool },
    /// Another core rang the bell.
    Woken,
}

/// How long a turn may sleep when nothing is ready.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wait {
    /// Not at all.
    Poll,
    /// Until something happens, but no longer than this.
    AtMost(Duration),
}

pub trait Engine {
    /// A socket of this engine; what [`Event::Accepted`] brings goes to [`Engine::add`].
    fn listen(&mut self, listener: u32, socket: RawFd);
    /// Stops accepting on all listeners.
    fn stop_listening(&mut self);
    /// Wakes the loop whenever this eventfd is written.
    fn watch_bell(&mut self, bell: RawFd);
    /// Takes a connected socket and starts receiving.
    fn add(&mut self, socket: OwnedFd) -> Token;
    /// Sends all of `buffer`. One send at a time for each connection: the next one is allowed when
    /// [`Event::Sent`] came, or at once if the buffer is handed back.
    fn send(&mut self, connection: Token, buffer: Vec<u8>) -> Option<Vec<u8>>;
    /// Switches receiving off and on: a connection that sends faster than it is served waits in the
    /// kernel.
    fn set_receiving(&mut self, connection: Token, receiving: bool);
    /// Closes now; what is unsent is lost. Later turns bring no event of this connection; the events of
    /// this one may still name it, hence the generation in its token.
    fn close(&mut self, connection: Token);
    /// Hands over what happened, sleeping for it as `wait` allows; submits what was asked for before.
    fn turn(&mut self, wait: Wait, events: &mut Vec<Event>);
    /// Whether a turn would find something without sleeping. May miss what only the kernel knows.
    fn is_ready(&mut self) -> bool;
    /// The bytes of a chunk.
    fn bytes(&self, chunk: &Chunk) -> &[u8];
    /// Gives a chunk's buffer back.
    fn release(&mut self, chunk: Chunk);
    /// The socket behind a connection, to ask it for addresses and options; `None` in a simulation.
    fn socket(&self, connection: Token) -> Option<RawFd>;
    /// What the log and INFO call it.
    fn name(&self) -> &'static str;
}
