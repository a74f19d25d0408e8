//! Many clients at once, on keys of all shards: is there one order of everything that explains what each of
//! them saw? The judge is `history/`; here are the clients whose histories it judges.
//!
//! ```text
//!   12 clients ── alone, in pipelines, in MULTI, under WATCH ──► server ──► replies with their times
//!        SET GET MSET MGET    registers                                        │
//!        APPEND GET MGET      lists: "000000000017,000000000042,"              ▼
//!        INCR GET MGET        counters                                      History ──► check
//!        DECRBY INCRBY MGET   accounts with a constant sum
//! ```
//!
//! All clients work on the same few keys, so that they meet, and after some hundred transactions on the
//! next few, so that lists stay short. In the end every key is read once more: what was lost shows.
//!
//! `POLDER_LONG=1` makes it run ten times as long.

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use support::client::{Client, Reply, encode};
use support::history::{History, Key, Operation, Outcome, Time, Transaction, Value, check};
use support::random::{Random, seed};
use support::server::{Server, Variant};

const CLIENTS: u32 = 12;
const DURATION: Duration = Duration::from_secs(2);
/// Keys of each kind that are in use at a time.
const REGISTERS: u32 = 6;
const LISTS: u32 = 4;
const COUNTERS: u32 = 3;
/// Transactions until the next keys are taken.
const TRANSACTIONS_PER_WINDOW: u64 = 400;
const ACCOUNTS: u32 = 8;
const OPENING_BALANCE: i64 = 1_000;
/// Digits of a list's element, which a comma follows.
const ELEMENT_DIGITS: usize = 12;
/// Commands of a pipeline or of MULTI, at most.
const STEPS_MAX: usize = 6;
/// Histories without order until one must have shown it.
const TRIES_MAX: u64 = 10;
/// Reads that the last client sends together.
const LAST_READS: usize = 100;

/// What the clients may do.
#[derive(Clone, Copy)]
struct Mix {
    /// Commands of several keys.
    several_keys: bool,
    pipelines: Pipelines,
    /// MULTI, EXEC and WATCH.
    transactions: bool,
}

/// What is promised for single-key commands that were sent together.
#[derive(Clone, Copy, PartialEq)]
enum Pipelines {
    None,
    /// They happen in their order.
    Ordered,
    /// They happen as one.
    Atomic,
}

#[derive(Clone, Copy, PartialEq)]
enum Object {
    Register(Key),
    List(Key),
    Counter(Key),
}

/// A command of the mix.
enum Step {
    Set(Vec<(Key, Value)>),
    Get(Vec<Object>),
    Append(Key, Value),
    Increment(Key),
    Transfer { from: Key, to: Key, amount: i64 },
    Balances,
}

impl Object {
    fn name(self) -> String {
        match self {
            Object::Register(key) => format!("register:{key}"),
            Object::List(key) => format!("list:{key}"),
            Object::Counter(key) => format!("counter:{key}"),
        }
    }

    /// What was read of it.
    fn read(self, reply: &Reply) -> Operation {
        let text = match reply {
            Reply::NullBulk => None,
            reply => Some(reply.text()),
        };
        let number = |text: &str| text.parse().unwrap_or_else(|_| panic!("{} holds '{text}'", self.name()));
        match self {
            Object::Register(key) => Operation::Read { key, value: text.as_deref().map(number) },
            Object::Counter(key) => Operation::ReadCounter { key, value: text.as_deref().map_or(0, number) },
            Object::List(key) => {
                let text = text.unwrap_or_default();
                assert!(
                    text.is_empty() || text.ends_with(','),
                    "{} ends in the middle of an element",
                    self.name()
                );
                let elements = text.split_terminator(',').map(number).collect();
                Operation::ReadList { key, elements }
            }
        }
    }
}

fn account(key: Key) -> String {
    format!("account:{key}")
}

