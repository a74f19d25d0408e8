//! The plain types of values: how each is read from words, shown by CONFIG GET and written to a file.
//!
//! A directive's field has a Rust type; its [`Kind`] in the table adds what the type cannot say (range,
//! unit, base). The types of a few directives with a grammar of their own are in `special.rs`.

use super::error::{self, ValueError};
use super::words::quote;
use std::ffi::OsStr;
use std::fmt;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// What a directive takes.
#[derive(Clone, Copy, Debug)]
pub enum Kind {
    /// `yes` or `no`.
    Bool,
    /// A decimal number within the range, both ends included.
    Integer { min: i128, max: i128 },
    /// A number of bytes, with units: `1k` is 1000, `1kb` is 1024.
    Memory { min: i128, max: i128 },
    /// A number of bytes or `N%` of maxmemory.
    MemoryOrPercent,
    /// File permissions in octal.
    Octal { max: u32 },
    /// One of these words.
    Choice(&'static [&'static str]),
    /// Any of these words.
    Flags(&'static [&'static str]),
    /// One word, held to a rule.
    Text(TextRule),
    /// Several words, the grammar being the type's own.
    Words(&'static str),
    /// One word with a grammar of its own.
    Word(&'static str),
}

impl Kind {
    /// Whether the directive takes several words, which may also come as one with spaces in it.
    pub fn takes_several_words(&self) -> bool {
        matches!(self, Self::Words(_) | Self::Flags(_))
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Bool => out.write_str("yes|no"),
            Self::Integer { min, max } => write_range(out, "integer", min, max),
            Self::Memory { min, max } => write_range(out, "memory", min, max),
            Self::MemoryOrPercent => out.write_str("memory or percentage"),
            Self::Octal { max } => write!(out, "octal 0..{max:o}"),
            Self::Choice(names) => out.write_str(&names.join("|")),
            Self::Flags(names) => write!(out, "any of {}", names.join(" ")),
            Self::Text(_) => out.write_str("text"),
            Self::Words(grammar) | Self::Word(grammar) => out.write_str(grammar),
        }
    }
}

/// Leaves an end of the range out where it is only the type's own limit.
fn write_range(out: &mut fmt::Formatter<'_>, name: &str, min: i128, max: i128) -> fmt::Result {
    let lowest = [i128::from(i64::MIN), i128::from(i32::MIN)].contains(&min);
    let highest = [i64::MAX as i128, u64::MAX as i128, i32::MAX as i128, u32::MAX as i128].contains(&max);
    match (lowest, highest) {
        (true, true) => out.write_str(name),
        (false, true) => write!(out, "{name} {min}.."),
        _ => write!(out, "{name} {min}..{max}"),
    }
}

/// What a text must be beyond a single word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TextRule {
    Any,
    Hostname,
    NodeName,
    ProcessTitle,
    SnapshotFile,
    AppendFile,
    AppendDirectory,
}

impl TextRule {
    fn check(self, text: &[u8]) -> Result<(), ValueError> {
        let hostname_byte = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.');
        let is_path = text.contains(&b'/');
        let refusal = match self {
            Self::Any => None,
            Self::Hostname if text.len() >= 256 => Some(error::HOSTNAME_LENGTH),
            Self::Hostname => (!text.iter().all(hostname_byte)).then_some(error::HOSTNAME),
            Self::NodeName => (!text.iter().all(is_node_name_byte)).then_some(error::NODE_NAME),
            Self::ProcessTitle => {
                (text.is_empty() || !is_process_title(text)).then_some(error::PROCESS_TITLE)
            }
            Self::SnapshotFile => is_path.then_some(error::DBFILENAME_PATH),
            Self::AppendFile if text.is_empty() => Some(error::APPENDFILENAME_EMPTY),
            Self::AppendFile => is_path.then_some(error::APPENDFILENAME_PATH),
            Self::AppendDirectory if text.is_empty() => Some(error::APPENDDIRNAME_EMPTY),
            Self::AppendDirectory => is_path.then_some(error::APPENDDIRNAME_PATH),
        };
        refusal.map_or(Ok(()), |text| Err(ValueError::Refused(text)))
    }
}

/// A node's name stands in the lines of CLUSTER NODES, so what separates their fields is kept out of it.
fn is_node_name_byte(byte: &u8) -> bool {
    byte.is_ascii_graphic() && !b"!\"#$%&'()*+/:;<>?@[]{}^~".contains(byte)
}

