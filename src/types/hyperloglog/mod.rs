//! HyperLogLog: how many different elements were added, estimated from 16384 registers.
//!
//! The hash of an element chooses a register with 14 of its bits; of the other 50 the number of zeros before the
//! first one, plus one, is what the register must be at least. Registers of different sets merge by their
//! maximum. The estimate (`estimate.rs`) has a standard error of 1.04 / √16384, or 0.81 %.
//!
//! A HyperLogLog is a string, byte by byte the one that Redis makes, so that clients may read it, keep it and
//! write it back. Hence what a client wrote may be anything, and everything read from it is checked.
//!
//! ```text
//!   0       4          5          8                       16
//!  +-------+----------+----------+-----------------------+------------------------------------+
//!  | HYLL  | encoding | 3 unused | last estimate, u64 LE | registers                          |
//!  +-------+----------+----------+-----------------------+------------------------------------+
//!            0 dense               the highest bit: it is   dense: 16384 × 6 bits, lowest first
//!            1 sparse              of no use any more       sparse: runs of registers (sparse.rs)
//! ```
//!
//! Small ones are sparse, as long as they take no more than `hll-sparse-max-bytes` and no register is above 32.

mod dense;
mod estimate;
mod hash;
mod self_test;
mod sparse;
#[cfg(test)]
mod tests;

use std::ops::Range;

pub use self_test::{Failure, self_test};
pub use sparse::Opcode;

/// Registers of every HyperLogLog.
pub const REGISTERS: usize = 1 << REGISTER_BITS;

/// Bits of the hash that choose a register.
const REGISTER_BITS: u32 = 14;

/// The largest number that a register gets: there are 50 bits for it.
const REGISTER_MAX: u8 = 64 - REGISTER_BITS as u8 + 1;

/// The registers, one in a byte each.
pub type Registers = [u8; REGISTERS];

const MAGIC: &[u8; 4] = b"HYLL";
const ENCODING: usize = 4;
const ESTIMATE: Range<usize> = 8..16;
const HEADER_BYTES: usize = 16;
const DENSE_BYTES: usize = HEADER_BYTES + dense::BYTES;
/// Of the last byte of the estimate: something was added since.
const STALE: u8 = 0x80;

/// One to which nothing was added: sparse, one run of zeros.
pub const EMPTY: [u8; HEADER_BYTES + 2] = [
    b'H', b'Y', b'L', b'L', 1, 0, 0, 0, // header
    0, 0, 0, 0, 0, 0, 0, 0, // an estimate of 0
    0x7F, 0xFF,
];

/// What is wrong with a string.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flaw {
    /// It is no HyperLogLog.
    Foreign,
    /// Its runs are not those of 16384 registers.
    Corrupted,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    Dense,
    Sparse,
}

/// A string to be changed in place.
pub trait Buffer {
    fn bytes(&self) -> &[u8];

    fn bytes_mut(&mut self) -> &mut [u8];

    /// Puts `new` in the place of the bytes in `old`.
    fn splice(&mut self, old: Range<usize>, new: &[u8]);

    fn set(&mut self, bytes: Vec<u8>);
}

impl Buffer for Vec<u8> {
    fn bytes(&self) -> &[u8] {
        self
    }

    fn bytes_mut(&mut self) -> &mut [u8] {
        self
    }

    fn splice(&mut self, old: Range<usize>, new: &[u8]) {
        Vec::splice(self, old, new.iter().copied());
    }

    fn set(&mut self, bytes: Vec<u8>) {
        *self = bytes;
    }
}

/// A string that begins as a HyperLogLog does, and has the right length if it is dense.
#[derive(Clone, Copy)]
pub struct View<'a> {
    bytes: &'a [u8],
    encoding: Encoding,
}

impl<'a> View<'a> {
    #[inline]
    pub fn of(bytes: &'a [u8]) -> Result<View<'a>, Flaw> {
        let encoding = match bytes.first_chunk::<HEADER_BYTES>() {
            Some(header) if header.starts_with(MAGIC) => header[ENCODING],
            _ => return Err(Flaw::Foreign),
        };
        match encoding {
            0 if bytes.len() == DENSE_BYTES => Ok(View { bytes, encoding: Encoding::Dense }),
            1 => Ok(View { bytes, encoding: Encoding::Sparse }),
            _ => Err(Flaw::Foreign),
        }
    }

    pub fn encoding(self) -> Encoding {
        self.encoding
    }

    fn registers(self) -> &'a [u8] {
        &self.bytes[HEADER_BYTES..]
    }

