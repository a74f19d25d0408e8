//! What the fuzz targets check, on their seeds and on bytes from a seeded generator.

#[path = "../fuzz/checks/mod.rs"]
mod checks;
mod support;

use std::path::Path;

use support::random::{Random, seed};

const STRINGS: usize = 3_000;
const LENGTH_MAX: usize = 400;

/// Calls `check` with every seed of a target, of which there are some.
fn each_seed(target: &str, mut check: impl FnMut(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/seeds").join(target);
    let mut count = 0;
    for file in std::fs::read_dir(&folder).expect("a folder of seeds") {
        let path = file.expect("a seed").path();
        println!("{}", path.display());
        check(&std::fs::read(path).expect("a seed"));
        count += 1;
    }
    assert!(count > 0, "{} is empty", folder.display());
}

fn each_random_string(test: &str, mut check: impl FnMut(&[u8])) {
    let seed = seed("fuzz_seeds", test);
    for number in 0..STRINGS {
        let mut random = Random::new(seed.wrapping_add(number as u64));
        let length = random.below(LENGTH_MAX);
        check(&random.bytes(length));
    }
}

#[test]
fn structures_agree_with_plain_ones() {
    each_seed("structures", checks::structures::check);
    each_random_string("structures", checks::structures::check);
}

#[test]
fn framed_blocks_are_read_or_refused() {
    each_seed("encodings", |data| {
        checks::encodings::check(data);
    });
    let mut values = 0;
    each_random_string("framed", |data| values += usize::from(checks::encodings::check(data)));
    assert!(values > STRINGS / 20, "{values} of {STRINGS}: most frames are wrong");
}

#[test]
fn any_bytes_are_a_value_or_refused() {
    each_seed("rdb", |data| {
        let [part, budget, bytes @ ..] = data else { return };
        checks::value::check(bytes, usize::from(*part) * 8 + 1, usize::from(*budget) + 1);
    });
}
