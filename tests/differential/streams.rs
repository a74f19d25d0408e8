//! Streams in the random comparison: their commands, what stands in these, and where 7.2 differs from 7.0.

use super::support::client::Reply;
use super::support::random::Random;
use super::{Command, Intended, name_of};

/// As those of the other types. `<r>` is a key that often holds a stream, `<id>` the id of an entry, `<from>` and
/// `<to>` are ends of a range, `<group>` and `<consumer>` names. No command waits, and no id depends on the time.
pub const TEMPLATES: &[&str] = &[
    "XADD <r> <id> <field> <e>",
    "XADD <r> <id> <field> <e> <field> <e>",
    "XADD <r> <id> a <e> b <n>",
    "XADD <r> <next-id> a <e> b <n>",
    "XADD <r> <next-id> a <e> b <n>",
    "XADD <r> <next-id> a <e> b <n>",
    "XADD <r> <next-id> a <e> b <n>",
    "XADD <r> <next-id> <field> <e>",
    "XADD <r> <xtrim?> <next-id> a <e> b <n>",
    "XADD <r> NOMKSTREAM <xtrim?> <next-id> <field> <e>",
    "XTRIM <r> <xtrim?>",
    "XTRIM <r> MAXLEN <w>",
    "XTRIM <r> MINID ~ <id>",
    "XDEL <r> <id>",
    "XDEL <r> <id> <id> <id>",
    "XLEN <r>",
    "XRANGE <r> - +",
    "XRANGE <r> <from> <to> <xcount?>",
    "XREVRANGE <r> + -",
    "XREVRANGE <r> <to> <from> <xcount?>",
    "XREAD STREAMS <r> <id>",
    "XREAD <xcount?> STREAMS <r> <r> <r> <id> <id> <read-id>",
    "XSETID <r> 900-0",
    "XSETID <r> 900-0 ENTRIESADDED <w>",
    "XGROUP CREATE <r> <group> <id>",
    "XGROUP CREATE <r> <group> 0 MKSTREAM",
    "XGROUP CREATE <r> <group> $ ENTRIESREAD <w>",
    "XGROUP SETID <r> <group> <id>",
    "XGROUP DESTROY <r> <group>",
    "XGROUP CREATECONSUMER <r> <group> <consumer>",
    "XGROUP DELCONSUMER <r> <group> <consumer>",
    "XREADGROUP GROUP <group> <consumer> <xcount?> STREAMS <r> >",
    "XREADGROUP GROUP <group> <consumer> COUNT 2 STREAMS <r> >",
    "XREADGROUP GROUP <group> <consumer> COUNT 2 STREAMS <r> >",
    "XREADGROUP GROUP <group> <consumer> COUNT 1 NOACK STREAMS <r> >",
    "XREADGROUP GROUP <group> <consumer> <xcount?> STREAMS <r> <r> > <group-id>",
    "XREADGROUP GROUP <group> <consumer> STREAMS <r> <group-id>",
    "XACK <r> <group> <id>",
    "XACK <r> <group> <id> <id> <id> <id>",
    "XPENDING <r> <group>",
    "XPENDING <r> <group> <from> <to> <w>",
    "XPENDING <r> <group> - + 10 <consumer>",
    "XCLAIM <r> <group> <consumer> 0 <id> <id> <xclaim?>",
    "XCLAIM <r> <group> <consumer> 1000000 <id> <xclaim?>",
    "XAUTOCLAIM <r> <group> <consumer> 0 <from> <xauto?>",
    "XINFO GROUPS <r>",
    "XINFO GROUPS <r>",
    "DEBUG DIGEST-VALUE <r>",
    "OBJECT ENCODING <r>",
    "TYPE <r>",
    "COPY <r> <r> REPLACE",
    "RENAME <r> <r>",
    "DEL <r>",
    "EXPIRE <r> <s>",
];

const STREAMS: &[&[u8]] = &[b"{a}r", b"{b}r", b"{c}r", b"{d}r", b"{a}rr"];

const IDS: &[&str] = &[
    "1-1", "1-2", "2-0", "2-5", "3", "4-1", "5-1", "10-1", "70-0", "0-0", "007-1", "100-100", "x", "-",
    "5-x", "",
];

const XTRIM_OPTIONS: &[&str] = &[
    "MAXLEN 5",
    "MAXLEN ~ 3",
    "MAXLEN = 10",
    "MAXLEN ~ 0 LIMIT 6",
    "MINID <id>",
    "MINID ~ <id>",
    "MINID = 5",
    "LIMIT 3",
    "MAXLEN <w>",
    "FOO",
];
const XCOUNT_OPTIONS: &[&str] = &["COUNT 2", "COUNT 0", "COUNT <w>", "COUNT 100", "FOO"];
const XCLAIM_OPTIONS: &[&str] = &[
    "FORCE",
    "JUSTID",
    "RETRYCOUNT 3",
    "RETRYCOUNT <w>",
    "LASTID <id>",
    "TIME 1000",
    "IDLE 5000",
    "force",
    "FOO",
];
const XAUTO_OPTIONS: &[&str] = &["COUNT 2", "COUNT <w>", "JUSTID", "justid", "FOO"];

