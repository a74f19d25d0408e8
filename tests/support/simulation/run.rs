//! One run: its shards, clients and every chance follow from the seed.

use std::ops::AddAssign;

use crate::support::client::Reply;
use crate::support::history::{self, History, Operation, Outcome, Transaction};
use crate::support::random::Random;

use super::client::Client;
use super::model::{Command, DATABASES, Key, Model};
use super::orders::{Kind, Recording, Unit, Verdict, find_order, shrink};
use super::program::{Act, Author, Class, Focus, Mix, OPENING_BALANCE, Plan};
use super::world::World;

/// If nobody gets on for so many steps, nobody will.
const STEPS_WITHOUT_PROGRESS_MAX: u64 = 15_000;
/// Elements that those get who wait for ever, at most.
const FEEDINGS_MAX: usize = 100;
/// Nor if it takes this long altogether.
const STEPS_MAX: u64 = 400_000;
/// Accounts, where there are any.
const ACCOUNTS: [Key; 2] = [6, 7];

/// What was done.
#[derive(Clone, Copy, Debug, Default)]
pub struct Tally {
    pub runs: u64,
    pub steps: u64,
    pub transactions: u64,
    pub commands: u64,
    /// Transactions that a shard refused.
    pub refused: u64,
    /// EXECs of which nothing came because of a watched key.
    pub spoilt: u64,
    /// Clients that went without having been answered.
    pub gone: u64,
    /// How often all that were left waited for elements, and had to be fed.
    pub fed: u64,
    /// Histories of which nobody knows whether they are right.
    pub undecided: u64,
}

impl AddAssign for Tally {
    fn add_assign(&mut self, other: Tally) {
        self.runs += other.runs;
        self.steps += other.steps;
        self.transactions += other.transactions;
        self.commands += other.commands;
        self.refused += other.refused;
        self.spoilt += other.spoilt;
        self.gone += other.gone;
        self.fed += other.fed;
        self.undecided += other.undecided;
    }
}

/// What is done about a history that is wrong.
#[derive(Clone, Copy, PartialEq)]
pub enum Effort {
    /// It is said that it is.
    Find,
    /// As much of it is taken away as can be, and the rest is told.
    Explain,
}

/// Runs a seed; what is wrong, if anything is.
fn run(seed: u64, focus: Focus, effort: Effort) -> Result<Tally, String> {
    let mut random = Random::new(seed);
    let plan = Plan::new(focus, &mut random);
    let told = |text: String| format!("{plan:?}\n{text}");
    let mut simulation = Simulation::new(&plan, &mut random);
    simulation.run().map_err(told)?;
    simulation.read_all().map_err(told)?;
    simulation.wait_for_the_end().map_err(told)?;
    simulation.judge(effort).map_err(told)
}

/// Runs a seed; a panic is wrong, too.
pub fn run_caught(seed: u64, focus: Focus, effort: Effort) -> Result<Tally, String> {
    std::panic::catch_unwind(|| run(seed, focus, effort)).unwrap_or_else(|cause| {
        let text = cause.downcast_ref::<String>().cloned();
        let text = text.or_else(|| cause.downcast_ref::<&str>().map(ToString::to_string));
        Err(format!("the server\npanics: {}", text.unwrap_or_default()))
    })
}

/// What the clients of a seed sent and were answered, for a comparison of two runs.
pub fn record(seed: u64) -> Result<Vec<Vec<Unit>>, String> {
    let mut random = Random::new(seed);
    let plan = Plan::new(Focus::All, &mut random);
    let mut simulation = Simulation::new(&plan, &mut random);
    simulation.run()?;
    Ok(simulation.clients.iter().map(|client| client.sent_units().to_vec()).collect())
}

struct Simulation<'a> {
    plan: &'a Plan,
    random: &'a mut Random,
    world: World,
    clients: Vec<Client>,
    names: Vec<String>,
    begin: Model,
    tally: Tally,
}

impl<'a> Simulation<'a> {
    fn new(plan: &'a Plan, random: &'a mut Random) -> Self {
        let names = plan.names(random);
        let world = World::new(plan.options, random);
        let clients = Vec::new();
        // One more writes the accounts at first or feeds those that wait, one reads everything in the end.
        let begin = Model::new(plan.clients + 2);
        Simulation { plan, random, world, clients, names, begin, tally: Tally::default() }
    }

