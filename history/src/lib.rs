//! Judges what clients saw: is there one order of all transactions that explains every reply and does not
//! contradict the clock? That is strict serializability.
//!
//! The way is that of Elle (Kingsbury and Alvaro, "Elle: Inferring Isolation Anomalies from Experimental
//! Observations", VLDB 2020). Every value is written once, so a reply tells which transaction it came from;
//! from that follow edges between transactions, and an order exists only if they form no cycle:
//!
//! ```text
//!   ww    B wrote the version after A's                        registers.rs: unique values, and
//!   wr    B read what A wrote                                                read-modify-write
//!   rw    A read a version, and B wrote the next one           ladders.rs:   lists and counters, whose
//!   sent  one client sent A, and then B                                      replies show their history
//!   time  A completed before B was invoked
//!                         └──────────► graph.rs: components, the smallest cycle ──► words.rs
//! ```
//!
//! Registers do not show their history. What is known of the order of their versions: the initial one is
//! the first; who reads a version and writes another follows directly on it; and for each single register
//! the operations' times, by an exact test (Gibbons and Korach, "Testing Shared Memories", SIAM J. Comput.
//! 1997) that takes the place of a search (Wing and Gong) because every value is written once.
//!
//! Faults that need no cycle are named for what they are: values out of thin air, reads of what was
//! aborted, of intermediate versions, lost updates, elements that are there twice.
//!
//! What it does not do: prove. Every fault it names is one, but an order of blind writes that only a search
//! over all of them could exclude is let through.

mod balances;
mod graph;
mod ladders;
mod registers;
mod words;

use std::collections::HashMap;

use graph::{Graph, Reason};

pub type Key = u32;
pub type Value = u64;
/// Of one clock for all clients, in any unit.
pub type Time = u64;

/// A step of a transaction with its reply. Registers, lists, counters and accounts are different keys even
/// if their numbers are equal.
#[derive(Clone, Debug, PartialEq)]
pub enum Operation {
    /// Registers hold nothing at first. Every value is written to a register once at most.
    Write {
        key: Key,
        value: Value,
    },
    Read {
        key: Key,
        value: Option<Value>,
    },
    /// Lists are empty at first. Every element is appended to a list once at most. The length is the reply:
    /// of the list, with the new element.
    Append {
        key: Key,
        element: Value,
        length: Option<u64>,
    },
    ReadList {
        key: Key,
        elements: Vec<Value>,
    },
    /// Counters are 0 at first and grow by one. The result is the reply: with this increment.
    Increment {
        key: Key,
        result: Option<u64>,
    },
    ReadCounter {
        key: Key,
        value: u64,
    },
    /// Accounts are judged by their sum, and by what is in them in the end.
    Transfer {
        from: Key,
        to: Key,
        amount: i64,
    },
    Balances {
        accounts: Vec<(Key, i64)>,
    },
}

/// What is known of how a transaction ended.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Outcome {
    /// It happened; its reply was there at this time.
    Committed(Time),
    /// It did not happen.
    Aborted,
    /// Nobody knows: the client or the server vanished. It has happened if somebody saw its effect, or if
    /// one of its replies came.
    Unknown,
}

#[derive(Clone, Debug)]
pub struct Transaction {
    pub client: u32,
    pub invoked: Time,
    /// In its pipeline: what a client sent at the same time happens in the order of the positions, one
    /// after the other, and others may come between.
    pub position: u32,
    pub outcome: Outcome,
    pub operations: Vec<Operation>,
}

#[derive(Clone, Debug, Default)]
pub struct History {
    /// In any order.
    pub transactions: Vec<Transaction>,
    /// What is in the accounts at first.
    pub accounts: Vec<(Key, i64)>,
}

/// What is wrong. The names with a G are those of Adya's thesis ("Weak Consistency", MIT 1999).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Anomaly {
    /// A value that nobody wrote.
    ThinAir,
    /// G1a: a value of a transaction that did not happen.
    AbortedRead,
    /// G1b: a value that its transaction had overwritten itself.
    IntermediateRead,
    /// Two transactions read a version, and both wrote the next one.
    LostUpdate,
    /// A list has an element twice.
    DuplicateElement,
    /// Two reads of a list, neither of which begins with the other.
    IncompatibleOrder,
    /// A transaction saw others between its own operations.
    Unrepeatable,
    /// One register, looked at alone, did not behave like one.
    NotLinearizable,
    /// The accounts' sum has changed, or money is in the wrong account in the end.
    WrongBalance,
    /// A cycle; with `time` it takes the clock or the order of a pipeline to close it: serializable, but not
    /// strictly.
    Cycle { kind: CycleKind, time: bool },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CycleKind {
    /// Of writes alone.
    G0,
    /// Of writes and of reads of what was written.
    G1c,
    /// With one read of what was overwritten.
    GSingle,
    /// With several of them.
    G2,
}

