//! Replies that are meant to differ from redis-server's, each with the reason.

use super::support::client::Reply;
use super::words::SORTED_SETS;
use super::{Command, name_of};

/// Replies that are meant to differ, with the reason.
pub struct Intended {
    /// The command, with its subcommand if only that differs; empty for all.
    pub command: &'static str,
    pub reason: &'static str,
    pub accept: fn(&Command, &Reply, &Reply) -> bool,
}

pub const INTENDED: &[Intended] = &[
    Intended {
        command: "",
        reason: "an error quotes all that the client sent, as UTF-8, where Redis stops at a zero byte",
        accept: |command, reference, ours| match (reference, ours) {
            (Reply::Error(reference), Reply::Error(ours)) => {
                let odd = command.iter().flatten().any(|&byte| byte == 0 || byte >= 0x80);
                let common = reference.iter().zip(ours).take_while(|(one, other)| one == other).count();
                odd && common >= "ERR unknown command".len()
            }
            _ => false,
        },
    },
    Intended {
        command: "",
        reason: "a score is written as 7.2 writes it: with the fewest digits that read back as the same",
        accept: |command, reference, ours| name_of(command).starts_with('Z') && same_numbers(reference, ours),
    },
    Intended {
        command: "",
        reason: "SORT judges numbers by themselves, where Redis also sees an overflow of an earlier command",
        accept: |command, reference, _| {
            name_of(command).starts_with("SORT")
                && *reference
                    == Reply::Error(b"ERR One or more scores can't be converted into double".to_vec())
        },
    },
    Intended {
        command: "",
        reason: "which members of a set LIMIT picks when nothing is sorted is nobody's promise",
        accept: |command, reference, ours| {
            let has =
                |word: &str| command.iter().any(|argument| argument.eq_ignore_ascii_case(word.as_bytes()));
            let is_sorted_set = SORTED_SETS.iter().any(|name| command.get(1).is_some_and(|key| key == name));
            let lengths = match (reference, ours) {
                (Reply::Array(reference), Reply::Array(ours)) => (reference.len(), ours.len()),
                _ => return false,
            };
            name_of(command).starts_with("SORT")
                && has("nosort")
                && has("LIMIT")
                && !is_sorted_set
                && lengths.0 == lengths.1
        },
    },
    Intended {
        command: "ZRANK",
        reason: "WITHSCORE came with 7.2",
        accept: |_, reference, ours| is_arity_error(reference) && *ours == syntax_error(),
    },
    Intended {
        command: "ZREVRANK",
        reason: "WITHSCORE came with 7.2",
        accept: |_, reference, ours| is_arity_error(reference) && *ours == syntax_error(),
    },
    Intended {
        command: "KEYS",
        reason: "any number of stars matches the empty key, where Redis shows it for a single one only",
        accept: |_, reference, ours| without_empty(reference) == without_empty(ours),
    },
    Intended {
        command: "ZSCAN",
        reason: "any number of stars matches the empty member, where Redis shows it for a single one only",
        accept: |_, reference, ours| match (without_empty(reference), without_empty(ours)) {
            (Some(reference), Some(ours)) => same_numbers(&Reply::Array(reference), &Reply::Array(ours)),
            _ => false,
        },
    },
    Intended {
        command: "SCAN",
        reason: "any number of stars matches the empty key, where Redis shows it for a single one only",
        accept: |_, reference, ours| without_empty(reference) == without_empty(ours),
    },
    Intended {
        command: "SCAN",
        reason: "what is not a number is no cursor, where Redis takes an empty text for 0",
        accept: |command, _, ours| refuses_empty_cursor(command, 1, ours),
    },
    Intended {
        command: "HSCAN",
        reason: "any number of stars matches the empty field, where Redis shows it for a single one only",
        accept: |_, reference, ours| without_empty(reference) == without_empty(ours),
    },
    Intended {
        command: "HSCAN",
        reason: "what is not a number is no cursor, where Redis takes an empty text for 0",
        accept: |command, _, ours| refuses_empty_cursor(command, 2, ours),
    },
    Intended {
        command: "HSCAN",
        reason: "NOVALUES came with 7.4",
        accept: |command, _, _| command.iter().any(|word| word.eq_ignore_ascii_case(b"NOVALUES")),
    },
    Intended {
        command: "ZSCAN",
        reason: "what is not a number is no cursor, where Redis takes an empty text for 0",
        accept: |command, _, ours| refuses_empty_cursor(command, 2, ours),
    },
    Intended {
        command: "SSCAN",
        reason: "any number of stars matches the empty member, where Redis shows it for a single one only",
        accept: |_, reference, ours| without_empty(reference) == without_empty(ours),
    },
    Intended {
        command: "SSCAN",
        reason: "what is not a number is no cursor, where Redis takes an empty text for 0",
        accept: |command, _, ours| refuses_empty_cursor(command, 2, ours),
    },
    Intended {
        command: "OBJECT ENCODING",
        reason: "SORT leaves a small sorted set as it is, where Redis makes it a large one",
        accept: |_, reference, ours| {
            *reference == Reply::bulk("skiplist") && *ours == Reply::bulk("listpack")
        },
    },
    Intended {
        command: "OBJECT ENCODING",
        reason: "a small set of texts is a listpack, as of 7.2",
        accept: |_, reference, ours| {
            *reference == Reply::bulk("hashtable") && *ours == Reply::bulk("listpack")
        },
    },
    Intended {
        command: "OBJECT ENCODING",
        reason: "a short list is a listpack, as of 7.2",
        accept: |_, reference, ours| {
            *reference == Reply::bulk("quicklist") && *ours == Reply::bulk("listpack")
        },
    },
    Intended {
        command: "LPOS",
        reason: "7.2 refuses the one rank that has no opposite",
        accept: |command, _, ours| {
            let smallest = command.iter().any(|word| word == b"-9223372036854775808");
            smallest
                && matches!(ours, Reply::Error(text) if text.starts_with(b"ERR value is out of range, value must"))
        },
    },
    Intended {
        command: "BITCOUNT",
        reason: "7.2 judges the arguments before it looks for the key",
        accept: |_, _, ours| matches!(ours, Reply::Error(_)),
    },
    Intended {
        command: "BITPOS",
        reason: "7.2 judges the arguments before it looks for the key",
        accept: |_, _, ours| matches!(ours, Reply::Error(_)),
    },
    Intended {
        command: "OBJECT REFCOUNT",
        reason: "the count tells how Redis shares small integers, which other commands may undo there",
        accept: |_, reference, ours| matches!((reference, ours), (Reply::Integer(_), Reply::Integer(_))),
    },
];

