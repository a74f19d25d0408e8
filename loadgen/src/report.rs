//! Results: what is kept of a test, and how it is shown.

use std::path::Path;

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

use crate::error::Failure;
use crate::options::LoadOptions;
use crate::result::Run;

/// From this share of its processor on, the generator may be what limits the load.
const BUSY: f64 = 0.95;

/// Microseconds from the sending of a command to its reply.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct LatencyUs {
    pub min: f64,
    pub mean: f64,
    pub p50: f64,
    pub p90: f64,
    pub p95: f64,
    pub p99: f64,
    pub p999: f64,
    pub max: f64,
}

impl LatencyUs {
    pub fn of(latency_ns: &Histogram<u64>) -> LatencyUs {
        let us = |ns: u64| ns as f64 / 1000.0;
        let quantile = |quantile| us(latency_ns.value_at_quantile(quantile));
        LatencyUs {
            min: us(latency_ns.min()),
            mean: latency_ns.mean() / 1000.0,
            p50: quantile(0.5),
            p90: quantile(0.9),
            p95: quantile(0.95),
            p99: quantile(0.99),
            p999: quantile(0.999),
            max: us(latency_ns.max()),
        }
    }
}

/// Processor time that requests cost the server.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct ServerCost {
    pub user_ns_per_request: f64,
    pub system_ns_per_request: f64,
    /// 1 is all of its processor.
    pub utilisation: f64,
    /// How much of the time its threads were ready but had no processor, taken together.
    pub waited: f64,
}

impl ServerCost {
    pub fn ns_per_request(&self) -> f64 {
        self.user_ns_per_request + self.system_ns_per_request
    }
}

/// Processor time that requests cost the generator.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct GeneratorCost {
    pub ns_per_request: f64,
    /// Of its busiest thread.
    pub utilisation: f64,
    /// How much of the time the thread that waited longest was ready but had no processor.
    pub waited: f64,
}

/// What one test brought.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TestResult {
    pub test: String,
    pub engine: String,
    pub clients: u32,
    pub pipeline: u32,
    pub keys: u64,
    pub value_bytes: u32,
    pub threads: u32,
    pub requests: u64,
    pub seconds: f64,
    pub requests_per_second: f64,
    pub latency_us: LatencyUs,
    pub errors: u64,
    pub wrong: u64,
    pub misses: u64,
    pub first_error: Option<String>,
    pub server: Option<ServerCost>,
    pub generator: GeneratorCost,
    /// `None`: not known, since the generator was busy and the server's process was not named.
    pub generator_is_bottleneck: Option<bool>,
    /// Why the load ended early.
    pub failure: Option<String>,
}

impl TestResult {
    /// What is kept of a run in few words.
    pub fn of(run: &Run) -> TestResult {
        let load = &run.load;
        TestResult {
            test: run.name.clone(),
            engine: load.engine.clone(),
            clients: load.clients,
            pipeline: load.pipeline,
            keys: load.keys,
            value_bytes: load.value_bytes,
            threads: load.threads,
            requests: run.requests,
            seconds: run.seconds,
            requests_per_second: run.requests_per_second,
            latency_us: run.total.felt().us,
            errors: run.errors,
            wrong: run.wrong,
            misses: run.misses,
            first_error: run.first_error.clone(),
            server: run.server,
            generator: run.generator,
            generator_is_bottleneck: run.generator_is_bottleneck,
            failure: run.failure.clone(),
        }
    }
}

/// Whether the generator rather than the server was the limit.
pub fn generator_is_bottleneck(utilisation: f64, server: Option<&ServerCost>) -> Option<bool> {
    if utilisation <= BUSY {
        return Some(false);
    }
    server.map(|server| server.utilisation <= BUSY)
}

/// From this share of the time on, others on the same processor disturb a measurement.
pub const WAITED_MAX: f64 = 0.05;

const CSV_HEADER: &str = "\"test\",\"rps\",\"avg_latency_ms\",\"min_latency_ms\",\"p50_latency_ms\",\
    \"p95_latency_ms\",\"p99_latency_ms\",\"max_latency_ms\",\"p99.9_latency_ms\",\"requests\",\"errors\",\
    \"wrong\",\"misses\",\"server_user_ns\",\"server_system_ns\",\"generator_ns\",\"generator_utilisation\"";

/// What comes before the first result.
pub fn begin(options: &LoadOptions) {
    if options.csv {
        println!("{CSV_HEADER}");
    }
}

pub fn print(options: &LoadOptions, result: &TestResult) {
    if options.csv {
        println!("{}", csv_line(result));
    } else if options.quiet {
        println!("{}", quiet_line(result));
    } else {
        println!("{}", text(result));
    }
}

