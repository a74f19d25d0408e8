//! Servers that a load starts: once, and anew for each step of a sweep over their shards.

mod support;

use polder_loadgen::result::ResultFile;

use support::program::{program, said};
use support::server::{Server, polder_server};

/// A shell that starts the server, and keeps what it was started with and the process in a file.
fn noting(folder: &std::path::Path, program: &str, flags: &str) -> String {
    let script = folder.join("start.sh");
    let text = format!("echo \"$$ $@\" >> {}/started\nexec {program} \"$@\"\n", folder.display());
    std::fs::write(&script, text).unwrap();
    format!("/bin/sh {} {flags}", script.display())
}

fn started(folder: &std::path::Path) -> Vec<(u32, String)> {
    let text = std::fs::read_to_string(folder.join("started")).unwrap();
    let of_line = |line: &str| {
        let (process, words) = line.split_once(' ').unwrap();
        (process.parse().unwrap(), words.to_string())
    };
    text.lines().map(of_line).collect()
}

fn is_running(process: u32) -> bool {
    std::path::Path::new(&format!("/proc/{process}")).exists()
}

#[test]
fn a_sweep_over_shards_is_one_curve() {
    let folder = tempfile::tempdir().unwrap();
    let line = noting(folder.path(), polder_server().to_str().unwrap(), "--shards {shards} --save ''");
    let json = folder.path().join("shards.json");
    let words = ["--server", &line, "--sweep", "shards=1,2,4", "-t", "set,get", "-r", "1000", "--preload"];
    let load = ["-P", "16", "-c", "10", "--seconds", "0.2", "-q", "--json", json.to_str().unwrap()];
    let output = program(&[&words[..], &load].concat());
    assert!(output.status.success(), "{}", said(&output));
    // Each step had a server of its own, with its number of shards, and it is gone.
    let servers = started(folder.path());
    assert_eq!(servers.len(), 3, "{servers:?}");
    for ((process, words), shards) in servers.iter().zip(["1", "2", "4"]) {
        assert!(words.starts_with(&format!("--shards {shards} ")), "{words}");
        assert!(!is_running(*process), "{process}");
    }
    let file = ResultFile::parse(&std::fs::read(&json).unwrap()).unwrap();
    assert!(file.server.starts_with("polder-server "), "{}", file.server);
    let runs: Vec<(&str, Option<u32>)> =
        file.runs.iter().map(|run| (run.name.as_str(), run.load.shards)).collect();
    assert_eq!(
        runs,
        [
            ("SET shards=1", Some(1)),
            ("GET shards=1", Some(1)),
            ("SET shards=2", Some(2)),
            ("GET shards=2", Some(2)),
            ("SET shards=4", Some(4)),
            ("GET shards=4", Some(4)),
        ]
    );
    for run in &file.runs {
        assert!(run.requests > 0 && (run.errors, run.wrong, run.misses) == (0, 0, 0), "{run:?}");
        assert!(run.server.is_some(), "its processor time is known: {}", run.name);
    }
    // The page draws them as one curve for each test.
    let page = folder.path().join("report.html");
    let output = program(&["report", json.to_str().unwrap(), "-o", page.to_str().unwrap()]);
    assert!(output.status.success(), "{}", said(&output));
    let page = std::fs::read_to_string(page).unwrap();
    assert!(page.contains("Throughput by shards") && page.contains("shards of the server"), "no curve");
    let plot = &page[page.find("id=\"throughput-by-shards-0\"").unwrap()..];
    let plot = &plot[..plot.find("</svg>").unwrap()];
    assert_eq!(plot.matches("<circle").count(), 6, "three points for each of two tests: {plot}");
}

