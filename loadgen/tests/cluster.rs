//! Profiles on a cluster: each request at the node that owns its keys, and profiles for which there is none.

mod support;

use std::time::{Duration, Instant};

use polder_loadgen::client::Value;
use polder_loadgen::result::Run;

use support::program::{program_line, runs};
use support::server::{Server, free_ports, polder_server};

const START_TIMEOUT: Duration = Duration::from_secs(20);

/// Three nodes that own half, a quarter and a quarter of the slots.
struct Cluster(Vec<Server>);

impl Cluster {
    fn start() -> Cluster {
        let nodes: Vec<Server> = [(0, 8191), (8192, 12_287), (12_288, 16_383)]
            .into_iter()
            .map(|(first, last)| {
                let node = Server::redis(&["--cluster-enabled", "yes"]);
                let (first, last) = (i32::to_string(&first), i32::to_string(&last));
                node.ask(&["CLUSTER", "ADDSLOTSRANGE", &first, &last]);
                node
            })
            .collect();
        for node in &nodes[1..] {
            nodes[0].ask(&["CLUSTER", "MEET", "127.0.0.1", &node.port.to_string()]);
        }
        let knows_all = |node: &Server| match node.ask(&["CLUSTER", "INFO"]) {
            Value::Text(info) => {
                info.contains("cluster_state:ok") && info.contains("cluster_slots_assigned:16384")
            }
            other => panic!("{other:?}"),
        };
        let end = Instant::now() + START_TIMEOUT;
        while !nodes.iter().all(knows_all) {
            assert!(Instant::now() < end, "the nodes do not find each other");
            std::thread::sleep(Duration::from_millis(20));
        }
        Cluster(nodes)
    }

    fn port(&self) -> u16 {
        self.0[1].port
    }

    fn flush(&self) {
        for node in &self.0 {
            node.ask(&["FLUSHALL"]);
            node.ask(&["CONFIG", "RESETSTAT"]);
        }
    }

    /// How often each node ran a command.
    fn calls(&self, command: &str) -> Vec<u64> {
        self.0.iter().map(|node| node.calls(command)).collect()
    }

    fn keys(&self, pattern: &str) -> usize {
        self.0.iter().map(|node| node.keys(pattern)).sum()
    }
}

/// A profile in a file of its own.
struct Profile(tempfile::TempDir);

impl Profile {
    fn new(text: &str) -> Profile {
        let profile = Profile(tempfile::tempdir().unwrap());
        std::fs::write(profile.path(), text).unwrap();
        profile
    }

    fn path(&self) -> String {
        self.0.path().join("test.toml").display().to_string()
    }
}

const ITEMS: &str = "about = \"x\"\n[keys.item]\nprefix = \"item:\"\ncount = 1000\n";

fn check(run: &Run) {
    assert_eq!((&run.failure, run.errors, run.wrong, &run.first_error), (&None, 0, 0, &None), "{}", run.name);
    for command in &run.commands {
        assert!(command.requests > 0, "{}: {} had no turn", run.name, command.name);
    }
}

/// Those whose requests have keys of one slot, whatever else they do.
const OF_ONE_SLOT: [&str; 8] =
    ["cache-aside", "sessions", "leaderboard", "work-queue", "stream-groups", "pubsub", "lua-lock", "geo"];

#[test]
fn built_in_profiles() {
    let cluster = Cluster::start();
    for name in OF_ONE_SLOT {
        for more in ["-P 4 --threads 2", "--rate 3k -P 8 -3"] {
            let line = format!(
                "-p {} --cluster --profile {name} -q --seconds 0.4 --warmup 0 -c 12 {more}",
                cluster.port()
            );
            check(&runs(&line)[0]);
        }
    }
    assert_eq!((cluster.keys("session:*") > 45_000, cluster.keys("board:*")), (true, 10));
    // Keys of several slots are refused before anything is sent.
    cluster.flush();
    for (name, part) in [
        (
            "transfer",
            "line 14: commands: '{account:2}': belongs to another slot of the cluster than '{account}'",
        ),
        ("counters", "line 32: commands: '{page:2}': belongs to another slot"),
    ] {
        let output = program_line(&format!("-p {} --cluster --profile {name}", cluster.port()));
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(said.contains(part) && said.contains(&format!("profile {name}")), "{said}");
    }
    assert_eq!(cluster.keys("*"), 0);
}

