//! What a command has to pass before it runs, as a list.

use crate::commands::{Command, flag};
use crate::error::CommandError;
use crate::shard::Shard;

/// Whether `command` may run now; `authenticated` is the session's.
#[inline(always)]
pub fn admit(command: &Command, authenticated: bool, shard: &Shard) -> Result<(), CommandError> {
    if !authenticated && command.flags & flag::NO_AUTH == 0 {
        return Err(CommandError::NoAuth);
    }
    if shard.out_of_memory && command.flags & flag::DENYOOM != 0 {
        return Err(CommandError::OutOfMemory);
    }
    Ok(())
}

/// Whether a command with these flags has to wait for the end of CLIENT PAUSE.
pub fn is_paused(flags: u32, shard: &Shard) -> bool {
    match shard.pause {
        None => false,
        Some(pause) if pause.until_ms <= shard.now_ms() => false,
        Some(pause) => !pause.writes_only || flags & (flag::WRITE | flag::MAY_REPLICATE) != 0,
    }
}
