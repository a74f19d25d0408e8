//! The byte stream: however it is cut, broken, endless, huge or slow, the server answers the same or
//! closes the connection, keeps its memory, and serves the next client.
//!
//! `POLDER_LONG=1` makes the tests that only count up ten times as long.

mod support;

use std::net::TcpStream;
use std::os::fd::AsRawFd;
use std::time::{Duration, Instant};

use support::client::{Client, ReadError, Reply, encode};
use support::random::{Random, seed};
use support::server::{Server, Variant};

/// Longer than any answer takes, shorter than a hang.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(20);

const MEGABYTE: u64 = 1 << 20;

fn each_server(arguments: &[&str], test: impl Fn(&mut Server)) {
    for variant in [Variant::Polder { shards: 1 }, Variant::Polder { shards: 4 }, Variant::PolderOnEpoll] {
        println!("{variant:?}");
        let mut server = variant.start(arguments);
        test(&mut server);
        assert!(server.is_running(), "the server has died");
        assert_eq!(server.client().run("PING").text(), "PONG", "a new client is served");
    }
}

fn long() -> usize {
    if std::env::var_os("POLDER_LONG").is_some() { 10 } else { 1 }
}

/// Polls until the condition holds; what the server does on its own has no reply to wait for.
fn eventually(what: &str, condition: impl Fn() -> bool) {
    let deadline = Instant::now() + CLOSE_TIMEOUT;
    while !condition() {
        assert!(Instant::now() < deadline, "{what}: not within {CLOSE_TIMEOUT:?}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn info(client: &mut Client, field: &str) -> i64 {
    let text = client.run("INFO").text();
    let line = text.lines().find_map(|line| line.strip_prefix(field).and_then(|rest| rest.strip_prefix(':')));
    line.and_then(|value| value.trim().parse().ok()).unwrap_or_else(|| panic!("INFO has no number {field}"))
}

fn protocol_error(text: &str) -> Reply {
    Reply::Error(format!("ERR Protocol error: {text}").into_bytes())
}

// The same bytes in other pieces.

struct Stream {
    bytes: Vec<u8>,
    /// It ends with a protocol error, so that the server closes.
    closes: bool,
}

/// A stream of commands whose replies do not depend on the time; the last may be a protocol error.
fn random_stream(random: &mut Random) -> Stream {
    let keys = ["a", "b", "c", "d", "{tag}e", "f"];
    let mut stream = Vec::new();
    for _ in 0..1 + random.below(40) {
        let key = *random.pick(&keys);
        let other = *random.pick(&keys);
        let value = match random.below(5) {
            0 => random.bytes(300),
            1 => vec![b'x'; random.below(20_000)],
            2 => b"\r\n$5\r\n*3\r\n".to_vec(),
            _ => random.below(100).to_string().into_bytes(),
        };
        let command: Vec<&[u8]> = match random.below(12) {
            0..3 => vec![b"SET", key.as_bytes(), &value],
            3 | 4 => vec![b"GET", key.as_bytes()],
            5 => vec![b"MGET", key.as_bytes(), other.as_bytes(), b"missing"],
            6 => vec![b"MSET", key.as_bytes(), &value, other.as_bytes(), b"1"],
            7 => vec![b"INCR", key.as_bytes()],
            8 => vec![b"APPEND", key.as_bytes(), b"\r\n"],
            9 => vec![b"ECHO", &value],
            10 => vec![b"DEL", key.as_bytes(), other.as_bytes()],
            _ => vec![b"FOO", key.as_bytes()],
        };
        match random.below(8) {
            0 => stream.extend_from_slice(format!("SET {key} inline\r\nGET {key}\n").as_bytes()),
            1 => stream.extend_from_slice(b"\r\n*0\r\n"),
            _ => stream.extend_from_slice(&encode(&command)),
        }
    }
    let closes = random.one_in(4);
    if closes {
        let broken: [&[u8]; 4] = [b"*x\r\n", b"*1\r\n$x\r\n", b"*1\r\nPING\r\n", b"SET \"a\r\n"];
        stream.extend_from_slice(broken[random.below(broken.len())]);
    }
    Stream { bytes: stream, closes }
}

/// All replies to the stream, sent in these pieces on a new connection to an empty store.
fn replies(server: &Server, stream: &Stream, cuts: &[usize]) -> Vec<Reply> {
    let Stream { bytes, closes } = stream;
    let mut client = server.client();
    client.run("FLUSHALL");
    let mut from = 0;
    for &to in cuts.iter().chain([&bytes.len()]) {
        if client.send(&bytes[from..to]).is_err() {
            break;
        }
        from = to;
        // Gives the server a chance to see this piece alone.
        std::thread::yield_now();
    }
    // The last command tells where the replies end. After a protocol error the server's end is enough:
    // bytes that it does not read could make its kernel throw away replies on their way.
    if !closes {
        client.send(&encode(&["ECHO", "the end"])).expect("the server reads");
    }
    let mut replies = Vec::new();
    loop {
        match client.read() {
            Ok(reply) if reply == Reply::bulk("the end") => return replies,
            Ok(reply) => replies.push(reply),
            Err(ReadError::Closed) => return replies,
            Err(error) => {
                panic!("{error:?} after {} replies to {} bytes, cut at {cuts:?}", replies.len(), bytes.len())
            }
        }
    }
}

fn assert_same(split: &[Reply], whole: &[Reply], how: &str) {
    let show = |reply: Option<&Reply>| {
        reply.map(|reply| reply.render().join(" ").chars().take(200).collect::<String>())
    };
    for index in 0..split.len().max(whole.len()) {
        let (one, other) = (split.get(index), whole.get(index));
        assert!(
            one == other,
            "{how}: reply {index} of {}: {:?} in pieces, {:?} ({} replies) as a whole",
            split.len(),
            show(one),
            show(other),
            whole.len()
        );
    }
}

#[test]
fn any_split_of_a_stream_has_the_same_replies() {
    let seed = seed("protocol", "any_split");
    each_server(&[], |server| {
        let mut random = Random::new(seed);
        for round in 0..60 * long() {
            let stream = random_stream(&mut random);
            let whole = replies(server, &stream, &[]);
            for _ in 0..4 {
                let mut cuts: Vec<usize> =
                    (0..1 + random.below(12)).map(|_| random.below(stream.bytes.len())).collect();
                cuts.sort_unstable();
                let split = replies(server, &stream, &cuts);
                assert_same(&split, &whole, &format!("round {round}, cut at {cuts:?}"));
            }
        }
    });
}

/// `printf 'SET k v\r\n' | nc -N`: what was sent before the end is answered.
#[test]
fn a_client_that_stops_sending_gets_its_replies() {
    each_server(&[], |server| {
        for round in 0..200 {
            let mut client = server.client();
            let stream = b"MSET a 1 b 2 c 3 d 4\r\nGET a\r\nGET b\r\nGET c\r\nGET d\r\nMGET a b c d\r\n";
            client.send(stream).expect("the server reads");
            client.shut_down_sending();
            let replies = client.read_to_close(CLOSE_TIMEOUT).expect("the server answers and closes");
            assert_eq!(replies.len(), 6, "round {round}: {replies:?}");
        }
    });
}

#[test]
fn one_byte_at_a_time() {
    let seed = seed("protocol", "one_byte");
    each_server(&[], |server| {
        let mut random = Random::new(seed);
        for _ in 0..8 {
            let stream = loop {
                let stream = random_stream(&mut random);
                if stream.bytes.len() < 4_000 {
                    break stream;
                }
            };
            let whole = replies(server, &stream, &[]);
            let cuts: Vec<usize> = (1..stream.bytes.len()).collect();
            assert_same(&replies(server, &stream, &cuts), &whole, "byte by byte");
        }
    });
}

#[test]
fn a_hundred_thousand_commands_in_one_pipeline() {
    each_server(&[], |server| {
        let mut stream = Vec::new();
        for number in 0..50_000 {
            stream.extend_from_slice(&encode(&["SET", &format!("key:{number}"), &number.to_string()]));
            stream.extend_from_slice(&encode(&["GET", &format!("key:{number}")]));
        }
        let port = server.port;
        let mut client = Client::connect(port).expect("the server listens");
        let mut sender = client.second();
        let sending = std::thread::spawn(move || sender.send(&stream).expect("the server reads"));
        for number in 0..50_000 {
            assert_eq!(client.read(), Ok(Reply::ok()), "SET {number}");
            assert_eq!(client.read(), Ok(Reply::bulk(number.to_string())), "GET {number}");
        }
        sending.join().expect("the sender ends");
        assert_eq!(client.run("DBSIZE"), Reply::Integer(50_000));
    });
}

// Bytes that mean nothing.

fn garbage(random: &mut Random) -> Vec<u8> {
    let length = random.below(3_000);
    match random.below(4) {
        0 => random.bytes(length),
        // Bytes that the protocol gives a meaning to.
        1 => (0..length).map(|_| *random.pick(b"*$\r\n0123456789-+: \"'PINGSET\x00\xff")).collect(),
        // A stream with some bytes changed.
        2 => {
            let mut stream = random_stream(random).bytes;
            for _ in 0..1 + random.below(5) {
                let at = random.below(stream.len());
                stream[at] = random.next() as u8;
            }
            stream
        }
        // A stream with a piece missing.
        _ => {
            let mut stream = random_stream(random).bytes;
            let at = random.below(stream.len());
            let end = (at + 1 + random.below(30)).min(stream.len());
            stream.drain(at..end);
            stream
        }
    }
}

#[test]
fn garbage_never_hangs_the_server() {
    let seed = seed("protocol", "garbage");
    each_server(&[], |server| {
        let mut random = Random::new(seed);
        let before = server.resident_bytes();
        for round in 0..400 * long() {
            let bytes = garbage(&mut random);
            // Words that happen to be commands must not end the server or pause it.
            let harmful: [&[u8]; 3] = [b"SHUTDOWN", b"PAUSE", b"DEBUG"];
            if harmful
                .iter()
                .any(|word| bytes.windows(word.len()).any(|window| window.eq_ignore_ascii_case(word)))
            {
                continue;
            }
            let mut client = server.client();
            // The server may close in the middle.
            let _ = client.send(&bytes);
            client.shut_down_sending();
            let outcome = client.read_to_close(CLOSE_TIMEOUT);
            assert_ne!(outcome.err(), Some(ReadError::TimedOut), "round {round} hangs");
            if round % 50 == 0 {
                assert_eq!(server.client().run("PING").text(), "PONG");
            }
        }
        let grown = server.resident_bytes().saturating_sub(before);
        assert!(grown < 64 * MEGABYTE, "garbage takes {grown} bytes of memory");
    });
}

#[test]
fn half_a_command_and_then_nothing() {
    let command = encode(&["MSET", "a", "1", "b", "\r\n2", "c", "3"]);
    each_server(&[], |server| {
        for cut in 0..command.len() {
            let mut client = server.client();
            client.send(&command[..cut]).expect("the server reads");
        }
        let watcher = std::cell::RefCell::new(server.client());
        eventually("the clients are gone", || info(&mut watcher.borrow_mut(), "connected_clients") == 1);
        assert_eq!(watcher.borrow_mut().run("DBSIZE"), Reply::Integer(0), "half a command does nothing");
    });
}

// Too much of something.

#[test]
fn sizes_beyond_the_limits() {
    let cases: [(Vec<u8>, &str); 7] = [
        (b"*1\r\n$536870913\r\n".to_vec(), "invalid bulk length"),
        (b"*2\r\n$3\r\nGET\r\n$-1\r\n".to_vec(), "invalid bulk length"),
        (b"*2147483648\r\n".to_vec(), "invalid multibulk length"),
        (vec![b'a'; 70_000], "too big inline request"),
        ([b"*".as_slice(), &[b'1'; 70_000]].concat(), "too big mbulk count string"),
        ([b"*1\r\n$".as_slice(), &[b'1'; 70_000]].concat(), "too big bulk count string"),
        (b"*1\r\n@4\r\n".to_vec(), "expected '$', got '@'"),
    ];
    each_server(&[], |server| {
        for (bytes, expected) in &cases {
            let mut client = server.client();
            let _ = client.send(bytes);
            assert_eq!(client.read(), Ok(protocol_error(expected)));
            assert_eq!(client.read(), Err(ReadError::Closed), "{expected}: the connection closes");
        }
    });
}

#[test]
fn the_size_of_a_bulk_can_be_limited() {
    each_server(&["--proto-max-bulk-len", "1mb"], |server| {
        let mut client = server.client();
        let full = vec![b'x'; 1 << 20];
        assert_eq!(client.command(&[b"SET".as_slice(), b"k", &full]), Reply::ok());
        assert_eq!(
            client.run("APPEND k y").text(),
            "ERR string exceeds maximum allowed size (proto-max-bulk-len)"
        );
        assert_eq!(
            client.run("SETRANGE k 1048576 y").text(),
            "ERR string exceeds maximum allowed size (proto-max-bulk-len)"
        );
        assert_eq!(client.run("STRLEN k"), Reply::Integer(1 << 20));
        client.send(b"*2\r\n$3\r\nGET\r\n$1048577\r\n").expect("the server reads");
        assert_eq!(client.read(), Ok(protocol_error("invalid bulk length")));
    });
}

/// Big arguments move to the shards of their keys, each with its own key, whatever the way of the command.
#[test]
fn big_values_of_a_command_on_several_shards() {
    each_server(&[], |server| {
        let mut client = server.client();
        let value =
            |round: usize, key: &str| format!("{round}{key}").repeat(60_000 + 1_000 * round).into_bytes();
        let keys = ["a", "b", "{a}2", "c", "d", "{b}2"];
        for round in 0..3 {
            let mut words = vec![b"MSET".to_vec()];
            keys.iter().for_each(|key| words.extend([key.as_bytes().to_vec(), value(round, key)]));
            words.extend([b"small".to_vec(), b"x".to_vec()]);
            let mset = encode(&words);
            let bytes = match round {
                0 => mset,
                1 => [encode(&["MULTI"]), mset, encode(&["EXEC"])].concat(),
                _ => [encode(&["GET", "small"]), mset, encode(&["GET", "small"])].concat(),
            };
            client.send(&bytes).expect("the server reads");
            let replies: Vec<Reply> =
                (0..[1, 3, 3][round]).map(|_| client.read().expect("a reply")).collect();
            let expected = [Reply::ok(), Reply::Array(vec![Reply::ok()]), Reply::bulk("x")];
            assert_eq!(replies.last(), Some(&expected[round]));
            for key in keys {
                assert!(
                    client.run(&format!("GET {key}")) == Reply::Bulk(value(round, key)),
                    "{round}: {key}"
                );
            }
        }
    });
}

/// A length of more than 32 bits was once cut to its lower half, and what came behind it read as commands.
#[test]
fn no_bulk_has_two_gigabytes() {
    let server = Server::polder(2, &["--proto-max-bulk-len", "100gb"]);
    for length in ["4294967300", "2147483648"] {
        let mut client = server.client();
        client.send(format!("*2\r\n$3\r\nGET\r\n${length}\r\nabcd\r\n").as_bytes()).expect("it reads");
        assert_eq!(client.read(), Ok(protocol_error("invalid bulk length")), "{length}");
    }
}

/// What a client announces costs nothing before it comes.
#[test]
fn announced_sizes_take_no_memory() {
    each_server(&[], |server| {
        let before = server.resident_bytes();
        let mut clients = Vec::new();
        for _ in 0..100 {
            let mut client = server.client();
            client.send(b"*1000000\r\n$3\r\nDEL\r\n$500000000\r\nabc").expect("the server reads");
            clients.push(client);
        }
        let watcher = std::cell::RefCell::new(server.client());
        eventually("all are connected", || info(&mut watcher.borrow_mut(), "connected_clients") == 101);
        let grown = server.resident_bytes().saturating_sub(before);
        assert!(grown < 100 * MEGABYTE, "100 announcements take {grown} bytes");
    });
}

#[test]
fn a_million_arguments() {
    each_server(&[], |server| {
        let mut client = server.client();
        client.run("MSET a 1 b 2 c 3 d 4");
        let mut words = vec!["EXISTS"];
        words.extend(["a", "b", "c", "d", "missing"].iter().cycle().take(1_000_000 - 1));
        assert_eq!(client.command(&words), Reply::Integer(800_000));
        let all = client.command(&[&["MGET"], &words[1..100_001]].concat());
        assert_eq!(all.items().len(), 100_000);
        assert_eq!(all.items()[99_998], Reply::bulk("4"));
    });
}

#[test]
fn big_values_come_back_as_they_went() {
    let seed = seed("protocol", "big_values");
    let value = Random::new(seed).bytes(64 << 20);
    each_server(&[], |server| {
        let mut client = server.client();
        for key in ["a", "b"] {
            assert_eq!(client.command(&[b"SET".as_slice(), key.as_bytes(), &value]), Reply::ok());
            assert_eq!(client.run(&format!("STRLEN {key}")), Reply::Integer(value.len() as i64));
            let Reply::Bulk(back) = client.run(&format!("GET {key}")) else { panic!("a value") };
            assert!(back == value, "GET {key} returns other bytes");
        }
        let Reply::Bulk(part) = client.run("GETRANGE a 1000000 9000000") else { panic!("a value") };
        assert!(part == value[1_000_000..=9_000_000]);
        let both = client.run("MGET a b");
        assert!(both.items().iter().all(|item| matches!(item, Reply::Bulk(back) if *back == value)));
        assert_eq!(client.run("DEL a b"), Reply::Integer(2));
        // A pipeline of values that do not fit into any buffer together.
        for _ in 0..20 {
            client.send(&encode(&[b"SET".as_slice(), b"c", &value[..3 << 20]])).expect("the server reads");
        }
        for _ in 0..20 {
            assert_eq!(client.read(), Ok(Reply::ok()));
        }
    });
}

#[test]
fn a_query_buffer_has_its_limit() {
    each_server(&["--client-query-buffer-limit", "1mb"], |server| {
        let mut client = server.client();
        let _ = client.send(&encode(&[b"SET".as_slice(), b"k", &vec![b'x'; 3 << 20]]));
        let outcome = client.read();
        assert_eq!(outcome, Err(ReadError::Closed), "the connection closes without a word");
        assert_eq!(server.client().run("EXISTS k"), Reply::Integer(0));
    });
}

/// Commands that wait for EXEC are input that has not run.
#[test]
fn a_queue_of_commands_has_its_limit() {
    each_server(&["--client-query-buffer-limit", "1mb"], |server| {
        let mut client = server.client();
        assert_eq!(client.run("MULTI"), Reply::ok());
        let command = encode(&[b"SET".as_slice(), b"k", &vec![b'x'; 600_000]]);
        client.send(&command).expect("the server reads");
        assert_eq!(client.read().expect("a reply").text(), "QUEUED");
        let _ = client.send(&command);
        assert_eq!(client.read(), Err(ReadError::Closed));
        assert_eq!(server.client().run("EXISTS k"), Reply::Integer(0));
    });
}

// Clients that are slow, idle, or too many.

/// A client that asks and does not read is closed when its replies pass the limit.
#[test]
fn a_slow_reader_is_closed() {
    for limit in ["normal 8mb 0 0", "normal 0 2mb 1"] {
        each_server(&["--client-output-buffer-limit", limit], |server| {
            let mut other = server.client();
            let value = vec![b'x'; 1 << 20];
            assert_eq!(other.command(&[b"SET".as_slice(), b"k", &value]), Reply::ok());
            let before = server.resident_bytes();
            let mut slow = server.client();
            slow.send(&b"GET k\r\n".repeat(300)).expect("the server reads");
            let watcher = std::cell::RefCell::new(server.client());
            eventually("the slow client is closed", || {
                info(&mut watcher.borrow_mut(), "connected_clients") == 2
            });
            let grown = server.resident_bytes().saturating_sub(before);
            // The soft limit lets all 300 MB of replies collect for its second, and buffers are freed lazily.
            assert!(grown < 600 * MEGABYTE, "{limit}: {grown} bytes");
            assert_eq!(other.run("PING").text(), "PONG");
            // What the sockets hold may still come, then the end.
            let received = slow.read_to_close(CLOSE_TIMEOUT).expect("it is closed");
            assert!(received.len() < 300, "{limit}: all replies came");
        });
    }
}

/// A slow reader within its limit gets everything.
#[test]
fn a_slow_reader_gets_everything() {
    each_server(&[], |server| {
        let mut client = server.client();
        let value = vec![b'x'; 1 << 20];
        assert_eq!(client.command(&[b"SET".as_slice(), b"k", &value]), Reply::ok());
        client.send(&b"GET k\r\n".repeat(100)).expect("the server reads");
        assert_eq!(server.client().run("PING").text(), "PONG", "others are served meanwhile");
        for _ in 0..100 {
            assert!(matches!(client.read(), Ok(Reply::Bulk(back)) if back == value));
        }
    });
}

#[test]
fn too_many_clients() {
    each_server(&["--maxclients", "20"], |server| {
        let mut clients: Vec<Client> = Vec::new();
        for number in 0..20 {
            let mut client = server.client();
            assert_eq!(client.run("PING").text(), "PONG", "client {number}");
            clients.push(client);
        }
        for _ in 0..5 {
            let mut refused = server.client();
            let expected = Reply::Error(b"ERR max number of clients reached".to_vec());
            assert_eq!(refused.read(), Ok(expected));
            assert_eq!(refused.read(), Err(ReadError::Closed));
        }
        assert_eq!(info(&mut clients[0], "rejected_connections"), 5);
        assert_eq!(info(&mut clients[0], "connected_clients"), 20);
        clients.truncate(15);
        let one = std::cell::RefCell::new(clients.remove(0));
        eventually("places are free", || info(&mut one.borrow_mut(), "connected_clients") == 15);
        assert_eq!(server.client().run("PING").text(), "PONG");
        drop(clients);
        eventually("places are free", || info(&mut one.borrow_mut(), "connected_clients") < 5);
    });
}

#[test]
fn idle_clients_are_closed_after_the_timeout() {
    each_server(&["--timeout", "1"], |server| {
        let mut idle = server.client();
        let mut busy = server.client();
        assert_eq!(idle.run("PING").text(), "PONG");
        let started = Instant::now();
        loop {
            assert_eq!(busy.run("PING").text(), "PONG", "a busy client stays");
            match idle.read_within(Duration::from_millis(100)) {
                Err(ReadError::Closed) => break,
                Err(ReadError::TimedOut) => {
                    assert!(started.elapsed() < Duration::from_secs(10), "it stays open")
                }
                other => panic!("{other:?}"),
            }
        }
        assert!(started.elapsed() > Duration::from_millis(900), "closed after {:?}", started.elapsed());
    });
}

/// Closes without the farewell: the peer sees a reset.
fn reset(stream: TcpStream) {
    let linger = libc::linger { l_onoff: 1, l_linger: 0 };
    // SAFETY: the descriptor is open for as long as `stream` lives, and the option is a struct of the
    // size that is given.
    let result = unsafe {
        libc::setsockopt(
            stream.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_LINGER,
            std::ptr::from_ref(&linger).cast(),
            size_of::<libc::linger>() as libc::socklen_t,
        )
    };
    assert_eq!(result, 0);
}

#[test]
fn connect_and_disconnect() {
    use std::io::Write;
    each_server(&[], |server| {
        let port = server.port;
        let descriptors = |id: u32| std::fs::read_dir(format!("/proc/{id}/fd")).map_or(0, Iterator::count);
        let process = server.process_id();
        let before = (server.resident_bytes(), descriptors(process));
        let cycles = 5_000 * long();
        let worker = move |kind: usize| {
            for number in 0..cycles {
                let mut stream = TcpStream::connect(("127.0.0.1", port)).expect("the server listens");
                match (number + kind) % 4 {
                    0 => drop(stream),
                    1 => reset(stream),
                    2 => {
                        stream.write_all(b"PING\r\n").expect("a fresh socket takes six bytes");
                        reset(stream);
                    }
                    _ => stream.write_all(b"*2\r\n$4\r\nECHO\r\n$5\r\nab").expect("a fresh socket takes it"),
                }
            }
        };
        let workers: Vec<_> = (0..2).map(|kind| std::thread::spawn(move || worker(kind))).collect();
        for worker in workers {
            worker.join().expect("every connect succeeds");
        }
        let watcher = std::cell::RefCell::new(server.client());
        eventually("all are gone", || info(&mut watcher.borrow_mut(), "connected_clients") == 1);
        let total = info(&mut watcher.borrow_mut(), "total_connections_received");
        // Those that were reset may be gone before they are accepted.
        assert!(total >= cycles as i64, "{total} connections were counted");
        let after = (server.resident_bytes(), descriptors(process));
        assert!(after.0 < before.0 + 32 * MEGABYTE, "memory grows: {before:?} {after:?}");
        // The other cores may still have been starting at the first count.
        assert!(after.1 <= before.1 + 16, "descriptors leak: {before:?} {after:?}");
    });
}

/// As many descriptors as this process may have; servers inherit it. Returns their number.
fn raise_descriptor_limit() -> u64 {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: both calls get a valid structure of the right type.
    unsafe {
        libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit);
        limit.rlim_cur = limit.rlim_max.min(20_000);
        libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit);
    }
    limit.rlim_cur
}

