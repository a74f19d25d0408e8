//! Elements on their way from one step of a command to another, one after the other.
//!
//! ```text
//!   score f64 │ length u32 │ bytes of the member │ score f64 │ ...
//! ```

use crate::keyspace::Moved;

const HEAD_BYTES: usize = 12;

/// Elements as they travel.
#[derive(Default)]
pub(in crate::commands) struct Flat(Vec<u8>);

impl Flat {
    pub(in crate::commands) fn push(&mut self, member: &[u8], score: f64) {
        self.0.reserve(HEAD_BYTES + member.len());
        self.0.extend_from_slice(&score.to_le_bytes());
        // No argument is longer than 4 GiB, and so no member.
        self.0.extend_from_slice(&(member.len() as u32).to_le_bytes());
        self.0.extend_from_slice(member);
    }

    pub(in crate::commands) fn iter(&self) -> impl Iterator<Item = (&[u8], f64)> + Clone {
        let mut rest = self.0.as_slice();
        std::iter::from_fn(move || {
            let (score, after) = rest.split_first_chunk()?;
            let (length, after) = after.split_first_chunk()?;
            let (member, after) = after.split_at_checked(u32::from_le_bytes(*length) as usize)?;
            rest = after;
            Some((member, f64::from_le_bytes(*score)))
        })
    }

    pub(in crate::commands) fn into_moved(self) -> Moved {
        Moved::of_bytes(self.0)
    }

    /// What [`Flat::into_moved`] made; nothing if nothing came.
    pub(in crate::commands) fn of_moved(moved: Option<Moved>) -> Flat {
        Flat(moved.and_then(Moved::into_bytes).unwrap_or_default())
    }
}

impl<'e> FromIterator<(&'e [u8], f64)> for Flat {
    fn from_iter<T: IntoIterator<Item = (&'e [u8], f64)>>(elements: T) -> Flat {
        let mut flat = Flat::default();
        elements.into_iter().for_each(|(member, score)| flat.push(member, score));
        flat
    }
}
