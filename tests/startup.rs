//! How the server starts and how it ends: configuration files and their errors, ports and sockets
//! that are taken, the log lines that tools wait for, signals, SHUTDOWN, pidfile and daemonize.

mod support;

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;
use std::time::Duration;

use support::client::{Client, ReadError, Reply};
use support::server::{Process, Server, free_port, send_signal};

/// The arguments that every start has: no file is written, one core suffices.
const BASE: [&str; 4] = ["--save", "", "--shards", "1"];

fn start(arguments: &[&str]) -> Process {
    Process::start(&[&BASE, arguments].concat(), &[], "")
}

fn assert_refused(mut process: Process, texts: &[&str]) {
    let code = process.exit_code();
    let output = process.output();
    assert_eq!(code, Some(1), "exit code; output:\n{output}");
    assert_contains(&output, texts);
    assert!(!output.contains("panicked"), "a panic is no message:\n{output}");
}

fn assert_contains(output: &str, texts: &[&str]) {
    for text in texts {
        assert!(output.contains(text), "expected '{text}' in:\n{output}");
    }
}

#[test]
fn an_error_in_the_configuration_file_names_its_line() {
    let cases: [(&str, &[&str]); 7] = [
        (
            "# one\ntimeout 0\nmaxmemory abc\n",
            &["at line 3", ">>> 'maxmemory abc'", "argument must be a memory value"],
        ),
        (
            "# one\n\nno-such-directive yes\n",
            &["at line 3", ">>> 'no-such-directive yes'", "Bad directive or wrong number of arguments"],
        ),
        ("timeout 0\n\ntimeout 1 2\n", &["at line 3", ">>> 'timeout 1 2'"]),
        ("\n\nappendonly maybe\n", &["at line 3", "argument must be 'yes' or 'no'"]),
        (
            "\n\nmaxmemory-policy some\n",
            &["at line 3", "argument(s) must be one of the following: volatile-lru"],
        ),
        ("\n\ntimeout -1\n", &["at line 3", "argument must be between 0 and 2147483647 inclusive"]),
        ("\n\nrequirepass \"abc\n", &["at line 3", "Unbalanced quotes in configuration line"]),
    ];
    for (text, expected) in cases {
        let port = free_port().to_string();
        let process = Process::start(&["bad.conf", "--port", &port], &[("bad.conf", text)], "");
        assert_refused(process, &[&["*** FATAL CONFIG FILE ERROR"], expected].concat());
    }
}

#[test]
fn an_error_in_the_arguments_is_an_error_of_the_configuration() {
    for arguments in [["--no-such-directive", "1"], ["--maxmemory", "abc"], ["--port", "99999"]] {
        let process = Process::start(&arguments, &[], "");
        assert_refused(process, &["*** FATAL CONFIG FILE ERROR", arguments[1]]);
    }
}

#[test]
fn a_configuration_file_that_is_missing() {
    assert_refused(
        Process::start(&["nowhere.conf"], &[], ""),
        &["nowhere.conf", "No such file or directory"],
    );
    let include = [("main.conf", "include nowhere.conf\n")];
    assert_refused(Process::start(&["main.conf"], &include, ""), &["nowhere.conf"]);
}

/// Quotes, units, includes, comments, old names, repeated directives, arguments that win.
#[test]
fn the_grammar_of_the_configuration_file() {
    let port = free_port().to_string();
    let main = "# a comment\n  maxmemory   256mb  \nrequirepass \"pass word\\x21\"\n\nmaxmemory-policy 'allkeys-lru'\n\
        save 900 1\nsave 300 10\nHash-Max-Ziplist-Entries 77\ntimeout 3\n\
        client-output-buffer-limit normal 1mb 1kb 7\nrename-command LOLWUT \"\"\ninclude other.conf\n";
    let files = [("main.conf", main), ("other.conf", "maxclients 123\n")];
    let mut process =
        Process::start(&["main.conf", "--shards", "1", "--port", &port, "--timeout", "9"], &files, "");
    let mut client = process.wait_until_ready(port.parse().expect("a port"));
    assert!(client.run("GET k").text().starts_with("NOAUTH"));
    assert_eq!(client.command(&["AUTH", "pass word!"]), Reply::ok());
    let expected = [
        ("maxmemory", "268435456"),
        ("maxmemory-policy", "allkeys-lru"),
        ("maxclients", "123"),
        ("save", "900 1 300 10"),
        ("hash-max-listpack-entries", "77"),
        ("timeout", "9"),
        (
            "client-output-buffer-limit",
            "normal 1048576 1024 7 slave 268435456 67108864 60 pubsub 33554432 8388608 60",
        ),
    ];
    for (name, value) in expected {
        let reply = client.command(&["CONFIG", "GET", name]);
        assert_eq!(reply, Reply::Array(vec![Reply::bulk(name), Reply::bulk(value)]));
    }
    assert_eq!(client.run("SHUTDOWN NOSAVE FOO").text(), "ERR syntax error");
}

