//! BITFIELD and BITFIELD_RO: operations on integers of some bits, one after the other.
//!
//! The command line is read twice, first to judge it as a whole and see how long the string must be, then to
//! do what it says: nothing is allocated for it.

use super::super::{Data, Target};
use super::{parse_offset, with_bytes};
use crate::error::CommandError;
use crate::resp::{Args, Reply, number};
use crate::types::bitmap::{Field, Overflow};

#[derive(Clone, Copy)]
enum Action {
    Get,
    Set(i64),
    Increment(i64),
}

/// An integer and what is done with it.
#[derive(Clone, Copy)]
struct Operation {
    field: Field,
    action: Action,
    overflow: Overflow,
}

/// The operations of a command line, in their order.
struct Operations<'o, 'a> {
    args: &'o Args<'a>,
    index: usize,
    overflow: Overflow,
    string_bytes_max: usize,
}

impl<'o, 'a> Operations<'o, 'a> {
    fn new(args: &'o Args<'a>, string_bytes_max: usize) -> Self {
        Operations { args, index: 2, overflow: Overflow::Wrap, string_bytes_max }
    }

    fn parse_next(&mut self) -> Result<Option<Operation>, CommandError> {
        let args = self.args;
        while self.index < args.len() {
            let (index, left) = (self.index, args.len() - self.index - 1);
            if args.is(index, "OVERFLOW") && left >= 1 {
                self.overflow = match () {
                    _ if args.is(index + 1, "WRAP") => Overflow::Wrap,
                    _ if args.is(index + 1, "SAT") => Overflow::Saturate,
                    _ if args.is(index + 1, "FAIL") => Overflow::Fail,
                    _ => return Err(CommandError::BitfieldOverflow),
                };
                self.index += 2;
                continue;
            }
            let action: fn(i64) -> Action = match () {
                _ if args.is(index, "GET") && left >= 2 => |_| Action::Get,
                _ if args.is(index, "SET") && left >= 3 => Action::Set,
                _ if args.is(index, "INCRBY") && left >= 3 => Action::Increment,
                _ => return Err(CommandError::Syntax),
            };
            let (signed, bits) = parse_type(args.get(index + 1))?;
            let offset = parse_offset(args.get(index + 2), Some(bits), self.string_bytes_max)?;
            let reads = matches!(action(0), Action::Get);
            let number = if reads { 0 } else { args.integer(index + 3)? };
            self.index += if reads { 3 } else { 4 };
            let field = Field { offset, bits, signed };
            return Ok(Some(Operation { field, action: action(number), overflow: self.overflow }));
        }
        Ok(None)
    }
}

impl Iterator for Operations<'_, '_> {
    type Item = Result<Operation, CommandError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.parse_next().transpose()
    }
}

/// Whether the integer has a sign, and its bits: `i16`, `u8`.
fn parse_type(text: &[u8]) -> Result<(bool, u32), CommandError> {
    let (signed, bits, bits_max) = match text {
        [b'i', bits @ ..] => (true, bits, 64),
        [b'u', bits @ ..] => (false, bits, 63),
        _ => return Err(CommandError::BitfieldType),
    };
    let bits = number::parse_integer(bits).filter(|bits| (1..=bits_max).contains(bits));
    bits.map(|bits| (signed, bits as u32)).ok_or(CommandError::BitfieldType)
}

/// What a command line is going to do.
#[derive(Default)]
struct Extent {
    operations: usize,
    /// How long the string must be for what is written, in bytes; 0 if nothing is.
    written_bytes: usize,
}

impl Extent {
    fn of(args: &Args<'_>, string_bytes_max: usize) -> Result<Extent, CommandError> {
        let mut extent = Extent::default();
        for operation in Operations::new(args, string_bytes_max) {
            let Operation { field, action, .. } = operation?;
            extent.operations += 1;
            if !matches!(action, Action::Get) {
                extent.written_bytes = extent.written_bytes.max(field.end_bytes());
            }
        }
        Ok(extent)
    }
}

pub(super) fn bitfield(data: &mut Data<'_>) -> Result<(), CommandError> {
    let extent = Extent::of(&data.args, data.string_bytes_max)?;
    if extent.written_bytes == 0 {
        return read(data, extent.operations);
    }
    let string_bytes_max = data.string_bytes_max;
    let Target { database, key, args, reply } = data.first();
    let mut string = database.string_of_length(&key, extent.written_bytes)?;
    reply.array(extent.operations);
    for operation in Operations::new(args, string_bytes_max) {
        let Operation { field, action, overflow } = operation?;
        let before = field.get(string.bytes());
        let (written, answer) = match action {
            Action::Get => (None, Some(before)),
            Action::Set(number) => {
                let written = field.fit(number, overflow);
                (written, written.map(|_| before))
            }
            Action::Increment(increment) => {
                let written = field.fit_sum(before, increment, overflow);
                (written, written)
            }
        };
        if let Some(number) = written.filter(|&number| number != before) {
            field.set(string.as_mut_slice(), number);
        }
        match answer {
            Some(number) => reply.integer(number),
            None => reply.null(),
        }
    }
    if string.is_changed() {
        string.notify("setbit");
    }
    Ok(())
}

pub(super) fn bitfield_ro(data: &mut Data<'_>) -> Result<(), CommandError> {
    let extent = Extent::of(&data.args, data.string_bytes_max)?;
    if extent.written_bytes > 0 {
        return Err(CommandError::BitfieldReadOnly);
    }
    read(data, extent.operations)
}

/// Answers the integers of a command line that only reads.
fn read(data: &mut Data<'_>, count: usize) -> Result<(), CommandError> {
    let string_bytes_max = data.string_bytes_max;
    let Target { database, key, args, reply } = data.first();
    let answer = |bytes: &[u8], reply: &mut Reply<'_>| {
        reply.array(count);
        for operation in Operations::new(args, string_bytes_max).flatten() {
            reply.integer(operation.field.get(bytes));
        }
    };
    match database.find_read(&key) {
        Some(entry) => with_bytes(&entry, |bytes| answer(bytes, reply)),
        None => {
            answer(&[], reply);
            Ok(())
        }
    }
}
