//! Processor time of a process, as /proc tells it.
//!
//! `schedstat` of each thread counts nanoseconds on a processor, exactly, but not where; `stat` counts user
//! and system time in ticks. So the sum comes from the first and only its division from the second.
//!
//! `schedstat` also tells how long a thread was ready but had no processor, not who had it. While the threads of the
//! server and of the generator that may run on the same processors ran, those may have had it: only what a thread
//! waited beyond that was surely somebody else. With one thread on a processor of its own that is exact; of several it
//! is the least that it can have been.

use std::collections::{BTreeSet, HashMap};
use std::io;
use std::path::{Path, PathBuf};

use serde::Serialize;

/// What a process had used at one moment.
#[derive(Debug, Clone)]
pub struct CpuSample {
    threads: Threads,
    /// Those of this process, the generator.
    generator: Threads,
    user_ticks: u64,
    system_ticks: u64,
}

/// By their numbers.
type Threads = HashMap<u32, Thread>;

#[derive(Debug, Clone, Default, PartialEq)]
struct Thread {
    ran_ns: u64,
    /// How long it was ready to run but had no processor.
    waited_ns: u64,
    /// Processors that it may run on.
    cpus: BTreeSet<usize>,
}

impl Thread {
    fn since(&self, earlier: Option<&Thread>) -> Thread {
        let (ran_ns, waited_ns) = earlier.map_or((0, 0), |earlier| (earlier.ran_ns, earlier.waited_ns));
        Thread {
            ran_ns: self.ran_ns.saturating_sub(ran_ns),
            waited_ns: self.waited_ns.saturating_sub(waited_ns),
            cpus: self.cpus.clone(),
        }
    }
}

/// What a process used between two moments.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct CpuUse {
    pub user_ns: f64,
    pub system_ns: f64,
    /// How busy it was: the share of its busiest thread or, if threads share processors, of those.
    pub utilisation: f64,
    /// How much of the time the thread that fared worst was ready, but had no processor for longer than its
    /// neighbours, of this process and of the generator, ran.
    pub waited: f64,
}

impl CpuUse {
    pub fn total_ns(&self) -> f64 {
        self.user_ns + self.system_ns
    }
}

impl CpuSample {
    pub fn of(process: u32) -> io::Result<CpuSample> {
        let own = std::process::id();
        let generator = if process == own { Threads::new() } else { threads_of(own)? };
        let threads = threads_of(process)?;
        let (user_ticks, system_ticks) = ticks(&std::fs::read_to_string(format!("/proc/{process}/stat"))?)
            .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "/proc/PID/stat is not understood"))?;
        Ok(CpuSample { threads, generator, user_ticks, system_ticks })
    }

    /// What was used since `earlier`, which lies `elapsed_ns` back.
    pub fn since(&self, earlier: &CpuSample, elapsed_ns: u64) -> CpuUse {
        let since = |now: &Threads, then: &Threads| -> Vec<Thread> {
            now.iter().map(|(number, thread)| thread.since(then.get(number))).collect()
        };
        let threads = since(&self.threads, &earlier.threads);
        let generator = since(&self.generator, &earlier.generator);
        let total_ns: u64 = threads.iter().map(|thread| thread.ran_ns).sum();
        let busiest_ns = threads.iter().map(|thread| thread.ran_ns).max().unwrap_or(0);
        let cpus: BTreeSet<usize> = threads.iter().flat_map(|thread| &thread.cpus).copied().collect();
        let user_ticks = self.user_ticks.saturating_sub(earlier.user_ticks) as f64;
        let system_ticks = self.system_ticks.saturating_sub(earlier.system_ticks) as f64;
        let user_share = user_ticks / (user_ticks + system_ticks).max(1.0);
        let total = total_ns as f64;
        let elapsed = elapsed_ns.max(1) as f64;
        CpuUse {
            user_ns: total * user_share,
            system_ns: total * (1.0 - user_share),
            waited: waited_for_others_ns(&threads, &generator) as f64 / elapsed,
            utilisation: (busiest_ns as f64 / elapsed).max(total / elapsed / cpus.len().max(1) as f64),
        }
    }
}

