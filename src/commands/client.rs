//! CLIENT: what is known of the connections, and what can be done to them.
//!
//! Connections belong to the shard that accepted them. Commands about the own connection run there; LIST,
//! KILL and PAUSE ask every shard, and the reply puts the connections in the order of their ids.

use super::help::{help, subcommand_syntax};
use super::{Command, CommandId, CommandTable, Group, Here, HereFunction, Next, Part, Run, category, flag};
use crate::error::CommandError;
use crate::resp::Args;
use crate::resp::number::parse_integer;
use crate::runtime::socket;
use crate::session::{ConnectionKind, ReplyMode, Session, Unblocked};
use crate::shard::upkeep::client_address;
use crate::shard::{Pause, Report};

use super::connection::DEFAULT_USER;

const FLAGS: u32 = flag::NOSCRIPT | flag::LOADING | flag::STALE | flag::SENTINEL;

const fn own(name: &'static str, arity: i16, function: HereFunction) -> Command {
    Command::new(name, arity, Run::Here(function))
        .group(Group::Connection)
        .flags(FLAGS)
        .categories(category::CONNECTION)
}

const fn all(name: &'static str, arity: i16, run: Run) -> Command {
    Command { run: Some(run), ..own(name, arity, help) }.flags(FLAGS | flag::ADMIN)
}

pub const COMMANDS: &[Command] = &[Command::container("client", SUBCOMMANDS)
    .group(Group::Connection)
    .since("2.4.0")
    .flags(flag::SENTINEL)
    .docs("A container for commands about connections.", "Depends on the subcommand.", "")];

const SUBCOMMANDS: &[Command] = &[
    own("client|getname", 2, getname).since("2.6.9").docs("Returns the name of the connection.", "O(1)", ""),
    own("client|help", 2, help).since("5.0.0").flags(flag::LOADING | flag::STALE | flag::SENTINEL).docs(
        "Returns helpful text about the subcommands.",
        "O(1)",
        "",
    ),
    own("client|id", 2, id).since("5.0.0").docs("Returns the unique id of the connection.", "O(1)", ""),
    own("client|info", 2, info).since("6.2.0").docs("Returns what is known of the connection.", "O(1)", ""),
    all("client|kill", -3, Run::Gather { check: check_kill, part: kill, merge: merge_kill })
        .since("2.4.0")
        .docs(
            "Closes connections.",
            "O(N) where N is the number of client connections",
            "<ip:port | < [ID client-id] | [TYPE <NORMAL | MASTER | SLAVE | REPLICA | PUBSUB>] | \
             [USER username] | [ADDR ip:port] | [LADDR ip:port] | [SKIPME <YES | NO>] | [MAXAGE maxage(integer)] \
             [[ID client-id] | [TYPE <NORMAL | MASTER | SLAVE | REPLICA | PUBSUB>] | [USER username] | \
             [ADDR ip:port] | [LADDR ip:port] | [SKIPME <YES | NO>] | [MAXAGE maxage(integer)] ...]>>",
        ),
    all("client|list", -2, Run::Gather { check: check_list, part: list, merge: merge_list })
        .since("2.4.0")
        .docs(
            "Lists the open connections.",
            "O(N) where N is the number of client connections",
            "[TYPE <NORMAL | MASTER | REPLICA | PUBSUB>] [ID client-id [client-id ...]]",
        ),
    own("client|no-evict", 3, no_evict).since("7.0.0").flags(FLAGS | flag::ADMIN).docs(
        "Keeps the connection from being closed for the memory of clients.",
        "O(1)",
        "<ON | OFF>",
    ),
    own("client|no-touch", 3, no_touch).since("7.2.0").flags(flag::NOSCRIPT | flag::LOADING | flag::STALE).docs(
        "Keeps the connection's commands from changing when keys were last used.",
        "O(1)",
        "<ON | OFF>",
    ),
    all("client|pause", -3, Run::Gather { check: check_pause, part: pause, merge: merge_ok })
        .since("3.0.0")
        .docs("Makes all clients wait.", "O(1)", "timeout [WRITE | ALL]"),
    own("client|reply", 3, reply).since("3.2.0").docs(
        "Says whether the connection gets replies.",
        "O(1)",
        "<ON | OFF | SKIP>",
    ),
    own("client|setinfo", 4, setinfo).since("7.2.0").docs(
        "Tells the name or the version of the client's library.",
        "O(1)",
        "<LIB-NAME libname | LIB-VER libver>",
    ),
    own("client|setname", 3, setname).since("2.6.9").docs("Names the connection.", "O(1)", "connection-name"),
    all("client|unblock", -3, Run::Gather { check: check_unblock, part: unblock, merge: merge_unblock })
        .since("5.0.0")
        .docs(
        "Ends the waiting of a client that a blocking command holds.",
        "O(log N) where N is the number of client connections",
        "client-id [TIMEOUT | ERROR]",
    ),
    all("client|unpause", 2, Run::Gather { check: gather, part: unpause, merge: merge_ok })
        .since("6.2.0")
        .docs("Lets clients go on that CLIENT PAUSE made wait.", "O(N) where N is the number of paused clients", ""),
];

