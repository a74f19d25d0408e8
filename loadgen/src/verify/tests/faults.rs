//! Histories made by hand: right ones, and one for each way to be wrong, with the operations that are told.

use crate::verify::fault::Findings;
use crate::verify::history::{Form, Header, History, Kind, NEVER, Operation, Reply};
use crate::verify::options::Check;
use crate::verify::{judge, report};

use Kind::{
    Balances, Cas, Count, Del, Get, GetSet, Incr, IncrBy, Look, LookAll, Mark, Move, Pop, Push, Remaining,
    Set, SetNx, StepAppend, StepGet, StepIncr, StepList, StepSet, Transfer,
};
use Reply::{Lost, Many, Null, Number, Ok};

/// An operation of a client between two instants.
fn by(client: u16, (call, back): (u64, u64), operation: Operation, reply: Reply) -> Operation {
    let back = if reply == Lost { NEVER } else { back };
    Operation { client, call, back, reply, ..operation }
}

fn on(kind: Kind, key: u32) -> Operation {
    Operation::new(kind, key)
}

fn writes(kind: Kind, key: u32, value: i64) -> Operation {
    Operation::new(kind, key).with_value(value)
}

fn many(items: &[i64]) -> Reply {
    Many(items.iter().map(|item| Some(*item)).collect())
}

fn history(operations: Vec<Operation>) -> History {
    let header = Header { prefix: "v:".into(), complete: true, ..Header::default() };
    let mut operations = operations;
    operations.sort_by_key(|operation| operation.client);
    History { header, operations }
}

fn findings(history: &History) -> Findings {
    let mut all = Findings::default();
    for (_, _, findings) in judge(history, &Check::ALL).unwrap() {
        all.merge(findings);
    }
    all
}

fn assert_right(operations: Vec<Operation>) {
    let history = history(operations);
    assert_eq!(findings(&history).faults, []);
}

/// The first fault has these words, and of the operations exactly those with the given numbers.
fn assert_wrong(operations: Vec<Operation>, words: &str, told: &[usize]) {
    let expected: Vec<Operation> = told.iter().map(|&number| operations[number].clone()).collect();
    let history = history(operations);
    let findings = findings(&history);
    let fault = findings.faults.first().unwrap_or_else(|| panic!("nothing is found of '{words}'"));
    let text = report::fault(&history, fault);
    assert!(fault.what.contains(words), "'{words}' is not in: {text}");
    let mut found: Vec<Operation> =
        fault.operations.iter().map(|&number| history.operations[number as usize].clone()).collect();
    assert_eq!(found.len(), expected.len(), "{text}");
    found.retain(|operation| !expected.contains(operation));
    assert_eq!(found, [], "{text}");
}

#[test]
fn registers() {
    let set = |value| writes(Set, 1, value);
    assert_right(vec![
        by(0, (0, 10), set(1), Ok),
        by(1, (5, 15), on(Get, 1), Null),
        by(2, (5, 15), on(Get, 1), Number(1)),
        by(0, (20, 30), writes(GetSet, 1, 2), Number(1)),
        by(1, (20, 30), writes(SetNx, 1, 3), Null),
        by(2, (40, 50), on(Del, 1), Number(1)),
        by(1, (55, 60), writes(SetNx, 1, 4), Ok),
        by(1, (65, 70), writes(Cas, 1, 5).with_other(4), Ok),
        by(0, (65, 70), writes(Cas, 1, 6).with_other(4), Null),
        by(0, (75, 80), on(Get, 1), Number(5)),
    ]);
    let stale = vec![
        by(0, (0, 10), set(1), Ok),
        by(0, (12, 18), on(Get, 1), Number(1)),
        by(0, (20, 30), set(2), Ok),
        by(1, (21, 33), set(3), Ok),
        by(2, (40, 50), on(Get, 1), Number(1)),
        by(2, (60, 70), on(Get, 1), Number(3)),
    ];
    let history = history(stale);
    let found = findings(&history);
    assert!(found.faults[0].what.contains("a stale read: 1"), "{found:?}");
    assert_eq!(found.faults[0].operations.len(), 3, "{found:?}");
    assert_wrong(
        vec![
            by(0, (0, 10), set(1), Ok),
            by(1, (20, 30), writes(GetSet, 1, 2), Number(1)),
            by(2, (25, 30), writes(Cas, 1, 3).with_other(1), Ok),
            by(1, (40, 50), on(Get, 1), Number(3)),
        ],
        "a lost update: two operations found 1",
        &[0, 1, 2],
    );
    assert_wrong(vec![by(0, (0, 10), on(Get, 1), Number(9))], "9 was read, which nobody wrote", &[0]);
    assert_wrong(
        vec![by(0, (0, 10), on(Get, 1), Number(9)), by(1, (11, 20), set(9), Ok)],
        "9 was read before it was written",
        &[0, 1],
    );
    assert_wrong(
        vec![by(0, (0, 10), set(1), Ok), by(1, (11, 20), on(Get, 1), Null)],
        "it was found empty, though it held a value",
        &[0, 1],
    );
}

