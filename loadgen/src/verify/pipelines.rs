//! The order of pipelines: who sees what a later command of a pipeline did sees what the earlier ones did.
//!
//! ```text
//!   writer, one pipeline    SET m:0 7   SET m:1 7   SET m:2 7   SET m:3 7
//!   reader, one pipeline    GET m:3     GET m:2     GET m:1     GET m:0     never a smaller one after a larger
//!   reader, one command     MGET m:0 m:1 m:2 m:3                            never a larger one after a smaller
//! ```
//!
//! The keys of a group have one writer, whose numbers grow.

use super::fault::{Fault, Findings};
use super::history::{History, Kind, MARKS, Operation, Reply};

/// What one look showed: the key, its number, and the operation.
type Seen = (u32, i64, u32);

pub fn check(history: &History, numbers: &[u32]) -> Findings {
    let mut findings = Findings::default();
    let operation = |number: u32| &history.operations[number as usize];
    let together = |a: &u32, b: &u32| {
        let (a, b) = (operation(*a), operation(*b));
        let looks = a.kind == Kind::Look && b.kind == Kind::Look;
        looks && (a.client, a.call, a.key / MARKS) == (b.client, b.call, b.key / MARKS)
    };
    for looks in numbers.chunk_by(together) {
        let seen: Vec<Seen> = looks.iter().flat_map(|&number| seen(operation(number), number)).collect();
        for (place, &later) in seen.iter().enumerate() {
            // A key that is written earlier was looked at later, and has a smaller number.
            let earlier = seen[..place].iter().find(|earlier| earlier.0 > later.0 && earlier.1 > later.1);
            if let Some(&earlier) = earlier {
                let first = findings.total == 0;
                findings.add(first, || explain(history, numbers, earlier, later));
            }
        }
    }
    findings
}

/// The numbers that a look showed, of the key that is written last first.
fn seen(operation: &Operation, number: u32) -> Vec<Seen> {
    let value = |reply: Option<i64>| reply.unwrap_or(0);
    match (operation.kind, &operation.reply) {
        (Kind::Look, Reply::Number(mark)) => vec![(operation.key, *mark, number)],
        (Kind::Look, Reply::Null) => vec![(operation.key, 0, number)],
        (Kind::LookAll, Reply::Many(marks)) => {
            let seen = operation.keys().into_iter().zip(marks.iter());
            let mut seen: Vec<Seen> = seen.map(|(key, mark)| (key, value(*mark), number)).collect();
            seen.reverse();
            seen
        }
        _ => Vec::new(),
    }
}

fn explain(history: &History, numbers: &[u32], earlier: Seen, later: Seen) -> Fault {
    let writer = |key: u32| {
        let mut writers = numbers.iter().copied().filter(move |&number| {
            let operation = &history.operations[number as usize];
            operation.kind == Kind::Mark && operation.key == key && operation.value == earlier.1
        });
        writers.next()
    };
    let name = |seen: Seen| Operation::new(Kind::Look, seen.0).names(&history.header.prefix).remove(0);
    let client = history.operations[later.2 as usize].client;
    let what = format!(
        "client {client} saw {} in {}, but {} in {}, which was written before it in the same pipeline",
        earlier.1,
        name(earlier),
        later.1,
        name(later)
    );
    let mut operations: Vec<u32> = writer(later.0).into_iter().chain(writer(earlier.0)).collect();
    operations.extend([earlier.2, later.2]);
    operations.dedup();
    Fault::new(what, operations)
}
