//! Watches runs second by second: the live line, and the interval log.

use std::time::{Instant, SystemTime};

use super::live::{Goal, Lately, Live};
use crate::error::Failure;
use crate::hdr::log::LogWriter;
use crate::options::LoadOptions;
use crate::tally::{IntervalHistograms, KindName, Observer};

pub struct Watch {
    goal: Goal,
    quiet: bool,
    live: Option<Live>,
    log: Option<Log>,
}

struct Log {
    writer: LogWriter,
    began: Instant,
    /// When the run began, in seconds since the log did.
    run_start: f64,
    /// The first thing that went wrong: a run is not stopped for its log.
    failure: Option<Failure>,
}

impl Watch {
    /// `comments` go into the log, if there is one.
    pub fn new(options: &LoadOptions, comments: &[String]) -> Result<Watch, Failure> {
        let log = match &options.hdr_log {
            None => None,
            Some(path) => Some(Log {
                writer: LogWriter::create(path, SystemTime::now(), comments)?,
                began: Instant::now(),
                run_start: 0.0,
                failure: None,
            }),
        };
        Ok(Watch {
            goal: options.seconds.map_or(Goal::Requests(options.requests), Goal::Seconds),
            quiet: options.quiet || options.csv,
            live: None,
            log,
        })
    }

    /// Tells whether the log is complete.
    pub fn end(self) -> Result<(), Failure> {
        self.log.and_then(|log| log.failure).map_or(Ok(()), Err)
    }
}

impl Observer for Watch {
    fn begin(&mut self, name: &str, _: &[KindName]) {
        self.live = Some(Live::new(name, self.goal, self.quiet));
        if let Some(log) = &mut self.log {
            log.run_start = log.began.elapsed().as_secs_f64();
        }
    }

    fn interval(&mut self, at: &IntervalHistograms) {
        if let Some(live) = &mut self.live {
            live.update(&Lately {
                end: at.start + at.seconds,
                seconds: at.seconds,
                requests: at.total.requests,
                errors: at.total.errors,
                latency_ns: at.total.felt_ns(),
            });
        }
        if let Some(log) = self.log.as_mut().filter(|log| log.failure.is_none()) {
            log.failure = log.write(at).err();
        }
    }

    fn end(&mut self) {
        self.live.take().into_iter().for_each(Live::end);
    }
}

impl Log {
    fn write(&mut self, at: &IntervalHistograms) -> Result<(), Failure> {
        let start = self.run_start + at.start;
        self.writer.write(None, start, at.seconds, at.total.felt_ns())?;
        for (kind, tally) in at.kinds.iter().zip(&at.tally.kinds) {
            self.writer.write(Some(&kind.name), start, at.seconds, tally.felt_ns())?;
        }
        // Once a second: who reads the log meanwhile sees it grow, and a run that is killed leaves it.
        self.writer.flush()
    }
}
