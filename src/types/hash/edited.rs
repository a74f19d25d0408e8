//! A hash that is being changed, however it is stored before and after.

use super::elements::{self, Elements};
use super::view::View;
use super::{Deadline, Hash, Limits};
use crate::types::NEVER;
use crate::types::packed::Item;

/// A hash for changes. What has come of it is asked with [`Edited::finish`].
pub struct Edited<'h> {
    state: State<'h>,
    changed: bool,
}

#[allow(clippy::large_enum_variant, reason = "one of them lives on the stack, for as long as a command")]
enum State<'h> {
    Elements(Elements),
    /// It has outgrown its elements.
    Grown(Hash),
    Stored(&'h mut Hash),
}

/// What has become of a hash that was edited.
pub enum Outcome<'e> {
    /// It has these elements, perhaps none.
    Elements(&'e [u8]),
    Grown(Hash),
    /// It is stored already.
    Stored,
}

impl<'h> Edited<'h> {
    /// A hash that is nothing but its elements, none for a new one.
    pub fn of_elements(bytes: &[u8]) -> Edited<'h> {
        Edited { state: State::Elements(Elements::new(bytes)), changed: false }
    }

    /// A new hash that is to get `count` fields.
    pub fn expecting(count: usize, limits: Limits) -> Edited<'h> {
        let elements = Edited::of_elements(&[]);
        if count <= limits.entries {
            elements
        } else {
            Edited { state: State::Grown(Hash::large()), ..elements }
        }
    }

    pub fn of_hash(hash: &'h mut Hash) -> Edited<'h> {
        Edited { state: State::Stored(hash), changed: false }
    }

    pub fn view(&self) -> View<'_> {
        match &self.state {
            State::Elements(elements) => View::of_elements(elements.bytes()),
            State::Grown(hash) => hash.view(),
            State::Stored(hash) => hash.view(),
        }
    }

    /// Whether anything has been changed.
    pub fn is_changed(&self) -> bool {
        self.changed
    }

    pub fn finish(&mut self) -> Outcome<'_> {
        match &mut self.state {
            State::Elements(elements) => Outcome::Elements(elements.bytes()),
            State::Grown(hash) => Outcome::Grown(std::mem::take(hash)),
            State::Stored(_) => Outcome::Stored,
        }
    }

    /// The hash as a structure of its own.
    fn hash(&mut self) -> &mut Hash {
        if let State::Elements(elements) = &self.state {
            self.state = State::Grown(Hash::of_elements(elements.bytes()));
        }
        match &mut self.state {
            State::Grown(hash) => hash,
            State::Stored(hash) => hash,
            State::Elements(_) => unreachable!("it has just been grown"),
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
        let State::Elements(elements) = &mut self.state else {
            let mut decided = false;
            self.hash().update(name, limits, deadline, |present| {
                let value = decide(present);
                decided = value.is_some();
                value
            });
            self.changed |= decided;
            return;
        };
        let found = elements::find(elements.bytes(), name);
        let Some(value) = decide(found.ok().map(|(_, value)| value)) else { return };
        let found = found.map(|(found, _)| found);
        self.changed = true;
        if !elements.set(found, name, value.as_ref(), limits) {
            self.hash().update(name, limits, deadline, |_| Some(value));
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

    /// Removes a field; says whether it was there.
    pub fn remove(&mut self, name: &[u8]) -> bool {
        let removed = match &mut self.state {
            State::Elements(elements) => match elements::find(elements.bytes(), name) {
                Ok((found, _)) => {
                    elements.remove(found);
                    true
                }
                Err(_) => false,
            },
            State::Grown(hash) => hash.remove(name),
            State::Stored(hash) => hash.remove(name),
        };
        self.changed |= removed;
        removed
    }

    /// Gives a field that is there a deadline, in unix milliseconds, or takes it away ([`NEVER`]).
    pub fn set_deadline(&mut self, name: &[u8], deadline: i64) {
        let Some(before) = self.view().deadline(name) else { return };
        if before != deadline {
            self.hash().set_deadline(name, deadline);
        }
        // To set a deadline again is a change, to take none away is not.
        self.changed |= before != NEVER || deadline != NEVER;
    }
}
