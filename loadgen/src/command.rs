//! What is sent: the tests by name, and a request as bytes with places for random digits.
//!
//! A test is written as words, in redis-benchmark's notation: `__rand_int__` is a random number of 12
//! digits, drawn anew for every command; `__data__` is the value. A request may be several commands that
//! travel together, a transaction; in it `__same_int__` is the first random number of the request again.
//! Once turned into a [`Template`] only the digits change, so firing a pipeline patches some bytes of a
//! buffer that is sent whole.

use crate::draws::KeySet;
use crate::keys::{DIGITS, Random, digit_pairs, write_digits};
use crate::named::TESTS;

/// Stands for a random number of [`DIGITS`] digits.
const RANDOM_WORD: &[u8] = b"__rand_int__";
/// Stands for the request's first random number; as long as the other word.
const SAME_WORD: &[u8] = b"__same_int__";
pub const VALUE_WORD: &str = "__data__";
/// Behind the name of a test and a percentage: so many of its requests are MSETs instead.
const MIXED_SUFFIX: &str = "pct-mset";

/// The replies that a test must get.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expect {
    /// Anything but an error.
    Any,
    Ok,
    Pong,
    /// The value in its right length, or nothing: a miss.
    Value,
    /// An array of so many elements.
    Array(u64),
    Integer,
    /// A string of any length, or nothing: a miss.
    Text,
    /// An array of any length, or nothing: a miss.
    List,
    /// OK, or nothing: a condition was not met.
    OkOrNull,
}

impl Expect {
    /// Whether a null is a right reply, and told as a miss.
    pub fn may_miss(self) -> bool {
        matches!(self, Expect::Value | Expect::Text | Expect::List | Expect::OkOrNull)
    }
}

/// The tests that run when none is chosen.
pub const DEFAULT_TESTS: &str = "ping,set,get,incr,mset";

/// All names that [`Test::named`] knows.
pub fn test_names() -> String {
    let names = TESTS.iter().map(|test| test.name).collect::<Vec<_>>().join(", ");
    format!("{names}; and any of one command with '-N{MIXED_SUFFIX}' behind it, such as set-1{MIXED_SUFFIX}")
}

/// One test: a request, sent over and over.
#[derive(Debug, Clone)]
pub struct Test {
    pub name: String,
    /// The words of each command of the request.
    commands: Vec<Vec<Vec<u8>>>,
    pub expect: Expect,
    /// Its keys belong to several nodes of a cluster.
    pub several_keys: bool,
    /// The names of the tests that set the keys which this one wants to find.
    pub preload: &'static [&'static str],
    value_bytes: usize,
    /// Which share of the requests are MSETs of ten random keys instead.
    mset_share: f64,
}

impl Test {
    /// The test of this name, in any case of letters.
    pub fn named(name: &str, value_bytes: usize) -> Option<Test> {
        let name = name.to_ascii_lowercase();
        if let Some((base, percent)) = name.strip_suffix(MIXED_SUFFIX).and_then(|rest| rest.rsplit_once('-'))
        {
            let percent = percent.parse::<f64>().ok().filter(|percent| (0.0..=100.0).contains(percent))?;
            let base = Test::named(base, value_bytes).filter(|base| base.commands.len() == 1)?;
            return Some(Test {
                name: name.to_ascii_uppercase(),
                several_keys: true,
                mset_share: percent / 100.0,
                ..base
            });
        }
        let test = TESTS.iter().find(|test| test.name == name)?;
        let words = |command: &&[&str]| command.iter().map(|word| word_bytes(word, value_bytes)).collect();
        Some(Test {
            name: name.to_ascii_uppercase(),
            commands: test.commands.iter().map(words).collect(),
            expect: test.expect,
            several_keys: test.several_keys,
            preload: test.preload,
            value_bytes,
            mset_share: 0.0,
        })
    }

    /// A command of the user's own; any reply but an error is right.
    pub fn of_words(words: &[String], value_bytes: usize) -> Test {
        Test {
            name: words.join(" "),
            commands: vec![words.iter().map(|word| word_bytes(word, value_bytes)).collect()],
            expect: Expect::Any,
            several_keys: false,
            preload: &["set"],
            value_bytes,
            mset_share: 0.0,
        }
    }

