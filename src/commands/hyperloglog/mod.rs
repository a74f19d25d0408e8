//! The HyperLogLog commands. The values are strings: `types/hyperloglog` reads and changes their bytes.
//!
//! ```text
//!   PFCOUNT of several keys, PFMERGE
//!     one shard owns all keys     merge, answer or store                          whole
//!     several do                  fetch each string from its shard        hop 1   fetch
//!                                 merge at the connection's shard                 plan
//!                                 store where the destination lives       hop 2   store_registers
//! ```

mod debug;
#[cfg(test)]
mod tests;

use super::{Command, Data, DataFunction, Group, KeySpec, Run, Target, category, flag, key_flag};
use crate::commands::strings::string_of;
use crate::error::CommandError;
use crate::keyspace::{EntryRef, Moved, StringRef};
use crate::transaction::{Plan, Work};
use crate::types::hyperloglog::{self, EMPTY, Encoding, Flaw, REGISTERS, Registers, View};

const fn hyperloglog(name: &'static str, arity: i16, run: Run) -> Command {
    Command::new(name, arity, run).group(Group::HyperLogLog).since("2.8.9").categories(category::HYPERLOGLOG)
}

const fn one(name: &'static str, arity: i16, function: DataFunction) -> Command {
    hyperloglog(name, arity, Run::OneShard(function))
}

pub const COMMANDS: &[Command] = &[
    one("pfadd", -2, pfadd)
        .flags(flag::WRITE | flag::DENYOOM | flag::FAST)
        .keys(&[KeySpec::one(1, key_flag::RW | key_flag::INSERT)])
        .docs(
            "Adds elements to a HyperLogLog, which is created if it does not exist.",
            "O(1) for each element.",
            "key [element [element ...]]",
        ),
    hyperloglog("pfcount", -2, Run::Hops { whole: pfcount, steps: &[fetch], plan: pfcount_plan })
        .flags(flag::READONLY | flag::MAY_REPLICATE)
        .keys(&[KeySpec::range(1, -1, 1, key_flag::RW | key_flag::ACCESS).notes(
            "RW because it may change the internal representation of the key, and propagate to replicas",
        )])
        .docs(
            "Estimates how many different elements were added to one or several HyperLogLogs.",
            "O(1) for one key of which nothing has changed, O(N) for N keys.",
            "key [key ...]",
        ),
    hyperloglog(
        "pfmerge",
        -2,
        Run::Hops { whole: pfmerge, steps: &[fetch, store_registers], plan: pfmerge_plan },
    )
    .flags(flag::WRITE | flag::DENYOOM)
    .keys(&[
        KeySpec::one(1, key_flag::RW | key_flag::ACCESS | key_flag::INSERT),
        KeySpec::range(2, -1, 1, key_flag::RO | key_flag::ACCESS),
    ])
    .docs(
        "Merges HyperLogLogs into one, which is created if it does not exist.",
        "O(N), N being the number of keys.",
        "destkey [sourcekey [sourcekey ...]]",
    ),
    one("pfdebug", 3, debug::pfdebug)
        .flags(flag::WRITE | flag::DENYOOM | flag::ADMIN)
        .keys(&[KeySpec::one(2, key_flag::RW | key_flag::ACCESS)])
        .docs(
            "Shows the inside of a HyperLogLog: its registers, runs or encoding; TODENSE changes that.",
            "O(1)",
            "subcommand key",
        ),
    hyperloglog("pfselftest", 1, Run::Here(debug::pfselftest)).flags(flag::ADMIN).docs(
        "Tests the registers of HyperLogLogs and their estimates.",
        "O(1), but it takes a while.",
        "",
    ),
];

/// What the client is told of a flaw.
fn refusal(flaw: Flaw) -> CommandError {
    match flaw {
        Flaw::Foreign => CommandError::NotHyperLogLog,
        Flaw::Corrupted => CommandError::CorruptedHyperLogLog,
    }
}

/// The HyperLogLog that an entry holds.
fn view_of<'a>(entry: &EntryRef<'a>) -> Result<View<'a>, CommandError> {
    match string_of(entry)? {
        StringRef::Bytes(bytes) => View::of(bytes).map_err(refusal),
        StringRef::Int(_) => Err(CommandError::NotHyperLogLog),
    }
}

fn pfadd(data: &mut Data<'_>) -> Result<(), CommandError> {
    let sparse_bytes_max = data.keyspace.limits.hyperloglog_sparse_bytes;
    let Target { database, key, args, reply } = data.first();
    let mut string = database.string_or_create(&key, &EMPTY)?;
    let created = string.is_changed();
    View::of(string.bytes()).map_err(refusal)?;
    string.make_raw();
    let mut changed = created;
    for index in 2..args.len() {
        changed |= hyperloglog::add(&mut string, args.get(index), sparse_bytes_max).map_err(refusal)?;
    }
    if created {
        hyperloglog::forget_estimate(&mut string);
    }
    if changed {
        string.notify("pfadd");
    }
    reply.integer(changed as i64);
    Ok(())
}

/// Estimates one, and keeps the estimate with it.
fn pfcount_one(data: &mut Data<'_>) -> Result<(), CommandError> {
    let Target { database, key, reply, .. } = data.first();
    let Some(entry) = database.find_read(&key) else {
        reply.integer(0);
        return Ok(());
    };
    let view = view_of(&entry)?;
    if let Some(estimate) = view.last_estimate() {
        reply.integer(estimate as i64);
        return Ok(());
    }
    let estimate = view.estimate().map_err(refusal)?;
    if let Some(mut string) = database.string_mut(&key) {
        hyperloglog::keep_estimate(&mut string, estimate);
    }
    reply.integer(estimate as i64);
    Ok(())
}

