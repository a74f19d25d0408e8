//! ZUNION, ZINTER, ZDIFF, and what stores or counts their results.
//!
//! ```text
//!   one shard owns all keys     look up, combine, answer or store                 whole
//!   several do                  fetch each set from its shard           hop 1     fetch
//!                               combine at the connection's shard                 plan
//!                               store where the destination lives       hop 2     store_elements
//! ```
//!
//! Every kind of input is a [`Source`]: elements to go through and members to look up. Ordinary sets are inputs,
//! too, with 1 as the score of every member.

use std::cell::OnceCell;
use std::collections::HashMap;

use ahash::RandomState;

use super::super::{Command, Data, Run};
use super::flat::Flat;
use super::{parse_score, sorted_set, write_elements};
use crate::commands::set_algebra::{Operation, Outcome};
use crate::error::CommandError;
use crate::keyspace::{EntryRef, Key, Keyspace, Kind};
use crate::resp::{Args, Reply, number};
use crate::transaction::{Plan, Work};
use crate::types::packed::Item;
use crate::types::sorted_set::Limits;
use crate::types::{Object, Set, SortedSet};

type Element<'e> = (&'e [u8], f64);

/// The score of the members of ordinary sets.
const SET_SCORE: f64 = 1.0;

/// A command of this family.
#[derive(Clone, Copy)]
struct Form {
    name: &'static str,
    operation: Operation,
    outcome: Outcome,
}

/// The record of a command: `$form` is a constant, which the functions close over.
macro_rules! command {
    ($arity:expr, $name:expr, $operation:ident, $outcome:ident) => {{
        const FORM: Form = Form { name: $name, operation: Operation::$operation, outcome: Outcome::$outcome };
        sorted_set(
            $name,
            $arity,
            Run::Hops {
                whole: |data| whole(data, FORM),
                steps: &[fetch, |data| store_elements(data, $name)],
                plan: |plan| plan_hop(plan, FORM),
            },
        )
    }};
}

pub(super) const ZUNION: Command = command!(-3, "zunion", Union, Answered);
pub(super) const ZINTER: Command = command!(-3, "zinter", Intersection, Answered);
pub(super) const ZDIFF: Command = command!(-3, "zdiff", Difference, Answered);
pub(super) const ZINTERCARD: Command = command!(-3, "zintercard", Intersection, Counted);
pub(super) const ZUNIONSTORE: Command = command!(-4, "zunionstore", Union, Stored);
pub(super) const ZINTERSTORE: Command = command!(-4, "zinterstore", Intersection, Stored);
pub(super) const ZDIFFSTORE: Command = command!(-4, "zdiffstore", Difference, Stored);

impl Form {
    /// The arguments that hold the keys to combine.
    fn keys(self, args: &Args<'_>) -> Result<std::ops::Range<usize>, CommandError> {
        let position = if self.outcome == Outcome::Stored { 2 } else { 1 };
        let count = number::parse_integer(args.get(position)).ok_or(CommandError::NotInteger)?;
        if count < 1 {
            return Err(CommandError::NoInputKey(self.name));
        }
        let first = position + 1;
        let room = args.len() - first;
        let count = usize::try_from(count).ok().filter(|&count| count <= room).ok_or(CommandError::Syntax)?;
        Ok(first..first + count)
    }
}

/// How scores of the same member become one.
#[derive(Clone, Copy)]
enum Aggregate {
    Sum,
    Min,
    Max,
}

impl Aggregate {
    fn of(self, score: f64, other: f64) -> f64 {
        match self {
            // Infinities of both signs have no sum.
            Aggregate::Sum => number_or_zero(score + other),
            Aggregate::Min => {
                if other < score {
                    other
                } else {
                    score
                }
            }
            Aggregate::Max => {
                if other > score {
                    other
                } else {
                    score
                }
            }
        }
    }
}

fn number_or_zero(score: f64) -> f64 {
    if score.is_nan() { 0.0 } else { score }
}

/// What stands behind the keys.
struct Options {
    /// One for each key.
    weights: Vec<f64>,
    aggregate: Aggregate,
    with_scores: bool,
    /// As many are counted at most.
    limit: usize,
}

