//! The project's own table, ended early and with nowhere to go.

mod support;

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use support::program::{program, said};
use support::server::{free_port, polder_server};

/// Starts a long run and waits until this line is said.
fn begun(words: &[&str], temporary: &Path, line: &str) -> Child {
    polder_server();
    let mut command = Command::new(env!("CARGO_BIN_EXE_polder-loadgen"));
    command.args(["bench", "--only", "one-shard", "--seconds", "0.1", "--rounds", "500"]).args(words);
    command.env("TMPDIR", temporary);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stderr.as_mut().unwrap()).lines();
    assert!(lines.any(|said| said.unwrap().starts_with(line)), "no {line}");
    child
}

fn children(process: u32) -> Vec<String> {
    let path = format!("/proc/{process}/task/{process}/children");
    std::fs::read_to_string(path).unwrap().split_whitespace().map(String::from).collect()
}

#[test]
fn a_signal_leaves_what_was_measured() {
    for signal in ["-INT", "-TERM"] {
        let folder = tempfile::tempdir().unwrap();
        let temporary = tempfile::tempdir().unwrap();
        let port = free_port().to_string();
        let output = folder.path().to_str().unwrap();
        let words = ["--port", &port, "--output", output];
        let child = begun(&words, temporary.path(), "round 2 of 500");
        let servers = children(child.id());
        assert!(Command::new("kill").args([signal, &child.id().to_string()]).status().unwrap().success());
        let done = child.wait_with_output().unwrap();
        assert_eq!(done.status.code(), Some(130), "{signal}: {}", said(&done));
        let shown = String::from_utf8_lossy(&done.stdout);
        assert!(shown.contains("| one shard | SET | 1 |"), "{shown}");
        assert!(shown.contains("- **Not measured**: the rest: interrupted\n"), "{shown}");
        assert_eq!(shown.matches("interrupted").count(), 1, "{shown}");
        let written = std::fs::read_dir(folder.path()).unwrap();
        let mut ends: Vec<String> =
            written.map(|file| file.unwrap().path().extension().unwrap().display().to_string()).collect();
        ends.sort();
        assert_eq!(ends, ["json", "md"]);
        assert!(servers.iter().all(|server| !Path::new(&format!("/proc/{server}")).exists()), "{servers:?}");
        assert_eq!(std::fs::read_dir(temporary.path()).unwrap().count(), 0, "a folder is left");
    }
}

/// Whoever waits for the machine has no server yet, and need not wait to end.
#[test]
fn a_signal_ends_the_wait_for_the_lock() {
    let folder = tempfile::tempdir().unwrap();
    let lock = folder.path().join("lock");
    let (lock, output) = (lock.to_str().unwrap(), folder.path().to_str().unwrap());
    let mut holder = Command::new("flock");
    holder.args([lock, "sh", "-c", "echo held; read line"]);
    let mut holder = holder.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut held = String::new();
    BufReader::new(holder.stdout.as_mut().unwrap()).read_line(&mut held).unwrap();
    let child = begun(&["--lock", lock, "--output", output], folder.path(), "round 1 of 500");
    assert!(Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap().success());
    let done = child.wait_with_output().unwrap();
    assert_eq!(done.status.code(), Some(130), "{}", said(&done));
    drop(holder.stdin.take());
    holder.wait().unwrap();
}

/// Said before anything is started.
#[test]
fn results_that_have_nowhere_to_go() {
    for words in [
        &["bench", "--polder", "/no/such/server"][..],
        &["compare", "--a", "no-such-server", "--b", "no-such-server"],
    ] {
        let done = program(&[words, &["--output", "/dev/null/results"]].concat());
        assert_eq!(done.status.code(), Some(1), "{}", said(&done));
        assert!(said(&done).contains("--output /dev/null/results: Not a directory"), "{}", said(&done));
    }
}