pub fn refuses_empty_cursor(command: &Command, position: usize, ours: &Reply) -> bool {
    let cursor = command.get(position).map_or(&[][..], Vec::as_slice);
    let empty = cursor.is_empty() || cursor[0] == 0;
    empty && *ours == Reply::Error(b"ERR invalid cursor".to_vec())
}

/// Keys, or pairs of member and score, but for the empty one.
pub fn without_empty(keys: &Reply) -> Option<Vec<Reply>> {
    let Reply::Array(keys) = keys.sorted() else { return None };
    let is_empty = |key: &Reply| match key {
        Reply::Array(pair) => pair.first() == Some(&Reply::bulk("")),
        key => *key == Reply::bulk(""),
    };
    Some(keys.into_iter().filter(|key| !is_empty(key)).collect())
}

pub fn is_arity_error(reply: &Reply) -> bool {
    matches!(reply, Reply::Error(text) if text.starts_with(b"ERR wrong number of arguments"))
}

pub fn syntax_error() -> Reply {
    Reply::Error(b"ERR syntax error".to_vec())
}

/// Whether two replies differ in nothing but how numbers are written.
pub fn same_numbers(reference: &Reply, ours: &Reply) -> bool {
    let number = |reply: &Reply| match reply {
        Reply::Bulk(_) | Reply::Double(_) => reply.text().parse::<f64>().ok(),
        _ => None,
    };
    match (reference, ours) {
        (Reply::Array(reference), Reply::Array(ours)) => {
            reference.len() == ours.len()
                && reference.iter().zip(ours).all(|(reference, ours)| same_numbers(reference, ours))
        }
        _ if reference == ours => true,
        _ => match (number(reference), number(ours)) {
            // A small set of Redis 7.0 may lose the sign of a zero, as whole numbers are stored without one.
            (Some(reference), Some(ours)) => {
                reference.to_bits() == ours.to_bits() || (reference == 0.0 && ours == 0.0)
            }
            _ => false,
        },
    }
}
