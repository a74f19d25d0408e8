//! The generator against servers whose delays and faults are known.

mod support;

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::Duration;

use polder_loadgen::measure::Subject;
use polder_loadgen::options::EngineChoice;
use polder_loadgen::report::TestResult;
use polder_loadgen::result::ResultFile;
use polder_loadgen::runner;
use polder_loadgen::tally::NoObserver;

use support::program::{options, program_line, said};

/// What the server does with each command.
#[derive(Clone, Copy)]
struct Behaviour {
    reply: &'static [u8],
    /// Other replies, for the commands of these names.
    named: &'static [(&'static str, &'static [u8])],
    /// Waits so long before it answers what one read brought.
    delay: Duration,
    /// Sends replies in pieces of this size.
    piece_bytes: usize,
    /// Closes a connection after so many commands.
    close_after: usize,
}

const PROMPT: Behaviour = Behaviour {
    reply: b"+OK\r\n",
    named: &[],
    delay: Duration::ZERO,
    piece_bytes: usize::MAX,
    close_after: usize::MAX,
};

/// Starts the server on a port of its own. It lives as long as the test's process.
fn serve(behaviour: Behaviour) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let stream = stream.unwrap();
            std::thread::spawn(move || converse(stream, behaviour));
        }
    });
    port
}

/// A command is as many bulk strings as its first line says: one `*` each, since values hold none.
fn converse(mut stream: TcpStream, behaviour: Behaviour) {
    stream.set_nodelay(true).unwrap();
    let mut buffer = [0; 65536];
    // Line ends that the current command has and still lacks; 0 between commands.
    let (mut lines, mut lines_due, mut commands) = (0, 0, 0);
    let (mut line, mut reply) = (Vec::new(), behaviour.reply);
    loop {
        let count = match stream.read(&mut buffer) {
            Ok(count) if count > 0 => count,
            _ => return,
        };
        let mut replies = Vec::new();
        for &byte in &buffer[..count] {
            line.push(byte);
            if byte != b'\n' {
                continue;
            }
            let text = String::from_utf8(std::mem::take(&mut line)).unwrap();
            if lines_due == 0 {
                lines_due = 2 * text.trim().trim_start_matches('*').parse::<usize>().unwrap();
                lines = 0;
                continue;
            }
            lines += 1;
            lines_due -= 1;
            if lines == 2 {
                let other = behaviour.named.iter().find(|(name, _)| *name == text.trim());
                reply = other.map_or(behaviour.reply, |(_, reply)| reply);
            }
            if lines_due == 0 {
                replies.push(reply);
            }
        }
        std::thread::sleep(behaviour.delay);
        let complete = replies.len();
        replies.truncate(behaviour.close_after - commands);
        for piece in replies.concat().chunks(behaviour.piece_bytes) {
            if stream.write_all(piece).is_err() {
                return;
            }
        }
        commands += complete;
        if commands >= behaviour.close_after {
            return;
        }
    }
}

fn measure(line: &str) -> TestResult {
    let options = options(line);
    let engine = runner::choose_engine(options.engine).unwrap();
    let topology = runner::prepare(&options).unwrap();
    let test = options.chosen_tests().unwrap().remove(0);
    let subject = Subject::of_test(&options, &topology, &test).unwrap();
    TestResult::of(&subject.measure(&options, engine, &mut NoObserver).unwrap())
}

/// Both engines must behave alike; io_uring is left out where it is forbidden.
fn engines() -> Vec<&'static str> {
    let mut engines = vec!["epoll"];
    if runner::choose_engine(EngineChoice::IoUring).is_ok() {
        engines.push("io_uring");
    }
    engines
}

#[test]
fn a_known_delay_is_measured() {
    let port = serve(Behaviour { delay: Duration::from_millis(10), ..PROMPT });
    for engine in engines() {
        let result = measure(&format!("-p {port} -c 2 -n 60 -P 3 -r 100 -d 8 -t set --engine {engine}"));
        assert_eq!(result.requests, 60);
        assert_eq!((result.errors, result.wrong, &result.failure), (0, 0, &None));
        // Never less than the delay; more only as far as this machine is busy.
        assert!(result.latency_us.min >= 10_000.0, "{result:?}");
        assert!(result.latency_us.p50 < 40_000.0, "{result:?}");
        // 2 connections of 10 rounds each, one after the other.
        assert!(result.seconds >= 0.1, "{result:?}");
        assert!(result.requests_per_second <= 600.0, "{result:?}");
        assert_eq!(result.generator_is_bottleneck, Some(false));
    }
}

