//! The smallest hashes: names and values one after the other in a few hundred bytes, which whoever stores them
//! may keep where it likes. They are changed on the stack and written back as a whole.

use super::Limits;
use crate::types::packed::{self, Encoded, Item, Wanted};

/// How many bytes there may be.
pub const ELEMENTS_BYTES_MAX: usize = 448;

/// Where a field is among the elements.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Found {
    start: usize,
    value: usize,
    end: usize,
}

/// The field with this name and its value; or how many fields there are.
#[inline]
pub(super) fn find<'e>(bytes: &'e [u8], name: &[u8]) -> Result<(Found, Item<'e>), usize> {
    let wanted = Wanted::new(name);
    let (mut items, mut count) = (packed::elements(bytes), 0);
    loop {
        let start = items.offset();
        let Some(name) = items.next() else { return Err(count) };
        let value_at = items.offset();
        let Some(value) = items.next() else { return Err(count) };
        if wanted.is(&name) {
            return Ok((Found { start, value: value_at, end: items.offset() }, value));
        }
        count += 1;
    }
}

/// Elements that are being changed.
pub(super) struct Elements {
    bytes: [u8; ELEMENTS_BYTES_MAX],
    length: usize,
}

impl Elements {
    /// `bytes` are no more than there may be.
    pub(super) fn new(bytes: &[u8]) -> Elements {
        let mut elements = Elements { bytes: [0; ELEMENTS_BYTES_MAX], length: bytes.len() };
        elements.bytes[..bytes.len()].copy_from_slice(bytes);
        elements
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes[..self.length]
    }

    /// Exchanges what lies from `start` to `end` for `length` bytes, and returns their place; `None` if there
    /// would be too many.
    fn replace(&mut self, start: usize, end: usize, length: usize) -> Option<&mut [u8]> {
        let total = self.length - (end - start) + length;
        if total > ELEMENTS_BYTES_MAX {
            return None;
        }
        self.bytes.copy_within(end..self.length, start + length);
        self.length = total;
        Some(&mut self.bytes[start..start + length])
    }

    /// Sets the field that was `found`, or adds one to as many as `found` says; `false` if the limits or the
    /// room do not allow it.
    pub(super) fn set(
        &mut self,
        found: Result<Found, usize>,
        name: &[u8],
        value: &[u8],
        limits: Limits,
    ) -> bool {
        if value.len() > limits.value_bytes {
            return false;
        }
        let value = Encoded::new(value, &[]);
        let place = match found {
            Ok(found) => self.replace(found.value, found.end, value.len()),
            Err(count) if count >= limits.entries || name.len() > limits.value_bytes => None,
            Err(_) => {
                let name = Encoded::new(name, &[]);
                let place = self.replace(self.length, self.length, name.len() + value.len());
                place.map(|place| {
                    let (name_place, value_place) = place.split_at_mut(name.len());
                    name.write(name_place);
                    value_place
                })
            }
        };
        let fits = place.is_some();
        place.into_iter().for_each(|place| value.write(place));
        fits
    }

    pub(super) fn remove(&mut self, found: Found) {
        self.replace(found.start, found.end, 0);
    }
}
