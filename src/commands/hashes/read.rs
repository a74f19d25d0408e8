//! Questions about fields, and about the hash as a whole.

use std::collections::HashSet;

use super::super::lists::write_item;
use super::super::random::{self, Random};
use super::super::{Data, Target, scan};
use crate::error::CommandError;
use crate::resp::{Args, Reply};
use crate::types::Hash;
use crate::types::packed::Item;

/// Fields that a call of HSCAN looks at.
const SCAN_COUNT_DEFAULT: usize = 10;

fn write_item_or_null(item: Option<Item<'_>>, reply: &mut Reply<'_>) {
    match item {
        Some(item) => write_item(item, reply),
        None => reply.null(),
    }
}

pub(super) fn hget(data: &mut Data<'_>) -> Result<(), CommandError> {
    let Target { database, key, args, reply } = data.first();
    let hash = database.find::<Hash>(&key)?;
    write_item_or_null(hash.and_then(|hash| hash.get(args.get(2))), reply);
    Ok(())
}

pub(super) fn hmget(data: &mut Data<'_>) -> Result<(), CommandError> {
    let Target { database, key, args, reply } = data.first();
    let hash = database.find::<Hash>(&key)?;
    reply.array(args.len() - 2);
    for index in 2..args.len() {
        write_item_or_null(hash.and_then(|hash| hash.get(args.get(index))), reply);
    }
    Ok(())
}

pub(super) fn hexists(data: &mut Data<'_>) -> Result<(), CommandError> {
    let Target { database, key, args, reply } = data.first();
    let found = database.find::<Hash>(&key)?.is_some_and(|hash| hash.get(args.get(2)).is_some());
    reply.integer(found as i64);
    Ok(())
}

pub(super) fn hlen(data: &mut Data<'_>) -> Result<(), CommandError> {
    let Target { database, key, reply, .. } = data.first();
    reply.integer(database.find::<Hash>(&key)?.map_or(0, Hash::len) as i64);
    Ok(())
}

pub(super) fn hstrlen(data: &mut Data<'_>) -> Result<(), CommandError> {
    let Target { database, key, args, reply } = data.first();
    let hash = database.find::<Hash>(&key)?;
    let length = hash.and_then(|hash| hash.get(args.get(2))).map_or(0, |value| value.len());
    reply.integer(length as i64);
    Ok(())
}

pub(super) fn hkeys(data: &mut Data<'_>) -> Result<(), CommandError> {
    let Target { database, key, reply, .. } = data.first();
    let hash = database.find::<Hash>(&key)?;
    reply.array(hash.map_or(0, Hash::len));
    if let Some(hash) = hash {
        hash.for_each(|name, _| write_item(name, reply));
    }
    Ok(())
}

pub(super) fn hvals(data: &mut Data<'_>) -> Result<(), CommandError> {
    let Target { database, key, reply, .. } = data.first();
    let hash = database.find::<Hash>(&key)?;
    reply.array(hash.map_or(0, Hash::len));
    if let Some(hash) = hash {
        hash.for_each(|_, value| write_item(value, reply));
    }
    Ok(())
}

pub(super) fn hgetall(data: &mut Data<'_>) -> Result<(), CommandError> {
    let Target { database, key, reply, .. } = data.first();
    let hash = database.find::<Hash>(&key)?;
    reply.map(hash.map_or(0, Hash::len));
    if let Some(hash) = hash {
        hash.for_each(|name, value| {
            write_item(name, reply);
            write_item(value, reply);
        });
    }
    Ok(())
}

pub(super) fn hrandfield(data: &mut Data<'_>) -> Result<(), CommandError> {
    let request = random::parse_request(&data.args, "WITHVALUES")?;
    let Target { database, key, reply, .. } = data.first();
    let mut random = Random::new(database.random_bits());
    let mut below = |bound: usize| random.below(bound);
    match (database.find::<Hash>(&key)?, request) {
        (None, None) => reply.null(),
        (None, Some(_)) => reply.array(0),
        (Some(hash), None) => write_item_or_null(hash.draw(&mut below).map(|field| field.pair().0), reply),
        (Some(hash), Some((count, with_values))) => {
            let mut fields = Fields { with_values, reply };
            write_random(hash, count, &mut below, &mut fields);
        }
    }
    Ok(())
}