    /// The key in which random digits stand, if the first argument of all is one: the text before the
    /// digits and after them.
    pub fn random_key(&self) -> Option<(&[u8], &[u8])> {
        let key = self.commands.iter().find_map(|words| words.get(1))?;
        let start = find(key, RANDOM_WORD)?;
        Some((&key[..start], &key[start + DIGITS..]))
    }

    /// The first arguments of its commands, with zeros for random digits: its keys.
    pub fn first_arguments(&self) -> Vec<String> {
        let shown = |words: &Vec<Vec<u8>>| {
            let text = String::from_utf8_lossy(words.get(1)?).into_owned();
            let zeros = "0".repeat(DIGITS);
            let words = [RANDOM_WORD, SAME_WORD].map(String::from_utf8_lossy);
            Some(words.iter().fold(text, |text, word| text.replace(word.as_ref(), &zeros)))
        };
        self.commands.iter().filter_map(shown).collect()
    }

    /// Whether no command has an argument, and so none a key.
    pub fn is_keyless(&self) -> bool {
        self.commands.iter().all(|words| words.len() <= 1)
    }

    /// How many replies a request gets.
    pub fn replies(&self) -> u32 {
        self.commands.len().max(1) as u32
    }

    /// The other test of a mixture.
    pub fn other(&self) -> Option<Test> {
        Test::named("mset", self.value_bytes).filter(|_| self.mset_share > 0.0)
    }

    /// The name without what says that it is a mixture.
    pub fn base_name(&self) -> String {
        let mixed = self.name.to_ascii_lowercase();
        let base = mixed.strip_suffix(MIXED_SUFFIX).and_then(|rest| rest.rsplit_once('-'));
        base.map_or_else(|| self.name.clone(), |(base, _)| base.to_ascii_uppercase())
    }

    pub fn template(&self) -> Template {
        let mut template = Template { bytes: Vec::new(), patches: Vec::new() };
        if self.commands.is_empty() {
            template.bytes.extend_from_slice(b"PING\r\n");
        }
        for words in &self.commands {
            template.add(words);
        }
        template
    }

    /// What a connection of this test sends.
    pub fn requests(&self) -> Requests {
        // A share of one is every draw there is.
        let below = (self.mset_share * u64::MAX as f64) as u64;
        Requests { usual: self.template(), other: self.other().map(|mset| (mset.template(), below)) }
    }

    /// The bytes of the usual reply, if replies are alike.
    pub fn usual_reply(&self) -> Option<UsualReply> {
        if self.replies() > 1 {
            return None;
        }
        let (prefix, total_bytes) = match self.expect {
            Expect::Any
            | Expect::Array(_)
            | Expect::Integer
            | Expect::Text
            | Expect::List
            | Expect::OkOrNull => return None,
            Expect::Ok => (b"+OK\r\n".to_vec(), 5),
            Expect::Pong => (b"+PONG\r\n".to_vec(), 7),
            Expect::Value => {
                let prefix = format!("${}\r\n", self.value_bytes).into_bytes();
                let total_bytes = prefix.len() + self.value_bytes + 2;
                (prefix, total_bytes)
            }
        };
        Some(UsualReply { prefix, total_bytes })
    }

    pub fn value_bytes(&self) -> usize {
        self.value_bytes
    }
}

fn word_bytes(word: &str, value_bytes: usize) -> Vec<u8> {
    if word == VALUE_WORD { vec![b'x'; value_bytes] } else { word.as_bytes().to_vec() }
}

fn find(bytes: &[u8], word: &[u8]) -> Option<usize> {
    bytes.windows(word.len()).position(|window| window == word)
}

/// Which number the digits at a place show.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Draw {
    /// One of those whose keys the connection's node owns: the digits stand in the first key.
    Key,
    /// Any.
    Free,
    /// The first of the request again.
    Same,
}

/// Where digits stand in a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Patch {
    pub offset: usize,
    pub draw: Draw,
}

/// One request as it travels.
#[derive(Debug, Clone)]
pub struct Template {
    pub bytes: Vec<u8>,
    pub patches: Vec<Patch>,
}