#[test]
fn replies_in_single_bytes_are_counted() {
    let port = serve(Behaviour { reply: b"$3\r\nxxx\r\n", piece_bytes: 1, ..PROMPT });
    for engine in engines() {
        let result = measure(&format!("-p {port} -c 3 -n 200 -P 7 -t get --engine {engine}"));
        assert_eq!((result.requests, result.wrong, result.misses), (200, 0, 0));
    }
}

/// What a server that knows transactions says to five INCRs.
const TRANSACTIONS: Behaviour = Behaviour {
    reply: b"+QUEUED\r\n",
    named: &[("MULTI", b"+OK\r\n"), ("EXEC", b"*5\r\n:1\r\n:2\r\n:3\r\n:44\r\n:5\r\n")],
    ..PROMPT
};

#[test]
fn a_transaction_is_one_request() {
    for (piece_bytes, delay) in
        [(usize::MAX, Duration::ZERO), (1, Duration::ZERO), (7, Duration::from_millis(5))]
    {
        let port = serve(Behaviour { piece_bytes, delay, ..TRANSACTIONS });
        for (engine, test) in
            engines().into_iter().flat_map(|engine| [(engine, "exec-tag"), (engine, "exec-random")])
        {
            let result = measure(&format!("-p {port} -c 3 -n 61 -P 4 -r 100 -t {test} --engine {engine}"));
            assert_eq!((result.requests, &result.failure), (61, &None), "{result:?}");
            assert_eq!((result.errors, result.wrong, result.misses), (0, 0, 0), "{result:?}");
            // The reply of MULTI may come long before that of EXEC, and only the latter counts.
            assert!(result.latency_us.min >= delay.as_micros() as f64, "{result:?}");
        }
    }
}

#[test]
fn a_transaction_that_fails_is_told() {
    // Nothing was done: a key was watched. This load watches none, so the reply is wrong.
    let port = serve(Behaviour { named: &[("EXEC", b"*-1\r\n")], ..TRANSACTIONS });
    let result = measure(&format!("-p {port} -c 2 -n 20 -P 3 -t exec-tag"));
    assert_eq!((result.requests, result.wrong, result.errors), (20, 20, 0));
    // Too few replies inside.
    let port = serve(Behaviour { named: &[("EXEC", b"*1\r\n:1\r\n")], ..TRANSACTIONS });
    let result = measure(&format!("-p {port} -c 2 -n 20 -P 3 -t exec-tag"));
    assert_eq!((result.wrong, result.errors), (20, 0));
    // An error among the replies inside, one while queueing, and EXEC refused.
    const INSIDE: &[u8] = b"*5\r\n:1\r\n-WRONGTYPE no\r\n:1\r\n-ERR no\r\n:1\r\n";
    let port = serve(Behaviour { named: &[("EXEC", INSIDE)], ..TRANSACTIONS });
    let result = measure(&format!("-p {port} -c 2 -n 20 -P 3 -t exec-random"));
    assert_eq!((result.requests, result.wrong, result.errors), (20, 0, 40));
    let port = serve(Behaviour { named: &[("MULTI", b"-ERR unknown command\r\n")], ..TRANSACTIONS });
    let result = measure(&format!("-p {port} -c 1 -n 20 -P 3 -t exec-random"));
    assert_eq!(result.errors, 20);
    assert_eq!(result.first_error.as_deref(), Some("ERR unknown command"));
    let output = program_line(&format!("-p {port} -c 1 -n 20 -P 3 -t exec-random"));
    assert_eq!(output.status.code(), Some(1), "{output:?}");
}

#[test]
fn many_keys_in_one_request() {
    const TEN: &[u8] = b"*10\r\n$1\r\nx\r\n$1\r\nx\r\n$1\r\nx\r\n$-1\r\n$1\r\nx\r\n$1\r\nx\r\n$1\r\nx\r\n$1\r\nx\r\n$1\r\nx\r\n$-1\r\n";
    let port = serve(Behaviour { named: &[("MGET", TEN)], ..PROMPT });
    let result = measure(&format!("-p {port} -c 2 -n 30 -P 4 -r 100 -d 1 -t mget"));
    assert_eq!((result.requests, result.wrong, result.misses), (30, 0, 60));
    let result = measure(&format!("-p {port} -c 2 -n 30 -P 4 -r 100 -d 1 -t mset"));
    assert_eq!((result.requests, result.wrong), (30, 0));
    let port = serve(Behaviour { named: &[("MGET", b"*0\r\n")], ..PROMPT });
    let result = measure(&format!("-p {port} -c 2 -n 30 -P 4 -r 100 -d 1 -t mget"));
    assert_eq!((result.requests, result.wrong), (30, 30));
}

