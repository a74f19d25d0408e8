//! Any bytes are refused as a value or are one, which is written and read back as it is; the encoder's pieces
//! and the decoder's parts make no difference.
//!
//! The first byte says how long the parts are that the decoder gets, the second how large a budget is.
#![no_main]

use libfuzzer_sys::fuzz_target;
use polder::keyspace::Moved;
use polder::persist::rdb::{Decoder, Encoder, Input, dump, restore, verify};
use polder::types::Limits;

fuzz_target!(|data: &[u8]| {
    let [part, budget, bytes @ ..] = data else { return };
    let (part, budget) = (*part as usize * 8 + 1, *budget as usize + 1);
    let whole = restore(bytes, Limits::default());
    let in_parts = read_in_parts(bytes, part, budget);
    let (Ok(value), Some(again)) = (&whole, &in_parts) else {
        assert!(whole.is_err() && in_parts.is_none());
        return;
    };
    let written = write_in_pieces(value, budget);
    let payload = dump(value.value(), true);
    assert_eq!(verify(&payload), Some(&written[..]));
    // The order of a large set or hash is its own; what it holds is not.
    assert_eq!(size(again), size(value));
    let back = restore(&written, Limits::default()).expect("what was written is a value");
    assert_eq!(size(&back), size(value));
});

fn size(value: &Moved) -> usize {
    dump(value.value(), false).len()
}

fn write_in_pieces(value: &Moved, budget: usize) -> Vec<u8> {
    let (mut encoder, mut out) = (Encoder::new(true), Vec::new());
    while !encoder.step(value.value(), budget, &mut out) {}
    out
}

fn read_in_parts(bytes: &[u8], part: usize, budget: usize) -> Option<Moved> {
    let mut decoder = Decoder::new(*bytes.first()?, Limits::default()).ok()?;
    let (mut read, mut there) = (1, 1);
    loop {
        let slice = &bytes[read..there];
        let mut input = if there == bytes.len() { Input::whole(slice) } else { Input::part(slice) };
        if let Some(value) = decoder.step(&mut input, budget).ok()? {
            return (read + input.position() == bytes.len()).then_some(value);
        }
        read += input.position();
        there = (there + part).min(bytes.len());
    }
}
