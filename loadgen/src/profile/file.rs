//! A profile as it is written. The names of the fields here are the names in the file.

use std::collections::BTreeMap;
use std::path::Path;

use serde::de::{Error, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use toml::Spanned;

use super::BUILT_IN;
use crate::draws::Shape;
use crate::error::Failure;

/// A command: its words, with placeholders.
pub type Words = Vec<Spanned<String>>;

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Profile {
    /// What it stands for, in a sentence.
    pub about: String,
    /// Commands that the server must have, besides those that the profile names itself.
    #[serde(default)]
    pub requires: Vec<String>,
    /// Sent once, before everything else.
    #[serde(default)]
    pub setup: Vec<Words>,
    #[serde(default)]
    pub keys: BTreeMap<String, KeySpace>,
    #[serde(default)]
    pub value: Option<Value>,
    #[serde(default)]
    pub ttl: Option<Ttl>,
    #[serde(default)]
    pub preload: Vec<Preload>,
    pub operations: Vec<Operation>,
    /// Connections of their own beside those of the load.
    #[serde(default)]
    pub connections: Vec<OwnConnections>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeySpace {
    pub prefix: String,
    pub count: Count,
    #[serde(default)]
    pub distribution: Shape,
    /// Of a zipfian distribution.
    #[serde(default)]
    pub theta: Option<Spanned<f64>>,
    /// Of a zipfian distribution: the hottest numbers lie anywhere instead of being the first ones.
    #[serde(default)]
    pub scrambled: Option<Spanned<bool>>,
    /// Of a hot set: which share of the keys, and which share of the draws goes to them.
    #[serde(default)]
    pub hot_keys: Option<Share>,
    #[serde(default)]
    pub hot_share: Option<Share>,
    /// Puts the number in braces, so that keys of one number share a slot.
    #[serde(default)]
    pub tag: bool,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Value {
    pub bytes: Sizes,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ttl {
    pub seconds: Sizes,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Preload {
    /// The key space whose numbers are gone through.
    pub keys: Spanned<String>,
    /// Only so many of them.
    #[serde(default)]
    pub count: Option<Count>,
    pub commands: Vec<Words>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Operation {
    pub name: String,
    #[serde(default = "one")]
    pub weight: u32,
    /// Several are one request: they travel together.
    pub commands: Spanned<Vec<Words>>,
    #[serde(default)]
    pub expect: Expectation,
    #[serde(default)]
    pub on_miss: Option<FollowUp>,
}

fn one() -> u32 {
    1
}

/// Sent when the reply is null, with the first key of the operation that missed.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FollowUp {
    pub commands: Spanned<Vec<Words>>,
    #[serde(default)]
    pub expect: Expectation,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OwnConnections {
    pub name: String,
    #[serde(default = "one")]
    pub count: u32,
    pub commands: Spanned<Vec<Words>>,
    #[serde(default)]
    pub expect: Expectation,
    /// They send their commands once and count what comes from then on.
    #[serde(default)]
    pub subscribe: bool,
}

/// What the last reply must be.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Expectation {
    /// Anything but an error.
    #[default]
    Any,
    Ok,
    Integer,
    /// A string, or null: a miss.
    Text,
    /// A string as long as values are, or null: a miss.
    Value,
    /// An array, or null: a miss.
    List,
    OkOrNull,
}

/// A number from 1 on; `k` and `m` are thousands and millions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Count(pub u64);

/// A number from 0 to 1.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Share(pub f64);

/// A number, a range of them or a weighted list of both.
#[derive(Debug, Clone, PartialEq)]
pub struct Sizes(pub Vec<(u64, u64, f64)>);

impl Sizes {
    pub fn bounds(&self) -> (u64, u64) {
        let low = self.0.iter().map(|part| part.0).min().unwrap_or(0);
        (low, self.0.iter().map(|part| part.1).max().unwrap_or(0))
    }
}

const COUNT_MAX: u64 = 1 << 40;
const COUNT_WORDS: &str = "a number from 1 to 2^40, such as 5000, \"20k\" or \"1m\"";
const SIZES_WORDS: &str = "a number, a range such as \"8..64k\", or a list of sizes and weights such as [[64, 0.9], [\"1k..4k\", 0.1]]";

fn parse_number(text: &str) -> Option<u64> {
    let lower = text.trim().to_ascii_lowercase();
    let (digits, unit) = match lower.strip_suffix('k') {
        Some(digits) => (digits, 1000),
        None => lower.strip_suffix('m').map_or((lower.as_str(), 1), |digits| (digits, 1_000_000)),
    };
    digits.parse::<u64>().ok()?.checked_mul(unit).filter(|&number| number <= COUNT_MAX)
}

pub fn parse_range(text: &str) -> Option<(u64, u64)> {
    let (low, high) = text.split_once("..").unwrap_or((text, text));
    let range = (parse_number(low)?, parse_number(high)?);
    (range.0 <= range.1).then_some(range)
}

#[derive(Deserialize)]
#[serde(untagged)]
enum NumberOrText {
    Number(u64),
    Text(String),
}

impl NumberOrText {
    fn range(&self) -> Option<(u64, u64)> {
        match self {
            NumberOrText::Number(number) => Some((*number, *number)),
            NumberOrText::Text(text) => parse_range(text),
        }
    }
}

impl<'de> Deserialize<'de> for Count {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let range = NumberOrText::deserialize(deserializer).ok().and_then(|number| number.range());
        match range {
            Some((low, high)) if low == high && (1..=COUNT_MAX).contains(&low) => Ok(Count(low)),
            _ => Err(D::Error::custom(format!("must be {COUNT_WORDS}"))),
        }
    }
}

impl<'de> Deserialize<'de> for Share {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match f64::deserialize(deserializer) {
            Ok(share) if (0.0..=1.0).contains(&share) => Ok(Share(share)),
            _ => Err(D::Error::custom("must be a share from 0.0 to 1.0")),
        }
    }
}

impl<'de> Deserialize<'de> for Sizes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Parts;
        impl<'de> Visitor<'de> for Parts {
            type Value = Sizes;

            fn expecting(&self, formatter: &mut std::fmt::Formatter) -> std::fmt::Result {
                formatter.write_str(SIZES_WORDS)
            }

            fn visit_i64<E: Error>(self, number: i64) -> Result<Sizes, E> {
                let size = u64::try_from(number).ok().filter(|&size| size <= COUNT_MAX);
                size.map(|size| Sizes(vec![(size, size, 1.0)]))
                    .ok_or_else(|| E::custom(format!("must be {SIZES_WORDS}")))
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Sizes, E> {
                let range = parse_range(text).ok_or_else(|| E::custom(format!("must be {SIZES_WORDS}")))?;
                Ok(Sizes(vec![(range.0, range.1, 1.0)]))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Sizes, A::Error> {
                let mut parts = Vec::new();
                while let Some((size, weight)) = list.next_element::<(NumberOrText, f64)>()? {
                    let range = size.range().filter(|_| weight > 0.0 && weight.is_finite());
                    let (low, high) =
                        range.ok_or_else(|| A::Error::custom(format!("must be {SIZES_WORDS}")))?;
                    parts.push((low, high, weight));
                }
                if parts.is_empty() {
                    return Err(A::Error::custom(format!("must be {SIZES_WORDS}")));
                }
                Ok(Sizes(parts))
            }
        }
        deserializer.deserialize_any(Parts)
    }
}

/// Reads a built-in profile or a file: its name, its text.
pub fn read(name_or_path: &str) -> Result<(String, String), Failure> {
    if let Some((name, text)) = BUILT_IN.iter().find(|(name, _)| *name == name_or_path) {
        return Ok((name.to_string(), text.to_string()));
    }
    let path = Path::new(name_or_path);
    let text = std::fs::read_to_string(path).map_err(|error| {
        Failure::Options(format!(
            "--profile {name_or_path}: {error}; of the built-in ones there are {}",
            BUILT_IN.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ")
        ))
    })?;
    let name = path.file_stem().map_or(name_or_path.into(), |stem| stem.to_string_lossy().into_owned());
    Ok((name, text))
}

/// The error names line and field and says what is allowed.
pub fn parse(text: &str) -> Result<Profile, String> {
    toml::from_str(text).map_err(|error| {
        let line = error.span().map_or(0, |span| line_of(text, span.start));
        let content = text.lines().nth(line.saturating_sub(1)).unwrap_or_default().trim();
        format!("line {line}: '{content}': {}", error.message())
    })
}

/// Lines count from 1.
pub fn line_of(text: &str, offset: usize) -> usize {
    text.as_bytes()[..offset.min(text.len())].iter().filter(|&&byte| byte == b'\n').count() + 1
}
