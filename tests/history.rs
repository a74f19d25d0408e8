//! The judge of histories is judged: right histories pass, one wrong one for each anomaly does not, and on
//! small histories it agrees with a search over all orders.

mod support;

use std::collections::{BTreeMap, HashSet};
use std::time::{Duration, Instant};

use support::history::{
    Anomaly, CycleKind, History, Key, Operation, Outcome, Time, Transaction, Value,
    assert_strictly_serializable, check,
};
use support::random::{Random, seed};

use Operation::{Append, Balances, Increment, Read, ReadCounter, ReadList, Transfer, Write};

fn transaction(invoked: Time, outcome: Outcome, operations: &[Operation]) -> Transaction {
    Transaction { client: 0, invoked, position: 0, outcome, operations: operations.to_vec() }
}

/// A transaction that committed.
fn done(invoked: Time, completed: Time, operations: &[Operation]) -> Transaction {
    transaction(invoked, Outcome::Committed(completed), operations)
}

fn history(transactions: Vec<Transaction>) -> History {
    History { transactions, accounts: Vec::new() }
}

fn write(key: Key, value: Value) -> Operation {
    Write { key, value }
}

fn read(key: Key, value: Value) -> Operation {
    Read { key, value: Some(value) }
}

fn empty(key: Key) -> Operation {
    Read { key, value: None }
}

fn append(key: Key, element: Value) -> Operation {
    Append { key, element, length: None }
}

fn append_to(key: Key, element: Value, length: u64) -> Operation {
    Append { key, element, length: Some(length) }
}

fn list(key: Key, elements: &[Value]) -> Operation {
    ReadList { key, elements: elements.to_vec() }
}

fn increment(key: Key, result: u64) -> Operation {
    Increment { key, result: Some(result) }
}

fn anomalies(transactions: Vec<Transaction>) -> HashSet<Anomaly> {
    check(&history(transactions)).iter().map(|fault| fault.anomaly).collect()
}

#[track_caller]
fn assert_found(transactions: Vec<Transaction>, expected: Anomaly) {
    let faults = check(&history(transactions));
    let found = faults.iter().any(|fault| fault.anomaly == expected);
    assert!(found, "expected {expected:?}, found {faults:#?}");
}

#[track_caller]
fn assert_right(transactions: Vec<Transaction>) {
    assert_strictly_serializable(&history(transactions));
}

fn cycle(kind: CycleKind, time: bool) -> Anomaly {
    Anomaly::Cycle { kind, time }
}

// What is right.

#[test]
fn an_empty_history_and_one_without_overlap() {
    assert_right(vec![]);
    assert_right(vec![
        done(1, 2, &[empty(1), list(1, &[]), ReadCounter { key: 1, value: 0 }]),
        done(3, 4, &[write(1, 10), append_to(1, 10, 1), increment(1, 1)]),
        done(5, 6, &[read(1, 10), write(1, 11), read(1, 11), append_to(1, 11, 2), list(1, &[10, 11])]),
        done(7, 8, &[increment(1, 2), increment(1, 3), ReadCounter { key: 1, value: 3 }]),
        done(9, 10, &[read(1, 11), list(1, &[10, 11]), ReadCounter { key: 1, value: 3 }]),
    ]);
}

#[test]
fn what_overlaps_may_happen_in_either_order() {
    for seen in [1, 2] {
        assert_right(vec![
            done(1, 10, &[write(1, 1), write(2, 1)]),
            done(1, 10, &[write(1, 2), write(2, 2)]),
            done(11, 12, &[read(1, seen), read(2, seen)]),
        ]);
    }
    // A read may see what has not completed, and may miss it.
    assert_right(vec![
        done(1, 100, &[write(1, 1)]),
        done(2, 3, &[empty(1)]),
        done(4, 5, &[read(1, 1)]),
        done(6, 7, &[read(1, 1)]),
    ]);
    // Equal times overlap.
    assert_right(vec![done(1, 5, &[write(1, 1)]), done(5, 9, &[empty(1)])]);
}

