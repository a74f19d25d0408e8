//! DEBUG, for tests and for looking inside. Only where `enable-debug-command` allows it.
//!
//! Every subcommand has a real effect or tells the truth; those that steer a mechanism which does not exist
//! here are refused and say so. All of them are one command in the table, as in Redis: what the shards have
//! to do with it is chosen by the first argument, everywhere alike.

use sha1::{Digest, Sha1};
use std::time::Duration;

use super::config::client_is_local;
use super::help::write_help;
use super::{Command, Group, Here, Next, Part, Run, flag};
use crate::error::CommandError;
use crate::glob::glob_match;
use crate::keyspace::{Encoding, EntryRef, Expiry, Key, Keyspace, Kind, StringRef, StringValue};
use crate::resp::number::{IntegerText, parse_integer};
use crate::resp::{Args, Reply};
use crate::shard::Report;
use crate::types::packed::Item;
use crate::types::stream::Id;
use crate::types::{NEVER, Object};

pub const COMMANDS: &[Command] = &[Command::new("debug", -2, Run::Gather { check, part, merge })
    .group(Group::Server)
    .flags(flag::ADMIN | flag::NOSCRIPT | flag::LOADING | flag::STALE | flag::PROTECTED)
    .docs("A container for debugging commands.", "Depends on the subcommand.", "subcommand [arg [arg ...]]")];

/// The subcommands: word, least and most arguments with `DEBUG` and the word.
const ACTIONS: &[(&str, usize, usize, Action)] = &[
    ("DIGEST", 2, 2, Action::Digest),
    ("DIGEST-VALUE", 2, usize::MAX, Action::DigestValue),
    ("DICT-RESIZING", 3, 3, Action::DictResizing),
    ("ERROR", 3, 3, Action::Error),
    ("HELP", 2, 2, Action::Help),
    ("HTSTATS", 3, 4, Action::TableStatistics),
    ("HTSTATS-KEY", 3, 4, Action::ValueTable),
    ("LISTPACK", 3, 3, Action::Listpack),
    ("LOG", 3, 3, Action::Log),
    ("OBJECT", 3, 4, Action::Object),
    ("PAUSE-CRON", 3, 3, Action::PauseCron),
    ("POPULATE", 3, 5, Action::Populate),
    ("PROTOCOL", 3, 3, Action::Protocol),
    ("QUICKLIST-PACKED-THRESHOLD", 3, 3, Action::QuicklistThreshold),
    ("REPLYBUFFER", 4, 4, Action::ReplyBuffer),
    ("SET-ACTIVE-EXPIRE", 3, 3, Action::SetActiveExpire),
    ("SLEEP", 3, 3, Action::Sleep),
    ("STRINGMATCH-LEN", 4, 4, Action::StringMatch),
];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Action {
    Digest,
    DigestValue,
    DictResizing,
    Error,
    Help,
    TableStatistics,
    ValueTable,
    Listpack,
    Log,
    Object,
    PauseCron,
    Populate,
    Protocol,
    QuicklistThreshold,
    ReplyBuffer,
    SetActiveExpire,
    Sleep,
    StringMatch,
}

const HELP: &[&str] = &[
    "DIGEST",
    "    Returns a digest of all data.",
    "DIGEST-VALUE <key> [<key> ...]",
    "    Returns a digest of each key's value.",
    "ERROR <string>",
    "    Returns an error with this text.",
    "HTSTATS <dbid>",
    "    Returns the number of keys and the memory of a database on each shard.",
    "HTSTATS-KEY <key>",
    "    Like HTSTATS for the table that is a key's value.",
    "LISTPACK <key>",
    "    Shows the listpack that is a key's value.",
    "LOG <message>",
    "    Writes a line to the log.",
    "OBJECT <key>",
    "    Shows the encoding and the use of a key's value.",
    "PAUSE-CRON <0|1>",
    "    Stops the periodic work.",
    "POPULATE <count> [<prefix>] [<size>]",
    "    Creates keys named <prefix>:<number> that do not exist, with values of <size> bytes.",
    "PROTOCOL <type>",
    "    Returns a value of this type: string, integer, double, bignum, null, array, set, map, attrib, push,",
    "    verbatim, true, false.",
    "SET-ACTIVE-EXPIRE <0|1>",
    "    Says whether keys expire without being accessed.",
    "SLEEP <seconds>",
    "    Stops the server for a while. Decimals allowed.",
    "STRINGMATCH-LEN <pattern> <string>",
    "    Returns whether a glob pattern matches.",
];

