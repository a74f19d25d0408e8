//! MONITOR: a line about every command, for the clients that asked for it.

use crate::commands::{Command, flag};
use crate::resp::Args;
use crate::runtime::clock;
use crate::runtime::engine::Token;
use crate::session::ConnectionKind;
use crate::shard::mailbox::Feed;
use crate::shard::upkeep::{REDACTED, client_address, is_secret};

use super::Dispatcher;

impl Dispatcher {
    /// Tells every monitor of a command.
    #[cold]
    pub(super) fn feed_monitors(&mut self, token: Token, command: &Command, args: &Args<'_>) {
        if command.flags & (flag::SKIP_MONITOR | flag::ADMIN) != 0 {
            return;
        }
        let Some(session) = self.shard.sessions.get(token) else { return };
        let address = client_address(session, self.shard.config.unixsocket.as_bytes());
        let now_us = clock::unix_us();
        let (seconds, us) = (now_us / 1_000_000, now_us % 1_000_000);
        let place = match session.kind {
            ConnectionKind::Unix => format!("unix:{}", address.strip_suffix(":0").unwrap_or(&address)),
            ConnectionKind::Tcp => address,
        };
        let mut line = format!("+{seconds}.{us:06} [{} {place}]", session.database).into_bytes();
        for (position, argument) in args.iter().enumerate() {
            line.push(b' ');
            quote(if is_secret(args, position) { REDACTED } else { argument }, &mut line);
        }
        line.extend_from_slice(b"\r\n");
        for &(shard, session_id) in &self.shard.monitors {
            self.shard.feeds.push((shard, Feed { session_id, bytes: line.clone() }));
        }
    }
}

/// Text in double quotes, with everything escaped that is not printable.
pub fn quote(text: &[u8], out: &mut Vec<u8>) {
    out.push(b'"');
    for &byte in text {
        match byte {
            b'\\' | b'"' => out.extend_from_slice(&[b'\\', byte]),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\t' => out.extend_from_slice(b"\\t"),
            7 => out.extend_from_slice(b"\\a"),
            8 => out.extend_from_slice(b"\\b"),
            0x20..=0x7e => out.push(byte),
            _ => out.extend_from_slice(format!("\\x{byte:02x}").as_bytes()),
        }
    }
    out.push(b'"');
}
