//! Sets all keys before the load, so that every GET finds its value and every INCR its counter.

use std::time::Instant;

use crate::client::{Client, Handshake};
use crate::command::Test;
use crate::error::Failure;
use crate::interrupt;
use crate::keys::{DIGITS, write_digits};
use crate::progress::Progress;
use crate::topology::Topology;
use crate::units;

/// A pipeline of preloading has at most so many commands and about so many bytes.
const PIPELINE_MAX: usize = 1000;
const PIPELINE_BYTES: usize = 256 << 10;

/// Sends the requests of `test` with all numbers below `range`, each to its own node; once, if there is no
/// number in them. All numbers in a request are the same.
pub fn fill(
    topology: &Topology,
    handshake: &Handshake,
    test: &Test,
    range: u64,
    quiet: bool,
) -> Result<(), Failure> {
    let template = test.template();
    let range = if template.patches.is_empty() { 1 } else { range };
    let key = match (template.patches.first(), test.random_key()) {
        (Some(first), Some((before, after))) => {
            first.offset - before.len()..first.offset + DIGITS + after.len()
        }
        _ if topology.is_single() => 0..0,
        _ => {
            let text = format!("--preload: {} has one key for all: no cluster is filled with it", test.name);
            return Err(Failure::Options(text));
        }
    };
    let batch = (PIPELINE_BYTES / template.bytes.len()).clamp(1, PIPELINE_MAX);
    let replies = test.replies() as usize;
    let progress = Progress::new("preload", range, quiet);
    let (began, mut done) = (Instant::now(), 0);
    for (node, address) in topology.nodes.iter().enumerate() {
        let failed = |error: std::io::Error| Failure::of_answer(&format!("preloading {address}"), &error);
        let mut client = Client::connect(address, handshake).map_err(failed)?;
        let mut command = template.bytes.clone();
        let mut pipeline = Vec::new();
        let mut commands = 0;
        for number in 0..range {
            for patch in &template.patches {
                write_digits(&mut command[patch.offset..patch.offset + DIGITS], number, DIGITS / 2);
            }
            if topology.is_single() || topology.owner(&command[key.clone()]) == node {
                pipeline.extend_from_slice(&command);
                commands += 1;
            }
            if commands == batch || number + 1 == range {
                interrupt::check()?;
                client.send_and_check(&pipeline, commands * replies).map_err(failed)?;
                done += commands as u64;
                progress.set(done);
                progress.say(format!("{} of {} keys", units::count(done), units::count(range)));
                pipeline.clear();
                commands = 0;
            }
        }
    }
    progress.clear();
    if !quiet {
        eprintln!("preload: {} keys in {:.1} s", units::count(done), began.elapsed().as_secs_f64());
    }
    Ok(())
}
