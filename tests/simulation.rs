//! Clients with long scripts on several simulated shards (`support/simulation/world.rs`): whatever arrives in
//! whatever pieces, every reply is right and in its place.
//!
//! Each round turns one plane or lets one client write a piece of its script, in a random order. A client
//! knows every reply beforehand, because it alone uses its keys; only the counters that all share are
//! judged by what must hold for any order: no value is given out twice, a client sees them grow, and in
//! the end they are what was counted. Clients leave in every way: after their last reply, after QUIT, by
//! ending the stream in the middle of a command, by an error of the protocol, or without a word.
//! What clients do to each other's keys is judged in `simulation_serializable.rs`.

mod support;

use std::collections::HashMap;

use polder::runtime::simulated::Peer;

use support::client::encode;
use support::random::Random;
use support::simulation::world::{Options, World};

/// Runs of the suite.
const SEEDS: u64 = 400;
/// A run that needs more rounds than this hangs.
const ROUNDS_MAX: usize = 400_000;
/// Databases that clients select.
const DATABASES: usize = 3;
/// Own keys of a client in each database.
const KEYS: usize = 10;
/// Counters that all clients share, in each database.
const COUNTERS: usize = 3;
/// Arguments of this size take the way of big arguments.
const BIG_BYTES: usize = 40_000;

/// What a command is answered.
enum Expected {
    /// Exactly this.
    Bytes(Vec<u8>),
    /// The next value of a shared counter.
    Counter { database: usize, counter: usize },
}

/// How a client leaves.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Leaving {
    /// It reads everything, then goes.
    AfterReplies,
    /// It ends the stream, perhaps in the middle of a command, and reads what still comes.
    Ends,
    /// QUIT, and more that must not run.
    Quits,
    /// Bytes that are no command, and more that must not run.
    BreaksProtocol,
    /// It goes in the middle.
    Resets,
}

struct Client {
    peer: Peer,
    /// What it will send, and how much of that it has sent.
    script: Vec<u8>,
    sent: usize,
    expected: Vec<Expected>,
    /// Where each command of the script ends.
    ends: Vec<usize>,
    leaving: Leaving,
    /// When a client that resets does so, in bytes sent.
    reset_at: usize,
    answered: usize,
    unread: Vec<u8>,
    /// Counter values that it got, with their counter.
    counted: Vec<(usize, usize, i64)>,
    /// It reads only now and then.
    lazy: bool,
    done: bool,
}

/// Writes a script and foretells its replies.
struct Writer<'a> {
    random: &'a mut Random,
    client: usize,
    database: usize,
    values: HashMap<(usize, usize), Vec<u8>>,
    script: Vec<u8>,
    expected: Vec<Expected>,
    ends: Vec<usize>,
}

fn bulk(value: Option<&Vec<u8>>) -> Vec<u8> {
    match value {
        Some(value) => [format!("${}\r\n", value.len()).as_bytes(), value, b"\r\n"].concat(),
        None => b"$-1\r\n".to_vec(),
    }
}

