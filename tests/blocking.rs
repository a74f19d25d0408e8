//! Clients that wait for elements, many at once on keys of all shards: every element comes out once and only
//! once, nobody hangs, and in the end nobody waits.
//!
//! ```text
//!   producers ── LPUSH RPUSH ZADD, alone, in MULTI, in pipelines ─┐
//!   movers    ── BLMOVE, BRPOPLPUSH between lists ────────────────┼─► what is popped or left
//!   consumers ── BLPOP BRPOP BLMPOP BZPOPMIN BZMPOP, 1-4 keys ────┘   is what was pushed
//! ```

mod support;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use support::client::{Client, Reply, encode};
use support::random::{Random, seed};
use support::server::{Server, Variant};

const PRODUCERS: u64 = 4;
const CONSUMERS: u64 = 12;
const MOVERS: u64 = 3;
/// Lists and sorted sets, spread over the shards by their names.
const KEYS: usize = 6;
const ELEMENTS_PER_PRODUCER: u64 = 1_500;
/// Longer than all of it takes.
const LIMIT: Duration = Duration::from_secs(60);

struct Shared {
    next: AtomicU64,
    /// All has been pushed; who finds nothing more may go.
    pushed: AtomicBool,
    started: Instant,
}

fn list(random: &mut Random) -> String {
    format!("list:{}", random.below(KEYS))
}

fn sorted_set(random: &mut Random) -> String {
    format!("zset:{}", random.below(KEYS))
}

fn produce(mut client: Client, mut random: Random, shared: &Shared) {
    for _ in 0..ELEMENTS_PER_PRODUCER / 3 {
        let elements: Vec<String> =
            (0..3).map(|_| format!("e{}", shared.next.fetch_add(1, Ordering::Relaxed))).collect();
        let push = |random: &mut Random| (*random.pick(&["LPUSH", "RPUSH"])).to_string();
        match random.below(4) {
            0 => {
                let (key, push) = (list(&mut random), push(&mut random));
                let reply = client.command(&[&push, &key, &elements[0], &elements[1], &elements[2]]);
                assert!(reply.integer() >= 3);
            }
            1 => {
                // Three shards perhaps, and one transaction.
                let mut bytes = encode(&["MULTI"]);
                for element in &elements {
                    bytes.extend(encode(&[push(&mut random), list(&mut random), element.clone()]));
                }
                bytes.extend(encode(&["EXEC"]));
                client.send(&bytes).expect("the server reads");
                for _ in 0..4 {
                    assert!(!client.read().expect("a reply").is_error());
                }
                assert_eq!(client.read().expect("a reply").items().len(), 3);
            }
            2 => {
                let mut bytes = Vec::new();
                for element in &elements {
                    bytes.extend(encode(&[push(&mut random), list(&mut random), element.clone()]));
                }
                client.send(&bytes).expect("the server reads");
                for _ in 0..3 {
                    assert!(client.read().expect("a reply").integer() >= 1);
                }
            }
            _ => {
                for element in &elements {
                    let score = random.below(100).to_string();
                    let reply = client.command(&["ZADD", &sorted_set(&mut random), &score, element]);
                    assert_eq!(reply, Reply::Integer(1));
                }
            }
        }
        if random.one_in(40) {
            std::thread::sleep(Duration::from_millis(2));
        }
    }
}

/// Every element in a reply of a popping command.
fn elements_of(reply: &Reply, found: &mut Vec<String>) {
    match reply {
        Reply::Bulk(text) if text.first() == Some(&b'e') => {
            found.push(String::from_utf8_lossy(text).into_owned());
        }
        Reply::Array(items) => items.iter().for_each(|item| elements_of(item, found)),
        Reply::Error(text) => panic!("{}", String::from_utf8_lossy(text)),
        _ => {}
    }
}

