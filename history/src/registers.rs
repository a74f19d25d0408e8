//! Registers: which version follows on which, as far as that can be known.
//!
//! A *chain* is a version and those that follow directly on it, one on the other, because each was written
//! by a transaction that had read the one before. Nothing else comes between them, so chains are ordered as
//! a whole:
//!
//! ```text
//!   initial ─► 7 ─► 9        5        4 ─► 8            three chains of a register
//!   └── the first of all     └── which of the two is earlier? By the clock, or by who read what
//! ```

use std::collections::HashMap;

use super::graph::{Dependency, Object, Reason};
use super::{Anomaly, Checker, Key, Operation, Value};

/// The value of a version of a register; `None` is the initial one.
type Content = Option<Value>;

#[derive(Default)]
struct Version {
    writer: Option<u32>,
    readers: Vec<u32>,
    /// The version that its writer had read.
    follows: Option<u32>,
    /// The version whose writer had read this one.
    next: Option<u32>,
    chain: Option<u32>,
}

struct Register {
    key: Key,
    /// The initial version is the first.
    versions: Vec<Version>,
    numbers: HashMap<Value, u32>,
    chains: Vec<Chain>,
    /// Two versions follow on one, or they follow on each other in a circle: there are no chains then.
    malformed: bool,
}

#[derive(Default)]
struct Chain {
    versions: Vec<u32>,
    /// Who wrote its first version; nobody wrote the initial one.
    head: Option<u32>,
    /// All that wrote or read its versions lead to it.
    helper: u32,
    zone: Zone,
}

/// When the versions of a chain were current, as far as the clock tells: certainly from the earliest
/// completion of an operation on them to the latest invocation, if that is later (Gibbons and Korach).
#[derive(Clone, Copy)]
struct Zone {
    /// The earliest completion, and whose.
    completed: (i128, u32),
    /// The latest invocation, and whose.
    invoked: (i128, u32),
}

impl Default for Zone {
    fn default() -> Self {
        Zone { completed: (i128::MAX, u32::MAX), invoked: (i128::MIN, u32::MAX) }
    }
}

impl Zone {
    fn before(&self, other: &Zone) -> bool {
        self.completed.0 < other.invoked.0
    }

    fn is_forward(&self) -> bool {
        self.completed.0 < self.invoked.0
    }
}

/// What a transaction saw of the others' writes to a key, and what it left to them.
struct Access {
    key: Key,
    read: Option<Content>,
    write: Option<Value>,
}

pub fn check(checker: &mut Checker<'_>) {
    let mut registers = Registers::default();
    let accesses: Vec<(u32, Vec<Access>)> = checker
        .happened()
        .map(|(number, _)| number)
        .collect::<Vec<_>>()
        .into_iter()
        .map(|number| (number, accesses(checker, number)))
        .filter(|(_, accesses)| !accesses.is_empty())
        .collect();
    for (number, accesses) in &accesses {
        for access in accesses {
            let register = registers.of(access.key);
            if let Some(value) = access.write {
                register.add(value).writer = Some(*number);
            }
        }
    }
    for (number, accesses) in &accesses {
        for access in accesses {
            registers.read(checker, *number, access);
        }
    }
    for register in &mut registers.list {
        register.find_chains(checker);
        register.add_edges(checker);
        if !register.malformed && register.zones_fit(checker) {
            register.add_zones(checker);
        }
    }
    for (number, accesses) in &accesses {
        registers.order_by_reads(checker, *number, accesses);
    }
}

/// A transaction's operations on registers, with what it did for itself taken out.
fn accesses(checker: &mut Checker<'_>, number: u32) -> Vec<Access> {
    let mut accesses: Vec<Access> = Vec::new();
    for operation in &checker.transaction(number).operations {
        let (Operation::Read { key, .. } | Operation::Write { key, .. }) = *operation else { continue };
        let position = accesses.iter().position(|access| access.key == key).unwrap_or_else(|| {
            accesses.push(Access { key, read: None, write: None });
            accesses.len() - 1
        });
        let access = &mut accesses[position];
        match *operation {
            Operation::Write { value, .. } => access.write = Some(value),
            Operation::Read { value, .. } => {
                let expected = access.write.map(Some).or(access.read);
                if expected.is_some_and(|expected| expected != value) {
                    let text = || format!("register {key} was {} when it was read again", shown(value));
                    checker.fault(Anomaly::Unrepeatable, &[number], text);
                } else if access.write.is_none() {
                    access.read = Some(value);
                }
            }
            _ => {}
        }
    }
    accesses
}

fn shown(content: Content) -> String {
    content.map_or("nothing".into(), |value| value.to_string())
}

#[derive(Default)]
struct Registers {
    list: Vec<Register>,
    positions: HashMap<Key, usize>,
}

impl Registers {
    fn of(&mut self, key: Key) -> &mut Register {
        let position = *self.positions.entry(key).or_insert_with(|| {
            self.list.push(Register::new(key));
            self.list.len() - 1
        });
        &mut self.list[position]
    }

