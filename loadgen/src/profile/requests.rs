//! The requests of a profile while a load runs: drawn by weight, their keys by distribution, and written.

use std::io::Write;

use super::route::Routes;
use crate::draws::{Distribution, draw};
use crate::keys::Random;

/// Different keys in one request.
pub(super) const KEYS_MAX: usize = 16;

/// What the requests of a profile are made of.
#[derive(Debug, Clone)]
pub struct Compiled {
    /// Of a cluster: where each request belongs.
    pub(super) routes: Option<Routes>,
    pub(super) spaces: Vec<Space>,
    /// Lengths of values: from, to, and the weight of this range.
    pub(super) values: Vec<(u64, u64, f64)>,
    /// Seconds, in the same way.
    pub(super) ttls: Vec<(u64, u64, f64)>,
    /// Values are cut out of these.
    pub(super) letters: Vec<u8>,
    /// One for each kind: operations, what follows them, what connections of their own send.
    pub(super) requests: Vec<Request>,
    /// The operations with the sums of their weights up to each.
    pub(super) operations: Vec<(u16, u64)>,
    pub(super) total_weight: u64,
}

#[derive(Debug, Clone)]
pub(super) struct Space {
    pub(super) name: String,
    pub(super) prefix: String,
    pub(super) count: u64,
    pub(super) distribution: Distribution,
    pub(super) tag: bool,
}

#[derive(Debug, Clone, Default)]
pub(super) struct Request {
    pub(super) segments: Vec<Segment>,
    /// The key space of each key of the request.
    pub(super) keys: Vec<u16>,
}

#[derive(Debug, Clone)]
pub(super) enum Segment {
    /// Words that are always the same, as they travel.
    Fixed(Vec<u8>),
    /// A word that is put together anew.
    Word(Vec<Piece>),
}

#[derive(Debug, Clone, PartialEq)]
pub enum Piece {
    Text(Vec<u8>),
    /// The request's key of this number.
    Key(u16),
    Value,
    Ttl,
    Integer(i64, i64),
    Float(f64, f64),
    /// Counts the requests of a connection.
    Sequence,
    Connection,
    TimeMs,
}

/// What a connection draws from, besides its random numbers.
#[derive(Debug, Clone, Default)]
pub struct State {
    /// How often it drew from each key space.
    steps: Vec<u64>,
    sequence: u64,
    word: Vec<u8>,
    /// The connection's number, counted over all threads.
    connection: u64,
    /// The node of a cluster that it leads to.
    node: usize,
}

impl State {
    pub fn new(connection: u64, node: usize) -> State {
        State { connection, node, ..State::default() }
    }

    /// The number of the request that was drawn last, and room to put its key together.
    pub(super) fn for_key(&mut self) -> (u64, &mut Vec<u8>) {
        (self.sequence, &mut self.word)
    }
}

/// A request that is drawn and not written yet.
pub(super) struct Drawn {
    pub kind: u16,
    pub keys: [u64; KEYS_MAX],
}

pub(super) fn append_word(bytes: &mut Vec<u8>, word: &[u8]) {
    // Writing to a vector does not fail.
    let _ = write!(bytes, "${}\r\n", word.len());
    bytes.extend_from_slice(word);
    bytes.extend_from_slice(b"\r\n");
}

fn pick(parts: &[(u64, u64, f64)], random: &mut Random) -> u64 {
    let part = match parts {
        [only] => only,
        parts => {
            let total: f64 = parts.iter().map(|part| part.2).sum();
            let mut left = random.unit() * total;
            let found = parts.iter().find(|part| {
                left -= part.2;
                left < 0.0
            });
            found.unwrap_or(&parts[parts.len() - 1])
        }
    };
    if part.0 == part.1 { part.0 } else { part.0 + random.below(part.1 - part.0 + 1) }
}

/// What the pieces of a request may show.
#[derive(Clone, Copy)]
struct Shown<'a> {
    request: &'a Request,
    keys: &'a [u64],
    sequence: u64,
    connection: u64,
}

impl Compiled {
    /// The key spaces of a request's keys.
    pub(super) fn key_spaces(&self, request: usize) -> &[u16] {
        &self.requests[request].keys
    }

    /// What stands before a key's number, and whether it stands in braces.
    pub(super) fn key_frame(&self, space: u16) -> (&str, bool) {
        let space = &self.spaces[space as usize];
        (&space.prefix, space.tag)
    }

    /// The nodes of `count` connections that send the load, or requests of one kind; `nodes` there are.
    pub fn place(&self, kind: Option<u16>, count: usize, nodes: usize) -> Result<Vec<usize>, String> {
        match &self.routes {
            Some(routes) => routes.place(self, kind, count),
            None => Ok((0..count).map(|number| number % nodes).collect()),
        }
    }

