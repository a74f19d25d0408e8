//! redis-benchmark beside our own generator: the same load, for those who trust what they know.

use std::process::{Command, Stdio};
use std::time::Instant;

use serde::Serialize;

use crate::error::Failure;
use crate::processes::{CpuSample, ended_children_cpu_ns};
use crate::result::{GeneratorCost, ServerCost, generator_is_bottleneck};

use super::plan::{Cell, Setup, VALUE_BYTES};

pub struct RedisBenchmark {
    pub cell: Cell,
    pub port: u16,
    pub cpu: usize,
    pub requests: u64,
}

/// What redis-benchmark measured, and what that cost.
#[derive(Debug, Clone, Serialize)]
pub struct Beside {
    pub setup: Setup,
    pub cell: Cell,
    pub requests_per_second: f64,
    pub p50_us: f64,
    pub p99_us: f64,
    pub server: ServerCost,
    pub generator: GeneratorCost,
    pub generator_is_bottleneck: bool,
}

impl RedisBenchmark {
    /// Runs it to its end, on the load's processor.
    pub fn run(&self, setup: Setup, server: u32) -> Result<Beside, Failure> {
        let failed = |reason: String| Failure::System(format!("redis-benchmark: {reason}"));
        let mut command = Command::new("taskset");
        command.args(["-c", &self.cpu.to_string(), "redis-benchmark", "--csv"]);
        command.args(["-p", &self.port.to_string(), "-t", self.cell.test]);
        command.args(["-c", &self.cell.clients.to_string(), "-P", &self.cell.pipeline.to_string()]);
        command.args(["-r", &self.cell.keys.to_string(), "-d", &VALUE_BYTES.to_string()]);
        command.args(["-n", &self.requests.to_string()]);
        let sample = || CpuSample::of(server).map_err(|error| failed(error.to_string()));
        let (before, children, start) = (sample()?, ended_children_cpu_ns(), Instant::now());
        let output = command.stderr(Stdio::null()).output().map_err(|error| failed(error.to_string()))?;
        let elapsed_ns = start.elapsed().as_nanos() as u64;
        let used = sample()?.since(&before, elapsed_ns);
        let ended = ended_children_cpu_ns();
        let own_ns = (ended.0 + ended.1).saturating_sub(children.0 + children.1) as f64;
        let text = String::from_utf8_lossy(&output.stdout);
        let fields =
            last_line(&text).ok_or_else(|| failed(format!("its output is not understood: {text}")))?;
        let each = self.requests as f64;
        let server = ServerCost {
            user_ns_per_request: used.user_ns / each,
            system_ns_per_request: used.system_ns / each,
            utilisation: used.utilisation,
            waited: used.waited,
        };
        let utilisation = own_ns / elapsed_ns as f64;
        Ok(Beside {
            setup,
            cell: self.cell,
            requests_per_second: fields.0,
            p50_us: fields.1 * 1000.0,
            p99_us: fields.2 * 1000.0,
            generator_is_bottleneck: generator_is_bottleneck(utilisation, Some(&server)) == Some(true),
            server,
            generator: GeneratorCost { ns_per_request: own_ns / each, utilisation, waited: 0.0 },
        })
    }
}

/// Requests per second, median and 99th percentile of the CSV's last line:
/// `"SET","rps","avg","min","p50","p95","p99","max"`.
fn last_line(text: &str) -> Option<(f64, f64, f64)> {
    let line = text.lines().rev().find(|line| line.starts_with('"'))?;
    let fields: Vec<f64> =
        line.split(',').skip(1).map(|field| field.trim_matches('"').parse().ok()).collect::<Option<_>>()?;
    Some((*fields.first()?, *fields.get(3)?, *fields.get(5)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_of_the_csv() {
        let text = "\"test\",\"rps\",\"avg_latency_ms\"\n\
            \"SET\",\"200000.00\",\"0.134\",\"0.048\",\"0.127\",\"0.207\",\"0.311\",\"0.735\"\n";
        assert_eq!(last_line(text), Some((200_000.0, 0.127, 0.311)));
        assert_eq!(last_line("nothing"), None);
    }
}