impl Writer<'_> {
    fn name(&self, key: usize) -> Vec<u8> {
        format!("client:{}:{key}", self.client).into_bytes()
    }

    fn value(&mut self) -> Vec<u8> {
        let length = match self.random.below(60) {
            0 => BIG_BYTES + self.random.below(100),
            1..=5 => self.random.below(5_000),
            _ => self.random.below(40),
        };
        if self.random.one_in(3) {
            return self.random.below(1_000_000).to_string().into_bytes();
        }
        self.random.bytes(length)
    }

    fn put(&mut self, bytes: &[u8], expected: Expected) {
        self.script.extend_from_slice(bytes);
        self.expected.push(expected);
        self.ends.push(self.script.len());
    }

    fn say<A: AsRef<[u8]>>(&mut self, arguments: &[A], reply: impl Into<Vec<u8>>) {
        self.put(&encode(arguments), Expected::Bytes(reply.into()));
    }

    /// Some keys, not all of them different.
    fn keys(&mut self) -> Vec<usize> {
        (0..1 + self.random.below(6)).map(|_| self.random.below(KEYS)).collect()
    }

    fn command(&mut self) {
        let key = self.random.below(KEYS);
        let (name, place) = (self.name(key), (self.database, key));
        match self.random.below(20) {
            0 => self.put(b"PING\r\n", Expected::Bytes(b"+PONG\r\n".to_vec())),
            1 => self.say(&["ping", "hello"], "$5\r\nhello\r\n"),
            2..=4 => {
                let value = self.value();
                self.say(&[b"SET".as_slice(), &name, &value], "+OK\r\n");
                self.values.insert(place, value);
            }
            5..=7 => {
                let reply = bulk(self.values.get(&place));
                self.say(&[b"GET".as_slice(), &name], reply);
            }
            8 | 9 => self.several(b"MGET"),
            10 => self.several(b"EXISTS"),
            11 => self.several(b"DEL"),
            12 => self.set_several(),
            13 | 14 => self.increment(name, place),
            15 => {
                self.database = self.random.below(DATABASES);
                self.say(&["SELECT".to_string(), self.database.to_string()], "+OK\r\n");
            }
            16 => self.mistake(),
            17 => {
                self.put(b"ECHO \"a b\\n\"\r\n", Expected::Bytes(b"$4\r\na b\n\r\n".to_vec()));
                // Empty commands are not answered.
                self.script.extend_from_slice(b"\r\n*0\r\n");
            }
            _ => {
                let counter = self.random.below(COUNTERS);
                let bytes = encode(&["INCR".to_string(), counter_name(counter)]);
                self.put(&bytes, Expected::Counter { database: self.database, counter });
            }
        }
    }

    /// A command over several keys, which may belong to several shards.
    fn several(&mut self, command: &[u8]) {
        let keys = self.keys();
        let places: Vec<_> = keys.iter().map(|&key| (self.database, key)).collect();
        let reply = match command {
            b"MGET" => {
                let values = places.iter().map(|place| bulk(self.values.get(place)));
                [format!("*{}\r\n", keys.len()).into_bytes(), values.collect::<Vec<_>>().concat()].concat()
            }
            b"DEL" => {
                let deleted = places.iter().filter(|place| self.values.remove(place).is_some()).count();
                format!(":{deleted}\r\n").into_bytes()
            }
            _ => {
                let present = places.iter().filter(|place| self.values.contains_key(place)).count();
                format!(":{present}\r\n").into_bytes()
            }
        };
        let mut arguments = vec![command.to_vec()];
        arguments.extend(keys.iter().map(|&key| self.name(key)));
        self.say(&arguments, reply);
    }

    fn set_several(&mut self) {
        let mut arguments = vec![b"MSET".to_vec()];
        for key in self.keys() {
            let value = self.value();
            arguments.extend([self.name(key), value.clone()]);
            self.values.insert((self.database, key), value);
        }
        self.say(&arguments, "+OK\r\n");
    }

    fn increment(&mut self, name: Vec<u8>, place: (usize, usize)) {
        let value = self.values.get(&place);
        let number = match value {
            None => Some(0),
            // Only what this client writes as a number is one: digits without a leading zero.
            Some(value) => std::str::from_utf8(value)
                .ok()
                .filter(|text| *text == "0" || !text.starts_with(['0', '+', '-']))
                .and_then(|text| text.parse::<i64>().ok()),
        };
        // Random bytes that happen to be a negative number are left out, rather than judged twice.
        if value.is_some_and(|value| value.first() == Some(&b'-')) {
            return;
        }
        match number {
            Some(number) => {
                self.say(&[b"INCR".as_slice(), &name], format!(":{}\r\n", number + 1));
                self.values.insert(place, (number + 1).to_string().into_bytes());
            }
            None => {
                self.say(&[b"INCR".as_slice(), &name], "-ERR value is not an integer or out of range\r\n")
            }
        }
    }

    fn mistake(&mut self) {
        match self.random.below(4) {
            0 => self.say(&["GET"], "-ERR wrong number of arguments for 'get' command\r\n"),
            1 => self.say(
                &["NONSENSE", "a", "b"],
                "-ERR unknown command 'NONSENSE', with args beginning with: 'a' 'b' \r\n",
            ),
            2 => self.say(&["SELECT", "99"], "-ERR DB index is out of range\r\n"),
            _ => {
                let name = self.name(0);
                self.say(&[b"SET".as_slice(), &name, b"v", b"BAD"], "-ERR syntax error\r\n");
            }
        }
    }

    /// The last thing that a client says.
    fn leave(&mut self, leaving: Leaving) {
        match leaving {
            Leaving::Quits => {
                self.say(&["QUIT"], "+OK\r\n");
                let more: &[&[u8]] = &[b"PING\r\n", b"*1\r\n$x\r\n", b"*2\r\n$4\r\nPI", b"GET \"\r\n"];
                let more = self.random.pick(more);
                self.script.extend_from_slice(more);
            }
            Leaving::BreaksProtocol => {
                let broken: &[(&[u8], &str)] = &[
                    (b"*1\r\n$x\r\n", "-ERR Protocol error: invalid bulk length\r\n"),
                    (b"*x\r\n", "-ERR Protocol error: invalid multibulk length\r\n"),
                    (b"GET \"a\r\n", "-ERR Protocol error: unbalanced quotes in request\r\n"),
                    (b"*1\r\n:1\r\n", "-ERR Protocol error: expected '$', got ':'\r\n"),
                ];
                let (bytes, reply) = *self.random.pick(broken);
                self.put(bytes, Expected::Bytes(reply.into()));
                self.script.extend_from_slice(b"PING\r\nPING\r\n");
            }
            _ => {}
        }
    }
}

