//! Golden scripts: commands and the replies they must have, in a text that reads like a session.
//!
//! ```text
//! # SET with NX only sets a missing key
//! > SET k v NX
//! OK
//! > SET k w NX
//! (nil)
//! ```
//!
//! A script begins with an empty store and a fresh connection. A line that starts with `>` is a
//! command, written as for redis-cli (`"a\x00b"`, `'a b'`); the lines under it, up to an empty line or
//! the next `>`, `@` or `#`, are its reply. `(no reply)` means that none comes for a while, `(blocked)`
//! that the server says of this client that it waits (`flags=b` of CLIENT LIST, which a connection of
//! the runner's own asks for) and has sent it nothing: the next step may count on that. A later `@read`
//! fetches the reply of either. `(closed)` means that the server closes the connection.
//!
//! Steps other than commands:
//! - `@client NAME` goes on with another connection, opened when it is first named.
//! - `@reconnect` replaces the present connection by a new one; `@close` only closes it.
//! - `@resp 3` (or 2) switches the protocol of the present connection.
//! - `@raw "bytes"` sends these bytes; the lines under it are all replies to them.
//! - `@read` reads one more reply or push; the lines under it say which.
//!
//! What changes the next reply:
//! - `@unordered`: the elements may come in any order (the script has them sorted).
//! - `@match`: `*` in a line stands for any text, a line `...` for any lines.
//! - `@contains`: the reply is a text; each line of the script (with `*`) is one of its lines.
//! - `@let NAME`: the reply's text is `${NAME}` from here on. `@let NAME LABEL:` takes what follows
//!   the label in the reply, up to a space or the end of the line.
//! - `@scan`: the command is repeated with `${cursor}` from 0 until the cursor is 0 again; the reply
//!   is the sorted array of all elements that came, each once.
//! - `@wait MILLISECONDS`: the command is repeated until it has this reply, at most so long.
//! - `@takes MINIMUM MAXIMUM`: the reply comes so many milliseconds after the step began, no sooner
//!   and no later.
//! - `@differs redis-7.0 "reason"`: the reference answers otherwise and its reply is not compared.
//!
//! At the top of a script:
//! - `@server --directive value ...`: the script has servers of its own, started so. With
//!   `@server polder: ...` or `@server redis: ...` the arguments are for one of them only.
//! - `@only polder "reason"`: the reference does not run the script.
//!
//! `GOLDEN_RECORD=1` fills in missing replies from the reference, `GOLDEN_RECORD=all` renews those
//! without `@match` and `@differs`. Read what was recorded: it is a claim about Redis, and 7.2 counts.

use std::collections::HashMap;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::client::{Client, ReadError, Reply, encode};
use super::server::{Server, Variant};

/// How long the absence of a reply is observed.
const SILENCE: Duration = Duration::from_millis(120);

/// How long a reply, or a client's blocking, is waited for.
const REPLY_LIMIT: Duration = Duration::from_secs(10);

/// How many differences of one script are shown.
const DIFFERENCES_PER_SCRIPT_MAX: usize = 8;

/// How many calls a SCAN of a script's few keys may take.
const SCAN_CALLS_MAX: usize = 100_000;

pub struct Script {
    pub path: PathBuf,
    /// `string/set`
    pub name: String,
    items: Vec<Item>,
    server_arguments: Vec<(Option<String>, String)>,
    only: Option<String>,
}

enum Item {
    /// A comment, an empty line or a heading, kept for when the script is written back.
    Text(String),
    Step(Box<Step>),
}

struct Step {
    line_number: usize,
    /// The modifiers and the command as they stand in the file.
    head: Vec<String>,
    action: Action,
    expected: Vec<String>,
    unordered: bool,
    pattern: bool,
    scan: bool,
    contains: bool,
    wait: Option<Duration>,
    takes: Option<RangeInclusive<u32>>,
    differs: Option<String>,
    variable: Option<(String, Option<String>)>,
}

enum Action {
    Command(String),
    Raw(String),
    Read,
    Client(String),
    Protocol(String),
    Reconnect,
    Close,
}

/// What a script's run found.
pub struct Outcome {
    pub steps: usize,
    pub differences: Vec<String>,
}

