//! The rules of the house that a compiler does not hold: the order of the modules, who may name
//! glommio, what data code may touch, how long a file may grow. Each check is a plain function over
//! file names and texts, so that a bad sample can show that it does fail.

use std::fs;
use std::path::{Path, PathBuf};

/// The modules as a request meets them. A module imports itself and those below it.
const ORDER: [&str; 24] = [
    "server",
    "net",
    "dispatch",
    "commands",
    "transaction",
    "shard",
    "replication",
    "persist",
    "cluster",
    "script",
    "pubsub",
    "session",
    "acl",
    "keyspace",
    "types",
    "metrics",
    "config",
    "glob",
    "resp",
    "engine",
    "runtime",
    "memory",
    "clock",
    "error",
];

/// Lines of a file without its tests.
const FILE_LINES_MAX: usize = 1_000;

/// Here everything comes from sockets, files and flags.
const OUTER_MODULES: [&str; 6] = ["server", "net", "dispatch", "session", "resp", "config"];

/// Plain functions over data: no waiting, no files, no clock.
const DATA_MODULES: [&str; 3] = ["commands", "keyspace", "types"];

struct Source {
    /// Below `src/`, with forward slashes.
    path: String,
    text: String,
    /// The text without comments, strings and tests; lines stay where they are.
    code: String,
}

impl Source {
    fn new(path: &str, text: &str) -> Source {
        // A file of tests has no code to judge, and tests stand at the end of the others.
        let is_tests = path.ends_with("tests.rs") || path.ends_with("testing.rs");
        let code = if is_tests { "" } else { text.split("#[cfg(test)]\nmod ").next().unwrap_or("") };
        Source { path: path.into(), text: text.into(), code: strip(code) }
    }

    /// `net` for `net/connection.rs` and for `net.rs`.
    fn module(&self) -> &str {
        self.path.split('/').next().unwrap_or("").trim_end_matches(".rs")
    }
}

fn sources() -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut paths = Vec::new();
    collect(&root, &mut paths);
    paths.sort();
    let read = |path: &PathBuf| {
        let name = path.strip_prefix(&root).expect("a path below src").to_string_lossy().replace('\\', "/");
        Source::new(&name, &fs::read_to_string(path).expect("a readable source file"))
    };
    paths.iter().map(read).collect()
}

fn collect(directory: &Path, paths: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(directory).expect("src can be listed") {
        let path = entry.expect("src can be listed").path();
        if path.is_dir() {
            collect(&path, paths);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            paths.push(path);
        }
    }
}

/// Blanks comments, strings and characters, so that only code is judged.
fn strip(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut code = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let end = match bytes[at] {
            b'/' if bytes.get(at + 1) == Some(&b'/') => find(text, at, "\n"),
            b'/' if bytes.get(at + 1) == Some(&b'*') => find(text, at + 2, "*/") + 2,
            b'"' => string_end(bytes, at + 1),
            b'r' if raw_string_marks(bytes, at).is_some() => {
                let marks = raw_string_marks(bytes, at).unwrap_or(0);
                let closing = format!("\"{}", "#".repeat(marks));
                find(text, at + marks + 2, &closing) + closing.len()
            }
            b'\'' if bytes.get(at + 1) == Some(&b'\\') => find(text, at + 3, "'") + 1,
            b'\'' if bytes.get(at + 2) == Some(&b'\'') => at + 3,
            _ => at,
        };
        if end == at {
            code.push(bytes[at]);
            at += 1;
            continue;
        }
        let end = end.min(bytes.len());
        code.extend(bytes[at..end].iter().map(|&byte| if byte == b'\n' { b'\n' } else { b' ' }));
        at = end;
    }
    String::from_utf8_lossy(&code).into_owned()
}

fn find(text: &str, from: usize, what: &str) -> usize {
    let rest = &text.as_bytes()[from.min(text.len())..];
    let found = rest.windows(what.len()).position(|window| window == what.as_bytes());
    found.map_or(text.len(), |offset| from + offset)
}

fn string_end(bytes: &[u8], mut at: usize) -> usize {
    while at < bytes.len() && bytes[at] != b'"' {
        at += if bytes[at] == b'\\' { 2 } else { 1 };
    }
    at + 1
}

/// How many `#` a raw string that begins here has, if one begins here.
fn raw_string_marks(bytes: &[u8], at: usize) -> Option<usize> {
    let part_of_a_word = at > 0 && (bytes[at - 1].is_ascii_alphanumeric() && bytes[at - 1] != b'b');
    let marks = bytes[at + 1..].iter().take_while(|&&byte| byte == b'#').count();
    (!part_of_a_word && bytes.get(at + 1 + marks) == Some(&b'"')).then_some(marks)
}

