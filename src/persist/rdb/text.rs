//! Lengths and strings on their way out.
//!
//! ```text
//!   00nnnnnn                         length below 64
//!   01nnnnnn 1 byte                  length below 16384, big endian
//!   80 4 bytes    81 8 bytes         any other length, big endian
//!   C0 1 byte   C1 2 bytes   C2 4    a string that is an integer, little endian
//!   C3 length length bytes           a string compressed by LZF: its length compressed, then as it is
//! ```

use super::lzf::Compressor;
use crate::resp::number::{IntegerText, parse_integer};

/// Strings of no more bytes are not worth an attempt to compress them.
pub(super) const COMPRESSED_BYTES_MIN: usize = 21;
/// Longer strings are written as they are: compressing this one takes about half a millisecond.
const COMPRESSED_BYTES_MAX: usize = 128 * 1024;

pub(super) const INTEGER_8: u8 = 0xC0;
pub(super) const INTEGER_16: u8 = 0xC1;
pub(super) const INTEGER_32: u8 = 0xC2;
pub(super) const COMPRESSED: u8 = 0xC3;

pub(super) fn write_length(length: u64, out: &mut Vec<u8>) {
    match length {
        ..64 => out.push(length as u8),
        64..0x4000 => out.extend_from_slice(&(0x4000 | length as u16).to_be_bytes()),
        _ => match u32::try_from(length) {
            Ok(length) => {
                out.push(0x80);
                out.extend_from_slice(&length.to_be_bytes());
            }
            Err(_) => {
                out.push(0x81);
                out.extend_from_slice(&length.to_be_bytes());
            }
        },
    }
}

/// Writes an integer as a string; `false` if it has to be written as its text.
fn write_short_integer(number: i64, out: &mut Vec<u8>) -> bool {
    if let Ok(number) = i8::try_from(number) {
        out.extend_from_slice(&[INTEGER_8, number as u8]);
    } else if let Ok(number) = i16::try_from(number) {
        out.push(INTEGER_16);
        out.extend_from_slice(&number.to_le_bytes());
    } else if let Ok(number) = i32::try_from(number) {
        out.push(INTEGER_32);
        out.extend_from_slice(&number.to_le_bytes());
    } else {
        return false;
    }
    true
}

/// Writes a string that is the text of an integer.
pub(super) fn write_integer(number: i64, out: &mut Vec<u8>) {
    if !write_short_integer(number, out) {
        let text = IntegerText::new(number);
        write_length(text.as_bytes().len() as u64, out);
        out.extend_from_slice(text.as_bytes());
    }
}

/// Writes a string in the shortest of its forms.
pub(super) fn write_text(text: &[u8], compressor: Option<&mut Compressor>, out: &mut Vec<u8>) {
    if !write_short(text, compressor, out) {
        write_length(text.len() as u64, out);
        out.extend_from_slice(text);
    }
}

/// Writes a string as an integer or compressed; `false` if neither can be done.
pub(super) fn write_short(text: &[u8], compressor: Option<&mut Compressor>, out: &mut Vec<u8>) -> bool {
    if parse_integer(text).is_some_and(|number| write_short_integer(number, out)) {
        return true;
    }
    let compressible = (COMPRESSED_BYTES_MIN..=COMPRESSED_BYTES_MAX).contains(&text.len());
    let Some(compressed) =
        compressor.filter(|_| compressible).and_then(|compressor| compressor.compress(text))
    else {
        return false;
    };
    out.push(COMPRESSED);
    write_length(compressed.len() as u64, out);
    write_length(text.len() as u64, out);
    out.extend_from_slice(compressed);
    true
}
