//! The two servers of a comparison: each is started for its turns, or runs already.

use std::collections::BTreeSet;

use crate::client::{Address, Client, Handshake, Value};
use crate::command::Test;
use crate::error::Failure;
use crate::machine::version;
use crate::options::{EngineChoice, LoadOptions};
use crate::running::{Running, parse_address};
use crate::servers::{CommandLine, Launch, Server, free_port};
use crate::single::Target;

use super::options::CompareOptions;

/// What `--a` and `--b` name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Named {
    Line(CommandLine),
    Running(Address),
}

impl Named {
    pub fn parse(text: &str) -> Result<Named, String> {
        match parse_address(text) {
            Some(address) => Ok(Named::Running(address)),
            None => CommandLine::parse(text).map(Named::Line),
        }
    }
}

/// A server that can be compared.
#[derive(Debug)]
pub enum Side {
    /// With what its connections say first.
    Started(CommandLine, Handshake),
    Running(Running),
}

impl Side {
    /// Looks at both before anything is loaded.
    pub fn both(options: &CompareOptions) -> Result<[Side; 2], Failure> {
        let side = |letter: char, named: &Named, process: Option<u32>| match named {
            Named::Line(_) if process.is_some() => Err(Failure::Options(format!(
                "--{letter}-pid: is for a server that runs already, and --{letter} starts one"
            ))),
            Named::Line(line) => Ok(Side::Started(line.clone(), options.handshake(letter)?)),
            Named::Running(address) => Running::find(address, options.handshake(letter)?, process)
                .map(Side::Running)
                .map_err(|failure| failure.behind(&format!("--{letter}"))),
        };
        Ok([side('a', &options.a, options.a_pid)?, side('b', &options.b, options.b_pid)?])
    }

    /// As it was named.
    pub fn text(&self) -> String {
        match self {
            Side::Started(line, _) => line.text.clone(),
            Side::Running(server) => server.address.to_string(),
        }
    }

    /// What the program says of itself.
    pub fn version(&self) -> String {
        match self {
            Side::Started(line, _) => version(&line.program),
            Side::Running(server) => format!("{}, which ran already", server.name),
        }
    }

    /// Has it ready for a turn.
    pub fn ready(&self, cpus: &[usize]) -> Result<Ready<'_>, Failure> {
        match self {
            Side::Started(line, handshake) => {
                let launch = Launch { handshake: handshake.clone(), ..line.launch(free_port()?, cpus) };
                Ok(Ready::Started(Server::start(&launch)?))
            }
            Side::Running(server) => Ok(Ready::Running(server)),
        }
    }

    /// What is to be known of a server that is not ours before it is loaded, and of figures that come of it.
    pub fn notes(&self, letter: char, options: &CompareOptions, load_cpus: &[usize]) -> Vec<String> {
        let Side::Running(server) = self else { return Vec::new() };
        let text = self.text();
        let mut notes = vec![format!(
            "{letter} ({text}) ran already: it is neither started anew nor pinned nor emptied; the load writes {} \
             there and leaves them behind",
            written(options)
        )];
        let shared = server.shared_cpus(load_cpus);
        if server.process.is_none() {
            notes.push(format!(
                "the processor time of {letter} was not measured: its process was not found on this machine; if it is \
                 here, name it with --{letter}-pid"
            ));
        } else if !shared.is_empty() {
            notes.push(format!(
                "{letter} may run on processors {shared:?}, as the load does: pin it elsewhere (taskset), or the load \
                 (--load-cpus)"
            ));
        }
        notes
    }
}

/// The keys that the load sets, in words.
fn written(options: &CompareOptions) -> String {
    if let Some(profile) = &options.profile {
        return format!("the keys of profile {profile} (and deletes what its setup deletes)");
    }
    let load = LoadOptions { tests: options.tests.join(","), ..LoadOptions::default() };
    let tests = [load.chosen_tests(), load.preloading_tests()].into_iter().flatten().flatten();
    let keys: BTreeSet<String> = tests.flat_map(|test: Test| test.first_arguments()).collect();
    if keys.is_empty() {
        return "no keys".into();
    }
    let keys = keys.into_iter().collect::<Vec<_>>().join(", ");
    format!("keys such as {keys} (numbers below {})", options.keys)
}

/// A server in its turn.
pub enum Ready<'a> {
    Started(Server),
    Running(&'a Running),
}

impl Ready<'_> {
    pub fn client(&self) -> Result<Client, Failure> {
        match self {
            Ready::Started(server) => server.client(),
            Ready::Running(server) => server.client(),
        }
    }

    pub fn target<'a>(&'a self, engine: EngineChoice, cpus: &'a [usize]) -> Target<'a> {
        match self {
            Ready::Started(server) => Target::started(server, engine, cpus),
            Ready::Running(server) => Target::running(server, engine, cpus),
        }
    }

    /// What the server does besides answering, which the other may not do: it saves what it holds.
    pub fn saving(&self, letter: char) -> Vec<String> {
        let Ok(mut client) = self.client() else { return Vec::new() };
        let mut notes = Vec::new();
        // A directive may be known without anything behind it: the command shows that there is.
        let save = setting(&mut client, "save");
        if !save.is_empty() && has_command(&mut client, "BGSAVE") {
            notes.push(format!(
                "{letter} writes snapshots (save {save}): start it with --save '' to measure it without"
            ));
        }
        if setting(&mut client, "appendonly") == "yes" && has_command(&mut client, "BGREWRITEAOF") {
            notes.push(format!("{letter} logs its writes (appendonly yes)"));
        }
        notes
    }
}

/// Empty if the server does not tell.
fn setting(client: &mut Client, name: &str) -> String {
    match client.ask(&["CONFIG", "GET", name]) {
        Ok(Value::Array(pair)) => match pair.into_iter().nth(1) {
            Some(Value::Text(value)) => value,
            _ => String::new(),
        },
        _ => String::new(),
    }
}

/// Whether the server knows this command.
fn has_command(client: &mut Client, name: &str) -> bool {
    match client.ask(&["COMMAND", "INFO", name]) {
        Ok(Value::Array(entries)) => {
            matches!(entries.first(), Some(Value::Array(fields)) if !fields.is_empty())
        }
        _ => false,
    }
}
