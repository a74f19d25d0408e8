//! The golden scripts of `tests/golden`, run against redis-server (is the script right?) and against
//! polder on one and on four shards (is the server right?). The format: `tests/support/script.rs`.
//!
//! `GOLDEN=string/set cargo test --test golden` runs the scripts whose names contain that text.

mod support;

use std::collections::HashSet;
use std::path::Path;

use support::client::Reply;
use support::script::{Script, discover};
use support::server::{Server, Variant};

fn run_all(variant: Variant) {
    let record = std::env::var("GOLDEN_RECORD").ok().filter(|_| variant == Variant::Reference);
    let scripts = discover(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden"));
    assert!(!scripts.is_empty(), "no script is selected");
    let mut shared: Option<Server> = None;
    let mut steps = 0;
    let mut failed = Vec::new();
    let total = scripts.len();
    for mut script in scripts {
        if !script.runs_on(variant) {
            continue;
        }
        let outcome = match script.own_server(variant) {
            Some(arguments) => {
                let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
                script.run(&variant.start(&arguments), variant, record.as_deref())
            }
            None => {
                let server = shared.get_or_insert_with(|| variant.start(&[]));
                if !server.is_running() {
                    println!("the server has died before {}; its log:\n{}", script.name, server.log());
                    *server = variant.start(&[]);
                }
                let mut cleaner = server.client();
                cleaner.run("FLUSHALL");
                cleaner.run("CONFIG RESETSTAT");
                script.run(server, variant, record.as_deref())
            }
        };
        steps += outcome.steps;
        if record.is_some() {
            save(&script);
        }
        if !outcome.differences.is_empty() {
            outcome.differences.iter().for_each(|difference| println!("{difference}"));
            failed.push(script.name.clone());
        }
    }
    println!("{variant:?}: {total} scripts, {steps} steps, {} scripts with differences", failed.len());
    assert!(
        failed.is_empty(),
        "{variant:?}: {} of {total} scripts differ: {}\nreplay one: GOLDEN={} cargo test --test golden",
        failed.len(),
        failed.join(" "),
        failed[0]
    );
}

fn save(script: &Script) {
    std::fs::write(&script.path, script.to_text()).expect("the scripts can be written");
}

#[test]
fn reference() {
    run_all(Variant::Reference);
}

#[test]
fn polder_one_shard() {
    run_all(Variant::Polder { shards: 1 });
}

#[test]
fn polder_four_shards() {
    run_all(Variant::Polder { shards: 4 });
}

#[test]
fn polder_on_epoll() {
    run_all(Variant::PolderOnEpoll);
}

/// A command that the server lists without a script that runs it is a claim without a proof.
#[test]
fn every_command_has_a_script() {
    let scripts = discover(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden"));
    let tried: HashSet<String> = scripts.iter().flat_map(Script::commands).collect();
    let server = Server::polder(1, &[]);
    let mut client = server.client();
    let listed: Vec<String> = client.run("COMMAND LIST").items().iter().map(Reply::text).collect();
    let started = ["shutdown"];
    let missing: Vec<&String> =
        listed.iter().filter(|name| !tried.contains(*name) && !started.contains(&name.as_str())).collect();
    assert!(missing.is_empty(), "no golden script runs {missing:?} (SHUTDOWN has its place in startup.rs)");
}
