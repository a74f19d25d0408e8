//! XREAD and XREADGROUP on streams of one shard.
//!
//! Both look at all their keys before they answer anything: what is wrong with one of them is the answer. Where
//! no stream has entries for the client, it may wait: with the ids that `$` stood for when it came.

use super::arguments::id;
use super::{write_entry, write_id};
use crate::commands::waiting::whole_timeout_ms;
use crate::commands::{Data, Target};
use crate::error::{CommandError, StreamError};
use crate::keyspace::{Beside, CollectionMut};
use crate::resp::{Args, Reply};
use crate::types::Stream;
use crate::types::stream::{ConsumerNumber, Group, Id, Log, Pending};

/// What XREAD or XREADGROUP is asked for.
#[derive(Clone, Copy)]
pub(super) struct Request {
    /// The argument of the first key.
    pub keys: usize,
    /// How many keys there are; behind them as many ids.
    pub streams: usize,
    pub timeout_ms: Option<i64>,
    count: usize,
    /// The arguments of the group and the consumer.
    group: Option<(usize, usize)>,
    no_acknowledgement: bool,
}

impl Request {
    pub(super) fn parse(args: &Args<'_>, as_group: bool) -> Result<Request, CommandError> {
        let (keys, streams) = (0, 0);
        let mut request = Request {
            keys,
            streams,
            timeout_ms: None,
            count: usize::MAX,
            group: None,
            no_acknowledgement: false,
        };
        let mut index = 1;
        while index < args.len() && request.keys == 0 {
            let more = args.len() - 1 - index;
            if more > 0 && args.is(index, "BLOCK") {
                index += 1;
                request.timeout_ms = Some(whole_timeout_ms(args, index)?);
            } else if more > 0 && args.is(index, "COUNT") {
                index += 1;
                let count = usize::try_from(args.integer(index)?).unwrap_or(0);
                request.count = if count == 0 { usize::MAX } else { count };
            } else if more > 0 && args.is(index, "STREAMS") {
                if !more.is_multiple_of(2) {
                    return Err(StreamError::Unbalanced(if as_group { "xreadgroup" } else { "xread" }).into());
                }
                (request.keys, request.streams) = (index + 1, more / 2);
            } else if more > 1 && args.is(index, "GROUP") {
                if !as_group {
                    return Err(StreamError::OnlyOfReadgroup("GROUP").into());
                }
                request.group = Some((index + 1, index + 2));
                index += 2;
            } else if args.is(index, "NOACK") {
                if !as_group {
                    return Err(StreamError::OnlyOfReadgroup("NOACK").into());
                }
                request.no_acknowledgement = true;
            } else {
                return Err(CommandError::Syntax);
            }
            index += 1;
        }
        if request.keys == 0 {
            return Err(CommandError::Syntax);
        }
        if as_group && request.group.is_none() {
            return Err(StreamError::GroupMissing.into());
        }
        Ok(request)
    }

    pub(super) fn key(&self, stream: usize) -> usize {
        self.keys + stream
    }

    pub(super) fn id(&self, stream: usize) -> usize {
        self.keys + self.streams + stream
    }
}

/// After which entry a client reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum After {
    Id(Id),
    /// The last one that its group got.
    Group,
}

