//! A network with a delay, made by the kernel: a network of its own, whose loopback `tc netem` slows down.
//!
//! ```text
//!   a thread ─► unshare(CLONE_NEWNET) ─► ip link set lo up ─► tc qdisc add dev lo root netem delay …
//!            └► work: a server and a client of that thread, which see no other network
//! ```
//!
//! The machine's own loopback is not touched, and nothing is left behind: the kernel removes the network with
//! the last of its processes and threads, and servers end with the thread that started them, however that
//! ends. It takes root and a kernel with sch_netem; where they are missing, the reason is told.

use std::process::{Command, Stdio};
use std::time::Duration;

use crate::error::Failure;

/// Packets that are under way at a time, at most: the default of 1,000 would drop some of a large pipeline.
const PACKETS_MAX: &str = "100000";

/// Does the work in a network in which a round trip takes so long; `Err` of the outer result tells why there is no
/// such network.
pub fn within<T: Send>(
    round_trip: Duration,
    work: impl FnOnce() -> Result<T, Failure> + Send,
) -> Result<Result<T, Failure>, String> {
    std::thread::scope(|scope| {
        let thread = scope.spawn(|| {
            open(round_trip)?;
            Ok(work())
        });
        thread.join().unwrap_or_else(|_| Err("its thread ended".into()))
    })
}

/// Gives the calling thread a network of its own. Packets pass its loopback once in each direction.
fn open(round_trip: Duration) -> Result<(), String> {
    // Asked first, since it is what most often is missing.
    run("tc", &["-V"])?;
    // SAFETY: a plain system call; it changes the network of sockets that this thread makes from now on.
    if unsafe { libc::unshare(libc::CLONE_NEWNET) } != 0 {
        return Err(format!("no network of its own: {}", std::io::Error::last_os_error()));
    }
    run("ip", &["link", "set", "lo", "up"])?;
    let delay = format!("{}us", (round_trip / 2).as_micros());
    run("tc", &["qdisc", "add", "dev", "lo", "root", "netem", "delay", &delay, "limit", PACKETS_MAX])
}

fn run(program: &str, arguments: &[&str]) -> Result<(), String> {
    let output = Command::new(program).args(arguments).stdin(Stdio::null()).output();
    let output = output.map_err(|error| format!("{program}: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let first = said.lines().find(|line| !line.trim().is_empty()).unwrap_or("no reason is given");
    Err(format!("'{program} {}': {}", arguments.join(" "), first.trim()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_names_the_program_and_its_reason() {
        let error = run("sh", &["-c", "echo; echo not here >&2; exit 2"]).unwrap_err();
        assert!(error.starts_with("'sh -c") && error.ends_with(": not here"), "{error}");
        let error = run("no-such-program", &[]).unwrap_err();
        assert!(error.starts_with("no-such-program: "), "{error}");
        assert_eq!(run("true", &[]), Ok(()));
    }

    /// The machine's own network stays as it is, whether there was a delay or not.
    #[test]
    fn the_calling_thread_keeps_its_network() {
        let network = || std::fs::read_link("/proc/thread-self/ns/net").unwrap();
        let before = network();
        match within(Duration::from_millis(20), || Ok(network())) {
            Ok(inside) => assert_ne!(inside.unwrap(), before),
            Err(reason) => assert!(!reason.is_empty()),
        }
        assert_eq!(network(), before);
    }
}
