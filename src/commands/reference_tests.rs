//! Compares every command record with the facts about Redis's commands in `tests/reference`.

use super::{Begin, Command, FAMILIES, Find, KeySpec, category, flag, key_flag};
use std::collections::HashMap;

const REFERENCE: &str = include_str!("../../tests/reference/commands.tsv");

/// The names of the set bits, sorted, as the reference writes its lists.
fn sorted<'a>(names: impl Iterator<Item = &'a str>) -> Vec<String> {
    let mut names: Vec<String> = names.filter(|name| !name.is_empty()).map(str::to_lowercase).collect();
    names.sort();
    names
}

fn set_names(bits: u32, table: &[(u32, &'static str)]) -> Vec<String> {
    sorted(table.iter().filter(|(bit, _)| bits & bit != 0).map(|(_, name)| *name))
}

fn flag_names(bits: u32) -> Vec<String> {
    let mut names = set_names(bits, flag::NAMES);
    if bits & flag::SENTINEL != 0 {
        names.push("sentinel".to_owned());
        names.sort();
    }
    names
}

fn spec_text(spec: &KeySpec) -> String {
    let begin = match spec.begin {
        Begin::Index(index) => format!("i{index}"),
        Begin::Keyword { word, from } => format!("k{word}@{from}"),
        Begin::StoreOption | Begin::Unknown => "?".to_owned(),
    };
    let find = match spec.find {
        Find::Range { last, step, limit } => format!("range:{last},{step},{limit}"),
        Find::Count { count, first, step } => format!("keynum:{count},{first},{step}"),
        Find::Unknown => "?".to_owned(),
    };
    let flags = key_flag::NAMES.iter().filter(|(bit, _)| spec.flags & bit != 0).map(|(_, name)| *name);
    format!("{begin}/{find}/{}", sorted(flags).join("+"))
}

/// A specification of the reference with its flags sorted.
fn normalised(spec: &str) -> String {
    let (place, flags) = spec.rsplit_once('/').unwrap();
    format!("{place}/{}", sorted(flags.split('+')).join("+"))
}

fn check(command: &Command, reference: &HashMap<&str, Vec<&str>>) {
    let name = command.name;
    let fields = reference.get(name).unwrap_or_else(|| panic!("{name} is no command of the reference"));
    let field = |index: usize| fields.get(index).copied().unwrap_or_default();
    assert_eq!(command.group.name(), field(1), "group of {name}");
    assert_eq!(command.since, field(2), "since of {name}");
    assert_eq!(command.arity.to_string(), field(3), "arity of {name}");
    assert_eq!(flag_names(command.flags), sorted(field(4).split(',')), "flags of {name}");
    assert_eq!(
        set_names(command.categories, category::NAMES),
        sorted(field(5).split(',')),
        "categories of {name}"
    );
    let specs: Vec<String> = command.keys.iter().map(spec_text).collect();
    let expected: Vec<String> = field(6).split(';').filter(|spec| !spec.is_empty()).map(normalised).collect();
    assert_eq!(specs, expected, "keys of {name}");
    assert_eq!(command.deprecated.map_or("", |(since, _)| since), field(7), "deprecation of {name}");
    command.subcommands.iter().for_each(|subcommand| check(subcommand, reference));
}

#[test]
fn every_record_says_what_the_reference_says() {
    let reference: HashMap<&str, Vec<&str>> = REFERENCE
        .lines()
        .skip(1)
        .map(|line| line.split('\t').collect::<Vec<&str>>())
        .map(|fields| (fields[0], fields))
        .collect();
    FAMILIES.iter().flat_map(|family| family.iter()).for_each(|command| check(command, &reference));
}
