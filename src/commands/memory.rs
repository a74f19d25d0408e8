//! MEMORY: what is used, by what, and giving back what is free.

use super::client::{gather, merge_ok};
use super::help::help;
use super::info::{Overview, human_bytes, statistics};
use super::{Command, Data, Group, Here, KeySpec, Part, Run, flag, key_flag};
use crate::error::CommandError;
use crate::keyspace::Keyspace;
use crate::resp::Reply;
use crate::runtime::{allocator, process};
use crate::shard::Report;

const fn record(name: &'static str, arity: i16, run: Run) -> Command {
    Command::new(name, arity, run).group(Group::Server).since("4.0.0")
}

pub const COMMANDS: &[Command] = &[Command::container("memory", SUBCOMMANDS)
    .group(Group::Server)
    .since("4.0.0")
    .docs("A container for commands about memory.", "Depends on the subcommand.", "")];

const ALL_SHARDS: &[&str] =
    &["nondeterministic_output", "request_policy:all_shards", "response_policy:special"];

const SUBCOMMANDS: &[Command] = &[
    record("memory|doctor", 2, Run::Gather { check: gather, part: statistics, merge: doctor })
        .tips(ALL_SHARDS)
        .docs("Returns a report about memory for people.", "O(1)", ""),
    record("memory|help", 2, Run::Here(help)).flags(flag::LOADING | flag::STALE).docs(
        "Returns helpful text about the subcommands.",
        "O(1)",
        "",
    ),
    record("memory|malloc-stats", 2, Run::Gather { check: gather, part: statistics, merge: malloc_stats })
        .tips(ALL_SHARDS)
        .docs("Returns what each shard holds of the allocator.", "O(N) where N is the number of shards", ""),
    record("memory|purge", 2, Run::Gather { check: gather, part: purge, merge: merge_ok })
        .tips(&["request_policy:all_shards", "response_policy:all_succeeded"])
        .docs("Makes the allocator give free memory back to the system.", "Depends on how much is free", ""),
    record("memory|stats", 2, Run::Gather { check: gather, part: statistics, merge: stats })
        .tips(ALL_SHARDS)
        .docs("Returns what memory is used for.", "O(1)", ""),
    record("memory|usage", -3, Run::OneShard(usage))
        .flags(flag::READONLY)
        .keys(&[KeySpec::one(2, key_flag::RO)])
        .docs("Returns how many bytes a key and its value take.", "O(1)", "key [SAMPLES count]"),
];

fn usage(data: &mut Data<'_>) -> Result<(), CommandError> {
    let mut option = 3;
    while option < data.args.len() {
        if !data.args.is(option, "SAMPLES") || option + 1 >= data.args.len() {
            return Err(CommandError::Syntax);
        }
        if data.args.integer(option + 1)? < 0 {
            return Err(CommandError::Syntax);
        }
        option += 2;
    }
    let target = data.target(2);
    match target.database.find_untold(&target.key) {
        Some(entry) => target.reply.integer(entry.memory_bytes() as i64),
        None => target.reply.null(),
    }
    Ok(())
}

/// Hands what the shard's thread has freed back to the system, and its empty tables' memory with it.
fn purge(_: &mut Part<'_>) -> Report {
    allocator::give_back();
    Report::Done
}

fn stats(here: &mut Here<'_>, reports: Vec<Report>) -> Result<(), CommandError> {
    let overview = Overview::new(here.shard, here.table, reports);
    let used = overview.used_bytes();
    let node = &here.shard.node;
    let (resident, peak) = (process::resident_bytes(), node.peak_memory_bytes().max(used));
    let startup = node.startup_memory_bytes().min(used);
    let dataset = overview.total.keyspace_bytes.min(used);
    let keys = overview.total.keys();
    let integers_before = [
        ("peak.allocated", peak),
        ("total.allocated", used),
        ("startup.allocated", startup),
        ("replication.backlog", 0),
        ("clients.slaves", 0),
        ("clients.normal", overview.total.clients_bytes),
        ("cluster.links", 0),
        ("aof.buffer", 0),
        ("lua.caches", 0),
        ("functions.caches", 0),
        ("overhead.total", used - dataset),
        ("keys.count", keys),
        ("keys.bytes-per-key", (used - startup).checked_div(keys).unwrap_or(0)),
        ("dataset.bytes", dataset),
    ];
    let per_cent = |part: u64, whole: u64| part as f64 * 100.0 / whole.max(1) as f64;
    let doubles = [
        ("dataset.percentage", per_cent(dataset, used - startup).min(100.0)),
        ("peak.percentage", per_cent(used, peak)),
    ];
    let reply = &mut here.reply;
    reply.map(integers_before.len() + doubles.len() + 3);
    for (name, value) in integers_before {
        reply.bulk(name.as_bytes());
        reply.integer(value as i64);
    }
    doubles.iter().for_each(|(name, value)| write_double(reply, name, *value));
    reply.bulk(b"allocator.allocated");
    reply.integer(used as i64);
    write_double(reply, "fragmentation", resident as f64 / used.max(1) as f64);
    reply.bulk(b"fragmentation.bytes");
    reply.integer(resident as i64 - used as i64);
    Ok(())
}

