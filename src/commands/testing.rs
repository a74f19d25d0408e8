//! Runs command lines against fresh keyspaces, for the tests of the commands.

use super::{Command, CommandTable, Data, Merge, Run, Split, keyspec};
use crate::error::CommandError;
use crate::keyspace::{Budget, Keyspace, KeyspaceOptions, Moved};
use crate::resp::{Args, Reply, Span};
use crate::shard::batch::NO_KEY;
use crate::transaction::{Plan, Route, StepResult};

/// The arguments of a line: words divided by blanks, `""` being the empty word.
pub fn split_line(line: &str) -> Vec<Vec<u8>> {
    let words = line.split_ascii_whitespace();
    words.map(|word| if word == "\"\"" { Vec::new() } else { word.as_bytes().to_vec() }).collect()
}

/// Calls `function` with the arguments of a line.
pub fn with_args<T>(line: &str, function: impl FnOnce(Args<'_>) -> T) -> T {
    with_arguments(&split_line(line), function)
}

pub fn with_arguments<T>(arguments: &[Vec<u8>], function: impl FnOnce(Args<'_>) -> T) -> T {
    let bytes = arguments.concat();
    let mut spans = Vec::new();
    let mut start = 0;
    for argument in arguments {
        spans.push(Span::new(start, argument.len()));
        start += argument.len();
    }
    function(Args::new(&bytes, &spans, &mut []))
}

/// Some shards with a clock that only moves when it is set.
pub struct Harness {
    pub keyspaces: Vec<Keyspace>,
    pub database: usize,
    pub string_bytes_max: usize,
    pub resp3: bool,
    table: CommandTable,
    route: Route,
}

impl Default for Harness {
    fn default() -> Self {
        Harness::new()
    }
}

impl Harness {
    /// Runs a command that takes nearly all there is away: it is freed in more than `steps_min` steps, and
    /// nothing at all is left once `rest` has run, too.
    pub fn check_freed_in_steps(&mut self, line: &str, steps_min: usize, rest: &str) {
        let full = self.keyspaces[0].memory_bytes();
        self.run(line);
        let keyspace = &mut self.keyspaces[0];
        assert!(keyspace.memory_bytes() > full * 9 / 10, "{line}: it waits to be freed");
        let mut steps = 0;
        while keyspace.step(Budget(100)) {
            steps += 1;
        }
        assert!(steps > steps_min, "{line}: {steps} steps");
        assert!(keyspace.memory_bytes() < full / 100, "{line}: {} are left", keyspace.memory_bytes());
        self.run(rest);
        while self.keyspaces[0].step(Budget(100)) {}
        assert_eq!(self.keyspaces[0].memory_bytes(), 0, "{line}");
    }

    /// One shard.
    pub fn new() -> Self {
        Harness::with_shards(1, false)
    }

    /// Several shards, perhaps with a table for every hash slot.
    pub fn with_shards(shards: usize, slot_tables: bool) -> Self {
        let route = Route::new(shards);
        let hasher = ahash::RandomState::with_seeds(1, 2, 3, 4);
        let keyspace = |shard| {
            let slots = slot_tables.then(|| route.slots_of(shard));
            let mut keyspace =
                Keyspace::new(KeyspaceOptions { databases: 16, hasher: hasher.clone(), slots });
            keyspace.set_now(1_700_000_000_000);
            keyspace
        };
        Harness {
            keyspaces: (0..shards).map(keyspace).collect(),
            database: 0,
            string_bytes_max: 512 * 1024 * 1024,
            resp3: false,
            table: CommandTable::new(),
            route,
        }
    }

    pub fn set_now(&mut self, unix_ms: i64) {
        self.keyspaces.iter_mut().for_each(|keyspace| keyspace.set_now(unix_ms));
    }

    /// Changes counted by all shards.
    pub fn dirty(&self) -> u64 {
        self.keyspaces.iter().map(Keyspace::dirty).sum()
    }

    /// The reply as it goes over the wire.
    pub fn run(&mut self, line: &str) -> String {
        String::from_utf8_lossy(&self.run_arguments(&split_line(line))).into_owned()
    }

    /// The reply on one line: blanks for the line ends, none at the end.
    pub fn show(&mut self, line: &str) -> String {
        let reply = self.run(line);
        reply.strip_suffix("\r\n").unwrap_or(&reply).replace("\r\n", " ")
    }

    pub fn run_arguments(&mut self, arguments: &[Vec<u8>]) -> Vec<u8> {
        let mut out = Vec::new();
        if let Err(error) = self.dispatch(arguments, &mut out) {
            out.clear();
            Reply::new(&mut out, self.resp3).error(&error);
        }
        out
    }

    fn dispatch(&mut self, arguments: &[Vec<u8>], out: &mut Vec<u8>) -> Result<(), CommandError> {
        let command = self.find(arguments)?;
        if !command.accepts(arguments.len()) {
            return Err(CommandError::Arity(command.name.into()));
        }
        let keys = with_arguments(arguments, |args| {
            let mut keys = Vec::new();
            keyspec::find_keys(command, &args, &mut keys);
            keys
        });
        let anywhere = with_arguments(arguments, |args| keyspec::reads_anywhere(command, &args));
        let mut owners: Vec<usize> =
            keys.iter().map(|key| self.route.shard_of(&arguments[key.index])).collect();
        owners.sort_unstable();
        owners.dedup();
        let run = command.run.expect("a container has been replaced by its subcommand");
        match run {
            Run::OneShard(function) => {
                self.step(owners.first().copied().unwrap_or(0), function, arguments, None, out).map(drop)
            }
            Run::Hops { whole, .. } | Run::Wait { whole, .. }
                if self.keyspaces.len() == 1 || owners.len() == 1 && !anywhere =>
            {
                self.step(owners.first().copied().unwrap_or(0), whole, arguments, None, out).map(drop)
            }
            Run::Hops { steps, plan, .. } | Run::Wait { steps, plan, .. } => {
                self.hops(steps, plan, arguments, out)
            }
            Run::EachShard { part, .. } if self.keyspaces.len() == 1 => {
                self.step(0, part, arguments, None, out).map(drop)
            }
            Run::EachShard { part, split, merge } => self.each_shard(part, split, merge, arguments, out),
            Run::Here(_) | Run::Gather { .. } | Run::Transaction { .. } => {
                panic!("{} needs a session", command.name)
            }
        }
    }

    fn find(&self, arguments: &[Vec<u8>]) -> Result<&'static Command, CommandError> {
        let id = self.table.find(&arguments[0]).expect("tests name commands that exist");
        let command = self.table.get(id);
        if command.run.is_some() {
            return Ok(command);
        }
        let Some(name) = arguments.get(1) else { return Err(CommandError::Arity(command.name.into())) };
        let subcommand = self.table.find_subcommand(id, name);
        subcommand.map(|id| self.table.get(id)).ok_or_else(|| CommandError::UnknownSubcommand {
            name: String::from_utf8_lossy(name).into_owned(),
            container: command.name.to_uppercase(),
        })
    }

    fn step(
        &mut self,
        shard: usize,
        function: super::DataFunction,
        arguments: &[Vec<u8>],
        moved: Option<Moved>,
        out: &mut Vec<u8>,
    ) -> Result<Option<Moved>, CommandError> {
        let keyspace = &mut self.keyspaces[shard];
        let key_hash = arguments.get(1).map_or(0, |key| keyspace.hash_of(key));
        with_arguments(arguments, |args| {
            let reply = Reply::new(out, self.resp3);
            let (database, string_bytes_max) = (self.database, self.string_bytes_max);
            let key_slot = NO_KEY;
            let mut data = Data {
                keyspace,
                database,
                args,
                key_hash,
                key_slot,
                reply,
                moved,
                string_bytes_max,
                has_waited: false,
                park: None,
                waits_as: None,
                known_keys: &[],
            };
            function(&mut data)?;
            Ok(data.moved)
        })
    }

    fn hops(
        &mut self,
        steps: &[super::DataFunction],
        function: crate::transaction::PlanFunction,
        arguments: &[Vec<u8>],
        out: &mut Vec<u8>,
    ) -> Result<(), CommandError> {
        let mut results = Vec::new();
        for hop in 0..100 {
            let work = with_arguments(arguments, |args| {
                let reply = Reply::new(out, self.resp3);
                let (database, route) = (self.database, self.route);
                let mut plan = Plan {
                    again: false,
                    park: None,
                    waits_as: None,
                    args,
                    database,
                    hop,
                    route,
                    results: std::mem::take(&mut results),
                    work: Vec::new(),
                    reply,
                };
                function(&mut plan)?;
                Ok::<_, CommandError>(plan.work)
            })?;
            if work.is_empty() {
                return Ok(());
            }
            for work in work {
                let mut reply = Vec::new();
                let step = self.step(work.shard, steps[work.step], &work.args, work.moved, &mut reply);
                let moved = step.unwrap_or_else(|error| {
                    Reply::new(&mut reply, self.resp3).error(&error);
                    None
                });
                results.push(StepResult { shard: work.shard, reply, moved });
            }
        }
        panic!("a plan that does not end");
    }

    /// Divides and merges as far as tests need it: sums, OK, and the order of elements left as it comes.
    fn each_shard(
        &mut self,
        part: super::DataFunction,
        split: Split,
        merge: Merge,
        arguments: &[Vec<u8>],
        out: &mut Vec<u8>,
    ) -> Result<(), CommandError> {
        let mut sum = 0;
        for shard in 0..self.keyspaces.len() {
            let mut share = vec![arguments[0].clone()];
            match split {
                Split::Everywhere => share.extend_from_slice(&arguments[1..]),
                Split::Keys { stride } => {
                    let own =
                        arguments[1..].chunks(stride).filter(|chunk| self.route.shard_of(&chunk[0]) == shard);
                    share.extend(own.flatten().cloned());
                }
            }
            if share.len() == 1 && arguments.len() > 1 {
                continue;
            }
            let mut reply = Vec::new();
            let moved = self.step(shard, part, &share, None, &mut reply)?;
            match merge {
                Merge::Sum => sum += StepResult { shard, reply, moved }.integer().unwrap(),
                Merge::Ok => *out = reply,
                Merge::Interleave | Merge::Concatenate => out.extend(reply),
            }
        }
        if merge == Merge::Sum {
            Reply::new(out, self.resp3).integer(sum);
        }
        Ok(())
    }
}