fn counter_name(counter: usize) -> String {
    format!("counter:{counter}")
}

impl Client {
    fn new(number: usize, world: &World, random: &mut Random) -> Client {
        let peer = world.connect(random);
        let commands = if random.one_in(12) { 1_500 + random.below(1_000) } else { 1 + random.below(60) };
        let leaving = *random.pick(&[
            Leaving::AfterReplies,
            Leaving::AfterReplies,
            Leaving::Ends,
            Leaving::Quits,
            Leaving::BreaksProtocol,
            Leaving::Resets,
        ]);
        let mut writer = Writer {
            random,
            client: number,
            database: 0,
            values: HashMap::new(),
            script: Vec::new(),
            expected: Vec::new(),
            ends: Vec::new(),
        };
        for _ in 0..commands {
            writer.command();
        }
        writer.leave(leaving);
        let Writer { mut script, mut expected, mut ends, .. } = writer;
        if leaving == Leaving::Ends && random.one_in(2) {
            // The stream ends anywhere; what was whole by then is answered.
            script.truncate(1 + random.below(script.len()));
            let whole = ends.iter().take_while(|&&end| end <= script.len()).count();
            expected.truncate(whole);
            ends.truncate(whole);
        }
        let reset_at = random.below(script.len() + 1);
        Client {
            peer,
            script,
            sent: 0,
            expected,
            ends,
            leaving,
            reset_at,
            answered: 0,
            unread: Vec::new(),
            counted: Vec::new(),
            lazy: random.one_in(5),
            done: false,
        }
    }

    /// Writes the next piece, reads what came, leaves when it is time.
    fn step(&mut self, random: &mut Random) {
        if self.sent < self.script.len() {
            let longest = *random.pick(&[1, 10, 100, 1_000, 100_000]);
            let end = (self.sent + 1 + random.below(longest)).min(self.script.len());
            self.peer.write(&self.script[self.sent..end]);
            self.sent = end;
            if self.sent == self.script.len() && self.leaving == Leaving::Ends {
                self.peer.end();
            }
        }
        if self.leaving == Leaving::Resets && self.sent >= self.reset_at {
            self.read();
            self.peer.reset();
            self.done = true;
            return;
        }
        if self.lazy && !random.one_in(10) {
            return;
        }
        self.read();
        if self.answered < self.expected.len() {
            assert!(!self.peer.is_closed() || self.has_more(), "closed before everything was answered");
            return;
        }
        if self.sent < self.script.len() && !self.peer.is_closed() {
            return;
        }
        if self.leaving == Leaving::AfterReplies {
            if random.one_in(2) {
                self.peer.end()
            } else {
                self.peer.reset()
            }
            self.done = true;
        } else if self.peer.is_closed() {
            self.read();
            assert!(self.unread.is_empty(), "{:?} comes after the last reply", show(&self.unread));
            self.done = true;
        }
    }

    /// Between the last read and the close more may have come.
    fn has_more(&mut self) -> bool {
        let before = self.answered;
        self.read();
        self.answered > before
    }

    fn read(&mut self) {
        self.unread.extend(self.peer.read());
        let mut position = 0;
        while let Some(expected) = self.expected.get(self.answered) {
            let rest = &self.unread[position..];
            position += match expected {
                Expected::Bytes(reply) if rest.starts_with(reply) => reply.len(),
                Expected::Bytes(reply) => {
                    assert!(
                        reply.starts_with(rest),
                        "{}: {} instead of {}",
                        self.answered,
                        show(rest),
                        show(reply)
                    );
                    break;
                }
                Expected::Counter { database, counter } => {
                    let Some(end) = rest.iter().position(|&byte| byte == b'\n') else { break };
                    let text = String::from_utf8_lossy(&rest[..end + 1]);
                    let value = text.strip_prefix(':').and_then(|text| text.trim_end().parse().ok());
                    let Some(value) = value else { panic!("{}: INCR is answered {text:?}", self.answered) };
                    self.counted.push((*database, *counter, value));
                    end + 1
                }
            };
            self.answered += 1;
        }
        self.unread.drain(..position);
        let over = self.answered == self.expected.len();
        assert!(!over || self.unread.is_empty(), "{} comes after the last reply", show(&self.unread));
        let answerable = self.ends.iter().take_while(|&&end| end <= self.sent).count();
        assert!(self.answered <= answerable, "answered before it was asked");
    }

