//! SORT and SORT_RO: the elements of a list, a set or a sorted set in another order.
//!
//! ```text
//!   SORT key BY weight_* GET # GET name_*->first STORE destination
//!
//!   one shard owns everything   load, look up weights, arrange, look up values, answer or store    whole
//!   several do                  key: load                                                 hop      load
//!                               each shard: its part of the weights, if BY says so        hop      look_up
//!                               each shard: its part of the values, if GET says so        hop      look_up
//!                               destination: store, if STORE says so                      hop      store_list
//! ```
//!
//! A pattern stands for as many keys as there are elements, and which they are is known only when the key has
//! been read. A command line with one therefore holds a lock on all keys of all shards
//! ([`super::keyspec::reads_anywhere`]).
//!
//! A plan remembers nothing from hop to hop: what it will need goes along with the next hop, to the shard of the
//! key, which hands it back ([`hand_back`]).

#[cfg(test)]
mod tests;

use std::cmp::Ordering;
use std::ops::Range;

use super::sets::flat::Flat;
use super::{Begin, Command, Data, Find, KeySpec, Run, category, flag, key_flag};
use crate::error::CommandError;
use crate::keyspace::{Database, Key, Keyspace};
use crate::resp::{Args, Reply};
use crate::transaction::{Plan, Work};
use crate::types::packed::{End, Item};
use crate::types::{List, Object, score};

const READ: u16 = key_flag::RO | key_flag::ACCESS;
const PATTERN_KEYS: KeySpec =
    KeySpec { begin: Begin::Unknown, find: Find::Unknown, flags: READ, notes: PATTERN_NOTES };
const PATTERN_NOTES: &str = "BY and GET name keys that are made of the elements under the key to be sorted.";
const STORE_KEY: KeySpec = KeySpec {
    begin: Begin::StoreOption,
    find: Find::Unknown,
    flags: key_flag::OW | key_flag::UPDATE,
    notes: "The word STORE may stand anywhere among the options.",
};
const CATEGORIES: u32 = category::SET | category::SORTEDSET | category::LIST | category::DANGEROUS;

/// The record of a command: `$read_only` is a constant, which the functions close over.
macro_rules! command {
    ($name:expr, $read_only:expr) => {
        Command::new(
            $name,
            -2,
            Run::Hops {
                whole: |data| whole(data, $read_only),
                steps: &[|data| load(data, $read_only), look_up, store_list, hand_back],
                plan: |plan| plan_hop(plan, $read_only),
            },
        )
        .categories(CATEGORIES)
    };
}

const LOAD: usize = 0;
const LOOK_UP: usize = 1;
const STORE_LIST: usize = 2;
const HAND_BACK: usize = 3;

pub const COMMANDS: &[Command] = &[
    command!("sort", false)
        .flags(flag::WRITE | flag::DENYOOM)
        .keys(&[KeySpec::one(1, READ), PATTERN_KEYS, STORE_KEY])
        .docs(
            "Sorts the elements of a list, a set or a sorted set, and returns or stores them.",
            "O(N+M*log(M)), N being the number of elements and M of those that are returned.",
            "key [BY by-pattern(pattern)] [LIMIT offset count] [GET get-pattern(pattern) [GET get-pattern ...]] \
             [ASC | DESC] [ALPHA] [STORE destination(key)]",
        ),
    command!("sort_ro", true).since("7.0.0").flags(flag::READONLY).keys(&[KeySpec::one(1, READ), PATTERN_KEYS]).docs(
        "Sorts the elements of a list, a set or a sorted set, and returns them.",
        "O(N+M*log(M)), N being the number of elements and M of those that are returned.",
        "key [BY by-pattern(pattern)] [LIMIT offset count] [GET get-pattern(pattern) [GET get-pattern ...]] \
         [ASC | DESC] [ALPHA]",
    ),
];

/// What a command line asks for. Patterns and the destination are positions of arguments.
#[derive(Clone, Default)]
struct Request {
    /// A pattern of weights.
    by: Option<usize>,
    /// BY with a text that is no pattern: the elements stay as they come.
    unsorted: bool,
    descending: bool,
    alpha: bool,
    offset: i64,
    /// How many, below zero all.
    count: i64,
    get: Vec<usize>,
    store: Option<usize>,
}

