//! What concerns the process as a whole: memory mappings, limits, processors, signals, the background.

use std::io;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicI32, Ordering};

use super::bell::Bell;

/// Fresh, zeroed, private memory, page-aligned; pages become resident when they are touched.
pub fn map_memory(bytes: usize) -> io::Result<*mut u8> {
    // SAFETY: an anonymous mapping at an address of the kernel's choice touches nothing that exists.
    let address = unsafe {
        libc::mmap(
            std::ptr::null_mut(),
            bytes,
            libc::PROT_READ | libc::PROT_WRITE,
            libc::MAP_ANONYMOUS | libc::MAP_PRIVATE,
            -1,
            0,
        )
    };
    if address == libc::MAP_FAILED { Err(io::Error::last_os_error()) } else { Ok(address.cast()) }
}

/// Gives back what [`map_memory`] returned; `bytes` is the same number.
pub fn unmap_memory(address: *mut u8, bytes: usize) {
    // SAFETY: the caller owns the mapping and is dropping it.
    unsafe { libc::munmap(address.cast(), bytes) };
}

/// Has the kernel give this process no transparent huge pages. The first touch of one zeroes 2 MiB, and in a
/// virtual machine whose memory is not backed yet that takes milliseconds, within whatever command
/// happened to allocate. Not every kernel can; then all goes on with them.
pub fn disable_huge_pages() {
    // SAFETY: takes no pointers.
    unsafe { libc::prctl(libc::PR_SET_THP_DISABLE, 1, 0, 0, 0) };
}

/// The processors that this process may use: its affinity mask, as far as the control group's quota
/// reaches.
pub fn usable_cpus() -> Vec<usize> {
    let mut cpus: Vec<usize> =
        core_affinity::get_core_ids().unwrap_or_default().into_iter().map(|core| core.id).collect();
    if cpus.is_empty() {
        cpus.push(0);
    }
    if let Some(quota) = cgroup_cpu_quota() {
        cpus.truncate(quota.max(1));
    }
    cpus
}

/// How many processors' worth of time the control group grants, rounded up; `None` without a limit.
fn cgroup_cpu_quota() -> Option<usize> {
    let text = std::fs::read_to_string("/sys/fs/cgroup/cpu.max").ok()?;
    let (quota, period) = text.trim().split_once(' ')?;
    let (quota, period): (u64, u64) = (quota.parse().ok()?, period.parse().ok()?);
    Some(quota.div_ceil(period.max(1)) as usize)
}

/// The soft and hard limit of a resource.
fn resource_limit(resource: libc::__rlimit_resource_t) -> Option<libc::rlimit> {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: fills in a local structure.
    (unsafe { libc::getrlimit(resource, &raw mut limit) } == 0).then_some(limit)
}

/// How many bytes of memory the process may lock; `u64::MAX` is no limit.
pub fn locked_memory_limit_bytes() -> u64 {
    // Raising the soft limit to the hard one needs no permission.
    raise_limit(libc::RLIMIT_MEMLOCK, u64::MAX)
}

/// Raises the limit of open files towards `wanted` as far as permitted, and returns where it stands.
pub fn raise_open_files_limit(wanted: u64) -> u64 {
    raise_limit(libc::RLIMIT_NOFILE, wanted)
}

fn raise_limit(resource: libc::__rlimit_resource_t, wanted: u64) -> u64 {
    let Some(mut limit) = resource_limit(resource) else { return 0 };
    if limit.rlim_cur < wanted {
        let attempt = libc::rlimit { rlim_cur: wanted, rlim_max: limit.rlim_max.max(wanted) };
        // SAFETY: passes a local structure. Only a privileged process may raise the hard limit.
        if unsafe { libc::setrlimit(resource, &raw const attempt) } != 0 {
            let attempt = libc::rlimit { rlim_cur: wanted.min(limit.rlim_max), ..limit };
            // SAFETY: as above.
            unsafe { libc::setrlimit(resource, &raw const attempt) };
        }
        limit = resource_limit(resource).unwrap_or(limit);
    }
    limit.rlim_cur
}

