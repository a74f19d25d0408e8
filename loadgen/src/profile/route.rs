//! Which node of a cluster each request of a profile belongs to.
//!
//! ```text
//!   once     COMMAND GETKEYS: which words are keys ─► of each key what decides its slot ─► a route for each kind
//!            many draws ─► which share of the requests each node gets ─► so many connections lead to it
//!   request  drawn anew until its route leads to the connection's node
//! ```
//!
//! So on each node the requests are those that the profile has for it, and all nodes together have the profile's
//! own mixture as long as they are equally fast: in a closed loop a slower node's connections send fewer. The
//! commands of a request travel together: all their keys must share a slot, which is known before anything is
//! sent if their hash tags are made of the same pieces.

use polder::keyspace::slot_of;

use super::compile::{Parts, Written};
use super::requests::{Compiled, Piece, State};
use crate::client::{Client, Value, encode};
use crate::keys::Random;
use crate::topology::Topology;
use crate::units;

/// Draws from which the nodes' shares are taken.
const SAMPLES: usize = 50_000;
/// A node with a smaller share of the requests gets no connection: finding its requests among all would take
/// longer than sending them.
const SHARE_MIN: f64 = 0.001;
/// If a node's part of the connections differs from its share of the requests by more than this, it is told.
const UNEVEN: f64 = 0.2;
/// So begins the error of COMMAND GETKEYS for a command without keys.
const KEYLESS: &str = "ERR The command has no key arguments";

/// The way of each kind of request.
#[derive(Debug, Clone)]
pub struct Routes {
    topology: Topology,
    /// One for each of the compiled requests.
    of_kind: Vec<Route>,
}

#[derive(Debug, Clone, PartialEq)]
enum Route {
    /// It has no key.
    Anywhere,
    /// Its keys are always the same.
    Node(usize),
    /// What decides the slot.
    ByKey(Vec<HashPiece>),
}

/// A part of a hash tag, or of a key without one.
#[derive(Debug, Clone, PartialEq)]
enum HashPiece {
    Text(Vec<u8>),
    /// The number that was drawn for the request's key at this position.
    Number(u16),
    Sequence,
    /// What is drawn only when the request is written.
    Late,
}

impl Routes {
    /// The node that a drawn request belongs to; any, if it has no key.
    pub fn node(&self, kind: u16, keys: &[u64], random: &mut Random, state: &mut State) -> usize {
        match &self.of_kind[kind as usize] {
            Route::Anywhere => random.below(self.topology.nodes.len() as u64) as usize,
            Route::Node(node) => *node,
            Route::ByKey(pieces) => {
                let (sequence, word) = state.for_key();
                word.clear();
                for piece in pieces {
                    match piece {
                        HashPiece::Text(text) => word.extend_from_slice(text),
                        HashPiece::Number(position) => append_number(word, keys[*position as usize]),
                        HashPiece::Sequence => append_number(word, sequence),
                        HashPiece::Late => {}
                    }
                }
                self.topology.owner(word)
            }
        }
    }

    /// Which share of the requests each node gets: of one kind, or of the load.
    fn shares(&self, compiled: &Compiled, kind: Option<u16>) -> Vec<f64> {
        let (mut random, mut state) = (Random::new(0, u64::MAX), State::default());
        let mut counts = vec![0u32; self.topology.nodes.len()];
        for _ in 0..SAMPLES {
            let drawn = compiled.draw(kind, None, &mut random, &mut state);
            counts[self.node(drawn.kind, &drawn.keys, &mut random, &mut state)] += 1;
        }
        counts.iter().map(|&count| f64::from(count) / SAMPLES as f64).collect()
    }

    /// The node of each connection: of `count` that send the load, or requests of one kind.
    pub fn place(&self, compiled: &Compiled, kind: Option<u16>, count: usize) -> Result<Vec<usize>, String> {
        let shares = self.shares(compiled, kind);
        let placed = place(&shares, count)?;
        for (node, &share) in shares.iter().enumerate().filter(|(_, share)| **share > 0.0) {
            let connections = placed.iter().filter(|other| **other == node).count();
            let given = connections as f64 / count as f64;
            if (given / share - 1.0).abs() > UNEVEN {
                eprintln!(
                    "NOTE: {}: {} of the requests belong to it, but {connections} of {count} connections lead to it, so \
                     that it gets another share: more connections come closer",
                    self.topology.nodes[node],
                    units::percent(share)
                );
            }
        }
        Ok(placed)
    }
}

fn append_number(word: &mut Vec<u8>, number: u64) {
    // Writing to a vector does not fail.
    let _ = std::io::Write::write_fmt(word, format_args!("{number}"));
}