    fn run(&mut self) -> Result<(), String> {
        let number = self.plan.clients;
        if self.plan.mix == Mix::Judged {
            let pairs = ACCOUNTS.map(|key| (key, OPENING_BALANCE.to_string().into_bytes())).to_vec();
            ACCOUNTS.iter().for_each(|&key| self.begin.preset(key, &OPENING_BALANCE.to_string()));
            // Before all others, and in nobody's history: it is where they begin.
            let opening = vec![vec![(Kind::Together, vec![Command::SetSeveral(pairs)])]];
            let bank = self.client(number, opening);
            self.clients.push(bank);
            self.go_on()?;
            self.clients.clear();
        }
        let mut values = 0;
        for number in 0..self.plan.clients {
            let mut author = Author { plan: self.plan, random: self.random, values };
            let acts = author.acts();
            values = author.values;
            let mut client = self.client(number, acts);
            client.vanishes = self.random.one_in(self.plan.vanishing);
            self.clients.push(client);
        }
        self.go_on()
    }

    fn client(&mut self, number: usize, acts: Vec<Act>) -> Client {
        let peer = self.world.connect(self.random);
        Client::new(peer, number, acts, self.plan.options.whole, self.random)
    }

    /// Turns shards and clients until all clients are done.
    fn go_on(&mut self) -> Result<(), String> {
        let (begun, mut got_on, mut feedings) = (self.world.now(), self.world.now(), 0);
        // How often a client gets its turn: some are slow.
        let slowness = *self.random.pick(&[1, 2, 4]);
        while self.clients.iter().any(|client| !client.done) {
            self.world.turn(self.random);
            let client = self.random.below(self.clients.len());
            if !self.clients[client].done && self.random.one_in(slowness) {
                self.world.step();
                if self.clients[client].step(&self.world, &self.names, self.random)? {
                    got_on = self.world.now();
                }
            }
            let now = self.world.now();
            if now - got_on > self.patience() && self.all_wait() {
                feedings += 1;
                if feedings > FEEDINGS_MAX {
                    return Err(self.hangs());
                }
                self.tally.fed += 1;
                self.feed()?;
                got_on = self.world.now();
                continue;
            }
            if now - got_on > STEPS_WITHOUT_PROGRESS_MAX || now - begun > STEPS_MAX {
                return Err(self.hangs());
            }
        }
        Ok(())
    }

    fn hangs(&mut self) -> String {
        let clients: Vec<String> = self.clients.iter().map(Client::describe).collect();
        format!("hangs: {}\n{}", clients.join("\n"), self.world.leftovers().join(", "))
    }

    /// After so many steps without progress, whatever was on its way has arrived.
    fn patience(&self) -> u64 {
        if self.plan.options.delays { 5_000 } else { 500 }
    }

    /// Whether all that are left wait for elements for ever.
    fn all_wait(&self) -> bool {
        self.clients.iter().filter(|client| !client.done).all(|client| client.waits_at().is_some())
    }

    /// Nobody is left who would bring what the others wait for: one more client makes sure that it is not there,
    /// and brings it.
    fn feed(&mut self) -> Result<(), String> {
        let keys: Vec<Key> = (0..self.plan.keys as Key).collect();
        let one_by_one = |commands: Vec<Command>| {
            commands.into_iter().map(|command| vec![(Kind::Together, vec![command])]).collect::<Vec<_>>()
        };
        let number = self.plan.clients;
        for database in 0..DATABASES {
            let select = Command::Select(database);
            let mut looks = vec![select.clone()];
            looks.extend(keys.iter().map(|&key| Command::Range(key)));
            let looker = self.send_alone(number, one_by_one(looks))?;
            let mut brings = vec![select];
            for (unit, &key) in looker.sent_units()[1..].iter().zip(&keys) {
                let there = matches!(&unit.replies[..], [Reply::Array(elements)] if !elements.is_empty());
                let waits = |client: &&Client| {
                    client.waits_at().is_some_and(|(at, keys)| at == database && keys.contains(&key))
                };
                if let Some(client) = self.clients.iter().find(waits).filter(|_| there) {
                    return Err(format!(
                        "{} has elements for {}",
                        self.names[key as usize],
                        client.describe()
                    ));
                }
                if self.clients.iter().any(|client| waits(&client)) {
                    brings.extend([Command::Delete(vec![key]), Command::Push(key, b"fed".to_vec())]);
                }
            }
            self.clients.push(looker);
            let bringer = self.send_alone(number, one_by_one(brings))?;
            self.clients.push(bringer);
        }
        Ok(())
    }

