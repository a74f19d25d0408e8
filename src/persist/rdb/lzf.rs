//! LZF, the compression of strings in snapshots: fast, and simple enough to check at a glance.
//!
//! ```text
//!   000nnnnn                 n + 1 bytes follow as they are
//!   nnnooooo         o       n + 2 bytes (n from 1 to 6) are those that began o + 1 bytes ago
//!   111ooooo n       o       n + 9 bytes are
//! ```
//!
//! The format: `lzf_d.c` of LibLZF by Marc Lehmann.

const LITERALS_MAX: usize = 32;
const MATCH_BYTES_MIN: usize = 3;
const MATCH_BYTES_MAX: usize = 264;
const DISTANCE_MAX: usize = 1 << 13;
/// A match says 3 bytes at the most for each 264.
const GROWTH_MAX: usize = MATCH_BYTES_MAX / 3;
/// As many bytes less than the string itself a compressed one has to have.
const SAVED_BYTES_MIN: usize = 4;

const TABLE_BITS: u32 = 13;

/// Compresses strings one after the other.
pub(super) struct Compressor {
    /// Where bytes of this hash were last seen. What is left of other strings does no harm: each find is
    /// compared.
    seen: Vec<u32>,
    compressed: Vec<u8>,
}

impl Compressor {
    pub(super) fn new() -> Compressor {
        Compressor { seen: vec![0; 1 << TABLE_BITS], compressed: Vec::new() }
    }

    /// The string in fewer bytes, if it can be done.
    pub(super) fn compress(&mut self, text: &[u8]) -> Option<&[u8]> {
        let limit = text.len().checked_sub(SAVED_BYTES_MIN)?;
        self.compressed.clear();
        let (mut at, mut literals) = (0, 0);
        while at + MATCH_BYTES_MIN <= text.len() {
            let Some(found) = self.find(text, at) else {
                at += 1;
                continue;
            };
            self.write_literals(&text[literals..at]);
            let most = MATCH_BYTES_MAX.min(text.len() - at);
            let length = (0..most).take_while(|&offset| text[found + offset] == text[at + offset]).count();
            self.write_match(at - found - 1, length);
            // The end of a match is where the next one may well begin.
            let next = at + length;
            (next.saturating_sub(2)..next).for_each(|before| self.note(text, before));
            (at, literals) = (next, next);
            if self.compressed.len() > limit {
                return None;
            }
        }
        self.write_literals(&text[literals..]);
        (self.compressed.len() <= limit).then_some(&self.compressed)
    }

    fn place(text: &[u8], at: usize) -> usize {
        let bytes = u32::from(text[at]) << 16 | u32::from(text[at + 1]) << 8 | u32::from(text[at + 2]);
        (bytes.wrapping_mul(0x9E37_79B1) >> (u32::BITS - TABLE_BITS)) as usize
    }

    fn note(&mut self, text: &[u8], at: usize) {
        if at + MATCH_BYTES_MIN <= text.len() {
            self.seen[Self::place(text, at)] = at as u32;
        }
    }

    /// Where the bytes at `at` came before, not too far away; notes that they are here too.
    fn find(&mut self, text: &[u8], at: usize) -> Option<usize> {
        let place = &mut self.seen[Self::place(text, at)];
        let found = std::mem::replace(place, at as u32) as usize;
        let near = found < at && at - found <= DISTANCE_MAX;
        (near && text[found..found + MATCH_BYTES_MIN] == text[at..at + MATCH_BYTES_MIN]).then_some(found)
    }

    fn write_literals(&mut self, literals: &[u8]) {
        for run in literals.chunks(LITERALS_MAX) {
            self.compressed.push(run.len() as u8 - 1);
            self.compressed.extend_from_slice(run);
        }
    }

    fn write_match(&mut self, distance: usize, length: usize) {
        let (high, low) = ((distance >> 8) as u8, distance as u8);
        match length - 2 {
            length @ ..7 => self.compressed.extend_from_slice(&[(length as u8) << 5 | high, low]),
            length => self.compressed.extend_from_slice(&[7 << 5 | high, (length - 7) as u8, low]),
        }
    }
}

