//! The commands: one file per family, one record per command.
//!
//! A [`Command`] record is the single place that knows a command: name, arity, flags, key positions, ACL
//! categories, documentation and, in [`Run`], *where* it runs and with which function. Everything else is
//! derived from the records: look-up and arity errors, routing to shards, COMMAND and its subcommands,
//! later ACL and the permission inside MULTI and scripts. [`FAMILIES`] is the explicit list; nothing
//! registers itself.
//!
//! Functions that touch data get a [`Data`]: one shard's keyspace, the arguments, a place for the reply.
//! They run to completion, know nothing of sessions and never read the clock.

pub mod bitmaps;
pub mod client;
pub mod cluster;
pub mod config;
pub mod connection;
pub mod counters;
pub mod databases;
pub mod debug;
pub mod docs;
pub mod dump;
#[cfg(test)]
mod event_tests;
pub mod expire;
pub mod geo;
pub mod hashes;
pub mod help;
pub mod hyperloglog;
pub mod info;
pub mod introspection;
pub mod keys;
pub mod keyspec;
pub mod latency;
pub mod lcs;
pub mod list_moves;
pub mod list_waits;
pub mod lists;
#[cfg(test)]
mod reference_tests;
pub mod memory;
pub mod monitor;
mod random;
pub mod scan;
pub mod server;
pub mod set_algebra;
pub mod sets;
pub mod slowlog;
pub mod sort;
pub mod sorted_sets;
pub mod streams;
pub mod strings;
mod table;
#[cfg(test)]
pub mod testing;
pub mod transactions;
pub mod waiting;

use crate::error::CommandError;
use crate::keyspace::{Database, Key, KeyPlace, Keyspace, Moved};
use crate::resp::{Args, Reply};
use crate::runtime::engine::Token;
use crate::session::Session;
use crate::shard::batch::NO_KEY;
use crate::shard::{Report, Shard};
use crate::transaction::PlanFunction;

pub use table::{CommandId, CommandTable};

/// Every family of commands, in the order in which COMMAND lists them.
pub const FAMILIES: &[&[Command]] = &[
    connection::COMMANDS,
    client::COMMANDS,
    strings::COMMANDS,
    counters::COMMANDS,
    lcs::COMMANDS,
    bitmaps::COMMANDS,
    hyperloglog::COMMANDS,
    lists::COMMANDS,
    list_moves::COMMANDS,
    list_waits::COMMANDS,
    sets::COMMANDS,
    sorted_sets::COMMANDS,
    geo::COMMANDS,
    hashes::COMMANDS,
    streams::COMMANDS,
    keys::COMMANDS,
    dump::COMMANDS,
    sort::COMMANDS,
    expire::COMMANDS,
    scan::COMMANDS,
    databases::COMMANDS,
    server::COMMANDS,
    info::COMMANDS,
    config::COMMANDS,
    introspection::COMMANDS,
    slowlog::COMMANDS,
    latency::COMMANDS,
    memory::COMMANDS,
    monitor::COMMANDS,
    transactions::COMMANDS,
    waiting::COMMANDS,
    cluster::COMMANDS,
    debug::COMMANDS,
];

/// A command on data: runs on the shard that owns its keys.
pub type DataFunction = fn(&mut Data<'_>) -> Result<(), CommandError>;

/// What a function that touches data may see.
pub struct Data<'a> {
    pub keyspace: &'a mut Keyspace,
    /// The database that the client selected; always below the number of databases.
    pub database: usize,
    pub args: Args<'a>,
    /// The hash of the first key, computed while the command was parsed; unspecified without a key.
    pub key_hash: u64,
    /// Its hash slot where tables are kept by slot, else 0; [`NO_KEY`] where nobody has looked.
    pub key_slot: u16,
    /// Where all keys of a command with several are, if somebody has looked already; else empty.
    pub known_keys: &'a [KeyPlace],
    pub reply: Reply<'a>,
    /// A value on its way from one shard to another, in the steps of [`Run::Hops`].
    pub moved: Option<Moved>,
    /// The longest string that may come to be (`proto-max-bulk-len`), in bytes.
    pub string_bytes_max: usize,
    /// The client has waited for elements, and one of its keys has been written.
    pub has_waited: bool,
    /// Set with the null that is the reply: outside of EXEC the client waits for elements, so many
    /// milliseconds, or for ever if it is 0.
    pub park: Option<i64>,
    /// With `park`: the command line with which it waits, unless that is its own.
    pub waits_as: Option<Vec<Vec<u8>>>,
}