/// Registers that HyperLogLogs are merged into, and whether one of those was dense.
struct Merged {
    registers: Registers,
    dense: bool,
}

impl Merged {
    fn new() -> Merged {
        Merged { registers: [0; REGISTERS], dense: false }
    }

    fn merge(&mut self, view: View<'_>) -> Result<(), CommandError> {
        self.dense |= view.encoding() == Encoding::Dense;
        view.merge_into(&mut self.registers).map_err(refusal)
    }

    /// Merges the keys from argument 1 on, all of which this shard owns.
    fn merge_keys(&mut self, data: &mut Data<'_>) -> Result<(), CommandError> {
        for position in 1..data.args.len() {
            let target = data.target(position);
            if let Some(entry) = target.database.find_read(&target.key) {
                self.merge(view_of(&entry)?)?;
            }
        }
        Ok(())
    }

    /// Merges the strings that [`fetch`] handed on.
    fn of_fetched(plan: &mut Plan<'_>) -> Result<Merged, CommandError> {
        let mut merged = Merged::new();
        for bytes in
            plan.results.iter_mut().filter_map(|result| result.moved.take().and_then(Moved::into_bytes))
        {
            merged.merge(View::of(&bytes).map_err(refusal)?)?;
        }
        Ok(merged)
    }

    fn into_moved(self) -> Moved {
        let mut bytes = self.registers.to_vec();
        bytes.push(self.dense as u8);
        Moved::of_bytes(bytes)
    }

    /// What [`Merged::into_moved`] made.
    fn of_moved(moved: Option<Moved>) -> Merged {
        let bytes = moved.and_then(Moved::into_bytes).unwrap_or_default();
        match bytes.split_first_chunk::<REGISTERS>() {
            Some((registers, dense)) => Merged { registers: *registers, dense: dense == [1] },
            None => Merged::new(),
        }
    }

    /// Stores the registers under argument 1, which was one of those that were merged.
    fn store(&self, data: &mut Data<'_>) -> Result<(), CommandError> {
        let sparse_bytes_max = data.keyspace.limits.hyperloglog_sparse_bytes;
        let Target { database, key, reply, .. } = data.target(1);
        let mut string = database.string_or_create(&key, &EMPTY)?;
        View::of(string.bytes()).map_err(refusal)?;
        hyperloglog::raise_all(&mut string, &self.registers, self.dense, sparse_bytes_max)
            .map_err(refusal)?;
        string.notify("pfadd");
        reply.ok();
        Ok(())
    }
}

fn pfcount(data: &mut Data<'_>) -> Result<(), CommandError> {
    if data.args.len() == 2 {
        return pfcount_one(data);
    }
    let mut merged = Merged::new();
    merged.merge_keys(data)?;
    data.reply.integer(hyperloglog::estimate(&merged.registers) as i64);
    Ok(())
}

fn pfmerge(data: &mut Data<'_>) -> Result<(), CommandError> {
    let mut merged = Merged::new();
    merged.merge_keys(data)?;
    merged.store(data)
}

/// Hands on the string under argument 1, if it is there: a HyperLogLog without a flaw.
fn fetch(data: &mut Data<'_>) -> Result<(), CommandError> {
    let target = data.target(1);
    let Some(entry) = target.database.find_read(&target.key) else {
        target.reply.null();
        return Ok(());
    };
    view_of(&entry)?.check().map_err(refusal)?;
    let bytes = string_of(&entry)?.to_vec();
    target.reply.null();
    data.moved = Some(Moved::of_bytes(bytes));
    Ok(())
}

/// Stores the registers that were handed on under argument 1.
fn store_registers(data: &mut Data<'_>) -> Result<(), CommandError> {
    Merged::of_moved(data.moved.take()).store(data)
}

/// Has the strings of all keys fetched, each by itself: their errors count in the order of the keys.
fn fetch_all(plan: &mut Plan<'_>) {
    for position in 1..plan.args.len() {
        let args = [0, position].map(|index| plan.args.get(index).to_vec()).to_vec();
        plan.work.push(Work { shard: plan.shard_of(position), step: 0, args, moved: None });
    }
}

fn pfcount_plan(plan: &mut Plan<'_>) -> Result<(), CommandError> {
    if plan.reply_error() {
        return Ok(());
    }
    if plan.hop == 0 {
        fetch_all(plan);
        return Ok(());
    }
    let merged = Merged::of_fetched(plan)?;
    plan.reply.integer(hyperloglog::estimate(&merged.registers) as i64);
    Ok(())
}

fn pfmerge_plan(plan: &mut Plan<'_>) -> Result<(), CommandError> {
    if plan.reply_error() {
        return Ok(());
    }
    match plan.hop {
        0 => fetch_all(plan),
        1 => {
            let moved = Some(Merged::of_fetched(plan)?.into_moved());
            let args = [0, 1].map(|index| plan.args.get(index).to_vec()).to_vec();
            plan.work.push(Work { shard: plan.shard_of(1), step: 1, args, moved });
        }
        _ => plan.reply.ok(),
    }
    Ok(())
}
