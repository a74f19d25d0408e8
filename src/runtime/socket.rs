//! Sockets as the engine needs them: non-blocking listeners and the options of connections.

use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::path::Path;

fn check(result: libc::c_int) -> io::Result<libc::c_int> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}

fn set_option(socket: RawFd, level: i32, option: i32, value: i32) -> io::Result<()> {
    // SAFETY: passes the address and size of a local integer.
    check(unsafe {
        libc::setsockopt(socket, level, option, (&raw const value).cast(), size_of::<i32>() as u32)
    })?;
    Ok(())
}

fn new_socket(family: i32) -> io::Result<OwnedFd> {
    // SAFETY: a plain system call; the result is checked before it is owned.
    let socket = check(unsafe {
        libc::socket(family, libc::SOCK_STREAM | libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK, 0)
    })?;
    // SAFETY: a new descriptor that nobody else owns.
    Ok(unsafe { OwnedFd::from_raw_fd(socket) })
}

/// The addresses that one word of the `bind` directive means: `*` and `-::*` are all of a family.
pub fn resolve(host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
    match host {
        "*" => Ok(vec![SocketAddr::from(([0, 0, 0, 0], port))]),
        "::*" => Ok(vec![SocketAddr::from(([0u16; 8], port))]),
        host => Ok((host, port).to_socket_addrs()?.collect()),
    }
}

/// A listening TCP socket; with `shared`, several sockets of this process may listen on the same address
/// and the kernel spreads the connections over them.
pub fn listen_tcp(address: SocketAddr, backlog: i32, shared: bool) -> io::Result<OwnedFd> {
    let (family, storage, length) = raw_address(address);
    let socket = new_socket(family)?;
    set_option(socket.as_raw_fd(), libc::SOL_SOCKET, libc::SO_REUSEADDR, 1)?;
    if shared {
        set_option(socket.as_raw_fd(), libc::SOL_SOCKET, libc::SO_REUSEPORT, 1)?;
    }
    if address.is_ipv6() {
        set_option(socket.as_raw_fd(), libc::IPPROTO_IPV6, libc::IPV6_V6ONLY, 1)?;
    }
    // SAFETY: `storage` holds a socket address of `length` bytes.
    check(unsafe { libc::bind(socket.as_raw_fd(), (&raw const storage).cast(), length) })?;
    // SAFETY: a plain system call on a descriptor that we own.
    check(unsafe { libc::listen(socket.as_raw_fd(), backlog) })?;
    Ok(socket)
}

/// A listening unix socket. A stale file of that name is removed first; a live one is not ours to take.
pub fn listen_unix(path: &Path, permissions: u32, backlog: i32) -> io::Result<OwnedFd> {
    use std::os::unix::fs::{FileTypeExt, PermissionsExt};
    if let Ok(metadata) = std::fs::symlink_metadata(path) {
        if !metadata.file_type().is_socket() {
            return Err(io::Error::new(io::ErrorKind::AlreadyExists, "the path exists and is no socket"));
        }
        if std::os::unix::net::UnixStream::connect(path).is_ok() {
            return Err(io::Error::from(io::ErrorKind::AddrInUse));
        }
        std::fs::remove_file(path)?;
    }
    // The backlog of the standard library's listener is fixed, hence a second call of listen.
    let listener = std::os::unix::net::UnixListener::bind(path)?;
    listener.set_nonblocking(true)?;
    let socket = OwnedFd::from(listener);
    // SAFETY: a plain system call on a descriptor that we own.
    check(unsafe { libc::listen(socket.as_raw_fd(), backlog) })?;
    if permissions != 0 {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(permissions))?;
    }
    Ok(socket)
}

fn raw_address(address: SocketAddr) -> (i32, libc::sockaddr_storage, u32) {
    // SAFETY: all-zero is a valid value of this plain C structure.
    let mut storage: libc::sockaddr_storage = unsafe { std::mem::zeroed() };
    match address {
        SocketAddr::V4(v4) => {
            let raw = libc::sockaddr_in {
                sin_family: libc::AF_INET as u16,
                sin_port: v4.port().to_be(),
                sin_addr: libc::in_addr { s_addr: u32::from_ne_bytes(v4.ip().octets()) },
                sin_zero: [0; 8],
            };
            // SAFETY: the storage is made to hold any socket address.
            unsafe { (&raw mut storage).cast::<libc::sockaddr_in>().write(raw) };
            (libc::AF_INET, storage, size_of::<libc::sockaddr_in>() as u32)
        }
        SocketAddr::V6(v6) => {
            let raw = libc::sockaddr_in6 {
                sin6_family: libc::AF_INET6 as u16,
                sin6_port: v6.port().to_be(),
                sin6_flowinfo: v6.flowinfo(),
                sin6_addr: libc::in6_addr { s6_addr: v6.ip().octets() },
                sin6_scope_id: v6.scope_id(),
            };
            // SAFETY: as above.
            unsafe { (&raw mut storage).cast::<libc::sockaddr_in6>().write(raw) };
            (libc::AF_INET6, storage, size_of::<libc::sockaddr_in6>() as u32)
        }
    }
}

/// No delay for small replies, and probes of silent peers every `keepalive_seconds` (0: none).
pub fn configure_tcp(socket: RawFd, keepalive_seconds: u32) {
    // Best effort, as in every server: a socket that refuses an option still works.
    let _ = set_option(socket, libc::IPPROTO_TCP, libc::TCP_NODELAY, 1);
    if keepalive_seconds > 0 {
        let seconds = keepalive_seconds as i32;
        let _ = set_option(socket, libc::SOL_SOCKET, libc::SO_KEEPALIVE, 1);
        let _ = set_option(socket, libc::IPPROTO_TCP, libc::TCP_KEEPIDLE, seconds);
        let _ = set_option(socket, libc::IPPROTO_TCP, libc::TCP_KEEPINTVL, (seconds / 3).max(1));
        let _ = set_option(socket, libc::IPPROTO_TCP, libc::TCP_KEEPCNT, 3);
    }
}

/// Ends both directions: whatever waits on the socket completes.
pub fn shutdown(socket: RawFd) {
    // SAFETY: a plain system call; a bad descriptor is an error that means there is nothing to end.
    unsafe { libc::shutdown(socket, libc::SHUT_RDWR) };
}

/// The addresses of a connection as CLIENT LIST shows them: peer and own. Unix sockets have no peer.
pub fn addresses(socket: RawFd) -> (Option<SocketAddr>, Option<SocketAddr>) {
    // SAFETY: the descriptor stays open during the call; the stream is forgotten, not closed.
    let stream = std::mem::ManuallyDrop::new(unsafe { std::net::TcpStream::from_raw_fd(socket) });
    (stream.peer_addr().ok(), stream.local_addr().ok())
}

/// Sends what fits at once and drops the rest: for a last word to a connection that is turned away.
pub fn send_and_forget(socket: RawFd, bytes: &[u8]) {
    // SAFETY: passes a valid slice; errors do not matter to a connection that closes next.
    unsafe {
        libc::send(socket, bytes.as_ptr().cast(), bytes.len(), libc::MSG_NOSIGNAL | libc::MSG_DONTWAIT)
    };
}