    /// Appends an operation, drawn by its weight: its kind and its first key.
    pub fn append(&self, buffer: &mut Vec<u8>, random: &mut Random, state: &mut State) -> (u16, u64) {
        let drawn = self.draw_for_node(None, random, state);
        self.write(&drawn, buffer, random, state);
        (drawn.kind, drawn.keys[0])
    }

    /// Appends a request of this kind; its first key, which may be given.
    pub fn append_kind(
        &self,
        kind: u16,
        first_key: Option<u64>,
        buffer: &mut Vec<u8>,
        random: &mut Random,
        state: &mut State,
    ) {
        let drawn = match first_key {
            Some(_) => self.draw(Some(kind), first_key, random, state),
            None => self.draw_for_node(Some(kind), random, state),
        };
        self.write(&drawn, buffer, random, state);
    }

    /// Appends a request of this kind to the buffer of the node that it belongs to; which one that is.
    pub fn append_by_node(
        &self,
        kind: u16,
        first_key: u64,
        buffers: &mut [Vec<u8>],
        random: &mut Random,
        state: &mut State,
    ) -> usize {
        let drawn = self.draw(Some(kind), Some(first_key), random, state);
        let node = self.routes.as_ref().map_or(0, |routes| routes.node(kind, &drawn.keys, random, state));
        self.write(&drawn, &mut buffers[node], random, state);
        node
    }

    /// Draws until a request belongs to the connection's node.
    #[inline]
    fn draw_for_node(&self, kind: Option<u16>, random: &mut Random, state: &mut State) -> Drawn {
        loop {
            let drawn = self.draw(kind, None, random, state);
            match &self.routes {
                Some(routes) if routes.node(drawn.kind, &drawn.keys, random, state) != state.node => {}
                _ => return drawn,
            }
        }
    }

    /// Draws the keys of a request of this kind, or of an operation.
    #[inline]
    pub(super) fn draw(
        &self,
        kind: Option<u16>,
        first_key: Option<u64>,
        random: &mut Random,
        state: &mut State,
    ) -> Drawn {
        let kind = kind.unwrap_or_else(|| {
            let point = random.below(self.total_weight);
            let operation = self.operations.iter().find(|operation| point < operation.1);
            operation.map_or(0, |operation| operation.0)
        });
        state.sequence += 1;
        state.steps.resize(self.spaces.len(), 0);
        let mut keys = [0; KEYS_MAX];
        let spaces = &self.requests[kind as usize].keys;
        for (position, (key, &space)) in keys.iter_mut().zip(spaces).enumerate() {
            let (space, step) = (&self.spaces[space as usize], &mut state.steps[space as usize]);
            *key = match first_key {
                Some(first) if position == 0 => first,
                _ => draw(&space.distribution, space.count, step, random),
            };
        }
        Drawn { kind, keys }
    }

    fn write(&self, drawn: &Drawn, buffer: &mut Vec<u8>, random: &mut Random, state: &mut State) {
        let request = &self.requests[drawn.kind as usize];
        let (sequence, connection) = (state.sequence, state.connection);
        let shown = Shown { request, keys: &drawn.keys, sequence, connection };
        for segment in &request.segments {
            match segment {
                Segment::Fixed(bytes) => buffer.extend_from_slice(bytes),
                Segment::Word(pieces) => {
                    let word = &mut state.word;
                    word.clear();
                    for piece in pieces {
                        self.append_piece(piece, &shown, word, random);
                    }
                    append_word(buffer, word);
                }
            }
        }
    }

    fn append_piece(&self, piece: &Piece, shown: &Shown<'_>, word: &mut Vec<u8>, random: &mut Random) {
        let Shown { request, keys, sequence, connection } = *shown;
        // Writing to a vector does not fail.
        let _ = match piece {
            Piece::Text(text) => {
                word.extend_from_slice(text);
                Ok(())
            }
            Piece::Key(slot) => {
                let space = &self.spaces[request.keys[*slot as usize] as usize];
                let number = keys[*slot as usize];
                word.extend_from_slice(space.prefix.as_bytes());
                if space.tag { write!(word, "{{{number}}}") } else { write!(word, "{number}") }
            }
            Piece::Value => {
                let mut left = pick(&self.values, random) as usize;
                while left > 0 {
                    let part = left.min(self.letters.len());
                    let start = random.below((self.letters.len() - part + 1) as u64) as usize;
                    word.extend_from_slice(&self.letters[start..start + part]);
                    left -= part;
                }
                Ok(())
            }
            Piece::Ttl => write!(word, "{}", pick(&self.ttls, random)),
            Piece::Integer(low, high) => {
                write!(word, "{}", low + random.below((high - low) as u64 + 1) as i64)
            }
            Piece::Float(low, high) => write!(word, "{:.6}", low + random.unit() * (high - low)),
            Piece::Sequence => write!(word, "{sequence}"),
            Piece::Connection => write!(word, "{connection}"),
            Piece::TimeMs => {
                let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
                write!(word, "{}", now.unwrap_or_default().as_millis())
            }
        };
    }
}
