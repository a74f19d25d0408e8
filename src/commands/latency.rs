//! LATENCY: histograms of all commands, and the spikes above `latency-monitor-threshold`.

use super::client::gather;
use super::help::help;
use super::info::{Overview, statistics};
use super::{Command, CommandId, CommandTable, Group, Here, Next, Part, Run, flag};
use crate::error::CommandError;
use crate::metrics::Histogram;
use crate::metrics::latency::{LatencyMonitor, Series};
use crate::runtime::clock::Ticks;
use crate::shard::Report;

const FLAGS: u32 = flag::ADMIN | flag::NOSCRIPT | flag::LOADING | flag::STALE;
/// The time of the first bucket of a histogram, in nanoseconds; each further one is twice as long.
const FIRST_BUCKET_NS: u64 = 1024;

const fn record(name: &'static str, arity: i16, run: Run) -> Command {
    Command::new(name, arity, run).group(Group::Server).since("2.8.13").flags(FLAGS).tips(&[
        "nondeterministic_output",
        "request_policy:all_nodes",
        "response_policy:special",
    ])
}

pub const COMMANDS: &[Command] = &[Command::container("latency", SUBCOMMANDS)
    .group(Group::Server)
    .since("2.8.13")
    .docs("A container for commands about latency.", "Depends on the subcommand.", "")];

const SUBCOMMANDS: &[Command] = &[
    record("latency|doctor", 2, Run::Gather { check: gather, part: events, merge: doctor }).docs(
        "Returns a report about spikes for people.",
        "O(1)",
        "",
    ),
    record("latency|graph", 3, Run::Gather { check: gather, part: events, merge: graph }).docs(
        "Returns a picture of the spikes of an event.",
        "O(1)",
        "event",
    ),
    record("latency|help", 2, Run::Here(help)).flags(flag::LOADING | flag::STALE).tips(&[]).docs(
        "Returns helpful text about the subcommands.",
        "O(1)",
        "",
    ),
    record("latency|histogram", -2, Run::Gather { check: gather, part: statistics, merge: histogram })
        .since("7.0.0")
        .docs(
            "Returns how long commands took.",
            "O(N) where N is the number of commands with latency information being retrieved.",
            "[command [command ...]]",
        ),
    record("latency|history", 3, Run::Gather { check: gather, part: events, merge: history }).docs(
        "Returns the times and latencies of an event.",
        "O(1)",
        "event",
    ),
    record("latency|latest", 2, Run::Gather { check: gather, part: events, merge: latest }).docs(
        "Returns the latest latency of every event.",
        "O(1)",
        "",
    ),
    record("latency|reset", -2, Run::Gather { check: reset_check, part: reset, merge: merge_reset })
        .tips(&["request_policy:all_nodes", "response_policy:agg_sum"])
        .docs("Forgets the spikes of some or all events.", "O(1)", "[event [event ...]]"),
];

fn events(part: &mut Part<'_>) -> Report {
    Report::Latency(part.shard.latency.clone())
}

fn merged(reports: Vec<Report>) -> LatencyMonitor {
    let mut all = LatencyMonitor::default();
    for report in reports {
        if let Report::Latency(monitor) = report {
            all.merge(monitor);
        }
    }
    all
}

fn history(here: &mut Here<'_>, reports: Vec<Report>) -> Result<(), CommandError> {
    let all = merged(reports);
    let Some(series) = all.series(here.args.get(2)) else {
        here.reply.array(0);
        return Ok(());
    };
    here.reply.array(series.samples.len());
    for &(second, latency_ms) in &series.samples {
        here.reply.array(2);
        here.reply.integer(second);
        here.reply.integer(latency_ms as i64);
    }
    Ok(())
}

fn latest(here: &mut Here<'_>, reports: Vec<Report>) -> Result<(), CommandError> {
    let all = merged(reports);
    here.reply.array(all.events.len());
    for (name, series) in &all.events {
        let (second, latency_ms) = series.samples.back().copied().unwrap_or_default();
        here.reply.array(4);
        here.reply.bulk(name.as_bytes());
        here.reply.integer(second);
        here.reply.integer(latency_ms as i64);
        here.reply.integer(series.max_ms as i64);
    }
    Ok(())
}

fn reset_check(_: &mut Here<'_>) -> Result<Next, CommandError> {
    Ok(Next::Gather)
}

fn reset(part: &mut Part<'_>) -> Report {
    let args = &part.args;
    let gone = part.shard.latency.reset(|event| {
        args.len() == 2 || (2..args.len()).any(|index| args.get(index).eq_ignore_ascii_case(event.as_bytes()))
    });
    Report::Latency(gone)
}