/// Writes fields, or fields with values, which RESP3 has in pairs.
struct Fields<'r, 'o> {
    with_values: bool,
    reply: &'r mut Reply<'o>,
}

impl Fields<'_, '_> {
    /// Announces so many fields.
    fn begin(&mut self, count: usize) {
        let flat = self.with_values && !self.reply.is_resp3();
        self.reply.array(if flat { count * 2 } else { count });
    }

    fn write(&mut self, (name, value): (Item<'_>, Item<'_>)) {
        if self.with_values && self.reply.is_resp3() {
            self.reply.array(2);
        }
        write_item(name, self.reply);
        if self.with_values {
            write_item(value, self.reply);
        }
    }
}

fn write_random(
    hash: &Hash,
    count: i64,
    below: &mut impl FnMut(usize) -> usize,
    fields: &mut Fields<'_, '_>,
) {
    let (length, wanted) = (hash.len(), usize::try_from(count.unsigned_abs()).unwrap_or(usize::MAX));
    if count < 0 {
        fields.begin(wanted);
        (0..wanted).filter_map(|_| hash.draw(below)).for_each(|field| fields.write(field.pair()));
    } else if wanted >= length {
        fields.begin(length);
        hash.for_each(|name, value| fields.write((name, value)));
    } else if wanted > length / 4 {
        // Each field in order, with the chance that as many are still wanted as are left.
        fields.begin(wanted);
        let (mut left, mut missing) = (length, wanted);
        hash.for_each(|name, value| {
            if below(left) < missing {
                missing -= 1;
                fields.write((name, value));
            }
            left -= 1;
        });
    } else {
        // Fields until there are enough different ones; at least three of four are new.
        fields.begin(wanted);
        let mut drawn = HashSet::with_capacity(wanted);
        while drawn.len() < wanted
            && let Some(field) = hash.draw(below)
        {
            if drawn.insert(field.id()) {
                fields.write(field.pair());
            }
        }
    }
}

/// The options of HSCAN, from argument 3 on.
struct ScanOptions {
    /// The argument with the pattern.
    pattern: Option<usize>,
    /// How many fields are looked at.
    count: usize,
    without_values: bool,
}

impl ScanOptions {
    fn parse(args: &Args<'_>) -> Result<ScanOptions, CommandError> {
        let mut options = ScanOptions { pattern: None, count: SCAN_COUNT_DEFAULT, without_values: false };
        let mut index = 3;
        while index < args.len() {
            if args.is(index, "NOVALUES") {
                options.without_values = true;
                index += 1;
                continue;
            } else if index + 1 == args.len() {
                return Err(CommandError::Syntax);
            } else if args.is(index, "COUNT") {
                let number = usize::try_from(args.integer(index + 1)?).ok();
                options.count = number.filter(|&count| count > 0).ok_or(CommandError::Syntax)?;
            } else if args.is(index, "MATCH") {
                options.pattern = Some(index + 1);
            } else {
                return Err(CommandError::Syntax);
            }
            index += 2;
        }
        Ok(options)
    }
}

pub(super) fn hscan(data: &mut Data<'_>) -> Result<(), CommandError> {
    let Target { database, key, args, reply } = data.first();
    let cursor = scan::parse_cursor(args.get(2))?;
    let Some(hash) = database.find::<Hash>(&key)? else {
        reply.array(2);
        reply.bulk(b"0");
        reply.array(0);
        return Ok(());
    };
    let options = ScanOptions::parse(args)?;
    let (mut elements, mut text, mut found) = (Vec::new(), Vec::new(), 0);
    let mut writer = Reply::new(&mut elements, false);
    let next = hash.scan(cursor, options.count, |name, value| {
        if let Some(pattern) = options.pattern {
            text.clear();
            name.write(&mut text);
            if !scan::matches(args.get(pattern), &text) {
                return;
            }
        }
        found += 1;
        write_item(name, &mut writer);
        if !options.without_values {
            found += 1;
            write_item(value, &mut writer);
        }
    });
    reply.array(2);
    reply.bulk(next.to_string().as_bytes());
    reply.array(found);
    reply.encoded(&elements);
    Ok(())
}