#[test]
fn what_nobody_knows_the_outcome_of_may_have_happened() {
    let lost = |operations: &[Operation]| transaction(1, Outcome::Unknown, operations);
    assert_right(vec![lost(&[write(1, 1)]), done(5, 6, &[empty(1)])]);
    assert_right(vec![lost(&[write(1, 1)]), done(5, 6, &[empty(1)]), done(7, 8, &[read(1, 1)])]);
    assert_right(vec![
        lost(&[append(1, 1)]),
        done(5, 6, &[append_to(1, 2, 2)]),
        done(7, 8, &[list(1, &[1, 2])]),
    ]);
    assert_right(vec![lost(&[append(1, 1)]), done(5, 6, &[append_to(1, 2, 2)])]);
    assert_right(vec![
        lost(&[append(1, 1)]),
        done(5, 6, &[append_to(1, 2, 1)]),
        done(7, 8, &[list(1, &[2])]),
    ]);
    let increments = || lost(&[Increment { key: 1, result: None }]);
    assert_right(vec![increments(), done(5, 6, &[increment(1, 1)]), done(7, 8, &[increment(1, 3)])]);
    // All of it or nothing.
    assert_found(
        vec![lost(&[write(1, 1), write(2, 1)]), done(5, 6, &[read(1, 1), empty(2)])],
        cycle(CycleKind::GSingle, false),
    );
    // One lost increment cannot be two.
    assert_found(vec![increments(), done(5, 6, &[increment(1, 3)])], Anomaly::ThinAir);
    // A reply that came tells that it happened.
    assert_found(
        vec![lost(&[append_to(1, 1, 1), append(2, 1)]), done(5, 6, &[list(1, &[1]), list(2, &[])])],
        cycle(CycleKind::GSingle, false),
    );
}

#[test]
fn transfers_keep_the_sum() {
    let opening = vec![(1, 50), (2, 50)];
    let balances = |one, other| Balances { accounts: vec![(1, one), (2, other)] };
    let with = |transactions| History { transactions, accounts: opening.clone() };
    let transfer = || Transfer { from: 1, to: 2, amount: 20 };
    let before = done(1, 9, &[balances(50, 50)]);
    assert_strictly_serializable(&with(vec![
        done(1, 5, &[transfer()]),
        before.clone(),
        transaction(1, Outcome::Aborted, &[transfer()]),
        done(10, 11, &[balances(30, 70)]),
    ]));
    let wrong =
        |transactions| check(&with(transactions)).iter().all(|fault| fault.anomaly == Anomaly::WrongBalance);
    let faults = |transactions| check(&with(transactions)).len();
    let torn = vec![done(1, 5, &[transfer()]), done(1, 9, &[balances(30, 50)])];
    assert!(faults(torn.clone()) == 1 && wrong(torn));
    let lost = vec![done(1, 5, &[transfer()]), done(10, 11, &[balances(50, 50)])];
    assert!(faults(lost.clone()) == 2 && wrong(lost));
    let doubtful = vec![transaction(1, Outcome::Unknown, &[transfer()]), done(10, 11, &[balances(50, 50)])];
    assert_eq!(faults(doubtful), 0);
}

// One wrong history for each anomaly.

#[test]
fn g0_writes_in_opposite_orders() {
    assert_found(
        vec![
            done(1, 9, &[append(1, 1), append(2, 1)]),
            done(1, 9, &[append(1, 2), append(2, 2)]),
            done(10, 11, &[list(1, &[1, 2])]),
            done(10, 11, &[list(2, &[2, 1])]),
        ],
        cycle(CycleKind::G0, false),
    );
}

#[test]
fn g1a_a_read_of_what_was_aborted() {
    let aborted = |operation: Operation| transaction(1, Outcome::Aborted, &[operation]);
    assert_found(vec![aborted(write(1, 1)), done(1, 9, &[read(1, 1)])], Anomaly::AbortedRead);
    assert_found(vec![aborted(append(1, 1)), done(1, 9, &[list(1, &[1])])], Anomaly::AbortedRead);
}

