//! SETBIT, GETBIT, BITCOUNT, BITPOS.

use std::ops::Range;

use super::super::{Data, Target};
use super::{parse_offset, with_bytes};
use crate::error::CommandError;
use crate::resp::{Args, number};
use crate::types::bitmap;

pub(super) fn setbit(data: &mut Data<'_>) -> Result<(), CommandError> {
    let offset = parse_offset(data.args.get(2), None, data.string_bytes_max)?;
    let bit = match number::parse_integer(data.args.get(3)) {
        Some(bit @ (0 | 1)) => bit as u8,
        _ => return Err(CommandError::BitValue),
    };
    let (byte, shift) = ((offset / 8) as usize, 7 - offset % 8);
    let Target { database, key, reply, .. } = data.first();
    let mut string = database.string_of_length(&key, byte + 1)?;
    let before = string.bytes()[byte] >> shift & 1;
    if before != bit {
        string.as_mut_slice()[byte] ^= 1 << shift;
    }
    if string.is_changed() {
        string.notify("setbit");
    }
    reply.integer(before as i64);
    Ok(())
}

pub(super) fn getbit(data: &mut Data<'_>) -> Result<(), CommandError> {
    let offset = parse_offset(data.args.get(2), None, data.string_bytes_max)?;
    let target = data.first();
    let bit = match target.database.find_read(&target.key) {
        Some(entry) => with_bytes(&entry, |bytes| {
            let byte = bytes.get((offset / 8) as usize).copied().unwrap_or(0);
            byte >> (7 - offset % 8) & 1
        })?,
        None => 0,
    };
    target.reply.integer(bit as i64);
    Ok(())
}

/// What the arguments behind a range count.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Unit {
    Byte,
    Bit,
}

impl Unit {
    /// Argument `index`, bytes if there is none.
    fn parse(args: &Args<'_>, index: usize) -> Result<Unit, CommandError> {
        match () {
            _ if index >= args.len() || args.is(index, "BYTE") => Ok(Unit::Byte),
            _ if args.is(index, "BIT") => Ok(Unit::Bit),
            _ => Err(CommandError::Syntax),
        }
    }

    /// The bits from `start` to `end`, both inside and counted from the end if below zero, of a string of so
    /// many bytes; maybe none.
    fn bits(self, start: i64, end: i64, string_bytes: usize) -> Range<u64> {
        let scale = if self == Unit::Bit { 1 } else { 8 };
        let length = string_bytes as i64 * 8 / scale;
        let from_end = |index: i64| if index < 0 { index.saturating_add(length).max(0) } else { index };
        let (start, end) = (from_end(start), from_end(end).min(length - 1));
        if start > end { 0..0 } else { (start * scale) as u64..((end + 1) * scale) as u64 }
    }
}

pub(super) fn bitcount(data: &mut Data<'_>) -> Result<(), CommandError> {
    let args = &data.args;
    let range = match args.len() {
        2 => None,
        4 | 5 => Some((args.integer(2)?, args.integer(3)?, Unit::parse(args, 4)?)),
        _ => return Err(CommandError::Syntax),
    };
    let target = data.first();
    let Some(entry) = target.database.find_read(&target.key) else {
        target.reply.integer(0);
        return Ok(());
    };
    let count = with_bytes(&entry, |bytes| match range {
        None => bitmap::count(bytes),
        Some((start, end, _)) if start < 0 && end < 0 && start > end => 0,
        Some((start, end, unit)) => match unit.bits(start, end, bytes.len()) {
            bits if bits.is_empty() => 0,
            bits => bitmap::count_range(bytes, bits),
        },
    })?;
    target.reply.integer(count as i64);
    Ok(())
}

pub(super) fn bitpos(data: &mut Data<'_>) -> Result<(), CommandError> {
    let args = &data.args;
    let bit = match args.integer(2)? {
        0 => false,
        1 => true,
        _ => return Err(CommandError::BitArgument),
    };
    if args.len() > 6 {
        return Err(CommandError::Syntax);
    }
    let start = if args.len() > 3 { args.integer(3)? } else { 0 };
    let unit = Unit::parse(args, 5)?;
    let end = if args.len() > 4 { Some(args.integer(4)?) } else { None };
    let target = data.first();
    let Some(entry) = target.database.find_read(&target.key) else {
        target.reply.integer(if bit { -1 } else { 0 });
        return Ok(());
    };
    let position = with_bytes(&entry, |bytes| {
        let bits = unit.bits(start, end.unwrap_or(-1), bytes.len());
        if bits.is_empty() {
            return -1;
        }
        match bitmap::find(bytes, bit, bits) {
            Some(position) => position as i64,
            // Where the range has no end, zeros follow the string.
            None if !bit && end.is_none() => bytes.len() as i64 * 8,
            None => -1,
        }
    })?;
    target.reply.integer(position);
    Ok(())
}