/// The variables that a process title may name in braces.
const TITLE_VARIABLES: [&[u8]; 7] =
    [b"title", b"listen-addr", b"server-mode", b"port", b"tls-port", b"unixsocket", b"config-file"];

fn is_process_title(mut text: &[u8]) -> bool {
    while let Some(open) = text.iter().position(|&byte| byte == b'{') {
        let Some(length) = text[open..].iter().position(|&byte| byte == b'}') else { return false };
        if !TITLE_VARIABLES.contains(&&text[open + 1..open + length]) {
            return false;
        }
        text = &text[open + length + 1..];
    }
    true
}

/// Where a value comes from: at the start some directives add to what earlier lines said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    Start,
    Set,
}

/// A type that a directive's field may have.
pub trait Value: Clone + PartialEq {
    /// Takes the value that the words stand for; on an error nothing has changed.
    fn assign(&mut self, words: &[Vec<u8>], kind: &Kind, source: Source) -> Result<(), ValueError>;

    /// The value as CONFIG GET shows it.
    fn show(&self, kind: &Kind) -> Vec<u8>;

    /// What follows the directive's name in each line of a rewritten file; no line at all means none is
    /// needed.
    fn lines(&self, kind: &Kind) -> Vec<Vec<u8>> {
        vec![self.show(kind)]
    }
}

pub(super) fn only_word(words: &[Vec<u8>]) -> Result<&[u8], ValueError> {
    match words {
        [word] => Ok(word),
        _ => Err(ValueError::WrongNumberOfArguments),
    }
}

impl Value for bool {
    fn assign(&mut self, words: &[Vec<u8>], _: &Kind, _: Source) -> Result<(), ValueError> {
        *self = match only_word(words)? {
            word if word.eq_ignore_ascii_case(b"yes") => true,
            word if word.eq_ignore_ascii_case(b"no") => false,
            _ => return Err(ValueError::NotYesOrNo),
        };
        Ok(())
    }

    fn show(&self, _: &Kind) -> Vec<u8> {
        if *self { b"yes".to_vec() } else { b"no".to_vec() }
    }
}

/// A decimal number as Redis takes it: no plus sign, no leading zeros, no white space, within 64 bits.
pub(super) fn parse_integer(word: &[u8]) -> Option<i128> {
    let digits = word.strip_prefix(b"-").unwrap_or(word);
    let canonical = match digits {
        [b'0'] => digits.len() == word.len(),
        [b'1'..=b'9', rest @ ..] => rest.len() < 19 && rest.iter().all(u8::is_ascii_digit),
        _ => false,
    };
    let number: i128 = if canonical { std::str::from_utf8(word).ok()?.parse().ok()? } else { return None };
    i64::try_from(number).is_ok().then_some(number)
}

/// A number of bytes with an optional unit. An empty word is 0, as in Redis.
pub(super) fn parse_memory(word: &[u8]) -> Option<u64> {
    let length = word.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let (digits, unit) = word.split_at(length);
    let multiplier = match unit.to_ascii_lowercase().as_slice() {
        b"" | b"b" => 1,
        b"k" => 1000,
        b"kb" => 1 << 10,
        b"m" => 1_000_000,
        b"mb" => 1 << 20,
        b"g" => 1_000_000_000,
        b"gb" => 1 << 30,
        _ => return None,
    };
    if digits.is_empty() {
        return word.is_empty().then_some(0);
    }
    std::str::from_utf8(digits).ok()?.parse::<u64>().ok()?.checked_mul(multiplier)
}

/// Bytes in the largest unit that leaves no remainder, as CONFIG REWRITE writes them.
pub(super) fn show_memory(bytes: u64) -> String {
    match bytes {
        0 => "0".to_owned(),
        bytes if bytes % (1 << 30) == 0 => format!("{}gb", bytes >> 30),
        bytes if bytes % (1 << 20) == 0 => format!("{}mb", bytes >> 20),
        bytes if bytes % (1 << 10) == 0 => format!("{}kb", bytes >> 10),
        bytes => bytes.to_string(),
    }
}

