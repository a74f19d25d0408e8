//! Every claim is measured, on our server or on redis-server. Whether a claim holds depends on the machine:
//! what is checked is that each is judged, on figures that can be right, and that the exit code says so.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;

/// Claims that say nothing about how fast a machine is.
const CERTAIN: [&str; 1] = ["hyperloglog"];

fn claims(words: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_polder-loadgen"));
    command.arg("claims").args(words).output().unwrap()
}

/// The server of this workspace, built if only this member was.
fn polder() -> PathBuf {
    let path = Path::new(env!("CARGO_BIN_EXE_polder-loadgen")).with_file_name("polder-server");
    if !path.exists() {
        let mut build = Command::new(env!("CARGO"));
        build.args(["build", "--quiet", "--package", "polder", "--bin", "polder-server"]);
        if cfg!(not(debug_assertions)) {
            build.arg("--release");
        }
        assert!(build.status().unwrap().success());
    }
    path
}

/// Runs these claims and gives the verdict of each, having checked what is said of all.
fn verdicts(server: &str, names: &[&str]) -> Vec<(String, Value)> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("claims.json");
    let only = names.join(",");
    let json = path.to_str().unwrap();
    let done = claims(&["--quick", "--server", server, "--only", &only, "--json", json]);
    let shown = String::from_utf8_lossy(&done.stdout).into_owned();
    let said = String::from_utf8_lossy(&done.stderr).into_owned();
    assert!(path.exists(), "{shown}{said}");
    let file: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    let all: Vec<(String, Value)> = file["claims"]
        .as_array()
        .unwrap()
        .iter()
        .map(|claim| (claim["name"].as_str().unwrap().to_string(), claim.clone()))
        .collect();
    let order: Vec<&str> = all.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(order, names);
    let broken = all.iter().any(|(_, claim)| claim["verdict"] == "does-not-hold");
    assert_eq!(done.status.code(), Some(i32::from(broken)), "{shown}{said}");
    for (name, claim) in &all {
        assert!(shown.contains(&format!("\n{name}: ")), "{name}: {shown}");
        assert!(!claim["measured"].as_array().unwrap().is_empty(), "{name}");
        let figures = claim["figures"].as_object().unwrap();
        if claim["verdict"] == "not-available" {
            let reason = claim["measured"][0].as_str().unwrap();
            assert!(reason.contains("the server has no "), "{name}: {reason}");
            assert!(shown.contains("not available"), "{shown}");
        } else {
            assert!(!figures.is_empty(), "{name}");
            assert!(figures.values().all(|figure| figure.as_f64().unwrap() > 0.0), "{name}: {figures:?}");
        }
        if CERTAIN.contains(&name.as_str()) {
            assert_eq!(claim["verdict"], "holds", "{shown}");
        }
    }
    all
}

#[test]
fn claims_on_our_server() {
    let names = [
        "throughput",
        "latency",
        "cache-read",
        "pipeline",
        "expiry",
        "updates",
        "publish",
        "hyperloglog",
        "scan",
    ];
    let all = verdicts(polder().to_str().unwrap(), &names);
    let figure = |name: &str, figure: &str| {
        let claim = &all.iter().find(|(other, _)| other == name).unwrap().1;
        claim["figures"][figure].as_f64().unwrap()
    };
    assert!(figure("pipeline", "delayed_one_by_one_ms") >= 1000.0);
    assert!(figure("pipeline", "delayed_pipeline_ms") >= 1.0);
}

#[test]
fn claims_on_redis_server() {
    let all = verdicts("redis-server --save ''", &["publish", "leaderboard", "hyperloglog", "scan"]);
    assert!(all.iter().all(|(_, claim)| claim["verdict"] != "not-available"));
    let scan = &all[3].1["figures"];
    assert!(scan["max_us_beside_keys"].as_f64().unwrap() > 0.0);
}

#[test]
fn claims_are_listed_and_wrong_names_told() {
    let done = claims(&["--list"]);
    let shown = String::from_utf8_lossy(&done.stdout).into_owned();
    assert!(done.status.success() && shown.lines().count() == 10, "{shown}");
    let done = claims(&["--only", "scan,speed"]);
    let said = String::from_utf8_lossy(&done.stderr).into_owned();
    assert_eq!(done.status.code(), Some(1));
    assert!(said.contains("'speed'") && said.contains("leaderboard"), "{said}");
    let done = claims(&["--server", "no-such-server-at-all"]);
    assert_eq!(done.status.code(), Some(1));
}
