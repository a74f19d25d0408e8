//! Every claim is measured, on our server or on redis-server. Whether a claim holds depends on the machine:
//! what is checked is that each is judged, on figures that can be right, and that the exit code says so.

mod support;

use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use serde_json::Value;
use support::server::polder_server;

/// Claims that say nothing about how fast a machine is.
const CERTAIN: [&str; 1] = ["hyperloglog"];

fn claims(words: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_polder-loadgen"));
    command.arg("claims").args(words).output().unwrap()
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
    let broken =
        all.iter().any(|(_, claim)| claim["verdict"] == "does-not-hold" || claim["verdict"] == "failed");
    assert_eq!(done.status.code(), Some(i32::from(broken)), "{shown}{said}");
    for (name, claim) in &all {
        assert!(shown.contains(&format!("\n{name}: ")), "{name}: {shown}");
        let failed = claim["verdict"] == "failed";
        assert_eq!(claim["failure"].is_string(), failed, "{claim}");
        assert!(failed || !claim["measured"].as_array().unwrap().is_empty(), "{name}");
        let figures = claim["figures"].as_object().unwrap();
        if claim["verdict"] == "not-available" {
            let reason = claim["measured"][0].as_str().unwrap();
            let told = ["the server has no ", "unknown command"].iter().any(|text| reason.contains(text));
            assert!(told, "{name}: {reason}");
            assert!(shown.contains("not available"), "{shown}");
        } else if !failed {
            assert!(!figures.is_empty(), "{name}");
            // On a busy machine nothing may be answered in the short time of one measurement.
            assert!(figures.values().all(|figure| figure.as_f64().unwrap() >= 0.0), "{name}: {figures:?}");
        }
        if CERTAIN.contains(&name.as_str()) && !failed {
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
    let all = verdicts(polder_server().to_str().unwrap(), &names);
    assert!(all.iter().all(|(_, claim)| claim["verdict"] != "failed"), "{all:?}");
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
    let measured = |verdict: &Value| verdict == "holds" || verdict == "does-not-hold";
    assert!(all.iter().all(|(_, claim)| measured(&claim["verdict"])), "{all:?}");
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
    // Said before the server is started.
    let done = claims(&["--json", "/no/such/folder/claims.json"]);
    let said = String::from_utf8_lossy(&done.stderr).into_owned();
    assert_eq!(done.status.code(), Some(1));
    assert!(said.contains("/no/such/folder/claims.json: No such file"), "{said}");
}

/// Each claim is judged, with the server's own words, and it is tried but once.
#[test]
fn a_server_that_does_not_start_fails_every_claim() {
    let folder = tempfile::tempdir().unwrap();
    let started = folder.path().join("started");
    // It counts its starts; that it names an unknown command is no error reply.
    let dies = format!("/bin/sh -c 'echo x >> {}; echo unknown command; exit 3' {{port}}", started.display());
    for (server, words) in [
        ("no-such-server-at-all", "no-such-server-at-all: No such file"),
        ("redis-server --no-such-directive 1", "no-such-directive"),
        (&dies, "ended at once, exit status: 3; its last lines:\n    unknown command"),
    ] {
        let path = folder.path().join("claims.json");
        let done = claims(&["--server", server, "--json", path.to_str().unwrap()]);
        let shown = String::from_utf8_lossy(&done.stdout).into_owned();
        assert_eq!(done.status.code(), Some(1), "{shown}");
        assert!(shown.contains("0 of 10 claims hold; FAILED: throughput, latency, "), "{shown}");
        let file: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
        let judged = file["claims"].as_array().unwrap();
        assert_eq!(judged.len(), 10);
        for claim in judged {
            let failure = claim["failure"].as_str().unwrap();
            assert_eq!(claim["verdict"], "failed");
            assert!(failure.starts_with("server did not start: ") && failure.contains(words), "{failure}");
        }
    }
    assert_eq!(std::fs::read_to_string(started).unwrap(), "x\n");
}

/// A server that listens to nobody is waited for; the user may end that, too, and nothing is left.
#[test]
fn claims_that_the_user_ends_while_the_server_starts() {
    let folder = tempfile::tempdir().unwrap();
    let (path, pipe) = (folder.path().join("claims.json"), folder.path().join("pipe"));
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let temporary = tempfile::tempdir().unwrap();
    let server = format!("/bin/sh -c 'echo $$ > {}; exec sleep 600' {{port}}", pipe.display());
    let mut command = Command::new(env!("CARGO_BIN_EXE_polder-loadgen"));
    command.args(["claims", "--server", &server, "--json"]).arg(&path).env("TMPDIR", temporary.path());
    let claims = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let server = std::fs::read_to_string(&pipe).unwrap();
    assert!(Command::new("kill").args(["-INT", &claims.id().to_string()]).status().unwrap().success());
    let output = claims.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(130), "{output:?}");
    let file: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    assert_eq!(file["claims"].as_array().unwrap().len(), 0);
    assert!(!Path::new("/proc").join(server.trim()).exists(), "the server outlives its claims");
    assert_eq!(std::fs::read_dir(temporary.path()).unwrap().count(), 0, "a folder is left");
}

/// Claims of which one failed: the others are measured, on a fresh server.
#[test]
fn a_load_with_error_replies_fails_one_claim() {
    let server = "redis-server --save '' --maxmemory 1";
    let all = verdicts(server, &["expiry", "publish", "throughput", "hyperloglog"]);
    for name in ["expiry", "throughput", "hyperloglog"] {
        let claim = &all.iter().find(|(other, _)| other == name).unwrap().1;
        assert_eq!(claim["verdict"], "failed");
        let failure = claim["failure"].as_str().unwrap();
        assert!(failure.contains("OOM command not allowed"), "{failure}");
    }
    assert!(all[1].1["figures"]["p99_us"].as_f64().unwrap() > 0.0);
}

#[test]
fn a_server_that_lacks_command_info_too() {
    let renamed = "redis-server --save '' --rename-command COMMAND '' --rename-command PUBLISH ''";
    let all = verdicts(renamed, &["publish", "hyperloglog"]);
    assert_eq!(all[0].1["verdict"], "not-available");
    let reason = all[0].1["measured"][0].as_str().unwrap();
    assert!(reason.contains("unknown command 'PUBLISH'"), "{reason}");
    assert_eq!(all[1].1["verdict"], "holds");
}

#[test]
fn a_server_that_is_killed_fails_one_claim() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("claims.json");
    let mut command = Command::new(env!("CARGO_BIN_EXE_polder-loadgen"));
    command.args(["claims", "--quick", "--only", "leaderboard,hyperloglog", "--json"]).arg(&path);
    command.args(["--server", "redis-server --save ''"]);
    let mut claims = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(claims.stdout.take().unwrap()).lines();
    // The server is there; the leaderboards take a while.
    assert!(lines.by_ref().any(|line| line.unwrap().starts_with("pinned")));
    let process = claims.id();
    let children = std::fs::read_to_string(format!("/proc/{process}/task/{process}/children")).unwrap();
    let server = children.trim();
    assert!(Command::new("kill").args(["-9", server]).status().unwrap().success(), "{children}");
    let shown: Vec<String> = lines.map(Result::unwrap).collect();
    assert_eq!(claims.wait().unwrap().code(), Some(1));
    let summary = "1 of 2 claims hold; FAILED: leaderboard";
    assert!(shown.iter().any(|line| line == summary), "{shown:#?}");
    let file: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    let failure = file["claims"][0]["failure"].as_str().unwrap();
    assert!(failure.contains("the server ended, signal: 9"), "{failure}");
}