/// For commands without anything to check.
pub fn gather(_: &mut Here<'_>) -> Result<Next, CommandError> {
    Ok(Next::Gather)
}

/// For commands whose shards have nothing to tell.
pub fn merge_ok(here: &mut Here<'_>, _: Vec<Report>) -> Result<(), CommandError> {
    here.reply.ok();
    Ok(())
}

fn id(here: &mut Here<'_>) -> Result<(), CommandError> {
    let id = here.session().id;
    here.reply.integer(id as i64);
    Ok(())
}

fn getname(here: &mut Here<'_>) -> Result<(), CommandError> {
    let name = here.session().details.as_ref().map(|details| details.name.clone());
    match name {
        Some(name) if !name.is_empty() => here.reply.bulk(&name),
        _ => here.reply.null(),
    }
    Ok(())
}

/// Names stand in CLIENT LIST, so they are visible characters without blanks.
fn is_plain(text: &[u8]) -> bool {
    text.iter().all(|byte| (b'!'..=b'~').contains(byte))
}

pub fn check_name(name: &[u8]) -> Result<(), CommandError> {
    if is_plain(name) {
        return Ok(());
    }
    Err(CommandError::text("ERR Client names cannot contain spaces, newlines or special characters."))
}

pub fn set_name(session: &mut Session, name: &[u8]) {
    if !name.is_empty() || session.details.is_some() {
        session.details_mut().name = name.to_vec();
    }
}

fn setname(here: &mut Here<'_>) -> Result<(), CommandError> {
    let name = here.args.get(2).to_vec();
    check_name(&name)?;
    set_name(here.session(), &name);
    here.reply.ok();
    Ok(())
}

fn setinfo(here: &mut Here<'_>) -> Result<(), CommandError> {
    let (is_name, is_version) = (here.args.is(2, "LIB-NAME"), here.args.is(2, "LIB-VER"));
    let option = String::from_utf8_lossy(here.args.get(2)).into_owned();
    let value = here.args.get(3).to_vec();
    if !is_name && !is_version {
        return Err(CommandError::text(format!("ERR Unrecognized option '{option}'")));
    }
    if !is_plain(&value) {
        return Err(CommandError::text(format!(
            "ERR {option} cannot contain spaces, newlines or special characters."
        )));
    }
    let details = here.session().details_mut();
    if is_name {
        details.library_name = value;
    } else {
        details.library_version = value;
    }
    here.reply.ok();
    Ok(())
}

/// `ON` or `OFF` as argument 2.
fn switch(args: &Args<'_>) -> Result<bool, CommandError> {
    match (args.is(2, "ON"), args.is(2, "OFF")) {
        (true, _) => Ok(true),
        (_, true) => Ok(false),
        _ => Err(CommandError::Syntax),
    }
}

fn no_evict(here: &mut Here<'_>) -> Result<(), CommandError> {
    here.session().no_evict = switch(&here.args)?;
    here.reply.ok();
    Ok(())
}

fn no_touch(here: &mut Here<'_>) -> Result<(), CommandError> {
    here.session().no_touch = switch(&here.args)?;
    here.reply.ok();
    Ok(())
}

fn reply(here: &mut Here<'_>) -> Result<(), CommandError> {
    if here.args.is(2, "ON") {
        here.session().reply_mode = ReplyMode::On;
        here.reply.ok();
    } else if here.args.is(2, "OFF") {
        here.session().reply_mode = ReplyMode::Off;
    } else if here.args.is(2, "SKIP") {
        let session = here.session();
        if session.reply_mode != ReplyMode::Off {
            session.reply_mode = ReplyMode::SkipNext;
        }
    } else {
        return Err(CommandError::Syntax);
    }
    Ok(())
}

