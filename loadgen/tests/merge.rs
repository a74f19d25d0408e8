//! Interval logs and results of several generators, merged by the program as people call it.

mod support;

use std::path::Path;
use std::process::Command;
use std::time::{Duration, UNIX_EPOCH};

use hdrhistogram::Histogram;
use polder_loadgen::hdr::log::{self, LogWriter};
use support::{GET, Shape, file, histogram, latencies, run};

fn program(arguments: &[&str]) -> (i32, String, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_polder-loadgen")).args(arguments).output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code().unwrap_or(-1), text(&output.stdout), text(&output.stderr))
}

/// A log of three seconds: GET and SET, and both together. What was recorded comes back.
fn write_log(path: &Path, seed: u64, began: u64) -> (Vec<u64>, Vec<u64>) {
    let mut log = LogWriter::create(path, UNIX_EPOCH + Duration::from_secs(began), &[]).unwrap();
    let (mut gets, mut sets) = (Vec::new(), Vec::new());
    for second in 0..3 {
        let get = latencies(seed + second, 1000, 40_000);
        let set = latencies(seed + 50 + second, 500, 90_000);
        let at = second as f64;
        log.write(None, at, 1.0, &histogram([&get[..], &set].concat())).unwrap();
        log.write(Some("GET"), at, 1.0, &histogram(get.iter().copied())).unwrap();
        log.write(Some("SET"), at, 1.0, &histogram(set.iter().copied())).unwrap();
        gets.extend(get);
        sets.extend(set);
    }
    log.flush().unwrap();
    (gets, sets)
}

fn us(histogram: &Histogram<u64>, quantile: f64) -> String {
    format!("\"{:.3}\"", histogram.value_at_quantile(quantile) as f64 / 1000.0)
}

/// A line of merged CSV as it must be.
fn line(name: &str, values: &[u64]) -> String {
    let all = histogram(values.iter().copied());
    let quantiles = [0.5, 0.9, 0.99, 0.999, 0.9999, 1.0].map(|quantile| us(&all, quantile));
    format!("\"{name}\",\"{}\",{}", values.len(), quantiles.join(","))
}

#[test]
fn machines_merge_to_what_one_would_have_measured() {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name).to_str().unwrap().to_string();
    let (a, b, merged) = (path("a.hlog"), path("b.hlog"), path("merged.hlog"));
    let (mut gets, mut sets) = write_log(Path::new(&a), 1, 1_700_000_000);
    let (more_gets, more_sets) = write_log(Path::new(&b), 1000, 1_700_000_002);
    gets.extend(more_gets);
    sets.extend(more_sets);
    let (code, csv, errors) = program(&["merge", "--csv", &a, &b, "-o", &merged]);
    assert_eq!((code, errors.as_str()), (0, ""));
    let lines: Vec<&str> = csv.lines().collect();
    let head =
        "\"command\",\"requests\",\"p50_us\",\"p90_us\",\"p99_us\",\"p99.9_us\",\"p99.99_us\",\"max_us\"";
    let both = [&gets[..], &sets].concat();
    assert_eq!(lines, [head, &line("GET", &gets), &line("SET", &sets), &line("total", &both)]);

    // The merged log is a log again, from the first begin to the last end.
    let intervals = log::read(&std::fs::read(&merged).unwrap()).unwrap();
    let seen: Vec<_> = intervals.iter().map(|part| (part.tag.as_deref(), part.start, part.seconds)).collect();
    let (start, seconds) = (1_700_000_000.0, 5.0);
    assert_eq!(seen, [(Some("GET"), start, seconds), (Some("SET"), start, seconds), (None, start, seconds)]);
    let (_, again, _) = program(&["merge", "--csv", &merged]);
    assert_eq!(again, csv);

    // In words.
    let (_, text, _) = program(&["merge", &a, &b]);
    let rows: Vec<Vec<&str>> = text.lines().map(|line| line.split_whitespace().take(2).collect()).collect();
    assert_eq!(rows, [["command", "requests"], ["GET", "6,000"], ["SET", "3,000"], ["total", "9,000"]]);
}

#[test]
fn results_merge_with_logs() {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name).to_str().unwrap().to_string();
    let (a, b) = (path("a.hlog"), path("b.json"));
    let (gets, sets) = write_log(Path::new(&a), 1, 1_700_000_000);
    // In an open loop what is felt is the response time: three times the service time here.
    let result = file("s", vec![run(&Shape { seconds: 2, rate: Some(1000.0), ..GET }, 9)]);
    std::fs::write(&b, serde_json::to_string(&result).unwrap()).unwrap();
    let felt: Vec<u64> = latencies(9, 2000, GET.median_ns).iter().map(|value| value * 3).collect();
    let (code, csv, errors) = program(&["merge", "--csv", &a, &b]);
    assert_eq!((code, errors.as_str()), (0, ""));
    let lines: Vec<&str> = csv.lines().skip(1).collect();
    let all_gets = [&gets[..], &felt].concat();
    let all = [&all_gets[..], &sets].concat();
    assert_eq!(lines, [line("GET", &all_gets), line("SET", &sets), line("total", &all)]);
}

#[test]
fn files_that_are_neither_are_named() {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str, text: &str| {
        let path = directory.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_string()
    };
    for (file, part) in [
        (path("empty.hlog", "#nothing\n"), "empty.hlog: holds no interval"),
        (path("odd.hlog", "x\n"), "odd.hlog: line 1 is neither an interval nor a comment"),
        (path("old.json", "{\"format\":0}"), "old.json: has format 0, but this version reads 1"),
        (path("odd.json", "{}"), "odd.json: is no result of polder-loadgen --json"),
        ("/nowhere/x.hlog".to_string(), "/nowhere/x.hlog: No such file"),
    ] {
        let (code, output, errors) = program(&["merge", &file]);
        assert_eq!((code, output.as_str()), (1, ""));
        assert!(errors.contains(part), "{errors}");
        let (code, _, errors) = program(&["report", &file, "-o", "/nowhere/page.html"]);
        assert_eq!(code, 1);
        assert!(errors.contains(&file), "{errors}");
    }
}

#[test]
fn a_page_is_made_of_files() {
    let directory = tempfile::tempdir().unwrap();
    let (input, output) = (directory.path().join("of-monday.json"), directory.path().join("page.html"));
    let result = file("polder-server 0.1.0", vec![run(&GET, 1)]);
    std::fs::write(&input, serde_json::to_string(&result).unwrap()).unwrap();
    let words = ["report", input.to_str().unwrap(), "-o", output.to_str().unwrap(), "--title", "Monday"];
    let (code, shown, errors) = program(&words);
    assert_eq!((code, shown.trim(), errors.as_str()), (0, output.to_str().unwrap(), ""));
    let page = std::fs::read_to_string(output).unwrap();
    assert!(page.starts_with("<!DOCTYPE html>") && page.contains("<title>Monday</title>"));
    assert!(page.contains("id=\"percentiles-0\"") && !page.contains("id=\"rate-bars\""));
}