/// The claims that were come to are told and kept; the server does not outlive them.
#[test]
fn claims_that_the_user_ends() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("claims.json");
    let mut command = Command::new(env!("CARGO_BIN_EXE_polder-loadgen"));
    command.args(["claims", "--server", "redis-server --save ''", "--only", "hyperloglog,throughput,scan"]);
    command.args(["--quick", "--json"]).arg(&path).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut claims = command.spawn().unwrap();
    let mut lines = BufReader::new(claims.stdout.take().unwrap()).lines();
    assert!(lines.any(|line| line.unwrap().starts_with("hyperloglog: ")), "no first claim");
    let process = claims.id();
    assert!(Command::new("kill").args(["-INT", &process.to_string()]).status().unwrap().success());
    let shown: Vec<String> = lines.map(Result::unwrap).collect();
    let output = claims.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(130), "{output:?}");
    assert!(shown.iter().any(|line| line.starts_with("1 of ")), "{shown:#?}");
    let file: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    let judged = file["claims"].as_array().unwrap();
    assert!((1..3).contains(&judged.len()) && judged[0]["verdict"] == "holds", "{judged:?}");
    assert!(judged[1..].iter().all(|claim| claim["failure"].as_str().unwrap().contains("interrupted")));
}

/// What the claim says with this script instead of tc, and its figures.
fn with_tc(script: &str) -> (String, Value) {
    let folder = tempfile::tempdir().unwrap();
    let tc = folder.path().join("tc");
    std::fs::write(&tc, script).unwrap();
    std::fs::set_permissions(&tc, std::fs::Permissions::from_mode(0o755)).unwrap();
    let (json, path) = (folder.path().join("claims.json"), std::env::var("PATH").unwrap());
    let mut command = Command::new(env!("CARGO_BIN_EXE_polder-loadgen"));
    command.env("PATH", format!("{}:{path}:/usr/sbin:/sbin", folder.path().display()));
    command.args(["claims", "--quick", "--only", "pipeline", "--server", "redis-server --save ''", "--json"]);
    let done = command.arg(&json).output().unwrap();
    let file: Value = serde_json::from_slice(&std::fs::read(&json).unwrap()).unwrap();
    (String::from_utf8_lossy(&done.stdout).into_owned(), file["claims"][0]["figures"].clone())
}