#[test]
fn g1b_a_read_of_an_intermediate_version() {
    assert_found(
        vec![done(1, 9, &[write(1, 1), write(1, 2)]), done(1, 9, &[read(1, 1)])],
        Anomaly::IntermediateRead,
    );
    assert_found(
        vec![
            done(1, 9, &[append(1, 1), append(1, 2)]),
            done(1, 9, &[list(1, &[1])]),
            done(1, 9, &[list(1, &[1, 2])]),
        ],
        Anomaly::IntermediateRead,
    );
    assert_found(
        vec![
            done(1, 9, &[increment(1, 1), increment(1, 2)]),
            done(1, 9, &[ReadCounter { key: 1, value: 1 }]),
        ],
        Anomaly::IntermediateRead,
    );
}

#[test]
fn g1c_two_that_see_each_other() {
    assert_found(
        vec![done(1, 9, &[write(1, 1), read(2, 2)]), done(1, 9, &[write(2, 2), read(1, 1)])],
        cycle(CycleKind::G1c, false),
    );
}

/// One that reads half of what another wrote.
#[test]
fn g_single_read_skew() {
    assert_found(
        vec![done(1, 9, &[append(1, 1), append(2, 1)]), done(1, 9, &[list(1, &[1]), list(2, &[])])],
        cycle(CycleKind::GSingle, false),
    );
}

#[test]
fn g2_write_skew() {
    assert_found(
        vec![
            done(1, 9, &[list(1, &[]), append_to(2, 1, 1)]),
            done(1, 9, &[list(2, &[]), append_to(1, 2, 1)]),
            done(10, 11, &[list(1, &[2]), list(2, &[1])]),
        ],
        cycle(CycleKind::G2, false),
    );
    assert_found(
        vec![done(1, 9, &[empty(1), write(2, 1)]), done(1, 9, &[empty(2), write(1, 2)])],
        cycle(CycleKind::G2, false),
    );
}

#[test]
fn lost_updates() {
    assert_found(
        vec![
            done(1, 2, &[write(1, 1)]),
            done(3, 9, &[read(1, 1), write(1, 2)]),
            done(3, 9, &[read(1, 1), write(1, 3)]),
        ],
        Anomaly::LostUpdate,
    );
    assert_found(vec![done(3, 9, &[increment(1, 1)]), done(3, 9, &[increment(1, 1)])], Anomaly::LostUpdate);
    assert_found(
        vec![done(3, 9, &[append_to(1, 1, 1)]), done(3, 9, &[append_to(1, 2, 1)])],
        Anomaly::LostUpdate,
    );
    // Of a blind write that came between, which the clock tells.
    assert_found(
        vec![
            done(1, 2, &[write(1, 1)]),
            done(3, 20, &[read(1, 1), write(1, 3)]),
            done(10, 11, &[write(1, 2)]),
            done(21, 22, &[read(1, 3)]),
        ],
        Anomaly::NotLinearizable,
    );
    // Appended, and in no list that was read later.
    assert_found(
        vec![done(1, 2, &[append(1, 1)]), done(1, 2, &[append(1, 2)]), done(3, 4, &[list(1, &[1])])],
        cycle(CycleKind::GSingle, true),
    );
    // Both read and append, and neither is seen.
    assert_found(
        vec![done(1, 9, &[list(1, &[]), append(1, 1)]), done(1, 9, &[list(1, &[]), append(1, 2)])],
        Anomaly::LostUpdate,
    );
}

#[test]
fn stale_reads() {
    let stale = [cycle(CycleKind::GSingle, true)];
    let found = anomalies(vec![done(1, 2, &[append_to(1, 1, 1)]), done(3, 4, &[list(1, &[])])]);
    assert_eq!(found, HashSet::from(stale));
    let found =
        anomalies(vec![done(1, 2, &[increment(1, 1)]), done(3, 4, &[ReadCounter { key: 1, value: 0 }])]);
    assert_eq!(found, HashSet::from(stale));
    let found = anomalies(vec![done(1, 2, &[write(1, 1)]), done(3, 4, &[empty(1)])]);
    assert_eq!(found, HashSet::from([stale[0], Anomaly::NotLinearizable]));
    // Back to what was there before.
    let back = vec![
        done(1, 2, &[write(1, 1)]),
        done(3, 9, &[write(1, 2)]),
        done(4, 5, &[read(1, 2)]),
        done(6, 7, &[read(1, 1)]),
    ];
    assert_found(back, Anomaly::NotLinearizable);
}

