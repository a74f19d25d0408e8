//! Lists and counters: objects whose replies tell the number of their version, so that all versions stand
//! in one line from the first to the last that anybody saw.
//!
//! ```text
//!   list [4 9 2]      version 3, after 4, 9 and 2 were appended     rungs: their transactions
//!   counter 3         version 3, after the increments that returned 1, 2 and 3
//! ```
//!
//! A rung that nobody is known to have made (its reply was lost) is a helper in the graph.

use std::collections::{BTreeMap, HashMap, HashSet};

use super::graph::{Dependency, Object, Reason};
use super::{Anomaly, Checker, Key, Operation, Outcome, Time, Value};

/// One list or counter.
#[derive(Default)]
struct Ladder {
    /// Who made a version, by its number.
    made: BTreeMap<u64, u32>,
    /// Who saw a version: its number and the transaction.
    seen: Vec<(u64, u32)>,
    /// Transactions that have happened and made a version of unknown number.
    unplaced: Vec<u32>,
    /// The elements of the longest list that was read.
    elements: HashSet<Value>,
    /// When transactions were invoked of which nobody knows whether they made a version.
    doubtful: Vec<Time>,
    /// The replies contradict each other, which has been said.
    broken: bool,
}

/// What a transaction saw and did of one object so far.
#[derive(Default)]
struct Access {
    /// The version that others had left to it.
    found: Option<u64>,
    /// Its own steps since.
    own: Vec<Value>,
}

impl Access {
    /// Notes the version that a reply shows; says so if others have made one between this transaction's own
    /// operations.
    fn find(&mut self, checker: &mut Checker<'_>, number: u32, object: Object, version: u64) -> Option<u64> {
        let own = self.own.len() as u64;
        let found = version.checked_sub(own).filter(|&found| self.found.is_none_or(|before| before == found));
        match found {
            Some(found) => {
                let new = self.found.replace(found).is_none();
                new.then_some(found)
            }
            None => {
                let before = self.found.unwrap_or(0);
                let text = || {
                    format!(
                        "{object} is at version {version}, not {before} and the {own} that T{number} made since"
                    )
                };
                checker.fault(Anomaly::Unrepeatable, &[number], text);
                None
            }
        }
    }
}

pub fn check_counters(checker: &mut Checker<'_>) {
    let mut counters: HashMap<Key, Ladder> = HashMap::new();
    for (number, transaction) in checker.history.transactions.iter().enumerate() {
        let number = number as u32;
        if transaction.outcome == Outcome::Aborted {
            continue;
        }
        let mut accesses: HashMap<Key, Access> = HashMap::new();
        for operation in &transaction.operations {
            match *operation {
                Operation::Increment { key, result } => {
                    let access = accesses.entry(key).or_default();
                    let counter = counters.entry(key).or_default();
                    access.own.push(0);
                    let found =
                        result.and_then(|result| access.find(checker, number, Object::Counter(key), result));
                    counter.seen.extend(found.map(|found| (found, number)));
                }
                Operation::ReadCounter { key, value } => {
                    let found =
                        accesses.entry(key).or_default().find(checker, number, Object::Counter(key), value);
                    counters.entry(key).or_default().seen.extend(found.map(|found| (found, number)));
                }
                _ => {}
            }
        }
        for (key, access) in accesses {
            let counter = counters.entry(key).or_default();
            match access.found {
                Some(found) => (1..=access.own.len() as u64)
                    .for_each(|step| counter.place(checker, found + step, number, Object::Counter(key))),
                None => counter.doubtful.extend(access.own.iter().map(|_| transaction.invoked)),
            }
        }
    }
    let mut counters: Vec<(Key, Ladder)> = counters.into_iter().collect();
    counters.sort_by_key(|&(key, _)| key);
    for (key, counter) in counters {
        counter.add_edges(checker, Object::Counter(key));
    }
}

pub fn check_lists(checker: &mut Checker<'_>) {
    let longest = longest_lists(checker);
    let mut lists: HashMap<Key, Ladder> = HashMap::new();
    for (&key, &(elements, reader)) in &longest {
        let list = lists.entry(key).or_default();
        list.place_elements(checker, key, elements, reader);
    }
    for (number, transaction) in checker.history.transactions.iter().enumerate() {
        if transaction.outcome != Outcome::Aborted {
            read_lists(checker, number as u32, &longest, &mut lists);
        }
    }
    let mut lists: Vec<(Key, Ladder)> = lists.into_iter().collect();
    lists.sort_by_key(|&(key, _)| key);
    for (key, list) in lists {
        list.add_edges(checker, Object::List(key));
    }
}

type Longest<'a> = HashMap<Key, (&'a [Value], u32)>;

