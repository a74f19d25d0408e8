//! Which plots the page has, and which series each of them shows.

use hdrhistogram::Histogram;
use maud::{Markup, html};

use super::axis::{Axis, Scale, Unit};
use super::bars::{Bar, Bars, Group};
use super::data::{Felt, Parameter, RunData, Source, all_runs, name_of};
use super::plot::{Plot, Series};
use crate::result::{Interval, Run};

/// More lines than this cannot be told apart.
const SERIES_MAX: usize = 8;
/// Plots of single runs that are shown at once; the others are behind a summary.
const SHOWN_AT_ONCE: usize = 6;
/// Runs of one name in one file that are compared by bars.
const BARS_OF_A_NAME_MAX: usize = 3;
/// A rate over less time than this is chance.
const RATE_SECONDS_MIN: f64 = 0.2;
/// Points for each factor of ten of a percentile plot.
const POINTS_PER_DECADE: usize = 10;

pub fn sections(sources: &[Source]) -> Markup {
    let parts = [
        ("side-by-side", "Side by side", side_by_side(sources)),
        ("sweeps", "Sweeps", sweeps(sources)),
        ("percentiles", "Latency by percentile", percentiles(sources)),
        ("commands", "Latency of each command", commands(sources)),
        ("time", "Over time", over_time(sources)),
    ];
    html! {
        @for (id, title, plots) in parts {
            @if !plots.is_empty() {
                section id=(id) {
                    h2 { (title) }
                    @let (first, more) = plots.split_at(plots.len().min(SHOWN_AT_ONCE));
                    @for plot in first { (plot) }
                    @if !more.is_empty() {
                        details { summary { (more.len()) " more" } @for plot in more { (plot) } }
                    }
                }
            }
        }
    }
}

/// Rates, latencies and costs of several files, if there are several.
fn side_by_side(sources: &[Source]) -> Vec<Markup> {
    if sources.len() < 2 {
        return Vec::new();
    }
    type Value = fn(&Run) -> Option<f64>;
    let kinds: [(&str, &str, &str, Unit, Value); 3] = [
        ("rate-bars", "Requests per second", "Longer is better.", Unit::Count, |run| {
            Some(run.requests_per_second)
        }),
        ("p99-bars", "99th percentile of the latency", "Shorter is better.", Unit::Time, |run| {
            let felt = run.total.felt();
            (felt.count > 0).then_some(felt.us.p99)
        }),
        (
            "cost-bars",
            "Processor time of the server for a request, in nanoseconds",
            "Shorter is better.",
            Unit::Count,
            |run| run.server.as_ref().map(|server| server.ns_per_request()),
        ),
    ];
    let plots = kinds.into_iter().filter_map(|(id, title, explanation, unit, value)| {
        let mut groups: Vec<Group> = Vec::new();
        for (source, run, data) in all_runs(sources) {
            let Some(value) = value(run).filter(|_| !is_step(sources, run)) else { continue };
            let bar = Bar { series: source.number, value };
            match groups.iter_mut().find(|group| group.name == data.label) {
                Some(group) => group.bars.push(bar),
                None => groups.push(Group { name: data.label.clone(), bars: vec![bar] }),
            }
        }
        let series = sources.iter().map(|source| source.label.clone()).collect();
        let (title, explanation) = (title.to_string(), explanation.to_string());
        let bars = Bars { id: id.into(), title, explanation, unit, series, groups };
        (!bars.groups.is_empty()).then(|| bars.render())
    });
    plots.collect()
}

/// Whether a run is one of so many of its name in its file that a curve shows them better than bars.
fn is_step(sources: &[Source], run: &Run) -> bool {
    let same =
        |source: &Source| source.file.runs.iter().filter(|other| name_of(other) == name_of(run)).count();
    sources.iter().any(|source| same(source) > BARS_OF_A_NAME_MAX)
}

