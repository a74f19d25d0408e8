//! The claims: what is said of a server, measured on it here and now, each with a verdict.
//!
//! ```text
//!   for each claim: is the server there? ─► has it the commands? ─► FLUSHALL ─► measure ─► verdict
//!   ─► summary; exit code 1 if a claim does not hold or failed
//! ```
//!
//! A claim is a function of a [`Bench`]. It says what it measured in words and figures, and how a sceptic
//! does the same by hand. A server that lacks a command makes a claim neither true nor false: that is said.
//! So is why a measurement failed, by error replies or because the server ended: the next claim has a fresh
//! server then. A server that does not start fails all of them, without another try.

mod bench;
mod collections;
mod keyspace;
mod messages;
mod netem;
mod options;
mod pipelines;
mod relay;
mod stillness;
mod throughput;

use std::collections::BTreeMap;

use serde::Serialize;

use crate::error::Failure;
use crate::interrupt::{self, Caught};
use crate::machine::{Machine, quoted_words};
use crate::report::{open_json, write_json};
use crate::result::ResultFile;
use crate::servers::Server;

use bench::Bench;
pub use options::ClaimsOptions;

/// What is said, and the function that measures it.
pub struct Claim {
    pub name: &'static str,
    pub text: &'static str,
    /// Commands without which it cannot be measured.
    pub commands: &'static [&'static str],
    /// How to do it without this program; `{port}` is the server's. With TLS its flags go behind `-p {port}`, since
    /// all tools that know the one know the others.
    pub by_hand: &'static str,
    /// Fills in the finding as it goes: what was measured until it failed stays.
    pub measure: fn(&Bench, &mut Finding) -> Result<(), Failure>,
}

/// In the order in which they run.
const CLAIMS: &[Claim] = &[
    throughput::THROUGHPUT,
    throughput::LATENCY,
    throughput::CACHE_READ,
    pipelines::PIPELINE,
    pipelines::EXPIRY,
    pipelines::UPDATES,
    messages::PUBLISH,
    collections::LEADERBOARD,
    collections::HYPERLOGLOG,
    keyspace::SCAN,
];

/// What measuring a claim brought.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Finding {
    pub holds: bool,
    /// Sentences with figures.
    pub measured: Vec<String>,
    pub figures: BTreeMap<String, f64>,
}

impl Finding {
    pub fn say(&mut self, sentence: String) {
        self.measured.push(sentence);
    }

    pub fn figure(&mut self, name: &str, value: f64) {
        self.figures.insert(name.into(), value);
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    Holds,
    DoesNotHold,
    /// The server has not the commands.
    NotAvailable,
    /// It could not be measured to the end.
    Failed,
}

impl Verdict {
    fn text(self) -> &'static str {
        match self {
            Verdict::Holds => "holds",
            Verdict::DoesNotHold => "DOES NOT HOLD",
            Verdict::NotAvailable => "not available",
            Verdict::Failed => "FAILED",
        }
    }
}

#[derive(Debug, Clone, Serialize)]
struct Judged {
    name: &'static str,
    claim: &'static str,
    verdict: Verdict,
    /// Why it failed.
    failure: Option<String>,
    measured: Vec<String>,
    figures: BTreeMap<String, f64>,
    by_hand: String,
}

/// What `--json` writes.
#[derive(Debug, Serialize)]
struct ClaimsFile<'a> {
    format: u32,
    generator: String,
    started_at: String,
    command_line: Vec<String>,
    machine: String,
    server: String,
    server_command: String,
    claims: &'a [Judged],
}

const FORMAT: u32 = 1;

/// In the error reply of a server that lacks a command.
const UNKNOWN_COMMAND: &str = "unknown command";

/// Instead of what the server calls itself.
const NO_NAME: &str = "it does not tell its name";

/// Instead of its port, where there is none.
const NO_PORT: &str = "PORT";

