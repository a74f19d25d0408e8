//! Values of all types and sizes go from redis-server to polder and back by DUMP and RESTORE, and are the same
//! there: their digests are equal, and so are the bytes of those that are stored in an order.
//!
//! The reference writes version 10 and refuses what is newer. The encoding of what both know has not changed
//! since: a payload of version 11 becomes one of version 10 by another version and its checksum.

mod support;

use support::client::{Client, Reply, quote};
use support::random::{Random, seed};
use support::server::Server;

const VALUES: usize = 400;

/// Where the checksum begins, counted from the end; the version stands before it.
const CHECKSUM_BYTES: usize = 8;
const VERSION_BYTES: usize = 2;
const REFERENCE_VERSION: u16 = 10;

const CRC: crc::Crc<u64> = crc::Crc::<u64>::new(&crc::CRC_64_REDIS);

/// The same payload with another version.
fn with_version(payload: &[u8], version: u16) -> Vec<u8> {
    let mut changed = payload[..payload.len() - CHECKSUM_BYTES - VERSION_BYTES].to_vec();
    changed.extend_from_slice(&version.to_le_bytes());
    let checksum = CRC.checksum(&changed);
    changed.extend_from_slice(&checksum.to_le_bytes());
    changed
}

fn text(random: &mut Random) -> Vec<u8> {
    match random.below(8) {
        0..3 => {
            let length = random.below(12);
            random.bytes(length)
        }
        3 => {
            let bits = random.below(64);
            (random.next() as i64 >> bits).to_string().into_bytes()
        }
        4 => format!("user:{}:name", random.below(1000)).into_bytes(),
        5 => vec![b'a' + random.below(3) as u8; random.below(400)],
        6 => b"a text that repeats itself, ".repeat(random.below(200)),
        _ => {
            let length = random.below(9000);
            random.bytes(length)
        }
    }
}

fn short_text(random: &mut Random) -> Vec<u8> {
    let mut text = text(random);
    text.truncate(60);
    text
}

fn score(random: &mut Random) -> String {
    match random.below(4) {
        0 => random.below(20).to_string(),
        1 => format!("{}", f64::from(random.next() as i32) / 64.0),
        2 => (*random.pick(&["inf", "-inf", "-0", "1e300", "4503599627370497.5"])).to_owned(),
        _ => format!("{:e}", f64::from(random.next() as i32) * 1e-12),
    }
}

/// A command that makes a value under `k`.
fn creation(random: &mut Random) -> Vec<Vec<u8>> {
    let count = *random.pick(&[1, 2, 5, 20, 100, 200, 700, 3000]);
    let kind = random.below(6);
    let name = ["SET", "RPUSH", "SADD", "SADD", "ZADD", "HSET"][kind];
    let mut command = vec![name.into(), b"k".to_vec()];
    let small = !random.one_in(3);
    let element = |random: &mut Random| if small { short_text(random) } else { text(random) };
    match kind {
        0 => command.push(text(random)),
        1 | 2 => (0..count).for_each(|_| command.push(element(random))),
        3 => {
            let bits = random.below(64);
            (0..count).for_each(|_| command.push((random.next() as i64 >> bits).to_string().into_bytes()));
        }
        4 => (0..count).for_each(|_| {
            command.push(score(random).into_bytes());
            command.push(element(random));
        }),
        _ => (0..2 * count).for_each(|_| command.push(element(random))),
    }
    command
}

/// The payload of `k` at one server, restored at the other under the same name.
fn carry(from: &mut Client, to: &mut Client, version: Option<u16>) -> Vec<u8> {
    let Reply::Bulk(payload) = from.run("DUMP k") else { panic!("there is a value") };
    let carried = version.map_or_else(|| payload.clone(), |version| with_version(&payload, version));
    let reply = to.command(&[b"RESTORE", &b"k"[..], b"0", &carried, b"REPLACE"]);
    assert_eq!(
        reply,
        Reply::ok(),
        "a payload of {} bytes: {}",
        payload.len(),
        quote(&payload[..payload.len().min(60)])
    );
    let digest = "DEBUG DIGEST-VALUE k";
    assert_eq!(from.run(digest), to.run(digest), "{}", quote(&payload[..payload.len().min(60)]));
    payload
}

/// Whether equal values have equal payloads: not where the order of a hash table decides, or how scores are
/// written, which 7.2 does in fewer digits.
fn has_one_form(client: &mut Client) -> bool {
    let encoding = client.run("OBJECT ENCODING k").text();
    let is_sorted_set = client.run("TYPE k").text() == "zset";
    encoding != "hashtable" && (!is_sorted_set || encoding == "skiplist")
}

fn there_and_back(test: &str, compression: &str) {
    let mut random = Random::new(seed("dump", test));
    // The reference knows no sets that are listpacks, and has no lists that are single listpacks.
    let options = ["--enable-debug-command", "yes", "--rdbcompression", compression];
    let reference = Server::reference(&options);
    let ours = Server::polder(1, &[&options[..], &["--set-max-listpack-entries", "0"]].concat());
    let (mut theirs, mut ours) = (reference.client(), ours.client());
    for _ in 0..VALUES {
        let command = creation(&mut random);
        assert_eq!(theirs.run("DEL k"), ours.run("DEL k"));
        assert!(!theirs.command(&command).is_error());
        let payload = carry(&mut theirs, &mut ours, None);
        let encodings = [theirs.run("OBJECT ENCODING k").text(), ours.run("OBJECT ENCODING k").text()];
        let is_list = command[0] == b"RPUSH";
        assert!(encodings[0] == encodings[1] || is_list, "{encodings:?}");
        let back = carry(&mut ours, &mut theirs, Some(REFERENCE_VERSION));
        let comparable = compression == "no" && has_one_form(&mut theirs) && !is_list;
        assert!(
            !comparable || with_version(&back, REFERENCE_VERSION) == payload,
            "the bytes of {encodings:?}"
        );
        // And made here.
        assert!(!ours.run("DEL k").is_error());
        assert!(!ours.command(&command).is_error());
        carry(&mut ours, &mut theirs, Some(REFERENCE_VERSION));
    }
}

