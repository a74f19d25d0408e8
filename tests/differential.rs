//! Random sequences of commands on strings, lists, sets, sorted sets, streams and keys, some of them in transactions,
//! sent to redis-server and to polder: every reply is the same, errors to the letter.
//!
//! ```text
//!   seed ─ templates ─ sequence ─┬─ redis-server ─ replies ─┐
//!                                └─ polder ─────── replies ─┴─ compare ─ shrink ─ print
//! ```
//!
//! What the queued commands of a transaction have answered is compared one by one, and whether it ran at all
//! tells which commands change a watched key.
//!
//! Few keys, so that commands meet the same ones; options valid and invalid; pipelines of random
//! depth, both protocols. What depends on the moment (times to live) is compared within the time that
//! passed, what depends on chance or layout (RANDOMKEY, the order of SCAN and KEYS) by what must hold.
//!
//! Replay: `POLDER_SEED=… cargo test --test differential`; `POLDER_SEQUENCES` says how many. With
//! `POLDER_SURVEY=1` the test goes on after a difference, leaves the command in question out of later
//! sequences, and fails with the list of all.

#[path = "differential/streams.rs"]
mod streams;
mod support;

use std::time::{Duration, Instant};

use support::client::{Client, ReadError, Reply, encode, quote};
use support::random::{Random, seed};
use support::server::Server;

/// Commands of one sequence.
const COMMANDS_PER_SEQUENCE: usize = 250;

/// Runs that the search for a shorter failing sequence may take.
const SHRINK_RUNS_MAX: usize = 400;

/// What two clocks and two rounds of scheduling may add to the time that passed.
const SLACK_MS: i64 = 5;

