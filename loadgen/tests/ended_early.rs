//! Loads that the user ends, whose reader goes away, or whose result has nowhere to go.

mod support;

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, Stdio};

use polder_loadgen::result::ResultFile;
use support::server::Server;

fn load(port: u16, words: &[&str]) -> Child {
    let mut command = Command::new(env!("CARGO_BIN_EXE_polder-loadgen"));
    command.args(["-p", &port.to_string()]).args(words);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

/// What was measured before the signal is shown and kept; what would have come next is not begun.
#[test]
fn a_signal_leaves_the_result_so_far() {
    let server = Server::redis(&[]);
    for signal in ["-INT", "-TERM"] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("result.json");
        let json = path.display().to_string();
        for length in [&["--seconds", "60"], &["-n", "1000000000"]] {
            let words =
                [&["-t", "set,get", "-r", "100", "--warmup", "0", "--json", &json][..], length].concat();
            server.ask(&["CONFIG", "RESETSTAT"]);
            let process = load(server.port, &words);
            server.await_calls("set", 50_000);
            assert!(
                Command::new("kill").args([signal, &process.id().to_string()]).status().unwrap().success()
            );
            let output = process.wait_with_output().unwrap();
            assert_eq!(output.status.code(), Some(130), "{output:?}");
            assert!(String::from_utf8_lossy(&output.stdout).contains("interrupted"), "{output:?}");
            let file = ResultFile::parse(&std::fs::read(&path).unwrap()).unwrap();
            assert_eq!(file.runs.len(), 1);
            let run = &file.runs[0];
            assert_eq!(run.failure.as_deref(), Some("interrupted"));
            assert!(run.requests > 0 && run.seconds < 30.0, "{} in {} s", run.requests, run.seconds);
        }
    }
}

/// Steps that came before are kept, as is the one that was cut short.
#[test]
fn a_signal_leaves_the_steps_of_a_search() {
    let server = Server::redis(&[]);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("result.json");
    let mut command = Command::new(env!("CARGO_BIN_EXE_polder-loadgen"));
    command.args(["find-rate", "--p99", "10s", "--start-rate", "1k", "--seconds", "60", "-t", "ping"]);
    command.args(["-p", &server.port.to_string(), "--json"]).arg(&path).stdout(Stdio::piped());
    let process = command.stderr(Stdio::piped()).spawn().unwrap();
    server.await_calls("ping", 200);
    assert!(Command::new("kill").args(["-INT", &process.id().to_string()]).status().unwrap().success());
    let output = process.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(130), "{output:?}");
    assert!(String::from_utf8_lossy(&output.stdout).contains("PING: 1000/s: "), "{output:?}");
    let runs = ResultFile::parse(&std::fs::read(&path).unwrap()).unwrap().runs;
    assert_eq!(runs.iter().map(|run| run.failure.as_deref()).collect::<Vec<_>>(), [Some("interrupted")]);
}

#[test]
fn a_reader_may_go_away() {
    let server = Server::redis(&[]);
    let mut process = load(server.port, &["-t", "set,get,incr,ping", "-n", "20000", "-q"]);
    let mut line = String::new();
    BufReader::new(process.stdout.take().unwrap()).read_line(&mut line).unwrap();
    assert!(line.starts_with("SET: "), "{line}");
    let mut errors = String::new();
    process.stderr.take().unwrap().read_to_string(&mut errors).unwrap();
    assert!(!process.wait().unwrap().success());
    assert_eq!(errors, "");
}

/// Said before the load, not after it.
#[test]
fn results_that_have_nowhere_to_go() {
    let server = Server::redis(&[]);
    for flag in ["--json", "--hdr-log"] {
        let words = ["-t", "set", "--seconds", "60", flag, "/no/such/folder/result"];
        let output = load(server.port, &words).wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(errors.contains("/no/such/folder/result: No such file"), "{errors}");
    }
}
