//! What clients do: bursts of commands for each check, on keys that are in use at a time, so that clients
//! meet; after some thousand operations on the next ones, so that every key's history stays short.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use super::history::{ACCOUNTS, Form, KEYS_MAX, Kind, MARKS, Operation};
use super::options::{Check, VerifyOptions};
use crate::keys::Random;

/// Steps of a transaction, at most.
const STEPS_MAX: u64 = 5;

/// Texts grow with every step and are read as a whole: they are left sooner.
const TEXT_SHARE: u64 = 5;

/// Operations that one command, or MULTI with EXEC, makes.
#[derive(Debug, Clone)]
pub struct Request {
    pub form: Form,
    pub operations: Vec<Operation>,
}

impl Request {
    fn one(operation: Operation) -> Request {
        Request { form: operation.form, operations: vec![operation] }
    }
}

/// A burst: sent together, or a compare-and-set, which needs two turns.
pub enum Burst {
    Pipeline(Vec<Request>),
    CompareAndSet { key: u32, value: i64 },
}

/// What all clients share.
pub struct Shared {
    checks: Vec<Check>,
    keys: u32,
    key_operations: u64,
    pipeline: u64,
    /// Operations of each check so far.
    turns: [AtomicU64; Check::ALL.len()],
    /// The last value that was written: every value is new.
    value: AtomicU32,
    /// The group that each writer of marks writes to.
    groups: Vec<AtomicU32>,
    last_group: AtomicU32,
}

impl Shared {
    pub fn new(options: &VerifyOptions) -> Shared {
        let mut checks = options.checks.clone();
        checks.sort_unstable();
        checks.dedup();
        let writers = u32::from(options.clients).min(options.keys);
        Shared {
            checks,
            keys: options.keys,
            key_operations: options.key_operations,
            pipeline: options.pipeline.into(),
            turns: Default::default(),
            value: AtomicU32::new(0),
            groups: (0..writers).map(AtomicU32::new).collect(),
            last_group: AtomicU32::new(writers),
        }
    }

    fn value(&self) -> i64 {
        i64::from(self.value.fetch_add(1, Ordering::Relaxed) + 1)
    }

    /// One of the `count` keys of a check that are in use now.
    fn key(&self, check: Check, random: &mut Random, count: u32, operations_each: u64) -> u32 {
        let turn = self.turns[check as usize].fetch_add(1, Ordering::Relaxed);
        let generation = turn / (u64::from(count) * operations_each).max(1);
        // Far beyond what a history holds, the keys are used again.
        let first = (generation * u64::from(count)) % u64::from(KEYS_MAX / ACCOUNTS - count);
        first as u32 + random.below(count.into()) as u32
    }
}

/// What one client has in mind.
pub struct Client {
    number: u16,
    random: Random,
    /// The last transaction.
    transaction: u32,
    /// The last mark in the group that it writes to.
    mark: i64,
}

impl Client {
    pub fn new(seed: u64, number: u16) -> Client {
        Client { number, random: Random::new(seed, number.into()), transaction: 0, mark: 0 }
    }

    pub fn burst(&mut self, shared: &Shared) -> Burst {
        let check = shared.checks[self.below(shared.checks.len() as u64) as usize];
        let length = 1 + self.below(shared.pipeline);
        if check == Check::Registers && self.below(8) == 0 {
            let key = shared.key(check, &mut self.random, shared.keys, shared.key_operations);
            return Burst::CompareAndSet { key, value: shared.value() };
        }
        let mut requests: Vec<Request> = match check {
            Check::Registers => (0..length).map(|_| Request::one(self.register(shared))).collect(),
            Check::Counters => (0..length).map(|_| Request::one(self.counter(shared))).collect(),
            Check::Transfers => (0..length).map(|_| Request::one(self.account(shared))).collect(),
            Check::Lists => self.lists(shared, length),
            Check::Pipelines => self.marks(shared),
            Check::Append => self.transactions(shared, length),
        };
        let operations = requests.iter_mut().flat_map(|request| &mut request.operations);
        operations.for_each(|operation| operation.client = self.number);
        Burst::Pipeline(requests)
    }

    /// A connection broke, so what was sent may happen later than what will be sent: marks go to new keys.
    pub fn reconnected(&mut self, shared: &Shared) {
        if usize::from(self.number) < shared.groups.len() {
            self.next_group(shared);
        }
    }

    fn next_group(&mut self, shared: &Shared) {
        self.mark = 0;
        let group = shared.last_group.fetch_add(1, Ordering::Relaxed) % (KEYS_MAX / MARKS);
        shared.groups[usize::from(self.number)].store(group, Ordering::Relaxed);
    }

    fn below(&mut self, range: u64) -> u64 {
        self.random.below(range)
    }

    fn register(&mut self, shared: &Shared) -> Operation {
        let key = shared.key(Check::Registers, &mut self.random, shared.keys, shared.key_operations);
        let kind = match self.below(10) {
            0..3 => Kind::Set,
            3..7 => return Operation::new(Kind::Get, key),
            7 => Kind::GetSet,
            8 => Kind::SetNx,
            _ => return Operation::new(Kind::Del, key),
        };
        Operation::new(kind, key).with_value(shared.value())
    }

