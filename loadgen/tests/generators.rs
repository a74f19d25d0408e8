//! What loads cost other generators, and whether it was a load at all.

mod support;

use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value;

use support::papers::Papers;
use support::program::said;

const SHORT: [&str; 8] = ["-t", "get", "-P", "16", "--seconds", "0.2", "--rounds", "1"];

/// The generators that were measured, and what was said.
fn generators(papers: &Papers, server: &str, tls: &str) -> (Vec<String>, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_polder-loadgen"));
    command.args(["generators", "--output", ".", "--server", server]).args(SHORT).arg("--tls");
    let output = command.args(tls.split(' ')).current_dir(papers.folder.path()).output().unwrap();
    let shown = said(&output);
    assert_eq!(output.status.code(), Some(0), "{shown}");
    let mut files = std::fs::read_dir(papers.folder.path()).unwrap().map(|entry| entry.unwrap().path());
    let path = files.find(|path| path.to_string_lossy().ends_with("-generator.json")).unwrap();
    let file: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    let samples = file["samples"].as_array().unwrap();
    let tools = samples.iter().map(|sample| sample["tool"].as_str().unwrap().to_string()).collect();
    (tools, shown)
}

/// The server takes nobody without a certificate: each generator gets it, or is told not to have been measured.
#[test]
fn other_generators_speak_tls_too() {
    let papers = Papers::new();
    let client = format!("{} {}", papers.flag("--cert", "client.crt"), papers.flag("--key", "client.key"));
    let trust = papers.flag("--cacert", "ca.crt");
    let (tools, shown) = generators(&papers, &papers.server_line(""), &format!("{trust} {client}"));
    assert_eq!(tools[..2], ["polder-loadgen", "redis-benchmark"], "{shown}");
    let is_left_out = shown.contains("memtier_benchmark is not installed here: it was not measured");
    assert_ne!(tools.get(2).is_some_and(|tool| tool == "memtier-benchmark"), is_left_out, "{shown}");
    assert!(shown.contains("all connections speak TLS"), "{shown}");
    // What one of them does not know.
    let one = "--tls-ciphersuites TLS_CHACHA20_POLY1305_SHA256";
    let server = papers.server_line(&format!("--tls-protocols TLSv1.3 --tls-auth-clients no {one}"));
    let (tools, shown) = generators(&papers, &server, &format!("{trust} {one}"));
    assert_eq!(tools, ["polder-loadgen", "redis-benchmark"], "{shown}");
    assert!(is_left_out || shown.contains("memtier_benchmark does not know --tls-ciphersuites"), "{shown}");
}

/// The program, with this script instead of redis-benchmark in the folder.
fn with_script_in(folder: &Path, script: &str) -> Command {
    let program = folder.join("redis-benchmark");
    std::fs::write(&program, script).unwrap();
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
    let path = format!("{}:{}", folder.display(), std::env::var("PATH").unwrap());
    let mut command = Command::new(env!("CARGO_BIN_EXE_polder-loadgen"));
    command.env("PATH", path).args(["generators", "--server", "redis-server --save ''"]).args(SHORT);
    command
}

/// What is said of a load in which this script stands for redis-benchmark.
fn with_script(script: &str) -> String {
    let folder = tempfile::tempdir().unwrap();
    let output = with_script_in(folder.path(), script).output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    said(&output)
}

/// Another generator is ended, too, and what ours has measured before stays.
#[test]
fn a_signal_while_another_generator_runs() {
    let folder = tempfile::tempdir().unwrap();
    let pipe = folder.path().join("pipe");
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let script = format!("#!/bin/sh\necho $$ > {}\nexec sleep 600\n", pipe.display());
    let mut command = with_script_in(folder.path(), &script);
    // As from a terminal, the signal goes to the whole group.
    command.process_group(0).stdout(Stdio::piped()).stderr(Stdio::piped());
    let process = command.spawn().unwrap();
    let other = std::fs::read_to_string(&pipe).unwrap();
    let group = format!("-{}", process.id());
    assert!(Command::new("kill").args(["-INT", "--", &group]).status().unwrap().success());
    let output = process.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(130), "{output:?}");
    let shown = said(&output);
    assert!(
        shown.contains("ended early: interrupted") && shown.contains("no other generator was measured"),
        "{shown}"
    );
    assert!(!Path::new("/proc").join(other.trim()).exists(), "redis-benchmark outlives us");
}

#[test]
fn generators_without_a_figure() {
    let said = with_script("#!/bin/sh\nexit 0\n");
    assert!(said.contains("requests came to the server"), "{said}");
    let said = with_script("#!/bin/sh\necho no room for it >&2; exit 3\n");
    assert!(said.contains("exit status: 3: no room for it"), "{said}");
}

/// What was measured before Ctrl-C is shown and kept.
#[test]
fn figures_that_the_user_does_not_wait_for() {
    let folder = tempfile::tempdir().unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_polder-loadgen"));
    command.args(["generators", "--server", "redis-server --save ''", "--output"]).arg(folder.path());
    command.args(["-t", "get", "-P", "16", "--seconds", "0.2", "--rounds", "500"]);
    let mut process = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(process.stderr.take().unwrap()).lines();
    assert!(lines.any(|line| line.unwrap().starts_with("round 2 of 500")), "no second round");
    assert!(Command::new("kill").args(["-INT", &process.id().to_string()]).status().unwrap().success());
    let output = process.wait_with_output().unwrap();
    let shown = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(130), "{shown}");
    assert!(shown.contains("redis-benchmark") && shown.contains("ended early: "), "{shown}");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 2);
}