impl Step {
    /// The commands, encoded, and how many they are.
    fn encode(&self) -> (Vec<u8>, usize) {
        let command = |words: Vec<String>| encode(&words);
        let one = match self {
            Step::Set(pairs) => {
                let name = if pairs.len() == 1 { "SET" } else { "MSET" };
                let words =
                    pairs.iter().flat_map(|&(key, value)| [Object::Register(key).name(), value.to_string()]);
                command([name.to_string()].into_iter().chain(words).collect())
            }
            Step::Get(objects) => {
                let name = if objects.len() == 1 { "GET" } else { "MGET" };
                command(
                    [name.to_string()]
                        .into_iter()
                        .chain(objects.iter().map(|object| object.name()))
                        .collect(),
                )
            }
            Step::Append(key, element) => {
                let element = format!("{element:0digits$},", digits = ELEMENT_DIGITS);
                command(vec!["APPEND".into(), Object::List(*key).name(), element])
            }
            Step::Increment(key) => command(vec!["INCR".into(), Object::Counter(*key).name()]),
            Step::Transfer { from, to, amount } => {
                let take = command(vec!["DECRBY".into(), account(*from), amount.to_string()]);
                let give = command(vec!["INCRBY".into(), account(*to), amount.to_string()]);
                return ([take, give].concat(), 2);
            }
            Step::Balances => {
                command(["MGET".to_string()].into_iter().chain((0..ACCOUNTS).map(account)).collect())
            }
        };
        (one, 1)
    }

    /// What the replies to its commands say.
    fn operations(&self, replies: &[Reply]) -> Vec<Operation> {
        let reply = &replies[0];
        match self {
            Step::Set(pairs) => {
                assert_eq!(*reply, Reply::ok());
                self.writes(pairs)
            }
            Step::Get(objects) if objects.len() == 1 => vec![objects[0].read(reply)],
            Step::Get(objects) => {
                assert_eq!(reply.items().len(), objects.len(), "MGET answers for every key");
                objects.iter().zip(reply.items()).map(|(object, reply)| object.read(reply)).collect()
            }
            &Step::Append(key, element) => {
                let bytes = reply.integer() as u64;
                let each = ELEMENT_DIGITS as u64 + 1;
                assert_eq!(bytes % each, 0, "APPEND answers {bytes}");
                vec![Operation::Append { key, element, length: Some(bytes / each) }]
            }
            &Step::Increment(key) => {
                vec![Operation::Increment { key, result: Some(reply.integer() as u64) }]
            }
            &Step::Transfer { from, to, amount } => {
                replies.iter().for_each(|reply| assert!(matches!(reply, Reply::Integer(_)), "{reply:?}"));
                vec![Operation::Transfer { from, to, amount }]
            }
            Step::Balances => {
                let balances = reply.items().iter().map(|reply| reply.text().parse().expect("a balance"));
                vec![Operation::Balances { accounts: (0..).zip(balances).collect() }]
            }
        }
    }

    fn writes(&self, pairs: &[(Key, Value)]) -> Vec<Operation> {
        pairs.iter().map(|&(key, value)| Operation::Write { key, value }).collect()
    }
}

/// What all clients share.
struct Shared {
    started: Instant,
    ends: Instant,
    /// Transactions so far.
    count: AtomicU64,
    mix: Mix,
}

impl Shared {
    fn now(&self) -> Time {
        self.started.elapsed().as_nanos() as Time
    }
}

/// One client, and what it has seen.
struct Worker {
    number: u32,
    client: Client,
    random: Random,
    shared: Arc<Shared>,
    /// Values that it has written.
    written: Value,
    transactions: Vec<Transaction>,
}

impl Worker {
    fn run(mut self) -> Vec<Transaction> {
        while Instant::now() < self.shared.ends {
            let window = (self.shared.count.fetch_add(1, Ordering::Relaxed) / TRANSACTIONS_PER_WINDOW) as u32;
            let mix = self.shared.mix;
            match self.random.below(10) {
                0 | 1 if mix.transactions => self.transfer(),
                2 | 3 if mix.transactions => self.compare_and_set(window),
                4 | 5 if mix.transactions => {
                    let steps = self.steps(window, mix.several_keys);
                    self.transact(&steps);
                }
                0..7 if mix.pipelines != Pipelines::None => {
                    let steps = self.steps(window, false);
                    self.pipeline(&steps, mix.pipelines);
                }
                _ => {
                    let step = self.step(window, mix.several_keys);
                    self.pipeline(&[step], Pipelines::Atomic);
                }
            }
        }
        self.transactions
    }