/// The number of the kernel's release, such as `6.1.0`, and the machine, such as `x86_64`.
pub fn kernel() -> (String, String) {
    // SAFETY: all-zero is a valid value of this plain C structure, which the call fills in.
    let names = unsafe {
        let mut names: libc::utsname = std::mem::zeroed();
        libc::uname(&raw mut names);
        names
    };
    let text = |field: &[libc::c_char]| {
        let bytes: Vec<u8> = field.iter().take_while(|&&c| c != 0).map(|&c| c as u8).collect();
        String::from_utf8_lossy(&bytes).into_owned()
    };
    (text(&names.release), text(&names.machine))
}

/// Resident memory of the process in bytes.
pub fn resident_bytes() -> u64 {
    let text = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages: u64 = text.split(' ').nth(1).and_then(|pages| pages.parse().ok()).unwrap_or(0);
    pages * page_bytes()
}

fn page_bytes() -> u64 {
    // SAFETY: a plain query.
    unsafe { libc::sysconf(libc::_SC_PAGESIZE) }.max(4096) as u64
}

/// Physical memory of the machine in bytes.
pub fn machine_memory_bytes() -> u64 {
    // SAFETY: a plain query.
    unsafe { libc::sysconf(libc::_SC_PHYS_PAGES) }.max(0) as u64 * page_bytes()
}

/// Time that the process spent on processors, in seconds: in user code and in the kernel.
pub fn cpu_seconds() -> (f64, f64) {
    // SAFETY: all-zero is a valid value of this plain C structure, which the call fills in.
    let usage = unsafe {
        let mut usage: libc::rusage = std::mem::zeroed();
        libc::getrusage(libc::RUSAGE_SELF, &raw mut usage);
        usage
    };
    let seconds = |time: libc::timeval| time.tv_sec as f64 + time.tv_usec as f64 / 1e6;
    (seconds(usage.ru_utime), seconds(usage.ru_stime))
}

/// The signal that asked the process to end; 0: none yet.
static STOP_SIGNAL: AtomicI32 = AtomicI32::new(0);
static STOP_BELL: OnceLock<&'static Bell> = OnceLock::new();

/// The number of SIGINT.
pub const INTERRUPT: i32 = libc::SIGINT;

extern "C" fn on_stop_signal(signal: libc::c_int) {
    if STOP_SIGNAL.swap(signal, Ordering::SeqCst) != 0 {
        // A second one means: at once.
        // SAFETY: ends the process without running anything more, which is allowed in a handler.
        unsafe { libc::_exit(1) };
    }
    if let Some(bell) = STOP_BELL.get() {
        bell.ring_always();
    }
}

/// SIGTERM and SIGINT ring `bell` and are told by [`stop_signal`]; SIGHUP and SIGPIPE are ignored.
pub fn watch_stop_signals(bell: &'static Bell) {
    let _ = STOP_BELL.set(bell);
    // SAFETY: the handler only touches atomics, writes to a descriptor, or exits.
    unsafe {
        let handler = on_stop_signal as extern "C" fn(libc::c_int);
        libc::signal(libc::SIGTERM, handler as libc::sighandler_t);
        libc::signal(libc::SIGINT, handler as libc::sighandler_t);
        libc::signal(libc::SIGHUP, libc::SIG_IGN);
        libc::signal(libc::SIGPIPE, libc::SIG_IGN);
    }
}

/// The signal that asked the process to end, if one did.
pub fn stop_signal() -> Option<i32> {
    Some(STOP_SIGNAL.load(Ordering::SeqCst)).filter(|&signal| signal != 0)
}

/// Goes on in the background: the calling process ends, its child carries on without a terminal.
/// Must be called before any thread is started.
pub fn daemonize() -> io::Result<()> {
    // SAFETY: the process has one thread, so the child is a whole copy; the parent leaves at once.
    unsafe {
        match libc::fork() {
            -1 => return Err(io::Error::last_os_error()),
            0 => {}
            _ => libc::_exit(0),
        }
        libc::setsid();
        let null = libc::open(c"/dev/null".as_ptr(), libc::O_RDWR);
        if null >= 0 {
            for descriptor in 0..3 {
                libc::dup2(null, descriptor);
            }
            if null > 2 {
                libc::close(null);
            }
        }
    }
    Ok(())
}
