//! What clients did and saw: operations with their times, compact in memory, a line of JSON each in a file.
//!
//! ```text
//!   {"format":1,"prefix":"verify:5f3a:","seed":1,"complete":true,…}
//!   {"client":3,"kind":"set","key":17,"value":905,"call":81230,"back":99120,"reply":"ok"}
//!   {"client":3,"kind":"get","key":17,"call":99430,"back":null,"reply":"lost"}
//! ```
//!
//! Times are nanoseconds of one monotonic clock. The operations of a client stand in the order in which it
//! sent them; those of one pipeline have the same `call`. What has no `back` may have happened at any later
//! time, or never.

use std::fs::File;
use std::io::{BufRead, BufReader, BufWriter, Write};
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::options::Check;
use crate::error::Failure;

/// Counts up when a field changes its meaning.
pub const FORMAT: u32 = 1;

/// No reply came.
pub const NEVER: u64 = u64::MAX;

/// Accounts that money goes to and fro between.
pub const ACCOUNTS: u32 = 8;

/// Keys that one pipeline writes, one after the other.
pub const MARKS: u32 = 4;

/// Keys are numbered below this, groups of keys as well.
pub const KEYS_MAX: u32 = 1 << 28;

/// Seconds that a blocking pop waits.
const BLOCK: &str = "0.02";

/// Operations of each check stand together; a key belongs to one check.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    Set,
    Get,
    GetSet,
    SetNx,
    Del,
    /// MULTI, SET, EXEC while the key is watched; `other` is the value that was read meanwhile, 0 for none.
    Cas,
    Incr,
    IncrBy,
    /// Reads a counter.
    Count,
    /// Of `value` from account `key` to account `other`, in MULTI; the reply is what both then have.
    Transfer,
    /// Reads the accounts of group `key`.
    Balances,
    Push,
    Pop,
    BlockingPop,
    /// Takes from list `key` and gives to list `other`.
    Move,
    BlockingMove,
    /// All that is in a list.
    Remaining,
    /// Writes a number that grows, to one of the keys of a group after the other.
    Mark,
    Look,
    /// Reads the keys of group `key`, the first one first, in one command.
    LookAll,
    /// The steps of transactions: `other` is the same for those of one transaction and different from that
    /// of the client's next one.
    StepSet,
    StepGet,
    StepAppend,
    StepList,
    StepIncr,
    StepCount,
}

/// How operations of the same transaction were sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Form {
    #[default]
    Alone,
    /// One command of several keys.
    Several,
    /// MULTI and EXEC.
    Multi,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reply {
    /// It never came.
    Lost,
    Ok,
    Null,
    Number(i64),
    Many(Box<[Option<i64>]>),
    /// The operation was refused, and so did not happen.
    Error(Box<str>),
    /// No reply that this command can have.
    Garbage(Box<str>),
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Operation {
    pub client: u16,
    pub kind: Kind,
    #[serde(default, skip_serializing_if = "is_alone")]
    pub form: Form,
    pub key: u32,
    #[serde(default, skip_serializing_if = "is_zero")]
    pub other: u32,
    #[serde(default, skip_serializing_if = "is_zero")]
    pub value: i64,
    pub call: u64,
    #[serde(with = "back")]
    pub back: u64,
    pub reply: Reply,
}

fn is_zero<T: Default + PartialEq>(number: &T) -> bool {
    *number == T::default()
}

fn is_alone(form: &Form) -> bool {
    *form == Form::Alone
}

/// `null` in a file for what never came.
mod back {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub fn serialize<S: Serializer>(back: &u64, serializer: S) -> Result<S::Ok, S::Error> {
        (*back != super::NEVER).then_some(*back).serialize(serializer)
    }

    pub fn deserialize<'a, D: Deserializer<'a>>(deserializer: D) -> Result<u64, D::Error> {
        Ok(Option::<u64>::deserialize(deserializer)?.unwrap_or(super::NEVER))
    }
}

impl Kind {
    pub fn check(self) -> Check {
        match self {
            Kind::Set | Kind::Get | Kind::GetSet | Kind::SetNx | Kind::Del | Kind::Cas => Check::Registers,
            Kind::Incr | Kind::IncrBy | Kind::Count => Check::Counters,
            Kind::Transfer | Kind::Balances => Check::Transfers,
            Kind::Push
            | Kind::Pop
            | Kind::BlockingPop
            | Kind::Move
            | Kind::BlockingMove
            | Kind::Remaining => Check::Lists,
            Kind::Mark | Kind::Look | Kind::LookAll => Check::Pipelines,
            Kind::StepSet
            | Kind::StepGet
            | Kind::StepAppend
            | Kind::StepList
            | Kind::StepIncr
            | Kind::StepCount => Check::Append,
        }
    }

    /// Whether `other` is the key that it gives to.
    fn gives(self) -> bool {
        matches!(self, Kind::Transfer | Kind::Move | Kind::BlockingMove)
    }

    /// What stands before the number in a key's name.
    fn class(self) -> &'static str {
        match self {
            Kind::StepSet | Kind::StepGet => "value",
            Kind::StepAppend | Kind::StepList => "text",
            Kind::StepIncr | Kind::StepCount => "number",
            _ => match self.check() {
                Check::Registers => "register",
                Check::Counters => "counter",
                Check::Transfers => "account",
                Check::Lists => "list",
                Check::Pipelines => "mark",
                Check::Append => "value",
            },
        }
    }
}