/// What one of the keys is read from, or what is wrong with it.
pub(super) fn check(data: &mut Data<'_>, request: &Request, stream: usize) -> Result<After, CommandError> {
    let lenient = data.has_waited && request.group.is_none();
    let Target { database, key, args, .. } = data.target(request.key(stream));
    let found = match database.find::<Stream>(&key) {
        // It is none that the client waits for.
        Err(CommandError::WrongType) if lenient => None,
        found => found?,
    };
    if let Some((group, _)) = request.group
        && found.is_none_or(|stream| stream.groups().get(args.get(group)).is_none())
    {
        let [key, group] =
            [key.bytes, args.get(group)].map(|name| String::from_utf8_lossy(name).into_owned());
        return Err(StreamError::NoGroupToRead { key, group }.into());
    }
    let index = request.id(stream);
    let log = found.map(Stream::log);
    match args.get(index) {
        b"$" if request.group.is_some() => Err(StreamError::MeaninglessId('$').into()),
        b"+" if request.group.is_some() => Err(StreamError::MeaninglessId('+').into()),
        b"$" => Ok(After::Id(log.map_or(Id::MIN, Log::last_id))),
        b"+" => {
            let last = log.and_then(|log| log.last_entry_id()?.previous());
            Ok(After::Id(last.or(log.map(Log::last_id)).unwrap_or(Id::MIN)))
        }
        b">" if request.group.is_none() => Err(StreamError::NewOnlyOfReadgroup.into()),
        b">" => Ok(After::Group),
        _ => match id(args, index, 0)? {
            // Nothing can be pending behind it.
            Id::MAX if request.group.is_some() => Ok(After::Group),
            id => Ok(After::Id(id)),
        },
    }
}

/// Answers the entries that one of the streams has for the client, after the name of its key if it is `named`;
/// `false`: there are none, and nothing is answered.
pub(super) fn serve(
    data: &mut Data<'_>,
    request: &Request,
    stream: usize,
    after: After,
    named: bool,
) -> Result<bool, CommandError> {
    let now_ms = data.keyspace.now();
    let Target { database, key, args, reply } = data.target(request.key(stream));
    let mark = reply.mark();
    if named {
        if !reply.is_resp3() {
            reply.array(2);
        }
        reply.bulk(key.bytes);
    }
    let served = match request.group {
        Some((group, consumer)) => {
            let Some(stream) = database.edit::<Stream>(&key)? else {
                reply.truncate(mark);
                return Ok(false);
            };
            let names = Reader { group: args.get(group), consumer: args.get(consumer), now_ms };
            names.read(stream, request, after, reply)
        }
        None => match (database.find::<Stream>(&key), after) {
            (Ok(Some(stream)), After::Id(id)) => read(stream.log(), id, request.count, reply),
            _ => false,
        },
    };
    if !served {
        reply.truncate(mark);
    }
    Ok(served)
}

/// The entries after an id, if there are some.
fn read(log: &Log, after: Id, count: usize, reply: &mut Reply<'_>) -> bool {
    let Some(first) = after.next().filter(|_| log.last_entry_id().is_some_and(|last| last > after)) else {
        return false;
    };
    let entries = log.range(first, Id::MAX).take(count);
    reply.array_of(|reply| entries.map(|entry| write_entry(reply, entry)).count());
    true
}

/// The consumer of a group that reads.
struct Reader<'a> {
    group: &'a [u8],
    consumer: &'a [u8],
    now_ms: i64,
}