impl Template {
    fn add(&mut self, words: &[Vec<u8>]) {
        self.bytes.extend_from_slice(format!("*{}\r\n", words.len()).as_bytes());
        // Of a transaction only the first command with a key says where the request belongs.
        let has_key = !self.patches.is_empty();
        for (position, word) in words.iter().enumerate() {
            self.bytes.extend_from_slice(format!("${}\r\n", word.len()).as_bytes());
            let start = self.bytes.len();
            self.bytes.extend_from_slice(word);
            self.bytes.extend_from_slice(b"\r\n");
            let mut from = 0;
            while from + DIGITS <= word.len() {
                let draw = match &word[from..from + DIGITS] {
                    RANDOM_WORD if position == 1 && !has_key => Draw::Key,
                    RANDOM_WORD => Draw::Free,
                    SAME_WORD => Draw::Same,
                    _ => {
                        from += 1;
                        continue;
                    }
                };
                let offset = start + from;
                self.bytes[offset..offset + DIGITS].fill(b'0');
                self.patches.push(Patch { offset, draw });
                from += DIGITS;
            }
        }
    }

    /// Draws new random numbers for all requests of a pipeline, which is this template repeated.
    #[inline]
    pub fn patch(&self, pipeline: &mut [u8], random: &mut Random, keys: &mut KeySet, range: u64) {
        if range <= 1 || self.patches.is_empty() {
            return;
        }
        let pairs = digit_pairs(range);
        for request in pipeline.chunks_exact_mut(self.bytes.len()) {
            let mut first = None;
            for patch in &self.patches {
                let number = match patch.draw {
                    Draw::Key => keys.draw(random),
                    Draw::Free => keys.draw_free(random, range),
                    Draw::Same => first.unwrap_or(0),
                };
                first = first.or(Some(number));
                write_digits(&mut request[patch.offset..patch.offset + DIGITS], number, pairs);
            }
        }
    }
}

/// What a connection sends: requests of one kind, or of another kind now and then.
#[derive(Debug, Clone)]
pub struct Requests {
    usual: Template,
    /// The other kind, and below which random draw a request is one.
    other: Option<(Template, u64)>,
}

impl Requests {
    /// A buffer for pipelines of at most so many requests: filling it allocates nothing.
    pub fn buffer(&self, pipeline: usize) -> Vec<u8> {
        let mut buffer = self.usual.bytes.repeat(pipeline);
        if let Some((other, _)) = &self.other {
            buffer.reserve_exact(pipeline * other.bytes.len());
        }
        buffer
    }

    /// Makes a pipeline of so many requests in a buffer that held one before, and tells its kinds.
    #[inline]
    pub fn fill(
        &self,
        buffer: &mut Vec<u8>,
        requests: usize,
        random: &mut Random,
        keys: &mut KeySet,
        range: u64,
        mut sent: impl FnMut(u16, u32),
    ) {
        if self.other.is_none() {
            let length = requests * self.usual.bytes.len();
            while buffer.len() < length {
                buffer.extend_from_slice(&self.usual.bytes);
            }
            buffer.truncate(length);
            self.usual.patch(buffer, random, keys, range);
            return sent(0, requests as u32);
        }
        buffer.clear();
        for _ in 0..requests {
            let kind = self.append(buffer, random, keys, range);
            sent(kind, 1);
        }
    }

    /// Appends one request; which kind it is.
    #[inline]
    pub fn append(&self, buffer: &mut Vec<u8>, random: &mut Random, keys: &mut KeySet, range: u64) -> u16 {
        let (kind, template) = match &self.other {
            Some((other, below)) if random.draw() < *below => (1, other),
            _ => (0, &self.usual),
        };
        let start = buffer.len();
        buffer.extend_from_slice(&template.bytes);
        template.patch(&mut buffer[start..], random, keys, range);
        kind
    }
}

/// What nearly every reply of a test looks like: found without a scanner.
#[derive(Debug, Clone)]
pub struct UsualReply {
    prefix: Vec<u8>,
    total_bytes: usize,
}

