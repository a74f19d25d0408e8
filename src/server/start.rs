//! From the command line to a running server.

use std::io::Write;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use crate::commands::CommandTable;
use crate::config::{Config, EngineChoice, Launch, Startup};
use crate::log;
use crate::net::Listener;
use crate::runtime::clock::{self, Ticks};
use crate::runtime::epoll::EpollEngine;
use crate::runtime::executor::{Executor, LOCKED_MEMORY_BYTES_MIN};
use crate::runtime::log;
use crate::runtime::uring::UringEngine;
use crate::runtime::{allocator, process, socket};
use crate::session::ConnectionKind;
use crate::shard::mailbox;
use crate::shard::node::{Node, NodeOptions, reserved_descriptors};
use crate::shard::route::SHARDS_MAX;
use crate::shard::upkeep::log_level;

use super::{ShardStart, spawn_shard};

/// How often and how long a port in use is waited for.
const PROBES_MAX: usize = 10;
const PROBE_PAUSE: Duration = Duration::from_millis(30);
/// How long the shards may take until all of them serve; on a machine that has time it is milliseconds.
const BEGIN_LIMIT: Duration = Duration::from_secs(60);

/// Runs the server as the command line says; returns when it has ended.
pub fn run(arguments: impl IntoIterator<Item = std::ffi::OsString>) -> ExitCode {
    let startup = match crate::config::load(arguments) {
        Ok(Launch::Serve(startup)) => *startup,
        Ok(Launch::Print(text)) => {
            let written = std::io::stdout().lock().write_all(text.as_bytes());
            return if written.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE };
        }
        Err(error) => {
            eprintln!("{error}");
            return ExitCode::FAILURE;
        }
    };
    match serve(startup) {
        Ok(()) => ExitCode::SUCCESS,
        Err(reason) => {
            log!(Warning, "{reason}");
            ExitCode::FAILURE
        }
    }
}

fn serve(startup: Startup) -> Result<(), String> {
    let started_ms = clock::unix_ms();
    let executable = std::env::current_exe().unwrap_or_else(|_| PathBuf::from("polder-server"));
    let mut config = startup.config.clone();
    prepare_process(&startup, &mut config)?;
    let cpus = choose_cpus(&config)?;
    let shards = match config.shards as usize {
        0 => cpus.len().min(SHARDS_MAX),
        shards => shards,
    };
    let engine = choose_engine(config.engine)?;
    check_limits(&mut config, shards)?;
    let core_ports = core_ports(&config, shards)?;
    let listeners = open_listeners(&config, shards, core_ports.as_deref())?;
    let (mailboxes, bells) =
        mailbox::mesh(shards).map_err(|error| format!("Can't create the mesh between cores: {error}"))?;
    let options = NodeOptions {
        executable,
        config_file: startup.config_file.clone(),
        engine: engine_name(engine),
        core_ports,
        hasher: ahash::RandomState::new(),
        started_ms,
        ticks: Ticks::calibrate(),
    };
    let node = Arc::new(Node::new(options, bells));
    log!(Notice, "Server initialized");
    watch_signals(&node)?;
    // Spinning is for shards that have a processor each.
    let may_spin = shards <= cpus.len();
    let mut started = Vec::with_capacity(shards);
    for (id, (mailbox, listeners)) in mailboxes.into_iter().zip(listeners).enumerate() {
        let (sender, begun) = mpsc::channel();
        let start = ShardStart {
            id,
            cpu: Some(cpus[id % cpus.len()]),
            node: node.clone(),
            config: config.clone(),
            mailbox,
            listeners,
            may_spin,
            begun: sender,
        };
        let executor = match engine {
            EngineChoice::Epoll => {
                spawn_shard(start, || EpollEngine::new().map_err(|error| format!("epoll: {error}")))
            }
            _ => spawn_shard(start, UringEngine::new),
        };
        let executor = executor.map_err(|error| executor_advice(&error))?;
        started.push(Started { executor, begun });
    }
    let executors = wait_until_all_serve(started, BEGIN_LIMIT)?;
    announce(&config, shards, &cpus, &node);
    node.other_held_bytes.store(allocator::thread_held_bytes(), Ordering::Relaxed);
    for executor in executors {
        executor.join()?;
    }
    remove_files(&config);
    log!(Warning, "Polder is now ready to exit, bye bye...");
    Ok(())
}

/// A shard whose thread runs; whether it serves is told through `begun`.
struct Started {
    executor: Executor,
    begun: mpsc::Receiver<Result<(), String>>,
}