/// What is seen on one register and missed on another, each of them right for itself.
#[test]
fn the_order_of_two_registers_by_the_clock() {
    assert_found(
        vec![
            done(1, 100, &[write(1, 1)]),
            done(1, 100, &[write(2, 1)]),
            done(10, 20, &[read(1, 1), empty(2)]),
            done(10, 20, &[read(2, 1), empty(1)]),
        ],
        cycle(CycleKind::G2, false),
    );
    assert_found(
        vec![
            done(1, 2, &[write(1, 1), write(2, 1)]),
            done(3, 4, &[write(1, 2)]),
            done(5, 6, &[write(2, 2)]),
            done(3, 6, &[read(1, 1), read(2, 2)]),
        ],
        cycle(CycleKind::GSingle, true),
    );
}

#[test]
fn the_order_of_a_pipeline() {
    let sent = |position, operation| Transaction { position, ..done(1, 9, &[operation]) };
    let both = |one, other| {
        let reader = Transaction { client: 1, ..done(1, 9, &[one, other]) };
        vec![sent(0, write(1, 1)), sent(1, write(2, 1)), reader]
    };
    assert_right(both(empty(1), empty(2)));
    assert_right(both(read(1, 1), empty(2)));
    assert_found(both(empty(1), read(2, 1)), cycle(CycleKind::GSingle, true));
}

#[test]
fn a_torn_mget() {
    // The two writes overlap: that one of them must be the first is enough.
    assert_found(
        vec![
            done(1, 9, &[write(1, 1), write(2, 1)]),
            done(1, 9, &[write(1, 2), write(2, 2)]),
            done(1, 9, &[read(1, 1), read(2, 2)]),
        ],
        cycle(CycleKind::G0, false),
    );
    assert_found(
        vec![
            done(1, 2, &[write(1, 1), write(2, 1)]),
            done(3, 9, &[write(1, 2), write(2, 2)]),
            done(4, 8, &[read(1, 1), read(2, 2)]),
        ],
        cycle(CycleKind::G0, false),
    );
    assert_found(
        vec![done(1, 9, &[write(1, 1), write(2, 1)]), done(1, 9, &[read(1, 1), empty(2)])],
        cycle(CycleKind::GSingle, false),
    );
}

#[test]
fn values_that_cannot_be() {
    assert_found(vec![done(1, 2, &[read(1, 7)])], Anomaly::ThinAir);
    assert_found(vec![done(1, 2, &[list(1, &[7])])], Anomaly::ThinAir);
    assert_found(vec![done(1, 2, &[ReadCounter { key: 1, value: u64::MAX }])], Anomaly::ThinAir);
    assert_found(
        vec![done(1, 2, &[append(1, 7)]), done(3, 4, &[list(1, &[7, 7])])],
        Anomaly::DuplicateElement,
    );
    let two =
        || vec![done(1, 2, &[append(1, 7)]), done(1, 2, &[append(1, 8)]), done(3, 4, &[list(1, &[7, 8])])];
    let orders = [two(), vec![done(3, 4, &[list(1, &[8])])]].concat();
    assert_found(orders, Anomaly::IncompatibleOrder);
    let place = [two(), vec![done(1, 2, &[append_to(1, 9, 2)])]].concat();
    assert_found(place, Anomaly::IncompatibleOrder);
}

