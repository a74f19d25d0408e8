//! Lists as queues: what is put in at one end is taken out at the other, once, in its order.
//!
//! Every element is put into a list once at most, so no search is needed. A history of a queue is wrong if
//! it shows one of these (Henzinger, Sezgin and Vafeiadis, "Aspect-Oriented Linearizability Proofs", CONCUR
//! 2013): an element that nobody had put in; one that was taken twice; two that were taken in the opposite
//! order; a queue that was found empty while something was in it. Of lists that were read in the end, also:
//! an element that is neither there nor was ever taken.
//!
//! An operation whose reply never came may have taken any element: where there are such, so many elements
//! may be missing.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use super::fault::{Fault, Findings};
use super::history::{History, Kind, NEVER, Operation, Reply};

/// The kinds of faults, of each of which the first is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Wrong {
    Unknown,
    Doubled,
    TooEarly,
    Lost,
    Order,
    Empty,
}

/// What is known of an element in a list.
#[derive(Debug, Default, Clone)]
struct Element {
    put: Option<u32>,
    /// The reply to the operation that put it in came.
    put_certainly: bool,
    taken: Vec<u32>,
    /// Reads in the end that found it, one for each time.
    left: Vec<u32>,
}

#[derive(Debug, Default)]
struct Queue {
    elements: BTreeMap<i64, Element>,
    /// Looks that found nothing.
    empty: Vec<u32>,
    /// Operations that may have taken something.
    lost: Vec<u32>,
    /// Who read it in the end.
    read: Option<u32>,
}

struct Queues<'a> {
    history: &'a History,
    findings: Findings,
    told: HashSet<Wrong>,
}

pub fn check(history: &History, numbers: &[u32]) -> Findings {
    let (queues, lost_moves) = collect(history, numbers);
    let mut checker = Queues { history, findings: Findings::default(), told: HashSet::new() };
    checker.findings.objects = queues.len();
    for (&list, queue) in &queues {
        let lives = checker.check_elements(list, queue, &queues, &lost_moves);
        checker.check_lost(list, queue);
        checker.check_order(list, &lives);
        checker.check_empty(list, queue, &lives);
    }
    checker.findings
}

/// The queues, and by the list that they gave to the moves whose reply never came.
fn collect(history: &History, numbers: &[u32]) -> (BTreeMap<u32, Queue>, HashMap<u32, Vec<u32>>) {
    let mut queues: BTreeMap<u32, Queue> = BTreeMap::new();
    let mut lost_moves: HashMap<u32, Vec<u32>> = HashMap::new();
    for &number in numbers {
        let operation = &history.operations[number as usize];
        let moves = matches!(operation.kind, Kind::Move | Kind::BlockingMove);
        let queue = queues.entry(operation.key).or_default();
        match (&operation.reply, operation.kind) {
            (Reply::Error(_) | Reply::Garbage(_), _) | (Reply::Lost, Kind::Remaining) => {}
            (reply, Kind::Push) => queue.put(operation.value, number, *reply != Reply::Lost),
            (Reply::Many(elements), Kind::Remaining) => {
                queue.read = Some(number);
                for element in elements.iter().flatten() {
                    queue.elements.entry(*element).or_default().left.push(number);
                }
            }
            (Reply::Lost, _) => {
                queue.lost.push(number);
                if moves {
                    lost_moves.entry(operation.other).or_default().push(number);
                }
            }
            (Reply::Number(element), _) => {
                queue.elements.entry(*element).or_default().taken.push(number);
                if moves {
                    queues.entry(operation.other).or_default().put(*element, number, true);
                }
            }
            _ => queue.empty.push(number),
        }
    }
    (queues, lost_moves)
}

impl Queue {
    fn put(&mut self, element: i64, number: u32, certainly: bool) {
        let element = self.elements.entry(element).or_default();
        // Should the history put it in twice, the first time counts.
        if element.put.is_none() {
            (element.put, element.put_certainly) = (Some(number), certainly);
        }
    }
}

/// When an element can have been in its queue.
#[derive(Debug, Clone, Copy)]
struct Life {
    element: i64,
    put: u32,
    /// It was put in, and the reply came then; [`NEVER`] if it did not come.
    put_call: u64,
    put_back: u64,
    taken: Option<u32>,
    /// It was not taken before this.
    taken_call: u64,
    taken_back: u64,
}