const REFUSED: &str = "not with tc netem, which is not possible here: ";

fn refusal(shown: &str) -> &str {
    let (_, refusal) = shown.split_once(REFUSED).unwrap_or_else(|| panic!("{shown}"));
    refusal.lines().next().unwrap()
}

#[test]
fn why_there_is_no_delay_by_the_kernel_is_said() {
    let (shown, figures) = with_tc("#!/bin/sh\necho no kernel for that >&2; exit 2\n");
    assert!(refusal(&shown).ends_with("no kernel for that"), "{shown}");
    assert!(figures.get("netem_pipeline_ms").is_none());
    assert!(figures["delayed_pipeline_ms"].as_f64().unwrap() > 0.0);
    // A delay that is not there is none; without root it does not come to that.
    let (shown, figures) = with_tc("#!/bin/sh\nexit 0\n");
    let reason = refusal(&shown);
    assert!(reason.contains("'tc' agreed, but") || reason.contains("no network of its own"), "{shown}");
    assert!(figures.get("netem_pipeline_ms").is_none());
}

/// Kernels without netem may have a token bucket, which delays, too: if it is slow enough.
#[test]
fn a_delay_by_the_kernel_stands_beside_the_relay() {
    let bucket = "#!/bin/sh\n[ \"$1\" = -V ] && exit 0\nip link set lo mtu 1500\nPATH=/usr/sbin:/sbin\n\
                  exec tc qdisc add dev lo root tbf rate 400kbit burst 1600 limit 10mb\n";
    let networks = || std::fs::read_to_string("/proc/net/dev").unwrap().lines().count();
    let before = networks();
    let (shown, figures) = with_tc(bucket);
    assert_eq!(networks(), before);
    if shown.contains(REFUSED) {
        let may = Path::new("/usr/sbin/tc").exists() && refusal(&shown).contains("Specified qdisc kind");
        assert!(may || refusal(&shown).contains("no network of its own"), "{shown}");
        return;
    }
    assert!(shown.contains("with the same round trip by tc netem"), "{shown}");
    assert!(figures["netem_one_by_one_ms"].as_f64().unwrap() >= 1000.0, "{figures}");
    assert!(figures["netem_pipeline_ms"].as_f64().unwrap() > 0.0, "{figures}");
}