/// A shard that does not serve must not stay unnoticed: the kernel would give it connections, and other
/// shards commands, that nobody ever answers.
fn wait_until_all_serve(started: Vec<Started>, limit: Duration) -> Result<Vec<Executor>, String> {
    let deadline = Instant::now() + limit;
    let mut executors = Vec::with_capacity(started.len());
    for (id, Started { executor, begun }) in started.into_iter().enumerate() {
        match begun.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
            Ok(Ok(())) => executors.push(executor),
            Ok(Err(reason)) => return Err(format!("Shard {id} cannot start: {reason}")),
            Err(mpsc::RecvTimeoutError::Disconnected) => {
                let reason = executor.join().err().unwrap_or_else(|| "its thread has ended".into());
                return Err(format!("Shard {id} cannot start. {}", executor_advice(&reason)));
            }
            Err(mpsc::RecvTimeoutError::Timeout) => {
                return Err(format!("Shard {id} has not begun to serve within {} s", limit.as_secs()));
            }
        }
    }
    Ok(executors)
}

/// Log, working directory, background, process file: in this order, so that errors reach the log.
fn prepare_process(startup: &Startup, config: &mut Config) -> Result<(), String> {
    log::set_level(log_level(config.loglevel));
    if config.dir.as_bytes() != b"." {
        std::env::set_current_dir(config.dir.as_path())
            .map_err(|error| format!("Can't chdir to '{}': {error}", config.dir.as_path().display()))?;
    }
    if !config.logfile.is_empty() {
        log::set_file(config.logfile.as_path())
            .map_err(|error| format!("Can't open the log file: {error}"))?;
    }
    if config.disable_thp {
        process::disable_huge_pages();
    }
    if config.daemonize {
        process::daemonize().map_err(|error| format!("Can't go into the background: {error}"))?;
    }
    log!(Notice, "oO0OoO0OoO0Oo Polder is starting oO0OoO0OoO0Oo");
    log!(
        Notice,
        "Polder version={}, Redis-compatible {}, bits={}, PID: {}",
        env!("CARGO_PKG_VERSION"),
        crate::config::REDIS_VERSION,
        usize::BITS,
        std::process::id()
    );
    match &startup.config_file {
        Some(path) => log!(Notice, "Configuration loaded from {}", path.display()),
        None => log!(Notice, "No config file given, using the default configuration"),
    }
    if !startup.not_in_effect.is_empty() {
        log!(Warning, "Accepted but not yet in effect: {}", startup.not_in_effect.join(", "));
    }
    if config.daemonize && config.pidfile.is_empty() {
        config.pidfile = "/var/run/redis.pid".into();
    }
    if !config.pidfile.is_empty() {
        let written = std::fs::write(config.pidfile.as_path(), format!("{}\n", std::process::id()));
        if let Err(error) = written {
            log!(Warning, "Can't write the pid file {}: {error}", config.pidfile.as_path().display());
        }
    }
    Ok(())
}

fn choose_cpus(config: &Config) -> Result<Vec<usize>, String> {
    let usable = process::usable_cpus();
    if config.cpus.0.is_empty() {
        return Ok(usable);
    }
    let wanted: Vec<usize> = config.cpus.0.iter().map(|&cpu| cpu as usize).collect();
    let allowed: Vec<usize> =
        core_affinity::get_core_ids().unwrap_or_default().into_iter().map(|core| core.id).collect();
    match wanted.iter().find(|cpu| !allowed.contains(cpu)) {
        Some(missing) => Err(format!(
            "cpus: this process may not use processor {missing}; it may use {allowed:?}. \
             Change 'cpus', or the affinity mask the server is started with"
        )),
        None => Ok(wanted),
    }
}

/// Tries the engine on this thread before any shard depends on it.
fn choose_engine(choice: EngineChoice) -> Result<EngineChoice, String> {
    match choice {
        EngineChoice::Epoll => Ok(choice),
        EngineChoice::IoUring | EngineChoice::Auto => match UringEngine::new() {
            Ok(_) => Ok(EngineChoice::IoUring),
            Err(error) if choice == EngineChoice::Auto => {
                log!(Warning, "io_uring is not usable here ({error}): using epoll, which is somewhat slower");
                Ok(EngineChoice::Epoll)
            }
            Err(error) => Err(format!(
                "io_uring is not usable here: {error}. It needs Linux 6.1 and permission \
                 (kernel.io_uring_disabled=0, a seccomp profile that allows io_uring_setup); \
                 'engine epoll' does without"
            )),
        },
    }
}

