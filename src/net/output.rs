//! Replies on their way out, and the end of connections.
//!
//! All output that a session got in a turn leaves in one send. While a send is under way new output
//! collects behind it; a client that does not take its replies runs into `client-output-buffer-limit`.

use std::sync::atomic::Ordering;
use std::time::Duration;

use crate::log;
use crate::runtime::allocator;
use crate::runtime::engine::{Engine, Event, Token, Wait};

use super::Plane;

/// How long clients have to take their last replies when the server ends: so many waits of this length.
const DRAIN_TURNS_MAX: usize = 50;
const DRAIN_WAIT: Duration = Duration::from_millis(2);

impl<E: Engine> Plane<E> {
    /// Starts to send whatever the sessions got in this turn.
    pub(super) fn send_output(&mut self) {
        // A send that completes at once makes a session with a backlog dirty again.
        let mut next = 0;
        while let Some(&token) = self.dispatcher.shard.sessions.dirty.get(next) {
            next += 1;
            self.send(token);
        }
        self.dispatcher.shard.sessions.dirty.clear();
    }

    fn send(&mut self, token: Token) {
        let shard = &mut self.dispatcher.shard;
        let Some(session) = shard.sessions.get(token) else { return };
        session.dirty = false;
        if over_hard_limit(session.output_bytes(), shard.config.output_buffer_limits[0].hard_bytes) {
            log!(Warning, "Client {} closed for overcoming of output buffer limits", session.id);
            return self.close(token);
        }
        if session.sending_bytes.is_some() {
            return;
        }
        let Some(buffer) = session.next_output() else {
            if session.is_over() {
                self.close(token);
            }
            return;
        };
        session.sending_bytes = Some(buffer.len());
        if let Some(buffer) = self.engine.send(token, buffer) {
            self.sent(token, buffer, true);
        }
    }

    /// The end of the server: what was replied leaves, as far as the clients take it within a moment.
    pub fn drain_output(&mut self) {
        self.engine.stop_listening();
        let mut events = Vec::new();
        for _ in 0..DRAIN_TURNS_MAX {
            let unsent = self.dispatcher.shard.sessions.iter().any(|session| session.output_bytes() > 0);
            if !unsent {
                return;
            }
            self.send_output();
            self.engine.turn(Wait::AtMost(DRAIN_WAIT), &mut events);
            for event in events.drain(..) {
                match event {
                    Event::Sent { connection, buffer, complete } => self.sent(connection, buffer, complete),
                    Event::Received { chunk, .. } => self.engine.release(chunk),
                    Event::Ended { connection } => self.close(connection),
                    Event::Accepted { .. } | Event::Woken => {}
                }
            }
        }
    }

    /// A send has ended.
    pub(super) fn sent(&mut self, token: Token, buffer: Vec<u8>, complete: bool) {
        let shard = &mut self.dispatcher.shard;
        shard.metrics.net_output_bytes += buffer.len() as u64;
        shard.metrics.writes += 1;
        let length = buffer.len() as u64;
        shard.sessions.recycle(buffer);
        let Some(session) = shard.sessions.get(token) else { return };
        session.sending_bytes = None;
        session.bytes_out += length;
        if !complete {
            self.close(token);
        } else if session.output_bytes() > 0 {
            shard.sessions.mark_dirty(token);
        } else if session.is_over() {
            self.close(token);
        }
    }

    /// Ends a connection at once; what other shards do for it is finished all the same.
    pub(super) fn close(&mut self, token: Token) {
        let shard = &mut self.dispatcher.shard;
        let Some(mut session) = shard.sessions.remove(token) else { return };
        self.engine.close(token);
        let gauges = &shard.node.gauges[shard.id];
        gauges.clients.store(shard.sessions.len() as u64, Ordering::Relaxed);
        shard.session_ended(&mut session);
    }

    pub(super) fn close_killed(&mut self) {
        while let Some(token) = self.dispatcher.shard.sessions.kill.pop() {
            self.close(token);
        }
    }

    /// Tells the other shards what this one holds.
    pub(super) fn publish_gauges(&mut self) {
        let shard = &self.dispatcher.shard;
        shard.node.gauges[shard.id].held_bytes.store(allocator::thread_held_bytes(), Ordering::Relaxed);
    }
}

/// A limit of 0 is none.
pub(super) fn over_hard_limit(bytes: usize, limit_bytes: u64) -> bool {
    limit_bytes > 0 && bytes as u64 > limit_bytes
}
