//! Tables in plain text, and the one that ends a run.

use comfy_table::presets::NOTHING;
use comfy_table::{CellAlignment, ContentArrangement};

use super::notes::notes;
use crate::result::{CommandResult, Distribution, Latencies, Load, Run};
use crate::units;

/// Columns under their names: the first one is text, the others are numbers and lean right.
pub struct Table(comfy_table::Table);

impl Table {
    pub fn new<'a>(names: impl IntoIterator<Item = &'a str>) -> Table {
        let mut table = comfy_table::Table::new();
        // The width of a terminal must not break lines that others cut and compare.
        table.load_style(NOTHING).set_content_arrangement(ContentArrangement::Disabled);
        table.set_header(names);
        for (index, column) in table.column_iter_mut().enumerate() {
            column.set_padding((if index == 0 { 2 } else { 1 }, 1));
            if index > 0 {
                column.set_cell_alignment(CellAlignment::Right);
            }
        }
        Table(table)
    }

    pub fn row(&mut self, cells: Vec<String>) {
        self.0.add_row(cells);
    }

    /// Lines with their ends, without blanks before them.
    pub fn text(&self) -> String {
        self.0.lines().map(|line| format!("{}\n", line.trim_end())).collect()
    }
}

/// Fields of comma-separated values, each in quotes.
pub fn line_of(fields: impl IntoIterator<Item = String>) -> String {
    let fields = fields.into_iter().map(|field| format!("\"{}\"", field.replace('"', "\"\"")));
    fields.collect::<Vec<_>>().join(",") + "\n"
}

/// Everything about a run: what was asked for, a line for each command and one for all, remarks.
pub fn run_text(run: &Run) -> String {
    let mut text = format!("====== {} ======\n  {}\n", run.name, load_text(&run.load));
    text.push_str(&format!(
        "  {} requests in {:.2} s: {} requests/s\n\n",
        units::count(run.requests),
        run.seconds,
        units::rate(run.requests_per_second)
    ));
    text.push_str(&latency_table(run).text());
    text.push('\n');
    if let Some(server) = &run.server {
        text.push_str(&format!(
            "  server     {:.0} CPU-ns per request (user {:.0}, system {:.0}), {:.0} % busy\n",
            server.ns_per_request(),
            server.user_ns_per_request,
            server.system_ns_per_request,
            server.utilisation * 100.0
        ));
    }
    text.push_str(&format!(
        "  generator  {:.0} CPU-ns per request, {:.0} % busy\n",
        run.generator.ns_per_request,
        run.generator.utilisation * 100.0
    ));
    for note in notes(run) {
        text.push_str(&format!("  NOTE       {note}\n"));
    }
    text
}

/// `50 connections, pipeline 16, 1,000 keys (uniform), 3-byte values, io_uring, 1 thread, closed loop`
pub fn load_text(load: &Load) -> String {
    let plural = |number: u32, word: &str| {
        let end = if number == 1 { "" } else { "s" };
        format!("{} {word}{end}", units::count(u64::from(number)))
    };
    let distribution = if load.distribution.is_empty() || load.keys <= 1 {
        String::new()
    } else {
        format!(" ({})", load.distribution)
    };
    let keys = if load.keys == 1 { "1 key".into() } else { format!("{} keys", units::count(load.keys)) };
    let schedule = match &load.schedule {
        None => "closed loop".to_string(),
        Some(schedule) => format!(
            "open loop of {} commands/s{}",
            units::rate(schedule.rate),
            if schedule.poisson { " (Poisson)" } else { "" }
        ),
    };
    format!(
        "{}, pipeline {}, {keys}{distribution}, {}-byte values, {}, {}, {schedule}",
        plural(load.clients, "connection"),
        load.pipeline,
        load.value_bytes,
        load.engine,
        plural(load.threads, "thread"),
    )
}

fn latency_table(run: &Run) -> Table {
    let open = run.load.schedule.is_some();
    let mut names = vec!["command", "requests/s", "p50", "p90", "p99", "p99.9", "max", "errors", "misses"];
    if open {
        names.insert(1, "time");
    }
    let mut table = Table::new(names);
    let seconds = run.seconds.max(1e-9);
    // A single command has the latencies of the total: one line says it all.
    for command in run.commands.iter().filter(|_| run.commands.len() > 1) {
        let CommandResult { name, requests, errors, misses, latencies } = command;
        add_rows(&mut table, open, name, *requests as f64 / seconds, latencies, [*errors, *misses]);
    }
    let name = match &run.commands[..] {
        [only] => &only.name,
        _ => "total",
    };
    add_rows(&mut table, open, name, run.requests_per_second, &run.total, [run.errors, run.misses]);
    table
}

fn add_rows(
    table: &mut Table,
    open: bool,
    name: &str,
    requests_per_second: f64,
    latencies: &Latencies,
    counts: [u64; 2],
) {
    let mut row = vec![name.to_string(), units::rate(requests_per_second)];
    row.extend(times(latencies.felt()));
    row.extend(counts.map(units::count));
    if open {
        row.insert(1, "response".into());
    }
    table.row(row);
    if open {
        let mut row = vec![String::new(), "service".into(), String::new()];
        row.extend(times(&latencies.service));
        row.extend([String::new(), String::new()]);
        table.row(row);
    }
}

fn times(distribution: &Distribution) -> [String; 5] {
    let us = &distribution.us;
    if distribution.count == 0 {
        return std::array::from_fn(|_| "-".into());
    }
    [us.p50, us.p90, us.p99, us.p999, us.max].map(units::time_us)
}