    fn unique(&mut self) -> Value {
        self.written += 1;
        Value::from(self.number) * 1_000_000_000 + self.written
    }

    fn register(&mut self, window: u32) -> Key {
        window * REGISTERS + self.random.below(REGISTERS as usize) as u32
    }

    fn object(&mut self, window: u32) -> Object {
        match self.random.below(3) {
            0 => Object::Register(self.register(window)),
            1 => Object::List(window * LISTS + self.random.below(LISTS as usize) as u32),
            _ => Object::Counter(window * COUNTERS + self.random.below(COUNTERS as usize) as u32),
        }
    }

    fn step(&mut self, window: u32, several_keys: bool) -> Step {
        let keys = if several_keys && self.random.one_in(2) { 2 + self.random.below(4) } else { 1 };
        match (self.random.below(2), self.object(window)) {
            (0, Object::Register(_)) => {
                let mut pairs: Vec<(Key, Value)> = Vec::new();
                for _ in 0..keys {
                    let (key, value) = (self.register(window), self.unique());
                    if pairs.iter().all(|pair| pair.0 != key) {
                        pairs.push((key, value));
                    }
                }
                Step::Set(pairs)
            }
            (0, Object::List(key)) => Step::Append(key, self.unique()),
            (0, Object::Counter(key)) => Step::Increment(key),
            (_, object) => {
                let mut objects = vec![object];
                objects.extend((1..keys).map(|_| self.object(window)));
                Step::Get(objects)
            }
        }
    }

    fn steps(&mut self, window: u32, several_keys: bool) -> Vec<Step> {
        (0..2 + self.random.below(STEPS_MAX - 1)).map(|_| self.step(window, several_keys)).collect()
    }

    fn note(&mut self, invoked: Time, position: usize, outcome: Outcome, operations: Vec<Operation>) {
        let transaction =
            Transaction { client: self.number, invoked, position: position as u32, outcome, operations };
        self.transactions.push(transaction);
    }

    /// Sends all steps in one write and notes what came of them.
    fn pipeline(&mut self, steps: &[Step], promise: Pipelines) {
        let (mut bytes, mut counts) = (Vec::new(), Vec::new());
        for step in steps {
            let (encoded, count) = step.encode();
            bytes.extend_from_slice(&encoded);
            counts.push(count);
        }
        let invoked = self.shared.now();
        self.client.send(&bytes).expect("the server reads");
        let mut all = Vec::new();
        for (position, (step, count)) in steps.iter().zip(counts).enumerate() {
            let replies: Vec<Reply> = (0..count).map(|_| self.reply()).collect();
            let operations = step.operations(&replies);
            if promise == Pipelines::Atomic {
                all.extend(operations);
            } else {
                let completed = Outcome::Committed(self.shared.now());
                self.note(invoked, position, completed, operations);
            }
        }
        if promise == Pipelines::Atomic {
            let completed = Outcome::Committed(self.shared.now());
            self.note(invoked, 0, completed, all);
        }
    }

    fn reply(&mut self) -> Reply {
        let reply = self.client.read().unwrap_or_else(|error| panic!("no reply: {error:?}"));
        assert!(!reply.is_error(), "{}", reply.text());
        reply
    }

