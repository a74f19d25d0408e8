//! Loads over TLS against redis-server, and what is said when it cannot be.

mod support;

use std::process::{Command, Output};

use polder_loadgen::result::Run;

use support::papers::Papers;
use support::program::{program_line, runs};

/// A redis-server with one port for TLS and one without.
struct Server {
    plain: support::server::Server,
    tls_port: u16,
}

impl Server {
    fn start(papers: &Papers, further: &[&str]) -> Server {
        let tls_port = support::server::free_port();
        let (port, flags) = (tls_port.to_string(), papers.server_flags());
        let flags: Vec<&str> = flags.split(' ').collect();
        let plain = support::server::Server::redis(&[&["--tls-port", &port], &flags[..], further].concat());
        Server { plain, tls_port }
    }

    /// Runs a load over TLS.
    fn runs(&self, line: &str) -> Vec<Run> {
        let line = format!("-p {} --tls {line}", self.tls_port);
        let runs = runs(&line);
        for run in &runs {
            assert_eq!((&run.failure, run.errors, run.wrong), (&None, 0, 0), "{line}: {:?}", run.first_error);
        }
        runs
    }

    /// What the program itself says.
    fn says(&self, line: &str) -> (Option<i32>, String) {
        let line = format!("-p {} --tls {line}", self.tls_port);
        ended(program_line(&line))
    }
}

