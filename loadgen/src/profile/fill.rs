//! What a profile needs of the server before it is measured: its commands, its setup, its keys.

use std::collections::HashSet;
use std::time::Instant;

use super::compile::{Parts, State};
use crate::client::{Client, Value};
use crate::keys::Random;
use crate::progress::Progress;
use crate::units;

/// Requests of a pipeline of preloading, and about how many bytes it has at most.
const PIPELINE_MAX: u64 = 500;
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

/// Sends the setup and sets the keys.
pub fn fill(client: &mut Client, parts: &Parts, seed: u64, quiet: bool) -> Result<(), String> {
    for bytes in &parts.setup {
        client.send_and_check(bytes, 1).map_err(|error| format!("setup: {error}"))?;
    }
    let (mut random, mut state, mut buffer) = (Random::new(seed, u64::MAX), State::default(), Vec::new());
    for &(count, kind, commands) in &parts.preloads {
        let progress = Progress::new("preload", count, quiet);
        let (began, mut requests) = (Instant::now(), 0);
        for number in 0..count {
            parts.compiled.append_kind(kind, Some(number), &mut buffer, &mut random, &mut state, 0);
            requests += 1;
            if requests == PIPELINE_MAX || buffer.len() >= PIPELINE_BYTES || number + 1 == count {
                client
                    .send_and_check(&buffer, requests as usize * commands)
                    .map_err(|error| format!("preload: {error}"))?;
                progress.set(number + 1);
                progress.say(format!("{} of {} keys", units::count(number + 1), units::count(count)));
                buffer.clear();
                requests = 0;
            }
        }
        progress.clear();
        if !quiet {
            eprintln!("preload: {} keys in {:.1} s", units::count(count), began.elapsed().as_secs_f64());
        }
    }
    Ok(())
}