/// A command on the session or the server: runs on the shard of the connection.
pub type HereFunction = fn(&mut Here<'_>) -> Result<(), CommandError>;

/// What a function may see that runs on the shard of the connection.
pub struct Here<'a> {
    pub shard: &'a mut Shard,
    pub table: &'a CommandTable,
    /// The session of the client.
    pub token: Token,
    pub args: Args<'a>,
    pub reply: Reply<'a>,
}

impl Here<'_> {
    /// The session of the client. It exists as long as one of its commands runs.
    pub fn session(&mut self) -> &mut Session {
        self.shard.sessions.current(self.token)
    }
}

/// One shard's share of a command that asks all of them.
pub type PartFunction = fn(&mut Part<'_>) -> Report;

/// What a share of a command may see.
pub struct Part<'a> {
    pub shard: &'a mut Shard,
    pub table: &'a CommandTable,
    pub args: Args<'a>,
    /// The client that asks, which may be connected to another shard.
    pub client_id: u64,
    pub client_resp3: bool,
    /// The database that the client selected.
    pub database: usize,
}

/// What comes of looking at a command before all shards are asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// Ask them.
    Gather,
    /// No need: the reply is written.
    Answered,
}

/// Judges the arguments before any shard is asked.
pub type CheckFunction = fn(&mut Here<'_>) -> Result<Next, CommandError>;

/// Makes one reply of the shards' reports, which are in the order of the shards.
pub type MergeFunction = fn(&mut Here<'_>, Vec<Report>) -> Result<(), CommandError>;

/// Where and how a command runs.
#[derive(Clone, Copy)]
pub enum Run {
    /// On the shard of the connection, with its session; touches no data.
    Here(HereFunction),
    /// On every shard, about the shard itself: `check` at the connection, `part` everywhere, then `merge`
    /// at the connection again.
    Gather { check: CheckFunction, part: PartFunction, merge: MergeFunction },
    /// On the shard that owns its one key.
    OneShard(DataFunction),
    /// On every shard that owns one of its keys (or on all), each with its share of the arguments; the
    /// same function serves the whole command when one shard owns all keys.
    EachShard { part: DataFunction, split: Split, merge: Merge },
    /// In several hops that depend on each other: `plan` says after each hop what the next one does, by
    /// number in `steps`. `whole` serves when one shard owns all keys.
    Hops { whole: DataFunction, steps: &'static [DataFunction], plan: PlanFunction },
    /// As `Hops`, and where it finds nothing its client waits until there is something.
    Wait { whole: DataFunction, steps: &'static [DataFunction], plan: PlanFunction },
    /// On the session's queue of commands and its watched keys; the shards of the keys run `steps`.
    Transaction { action: TransactionAction, steps: &'static [DataFunction] },
}

/// What a command does with the session's transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TransactionAction {
    Multi,
    Exec,
    Discard,
    Watch,
    Unwatch,
}

/// How the arguments of a command are divided among the shards.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Split {
    /// From argument 1 on, groups of this many arguments, each beginning with a key.
    Keys { stride: usize },
    /// Every shard gets all arguments.
    Everywhere,
}

impl Split {
    /// Whether a command line of `count` arguments, name included, divides into whole groups.
    pub fn accepts(self, count: usize) -> bool {
        match self {
            Split::Keys { stride } => (count - 1).is_multiple_of(stride),
            Split::Everywhere => true,
        }
    }
}

/// How the replies of the shards become one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Merge {
    /// Integers add up.
    Sum,
    /// Every shard answers OK, or the first error counts.
    Ok,
    /// Each shard answers an array with one element per key: back into the order of the keys.
    Interleave,
    /// Each shard answers an array: one after the other.
    Concatenate,
}

/// What a command on one key works with: parts of a [`Data`], borrowed side by side.
pub struct Target<'d, 'a> {
    pub database: &'d mut Database,
    pub key: Key<'d>,
    pub args: &'d Args<'a>,
    pub reply: &'d mut Reply<'a>,
}

/// A key of which the hash is known, and maybe the slot.
#[inline(always)]
fn hashed_key<'k>(keyspace: &Keyspace, bytes: &'k [u8], hash: u64, slot: u16) -> Key<'k> {
    if slot == NO_KEY { keyspace.key_hashed(bytes, hash) } else { Key { bytes, hash, slot } }
}

