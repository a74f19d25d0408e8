//! Compares the configuration with a real redis-server's: the defaults, what CONFIG SET makes of many
//! values, and the text of the refusal for many faulty lines. Without a redis-server there is nothing to
//! compare with and the tests say so.

use polder::config::{Change, Config, DIRECTIVES, Launch, StartError, load, rewrite, write_atomically};
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Names that only one of the two knows, or shows with another default, and why.
const DIFFERENT_DEFAULTS: &[(&str, &str)] = &[
    ("shards", "our own"),
    ("cpus", "our own"),
    ("engine", "our own"),
    ("core-cluster", "our own"),
    ("core-port-base", "our own"),
    ("pipeline-order", "our own"),
    ("set-max-listpack-entries", "since Redis 7.2"),
    ("set-max-listpack-value", "since Redis 7.2"),
    ("locale-collate", "since Redis 7.2"),
    ("cluster-announce-human-nodename", "since Redis 7.2"),
    ("max-new-connections-per-cycle", "since Redis 7.4, taken so that newer files load"),
    ("max-new-tls-connections-per-cycle", "since Redis 7.4, taken so that newer files load"),
    ("server-cpulist", "the spelling since Redis 7.4, taken so that newer files load"),
    ("bio-cpulist", "the spelling since Redis 7.4, taken so that newer files load"),
    ("aof-rewrite-cpulist", "the spelling since Redis 7.4, taken so that newer files load"),
    ("bgsave-cpulist", "the spelling since Redis 7.4, taken so that newer files load"),
    ("port", "set by the test"),
    ("logfile", "set by the test"),
    ("dir", "shown as the working directory, which the server fills in when it starts"),
];

/// Directives that CONFIG SET is not tried with, and why.
const NOT_SET: &[(&str, &str)] = &[
    ("port", "moves the server away"),
    ("bind", "moves the server away"),
    ("tls-port", "needs certificates"),
    ("maxclients", "depends on the limit of open files"),
    ("requirepass", "locks the test out"),
    ("activedefrag", "depends on how Redis was built"),
    ("appendonly", "starts a rewrite"),
    ("bind-source-addr", "is a plain text, and long replies to it differ by build"),
    ("loglevel", "has one level more since Redis 7.2, so the list in the refusal differs"),
];

/// Pairs of a directive and a value on which the two differ on purpose, and why.
const DIFFERENT_SETS: &[(&str, &str, &str)] = &[
    ("oom-score-adj", "relative", "Redis shows it as yes, which means the same"),
    ("oom-score-adj-values", " 900 1", "Redis reads the empty word before the space as 0"),
    ("maxmemory-clients", "9223372036854775808", "Redis keeps percentages as negative numbers and overflows"),
    ("notify-keyspace-events", "KEg$lshzxetdmn", "Redis 7.0 forgets the n when it shows all classes"),
];

struct Reference {
    child: Child,
    stream: BufReader<TcpStream>,
    directory: PathBuf,
}

impl Reference {
    fn start(name: &str) -> Option<Self> {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let directory = directory(name);
        let child = Command::new("redis-server")
            .args(["--port", &port.to_string(), "--logfile", "log", "--dir"])
            .arg(&directory)
            .stdout(Stdio::null())
            .spawn();
        Self::connect(child, port, directory)
    }

    fn start_with_file(path: &Path, port: u16, directory: PathBuf) -> Option<Self> {
        let child = Command::new("redis-server").arg(path).stdout(Stdio::null()).spawn();
        Self::connect(child, port, directory)
    }

    fn connect(child: std::io::Result<Child>, port: u16, directory: PathBuf) -> Option<Self> {
        let Ok(child) = child else {
            eprintln!("redis-server is not installed: nothing to compare with");
            return None;
        };
        let deadline = Instant::now() + Duration::from_secs(20);
        loop {
            match TcpStream::connect(("127.0.0.1", port)) {
                Ok(stream) => return Some(Self { child, stream: BufReader::new(stream), directory }),
                // Another process is starting: there is no clock of ours to advance.
                Err(_) if Instant::now() < deadline => std::thread::yield_now(),
                Err(error) => panic!("redis-server does not listen: {error}"),
            }
        }
    }

    /// Sends a command and returns the strings of its reply, or the error as the only one.
    fn call(&mut self, words: &[&str]) -> Vec<String> {
        let mut command = format!("*{}\r\n", words.len());
        words.iter().for_each(|word| command += &format!("${}\r\n{word}\r\n", word.len()));
        self.stream.get_mut().write_all(command.as_bytes()).unwrap();
        let first = self.line();
        match first.split_at(1) {
            ("*", count) => (0..count.parse::<usize>().unwrap()).map(|_| self.bulk()).collect(),
            (_, text) => vec![text.to_owned()],
        }
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.stream.read_line(&mut line).unwrap();
        line.trim_end().to_owned()
    }

    fn bulk(&mut self) -> String {
        let length: usize = self.line()[1..].parse().unwrap();
        let mut bytes = vec![0; length + 2];
        self.stream.read_exact(&mut bytes).unwrap();
        bytes.truncate(length);
        String::from_utf8(bytes).unwrap()
    }