#[test]
fn a_mixture_takes_both_replies() {
    let port = serve(Behaviour { named: &[("GET", b"$3\r\nxxx\r\n")], piece_bytes: 11, ..PROMPT });
    for test in ["get-30pct-mset", "set-30pct-mset", "get-0pct-mset", "set-100pct-mset"] {
        let result = measure(&format!("-p {port} -c 3 -n 500 -P 16 -r 100 -t {test}"));
        assert_eq!(
            (result.requests, result.wrong, result.errors, result.misses),
            (500, 0, 0, 0),
            "{result:?}"
        );
    }
    // A GET that gets OK is wrong where there are no MSETs.
    let port = serve(PROMPT);
    let result = measure(&format!("-p {port} -c 3 -n 50 -P 16 -r 100 -t get"));
    assert_eq!(result.wrong, 50);
}

#[test]
fn a_duration_ends_the_load() {
    let port = serve(PROMPT);
    let result = measure(&format!("-p {port} -c 4 --seconds 0.2 --warmup 0.05 -t set --threads 2"));
    assert!(result.requests > 0 && result.failure.is_none(), "{result:?}");
    // A busy machine may be late, though not by much.
    assert!((0.19..3.0).contains(&result.seconds), "{result:?}");
}

#[test]
fn wrong_replies_and_errors_are_told() {
    let port = serve(Behaviour { reply: b"$2\r\nxx\r\n", ..PROMPT });
    let result = measure(&format!("-p {port} -c 1 -n 10 -t get"));
    assert_eq!((result.wrong, result.errors), (10, 0));
    let port = serve(Behaviour { reply: b"$-1\r\n", ..PROMPT });
    let result = measure(&format!("-p {port} -c 1 -n 10 -t get"));
    assert_eq!((result.wrong, result.misses), (0, 10));
    let port = serve(Behaviour { reply: b"-OOM command not allowed\r\n", ..PROMPT });
    let result = measure(&format!("-p {port} -c 1 -n 10 -P 5 -t set"));
    assert_eq!((result.errors, result.requests), (10, 10));
    assert_eq!(result.first_error.as_deref(), Some("OOM command not allowed"));
    let output = program_line(&format!("-p {port} -c 1 -n 10 -t set -q"));
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(said(&output).contains("the first error was 'OOM command not allowed'"), "{output:?}");
    // The server is there, and refuses what the load would need.
    let output = program_line(&format!("-p {port} -c 1 -n 10 -t get --preload"));
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(said(&output).contains("preloading 127.0.0.1:"), "{output:?}");
}

#[test]
fn a_server_that_goes_away_is_no_stall() {
    let port = serve(Behaviour { close_after: 50, ..PROMPT });
    for engine in engines() {
        let output = program_line(&format!("-p {port} -c 1 -n 1000 -t set --engine {engine}"));
        assert_eq!(output.status.code(), Some(2), "{output:?}");
        let (text, errors) =
            (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(text.contains("50 requests"), "the result so far: {text}");
        assert!(errors.contains("closed a connection"), "{errors}");
    }
}

#[test]
fn a_silent_server_is_given_up() {
    let port = serve(Behaviour { reply: b"", ..PROMPT });
    let output = program_line(&format!("-p {port} -c 2 --seconds 30 --timeout 0.2 -t set"));
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    assert!(String::from_utf8_lossy(&output.stderr).contains("sent nothing"), "{output:?}");
}

#[test]
fn a_server_of_another_protocol_is_told() {
    let port = serve(Behaviour { reply: b"HTTP/1.1 400 Bad Request\r\n", ..PROMPT });
    let output = program_line(&format!("-p {port} -c 1 -n 10 -t set"));
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    assert!(String::from_utf8_lossy(&output.stderr).contains("RESP"), "{output:?}");
}

#[test]
fn no_server_at_all() {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let output = program_line(&format!("-p {port} -n 10"));
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("Could not connect"), "{output:?}");
    assert_eq!(program_line("--nonsense").status.code(), Some(1));
    assert_eq!(program_line("--help").status.code(), Some(0));
}

#[test]
fn results_in_all_forms() {
    let port = serve(PROMPT);
    let path = std::env::temp_dir().join(format!("polder-loadgen-{}.json", std::process::id()));
    let output = program_line(&format!("-p {port} -n 100 -c 2 -t set,mset --csv --json {}", path.display()));
    assert!(output.status.success(), "{output:?}");
    let text = String::from_utf8(output.stdout).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.len(), 3);
    let columns = lines[0].split(',').count();
    assert!(lines.iter().all(|line| line.split(',').count() == columns), "{text}");
    let kept = ResultFile::parse(&std::fs::read(&path).unwrap()).unwrap();
    std::fs::remove_file(&path).unwrap();
    let runs: Vec<_> = kept.runs.iter().map(|run| (run.name.as_str(), run.requests)).collect();
    assert_eq!(runs, [("SET", 100), ("MSET", 100)]);
}
