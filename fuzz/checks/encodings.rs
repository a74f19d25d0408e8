//! Blocks of snapshots whose frames are right: headers count what follows, lengths lead to the next element.
//! So the bytes decide about what is inside, which random bytes hardly ever reach. One byte may be damaged.

use super::{Choices, value};

const ELEMENTS_MAX: usize = 200;

/// Of the values in `rdb/mod.rs`: their type numbers, and which frame they have.
const TYPES: [(u8, Frame); 13] = [
    (11, Frame::Intset),
    (16, Frame::Listpack),
    (17, Frame::Listpack),
    (18, Frame::Nodes),
    (20, Frame::Listpack),
    (23, Frame::Listpack),
    (25, Frame::TimedListpack),
    (10, Frame::Ziplist),
    (12, Frame::Ziplist),
    (13, Frame::Ziplist),
    (15, Frame::Stream(1)),
    (19, Frame::Stream(2)),
    (21, Frame::Stream(3)),
];

#[derive(Clone, Copy)]
enum Frame {
    Intset,
    Listpack,
    TimedListpack,
    Nodes,
    Ziplist,
    Stream(u8),
}

/// Says whether the bytes were taken for a value.
pub fn check(data: &[u8]) -> bool {
    let mut choices = Choices(data);
    let (part, budget) = (usize::from(choices.byte()) * 8 + 1, usize::from(choices.byte()) + 1);
    value::check(&payload(&mut choices), part, budget)
}

fn payload(choices: &mut Choices<'_>) -> Vec<u8> {
    let (type_number, frame) = choices.pick(&TYPES);
    let damage = (choices.byte(), choices.byte(), choices.byte());
    let mut out = vec![type_number];
    match frame {
        Frame::Intset => text(&intset(choices), &mut out),
        Frame::Listpack => text(&listpack(choices), &mut out),
        Frame::TimedListpack => {
            out.extend_from_slice(&choices.word().to_le_bytes());
            text(&listpack(choices), &mut out);
        }
        Frame::Nodes => {
            let count = 1 + choices.below(4);
            length(count as u64, &mut out);
            for _ in 0..count {
                let plain = choices.below(4) == 0;
                length(if plain { 1 } else { 2 }, &mut out);
                text(&if plain { choices.text() } else { listpack(choices) }, &mut out);
            }
        }
        Frame::Ziplist => text(&ziplist(choices), &mut out),
        Frame::Stream(version) => stream(version, choices, &mut out),
    }
    if damage.0 % 4 == 1 {
        let place = usize::from(u16::from_le_bytes([damage.1, damage.0])) % out.len();
        out[place] ^= damage.2;
    }
    out
}

fn length(length: u64, out: &mut Vec<u8>) {
    match length {
        0..64 => out.push(length as u8),
        _ => {
            out.push(0x81);
            out.extend_from_slice(&length.to_be_bytes());
        }
    }
}

fn text(text: &[u8], out: &mut Vec<u8>) {
    length(text.len() as u64, out);
    out.extend_from_slice(text);
}

fn intset(choices: &mut Choices<'_>) -> Vec<u8> {
    let width = choices.pick(&[2usize, 4, 8, 2, 4, 8, 0, 1, 3]);
    let in_order = choices.below(4) > 0;
    let mut numbers = Vec::new();
    while !choices.is_empty() && numbers.len() < ELEMENTS_MAX {
        let bits = 64 - 8 * width.clamp(1, 8) as u32;
        numbers.push(choices.integer() << bits >> bits);
    }
    if in_order {
        numbers.sort_unstable();
        numbers.dedup();
    }
    let mut out = (width as u32).to_le_bytes().to_vec();
    out.extend_from_slice(&(numbers.len() as u32).to_le_bytes());
    numbers.iter().for_each(|number| out.extend_from_slice(&number.to_le_bytes()[..width]));
    out
}

/// A listpack that is written here, in forms that the product would not choose, too.
struct Listpack {
    bytes: Vec<u8>,
    count: usize,
}

impl Listpack {
    fn new() -> Listpack {
        Listpack { bytes: vec![0; 6], count: 0 }
    }

