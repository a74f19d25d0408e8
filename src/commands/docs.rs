//! What COMMAND INFO and COMMAND DOCS answer about a command, made from its record.
//!
//! DOCS describes arguments as a tree. Records hold the manual's notation instead, which is easier to
//! write and to check, and which this module parses:
//!
//! ```text
//!   key value [NX | XX] [EX seconds | KEEPTTL] [key value ...]
//!
//!   word            an argument; its type follows from its name, or stands behind it: `increment(double)`
//!   WORD            a token; with one word after it a named argument, with several a block
//!   [ … ]           optional          < … >  a group
//!   a | b           one of them
//!   x [x ...]       repeated; several arguments that repeat together become a block
//! ```
//!
//! The parser accepts any text; what is not in the notation comes out as plain arguments.

use super::{Begin, Command, Find, KeySpec, category, flag, key_flag, keyspec};
use crate::resp::Reply;

/// The ten elements of COMMAND INFO.
pub fn write_info(command: &Command, reply: &mut Reply<'_>) {
    let range = keyspec::legacy_range(command.keys);
    reply.array(10);
    reply.bulk(command.name.as_bytes());
    reply.integer(command.arity as i64);
    let mut flags: Vec<&str> = names(command.flags, flag::NAMES).collect();
    if range.movable {
        flags.push("movablekeys");
    }
    write_names(reply, &flags);
    reply.integer(range.first);
    reply.integer(range.last);
    reply.integer(range.step);
    let categories: Vec<String> =
        names(command.all_categories(), category::NAMES).map(|name| format!("@{name}")).collect();
    write_names(reply, &categories);
    reply.set(command.tips.len());
    command.tips.iter().for_each(|tip| reply.bulk(tip.as_bytes()));
    reply.set(command.keys.len());
    command.keys.iter().for_each(|spec| write_spec(spec, reply));
    reply.set(command.subcommands.len());
    command.subcommands.iter().for_each(|subcommand| write_info(subcommand, reply));
}

fn names(bits: u32, table: &'static [(u32, &'static str)]) -> impl Iterator<Item = &'static str> {
    table.iter().filter(move |(bit, _)| bits & bit != 0).map(|(_, name)| *name)
}

fn write_names(reply: &mut Reply<'_>, names: &[impl AsRef<str>]) {
    reply.set(names.len());
    names.iter().for_each(|name| reply.status(name.as_ref()));
}

/// The flags of a key as COMMAND INFO and COMMAND GETKEYSANDFLAGS show them.
pub fn write_key_flags(flags: u16, reply: &mut Reply<'_>) {
    let names: Vec<&str> =
        key_flag::NAMES.iter().filter(|(bit, _)| flags & bit != 0).map(|(_, name)| *name).collect();
    write_names(reply, &names);
}

fn write_spec(spec: &KeySpec, reply: &mut Reply<'_>) {
    let text = |reply: &mut Reply<'_>, name: &str, value: &str| {
        reply.bulk(name.as_bytes());
        reply.bulk(value.as_bytes());
    };
    let integer = |reply: &mut Reply<'_>, name: &str, value: i64| {
        reply.bulk(name.as_bytes());
        reply.integer(value);
    };
    let section = |reply: &mut Reply<'_>, name: &str, kind: &str, fields: usize| {
        reply.bulk(name.as_bytes());
        reply.map(2);
        text(reply, "type", kind);
        reply.bulk(b"spec");
        reply.map(fields);
    };
    let notes = !spec.notes.is_empty();
    reply.map(3 + usize::from(notes));
    if notes {
        text(reply, "notes", spec.notes);
    }
    reply.bulk(b"flags");
    write_key_flags(spec.flags, reply);
    match spec.begin {
        Begin::Index(index) => {
            section(reply, "begin_search", "index", 1);
            integer(reply, "index", index as i64);
        }
        Begin::Keyword { word, from } => {
            section(reply, "begin_search", "keyword", 2);
            text(reply, "keyword", word);
            integer(reply, "startfrom", from as i64);
        }
        Begin::StoreOption | Begin::Unknown => section(reply, "begin_search", "unknown", 0),
    }
    match spec.find {
        Find::Range { last, step, limit } => {
            section(reply, "find_keys", "range", 3);
            integer(reply, "lastkey", last as i64);
            integer(reply, "keystep", step as i64);
            integer(reply, "limit", limit as i64);
        }
        Find::Count { count, first, step } => {
            section(reply, "find_keys", "keynum", 3);
            integer(reply, "keynumidx", count as i64);
            integer(reply, "firstkey", first as i64);
            integer(reply, "keystep", step as i64);
        }
        Find::Unknown => section(reply, "find_keys", "unknown", 0),
    }
}

