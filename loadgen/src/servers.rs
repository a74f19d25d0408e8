//! Servers that a run starts: pinned, fresh, in an empty folder, and gone when it ends.

use std::fs::File;
use std::os::fd::AsRawFd;
use std::os::unix::fs::FileExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::{Duration, Instant};

use clap::Args;
use tempfile::TempDir;

use crate::client::{Address, Client, Handshake};
use crate::error::Failure;
use crate::interrupt;
use crate::machine::quoted_words;
use crate::options::{CpuList, CpuListParser};
use crate::origin::server_name;

const START_TIMEOUT: Duration = Duration::from_secs(20);
const FREE_TIMEOUT: Duration = Duration::from_secs(5);
/// A process closes its sockets a moment before it has ended.
const END_TIMEOUT: Duration = Duration::from_millis(500);
const START_INTERVAL: Duration = Duration::from_millis(20);
/// What is shown of the log of a server that does not start.
const LOG_LINES_MAX: usize = 10;
const LOG_BYTES_MAX: u64 = 8 << 10;

/// In a command line: the port that was chosen.
const PORT_WORD: &str = "{port}";

/// A server as a user writes it: `redis-server --save ''`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommandLine {
    pub text: String,
    pub program: PathBuf,
    arguments: Vec<String>,
}

impl CommandLine {
    /// Splits as a shell does. A program without a folder is looked for beside this one first. Words that
    /// name files of the current folder become whole paths, because the server gets another folder.
    pub fn parse(text: &str) -> Result<CommandLine, String> {
        let mut words = shlex::split(text).ok_or("a quote is not closed")?.into_iter();
        let program = words.next().ok_or("a server is wanted, such as 'redis-server'")?;
        Ok(CommandLine {
            text: text.trim().to_string(),
            program: find(&program),
            arguments: words.map(whole).collect(),
        })
    }

    /// Whether this placeholder stands in it.
    pub fn has(&self, placeholder: &str) -> bool {
        self.arguments.iter().any(|word| word.contains(placeholder))
    }

    /// With a value for a placeholder.
    pub fn with(&self, placeholder: &str, value: &str) -> CommandLine {
        let replaced = |word: &String| word.replace(placeholder, value);
        CommandLine {
            text: self.text.replace(placeholder, value),
            arguments: self.arguments.iter().map(replaced).collect(),
            ..self.clone()
        }
    }

    pub fn launch(&self, port: u16, cpus: &[usize]) -> Launch {
        let mut arguments: Vec<String> =
            self.arguments.iter().map(|word| word.replace(PORT_WORD, &port.to_string())).collect();
        if !self.has(PORT_WORD) {
            arguments.extend(["--port".into(), port.to_string()]);
        }
        let handshake = Handshake::default();
        Launch { program: self.program.clone(), arguments, cpus: cpus.to_vec(), port, handshake }
    }
}

fn find(program: &str) -> PathBuf {
    if program.contains('/') {
        return whole(program.to_string()).into();
    }
    let beside = std::env::current_exe().ok().and_then(|path| Some(path.parent()?.join(program)));
    beside.filter(|path| path.is_file()).unwrap_or_else(|| program.into())
}

fn whole(word: String) -> String {
    let is_path = word.contains(['/', '.']) && !word.starts_with('-');
    let found = is_path.then(|| std::fs::canonicalize(&word).ok()).flatten();
    found.map_or(word, |path| path.display().to_string())
}

/// How a server is started.
#[derive(Debug, Clone)]
pub struct Launch {
    pub program: PathBuf,
    pub arguments: Vec<String>,
    /// Processors it may use; empty: all.
    pub cpus: Vec<usize>,
    pub port: u16,
    /// What it wants to hear first.
    pub handshake: Handshake,
}

/// A running server; dropping it kills it.
pub struct Server {
    child: Child,
    port: u16,
    handshake: Handshake,
    /// What it prints, in a file without a name.
    log: File,
    /// Its current folder, so that it neither finds nor leaves snapshots.
    _folder: TempDir,
}

