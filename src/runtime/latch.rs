//! Several cores answer one, which needs all answers before it can go on: only the last one wakes it.
//!
//! An answer is seen before it is counted, so the one that waits may have gone on, and ask the next question,
//! while an answer to the last one is yet to be counted. Hence nothing is ever counted down or set back: what
//! is counted are the answers since the latch was made, and a late one cannot stand for another.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

/// How many answers have been given and are expected; shared by who asks and who answers. Every answer that
/// is expected has to come, or the latch is of no more use.
#[derive(Debug, Clone, Default)]
pub struct Latch(Arc<Counts>);

#[derive(Debug, Default)]
struct Counts {
    given: AtomicU32,
    /// Written by the one who asks.
    expected: AtomicU32,
}

impl Latch {
    /// So many more answers will come. All that were expected before have been seen.
    pub fn expect(&self, answers: u32) {
        let expected = self.0.expected.load(Ordering::Relaxed);
        self.0.expected.store(expected.wrapping_add(answers), Ordering::Relaxed);
    }

    /// An answer has been put; `true` if it was the last one.
    #[inline]
    pub fn answer(&self) -> bool {
        // Orders the answers put by others before the wake-up by the last.
        let given = self.0.given.fetch_add(1, Ordering::AcqRel).wrapping_add(1);
        given == self.0.expected.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_answer_says_so() {
        let latch = Latch::default();
        for _ in 0..2 {
            latch.expect(3);
            let answers: Vec<bool> = (0..3).map(|_| latch.clone().answer()).collect();
            assert_eq!(answers, [false, false, true]);
        }
    }

    #[test]
    fn an_answer_that_is_counted_late_takes_no_other_ones_place() {
        let latch = Latch::default();
        latch.expect(2);
        assert!(!latch.answer());
        // The second one was seen already.
        latch.expect(2);
        assert!(!latch.answer(), "to the first question");
        assert!(!latch.answer());
        assert!(latch.answer());
    }
}
