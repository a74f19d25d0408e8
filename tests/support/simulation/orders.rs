//! Looks for an order of what clients did that explains every reply and does not contradict the clock: a
//! search through all orders that are possible (Wing and Gong, "Testing and Verifying Concurrent Objects",
//! J. Parallel Distrib. Comput. 1993), which does not go twice from the same state with the same rest (Lowe,
//! "Testing for Linearizability", Concurr. Comput. 2017). Unlike the judge of histories it knows every
//! command, since it has the [`Model`] run them, and unlike it, it proves: if it finds an order, there is one.
//!
//! A unit that only reads and is answered rightly may as well come first, so no other is tried in its place. With that, the search goes almost straight to the end of a right history; a wrong one it has to
//! search whole, up to a limit.

use std::collections::HashSet;
use std::fmt::Write;

use crate::support::client::Reply;

use super::model::{Command, Model};

/// What takes effect at one moment.
#[derive(Clone, Debug)]
pub struct Unit {
    pub client: usize,
    pub kind: Kind,
    pub commands: Vec<Command>,
    /// When its last byte was sent.
    pub invoked: u64,
    /// When its last reply was read; `None` if the client was gone by then.
    pub completed: Option<u64>,
    /// The replies that were read.
    pub replies: Vec<Reply>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Kind {
    /// Commands that were sent together.
    Together,
    /// The commands between MULTI and EXEC.
    Exec,
    /// The commands between MULTI and DISCARD.
    Discard,
}

impl Unit {
    /// Replies that its client gets.
    pub fn replies_expected(&self) -> usize {
        match self.kind {
            Kind::Together => self.commands.len(),
            Kind::Exec | Kind::Discard => self.commands.len() + 2,
        }
    }

    /// The reply to a command that was run, if it is known.
    pub fn reply_to(&self, index: usize) -> Option<&Reply> {
        match (self.kind, self.replies.get(self.commands.len() + 1)) {
            (Kind::Together, _) => self.replies.get(index),
            (Kind::Exec, Some(Reply::Array(replies))) => replies.get(index),
            _ => None,
        }
    }

    /// Runs it on a model; whether its replies could be those.
    fn run(&self, model: &mut Model, names: &[String]) -> bool {
        let outcome = self.replies.get(self.commands.len() + 1);
        if self.kind != Kind::Together && !self.was_queued() {
            return false;
        }
        match self.kind {
            Kind::Together => {}
            Kind::Discard => {
                model.forget_watched(self.client);
                return outcome.is_none_or(|reply| *reply == Reply::ok());
            }
            Kind::Exec if !model.exec_runs(self.client) => {
                model.forget_watched(self.client);
                return outcome.is_none_or(|reply| *reply == Reply::NullArray);
            }
            Kind::Exec => {
                let whole = |reply: &Reply| matches!(reply, Reply::Array(replies) if replies.len() == self.commands.len());
                if !outcome.is_none_or(whole) {
                    return false;
                }
                // Its own changes spoil nothing.
                model.forget_watched(self.client);
            }
        }
        let mut commands = self.commands.iter().enumerate();
        commands.all(|(index, command)| model.run(self.client, command, names, self.reply_to(index)))
    }

    /// Whether it has left the keys alone, whenever it was. One that might have changed something, at another
    /// moment, or whose replies nobody knows, is not of this kind.
    fn changes_nothing(&self) -> bool {
        let spoilt = self.replies.get(self.commands.len() + 1) == Some(&Reply::NullArray);
        match self.kind {
            _ if self.completed.is_none() => false,
            Kind::Discard => true,
            Kind::Exec if spoilt => true,
            _ => self.commands.iter().all(Command::only_reads),
        }
    }

    /// Whether MULTI and the commands behind it were answered as they have to be.
    fn was_queued(&self) -> bool {
        self.replies.iter().take(self.commands.len() + 1).enumerate().all(|(index, reply)| match index {
            0 => *reply == Reply::ok(),
            _ => *reply == Reply::Simple(b"QUEUED".to_vec()),
        })
    }

