//! Where clients come in.

use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use crate::log;
use crate::runtime::engine::Engine;
use crate::runtime::socket;
use crate::session::ConnectionKind;

use super::Plane;

/// A socket that listens for this shard.
#[derive(Clone)]
pub struct Listener {
    /// Unix sockets are shared by all shards, others belong to one.
    pub socket: Arc<OwnedFd>,
    pub kind: ConnectionKind,
}

impl Listener {
    pub fn descriptor(&self) -> RawFd {
        self.socket.as_raw_fd()
    }
}

const TOO_MANY_CLIENTS: &[u8] = b"-ERR max number of clients reached\r\n";

/// What a client from elsewhere is told while the server is open to everybody by accident.
const PROTECTED: &[u8] = b"-DENIED Redis is running in protected mode because protected mode is enabled \
and no password is set for the default user. In this mode connections are only accepted from the loopback \
interface. If you want to connect from external computers to Redis you may adopt one of the following \
solutions: 1) Just disable protected mode sending the command 'CONFIG SET protected-mode no' from the \
loopback interface by connecting to Redis from the same host the server is running, however MAKE SURE Redis \
is not publicly accessible from internet if you do so. Use CONFIG REWRITE to make this change permanent. \
2) Alternatively you can just disable the protected mode by editing the Redis configuration file, and \
setting the protected mode option to 'no', and then restarting the server. 3) If you started the server \
manually just for testing, restart it with the '--protected-mode no' option. 4) Setup a an authentication \
password for the default user. NOTE: You only need to do one of the above things in order for the server to \
start accepting connections from the outside.\r\n";

impl<E: Engine> Plane<E> {
    pub(super) fn accepted(&mut self, listener: u32, connected: OwnedFd) {
        let shard = &mut self.dispatcher.shard;
        shard.metrics.connections_received += 1;
        let kind =
            self.listeners.get(listener as usize).map_or(ConnectionKind::Tcp, |listener| listener.kind);
        let descriptor = connected.as_raw_fd();
        if shard.node.clients() >= shard.config.maxclients as u64 {
            shard.metrics.connections_rejected += 1;
            socket::send_and_forget(descriptor, TOO_MANY_CLIENTS);
            return;
        }
        let open = shard.config.requirepass.is_empty();
        if kind == ConnectionKind::Tcp && open && shard.config.protected_mode && !is_local(descriptor) {
            shard.metrics.connections_rejected += 1;
            socket::send_and_forget(descriptor, PROTECTED);
            return;
        }
        if kind == ConnectionKind::Tcp {
            socket::configure_tcp(descriptor, shard.config.tcp_keepalive_seconds);
        }
        let now_ms = shard.now_ms();
        let token = self.engine.add(connected);
        let session = shard.sessions.insert(token, descriptor, kind, now_ms);
        session.authenticated = open;
        let gauges = &shard.node.gauges[shard.id];
        gauges.clients.store(shard.sessions.len() as u64, Ordering::Relaxed);
        if shard.sessions.len() == 1 {
            log!(Debug, "Shard {} has its first client", shard.id);
        }
    }
}

/// Whether a client is on this host.
fn is_local(descriptor: RawFd) -> bool {
    match socket::addresses(descriptor).0 {
        Some(peer) => peer.ip().to_canonical().is_loopback(),
        None => true,
    }
}
