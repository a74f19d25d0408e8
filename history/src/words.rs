//! Faults in words: which transactions, what they did, and why that cannot be.

use std::fmt;

use super::graph::{Cycle, Dependency, Object, Reason};
use super::{Anomaly, Checker, CycleKind, Fault, Operation, Outcome, Transaction};

/// Operations of a transaction that are shown, and elements of a list: its last ones.
const OPERATIONS_SHOWN_MAX: usize = 30;
const ELEMENTS_SHOWN_MAX: usize = 12;

impl fmt::Display for Object {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Object::Register(key) => write!(to, "register {key}"),
            Object::List(key) => write!(to, "list {key}"),
            Object::Counter(key) => write!(to, "counter {key}"),
        }
    }
}

impl fmt::Display for Anomaly {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match self {
            Anomaly::ThinAir => "out of thin air",
            Anomaly::AbortedRead => "aborted read (G1a)",
            Anomaly::IntermediateRead => "intermediate read (G1b)",
            Anomaly::LostUpdate => "lost update",
            Anomaly::DuplicateElement => "duplicate element",
            Anomaly::IncompatibleOrder => "incompatible orders",
            Anomaly::Unrepeatable => "unrepeatable read",
            Anomaly::NotLinearizable => "not linearizable",
            Anomaly::WrongBalance => "wrong balance",
            Anomaly::Cycle { kind, time } => {
                let name = match kind {
                    CycleKind::G0 => "write cycle (G0)",
                    CycleKind::G1c => "circular information flow (G1c)",
                    CycleKind::GSingle => "read skew (G-single)",
                    CycleKind::G2 => "anti-dependency cycle (G2)",
                };
                return write!(to, "{name}{}", if *time { ", by the order in time" } else { "" });
            }
        };
        to.write_str(name)
    }
}

impl fmt::Display for Operation {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Operation::Write { key, value } => write!(to, "register {key} := {value}"),
            Operation::Read { key, value: Some(value) } => write!(to, "register {key} is {value}"),
            Operation::Read { key, value: None } => write!(to, "register {key} is empty"),
            Operation::Append { key, element, length: Some(length) } => {
                write!(to, "list {key} += {element}, now of length {length}")
            }
            Operation::Append { key, element, length: None } => write!(to, "list {key} += {element}"),
            Operation::ReadList { key, elements } => {
                let hidden = elements.len().saturating_sub(ELEMENTS_SHOWN_MAX);
                let dots = if hidden > 0 { "... " } else { "" };
                let shown: Vec<String> = elements[hidden..].iter().map(ToString::to_string).collect();
                write!(to, "list {key} is [{dots}{}], {} elements", shown.join(" "), elements.len())
            }
            Operation::Increment { key, result: Some(result) } => {
                write!(to, "counter {key} += 1, now {result}")
            }
            Operation::Increment { key, result: None } => write!(to, "counter {key} += 1"),
            Operation::ReadCounter { key, value } => write!(to, "counter {key} is {value}"),
            Operation::Transfer { from, to: target, amount } => {
                write!(to, "{amount} from account {from} to {target}")
            }
            Operation::Balances { accounts } => {
                let shown: Vec<String> =
                    accounts.iter().map(|(key, balance)| format!("{key}: {balance}")).collect();
                write!(to, "accounts are {}", shown.join(", "))
            }
        }
    }
}

impl fmt::Display for Transaction {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(to, "client {}, {} to ", self.client, self.invoked)?;
        match self.outcome {
            Outcome::Committed(at) => write!(to, "{at}: ")?,
            Outcome::Aborted => to.write_str("nowhere (aborted): ")?,
            Outcome::Unknown => to.write_str("an unknown end: ")?,
        }
        let shown = self.operations.iter().take(OPERATIONS_SHOWN_MAX).map(ToString::to_string);
        to.write_str(&shown.collect::<Vec<_>>().join("; "))?;
        match self.operations.len().saturating_sub(OPERATIONS_SHOWN_MAX) {
            0 => Ok(()),
            hidden => write!(to, "; and {hidden} more"),
        }
    }
}

