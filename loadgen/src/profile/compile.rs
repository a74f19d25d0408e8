//! From the words of a profile to bytes: placeholders become places that are filled for each request.
//!
//! Within one request a placeholder of a key space is one key wherever it stands; `{name:2}` is a second
//! key of the same space.

use std::io::Write;

use toml::Spanned;

use super::file::{Expectation, KeySpace, Profile, Sizes, Words, line_of, parse_range};
use super::route::Routes;
use crate::check::Check;
use crate::command::Expect;
use crate::draws::{Distribution, Shape, draw, is_theta};
use crate::keys::Random;
use crate::tally::KindName;
use crate::workload::Role;

/// Different keys in one request.
const KEYS_MAX: usize = 16;
/// Values are cut out of so many random letters at most.
const LETTERS: usize = 1 << 20;
const VALUE_BYTES_MAX: u64 = 512 << 20;

/// What the requests of a profile are made of.
#[derive(Debug, Clone)]
pub struct Compiled {
    /// Of a cluster: where each request belongs.
    pub(super) routes: Option<Routes>,
    spaces: Vec<Space>,
    values: Vec<(u64, u64, f64)>,
    ttls: Vec<(u64, u64, f64)>,
    letters: Vec<u8>,
    /// One for each kind: operations, what follows them, what connections of their own send.
    requests: Vec<Request>,
    /// The operations with the sums of their weights up to each.
    operations: Vec<(u16, u64)>,
    total_weight: u64,
}

#[derive(Debug, Clone)]
struct Space {
    name: String,
    prefix: String,
    count: u64,
    distribution: Distribution,
    tag: bool,
}

#[derive(Debug, Clone, Default)]
struct Request {
    segments: Vec<Segment>,
    /// The key space of each key of the request.
    keys: Vec<u16>,
}

