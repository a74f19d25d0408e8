//! What a schedule shows that a closed loop hides, against a server that stalls once.

mod support;

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use polder_loadgen::measure::Subject;
use polder_loadgen::result::Run;
use polder_loadgen::runner;
use polder_loadgen::tally::{IntervalHistograms, KindName, NoObserver, Observer};

use support::program::{options, program_line};

/// A ping as the generator sends it.
const PING: &[u8] = b"*1\r\n$4\r\nPING\r\n";
/// When the server stalls, after its first command, and for how long.
const STALL_AFTER: Duration = Duration::from_millis(300);
const STALL: Duration = Duration::from_millis(500);

/// A server that answers pings at once, except for one stall on all its connections.
fn serve(stalls: bool) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let first_command = Arc::new(OnceLock::new());
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let (stream, first_command) = (stream.unwrap(), Arc::clone(&first_command));
            std::thread::spawn(move || converse(stream, &first_command, stalls));
        }
    });
    port
}

fn converse(mut stream: TcpStream, first_command: &OnceLock<Instant>, stalls: bool) {
    stream.set_nodelay(true).unwrap();
    let (mut buffer, mut got) = ([0; 65536], 0);
    while let Ok(count) = stream.read(&mut buffer) {
        if count == 0 {
            return;
        }
        let began = *first_command.get_or_init(Instant::now);
        let stall_end = STALL_AFTER + STALL;
        if stalls && (STALL_AFTER..stall_end).contains(&began.elapsed()) {
            std::thread::sleep(stall_end - began.elapsed());
        }
        let commands = (got + count) / PING.len() - got / PING.len();
        got += count;
        if stream.write_all(&b"+PONG\r\n".repeat(commands)).is_err() {
            return;
        }
    }
}

fn measure_with(line: &str, observer: &mut dyn Observer) -> Run {
    let options = options(line);
    let engine = runner::choose_engine(options.engine).unwrap();
    let topology = runner::prepare(&options).unwrap();
    let test = options.chosen_tests().unwrap().remove(0);
    Subject::of_test(&options, &topology, &test).unwrap().measure(&options, engine, observer).unwrap()
}

fn measure(line: &str) -> Run {
    measure_with(line, &mut NoObserver)
}

const LONG_US: f64 = 400_000.0;

/// The stall holds up four requests of a closed loop, one for each connection: with more than 400 requests
/// these are fewer than one in a hundred. Of an open loop 500 of 1,500 are due meanwhile, and 100 of them
/// within its first fifth: they wait 400 ms or more, and they are more than one in a hundred.
#[test]
fn a_stall_shows_in_an_open_loop_and_not_in_a_closed_one() {
    for engine in ["epoll", "auto"] {
        let port = serve(true);
        let closed = measure(&format!("-p {port} -c 4 --seconds 1.3 --warmup 0 -t ping --engine {engine}"));
        assert!(closed.requests > 400 && closed.failure.is_none(), "{}", closed.requests);
        assert!(closed.total.response.is_none());
        assert!(closed.total.service.us.max >= LONG_US, "{:?}", closed.total.service.us);
        assert!(closed.total.service.us.p99 < LONG_US / 2.0, "{:?}", closed.total.service.us);

        let port = serve(true);
        for poisson in ["", "--poisson"] {
            let port = if poisson.is_empty() { port } else { serve(true) };
            let open =
                measure(&format!("-p {port} -c 4 -n 1500 --rate 1k {poisson} -t ping --engine {engine}"));
            assert_eq!((open.requests, &open.failure, open.errors), (1500, &None, 0));
            let response = &open.total.response.as_ref().unwrap().us;
            assert!(response.p99 >= LONG_US && open.total.felt().us == *response, "{response:?}");
            // A third were due during the stall; the backlog takes next to no time.
            assert!(response.p50 < LONG_US / 2.0, "{response:?}");
            // No command was sent before its time, and few into the stall: one for each connection.
            assert!(open.total.service.us.p99 < LONG_US / 2.0, "{:?}", open.total.service.us);
            assert!((1.2..4.0).contains(&open.seconds), "{}", open.seconds);
            let schedule = open.load.schedule.unwrap();
            assert_eq!((schedule.rate, schedule.poisson), (1000.0, !poisson.is_empty()));
        }
    }
}

/// Ten connections with room for pipelines of 64 take what comes during the stall: each command has its own
/// instants, so service times grow like response times.
#[test]
fn deep_pipelines_stamp_each_command() {
    let port = serve(true);
    let run = measure(&format!("-p {port} -c 10 -P 64 -n 1500 --rate 1000 -t ping"));
    let (response, service) = (&run.total.response.as_ref().unwrap().us, &run.total.service.us);
    assert!(response.p99 >= LONG_US && service.p99 >= LONG_US, "{response:?} {service:?}");
    // 500 wait from 0 to 500 ms, and 1,000 hardly at all: 10 % wait between 300 and 500 ms.
    assert!((250_000.0..600_000.0).contains(&service.p90), "{service:?}");
}

