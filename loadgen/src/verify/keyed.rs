//! Keys that are judged one by one: registers, counters, accounts, and the marks of pipelines.

use std::collections::{BTreeMap, HashSet};
use std::time::{Duration, Instant};

use super::fault::{Fault, Findings};
use super::history::{History, Kind, Operation, Reply};
use super::linearize::counter::{self, Counter};
use super::linearize::register::{self, Register};
use super::linearize::{Effort, Model, Step, Verdict, judge};
use super::minimise::{self, minimise};

/// Faulty keys whose histories are made small; the smallest is told.
const MINIMISED_MAX: usize = 3;

/// Keys that are hard to judge are left undecided once this has been spent on them.
const HARD_TIME_MAX: Duration = Duration::from_secs(30);

/// A key's steps, with those of every client in the order in which it sent them.
type Keys<A> = BTreeMap<u32, Vec<Step<A>>>;

/// What is needed to judge and to explain one kind of object.
trait Object {
    type Action: Copy;

    fn judge(steps: &[Step<Self::Action>], effort: Effort) -> Verdict;
    fn is_read(action: Self::Action) -> bool;
    /// Steps that show where the values that others saw came from.
    fn origins(steps: &[Step<Self::Action>], kept: &[usize]) -> Vec<usize>;
    /// What is wrong, given the smallest history.
    fn explain(steps: &[Step<Self::Action>], all: &[Step<Self::Action>]) -> String;
}

pub fn check_registers(history: &History, numbers: &[u32]) -> Findings {
    let mut keys: Keys<register::Action> = BTreeMap::new();
    for &number in numbers {
        let operation = &history.operations[number as usize];
        add(&mut keys, operation, number, operation.key, register_action(operation));
    }
    check::<Registers>(history, &keys)
}

pub fn check_counters(history: &History, numbers: &[u32]) -> Findings {
    let mut keys: Keys<counter::Action> = BTreeMap::new();
    for &number in numbers {
        let operation = &history.operations[number as usize];
        match operation.kind {
            Kind::Transfer | Kind::Balances => {
                for (key, action) in account_actions(operation) {
                    add(&mut keys, operation, number, key, Some(action));
                }
            }
            _ => add(&mut keys, operation, number, operation.key, counter_action(operation)),
        }
    }
    check::<Counters>(history, &keys)
}

fn add<A: Copy>(keys: &mut Keys<A>, operation: &Operation, number: u32, key: u32, action: Option<A>) {
    let Some(action) = action else { return };
    let certain = !operation.is_unknown();
    let (call, back, client) = (operation.call, operation.back, operation.client);
    let back = if certain { back } else { super::history::NEVER };
    keys.entry(key).or_default().push(Step { call, back, certain, client, action, number });
}

/// What an operation did to its register; `None` if it told nothing and changed nothing.
fn register_action(operation: &Operation) -> Option<register::Action> {
    use register::Action::{Exchange, Read, ReadSome, Set, Take};
    let value = operation.value;
    let seen = match operation.reply {
        Reply::Number(value) => Some(value),
        _ => None,
    };
    let read = (operation.other != 0).then_some(i64::from(operation.other));
    Some(match (operation.kind, &operation.reply) {
        (_, Reply::Error(_) | Reply::Garbage(_)) => return None,
        (Kind::Set | Kind::Mark, _) | (Kind::GetSet, Reply::Lost) => Set(value),
        (Kind::Get | Kind::Look, Reply::Lost) => return None,
        (Kind::Get | Kind::Look, _) => Read(seen),
        (Kind::GetSet, _) => Exchange(seen, value),
        (Kind::SetNx, Reply::Null) => ReadSome,
        (Kind::SetNx, _) => Exchange(None, value),
        (Kind::Del, Reply::Number(0)) => Read(None),
        (Kind::Del, _) => Take,
        // Why EXEC did nothing is not known.
        (Kind::Cas, Reply::Null) => return None,
        (Kind::Cas, _) => Exchange(read, value),
        _ => return None,
    })
}