fn engine_name(engine: EngineChoice) -> &'static str {
    if engine == EngineChoice::Epoll { "epoll" } else { "io_uring" }
}

fn check_limits(config: &mut Config, shards: usize) -> Result<(), String> {
    let locked = process::locked_memory_limit_bytes();
    if locked < LOCKED_MEMORY_BYTES_MIN {
        return Err(format!(
            "The limit of locked memory is {} KiB, but the executors need {} KiB. Raise it: 'ulimit -l 8192' \
             in the shell, LimitMEMLOCK=8M in a systemd unit, --ulimit memlock=8388608 for a container",
            locked >> 10,
            LOCKED_MEMORY_BYTES_MIN >> 10
        ));
    }
    let wanted = u64::from(config.maxclients) + reserved_descriptors(shards);
    let granted = process::raise_open_files_limit(wanted);
    if granted < wanted {
        let clients = granted.saturating_sub(reserved_descriptors(shards)).max(1) as u32;
        log!(
            Warning,
            "You requested maxclients of {} requiring at least {wanted} max file descriptors, but the limit \
             is {granted}: maxclients has been reduced to {clients}. Raise it with 'ulimit -n {wanted}'",
            config.maxclients
        );
        config.maxclients = clients;
    }
    Ok(())
}

/// The ports of the single cores, if they are announced as cluster nodes.
fn core_ports(config: &Config, shards: usize) -> Result<Option<Vec<u16>>, String> {
    if !config.core_cluster {
        return Ok(None);
    }
    let base = match config.core_port_base {
        0 => u32::from(config.port) + 1,
        base => u32::from(base),
    };
    let last = base + shards as u32 - 1;
    let ports: Option<Vec<u16>> = (base..=last).map(|port| u16::try_from(port).ok()).collect();
    match ports {
        Some(ports) => Ok(Some(ports)),
        None => Err(format!("core-port-base: {shards} ports from {base} on go beyond 65535")),
    }
}

/// The sockets of every shard: TCP ones of their own on the common port, the port of the core, and the
/// unix socket, which all share.
fn open_listeners(
    config: &Config,
    shards: usize,
    core_ports: Option<&[u16]>,
) -> Result<Vec<Vec<Listener>>, String> {
    let mut listeners: Vec<Vec<Listener>> = vec![Vec::new(); shards];
    for (shard, own) in listeners.iter_mut().enumerate() {
        if config.port != 0 {
            // Only the first socket asks for the port alone: so a port in use by somebody else is noticed
            // although the shards share it among themselves.
            if shard == 0 {
                probe_port(config, config.port)?;
            }
            listen_on(config, config.port, shards > 1, own)?;
        }
        if let Some(port) = core_ports.map(|ports| ports[shard]) {
            probe_port(config, port)?;
            listen_on(config, port, false, own)?;
        }
    }
    if !config.unixsocket.is_empty() {
        let path: &Path = config.unixsocket.as_path();
        let socket = socket::listen_unix(path, config.unixsocketperm, config.tcp_backlog as i32)
            .map_err(|error| format!("Failed opening Unix socket: bind: {}: {error}", path.display()))?;
        let listener = Listener { socket: Arc::new(socket), kind: ConnectionKind::Unix };
        listeners.iter_mut().for_each(|own| own.push(listener.clone()));
    }
    if listeners.iter().all(Vec::is_empty) {
        return Err("Configured to not listen anywhere, exiting.".into());
    }
    Ok(listeners)
}

/// Whether a port is free: binds it without sharing, and lets it go. The kernel gives the sockets of a
/// killed predecessor back a moment after it is gone, hence some patience.
fn probe_port(config: &Config, port: u16) -> Result<(), String> {
    for _ in 0..PROBES_MAX {
        if listen_on(config, port, false, &mut Vec::new()).is_ok() {
            return Ok(());
        }
        std::thread::sleep(PROBE_PAUSE);
    }
    let result = listen_on(config, port, false, &mut Vec::new());
    if let Err(reason) = &result {
        log!(Warning, "{reason}");
    }
    result.map_err(|_| format!("Failed listening on port {port} (tcp), aborting."))
}

