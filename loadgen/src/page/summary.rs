//! The figures of all runs in tables, and what is to be known about them.

use maud::{Markup, html};

use super::data::{Source, all_runs};
use super::figure::{Table, colour};
use crate::result::{CommandResult, Distribution, Latencies, Run};
use crate::show::notes::notes;
use crate::show::table::load_text;
use crate::units;

/// Remarks that are shown at once; the others are behind a summary.
const REMARKS_SHOWN: usize = 6;

pub fn summary(sources: &[Source]) -> Markup {
    html! {
        section id="summary" {
            h2 { "Summary" }
            (remarks(sources))
            (runs_table(sources))
            p.explanation {
                "Latencies are response times, from the instant at which the schedule wanted a command to be sent, \
                 where there was a schedule; else service times, from the instant at which it was sent."
            }
            details { summary { "What was asked for" } (loads(sources)) }
            @if all_runs(sources).any(|(_, run, _)| run.commands.len() > 1) {
                details { summary { "Each command" } (commands_table(sources).render("Each command")) }
            }
        }
    }
}

fn remarks(sources: &[Source]) -> Markup {
    let remarks: Vec<(String, String)> = all_runs(sources)
        .flat_map(|(source, run, data)| {
            let place = format!("{}, {}", source.label, data.label);
            notes(run).into_iter().map(move |note| (place.clone(), note))
        })
        .collect();
    let (first, more) = remarks.split_at(remarks.len().min(REMARKS_SHOWN));
    let list = |remarks: &[(String, String)]| {
        html! {
            ul { @for (place, remark) in remarks { li { strong { (place) } ": " (remark) } } }
        }
    };
    html! {
        @if !remarks.is_empty() {
            div.remarks {
                (list(first))
                @if !more.is_empty() { details { summary { (more.len()) " more" } (list(more)) } }
            }
        }
    }
}

fn runs_table(sources: &[Source]) -> Markup {
    let several = sources.len() > 1;
    let any_cost = all_runs(sources).any(|(_, run, _)| run.server.is_some());
    html! {
        div.scroll tabindex="0" role="region" aria-label="Summary of all runs" {
            table {
                thead {
                    tr {
                        th scope="col" { "Run" }
                        @if several { th.words scope="col" { "Server" } }
                        @for name in ["Requests/s", "p50", "p90", "p99", "p99.9", "max", "Errors", "Misses"] {
                            th scope="col" { (name) }
                        }
                        @if any_cost { th scope="col" title="of the server, for a request" { "CPU ns" } }
                    }
                }
                tbody {
                    @for (source, run, data) in all_runs(sources) {
                        tr {
                            th scope="row" { (data.label) }
                            @if several {
                                td.words { span.swatch.(colour(source.number)) {} (source.label) }
                            }
                            td { (units::rate(run.requests_per_second)) }
                            @for time in times(run.total.felt()) { td { (time) } }
                            td.bad[run.errors + run.wrong > 0] { (units::count(run.errors + run.wrong)) }
                            td { (units::count(run.misses)) }
                            @if any_cost { td { (cost(run)) } }
                        }
                    }
                }
            }
        }
    }
}

fn cost(run: &Run) -> String {
    run.server.as_ref().map_or_else(|| "–".into(), |server| units::rate(server.ns_per_request()))
}

fn times(distribution: &Distribution) -> [String; 5] {
    let us = &distribution.us;
    let shown = |us| if distribution.count == 0 { "–".into() } else { units::time_micro(us) };
    [us.p50, us.p90, us.p99, us.p999, us.max].map(shown)
}

fn loads(sources: &[Source]) -> Markup {
    html! {
        ul {
            @for (source, run, data) in all_runs(sources) {
                li {
                    strong { (source.label) ", " (data.label) } ": " (load_text(&run.load)) "; "
                    (units::count(run.requests)) " requests in " (units::rate(run.seconds)) " s"
                }
            }
        }
    }
}

fn commands_table(sources: &[Source]) -> Table {
    let head = [
        "Command",
        "Server",
        "Run",
        "Latency",
        "Requests/s",
        "p50",
        "p90",
        "p99",
        "p99.9",
        "max",
        "Errors",
        "Misses",
    ];
    let mut rows = Vec::new();
    for (source, run, data) in all_runs(sources).filter(|(_, run, _)| run.commands.len() > 1) {
        for command in &run.commands {
            let CommandResult { name, requests, errors, misses, latencies } = command;
            let Latencies { response, service } = latencies;
            let kinds = response.iter().map(|response| ("response", response)).chain([("service", service)]);
            for (kind, distribution) in kinds {
                let mut row = vec![name.clone(), source.label.clone(), data.label.clone(), kind.to_string()];
                row.push(units::rate(*requests as f64 / run.seconds.max(1e-9)));
                row.extend(times(distribution));
                row.extend([*errors, *misses].map(units::count));
                rows.push(row);
            }
        }
    }
    Table { head: head.map(String::from).to_vec(), rows }
}