/// One line per form of a command. `<k>` is a key, `<v>` a value, `<e>` an element, `<n>` a whole number, `<f>` a
/// fraction, `<i>` an index, `<s>` and `<m>` are seconds and milliseconds from now, `<S>` and `<M>`
/// times, `<db>` a database, `<p>` a pattern; `<set?>` stands for up to three options of SET. `<z>` is a key
/// that often holds a sorted set, `<l>` one whose scores are all the same, `<h>` one that often holds a hash, `<g>` a field, `<t>` one that often holds a set, `<u>` a member, mostly an integer, `<y>` a member, `<c>` a score,
/// `<b>` one end of a range of scores, `<x>` one of members, `<w>` a small count, `<payload>` what RESTORE takes, `<ttl>` its time to live.
const TEMPLATES: &[&str] = &[
    "SET <k> <v>",
    "SET <k> <v> <set?>",
    "SET <k> <v> <set?>",
    "SET <k> <n>",
    "GET <k>",
    "GET <k>",
    "GETDEL <k>",
    "GETEX <k> <getex?>",
    "GETSET <k> <v>",
    "SETNX <k> <v>",
    "SETEX <k> <s> <v>",
    "PSETEX <k> <m> <v>",
    "MGET <k> <k> <k> <k>",
    "MSET <k> <v> <k> <v> <k> <v>",
    "MSETNX <k> <v> <k> <v>",
    "APPEND <k> <v>",
    "STRLEN <k>",
    "INCR <k>",
    "DECR <k>",
    "INCRBY <k> <n>",
    "DECRBY <k> <n>",
    "INCRBYFLOAT <k> <f>",
    "GETRANGE <k> <i> <i>",
    "SUBSTR <k> <i> <i>",
    "SETRANGE <k> <i> <v>",
    "LCS <k> <k> <lcs?>",
    "SETBIT <k> <o> <bit>",
    "SETBIT <k> <o> <bit>",
    "GETBIT <k> <o>",
    "BITCOUNT <k>",
    "BITCOUNT <k> <i> <i> <unit?>",
    "BITPOS <k> <bit>",
    "BITPOS <k> <bit> <i>",
    "BITPOS <k> <bit> <i> <i> <unit?>",
    "BITOP <bitop> <k> <k> <k>",
    "BITOP <bitop> <k> <k> <k> <k> <k>",
    "BITOP NOT <k> <k>",
    "BITFIELD <k> <field?>",
    "BITFIELD <k> SET <type> <o> <n> <field?>",
    "BITFIELD <k> <overflow> INCRBY <type> <o> <n> <field?>",
    "BITFIELD_RO <k> GET <type> <o> <field?>",
    "PFADD <q> <e>",
    "PFADD <q> <y> <y> <u> <u>",
    "PFADD <q> <many>",
    "PFADD <q> <many> <many> <many>",
    "PFADD <q>",
    "PFCOUNT <q>",
    "PFCOUNT <q>",
    "PFCOUNT <q> <q> <q>",
    "PFMERGE <q>",
    "PFMERGE <q> <q> <q>",
    "PFDEBUG <pfdebug> <q>",
    "GET <q>",
    "DEL <q>",
    "SET <q> <v>",
    "COPY <q> <q> REPLACE",
    "GEOADD <z> <geoadd?> <lon> <lat> <y>",
    "GEOADD <z> <lon> <lat> <y> <lon> <lat> <y> <lon> <lat> <y> <lon> <lat> <y>",
    "GEOADD <z> <lon> <lat> <y> <lon> <lat> <y> <lon> <lat> <y> <lon> <lat> <y>",
    "GEOPOS <z> <y> <y>",
    "GEOHASH <z> <y> <y>",
    "GEODIST <z> <y> <y>",
    "GEODIST <z> <y> <y> <length>",
    "GEOSEARCH <z> FROMLONLAT <lon> <lat> BYRADIUS <radius> <length> <geo?>",
    "GEOSEARCH <z> FROMMEMBER <y> BYRADIUS <radius> <length> <geo?>",
    "GEOSEARCH <z> FROMLONLAT <lon> <lat> BYBOX <radius> <radius> <length> <geo?>",
    "GEOSEARCH <z> FROMMEMBER <y> BYBOX <radius> <radius> <length> <geo?>",
    "GEOSEARCHSTORE <z> <z> FROMLONLAT <lon> <lat> BYRADIUS <radius> <length> <geostore?>",
    "GEOSEARCHSTORE <z> <z> FROMMEMBER <y> BYBOX <radius> <radius> <length> <geostore?>",
    "GEORADIUS <z> <lon> <lat> <radius> <length> <geo?>",
    "GEORADIUS <z> <lon> <lat> <radius> <length> <georadius?>",
    "GEORADIUSBYMEMBER <z> <y> <radius> <length> <georadius?>",
    "GEORADIUS_RO <z> <lon> <lat> <radius> <length> <geo?>",
    "GEORADIUSBYMEMBER_RO <z> <y> <radius> <length> <geo?>",
    "LPUSH <k> <e>",
    "LPUSH <k> <e> <e> <e> <e> <e> <e>",
    "RPUSH <k> <e>",
    "RPUSH <k> <e> <e> <e> <e> <e> <e> <e> <e> <e> <e> <e> <e>",
    "LPUSHX <k> <e> <e>",
    "RPUSHX <k> <e> <e>",
    "LPOP <k>",
    "LPOP <k> <i>",
    "RPOP <k>",
    "RPOP <k> <i>",
    "LLEN <k>",
    "LINDEX <k> <i>",
    "LSET <k> <i> <e>",
    "LSET <k> <i> <e>",
    "LINSERT <k> <where> <e> <e>",
    "LINSERT <k> <where> <e> <e>",
    "LRANGE <k> <i> <i>",
    "LRANGE <k> 0 -1",
    "LRANGE <k> 0 -1",
    "LREM <k> <i> <e>",
    "LREM <k> 1 <e>",
    "LTRIM <k> <i> <i>",
    "LPOS <k> <e> <lpos?>",
    "LMOVE <k> <k> <side> <side>",
    "LMOVE <k> <k> <side> <side>",
    "RPOPLPUSH <k> <k>",
    "LMPOP 3 <k> <k> <k> <side>",
    "LMPOP 2 <k> <k> <side> COUNT <i>",
    "DEL <k> <k>",
    "UNLINK <k>",
    "EXISTS <k> <k> <k>",
    "TYPE <k>",
    "TOUCH <k> <k>",
    "EXPIRE <k> <s> <expire?>",
    "PEXPIRE <k> <m> <expire?>",
    "EXPIREAT <k> <S> <expire?>",
    "PEXPIREAT <k> <M> <expire?>",
    "TTL <k>",
    "PTTL <k>",
    "EXPIRETIME <k>",
    "PEXPIRETIME <k>",
    "PERSIST <k>",
    "KEYS <p>",
    "SCAN 0 <scan?>",
    "RANDOMKEY",
    "RENAME <k> <k>",
    "RENAMENX <k> <k>",
    "COPY <k> <k> <copy?>",
    "MOVE <k> <db>",
    "OBJECT ENCODING <k>",
    "OBJECT REFCOUNT <k>",
    "OBJECT IDLETIME <k>",
    "OBJECT FREQ <k>",
    "DUMP <k>",
    "DUMP <z>",
    "DUMP <t>",
    "DUMP <h>",
    "RESTORE <k> 0 <payload> REPLACE",
    "RESTORE <k> <ttl> <payload> <restore?>",
    "RESTORE <k> 99999999999999 <payload> ABSTTL <restore?>",
    "DBSIZE",
    "SELECT <db>",
    "SWAPDB <db> <db>",
    "ECHO <v>",
    "PING",
    "ZADD <z> <zadd?> <c> <y>",
    "ZADD <z> <zadd?> <c> <y> <c> <y> <c> <y>",
    "ZADD <z> <c> <y> <c> <y> <c> <y> <c> <y> <c> <y>",
    "ZADD <l> 0 <y> 0 <y> 0 <y> 0 <y>",
    "ZADD <z> <zadd?> INCR <c> <y>",
    "ZINCRBY <z> <c> <y>",
    "ZREM <z> <y> <y>",
    "ZREM <l> <y>",
    "ZCARD <z>",
    "ZSCORE <z> <y>",
    "ZMSCORE <z> <y> <y> <y>",
    "ZRANK <z> <y>",
    "ZREVRANK <z> <y>",
    "ZCOUNT <z> <b> <b>",
    "ZLEXCOUNT <l> <x> <x>",
    "ZRANGE <z> <i> <i> <zrange?>",
    "ZRANGE <z> 0 -1 WITHSCORES",
    "ZRANGE <z> <b> <b> BYSCORE <zrange?>",
    "ZRANGE <l> <x> <x> BYLEX <zlimit?>",
    "ZREVRANGE <z> <i> <i> <zscores?>",
    "ZRANGEBYSCORE <z> <b> <b> <zscores?> <zlimit?>",
    "ZREVRANGEBYSCORE <z> <b> <b> <zlimit?> <zscores?>",
    "ZRANGEBYLEX <l> <x> <x> <zlimit?>",
    "ZREVRANGEBYLEX <l> <x> <x> <zlimit?>",
    "ZRANGESTORE <z> <z> <i> <i> <zrev?>",
    "ZRANGESTORE <z> <z> <b> <b> BYSCORE <zrev?> <zlimit?>",
    "ZREMRANGEBYRANK <z> <i> <i>",
    "ZREMRANGEBYSCORE <z> <b> <b>",
    "ZREMRANGEBYLEX <l> <x> <x>",
    "ZPOPMIN <z>",
    "ZPOPMAX <z>",
    "ZPOPMIN <z> <w>",
    "ZPOPMAX <l> <w>",
    "ZMPOP 3 <z> <z> <z> <zend?> <zcount?>",
    "ZRANDMEMBER <z>",
    "ZRANDMEMBER <z> <w> <zscores?>",
    "ZUNION 2 <z> <z> <zcombine2?> <zscores?>",
    "ZINTER 2 <z> <z> <zcombine2?> <zscores?>",
    "ZDIFF 2 <z> <z> <zscores?>",
    "ZDIFF 3 <z> <z> <z> WITHSCORES",
    "ZINTERCARD 2 <z> <z> <zcard?>",
    "ZUNIONSTORE <z> 2 <z> <z> <zcombine2?>",
    "ZUNIONSTORE <z> 3 <z> <z> <z> <zcombine3?>",
    "ZINTERSTORE <z> 2 <z> <z> <zcombine2?>",
    "ZDIFFSTORE <z> 2 <z> <z>",
    "ZUNION <w> <z> <z>",
    "ZSCAN <z> 0 <zscan?>",
    "OBJECT ENCODING <z>",
    "TYPE <z>",
    "COPY <z> <z> REPLACE",
    "RENAME <z> <z>",
    "DEL <z>",
    "EXPIRE <z> <s>",
    "SET <z> <v>",
    "GET <z>",
    "DEBUG DIGEST-VALUE <z>",
    "SADD <t> <u>",
    "SADD <t> <u> <u> <u> <u>",
    "SADD <t> <y> <y> <y>",
    "SADD <t> <y> <u>",
    "SREM <t> <u> <u>",
    "SREM <t> <y>",
    "SCARD <t>",
    "SISMEMBER <t> <u>",
    "SISMEMBER <t> <y>",
    "SMISMEMBER <t> <u> <y> <u>",
    "SMEMBERS <t>",
    "SMEMBERS <t>",
    "SMOVE <t> <t> <u>",
    "SMOVE <t> <t> <y>",
    "SPOP <t> 100",
    "SPOP <t> 0",
    "SPOP <t> <no-count>",
    "SRANDMEMBER <t>",
    "SRANDMEMBER <t> <w>",
    "SINTER <t> <t>",
    "SINTER <t> <t> <t>",
    "SUNION <t> <t>",
    "SUNION <t> <t> <t> <t>",
    "SDIFF <t> <t>",
    "SDIFF <t> <t> <t>",
    "SINTERCARD 2 <t> <t> <zcard?>",
    "SINTERCARD <w> <t> <t>",
    "SINTERSTORE <t> <t> <t>",
    "SUNIONSTORE <t> <t> <t>",
    "SUNIONSTORE <t> <t> <t> <t> <t>",
    "SDIFFSTORE <t> <t> <t>",
    "SSCAN <t> 0 <zscan?>",
    "ZUNION 2 <z> <t> <zcombine2?> WITHSCORES",
    "ZINTER 2 <t> <z> <zcombine2?> WITHSCORES",
    "ZDIFF 2 <t> <z> WITHSCORES",
    "ZUNIONSTORE <z> 2 <t> <t> <zcombine2?>",
    "OBJECT ENCODING <t>",
    "TYPE <t>",
    "COPY <t> <t> REPLACE",
    "RENAME <t> <t>",
    "DEL <t>",
    "EXPIRE <t> <s>",
    "SET <t> <v>",
    "DEBUG DIGEST-VALUE <t>",
    "SORT <k> <sort?>",
    "SORT <t> <sort?>",
    "SORT <t> ALPHA STORE <k> <alpha?>",
    "SORT_RO <k> <sort?>",
    "HSET <h> <g> <e>",
    "HSET <h> <g> <e> <g> <e> <g> <e>",
    "HSET <h> <g> <n> <g> <f>",
    "HMSET <h> <g> <e> <g> <e>",
    "HSETNX <h> <g> <e>",
    "HGET <h> <g>",
    "HMGET <h> <g> <g> <g>",
    "HGETALL <h>",
    "HKEYS <h>",
    "HVALS <h>",
    "HLEN <h>",
    "HEXISTS <h> <g>",
    "HSTRLEN <h> <g>",
    "HDEL <h> <g>",
    "HDEL <h> <g> <g> <g>",
    "HINCRBY <h> <g> <n>",
    "HINCRBYFLOAT <h> <g> <f>",
    "HRANDFIELD <h>",
    "HRANDFIELD <h> <w> <hvalues?>",
    "HSCAN <h> 0 <zscan?>",
    "OBJECT ENCODING <h>",
    "TYPE <h>",
    "COPY <h> <h> REPLACE",
    "RENAME <h> <h>",
    "DEL <h>",
    "EXPIRE <h> <s>",
    "SET <h> <v>",
    "DEBUG DIGEST-VALUE <h>",
];

/// Rare, because most make the databases empty.
const RARE_TEMPLATES: &[&str] = &[
    "FLUSHDB",
    "FLUSHALL",
    "FLUSHDB ASYNC",
    "FLUSHALL SYNC",
    "FOO <k>",
    "GET",
    "OBJECT FOO <k>",
    "EXEC",
    "DISCARD",
    "UNWATCH",
];
/// Commands between MULTI and EXEC, at most, and between WATCH and MULTI.
const QUEUED_MAX: usize = 6;
const WATCHING_MAX: usize = 3;

const KEYS: &[&[u8]] = &[
    // These four live on the four cores of a server with four, the next two on one.
    b"a",
    b"b",
    b"c",
    b"d",
    b"{tag}x",
    b"{tag}y",
    b"key:000000000001",
    b"",
    b"\x00\xff",
    b"missing",
    b"a-key-that-is-longer-than-what-any-table-would-keep-inline-for-it",
];