#[test]
fn operations_of_unknown_outcome_may_have_happened() {
    let lost = by(0, (0, 0), writes(Set, 1, 7), Lost);
    assert_right(vec![lost.clone(), by(1, (50, 60), on(Get, 1), Null)]);
    assert_right(vec![
        lost.clone(),
        by(1, (50, 60), on(Get, 1), Null),
        by(1, (61, 70), on(Get, 1), Number(7)),
    ]);
    // It happens only once, and after the first look it has happened.
    assert_wrong(
        vec![
            lost,
            by(1, (50, 60), on(Get, 1), Number(7)),
            by(1, (61, 70), writes(Set, 1, 8), Ok),
            by(1, (71, 80), on(Get, 1), Number(7)),
        ],
        "no order of these 4 operations",
        &[0, 1, 2, 3],
    );
    let add = by(0, (0, 0), writes(IncrBy, 1, 5), Lost);
    for after in [1, 6] {
        assert_right(vec![add.clone(), by(1, (50, 60), on(Incr, 1), Number(after))]);
    }
    assert_wrong(vec![add, by(1, (50, 60), on(Incr, 1), Number(11))], "no order of these 1 operations", &[1]);
}

#[test]
fn counters() {
    assert_right(vec![
        by(0, (0, 10), on(Incr, 1), Number(3)),
        by(1, (0, 10), writes(IncrBy, 1, 2), Number(2)),
        by(2, (0, 30), on(Count, 1), Number(2)),
    ]);
    assert_wrong(
        vec![by(0, (0, 10), on(Incr, 1), Number(1)), by(1, (5, 20), on(Incr, 1), Number(1))],
        "a lost update",
        &[0, 1],
    );
    assert_wrong(
        vec![
            by(0, (0, 10), on(Incr, 1), Number(1)),
            by(0, (11, 20), on(Incr, 1), Number(2)),
            by(1, (30, 40), on(Count, 1), Number(1)),
        ],
        "a stale read: 1 was read after it had become 2",
        &[1, 2],
    );
}

#[test]
fn transfers() {
    let transfer = |amount| on(Transfer, 0).with_other(1).with_value(amount);
    let look = || on(Balances, 0).with_form(Form::Several);
    assert_right(vec![
        by(0, (0, 10), transfer(5), many(&[-5, 5])),
        by(1, (0, 10), look(), many(&[0, 0, 0, 0, 0, 0, 0, 0])),
        by(1, (11, 20), look(), many(&[-5, 5, 0, 0, 0, 0, 0, 0])),
    ]);
    assert_wrong(
        vec![
            by(0, (0, 10), transfer(5), many(&[-5, 5])),
            by(0, (11, 20), transfer(3), many(&[-8, 8])),
            by(1, (11, 20), look(), many(&[-8, 5, 0, 0, 0, 0, 0, 0])),
        ],
        "have -3 together, not 0: half a transfer was seen",
        &[1, 2],
    );
    assert_wrong(
        vec![
            by(0, (0, 10), transfer(5), many(&[-5, 5])),
            by(1, (11, 20), look(), many(&[0, 0, 0, 0, 0, 0, 0, 0])),
        ],
        "v:account:",
        &[0, 1],
    );
}