#[test]
fn the_configuration_may_come_from_standard_input() {
    let port = free_port().to_string();
    let text = format!("port {port}\nmaxmemory 5mb\nsave \"\"\n");
    let mut process = Process::start(&["-", "--shards", "1"], &[], &text);
    let mut client = process.wait_until_ready(port.parse().expect("a port"));
    assert_eq!(client.run("CONFIG GET maxmemory").items()[1], Reply::bulk("5242880"));
    assert_refused(Process::start(&["-"], &[], "\n\nmaxmemory abc\n"), &["at line 3"]);
}

#[test]
fn config_rewrite_keeps_comments_and_writes_what_changed() {
    let port = free_port().to_string();
    let text = format!("# my server\nport {port}\n\n# patience\ntimeout 10\nmaxclients 321\nsave \"\"\n");
    let mut process = Process::start(&["my.conf", "--shards", "1"], &[("my.conf", &text)], "");
    let mut client = process.wait_until_ready(port.parse().expect("a port"));
    assert_eq!(client.run("CONFIG SET maxmemory 100mb timeout 20"), Reply::ok());
    assert_eq!(client.run("CONFIG REWRITE"), Reply::ok());
    let rewritten = process.file("my.conf");
    assert_contains(
        &rewritten,
        &["# my server\n", "# patience\ntimeout 20\n", "maxclients 321\n", "maxmemory 100mb"],
    );
    assert!(!rewritten.contains("timeout 10"), "{rewritten}");

    // The next start reads it back.
    process.signal(libc::SIGTERM);
    assert_eq!(process.exit_code(), Some(0));
    let mut process = Process::start(&["my.conf", "--shards", "1"], &[("my.conf", &rewritten)], "");
    let mut client = process.wait_until_ready(port.parse().expect("a port"));
    assert_eq!(client.run("CONFIG GET maxmemory").items()[1], Reply::bulk("104857600"));
    assert_eq!(client.run("CONFIG GET timeout").items()[1], Reply::bulk("20"));
}

#[test]
fn a_port_in_use() {
    let port = free_port();
    let _taken = TcpListener::bind(("127.0.0.1", port)).expect("the port is free");
    let text = port.to_string();
    let expected = format!("Failed listening on port {port}");
    assert_refused(start(&["--bind", "127.0.0.1", "--port", &text]), &[&expected]);
}

/// Cores share a port among themselves, which must not let a second server in.
#[test]
fn a_port_that_another_server_listens_on() {
    for shards in [1, 4] {
        let server = Server::polder(shards, &[]);
        let text = server.port.to_string();
        let expected = format!("Failed listening on port {}", server.port);
        assert_refused(start(&["--bind", "127.0.0.1", "--port", &text]), &[&expected]);
        assert_eq!(server.client().run("PING").text(), "PONG");
    }
}

#[test]
fn a_unix_socket() {
    let mut process = start(&["--port", "0", "--unixsocket", "polder.sock", "--unixsocketperm", "700"]);
    let path = process.directory.join("polder.sock");
    let mut client = process.wait_for_client(|| Client::connect_unix(&path));
    assert_eq!(client.run("SET k v"), Reply::ok());
    assert_contains(&client.run("CLIENT INFO").text(), &["polder.sock:0 ", "flags=U"]);
    let mode = fs::metadata(&path).expect("the socket is a file").permissions().mode();
    assert_eq!(mode & 0o777, 0o700);
    process.signal(libc::SIGTERM);
    assert_eq!(process.exit_code(), Some(0));
    assert!(!path.exists(), "the socket is removed at the end");
}