/// How long the thread that fared worst waited while none of its neighbours can have had the processor: whoever of
/// both processes may run where it may.
fn waited_for_others_ns(threads: &[Thread], generator: &[Thread]) -> u64 {
    let waited = threads.iter().enumerate().map(|(index, thread)| {
        let siblings =
            threads.iter().enumerate().filter(|(other, _)| *other != index).map(|(_, other)| other);
        let neighbours = siblings.chain(generator).filter(|other| !other.cpus.is_disjoint(&thread.cpus));
        thread.waited_ns.saturating_sub(neighbours.map(|other| other.ran_ns).sum())
    });
    waited.max().unwrap_or(0)
}

fn threads_of(process: u32) -> io::Result<Threads> {
    let mut threads = Threads::new();
    for entry in std::fs::read_dir(format!("/proc/{process}/task"))? {
        let task = entry?.path();
        let Some(number) = task.file_name().and_then(|name| name.to_str()?.parse().ok()) else { continue };
        // A thread that ended meanwhile has no files any more.
        let Ok(schedstat) = std::fs::read_to_string(task.join("schedstat")) else { continue };
        let mut numbers = schedstat.split(' ').map(|number| number.parse::<u64>().unwrap_or(0));
        let (ran_ns, waited_ns) = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
        threads.insert(number, Thread { ran_ns, waited_ns, cpus: allowed_cpus(&task).into_iter().collect() });
    }
    Ok(threads)
}

/// User and system time in the text of `stat`: fields 14 and 15, the second being a name that may hold
/// anything, in brackets.
fn ticks(stat: &str) -> Option<(u64, u64)> {
    let rest = &stat[stat.rfind(')')? + 1..];
    let mut fields = rest.split_ascii_whitespace().skip(11);
    Some((fields.next()?.parse().ok()?, fields.next()?.parse().ok()?))
}

/// How long ago a process began; `None` if there is none of this number.
pub fn age_seconds(process: u32) -> Option<f64> {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    // Field 22; the second is a name that may hold anything, in brackets.
    let began: f64 = stat[stat.rfind(')')? + 1..].split_ascii_whitespace().nth(19)?.parse().ok()?;
    let uptime = std::fs::read_to_string("/proc/uptime").ok()?;
    let uptime: f64 = uptime.split(' ').next()?.parse().ok()?;
    // SAFETY: a plain question to the C library.
    let ticks_per_second = unsafe { libc::sysconf(libc::_SC_CLK_TCK) } as f64;
    Some(uptime - began / ticks_per_second)
}

/// Processors that the working threads of a process may run on: those with a tenth of its time. None if there
/// is no such process.
pub fn process_cpus(process: u32) -> Vec<usize> {
    let tasks = std::fs::read_dir(format!("/proc/{process}/task")).into_iter().flatten().flatten();
    let ran = |task: PathBuf| {
        let schedstat = std::fs::read_to_string(task.join("schedstat")).ok()?;
        Some((schedstat.split(' ').next()?.parse::<u64>().ok()?, task))
    };
    let threads: Vec<(u64, PathBuf)> = tasks.filter_map(|task| ran(task.path())).collect();
    let total: u64 = threads.iter().map(|(ns, _)| ns).sum();
    let working = threads.iter().filter(|(ns, _)| ns * 10 >= total);
    working.flat_map(|(_, task)| allowed_cpus(task)).collect::<BTreeSet<_>>().into_iter().collect()
}

fn allowed_cpus(task: &Path) -> Vec<usize> {
    let status = std::fs::read_to_string(task.join("status")).unwrap_or_default();
    let list = status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:"));
    list.and_then(|list| parse_cpus(list.trim()).ok()).unwrap_or_default()
}

/// A list of processors such as `0-3,7`.
pub fn parse_cpus(list: &str) -> Result<Vec<usize>, String> {
    let mut cpus = Vec::new();
    for part in list.split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let number = |text: &str| {
            text.trim().parse::<usize>().map_err(|_| format!("'{part}' is no processor and no range of them"))
        };
        let (first, last) = (number(first)?, number(last)?);
        if first > last || last >= 4096 {
            return Err(format!("'{part}' is no range of processors"));
        }
        cpus.extend(first..=last);
    }
    Ok(cpus)
}

/// How long the calling thread was ready to run but had no processor: somebody else was on it.
pub fn thread_wait_ns() -> u64 {
    let schedstat = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    schedstat.split(' ').nth(1).and_then(|ns| ns.parse().ok()).unwrap_or(0)
}

/// Processor time of the calling thread.
pub fn thread_cpu_ns() -> u64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: fills in a local structure.
    unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &raw mut time) };
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