fn consume(mut client: Client, mut random: Random, shared: &Shared) -> Vec<String> {
    let mut found = Vec::new();
    loop {
        let over = shared.pushed.load(Ordering::Relaxed);
        let lists: Vec<String> = (0..1 + random.below(4)).map(|_| list(&mut random)).collect();
        let sets: Vec<String> = (0..1 + random.below(3)).map(|_| sorted_set(&mut random)).collect();
        let timeout = (*random.pick(&["0.01", "0.05", "0.2"])).to_string();
        let (lists_count, sets_count) = (lists.len().to_string(), sets.len().to_string());
        let words: Vec<String> = match random.below(6) {
            0 | 1 => [vec!["BLPOP".into()], lists, vec![timeout]].concat(),
            2 => [vec!["BRPOP".into()], lists, vec![timeout]].concat(),
            3 => {
                let end = vec!["RIGHT".into(), "COUNT".into(), "2".into()];
                [vec!["BLMPOP".into(), timeout, lists_count], lists, end].concat()
            }
            4 => [vec!["BZPOPMIN".into()], sets, vec![timeout]].concat(),
            _ => [vec!["BZMPOP".into(), timeout, sets_count], sets, vec!["MAX".into()]].concat(),
        };
        let before = found.len();
        elements_of(&client.command(&words), &mut found);
        assert!(shared.started.elapsed() < LIMIT, "it does not come to an end");
        if over && found.len() == before && random.one_in(12) {
            return found;
        }
    }
}

fn shift(mut client: Client, mut random: Random, shared: &Shared) {
    while !shared.pushed.load(Ordering::Relaxed) {
        let (from, to) = (list(&mut random), list(&mut random));
        let reply = match random.below(3) {
            0 => client.command(&["BLMOVE", &from, &to, "LEFT", "RIGHT", "0.05"]),
            1 => client.command(&["BRPOPLPUSH", &from, &to, "0.05"]),
            _ => client.command(&["LMOVE", &from, &to, "RIGHT", "LEFT"]),
        };
        assert!(!reply.is_error(), "{reply:?}");
        std::thread::sleep(Duration::from_micros(500));
    }
}

fn every_element_comes_out_once(variant: Variant, test: &str) {
    let seed = seed("blocking", test);
    let server = variant.start(&[]);
    let shared =
        Arc::new(Shared { next: AtomicU64::new(0), pushed: AtomicBool::new(false), started: Instant::now() });
    let mut number = 0;
    let mut worker = || {
        number += 1;
        (server.client(), Random::new(seed.wrapping_add(number << 32)), shared.clone())
    };
    let mut producers = Vec::new();
    let mut movers = Vec::new();
    let mut consumers = Vec::new();
    for _ in 0..CONSUMERS {
        let (client, random, shared) = worker();
        consumers.push(std::thread::spawn(move || consume(client, random, &shared)));
    }
    for _ in 0..MOVERS {
        let (client, random, shared) = worker();
        movers.push(std::thread::spawn(move || shift(client, random, &shared)));
    }
    for _ in 0..PRODUCERS {
        let (client, random, shared) = worker();
        producers.push(std::thread::spawn(move || produce(client, random, &shared)));
    }
    producers.into_iter().for_each(|thread| thread.join().expect("every push is answered"));
    shared.pushed.store(true, Ordering::Relaxed);
    movers.into_iter().for_each(|thread| thread.join().expect("every move is answered"));
    let mut found: Vec<String> = Vec::new();
    for thread in consumers {
        found.extend(thread.join().expect("every pop is answered"));
    }
    let popped = found.len();
    let mut client = server.client();
    for key in 0..KEYS {
        elements_of(&client.run(&format!("LRANGE list:{key} 0 -1")), &mut found);
        elements_of(&client.run(&format!("ZRANGE zset:{key} 0 -1")), &mut found);
    }
    let pushed = shared.next.load(Ordering::Relaxed);
    println!("{variant:?}: {pushed} pushed, {popped} popped, {} left", found.len() - popped);
    let mut times: HashMap<&str, u32> = HashMap::new();
    found.iter().for_each(|element| *times.entry(element).or_default() += 1);
    let twice: Vec<&&str> =
        times.iter().filter(|(_, times)| **times > 1).map(|(element, _)| element).collect();
    assert!(twice.is_empty(), "handed out twice: {twice:?}");
    let lost: Vec<String> = (0..pushed)
        .map(|number| format!("e{number}"))
        .filter(|element| !times.contains_key(&**element))
        .collect();
    assert!(lost.is_empty(), "lost: {lost:?}");
    assert!(popped as u64 > pushed / 2, "the consumers do not meet the producers");
    nobody_waits(&server);
}

fn nobody_waits(server: &Server) {
    let text = server.client().run("INFO clients").text();
    for line in ["blocked_clients:0", "total_blocking_keys:0"] {
        assert!(text.contains(line), "{line} is not in {text}");
    }
}

