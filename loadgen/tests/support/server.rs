//! Servers of a test's own, gone when it ends.

#![allow(dead_code, reason = "each test uses a part of this")]

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use polder_loadgen::client::{Address, Client, Handshake, Value};
use tempfile::TempDir;

const START_TIMEOUT: Duration = Duration::from_secs(20);
const LOAD_TIMEOUT: Duration = Duration::from_secs(20);
const PORT_MIN: u16 = 10_000;
const PORTS: u32 = 20_000;
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
        command.current_dir(folder.path()).stdout(Stdio::null()).stderr(Stdio::null());
        let process = command.spawn().unwrap_or_else(|error| panic!("{}: {error}", program.display()));
        let mut server = Server { process, port, folder };
        let end = Instant::now() + START_TIMEOUT;
        while Client::connect(&server.address(), &Handshake::default()).is_err() {
            assert!(Instant::now() < end, "{} does not listen", program.display());
            let ended = server.process.try_wait().unwrap();
            assert!(ended.is_none(), "{} ended at once: {ended:?}", program.display());
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

/// Below those that the kernel gives to connections, and never the same twice: the port is free until its server
/// takes it.
pub fn free_port() -> u16 {
    static TAKEN: AtomicU32 = AtomicU32::new(0);
    let mut ports = std::iter::repeat_with(|| {
        let number = std::process::id() * PORTS_EACH + TAKEN.fetch_add(1, Ordering::Relaxed);
        PORT_MIN + (number % PORTS) as u16
    });
    ports.find(|&port| TcpListener::bind(("127.0.0.1", port)).is_ok()).unwrap()
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