fn ended(output: Output) -> (Option<i32>, String) {
    (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
}

/// Every way of loading; the certificate's name is not the server's.
#[test]
fn loads_of_all_kinds() {
    let papers = Papers::new();
    let server = Server::start(&papers, &["--tls-auth-clients", "no"]);
    let trust = papers.flag("--cacert", "ca.crt");
    for engine in ["epoll", "auto"] {
        let common = format!("{trust} --engine {engine} -c 5");
        for (line, requests) in [
            ("-n 500 -t set,get,incr", 500),
            // Records and chunks of the engine end somewhere within long pipelines and long values.
            ("-n 3000 -P 300 -r 1000 -t set,get --preload", 3000),
            ("-n 30 -P 3 -d 300000 -t set,get --preload", 30),
            ("-n 500 -P 4 --rate 5000 --poisson -t get --preload -3", 500),
            ("-n 500 -P 16 --reconnect-every 50 --idle 3 -t ping", 500),
        ] {
            for run in server.runs(&format!("{common} {line}")) {
                assert_eq!(run.requests, requests, "{line}: {}", run.name);
                let anew = line.contains("--reconnect-every");
                assert_eq!((run.reconnects > 0, run.connect_us.is_some()), (anew, anew), "{line}");
            }
        }
        let seconds = server.runs(&format!("{common} --seconds 0.5 --profile pubsub"));
        assert!(seconds[0].requests > 0);
    }
}

#[test]
fn histories_over_tls_are_judged() {
    let papers = Papers::new();
    let server = Server::start(&papers, &["--tls-auth-clients", "no"]);
    let flags = papers.flag("--cacert", "ca.crt");
    let output = program_line(&format!("verify -p {} --tls {flags} --seconds 1 -c 4", server.tls_port));
    assert_eq!(output.status.code(), Some(0), "{output:?}");
}

/// With either version of the protocol, a server that wants to see a certificate gets to see one.
#[test]
fn certificates_of_clients() {
    let papers = Papers::new();
    for version in ["TLSv1.2", "TLSv1.3"] {
        let server = Server::start(&papers, &["--tls-protocols", version, "--requirepass", "secret"]);
        let trust = papers.flag("--cacert", "ca.crt");
        let (cert, key) = (papers.flag("--cert", "client.crt"), papers.flag("--key", "client.key"));
        let run = &server.runs(&format!("{trust} {cert} {key} -a secret -n 100 -t ping"))[0];
        assert_eq!(run.requests, 100);
        let (code, errors) = server.says(&format!("{trust} -a secret -n 100 -t ping"));
        assert_eq!(code, Some(2), "{version}: {errors}");
        assert!(errors.contains("see --cert"), "{version}: {errors}");
        let (code, errors) = server.says(&format!("{trust} {cert} -n 1"));
        assert!(code == Some(1) && errors.contains("--key"), "{errors}");
    }
}

#[test]
fn whom_to_trust() {
    let (papers, others) = (Papers::new(), Papers::new());
    let server = Server::start(&papers, &["--tls-auth-clients", "no"]);
    let folder = format!("--cacertdir {}", papers.folder.path().display());
    for trust in
        ["--insecure", &folder, &format!("{} --sni other.example", papers.flag("--cacert", "ca.crt"))]
    {
        assert_eq!(server.runs(&format!("{trust} -n 10 -c 1 -t ping"))[0].requests, 10, "{trust}");
    }
    // An authority of the system's has not signed it, and neither has another one.
    for stranger in ["", &others.flag("--cacert", "ca.crt")] {
        let (code, errors) = server.says(&format!("{stranger} -n 1 -t ping"));
        assert!(code == Some(2) || stranger.is_empty(), "{errors}");
        assert!(errors.contains("--cacert"), "{errors}");
    }
    for (line, part) in [
        ("--cacert /no/such/file", "--cacert /no/such/file: No such file"),
        ("--cacert /dev/null", "no certificate in PEM"),
        ("--insecure --cacert /dev/null", "--insecure"),
        ("-s /tmp/no.sock", "unix socket"),
        (&format!("{} {}", papers.flag("--cert", "client.crt"), papers.flag("--key", "ca.crt")), "--key"),
        (&format!("{} {}", papers.flag("--cert", "client.crt"), papers.flag("--key", "server.key")), "--key"),
    ] {
        let (code, errors) = server.says(&format!("{line} -n 1 -t ping"));
        assert_eq!(code, Some(1), "{line}: {errors}");
        assert!(errors.contains(part), "{line}: {errors}");
    }
    for alone in [
        "--cacert x",
        "--cacertdir x",
        "--insecure",
        "--sni x",
        "--cert x --key y",
        "--tls-ciphers ECDHE-ECDSA-AES128-GCM-SHA256",
        "--tls-ciphersuites TLS_AES_128_GCM_SHA256",
    ] {
        let (code, errors) = ended(program_line(&format!("-n 1 {alone}")));
        assert!(code == Some(1) && errors.contains("--tls"), "{alone}: {errors}");
    }
}

/// A server that has one cipher only answers those who offer it: what was chosen is what is spoken.
#[test]
fn ciphers_of_either_version() {
    let papers = Papers::new();
    let trust = papers.flag("--cacert", "ca.crt");
    for (version, flag, ciphers) in [
        (
            "TLSv1.2",
            "--tls-ciphers",
            [
                "ECDHE-ECDSA-AES256-GCM-SHA384",
                "ECDHE-ECDSA-AES128-GCM-SHA256",
                "ECDHE-ECDSA-CHACHA20-POLY1305",
            ],
        ),
        (
            "TLSv1.3",
            "--tls-ciphersuites",
            ["TLS_AES_256_GCM_SHA384", "TLS_AES_128_GCM_SHA256", "TLS_CHACHA20_POLY1305_SHA256"],
        ),
    ] {
        for (index, only) in ciphers.into_iter().enumerate() {
            let flags = ["--tls-auth-clients", "no", "--tls-protocols", version, flag, only];
            let server = Server::start(&papers, &flags);
            let others = [ciphers[(index + 1) % 3], ciphers[(index + 2) % 3]].join(":");
            for offered in [only, &format!("{others}:{only}")] {
                let run = &server.runs(&format!("{trust} {flag} {offered} -n 100 -P 4 -t ping"))[0];
                assert_eq!(run.requests, 100, "{offered}");
            }
            let (code, errors) = server.says(&format!("{trust} {flag} {others} -n 1 -t ping"));
            assert_eq!(code, Some(2), "{only}: {errors}");
            assert!(errors.contains("HandshakeFailure") && errors.contains(flag), "{only}: {errors}");
        }
    }
}

/// What is chosen for a version that the server does not speak changes nothing.
#[test]
fn ciphers_of_the_other_version() {
    let papers = Papers::new();
    let trust = papers.flag("--cacert", "ca.crt");
    for (version, other) in [
        ("TLSv1.2", "--tls-ciphersuites TLS_AES_128_GCM_SHA256"),
        ("TLSv1.3", "--tls-ciphers ECDHE-RSA-AES128-GCM-SHA256"),
    ] {
        let server = Server::start(&papers, &["--tls-auth-clients", "no", "--tls-protocols", version]);
        assert_eq!(server.runs(&format!("{trust} {other} -n 10 -t ping"))[0].requests, 10, "{version}");
    }
    let program = |line: &str| ended(program_line(&format!("--tls -n 1 {line}")));
    for (line, parts) in [
        ("--tls-ciphers HIGH", ["'HIGH'", "--tls-ciphers", "ECDHE-RSA-AES256-GCM-SHA384"]),
        (
            "--tls-ciphersuites TLS_AES_128_GCM_SHA256:TLS_AES_128_CCM_SHA256",
            ["'TLS_AES_128_CCM_SHA256'", "--tls-ciphersuites", "TLS_CHACHA20_POLY1305_SHA256"],
        ),
    ] {
        let (code, errors) = program(line);
        assert_eq!(code, Some(1), "{errors}");
        assert!(parts.iter().all(|part| errors.contains(part)), "{errors}");
    }
}

#[test]
fn the_wrong_port() {
    let papers = Papers::new();
    let server = Server::start(&papers, &["--tls-auth-clients", "no"]);
    let trust = papers.flag("--cacert", "ca.crt");
    let (code, errors) = ended(program_line(&format!("-p {} --tls {trust} -n 1 -t ping", server.plain.port)));
    assert_eq!(code, Some(2), "{errors}");
    assert!(errors.contains("TLS"), "{errors}");
    let (code, errors) = ended(program_line(&format!("-p {} -n 1 -t ping", server.tls_port)));
    assert_eq!(code, Some(2), "{errors}");
    assert!(errors.contains("closed"), "{errors}");
}

/// The result so far is kept.
#[test]
fn a_server_that_dies() {
    let papers = Papers::new();
    let server = Server::start(&papers, &["--tls-auth-clients", "no"]);
    let line = format!("-p {} --tls --insecure --seconds 30 --warmup 0 -t ping", server.tls_port);
    let load = std::thread::spawn(move || runs(&line));
    server.plain.await_calls("ping", 10_000);
    assert!(Command::new("kill").args(["-9", &server.plain.id().to_string()]).status().unwrap().success());
    let runs = load.join().unwrap();
    assert!(runs[0].failure.is_some() && runs[0].requests > 0, "{:?}", runs[0].failure);
}
