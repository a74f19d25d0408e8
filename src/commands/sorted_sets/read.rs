//! Questions about members, and about the set as a whole.

use std::collections::HashSet;

use super::super::random::{self, Random};
use super::super::{Data, scan};
use super::{parse_member_bound, parse_score_bound, write_elements, write_score};
use crate::error::CommandError;
use crate::resp::{Args, Reply};
use crate::types::SortedSet;
use crate::types::score::ScoreText;

/// Members that a call of ZSCAN looks at.
const SCAN_COUNT_DEFAULT: usize = 10;

pub(super) fn zcard(data: &mut Data<'_>) -> Result<(), CommandError> {
    let target = data.first();
    let set = target.database.find::<SortedSet>(&target.key)?;
    target.reply.integer(set.map_or(0, SortedSet::len) as i64);
    Ok(())
}

pub(super) fn zcount(data: &mut Data<'_>) -> Result<(), CommandError> {
    let target = data.first();
    let (min, max) = (parse_score_bound(target.args.get(2))?, parse_score_bound(target.args.get(3))?);
    let set = target.database.find::<SortedSet>(&target.key)?;
    target.reply.integer(set.map_or(0, |set| set.ranks_by_score(min, max).len()) as i64);
    Ok(())
}

pub(super) fn zlexcount(data: &mut Data<'_>) -> Result<(), CommandError> {
    let target = data.first();
    let (min, max) = (parse_member_bound(target.args.get(2))?, parse_member_bound(target.args.get(3))?);
    let set = target.database.find::<SortedSet>(&target.key)?;
    target.reply.integer(set.map_or(0, |set| set.ranks_by_member(min, max).len()) as i64);
    Ok(())
}

fn write_score_or_null(score: Option<f64>, reply: &mut Reply<'_>) {
    match score {
        Some(score) => write_score(score, reply),
        None => reply.null(),
    }
}

pub(super) fn zscore(data: &mut Data<'_>) -> Result<(), CommandError> {
    let target = data.first();
    let set = target.database.find::<SortedSet>(&target.key)?;
    write_score_or_null(set.and_then(|set| set.score(target.args.get(2))), target.reply);
    Ok(())
}

pub(super) fn zmscore(data: &mut Data<'_>) -> Result<(), CommandError> {
    let target = data.first();
    let set = target.database.find::<SortedSet>(&target.key)?;
    target.reply.array(target.args.len() - 2);
    for index in 2..target.args.len() {
        write_score_or_null(set.and_then(|set| set.score(target.args.get(index))), target.reply);
    }
    Ok(())
}

pub(super) fn zrank(data: &mut Data<'_>) -> Result<(), CommandError> {
    rank(data, "zrank", |rank, _| rank)
}

pub(super) fn zrevrank(data: &mut Data<'_>) -> Result<(), CommandError> {
    rank(data, "zrevrank", |rank, length| length - 1 - rank)
}

fn rank(
    data: &mut Data<'_>,
    name: &'static str,
    count: fn(rank: usize, length: usize) -> usize,
) -> Result<(), CommandError> {
    let target = data.first();
    let with_score = match target.args.len() {
        3 => false,
        4 if target.args.is(3, "WITHSCORE") => true,
        4 => return Err(CommandError::Syntax),
        _ => return Err(CommandError::Arity(name.into())),
    };
    let set = target.database.find::<SortedSet>(&target.key)?;
    let found = set.and_then(|set| {
        let (rank, score) = set.rank(target.args.get(2))?;
        Some((count(rank, set.len()) as i64, score))
    });
    match found {
        Some((rank, score)) if with_score => {
            target.reply.array(2);
            target.reply.integer(rank);
            write_score(score, target.reply);
        }
        Some((rank, _)) => target.reply.integer(rank),
        None if with_score => target.reply.null_array(),
        None => target.reply.null(),
    }
    Ok(())
}

