//! Transactions over several keys: the judge is `polder_history`; here its histories are made.
//!
//! Keys that no transaction has in common have histories of their own, since strict serializability of the
//! parts is that of the whole then (as Herlihy and Wing show for linearizability). That bounds what the
//! judge has in memory at a time.

use std::collections::{HashMap, HashSet};

use polder_history::{Outcome, Transaction, check as judge};

use super::fault::{Fault, Findings};
use super::history::{History, Kind, Operation, Reply};
use crate::error::Failure;

/// The operations of one transaction, by their numbers.
type Group<'a> = &'a [u32];

pub fn check(history: &History, numbers: &[u32]) -> Result<Findings, Failure> {
    check_values(history, numbers)?;
    let operation = |number: u32| &history.operations[number as usize];
    let transactions: Vec<Group> = numbers
        .chunk_by(|&a, &b| {
            let (a, b) = (operation(a), operation(b));
            (a.client, a.call, a.other) == (b.client, b.call, b.other)
        })
        .collect();
    let mut findings = Findings { objects: transactions.len(), ..Findings::default() };
    let mut told = HashSet::new();
    for part in parts(history, &transactions) {
        let judged = polder_history::History {
            transactions: part.iter().map(|group| transaction(history, group)).collect(),
            accounts: Vec::new(),
        };
        for fault in judge(&judged) {
            findings.add(told.insert(fault.anomaly), || {
                let mut lines = fault.text.lines().map(String::from);
                let what = lines.next().unwrap_or_default();
                let groups = fault.transactions.iter().map(|&number| part[number as usize]);
                Fault { what, operations: groups.flatten().copied().collect(), notes: lines.collect() }
            });
        }
    }
    Ok(findings)
}

/// What is written is unique, or else nobody can tell who wrote it.
fn check_values(history: &History, numbers: &[u32]) -> Result<(), Failure> {
    let mut written = HashSet::new();
    for &number in numbers {
        let operation = &history.operations[number as usize];
        let writes = matches!(operation.kind, Kind::StepSet | Kind::StepAppend);
        if writes && !written.insert((operation.kind == Kind::StepSet, operation.key, operation.value)) {
            let name = operation.names(&history.header.prefix).remove(0);
            let text = format!("the history writes {} to {name} twice: no value may be", operation.value);
            return Err(Failure::Options(text));
        }
    }
    Ok(())
}

/// The transactions in parts that have no key in common.
fn parts<'a>(history: &History, transactions: &[Group<'a>]) -> Vec<Vec<Group<'a>>> {
    // A forest whose roots stand for the parts; every key hangs below its part's root.
    let mut parents: Vec<usize> = Vec::new();
    let mut ids: HashMap<(Kind, u32), usize> = HashMap::new();
    fn root(parents: &mut [usize], mut node: usize) -> usize {
        while parents[node] != node {
            parents[node] = parents[parents[node]];
            node = parents[node];
        }
        node
    }
    let mut firsts = Vec::with_capacity(transactions.len());
    for group in transactions {
        let mut first = None;
        for &number in *group {
            let operation = &history.operations[number as usize];
            let next = parents.len();
            let id = *ids.entry((object(operation.kind), operation.key)).or_insert(next);
            if id == next {
                parents.push(next);
            }
            let (own, other) = (root(&mut parents, id), root(&mut parents, *first.get_or_insert(id)));
            parents[own] = other;
        }
        firsts.push(first.unwrap_or_default());
    }
    let mut parts: HashMap<usize, Vec<Group>> = HashMap::new();
    for (group, first) in transactions.iter().zip(firsts) {
        parts.entry(root(&mut parents, first)).or_default().push(group);
    }
    let mut parts: Vec<Vec<Group>> = parts.into_values().collect();
    // In the order in which they began, so that the first fault is told.
    parts.sort_by_key(|part| part.iter().map(|group| history.operations[group[0] as usize].call).min());
    parts
}

/// One kind for all operations on an object of its type.
fn object(kind: Kind) -> Kind {
    match kind {
        Kind::StepGet => Kind::StepSet,
        Kind::StepList => Kind::StepAppend,
        Kind::StepCount => Kind::StepIncr,
        kind => kind,
    }
}

fn transaction(history: &History, group: Group) -> Transaction {
    let operations = || group.iter().map(|&number| &history.operations[number as usize]);
    let first = &history.operations[group[0] as usize];
    let outcome = match &first.reply {
        Reply::Lost => Outcome::Unknown,
        Reply::Error(_) | Reply::Garbage(_) => Outcome::Aborted,
        _ => Outcome::Committed(first.back),
    };
    Transaction {
        client: first.client.into(),
        invoked: first.call,
        // The operations of a client stand in the order in which they were sent.
        position: group[0],
        outcome,
        operations: operations().filter_map(step).collect(),
    }
}

fn step(operation: &Operation) -> Option<polder_history::Operation> {
    use polder_history::Operation::{Append, Increment, Read, ReadCounter, ReadList, Write};
    let (key, value) = (operation.key, operation.value as u64);
    let number = match operation.reply {
        Reply::Number(number) => Some(number as u64),
        _ => None,
    };
    let known = number.is_some() || operation.reply == Reply::Null;
    match operation.kind {
        Kind::StepSet => Some(Write { key, value }),
        Kind::StepAppend => Some(Append { key, element: value, length: number }),
        Kind::StepIncr => Some(Increment { key, result: number }),
        Kind::StepGet => known.then_some(Read { key, value: number }),
        Kind::StepCount => known.then_some(ReadCounter { key, value: number.unwrap_or(0) }),
        Kind::StepList => match &operation.reply {
            Reply::Many(elements) => {
                let elements = elements.iter().map(|element| element.unwrap_or(0) as u64).collect();
                Some(ReadList { key, elements })
            }
            _ => None,
        },
        _ => None,
    }
}
