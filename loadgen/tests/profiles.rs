//! Every built-in profile against redis-server, and those whose commands it has against polder-server; and
//! what is said of profiles that are wrong.

mod support;

use polder_loadgen::client::Value;
use polder_loadgen::profile::BUILT_IN;
use polder_loadgen::result::Run;

use support::program::{program_line, runs};
use support::server::Server;

const SHORT: &str = "-q --seconds 0.3 --warmup 0 -c 8";

/// No error, and every kind of request had its turn.
fn check(name: &str, run: &Run) {
    assert_eq!((&run.failure, run.errors, run.wrong, &run.first_error), (&None, 0, 0, &None), "{name}");
    assert!(run.requests > 0 && run.name == name, "{name}: {}", run.requests);
    for command in &run.commands {
        assert!(command.requests > 0, "{name}: {} had no turn", command.name);
    }
}

#[test]
fn every_profile_runs_against_redis_server() {
    let server = Server::redis(&[]);
    for (name, _) in BUILT_IN {
        for more in ["-P 4", "-3 --rate 3k -P 8"] {
            let run = runs(&format!("-p {} --profile {name} {SHORT} {more}", server.port)).remove(0);
            check(name, &run);
        }
    }
    // All money is still there, and half of the users had to be fetched.
    let accounts: i64 = (0..10_000)
        .map(|number| match server.ask(&["GET", &format!("account:{number}")]) {
            Value::Text(text) => text.parse::<i64>().unwrap(),
            other => panic!("{other:?}"),
        })
        .sum();
    assert_eq!(accounts, 10_000 * 1000);
}

#[test]
fn profiles_run_against_polder_server() {
    let server = Server::polder(&["--shards", "2"]);
    let known = |command: &str| match server.ask(&["COMMAND", "INFO", command]) {
        Value::Array(entries) => matches!(entries.first(), Some(Value::Array(fields)) if !fields.is_empty()),
        other => panic!("{other:?}"),
    };
    for (name, text) in BUILT_IN {
        let lacking: Vec<&str> =
            ["EVAL", "SUBSCRIBE"].into_iter().filter(|word| text.contains(word) && !known(word)).collect();
        let line = format!("-p {} --profile {name} {SHORT} -P 4", server.port);
        let run = runs(&line).remove(0);
        if lacking.is_empty() {
            check(name, &run);
            continue;
        }
        let failure = run.failure.unwrap();
        assert!(failure.starts_with("not available") && failure.contains(lacking[0]), "{failure}");
        assert_eq!(run.requests, 0);
        let output = program_line(&line);
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        assert!(String::from_utf8_lossy(&output.stderr).contains("not available"), "{output:?}");
    }
}

#[test]
fn misses_are_followed_up() {
    let server = Server::redis(&[]);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("cache.toml");
    std::fs::write(
        &path,
        r#"
about = "Reads keys one after the other, none of which is there"
[keys.item]
prefix = "item:"
count = 200
distribution = "sequential"
tag = true
[value]
bytes = 10
[[operations]]
name = "get"
commands = [["GET", "{item}"]]
expect = "value"
on_miss = { commands = [["SET", "{item}", "{value}"]], expect = "ok" }
"#,
    )
    .unwrap();
    for (line, flush) in [("-P 5", true), ("-P 5", false), ("-P 5 --rate 20k", true)] {
        if flush {
            server.ask(&["FLUSHALL"]);
        }
        let run = runs(&format!("-p {} --profile {} -q -c 1 -n 400 {line}", server.port, path.display()));
        check_counts(&run[0], if flush { 200 } else { 0 });
        assert_eq!(server.ask(&["DBSIZE"]), Value::Integer(200));
        assert!(matches!(server.ask(&["GET", "item:{199}"]), Value::Text(text) if text.len() == 10));
    }
}

/// The server counts how often each key is drawn.
#[test]
fn scrambled_keys_are_hot_elsewhere() {
    let server = Server::redis(&[]);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("counts.toml");
    let hottest = |scrambled: bool| {
        let text = format!(
            "about = \"Counts how often each key is drawn\"\n[keys.item]\nprefix = \"item:\"\ncount = 1000\n\
             distribution = \"zipfian\"\ntheta = 1.0\nscrambled = {scrambled}\n[[operations]]\nname = \"count\"\n\
             commands = [[\"ZINCRBY\", \"counts\", \"1\", \"{{item}}\"]]\n"
        );
        std::fs::write(&path, text).unwrap();
        server.ask(&["FLUSHALL"]);
        let line = format!("-p {} --profile {} -q -c 4 -P 16 -n 40000", server.port, path.display());
        let run = runs(&line).remove(0);
        assert_eq!((run.errors, run.load.distribution.contains("scrambled")), (0, scrambled));
        match server.ask(&["ZREVRANGE", "counts", "0", "9", "WITHSCORES"]) {
            Value::Array(texts) => texts,
            other => panic!("{other:?}"),
        }
    };
    let numbers = |texts: &[Value]| -> Vec<(u64, f64)> {
        let text = |value: &Value| match value {
            Value::Text(text) => text.clone(),
            other => panic!("{other:?}"),
        };
        let number = |pair: &[Value]| {
            let item = text(&pair[0]);
            (item.strip_prefix("item:").unwrap().parse().unwrap(), text(&pair[1]).parse().unwrap())
        };
        texts.chunks(2).map(number).collect()
    };
    let (plain, scrambled) = (numbers(&hottest(false)), numbers(&hottest(true)));
    // 40,000 draws of theta 1 over 1000 keys: 5343 for the first, and half of that for the second.
    for found in [&plain, &scrambled] {
        assert!(
            (5000.0..5700.0).contains(&found[0].1) && (2400.0..2950.0).contains(&found[1].1),
            "{found:?}"
        );
    }
    assert_eq!((plain[0].0, plain[1].0), (0, 1));
    assert!(plain.iter().all(|&(number, _)| number < 20), "{plain:?}");
    assert!(scrambled.iter().filter(|&&(number, _)| number >= 100).count() >= 6, "{scrambled:?}");
}