/// Spreads connections in proportion to the shares, each node's as evenly over the others as can be. The error
/// says how many are needed.
fn place(shares: &[f64], count: usize) -> Result<Vec<usize>, String> {
    let shares: Vec<f64> = shares.iter().map(|&share| if share < SHARE_MIN { 0.0 } else { share }).collect();
    let wanted = shares.iter().filter(|share| **share > 0.0).count();
    if count < wanted {
        return Err(format!(
            "keys of the profile lie on {wanted} nodes, and each needs a connection of its own: {count} are too few"
        ));
    }
    let mut counts: Vec<usize> = shares.iter().map(|share| usize::from(*share > 0.0)).collect();
    for _ in wanted..count {
        // Whoever has fewest for its share gets the next.
        let need = |node: &usize| shares[*node] / (counts[*node] as f64 + 0.5);
        let nodes = (0..shares.len()).filter(|&node| shares[node] > 0.0);
        let next = nodes.max_by(|a, b| need(a).total_cmp(&need(b))).unwrap_or(0);
        counts[next] += 1;
    }
    // In turns, weighted: each gains its count, and whoever has most pays for all.
    let mut credit = vec![0i64; shares.len()];
    let turns = (0..count).map(|_| {
        credit.iter_mut().zip(&counts).for_each(|(credit, &count)| *credit += count as i64);
        let next = (0..credit.len()).max_by_key(|&node| (credit[node], usize::MAX - node)).unwrap_or(0);
        credit[next] -= count as i64;
        next
    });
    Ok(turns.collect())
}

impl Parts {
    /// Finds out where each request belongs; the error names the line of what belongs to several nodes.
    pub fn route(&mut self, client: &mut Client, topology: &Topology) -> Result<(), String> {
        let mut of_kind: Vec<Route> = Vec::new();
        for (number, request) in self.written.iter().enumerate() {
            let spaces = self.compiled.key_spaces(number);
            of_kind.push(route_of(request, &self.compiled, spaces, client, topology)?);
        }
        for (kind, check) in self.checks.iter().enumerate() {
            let Some(follow_up) = check.follow_up else { continue };
            // What follows goes over the same connection, with the first key of the request that missed.
            let (route, followed) = (&of_kind[follow_up as usize], &of_kind[kind]);
            let has_sequence = matches!(route, Route::ByKey(pieces) if pieces.contains(&HashPiece::Sequence));
            if *route != Route::Anywhere && (route != followed || has_sequence) {
                let word = &self.written[follow_up as usize][0][0];
                return Err(wrong(word, "what follows upon a miss must have the key that was missed"));
            }
        }
        for command in &mut self.setup {
            let words = std::slice::from_ref(&command.words);
            command.node = match route_of(words, &self.compiled, &[], client, topology)? {
                Route::Node(node) => Some(node),
                _ => None,
            };
        }
        self.compiled.routes = Some(Routes { topology: topology.clone(), of_kind });
        Ok(())
    }
}

/// The common route of all keys in a request; `spaces` are those of its drawn keys.
fn route_of(
    request: &[Vec<Written>],
    compiled: &Compiled,
    spaces: &[u16],
    client: &mut Client,
    topology: &Topology,
) -> Result<Route, String> {
    let mut first: Option<(Vec<HashPiece>, &Written)> = None;
    for command in request {
        for word in key_words(command, client)? {
            let part = hash_part(&word.pieces, compiled, spaces);
            if part.contains(&HashPiece::Late) {
                return Err(wrong(
                    word,
                    "which node owns this key is not known before it is drawn: in a cluster keys are made of key \
                     spaces, {sequence} and text",
                ));
            }
            match &first {
                None => first = Some((part, word)),
                Some((known, other))
                    if *known != part && slot_in(known) != slot_in(&part).or(Some(u16::MAX)) =>
                {
                    return Err(wrong(
                        word,
                        &format!(
                            "belongs to another slot of the cluster than '{}' in the same request: let them share a \
                             hash tag (tag = true in the key space, and one key in both)",
                            other.text
                        ),
                    ));
                }
                Some(_) => {}
            }
        }
    }
    Ok(match first {
        None => Route::Anywhere,
        Some((part, _)) => match text_in(&part) {
            Some(text) => Route::Node(topology.owner(&text)),
            None => Route::ByKey(part),
        },
    })
}

fn wrong(word: &Written, reason: &str) -> String {
    format!("line {}: commands: '{}': {reason}", word.line, word.text)
}

/// Those words of a command that the server takes for keys.
fn key_words<'a>(command: &'a [Written], client: &mut Client) -> Result<Vec<&'a Written>, String> {
    if command.len() < 2 {
        return Ok(Vec::new());
    }
    // Words that are drawn are told apart by their positions.
    let sample = |(position, word): (usize, &Written)| match &word.pieces[..] {
        [] => String::new(),
        [Piece::Text(text)] => String::from_utf8_lossy(text).into_owned(),
        _ => format!("word-{position}"),
    };
    let samples: Vec<String> = command.iter().enumerate().map(sample).collect();
    let mut words = vec!["COMMAND", "GETKEYS"];
    words.extend(samples.iter().map(String::as_str));
    let asked = client.send(encode(&words).as_bytes()).and_then(|()| client.receive());
    let keys = match asked.map_err(|error| format!("COMMAND GETKEYS: {error}"))? {
        Value::Array(keys) => keys,
        Value::Error(error) if error.starts_with(KEYLESS) => return Ok(Vec::new()),
        Value::Error(error) => {
            return Err(wrong(
                &command[0],
                &format!("the server does not say which words are keys: {error}"),
            ));
        }
        _ => return Err("COMMAND GETKEYS: the reply is no array".into()),
    };
    let word = |key: &Value| {
        let position =
            samples.iter().skip(1).position(|sample| matches!(key, Value::Text(text) if text == sample));
        position.map(|position| &command[position + 1])
    };
    keys.iter()
        .map(|key| word(key).ok_or_else(|| format!("COMMAND GETKEYS: {key:?} is no word of the command")))
        .collect()
}

