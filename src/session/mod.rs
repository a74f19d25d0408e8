//! Sessions: what the server knows of each connection. Plain structures in a table, driven by the engine;
//! no task and no stack of their own.

mod input;
mod queued;

use std::collections::VecDeque;
use std::os::fd::RawFd;

use crate::runtime::engine::Token;

pub use queued::{Queued, Transaction, WatchedKey};

pub use input::{BURST_COMMANDS_MAX, Frame, Input, Partial, Rest, parse_chunk};

/// One connection.
///
/// An idle one costs this structure and nothing else: buffers are borrowed from a pool while they are in
/// use, and what few clients have is boxed.
pub struct Session {
    /// Unique over all shards and never reused; tells the shard: see [`Sessions::shard_of`].
    pub id: u64,
    pub token: Token,
    /// To ask for addresses; -1 in a simulation.
    pub socket: RawFd,
    pub kind: ConnectionKind,
    pub database: u16,
    pub resp3: bool,
    pub authenticated: bool,
    pub reply_mode: ReplyMode,
    /// CLIENT NO-EVICT and CLIENT NO-TOUCH.
    pub no_evict: bool,
    pub no_touch: bool,
    /// The client sent MONITOR.
    pub monitor: bool,
    /// Its commands run as part of an EXEC: nothing may make it wait.
    pub in_exec: bool,
    /// READONLY was sent, as a client of a cluster does.
    pub readonly: bool,
    /// Close once everything that was replied has been sent; read nothing more.
    pub closing: bool,
    /// The client sends nothing more; what it sent is still served, then the connection closes.
    pub ended: bool,
    /// Receiving is switched off because too much is pending.
    pub held_back: bool,
    /// Its replies were many in this turn: its next commands run in the next one.
    pub deferred: bool,
    /// Held back by CLIENT PAUSE: its input waits until the pause is over.
    pub paused: bool,
    /// Replies that are yet to be sent.
    pub output: Vec<u8>,
    /// Older replies than those in `output`, in pieces: a client that takes them slowly, or asked for much.
    backlog: Option<Box<Backlog>>,
    /// Bytes in flight to the socket; `None`: no send is under way.
    pub sending_bytes: Option<usize>,
    /// On the list of sessions with output.
    pub dirty: bool,
    /// A command that has not arrived whole, and what came after it.
    pub input: Input,
    /// The number of the work that other shards do for this session; its commands wait until it is back.
    pub waiting: Option<u32>,
    /// What it waits for are elements that somebody else brings.
    pub blocked: bool,
    /// Between MULTI and EXEC, or with watched keys.
    pub transaction: Option<Box<Transaction>>,
    pub created_ms: i64,
    pub last_interaction_ms: i64,
    /// Since when the output is above the soft limit.
    pub soft_limit_since_ms: Option<i64>,
    /// The last command, as a position in the command table; `u16::MAX`: none yet.
    pub last_command: u16,
    pub bytes_in: u64,
    pub bytes_out: u64,
    pub commands: u64,
    pub details: Option<Box<Details>>,
}

/// Replies in the order in which they leave.
#[derive(Debug, Default)]
struct Backlog {
    pieces: VecDeque<Vec<u8>>,
    bytes: usize,
}

/// What only some clients tell about themselves.
#[derive(Debug, Default, Clone)]
pub struct Details {
    pub name: Vec<u8>,
    pub library_name: Vec<u8>,
    pub library_version: Vec<u8>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConnectionKind {
    Tcp,
    Unix,
}

/// How a client's waiting for elements ends without any.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unblocked {
    TimeIsUp,
    /// By CLIENT UNBLOCK … ERROR.
    ByError,
    /// The client went away.
    Gone,
}

/// CLIENT REPLY.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReplyMode {
    On,
    Off,
    /// The reply to the next command is left out (this very command's is, too).
    SkipNext,
    /// The reply to the command that runs now is left out.
    Skip,
}