impl Request {
    fn parse(args: &Args<'_>, read_only: bool) -> Result<Request, CommandError> {
        let mut request = Request { count: -1, ..Request::default() };
        let mut index = 2;
        while index < args.len() {
            let left = args.len() - index - 1;
            match () {
                _ if args.is(index, "ASC") => request.descending = false,
                _ if args.is(index, "DESC") => request.descending = true,
                _ if args.is(index, "ALPHA") => request.alpha = true,
                _ if left >= 2 && args.is(index, "LIMIT") => {
                    (request.offset, request.count) = (args.integer(index + 1)?, args.integer(index + 2)?);
                    index += 2;
                }
                _ if left >= 1 && args.is(index, "BY") => {
                    index += 1;
                    if args.get(index).contains(&b'*') {
                        request.by = Some(index);
                    } else {
                        request.unsorted = true;
                    }
                }
                _ if left >= 1 && args.is(index, "GET") => {
                    index += 1;
                    request.get.push(index);
                }
                _ if left >= 1 && !read_only && args.is(index, "STORE") => {
                    index += 1;
                    request.store = Some(index);
                }
                _ => return Err(CommandError::Syntax),
            }
            index += 1;
        }
        if request.unsorted {
            request.by = None;
        }
        Ok(request)
    }

    /// Members of a set come in no order. If they are to be stored as they come, they get one.
    fn for_set(&self) -> Request {
        match self.store {
            Some(_) if self.unsorted => Request { unsorted: false, alpha: true, ..self.clone() },
            _ => self.clone(),
        }
    }

    /// The ranks that are wanted, of so many elements.
    fn ranks(&self, length: usize) -> Range<usize> {
        let limited = |number: i64| usize::try_from(number).unwrap_or(0).min(length);
        let start = limited(self.offset);
        let end = if self.count < 0 { length } else { (start + limited(self.count)).min(length) };
        start..end
    }

    /// The patterns of GET that name keys.
    fn looks_up(&self, args: &Args<'_>) -> bool {
        self.get.iter().any(|&index| Pattern::of(args.get(index)).is_some())
    }
}

/// Passes over the options of a command line, and calls `visit` with the position of each word that belongs to BY,
/// GET or STORE.
fn for_each_name(args: &Args<'_>, mut visit: impl FnMut(&'static str, usize)) {
    let mut index = 2;
    while index + 1 < args.len() {
        match ["BY", "GET", "STORE"].into_iter().find(|option| args.is(index, option)) {
            Some(option) => {
                visit(option, index + 1);
                index += 2;
            }
            None if args.is(index, "LIMIT") => index += 3,
            None => index += 1,
        }
    }
}

/// The argument that names the destination of SORT.
pub(super) fn store_position(args: &Args<'_>) -> Option<usize> {
    let mut store = None;
    for_each_name(args, |option, index| {
        if option == "STORE" {
            store = Some(index);
        }
    });
    store
}

/// Whether a command line of SORT has a pattern that names keys.
pub(super) fn has_pattern(args: &Args<'_>) -> bool {
    let mut found = false;
    for_each_name(args, |option, index| found |= option != "STORE" && Pattern::of(args.get(index)).is_some());
    found
}

/// `weight_*`, or `object_*->weight`: keys, or fields of hashes, with an element in the place of the star.
#[derive(Clone, Copy)]
struct Pattern<'a> {
    prefix: &'a [u8],
    suffix: &'a [u8],
    field: Option<&'a [u8]>,
}

