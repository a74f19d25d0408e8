//! What can be wrong with a directive, and the exact texts that Redis uses for it.
//!
//! Three layers: a value that its directive refuses ([`ValueError`]), a CONFIG SET that fails
//! ([`SetError`]), a server that cannot start ([`StartError`]).

use std::fmt;
use std::io;
use std::path::PathBuf;

/// The version of Redis whose behaviour and texts are followed.
pub const REDIS_VERSION: &str = "7.2.4";

/// Why a directive refuses a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ValueError {
    WrongNumberOfArguments,
    NotYesOrNo,
    NotAnInteger,
    NotOctal,
    NotMemory,
    NotMemoryOrPercent,
    PercentTooLarge,
    OutOfRange {
        min: i128,
        max: i128,
    },
    /// Both ends are shown in octal.
    OutOfOctalRange {
        max: u32,
    },
    NotOneOf(&'static [&'static str]),
    /// A rule that only one or two directives have.
    Refused(&'static str),
}

pub(super) const UNKNOWN_DIRECTIVE: &str = "Bad directive or wrong number of arguments";
pub(super) const UNBALANCED_QUOTES: &str = "Unbalanced quotes in configuration line";
pub(super) const SENTINEL: &str = "sentinel directive while not in sentinel mode";
pub(super) const INCLUDES_TOO_DEEP: &str = "Too many nested includes";

pub(super) const INVALID_SAVE: &str = "Invalid save parameters";
pub(super) const SHUTDOWN_CONFLICT: &str = "shutdown options SAVE and NOSAVE can't be used simultaneously";
pub(super) const TOO_MANY_ADDRESSES: &str = "Too many bind addresses specified.";
pub(super) const INVALID_MASTER_PORT: &str = "Invalid master port";
pub(super) const BUFFER_LIMIT_COUNT: &str = "Wrong number of arguments in buffer limit configuration.";
pub(super) const BUFFER_LIMIT_CLASS: &str = "Invalid client class specified in buffer limit configuration.";
pub(super) const BUFFER_LIMIT_VALUE: &str =
    "Error in hard, soft or soft_seconds setting in buffer limit configuration.";
pub(super) const SCORE_RANGE: &str = "Invalid oom-score-adj-values, elements must be between -2000 and 2000.";
pub(super) const EVENT_CLASS: &str = "Invalid event class character. Use 'Ag$lshzxeKEtmdn'.";
pub(super) const PERCENTILES: &str = "Invalid latency-tracking-info-percentiles parameters";
pub(super) const PERCENTILES_RANGE: &str =
    "latency-tracking-info-percentiles parameters should sit between [0.0,100.0]";
pub(super) const HOSTNAME: &str = "Hostnames may only contain alphanumeric characters, hyphens or dots";
pub(super) const HOSTNAME_LENGTH: &str = "Hostnames must be less than 256 characters";
pub(super) const NODE_NAME: &str = "Announced human node name contained invalid character";
pub(super) const PROCESS_TITLE: &str = "template format is invalid or contains unknown variables";
pub(super) const DBFILENAME_PATH: &str = "dbfilename can't be a path, just a filename";
pub(super) const APPENDFILENAME_EMPTY: &str = "appendfilename can't be empty";
pub(super) const APPENDFILENAME_PATH: &str = "appendfilename can't be a path, just a filename";
pub(super) const APPENDDIRNAME_EMPTY: &str = "appenddirname can't be empty";
pub(super) const APPENDDIRNAME_PATH: &str = "appenddirname can't be a path, just a dirname";
pub(super) const CPU_LIST: &str = "argument must be a list of cores such as 0-3,6";