/// The map that COMMAND DOCS answers for one command; the name before it is the caller's.
pub fn write_docs(command: &Command, reply: &mut Reply<'_>) {
    let arguments = parse_syntax(command);
    let texts = [
        ("summary", command.summary),
        ("since", command.since),
        ("group", command.group.name()),
        ("complexity", command.complexity),
    ];
    let written = texts.iter().filter(|(_, text)| !text.is_empty());
    let deprecated = if command.deprecated.is_some() { 3 } else { 0 };
    let lists = !arguments.is_empty() as usize + !command.subcommands.is_empty() as usize;
    reply.map(written.clone().count() + deprecated + lists);
    for (name, text) in written {
        reply.bulk(name.as_bytes());
        reply.bulk(text.as_bytes());
    }
    if let Some((since, replacement)) = command.deprecated {
        reply.bulk(b"doc_flags");
        write_names(reply, &["deprecated"]);
        reply.bulk(b"deprecated_since");
        reply.bulk(since.as_bytes());
        reply.bulk(b"replaced_by");
        reply.bulk(replacement.as_bytes());
    }
    if !arguments.is_empty() {
        reply.bulk(b"arguments");
        write_arguments(&arguments, reply);
    }
    if !command.subcommands.is_empty() {
        reply.bulk(b"subcommands");
        reply.map(command.subcommands.len());
        for subcommand in command.subcommands {
            reply.bulk(subcommand.name.as_bytes());
            write_docs(subcommand, reply);
        }
    }
}

fn write_arguments(arguments: &[Argument], reply: &mut Reply<'_>) {
    reply.array(arguments.len());
    for argument in arguments {
        let group = matches!(argument.kind, Kind::OneOf | Kind::Block);
        let flags: Vec<&str> = [
            (argument.optional, "optional"),
            (argument.multiple, "multiple"),
            (argument.multiple_token, "multiple_token"),
        ]
        .into_iter()
        .filter_map(|(set, name)| set.then_some(name))
        .collect();
        let optional_fields = [argument.key_spec.is_some(), argument.token.is_some(), !flags.is_empty()];
        reply.map(3 + optional_fields.iter().filter(|&&field| field).count());
        reply.bulk(b"name");
        reply.bulk(argument.name.as_bytes());
        reply.bulk(b"type");
        reply.bulk(argument.kind.name().as_bytes());
        if !group {
            reply.bulk(b"display_text");
            reply.bulk(argument.name.as_bytes());
        }
        if let Some(index) = argument.key_spec {
            reply.bulk(b"key_spec_index");
            reply.integer(index as i64);
        }
        if let Some(token) = &argument.token {
            reply.bulk(b"token");
            reply.bulk(token.as_bytes());
        }
        if !flags.is_empty() {
            reply.bulk(b"flags");
            write_names(reply, &flags);
        }
        if group {
            reply.bulk(b"arguments");
            write_arguments(&argument.children, reply);
        }
    }
}

/// The type of an argument.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    String,
    Integer,
    Double,
    Key,
    Pattern,
    UnixTime,
    PureToken,
    OneOf,
    Block,
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Kind::String => "string",
            Kind::Integer => "integer",
            Kind::Double => "double",
            Kind::Key => "key",
            Kind::Pattern => "pattern",
            Kind::UnixTime => "unix-time",
            Kind::PureToken => "pure-token",
            Kind::OneOf => "oneof",
            Kind::Block => "block",
        }
    }

    fn of_annotation(annotation: &str) -> Option<Kind> {
        let kinds = [Kind::String, Kind::Integer, Kind::Double, Kind::Key, Kind::Pattern, Kind::UnixTime];
        kinds.into_iter().find(|kind| kind.name() == annotation)
    }

    fn of_name(name: &str) -> Kind {
        match name {
            "key" | "key1" | "key2" | "source" | "destination" | "newkey" => Kind::Key,
            "pattern" => Kind::Pattern,
            "seconds" | "milliseconds" | "count" | "cursor" | "increment" | "decrement" | "offset"
            | "start" | "end" | "stop" | "index" | "index1" | "index2" | "db" | "destination-db"
            | "min-match-len" | "timeout" | "numkeys" | "client-id" | "slot" | "protover" | "samples"
            | "port" => Kind::Integer,
            _ if name.starts_with("unix-time") => Kind::UnixTime,
            _ => Kind::String,
        }
    }
}

