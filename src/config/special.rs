//! Values with a grammar of their own: save points, output buffer limits, event classes and the like.
//!
//! All but the last two take several words. They arrive here already split, whether they were written as
//! `save 60 1` or `save "60 1"`; no words at all means that the directive was given an empty value.

use super::error::{self, ValueError};
use super::value::{Kind, Source, Text, Value, only_word, parse_integer, parse_memory, show_memory};

fn refused<T>(text: &'static str) -> Result<T, ValueError> {
    Err(ValueError::Refused(text))
}

fn join(words: impl IntoIterator<Item = String>) -> Vec<u8> {
    words.into_iter().collect::<Vec<_>>().join(" ").into_bytes()
}

/// Snapshot when `seconds` have passed and at least `changes` writes were made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SavePoint {
    pub seconds: u32,
    pub changes: u32,
}

impl Value for Vec<SavePoint> {
    /// Adds to the points at the start, so that repeated lines make one list; an empty value clears it.
    fn assign(&mut self, words: &[Vec<u8>], _: &Kind, source: Source) -> Result<(), ValueError> {
        if !words.len().is_multiple_of(2) {
            return refused(error::INVALID_SAVE);
        }
        let number = |word: &[u8], min: i128| match parse_integer(word) {
            Some(number) if number >= min => u32::try_from(number).ok().filter(|&n| n <= i32::MAX as u32),
            _ => None,
        };
        let mut points = Vec::new();
        for pair in words.chunks_exact(2) {
            match (number(&pair[0], 1), number(&pair[1], 0)) {
                (Some(seconds), Some(changes)) => points.push(SavePoint { seconds, changes }),
                _ => return refused(error::INVALID_SAVE),
            }
        }
        if source == Source::Set || words.is_empty() {
            self.clear();
        }
        self.extend(points);
        Ok(())
    }

    fn show(&self, _: &Kind) -> Vec<u8> {
        join(self.iter().map(|point| format!("{} {}", point.seconds, point.changes)))
    }

    fn lines(&self, _: &Kind) -> Vec<Vec<u8>> {
        if self.is_empty() {
            return vec![b"\"\"".to_vec()];
        }
        self.iter().map(|point| format!("{} {}", point.seconds, point.changes).into_bytes()).collect()
    }
}

/// When a client that does not read its replies is disconnected; 0 switches a limit off.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OutputBufferLimit {
    pub hard_bytes: u64,
    pub soft_bytes: u64,
    /// How long the soft limit may be exceeded.
    pub soft_seconds: u32,
}

/// Index into the output buffer limits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientClass {
    Normal = 0,
    Replica = 1,
    Pubsub = 2,
}

const CLASS_NAMES: [&str; 3] = ["normal", "replica", "pubsub"];

pub(super) const OUTPUT_BUFFER_LIMITS: [OutputBufferLimit; 3] = [
    OutputBufferLimit { hard_bytes: 0, soft_bytes: 0, soft_seconds: 0 },
    OutputBufferLimit { hard_bytes: 256 << 20, soft_bytes: 64 << 20, soft_seconds: 60 },
    OutputBufferLimit { hard_bytes: 32 << 20, soft_bytes: 8 << 20, soft_seconds: 60 },
];

impl Value for [OutputBufferLimit; 3] {
    /// Changes the classes that are named and leaves the others.
    fn assign(&mut self, words: &[Vec<u8>], _: &Kind, _: Source) -> Result<(), ValueError> {
        if !words.len().is_multiple_of(4) {
            return refused(error::BUFFER_LIMIT_COUNT);
        }
        let mut limits = *self;
        for part in words.chunks_exact(4) {
            let name = part[0].to_ascii_lowercase();
            let name: &[u8] = if name == b"slave" { b"replica" } else { &name };
            let Some(class) = CLASS_NAMES.iter().position(|known| known.as_bytes() == name) else {
                return refused(error::BUFFER_LIMIT_CLASS);
            };
            let seconds = parse_integer(&part[3]).and_then(|seconds| u32::try_from(seconds).ok());
            limits[class] = match (parse_memory(&part[1]), parse_memory(&part[2]), seconds) {
                (Some(hard_bytes), Some(soft_bytes), Some(soft_seconds)) => {
                    OutputBufferLimit { hard_bytes, soft_bytes, soft_seconds }
                }
                _ => return refused(error::BUFFER_LIMIT_VALUE),
            };
        }
        *self = limits;
        Ok(())
    }