impl Server {
    /// Starts the server and waits until it answers.
    pub fn start(launch: &Launch) -> Result<Server, Failure> {
        let name = launch.program.display();
        let failed = |error: std::io::Error| Failure::System(format!("{name}: {error}"));
        let address = Address::Tcp { host: "127.0.0.1".into(), port: launch.port };
        wait_until_free(&address)?;
        let log = tempfile::tempfile().map_err(failed)?;
        let folder = tempfile::tempdir().map_err(failed)?;
        let mut command = Command::new(&launch.program);
        command.args(&launch.arguments).current_dir(folder.path()).stdin(Stdio::null());
        command.stdout(log.try_clone().map_err(failed)?).stderr(log.try_clone().map_err(failed)?);
        make_child(&mut command, &launch.cpus);
        let child = command.spawn().map_err(failed)?;
        let mut server =
            Server { child, port: launch.port, handshake: launch.handshake.clone(), log, _folder: folder };
        let deadline = Instant::now() + START_TIMEOUT;
        loop {
            interrupt::check()?;
            if let Ok(Some(status)) = server.child.try_wait() {
                let line = quoted_words(launch.arguments.clone());
                return Err(server.failure(&format!("{name} {line}: ended at once, {status}")));
            }
            let answer =
                Client::connect(&address, &server.handshake).and_then(|mut client| client.ask(&["PING"]));
            match answer {
                Ok(_) => return Ok(server),
                Err(error) if is_final(&error) || Instant::now() >= deadline => {
                    return Err(server.failure(&format!("{name} does not answer PING on {address}: {error}")));
                }
                Err(_) => std::thread::sleep(START_INTERVAL),
            }
        }
    }

    pub fn process(&self) -> u32 {
        self.child.id()
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    pub fn address(&self) -> Address {
        Address::Tcp { host: "127.0.0.1".into(), port: self.port }
    }

    pub fn handshake(&self) -> &Handshake {
        &self.handshake
    }

    pub fn client(&self) -> Result<Client, Failure> {
        let address = self.address();
        Client::connect(&address, &self.handshake)
            .map_err(|error| Failure::ServerGone(format!("{address}: {error}")))
    }

    /// What the server calls itself.
    pub fn name(&self) -> Result<String, Failure> {
        Ok(server_name(&mut self.client()?))
    }

    /// Kills it. It holds nothing worth keeping, and may have ended already.
    pub fn stop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// How it ended, for one that no longer answers; `None` if it still runs.
    pub fn end(&mut self) -> Option<String> {
        let deadline = Instant::now() + END_TIMEOUT;
        while Instant::now() < deadline {
            if let Ok(Some(status)) = self.child.try_wait() {
                return Some(format!("the server ended, {status}{}", self.log_text()));
            }
            std::thread::sleep(START_INTERVAL);
        }
        None
    }

    fn failure(&self, reason: &str) -> Failure {
        Failure::System(format!("{reason}{}", self.log_text()))
    }

    fn log_text(&self) -> String {
        let lines = self.last_log_lines();
        if lines.is_empty() { "; it printed nothing".into() } else { format!("; its last lines:{lines}") }
    }

    fn last_log_lines(&self) -> String {
        let length = self.log.metadata().map_or(0, |metadata| metadata.len());
        let start = length.saturating_sub(LOG_BYTES_MAX);
        let mut bytes = vec![0; (length - start) as usize];
        let read = self.log.read_at(&mut bytes, start).unwrap_or(0);
        let text = String::from_utf8_lossy(&bytes[..read]).into_owned();
        let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
        let last = &lines[lines.len().saturating_sub(LOG_LINES_MAX)..];
        last.iter().map(|line| format!("\n    {}", line.trim_end())).collect()
    }
}

/// Whether a server that refuses a connection will do so for ever: a wrong password stays wrong, and so does a
/// certificate, while one that is still loading its keys answers in a while.
fn is_final(error: &std::io::Error) -> bool {
    let text = error.to_string();
    error.kind() == std::io::ErrorKind::InvalidData
        || ["NOAUTH", "WRONGPASS", "NOPERM"].iter().any(|code| text.starts_with(code))
}

/// Before it is started: a program of ours runs on these processors (all, if there are none), does not outlive us,
/// however we end, and does not hear of Ctrl-C, which is for us: what was measured until then is told.
pub fn make_child(command: &mut Command, cpus: &[usize]) {
    command.process_group(0);
    let cpus = cpu_set(cpus);
    // SAFETY: two system calls that are allowed between fork and exec.
    unsafe {
        command.pre_exec(move || {
            libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL);
            match &cpus {
                Some(cpus) if libc::sched_setaffinity(0, size_of_val(cpus), cpus) != 0 => {
                    Err(std::io::Error::last_os_error())
                }
                _ => Ok(()),
            }
        });
    }
}