    fn pairs(&mut self, pattern: &str) -> BTreeMap<String, String> {
        let reply = self.call(&["CONFIG", "GET", pattern]);
        reply.chunks_exact(2).map(|pair| (pair[0].clone(), pair[1].clone())).collect()
    }
}

impl Reference {
    /// Ends the server and leaves its directory.
    fn stop(mut self) {
        self.directory = PathBuf::new();
    }
}

impl Drop for Reference {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if self.directory.as_os_str().is_empty() {
            return;
        }
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}

fn directory(name: &str) -> PathBuf {
    let path = std::env::temp_dir().join(format!("polder-reference-{name}-{}", std::process::id()));
    std::fs::create_dir_all(&path).unwrap();
    path
}

fn ours(config: &Config, pattern: &str) -> BTreeMap<String, String> {
    let text = |bytes| String::from_utf8(bytes).unwrap();
    config.get(&[pattern.as_bytes()]).into_iter().map(|(name, value)| (text(name), text(value))).collect()
}

#[test]
fn defaults_are_those_of_redis() {
    let Some(mut reference) = Reference::start("defaults") else { return };
    let (mut theirs, mut ours) = (reference.pairs("*"), ours(&Config::default(), "*"));
    assert!(theirs.len() > 150);
    for (name, _) in DIFFERENT_DEFAULTS {
        theirs.remove(*name);
        ours.remove(*name);
    }
    let names: Vec<_> = theirs.keys().chain(ours.keys()).collect();
    let different: Vec<_> = names.iter().filter(|name| theirs.get(**name) != ours.get(**name)).collect();
    assert!(different.is_empty(), "{different:?}");
}

const VALUES: &[&str] = &[
    "",
    "yes",
    "NO",
    "x",
    "0",
    "1",
    "-1",
    "7",
    "007",
    "+5",
    " 5",
    "100",
    "101",
    "70000",
    "2147483647",
    "2147483648",
    "9223372036854775807",
    "9223372036854775808",
    "1k",
    "1KB",
    "2mb",
    "1.5gb",
    "5%",
    "0%",
    "101%",
    "1 2",
    "1 2 3",
    "900 1 300 10",
    " 900 1",
    "normal 1kb 2k 3",
    "slave 0 0 0 replica 1 2 3",
    "normal 1 2",
    "foo 1 2 3",
    "50 99.5 99.999 1e1",
    "50 -1",
    "KEA",
    "g$d",
    "KEg$lshzxetdmn",
    "always",
    "allkeys-LRU",
    "local",
    "clients",
    "relative",
    "absolute",
    "save now",
    "save nosave",
    "nosave force",
    "default",
    "hostname",
    "host_name",
    "{title} x",
    "{x}",
    "a/b",
    "swapdb",
    "panic",
    "allchannels",
];

#[test]
fn config_set_does_what_redis_does() {
    let Some(mut reference) = Reference::start("set") else { return };
    let known = reference.pairs("*");
    let mut config = Config::default();
    let mut different = Vec::new();
    for directive in DIRECTIVES {
        let name = directive.name;
        let skipped = NOT_SET.iter().any(|(skipped, _)| *skipped == name) || name.starts_with("tls-");
        if skipped || !known.contains_key(name) {
            continue;
        }
        for value in VALUES {
            if DIFFERENT_SETS.iter().any(|(skipped, with, _)| (*skipped, *with) == (name, *value)) {
                continue;
            }
            let theirs = reference.call(&["CONFIG", "SET", name, value]).remove(0);
            let result = config.set(&[(name.as_bytes(), value.as_bytes())], true);
            let ours_said = match &result {
                Ok(_) => "OK".to_owned(),
                Err(error) => error.to_string(),
            };
            if let Ok(changes) = &result {
                config.apply(changes);
            }
            let (they_show, we_show) = (reference.pairs(name), ours(&config, name));
            if theirs != ours_said {
                different.push(format!("{name} {value:?}: {theirs} | {ours_said}"));
            } else if they_show != we_show && directive.change == Change::Live {
                different.push(format!("{name} {value:?}: {they_show:?} | {we_show:?}"));
            }
        }
    }
    assert!(different.is_empty(), "{}", different.join("\n"));
}

/// What Debian installs with redis-server: long, commented and with values of many kinds.
const PACKAGED_FILE: &str = "/etc/redis/redis.conf";

#[test]
fn the_packaged_file_is_read() {
    if std::fs::read(PACKAGED_FILE).is_err() {
        eprintln!("{PACKAGED_FILE} is not here or not readable");
        return;
    }
    match load([OsString::from(PACKAGED_FILE)]) {
        Ok(Launch::Serve(startup)) => {
            let known = |name: &str| DIRECTIVES.iter().any(|directive| directive.name == name);
            assert!(startup.not_in_effect.iter().all(|name| known(name)));
            assert_eq!(startup.config.dir.as_bytes(), b"/var/lib/redis");
        }
        Ok(Launch::Print(text)) => panic!("{text}"),
        Err(error) => panic!("{error}"),
    }
}

