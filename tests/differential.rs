//! Random sequences of commands on strings, lists, sets, sorted sets, streams and keys, some of them in transactions,
//! sent to redis-server and to polder: every reply is the same, errors to the letter.
//!
//! ```text
//!   seed ─ templates ─ sequence ─┬─ redis-server ─ replies ─┐
//!                                └─ polder ─────── replies ─┴─ compare ─ shrink ─ print
//! ```
//!
//! What the queued commands of a transaction have answered is compared one by one, and whether it ran at all
//! tells which commands change a watched key.
//!
//! Few keys, so that commands meet the same ones; options valid and invalid; pipelines of random
//! depth, both protocols. What depends on the moment (times to live) is compared within the time that
//! passed, what depends on chance or layout (RANDOMKEY, the order of SCAN and KEYS) by what must hold.
//!
//! Replay: `POLDER_SEED=… cargo test --test differential`; `POLDER_SEQUENCES` says how many. With
//! `POLDER_SURVEY=1` the test goes on after a difference, leaves the command in question out of later
//! sequences, and fails with the list of all.

#[path = "differential/intended.rs"]
mod intended;
#[path = "differential/streams.rs"]
mod streams;
mod support;
#[path = "differential/words.rs"]
mod words;

use std::time::{Duration, Instant};

use intended::*;
use support::client::{Client, ReadError, Reply, encode, quote};
use support::random::{Random, seed};
use support::server::Server;
use words::*;

/// Commands of one sequence.
const COMMANDS_PER_SEQUENCE: usize = 250;

/// Runs that the search for a shorter failing sequence may take.
const SHRINK_RUNS_MAX: usize = 400;

/// What two clocks and two rounds of scheduling may add to the time that passed.
const SLACK_MS: i64 = 5;

type Command = Vec<Vec<u8>>;

/// A sequence and the ways of sending it, all from the seed.
#[derive(Clone)]
struct Sequence {
    commands: Vec<Command>,
    batch_seed: u64,
    version_3: bool,
    /// Sent in long pipelines, so that transactions arrive as a whole.
    in_blocks: bool,
}

struct Generator {
    random: Random,
    /// Makes each relative time different, so that no comparison of two hangs on a millisecond.
    counter: u64,
    /// Every other key of this kind is this one.
    favourite: Option<(&'static str, Vec<u8>)>,
}

impl Generator {
    fn sequence(&mut self) -> Sequence {
        let mut commands = Vec::new();
        let in_blocks = self.random.one_in(3);
        let transactions = if in_blocks { 3 } else { 20 };
        while commands.len() < COMMANDS_PER_SEQUENCE {
            match self.random.below(transactions) {
                0 => self.transaction(&mut commands),
                _ => commands.push(self.command()),
            }
        }
        // What is judged alone would cut the pipelines.
        commands.retain(|command| !in_blocks || !is_alone(command));
        Sequence { commands, batch_seed: self.random.next(), version_3: self.random.one_in(3), in_blocks }
    }

    fn command(&mut self) -> Command {
        let template = if self.random.one_in(60) {
            *self.random.pick(RARE_TEMPLATES)
        } else {
            match self.random.below(TEMPLATES.len() + streams::TEMPLATES.len()) {
                nth if nth < TEMPLATES.len() => TEMPLATES[nth],
                nth => streams::TEMPLATES[nth - TEMPLATES.len()],
            }
        };
        let mut words = Vec::new();
        self.expand(template, &mut words);
        if self.random.one_in(25) {
            self.damage(&mut words);
        }
        if words[0] == b"SPOP" && words.len() == 2 {
            // Both would take another member, and differ from then on.
            words.push(b"100".to_vec());
        }
        if self.random.one_in(10) {
            words[0].make_ascii_lowercase();
        }
        words
    }