/// 400 reads of 200 keys: each was missed once, or none.
fn check_counts(run: &Run, misses: u64) {
    assert_eq!((run.errors, run.wrong, &run.failure), (0, 0, &None));
    let counts: Vec<u64> = run.commands.iter().map(|command| command.requests).collect();
    assert_eq!((counts, run.misses), (vec![400, misses], misses));
    assert_eq!(run.requests, 400 + misses);
}

#[test]
fn sweeps_have_a_run_for_each_step() {
    let server = Server::redis(&[]);
    let runs = runs(&format!("-p {} -t set,ping -n 2000 -q --sweep pipeline=1..6", server.port));
    let names: Vec<&str> = runs.iter().map(|run| run.name.as_str()).collect();
    assert_eq!(names[..4], ["SET pipeline=1", "SET pipeline=2", "SET pipeline=4", "SET pipeline=6"]);
    assert_eq!(runs.len(), 8);
    assert_eq!(runs[3].load.pipeline, 6);
    let output = program_line(&format!("-p {} -t ping --sweep depth=1..2", server.port));
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("none of pipeline"), "{output:?}");
    let output = program_line(&format!(
        "find-rate --p99 10s -p {} -t ping --seconds 0.2 --warmup 0 --start-rate 100 --max-rate 400",
        server.port
    ));
    // A busy machine may keep the generator from so little, and then it says so.
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(matches!(output.status.code(), Some(0 | 3)) && text.starts_with("PING: 100/s: "), "{output:?}");
    assert!(
        text.lines().last().unwrap().starts_with("highest rate with p99 up to 10000000 us: "),
        "{output:?}"
    );
}

/// A profile that is right but for one line.
fn with(line: &str) -> String {
    format!(
        "about = \"x\"\n[keys.item]\nprefix = \"item:\"\ncount = 10\n{line}\n[[operations]]\nname = \"get\"\n\
         commands = [[\"GET\", \"{{item}}\"]]\n"
    )
}

#[test]
fn errors_name_line_and_field() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("wrong.toml");
    let cases = [
        (with("theta = 0.5"), "keys.item.theta: only distribution = \"zipfian\""),
        (with("scrambled = true"), "line 5: keys.item.scrambled: only distribution = \"zipfian\""),
        (with("distribution = \"zipfian\"\nscrambled = 1"), "line 6: 'scrambled = 1': invalid type: integer"),
        (with("theta = 50.0"), "line 5: keys.item.theta: must be a number from 0.0 to 10.0"),
        (
            with("distribution = \"normal\""),
            "line 5: 'distribution = \"normal\"': unknown variant `normal`, expected one of `uniform`, `zipfian`, `hot`, `sequential`",
        ),
        (with("distribution = \"hot\""), "hot needs hot_keys and hot_share"),
        (with("hot_keys = 1.5"), "line 5: 'hot_keys = 1.5': must be a share from 0.0 to 1.0"),
        (with("colour = 1"), "line 5: 'colour = 1': unknown field `colour`, expected one of `prefix`"),
        (with("[value]\nbytes = \"8..4\""), "line 6: 'bytes = \"8..4\"': must be a number, a range such as"),
        (with("[value]\nbytes = [[8, 0.0]]"), "must be a number, a range such as"),
        (with("[ttl]\nseconds = true"), "line 6: 'seconds = true'"),
        (with("").replace("count = 10", "count = 0"), "line 4: 'count = 0': must be a number from 1 to 2^40"),
        (
            with("").replace("{item}", "{user}"),
            "line 8: commands: '{user}': there is no placeholder {user}; there are {value}",
        ),
        (with("").replace("{item}", "{value}"), "line 8: commands: '{value}': {value} needs [value]"),
        (with("").replace("{item}", "{int:9..1}"), "{int:…} needs a range"),
        (with("").replace("{item}", "{item"), "line 8: commands: '{item': a '{' has no '}'"),
        (with("").replace("[[\"GET\", \"{item}\"]]", "[]"), "line 8: commands: there must be at least one"),
        (
            with("").replace("name = \"get\"", "name = \"get\"\nweight = 0"),
            "operations: at least one must have a weight",
        ),
        (
            with("") + "expect = \"gold\"\n",
            "line 9: 'expect = \"gold\"': unknown variant `gold`, expected one of `any`",
        ),
        (with("[[preload]]\nkeys = \"user\"\ncommands = []"), "line 6: preload.keys: is no key space"),
        ("about = \"x\"\n".into(), "missing field `operations`"),
        ("about = \n".into(), "line 1"),
    ];
    for (text, wanted) in cases {
        std::fs::write(&path, &text).unwrap();
        let output = program_line(&format!("-p 1 --profile {}", path.display()));
        let errors = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{errors}");
        assert!(errors.contains(wanted) && errors.contains("profile wrong"), "{text}\n{errors}");
    }
    let output = program_line("-p 1 --profile nonsense");
    assert!(String::from_utf8_lossy(&output.stderr).contains("cache-aside"), "{output:?}");
}

#[test]
fn profiles_are_listed_and_printed() {
    let output = program_line("profiles");
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(text.lines().count(), 10);
    assert!(BUILT_IN.iter().all(|(name, _)| text.contains(name)), "{text}");
    assert_eq!(String::from_utf8(program_line("profiles geo").stdout).unwrap(), BUILT_IN[9].1);
    assert_eq!(program_line("profiles nonsense").status.code(), Some(1));
}