fn position(module: &str) -> Option<usize> {
    ORDER.iter().position(|name| *name == module)
}

/// `lib.rs` lists the modules in their order.
fn check_lib(lib: &Source) -> Vec<String> {
    let mut problems = Vec::new();
    let mut last = 0;
    for line in lib.code.lines() {
        let line = line.trim().trim_start_matches("pub ").trim_start_matches("pub(crate) ");
        let Some(name) = line.strip_prefix("mod ").and_then(|rest| rest.strip_suffix(';')) else { continue };
        match position(name) {
            None => problems.push(format!("lib.rs: module {name} has no place in tests/tidy.rs (ORDER)")),
            Some(place) if place < last => {
                problems
                    .push(format!("lib.rs: module {name} stands below {}, it belongs above", ORDER[last]));
            }
            Some(place) => last = place,
        }
    }
    problems
}

/// A module names only modules below it.
fn check_imports(source: &Source) -> Vec<String> {
    let Some(own) = position(source.module()) else { return Vec::new() };
    let mut problems = Vec::new();
    for (number, line, name) in crate_paths(&source.code) {
        if let Some(place) = position(&name)
            && place < own
        {
            problems.push(format!(
                "{}:{number}: {} is below {name} and must not name it: {}",
                source.path,
                source.module(),
                line.trim()
            ));
        }
    }
    problems
}

/// Every module that is named as `crate::name`, alone or in braces, with its line.
fn crate_paths(code: &str) -> Vec<(usize, String, String)> {
    let mut found = Vec::new();
    let mut from = 0;
    while let Some(offset) = code[from..].find("crate::") {
        let at = from + offset;
        from = at + "crate::".len();
        let number = code[..at].matches('\n').count() + 1;
        let line = code.lines().nth(number - 1).unwrap_or("").to_string();
        let rest = &code[from..];
        let names = if let Some(group) = rest.strip_prefix('{') { heads_of(group) } else { vec![word(rest)] };
        found.extend(names.into_iter().map(|name| (number, line.clone(), name)));
    }
    found
}

/// The first word of each path in a group, up to its closing brace.
fn heads_of(group: &str) -> Vec<String> {
    let mut heads = Vec::new();
    let mut depth = 0;
    let mut fresh = true;
    for (at, character) in group.char_indices() {
        match character {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            ',' if depth == 0 => fresh = true,
            _ if fresh && depth == 0 && (character.is_alphanumeric() || character == '_') => {
                heads.push(word(&group[at..]));
                fresh = false;
            }
            _ => {}
        }
    }
    heads
}

fn word(text: &str) -> String {
    text.chars().take_while(|character| character.is_alphanumeric() || *character == '_').collect()
}

fn check_glommio(source: &Source) -> Vec<String> {
    let inside = source.module() == "runtime";
    let named = lines_with(source, |line| {
        line.split(|c: char| !c.is_alphanumeric() && c != '_').any(|w| w == "glommio")
    });
    named.filter(|_| !inside).map(|at| format!("{at}: only runtime/ names glommio")).collect()
}

fn check_length(source: &Source) -> Vec<String> {
    let lines = source.code.lines().count();
    if lines <= FILE_LINES_MAX {
        return Vec::new();
    }
    vec![format!("{}: {lines} lines without tests, {FILE_LINES_MAX} at most: make it a folder", source.path)]
}

fn check_words(source: &Source) -> Vec<String> {
    let mut problems = Vec::new();
    for forbidden in ["todo!", "unimplemented!", "dbg!("] {
        problems.extend(
            lines_with(source, |line| line.contains(forbidden)).map(|at| format!("{at}: {forbidden}")),
        );
    }
    for (index, line) in source.text.lines().enumerate() {
        if ["FIXME", "XXX", "HACK"].iter().any(|mark| line.contains(mark)) {
            problems.push(format!("{}:{}: a note to self: {}", source.path, index + 1, line.trim()));
        }
    }
    problems
}

fn check_allows(source: &Source) -> Vec<String> {
    // The reason may stand on a later line, and it is a string, so the text is read and not the code.
    let mut problems = Vec::new();
    for mark in ["#[allow(", "#![allow("] {
        for (at, _) in source.text.match_indices(mark) {
            let end = source.text[at..].find(")]").map_or(source.text.len(), |offset| at + offset);
            if !source.text[at..end].contains("reason") {
                let number = source.text[..at].matches('\n').count() + 1;
                problems.push(format!("{}:{number}: an allow without a reason", source.path));
            }
        }
    }
    problems
}

fn check_unwrap(source: &Source) -> Vec<String> {
    let outer = OUTER_MODULES.contains(&source.module()) || source.path == "main.rs";
    let found = lines_with(source, |line| line.contains(".unwrap()"));
    found.filter(|_| outer).map(|at| format!("{at}: unwrap() where input comes from outside")).collect()
}