/// On four shards: one each, and two on the shard of the first.
const SORTED_SETS: &[&[u8]] = &[b"{a}z", b"{b}z", b"{c}z", b"{d}z", b"{a}zz"];
const SETS: &[&[u8]] = &[b"{a}t", b"{b}t", b"{c}t", b"{d}t", b"{a}tt", b"{a}ttt"];
const INTEGERS: &[&str] = &[
    "0",
    "1",
    "2",
    "3",
    "4",
    "-1",
    "-2",
    "127",
    "128",
    "300",
    "-40000",
    "70000",
    "20000000",
    "5000000000",
    "9223372036854775807",
    "-9223372036854775808",
    "01",
    "a",
];
const HYPERLOGLOGS: &[&[u8]] = &[b"{a}p", b"{b}p", b"{c}p", b"{d}p", b"{a}pp", b"{a}ppp"];
const HASHES: &[&[u8]] = &[b"{a}h", b"{b}h", b"{c}h", b"{d}h", b"{a}hh"];
/// Strings, lists, a set, a sorted set and hashes; then what is none, or has another checksum.
const PAYLOADS: &[&[u8]] = &[
    b"\x00\xc0\x05\x0a\x00c/_f\x83/\xb3Q",
    b"\x00\x05hello\x0a\x00cr\xdfve4 \x0a",
    b"\x01\x03\x01a\x01b\xc0\x07\x0a\x00N\x12\xc8\xcd\xa1c\x1c\x93",
    b"\x12\x01\x02\x0f\x0f\x00\x00\x00\x03\x00\x81a\x02\x01\x01\x81b\x02\xff\x0a\x00\x90C\xa3L\xeb\x8e\x1b\x1c",
    b"\x02\x02\xc0\x01\xc0\x02\x0a\x00\x808\xbc\xf4\x1bR}\xc9",
    b"\x11\x14\x14\x00\x00\x00\x04\x00\x81a\x02\x01\x01\x81b\x02\x832.5\x04\xff\x0a\x00\xd4Ln\xa4\xf6D\xd9\xd7",
    b"\x10\x14\x14\x00\x00\x00\x04\x00\x81a\x02\x01\x01\x81b\x02\x832.5\x04\xff\x0a\x00\x06\xd2\xe6I\xeeY\xe48",
    b"\x04\x01\x01a\x01b\x0a\x00p\xcdE\xb7\xbc\xe5\x88:",
    b"\x02\x00\x0a\x00:\xce9\x00\x9b\x899\xe8",
    b"\x05\x02\x01a\x0a\x00:/o\x9a\xc2\xcav\xce",
    b"\x00\xc0\x05\x0a\x00c/_f\x83/\xb3x",
    b"",
];
const RESTORE_OPTIONS: &[&str] =
    &["REPLACE", "REPLACE", "ABSTTL", "replace", "FREQ 7", "FREQ 256", "FREQ", "FOO"];
const EQUAL_SCORES: &[&[u8]] = &[b"{a}l", b"{b}l"];

const MEMBERS: &[&[u8]] = &[
    b"a",
    b"b",
    b"c",
    b"d",
    b"e",
    b"f",
    b"g",
    b"h",
    b"aa",
    b"ab",
    b"B",
    b"",
    b"\xff",
    b"a\0",
    b"1",
    b"12345",
    b"-7",
    b"a member that is much longer than what a compact set keeps: it becomes a large one",
];

/// Sums of some of these are not what they look like; all are read and added alike.
const SCORES: &[&str] = &[
    "0",
    "1",
    "2",
    "3",
    "-1",
    "-2",
    "10",
    "100",
    "1.5",
    "-0.25",
    "0.1",
    "0.2",
    "-0.1",
    "1e3",
    "3e-5",
    "1e17",
    "123456789012",
    "2147483648",
    "inf",
    "-inf",
    "+inf",
    "-0",
    "0x10",
    "9007199254740993",
    "1e300",
];
const NO_SCORES: &[&str] = &["nan", "abc", "", " 1", "1 ", "1e400", "NX"];

const SCORE_BOUNDS: &[&str] = &[
    "-inf", "+inf", "(-inf", "(inf", "0", "(0", "1", "(1", "2", "(2", "1.5", "0.1", "(0.1", "-1", "10",
    "100", "1e17", "", " 1", "abc", "nan", "(",
];

const MEMBER_BOUNDS: &[&str] =
    &["-", "+", "[a", "(a", "[b", "(b", "[e", "(e", "[", "(", "[zz", "a", "", "+x"];

const NUMBERS: &[&str] = &[
    "0",
    "1",
    "-1",
    "7",
    "10",
    "100",
    "-100",
    "9223372036854775807",
    "-9223372036854775808",
    "9223372036854775808",
    "123456789012",
    "2147483648",
    "01",
    "+1",
    "-0",
    " 1",
    "1 ",
    "",
    "abc",
    "1.5",
    "0x10",
    "1e3",
];

const BIT_OFFSETS: &[&str] = &[
    "0",
    "1",
    "2",
    "3",
    "4",
    "7",
    "8",
    "10",
    "20",
    "31",
    "63",
    "64",
    "100",
    "1000",
    "5000",
    "#0",
    "#1",
    "#3",
    "-1",
    "01",
    "a",
    "4294967296",
];
const FIELD_TYPES: &[&str] =
    &["u8", "i8", "u1", "i1", "u2", "i5", "u16", "i32", "u63", "i64", "u7", "i9", "u64", "i0", "8"];
const UNIT_OPTIONS: &[&str] = &["BYTE", "BIT", "BIT", "bit", "FOO"];
/// Without FAIL: a string that is made or grows, and in which nothing is set then, counts as changed for those who
/// watch it, where Redis keeps that from them.
const OVERFLOW_OPTIONS: &[&str] = &["OVERFLOW WRAP", "OVERFLOW SAT", "OVERFLOW FOO"];
const FIELD_OPTIONS: &[&str] = &[
    "GET <type> <o>",
    "GET u8 0",
    "SET <type> <o> <n>",
    "SET i16 8 -7",
    "INCRBY <type> <o> <n>",
    "INCRBY u3 5 3",
    "OVERFLOW SAT",
    "OVERFLOW WRAP",
    "FOO",
];

const GEOADD_OPTIONS: &[&str] = &["NX", "XX", "CH", "CH", "FOO"];
const GEO_OPTIONS: &[&str] = &[
    "ASC",
    "DESC",
    "COUNT 1",
    "COUNT 3",
    "COUNT 2 ANY",
    "WITHDIST",
    "WITHCOORD",
    "WITHHASH",
    "ANY",
    "COUNT 0",
    "FOO",
];
const GEOSTORE_OPTIONS: &[&str] = &["ASC", "DESC", "COUNT 2", "COUNT 2 ANY", "STOREDIST", "WITHDIST", "FOO"];
const GEORADIUS_OPTIONS: &[&str] =
    &["ASC", "DESC", "COUNT 2", "STORE <z>", "STOREDIST <z>", "STORE <z>", "COUNT 1 ANY", "WITHCOORD", "FOO"];

const FRACTIONS: &[&str] = &[
    "0", "1.5", "-0.1", "0.1", "3", "1e3", "-2.25", "1e-5", "100000", "abc", "", "nan", "inf", " 1", "1.",
    ".5", "+2",
];

const INDEXES: &[&str] = &[
    "0",
    "1",
    "-1",
    "3",
    "-3",
    "5",
    "10",
    "100",
    "-100",
    "2147483648",
    "9223372036854775807",
    "-9223372036854775808",
    "abc",
    "",
];

const PATTERNS: &[&str] =
    &["*", "?", "a*", "[abc]", "[^a]", "*x", "{tag}*", "key:*", "", "\\a", "[", "**", "missing"];

/// SET with a time in the past makes a key that is there until it is looked at: DBSIZE would tell when.
const SET_OPTIONS: &[&str] =
    &["NX", "XX", "GET", "KEEPTTL", "EX <s>", "PX <m>", "EXAT <later>", "PXAT <later-ms>", "get", "FOO"];