fn parse_number(word: &[u8], kind: &Kind) -> Result<i128, ValueError> {
    let (number, min, max) = match *kind {
        Kind::Memory { min, max } => {
            let bytes = parse_memory(word).ok_or(ValueError::NotMemory)?;
            (i128::from(bytes), min, max)
        }
        Kind::Octal { max } => {
            let text = std::str::from_utf8(word).map_err(|_| ValueError::NotOctal)?;
            let number = u32::from_str_radix(text, 8).map_err(|_| ValueError::NotOctal)?;
            return if number > max {
                Err(ValueError::OutOfOctalRange { max })
            } else {
                Ok(i128::from(number))
            };
        }
        Kind::Integer { min, max } => (parse_integer(word).ok_or(ValueError::NotAnInteger)?, min, max),
        _ => return Err(ValueError::NotAnInteger),
    };
    if (min..=max).contains(&number) { Ok(number) } else { Err(ValueError::OutOfRange { min, max }) }
}

macro_rules! integer_values {
    ($($type:ty)*) => {$(
        impl Value for $type {
            fn assign(&mut self, words: &[Vec<u8>], kind: &Kind, _: Source) -> Result<(), ValueError> {
                let number = parse_number(only_word(words)?, kind)?;
                // The table's range is never wider than the type; a test holds that.
                *self = Self::try_from(number).map_err(|_| ValueError::NotAnInteger)?;
                Ok(())
            }

            fn show(&self, kind: &Kind) -> Vec<u8> {
                match kind {
                    Kind::Octal { .. } => format!("{self:o}").into_bytes(),
                    _ => self.to_string().into_bytes(),
                }
            }

            fn lines(&self, kind: &Kind) -> Vec<Vec<u8>> {
                match (kind, u64::try_from(*self)) {
                    (Kind::Memory { .. }, Ok(bytes)) => vec![show_memory(bytes).into_bytes()],
                    _ => vec![self.show(kind)],
                }
            }
        }
    )*};
}
integer_values! { u16 u32 u64 i32 i64 }

/// A text of any bytes: a path, a password, a name.
#[derive(Clone, Default, PartialEq, Eq, Hash)]
pub struct Text(Box<[u8]>);

impl Text {
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn as_path(&self) -> &Path {
        Path::new(OsStr::from_bytes(&self.0))
    }
}

impl From<&str> for Text {
    fn from(text: &str) -> Self {
        Self(text.as_bytes().into())
    }
}

impl From<Vec<u8>> for Text {
    fn from(text: Vec<u8>) -> Self {
        Self(text.into())
    }
}

/// Bytes that are no UTF-8 are replaced: for logs and messages.
impl fmt::Display for Text {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&String::from_utf8_lossy(&self.0))
    }
}

impl fmt::Debug for Text {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&String::from_utf8_lossy(&self.0), out)
    }
}

impl Value for Text {
    fn assign(&mut self, words: &[Vec<u8>], kind: &Kind, _: Source) -> Result<(), ValueError> {
        let word = only_word(words)?;
        if let Kind::Text(rule) = kind {
            rule.check(word)?;
        }
        self.0 = word.into();
        Ok(())
    }

    fn show(&self, _: &Kind) -> Vec<u8> {
        self.0.to_vec()
    }

    fn lines(&self, _: &Kind) -> Vec<Vec<u8>> {
        vec![quote(&self.0)]
    }
}

/// Declares an enum whose variants are the words of a directive, in the order in which Redis lists them.
macro_rules! choices {
    ($($(#[$meta:meta])* $name:ident { $($variant:ident = $word:literal),+ $(,)? })*) => {$(
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum $name { $($variant),+ }

        impl $name {
            pub const NAMES: &'static [&'static str] = &[$($word),+];

            /// The word that stands for it.
            pub fn name(self) -> &'static str {
                match self { $(Self::$variant => $word),+ }
            }
        }

        impl Value for $name {
            fn assign(&mut self, words: &[Vec<u8>], _: &Kind, _: Source) -> Result<(), ValueError> {
                let word = only_word(words)?;
                $(if word.eq_ignore_ascii_case($word.as_bytes()) {
                    *self = Self::$variant;
                    return Ok(());
                })+
                Err(ValueError::NotOneOf(Self::NAMES))
            }

            fn show(&self, _: &Kind) -> Vec<u8> {
                self.name().as_bytes().to_vec()
            }
        }
    )*};
}

