//! Verdicts and faults in words.

use std::fmt::Write;

use super::fault::{Fault, Findings};
use super::history::{Form, History, Kind, NEVER, Operation, Reply};
use super::options::Check;

/// Elements of a reply that are shown, and operations of a fault.
const ELEMENTS_SHOWN_MAX: usize = 12;
const OPERATIONS_SHOWN_MAX: usize = 60;

/// One line for a check.
pub fn line(check: Check, operations: usize, findings: &Findings) -> String {
    let what = match check {
        Check::Registers => format!("on {} keys, linearizable", findings.objects),
        Check::Counters => format!("on {} keys, linearizable", findings.objects),
        Check::Transfers => {
            format!("on {} accounts, which are linearizable and keep their sum", findings.objects)
        }
        Check::Lists => format!("on {} lists, nothing lost, doubled or out of order", findings.objects),
        Check::Pipelines => format!("on {} keys, in the order of the pipelines", findings.objects),
        Check::Append => format!("in {} transactions, strictly serializable", findings.objects),
    };
    let verdict = match (findings.total, findings.undecided.len()) {
        (0, 0) => what,
        (0, undecided) => format!(
            "UNDECIDED: on {undecided} keys too many operations overlap; take more --keys, fewer --clients or \
             a shorter --pipeline"
        ),
        (1, _) => "1 FAULT".into(),
        (total, _) => format!("{total} FAULTS"),
    };
    format!("  {:<10} {operations:>9} operations {verdict}", check.name())
}

/// A fault with its history as a table.
pub fn fault(history: &History, fault: &Fault) -> String {
    let mut operations: Vec<&Operation> =
        fault.operations.iter().map(|&number| &history.operations[number as usize]).collect();
    operations.sort_by_key(|operation| operation.call);
    let mut text = format!("FAULT  {}\n", fault.what);
    for note in &fault.notes {
        let _ = writeln!(text, "       {note}");
    }
    let mut rows = vec![["client", "from ms", "to ms", "command", "reply"].map(String::from)];
    rows.extend(operations.iter().take(OPERATIONS_SHOWN_MAX).map(|operation| row(history, operation)));
    let mut widths = [0; 5];
    for row in &rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    for [client, from, to, command, reply] in &rows {
        let [first, second, third, fourth, _] = widths;
        let line =
            format!("{client:>first$} | {from:>second$} | {to:>third$} | {command:<fourth$} | {reply}");
        let _ = writeln!(text, "  {}", line.trim_end());
    }
    if operations.len() > OPERATIONS_SHOWN_MAX {
        let _ = writeln!(text, "  and {} more", operations.len() - OPERATIONS_SHOWN_MAX);
    }
    text
}

fn row(history: &History, operation: &Operation) -> [String; 5] {
    let ms = |ns: u64| match ns {
        NEVER => "never".to_string(),
        ns => format!("{:.6}", ns as f64 / 1e6),
    };
    [
        operation.client.to_string(),
        ms(operation.call),
        ms(if operation.is_unknown() { NEVER } else { operation.back }),
        command(history, operation),
        reply(operation),
    ]
}

fn command(history: &History, operation: &Operation) -> String {
    let commands = operation.commands(&history.header.prefix);
    let text = commands.iter().map(|words| words.join(" ")).collect::<Vec<_>>().join("; ");
    match (operation.kind, operation.form) {
        (Kind::Cas, _) if operation.other == 0 => format!("(watched, empty) {text}"),
        (Kind::Cas, _) => format!("(watched, {}) {text}", operation.other),
        (Kind::Balances, _) | (_, Form::Alone) => text,
        (Kind::StepSet, Form::Several) => format!("(in MSET) {text}"),
        (_, Form::Several) if operation.kind != Kind::LookAll => format!("(in MGET) {text}"),
        (_, Form::Multi) => format!("(in MULTI) {text}"),
        _ => text,
    }
}

fn reply(operation: &Operation) -> String {
    match &operation.reply {
        Reply::Lost => "lost: it may have happened or not".into(),
        Reply::Ok => "OK".into(),
        Reply::Null => "nil".into(),
        Reply::Number(number) => number.to_string(),
        Reply::Error(text) => format!("error: {text}"),
        Reply::Garbage(text) => format!("wrong: {text}"),
        Reply::Many(elements) => {
            let hidden = elements.len().saturating_sub(ELEMENTS_SHOWN_MAX);
            let shown: Vec<String> = elements[hidden..]
                .iter()
                .map(|element| element.map_or("nil".into(), |element| element.to_string()))
                .collect();
            let dots = if hidden > 0 { format!("{hidden} more … ") } else { String::new() };
            format!("[{dots}{}]", shown.join(" "))
        }
    }
}
