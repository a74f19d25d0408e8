//! What a run was made on.

use std::path::Path;
use std::process::Command;
use std::time::SystemTime;

use serde::Serialize;

use crate::origin;

/// A machine on which more than this runs beside us spoils the figures.
const LOAD_AVERAGE_MAX: f64 = 0.5;

#[derive(Debug, Clone, Serialize)]
pub struct Machine {
    pub date: String,
    /// Its processor and kernel, in one line.
    pub machine: String,
    /// What the programs say of themselves.
    pub servers: Vec<String>,
    /// Over the last minute, before anything was started.
    pub load_average: f64,
    /// The command that repeats the run.
    pub command: String,
}

impl Machine {
    /// Describes this machine and the servers that are to be started; `command` repeats the run.
    pub fn describe(programs: &[&Path], command: String) -> Machine {
        Machine::with_servers(programs.iter().map(|program| version(program)).collect(), command)
    }

    /// Describes this machine; what the servers say of themselves is known.
    pub fn with_servers(servers: Vec<String>, command: String) -> Machine {
        Machine {
            date: humantime::format_rfc3339_seconds(SystemTime::now()).to_string()[.."2000-01-01".len()]
                .into(),
            machine: origin::machine(),
            servers,
            load_average: load_average(),
            command,
        }
    }

    pub fn is_busy(&self) -> bool {
        self.load_average > LOAD_AVERAGE_MAX
    }
}

/// What a program answers to `--version`; of ours with the revision it was built from, if that is here.
pub fn version(program: &Path) -> String {
    let text =
        first_line(Command::new(program).arg("--version")).unwrap_or_else(|| program.display().to_string());
    if !text.to_ascii_lowercase().starts_with("polder") {
        return text;
    }
    let revision = first_line(Command::new("git").args(["rev-parse", "--short", "HEAD"]));
    text + &revision.map(|revision| format!(", revision {revision}")).unwrap_or_default()
}

/// The words of this process's command line behind the first `skipped`, as a shell would need them, without
/// passwords.
pub fn own_words(skipped: usize) -> String {
    quoted_words(origin::without_password(std::env::args().skip(skipped)))
}

/// Words as a shell would need them.
pub fn quoted_words(words: Vec<String>) -> String {
    words.iter().map(|word| quoted(word)).collect::<Vec<_>>().join(" ")
}

fn quoted(word: &str) -> String {
    let plain = !word.is_empty() && !word.contains([' ', '\'', '"', '$', '*']);
    if plain { word.to_string() } else { format!("'{}'", word.replace('\'', "'\\''")) }
}

fn first_line(command: &mut Command) -> Option<String> {
    let output = command.output().ok().filter(|output| output.status.success())?;
    Some(String::from_utf8_lossy(&output.stdout).lines().next()?.trim().to_string())
}

fn load_average() -> f64 {
    let text = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split(' ').next().and_then(|number| number.parse().ok()).unwrap_or(0.0)
}
