//! `merge`: what several generators measured at the same time, or one after the other, as one.

use std::path::{Path, PathBuf};
use std::time::{Duration, UNIX_EPOCH};

use clap::Args;
use hdrhistogram::Histogram;

use crate::error::Failure;
use crate::hdr::encoding::decode;
use crate::hdr::log::{self, LogWriter, tag_of};
use crate::result::ResultFile;
use crate::show::table::{Table, line_of};
use crate::units;

#[derive(Debug, Clone, Args)]
pub struct MergeOptions {
    /// Interval logs (--hdr-log) and results (--json), of this or other machines.
    #[arg(required = true, value_name = "FILE")]
    pub files: Vec<PathBuf>,
    /// Writes the merged histograms as an interval log, one interval for each command.
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// Comma-separated values, times in microseconds.
    #[arg(long)]
    pub csv: bool,
}

/// All latencies of one command.
#[derive(Debug, Clone, PartialEq)]
pub struct Merged {
    /// `None`: of all commands together.
    pub tag: Option<String>,
    /// Seconds since the epoch, if the files say so.
    pub start: f64,
    pub end: f64,
    pub histogram: Histogram<u64>,
}

const QUANTILES: [(&str, f64); 5] =
    [("p50", 0.5), ("p90", 0.9), ("p99", 0.99), ("p99.9", 0.999), ("p99.99", 0.9999)];

pub fn run(options: &MergeOptions) -> Result<(), Failure> {
    let merged = merge(&options.files)?;
    print!("{}", if options.csv { csv(&merged) } else { text(&merged) });
    if let Some(path) = &options.output {
        write(path, &merged, &options.files)?;
    }
    Ok(())
}

/// Adds up the files; the total comes last, commands in the order in which they were met.
pub fn merge(files: &[PathBuf]) -> Result<Vec<Merged>, Failure> {
    let mut merged: Vec<Merged> = Vec::new();
    for path in files {
        let failed = |error: String| Failure::Options(format!("{}: {error}", path.display()));
        let bytes = std::fs::read(path).map_err(|error| failed(error.to_string()))?;
        let parts = if is_json(&bytes) { of_results(&bytes) } else { of_log(&bytes) };
        let parts = parts.map_err(failed)?;
        if parts.is_empty() {
            return Err(failed("holds no interval".into()));
        }
        for part in parts {
            add(&mut merged, part).map_err(failed)?;
        }
    }
    merged.sort_by_key(|part| part.tag.is_none());
    Ok(merged)
}

fn is_json(bytes: &[u8]) -> bool {
    bytes.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b'{')
}

fn of_log(bytes: &[u8]) -> Result<Vec<Merged>, String> {
    let intervals = log::read(bytes)?;
    let merged = |interval: log::LogInterval| Merged {
        tag: interval.tag,
        start: interval.start,
        end: interval.start + interval.seconds,
        histogram: interval.histogram,
    };
    Ok(intervals.into_iter().map(merged).collect())
}

fn of_results(bytes: &[u8]) -> Result<Vec<Merged>, String> {
    let file = ResultFile::parse(bytes)?;
    let began = humantime::parse_rfc3339_weak(&file.started_at).ok();
    let began = began.and_then(|instant| instant.duration_since(UNIX_EPOCH).ok());
    let start = began.unwrap_or_default().as_secs_f64();
    let mut parts = Vec::new();
    for run in &file.runs {
        let mut push = |tag, hdr: &str| -> Result<(), String> {
            let histogram = decode(hdr).map_err(|error| format!("{}: {error}", run.name))?;
            parts.push(Merged { tag, start, end: start + run.seconds, histogram });
            Ok(())
        };
        for command in &run.commands {
            push(Some(tag_of(&command.name)), &command.latencies.felt().hdr)?;
        }
        push(None, &run.total.felt().hdr)?;
    }
    Ok(parts)
}

fn add(merged: &mut Vec<Merged>, part: Merged) -> Result<(), String> {
    let known = match merged.iter_mut().find(|known| known.tag == part.tag) {
        Some(known) => known,
        None => {
            // Three digits and as wide as it must be: other tools may have recorded further up.
            let histogram = Histogram::new(3).map_err(|error| error.to_string())?;
            merged.push(Merged { histogram, ..part.clone() });
            let last = merged.len() - 1;
            &mut merged[last]
        }
    };
    known.start = known.start.min(part.start);
    known.end = known.end.max(part.end);
    known.histogram.add(&part.histogram).map_err(|error| error.to_string())
}

fn name(part: &Merged) -> &str {
    part.tag.as_deref().unwrap_or("total")
}

fn us(part: &Merged, quantile: f64) -> f64 {
    part.histogram.value_at_quantile(quantile) as f64 / 1000.0
}

fn text(merged: &[Merged]) -> String {
    let quantiles = QUANTILES.iter().map(|&(name, _)| name);
    let mut table = Table::new(["command", "requests"].into_iter().chain(quantiles).chain(["max"]));
    for part in merged {
        let mut row = vec![name(part).to_string(), units::count(part.histogram.len())];
        row.extend(QUANTILES.iter().map(|&(_, quantile)| units::time_us(us(part, quantile))));
        row.push(units::time_us(part.histogram.max() as f64 / 1000.0));
        table.row(row);
    }
    table.text()
}

fn csv(merged: &[Merged]) -> String {
    let names = QUANTILES.map(|(name, _)| format!("{name}_us"));
    let mut lines =
        line_of(["command", "requests"].map(String::from).into_iter().chain(names).chain(["max_us".into()]));
    for part in merged {
        let quantiles = QUANTILES.iter().map(|&(_, quantile)| us(part, quantile));
        let times = quantiles.chain([part.histogram.max() as f64 / 1000.0]).map(|us| format!("{us:.3}"));
        let head = [name(part).to_string(), part.histogram.len().to_string()];
        lines.push_str(&line_of(head.into_iter().chain(times)));
    }
    lines
}

fn write(path: &Path, merged: &[Merged], files: &[PathBuf]) -> Result<(), Failure> {
    let start = merged.iter().map(|part| part.start).fold(f64::INFINITY, f64::min);
    let began = UNIX_EPOCH + Duration::try_from_secs_f64(start).unwrap_or_default();
    let names: Vec<_> = files.iter().map(|file| file.display().to_string()).collect();
    let comment = format!("polder-loadgen merge {}", names.join(" "));
    let mut writer = LogWriter::create(path, began, &[comment])?;
    for part in merged {
        writer.write(part.tag.as_deref(), part.start - start, part.end - part.start, &part.histogram)?;
    }
    writer.flush()
}
