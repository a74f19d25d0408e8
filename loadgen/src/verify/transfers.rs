//! Money that goes to and fro between accounts: whoever looks at all of them sees the same sum.
//!
//! Accounts are empty at first and may be overdrawn, so the sum is always zero.

use super::fault::{Fault, Findings};
use super::history::{History, Kind, Operation, Reply};

pub fn check(history: &History, numbers: &[u32]) -> Findings {
    let mut findings = Findings::default();
    let operation = |number: u32| &history.operations[number as usize];
    let mut wrong: Vec<(u32, i64)> = numbers
        .iter()
        .filter_map(|&number| Some((number, sum(operation(number))?)))
        .filter(|(_, sum)| *sum != 0)
        .collect();
    wrong.sort_by_key(|&(number, _)| operation(number).back);
    findings.total = wrong.len();
    let Some(&(read, sum)) = wrong.first() else { return findings };
    let torn = torn(history, numbers, read, sum);
    let name = operation(read).names(&history.header.prefix).remove(0);
    let what = match torn {
        Some(_) => {
            format!("{name} and the others of its group have {sum} together, not 0: half a transfer was seen")
        }
        None => format!("{name} and the others of its group have {sum} together, not 0"),
    };
    findings.faults.push(Fault::new(what, torn.into_iter().chain([read]).collect()));
    findings
}

fn sum(operation: &Operation) -> Option<i64> {
    match (&operation.reply, operation.kind) {
        (Reply::Many(balances), Kind::Balances) => {
            let balances = balances.iter().map(|balance| i128::from(balance.unwrap_or(0)));
            Some(balances.sum::<i128>().clamp(i64::MIN.into(), i64::MAX.into()) as i64)
        }
        _ => None,
    }
}

/// The latest transfer that explains a wrong sum, if only one half of it was seen.
fn torn(history: &History, numbers: &[u32], read: u32, sum: i64) -> Option<u32> {
    let read = &history.operations[read as usize];
    let Reply::Many(balances) = &read.reply else { return None };
    let keys = read.keys();
    let balance = |account: u32| {
        let index = keys.iter().position(|&key| key == account)?;
        Some(balances.get(index)?.unwrap_or(0))
    };
    let candidates = numbers.iter().copied().filter(|&number| {
        let transfer = &history.operations[number as usize];
        let possible = transfer.kind == Kind::Transfer && transfer.call < read.back;
        if !possible || transfer.value.checked_abs() != sum.checked_abs() {
            return false;
        }
        let (Some(from), Some(to)) = (balance(transfer.key), balance(transfer.other)) else { return false };
        match &transfer.reply {
            Reply::Many(after) => after.first() == Some(&Some(from)) || after.get(1) == Some(&Some(to)),
            reply => *reply == Reply::Lost,
        }
    });
    candidates.max_by_key(|&number| history.operations[number as usize].call)
}
