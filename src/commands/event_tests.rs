//! Every command tells the events that Redis tells, in their order: the scripts of `tests/events`, which
//! `tests/events.rs` has redis-server judge.

#[path = "../../tests/support/events.rs"]
#[allow(dead_code, reason = "what only redis-server is judged by")]
mod script;

use super::testing::Harness;
use crate::keyspace::EventClasses;
use script::{Action, CLASSES, parse, scripts, show};

const CLASSES_OF_LETTERS: [EventClasses; 11] = [
    EventClasses::GENERIC,
    EventClasses::STRING,
    EventClasses::LIST,
    EventClasses::SET,
    EventClasses::HASH,
    EventClasses::SORTED_SET,
    EventClasses::EXPIRED,
    EventClasses::EVICTED,
    EventClasses::STREAM,
    EventClasses::KEY_MISS,
    EventClasses::NEW,
];

fn letter(class: EventClasses) -> char {
    let position = CLASSES_OF_LETTERS.iter().position(|known| *known == class);
    CLASSES.chars().nth(position.expect("a class of one bit")).expect("as many letters as classes")
}

/// What all shards have told since the last time.
fn events(harness: &mut Harness) -> Vec<String> {
    let mut shown = Vec::new();
    for keyspace in &mut harness.keyspaces {
        keyspace.take_events(&mut |event| {
            shown.push(show(letter(event.class), event.name, event.key, event.database));
        });
    }
    shown
}

fn listen(harness: &mut Harness) {
    let all = CLASSES_OF_LETTERS.iter().fold(EventClasses::NONE, |all, &class| all.with(class));
    harness.keyspaces.iter_mut().for_each(|keyspace| keyspace.set_events(all));
}

/// Runs all scripts; `in_order`: events of several keys come in the order of redis-server's, too.
fn run(shards: usize, in_order: bool) {
    let mut differences = 0;
    for (name, text) in scripts() {
        let mut harness = Harness::with_shards(shards, false);
        listen(&mut harness);
        let mut now = harness.keyspaces[0].now();
        for step in parse(&text) {
            match &step.action {
                Action::Command(arguments) => drop(harness.run_arguments(arguments)),
                Action::Select(database) => harness.database = *database,
                Action::Later(milliseconds) => {
                    now += *milliseconds as i64;
                    harness.set_now(now);
                }
            }
            let (mut told, mut expected) = (events(&mut harness), step.events);
            if !in_order {
                told.sort();
                expected.sort();
            }
            if told != expected {
                differences += 1;
                println!("{name}:{}: {}", step.line_number, step.text);
                println!("  expected {expected:?}\n  told     {told:?}");
            }
        }
    }
    assert_eq!(differences, 0, "see above");
}

#[test]
fn one_shard_tells_what_redis_tells() {
    run(1, true);
}

#[test]
fn four_shards_tell_the_same_events() {
    run(4, false);
}

#[test]
fn nobody_hears_of_classes_that_nobody_wants() {
    let mut harness = Harness::new();
    harness.run("SET k v");
    assert!(events(&mut harness).is_empty());
    harness.keyspaces[0].set_events(EventClasses::STRING);
    harness.run("SET k v EX 10");
    harness.run("DEL k");
    assert_eq!(events(&mut harness), ["$ set k"]);
    harness.keyspaces[0].set_events(EventClasses::NONE);
    harness.run("SET k v");
    assert!(events(&mut harness).is_empty());
}
