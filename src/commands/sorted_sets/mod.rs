//! The sorted-set commands.
//!
//! | file | |
//! | --- | --- |
//! | `add.rs` | ZADD, ZINCRBY, ZREM |
//! | `read.rs` | one member or the whole set: ZSCORE, ZRANK, ZCOUNT, ZRANDMEMBER, ZSCAN |
//! | `range.rs` | ZRANGE and its elder forms, ZRANGESTORE, ZREMRANGEBY… |
//! | `combine.rs` | ZUNION, ZINTER, ZDIFF, with and without a destination |
//! | `pop.rs` | ZPOPMIN, ZPOPMAX, ZMPOP |

mod add;
mod combine;
mod flat;
mod pop;
mod range;
mod read;
#[cfg(test)]
mod tests;

use super::{Command, DataFunction, Group, KeySpec, Run, category, flag, key_flag};
use crate::error::CommandError;
use crate::resp::Reply;
use crate::transaction::PlanFunction;
use crate::types::score::{self, ScoreText};
use crate::types::sorted_set::{MemberBound, ScoreBound};

pub(super) use combine::{set_of, write_stored};
pub(super) use flat::Flat;
pub use pop::{End, Shape, pop_first};

const COUNT_KEY: &[KeySpec] = &[KeySpec::one(1, key_flag::RO)];
const READ_KEY: &[KeySpec] = &[KeySpec::one(1, key_flag::RO | key_flag::ACCESS)];
const REMOVE_KEY: &[KeySpec] = &[KeySpec::one(1, key_flag::RW | key_flag::DELETE)];
const POP_KEY: &[KeySpec] = &[KeySpec::one(1, POPPED)];
const POP_KEYS: &[KeySpec] = &[KeySpec::counted(1, POPPED)];
const READ_KEYS: &[KeySpec] = &[KeySpec::counted(1, key_flag::RO | key_flag::ACCESS)];
const STORE_KEYS: &[KeySpec] =
    &[KeySpec::one(1, key_flag::OW | key_flag::UPDATE), KeySpec::counted(2, key_flag::RO | key_flag::ACCESS)];
const POPPED: u16 = key_flag::RW | key_flag::ACCESS | key_flag::DELETE;
const READ_FAST: u32 = flag::READONLY | flag::FAST;
const GROW: u32 = flag::WRITE | flag::DENYOOM;

const fn sorted_set(name: &'static str, arity: i16, run: Run) -> Command {
    Command::new(name, arity, run).group(Group::SortedSet).categories(category::SORTEDSET)
}

const fn one(name: &'static str, arity: i16, function: DataFunction) -> Command {
    sorted_set(name, arity, Run::OneShard(function)).keys(READ_KEY)
}

const POP_STEPS: &[DataFunction] = &[pop::first_existing, pop::pop_from, pop::first_sorted_set];
const STEP_FIRST_SORTED_SET: usize = 2;
const WAITS: u32 = flag::WRITE | flag::BLOCKING;
const WAIT_KEYS: &[KeySpec] = &[KeySpec::range(1, -2, 1, POPPED)];

const fn waiting(name: &'static str, arity: i16, whole: DataFunction, plan: PlanFunction) -> Command {
    sorted_set(name, arity, Run::Wait { whole, steps: POP_STEPS, plan })
}

