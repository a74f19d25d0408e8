//! What a run was made on.

use std::path::Path;
use std::process::Command;

use serde::Serialize;

use crate::origin::processor;

/// A machine on which more than this runs beside us spoils the figures.
const LOAD_AVERAGE_MAX: f64 = 0.5;

#[derive(Debug, Clone, Serialize)]
pub struct Machine {
    pub date: String,
    pub processor: String,
    pub processors: usize,
    pub kernel: String,
    pub redis: String,
    pub polder: String,
    /// Over the last minute, before anything was started.
    pub load_average: f64,
    /// The command that repeats the run.
    pub command: String,
}

impl Machine {
    pub fn describe(redis: &Path, polder: &Path) -> Machine {
        let (release, machine) = polder::runtime::process::kernel();
        let revision = first_line(Command::new("git").args(["rev-parse", "--short", "HEAD"]));
        let revision = revision.map(|revision| format!(", revision {revision}")).unwrap_or_default();
        let version = |program: &Path| {
            first_line(Command::new(program).arg("--version")).unwrap_or_else(|| "unknown".into())
        };
        Machine {
            date: first_line(Command::new("date").args(["-u", "+%Y-%m-%d"])).unwrap_or_default(),
            processor: processor(),
            processors: std::thread::available_parallelism().map_or(1, usize::from),
            kernel: format!("{release} {machine}"),
            redis: version(redis),
            polder: version(polder) + &revision,
            load_average: load_average(),
            command: format!(
                "scripts/bench {}",
                std::env::args().skip(2).map(|word| quoted(&word)).collect::<Vec<_>>().join(" ")
            )
            .trim_end()
            .to_string(),
        }
    }

    pub fn is_busy(&self) -> bool {
        self.load_average > LOAD_AVERAGE_MAX
    }
}

fn quoted(word: &str) -> String {
    if word.contains(' ') { format!("'{word}'") } else { word.to_string() }
}

fn first_line(command: &mut Command) -> Option<String> {
    let output = command.output().ok().filter(|output| output.status.success())?;
    Some(String::from_utf8_lossy(&output.stdout).lines().next()?.trim().to_string())
}

fn load_average() -> f64 {
    let text = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split(' ').next().and_then(|number| number.parse().ok()).unwrap_or(0.0)
}