    fn counter(&mut self, shared: &Shared) -> Operation {
        let key = shared.key(Check::Counters, &mut self.random, shared.keys, shared.key_operations);
        match self.below(10) {
            0..3 => Operation::new(Kind::Incr, key),
            3..6 => Operation::new(Kind::IncrBy, key).with_value(1 + self.below(3) as i64),
            _ => Operation::new(Kind::Count, key),
        }
    }

    fn account(&mut self, shared: &Shared) -> Operation {
        let groups = shared.keys.div_ceil(ACCOUNTS);
        let each = shared.key_operations * u64::from(ACCOUNTS) / 4;
        let group = shared.key(Check::Transfers, &mut self.random, groups, each);
        if self.below(3) == 0 {
            let form = if self.below(2) == 0 { Form::Several } else { Form::Multi };
            return Operation::new(Kind::Balances, group).with_form(form);
        }
        let from = self.below(ACCOUNTS.into()) as u32;
        let to = (from + 1 + self.below(u64::from(ACCOUNTS) - 1) as u32) % ACCOUNTS;
        let (from, to) = (group * ACCOUNTS + from, group * ACCOUNTS + to);
        Operation::new(Kind::Transfer, from).with_other(to).with_value(1 + self.below(3) as i64)
    }

    /// Of four lists, elements go from the first two to the last two, and are taken from all.
    fn lists(&mut self, shared: &Shared, length: u64) -> Vec<Request> {
        let count = shared.keys.div_ceil(4) * 4;
        let mut requests = Vec::new();
        for step in 1..=length {
            let list = shared.key(Check::Lists, &mut self.random, count, shared.key_operations);
            // Elements go on from the first two of four lists only: none comes into a list twice.
            let is_first = list % 4 < 2;
            let operation = match self.below(20) {
                0..9 => Operation::new(Kind::Push, list).with_value(shared.value()),
                9..12 if is_first => Operation::new(Kind::Move, list).with_other(list + 2),
                // Whoever waits makes all that follows wait.
                12 if step == length && is_first => {
                    Operation::new(Kind::BlockingMove, list).with_other(list + 2)
                }
                13 if step == length => Operation::new(Kind::BlockingPop, list),
                _ => Operation::new(Kind::Pop, list),
            };
            requests.push(Request::one(operation));
        }
        requests
    }

    /// Writers write their group's keys in their order; readers look at them in the opposite order.
    fn marks(&mut self, shared: &Shared) -> Vec<Request> {
        let writes = usize::from(self.number) < shared.groups.len() && self.below(2) == 0;
        if writes {
            self.mark += 1;
            if self.mark as u64 > shared.key_operations {
                self.next_group(shared);
                self.mark = 1;
            }
        }
        let writer = match writes {
            true => usize::from(self.number),
            false => self.below(shared.groups.len() as u64) as usize,
        };
        let group = shared.groups[writer].load(Ordering::Relaxed);
        let keys = group * MARKS..(group + 1) * MARKS;
        if writes {
            let mark = |key| Request::one(Operation::new(Kind::Mark, key).with_value(self.mark));
            return keys.map(mark).collect();
        }
        if self.below(3) == 0 {
            return vec![Request::one(Operation::new(Kind::LookAll, group).with_form(Form::Several))];
        }
        keys.rev().map(|key| Request::one(Operation::new(Kind::Look, key))).collect()
    }

    fn transactions(&mut self, shared: &Shared, length: u64) -> Vec<Request> {
        match self.below(10) {
            0..4 => (0..length).map(|_| self.transaction(shared, Form::Alone, 1)).collect(),
            4..7 => {
                let steps = 2 + self.below(STEPS_MAX - 1);
                vec![self.transaction(shared, Form::Multi, steps)]
            }
            _ => {
                let steps = 2 + self.below(STEPS_MAX - 1);
                vec![self.transaction(shared, Form::Several, steps)]
            }
        }
    }

    fn transaction(&mut self, shared: &Shared, form: Form, steps: u64) -> Request {
        self.transaction += 1;
        let is_read = self.below(2) == 0;
        let mut operations: Vec<Operation> = Vec::new();
        // All keys of a transaction are in use at the same time.
        let each = (shared.key_operations / TEXT_SHARE).max(1);
        let first =
            shared.key(Check::Append, &mut self.random, shared.keys, each) / shared.keys * shared.keys;
        for _ in 0..steps {
            let key = first + self.below(shared.keys.into()) as u32;
            let reads = if form == Form::Several { is_read } else { self.below(2) == 0 };
            let kind = match (reads, self.below(3)) {
                (true, 0) => Kind::StepGet,
                (true, 1) => Kind::StepList,
                (true, _) => Kind::StepCount,
                (false, _) if form == Form::Several => Kind::StepSet,
                (false, 0) => Kind::StepSet,
                (false, 1) => Kind::StepAppend,
                (false, _) => Kind::StepIncr,
            };
            // MSET takes the last of two values for a key, and nobody knows the first.
            let is_there = |operation: &Operation| (operation.kind, operation.key) == (kind, key);
            if form == Form::Several && operations.iter().any(is_there) {
                continue;
            }
            let value = match kind {
                Kind::StepSet | Kind::StepAppend => shared.value(),
                _ => 0,
            };
            let operation = Operation::new(kind, key).with_value(value).with_other(self.transaction);
            operations.push(operation.with_form(form));
        }
        Request { form, operations }
    }
}