/// One argument of a command, perhaps with others inside.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Argument {
    name: String,
    kind: Kind,
    token: Option<String>,
    key_spec: Option<usize>,
    optional: bool,
    multiple: bool,
    multiple_token: bool,
    children: Vec<Argument>,
}

impl Argument {
    fn new(name: String, kind: Kind) -> Self {
        Argument {
            name,
            kind,
            token: None,
            key_spec: None,
            optional: false,
            multiple: false,
            multiple_token: false,
            children: Vec::new(),
        }
    }

    fn group(name: String, kind: Kind, children: Vec<Argument>) -> Self {
        Argument { children, ..Argument::new(name, kind) }
    }

    fn pure_token(token: &str) -> Self {
        Argument { token: Some(token.to_owned()), ..Argument::new(token.to_lowercase(), Kind::PureToken) }
    }

    /// A lower-case word, perhaps with its type in parentheses.
    fn plain(word: &str) -> Self {
        let annotated = word.strip_suffix(')').and_then(|word| word.split_once('('));
        match annotated.and_then(|(name, kind)| Some((name, Kind::of_annotation(kind)?))) {
            Some((name, kind)) => Argument::new(name.to_owned(), kind),
            None => Argument::new(word.to_owned(), Kind::of_name(word)),
        }
    }
}

/// The notation as a tree, before it means anything.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Node<'a> {
    Word(&'a str),
    Group { optional: bool, alternatives: Vec<Vec<Node<'a>>> },
    Ellipsis,
}

fn parse_syntax(command: &Command) -> Vec<Argument> {
    let words = split_words(command.syntax);
    let mut position = 0;
    let mut nodes = Vec::new();
    while position < words.len() {
        // A stray closing bracket ends an alternative early: go on after it.
        nodes.extend(parse_alternatives(&words, &mut position).into_iter().flatten());
        position += 1;
    }
    let mut arguments = convert_sequence(&nodes);
    let mut next_spec = 0;
    number_keys(&mut arguments, &mut next_spec, command.keys.len());
    arguments
}

/// Words and brackets.
fn split_words(syntax: &str) -> Vec<&str> {
    let mut words = Vec::new();
    for chunk in syntax.split_ascii_whitespace() {
        let mut rest = chunk;
        while let Some(position) = rest.find(['[', ']', '<', '>', '|']) {
            if position > 0 {
                words.push(&rest[..position]);
            }
            words.push(&rest[position..position + 1]);
            rest = &rest[position + 1..];
        }
        if !rest.is_empty() {
            words.push(rest);
        }
    }
    words
}

/// Up to a closing bracket, which is left, or the end.
fn parse_alternatives<'a>(words: &[&'a str], position: &mut usize) -> Vec<Vec<Node<'a>>> {
    let mut alternatives = vec![Vec::new()];
    while let Some(&word) = words.get(*position) {
        let node = match word {
            "]" | ">" => break,
            "|" => {
                alternatives.push(Vec::new());
                *position += 1;
                continue;
            }
            "[" | "<" => {
                *position += 1;
                Node::Group { optional: word == "[", alternatives: parse_alternatives(words, position) }
            }
            "..." => Node::Ellipsis,
            _ => Node::Word(word),
        };
        *position += 1;
        if let Some(sequence) = alternatives.last_mut() {
            sequence.push(node);
        }
    }
    alternatives
}

fn is_token(word: &str) -> bool {
    word.bytes().any(|byte| byte.is_ascii_uppercase()) && !word.bytes().any(|byte| byte.is_ascii_lowercase())
}

