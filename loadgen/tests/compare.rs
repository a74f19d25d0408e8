//! Two servers beside each other, and what can go wrong with them.

mod support;

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use polder_loadgen::client::Value;
use polder_loadgen::result::{ResultFile, Run};

use support::server::{Server, polder_server};

const REDIS: &str = "redis-server --save ''";
/// A server that nobody uses but this user with this password.
const PROTECTED: &str = "redis-server --save '' --user default off --user loader on >secret ~* +@all";

fn compare(words: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_polder-loadgen"));
    command.arg("compare").args(words).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn a_server_beside_itself() {
    let folder = tempfile::tempdir().unwrap();
    let output = folder.path().to_str().unwrap();
    let load = ["-t", "set,ping", "-P", "1,16", "-c", "5", "-r", "1000", "--seconds", "0.1", "--rounds", "2"];
    let files = ["--output", output, "--name", "twins"];
    let with_snapshots = "redis-server --save '3600 1'";
    let done = compare(&[&["--a", REDIS, "--b", with_snapshots], &load[..], &files[..]].concat());
    let (shown, said) = (text(&done.stdout), text(&done.stderr));
    assert!(done.status.success(), "{shown}{said}");
    assert!(shown.contains("a: redis-server --save '' (redis-server "), "{shown}");
    for part in ["b/a CPU", "SET, pipeline 1: ", "SET, pipeline 16: ", "PING, pipeline 16: ", "save 3600 1"] {
        assert!(shown.contains(part), "'{part}' is missing: {shown}");
    }
    let page = std::fs::read_to_string(folder.path().join("twins.md")).unwrap();
    assert!(
        page.contains("Repeat it: `polder-loadgen compare --a") && page.contains("| SET | 16 |"),
        "{page}"
    );
    let rows = page.lines().filter(|line| line.starts_with("| ")).count();
    assert_eq!(rows, 2 + 4, "a heading, its rule and a row for each test and pipeline: {page}");
    for side in ["a", "b"] {
        let bytes = std::fs::read(folder.path().join(format!("twins-{side}.json"))).unwrap();
        let file = ResultFile::parse(&bytes).unwrap();
        assert_eq!(file.runs.len(), 4);
        assert!(file.runs.iter().all(|run| run.requests > 0 && run.server.is_some()));
        assert!(file.runs.iter().all(|run| run.total.felt().count == run.requests));
    }
}

#[test]
fn a_profile_on_both() {
    let folder = tempfile::tempdir().unwrap();
    let output = folder.path().to_str().unwrap();
    let load = ["--profile", "cache-aside", "-P", "4", "-c", "5", "--seconds", "0.2", "--rounds", "1"];
    let done = compare(&[&["--a", REDIS, "--b", REDIS, "--output", output], &load[..]].concat());
    let (shown, said) = (text(&done.stdout), text(&done.stderr));
    assert!(done.status.success(), "{shown}{said}");
    assert!(shown.contains("CACHE-ASIDE, pipeline 4: "), "{shown}");
    let bytes = std::fs::read(folder.path().join("compare-a.json")).unwrap();
    let run = &ResultFile::parse(&bytes).unwrap().runs[0];
    assert!(run.commands.len() > 1 && run.requests > 0, "{run:?}");
    let done = compare(&["--a", REDIS, "--b", REDIS, "--profile", "no-such-profile"]);
    assert_eq!(done.status.code(), Some(1));
    assert!(text(&done.stderr).contains("no-such-profile"), "{}", text(&done.stderr));
}

#[test]
fn a_server_that_does_not_start_says_why() {
    let folder = tempfile::tempdir().unwrap();
    let output = folder.path().to_str().unwrap();
    let wrong = "redis-server --no-such-directive 1";
    // What was measured of the other is written.
    let done = compare(&["--a", REDIS, "--b", wrong, "--seconds", "0.1", "--output", output]);
    let said = text(&done.stderr);
    assert_eq!(done.status.code(), Some(1), "{said}");
    assert!(said.contains("ended at once") && said.contains("its last lines"), "{said}");
    assert!(said.contains("no-such-directive"), "{said}");
    let done = compare(&["--a", "no-such-server-at-all", "--b", REDIS]);
    assert_eq!(done.status.code(), Some(1));
    assert!(text(&done.stderr).contains("no-such-server-at-all: "), "{}", text(&done.stderr));
}

/// Starts a comparison of two redis-servers for many rounds, and waits until the given turn begins.
fn begun(folder: &Path, turn: &str) -> Child {
    let load = ["-t", "ping", "-P", "1,4", "-c", "5", "--seconds", "0.2", "--rounds", "500"];
    let mut command = Command::new(env!("CARGO_BIN_EXE_polder-loadgen"));
    command.args(["compare", "--a", REDIS, "--b", REDIS, "--output"]).arg(folder).args(load);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stderr.as_mut().unwrap()).lines();
    assert!(lines.any(|line| line.unwrap().starts_with(turn)), "no {turn}");
    child
}

