//! HyperLogLogs go from redis-server to polder and back as the strings that they are: each side counts what the
//! other has made, adds to it, and makes the same bytes of it.

mod support;

use support::client::{Client, Reply};
use support::random::{Random, seed};
use support::server::{Server, Variant};

fn words(line: &str) -> Vec<Vec<u8>> {
    line.split(' ').map(|word| word.as_bytes().to_vec()).collect()
}

fn run(client: &mut Client, command: &[Vec<u8>]) -> Reply {
    client.command(command)
}

fn get(client: &mut Client, key: &str) -> Vec<u8> {
    match run(client, &words(&format!("GET {key}"))) {
        Reply::Bulk(bytes) => bytes,
        reply => panic!("GET {key}: {reply:?}"),
    }
}

fn set(client: &mut Client, key: &str, value: &[u8]) {
    let command = vec![b"SET".to_vec(), key.as_bytes().to_vec(), value.to_vec()];
    assert_eq!(run(client, &command), Reply::ok());
}

fn add(client: &mut Client, key: &str, elements: &[u64]) -> Reply {
    let mut command = words(&format!("PFADD {key}"));
    command.extend(elements.iter().map(|element| element.to_string().into_bytes()));
    run(client, &command)
}

#[test]
fn strings_of_either_side_are_those_of_the_other() {
    let seed = seed("hyperloglog", "strings_of_either_side");
    let mut random = Random::new(seed);
    let servers: [Server; 2] = [Variant::Reference.start(&[]), Variant::Polder { shards: 4 }.start(&[])];
    let [mut reference, mut polder] = servers.each_ref().map(|server| server.client());
    // From a few elements over the longest sparse form to dense ones.
    for (round, count) in [1, 10, 200, 900, 1300, 1800, 5000, 40_000].into_iter().enumerate() {
        let range = 1 + random.below(3 * count) as u64;
        let elements: Vec<u64> = (0..count).map(|_| random.next() % range).collect();
        let (key, other) = (format!("{{{round}}}a"), format!("b{round}"));
        for part in elements.chunks(777) {
            assert_eq!(add(&mut reference, &key, part), add(&mut polder, &key, part));
        }
        let made = get(&mut polder, &key);
        assert!(made == get(&mut reference, &key), "{count} elements make other bytes");
        set(&mut polder, &other, &made);
        set(&mut reference, &other, &made);
        let more: Vec<u64> = (0..20).map(|_| random.next()).collect();
        for line in [
            format!("PFCOUNT {key}"),
            format!("PFCOUNT {other}"),
            format!("PFCOUNT {other} {key}"),
            format!("PFDEBUG ENCODING {other}"),
        ] {
            assert_eq!(run(&mut reference, &words(&line)), run(&mut polder, &words(&line)), "{line}");
        }
        assert_eq!(add(&mut reference, &other, &more), add(&mut polder, &other, &more));
        let merge = words(&format!("PFMERGE all {key} {other}"));
        assert_eq!(run(&mut reference, &merge), run(&mut polder, &merge));
        for key in [&key, &other, "all"] {
            assert!(get(&mut polder, key) == get(&mut reference, key), "{key} of {count} elements");
        }
    }
}
