//! Hashes: fields with a name, each once, and a value.
//!
//! ```text
//!   Packed   one block: name, value, name, value …, walked    small hashes          (types/packed)
//!   Large    Field ◄─── hash index   name → field             one allocation each   (field.rs, large.rs)
//! ```
//!
//! A hash begins packed and becomes large for good when it outgrows its [`Limits`], or the 64 KiB that a
//! packed block can address.

mod field;
mod large;
#[cfg(test)]
mod tests;

use super::packed::{End, Item, Limit, Packed, Wanted};
use super::{Collection, Encoding, Kind, Object};
use crate::runtime::allocator::rounded_bytes;
use field::Field;
use large::Large;

/// Up to where a hash stays packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Number of fields.
    pub entries: usize,
    /// Length of a name and of a value.
    pub value_bytes: usize,
}

/// What a block holds, whatever the limits of the configuration.
const BLOCK: Limit = Limit { bytes: Limit::BYTES_MAX, elements: u32::MAX };

#[derive(Clone)]
pub struct Hash(Body);

#[derive(Clone)]
enum Body {
    Packed(Packed),
    Large(Box<Large>),
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
    Packed(usize),
    Large(Field),
}

impl<'h> Drawn<'h> {
    /// A number that no other field of the hash has.
    pub fn id(&self) -> u64 {
        match self.place {
            Place::Packed(index) => index as u64,
            Place::Large(field) => field.reference(),
        }
    }

    /// Name and value.
    pub fn pair(&self) -> (Item<'h>, Item<'h>) {
        let absent = Item::Bytes(&[]);
        match (self.place, &self.hash.0) {
            (Place::Packed(index), Body::Packed(packed)) => {
                let mut items = packed.iter_from(index);
                (items.next().unwrap_or(absent), items.next().unwrap_or(absent))
            }
            (Place::Large(field), _) => (Item::Bytes(field.name()), Item::Bytes(field.value())),
            (Place::Packed(_), Body::Large(_)) => unreachable!("the hash is borrowed since the draw"),
        }
    }
}

impl Default for Hash {
    fn default() -> Self {
        Hash::new()
    }
}

/// The index of a name in the block, and its value.
#[inline]
fn find<'p>(packed: &'p Packed, name: &[u8]) -> Option<(usize, Item<'p>)> {
    let wanted = Wanted::new(name);
    let (mut items, mut index) = (packed.iter_from(0), 0);
    while let (Some(name), Some(value)) = (items.next(), items.next()) {
        if wanted.is(&name) {
            return Some((index, value));
        }
        index += 2;
    }
    None
}

impl Hash {
    pub fn new() -> Hash {
        Hash(Body::Packed(Packed::new()))
    }

    pub fn len(&self) -> usize {
        match &self.0 {
            Body::Packed(packed) => packed.len() / 2,
            Body::Large(large) => large.len(),
        }
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The value of a field.
    #[inline]
    pub fn get(&self, name: &[u8]) -> Option<Item<'_>> {
        match &self.0 {
            Body::Packed(packed) => find(packed, name).map(|(_, value)| value),
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
        decide: impl FnOnce(Option<Item<'_>>) -> Option<V>,
    ) {
        match &mut self.0 {
            Body::Packed(packed) => {
                let found = find(packed, name);
                let Some(value) = decide(found.map(|(_, value)| value)) else { return };
                let (found, value) = (found.map(|(index, _)| index), value.as_ref());
                if !set_packed(packed, found, name, value, limits) {
                    self.become_large().set(name, value);
                }
            }
            Body::Large(large) => {
                let found = large.find(name);
                let Some(value) = decide(found.map(|field| Item::Bytes(field.value()))) else { return };
                large.set_found(found, name, value.as_ref());
            }
        }
    }

    /// Sets a field; says whether it is a new one.
    #[inline]
    pub fn set(&mut self, name: &[u8], value: &[u8], limits: Limits) -> bool {
        let mut added = false;
        self.update(name, limits, |present| {
            added = present.is_none();
            Some(value)
        });
        added
    }

    #[cold]
    fn become_large(&mut self) -> &mut Large {
        let mut large = Box::new(Large::new());
        let (mut name_text, mut value_text) = (Vec::new(), Vec::new());
        self.for_each(|name, value| {
            name_text.clear();
            value_text.clear();
            name.write(&mut name_text);
            value.write(&mut value_text);
            large.insert(&name_text, &value_text);
        });
        self.0 = Body::Large(large);
        match &mut self.0 {
            Body::Large(large) => large,
            Body::Packed(_) => unreachable!("it has just become large"),
        }
    }

    /// Removes a field; says whether it was there.
    pub fn remove(&mut self, name: &[u8]) -> bool {
        match &mut self.0 {
            Body::Packed(packed) => {
                let Some((place, _)) = find(packed, name) else { return false };
                let mut index = 0;
                packed.remove_where(|_| {
                    index += 1;
                    (place + 1..place + 3).contains(&index)
                });
                true
            }
            Body::Large(large) => large.remove(name),
        }
    }

    /// Visits all fields.
    #[inline]
    pub fn for_each<'h>(&'h self, mut visit: impl FnMut(Item<'h>, Item<'h>)) {
        match &self.0 {
            Body::Packed(packed) => {
                let mut items = packed.iter_from(0);
                while let (Some(name), Some(value)) = (items.next(), items.next()) {
                    visit(name, value);
                }
            }
            Body::Large(large) => {
                large.for_each(&mut |field| visit(Item::Bytes(field.name()), Item::Bytes(field.value())));
            }
        }
    }

    /// Visits about `count` fields after `cursor` and returns the cursor for the next call, 0 at the end.
    /// What is there from the first call to the last is visited at least once; a packed hash is visited
    /// as a whole.
    pub fn scan(&self, cursor: u64, count: usize, mut visit: impl FnMut(Item<'_>, Item<'_>)) -> u64 {
        match &self.0 {
            Body::Packed(_) => {
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
            Body::Packed(packed) if packed.is_empty() => return None,
            Body::Packed(packed) => Place::Packed(below(packed.len() / 2) * 2),
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
            Body::Large(large) => large.check_invariants(),
        }
    }
}

/// Sets the value at `found`, or adds a field; `false` if the block may not hold it.
#[inline]
fn set_packed(packed: &mut Packed, found: Option<usize>, name: &[u8], value: &[u8], limits: Limits) -> bool {
    if value.len() > limits.value_bytes {
        return false;
    }
    if let Some(index) = found {
        return packed.replace(index + 1, value, BLOCK);
    }
    if packed.len() / 2 >= limits.entries || name.len() > limits.value_bytes {
        return false;
    }
    if !packed.push(End::Back, name, BLOCK) {
        return false;
    }
    if packed.push(End::Back, value, BLOCK) {
        return true;
    }
    packed.cut(End::Back, 1);
    false
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
            Body::Large(_) => Encoding::HashTable,
        }
    }

    fn heap_bytes(&self) -> usize {
        match &self.0 {
            Body::Packed(packed) => packed.heap_bytes(),
            Body::Large(large) => rounded_bytes(size_of::<Large>()) + large.memory_bytes(),
        }
    }

    fn parts(&self) -> usize {
        match &self.0 {
            Body::Packed(_) => 1,
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
