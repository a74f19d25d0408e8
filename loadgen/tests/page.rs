//! Pages of results: what they hold, and how a browser shows them.

mod support;

use polder_loadgen::page::page;
use polder_loadgen::result::ResultFile;
use support::browser::{Frame, browse};
use support::{GET, REQUESTS_PER_SECOND, Shape, everything, file, run};

const WIDE: usize = 1200;
const NARROW: usize = 360;

fn named(name: &str, file: ResultFile) -> (String, ResultFile) {
    (name.to_string(), file)
}

/// Points of a percentile plot: ten for each factor of ten, and the slowest request.
fn percentile_points(requests: usize) -> usize {
    ((requests as f64).log10() * 10.0).ceil() as usize + 1
}

fn assert_sound(frame: &Frame) {
    assert_eq!((frame.scripts, &frame.requests), (0, &vec![]));
    assert!(!frame.scrolls, "wider than {}", frame.width);
    assert_eq!(frame.outside, [""; 0], "at width {}", frame.width);
    assert_eq!(frame.overlaps, [""; 0], "at width {}", frame.width);
    for plot in &frame.plots {
        assert_eq!(plot.drawings, 1, "{plot:?}");
        assert_eq!(plot.titles, plot.points.iter().sum::<usize>(), "{plot:?}");
        assert!(plot.rows > 0, "{plot:?}");
    }
}

#[test]
fn two_servers_with_all_there_is() {
    let files = vec![
        named("a", everything("polder-server 0.1.0", 2)),
        named("b", everything("redis-server 7.0.15", 3)),
    ];
    let text = page("Load test report", files).unwrap();
    // For people who want to look at it.
    if let Some(path) = std::env::var_os("POLDER_PAGE") {
        std::fs::write(path, &text).unwrap();
    }
    let seen = browse(&text);
    assert_eq!(seen.complaints, [""; 0]);
    assert_eq!(seen.frames.iter().map(|frame| frame.width).collect::<Vec<_>>(), [WIDE, NARROW]);
    for frame in &seen.frames {
        assert_sound(frame);
        let points = |id: &str| -> &[usize] {
            let plot = frame.plots.iter().find(|plot| plot.id == id);
            &plot.unwrap_or_else(|| panic!("no plot {id}")).points
        };
        // Bars of SET and sessions; the sweep of GET has curves.
        for id in ["rate-bars", "p99-bars", "cost-bars"] {
            assert_eq!(points(id), [1; 4]);
        }
        assert_eq!(points("throughput-by-pipeline-depth-0"), [11, 11]);
        assert_eq!(points("latency-by-pipeline-depth-0"), [11, 11]);
        // Eleven steps, SET, and the open loop with two lines for each server.
        let of_run = |seconds: usize| percentile_points(seconds * REQUESTS_PER_SECOND);
        for step in 0..11 {
            assert_eq!(points(&format!("percentiles-{step}")), [of_run(3); 2]);
        }
        assert_eq!(points("percentiles-11"), [of_run(10); 2]);
        assert_eq!(points("percentiles-12"), [of_run(30); 4]);
        for server in 0..2 {
            assert_eq!(points(&format!("commands-{server}-0")), [of_run(10); 3]);
        }
        // p50, p99 and the maximum of each second.
        for number in 0..26 {
            let seconds = if number % 13 < 11 { 3 } else { 10 };
            assert_eq!(points(&format!("latency-over-time-{number}")), [seconds; 3]);
        }
        let plots = 3 + 2 + 13 + 2 + 13 + 26;
        assert_eq!(frame.plots.len(), plots);
    }
}

/// Texts of a server or a profile stay texts, however long and odd they are.
#[test]
fn odd_texts_stay_texts() {
    let evil = "<script>fetch('http://outside.example/')</script>\"'><img src=http://outside.example/x onerror=alert(1)>";
    let long = "x".repeat(300);
    let mut first = file(evil, vec![run(&Shape { name: evil, commands: &[evil, "GET"], ..GET }, 1)]);
    first.machine = long.clone();
    first.command_line = vec![long.clone(), evil.into(), "it's".into()];
    first.runs[0].first_error = Some(long.clone());
    first.runs[0].errors = 7;
    first.runs[0].failure = Some(evil.into());
    // A run that ended before anything came back.
    let mut nothing = run(&GET, 2);
    nothing.name = long.clone();
    let empty = polder_loadgen::result::Distribution::of(&support::histogram([]));
    nothing.total.service = empty.clone();
    nothing.commands[0].latencies.service = empty;
    (nothing.requests, nothing.requests_per_second) = (0, 0.0);
    for part in &mut nothing.intervals {
        part.requests = 0;
    }
    first.runs.push(nothing);
    let text = page(evil, vec![named("a", first.clone()), named(&long, first)]).unwrap();
    assert!(!text.contains("<script") && !text.contains("<img"));
    let seen = browse(&text);
    assert_eq!(seen.complaints, [""; 0]);
    seen.frames.iter().for_each(assert_sound);
    assert_eq!(seen.frames.len(), 2);
    assert!(seen.frames[0].plots.iter().any(|plot| plot.id == "percentiles-0"));
}

/// The inspection finds what it looks for: otherwise it would prove nothing.
#[test]
fn a_bad_page_is_found_out() {
    let seen = browse(
        "<!DOCTYPE html><img src='http://outside.example/x'><div style='width:3000px'>wide</div>\
         <figure class=plot id=bad><svg viewBox='0 0 100 100' width=100><text x=90 y=50>far outside</text>\
         <text x=91 y=51>on top</text></svg></figure><script>nonsense()</script>",
    );
    assert!(seen.complaints.iter().any(|line| line.contains("nonsense")), "{:?}", seen.complaints);
    for frame in &seen.frames {
        assert!(frame.scrolls && frame.scripts == 1);
        assert_eq!(frame.requests, ["http://outside.example/x"]);
        assert!(frame.outside.iter().any(|text| text.contains("far outside")), "{frame:?}");
        assert!(frame.outside.iter().any(|text| text.contains("3000px")), "{frame:?}");
        assert_eq!(frame.overlaps, ["bad: far outside / on top"]);
    }
}

#[test]
fn results_that_cannot_be_shown_are_named() {
    let mut broken = file("polder-server 0.1.0", vec![run(&GET, 1)]);
    broken.runs[0].total.service.hdr = "HISTF".into();
    let error = page("x", vec![named("of-monday", broken)]).unwrap_err();
    assert!(error.starts_with("of-monday, run 'GET': its histogram is no base64"), "{error}");
    assert_eq!(page("x", vec![named("a", file("s", vec![]))]).unwrap_err(), "there is no run in the results");
}