#[test]
fn others_between_a_transaction_s_own_operations() {
    assert_found(
        vec![done(1, 9, &[write(1, 1)]), done(1, 9, &[empty(1), read(1, 1)])],
        Anomaly::Unrepeatable,
    );
    assert_found(
        vec![done(1, 9, &[write(1, 1)]), done(1, 9, &[write(1, 2), read(1, 1)])],
        Anomaly::Unrepeatable,
    );
    assert_found(
        vec![done(1, 9, &[increment(1, 2)]), done(1, 9, &[increment(1, 1), increment(1, 3)])],
        Anomaly::Unrepeatable,
    );
    assert_found(vec![done(1, 9, &[append(1, 1), list(1, &[])])], Anomaly::Unrepeatable);
    assert_found(vec![done(1, 9, &[append_to(1, 1, 0)])], Anomaly::Unrepeatable);
}

/// The report names the transactions, what they did, and why that cannot be.
#[test]
fn a_fault_in_words() {
    let faults = check(&history(vec![
        done(1, 2, &[append_to(7, 1, 1)]),
        Transaction { client: 5, ..done(30, 40, &[list(7, &[])]) },
    ]));
    let expected = "read skew (G-single), by the order in time: 2 transactions in a circle\n\
        \x20 T0 (client 0, 1 to 2: list 7 += 1, now of length 1)\n\
        \x20 T1 (client 5, 30 to 40: list 7 is [], 0 elements)\n\
        because\n\
        \x20 T0 before T1: T0 completed at 2, before T1 was invoked at 30\n\
        \x20 T1 before T0: T1 saw of list 7 a version before that of T0";
    assert_eq!(faults.len(), 1);
    assert_eq!(faults[0].text, expected);
}

/// Where a third transaction shows the order of two versions, it is named.
#[test]
fn a_torn_mget_in_words() {
    let faults = check(&history(vec![
        done(1, 9, &[write(1, 1), write(2, 1)]),
        done(1, 9, &[write(1, 2), write(2, 2)]),
        done(1, 9, &[read(1, 1), read(2, 2)]),
    ]));
    assert_eq!(faults.len(), 1);
    let text = &faults[0].text;
    assert!(text.contains("seen by\n  T2 (client 0, 1 to 9: register 1 is 1; register 2 is 2)\n"), "{text}");
    let order = "T0 before T1: T1 wrote a later version of register 2 than T0, as T2 shows";
    assert!(text.contains(order), "{text}");
}

// Histories from a store that works.

/// A store that runs one transaction after the other.
#[derive(Clone, Default)]
struct Store {
    registers: BTreeMap<Key, Value>,
    lists: BTreeMap<Key, Vec<Value>>,
    counters: BTreeMap<Key, u64>,
}

impl Store {
    /// The operation with the reply that this store gives.
    fn run(&mut self, operation: &Operation) -> Operation {
        match *operation {
            Write { key, value } => {
                self.registers.insert(key, value);
                write(key, value)
            }
            Read { key, .. } => Read { key, value: self.registers.get(&key).copied() },
            Append { key, element, length } => {
                let list = self.lists.entry(key).or_default();
                list.push(element);
                Append { key, element, length: length.map(|_| list.len() as u64) }
            }
            ReadList { key, .. } => {
                ReadList { key, elements: self.lists.get(&key).cloned().unwrap_or_default() }
            }
            Increment { key, result } => {
                let counter = self.counters.entry(key).or_default();
                *counter += 1;
                Increment { key, result: result.map(|_| *counter) }
            }
            ReadCounter { key, .. } => {
                ReadCounter { key, value: self.counters.get(&key).copied().unwrap_or(0) }
            }
            Transfer { .. } | Balances { .. } => operation.clone(),
        }
    }
}

/// What histories are made of.
struct Shape {
    transactions: usize,
    operations_max: usize,
    keys: usize,
    clients: usize,
    /// How far from its place in the order a transaction may begin and end.
    spread: usize,
    /// One transaction in so many loses its reply; 0: none.
    lost_one_in: usize,
    kinds: &'static [Kind],
    /// Whether who appends learns the length.
    lengths: bool,
}

#[derive(Clone, Copy, Debug)]
enum Kind {
    Register,
    List,
    Counter,
}

