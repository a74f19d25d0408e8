//! The stream commands.
//!
//! | file | |
//! | --- | --- |
//! | `arguments.rs` | ids, ranges and what to trim, as they stand on a command line |
//! | `log.rs` | XADD, XDEL, XTRIM, XSETID, XLEN, XRANGE, XREVRANGE |
//! | `read.rs` | XREAD and XREADGROUP, on streams of one shard |
//! | `read_plan.rs` | the same on several shards |
//! | `group.rs` | XGROUP |
//! | `pending.rs` | XACK, XPENDING, XCLAIM, XAUTOCLAIM |
//! | `info.rs` | XINFO |

mod arguments;
mod group;
mod info;
mod log;
mod pending;
mod read;
mod read_plan;
#[cfg(test)]
mod tests;

use super::lists::write_item;
use super::{Begin, Command, DataFunction, Find, Group, KeySpec, Run, category, flag, help, key_flag};
use crate::resp::Reply;
use crate::types::stream::{Entry, Id};

const READ_KEY: &[KeySpec] = &[KeySpec::one(1, READ)];
const READ_SECOND_KEY: &[KeySpec] = &[KeySpec::one(2, READ)];
const READ: u16 = key_flag::RO | key_flag::ACCESS;
const UPDATE: u16 = key_flag::RW | key_flag::UPDATE;
const DELETE: u16 = key_flag::RW | key_flag::DELETE;

const fn stream(name: &'static str, arity: i16, run: Run) -> Command {
    Command::new(name, arity, run).group(Group::Stream).categories(category::STREAM).since("5.0.0")
}

const fn one(name: &'static str, arity: i16, function: DataFunction) -> Command {
    stream(name, arity, Run::OneShard(function)).keys(READ_KEY)
}

/// A subcommand on the key behind its name.
const fn sub(name: &'static str, arity: i16, function: DataFunction) -> Command {
    stream(name, arity, Run::OneShard(function)).keys(READ_SECOND_KEY)
}

const fn help_of(name: &'static str) -> Command {
    stream(name, 2, Run::Here(help::help)).flags(flag::LOADING | flag::STALE).docs(
        "Describes the subcommands.",
        "O(1)",
        "",
    )
}

const fn container(name: &'static str, subcommands: &'static [Command]) -> Command {
    Command::container(name, subcommands).group(Group::Stream).since("5.0.0")
}

/// The keys behind the word STREAMS, as many as ids follow them.
const fn named_streams(from: i16, flags: u16) -> KeySpec {
    let find = Find::Range { last: -1, step: 1, limit: 2 };
    KeySpec { begin: Begin::Keyword { word: "STREAMS", from }, find, flags, notes: "" }
}

const WRITE_FAST: u32 = flag::WRITE | flag::FAST;

pub const COMMANDS: &[Command] = &[
    one("xadd", -5, log::xadd)
        .flags(WRITE_FAST | flag::DENYOOM)
        .keys(&[KeySpec::one(1, UPDATE)])
        .tips(&["nondeterministic_output"])
        .docs(
            "Adds an entry to a stream, which is created if it does not exist.",
            "O(1), and O(N) for N entries that are trimmed.",
            "key [NOMKSTREAM] [<MAXLEN | MINID> [= | ~] threshold [LIMIT count(integer)]] <* | id> field value \
             [field value ...]",
        ),
    one("xdel", -3, log::xdel).flags(WRITE_FAST).keys(&[KeySpec::one(1, DELETE)]).docs(
        "Deletes entries of a stream, and returns how many there were.",
        "O(log(N)) for each, N being the number of blocks.",
        "key id [id ...]",
    ),
    one("xlen", 2, log::xlen)
        .flags(flag::READONLY | flag::FAST)
        .keys(&[KeySpec::one(1, key_flag::RO)])
        .docs("Returns the number of entries of a stream.", "O(1)", "key"),
    one("xrange", -4, log::xrange).flags(flag::READONLY).docs(
        "Returns the entries of a stream between two ids.",
        "O(log(N)+M), N being the number of blocks and M the number of entries returned.",
        "key start end [COUNT count(integer)]",
    ),
    one("xrevrange", -4, log::xrevrange).flags(flag::READONLY).docs(
        "Returns the entries of a stream between two ids, the last one first.",
        "O(log(N)+M), N being the number of blocks and M the number of entries returned.",
        "key end start [COUNT count(integer)]",
    ),
    one("xtrim", -4, log::xtrim)
        .flags(flag::WRITE)
        .keys(&[KeySpec::one(1, DELETE)])
        .tips(&["nondeterministic_output"])
        .docs(
            "Removes entries from the beginning of a stream.",
            "O(N), N being the number of blocks removed.",
            "key <MAXLEN | MINID> [= | ~] threshold [LIMIT count(integer)]",
        ),
    one("xsetid", -3, log::xsetid).flags(WRITE_FAST | flag::DENYOOM).keys(&[KeySpec::one(1, UPDATE)]).docs(
        "Sets the last id of a stream.",
        "O(1)",
        "key last-id [ENTRIESADDED entries-added(integer)] [MAXDELETEDID max-deleted-id]",
    ),
    stream(
        "xread",
        -4,
        Run::Wait { whole: read::xread, steps: read_plan::XREAD_STEPS, plan: read_plan::xread_plan },
    )
    .waits_with("BLOCK")
    .flags(flag::READONLY | flag::BLOCKING)
    .keys(&[named_streams(1, READ)])
    .docs(
        "Returns the entries of several streams that come after given ids, and may wait for some.",
        "O(N), N being the number of entries returned.",
        "[COUNT count(integer)] [BLOCK milliseconds(integer)] STREAMS key [key ...] id [id ...]",
    ),
    stream(
        "xreadgroup",
        -7,
        Run::Wait { whole: read::xreadgroup, steps: read_plan::XREADGROUP_STEPS, plan: read_plan::xreadgroup_plan },
    )
    .waits_with("BLOCK")
    .flags(flag::WRITE | flag::BLOCKING)
    .keys(&[named_streams(4, READ | key_flag::WRITTEN_BESIDE)])
    .docs(
        "Returns the next entries of several streams to a consumer of a group, and may wait for some.",
        "O(N), N being the number of entries returned.",
        "GROUP group consumer [COUNT count(integer)] [BLOCK milliseconds(integer)] [NOACK] STREAMS key [key ...] \
         id [id ...]",
    ),
    one("xack", -4, pending::xack).flags(WRITE_FAST).keys(&[KeySpec::one(1, UPDATE)]).docs(
        "Acknowledges entries that a consumer group got, and returns how many were pending.",
        "O(log(N)) for each, N being the number of pending entries.",
        "key group id [id ...]",
    ),
    one("xpending", -3, pending::xpending).flags(flag::READONLY).tips(&["nondeterministic_output"]).docs(
        "Returns what is pending in a consumer group.",
        "O(log(N)+M), N being the number of pending entries and M the number of those looked at.",
        "key group [[IDLE min-idle-time(integer)] start end count(integer) [consumer]]",
    ),
    one("xclaim", -6, pending::xclaim)
        .flags(WRITE_FAST)
        .keys(&[KeySpec::one(1, UPDATE)])
        .tips(&["nondeterministic_output"])
        .docs(
            "Makes pending entries those of another consumer.",
            "O(log(N)) for each, N being the number of pending entries.",
            "key group consumer min-idle-time id [id ...] [IDLE ms(integer)] [TIME unix-time-milliseconds] \
             [RETRYCOUNT count(integer)] [FORCE] [JUSTID] [LASTID lastid]",
        ),
    one("xautoclaim", -6, pending::xautoclaim)
        .since("6.2.0")
        .flags(WRITE_FAST)
        .keys(&[KeySpec::one(1, DELETE)])
        .tips(&["nondeterministic_output"])
        .docs(
            "Makes entries that are pending for long those of another consumer.",
            "O(1) if COUNT is small.",
            "key group consumer min-idle-time start [COUNT count(integer)] [JUSTID]",
        ),
    container("xgroup", XGROUP).docs("A container for commands on consumer groups.", "Depends on the subcommand.", ""),
    container("xinfo", XINFO).docs("A container for commands that look at streams.", "Depends on the subcommand.", ""),
];

