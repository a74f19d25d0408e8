//! The sparse form: runs of registers with the same number, one opcode after the other.
//!
//! ```text
//!   00llllll            1 to 64 registers that are 0             zeros
//!   01llllll llllllll   1 to 16384 registers that are 0          many zeros
//!   1vvvvvll            1 to 4 registers that are 1 to 32        value
//! ```
//!
//! Lengths and values are stored less one. To raise a register its run is split into up to three; then
//! neighbouring runs of the same value are joined, beginning with the run before, five steps far. A string may
//! so be less short than it could be, but it is the one that Redis makes.

use std::ops::Range;

use super::estimate::LEVELS;
use super::{Flaw, REGISTERS, Registers};

const ZEROS_MAX: usize = 64;
const VALUE_MAX: u8 = 32;
const VALUE_RUN_MAX: usize = 4;

/// Steps of joining after a change.
const JOIN_STEPS: usize = 5;

/// Bytes that the steps of joining can reach, from the run before the change on.
const REACH: usize = 2 * JOIN_STEPS + 2;

/// The longest run before the change, the three of a split run, and what joining can reach behind them.
const WINDOW: usize = 2 + 5 + REACH;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Opcode {
    Zeros(usize),
    ManyZeros(usize),
    Value { level: u8, run: usize },
}

impl Opcode {
    /// The one at `offset`, if it is there as a whole.
    #[inline(always)]
    fn at(bytes: &[u8], offset: usize) -> Option<Opcode> {
        let first = *bytes.get(offset)?;
        Some(match first {
            0..0x40 => Opcode::Zeros(first as usize + 1),
            0x40..0x80 => {
                let low = *bytes.get(offset + 1)?;
                Opcode::ManyZeros(((first as usize & 0x3F) << 8 | low as usize) + 1)
            }
            _ => Opcode::Value { level: (first >> 2 & 0x1F) + 1, run: (first & 3) as usize + 1 },
        })
    }

    /// Registers that it stands for.
    #[inline(always)]
    fn run(self) -> usize {
        match self {
            Opcode::Zeros(run) | Opcode::ManyZeros(run) | Opcode::Value { run, .. } => run,
        }
    }

    /// Bytes that it takes.
    #[inline(always)]
    fn size(self) -> usize {
        if matches!(self, Opcode::ManyZeros(_)) { 2 } else { 1 }
    }

    fn level(self) -> u8 {
        match self {
            Opcode::Value { level, .. } => level,
            _ => 0,
        }
    }
}

/// All opcodes with their offsets, up to the end or to one that is cut off.
pub(super) fn opcodes(bytes: &[u8]) -> impl Iterator<Item = (usize, Opcode)> {
    let mut offset = 0;
    std::iter::from_fn(move || {
        let opcode = Opcode::at(bytes, offset)?;
        let at = offset;
        offset += opcode.size();
        Some((at, opcode))
    })
}

/// Visits each run: its first register, how many there are, and their number.
fn runs(bytes: &[u8], mut visit: impl FnMut(usize, usize, u8)) -> Result<(), Flaw> {
    let (mut register, mut end) = (0, 0);
    for (offset, opcode) in opcodes(bytes) {
        let after = register + opcode.run();
        if after > REGISTERS {
            return Err(Flaw::Corrupted);
        }
        visit(register, opcode.run(), opcode.level());
        register = after;
        end = offset + opcode.size();
    }
    if register == REGISTERS && end == bytes.len() { Ok(()) } else { Err(Flaw::Corrupted) }
}

pub(super) fn check(bytes: &[u8]) -> Result<(), Flaw> {
    runs(bytes, |_, _, _| {})
}

/// How many registers have each number.
pub(super) fn histogram(bytes: &[u8]) -> Result<[u32; LEVELS], Flaw> {
    let mut histogram = [0; LEVELS];
    runs(bytes, |_, run, level| histogram[level as usize] += run as u32)?;
    Ok(histogram)
}

pub(super) fn merge_into(bytes: &[u8], registers: &mut Registers) -> Result<(), Flaw> {
    runs(bytes, |register, run, level| {
        if level > 0 {
            registers[register..register + run].iter_mut().for_each(|own| *own = level.max(*own));
        }
    })
}

/// Of each first byte how many registers it stands for; 0 where that takes a second byte.
const SHORT_RUNS: [u8; 256] = {
    let mut runs = [0; 256];
    let mut first = 0;
    while first < 256 {
        runs[first] = match first {
            0..0x40 => first as u8 + 1,
            0x40..0x80 => 0,
            _ => (first as u8 & 3) + 1,
        };
        first += 1;
    }
    runs
};

