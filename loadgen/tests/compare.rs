//! Two servers beside each other, and what can go wrong with them.

use std::process::{Command, Output};

use polder_loadgen::result::ResultFile;

const REDIS: &str = "redis-server --save ''";

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
    let done = compare(&["--a", REDIS, "--b", "redis-server --no-such-directive 1", "--seconds", "0.1"]);
    let said = text(&done.stderr);
    assert_eq!(done.status.code(), Some(1), "{said}");
    assert!(said.contains("ended at once") && said.contains("its last lines"), "{said}");
    assert!(said.contains("no-such-directive"), "{said}");
    let done = compare(&["--a", "no-such-server-at-all", "--b", REDIS]);
    assert_eq!(done.status.code(), Some(1));
    assert!(text(&done.stderr).contains("no-such-server-at-all: "), "{}", text(&done.stderr));
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
