//! Accounts: transfers do not change the sum, and in the end every account has what was transferred to it.

use std::collections::HashMap;

use super::{Anomaly, Checker, Key, Operation, Outcome, Time};

pub fn check(checker: &mut Checker<'_>) {
    let accounts = &checker.history.accounts;
    let total: i128 = accounts.iter().map(|&(_, balance)| i128::from(balance)).sum();
    let mut expected: HashMap<Key, i128> =
        accounts.iter().map(|&(key, balance)| (key, i128::from(balance))).collect();
    let mut doubtful = false;
    // When the last transfer was over.
    let mut settled: Time = 0;
    for transaction in &checker.history.transactions {
        for operation in &transaction.operations {
            let Operation::Transfer { from, to, amount } = *operation else { continue };
            match transaction.outcome {
                Outcome::Committed(at) => settled = settled.max(at),
                Outcome::Aborted => continue,
                Outcome::Unknown => doubtful = true,
            }
            *expected.entry(from).or_default() -= i128::from(amount);
            *expected.entry(to).or_default() += i128::from(amount);
        }
    }
    for number in checker.happened().map(|(number, _)| number).collect::<Vec<_>>() {
        let transaction = checker.transaction(number);
        for operation in &transaction.operations {
            let Operation::Balances { accounts: found } = operation else { continue };
            let all = expected.keys().all(|key| found.iter().any(|(account, _)| account == key));
            if !all {
                continue;
            }
            let sum: i128 = found.iter().map(|&(_, balance)| i128::from(balance)).sum();
            if sum != total {
                let text = || format!("the accounts have {sum} together, not {total}");
                checker.fault(Anomaly::WrongBalance, &[number], text);
            } else if !doubtful && transaction.invoked > settled {
                for (key, balance) in
                    found.iter().filter(|(key, balance)| i128::from(*balance) != expected[key])
                {
                    let text = || format!("account {key} has {balance} in the end, not {}", expected[key]);
                    checker.fault(Anomaly::WrongBalance, &[number], text);
                }
            }
        }
    }
}