impl Operation {
    pub fn new(kind: Kind, key: u32) -> Operation {
        let (client, form, other, value) = (0, Form::Alone, 0, 0);
        Operation { client, kind, form, key, other, value, call: 0, back: NEVER, reply: Reply::Lost }
    }

    pub fn with_value(self, value: i64) -> Operation {
        Operation { value, ..self }
    }

    pub fn with_other(self, other: u32) -> Operation {
        Operation { other, ..self }
    }

    pub fn with_form(self, form: Form) -> Operation {
        Operation { form, ..self }
    }

    /// Nobody knows whether it happened.
    pub fn is_unknown(&self) -> bool {
        self.reply == Reply::Lost
    }

    /// Whether it is a step of a transaction that may have others.
    pub fn is_step(&self) -> bool {
        self.kind.check() == Check::Append
    }

    /// The keys that it is about: those of a group, if it reads a group.
    pub fn keys(&self) -> Vec<u32> {
        match self.kind {
            Kind::Balances => (self.key * ACCOUNTS..(self.key + 1) * ACCOUNTS).collect(),
            Kind::LookAll => (self.key * MARKS..(self.key + 1) * MARKS).collect(),
            kind if kind.gives() => vec![self.key, self.other],
            _ => vec![self.key],
        }
    }

    pub fn names(&self, prefix: &str) -> Vec<String> {
        self.keys().iter().map(|key| format!("{prefix}{}:{key}", self.kind.class())).collect()
    }