/// A socket that a killed server left behind is replaced; what is no socket is an error.
#[test]
fn a_unix_socket_path_that_exists() {
    let directory = support::server::new_directory("socket");
    let stale = directory.join("stale.sock");
    drop(UnixListener::bind(&stale).expect("a new socket"));
    assert!(stale.exists());
    let mut process = start(&["--port", "0", "--unixsocket", &stale.to_string_lossy()]);
    let mut client = process.wait_for_client(|| Client::connect_unix(&stale));
    assert_eq!(client.run("PING").text(), "PONG");

    let occupied = directory.join("directory");
    fs::create_dir(&occupied).expect("a new directory");
    let refused = start(&["--port", "0", "--unixsocket", &occupied.to_string_lossy()]);
    assert_refused(refused, &["ailed opening Unix socket"]);
}

#[test]
fn help_and_version() {
    let mut help = Process::start(&["--help"], &[], "");
    help.exit_code();
    assert_contains(&help.output(), &["Usage:"]);
    for argument in ["--version", "-v"] {
        let mut version = Process::start(&[argument], &[], "");
        assert_eq!(version.exit_code(), Some(0));
        // What tools read from redis-server's answer.
        assert_contains(&version.output(), &["v=7."]);
    }
}

#[test]
fn log_lines_that_tools_wait_for() {
    let port = free_port();
    let mut process = start(&["--port", &port.to_string()]);
    process.wait_until_ready(port);
    let process_id = format!("{}:M ", process.process_id());
    let log = process.output_with("", &["Server initialized", "Ready to accept connections", &process_id]);
    // 12345:M 20 Nov 2026 17:44:31.123 * text
    let line = log.lines().find(|line| line.contains("Ready to accept")).expect("it is there");
    let fields: Vec<&str> = line.split(' ').collect();
    assert!(fields[4].len() == 12 && fields[4].as_bytes()[8] == b'.', "{line}");
    assert!(["*", "#", "-", "."].contains(&fields[5]), "{line}");
}

/// A start without arguments shows the process id in the form that tools look for.
#[test]
fn the_log_names_the_process_id() {
    let port = free_port();
    let mut process = start(&["--port", &port.to_string(), "--always-show-logo", "yes"]);
    process.wait_until_ready(port);
    process.output_with("", &[&format!(" PID: {}", process.process_id())]);
}

#[test]
fn the_log_may_go_to_a_file() {
    let port = free_port();
    let mut process = start(&["--port", &port.to_string(), "--logfile", "server.log"]);
    process.wait_until_ready(port);
    process.output_with("server.log", &["Ready to accept connections"]);
    assert!(!process.output().contains("Ready to accept"));
    let refused = start(&["--logfile", "no/such/directory/server.log"]);
    assert_refused(refused, &["Can't open the log file"]);
}

#[test]
fn a_level_keeps_lines_out_of_the_log() {
    let port = free_port();
    let mut process = start(&["--port", &port.to_string(), "--loglevel", "warning"]);
    process.wait_until_ready(port);
    assert!(!process.output().contains("Ready to accept connections"), "{}", process.output());
}

#[test]
fn signals_end_the_server_cleanly() {
    for (signal, name) in [(libc::SIGTERM, "SIGTERM"), (libc::SIGINT, "SIGINT")] {
        let port = free_port();
        let mut process = start(&["--port", &port.to_string(), "--pidfile", "server.pid"]);
        let mut client = process.wait_until_ready(port);
        assert_eq!(client.run("SET k v"), Reply::ok());
        assert_eq!(process.file("server.pid").trim(), process.process_id().to_string());
        process.signal(signal);
        assert_eq!(process.exit_code(), Some(0), "{}", process.output());
        assert_contains(&process.output(), &[name, "bye bye"]);
        assert_eq!(client.read(), Err(ReadError::Closed));
        assert!(!process.directory.join("server.pid").exists(), "the pidfile is removed");
    }
}

#[test]
fn signals_end_a_busy_server_of_several_cores() {
    let mut server = Server::polder(4, &[]);
    let mut client = server.client();
    let mut burst = Vec::new();
    for number in 0..10_000 {
        burst.extend_from_slice(format!("SET key:{number} value\r\n").as_bytes());
    }
    client.send(&burst).expect("the server reads");
    server.signal(libc::SIGTERM);
    let status = server.wait(Duration::from_secs(20)).expect("it ends");
    assert_eq!(status.code(), Some(0), "{}", server.log());
}