impl Session {
    pub fn new(id: u64, token: Token, socket: RawFd, kind: ConnectionKind, now_ms: i64) -> Self {
        Session {
            id,
            token,
            socket,
            kind,
            database: 0,
            resp3: false,
            authenticated: false,
            reply_mode: ReplyMode::On,
            no_evict: false,
            no_touch: false,
            monitor: false,
            in_exec: false,
            readonly: false,
            closing: false,
            ended: false,
            deferred: false,
            held_back: false,
            paused: false,
            output: Vec::new(),
            backlog: None,
            sending_bytes: None,
            dirty: false,
            input: Input::default(),
            waiting: None,
            blocked: false,
            transaction: None,
            created_ms: now_ms,
            last_interaction_ms: now_ms,
            soft_limit_since_ms: None,
            last_command: u16::MAX,
            bytes_in: 0,
            bytes_out: 0,
            commands: 0,
            details: None,
        }
    }

    /// Back to what a new connection is, as RESET does; authentication is the caller's. Returns the keys that
    /// it watched.
    pub fn reset(&mut self) -> Vec<WatchedKey> {
        self.database = 0;
        self.resp3 = false;
        self.reply_mode = ReplyMode::On;
        self.no_evict = false;
        self.no_touch = false;
        self.monitor = false;
        self.readonly = false;
        // The library's name and version still describe what is behind the connection.
        if let Some(details) = &mut self.details {
            details.name = Vec::new();
        }
        self.transaction.take().map_or_else(Vec::new, |transaction| transaction.watched)
    }

    /// Whether its commands are queued until EXEC.
    #[inline(always)]
    pub fn is_queueing(&self) -> bool {
        self.transaction.as_ref().is_some_and(|transaction| transaction.queued.is_some())
    }

    /// The flags of all commands queued since MULTI.
    pub fn queued_flags(&self) -> u32 {
        let queued = self.transaction.as_ref().and_then(|transaction| transaction.queued.as_ref());
        queued.map_or(0, |queued| queued.flags)
    }

    /// Commands queued since MULTI; -1 outside of it.
    pub fn queued_commands(&self) -> i64 {
        let queued = self.transaction.as_ref().and_then(|transaction| transaction.queued.as_ref());
        queued.map_or(-1, |queued| queued.frames.len() as i64)
    }

    /// Whether its next commands have to wait: for other shards, the end of a pause, or the next turn.
    pub fn waits_for_its_turn(&self) -> bool {
        self.waiting.is_some() || self.paused || self.deferred
    }

    /// Whether nothing more will be asked or answered: it can be closed once its output has left. Elements that
    /// a client waits for are not waited for once it has gone.
    pub fn is_over(&self) -> bool {
        let waits = (self.waiting.is_some() && !self.blocked) || self.deferred;
        self.closing || (self.ended && !waits)
    }

    pub fn details_mut(&mut self) -> &mut Details {
        self.details.get_or_insert_default()
    }

    /// Bytes of replies that the client has not taken yet.
    pub fn output_bytes(&self) -> usize {
        let backlog_bytes = self.backlog.as_ref().map_or(0, |backlog| backlog.bytes);
        self.output.len() + self.sending_bytes.unwrap_or(0) + backlog_bytes
    }

    /// The replies to send next, if there are any.
    pub fn next_output(&mut self) -> Option<Vec<u8>> {
        if let Some(backlog) = &mut self.backlog {
            if let Some(piece) = backlog.pieces.pop_front() {
                backlog.bytes -= piece.len();
                return Some(piece);
            }
            self.backlog = None;
        }
        (!self.output.is_empty()).then(|| std::mem::take(&mut self.output))
    }

    /// Moves a large output into the backlog: pieces are never copied into a larger buffer.
    fn set_output_aside(&mut self) {
        let backlog = self.backlog.get_or_insert_default();
        backlog.bytes += self.output.len();
        backlog.pieces.push_back(std::mem::take(&mut self.output));
    }

    /// Bytes that the session holds, this structure included.
    pub fn memory_bytes(&self) -> usize {
        let details = self.details.as_ref().map_or(0, |details| {
            size_of::<Details>()
                + details.name.capacity()
                + details.library_name.capacity()
                + details.library_version.capacity()
        });
        size_of::<Session>()
            + self.output.capacity()
            + self.sending_bytes.unwrap_or(0)
            + self.input.memory_bytes()
            + self.transaction.as_ref().map_or(0, |transaction| transaction.memory_bytes())
            + details
    }
}

/// The sessions of one shard, by the index of their token.
pub struct Sessions {
    slots: Vec<Option<Box<Session>>>,
    count: usize,
    shard: usize,
    shards: usize,
    created: u64,
    /// Sessions that got output in this turn.
    pub dirty: Vec<Token>,
    /// Sessions to close at the end of this turn, whatever is unsent.
    pub kill: Vec<Token>,
    /// Empty buffers for output.
    buffers: Vec<Vec<u8>>,
}

