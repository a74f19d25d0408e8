//! `verify` against servers that are right, and against one that lies now and then.

mod support;

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use support::server::polder_server;

/// A busy machine needs its time.
const START_TIMEOUT: Duration = Duration::from_secs(30);

struct Server {
    port: u16,
    child: Child,
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn start(binary: PathBuf, arguments: &[&str]) -> Server {
    for _ in 0..3 {
        // The kernel's choice is free, though another process may take it first.
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let mut command = Command::new(&binary);
        command.args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--save", ""]).args(arguments);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let child = command.spawn().unwrap_or_else(|error| panic!("{}: {error}", binary.display()));
        let mut server = Server { port, child };
        let deadline = Instant::now() + START_TIMEOUT;
        while Instant::now() < deadline && matches!(server.child.try_wait(), Ok(None)) {
            if ask(port, "PING\r\n").is_some_and(|reply| reply.starts_with("+PONG")) {
                return server;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }
    panic!("{} does not start", binary.display());
}

/// The first line of the reply to an inline command.
fn ask(port: u16, command: &str) -> Option<String> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(5))).ok()?;
    stream.write_all(command.as_bytes()).ok()?;
    let mut line = String::new();
    BufReader::new(stream).read_line(&mut line).ok()?;
    Some(line)
}

fn redis() -> Server {
    start("redis-server".into(), &[])
}

fn polder(shards: &str) -> Server {
    start(polder_server().into(), &["--shards", shards])
}

fn verify(port: u16, line: &str) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_polder-loadgen"));
    command.args(["verify", "-p", &port.to_string()]).args(line.split_whitespace());
    command.output().unwrap()
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

fn assert_right(port: u16, line: &str) -> String {
    let output = verify(port, line);
    let text = text(&output);
    assert_eq!(output.status.code(), Some(0), "{text}");
    for check in ["registers", "counters", "transfers", "lists", "pipelines", "append"] {
        assert!(text.contains(check), "{text}");
    }
    text
}

#[test]
fn servers_that_are_right() {
    for server in [redis(), polder("1"), polder("4")] {
        assert_right(server.port, "--seconds 1 -c 12");
        assert_right(server.port, "--seconds 0.5 -c 24 -P 1 -r 4");
        // It leaves nothing behind.
        assert_eq!(ask(server.port, "DBSIZE\r\n").as_deref(), Some(":0\r\n"));
    }
}

#[test]
fn connections_that_are_killed() {
    for server in [redis(), polder("4")] {
        let port = server.port;
        let killer = std::thread::spawn(move || {
            for _ in 0..8 {
                std::thread::sleep(Duration::from_millis(150));
                ask(port, "CLIENT KILL TYPE normal SKIPME yes\r\n");
            }
        });
        let text = assert_right(port, "--seconds 1.5 -c 12");
        killer.join().unwrap();
        assert!(!text.contains(" 0 reconnections"), "{text}");
    }
}

#[test]
fn a_server_that_is_killed() {
    let mut server = redis();
    let port = server.port;
    let killer = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(500));
        server.child.kill().unwrap();
        server.child.wait().unwrap();
    });
    let output = verify(port, "--seconds 5 -c 4 --timeout 0.3");
    killer.join().unwrap();
    let text = text(&output);
    assert_eq!(output.status.code(), Some(2), "{text}");
    assert!(text.contains("until then is consistent") && text.contains("could not be read"), "{text}");
}

#[test]
fn a_history_that_is_kept_is_judged_again() {
    let server = redis();
    let path = std::env::temp_dir().join(format!("polder-verify-{}.jsonl", std::process::id()));
    assert_right(server.port, &format!("--seconds 0.2 --history {}", path.display()));
    let again = verify(1, &format!("--check {}", path.display()));
    assert_eq!(again.status.code(), Some(0), "{}", text(&again));
    // A history that has no room ends the load, and says so.
    let full = verify(server.port, "--seconds 20 --operations 5000");
    assert_eq!(full.status.code(), Some(0), "{}", text(&full));
    assert!(text(&full).contains("the history was full"), "{}", text(&full));
    let small = verify(1, &format!("--operations 10 --check {}", path.display()));
    assert_eq!(small.status.code(), Some(1));
    assert!(text(&small).contains("more than 10 operations"), "{}", text(&small));
    std::fs::remove_file(path).unwrap();
    let gone = verify(1, "--seconds 1");
    assert_eq!(gone.status.code(), Some(2), "{}", text(&gone));
}

/// What the proxy does to a command, once after some of its kind.
#[derive(Clone, Copy, PartialEq)]
enum Lie {
    /// GET answers with what it answered first.
    StaleRead,
    /// LPUSH and RPUSH answer, and do nothing.
    LostPush,
    /// In a transfer, INCRBY gives nothing.
    HalfTransfer,
    /// RPOP and LPOP leave the element there.
    DoubledPop,
    /// INCR answers, and does nothing.
    LostUpdate,
}

/// Commands that are left alone first.
const HONEST: usize = 400;

/// A proxy that passes on one command at a time.
fn lying_proxy(server: u16, lie: Lie) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let state = Arc::new((AtomicUsize::new(0), Mutex::new(HashMap::new())));
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let (stream, state) = (stream.unwrap(), state.clone());
            let upstream = TcpStream::connect(("127.0.0.1", server)).unwrap();
            std::thread::spawn(move || pass_on(stream, upstream, lie, &state));
        }
    });
    port
}

