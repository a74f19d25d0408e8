//! Events: what has happened to which key, in the order in which it happened.
//!
//! Whoever works on keys tells it here by the names that Redis gives to events ([`Database::notify`]), and whoever
//! carries them on takes them at the end of a command or of a turn ([`Keyspace::take_events`]). As long as
//! nobody wants a class of events, telling one costs the look at a bit.
//!
//! ```text
//!   Database ── its own events ──┐ when another database is entered
//!   Keyspace ◄───────────────────┘ events of all databases, in order ──► take_events
//! ```

use super::Keyspace;
use super::database::Database;
use super::key::Key;
use crate::config::EventClasses;
use crate::types::Kind;

/// Memory that stays with the events between two takings.
const KEPT_BYTES_MAX: usize = 64 * 1024;

/// What happened to a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Event<'a> {
    pub class: EventClasses,
    pub name: &'static str,
    pub database: usize,
    pub key: &'a [u8],
}

/// An event whose key ends at `key_end` in the bytes of all keys.
struct Noted {
    class: EventClasses,
    name: &'static str,
    database: usize,
    key_end: usize,
}

#[derive(Default)]
pub(super) struct Events {
    noted: Vec<Noted>,
    keys: Vec<u8>,
}

impl Events {
    fn push(&mut self, event: Event<'_>) {
        let Event { class, name, database, key } = event;
        self.keys.extend_from_slice(key);
        self.noted.push(Noted { class, name, database, key_end: self.keys.len() });
    }

    /// Hands all events on and forgets them.
    fn take(&mut self, visit: &mut dyn FnMut(Event<'_>)) {
        let mut start = 0;
        for &Noted { class, name, database, key_end } in &self.noted {
            visit(Event { class, name, database, key: &self.keys[start..key_end] });
            start = key_end;
        }
        self.noted.clear();
        self.keys.clear();
        if self.keys.capacity() + self.noted.capacity() * size_of::<Noted>() > KEPT_BYTES_MAX {
            *self = Events::default();
        }
    }
}

/// The class of the events of a type's own commands.
pub(super) fn class_of(kind: Kind) -> EventClasses {
    match kind {
        Kind::String => EventClasses::STRING,
        Kind::List => EventClasses::LIST,
        Kind::Set => EventClasses::SET,
        Kind::SortedSet => EventClasses::SORTED_SET,
        Kind::Hash => EventClasses::HASH,
        Kind::Stream => EventClasses::STREAM,
    }
}

/// Up to two events that a change of a hash brings about.
#[derive(Default)]
pub struct EventNames([Option<&'static str>; 2]);

impl EventNames {
    /// Adds a name that is not there yet.
    pub fn add(&mut self, name: &'static str) {
        let place = self.0.iter_mut().find(|place| place.is_none_or(|present| present == name));
        debug_assert!(place.is_some());
        place.into_iter().for_each(|place| *place = Some(name));
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &'static str> {
        self.0.into_iter().flatten()
    }
}

impl Database {
    /// Tells what has happened to a key, if somebody wants to hear of events of this class.
    #[inline(always)]
    pub fn notify(&mut self, class: EventClasses, name: &'static str, key: &Key<'_>) {
        if self.context.events.contains(class) {
            self.note(class, name, key.bytes);
        }
    }

    #[cold]
    fn note(&mut self, class: EventClasses, name: &'static str, key: &[u8]) {
        // The keyspace knows the number of the database.
        self.events.push(Event { class, name, database: 0, key });
    }
}

impl Keyspace {
    /// Sets the classes of events that somebody wants to hear of; those told so far are forgotten.
    pub fn set_events(&mut self, classes: EventClasses) {
        self.take_events(&mut |_| {});
        self.context.events = classes;
    }

    /// Hands on what has happened since the last time, the first first.
    pub fn take_events(&mut self, visit: &mut dyn FnMut(Event<'_>)) {
        self.gather_events(self.entered);
        self.events.take(visit);
    }

    /// Takes over the events of the database that was entered last, before another is.
    #[cold]
    pub(super) fn gather_events(&mut self, entering: usize) {
        let index = std::mem::replace(&mut self.entered, entering);
        let (Some(database), events) = (self.databases.get_mut(index), &mut self.events) else { return };
        database.events.take(&mut |event| events.push(Event { database: index, ..event }));
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{keyspace, set};
    use super::super::{Budget, EvictionPolicy, Expiry};
    use super::*;

    fn told(keyspace: &mut Keyspace) -> Vec<(&'static str, usize, Vec<u8>)> {
        let mut told = Vec::new();
        keyspace.take_events(&mut |event| told.push((event.name, event.database, event.key.to_vec())));
        told
    }

    #[test]
    fn what_goes_by_itself_is_told() {
        let mut keyspace = keyspace(None);
        keyspace.set_events(EventClasses::EXPIRED.with(EventClasses::EVICTED));
        let start = keyspace.now();
        set(&mut keyspace, b"short", b"1", Expiry::At(start + 10));
        set(&mut keyspace, b"long", b"1", Expiry::Clear);
        assert!(told(&mut keyspace).is_empty());
        keyspace.set_now(start + 1000);
        while keyspace.step(Budget(100)) {}
        assert_eq!(told(&mut keyspace), [("expired", 0, b"short".to_vec())]);
        assert!(keyspace.evict_one(EvictionPolicy::AllKeysRandom, 5));
        assert_eq!(told(&mut keyspace), [("evicted", 0, b"long".to_vec())]);
    }

    #[test]
    fn events_of_several_databases_come_in_their_order() {
        let mut keyspace = keyspace(None);
        keyspace.set_events(EventClasses::GENERIC);
        let key = keyspace.key(b"k");
        let mut tell = |database: usize, name| {
            keyspace.database(database).notify(EventClasses::GENERIC, name, &key);
            keyspace.database(database).notify(EventClasses::STRING, "not wanted", &key);
        };
        tell(1, "a");
        tell(0, "b");
        tell(0, "c");
        tell(1, "d");
        keyspace.swap(0, 1);
        keyspace.database(0).notify(EventClasses::GENERIC, "e", &key);
        let names: Vec<_> =
            told(&mut keyspace).iter().map(|(name, database, _)| (*name, *database)).collect();
        assert_eq!(names, [("a", 1), ("b", 0), ("c", 0), ("d", 1), ("e", 0)]);
        assert!(told(&mut keyspace).is_empty());
    }
}
