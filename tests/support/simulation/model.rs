//! What the server is to answer: its commands on one store, one transaction after the other.

use std::collections::{BTreeMap, VecDeque};

use crate::support::client::Reply;

pub type Key = u8;
pub type Bytes = Vec<u8>;

/// Databases that clients select.
pub const DATABASES: usize = 2;

#[derive(Clone, Debug, PartialEq)]
pub enum Command {
    Get(Key),
    Set(Key, Bytes),
    Increment(Key),
    Add(Key, i64),
    Append(Key, Bytes),
    GetSeveral(Vec<Key>),
    SetSeveral(Vec<(Key, Bytes)>),
    /// If none of them exists.
    SetSeveralNew(Vec<(Key, Bytes)>),
    Delete(Vec<Key>),
    Exist(Vec<Key>),
    Rename {
        from: Key,
        to: Key,
        new: bool,
    },
    Copy {
        from: Key,
        to: Key,
        replace: bool,
    },
    Push(Key, Bytes),
    Pop(Key),
    Range(Key),
    Move {
        from: Key,
        to: Key,
    },
    /// With a time limit in milliseconds; 0 is none.
    AwaitPop(Vec<Key>, u32),
    AwaitMove {
        from: Key,
        to: Key,
        limit_ms: u32,
    },
    Size,
    Keys,
    FlushAll,
    FlushDatabase,
    Swap,
    Select(usize),
    Watch(Vec<Key>),
    Unwatch,
    /// A client, by the server's number. It concerns no key, and its answer says nothing of the store.
    Kill(u64),
}

impl Command {
    /// As it is sent; `names` are those of the keys.
    pub fn words(&self, names: &[String]) -> Vec<Bytes> {
        let name = |key: &Key| names[*key as usize].clone().into_bytes();
        let text = |text: &str| text.as_bytes().to_vec();
        let number = |number: &dyn ToString| number.to_string().into_bytes();
        let seconds = |limit_ms: &u32| format!("{:.3}", f64::from(*limit_ms) / 1000.0).into_bytes();
        let keys = |command: &str, keys: &[Key]| {
            std::iter::once(text(command)).chain(keys.iter().map(name)).collect::<Vec<_>>()
        };
        let pairs = |command: &str, pairs: &[(Key, Bytes)]| {
            let words = pairs.iter().flat_map(|(key, value)| [name(key), value.clone()]);
            std::iter::once(text(command)).chain(words).collect::<Vec<_>>()
        };
        match self {
            Command::Get(key) => vec![text("GET"), name(key)],
            Command::Set(key, value) => vec![text("SET"), name(key), value.clone()],
            Command::Increment(key) => vec![text("INCR"), name(key)],
            Command::Add(key, amount) => vec![text("INCRBY"), name(key), number(amount)],
            Command::Append(key, value) => vec![text("APPEND"), name(key), value.clone()],
            Command::GetSeveral(list) => keys("MGET", list),
            Command::SetSeveral(list) => pairs("MSET", list),
            Command::SetSeveralNew(list) => pairs("MSETNX", list),
            Command::Delete(list) => keys("DEL", list),
            Command::Exist(list) => keys("EXISTS", list),
            Command::Rename { from, to, new } => {
                vec![text(if *new { "RENAMENX" } else { "RENAME" }), name(from), name(to)]
            }
            Command::Copy { from, to, replace } => {
                let mut words = vec![text("COPY"), name(from), name(to)];
                words.extend(replace.then(|| text("REPLACE")));
                words
            }
            Command::Push(key, element) => vec![text("RPUSH"), name(key), element.clone()],
            Command::Pop(key) => vec![text("LPOP"), name(key)],
            Command::Range(key) => vec![text("LRANGE"), name(key), text("0"), text("-1")],
            Command::Move { from, to } => {
                vec![text("LMOVE"), name(from), name(to), text("LEFT"), text("RIGHT")]
            }
            Command::AwaitPop(list, limit_ms) => {
                let mut words = keys("BLPOP", list);
                words.push(seconds(limit_ms));
                words
            }
            Command::AwaitMove { from, to, limit_ms } => {
                vec![text("BLMOVE"), name(from), name(to), text("LEFT"), text("RIGHT"), seconds(limit_ms)]
            }
            Command::Size => vec![text("DBSIZE")],
            Command::Keys => vec![text("KEYS"), text("*")],
            Command::FlushAll => vec![text("FLUSHALL")],
            Command::FlushDatabase => vec![text("FLUSHDB")],
            Command::Swap => vec![text("SWAPDB"), text("0"), text("1")],
            Command::Select(database) => vec![text("SELECT"), number(database)],
            Command::Watch(list) => keys("WATCH", list),
            Command::Unwatch => vec![text("UNWATCH")],
            Command::Kill(id) => vec![text("CLIENT"), text("KILL"), text("ID"), number(id)],
        }
    }
}