pub fn run(options: &ClaimsOptions) -> Result<(), Failure> {
    if options.list {
        CLAIMS.iter().for_each(|claim| println!("{:<12} {}", claim.name, claim.text));
        return Ok(());
    }
    let claims = chosen(&options.only)?;
    options.json.as_deref().map_or(Ok(()), open_json)?;
    let machine = Machine::describe(&[], String::new());
    let mut bench = Bench::new(options)?;
    let _caught = Caught::begin();
    // Why there is no server is told by every claim.
    let name = bench.ready().and_then(|()| bench.server()?.name());
    let begun = ResultFile::begin(name.unwrap_or_else(|_| NO_NAME.into()));
    println!("server   {} ({})", options.server.text, begun.server);
    let tls_words = quoted_words(options.tls.words());
    if options.tls.tls {
        println!("tls      {tls_words}");
    }
    println!("machine  {}", machine.machine);
    println!("pinned   {}", bench.processors_text());
    if machine.is_busy() {
        println!("NOTE     load average {:.2}: something else runs here", machine.load_average);
    }
    let mut judged = Vec::new();
    for claim in &claims {
        if interrupt::is_requested() {
            break;
        }
        let result = judge(claim, &mut bench, &tls_words);
        print(&result);
        judged.push(result);
    }
    println!("\n{}", summary(&judged));
    if let Some(path) = &options.json {
        let file = ClaimsFile {
            format: FORMAT,
            generator: begun.generator,
            started_at: begun.started_at,
            command_line: begun.command_line,
            machine: begun.machine,
            server: begun.server,
            server_command: options.server.text.clone(),
            claims: &judged,
        };
        write_json(path, &file)?;
    }
    if interrupt::is_requested() {
        let text = format!("interrupted: {} of {} claims were come to", judged.len(), claims.len());
        return Err(Failure::Interrupted(text));
    }
    conclude(&judged)
}

fn conclude(judged: &[Judged]) -> Result<(), Failure> {
    let broken = [(Verdict::DoesNotHold, "does not hold here"), (Verdict::Failed, "failed")]
        .map(|(verdict, text)| (names_of(judged, verdict), text));
    let texts: Vec<String> = broken
        .iter()
        .filter(|(names, _)| !names.is_empty())
        .map(|(names, text)| format!("{text}: {names}"))
        .collect();
    if texts.is_empty() { Ok(()) } else { Err(Failure::Replies(texts.join("; "))) }
}

fn chosen(names: &[String]) -> Result<Vec<&'static Claim>, Failure> {
    if names.is_empty() {
        return Ok(CLAIMS.iter().collect());
    }
    let all = || CLAIMS.iter().map(|claim| claim.name).collect::<Vec<_>>().join(", ");
    let find = |name: &String| {
        CLAIMS.iter().find(|claim| claim.name.eq_ignore_ascii_case(name)).ok_or_else(|| {
            Failure::Options(format!("--only: there is no claim '{name}'; there are {}", all()))
        })
    };
    names.iter().map(find).collect()
}

fn judge(claim: &'static Claim, bench: &mut Bench, tls_words: &str) -> Judged {
    let mut finding = Finding::default();
    let (verdict, failure) = match measure(claim, bench, &mut finding) {
        Ok(()) if finding.holds => (Verdict::Holds, None),
        Ok(()) => (Verdict::DoesNotHold, None),
        Err(Failure::NotAvailable(text)) => {
            finding.say(format!("nothing: {text}"));
            (Verdict::NotAvailable, None)
        }
        // A server without COMMAND INFO says it when it is asked to do it.
        Err(Failure::Replies(text)) if text.contains(UNKNOWN_COMMAND) => {
            finding.say(format!("no further: {text}"));
            (Verdict::NotAvailable, None)
        }
        Err(failure) => (Verdict::Failed, Some(bench.spoiled(&failure))),
    };
    Judged {
        name: claim.name,
        claim: claim.text,
        verdict,
        failure,
        measured: finding.measured,
        figures: finding.figures,
        by_hand: by_hand(claim, bench.server().ok().map(Server::port), tls_words),
    }
}