pub(super) fn fault(checker: &Checker<'_>, anomaly: Anomaly, transactions: &[u32], text: &str) -> String {
    let mut lines = vec![format!("{anomaly}: {text}")];
    lines.extend(transactions.iter().map(|&number| line(checker, number)));
    lines.join("\n")
}

fn line(checker: &Checker<'_>, number: u32) -> String {
    format!("  T{number} ({})", checker.transaction(number))
}

pub(super) fn cycle(checker: &Checker<'_>, cycle: &Cycle) -> Fault {
    let reasons = || cycle.steps.iter().flat_map(|(_, reasons)| reasons);
    let time = reasons().any(|reason| reason.dependency >= Dependency::Pipeline);
    // What leads on from a helper repeats the reason that led to it.
    let count =
        |dependency| reasons().filter(|reason| !reason.follows && reason.dependency == dependency).count();
    let kind = match (count(Dependency::ReadWrite), count(Dependency::WriteRead)) {
        (0, 0) => CycleKind::G0,
        (0, _) => CycleKind::G1c,
        (1, _) => CycleKind::GSingle,
        _ => CycleKind::G2,
    };
    let anomaly = Anomaly::Cycle { kind, time };
    let mut lines = vec![format!("{anomaly}: {} transactions in a circle", cycle.steps.len())];
    lines.extend(cycle.steps.iter().map(|&(number, _)| line(checker, number)));
    let shown = |number| cycle.steps.iter().any(|&(shown, _)| shown == number);
    let mut witnesses: Vec<u32> =
        reasons().filter_map(|reason| reason.witness).filter(|&number| !shown(number)).collect();
    witnesses.sort_unstable();
    witnesses.dedup();
    if !witnesses.is_empty() {
        lines.push("seen by".into());
        lines.extend(witnesses.iter().map(|&number| line(checker, number)));
    }
    lines.push("because".into());
    for (position, (from, reasons)) in cycle.steps.iter().enumerate() {
        let (to, _) = cycle.steps[(position + 1) % cycle.steps.len()];
        lines.push(format!("  {}", because(checker, *from, to, reasons)));
    }
    let transactions = cycle.steps.iter().map(|&(number, _)| number).chain(witnesses).collect();
    Fault { anomaly, text: lines.join("\n"), transactions }
}

/// Why one transaction comes before another.
fn because(checker: &Checker<'_>, from: u32, to: u32, reasons: &[Reason]) -> String {
    let clock = reasons.iter().any(|reason| reason.follows && reason.dependency == Dependency::Time);
    let clock = if clock { ", by the times of the operations on it" } else { "" };
    let Some(Reason { dependency, object, .. }) = reasons.first().copied() else { return String::new() };
    let witness =
        reasons.iter().find_map(|reason| reason.witness).filter(|&witness| witness != from && witness != to);
    let witness = witness.map(|witness| format!(", as T{witness} shows")).unwrap_or_default();
    let object = object.map(|object| object.to_string()).unwrap_or_default();
    let why = match dependency {
        Dependency::WriteWrite => {
            format!("T{to} wrote a later version of {object} than T{from}{witness}{clock}")
        }
        Dependency::WriteRead => format!("T{to} saw of {object} what T{from} had written"),
        Dependency::ReadWrite => {
            format!("T{from} saw of {object} a version before that of T{to}{witness}{clock}")
        }
        Dependency::Pipeline => format!("one client sent T{from} and then T{to}"),
        Dependency::Time => {
            let (earlier, later) = (checker.transaction(from), checker.transaction(to));
            let completed = earlier.completed().unwrap_or_default();
            format!("T{from} completed at {completed}, before T{to} was invoked at {}", later.invoked)
        }
    };
    format!("T{from} before T{to}: {why}")
}
