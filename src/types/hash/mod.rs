//! Hashes: fields with a name, each once, a value and perhaps a deadline.
//!
//! ```text
//!   elements   name, value, name, value … in up to 448 bytes     the smallest, kept in their entry  (elements.rs)
//!   Packed     the same in a block of their own                  small hashes         (types/packed, small.rs)
//!   Timed      a block and a list of deadlines                   with HEXPIRE used    (small.rs)
//!   Large      Field ◄─── hash index   name → field              one allocation each  (field.rs, large.rs)
//!                    ◄─── B-tree       deadline → field
//! ```
//!
//! A hash begins as elements, goes on packed and becomes large for good when it outgrows its [`Limits`], or the
//! 64 KiB that a packed block can address. It does not become smaller again. A [`View`] answers questions about
//! any of them, an [`Edited`] changes any of them.
//!
//! Nothing here knows the time. Whoever looks a hash up says what time it is by [`Hash::expire`], and from
//! then on the fields that were due are missing, be they removed already or not. Only their number
//! ([`View::len`]) and the draw of random ones count them, until `expire` has removed them all.

mod edited;
mod elements;
mod field;
mod large;
mod small;
#[cfg(test)]
mod tests;
mod view;

pub use edited::{Edited, Outcome};
pub use elements::ELEMENTS_BYTES_MAX;
pub use view::View;

use super::packed::{Item, Packed};
use super::{Collection, Encoding, Kind, NEVER, Object, Registration};
use crate::runtime::allocator::rounded_bytes;
use large::Large;
use small::Timed;
use view::Shape;

/// Up to where a hash stays packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Number of fields.
    pub entries: usize,
    /// Length of a name and of a value.
    pub value_bytes: usize,
}

#[derive(Clone)]
pub struct Hash(Body);

#[derive(Clone)]
enum Body {
    Packed(Packed),
    Timed(Box<Timed>),
    Large(Box<Large>),
}

/// What becomes of the deadline of a field that gets another value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deadline {
    Keep,
    Clear,
}

impl Default for Hash {
    fn default() -> Self {
        Hash::new()
    }
}

impl Hash {
    pub fn new() -> Hash {
        Hash(Body::Packed(Packed::new()))
    }

    /// An empty hash that is large already.
    fn large() -> Hash {
        Hash(Body::Large(Box::new(Large::new())))
    }

    /// A hash of the elements of a [`View::of_elements`].
    fn of_elements(bytes: &[u8]) -> Hash {
        Hash(Body::Packed(small::of_elements(bytes)))
    }

    /// See [`Object::fetch_slot`](crate::types::Object::fetch_slot).
    #[inline]
    pub fn fetch_slot(&self, element: &[u8]) -> Option<u64> {
        match &self.0 {
            Body::Large(large) => Some(large.fetch_slot(element)),
            _ => None,
        }
    }

    #[inline]
    pub fn fetch_element(&self, hash: u64) {
        if let Body::Large(large) = &self.0 {
            large.fetch_element(hash);
        }
    }

