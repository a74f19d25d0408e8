//! Bugs that can be planted, one at a time, for the test that shows that the simulator finds them. Without the
//! feature `planted-bugs` there are none, and nothing of this is left in the program.

/// What goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Bug {
    None = 0,
    /// Every transaction is granted at once.
    LockNotTaken,
    /// The queue is in the order of arrival, whatever the ids.
    QueueNotOrdered,
    /// Who comes late waits for younger ones.
    LateIdNotRefused,
    /// Nobody is granted by the end of another.
    WakeLost,
    /// A share that only reads lets go when it has read, whatever the others do.
    ReadLetsGo,
    /// Every share runs when it is granted, whatever the others do.
    RunsTooEarly,
    /// FLUSHALL, DBSIZE and their like take no locks.
    WholeNotLocked,
    /// Commands of several hops lock their first key alone.
    HopsHalfLocked,
    /// Commands that run in place do not look at the locks.
    HereUnguarded,
    /// Commands that come from another shard, outside of a transaction, do not look at the locks.
    ElsewhereUnguarded,
    /// An EXEC that runs in place does not look at the locks.
    ExecUnguarded,
    /// A pipeline goes to its shards as it comes.
    PipelineTorn,
    /// EXEC in place does not look whether watched keys have changed.
    WatchIgnoredHere,
    /// EXEC over several shards does not look whether watched keys have changed.
    WatchIgnoredElsewhere,
    /// A share that is given up keeps its locks.
    AbortKeepsLocks,
    /// The keys that a client watches are watched for ever if it goes without a word.
    WatchedForEver,
    /// Who waits for elements is forgotten if a transaction has the key when they come.
    PostponedForgotten,
    /// Who waits for elements waits on when its client has gone.
    ParkedForEver,
}

#[cfg(feature = "planted-bugs")]
mod chosen {
    use std::sync::atomic::{AtomicU8, Ordering};

    use super::Bug;

    static BUG: AtomicU8 = AtomicU8::new(Bug::None as u8);

    impl Bug {
        /// Every bug, none left out.
        pub const ALL: [Bug; 18] = [
            Bug::LockNotTaken,
            Bug::QueueNotOrdered,
            Bug::LateIdNotRefused,
            Bug::WakeLost,
            Bug::ReadLetsGo,
            Bug::RunsTooEarly,
            Bug::WholeNotLocked,
            Bug::HopsHalfLocked,
            Bug::HereUnguarded,
            Bug::ElsewhereUnguarded,
            Bug::ExecUnguarded,
            Bug::PipelineTorn,
            Bug::WatchIgnoredHere,
            Bug::WatchIgnoredElsewhere,
            Bug::AbortKeepsLocks,
            Bug::WatchedForEver,
            Bug::PostponedForgotten,
            Bug::ParkedForEver,
        ];

        /// Plants it, in the whole process and from now on.
        pub fn plant(self) {
            BUG.store(self as u8, Ordering::Relaxed);
        }

        pub(crate) fn is_planted(self) -> bool {
            BUG.load(Ordering::Relaxed) == self as u8
        }
    }
}

#[cfg(not(feature = "planted-bugs"))]
impl Bug {
    #[inline(always)]
    pub(crate) const fn is_planted(self) -> bool {
        false
    }
}