#[test]
fn compressed() {
    there_and_back("compressed", "yes");
}

#[test]
fn uncompressed() {
    there_and_back("uncompressed", "no");
}

/// A stream with everything in it comes from redis-server; and goes there, but for consumers, of whom 7.2 knows
/// more than the reference.
#[test]
fn streams() {
    const STREAM_LISTPACKS_2: u8 = 19;
    let reference = Server::reference(&[]);
    let ours = Server::polder(2, &[]);
    let (mut theirs, mut ours) = (reference.client(), ours.client());
    let mut random = Random::new(seed("dump", "streams"));
    for round in 0..40 {
        assert!(!theirs.run("DEL k").is_error() && !ours.run("DEL k").is_error());
        let mut script = vec!["XGROUP CREATE k first 0 MKSTREAM".to_owned()];
        for number in 1..=random.below(300) {
            script.push(match random.below(3) {
                0 => format!(
                    "XADD k {number}-{} a {} b {}",
                    random.below(3),
                    random.below(100),
                    "x".repeat(30)
                ),
                1 => format!("XADD k {number}-1 sensor {number} temperature -{number}"),
                _ => format!("XADD k {number}-7 c{} {}", random.below(3), random.below(1_000_000)),
            });
            if random.one_in(20) {
                script.push(format!("XDEL k {}-7", 1 + random.below(number)));
            }
        }
        script.push("XGROUP CREATE k second 5-0 ENTRIESREAD 3".to_owned());
        if round % 2 == 0 {
            script.push("XREADGROUP GROUP first alice COUNT 70 STREAMS k >".to_owned());
            script.push("XREADGROUP GROUP first bob COUNT 9 STREAMS k >".to_owned());
            script.push("XACK k first 3-7 4-7 5-7 8-1".to_owned());
            script.push("XGROUP CREATECONSUMER k second idle".to_owned());
        }
        for command in &script {
            assert!(!theirs.run(command).is_error(), "{command}");
        }
        let Reply::Bulk(payload) = theirs.run("DUMP k") else { panic!("there is a stream") };
        assert_eq!(ours.command(&[b"RESTORE", &b"k"[..], b"0", &payload]), Reply::ok());
        for question in
            ["XRANGE k - +", "XPENDING k first - + 1000", "XPENDING k second", "XINFO GROUPS k", "XLEN k"]
        {
            if question.starts_with("XPENDING k first") {
                // Without the times, which go on.
                let pending = |client: &mut Client| client.run("XPENDING k first");
                assert_eq!(pending(&mut ours), pending(&mut theirs), "{script:?}");
                continue;
            }
            assert_eq!(ours.run(question), theirs.run(question), "{question}: {script:?}");
        }
        if round % 2 == 1 {
            let Reply::Bulk(payload) = ours.run("DUMP k") else { panic!("there is a stream") };
            let mut older = payload.clone();
            older[0] = STREAM_LISTPACKS_2;
            let older = with_version(&older, REFERENCE_VERSION);
            let before = [theirs.run("XINFO STREAM k FULL"), theirs.run("XRANGE k - +")];
            assert_eq!(theirs.command(&[b"RESTORE", &b"k"[..], b"0", &older, b"REPLACE"]), Reply::ok());
            let after = [theirs.run("XINFO STREAM k FULL"), theirs.run("XRANGE k - +")];
            let without_tree = |reply: &Reply| match reply {
                // How the nodes lie is the server's own affair.
                Reply::Array(items) => items.iter().skip(6).cloned().collect::<Vec<_>>(),
                _ => Vec::new(),
            };
            assert_eq!(without_tree(&before[0]), without_tree(&after[0]));
            assert_eq!(before[1], after[1]);
        }
    }
}

/// One value of many elements of each type, larger than any buffer on its way.
#[test]
fn large_values() {
    const ELEMENTS: usize = 200_000;
    let options = ["--enable-debug-command", "yes"];
    let reference = Server::reference(&options);
    let ours = Server::polder(2, &options);
    let (mut theirs, mut ours) = (reference.client(), ours.client());
    for name in ["RPUSH", "SADD", "ZADD", "HSET"] {
        let mut command = vec![name.as_bytes().to_vec(), b"k".to_vec()];
        for number in 0..ELEMENTS {
            if name == "ZADD" || name == "HSET" {
                command.push(number.to_string().into_bytes());
            }
            command.push(format!("element {number} of {ELEMENTS}").into_bytes());
        }
        assert!(!ours.run("DEL k").is_error());
        assert!(!ours.command(&command).is_error());
        carry(&mut ours, &mut theirs, Some(REFERENCE_VERSION));
        carry(&mut theirs, &mut ours, None);
    }
}
