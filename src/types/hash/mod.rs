//! Hashes: fields with a name, each once, a value and perhaps a deadline.
//!
//! ```text
//!   Packed   one block: name, value, name, value …, walked    small hashes          (types/packed, small.rs)
//!   Timed    the same, and a list of deadlines                with HEXPIRE used     (small.rs)
//!   Large    Field ◄─── hash index   name → field             one allocation each   (field.rs, large.rs)
//!                  ◄─── B-tree       deadline → field
//! ```
//!
//! A hash begins packed and becomes large for good when it outgrows its [`Limits`], or the 64 KiB that a
//! packed block can address.
//!
//! Nothing here knows the time. Whoever looks a hash up says what time it is by [`Hash::expire`], and from
//! then on the fields that were due are missing, be they removed already or not. Only their number
//! ([`Hash::len`]) and the draw of random ones count them, until `expire` has removed them all.

mod field;
mod large;
mod small;
#[cfg(test)]
mod tests;

use super::packed::{Item, Packed};
use super::{Collection, Encoding, Kind, NEVER, Object, Registration};
use crate::runtime::allocator::rounded_bytes;
use field::Field;
use large::Large;
use small::Timed;

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

/// A field that was drawn at random.
#[derive(Clone, Copy)]
pub struct Drawn<'h> {
    hash: &'h Hash,
    place: Place,
}

/// Where a field is, until the hash changes.
#[derive(Clone, Copy)]
enum Place {
    /// The number of the field in the block.
    Small(usize),
    Large(Field),
}

impl<'h> Drawn<'h> {
    /// A number that no other field of the hash has.
    pub fn id(&self) -> u64 {
        match self.place {
            Place::Small(number) => number as u64,
            Place::Large(field) => field.reference(),
        }
    }

    /// Name and value.
    pub fn pair(&self) -> (Item<'h>, Item<'h>) {
        let absent = Item::Bytes(&[]);
        match (self.place, self.hash.packed()) {
            (Place::Small(number), Some(packed)) => {
                let mut items = packed.iter_from(number * 2);
                (items.next().unwrap_or(absent), items.next().unwrap_or(absent))
            }
            (Place::Large(field), _) => (Item::Bytes(field.name()), Item::Bytes(field.value())),
            (Place::Small(_), None) => unreachable!("the hash is borrowed since the draw"),
        }
    }
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

    /// The number of fields.
    pub fn len(&self) -> usize {
        match &self.0 {
            Body::Packed(packed) => packed.len() / 2,
            Body::Timed(timed) => timed.packed.len() / 2,
            Body::Large(large) => large.len(),
        }
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
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

    /// The value of a field.
    #[inline]
    pub fn get(&self, name: &[u8]) -> Option<Item<'_>> {
        match &self.0 {
            Body::Packed(packed) => small::find(packed, name).map(|(_, value)| value),
            Body::Timed(timed) => small::find(&timed.packed, name).map(|(_, value)| value),
            Body::Large(large) => large.find(name).map(|field| Item::Bytes(field.value())),
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

    /// Sets a field, which then has no deadline; says whether it is a new one.
    #[inline]
    pub fn set(&mut self, name: &[u8], value: &[u8], limits: Limits) -> bool {
        let mut added = false;
        self.update(name, limits, Deadline::Clear, |present| {
            added = present.is_none();
            Some(value)
        });
        added
    }

    #[cold]
    fn become_large(&mut self) -> &mut Large {
        let mut large = Box::new(Large::new());
        let (mut name_text, mut value_text, mut number) = (Vec::new(), Vec::new(), 0);
        self.for_each(|name, value| {
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

    /// When a field expires, [`NEVER`] if it has no deadline; none if there is no such field.
    pub fn deadline(&self, name: &[u8]) -> Option<i64> {
        match &self.0 {
            Body::Packed(packed) => small::find(packed, name).map(|_| NEVER),
            Body::Timed(timed) => small::find(&timed.packed, name).map(|(number, _)| timed.deadline(number)),
            Body::Large(large) => large.find(name).map(|field| field.deadline()),
        }
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
        match &self.0 {
            Body::Packed(_) => NEVER,
            Body::Timed(timed) => timed.first_deadline(),
            Body::Large(large) => large.first_deadline(),
        }
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

    /// Visits all fields.
    #[inline]
    pub fn for_each<'h>(&'h self, mut visit: impl FnMut(Item<'h>, Item<'h>)) {
        let packed = match &self.0 {
            Body::Packed(packed) => packed,
            Body::Timed(timed) => &timed.packed,
            Body::Large(large) => {
                large.for_each(&mut |field| visit(Item::Bytes(field.name()), Item::Bytes(field.value())));
                return;
            }
        };
        let mut items = packed.iter_from(0);
        while let (Some(name), Some(value)) = (items.next(), items.next()) {
            visit(name, value);
        }
    }

    /// Visits about `count` fields after `cursor` and returns the cursor for the next call, 0 at the end.
    /// What is there from the first call to the last is visited at least once; a small hash is visited
    /// as a whole.
    pub fn scan(&self, cursor: u64, count: usize, mut visit: impl FnMut(Item<'_>, Item<'_>)) -> u64 {
        match &self.0 {
            Body::Packed(_) | Body::Timed(_) => {
                self.for_each(visit);
                0
            }
            Body::Large(large) => large.scan(cursor, count, &mut |field| {
                visit(Item::Bytes(field.name()), Item::Bytes(field.value()));
            }),
        }
    }

    /// A field, each with the same chance. `below` draws a number below its argument.
    pub fn draw(&self, below: &mut dyn FnMut(usize) -> usize) -> Option<Drawn<'_>> {
        let place = match &self.0 {
            Body::Packed(_) | Body::Timed(_) if self.is_empty() => return None,
            Body::Packed(_) | Body::Timed(_) => Place::Small(below(self.len())),
            Body::Large(large) => Place::Large(large.random(below)?),
        };
        Some(Drawn { hash: self, place })
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
    const KIND: Kind = Kind::Hash;

    fn into_object(self) -> Object {
        Object::Hash(self)
    }

    fn of(object: &Object) -> Option<&Hash> {
        match object {
            Object::Hash(hash) => Some(hash),
            _ => None,
        }
    }

    fn of_mut(object: &mut Object) -> Option<&mut Hash> {
        match object {
            Object::Hash(hash) => Some(hash),
            _ => None,
        }
    }

    fn encoding(&self) -> Encoding {
        match &self.0 {
            Body::Packed(_) => Encoding::Listpack,
            Body::Timed(_) => Encoding::ListpackEx,
            Body::Large(_) => Encoding::HashTable,
        }
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
        self.is_empty()
    }
}

impl std::fmt::Debug for Hash {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut map = formatter.debug_map();
        self.for_each(|name, value| {
            map.entry(&name.to_vec().escape_ascii().to_string(), &value.to_vec().escape_ascii().to_string());
        });
        map.finish()
    }
}