const GETEX_OPTIONS: &[&str] = &["EX <s>", "PX <m>", "EXAT <S>", "PXAT <M>", "PERSIST", "persist", "FOO"];
const LCS_OPTIONS: &[&str] = &["LEN", "IDX", "WITHMATCHLEN", "MINMATCHLEN 2", "MINMATCHLEN x", "idx", "FOO"];
const EXPIRE_OPTIONS: &[&str] = &["NX", "XX", "GT", "LT", "gt", "FOO"];
const SCAN_OPTIONS: &[&str] = &[
    "MATCH <p>",
    "COUNT 3",
    "COUNT 100",
    "TYPE string",
    "TYPE list",
    "TYPE zset",
    "TYPE hash",
    "TYPE set",
    "COUNT 0",
    "FOO",
];
const LPOS_OPTIONS: &[&str] =
    &["RANK <i>", "RANK 2", "RANK -1", "COUNT 0", "COUNT <i>", "MAXLEN 3", "MAXLEN <i>", "FOO"];
const ZADD_OPTIONS: &[&str] = &["NX", "XX", "GT", "LT", "CH", "INCR", "xx"];
const ZRANGE_OPTIONS: &[&str] = &["REV", "WITHSCORES", "LIMIT <i> <i>", "BYSCORE", "BYLEX", "FOO"];
const ZSCORES_OPTIONS: &[&str] = &["WITHSCORES", "withscores", "FOO"];
const HVALUES_OPTIONS: &[&str] = &["WITHVALUES", "withvalues", "FOO"];
const ZLIMIT_OPTIONS: &[&str] = &["LIMIT 1 2", "LIMIT 0 1", "LIMIT <i> <i>", "LIMIT 2 -1", "REV"];
const ZREV_OPTIONS: &[&str] = &["REV", "rev", "WITHSCORES"];
const ZEND_OPTIONS: &[&str] = &["MIN", "MAX", "MIN", "max", "FOO"];
const ZCOUNT_OPTIONS: &[&str] = &["COUNT <w>", "COUNT 2", "COUNT", "FOO"];
const ZCARD_OPTIONS: &[&str] = &["LIMIT <w>", "LIMIT 1", "LIMIT"];
const ZCOMBINE2_OPTIONS: &[&str] =
    &["WEIGHTS 2 0.5", "WEIGHTS <c> <c>", "AGGREGATE MIN", "AGGREGATE MAX", "AGGREGATE SUM", "WEIGHTS 1"];
const ZCOMBINE3_OPTIONS: &[&str] =
    &["WEIGHTS 2 0.5 0.1", "WEIGHTS <c> <c> <c>", "AGGREGATE MIN", "aggregate max", "AGGREGATE FOO"];
const ZSCAN_OPTIONS: &[&str] = &["MATCH <p>", "COUNT 3", "COUNT 100", "COUNT 0", "FOO"];
/// Without STORE, since redis-server may refuse to compare numbers for no reason that the command shows.
const SORT_OPTIONS: &[&str] = &[
    "BY *",
    "BY {a}*",
    "BY *h->a",
    "GET #",
    "GET *",
    "GET {b}*",
    "GET {a}*->a",
    "GET none",
    "DESC",
    "asc",
    "LIMIT <i> <i>",
    "LIMIT 0 3",
    "FOO",
];
/// Without BY: in which order elements of equal texts come, is nobody's promise. And with STORE, without which
/// Redis compares texts only up to a zero byte.
const ALPHA_OPTIONS: &[&str] =
    &["GET #", "GET *", "GET {a}*->a", "DESC", "asc", "LIMIT <i> <i>", "LIMIT 0 3", "STORE <k>", "FOO"];
const COPY_OPTIONS: &[&str] = &["REPLACE", "DB <db>", "replace", "FOO", "DB"];

/// Seconds far in the future and in the past, and what is no time at all.
const TIMES: &[&str] = &[
    "33177117420",
    "33177117421",
    "33177119999",
    "1",
    "0",
    "-1",
    "abc",
    "9223372036854775807",
    "9223372036854775",
    "",
];
const TIMES_MS: &[&str] =
    &["33177117420123", "33177117421500", "33177119999999", "1", "0", "-1", "abc", "9223372036854775808", ""];

/// Replies that are meant to differ, with the reason.
struct Intended {
    /// The command, with its subcommand if only that differs; empty for all.
    command: &'static str,
    reason: &'static str,
    accept: fn(&Command, &Reply, &Reply) -> bool,
}

const INTENDED: &[Intended] = &[
    Intended {
        command: "",
        reason: "an error quotes all that the client sent, as UTF-8, where Redis stops at a zero byte",
        accept: |command, reference, ours| match (reference, ours) {
            (Reply::Error(reference), Reply::Error(ours)) => {
                let odd = command.iter().flatten().any(|&byte| byte == 0 || byte >= 0x80);
                let common = reference.iter().zip(ours).take_while(|(one, other)| one == other).count();
                odd && common >= "ERR unknown command".len()
            }
            _ => false,
        },
    },
    Intended {
        command: "",
        reason: "a score is written as 7.2 writes it: with the fewest digits that read back as the same",
        accept: |command, reference, ours| name_of(command).starts_with('Z') && same_numbers(reference, ours),
    },
    Intended {
        command: "",
        reason: "SORT judges numbers by themselves, where Redis also sees an overflow of an earlier command",
        accept: |command, reference, _| {
            name_of(command).starts_with("SORT")
                && *reference
                    == Reply::Error(b"ERR One or more scores can't be converted into double".to_vec())
        },
    },
    Intended {
        command: "",
        reason: "which members of a set LIMIT picks when nothing is sorted is nobody's promise",
        accept: |command, reference, ours| {
            let has =
                |word: &str| command.iter().any(|argument| argument.eq_ignore_ascii_case(word.as_bytes()));
            let is_sorted_set = SORTED_SETS.iter().any(|name| command.get(1).is_some_and(|key| key == name));
            let lengths = match (reference, ours) {
                (Reply::Array(reference), Reply::Array(ours)) => (reference.len(), ours.len()),
                _ => return false,
            };
            name_of(command).starts_with("SORT")
                && has("nosort")
                && has("LIMIT")
                && !is_sorted_set
                && lengths.0 == lengths.1
        },
    },
    Intended {
        command: "ZRANK",
        reason: "WITHSCORE came with 7.2",
        accept: |_, reference, ours| is_arity_error(reference) && *ours == syntax_error(),
    },
    Intended {
        command: "ZREVRANK",
        reason: "WITHSCORE came with 7.2",
        accept: |_, reference, ours| is_arity_error(reference) && *ours == syntax_error(),
    },
    Intended {
        command: "KEYS",
        reason: "any number of stars matches the empty key, where Redis shows it for a single one only",
        accept: |_, reference, ours| without_empty(reference) == without_empty(ours),
    },
    Intended {
        command: "ZSCAN",
        reason: "any number of stars matches the empty member, where Redis shows it for a single one only",
        accept: |_, reference, ours| match (without_empty(reference), without_empty(ours)) {
            (Some(reference), Some(ours)) => same_numbers(&Reply::Array(reference), &Reply::Array(ours)),
            _ => false,
        },
    },
    Intended {
        command: "SCAN",
        reason: "any number of stars matches the empty key, where Redis shows it for a single one only",
        accept: |_, reference, ours| without_empty(reference) == without_empty(ours),
    },
    Intended {
        command: "SCAN",
        reason: "what is not a number is no cursor, where Redis takes an empty text for 0",
        accept: |command, _, ours| refuses_empty_cursor(command, 1, ours),
    },
    Intended {
        command: "HSCAN",
        reason: "any number of stars matches the empty field, where Redis shows it for a single one only",
        accept: |_, reference, ours| without_empty(reference) == without_empty(ours),
    },
    Intended {
        command: "HSCAN",
        reason: "what is not a number is no cursor, where Redis takes an empty text for 0",
        accept: |command, _, ours| refuses_empty_cursor(command, 2, ours),
    },
    Intended {
        command: "HSCAN",
        reason: "NOVALUES came with 7.4",
        accept: |command, _, _| command.iter().any(|word| word.eq_ignore_ascii_case(b"NOVALUES")),
    },
    Intended {
        command: "ZSCAN",
        reason: "what is not a number is no cursor, where Redis takes an empty text for 0",
        accept: |command, _, ours| refuses_empty_cursor(command, 2, ours),
    },
    Intended {
        command: "SSCAN",
        reason: "any number of stars matches the empty member, where Redis shows it for a single one only",
        accept: |_, reference, ours| without_empty(reference) == without_empty(ours),
    },
    Intended {
        command: "SSCAN",
        reason: "what is not a number is no cursor, where Redis takes an empty text for 0",
        accept: |command, _, ours| refuses_empty_cursor(command, 2, ours),
    },
    Intended {
        command: "OBJECT ENCODING",
        reason: "SORT leaves a small sorted set as it is, where Redis makes it a large one",
        accept: |_, reference, ours| {
            *reference == Reply::bulk("skiplist") && *ours == Reply::bulk("listpack")
        },
    },
    Intended {
        command: "OBJECT ENCODING",
        reason: "a small set of texts is a listpack, as of 7.2",
        accept: |_, reference, ours| {
            *reference == Reply::bulk("hashtable") && *ours == Reply::bulk("listpack")
        },
    },
    Intended {
        command: "OBJECT ENCODING",
        reason: "a short list is a listpack, as of 7.2",
        accept: |_, reference, ours| {
            *reference == Reply::bulk("quicklist") && *ours == Reply::bulk("listpack")
        },
    },
    Intended {
        command: "LPOS",
        reason: "7.2 refuses the one rank that has no opposite",
        accept: |command, _, ours| {
            let smallest = command.iter().any(|word| word == b"-9223372036854775808");
            smallest
                && matches!(ours, Reply::Error(text) if text.starts_with(b"ERR value is out of range, value must"))
        },
    },
    Intended {
        command: "BITCOUNT",
        reason: "7.2 judges the arguments before it looks for the key",
        accept: |_, _, ours| matches!(ours, Reply::Error(_)),
    },
    Intended {
        command: "BITPOS",
        reason: "7.2 judges the arguments before it looks for the key",
        accept: |_, _, ours| matches!(ours, Reply::Error(_)),
    },
    Intended {
        command: "OBJECT REFCOUNT",
        reason: "the count tells how Redis shares small integers, which other commands may undo there",
        accept: |_, reference, ours| matches!((reference, ours), (Reply::Integer(_), Reply::Integer(_))),
    },
];