    /// MULTI to EXEC, perhaps with a watched key that changes or does not.
    fn transaction(&mut self, commands: &mut Vec<Command>) {
        if self.random.one_in(2) {
            let kind = *self.random.pick(&["<k>", "<k>", "<z>", "<l>", "<t>", "<r>"]);
            let key = self.word(kind);
            let mut watch = vec![b"WATCH".to_vec(), key.clone()];
            if self.random.one_in(4) {
                watch.push(self.word("<k>"));
            }
            if self.random.one_in(2) {
                // So that there is something to change.
                let earlier = self.about(kind, &key);
                commands.push(earlier);
            }
            commands.push(watch);
            for _ in 0..self.random.below(WATCHING_MAX + 1) {
                let between = self.about(kind, &key);
                commands.push(between);
            }
        }
        commands.push(vec![b"MULTI".to_vec()]);
        for _ in 0..self.random.below(QUEUED_MAX + 1) {
            let queued = if self.random.one_in(50) { vec![b"MULTI".to_vec()] } else { self.command() };
            // What is judged by the state that it leaves cannot be judged afterwards, and what is refused by one
            // of the two alone fails its EXEC alone.
            if !is_alone(&queued) && (queued.len() == 3 || !name_of(&queued).ends_with("RANK")) {
                commands.push(queued);
            }
        }
        let end = if self.random.one_in(8) { "DISCARD" } else { "EXEC" };
        commands.push(vec![end.into()]);
    }

    fn about(&mut self, kind: &'static str, key: &[u8]) -> Command {
        self.favourite = Some((kind, key.to_vec()));
        let command = self.command();
        self.favourite = None;
        command
    }

    fn expand(&mut self, template: &str, words: &mut Command) {
        for word in template.split(' ') {
            if word == "<many>" {
                let range = *self.random.pick(&[100, 10_000, 10_000_000]);
                words.extend((0..200).map(|_| self.random.below(range).to_string().into_bytes()));
                continue;
            }
            let options = match word {
                "<set?>" => SET_OPTIONS,
                "<getex?>" => GETEX_OPTIONS,
                "<lcs?>" => LCS_OPTIONS,
                "<geoadd?>" => GEOADD_OPTIONS,
                "<geo?>" => GEO_OPTIONS,
                "<geostore?>" => GEOSTORE_OPTIONS,
                "<georadius?>" => GEORADIUS_OPTIONS,
                "<unit?>" => UNIT_OPTIONS,
                "<field?>" => FIELD_OPTIONS,
                "<overflow>" => OVERFLOW_OPTIONS,
                "<expire?>" => EXPIRE_OPTIONS,
                "<scan?>" => SCAN_OPTIONS,
                "<copy?>" => COPY_OPTIONS,
                "<restore?>" => RESTORE_OPTIONS,
                "<sort?>" => SORT_OPTIONS,
                "<alpha?>" => ALPHA_OPTIONS,
                "<lpos?>" => LPOS_OPTIONS,
                "<zadd?>" => ZADD_OPTIONS,
                "<zrange?>" => ZRANGE_OPTIONS,
                "<zscores?>" => ZSCORES_OPTIONS,
                "<hvalues?>" => HVALUES_OPTIONS,
                "<zlimit?>" => ZLIMIT_OPTIONS,
                "<zrev?>" => ZREV_OPTIONS,
                "<zend?>" => ZEND_OPTIONS,
                "<zcount?>" => ZCOUNT_OPTIONS,
                "<zcard?>" => ZCARD_OPTIONS,
                "<zcombine2?>" => ZCOMBINE2_OPTIONS,
                "<zcombine3?>" => ZCOMBINE3_OPTIONS,
                "<zscan?>" => ZSCAN_OPTIONS,
                _ if let Some(options) = streams::options(word) => options,
                _ => {
                    let word = self.word(word);
                    words.push(word);
                    continue;
                }
            };
            let count = *self.random.pick(&[0, 1, 1, 1, 1, 2, 2, 3]);
            for _ in 0..count {
                let option = *self.random.pick(options);
                // Words that are no option are left to few commands: they hide all else.
                if option != "FOO" || self.random.one_in(4) {
                    self.expand(option, words);
                }
            }
        }
    }

