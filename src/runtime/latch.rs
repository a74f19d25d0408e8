//! Several cores answer one, which needs all answers before it can go on: only the last one wakes it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

/// How many answers are still to come; shared by who asks and who answers.
#[derive(Debug, Clone, Default)]
pub struct Latch(Arc<AtomicU32>);

impl Latch {
    /// So many answers will come. Nobody answers while this is called.
    pub fn expect(&self, answers: u32) {
        self.0.store(answers, Ordering::Relaxed);
    }

    /// An answer has been put; `true` if it was the last one.
    #[inline]
    pub fn answer(&self) -> bool {
        // Orders the answers put by others before the wake-up by the last.
        self.0.fetch_sub(1, Ordering::AcqRel) == 1
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
}
