//! Servers that are started with TLS and nothing else, and measured in every way that starts one.

mod support;

use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

use support::papers::Papers;
use support::program::said;
use support::server::Server;

fn program(papers: &Papers, words: &[&str], tls: &str) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_polder-loadgen"));
    command.args(words).arg("--tls").args(tls.split(' ')).current_dir(papers.folder.path());
    command.output().unwrap()
}

fn json(path: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

/// The figures of a started server are those of connections over TLS.
#[test]
fn tests_and_comparisons() {
    let papers = Papers::new();
    let (line, trust) = (papers.server_line("--tls-auth-clients no"), papers.flag("--cacert", "ca.crt"));
    let output = program(&papers, &["--server", &line, "-n", "100", "-t", "set", "-q"], &trust);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert!(said(&output).contains("ns per request"), "{output:?}");
    let load = ["--rounds", "1", "--seconds", "0.1", "-t", "get", "-P", "1"];
    let output = program(&papers, &[&["compare", "--a", &line, "--b", &line][..], &load].concat(), &trust);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let port = support::server::free_port().to_string();
    let flags = papers.server_flags();
    let flags: Vec<&str> =
        flags.split(' ').chain(["--tls-auth-clients", "no", "--tls-port", &port]).collect();
    let _running = Server::redis(&flags);
    let address = format!("127.0.0.1:{port}");
    let output = program(&papers, &[&["compare", "--a", &line, "--b", &address][..], &load].concat(), &trust);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
}

/// Loads, a subscriber, a relay between and many questions: none of them comes in without a certificate.
#[test]
fn claims_over_tls() {
    let papers = Papers::new();
    let names = "cache-read,pipeline,publish,hyperloglog";
    let words =
        ["claims", "--quick", "--server", &papers.server_line(""), "--only", names, "--json", "claims.json"];
    let (cert, key) = (papers.flag("--cert", "client.crt"), papers.flag("--key", "client.key"));
    let tls = format!("{} {cert} {key}", papers.flag("--cacert", "ca.crt"));
    let output = program(&papers, &words, &tls);
    let shown = said(&output);
    let file = json(&papers.path("claims.json"));
    let claims = file["claims"].as_array().unwrap();
    assert_eq!(claims.len(), 4, "{shown}");
    for claim in claims {
        // Whether it holds is up to the machine.
        assert!(claim["verdict"] == "holds" || claim["verdict"] == "does-not-hold", "{shown}");
        let flags = format!("--tls {tls}");
        assert!(claim["by_hand"].as_str().unwrap().contains(&flags), "{shown}");
    }
    assert!(claims[1]["figures"]["delayed_one_by_one_ms"].as_f64().unwrap() >= 1000.0, "{shown}");
    assert_eq!(claims[3]["verdict"], "holds", "{shown}");
}

/// What is started by itself speaks no TLS.
#[test]
fn the_server_has_to_be_named() {
    let papers = Papers::new();
    for subcommand in ["generators", "claims"] {
        let output = program(&papers, &[subcommand], "--insecure");
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        assert!(said(&output).contains("--server <COMMAND>"), "{output:?}");
    }
    let tls = format!("{} {}", papers.flag("--cert", "client.crt"), papers.flag("--key", "none.key"));
    for subcommand in ["generators", "claims"] {
        let output = program(&papers, &[subcommand, "--server", "no-such-server"], &tls);
        assert!(said(&output).contains("none.key: No such file"), "{output:?}");
    }
}

/// It is not asked until it answers at last: who is not trusted now will not be later.
#[test]
fn a_server_that_is_not_trusted_says_why() {
    let (papers, others) = (Papers::new(), Papers::new());
    let (line, strange) = (papers.server_line("--tls-auth-clients no"), others.flag("--cacert", "ca.crt"));
    for words in [&["claims"][..], &["generators"], &["-t", "ping"]] {
        let output = program(&papers, &[words, &["--server", &line]].concat(), &strange);
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        assert!(said(&output).contains("give the certificate of its authority with --cacert"), "{output:?}");
    }
}