fn listen_on(config: &Config, port: u16, shared: bool, listeners: &mut Vec<Listener>) -> Result<(), String> {
    for word in &config.bind.0 {
        let word = String::from_utf8_lossy(word.as_bytes()).into_owned();
        let (host, optional) = match word.strip_prefix('-') {
            Some(host) => (host, true),
            None => (word.as_str(), false),
        };
        let addresses: Vec<SocketAddr> = match socket::resolve(host, port) {
            Ok(addresses) => addresses,
            Err(_) if optional => continue,
            Err(error) => return Err(format!("Could not resolve the bind address {host}: {error}")),
        };
        for address in addresses {
            match socket::listen_tcp(address, config.tcp_backlog as i32, shared) {
                Ok(socket) => {
                    listeners.push(Listener { socket: Arc::new(socket), kind: ConnectionKind::Tcp });
                }
                Err(error) if optional && error.kind() != std::io::ErrorKind::AddrInUse => {}
                Err(error) => {
                    return Err(format!(
                        "Warning: Could not create server TCP listening socket {address}: {error}"
                    ));
                }
            }
        }
    }
    Ok(())
}

fn watch_signals(node: &Arc<Node>) -> Result<(), String> {
    // The handler can run at any time until the process ends, so what it touches is never freed.
    let node: &'static Arc<Node> = Box::leak(Box::new(node.clone()));
    match node.bells.first() {
        Some(bell) => process::watch_stop_signals(bell),
        None => return Err("a server has at least one shard".into()),
    }
    Ok(())
}

fn executor_advice(error: &str) -> String {
    format!(
        "Can't start an executor: {error}. It needs io_uring (kernel.io_uring_disabled=0, a seccomp profile \
         that allows it) and {} KiB of locked memory ('ulimit -l')",
        LOCKED_MEMORY_BYTES_MIN >> 10
    )
}

/// What a user wants to know: where, on what, with what.
fn announce(config: &Config, shards: usize, cpus: &[usize], node: &Node) {
    let commands = CommandTable::new();
    log!(
        Notice,
        "Running {shards} shard{} on processor{} {cpus:?}, engine {}, {} commands",
        if shards == 1 { "" } else { "s" },
        if cpus.len() == 1 { "" } else { "s" },
        node.engine,
        commands.top_level().count()
    );
    if let Some(ports) = &node.core_ports {
        log!(Notice, "Cores are announced as cluster nodes on ports {ports:?}");
    }
    if config.port != 0 {
        log!(Notice, "Ready to accept connections tcp");
    }
    if !config.unixsocket.is_empty() {
        log!(Notice, "Ready to accept connections unix");
    }
}

fn remove_files(config: &Config) {
    // Files that are gone already are as good as removed.
    if !config.pidfile.is_empty() {
        let _ = std::fs::remove_file(config.pidfile.as_path());
    }
    if !config.unixsocket.is_empty() {
        let _ = std::fs::remove_file(config.unixsocket.as_path());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::executor;

    fn started(body: impl AsyncFnOnce(mpsc::Sender<Result<(), String>>) + Send + 'static) -> Started {
        let (sender, begun) = mpsc::channel();
        let executor = executor::spawn(None, "test", move || async move { body(sender).await });
        Started { executor: executor.expect("an executor"), begun }
    }

    fn serves(begun: mpsc::Sender<Result<(), String>>) {
        begun.send(Ok(())).expect("the test waits for it");
    }

    /// What a shard that does not begin would cost: its clients hang, and so does FLUSHALL from any other.
    #[test]
    fn a_shard_that_does_not_serve_is_noticed() {
        let long = Duration::from_secs(60);
        let good = || started(async |begun| serves(begun));
        let executors = wait_until_all_serve(vec![good(), good()], long).expect("both serve");
        assert_eq!(executors.len(), 2);
        let refuses = started(async |begun| begun.send(Err("no memory".into())).expect("somebody waits"));
        let error = wait_until_all_serve(vec![good(), refuses], long).err();
        assert_eq!(error.as_deref(), Some("Shard 1 cannot start: no memory"));
        let ends = started(async |begun| drop(begun));
        let error = wait_until_all_serve(vec![ends, good()], long).err().unwrap_or_default();
        assert!(error.starts_with("Shard 0 cannot start. Can't start an executor"), "{error}");
        let (silent, listener) = mpsc::channel();
        let keeps_silent = Started { begun: listener, ..good() };
        let error = wait_until_all_serve(vec![keeps_silent], Duration::from_millis(10)).err();
        assert_eq!(error.as_deref(), Some("Shard 0 has not begun to serve within 0 s"));
        drop(silent);
    }
}