fn counter_action(operation: &Operation) -> Option<counter::Action> {
    use counter::Action::{Add, Read};
    let amount = if operation.kind == Kind::Incr { 1 } else { operation.value };
    Some(match (operation.kind, &operation.reply) {
        (_, Reply::Error(_) | Reply::Garbage(_)) => return None,
        (Kind::Incr | Kind::IncrBy, Reply::Number(after)) => Add(amount, Some(*after)),
        (Kind::Incr | Kind::IncrBy, _) => Add(amount, None),
        (Kind::Count, Reply::Number(value)) => Read(*value),
        (Kind::Count, Reply::Null) => Read(0),
        _ => return None,
    })
}

/// What a transfer or a look at the balances means for each account.
fn account_actions(operation: &Operation) -> Vec<(u32, counter::Action)> {
    use counter::Action::{Add, Read};
    match (operation.kind, &operation.reply) {
        (_, Reply::Error(_) | Reply::Garbage(_) | Reply::Null) => Vec::new(),
        (Kind::Transfer, reply) => {
            let after = |index: usize| match reply {
                Reply::Many(after) => after.get(index).copied().flatten(),
                _ => None,
            };
            let amount = operation.value;
            let take = Add(amount.saturating_neg(), after(0));
            vec![(operation.key, take), (operation.other, Add(amount, after(1)))]
        }
        (Kind::Balances, Reply::Many(balances)) => {
            let read = |balance: &Option<i64>| Read(balance.unwrap_or(0));
            operation.keys().into_iter().zip(balances.iter().map(read)).collect()
        }
        _ => Vec::new(),
    }
}

fn check<O: Object>(history: &History, keys: &Keys<O::Action>) -> Findings {
    let mut findings = Findings { objects: keys.len(), ..Findings::default() };
    let mut refused = Vec::new();
    let mut undecided: Vec<_> = keys.iter().collect();
    // The shortest are the most likely to be decided.
    undecided.sort_by_key(|(_, steps)| steps.len());
    let mut hard_since = None;
    for effort in [Effort::Little, Effort::More, Effort::Full] {
        undecided.retain(|(_, steps)| {
            let has_time = hard_since.is_none_or(|since: Instant| since.elapsed() < HARD_TIME_MAX);
            match if has_time { O::judge(steps, effort) } else { Verdict::Undecided } {
                Verdict::Fits => false,
                Verdict::Refused => {
                    refused.push(*steps);
                    false
                }
                Verdict::Undecided => true,
            }
        });
        hard_since.get_or_insert_with(Instant::now);
    }
    findings.undecided = undecided.into_iter().map(|(key, _)| *key).collect();
    findings.total = refused.len();
    refused.sort_by_key(|steps| steps.len());
    let smallest = refused.iter().take(MINIMISED_MAX).map(|steps| explain::<O>(history, steps));
    findings.faults.extend(smallest.min_by_key(|fault| fault.operations.len()));
    findings
}

fn explain<O: Object>(history: &History, steps: &[Step<O::Action>]) -> Fault {
    let refused = |steps: &[Step<O::Action>]| O::judge(steps, Effort::Full) == Verdict::Refused;
    let smaller = minimise(steps, O::is_read, refused);
    let mut kept = smaller.positions;
    kept.extend(O::origins(steps, &kept));
    kept.sort_unstable();
    kept.dedup();
    let smallest: Vec<Step<O::Action>> = kept.iter().map(|&position| steps[position]).collect();
    let operations: Vec<u32> = smallest.iter().map(|step| step.number).collect();
    let name = object_name(history, &history.operations[operations[0] as usize]);
    let mut fault = Fault::new(format!("{name}: {}", O::explain(&smallest, steps)), operations);
    if smaller.is_unfinished {
        let seconds = minimise::TIME_MAX.as_secs();
        fault.notes.push(format!("it was made smaller for {seconds} s: there may be a smaller history"));
    }
    fault
}