    /// For people.
    fn describe(&self, names: &[String]) -> String {
        let mut text = format!("client {}, {} to ", self.client, self.invoked);
        match self.completed {
            Some(at) => write!(text, "{at}: "),
            None => write!(text, "an unknown end: "),
        }
        .expect("a string takes everything");
        let line = |command: &Command| {
            let words = command.words(names);
            words.iter().map(|word| String::from_utf8_lossy(word).into_owned()).collect::<Vec<_>>().join(" ")
        };
        let mut lines: Vec<String> = self.commands.iter().map(line).collect();
        if self.kind != Kind::Together {
            lines.insert(0, "MULTI".into());
            lines.push(if self.kind == Kind::Exec { "EXEC" } else { "DISCARD" }.into());
        }
        text += &lines.join("; ");
        let shown = match self.replies.get(self.commands.len() + 1) {
            Some(outcome) if self.kind != Kind::Together => std::slice::from_ref(outcome),
            _ => &self.replies,
        };
        let replies: Vec<String> = shown.iter().map(|reply| reply.render().join(" ")).collect();
        text + " => " + &replies.join(", ")
    }
}

/// All that the clients of a run did, and in what they began.
pub struct Recording {
    /// By client, in the order in which they were sent.
    pub clients: Vec<Vec<Unit>>,
    pub begin: Model,
    pub names: Vec<String>,
}

/// What came of a search.
#[derive(Debug, PartialEq)]
pub enum Verdict {
    Found,
    /// There is no order.
    None,
    /// It took too long.
    Undecided,
}

/// States that are visited, at most, before it is said that nobody knows.
const STATES_MAX: usize = 300_000;
/// The same for each of the searches that make a wrong history smaller.
const STATES_OF_SHRINKING_MAX: usize = 20_000;

/// How much of a unit counts.
#[derive(Clone, Copy, PartialEq)]
enum Weight {
    /// It has happened, with its replies.
    Known,
    /// It may have happened or not, and its replies are nobody's business. (Not that it is away: what it wrote
    /// may have been seen.)
    Free,
}

pub fn find_order(recording: &Recording) -> Verdict {
    let weights = recording.clients.iter().map(|units| vec![Weight::Known; units.len()]).collect();
    match Search::new(recording, weights, STATES_MAX).run() {
        Some(true) => Verdict::Found,
        Some(false) => Verdict::None,
        None => Verdict::Undecided,
    }
}

/// A history without an order, in words: units are freed one after the other, as long as there is no order all
/// the same. What is wrong with fewer constraints is wrong.
pub fn shrink(recording: &Recording) -> String {
    let mut weights: Vec<Vec<Weight>> =
        recording.clients.iter().map(|units| vec![Weight::Known; units.len()]).collect();
    for client in 0..weights.len() {
        for unit in (0..weights[client].len()).rev() {
            weights[client][unit] = Weight::Free;
            let search = Search::new(recording, weights.clone(), STATES_OF_SHRINKING_MAX);
            if search.run() != Some(false) {
                weights[client][unit] = Weight::Known;
            }
        }
    }
    let mut lines = Vec::new();
    for (units, weights) in recording.clients.iter().zip(&weights) {
        for (unit, weight) in units.iter().zip(weights) {
            let mark = if *weight == Weight::Free { "  maybe " } else { "  " };
            lines.push((unit.invoked, format!("{mark}{}", unit.describe(&recording.names))));
        }
    }
    lines.sort();
    lines.into_iter().map(|(_, line)| line).collect::<Vec<_>>().join("\n")
}

struct Search<'a> {
    recording: &'a Recording,
    weights: Vec<Vec<Weight>>,
    visited: HashSet<(u64, u64)>,
    hashers: [ahash::RandomState; 2],
    states_left: usize,
}

impl<'a> Search<'a> {
    fn new(recording: &'a Recording, weights: Vec<Vec<Weight>>, states_max: usize) -> Self {
        let hashers = [1, 2].map(|seed| ahash::RandomState::with_seeds(seed, 2, 3, 4));
        Search { recording, weights, visited: HashSet::new(), hashers, states_left: states_max }
    }

    /// Whether there is an order; `None` if the limit was reached.
    fn run(mut self) -> Option<bool> {
        let mut positions = vec![0; self.recording.clients.len()];
        let found = self.go_on(&mut positions, &self.recording.begin.clone());
        (found || self.states_left > 0).then_some(found)
    }

    /// When the unit has certainly happened.
    fn completed(&self, client: usize, position: usize) -> u64 {
        let known = self.weights[client][position] == Weight::Known;
        let completed = self.recording.clients[client][position].completed.filter(|_| known);
        completed.unwrap_or(u64::MAX)
    }

    fn go_on(&mut self, positions: &mut Vec<u16>, model: &Model) -> bool {
        let recording = self.recording;
        let mut next: Vec<(u64, usize)> = (0..positions.len())
            .filter(|&client| (positions[client] as usize) < recording.clients[client].len())
            .map(|client| (self.horizon(client, positions[client] as usize), client))
            .collect();
        next.sort_unstable();
        // What is left may all not have happened.
        let Some(&(horizon, _)) = next.first().filter(|(horizon, _)| *horizon < u64::MAX) else {
            return true;
        };
        let hash = self.hashers.each_ref().map(|hasher| hasher.hash_one((&*positions, model)));
        if self.states_left == 0 || !self.visited.insert((hash[0], hash[1])) {
            return false;
        }
        self.states_left -= 1;
        let mut ways = Vec::new();
        for &(_, client) in &next {
            let position = positions[client] as usize;
            let unit = &recording.clients[client][position];
            if unit.invoked > horizon {
                continue;
            }
            let free = self.weights[client][position] == Weight::Free;
            if free || unit.replies.is_empty() {
                ways.extend(self.run_blindly(unit, model).into_iter().map(|after| (client, after)));
                ways.extend(free.then(|| (client, model.clone())));
                continue;
            }
            let mut after = model.clone();
            if !unit.run(&mut after, &recording.names) {
                continue;
            }
            if unit.changes_nothing() {
                positions[client] += 1;
                let found = self.go_on(positions, &after);
                positions[client] -= 1;
                return found;
            }
            ways.push((client, after));
        }
        for (client, after) in ways {
            positions[client] += 1;
            let found = self.go_on(positions, &after);
            positions[client] -= 1;
            if found {
                return true;
            }
        }
        false
    }

    /// What may come of a unit whose replies nobody knows.
    fn run_blindly(&self, unit: &Unit, model: &Model) -> Vec<Model> {
        let with = |commands: Vec<Command>| {
            let mut after = model.clone();
            let unit = Unit { replies: Vec::new(), commands, ..unit.clone() };
            unit.run(&mut after, &self.recording.names).then_some(after)
        };
        match &unit.commands[..] {
            // Having waited, it may have been served by any of its keys.
            [Command::AwaitPop(keys, _)] if unit.kind == Kind::Together => {
                keys.iter().filter_map(|&key| with(vec![Command::Pop(key)])).collect()
            }
            commands => with(commands.to_vec()).into_iter().collect(),
        }
    }

    /// When all the rest of a client up to its next known unit has certainly happened. A free unit leaves the
    /// order of those behind it as it is, and so their times hold for it, too.
    fn horizon(&self, client: usize, position: usize) -> u64 {
        let rest = position..self.weights[client].len();
        rest.map(|position| self.completed(client, position)).find(|&at| at < u64::MAX).unwrap_or(u64::MAX)
    }
}