choices! {
    LogLevel {
        Debug = "debug", Verbose = "verbose", Notice = "notice", Warning = "warning", Nothing = "nothing",
    }
    MaxmemoryPolicy {
        VolatileLru = "volatile-lru", VolatileLfu = "volatile-lfu", VolatileRandom = "volatile-random",
        VolatileTtl = "volatile-ttl", AllkeysLru = "allkeys-lru", AllkeysLfu = "allkeys-lfu",
        AllkeysRandom = "allkeys-random", NoEviction = "noeviction",
    }
    /// How the server talks to the kernel about sockets.
    EngineChoice { Auto = "auto", IoUring = "io_uring", Epoll = "epoll" }
    /// Whether a pipeline's commands on several shards keep their order for other clients.
    PipelineOrder { Strict = "strict", Concurrent = "concurrent" }
    AppendFsync { EverySecond = "everysec", Always = "always", No = "no" }
    Supervised { Upstart = "upstart", Systemd = "systemd", Auto = "auto", No = "no" }
    SyslogFacility {
        User = "user", Local0 = "local0", Local1 = "local1", Local2 = "local2", Local3 = "local3",
        Local4 = "local4", Local5 = "local5", Local6 = "local6", Local7 = "local7",
    }
    DisklessLoad { Disabled = "disabled", OnEmptyDb = "on-empty-db", Swapdb = "swapdb" }
    TlsAuthClients { No = "no", Yes = "yes", Optional = "optional" }
    OomScoreAdj { No = "no", Yes = "yes", Relative = "relative", Absolute = "absolute" }
    AclPubsubDefault { AllChannels = "allchannels", ResetChannels = "resetchannels" }
    SanitizeDumpPayload { No = "no", Yes = "yes", Clients = "clients" }
    /// Who may use a dangerous command: nobody, everybody, clients on this machine.
    Permission { No = "no", Yes = "yes", Local = "local" }
    EndpointType { Ip = "ip", Hostname = "hostname", UnknownEndpoint = "unknown-endpoint" }
    PropagationError { Ignore = "ignore", Panic = "panic", PanicOnReplicas = "panic-on-replicas" }
}

impl Permission {
    /// Whether a client may; one is local that came over a unix socket or the loopback interface.
    pub fn allows(self, client_is_local: bool) -> bool {
        match self {
            Self::No => false,
            Self::Yes => true,
            Self::Local => client_is_local,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_are_strict() {
        for (word, number) in [("0", 0), ("-1", -1), ("9223372036854775807", i64::MAX as i128)] {
            assert_eq!(parse_integer(word.as_bytes()), Some(number));
        }
        for word in [
            "",
            "-",
            "+1",
            "01",
            "-0",
            " 1",
            "1 ",
            "0x10",
            "1.0",
            "9223372036854775808",
            "99999999999999999999",
        ] {
            assert_eq!(parse_integer(word.as_bytes()), None, "{word:?}");
        }
        assert_eq!(parse_integer(b"-9223372036854775808"), Some(i64::MIN as i128));
    }

    #[test]
    fn memory_has_decimal_and_binary_units() {
        let cases =
            [("", 0), ("7", 7), ("7b", 7), ("1k", 1000), ("1kb", 1024), ("1KB", 1024), ("2m", 2_000_000)];
        for (word, bytes) in cases {
            assert_eq!(parse_memory(word.as_bytes()), Some(bytes), "{word}");
        }
        assert_eq!(parse_memory(b"3mb"), Some(3 << 20));
        assert_eq!(parse_memory(b"1g"), Some(1_000_000_000));
        assert_eq!(parse_memory(b"18446744073709551615"), Some(u64::MAX));
        for word in ["k", "-1", "1.5gb", "1 b", "10zb", "1tb", "17179869184gb", "18446744073709551616"] {
            assert_eq!(parse_memory(word.as_bytes()), None, "{word}");
        }
    }

    #[test]
    fn memory_reads_back_from_what_a_rewrite_shows() {
        for bytes in [0, 1, 1000, 1024, 1536, 1 << 20, 3 << 30, u64::MAX] {
            assert_eq!(parse_memory(show_memory(bytes).as_bytes()), Some(bytes));
        }
    }

    #[test]
    fn process_titles() {
        assert!(is_process_title(b"{title} {listen-addr} {server-mode} x"));
        assert!(is_process_title(b"") && is_process_title(b"plain"));
        assert!(!is_process_title(b"{x}") && !is_process_title(b"{title"));
    }
}
