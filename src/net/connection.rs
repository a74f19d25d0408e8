//! One connection: bytes in, commands run, replies out. Read this first.
//!
//! Bytes are looked at where the engine received them. Complete commands go to the dispatcher as one
//! burst; a cut command is kept in the session until the rest is there ([`Input`](crate::session::Input)).
//! While a session waits (for other shards, or for the end of a pause) its bytes are only collected.
//!
//! ```text
//!   received ──► waiting, or a cut command pending? ── yes ─► append ─► run_pending (unless waiting)
//!                     │ no
//!                     └─► parse in place ─► serve ─► keep the rest
//! ```

use crate::error::ProtocolError;
use crate::log;
use crate::resp::Reply;
use crate::resp::parse::{BULK_BYTES_MAX, Limits};
use crate::runtime::engine::{Chunk, Engine, Token};
use crate::session::{BURST_COMMANDS_MAX, Rest, Sessions, parse_chunk};

use crate::dispatch::{Burst, Served};

use super::Plane;

/// A session that waits for other shards and has this much pending is not read from until it goes on.
const PENDING_BYTES_MAX: usize = 1 << 20;
/// So much is kept at most to be read together with the next chunk of a connection.
const JOINED_BYTES_MAX: usize = 64 << 10;
/// Larger chunks are not read ahead: their own commands are many enough to hide each other's waiting for
/// memory.
const READ_AHEAD_BYTES_MAX: usize = 1024;

/// What came of reading a chunk, besides the commands in its burst.
pub(super) struct ReadChunk {
    limits: Limits,
    parsed: Result<Rest, ProtocolError>,
}

impl<E: Engine> Plane<E> {
    /// Chunks of different connections have arrived: all are read, and what their commands need is being
    /// fetched, before the first of them runs.
    pub(super) fn received_several(&mut self, chunks: &mut Vec<(Token, Chunk)>) {
        let mut bursts = std::mem::take(&mut self.bursts);
        bursts.resize_with(bursts.len().max(chunks.len()), Default::default);
        for ((token, chunk), (burst, read)) in chunks.iter().zip(&mut bursts) {
            let small = chunk.length as usize <= READ_AHEAD_BYTES_MAX;
            *read = (small && self.is_idle(*token)).then(|| self.read(*token, chunk, burst));
        }
        for ((token, _), (burst, read)) in chunks.iter().zip(&bursts) {
            if read.is_some() {
                self.dispatcher.prefetch(*token, burst);
            }
        }
        for ((token, chunk), (burst, read)) in chunks.drain(..).zip(&mut bursts) {
            // A command that ran before may have closed or authenticated the session.
            match read.take() {
                Some(read) if self.is_idle(token) && self.limits(token) == read.limits => {
                    self.count_received(token, chunk.length);
                    self.run_chunk(token, &chunk, burst, read);
                    self.engine.release(chunk);
                }
                _ => self.received(token, chunk),
            }
        }
        self.bursts = bursts;
    }

    /// Bytes of a connection have arrived.
    pub(super) fn received(&mut self, token: Token, chunk: Chunk) {
        if self.is_idle(token) {
            self.count_received(token, chunk.length);
            let mut burst = std::mem::take(&mut self.burst);
            let read = self.read(token, &chunk, &mut burst);
            self.run_chunk(token, &chunk, &mut burst, read);
            self.burst = burst;
        } else if self.dispatcher.shard.sessions.get(token).is_some_and(|session| !session.closing) {
            self.count_received(token, chunk.length);
            self.collect(token, &chunk);
        }
        self.engine.release(chunk);
    }

    /// Whether a chunk is kept for the next one of the same connection, which has come with it: what is read
    /// together goes to other shards together, and its replies leave together.
    pub(super) fn may_join(&mut self, token: Token) -> bool {
        let shard = &mut self.dispatcher.shard;
        // With one shard commands run where they arrive, and the replies of a turn leave together anyway.
        shard.route.shards() > 1
            && shard.sessions.get(token).is_some_and(|session| {
                !session.closing
                    && !session.waits_for_its_turn()
                    && session.input.pending_bytes() < JOINED_BYTES_MAX
            })
    }