/// Half, a quarter and a quarter of the slots get so much of the requests, and each key its part of all.
#[test]
fn requests_are_spread_as_the_profile_has_them() {
    let cluster = Cluster::start();
    let profile = Profile::new(&format!(
        "{ITEMS}distribution = \"zipfian\"\ntheta = 0.5\nscrambled = true\n\
         [[operations]]\nname = \"count\"\nweight = 3\ncommands = [[\"INCR\", \"{{item}}\"]]\nexpect = \"integer\"\n\
         [[operations]]\nname = \"ping\"\ncommands = [[\"PING\"]]\n"
    ));
    // In a closed loop a node that is slower than the others gets fewer, and on a busy machine far fewer; in an
    // open one all keep up.
    for (more, tolerance) in [("-P 4", 0.9), ("-P 16 --threads 2 --rate 20k", 0.2)] {
        cluster.flush();
        let line =
            format!("-p {} --cluster --profile {} -q -n 40000 -c 40 {more}", cluster.port(), profile.path());
        let run = runs(&line).remove(0);
        check(&run);
        let is_near = |count: u64, wanted: f64| (count as f64 / wanted - 1.0).abs() < tolerance;
        let counts = cluster.calls("incr");
        assert_eq!(counts.iter().sum::<u64>(), run.commands[0].requests);
        assert!(is_near(run.commands[1].requests, 10_000.0), "{} PINGs", run.commands[1].requests);
        for (&count, share) in counts.iter().zip([0.5, 0.25, 0.25]) {
            assert!(is_near(count, share * 30_000.0), "{more}: {counts:?}");
        }
        // Of the hottest key: 1 / (the sum of k^-0.5 up to 1000), 1.6 %, which are 486 of 30,000.
        let mut hottest = 0;
        for number in 0..1000 {
            let key = format!("item:{number}");
            let node = cluster.0.iter().find(|node| node.keys(&key) > 0);
            if let Some(Value::Text(count)) = node.map(|node| node.ask(&["GET", &key])) {
                hottest = hottest.max(count.parse().unwrap());
            }
        }
        assert!(is_near(hottest, 486.0), "{more}: {hottest}");
    }
}

#[test]
fn requests_of_several_keys_and_misses_of_one_slot() {
    let cluster = Cluster::start();
    let profile = Profile::new(
        r#"
about = "Carts of users: a transaction of two keys with one hash tag"
setup = [["SET", "ready", "1"], ["CONFIG", "SET", "maxmemory-policy", "allkeys-lru"]]
[keys.user]
prefix = "user:"
count = 100
distribution = "sequential"
tag = true
[value]
bytes = 10
[[preload]]
keys = "user"
commands = [["SADD", "{user}:cart", "bread", "milk"]]
[[operations]]
name = "buy"
commands = [["MULTI"], ["SADD", "{user}:cart", "{int:1..9}"], ["INCR", "{user}:count"], ["EXEC"]]
expect = "list"
[[operations]]
name = "read"
commands = [["GET", "{user}"]]
expect = "value"
on_miss = { commands = [["SET", "{user}", "{value}"]], expect = "ok" }
[[operations]]
name = "log"
commands = [["SET", "log:{sequence}", "{connection}"]]
expect = "ok"
[[connections]]
name = "union"
count = 6
commands = [["SUNIONSTORE", "{user}:all", "{user}:cart", "{user}:more"], ["SINTERCARD", "2", "{user}:all", "{user}:cart"]]
expect = "integer"
"#,
    );
    let line = format!("-p {} --cluster --profile {} -q -n 30000 -c 8 -P 5", cluster.port(), profile.path());
    let run = runs(&line).remove(0);
    check(&run);
    // Each user is missed once, and again by others that read before it is set.
    assert!((100..1000).contains(&run.misses), "{}", run.misses);
    // Which of the operations is next is drawn: enough are run for each to meet every user, at a slow node, too.
    assert_eq!(cluster.keys("user:{*}"), 100);
    assert_eq!((cluster.keys("user:{*}:cart"), cluster.keys("user:{*}:count")), (100, 100));
    assert_eq!(cluster.keys("user:{*}:all"), 100);
    assert!(cluster.keys("log:*") > 500 && cluster.keys("ready") == 1);
    // A command without keys is for every node.
    for node in &cluster.0 {
        let policy = node.ask(&["CONFIG", "GET", "maxmemory-policy"]);
        assert_eq!(
            policy,
            Value::Array(["maxmemory-policy", "allkeys-lru"].map(|text| Value::Text(text.into())).into())
        );
    }
    let line = format!(
        "-p {} --cluster --profile {} -q -n 900 --no-preload --sweep clients=4,8",
        cluster.port(),
        profile.path()
    );
    assert_eq!(runs(&line).iter().map(|run| run.errors).collect::<Vec<_>>(), [0, 0]);
}

