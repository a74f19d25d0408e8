//! BITOP.
//!
//! ```text
//!   one shard owns all keys     look up, combine, store                           whole
//!   several do                  each shard combines its own sources     hop 1     fetch
//!                               the connection's shard combines these             plan
//!                               store where the destination lives       hop 2     store_bytes
//! ```

use super::super::{Command, Data, KeySpec, Run, key_flag};
use super::{GROW, bitmap};
use crate::commands::strings::string_of;
use crate::error::CommandError;
use crate::keyspace::{EventClasses, Key, Keyspace, Moved, StringRef};
use crate::resp::Args;
use crate::resp::number::IntegerText;
use crate::transaction::{Plan, Work};
use crate::types::bitmap::{self as bits, Operation};

pub(super) const BITOP: Command =
    bitmap("bitop", -4, Run::Hops { whole, steps: &[fetch, store_bytes], plan: plan_hop })
        .since("2.6.0")
        .flags(GROW)
        .keys(&[
            KeySpec::one(2, key_flag::OW | key_flag::UPDATE),
            KeySpec::range(3, -1, 1, key_flag::RO | key_flag::ACCESS),
        ])
        .docs(
            "Combines strings bit by bit and stores the result.",
            "O(N), N being the length of the longest string.",
            "<AND | OR | XOR | NOT> destkey key [key ...]",
        );

/// Where the sources begin among the arguments.
const SOURCES: usize = 3;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Request {
    Combine(Operation),
    Invert,
}

impl Request {
    fn parse(args: &Args<'_>) -> Result<Request, CommandError> {
        match () {
            _ if args.is(1, "AND") => Ok(Request::Combine(Operation::And)),
            _ if args.is(1, "OR") => Ok(Request::Combine(Operation::Or)),
            _ if args.is(1, "XOR") => Ok(Request::Combine(Operation::Xor)),
            _ if !args.is(1, "NOT") => Err(CommandError::Syntax),
            _ if args.len() > SOURCES + 1 => Err(CommandError::BitopNot),
            _ => Ok(Request::Invert),
        }
    }
}

/// The result for the sources of a command line, which this shard owns. If the destination belongs to it, too,
/// and is none of them, the buffer of its present value is used again.
fn result_of(data: &mut Data<'_>, destination: Option<usize>) -> Result<Vec<u8>, CommandError> {
    let request = Request::parse(&data.args)?;
    for position in SOURCES..data.args.len() {
        // Judges the types, and removes what has expired.
        let target = data.target(position);
        if let Some(entry) = target.database.find_read(&target.key) {
            string_of(&entry)?;
        }
    }
    let Data { keyspace, args, database, .. } = data;
    let is_source = |key: &[u8]| (SOURCES..args.len()).any(|position| args.get(position) == key);
    let destination = destination.map(|position| args.get(position)).filter(|key| !is_source(key));
    let buffer = destination.and_then(|key| {
        let key = keyspace.key(key);
        keyspace.database(*database).take_buffer(&key)
    });
    let buffer = buffer.unwrap_or_default();
    let keyspace: &mut Keyspace = keyspace;
    let keys: Vec<Key<'_>> = (SOURCES..args.len()).map(|position| keyspace.key(args.get(position))).collect();
    let stored = keyspace.database(*database);
    let strings = keys.iter().map(|key| stored.peek(key).and_then(|entry| entry.string()));
    let strings: Vec<StringRef<'_>> = strings.map(|string| string.unwrap_or(StringRef::Bytes(&[]))).collect();
    let number = |string: &StringRef<'_>| match string {
        StringRef::Int(number) => *number,
        StringRef::Bytes(_) => 0,
    };
    let texts: Vec<IntegerText> = strings.iter().map(|string| IntegerText::new(number(string))).collect();
    let sources = strings.iter().zip(&texts).map(|(string, text)| match *string {
        StringRef::Bytes(bytes) => bytes,
        StringRef::Int(_) => text.as_bytes(),
    });
    let sources: Vec<&[u8]> = sources.collect();
    Ok(match request {
        Request::Combine(operation) => bits::combine(operation, &sources, buffer),
        Request::Invert => bits::invert(sources.first().copied().unwrap_or_default(), buffer),
    })
}

/// Stores a result under the key at argument `index`, whatever was there before, and answers its length.
fn store(data: &mut Data<'_>, index: usize, result: Vec<u8>) {
    let target = data.target(index);
    target.reply.integer(result.len() as i64);
    if result.is_empty() {
        target.database.remove(&target.key);
    } else {
        target.database.overwrite_with(&target.key, Moved::of_raw_bytes(result));
        target.database.notify(EventClasses::STRING, "set", &target.key);
    }
}

/// One shard owns all keys.
fn whole(data: &mut Data<'_>) -> Result<(), CommandError> {
    let result = result_of(data, Some(2))?;
    store(data, 2, result);
    Ok(())
}

/// Hands on the result for some of the sources.
fn fetch(data: &mut Data<'_>) -> Result<(), CommandError> {
    let result = result_of(data, None)?;
    data.reply.null();
    data.moved = Some(Moved::of_bytes(result));
    Ok(())
}

/// Stores what was handed on under argument 1.
fn store_bytes(data: &mut Data<'_>) -> Result<(), CommandError> {
    let result = data.moved.take().and_then(Moved::into_bytes).unwrap_or_default();
    store(data, 1, result);
    Ok(())
}

fn plan_hop(plan: &mut Plan<'_>) -> Result<(), CommandError> {
    if plan.reply_error() {
        return Ok(());
    }
    let request = Request::parse(&plan.args)?;
    match plan.hop {
        0 => {
            // The errors of several shards count in the order of the keys, and so stands their work.
            for position in SOURCES..plan.args.len() {
                let shard = plan.shard_of(position);
                let key = plan.args.get(position).to_vec();
                match plan.work.iter_mut().find(|work| work.shard == shard) {
                    Some(work) => work.args.push(key),
                    None => {
                        let mut args: Vec<Vec<u8>> =
                            (0..SOURCES).map(|index| plan.args.get(index).to_vec()).collect();
                        args.push(key);
                        plan.work.push(Work { shard, step: 0, args, moved: None });
                    }
                }
            }
        }
        1 => {
            let parts = plan.results.iter_mut().map(|result| result.moved.take().and_then(Moved::into_bytes));
            let mut parts: Vec<Vec<u8>> = parts.map(Option::unwrap_or_default).collect();
            let result = match request {
                Request::Combine(operation) if parts.len() > 1 => {
                    let parts: Vec<&[u8]> = parts.iter().map(Vec::as_slice).collect();
                    bits::combine(operation, &parts, Vec::new())
                }
                _ => parts.pop().unwrap_or_default(),
            };
            let args = [0, 2].map(|index| plan.args.get(index).to_vec()).to_vec();
            let moved = Some(Moved::of_bytes(result));
            plan.work.push(Work { shard: plan.shard_of(2), step: 1, args, moved });
        }
        _ => {
            if let Some(result) = plan.results.first() {
                plan.reply.encoded(&result.reply);
            }
        }
    }
    Ok(())
}