/// Where an opcode begins: its offset and its first register.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Place {
    offset: usize,
    register: usize,
}

/// Other bytes for some of the opcodes.
pub(super) struct Edit {
    pub(super) old: Range<usize>,
    bytes: [u8; WINDOW],
    length: usize,
}

impl Edit {
    fn new_at(offset: usize) -> Edit {
        Edit { old: offset..offset, bytes: [0; WINDOW], length: 0 }
    }

    pub(super) fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.length]
    }

    fn extend(&mut self, bytes: &[u8]) {
        self.bytes[self.length..][..bytes.len()].copy_from_slice(bytes);
        self.length += bytes.len();
    }

    /// Appends a run, in the shortest form; nothing if it is empty.
    fn push(&mut self, level: u8, run: usize) {
        let less_one = run.wrapping_sub(1);
        match (level, run) {
            (_, 0) => {}
            (0, ..=ZEROS_MAX) => self.extend(&[less_one as u8]),
            (0, _) => self.extend(&[0x40 | (less_one >> 8) as u8, less_one as u8]),
            _ => self.extend(&[0x80 | (level - 1) << 2 | less_one as u8]),
        }
    }

    /// Joins neighbouring runs of the same value.
    fn join(&mut self) {
        let mut at = 0;
        for _ in 0..JOIN_STEPS {
            let Some(opcode) = Opcode::at(self.as_bytes(), at) else { return };
            match (opcode, Opcode::at(self.as_bytes(), at + 1)) {
                (Opcode::Value { level, run }, Some(Opcode::Value { level: next, run: more }))
                    if level == next && run + more <= VALUE_RUN_MAX =>
                {
                    self.bytes.copy_within(at + 1..self.length, at);
                    self.length -= 1;
                    self.bytes[at] = 0x80 | (level - 1) << 2 | (run + more - 1) as u8;
                }
                _ => at += opcode.size(),
            }
        }
    }
}

/// What it takes to raise a register.
pub(super) enum Raise {
    NotNeeded,
    Edit(Edit),
    /// This form cannot hold the number, or would have to grow beyond its limit.
    NoRoom,
}

/// Raises a register, which lies not before `place`: that is set to where the search for a higher one may begin.
/// The string may grow by `room` bytes, a negative number if it is too long already.
pub(super) fn raise(
    bytes: &[u8],
    register: usize,
    level: u8,
    room: isize,
    place: &mut Place,
) -> Result<Raise, Flaw> {
    if level > VALUE_MAX {
        return Ok(Raise::NoRoom);
    }
    // Of the two runs before the one that is changed: the later may be joined with it, so that a search goes on
    // at the earlier, to know the run before any that it finds.
    let (mut earlier, mut before, mut at) = (*place, *place, *place);
    loop {
        // Read here and not by `Opcode::at`: most of PFADD's time goes by in this loop.
        let first = *bytes.get(at.offset).ok_or(Flaw::Corrupted)?;
        let (size, run) = match SHORT_RUNS[first as usize] {
            0 => {
                let low = *bytes.get(at.offset + 1).ok_or(Flaw::Corrupted)?;
                (2, ((first as usize & 0x3F) << 8 | low as usize) + 1)
            }
            run => (1, run as usize),
        };
        if register < at.register + run {
            break;
        }
        (earlier, before) = (before, at);
        at = Place { offset: at.offset + size, register: at.register + run };
    }
    let opcode = Opcode::at(bytes, at.offset).ok_or(Flaw::Corrupted)?;
    *place = earlier;
    if opcode.level() >= level {
        return Ok(Raise::NotNeeded);
    }
    let start = before.offset;
    let mut edit = Edit::new_at(start);
    edit.extend(&bytes[start..at.offset]);
    edit.push(opcode.level(), register - at.register);
    edit.push(level, 1);
    edit.push(opcode.level(), at.register + opcode.run() - register - 1);
    let after = at.offset + opcode.size();
    let growth = edit.length as isize - (after - start) as isize;
    if growth > 0 && growth > room {
        return Ok(Raise::NoRoom);
    }
    let tail = &bytes[after..bytes.len().min(after + REACH)];
    edit.extend(tail);
    edit.old.end = after + tail.len();
    edit.join();
    Ok(Raise::Edit(edit))
}