impl<'a> Pattern<'a> {
    /// `None`: it has no star, and names nothing.
    fn of(text: &'a [u8]) -> Option<Pattern<'a>> {
        let star = text.iter().position(|&byte| byte == b'*')?;
        let (prefix, rest) = (&text[..star], &text[star + 1..]);
        let arrow = rest.windows(2).position(|two| two == b"->").filter(|arrow| arrow + 2 < rest.len());
        Some(match arrow {
            Some(arrow) => Pattern { prefix, suffix: &rest[..arrow], field: Some(&rest[arrow + 2..]) },
            None => Pattern { prefix, suffix: rest, field: None },
        })
    }

    fn key(&self, element: &[u8]) -> Vec<u8> {
        [self.prefix, element, self.suffix].concat()
    }
}

/// What a key holds, or a field of it; `None` for what is not there or has another type.
fn value_of(database: &mut Database, key: &Key<'_>, field: Option<&[u8]>) -> Option<Vec<u8>> {
    let entry = database.find_read(key)?;
    match field {
        None => entry.string().map(|string| string.to_vec()),
        Some(field) => entry.hash()?.get(field).map(|value| value.to_vec()),
    }
}

/// The elements of the key; if they stay as they come, only those that are wanted.
fn elements_of(data: &mut Data<'_>, request: &Request) -> Result<Flat, CommandError> {
    let target = data.target(1);
    let mut elements = Flat::default();
    let Some(entry) = target.database.find_read(&target.key) else { return Ok(elements) };
    match entry.object() {
        Some(Object::List(list)) => {
            let ranks = request.ranks(list.len());
            if !request.unsorted {
                list.iter().for_each(|element| elements.push(element));
            } else if request.descending {
                let behind = list.len() - ranks.start;
                list.iter_back_from(behind).take(ranks.len()).for_each(|element| elements.push(element));
            } else {
                list.iter_from(ranks.start).take(ranks.len()).for_each(|element| elements.push(element));
            }
        }
        Some(Object::SortedSet(set)) => {
            let ranks = request.ranks(set.len());
            let mut push = |(member, _): (&[u8], f64)| elements.push(Item::Bytes(member));
            if !request.unsorted {
                set.iter(0..set.len()).for_each(&mut push);
            } else if request.descending {
                set.iter(set.len() - ranks.end..set.len() - ranks.start).rev().for_each(&mut push);
            } else {
                set.iter(ranks).for_each(&mut push);
            }
        }
        Some(Object::Set(set)) => {
            let ordered = request.for_set();
            let ranks = if ordered.unsorted { ordered.ranks(set.len()) } else { 0..set.len() };
            let mut rank = 0;
            set.for_each(|member| {
                if ranks.contains(&rank) {
                    elements.push(member);
                }
                rank += 1;
            });
            if ordered.unsorted != request.unsorted {
                return arrange(&ordered, elements, None);
            }
        }
        _ => return Err(CommandError::WrongType),
    }
    Ok(elements)
}

/// What an element is compared by.
enum Weight<'a> {
    Number(f64),
    Text(Option<&'a [u8]>),
}

/// An element on its way to its place.
struct Weighed<'a> {
    weight: Weight<'a>,
    element: &'a [u8],
    /// Where it came from: what is equal stays as it came.
    position: usize,
}

impl Weighed<'_> {
    /// Elements of equal numbers are compared as texts.
    fn cmp(&self, other: &Weighed<'_>) -> Ordering {
        match (&self.weight, &other.weight) {
            (Weight::Number(one), Weight::Number(two)) => {
                // None is NaN.
                one.partial_cmp(two).unwrap_or(Ordering::Equal).then_with(|| self.element.cmp(other.element))
            }
            // What is missing comes first.
            (Weight::Text(one), Weight::Text(other)) => one.cmp(other),
            _ => Ordering::Equal,
        }
    }
}

/// The elements that are wanted, in their order. With BY, `weights` has one for each element.
fn arrange(request: &Request, elements: Flat, weights: Option<&Values>) -> Result<Flat, CommandError> {
    if request.unsorted {
        return Ok(elements);
    }
    let mut values = weights.map(Values::iter);
    let mut weighed = Vec::new();
    for (position, element) in elements.iter().enumerate() {
        let text = match &mut values {
            Some(values) => values.next().flatten(),
            None => Some(element),
        };
        let weight = match text {
            text if request.alpha => Weight::Text(text),
            None => Weight::Number(0.0),
            Some(text) => Weight::Number(score::parse_number(text).ok_or(CommandError::SortNotNumber)?),
        };
        weighed.push(Weighed { weight, element, position });
    }
    let compare = |one: &Weighed<'_>, other: &Weighed<'_>| {
        let order = one.cmp(other);
        if request.descending { order.reverse() } else { order }.then(one.position.cmp(&other.position))
    };
    let ranks = request.ranks(weighed.len());
    if ranks.end < weighed.len() && !ranks.is_empty() {
        weighed.select_nth_unstable_by(ranks.end - 1, compare);
        weighed.truncate(ranks.end);
    }
    weighed.sort_unstable_by(compare);
    let mut arranged = Flat::default();
    weighed[ranks].iter().for_each(|weighed| arranged.push(Item::Bytes(weighed.element)));
    Ok(arranged)
}

/// Texts of which some are missing: each with a byte in front of it, or empty.
#[derive(Default)]
struct Values(Flat);