    fn word(&mut self, word: &str) -> Vec<u8> {
        self.counter += 1;
        let text = |choice: &&str| choice.as_bytes().to_vec();
        // Long enough to outlast the test, and never twice the same.
        let later = 1_000 + (self.random.below(900) as u64) * 1_000 + self.counter % 1_000;
        if let Some((kind, key)) = &self.favourite
            && *kind == word
            && self.random.one_in(2)
        {
            return key.clone();
        }
        match word {
            "<k>" => self.random.pick(KEYS).to_vec(),
            // Where the sum with the present overflows, Redis has the key expire at once.
            "<ttl>" => text(self.random.pick(&["0", "100000", "100000", "-1", "x", ""])),
            "<payload>" => self.random.pick(PAYLOADS).to_vec(),
            "<z>" if self.random.one_in(12) => self.random.pick(KEYS).to_vec(),
            "<z>" => self.random.pick(SORTED_SETS).to_vec(),
            "<h>" if self.random.one_in(12) => self.random.pick(KEYS).to_vec(),
            "<h>" => self.random.pick(HASHES).to_vec(),
            "<t>" if self.random.one_in(20) => self.random.pick(KEYS).to_vec(),
            "<t>" => self.random.pick(SETS).to_vec(),
            "<u>" => text(self.random.pick(INTEGERS)),
            "<no-count>" => text(self.random.pick(&["-1", "x", "", "9223372036854775808"])),
            "<g>" if self.random.one_in(20) => self.element(),
            "<g>" => self.random.pick(MEMBERS).to_vec(),
            "<l>" => self.random.pick(EQUAL_SCORES).to_vec(),
            "<y>" => self.random.pick(MEMBERS).to_vec(),
            "<c>" if self.random.one_in(40) => text(self.random.pick(NO_SCORES)),
            "<c>" => text(self.random.pick(SCORES)),
            "<b>" => text(self.random.pick(SCORE_BOUNDS)),
            "<x>" => text(self.random.pick(MEMBER_BOUNDS)),
            "<w>" => text(self.random.pick(&["0", "1", "2", "3", "10", "-1", "-3", "abc"])),
            "<v>" => self.value(),
            "<e>" => self.element(),
            "<o>" => text(self.random.pick(BIT_OFFSETS)),
            "<bit>" => text(self.random.pick(&["0", "1", "1", "0", "1", "2", "-1", "a"])),
            "<type>" => text(self.random.pick(FIELD_TYPES)),
            "<bitop>" => text(self.random.pick(&["AND", "OR", "XOR", "AND", "or", "Xor", "NOT", "FOO"])),
            "<q>" if self.random.one_in(30) => self.random.pick(KEYS).to_vec(),
            "<q>" => self.random.pick(HYPERLOGLOGS).to_vec(),
            "<pfdebug>" => {
                text(self.random.pick(&["DECODE", "ENCODING", "encoding", "TODENSE", "GETREG", "FOO"]))
            }
            "<lon>" if self.random.one_in(40) => text(self.random.pick(&["180", "-180", "181", "x", "0"])),
            "<lon>" => format!("{:.4}", self.random.below(3_600_000) as f64 / 1e4 - 180.0).into_bytes(),
            "<lat>" if self.random.one_in(40) => {
                text(self.random.pick(&["85.05112878", "-85.05112878", "86", "y"]))
            }
            "<lat>" => format!("{:.4}", self.random.below(1_700_000) as f64 / 1e4 - 85.0).into_bytes(),
            "<radius>" => text(
                self.random.pick(&["0", "1", "100", "1000", "3000", "5000", "12000", "30000", "-1", "x"]),
            ),
            "<length>" => text(self.random.pick(&["km", "km", "KM", "mi", "m", "ft", "foo"])),
            "<side>" => text(self.random.pick(&["LEFT", "RIGHT", "LEFT", "RIGHT", "left", "UP"])),
            "<where>" => text(self.random.pick(&["BEFORE", "AFTER", "BEFORE", "AFTER", "after", "NEAR"])),
            "<n>" => text(self.random.pick(NUMBERS)),
            "<f>" => text(self.random.pick(FRACTIONS)),
            "<i>" => text(self.random.pick(INDEXES)),
            "<p>" => text(self.random.pick(PATTERNS)),
            "<db>" => text(self.random.pick(&["0", "0", "0", "1", "1", "2", "15", "16", "-1", "abc"])),
            "<s>" if self.random.one_in(6) => {
                text(self.random.pick(&["0", "-1", "abc", "9223372036854775807", ""]))
            }
            "<s>" => later.to_string().into_bytes(),
            "<m>" if self.random.one_in(6) => {
                text(self.random.pick(&["0", "-1", "abc", "9223372036854775807", ""]))
            }
            "<m>" => (later * 1_000).to_string().into_bytes(),
            "<later>" => text(self.random.pick(&["33177117420", "33177117999", "0", "-1", "abc"])),
            "<later-ms>" => text(self.random.pick(&["33177117420123", "33177117420500", "0", "-1", "abc"])),
            "<S>" => text(self.random.pick(TIMES)),
            "<M>" => text(self.random.pick(TIMES_MS)),
            other => match streams::word(other, &mut self.random, self.counter) {
                Some(word) => word,
                None => other.as_bytes().to_vec(),
            },
        }
    }