/// All scripts below `directory`, in the order of their names; `GOLDEN` keeps those whose name
/// contains it.
pub fn discover(directory: &Path) -> Vec<Script> {
    let wanted = std::env::var("GOLDEN").unwrap_or_default();
    let mut paths = Vec::new();
    collect(directory, &mut paths);
    paths.sort();
    let mut scripts = Vec::new();
    for path in paths {
        let name = path.strip_prefix(directory).expect("a path below it").with_extension("");
        let name = name.to_string_lossy().into_owned();
        if name.contains(&wanted) {
            let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{name}: {error}"));
            scripts
                .push(Script::parse(&path, &name, &text).unwrap_or_else(|error| panic!("{name}: {error}")));
        }
    }
    scripts
}

fn collect(directory: &Path, paths: &mut Vec<PathBuf>) {
    let entries = std::fs::read_dir(directory)
        .unwrap_or_else(|error| panic!("cannot list {}: {error}", directory.display()));
    for entry in entries {
        let path = entry.expect("a readable directory").path();
        if path.is_dir() {
            collect(&path, paths);
        } else if path.extension().is_some_and(|extension| extension == "txt") {
            paths.push(path);
        }
    }
}

/// The modifiers that have been read and wait for their step.
#[derive(Default)]
struct Pending {
    head: Vec<String>,
    unordered: bool,
    pattern: bool,
    scan: bool,
    contains: bool,
    wait: Option<Duration>,
    takes: Option<RangeInclusive<u32>>,
    differs: Option<String>,
    variable: Option<(String, Option<String>)>,
}

impl Script {
    pub fn parse(path: &Path, name: &str, text: &str) -> Result<Script, String> {
        let mut script = Script {
            path: path.to_path_buf(),
            name: name.into(),
            items: Vec::new(),
            server_arguments: Vec::new(),
            only: None,
        };
        let mut pending = Pending::default();
        // Whether a plain line belongs to the reply of the last step.
        let mut in_reply = false;
        for (index, line) in text.lines().enumerate() {
            let complain = |what: &str| Err(format!("line {}: {what}: {line}", index + 1));
            // In a text that `@contains` looks into, `# Section` is a line like others.
            let in_text = in_reply && matches!(script.items.last(), Some(Item::Step(step)) if step.contains);
            if line.is_empty() || (line.starts_with("# ") && !in_text) {
                in_reply = false;
                script.items.push(Item::Text(line.into()));
            } else if let Some(command) = line.strip_prefix("> ") {
                let action = Action::Command(command.into());
                script.push_step(&mut pending, index + 1, line, action);
                in_reply = true;
            } else if let Some(directive) = line.strip_prefix('@') {
                let (word, rest) = directive.split_once(' ').unwrap_or((directive, ""));
                in_reply = matches!(word, "raw" | "read");
                if let Some(action) = action(word, rest) {
                    script.push_step(&mut pending, index + 1, line, action);
                } else if matches!(word, "server" | "only") {
                    script.heading(word, rest);
                    script.items.push(Item::Text(line.into()));
                } else if pending.modifier(word, rest) {
                    pending.head.push(line.into());
                } else {
                    return complain("unknown directive");
                }
            } else if let (true, Some(Item::Step(step))) = (in_reply, script.items.last_mut()) {
                step.expected.push(line.into());
            } else {
                return complain("a reply without a command");
            }
        }
        Ok(script)
    }

    fn heading(&mut self, word: &str, rest: &str) {
        if word == "only" {
            self.only = Some(rest.split(' ').next().unwrap_or("").into());
            return;
        }
        let (target, arguments) = match rest.split_once(": ") {
            Some((target, arguments)) => (Some(target.to_string()), arguments),
            None => (None, rest),
        };
        self.server_arguments.push((target, arguments.into()));
    }

    fn push_step(&mut self, pending: &mut Pending, line_number: usize, line: &str, action: Action) {
        let mut taken = std::mem::take(pending);
        taken.head.push(line.into());
        let step = Step {
            line_number,
            head: taken.head,
            action,
            expected: Vec::new(),
            unordered: taken.unordered,
            pattern: taken.pattern,
            scan: taken.scan,
            contains: taken.contains,
            wait: taken.wait,
            takes: taken.takes,
            differs: taken.differs,
            variable: taken.variable,
        };
        self.items.push(Item::Step(Box::new(step)));
    }

