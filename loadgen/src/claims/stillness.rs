//! Whether the processors run at all while they are busy: a virtual machine's may be taken away for milliseconds,
//! and no server can answer then.

use std::time::{Duration, Instant};

/// A gap between two looks at the clock that is no longer the loop's own.
const GAP_MIN: Duration = Duration::from_micros(500);

/// What threads saw that did nothing but look at the clock, one on each processor at the same time.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Stillness {
    /// The share of the time in which the worst of the processors stood still.
    pub share: f64,
    pub longest: Duration,
}

/// Looks at the clock on all these processors for so long.
pub fn measure(cpus: &[usize], duration: Duration) -> Stillness {
    std::thread::scope(|scope| {
        let watchers: Vec<_> = cpus
            .iter()
            .map(|&id| {
                scope.spawn(move || {
                    core_affinity::set_for_current(core_affinity::CoreId { id });
                    let start = Instant::now();
                    watch(std::iter::from_fn(|| {
                        let now = start.elapsed();
                        (now < duration).then_some(now)
                    }))
                })
            })
            .collect();
        let seen = watchers.into_iter().filter_map(|watcher| watcher.join().ok());
        seen.fold(Stillness::default(), |worst, one| Stillness {
            share: worst.share.max(one.share),
            longest: worst.longest.max(one.longest),
        })
    })
}

/// Judges times in ascending order, the first of which counts from 0.
fn watch(times: impl Iterator<Item = Duration>) -> Stillness {
    let (mut last, mut still, mut longest) = (Duration::ZERO, Duration::ZERO, Duration::ZERO);
    for now in times {
        let gap = now - last;
        if gap >= GAP_MIN {
            still += gap;
            longest = longest.max(gap);
        }
        last = now;
    }
    Stillness { share: still.as_secs_f64() / last.as_secs_f64().max(1e-9), longest }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gaps_are_added_up() {
        let times = [100, 200, 5200, 5300, 6300, 6700, 10_000].map(Duration::from_micros);
        let seen = watch(times.into_iter());
        assert_eq!(seen.longest, Duration::from_micros(5000));
        assert!((seen.share - 0.93).abs() < 1e-9, "{}", seen.share);
        assert_eq!(watch((1..1000).map(Duration::from_micros)), Stillness::default());
    }
}
