//! The hash commands.
//!
//! | file | |
//! | --- | --- |
//! | `write.rs` | HSET and its kin, HDEL, HINCRBY, HINCRBYFLOAT |
//! | `expire.rs` | deadlines of fields: HEXPIRE and its kin, HTTL and its kin, HPERSIST |
//! | `combined.rs` | HGETEX, HGETDEL, HSETEX |
//! | `read.rs` | one field or the whole hash: HGET, HMGET, HGETALL, HRANDFIELD, HSCAN |

mod combined;
mod expire;
mod read;
#[cfg(test)]
mod tests;
mod write;

use super::{ALL_ELEMENTS, Command, DataFunction, Group, KeySpec, Run, category, flag, key_flag};

const COUNT_KEY: &[KeySpec] = &[KeySpec::one(1, key_flag::RO)];
const READ_KEY: &[KeySpec] = &[KeySpec::one(1, key_flag::RO | key_flag::ACCESS)];
const UPDATE_KEY: &[KeySpec] = &[KeySpec::one(1, key_flag::RW | key_flag::UPDATE)];
const COUNTED_KEY: &[KeySpec] = &[KeySpec::one(1, key_flag::RW | key_flag::ACCESS | key_flag::UPDATE)];
const READ_FAST: u32 = flag::READONLY | flag::FAST;
const GROW_FAST: u32 = flag::WRITE | flag::DENYOOM | flag::FAST;

const FIELDS_COMPLEXITY: &str = "O(N), N being the number of fields that are named.";
const FIELDS_SYNTAX: &str = "key FIELDS <numfields(integer) field [field ...]>";

const fn hash(name: &'static str, arity: i16, function: DataFunction) -> Command {
    Command::new(name, arity, Run::OneShard(function)).group(Group::Hash).categories(category::HASH)
}

const fn reader(name: &'static str, arity: i16, function: DataFunction) -> Command {
    hash(name, arity, function).flags(READ_FAST).keys(READ_KEY)
}

const fn writer(name: &'static str, arity: i16, function: DataFunction) -> Command {
    hash(name, arity, function).flags(GROW_FAST).keys(UPDATE_KEY)
}