impl Command {
    /// Whether it leaves all keys alone, and says nothing of when it looked at them but by its reply.
    pub fn only_reads(&self) -> bool {
        matches!(
            self,
            Command::Get(_)
                | Command::GetSeveral(_)
                | Command::Exist(_)
                | Command::Range(_)
                | Command::Size
                | Command::Keys
                | Command::Select(_)
                | Command::Unwatch
                | Command::Kill(_)
        )
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Value {
    Text(Bytes),
    List(VecDeque<Bytes>),
}

/// What the server knows of a client.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
struct Session {
    database: usize,
    watched: Vec<(usize, Key)>,
    /// A watched key has changed.
    spoilt: bool,
}

/// A whole server.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Model {
    databases: [BTreeMap<Key, Value>; DATABASES],
    sessions: Vec<Session>,
}

const WRONG_TYPE: &str = "WRONGTYPE Operation against a key holding the wrong kind of value";
const NO_INTEGER: &str = "ERR value is not an integer or out of range";

fn error(text: &str) -> Reply {
    Reply::Error(text.as_bytes().to_vec())
}

fn nil_or_bulk(value: Option<Bytes>) -> Reply {
    value.map_or(Reply::NullBulk, Reply::Bulk)
}

impl Model {
    pub fn new(clients: usize) -> Model {
        Model { databases: Default::default(), sessions: vec![Session::default(); clients] }
    }

    /// Fills a key before anybody looks.
    pub fn preset(&mut self, key: Key, value: &str) {
        self.databases[0].insert(key, Value::Text(value.as_bytes().to_vec()));
    }

    /// Whether EXEC of this client runs its commands.
    pub fn exec_runs(&self, client: usize) -> bool {
        !self.sessions[client].spoilt
    }

    /// The client watches nothing any more.
    pub fn forget_watched(&mut self, client: usize) {
        self.sessions[client].watched.clear();
        self.sessions[client].spoilt = false;
    }

    /// Runs a command; whether it may be answered as it was. Without an answer, nobody knows what it was.
    pub fn run(
        &mut self,
        client: usize,
        command: &Command,
        names: &[String],
        answer: Option<&Reply>,
    ) -> bool {
        if let (Command::AwaitPop(keys, _), Some(Reply::Array(popped))) = (command, answer) {
            // It may have been served by any of its keys.
            let key = keys.iter().find(|key| popped.first() == Some(&Reply::bulk(&names[**key as usize])));
            return key.is_some_and(|key| self.reply(client, &Command::Pop(*key), names) == popped[1]);
        }
        let reply = self.reply(client, command, names);
        match (command, answer) {
            (_, None) => true,
            (Command::Keys, Some(answer)) => reply.sorted() == answer.sorted(),
            (Command::Kill(_), Some(answer)) => matches!(answer, Reply::Integer(0 | 1)),
            // Which null it is depends on whether it has waited.
            (Command::AwaitMove { .. }, Some(Reply::NullArray)) => reply == Reply::NullBulk,
            (_, Some(answer)) => reply == *answer,
        }
    }

