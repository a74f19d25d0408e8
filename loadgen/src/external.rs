//! Other load generators as processes: what they say, and what they and the server used meanwhile.

use std::io::Read;
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::{Duration, Instant};

use crate::error::Failure;
use crate::interrupt;
use crate::processes::{CpuSample, CpuUse, ended_children_cpu_ns};
use crate::result::{GeneratorCost, ServerCost};
use crate::servers::make_child;

/// Between two looks for Ctrl-C.
const INTERRUPT_INTERVAL: Duration = Duration::from_millis(50);

/// A generator that has run to its end.
pub struct External {
    /// What it printed on standard output.
    pub output: String,
    elapsed_ns: u64,
    own_ns: f64,
    server: CpuUse,
}

impl External {
    /// Runs it on these processors against the server of this process. No other child may end meanwhile. Ctrl-C
    /// ends it.
    pub fn run(program: &str, words: &[String], cpus: &[usize], server: u32) -> Result<External, Failure> {
        let failed = |error: std::io::Error| Failure::System(format!("{program}: {error}"));
        let mut command = Command::new(program);
        command.args(words).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        make_child(&mut command, cpus);
        let sample = || CpuSample::of(server).map_err(failed);
        let (before, children, start) = (sample()?, ended_children_cpu_ns(), Instant::now());
        let output = output_of(command.spawn().map_err(failed)?, failed)?;
        let elapsed_ns = start.elapsed().as_nanos() as u64;
        let server = sample()?.since(&before, elapsed_ns);
        let ended = ended_children_cpu_ns();
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr);
            let last =
                said.lines().rfind(|line| !line.trim().is_empty()).unwrap_or("no reason is given").trim();
            let line = words.join(" ");
            return Err(Failure::System(format!("{program} {line}: {}: {last}", output.status)));
        }
        Ok(External {
            output: String::from_utf8_lossy(&output.stdout).into_owned(),
            elapsed_ns,
            own_ns: (ended.0 + ended.1).saturating_sub(children.0 + children.1) as f64,
            server,
        })
    }

    pub fn server_cost(&self, requests: u64) -> ServerCost {
        let each = requests.max(1) as f64;
        ServerCost {
            user_ns_per_request: self.server.user_ns / each,
            system_ns_per_request: self.server.system_ns / each,
            utilisation: self.server.utilisation,
            waited: self.server.waited,
        }
    }

    /// Of a generator with one thread.
    pub fn generator_cost(&self, requests: u64) -> GeneratorCost {
        GeneratorCost {
            ns_per_request: self.own_ns / requests.max(1) as f64,
            utilisation: self.own_ns / self.elapsed_ns.max(1) as f64,
            waited: 0.0,
        }
    }
}

/// What it prints until it ends; kills it when the user wants no more.
fn output_of(mut child: Child, failed: impl Fn(std::io::Error) -> Failure) -> Result<Output, Failure> {
    let (reading, ended) = mpsc::channel::<()>();
    let stdout = child.stdout.take().map(|stream| read_all(stream, reading.clone()));
    let stderr = child.stderr.take().map(|stream| read_all(stream, reading));
    while ended.recv_timeout(INTERRUPT_INTERVAL) == Err(RecvTimeoutError::Timeout) {
        if let Err(interrupted) = interrupt::check() {
            // It may have ended this moment.
            let _ = child.kill();
            let _ = child.wait();
            return Err(interrupted);
        }
    }
    let status = child.wait().map_err(failed)?;
    let text = |reader: Option<std::thread::JoinHandle<Vec<u8>>>| {
        reader.and_then(|reader| reader.join().ok()).unwrap_or_default()
    };
    Ok(Output { status, stdout: text(stdout), stderr: text(stderr) })
}

/// Reads on a thread of its own; the sender goes away with the last byte.
fn read_all(
    mut stream: impl Read + Send + 'static,
    reading: mpsc::Sender<()>,
) -> std::thread::JoinHandle<Vec<u8>> {
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        // What came before an error is all there is.
        let _ = stream.read_to_end(&mut bytes);
        drop(reading);
        bytes
    })
}