fn find_action(args: &Args<'_>) -> Result<Action, CommandError> {
    let fits = |(word, least, most, _): &&(&str, usize, usize, Action)| {
        args.is(1, word) && (*least..=*most).contains(&args.len())
    };
    match ACTIONS.iter().find(fits) {
        Some((_, _, _, action)) => Ok(*action),
        None => Err(CommandError::text(format!(
            "ERR unknown subcommand or wrong number of arguments for '{}'. Try DEBUG HELP.",
            String::from_utf8_lossy(args.get(1))
        ))),
    }
}

/// Answers what needs no shard, and checks the rest.
fn check(here: &mut Here<'_>) -> Result<Next, CommandError> {
    let permission = here.shard.config.enable_debug_command;
    if !permission.allows(client_is_local(here)) {
        return Err(CommandError::text(
            "ERR DEBUG command not allowed. If the enable-debug-command option is set to \"local\", you can run \
             it from a local connection, otherwise you need to set this option in the configuration file, and \
             then restart the server.",
        ));
    }
    match find_action(&here.args)? {
        Action::Help => write_help(here, "DEBUG", HELP),
        Action::Error => {
            let text = String::from_utf8_lossy(here.args.get(2)).into_owned();
            return Err(CommandError::text(text));
        }
        Action::Log => {
            crate::log!(Warning, "DEBUG LOG: {}", String::from_utf8_lossy(here.args.get(2)));
            here.reply.ok();
        }
        Action::Protocol => {
            let kind = String::from_utf8_lossy(here.args.get(2)).to_lowercase();
            write_sample(&kind, &mut here.reply)?;
        }
        Action::StringMatch => {
            let matches = glob_match(here.args.get(2), here.args.get(3), false);
            here.reply.integer(i64::from(matches));
        }
        Action::DictResizing => {
            return Err(without_effect("tables grow and shrink in small steps at all times"));
        }
        Action::QuicklistThreshold => return Err(without_effect("list-max-listpack-size says it all")),
        Action::ReplyBuffer => {
            return Err(without_effect(
                "reply buffers are borrowed for each turn and never resized by a job",
            ));
        }
        Action::Sleep => {
            parse_sleep(&here.args)?;
            return Ok(Next::Gather);
        }
        Action::Populate => {
            Populate::parse(&here.args)?;
            return Ok(Next::Gather);
        }
        Action::TableStatistics => {
            parse_database(&here.args, here.shard.keyspace.database_count())?;
            return Ok(Next::Gather);
        }
        Action::PauseCron | Action::SetActiveExpire => {
            here.args.integer(2)?;
            return Ok(Next::Gather);
        }
        Action::Digest | Action::DigestValue | Action::Object | Action::ValueTable | Action::Listpack => {
            return Ok(Next::Gather);
        }
    }
    Ok(Next::Answered)
}

fn without_effect(reason: &str) -> CommandError {
    CommandError::text(format!("ERR This has no effect here: {reason}"))
}

fn parse_sleep(args: &Args<'_>) -> Result<Duration, CommandError> {
    let seconds = std::str::from_utf8(args.get(2)).ok().and_then(|text| text.parse::<f64>().ok());
    let duration = seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    duration.ok_or(CommandError::NotFloat)
}