impl Reader<'_> {
    fn read(
        &self,
        mut stream: CollectionMut<'_, Stream>,
        request: &Request,
        after: After,
        reply: &mut Reply<'_>,
    ) -> bool {
        let (served, created) = stream.change_beside(|stream| {
            let (log, groups) = stream.log_and_groups();
            let Some(mut group) = groups.edit(self.group) else { return ((false, false), None) };
            let (number, created) = group.find_or_create_consumer(self.consumer, self.now_ms);
            group.set_seen(number, self.now_ms);
            let served = match after {
                After::Id(id) => {
                    self.read_again(log, &mut group, number, (id, request.count), reply);
                    true
                }
                After::Group if log.last_entry_id().is_some_and(|last| last > group.last_id) => {
                    self.read_next(log, &mut group, number, request, reply);
                    true
                }
                After::Group => false,
            };
            ((served, created), (created || served).then_some(Beside::Quiet))
        });
        if created {
            stream.notify("xgroup-createconsumer");
        }
        served
    }

    /// Answers the entries that are pending for the consumer after an id, as many as are wanted.
    fn read_again(
        &self,
        log: &Log,
        group: &mut Group,
        number: ConsumerNumber,
        (after, count): (Id, usize),
        reply: &mut Reply<'_>,
    ) {
        reply.array_of(|reply| {
            let (mut next, mut answered) = (after.next(), 0);
            while let Some(first) = next.filter(|_| answered < count)
                && let Some(id) = group.consumer(number).first_pending_from(first)
            {
                match log.get(id) {
                    Some(entry) => {
                        write_entry(reply, entry);
                        group.deliver_again(id, self.now_ms);
                    }
                    None => {
                        reply.array(2);
                        write_id(reply, id);
                        reply.null_array();
                    }
                }
                answered += 1;
                next = id.next();
            }
            answered
        });
    }

    /// Answers the entries that the group has not got; from then on they are pending.
    fn read_next(
        &self,
        log: &Log,
        group: &mut Group,
        consumer: ConsumerNumber,
        request: &Request,
        reply: &mut Reply<'_>,
    ) {
        let Some(first) = group.last_id.next() else { return reply.array(0) };
        let entries = log.range(first, Id::MAX).take(request.count);
        reply.array_of(|reply| {
            let mut answered = 0;
            for entry in entries {
                let id = entry.id;
                if log.entries_added() > 0 {
                    group.entries_read = match group.entries_read {
                        Some(read) if !log.has_gaps_from(id) => Some(read.wrapping_add(1)),
                        _ => log.entries_up_to(id),
                    };
                }
                group.last_id = id;
                write_entry(reply, entry);
                if !request.no_acknowledgement {
                    let delivered_ms = self.now_ms;
                    group.set_pending(Pending { id, delivered_ms, deliveries: 1, consumer });
                }
                answered += 1;
            }
            if answered > 0 && !request.no_acknowledgement {
                group.set_active(consumer, self.now_ms);
            }
            answered
        });
    }
}

/// The command line of a client that waits: an id in place of each `$`. `None` if there is none.
pub(super) fn waiting_args(
    args: &Args<'_>,
    request: &Request,
    mut id_of: impl FnMut(usize) -> Option<Vec<u8>>,
) -> Option<Vec<Vec<u8>>> {
    let is_last = |stream: &usize| args.get(request.id(*stream)) == b"$";
    if !(0..request.streams).any(|stream| is_last(&stream)) {
        return None;
    }
    let mut words: Vec<Vec<u8>> = args.iter().map(<[u8]>::to_vec).collect();
    for stream in (0..request.streams).filter(is_last) {
        words[request.id(stream)] = id_of(stream)?;
    }
    Some(words)
}

/// A command whose keys are all here.
fn read_all(data: &mut Data<'_>, as_group: bool) -> Result<(), CommandError> {
    let request = Request::parse(&data.args, as_group)?;
    let only = match request.streams {
        1 => Some(check(data, &request, 0)?),
        streams => {
            (0..streams).try_for_each(|stream| check(data, &request, stream).map(drop))?;
            None
        }
    };
    let mark = data.reply.mark();
    let mut answered = 0;
    // The count is put in front afterwards; of one stream it is known.
    if request.streams == 1 {
        data.reply.pairs(1);
    }
    for stream in 0..request.streams {
        let after = match only {
            Some(after) => after,
            None => check(data, &request, stream)?,
        };
        answered += usize::from(serve(data, &request, stream, after, true)?);
    }
    if answered > 0 {
        if request.streams > 1 {
            data.reply.insert_pairs(mark, answered);
        }
        return Ok(());
    }
    data.reply.truncate(mark);
    data.reply.null_array();
    if request.timeout_ms.is_some() {
        data.park = request.timeout_ms;
        let mut ids = Vec::new();
        for stream in 0..request.streams {
            ids.push(match check(data, &request, stream) {
                Ok(After::Id(id)) => Some(id.text().as_bytes().to_vec()),
                _ => None,
            });
        }
        data.waits_as = waiting_args(&data.args, &request, |stream| ids[stream].clone());
    }
    Ok(())
}

pub(super) fn xread(data: &mut Data<'_>) -> Result<(), CommandError> {
    read_all(data, false)
}

pub(super) fn xreadgroup(data: &mut Data<'_>) -> Result<(), CommandError> {
    read_all(data, true)
}