    /// One client, while the others stand still.
    fn send_alone(&mut self, number: usize, acts: Vec<Act>) -> Result<Client, String> {
        let mut client = self.client(number, acts);
        let begun = self.world.now();
        while !client.done {
            self.world.turn(self.random);
            self.world.step();
            client.step(&self.world, &self.names, self.random)?;
            if self.world.now() - begun > STEPS_WITHOUT_PROGRESS_MAX {
                return Err(format!("{}\n{}", self.hangs(), client.describe()));
            }
        }
        Ok(client)
    }

    /// One more client reads what the others have left.
    fn read_all(&mut self) -> Result<(), String> {
        let keys: Vec<Key> = (0..self.plan.keys as Key).collect();
        let mut acts = Vec::new();
        for database in 0..if self.plan.mix == Mix::Judged { 1 } else { DATABASES } {
            let mut commands = vec![Command::Select(database), Command::GetSeveral(keys.clone())];
            if self.plan.mix != Mix::Judged {
                commands.extend([Command::Size, Command::Keys, Command::Exist(keys.clone())]);
                commands.extend(keys.iter().map(|&key| Command::Range(key)));
            }
            acts.extend(commands.into_iter().map(|command| vec![(Kind::Together, vec![command])]));
        }
        let reader = self.client(self.plan.clients + 1, acts);
        self.clients.push(reader);
        self.go_on()
    }

    /// Those that have left have to be noticed, and what they began comes to its end.
    fn wait_for_the_end(&mut self) -> Result<(), String> {
        let begun = self.world.now();
        loop {
            // Looking is dearer than turning.
            (0..20).for_each(|_| self.world.turn(self.random));
            let left = self.world.leftovers();
            if left.is_empty() {
                return Ok(());
            }
            if self.world.now() - begun > STEPS_WITHOUT_PROGRESS_MAX {
                return Err(format!("in the end {}", left.join(", ")));
            }
        }
    }

    fn judge(self, effort: Effort) -> Result<Tally, String> {
        let killed = self
            .clients
            .iter()
            .flat_map(Client::sent_units)
            .any(|unit| unit.commands.iter().any(|command| matches!(command, Command::Kill(_))));
        if let Some(client) = self.clients.iter().find(|client| client.gone && !client.vanishes && !killed) {
            return Err(format!("sent away without a reason: {}", client.describe()));
        }
        let mut tally =
            Tally { runs: 1, steps: self.world.now(), refused: self.world.retries(), ..self.tally };
        tally.gone = self.clients.iter().filter(|client| client.gone).count() as u64;
        let units = self.clients.iter().flat_map(Client::sent_units);
        for unit in units {
            tally.transactions += 1;
            tally.commands += unit.commands.len() as u64;
            let spoilt = unit.kind == Kind::Exec && unit.replies.last() == Some(&Reply::NullArray);
            tally.spoilt += u64::from(spoilt);
        }
        let judged = (self.plan.mix == Mix::Judged).then(|| self.history());
        let mut clients: Vec<Vec<Unit>> = vec![Vec::new(); self.plan.clients + 2];
        for client in &self.clients {
            clients[client.number].extend_from_slice(client.sent_units());
        }
        let faults = judged.map(|history| history::check(&history)).unwrap_or_default();
        let texts: Vec<&str> = faults.iter().map(|fault| fault.text.as_str()).collect();
        let told = |text: String| format!("{text}\n\n{}", texts.join("\n\n"));
        let recording = Recording { clients, begin: self.begin, names: self.names };
        match find_order(&recording) {
            Verdict::None if effort == Effort::Find => Err("no order explains this".into()),
            Verdict::None => Err(told(format!("no order explains this:\n{}", shrink(&recording)))),
            _ if !faults.is_empty() => Err(told("the judge of histories has found:".into())),
            Verdict::Found => Ok(tally),
            Verdict::Undecided => Ok(Tally { undecided: 1, ..tally }),
        }
    }