const XGROUP: &[Command] = &[
    sub("xgroup|create", -5, group::create)
        .flags(flag::WRITE | flag::DENYOOM)
        .keys(&[KeySpec::one(2, key_flag::RW | key_flag::INSERT)])
        .docs(
            "Creates a consumer group.",
            "O(log(N)), N being the number of groups.",
            "key group <id | $> [MKSTREAM] [ENTRIESREAD entries-read(integer)]",
        ),
    sub("xgroup|createconsumer", 5, group::create_consumer)
        .since("6.2.0")
        .flags(flag::WRITE | flag::DENYOOM)
        .keys(&[KeySpec::one(2, key_flag::RW | key_flag::INSERT)])
        .docs(
            "Creates a consumer in a group.",
            "O(log(N)), N being the number of consumers.",
            "key group consumer",
        ),
    sub("xgroup|delconsumer", 5, group::delete_consumer)
        .flags(flag::WRITE)
        .keys(&[KeySpec::one(2, DELETE)])
        .docs(
            "Deletes a consumer of a group, and returns how many entries were pending for it.",
            "O(N), N being the number of its pending entries.",
            "key group consumer",
        ),
    sub("xgroup|destroy", 4, group::destroy).flags(flag::WRITE).keys(&[KeySpec::one(2, DELETE)]).docs(
        "Destroys a consumer group.",
        "O(1); what is pending is freed in steps afterwards.",
        "key group",
    ),
    help_of("xgroup|help"),
    sub("xgroup|setid", -5, group::set_id).flags(flag::WRITE).keys(&[KeySpec::one(2, UPDATE)]).docs(
        "Sets up to which entry a consumer group has read.",
        "O(1)",
        "key group <id | $> [ENTRIESREAD entries-read(integer)]",
    ),
];

const XINFO: &[Command] = &[
    sub("xinfo|consumers", 4, info::consumers).flags(flag::READONLY).tips(&["nondeterministic_output"]).docs(
        "Returns the consumers of a group.",
        "O(N), N being the number of consumers.",
        "key group",
    ),
    sub("xinfo|groups", 3, info::groups).flags(flag::READONLY).docs(
        "Returns the consumer groups of a stream.",
        "O(N), N being the number of groups.",
        "key",
    ),
    help_of("xinfo|help"),
    sub("xinfo|stream", -3, info::stream).flags(flag::READONLY).docs(
        "Returns what is known of a stream.",
        "O(1); with FULL, O(N) for N entries and pending entries returned.",
        "key [FULL [COUNT count(integer)]]",
    ),
];

#[inline]
fn write_id(reply: &mut Reply<'_>, id: Id) {
    reply.bulk(id.text().as_bytes());
}

/// An entry as the commands answer it: its id, and its fields in a flat array.
#[inline]
fn write_entry(reply: &mut Reply<'_>, entry: Entry<'_>) {
    reply.array(2);
    write_id(reply, entry.id);
    reply.array(entry.len() * 2);
    for (name, value) in entry.fields() {
        write_item(name, reply);
        write_item(value, reply);
    }
}

/// The time as the keyspace tells it, which is never before 1970.
fn unsigned(now_ms: i64) -> u64 {
    u64::try_from(now_ms).unwrap_or(0)
}