    fn integer(&mut self, number: i64) {
        let mut element = vec![0xF4];
        element.extend_from_slice(&number.to_le_bytes());
        self.element(element);
    }

    fn text(&mut self, text: &[u8]) {
        let mut element = match text.len() {
            length @ 0..64 => vec![0x80 | length as u8],
            length => [&[0xF0][..], &(length as u32).to_le_bytes()].concat(),
        };
        element.extend_from_slice(text);
        self.element(element);
    }

    fn chosen(&mut self, choices: &mut Choices<'_>) {
        match choices.below(8) {
            0..4 => self.text(&choices.text()),
            4 => self.element(vec![choices.byte() & 0x7F]),
            5 => {
                let (tag, width) = choices.pick(&[(0xC0, 1), (0xF1, 2), (0xF2, 3), (0xF3, 4), (0xF4, 8)]);
                let tag = if tag == 0xC0 { tag | choices.byte() & 0x1F } else { tag };
                let mut element = vec![tag];
                element.extend_from_slice(&choices.word().to_le_bytes()[..width]);
                self.element(element);
            }
            6 => self.integer(choices.integer()),
            _ => {
                let text = choices.text();
                let text = &text[..text.len().min(0xFFF)];
                let mut element = vec![0xE0 | (text.len() >> 8) as u8, text.len() as u8];
                element.extend_from_slice(text);
                self.element(element);
            }
        }
    }

    fn element(&mut self, element: Vec<u8>) {
        let mut length = element.len();
        self.bytes.extend_from_slice(&element);
        let mut backward = vec![(length & 0x7F) as u8];
        while length >= 0x80 {
            length >>= 7;
            backward.push((length & 0x7F) as u8);
        }
        // The first in memory is the highest, and the only one without the bit.
        backward.reverse();
        backward[1..].iter_mut().for_each(|byte| *byte |= 0x80);
        self.bytes.extend_from_slice(&backward);
        self.count += 1;
    }

    fn finish(mut self, counted: bool) -> Vec<u8> {
        self.bytes.push(0xFF);
        let total = (self.bytes.len() as u32).to_le_bytes();
        let count = if counted { self.count as u16 } else { u16::MAX };
        self.bytes[..4].copy_from_slice(&total);
        self.bytes[4..6].copy_from_slice(&count.to_le_bytes());
        self.bytes
    }
}

fn listpack(choices: &mut Choices<'_>) -> Vec<u8> {
    let mut listpack = Listpack::new();
    let counted = choices.below(8) > 0;
    let count = 1 + choices.below(ELEMENTS_MAX);
    for _ in 0..count {
        if choices.is_empty() {
            break;
        }
        listpack.chosen(choices);
    }
    listpack.finish(counted)
}

/// Bytes, where the last element begins, and how many there are; in front of each the length of the one before.
fn ziplist(choices: &mut Choices<'_>) -> Vec<u8> {
    let mut bytes = vec![0; 10];
    let (mut tail, mut before, mut count) = (10u32, 0usize, 0u16);
    while !choices.is_empty() && usize::from(count) < ELEMENTS_MAX {
        tail = bytes.len() as u32;
        let start = bytes.len();
        match u8::try_from(before) {
            Ok(before @ ..254) => bytes.push(before),
            _ => {
                bytes.push(254);
                bytes.extend_from_slice(&(before as u32).to_le_bytes());
            }
        }
        if choices.flag() {
            let text = choices.text();
            bytes.push(0x80);
            bytes.extend_from_slice(&(text.len() as u32).to_be_bytes());
            bytes.extend_from_slice(&text);
        } else {
            let (tag, width) =
                choices.pick(&[(0xC0, 2), (0xD0, 4), (0xE0, 8), (0xF0, 3), (0xFE, 1), (0xF5, 0)]);
            bytes.push(tag);
            bytes.extend_from_slice(&choices.word().to_le_bytes()[..width]);
        }
        before = bytes.len() - start;
        count += 1;
    }
    bytes.push(0xFF);
    let total = (bytes.len() as u32).to_le_bytes();
    bytes[..4].copy_from_slice(&total);
    bytes[4..8].copy_from_slice(&tail.to_le_bytes());
    bytes[8..10].copy_from_slice(&count.to_le_bytes());
    bytes
}

