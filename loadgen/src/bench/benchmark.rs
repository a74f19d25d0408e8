//! redis-benchmark beside our own generator: the same load, for those who trust what they know.

use serde::Serialize;

use crate::error::Failure;
use crate::external::External;
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
        let arguments = [
            ("-p", self.port.to_string()),
            ("-t", self.cell.test.to_string()),
            ("-c", self.cell.clients.to_string()),
            ("-P", self.cell.pipeline.to_string()),
            ("-r", self.cell.keys.to_string()),
            ("-d", VALUE_BYTES.to_string()),
            ("-n", self.requests.to_string()),
        ];
        let mut words = vec!["--csv".to_string()];
        words.extend(arguments.into_iter().flat_map(|(flag, value)| [flag.to_string(), value]));
        let external = External::run("redis-benchmark", &words, &[self.cpu], server)?;
        let fields = last_line(&external.output)
            .ok_or_else(|| failed(format!("its output is not understood: {}", external.output)))?;
        let server = external.server_cost(self.requests);
        let generator = external.generator_cost(self.requests);
        Ok(Beside {
            setup,
            cell: self.cell,
            requests_per_second: fields.0,
            p50_us: fields.1 * 1000.0,
            p99_us: fields.2 * 1000.0,
            generator_is_bottleneck: generator_is_bottleneck(generator.utilisation, Some(&server))
                == Some(true),
            server,
            generator,
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
