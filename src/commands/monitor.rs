//! MONITOR: from now on the client sees the commands of all clients.
//!
//! Every shard notes who wants to see; what it runs it then tells to the shards of these clients.

use super::{Command, Group, Here, Next, Part, Run, flag};
use crate::error::CommandError;
use crate::session::Sessions;
use crate::shard::Report;

pub const COMMANDS: &[Command] =
    &[Command::new("monitor", 1, Run::Gather { check, part: register, merge: begin })
        .group(Group::Server)
        .flags(flag::ADMIN | flag::NOSCRIPT | flag::LOADING | flag::STALE)
        .docs("Shows every command that the server gets.", "O(1)", "")];

/// A client that monitors already is told nothing more.
fn check(here: &mut Here<'_>) -> Result<Next, CommandError> {
    if here.session().in_exec {
        return Err(CommandError::text("ERR MONITOR isn't allowed for DENY BLOCKING client"));
    }
    Ok(if here.session().monitor { Next::Answered } else { Next::Gather })
}

fn register(part: &mut Part<'_>) -> Report {
    let shard = Sessions::shard_of(part.client_id, part.shard.route.shards());
    part.shard.monitors.push((shard, part.client_id));
    Report::Done
}

fn begin(here: &mut Here<'_>, _: Vec<Report>) -> Result<(), CommandError> {
    here.session().monitor = true;
    here.reply.ok();
    Ok(())
}