pub const COMMANDS: &[Command] = &[
    one("zadd", -4, add::zadd).element(3)
        .since("1.2.0")
        .flags(GROW | flag::FAST)
        .keys(&[KeySpec::one(1, key_flag::RW | key_flag::UPDATE)])
        .docs(
            "Adds members to a sorted set, or gives them other scores. Creates the key if it does not exist.",
            "O(log(N)) for each member, N being the number of members.",
            "key [NX | XX] [GT | LT] [CH] [INCR] score(double) member [score(double) member ...]",
        ),
    one("zincrby", 4, add::zincrby).element(3)
        .since("1.2.0")
        .flags(GROW | flag::FAST)
        .keys(&[KeySpec::one(1, key_flag::RW | key_flag::ACCESS | key_flag::UPDATE)])
        .docs(
            "Adds to the score of a member of a sorted set.",
            "O(log(N)), N being the number of members.",
            "key increment(double) member",
        ),
    one("zrem", -3, add::zrem).element(2).since("1.2.0").flags(flag::WRITE | flag::FAST).keys(REMOVE_KEY).docs(
        "Removes members from a sorted set. Deletes the key if none is left.",
        "O(M*log(N)), N being the number of members and M of those that are removed.",
        "key member [member ...]",
    ),
    one("zcard", 2, read::zcard).since("1.2.0").flags(READ_FAST).keys(COUNT_KEY).docs(
        "Returns the number of members of a sorted set.",
        "O(1)",
        "key",
    ),
    one("zcount", 4, read::zcount).since("2.0.0").flags(READ_FAST).docs(
        "Returns how many members of a sorted set have scores within a range.",
        "O(log(N)), N being the number of members.",
        "key min(double) max(double)",
    ),
    one("zlexcount", 4, read::zlexcount).since("2.8.9").flags(READ_FAST).docs(
        "Returns how many members of a sorted set lie within a range of members.",
        "O(log(N)), N being the number of members.",
        "key min max",
    ),
    one("zscore", 3, read::zscore).element(2).since("1.2.0").flags(READ_FAST).docs(
        "Returns the score of a member of a sorted set.",
        "O(1)",
        "key member",
    ),
    one("zmscore", -3, read::zmscore).since("6.2.0").flags(READ_FAST).docs(
        "Returns the scores of several members of a sorted set.",
        "O(N), N being the number of members that are asked for.",
        "key member [member ...]",
    ),
    one("zrank", -3, read::zrank).element(2).since("2.0.0").flags(READ_FAST).docs(
        "Returns how many members of a sorted set come before one.",
        "O(log(N)), N being the number of members.",
        "key member [WITHSCORE]",
    ),
    one("zrevrank", -3, read::zrevrank).element(2).since("2.0.0").flags(READ_FAST).docs(
        "Returns how many members of a sorted set come after one.",
        "O(log(N)), N being the number of members.",
        "key member [WITHSCORE]",
    ),
    one("zrandmember", -2, read::zrandmember)
        .since("6.2.0")
        .flags(flag::READONLY)
        .tips(&["nondeterministic_output"])
        .docs(
            "Returns members of a sorted set chosen at random.",
            "O(M*log(N)), N being the number of members and M of those that are returned.",
            "key [count [WITHSCORES]]",
        ),
    one("zscan", -3, read::zscan)
        .since("2.8.0")
        .flags(flag::READONLY)
        .tips(&["nondeterministic_output"])
        .docs(
            "Goes through the members of a sorted set in steps.",
            "O(1) for every call; O(N) until the cursor is 0 again, N being the number of members.",
            "key cursor [MATCH pattern] [COUNT count]",
        ),
    one("zrange", -4, range::zrange).since("1.2.0").flags(flag::READONLY).docs(
        "Returns the members of a sorted set within a range of ranks, scores or members.",
        "O(log(N)+M), N being the number of members and M of those that are returned.",
        "key start(string) stop(string) [BYSCORE | BYLEX] [REV] [LIMIT offset count] [WITHSCORES]",
    ),
    one("zrevrange", -4, range::zrevrange)
        .since("1.2.0")
        .flags(flag::READONLY)
        .deprecated("6.2.0", "`ZRANGE` with the `REV` argument")
        .docs(
            "Returns the members of a sorted set within a range of ranks from the end.",
            "O(log(N)+M), N being the number of members and M of those that are returned.",
            "key start stop [WITHSCORES]",
        ),
    one("zrangebyscore", -4, range::zrangebyscore)
        .since("1.0.5")
        .flags(flag::READONLY)
        .deprecated("6.2.0", "`ZRANGE` with the `BYSCORE` argument")
        .docs(
            "Returns the members of a sorted set within a range of scores.",
            "O(log(N)+M), N being the number of members and M of those that are returned.",
            "key min(double) max(double) [WITHSCORES] [LIMIT offset count]",
        ),
    one("zrevrangebyscore", -4, range::zrevrangebyscore)
        .since("2.2.0")
        .flags(flag::READONLY)
        .deprecated("6.2.0", "`ZRANGE` with the `REV` and `BYSCORE` arguments")
        .docs(
            "Returns the members of a sorted set within a range of scores, from the end.",
            "O(log(N)+M), N being the number of members and M of those that are returned.",
            "key max(double) min(double) [WITHSCORES] [LIMIT offset count]",
        ),
    one("zrangebylex", -4, range::zrangebylex)
        .since("2.8.9")
        .flags(flag::READONLY)
        .deprecated("6.2.0", "`ZRANGE` with the `BYLEX` argument")
        .docs(
            "Returns the members of a sorted set within a range of members.",
            "O(log(N)+M), N being the number of members and M of those that are returned.",
            "key min max [LIMIT offset count]",
        ),
    one("zrevrangebylex", -4, range::zrevrangebylex)
        .since("2.8.9")
        .flags(flag::READONLY)
        .deprecated("6.2.0", "`ZRANGE` with the `REV` and `BYLEX` arguments")
        .docs(
            "Returns the members of a sorted set within a range of members, from the end.",
            "O(log(N)+M), N being the number of members and M of those that are returned.",
            "key max min [LIMIT offset count]",
        ),
    sorted_set(
        "zrangestore",
        -5,
        Run::Hops {
            whole: range::zrangestore,
            steps: &[range::fetch_range, range::store_range],
            plan: range::zrangestore_plan,
        },
    )
    .since("6.2.0")
    .flags(GROW)
    .keys(&[
        KeySpec::one(1, key_flag::OW | key_flag::UPDATE),
        KeySpec::one(2, key_flag::RO | key_flag::ACCESS),
    ])
    .docs(
        "Stores the members of a sorted set within a range of ranks, scores or members under another key.",
        "O(log(N)+M), N being the number of members and M of those that are stored.",
        "dst(key) src(key) min max [BYSCORE | BYLEX] [REV] [LIMIT offset count]",
    ),
    one("zremrangebyrank", 4, range::zremrangebyrank)
        .since("2.0.0")
        .flags(flag::WRITE)
        .keys(REMOVE_KEY)
        .docs(
            "Removes the members of a sorted set within a range of ranks.",
            "O(log(N)+M), N being the number of members and M of those that are removed.",
            "key start stop",
        ),
    one("zremrangebyscore", 4, range::zremrangebyscore)
        .since("1.2.0")
        .flags(flag::WRITE)
        .keys(REMOVE_KEY)
        .docs(
            "Removes the members of a sorted set within a range of scores.",
            "O(log(N)+M), N being the number of members and M of those that are removed.",
            "key min(double) max(double)",
        ),
    one("zremrangebylex", 4, range::zremrangebylex).since("2.8.9").flags(flag::WRITE).keys(REMOVE_KEY).docs(
        "Removes the members of a sorted set within a range of members.",
        "O(log(N)+M), N being the number of members and M of those that are removed.",
        "key min max",
    ),
    one("zpopmin", -2, pop::zpopmin).since("5.0.0").flags(flag::WRITE | flag::FAST).keys(POP_KEY).docs(
        "Removes the members of a sorted set with the lowest scores and returns them.",
        "O(log(N)+M), N being the number of members and M of those that are removed.",
        "key [count]",
    ),
    one("zpopmax", -2, pop::zpopmax).since("5.0.0").flags(flag::WRITE | flag::FAST).keys(POP_KEY).docs(
        "Removes the members of a sorted set with the highest scores and returns them.",
        "O(log(N)+M), N being the number of members and M of those that are removed.",
        "key [count]",
    ),
    sorted_set(
        "zmpop",
        -4,
        Run::Hops { whole: pop::zmpop, steps: POP_STEPS, plan: pop::zmpop_plan },
    )
    .since("7.0.0")
    .flags(flag::WRITE)
    .keys(POP_KEYS)
    .docs(
        "Removes the members with the lowest or highest scores from the first sorted set that has any.",
        "O(K)+O(log(N)+M), K being the number of keys, N of members and M of those that are removed.",
        "numkeys key [key ...] <MIN | MAX> [COUNT count]",
    ),
    waiting("bzpopmin", -3, pop::bzpopmin, pop::bzpopmin_plan).since("5.0.0").flags(flag::FAST | WAITS).keys(WAIT_KEYS).docs(
        "Removes the member with the lowest score from the first sorted set that has any, and waits for one if need be.",
        "O(log(N)), N being the number of members.",
        "key [key ...] timeout",
    ),
    waiting("bzpopmax", -3, pop::bzpopmax, pop::bzpopmax_plan).since("5.0.0").flags(flag::FAST | WAITS).keys(WAIT_KEYS).docs(
        "Removes the member with the highest score from the first sorted set that has any, and waits for one if need be.",
        "O(log(N)), N being the number of members.",
        "key [key ...] timeout",
    ),
    waiting("bzmpop", -5, pop::bzmpop, pop::bzmpop_plan)
        .since("7.0.0")
        .flags(WAITS)
        .keys(&[KeySpec::counted(2, POPPED)])
        .docs(
            "Removes members from the first sorted set that has any, and waits for one if need be.",
            "O(K)+O(log(N)+M), K being the number of keys, N of members and M of those that are removed.",
            "timeout numkeys key [key ...] <MIN | MAX> [COUNT count]",
        ),
    combine::ZUNION.since("6.2.0").flags(flag::READONLY).keys(READ_KEYS).docs(
        "Returns the union of several sorted sets.",
        "O(N)+O(M*log(M)), N being the number of members of all sets and M of the result.",
        "numkeys key [key ...] [WEIGHTS weight(integer) [weight(integer) ...]] [AGGREGATE <SUM | MIN | MAX>] \
         [WITHSCORES]",
    ),
    combine::ZINTER.since("6.2.0").flags(flag::READONLY).keys(READ_KEYS).docs(
        "Returns the intersection of several sorted sets.",
        "O(N*K)+O(M*log(M)), N being the number of members of the smallest of K sets and M of the result.",
        "numkeys key [key ...] [WEIGHTS weight(integer) [weight(integer) ...]] [AGGREGATE <SUM | MIN | MAX>] \
         [WITHSCORES]",
    ),
    combine::ZDIFF.since("6.2.0").flags(flag::READONLY).keys(READ_KEYS).docs(
        "Returns the members of a sorted set that are in none of several others.",
        "O(N*K)+O(M*log(M)), N being the number of members of the first of K sets and M of the result.",
        "numkeys key [key ...] [WITHSCORES]",
    ),
    combine::ZINTERCARD.since("7.0.0").flags(flag::READONLY).keys(READ_KEYS).docs(
        "Returns the number of members of the intersection of several sorted sets.",
        "O(N*K), N being the number of members of the smallest of K sets.",
        "numkeys key [key ...] [LIMIT limit(integer)]",
    ),
    combine::ZUNIONSTORE.since("2.0.0").flags(GROW).keys(STORE_KEYS).docs(
        "Stores the union of several sorted sets.",
        "O(N)+O(M*log(M)), N being the number of members of all sets and M of the result.",
        "destination numkeys key [key ...] [WEIGHTS weight(integer) [weight(integer) ...]] \
         [AGGREGATE <SUM | MIN | MAX>]",
    ),
    combine::ZINTERSTORE.since("2.0.0").flags(GROW).keys(STORE_KEYS).docs(
        "Stores the intersection of several sorted sets.",
        "O(N*K)+O(M*log(M)), N being the number of members of the smallest of K sets and M of the result.",
        "destination numkeys key [key ...] [WEIGHTS weight(integer) [weight(integer) ...]] \
         [AGGREGATE <SUM | MIN | MAX>]",
    ),
    combine::ZDIFFSTORE.since("6.2.0").flags(GROW).keys(STORE_KEYS).docs(
        "Stores the members of a sorted set that are in none of several others.",
        "O(N*K)+O(M*log(M)), N being the number of members of the first of K sets and M of the result.",
        "destination numkeys key [key ...]",
    ),
];

