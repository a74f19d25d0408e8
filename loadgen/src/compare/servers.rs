//! Servers that the comparison starts: pinned, fresh, and gone when it ends.

use std::fs::File;
use std::os::fd::AsRawFd;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::client::{Address, Client, Handshake};
use crate::error::Failure;

const START_TIMEOUT: Duration = Duration::from_secs(20);
const FREE_TIMEOUT: Duration = Duration::from_secs(5);
const START_INTERVAL: Duration = Duration::from_millis(20);

/// How a server is started.
#[derive(Debug, Clone)]
pub struct Launch {
    pub program: PathBuf,
    pub arguments: Vec<String>,
    pub cpu: usize,
    pub port: u16,
}

/// A running server; dropping it kills it.
pub struct Server {
    child: Child,
}

impl Server {
    /// Starts the server and waits until it answers.
    pub fn start(launch: &Launch) -> Result<Server, Failure> {
        let name = launch.program.display();
        let mut command = Command::new("taskset");
        command.arg("-c").arg(launch.cpu.to_string()).arg(&launch.program).args(&launch.arguments);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        // SAFETY: one system call that is allowed between fork and exec. The server must not outlive us,
        // however we end.
        unsafe {
            command.pre_exec(|| {
                libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL);
                Ok(())
            });
        }
        let address = Address::Tcp { host: "127.0.0.1".into(), port: launch.port };
        wait_until_free(&address)?;
        let child = command.spawn().map_err(|error| Failure::System(format!("taskset {name}: {error}")))?;
        let mut server = Server { child };
        let deadline = Instant::now() + START_TIMEOUT;
        while Instant::now() < deadline {
            if let Ok(Some(status)) = server.child.try_wait() {
                return Err(Failure::System(format!(
                    "{name} {}: ended at once, {status}",
                    launch.arguments.join(" ")
                )));
            }
            let answer =
                Client::connect(&address, &Handshake::default()).and_then(|mut client| client.ask(&["PING"]));
            if answer.is_ok() {
                return Ok(server);
            }
            std::thread::sleep(START_INTERVAL);
        }
        Err(Failure::System(format!("{name} does not answer on {address}")))
    }

    pub fn process(&self) -> u32 {
        self.child.id()
    }
}

/// Waits until nobody listens: the sockets of an io_uring outlive its killed process for a moment.
fn wait_until_free(address: &Address) -> Result<(), Failure> {
    let deadline = Instant::now() + FREE_TIMEOUT;
    while Client::connect(address, &Handshake::default()).is_ok() {
        if Instant::now() >= deadline {
            return Err(Failure::System(format!("somebody listens on {address} already: see --port")));
        }
        std::thread::sleep(START_INTERVAL);
    }
    Ok(())
}

impl Drop for Server {
    fn drop(&mut self) {
        // It holds nothing worth keeping, and may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// An exclusive lock on a file while this lives, as flock(1) takes it.
pub struct MachineLock {
    _file: Option<File>,
}

impl MachineLock {
    pub fn take(path: Option<&Path>) -> Result<MachineLock, Failure> {
        let Some(path) = path else { return Ok(MachineLock { _file: None }) };
        let failed = |error: std::io::Error| Failure::System(format!("--lock {}: {error}", path.display()));
        let file = File::options().create(true).append(true).open(path).map_err(failed)?;
        // SAFETY: a plain system call on a descriptor that we own; closing it gives the lock back.
        if unsafe { libc::flock(file.as_raw_fd(), libc::LOCK_EX) } != 0 {
            return Err(failed(std::io::Error::last_os_error()));
        }
        Ok(MachineLock { _file: Some(file) })
    }
}