    /// The text of the script, with the replies that it now has.
    pub fn to_text(&self) -> String {
        let mut lines: Vec<&str> = Vec::new();
        for item in &self.items {
            match item {
                Item::Text(line) => lines.push(line),
                Item::Step(step) => {
                    lines.extend(step.head.iter().map(String::as_str));
                    lines.extend(step.expected.iter().map(String::as_str));
                }
            }
        }
        lines.join("\n") + "\n"
    }

    /// The commands that the script runs in lower case: `config` and `config|get` for `CONFIG GET`.
    pub fn commands(&self) -> Vec<String> {
        let line = |item: &Item| match item {
            Item::Step(step) => match &step.action {
                Action::Command(line) => Some(line.clone()),
                _ => None,
            },
            _ => None,
        };
        let names = |line: String| {
            let line = line.to_ascii_lowercase();
            let words: Vec<&str> = line.split(' ').collect();
            [words[0].to_string(), words[..words.len().min(2)].join("|")]
        };
        self.items.iter().filter_map(line).flat_map(names).collect()
    }

    pub fn runs_on(&self, variant: Variant) -> bool {
        self.only.is_none() || variant != Variant::Reference
    }

    /// The arguments of the servers that only this script uses, if it wants such.
    pub fn own_server(&self, variant: Variant) -> Option<Vec<String>> {
        let target = if variant == Variant::Reference { "redis" } else { "polder" };
        if self.server_arguments.is_empty() {
            return None;
        }
        let chosen = self
            .server_arguments
            .iter()
            .filter(|(only, _)| only.as_deref().is_none_or(|only| only == target));
        let words = chosen.flat_map(|(_, line)| split(line).expect("quotes in @server match"));
        Some(words.map(|word| String::from_utf8_lossy(&word).into_owned()).collect())
    }

    /// Runs the script. With `record`, replies that are missing (or all that may be renewed) are
    /// written into it instead of compared.
    pub fn run(&mut self, server: &Server, variant: Variant, record: Option<&str>) -> Outcome {
        let mut session = Session::new(server);
        let mut outcome = Outcome { steps: 0, differences: Vec::new() };
        for item in &mut self.items {
            let Item::Step(step) = item else { continue };
            outcome.steps += 1;
            let renew = match record {
                Some("all") => !step.pattern && !step.contains && step.differs.is_none(),
                Some(_) => step.expected.is_empty(),
                None => false,
            };
            match session.perform(step, variant, renew) {
                Ok(()) => {}
                Err(Difference { text, fatal }) => {
                    let command = step.head.last().map_or("", String::as_str);
                    outcome
                        .differences
                        .push(format!("{}:{}: {command}\n{text}", self.name, step.line_number));
                    if fatal || outcome.differences.len() >= DIFFERENCES_PER_SCRIPT_MAX {
                        return outcome;
                    }
                }
            }
        }
        outcome
    }
}

fn action(word: &str, rest: &str) -> Option<Action> {
    Some(match word {
        "client" => Action::Client(rest.into()),
        "resp" => Action::Protocol(rest.into()),
        "raw" => Action::Raw(rest.into()),
        "read" => Action::Read,
        "reconnect" => Action::Reconnect,
        "close" => Action::Close,
        _ => return None,
    })
}

impl Pending {
    fn modifier(&mut self, word: &str, rest: &str) -> bool {
        match word {
            "unordered" => self.unordered = true,
            "match" => self.pattern = true,
            "scan" => self.scan = true,
            "contains" => self.contains = true,
            "wait" => self.wait = rest.parse().ok().map(Duration::from_millis),
            "takes" => match rest.split_once(' ').map(|(from, to)| (from.parse(), to.parse())) {
                Some((Ok(from), Ok(to))) => self.takes = Some(from..=to),
                _ => return false,
            },
            "differs" => self.differs = Some(rest.into()),
            "let" => {
                let (name, label) =
                    rest.split_once(' ').map_or((rest, None), |(name, label)| (name, Some(label)));
                self.variable = Some((name.into(), label.map(String::from)));
            }
            _ => return false,
        }
        true
    }
}