fn refuses_empty_cursor(command: &Command, position: usize, ours: &Reply) -> bool {
    let cursor = command.get(position).map_or(&[][..], Vec::as_slice);
    let empty = cursor.is_empty() || cursor[0] == 0;
    empty && *ours == Reply::Error(b"ERR invalid cursor".to_vec())
}

/// Keys, or pairs of member and score, but for the empty one.
fn without_empty(keys: &Reply) -> Option<Vec<Reply>> {
    let Reply::Array(keys) = keys.sorted() else { return None };
    let is_empty = |key: &Reply| match key {
        Reply::Array(pair) => pair.first() == Some(&Reply::bulk("")),
        key => *key == Reply::bulk(""),
    };
    Some(keys.into_iter().filter(|key| !is_empty(key)).collect())
}

fn is_arity_error(reply: &Reply) -> bool {
    matches!(reply, Reply::Error(text) if text.starts_with(b"ERR wrong number of arguments"))
}

fn syntax_error() -> Reply {
    Reply::Error(b"ERR syntax error".to_vec())
}

/// Whether two replies differ in nothing but how numbers are written.
fn same_numbers(reference: &Reply, ours: &Reply) -> bool {
    let number = |reply: &Reply| match reply {
        Reply::Bulk(_) | Reply::Double(_) => reply.text().parse::<f64>().ok(),
        _ => None,
    };
    match (reference, ours) {
        (Reply::Array(reference), Reply::Array(ours)) => {
            reference.len() == ours.len()
                && reference.iter().zip(ours).all(|(reference, ours)| same_numbers(reference, ours))
        }
        _ if reference == ours => true,
        _ => match (number(reference), number(ours)) {
            // A small set of Redis 7.0 may lose the sign of a zero, as whole numbers are stored without one.
            (Some(reference), Some(ours)) => {
                reference.to_bits() == ours.to_bits() || (reference == 0.0 && ours == 0.0)
            }
            _ => false,
        },
    }
}

type Command = Vec<Vec<u8>>;

/// A sequence and the ways of sending it, all from the seed.
#[derive(Clone)]
struct Sequence {
    commands: Vec<Command>,
    batch_seed: u64,
    version_3: bool,
}

struct Generator {
    random: Random,
    /// Makes each relative time different, so that no comparison of two hangs on a millisecond.
    counter: u64,
    /// Every other key of this kind is this one.
    favourite: Option<(&'static str, Vec<u8>)>,
}

impl Generator {
    fn sequence(&mut self) -> Sequence {
        let mut commands = Vec::new();
        while commands.len() < COMMANDS_PER_SEQUENCE {
            match self.random.below(20) {
                0 => self.transaction(&mut commands),
                _ => commands.push(self.command()),
            }
        }
        Sequence { commands, batch_seed: self.random.next(), version_3: self.random.one_in(3) }
    }

    fn command(&mut self) -> Command {
        let template = if self.random.one_in(60) {
            *self.random.pick(RARE_TEMPLATES)
        } else {
            match self.random.below(TEMPLATES.len() + streams::TEMPLATES.len()) {
                nth if nth < TEMPLATES.len() => TEMPLATES[nth],
                nth => streams::TEMPLATES[nth - TEMPLATES.len()],
            }
        };
        let mut words = Vec::new();
        self.expand(template, &mut words);
        if self.random.one_in(25) {
            self.damage(&mut words);
        }
        if words[0] == b"SPOP" && words.len() == 2 {
            // Both would take another member, and differ from then on.
            words.push(b"100".to_vec());
        }
        if self.random.one_in(10) {
            words[0].make_ascii_lowercase();
        }
        words
    }

    /// MULTI to EXEC, perhaps with a watched key that changes or does not.
    fn transaction(&mut self, commands: &mut Vec<Command>) {
        if self.random.one_in(2) {
            let kind = *self.random.pick(&["<k>", "<k>", "<z>", "<l>", "<t>", "<r>"]);
            let key = self.word(kind);
            let mut watch = vec![b"WATCH".to_vec(), key.clone()];
            if self.random.one_in(4) {
                watch.push(self.word("<k>"));
            }
            if self.random.one_in(2) {
                // So that there is something to change.
                let earlier = self.about(kind, &key);
                commands.push(earlier);
            }
            commands.push(watch);
            for _ in 0..self.random.below(WATCHING_MAX + 1) {
                let between = self.about(kind, &key);
                commands.push(between);
            }
        }
        commands.push(vec![b"MULTI".to_vec()]);
        for _ in 0..self.random.below(QUEUED_MAX + 1) {
            let queued = if self.random.one_in(50) { vec![b"MULTI".to_vec()] } else { self.command() };
            // What is judged by the state that it leaves cannot be judged afterwards, and what is refused by one
            // of the two alone fails its EXEC alone.
            if !is_alone(&queued) && (queued.len() == 3 || !name_of(&queued).ends_with("RANK")) {
                commands.push(queued);
            }
        }
        let end = if self.random.one_in(8) { "DISCARD" } else { "EXEC" };
        commands.push(vec![end.into()]);
    }

    fn about(&mut self, kind: &'static str, key: &[u8]) -> Command {
        self.favourite = Some((kind, key.to_vec()));
        let command = self.command();
        self.favourite = None;
        command
    }

