//! The open loop of a worker: commands whose time has come go to connections that have room.

use std::collections::VecDeque;
use std::time::Duration;

use polder::runtime::engine::{Engine, Wait};

use super::{SLEEP_MAX, Worker};
use crate::check::InFlight;
use crate::plan::Phase;
use crate::schedule::Schedule;
use crate::workload::Role;

/// In an open loop the time is read anew after so many commands, so that their send times are true.
const COMMANDS_PER_STAMP: usize = 32;
/// The last part of a wait for a command's time is spun through: io_uring sleeps exactly, but waking up
/// takes that long; epoll's sleep is a millisecond at least.
const SPIN_NS_URING: u64 = 30_000;
const SPIN_NS_EPOLL: u64 = 2_000_000;

/// An open loop's way through the connections.
pub(super) struct Open {
    schedule: Schedule,
    /// Connections that may have room, in turns.
    free: VecDeque<u32>,
    /// Those that got commands in this round.
    filled: Vec<u32>,
    /// Since when there is room: commands of before waited for the server.
    free_since_ns: u64,
    /// No connection has room.
    is_full: bool,
}

impl Open {
    pub(super) fn new(schedule: Schedule) -> Open {
        Open { schedule, free: VecDeque::new(), filled: Vec::new(), free_since_ns: 0, is_full: false }
    }
}

impl<E: Engine> Worker<E> {
    /// How long the next turn may sleep.
    #[inline]
    pub(super) fn wait(&self) -> Wait {
        let Some(open) = &self.open else { return Wait::AtMost(SLEEP_MAX) };
        if open.is_full || self.unsent == 0 {
            return Wait::AtMost(SLEEP_MAX);
        }
        let ahead_ns = open.schedule.next_ns().saturating_sub(self.now_ns());
        let spin_ns = if self.engine.name() == "epoll" { SPIN_NS_EPOLL } else { SPIN_NS_URING };
        match ahead_ns.checked_sub(spin_ns) {
            None | Some(0) => Wait::Poll,
            Some(sleep_ns) => Wait::AtMost(SLEEP_MAX.min(Duration::from_nanos(sleep_ns))),
        }
    }

    /// Gives the commands of an open loop whose time has come to connections that have room, in turns.
    #[inline]
    pub(super) fn send_due(&mut self) {
        if self.open.is_none() || self.phase == Phase::Stop {
            return;
        }
        let mut now_ns = self.now_ns();
        let mut commands = 0;
        while let Some(open) = &self.open
            && self.unsent > 0
            && open.schedule.next_ns() <= now_ns
            && let Some(position) = self.next_free()
        {
            self.give(position, now_ns);
            commands += 1;
            if commands % COMMANDS_PER_STAMP == 0 {
                now_ns = self.now_ns();
            }
        }
        let filled = self.open.as_mut().map(|open| std::mem::take(&mut open.filled)).unwrap_or_default();
        for &position in &filled {
            let connection = &mut self.connections[position as usize];
            connection.filling = false;
            if let Some(buffer) = connection.buffer.take() {
                self.send(position as usize, buffer);
            }
        }
        for position in filled {
            // An engine may hand a buffer back at once.
            self.list(position as usize);
        }
    }

    /// The next connection in turn that has room.
    fn next_free(&mut self) -> Option<usize> {
        loop {
            let open = self.open.as_mut()?;
            let Some(position) = open.free.pop_front() else {
                open.is_full = true;
                return None;
            };
            self.connections[position as usize].listed = false;
            if self.must_reconnect(position as usize) {
                self.reconnect(position as usize);
            }
            if self.has_room(position as usize) {
                return Some(position as usize);
            }
        }
    }

    #[inline]
    fn has_room(&self, position: usize) -> bool {
        let connection = &self.connections[position];
        connection.buffer.is_some()
            && !connection.away
            && (connection.replies.due() as usize) < self.plan.pipeline
            && self.plan.reconnect_every.is_none_or(|every| connection.sent < every)
    }

    /// Puts a connection at the end of the turn, if it has room or will have it once it has reconnected.
    #[inline]
    pub(super) fn list(&mut self, position: usize) {
        let may_take = self.has_room(position) || self.must_reconnect(position);
        let now_ns = self.now_ns();
        let (Some(open), true) = (&mut self.open, may_take) else { return };
        let connection = &mut self.connections[position];
        if connection.listed || connection.role != Role::Load {
            return;
        }
        connection.listed = true;
        open.free.push_back(position as u32);
        if std::mem::take(&mut open.is_full) {
            open.free_since_ns = now_ns;
        }
    }

    /// Appends the next command of the schedule to a connection's pipeline.
    fn give(&mut self, position: usize, now_ns: u64) {
        let Some(open) = &mut self.open else { return };
        let connection = &mut self.connections[position];
        let Some(buffer) = &mut connection.buffer else { return };
        self.spin_end_ns = None;
        let intended_ns = open.schedule.next_ns();
        open.schedule.advance();
        if intended_ns >= open.free_since_ns
            && let Some(slip) = &mut self.tally.slip
        {
            slip.record(now_ns - intended_ns);
        }
        if !std::mem::replace(&mut connection.filling, true) {
            buffer.clear();
            open.filled.push(position as u32);
        }
        let (kind, key) = self.plan.workload.append(buffer, &mut connection.draws);
        connection.replies.expect(InFlight { kind, count: 1, key, intended_ns, sent_ns: now_ns });
        connection.sent += 1;
        self.unsent -= 1;
        self.due += 1;
        self.list(position);
    }

    /// In an open loop what follows a miss is sent at once.
    pub(super) fn follow_up(&mut self, position: usize, now_ns: u64) {
        let connection = &mut self.connections[position];
        if connection.missed.is_empty() || self.phase == Phase::Stop {
            return;
        }
        let Some(mut buffer) = connection.buffer.take() else { return };
        buffer.clear();
        for missed in connection.missed.drain(..) {
            self.plan.workload.follow_up(missed, &mut buffer, &mut connection.draws);
            connection.replies.expect(InFlight {
                kind: missed.kind,
                count: 1,
                key: missed.key,
                intended_ns: missed.at_ns,
                sent_ns: now_ns,
            });
            self.due += 1;
        }
        self.send(position, buffer);
    }

    pub(super) fn backlog(&self) -> u64 {
        let now_ns = self.measure_start.unwrap_or_default()[0] + self.measured.unwrap_or_default()[0];
        let backlog = self.open.as_ref().map_or(0, |open| open.schedule.clone().backlog(now_ns));
        backlog.min(self.unsent)
    }
}