    /// The commands that it is, as words.
    pub fn commands(&self, prefix: &str) -> Vec<Vec<String>> {
        let names = self.names(prefix);
        let name = &names[0];
        let value = self.value.to_string();
        // Lists of even numbers are filled at the left and emptied at the right, others the other way round.
        let (first, last) = if self.key.is_multiple_of(2) { ("L", "R") } else { ("R", "L") };
        let (from, to) = if self.key.is_multiple_of(2) { ("RIGHT", "LEFT") } else { ("LEFT", "RIGHT") };
        let multi = |commands: Vec<Vec<String>>| {
            let (begin, end) = (vec!["MULTI".to_string()], vec!["EXEC".to_string()]);
            std::iter::once(begin).chain(commands).chain([end]).collect::<Vec<_>>()
        };
        let one = match self.kind {
            Kind::Set | Kind::Mark | Kind::StepSet => words(&["SET", name, &value]),
            Kind::Get | Kind::Count | Kind::Look | Kind::StepGet | Kind::StepList | Kind::StepCount => {
                words(&["GET", name])
            }
            Kind::GetSet => words(&["GETSET", name, &value]),
            Kind::SetNx => words(&["SET", name, &value, "NX"]),
            Kind::Del => words(&["DEL", name]),
            Kind::Cas => return multi(vec![words(&["SET", name, &value])]),
            Kind::Incr | Kind::StepIncr => words(&["INCR", name]),
            Kind::IncrBy => words(&["INCRBY", name, &value]),
            Kind::Transfer => {
                let take = words(&["DECRBY", name, &value]);
                return multi(vec![take, words(&["INCRBY", &names[1], &value])]);
            }
            Kind::Balances if self.form == Form::Multi => {
                return multi(names.iter().map(|name| words(&["GET", name])).collect());
            }
            Kind::Balances | Kind::LookAll => std::iter::once("MGET".to_string()).chain(names).collect(),
            Kind::Push => words(&[&format!("{first}PUSH"), name, &value]),
            Kind::Pop => words(&[&format!("{last}POP"), name]),
            Kind::BlockingPop => words(&[&format!("B{last}POP"), name, BLOCK]),
            Kind::Move => words(&["LMOVE", name, &names[1], from, to]),
            Kind::BlockingMove => words(&["BLMOVE", name, &names[1], from, to, BLOCK]),
            Kind::Remaining => words(&["LRANGE", name, "0", "-1"]),
            Kind::StepAppend => words(&["APPEND", name, &element_text(self.value)]),
        };
        vec![one]
    }
}

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| word.to_string()).collect()
}

/// Digits of an element of a text, which a comma follows.
pub const ELEMENT_DIGITS: usize = 10;

fn element_text(element: i64) -> String {
    format!("{element:0ELEMENT_DIGITS$},")
}

/// The first line of a file.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Header {
    pub format: u32,
    pub generator: String,
    /// What all keys begin with.
    pub prefix: String,
    pub seed: u64,
    /// Every key was read once more after the load: what is not there is lost.
    pub complete: bool,
    /// What repeats the load.
    pub command_line: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct History {
    pub header: Header,
    /// One client's after the other, each in the order in which it sent them.
    pub operations: Vec<Operation>,
}