fn parse_database(args: &Args<'_>, count: usize) -> Result<usize, CommandError> {
    let index = usize::try_from(args.integer(2)?).ok().filter(|&index| index < count);
    index.ok_or(CommandError::text("ERR Out of range database"))
}

/// What every shard does.
fn part(part: &mut Part<'_>) -> Report {
    let Ok(action) = find_action(&part.args) else { return Report::Done };
    match action {
        Action::Sleep => {
            if let Ok(duration) = parse_sleep(&part.args) {
                std::thread::sleep(duration);
            }
        }
        Action::SetActiveExpire => {
            part.shard.keyspace.set_active_expiry(parse_integer(part.args.get(2)) != Some(0));
        }
        Action::PauseCron => part.shard.cron_paused = parse_integer(part.args.get(2)) != Some(0),
        Action::Populate => populate(part),
        Action::Digest => return Report::Digests(digest_of_shard(&mut part.shard.keyspace)),
        Action::DigestValue => return digest_values(part),
        Action::TableStatistics => return table_statistics(part),
        Action::Object => return describe(part, object_text),
        Action::ValueTable => return describe(part, |_, _| String::new()),
        Action::Listpack => return describe(part, |entry, _| entry.encoding().name().to_owned()),
        _ => {}
    }
    Report::Done
}

fn merge(here: &mut Here<'_>, reports: Vec<Report>) -> Result<(), CommandError> {
    match find_action(&here.args)? {
        Action::Digest => merge_digest(here, reports),
        Action::DigestValue => merge_digest_values(here, reports),
        Action::TableStatistics => {
            let mut text = Vec::new();
            for report in reports {
                if let Report::Text(part) = report {
                    text.extend(part);
                }
            }
            here.reply.verbatim("txt", &text);
        }
        action @ (Action::Object | Action::ValueTable | Action::Listpack) => {
            let text = reports.into_iter().find_map(|report| match report {
                Report::Text(text) => Some(text),
                _ => None,
            });
            let text = text.ok_or(CommandError::NoSuchKey)?;
            match action {
                Action::ValueTable => {
                    return Err(CommandError::text(
                        "ERR The value stored at the specified key is not represented using an hash table",
                    ));
                }
                Action::Listpack if text == Encoding::Listpack.name().as_bytes() => {
                    return Err(without_effect("small values have a layout of their own"));
                }
                Action::Listpack => return Err(CommandError::text("ERR Not a listpack encoded object.")),
                _ => here.reply.status(&String::from_utf8_lossy(&text)),
            }
        }
        _ => here.reply.ok(),
    }
    Ok(())
}

/// POPULATE's arguments.
#[derive(Debug, PartialEq, Eq)]
struct Populate {
    count: u64,
    prefix: Vec<u8>,
    value_bytes: Option<usize>,
}

impl Populate {
    fn parse(args: &Args<'_>) -> Result<Self, CommandError> {
        let number = |index: usize| {
            let number = parse_integer(args.get(index)).and_then(|number| u64::try_from(number).ok());
            number.ok_or(CommandError::OutOfRangePositive)
        };
        let prefix = if args.len() > 3 { args.get(3).to_vec() } else { b"key".to_vec() };
        let value_bytes = if args.len() > 4 { Some(number(4)? as usize) } else { None };
        Ok(Populate { count: number(2)?, prefix, value_bytes })
    }

    fn write_key(&self, number: u64, out: &mut Vec<u8>) {
        out.clear();
        out.extend_from_slice(&self.prefix);
        out.push(b':');
        out.extend_from_slice(IntegerText::new(number as i64).as_bytes());
    }

    /// `value:<number>`, cut or filled up with zeros where a size is asked for.
    fn write_value(&self, number: u64, out: &mut Vec<u8>) {
        out.clear();
        out.extend_from_slice(b"value:");
        out.extend_from_slice(IntegerText::new(number as i64).as_bytes());
        if let Some(bytes) = self.value_bytes.filter(|&bytes| bytes > 0) {
            out.resize(bytes, 0);
        }
    }
}