#[test]
fn what_cannot_be_routed_is_refused() {
    let cluster = Cluster::start();
    let operation = |commands: &str| format!("{ITEMS}[[operations]]\nname = \"x\"\ncommands = {commands}\n");
    let more = "[value]\nbytes = 3\n";
    for (text, part) in [
        (
            operation(r#"[["MGET", "{item}", "{item:2}"]]"#),
            "line 7: commands: '{item:2}': belongs to another slot",
        ),
        (
            operation(r#"[["GET", "{item}"], ["GET", "other"]]"#),
            "line 7: commands: 'other': belongs to another slot",
        ),
        (operation(r#"[["MSET", "a", "1", "b", "2"]]"#), "line 7: commands: 'b': belongs to another slot"),
        (
            operation(r#"[["INCR", "n:{int:1..9}"]]"#),
            "line 7: commands: 'n:{int:1..9}': which node owns this key",
        ),
        (
            operation(r#"[["INCR", "n:{connection}"]]"#),
            "line 7: commands: 'n:{connection}': which node owns this key",
        ),
        (
            operation(r#"[["ZUNION", "x", "{item}"]]"#),
            "line 7: commands: 'ZUNION': the server does not say which words are keys: ERR Invalid arguments",
        ),
        (
            operation(r#"[["GET", "{item}"]]"#)
                + "on_miss = { commands = [[\"SET\", \"x:{item}\", \"1\"]] }\n",
            "line 8: commands: 'SET': what follows upon a miss must have the key that was missed",
        ),
        (
            "setup = [\n[\"DEL\", \"a\", \"b\"]]\n".to_string() + &operation(r#"[["GET", "{item}"]]"#),
            "line 2: commands: 'b': belongs to another slot",
        ),
        (
            format!(
                "{ITEMS}{more}[[preload]]\nkeys = \"item\"\ncommands = [[\"SET\", \"{{value}}\", \"{{item}}\"]]\n"
            ) + "[[operations]]\nname = \"x\"\ncommands = [[\"PING\"]]\n",
            "line 9: commands: '{value}': which node owns this key",
        ),
    ] {
        let profile = Profile::new(&text);
        let output =
            program_line(&format!("-p {} --cluster --profile {} -n 10", cluster.port(), profile.path()));
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{text}\n{said}");
        assert!(said.contains(part) && said.contains("--cluster: profile test: "), "{text}\n{said}");
        // Without a cluster it is right.
        if !text.contains("ZUNION") {
            let server = Server::redis(&[]);
            let output = program_line(&format!("-p {} --profile {} -n 10", server.port, profile.path()));
            assert!(output.status.success(), "{text}\n{}", String::from_utf8_lossy(&output.stderr));
        }
    }
    let profile = Profile::new(&operation(r#"[["GET", "{item}"]]"#));
    let output =
        program_line(&format!("-p {} --cluster --profile {} -n 10 -c 2", cluster.port(), profile.path()));
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("lie on 3 nodes") && said.contains("2 are too few"), "{said}");
    let output =
        program_line(&format!("-p {} --cluster --profile {} -n 100 -c 3 -q", cluster.port(), profile.path()));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.contains("1 of 3 connections lead to it"), "{said}");
}

#[test]
fn cores_as_nodes() {
    // One of its own and one for each core.
    let port = free_ports(1 + 3);
    let server = Server::start_on(port, polder_server(), &["--shards", "3", "--core-cluster", "yes"]);
    for name in ["cache-aside", "leaderboard", "work-queue", "stream-groups"] {
        let line =
            format!("-p {} --cluster --profile {name} -q --seconds 0.4 --warmup 0 -c 12 -P 4", server.port);
        check(&runs(&line)[0]);
    }
    assert!(server.calls("zincrby") > 0);
    let output = program_line(&format!("-p {} --cluster --profile transfer", server.port));
    assert_eq!(output.status.code(), Some(1));
    assert!(
        String::from_utf8_lossy(&output.stderr).contains("'{account:2}': belongs to another slot"),
        "{output:?}"
    );
}