struct Difference {
    text: String,
    /// The rest of the script makes no sense after this.
    fatal: bool,
}

struct Session<'a> {
    server: &'a Server,
    clients: HashMap<String, Client>,
    current: String,
    /// Asks the server about the others, once a script wants to know.
    observer: Option<Client>,
    variables: HashMap<String, String>,
}

impl<'a> Session<'a> {
    fn new(server: &'a Server) -> Self {
        let clients = HashMap::from([("one".to_string(), server.client())]);
        Session { server, clients, current: "one".into(), observer: None, variables: HashMap::new() }
    }

    fn client(&mut self) -> &mut Client {
        let server = self.server;
        self.clients.entry(self.current.clone()).or_insert_with(|| server.client())
    }

    fn perform(&mut self, step: &mut Step, variant: Variant, renew: bool) -> Result<(), Difference> {
        match &step.action {
            Action::Client(name) => {
                self.current = name.clone();
                self.client();
            }
            Action::Reconnect => {
                self.clients.remove(&self.current);
                self.client();
            }
            Action::Close => {
                self.clients.remove(&self.current);
            }
            Action::Protocol(version) => {
                let hello = encode(&["HELLO", version]);
                let sent = self.client().send(&hello);
                if let Ok(Reply::Error(text)) = self.client().read() {
                    let text = String::from_utf8_lossy(&text).into_owned();
                    return Err(Difference { text: format!("  {text} (sending: {sent:?})"), fatal: true });
                }
            }
            Action::Command(_) | Action::Raw(_) | Action::Read => return self.exchange(step, variant, renew),
        }
        Ok(())
    }

    fn exchange(&mut self, step: &mut Step, variant: Variant, renew: bool) -> Result<(), Difference> {
        let expected: Vec<String> = step.expected.iter().map(|line| self.substitute(line)).collect();
        if expected.is_empty() && !renew {
            let text = "  the script does not say which reply is right".into();
            return Err(Difference { text, fatal: false });
        }
        let deadline = step.wait.map(|limit| Instant::now() + limit);
        loop {
            let began = Instant::now();
            let (lines, reply) = if step.scan { self.scan(step) } else { self.ask(step, &expected, renew) };
            let taken = began.elapsed().as_millis() as u32;
            if let (Some((name, label)), Some(reply)) = (&step.variable, &reply) {
                let value = extract(&reply.text(), label.as_deref());
                self.variables.insert(name.clone(), value);
            }
            if renew {
                step.expected = lines;
                return Ok(());
            }
            let differs_here = step.differs.is_some() && variant == Variant::Reference;
            let missing = match (&reply, step.contains) {
                (Some(reply), true) if !reply.is_error() => Some(missing_lines(&reply.text(), &expected)),
                _ => None,
            };
            let matches =
                missing.as_ref().map_or_else(|| same(&lines, &expected, step.pattern), Vec::is_empty);
            if differs_here || matches {
                return match &step.takes {
                    Some(takes) if !takes.contains(&taken) => {
                        let text = format!("    the right reply, but after {taken} ms\n");
                        Err(Difference { text, fatal: false })
                    }
                    _ => Ok(()),
                };
            }
            if deadline.is_some_and(|deadline| Instant::now() < deadline) {
                std::thread::sleep(Duration::from_millis(2));
                continue;
            }
            let show =
                |lines: &[String]| lines.iter().map(|line| format!("      {line}\n")).collect::<String>();
            if let Some(missing) = missing {
                let text = format!("    lines that the reply does not have\n{}", show(&missing));
                return Err(Difference { text, fatal: false });
            }
            let text = format!("    expected\n{}    got\n{}", show(&expected), show(&lines));
            let lost =
                lines.last().is_some_and(|line| line.starts_with("(closed") || line.starts_with("(no reply"));
            let unasked = expected.last().is_some_and(|line| line == "(no reply)" || line == "(blocked)");
            return Err(Difference { text, fatal: lost || unasked });
        }
    }