    fn expand(&mut self, template: &str, words: &mut Command) {
        for word in template.split(' ') {
            if word == "<many>" {
                let range = *self.random.pick(&[100, 10_000, 10_000_000]);
                words.extend((0..200).map(|_| self.random.below(range).to_string().into_bytes()));
                continue;
            }
            let options = match word {
                "<set?>" => SET_OPTIONS,
                "<getex?>" => GETEX_OPTIONS,
                "<lcs?>" => LCS_OPTIONS,
                "<geoadd?>" => GEOADD_OPTIONS,
                "<geo?>" => GEO_OPTIONS,
                "<geostore?>" => GEOSTORE_OPTIONS,
                "<georadius?>" => GEORADIUS_OPTIONS,
                "<unit?>" => UNIT_OPTIONS,
                "<field?>" => FIELD_OPTIONS,
                "<overflow>" => OVERFLOW_OPTIONS,
                "<expire?>" => EXPIRE_OPTIONS,
                "<scan?>" => SCAN_OPTIONS,
                "<copy?>" => COPY_OPTIONS,
                "<restore?>" => RESTORE_OPTIONS,
                "<sort?>" => SORT_OPTIONS,
                "<alpha?>" => ALPHA_OPTIONS,
                "<lpos?>" => LPOS_OPTIONS,
                "<zadd?>" => ZADD_OPTIONS,
                "<zrange?>" => ZRANGE_OPTIONS,
                "<zscores?>" => ZSCORES_OPTIONS,
                "<hvalues?>" => HVALUES_OPTIONS,
                "<zlimit?>" => ZLIMIT_OPTIONS,
                "<zrev?>" => ZREV_OPTIONS,
                "<zend?>" => ZEND_OPTIONS,
                "<zcount?>" => ZCOUNT_OPTIONS,
                "<zcard?>" => ZCARD_OPTIONS,
                "<zcombine2?>" => ZCOMBINE2_OPTIONS,
                "<zcombine3?>" => ZCOMBINE3_OPTIONS,
                "<zscan?>" => ZSCAN_OPTIONS,
                _ if let Some(options) = streams::options(word) => options,
                _ => {
                    let word = self.word(word);
                    words.push(word);
                    continue;
                }
            };
            let count = *self.random.pick(&[0, 1, 1, 1, 1, 2, 2, 3]);
            for _ in 0..count {
                let option = *self.random.pick(options);
                // Words that are no option are left to few commands: they hide all else.
                if option != "FOO" || self.random.one_in(4) {
                    self.expand(option, words);
                }
            }
        }
    }

    fn word(&mut self, word: &str) -> Vec<u8> {
        self.counter += 1;
        let text = |choice: &&str| choice.as_bytes().to_vec();
        // Long enough to outlast the test, and never twice the same.
        let later = 1_000 + (self.random.below(900) as u64) * 1_000 + self.counter % 1_000;
        if let Some((kind, key)) = &self.favourite
            && *kind == word
            && self.random.one_in(2)
        {
            return key.clone();
        }
        match word {
            "<k>" => self.random.pick(KEYS).to_vec(),
            // Where the sum with the present overflows, Redis has the key expire at once.
            "<ttl>" => text(self.random.pick(&["0", "100000", "100000", "-1", "x", ""])),
            "<payload>" => self.random.pick(PAYLOADS).to_vec(),
            "<z>" if self.random.one_in(12) => self.random.pick(KEYS).to_vec(),
            "<z>" => self.random.pick(SORTED_SETS).to_vec(),
            "<h>" if self.random.one_in(12) => self.random.pick(KEYS).to_vec(),
            "<h>" => self.random.pick(HASHES).to_vec(),
            "<t>" if self.random.one_in(20) => self.random.pick(KEYS).to_vec(),
            "<t>" => self.random.pick(SETS).to_vec(),
            "<u>" => text(self.random.pick(INTEGERS)),
            "<no-count>" => text(self.random.pick(&["-1", "x", "", "9223372036854775808"])),
            "<g>" if self.random.one_in(20) => self.element(),
            "<g>" => self.random.pick(MEMBERS).to_vec(),
            "<l>" => self.random.pick(EQUAL_SCORES).to_vec(),
            "<y>" => self.random.pick(MEMBERS).to_vec(),
            "<c>" if self.random.one_in(40) => text(self.random.pick(NO_SCORES)),
            "<c>" => text(self.random.pick(SCORES)),
            "<b>" => text(self.random.pick(SCORE_BOUNDS)),
            "<x>" => text(self.random.pick(MEMBER_BOUNDS)),
            "<w>" => text(self.random.pick(&["0", "1", "2", "3", "10", "-1", "-3", "abc"])),
            "<v>" => self.value(),
            "<e>" => self.element(),
            "<o>" => text(self.random.pick(BIT_OFFSETS)),
            "<bit>" => text(self.random.pick(&["0", "1", "1", "0", "1", "2", "-1", "a"])),
            "<type>" => text(self.random.pick(FIELD_TYPES)),
            "<bitop>" => text(self.random.pick(&["AND", "OR", "XOR", "AND", "or", "Xor", "NOT", "FOO"])),
            "<q>" if self.random.one_in(30) => self.random.pick(KEYS).to_vec(),
            "<q>" => self.random.pick(HYPERLOGLOGS).to_vec(),
            "<pfdebug>" => {
                text(self.random.pick(&["DECODE", "ENCODING", "encoding", "TODENSE", "GETREG", "FOO"]))
            }
            "<lon>" if self.random.one_in(40) => text(self.random.pick(&["180", "-180", "181", "x", "0"])),
            "<lon>" => format!("{:.4}", self.random.below(3_600_000) as f64 / 1e4 - 180.0).into_bytes(),
            "<lat>" if self.random.one_in(40) => {
                text(self.random.pick(&["85.05112878", "-85.05112878", "86", "y"]))
            }
            "<lat>" => format!("{:.4}", self.random.below(1_700_000) as f64 / 1e4 - 85.0).into_bytes(),
            "<radius>" => text(
                self.random.pick(&["0", "1", "100", "1000", "3000", "5000", "12000", "30000", "-1", "x"]),
            ),
            "<length>" => text(self.random.pick(&["km", "km", "KM", "mi", "m", "ft", "foo"])),
            "<side>" => text(self.random.pick(&["LEFT", "RIGHT", "LEFT", "RIGHT", "left", "UP"])),
            "<where>" => text(self.random.pick(&["BEFORE", "AFTER", "BEFORE", "AFTER", "after", "NEAR"])),
            "<n>" => text(self.random.pick(NUMBERS)),
            "<f>" => text(self.random.pick(FRACTIONS)),
            "<i>" => text(self.random.pick(INDEXES)),
            "<p>" => text(self.random.pick(PATTERNS)),
            "<db>" => text(self.random.pick(&["0", "0", "0", "1", "1", "2", "15", "16", "-1", "abc"])),
            "<s>" if self.random.one_in(6) => {
                text(self.random.pick(&["0", "-1", "abc", "9223372036854775807", ""]))
            }
            "<s>" => later.to_string().into_bytes(),
            "<m>" if self.random.one_in(6) => {
                text(self.random.pick(&["0", "-1", "abc", "9223372036854775807", ""]))
            }
            "<m>" => (later * 1_000).to_string().into_bytes(),
            "<later>" => text(self.random.pick(&["33177117420", "33177117999", "0", "-1", "abc"])),
            "<later-ms>" => text(self.random.pick(&["33177117420123", "33177117420500", "0", "-1", "abc"])),
            "<S>" => text(self.random.pick(TIMES)),
            "<M>" => text(self.random.pick(TIMES_MS)),
            other => match streams::word(other, &mut self.random, self.counter) {
                Some(word) => word,
                None => other.as_bytes().to_vec(),
            },
        }
    }

    fn value(&mut self) -> Vec<u8> {
        match self.random.below(6) {
            0 => self.random.pick(NUMBERS).as_bytes().to_vec(),
            1 => self.random.pick(FRACTIONS).as_bytes().to_vec(),
            2 => {
                let length = *self.random.pick(&[0, 1, 10, 43, 44, 45, 200]);
                self.random.bytes(length)
            }
            3 => {
                let letter = *self.random.pick(b"xyz");
                let length = *self.random.pick(&[1, 44, 45, 1000]);
                vec![letter; length]
            }
            _ => self.random.pick(&["v", "hello", "hello world", "yellow", "Value-12"]).as_bytes().to_vec(),
        }
    }

    /// Of few kinds, so that elements are found again.
    fn element(&mut self) -> Vec<u8> {
        match self.random.below(8) {
            0..3 => format!("item:{:04}", self.random.below(30)).into_bytes(),
            3..5 => self.random.pick(&["a", "b", "c", "1", "2", "-300", "70000"]).as_bytes().to_vec(),
            _ => self.value(),
        }
    }

    /// Drops, repeats or adds an argument.
    fn damage(&mut self, words: &mut Command) {
        let at = self.random.below(words.len());
        match self.random.below(3) {
            0 if words.len() > 1 => {
                words.remove(at.max(1));
            }
            1 => {
                let word = words[at].clone();
                words.push(word);
            }
            _ => {
                let extra = *self.random.pick(&["FOO", "NX", "EX", "GET", "100000", "", "\u{0}"]);
                words.insert((at + 1).min(words.len()), extra.as_bytes().to_vec());
            }
        }
    }
}

#[derive(Clone)]
struct Mismatch {
    index: usize,
    reference: Vec<String>,
    ours: Vec<String>,
}

struct Pair<'a> {
    reference: &'a mut Server,
    ours: &'a mut Server,
}