impl<'a> Data<'a> {
    /// The selected database and argument 1 as the key, which is hashed already.
    #[inline(always)]
    pub fn first(&mut self) -> Target<'_, 'a> {
        let key = hashed_key(self.keyspace, self.args.get(1), self.key_hash, self.key_slot);
        let database = self.keyspace.database(self.database);
        Target { database, key, args: &self.args, reply: &mut self.reply }
    }

    /// The selected database and argument `index` as the key.
    #[inline]
    pub fn target(&mut self, index: usize) -> Target<'_, 'a> {
        let key = self.keyspace.key(self.args.get(index));
        let database = self.keyspace.database(self.database);
        Target { database, key, args: &self.args, reply: &mut self.reply }
    }
}

/// One command or subcommand: all that the server knows of it.
#[derive(Clone, Copy)]
pub struct Command {
    /// In lower case; of a subcommand with its container: `client|kill`.
    pub name: &'static str,
    pub group: Group,
    /// The first Redis version that had it.
    pub since: &'static str,
    /// The exact number of arguments, name included; below zero: at least so many.
    pub arity: i16,
    /// Bits of [`flag`].
    pub flags: u32,
    /// Bits of [`category`] that do not follow from the flags.
    pub categories: u32,
    pub keys: &'static [KeySpec],
    pub summary: &'static str,
    pub complexity: &'static str,
    /// The arguments after the name as the manual writes them: `key value [NX | XX] [GET]`.
    pub syntax: &'static str,
    /// The position of the argument that names an element of the key's collection, which can be fetched before
    /// the command runs; 0: there is none; [`ALL_ELEMENTS`]: it reads all of them.
    pub element: u8,
    /// Of a command that waits: the option without which it does not.
    pub waits_with: Option<&'static str>,
    /// Hints for clients that route commands themselves, such as `request_policy:all_shards`.
    pub tips: &'static [&'static str],
    /// Since which version another command is preferred, and what the manual recommends instead.
    pub deprecated: Option<(&'static str, &'static str)>,
    /// `None`: a container that only has subcommands.
    pub run: Option<Run>,
    pub subcommands: &'static [Command],
}

/// In place of an argument's position: [`Command::element`].
pub const ALL_ELEMENTS: u8 = u8::MAX;

impl Command {
    pub const fn new(name: &'static str, arity: i16, run: Run) -> Self {
        Command {
            name,
            group: Group::Generic,
            since: "1.0.0",
            arity,
            flags: 0,
            categories: 0,
            keys: &[],
            summary: "",
            complexity: "",
            syntax: "",
            element: 0,
            waits_with: None,
            tips: &[],
            deprecated: None,
            run: Some(run),
            subcommands: &[],
        }
    }

    /// A command that only holds subcommands.
    pub const fn container(name: &'static str, subcommands: &'static [Command]) -> Self {
        Command { run: None, subcommands, ..Command::new(name, -2, Run::OneShard(never)) }
    }

    pub const fn group(self, group: Group) -> Self {
        Command { group, ..self }
    }

    pub const fn since(self, since: &'static str) -> Self {
        Command { since, ..self }
    }

    pub const fn flags(self, flags: u32) -> Self {
        Command { flags, ..self }
    }

    pub const fn categories(self, categories: u32) -> Self {
        Command { categories, ..self }
    }

    pub const fn keys(self, keys: &'static [KeySpec]) -> Self {
        Command { keys, ..self }
    }