const KINDS: &[Kind] = &[Kind::Register, Kind::List, Kind::Counter];

/// Runs random transactions one after the other, each at a moment between its beginning and its end.
fn serial_history(random: &mut Random, shape: &Shape) -> History {
    let mut store = Store::default();
    let mut free_at = vec![0; shape.clients];
    let mut transactions = Vec::with_capacity(shape.transactions);
    for number in 0..shape.transactions {
        let at = (number as Time + 1) * 10 * shape.spread as Time;
        let client = random.below(shape.clients);
        let spread = |random: &mut Random| random.below(10 * shape.spread * shape.clients) as Time;
        let invoked = at.saturating_sub(spread(random)).max(free_at[client] + 1);
        let completed = at.max(invoked) + spread(random);
        // A client whose last transaction takes longer than this one's moment does not begin another.
        if invoked > at {
            continue;
        }
        free_at[client] = completed;
        let mut operations: Vec<Operation> = (0..1 + random.below(shape.operations_max))
            .map(|step| random_operation(random, shape, (number * shape.operations_max + step) as Value))
            .collect();
        let lost = shape.lost_one_in > 0 && random.one_in(shape.lost_one_in);
        if lost {
            operations
                .retain(|operation| matches!(operation, Write { .. } | Append { .. } | Increment { .. }));
            operations.iter_mut().for_each(forget_reply);
        }
        if !lost || random.one_in(2) {
            operations = operations.iter().map(|operation| store.run(operation)).collect();
        }
        let outcome = if lost { Outcome::Unknown } else { Outcome::Committed(completed) };
        transactions.push(Transaction { client: client as u32, invoked, position: 0, outcome, operations });
    }
    // Their place in the history tells nothing.
    for last in (1..transactions.len()).rev() {
        transactions.swap(last, random.below(last + 1));
    }
    history(transactions)
}

fn forget_reply(operation: &mut Operation) {
    match operation {
        Append { length: reply, .. } | Increment { result: reply, .. } => *reply = None,
        _ => {}
    }
}

/// `unique` tells its values from all others.
fn random_operation(random: &mut Random, shape: &Shape, unique: Value) -> Operation {
    let key = random.below(shape.keys) as Key;
    match (random.pick(shape.kinds), random.below(4)) {
        (Kind::Register, 0 | 1) => write(key, unique),
        (Kind::Register, _) => empty(key),
        (Kind::List, 0 | 1) if shape.lengths => append_to(key, unique, 0),
        (Kind::List, 0 | 1) => append(key, unique),
        (Kind::List, _) => list(key, &[]),
        (Kind::Counter, 0 | 1) => increment(key, 0),
        (Kind::Counter, _) => ReadCounter { key, value: 0 },
    }
}

#[test]
fn histories_of_a_store_that_works_are_accepted() {
    let seed = seed("history", "of_a_store_that_works");
    let mut random = Random::new(seed);
    for _ in 0..2_000 {
        let shape = Shape {
            transactions: 1 + random.below(60),
            operations_max: 1 + random.below(5),
            keys: 1 + random.below(4),
            clients: 1 + random.below(8),
            spread: 1 + random.below(5),
            lost_one_in: random.below(6),
            kinds: KINDS,
            lengths: random.one_in(2),
        };
        assert_strictly_serializable(&serial_history(&mut random, &shape));
    }
}