/// What every list was when it was longest, and who read that.
fn longest_lists<'a>(checker: &Checker<'a>) -> Longest<'a> {
    let mut longest: Longest<'a> = HashMap::new();
    for (number, transaction) in checker.happened() {
        for operation in &transaction.operations {
            if let Operation::ReadList { key, elements } = operation {
                let longest = longest.entry(*key).or_insert((&[], number));
                if elements.len() > longest.0.len() {
                    *longest = (elements, number);
                }
            }
        }
    }
    longest
}

fn read_lists<'a>(
    checker: &mut Checker<'a>,
    number: u32,
    longest: &Longest<'a>,
    lists: &mut HashMap<Key, Ladder>,
) {
    let mut accesses: HashMap<Key, Access> = HashMap::new();
    for operation in &checker.transaction(number).operations {
        match operation {
            &Operation::Append { key, element, length } => {
                let access = accesses.entry(key).or_default();
                let list = lists.entry(key).or_default();
                access.own.push(element);
                if let Some(length) = length {
                    let found = access.find(checker, number, Object::List(key), length);
                    list.seen.extend(found.map(|found| (found, number)));
                    let there = longest
                        .get(&key)
                        .and_then(|(elements, _)| elements.get((length as usize).checked_sub(1)?));
                    if there != Some(&element) && (there.is_some() || list.elements.contains(&element)) {
                        list.broken = true;
                        let text = || format!("list {key} has {element}, but not at place {length}");
                        checker.fault(Anomaly::IncompatibleOrder, &[number, longest[&key].1], text);
                    }
                }
            }
            Operation::ReadList { key, elements } => {
                let access = accesses.entry(*key).or_default();
                let list = lists.entry(*key).or_default();
                let (all, other) = longest[key];
                if !all.starts_with(elements) {
                    list.broken = true;
                    let text = || {
                        let common = all.iter().zip(elements).take_while(|(one, other)| one == other).count();
                        format!(
                            "list {key} was read in two orders, which differ from place {} on",
                            common + 1
                        )
                    };
                    checker.fault(Anomaly::IncompatibleOrder, &[number, other], text);
                    continue;
                }
                if !elements.ends_with(&access.own) {
                    let text = || format!("list {key} was read without what T{number} had appended");
                    checker.fault(Anomaly::Unrepeatable, &[number], text);
                    continue;
                }
                let others = &elements[..elements.len() - access.own.len()];
                let of_others = |element| {
                    checker.elements.get(&(*key, element)).is_none_or(|origin| origin.transaction != number)
                };
                if !others.last().copied().is_none_or(of_others) {
                    let text = || format!("list {key} was read with what T{number} appended only later");
                    checker.fault(Anomaly::ThinAir, &[number], text);
                    continue;
                }
                let found = access.find(checker, number, Object::List(*key), elements.len() as u64);
                list.seen.extend(found.map(|found| (found, number)));
                if !access.own.is_empty() {
                    list.seen.push((elements.len() as u64, number));
                }
            }
            _ => {}
        }
    }
    for (key, access) in accesses {
        let list = lists.entry(key).or_default();
        let length = longest.get(&key).map_or(0, |(elements, _)| elements.len() as u64);
        for (step, element) in (1..).zip(&access.own) {
            if list.elements.contains(element) {
                continue;
            }
            match access.found.map(|found| found + step) {
                // What is not in the longest list comes after it.
                Some(version) if version > length => list.place(checker, version, number, Object::List(key)),
                _ if checker.happened[number as usize] => list.unplaced.push(number),
                _ => list.doubtful.push(checker.transaction(number).invoked),
            }
        }
    }
}

impl Ladder {
    /// Notes who made a version.
    fn place(&mut self, checker: &mut Checker<'_>, version: u64, number: u32, object: Object) {
        if version == 0 {
            // An access that leads there has been found unrepeatable.
            self.broken = true;
        } else if let Some(other) = self.made.insert(version, number) {
            self.broken = true;
            let text = || format!("both made version {version} of {object}, as their replies tell");
            checker.fault(Anomaly::LostUpdate, &[other, number], text);
        }
    }

    /// Notes who appended the elements of the longest list.
    fn place_elements(&mut self, checker: &mut Checker<'_>, key: Key, elements: &[Value], reader: u32) {
        self.elements.reserve(elements.len());
        for (version, &element) in (1..).zip(elements) {
            if !self.elements.insert(element) {
                self.broken = true;
                let text = || format!("list {key} has {element} twice");
                checker.fault(Anomaly::DuplicateElement, &[reader], text);
                continue;
            }
            let origin = checker.elements.get(&(key, element)).copied();
            match checker.origin(reader, origin, || format!("list {key} was read with {element}")) {
                Some(origin) => {
                    self.made.insert(version, origin.transaction);
                }
                None => self.broken = true,
            }
        }
    }

