//! What all claims use: the server, connections to it, loads, and a probe that feels stalls.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;

use crate::client::{Address, Client, Handshake, Value};
use crate::error::Failure;
use crate::interrupt;
use crate::options::EngineChoice;
use crate::result::{LatencyUs, Run, WAITED_MAX};
use crate::runner;
use crate::servers::{CommandLine, Launch, Server, free_port};
use crate::single::Target;
use crate::tls::TlsOptions;

use super::options::ClaimsOptions;
use super::stillness::{self, Stillness};

/// Between two questions of the probe.
const PROBE_INTERVAL: Duration = Duration::from_micros(500);

/// How long the processors are watched when nothing runs.
const STILLNESS_WATCHED: Duration = Duration::from_secs(3);

/// A load that others on the same processors disturb is repeated, so often in all.
const ATTEMPTS: usize = 3;

pub struct Bench {
    /// None before the first claim, and after one did not start.
    server: Option<Server>,
    /// Why it did not start: the next claims hear it at once, for it may take long to find out.
    start_failure: Option<String>,
    pub quick: bool,
    /// Round trip of the simulated network.
    pub delay: Duration,
    line: CommandLine,
    tls: TlsOptions,
    /// What every connection says first.
    handshake: Handshake,
    /// A claim failed on this server.
    is_spoiled: bool,
    engine: EngineChoice,
    server_cpus: Vec<usize>,
    load_cpus: Vec<usize>,
}

impl Bench {
    /// Starts no server yet.
    pub fn new(options: &ClaimsOptions) -> Result<Bench, Failure> {
        let (server_cpus, load_cpus) = options.processors.choose();
        let engine = runner::choose_engine(options.engine)?;
        let (line, tls) = (options.server.clone(), options.tls.clone());
        let handshake = Handshake { tls: tls.read().map_err(Failure::Options)?, ..Handshake::default() };
        Ok(Bench {
            server: None,
            start_failure: None,
            quick: options.quick,
            delay: options.delay,
            line,
            tls,
            handshake,
            is_spoiled: false,
            engine,
            server_cpus,
            load_cpus,
        })
    }

    /// A further server like the one under test, on the network of the calling thread; it ends with that thread.
    pub fn launch(&self) -> Result<Server, Failure> {
        let launch = self.line.launch(free_port()?, &self.server_cpus);
        Server::start(&Launch { handshake: self.handshake.clone(), ..launch })
    }

    /// Takes a fresh server if there is none, if the last claim failed on this one, or if it does not answer.
    pub fn ready(&mut self) -> Result<(), Failure> {
        if let Some(reason) = &self.start_failure {
            return Err(Failure::System(reason.clone()));
        }
        if self.is_spoiled || self.ask(&["PING"]).is_err() {
            // The old one ends before the new one begins.
            self.server = None;
            let server = self.launch().map_err(|failure| failure.behind("server did not start"));
            if let Err(Failure::System(reason)) = &server {
                self.start_failure = Some(reason.clone());
            }
            self.server = Some(server?);
            self.is_spoiled = false;
        }
        Ok(())
    }

    pub fn server(&self) -> Result<&Server, Failure> {
        self.server.as_ref().ok_or_else(|| Failure::ServerGone("there is no server".into()))
    }

    /// A claim failed: nobody knows what the server does now. Tells why, and whether the server ended.
    pub fn spoiled(&mut self, failure: &Failure) -> String {
        self.is_spoiled = true;
        let end = self.server.as_mut().filter(|_| failure.is_server_gone()).and_then(Server::end);
        end.map_or_else(|| failure.to_string(), |end| format!("{failure}; {end}"))
    }

    /// What the processors of server and load do when nothing else wants them.
    pub fn stillness(&self) -> Stillness {
        let mut cpus = [&self.server_cpus[..], &self.load_cpus].concat();
        cpus.sort_unstable();
        cpus.dedup();
        stillness::measure(&cpus, STILLNESS_WATCHED)
    }

    pub fn processors_text(&self) -> String {
        if self.server_cpus == self.load_cpus {
            return "server and load share one processor: latencies and rates are those of both".into();
        }
        format!("server on processors {:?}, load on {:?}", self.server_cpus, self.load_cpus)
    }

