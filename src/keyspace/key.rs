//! A key on its way to its entry.

/// A key with what was computed from it once per request.
#[derive(Clone, Copy, Debug)]
pub struct Key<'a> {
    pub bytes: &'a [u8],
    pub hash: u64,
    /// The hash slot if the keyspace has a table per slot, else 0.
    pub slot: u16,
}

impl Key<'_> {
    #[inline(always)]
    pub fn place(&self) -> KeyPlace {
        KeyPlace { hash: self.hash, slot: self.slot }
    }
}

/// A key without its bytes.
#[derive(Clone, Copy, Debug, Default)]
pub struct KeyPlace {
    pub hash: u64,
    pub slot: u16,
}

impl KeyPlace {
    #[inline(always)]
    pub fn key(self, bytes: &[u8]) -> Key<'_> {
        Key { bytes, hash: self.hash, slot: self.slot }
    }
}