/// The server that it runs now.
fn server_of(process: &Child) -> String {
    let id = process.id();
    let path = format!("/proc/{id}/task/{id}/children");
    let end = Instant::now() + Duration::from_secs(20);
    loop {
        let children = std::fs::read_to_string(&path).unwrap();
        if let Some(server) = children.split_whitespace().next() {
            return server.to_string();
        }
        assert!(Instant::now() < end, "no server is started");
        std::thread::yield_now();
    }
}

fn kill(signal: &str, process: &str) {
    assert!(Command::new("kill").args([signal, process]).status().unwrap().success());
}

/// What was measured until then is shown and kept.
#[test]
fn a_comparison_that_ends_early_keeps_its_rounds() {
    // A server may be killed while it starts, or under its load.
    for (signal, codes) in [("-INT", [130, 130]), ("-TERM", [130, 130]), ("-KILL", [1, 2])] {
        let folder = tempfile::tempdir().unwrap();
        let process = begun(folder.path(), "round 3 of 500");
        let server = server_of(&process);
        let target = if signal == "-KILL" { server.clone() } else { process.id().to_string() };
        kill(signal, &target);
        let done = process.wait_with_output().unwrap();
        let shown = text(&done.stdout);
        assert!(codes.map(Some).contains(&done.status.code()), "{signal}: {shown}{}", text(&done.stderr));
        for part in ["PING, pipeline 1: ", "PING, pipeline 4: ", "NOTE: ended early: "] {
            assert!(shown.contains(part), "{signal}: '{part}' is missing: {shown}");
        }
        let page = std::fs::read_to_string(folder.path().join("compare.md")).unwrap();
        assert!(page.contains("- ended early: ") && page.contains("| PING | 4 |"), "{page}");
        for side in ["a", "b"] {
            let runs = runs_of(&folder, side);
            assert!(runs.len() == 2 && runs.iter().all(|run| run.requests > 0), "{runs:?}");
        }
        assert!(!Path::new(&format!("/proc/{server}")).exists(), "the server outlives its comparison");
    }
}

#[test]
fn wrong_options_are_named() {
    let both = ["--a", REDIS, "--b", REDIS];
    for (words, part) in [
        (&["-t", "set,nonsense"][..], "there is no test 'nonsense'"),
        (&["-P", "0"], "--pipeline"),
        (&["--rounds", "0"], "--rounds"),
        (&["--server-cpus", "x"], "'x'"),
    ] {
        let done = compare(&[&both[..], words].concat());
        assert_eq!(done.status.code(), Some(1));
        assert!(text(&done.stderr).contains(part), "{words:?}: {}", text(&done.stderr));
    }
    let done = compare(&["--a", REDIS]);
    assert_eq!(done.status.code(), Some(1));
    assert!(text(&done.stderr).contains("--b"), "{}", text(&done.stderr));
}

fn runs_of(folder: &tempfile::TempDir, side: &str) -> Vec<Run> {
    let bytes = std::fs::read(folder.path().join(format!("compare-{side}.json"))).unwrap();
    ResultFile::parse(&bytes).unwrap().runs
}

const SHORT: [&str; 12] =
    ["-t", "set,get", "-P", "4", "-c", "5", "-r", "1000", "--seconds", "0.2", "--rounds", "2"];