    fn value(&mut self) -> Vec<u8> {
        match self.random.below(6) {
            0 => self.random.pick(NUMBERS).as_bytes().to_vec(),
            1 => self.random.pick(FRACTIONS).as_bytes().to_vec(),
            2 => {
                let length = *self.random.pick(&[0, 1, 10, 43, 44, 45, 200]);
                self.random.bytes(length)
            }
            3 => {
                let letter = *self.random.pick(b"xyz");
                let length = *self.random.pick(&[1, 44, 45, 1000]);
                vec![letter; length]
            }
            _ => self.random.pick(&["v", "hello", "hello world", "yellow", "Value-12"]).as_bytes().to_vec(),
        }
    }

    /// Of few kinds, so that elements are found again.
    fn element(&mut self) -> Vec<u8> {
        match self.random.below(8) {
            0..3 => format!("item:{:04}", self.random.below(30)).into_bytes(),
            3..5 => self.random.pick(&["a", "b", "c", "1", "2", "-300", "70000"]).as_bytes().to_vec(),
            _ => self.value(),
        }
    }

    /// Drops, repeats or adds an argument.
    fn damage(&mut self, words: &mut Command) {
        let at = self.random.below(words.len());
        match self.random.below(3) {
            0 if words.len() > 1 => {
                words.remove(at.max(1));
            }
            1 => {
                let word = words[at].clone();
                words.push(word);
            }
            _ => {
                let extra = *self.random.pick(&["FOO", "NX", "EX", "GET", "100000", "", "\u{0}"]);
                words.insert((at + 1).min(words.len()), extra.as_bytes().to_vec());
            }
        }
    }
}

#[derive(Clone)]
struct Mismatch {
    index: usize,
    reference: Vec<String>,
    ours: Vec<String>,
}

struct Pair<'a> {
    reference: &'a mut Server,
    ours: &'a mut Server,
}