fn check_unblock(here: &mut Here<'_>) -> Result<Next, CommandError> {
    match here.args.len() {
        3 => {}
        4 if here.args.is(3, "TIMEOUT") || here.args.is(3, "ERROR") => {}
        4 => return Err(CommandError::text("ERR CLIENT UNBLOCK reason should be TIMEOUT or ERROR")),
        _ => {
            return Err(subcommand_syntax(&here.args));
        }
    }
    here.args.integer(2)?;
    Ok(Next::Gather)
}

/// Ends the waiting of a client of this shard: 1 if there was one.
fn unblock(part: &mut Part<'_>) -> Report {
    let id = part.args.integer(2).ok().and_then(|id| u64::try_from(id).ok()).unwrap_or(0);
    let by_error = part.args.len() == 4 && part.args.is(3, "ERROR");
    let Some(session) = part.shard.sessions.find(id) else { return Report::Count(0) };
    let Some(wait) = session.waiting.filter(|_| session.blocked) else { return Report::Count(0) };
    session.blocked = false;
    let how = if by_error { Unblocked::ByError } else { Unblocked::TimeIsUp };
    part.shard.unblocked.push((wait, how));
    Report::Count(1)
}

fn merge_unblock(here: &mut Here<'_>, reports: Vec<Report>) -> Result<(), CommandError> {
    let unblocked = reports.iter().any(|report| matches!(report, Report::Count(1)));
    here.reply.integer(i64::from(unblocked));
    Ok(())
}

/// The kinds of clients that filters tell apart. All are of the first kind so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ClientType {
    Normal,
    Other,
}

fn parse_type(word: &[u8]) -> Result<ClientType, CommandError> {
    let lower = word.to_ascii_lowercase();
    match lower.as_slice() {
        b"normal" => Ok(ClientType::Normal),
        b"master" | b"replica" | b"slave" | b"pubsub" => Ok(ClientType::Other),
        _ => Err(CommandError::text(format!("ERR Unknown client type '{}'", String::from_utf8_lossy(word)))),
    }
}

/// Which clients a command means.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
struct Filter {
    ids: Option<Vec<u64>>,
    kind: Option<ClientType>,
    address: Option<Vec<u8>>,
    local_address: Option<Vec<u8>>,
    age_seconds_min: Option<i64>,
    /// Not this client.
    except: Option<u64>,
}

impl Filter {
    fn accepts(&self, session: &Session, now_ms: i64, unix_socket: &[u8]) -> bool {
        self.ids.as_ref().is_none_or(|ids| ids.contains(&session.id))
            && self.except != Some(session.id)
            && self.kind.is_none_or(|kind| kind == ClientType::Normal)
            && self.age_seconds_min.is_none_or(|age| (now_ms - session.created_ms) / 1000 >= age)
            && self
                .address
                .as_ref()
                .is_none_or(|address| client_address(session, unix_socket).as_bytes() == address.as_slice())
            && self
                .local_address
                .as_ref()
                .is_none_or(|address| local_address(session, unix_socket).as_bytes() == address.as_slice())
    }
}

/// CLIENT LIST's `[TYPE type] | [ID id ...]`.
fn parse_list(args: &Args<'_>) -> Result<Filter, CommandError> {
    let mut filter = Filter::default();
    if args.len() == 4 && args.is(2, "TYPE") {
        filter.kind = Some(parse_type(args.get(3))?);
    } else if args.len() > 3 && args.is(2, "ID") {
        let id = |word: &[u8]| {
            // Numbers that no client can have are no mistake.
            parse_integer(word)
                .map(|id| u64::try_from(id).unwrap_or(0))
                .ok_or(CommandError::text("ERR Invalid client ID"))
        };
        filter.ids = Some((3..args.len()).map(|index| id(args.get(index))).collect::<Result<_, _>>()?);
    } else if args.len() != 2 {
        return Err(CommandError::Syntax);
    }
    Ok(filter)
}