#[test]
fn on_one_shard() {
    every_element_comes_out_once(Variant::Polder { shards: 1 }, "on_one_shard");
}

#[test]
fn on_eight_shards() {
    every_element_comes_out_once(Variant::Polder { shards: 8 }, "on_eight_shards");
}

#[test]
fn on_epoll() {
    every_element_comes_out_once(Variant::PolderOnEpoll, "on_epoll");
}

/// Who waits is served at the end of an EXEC, before what follows it in its pipeline, wherever the key is.
#[test]
fn what_follows_an_exec_in_its_pipeline_comes_after_who_waited() {
    for variant in [Variant::Reference, Variant::Polder { shards: 1 }, Variant::Polder { shards: 4 }] {
        let server = variant.start(&[]);
        for (key, again) in ["a", "b", "c", "d"].into_iter().flat_map(|key| [(key, false), (key, true)]) {
            let (mut waiting, mut client) = (server.client(), server.client());
            waiting.send(&encode(&["BLPOP", key, "0"])).expect("the server reads");
            let deadline = Instant::now() + LIMIT;
            while !client.run("INFO clients").text().contains("blocked_clients:1") {
                assert!(Instant::now() < deadline, "one client waits");
            }
            let mut bytes = encode(&["MULTI"]);
            bytes.extend(encode(&["LPUSH", key, "first"]));
            bytes.extend(encode(&["LLEN", key]));
            bytes.extend(encode(&["EXEC"]));
            // Another EXEC follows, or a command by itself.
            let after: [&[&str]; 4] = [&["LLEN", key], &["MULTI"], &["LLEN", key], &["EXEC"]];
            let after = if again { &after[1..] } else { &after[..1] };
            after.iter().for_each(|words| bytes.extend(encode(words)));
            client.send(&bytes).expect("the server reads");
            let replies: Vec<Reply> = (0..4 + after.len()).map(|_| client.read().expect("a reply")).collect();
            let nothing = if again { Reply::Array(vec![Reply::Integer(0)]) } else { Reply::Integer(0) };
            assert_eq!(replies[3], Reply::Array(vec![Reply::Integer(1), Reply::Integer(1)]), "{variant:?}");
            assert_eq!(replies.last(), Some(&nothing), "{variant:?}: {key}");
            let served = Reply::Array(vec![Reply::bulk(key), Reply::bulk("first")]);
            assert_eq!(waiting.read().expect("it is served"), served, "{variant:?}");
        }
    }
}

/// Clients that wait and go in every way: what they would have got goes to others.
#[test]
fn who_goes_away_takes_nothing() {
    let server = Variant::Polder { shards: 8 }.start(&[]);
    let seed = seed("blocking", "who_goes_away_takes_nothing");
    let mut random = Random::new(seed);
    let mut control = server.client();
    for round in 0..60 {
        let mut waiting: Vec<Client> = (0..6).map(|_| server.client()).collect();
        let mut ids = Vec::new();
        for client in &mut waiting {
            ids.push(client.run("CLIENT ID").integer());
            let keys: Vec<String> = (0..1 + random.below(3)).map(|_| list(&mut random)).collect();
            let words = [vec!["BLPOP".to_string()], keys, vec!["0".into()]].concat();
            client.send(&encode(&words)).expect("the server reads");
        }
        let deadline = Instant::now() + LIMIT;
        while !control.run("INFO clients").text().contains("blocked_clients:6") {
            assert!(Instant::now() < deadline, "round {round}: six clients wait");
        }
        for (client, id) in waiting.iter_mut().zip(&ids) {
            match random.below(4) {
                0 => client.shut_down_sending(),
                1 => {
                    control.run(&format!("CLIENT KILL ID {id}"));
                }
                2 => assert_eq!(control.run(&format!("CLIENT UNBLOCK {id}")), Reply::Integer(1)),
                _ => assert_eq!(control.run(&format!("CLIENT UNBLOCK {id} ERROR")), Reply::Integer(1)),
            }
        }
        drop(waiting);
        while !control.run("INFO clients").text().contains("blocked_clients:0") {
            assert!(Instant::now() < deadline, "round {round}: nobody waits");
        }
        for key in 0..KEYS {
            assert_eq!(control.run(&format!("RPUSH list:{key} x")), Reply::Integer(1), "round {round}");
            assert_eq!(control.run(&format!("DEL list:{key}")), Reply::Integer(1), "round {round}");
        }
    }
    nobody_waits(&server);
}