impl History {
    /// The numbers of the operations of one check, in their order.
    pub fn of(&self, check: Check) -> impl Iterator<Item = u32> + '_ {
        let numbered = self.operations.iter().zip(0..);
        numbered.filter(move |(operation, _)| operation.kind.check() == check).map(|(_, number)| number)
    }

    pub fn write(&self, path: &Path) -> Result<(), Failure> {
        let write = || -> std::io::Result<()> {
            let mut file = BufWriter::new(File::create(path)?);
            serde_json::to_writer(&mut file, &self.header)?;
            for operation in &self.operations {
                file.write_all(b"\n")?;
                serde_json::to_writer(&mut file, operation)?;
            }
            file.write_all(b"\n")?;
            file.flush()
        };
        write().map_err(|error| Failure::System(format!("{}: {error}", path.display())))
    }

    /// Reads what [`History::write`] wrote; the bound is on the number of operations.
    pub fn read(path: &Path, operations_max: u64) -> Result<History, Failure> {
        let wrong = |text: String| Failure::Options(format!("{}: {text}", path.display()));
        let file = File::open(path).map_err(|error| wrong(error.to_string()))?;
        let mut lines = BufReader::new(file).lines().zip(1..);
        let (first, _) = lines.next().ok_or_else(|| wrong("the file is empty".into()))?;
        let first = first.map_err(|error| wrong(error.to_string()))?;
        let header: Header = serde_json::from_str(&first)
            .map_err(|error| wrong(format!("line 1 does not begin a history: {error}")))?;
        if header.format != FORMAT {
            return Err(wrong(format!("its format is {}, not {FORMAT}", header.format)));
        }
        let mut operations: Vec<Operation> = Vec::new();
        for (line, number) in lines {
            let line = line.map_err(|error| wrong(format!("line {number}: {error}")))?;
            if line.is_empty() {
                continue;
            }
            if operations.len() as u64 >= operations_max {
                let bound = format!("it has more than {operations_max} operations: see --operations");
                return Err(wrong(bound));
            }
            let operation: Operation =
                serde_json::from_str(&line).map_err(|error| wrong(format!("line {number}: {error}")))?;
            if operation.key >= KEYS_MAX || operation.other >= KEYS_MAX && operation.kind.gives() {
                return Err(wrong(format!("line {number}: keys are numbered below {KEYS_MAX}")));
            }
            if operation.call > operation.back {
                return Err(wrong(format!("line {number}: the reply came before the command was sent")));
            }
            operations.push(operation);
        }
        operations.sort_by_key(|operation| operation.client);
        Ok(History { header, operations })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn five_million_operations_fit() {
        assert!(size_of::<Operation>() <= 64, "{} bytes", size_of::<Operation>());
    }

    #[test]
    fn a_file_holds_what_was_written() {
        let header = Header { format: FORMAT, prefix: "verify:1:".into(), seed: 7, ..Header::default() };
        let mut set = Operation::new(Kind::Set, 3).with_value(9);
        (set.call, set.back, set.reply) = (5, 6, Reply::Ok);
        let mut read = Operation::new(Kind::Balances, 1).with_form(Form::Multi);
        (read.back, read.reply) = (7, Reply::Many([Some(1), None].into()));
        let lost = Operation::new(Kind::Move, 4).with_other(6);
        let history = History { header, operations: vec![set, read, lost] };
        let path = std::env::temp_dir().join(format!("polder-history-{}.jsonl", std::process::id()));
        history.write(&path).unwrap();
        assert_eq!(History::read(&path, 3).unwrap(), history);
        let error = History::read(&path, 2).unwrap_err().to_string();
        assert!(error.contains("more than 2 operations"), "{error}");
        let text = std::fs::read_to_string(&path).unwrap();
        std::fs::write(&path, text.replace("\"call\":5", "\"call\":true")).unwrap();
        let error = History::read(&path, 3).unwrap_err().to_string();
        assert!(error.contains("line 2"), "{error}");
        std::fs::write(&path, text.replace("\"format\":1", "\"format\":9")).unwrap();
        assert!(History::read(&path, 3).unwrap_err().to_string().contains("format is 9"));
        std::fs::write(&path, "").unwrap();
        assert!(History::read(&path, 3).unwrap_err().to_string().contains("empty"));
        std::fs::remove_file(&path).unwrap();
        assert!(History::read(&path, 3).is_err());
    }

    #[test]
    fn commands_of_operations() {
        let text = |operation: Operation| -> String {
            let commands = operation.commands("v:");
            commands.iter().map(|words| words.join(" ")).collect::<Vec<_>>().join("; ")
        };
        assert_eq!(text(Operation::new(Kind::SetNx, 2).with_value(5)), "SET v:register:2 5 NX");
        let transfer = Operation::new(Kind::Transfer, 2).with_other(3).with_value(5);
        assert_eq!(text(transfer), "MULTI; DECRBY v:account:2 5; INCRBY v:account:3 5; EXEC");
        assert_eq!(text(Operation::new(Kind::BlockingPop, 2)), "BRPOP v:list:2 0.02");
        assert_eq!(text(Operation::new(Kind::Push, 3).with_value(1)), "RPUSH v:list:3 1");
        assert_eq!(text(Operation::new(Kind::Move, 1).with_other(3)), "LMOVE v:list:1 v:list:3 LEFT RIGHT");
        assert_eq!(text(Operation::new(Kind::StepAppend, 3).with_value(7)), "APPEND v:text:3 0000000007,");
        assert!(text(Operation::new(Kind::LookAll, 1)).starts_with("MGET v:mark:4 v:mark:5 "));
    }
}