/// CLIENT KILL's `addr`, or its pairs of options; `own_id` is the client that asks.
fn parse_kill(args: &Args<'_>, own_id: u64) -> Result<Filter, CommandError> {
    if args.len() == 3 {
        return Ok(Filter { address: Some(args.get(2).to_vec()), ..Filter::default() });
    }
    let mut filter = Filter { except: Some(own_id), ..Filter::default() };
    if args.len().is_multiple_of(2) {
        for option in (2..args.len()).step_by(2) {
            parse_kill_option(args, option, own_id, &mut filter)?;
        }
        return Ok(filter);
    }
    Err(CommandError::Syntax)
}

fn parse_kill_option(
    args: &Args<'_>,
    option: usize,
    own_id: u64,
    filter: &mut Filter,
) -> Result<(), CommandError> {
    let value = args.get(option + 1);
    if args.is(option, "ID") {
        let id = parse_integer(value).and_then(|id| u64::try_from(id).ok()).filter(|&id| id > 0);
        filter.ids = Some(vec![id.ok_or(CommandError::text("ERR client-id should be greater than 0"))?]);
    } else if args.is(option, "TYPE") {
        filter.kind = Some(parse_type(value)?);
    } else if args.is(option, "ADDR") {
        filter.address = Some(value.to_vec());
    } else if args.is(option, "LADDR") {
        filter.local_address = Some(value.to_vec());
    } else if args.is(option, "USER") {
        if value != DEFAULT_USER {
            let user = String::from_utf8_lossy(value);
            return Err(CommandError::text(format!("ERR No such user '{user}'")));
        }
    } else if args.is(option, "SKIPME") {
        filter.except = match (args.is(option + 1, "YES"), args.is(option + 1, "NO")) {
            (true, _) => Some(own_id),
            (_, true) => None,
            _ => return Err(CommandError::Syntax),
        };
    } else if args.is(option, "MAXAGE") {
        let age =
            parse_integer(value).ok_or(CommandError::text("ERR maxage is not an integer or out of range"))?;
        if age <= 0 {
            return Err(CommandError::text("ERR maxage should be greater than 0"));
        }
        filter.age_seconds_min = Some(age);
    } else {
        return Err(CommandError::Syntax);
    }
    Ok(())
}

fn check_list(here: &mut Here<'_>) -> Result<Next, CommandError> {
    parse_list(&here.args)?;
    Ok(Next::Gather)
}

fn list(part: &mut Part<'_>) -> Report {
    let Ok(filter) = parse_list(&part.args) else { return Report::Done };
    let (now_ms, table) = (part.shard.now_ms(), part.table);
    let unix_socket = part.shard.config.unixsocket.as_bytes();
    let accepted = part.shard.sessions.iter().filter(|session| filter.accepts(session, now_ms, unix_socket));
    let lines = accepted.map(|session| (session.id, client_line(session, table, now_ms, unix_socket)));
    Report::Clients(lines.collect())
}

fn merge_list(here: &mut Here<'_>, reports: Vec<Report>) -> Result<(), CommandError> {
    let mut lines: Vec<(u64, String)> = Vec::new();
    for report in reports {
        if let Report::Clients(clients) = report {
            lines.extend(clients);
        }
    }
    let filter = parse_list(&here.args)?;
    match &filter.ids {
        // In the order in which they were asked for.
        Some(ids) => {
            lines.sort_by_key(|(id, _)| ids.iter().position(|asked| asked == id));
        }
        None => lines.sort_by_key(|(id, _)| *id),
    }
    let text: String = lines.into_iter().map(|(_, line)| line).collect();
    here.reply.verbatim("txt", text.as_bytes());
    Ok(())
}

fn info(here: &mut Here<'_>) -> Result<(), CommandError> {
    let (table, now_ms) = (here.table, here.shard.now_ms());
    let unix_socket = here.shard.config.unixsocket.clone();
    let line = client_line(here.session(), table, now_ms, unix_socket.as_bytes());
    here.reply.verbatim("txt", line.as_bytes());
    Ok(())
}

fn local_address(session: &Session, unix_socket: &[u8]) -> String {
    match session.kind {
        ConnectionKind::Unix => client_address(session, unix_socket),
        ConnectionKind::Tcp => {
            socket::addresses(session.socket).1.map_or_else(|| "?:0".to_string(), |own| own.to_string())
        }
    }
}