/// A session whose replies have grown to this size in one turn goes on in the next, and they leave as a
/// piece of their own.
pub const OUTPUT_PIECE_BYTES: usize = 1 << 20;

/// Buffers kept for the next output, and the largest one worth keeping.
const BUFFERS_MAX: usize = 256;
const BUFFER_BYTES_MAX: usize = 64 * 1024;

impl Sessions {
    pub fn new(shard: usize, shards: usize) -> Self {
        Sessions {
            slots: Vec::new(),
            count: 0,
            shard,
            shards,
            created: 0,
            dirty: Vec::new(),
            kill: Vec::new(),
            buffers: Vec::new(),
        }
    }

    pub fn insert(&mut self, token: Token, socket: RawFd, kind: ConnectionKind, now_ms: i64) -> &mut Session {
        let index = token.index as usize;
        if self.slots.len() <= index {
            self.slots.resize_with(index + 1, || None);
        }
        let id = self.created * self.shards as u64 + self.shard as u64 + 1;
        self.created += 1;
        self.count += 1;
        self.slots[index].insert(Box::new(Session::new(id, token, socket, kind, now_ms)))
    }

    /// The shard that a client of this id is connected to.
    pub fn shard_of(id: u64, shards: usize) -> usize {
        (id.wrapping_sub(1) % shards as u64) as usize
    }

    #[inline(always)]
    pub fn get(&mut self, token: Token) -> Option<&mut Session> {
        let session = self.slots.get_mut(token.index as usize)?.as_deref_mut()?;
        (session.token == token).then_some(session)
    }

    /// The session whose command is running.
    pub fn current(&mut self, token: Token) -> &mut Session {
        match self.slots.get_mut(token.index as usize) {
            Some(Some(session)) if session.token == token => session,
            _ => unreachable!("a session ends only between commands"),
        }
    }

    /// The session of this id, if it is connected to this shard.
    pub fn find(&mut self, id: u64) -> Option<&mut Session> {
        self.iter_mut().find(|session| session.id == id)
    }

    /// Marks a session as having output to send.
    #[inline(always)]
    pub fn mark_dirty(&mut self, token: Token) {
        if let Some(session) = self.get(token)
            && !session.dirty
        {
            session.dirty = true;
            self.dirty.push(token);
        }
    }

    /// The output of a session, to write to: with a buffer from the pool if it has none.
    #[inline(always)]
    pub fn take_output(&mut self, token: Token) -> Vec<u8> {
        let output = std::mem::take(&mut self.current(token).output);
        if output.capacity() > 0 { output } else { self.buffers.pop().unwrap_or_default() }
    }

    /// Gives a session its output back; what came in the meantime follows it.
    #[inline(always)]
    pub fn put_output(&mut self, token: Token, mut output: Vec<u8>) {
        let session = self.current(token);
        if output.is_empty() && session.output.is_empty() {
            self.recycle(output);
            return;
        }
        output.append(&mut session.output);
        session.output = output;
        if session.output.len() >= OUTPUT_PIECE_BYTES {
            session.set_output_aside();
        }
        self.mark_dirty(token);
    }

    /// Keeps an output buffer for the next session that needs one.
    #[inline]
    pub fn recycle(&mut self, mut buffer: Vec<u8>) {
        if buffer.capacity() <= BUFFER_BYTES_MAX && self.buffers.len() < BUFFERS_MAX {
            buffer.clear();
            self.buffers.push(buffer);
        }
    }

    pub fn remove(&mut self, token: Token) -> Option<Box<Session>> {
        self.get(token)?;
        self.count -= 1;
        self.slots[token.index as usize].take()
    }

    pub fn iter(&self) -> impl Iterator<Item = &Session> {
        self.slots.iter().filter_map(|slot| slot.as_deref())
    }

    pub fn iter_mut(&mut self) -> impl Iterator<Item = &mut Session> {
        self.slots.iter_mut().filter_map(|slot| slot.as_deref_mut())
    }

    pub fn len(&self) -> usize {
        self.count
    }

    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Connections since the start.
    pub fn created(&self) -> u64 {
        self.created
    }
}