/// Creates those of the keys that belong to this shard.
fn populate(part: &mut Part<'_>) {
    let Ok(populate) = Populate::parse(&part.args) else { return };
    let (mut key, mut value) = (Vec::new(), Vec::new());
    let (route, own) = (part.shard.route, part.shard.id);
    let keyspace = &mut part.shard.keyspace;
    for number in 0..populate.count {
        populate.write_key(number, &mut key);
        if route.shard_of(&key) != own {
            continue;
        }
        let name = Key { bytes: &key, ..keyspace.key(&key) };
        let database = keyspace.database(part.database);
        if database.peek(&name).is_none() {
            populate.write_value(number, &mut value);
            database.set_string(&name, StringValue::Text(&value), Expiry::Clear);
        }
    }
}

fn table_statistics(part: &mut Part<'_>) -> Report {
    let Ok(index) = parse_database(&part.args, part.shard.keyspace.database_count()) else {
        return Report::Done;
    };
    let shard = part.shard.id;
    let database = part.shard.keyspace.database(index);
    Report::Text(
        format!(
            "[Dictionary HT] shard {shard}\n number of elements: {}\n bytes of table, keys and values: {}\n\
             [Expires HT] shard {shard}\n number of elements: {}\n",
            database.len(),
            database.memory_bytes(),
            database.expires_len()
        )
        .into_bytes(),
    )
}

/// Tells about argument 2 as a key, on the shard that owns it and if it exists.
fn describe(part: &mut Part<'_>, text: fn(&EntryRef<'_>, u32) -> String) -> Report {
    if part.shard.route.shard_of(part.args.get(2)) != part.shard.id {
        return Report::Done;
    }
    let key = part.shard.keyspace.key(part.args.get(2));
    let database = part.shard.keyspace.database(part.database);
    match database.peek(&key) {
        Some(entry) => Report::Text(text(&entry, database.idle_seconds(&entry)).into_bytes()),
        None => Report::Done,
    }
}

fn object_text(entry: &EntryRef<'_>, idle_seconds: u32) -> String {
    format!(
        "Value at:{:p} refcount:1 encoding:{} serializedlength:{} lru:0 lru_seconds_idle:{idle_seconds}",
        entry.key().as_ptr(),
        entry.encoding().name(),
        serialized_bytes(entry)
    )
}

/// How many bytes a value takes in a snapshot, without compression and without its key: a collection its
/// length and its elements.
fn serialized_bytes(entry: &EntryRef<'_>) -> usize {
    match (entry.string(), entry.object()) {
        (Some(string), _) => serialized_string_bytes(string),
        (None, Some(Object::List(list))) => {
            length_bytes(list.len()) + list.iter().map(serialized_item_bytes).sum::<usize>()
        }
        (None, Some(Object::Set(set))) => {
            let mut bytes = length_bytes(set.len());
            set.for_each(|member| bytes += serialized_item_bytes(member));
            bytes
        }
        (None, Some(Object::SortedSet(set))) => {
            let members = set
                .iter(0..set.len())
                .map(|(member, _)| serialized_string_bytes(StringRef::Bytes(member)) + size_of::<f64>());
            length_bytes(set.len()) + members.sum::<usize>()
        }
        (None, Some(Object::Stream(stream))) => {
            let pairs = stream.log().range(Id::MIN, Id::MAX).map(|entry| {
                let fields = entry.fields();
                let bytes =
                    fields.map(|(name, value)| serialized_item_bytes(name) + serialized_item_bytes(value));
                size_of::<Id>() + bytes.sum::<usize>()
            });
            length_bytes(stream.log().len() as usize) + pairs.sum::<usize>()
        }
        (None, Some(Object::Hash(_)) | None) => entry.hash().map_or(0, |hash| {
            let mut bytes = length_bytes(hash.len());
            hash.for_each(|name, value| bytes += serialized_item_bytes(name) + serialized_item_bytes(value));
            bytes
        }),
    }
}