    /// Notes a read, and that the reader's own write follows on it.
    fn read(&mut self, checker: &mut Checker<'_>, reader: u32, access: &Access) {
        let key = access.key;
        let Some(content) = access.read else { return };
        let version = match content {
            None => 0,
            Some(value) => {
                let what = || format!("register {key} was read as {value}");
                let origin = checker.registers.get(&(key, value)).copied();
                let Some(origin) = checker.origin(reader, origin, what) else { return };
                if origin.transaction == reader {
                    let text = || format!("{}: it wrote that itself, but later", what());
                    checker.fault(Anomaly::ThinAir, &[reader], text);
                    return;
                }
                if !origin.last {
                    let writer = origin.transaction;
                    let text = || format!("{}: T{writer} wrote that and then something else", what());
                    checker.fault(Anomaly::IntermediateRead, &[reader, writer], text);
                    return;
                }
                let Some(&number) = self.of(key).numbers.get(&value) else { return };
                number
            }
        };
        let register = self.of(key);
        register.versions[version as usize].readers.push(reader);
        let Some(own) = access.write.and_then(|value| register.numbers.get(&value).copied()) else { return };
        register.versions[own as usize].follows = Some(version);
        let before = register.versions[version as usize].next.replace(own);
        let other = before.and_then(|before| register.versions[before as usize].writer);
        if let Some(other) = other {
            register.malformed = true;
            let text =
                || format!("both read register {key} = {}, and both wrote a new value", shown(content));
            checker.fault(Anomaly::LostUpdate, &[other, reader], text);
        }
    }

    /// Orders of versions that follow from what a transaction read: if a transaction is known to come before
    /// it and wrote another version of a register that it read or wrote, that version is the earlier one.
    fn order_by_reads(&self, checker: &mut Checker<'_>, reader: u32, accesses: &[Access]) {
        let number = |key: Key, content: Content| -> Option<u32> {
            let register = &self.list[*self.positions.get(&key)?];
            content.map_or(Some(0), |value| register.numbers.get(&value).copied())
        };
        if accesses.len() < 2 {
            return;
        }
        let seen = |access: &Access| access.read.or(access.write.map(Some));
        let mut writers: Vec<u32> = accesses
            .iter()
            .filter_map(|access| Some(checker.registers.get(&(access.key, access.read??))?.transaction))
            .filter(|&writer| writer != reader && checker.happened[writer as usize])
            .collect();
        writers.sort_unstable();
        writers.dedup();
        for writer in writers {
            for operation in &checker.transaction(writer).operations {
                let Operation::Write { key, value } = *operation else { continue };
                let Some(content) = accesses.iter().find(|access| access.key == key).and_then(seen) else {
                    continue;
                };
                let (Some(earlier), Some(later)) = (number(key, Some(value)), number(key, content)) else {
                    continue;
                };
                if earlier != later {
                    self.list[self.positions[&key]].order(checker, earlier, later, reader);
                }
            }
        }
    }
}

impl Register {
    fn new(key: Key) -> Self {
        let initial = Version::default();
        Register {
            key,
            versions: vec![initial],
            numbers: HashMap::new(),
            chains: Vec::new(),
            malformed: false,
        }
    }

    fn add(&mut self, value: Value) -> &mut Version {
        self.numbers.insert(value, self.versions.len() as u32);
        self.versions.push(Version::default());
        let last = self.versions.len() - 1;
        &mut self.versions[last]
    }

    fn reason(&self, dependency: Dependency) -> Reason {
        Reason::new(dependency, Object::Register(self.key))
    }

    fn find_chains(&mut self, checker: &mut Checker<'_>) {
        for start in 0..self.versions.len() as u32 {
            if self.versions[start as usize].follows.is_some() {
                continue;
            }
            let number = self.chains.len() as u32;
            let mut chain = Chain { head: self.versions[start as usize].writer, ..Chain::default() };
            let mut next = Some(start);
            while let Some(version) = next {
                chain.versions.push(version);
                self.versions[version as usize].chain = Some(number);
                next = self.versions[version as usize].next;
            }
            self.chains.push(chain);
        }
        self.malformed |= self.versions.iter().any(|version| version.chain.is_none());
        let first = checker.graph.add_helpers(self.chains.len());
        for (chain, helper) in self.chains.iter_mut().zip(first..) {
            chain.helper = helper;
        }
    }

    /// Who wrote and read what, and what is known of chains without a clock.
    fn add_edges(&self, checker: &mut Checker<'_>) {
        let object = Object::Register(self.key);
        let (wrote, read) = (self.reason(Dependency::WriteWrite), self.reason(Dependency::ReadWrite));
        for version in &self.versions {
            let next = version.next.and_then(|next| self.versions[next as usize].writer);
            let helper = version.chain.map(|chain| self.chains[chain as usize].helper);
            if let Some(writer) = version.writer {
                for &reader in &version.readers {
                    checker.graph.add(writer, reader, self.reason(Dependency::WriteRead));
                }
                next.iter().for_each(|&next| checker.graph.add(writer, next, wrote));
                helper.iter().for_each(|&helper| checker.graph.add(writer, helper, wrote));
            }
            for &reader in &version.readers {
                next.iter().for_each(|&next| checker.graph.add(reader, next, read));
                helper.iter().for_each(|&helper| checker.graph.add(reader, helper, read));
            }
        }
        if self.malformed {
            return;
        }
        let Some((initial, others)) = self.chains.split_first() else { return };
        for head in others.iter().filter_map(|chain| chain.head) {
            checker.graph.add(initial.helper, head, Reason::onward(object));
        }
    }