    /// CONFIG GET still shows the replicas' class under its old name.
    fn show(&self, _: &Kind) -> Vec<u8> {
        join(self.iter().zip(["normal", "slave", "pubsub"]).map(|(limit, name)| {
            format!("{name} {} {} {}", limit.hard_bytes, limit.soft_bytes, limit.soft_seconds)
        }))
    }

    fn lines(&self, _: &Kind) -> Vec<Vec<u8>> {
        let changed = |class: &usize| self[*class] != OUTPUT_BUFFER_LIMITS[*class];
        (0..self.len())
            .filter(changed)
            .map(|class| {
                let OutputBufferLimit { hard_bytes, soft_bytes, soft_seconds } = self[class];
                let (hard, soft) = (show_memory(hard_bytes), show_memory(soft_bytes));
                format!("{} {hard} {soft} {soft_seconds}", CLASS_NAMES[class]).into_bytes()
            })
            .collect()
    }
}

/// Classes of keyspace events, a bit each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EventClasses(u16);

impl EventClasses {
    pub const NONE: Self = Self(0);
    pub const KEYSPACE: Self = Self(1);
    pub const KEYEVENT: Self = Self(1 << 1);
    pub const GENERIC: Self = Self(1 << 2);
    pub const STRING: Self = Self(1 << 3);
    pub const LIST: Self = Self(1 << 4);
    pub const SET: Self = Self(1 << 5);
    pub const HASH: Self = Self(1 << 6);
    pub const SORTED_SET: Self = Self(1 << 7);
    pub const EXPIRED: Self = Self(1 << 8);
    pub const EVICTED: Self = Self(1 << 9);
    pub const STREAM: Self = Self(1 << 10);
    pub const MODULE: Self = Self(1 << 11);
    pub const KEY_MISS: Self = Self(1 << 12);
    pub const NEW: Self = Self(1 << 13);
    /// What the letter `A` stands for: neither misses nor new keys.
    pub const ALL: Self = Self(0b1111_1111_1100);

    pub fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// The classes of both.
    pub fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// In the order in which Redis shows them; the first stands for all that come until `K`.
    const LETTERS: [(u8, Self); 15] = [
        (b'A', Self::ALL),
        (b'g', Self::GENERIC),
        (b'$', Self::STRING),
        (b'l', Self::LIST),
        (b's', Self::SET),
        (b'h', Self::HASH),
        (b'z', Self::SORTED_SET),
        (b'x', Self::EXPIRED),
        (b'e', Self::EVICTED),
        (b't', Self::STREAM),
        (b'd', Self::MODULE),
        (b'K', Self::KEYSPACE),
        (b'E', Self::KEYEVENT),
        (b'm', Self::KEY_MISS),
        (b'n', Self::NEW),
    ];
}

impl Value for EventClasses {
    fn assign(&mut self, words: &[Vec<u8>], _: &Kind, _: Source) -> Result<(), ValueError> {
        let mut bits = 0;
        for letter in only_word(words)? {
            match Self::LETTERS.iter().find(|(known, _)| known == letter) {
                Some((_, class)) => bits |= class.0,
                None => return refused(error::EVENT_CLASS),
            }
        }
        self.0 = bits;
        Ok(())
    }

    fn show(&self, _: &Kind) -> Vec<u8> {
        let mut left = *self;
        let mut letters = Vec::new();
        for (letter, class) in Self::LETTERS {
            if left.contains(class) {
                letters.push(letter);
                left.0 &= !class.0;
            }
        }
        letters
    }

    fn lines(&self, kind: &Kind) -> Vec<Vec<u8>> {
        vec![[b"\"".to_vec(), self.show(kind), b"\"".to_vec()].concat()]
    }
}

/// The percentiles of INFO latencystats, each from 0 to 100.
#[derive(Clone, Debug, PartialEq)]
pub struct Percentiles(pub Vec<f64>);

impl Value for Percentiles {
    fn assign(&mut self, words: &[Vec<u8>], _: &Kind, _: Source) -> Result<(), ValueError> {
        let mut percentiles = Vec::new();
        for word in words {
            let number = std::str::from_utf8(word).ok().and_then(|word| word.parse::<f64>().ok());
            match number {
                Some(number) if number.is_nan() => return refused(error::PERCENTILES),
                Some(number) if !(0.0..=100.0).contains(&number) => return refused(error::PERCENTILES_RANGE),
                Some(number) => percentiles.push(number),
                None => return refused(error::PERCENTILES),
            }
        }
        self.0 = percentiles;
        Ok(())
    }

