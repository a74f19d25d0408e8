//! The result of a comparison: medians over rounds, verdicts, and the page that shows them.

use serde::Serialize;

use crate::compare::ratio::median;
use crate::machine::Machine;
use crate::report::TestResult;
use crate::result::WAITED_MAX;

use super::benchmark::Beside;
use super::memory::{self, Footprint};
use super::plan::{Cell, ONE_SHARD, Part, Row, Setup, Target, rows};

/// One cell, measured once.
#[derive(Debug, Clone, Serialize)]
pub struct Measurement {
    pub setup: Setup,
    pub cell: Cell,
    pub result: TestResult,
}

impl Measurement {
    /// Whether something else ran on our processors.
    fn is_disturbed(&self) -> bool {
        let server = self.result.server.as_ref().map_or(0.0, |server| server.waited);
        self.result.generator.waited.max(server) > WAITED_MAX
    }
}

#[derive(Debug, Serialize)]
pub struct Report {
    pub machine: Machine,
    seconds: f64,
    measurements: Vec<Measurement>,
    redis_benchmark: Vec<Beside>,
    memory: Vec<Footprint>,
    /// What could not be measured, and why.
    pub notes: Vec<String>,
}

/// Medians over the rounds of one cell.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Medians {
    rounds: usize,
    requests_per_second: f64,
    user_ns: f64,
    system_ns: f64,
    total_ns: f64,
    /// The cheapest and the dearest round.
    total_ns_range: (f64, f64),
    p50_us: f64,
    p99_us: f64,
    p999_us: f64,
    server_utilisation: f64,
    generator_ns: f64,
    generator_utilisation: f64,
    generator_is_bottleneck: bool,
}

/// A load that redis-benchmark has not to be sized for anew: requests when nothing was measured before.
const REQUESTS_DEFAULT: u64 = 200_000;

impl Report {
    pub fn new(machine: Machine, seconds: f64) -> Report {
        Report {
            machine,
            seconds,
            measurements: Vec::new(),
            redis_benchmark: Vec::new(),
            memory: Vec::new(),
            notes: Vec::new(),
        }
    }

    /// Something that could not be measured; said twice it is noted once.
    pub fn note(&mut self, note: String) {
        if !self.notes.contains(&note) {
            self.notes.push(note);
        }
    }

    /// Whether nothing at all was measured.
    pub fn is_empty(&self) -> bool {
        self.measurements.is_empty() && self.redis_benchmark.is_empty() && self.memory.is_empty()
    }

    pub fn add(&mut self, measurement: Measurement) {
        self.measurements.push(measurement);
    }

    pub fn add_footprint(&mut self, footprint: Footprint) {
        self.memory.push(footprint);
    }

    pub fn add_beside(&mut self, beside: Beside) {
        self.redis_benchmark.push(beside);
    }

    /// How many requests a cell answers in so many seconds, as far as is known.
    pub fn requests_in(&self, setup: Setup, cell: &Cell, seconds: f64) -> u64 {
        let known = self.medians(setup, cell);
        known.map_or(REQUESTS_DEFAULT, |medians| (medians.requests_per_second * seconds) as u64).max(1000)
    }

    /// In how many rounds the cell that was measured most often was measured.
    fn rounds(&self) -> usize {
        let medians = self.measurements.iter().filter_map(|each| self.medians(each.setup, &each.cell));
        medians.map(|medians| medians.rounds).max().unwrap_or(0)
    }

    fn medians(&self, setup: Setup, cell: &Cell) -> Option<Medians> {
        let all: Vec<&TestResult> = self
            .measurements
            .iter()
            .filter(|measurement| measurement.setup == setup && measurement.cell == *cell)
            .map(|measurement| &measurement.result)
            .collect();
        if all.is_empty() {
            return None;
        }
        let of =
            |value: &dyn Fn(&TestResult) -> f64| median(all.iter().map(|result| value(result)).collect());
        let ns = |result: &TestResult| result.server.as_ref().map_or(0.0, |server| server.ns_per_request());
        let user =
            |result: &TestResult| result.server.as_ref().map_or(0.0, |server| server.user_ns_per_request);
        let totals: Vec<f64> = all.iter().map(|result| ns(result)).collect();
        let total_ns = of(&ns);
        // User and system time are counted in ticks, too coarse for the median of single rounds.
        let users: f64 = all.iter().map(|result| user(result)).sum();
        let user_ns = total_ns * users / totals.iter().sum::<f64>().max(1.0);
        Some(Medians {
            rounds: all.len(),
            requests_per_second: of(&|result| result.requests_per_second),
            user_ns,
            system_ns: (total_ns - user_ns).max(0.0),
            total_ns,
            total_ns_range: (
                totals.iter().copied().fold(f64::INFINITY, f64::min),
                totals.iter().copied().fold(0.0, f64::max),
            ),
            p50_us: of(&|result| result.latency_us.p50),
            p99_us: of(&|result| result.latency_us.p99),
            p999_us: of(&|result| result.latency_us.p999),
            server_utilisation: of(&|result| result.server.as_ref().map_or(0.0, |server| server.utilisation)),
            generator_ns: of(&|result| result.generator.ns_per_request),
            generator_utilisation: of(&|result| result.generator.utilisation),
            generator_is_bottleneck: all
                .iter()
                .filter(|result| result.generator_is_bottleneck == Some(true))
                .count()
                * 2
                > all.len(),
        })
    }