fn write_double(reply: &mut Reply<'_>, name: &str, value: f64) {
    reply.bulk(name.as_bytes());
    reply.double_text(&value.to_string());
}

/// Below this much data ratios mean nothing.
const DIAGNOSED_BYTES_MIN: u64 = 5 << 20;

fn doctor(here: &mut Here<'_>, reports: Vec<Report>) -> Result<(), CommandError> {
    let overview = Overview::new(here.shard, here.table, reports);
    let used = overview.used_bytes();
    let peak = here.shard.node.peak_memory_bytes().max(used);
    let resident = process::resident_bytes();
    let mut findings = Vec::new();
    if used < DIAGNOSED_BYTES_MIN {
        findings.push(
            "This instance is empty or uses very little memory: there is nothing to diagnose.".to_owned(),
        );
    } else {
        if peak as f64 > used as f64 * 1.5 {
            findings.push(format!(
                "Peak memory: {} were in use once, much more than the {} now. Memory that was freed may still \
                 be resident; MEMORY PURGE gives it back.",
                human_bytes(peak),
                human_bytes(used)
            ));
        }
        if resident as f64 > used as f64 * 1.4 {
            findings.push(format!(
                "Resident memory: {} are resident for {} in use.",
                human_bytes(resident),
                human_bytes(used)
            ));
        }
        if overview.total.clients_bytes > used / 4 {
            findings.push(format!(
                "Clients: their buffers hold {}. Look at tot-mem in CLIENT LIST.",
                human_bytes(overview.total.clients_bytes)
            ));
        }
        if findings.is_empty() {
            findings.push("No memory issue was found in this instance.".to_owned());
        }
    }
    let text: String = findings.iter().map(|finding| format!("{finding}\n")).collect();
    here.reply.verbatim("txt", text.as_bytes());
    Ok(())
}

fn malloc_stats(here: &mut Here<'_>, reports: Vec<Report>) -> Result<(), CommandError> {
    let overview = Overview::new(here.shard, here.table, reports);
    let mut text = String::from("allocator: mimalloc\n");
    for (number, shard) in overview.shards.iter().enumerate() {
        text.push_str(&format!(
            "shard {number}: {} bytes held, {} of them tables, keys and values, {} of clients\n",
            shard.held_bytes, shard.keyspace_bytes, shard.clients_bytes
        ));
    }
    text.push_str(&format!(
        "process: {} bytes in use, {} resident, an empty keyspace takes {} per shard\n",
        overview.used_bytes(),
        process::resident_bytes(),
        size_of::<Keyspace>()
    ));
    here.reply.verbatim("txt", text.as_bytes());
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::commands::testing::Harness;

    #[test]
    fn usage_of_keys() {
        let mut harness = Harness::new();
        harness.run("SET key value");
        let reply = harness.show("MEMORY USAGE key");
        let bytes: usize = reply.strip_prefix(':').unwrap().parse().unwrap();
        assert!((8..100).contains(&bytes), "{bytes}");
        assert_eq!(harness.show("MEMORY USAGE key SAMPLES 5"), reply);
        assert_eq!(harness.show("MEMORY USAGE nosuch"), "$-1");
        assert_eq!(harness.show("MEMORY USAGE key SAMPLES -1"), "-ERR syntax error");
        assert_eq!(harness.show("MEMORY USAGE key SAMPLES"), "-ERR syntax error");
        assert_eq!(
            harness.show("MEMORY USAGE key SAMPLES x"),
            "-ERR value is not an integer or out of range"
        );
    }
}