/// One line of CLIENT LIST.
fn client_line(session: &Session, table: &CommandTable, now_ms: i64, unix_socket: &[u8]) -> String {
    let mut flags = String::new();
    for (set, letter) in [
        (session.monitor, 'O'),
        (session.is_queueing(), 'x'),
        (session.blocked, 'b'),
        (session.closing, 'c'),
        (session.kind == ConnectionKind::Unix, 'U'),
        (session.readonly, 'r'),
        (session.no_evict, 'e'),
        (session.no_touch, 'T'),
    ] {
        if set {
            flags.push(letter);
        }
    }
    if flags.is_empty() {
        flags.push('N');
    }
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let details = session.details.as_deref();
    let detail = |field: fn(&crate::session::Details) -> &Vec<u8>| {
        details.map_or_else(String::new, |details| text(field(details)))
    };
    let command = if session.last_command == u16::MAX {
        "NULL"
    } else {
        table.get(CommandId(session.last_command)).name
    };
    let output_bytes = session.output_bytes();
    format!(
        "id={} addr={} laddr={} fd={} name={} age={} idle={} flags={flags} db={} sub=0 psub=0 ssub=0 multi={} \
         qbuf={} qbuf-free=0 argv-mem=0 multi-mem=0 rbs={} rbp={} obl={output_bytes} oll=0 omem={output_bytes} \
         tot-mem={} events={} cmd={command} user=default redir=-1 resp={} lib-name={} lib-ver={}\n",
        session.id,
        client_address(session, unix_socket),
        local_address(session, unix_socket),
        session.socket,
        detail(|details| &details.name),
        (now_ms - session.created_ms) / 1000,
        (now_ms - session.last_interaction_ms) / 1000,
        session.database,
        session.queued_commands(),
        session.input.pending_bytes(),
        session.output.capacity(),
        session.output.capacity(),
        session.memory_bytes(),
        if session.sending_bytes.is_some() { "rw" } else { "r" },
        if session.resp3 { 3 } else { 2 },
        detail(|details| &details.library_name),
        detail(|details| &details.library_version),
    )
}

fn check_kill(here: &mut Here<'_>) -> Result<Next, CommandError> {
    let id = here.session().id;
    parse_kill(&here.args, id)?;
    Ok(Next::Gather)
}

/// Marks the clients that are meant; the one that asks is left for the end, since it gets a reply.
fn kill(part: &mut Part<'_>) -> Report {
    let Ok(filter) = parse_kill(&part.args, part.client_id) else { return Report::Done };
    let now_ms = part.shard.now_ms();
    let sessions = &mut part.shard.sessions;
    let unix_socket = part.shard.config.unixsocket.as_bytes();
    let (mut killed, mut own) = (Vec::new(), false);
    for session in sessions.iter().filter(|session| filter.accepts(session, now_ms, unix_socket)) {
        if session.id == part.client_id {
            own = true;
        } else if !sessions.kill.contains(&session.token) {
            killed.push(session.token);
        }
    }
    let count = killed.len() as u64 + u64::from(own);
    for &token in &killed {
        if let Some(session) = sessions.get(token)
            && let Some(wait) = session.waiting.filter(|_| session.blocked)
        {
            // It takes no element and runs no command any more, though it is closed only when this turn ends.
            session.blocked = false;
            session.closing = true;
            part.shard.unblocked.push((wait, Unblocked::Gone));
        }
    }
    sessions.kill.extend(killed);
    Report::Killed { count, own }
}

fn merge_kill(here: &mut Here<'_>, reports: Vec<Report>) -> Result<(), CommandError> {
    let mut killed = 0;
    for report in reports {
        if let Report::Killed { count, own } = report {
            killed += count;
            here.session().closing |= own;
        }
    }
    match (here.args.len(), killed) {
        (3, 0) => return Err(CommandError::text("ERR No such client")),
        (3, _) => here.reply.ok(),
        _ => here.reply.integer(killed as i64),
    }
    Ok(())
}

fn parse_pause(args: &Args<'_>) -> Result<(i64, bool), CommandError> {
    let writes_only = match args.len() {
        3 => false,
        4 if args.is(3, "WRITE") => true,
        4 if args.is(3, "ALL") => false,
        4 => return Err(CommandError::text("ERR CLIENT PAUSE mode must be WRITE or ALL")),
        _ => return Err(subcommand_syntax(args)),
    };
    let timeout_ms = parse_integer(args.get(2))
        .filter(|timeout| timeout.checked_add(i64::MAX / 2).is_some())
        .ok_or(CommandError::text("ERR timeout is not an integer or out of range"))?;
    if timeout_ms < 0 {
        return Err(CommandError::text("ERR timeout is negative"));
    }
    Ok((timeout_ms, writes_only))
}

