//! CONFIG: every shard has a copy of the configuration; a change is checked once and applied by all.

use super::client::{gather, merge_ok};
use super::help::help;
use super::{Command, Group, Here, Next, Part, Run, flag};
use crate::config::{Changes, Config, NO_CONFIG_FILE, SetError, rewrite_file_at};
use crate::error::CommandError;
use crate::resp::Args;
use crate::runtime::{process, socket};
use crate::session::ConnectionKind;
use crate::shard::Report;
use crate::shard::node::reserved_descriptors;

const FLAGS: u32 = flag::ADMIN | flag::NOSCRIPT | flag::LOADING | flag::STALE;

const fn record(name: &'static str, arity: i16, run: Run) -> Command {
    Command::new(name, arity, run).group(Group::Server).since("2.0.0").flags(FLAGS)
}

pub const COMMANDS: &[Command] = &[Command::container("config", SUBCOMMANDS)
    .group(Group::Server)
    .since("2.0.0")
    .docs("A container for commands about the configuration.", "Depends on the subcommand.", "")];

const SUBCOMMANDS: &[Command] = &[
    record("config|get", -3, Run::Here(get)).docs(
        "Returns the values of directives.",
        "O(N) where N is the number of configuration parameters provided",
        "parameter [parameter ...]",
    ),
    record("config|help", 2, Run::Here(help)).since("5.0.0").flags(flag::LOADING | flag::STALE).docs(
        "Returns helpful text about the subcommands.",
        "O(1)",
        "",
    ),
    record("config|resetstat", 2, Run::Gather { check: gather, part: resetstat, merge: merge_ok })
        .tips(&["request_policy:all_nodes", "response_policy:all_succeeded"])
        .docs("Sets the counters of INFO back to zero.", "O(1)", ""),
    record("config|rewrite", 2, Run::Here(rewrite_file))
        .since("2.8.0")
        .tips(&["request_policy:all_nodes", "response_policy:all_succeeded"])
        .docs("Writes the configuration to its file.", "O(1)", ""),
    record("config|set", -4, Run::Gather { check: check_set, part: set, merge: merge_ok })
        .tips(&["request_policy:all_nodes", "response_policy:all_succeeded"])
        .docs(
            "Changes directives.",
            "O(N) where N is the number of configuration parameters provided",
            "parameter value [parameter value ...]",
        ),
];

fn get(here: &mut Here<'_>) -> Result<(), CommandError> {
    let patterns: Vec<&[u8]> = here.args.iter().skip(2).collect();
    let found = here.shard.config.get(&patterns);
    here.reply.map(found.len());
    for (name, value) in found {
        here.reply.bulk(&name);
        match std::env::current_dir() {
            // Where the process is, whatever way it was told to go there.
            Ok(directory) if name.eq_ignore_ascii_case(b"dir") => {
                here.reply.bulk(directory.as_os_str().as_encoded_bytes());
            }
            _ => here.reply.bulk(&value),
        }
    }
    Ok(())
}

/// Whether the client is on this host: permissions of the kind `local` allow it.
pub fn client_is_local(here: &mut Here<'_>) -> bool {
    let session = here.session();
    match session.kind {
        ConnectionKind::Unix => true,
        ConnectionKind::Tcp => {
            socket::addresses(session.socket).0.is_some_and(|peer| peer.ip().to_canonical().is_loopback())
        }
    }
}

fn changes(config: &Config, args: &Args<'_>, local: bool) -> Result<Changes, SetError> {
    let pairs: Vec<(&[u8], &[u8])> =
        (2..args.len() - 1).step_by(2).map(|name| (args.get(name), args.get(name + 1))).collect();
    config.set(&pairs, local)
}

fn check_set(here: &mut Here<'_>) -> Result<Next, CommandError> {
    if !here.args.len().is_multiple_of(2) {
        return Err(CommandError::Syntax);
    }
    let local = client_is_local(here);
    let (node, args) = (here.shard.node.clone(), &here.args);
    let changed = node.config_log.append(here.shard.id, &mut here.shard.config, |config| {
        let changes = changes(config, args, local)?;
        take_effect(&changes, node.shards())?;
        Ok(changes)
    });
    here.shard.apply_config();
    if changed.map_err(refused)? {
        return Ok(Next::Gather);
    }
    here.reply.ok();
    Ok(Next::Answered)
}

fn refused(error: SetError) -> CommandError {
    CommandError::text(error.to_string())
}

/// What concerns the process as a whole, and may fail.
fn take_effect(changes: &Changes, shards: usize) -> Result<(), SetError> {
    for name in ["port", "bind"] {
        if changes.contains(name) {
            return Err(SetError::no_effect(
                name,
                "listening sockets are opened at the start only: set it in the configuration file and restart",
            ));
        }
    }
    let config = changes.config();
    if changes.contains("maxclients") {
        let reserved = reserved_descriptors(shards);
        let wanted = u64::from(config.maxclients) + reserved;
        let granted = process::raise_open_files_limit(wanted);
        if granted < wanted {
            let clients = granted.saturating_sub(reserved);
            let reason = format!(
                "The operating system is not able to handle the specified number of clients, try with {clients}"
            );
            return Err(SetError::no_effect("maxclients", reason));
        }
    }
    if changes.contains("dir")
        && let Err(error) = std::env::set_current_dir(config.dir.as_path())
    {
        let text = error.to_string();
        let reason = text.split(" (os error").next().unwrap_or(&text);
        return Err(SetError::no_effect("dir", reason));
    }
    Ok(())
}

/// The change stands in the log already: the shard takes it over.
fn set(part: &mut Part<'_>) -> Report {
    let shard = &mut *part.shard;
    if shard.node.config_log.catch_up(shard.id, &mut shard.config) {
        shard.apply_config();
    }
    Report::Done
}

fn resetstat(part: &mut Part<'_>) -> Report {
    part.shard.metrics.reset();
    part.shard.keyspace.reset_stats();
    Report::Done
}

fn rewrite_file(here: &mut Here<'_>) -> Result<(), CommandError> {
    let Some(path) = here.shard.node.config_file.clone() else {
        return Err(CommandError::text(NO_CONFIG_FILE));
    };
    match rewrite_file_at(&path, &here.shard.config) {
        Ok(()) => {
            crate::log!(Notice, "CONFIG REWRITE executed with success.");
            here.reply.ok();
            Ok(())
        }
        Err(error) => {
            crate::log!(Warning, "CONFIG REWRITE failed: {error}");
            let text = error.to_string();
            let reason = text.split(" (os error").next().unwrap_or(&text).to_owned();
            Err(CommandError::text(format!("ERR Rewriting config file: {reason}")))
        }
    }
}