fn merge_reset(here: &mut Here<'_>, reports: Vec<Report>) -> Result<(), CommandError> {
    here.reply.integer(merged(reports).events.len() as i64);
    Ok(())
}

fn histogram(here: &mut Here<'_>, reports: Vec<Report>) -> Result<(), CommandError> {
    let overview = Overview::new(here.shard, here.table, reports);
    let ticks = here.shard.node.ticks;
    let asked: Vec<u16> = match here.args.len() {
        2 => (0..here.table.len() as u16).collect(),
        _ => here.args.iter().skip(2).flat_map(|name| named(here.table, name)).collect(),
    };
    let called: Vec<(u16, &Histogram)> = asked
        .into_iter()
        .filter_map(|position| {
            let stats = overview.total.metrics.commands.get(position as usize)?;
            Some((position, stats.histogram.as_deref()?))
        })
        .collect();
    here.reply.map(called.len());
    for (position, histogram) in called {
        here.reply.bulk(here.table.get(CommandId(position)).name.as_bytes());
        here.reply.map(2);
        here.reply.bulk(b"calls");
        here.reply.integer(histogram.count() as i64);
        here.reply.bulk(b"histogram_usec");
        let buckets = buckets(histogram, ticks);
        here.reply.map(buckets.len());
        for (us, count) in buckets {
            here.reply.integer(us as i64);
            here.reply.integer(count as i64);
        }
    }
    Ok(())
}

/// The command of this name, or all subcommands of the container.
fn named(table: &CommandTable, name: &[u8]) -> Vec<u16> {
    let mut words = name.splitn(2, |&byte| byte == b'|');
    let found = words.next().and_then(|word| table.find(word));
    match (found, words.next()) {
        (None, _) => Vec::new(),
        (Some(id), Some(word)) => table.find_subcommand(id, word).map(|id| id.0).into_iter().collect(),
        (Some(id), None) if table.get(id).subcommands.is_empty() => vec![id.0],
        (Some(id), None) => std::iter::once(id).chain(table.subcommands(id)).map(|id| id.0).collect(),
    }
}

/// Counts up to each power of two in microseconds, where the count grows.
fn buckets(histogram: &Histogram, ticks: Ticks) -> Vec<(u64, u64)> {
    let mut shown: Vec<(u64, u64)> = Vec::new();
    let (mut bound_ns, mut seen) = (FIRST_BUCKET_NS, 0);
    for (upper_ticks, count) in histogram.buckets() {
        let upper_ns = ticks.to_ns(upper_ticks);
        while bound_ns < upper_ns && bound_ns < u64::MAX / 2 {
            bound_ns *= 2;
        }
        seen += count;
        match shown.last_mut() {
            Some((us, total)) if *us == bound_ns / 1000 => *total = seen,
            _ => shown.push((bound_ns / 1000, seen)),
        }
    }
    shown
}

/// Rows of a picture.
const GRAPH_ROWS: usize = 4;
/// Samples of a picture.
const GRAPH_COLUMNS: usize = 80;

fn graph(here: &mut Here<'_>, reports: Vec<Report>) -> Result<(), CommandError> {
    let all = merged(reports);
    let Some(series) = all.series(here.args.get(2)) else {
        let event = String::from_utf8_lossy(here.args.get(2));
        return Err(CommandError::text(format!("ERR No samples available for event '{event}'")));
    };
    let event = String::from_utf8_lossy(here.args.get(2)).into_owned();
    let picture = draw(&event, series, here.shard.now_ms() / 1000);
    here.reply.verbatim("txt", picture.as_bytes());
    Ok(())
}

