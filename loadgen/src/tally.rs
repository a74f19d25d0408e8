//! What is counted while a load runs, for each kind of request by itself, and who may watch it.
//!
//! ```text
//!   worker ── one tally each second ──► runner ─► Observer: live line, interval log
//!      ▲                                  │
//!      └──── the same tally, cleared ◄────┴─► the sum of all: the result
//! ```
//!
//! A worker records only into the tally of the current second, so that being watched costs a load nothing
//! for each request; tallies go round, so that nothing is allocated either.

use hdrhistogram::Histogram;

/// Latencies beyond this are recorded as this.
pub const LATENCY_NS_MAX: u64 = 3600 * 1_000_000_000;
/// A command that left this much after its time was late.
pub const LATE_NS: u64 = 1_000_000;

/// Nanoseconds, three digits of them.
pub fn new_histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1, LATENCY_NS_MAX, 3).unwrap_or_else(|_| unreachable!("constant bounds"))
}

/// Within the bounds nothing is refused.
#[inline]
fn record(histogram: &mut Histogram<u64>, ns: u64, count: u64) {
    let _ = histogram.record_n(ns.clamp(1, LATENCY_NS_MAX), count);
}

/// Histograms of the same bounds always add up.
fn add(histogram: &mut Histogram<u64>, other: &Histogram<u64>) {
    let _ = histogram.add(other);
}

/// Counts and latencies of one kind of request.
#[derive(Debug, Clone)]
pub struct KindTally {
    /// Requests that were answered.
    pub requests: u64,
    /// Error replies, also those inside an EXEC's.
    pub errors: u64,
    /// Replies of the wrong type or length.
    pub wrong: u64,
    /// Keys that were not there.
    pub misses: u64,
    /// Nanoseconds from the sending of a request to its reply, the last one of several.
    pub service_ns: Histogram<u64>,
    /// Nanoseconds from the instant at which the schedule wanted it to be sent; only of an open loop.
    pub response_ns: Option<Histogram<u64>>,
}

impl KindTally {
    pub fn new(open_loop: bool) -> KindTally {
        let response_ns = open_loop.then(new_histogram);
        KindTally { requests: 0, errors: 0, wrong: 0, misses: 0, service_ns: new_histogram(), response_ns }
    }

    /// Counts answered requests that share their instants.
    #[inline]
    pub fn answered(&mut self, count: u32, service_ns: u64, response_ns: u64) {
        self.requests += u64::from(count);
        record(&mut self.service_ns, service_ns, u64::from(count));
        if let Some(histogram) = &mut self.response_ns {
            record(histogram, response_ns, u64::from(count));
        }
    }

    /// What a user waits: response times if there is a schedule, else service times.
    pub fn felt_ns(&self) -> &Histogram<u64> {
        self.response_ns.as_ref().unwrap_or(&self.service_ns)
    }

    pub fn add(&mut self, other: &KindTally) {
        self.requests += other.requests;
        self.errors += other.errors;
        self.wrong += other.wrong;
        self.misses += other.misses;
        add(&mut self.service_ns, &other.service_ns);
        if let (Some(own), Some(other)) = (&mut self.response_ns, &other.response_ns) {
            add(own, other);
        }
    }

    fn clear(&mut self) {
        (self.requests, self.errors, self.wrong, self.misses) = (0, 0, 0, 0);
        self.service_ns.reset();
        if let Some(histogram) = &mut self.response_ns {
            histogram.reset();
        }
    }
}

/// How late the generator itself was.
#[derive(Debug, Clone)]
pub struct SlipTally {
    /// Nanoseconds from the intended to the actual sending of commands whose connection was free.
    pub ns: Histogram<u64>,
    /// Of those, how many left more than [`LATE_NS`] late.
    pub late: u64,
}

impl SlipTally {
    #[inline]
    pub fn record(&mut self, ns: u64) {
        self.late += u64::from(ns > LATE_NS);
        record(&mut self.ns, ns, 1);
    }
}

/// All that is counted, of one worker and second or of all.
#[derive(Debug, Clone)]
pub struct Tally {
    /// In the order of the workload's kinds.
    pub kinds: Vec<KindTally>,
    pub first_error: Option<String>,
    /// What it took to make connections anew, in nanoseconds; `None`: none was.
    pub connect_ns: Option<Histogram<u64>>,
    /// Only of an open loop.
    pub slip: Option<SlipTally>,
}

