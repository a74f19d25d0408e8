//! Servers that a test starts on free ports, waits for, and takes with it when it ends.

use std::fs::{self, File};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use super::client::{Client, Reply};

/// A debug build on a busy machine needs its time to start.
const START_TIMEOUT: Duration = Duration::from_secs(30);

/// Ports that one server may take: its own and one per shard.
const PORTS_PER_SERVER: u16 = 10;

pub struct Server {
    pub port: u16,
    pub directory: PathBuf,
    pub name: String,
    child: Child,
}

/// What a test runs against.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Variant {
    /// Debian's redis-server 7.0: what the replies are judged by.
    Reference,
    Polder {
        shards: usize,
    },
    /// Two shards on the engine for kernels without io_uring.
    PolderOnEpoll,
}

impl Variant {
    pub fn start(self, arguments: &[&str]) -> Server {
        match self {
            Variant::Reference => Server::reference(arguments),
            Variant::Polder { shards } => Server::polder(shards, arguments),
            Variant::PolderOnEpoll => Server::polder(2, &[&["--engine", "epoll"], arguments].concat()),
        }
    }
}

/// The binary under test: the one that cargo built, unless `POLDER_SERVER` names another.
pub fn polder_binary() -> PathBuf {
    match std::env::var_os("POLDER_SERVER") {
        Some(path) => PathBuf::from(path),
        None => PathBuf::from(env!("CARGO_BIN_EXE_polder-server")),
    }
}

impl Server {
    pub fn reference(arguments: &[&str]) -> Server {
        Server::start("redis-server".into(), "reference", arguments)
    }

    pub fn polder(shards: usize, arguments: &[&str]) -> Server {
        let shards_text = shards.to_string();
        let mut all = vec!["--shards", &shards_text];
        all.extend_from_slice(arguments);
        Server::start(polder_binary(), &format!("polder-{shards}"), &all)
    }

    fn start(binary: PathBuf, name: &str, arguments: &[&str]) -> Server {
        // Another process may take the port between the probe and the server's bind.
        let mut last_log = String::new();
        for _ in 0..3 {
            let port = free_port();
            let directory = new_directory(name);
            let log = File::create(directory.join("stdout.log")).expect("a log file in the test directory");
            let errors = log.try_clone().expect("a second handle of the log");
            let mut command = Command::new(&binary);
            command.args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--save", ""]);
            command.args(arguments).current_dir(&directory);
            command.stdin(Stdio::null()).stdout(log).stderr(errors);
            let child = match command.spawn() {
                Ok(child) => child,
                Err(_) if name == "reference" => {
                    panic!("redis-server is missing; the tests compare with it: apt install redis-server")
                }
                Err(error) => panic!("cannot start {}: {error}", binary.display()),
            };
            let mut server = Server { port, directory, name: name.into(), child };
            if server.wait_until_ready() {
                return server;
            }
            last_log = server.log();
        }
        panic!("{} {arguments:?} does not start; its log:\n{last_log}", binary.display())
    }