    /// Keeps a chunk until the next one of its connection is there.
    pub(super) fn join(&mut self, token: Token, chunk: Chunk) {
        self.count_received(token, chunk.length);
        let session = self.dispatcher.shard.sessions.current(token);
        session.input.append(self.engine.bytes(&chunk));
        self.engine.release(chunk);
    }

    /// Whether a session waits for nothing and has nothing pending: its bytes can run where they are.
    fn is_idle(&mut self, token: Token) -> bool {
        self.dispatcher.shard.sessions.get(token).is_some_and(|session| {
            !session.closing && !session.waits_for_its_turn() && session.input.is_empty()
        })
    }

    fn count_received(&mut self, token: Token, length: u32) {
        let shard = &mut self.dispatcher.shard;
        shard.sessions.current(token).bytes_in += length as u64;
        shard.metrics.net_input_bytes += length as u64;
        shard.metrics.reads += 1;
    }

    /// A session whose replies have come, or whose pause is over, goes on with what is pending.
    pub(super) fn resume(&mut self, token: Token) {
        let Some(session) = self.dispatcher.shard.sessions.get(token) else { return };
        if session.waiting.is_none() && !session.closing {
            self.run_pending(token);
        }
        let Some(session) = self.dispatcher.shard.sessions.get(token) else { return };
        // What is pending while nothing is waited for is a cut command: it needs its rest, however long.
        let waits = session.waiting.is_some() || session.paused;
        if session.held_back
            && (!waits || session.blocked || session.input.pending_bytes() < PENDING_BYTES_MAX)
        {
            session.held_back = false;
            self.engine.set_receiving(token, true);
        }
    }

    /// The client sends nothing more. What it sent is answered first: its replies may still be read.
    pub(super) fn ended(&mut self, token: Token) {
        let Some(session) = self.dispatcher.shard.sessions.get(token) else { return };
        session.ended = true;
        if session.paused {
            return self.close(token);
        }
        self.dispatcher.shard.sessions.mark_dirty(token);
    }

    /// Adds bytes to what is pending and runs it, unless the session waits.
    fn collect(&mut self, token: Token, chunk: &Chunk) {
        let session = self.dispatcher.shard.sessions.current(token);
        session.input.append(self.engine.bytes(chunk));
        let pending = session.input.pending_bytes();
        if !session.waits_for_its_turn() {
            return self.run_pending(token);
        }
        if session.blocked {
            // The end of its connection would not be noticed if nothing were received.
            self.check_query_buffer(token);
        } else if pending > PENDING_BYTES_MAX && !session.held_back {
            session.held_back = true;
            self.engine.set_receiving(token, false);
        }
    }

    /// Reads the commands of a chunk and starts to fetch what they need.
    fn read(&mut self, token: Token, chunk: &Chunk, burst: &mut Burst) -> ReadChunk {
        let limits = self.limits(token);
        let bytes = self.engine.bytes(chunk);
        burst.clear();
        let parsed = parse_chunk(bytes, &mut burst.frames, &mut burst.spans, &mut burst.owned, limits);
        self.dispatcher.resolve(token, bytes, burst);
        ReadChunk { limits, parsed }
    }

    /// Runs the commands of a chunk where they are; the rest is kept.
    fn run_chunk(&mut self, token: Token, chunk: &Chunk, burst: &mut Burst, read: ReadChunk) {
        let ReadChunk { limits, parsed } = read;
        let bytes = self.engine.bytes(chunk);
        let complete_end = burst.frames.last().map_or(0, |frame| frame.end);
        let served =
            if burst.frames.is_empty() { Served::All } else { self.dispatcher.serve(token, bytes, burst) };
        let rest = match (served, &parsed) {
            (Served::Until(index), _) if index < burst.frames.len() => burst.frames[index].start,
            (Served::Until(_), Err(_)) => complete_end,
            (_, Ok(rest)) => rest.start,
            (Served::All, Err(_))
                if has_authenticated(&mut self.dispatcher.shard.sessions, token, limits) =>
            {
                complete_end
            }
            (Served::All, Err(error)) => {
                let message = error.message();
                return self.fail_protocol(token, &message);
            }
        };
        let full = parsed.is_err() || burst.frames.len() == BURST_COMMANDS_MAX;
        let session = self.dispatcher.shard.sessions.current(token);
        if session.closing {
            return;
        }
        session.input.append(&bytes[rest..]);
        if session.deferred {
            self.deferred.push(token);
        }
        if full && served == Served::All {
            self.run_pending(token);
        }
    }

