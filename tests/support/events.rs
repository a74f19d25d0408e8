//! Scripts of events: commands, and the events that each of them brings about, in their order.
//!
//! ```text
//! # SET with a lifetime tells two events, each with the letter of its class
//! > SET k v EX 100
//! $ set k
//! g expire k
//! @later 5
//! ```
//!
//! `SELECT` changes the database; behind a key of another one than 0 its number stands in brackets. `@later`
//! lets so many milliseconds pass. `@differs "reason"` before a step: redis-server 7.0 tells others.

use std::path::Path;

pub struct Step {
    pub line_number: usize,
    pub text: String,
    pub action: Action,
    pub events: Vec<String>,
    pub differs: bool,
}

pub enum Action {
    Command(Vec<Vec<u8>>),
    Select(usize),
    Later(u64),
}

/// The letters of the classes; what is told under none of them is told to nobody.
pub const CLASSES: &str = "g$lshzxetmn";

/// The arguments of a line: words divided by blanks, `""` being the empty word.
fn split(line: &str) -> Vec<Vec<u8>> {
    let words = line.split_ascii_whitespace();
    words.map(|word| if word == "\"\"" { Vec::new() } else { word.as_bytes().to_vec() }).collect()
}

/// How an event stands in a script.
pub fn show(class: char, name: &str, key: &[u8], database: usize) -> String {
    let key = String::from_utf8_lossy(key);
    if database == 0 { format!("{class} {name} {key}") } else { format!("{class} {name} {key} [{database}]") }
}

fn action(line: &str) -> Option<Action> {
    if let Some(number) = line.strip_prefix("> SELECT ") {
        return Some(Action::Select(number.parse().expect("a database")));
    }
    if let Some(milliseconds) = line.strip_prefix("@later ") {
        return Some(Action::Later(milliseconds.parse().expect("milliseconds")));
    }
    line.strip_prefix("> ").map(|command| Action::Command(split(command)))
}

pub fn parse(text: &str) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    let mut differs = false;
    for (index, line) in text.lines().enumerate() {
        if let Some(action) = action(line) {
            let text = line.to_owned();
            steps.push(Step { line_number: index + 1, text, action, events: Vec::new(), differs });
            differs = false;
        } else if line.starts_with("@differs ") {
            differs = true;
        } else if !line.is_empty() && !line.starts_with('#') {
            steps.last_mut().expect("events follow a step").events.push(line.to_owned());
        }
    }
    steps
}

/// The scripts with their names and texts.
pub fn scripts() -> Vec<(String, String)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/events");
    let mut paths: Vec<_> = std::fs::read_dir(folder)
        .expect("the folder of the scripts")
        .map(|entry| entry.expect("an entry of the folder").path())
        .collect();
    paths.sort();
    assert!(!paths.is_empty());
    let read = |path: &std::path::PathBuf| {
        let name = path.file_stem().expect("a file").to_string_lossy().into_owned();
        (name, std::fs::read_to_string(path).expect("a readable script"))
    };
    paths.iter().map(read).collect()
}