impl Tally {
    pub fn new(kinds: usize, open_loop: bool) -> Tally {
        Tally {
            kinds: vec![KindTally::new(open_loop); kinds],
            first_error: None,
            connect_ns: None,
            slip: open_loop.then(|| SlipTally { ns: new_histogram(), late: 0 }),
        }
    }

    pub fn add(&mut self, other: &Tally) {
        for (own, other) in self.kinds.iter_mut().zip(&other.kinds) {
            own.add(other);
        }
        if self.first_error.is_none() {
            self.first_error.clone_from(&other.first_error);
        }
        if let Some(other) = &other.connect_ns {
            add(self.connect_ns.get_or_insert_with(new_histogram), other);
        }
        if let (Some(own), Some(other)) = (&mut self.slip, &other.slip) {
            add(&mut own.ns, &other.ns);
            own.late += other.late;
        }
    }

    pub fn clear(&mut self) {
        self.kinds.iter_mut().for_each(KindTally::clear);
        self.first_error = None;
        if let Some(connect_ns) = &mut self.connect_ns {
            connect_ns.reset();
        }
        if let Some(slip) = &mut self.slip {
            slip.ns.reset();
            slip.late = 0;
        }
    }

    /// Counts a connection that was made anew.
    pub fn reconnected(&mut self, took_ns: u64) {
        record(self.connect_ns.get_or_insert_with(new_histogram), took_ns, 1);
    }

    /// The sum of the kinds that make up the load: those that are `apart` are left out, except for their
    /// errors and wrong replies, which count always.
    pub fn total(&self, kinds: &[KindName]) -> KindTally {
        let mut total = KindTally::new(self.slip.is_some());
        for (tally, kind) in self.kinds.iter().zip(kinds) {
            if kind.apart {
                total.errors += tally.errors;
                total.wrong += tally.wrong;
            } else {
                total.add(tally);
            }
        }
        total
    }
}

/// What a kind of request is called, and whether it counts in the total: what connections of their own do
/// (blocking pops, messages that subscribers get) does not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KindName {
    pub name: String,
    pub apart: bool,
}

/// What all workers together counted between two instants.
#[derive(Debug)]
pub struct IntervalHistograms<'a> {
    /// Seconds since the measurement began.
    pub start: f64,
    /// The last interval may be shorter than a second.
    pub seconds: f64,
    /// The names of the tally's kinds, in its order.
    pub kinds: &'a [KindName],
    pub tally: &'a Tally,
    /// [`Tally::total`] of it.
    pub total: &'a KindTally,
}

/// Watches a run while it goes on; called by the thread that leads it, in the order of time.
pub trait Observer {
    /// A run of this name begins to be measured.
    fn begin(&mut self, _name: &str, _kinds: &[KindName]) {}
    fn interval(&mut self, at: &IntervalHistograms);
    /// No more intervals of this run will come.
    fn end(&mut self) {}
}

/// Nobody watches.
#[derive(Debug, Default)]
pub struct NoObserver;

impl Observer for NoObserver {
    fn interval(&mut self, _: &IntervalHistograms) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tallies_add_up_and_are_cleared() {
        let mut sum = Tally::new(2, true);
        let mut part = Tally::new(2, true);
        part.kinds[0].answered(3, 1000, 2000);
        part.kinds[1].answered(1, 5000, 5000);
        part.kinds[1].errors = 2;
        part.first_error = Some("first".into());
        part.reconnected(500);
        if let Some(slip) = &mut part.slip {
            slip.record(10);
            slip.record(LATE_NS + 1);
        }
        sum.add(&part);
        part.first_error = Some("second".into());
        sum.add(&part);
        assert_eq!(sum.first_error.as_deref(), Some("first"));
        assert_eq!(sum.connect_ns.as_ref().map(Histogram::len), Some(2));
        let slip = sum.slip.as_ref().unwrap();
        assert_eq!((slip.late, slip.ns.len()), (2, 4));
        let kind = |apart| KindName { name: String::new(), apart };
        let total = sum.total(&[kind(false), kind(false)]);
        assert_eq!((total.requests, total.errors, total.felt_ns().len()), (8, 4, 8));
        let total = sum.total(&[kind(false), kind(true)]);
        assert_eq!((total.requests, total.errors, total.service_ns.len()), (6, 4, 6));
        part.clear();
        sum.add(&part);
        assert_eq!(sum.kinds[0].requests, 6);
        assert_eq!(part.kinds[1].service_ns.len() + part.slip.unwrap().ns.len(), 0);
    }
}