    pub const fn docs(self, summary: &'static str, complexity: &'static str, syntax: &'static str) -> Self {
        Command { summary, complexity, syntax, ..self }
    }

    /// Which argument names an element of the key's collection, most of the time at least.
    pub const fn element(self, element: u8) -> Self {
        Command { element, ..self }
    }

    /// The command waits only with this option, which stands before its keys.
    pub const fn waits_with(self, option: &'static str) -> Self {
        Command { waits_with: Some(option), ..self }
    }

    pub const fn tips(self, tips: &'static [&'static str]) -> Self {
        Command { tips, ..self }
    }

    pub const fn deprecated(self, since: &'static str, replaced_by: &'static str) -> Self {
        Command { deprecated: Some((since, replaced_by)), ..self }
    }

    /// The keys of a command that waits: their positions, and whether elements in them are what it waits for.
    /// It takes them away or only reads them; to a key that it only writes to, it adds what it took elsewhere.
    pub fn waits_for(&self, args: &Args<'_>) -> Vec<(usize, bool)> {
        let mut keys = Vec::new();
        keyspec::find_keys(self, args, &mut keys);
        let is_waited_for = |flags| flags & (key_flag::DELETE | key_flag::RO) != 0;
        keys.iter().map(|key| (key.index, is_waited_for(key.flags))).collect()
    }

    /// Whether a client with this command line may have to wait for elements.
    #[inline]
    pub fn may_wait(&self, args: &Args<'_>) -> bool {
        matches!(self.run, Some(Run::Wait { .. }))
            && self.waits_with.is_none_or(|option| (1..args.len()).any(|index| args.is(index, option)))
    }

    /// Whether a client that waits for a key is told when the key goes: one that reads as a member of a group,
    /// which goes with it.
    pub fn minds_removal(&self) -> bool {
        self.keys.iter().any(|spec| spec.flags & key_flag::WRITTEN_BESIDE != 0)
    }

    /// Whether a command line of `count` arguments, name included, can be right.
    #[inline(always)]
    pub fn accepts(&self, count: usize) -> bool {
        if self.arity >= 0 { count == self.arity as usize } else { count >= -(self.arity as isize) as usize }
    }
}

/// Containers have no function of their own; the table never hands them out to run.
fn never(_: &mut Data<'_>) -> Result<(), CommandError> {
    Err(CommandError::Syntax)
}

/// The groups of Redis's manual.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Group {
    Generic,
    String,
    List,
    Set,
    SortedSet,
    Hash,
    Stream,
    Bitmap,
    HyperLogLog,
    Geo,
    Connection,
    Server,
    Cluster,
    Transactions,
}

impl Group {
    pub const fn name(self) -> &'static str {
        match self {
            Group::Generic => "generic",
            Group::String => "string",
            Group::List => "list",
            Group::Set => "set",
            Group::SortedSet => "sorted_set",
            Group::Hash => "hash",
            Group::Stream => "stream",
            Group::Bitmap => "bitmap",
            Group::HyperLogLog => "hyperloglog",
            Group::Geo => "geo",
            Group::Connection => "connection",
            Group::Server => "server",
            Group::Cluster => "cluster",
            Group::Transactions => "transactions",
        }
    }
}

/// Command flags, with the names that COMMAND INFO shows.
pub mod flag {
    pub const WRITE: u32 = 1 << 0;
    pub const READONLY: u32 = 1 << 1;
    pub const DENYOOM: u32 = 1 << 2;
    pub const ADMIN: u32 = 1 << 3;
    pub const PUBSUB: u32 = 1 << 4;
    pub const NOSCRIPT: u32 = 1 << 5;
    pub const BLOCKING: u32 = 1 << 6;
    pub const LOADING: u32 = 1 << 7;
    pub const STALE: u32 = 1 << 8;
    pub const SKIP_MONITOR: u32 = 1 << 9;
    pub const SKIP_SLOWLOG: u32 = 1 << 10;
    pub const ASKING: u32 = 1 << 11;
    pub const FAST: u32 = 1 << 12;
    pub const NO_AUTH: u32 = 1 << 13;
    pub const MAY_REPLICATE: u32 = 1 << 14;
    pub const NO_MANDATORY_KEYS: u32 = 1 << 15;
    pub const PROTECTED: u32 = 1 << 16;
    pub const NO_ASYNC_LOADING: u32 = 1 << 17;
    pub const NO_MULTI: u32 = 1 << 18;
    pub const ALLOW_BUSY: u32 = 1 << 19;
    pub const TOUCHES_ARBITRARY_KEYS: u32 = 1 << 20;
    /// Known to Sentinel too; COMMAND INFO does not show it.
    pub const SENTINEL: u32 = 1 << 21;
    /// Runs at once between MULTI and EXEC; COMMAND INFO does not show it.
    pub const NOT_QUEUED: u32 = 1 << 22;