#[test]
fn lists() {
    let push = |value| writes(Push, 0, value);
    let end = |elements: &[i64]| by(9, (900, 910), on(Remaining, 0), many(elements));
    assert_right(vec![
        by(0, (0, 10), push(1), Number(1)),
        by(0, (0, 12), push(2), Number(2)),
        by(1, (5, 20), on(Pop, 0), Null),
        by(1, (5, 21), on(Pop, 0), Number(1)),
        by(2, (22, 30), on(Move, 0).with_other(2), Number(2)),
        by(2, (31, 40), on(Pop, 2), Number(2)),
        by(2, (31, 41), on(Pop, 0), Null),
        by(1, (50, 60), push(3), Number(1)),
        end(&[3]),
    ]);
    assert_wrong(
        vec![
            by(0, (0, 10), push(1), Number(1)),
            by(1, (20, 30), on(Pop, 0), Number(1)),
            by(2, (20, 30), on(Pop, 0), Number(1)),
        ],
        "element 1 was taken twice",
        &[0, 1, 2],
    );
    let pushed = || by(0, (0, 10), push(1), Number(1));
    assert_wrong(vec![pushed(), end(&[])], "element 1 was put there and is lost", &[0, 1]);
    let taken = by(1, (20, 30), on(Pop, 0), Number(1));
    assert_wrong(vec![pushed(), taken.clone(), end(&[1])], "taken, and is still there", &[0, 1, 2]);
    assert_wrong(vec![taken.clone()], "nobody had put it there", &[0]);
    let late = by(0, (40, 50), push(1), Number(1));
    assert_wrong(vec![taken, late], "taken before it was put there", &[0, 1]);
    assert_wrong(
        vec![pushed(), by(1, (20, 30), on(Pop, 0), Null)],
        "found empty, though 1 was in it",
        &[0, 1],
    );
}

#[test]
fn lists_keep_their_order() {
    let push = |value| writes(Push, 0, value);
    let pop = || on(Pop, 0);
    // By the clock.
    assert_wrong(
        vec![
            by(0, (0, 10), push(1), Number(1)),
            by(1, (20, 30), push(2), Number(2)),
            by(2, (40, 50), pop(), Number(2)),
            by(3, (60, 70), pop(), Number(1)),
        ],
        "1 was put in before 2, but taken out after it",
        &[0, 1, 2, 3],
    );
    // In pipelines, on the one side, the other, and both.
    let pushes = || [by(0, (0, 10), push(1), Number(1)), by(0, (0, 11), push(2), Number(2))];
    let pops = || [by(2, (40, 50), pop(), Number(2)), by(2, (40, 51), pop(), Number(1))];
    let apart = [by(2, (40, 50), pop(), Number(2)), by(3, (60, 70), pop(), Number(1))];
    assert_wrong([pushes(), apart].concat(), "1 was put in before 2", &[0, 1, 2, 3]);
    assert_wrong([pushes(), pops()].concat(), "1 was put in before 2", &[0, 1, 2, 3]);
    let apart = [by(0, (0, 10), push(1), Number(1)), by(1, (20, 30), push(2), Number(2))];
    assert_wrong([apart, pops()].concat(), "1 was put in before 2", &[0, 1, 2, 3]);
    // Those that overlap may go either way.
    let overlap = [by(0, (0, 10), push(1), Number(1)), by(1, (5, 30), push(2), Number(2))];
    assert_right([overlap, pops()].concat());
}