    /// The page, as Markdown.
    pub fn markdown(&self) -> String {
        let mut page = self.heading();
        let disturbed = self.measurements.iter().filter(|measurement| measurement.is_disturbed()).count();
        if disturbed > 0 {
            page.push_str(&format!(
                "- **Disturbed**: in {disturbed} of {} measurements other processes held the processor of the \
                 load or the server\n",
                self.measurements.len()
            ));
        }
        for note in &self.notes {
            page.push_str(&format!("- **Not measured**: {note}\n"));
        }
        page.push_str(&self.verdicts());
        for part in Part::WITHOUT_TARGETS {
            page.push_str(&self.without_target(part));
        }
        page.push_str(&memory::section(&self.memory));
        page.push_str(&self.measured());
        page.push_str(&self.beside());
        page
    }

    fn heading(&self) -> String {
        let machine = &self.machine;
        let mut page = format!(
            "# polder-server and redis-server, side by side\n\n\
             - Date: {}\n- Machine: {}\n- {}\n\
             - Load: polder-loadgen, closed loop, 32-byte values, uniform random keys; server and load on a \
             processor each; up to {} rounds with fresh servers, {} s for each figure; medians over the rounds\n\
             - Repeat it: `{}`\n",
            machine.date,
            machine.machine,
            machine.servers.join("\n- "),
            self.rounds(),
            self.seconds,
            machine.command
        );
        if machine.is_busy() {
            page.push_str(&format!(
                "- **The machine was not idle** (load average {:.2} before the run).\n",
                machine.load_average
            ));
        }
        page
    }

    /// A part's rows by test and pipeline, redis-server's first; nothing if none was measured.
    fn without_target(&self, part: Part) -> String {
        let mut lines = String::new();
        for cell in part.cells() {
            let reference = self.medians(Setup::Redis, &cell);
            for setup in part.setups() {
                let Some(medians) = self.medians(setup, &cell) else { continue };
                let ratio = reference.map_or_else(
                    || "-".into(),
                    |reference| format!("{:.2}x", reference.total_ns / medians.total_ns.max(1.0)),
                );
                lines.push_str(&format!(
                    "| {} | {} | {} | {:.0} ({:.0} + {:.0}) | {ratio} | {:.1} | {:.1} | {:.1} |\n",
                    cell.test.to_ascii_uppercase(),
                    cell.pipeline,
                    setup.name(),
                    medians.total_ns,
                    medians.user_ns,
                    medians.system_ns,
                    medians.p50_us,
                    medians.p99_us,
                    medians.p999_us,
                ));
            }
        }
        if lines.is_empty() {
            return lines;
        }
        let name = part.name();
        let (first, rest) = name.split_at(1);
        format!(
            "\n## {}{rest}\n\n\
             The server's processor time per request, and redis-server's divided by it. A transaction is one \
             request; its commands travel together.\n\n\
             | test | pipeline | server | CPU-ns (user + system) | ratio | p50 us | p99 us | p99.9 us |\n\
             | --- | ---: | --- | ---: | ---: | ---: | ---: | ---: |\n{lines}",
            first.to_ascii_uppercase()
        )
    }

    fn verdicts(&self) -> String {
        let mut page = String::from(
            "\n## Requests per CPU-second\n\n\
             The server's processor time per request; the ratio is the reference's time divided by ours, in \
             the rows of the cluster client ours divided by one shard's.\n\n\
             | | test | pipeline | reference ns | ours ns (user + system) | ratio | target | |\n\
             | --- | --- | ---: | ---: | ---: | ---: | ---: | --- |\n",
        );
        let mut measured = false;
        for row in rows() {
            let reference = match row.target {
                Target::TimesOneShard(_) => ONE_SHARD,
                _ => Setup::Redis,
            };
            let pair = self.medians(reference, &row.cell).zip(self.medians(row.setup, &row.cell));
            if let Some((reference, ours)) = pair {
                page.push_str(&verdict_line(&row, &reference, &ours));
                measured = true;
            }
        }
        if measured { page } else { String::new() }
    }