/// Notes what it is shown.
#[derive(Default)]
struct Notes {
    began: Vec<String>,
    requests: u64,
    end: f64,
    intervals: usize,
    ended: bool,
}

impl Observer for Notes {
    fn begin(&mut self, name: &str, kinds: &[KindName]) {
        self.began.push(format!("{name} {}", kinds.len()));
    }

    fn interval(&mut self, at: &IntervalHistograms) {
        assert!((at.start - self.end).abs() < 0.3 && !self.ended, "{} after {}", at.start, self.end);
        assert_eq!(at.total.felt_ns().len(), at.total.requests);
        assert_eq!(at.tally.kinds[0].requests, at.total.requests);
        self.requests += at.total.requests;
        self.end = at.start + at.seconds;
        self.intervals += 1;
    }

    fn end(&mut self) {
        self.ended = true;
    }
}

#[test]
fn whoever_observes_sees_every_second() {
    let port = serve(false);
    for rate in ["", "--rate 5000"] {
        let mut notes = Notes::default();
        let line = format!("-p {port} -c 4 --threads 2 --seconds 2.5 --warmup 0.1 -t ping {rate}");
        let run = measure_with(&line, &mut notes);
        assert_eq!((notes.began.as_slice(), notes.ended), (&["PING 1".to_string()][..], true));
        assert_eq!((notes.requests, notes.intervals), (run.requests, run.intervals.len()));
        // A late turn may shift what remains into another part.
        assert!((3..=4).contains(&notes.intervals) && notes.end >= 2.4, "{} {}", notes.intervals, notes.end);
        assert_eq!(run.total.felt().count, run.requests);
        assert_eq!(run.intervals.iter().map(|interval| interval.requests).sum::<u64>(), run.requests);
    }
}

/// No generator of one thread sends a hundred million commands a second.
#[test]
fn a_generator_that_is_too_slow_says_so() {
    let port = serve(false);
    let output =
        program_line(&format!("-p {port} -c 2 -P 100000 --seconds 0.3 --warmup 0 --rate 100m -t ping"));
    assert_eq!(output.status.code(), Some(3), "{output:?}");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(errors.contains("the generator, not the server, was the bottleneck"), "{errors}");
    for (wrong, part) in [("--rate x", "--rate"), ("--rate 0", "--rate"), ("--poisson", "--rate")] {
        let output = program_line(&format!("-p {port} {wrong}"));
        assert_eq!(output.status.code(), Some(1), "{wrong}");
        assert!(String::from_utf8_lossy(&output.stderr).contains(part), "{output:?}");
    }
}

#[test]
fn connections_are_made_anew() {
    let port = serve(false);
    for engine in ["epoll", "auto"] {
        for (line, wanted) in [("-c 4 -P 3 -n 400", 36..=40), ("-c 4 -P 3 -n 400 --rate 20k", 20..=40)] {
            let run =
                measure(&format!("-p {port} {line} --reconnect-every 10 -t ping --engine {engine} --idle 3"));
            assert_eq!((run.requests, &run.failure, run.wrong), (400, &None, 0), "{line}");
            assert!(wanted.contains(&run.reconnects), "{line}: {}", run.reconnects);
        }
    }
}

/// How long a server lets a new connection wait for the reply to its AUTH.
const WELCOME: Duration = Duration::from_millis(200);

/// A server that is slow to let in, and then answers pings at once.
fn serve_slow_welcomes() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            std::thread::spawn(move || {
                let mut buffer = [0; 1024];
                if matches!(stream.read(&mut buffer), Ok(1..)) {
                    std::thread::sleep(WELCOME);
                    if stream.write_all(b"+OK\r\n").is_ok() {
                        converse(stream, &OnceLock::new(), false);
                    }
                }
            });
        }
    });
    port
}

/// Who connects again holds up nobody else, and what it takes is told apart.
#[test]
fn new_connections_do_not_hold_up_the_others() {
    for engine in ["epoll", "auto"] {
        let port = serve_slow_welcomes();
        let line = format!("-p {port} -a secret -c 8 -n 800 --rate 1k -t ping --engine {engine}");
        let run = measure(&format!("{line} --reconnect-every 60"));
        assert_eq!((run.requests, &run.failure, run.errors), (800, &None, 0));
        assert!((8..=13).contains(&run.reconnects), "{}", run.reconnects);
        let connect_us = run.connect_us.unwrap();
        assert!(connect_us.min >= WELCOME.as_micros() as f64 * 0.99, "{connect_us:?}");
        // One after the other they would block for 1.6 s and more, beside the 0.8 that the load takes: a fifth of it
        // and more would be sent a second late.
        let slip = run.slip.unwrap();
        assert!(run.seconds < 2.2 && slip.us.p90 < 600_000.0, "{} s, {slip:?}", run.seconds);
    }
}