impl Values {
    fn push(&mut self, value: Option<&[u8]>) {
        self.0.push(value.map_or(Item::Bytes(b""), |value| Item::Joined(b"+", value)));
    }

    fn iter(&self) -> impl Iterator<Item = Option<&[u8]>> {
        self.0.iter().map(|text| text.split_first().map(|(_, value)| value))
    }
}

/// What is answered for each element: for every GET a value, which may be missing, or without one the element.
/// `values` has those that had to be looked up.
fn for_each_output(
    request: &Request,
    args: &Args<'_>,
    elements: &Flat,
    values: &Values,
    mut visit: impl FnMut(Option<&[u8]>),
) {
    let mut values = values.iter();
    for element in elements.iter() {
        if request.get.is_empty() {
            visit(Some(element));
        }
        for &index in &request.get {
            match args.get(index) {
                b"#" => visit(Some(element)),
                pattern if Pattern::of(pattern).is_some() => visit(values.next().flatten()),
                _ => visit(None),
            }
        }
    }
}

fn write_output(request: &Request, args: &Args<'_>, elements: &Flat, values: &Values, reply: &mut Reply<'_>) {
    reply.array(elements.iter().count() * request.get.len().max(1));
    for_each_output(request, args, elements, values, |value| match value {
        Some(value) => reply.bulk(value),
        None => reply.null(),
    });
}

/// What is stored: an empty text for what is missing.
fn output_to_store(request: &Request, args: &Args<'_>, elements: &Flat, values: &Values) -> Flat {
    let mut output = Flat::default();
    for_each_output(request, args, elements, values, |value| {
        output.push(Item::Bytes(value.unwrap_or_default()));
    });
    output
}

/// One shard owns all keys.
fn whole(data: &mut Data<'_>, read_only: bool) -> Result<(), CommandError> {
    let request = Request::parse(&data.args, read_only)?;
    let elements = elements_of(data, &request)?;
    let weights = request.by.map(|by| values_of(data, &elements, &[by]));
    let arranged = arrange(&request, elements, weights.as_ref())?;
    let values = values_of(data, &arranged, &request.get);
    match request.store {
        Some(position) => {
            let output = output_to_store(&request, &data.args, &arranged, &values);
            store(data, position, &output);
        }
        None => write_output(&request, &data.args, &arranged, &values, &mut data.reply),
    }
    Ok(())
}

/// For every element the values that these patterns name, as far as they name any.
fn values_of(data: &mut Data<'_>, elements: &Flat, patterns: &[usize]) -> Values {
    let mut values = Values::default();
    let Data { keyspace, args, database, .. } = data;
    for_each_key(args, elements, patterns, |key, field| {
        let keyspace: &mut Keyspace = keyspace;
        let key = keyspace.key(&key);
        values.push(value_of(keyspace.database(*database), &key, field).as_deref());
    });
    values
}

/// The keys that these patterns name, for one element after the other.
fn for_each_key(
    args: &Args<'_>,
    elements: &Flat,
    patterns: &[usize],
    mut visit: impl FnMut(Vec<u8>, Option<&[u8]>),
) {
    let patterns: Vec<Pattern<'_>> =
        patterns.iter().filter_map(|&index| Pattern::of(args.get(index))).collect();
    for element in elements.iter() {
        patterns.iter().for_each(|pattern| visit(pattern.key(element), pattern.field));
    }
}

/// Stores texts as a list under the key at an argument, whatever was there before, and answers how many they are.
fn store(data: &mut Data<'_>, position: usize, texts: &Flat) {
    let limit = data.keyspace.limits.list;
    let mut list = List::new();
    texts.iter().for_each(|text| list.push(End::Back, text, limit));
    let count = list.len();
    let target = data.target(position);
    target.database.set_collection(&target.key, list, "sortstore");
    target.reply.integer(count as i64);
}

// The steps over several shards.

/// Hands on the elements of the key.
fn load(data: &mut Data<'_>, read_only: bool) -> Result<(), CommandError> {
    let request = Request::parse(&data.args, read_only)?;
    let elements = elements_of(data, &request)?;
    data.reply.null();
    data.moved = Some(elements.into_moved());
    Ok(())
}