    /// Flag and name, in the order in which COMMAND INFO lists them.
    pub const NAMES: &[(u32, &str)] = &[
        (WRITE, "write"),
        (READONLY, "readonly"),
        (DENYOOM, "denyoom"),
        (ADMIN, "admin"),
        (PUBSUB, "pubsub"),
        (NOSCRIPT, "noscript"),
        (BLOCKING, "blocking"),
        (LOADING, "loading"),
        (STALE, "stale"),
        (SKIP_MONITOR, "skip_monitor"),
        (SKIP_SLOWLOG, "skip_slowlog"),
        (ASKING, "asking"),
        (FAST, "fast"),
        (NO_AUTH, "no_auth"),
        (MAY_REPLICATE, "may_replicate"),
        (NO_MANDATORY_KEYS, "no_mandatory_keys"),
        (PROTECTED, "protected"),
        (NO_ASYNC_LOADING, "no_async_loading"),
        (NO_MULTI, "no_multi"),
        (ALLOW_BUSY, "allow_busy"),
        (TOUCHES_ARBITRARY_KEYS, "touches_arbitrary_keys"),
    ];
}

/// ACL categories.
pub mod category {
    pub const KEYSPACE: u32 = 1 << 0;
    pub const READ: u32 = 1 << 1;
    pub const WRITE: u32 = 1 << 2;
    pub const SET: u32 = 1 << 3;
    pub const SORTEDSET: u32 = 1 << 4;
    pub const LIST: u32 = 1 << 5;
    pub const HASH: u32 = 1 << 6;
    pub const STRING: u32 = 1 << 7;
    pub const BITMAP: u32 = 1 << 8;
    pub const HYPERLOGLOG: u32 = 1 << 9;
    pub const GEO: u32 = 1 << 10;
    pub const STREAM: u32 = 1 << 11;
    pub const PUBSUB: u32 = 1 << 12;
    pub const ADMIN: u32 = 1 << 13;
    pub const FAST: u32 = 1 << 14;
    pub const SLOW: u32 = 1 << 15;
    pub const BLOCKING: u32 = 1 << 16;
    pub const DANGEROUS: u32 = 1 << 17;
    pub const CONNECTION: u32 = 1 << 18;
    pub const TRANSACTION: u32 = 1 << 19;
    pub const SCRIPTING: u32 = 1 << 20;

    pub const NAMES: &[(u32, &str)] = &[
        (KEYSPACE, "keyspace"),
        (READ, "read"),
        (WRITE, "write"),
        (SET, "set"),
        (SORTEDSET, "sortedset"),
        (LIST, "list"),
        (HASH, "hash"),
        (STRING, "string"),
        (BITMAP, "bitmap"),
        (HYPERLOGLOG, "hyperloglog"),
        (GEO, "geo"),
        (STREAM, "stream"),
        (PUBSUB, "pubsub"),
        (ADMIN, "admin"),
        (FAST, "fast"),
        (SLOW, "slow"),
        (BLOCKING, "blocking"),
        (DANGEROUS, "dangerous"),
        (CONNECTION, "connection"),
        (TRANSACTION, "transaction"),
        (SCRIPTING, "scripting"),
    ];
}

