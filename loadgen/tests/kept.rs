//! What a run shows while it goes on and what it leaves, on a server that answers everything with OK.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::{FromRawFd, OwnedFd};
use std::process::{Command, Output, Stdio};

use hdrhistogram::Histogram;
use hdrhistogram::serialization::interval_log::{IntervalLogIterator, LogEntry};
use polder_loadgen::hdr::encoding::decode;
use polder_loadgen::result::ResultFile;

/// Starts the server on a port of its own. It lives as long as the test's process.
fn serve() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            std::thread::spawn(move || answer(stream.unwrap()));
        }
    });
    port
}

/// Each command has one `*`: no value of these tests holds one.
fn answer(mut stream: TcpStream) {
    stream.set_nodelay(true).unwrap();
    let mut buffer = [0; 65536];
    loop {
        let count = match stream.read(&mut buffer) {
            Ok(count) if count > 0 => count,
            _ => return,
        };
        let commands = buffer[..count].iter().filter(|&&byte| byte == b'*').count();
        if stream.write_all(&b"+OK\r\n".repeat(commands)).is_err() {
            return;
        }
    }
}

fn program(line: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_polder-loadgen"));
    command.args(line.split_whitespace());
    command
}

/// What the program writes on a terminal as its standard error.
fn on_a_terminal(line: &str) -> (Output, String) {
    let (mut leader, mut follower) = (0, 0);
    let size = libc::winsize { ws_row: 24, ws_col: 120, ws_xpixel: 0, ws_ypixel: 0 };
    // SAFETY: both numbers are written and the size is read before the call returns; nothing else is wanted.
    let done = unsafe {
        libc::openpty(&mut leader, &mut follower, std::ptr::null_mut(), std::ptr::null_mut(), &raw const size)
    };
    assert_eq!(done, 0);
    // SAFETY: openpty gave both descriptors to us alone.
    let (leader, follower) = unsafe { (OwnedFd::from_raw_fd(leader), OwnedFd::from_raw_fd(follower)) };
    let child = program(line).stdout(Stdio::piped()).stderr(Stdio::from(follower)).spawn().unwrap();
    let reader = std::thread::spawn(move || {
        let (mut seen, mut buffer) = (Vec::new(), [0; 4096]);
        let mut leader = File::from(leader);
        // The end of a terminal is an error.
        while let Ok(count) = leader.read(&mut buffer)
            && count > 0
        {
            seen.extend_from_slice(&buffer[..count]);
        }
        String::from_utf8_lossy(&seen).into_owned()
    });
    let output = child.wait_with_output().unwrap();
    (output, reader.join().unwrap())
}

#[test]
fn each_second_is_logged_and_all_of_them_are_the_result() {
    let directory = tempfile::tempdir().unwrap();
    let (log, json) = (directory.path().join("a.hlog"), directory.path().join("a.json"));
    let port = serve();
    let flags = format!("-p {port} -t set,mset -c 3 -P 2 --seconds 1.2 --warmup 0 --threads 2 -q");
    let files = format!("--hdr-log {} --json {}", log.display(), json.display());
    let output = program(&format!("{flags} {files}")).output().unwrap();
    assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");

    let result = ResultFile::parse(&std::fs::read(&json).unwrap()).unwrap();
    assert_eq!(result.server, "unknown server");
    assert!(result.command_line.iter().any(|word| word == "set,mset"), "{:?}", result.command_line);
    let text = std::fs::read(&log).unwrap();
    let mut sums: BTreeMap<String, Histogram<u64>> = BTreeMap::new();
    let mut starts = Vec::new();
    for entry in IntervalLogIterator::new(&text) {
        let LogEntry::Interval(interval) = entry.unwrap() else { continue };
        let histogram = decode(interval.encoded_histogram()).unwrap();
        assert!((interval.max() - histogram.max() as f64 / 1e6).abs() < 0.001);
        match interval.tag() {
            None => starts.push(interval.start_timestamp().as_secs_f64()),
            Some(tag) => match sums.get_mut(tag.as_str()) {
                Some(sum) => sum.add(&histogram).unwrap(),
                None => drop(sums.insert(tag.as_str().to_string(), histogram)),
            },
        }
    }
    assert_eq!(sums.keys().collect::<Vec<_>>(), ["MSET", "SET"]);
    // Two seconds or more of each run, the runs one after the other.
    let intervals: usize = result.runs.iter().map(|run| run.intervals.len()).sum();
    assert_eq!(starts.len(), intervals);
    assert!(intervals >= 4 && starts.is_sorted() && starts[intervals - 1] > 2.0, "{starts:?}");
    for run in &result.runs {
        let (kept, logged) = (decode(&run.total.service.hdr).unwrap(), &sums[&run.name]);
        assert_eq!((&kept, run.requests), (logged, logged.len()));
        assert_eq!(run.requests, run.intervals.iter().map(|interval| interval.requests).sum::<u64>());
        assert_eq!(run.total.service.us.p99 * 1000.0, logged.value_at_quantile(0.99) as f64);
    }
}

#[test]
fn a_terminal_has_a_live_line() {
    let port = serve();
    let (output, seen) =
        on_a_terminal(&format!("-p {port} -t set -c 2 --seconds 1.5 --warmup 0 -r 1000 --preload"));
    assert!(output.status.success(), "{output:?}");
    assert!(String::from_utf8_lossy(&output.stdout).contains("====== SET ======"), "{output:?}");
    assert!(seen.contains("SET [") && seen.contains("/s, p50 "), "{seen}");
    assert!(seen.contains(", p99.9 ") && seen.contains(", 0 errors"), "{seen}");
    let quiet = on_a_terminal(&format!("-p {port} -t set -c 2 --seconds 1.2 --warmup 0 -q"));
    assert_eq!(quiet.1, "");
    let csv = on_a_terminal(&format!("-p {port} -t set -c 2 --seconds 1.2 --warmup 0 --csv"));
    assert_eq!(csv.1, "");
}

#[test]
fn without_a_terminal_there_is_only_the_result() {
    let port = serve();
    let output =
        program(&format!("-p {port} -t get -c 2 -n 1000 GET key:__rand_int__ -r 50")).output().unwrap();
    assert!(output.stderr.is_empty(), "{output:?}");
    let output = program(&format!("-p {port} -t set -c 2 -n 1000 -r 2000 --preload")).output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(errors.starts_with("preload: 2,000 keys in ") && errors.lines().count() <= 1, "{errors}");
}

#[test]
fn a_log_that_cannot_be_written_is_told_after_the_result() {
    let port = serve();
    let output = program(&format!("-p {port} -t set -n 1000 -q --hdr-log /dev/full")).output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(String::from_utf8_lossy(&output.stdout).contains("SET: "), "{output:?}");
    assert!(String::from_utf8_lossy(&output.stderr).contains("/dev/full: No space left"), "{output:?}");
    let output = program(&format!("-p {port} -t set -n 10 --hdr-log /nowhere/x.hlog")).output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(output.stdout.is_empty(), "{output:?}");
}