/// Takes keys and fields, by turns, and hands on their values.
fn look_up(data: &mut Data<'_>) -> Result<(), CommandError> {
    let wanted = Values(Flat::of_moved(data.moved.take()));
    let mut wanted = wanted.iter();
    let mut values = Values::default();
    while let (Some(key), Some(field)) = (wanted.next(), wanted.next()) {
        let key = data.keyspace.key(key.unwrap_or_default());
        values.push(value_of(data.keyspace.database(data.database), &key, field).as_deref());
    }
    data.reply.null();
    data.moved = Some(values.0.into_moved());
    Ok(())
}

/// Stores what it takes under argument 1.
fn store_list(data: &mut Data<'_>) -> Result<(), CommandError> {
    let texts = Flat::of_moved(data.moved.take());
    store(data, 1, &texts);
    Ok(())
}

/// Hands back what it takes.
fn hand_back(data: &mut Data<'_>) -> Result<(), CommandError> {
    data.reply.null();
    Ok(())
}

/// Has each shard look up its part of the keys that these patterns name. The elements go to the key's shard and
/// come back last.
fn push_look_ups(plan: &mut Plan<'_>, elements: Flat, patterns: &[usize]) {
    let mut wanted: Vec<Values> = (0..plan.route.shards()).map(|_| Values::default()).collect();
    for_each_key(&plan.args, &elements, patterns, |key, field| {
        let wanted = &mut wanted[plan.route.shard_of(&key)];
        wanted.push(Some(&key));
        wanted.push(field);
    });
    let args = [0, 1].map(|index| plan.args.get(index).to_vec()).to_vec();
    for (shard, wanted) in wanted.into_iter().enumerate() {
        let moved = Some(wanted.0.into_moved());
        plan.work.push(Work { shard, step: LOOK_UP, args: args.clone(), moved });
    }
    let shard = plan.shard_of(1);
    plan.work.push(Work { shard, step: HAND_BACK, args, moved: Some(elements.into_moved()) });
}

/// What [`push_look_ups`] asked for: the elements, and their values in order.
fn take_look_ups(plan: &mut Plan<'_>, patterns: &[usize]) -> (Flat, Values) {
    let elements = plan.results.pop().and_then(|result| result.moved);
    let elements = Flat::of_moved(elements);
    let found = plan.results.iter_mut().map(|result| Values(Flat::of_moved(result.moved.take())));
    let found: Vec<Values> = found.collect();
    let mut found: Vec<_> = found.iter().map(Values::iter).collect();
    let mut values = Values::default();
    for_each_key(&plan.args, &elements, patterns, |key, _| {
        values.push(found[plan.route.shard_of(&key)].next().flatten());
    });
    (elements, values)
}

fn plan_hop(plan: &mut Plan<'_>, read_only: bool) -> Result<(), CommandError> {
    if plan.reply_error() {
        return Ok(());
    }
    let request = Request::parse(&plan.args, read_only)?;
    // Which hop follows which: weights and values are looked up only if there are patterns for them.
    let weighed = 1 + usize::from(request.by.is_some());
    let valued = weighed + usize::from(request.looks_up(&plan.args));
    if plan.hop == 0 {
        plan.push(plan.shard_of(1), LOAD);
        return Ok(());
    }
    if plan.hop > valued {
        if let Some(result) = plan.results.first() {
            plan.reply.encoded(&result.reply);
        }
        return Ok(());
    }
    let (mut elements, mut values) = (Flat::default(), Values::default());
    if plan.hop == 1 {
        elements = Flat::of_moved(plan.results.first_mut().and_then(|result| result.moved.take()));
        if let Some(by) = request.by {
            push_look_ups(plan, elements, &[by]);
            return Ok(());
        }
    }
    if plan.hop == weighed {
        let weights = request.by.map(|by| {
            let weights;
            (elements, weights) = take_look_ups(plan, &[by]);
            weights
        });
        elements = arrange(&request, elements, weights.as_ref())?;
        if valued > weighed {
            push_look_ups(plan, elements, &request.get);
            return Ok(());
        }
    } else {
        (elements, values) = take_look_ups(plan, &request.get);
    }
    let Some(position) = request.store else {
        write_output(&request, &plan.args, &elements, &values, &mut plan.reply);
        return Ok(());
    };
    let output = output_to_store(&request, &plan.args, &elements, &values);
    let args = [0, position].map(|index| plan.args.get(index).to_vec()).to_vec();
    let moved = Some(output.into_moved());
    plan.work.push(Work { shard: plan.shard_of(position), step: STORE_LIST, args, moved });
    Ok(())
}
