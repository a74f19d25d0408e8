//! The marks of a block, behind one pointer: short blocks have none, and with a slice's two words a block would
//! leave an [`crate::types::Object`] no room for its kind in 48 bytes.

use std::ops::{Deref, DerefMut};

#[derive(Debug, Default)]
pub(super) struct Marks(Option<Box<Offsets>>);

#[derive(Debug)]
struct Offsets(Box<[u16]>);

impl Marks {
    /// Bytes allocated.
    #[inline]
    pub(super) fn heap_bytes(&self) -> usize {
        self.0.as_ref().map_or(0, |offsets| size_of::<Offsets>() + size_of_val(&*offsets.0))
    }
}

impl From<&[u16]> for Marks {
    fn from(offsets: &[u16]) -> Marks {
        Marks::from(Vec::from(offsets))
    }
}

impl From<Vec<u16>> for Marks {
    fn from(offsets: Vec<u16>) -> Marks {
        Marks((!offsets.is_empty()).then(|| Box::new(Offsets(offsets.into_boxed_slice()))))
    }
}

impl Deref for Marks {
    type Target = [u16];

    #[inline]
    fn deref(&self) -> &[u16] {
        self.0.as_ref().map_or(&[], |offsets| &offsets.0)
    }
}

impl DerefMut for Marks {
    #[inline]
    fn deref_mut(&mut self) -> &mut [u16] {
        self.0.as_mut().map_or(&mut [], |offsets| &mut offsets.0)
    }
}