    fn reply(&mut self, client: usize, command: &Command, names: &[String]) -> Reply {
        let database = self.sessions[client].database;
        match command {
            Command::Get(key) => match self.databases[database].get(key) {
                None => Reply::NullBulk,
                Some(Value::Text(text)) => Reply::bulk(text),
                Some(Value::List(_)) => error(WRONG_TYPE),
            },
            Command::Set(key, value) => {
                self.put(database, *key, value);
                Reply::ok()
            }
            Command::Increment(key) => self.add(database, *key, 1),
            Command::Add(key, amount) => self.add(database, *key, *amount),
            Command::Append(key, more) => self.append(database, *key, more),
            Command::GetSeveral(keys) => {
                let text = |key: &Key| match self.databases[database].get(key) {
                    Some(Value::Text(text)) => Reply::bulk(text),
                    _ => Reply::NullBulk,
                };
                Reply::Array(keys.iter().map(text).collect())
            }
            Command::SetSeveral(pairs) => {
                pairs.iter().for_each(|(key, value)| self.put(database, *key, value));
                Reply::ok()
            }
            Command::SetSeveralNew(pairs) => {
                let new = pairs.iter().all(|(key, _)| !self.databases[database].contains_key(key));
                if new {
                    pairs.iter().for_each(|(key, value)| self.put(database, *key, value));
                }
                Reply::Integer(new.into())
            }
            Command::Delete(keys) => {
                Reply::Integer(keys.iter().map(|key| i64::from(self.delete(database, *key))).sum())
            }
            Command::Exist(keys) => {
                let exists = |key: &&Key| self.databases[database].contains_key(key);
                Reply::Integer(keys.iter().filter(exists).count() as i64)
            }
            Command::Rename { from, to, new } => self.rename(database, *from, *to, *new),
            Command::Copy { from, to, replace } => self.copy(database, *from, *to, *replace),
            Command::Size => Reply::Integer(self.databases[database].len() as i64),
            Command::Keys => {
                let keys = self.databases[database].keys();
                Reply::Array(keys.map(|key| Reply::bulk(&names[*key as usize])).collect())
            }
            Command::FlushAll => {
                (0..DATABASES).for_each(|database| self.flush(database));
                Reply::ok()
            }
            Command::FlushDatabase => {
                self.flush(database);
                Reply::ok()
            }
            Command::Swap => {
                for key in self.databases.iter().flat_map(BTreeMap::keys).copied().collect::<Vec<_>>() {
                    (0..DATABASES).for_each(|database| self.touch(database, key));
                }
                self.databases.swap(0, 1);
                Reply::ok()
            }
            Command::Select(database) => {
                self.sessions[client].database = *database;
                Reply::ok()
            }
            Command::Watch(keys) => {
                let watched = &mut self.sessions[client].watched;
                for key in keys {
                    if !watched.contains(&(database, *key)) {
                        watched.push((database, *key));
                    }
                }
                watched.sort_unstable();
                Reply::ok()
            }
            Command::Unwatch => {
                self.forget_watched(client);
                Reply::ok()
            }
            Command::Kill(_) => Reply::Integer(0),
            _ => self.reply_on_lists(database, command, names),
        }
    }

    fn reply_on_lists(&mut self, database: usize, command: &Command, names: &[String]) -> Reply {
        match command {
            Command::Push(key, element) => {
                let value = self.databases[database].entry(*key).or_insert(Value::List(VecDeque::new()));
                let Value::List(list) = value else { return error(WRONG_TYPE) };
                list.push_back(element.clone());
                let length = list.len() as i64;
                self.touch(database, *key);
                Reply::Integer(length)
            }
            Command::Pop(key) => match self.pop(database, *key) {
                Ok(element) => nil_or_bulk(element),
                Err(error) => error,
            },
            Command::Range(key) => match self.databases[database].get(key) {
                None => Reply::Array(Vec::new()),
                Some(Value::List(list)) => Reply::Array(list.iter().map(Reply::bulk).collect()),
                Some(Value::Text(_)) => error(WRONG_TYPE),
            },
            Command::Move { from, to } | Command::AwaitMove { from, to, .. } => {
                if self.databases[database].contains_key(from)
                    && matches!(self.databases[database].get(to), Some(Value::Text(_)))
                {
                    return error(WRONG_TYPE);
                }
                match self.pop(database, *from) {
                    Ok(Some(element)) => {
                        self.reply_on_lists(database, &Command::Push(*to, element.clone()), names);
                        Reply::Bulk(element)
                    }
                    Ok(None) => Reply::NullBulk,
                    Err(error) => error,
                }
            }
            Command::AwaitPop(keys, _) => {
                for key in keys {
                    match self.pop(database, *key) {
                        Ok(None) => {}
                        Ok(Some(element)) => {
                            return Reply::Array(vec![
                                Reply::bulk(&names[*key as usize]),
                                Reply::Bulk(element),
                            ]);
                        }
                        Err(error) => return error,
                    }
                }
                Reply::NullArray
            }
            _ => unreachable!("{command:?} is not about lists"),
        }
    }

