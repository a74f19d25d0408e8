//! From the words of a profile to bytes: placeholders become places that are filled for each request.
//!
//! Within one request a placeholder of a key space is one key wherever it stands; `{name:2}` is a second
//! key of the same space.

use toml::Spanned;

use super::file::{Expectation, KeySpace, Profile, Sizes, Words, line_of, parse_range};
use super::requests::{Compiled, KEYS_MAX, Piece, Request, Segment, Space, append_word};
use crate::check::Check;
use crate::command::Expect;
use crate::draws::{Distribution, Shape, is_theta};
use crate::keys::Random;
use crate::tally::KindName;
use crate::workload::Role;

/// Values are cut out of so many random letters at most.
const LETTERS: usize = 1 << 20;
const VALUE_BYTES_MAX: u64 = 512 << 20;

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