    fn add_edges(mut self, checker: &mut Checker<'_>, object: Object) {
        if self.broken || !self.fill(checker, object) {
            return;
        }
        self.find_intermediate_reads(checker, object);
        let reason = |dependency| Reason::new(dependency, object);
        let rungs: Vec<u32> = self.made.values().copied().collect();
        for pair in rungs.windows(2) {
            checker.graph.add(pair[0], pair[1], reason(Dependency::WriteWrite));
        }
        for &(version, reader) in &self.seen {
            if version > 0 {
                checker.graph.add(rungs[version as usize - 1], reader, reason(Dependency::WriteRead));
            }
            if let Some(&next) = rungs.get(version as usize) {
                checker.graph.add(reader, next, reason(Dependency::ReadWrite));
            }
        }
        self.order_unplaced(checker, object);
    }

    /// Puts helpers in the place of versions that nobody is known to have made; says so if there cannot be
    /// so many.
    fn fill(&mut self, checker: &mut Checker<'_>, object: Object) -> bool {
        let unplaced = self.unplaced.iter().map(|&number| checker.transaction(number).invoked);
        self.doubtful.extend(unplaced);
        self.doubtful.sort_unstable();
        let made = self.made.iter().map(|(&version, &number)| (version, number));
        let mut shown: Vec<(u64, u32)> = made.chain(self.seen.iter().copied()).collect();
        shown.sort_unstable();
        let known: Vec<u64> = self.made.keys().copied().collect();
        for &(version, number) in &shown {
            // What completed before they were invoked cannot have seen them.
            let end = checker.transaction(number).completed().unwrap_or(Time::MAX);
            let possible = self.doubtful.partition_point(|&invoked| invoked <= end) as u64;
            let known = known.partition_point(|&other| other <= version) as u64;
            if version - known > possible {
                let text = || {
                    format!(
                        "{object} was at version {version}, of which {known} were made, and {possible} at most \
                         by transactions that got no reply"
                    )
                };
                checker.fault(Anomaly::ThinAir, &[number], text);
                return false;
            }
        }
        let last = shown.last().map_or(0, |&(version, _)| version);
        let missing = last - known.len() as u64;
        if missing > 0 {
            let mut helper = checker.graph.add_helpers(missing as usize);
            for version in 1..=last {
                self.made.entry(version).or_insert_with(|| {
                    helper += 1;
                    helper - 1
                });
            }
        }
        true
    }

    /// G1b: somebody saw a version after which its own transaction made another.
    fn find_intermediate_reads(&self, checker: &mut Checker<'_>, object: Object) {
        let mut last: HashMap<u32, u64> = HashMap::new();
        self.made.iter().for_each(|(&version, &number)| {
            last.insert(number, version);
        });
        for &(version, reader) in &self.seen {
            let Some(&writer) = self.made.get(&version) else { continue };
            if writer != reader && last[&writer] > version {
                let text =
                    || format!("{object} was seen at version {version}; T{writer} made that and a later one");
                checker.fault(Anomaly::IntermediateRead, &[reader, writer], text);
            }
        }
    }

    /// What was appended and is in no list that was read comes after all who read the longest one.
    fn order_unplaced(&self, checker: &mut Checker<'_>, object: Object) {
        if self.unplaced.is_empty() {
            return;
        }
        let last = self.elements.len() as u64;
        let (both, readers): (Vec<u32>, Vec<u32>) = self
            .seen
            .iter()
            .filter(|&&(version, _)| version == last)
            .map(|&(_, reader)| reader)
            .partition(|reader| self.unplaced.contains(reader));
        let onward = Reason::onward(object);
        let read = Reason::new(Dependency::ReadWrite, object);
        let helper = checker.graph.add_helpers(2);
        readers.iter().for_each(|&reader| checker.graph.add(reader, helper, read));
        self.unplaced.iter().for_each(|&writer| checker.graph.add(helper, writer, onward));
        // A reader that appended itself is not before itself, hence a helper for it and the pure writers,
        // and among such readers single edges; there is one at most if all is well.
        both.iter().for_each(|&reader| checker.graph.add(reader, helper + 1, read));
        let pure = self.unplaced.iter().filter(|writer| !both.contains(writer));
        pure.for_each(|&writer| checker.graph.add(helper + 1, writer, onward));
        for pair in both.windows(2) {
            checker.graph.add(pair[0], pair[1], read);
            checker.graph.add(pair[1], pair[0], read);
        }
    }
}