#[test]
fn servers_that_run_already() {
    let (redis, polder) = (Server::redis(&[]), Server::polder(&["--shards", "1"]));
    redis.ask(&["SET", "mine", "stays"]);
    let folder = tempfile::tempdir().unwrap();
    let (a, b) = (format!("localhost:{}", redis.port), polder.socket());
    let servers = ["--a", &a, "--b", b.to_str().unwrap(), "--output", folder.path().to_str().unwrap()];
    let done = compare(&[&servers[..], &SHORT].concat());
    let (shown, told) = (text(&done.stdout), text(&done.stderr));
    assert!(done.status.success(), "{shown}{told}");
    // Told before the load, and kept with the figures.
    for part in ["NOTE: a (localhost:", "key:000000000000 (numbers below 1000)", "leaves them behind"] {
        assert!(told.contains(part) && shown.contains(part), "'{part}' is missing: {shown}{told}");
    }
    assert!(!shown.contains("writes snapshots"), "{shown}");
    // Both processes were found.
    for side in ["a", "b"] {
        let runs = runs_of(&folder, side);
        assert_eq!(runs.len(), 2);
        assert!(runs.iter().all(|run| run.server.is_some_and(|server| server.ns_per_request() > 0.0)));
    }
    let page = std::fs::read_to_string(folder.path().join("compare.md")).unwrap();
    assert!(page.contains("which ran already") && !page.contains("fresh servers"), "{page}");
    // They still run, with what they had and what the load set.
    assert_eq!(redis.ask(&["GET", "mine"]), Value::Text("stays".into()));
    assert_eq!((redis.keys("*"), polder.keys("key:*")), (1001, 1000));
}

#[test]
fn a_server_whose_process_is_not_known() {
    let redis = Server::redis(&["--requirepass", "secret"]);
    let folder = tempfile::tempdir().unwrap();
    // Behind a relay the server seems to be elsewhere: it names another process than the one that listens. A
    // server with another age than its process is as good as that.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    std::thread::spawn(move || answer_as_elsewhere(&listener));
    let a = format!("127.0.0.1:{}", redis.port);
    let servers =
        ["--a", &a, "--a-pass", "secret", "--b", &address, "--output", folder.path().to_str().unwrap()];
    let load = ["-t", "ping", "-P", "1", "-c", "3", "-r", "10", "--seconds", "0.2", "--rounds", "1"];
    let done = compare(&[&servers[..], &load].concat());
    let shown = text(&done.stdout);
    assert!(done.status.success(), "{shown}{}", text(&done.stderr));
    for part in ["not measured", "PING, pipeline 1: the processor time of b was not measured", "--b-pid"] {
        assert!(shown.contains(part), "'{part}' is missing: {shown}");
    }
    let page = std::fs::read_to_string(folder.path().join("compare.md")).unwrap();
    assert!(page.contains("--a-pass '***'") && !page.contains("secret"), "{page}");
    assert!(runs_of(&folder, "a")[0].server.is_some() && runs_of(&folder, "b")[0].server.is_none());
    // Its number can be given.
    let process = redis.id().to_string();
    let done = compare(&[&servers[..], &load, &["--b-pid", &process]].concat());
    assert!(done.status.success() && !text(&done.stdout).contains("not measured"), "{}", text(&done.stdout));
}

/// A server that answers every PING, and INFO with the number of a process that is not as old as it.
fn answer_as_elsewhere(listener: &std::net::TcpListener) {
    use std::io::{Read, Write};
    for stream in listener.incoming() {
        let mut stream = stream.unwrap();
        std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(count @ 1..) = stream.read(&mut buffer) {
                let request = String::from_utf8_lossy(&buffer[..count]).to_ascii_uppercase();
                let info = "process_id:1\r\nuptime_in_seconds:99999999999\r\n";
                let reply = match request {
                    _ if request.contains("INFO") => format!("${}\r\n{info}\r\n", info.len()),
                    // All keys fit in one read.
                    _ if request.contains("SET") => "+OK\r\n".repeat(request.matches("SET").count()),
                    _ if request.contains("PING") => "+PONG\r\n".repeat(request.matches("PING").count()),
                    _ => "*0\r\n".into(),
                };
                if stream.write_all(reply.as_bytes()).is_err() {
                    return;
                }
            }
        });
    }
}

