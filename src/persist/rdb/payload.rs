//! What DUMP answers and RESTORE takes: a value, the version of the format, a checksum.

use crc::{CRC_64_REDIS, Crc, Table};

use super::{Decoder, Encoder, Input, Malformed, VERSION, VERSION_OF_TIMED_HASHES};
use crate::keyspace::{Moved, Value};
use crate::types::{Limits, NEVER};

static CRC: Crc<u64, Table<16>> = Crc::<u64, Table<16>>::new(&CRC_64_REDIS);

const VERSION_BYTES: usize = size_of::<u16>();
const CHECKSUM_BYTES: usize = size_of::<u64>();

/// A value as a payload, its strings compressed if so wished. Of a hash no field may be due.
pub fn dump(value: Value<'_>, compress: bool) -> Vec<u8> {
    let timed = matches!(value, Value::Hash(hash) if hash.first_deadline() != NEVER);
    let version = if timed { VERSION_OF_TIMED_HASHES } else { VERSION };
    let mut payload = Vec::new();
    let mut encoder = Encoder::new(compress);
    while !encoder.step(value, usize::MAX, &mut payload) {}
    payload.extend_from_slice(&version.to_le_bytes());
    let checksum = CRC.checksum(&payload);
    payload.extend_from_slice(&checksum.to_le_bytes());
    payload
}

/// What a payload holds besides version and checksum; none if one of them is wrong.
pub fn verify(payload: &[u8]) -> Option<&[u8]> {
    let (sealed, checksum) = payload.split_last_chunk::<CHECKSUM_BYTES>()?;
    let (value, version) = sealed.split_last_chunk::<VERSION_BYTES>()?;
    let known = u16::from_le_bytes(*version) <= VERSION_OF_TIMED_HASHES;
    (known && CRC.checksum(sealed) == u64::from_le_bytes(*checksum)).then_some(value)
}

/// The value that [`verify`] has found in a payload, represented as the limits say.
pub fn restore(value: &[u8], limits: Limits) -> Result<Moved, Malformed> {
    let (&type_number, content) = value.split_first().ok_or(Malformed)?;
    let mut decoder = Decoder::new(type_number, limits)?;
    let mut input = Input::whole(content);
    loop {
        if let Some(moved) = decoder.step(&mut input, usize::MAX)? {
            return if input.position() == content.len() { Ok(moved) } else { Err(Malformed) };
        }
    }
}
