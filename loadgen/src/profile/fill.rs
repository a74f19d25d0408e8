//! What a profile needs of the server before it is measured: its commands, its setup, its keys.

use std::collections::HashSet;
use std::time::Instant;

use super::compile::Parts;
use super::requests::State;
use crate::client::{Client, Value};
use crate::error::Failure;
use crate::interrupt;
use crate::keys::Random;
use crate::progress::Progress;
use crate::units;

/// Requests of a pipeline of preloading, and about how many bytes it has at most.
const PIPELINE_MAX: usize = 500;
const PIPELINE_BYTES: usize = 256 << 10;

/// The commands that the server lacks.
pub fn missing_commands(client: &mut Client, parts: &Parts) -> Result<Vec<String>, String> {
    let mut words = vec!["COMMAND", "INFO"];
    words.extend(parts.commands.iter().map(String::as_str));
    let reply = client.ask(&words).map_err(|error| format!("COMMAND INFO: {error}"))?;
    let Value::Array(entries) = reply else { return Err("COMMAND INFO: the reply is no array".into()) };
    let known: HashSet<String> = entries
        .iter()
        .filter_map(|entry| match entry {
            Value::Array(fields) => match fields.first() {
                Some(Value::Text(name)) => Some(name.to_ascii_uppercase()),
                _ => None,
            },
            _ => None,
        })
        .collect();
    Ok(parts.commands.iter().filter(|name| !known.contains(*name)).cloned().collect())
}

/// Sends the setup and sets the keys, over a connection to each node.
pub fn fill(clients: &mut [Client], parts: &Parts, seed: u64, quiet: bool) -> Result<(), Failure> {
    for command in &parts.setup {
        for (node, client) in clients.iter_mut().enumerate() {
            if command.node.is_none_or(|owner| owner == node) {
                client
                    .send_and_check(&command.bytes, 1)
                    .map_err(|error| Failure::of_answer("setup", &error))?;
            }
        }
    }
    let (mut random, mut state) = (Random::new(seed, u64::MAX), State::default());
    let mut buffers = vec![Vec::new(); clients.len()];
    let mut requests = vec![0; clients.len()];
    for &(count, kind, commands) in &parts.preloads {
        let progress = Progress::new("preload", count, quiet);
        let began = Instant::now();
        for number in 0..count {
            let written = parts.compiled.append_by_node(kind, number, &mut buffers, &mut random, &mut state);
            requests[written] += 1;
            for (node, client) in clients.iter_mut().enumerate() {
                let is_full = requests[node] == PIPELINE_MAX || buffers[node].len() >= PIPELINE_BYTES;
                if requests[node] > 0 && (node == written && is_full || number + 1 == count) {
                    interrupt::check()?;
                    client
                        .send_and_check(&buffers[node], requests[node] * commands)
                        .map_err(|error| Failure::of_answer("preload", &error))?;
                    progress.set(number + 1);
                    progress.say(format!("{} of {} keys", units::count(number + 1), units::count(count)));
                    buffers[node].clear();
                    requests[node] = 0;
                }
            }
        }
        progress.clear();
        if !quiet {
            eprintln!("preload: {} keys in {:.1} s", units::count(count), began.elapsed().as_secs_f64());
        }
    }
    Ok(())
}
