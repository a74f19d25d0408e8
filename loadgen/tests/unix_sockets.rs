//! Servers behind unix sockets: every kind of load, and what is said if nobody is there.

mod support;

use polder_loadgen::client::Value;
use polder_loadgen::result::ResultFile;

use support::program::{program, said};
use support::server::Server;

/// Commands that came through TCP would show in this number of connections.
fn connections_received(server: &Server) -> u64 {
    let Value::Text(info) = server.ask(&["INFO", "stats"]) else { panic!("INFO is a text") };
    let line = info.lines().find_map(|line| line.strip_prefix("total_connections_received:"));
    line.unwrap().trim().parse().unwrap()
}

fn every_load(server: &Server) {
    let folder = tempfile::tempdir().unwrap();
    let json = folder.path().join("result.json");
    let (socket, json) = (server.socket(), json.to_str().unwrap().to_string());
    let socket = socket.to_str().unwrap();
    // Nobody listens on this port: what does not use the socket fails.
    let common = ["-s", socket, "-h", "127.0.0.1", "-p", "1", "-q", "--json", &json];
    for (load, requests) in [
        (&["-t", "set,get", "-n", "20000", "-P", "16", "-c", "20", "-r", "1000", "--preload"][..], 20_000),
        (&["-t", "set", "-n", "3000", "--rate", "20k", "--threads", "2", "--engine", "epoll"], 3000),
        (&["-t", "set", "-n", "2000", "-c", "4", "--reconnect-every", "100", "--idle", "50"], 2000),
        (&["-3", "--profile", "sessions", "-n", "2000", "-P", "4"], 2000),
    ] {
        let before = connections_received(server);
        let output = program(&[&common[..], load].concat());
        // On a busy machine an open loop may be late.
        let codes: &[i32] = if load.contains(&"--rate") { &[0, 3] } else { &[0] };
        assert!(codes.contains(&output.status.code().unwrap()), "{load:?}: {}", said(&output));
        let file = ResultFile::parse(&std::fs::read(&json).unwrap()).unwrap();
        for run in &file.runs {
            assert_eq!((run.requests, run.errors, run.wrong), (requests, 0, 0), "{load:?}: {}", run.name);
            // Twenty pipelines of 100; how many of them end the load is the connections' doing.
            let reconnects = if load.contains(&"--reconnect-every") { 16..=20 } else { 0..=0 };
            assert!(reconnects.contains(&run.reconnects), "{load:?}: {}", run.reconnects);
        }
        assert_ne!(file.server, "unknown server");
        assert!(connections_received(server) > before + 1, "{load:?}");
    }
    assert_eq!(server.keys("key:*"), 1000);
    // Some have logged out.
    assert!(server.keys("session:*") > 49_000);
    let output = program(&["verify", "-s", socket, "-p", "1", "--seconds", "1"]);
    assert!(output.status.success(), "{}", said(&output));
}

#[test]
fn redis_server_behind_a_socket() {
    every_load(&Server::redis(&[]));
}

#[test]
fn polder_server_behind_a_socket() {
    every_load(&Server::polder(&["--shards", "2"]));
}

#[test]
fn nobody_behind_a_socket() {
    let folder = tempfile::tempdir().unwrap();
    let missing = folder.path().join("missing.sock");
    let plain = folder.path().join("plain");
    std::fs::write(&plain, "no socket").unwrap();
    for path in [&missing, &plain] {
        let path = path.to_str().unwrap();
        let output = program(&["-s", path, "-t", "ping"]);
        assert_eq!(output.status.code(), Some(2), "{}", said(&output));
        assert!(said(&output).contains(path), "{}", said(&output));
    }
    let output = program(&["-s", missing.to_str().unwrap(), "--cluster"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(said(&output).contains("--cluster") && said(&output).contains("--socket"), "{}", said(&output));
}

#[test]
fn a_server_that_goes_away() {
    let server = Server::redis(&[]);
    let socket = server.socket();
    let load = std::thread::spawn(move || {
        program(&["-s", socket.to_str().unwrap(), "-t", "set", "--seconds", "30"])
    });
    server.await_calls("set", 1000);
    drop(server);
    let output = load.join().unwrap();
    assert_eq!(output.status.code(), Some(2), "{}", said(&output));
}