fn check_data_code(source: &Source) -> Vec<String> {
    if !DATA_MODULES.contains(&source.module()) {
        return Vec::new();
    }
    let mut problems = Vec::new();
    for forbidden in
        [".await", "Instant::now", "SystemTime::now", "std::fs", "std::net", "std::io", "println!"]
    {
        let found = lines_with(source, |line| line.contains(forbidden));
        problems.extend(found.map(|at| format!("{at}: data code must not use {forbidden}")));
    }
    problems
}

/// `path:line` of each line of code that the test likes.
fn lines_with(source: &Source, test: impl Fn(&str) -> bool) -> impl Iterator<Item = String> {
    let found: Vec<String> = source
        .code
        .lines()
        .enumerate()
        .filter(|(_, line)| test(line))
        .map(|(index, _)| format!("{}:{}", source.path, index + 1))
        .collect();
    found.into_iter()
}

fn check(sources: &[Source]) -> Vec<String> {
    let mut problems = Vec::new();
    for source in sources {
        if source.path == "lib.rs" {
            problems.extend(check_lib(source));
        }
        for rule in [
            check_imports,
            check_glommio,
            check_length,
            check_words,
            check_allows,
            check_unwrap,
            check_data_code,
        ] {
            problems.extend(rule(source));
        }
    }
    problems
}

#[test]
fn the_house_is_tidy() {
    let sources = sources();
    assert!(sources.iter().any(|source| source.path == "lib.rs"), "src/lib.rs is missing");
    let problems = check(&sources);
    assert!(problems.is_empty(), "{} problems\n{}", problems.len(), problems.join("\n"));
}

/// Each rule finds its bad sample, and says where.
#[test]
fn bad_samples_are_found() {
    let long = "fn f() {}\n".repeat(FILE_LINES_MAX + 1);
    let samples = [
        ("lib.rs", "pub mod error;\npub mod net;\n", "module net stands below error"),
        ("lib.rs", "pub mod misc;\n", "misc has no place"),
        ("resp/mod.rs", "use crate::net::Connection;\n", "resp/mod.rs:1: resp is below net"),
        ("types/list.rs", "use crate::{\n    error::E,\n    shard::{A, B},\n};\n", "types is below shard"),
        ("types/list.rs", "fn f() { crate::server::run() }\n", "types is below server"),
        ("net/mod.rs", "use glommio::Task;\n", "net/mod.rs:1: only runtime/"),
        ("types/list.rs", long.as_str(), "lines without tests"),
        ("net/mod.rs", "fn f() {\n    todo!()\n}\n", "net/mod.rs:2: todo!"),
        ("net/mod.rs", "// FIXME later\n", "a note to self"),
        ("net/mod.rs", "#[allow(dead_code)]\nfn f() {}\n", "an allow without a reason"),
        ("config/mod.rs", "fn f() { text.parse::<u8>().unwrap(); }\n", "config/mod.rs:1: unwrap()"),
        ("keyspace/mod.rs", "async fn f() { g().await }\n", "must not use .await"),
        ("commands/keys.rs", "fn f() { let now = Instant::now(); }\n", "must not use Instant::now"),
    ];
    for (path, text, expected) in samples {
        let problems = check(&[Source::new(path, text)]);
        let found = problems.iter().any(|problem| problem.contains(expected));
        assert!(found, "{path}: expected '{expected}', found {problems:?}");
    }
}

/// What only looks bad is left alone.
#[test]
fn good_samples_pass() {
    let good = [
        ("lib.rs", "pub mod server;\npub mod net;\npub mod error;\n"),
        ("net/mod.rs", "use crate::{error::E, resp, net::x};\n// glommio and crate::server in words\n"),
        ("net/mod.rs", "fn f<'a>(x: &'a str) { g(\"crate::server .unwrap()\", '\"', r#\"glommio\"#) }\n"),
        ("runtime/mod.rs", "use glommio::LocalExecutor;\n"),
        ("resp/mod.rs", "#[cfg(test)]\nmod tests {\n    fn f() { x.unwrap() }\n}\n"),
        ("net/mod.rs", "#[allow(\n    dead_code,\n    reason = \"the table is generated\"\n)]\nfn f() {}\n"),
        ("types/list.rs", "fn f() { x.unwrap_or(1); }\n"),
        ("net/tests.rs", "use crate::server::run;\nfn f() { x.unwrap(); }\n"),
    ];
    for (path, text) in good {
        let problems = check(&[Source::new(path, text)]);
        assert!(problems.is_empty(), "{path}: {problems:?}");
    }
}
