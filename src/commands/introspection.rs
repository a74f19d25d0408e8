//! COMMAND: what the records say, for clients and tools.

use super::docs::{write_docs, write_info, write_key_flags};
use super::help::help;
use super::keyspec::{KeyPosition, keys_for_client};
use super::{Command, CommandTable, Group, Here, HereFunction, Run, category, flag};
use crate::error::CommandError;
use crate::glob::glob_match;
use crate::resp::Args;

const fn record(name: &'static str, arity: i16, function: HereFunction) -> Command {
    Command::new(name, arity, Run::Here(function))
        .group(Group::Server)
        .since("2.8.13")
        .flags(flag::LOADING | flag::STALE | flag::SENTINEL)
        .categories(category::CONNECTION)
}

pub const COMMANDS: &[Command] = &[Command {
    subcommands: SUBCOMMANDS,
    ..record("command", -1, all).docs(
        "Returns what is known of all commands.",
        "O(N) where N is the total number of commands",
        "",
    )
}
.tips(&["nondeterministic_output_order"])];

const SUBCOMMANDS: &[Command] = &[
    record("command|count", 2, count).docs("Returns the number of commands.", "O(1)", ""),
    record("command|docs", -2, docs).since("7.0.0").tips(&["nondeterministic_output_order"]).docs(
        "Returns the documentation of commands.",
        "O(N) where N is the number of commands to look up",
        "[command-name [command-name ...]]",
    ),
    record("command|getkeys", -3, getkeys).docs(
        "Returns the keys of a command line.",
        "O(N) where N is the number of arguments to the command",
        "command [arg [arg ...]]",
    ),
    record("command|getkeysandflags", -3, getkeysandflags).since("7.0.0").docs(
        "Returns the keys of a command line and what the command does with them.",
        "O(N) where N is the number of arguments to the command",
        "command [arg [arg ...]]",
    ),
    record("command|help", 2, help).since("5.0.0").docs(
        "Returns helpful text about the subcommands.",
        "O(1)",
        "",
    ),
    record("command|info", -2, info).tips(&["nondeterministic_output_order"]).docs(
        "Returns what is known of some or all commands.",
        "O(N) where N is the number of commands to look up",
        "[command-name [command-name ...]]",
    ),
    record("command|list", -2, list).since("7.0.0").tips(&["nondeterministic_output_order"]).docs(
        "Returns the names of commands.",
        "O(N) where N is the total number of commands",
        "[FILTERBY <MODULE module-name | ACLCAT category | PATTERN pattern>]",
    ),
];

/// The command `get` or the subcommand `config|get`.
fn lookup(table: &CommandTable, name: &[u8]) -> Option<&'static Command> {
    let mut parts = name.split(|&byte| byte == b'|');
    let id = table.find(parts.next()?)?;
    let found = match parts.next() {
        None => id,
        Some(subcommand) => table.find_subcommand(id, subcommand)?,
    };
    if parts.next().is_some() { None } else { Some(table.get(found)) }
}

fn all(here: &mut Here<'_>) -> Result<(), CommandError> {
    if here.args.len() > 1 {
        return Err(CommandError::UnknownSubcommand {
            name: String::from_utf8_lossy(here.args.get(1)).into_owned(),
            container: "COMMAND".into(),
        });
    }
    let table = here.table;
    here.reply.array(table.top_level().count());
    table.top_level().for_each(|id| write_info(table.get(id), &mut here.reply));
    Ok(())
}

fn count(here: &mut Here<'_>) -> Result<(), CommandError> {
    here.reply.integer(here.table.top_level().count() as i64);
    Ok(())
}

fn info(here: &mut Here<'_>) -> Result<(), CommandError> {
    let table = here.table;
    if here.args.len() == 2 {
        here.reply.array(table.top_level().count());
        table.top_level().for_each(|id| write_info(table.get(id), &mut here.reply));
        return Ok(());
    }
    here.reply.array(here.args.len() - 2);
    for index in 2..here.args.len() {
        match lookup(table, here.args.get(index)) {
            Some(command) => write_info(command, &mut here.reply),
            None => here.reply.null(),
        }
    }
    Ok(())
}

fn docs(here: &mut Here<'_>) -> Result<(), CommandError> {
    let table = here.table;
    let commands: Vec<&Command> = if here.args.len() == 2 {
        table.top_level().map(|id| table.get(id)).collect()
    } else {
        here.args.iter().skip(2).filter_map(|name| lookup(table, name)).collect()
    };
    here.reply.map(commands.len());
    for command in commands {
        here.reply.bulk(command.name.as_bytes());
        write_docs(command, &mut here.reply);
    }
    Ok(())
}

/// What COMMAND LIST keeps.
enum ListFilter {
    Everything,
    /// There are no modules.
    Nothing,
    Category(u32),
    Pattern(Vec<u8>),
}