#[test]
fn idle_connections_cost_little() {
    let count = (raise_descriptor_limit() / 4).min(4_000) as usize;
    each_server(&[], |server| {
        let mut clients = Vec::new();
        let connect = |clients: &mut Vec<Client>, count: usize| {
            for _ in 0..count {
                let mut client = server.client();
                assert_eq!(client.run("GET k"), Reply::NullBulk);
                clients.push(client);
            }
        };
        // The first ones pay for buffers and tables that all share.
        connect(&mut clients, count / 4);
        let before = server.resident_bytes();
        connect(&mut clients, count);
        let each = server.resident_bytes().saturating_sub(before) / count as u64;
        println!("{each} bytes of resident memory per idle connection, {count} connections");
        // The goal is 1 KiB for 10,000; pages and tables that double make it coarser here.
        assert!(each < 2 * 1024, "{each} bytes per idle connection");
    });
}

/// After a pause the first burst is answered at once: nobody sleeps through a wake-up.
#[test]
fn bursts_after_idle_gaps_are_answered_at_once() {
    let seed = seed("protocol", "bursts_after_idle_gaps");
    each_server(&[], |server| {
        let mut random = Random::new(seed);
        let mut clients: Vec<Client> = (0..4).map(|_| server.client()).collect();
        let mut worst = Duration::ZERO;
        let mut late = 0;
        for _ in 0..120 * long() {
            let gap = Duration::from_micros(1_000 << random.below(8));
            std::thread::sleep(gap);
            let started = Instant::now();
            for client in &mut clients {
                client.send(b"MSET a 1 b 2 c 3 d 4\r\nMGET a b c d\r\n").expect("the server reads");
            }
            for client in &mut clients {
                assert_eq!(client.read(), Ok(Reply::ok()));
                assert_eq!(client.read().map(|reply| reply.items().len()), Ok(4));
            }
            worst = worst.max(started.elapsed());
            late += usize::from(started.elapsed() > Duration::from_millis(80));
        }
        println!("slowest burst: {worst:?}, {late} late");
        // A lost wake-up shows as 100 ms and more. A busy machine may do that once, a server does it again.
        assert!(late <= 2 * long(), "{late} bursts are late, the slowest took {worst:?}");
    });
}