fn object_name(history: &History, operation: &Operation) -> String {
    operation.names(&history.header.prefix).remove(0)
}

struct Registers;

impl Object for Registers {
    type Action = register::Action;

    fn judge(steps: &[Step<register::Action>], effort: Effort) -> Verdict {
        judge(Register::new(steps), steps, effort)
    }

    fn is_read(action: register::Action) -> bool {
        Register::new(&[]).is_read(action)
    }

    fn origins(steps: &[Step<register::Action>], kept: &[usize]) -> Vec<usize> {
        let seen: HashSet<i64> = kept.iter().filter_map(|&position| steps[position].action.seen()).collect();
        let writes =
            |step: &Step<register::Action>| step.action.written().is_some_and(|value| seen.contains(&value));
        (0..steps.len()).filter(|&position| writes(&steps[position])).collect()
    }

    fn explain(steps: &[Step<register::Action>], all: &[Step<register::Action>]) -> String {
        let writers = |value: i64| all.iter().filter(move |step| step.action.written() == Some(value));
        for step in steps {
            let Some(value) = step.action.seen() else { continue };
            if writers(value).next().is_none() {
                return format!("{value} was read, which nobody wrote");
            }
            if writers(value).all(|writer| writer.call > step.back) {
                return format!("{value} was read before it was written");
            }
        }
        let exchanged: Vec<i64> = steps
            .iter()
            .filter(|step| step.action.written().is_some())
            .filter_map(|step| step.action.seen())
            .collect();
        let twice = exchanged.iter().enumerate().find(|(place, value)| exchanged[..*place].contains(value));
        if let Some((_, value)) = twice {
            return format!("a lost update: two operations found {value}, and both replaced it");
        }
        for step in steps {
            let Some(value) = step.action.seen() else { continue };
            let overwritten = steps.iter().any(|other| {
                let writes = other.action.written().is_some_and(|other| other != value)
                    || other.action == register::Action::Take;
                let after = writers(value).all(|writer| writer.back < other.call);
                writes && other.certain && other.back < step.call && after
            });
            if overwritten {
                return format!("a stale read: {value} was read after it had been overwritten");
            }
        }
        for step in steps {
            if step.action == register::Action::Read(None) {
                return "it was found empty, though it held a value".into();
            }
        }
        format!("no order of these {} operations explains their replies", steps.len())
    }
}

struct Counters;

impl Object for Counters {
    type Action = counter::Action;

    fn judge(steps: &[Step<counter::Action>], effort: Effort) -> Verdict {
        judge(Counter, steps, effort)
    }

    fn is_read(action: counter::Action) -> bool {
        Counter.is_read(action)
    }

    fn origins(_: &[Step<counter::Action>], _: &[usize]) -> Vec<usize> {
        Vec::new()
    }

    fn explain(steps: &[Step<counter::Action>], _: &[Step<counter::Action>]) -> String {
        use counter::Action::{Add, Read};
        let grows = steps.iter().all(|step| !matches!(step.action, Add(amount, _) if amount < 0));
        let after = |step: &Step<counter::Action>| match step.action {
            Add(_, after) => after,
            Read(value) => Some(value),
        };
        let added = |step: &&Step<counter::Action>| matches!(step.action, Add(..));
        for (place, step) in steps.iter().enumerate().filter(|_| grows) {
            for other in steps[..place].iter().chain(&steps[place + 1..]).filter(added) {
                let (Some(value), Some(reached)) = (after(step), after(other)) else { continue };
                if matches!(step.action, Add(..)) && value == reached {
                    return format!("a lost update: two operations added to it, and both found {value} then");
                }
                if matches!(step.action, Read(_)) && other.back < step.call && value < reached {
                    return format!("a stale read: {value} was read after it had become {reached}");
                }
            }
        }
        format!("no order of these {} operations explains their replies", steps.len())
    }
}