/// Throughput and latency over each parameter that differs between runs of one file.
fn sweeps(sources: &[Source]) -> Vec<Markup> {
    let mut plots = Vec::new();
    for parameter in Parameter::ALL {
        let mut lines: Vec<(String, Vec<(f64, &Run)>)> = Vec::new();
        for (source, run, data) in all_runs(sources) {
            let name = in_words(sources, source, &without(run, data, parameter));
            let point = (parameter.of(run), run);
            match lines.iter_mut().find(|(known, _)| *known == name) {
                Some((_, points)) => points.push(point),
                None => lines.push((name, vec![point])),
            }
        }
        for (_, points) in &mut lines {
            points.retain(|point| point.0 > 0.0);
            points.sort_by(|a, b| a.0.total_cmp(&b.0));
        }
        lines.retain(|(_, points)| points.iter().any(|point| point.0 != points[0].0));
        for (chunk, lines) in lines.chunks(SERIES_MAX).enumerate() {
            plots.push(sweep(parameter, chunk, lines, "throughput", Unit::Count, Scale::Linear, |run| {
                run.requests_per_second
            }));
            plots.push(sweep(parameter, chunk, lines, "latency", Unit::Time, Scale::Log, |run| {
                run.total.felt().us.p99
            }));
        }
    }
    plots
}

fn sweep(
    parameter: Parameter,
    chunk: usize,
    lines: &[(String, Vec<(f64, &Run)>)],
    kind: &str,
    unit: Unit,
    scale: Scale,
    value: fn(&Run) -> f64,
) -> Markup {
    let series: Vec<Series> = lines
        .iter()
        .enumerate()
        .map(|(colour, (name, runs))| Series {
            name: name.clone(),
            colour,
            dashed: false,
            points: runs.iter().map(|&(x, run)| (x, value(run))).collect(),
        })
        .collect();
    let (title, name) = match kind {
        "throughput" => ("Throughput", "requests per second"),
        _ => ("99th percentile of the latency", "p99"),
    };
    let places = series.iter().flat_map(|line| line.points.iter().map(|point| point.0)).collect();
    let plot = Plot {
        id: format!("{kind}-by-{}-{chunk}", parameter.name().replace(' ', "-")),
        title: format!("{title} by {}", parameter.name()),
        explanation: String::new(),
        x: Axis::of_steps(parameter.axis(), places),
        y: Axis::new(name, unit, scale, values(&series)),
        series,
        marked: true,
    };
    plot.render()
}

/// A run's label without one of its parameters.
fn without(run: &Run, data: &RunData, parameter: Parameter) -> String {
    let others = data.differing.iter().filter(|(other, _)| *other != parameter);
    let words = [name_of(run)].into_iter().chain(others.map(|(_, words)| words.as_str()));
    words.collect::<Vec<_>>().join(", ")
}

/// What a series is called: the file counts only if there are several.
fn in_words(sources: &[Source], source: &Source, run: &str) -> String {
    if sources.len() > 1 { format!("{}: {run}", source.label) } else { run.to_string() }
}

fn values(series: &[Series]) -> impl Iterator<Item = f64> + Clone {
    series.iter().flat_map(|line| line.points.iter().map(|point| point.1))
}

/// What the runs of a plot have in common, and the runs.
type RunGroup<'a> = (String, Vec<(&'a Source, &'a Run, &'a RunData)>);