    /// How often it may have counted this counter up: as often as it asked for, at most.
    fn asked(&self, database: usize, counter: usize) -> usize {
        let sent = self.ends.iter().take_while(|&&end| end <= self.sent).count();
        let wanted = |expected: &&Expected| matches!(expected, Expected::Counter { database: d, counter: c } if *d == database && *c == counter);
        self.expected[..sent].iter().filter(wanted).count()
    }
}

/// The beginning of what was received, readable.
fn show(bytes: &[u8]) -> String {
    format!("{:?}", String::from_utf8_lossy(&bytes[..bytes.len().min(80)]))
}

/// One run: its shards, clients and every chance follow from the seed.
fn run(seed: u64, shards: usize) {
    let mut random = Random::new(seed);
    let options = Options { delays: seed % 2 == 1, ..Options::plain(shards) };
    let mut world = World::new(options, &mut random);
    let count = 1 + random.below(8);
    let mut clients: Vec<Client> =
        (0..count).map(|number| Client::new(number, &world, &mut random)).collect();
    let mut rounds = 0;
    while clients.iter().any(|client| !client.done) {
        rounds += 1;
        if rounds > ROUNDS_MAX {
            panic!("hangs: {}", clients.iter().map(state).collect::<Vec<_>>().join("\n"));
        }
        world.turn(&mut random);
        let client = random.below(clients.len());
        if !clients[client].done && random.one_in(2) {
            clients[client].step(&mut random);
        }
    }
    check_counters(&mut world, &clients, &mut random);
    // Those that just left have to be noticed; what they started on other shards comes to its end.
    for _ in 0..ROUNDS_MAX {
        if world.leftovers().is_empty() {
            return;
        }
        world.turn(&mut random);
    }
    panic!("in the end {}", world.leftovers().join(", "));
}

/// Where a client stands, for a failure.
fn state(client: &Client) -> String {
    format!(
        "{:?}, done: {}, sent {} of {} bytes, {} of {} commands answered, closed: {}",
        client.leaving,
        client.done,
        client.sent,
        client.script.len(),
        client.answered,
        client.expected.len(),
        client.peer.is_closed()
    )
}

/// Counters that everybody counted up: no value twice, growing for each client, and the right sum.
fn check_counters(world: &mut World, clients: &[Client], random: &mut Random) {
    for (database, counter) in (0..DATABASES).flat_map(|d| (0..COUNTERS).map(move |c| (d, c))) {
        let mut values = Vec::new();
        let mut asked = 0;
        for client in clients {
            let own: Vec<i64> = client
                .counted
                .iter()
                .filter(|(d, c, _)| (*d, *c) == (database, counter))
                .map(|&(.., value)| value)
                .collect();
            assert!(own.is_sorted(), "a client sees counter {counter} fall: {own:?}");
            values.extend(own);
            asked += client.asked(database, counter);
        }
        let answered = values.len();
        values.sort_unstable();
        values.dedup();
        assert_eq!(values.len(), answered, "counter {counter} gave a value out twice");
        let last = ask(world, database, &counter_name(counter), random);
        assert!(last >= answered as i64 && last <= asked as i64, "{answered} <= {last} <= {asked}");
        assert!(values.last().is_none_or(|&highest| highest <= last), "{values:?}, in the end {last}");
    }
}

/// The value of a counter, asked for by a client of its own.
fn ask(world: &mut World, database: usize, name: &str, random: &mut Random) -> i64 {
    let peer = world.connect(random);
    peer.write(format!("SELECT {database}\r\nGET {name}\r\n").as_bytes());
    peer.end();
    let mut rounds = 0;
    while !peer.is_closed() {
        rounds += 1;
        assert!(rounds < ROUNDS_MAX, "GET {name} hangs");
        world.turn(random);
    }
    let reply = peer.read();
    let text = String::from_utf8_lossy(&reply);
    match text.lines().skip(1).collect::<Vec<_>>()[..] {
        ["$-1"] => 0,
        [_, value] => value.parse().expect("a counter is a number"),
        _ => panic!("GET {name} is answered {text:?}"),
    }
}

