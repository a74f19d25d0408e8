//! Commands on whole databases: DBSIZE, FLUSHDB, FLUSHALL and SWAPDB.

use super::{Command, Data, DataFunction, Group, Merge, Run, Split, category, flag};
use crate::error::CommandError;
use crate::resp::{Args, number};

const fn everywhere(name: &'static str, arity: i16, part: DataFunction, merge: Merge) -> Command {
    Command::new(name, arity, Run::EachShard { part, split: Split::Everywhere, merge })
        .group(Group::Server)
        .categories(category::KEYSPACE)
}

pub const COMMANDS: &[Command] = &[
    everywhere("dbsize", 1, dbsize, Merge::Sum)
        .flags(flag::READONLY | flag::FAST)
        .tips(&["request_policy:all_shards", "response_policy:agg_sum"])
        .docs("Returns the number of keys in the database.", "O(1)", ""),
    everywhere("flushdb", -1, flushdb, Merge::Ok)
        .flags(flag::WRITE)
        .categories(category::KEYSPACE | category::DANGEROUS)
        .tips(&["request_policy:all_shards", "response_policy:all_succeeded"])
        .docs(
            "Removes all keys from the database.",
            "O(1) at once; the memory of N keys is freed in O(N) afterwards.",
            "[ASYNC | SYNC]",
        ),
    everywhere("flushall", -1, flushall, Merge::Ok)
        .flags(flag::WRITE)
        .categories(category::KEYSPACE | category::DANGEROUS)
        .tips(&["request_policy:all_shards", "response_policy:all_succeeded"])
        .docs(
            "Removes all keys from all databases.",
            "O(1) at once; the memory of N keys is freed in O(N) afterwards.",
            "[ASYNC | SYNC]",
        ),
    everywhere("swapdb", 3, swapdb, Merge::Ok)
        .since("4.0.0")
        .flags(flag::WRITE | flag::FAST)
        .categories(category::KEYSPACE | category::DANGEROUS)
        .docs("Exchanges two databases.", "O(1)", "index1 index2"),
];

fn dbsize(data: &mut Data<'_>) -> Result<(), CommandError> {
    let length = data.keyspace.database(data.database).len();
    data.reply.integer(length as i64);
    Ok(())
}

/// Both ways of flushing take effect at once and free the memory in steps.
fn check_flush_mode(args: &Args<'_>) -> Result<(), CommandError> {
    match args.len() {
        1 => Ok(()),
        2 if args.is(1, "ASYNC") || args.is(1, "SYNC") => Ok(()),
        _ => Err(CommandError::Syntax),
    }
}

fn flushdb(data: &mut Data<'_>) -> Result<(), CommandError> {
    check_flush_mode(&data.args)?;
    data.keyspace.flush_database(data.database);
    data.reply.ok();
    Ok(())
}

fn flushall(data: &mut Data<'_>) -> Result<(), CommandError> {
    check_flush_mode(&data.args)?;
    data.keyspace.flush_all();
    data.reply.ok();
    Ok(())
}

fn swapdb(data: &mut Data<'_>) -> Result<(), CommandError> {
    let index = |argument: usize, error: &'static str| {
        number::parse_integer(data.args.get(argument))
            .and_then(|index| i32::try_from(index).ok())
            .ok_or(CommandError::text(error))
    };
    let first = index(1, "ERR invalid first DB index")?;
    let second = index(2, "ERR invalid second DB index")?;
    let count = data.keyspace.database_count();
    let checked = |index: i32| usize::try_from(index).ok().filter(|&index| index < count);
    let (Some(first), Some(second)) = (checked(first), checked(second)) else {
        return Err(CommandError::DatabaseOutOfRange);
    };
    data.keyspace.swap(first, second);
    data.reply.ok();
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::commands::testing::Harness;

    #[test]
    fn databases_are_counted_flushed_and_swapped() {
        let mut harness = Harness::new();
        harness.run("MSET a 1 b 2");
        harness.database = 1;
        harness.run("SET c 3");
        assert_eq!(harness.show("DBSIZE"), ":1");
        assert_eq!(harness.show("SWAPDB 0 1"), "+OK");
        assert_eq!(harness.show("DBSIZE"), ":2");
        assert_eq!(harness.show("FLUSHDB SYNC"), "+OK");
        assert_eq!(harness.show("DBSIZE"), ":0");
        harness.database = 0;
        assert_eq!(harness.show("DBSIZE"), ":1");
        assert_eq!(harness.show("FLUSHALL async"), "+OK");
        assert_eq!(harness.show("DBSIZE"), ":0");
    }

    #[test]
    fn wrong_arguments_are_refused() {
        let mut harness = Harness::new();
        for line in ["FLUSHALL FOO", "FLUSHDB SYNC SYNC", "FLUSHALL ASYNC SYNC"] {
            assert_eq!(harness.show(line), "-ERR syntax error");
        }
        assert_eq!(harness.show("SWAPDB a b"), "-ERR invalid first DB index");
        assert_eq!(harness.show("SWAPDB 0 b"), "-ERR invalid second DB index");
        assert_eq!(harness.show("SWAPDB 0 99999999999"), "-ERR invalid second DB index");
        assert_eq!(harness.show("SWAPDB 0 16"), "-ERR DB index is out of range");
        assert_eq!(harness.show("SWAPDB -1 0"), "-ERR DB index is out of range");
    }
}