/// Two transactions one after the other, of which the later one reads what the earlier one wrote: with
/// their times exchanged, the reader comes first, and has seen the future.
#[test]
fn an_exchange_that_can_be_seen_is_refused() {
    let seed = seed("history", "an_exchange");
    let mut random = Random::new(seed);
    let (mut exchanged, mut rounds) = (0, 0);
    while exchanged < 500 {
        rounds += 1;
        assert!(rounds < 50_000, "only {exchanged} exchanges");
        let shape = Shape {
            transactions: 30,
            operations_max: 3,
            keys: 3,
            clients: 4,
            spread: 1,
            lost_one_in: 0,
            kinds: KINDS,
            lengths: random.one_in(2),
        };
        let mut history = serial_history(&mut random, &shape);
        let transactions = &mut history.transactions;
        let (one, other) = (random.below(transactions.len()), random.below(transactions.len()));
        let completed = |transaction: &Transaction| match transaction.outcome {
            Outcome::Committed(at) => at,
            _ => Time::MAX,
        };
        let apart = completed(&transactions[one]) < transactions[other].invoked;
        if !apart || !sees(&transactions[other], &transactions[one]) {
            continue;
        }
        let (first, second) = (transactions[one].clone(), transactions[other].clone());
        (transactions[one].invoked, transactions[one].outcome) = (second.invoked, second.outcome);
        (transactions[other].invoked, transactions[other].outcome) = (first.invoked, first.outcome);
        assert!(!check(&history).is_empty(), "{:?} and {:?} are exchanged", first, second);
        exchanged += 1;
    }
}

/// Whether one transaction shows in the other's replies.
fn sees(reader: &Transaction, writer: &Transaction) -> bool {
    writer.operations.iter().any(|written| match *written {
        Write { key, value } => reader.operations.contains(&read(key, value)),
        Append { key, element, .. } => reader.operations.iter().any(
            |operation| matches!(operation, ReadList { key: of, elements } if *of == key && elements.contains(&element)),
        ),
        Increment { key, result: Some(result) } => reader.operations.iter().any(|operation| match *operation {
            ReadCounter { key: of, value } => of == key && value >= result,
            Increment { key: of, result: Some(later) } => of == key && later > result,
            _ => false,
        }),
        _ => false,
    })
}

// Against a search over all orders.

/// Whether some order of the transactions explains all replies and keeps to the clock.
fn has_an_order(history: &History) -> bool {
    let transactions: Vec<&Transaction> = history.transactions.iter().collect();
    search(&transactions, &Store::default(), 0)
}

fn search(transactions: &[&Transaction], store: &Store, placed: u32) -> bool {
    let left = |position: usize| placed & 1 << position == 0;
    let unplaced: Vec<usize> = (0..transactions.len()).filter(|&position| left(position)).collect();
    // Those of unknown outcome need not have happened.
    if unplaced.iter().all(|&position| transactions[position].outcome == Outcome::Unknown) {
        return true;
    }
    let earliest_end = unplaced
        .iter()
        .filter_map(|&position| match transactions[position].outcome {
            Outcome::Committed(at) => Some(at),
            _ => None,
        })
        .min()
        .unwrap_or(Time::MAX);
    unplaced.into_iter().filter(|&position| transactions[position].invoked <= earliest_end).any(|position| {
        let mut store = store.clone();
        let fits =
            transactions[position].operations.iter().all(|operation| store.run(operation) == *operation);
        fits && search(transactions, &store, placed | 1 << position)
    })
}

/// Changes one thing to another that may be possible: a reply, or when a transaction began or ended.
fn change(random: &mut Random, history: &mut History) {
    let position = random.below(history.transactions.len());
    if random.one_in(4) {
        let transaction = &mut history.transactions[position];
        let Outcome::Committed(completed) = &mut transaction.outcome else { return };
        match random.one_in(2) {
            true => transaction.invoked = random.below(*completed as usize) as Time,
            false => *completed = transaction.invoked + random.below(40) as Time,
        }
        return;
    }
    let written: Vec<Operation> =
        history.transactions.iter().flat_map(|transaction| transaction.operations.clone()).collect();
    let transaction = &mut history.transactions[position];
    if transaction.outcome == Outcome::Unknown || transaction.operations.is_empty() {
        return;
    }
    let step = random.below(transaction.operations.len());
    let near = |number: u64, random: &mut Random| (number + random.below(3) as u64).saturating_sub(1);
    match &mut transaction.operations[step] {
        Read { key, value } => {
            let values = written.iter().filter_map(|operation| match *operation {
                Write { key: of, value } if of == *key => Some(Some(value)),
                _ => None,
            });
            *value = *random.pick(&values.chain([None]).collect::<Vec<_>>());
        }
        ReadList { key, elements } => {
            let lists = written.iter().filter_map(|operation| match operation {
                ReadList { key: of, elements } if of == key => Some(elements.clone()),
                _ => None,
            });
            *elements = random.pick(&lists.collect::<Vec<_>>()).clone();
            if random.one_in(3) {
                elements.pop();
            }
        }
        Append { length: Some(reply), .. } | Increment { result: Some(reply), .. } => {
            *reply = near(*reply, random)
        }
        ReadCounter { value, .. } => *value = near(*value, random),
        _ => {}
    }
}