    /// Measures the load of these words of a command line.
    pub fn load(&self, words: &[&str]) -> Result<Run, Failure> {
        let target = Target::started(self.server()?, self.engine, &self.load_cpus).with_tls(&self.tls);
        // The default is for measurements that are longer than those of a quick run.
        let is_timed = words.contains(&"--seconds");
        let warmup: &[&str] = if is_timed && self.quick { &["--warmup", "0.1"] } else { &[] };
        let line = [warmup, words].concat();
        let mut best = target.load_one(&line)?;
        for _ in 1..if self.quick { 1 } else { ATTEMPTS } {
            if disturbance(&best) <= WAITED_MAX {
                break;
            }
            let next = target.load_one(&line)?;
            if disturbance(&next) < disturbance(&best) {
                best = next;
            }
        }
        Ok(best)
    }

    /// Seconds of a load.
    pub fn seconds(&self) -> &'static str {
        if self.quick { "0.5" } else { "3" }
    }

    pub fn client(&self) -> Result<Client, Failure> {
        self.server()?.client()
    }

    /// Connects to another port of this machine, behind which the server is.
    pub fn client_at(&self, port: u16) -> Result<Client, Failure> {
        let address = Address::Tcp { host: "127.0.0.1".into(), port };
        gone(Client::connect(&address, &self.handshake))
    }

    pub fn ask(&self, words: &[&str]) -> Result<Value, Failure> {
        gone(self.client()?.ask(words))
    }

    pub fn clear(&self) -> Result<(), Failure> {
        self.ask(&["FLUSHALL"]).map(drop)
    }

    /// Those of the commands that the server does not know.
    pub fn lacking(&self, commands: &[&'static str]) -> Result<Vec<&'static str>, Failure> {
        let mut lacking = Vec::new();
        for &name in commands {
            // A server without COMMAND INFO may have the command all the same: it is tried.
            let known = match self.client()?.ask(&["COMMAND", "INFO", name]) {
                Ok(Value::Array(records)) => records.first() != Some(&Value::Null),
                _ => true,
            };
            if !known {
                lacking.push(name);
            }
        }
        Ok(lacking)
    }

    /// Sends `count` commands in pipelines of `depth`; `command` gives each as it travels.
    pub fn fill(&self, count: u64, depth: u64, command: impl Fn(u64) -> String) -> Result<(), Failure> {
        let mut client = self.client()?;
        let mut number = 0;
        while number < count {
            interrupt::check()?;
            let end = (number + depth).min(count);
            let pipeline: String = (number..end).map(&command).collect();
            gone(client.send_and_check(pipeline.as_bytes(), (end - number) as usize))?;
            number = end;
        }
        Ok(())
    }

    /// Latencies of GETs on a connection of its own, one after the other, while `work` runs.
    pub fn probe_beside<T>(
        &self,
        work: impl FnOnce() -> Result<T, Failure>,
    ) -> Result<(T, LatencyUs), Failure> {
        let mut client = self.client()?;
        gone(client.ask(&["SET", "probe", "value"]))?;
        let over = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let probe = scope.spawn(|| {
                let mut latency_ns = histogram();
                // At least one question, however short the work is.
                loop {
                    let asked = Instant::now();
                    gone(client.ask(&["GET", "probe"]))?;
                    record(&mut latency_ns, asked.elapsed());
                    if over.load(Ordering::Relaxed) {
                        return Ok(latency_ns);
                    }
                    std::thread::sleep(PROBE_INTERVAL);
                }
            });
            let result = work();
            over.store(true, Ordering::Relaxed);
            let latency_ns: Result<Histogram<u64>, Failure> =
                probe.join().unwrap_or_else(|_| Err(Failure::System("the probe's thread ended".into())));
            Ok((result?, LatencyUs::of(&latency_ns?)))
        })
    }
}

/// How much of the time the load or the server was ready while something else had its processor.
pub fn disturbance(run: &Run) -> f64 {
    run.generator.waited.max(run.server.as_ref().map_or(0.0, |server| server.waited))
}

/// Nanoseconds up to an hour, three digits of them.
pub fn histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1, 3_600_000_000_000, 3).unwrap_or_else(|_| unreachable!("constant bounds"))
}

pub fn record(latency_ns: &mut Histogram<u64>, latency: Duration) {
    latency_ns.saturating_record(latency.as_nanos().clamp(1, 3_600_000_000_000) as u64);
}

/// A question that was not answered well ends a claim: by an error reply, or because the server is gone.
pub fn gone<T>(result: std::io::Result<T>) -> Result<T, Failure> {
    result.map_err(|error| Failure::of_answer("the server under test", &error))
}

pub fn integer(value: &Value) -> i64 {
    match value {
        Value::Integer(number) => *number,
        Value::Text(text) => text.parse().unwrap_or(0),
        _ => 0,
    }
}

pub fn ms(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1000.0
}
