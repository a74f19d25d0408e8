//! Questions about members, and about the set as a whole.

use super::super::{Data, Target, scan};
use super::write_item;
use crate::error::CommandError;
use crate::resp::{Args, Reply};
use crate::types::Set;
use crate::types::packed::Item;

/// Members that a call of SSCAN looks at.
const SCAN_COUNT_DEFAULT: usize = 10;

pub(super) fn scard(data: &mut Data<'_>) -> Result<(), CommandError> {
    let Target { database, key, reply, .. } = data.first();
    let set = database.find::<Set>(&key)?;
    reply.integer(set.map_or(0, Set::len) as i64);
    Ok(())
}

pub(super) fn sismember(data: &mut Data<'_>) -> Result<(), CommandError> {
    let Target { database, key, args, reply } = data.first();
    let set = database.find::<Set>(&key)?;
    reply.integer(i64::from(set.is_some_and(|set| set.contains(args.get(2)))));
    Ok(())
}

pub(super) fn smismember(data: &mut Data<'_>) -> Result<(), CommandError> {
    let Target { database, key, args, reply } = data.first();
    let set = database.find::<Set>(&key)?;
    reply.array(args.len() - 2);
    for index in 2..args.len() {
        reply.integer(i64::from(set.is_some_and(|set| set.contains(args.get(index)))));
    }
    Ok(())
}

pub(super) fn smembers(data: &mut Data<'_>) -> Result<(), CommandError> {
    let Target { database, key, reply, .. } = data.first();
    match database.find::<Set>(&key)? {
        Some(set) => write_all(set, reply),
        None => reply.set(0),
    }
    Ok(())
}

/// Answers all members.
pub(super) fn write_all(set: &Set, reply: &mut Reply<'_>) {
    reply.set(set.len());
    set.batches(&mut |members| {
        members.iter().for_each(|&member| write_item(member, reply));
        true
    });
}

/// The options of SSCAN, from argument 3 on: the argument with the pattern, and how many members.
fn parse_scan(args: &Args<'_>) -> Result<(Option<usize>, usize), CommandError> {
    let (mut pattern, mut count) = (None, SCAN_COUNT_DEFAULT);
    for index in (3..args.len()).step_by(2) {
        if index + 1 == args.len() {
            return Err(CommandError::Syntax);
        } else if args.is(index, "COUNT") {
            let number = usize::try_from(args.integer(index + 1)?).ok();
            count = number.filter(|&count| count > 0).ok_or(CommandError::Syntax)?;
        } else if args.is(index, "MATCH") {
            pattern = Some(index + 1);
        } else {
            return Err(CommandError::Syntax);
        }
    }
    Ok((pattern, count))
}

pub(super) fn sscan(data: &mut Data<'_>) -> Result<(), CommandError> {
    let Target { database, key, args, reply } = data.first();
    let cursor = scan::parse_cursor(args.get(2))?;
    let Some(set) = database.find::<Set>(&key)? else {
        reply.array(2);
        reply.bulk(b"0");
        reply.array(0);
        return Ok(());
    };
    let (pattern, count) = parse_scan(args)?;
    let pattern = pattern.map(|index| args.get(index));
    let (mut members, mut found) = (Vec::new(), 0);
    let mut writer = Reply::new(&mut members, false);
    let next = set.scan(cursor, count, |member| {
        if pattern.is_none_or(|pattern| item_matches(pattern, member)) {
            found += 1;
            write_item(member, &mut writer);
        }
    });
    reply.array(2);
    reply.bulk(next.to_string().as_bytes());
    reply.array(found);
    reply.encoded(&members);
    Ok(())
}

fn item_matches(pattern: &[u8], member: Item<'_>) -> bool {
    match member {
        Item::Bytes(bytes) => scan::matches(pattern, bytes),
        _ => scan::matches(pattern, &member.to_vec()),
    }
}
