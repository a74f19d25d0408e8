//! Ctrl-C while a load is shown: it ends early, and what was measured so far is told and kept.

use std::sync::atomic::{AtomicBool, Ordering};

use crate::error::Failure;

static REQUESTED: AtomicBool = AtomicBool::new(false);

const SIGNALS: [libc::c_int; 2] = [libc::SIGINT, libc::SIGTERM];

extern "C" fn note(_: libc::c_int) {
    REQUESTED.store(true, Ordering::Relaxed);
}

/// While this lives the first such signal is noted, and the second one ends the process.
pub struct Caught(());

impl Caught {
    pub fn begin() -> Caught {
        // SAFETY: all-zero is an action without flags and with an empty mask. The handler only stores into an
        // atomic, which is allowed in it. Fails only for signals that do not exist.
        unsafe {
            let mut action: libc::sigaction = std::mem::zeroed();
            action.sa_sigaction = note as extern "C" fn(libc::c_int) as usize;
            action.sa_flags = libc::SA_RESETHAND | libc::SA_RESTART;
            for signal in SIGNALS {
                libc::sigaction(signal, &action, std::ptr::null_mut());
            }
        }
        Caught(())
    }
}

impl Drop for Caught {
    fn drop(&mut self) {
        for signal in SIGNALS {
            // SAFETY: gives the signals back their default.
            unsafe { libc::signal(signal, libc::SIG_DFL) };
        }
    }
}

/// Whether a signal was noted.
pub fn is_requested() -> bool {
    REQUESTED.load(Ordering::Relaxed)
}

/// Between two loads: the failure of who goes on no further.
pub fn check() -> Result<(), Failure> {
    if is_requested() { Err(Failure::Interrupted("interrupted".into())) } else { Ok(()) }
}

/// Whoever reads our output may stop reading: then the process ends without a word, as others do.
/// Connections never raise this signal.
pub fn end_with_the_reader() {
    // SAFETY: gives the signal back its default, before any thread is started.
    unsafe { libc::signal(libc::SIGPIPE, libc::SIG_DFL) };
}
