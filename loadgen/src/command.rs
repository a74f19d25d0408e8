//! What is sent: the tests by name, and a command as bytes with places for random digits.
//!
//! A test is written as words, in redis-benchmark's notation: `__rand_int__` is a random number of 12
//! digits, drawn anew for every command; `__data__` is the value. Once turned into a [`Template`] only the
//! digits change, so firing a pipeline patches some bytes of a buffer that is sent whole.

use crate::keys::{DIGITS, KeySet, Random, digit_pairs, write_digits};

/// Stands for a random number of [`DIGITS`] digits.
const RANDOM_WORD: &[u8] = b"__rand_int__";
const VALUE_WORD: &str = "__data__";

/// The replies that a test must get.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expect {
    /// Anything but an error.
    Any,
    Ok,
    Pong,
    /// The value in its right length, or nothing: a miss.
    Value,
}

/// A test as it is written in the table.
struct Named {
    name: &'static str,
    words: &'static [&'static str],
    expect: Expect,
}

const fn named(name: &'static str, words: &'static [&'static str], expect: Expect) -> Named {
    Named { name, words, expect }
}

/// The tests of redis-benchmark's names, with its keys and arguments.
static TESTS: &[Named] = &[
    named("ping", &["PING"], Expect::Pong),
    named("ping_mbulk", &["PING"], Expect::Pong),
    named("ping_inline", &[], Expect::Pong),
    named("set", &["SET", "key:__rand_int__", VALUE_WORD], Expect::Ok),
    named("get", &["GET", "key:__rand_int__"], Expect::Value),
    named("incr", &["INCR", "counter:__rand_int__"], Expect::Any),
    named("lpush", &["LPUSH", "mylist", VALUE_WORD], Expect::Any),
    named("rpush", &["RPUSH", "mylist", VALUE_WORD], Expect::Any),
    named("lpop", &["LPOP", "mylist"], Expect::Any),
    named("rpop", &["RPOP", "mylist"], Expect::Any),
    named("sadd", &["SADD", "myset", "element:__rand_int__"], Expect::Any),
    named("hset", &["HSET", "myhash", "element:__rand_int__", VALUE_WORD], Expect::Any),
    named("spop", &["SPOP", "myset"], Expect::Any),
    named("zadd", &["ZADD", "myzset", "__rand_int__", "element:__rand_int__"], Expect::Any),
    named("zpopmin", &["ZPOPMIN", "myzset"], Expect::Any),
    named("mset", MSET, Expect::Ok),
    named("xadd", &["XADD", "mystream", "*", "myfield", VALUE_WORD], Expect::Any),
];

const MSET: &[&str] = &[
    "MSET",
    "key:__rand_int__",
    VALUE_WORD,
    "key:__rand_int__",
    VALUE_WORD,
    "key:__rand_int__",
    VALUE_WORD,
    "key:__rand_int__",
    VALUE_WORD,
    "key:__rand_int__",
    VALUE_WORD,
    "key:__rand_int__",
    VALUE_WORD,
    "key:__rand_int__",
    VALUE_WORD,
    "key:__rand_int__",
    VALUE_WORD,
    "key:__rand_int__",
    VALUE_WORD,
    "key:__rand_int__",
    VALUE_WORD,
];

/// The tests that run when none is chosen.
pub const DEFAULT_TESTS: &str = "ping,set,get,incr,mset";

/// All names that [`Test::named`] knows.
pub fn test_names() -> String {
    TESTS.iter().map(|test| test.name).collect::<Vec<_>>().join(", ")
}

/// One test: a command, sent over and over.
#[derive(Debug, Clone)]
pub struct Test {
    pub name: String,
    words: Vec<Vec<u8>>,
    pub expect: Expect,
    inline: bool,
    value_bytes: usize,
}

impl Test {
    /// The test of this name, in any case of letters.
    pub fn named(name: &str, value_bytes: usize) -> Option<Test> {
        let test = TESTS.iter().find(|test| test.name.eq_ignore_ascii_case(name))?;
        let words = test.words.iter().map(|word| word_bytes(word, value_bytes)).collect();
        Some(Test {
            name: test.name.to_ascii_uppercase(),
            words,
            expect: test.expect,
            inline: test.words.is_empty(),
            value_bytes,
        })
    }

    /// A command of the user's own; any reply but an error is right.
    pub fn of_words(words: &[String], value_bytes: usize) -> Test {
        Test {
            name: words.join(" "),
            words: words.iter().map(|word| word_bytes(word, value_bytes)).collect(),
            expect: Expect::Any,
            inline: false,
            value_bytes,
        }
    }

    /// The key in which random digits stand, if the command's first argument is one: the text before the
    /// digits and after them.
    pub fn random_key(&self) -> Option<(&[u8], &[u8])> {
        let key = self.words.get(1)?;
        let start = find(key, RANDOM_WORD)?;
        Some((&key[..start], &key[start + DIGITS..]))
    }

    /// Whether the command has no argument at all, and so no key.
    pub fn is_keyless(&self) -> bool {
        self.words.len() <= 1
    }

    /// How many random numbers one command takes.
    pub fn random_numbers(&self) -> usize {
        self.template().patches.len()
    }

    pub fn template(&self) -> Template {
        if self.inline {
            return Template { bytes: b"PING\r\n".to_vec(), patches: Vec::new() };
        }
        let mut template = Template { bytes: Vec::new(), patches: Vec::new() };
        let bytes = &mut template.bytes;
        bytes.extend_from_slice(format!("*{}\r\n", self.words.len()).as_bytes());
        for (position, word) in self.words.iter().enumerate() {
            bytes.extend_from_slice(format!("${}\r\n", word.len()).as_bytes());
            let start = bytes.len();
            bytes.extend_from_slice(word);
            let mut from = 0;
            while let Some(found) = find(&word[from..], RANDOM_WORD) {
                let offset = start + from + found;
                bytes[offset..offset + DIGITS].fill(b'0');
                template.patches.push(Patch { offset, is_key: position == 1 });
                from += found + DIGITS;
            }
            bytes.extend_from_slice(b"\r\n");
        }
        template
    }

    /// The bytes of the usual reply, if replies are alike.
    pub fn usual_reply(&self) -> Option<UsualReply> {
        let (prefix, total_bytes) = match self.expect {
            Expect::Any => return None,
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

/// Where digits stand in a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Patch {
    pub offset: usize,
    /// It stands in the first key; other numbers are free of what a node owns.
    pub is_key: bool,
}

/// One command as it travels.
#[derive(Debug, Clone)]
pub struct Template {
    pub bytes: Vec<u8>,
    pub patches: Vec<Patch>,
}

impl Template {
    /// Draws new random numbers for all commands of a pipeline, which is this template repeated.
    #[inline]
    pub fn patch(&self, pipeline: &mut [u8], random: &mut Random, keys: &KeySet, range: u64) {
        if range <= 1 || self.patches.is_empty() {
            return;
        }
        let pairs = digit_pairs(range);
        for command in pipeline.chunks_exact_mut(self.bytes.len()) {
            for patch in &self.patches {
                let number = if patch.is_key { keys.draw(random) } else { random.below(range) };
                write_digits(&mut command[patch.offset..patch.offset + DIGITS], number, pairs);
            }
        }
    }
}

/// What nearly every reply of a test looks like: found without a scanner.
#[derive(Debug, Clone)]
pub struct UsualReply {
    prefix: Vec<u8>,
    total_bytes: usize,
}

impl UsualReply {
    /// How many whole usual replies `bytes` begins with, and how many bytes those are.
    #[inline]
    pub fn count(&self, bytes: &[u8]) -> (u32, usize) {
        let mut count = 0;
        let mut rest = bytes;
        while rest.len() >= self.total_bytes
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
    use super::*;

    #[test]
    fn commands_are_patched_in_place() {
        let test = Test::named("mset", 3).unwrap();
        let template = test.template();
        assert_eq!(template.patches.len(), 10);
        let mut pipeline = template.bytes.repeat(4);
        let length = pipeline.len();
        let mut random = Random::new(1, 1);
        template.patch(&mut pipeline, &mut random, &KeySet::Below(5000), 5000);
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
        assert!(Test::named("nonsense", 3).is_none());
    }

    #[test]
    fn only_the_key_is_bound_to_a_node() {
        let words: Vec<String> = ["ZADD", "z:__rand_int__", "1", "m:__rand_int__"].map(String::from).to_vec();
        let test = Test::of_words(&words, 3);
        let keys: Vec<bool> = test.template().patches.iter().map(|patch| patch.is_key).collect();
        assert_eq!(keys, [true, false]);
        assert_eq!(test.random_key(), Some((&b"z:"[..], &b""[..])));
        assert!(Test::named("lpush", 3).unwrap().random_key().is_none());
    }

    #[test]
    fn usual_replies_are_counted_whole() {
        let usual = Test::named("get", 3).unwrap().usual_reply().unwrap();
        assert_eq!(usual.count(b"$3\r\nxxx\r\n$3\r\nxxx\r\n$3\r\nxx"), (2, 18));
        assert_eq!(usual.count(b"$-1\r\n$3\r\nxxx\r\n"), (0, 0));
        assert_eq!(usual.count(b""), (0, 0));
    }
}
