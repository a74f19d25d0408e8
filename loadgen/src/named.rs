//! The tests by name, as words.

use crate::command::{Expect, VALUE_WORD};

/// A test as it is written in the table.
pub struct Named {
    pub name: &'static str,
    /// Its commands, each as words; mostly it is one.
    pub commands: &'static [&'static [&'static str]],
    /// The reply to the last command; those before it get a status.
    pub expect: Expect,
    /// It has keys that no single node of a cluster owns.
    pub several_keys: bool,
    /// The tests that set the keys which this one wants to find, one behind the other.
    pub preload: &'static [&'static str],
}

const fn named(name: &'static str, commands: &'static [&'static [&'static str]], expect: Expect) -> Named {
    Named { name, commands, expect, several_keys: false, preload: &["set"] }
}

/// A test that wants to find what others set.
const fn finding(preload: &'static [&'static str], test: Named) -> Named {
    Named { preload, ..test }
}

/// The tests of redis-benchmark's names, with its keys and arguments; transactions; and every type's usual
/// commands.
pub static TESTS: &[Named] = &[
    named("ping", &[&["PING"]], Expect::Pong),
    named("ping_mbulk", &[&["PING"]], Expect::Pong),
    named("ping_inline", &[], Expect::Pong),
    named("set", &[&["SET", KEY, VALUE_WORD]], Expect::Ok),
    named("get", &[&["GET", KEY]], Expect::Value),
    Named { preload: &["incr"], ..named("incr", &[&["INCR", COUNTER]], Expect::Any) },
    named("lpush", &[&["LPUSH", "mylist", VALUE_WORD]], Expect::Any),
    named("rpush", &[&["RPUSH", "mylist", VALUE_WORD]], Expect::Any),
    named("lpop", &[&["LPOP", "mylist"]], Expect::Any),
    named("rpop", &[&["RPOP", "mylist"]], Expect::Any),
    finding(&["sadd"], named("sadd", &[&["SADD", "myset", "element:__rand_int__"]], Expect::Any)),
    finding(&["hset"], named("hset", HSET, Expect::Any)),
    named("spop", &[&["SPOP", "myset"]], Expect::Any),
    finding(&["zadd"], named("zadd", ZADD, Expect::Any)),
    named("zpopmin", &[&["ZPOPMIN", "myzset"]], Expect::Any),
    Named { several_keys: true, ..named("mset", &[MSET], Expect::Ok) },
    Named { several_keys: true, ..named("mget", &[MGET], Expect::Array(10)) },
    named("xadd", &[&["XADD", "mystream", "*", "myfield", VALUE_WORD]], Expect::Any),
    Named { preload: &["exec-tag"], ..named("exec-tag", EXEC_TAG, Expect::Array(5)) },
    Named { several_keys: true, preload: &["incr"], ..named("exec-random", EXEC_RANDOM, Expect::Array(5)) },
    named("hset-10", &[HSET_10], Expect::Any),
    finding(&["hset-10"], named("hgetall", &[&["HGETALL", "hash:__rand_int__"]], Expect::Array(20))),
    named("rpush-range", &[&["RPUSH", "range:list", "element:__rand_int__"]], Expect::Any),
    finding(
        &["rpush-range"],
        named("lrange_100", &[&["LRANGE", "range:list", "0", "99"]], Expect::Array(100)),
    ),
    finding(&["sadd"], named("sismember", &[&["SISMEMBER", "myset", "element:__rand_int__"]], Expect::Any)),
    finding(&["zadd"], named("zrange_100", &[&["ZRANGE", "myzset", "0", "99"]], Expect::Array(100))),
    finding(&["zadd"], named("zrank", &[&["ZRANK", "myzset", "element:__rand_int__"]], Expect::Any)),
    named("pfadd", &[&["PFADD", "hyperloglog", "element:__rand_int__"]], Expect::Any),
    named("setbit-1mb", &[&["SETBIT", "bits:1mb", "8388607", "1"]], Expect::Any),
    finding(&["setbit-1mb"], named("bitcount", &[&["BITCOUNT", "bits:1mb"]], Expect::Any)),
    named("geoadd", &[&["GEOADD", "points", LONGITUDE, LATITUDE, "element:__same_int__"]], Expect::Any),
    finding(&["geoadd"], named("geosearch", &[GEOSEARCH], Expect::Any)),
    named("work-group", WORK_GROUP, Expect::Any),
    named("work-entries", &[&["XADD", "work", "__rand_int__-1", "field", VALUE_WORD]], Expect::Any),
    finding(&["work-group", "work-entries"], named("xreadgroup", XREADGROUP, Expect::Any)),
    named("union-inputs", UNION_INPUTS, Expect::Any),
    finding(&["union-inputs"], named("zunionstore", &[ZUNIONSTORE], Expect::Any)),
    named("inter-inputs", INTER_INPUTS, Expect::Any),
    finding(&["inter-inputs"], named("sinter", &[&["SINTER", "inter:{1}", "inter:{1}:more"]], Expect::Any)),
];

