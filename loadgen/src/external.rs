//! Other load generators as processes: what they say, and what they and the server used meanwhile.

use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::time::Instant;

use crate::error::Failure;
use crate::processes::{CpuSample, CpuUse, ended_children_cpu_ns};
use crate::result::{GeneratorCost, ServerCost};
use crate::servers::cpu_set;

/// A generator that has run to its end.
pub struct External {
    /// What it printed on standard output.
    pub output: String,
    elapsed_ns: u64,
    own_ns: f64,
    server: CpuUse,
}

impl External {
    /// Runs it on these processors against the server of this process. No other child may end meanwhile.
    pub fn run(program: &str, words: &[String], cpus: &[usize], server: u32) -> Result<External, Failure> {
        let failed = |error: std::io::Error| Failure::System(format!("{program}: {error}"));
        let mut command = Command::new(program);
        command.args(words).stdin(Stdio::null());
        let cpus = cpu_set(cpus);
        // SAFETY: one system call that is allowed between fork and exec.
        unsafe {
            command.pre_exec(move || match &cpus {
                Some(cpus) if libc::sched_setaffinity(0, size_of_val(cpus), cpus) != 0 => {
                    Err(std::io::Error::last_os_error())
                }
                _ => Ok(()),
            });
        }
        let sample = || CpuSample::of(server).map_err(failed);
        let (before, children, start) = (sample()?, ended_children_cpu_ns(), Instant::now());
        let output = command.output().map_err(failed)?;
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
