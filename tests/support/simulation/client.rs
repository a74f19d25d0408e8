//! A client of a simulated server: sends what it is to do, and notes when it was sent and answered.

use std::collections::VecDeque;

use polder::runtime::simulated::Peer;

use crate::support::client::{Reply, encode, parse};
use crate::support::random::Random;

use super::model::{Command, Key};
use super::orders::{Kind, Unit};
use super::program::Act;
use super::world::World;

/// A client that does not wait for answers sends no more while it is owed so many.
const OWED_MAX: usize = 30;

pub struct Client {
    peer: Peer,
    pub number: usize,
    acts: VecDeque<Act>,
    /// What is to be sent, and how much of it is.
    bytes: Vec<u8>,
    sent: usize,
    /// Where in `bytes` the units end that are not wholly sent: the last ones of `units`.
    ends: VecDeque<usize>,
    units: Vec<Unit>,
    /// The first unit that is not wholly answered.
    answering: usize,
    unread: Vec<u8>,
    /// What is written at once arrives at once.
    whole: bool,
    /// Sends without waiting for answers.
    eager: bool,
    /// It is to go without a word at some moment.
    pub vanishes: bool,
    pub done: bool,
    /// It went before all was answered, or was sent away.
    pub gone: bool,
}

impl Client {
    pub fn new(peer: Peer, number: usize, acts: Vec<Act>, whole: bool, random: &mut Random) -> Client {
        Client {
            peer,
            number,
            acts: acts.into(),
            bytes: Vec::new(),
            sent: 0,
            ends: VecDeque::new(),
            units: Vec::new(),
            answering: 0,
            unread: Vec::new(),
            whole,
            eager: random.one_in(3),
            vanishes: false,
            done: false,
            gone: false,
        }
    }

    /// Reads what came, and sends what is next, or leaves. `true` if it got on.
    pub fn step(&mut self, world: &World, names: &[String], random: &mut Random) -> Result<bool, String> {
        let answered = self.read(world.now())?;
        if self.vanishes && random.one_in(25) {
            self.peer.reset();
            (self.done, self.gone) = (true, true);
            return Ok(true);
        }
        if self.peer.is_closed() {
            self.read(world.now())?;
            (self.done, self.gone) = (true, true);
            return Ok(true);
        }
        if self.ends.is_empty() {
            let owed = self.units.len() - self.answering;
            if owed == 0 || (self.eager && owed < OWED_MAX) {
                match self.acts.pop_front() {
                    Some(act) => self.begin(act, world, names, random),
                    None if owed == 0 => {
                        self.leave(random);
                        return Ok(true);
                    }
                    None => {}
                }
            }
        }
        let sent = !self.ends.is_empty();
        if sent {
            self.send(world.now(), random);
        }
        Ok(sent || answered)
    }

    fn leave(&mut self, random: &mut Random) {
        if random.one_in(2) {
            self.peer.end();
        } else {
            self.peer.reset();
        }
        self.done = true;
    }

    fn begin(&mut self, act: Act, world: &World, names: &[String], random: &mut Random) {
        self.bytes.clear();
        self.sent = 0;
        for (kind, mut commands) in act {
            for command in &mut commands {
                if let Command::Kill(id) = command {
                    let ids = world.client_ids();
                    *id = if ids.is_empty() { 1 } else { *random.pick(&ids) };
                }
            }
            if kind != Kind::Together {
                self.bytes.extend(encode(&["MULTI"]));
            }
            for command in &commands {
                self.bytes.extend(encode(&command.words(names)));
            }
            match kind {
                Kind::Together => {}
                Kind::Exec => self.bytes.extend(encode(&["EXEC"])),
                Kind::Discard => self.bytes.extend(encode(&["DISCARD"])),
            }
            let (client, replies) = (self.number, Vec::new());
            self.units.push(Unit { client, kind, commands, invoked: 0, completed: None, replies });
            self.ends.push_back(self.bytes.len());
        }
    }

    /// Sends a piece: of any size, or units.
    fn send(&mut self, now: u64, random: &mut Random) {
        let rest = self.bytes.len() - self.sent;
        let length = if !self.whole {
            let longest = *random.pick(&[10, 100, 1000]);
            (1 + random.below(longest)).min(rest)
        } else if random.one_in(2) {
            rest
        } else {
            self.ends.front().map_or(rest, |end| end - self.sent)
        };
        self.peer.write(&self.bytes[self.sent..self.sent + length]);
        self.sent += length;
        while self.ends.front().is_some_and(|end| *end <= self.sent) {
            let unit = self.units.len() - self.ends.len();
            self.units[unit].invoked = now;
            self.ends.pop_front();
        }
    }

    /// What it did, as far as it was sent: a unit of which a part is missing does nothing.
    pub fn sent_units(&self) -> &[Unit] {
        &self.units[..self.units.len() - self.ends.len()]
    }

    fn read(&mut self, now: u64) -> Result<bool, String> {
        self.unread.extend(self.peer.read());
        let mut position = 0;
        let mut any = false;
        loop {
            let mut end = position;
            let reply = parse(&self.unread, &mut end).map_err(|error| format!("{error:?}"))?;
            let Some(reply) = reply else { break };
            position = end;
            any = true;
            let sent = self.units.len() - self.ends.len();
            let Some(unit) = self.units.get_mut(self.answering) else {
                return Err(format!("client {} is answered {reply:?}, having asked nothing", self.number));
            };
            unit.replies.push(reply);
            if unit.replies.len() == unit.replies_expected() {
                if self.answering >= sent {
                    return Err(format!("client {} is answered before it has asked", self.number));
                }
                unit.completed = Some(now);
                self.answering += 1;
            }
        }
        self.unread.drain(..position);
        Ok(any)
    }

    /// What it waits for, if that is elements and for ever: the database and the keys.
    pub fn waits_at(&self) -> Option<(usize, &[Key])> {
        let sent = self.units.len() - self.ends.len();
        let unit = self.units[..sent].get(self.answering).filter(|_| self.ends.is_empty() && !self.done)?;
        let keys = match &unit.commands[..] {
            [Command::AwaitPop(keys, 0)] if unit.kind == Kind::Together => &keys[..],
            [Command::AwaitMove { from, limit_ms: 0, .. }] if unit.kind == Kind::Together => {
                std::slice::from_ref(from)
            }
            _ => return None,
        };
        let selected = |unit: &Unit| {
            let ran = unit.kind == Kind::Together
                || (unit.kind == Kind::Exec && matches!(unit.replies.last(), Some(Reply::Array(_))));
            let select = |command: &Command| match command {
                Command::Select(database) => Some(*database),
                _ => None,
            };
            unit.commands.iter().rev().find_map(select).filter(|_| ran)
        };
        let database = self.units[..self.answering].iter().rev().find_map(selected).unwrap_or(0);
        Some((database, keys))
    }

    /// For a failure.
    pub fn describe(&self) -> String {
        let owed: Vec<&Unit> = self.units[self.answering..].iter().collect();
        format!(
            "client {}: {} acts to do, {} units to send, done: {}, owed: {owed:?}",
            self.number,
            self.acts.len(),
            self.ends.len(),
            self.done
        )
    }
}
