//! Any cut of any byte stream gives the same commands and the same error as the whole.
//!
//! The first bytes say how the rest is cut: a limit byte, a count, and that many cut lengths. The cut
//! lengths repeat until the stream is used up; a length byte above 127 stands for thousands.
#![no_main]

#[path = "../../tests/support/reader.rs"]
mod reader;

use libfuzzer_sys::fuzz_target;
use polder::resp::parse::Limits;
use reader::Reader;

const CUTS_MAX: usize = 16;

fuzz_target!(|data: &[u8]| {
    let [flags, count, rest @ ..] = data else { return };
    let count = (*count as usize % CUTS_MAX).min(rest.len());
    let (cuts, stream) = rest.split_at(count);
    let limits = Limits { bulk_bytes_max: 1 << 20, authenticated: flags & 1 == 0 };
    // Long values are rare in a fuzzer's streams: a marked byte becomes a long stretch.
    let stream = if flags & 2 == 0 { stream.to_vec() } else { stretch(stream) };
    let whole = Reader::new(limits, Box::new(|_| None)).read([&stream[..]]);
    let mut turn = 0usize;
    let stops = flags & 4 != 0;
    let stop = |frames: usize| {
        turn += 1;
        let chosen = cuts.get(turn % cuts.len().max(1)).copied().unwrap_or(0) as usize + turn;
        // One in three runs to its end, so that every stream comes to its own.
        (stops && !chosen.is_multiple_of(3)).then_some(chosen % (frames + 1))
    };
    let cut = Reader::new(limits, Box::new(stop)).read(pieces(&stream, cuts));
    assert_eq!(whole, cut);
});

/// Repeats what follows a zero byte 40,000 times.
fn stretch(stream: &[u8]) -> Vec<u8> {
    let mut long = Vec::new();
    let mut stretched = false;
    let mut bytes = stream.iter();
    while let Some(&byte) = bytes.next() {
        match bytes.as_slice().first() {
            Some(&next) if byte == 0 && !stretched => {
                long.resize(long.len() + 40_000, next);
                stretched = true;
            }
            _ => long.push(byte),
        }
    }
    long
}

fn pieces<'a>(stream: &'a [u8], cuts: &[u8]) -> Vec<&'a [u8]> {
    let mut pieces = Vec::new();
    let mut rest = stream;
    let mut lengths = cuts.iter().cycle();
    while !rest.is_empty() {
        let length = match lengths.next() {
            Some(&byte) if byte > 127 => (byte as usize - 127) * 300,
            Some(&byte) => byte as usize + 1,
            None => rest.len(),
        };
        let (piece, after) = rest.split_at(length.min(rest.len()));
        pieces.push(piece);
        rest = after;
    }
    pieces
}
