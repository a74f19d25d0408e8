//! XGROUP.

use super::arguments::id;
use crate::commands::help::subcommand_syntax;
use crate::commands::{Data, Target};
use crate::error::{CommandError, StreamError};
use crate::keyspace::Beside;
use crate::resp::Args;
use crate::types::Stream;
use crate::types::stream::Id;

/// The options behind the id.
struct Options {
    create_stream: bool,
    entries_read: Option<u64>,
}

impl Options {
    fn parse(args: &Args<'_>, creates: bool) -> Result<Options, CommandError> {
        let mut options = Options { create_stream: false, entries_read: None };
        let mut index = 5;
        while index < args.len() {
            if creates && args.is(index, "MKSTREAM") {
                options.create_stream = true;
            } else if args.is(index, "ENTRIESREAD") && index + 1 < args.len() {
                index += 1;
                options.entries_read = match args.integer(index)? {
                    -1 => None,
                    count => Some(u64::try_from(count).map_err(|_| StreamError::EntriesReadNegative)?),
                };
            } else {
                return Err(subcommand_syntax(args));
            }
            index += 1;
        }
        Ok(options)
    }
}

fn no_group(args: &Args<'_>) -> CommandError {
    let [key, group] = [2, 3].map(|index| String::from_utf8_lossy(args.get(index)).into_owned());
    StreamError::NoGroupOfKey { key, group }.into()
}

fn check_group(stream: &Stream, args: &Args<'_>) -> Result<(), CommandError> {
    if stream.groups().get(args.get(3)).is_some() { Ok(()) } else { Err(no_group(args)) }
}

pub(super) fn create(data: &mut Data<'_>) -> Result<(), CommandError> {
    let options = Options::parse(&data.args, true)?;
    let given = match data.args.get(4) {
        b"$" => None,
        _ => Some(id(&data.args, 4, 0)),
    };
    let too_many = data.args.len() > 8;
    let Target { database, key, args, reply } = data.target(2);
    let exists = database.edit::<Stream>(&key)?.is_some();
    if !exists && !options.create_stream {
        return Err(StreamError::KeyRequired.into());
    }
    if too_many {
        return Err(subcommand_syntax(args));
    }
    let given = given.transpose()?;
    let mut stream = database.edit_or_create(&key, Stream::new)?;
    if !exists {
        stream.change();
    }
    let last_id = given.unwrap_or(stream.log().last_id());
    let created = stream.change_beside(|stream| {
        let created = stream.groups_mut().create(args.get(3), last_id, options.entries_read);
        (created, created.then_some(Beside::Quiet))
    });
    if !created {
        return Err(StreamError::GroupExists.into());
    }
    stream.notify("xgroup-create");
    reply.ok();
    Ok(())
}

pub(super) fn set_id(data: &mut Data<'_>) -> Result<(), CommandError> {
    let options = Options::parse(&data.args, false)?;
    let Target { database, key, args, reply } = data.target(2);
    let mut stream = database.edit::<Stream>(&key)?.ok_or(StreamError::KeyRequired)?;
    check_group(&stream, args)?;
    if !matches!(args.len(), 5 | 7) {
        return Err(subcommand_syntax(args));
    }
    let id = match args.get(4) {
        b"$" => stream.log().last_id(),
        b"-" => Id::MIN,
        b"+" => Id::MAX,
        _ => id(args, 4, 0)?,
    };
    stream.change_beside(|stream| {
        if let Some(mut group) = stream.groups_mut().edit(args.get(3)) {
            group.last_id = id;
            group.entries_read = options.entries_read;
        }
        ((), Some(Beside::Quiet))
    });
    stream.notify("xgroup-setid");
    reply.ok();
    Ok(())
}

pub(super) fn destroy(data: &mut Data<'_>) -> Result<(), CommandError> {
    let Target { database, key, args, reply } = data.target(2);
    let mut stream = database.edit::<Stream>(&key)?.ok_or(StreamError::KeyRequired)?;
    let removed = stream.change_beside(|stream| {
        let removed = stream.remove_group(args.get(3));
        let kind = removed.is_some().then_some(Beside::Loud);
        (removed, kind)
    });
    reply.integer(i64::from(removed.is_some()));
    if let Some(removed) = removed {
        stream.notify("xgroup-destroy");
        stream.bury(removed);
    }
    Ok(())
}

pub(super) fn create_consumer(data: &mut Data<'_>) -> Result<(), CommandError> {
    let now_ms = data.keyspace.now();
    let Target { database, key, args, reply } = data.target(2);
    let mut stream = database.edit::<Stream>(&key)?.ok_or(StreamError::KeyRequired)?;
    check_group(&stream, args)?;
    let created = stream.change_beside(|stream| {
        let group = stream.groups_mut().edit(args.get(3));
        let created = group.is_some_and(|mut group| group.find_or_create_consumer(args.get(4), now_ms).1);
        (created, created.then_some(Beside::Quiet))
    });
    if created {
        stream.notify("xgroup-createconsumer");
    }
    reply.integer(i64::from(created));
    Ok(())
}

pub(super) fn delete_consumer(data: &mut Data<'_>) -> Result<(), CommandError> {
    let Target { database, key, args, reply } = data.target(2);
    let mut stream = database.edit::<Stream>(&key)?.ok_or(StreamError::KeyRequired)?;
    check_group(&stream, args)?;
    let deleted = stream.change_beside(|stream| {
        let group = stream.groups_mut().edit(args.get(3));
        let deleted = group.and_then(|mut group| group.delete_consumer(args.get(4)));
        (deleted, deleted.map(|_| Beside::Quiet))
    });
    if deleted.is_some() {
        stream.notify("xgroup-delconsumer");
    }
    reply.integer(deleted.unwrap_or(0) as i64);
    Ok(())
}
