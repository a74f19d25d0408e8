//! What clients are going to do, by chance.

use crate::support::random::Random;

use super::model::{Command, DATABASES, Key};
use super::orders::Kind;
use super::world::{Clocks, Options, SHARDS_MAX};

/// Commands of a pipeline or of MULTI, at most.
const COMMANDS_MAX: usize = 5;
/// What is in each account at first.
pub const OPENING_BALANCE: i64 = 100;
/// The longest wait for elements: some hundred steps.
const WAIT_MS_MAX: usize = 3_000;

/// What a run's clients do.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Mix {
    /// Registers, lists in strings, counters and accounts, each with keys of their own: what the judge of
    /// histories understands. Nothing is deleted.
    Judged,
    /// Everything on every key, but nothing waits for elements.
    Everything,
    /// That, and lists with clients that wait for elements.
    Waiting,
}

/// Which runs there are.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Focus {
    All,
    /// Those with clients that wait for elements, and with little else.
    Waiting,
}

/// A run, but for its clients.
#[derive(Clone, Debug)]
pub struct Plan {
    pub options: Options,
    pub mix: Mix,
    pub clients: usize,
    /// What a client does one after the other, at most.
    acts_max: usize,
    pub keys: usize,
    /// Of these, the ones that most commands are about.
    favourites: usize,
    /// Commands about all keys.
    whole_databases: bool,
    transactions: bool,
    /// Hardly anything but lists, and clients that wait.
    lists: bool,
    /// Some wait for elements for ever.
    for_ever: bool,
    databases: usize,
    /// One in so many clients vanishes; one in so many acts kills a client.
    pub vanishing: usize,
    killing: usize,
}

/// What a client sends at once: units that are all answered before it goes on.
pub type Act = Vec<(Kind, Vec<Command>)>;

impl Plan {
    pub fn new(focus: Focus, random: &mut Random) -> Plan {
        let waiting = focus == Focus::Waiting;
        let mix = *random.pick(&[Mix::Judged, Mix::Everything, Mix::Everything, Mix::Waiting]);
        let mix = if waiting { Mix::Waiting } else { mix };
        let clocks = match random.below(6) {
            0 => Clocks::Exact,
            1 => Clocks::Skewed(20),
            2 => Clocks::Skewed(5_000),
            _ => Clocks::None,
        };
        let keys = match mix {
            Mix::Judged => 8,
            _ => 2 + random.below(6),
        };
        let often = |random: &mut Random, choices: &[usize]| *random.pick(choices);
        Plan {
            options: Options {
                // On few, transactions differ most in where their keys are.
                shards: if random.one_in(2) { 2 + random.below(2) } else { 1 + random.below(SHARDS_MAX) },
                clocks,
                delays: random.one_in(2),
                whole: !random.one_in(3),
            },
            mix,
            clients: 2 + random.below(6),
            acts_max: often(random, &[2, 4, 8, 12]),
            keys,
            favourites: 1 + random.below(keys),
            whole_databases: mix != Mix::Judged && random.one_in(2),
            transactions: !random.one_in(4),
            lists: mix == Mix::Waiting && (random.one_in(2) || waiting),
            for_ever: mix == Mix::Waiting && (random.one_in(2) || waiting),
            databases: if mix != Mix::Judged && random.one_in(3) { DATABASES } else { 1 },
            vanishing: often(random, &[3, 8, usize::MAX]),
            killing: often(random, &[10, usize::MAX, usize::MAX]),
        }
    }

    /// Names that go to shards by chance.
    pub fn names(&self, random: &mut Random) -> Vec<String> {
        let name = |key| format!("{}:{key}:{}", self.class(key as Key), random.below(1_000));
        (0..self.keys).map(name).collect()
    }