fn by_hand(claim: &Claim, port: Option<u16>, tls_words: &str) -> String {
    let port = port.map_or(NO_PORT.into(), |port| port.to_string());
    let access = format!("-p {{port}} {tls_words}");
    claim.by_hand.replace("-p {port}", access.trim_end()).replace("{port}", &port)
}

fn measure(claim: &Claim, bench: &mut Bench, finding: &mut Finding) -> Result<(), Failure> {
    bench.ready()?;
    let lacking = bench.lacking(claim.commands)?;
    if !lacking.is_empty() {
        return Err(Failure::NotAvailable(format!("the server has no {}", lacking.join(", "))));
    }
    bench.clear()?;
    (claim.measure)(bench, finding)
}

fn print(judged: &Judged) {
    println!("\n{}: {}", judged.name, judged.claim);
    for (index, sentence) in judged.measured.iter().enumerate() {
        println!("  {:<9}{sentence}", if index == 0 { "measured" } else { "" });
    }
    println!("  {:<9}{}", "by hand", judged.by_hand);
    let why = judged.failure.as_ref().map_or(String::new(), |failure| format!(": {failure}"));
    println!("  {:<9}{}{why}", "verdict", judged.verdict.text());
}

fn names_of(judged: &[Judged], verdict: Verdict) -> String {
    let names = judged.iter().filter(|each| each.verdict == verdict).map(|each| each.name);
    names.collect::<Vec<_>>().join(", ")
}

/// `8 of 10 claims hold; not available: publish`
fn summary(judged: &[Judged]) -> String {
    let holding = judged.iter().filter(|each| each.verdict == Verdict::Holds).count();
    let mut text = format!("{holding} of {} claims hold", judged.len());
    for verdict in [Verdict::DoesNotHold, Verdict::Failed, Verdict::NotAvailable] {
        let names = names_of(judged, verdict);
        if !names.is_empty() {
            text.push_str(&format!("; {}: {names}", verdict.text()));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn claims_are_chosen_by_name() {
        assert_eq!(chosen(&[]).unwrap().len(), CLAIMS.len());
        assert_eq!(chosen(&["Scan".into()]).unwrap()[0].name, "scan");
        let error = chosen(&["speed".into()]).err().unwrap().to_string();
        assert!(error.contains("'speed'") && error.contains("leaderboard"), "{error}");
    }

    #[test]
    fn by_hand_there_is_tls_too() {
        let plain = by_hand(&messages::PUBLISH, Some(7000), "");
        assert!(plain.starts_with("redis-cli -p 7000 SUBSCRIBE channel"), "{plain}");
        let text = by_hand(&messages::PUBLISH, Some(7000), "--tls --cacert ca.crt");
        assert!(text.contains("redis-cli -p 7000 --tls --cacert ca.crt PUBLISH channel"), "{text}");
        assert!(text.contains("tcpdump -i lo port 7000 beside"), "{text}");
        assert!(by_hand(&messages::PUBLISH, None, "").starts_with("redis-cli -p PORT SUBSCRIBE"));
    }

    #[test]
    fn the_summary_names_what_fails() {
        let judged = |name, verdict| Judged {
            name,
            claim: "",
            verdict,
            failure: None,
            measured: Vec::new(),
            figures: BTreeMap::new(),
            by_hand: String::new(),
        };
        let all = [
            judged("scan", Verdict::Holds),
            judged("publish", Verdict::NotAvailable),
            judged("expiry", Verdict::DoesNotHold),
            judged("updates", Verdict::Failed),
        ];
        let text = summary(&all);
        assert_eq!(
            text,
            "1 of 4 claims hold; DOES NOT HOLD: expiry; FAILED: updates; not available: publish"
        );
        let text = conclude(&all).unwrap_err().to_string();
        assert_eq!(text, "does not hold here: expiry; failed: updates");
        assert!(conclude(&all[..2]).is_ok());
    }
}
