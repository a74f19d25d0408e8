//! Interval logs: one histogram per second and command, in the text format of the HdrHistogram project's
//! `HistogramLogWriter` (version 1.3).
//!
//! ```text
//!   #[StartTime: 1700000000.000 (seconds since epoch), 2023-11-14T22:13:20Z]
//!   #[BaseTime: 1700000000.000 (seconds since epoch)]
//!   "StartTimestamp","Interval_Length","Interval_Max","Interval_Compressed_Histogram"
//!   0.000,1.000,2.769,HISTFAAAA…             all commands together
//!   Tag=GET,0.000,1.000,2.769,HISTFAAAA…     one of them
//! ```
//!
//! Timestamps are seconds since the base time; the maximum is in milliseconds, for people only.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use hdrhistogram::Histogram;
use hdrhistogram::serialization::interval_log::{IntervalLogIterator, LogEntry};

use super::encoding::{decode, encode};
use crate::error::Failure;

const NS_PER_MS: f64 = 1e6;

/// What one line of a log says.
#[derive(Debug, Clone, PartialEq)]
pub struct LogInterval {
    /// `None`: all commands together.
    pub tag: Option<String>,
    /// Seconds since the epoch, or since an unknown instant if the log does not say.
    pub start: f64,
    pub seconds: f64,
    pub histogram: Histogram<u64>,
}

/// Writes a log line by line, so that a run that is killed leaves what it had.
pub struct LogWriter {
    path: PathBuf,
    file: BufWriter<File>,
}

impl LogWriter {
    /// `comments` are lines of their own; timestamps count from `began`.
    pub fn create(path: &Path, began: SystemTime, comments: &[String]) -> Result<LogWriter, Failure> {
        let file = File::create(path).map_err(|error| at(path, error))?;
        let mut writer = LogWriter { path: path.to_path_buf(), file: BufWriter::new(file) };
        let header = header(began, comments);
        writer.file.write_all(header.as_bytes()).map_err(|error| at(path, error))?;
        Ok(writer)
    }

    /// Adds an interval that began `start` seconds after the log.
    pub fn write(
        &mut self,
        tag: Option<&str>,
        start: f64,
        seconds: f64,
        histogram: &Histogram<u64>,
    ) -> Result<(), Failure> {
        let encoded = encode(histogram).map_err(|error| at(&self.path, error))?;
        let tag = tag.map(|name| format!("Tag={},", tag_of(name))).unwrap_or_default();
        let max_ms = histogram.max() as f64 / NS_PER_MS;
        writeln!(self.file, "{tag}{start:.3},{seconds:.3},{max_ms:.3},{encoded}")
            .map_err(|error| at(&self.path, error))
    }

    pub fn flush(&mut self) -> Result<(), Failure> {
        self.file.flush().map_err(|error| at(&self.path, error))
    }
}

fn at(path: &Path, error: impl std::fmt::Display) -> Failure {
    Failure::System(format!("{}: {error}", path.display()))
}

fn header(began: SystemTime, comments: &[String]) -> String {
    let seconds = began.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64();
    let mut text = String::new();
    for line in comments.iter().flat_map(|comment| comment.lines()) {
        text.push_str(&format!("#{line}\n"));
    }
    text.push_str("#[Histogram log format version 1.3]\n");
    let date = humantime::format_rfc3339_millis(began);
    text.push_str(&format!("#[StartTime: {seconds:.3} (seconds since epoch), {date}]\n"));
    text.push_str(&format!("#[BaseTime: {seconds:.3} (seconds since epoch)]\n"));
    text.push_str(
        "\"StartTimestamp\",\"Interval_Length\",\"Interval_Max\",\"Interval_Compressed_Histogram\"\n",
    );
    text
}

/// A tag must not hold what separates fields and lines.
pub fn tag_of(name: &str) -> String {
    let usable = |character: char| character != ',' && !character.is_whitespace() && !character.is_control();
    name.chars().map(|character| if usable(character) { character } else { '_' }).collect()
}