    fn show(&self, _: &Kind) -> Vec<u8> {
        join(self.0.iter().map(|percentile| show_percentile(*percentile)))
    }

    fn lines(&self, kind: &Kind) -> Vec<Vec<u8>> {
        if self.0.is_empty() { vec![b"\"\"".to_vec()] } else { vec![self.show(kind)] }
    }
}

/// At most six digits after the point and no zeros at the end: `99.9`, `50`.
pub fn show_percentile(percentile: f64) -> String {
    let text = format!("{percentile:.6}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// The out-of-memory scores of the server, of a replica and of background children.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ScoreValues(pub [i32; 3]);

impl Value for ScoreValues {
    fn assign(&mut self, words: &[Vec<u8>], _: &Kind, _: Source) -> Result<(), ValueError> {
        let mut scores = [0; 3];
        if words.len() != scores.len() {
            return Err(ValueError::WrongNumberOfArguments);
        }
        for (score, word) in scores.iter_mut().zip(words) {
            match parse_integer(word) {
                Some(number @ -2000..=2000) => *score = number as i32,
                _ => return refused(error::SCORE_RANGE),
            }
        }
        self.0 = scores;
        Ok(())
    }

    fn show(&self, _: &Kind) -> Vec<u8> {
        join(self.0.iter().map(i32::to_string))
    }
}

/// The addresses to listen on: `*` for all, a leading `-` where it does not matter that one is missing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BindAddresses(pub Vec<Text>);

const BIND_ADDRESSES_MAX: usize = 16;

impl Default for BindAddresses {
    fn default() -> Self {
        Self(vec!["*".into(), "-::*".into()])
    }
}

impl Value for BindAddresses {
    fn assign(&mut self, words: &[Vec<u8>], _: &Kind, _: Source) -> Result<(), ValueError> {
        if words.len() > BIND_ADDRESSES_MAX {
            return refused(error::TOO_MANY_ADDRESSES);
        }
        self.0 = words.iter().filter(|word| !word.is_empty()).cloned().map(Text::from).collect();
        Ok(())
    }

    fn show(&self, _: &Kind) -> Vec<u8> {
        self.0.iter().map(Text::as_bytes).collect::<Vec<_>>().join(&b' ')
    }

    fn lines(&self, kind: &Kind) -> Vec<Vec<u8>> {
        if self.0.is_empty() { vec![b"\"\"".to_vec()] } else { vec![self.show(kind)] }
    }
}

/// The server to replicate, with its port; none for a master.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReplicaOf(pub Option<(Text, u16)>);

impl Value for ReplicaOf {
    fn assign(&mut self, words: &[Vec<u8>], _: &Kind, _: Source) -> Result<(), ValueError> {
        let [host, port] = words else { return Err(ValueError::WrongNumberOfArguments) };
        if host.eq_ignore_ascii_case(b"no") && port.eq_ignore_ascii_case(b"one") {
            self.0 = None;
            return Ok(());
        }
        match parse_integer(port).and_then(|port| u16::try_from(port).ok()) {
            Some(port) => self.0 = Some((host.clone().into(), port)),
            None => return refused(error::INVALID_MASTER_PORT),
        }
        Ok(())
    }

    fn show(&self, _: &Kind) -> Vec<u8> {
        match &self.0 {
            Some((host, port)) => format!("{host} {port}").into_bytes(),
            None => Vec::new(),
        }
    }

    fn lines(&self, kind: &Kind) -> Vec<Vec<u8>> {
        if self.0.is_some() { vec![self.show(kind)] } else { Vec::new() }
    }
}

/// What a signal's shutdown does beyond the default.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ShutdownFlags {
    pub save: bool,
    pub no_save: bool,
    pub now: bool,
    pub force: bool,
}

impl ShutdownFlags {
    pub const NAMES: &'static [&'static str] = &["default", "save", "nosave", "now", "force"];
}

impl Value for ShutdownFlags {
    fn assign(&mut self, words: &[Vec<u8>], _: &Kind, _: Source) -> Result<(), ValueError> {
        let mut flags = Self::default();
        for word in words {
            match word.to_ascii_lowercase().as_slice() {
                b"default" => {}
                b"save" => flags.save = true,
                b"nosave" => flags.no_save = true,
                b"now" => flags.now = true,
                b"force" => flags.force = true,
                _ => return Err(ValueError::NotOneOf(Self::NAMES)),
            }
        }
        if words.is_empty() {
            return Err(ValueError::NotOneOf(Self::NAMES));
        }
        if flags.save && flags.no_save {
            return refused(error::SHUTDOWN_CONFLICT);
        }
        *self = flags;
        Ok(())
    }