/// A small integer takes 2, 3 or 5 bytes, another string its length and its bytes.
fn serialized_string_bytes(value: StringRef<'_>) -> usize {
    match value {
        StringRef::Int(-0x80..0x80) => 2,
        StringRef::Int(-0x8000..0x8000) => 3,
        StringRef::Int(-0x8000_0000..0x8000_0000) => 5,
        value => length_bytes(value.len()) + value.len(),
    }
}

fn serialized_item_bytes(item: Item<'_>) -> usize {
    match item {
        Item::Int(number) => serialized_string_bytes(StringRef::Int(number)),
        _ => length_bytes(item.len()) + item.len(),
    }
}

/// How many bytes a length takes in a snapshot.
fn length_bytes(length: usize) -> usize {
    match length {
        0..64 => 1,
        64..16384 => 2,
        16384..0x1_0000_0000 => 5,
        _ => 9,
    }
}

// Digests: SHA-1 sums of keys and values, combined in ways that do not depend on an order.

type Sum = [u8; 20];

fn sha1(bytes: &[u8]) -> Sum {
    Sha1::digest(bytes).into()
}

fn xor(into: &mut Sum, other: &Sum) {
    into.iter_mut().zip(other).for_each(|(mine, theirs)| *mine ^= theirs);
}

/// Adds data whose order does not matter.
fn add(digest: &mut Sum, data: &[u8]) {
    xor(digest, &sha1(data));
}

/// Adds data whose order matters.
fn mix(digest: &mut Sum, data: &[u8]) {
    add(digest, data);
    *digest = sha1(digest);
}

/// The number of a type in a digest.
fn type_number(kind: Kind) -> u32 {
    match kind {
        Kind::String => 0,
        Kind::List => 1,
        Kind::Set => 2,
        Kind::SortedSet => 3,
        Kind::Hash => 4,
        Kind::Stream => 6,
    }
}