impl Pair<'_> {
    /// Runs the sequence on both servers and returns the first difference.
    fn run(&mut self, sequence: &Sequence) -> Option<Mismatch> {
        let started = Instant::now();
        let mut reference = self.reference.client();
        let mut ours = self.ours.client();
        let mut random = Random::new(sequence.batch_seed);
        for client in [&mut reference, &mut ours] {
            client.run("FLUSHALL");
            // Blocks of streams whose size is that of both.
            client.run("CONFIG SET stream-node-max-entries 5 stream-node-max-bytes 0");
            client.run(if sequence.version_3 { "HELLO 3" } else { "HELLO 2" });
        }
        let mut index = 0;
        let mut queue = None;
        while index < sequence.commands.len() {
            let depths = if sequence.in_blocks { &[20, 60, 200] } else { &[1, 1, 2, 5, 20, 60][..] };
            let depth = *random.pick(depths);
            let mut end = (index + depth).min(sequence.commands.len());
            // Commands that are judged by the state they leave run alone.
            if let Some(alone) = sequence.commands[index..end].iter().position(is_alone) {
                end = if alone == 0 { index + 1 } else { index + alone };
            }
            let batch = &sequence.commands[index..end];
            let found = if is_alone(&batch[0]) && queue.is_none() {
                compare_alone(&mut reference, &mut ours, &batch[0])
            } else {
                compare_batch(&mut reference, &mut ours, batch, &mut queue, started)
            };
            if let Some((offset, reference, ours)) = found {
                return Some(Mismatch { index: index + offset, reference, ours });
            }
            index = end;
        }
        None
    }

    fn shrink(&mut self, sequence: &Sequence, first: &Mismatch) -> (Sequence, Mismatch) {
        let mut best = sequence.clone();
        best.commands.truncate(first.index + 1);
        let mut runs = 0;
        let mut step = best.commands.len() / 2;
        // What does not happen again depends on the moment; the whole sequence is shown then.
        let Some(mut mismatch) = self.run(&best) else { return (best, first.clone()) };
        while step > 0 && runs < SHRINK_RUNS_MAX && self.ours.is_running() {
            let mut at = 0;
            while at < best.commands.len() && runs < SHRINK_RUNS_MAX {
                let mut shorter = best.clone();
                shorter.commands.drain(at..(at + step).min(best.commands.len()));
                runs += 1;
                match self.run(&shorter) {
                    Some(found) if !shorter.commands.is_empty() => {
                        shorter.commands.truncate(found.index + 1);
                        best = shorter;
                        mismatch = found;
                    }
                    _ => at += step,
                }
            }
            step /= 2;
        }
        (best, mismatch)
    }
}

fn name_of(command: &Command) -> String {
    String::from_utf8_lossy(&command[0]).to_ascii_uppercase()
}

fn is_alone(command: &Command) -> bool {
    matches!(
        name_of(command).as_str(),
        "RANDOMKEY"
            | "DUMP"
            | "SCAN"
            | "SSCAN"
            | "ZSCAN"
            | "HSCAN"
            | "SRANDMEMBER"
            | "ZRANDMEMBER"
            | "HRANDFIELD"
    )
}

type Found = Option<(usize, Vec<String>, Vec<String>)>;

/// `queue` has the commands since MULTI.
fn compare_batch(
    reference: &mut Client,
    ours: &mut Client,
    batch: &[Command],
    queue: &mut Option<Vec<Command>>,
    started: Instant,
) -> Found {
    let bytes: Vec<u8> = batch.iter().flat_map(|command| encode(command)).collect();
    // A server that is gone shows when its reply is read.
    let _ = reference.send(&bytes);
    let _ = ours.send(&bytes);
    for (offset, command) in batch.iter().enumerate() {
        let (expected, got) = (reference.read(), ours.read());
        let ran = queue.take_if(|_| name_of(command) == "EXEC").unwrap_or_default();
        let same = match (&expected, &got) {
            (Ok(Reply::Array(expected)), Ok(Reply::Array(got))) if !ran.is_empty() => {
                expected.len() == got.len()
                    && ran.iter().zip(expected.iter().zip(got)).all(|(command, (expected, got))| {
                        is_alone(command) || equal(command, expected, got, started)
                    })
            }
            (Ok(expected), Ok(got)) => equal(command, expected, got, started),
            _ => false,
        };
        match name_of(command).as_str() {
            "MULTI" => drop(queue.get_or_insert_default()),
            "DISCARD" => *queue = None,
            _ if matches!(&got, Ok(Reply::Simple(text)) if text == b"QUEUED") => {
                queue.iter_mut().for_each(|queue| queue.push(command.clone()));
            }
            _ => {}
        }
        if !same {
            return Some((offset, show(&expected), show(&got)));
        }
    }
    None
}

fn show(reply: &Result<Reply, ReadError>) -> Vec<String> {
    match reply {
        Ok(reply) => reply.render(),
        Err(error) => vec![format!("({error:?})")],
    }
}

