//! How one core wakes another that sleeps.
//!
//! A core that is about to sleep says so in its flag, looks once more at its mailbox and then waits; a core
//! that has put a message looks at the flag and writes the eventfd only if it is set. A full fence on both
//! sides makes sure that one of the two sees the other.
//!
//! Some messages matter only to a core that waits for one of them: a core goes to sleep saying whether it
//! does, and is left asleep otherwise.

use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::sync::atomic::{AtomicU8, Ordering, fence};

const AWAKE: u8 = 0;
/// Asleep until something is asked of it.
const ASLEEP: u8 = 1;
/// Asleep until anything at all comes.
const WAITING: u8 = 2;

#[repr(align(128))]
pub struct Bell {
    state: AtomicU8,
    eventfd: OwnedFd,
}

impl Bell {
    pub fn new() -> std::io::Result<Self> {
        // SAFETY: a plain system call; the descriptor is checked before it is owned.
        let descriptor = unsafe { libc::eventfd(0, libc::EFD_NONBLOCK | libc::EFD_CLOEXEC) };
        if descriptor < 0 {
            return Err(std::io::Error::last_os_error());
        }
        // SAFETY: a new descriptor that nobody else owns.
        let eventfd = unsafe { OwnedFd::from_raw_fd(descriptor) };
        Ok(Bell { state: AtomicU8::new(AWAKE), eventfd })
    }

    /// The eventfd to wait for.
    pub fn descriptor(&self) -> RawFd {
        self.eventfd.as_raw_fd()
    }

    /// Announces that its owner is about to sleep; `waits`: it wants to hear of everything. Look at the
    /// mailbox after this and before sleeping.
    #[inline]
    pub fn going_to_sleep(&self, waits: bool) {
        self.state.store(if waits { WAITING } else { ASLEEP }, Ordering::Relaxed);
        fence(Ordering::SeqCst);
    }

    /// Its owner is awake.
    #[inline]
    pub fn awake(&self) {
        self.state.store(AWAKE, Ordering::Relaxed);
    }

    /// Wakes the owner if it sleeps. Call [`before_ringing`] once after putting messages and before this.
    #[inline]
    pub fn ring(&self) {
        if self.state.load(Ordering::Relaxed) != AWAKE && self.state.swap(AWAKE, Ordering::AcqRel) != AWAKE {
            self.ring_always();
        }
    }

    /// Wakes the owner if it sleeps and wants to hear of everything.
    #[inline]
    pub fn ring_if_waiting(&self) {
        if self.state.load(Ordering::Relaxed) == WAITING {
            self.ring();
        }
    }

    /// Wakes the owner in any case; may be called in a signal handler.
    pub fn ring_always(&self) {
        let one: u64 = 1;
        // SAFETY: writes eight bytes of a local to a descriptor that this bell owns. The only possible
        // failure, a full counter, means that the owner is being woken already.
        unsafe { libc::write(self.descriptor(), (&raw const one).cast(), 8) };
    }
}

/// Orders the messages put before it against the flags read after it.
#[inline]
pub fn before_ringing() {
    fence(Ordering::SeqCst);
}