/// A fault, and in words what it consists of.
#[derive(Clone, Debug)]
pub struct Fault {
    pub anomaly: Anomaly,
    /// Begins with a line that says what is wrong; the others name the transactions and the reasons.
    pub text: String,
    /// Those that the fault consists of and those that show it, by their position in the history.
    pub transactions: Vec<u32>,
}

/// Faults that are told of each kind: a broken server makes more than anybody reads.
const FAULTS_TOLD_MAX: usize = 5;

/// All that is wrong with a history; empty if nothing is.
pub fn check(history: &History) -> Vec<Fault> {
    let mut checker = Checker::new(history);
    registers::check(&mut checker);
    ladders::check_lists(&mut checker);
    ladders::check_counters(&mut checker);
    balances::check(&mut checker);
    checker.add_pipelines();
    checker.add_time();
    let Checker { graph, .. } = &checker;
    if let Some(cycle) = graph.smallest_cycle() {
        let fault = words::cycle(&checker, &cycle);
        checker.faults.push(fault);
    }
    checker.faults
}

/// A history that is wrong ends the test, with its faults in words.
pub fn assert_strictly_serializable(history: &History) {
    let faults = check(history);
    let texts: Vec<&str> = faults.iter().map(|fault| fault.text.as_str()).collect();
    assert!(
        faults.is_empty(),
        "{} transactions are not strictly serializable:\n\n{}",
        history.transactions.len(),
        texts.join("\n\n")
    );
}

/// What the parts of the check share. The nodes of the graph are the transactions, by their position in the
/// history, and behind them helpers that stand for many edges.
struct Checker<'a> {
    history: &'a History,
    graph: Graph,
    /// Which transactions have happened.
    happened: Vec<bool>,
    registers: HashMap<(Key, Value), Origin>,
    elements: HashMap<(Key, Value), Origin>,
    faults: Vec<Fault>,
    told: HashMap<Anomaly, usize>,
}

/// Which transaction wrote a value.
#[derive(Clone, Copy)]
struct Origin {
    transaction: u32,
    /// It did not write the same key again.
    last: bool,
}

impl<'a> Checker<'a> {
    fn new(history: &'a History) -> Self {
        let count = history.transactions.len();
        let mut checker = Checker {
            history,
            graph: Graph::new(count),
            happened: history.transactions.iter().map(Transaction::is_known_to_have_happened).collect(),
            registers: HashMap::with_capacity(count),
            elements: HashMap::with_capacity(count),
            faults: Vec::new(),
            told: HashMap::new(),
        };
        checker.collect_origins();
        checker.find_seen();
        checker
    }

    /// Who wrote what. A value that is written twice is a mistake of whoever made the history.
    fn collect_origins(&mut self) {
        for (number, transaction) in self.history.transactions.iter().enumerate() {
            // Backwards, so that the first that is met of a key is its last.
            let mut written: Vec<(bool, Key)> = Vec::new();
            for operation in transaction.operations.iter().rev() {
                let (is_list, key, value) = match *operation {
                    Operation::Write { key, value } => (false, key, value),
                    Operation::Append { key, element, .. } => (true, key, element),
                    _ => continue,
                };
                let last = !written.contains(&(is_list, key));
                if last {
                    written.push((is_list, key));
                }
                let origins = if is_list { &mut self.elements } else { &mut self.registers };
                let before = origins.insert((key, value), Origin { transaction: number as u32, last });
                assert!(before.is_none(), "{operation:?} is in the history twice");
            }
        }
    }

    /// A transaction of unknown outcome has happened if what it wrote was read by one that happened.
    fn find_seen(&mut self) {
        if self.history.transactions.iter().all(|transaction| transaction.outcome != Outcome::Unknown) {
            return;
        }
        // The longest list has all elements that the others have, or else is a fault for itself.
        let mut longest: HashMap<Key, &Vec<Value>> = HashMap::new();
        let mut seen: Vec<&Origin> = Vec::new();
        for operation in self.happened().flat_map(|(_, transaction)| &transaction.operations) {
            match operation {
                Operation::Read { key, value: Some(value) } => {
                    seen.extend(self.registers.get(&(*key, *value)))
                }
                Operation::ReadList { key, elements } => {
                    let longest = longest.entry(*key).or_insert(elements);
                    if elements.len() > longest.len() {
                        *longest = elements;
                    }
                }
                _ => {}
            }
        }
        for (&key, elements) in &longest {
            seen.extend(elements.iter().filter_map(|&element| self.elements.get(&(key, element))));
        }
        for transaction in seen.iter().map(|origin| origin.transaction as usize) {
            if self.history.transactions[transaction].outcome == Outcome::Unknown {
                self.happened[transaction] = true;
            }
        }
    }