    /// The steps in MULTI, sent in one write; `None` if EXEC did not run them.
    fn exec(&mut self, steps: &[Step]) -> (Time, Option<Vec<Operation>>) {
        let mut bytes = encode(&["MULTI"]);
        let mut counts = Vec::new();
        for step in steps {
            let (encoded, count) = step.encode();
            bytes.extend_from_slice(&encoded);
            counts.push(count);
        }
        bytes.extend_from_slice(&encode(&["EXEC"]));
        let invoked = self.shared.now();
        self.client.send(&bytes).expect("the server reads");
        assert_eq!(self.reply(), Reply::ok(), "MULTI");
        for _ in 0..counts.iter().sum() {
            assert_eq!(self.reply().text(), "QUEUED");
        }
        let reply = self.reply();
        if matches!(reply, Reply::NullArray | Reply::NullBulk | Reply::Null) {
            return (invoked, None);
        }
        let mut replies = reply.items();
        let mut operations = Vec::new();
        for (step, count) in steps.iter().zip(counts) {
            let (own, rest) = replies.split_at(count);
            operations.extend(step.operations(own));
            replies = rest;
        }
        (invoked, Some(operations))
    }

    fn transact(&mut self, steps: &[Step]) {
        let (invoked, operations) = self.exec(steps);
        let operations = operations.expect("nothing was watched");
        let completed = Outcome::Committed(self.shared.now());
        self.note(invoked, 0, completed, operations);
    }

    fn transfer(&mut self) {
        if self.random.one_in(3) {
            return self.pipeline(&[Step::Balances], Pipelines::Atomic);
        }
        let from = self.random.below(ACCOUNTS as usize) as Key;
        let to = (from + 1 + self.random.below(ACCOUNTS as usize - 1) as Key) % ACCOUNTS;
        let amount = 1 + self.random.below(50) as i64;
        self.transact(&[Step::Transfer { from, to, amount }]);
    }

    /// Writes a register whose value it has read before, if nobody has written it since.
    fn compare_and_set(&mut self, window: u32) {
        let object = Object::Register(self.register(window));
        let Object::Register(key) = object else { return };
        let name = object.name();
        let watch = [encode(&["WATCH", &name]), encode(&["GET", &name])].concat();
        self.client.send(&watch).expect("the server reads");
        assert_eq!(self.reply(), Reply::ok(), "WATCH");
        let read = object.read(&self.reply());
        // What it read is read again by EXEC, so to speak, and so holds at the time of EXEC.
        let pairs = vec![(key, self.unique())];
        let write = Operation::Write { key, value: pairs[0].1 };
        match self.exec(&[Step::Set(pairs)]) {
            (invoked, Some(_)) => {
                let completed = Outcome::Committed(self.shared.now());
                self.note(invoked, 0, completed, vec![read, write]);
            }
            (invoked, None) => self.note(invoked, 0, Outcome::Aborted, vec![write]),
        }
    }
}

/// Whether the server knows MULTI, EXEC and WATCH.
fn has_transactions(client: &mut Client) -> bool {
    let known = client.run("COMMAND INFO multi exec watch");
    known.items().iter().all(|item| matches!(item, Reply::Array(facts) if !facts.is_empty()))
}

/// All that the clients of a server saw of each other.
fn record(server: &Server, mix: Mix, seed: u64) -> History {
    let mut client = server.client();
    let mix = Mix { transactions: mix.transactions && has_transactions(&mut client), ..mix };
    let accounts: Vec<(Key, i64)> = (0..ACCOUNTS).map(|key| (key, OPENING_BALANCE)).collect();
    for (key, balance) in &accounts {
        assert_eq!(client.command(&["SET", &account(*key), &balance.to_string()]), Reply::ok());
    }
    let started = Instant::now();
    let long = if std::env::var_os("POLDER_LONG").is_some() { 10 } else { 1 };
    let ends = started + DURATION * long;
    let shared = Arc::new(Shared { started, ends, count: AtomicU64::new(0), mix });
    let worker = |number: u32| Worker {
        number,
        client: server.client(),
        random: Random::new(seed.wrapping_add(u64::from(number) << 32)),
        shared: shared.clone(),
        written: 0,
        transactions: Vec::new(),
    };
    let workers: Vec<Worker> = (0..CLIENTS).map(worker).collect();
    let threads: Vec<_> =
        workers.into_iter().map(|worker| std::thread::spawn(move || worker.run())).collect();
    let mut transactions: Vec<Transaction> =
        threads.into_iter().flat_map(|thread| thread.join().expect("every client is answered")).collect();
    let windows = (shared.count.load(Ordering::Relaxed) / TRANSACTIONS_PER_WINDOW) as u32 + 1;
    let mut last = worker(CLIENTS);
    let every = (0..windows * REGISTERS)
        .map(Object::Register)
        .chain((0..windows * LISTS).map(Object::List))
        .chain((0..windows * COUNTERS).map(Object::Counter));
    let mut reads: Vec<Step> = every.map(|object| Step::Get(vec![object])).collect();
    reads.push(Step::Balances);
    for reads in reads.chunks(LAST_READS) {
        last.pipeline(reads, Pipelines::Ordered);
    }
    transactions.append(&mut last.transactions);
    History { transactions, accounts }
}