impl Options {
    /// The options behind `count` keys, from argument `index` on.
    fn parse(args: &Args<'_>, index: usize, count: usize, form: Form) -> Result<Options, CommandError> {
        let mut options = Options {
            weights: vec![1.0; count],
            aggregate: Aggregate::Sum,
            with_scores: false,
            limit: usize::MAX,
        };
        let counted = form.outcome == Outcome::Counted;
        let weighted = form.operation != Operation::Difference && !counted;
        let mut index = index;
        while index < args.len() {
            let left = args.len() - index;
            if weighted && left > count && args.is(index, "WEIGHTS") {
                for (weight, index) in options.weights.iter_mut().zip(index + 1..) {
                    *weight = parse_score(args.get(index)).map_err(|_| CommandError::WeightNotFloat)?;
                }
                index += count;
            } else if weighted && left > 1 && args.is(index, "AGGREGATE") {
                index += 1;
                options.aggregate = match () {
                    _ if args.is(index, "SUM") => Aggregate::Sum,
                    _ if args.is(index, "MIN") => Aggregate::Min,
                    _ if args.is(index, "MAX") => Aggregate::Max,
                    _ => return Err(CommandError::Syntax),
                };
            } else if form.outcome == Outcome::Answered && args.is(index, "WITHSCORES") {
                options.with_scores = true;
            } else if counted && left > 1 && args.is(index, "LIMIT") {
                index += 1;
                let limit =
                    number::parse_integer(args.get(index)).and_then(|limit| usize::try_from(limit).ok());
                options.limit = match limit.ok_or(CommandError::LimitNegative)? {
                    0 => usize::MAX,
                    limit => limit,
                };
            } else {
                return Err(CommandError::Syntax);
            }
            index += 1;
        }
        Ok(options)
    }
}

/// One of the sets that are combined.
enum Source<'a> {
    Missing,
    Sorted(&'a SortedSet),
    /// A large one, whose members are all texts.
    Unsorted(&'a Set),
    Fetched(Fetched<'a>),
}

/// The elements of a set of another shard, or of a small one whose integers are no texts. Members are looked up in a table made when the first one is.
struct Fetched<'a> {
    elements: Vec<Element<'a>>,
    scores: OnceCell<HashMap<&'a [u8], f64, RandomState>>,
}

impl<'a> Fetched<'a> {
    fn new(elements: &'a Flat) -> Fetched<'a> {
        Fetched { elements: elements.iter().collect(), scores: OnceCell::new() }
    }
}

impl<'a> Source<'a> {
    /// The value of a key, which holds a set of either kind, if any; `texts` are the members of a small
    /// one that has no scores.
    fn of(entry: Option<EntryRef<'a>>, texts: Option<&'a Flat>) -> Source<'a> {
        match (entry.and_then(|entry| entry.object()), texts) {
            (_, Some(elements)) => Source::Fetched(Fetched::new(elements)),
            (Some(Object::SortedSet(set)), None) => Source::Sorted(set),
            (Some(Object::Set(set)), None) => Source::Unsorted(set),
            _ => Source::Missing,
        }
    }

    fn len(&self) -> usize {
        match self {
            Source::Missing => 0,
            Source::Sorted(set) => set.len(),
            Source::Unsorted(set) => set.len(),
            Source::Fetched(fetched) => fetched.elements.len(),
        }
    }

    fn score(&self, member: &[u8]) -> Option<f64> {
        match self {
            Source::Missing => None,
            Source::Sorted(set) => set.score(member),
            Source::Unsorted(set) => set.contains(member).then_some(SET_SCORE),
            Source::Fetched(Fetched { elements, scores }) => {
                scores.get_or_init(|| elements.iter().copied().collect()).get(member).copied()
            }
        }
    }

    /// Visits the elements until `visit` returns false.
    fn visit(&self, mut visit: impl FnMut(&'a [u8], f64) -> bool) {
        match self {
            Source::Missing => {}
            Source::Unsorted(set) => {
                let set: &'a Set = set;
                set.batches(&mut |members| {
                    members.iter().all(|member| match *member {
                        Item::Bytes(bytes) => visit(bytes, SET_SCORE),
                        Item::Int(_) | Item::Joined(..) => unreachable!("a member of a large set"),
                    })
                });
            }
            Source::Sorted(set) => {
                let set: &'a SortedSet = set;
                let _ = set.iter(0..set.len()).all(|(member, score)| visit(member, score));
            }
            Source::Fetched(fetched) => {
                let _ = fetched.elements.iter().all(|&(member, score)| visit(member, score));
            }
        }
    }
}

/// Combines the inputs, without an order.
fn combine<'a>(operation: Operation, sources: Vec<Source<'a>>, options: &Options) -> Vec<Element<'a>> {
    let mut sources: Vec<(Source<'a>, f64)> =
        sources.into_iter().zip(options.weights.iter().copied()).collect();
    match operation {
        Operation::Difference => difference(&sources),
        // From the smallest to the largest: the order in which Redis adds up scores.
        Operation::Union => {
            sources.sort_by_key(|(source, _)| source.len());
            union(&sources, options.aggregate)
        }
        Operation::Intersection => {
            sources.sort_by_key(|(source, _)| source.len());
            intersection(&sources, options)
        }
    }
}

fn union<'a>(sources: &[(Source<'a>, f64)], aggregate: Aggregate) -> Vec<Element<'a>> {
    let mut scores: HashMap<&'a [u8], f64, RandomState> = HashMap::default();
    for (source, weight) in sources {
        source.visit(|member, score| {
            let score = number_or_zero(score * weight);
            scores.entry(member).and_modify(|sum| *sum = aggregate.of(*sum, score)).or_insert(score);
            true
        });
    }
    scores.into_iter().collect()
}