impl Pair<'_> {
    /// Runs the sequence on both servers and returns the first difference.
    fn run(&mut self, sequence: &Sequence) -> Option<Mismatch> {
        let started = Instant::now();
        let mut reference = self.reference.client();
        let mut ours = self.ours.client();
        let mut random = Random::new(sequence.batch_seed);
        for client in [&mut reference, &mut ours] {
            client.run("FLUSHALL");
            // Blocks of streams whose size is that of both.
            client.run("CONFIG SET stream-node-max-entries 5 stream-node-max-bytes 0");
            client.run(if sequence.version_3 { "HELLO 3" } else { "HELLO 2" });
        }
        let mut index = 0;
        let mut queue = None;
        while index < sequence.commands.len() {
            let depth = *random.pick(&[1, 1, 2, 5, 20, 60]);
            let mut end = (index + depth).min(sequence.commands.len());
            // Commands that are judged by the state they leave run alone.
            if let Some(alone) = sequence.commands[index..end].iter().position(is_alone) {
                end = if alone == 0 { index + 1 } else { index + alone };
            }
            let batch = &sequence.commands[index..end];
            let found = if is_alone(&batch[0]) && queue.is_none() {
                compare_alone(&mut reference, &mut ours, &batch[0])
            } else {
                compare_batch(&mut reference, &mut ours, batch, &mut queue, started)
            };
            if let Some((offset, reference, ours)) = found {
                return Some(Mismatch { index: index + offset, reference, ours });
            }
            index = end;
        }
        None
    }

    fn shrink(&mut self, sequence: &Sequence, first: &Mismatch) -> (Sequence, Mismatch) {
        let mut best = sequence.clone();
        best.commands.truncate(first.index + 1);
        let mut runs = 0;
        let mut step = best.commands.len() / 2;
        // What does not happen again depends on the moment; the whole sequence is shown then.
        let Some(mut mismatch) = self.run(&best) else { return (best, first.clone()) };
        while step > 0 && runs < SHRINK_RUNS_MAX && self.ours.is_running() {
            let mut at = 0;
            while at < best.commands.len() && runs < SHRINK_RUNS_MAX {
                let mut shorter = best.clone();
                shorter.commands.drain(at..(at + step).min(best.commands.len()));
                runs += 1;
                match self.run(&shorter) {
                    Some(found) if !shorter.commands.is_empty() => {
                        shorter.commands.truncate(found.index + 1);
                        best = shorter;
                        mismatch = found;
                    }
                    _ => at += step,
                }
            }
            step /= 2;
        }
        (best, mismatch)
    }
}

fn name_of(command: &Command) -> String {
    String::from_utf8_lossy(&command[0]).to_ascii_uppercase()
}

fn is_alone(command: &Command) -> bool {
    matches!(
        name_of(command).as_str(),
        "RANDOMKEY"
            | "DUMP"
            | "SCAN"
            | "SSCAN"
            | "ZSCAN"
            | "HSCAN"
            | "SRANDMEMBER"
            | "ZRANDMEMBER"
            | "HRANDFIELD"
    )
}

type Found = Option<(usize, Vec<String>, Vec<String>)>;

/// `queue` has the commands since MULTI.
fn compare_batch(
    reference: &mut Client,
    ours: &mut Client,
    batch: &[Command],
    queue: &mut Option<Vec<Command>>,
    started: Instant,
) -> Found {
    let bytes: Vec<u8> = batch.iter().flat_map(|command| encode(command)).collect();
    // A server that is gone shows when its reply is read.
    let _ = reference.send(&bytes);
    let _ = ours.send(&bytes);
    for (offset, command) in batch.iter().enumerate() {
        let (expected, got) = (reference.read(), ours.read());
        let ran = queue.take_if(|_| name_of(command) == "EXEC").unwrap_or_default();
        let same = match (&expected, &got) {
            (Ok(Reply::Array(expected)), Ok(Reply::Array(got))) if !ran.is_empty() => {
                expected.len() == got.len()
                    && ran.iter().zip(expected.iter().zip(got)).all(|(command, (expected, got))| {
                        is_alone(command) || equal(command, expected, got, started)
                    })
            }
            (Ok(expected), Ok(got)) => equal(command, expected, got, started),
            _ => false,
        };
        match name_of(command).as_str() {
            "MULTI" => drop(queue.get_or_insert_default()),
            "DISCARD" => *queue = None,
            _ if matches!(&got, Ok(Reply::Simple(text)) if text == b"QUEUED") => {
                queue.iter_mut().for_each(|queue| queue.push(command.clone()));
            }
            _ => {}
        }
        if !same {
            return Some((offset, show(&expected), show(&got)));
        }
    }
    None
}

fn show(reply: &Result<Reply, ReadError>) -> Vec<String> {
    match reply {
        Ok(reply) => reply.render(),
        Err(error) => vec![format!("({error:?})")],
    }
}

/// Whether the two replies mean the same.
fn equal(command: &Command, expected: &Reply, got: &Reply, started: Instant) -> bool {
    if expected == got {
        return true;
    }
    let passed_ms = started.elapsed().as_millis() as i64 + SLACK_MS;
    let name = name_of(command);
    let full = match command.get(1) {
        Some(sub) => format!("{name} {}", String::from_utf8_lossy(sub).to_ascii_uppercase()),
        None => name.clone(),
    };
    let matches = |intended: &Intended, name: &str, full: &str| {
        intended.command.is_empty() || intended.command == name || intended.command == full
    };
    if INTENDED
        .iter()
        .chain(streams::INTENDED)
        .any(|intended| matches(intended, &name, &full) && (intended.accept)(command, expected, got))
    {
        return true;
    }
    if streams::same_pending(command, expected, got, passed_ms) {
        return true;
    }
    match (expected, got) {
        (Reply::Integer(expected), Reply::Integer(got)) if *expected > 0 && *got > 0 => {
            let difference = (expected - got).abs();
            match name.as_str() {
                "PTTL" | "PEXPIRETIME" => difference <= passed_ms,
                "TTL" | "EXPIRETIME" => difference <= passed_ms / 1_000 + 1,
                _ => full == "OBJECT IDLETIME" && *got <= passed_ms / 1_000 + 1,
            }
        }
        // Redis's small integers are shared and as idle as whoever used them last.
        (Reply::Integer(_), Reply::Integer(got)) if full == "OBJECT IDLETIME" => {
            *got <= passed_ms / 1_000 + 1
        }
        // Sets, which have no order.
        (Reply::Set(_), Reply::Set(_)) => expected.sorted() == got.sorted(),
        (Reply::Array(_), Reply::Array(_))
            if matches!(name.as_str(), "SMEMBERS" | "SPOP" | "SINTER" | "SUNION" | "SDIFF") =>
        {
            expected.sorted() == got.sorted()
        }
        (Reply::Map(_), Reply::Map(_)) if name == "HGETALL" => expected.sorted() == got.sorted(),
        (Reply::Array(expected), Reply::Array(got)) if name == "HGETALL" => {
            in_pairs(expected) == in_pairs(got)
        }
        (Reply::Array(_), Reply::Array(_)) if matches!(name.as_str(), "KEYS" | "HKEYS" | "HVALS") => {
            expected.sorted() == got.sorted()
        }
        _ => false,
    }
}

/// Fields with their values, without their order.
fn in_pairs(flat: &[Reply]) -> Reply {
    Reply::Array(flat.chunks(2).map(|pair| Reply::Array(pair.to_vec())).collect()).sorted()
}

fn compare_alone(reference: &mut Client, ours: &mut Client, command: &Command) -> Found {
    let name = name_of(command);
    if matches!(name.as_str(), "SCAN" | "SSCAN" | "ZSCAN" | "HSCAN") {
        let cursor = if name == "SCAN" { 1 } else { 2 };
        let (expected, got) = (scan(reference, command, cursor), scan(ours, command, cursor));
        let same = equal(command, &expected, &got, Instant::now());
        return (!same).then(|| (0, expected.render(), got.render()));
    }
    let (expected, got) = (reference.command(command), ours.command(command));
    let agree = match (&expected, &got) {
        _ if matches!(name.as_str(), "SRANDMEMBER" | "ZRANDMEMBER" | "HRANDFIELD") => {
            same_draw(reference, command, &expected, &got)
        }
        // The payload of the reference becomes the value of both.
        (Reply::Bulk(payload), Reply::Bulk(_)) if name == "DUMP" => {
            let restore = [&b"RESTORE"[..], &command[1], b"0", payload, b"REPLACE"];
            let digest = [&b"DEBUG"[..], b"DIGEST-VALUE", &command[1]];
            let before = ours.command(&digest) == reference.command(&digest);
            before
                && reference.command(&restore) == Reply::ok()
                && ours.command(&restore) == Reply::ok()
                && ours.command(&digest) == reference.command(&digest)
        }
        // Any key will do, if it is one.
        (Reply::Bulk(_), Reply::Bulk(key)) => {
            reference.command(&[b"EXISTS".as_slice(), key]) == Reply::Integer(1)
        }
        (expected, got) => expected == got,
    };
    (!agree).then(|| (0, expected.render(), got.render()))
}