impl UsualReply {
    /// How many whole usual replies `bytes` begins with, up to `most`, and how many bytes those are.
    #[inline]
    pub fn count(&self, bytes: &[u8], most: u32) -> (u32, usize) {
        let mut count = 0;
        let mut rest = bytes;
        while count < most
            && rest.len() >= self.total_bytes
            && rest.starts_with(&self.prefix)
            && &rest[self.total_bytes - 2..self.total_bytes] == b"\r\n"
        {
            rest = &rest[self.total_bytes..];
            count += 1;
        }
        (count, bytes.len() - rest.len())
    }
}

#[cfg(test)]
mod tests {
    use polder::keyspace::slot_of;

    use super::*;

    #[test]
    fn commands_are_patched_in_place() {
        let test = Test::named("mset", 3).unwrap();
        let template = test.template();
        assert_eq!(template.patches.len(), 10);
        let mut pipeline = template.bytes.repeat(4);
        let length = pipeline.len();
        let mut random = Random::new(1, 1);
        template.patch(&mut pipeline, &mut random, &mut KeySet::Below(5000), 5000);
        assert_eq!(pipeline.len(), length);
        let text = String::from_utf8(pipeline).unwrap();
        let keys: Vec<u64> = text.split("key:").skip(1).map(|rest| rest[..DIGITS].parse().unwrap()).collect();
        assert_eq!(keys.len(), 40);
        assert!(keys.iter().all(|&key| key < 5000));
        assert!(keys.iter().any(|&key| key != keys[0]));
        // Nothing else changed.
        let zeroed = text.split("key:").enumerate().map(|(number, part)| match number {
            0 => part.to_string(),
            _ => format!("key:{}{}", "0".repeat(DIGITS), &part[DIGITS..]),
        });
        assert_eq!(zeroed.collect::<String>().as_bytes(), template.bytes.repeat(4));
    }

    #[test]
    fn bytes_of_the_tests() {
        let bytes = |name| String::from_utf8(Test::named(name, 3).unwrap().template().bytes).unwrap();
        assert_eq!(bytes("SET"), "*3\r\n$3\r\nSET\r\n$16\r\nkey:000000000000\r\n$3\r\nxxx\r\n");
        assert_eq!(bytes("get"), "*2\r\n$3\r\nGET\r\n$16\r\nkey:000000000000\r\n");
        assert_eq!(bytes("ping_inline"), "PING\r\n");
        assert!(bytes("mget").starts_with("*11\r\n$4\r\nMGET\r\n$16\r\nkey:000000000000\r\n"));
        assert!(Test::named("nonsense", 3).is_none());
    }

    #[test]
    fn only_the_key_is_bound_to_a_node() {
        let words: Vec<String> = ["ZADD", "z:__rand_int__", "1", "m:__rand_int__"].map(String::from).to_vec();
        let test = Test::of_words(&words, 3);
        let draws: Vec<Draw> = test.template().patches.iter().map(|patch| patch.draw).collect();
        assert_eq!(draws, [Draw::Key, Draw::Free]);
        assert_eq!(test.random_key(), Some((&b"z:"[..], &b""[..])));
        assert!(Test::named("lpush", 3).unwrap().random_key().is_none());
    }

    #[test]
    fn usual_replies_are_counted_whole() {
        let usual = Test::named("get", 3).unwrap().usual_reply().unwrap();
        assert_eq!(usual.count(b"$3\r\nxxx\r\n$3\r\nxxx\r\n$3\r\nxx", 9), (2, 18));
        assert_eq!(usual.count(b"$3\r\nxxx\r\n$3\r\nxxx\r\n", 1), (1, 9));
        assert_eq!(usual.count(b"$-1\r\n$3\r\nxxx\r\n", 9), (0, 0));
        assert_eq!(usual.count(b"", 9), (0, 0));
    }

