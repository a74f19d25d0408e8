//! Time: read once per loop and handed in, so that data code never asks for it.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Milliseconds since 1970.
pub fn unix_ms() -> i64 {
    since_epoch().as_millis() as i64
}

/// Microseconds since 1970.
pub fn unix_us() -> i64 {
    since_epoch().as_micros() as i64
}

fn since_epoch() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

/// What [`Ticks`] count, as INFO names it.
pub const NAME: &str = if cfg!(target_arch = "x86_64") { "X86 TSC" } else { "POSIX clock_gettime" };

/// A cheap counter for the duration of single commands: the processor's time-stamp counter where there is
/// one (some 10 ns and no system call), else the monotonic clock.
#[derive(Clone, Copy)]
pub struct Ticks {
    per_us: f64,
}

impl Ticks {
    /// Measures how fast the counter runs, which takes some milliseconds.
    pub fn calibrate() -> Self {
        let (start, first) = (Instant::now(), Ticks::now());
        while start.elapsed() < Duration::from_millis(5) {
            std::hint::spin_loop();
        }
        let elapsed_us = start.elapsed().as_nanos() as f64 / 1000.0;
        Ticks { per_us: ((Ticks::now() - first) as f64 / elapsed_us).max(1.0) }
    }

    #[inline(always)]
    pub fn now() -> u64 {
        #[cfg(target_arch = "x86_64")]
        {
            // SAFETY: the instruction exists on every x86-64 processor and touches no memory.
            unsafe { std::arch::x86_64::_rdtsc() }
        }
        #[cfg(not(target_arch = "x86_64"))]
        {
            use std::sync::OnceLock;
            static START: OnceLock<Instant> = OnceLock::new();
            START.get_or_init(Instant::now).elapsed().as_nanos() as u64
        }
    }

    /// A span of the counter in nanoseconds.
    pub fn to_ns(self, ticks: u64) -> u64 {
        (ticks as f64 * 1000.0 / self.per_us) as u64
    }

    /// How many ticks `us` microseconds have.
    pub fn from_us(self, us: u64) -> u64 {
        (us as f64 * self.per_us) as u64
    }
}
