//! Commands on the connection itself.

use super::client::{check_name, set_name};
use super::{Command, Group, Here, Run, category, flag};
use crate::config::REDIS_VERSION;
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
        .flags(HANDSHAKE & !flag::SENTINEL | flag::NOT_QUEUED)
        .categories(category::CONNECTION)
        .deprecated("7.2.0", "just closing the connection")
        .docs("Closes the connection.", "O(1)", ""),
    connection("auth", -2, auth).flags(HANDSHAKE).categories(category::CONNECTION).docs(
        "Authenticates the connection.",
        "O(1)",
        "[username] password",
    ),
    connection("hello", -1, hello).since("6.0.0").flags(HANDSHAKE).categories(category::CONNECTION).docs(
        "Chooses the version of the protocol, and perhaps authenticates.",
        "O(1)",
        "[protover [AUTH username password] [SETNAME clientname]]",
    ),
    connection("reset", 1, reset)
        .since("6.2.0")
        .flags(HANDSHAKE & !flag::SENTINEL | flag::NOT_QUEUED)
        .categories(category::CONNECTION)
        .docs("Makes the connection what it was when it was new.", "O(1)", ""),
];

/// What introduces a client: runs before authentication.
const HANDSHAKE: u32 = flag::NOSCRIPT
    | flag::LOADING
    | flag::STALE
    | flag::FAST
    | flag::NO_AUTH
    | flag::SENTINEL
    | flag::ALLOW_BUSY;

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

/// The one user there is so far.
pub const DEFAULT_USER: &[u8] = b"default";

/// Whether this user has this password. Takes as long for a wrong password as for the right one.
fn password_is_right(here: &Here<'_>, user: &[u8], password: &[u8]) -> bool {
    let wanted = here.shard.config.requirepass.as_bytes();
    if user != DEFAULT_USER {
        return false;
    }
    let difference = (0..password.len().max(wanted.len())).fold(0, |difference, position| {
        let byte = |text: &[u8]| text.get(position).copied().unwrap_or(0);
        difference | (byte(password) ^ byte(wanted))
    });
    wanted.is_empty() || (difference == 0 && password.len() == wanted.len())
}

fn auth(here: &mut Here<'_>) -> Result<(), CommandError> {
    let (user, password) = match here.args.len() {
        2 if here.shard.config.requirepass.is_empty() => {
            return Err(CommandError::text(
                "ERR AUTH <password> called without any password configured for the default user. \
                 Are you sure your configuration is correct?",
            ));
        }
        2 => (DEFAULT_USER, here.args.get(1)),
        3 => (here.args.get(1), here.args.get(2)),
        _ => return Err(CommandError::Syntax),
    };
    if !password_is_right(here, user, password) {
        return Err(CommandError::WrongPassword);
    }
    here.session().authenticated = true;
    here.reply.ok();
    Ok(())
}

/// What HELLO asks for: positions of arguments.
#[derive(Default)]
struct Hello {
    version: Option<i64>,
    user: Option<usize>,
    name: Option<usize>,
}

fn parse_hello(here: &Here<'_>) -> Result<Hello, CommandError> {
    let args = &here.args;
    let mut hello = Hello::default();
    if args.len() == 1 {
        return Ok(hello);
    }
    let version = parse_integer(args.get(1))
        .ok_or(CommandError::text("ERR Protocol version is not an integer or out of range"))?;
    if !(2..=3).contains(&version) {
        return Err(CommandError::text("NOPROTO unsupported protocol version"));
    }
    hello.version = Some(version);
    let mut position = 2;
    while position < args.len() {
        let more = args.len() - position - 1;
        if args.is(position, "AUTH") && more >= 2 {
            hello.user = Some(position + 1);
            position += 3;
        } else if args.is(position, "SETNAME") && more >= 1 {
            check_name(args.get(position + 1))?;
            hello.name = Some(position + 1);
            position += 2;
        } else {
            let option = String::from_utf8_lossy(args.get(position));
            return Err(CommandError::text(format!("ERR Syntax error in HELLO option '{option}'")));
        }
    }
    Ok(hello)
}

fn hello(here: &mut Here<'_>) -> Result<(), CommandError> {
    let hello = parse_hello(here)?;
    if let Some(user) = hello.user {
        if !password_is_right(here, here.args.get(user), here.args.get(user + 1)) {
            return Err(CommandError::WrongPassword);
        }
        here.session().authenticated = true;
    }
    if !here.session().authenticated {
        return Err(CommandError::text(
            "NOAUTH HELLO must be called with the client already authenticated, otherwise the HELLO <proto> \
             AUTH <user> <pass> option can be used to authenticate the client and select the RESP protocol \
             version at the same time",
        ));
    }
    if let Some(name) = hello.name {
        let name = here.args.get(name).to_vec();
        set_name(here.session(), &name);
    }
    if let Some(version) = hello.version {
        here.session().resp3 = version == 3;
        here.reply.set_resp3(version == 3);
    }
    let resp3 = here.session().resp3;
    let id = here.session().id;
    let mode = if here.shard.node.core_ports.is_some() { "cluster" } else { "standalone" };
    let reply = &mut here.reply;
    reply.map(7);
    let texts = [("server", "redis"), ("version", REDIS_VERSION)];
    let more_texts = [("mode", mode), ("role", "master")];
    for (field, text) in texts {
        reply.bulk(field.as_bytes());
        reply.bulk(text.as_bytes());
    }
    reply.bulk(b"proto");
    reply.integer(if resp3 { 3 } else { 2 });
    reply.bulk(b"id");
    reply.integer(id as i64);
    for (field, text) in more_texts {
        reply.bulk(field.as_bytes());
        reply.bulk(text.as_bytes());
    }
    reply.bulk(b"modules");
    reply.array(0);
    Ok(())
}

fn reset(here: &mut Here<'_>) -> Result<(), CommandError> {
    let open = here.shard.config.requirepass.is_empty();
    let session = here.session();
    let monitor = session.monitor.then_some(session.id);
    let watched = session.reset();
    session.authenticated = open;
    if let Some(id) = monitor {
        here.shard.monitors_gone.push(id);
    }
    here.shard.unwatched.extend(watched);
    here.reply.set_resp3(false);
    here.reply.status("RESET");
    Ok(())
}