impl fmt::Display for ValueError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::WrongNumberOfArguments => out.write_str("wrong number of arguments"),
            Self::NotYesOrNo => out.write_str("argument must be 'yes' or 'no'"),
            Self::NotAnInteger => out.write_str("argument couldn't be parsed into an integer"),
            Self::NotOctal => out.write_str("argument couldn't be parsed as an octal number"),
            Self::NotMemory => out.write_str("argument must be a memory value"),
            Self::NotMemoryOrPercent => out.write_str("argument must be a memory or percent value"),
            Self::PercentTooLarge => out.write_str("percentage argument must be less or equal to 100"),
            Self::OutOfRange { min, max } => {
                write!(out, "argument must be between {min} and {max} inclusive")
            }
            Self::OutOfOctalRange { max } => write!(out, "argument must be between 0 and {max:o} inclusive"),
            Self::NotOneOf(names) => {
                write!(out, "argument(s) must be one of the following: {}", names.join(", "))
            }
            Self::Refused(text) => out.write_str(text),
        }
    }
}

/// Why a CONFIG SET changed nothing. Shown with its `ERR` in front, as it goes over the wire.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SetError {
    /// The argument as the client wrote it.
    Unknown {
        argument: Vec<u8>,
    },
    Failed {
        argument: Vec<u8>,
        reason: SetFailure,
    },
}

/// What CONFIG SET holds against one argument.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SetFailure {
    Immutable,
    Protected,
    Duplicate,
    Value(ValueError),
    /// The server could not put the new value into effect: a port in use, a directory that is not there.
    Effect(String),
}

impl SetError {
    /// For the server, when a valid value cannot be put into effect.
    pub fn no_effect(argument: &str, reason: impl Into<String>) -> Self {
        let reason = SetFailure::Effect(reason.into());
        Self::Failed { argument: argument.as_bytes().to_vec(), reason }
    }
}

impl fmt::Display for SetError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown { argument } => write!(
                out,
                "ERR Unknown option or number of arguments for CONFIG SET - '{}'",
                String::from_utf8_lossy(argument)
            ),
            Self::Failed { argument, reason } => {
                let argument = String::from_utf8_lossy(argument);
                write!(out, "ERR CONFIG SET failed (possibly related to argument '{argument}') - ")?;
                match reason {
                    SetFailure::Immutable => out.write_str("can't set immutable config"),
                    SetFailure::Protected => out.write_str("can't set protected config"),
                    SetFailure::Duplicate => out.write_str("duplicate parameter"),
                    SetFailure::Value(error) => error.fmt(out),
                    SetFailure::Effect(text) => out.write_str(text),
                }
            }
        }
    }
}

/// A line of a configuration file, or one that the command line became.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceLine {
    /// Counted from 1 within its file; those of the command line follow those of the main file.
    pub number: usize,
    /// Without the white space around it.
    pub text: Vec<u8>,
}

/// Why the server does not start.
#[derive(Debug)]
pub enum StartError {
    /// A line that is refused. Shown as Redis's block, which goes to standard error.
    Line { line: SourceLine, reason: String },
    /// A file that cannot be read. Shown as one line for the log.
    File { path: PathBuf, error: io::Error },
}

impl StartError {
    pub fn at(line: &SourceLine, reason: impl fmt::Display) -> Self {
        Self::Line { line: line.clone(), reason: reason.to_string() }
    }
}

impl fmt::Display for StartError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Line { line, reason } => write!(
                out,
                "\n*** FATAL CONFIG FILE ERROR (Redis {REDIS_VERSION}) ***\n\
                 Reading the configuration file, at line {}\n>>> '{}'\n{reason}\n",
                line.number,
                String::from_utf8_lossy(&line.text),
            ),
            Self::File { path, error } => {
                // The operating system's words alone, without Rust's "(os error 2)".
                let text = error.to_string();
                let reason = text.split(" (os error").next().unwrap_or(&text);
                write!(out, "Fatal error, can't open config file '{}': {reason}", path.display())
            }
        }
    }
}

impl std::error::Error for StartError {}

/// CONFIG REWRITE on a server that was started without a file.
pub const NO_CONFIG_FILE: &str = "ERR The server is running without a config file";