/// Whether they are started or run already, with one user for both or one for each.
#[test]
fn servers_with_users_and_passwords() {
    let folder = tempfile::tempdir().unwrap();
    let output = ["--output", folder.path().to_str().unwrap()];
    let words: Vec<&str> = PROTECTED.split(' ').skip(3).collect();
    let running = Server::redis(&words);
    let address = format!("127.0.0.1:{}", running.port);
    let with_password = "redis-server --save '' --requirepass other";
    for (words, both) in [
        (&["--a", PROTECTED, "--b", PROTECTED][..], &["--user", "loader", "-a", "secret"][..]),
        (&["--a", &address, "--b", PROTECTED], &["--user", "loader", "--pass", "secret"]),
        (
            &["--a", &address, "--a-user", "loader", "--a-pass", "secret", "--b", with_password],
            &["--b-pass", "other"],
        ),
        // What is said of one counts more than what is said of both.
        (
            &["--a", with_password, "--a-user", "default", "--a-pass", "other", "--b", &address],
            &["--user", "loader", "-a", "secret"],
        ),
    ] {
        let done = compare(&[words, both, &SHORT, &output].concat());
        assert!(done.status.success(), "{words:?}: {}{}", text(&done.stdout), text(&done.stderr));
        for side in ["a", "b"] {
            let runs = runs_of(&folder, side);
            assert!(runs.len() == 2 && runs.iter().all(|run| run.requests > 0), "{words:?}: {side}");
        }
    }
    let page = std::fs::read_to_string(folder.path().join("compare.md")).unwrap();
    assert!(page.contains("--a-pass '***'") && page.contains("-a '***'"), "{page}");
    assert!(!page.contains("-pass other") && !page.contains("-a secret"), "{page}");
}

#[test]
fn snapshots_are_noted_of_who_writes_them() {
    let folder = tempfile::tempdir().unwrap();
    let polder = format!("{} --shards 1 --save '3600 1'", polder_server().display());
    let servers = ["--a", &polder, "--b", "redis-server --save '3600 1' --appendonly yes"];
    let load = ["-t", "ping", "-P", "1", "-c", "3", "--seconds", "0.1", "--rounds", "1"];
    let done = compare(&[&servers[..], &load, &["--output", folder.path().to_str().unwrap()]].concat());
    let shown = text(&done.stdout);
    assert!(done.status.success(), "{shown}{}", text(&done.stderr));
    assert!(shown.contains("NOTE: b writes snapshots (save 3600 1)"), "{shown}");
    assert!(shown.contains("NOTE: b logs its writes"), "{shown}");
    // Whether the other does so it knows by itself.
    let server = Server::polder(&[]);
    let saves =
        !matches!(server.ask(&["COMMAND", "INFO", "BGSAVE"]), Value::Array(list) if list == [Value::Null]);
    assert_eq!(shown.contains("NOTE: a writes snapshots"), saves, "{shown}");
}

#[test]
fn wrong_servers_that_run_are_named() {
    let redis = Server::redis(&["--requirepass", "secret"]);
    let running = format!("127.0.0.1:{}", redis.port);
    for (words, code, part) in [
        (&["--a", "127.0.0.1:1", "--b", REDIS][..], 2, "--a: 127.0.0.1:1: "),
        (&["--a", REDIS, "--b", "unix:/no/such.sock"], 2, "--b: /no/such.sock: "),
        (&["--a", &running, "--b", REDIS], 2, "NOAUTH"),
        (&["--a", &running, "--a-pass", "wrong", "--b", REDIS], 2, "WRONGPASS"),
        (
            &["--a", &running, "--a-pass", "secret", "--a-pid", "4194999", "--b", REDIS],
            1,
            "no process 4194999",
        ),
        (&["--a", REDIS, "--b", REDIS, "--b-pid", "1"], 1, "--b-pid: is for a server that runs already"),
        (&["--a", REDIS, "--b", REDIS, "--a-user", "x"], 1, "--a: user x needs a password: --a-pass"),
        (&["--a", REDIS, "--b", REDIS, "--user", "x", "--a-pass", "x"], 1, "--b: user x needs a password"),
        (&["--a", &running, "--a-pass", "secret", "--a-user", "x", "--b", REDIS], 2, "WRONGPASS"),
        (&["--a", PROTECTED, "--b", REDIS], 1, "NOAUTH"),
        (&["--a", PROTECTED, "--b", REDIS, "--a-user", "loader", "--a-pass", "x"], 1, "WRONGPASS"),
        (&["--a", REDIS, "--b", REDIS, "--a-pid", "x"], 1, "--a-pid"),
    ] {
        let done = compare(&[words, &["--seconds", "0.1"]].concat());
        assert_eq!(done.status.code(), Some(code), "{words:?}: {}", text(&done.stderr));
        assert!(text(&done.stderr).contains(part), "{words:?}: {}", text(&done.stderr));
    }
}