/// What may stand for an option.
pub fn options(word: &str) -> Option<&'static [&'static str]> {
    match word {
        "<xtrim?>" => Some(XTRIM_OPTIONS),
        "<xcount?>" => Some(XCOUNT_OPTIONS),
        "<xclaim?>" => Some(XCLAIM_OPTIONS),
        "<xauto?>" => Some(XAUTO_OPTIONS),
        _ => None,
    }
}

/// A word of a template that only streams have; `counter` grows with every word.
pub fn word(word: &str, random: &mut Random, counter: u64) -> Option<Vec<u8>> {
    let text = match word {
        "<r>" if random.one_in(20) => return Some(b"a".to_vec()),
        "<r>" => return Some(random.pick(STREAMS).to_vec()),
        "<id>" if random.one_in(2) => format!("{}-{}", random.below(60), random.below(3)),
        "<id>" => (*random.pick(IDS)).to_owned(),
        // Mostly above all before it.
        "<next-id>" => match random.below(6) {
            0 => format!("{}-*", counter / 40 % 100),
            1 => format!("{}-{}", counter / 40 % 100, counter % 40 * 1000),
            _ => format!("{}-{}", counter / 40 % 100, counter % 40),
        },
        "<read-id>" => (*random.pick(&["$", "$", "0", ">", "5"])).to_owned(),
        "<group-id>" => (*random.pick(&[">", "0", "0", "3-0", "$", "x"])).to_owned(),
        "<from>" => match random.below(4) {
            0 => "-".to_owned(),
            1 => format!("({}-{}", random.below(50), random.below(3)),
            2 => random.below(50).to_string(),
            _ => (*random.pick(&["5-1", "(5", "+", "x", "("])).to_owned(),
        },
        "<to>" => match random.below(4) {
            0 => "+".to_owned(),
            1 => format!("({}-{}", random.below(100), random.below(3)),
            2 => random.below(100).to_string(),
            _ => (*random.pick(&["50-1", "(5", "-", "x", "(0-0"])).to_owned(),
        },
        "<group>" => (*random.pick(&["g", "g", "g", "h", ""])).to_owned(),
        "<consumer>" => (*random.pick(&["alice", "bob", "carol"])).to_owned(),
        "<field>" => (*random.pick(&["a", "b", "12", "", "a field"])).to_owned(),
        _ => return None,
    };
    Some(text.into_bytes())
}

pub const INTENDED: &[Intended] = &[
    Intended { command: "XREAD", reason: "the text of 7.4, which has the id +", accept: is_unbalanced },
    Intended { command: "XREADGROUP", reason: "the text of 7.4, which has the id +", accept: is_unbalanced },
    Intended {
        command: "XINFO GROUPS",
        reason: "since 7.2 a consumer that reads in vain is created, too",
        accept: |_, reference, ours| without_consumers(reference) == without_consumers(ours),
    },
    Intended {
        command: "XGROUP CREATECONSUMER",
        reason: "since 7.2 a consumer that reads in vain is created, too",
        accept: |_, reference, ours| (reference, ours) == (&Reply::Integer(1), &Reply::Integer(0)),
    },
];

/// Groups without the number of their consumers.
fn without_consumers(groups: &Reply) -> Option<Vec<Vec<Reply>>> {
    let Reply::Array(groups) = groups else { return None };
    let fields = groups.iter().map(|group| match group {
        Reply::Array(fields) => fields.chunks(2).map(<[Reply]>::to_vec).collect::<Vec<_>>(),
        Reply::Map(fields) => fields.iter().map(|(name, value)| vec![name.clone(), value.clone()]).collect(),
        _ => Vec::new(),
    });
    Some(fields.flatten().filter(|field| field.first() != Some(&Reply::bulk("consumers"))).collect())
}

fn is_unbalanced(_: &Command, reference: &Reply, ours: &Reply) -> bool {
    let begins = |reply: &Reply| matches!(reply, Reply::Error(text) if text.starts_with(b"ERR Unbalanced "));
    begins(reference) && begins(ours)
}

/// Whether two answers of XPENDING only differ in the time that passed.
pub fn same_pending(command: &Command, reference: &Reply, ours: &Reply, passed_ms: i64) -> bool {
    let (Reply::Array(reference), Reply::Array(ours)) = (reference, ours) else { return false };
    let same = |(reference, ours): (&Reply, &Reply)| match (reference, ours) {
        (Reply::Array(reference), Reply::Array(ours)) => match (&reference[..], &ours[..]) {
            (
                [id, consumer, Reply::Integer(idle_ms), deliveries],
                [ids @ .., Reply::Integer(our_idle_ms), our_deliveries],
            ) => {
                ids == [id.clone(), consumer.clone()]
                    && (idle_ms - our_idle_ms).abs() <= passed_ms
                    && deliveries == our_deliveries
            }
            _ => false,
        },
        _ => false,
    };
    name_of(command) == "XPENDING" && reference.len() == ours.len() && reference.iter().zip(ours).all(same)
}