pub const COMMANDS: &[Command] = &[
    writer("hset", -4, write::hset).element(2).since("2.0.0").docs(
        "Sets fields of a hash. Creates the key if it does not exist.",
        "O(N), N being the number of fields that are set.",
        "key field value [field value ...]",
    ),
    writer("hsetnx", 4, write::hsetnx).element(2)
        .since("2.0.0")
        .keys(&[KeySpec::one(1, key_flag::RW | key_flag::INSERT)])
        .docs("Sets a field of a hash unless it is there.", "O(1)", "key field value"),
    writer("hmset", -4, write::hmset)
        .since("2.0.0")
        .deprecated("4.0.0", "`HSET` with multiple field-value pairs")
        .docs(
            "Sets fields of a hash.",
            "O(N), N being the number of fields that are set.",
            "key field value [field value ...]",
        ),
    hash("hdel", -3, write::hdel).element(2)
        .since("2.0.0")
        .flags(flag::WRITE | flag::FAST)
        .keys(&[KeySpec::one(1, key_flag::RW | key_flag::DELETE)])
        .docs(
            "Removes fields of a hash. Deletes the key if none is left.",
            "O(N), N being the number of fields that are removed.",
            "key field [field ...]",
        ),
    writer("hincrby", 4, write::hincrby).element(2).since("2.0.0").keys(COUNTED_KEY).docs(
        "Adds a number to the integer value of a field, 0 if it does not exist.",
        "O(1)",
        "key field increment",
    ),
    writer("hincrbyfloat", 4, write::hincrbyfloat).since("2.6.0").keys(COUNTED_KEY).docs(
        "Adds a floating-point number to the value of a field, 0 if it does not exist.",
        "O(1)",
        "key field increment(double)",
    ),
    reader("hget", 3, read::hget).element(2).since("2.0.0").docs("Returns the value of a field.", "O(1)", "key field"),
    reader("hmget", -3, read::hmget).element(2).since("2.0.0").docs(
        "Returns the values of several fields of a hash.",
        "O(N), N being the number of fields that are asked for.",
        "key field [field ...]",
    ),
    reader("hexists", 3, read::hexists).element(2).since("2.0.0").keys(COUNT_KEY).docs(
        "Returns whether a hash has a field.",
        "O(1)",
        "key field",
    ),
    reader("hlen", 2, read::hlen).since("2.0.0").keys(COUNT_KEY).docs(
        "Returns the number of fields of a hash.",
        "O(1)",
        "key",
    ),
    reader("hstrlen", 3, read::hstrlen).since("3.2.0").keys(COUNT_KEY).docs(
        "Returns the length of the value of a field.",
        "O(1)",
        "key field",
    ),
    reader("hkeys", 2, read::hkeys).element(ALL_ELEMENTS)
        .since("2.0.0")
        .flags(flag::READONLY)
        .tips(&["nondeterministic_output_order"])
        .docs("Returns the names of all fields of a hash.", "O(N), N being the number of fields.", "key"),
    reader("hvals", 2, read::hvals).element(ALL_ELEMENTS)
        .since("2.0.0")
        .flags(flag::READONLY)
        .tips(&["nondeterministic_output_order"])
        .docs("Returns the values of all fields of a hash.", "O(N), N being the number of fields.", "key"),
    reader("hgetall", 2, read::hgetall).element(ALL_ELEMENTS)
        .since("2.0.0")
        .flags(flag::READONLY)
        .tips(&["nondeterministic_output_order"])
        .docs(
            "Returns all fields of a hash with their values.",
            "O(N), N being the number of fields.",
            "key",
        ),
    reader("hrandfield", -2, read::hrandfield)
        .since("6.2.0")
        .flags(flag::READONLY)
        .tips(&["nondeterministic_output"])
        .docs(
            "Returns fields of a hash chosen at random.",
            "O(N), N being the number of fields that are returned.",
            "key [count [WITHVALUES]]",
        ),
    reader("hscan", -3, read::hscan)
        .since("2.8.0")
        .flags(flag::READONLY)
        .tips(&["nondeterministic_output"])
        .docs(
            "Goes through the fields of a hash in steps.",
            "O(1) for every call; O(N) until the cursor is 0 again, N being the number of fields.",
            "key cursor [MATCH pattern] [COUNT count] [NOVALUES]",
        ),
    writer("hexpire", -6, expire::hexpire).since("7.4.0").docs(
        "Sets the time to live of fields of a hash in seconds.",
        FIELDS_COMPLEXITY,
        "key seconds [NX | XX | GT | LT] FIELDS <numfields(integer) field [field ...]>",
    ),
    writer("hpexpire", -6, expire::hpexpire).since("7.4.0").docs(
        "Sets the time to live of fields of a hash in milliseconds.",
        FIELDS_COMPLEXITY,
        "key milliseconds [NX | XX | GT | LT] FIELDS <numfields(integer) field [field ...]>",
    ),
    writer("hexpireat", -6, expire::hexpireat).since("7.4.0").docs(
        "Sets when fields of a hash expire, as a unix time in seconds.",
        FIELDS_COMPLEXITY,
        "key unix-time-seconds [NX | XX | GT | LT] FIELDS <numfields(integer) field [field ...]>",
    ),
    writer("hpexpireat", -6, expire::hpexpireat).since("7.4.0").docs(
        "Sets when fields of a hash expire, as a unix time in milliseconds.",
        FIELDS_COMPLEXITY,
        "key unix-time-milliseconds [NX | XX | GT | LT] FIELDS <numfields(integer) field [field ...]>",
    ),
    writer("hpersist", -5, expire::hpersist).since("7.4.0").flags(flag::WRITE | flag::FAST).docs(
        "Removes the expiry of fields of a hash.",
        FIELDS_COMPLEXITY,
        FIELDS_SYNTAX,
    ),
    reader("httl", -5, expire::httl).since("7.4.0").tips(&["nondeterministic_output"]).docs(
        "Returns the time to live of fields of a hash in seconds.",
        FIELDS_COMPLEXITY,
        FIELDS_SYNTAX,
    ),
    reader("hpttl", -5, expire::hpttl).since("7.4.0").tips(&["nondeterministic_output"]).docs(
        "Returns the time to live of fields of a hash in milliseconds.",
        FIELDS_COMPLEXITY,
        FIELDS_SYNTAX,
    ),
    reader("hexpiretime", -5, expire::hexpiretime).since("7.4.0").docs(
        "Returns when fields of a hash expire, as a unix time in seconds.",
        FIELDS_COMPLEXITY,
        FIELDS_SYNTAX,
    ),
    reader("hpexpiretime", -5, expire::hpexpiretime).since("7.4.0").docs(
        "Returns when fields of a hash expire, as a unix time in milliseconds.",
        FIELDS_COMPLEXITY,
        FIELDS_SYNTAX,
    ),
    writer("hgetex", -5, combined::hgetex)
        .since("8.0.0")
        .flags(flag::WRITE | flag::FAST)
        .keys(COUNTED_KEY)
        .docs(
            "Returns the values of fields of a hash, and sets when they expire.",
            FIELDS_COMPLEXITY,
            "key [EX seconds | PX milliseconds | EXAT unix-time-seconds | PXAT unix-time-milliseconds | PERSIST] \
             FIELDS <numfields(integer) field [field ...]>",
        ),
    writer("hgetdel", -5, combined::hgetdel)
        .since("8.0.0")
        .flags(flag::WRITE | flag::FAST)
        .keys(&[KeySpec::one(1, key_flag::RW | key_flag::ACCESS | key_flag::DELETE)])
        .docs("Returns the values of fields of a hash and removes them.", FIELDS_COMPLEXITY, FIELDS_SYNTAX),
    writer("hsetex", -6, combined::hsetex).since("8.0.0").docs(
        "Sets fields of a hash, and when they expire.",
        "O(N), N being the number of fields that are set.",
        "key [FNX | FXX] [EX seconds | PX milliseconds | EXAT unix-time-seconds | \
         PXAT unix-time-milliseconds | KEEPTTL] FIELDS <numfields(integer) field value [field value ...]>",
    ),
];