    /// Follows the cursor of a SCAN to its end.
    fn scan(&mut self, step: &Step) -> (Vec<String>, Option<Reply>) {
        let mut found = Vec::new();
        self.variables.insert("cursor".into(), "0".into());
        for _ in 0..SCAN_CALLS_MAX {
            let (lines, reply) = self.ask(step, &[], false);
            let Some(Reply::Array(parts)) = &reply else { return (lines, reply) };
            let [cursor, Reply::Array(elements)] = parts.as_slice() else { return (lines, reply) };
            found.extend_from_slice(elements);
            let cursor = cursor.text();
            if cursor == "0" {
                found.sort_by_key(Reply::render);
                found.dedup();
                let all = Reply::Array(found);
                return (all.render(), Some(all));
            }
            self.variables.insert("cursor".into(), cursor);
        }
        (vec!["(the cursor does not come back to 0)".into()], None)
    }

    /// Sends what the step sends and returns the lines that came back.
    fn ask(&mut self, step: &Step, expected: &[String], renew: bool) -> (Vec<String>, Option<Reply>) {
        let silence_expected = expected.last().is_some_and(|line| line == "(no reply)");
        match &step.action {
            Action::Raw(text) => {
                let bytes = split(text).ok().and_then(|words| words.into_iter().next()).unwrap_or_default();
                // The server may close before it has read everything; the replies tell.
                let _ = self.client().send(&bytes);
                return (self.read_all(expected, renew), None);
            }
            Action::Command(line) => {
                let line = self.substitute(line);
                match split(&line) {
                    Ok(words) => {
                        let bytes = encode(&words);
                        // A closed connection shows when the reply is read.
                        let _ = self.client().send(&bytes);
                    }
                    Err(error) => return (vec![format!("(bad command line: {error})")], None),
                }
            }
            _ => {}
        }
        if expected.last().is_some_and(|line| line == "(blocked)") {
            return self.wait_until_blocked();
        }
        let limit = if silence_expected || renew {
            SILENCE.max(Duration::from_millis(if renew { 400 } else { 0 }))
        } else {
            REPLY_LIMIT
        };
        match self.client().read_within(limit) {
            Ok(reply) => {
                let reply = if step.unordered { reply.sorted() } else { reply };
                (reply.render(), Some(reply))
            }
            Err(ReadError::TimedOut) if renew && self.is_blocked() => (vec!["(blocked)".into()], None),
            Err(error) => (vec![describe(&error)], None),
        }
    }

    /// Waits until the present client is blocked; a reply that comes instead is the outcome.
    fn wait_until_blocked(&mut self) -> (Vec<String>, Option<Reply>) {
        let deadline = Instant::now() + REPLY_LIMIT;
        loop {
            let blocked = self.is_blocked();
            match self.client().read_within(Duration::from_millis(1)) {
                Ok(reply) => return (reply.render(), Some(reply)),
                Err(ReadError::TimedOut) if blocked => return (vec!["(blocked)".into()], None),
                Err(ReadError::TimedOut) if Instant::now() < deadline => {}
                Err(error) => return (vec![describe(&error)], None),
            }
        }
    }

    /// Whether the server lists the present client as blocked.
    fn is_blocked(&mut self) -> bool {
        let address = format!("addr={}", self.client().local_address());
        let server = self.server;
        let observer = self.observer.get_or_insert_with(|| server.client());
        let _ = observer.send(&encode(&["CLIENT", "LIST"]));
        let Ok(reply) = observer.read_within(SILENCE) else {
            // CLIENT PAUSE holds this question back, too: it is asked anew on another connection.
            self.observer = None;
            return false;
        };
        let list = reply.text();
        let line = list.lines().find(|line| line.split(' ').any(|field| field == address));
        let flags = line.and_then(|line| line.split(' ').find_map(|field| field.strip_prefix("flags=")));
        flags.is_some_and(|flags| flags.contains('b'))
    }

    /// The replies to raw bytes: as many lines as are expected, or until nothing more comes.
    fn read_all(&mut self, expected: &[String], renew: bool) -> Vec<String> {
        let mut lines = Vec::new();
        let silence_expected = expected.first().is_some_and(|line| line == "(no reply)");
        loop {
            let enough = !renew && (silence_expected || lines.len() >= expected.len());
            match self.client().read_within(if enough || renew { SILENCE } else { REPLY_LIMIT }) {
                Ok(reply) => lines.extend(reply.render()),
                Err(ReadError::TimedOut) if !lines.is_empty() => return lines,
                Err(error) => {
                    lines.push(describe(&error));
                    return lines;
                }
            }
        }
    }

