//! When keys expire: EXPIRE and its kin.

use super::{Command, Data, DataFunction, KeySpec, Run, Target, category, flag, key_flag};
use crate::error::CommandError;
use crate::keyspace::EventClasses;
use crate::resp::Args;

const READ_FAST: u32 = flag::READONLY | flag::FAST;
const WRITE_FAST: u32 = flag::WRITE | flag::FAST;

const READ_KEY: &[KeySpec] = &[KeySpec::one(1, key_flag::RO | key_flag::ACCESS)];
const UPDATE_KEY: &[KeySpec] = &[KeySpec::one(1, key_flag::RW | key_flag::UPDATE)];

const fn one(
    name: &'static str,
    arity: i16,
    flags: u32,
    keys: &'static [KeySpec],
    function: DataFunction,
) -> Command {
    Command::new(name, arity, Run::OneShard(function)).flags(flags).categories(category::KEYSPACE).keys(keys)
}

const fn reader(name: &'static str, function: DataFunction) -> Command {
    one(name, 2, READ_FAST, READ_KEY, function)
}

const fn writer(name: &'static str, arity: i16, function: DataFunction) -> Command {
    one(name, arity, WRITE_FAST, UPDATE_KEY, function)
}

pub const COMMANDS: &[Command] = &[
    writer("expire", -3, expire).docs(
        "Sets the time to live of a key in seconds.",
        "O(1)",
        "key seconds [NX | XX | GT | LT]",
    ),
    writer("pexpire", -3, pexpire).since("2.6.0").docs(
        "Sets the time to live of a key in milliseconds.",
        "O(1)",
        "key milliseconds [NX | XX | GT | LT]",
    ),
    writer("expireat", -3, expireat).since("1.2.0").docs(
        "Sets when a key expires, as a unix time in seconds.",
        "O(1)",
        "key unix-time-seconds [NX | XX | GT | LT]",
    ),
    writer("pexpireat", -3, pexpireat).since("2.6.0").docs(
        "Sets when a key expires, as a unix time in milliseconds.",
        "O(1)",
        "key unix-time-milliseconds [NX | XX | GT | LT]",
    ),
    writer("persist", 2, persist).since("2.2.0").docs("Removes the expiry of a key.", "O(1)", "key"),
    reader("ttl", ttl).tips(&["nondeterministic_output"]).docs(
        "Returns the time to live of a key in seconds.",
        "O(1)",
        "key",
    ),
    reader("pttl", pttl).since("2.6.0").tips(&["nondeterministic_output"]).docs(
        "Returns the time to live of a key in milliseconds.",
        "O(1)",
        "key",
    ),
    reader("expiretime", expiretime).since("7.0.0").docs(
        "Returns when a key expires, as a unix time in seconds.",
        "O(1)",
        "key",
    ),
    reader("pexpiretime", pexpiretime).since("7.0.0").docs(
        "Returns when a key expires, as a unix time in milliseconds.",
        "O(1)",
        "key",
    ),
];

/// What the deadline before must be for the new one to be set.
#[derive(Debug, Clone, Copy, Default)]
struct Conditions {
    missing: bool,
    present: bool,
    greater: bool,
    less: bool,
}

impl Conditions {
    fn parse(args: &Args<'_>) -> Result<Conditions, CommandError> {
        let mut conditions = Conditions::default();
        for index in 3..args.len() {
            let condition = match () {
                _ if args.is(index, "NX") => &mut conditions.missing,
                _ if args.is(index, "XX") => &mut conditions.present,
                _ if args.is(index, "GT") => &mut conditions.greater,
                _ if args.is(index, "LT") => &mut conditions.less,
                _ => {
                    let option = String::from_utf8_lossy(args.get(index));
                    return Err(CommandError::text(format!("ERR Unsupported option {option}")));
                }
            };
            *condition = true;
        }
        let Conditions { missing, present, greater, less } = conditions;
        if missing && (present || greater || less) {
            return Err(CommandError::text(
                "ERR NX and XX, GT or LT options at the same time are not compatible",
            ));
        }
        if greater && less {
            return Err(CommandError::text("ERR GT and LT options at the same time are not compatible"));
        }
        Ok(conditions)
    }

