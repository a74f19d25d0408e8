//! What the fuzz targets check of a string of bytes.

pub mod encodings;
pub mod structures;
pub mod value;

/// Bytes from which choices are made; when they are used up, every choice is 0.
pub struct Choices<'a>(pub &'a [u8]);

impl Choices<'_> {
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn byte(&mut self) -> u8 {
        match self.0.split_off_first() {
            Some(&byte) => byte,
            None => 0,
        }
    }

    pub fn below(&mut self, limit: usize) -> usize {
        usize::from(self.byte()) % limit
    }

    pub fn flag(&mut self) -> bool {
        self.byte() & 1 == 1
    }

    pub fn pick<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len())]
    }

    pub fn take(&mut self, count: usize) -> Vec<u8> {
        let (taken, rest) = self.0.split_at(count.min(self.0.len()));
        self.0 = rest;
        taken.to_vec()
    }

    pub fn word(&mut self) -> u64 {
        self.take(8).iter().rev().fold(0, |word, &byte| word << 8 | u64::from(byte))
    }

    /// A number of any width, those at the edges more often.
    pub fn integer(&mut self) -> i64 {
        match self.below(4) {
            0 => i64::from(self.byte() as i8),
            1 => i64::from(u16::from_le_bytes([self.byte(), self.byte()])),
            2 => {
                let edge = 1i64 << self.below(64);
                let near = edge.wrapping_add(i64::from(self.byte() as i8) % 3);
                if self.flag() { near.wrapping_neg() } else { near }
            }
            _ => self.word() as i64,
        }
    }

    /// A text of one of the kinds that structures distinguish.
    pub fn text(&mut self) -> Vec<u8> {
        match self.below(8) {
            0..3 => format!("item:{:05}", self.byte()).into_bytes(),
            3 | 4 => self.integer().to_string().into_bytes(),
            5 => {
                let length = self.below(40);
                self.take(length)
            }
            6 => vec![b'x'; usize::from(self.byte())],
            _ => {
                let edges =
                    [0, 31, 32, 63, 64, 65, 254, 255, 256, 287, 288, 4095, 4096, 65_535, 65_536, 70_000];
                vec![b'y'; self.pick(&edges)]
            }
        }
    }
}