    /// One version is earlier than another, as a transaction shows.
    fn order(&self, checker: &mut Checker<'_>, earlier: u32, later: u32, witness: u32) {
        let chain = |version: u32| Some(&self.chains[self.versions[version as usize].chain? as usize]);
        if let (Some(one), Some(other)) = (chain(earlier), chain(later))
            && !self.malformed
            && one.helper != other.helper
        {
            let onward = Reason::onward(Object::Register(self.key)).shown_by(witness);
            // Nothing is before the initial version, as its readers know.
            return other.head.iter().for_each(|&head| checker.graph.add(one.helper, head, onward));
        }
        let writer = |version: u32| self.versions[version as usize].writer;
        if let (Some(one), Some(other)) = (writer(earlier), writer(later)) {
            checker.graph.add(one, other, self.reason(Dependency::WriteWrite).shown_by(witness));
        }
    }

    fn zone(&self, checker: &Checker<'_>, chain: &Chain) -> Zone {
        let mut zone = Zone::default();
        if chain.head.is_none() {
            zone.completed.0 = i128::MIN;
        }
        for &version in &chain.versions {
            let version = &self.versions[version as usize];
            for &number in version.writer.iter().chain(&version.readers) {
                let transaction = checker.transaction(number);
                if let Some(completed) = transaction.completed() {
                    zone.completed = zone.completed.min((completed.into(), number));
                }
                zone.invoked = zone.invoked.max((transaction.invoked.into(), number));
            }
        }
        zone
    }

    /// Whether the chains can be put one after the other such that no operation leaves its time.
    fn zones_fit(&mut self, checker: &mut Checker<'_>) -> bool {
        for number in 0..self.chains.len() {
            self.chains[number].zone = self.zone(checker, &self.chains[number]);
        }
        let mut forward: Vec<usize> =
            (0..self.chains.len()).filter(|&number| self.chains[number].zone.is_forward()).collect();
        forward.sort_by_key(|&number| self.chains[number].zone.completed);
        let zone = |number: usize| &self.chains[number].zone;
        let overlapping = forward.windows(2).find(|pair| zone(pair[1]).before(zone(pair[0])));
        let inside = || {
            (0..self.chains.len()).filter(|&number| !zone(number).is_forward()).find_map(|number| {
                let after = forward.partition_point(|&other| zone(other).before(zone(number)));
                let around = *forward.get(after.checked_sub(1)?)?;
                zone(number).before(zone(around)).then_some([around, number])
            })
        };
        let Some([one, other]) = overlapping.map(|pair| [pair[0], pair[1]]).or_else(inside) else {
            return true;
        };
        let (one, other) = (*zone(one), *zone(other));
        let mut transactions = vec![one.completed.1, one.invoked.1, other.completed.1, other.invoked.1];
        transactions.sort_unstable();
        transactions.dedup();
        transactions.retain(|&number| number != u32::MAX);
        let key = self.key;
        let text = || {
            let order = |from: &Zone, to: &Zone| match from.completed.1 {
                u32::MAX => format!("nothing was there before T{} was invoked", to.invoked.1),
                number => format!("T{number} completed before T{} was invoked", to.invoked.1),
            };
            format!(
                "register {key} had one value before the other, and the other before the one: {}, and {}",
                order(&one, &other),
                order(&other, &one)
            )
        };
        checker.fault(Anomaly::NotLinearizable, &transactions, text);
        false
    }

    /// The order of chains by the clock: as in [`Checker::add_time`], a helper for each zone.
    fn add_zones(&self, checker: &mut Checker<'_>) {
        let reason = Reason::time(Some(Object::Register(self.key)));
        let mut order: Vec<&Chain> = self.chains.iter().collect();
        order.sort_by_key(|chain| chain.zone.completed);
        let first = checker.graph.add_helpers(order.len());
        for (position, chain) in (0..).zip(&order) {
            checker.graph.add(chain.helper, first + position, reason);
            if position > 0 {
                checker.graph.add(first + position - 1, first + position, reason);
            }
        }
        for chain in &order {
            let Some(head) = chain.head else { continue };
            // The line of helpers up to its own place, which is not before itself, and beyond it one by one:
            // those lie across its beginning, which they do for one zone only.
            let completed = chain.zone.completed.0;
            let own = order.partition_point(|other| other.zone.completed.0 < completed);
            let end = order.partition_point(|other| other.zone.completed.0 < chain.zone.invoked.0);
            let before = own.min(end);
            if before > 0 {
                checker.graph.add(first + before as u32 - 1, head, reason);
            }
            for other in order.iter().take(end).skip(own).filter(|other| other.helper != chain.helper) {
                checker.graph.add(other.helper, head, reason);
            }
        }
    }
}