fn judge(variant: Variant, mix: Mix, test: &str) -> History {
    let seed = seed("serializable", test);
    let server = variant.start(&[]);
    let history = record(&server, mix, seed);
    println!("{variant:?}: {} transactions", history.transactions.len());
    let faults = check(&history);
    for fault in &faults {
        println!("\n{}", fault.text);
    }
    assert!(
        faults.is_empty(),
        "{variant:?} is not strictly serializable: {} faults, seed {seed}",
        faults.len()
    );
    history
}

const ALL: Mix = Mix { several_keys: true, pipelines: Pipelines::Atomic, transactions: true };
const SINGLE: Mix = Mix { several_keys: false, pipelines: Pipelines::None, transactions: false };

/// The clients and the judge make no faults where there are none.
#[test]
fn everything_on_the_reference() {
    let history = judge(Variant::Reference, ALL, "everything_on_the_reference");
    let count = |happens: fn(&Transaction) -> bool| {
        history.transactions.iter().filter(|transaction| happens(transaction)).count()
    };
    let watched = count(|transaction| transaction.outcome == Outcome::Aborted);
    let transferred = count(|transaction| matches!(transaction.operations[..], [Operation::Transfer { .. }]));
    let together = count(|transaction| transaction.operations.len() > STEPS_MAX);
    println!("{watched} lost to WATCH, {transferred} transfers, {together} of MULTI with several keys");
    assert!(watched > 10 && transferred > 100 && together > 100, "the clients do not meet");
}

#[test]
fn everything_on_one_shard() {
    judge(Variant::Polder { shards: 1 }, ALL, "everything_on_one_shard");
}

#[test]
fn single_commands_on_eight_shards() {
    judge(Variant::Polder { shards: 8 }, SINGLE, "single_commands_on_eight_shards");
}

#[test]
fn several_keys_on_eight_shards() {
    let mix = Mix { several_keys: true, ..SINGLE };
    judge(Variant::Polder { shards: 8 }, mix, "several_keys_on_eight_shards");
}

#[test]
fn pipelines_on_eight_shards() {
    let mix = Mix { pipelines: Pipelines::Ordered, ..SINGLE };
    judge(Variant::Polder { shards: 8 }, mix, "pipelines_on_eight_shards");
}

/// With `pipeline-order concurrent` a later command of a pipeline is seen without an earlier one, and the
/// judge notices: so it would notice with the order that is the default.
#[test]
fn the_order_that_is_given_up_is_missed() {
    let seed = seed("serializable", "the_order_that_is_given_up_is_missed");
    let server = Variant::Polder { shards: 8 }.start(&["--pipeline-order", "concurrent"]);
    let mix = Mix { pipelines: Pipelines::Ordered, ..SINGLE };
    let faults = (0..TRIES_MAX).find_map(|attempt| {
        let mut client = server.client();
        assert_eq!(client.run("FLUSHALL"), Reply::ok());
        let faults = check(&record(&server, mix, seed + attempt));
        (!faults.is_empty()).then_some(faults)
    });
    let faults = faults.expect("the judge sees a pipeline out of order");
    println!("{}", faults[0].text);
}

#[test]
fn everything_on_eight_shards() {
    judge(Variant::Polder { shards: 8 }, ALL, "everything_on_eight_shards");
}

#[test]
fn everything_on_epoll() {
    judge(Variant::PolderOnEpoll, ALL, "everything_on_epoll");
}