type LieState = (AtomicUsize, Mutex<HashMap<String, Vec<u8>>>);

/// Returns when one of the two connections ends.
fn pass_on(stream: TcpStream, upstream: TcpStream, lie: Lie, (count, first): &LieState) -> Option<()> {
    stream.set_nodelay(true).ok()?;
    upstream.set_nodelay(true).ok()?;
    let (mut client, mut server) = (BufReader::new(stream), BufReader::new(upstream));
    loop {
        let mut words = read_command(&mut client)?;
        let name = words[0].clone();
        let wanted = match lie {
            Lie::StaleRead => name == "GET" && words[1].contains("register"),
            Lie::LostPush => name == "LPUSH" || name == "RPUSH",
            Lie::HalfTransfer => name == "INCRBY" && words[1].contains("account"),
            Lie::DoubledPop => name == "LPOP" || name == "RPOP",
            Lie::LostUpdate => name == "INCR" && words[1].contains("counter"),
        };
        let lies = wanted && count.fetch_add(1, Ordering::SeqCst) % HONEST == HONEST - 1;
        let mut added = 0;
        if lies {
            match lie {
                Lie::LostPush => words = vec!["LLEN".into(), words[1].clone()],
                Lie::HalfTransfer => words[2] = "0".into(),
                Lie::DoubledPop => {
                    let index = if name == "LPOP" { "0" } else { "-1" };
                    words = vec!["LINDEX".into(), words[1].clone(), index.into()];
                }
                Lie::LostUpdate => {
                    words = vec!["INCRBY".into(), words[1].clone(), "0".into()];
                    added = 1;
                }
                Lie::StaleRead => {}
            }
        }
        server.get_mut().write_all(&encode(&words)).ok()?;
        let mut reply = read_reply(&mut server)?;
        if added > 0 {
            let number: i64 = String::from_utf8_lossy(&reply[1..]).trim().parse().ok()?;
            reply = format!(":{}\r\n", number + added).into_bytes();
        }
        if lie == Lie::StaleRead && wanted && reply != b"$-1\r\n" {
            let first = first.lock().unwrap().entry(words[1].clone()).or_insert(reply.clone()).clone();
            if lies {
                reply = first;
            }
        }
        client.get_mut().write_all(&reply).ok()?;
    }
}

fn encode(words: &[String]) -> Vec<u8> {
    let bulks = words.iter().map(|word| format!("${}\r\n{word}\r\n", word.len()));
    format!("*{}\r\n{}", words.len(), bulks.collect::<String>()).into_bytes()
}

fn read_line(from: &mut impl BufRead) -> Option<String> {
    let mut line = String::new();
    (from.read_line(&mut line).ok()? > 0).then_some(line)
}

fn read_command(from: &mut impl BufRead) -> Option<Vec<String>> {
    let count: usize = read_line(from)?.trim().strip_prefix('*')?.parse().ok()?;
    (0..count)
        .map(|_| {
            read_line(from)?;
            Some(read_line(from)?.trim().to_string())
        })
        .collect()
}

/// The bytes of a reply.
fn read_reply(from: &mut impl BufRead) -> Option<Vec<u8>> {
    let line = read_line(from)?;
    let mut bytes = line.clone().into_bytes();
    let number = line[1..].trim().parse::<i64>().unwrap_or(-1);
    match line.as_bytes()[0] {
        b'$' if number >= 0 => {
            let start = bytes.len();
            bytes.resize(start + number as usize + 2, 0);
            from.read_exact(&mut bytes[start..]).ok()?;
        }
        b'*' => {
            for _ in 0..number.max(0) {
                bytes.extend(read_reply(from)?);
            }
        }
        _ => {}
    }
    Some(bytes)
}

/// The lie is found: its words are told, and the first table has at most so many rows.
fn assert_found(lie: Lie, check: &str, words: &[&str], rows_max: usize) {
    let server = redis();
    let port = lying_proxy(server.port, lie);
    let output = verify(port, &format!("--seconds 1 -c 6 -P 4 -r 4 --checks {check}"));
    let text = text(&output);
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(words.iter().any(|words| text.contains(words)), "none of {words:?} in: {text}");
    let table = text.lines().skip_while(|line| !line.contains("from ms")).skip(1);
    let rows = table.take_while(|line| line.contains(" | ")).count();
    assert!((1..=rows_max).contains(&rows), "{rows} rows: {text}");
    assert!(text.contains("--seed 1") && text.contains("FAULT"), "{text}");
}

#[test]
fn stale_reads_are_found() {
    assert_found(Lie::StaleRead, "registers", &["a stale read", "no order of these", "found empty"], 5);
}

#[test]
fn lost_pushes_are_found() {
    assert_found(Lie::LostPush, "lists", &["was put there and is lost"], 2);
}

#[test]
fn half_transfers_are_found() {
    assert_found(Lie::HalfTransfer, "transfers", &["half a transfer was seen"], 2);
}

#[test]
fn doubled_pops_are_found() {
    assert_found(Lie::DoubledPop, "lists", &["was taken twice", "is still there"], 3);
}

#[test]
fn lost_updates_are_found() {
    assert_found(Lie::LostUpdate, "counters", &["a lost update", "a stale read", "no order of these"], 3);
}