    /// A key without a deadline counts as one that expires later than any other.
    fn allow(self, before: Option<i64>, deadline: i64) -> bool {
        match before {
            Some(before) => {
                !self.missing && (!self.greater || deadline > before) && (!self.less || deadline < before)
            }
            None => !self.present && !self.greater,
        }
    }
}

/// `scale` milliseconds are one of the argument's units; the argument counts from `base`.
fn set_expiry(data: &mut Data<'_>, scale: i64, base: i64, name: &'static str) -> Result<(), CommandError> {
    let conditions = Conditions::parse(&data.args)?;
    let now = data.keyspace.now();
    let Target { database, key, args, reply } = data.first();
    let deadline = args.integer(2)?.checked_mul(scale).and_then(|ms| ms.checked_add(base));
    let deadline = deadline.ok_or(CommandError::InvalidExpire(name))?;
    let changed = match database.expiry_of(&key) {
        Some(before) if conditions.allow(before, deadline) => {
            if deadline <= now {
                database.remove(&key)
            } else {
                database.notify(EventClasses::GENERIC, "expire", &key);
                database.set_expiry(&key, deadline)
            }
        }
        _ => false,
    };
    reply.integer(changed as i64);
    Ok(())
}

fn expire(data: &mut Data<'_>) -> Result<(), CommandError> {
    let now = data.keyspace.now();
    set_expiry(data, 1000, now, "expire")
}

fn pexpire(data: &mut Data<'_>) -> Result<(), CommandError> {
    let now = data.keyspace.now();
    set_expiry(data, 1, now, "pexpire")
}

fn expireat(data: &mut Data<'_>) -> Result<(), CommandError> {
    set_expiry(data, 1000, 0, "expireat")
}

fn pexpireat(data: &mut Data<'_>) -> Result<(), CommandError> {
    set_expiry(data, 1, 0, "pexpireat")
}

fn persist(data: &mut Data<'_>) -> Result<(), CommandError> {
    let target = data.first();
    let changed = target.database.persist(&target.key);
    if changed {
        target.database.notify(EventClasses::GENERIC, "persist", &target.key);
    }
    target.reply.integer(changed as i64);
    Ok(())
}

/// Answers -2 without the key, -1 without a deadline, else what `show` makes of deadline and time.
fn show_expiry(data: &mut Data<'_>, show: fn(i64, i64) -> i64) -> Result<(), CommandError> {
    let now = data.keyspace.now();
    let target = data.first();
    let shown = match target.database.find_untouched(&target.key) {
        None => -2,
        Some(entry) => entry.expiry().map_or(-1, |deadline| show(deadline, now)),
    };
    target.reply.integer(shown);
    Ok(())
}

/// Whole seconds, rounded to nearest.
fn seconds(ms: i64) -> i64 {
    ms / 1000 + (ms % 1000 >= 500) as i64
}

fn ttl(data: &mut Data<'_>) -> Result<(), CommandError> {
    show_expiry(data, |deadline, now| seconds(deadline - now))
}

fn pttl(data: &mut Data<'_>) -> Result<(), CommandError> {
    show_expiry(data, |deadline, now| deadline - now)
}

fn expiretime(data: &mut Data<'_>) -> Result<(), CommandError> {
    show_expiry(data, |deadline, _| seconds(deadline))
}

fn pexpiretime(data: &mut Data<'_>) -> Result<(), CommandError> {
    show_expiry(data, |deadline, _| deadline)
}

#[cfg(test)]
mod tests {
    use crate::commands::testing::Harness;