/// Runs in so many plots that the lines of each can be told apart: all in one, else one for each name, else
/// one for each label.
fn in_groups(sources: &[Source]) -> Vec<RunGroup<'_>> {
    let by = |key: fn(&Run, &RunData) -> String| {
        let mut groups: Vec<RunGroup> = Vec::new();
        for (source, run, data) in all_runs(sources) {
            let key = key(run, data);
            match groups.iter_mut().find(|(known, _)| *known == key) {
                Some((_, runs)) => runs.push((source, run, data)),
                None => groups.push((key, vec![(source, run, data)])),
            }
        }
        groups
    };
    // What several files have in common is compared, so each label has a plot; one file's runs may share one.
    let shared = [by(|_, _| String::new()), by(|run, _| name_of(run).to_string())]
        .into_iter()
        .filter(|_| sources.len() == 1);
    let all = shared.chain([by(|_, data| data.label.clone())]);
    let fits = |groups: &Vec<RunGroup>| groups.iter().all(|(_, runs)| runs.len() <= SERIES_MAX);
    let found = all.into_iter().find(fits);
    // Even runs of one label may be many: then they are cut without a sense.
    found.unwrap_or_else(|| {
        let groups = by(|_, data| data.label.clone());
        let cut = groups.into_iter().flat_map(|(key, runs)| {
            runs.chunks(SERIES_MAX).map(|runs| (key.clone(), runs.to_vec())).collect::<Vec<_>>()
        });
        cut.collect()
    })
}

/// One run for each file keeps the files' colours; otherwise every run has its own.
fn colours(runs: &[(&Source, &Run, &RunData)]) -> Vec<usize> {
    let alone =
        |source: &Source| runs.iter().filter(|(other, _, _)| other.number == source.number).count() == 1;
    let of_files = runs.iter().all(|(source, _, _)| alone(source));
    runs.iter()
        .enumerate()
        .map(|(index, (source, _, _))| if of_files { source.number } else { index })
        .collect()
}

const PERCENTILE_EXPLANATION: &str =
    "From one mark to the next a tenth of the requests remains: the slower ones. A line ends at the slowest.";

fn percentiles(sources: &[Source]) -> Vec<Markup> {
    let groups = in_groups(sources);
    let plots = groups.iter().enumerate().filter_map(|(number, (key, runs))| {
        let mut series = Vec::new();
        for ((source, _, data), colour) in runs.iter().zip(colours(runs)) {
            let name = if key.is_empty() || *key != data.label {
                in_words(sources, source, &data.label)
            } else if sources.len() > 1 {
                source.label.clone()
            } else {
                data.label.clone()
            };
            series.extend(percentile_lines(&name, colour, &data.total));
        }
        let about = if key.is_empty() { String::new() } else { format!(": {key}") };
        percentile_plot(format!("percentiles-{number}"), format!("Latency by percentile{about}"), series)
    });
    plots.collect()
}

/// Runs of several commands, each with its lines.
fn commands(sources: &[Source]) -> Vec<Markup> {
    let runs = all_runs(sources).filter(|(_, run, _)| run.commands.len() > 1);
    let plots = runs.enumerate().flat_map(|(number, (source, run, data))| {
        let lines: Vec<_> = run.commands.iter().zip(&data.commands).collect();
        let plots = lines.chunks(SERIES_MAX).enumerate().map(|(chunk, lines)| {
            let series = lines.iter().enumerate().flat_map(|(colour, (command, felt))| {
                let points = percentile_points(felt.felt());
                Series { name: command.name.clone(), colour, dashed: false, points }.into_non_empty()
            });
            let title = format!("Commands of {}", in_words(sources, source, &data.label));
            percentile_plot(format!("commands-{number}-{chunk}"), title, series.collect())
        });
        plots.collect::<Vec<_>>()
    });
    plots.flatten().collect()
}

fn percentile_lines(name: &str, colour: usize, felt: &Felt) -> Vec<Series> {
    let line = |name: String, dashed: bool, histogram: &Histogram<u64>| {
        Series { name, colour, dashed, points: percentile_points(histogram) }.into_non_empty()
    };
    let lines = match &felt.response {
        None => vec![line(name.to_string(), false, &felt.service)],
        Some(response) => vec![
            line(format!("{name}, response time"), false, response),
            line(format!("{name}, service time"), true, &felt.service),
        ],
    };
    lines.into_iter().flatten().collect()
}

