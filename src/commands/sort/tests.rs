//! What the golden scripts do not show: shards against one another, and patterns taken apart.

use proptest::prelude::*;

use super::{Pattern, has_pattern, store_position};
use crate::commands::testing::{Harness, with_args};

/// Names of keys that several shards share out differently, and some that always share a shard.
const KEYS: [&str; 5] = ["a", "b", "c", "{s}x", "{s}y"];

fn key() -> impl Strategy<Value = &'static str> {
    prop::sample::select(KEYS.to_vec())
}

fn options() -> impl Strategy<Value = String> {
    let option = prop::sample::select(vec![
        "BY w_*",
        "BY h_*->f",
        "BY nosort",
        "GET w_*",
        "GET #",
        "GET h_*->f",
        "GET *",
        "GET none",
        "DESC",
        "ALPHA",
        "LIMIT 1 2",
        "LIMIT 0 -1",
        "STORE a",
        "STORE {s}y",
        "STORE w_1",
        "FOO",
    ]);
    prop::collection::vec(option, 0..4).prop_map(|options| options.join(" "))
}

fn line() -> impl Strategy<Value = String> {
    let number = || prop::sample::select(vec!["1", "2", "3", "4", "10", "x"]);
    prop_oneof![
        4 => (key(), number(), number(), number())
            .prop_map(|(key, one, two, three)| format!("RPUSH {key} {one} {two} {three}")),
        1 => (key(), number(), number()).prop_map(|(key, one, two)| format!("SADD {key} {one} {two}")),
        1 => (key(), number(), number()).prop_map(|(key, one, two)| format!("ZADD {key} 1 {one} 2 {two}")),
        2 => (number(), number()).prop_map(|(element, weight)| format!("SET w_{element} {weight}")),
        2 => (number(), number()).prop_map(|(element, weight)| format!("HSET h_{element} f {weight}")),
        1 => key().prop_map(|key| format!("DEL {key}")),
        1 => key().prop_map(|key| format!("LRANGE {key} 0 -1")),
        6 => (key(), options()).prop_map(|(key, options)| format!("SORT {key} {options}")),
        2 => (key(), options()).prop_map(|(key, options)| format!("SORT_RO {key} {options}")),
    ]
}

proptest! {
    #[test]
    fn several_shards_answer_as_one(lines in prop::collection::vec(line(), 1..60), resp3: bool) {
        let mut harnesses = [
            Harness::new(),
            Harness::with_shards(2, false),
            Harness::with_shards(4, false),
            Harness::with_shards(16, true),
        ];
        harnesses.iter_mut().for_each(|harness| harness.resp3 = resp3);
        for line in &lines {
            let replies = harnesses.each_mut().map(|harness| harness.show(line));
            prop_assert!(replies.iter().all(|reply| *reply == replies[0]), "{}: {:?}", line, replies);
        }
        let dirty = harnesses.each_ref().map(Harness::dirty);
        prop_assert!(dirty.iter().all(|count| *count == dirty[0]), "changes: {:?}", dirty);
    }

    #[test]
    fn any_pattern_is_taken(text: Vec<u8>, element: Vec<u8>) {
        let pattern = Pattern::of(&text);
        prop_assert_eq!(pattern.is_some(), text.contains(&b'*'));
        if let Some(pattern) = pattern {
            let field = pattern.field.map_or(0, |field| field.len() + 2);
            prop_assert_eq!(pattern.key(&element).len() + 1 + field, text.len() + element.len());
        }
    }
}

#[test]
fn a_pattern_names_a_key_or_a_field() {
    let taken = |text: &'static str| {
        let pattern = Pattern::of(text.as_bytes())?;
        let field = pattern.field.map(|field| String::from_utf8_lossy(field).into_owned());
        Some((String::from_utf8(pattern.key(b"7")).unwrap(), field))
    };
    let key = |key: &str| Some((key.to_owned(), None));
    let field = |key: &str, field: &str| Some((key.to_owned(), Some(field.to_owned())));
    assert_eq!(taken("w_*"), key("w_7"));
    assert_eq!(taken("*"), key("7"));
    assert_eq!(taken("a*b*c"), key("a7b*c"));
    assert_eq!(taken("w_*->f"), field("w_7", "f"));
    assert_eq!(taken("w_*x->f->g"), field("w_7x", "f->g"));
    assert_eq!(taken("w_*->"), key("w_7->"));
    assert_eq!(taken("a->b*"), key("a->b7"));
    assert_eq!(taken("#"), None);
    assert_eq!(taken("nosort"), None);
}

#[test]
fn options_are_found_among_others() {
    let store = |line: &str| with_args(line, |args| store_position(&args));
    assert_eq!(store("SORT a STORE b"), Some(3));
    assert_eq!(store("SORT a BY STORE STORE b"), Some(5));
    assert_eq!(store("SORT a LIMIT STORE STORE get x"), None);
    assert_eq!(store("SORT a GET STORE"), None);
    assert_eq!(store("SORT a store b STORE c"), Some(5));
    let patterns = |line: &str| with_args(line, |args| has_pattern(&args));
    assert!(patterns("SORT a BY *") && patterns("SORT a DESC get x* ALPHA"));
    assert!(!patterns("SORT a*") && !patterns("SORT a BY b GET # STORE *"));
}