impl ListFilter {
    fn parse(args: &Args<'_>) -> Result<Self, CommandError> {
        if args.len() == 2 {
            return Ok(ListFilter::Everything);
        }
        if args.len() != 5 || !args.is(2, "FILTERBY") {
            return Err(CommandError::Syntax);
        }
        let word = args.get(4);
        if args.is(3, "MODULE") {
            Ok(ListFilter::Nothing)
        } else if args.is(3, "ACLCAT") {
            let known = category::NAMES.iter().find(|(_, name)| name.as_bytes().eq_ignore_ascii_case(word));
            Ok(known.map_or(ListFilter::Nothing, |(bit, _)| ListFilter::Category(*bit)))
        } else if args.is(3, "PATTERN") {
            Ok(ListFilter::Pattern(word.to_vec()))
        } else {
            Err(CommandError::Syntax)
        }
    }

    fn accepts(&self, command: &Command) -> bool {
        match self {
            ListFilter::Everything => true,
            ListFilter::Nothing => false,
            ListFilter::Category(bit) => command.all_categories() & bit != 0,
            ListFilter::Pattern(pattern) => glob_match(pattern, command.name.as_bytes(), true),
        }
    }
}

fn list(here: &mut Here<'_>) -> Result<(), CommandError> {
    let filter = ListFilter::parse(&here.args)?;
    let table = here.table;
    let mut names = Vec::new();
    for id in table.top_level() {
        let subcommands = table.subcommands(id).map(|id| table.get(id));
        let commands = std::iter::once(table.get(id)).chain(subcommands);
        names.extend(commands.filter(|command| filter.accepts(command)).map(|command| command.name));
    }
    here.reply.set(names.len());
    names.iter().for_each(|name| here.reply.bulk(name.as_bytes()));
    Ok(())
}

/// The keys of the command line that begins at argument 2, which is cut off here.
fn inner_keys(table: &CommandTable, line: &Args<'_>) -> Result<Vec<KeyPosition>, CommandError> {
    let invalid = CommandError::text("ERR Invalid command specified");
    let mut command = match table.find(line.get(0)) {
        Some(id) => {
            let subcommand = line.iter().nth(1).and_then(|name| table.find_subcommand(id, name));
            table.get(subcommand.unwrap_or(id))
        }
        None => return Err(invalid),
    };
    if command.run.is_none() {
        // A container shows no keys of its own.
        command = match line.len() {
            1 => command,
            _ => return Err(invalid),
        };
    }
    if command.keys.is_empty() {
        return Err(CommandError::text("ERR The command has no key arguments"));
    }
    if !command.accepts(line.len()) {
        return Err(CommandError::text("ERR Invalid number of arguments specified for command"));
    }
    keys_for_client(command, line).map_err(CommandError::text)
}

fn getkeys(here: &mut Here<'_>) -> Result<(), CommandError> {
    let line = here.args.skip(2);
    let keys = inner_keys(here.table, &line)?;
    here.reply.array(keys.len());
    keys.iter().for_each(|key| here.reply.bulk(line.get(key.index)));
    Ok(())
}

fn getkeysandflags(here: &mut Here<'_>) -> Result<(), CommandError> {
    let line = here.args.skip(2);
    let keys = inner_keys(here.table, &line)?;
    here.reply.array(keys.len());
    for key in keys {
        here.reply.array(2);
        here.reply.bulk(line.get(key.index));
        write_key_flags(key.flags, &mut here.reply);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::testing::with_args;

    fn keys(line: &str) -> Result<Vec<usize>, String> {
        let table = CommandTable::new();
        with_args(line, |args| inner_keys(&table, &args))
            .map(|keys| keys.iter().map(|key| key.index).collect())
            .map_err(|error| error.message().into_owned())
    }

    #[test]
    fn keys_of_command_lines() {
        assert_eq!(keys("mset a 1 b 2").unwrap(), [1, 3]);
        assert_eq!(keys("OBJECT encoding k").unwrap(), [2]);
        assert_eq!(keys("nosuch a").unwrap_err(), "ERR Invalid command specified");
        assert_eq!(keys("config get a").unwrap_err(), "ERR The command has no key arguments");
        assert_eq!(keys("config nosuch a").unwrap_err(), "ERR Invalid command specified");
        assert_eq!(keys("ping").unwrap_err(), "ERR The command has no key arguments");
        assert_eq!(keys("get").unwrap_err(), "ERR Invalid number of arguments specified for command");
    }

    #[test]
    fn commands_are_found_by_their_full_names() {
        let table = CommandTable::new();
        assert_eq!(lookup(&table, b"CONFIG|get").unwrap().name, "config|get");
        assert_eq!(lookup(&table, b"get").unwrap().name, "get");
        assert!(lookup(&table, b"config|nosuch").is_none());
        assert!(lookup(&table, b"get|x").is_none());
        assert!(lookup(&table, b"config|get|x").is_none());
    }

    #[test]
    fn lists_are_filtered() {
        let accepted = |line: &str, name: &str| {
            let table = CommandTable::new();
            let filter = with_args(line, |args| ListFilter::parse(&args)).ok().unwrap();
            filter.accepts(lookup(&table, name.as_bytes()).unwrap())
        };
        assert!(accepted("command list", "get"));
        assert!(accepted("command list filterby aclcat String", "get"));
        assert!(!accepted("command list filterby aclcat string", "ping"));
        assert!(!accepted("command list filterby aclcat nosuch", "get"));
        assert!(accepted("command list filterby pattern G*t", "get"));
        assert!(!accepted("command list filterby module x", "get"));
        assert!(with_args("command list filterby x y", |args| ListFilter::parse(&args)).is_err());
    }
}