/// Latency in microseconds over the logarithm of 1/(1-q), from the smallest to the largest value.
fn percentile_points(histogram: &Histogram<u64>) -> Vec<(f64, f64)> {
    if histogram.is_empty() {
        return Vec::new();
    }
    let end = (histogram.len() as f64).log10();
    let whole = (end * POINTS_PER_DECADE as f64).ceil() as usize;
    let inner = (0..whole).map(|step| {
        let nines = step as f64 / POINTS_PER_DECADE as f64;
        (nines, histogram.value_at_quantile(1.0 - 10f64.powf(-nines)) as f64 / 1000.0)
    });
    inner.chain([(end, histogram.max() as f64 / 1000.0)]).collect()
}

fn percentile_plot(id: String, title: String, series: Vec<Series>) -> Option<Markup> {
    if series.is_empty() {
        return None;
    }
    let places = series.iter().flat_map(|line| line.points.iter().map(|point| point.0));
    let plot = Plot {
        id,
        title,
        explanation: PERCENTILE_EXPLANATION.into(),
        x: Axis::new("share of the requests that were not slower", Unit::Percentile, Scale::Linear, places),
        y: Axis::new("latency", Unit::Time, Scale::Log, values(&series)),
        series,
        marked: false,
    };
    Some(plot.render())
}

/// The rate of all runs, and percentiles of each run, by the second.
fn over_time(sources: &[Source]) -> Vec<Markup> {
    let mut plots = Vec::new();
    for (number, (key, runs)) in in_groups(sources).iter().enumerate() {
        let series: Vec<Series> = runs
            .iter()
            .zip(colours(runs))
            .filter(|((_, run, _), _)| run.intervals.len() > 1)
            .map(|((source, run, data), colour)| Series {
                name: in_words(sources, source, &data.label),
                colour,
                dashed: false,
                points: run
                    .intervals
                    .iter()
                    .filter(|part| part.seconds >= RATE_SECONDS_MIN)
                    .map(|part| (part.start + part.seconds, rate(part)))
                    .collect(),
            })
            .collect();
        let about = if key.is_empty() { String::new() } else { format!(": {key}") };
        let title = format!("Requests per second over time{about}");
        let (name, unit) = ("requests per second", Unit::Count);
        plots.extend(time_plot(format!("rate-over-time-{number}"), title, name, unit, Scale::Linear, series));
    }
    for (number, (source, run, data)) in all_runs(sources).enumerate() {
        if run.intervals.len() < 2 {
            continue;
        }
        type Value = fn(&Interval) -> f64;
        let kinds: [(&str, Value); 3] =
            [("p50", |part| part.us.p50), ("p99", |part| part.us.p99), ("max", |part| part.us.max)];
        let series = kinds.into_iter().enumerate().map(|(colour, (name, value))| Series {
            name: name.into(),
            colour,
            dashed: false,
            points: run
                .intervals
                .iter()
                .filter(|part| part.requests > 0)
                .map(|part| (part.start + part.seconds, value(part)))
                .collect(),
        });
        let title = format!("Latency over time: {}", in_words(sources, source, &data.label));
        let id = format!("latency-over-time-{number}");
        plots.extend(time_plot(id, title, "latency", Unit::Time, Scale::Log, series.collect()));
    }
    plots
}

fn rate(part: &Interval) -> f64 {
    part.requests as f64 / part.seconds.max(1e-9)
}

fn time_plot(
    id: String,
    title: String,
    name: &str,
    unit: Unit,
    scale: Scale,
    series: Vec<Series>,
) -> Option<Markup> {
    let series: Vec<Series> = series.into_iter().filter_map(Series::into_non_empty).collect();
    if series.is_empty() {
        return None;
    }
    let places = series.iter().flat_map(|line| line.points.iter().map(|point| point.0));
    let plot = Plot {
        id,
        title,
        explanation: String::new(),
        x: Axis::new("seconds since the measurement began", Unit::Seconds, Scale::Linear, places),
        y: Axis::new(name, unit, scale, values(&series)),
        series,
        marked: false,
    };
    Some(plot.render())
}
