//! A bar on standard error, only where a person watches.

use std::io::IsTerminal;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// Redraws a second: enough to look alive, cheap enough not to be measured.
const REDRAWS: u8 = 5;
/// Turns the spinner while nothing is told.
const SPIN_INTERVAL: Duration = Duration::from_millis(250);

/// A bar that goes from 0 to its length, with words beside it. Without a terminal it shows nothing.
pub struct Progress(ProgressBar);

impl Progress {
    pub fn new(name: &str, length: u64, quiet: bool) -> Progress {
        let target = if quiet || !is_watched() {
            ProgressDrawTarget::hidden()
        } else {
            ProgressDrawTarget::stderr_with_hz(REDRAWS)
        };
        let bar = ProgressBar::with_draw_target(Some(length), target);
        // The template is constant; should it ever be wrong, the default bar does as well.
        if let Ok(style) = ProgressStyle::with_template("{prefix} [{bar:24}] {percent:>3} %  {wide_msg}") {
            bar.set_style(style.progress_chars("=> "));
        }
        bar.set_prefix(name.to_string());
        if !bar.is_hidden() {
            bar.enable_steady_tick(SPIN_INTERVAL);
        }
        Progress(bar)
    }

    pub fn set(&self, position: u64) {
        self.0.set_position(position.min(self.0.length().unwrap_or(u64::MAX)));
    }

    pub fn say(&self, words: String) {
        self.0.set_message(words);
    }

    /// Leaves the line empty, for what comes next.
    pub fn clear(&self) {
        self.0.finish_and_clear();
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}

pub fn is_watched() -> bool {
    std::io::stderr().is_terminal()
}