#[test]
fn a_server_for_one_load() {
    let folder = tempfile::tempdir().unwrap();
    let line = noting(folder.path(), "redis-server", "--save '' --port {port}");
    let json = folder.path().join("one.json");
    let words = ["--server", &line, "--sweep", "pipeline=1,4", "-t", "ping", "-n", "500", "-q"];
    let output = program(&[&words[..], &["--json", json.to_str().unwrap()]].concat());
    assert!(output.status.success(), "{}", said(&output));
    let servers = started(folder.path());
    assert_eq!(servers.len(), 1, "one server for all steps: {servers:?}");
    assert!(!is_running(servers[0].0));
    let file = ResultFile::parse(&std::fs::read(&json).unwrap()).unwrap();
    assert!(file.server.starts_with("redis-server ") && file.runs.len() == 2);
    assert!(file.runs.iter().all(|run| run.load.shards.is_none()));
    let output = program(&[
        "find-rate",
        "--p99",
        "10s",
        "--server",
        "redis-server",
        "-t",
        "ping",
        "--seconds",
        "0.2",
        "--warmup",
        "0",
        "--start-rate",
        "100",
        "--max-rate",
        "200",
    ]);
    // On a busy machine the generator may be too slow for even that, and says so.
    assert!(matches!(output.status.code(), Some(0 | 3)), "{}", said(&output));
    assert!(said(&output).contains("highest rate with p99 up to"), "{}", said(&output));
}

/// Errors of one step do not keep the next from being measured, but show in the exit code.
#[test]
fn every_step_is_measured_and_errors_show() {
    let line = "redis-server --save '' --io-threads {shards}";
    let words = ["--server", line, "--sweep", "shards=1,2", "-n", "100", "-q", "NO-SUCH-COMMAND"];
    let output = program(&words);
    assert_eq!(output.status.code(), Some(1), "{}", said(&output));
    for step in ["shards=1:", "shards=2:"] {
        assert!(said(&output).contains(step), "{step}: {}", said(&output));
    }
    // 500 threads are too many for it: what came before is kept.
    let folder = tempfile::tempdir().unwrap();
    let json = folder.path().join("kept.json");
    let words = ["--server", line, "--sweep", "shards=1,500", "-t", "ping", "-n", "100", "-q", "--json"];
    let output = program(&[&words[..], &[json.to_str().unwrap()]].concat());
    assert_eq!(output.status.code(), Some(1), "{}", said(&output));
    assert!(said(&output).contains("ended at once"), "{}", said(&output));
    assert_eq!(ResultFile::parse(&std::fs::read(&json).unwrap()).unwrap().runs.len(), 1);
}

#[test]
fn wrong_options_are_named() {
    let running = Server::redis(&[]);
    let port = running.port.to_string();
    let sweep = ["--sweep", "shards=1,2"];
    for (words, part) in [
        (&["--sweep", "shards=1,2", "-p", &port][..], "name it with --server"),
        (
            &[&["--server", "redis-server"], &sweep[..]].concat(),
            "--server: with --sweep shards=… the command line needs {shards}",
        ),
        (&["--server", "redis-server --io-threads {shards}"], "--server: {shards} is what --sweep"),
        (&["--server", "redis-server", "-p", &port], "--port"),
        (&["--server", "redis-server", "-s", "/x"], "--socket"),
        (&["--server", "redis-server", "--server-pid", "1"], "--server-pid"),
        (&["--server", "redis-server 'x"], "a quote is not closed"),
        (&["--server", "no-such-server-at-all"], "no-such-server-at-all: "),
        (&["--server-cpus", "0", "-p", &port], "--server-cpus: is for a server that --server starts"),
        (&["--sweep", "shards=0"], "'0' is no number from 1 to 4096 for shards"),
        (
            &["find-rate", "--p99", "1ms", "--sweep", "shards=1,2", "--server", "x {shards}"],
            "--sweep: find-rate has steps",
        ),
        (
            &["find-rate", "--p99", "1ms", "--sweep", "pipeline=1,2", "-p", &port],
            "--sweep: find-rate has steps",
        ),
    ] {
        let output = program(words);
        assert_eq!(output.status.code(), Some(1), "{words:?}: {}", said(&output));
        assert!(said(&output).contains(part), "{words:?}: {}", said(&output));
    }
}