    /// The counters of each request in a pipeline of this test.
    fn counters(name: &str, range: u64) -> Vec<Vec<String>> {
        let requests = Test::named(name, 3).unwrap().requests();
        let mut buffer = requests.buffer(50);
        requests.fill(&mut buffer, 50, &mut Random::new(7, 0), &mut KeySet::Below(range), range, |_, _| {});
        let text = String::from_utf8(buffer).unwrap();
        let transactions: Vec<&str> = text.split("*1\r\n$5\r\nMULTI\r\n").skip(1).collect();
        assert!(transactions.iter().all(|each| each.ends_with("*1\r\n$4\r\nEXEC\r\n")), "{text}");
        let keys = |each: &&str| {
            let lines = each.split("\r\n").filter(|line| line.starts_with("counter:"));
            lines.map(String::from).collect::<Vec<_>>()
        };
        transactions.iter().map(keys).collect()
    }

    #[test]
    fn a_transaction_is_one_request() {
        let test = Test::named("exec-tag", 3).unwrap();
        assert_eq!((test.replies(), test.expect), (7, Expect::Array(5)));
        assert!(test.usual_reply().is_none() && !test.is_keyless() && !test.several_keys);
        assert_eq!(test.random_key(), Some((&b"counter:{"[..], &b"}:1"[..])));
        let transactions = counters("exec-tag", 1000);
        assert_eq!(transactions.len(), 50);
        for keys in &transactions {
            assert_eq!(keys.len(), 5);
            assert!(keys.iter().all(|key| key[..key.len() - 1] == keys[0][..keys[0].len() - 1]), "{keys:?}");
            assert!(keys.iter().all(|key| slot_of(key.as_bytes()) == slot_of(keys[0].as_bytes())));
            let ends: Vec<&str> = keys.iter().map(|key| &key[key.len() - 1..]).collect();
            assert_eq!(ends, ["1", "2", "3", "4", "5"]);
        }
        assert!(transactions.iter().any(|keys| keys[0] != transactions[0][0]));
    }

    #[test]
    fn a_transaction_of_random_keys_is_spread() {
        assert!(Test::named("exec-random", 3).unwrap().several_keys);
        let transactions = counters("exec-random", 100_000);
        assert_eq!(transactions.len(), 50);
        for keys in &transactions {
            let slots: std::collections::HashSet<_> =
                keys.iter().map(|key| slot_of(key.as_bytes())).collect();
            assert!(slots.len() > 2, "{keys:?}");
        }
    }

    #[test]
    fn a_mixture_has_its_share_of_msets() {
        let test = Test::named("GET-5pct-mset", 3).unwrap();
        assert_eq!((test.name.as_str(), test.expect), ("GET-5PCT-MSET", Expect::Value));
        assert!(test.other().is_some() && test.several_keys && test.base_name() == "GET");
        let requests = test.requests();
        let mut buffer = requests.buffer(100);
        let capacity = buffer.capacity();
        let (mut random, mut keys) = (Random::new(3, 0), KeySet::Below(5000));
        let (mut gets, mut msets) = (0, 0);
        for round in 0..200 {
            let wanted = if round < 199 { 100 } else { 7 };
            let mut kinds = [0, 0];
            requests.fill(&mut buffer, wanted, &mut random, &mut keys, 5000, |kind, count| {
                kinds[kind as usize] += count as usize;
            });
            let text = std::str::from_utf8(&buffer).unwrap();
            let found = (text.matches("$3\r\nGET\r\n").count(), text.matches("$4\r\nMSET\r\n").count());
            assert_eq!(found.0 + found.1, wanted);
            assert_eq!([found.0, found.1], kinds);
            assert_eq!(text.matches("key:").count(), found.0 + 10 * found.1);
            gets += found.0;
            msets += found.1;
        }
        assert_eq!(buffer.capacity(), capacity, "filling allocates nothing");
        // 19,907 draws of 5 %: the standard deviation is 31.
        assert!((995 - 150..995 + 150).contains(&msets), "{msets} of {}", gets + msets);
    }

    #[test]
    fn mixtures_that_make_no_sense() {
        for name in ["set-pct-mset", "set--1pct-mset", "set-101pct-mset", "x-1pct-mset", "exec-tag-1pct-mset"]
        {
            assert!(Test::named(name, 3).is_none(), "{name}");
        }
        assert!(Test::named("ping_inline-1pct-mset", 3).is_none());
        assert!(Test::named("set-0pct-mset", 3).unwrap().other().is_none());
        assert!(Test::named("set-0.1pct-mset", 3).unwrap().other().is_some());
    }
}