fn check_pause(here: &mut Here<'_>) -> Result<Next, CommandError> {
    parse_pause(&here.args)?;
    Ok(Next::Gather)
}

/// A pause is never cut short or softened by another one.
fn pause(part: &mut Part<'_>) -> Report {
    let Ok((timeout_ms, writes_only)) = parse_pause(&part.args) else { return Report::Done };
    let now_ms = part.shard.now_ms();
    let until_ms = now_ms + timeout_ms;
    part.shard.pause = Some(match part.shard.pause {
        Some(pause) if pause.until_ms > now_ms => {
            Pause { until_ms: pause.until_ms.max(until_ms), writes_only: pause.writes_only && writes_only }
        }
        _ => Pause { until_ms, writes_only },
    });
    Report::Done
}

fn unpause(part: &mut Part<'_>) -> Report {
    part.shard.pause = None;
    Report::Done
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::testing::with_args;

    fn kill_filter(line: &str) -> Result<Filter, CommandError> {
        with_args(line, |args| parse_kill(&args, 7))
    }

    #[test]
    fn kill_takes_an_address_or_pairs_of_options() {
        let filter = kill_filter("CLIENT KILL 1.2.3.4:5").unwrap();
        assert_eq!(filter, Filter { address: Some(b"1.2.3.4:5".to_vec()), ..Filter::default() });
        let filter = kill_filter("client kill id 3 SkipMe no type NORMAL maxage 10 user default").unwrap();
        assert_eq!((filter.ids, filter.except, filter.kind), (Some(vec![3]), None, Some(ClientType::Normal)));
        assert_eq!(filter.age_seconds_min, Some(10));
        let filter = kill_filter("client kill laddr 1.1.1.1:1 addr 2.2.2.2:2").unwrap();
        assert_eq!((filter.except, filter.local_address), (Some(7), Some(b"1.1.1.1:1".to_vec())));
    }

    #[test]
    fn kill_refuses_in_the_words_of_redis() {
        for (line, error) in [
            ("client kill id 0", "ERR client-id should be greater than 0"),
            ("client kill id x", "ERR client-id should be greater than 0"),
            ("client kill type x", "ERR Unknown client type 'x'"),
            ("client kill user x", "ERR No such user 'x'"),
            ("client kill skipme x", "ERR syntax error"),
            ("client kill id 1 addr", "ERR syntax error"),
            ("client kill foo bar", "ERR syntax error"),
            ("client kill maxage 0", "ERR maxage should be greater than 0"),
        ] {
            assert_eq!(kill_filter(line).unwrap_err().message(), error, "{line}");
        }
    }

    #[test]
    fn list_filters_by_type_or_ids() {
        let list = |line: &str| with_args(line, |args| parse_list(&args));
        assert_eq!(list("client list").unwrap(), Filter::default());
        assert_eq!(list("client list id 1 5").unwrap().ids, Some(vec![1, 5]));
        assert_eq!(list("client list type pubsub").unwrap().kind, Some(ClientType::Other));
        assert_eq!(list("client list id x").unwrap_err().message(), "ERR Invalid client ID");
        assert_eq!(list("client list id").unwrap_err(), CommandError::Syntax);
        assert_eq!(list("client list type").unwrap_err(), CommandError::Syntax);
    }

    #[test]
    fn pause_wants_a_time_and_a_mode() {
        let pause = |line: &str| with_args(line, |args| parse_pause(&args));
        assert_eq!(pause("client pause 100").unwrap(), (100, false));
        assert_eq!(pause("client pause 100 write").unwrap(), (100, true));
        assert_eq!(pause("client pause -1").unwrap_err().message(), "ERR timeout is negative");
        assert_eq!(
            pause("client pause x").unwrap_err().message(),
            "ERR timeout is not an integer or out of range"
        );
        assert_eq!(
            pause("client pause 1 x").unwrap_err().message(),
            "ERR CLIENT PAUSE mode must be WRITE or ALL"
        );
    }
}
