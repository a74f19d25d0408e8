//! Everything that can go wrong, as closed enums with the exact texts that go over the wire.
//!
//! Clients match on these texts, so they are Redis's to the letter and stand in this one file.
//! The enums are split by consequence: a [`CommandError`] becomes one error reply and the connection
//! lives on; a [`ProtocolError`] is replied once and the connection closes; a [`StartError`] stops the
//! process before it serves anyone.

use std::borrow::Cow;
use std::fmt;

/// A command failed: the reply is one error line, nothing else changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CommandError {
    /// The key holds another type than the command works on.
    WrongType,
    /// An option or a combination of options that the command does not know.
    Syntax,
    /// Text where a signed 64-bit integer was expected.
    NotInteger,
    /// Text where a floating-point number was expected.
    NotFloat,
    /// INCR and its kin would leave the range of a signed 64-bit integer.
    Overflow,
    /// DECRBY of the smallest integer.
    DecrementOverflow,
    /// INCRBYFLOAT would produce a value that is not finite.
    NanOrInfinity,
    /// HINCRBYFLOAT by what is not finite.
    IncrementNotFinite,
    /// HINCRBY of a field whose value is no integer.
    HashValueNotInteger,
    /// HINCRBYFLOAT of a field whose value is no number.
    HashValueNotFloat,
    /// An offset below zero, or a bit or byte offset too large.
    OffsetOutOfRange,
    /// The position of a bit that is no number, or beyond the longest string.
    BitOffset,
    /// SETBIT to something else than 0 or 1.
    BitValue,
    /// BITPOS of something else than 0 or 1.
    BitArgument,
    /// BITOP NOT of several keys.
    BitopNot,
    /// A type of BITFIELD that is none.
    BitfieldType,
    /// OVERFLOW of BITFIELD with another word than its own.
    BitfieldOverflow,
    /// BITFIELD_RO with what would write.
    BitfieldReadOnly,
    /// A string that is no HyperLogLog.
    NotHyperLogLog,
    /// A HyperLogLog whose registers are not as many as they must be.
    CorruptedHyperLogLog,
    /// A longitude or a latitude out of its range; the two, ready to print.
    NoPlace(String),
    /// A unit of lengths that is none.
    UnknownUnit,
    /// GEOSEARCH and its kin around a member that is not there.
    NoSuchPlace,
    RadiusNotFloat,
    RadiusNegative,
    WidthNotFloat,
    HeightNotFloat,
    SidesNegative,
    /// COUNT of GEOSEARCH and its kin.
    GeoCountNotPositive,
    AnyWithoutCount,
    /// What is stored has no more than members; the command or the option.
    StoresNoMore(&'static str),
    /// GEOSEARCH without a center; the command as it was typed.
    NoCenter(String),
    /// GEOSEARCH with neither a radius nor a box; the command as it was typed.
    NoShape(String),
    /// No element has this index.
    IndexOutOfRange,
    /// An element that is too long for a list.
    ElementTooLarge,
    /// The key does not exist, where the command needs it to.
    NoSuchKey,
    /// SELECT, SWAPDB, COPY or MOVE with a database number that does not exist.
    DatabaseOutOfRange,
    /// MOVE and COPY onto the key itself.
    SameObject,
    /// A value or offset that is not an integer or lies out of its range.
    NotIntegerOrOutOfRange,
    /// A time of a field that is below zero.
    NegativeFieldExpire,
    /// FIELDS is not where it has to be.
    FieldsMissing,
    /// The number behind FIELDS, of HEXPIRE and its kin.
    NumfieldsNotPositive,
    /// The number behind FIELDS, of the other commands.
    FieldCountNotPositive,
    /// The number behind FIELDS, of HSETEX.
    InvalidFieldCount,
    /// The number behind FIELDS is not that of the fields.
    NumfieldsMismatch,
    /// HSETEX with an expiry option at the end.
    MissingExpire,
    /// HSETEX with FNX and FXX.
    FnxAndFxx,
    /// HSETEX with two of the options that say what becomes of deadlines.
    SeveralFieldExpiries,
    /// HSETEX with another word than its options.
    UnknownArgument(String),
    /// A value that must be positive is not.
    OutOfRangePositive,
    /// An expiry of zero, below zero or beyond the clock's range; names the command.
    InvalidExpire(&'static str),
    /// A string would grow beyond `proto-max-bulk-len`.
    StringTooLong,
    /// A SCAN cursor that is no unsigned integer.
    InvalidCursor,
    /// The end of a range of scores that is no number.
    ScoreRange,
    /// The end of a range of members that does not say whether it is inside.
    MemberRange,
    /// Adding to a score would give no number.
    NanScore,
    /// ZADD with NX and XX.
    NxAndXx,
    /// ZADD with two of GT, LT and NX.
    GtLtAndNx,
    /// ZADD with INCR and several members.
    IncrementOfSeveral,
    /// ZRANGE with LIMIT, but by rank.
    LimitByRank,
    /// ZRANGE with BYLEX and WITHSCORES.
    ScoresByMember,
    /// A weight of ZUNIONSTORE and its kin that is no number.
    WeightNotFloat,
    /// No key where at least one is to be combined; the command's full name.
    NoInputKey(&'static str),
    /// LIMIT of ZINTERCARD and its kin.
    LimitNegative,
    /// What SORT compares elements by is no number.
    SortNotNumber,
    /// The number of keys of ZMPOP and its kin.
    NumkeysNotPositive,
    /// SINTERCARD names more keys than there are arguments.
    NumkeysTooLarge,
    /// COUNT of ZMPOP and its kin.
    CountNotPositive,
    /// A count that may be below zero, but has no opposite.
    NotNegatable,
    /// RESTORE of a key that exists.
    BusyKey,
    /// RESTORE with a time to live below zero.
    NegativeTtl,
    NegativeIdletime,
    FrequencyOutOfRange,
    /// RESTORE of bytes that end with another checksum, or a version that is not known.
    WrongPayload,
    /// RESTORE of bytes that are no value.
    BadDataFormat,
    /// A number beyond what the command can do.
    OutOfRange,
    /// Too few or too many arguments; the command's full name.
    Arity(Cow<'static, str>),
    /// The command does not exist; the name and the beginning of its arguments, ready to print.
    UnknownCommand {
        name: String,
        arguments: String,
    },
    /// A container command has no such subcommand; what was typed, and the container in upper case.
    UnknownSubcommand {
        name: String,
        container: String,
    },
    /// What only commands on streams run into.
    Stream(StreamError),
    /// The memory limit is reached and nothing may be evicted.
    OutOfMemory,
    /// The connection has not authenticated.
    NoAuth,
    /// AUTH or HELLO with a wrong user or password.
    WrongPassword,
    /// A text that needs no classification; it begins with its code, such as `ERR`.
    Text(Cow<'static, str>),
}

impl CommandError {
    /// An error with a text made on the spot; `text` begins with its code (`ERR …`).
    pub fn text(text: impl Into<Cow<'static, str>>) -> Self {
        CommandError::Text(text.into())
    }

    /// The line as it goes over the wire, without the leading `-` and the line end.
    pub fn message(&self) -> Cow<'_, str> {
        use CommandError::*;
        Cow::Borrowed(match self {
            WrongType => "WRONGTYPE Operation against a key holding the wrong kind of value",
            Syntax => "ERR syntax error",
            NotInteger | NotIntegerOrOutOfRange => "ERR value is not an integer or out of range",
            NotFloat => "ERR value is not a valid float",
            Overflow => "ERR increment or decrement would overflow",
            DecrementOverflow => "ERR decrement would overflow",
            NanOrInfinity => "ERR increment would produce NaN or Infinity",
            IncrementNotFinite => "ERR value is NaN or Infinity",
            HashValueNotInteger => "ERR hash value is not an integer",
            HashValueNotFloat => "ERR hash value is not a float",
            OffsetOutOfRange => "ERR offset is out of range",
            BitOffset => "ERR bit offset is not an integer or out of range",
            BitValue => "ERR bit is not an integer or out of range",
            BitArgument => "ERR The bit argument must be 1 or 0.",
            BitopNot => "ERR BITOP NOT must be called with a single source key.",
            BitfieldType => {
                "ERR Invalid bitfield type. Use something like i16 u8. Note that u64 is not supported but i64 is."
            }
            BitfieldOverflow => "ERR Invalid OVERFLOW type specified",
            BitfieldReadOnly => "ERR BITFIELD_RO only supports the GET subcommand",
            NotHyperLogLog => "WRONGTYPE Key is not a valid HyperLogLog string value.",
            CorruptedHyperLogLog => "INVALIDOBJ Corrupted HLL object detected",
            NoPlace(pair) => return Cow::Owned(format!("ERR invalid longitude,latitude pair {pair}")),
            UnknownUnit => "ERR unsupported unit provided. please use M, KM, FT, MI",
            NoSuchPlace => "ERR could not decode requested zset member",
            RadiusNotFloat => "ERR need numeric radius",
            RadiusNegative => "ERR radius cannot be negative",
            WidthNotFloat => "ERR need numeric width",
            HeightNotFloat => "ERR need numeric height",
            SidesNegative => "ERR height or width cannot be negative",
            GeoCountNotPositive => "ERR COUNT must be > 0",
            AnyWithoutCount => "ERR the ANY argument requires COUNT argument",
            StoresNoMore(what) => {
                return Cow::Owned(format!(
                    "ERR {what} is not compatible with WITHDIST, WITHHASH and WITHCOORD options"
                ));
            }
            NoCenter(command) => {
                return Cow::Owned(format!(
                    "ERR exactly one of FROMMEMBER or FROMLONLAT can be specified for {command}"
                ));
            }
            NoShape(command) => {
                return Cow::Owned(format!(
                    "ERR exactly one of BYRADIUS and BYBOX can be specified for {command}"
                ));
            }
            IndexOutOfRange => "ERR index out of range",
            ElementTooLarge => "ERR Element too large",
            NoSuchKey => "ERR no such key",
            DatabaseOutOfRange => "ERR DB index is out of range",
            SameObject => "ERR source and destination objects are the same",
            NegativeFieldExpire => "ERR invalid expire time, must be >= 0",
            FieldsMissing => "ERR Mandatory argument FIELDS is missing or not at the right position",
            NumfieldsNotPositive => "ERR Parameter `numFields` should be greater than 0",
            FieldCountNotPositive => "ERR Number of fields must be a positive integer",
            InvalidFieldCount => "ERR invalid number of fields",
            NumfieldsMismatch => "ERR The `numfields` parameter must match the number of arguments",
            MissingExpire => "ERR missing expire time",
            FnxAndFxx => "ERR Only one of FXX or FNX arguments can be specified",
            SeveralFieldExpiries => {
                "ERR Only one of EX, PX, EXAT, PXAT or KEEPTTL arguments can be specified"
            }
            UnknownArgument(word) => return Cow::Owned(format!("ERR unknown argument: {word}")),
            OutOfRangePositive => "ERR value is out of range, must be positive",
            StringTooLong => "ERR string exceeds maximum allowed size (proto-max-bulk-len)",
            InvalidCursor => "ERR invalid cursor",
            OutOfMemory => "OOM command not allowed when used memory > 'maxmemory'.",
            NoAuth => "NOAUTH Authentication required.",
            WrongPassword => "WRONGPASS invalid username-password pair or user is disabled.",
            ScoreRange => "ERR min or max is not a float",
            MemberRange => "ERR min or max not valid string range item",
            NanScore => "ERR resulting score is not a number (NaN)",
            NxAndXx => "ERR XX and NX options at the same time are not compatible",
            GtLtAndNx => "ERR GT, LT, and/or NX options at the same time are not compatible",
            IncrementOfSeveral => "ERR INCR option supports a single increment-element pair",
            LimitByRank => {
                "ERR syntax error, LIMIT is only supported in combination with either BYSCORE or BYLEX"
            }
            ScoresByMember => "ERR syntax error, WITHSCORES not supported in combination with BYLEX",
            WeightNotFloat => "ERR weight value is not a float",
            LimitNegative => "ERR LIMIT can't be negative",
            SortNotNumber => "ERR One or more scores can't be converted into double",
            NumkeysNotPositive => "ERR numkeys should be greater than 0",
            NumkeysTooLarge => "ERR Number of keys can't be greater than number of args",
            CountNotPositive => "ERR count should be greater than 0",
            NotNegatable => {
                "ERR value is out of range, value must between -9223372036854775807 and 9223372036854775807"
            }
            BusyKey => "BUSYKEY Target key name already exists.",
            NegativeTtl => "ERR Invalid TTL value, must be >= 0",
            NegativeIdletime => "ERR Invalid IDLETIME value, must be >= 0",
            FrequencyOutOfRange => "ERR Invalid FREQ value, must be >= 0 and <= 255",
            WrongPayload => "ERR DUMP payload version or checksum are wrong",
            BadDataFormat => "ERR Bad data format",
            OutOfRange => "ERR value is out of range",
            NoInputKey(command) => {
                return Cow::Owned(format!("ERR at least 1 input key is needed for '{command}' command"));
            }
            InvalidExpire(command) => {
                return Cow::Owned(format!("ERR invalid expire time in '{command}' command"));
            }
            Arity(name) => {
                return Cow::Owned(format!("ERR wrong number of arguments for '{name}' command"));
            }
            UnknownCommand { name, arguments } => {
                return Cow::Owned(format!(
                    "ERR unknown command '{name}', with args beginning with: {arguments}"
                ));
            }
            UnknownSubcommand { name, container } => {
                return Cow::Owned(format!("ERR unknown subcommand '{name}'. Try {container} HELP."));
            }
            Stream(error) => return error.message(),
            Text(text) => text,
        })
    }
}

/// A command on a stream failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StreamError {
    /// Text where the id of an entry was expected.
    InvalidId,
    /// XADD of 0-0.
    IdZero,
    /// XADD of an id that is not above all others.
    IdNotAbove,
    /// The last id there is has been given out.
    IdsExhausted,
    /// An entry of more than 1 GiB.
    EntryTooLarge,
    /// XADD and XTRIM with MAXLEN and MINID.
    MaxlenAndMinid,
    MaxlenNegative,
    LimitNegative,
    /// LIMIT without MAXLEN or MINID.
    LimitAlone,
    /// LIMIT of a trimming that is not approximate.
    LimitExact,
    /// XTRIM without MAXLEN or MINID.
    TrimMissing,
    /// A range that begins behind the last id.
    RangeStart,
    /// A range that ends before the first id.
    RangeEnd,
    /// XREAD and XREADGROUP with another number of ids than of keys; the command's name.
    Unbalanced(&'static str),
    /// XREAD with an option of XREADGROUP, which is named.
    OnlyOfReadgroup(&'static str),
    /// XREAD with the id `>`.
    NewOnlyOfReadgroup,
    /// XREADGROUP without GROUP.
    GroupMissing,
    /// XREADGROUP with this id of XREAD.
    MeaninglessId(char),
    /// XREADGROUP of a key or a group that does not exist.
    NoGroupToRead {
        key: String,
        group: String,
    },
    /// A key or a group that does not exist.
    NoGroup {
        key: String,
        group: String,
    },
    /// The key has no such group.
    NoGroupOfKey {
        key: String,
        group: String,
    },
    /// XGROUP CREATE of a group that exists.
    GroupExists,
    /// XGROUP of a key that does not exist.
    KeyRequired,
    EntriesReadNegative,
    /// ENTRIESADDED below zero.
    EntriesAddedNegative,
    /// ENTRIESADDED below the number of entries.
    EntriesAddedTooFew,
    /// XSETID of an id below MAXDELETEDID.
    IdBelowGivenDeleted,
    /// XSETID of an id below that of an entry that was deleted.
    IdBelowDeleted,
    /// XSETID of an id below that of an entry.
    IdBelowTop,
    /// An argument of XCLAIM or XAUTOCLAIM that is no number: `min-idle-time`, `IDLE option` …; the command.
    InvalidNumber {
        what: &'static str,
        command: &'static str,
    },
    /// Another word than XCLAIM's options.
    UnknownClaimOption(String),
    /// COUNT of XAUTOCLAIM.
    CountNotPositive,
}

impl From<StreamError> for CommandError {
    fn from(error: StreamError) -> CommandError {
        CommandError::Stream(error)
    }
}

impl StreamError {
    fn message(&self) -> Cow<'_, str> {
        use StreamError::*;
        Cow::Borrowed(match self {
            InvalidId => "ERR Invalid stream ID specified as stream command argument",
            IdZero => "ERR The ID specified in XADD must be greater than 0-0",
            IdNotAbove => "ERR The ID specified in XADD is equal or smaller than the target stream top item",
            IdsExhausted => "ERR The stream has exhausted the last possible ID, unable to add more items",
            EntryTooLarge => "ERR Elements are too large to be stored",
            MaxlenAndMinid => {
                "ERR syntax error, MAXLEN and MINID options at the same time are not compatible"
            }
            MaxlenNegative => "ERR The MAXLEN argument must be >= 0.",
            LimitNegative => "ERR The LIMIT argument must be >= 0.",
            LimitAlone => "ERR syntax error, LIMIT cannot be used without specifying a trimming strategy",
            LimitExact => "ERR syntax error, LIMIT cannot be used without the special ~ option",
            TrimMissing => "ERR syntax error, XTRIM must be called with a trimming strategy",
            RangeStart => "ERR invalid start ID for the interval",
            RangeEnd => "ERR invalid end ID for the interval",
            NewOnlyOfReadgroup => {
                "ERR The > ID can be specified only when calling XREADGROUP using the GROUP <group> <consumer> \
                 option."
            }
            GroupMissing => "ERR Missing GROUP option for XREADGROUP",
            GroupExists => "BUSYGROUP Consumer Group name already exists",
            KeyRequired => {
                "ERR The XGROUP subcommand requires the key to exist. Note that for CREATE you may want to use \
                 the MKSTREAM option to create an empty stream automatically."
            }
            EntriesReadNegative => "ERR value for ENTRIESREAD must be positive or -1",
            EntriesAddedNegative => "ERR entries_added must be positive",
            EntriesAddedTooFew => {
                "ERR The entries_added specified in XSETID is smaller than the target stream length"
            }
            IdBelowGivenDeleted => {
                "ERR The ID specified in XSETID is smaller than the provided max_deleted_entry_id"
            }
            IdBelowDeleted => "ERR The ID specified in XSETID is smaller than current max_deleted_entry_id",
            IdBelowTop => "ERR The ID specified in XSETID is smaller than the target stream top item",
            CountNotPositive => "ERR COUNT must be > 0",
            Unbalanced(command) => {
                let id = if *command == "xread" { "ID, '+', or '$'" } else { "ID or '>'" };
                return Cow::Owned(format!(
                    "ERR Unbalanced '{command}' list of streams: for each stream key an {id} must be specified."
                ));
            }
            OnlyOfReadgroup(option) => {
                return Cow::Owned(format!(
                    "ERR The {option} option is only supported by XREADGROUP. You called XREAD instead."
                ));
            }
            MeaninglessId(id) => {
                return Cow::Owned(format!(
                    "ERR The {id} ID is meaningless in the context of XREADGROUP: you want to read the history of \
                     this consumer by specifying a proper ID, or use the > ID to get new messages. The {id} ID \
                     would just return an empty result set."
                ));
            }
            NoGroupToRead { key, group } => {
                return Cow::Owned(format!(
                    "NOGROUP No such key '{key}' or consumer group '{group}' in XREADGROUP with GROUP option"
                ));
            }
            NoGroup { key, group } => {
                return Cow::Owned(format!("NOGROUP No such key '{key}' or consumer group '{group}'"));
            }
            NoGroupOfKey { key, group } => {
                return Cow::Owned(format!("NOGROUP No such consumer group '{group}' for key name '{key}'"));
            }
            InvalidNumber { what, command } => {
                return Cow::Owned(format!("ERR Invalid {what} argument for {command}"));
            }
            UnknownClaimOption(option) => {
                return Cow::Owned(format!("ERR Unrecognized XCLAIM option '{option}'"));
            }
        })
    }
}

impl fmt::Display for CommandError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.message())
    }
}