impl Queues<'_> {
    fn operation(&self, number: u32) -> &Operation {
        &self.history.operations[number as usize]
    }

    fn name(&self, list: u32) -> String {
        Operation::new(Kind::Pop, list).names(&self.history.header.prefix).remove(0)
    }

    fn fault(&mut self, wrong: Wrong, what: impl FnOnce() -> String, operations: &[u32]) {
        let first = self.told.insert(wrong);
        let mut operations = operations.to_vec();
        operations.sort_by_key(|&number| self.operation(number).call);
        self.findings.add(first, || Fault::new(what(), operations));
    }

    /// Every element by itself; tells when those were in the queue that are all right.
    fn check_elements(
        &mut self,
        list: u32,
        queue: &Queue,
        queues: &BTreeMap<u32, Queue>,
        lost_moves: &HashMap<u32, Vec<u32>>,
    ) -> Vec<Life> {
        let name = self.name(list);
        let first_lost = queue.lost.iter().map(|&number| self.operation(number).call).min();
        let mut lives = Vec::with_capacity(queue.elements.len());
        for (&value, element) in &queue.elements {
            let seen: Vec<u32> = element.taken.iter().chain(&element.left).copied().collect();
            if seen.len() > 1 {
                let operations: Vec<u32> = element.put.into_iter().chain(seen).collect();
                let what = match element.left.is_empty() {
                    true => format!("{name}: element {value} was taken twice"),
                    false => format!("{name}: element {value} was taken, and is still there"),
                };
                let what = if element.taken.is_empty() {
                    format!("{name}: element {value} is there twice")
                } else {
                    what
                };
                self.fault(Wrong::Doubled, || what, &operations);
                continue;
            }
            // A move whose reply never came may have brought it here.
            let movers = lost_moves.get(&list).into_iter().flatten().copied();
            let moved = movers.filter(|&number| {
                queues[&self.operation(number).key]
                    .elements
                    .get(&value)
                    .is_some_and(|source| source.put.is_some())
            });
            let Some(put) = element.put.or_else(|| moved.min_by_key(|&number| self.operation(number).call))
            else {
                let what = || format!("{name}: element {value} was found, but nobody had put it there");
                self.fault(Wrong::Unknown, what, &seen);
                continue;
            };
            let taken = element.taken.first().copied();
            if seen.is_empty() && queue.read.is_some() && queue.lost.is_empty() {
                // It is lost, which is told by itself.
                continue;
            }
            let put_back = if element.put_certainly { self.operation(put).back } else { NEVER };
            let (taken_call, taken_back) = match taken {
                Some(taken) => (self.operation(taken).call, self.operation(taken).back),
                None if !element.left.is_empty() => (NEVER, NEVER),
                None => (first_lost.unwrap_or(NEVER), NEVER),
            };
            let put_call = self.operation(put).call;
            if taken_back < put_call {
                let what = || format!("{name}: element {value} was taken before it was put there");
                self.fault(Wrong::TooEarly, what, &[put, taken.unwrap_or(put)]);
                continue;
            }
            lives.push(Life { element: value, put, put_call, put_back, taken, taken_call, taken_back });
        }
        lives
    }

    /// What was put in and is nowhere, as far as operations of unknown outcome do not excuse it.
    fn check_lost(&mut self, list: u32, queue: &Queue) {
        let Some(last) = queue.read else { return };
        let missing = queue.elements.iter().filter(|(_, element)| {
            element.put_certainly && element.taken.is_empty() && element.left.is_empty()
        });
        let mut missing: Vec<(i64, u32)> =
            missing.filter_map(|(&value, element)| Some((value, element.put?))).collect();
        missing.sort_by_key(|&(_, put)| self.operation(put).call);
        let excused = queue.lost.len();
        if missing.len() <= excused {
            return;
        }
        let (value, put) = missing[0];
        let name = self.name(list);
        let what = match excused {
            0 => format!("{name}: element {value} was put there and is lost"),
            _ => format!(
                "{name}: {} elements are missing, {value} for one, but only {excused} operations of unknown \
                 outcome can have taken one each",
                missing.len()
            ),
        };
        let operations: Vec<u32> = if excused == 0 {
            vec![put, last]
        } else {
            let puts = missing.iter().take(excused + 1).map(|&(_, put)| put);
            puts.chain(queue.lost.iter().copied()).chain([last]).collect()
        };
        let further = missing.len() - excused - 1;
        self.fault(Wrong::Lost, || what, &operations);
        self.findings.total += further;
    }

    /// Two elements that were put in one after the other, and taken the other way round.
    fn check_order(&mut self, list: u32, lives: &[Life]) {
        let wrong = self
            .overtaken_by_clock(lives)
            .or_else(|| self.overtaken_by_client(lives))
            .or_else(|| self.taken_in_order_of_client(lives));
        let Some((earlier, later)) = wrong else { return };
        let name = self.name(list);
        let what = || {
            let (first, second) = (earlier.element, later.element);
            match earlier.taken {
                Some(_) => format!("{name}: {first} was put in before {second}, but taken out after it"),
                None => {
                    format!("{name}: {first} was put in before {second}, but only {second} was taken out")
                }
            }
        };
        let operations = [Some(earlier.put), Some(later.put), later.taken, earlier.taken];
        let operations: Vec<u32> = operations.into_iter().flatten().collect();
        self.fault(Wrong::Order, what, &operations);
    }

    /// Put in one after the other by the clock: who of the earlier ones stays longest, and is it too long?
    fn overtaken_by_clock(&self, lives: &[Life]) -> Option<(Life, Life)> {
        let mut by_back: Vec<&Life> = lives.iter().filter(|life| life.put_back != NEVER).collect();
        by_back.sort_by_key(|life| life.put_back);
        let mut by_call: Vec<&Life> = lives.iter().collect();
        by_call.sort_by_key(|life| life.put_call);
        let mut earlier = by_back.into_iter().peekable();
        let mut longest: Option<&Life> = None;
        for later in by_call {
            while let Some(life) = earlier.next_if(|life| life.put_back < later.put_call) {
                if longest.is_none_or(|longest| life.taken_call > longest.taken_call) {
                    longest = Some(life);
                }
            }
            if let Some(longest) = longest.filter(|longest| longest.taken_call > later.taken_back) {
                return Some((*longest, *later));
            }
        }
        None
    }

    /// Put in one after the other by one client, perhaps in one pipeline.
    fn overtaken_by_client(&self, lives: &[Life]) -> Option<(Life, Life)> {
        let mut by_put: Vec<&Life> = lives.iter().filter(|life| life.put_back != NEVER).collect();
        // The operations of a client stand in the order in which it sent them.
        by_put.sort_by_key(|life| life.put);
        let mut longest: HashMap<u16, &Life> = HashMap::new();
        for later in by_put {
            let longest = longest.entry(self.operation(later.put).client).or_insert(later);
            if longest.taken_call > later.taken_back {
                return Some((**longest, *later));
            }
            if later.taken_call > longest.taken_call {
                *longest = later;
            }
        }
        None
    }

    /// Taken by one client one after the other, though put in the other way round.
    fn taken_in_order_of_client(&self, lives: &[Life]) -> Option<(Life, Life)> {
        let mut by_taken: Vec<(u32, &Life)> =
            lives.iter().filter_map(|life| Some((life.taken?, life))).collect();
        by_taken.sort_by_key(|&(taken, _)| taken);
        // Of what a client has taken so far, what was put in last: by the clock, and by each client.
        let mut latest: HashMap<u16, &Life> = HashMap::new();
        let mut latest_of: HashMap<(u16, u16), &Life> = HashMap::new();
        for (taken, life) in by_taken {
            let (taker, putter) = (self.operation(taken).client, self.operation(life.put).client);
            let by_clock = latest.entry(taker).or_insert(life);
            if life.put_back < by_clock.put_call {
                return Some((*life, **by_clock));
            }
            if life.put_call > by_clock.put_call {
                *by_clock = life;
            }
            if life.put_back == NEVER {
                continue;
            }
            let by_client = latest_of.entry((taker, putter)).or_insert(life);
            if life.put < by_client.put {
                return Some((*life, **by_client));
            }
            *by_client = life;
        }
        None
    }

    /// Looks that found nothing, though at every moment of theirs something was in the queue.
    fn check_empty(&mut self, list: u32, queue: &Queue, lives: &[Life]) {
        let mut certain: Vec<&Life> = lives.iter().filter(|life| life.put_back < life.taken_call).collect();
        certain.sort_by_key(|life| life.put_back);
        for &look in &queue.empty {
            let (call, back) = (self.operation(look).call, self.operation(look).back);
            let witnesses = cover(&certain, call, back).or_else(|| self.own(lives, look));
            let Some(witnesses) = witnesses else { continue };
            let name = self.name(list);
            let elements: BTreeSet<i64> = witnesses.iter().map(|life| life.element).collect();
            let elements: Vec<String> = elements.iter().map(i64::to_string).collect();
            let what =
                || format!("{name}: it was found empty, though {} was in it", elements.join(", then "));
            let puts = witnesses.iter().map(|life| life.put);
            let operations: Vec<u32> =
                puts.chain(witnesses.iter().filter_map(|life| life.taken)).chain([look]).collect();
            self.fault(Wrong::Empty, what, &operations);
        }
    }

    /// What the same client had put in before it looked, and was not taken before the look was over.
    fn own(&self, lives: &[Life], look: u32) -> Option<Vec<Life>> {
        let (client, back) = (self.operation(look).client, self.operation(look).back);
        let own = lives.iter().filter(|life| life.put_back != NEVER && life.put < look);
        let mut own = own.filter(|life| self.operation(life.put).client == client && life.taken_call > back);
        own.next().map(|life| vec![*life])
    }
}

/// As few elements as were in the queue, one after the other, from before `call` until after `back`.
fn cover(certain: &[&Life], call: u64, back: u64) -> Option<Vec<Life>> {
    let mut chosen = Vec::new();
    let mut until = call;
    let mut rest = certain;
    while until <= back {
        // Those that were in the queue before it would be empty otherwise; the last to leave is best.
        let begins =
            |life: &&Life| if chosen.is_empty() { life.put_back < until } else { life.put_back <= until };
        let count = rest.partition_point(begins);
        let best = rest[..count].iter().max_by_key(|life| life.taken_call)?;
        if best.taken_call <= until {
            return None;
        }
        until = best.taken_call;
        rest = &rest[count..];
        chosen.push(**best);
    }
    Some(chosen)
}
