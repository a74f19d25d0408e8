//! The commands that arrived together on one connection, resolved: which record, which key, which shard.

use crate::commands::keyspec::{find_keys, first_key, only_range, reads_anywhere};
use crate::commands::{Command, CommandId, CommandTable, Run, Split};
use crate::error::CommandError;
use crate::keyspace::KeyPlace;
use crate::keyspace::slot::slot_of;
use crate::resp::{Args, Span};
use crate::session::Frame;
use crate::shard::Shard;
use crate::shard::batch::NO_KEY;

/// Commands whose buckets are prefetched before the first of them runs: what fits the first-level cache.
const PREFETCH_WINDOW: usize = 64;

/// Commands of a burst whose entries are fetched while other connections' bursts are read.
const LOOK_AHEAD: usize = 4;

/// Reusable lists for one burst.
#[derive(Default)]
pub struct Burst {
    pub frames: Vec<Frame>,
    pub spans: Vec<Span>,
    pub owned: Vec<Vec<u8>>,
    calls: Vec<Call>,
}

/// Where a command goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// One shard owns all its keys.
    Shard(u16),
    /// The session or the server.
    Here,
    /// Several shards.
    Several,
    /// It is refused: no such command, or wrong arity.
    Refused,
}

/// A resolved command.
#[derive(Debug, Clone, Copy)]
pub struct Call {
    /// Position in the command table; `u16::MAX`: none.
    pub command: u16,
    pub way: Way,
    /// Hash and table slot of the first key, if it goes to one shard and has one; else [`NO_KEY`].
    pub hash: u64,
    pub slot: u16,
    /// It may make its client wait for elements.
    pub may_wait: bool,
}

impl Call {
    /// Whether `hash` and `slot` are those of a key.
    #[inline(always)]
    pub fn has_key(&self) -> bool {
        self.slot != NO_KEY
    }

    #[inline(always)]
    pub fn place(&self) -> KeyPlace {
        KeyPlace { hash: self.hash, slot: self.slot }
    }
}

impl Burst {
    /// Commands that were read earlier, to be resolved.
    pub fn new(frames: Vec<Frame>, spans: Vec<Span>, owned: Vec<Vec<u8>>) -> Burst {
        Burst { frames, spans, owned, calls: Vec::new() }
    }

    pub fn clear(&mut self) {
        self.frames.clear();
        self.spans.clear();
        self.owned.clear();
        self.calls.clear();
    }

    #[inline(always)]
    pub fn call(&self, index: usize) -> Call {
        self.calls[index]
    }

    /// The arguments of command `index`.
    #[inline(always)]
    pub fn args<'a>(&'a mut self, index: usize, bytes: &'a [u8]) -> Args<'a> {
        let frame = self.frames[index];
        let first = frame.first_span as usize;
        Args::new(bytes, &self.spans[first..first + frame.arguments as usize], &mut self.owned)
    }

    /// Looks up every command, its key and its shard, and starts to fetch the buckets it will need.
    pub fn resolve(&mut self, bytes: &[u8], shard: &mut Shard, table: &CommandTable, database: usize) {
        for index in 0..self.frames.len() {
            let call = resolve(&self.args(index, bytes), shard, table);
            if index < PREFETCH_WINDOW && call.slot != NO_KEY && call.way == Way::Shard(shard.id as u16) {
                shard.keyspace.database(database).prefetch_bucket(&call.place().key(&[]));
            }
            self.calls.push(call);
        }
    }

    /// Fetches the entries of the first commands, whose buckets have been fetched.
    #[inline]
    pub fn prefetch_first(&self, shard: &mut Shard, database: usize) {
        let own = Way::Shard(shard.id as u16);
        let database = shard.keyspace.database(database);
        for call in self.calls.iter().take(LOOK_AHEAD).filter(|call| call.way == own && call.slot != NO_KEY) {
            database.prefetch_entry(&call.place().key(&[]));
        }
    }

    /// Fetches the entries of the commands from `first` on, whose buckets have been fetched, and the
    /// buckets of those after them.
    #[inline]
    pub fn prefetch(&self, first: usize, shard: &mut Shard, database: usize) {
        let calls = &self.calls[first..];
        if calls.len() < 2 || !first.is_multiple_of(PREFETCH_WINDOW) {
            return;
        }
        let own = Way::Shard(shard.id as u16);
        let fetched = |call: &&Call| call.way == own && call.slot != NO_KEY;
        let database = shard.keyspace.database(database);
        for call in calls.iter().take(PREFETCH_WINDOW).filter(fetched) {
            database.prefetch_entry(&call.place().key(&[]));
        }
        for call in calls.iter().skip(PREFETCH_WINDOW).take(PREFETCH_WINDOW).filter(fetched) {
            database.prefetch_bucket(&call.place().key(&[]));
        }
    }
}