/// A file that Redis has rewritten says the same here, and the other way round.
#[test]
fn rewritten_files_are_read_by_both() {
    let directory = directory("rewrite");
    let path = directory.join("test.conf");
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let original = format!(
        "# top\nport {port}\nslave-priority 10\nsave 900 1\nsave 300 10\nlogfile log\ndir {}\n\n\
         client-output-buffer-limit normal 1mb 1mb 1\nmaxmemory 100mb\nhash-max-ziplist-entries 3\n",
        directory.display()
    );
    std::fs::write(&path, original).unwrap();
    let Some(mut reference) = Reference::start_with_file(&path, port, directory.clone()) else { return };
    for pair in [
        ["save", "60 1 61 2 62 3"],
        ["maxmemory", "3gb"],
        ["client-output-buffer-limit", "replica 1kb 1000 3"],
        ["notify-keyspace-events", "KEA"],
        ["latency-tracking-info-percentiles", ""],
        ["masterauth", "a \"b\\"],
        ["maxmemory-clients", "5%"],
    ] {
        assert_eq!(reference.call(&["CONFIG", "SET", pair[0], pair[1]]), ["OK"]);
    }
    assert_eq!(reference.call(&["CONFIG", "REWRITE"]), ["OK"]);
    let Ok(Launch::Serve(startup)) = load([OsString::from(&path)]) else { panic!("not read") };
    let theirs = reference.pairs("*");
    let same = |theirs: &BTreeMap<String, String>| {
        let ours = ours(&startup.config, "*");
        let differs = |(name, value): &(&String, &String)| ours.get(*name).is_some_and(|our| our != *value);
        let different: Vec<_> = theirs.iter().filter(differs).collect();
        assert!(different.is_empty(), "{different:?}");
    };
    same(&theirs);
    let text = std::fs::read(&path).unwrap();
    write_atomically(&path, &rewrite(&text, &startup.config, None)).unwrap();
    reference.stop();
    let Some(mut reference) = Reference::start_with_file(&path, port, directory) else { return };
    same(&reference.pairs("*"));
}

const FAULTY_LINES: &[&str] = &[
    "prot 7000",
    "port",
    "port x",
    "port 70000",
    "port 1 2",
    "port 0 # comment",
    "PORT 'a\\'b'",
    "port \"\\x30\\n\"",
    "dir \"abc",
    "dir \"abc\"x",
    "x\"y\" z",
    "maxmemory 10zb",
    "maxmemory 1gb 3",
    "maxmemory-clients 101%",
    "maxmemory-policy lru",
    "appendonly maybe",
    "save 60",
    "save 60 x",
    "save 0 1",
    "save \"\" \"\"",
    "client-output-buffer-limit normal 0 0",
    "client-output-buffer-limit foo 0 0 0",
    "client-output-buffer-limit normal 0 0 -1",
    "oom-score-adj-values 1 2",
    "oom-score-adj-values 1 2 x",
    "notify-keyspace-events foo!",
    "latency-tracking-info-percentiles 101",
    "latency-tracking-info-percentiles \"1 2 3\" \"4\" 5",
    "unixsocketperm 999",
    "unixsocketperm 7777",
    "bind 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17",
    "databases 0",
    "io-threads 0",
    "socket-mark-id -1",
    "syslog-facility zz",
    "supervised zz",
    "enable-debug-command zz",
    "replicaof a",
    "replicaof a b",
    "dbfilename a/b",
    "appendfilename a/b",
    "appendfilename \"\"",
    "appenddirname a/b",
    "shutdown-on-sigint nosave save",
    "shutdown-on-sigint foo",
    "rename-command FOO",
    "loadmodule",
    "include",
    "user",
    "sentinel monitor x",
    "list-max-ziplist-entries",
    "hash-max-zipmap-entries 3",
    "slave-announced yes",
];

#[test]
fn faulty_lines_are_refused_in_the_words_of_redis() {
    let directory = directory("lines");
    let path = directory.join("test.conf");
    let mut different = Vec::new();
    for line in FAULTY_LINES {
        std::fs::write(&path, format!("port 0\n# comment\n  {line} \nlogfile log\n")).unwrap();
        let Ok(output) = Command::new("redis-server").arg(&path).current_dir(&directory).output() else {
            eprintln!("redis-server is not installed: nothing to compare with");
            break;
        };
        let ours = match load([OsString::from(&path)]) {
            Err(error @ StartError::Line { .. }) => error.to_string(),
            Err(error) => error.to_string(),
            Ok(Launch::Serve(_)) => "serves".to_owned(),
            Ok(Launch::Print(_)) => "prints".to_owned(),
        };
        // The versions in the headings differ.
        let body = |text: &str| text.split_once("***\n").map(|(_, body)| body.to_owned());
        let theirs = String::from_utf8_lossy(&output.stderr).into_owned();
        if body(&theirs) != body(&ours) || body(&ours).is_none() {
            different.push(format!("{line}:\n{theirs}{ours}"));
        }
    }
    std::fs::remove_dir_all(&directory).unwrap();
    assert!(different.is_empty(), "{}", different.join("\n"));
}