#[test]
fn lists_with_operations_of_unknown_outcome() {
    let push = |value| writes(Push, 0, value);
    let end = |list, elements: &[i64]| by(9, (900, 910), on(Remaining, list), many(elements));
    let pushed = || by(0, (0, 10), push(1), Number(1));
    let lost_pop = by(1, (20, 0), on(Pop, 0), Lost);
    assert_right(vec![pushed(), lost_pop.clone(), end(0, &[])]);
    assert_right(vec![pushed(), lost_pop.clone(), end(0, &[1])]);
    assert_right(vec![pushed(), lost_pop.clone(), by(2, (30, 40), on(Pop, 0), Null)]);
    let another = by(0, (11, 15), push(2), Number(2));
    assert_wrong(
        vec![pushed(), another, lost_pop, end(0, &[])],
        "2 elements are missing, 1 for one, but only 1 operations of unknown outcome",
        &[0, 1, 2, 3],
    );
    let lost_move = by(1, (20, 0), on(Move, 0).with_other(2), Lost);
    assert_right(vec![pushed(), lost_move, by(2, (30, 40), on(Pop, 2), Number(1)), end(0, &[])]);
    let lost_push = by(0, (0, 0), push(1), Lost);
    assert_right(vec![lost_push.clone(), end(0, &[])]);
    assert_right(vec![lost_push, by(2, (30, 40), on(Pop, 0), Number(1)), end(0, &[])]);
}

#[test]
fn pipelines() {
    let write = |value| {
        let at = value as u64 * 100;
        (0..4).map(move |key| by(0, (at, at + 10 + u64::from(key)), writes(Mark, key, value), Ok))
    };
    let look = |call, key, value| by(1, (call, call + 20 - u64::from(key)), on(Look, key), Number(value));
    let right = [look(105, 3, 1), look(105, 2, 1), look(105, 1, 2), look(105, 0, 2)];
    let mut right: Vec<Operation> = write(1).chain(write(2)).chain(right).collect();
    right.iter_mut().filter(|operation| operation.kind == Look).for_each(|look| look.back = 300);
    assert_right(right);
    let wrong = [by(1, (195, 220), on(Look, 3), Number(2)), by(1, (195, 221), on(Look, 1), Number(1))];
    assert_wrong(
        write(1).chain(write(2)).chain(wrong).collect(),
        "client 1 saw 2 in v:mark:3, but 1 in v:mark:1",
        &[5, 7, 8, 9],
    );
    let torn = by(1, (195, 220), on(LookAll, 0), many(&[1, 1, 2, 1]));
    assert_wrong(write(1).chain(write(2)).chain([torn]).collect(), "saw 2 in v:mark:2", &[5, 6, 8]);
}

#[test]
fn transactions() {
    let step = |client, times, kind, key, value, reply| {
        by(client, times, on(kind, key).with_value(value).with_other(1).with_form(Form::Multi), reply)
    };
    assert_right(vec![
        step(0, (0, 10), StepSet, 1, 1, Ok),
        step(0, (0, 10), StepAppend, 2, 2, Number(1)),
        step(1, (5, 20), StepGet, 1, 0, Number(1)),
        step(1, (5, 20), StepList, 2, 0, many(&[2])),
        step(2, (5, 20), StepIncr, 1, 0, Number(1)),
    ]);
    assert_wrong(
        vec![
            step(0, (0, 10), StepSet, 1, 1, Ok),
            step(0, (0, 10), StepAppend, 2, 2, Number(1)),
            step(1, (5, 20), StepGet, 1, 0, Number(1)),
            step(1, (5, 20), StepList, 2, 0, many(&[])),
        ],
        "read skew",
        &[0, 1, 2, 3],
    );
    let twice = history(vec![step(0, (0, 10), StepSet, 1, 1, Ok), step(1, (0, 10), StepSet, 1, 1, Ok)]);
    assert!(judge(&twice, &Check::ALL).unwrap_err().to_string().contains("twice"));
}

#[test]
fn replies_that_make_no_sense() {
    assert_wrong(
        vec![by(0, (0, 10), on(Get, 1), Reply::Garbage("Array([])".into()))],
        "no reply that this command can have",
        &[0],
    );
}