    fn substitute(&self, line: &str) -> String {
        let mut text = line.to_string();
        for (name, value) in &self.variables {
            text = text.replace(&format!("${{{name}}}"), value);
        }
        text
    }
}

fn describe(error: &ReadError) -> String {
    match error {
        ReadError::TimedOut => "(no reply)".into(),
        ReadError::Closed => "(closed)".into(),
        ReadError::Malformed(text) => format!("(not a reply: {text})"),
    }
}

fn extract(text: &str, label: Option<&str>) -> String {
    let Some(label) = label else { return text.into() };
    let rest = text.split_once(label).map_or("", |(_, rest)| rest);
    rest.split([' ', '\r', '\n']).next().unwrap_or("").into()
}

fn same(lines: &[String], expected: &[String], pattern: bool) -> bool {
    if !pattern {
        return lines == expected;
    }
    match expected.split_first() {
        None => lines.is_empty(),
        Some((first, rest)) if first == "..." => {
            (0..=lines.len()).any(|skip| same(&lines[skip..], rest, true))
        }
        Some((first, rest)) => {
            lines.split_first().is_some_and(|(line, others)| glob(line, first) && same(others, rest, true))
        }
    }
}

/// The patterns that no line of the text matches.
fn missing_lines(text: &str, patterns: &[String]) -> Vec<String> {
    let lines: Vec<&str> = text.lines().collect();
    let missing = patterns.iter().filter(|pattern| !lines.iter().any(|line| glob(line, pattern)));
    missing.cloned().collect()
}

/// `*` stands for any text, everything else for itself.
fn glob(text: &str, pattern: &str) -> bool {
    let mut parts = pattern.split('*');
    let first = parts.next().unwrap_or("");
    let Some(mut rest) = text.strip_prefix(first) else { return false };
    let mut parts: Vec<&str> = parts.collect();
    let Some(last) = parts.pop() else { return rest.is_empty() };
    for part in parts {
        match rest.find(part) {
            Some(at) => rest = &rest[at + part.len()..],
            None => return false,
        }
    }
    rest.ends_with(last)
}

/// Splits a command line as redis-cli does: `"..."` with escapes, `'...'` without.
pub fn split(line: &str) -> Result<Vec<Vec<u8>>, String> {
    let bytes = line.as_bytes();
    let mut words = Vec::new();
    let mut at = 0;
    loop {
        while bytes.get(at) == Some(&b' ') {
            at += 1;
        }
        let Some(&start) = bytes.get(at) else { return Ok(words) };
        let mut word = Vec::new();
        match start {
            b'"' => at = quoted(bytes, at + 1, &mut word)?,
            b'\'' => {
                let end = line[at + 1..].find('\'').ok_or("a ' is not closed")?;
                word.extend_from_slice(&bytes[at + 1..at + 1 + end]);
                at += end + 2;
            }
            _ => {
                while at < bytes.len() && bytes[at] != b' ' {
                    word.push(bytes[at]);
                    at += 1;
                }
            }
        }
        words.push(word);
    }
}

fn quoted(bytes: &[u8], mut at: usize, word: &mut Vec<u8>) -> Result<usize, String> {
    loop {
        match bytes.get(at) {
            None => return Err("a \" is not closed".into()),
            Some(b'"') => return Ok(at + 1),
            Some(b'\\') => {
                let escaped = *bytes.get(at + 1).ok_or("a \\ at the end")?;
                at += 2;
                match escaped {
                    b'n' => word.push(b'\n'),
                    b'r' => word.push(b'\r'),
                    b't' => word.push(b'\t'),
                    b'x' => {
                        let digits = bytes.get(at..at + 2).and_then(|pair| std::str::from_utf8(pair).ok());
                        let value = digits.and_then(|pair| u8::from_str_radix(pair, 16).ok());
                        word.push(value.ok_or("\\x wants two hexadecimal digits")?);
                        at += 2;
                    }
                    other => word.push(other),
                }
            }
            Some(&byte) => {
                word.push(byte);
                at += 1;
            }
        }
    }
}