#[derive(Debug, Clone)]
enum Segment {
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

const PLACEHOLDERS: &str = "{value}, {ttl}, {int:1..100}, {float:-1.5..1.5}, {sequence}, {connection}, {time_ms}, and the key spaces";

/// A word of a command as it stands in the profile.
#[derive(Debug, Clone)]
pub struct Written {
    pub text: String,
    pub pieces: Vec<Piece>,
    pub line: usize,
}

/// A command that is sent once, before everything else.
#[derive(Debug, Clone)]
pub struct SetupCommand {
    pub bytes: Vec<u8>,
    pub words: Vec<Written>,
    /// The node of its keys; a command without keys is for all of them.
    pub node: Option<usize>,
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

/// All that a workload needs of a profile.
#[derive(Debug)]
pub struct Parts {
    pub compiled: Compiled,
    pub kinds: Vec<KindName>,
    pub checks: Vec<Check>,
    pub own_connections: Vec<Role>,
    pub distribution: String,
    /// Keys of all spaces.
    pub keys: u64,
    pub value_bytes: u64,
    /// Names of all commands in it.
    pub commands: Vec<String>,
    pub setup: Vec<SetupCommand>,
    /// For each preload how many numbers there are, and its kind among the compiled requests.
    pub preloads: Vec<(u64, u16, usize)>,
    /// The commands of each of the compiled requests.
    pub(super) written: Vec<Vec<Vec<Written>>>,
}

/// Puts a profile together; errors name the line.
pub fn compile(text: &str, profile: &Profile) -> Result<Parts, String> {
    let mut builder = Builder::new(text, profile)?;
    let (mut kinds, mut checks, mut own_connections) = (Vec::new(), Vec::new(), Vec::new());
    let bounds = profile.value.as_ref().map_or((0, 0), |value| value.bytes.bounds());
    if bounds.1 > VALUE_BYTES_MAX {
        return Err(format!("value.bytes: must be at most {VALUE_BYTES_MAX}"));
    }
    let kind = |name: &str, apart| KindName { name: name.to_string(), apart };
    for operation in &profile.operations {
        let number = builder.request(&operation.commands, None)?;
        kinds.push(kind(&operation.name, false));
        checks.push(check(operation.expect, operation.commands.get_ref(), bounds));
        builder.weigh(number, operation.weight);
        if let Some(follow_up) = &operation.on_miss {
            let follow = builder.request(&follow_up.commands, Some(number))?;
            kinds.push(kind(&format!("{}: on miss", operation.name), false));
            checks.push(check(follow_up.expect, follow_up.commands.get_ref(), bounds));
            checks[number as usize].follow_up = Some(follow);
        }
    }
    if builder.compiled.total_weight == 0 {
        return Err("operations: at least one must have a weight above 0".into());
    }
    for own in &profile.connections {
        let number = builder.request(&own.commands, None)?;
        kinds.push(kind(&own.name, true));
        checks.push(check(own.expect, own.commands.get_ref(), bounds));
        let role = if own.subscribe { Role::Subscriber(number) } else { Role::Own(number) };
        own_connections.extend(std::iter::repeat_n(role, own.count as usize));
    }
    let mut preloads = Vec::new();
    for preload in &profile.preload {
        let space = builder.space(preload.keys.get_ref()).ok_or_else(|| {
            builder.at(preload.keys.span().start, "preload.keys", "is no key space of this profile")
        })?;
        let count = builder.compiled.spaces[space as usize].count;
        let count = preload.count.map_or(count, |most| most.0.min(count));
        let number =
            builder.request_of(&preload.commands, Request { keys: vec![space], ..Request::default() })?;
        preloads.push((count, number, preload.commands.len()));
    }
    let setup = profile.setup.iter().map(|words| builder.setup_command(words)).collect();
    let mut commands = builder.names;
    commands.extend(profile.requires.iter().map(|name| name.to_ascii_uppercase()));
    commands.sort();
    commands.dedup();
    Ok(Parts {
        kinds,
        checks,
        own_connections,
        distribution: in_words(&builder.compiled.spaces),
        keys: builder.compiled.spaces.iter().map(|space| space.count).sum(),
        value_bytes: bounds.1,
        compiled: builder.compiled,
        commands,
        setup,
        preloads,
        written: builder.written,
    })
}

fn check(expect: Expectation, commands: &[Words], value_bytes: (u64, u64)) -> Check {
    let expect = match expect {
        Expectation::Any => Expect::Any,
        Expectation::Ok => Expect::Ok,
        Expectation::Integer => Expect::Integer,
        Expectation::Text => Expect::Text,
        Expectation::Value => Expect::Value,
        Expectation::List => Expect::List,
        Expectation::OkOrNull => Expect::OkOrNull,
    };
    let first = commands.first().and_then(|words| words.first());
    let is_transaction = first.is_some_and(|word| word.get_ref().eq_ignore_ascii_case("multi"));
    let within = if is_transaction { Expect::Ok } else { Expect::Any };
    Check::new(expect, within, commands.len() as u32, value_bytes)
}

fn in_words(spaces: &[Space]) -> String {
    let words = spaces.iter().map(|space| {
        let distribution = space.distribution.words();
        format!("{}: {} keys, {distribution}", space.name, space.count)
    });
    words.collect::<Vec<_>>().join("; ")
}

struct Builder<'a> {
    text: &'a str,
    has_value: bool,
    has_ttl: bool,
    compiled: Compiled,
    written: Vec<Vec<Vec<Written>>>,
    names: Vec<String>,
}

impl<'a> Builder<'a> {
    fn new(text: &'a str, profile: &Profile) -> Result<Builder<'a>, String> {
        let mut spaces = Vec::new();
        for (name, space) in &profile.keys {
            spaces.push(space_of(text, name, space)?);
        }
        let sizes = |sizes: Option<&Sizes>| sizes.map_or_else(|| vec![(0, 0, 1.0)], |sizes| sizes.0.clone());
        let values = sizes(profile.value.as_ref().map(|value| &value.bytes));
        let longest = values.iter().map(|value| value.1).max().unwrap_or(0) as usize;
        let mut random = Random::new(0, 0);
        let letter = |_| b'a' + random.below(26) as u8;
        let compiled = Compiled {
            routes: None,
            spaces,
            letters: (0..longest.min(LETTERS)).map(letter).collect(),
            values,
            ttls: sizes(profile.ttl.as_ref().map(|ttl| &ttl.seconds)),
            requests: Vec::new(),
            operations: Vec::new(),
            total_weight: 0,
        };
        let (has_value, has_ttl) = (profile.value.is_some(), profile.ttl.is_some());
        Ok(Builder { text, has_value, has_ttl, compiled, written: Vec::new(), names: Vec::new() })
    }

    fn at(&self, offset: usize, field: &str, reason: &str) -> String {
        format!("line {}: {field}: {reason}", line_of(self.text, offset))
    }

    fn space(&self, name: &str) -> Option<u16> {
        self.compiled.spaces.iter().position(|space| space.name == name).map(|position| position as u16)
    }

    fn weigh(&mut self, request: u16, weight: u32) {
        self.compiled.total_weight += u64::from(weight);
        self.compiled.operations.push((request, self.compiled.total_weight));
    }

    /// A request of its own, or one that follows another and begins with its first key.
    fn request(&mut self, commands: &Spanned<Vec<Words>>, follows: Option<u16>) -> Result<u16, String> {
        if commands.get_ref().is_empty() {
            return Err(self.at(commands.span().start, "commands", "there must be at least one"));
        }
        let keys = follows.map(|number| &self.compiled.requests[number as usize].keys);
        let keys = keys.map_or_else(Vec::new, |keys| keys.iter().take(1).copied().collect());
        self.request_of(commands.get_ref(), Request { keys, ..Request::default() })
    }

    fn request_of(&mut self, commands: &[Words], mut request: Request) -> Result<u16, String> {
        // Key placeholders by their text: a key that is given is the first of its space.
        let mut slots: Vec<(u16, String)> =
            request.keys.iter().map(|&space| (space, String::new())).collect();
        let mut written = Vec::new();
        for words in commands {
            let Some(name) = words.first() else { return Err("commands: a command has no words".into()) };
            self.names.push(name.get_ref().to_ascii_uppercase());
            let mut fixed = format!("*{}\r\n", words.len()).into_bytes();
            let mut written_words = Vec::new();
            for word in words {
                let pieces = self.pieces(word, &mut slots)?;
                written_words.push(self.written(word, pieces.clone()));
                match &pieces[..] {
                    [] => fixed.extend_from_slice(b"$0\r\n\r\n"),
                    [Piece::Text(text)] => append_word(&mut fixed, text),
                    _ => {
                        request.segments.push(Segment::Fixed(std::mem::take(&mut fixed)));
                        request.segments.push(Segment::Word(pieces));
                    }
                }
            }
            request.segments.push(Segment::Fixed(fixed));
            written.push(written_words);
        }
        self.written.push(written);
        request.segments.retain(|segment| !matches!(segment, Segment::Fixed(bytes) if bytes.is_empty()));
        request.keys = slots.iter().map(|(space, _)| *space).collect();
        self.compiled.requests.push(request);
        Ok(self.compiled.requests.len() as u16 - 1)
    }

    /// A command without placeholders.
    fn setup_command(&mut self, words: &Words) -> SetupCommand {
        let mut bytes = format!("*{}\r\n", words.len()).into_bytes();
        self.names.extend(words.first().map(|name| name.get_ref().to_ascii_uppercase()));
        for word in words {
            append_word(&mut bytes, word.get_ref().as_bytes());
        }
        let piece = |word: &Spanned<String>| vec![Piece::Text(word.get_ref().as_bytes().to_vec())];
        let words = words.iter().map(|word| self.written(word, piece(word))).collect();
        SetupCommand { bytes, words, node: None }
    }

    fn written(&self, word: &Spanned<String>, pieces: Vec<Piece>) -> Written {
        let line = line_of(self.text, word.span().start);
        Written { text: word.get_ref().clone(), pieces, line }
    }

    /// The texts and placeholders of a word; `{{` is a brace.
    fn pieces(&self, word: &Spanned<String>, slots: &mut Vec<(u16, String)>) -> Result<Vec<Piece>, String> {
        let wrong = |reason: &str| {
            Err(self.at(word.span().start, &format!("commands: '{}'", word.get_ref()), reason))
        };
        let (mut pieces, mut text, mut rest) = (Vec::new(), Vec::new(), word.get_ref().as_str());
        while let Some(start) = rest.find('{') {
            text.extend_from_slice(&rest.as_bytes()[..start]);
            rest = &rest[start + 1..];
            if let Some(behind) = rest.strip_prefix('{') {
                text.push(b'{');
                rest = behind;
                continue;
            }
            let Some(end) = rest.find('}') else {
                return wrong("a '{' has no '}'; a brace itself is written '{{'");
            };
            if !text.is_empty() {
                pieces.push(Piece::Text(std::mem::take(&mut text)));
            }
            match self.placeholder(&rest[..end], slots) {
                Ok(piece) => pieces.push(piece),
                Err(reason) => return wrong(&reason),
            }
            rest = &rest[end + 1..];
        }
        text.extend_from_slice(rest.as_bytes());
        if !text.is_empty() {
            pieces.push(Piece::Text(text));
        }
        Ok(pieces)
    }

    fn placeholder(&self, name: &str, slots: &mut Vec<(u16, String)>) -> Result<Piece, String> {
        let (head, argument) = name.split_once(':').unwrap_or((name, ""));
        match (head, argument) {
            ("value", "") if self.has_value => return Ok(Piece::Value),
            ("value", "") => return Err("{value} needs [value] with bytes = …".into()),
            ("ttl", "") if self.has_ttl => return Ok(Piece::Ttl),
            ("ttl", "") => return Err("{ttl} needs [ttl] with seconds = …".into()),
            ("sequence", "") => return Ok(Piece::Sequence),
            ("connection", "") => return Ok(Piece::Connection),
            ("time_ms", "") => return Ok(Piece::TimeMs),
            ("int", range) => {
                let range = parse_range(range)
                    .and_then(|(low, high)| Some((i64::try_from(low).ok()?, i64::try_from(high).ok()?)));
                let (low, high) = range.ok_or("{int:…} needs a range such as {int:1..100}")?;
                return Ok(Piece::Integer(low, high));
            }
            ("float", range) => {
                let range = range.split_once("..").and_then(|(low, high)| {
                    let range = (low.parse::<f64>().ok()?, high.parse::<f64>().ok()?);
                    (range.0 <= range.1 && range.0.is_finite() && range.1.is_finite()).then_some(range)
                });
                let (low, high) = range.ok_or("{float:…} needs a range such as {float:-1.5..1.5}")?;
                return Ok(Piece::Float(low, high));
            }
            _ => {}
        }
        let space = self.space(head).filter(|_| argument.is_empty() || argument.parse::<u8>().is_ok());
        let Some(space) = space else {
            let spaces: Vec<String> =
                self.compiled.spaces.iter().map(|space| format!("{{{}}}", space.name)).collect();
            return Err(format!(
                "there is no placeholder {{{name}}}; there are {PLACEHOLDERS} {}",
                spaces.join(", ")
            ));
        };
        let slot = slots.iter().position(|slot| slot.0 == space && slot.1 == argument);
        let slot = slot.unwrap_or_else(|| {
            slots.push((space, argument.to_string()));
            slots.len() - 1
        });
        if slot >= KEYS_MAX {
            return Err(format!("a request has at most {KEYS_MAX} different keys"));
        }
        Ok(Piece::Key(slot as u16))
    }
}

fn space_of(text: &str, name: &str, space: &KeySpace) -> Result<Space, String> {
    let count = space.count.0;
    let theta = space.theta.as_ref();
    if let Some(theta) = theta.filter(|theta| !is_theta(*theta.get_ref())) {
        let line = line_of(text, theta.span().start);
        return Err(format!("line {line}: keys.{name}.theta: must be a number from 0.0 to 10.0"));
    }
    let missing = |field: &str, what: &str| format!("keys.{name}.{field}: {what}");
    let distribution = match (space.distribution, space.hot_keys, space.hot_share) {
        (Shape::Hot, Some(keys), Some(share)) => Distribution::hot(count, (keys.0, share.0)),
        (Shape::Hot, _, _) => {
            return Err(missing("distribution", "hot needs hot_keys and hot_share, shares from 0.0 to 1.0"));
        }
        (_, None, None) => match space.distribution {
            Shape::Zipfian => {
                let scrambled = space.scrambled.as_ref().is_some_and(|scrambled| *scrambled.get_ref());
                Distribution::zipfian(count, theta.map(|theta| *theta.get_ref()), scrambled)
            }
            Shape::Sequential => Distribution::Sequential,
            Shape::Uniform | Shape::Hot => Distribution::Uniform,
        },
        _ => return Err(missing("hot_keys", "only distribution = \"hot\" has hot_keys and hot_share")),
    };
    if theta.is_some() && space.distribution != Shape::Zipfian {
        return Err(missing("theta", "only distribution = \"zipfian\" has it"));
    }
    if let Some(scrambled) = space.scrambled.as_ref().filter(|_| space.distribution != Shape::Zipfian) {
        let line = line_of(text, scrambled.span().start);
        return Err(format!(
            "line {line}: keys.{name}.scrambled: only distribution = \"zipfian\" has hottest keys to scramble"
        ));
    }
    if ["value", "ttl", "int", "float", "sequence", "connection", "time_ms"].contains(&name) {
        return Err(missing("prefix", "a key space cannot have the name of a placeholder"));
    }
    Ok(Space { name: name.into(), prefix: space.prefix.clone(), count, distribution, tag: space.tag })
}

fn append_word(bytes: &mut Vec<u8>, word: &[u8]) {
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
