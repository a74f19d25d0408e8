//! What can be asked of a hash, however it is stored.

use super::elements;
use super::field::Field;
use super::large::Large;
use super::small::{self, Timed};
use crate::types::packed::{self, Item, Packed};
use crate::types::{Encoding, NEVER};

/// A look at a hash, for as long as it is not changed.
#[derive(Clone, Copy)]
pub struct View<'h>(pub(super) Shape<'h>);

#[derive(Clone, Copy)]
pub(super) enum Shape<'h> {
    Elements(&'h [u8]),
    Packed(&'h Packed),
    Timed(&'h Timed),
    Large(&'h Large),
}

impl<'h> View<'h> {
    /// A hash that is nothing but its [elements](super::ELEMENTS_BYTES_MAX).
    #[inline]
    pub fn of_elements(bytes: &'h [u8]) -> View<'h> {
        View(Shape::Elements(bytes))
    }

    /// The names and values of a small hash from field `number` on.
    #[inline]
    fn items(&self, number: usize) -> Option<packed::Iter<'h>> {
        match self.0 {
            Shape::Elements(bytes) => {
                let mut items = packed::elements(bytes);
                if number > 0 {
                    items.nth(number * 2 - 1);
                }
                Some(items)
            }
            Shape::Packed(packed) => Some(packed.iter_from(number * 2)),
            Shape::Timed(timed) => Some(timed.packed.iter_from(number * 2)),
            Shape::Large(_) => None,
        }
    }

    /// The number of fields.
    pub fn len(&self) -> usize {
        match self.0 {
            Shape::Elements(bytes) => packed::elements(bytes).count() / 2,
            Shape::Packed(packed) => packed.len() / 2,
            Shape::Timed(timed) => timed.packed.len() / 2,
            Shape::Large(large) => large.len(),
        }
    }

    pub fn is_empty(&self) -> bool {
        match self.0 {
            Shape::Elements(bytes) => bytes.is_empty(),
            _ => self.len() == 0,
        }
    }

    /// Bytes that the hash takes, about.
    pub fn heap_bytes(&self) -> usize {
        match self.0 {
            Shape::Elements(bytes) => bytes.len(),
            Shape::Packed(packed) => packed.heap_bytes(),
            Shape::Timed(timed) => timed.heap_bytes(),
            Shape::Large(large) => large.memory_bytes(),
        }
    }

    pub fn encoding(&self) -> Encoding {
        match self.0 {
            Shape::Elements(_) | Shape::Packed(_) => Encoding::Listpack,
            Shape::Timed(_) => Encoding::ListpackEx,
            Shape::Large(_) => Encoding::HashTable,
        }
    }

    /// The value of a field.
    #[inline]
    pub fn get(&self, name: &[u8]) -> Option<Item<'h>> {
        match self.0 {
            Shape::Elements(bytes) => elements::find(bytes, name).ok().map(|(_, value)| value),
            Shape::Packed(packed) => small::find(packed, name).map(|(_, value)| value),
            Shape::Timed(timed) => small::find(&timed.packed, name).map(|(_, value)| value),
            Shape::Large(large) => large.find(name).map(|field| Item::Bytes(field.value())),
        }
    }

    /// When a field expires, [`NEVER`] if it has no deadline; none if there is no such field.
    pub fn deadline(&self, name: &[u8]) -> Option<i64> {
        match self.0 {
            Shape::Elements(_) | Shape::Packed(_) => self.get(name).map(|_| NEVER),
            Shape::Timed(timed) => small::find(&timed.packed, name).map(|(number, _)| timed.deadline(number)),
            Shape::Large(large) => large.find(name).map(|field| field.deadline()),
        }
    }

    /// Visits all fields.
    #[inline]
    pub fn for_each(&self, mut visit: impl FnMut(Item<'h>, Item<'h>)) {
        if let Shape::Large(large) = self.0 {
            return large.for_each(&mut |field| visit(Item::Bytes(field.name()), Item::Bytes(field.value())));
        }
        if let Some(mut items) = self.items(0) {
            while let (Some(name), Some(value)) = (items.next(), items.next()) {
                visit(name, value);
            }
        }
    }

    /// Visits about `count` fields after `cursor` and returns the cursor for the next call, 0 at the end.
    /// What is there from the first call to the last is visited at least once; a small hash is visited
    /// as a whole.
    pub fn scan(&self, cursor: u64, count: usize, mut visit: impl FnMut(Item<'_>, Item<'_>)) -> u64 {
        self.scan_timed(cursor, count, |name, value, _| visit(name, value))
    }

    /// As [`View::scan`], with the fields' deadlines; [`NEVER`] for those without.
    pub fn scan_timed(
        &self,
        cursor: u64,
        count: usize,
        mut visit: impl FnMut(Item<'h>, Item<'h>, i64),
    ) -> u64 {
        if let Shape::Large(large) = self.0 {
            return large.scan(cursor, count, &mut |field| {
                visit(Item::Bytes(field.name()), Item::Bytes(field.value()), field.deadline());
            });
        }
        let mut number = 0;
        self.for_each(|name, value| {
            let deadline = if let Shape::Timed(timed) = self.0 { timed.deadline(number) } else { NEVER };
            visit(name, value, deadline);
            number += 1;
        });
        0
    }

    /// When the first field expires; [`NEVER`] if none has a deadline.
    pub fn first_deadline(&self) -> i64 {
        match self.0 {
            Shape::Elements(_) | Shape::Packed(_) => NEVER,
            Shape::Timed(timed) => timed.first_deadline(),
            Shape::Large(large) => large.first_deadline(),
        }
    }

    /// A field, each with the same chance. `below` draws a number below its argument.
    pub fn draw(&self, below: &mut dyn FnMut(usize) -> usize) -> Option<Drawn<'h>> {
        if let Shape::Large(large) = self.0 {
            return Some(Drawn { hash: *self, place: Place::Large(large.random(below)?) });
        }
        let length = self.len();
        (length > 0).then(|| Drawn { hash: *self, place: Place::Small(below(length)) })
    }
}

/// A field that was drawn at random.
#[derive(Clone, Copy)]
pub struct Drawn<'h> {
    hash: View<'h>,
    place: Place,
}

#[derive(Clone, Copy)]
enum Place {
    /// The number of the field.
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
        match self.place {
            Place::Small(number) => {
                let mut items = self.hash.items(number).into_iter().flatten();
                (items.next().unwrap_or(absent), items.next().unwrap_or(absent))
            }
            Place::Large(field) => (Item::Bytes(field.name()), Item::Bytes(field.value())),
        }
    }
}
