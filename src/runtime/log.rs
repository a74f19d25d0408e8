//! The log: lines in Redis's format, to standard output or a file. Never called on the data path.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU8, Ordering};

/// How important a line is, and its mark in the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    Debug,
    Verbose,
    Notice,
    Warning,
    /// Nothing is logged at this threshold.
    Nothing,
}

static THRESHOLD: AtomicU8 = AtomicU8::new(Level::Notice as u8);
static FILE: Mutex<Option<File>> = Mutex::new(None);

/// Lines below `level` are left out.
pub fn set_level(level: Level) {
    THRESHOLD.store(level as u8, Ordering::Relaxed);
}

/// Appends to `path` from now on, instead of standard output.
pub fn set_file(path: &Path) -> io::Result<()> {
    let file = OpenOptions::new().create(true).append(true).open(path)?;
    if let Ok(mut slot) = FILE.lock() {
        *slot = Some(file);
    }
    Ok(())
}

/// Writes a line: `<pid>:M <time> <mark> <text>`.
pub fn write(level: Level, text: &str) {
    if (level as u8) < THRESHOLD.load(Ordering::Relaxed) || level == Level::Nothing {
        return;
    }
    let mark = match level {
        Level::Debug => '.',
        Level::Verbose => '-',
        Level::Notice => '*',
        _ => '#',
    };
    let line = format!("{}:M {} {mark} {text}\n", std::process::id(), timestamp());
    let Ok(mut file) = FILE.lock() else { return };
    // A log that cannot be written is no reason to stop serving.
    let _ = match file.as_mut() {
        Some(file) => file.write_all(line.as_bytes()),
        None => io::stdout().lock().write_all(line.as_bytes()),
    };
}

/// Local time as in `20 Nov 2026 17:04:05.678`.
fn timestamp() -> String {
    let now_ms = super::clock::unix_ms();
    let seconds = (now_ms / 1000) as libc::time_t;
    // SAFETY: all-zero is a valid value of this plain C structure, which the call fills in.
    let local = unsafe {
        let mut local: libc::tm = std::mem::zeroed();
        libc::localtime_r(&raw const seconds, &raw mut local);
        local
    };
    const MONTHS: [&str; 12] =
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    format!(
        "{:02} {} {} {:02}:{:02}:{:02}.{:03}",
        local.tm_mday,
        MONTHS[local.tm_mon.clamp(0, 11) as usize],
        local.tm_year + 1900,
        local.tm_hour,
        local.tm_min,
        local.tm_sec,
        now_ms % 1000
    )
}

/// Logs a line at a level: `log!(Notice, "…", …)`.
#[macro_export]
macro_rules! log {
    ($level:ident, $($text:tt)*) => {
        $crate::runtime::log::write($crate::runtime::log::Level::$level, &format!($($text)*))
    };
}