    /// The transactions that have happened, with their numbers.
    fn happened(&self) -> impl Iterator<Item = (u32, &'a Transaction)> + use<'a, '_> {
        let numbered = self.history.transactions.iter().enumerate();
        numbered
            .filter(|&(number, _)| self.happened[number])
            .map(|(number, transaction)| (number as u32, transaction))
    }

    fn transaction(&self, number: u32) -> &'a Transaction {
        &self.history.transactions[number as usize]
    }

    /// Where a value that `reader` saw came from; says what is wrong with it if it should not have been seen.
    fn origin(&mut self, reader: u32, origin: Option<Origin>, what: impl Fn() -> String) -> Option<Origin> {
        let Some(origin) = origin else {
            self.fault(Anomaly::ThinAir, &[reader], || format!("{}: nobody wrote that", what()));
            return None;
        };
        let writer = origin.transaction;
        if self.transaction(writer).outcome == Outcome::Aborted {
            let text = || format!("{}: T{writer} wrote that and did not happen", what());
            self.fault(Anomaly::AbortedRead, &[reader, writer], text);
            return None;
        }
        Some(origin)
    }

    fn fault(&mut self, anomaly: Anomaly, transactions: &[u32], text: impl FnOnce() -> String) {
        let told = self.told.entry(anomaly).or_default();
        *told += 1;
        if *told <= FAULTS_TOLD_MAX {
            let text = words::fault(self, anomaly, transactions, &text());
            self.faults.push(Fault { anomaly, text, transactions: transactions.to_vec() });
        }
    }

    /// What was sent together comes one after the other.
    fn add_pipelines(&mut self) {
        let mut sent: Vec<(u32, Time, u32, u32)> = self
            .happened()
            .map(|(number, transaction)| {
                (transaction.client, transaction.invoked, transaction.position, number)
            })
            .collect();
        sent.sort_unstable();
        for pair in sent.windows(2) {
            let [(client, invoked, position, earlier), (other_client, other_invoked, other_position, later)] =
                *pair
            else {
                continue;
            };
            if (client, invoked) == (other_client, other_invoked) && position < other_position {
                self.graph.add(earlier, later, Reason::pipeline());
            }
        }
    }

    /// Everything that completed before something was invoked comes before it: one helper for each
    /// completion, in the order of the clock, instead of an edge for each pair.
    fn add_time(&mut self) {
        let mut completions: Vec<(Time, u32)> = self
            .happened()
            .filter_map(|(number, transaction)| Some((transaction.completed()?, number)))
            .collect();
        completions.sort_unstable();
        let reason = Reason::time(None);
        let first = self.graph.add_helpers(completions.len());
        for (position, &(_, transaction)) in completions.iter().enumerate() {
            let helper = first + position as u32;
            self.graph.add(transaction, helper, reason);
            if position > 0 {
                self.graph.add(helper - 1, helper, reason);
            }
        }
        let mut later: Vec<(Time, u32)> =
            self.happened().map(|(number, transaction)| (transaction.invoked, number)).collect();
        later.sort_unstable();
        let mut completed = 0;
        for (invoked, transaction) in later {
            while completions.get(completed).is_some_and(|&(at, _)| at < invoked) {
                completed += 1;
            }
            if completed > 0 {
                self.graph.add(first + completed as u32 - 1, transaction, reason);
            }
        }
    }
}

impl Transaction {
    fn completed(&self) -> Option<Time> {
        match self.outcome {
            Outcome::Committed(at) => Some(at),
            Outcome::Aborted | Outcome::Unknown => None,
        }
    }

    fn is_known_to_have_happened(&self) -> bool {
        match self.outcome {
            Outcome::Committed(_) => true,
            Outcome::Aborted => false,
            Outcome::Unknown => self.operations.iter().any(Operation::has_reply),
        }
    }
}

impl Operation {
    fn has_reply(&self) -> bool {
        match self {
            Operation::Read { .. }
            | Operation::ReadList { .. }
            | Operation::ReadCounter { .. }
            | Operation::Balances { .. } => true,
            Operation::Append { length, .. } => length.is_some(),
            Operation::Increment { result, .. } => result.is_some(),
            Operation::Write { .. } | Operation::Transfer { .. } => false,
        }
    }
}