/// How many of the random wrong histories of this kind are found to be wrong, and how many there were; that
/// right ones are accepted is certain.
fn compare_with_search(
    random: &mut Random,
    kinds: &'static [Kind],
    keys: usize,
    rounds: usize,
) -> (usize, usize) {
    let (mut found, mut wrong) = (0, 0);
    for _ in 0..rounds {
        let shape = Shape {
            transactions: 2 + random.below(6),
            operations_max: 1 + random.below(3),
            keys,
            clients: 1 + random.below(4),
            spread: 1 + random.below(3),
            lost_one_in: random.below(8),
            kinds,
            lengths: random.one_in(2),
        };
        let mut history = serial_history(random, &shape);
        for _ in 0..random.below(3) {
            change(random, &mut history);
        }
        let faults = check(&history);
        if has_an_order(&history) {
            assert!(faults.is_empty(), "{:#?} has an order, but: {}", history, faults[0].text);
        } else {
            wrong += 1;
            found += usize::from(!faults.is_empty());
        }
    }
    (found, wrong)
}

#[test]
fn verdicts_are_those_of_a_search_over_all_orders() {
    let mut random = Random::new(seed("history", "verdicts_are_those"));
    let cases: [(&[Kind], usize, usize); 5] = [
        (&[Kind::Register], 1, 100),
        (&[Kind::Register], 3, 98),
        (&[Kind::List], 2, 98),
        (&[Kind::Counter], 2, 98),
        (&[Kind::Register, Kind::List, Kind::Counter], 2, 98),
    ];
    for (kinds, keys, percent) in cases {
        let (found, wrong) = compare_with_search(&mut random, kinds, keys, 20_000);
        println!("{kinds:?}, {keys} keys: {found} of {wrong} wrong histories are found");
        assert!(wrong > 300, "{kinds:?}: only {wrong} wrong histories");
        assert!(found * 100 >= wrong * percent, "{kinds:?}: {found} of {wrong}");
    }
}

/// A right one, and one of which everything is wrong, whose transactions are all in one circle.
#[test]
fn a_hundred_thousand_transactions_take_less_than_a_second() {
    let mut random = Random::new(seed("history", "a_hundred_thousand"));
    let shape = Shape {
        transactions: 150_000,
        operations_max: 5,
        keys: 4_000,
        clients: 16,
        spread: 3,
        lost_one_in: 50,
        kinds: KINDS,
        lengths: true,
    };
    let mut history = serial_history(&mut random, &shape);
    let count = history.transactions.len();
    assert!(count >= 100_000, "{count} transactions");
    let measure = |what: &str, history: &History| {
        let started = Instant::now();
        let faults = check(history);
        let elapsed = started.elapsed();
        println!("{what}, {count} transactions in {elapsed:?}");
        // Many times what it takes, so that a busy machine does not matter and a quadratic step does.
        assert!(elapsed < Duration::from_secs(20), "{what}: {elapsed:?}");
        faults
    };
    assert_eq!(measure("right", &history).len(), 0);
    for position in 1..count {
        let (before, rest) = history.transactions.split_at_mut(position);
        std::mem::swap(&mut before[position - 1].operations, &mut rest[0].operations);
    }
    let faults = measure("wrong", &history);
    assert!(faults.iter().any(|fault| matches!(fault.anomaly, Anomaly::Cycle { .. })));
    assert!(faults.iter().all(|fault| fault.text.len() < 10_000));
}