fn convert_sequence(nodes: &[Node<'_>]) -> Vec<Argument> {
    let mut arguments: Vec<Argument> = Vec::new();
    // For each argument the node at which it begins.
    let mut starts: Vec<usize> = Vec::new();
    let mut position = 0;
    while position < nodes.len() {
        let start = position;
        let argument = match &nodes[position] {
            Node::Ellipsis => {
                if let Some(last) = arguments.last_mut() {
                    last.multiple = true;
                }
                position += 1;
                continue;
            }
            Node::Word(word) if is_token(word) => convert_token(word, nodes, &mut position),
            Node::Word(word) => {
                position += 1;
                Argument::plain(word)
            }
            Node::Group { optional, alternatives } => {
                position += 1;
                if let [body @ .., Node::Ellipsis] = alternatives[0].as_slice()
                    && start >= body.len()
                    && nodes[start - body.len()..start] == *body
                    && !body.is_empty()
                {
                    let first = starts.partition_point(|&begin| begin < start - body.len());
                    starts.truncate(first + 1);
                    repeat(&mut arguments, first);
                    continue;
                }
                match convert_group(alternatives) {
                    Some(argument) => Argument { optional: *optional, ..argument },
                    None => continue,
                }
            }
        };
        arguments.push(argument);
        starts.push(start);
    }
    arguments
}

/// Makes the arguments from `first` on one that repeats.
fn repeat(arguments: &mut Vec<Argument>, first: usize) {
    let mut tail = arguments.split_off(first.min(arguments.len()));
    let mut repeated = match tail.len() {
        0 => return,
        1 => tail.remove(0),
        _ => Argument::group("data".to_owned(), Kind::Block, tail),
    };
    repeated.multiple = true;
    repeated.multiple_token = repeated.token.is_some();
    arguments.push(repeated);
}

/// A token with the words or the group that follow it.
fn convert_token(token: &str, nodes: &[Node<'_>], position: &mut usize) -> Argument {
    *position += 1;
    let mut values = Vec::new();
    while let Some(Node::Word(word)) = nodes.get(*position)
        && !is_token(word)
    {
        values.push(Argument::plain(word));
        *position += 1;
    }
    if values.is_empty()
        && let Some(Node::Group { optional: false, alternatives }) = nodes.get(*position)
        && let Some(group) = convert_group(alternatives)
    {
        *position += 1;
        values.push(group);
    }
    match values.len() {
        0 => Argument::pure_token(token),
        1 => Argument { token: Some(token.to_owned()), ..values.remove(0) },
        _ => Argument {
            token: Some(token.to_owned()),
            ..Argument::group(token.to_lowercase(), Kind::Block, values)
        },
    }
}

fn convert_group(alternatives: &[Vec<Node<'_>>]) -> Option<Argument> {
    let mut choices: Vec<Argument> =
        alternatives.iter().filter_map(|sequence| one(convert_sequence(sequence))).collect();
    match choices.len() {
        0 => None,
        1 => choices.pop(),
        _ => Some(Argument::group(name_of_choice(&choices), Kind::OneOf, choices)),
    }
}

/// Several arguments as a block.
fn one(mut arguments: Vec<Argument>) -> Option<Argument> {
    match arguments.len() {
        0 | 1 => arguments.pop(),
        _ => Some(Argument::group(arguments[0].name.clone(), Kind::Block, arguments)),
    }
}

/// The names that the manual gives to the choices between well-known tokens.
fn name_of_choice(choices: &[Argument]) -> String {
    let first = choices[0].token.as_deref().unwrap_or(&choices[0].name);
    match first {
        "EX" | "PX" | "EXAT" | "PXAT" => "expiration",
        "NX" | "XX" => "condition",
        "GT" | "LT" => "comparison",
        "ASYNC" | "SYNC" => "flush-type",
        _ => return choices[0].name.clone(),
    }
    .to_owned()
}

/// Tells each key argument which specification describes it.
fn number_keys(arguments: &mut [Argument], next_spec: &mut usize, specs: usize) {
    for argument in arguments {
        if argument.kind == Kind::Key {
            if specs == 0 {
                argument.kind = Kind::String;
            } else {
                argument.key_spec = Some((*next_spec).min(specs - 1));
                *next_spec += 1;
            }
        }
        number_keys(&mut argument.children, next_spec, specs);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::{FAMILIES, Run};
    use crate::error::CommandError;
    use proptest::prelude::*;

    fn nothing(_: &mut super::super::Data<'_>) -> Result<(), CommandError> {
        Ok(())
    }

    /// One line per argument: indentation for the depth, then name, type, token and flags.
    fn outline(syntax: &'static str, specs: &'static [KeySpec]) -> String {
        fn write(arguments: &[Argument], depth: usize, out: &mut String) {
            for argument in arguments {
                let token = argument.token.as_deref().map_or(String::new(), |token| format!(" {token}"));
                let key = argument.key_spec.map_or(String::new(), |index| format!(" #{index}"));
                let flags =
                    [(argument.optional, " ?"), (argument.multiple, " *"), (argument.multiple_token, "+")];
                let flags: String = flags.into_iter().filter_map(|(set, sign)| set.then_some(sign)).collect();
                let (name, kind) = (&argument.name, argument.kind.name());
                *out += &format!("{:depth$}{name}:{kind}{token}{key}{flags}\n", "", depth = depth * 2);
                write(&argument.children, depth + 1, out);
            }
        }
        let command = Command::new("test", -1, Run::OneShard(nothing)).docs("", "", syntax).keys(specs);
        let mut out = String::new();
        write(&parse_syntax(&command), 0, &mut out);
        out
    }

    #[test]
    fn the_notation_becomes_arguments() {
        const ONE: &[KeySpec] = &[KeySpec::one(1, key_flag::RO)];
        assert_eq!(
            outline("key value [NX | XX] [GET] [EX seconds | PXAT unix-time-milliseconds | KEEPTTL]", ONE),
            "key:key #0\nvalue:string\ncondition:oneof ?\n  nx:pure-token NX\n  xx:pure-token XX\n\
             get:pure-token GET ?\nexpiration:oneof ?\n  seconds:integer EX\n\
             \x20 unix-time-milliseconds:unix-time PXAT\n  keepttl:pure-token KEEPTTL\n"
        );
        assert_eq!(outline("key value [key value ...]", ONE), "data:block *\n  key:key #0\n  value:string\n");
        assert_eq!(outline("key [key ...]", ONE), "key:key #0 *\n");
        assert_eq!(outline("[section [section ...]]", &[]), "section:string ? *\n");
        assert_eq!(outline("key increment(double)", ONE), "key:key #0\nincrement:double\n");
        assert_eq!(
            outline("[LIMIT offset count] [GET pattern [GET pattern ...]] TYPE <a | b>", &[]),
            "limit:block LIMIT ?\n  offset:integer\n  count:integer\npattern:pattern GET ? *+\n\
             a:oneof TYPE\n  a:string\n  b:string\n"
        );
    }

    #[test]
    fn neighbouring_keys_have_their_own_specifications() {
        const TWO: &[KeySpec] = &[KeySpec::one(1, key_flag::RO), KeySpec::one(2, key_flag::RO)];
        assert_eq!(
            outline("source destination [REPLACE]", TWO),
            "source:key #0\ndestination:key #1\nreplace:pure-token REPLACE ?\n"
        );
        const BOTH: &[KeySpec] = &[KeySpec::range(1, 1, 1, key_flag::RO)];
        assert_eq!(outline("key1 key2", BOTH), "key1:key #0\nkey2:key #0\n");
    }

    #[test]
    fn every_command_is_described() {
        for command in FAMILIES.iter().flat_map(|family| family.iter()) {
            let (mut docs, mut info) = (Vec::new(), Vec::new());
            write_docs(command, &mut Reply::new(&mut docs, true));
            write_info(command, &mut Reply::new(&mut info, true));
            assert!(docs.starts_with(b"%") && info.starts_with(b"*10\r\n"), "{}", command.name);
            assert!(!command.summary.is_empty() && !command.complexity.is_empty(), "{}", command.name);
        }
    }

    proptest! {
        #[test]
        fn any_text_is_parsed(syntax in "[a-cA-C\\[\\]<>|. ]{0,40}") {
            outline(Box::leak(syntax.into_boxed_str()), &[]);
        }
    }
}
