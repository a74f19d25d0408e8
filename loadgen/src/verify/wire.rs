//! Requests as bytes, and replies as what they mean for each operation.

use super::history::{ELEMENT_DIGITS, Form, Kind, Operation, Reply};
use super::workload::Request;
use crate::client::Value;

/// Characters that are kept of a reply that makes no sense.
const GARBAGE_SHOWN_MAX: usize = 200;

/// Adds the request's commands and tells how many replies they get.
pub fn encode(request: &Request, prefix: &str, bytes: &mut Vec<u8>) -> usize {
    let commands = commands(request, prefix);
    for words in &commands {
        encode_command(words, bytes);
    }
    commands.len()
}

pub fn encode_command(words: &[String], bytes: &mut Vec<u8>) {
    bytes.extend_from_slice(format!("*{}\r\n", words.len()).as_bytes());
    for word in words {
        bytes.extend_from_slice(format!("${}\r\n{word}\r\n", word.len()).as_bytes());
    }
}

fn commands(request: &Request, prefix: &str) -> Vec<Vec<String>> {
    let operations = &request.operations;
    let [first, ..] = &operations[..] else { return Vec::new() };
    let is_step = first.is_step();
    match request.form {
        Form::Several if is_step && first.kind == Kind::StepSet => {
            let pairs =
                operations.iter().flat_map(|operation| operation.commands(prefix).remove(0).split_off(1));
            vec![std::iter::once("MSET".to_string()).chain(pairs).collect()]
        }
        Form::Several if is_step => {
            let names = operations.iter().flat_map(|operation| operation.names(prefix));
            vec![std::iter::once("MGET".to_string()).chain(names).collect()]
        }
        Form::Multi if is_step => {
            let steps = operations.iter().flat_map(|operation| operation.commands(prefix));
            let begin = std::iter::once(vec!["MULTI".to_string()]);
            begin.chain(steps).chain([vec!["EXEC".to_string()]]).collect()
        }
        _ => first.commands(prefix),
    }
}

/// What the replies to a request's commands say about each of its operations.
pub fn replies(request: &Request, values: &[Value], prefix: &str) -> Vec<Reply> {
    let operations = &request.operations;
    let all = |reply: Reply| vec![reply; operations.len()];
    let error = values.iter().find_map(|value| match value {
        Value::Error(text) => Some(text),
        _ => None,
    });
    if let Some(text) = error {
        return all(Reply::Error(text.as_str().into()));
    }
    let Some(last) = values.last() else { return all(Reply::Lost) };
    let [first, ..] = &operations[..] else { return Vec::new() };
    let several = request.form != Form::Alone && first.is_step();
    match last {
        Value::Text(_) if several && first.kind == Kind::StepSet => all(reply(first, last, prefix)),
        Value::Array(items) if several && items.len() == operations.len() => {
            operations.iter().zip(items).map(|(operation, item)| reply(operation, item, prefix)).collect()
        }
        _ if several => all(garbage(last)),
        _ => all(reply(first, last, prefix)),
    }
}

fn garbage(value: &Value) -> Reply {
    let text: String = format!("{value:?}").chars().take(GARBAGE_SHOWN_MAX).collect();
    Reply::Garbage(text.into())
}

fn reply(operation: &Operation, value: &Value, prefix: &str) -> Reply {
    understood(operation, value, prefix).unwrap_or_else(|| garbage(value))
}

/// `None`: no reply that the operation can have.
fn understood(operation: &Operation, value: &Value, prefix: &str) -> Option<Reply> {
    let number = |text: &str| text.parse().ok().map(Reply::Number);
    match (operation.kind, value) {
        (_, Value::Error(text)) => Some(Reply::Error(text.as_str().into())),
        (Kind::Set | Kind::SetNx | Kind::Mark | Kind::StepSet, Value::Text(text)) => {
            (text == "OK").then_some(Reply::Ok)
        }
        (Kind::Cas, Value::Array(items)) => (items.len() == 1).then_some(Reply::Ok),
        (Kind::SetNx | Kind::Cas, Value::Null) => Some(Reply::Null),
        (
            Kind::Get
            | Kind::GetSet
            | Kind::Count
            | Kind::Look
            | Kind::Pop
            | Kind::Move
            | Kind::BlockingMove
            | Kind::StepGet
            | Kind::StepCount,
            Value::Text(text),
        ) => number(text),
        (
            Kind::Get
            | Kind::GetSet
            | Kind::Count
            | Kind::Look
            | Kind::Pop
            | Kind::BlockingPop
            | Kind::Move
            | Kind::BlockingMove
            | Kind::StepGet
            | Kind::StepCount,
            Value::Null,
        ) => Some(Reply::Null),
        (Kind::BlockingPop, Value::Array(items)) => match &items[..] {
            [Value::Text(name), Value::Text(element)] if *name == operation.names(prefix)[0] => {
                number(element)
            }
            _ => None,
        },
        (Kind::Del | Kind::Incr | Kind::IncrBy | Kind::Push | Kind::StepIncr, Value::Integer(number)) => {
            Some(Reply::Number(*number))
        }
        (Kind::StepAppend, Value::Integer(bytes)) => {
            let each = ELEMENT_DIGITS as i64 + 1;
            (bytes % each == 0).then_some(Reply::Number(bytes / each))
        }
        (Kind::StepList, Value::Null) => Some(Reply::Many([].into())),
        (Kind::StepList, Value::Text(text)) => {
            let elements = text.strip_suffix(',')?.split(',');
            elements.map(|element| Some(Some(element.parse().ok()?))).collect::<Option<_>>().map(Reply::Many)
        }
        (Kind::Remaining, Value::Array(items)) => many(items),
        (Kind::Transfer, Value::Array(items)) if items.len() == 2 => many(items),
        (Kind::Balances | Kind::LookAll, Value::Array(items)) => {
            if items.len() == operation.keys().len() {
                many(items)
            } else {
                None
            }
        }
        _ => None,
    }
}

fn many(items: &[Value]) -> Option<Reply> {
    let item = |item: &Value| match item {
        Value::Integer(number) => Some(Some(*number)),
        Value::Text(text) => Some(Some(text.parse().ok()?)),
        Value::Null => Some(None),
        _ => None,
    };
    items.iter().map(item).collect::<Option<_>>().map(Reply::Many)
}
