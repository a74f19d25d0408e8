//! Plain tests whose keys are drawn otherwise than evenly, by what is in the server afterwards.

mod support;

use polder_loadgen::client::Value;

use support::program::{program_line, runs, said};
use support::server::Server;

/// Runs one test and tells what its keys were drawn by.
fn load(server: &Server, line: &str) -> String {
    server.ask(&["FLUSHALL"]);
    let run = runs(&format!("-p {} {line}", server.port)).remove(0);
    assert_eq!((&run.failure, run.errors, run.wrong), (&None, 0, 0), "{line}: {:?}", run.first_error);
    run.load.distribution
}

fn number(server: &Server, key: &str) -> i64 {
    match server.ask(&["GET", key]) {
        Value::Text(text) => text.parse().unwrap(),
        _ => 0,
    }
}

#[test]
fn keys_of_plain_tests() {
    let server = Server::redis(&[]);
    for engine in ["epoll", "auto"] {
        let common = format!("--engine {engine} -c 1 -r 1000");
        // The numbers follow one another, in a request of several keys, too.
        for (line, keys) in
            [("-t set -n 120 -P 7", 120), ("-t mset -n 12", 120), ("-t set -n 2000 -P 50", 1000)]
        {
            let drawn = load(&server, &format!("{common} {line} --distribution sequential"));
            assert_eq!((drawn.as_str(), server.keys("key:*")), ("sequential", keys), "{line}");
        }
        let hot = "--distribution hot --hot-keys 0.01 --hot-share 1.0";
        assert_eq!(load(&server, &format!("{common} -t set -n 2000 -P 10 {hot}")), "100 % to 10 hot keys");
        assert_eq!((server.keys("key:*"), server.keys("key:00000000000?")), (10, 10));
        // Six of ten numbers are the first one; 6,079 of 10,000 are expected, with a standard deviation of 49.
        let zipfian = "-t incr -n 10000 -P 20 --distribution zipfian --theta 2";
        assert_eq!(load(&server, &format!("{common} {zipfian}")), "zipfian 2");
        let first = number(&server, "counter:000000000000");
        assert!((5600..6600).contains(&first), "{first}");
        // Scrambled it is another one that has as many.
        assert_eq!(load(&server, &format!("{common} {zipfian} --scrambled")), "zipfian 2, scrambled");
        assert!(number(&server, "counter:000000000000") < 1600);
        assert_eq!(load(&server, &format!("{common} -t set -n 10")), "uniform");
    }
}

#[test]
fn options_without_their_distribution() {
    // They are told before anybody is asked.
    for (line, part) in [
        ("--theta 1", "--theta and --scrambled: only --distribution zipfian"),
        ("--distribution sequential --scrambled", "--scrambled: only"),
        ("--distribution hot", "needs --hot-keys and --hot-share"),
        ("--hot-keys 0.1 --hot-share 0.9", "only --distribution hot"),
        ("--distribution zipfian --cluster", "--cluster"),
        ("--distribution zipfian --profile counters", "--profile"),
        ("--theta 11", "is no number from 0 to 10"),
    ] {
        let output = program_line(&format!("-p 1 -r 10 -t get {line}"));
        assert_eq!(output.status.code(), Some(1), "{line}: {output:?}");
        assert!(said(&output).contains(part), "{line}: {output:?}");
    }
}