/// A score, or an increment of one.
pub(super) fn parse_score(text: &[u8]) -> Result<f64, CommandError> {
    score::parse(text).ok_or(CommandError::NotFloat)
}

/// One end of a range of scores: `1`, or `(1` without that score itself.
fn parse_score_bound(text: &[u8]) -> Result<ScoreBound, CommandError> {
    let (exclusive, number) = match text {
        [b'(', number @ ..] => (true, number),
        number => (false, number),
    };
    let score = score::parse_bound(number).ok_or(CommandError::ScoreRange)?;
    Ok(ScoreBound { score, exclusive })
}

/// One end of a range of members: `[a`, or `(a` without that member itself, or `-` and `+` for all.
fn parse_member_bound(text: &[u8]) -> Result<MemberBound<'_>, CommandError> {
    match text {
        [b'[', member @ ..] => Ok(MemberBound::Inclusive(member)),
        [b'(', member @ ..] => Ok(MemberBound::Exclusive(member)),
        // A C string, which ends at a zero byte.
        [b'-'] | [b'-', 0, ..] => Ok(MemberBound::Least),
        [b'+'] | [b'+', 0, ..] => Ok(MemberBound::Greatest),
        _ => Err(CommandError::MemberRange),
    }
}

fn write_score(score: f64, reply: &mut Reply<'_>) {
    reply.double_text(ScoreText::new(score).as_str());
}

/// Answers `count` elements: members, or members and scores, which RESP3 has in pairs.
fn write_elements<'e>(
    elements: impl Iterator<Item = (&'e [u8], f64)>,
    count: usize,
    with_scores: bool,
    reply: &mut Reply<'_>,
) {
    let pairs = with_scores && reply.is_resp3();
    reply.array(if with_scores && !pairs { count * 2 } else { count });
    for (member, score) in elements {
        if pairs {
            reply.array(2);
        }
        reply.bulk(member);
        if with_scores {
            write_score(score, reply);
        }
    }
}