pub(super) fn zrandmember(data: &mut Data<'_>) -> Result<(), CommandError> {
    let request = random::parse_request(&data.args, "WITHSCORES")?;
    let target = data.first();
    let mut random = Random::new(target.database.random_bits());
    let mut below = |bound: usize| random.below(bound);
    let set = target.database.find::<SortedSet>(&target.key)?;
    match (set, request) {
        (None, None) => target.reply.null(),
        (None, Some(_)) => target.reply.array(0),
        (Some(set), None) => match set.at(below(set.len())) {
            Some((member, _)) => target.reply.bulk(member),
            None => target.reply.null(),
        },
        (Some(set), Some((count, with_scores))) => {
            write_random(set, count, with_scores, &mut below, target.reply);
        }
    }
    Ok(())
}

fn write_random(
    set: &SortedSet,
    count: i64,
    with_scores: bool,
    below: &mut impl FnMut(usize) -> usize,
    reply: &mut Reply<'_>,
) {
    let (length, wanted) = (set.len(), usize::try_from(count.unsigned_abs()).unwrap_or(usize::MAX));
    if count < 0 {
        let chosen = (0..wanted).filter_map(|_| set.at(below(length)));
        return write_elements(chosen, wanted, with_scores, reply);
    }
    if wanted >= length {
        return write_elements(set.iter(0..length), length, with_scores, reply);
    }
    if wanted > length / 4 {
        // Each element in order, with the chance that as many are still wanted as are left.
        let (mut left, mut missing) = (length, wanted);
        let chosen = set.iter(0..length).filter(|_| {
            let taken = below(left) < missing;
            left -= 1;
            missing -= usize::from(taken);
            taken
        });
        return write_elements(chosen, wanted, with_scores, reply);
    }
    // Ranks until there are enough different ones; at least three of four are new.
    let mut ranks = HashSet::with_capacity(wanted);
    let chosen = std::iter::repeat_with(|| below(length)).filter(|&rank| ranks.insert(rank)).take(wanted);
    write_elements(chosen.filter_map(|rank| set.at(rank)), wanted, with_scores, reply);
}

/// The options of ZSCAN, from argument 3 on: the argument with the pattern, and how many members.
fn parse_scan(args: &Args<'_>) -> Result<(Option<usize>, usize), CommandError> {
    let (mut pattern, mut count) = (None, SCAN_COUNT_DEFAULT);
    for index in (3..args.len()).step_by(2) {
        if index + 1 == args.len() {
            return Err(CommandError::Syntax);
        } else if args.is(index, "COUNT") {
            let number = usize::try_from(args.integer(index + 1)?).ok();
            count = number.filter(|&count| count > 0).ok_or(CommandError::Syntax)?;
        } else if args.is(index, "MATCH") {
            pattern = Some(index + 1);
        } else {
            return Err(CommandError::Syntax);
        }
    }
    Ok((pattern, count))
}

pub(super) fn zscan(data: &mut Data<'_>) -> Result<(), CommandError> {
    let target = data.first();
    let (args, reply) = (target.args, target.reply);
    let cursor = scan::parse_cursor(args.get(2))?;
    let Some(set) = target.database.find::<SortedSet>(&target.key)? else {
        reply.array(2);
        reply.bulk(b"0");
        reply.array(0);
        return Ok(());
    };
    let (pattern, count) = parse_scan(args)?;
    let mut elements = Vec::new();
    let mut found = 0;
    let mut writer = Reply::new(&mut elements, false);
    let next = set.scan(cursor, count, |member, score| {
        if pattern.is_none_or(|pattern| scan::matches(args.get(pattern), member)) {
            found += 2;
            writer.bulk(member);
            writer.bulk(ScoreText::new(score).as_bytes());
        }
    });
    reply.array(2);
    reply.bulk(next.to_string().as_bytes());
    reply.array(found);
    reply.encoded(&elements);
    Ok(())
}