impl std::error::Error for CommandError {}

/// The byte stream of a connection is broken: the text is replied once, then the connection closes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProtocolError {
    /// `*` was followed by no valid count of arguments.
    InvalidMultibulkLength,
    /// More than ten arguments before authentication.
    UnauthenticatedMultibulkLength,
    /// A bulk longer than 16 KiB before authentication.
    UnauthenticatedBulkLength,
    /// `$` was followed by no valid length.
    InvalidBulkLength,
    /// Another byte than `$` where a bulk must begin.
    ExpectedDollar(u8),
    /// An inline command with quotes that do not match.
    UnbalancedQuotes,
    /// An inline command without a line end in 64 KiB.
    TooBigInlineRequest,
    /// A length line without a line end in 64 KiB.
    TooBigCountString,
    /// The line of a bulk's length has no end in 64 KiB.
    TooBigBulkCountString,
}

impl ProtocolError {
    /// The line as it goes over the wire, without the leading `-` and the line end.
    pub fn message(self) -> Cow<'static, str> {
        use ProtocolError::*;
        Cow::Borrowed(match self {
            InvalidMultibulkLength => "ERR Protocol error: invalid multibulk length",
            UnauthenticatedMultibulkLength => "ERR Protocol error: unauthenticated multibulk length",
            UnauthenticatedBulkLength => "ERR Protocol error: unauthenticated bulk length",
            InvalidBulkLength => "ERR Protocol error: invalid bulk length",
            UnbalancedQuotes => "ERR Protocol error: unbalanced quotes in request",
            TooBigInlineRequest => "ERR Protocol error: too big inline request",
            TooBigCountString => "ERR Protocol error: too big mbulk count string",
            TooBigBulkCountString => "ERR Protocol error: too big bulk count string",
            ExpectedDollar(byte) => {
                let shown = if byte == b'\r' || byte == b'\n' { ' ' } else { byte as char };
                return Cow::Owned(format!("ERR Protocol error: expected '$', got '{shown}'"));
            }
        })
    }
}