    /// Runs the complete commands of what is pending. The session exists and waits for nothing.
    fn run_pending(&mut self, token: Token) {
        loop {
            let limits = self.limits(token);
            let session = self.dispatcher.shard.sessions.current(token);
            let Some(mut partial) = session.input.take() else { return };
            let burst = &mut self.burst;
            burst.clear();
            let parsed = partial.parse(&mut burst.frames, &mut burst.spans, &mut burst.owned, limits);
            if burst.frames.is_empty() {
                match parsed {
                    Err(error) => {
                        let message = error.message();
                        return self.fail_protocol(token, &message);
                    }
                    Ok(start) => {
                        partial.consume(start);
                        partial.collect_big_argument();
                    }
                }
                let session = self.dispatcher.shard.sessions.current(token);
                session.input.put(partial);
                return self.check_query_buffer(token);
            }
            let complete_end = burst.frames.last().map_or(0, |frame| frame.end);
            self.dispatcher.resolve(token, &partial.buffer, burst);
            let served = self.dispatcher.serve(token, &partial.buffer, burst);
            match (served, parsed) {
                (Served::Until(0), _) if !burst.owned.is_empty() => {
                    let end = burst.frames[0].end;
                    let Plane { burst, .. } = self;
                    let bytes = std::mem::take(&mut partial.buffer);
                    let args = burst.args(0, &bytes);
                    partial.put_back(&args, &bytes[end..]);
                }
                (Served::Until(index), _) if index < burst.frames.len() => {
                    partial.rewind();
                    partial.consume(burst.frames[index].start);
                }
                (_, Ok(start)) => partial.consume(start),
                (Served::Until(_), Err(_)) => {
                    partial.rewind();
                    partial.consume(complete_end);
                }
                (Served::All, Err(_))
                    if has_authenticated(&mut self.dispatcher.shard.sessions, token, limits) =>
                {
                    partial.rewind();
                    partial.consume(complete_end);
                }
                (Served::All, Err(error)) => {
                    let message = error.message();
                    return self.fail_protocol(token, &message);
                }
            }
            let session = self.dispatcher.shard.sessions.current(token);
            if session.closing {
                return;
            }
            session.input.put(partial);
            if matches!(served, Served::Until(_)) {
                if session.deferred {
                    self.deferred.push(token);
                }
                return;
            }
        }
    }

    fn limits(&mut self, token: Token) -> Limits {
        let shard = &mut self.dispatcher.shard;
        Limits {
            bulk_bytes_max: (shard.config.proto_max_bulk_len as usize).min(BULK_BYTES_MAX),
            authenticated: shard.sessions.current(token).authenticated,
        }
    }

    /// The stream is broken: says why, then closes.
    fn fail_protocol(&mut self, token: Token, message: &str) {
        let shard = &mut self.dispatcher.shard;
        let session = shard.sessions.current(token);
        if session.closing {
            // What follows QUIT is not judged.
            return;
        }
        Reply::new(&mut session.output, false).error_line(message);
        session.closing = true;
        log!(Verbose, "Protocol error ({message}) from client {}", session.id);
        shard.metrics.error_replied(message);
        shard.sessions.mark_dirty(token);
    }

    fn check_query_buffer(&mut self, token: Token) {
        let shard = &mut self.dispatcher.shard;
        let limit = shard.config.client_query_buffer_limit as usize;
        let session = shard.sessions.current(token);
        if session.input.pending_bytes() > limit {
            log!(Warning, "Closing client {} that reached max query buffer length", session.id);
            shard.sessions.kill.push(token);
        }
    }
}

/// Whether the commands that have just run lifted the limits under which they were read: what broke the
/// limits may be right.
fn has_authenticated(sessions: &mut Sessions, token: Token, limits: Limits) -> bool {
    !limits.authenticated && sessions.current(token).authenticated
}