/// A score with 17 significant digits, as C's `%.17g` writes it.
fn digest_text(score: f64) -> String {
    const DIGITS: i32 = 17;
    if score.is_infinite() {
        return if score > 0.0 { "inf" } else { "-inf" }.to_owned();
    }
    let text = format!("{score:.16e}");
    let (significand, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    let trimmed = |text: &str| match text.contains('.') {
        true => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
        false => text.to_owned(),
    };
    if (-4..DIGITS).contains(&exponent) {
        return trimmed(&format!("{score:.*}", (DIGITS - 1 - exponent) as usize));
    }
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{}e{sign}{:02}", trimmed(significand), exponent.unsigned_abs())
}

fn mix_value(digest: &mut Sum, entry: &EntryRef<'_>) {
    mix(digest, &type_number(entry.kind()).to_be_bytes());
    if let Some(value) = entry.string() {
        mix(digest, &value.to_vec());
    }
    match entry.object() {
        Some(Object::List(list)) => list.iter().for_each(|element| mix(digest, &element.to_vec())),
        Some(Object::Set(set)) => set.for_each(|member| add(digest, &member.to_vec())),
        Some(Object::SortedSet(set)) => set.iter(0..set.len()).for_each(|(member, score)| {
            let mut element = Sum::default();
            mix(&mut element, member);
            mix(&mut element, digest_text(score).as_bytes());
            add(digest, &element);
        }),
        Some(Object::Stream(stream)) => stream.log().range(Id::MIN, Id::MAX).for_each(|entry| {
            mix(digest, format!("{}.{}", entry.id.ms, entry.id.seq).as_bytes());
            for (name, value) in entry.fields() {
                mix(digest, &name.to_vec());
                mix(digest, &value.to_vec());
            }
        }),
        Some(Object::Hash(_)) | None => {}
    }
    if let Some(hash) = entry.hash() {
        hash.for_each(|name, value| {
            let mut element = Sum::default();
            mix(&mut element, &name.to_vec());
            mix(&mut element, &value.to_vec());
            if hash.deadline(&name.to_vec()).is_some_and(|deadline| deadline != NEVER) {
                add(&mut element, b"!!hexpire!!");
            }
            add(digest, &element);
        });
    }
    if entry.expiry().is_some() {
        add(digest, b"!!expire!!");
    }
}

/// For each database with keys the sum over them, which the merge puts into the order of the databases.
fn digest_of_shard(keyspace: &mut Keyspace) -> Vec<(u32, Sum)> {
    let mut digests = Vec::new();
    for index in 0..keyspace.database_count() {
        let database = keyspace.database(index);
        let mut sum = Sum::default();
        let mut any = false;
        database.for_each(&mut |entry| {
            let mut digest = Sum::default();
            mix(&mut digest, entry.key());
            mix_value(&mut digest, &entry);
            add(&mut sum, &digest);
            any = true;
        });
        if any {
            digests.push((index as u32, sum));
        }
    }
    digests
}

fn merge_digest(here: &mut Here<'_>, reports: Vec<Report>) {
    let digest = dataset_digest(reports.into_iter().filter_map(|report| match report {
        Report::Digests(digests) => Some(digests),
        _ => None,
    }));
    here.reply.status(&hexadecimal(&digest));
}

fn dataset_digest(shards: impl Iterator<Item = Vec<(u32, Sum)>>) -> Sum {
    let mut databases: std::collections::BTreeMap<u32, Sum> = std::collections::BTreeMap::new();
    for (database, sum) in shards.flatten() {
        xor(databases.entry(database).or_default(), &sum);
    }
    let mut digest = Sum::default();
    for (database, sum) in databases {
        mix(&mut digest, &database.to_be_bytes());
        xor(&mut digest, &sum);
    }
    digest
}

/// The digests of the keys that belong to this shard, by argument.
fn digest_values(part: &mut Part<'_>) -> Report {
    let mut digests = Vec::new();
    for index in 2..part.args.len() {
        if part.shard.route.shard_of(part.args.get(index)) != part.shard.id {
            continue;
        }
        let key = part.shard.keyspace.key(part.args.get(index));
        let database = part.shard.keyspace.database(part.database);
        if let Some(entry) = database.peek(&key) {
            let mut digest = Sum::default();
            mix_value(&mut digest, &entry);
            digests.push((index as u32, digest));
        }
    }
    Report::Digests(digests)
}

fn merge_digest_values(here: &mut Here<'_>, reports: Vec<Report>) {
    let mut digests = vec![Sum::default(); here.args.len() - 2];
    for report in reports {
        if let Report::Digests(found) = report {
            found.into_iter().for_each(|(index, digest)| digests[index as usize - 2] = digest);
        }
    }
    here.reply.array(digests.len());
    digests.iter().for_each(|digest| here.reply.status(&hexadecimal(digest)));
}

fn hexadecimal(digest: &Sum) -> String {
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// One value of each type that a reply can have.
fn write_sample(kind: &str, reply: &mut Reply<'_>) -> Result<(), CommandError> {
    let resp3 = reply.is_resp3();
    match kind {
        "string" => reply.bulk(b"Hello World"),
        "integer" => reply.integer(12345),
        "double" => reply.double_text("3.141"),
        "null" => reply.null(),
        "array" => {
            reply.array(3);
            (0..3).for_each(|number| reply.integer(number));
        }
        "set" => {
            reply.set(3);
            (0..3).for_each(|number| reply.integer(number));
        }
        "map" => {
            reply.map(3);
            for number in 0..3 {
                reply.integer(number);
                reply.boolean(number == 1);
            }
        }
        "attrib" => {
            if resp3 {
                reply.encoded(b"|1\r\n$14\r\nkey-popularity\r\n*2\r\n$7\r\nkey:123\r\n:90\r\n");
            }
            reply.bulk(b"Some real reply following the attribute");
        }
        "push" if !resp3 => return Err(CommandError::text("ERR RESP2 is not supported by this command")),
        "push" => {
            reply.push(2);
            reply.bulk(b"server-cpu-usage");
            reply.integer(42);
            // A push is out of band: the command still has to have its reply.
            reply.bulk(b"Some real reply following the push reply");
        }
        "verbatim" => reply.verbatim("txt", b"This is a verbatim\nstring"),
        "true" => reply.boolean(true),
        "false" => reply.boolean(false),
        "bignum" if resp3 => reply.encoded(b"(1234567999999999999999999999999999999\r\n"),
        "bignum" => reply.bulk(b"1234567999999999999999999999999999999"),
        _ => {
            return Err(CommandError::text(
                "ERR Wrong protocol type name. Please use one of the following: \
                 string|integer|double|bignum|null|array|set|map|attrib|push|verbatim|true|false",
            ));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::testing::{Harness, with_args};

    fn digest(harness: &mut Harness) -> String {
        hexadecimal(&dataset_digest(harness.keyspaces.iter_mut().map(digest_of_shard)))
    }

    #[test]
    fn the_digest_is_that_of_redis() {
        let mut harness = Harness::new();
        assert_eq!(digest(&mut harness), "0".repeat(40));
        harness.run("SET a 12");
        // Of redis-server with the same one key.
        assert_eq!(digest(&mut harness), "c444d09515238c5a136080c3fb8d9d78edd9aa21");
    }

    #[test]
    fn the_digest_is_the_same_on_any_number_of_shards() {
        let mut digests = Vec::new();
        for shards in [1, 3] {
            let mut harness = Harness::with_shards(shards, false);
            for key in 0..50 {
                harness.run(&format!("SET key:{key} value:{key}"));
            }
            harness.run("PEXPIREAT key:7 1800000000000");
            harness.database = 3;
            harness.run("SET other 1");
            digests.push(digest(&mut harness));
        }
        assert_eq!(digests[0], digests[1]);
    }

    #[test]
    fn arguments_are_checked() {
        let action = |line: &str| with_args(line, |args| find_action(&args));
        assert_eq!(action("debug sleep 0"), Ok(Action::Sleep));
        let error = action("debug Sleep").unwrap_err();
        assert_eq!(
            error.message(),
            "ERR unknown subcommand or wrong number of arguments for 'Sleep'. Try DEBUG HELP."
        );
        assert!(action("debug nosuch").is_err());
        let populate = |line: &str| with_args(line, |args| Populate::parse(&args));
        let plain = Populate { count: 5, prefix: b"key".to_vec(), value_bytes: None };
        assert_eq!(populate("debug populate 5").unwrap(), plain);
        let full = Populate { count: 5, prefix: b"x".to_vec(), value_bytes: Some(10) };
        assert_eq!(populate("debug populate 5 x 10").unwrap(), full);
        let mut value = Vec::new();
        full.write_value(3, &mut value);
        assert_eq!(value, b"value:3\0\0\0");
        assert!(populate("debug populate -5").is_err());
    }

    #[test]
    fn scores_in_a_digest() {
        let texts = [0.0, -0.0, 3.0, 0.1, -2.5, 1e17, 1e16, 1e-5, 1.5e300, 123456789.125, f64::INFINITY];
        let expected = [
            "0",
            "-0",
            "3",
            "0.10000000000000001",
            "-2.5",
            "1e+17",
            "10000000000000000",
            "1.0000000000000001e-05",
            "1.5000000000000001e+300",
            "123456789.125",
            "inf",
        ];
        assert_eq!(texts.map(digest_text), expected);
    }

    #[test]
    fn lengths_in_a_snapshot() {
        let length = |number| serialized_string_bytes(StringRef::Int(number));
        assert_eq!([12, -128, 128, 40_000, 3_000_000_000].map(length), [2, 2, 3, 5, 11]);
        assert_eq!(serialized_string_bytes(StringRef::Bytes(&[0; 100])), 102);
    }
}