/// Whether two draws of ZRANDMEMBER and its kin are of the same size and ours is one of members of the set or
/// hash, each once unless they may repeat.
fn same_draw(reference: &mut Client, command: &Command, expected: &Reply, got: &Reply) -> bool {
    let members = match (expected, got) {
        (Reply::Bulk(_), Reply::Bulk(member)) => vec![member.clone()],
        (Reply::Array(expected), Reply::Array(got)) if expected.len() == got.len() => {
            let flat: Vec<&Reply> = got
                .iter()
                .flat_map(|element| match element {
                    Reply::Array(pair) => pair.iter().take(1).collect(),
                    element => vec![element],
                })
                .collect();
            let in_pairs = matches!(got.first(), Some(Reply::Array(_)));
            let step = if command.len() > 3 && !in_pairs { 2 } else { 1 };
            flat.into_iter().step_by(step).map(|member| member.text().into_bytes()).collect()
        }
        _ => return expected == got,
    };
    let question: &[u8] = match name_of(command).as_str() {
        "HRANDFIELD" => b"HGET",
        "SRANDMEMBER" => b"SISMEMBER",
        _ => b"ZSCORE",
    };
    let mut different = members.clone();
    different.sort();
    different.dedup();
    let may_repeat = command.get(2).is_some_and(|count| count.starts_with(b"-"));
    (may_repeat || different.len() == members.len())
        && members.iter().all(|member| {
            // What is not text is shown otherwise than it is.
            !member.is_ascii()
                || !matches!(
                    reference.command(&[question, command[1].as_slice(), member]),
                    Reply::NullBulk | Reply::Null | Reply::Integer(0)
                )
        })
}

/// All that a SCAN finds from cursor 0 to cursor 0, sorted and without repetitions; or its error. The
/// cursor is argument `position`.
fn scan(client: &mut Client, command: &Command, position: usize) -> Reply {
    let mut command = command.clone();
    let mut found = Vec::new();
    for _ in 0..100_000 {
        let reply = client.command(&command);
        let Reply::Array(parts) = &reply else { return reply };
        let [Reply::Bulk(cursor), Reply::Array(keys)] = parts.as_slice() else { return reply };
        if position == 1 || name_of(&command) == "SSCAN" {
            found.extend_from_slice(keys);
        } else {
            found.extend(keys.chunks(2).map(|pair| Reply::Array(pair.to_vec())));
        }
        if cursor == b"0" || command.len() <= position {
            found.sort_by_key(Reply::render);
            found.dedup();
            return Reply::Array(found);
        }
        command[position] = cursor.clone();
    }
    Reply::Error(b"the cursor does not come back to 0".to_vec())
}

fn run(test: &str, shards: usize) {
    let seed = seed("differential", test);
    let count: usize =
        std::env::var("POLDER_SEQUENCES").ok().and_then(|text| text.parse().ok()).unwrap_or(400);
    // Sets of a few members are large ones already.
    let limits = [
        "--zset-max-listpack-entries",
        "6",
        "--hash-max-listpack-entries",
        "8",
        "--set-max-intset-entries",
        "6",
        "--enable-debug-command",
        "yes",
    ];
    let mut reference = Server::reference(&limits);
    let mut ours = Server::polder(shards, &[&limits[..], &["--set-max-listpack-entries", "8"]].concat());
    let mut generator = Generator { random: Random::new(seed), counter: 0, favourite: None };
    let mut pair = Pair { reference: &mut reference, ours: &mut ours };
    let survey = std::env::var_os("POLDER_SURVEY").is_some();
    let mut differing: Vec<String> = Vec::new();
    let deadline = Instant::now() + Duration::from_secs(120);
    for number in 0..count {
        let mut sequence = generator.sequence();
        sequence.commands.retain(|command| !differing.contains(&name_of(command)));
        while let Some(found) = pair.run(&sequence) {
            let (shortest, mismatch) = pair.shrink(&sequence, &found);
            report(number, &shortest, &mismatch);
            assert!(
                survey,
                "the last replies differ; POLDER_SEED={seed} cargo test --test differential {test}"
            );
            differing.push(name_of(&shortest.commands[mismatch.index]));
            sequence.commands.retain(|command| !differing.contains(&name_of(command)));
            if !pair.ours.is_running() {
                println!("the server has died; its log:\n{}", pair.ours.log());
                *pair.ours = Server::polder(shards, &limits);
            }
        }
        if Instant::now() > deadline {
            println!("stopped after {number} sequences: the machine is slow");
            break;
        }
    }
    assert!(differing.is_empty(), "{} commands differ: {}", differing.len(), differing.join(" "));
    for intended in INTENDED {
        println!(
            "differs on purpose: {}: {}",
            if intended.command.is_empty() { "errors" } else { intended.command },
            intended.reason
        );
    }
}

fn report(number: usize, sequence: &Sequence, mismatch: &Mismatch) {
    println!("sequence {number}, {} commands are left:", sequence.commands.len());
    if sequence.version_3 {
        println!("  HELLO 3");
    }
    for command in &sequence.commands[..=mismatch.index] {
        let words: Vec<String> = command.iter().map(|word| quote(word)).collect();
        println!("  {}", words.join(" "));
    }
    println!("redis-server:\n  {}", mismatch.reference.join("\n  "));
    println!("polder:\n  {}", mismatch.ours.join("\n  "));
}

#[test]
fn one_shard() {
    run("one_shard", 1);
}

#[test]
fn four_shards() {
    run("four_shards", 4);
}

/// Texts that might be numbers: those of random numbers in several notations, and what looks like one.
fn number_text(random: &mut Random) -> Vec<u8> {
    let bits = random.next();
    let value = match random.below(4) {
        0 => f64::from_bits(bits),
        1 => (bits >> 12) as f64 / 4503599627370496.0,
        2 => (bits as i64 >> random.below(64)) as f64,
        _ => (bits as i32) as f64 / 1000.0,
    };
    let text = match random.below(6) {
        0 => format!("{value}"),
        1 => format!("{value:e}"),
        2 => format!("{value:.3}"),
        3 => format!("{:#x}p{}", bits >> random.below(64), random.below(2200) as i64 - 1100),
        4 => format!("{}.{}e{}", bits % 100_000, random.next(), random.below(700) as i64 - 350),
        _ => {
            let letters = b"0123456789+-.eExXpPinfa (";
            let length = random.below(12);
            return (0..length).map(|_| *random.pick(letters)).collect();
        }
    };
    text.into_bytes()
}

/// Scores and bounds in any notation are read as the same numbers, and written as texts of the same.
#[test]
fn scores_in_any_notation() {
    let seed = seed("differential", "scores_in_any_notation");
    let mut random = Random::new(seed);
    let (reference, ours) = (Server::reference(&[]), Server::polder(1, &[]));
    let (mut reference, mut ours) = (reference.client(), ours.client());
    for client in [&mut reference, &mut ours] {
        client.run("ZADD fixed -inf a -1 b 0 c 1e-300 d 0.5 e 1 f 1000 g 1e15 h inf i");
    }
    for _ in 0..20_000 {
        let text = number_text(&mut random);
        let [zadd, z, member] = [&b"ZADD"[..], b"z", b"m"];
        let added = [zadd, z, &text, member];
        let count = [&b"ZCOUNT"[..], b"fixed", &text, b"+inf"];
        let replies =
            |client: &mut Client| [client.command(&added), client.run("ZSCORE z m"), client.command(&count)];
        let (expected, got) = (replies(&mut reference), replies(&mut ours));
        let same = expected.iter().zip(&got).all(|(expected, got)| same_numbers(expected, got));
        assert!(same, "{}: {expected:?}, {got:?}; POLDER_SEED={seed}", quote(&text));
    }
}
