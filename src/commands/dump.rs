//! Values as bytes and back: DUMP and RESTORE.

use super::{Command, Data, KeySpec, Run, Target, category, flag, key_flag};
use crate::error::CommandError;
use crate::keyspace::EventClasses;
use crate::persist::rdb;
use crate::resp::Args;

const RESTORED_KEY: &[KeySpec] = &[KeySpec::one(1, key_flag::OW | key_flag::UPDATE)];
const RESTORE_SYNTAX: &str =
    "key ttl serialized-value [REPLACE] [ABSTTL] [IDLETIME seconds] [FREQ frequency]";

const fn restorer(name: &'static str) -> Command {
    Command::new(name, -4, Run::OneShard(restore))
        .categories(category::KEYSPACE | category::DANGEROUS)
        .keys(RESTORED_KEY)
}

pub const COMMANDS: &[Command] = &[
    Command::new("dump", 2, Run::OneShard(dump))
        .since("2.6.0")
        .flags(flag::READONLY)
        .categories(category::KEYSPACE)
        .keys(&[KeySpec::one(1, key_flag::RO | key_flag::ACCESS)])
        .tips(&["nondeterministic_output"])
        .docs("Returns the value of a key as bytes that RESTORE takes.", "O(N), N being the size.", "key"),
    restorer("restore").since("2.6.0").flags(flag::WRITE | flag::DENYOOM).docs(
        "Creates a key from what DUMP has answered.",
        "O(N), N being the size; for sorted sets O(N*log(N)).",
        RESTORE_SYNTAX,
    ),
    restorer("restore-asking")
        .since("3.0.0")
        .group(super::Group::Server)
        .flags(flag::WRITE | flag::DENYOOM | flag::ASKING)
        .docs(
            "RESTORE of a key whose slot is on its way to this node.",
            "O(N), N being the size; for sorted sets O(N*log(N)).",
            RESTORE_SYNTAX,
        ),
];

fn dump(data: &mut Data<'_>) -> Result<(), CommandError> {
    let compress = data.keyspace.compress;
    let target = data.first();
    match target.database.find_whole(&target.key) {
        Some(entry) => target.reply.bulk(&rdb::dump(entry.value(), compress)),
        None => target.reply.null(),
    }
    Ok(())
}

/// What RESTORE does besides.
#[derive(Default)]
struct Options {
    replace: bool,
    absolute: bool,
    idle_seconds: Option<i64>,
    frequency: Option<u8>,
}

impl Options {
    fn parse(args: &Args<'_>) -> Result<Options, CommandError> {
        let mut options = Options::default();
        let mut index = 4;
        while index < args.len() {
            let has_value = index + 1 < args.len();
            if args.is(index, "REPLACE") {
                options.replace = true;
            } else if args.is(index, "ABSTTL") {
                options.absolute = true;
            } else if args.is(index, "IDLETIME") && has_value && options.frequency.is_none() {
                index += 1;
                let seconds = args.integer(index)?;
                if seconds < 0 {
                    return Err(CommandError::NegativeIdletime);
                }
                options.idle_seconds = Some(seconds);
            } else if args.is(index, "FREQ") && has_value && options.idle_seconds.is_none() {
                index += 1;
                let frequency = u8::try_from(args.integer(index)?);
                options.frequency = Some(frequency.map_err(|_| CommandError::FrequencyOutOfRange)?);
            } else {
                return Err(CommandError::Syntax);
            }
            index += 1;
        }
        Ok(options)
    }
}

fn restore(data: &mut Data<'_>) -> Result<(), CommandError> {
    let options = Options::parse(&data.args)?;
    let (limits, now) = (data.keyspace.limits, data.keyspace.now());
    let counts = data.keyspace.counts_frequency();
    let Target { database, key, args, reply } = data.first();
    if !options.replace && database.find_write(&key).is_some() {
        return Err(CommandError::BusyKey);
    }
    let ttl = args.integer(2)?;
    if ttl < 0 {
        return Err(CommandError::NegativeTtl);
    }
    let value = rdb::verify(args.get(3)).ok_or(CommandError::WrongPayload)?;
    let mut moved = rdb::restore(value, limits).map_err(|_| CommandError::BadDataFormat)?;
    let deadline = match (ttl, options.absolute) {
        (0, _) => None,
        (ttl, true) => Some(ttl),
        (ttl, false) => Some(ttl.saturating_add(now)),
    };
    if deadline.is_some_and(|deadline| deadline <= now) {
        database.remove(&key);
    } else {
        moved.set_expiry(deadline);
        database.insert(&key, moved);
        database.notify(EventClasses::GENERIC, "restore", &key);
        match (options.idle_seconds, options.frequency) {
            (Some(seconds), _) if !counts => database.set_idle_seconds(&key, seconds),
            (_, Some(frequency)) if counts => database.set_frequency(&key, frequency),
            _ => {}
        }
    }
    reply.ok();
    Ok(())
}