fn intersection<'a>(sources: &[(Source<'a>, f64)], options: &Options) -> Vec<Element<'a>> {
    let mut elements = Vec::new();
    let Some(((first, weight), others)) = sources.split_first() else { return elements };
    first.visit(|member, score| {
        let score = others.iter().try_fold(number_or_zero(score * weight), |sum, (source, weight)| {
            Some(options.aggregate.of(sum, source.score(member)? * weight))
        });
        elements.extend(score.map(|score| (member, score)));
        elements.len() < options.limit
    });
    elements
}

fn difference<'a>(sources: &[(Source<'a>, f64)]) -> Vec<Element<'a>> {
    let mut elements = Vec::new();
    let Some(((first, _), others)) = sources.split_first() else { return elements };
    first.visit(|member, score| {
        if others.iter().all(|(source, _)| source.score(member).is_none()) {
            elements.push((member, score));
        }
        true
    });
    elements
}

/// Puts elements into the order of a sorted set.
fn sort(elements: &mut [Element<'_>]) {
    elements.sort_unstable_by(|(member, score), (other, other_score)| {
        // No score is NaN.
        score.partial_cmp(other_score).unwrap_or(std::cmp::Ordering::Equal).then_with(|| member.cmp(other))
    });
}

/// An error if a key holds something else than a set of either kind.
fn judge(entry: Option<EntryRef<'_>>) -> Result<Option<EntryRef<'_>>, CommandError> {
    match entry {
        Some(entry) if !matches!(entry.kind(), Kind::SortedSet | Kind::Set) => Err(CommandError::WrongType),
        entry => Ok(entry),
    }
}

fn flat_of_set(set: &Set) -> Flat {
    let mut elements = Flat::default();
    set.for_each(|member| match member {
        Item::Bytes(bytes) => elements.push(bytes, SET_SCORE),
        member => elements.push(&member.to_vec(), SET_SCORE),
    });
    elements
}

/// One shard owns all keys.
fn whole(data: &mut Data<'_>, form: Form) -> Result<(), CommandError> {
    let keys = form.keys(&data.args)?;
    for position in keys.clone() {
        // Judges the types, and removes what has expired.
        let target = data.target(position);
        judge(target.database.find_read(&target.key))?;
    }
    let options = Options::parse(&data.args, keys.end, keys.len(), form)?;
    let Data { keyspace, args, reply, database, .. } = data;
    let keyspace: &mut Keyspace = keyspace;
    let limits = keyspace.limits.sorted_set;
    let keys: Vec<Key<'_>> = keys.map(|position| keyspace.key(args.get(position))).collect();
    let stored = keyspace.database(*database);
    let entries = keys.iter().map(|key| stored.peek(key));
    let texts = entries.clone().map(|entry| {
        let set = entry.and_then(|entry| entry.collection::<Set>())?;
        (!set.is_large()).then(|| flat_of_set(set))
    });
    let texts: Vec<Option<Flat>> = texts.collect();
    let sources = entries.zip(&texts).map(|(entry, texts)| Source::of(entry, texts.as_ref()));
    let mut elements = combine(form.operation, sources.collect(), &options);
    if form.outcome != Outcome::Stored {
        write_result(&mut elements, form, &options, reply);
        return Ok(());
    }
    sort(&mut elements);
    // Built before it is stored: the destination may be one of the inputs.
    let set = set_of(elements.iter().copied(), limits);
    store(data, set, form.name);
    Ok(())
}

fn write_result(elements: &mut [Element<'_>], form: Form, options: &Options, reply: &mut Reply<'_>) {
    if form.outcome == Outcome::Counted {
        reply.integer(elements.len() as i64);
    } else {
        sort(elements);
        write_elements(elements.iter().copied(), elements.len(), options.with_scores, reply);
    }
}

/// A sorted set of these elements, which is large at once if it would become large.
pub(in crate::commands) fn set_of<'e>(
    elements: impl Iterator<Item = Element<'e>> + Clone,
    limits: Limits,
) -> SortedSet {
    let outgrows = elements.clone().nth(limits.entries).is_some()
        || elements.clone().any(|(member, _)| member.len() > limits.member_bytes);
    let limits = if outgrows { Limits { entries: 0, ..limits } } else { limits };
    let mut set = SortedSet::new();
    elements.for_each(|(member, score)| {
        set.insert(member, score, limits);
    });
    set
}

/// Stores a set under argument 1, whatever was there before, and answers its size; `name` is the command's.
pub(super) fn store(data: &mut Data<'_>, set: SortedSet, name: &'static str) {
    let count = set.len();
    let target = data.target(1);
    target.database.set_collection(&target.key, set, name);
    target.reply.integer(count as i64);
}

/// Hands on the elements of the set under argument 1.
fn fetch(data: &mut Data<'_>) -> Result<(), CommandError> {
    let target = data.target(1);
    let entry = judge(target.database.find_read(&target.key))?;
    let elements = match entry.and_then(|entry| entry.object()) {
        Some(Object::SortedSet(set)) => set.iter(0..set.len()).collect(),
        Some(Object::Set(set)) => flat_of_set(set),
        _ => Flat::default(),
    };
    target.reply.null();
    data.moved = Some(elements.into_moved());
    Ok(())
}

/// Stores the elements that were handed on under argument 1.
fn store_elements(data: &mut Data<'_>, name: &'static str) -> Result<(), CommandError> {
    let elements = Flat::of_moved(data.moved.take());
    let set = set_of(elements.iter(), data.keyspace.limits.sorted_set);
    store(data, set, name);
    Ok(())
}

/// Answers what the destination's shard did.
pub(in crate::commands) fn write_stored(plan: &mut Plan<'_>) {
    if let Some(result) = plan.results.first() {
        plan.reply.encoded(&result.reply);
    }
}

fn plan_hop(plan: &mut Plan<'_>, form: Form) -> Result<(), CommandError> {
    if plan.reply_error() {
        return Ok(());
    }
    let keys = form.keys(&plan.args)?;
    match plan.hop {
        0 => {
            for position in keys {
                let args = [0, position].map(|index| plan.args.get(index).to_vec()).to_vec();
                plan.work.push(Work { shard: plan.shard_of(position), step: 0, args, moved: None });
            }
        }
        1 => {
            let options = Options::parse(&plan.args, keys.end, keys.len(), form)?;
            let fetched = plan.results.iter_mut().map(|result| Flat::of_moved(result.moved.take()));
            let fetched: Vec<Flat> = fetched.collect();
            let sources = fetched.iter().map(|elements| Source::Fetched(Fetched::new(elements)));
            let mut elements = combine(form.operation, sources.collect(), &options);
            if form.outcome == Outcome::Stored {
                sort(&mut elements);
                let elements: Flat = elements.into_iter().collect();
                let args = [0, 1].map(|index| plan.args.get(index).to_vec()).to_vec();
                let moved = Some(elements.into_moved());
                plan.work.push(Work { shard: plan.shard_of(1), step: 1, args, moved });
            } else {
                write_result(&mut elements, form, &options, &mut plan.reply);
            }
        }
        _ => write_stored(plan),
    }
    Ok(())
}
