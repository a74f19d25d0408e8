//! Hashes as values: in their entry, as an object of their own, with fields that expire.

use std::collections::BTreeMap;

use super::tests::{Random, START_MS, get, keyspace, set};
use super::*;
use crate::types::hash::{Deadline, Limits};
use crate::types::{Encoding, NEVER};

/// Values and deadlines by names.
type Fields = BTreeMap<Vec<u8>, (Vec<u8>, i64)>;

const LIMITS: Limits = Limits { entries: 40, value_bytes: 64 };

fn set_field(keyspace: &mut Keyspace, key: &[u8], name: &[u8], value: &[u8], deadline: Deadline) -> bool {
    let key = keyspace.key(key);
    let set = keyspace.database(0).edit_or_create_hash(&key, |hash, _| {
        hash.update(name, LIMITS, deadline, |_| Some(value));
    });
    set.is_ok()
}

fn fields(keyspace: &mut Keyspace, key: &[u8]) -> Option<Fields> {
    let key = keyspace.key(key);
    let mut fields = BTreeMap::new();
    let hash = keyspace.database(0).find_whole_hash(&key).ok()??;
    hash.for_each(|name, value| {
        let deadline = hash.deadline(&name.to_vec()).unwrap();
        fields.insert(name.to_vec(), (value.to_vec(), deadline));
    });
    assert_eq!(hash.len(), fields.len());
    Some(fields)
}

#[test]
fn a_small_hash_takes_no_memory_beside_its_entry() {
    let mut keyspace = keyspace(None);
    for name in [&b"a"[..], b"b", b"c"] {
        assert!(set_field(&mut keyspace, b"hash", name, b"value", Deadline::Clear));
    }
    let key = keyspace.key(b"hash");
    let entry = keyspace.database(0).peek(&key).unwrap();
    assert_eq!((entry.kind(), entry.encoding()), (Kind::Hash, Encoding::Listpack));
    assert!(entry.object().is_none() && entry.string().is_none());
    // Header, key, and for each field two bytes and five with a length before each.
    assert_eq!(entry.memory_bytes(), (8 + 4 + 3 * (2 + 6usize)).next_multiple_of(16));
    set(&mut keyspace, b"string", b"text", Expiry::Clear);
    assert!(!set_field(&mut keyspace, b"string", b"a", b"b", Deadline::Clear));
    set(&mut keyspace, b"hash", b"text", Expiry::Clear);
    assert_eq!(get(&mut keyspace, b"hash"), Some(b"text".to_vec()));
    keyspace.database(0).check_invariants();
}

/// A key's model.
#[derive(Clone, Debug, PartialEq)]
enum Model {
    String,
    Hash { fields: Fields, expiry: i64 },
}

impl Model {
    /// What is left of a key at this time.
    fn at(self, now: i64) -> Option<Model> {
        match self {
            Model::String => Some(Model::String),
            Model::Hash { mut fields, expiry } => {
                fields.retain(|_, (_, deadline)| *deadline > now);
                (expiry > now && !fields.is_empty()).then_some(Model::Hash { fields, expiry })
            }
        }
    }
}

/// What a step of the test works on.
struct World {
    keyspace: Keyspace,
    model: BTreeMap<&'static [u8], Model>,
    random: Random,
}

const KEYS: [&[u8]; 5] = [b"one", b"two", b"a key of some length, three", b"4", b""];

