//! Members on their way from one step of a command to another, one after the other.
//!
//! ```text
//!   length u32 │ bytes of the member │ length u32 │ ...
//! ```

use crate::keyspace::Moved;
use crate::types::Set;
use crate::types::packed::Item;

const LENGTH_BYTES: usize = size_of::<u32>();

/// Members as they travel.
#[derive(Default)]
pub struct Flat(Vec<u8>);

impl Flat {
    /// The members of a set.
    pub fn of(set: &Set) -> Flat {
        let mut flat = Flat::default();
        set.batches(&mut |members| {
            members.iter().for_each(|&member| flat.push(member));
            true
        });
        flat
    }

    pub fn push(&mut self, member: Item<'_>) {
        let start = self.0.len();
        self.0.extend_from_slice(&[0; LENGTH_BYTES]);
        member.write(&mut self.0);
        // No argument is longer than 4 GiB, and so no member.
        let length = (self.0.len() - start - LENGTH_BYTES) as u32;
        self.0[start..start + LENGTH_BYTES].copy_from_slice(&length.to_le_bytes());
    }

    pub fn iter(&self) -> impl Iterator<Item = &[u8]> + Clone {
        let mut rest = self.0.as_slice();
        std::iter::from_fn(move || {
            let (length, after) = rest.split_first_chunk()?;
            let (member, after) = after.split_at_checked(u32::from_le_bytes(*length) as usize)?;
            rest = after;
            Some(member)
        })
    }

    pub fn into_moved(self) -> Moved {
        Moved::of_bytes(self.0)
    }

    /// What [`Flat::into_moved`] made; nothing if nothing came.
    pub fn of_moved(moved: Option<Moved>) -> Flat {
        Flat(moved.and_then(Moved::into_bytes).unwrap_or_default())
    }
}