    fn show(&self, _: &Kind) -> Vec<u8> {
        let set = [false, self.save, self.no_save, self.now, self.force];
        let names: Vec<String> =
            Self::NAMES.iter().zip(set).filter(|(_, set)| *set).map(|(name, _)| (*name).to_owned()).collect();
        if names.is_empty() { b"default".to_vec() } else { join(names) }
    }
}

/// A limit on the memory of all clients together; 0 bytes is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientMemoryLimit {
    Bytes(u64),
    /// Of maxmemory, from 1 to 100.
    Percent(u8),
}

impl ClientMemoryLimit {
    /// The limit in bytes, given maxmemory; 0 is none, as is a percentage of no maxmemory.
    pub fn bytes(self, maxmemory: u64) -> u64 {
        match self {
            Self::Bytes(bytes) => bytes,
            Self::Percent(percent) => (u128::from(maxmemory) * u128::from(percent) / 100) as u64,
        }
    }
}

impl Value for ClientMemoryLimit {
    fn assign(&mut self, words: &[Vec<u8>], _: &Kind, _: Source) -> Result<(), ValueError> {
        let word = only_word(words)?;
        *self = match word.strip_suffix(b"%") {
            Some(digits) => match parse_integer(digits) {
                Some(0) => Self::Bytes(0),
                Some(percent @ 1..=100) => Self::Percent(percent as u8),
                Some(percent) if percent > 100 => return Err(ValueError::PercentTooLarge),
                _ => return Err(ValueError::NotMemoryOrPercent),
            },
            None => Self::Bytes(parse_memory(word).ok_or(ValueError::NotMemoryOrPercent)?),
        };
        Ok(())
    }

    fn show(&self, _: &Kind) -> Vec<u8> {
        match self {
            Self::Bytes(bytes) => bytes.to_string().into_bytes(),
            Self::Percent(percent) => format!("{percent}%").into_bytes(),
        }
    }

    fn lines(&self, kind: &Kind) -> Vec<Vec<u8>> {
        match self {
            Self::Bytes(bytes) => vec![show_memory(*bytes).into_bytes()],
            Self::Percent(_) => vec![self.show(kind)],
        }
    }
}

/// Cores to run on, ascending and each once; none named means all that the process may use.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CpuList(pub Vec<u16>);

/// The highest number of a core, and so the longest list.
const CPU_MAX: u16 = 4095;

impl Value for CpuList {
    fn assign(&mut self, words: &[Vec<u8>], _: &Kind, _: Source) -> Result<(), ValueError> {
        let word = only_word(words)?;
        let number = |digits: &[u8]| match parse_integer(digits) {
            Some(number) => u16::try_from(number).ok().filter(|&number| number <= CPU_MAX),
            None => None,
        };
        let mut cores = Vec::new();
        for part in word.split(|&byte| byte == b',').filter(|_| !word.is_empty()) {
            let mut ends = part.splitn(2, |&byte| byte == b'-').map(number);
            let first = ends.next().flatten();
            let last = ends.next().unwrap_or(first);
            match (first, last) {
                (Some(first), Some(last)) if first <= last => cores.extend(first..=last),
                _ => return refused(error::CPU_LIST),
            }
            // Overlapping ranges must not add up.
            cores.sort_unstable();
            cores.dedup();
        }
        self.0 = cores;
        Ok(())
    }

    fn show(&self, _: &Kind) -> Vec<u8> {
        let runs = self.0.chunk_by(|left, right| left + 1 == *right).map(|run| match run {
            [only] => only.to_string(),
            run => format!("{}-{}", run[0], run[run.len() - 1]),
        });
        runs.collect::<Vec<_>>().join(",").into_bytes()
    }