    fn wait_until_ready(&mut self) -> bool {
        let deadline = Instant::now() + START_TIMEOUT;
        while Instant::now() < deadline {
            if !matches!(self.child.try_wait(), Ok(None)) {
                return false;
            }
            if let Ok(mut client) = Client::connect(self.port)
                && client.send(b"*1\r\n$4\r\nPING\r\n").is_ok()
                && let Ok(reply) = client.read()
            {
                // A server with a password answers NOAUTH, which is as ready as PONG.
                if reply == Reply::Simple(b"PONG".to_vec()) || reply.text().starts_with("NOAUTH") {
                    return true;
                }
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        false
    }

    pub fn client(&self) -> Client {
        Client::connect(self.port)
            .unwrap_or_else(|error| panic!("{} refuses a connection: {error}\n{}", self.name, self.log()))
    }

    pub fn log(&self) -> String {
        fs::read_to_string(self.directory.join("stdout.log")).unwrap_or_default()
    }

    pub fn process_id(&self) -> u32 {
        self.child.id()
    }

    /// What every thread of the server is at: its name, its state, and what it sleeps in.
    fn threads(&self) -> Vec<String> {
        let Ok(tasks) = fs::read_dir(format!("/proc/{}/task", self.child.id())) else { return Vec::new() };
        let describe = |task: PathBuf| {
            let read = |file: &str| fs::read_to_string(task.join(file)).unwrap_or_default();
            let status = read("status");
            let field = |name: &str| {
                let line = status.lines().find_map(|line| line.strip_prefix(name));
                line.map_or("", str::trim).to_string()
            };
            let switches = field("voluntary_ctxt_switches:");
            format!("{} {} in {}, slept {switches} times", field("Name:"), field("State:"), read("wchan"))
        };
        tasks.flatten().map(|task| describe(task.path())).collect()
    }

    /// The resident set in bytes.
    pub fn resident_bytes(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap_or_default();
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap_or("VmRSS: 0 kB");
        let kilobytes: u64 = line.split_whitespace().nth(1).and_then(|text| text.parse().ok()).unwrap_or(0);
        kilobytes * 1024
    }

    pub fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    pub fn signal(&self, signal: i32) {
        send_signal(self.child.id(), signal);
    }

    /// How the process ended, or `None` if it still runs at the limit.
    pub fn wait(&mut self, limit: Duration) -> Option<ExitStatus> {
        wait_for(&mut self.child, limit)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if std::thread::panicking() {
            println!("threads of {} (port {}):", self.name, self.port);
            self.threads().iter().for_each(|thread| println!("  {thread}"));
        }
        // It may have ended on its own, which is as good.
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            let log = self.log();
            let tail: Vec<&str> = log.lines().rev().take(12).collect();
            println!("last lines of {} (port {}):", self.name, self.port);
            tail.iter().rev().for_each(|line| println!("  {line}"));
        } else {
            let _ = fs::remove_dir_all(&self.directory);
        }
    }
}

pub fn send_signal(process_id: u32, signal: i32) {
    // SAFETY: kill takes two integers; the process is a child that has not been waited for, or one
    // whose id its own pidfile has just named.
    unsafe { libc::kill(process_id as libc::pid_t, signal) };
}

pub fn wait_for(child: &mut Child, limit: Duration) -> Option<ExitStatus> {
    let deadline = Instant::now() + limit;
    loop {
        if let Ok(Some(status)) = child.try_wait() {
            return Some(status);
        }
        if Instant::now() >= deadline {
            return None;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// A new directory of this test run, under the build's own.
pub fn new_directory(name: &str) -> PathBuf {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}-{}-{number}", std::process::id()));
    fs::create_dir_all(&path).expect("a directory below the build directory");
    path
}

/// A port whose neighbours are free as well, below the range from which the kernel serves clients.
pub fn free_port() -> u16 {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let first = 10_000 + (std::process::id() % 1_000) * 20;
    loop {
        let step = NEXT.fetch_add(1, Ordering::Relaxed) * u32::from(PORTS_PER_SERVER);
        let port = 10_000 + ((first + step - 10_000) % 20_000) as u16;
        // The listeners close when this round ends.
        let held: Vec<_> = (port..port + PORTS_PER_SERVER)
            .map_while(|port| TcpListener::bind(("127.0.0.1", port)).ok())
            .collect();
        if held.len() == usize::from(PORTS_PER_SERVER) {
            return port;
        }
    }
}

/// A server that a test starts with its own arguments, to see how it starts and ends.
pub struct Process {
    pub directory: PathBuf,
    child: Child,
}

impl Process {
    /// Starts the binary under test in a new directory, with `files` in it and `input` on its stdin.
    pub fn start(arguments: &[&str], files: &[(&str, &str)], input: &str) -> Process {
        let directory = new_directory("startup");
        for (name, text) in files {
            fs::write(directory.join(name), text).expect("a file in the test directory");
        }
        fs::write(directory.join("stdin"), input).expect("a file in the test directory");
        let open = |name: &str| File::create(directory.join(name)).expect("a file in the test directory");
        let mut command = Command::new(polder_binary());
        command.args(arguments).current_dir(&directory);
        command.stdin(File::open(directory.join("stdin")).expect("the file that was just written"));
        command.stdout(open("stdout")).stderr(open("stderr"));
        let child = command.spawn().unwrap_or_else(|error| panic!("cannot start the server: {error}"));
        Process { directory, child }
    }

    /// Everything that it wrote, once that has all the texts: a server listens before it says so.
    pub fn output_with(&self, file: &str, texts: &[&str]) -> String {
        let deadline = Instant::now() + Duration::from_secs(5);
        loop {
            let output = if file.is_empty() { self.output() } else { self.file(file) };
            if texts.iter().all(|text| output.contains(text)) {
                return output;
            }
            assert!(Instant::now() < deadline, "expected {texts:?} in:\n{output}");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Everything that it wrote so far.
    pub fn output(&self) -> String {
        self.file("stdout") + &self.file("stderr")
    }

    pub fn file(&self, name: &str) -> String {
        fs::read_to_string(self.directory.join(name)).unwrap_or_default()
    }

    pub fn process_id(&self) -> u32 {
        self.child.id()
    }

    pub fn signal(&self, signal: i32) {
        send_signal(self.child.id(), signal);
    }

    /// Waits until it serves on `port`.
    pub fn wait_until_ready(&mut self, port: u16) -> Client {
        self.wait_for_client(|| Client::connect(port))
    }

    pub fn wait_for_client(&mut self, connect: impl Fn() -> std::io::Result<Client>) -> Client {
        let deadline = Instant::now() + START_TIMEOUT;
        while Instant::now() < deadline {
            if let Ok(client) = connect() {
                return client;
            }
            if let Ok(Some(status)) = self.child.try_wait()
                && !status.success()
            {
                break;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        panic!("the server does not start; its output:\n{}", self.output())
    }

    /// The exit code; a server that still runs at the limit is a failure.
    pub fn exit_code(&mut self) -> Option<i32> {
        match wait_for(&mut self.child, START_TIMEOUT) {
            Some(status) => status.code(),
            None => panic!("the server still runs; its output:\n{}", self.output()),
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended on its own, which is as good.
        let _ = self.child.kill();
        let _ = self.child.wait();
        if !std::thread::panicking() {
            let _ = fs::remove_dir_all(&self.directory);
        }
    }
}
