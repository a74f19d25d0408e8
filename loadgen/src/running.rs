//! Servers that run already and stay what they are: where one is, what it calls itself, and which process of
//! this machine it is.

use std::net::{ToSocketAddrs, UdpSocket};
use std::os::unix::fs::FileTypeExt;

use crate::client::{Address, Client, Handshake, Value};
use crate::error::Failure;
use crate::origin::{field_in, name_in};
use crate::processes::{age_seconds, process_cpus};

/// In front of the path of a unix socket, which then need not be there yet.
const UNIX_PREFIX: &str = "unix:";
/// A process is the server if it is as old as the server says it is, up to this.
const AGE_DIFFERENCE_SECONDS: f64 = 3.0;

/// `127.0.0.1:6379`, `[::1]:6379`, `unix:/run/redis.sock` or the path of a socket; `None` for what is none of
/// these, such as a command line.
pub fn parse_address(text: &str) -> Option<Address> {
    let text = text.trim();
    if let Some(path) = text.strip_prefix(UNIX_PREFIX) {
        return (!path.is_empty()).then(|| Address::Unix(path.into()));
    }
    if std::fs::metadata(text).is_ok_and(|metadata| metadata.file_type().is_socket()) {
        return Some(Address::Unix(text.into()));
    }
    let (host, port) = text.rsplit_once(':')?;
    let is_bracketed = host.starts_with('[') && host.ends_with(']');
    let host = if is_bracketed { &host[1..host.len() - 1] } else { host };
    let is_host = !host.is_empty() && !host.contains(['/', '\'', '"']) && !host.contains(char::is_whitespace);
    let is_whole = is_host && (is_bracketed || !host.contains(':'));
    Some(Address::Tcp { host: host.into(), port: port.parse().ok().filter(|_| is_whole)? })
}

/// A server that was not started here.
#[derive(Debug, Clone)]
pub struct Running {
    pub address: Address,
    /// What it wants to hear first.
    pub handshake: Handshake,
    /// What it calls itself.
    pub name: String,
    /// Its process, if that is on this machine and known.
    pub process: Option<u32>,
}

impl Running {
    /// Asks it who it is. Without a number its process is what INFO says, as long as that can be true: a
    /// server in a container, or behind a tunnel, names the number of another process.
    pub fn find(address: &Address, handshake: Handshake, process: Option<u32>) -> Result<Running, Failure> {
        let gone = |error: std::io::Error| Failure::ServerGone(format!("{address}: {error}"));
        let mut client = Client::connect(address, &handshake).map_err(gone)?;
        client.ask(&["PING"]).map_err(gone)?;
        // A server may refuse to say more.
        let info = match client.ask(&["INFO", "server"]) {
            Ok(Value::Text(text)) => text,
            _ => String::new(),
        };
        let process = match process {
            Some(process) if age_seconds(process).is_none() => {
                return Err(Failure::Options(format!("{address}: there is no process {process} here")));
            }
            Some(process) => Some(process),
            None => process_in(&info).filter(|_| is_here(address)),
        };
        Ok(Running { address: address.clone(), handshake, name: name_in(&info), process })
    }

    pub fn client(&self) -> Result<Client, Failure> {
        Client::connect(&self.address, &self.handshake)
            .map_err(|error| Failure::ServerGone(format!("{}: {error}", self.address)))
    }

    /// Processors of the load that this server may run on, too.
    pub fn shared_cpus(&self, load: &[usize]) -> Vec<usize> {
        let own = self.process.map(process_cpus).unwrap_or_default();
        load.iter().copied().filter(|cpu| own.contains(cpu)).collect()
    }
}

/// The process that INFO names, if it is as old as the server.
fn process_in(info: &str) -> Option<u32> {
    let process = field_in(info, "process_id:")?.parse().ok()?;
    let uptime: f64 = field_in(info, "uptime_in_seconds:")?.parse().ok()?;
    let age = age_seconds(process)?;
    ((age - uptime).abs() <= AGE_DIFFERENCE_SECONDS).then_some(process)
}

/// Whether an address is one of this machine's own: only such an address can be bound.
fn is_here(address: &Address) -> bool {
    match address {
        Address::Unix(_) => true,
        Address::Tcp { host, port } => (host.as_str(), *port)
            .to_socket_addrs()
            .is_ok_and(|mut found| found.any(|address| UdpSocket::bind((address.ip(), 0)).is_ok())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_and_command_lines() {
        let tcp = |host: &str, port| Some(Address::Tcp { host: host.into(), port });
        assert_eq!(parse_address("127.0.0.1:6379"), tcp("127.0.0.1", 6379));
        assert_eq!(parse_address(" cache.example:1 "), tcp("cache.example", 1));
        assert_eq!(parse_address("[::1]:6379"), tcp("::1", 6379));
        assert_eq!(parse_address("unix:/no/such.sock"), Some(Address::Unix("/no/such.sock".into())));
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("server.sock");
        let _listener = std::os::unix::net::UnixListener::bind(&path).unwrap();
        assert_eq!(parse_address(path.to_str().unwrap()), Some(Address::Unix(path)));
        let lines =
            ["redis-server", "redis-server --save ''", "./server", "server --bind ::1:7", "a:b", "h:70000"];
        for line in lines.into_iter().chain(["::1:6379", "unix:", ":6379", "Cargo.toml"]) {
            assert_eq!(parse_address(line), None, "{line}");
        }
    }

    #[test]
    fn a_process_is_as_old_as_its_server() {
        let own = std::process::id();
        let age = age_seconds(own).unwrap();
        let info = |process: u32, uptime: f64| {
            format!("# Server\r\nprocess_id:{process}\r\nuptime_in_seconds:{uptime:.0}\r\n")
        };
        assert_eq!(process_in(&info(own, age)), Some(own));
        assert_eq!(process_in(&info(own, age + 60.0)), None);
        assert_eq!(process_in(&info(u32::MAX, age)), None);
        assert_eq!(process_in(""), None);
    }

    #[test]
    fn this_machine_is_known() {
        let address = |host: &str| Address::Tcp { host: host.into(), port: 1 };
        assert!(is_here(&address("127.0.0.1")) && is_here(&Address::Unix("/x".into())));
        // An address for documents (RFC 5737) is nobody's.
        assert!(!is_here(&address("192.0.2.1")) && !is_here(&address("no-such-host.invalid")));
    }

    #[test]
    fn nobody_there() {
        let failure =
            Running::find(&Address::Unix("/no/such.sock".into()), Handshake::default(), None).unwrap_err();
        assert!(failure.is_server_gone() && failure.to_string().contains("/no/such.sock"), "{failure}");
    }
}
