//! The set commands.
//!
//! | file | |
//! | --- | --- |
//! | `change.rs` | SADD, SREM, SMOVE |
//! | `read.rs` | SCARD, SISMEMBER, SMISMEMBER, SMEMBERS, SSCAN |
//! | `draw.rs` | at random: SPOP, SRANDMEMBER |
//! | `combine.rs` | SUNION, SINTER, SDIFF, with and without a destination |

mod change;
mod combine;
mod draw;
pub mod flat;
mod read;
#[cfg(test)]
mod tests;

use super::lists::write_item;
use super::{Command, DataFunction, Group, KeySpec, Run, category, flag, key_flag};

const COUNT_KEY: &[KeySpec] = &[KeySpec::one(1, key_flag::RO)];
const READ_KEY: &[KeySpec] = &[KeySpec::one(1, key_flag::RO | key_flag::ACCESS)];
const REMOVE_KEY: &[KeySpec] = &[KeySpec::one(1, key_flag::RW | key_flag::DELETE)];
const POPPED: u16 = key_flag::RW | key_flag::ACCESS | key_flag::DELETE;
const READ_KEYS: &[KeySpec] = &[KeySpec::range(1, -1, 1, key_flag::RO | key_flag::ACCESS)];
const STORE_KEYS: &[KeySpec] = &[
    KeySpec::one(1, key_flag::OW | key_flag::UPDATE),
    KeySpec::range(2, -1, 1, key_flag::RO | key_flag::ACCESS),
];
const READ_FAST: u32 = flag::READONLY | flag::FAST;
const GROW: u32 = flag::WRITE | flag::DENYOOM;

const fn set(name: &'static str, arity: i16, run: Run) -> Command {
    Command::new(name, arity, run).group(Group::Set).categories(category::SET)
}

const fn one(name: &'static str, arity: i16, function: DataFunction) -> Command {
    set(name, arity, Run::OneShard(function)).keys(READ_KEY)
}

pub const COMMANDS: &[Command] = &[
    one("sadd", -3, change::sadd).element(2)
        .flags(GROW | flag::FAST)
        .keys(&[KeySpec::one(1, key_flag::RW | key_flag::INSERT)])
        .docs(
            "Adds members to a set, which is created if it does not exist.",
            "O(1) for each member.",
            "key member [member ...]",
        ),
    one("srem", -3, change::srem).element(2).flags(flag::WRITE | flag::FAST).keys(REMOVE_KEY).docs(
        "Removes members from a set. Deletes the key if none is left.",
        "O(1) for each member.",
        "key member [member ...]",
    ),
    set(
        "smove",
        4,
        Run::Hops {
            whole: change::smove,
            steps: &[change::check_source, change::check_destination, change::remove, change::add],
            plan: change::smove_plan,
        },
    )
    .flags(flag::WRITE | flag::FAST)
    .keys(&[KeySpec::one(1, POPPED), KeySpec::one(2, key_flag::RW | key_flag::INSERT)])
    .docs("Moves a member from one set to another.", "O(1)", "source destination member"),
    one("scard", 2, read::scard).flags(READ_FAST).keys(COUNT_KEY).docs(
        "Returns the number of members of a set.",
        "O(1)",
        "key",
    ),
    one("sismember", 3, read::sismember).element(2).flags(READ_FAST).keys(COUNT_KEY).docs(
        "Tells whether a set has a member.",
        "O(1)",
        "key member",
    ),
    one("smismember", -3, read::smismember).since("6.2.0").flags(READ_FAST).docs(
        "Tells which of several members a set has.",
        "O(N), N being the number of members that are asked for.",
        "key member [member ...]",
    ),
    one("smembers", 2, read::smembers)
        .flags(flag::READONLY)
        .tips(&["nondeterministic_output_order"])
        .docs("Returns all members of a set.", "O(N), N being the number of members.", "key"),
    one("sscan", -3, read::sscan).since("2.8.0").flags(flag::READONLY).tips(&["nondeterministic_output"]).docs(
        "Goes through the members of a set in steps.",
        "O(1) for every call; O(N) until the cursor is 0 again, N being the number of members.",
        "key cursor [MATCH pattern] [COUNT count]",
    ),
    one("spop", -2, draw::spop)
        .flags(flag::WRITE | flag::FAST)
        .keys(&[KeySpec::one(1, POPPED)])
        .tips(&["nondeterministic_output"])
        .docs(
            "Removes members of a set that are chosen at random, and returns them. Deletes the key if none is left.",
            "O(N), N being the number of members that are returned.",
            "key [count]",
        ),
    one("srandmember", -2, draw::srandmember)
        .flags(flag::READONLY)
        .tips(&["nondeterministic_output"])
        .docs(
            "Returns members of a set that are chosen at random.",
            "O(N), N being the number of members that are returned.",
            "key [count]",
        ),
    combine::SINTER
        .flags(flag::READONLY)
        .keys(READ_KEYS)
        .tips(&["nondeterministic_output_order"])
        .docs(
            "Returns the intersection of several sets.",
            "O(N*K), N being the number of members of the smallest of K sets.",
            "key [key ...]",
        ),
    combine::SINTERCARD
        .since("7.0.0")
        .flags(flag::READONLY)
        .keys(&[KeySpec::counted(1, key_flag::RO | key_flag::ACCESS)])
        .docs(
            "Returns the number of members of the intersection of several sets.",
            "O(N*K), N being the number of members of the smallest of K sets.",
            "numkeys key [key ...] [LIMIT limit(integer)]",
        ),
    combine::SINTERSTORE.flags(GROW).keys(STORE_KEYS).docs(
        "Stores the intersection of several sets.",
        "O(N*K), N being the number of members of the smallest of K sets.",
        "destination key [key ...]",
    ),
    combine::SUNION.flags(flag::READONLY).keys(READ_KEYS).tips(&["nondeterministic_output_order"]).docs(
        "Returns the union of several sets.",
        "O(N), N being the number of members of all sets.",
        "key [key ...]",
    ),
    combine::SUNIONSTORE.flags(GROW).keys(STORE_KEYS).docs(
        "Stores the union of several sets.",
        "O(N), N being the number of members of all sets.",
        "destination key [key ...]",
    ),
    combine::SDIFF.flags(flag::READONLY).keys(READ_KEYS).tips(&["nondeterministic_output_order"]).docs(
        "Returns the members of a set that are in none of several others.",
        "O(N*K), N being the number of members of the first of K sets.",
        "key [key ...]",
    ),
    combine::SDIFFSTORE.flags(GROW).keys(STORE_KEYS).docs(
        "Stores the members of a set that are in none of several others.",
        "O(N*K), N being the number of members of the first of K sets.",
        "destination key [key ...]",
    ),
];