    /// What a key is for.
    pub fn class(&self, key: Key) -> Class {
        match (self.mix, key) {
            (Mix::Judged, 0..3) => Class::Register,
            (Mix::Judged, 3..5) => Class::List,
            (Mix::Judged, 5) => Class::Counter,
            (Mix::Judged, _) => Class::Account,
            _ => Class::Any,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Class {
    Register,
    /// Of elements with an end each.
    List,
    Counter,
    Account,
    Any,
}

impl std::fmt::Display for Class {
    fn fmt(&self, to: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        to.write_str(match self {
            Class::Register => "register",
            Class::List => "list",
            Class::Counter => "counter",
            Class::Account => "account",
            Class::Any => "key",
        })
    }
}

fn together(command: Command) -> (Kind, Vec<Command>) {
    (Kind::Together, vec![command])
}

/// An element of a list in a string.
pub fn element(value: u64) -> Vec<u8> {
    format!("{value},").into_bytes()
}

/// Writes what clients do.
pub struct Author<'a> {
    pub plan: &'a Plan,
    pub random: &'a mut Random,
    /// Values so far: none is used twice.
    pub values: u64,
}

impl Author<'_> {
    pub fn acts(&mut self) -> Vec<Act> {
        let count = 1 + self.random.below(self.plan.acts_max);
        let mut acts = Vec::new();
        if self.plan.databases > 1 && self.random.one_in(2) {
            acts.push(vec![together(Command::Select(self.random.below(DATABASES)))]);
        }
        for _ in 0..count {
            self.act(&mut acts);
        }
        acts
    }

    fn act(&mut self, acts: &mut Vec<Act>) {
        if self.random.one_in(self.plan.killing) {
            // The number is put in when it is sent.
            return acts.push(vec![together(Command::Kill(0))]);
        }
        if !self.plan.transactions {
            return match self.random.below(3) {
                0 => acts.push(self.pipeline()),
                _ => acts.push(vec![together(self.command())]),
            };
        }
        match self.random.below(12) {
            0 => acts.push(self.pipeline()),
            1 => acts.push(self.pipeline_of_transactions()),
            2..5 => {
                let commands = self.commands();
                acts.push(vec![(Kind::Exec, commands)]);
            }
            5 | 6 => self.watch(acts),
            7 => acts.push(vec![(Kind::Exec, self.transfer())]),
            8 if self.random.one_in(2) => {
                let commands = self.commands();
                acts.push(vec![(Kind::Discard, commands)]);
            }
            _ => acts.push(vec![together(self.command())]),
        }
    }

    /// Commands on one key, or divided by their keys. Whole, they take effect together, but that clients who
    /// wait for elements get them after each command; cut, they only come in their order.
    fn pipeline(&mut self) -> Act {
        let count = 2 + self.random.below(COMMANDS_MAX);
        let commands: Vec<Command> = (0..count).map(|_| self.pipelined()).collect();
        if self.plan.options.whole && self.plan.mix != Mix::Waiting {
            vec![(Kind::Together, commands)]
        } else {
            commands.into_iter().map(|command| (Kind::Together, vec![command])).collect()
        }
    }

    /// Transactions behind each other, and commands among them. Each is a whole of its own.
    fn pipeline_of_transactions(&mut self) -> Act {
        (0..2 + self.random.below(3))
            .map(|_| match self.random.below(4) {
                0 => together(self.pipelined()),
                // Hardly ever one that cannot go with its neighbours.
                1 if self.random.one_in(4) => (Kind::Exec, self.commands()),
                _ => {
                    let count = 1 + self.random.below(3);
                    (Kind::Exec, (0..count).map(|_| self.pipelined()).collect())
                }
            })
            .collect()
    }

    fn pipelined(&mut self) -> Command {
        match self.random.below(12) {
            0 | 1 => Command::GetSeveral(self.several()),
            2 => Command::SetSeveral(self.pairs()),
            3 if self.plan.mix != Mix::Judged => Command::Delete(self.several()),
            4 if self.plan.mix != Mix::Judged => Command::Exist(self.several()),
            _ => self.single_key(),
        }
    }

    fn commands(&mut self) -> Vec<Command> {
        let count = *self.random.pick(&[1, 2, 2, 3, COMMANDS_MAX]);
        (0..count).map(|_| self.command()).collect()
    }

    /// WATCH, reads, and an EXEC that may come to nothing.
    fn watch(&mut self, acts: &mut Vec<Act>) {
        let keys = self.several();
        let read = match keys[..] {
            [key] => Command::Get(key),
            _ => Command::GetSeveral(keys.clone()),
        };
        let (watch, read) = (together(Command::Watch(keys)), together(read));
        if self.random.one_in(2) {
            acts.push(vec![watch, read]);
        } else {
            acts.extend([vec![watch], vec![read]]);
        }
        if self.random.one_in(6) {
            let between = self.command();
            acts.push(vec![together(between)]);
        }
        if self.random.one_in(8) {
            acts.push(vec![together(Command::Unwatch)]);
        }
        let commands = self.commands();
        acts.push(vec![(Kind::Exec, commands)]);
    }

    /// From one account to another.
    fn transfer(&mut self) -> Vec<Command> {
        let (from, to) = match self.plan.mix {
            Mix::Judged if self.random.one_in(2) => (6, 7),
            Mix::Judged => (7, 6),
            _ => (self.key(), self.key()),
        };
        let amount = 1 + self.random.below(50) as i64;
        vec![Command::Add(from, -amount), Command::Add(to, amount)]
    }

    fn value(&mut self) -> u64 {
        self.values += 1;
        self.values
    }

    fn key(&mut self) -> Key {
        let count = if self.random.one_in(5) { self.plan.keys } else { self.plan.favourites };
        self.random.below(count) as Key
    }

    /// A key of a kind, where keys have one.
    fn key_for(&mut self, class: Class) -> Key {
        match (self.plan.mix, class) {
            (Mix::Judged, Class::Register) => self.random.below(3) as Key,
            (Mix::Judged, Class::List) => 3 + self.random.below(2) as Key,
            (Mix::Judged, Class::Counter) => 5,
            _ => self.key(),
        }
    }

    /// Keys, not all of them different.
    fn several(&mut self) -> Vec<Key> {
        let count = *self.random.pick(&[1, 2, 2, 3, 4]);
        (0..count).map(|_| self.key()).collect()
    }

    fn pairs(&mut self) -> Vec<(Key, Vec<u8>)> {
        let mut pairs: Vec<(Key, Vec<u8>)> = Vec::new();
        for _ in 0..1 + self.random.below(4) {
            let (key, value) = (self.key_for(Class::Register), self.value());
            // The judge wants to see every value that is written.
            if self.plan.mix != Mix::Judged || pairs.iter().all(|(other, _)| *other != key) {
                pairs.push((key, value.to_string().into_bytes()));
            }
        }
        pairs
    }

    fn single_key(&mut self) -> Command {
        if self.plan.lists && !self.random.one_in(20) {
            return self.on_lists();
        }
        match self.random.below(8) {
            0 | 1 => Command::Get(self.key()),
            2 => {
                let (key, value) = (self.key_for(Class::Register), self.value());
                Command::Set(key, value.to_string().into_bytes())
            }
            3 | 4 => {
                let (key, value) = (self.key_for(Class::List), self.value());
                Command::Append(key, element(value))
            }
            5 => Command::Increment(self.key_for(Class::Counter)),
            6 if self.plan.mix == Mix::Waiting => self.on_lists(),
            6 if self.plan.mix == Mix::Everything => Command::Delete(vec![self.key()]),
            _ => Command::Get(self.key()),
        }
    }

    fn on_lists(&mut self) -> Command {
        let key = self.key();
        match self.random.below(6) {
            0..3 => Command::Push(key, format!("e{}", self.value()).into_bytes()),
            3 => Command::Pop(key),
            4 => Command::Range(key),
            _ => Command::Delete(vec![key]),
        }
    }

    fn waiting(&mut self) -> Command {
        let for_ever = self.plan.for_ever && self.random.one_in(2);
        let limit_ms = if for_ever { 0 } else { 1 + self.random.below(WAIT_MS_MAX) as u32 };
        match self.random.below(4) {
            0 => Command::AwaitMove { from: self.key(), to: self.key(), limit_ms },
            1 => Command::Move { from: self.key(), to: self.key() },
            _ => Command::AwaitPop(self.several(), limit_ms),
        }
    }

    fn command(&mut self) -> Command {
        if self.plan.lists && self.random.one_in(2) {
            return if self.random.one_in(2) { self.waiting() } else { self.on_lists() };
        }
        match (self.plan.mix, self.random.below(16)) {
            (Mix::Judged, 14..) => Command::GetSeveral(vec![6, 7]),
            (_, 0..4) => self.single_key(),
            (_, 4..7) => Command::GetSeveral(self.several()),
            (_, 7..9) => Command::SetSeveral(self.pairs()),
            (Mix::Judged, _) => Command::GetSeveral(self.several()),
            (Mix::Waiting, 9 | 10) => self.waiting(),
            (Mix::Waiting, 11 | 12) => self.on_lists(),
            (_, 9) => Command::Delete(self.several()),
            (_, 10) => Command::Exist(self.several()),
            (_, 11) => Command::SetSeveralNew(self.pairs()),
            (_, 12) => Command::Rename { from: self.key(), to: self.key(), new: self.random.one_in(3) },
            (_, 13) => Command::Copy { from: self.key(), to: self.key(), replace: self.random.one_in(2) },
            _ if self.plan.whole_databases => self.whole_database(),
            _ => self.single_key(),
        }
    }

    fn whole_database(&mut self) -> Command {
        match self.random.below(10) {
            0..3 => Command::Size,
            3..6 => Command::Keys,
            6 => Command::FlushAll,
            7 => Command::FlushDatabase,
            8 if self.plan.databases > 1 => Command::Swap,
            9 if self.plan.databases > 1 => Command::Select(self.random.below(DATABASES)),
            _ => Command::Size,
        }
    }
}