const KEY: &str = "key:__rand_int__";
const COUNTER: &str = "counter:__rand_int__";

const MSET: &[&str] = &[
    "MSET", KEY, VALUE_WORD, KEY, VALUE_WORD, KEY, VALUE_WORD, KEY, VALUE_WORD, KEY, VALUE_WORD, KEY,
    VALUE_WORD, KEY, VALUE_WORD, KEY, VALUE_WORD, KEY, VALUE_WORD, KEY, VALUE_WORD,
];
const MGET: &[&str] = &["MGET", KEY, KEY, KEY, KEY, KEY, KEY, KEY, KEY, KEY, KEY];

/// Five counters that are one shard's, since a hash tag decides for all of them.
const EXEC_TAG: &[&[&str]] = &[
    &["MULTI"],
    &["INCR", "counter:{__rand_int__}:1"],
    &["INCR", "counter:{__same_int__}:2"],
    &["INCR", "counter:{__same_int__}:3"],
    &["INCR", "counter:{__same_int__}:4"],
    &["INCR", "counter:{__same_int__}:5"],
    &["EXEC"],
];
/// Five counters anywhere.
const EXEC_RANDOM: &[&[&str]] = &[
    &["MULTI"],
    &["INCR", COUNTER],
    &["INCR", COUNTER],
    &["INCR", COUNTER],
    &["INCR", COUNTER],
    &["INCR", COUNTER],
    &["EXEC"],
];

const HSET: &[&[&str]] = &[&["HSET", "myhash", "element:__rand_int__", VALUE_WORD]];
const HSET_10: &[&str] = &[
    "HSET",
    "hash:__rand_int__",
    "field:0",
    VALUE_WORD,
    "field:1",
    VALUE_WORD,
    "field:2",
    VALUE_WORD,
    "field:3",
    VALUE_WORD,
    "field:4",
    VALUE_WORD,
    "field:5",
    VALUE_WORD,
    "field:6",
    VALUE_WORD,
    "field:7",
    VALUE_WORD,
    "field:8",
    VALUE_WORD,
    "field:9",
    VALUE_WORD,
];
const ZADD: &[&[&str]] = &[&["ZADD", "myzset", "__rand_int__", "element:__rand_int__"]];

/// A million numbers become points on a line from 0, 0 to 100 degrees east, 10 degrees north, some 11 m apart.
const LONGITUDE: &str = "__rand_int__e-4";
const LATITUDE: &str = "__same_int__e-5";
const GEOSEARCH: &[&str] =
    &["GEOSEARCH", "points", "FROMLONLAT", LONGITUDE, LATITUDE, "BYRADIUS", "500", "m", "ASC"];

const WORK_GROUP: &[&[&str]] = &[&["DEL", "work"], &["XGROUP", "CREATE", "work", "group", "0", "MKSTREAM"]];
/// Takes an entry and acknowledges one, which need not be the same: requests know nothing of replies.
const XREADGROUP: &[&[&str]] = &[
    &["XREADGROUP", "GROUP", "group", "consumer", "COUNT", "1", "STREAMS", "work", ">"],
    &["XACK", "work", "group", "__rand_int__-1"],
];

/// The second one has all elements of the first and as many others.
const UNION_INPUTS: &[&[&str]] = &[
    &["ZADD", "union:{1}", "__rand_int__", "element:__same_int__"],
    &["ZADD", "union:{1}:more", "__same_int__", "element:__same_int__"],
    &["ZADD", "union:{1}:more", "__same_int__", "other:__same_int__"],
];
const ZUNIONSTORE: &[&str] = &["ZUNIONSTORE", "union:{1}:stored", "2", "union:{1}", "union:{1}:more"];
const INTER_INPUTS: &[&[&str]] = &[
    &["SADD", "inter:{1}", "element:__rand_int__"],
    &["SADD", "inter:{1}:more", "element:__same_int__"],
    &["SADD", "inter:{1}:more", "other:__same_int__"],
];