    fn lines(&self, kind: &Kind) -> Vec<Vec<u8>> {
        if self.0.is_empty() { vec![b"\"\"".to_vec()] } else { vec![self.show(kind)] }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KIND: Kind = Kind::Words("");

    fn assigned<V: Value>(mut value: V, words: &str) -> Result<String, String> {
        let words: Vec<Vec<u8>> = words.split_whitespace().map(|word| word.as_bytes().to_vec()).collect();
        value.assign(&words, &KIND, Source::Set).map_err(|error| error.to_string())?;
        Ok(String::from_utf8(value.show(&KIND)).unwrap())
    }

    #[test]
    fn save_points_replace_or_add() {
        assert_eq!(
            assigned(vec![SavePoint { seconds: 1, changes: 1 }], "900 1 300 10").unwrap(),
            "900 1 300 10"
        );
        assert_eq!(assigned(vec![SavePoint { seconds: 1, changes: 1 }], "").unwrap(), "");
        let mut points = vec![SavePoint { seconds: 1, changes: 1 }];
        points.assign(&[b"2".to_vec(), b"3".to_vec()], &KIND, Source::Start).unwrap();
        assert_eq!(points.show(&KIND), b"1 1 2 3");
        points.assign(&[], &KIND, Source::Start).unwrap();
        assert_eq!(points, []);
        for wrong in ["60", "60 x", "0 1", "1 -1", "1 2 3"] {
            assert_eq!(assigned(Vec::<SavePoint>::new(), wrong).unwrap_err(), "Invalid save parameters");
        }
    }

    #[test]
    fn buffer_limits_change_only_the_named_class() {
        assert_eq!(
            assigned(OUTPUT_BUFFER_LIMITS, "slave 0 0 0 replica 1kb 1k 3").unwrap(),
            "normal 0 0 0 slave 1024 1000 3 pubsub 33554432 8388608 60"
        );
        assert!(assigned(OUTPUT_BUFFER_LIMITS, "normal 1 2").unwrap_err().starts_with("Wrong number"));
        assert!(
            assigned(OUTPUT_BUFFER_LIMITS, "normal 1 2 3 foo 1 2 3")
                .unwrap_err()
                .starts_with("Invalid client")
        );
        assert!(assigned(OUTPUT_BUFFER_LIMITS, "normal 1 2 -3").unwrap_err().starts_with("Error in hard"));
    }

    #[test]
    fn event_classes() {
        assert_eq!(assigned(EventClasses::NONE, "KEA").unwrap(), "AKE");
        assert_eq!(assigned(EventClasses::NONE, "KEg$lshzxetdmn").unwrap(), "AKEmn");
        assert_eq!(assigned(EventClasses::NONE, "nmKd$g").unwrap(), "g$dKmn");
        assert_eq!(assigned(EventClasses::NONE, "q").unwrap_err(), error::EVENT_CLASS);
    }

    #[test]
    fn percentiles() {
        let none = || Percentiles(Vec::new());
        assert_eq!(
            assigned(none(), "50 99.12345678 99.99999 0.1 1e1").unwrap(),
            "50 99.123457 99.99999 0.1 10"
        );
        assert_eq!(assigned(none(), "0 100").unwrap(), "0 100");
        for wrong in ["x", "nan"] {
            assert_eq!(assigned(none(), wrong).unwrap_err(), error::PERCENTILES);
        }
        assert_eq!(assigned(none(), "101").unwrap_err(), error::PERCENTILES_RANGE);
    }

    #[test]
    fn core_lists() {
        let none = CpuList::default;
        assert_eq!(assigned(none(), "6,0-3,2").unwrap(), "0-3,6");
        for wrong in ["a", "3-1", "1-", "-1", "1,,2", "0-70000", ","] {
            assert_eq!(assigned(none(), wrong).unwrap_err(), error::CPU_LIST, "{wrong}");
        }
    }

    #[test]
    fn client_memory_limits() {
        let none = ClientMemoryLimit::Bytes(0);
        assert_eq!(assigned(none, "5%").unwrap(), "5%");
        assert_eq!(assigned(none, "0%").unwrap(), "0");
        assert_eq!(assigned(none, "10mb").unwrap(), "10485760");
        assert_eq!(assigned(none, "101%").unwrap_err(), "percentage argument must be less or equal to 100");
        assert_eq!(assigned(none, "-5%").unwrap_err(), "argument must be a memory or percent value");
    }

    #[test]
    fn shutdown_flags() {
        let none = ShutdownFlags::default();
        assert_eq!(assigned(none, "NOW save default").unwrap(), "save now");
        assert_eq!(assigned(none, "default").unwrap(), "default");
        assert_eq!(assigned(none, "save nosave").unwrap_err(), error::SHUTDOWN_CONFLICT);
        assert!(assigned(none, "").unwrap_err().starts_with("argument(s) must be one of"));
    }
}
