use proptest::prelude::*;

use crate::commands::testing::Harness;

#[test]
fn what_changes_nothing_is_no_change() {
    let mut harness = Harness::new();
    let mut changes = |line: &str| {
        let before = harness.dirty();
        harness.run(line);
        harness.dirty() - before
    };
    assert_eq!(changes("PFADD k"), 1, "the key is new");
    assert_eq!(changes("PFADD k"), 0);
    assert_eq!(changes("PFADD k a b c"), 1);
    assert_eq!(changes("PFADD k a b c"), 0);
    assert_eq!(changes("PFCOUNT k"), 1, "the estimate is kept");
    assert_eq!(changes("PFCOUNT k"), 0);
    assert_eq!(changes("PFCOUNT k missing"), 0);
    assert_eq!(changes("PFMERGE k missing"), 1);
    assert_eq!(changes("PFMERGE new"), 1);
    assert_eq!(changes("PFDEBUG TODENSE k"), 1);
    assert_eq!(changes("PFDEBUG TODENSE k"), 0);
    assert_eq!(changes("PFDEBUG GETREG k"), 0);
}

/// Keys on four shards, two of them on one.
const KEYS: &[&str] = &["a", "b", "c", "d", "{a}x", "missing"];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]
    #[test]
    fn several_shards_answer_and_store_as_one_does(
        adds in prop::collection::vec((0..5usize, 0..200_000u32, 1..1500u32), 1..8),
        merges in prop::collection::vec(prop::collection::vec(prop::sample::select(KEYS), 1..5), 1..5),
        flaw in 0..12usize,
    ) {
        let mut one = Harness::new();
        let mut four = Harness::with_shards(4, true);
        let mut lines = Vec::new();
        for (key, first, count) in adds {
            let elements: Vec<String> = (first..first + count).map(|element| element.to_string()).collect();
            lines.push(format!("PFADD {} {}", KEYS[key], elements.join(" ")));
        }
        match flaw {
            0 => lines.push("SET b HYLX".to_owned()),
            1 => lines.push("RPUSH d x".to_owned()),
            _ => {}
        }
        for merge in merges {
            lines.push(format!("PFCOUNT {}", merge.join(" ")));
            lines.push(format!("PFMERGE {}", merge.join(" ")));
            lines.push(format!("PFCOUNT {}", merge[0]));
            lines.push(format!("GET {}", merge[0]));
        }
        for line in lines {
            prop_assert_eq!(one.run(&line), four.run(&line), "{}", line);
        }
    }
}