/// Runs a range of seeds; the first that fails says how to repeat it.
fn run_seeds(test: &str, seeds: u64, shards: impl Fn(u64) -> usize) {
    let given = std::env::var("POLDER_SEED").ok();
    let seeds: Vec<u64> = match &given {
        Some(text) => vec![text.parse().expect("POLDER_SEED is a number")],
        None => {
            let first = support::random::seed("simulation", test);
            let times: u64 = std::env::var("POLDER_LONG").map_or(1, |_| 25);
            (first..first + seeds * times).collect()
        }
    };
    for seed in seeds {
        let shards = shards(seed);
        let result = std::panic::catch_unwind(|| run(seed, shards));
        if let Err(cause) = result {
            println!(
                "FAILED with {shards} shards; replay: POLDER_SEED={seed} cargo test --test simulation {test}"
            );
            std::panic::resume_unwind(cause);
        }
    }
}

#[test]
fn three_shards_answer_as_the_model_foretells() {
    run_seeds("three_shards_answer_as_the_model_foretells", SEEDS, |_| 3);
}

#[test]
fn any_number_of_shards_answers_as_the_model_foretells() {
    run_seeds("any_number_of_shards_answers_as_the_model_foretells", SEEDS / 2, |seed| {
        1 + (seed % 4) as usize
    });
}

/// A client may end while the word is on its way that it waits for elements: nobody waits for it then, and no
/// element is given to it.
#[test]
fn who_ends_as_it_begins_to_wait_leaves_nothing() {
    for seed in 0..400 {
        let mut random = Random::new(seed);
        let options = Options { delays: seed % 2 == 1, ..Options::plain(1 + random.below(4)) };
        let mut world = World::new(options, &mut random);
        let peers: Vec<_> = (0..3).map(|_| world.connect(&mut random)).collect();
        for peer in &peers {
            let words: &[&str] =
                if random.one_in(2) { &["BLPOP", "a", "0"] } else { &["BLPOP", "a", "b", "c", "d", "0"] };
            peer.write(&[&b"PING\r\n"[..], &encode(words)].concat());
            if random.one_in(2) {
                (0..random.below(40)).for_each(|_| world.turn(&mut random));
            }
            peer.end();
        }
        let mut rounds = 0;
        while !peers.iter().all(Peer::is_closed) || !world.leftovers().is_empty() {
            rounds += 1;
            assert!(rounds < 1_000, "seed {seed}: {}", world.leftovers().join(", "));
            (0..10).for_each(|_| world.turn(&mut random));
        }
        for peer in peers {
            assert_eq!(show(&peer.read()), show(b"+PONG\r\n"), "seed {seed}: what was answered leaves");
        }
    }
}

/// Two keys of one shard that a client waits for come to hold something else while its command is tried: it is
/// not tried for ever.
#[test]
fn keys_of_another_type_do_not_keep_a_waiting_client_busy() {
    for seed in 0..200 {
        let mut random = Random::new(seed);
        let options = Options { delays: seed % 2 == 1, ..Options::plain(2 + random.below(3)) };
        let mut world = World::new(options, &mut random);
        let (waiting, writing) = (world.connect(&mut random), world.connect(&mut random));
        waiting.write(&encode(&["BLPOP", "{t}1", "{t}2", "a", "b", "c", "d", "0"]));
        (0..500).for_each(|_| world.turn(&mut random));
        let mut answers = Vec::new();
        for _ in 0..8 {
            let key = *random.pick(&["{t}1", "{t}2"]);
            writing.write(&encode(&["SET", key, "text"]));
            (0..random.below(60)).for_each(|_| world.turn(&mut random));
        }
        (0..5_000).for_each(|_| world.turn(&mut random));
        answers.extend(writing.read());
        assert_eq!(show(&answers), show(&b"+OK\r\n".repeat(8)), "seed {seed}");
        for _ in 0..100 {
            world.turn(&mut random);
            let tried = world.planes.iter().any(|plane| plane.dispatcher.has_locks());
            assert!(!tried, "seed {seed}: the client is tried again and again");
        }
        waiting.reset();
        writing.reset();
        let mut rounds = 0;
        while !world.leftovers().is_empty() {
            rounds += 1;
            assert!(rounds < 1_000, "seed {seed}: {}", world.leftovers().join(", "));
            (0..10).for_each(|_| world.turn(&mut random));
        }
    }
}