#[test]
fn shutdown_ends_it_in_every_form() {
    for form in ["SHUTDOWN", "SHUTDOWN NOSAVE", "shutdown now", "SHUTDOWN FORCE", "SHUTDOWN NOSAVE NOW FORCE"]
    {
        let mut server = Server::polder(2, &[]);
        let mut other = server.client();
        assert_eq!(other.run("PING").text(), "PONG");
        let mut client = server.client();
        client.send(format!("{form}\r\n").as_bytes()).expect("the server reads");
        assert_eq!(client.read(), Err(ReadError::Closed), "{form} has no reply");
        let status = server.wait(Duration::from_secs(20)).expect("it ends");
        assert_eq!(status.code(), Some(0), "{form}: {}", server.log());
        assert_eq!(other.read(), Err(ReadError::Closed));
    }
}

#[test]
fn shutdown_refuses_what_it_does_not_know() {
    let server = Server::polder(1, &[]);
    let mut client = server.client();
    let cases = [
        ("SHUTDOWN FOO", "ERR syntax error"),
        ("SHUTDOWN SAVE NOSAVE", "ERR syntax error"),
        ("SHUTDOWN NOSAVE SAVE", "ERR syntax error"),
        ("SHUTDOWN ABORT NOW", "ERR syntax error"),
        ("SHUTDOWN NOW ABORT", "ERR syntax error"),
        ("SHUTDOWN ABORT", "ERR No shutdown in progress."),
    ];
    for (form, expected) in cases {
        assert_eq!(client.run(form), Reply::Error(expected.as_bytes().to_vec()), "{form}");
    }
    assert_eq!(client.run("PING").text(), "PONG");
}

#[test]
fn daemonize_leaves_the_terminal() {
    let port = free_port();
    let arguments =
        ["--port", &port.to_string(), "--daemonize", "yes", "--pidfile", "d.pid", "--logfile", "d.log"];
    let mut process = start(&arguments);
    assert_eq!(process.exit_code(), Some(0), "the parent ends: {}", process.output());
    let mut client = process.wait_for_client(|| Client::connect(port));
    assert_eq!(client.run("PING").text(), "PONG");
    let daemon: u32 = process.file("d.pid").trim().parse().expect("the pidfile has a number");
    assert_ne!(daemon, process.process_id());
    process.output_with("d.log", &["Ready to accept connections"]);
    send_signal(daemon, libc::SIGTERM);
    let ended = client.read();
    if ended != Err(ReadError::Closed) {
        // Nobody else would end it.
        send_signal(daemon, libc::SIGKILL);
    }
    assert_eq!(ended, Err(ReadError::Closed));
}

#[test]
fn ipv6_and_several_addresses() {
    if TcpListener::bind(("::1", 0)).is_err() {
        println!("this machine has no IPv6: skipped");
        return;
    }
    let port = free_port();
    let mut process = start(&["--port", &port.to_string(), "--bind", "127.0.0.1 ::1"]);
    process.wait_until_ready(port);
    assert!(std::net::TcpStream::connect(("::1", port)).is_ok());
    // An address that may be missing.
    let port = free_port();
    let mut process = start(&["--port", &port.to_string(), "--bind", "127.0.0.1 -203.0.113.7"]);
    process.wait_until_ready(port);
    let refused = start(&["--port", &free_port().to_string(), "--bind", "203.0.113.7"]);
    assert_refused(refused, &["Failed listening on port"]);
}

/// Without a password, and open to the network, only this machine is served.
#[test]
fn protected_mode() {
    let socket = std::net::UdpSocket::bind("0.0.0.0:0").expect("any port");
    let address = socket.connect("192.0.2.1:9").and_then(|()| socket.local_addr());
    let Ok(address) = address else {
        println!("this machine has no network: skipped");
        return;
    };
    let port = free_port();
    let mut process = start(&["--port", &port.to_string(), "--bind", "0.0.0.0"]);
    let mut local = process.wait_until_ready(port);
    assert_eq!(local.run("PING").text(), "PONG");
    let mut remote = Client::connect_to((address.ip(), port).into()).expect("it listens everywhere");
    let _ = remote.send(b"PING\r\n");
    let refused = remote.read().expect("a word before the connection closes");
    assert!(refused.text().starts_with("DENIED Redis is running in protected mode because"), "{refused:?}");
    assert_eq!(remote.read(), Err(ReadError::Closed));
    assert_eq!(local.run("CONFIG SET protected-mode no"), Reply::ok());
    let mut remote = Client::connect_to((address.ip(), port).into()).expect("it listens everywhere");
    assert_eq!(remote.run("PING").text(), "PONG");
}