    fn measured(&self) -> String {
        if self.measurements.is_empty() {
            return String::new();
        }
        let mut page = String::from(
            "\n## All figures\n\n\
             | server | test | connections | pipeline | keys | ops/s | p50 us | p99 us | p99.9 us | CPU-ns \
             (user + system) | lowest-highest | server busy | generator busy, CPU-ns |\n\
             | --- | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |\n",
        );
        let mut shown: Vec<(Setup, Cell)> = Vec::new();
        for measurement in &self.measurements {
            let (setup, cell) = (measurement.setup, measurement.cell);
            if shown.contains(&(setup, cell)) {
                continue;
            }
            shown.push((setup, cell));
            let Some(medians) = self.medians(setup, &cell) else { continue };
            page.push_str(&format!(
                "| {} | {} | {} | {} | {} | {:.0} | {:.1} | {:.1} | {:.1} | {:.0} ({:.0} + {:.0}) | {:.0}-{:.0} | {:.0} % | {:.0} %, {:.0}{} |\n",
                setup.name(),
                cell.test.to_ascii_uppercase(),
                cell.clients,
                cell.pipeline,
                cell.keys,
                medians.requests_per_second,
                medians.p50_us,
                medians.p99_us,
                medians.p999_us,
                medians.total_ns,
                medians.user_ns,
                medians.system_ns,
                medians.total_ns_range.0,
                medians.total_ns_range.1,
                medians.server_utilisation * 100.0,
                medians.generator_utilisation * 100.0,
                medians.generator_ns,
                if medians.generator_is_bottleneck { " (bottleneck)" } else { "" },
            ));
        }
        page
    }

    fn beside(&self) -> String {
        if self.redis_benchmark.is_empty() {
            return String::new();
        }
        let mut page = String::from(
            "\n## The same load by redis-benchmark\n\n\
             | server | test | pipeline | ops/s | p50 us | p99 us | CPU-ns of the server | server busy | \
             redis-benchmark busy | polder-loadgen's ops/s |\n\
             | --- | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |\n",
        );
        let mut shown: Vec<(Setup, Cell)> = Vec::new();
        for beside in &self.redis_benchmark {
            let (setup, cell) = (beside.setup, beside.cell);
            if shown.contains(&(setup, cell)) {
                continue;
            }
            shown.push((setup, cell));
            let all: Vec<&Beside> = self
                .redis_benchmark
                .iter()
                .filter(|other| other.setup == setup && other.cell == cell)
                .collect();
            let of =
                |value: &dyn Fn(&Beside) -> f64| median(all.iter().map(|beside| value(beside)).collect());
            let ours = self.medians(setup, &cell);
            page.push_str(&format!(
                "| {} | {} | {} | {:.0} | {:.1} | {:.1} | {:.0} | {:.0} % | {:.0} %{} | {} |\n",
                setup.name(),
                cell.test.to_ascii_uppercase(),
                cell.pipeline,
                of(&|beside| beside.requests_per_second),
                of(&|beside| beside.p50_us),
                of(&|beside| beside.p99_us),
                of(&|beside| beside.server.ns_per_request()),
                of(&|beside| beside.server.utilisation) * 100.0,
                of(&|beside| beside.generator.utilisation) * 100.0,
                if all.iter().any(|beside| beside.generator_is_bottleneck) { " (bottleneck)" } else { "" },
                ours.map_or_else(|| "-".into(), |ours| format!("{:.0}", ours.requests_per_second)),
            ));
        }
        page
    }
}

fn verdict_line(row: &Row, reference: &Medians, ours: &Medians) -> String {
    let cell = row.cell;
    let (ratio, target, passed) = match row.target {
        Target::TimesRedis(times) => {
            let ratio = reference.total_ns / ours.total_ns.max(1.0);
            (format!("{ratio:.2}x"), format!(">= {times}x"), ratio >= times)
        }
        Target::TimesOneShard(times) => {
            let ratio = ours.total_ns / reference.total_ns.max(1.0);
            (format!("{ratio:.2}x"), format!("<= {times}x"), ratio <= times)
        }
        Target::LatencyOfRedis => (
            format!(
                "p50 {:.1} us against {:.1}, p99 {:.1} against {:.1}",
                ours.p50_us, reference.p50_us, ours.p99_us, reference.p99_us
            ),
            "no worse".to_string(),
            ours.p50_us <= reference.p50_us && ours.p99_us <= reference.p99_us,
        ),
    };
    format!(
        "| {} | {} | {} | {:.0} | {:.0} ({:.0} + {:.0}) | {ratio} | {target} | {} |\n",
        row.name,
        cell.test.to_ascii_uppercase(),
        cell.pipeline,
        reference.total_ns,
        ours.total_ns,
        ours.user_ns,
        ours.system_ns,
        if passed { "PASS" } else { "FAIL" }
    )
}