/// The latest samples as columns, their ages below.
fn draw(event: &str, series: &Series, now_seconds: i64) -> String {
    let skipped = series.samples.len().saturating_sub(GRAPH_COLUMNS);
    let samples: Vec<(i64, u64)> = series.samples.iter().skip(skipped).copied().collect();
    let high = samples.iter().map(|sample| sample.1).max().unwrap_or(0);
    let low = samples.iter().map(|sample| sample.1).min().unwrap_or(0);
    let mut text = format!("{event} - high {high} ms, low {low} ms (all time high {} ms)\n", series.max_ms);
    text.push_str(&"-".repeat(80));
    text.push('\n');
    // Half rows: a column ends in `#`, or in `_` when its last row is half full.
    let height = |latency: u64| match high - low {
        0 => 1,
        span => 1 + ((latency - low) * (GRAPH_ROWS as u64 * 2 - 1) / span) as usize,
    };
    let mut row_text = |character: &dyn Fn(&(i64, u64)) -> char| {
        let row: String = samples.iter().map(character).collect();
        text.push_str(row.trim_end());
        text.push('\n');
    };
    for row in (0..GRAPH_ROWS).rev() {
        row_text(&|&(_, latency)| match height(latency).saturating_sub(row * 2) {
            0 => ' ',
            1 => '_',
            _ if height(latency) - row * 2 > 2 => '|',
            _ => '#',
        });
    }
    text.push('\n');
    let ages: Vec<Vec<char>> =
        samples.iter().map(|&(second, _)| age((now_seconds - second).max(0)).chars().collect()).collect();
    for row in 0..ages.iter().map(Vec::len).max().unwrap_or(0) {
        let line: String = ages.iter().map(|age| age.get(row).copied().unwrap_or(' ')).collect();
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

/// `5s`, `12m`, `3h`, `2d`.
fn age(seconds: i64) -> String {
    match seconds {
        0..60 => format!("{seconds}s"),
        60..3600 => format!("{}m", seconds / 60),
        3600..86400 => format!("{}h", seconds / 3600),
        _ => format!("{}d", seconds / 86400),
    }
}

fn doctor(here: &mut Here<'_>, reports: Vec<Report>) -> Result<(), CommandError> {
    let all = merged(reports);
    let threshold_ms = here.shard.config.latency_monitor_threshold_ms;
    let text = diagnosis(&all, threshold_ms);
    here.reply.verbatim("txt", text.as_bytes());
    Ok(())
}

fn diagnosis(all: &LatencyMonitor, threshold_ms: u64) -> String {
    if threshold_ms == 0 && all.events.is_empty() {
        return "Latency monitoring is disabled in this instance. You may use \"CONFIG SET \
                latency-monitor-threshold <milliseconds>.\" in order to enable it.\n"
            .to_owned();
    }
    if all.events.is_empty() {
        return format!("No latency spike above {threshold_ms} ms was observed so far.\n");
    }
    let mut text = String::from("Latency spikes were observed in this instance:\n\n");
    for (number, (event, series)) in all.events.iter().enumerate() {
        let count = series.samples.len().max(1) as u64;
        let mean = series.samples.iter().map(|sample| sample.1).sum::<u64>() / count;
        text.push_str(&format!(
            "{}. {event}: {count} latency spikes (average {mean}ms). Worst all time event {}ms.\n",
            number + 1,
            series.max_ms
        ));
    }
    text.push_str(
        "\nAdvice:\n- Look at SLOWLOG GET for the commands that were slow; lower slowlog-log-slower-than \
         if they are not there.\n- Commands that walk many keys or large values hold up all clients of their \
         shard: prefer SCAN to KEYS, and UNLINK to DEL.\n",
    );
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_containers_mean_their_subcommands() {
        let table = CommandTable::new();
        let names = |name: &str| -> Vec<&str> {
            named(&table, name.as_bytes()).into_iter().map(|id| table.get(CommandId(id)).name).collect()
        };
        assert_eq!(names("GET"), ["get"]);
        assert_eq!(names("config|set"), ["config|set"]);
        assert!(names("config").contains(&"config|get"));
        assert!(names("nosuch").is_empty());
    }

    #[test]
    fn buckets_are_powers_of_two_and_add_up() {
        let ticks = Ticks::calibrate();
        let mut histogram = Histogram::default();
        for us in [1, 1, 3, 100, 5000] {
            histogram.record(ticks.from_us(us));
        }
        let buckets = buckets(&histogram, ticks);
        assert_eq!(buckets.last().unwrap().1, 5);
        assert!(buckets.windows(2).all(|pair| pair[0].0 < pair[1].0 && pair[0].1 < pair[1].1), "{buckets:?}");
        assert!(buckets.iter().all(|(us, _)| (0..50).any(|power| us == &((1024u64 << power) / 1000))));
    }

    #[test]
    fn pictures_have_a_column_for_each_sample() {
        let mut monitor = LatencyMonitor::default();
        (0..200).for_each(|second| monitor.add("command", second, 100 + second as u64));
        let picture = draw("command", monitor.series(b"command").unwrap(), 200);
        assert!(
            picture.starts_with("command - high 299 ms, low 220 ms (all time high 299 ms)\n"),
            "{picture}"
        );
        assert!(picture.lines().all(|line| line.len() <= 80));
    }
}
