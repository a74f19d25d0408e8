//! Ranges by rank, score or member: ZRANGE and its elder forms, ZRANGESTORE, ZREMRANGEBY….
//!
//! A [`Query`] is a command line understood; a [`Selection`] the range that it names, read before the key is
//! looked up, since its errors come first. On a set, both come down to ranks.

use std::ops::Range;

use super::super::Data;
use super::combine;
use super::flat::Flat;
use super::{parse_member_bound, parse_score_bound, write_elements};
use crate::error::CommandError;
use crate::resp::Args;
use crate::transaction::Plan;
use crate::types::SortedSet;
use crate::types::sorted_set::{Limits, MemberBound, ScoreBound};

/// What the ends of a range are.
#[derive(Clone, Copy, PartialEq, Eq)]
enum By {
    Rank,
    Score,
    Member,
}

/// The ends of a range.
enum Selection<'a> {
    /// From the beginning, or below zero from the end; both inside.
    Ranks(i64, i64),
    Scores(ScoreBound, ScoreBound),
    Members(MemberBound<'a>, MemberBound<'a>),
}

impl<'a> Selection<'a> {
    fn parse(by: By, min: &'a [u8], max: &'a [u8]) -> Result<Selection<'a>, CommandError> {
        let rank = |text| crate::resp::number::parse_integer(text).ok_or(CommandError::NotInteger);
        Ok(match by {
            By::Rank => Selection::Ranks(rank(min)?, rank(max)?),
            By::Score => Selection::Scores(parse_score_bound(min)?, parse_score_bound(max)?),
            By::Member => Selection::Members(parse_member_bound(min)?, parse_member_bound(max)?),
        })
    }

    fn ranks(&self, set: &SortedSet) -> Range<usize> {
        match *self {
            Selection::Ranks(start, end) => ranks_between(start, end, set.len()),
            Selection::Scores(min, max) => set.ranks_by_score(min, max),
            Selection::Members(min, max) => set.ranks_by_member(min, max),
        }
    }
}

/// The ranks from `start` to `end`, both inside and below zero from the end.
fn ranks_between(start: i64, end: i64, length: usize) -> Range<usize> {
    let length = length as i64;
    let from_end = |index: i64| if index < 0 { index + length } else { index };
    let (start, end) = (from_end(start).max(0), from_end(end).min(length - 1));
    if start > end { 0..0 } else { start as usize..end as usize + 1 }
}

/// A command that asks for a range.
struct Query {
    by: By,
    reverse: bool,
    /// How many to pass over, and how many to take; below zero: all to pass over, all to take.
    limit: Option<(i64, i64)>,
    with_scores: bool,
    /// The argument with the lower end, and the one with the upper.
    ends: (usize, usize),
}

/// What a command line may say.
#[derive(Clone, Copy)]
struct Form {
    /// The first of the two ends.
    first: usize,
    /// The name says both already, otherwise the options do: ZRANGE.
    fixed: Option<(By, bool)>,
    /// The elements are stored: there is no WITHSCORES.
    store: bool,
}

const RANGE: Form = Form { first: 2, fixed: None, store: false };
const RANGE_STORE: Form = Form { first: 3, fixed: None, store: true };

impl Query {
    fn parse(args: &Args<'_>, form: Form) -> Result<Query, CommandError> {
        let Form { first, fixed, store } = form;
        let (mut by, mut reverse) = (fixed.map(|(by, _)| by), fixed.map(|(_, reverse)| reverse));
        let (mut limit, mut with_scores) = (None, false);
        let mut index = first + 2;
        while index < args.len() {
            if !store && args.is(index, "WITHSCORES") {
                with_scores = true;
            } else if args.is(index, "LIMIT") && index + 2 < args.len() {
                limit = Some((args.integer(index + 1)?, args.integer(index + 2)?));
                index += 2;
            } else if reverse.is_none() && args.is(index, "REV") {
                reverse = Some(true);
            } else if by.is_none() && args.is(index, "BYLEX") {
                by = Some(By::Member);
            } else if by.is_none() && args.is(index, "BYSCORE") {
                by = Some(By::Score);
            } else {
                return Err(CommandError::Syntax);
            }
            index += 1;
        }
        let (by, reverse) = (by.unwrap_or(By::Rank), reverse.unwrap_or(false));
        // One that takes all is let pass, and passed over.
        if by == By::Rank && limit.is_some_and(|(_, count)| count != -1) {
            return Err(CommandError::LimitByRank);
        }
        if with_scores && by == By::Member {
            return Err(CommandError::ScoresByMember);
        }
        let swapped = reverse && by != By::Rank;
        let ends = if swapped { (first + 1, first) } else { (first, first + 1) };
        Ok(Query { by, reverse, limit, with_scores, ends })
    }

    fn selection<'a>(&self, args: &'a Args<'_>) -> Result<Selection<'a>, CommandError> {
        // The errors are alike, so it does not matter which end is read first.
        Selection::parse(self.by, args.get(self.ends.0), args.get(self.ends.1))
    }

    /// The ranks that are asked for.
    fn ranks(&self, selection: &Selection<'_>, set: &SortedSet) -> Range<usize> {
        let mut ranks = selection.ranks(set);
        if self.by == By::Rank {
            let from_end = set.len() - ranks.end..set.len() - ranks.start;
            return if self.reverse { from_end } else { ranks };
        }
        let Some((offset, count)) = self.limit else { return ranks };
        let skipped = usize::try_from(offset).unwrap_or(usize::MAX).min(ranks.len());
        let taken = usize::try_from(count).unwrap_or(usize::MAX).min(ranks.len() - skipped);
        if self.reverse {
            ranks.end -= skipped;
            ranks.start = ranks.end - taken;
        } else {
            ranks.start += skipped;
            ranks.end = ranks.start + taken;
        }
        ranks
    }
}