/// The string of `length` bytes that was compressed; none if it is not of this length.
pub(super) fn decompress(compressed: &[u8], length: usize) -> Option<Vec<u8>> {
    if length > compressed.len().saturating_mul(GROWTH_MAX) {
        return None;
    }
    let mut text = Vec::with_capacity(length.min(compressed.len() * 2));
    let mut rest = compressed;
    while let [control, after @ ..] = rest {
        let control = *control as usize;
        if control < LITERALS_MAX {
            let (run, after) = after.split_at_checked(control + 1)?;
            text.extend_from_slice(run);
            rest = after;
        } else {
            let (count, low, after) = match (control >> 5, after) {
                (7, [more, low, after @ ..]) => (*more as usize + 9, *low, after),
                (7, _) | (_, []) => return None,
                (count, [low, after @ ..]) => (count + 2, *low, after),
            };
            let distance = ((control & 0x1F) << 8 | low as usize) + 1;
            let start = text.len().checked_sub(distance)?;
            // A match may reach into what it makes.
            for from in start..start + count {
                text.push(text[from]);
            }
            rest = after;
        }
        if text.len() > length {
            return None;
        }
    }
    (text.len() == length).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// What `lzf_compress` of LibLZF makes of these, and a match of each length of the format.
    #[test]
    fn texts_of_the_format() {
        assert_eq!(decompress(b"\x01aa\xe0\x09\x01", 20).as_deref(), Some(&b"aaaaaaaaaaaaaaaaaaaa"[..]));
        assert_eq!(decompress(b"\x03abcd\x40\x03\x00x", 9).as_deref(), Some(&b"abcdabcdx"[..]));
        assert_eq!(decompress(b"\x00a\xe0\xff\x00", 265).as_deref(), Some(&[b'a'; 265][..]));
        for (broken, length) in [
            (&b"\x01a"[..], 2),
            (b"\x00a\x20", 4),
            (b"\x00a\xe0\x00", 10),
            (b"\x20\x00", 3),
            (b"\x00a\x20\x01", 4),
            (b"\x00a", 2),
            (b"\x01aa", 1),
            (b"\x00a\xe0\xff\x00", 264),
            (b"", 1),
            (b"\x00a", usize::MAX),
        ] {
            assert_eq!(decompress(broken, length), None, "{broken:?}");
        }
        assert_eq!(decompress(b"", 0), Some(Vec::new()));
    }

    #[test]
    fn repetition_becomes_short_and_noise_stays() {
        let mut compressor = Compressor::new();
        let repeated = b"0123456789".repeat(1000);
        let length = compressor.compress(&repeated).map(<[u8]>::len);
        assert!(length.is_some_and(|length| length < 200), "{length:?}");
        let noise: Vec<u8> = (0..2000u32)
            .flat_map(|number| {
                crc::Crc::<u32>::new(&crc::CRC_32_CKSUM).checksum(&number.to_le_bytes()).to_le_bytes()
            })
            .collect();
        assert!(compressor.compress(&noise).is_none());
        assert_eq!(compressor.compress(b"abc"), None);
    }

    proptest! {
        #[test]
        fn what_was_compressed_comes_back(
            texts in prop::collection::vec(
                prop::collection::vec(prop_oneof![3 => 0u8..3, 1 => any::<u8>()], 0..2000), 1..4)
        ) {
            let mut compressor = Compressor::new();
            for text in texts {
                if let Some(compressed) = compressor.compress(&text) {
                    prop_assert!(compressed.len() + SAVED_BYTES_MIN <= text.len());
                    prop_assert_eq!(decompress(compressed, text.len()), Some(text));
                }
            }
        }

        #[test]
        fn any_bytes_are_safe(bytes in prop::collection::vec(any::<u8>(), 0..200), length in 0usize..5000) {
            if let Some(text) = decompress(&bytes, length) {
                prop_assert_eq!(text.len(), length);
            }
        }
    }
}