/// Whether the two replies mean the same.
fn equal(command: &Command, expected: &Reply, got: &Reply, started: Instant) -> bool {
    if expected == got {
        return true;
    }
    let passed_ms = started.elapsed().as_millis() as i64 + SLACK_MS;
    let name = name_of(command);
    let full = match command.get(1) {
        Some(sub) => format!("{name} {}", String::from_utf8_lossy(sub).to_ascii_uppercase()),
        None => name.clone(),
    };
    let matches = |intended: &Intended, name: &str, full: &str| {
        intended.command.is_empty() || intended.command == name || intended.command == full
    };
    if INTENDED
        .iter()
        .chain(streams::INTENDED)
        .any(|intended| matches(intended, &name, &full) && (intended.accept)(command, expected, got))
    {
        return true;
    }
    if streams::same_pending(command, expected, got, passed_ms) {
        return true;
    }
    match (expected, got) {
        (Reply::Integer(expected), Reply::Integer(got)) if *expected > 0 && *got > 0 => {
            let difference = (expected - got).abs();
            match name.as_str() {
                "PTTL" | "PEXPIRETIME" => difference <= passed_ms,
                "TTL" | "EXPIRETIME" => difference <= passed_ms / 1_000 + 1,
                _ => full == "OBJECT IDLETIME" && *got <= passed_ms / 1_000 + 1,
            }
        }
        // Redis's small integers are shared and as idle as whoever used them last.
        (Reply::Integer(_), Reply::Integer(got)) if full == "OBJECT IDLETIME" => {
            *got <= passed_ms / 1_000 + 1
        }
        // Sets, which have no order.
        (Reply::Set(_), Reply::Set(_)) => expected.sorted() == got.sorted(),
        (Reply::Array(_), Reply::Array(_))
            if matches!(name.as_str(), "SMEMBERS" | "SPOP" | "SINTER" | "SUNION" | "SDIFF") =>
        {
            expected.sorted() == got.sorted()
        }
        (Reply::Map(_), Reply::Map(_)) if name == "HGETALL" => expected.sorted() == got.sorted(),
        (Reply::Array(expected), Reply::Array(got)) if name == "HGETALL" => {
            in_pairs(expected) == in_pairs(got)
        }
        (Reply::Array(_), Reply::Array(_)) if matches!(name.as_str(), "KEYS" | "HKEYS" | "HVALS") => {
            expected.sorted() == got.sorted()
        }
        _ => false,
    }
}

/// Fields with their values, without their order.
fn in_pairs(flat: &[Reply]) -> Reply {
    Reply::Array(flat.chunks(2).map(|pair| Reply::Array(pair.to_vec())).collect()).sorted()
}

fn compare_alone(reference: &mut Client, ours: &mut Client, command: &Command) -> Found {
    let name = name_of(command);
    if matches!(name.as_str(), "SCAN" | "SSCAN" | "ZSCAN" | "HSCAN") {
        let cursor = if name == "SCAN" { 1 } else { 2 };
        let (expected, got) = (scan(reference, command, cursor), scan(ours, command, cursor));
        let same = equal(command, &expected, &got, Instant::now());
        return (!same).then(|| (0, expected.render(), got.render()));
    }
    let (expected, got) = (reference.command(command), ours.command(command));
    let agree = match (&expected, &got) {
        _ if matches!(name.as_str(), "SRANDMEMBER" | "ZRANDMEMBER" | "HRANDFIELD") => {
            same_draw(reference, command, &expected, &got)
        }
        // The payload of the reference becomes the value of both.
        (Reply::Bulk(payload), Reply::Bulk(_)) if name == "DUMP" => {
            let restore = [&b"RESTORE"[..], &command[1], b"0", payload, b"REPLACE"];
            let digest = [&b"DEBUG"[..], b"DIGEST-VALUE", &command[1]];
            let before = ours.command(&digest) == reference.command(&digest);
            before
                && reference.command(&restore) == Reply::ok()
                && ours.command(&restore) == Reply::ok()
                && ours.command(&digest) == reference.command(&digest)
        }
        // Any key will do, if it is one.
        (Reply::Bulk(_), Reply::Bulk(key)) => {
            reference.command(&[b"EXISTS".as_slice(), key]) == Reply::Integer(1)
        }
        (expected, got) => expected == got,
    };
    (!agree).then(|| (0, expected.render(), got.render()))
}