    #[test]
    fn a_deadline_is_shown_in_every_unit() {
        let mut harness = Harness::new();
        harness.set_now(1_000_000);
        for line in ["TTL k", "PTTL k", "EXPIRETIME k", "PEXPIRETIME k"] {
            assert_eq!(harness.show(line), ":-2");
        }
        harness.run("SET k v");
        for line in ["TTL k", "PTTL k", "EXPIRETIME k", "PEXPIRETIME k"] {
            assert_eq!(harness.show(line), ":-1");
        }
        assert_eq!(harness.show("PEXPIRE k 1500"), ":1");
        assert_eq!(harness.show("TTL k"), ":2");
        assert_eq!(harness.show("PTTL k"), ":1500");
        assert_eq!(harness.show("EXPIRETIME k"), ":1002");
        assert_eq!(harness.show("PEXPIRETIME k"), ":1001500");
        harness.set_now(1_001_100);
        assert_eq!(harness.show("TTL k"), ":0");
        assert_eq!(harness.show("PERSIST k"), ":1");
        assert_eq!(harness.show("PERSIST k"), ":0");
        harness.run("PEXPIRE k 10");
        harness.set_now(1_001_110);
        assert_eq!(harness.show("TTL k"), ":-2");
        assert_eq!(harness.show("DBSIZE"), ":0");
    }

    #[test]
    fn a_deadline_in_the_past_deletes() {
        let mut harness = Harness::new();
        harness.set_now(1_000_000);
        for line in ["EXPIRE k 0", "EXPIRE k -1", "PEXPIREAT k 1000000", "EXPIREAT k 1000", "PEXPIREAT k -5"]
        {
            harness.run("SET k v");
            assert_eq!(harness.show(line), ":1", "{line}");
            assert_eq!(harness.show("EXISTS k"), ":0", "{line}");
            assert_eq!(harness.show(line), ":0", "{line}");
        }
    }

    #[test]
    fn numbers_out_of_range_are_refused() {
        let mut harness = Harness::new();
        harness.set_now(1_000_000);
        harness.run("SET k v");
        let invalid = |name: &str| format!("-ERR invalid expire time in '{name}' command");
        assert_eq!(harness.show("EXPIRE k 9223372036854775807"), invalid("expire"));
        assert_eq!(harness.show("EXPIRE k -9223372036854775808"), invalid("expire"));
        assert_eq!(harness.show("PEXPIRE k 9223372036854775807"), invalid("pexpire"));
        assert_eq!(harness.show("EXPIREAT k 9223372036854776"), invalid("expireat"));
        assert_eq!(harness.show("PEXPIREAT k 9223372036854775807"), ":1");
        assert_eq!(harness.show("EXPIRETIME k"), ":9223372036854776");
        assert_eq!(harness.show("EXPIRE k x"), "-ERR value is not an integer or out of range");
        assert_eq!(harness.show("EXPIRE k x FOO"), "-ERR Unsupported option FOO");
    }

    /// Every set of options against every state of the key, by the words of the manual.
    #[test]
    fn the_matrix_of_conditions() {
        let now = 1_000_000;
        let options = ["NX", "XX", "GT", "LT"];
        for chosen in 0..16 {
            let has = |index: usize| chosen >> index & 1 == 1;
            let words: Vec<&str> = (0..4).filter(|&index| has(index)).map(|index| options[index]).collect();
            for before in [None, Some(5_000), Some(10_000), Some(20_000)] {
                let mut harness = Harness::new();
                harness.set_now(now);
                harness.run("SET k v");
                if let Some(before) = before {
                    harness.run(&format!("PEXPIRE k {before}"));
                }
                let line = format!("PEXPIRE k 10000 {}", words.join(" "));
                let reply = harness.show(&line);
                if has(0) && chosen != 1 {
                    assert_eq!(reply, "-ERR NX and XX, GT or LT options at the same time are not compatible");
                    continue;
                }
                if has(2) && has(3) {
                    assert_eq!(reply, "-ERR GT and LT options at the same time are not compatible");
                    continue;
                }
                let mut expected = true;
                expected &= !has(0) || before.is_none();
                expected &= !has(1) || before.is_some();
                expected &= !has(2) || before.is_some_and(|before| before < 10_000);
                expected &= !has(3) || before.is_none_or(|before| before > 10_000);
                assert_eq!(reply, format!(":{}", expected as i64), "{line} on {before:?}");
                let left = if expected { Some(10_000) } else { before };
                assert_eq!(
                    harness.show("PTTL k"),
                    format!(":{}", left.unwrap_or(-1)),
                    "{line} on {before:?}"
                );
            }
        }
    }
}