impl Command {
    /// All ACL categories: the explicit ones and those that follow from the flags.
    pub fn all_categories(&self) -> u32 {
        let mut bits = self.categories;
        let mut add = |condition: bool, category: u32| {
            if condition {
                bits |= category;
            }
        };
        add(self.flags & flag::WRITE != 0, category::WRITE);
        add(self.flags & flag::READONLY != 0, category::READ);
        add(self.flags & flag::ADMIN != 0, category::ADMIN | category::DANGEROUS);
        add(self.flags & flag::PUBSUB != 0, category::PUBSUB);
        add(self.flags & flag::BLOCKING != 0, category::BLOCKING);
        bits | if self.flags & flag::FAST != 0 { category::FAST } else { category::SLOW }
    }
}

/// What a command does with a key, as COMMAND GETKEYSANDFLAGS tells.
pub mod key_flag {
    pub const RO: u16 = 1 << 0;
    pub const RW: u16 = 1 << 1;
    pub const OW: u16 = 1 << 2;
    pub const RM: u16 = 1 << 3;
    pub const ACCESS: u16 = 1 << 4;
    pub const UPDATE: u16 = 1 << 5;
    pub const INSERT: u16 = 1 << 6;
    pub const DELETE: u16 = 1 << 7;
    pub const NOT_KEY: u16 = 1 << 8;
    pub const INCOMPLETE: u16 = 1 << 9;
    pub const VARIABLE_FLAGS: u16 = 1 << 10;
    /// It counts as read, but something that belongs to it is written; clients are not told.
    pub const WRITTEN_BESIDE: u16 = 1 << 11;

    /// Whether a command that writes does so to a key with these flags.
    pub fn is_written(flags: u16) -> bool {
        flags & RO == 0 || flags & WRITTEN_BESIDE != 0
    }

    pub const NAMES: &[(u16, &str)] = &[
        (RO, "RO"),
        (RW, "RW"),
        (OW, "OW"),
        (RM, "RM"),
        (ACCESS, "access"),
        (UPDATE, "update"),
        (INSERT, "insert"),
        (DELETE, "delete"),
        (NOT_KEY, "not_key"),
        (INCOMPLETE, "incomplete"),
        (VARIABLE_FLAGS, "variable_flags"),
    ];
}

/// Where keys stand among the arguments.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeySpec {
    pub begin: Begin,
    pub find: Find,
    /// Bits of [`key_flag`].
    pub flags: u16,
    /// What COMMAND INFO says about it, if anything.
    pub notes: &'static str,
}

/// Where the search for keys begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Begin {
    /// At this argument.
    Index(u16),
    /// After this word, sought from argument `from` on (from the end if below zero).
    Keyword {
        word: &'static str,
        from: i16,
    },
    /// After the option STORE, which is no such word where another option's argument stands. Clients are told
    /// that it is unknown.
    StoreOption,
    Unknown,
}

/// How keys go on from where the search began.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Find {
    /// Up to `last` (relative to the beginning; below zero: from the end of the arguments), every
    /// `step`-th; `limit` divides what is left (2: the first half), 0 and 1 do not.
    Range {
        last: i16,
        step: u16,
        limit: u16,
    },
    /// A count stands at `count` after the beginning, the first key at `first`.
    Count {
        count: u16,
        first: u16,
        step: u16,
    },
    Unknown,
}

impl KeySpec {
    /// Keys at argument `first` up to `last` (relative to `first`, or from the end) with a `step`.
    pub const fn range(first: u16, last: i16, step: u16, flags: u16) -> Self {
        KeySpec { begin: Begin::Index(first), find: Find::Range { last, step, limit: 0 }, flags, notes: "" }
    }

    /// Keys whose number stands before them, at argument `count`.
    pub const fn counted(count: u16, flags: u16) -> Self {
        let find = Find::Count { count: 0, first: 1, step: 1 };
        KeySpec { begin: Begin::Index(count), find, flags, notes: "" }
    }

    pub const fn notes(self, notes: &'static str) -> Self {
        KeySpec { notes, ..self }
    }

    /// One key at argument `index`.
    pub const fn one(index: u16, flags: u16) -> Self {
        KeySpec::range(index, 0, 1, flags)
    }
}
