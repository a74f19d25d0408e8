//! Commands on the connection itself.

use super::{Command, Group, Here, Run, category, flag};
use crate::error::CommandError;
use crate::resp::number::parse_integer;

pub const COMMANDS: &[Command] = &[
    connection("ping", -1, ping).flags(flag::FAST | flag::SENTINEL).categories(category::CONNECTION).docs(
        "Answers PONG, or the message.",
        "O(1)",
        "[message]",
    ),
    connection("echo", 2, echo)
        .flags(flag::LOADING | flag::STALE | flag::FAST)
        .categories(category::CONNECTION)
        .docs("Answers the message.", "O(1)", "message"),
    connection("select", 2, select)
        .flags(flag::LOADING | flag::STALE | flag::FAST)
        .categories(category::CONNECTION)
        .docs("Changes the database of the connection.", "O(1)", "index"),
    connection("quit", -1, quit)
        .flags(flag::ALLOW_BUSY | flag::NOSCRIPT | flag::LOADING | flag::STALE | flag::FAST | flag::NO_AUTH)
        .categories(category::CONNECTION)
        .deprecated("7.2.0", "just closing the connection")
        .docs("Closes the connection.", "O(1)", ""),
];

const fn connection(name: &'static str, arity: i16, function: super::HereFunction) -> Command {
    Command::new(name, arity, Run::Here(function)).group(Group::Connection)
}

fn ping(here: &mut Here<'_>) -> Result<(), CommandError> {
    match here.args.len() {
        1 => here.reply.status("PONG"),
        2 => here.reply.bulk(here.args.get(1)),
        _ => return Err(CommandError::Arity("ping".into())),
    }
    Ok(())
}

fn echo(here: &mut Here<'_>) -> Result<(), CommandError> {
    here.reply.bulk(here.args.get(1));
    Ok(())
}

fn select(here: &mut Here<'_>) -> Result<(), CommandError> {
    let index = parse_integer(here.args.get(1)).and_then(|index| i32::try_from(index).ok());
    let index = index.ok_or(CommandError::NotInteger)?;
    match usize::try_from(index) {
        Ok(index) if index < here.shard.keyspace.database_count() => {
            here.session().database = index as u16;
            here.reply.ok();
            Ok(())
        }
        _ => Err(CommandError::DatabaseOutOfRange),
    }
}

fn quit(here: &mut Here<'_>) -> Result<(), CommandError> {
    here.session().closing = true;
    here.reply.ok();
    Ok(())
}
