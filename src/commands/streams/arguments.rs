//! Arguments that several commands have in common.

use crate::error::{CommandError, StreamError};
use crate::resp::Args;
use crate::types::stream::{Id, Limits, Threshold, Trim};

/// What a trimming that is approximate removes at most, if nothing is said: the entries of so many blocks,
const BLOCKS_TRIMMED_MAX: u64 = 100;
/// or so many where blocks have no limit of entries,
const ENTRIES_TRIMMED_MAX: u64 = 10_000;
/// and never more than that.
const ENTRIES_TRIMMED_CEILING: u64 = 1_000_000;

/// An id, to which `number` is added if it only has a time.
#[inline]
pub(super) fn id(args: &Args<'_>, index: usize, number: u64) -> Result<Id, CommandError> {
    Ok(Id::parse(args.get(index), number).ok_or(StreamError::InvalidId)?)
}

/// The ids from argument `first` on are all right.
pub(super) fn check_ids(args: &Args<'_>, first: usize) -> Result<(), CommandError> {
    (first..args.len()).try_for_each(|index| id(args, index, 0).map(drop))
}

/// Ids that have been checked.
pub(super) fn ids(args: &Args<'_>, range: std::ops::Range<usize>) -> impl Iterator<Item = Id> {
    range.filter_map(|index| Id::parse(args.get(index), 0))
}

/// An end of a range, and whether it is outside.
fn bound(args: &Args<'_>, index: usize, number: u64) -> Result<(Id, bool), CommandError> {
    match args.get(index) {
        b"-" => Ok((Id::MIN, false)),
        b"+" => Ok((Id::MAX, false)),
        [b'(', rest @ ..] if !rest.is_empty() => {
            Ok((Id::parse(rest, number).ok_or(StreamError::InvalidId)?, true))
        }
        _ => Ok((id(args, index, number)?, false)),
    }
}

/// The first id of a range.
pub(super) fn range_start(args: &Args<'_>, index: usize) -> Result<Id, CommandError> {
    match bound(args, index, 0)? {
        (id, false) => Ok(id),
        (id, true) => Ok(id.next().ok_or(StreamError::RangeStart)?),
    }
}

/// The last id of a range.
pub(super) fn range_end(args: &Args<'_>, index: usize) -> Result<Id, CommandError> {
    match bound(args, index, u64::MAX)? {
        (id, false) => Ok(id),
        (id, true) => Ok(id.previous().ok_or(StreamError::RangeEnd)?),
    }
}

/// The id of an entry that is added.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NewId {
    Now,
    /// The next number of this millisecond.
    Of(u64),
    Exactly(Id),
}

/// What XADD and XTRIM have in front of the entry.
pub(super) struct AddOrTrim {
    pub trim: Option<Trim>,
    pub create: bool,
    /// Of XADD: the entry's id, and the argument behind it.
    pub id: NewId,
    pub fields: usize,
}

/// MAXLEN or MINID while the options are read.
struct Wanted {
    threshold: Threshold,
    approximate: bool,
}

impl AddOrTrim {
    pub(super) fn parse(args: &Args<'_>, adds: bool, limits: Limits) -> Result<AddOrTrim, CommandError> {
        let mut parsed = AddOrTrim { trim: None, create: true, id: NewId::Now, fields: args.len() + 1 };
        let (mut trim, mut limit) = (None, None);
        let mut index = 2;
        while index < args.len() {
            let more = args.len() - 1 - index;
            if adds && args.get(index) == b"*" {
                parsed.fields = index + 1;
                break;
            } else if more > 0 && (args.is(index, "MAXLEN") || args.is(index, "MINID")) {
                if trim.is_some() {
                    return Err(StreamError::MaxlenAndMinid.into());
                }
                let sign = if more >= 2 { args.get(index + 1) } else { b"" };
                let value = index + 1 + usize::from(matches!(sign, b"~" | b"="));
                let threshold = threshold(args, value, args.is(index, "MAXLEN"))?;
                trim = Some(Wanted { threshold, approximate: sign == b"~" });
                index = value;
            } else if more > 0 && args.is(index, "LIMIT") {
                index += 1;
                let count = u64::try_from(args.integer(index)?).map_err(|_| StreamError::LimitNegative)?;
                limit = Some(count);
            } else if adds && args.is(index, "NOMKSTREAM") {
                parsed.create = false;
            } else if adds {
                parsed.id = match Id::parse_time(args.get(index)) {
                    Some(ms) => NewId::Of(ms),
                    None => NewId::Exactly(id(args, index, 0)?),
                };
                parsed.fields = index + 1;
                break;
            } else {
                return Err(CommandError::Syntax);
            }
            index += 1;
        }
        parsed.trim = finish(trim, limit, adds, limits)?;
        Ok(parsed)
    }
}

fn threshold(args: &Args<'_>, index: usize, of_length: bool) -> Result<Threshold, CommandError> {
    if of_length {
        let length = u64::try_from(args.integer(index)?).map_err(|_| StreamError::MaxlenNegative)?;
        return Ok(Threshold::Length(length));
    }
    Ok(Threshold::Id(id(args, index, 0)?))
}

fn finish(
    trim: Option<Wanted>,
    limit: Option<u64>,
    adds: bool,
    limits: Limits,
) -> Result<Option<Trim>, CommandError> {
    let Some(Wanted { threshold, approximate }) = trim else {
        return match limit {
            Some(1..) => Err(StreamError::LimitAlone.into()),
            _ if !adds => Err(StreamError::TrimMissing.into()),
            Some(0) => Err(StreamError::LimitExact.into()),
            _ => Ok(None),
        };
    };
    let limit = match (limit, approximate) {
        (Some(_), false) => return Err(StreamError::LimitExact.into()),
        (Some(limit), true) => Some(limit).filter(|&limit| limit > 0),
        (None, false) => None,
        (None, true) => Some(match limits.entries {
            Limits::ENTRIES_MAX => ENTRIES_TRIMMED_MAX,
            entries => (BLOCKS_TRIMMED_MAX * u64::from(entries)).min(ENTRIES_TRIMMED_CEILING),
        }),
    };
    Ok(Some(Trim { threshold, approximate, limit }))
}