    fn history(&self) -> History {
        let units = self.clients.iter().flat_map(Client::sent_units);
        let position = |unit: &Unit, before: Option<&Transaction>| {
            before.map_or(0, |before| {
                let together = before.client == unit.client as u32 && before.invoked == unit.invoked;
                if together { before.position + 1 } else { 0 }
            })
        };
        let mut transactions: Vec<Transaction> = Vec::new();
        for unit in units {
            let spoilt = unit.kind == Kind::Exec && unit.replies.last() == Some(&Reply::NullArray);
            let outcome = match unit.completed {
                _ if spoilt || unit.kind == Kind::Discard => Outcome::Aborted,
                Some(at) => Outcome::Committed(at),
                None => Outcome::Unknown,
            };
            transactions.push(Transaction {
                client: unit.client as u32,
                invoked: unit.invoked,
                position: position(unit, transactions.last()),
                outcome,
                operations: self.operations(unit),
            });
        }
        History { transactions, accounts: ACCOUNTS.map(|key| (key.into(), OPENING_BALANCE)).to_vec() }
    }

    /// What a unit's commands and replies say to the judge.
    fn operations(&self, unit: &Unit) -> Vec<Operation> {
        let mut operations = Vec::new();
        // A transfer is one operation for two commands.
        if let [Command::Add(from, _), Command::Add(to, amount)] = unit.commands[..] {
            return vec![Operation::Transfer { from: from.into(), to: to.into(), amount }];
        }
        for (index, command) in unit.commands.iter().enumerate() {
            let reply = unit.reply_to(index);
            match command {
                Command::Get(key) => operations.extend(reply.and_then(|reply| self.read(*key, reply))),
                Command::GetSeveral(keys) => {
                    let Some(Reply::Array(values)) = reply else { continue };
                    if keys[..] == ACCOUNTS {
                        let number = |reply: &Reply| reply.text().parse().unwrap_or(i64::MIN);
                        let balances = keys.iter().map(|&key| key.into()).zip(values.iter().map(number));
                        operations.push(Operation::Balances { accounts: balances.collect() });
                    } else {
                        let values = keys.iter().zip(values);
                        operations.extend(values.filter_map(|(key, value)| self.read(*key, value)));
                    }
                }
                Command::Set(key, value) => operations.push(written(*key, value)),
                Command::SetSeveral(pairs) => {
                    operations.extend(pairs.iter().map(|(key, value)| written(*key, value)))
                }
                Command::Append(key, element) => operations.push(Operation::Append {
                    key: (*key).into(),
                    element: number(element.strip_suffix(b",").unwrap_or(element)),
                    // Elements are of different lengths: only a read tells how many there are.
                    length: None,
                }),
                Command::Increment(key) => {
                    let result = reply.map(|reply| reply.integer() as u64);
                    operations.push(Operation::Increment { key: (*key).into(), result });
                }
                _ => {}
            }
        }
        operations
    }

    fn read(&self, key: Key, reply: &Reply) -> Option<Operation> {
        let text = match reply {
            Reply::Bulk(text) => Some(text),
            _ => None,
        };
        let key_number = key.into();
        match self.plan.class(key) {
            Class::Register => {
                Some(Operation::Read { key: key_number, value: text.map(|text| number(text)) })
            }
            Class::Counter => {
                let value = text.map_or(0, |text| number(text));
                Some(Operation::ReadCounter { key: key_number, value })
            }
            Class::List => {
                let elements = text.map_or(Vec::new(), |text| {
                    text.split(|&byte| byte == b',').filter(|text| !text.is_empty()).map(number).collect()
                });
                Some(Operation::ReadList { key: key_number, elements })
            }
            // The judge wants to see all accounts at once.
            Class::Account | Class::Any => None,
        }
    }
}

fn written(key: Key, value: &[u8]) -> Operation {
    Operation::Write { key: key.into(), value: number(value) }
}

/// A number that somebody wrote; if it is none, one that nobody wrote.
fn number(text: &[u8]) -> u64 {
    std::str::from_utf8(text).ok().and_then(|text| text.parse().ok()).unwrap_or(u64::MAX)
}