    #[inline]
    pub fn view(&self) -> View<'_> {
        View(match &self.0 {
            Body::Packed(packed) => Shape::Packed(packed),
            Body::Timed(timed) => Shape::Timed(timed),
            Body::Large(large) => Shape::Large(large),
        })
    }

    /// The block of a small hash.
    #[inline]
    fn packed(&self) -> Option<&Packed> {
        match &self.0 {
            Body::Packed(packed) => Some(packed),
            Body::Timed(timed) => Some(&timed.packed),
            Body::Large(_) => None,
        }
    }

    /// Gives a field the value that `decide` makes of its present one, or adds it; `None` leaves everything
    /// as it is. The look-up is done once.
    #[inline]
    pub fn update<V: AsRef<[u8]>>(
        &mut self,
        name: &[u8],
        limits: Limits,
        deadline: Deadline,
        decide: impl FnOnce(Option<Item<'_>>) -> Option<V>,
    ) {
        let keep = deadline == Deadline::Keep;
        let packed = match &mut self.0 {
            Body::Packed(packed) => packed,
            Body::Timed(timed) => &mut timed.packed,
            Body::Large(large) => {
                let found = large.find(name);
                let Some(value) = decide(found.map(|field| Item::Bytes(field.value()))) else { return };
                return large.set_found(found, name, value.as_ref(), keep);
            }
        };
        let found = small::find(packed, name);
        let Some(value) = decide(found.map(|(_, value)| value)) else { return };
        let (found, value) = (found.map(|(number, _)| number), value.as_ref());
        let fits = match &mut self.0 {
            Body::Packed(packed) => small::set(packed, found, name, value, limits),
            Body::Timed(timed) => timed.set(found, name, value, limits, keep),
            Body::Large(_) => false,
        };
        if !fits {
            let large = self.become_large();
            large.set_found(large.find(name), name, value, keep);
        }
    }

    #[cold]
    fn become_large(&mut self) -> &mut Large {
        let mut large = Box::new(Large::new());
        let (mut name_text, mut value_text, mut number) = (Vec::new(), Vec::new(), 0);
        self.view().for_each(|name, value| {
            name_text.clear();
            value_text.clear();
            name.write(&mut name_text);
            value.write(&mut value_text);
            let deadline = if let Body::Timed(timed) = &self.0 { timed.deadline(number) } else { NEVER };
            large.insert(&name_text, &value_text, deadline);
            number += 1;
        });
        if let Some(registration) = self.registration() {
            *large.registration() = Some(registration);
        }
        self.0 = Body::Large(large);
        match &mut self.0 {
            Body::Large(large) => large,
            Body::Packed(_) | Body::Timed(_) => unreachable!("it has just become large"),
        }
    }

    /// Removes a field; says whether it was there.
    pub fn remove(&mut self, name: &[u8]) -> bool {
        let found = self.packed().and_then(|packed| small::find(packed, name)).map(|(number, _)| number);
        match (&mut self.0, found) {
            (Body::Packed(packed), Some(number)) => small::remove(packed, number),
            (Body::Timed(timed), Some(number)) => timed.remove(number),
            (Body::Large(large), _) => return large.remove(name),
            (_, None) => return false,
        }
        true
    }

    /// Gives a field that is there a deadline, in unix milliseconds, or takes it away ([`NEVER`]).
    pub fn set_deadline(&mut self, name: &[u8], deadline: i64) {
        if let Body::Packed(packed) = &mut self.0
            && deadline != NEVER
        {
            self.0 = Body::Timed(Box::new(Timed::new(std::mem::take(packed))));
        }
        match &mut self.0 {
            Body::Packed(_) => {}
            Body::Timed(timed) => {
                if let Some((number, _)) = small::find(&timed.packed, name) {
                    timed.set_deadline(number, deadline);
                }
            }
            Body::Large(large) => {
                if let Some(field) = large.find(name) {
                    large.set_deadline(field, deadline);
                }
            }
        }
    }

    /// When the first field expires; [`NEVER`] if none has a deadline.
    pub fn first_deadline(&self) -> i64 {
        self.view().first_deadline()
    }

    /// Whether there are fields and every one's deadline has come.
    pub fn all_due(&self, now: i64) -> bool {
        match &self.0 {
            Body::Packed(_) => false,
            Body::Timed(timed) => timed.all_due(now),
            Body::Large(large) => large.all_due(now),
        }
    }

    /// From now on fields whose deadlines have come are missing. Of a large hash up to `budget` of them are
    /// removed, of a small one all; returns how many.
    pub fn expire(&mut self, now: i64, budget: usize) -> usize {
        match &mut self.0 {
            Body::Packed(_) => 0,
            Body::Timed(timed) => timed.expire(now),
            Body::Large(large) => large.expire(now, budget),
        }
    }

    /// Where it is noted when the first field expires. What that means is up to whoever sets it; a copy of
    /// the hash may have it or not.
    pub fn registration(&mut self) -> Option<Registration> {
        match &mut self.0 {
            Body::Packed(_) => None,
            Body::Timed(timed) => timed.registration,
            Body::Large(large) if large.first_deadline() == NEVER => None,
            Body::Large(large) => *large.registration(),
        }
    }

    /// Has no effect as long as no field has a deadline.
    pub fn set_registration(&mut self, registration: Option<Registration>) {
        match &mut self.0 {
            Body::Packed(_) => {}
            Body::Timed(timed) => timed.registration = registration,
            Body::Large(large) => {
                if large.first_deadline() != NEVER {
                    *large.registration() = registration;
                }
            }
        }
    }

    /// Verifies what holds between calls.
    #[cfg(test)]
    pub fn check_invariants(&self) {
        match &self.0 {
            Body::Packed(packed) => {
                packed.check_invariants();
                assert!(packed.len().is_multiple_of(2));
            }
            Body::Timed(timed) => timed.check_invariants(),
            Body::Large(large) => large.check_invariants(),
        }
    }
}

impl Collection for Hash {
    kept_as!(Hash);

    fn encoding(&self) -> Encoding {
        self.view().encoding()
    }

    fn heap_bytes(&self) -> usize {
        match &self.0 {
            Body::Packed(packed) => packed.heap_bytes(),
            Body::Timed(timed) => rounded_bytes(size_of::<Timed>()) + timed.heap_bytes(),
            Body::Large(large) => rounded_bytes(size_of::<Large>()) + large.memory_bytes(),
        }
    }

    fn parts(&self) -> usize {
        match &self.0 {
            Body::Packed(_) | Body::Timed(_) => 1,
            Body::Large(large) => large.len(),
        }
    }

    fn free_some(&mut self, budget: usize) -> usize {
        if let Body::Large(large) = &mut self.0 {
            let freed = large.free_some(budget);
            if freed > 0 {
                return freed;
            }
        }
        *self = Hash::new();
        0
    }

    fn removes_key(&self) -> bool {
        self.view().is_empty()
    }
}

impl std::fmt::Debug for Hash {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut map = formatter.debug_map();
        self.view().for_each(|name, value| {
            map.entry(&name.to_vec().escape_ascii().to_string(), &value.to_vec().escape_ascii().to_string());
        });
        map.finish()
    }
}