/// Whether two draws of ZRANDMEMBER and its kin are of the same size and ours is one of members of the set or
/// hash, each once unless they may repeat.
fn same_draw(reference: &mut Client, command: &Command, expected: &Reply, got: &Reply) -> bool {
    let members = match (expected, got) {
        (Reply::Bulk(_), Reply::Bulk(member)) => vec![member.clone()],
        (Reply::Array(expected), Reply::Array(got)) if expected.len() == got.len() => {
            let flat: Vec<&Reply> = got
                .iter()
                .flat_map(|element| match element {
                    Reply::Array(pair) => pair.iter().take(1).collect(),
                    element => vec![element],
                })
                .collect();
            let in_pairs = matches!(got.first(), Some(Reply::Array(_)));
            let step = if command.len() > 3 && !in_pairs { 2 } else { 1 };
            flat.into_iter().step_by(step).map(|member| member.text().into_bytes()).collect()
        }
        _ => return expected == got,
    };
    let question: &[u8] = match name_of(command).as_str() {
        "HRANDFIELD" => b"HGET",
        "SRANDMEMBER" => b"SISMEMBER",
        _ => b"ZSCORE",
    };
    let mut different = members.clone();
    different.sort();
    different.dedup();
    let may_repeat = command.get(2).is_some_and(|count| count.starts_with(b"-"));
    (may_repeat || different.len() == members.len())
        && members.iter().all(|member| {
            // What is not text is shown otherwise than it is.
            !member.is_ascii()
                || !matches!(
                    reference.command(&[question, command[1].as_slice(), member]),
                    Reply::NullBulk | Reply::Null | Reply::Integer(0)
                )
        })
}

/// All that a SCAN finds from cursor 0 to cursor 0, sorted and without repetitions; or its error. The
/// cursor is argument `position`.
fn scan(client: &mut Client, command: &Command, position: usize) -> Reply {
    let mut command = command.clone();
    let mut found = Vec::new();
    for _ in 0..100_000 {
        let reply = client.command(&command);
        let Reply::Array(parts) = &reply else { return reply };
        let [Reply::Bulk(cursor), Reply::Array(keys)] = parts.as_slice() else { return reply };
        if position == 1 || name_of(&command) == "SSCAN" {
            found.extend_from_slice(keys);
        } else {
            found.extend(keys.chunks(2).map(|pair| Reply::Array(pair.to_vec())));
        }
        if cursor == b"0" || command.len() <= position {
            found.sort_by_key(Reply::render);
            found.dedup();
            return Reply::Array(found);
        }
        command[position] = cursor.clone();
    }
    Reply::Error(b"the cursor does not come back to 0".to_vec())
}

fn run(test: &str, shards: usize) {
    let seed = seed("differential", test);
    let count: usize =
        std::env::var("POLDER_SEQUENCES").ok().and_then(|text| text.parse().ok()).unwrap_or(400);
    // Sets of a few members are large ones already.
    let limits = [
        "--zset-max-listpack-entries",
        "6",
        "--hash-max-listpack-entries",
        "8",
        "--set-max-intset-entries",
        "6",
        "--enable-debug-command",
        "yes",
    ];
    let mut reference = Server::reference(&limits);
    let mut ours = Server::polder(shards, &[&limits[..], &["--set-max-listpack-entries", "8"]].concat());
    let mut generator = Generator { random: Random::new(seed), counter: 0, favourite: None };
    let mut pair = Pair { reference: &mut reference, ours: &mut ours };
    let survey = std::env::var_os("POLDER_SURVEY").is_some();
    let mut differing: Vec<String> = Vec::new();
    let deadline = Instant::now() + Duration::from_secs(120);
    for number in 0..count {
        let mut sequence = generator.sequence();
        sequence.commands.retain(|command| !differing.contains(&name_of(command)));
        while let Some(found) = pair.run(&sequence) {
            let (shortest, mismatch) = pair.shrink(&sequence, &found);
            report(number, &shortest, &mismatch);
            assert!(
                survey,
                "the last replies differ; POLDER_SEED={seed} cargo test --test differential {test}"
            );
            differing.push(name_of(&shortest.commands[mismatch.index]));
            sequence.commands.retain(|command| !differing.contains(&name_of(command)));
            if !pair.ours.is_running() {
                println!("the server has died; its log:\n{}", pair.ours.log());
                *pair.ours = Server::polder(shards, &limits);
            }
        }
        if Instant::now() > deadline {
            println!("stopped after {number} sequences: the machine is slow");
            break;
        }
    }
    assert!(differing.is_empty(), "{} commands differ: {}", differing.len(), differing.join(" "));
    for intended in INTENDED {
        println!(
            "differs on purpose: {}: {}",
            if intended.command.is_empty() { "errors" } else { intended.command },
            intended.reason
        );
    }
}