fn range(data: &mut Data<'_>, form: Form) -> Result<(), CommandError> {
    let query = Query::parse(&data.args, form)?;
    let target = data.first();
    let selection = query.selection(target.args)?;
    let Some(set) = target.database.find::<SortedSet>(&target.key)? else {
        target.reply.array(0);
        return Ok(());
    };
    let ranks = query.ranks(&selection, set);
    let (count, elements) = (ranks.len(), set.iter(ranks));
    if query.reverse {
        write_elements(elements.rev(), count, query.with_scores, target.reply);
    } else {
        write_elements(elements, count, query.with_scores, target.reply);
    }
    Ok(())
}

pub(super) fn zrange(data: &mut Data<'_>) -> Result<(), CommandError> {
    range(data, RANGE)
}

pub(super) fn zrevrange(data: &mut Data<'_>) -> Result<(), CommandError> {
    range(data, Form { fixed: Some((By::Rank, true)), ..RANGE })
}

pub(super) fn zrangebyscore(data: &mut Data<'_>) -> Result<(), CommandError> {
    range(data, Form { fixed: Some((By::Score, false)), ..RANGE })
}

pub(super) fn zrevrangebyscore(data: &mut Data<'_>) -> Result<(), CommandError> {
    range(data, Form { fixed: Some((By::Score, true)), ..RANGE })
}

pub(super) fn zrangebylex(data: &mut Data<'_>) -> Result<(), CommandError> {
    range(data, Form { fixed: Some((By::Member, false)), ..RANGE })
}

pub(super) fn zrevrangebylex(data: &mut Data<'_>) -> Result<(), CommandError> {
    range(data, Form { fixed: Some((By::Member, true)), ..RANGE })
}

/// Lets `take` have the elements that ZRANGESTORE is to store.
fn with_range<T>(
    data: &mut Data<'_>,
    take: impl FnOnce(&mut dyn Iterator<Item = (&[u8], f64)>) -> T,
) -> Result<T, CommandError> {
    let query = Query::parse(&data.args, RANGE_STORE)?;
    let target = data.target(2);
    let selection = query.selection(target.args)?;
    let set = target.database.find::<SortedSet>(&target.key)?;
    Ok(take(&mut set.into_iter().flat_map(|set| set.iter(query.ranks(&selection, set)))))
}

pub(super) fn zrangestore(data: &mut Data<'_>) -> Result<(), CommandError> {
    let limits = data.keyspace.limits.sorted_set;
    let set = with_range(data, |elements| set_of(elements, limits))?;
    combine::store(data, set, "zrangestore");
    Ok(())
}

fn set_of<'e>(elements: impl Iterator<Item = (&'e [u8], f64)>, limits: Limits) -> SortedSet {
    let mut set = SortedSet::new();
    elements.for_each(|(member, score)| {
        set.insert(member, score, limits);
    });
    set
}

/// Hands the elements on.
pub(super) fn fetch_range(data: &mut Data<'_>) -> Result<(), CommandError> {
    let elements: Flat = with_range(data, |elements| elements.collect())?;
    data.moved = Some(elements.into_moved());
    data.reply.null();
    Ok(())
}

/// Stores the elements that were handed on.
pub(super) fn store_range(data: &mut Data<'_>) -> Result<(), CommandError> {
    let elements = Flat::of_moved(data.moved.take());
    let set = set_of(elements.iter(), data.keyspace.limits.sorted_set);
    combine::store(data, set, "zrangestore");
    Ok(())
}

pub(super) fn zrangestore_plan(plan: &mut Plan<'_>) -> Result<(), CommandError> {
    if plan.reply_error() {
        return Ok(());
    }
    match plan.hop {
        0 => plan.push(plan.shard_of(2), 0),
        1 => {
            let moved = plan.results.first_mut().and_then(|result| result.moved.take());
            plan.push(plan.shard_of(1), 1);
            if let Some(work) = plan.work.last_mut() {
                work.moved = moved;
            }
        }
        _ => combine::write_stored(plan),
    }
    Ok(())
}

fn remove_range(data: &mut Data<'_>, by: By, event: &'static str) -> Result<(), CommandError> {
    let target = data.first();
    let selection = Selection::parse(by, target.args.get(2), target.args.get(3))?;
    let mut removed = 0;
    if let Some(mut set) = target.database.edit::<SortedSet>(&target.key)? {
        let ranks = selection.ranks(&set);
        removed = set.change_some(|set| {
            let count = ranks.len();
            set.remove_ranks(ranks, |_, _| {});
            count
        });
        if removed > 0 {
            set.notify(event);
        }
    }
    target.reply.integer(removed as i64);
    Ok(())
}

pub(super) fn zremrangebyrank(data: &mut Data<'_>) -> Result<(), CommandError> {
    remove_range(data, By::Rank, "zremrangebyrank")
}

pub(super) fn zremrangebyscore(data: &mut Data<'_>) -> Result<(), CommandError> {
    remove_range(data, By::Score, "zremrangebyscore")
}

pub(super) fn zremrangebylex(data: &mut Data<'_>) -> Result<(), CommandError> {
    remove_range(data, By::Member, "zremrangebylex")
}
