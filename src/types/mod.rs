//! Pure data structures and number formats: they know nothing of keys, time or clients.
//!
//! Values that are not strings are [`Object`]s: a closed enum of the structures that a key can hold. Each
//! structure keeps count of its memory, says how it is represented, and can be freed in steps, so that a
//! collection of millions of elements holds nobody up when it goes. To add one: the structure in a file of
//! its own, its [`Collection`], and a line in every match below.

/// The part of a [`Collection`] that says which [`Object`] it is.
macro_rules! kept_as {
    ($structure:ident) => {
        const KIND: Kind = Kind::$structure;

        fn into_object(self) -> Object {
            Object::$structure(self)
        }

        fn of(object: &Object) -> Option<&Self> {
            match object {
                Object::$structure(structure) => Some(structure),
                _ => None,
            }
        }

        fn of_mut(object: &mut Object) -> Option<&mut Self> {
            match object {
                Object::$structure(structure) => Some(structure),
                _ => None,
            }
        }
    };
}

pub mod bitmap;
pub mod geo;
pub mod hash;
pub mod hash_index;
pub mod hyperloglog;
pub mod list;
pub mod long_double;
pub mod packed;
pub mod score;
pub mod set;
pub mod sorted_set;
pub mod stream;

pub use hash::Hash;
pub use list::List;
pub use set::Set;
pub use sorted_set::SortedSet;
pub use stream::Stream;

/// Where a deadline would stand: there is none.
pub const NEVER: i64 = i64::MAX;

/// Under what a database has noted when parts of a value expire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Registration {
    pub tick: u32,
    pub generation: bool,
}

/// What decides how values are represented, as the configuration says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Of a block of a list.
    pub list: packed::Limit,
    /// Of a compact set.
    pub set: set::Limits,
    /// Of a compact hash.
    pub hash: hash::Limits,
    /// Of a compact sorted set.
    pub sorted_set: sorted_set::Limits,
    /// Of a block of a stream.
    pub stream: stream::Limits,
    /// Of a sparse HyperLogLog.
    pub hyperloglog_sparse_bytes: usize,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            list: list::limit_of_setting(-2),
            set: set::Limits { integers: 512, entries: 128, member_bytes: 64 },
            hash: hash::Limits { entries: 512, value_bytes: 64 },
            sorted_set: sorted_set::Limits { entries: 128, member_bytes: 64 },
            stream: stream::Limits { bytes: 4096, entries: 100 },
            hyperloglog_sparse_bytes: 3000,
        }
    }
}

/// The type of a value, as TYPE names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    String,
    List,
    Set,
    SortedSet,
    Hash,
    Stream,
}

impl Kind {
    /// The word that TYPE answers and SCAN's TYPE option takes.
    pub fn name(self) -> &'static str {
        match self {
            Kind::String => "string",
            Kind::List => "list",
            Kind::Set => "set",
            Kind::SortedSet => "zset",
            Kind::Hash => "hash",
            Kind::Stream => "stream",
        }
    }
}

/// How a value is represented, as OBJECT ENCODING names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    Int,
    EmbeddedString,
    Raw,
    Listpack,
    ListpackEx,
    Quicklist,
    Intset,
    Skiplist,
    HashTable,
    Stream,
}

impl Encoding {
    /// The word that OBJECT ENCODING answers.
    pub fn name(self) -> &'static str {
        match self {
            Encoding::Int => "int",
            Encoding::EmbeddedString => "embstr",
            Encoding::Raw => "raw",
            Encoding::Listpack => "listpack",
            Encoding::ListpackEx => "listpackex",
            Encoding::Quicklist => "quicklist",
            Encoding::Intset => "intset",
            Encoding::Skiplist => "skiplist",
            Encoding::HashTable => "hashtable",
            Encoding::Stream => "stream",
        }
    }
}

/// A value that is not a string.
#[derive(Clone, Debug)]
pub enum Object {
    List(List),
    Set(Set),
    SortedSet(SortedSet),
    Hash(Hash),
    Stream(Stream),
}

/// What every structure in an [`Object`] can do.
pub trait Collection: Sized {
    const KIND: Kind;

    fn into_object(self) -> Object;

    /// The structure in an object, if it is this one.
    fn of(object: &Object) -> Option<&Self>;

    fn of_mut(object: &mut Object) -> Option<&mut Self>;

    fn encoding(&self) -> Encoding;

    /// Bytes allocated beyond the structure itself, in O(1).
    fn heap_bytes(&self) -> usize;

    /// About how many allocations there are to be freed, in O(1).
    fn parts(&self) -> usize;

    /// Frees about `budget` parts, after which the structure is of no more use than to be freed further.
    /// Returns how many were freed; none means that nothing is left.
    fn free_some(&mut self, budget: usize) -> usize;

    /// Whether a key that holds this is to be removed. An empty collection is no value; an empty stream is.
    fn removes_key(&self) -> bool;
}

/// Calls a method of the [`Collection`] that an object holds.
macro_rules! of_collection {
    ($object:expr, $structure:ident => $call:expr) => {
        match $object {
            Object::List($structure) => $call,
            Object::Set($structure) => $call,
            Object::SortedSet($structure) => $call,
            Object::Hash($structure) => $call,
            Object::Stream($structure) => $call,
        }
    };
}

impl Object {
    pub fn kind(&self) -> Kind {
        match self {
            Object::List(_) => List::KIND,
            Object::Set(_) => Set::KIND,
            Object::SortedSet(_) => SortedSet::KIND,
            Object::Hash(_) => Hash::KIND,
            Object::Stream(_) => Stream::KIND,
        }
    }

    pub fn encoding(&self) -> Encoding {
        of_collection!(self, structure => structure.encoding())
    }

    /// Bytes allocated for the object in its box and all it holds, in O(1).
    pub fn memory_bytes(&self) -> usize {
        size_of::<Object>() + of_collection!(self, structure => structure.heap_bytes())
    }

    /// About how many allocations there are to be freed.
    pub fn parts(&self) -> usize {
        of_collection!(self, structure => structure.parts())
    }

    /// Frees about `budget` parts; returns how many, none at the end.
    pub fn free_some(&mut self, budget: usize) -> usize {
        of_collection!(self, structure => structure.free_some(budget))
    }

    /// Begins to fetch into the cache where an element is sought, if that is far away; the element's hash for
    /// [`Object::fetch_element`], some elements later.
    #[inline]
    pub fn fetch_slot(&self, element: &[u8]) -> Option<u64> {
        match self {
            Object::Set(set) => set.fetch_slot(element),
            Object::SortedSet(set) => set.fetch_slot(element),
            Object::Hash(hash) => hash.fetch_slot(element),
            Object::List(_) | Object::Stream(_) => None,
        }
    }

    /// Begins to fetch the element with this hash.
    #[inline]
    pub fn fetch_element(&self, hash: u64) {
        match self {
            Object::Set(set) => set.fetch_element(hash),
            Object::SortedSet(set) => set.fetch_element(hash),
            Object::Hash(hashes) => hashes.fetch_element(hash),
            Object::List(_) | Object::Stream(_) => {}
        }
    }

    /// Whether a key that holds this is to be removed.
    pub fn removes_key(&self) -> bool {
        of_collection!(self, structure => structure.removes_key())
    }
}