#[inline]
fn resolve(args: &Args<'_>, shard: &Shard, table: &CommandTable) -> Call {
    let refused = Call { command: u16::MAX, way: Way::Refused, hash: 0, slot: NO_KEY, may_wait: false };
    let Some(mut id) = table.find(args.get(0)) else { return refused };
    let mut command = table.get(id);
    if !command.subcommands.is_empty() && args.len() >= 2 {
        match table.find_subcommand(id, args.get(1)) {
            Some(child) => {
                id = child;
                command = table.get(child);
            }
            None if command.run.is_none() => return refused,
            None => {}
        }
    }
    if !command.accepts(args.len()) {
        return Call { command: id.0, ..refused };
    }
    let key = first_key(command, args).map(|position| args.get(position));
    if let (Some(Run::OneShard(_)), Some(key)) = (&command.run, key) {
        // Almost every command: its key is looked at once.
        let by_slot = shard.keyspace.has_slot_tables();
        let slot = if by_slot || shard.route.shards() > 1 { slot_of(key) } else { 0 };
        let way = Way::Shard(shard.route.shard_of_slot(slot) as u16);
        let hash = shard.keyspace.hash_of(key);
        return Call { command: id.0, way, hash, slot: if by_slot { slot } else { 0 }, may_wait: false };
    }
    let way = match &command.run {
        Some(run) => way_of(run, command, args, shard),
        None => Way::Refused,
    };
    let may_wait = command.may_wait(args);
    let mut call = Call { command: id.0, way, hash: 0, slot: NO_KEY, may_wait };
    if let (Way::Shard(_), Some(key)) = (way, key) {
        let key = shard.keyspace.key(key);
        (call.hash, call.slot) = (key.hash, key.slot);
    }
    call
}

#[inline(always)]
fn way_of(run: &Run, command: &Command, args: &Args<'_>, shard: &Shard) -> Way {
    let route = shard.route;
    match run {
        Run::Here(_) | Run::Gather { .. } | Run::Transaction { .. } => Way::Here,
        _ if route.shards() == 1 => Way::Shard(0),
        // With a key it has been dealt with; without one any shard will do.
        Run::OneShard(_) => Way::Shard(shard.id as u16),
        Run::EachShard { split: Split::Everywhere, .. } => Way::Several,
        Run::EachShard { split: Split::Keys { stride }, .. } => {
            one_shard((1..args.len()).step_by(*stride), args, shard)
        }
        Run::Hops { .. } if reads_anywhere(command, args) => Way::Several,
        Run::Hops { .. } | Run::Wait { .. } => {
            if let Some(mut positions) = only_range(command, args).map(Iterator::peekable)
                && positions.peek().is_some()
            {
                return one_shard(positions, args, shard);
            }
            let mut keys = Vec::new();
            find_keys(command, args, &mut keys);
            if keys.is_empty() && matches!(run, Run::Wait { .. }) {
                return Way::Shard(shard.id as u16);
            }
            one_shard(keys.iter().map(|key| key.index), args, shard)
        }
    }
}

/// The shard of all these keys, if it is one.
fn one_shard(positions: impl Iterator<Item = usize>, args: &Args<'_>, shard: &Shard) -> Way {
    let mut owner = None;
    for position in positions {
        let shard = shard.route.shard_of(args.get(position));
        if *owner.get_or_insert(shard) != shard {
            return Way::Several;
        }
    }
    owner.map_or(Way::Several, |shard| Way::Shard(shard as u16))
}

/// Whether an unknown command is a line of an HTTP request: a browser can be made to send commands
/// inside one.
#[cold]
pub fn is_http(call: Call, args: &Args<'_>) -> bool {
    call.command == u16::MAX && (args.is(0, "POST") || args.is(0, "HOST:"))
}

/// Why a command was refused by [`Burst::resolve`].
#[cold]
pub fn refusal(call: Call, args: &Args<'_>, table: &CommandTable) -> CommandError {
    if call.command != u16::MAX {
        return CommandError::Arity(table.get(CommandId(call.command)).name.into());
    }
    // Redis formats these texts as C strings, which end at a zero byte.
    let shown = |bytes: &[u8], bytes_max: usize| {
        let text = bytes.split(|&byte| byte == 0).next().unwrap_or_default();
        String::from_utf8_lossy(&text[..text.len().min(bytes_max)]).into_owned()
    };
    match table.find(args.get(0)) {
        Some(container) => CommandError::UnknownSubcommand {
            name: shown(args.get(1), SHOWN_BYTES_MAX),
            container: table.get(container).name.to_uppercase(),
        },
        None => {
            let mut arguments = String::new();
            for argument in args.iter().skip(1) {
                if arguments.len() >= SHOWN_BYTES_MAX {
                    break;
                }
                let room = SHOWN_BYTES_MAX - arguments.len();
                arguments.push_str(&format!("'{}' ", shown(argument, room)));
            }
            CommandError::UnknownCommand { name: shown(args.get(0), SHOWN_BYTES_MAX), arguments }
        }
    }
}

/// How much of a bad command an error shows.
const SHOWN_BYTES_MAX: usize = 128;