/// What decides the slot of a key: what stands in its first braces, or all of it.
fn hash_part(pieces: &[Piece], compiled: &Compiled, spaces: &[u16]) -> Vec<HashPiece> {
    let mut whole: Vec<HashPiece> = Vec::new();
    for piece in pieces {
        match piece {
            Piece::Text(text) => push_text(&mut whole, text),
            Piece::Key(position) => {
                let (prefix, tag) = compiled.key_frame(spaces[*position as usize]);
                push_text(&mut whole, prefix.as_bytes());
                push_text(&mut whole, if tag { b"{" } else { b"" });
                whole.push(HashPiece::Number(*position));
                push_text(&mut whole, if tag { b"}" } else { b"" });
            }
            Piece::Sequence => whole.push(HashPiece::Sequence),
            _ => whole.push(HashPiece::Late),
        }
    }
    in_braces(&whole).unwrap_or(whole)
}

fn push_text(pieces: &mut Vec<HashPiece>, text: &[u8]) {
    match pieces.last_mut() {
        _ if text.is_empty() => {}
        Some(HashPiece::Text(last)) => last.extend_from_slice(text),
        _ => pieces.push(HashPiece::Text(text.to_vec())),
    }
}

/// Only texts hold braces. Nothing, if there are none or nothing in them.
fn in_braces(pieces: &[HashPiece]) -> Option<Vec<HashPiece>> {
    let mut inside: Option<Vec<HashPiece>> = None;
    for piece in pieces {
        let HashPiece::Text(text) = piece else {
            inside.iter_mut().for_each(|inside| inside.push(piece.clone()));
            continue;
        };
        let mut rest = &text[..];
        if inside.is_none() {
            let Some(open) = rest.iter().position(|&byte| byte == b'{') else { continue };
            rest = &rest[open + 1..];
        }
        let inside = inside.get_or_insert_default();
        let close = rest.iter().position(|&byte| byte == b'}');
        push_text(inside, &rest[..close.unwrap_or(rest.len())]);
        if close.is_some() {
            return (!inside.is_empty()).then(|| std::mem::take(inside));
        }
    }
    None
}

/// The bytes of a part that is always the same.
fn text_in(part: &[HashPiece]) -> Option<Vec<u8>> {
    match part {
        [] => Some(Vec::new()),
        [HashPiece::Text(text)] => Some(text.clone()),
        _ => None,
    }
}

fn slot_in(part: &[HashPiece]) -> Option<u16> {
    text_in(part).map(|text| slot_of(&text))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(shares: &[f64], count: usize) -> Vec<usize> {
        let placed = place(shares, count).unwrap();
        assert_eq!(placed.len(), count);
        (0..shares.len()).map(|node| placed.iter().filter(|other| **other == node).count()).collect()
    }

    #[test]
    fn connections_are_spread_like_requests() {
        assert_eq!(counts(&[0.5, 0.25, 0.25], 8), [4, 2, 2]);
        assert_eq!(place(&[0.5, 0.25, 0.25], 8).unwrap(), [0, 1, 2, 0, 0, 1, 2, 0]);
        assert_eq!(counts(&[1.0 / 3.0; 3], 50).iter().max(), Some(&17));
        // A node without requests gets none, one with few at least one.
        assert_eq!(counts(&[0.98, 0.0, 0.02], 10), [9, 0, 1]);
        assert_eq!(counts(&[0.9995, 0.0005], 10), [10, 0]);
        assert_eq!(counts(&[1.0], 3), [3]);
        let error = place(&[0.5, 0.25, 0.25], 2).unwrap_err();
        assert!(error.contains("lie on 3 nodes") && error.contains("2 are too few"), "{error}");
    }

    #[test]
    fn what_decides_a_slot() {
        let text = |text: &str| HashPiece::Text(text.into());
        let number = HashPiece::Number(0);
        assert_eq!(in_braces(&[text("user:{"), number.clone(), text("}:cart")]), Some(vec![number.clone()]));
        assert_eq!(
            in_braces(&[text("{a"), number.clone(), text("b}{c}")]),
            Some(vec![text("a"), number.clone(), text("b")])
        );
        assert_eq!(in_braces(&[text("x{{a}")]), Some(vec![text("{a")]));
        // Without a closing brace, or with nothing inside, the whole key counts.
        for whole in [vec![text("{"), number.clone()], vec![text("{}"), number], vec![text("plain")], vec![]]
        {
            assert_eq!(in_braces(&whole), None, "{whole:?}");
        }
        assert_eq!(slot_in(&[text("foo")]), Some(12182));
        assert_eq!(slot_in(&[HashPiece::Sequence]), None);
    }
}
