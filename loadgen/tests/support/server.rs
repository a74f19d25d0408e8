//! Servers of a test's own, gone when it ends.

#![allow(dead_code, reason = "each test uses a part of this")]

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use polder_loadgen::client::{Address, Client, Handshake, Value};
use tempfile::TempDir;

const START_TIMEOUT: Duration = Duration::from_secs(20);
const LOAD_TIMEOUT: Duration = Duration::from_secs(20);
const PORT_MIN: u16 = 11_000;
const PORTS: u32 = 11_000;
/// Processes whose numbers follow each other have ports so far apart.
const PORTS_EACH: u32 = 67;

pub struct Server {
    process: Child,
    pub port: u16,
    folder: TempDir,
}

impl Server {
    pub fn start(program: &Path, flags: &[&str]) -> Server {
        Server::start_on(free_port(), program, flags)
    }

    pub fn start_on(port: u16, program: &Path, flags: &[&str]) -> Server {
        let folder = tempfile::tempdir().unwrap();
        let mut command = Command::new(program);
        command.args(["--port", &port.to_string(), "--unixsocket", "server.sock"]).args(flags);
        let log = folder.path().join("log");
        let file = std::fs::File::create(&log).unwrap();
        command.current_dir(folder.path()).stdout(file.try_clone().unwrap()).stderr(file);
        let process = command.spawn().unwrap_or_else(|error| panic!("{}: {error}", program.display()));
        let mut server = Server { process, port, folder };
        let end = Instant::now() + START_TIMEOUT;
        while Client::connect(&server.address(), &Handshake::default()).is_err() {
            assert!(Instant::now() < end, "{} does not listen", program.display());
            if let Some(status) = server.process.try_wait().unwrap() {
                let said = std::fs::read_to_string(&log).unwrap_or_default();
                panic!("{} ended at once, {status}: {said}", program.display());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        server
    }

    pub fn redis(flags: &[&str]) -> Server {
        Server::start(Path::new("redis-server"), &[&["--save", ""], flags].concat())
    }

    pub fn polder(flags: &[&str]) -> Server {
        Server::start(polder_server(), flags)
    }

    pub fn id(&self) -> u32 {
        self.process.id()
    }

    pub fn address(&self) -> Address {
        Address::Tcp { host: "127.0.0.1".into(), port: self.port }
    }

    /// Its unix socket.
    pub fn socket(&self) -> PathBuf {
        self.folder.path().join("server.sock")
    }

    pub fn ask(&self, words: &[&str]) -> Value {
        Client::connect(&self.address(), &Handshake::default()).unwrap().ask(words).unwrap()
    }

    /// How often it has run a command.
    pub fn calls(&self, command: &str) -> u64 {
        let Value::Text(info) = self.ask(&["INFO", "commandstats"]) else { panic!("INFO is a text") };
        let found = info.lines().find_map(|line| line.strip_prefix(&format!("cmdstat_{command}:calls=")));
        found.map_or(0, |line| line.split(',').next().unwrap().parse().unwrap())
    }

    /// Waits until a load is under way: however busy the machine, some of its commands were run.
    pub fn await_calls(&self, command: &str, count: u64) {
        let end = Instant::now() + LOAD_TIMEOUT;
        while self.calls(command) < count {
            assert!(Instant::now() < end, "no load: {} of {count} calls of {command}", self.calls(command));
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// How many keys match a pattern.
    pub fn keys(&self, pattern: &str) -> usize {
        match self.ask(&["KEYS", pattern]) {
            Value::Array(keys) => keys.len(),
            other => panic!("{other:?}"),
        }
    }
}

/// A port of a server's own, see [`free_ports`].
pub fn free_port() -> u16 {
    free_ports(1)
}

/// The first of so many ports in a row, never the same twice: they are free until a server takes them. These and those
/// 10,000 above, where a cluster's nodes speak with each other, lie below what the kernel gives to connections.
pub fn free_ports(count: u16) -> u16 {
    static TAKEN: AtomicU32 = AtomicU32::new(0);
    let mut firsts = std::iter::repeat_with(|| {
        let number = std::process::id() * PORTS_EACH + TAKEN.fetch_add(u32::from(count), Ordering::Relaxed);
        PORT_MIN + (number % PORTS) as u16
    });
    let is_free = |port: u16| TcpListener::bind(("127.0.0.1", port)).is_ok();
    firsts.find(|&first| (first..first + count).all(is_free)).unwrap()
}

impl Drop for Server {
    fn drop(&mut self) {
        // One that has ended already needs no end.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// The server of this workspace as its sources are now. The tests of a package do not build the others' binaries,
/// so that one left beside the generator could be of any age; cargo builds it, in a moment if it is fresh.
pub fn polder_server() -> &'static Path {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(|| {
        let beside = Path::new(env!("CARGO_BIN_EXE_polder-loadgen")).with_file_name("polder-server");
        let target = beside.parent().and_then(Path::parent).unwrap();
        let profile = if cfg!(debug_assertions) { "test" } else { "release" };
        let mut build = Command::new(env!("CARGO"));
        build.args(["build", "--quiet", "--workspace", "--bin", "polder-server", "--profile", profile]);
        build.arg("--target-dir").arg(target);
        assert!(build.status().unwrap().success(), "polder-server cannot be built");
        beside
    })
}