fn report(number: usize, sequence: &Sequence, mismatch: &Mismatch) {
    println!("sequence {number}, {} commands are left:", sequence.commands.len());
    if sequence.version_3 {
        println!("  HELLO 3");
    }
    for command in &sequence.commands[..=mismatch.index] {
        let words: Vec<String> = command.iter().map(|word| quote(word)).collect();
        println!("  {}", words.join(" "));
    }
    println!("redis-server:\n  {}", mismatch.reference.join("\n  "));
    println!("polder:\n  {}", mismatch.ours.join("\n  "));
}

#[test]
fn one_shard() {
    run("one_shard", 1);
}

#[test]
fn four_shards() {
    run("four_shards", 4);
}

/// Texts that might be numbers: those of random numbers in several notations, and what looks like one.
fn number_text(random: &mut Random) -> Vec<u8> {
    let bits = random.next();
    let value = match random.below(4) {
        0 => f64::from_bits(bits),
        1 => (bits >> 12) as f64 / 4503599627370496.0,
        2 => (bits as i64 >> random.below(64)) as f64,
        _ => (bits as i32) as f64 / 1000.0,
    };
    let text = match random.below(6) {
        0 => format!("{value}"),
        1 => format!("{value:e}"),
        2 => format!("{value:.3}"),
        3 => format!("{:#x}p{}", bits >> random.below(64), random.below(2200) as i64 - 1100),
        4 => format!("{}.{}e{}", bits % 100_000, random.next(), random.below(700) as i64 - 350),
        _ => {
            let letters = b"0123456789+-.eExXpPinfa (";
            let length = random.below(12);
            return (0..length).map(|_| *random.pick(letters)).collect();
        }
    };
    text.into_bytes()
}

/// Scores and bounds in any notation are read as the same numbers, and written as texts of the same.
#[test]
fn scores_in_any_notation() {
    let seed = seed("differential", "scores_in_any_notation");
    let mut random = Random::new(seed);
    let (reference, ours) = (Server::reference(&[]), Server::polder(1, &[]));
    let (mut reference, mut ours) = (reference.client(), ours.client());
    for client in [&mut reference, &mut ours] {
        client.run("ZADD fixed -inf a -1 b 0 c 1e-300 d 0.5 e 1 f 1000 g 1e15 h inf i");
    }
    for _ in 0..20_000 {
        let text = number_text(&mut random);
        let [zadd, z, member] = [&b"ZADD"[..], b"z", b"m"];
        let added = [zadd, z, &text, member];
        let count = [&b"ZCOUNT"[..], b"fixed", &text, b"+inf"];
        let replies =
            |client: &mut Client| [client.command(&added), client.run("ZSCORE z m"), client.command(&count)];
        let (expected, got) = (replies(&mut reference), replies(&mut ours));
        let same = expected.iter().zip(&got).all(|(expected, got)| same_numbers(expected, got));
        assert!(same, "{}: {expected:?}, {got:?}; POLDER_SEED={seed}", quote(&text));
    }
}