    /// A key has changed: whoever watches it is told by EXEC.
    fn touch(&mut self, database: usize, key: Key) {
        for session in &mut self.sessions {
            session.spoilt |= session.watched.contains(&(database, key));
        }
    }

    fn put(&mut self, database: usize, key: Key, value: &[u8]) {
        self.databases[database].insert(key, Value::Text(value.to_vec()));
        self.touch(database, key);
    }

    fn delete(&mut self, database: usize, key: Key) -> bool {
        let existed = self.databases[database].remove(&key).is_some();
        if existed {
            self.touch(database, key);
        }
        existed
    }

    fn flush(&mut self, database: usize) {
        for key in self.databases[database].keys().copied().collect::<Vec<_>>() {
            self.delete(database, key);
        }
    }

    fn add(&mut self, database: usize, key: Key, amount: i64) -> Reply {
        let number = match self.databases[database].get(&key) {
            None => Some(0),
            Some(Value::Text(text)) => std::str::from_utf8(text).ok().and_then(|text| text.parse().ok()),
            Some(Value::List(_)) => return error(WRONG_TYPE),
        };
        let Some(sum) = number.and_then(|number: i64| number.checked_add(amount)) else {
            return error(NO_INTEGER);
        };
        self.put(database, key, sum.to_string().as_bytes());
        Reply::Integer(sum)
    }

    fn append(&mut self, database: usize, key: Key, more: &[u8]) -> Reply {
        let value = self.databases[database].entry(key).or_insert(Value::Text(Vec::new()));
        let Value::Text(text) = value else { return error(WRONG_TYPE) };
        text.extend_from_slice(more);
        let length = text.len() as i64;
        self.touch(database, key);
        Reply::Integer(length)
    }

    fn rename(&mut self, database: usize, from: Key, to: Key, new: bool) -> Reply {
        let keys = &mut self.databases[database];
        if !keys.contains_key(&from) {
            return error("ERR no such key");
        }
        if from == to || (new && keys.contains_key(&to)) {
            return if new { Reply::Integer(0) } else { Reply::ok() };
        }
        if let Some(value) = keys.remove(&from) {
            keys.insert(to, value);
        }
        self.touch(database, from);
        self.touch(database, to);
        if new { Reply::Integer(1) } else { Reply::ok() }
    }

    fn copy(&mut self, database: usize, from: Key, to: Key, replace: bool) -> Reply {
        if from == to {
            return error("ERR source and destination objects are the same");
        }
        let keys = &mut self.databases[database];
        let Some(value) = keys.get(&from).cloned() else { return Reply::Integer(0) };
        if keys.contains_key(&to) && !replace {
            return Reply::Integer(0);
        }
        keys.insert(to, value);
        self.touch(database, to);
        Reply::Integer(1)
    }

    /// The first element of a list, which ends with its last one.
    fn pop(&mut self, database: usize, key: Key) -> Result<Option<Bytes>, Reply> {
        let keys = &mut self.databases[database];
        let list = match keys.get_mut(&key) {
            None => return Ok(None),
            Some(Value::Text(_)) => return Err(error(WRONG_TYPE)),
            Some(Value::List(list)) => list,
        };
        let element = list.pop_front();
        if list.is_empty() {
            keys.remove(&key);
        }
        self.touch(database, key);
        Ok(element)
    }
}