fn csv_line(result: &TestResult) -> String {
    let latency = &result.latency_us;
    let ms = [latency.mean, latency.min, latency.p50, latency.p95, latency.p99, latency.max, latency.p999];
    let mut fields = vec![result.test.replace('"', "\"\""), format!("{:.2}", result.requests_per_second)];
    fields.extend(ms.iter().map(|us| format!("{:.3}", us / 1000.0)));
    let counts = [result.requests, result.errors, result.wrong, result.misses];
    fields.extend(counts.iter().map(u64::to_string));
    let server = |ns: fn(&ServerCost) -> f64| {
        result.server.as_ref().map(|server| format!("{:.0}", ns(server))).unwrap_or_default()
    };
    fields.push(server(|server| server.user_ns_per_request));
    fields.push(server(|server| server.system_ns_per_request));
    fields.push(format!("{:.0}", result.generator.ns_per_request));
    fields.push(format!("{:.3}", result.generator.utilisation));
    fields.iter().map(|field| format!("\"{field}\"")).collect::<Vec<_>>().join(",")
}

fn quiet_line(result: &TestResult) -> String {
    let mut line = format!(
        "{}: {:.2} requests per second, p50={:.3} msec, p99={:.3} msec",
        result.test,
        result.requests_per_second,
        result.latency_us.p50 / 1000.0,
        result.latency_us.p99 / 1000.0
    );
    if let Some(server) = &result.server {
        line.push_str(&format!(", server {:.0} ns per request", server.ns_per_request()));
    }
    if result.errors + result.wrong > 0 {
        line.push_str(&format!(", {} errors, {} wrong replies", result.errors, result.wrong));
    }
    if let Some(note) = bottleneck_note(result) {
        line.push_str(&format!(" ({note})"));
    }
    line
}

fn bottleneck_note(result: &TestResult) -> Option<&'static str> {
    match result.generator_is_bottleneck {
        Some(false) => None,
        Some(true) => Some("the generator was the bottleneck, not the server"),
        None => Some("the generator was busy all the time: it may be the bottleneck, see --server-pid"),
    }
}

fn text(result: &TestResult) -> String {
    let latency = &result.latency_us;
    let mut lines = vec![
        format!("====== {} ======", result.test),
        format!(
            "  {} requests in {:.2} s: {} connections, pipeline {}, {} keys, {}-byte values, {}, {} thread{}",
            result.requests,
            result.seconds,
            result.clients,
            result.pipeline,
            result.keys,
            result.value_bytes,
            result.engine,
            result.threads,
            if result.threads == 1 { "" } else { "s" }
        ),
        format!("  requests/s   {:.0}", result.requests_per_second),
        format!(
            "  latency      p50 {:.1} us, p99 {:.1} us, p99.9 {:.1} us, max {:.1} us",
            latency.p50, latency.p99, latency.p999, latency.max
        ),
        format!(
            "  replies      {} errors, {} wrong, {} keys not found",
            result.errors, result.wrong, result.misses
        ),
    ];
    if let Some(error) = &result.first_error {
        lines.push(format!("  first error  {error}"));
    }
    if let Some(server) = &result.server {
        lines.push(format!(
            "  server       {:.0} CPU-ns per request (user {:.0}, system {:.0}), {:.0} % busy",
            server.ns_per_request(),
            server.user_ns_per_request,
            server.system_ns_per_request,
            server.utilisation * 100.0
        ));
    }
    lines.push(format!(
        "  generator    {:.0} CPU-ns per request, {:.0} % busy",
        result.generator.ns_per_request,
        result.generator.utilisation * 100.0
    ));
    if result.generator.waited > WAITED_MAX {
        lines.push(format!(
            "  NOTE         something else held the generator's processor {:.0} % of the time",
            result.generator.waited * 100.0
        ));
    }
    lines.extend(bottleneck_note(result).map(|note| format!("  NOTE         {note}")));
    lines.join("\n")
}

pub fn write_json(path: &Path, results: &impl Serialize) -> Result<(), Failure> {
    let failed = |error: String| Failure::System(format!("{}: {error}", path.display()));
    let text = serde_json::to_string_pretty(results).map_err(|error| failed(error.to_string()))?;
    std::fs::write(path, text + "\n").map_err(|error| failed(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_the_bottleneck() {
        let server = |utilisation| ServerCost {
            user_ns_per_request: 1.0,
            system_ns_per_request: 1.0,
            utilisation,
            waited: 0.0,
        };
        assert_eq!(generator_is_bottleneck(0.5, None), Some(false));
        assert_eq!(generator_is_bottleneck(0.99, None), None);
        assert_eq!(generator_is_bottleneck(0.99, Some(&server(0.5))), Some(true));
        assert_eq!(generator_is_bottleneck(0.99, Some(&server(0.99))), Some(false));
    }
}