    /// The runs of a sparse one, up to the end or to the first that is cut off.
    pub fn opcodes(self) -> impl Iterator<Item = Opcode> + 'a {
        sparse::opcodes(self.registers()).map(|(_, opcode)| opcode)
    }

    /// The last estimate, if nothing was added since.
    pub fn last_estimate(self) -> Option<u64> {
        let estimate = self.bytes[ESTIMATE].first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes));
        (self.bytes[ESTIMATE.end - 1] & STALE == 0).then_some(estimate)
    }

    /// How many different elements were added, estimated anew.
    pub fn estimate(self) -> Result<u64, Flaw> {
        let histogram = match self.encoding {
            Encoding::Dense => estimate::histogram(dense::groups(self.registers())),
            Encoding::Sparse => sparse::histogram(self.registers())?,
        };
        Ok(estimate::of_histogram(&histogram))
    }

    /// Raises registers to those of this one where they are lower.
    pub fn merge_into(self, registers: &mut Registers) -> Result<(), Flaw> {
        match self.encoding {
            Encoding::Dense => {
                dense::merge_into(self.registers(), registers);
                Ok(())
            }
            Encoding::Sparse => sparse::merge_into(self.registers(), registers),
        }
    }

    /// An error if the runs of a sparse one are not those of all registers.
    pub fn check(self) -> Result<(), Flaw> {
        match self.encoding {
            Encoding::Dense => Ok(()),
            Encoding::Sparse => sparse::check(self.registers()),
        }
    }
}

/// How many different elements were added to what was merged into these registers.
pub fn estimate(registers: &Registers) -> u64 {
    let (groups, _) = registers.as_chunks();
    estimate::of_histogram(&estimate::histogram(groups.iter().copied()))
}

/// Keeps an estimate for the next time. The buffer holds a HyperLogLog.
pub fn keep_estimate(buffer: &mut impl Buffer, estimate: u64) {
    buffer.bytes_mut()[ESTIMATE].copy_from_slice(&estimate.to_le_bytes());
}

/// Has the next question for the estimate compute it anew. The buffer holds a HyperLogLog.
pub fn forget_estimate(buffer: &mut impl Buffer) {
    buffer.bytes_mut()[ESTIMATE.end - 1] |= STALE;
}

/// Adds an element to what the buffer holds; says whether a register changed.
pub fn add(buffer: &mut impl Buffer, element: &[u8], sparse_bytes_max: usize) -> Result<bool, Flaw> {
    let view = View::of(buffer.bytes())?;
    let (register, level) = hash::register_and_level(element);
    let changed = match view.encoding {
        Encoding::Dense if dense::get(view.registers(), register) >= level => false,
        Encoding::Dense => {
            dense::set(&mut buffer.bytes_mut()[HEADER_BYTES..], register, level);
            true
        }
        Encoding::Sparse => {
            let mut place = sparse::Place::default();
            raise_sparse(buffer, register, level, sparse_bytes_max, &mut place)?
        }
    };
    if changed {
        forget_estimate(buffer);
    }
    Ok(changed)
}

/// Raises a register of a sparse one, which may become dense; says whether it changed. `place` is where the
/// search begins, at the start or where the last call for a lower register left it.
fn raise_sparse(
    buffer: &mut impl Buffer,
    register: usize,
    level: u8,
    sparse_bytes_max: usize,
    place: &mut sparse::Place,
) -> Result<bool, Flaw> {
    let length = buffer.bytes().len();
    let room = sparse_bytes_max as isize - length as isize;
    match sparse::raise(&buffer.bytes()[HEADER_BYTES..], register, level, room, place)? {
        sparse::Raise::NotNeeded => Ok(false),
        sparse::Raise::Edit(edit) => {
            let old = edit.old.start + HEADER_BYTES..edit.old.end + HEADER_BYTES;
            buffer.splice(old, edit.as_bytes());
            Ok(true)
        }
        sparse::Raise::NoRoom => {
            make_dense(buffer)?;
            dense::set(&mut buffer.bytes_mut()[HEADER_BYTES..], register, level);
            Ok(true)
        }
    }
}

/// Makes a sparse one dense, with the same header; says whether it was sparse.
pub fn make_dense(buffer: &mut impl Buffer) -> Result<bool, Flaw> {
    let view = View::of(buffer.bytes())?;
    if view.encoding == Encoding::Dense {
        return Ok(false);
    }
    let mut registers = [0; REGISTERS];
    view.merge_into(&mut registers)?;
    let mut bytes = view.bytes[..HEADER_BYTES].to_vec();
    bytes[ENCODING] = 0;
    dense::pack(&registers, &mut bytes);
    buffer.set(bytes);
    Ok(true)
}

/// Raises the registers of what the buffer holds to these, where they are lower; these are nowhere lower than
/// its own. It becomes dense if it is to be, or if there is need.
pub fn raise_all(
    buffer: &mut impl Buffer,
    registers: &Registers,
    to_dense: bool,
    sparse_bytes_max: usize,
) -> Result<(), Flaw> {
    if to_dense {
        make_dense(buffer)?;
    }
    let mut place = sparse::Place::default();
    for (register, &level) in registers.iter().enumerate().filter(|&(_, &level)| level > 0) {
        if View::of(buffer.bytes())?.encoding == Encoding::Dense {
            let mut bytes = buffer.bytes()[..HEADER_BYTES].to_vec();
            dense::pack(registers, &mut bytes);
            buffer.set(bytes);
            break;
        }
        raise_sparse(buffer, register, level, sparse_bytes_max, &mut place)?;
    }
    forget_estimate(buffer);
    Ok(())
}