fn cpu_set(cpus: &[usize]) -> Option<libc::cpu_set_t> {
    if cpus.is_empty() {
        return None;
    }
    // SAFETY: all-zero is the empty set, and CPU_SET stays within it: it ignores numbers beyond its size.
    unsafe {
        let mut set: libc::cpu_set_t = std::mem::zeroed();
        for &cpu in cpus.iter().filter(|&&cpu| cpu < libc::CPU_SETSIZE as usize) {
            libc::CPU_SET(cpu, &mut set);
        }
        Some(set)
    }
}

/// A port of the kernel's choice that nobody listens on.
pub fn free_port() -> Result<u16, Failure> {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
    listener
        .map(|address| address.port())
        .map_err(|error| Failure::System(format!("no port is free: {error}")))
}

/// Waits until nobody listens: the sockets of an io_uring outlive its killed process for a moment.
fn wait_until_free(address: &Address) -> Result<(), Failure> {
    let deadline = Instant::now() + FREE_TIMEOUT;
    while Client::connect(address, &Handshake::default()).is_ok() {
        interrupt::check()?;
        if Instant::now() >= deadline {
            return Err(Failure::System(format!("somebody listens on {address} already: see --port")));
        }
        std::thread::sleep(START_INTERVAL);
    }
    Ok(())
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Where servers and load run.
#[derive(Debug, Clone, Args)]
pub struct ProcessorOptions {
    /// Processors of the servers, such as 0-3; by default the first half.
    #[arg(long, value_name = "LIST", value_parser = CpuListParser)]
    server_cpus: Option<CpuList>,
    /// Processors of the load; by default the second half.
    #[arg(long, value_name = "LIST", value_parser = CpuListParser)]
    load_cpus: Option<CpuList>,
}

impl ProcessorOptions {
    /// Those of the servers and those of the load.
    pub fn choose(&self) -> (Vec<usize>, Vec<usize>) {
        let default = default_cpus();
        let or = |list: &Option<CpuList>, default| list.clone().map_or(default, |list| list.0);
        (or(&self.server_cpus, default.0), or(&self.load_cpus, default.1))
    }
}

/// A server that is started for a load.
#[derive(Debug, Clone, Args)]
pub struct StartOptions {
    /// Starts this server for the load and ends it afterwards, such as 'polder-server --shards {shards}':
    /// {shards} is replaced by the step of --sweep shards=…, {port} by a free port (else --port N is added); with
    /// --tls that is the port to name in --tls-port. A program without a folder is looked for beside this one,
    /// then in PATH.
    #[arg(long, value_name = "COMMAND", value_parser = CommandLine::parse,
          conflicts_with_all = ["host", "port", "socket", "server_pid"])]
    pub server: Option<CommandLine>,
    /// With --server: its processors, such as 0-3; by default the first half, and the load has the second.
    #[arg(long, value_name = "LIST", value_parser = CpuListParser)]
    pub server_cpus: Option<CpuList>,
}

impl StartOptions {
    /// Processors of the server and of the load, which may have chosen its own.
    pub fn choose_cpus(&self, load: &Option<CpuList>) -> (Vec<usize>, Vec<usize>) {
        ProcessorOptions { server_cpus: self.server_cpus.clone(), load_cpus: load.clone() }.choose()
    }
}

