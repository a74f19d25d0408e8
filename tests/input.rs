//! The way from bytes to commands: however a stream is cut, and wherever serving it stops for a while, the
//! commands and the error at its end are the same. Garbage neither panics nor makes anything large.

mod support;

use polder::resp::parse::Limits;
use support::client::encode;
use support::random::{Random, seed};
use support::reader::Reader;

const STREAMS: usize = 600;
const CUTS_PER_STREAM: usize = 8;

fn limits(random: &mut Random) -> Limits {
    Limits {
        bulk_bytes_max: *random.pick(&[512 << 20, 512 << 20, 100_000]),
        authenticated: !random.one_in(8),
    }
}

fn argument(random: &mut Random) -> Vec<u8> {
    let length = match random.below(40) {
        0 => 32 * 1024 - 2 + random.below(5),
        1 => 33_000 + random.below(80_000),
        2..=5 => random.below(3_000),
        _ => random.below(12),
    };
    if random.one_in(4) {
        b"\r\n$*10 \"'\\".repeat(length / 9 + 1)[..length].to_vec()
    } else {
        random.bytes(length)
    }
}

/// A valid pipeline, with an error or a cut command at its end now and then.
fn stream(random: &mut Random) -> Vec<u8> {
    let mut bytes = Vec::new();
    let commands = if random.one_in(30) { 1_000 + random.below(2_200) } else { random.below(12) };
    for _ in 0..commands {
        match random.below(12) {
            0 => bytes.extend_from_slice(b"PING\r\n"),
            1 => bytes.extend_from_slice(b"SET \"a \\x41\\n\" 'it\\'s'  plain\n"),
            2 => bytes.extend_from_slice(random.pick::<&[u8]>(&[
                b"\r\n".as_slice(),
                b"*0\r\n",
                b"*-1\r\n",
                b"\n",
                b"  \r\n",
            ])),
            _ => {
                let count = if random.one_in(50) { 500 } else { 1 + random.below(5) };
                let big = commands < 100;
                let arguments: Vec<Vec<u8>> = (0..count)
                    .map(|_| {
                        let mut argument = argument(random);
                        argument.truncate(if big && count < 10 { usize::MAX } else { 20 });
                        argument
                    })
                    .collect();
                bytes.extend(encode(&arguments));
            }
        }
    }
    let broken: &[&[u8]] = &[
        b"*x\r\n",
        b"*1\r\n:1\r\n",
        b"*2\r\n$1\r\na\r\n$-5\r\n",
        b"*2\r\n$1\r\na\r\n$999999999999\r\n",
        b"*1\r\n$150000\r\n",
        b"*99999999999\r\n",
        b"GET \"a\r\n",
        b"*11\r\n$1\r\na\r\n",
    ];
    match random.below(6) {
        0 => bytes.extend_from_slice(random.pick::<&[u8]>(broken)),
        1 => bytes.truncate(random.below(bytes.len() + 1)),
        // Lines around the longest that is taken.
        2 if random.one_in(10) => {
            bytes.extend_from_slice(random.pick::<&[u8]>(&[
                b"*".as_slice(),
                b"*1\r\n$",
                b"*1\r\nx",
                b"SET ",
            ]));
            bytes.extend(vec![b'1'; 65_530 + random.below(12)]);
            bytes.extend_from_slice(b"\r\n");
        }
        3 => bytes.extend_from_slice(b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$300000000\r\nabc"),
        _ => {}
    }
    bytes
}

/// Cuts a stream into pieces of one magnitude or of all.
fn cut<'a>(bytes: &'a [u8], random: &mut Random) -> Vec<&'a [u8]> {
    let longest = *random.pick(&[1, 2, 7, 100, 5_000, 8_192, 40_000]);
    // Single bytes of a long stream would take long, too.
    let longest = longest.max(bytes.len() / 5_000);
    let mut pieces = Vec::new();
    let mut rest = bytes;
    while !rest.is_empty() {
        let (piece, after) = rest.split_at((1 + random.below(longest)).min(rest.len()));
        pieces.push(piece);
        rest = after;
    }
    pieces
}

/// Reads the stream whole and in pieces, with and without stops.
fn check(bytes: &[u8], limits: Limits, random: &mut Random) {
    let (commands, error) = Reader::new(limits, Box::new(|_| None)).read([bytes]);
    for _ in 0..CUTS_PER_STREAM {
        let pieces = cut(bytes, random);
        let mut chance = random.clone();
        let stops = random.one_in(2);
        let stop = move |count: usize| (stops && chance.one_in(3)).then(|| chance.below(count + 1));
        let (cut_commands, cut_error) = Reader::new(limits, Box::new(stop)).read(pieces.iter().copied());
        let same = commands.iter().zip(&cut_commands).take_while(|(whole, cut)| whole == cut).count();
        assert!(
            same == commands.len() && same == cut_commands.len() && error == cut_error,
            "{} bytes in {} pieces (stops: {stops}): {} commands and {error:?} as a whole, \
             {} commands and {cut_error:?} cut, the first {same} the same",
            bytes.len(),
            pieces.len(),
            commands.len(),
            cut_commands.len()
        );
        random.next();
    }
}

#[test]
fn any_cut_gives_the_same_commands() {
    let mut random = Random::new(seed("input", "any_cut_gives_the_same_commands"));
    for _ in 0..STREAMS {
        let (bytes, limits) = (stream(&mut random), limits(&mut random));
        check(&bytes, limits, &mut random);
    }
}

#[test]
fn garbage_is_read_without_harm() {
    let mut random = Random::new(seed("input", "garbage_is_read_without_harm"));
    let alphabet = b"*$\r\n0123456789-:\"'\\x GET";
    for round in 0..3_000 {
        let bytes = match round % 3 {
            0 => {
                let length = random.below(400);
                random.bytes(length)
            }
            1 => (0..random.below(400)).map(|_| *random.pick(alphabet)).collect(),
            // A valid stream with some bytes changed.
            _ => {
                let mut bytes = stream(&mut random);
                bytes.truncate(3_000);
                for _ in 0..random.below(6).min(bytes.len()) {
                    let position = random.below(bytes.len());
                    bytes[position] = *random.pick(alphabet);
                }
                bytes
            }
        };
        let limits = limits(&mut random);
        check(&bytes, limits, &mut random);
    }
}

/// A line that is too long is too long even if its end has come with it.
#[test]
fn a_long_line_is_refused_however_it_arrives() {
    let limits = Limits { bulk_bytes_max: 512 << 20, authenticated: true };
    for (head, error) in [
        ("*", "too big mbulk count string"),
        ("*1\r\n$", "too big bulk count string"),
        ("*1\r\nx", "too big bulk count string"),
        ("", "too big inline request"),
    ] {
        let line = [head.as_bytes(), &vec![b'1'; 70_000], b"\r\n"].concat();
        for size in [line.len(), 8_192, 65_000] {
            let (_, found) = Reader::new(limits, Box::new(|_| None)).read(line.chunks(size));
            let found = found.unwrap_or_default();
            assert!(found.contains(error), "{head:?} in pieces of {size}: {found:?} instead of {error:?}");
        }
    }
}