/// Reads a log of any writer. The error names the line.
pub fn read(text: &[u8]) -> Result<Vec<LogInterval>, String> {
    // A log whose writer was killed ends in the middle of a line: what comes before still counts.
    let end = text.iter().rposition(|&byte| byte == b'\n').map_or(0, |position| position + 1);
    let text = &text[..end];
    let mut intervals = Vec::new();
    let mut base = 0.0;
    for entry in IntervalLogIterator::new(text) {
        let entry = entry.map_err(|error| {
            let hdrhistogram::serialization::interval_log::LogIteratorError::ParseError { offset } = error;
            let line = text[..offset.min(text.len())].iter().filter(|&&byte| byte == b'\n').count() + 1;
            format!("line {line} is neither an interval nor a comment")
        })?;
        match entry {
            LogEntry::StartTime(_) => {}
            LogEntry::BaseTime(time) => base = time.as_secs_f64(),
            LogEntry::Interval(interval) => intervals.push(LogInterval {
                tag: interval.tag().map(|tag| tag.as_str().to_string()),
                start: base + interval.start_timestamp().as_secs_f64(),
                seconds: interval.duration().as_secs_f64(),
                histogram: decode(interval.encoded_histogram())
                    .map_err(|error| format!("interval {}: {error}", intervals.len() + 1))?,
            }),
        }
    }
    Ok(intervals)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn histogram(values: &[u64]) -> Histogram<u64> {
        let mut histogram = Histogram::new_with_bounds(1, 3600 * 1_000_000_000, 3).unwrap();
        values.iter().for_each(|&value| histogram.record(value).unwrap());
        histogram
    }

    #[test]
    fn what_is_written_is_read() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.hlog");
        let began = UNIX_EPOCH + std::time::Duration::from_millis(1_700_000_000_250);
        let mut log = LogWriter::create(&path, began, &["polder-loadgen\n-t get".into()]).unwrap();
        log.write(None, 0.0, 1.0, &histogram(&[1000, 2_000_000])).unwrap();
        log.write(Some("SET a,b"), 0.0, 1.0, &histogram(&[2_000_000])).unwrap();
        log.write(None, 1.0, 0.5, &histogram(&[])).unwrap();
        log.flush().unwrap();
        let mut text = std::fs::read_to_string(&path).unwrap();
        let head: Vec<&str> = text.lines().take(6).collect();
        assert_eq!(
            head,
            [
                "#polder-loadgen",
                "#-t get",
                "#[Histogram log format version 1.3]",
                "#[StartTime: 1700000000.250 (seconds since epoch), 2023-11-14T22:13:20.250Z]",
                "#[BaseTime: 1700000000.250 (seconds since epoch)]",
                "\"StartTimestamp\",\"Interval_Length\",\"Interval_Max\",\"Interval_Compressed_Histogram\"",
            ]
        );
        assert!(text.contains("\n0.000,1.000,2.001,HISTFAAAA"), "{text}");
        assert!(text.contains("\nTag=SET_a_b,0.000,1.000,2.001,HISTFAAAA"), "{text}");
        // The writer was killed in the middle of a line.
        text.push_str("2.000,1.000,0.1,HISTF");
        let intervals = read(text.as_bytes()).unwrap();
        let seen: Vec<_> = intervals.iter().map(|i| (i.tag.as_deref(), i.start, i.seconds)).collect();
        let base = 1_700_000_000.25;
        assert_eq!(seen, [(None, base, 1.0), (Some("SET_a_b"), base, 1.0), (None, base + 1.0, 0.5)]);
        assert_eq!(intervals[0].histogram, histogram(&[1000, 2_000_000]));
        assert!(intervals[2].histogram.is_empty());
    }

    #[test]
    fn errors_name_the_line() {
        assert_eq!(
            read(b"#a\n0.0,1.0,nonsense\n").unwrap_err(),
            "line 2 is neither an interval nor a comment"
        );
        assert!(read(b"0.0,1.0,1.0,HISTFAAA\n").unwrap_err().starts_with("interval 1: "));
        assert_eq!(read(b"").unwrap(), []);
    }
}