/// Processors for the servers and for the load: halves of what this process may use, or the same one.
fn default_cpus() -> (Vec<usize>, Vec<usize>) {
    let mut all: Vec<usize> =
        core_affinity::get_core_ids().unwrap_or_default().iter().map(|core| core.id).collect();
    all.sort_unstable();
    if all.len() < 2 {
        return (all.clone(), all);
    }
    let load = all.split_off(all.len().div_ceil(2));
    (all, load)
}

/// An exclusive lock on a file while this lives, as flock(1) takes it.
pub struct MachineLock {
    _file: Option<File>,
}

impl MachineLock {
    /// Waits as long as another has it, or until the user wants no more.
    pub fn take(path: Option<&Path>) -> Result<MachineLock, Failure> {
        let Some(path) = path else { return Ok(MachineLock { _file: None }) };
        let failed = |error: std::io::Error| Failure::System(format!("--lock {}: {error}", path.display()));
        let file = File::options().create(true).append(true).open(path).map_err(failed)?;
        let (sender, receiver) = mpsc::channel();
        // A thread of its own stands in the queue for the lock, while this one hears of Ctrl-C. A lock that comes
        // after that is given back when the message is dropped.
        std::thread::spawn(move || {
            // SAFETY: a plain system call on a descriptor that we own; closing it gives the lock back.
            let taken = unsafe { libc::flock(file.as_raw_fd(), libc::LOCK_EX) } == 0;
            let _ = sender.send(if taken { Ok(file) } else { Err(std::io::Error::last_os_error()) });
        });
        loop {
            match receiver.recv_timeout(START_INTERVAL) {
                Ok(file) => return Ok(MachineLock { _file: Some(file.map_err(failed)?) }),
                Err(RecvTimeoutError::Timeout) => interrupt::check()?,
                Err(RecvTimeoutError::Disconnected) => {
                    return Err(Failure::System(format!("--lock {}: nobody waits for it", path.display())));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn command_lines() {
        let line = CommandLine::parse("redis-server --save '' --loglevel warning").unwrap();
        assert_eq!(line.program, PathBuf::from("redis-server"));
        let words = line.launch(7000, &[1]).arguments;
        assert_eq!(words, ["--save", "", "--loglevel", "warning", "--port", "7000"]);
        let line = CommandLine::parse("/bin/server -p {port} --bind=127.0.0.1:{port}").unwrap();
        assert_eq!(line.launch(7000, &[]).arguments, ["-p", "7000", "--bind=127.0.0.1:7000"]);
        let line = CommandLine::parse("server --shards {shards} --name n{shards}").unwrap();
        assert!(line.has("{shards}") && !line.has("{port}"));
        let line = line.with("{shards}", "4");
        assert_eq!(line.text, "server --shards 4 --name n4");
        assert_eq!(line.launch(7, &[]).arguments, ["--shards", "4", "--name", "n4", "--port", "7"]);
        assert!(CommandLine::parse("  ").unwrap_err().contains("redis-server"));
        assert!(CommandLine::parse("server 'x").unwrap_err().contains("quote"));
    }

    #[test]
    fn files_of_this_folder_become_whole_paths() {
        let line = CommandLine::parse("redis-server ./Cargo.toml").unwrap();
        assert!(Path::new(&line.launch(1, &[]).arguments[0]).is_absolute());
    }

    #[test]
    fn a_server_that_ends_at_once_shows_its_last_lines() {
        let line = CommandLine::parse("/bin/sh -c 'echo first; echo cannot >&2; exit 3' {port}").unwrap();
        let failure = Server::start(&line.launch(free_port().unwrap(), &[])).err().unwrap().to_string();
        assert!(failure.contains("exit status: 3") && failure.contains("    cannot"), "{failure}");
        let line = CommandLine::parse("no-such-server").unwrap();
        let failure = Server::start(&line.launch(free_port().unwrap(), &[])).err().unwrap().to_string();
        assert!(failure.contains("no-such-server"), "{failure}");
    }

    #[test]
    fn default_processors_are_some_of_ours() {
        let (server, load) = default_cpus();
        assert_eq!(server.is_empty(), load.is_empty());
        assert!(server == load || server.iter().all(|cpu| !load.contains(cpu)));
    }
}