fn id(ms: u64, seq: u64, out: &mut Vec<u8>) {
    out.extend_from_slice(&ms.to_be_bytes());
    out.extend_from_slice(&seq.to_be_bytes());
}

/// Blocks one after the other, then the numbers and the groups.
fn stream(version: u8, choices: &mut Choices<'_>, out: &mut Vec<u8>) {
    let blocks = choices.below(4);
    length(blocks as u64, out);
    let (mut ms, mut entries) = (1 + u64::from(choices.byte()), 0);
    for _ in 0..blocks {
        let mut first = Vec::new();
        id(ms, 0, &mut first);
        text(&first, out);
        text(&stream_block(choices, &mut ms, &mut entries), out);
    }
    length(entries, out);
    let last = if choices.below(4) == 0 { u64::MAX } else { ms };
    length(last, out);
    length(if last == ms { 1000 } else { u64::MAX }, out);
    if version > 1 {
        for _ in 0..4 {
            length(choices.integer() as u64, out);
        }
        length(choices.integer() as u64, out);
    }
    let groups = choices.below(3);
    length(groups as u64, out);
    for number in 0..groups {
        group(version, number, choices, out);
    }
}

fn stream_block(choices: &mut Choices<'_>, ms: &mut u64, entries: &mut u64) -> Vec<u8> {
    let first = *ms;
    let names: Vec<Vec<u8>> = (0..choices.below(4)).map(|_| choices.text()).collect();
    let (mut rest, mut live, mut deleted) = (Listpack::new(), 0, 0);
    let mut seq = 0u64;
    for _ in 0..1 + choices.below(12) {
        let flags = choices.below(4) as i64;
        match choices.below(4) {
            0 => *ms += 1 + u64::from(choices.byte()),
            1 => *ms = ms.saturating_add(choices.word() >> 8),
            _ => seq += 1 + u64::from(choices.byte()),
        }
        rest.integer(flags);
        rest.integer(ms.wrapping_sub(first) as i64);
        rest.integer(seq as i64);
        let fields = if flags & 2 == 0 { 1 + choices.below(3) } else { names.len() };
        if flags & 2 == 0 {
            rest.integer(fields as i64);
        }
        for _ in 0..if flags & 2 == 0 { 2 * fields } else { fields } {
            rest.chosen(choices);
        }
        rest.integer(if flags & 2 == 0 { 2 * fields + 4 } else { fields + 3 } as i64);
        if flags & 1 == 0 { live += 1 } else { deleted += 1 }
    }
    *entries += live as u64;
    *ms = ms.saturating_add(1);
    let mut block = Listpack::new();
    block.integer(live);
    block.integer(deleted);
    block.integer(names.len() as i64);
    names.iter().for_each(|name| block.text(name));
    block.integer(0);
    block.count += rest.count;
    block.bytes.extend_from_slice(&rest.bytes[6..]);
    block.finish(true)
}

fn group(version: u8, number: usize, choices: &mut Choices<'_>, out: &mut Vec<u8>) {
    text(if choices.below(8) == 0 { b"same" } else { &b"ab"[number..=number] }, out);
    length(choices.integer() as u64, out);
    length(choices.integer() as u64, out);
    if version > 1 {
        length(choices.integer() as u64, out);
    }
    let pending = choices.below(6) as u64;
    length(pending, out);
    for number in 0..pending {
        id(number, 1, out);
        out.extend_from_slice(&choices.word().to_le_bytes());
        length(choices.integer() as u64, out);
    }
    let consumers = choices.below(3) as u64 + u64::from(pending > 0);
    length(consumers, out);
    for consumer in 0..consumers {
        text(if choices.below(16) == 0 { b"" } else { &b"xyz"[consumer as usize..][..1] }, out);
        out.extend_from_slice(&choices.word().to_le_bytes());
        if version > 2 {
            out.extend_from_slice(&choices.word().to_le_bytes());
        }
        // Every pending entry belongs to one consumer.
        let own = (0..pending).filter(|number| number % consumers == consumer);
        length(own.clone().count() as u64, out);
        own.for_each(|number| id(number, 1, out));
    }
}