impl World {
    fn key(&mut self) -> &'static [u8] {
        KEYS[self.random.below(KEYS.len())]
    }

    fn name(&mut self) -> Vec<u8> {
        format!("field:{}", self.random.below(60)).into_bytes()
    }

    fn set_field(&mut self) {
        let (key, name) = (self.key(), self.name());
        let length = [1, 5, 20, 60, 64, 65][self.random.below(6)];
        let value = if self.random.below(3) == 0 {
            self.random.below(1 << 20).to_string().into_bytes()
        } else {
            vec![b'v'; if self.random.below(40) == 0 { length } else { length.min(20) }]
        };
        let keep = self.random.below(2) == 0;
        let deadline = if keep { Deadline::Keep } else { Deadline::Clear };
        let set = set_field(&mut self.keyspace, key, &name, &value, deadline);
        let entry = self.model.entry(key);
        match entry.or_insert(Model::Hash { fields: BTreeMap::new(), expiry: NEVER }) {
            Model::String => assert!(!set),
            Model::Hash { fields, .. } => {
                let field = fields.entry(name).or_insert((Vec::new(), NEVER));
                *field = (value, if keep { field.1 } else { NEVER });
            }
        }
    }

    fn remove_field(&mut self) {
        let (key, name) = (self.key(), self.name());
        let target = self.keyspace.key(key);
        let removed = self.keyspace.database(0).edit_hash(&target, |hash, _| hash.remove(&name));
        if let Some(Model::Hash { fields, .. }) = self.model.get_mut(key) {
            assert_eq!(removed, Ok(Some(fields.remove(&name).is_some())));
            if fields.is_empty() {
                self.model.remove(key);
            }
        }
    }

    fn expire_field(&mut self) {
        let (key, name) = (self.key(), self.name());
        let at = if self.random.below(5) == 0 {
            NEVER
        } else {
            self.keyspace.now() + 1 + self.random.below(3_000) as i64
        };
        let target = self.keyspace.key(key);
        let _ = self.keyspace.database(0).edit_hash(&target, |hash, _| hash.set_deadline(&name, at));
        if let Some(Model::Hash { fields, .. }) = self.model.get_mut(key)
            && let Some((_, deadline)) = fields.get_mut(&name)
        {
            *deadline = at;
        }
    }

    fn expire_key(&mut self) {
        let key = self.key();
        let at = self.keyspace.now() + 1 + self.random.below(20_000) as i64;
        let persist = self.random.below(2) == 0;
        let target = self.keyspace.key(key);
        if let Some(Model::Hash { expiry, .. }) = self.model.get_mut(key) {
            let database = self.keyspace.database(0);
            if persist {
                database.persist(&target)
            } else {
                database.set_expiry(&target, at)
            };
            *expiry = if persist { NEVER } else { at };
        }
    }

    fn move_key(&mut self) {
        let (from, to, copies) = (self.key(), self.key(), self.random.below(2) == 0);
        if from == to {
            return;
        }
        let (source, target) = (self.keyspace.key(from), self.keyspace.key(to));
        let database = self.keyspace.database(0);
        let moved = if copies { database.copy_value(&source) } else { database.take(&source) };
        assert_eq!(moved.is_some(), self.model.contains_key(from));
        if let Some(moved) = moved {
            database.insert(&target, moved);
            let model = self.model[from].clone();
            self.model.insert(to, model);
            if !copies {
                self.model.remove(from);
            }
        }
    }

    fn overwrite_or_remove(&mut self) {
        let key = self.key();
        let target = self.keyspace.key(key);
        if self.random.below(2) == 0 {
            set(&mut self.keyspace, key, b"text", Expiry::Clear);
            self.model.insert(key, Model::String);
        } else {
            assert_eq!(self.keyspace.database(0).remove(&target), self.model.remove(key).is_some());
        }
    }

    fn pass(&mut self) {
        let now = self.keyspace.now() + self.random.below(1_500) as i64;
        self.keyspace.set_now(now);
        self.model = std::mem::take(&mut self.model)
            .into_iter()
            .filter_map(|(key, model)| Some((key, model.at(now)?)))
            .collect();
        for _ in 0..self.random.below(20) {
            self.keyspace.step(Budget(5));
        }
    }

    fn check(&mut self) {
        for key in KEYS {
            let found = fields(&mut self.keyspace, key);
            let target = self.keyspace.key(key);
            let expiry = self.keyspace.database(0).expiry_of(&target).map(|at| at.unwrap_or(NEVER));
            match self.model.get(key) {
                Some(Model::Hash { fields, expiry: expected }) => {
                    assert_eq!((found.as_ref(), expiry), (Some(fields), Some(*expected)));
                }
                Some(Model::String) => assert!(found.is_none() && expiry.is_some()),
                None => assert_eq!((found, expiry), (None, None)),
            }
        }
        self.keyspace.database(0).check_invariants();
    }
}

#[test]
fn hashes_agree_with_the_model_and_every_byte_is_counted() {
    let mut world = World { keyspace: keyspace(None), model: BTreeMap::new(), random: Random::new() };
    assert_eq!(world.keyspace.now(), START_MS);
    for step in 0..30_000 {
        match world.random.below(40) {
            0..20 => world.set_field(),
            20..26 => world.remove_field(),
            26..33 => world.expire_field(),
            33 => world.expire_key(),
            34..36 => world.move_key(),
            36 => world.overwrite_or_remove(),
            _ => world.pass(),
        }
        if step % 8 == 0 {
            world.check();
        }
    }
    assert!(world.keyspace.stats().expired_fields > 100);
    world.keyspace.flush_all();
    while world.keyspace.step(Budget(1_000)) {}
    assert_eq!(world.keyspace.memory_bytes(), 0);
}