/// Processor time of all children that have ended: user and system.
pub fn ended_children_cpu_ns() -> (u64, u64) {
    // SAFETY: all-zero is a valid value of this plain C structure, which the call fills in.
    let usage = unsafe {
        let mut usage: libc::rusage = std::mem::zeroed();
        libc::getrusage(libc::RUSAGE_CHILDREN, &raw mut usage);
        usage
    };
    let ns = |time: libc::timeval| time.tv_sec as u64 * 1_000_000_000 + time.tv_usec as u64 * 1000;
    (ns(usage.ru_utime), ns(usage.ru_stime))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_of_stat() {
        let stat = "7 (a) b (c)) S 1 7 7 0 -1 4194560 1 2 3 4 11 22 0 0 20 0 1 0 100";
        assert_eq!(ticks(stat), Some((11, 22)));
        assert_eq!(ticks("nonsense"), None);
    }

    fn thread(ran_ns: u64, waited_ns: u64, cpus: &[usize]) -> Thread {
        Thread { ran_ns, waited_ns, cpus: cpus.iter().copied().collect() }
    }

    #[test]
    fn shards_on_one_processor_wait_for_each_other() {
        // Four that keep it busy: three quarters of the time each waits for the other three.
        let alone: Vec<Thread> = (0..4).map(|_| thread(250, 750, &[0])).collect();
        assert_eq!(waited_for_others_ns(&alone, &[]), 0);
        // Somebody else has a fifth.
        let beside: Vec<Thread> = (0..4).map(|_| thread(200, 800, &[0])).collect();
        assert_eq!(waited_for_others_ns(&beside, &[]), 200);
        // On a processor each they do not wait for each other.
        let apart: Vec<Thread> = (0..4).map(|cpu| thread(500, 100 * cpu as u64, &[cpu])).collect();
        assert_eq!(waited_for_others_ns(&apart, &[]), 300);
        assert_eq!(waited_for_others_ns(&[], &[]), 0);
    }

    #[test]
    fn the_generator_is_nobody_else() {
        let server = [thread(400, 600, &[0])];
        assert_eq!(waited_for_others_ns(&server, &[thread(600, 400, &[0, 1])]), 0);
        assert_eq!(waited_for_others_ns(&server, &[thread(500, 400, &[0])]), 100);
        assert_eq!(waited_for_others_ns(&server, &[thread(900, 0, &[1])]), 600);
    }

    #[test]
    fn threads_count_from_the_earlier_sample() {
        let sample = |ran_ns, waited_ns| CpuSample {
            threads: Threads::from([(7, thread(ran_ns, waited_ns, &[0, 1]))]),
            generator: Threads::new(),
            user_ticks: 0,
            system_ticks: 0,
        };
        let used = sample(1_500, 900).since(&sample(1_000, 400), 1_000);
        assert_eq!((used.total_ns(), used.waited, used.utilisation), (500.0, 0.5, 0.5));
        // Nothing in no time.
        assert_eq!(sample(1, 1).since(&sample(1, 1), 0).waited, 0.0);
    }

    #[test]
    fn processes_have_an_age() {
        let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        let age = age_seconds(child.id());
        child.kill().unwrap();
        child.wait().unwrap();
        assert!((-0.1..10.0).contains(&age.unwrap()), "{age:?}");
        assert!(age_seconds(1).unwrap() >= age_seconds(std::process::id()).unwrap());
        assert_eq!(age_seconds(u32::MAX), None);
        assert!(!process_cpus(std::process::id()).is_empty());
    }

    #[test]
    fn lists_of_processors() {
        assert_eq!(parse_cpus("0-2,7"), Ok(vec![0, 1, 2, 7]));
        assert_eq!(parse_cpus("1"), Ok(vec![1]));
        for wrong in ["", "a", "3-1", "1,,2", "0-99999999"] {
            assert!(parse_cpus(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn our_own_time_grows() {
        let before = CpuSample::of(std::process::id()).unwrap();
        let start = thread_cpu_ns();
        let mut sum = 0u64;
        while thread_cpu_ns() - start < 20_000_000 {
            sum = std::hint::black_box(sum + 1);
        }
        let used = CpuSample::of(std::process::id()).unwrap().since(&before, 20_000_000);
        assert!(used.total_ns() >= 10e6, "{used:?}");
        assert!(used.utilisation > 0.0);
    }
}
