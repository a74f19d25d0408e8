use std::collections::HashSet;

use proptest::prelude::*;

use super::*;

const SPARSE_BYTES_MAX: usize = 3000;

fn registers_of(bytes: &[u8]) -> Registers {
    let mut registers = [0; REGISTERS];
    View::of(bytes).unwrap().merge_into(&mut registers).unwrap();
    registers
}

fn estimate_of(bytes: &[u8]) -> u64 {
    View::of(bytes).unwrap().estimate().unwrap()
}

#[test]
fn a_level_is_half_as_frequent_as_the_one_below() {
    let mut levels = [0u32; 52];
    for element in 0..100_000u32 {
        let (register, level) = hash::register_and_level(&element.to_le_bytes());
        assert!(register < REGISTERS && (1..=REGISTER_MAX).contains(&level));
        levels[level as usize] += 1;
    }
    for (level, &count) in levels.iter().enumerate().take(8).skip(1) {
        let expected = 100_000 >> level;
        assert!(count.abs_diff(expected) < 1000, "{count} elements have level {level}");
    }
}

#[test]
fn estimates_are_within_their_standard_error() {
    for exponent in 1..=6 {
        let (elements, rounds) = (10u64.pow(exponent), if exponent < 6 { 60 } else { 20 });
        let mut squares = 0.0;
        for round in 0..rounds as u64 {
            let mut bytes = EMPTY.to_vec();
            for element in 0..elements {
                add(&mut bytes, &(round << 32 | element).to_le_bytes(), SPARSE_BYTES_MAX).unwrap();
            }
            let error = estimate_of(&bytes) as f64 / elements as f64 - 1.0;
            assert!(error.abs() < 0.05, "{elements} elements were off by {error}");
            squares += error * error;
        }
        let deviation = (squares / rounds as f64).sqrt();
        // 0.81 %, and what so few rounds may differ by.
        assert!(deviation < 0.0081 * 1.35, "{elements} elements: {deviation}");
    }
}

#[test]
fn a_sparse_one_becomes_dense_when_it_is_too_long_or_a_register_too_high() {
    let mut bytes = EMPTY.to_vec();
    let mut added = 0u32;
    while View::of(&bytes).unwrap().encoding() == Encoding::Sparse {
        assert!(bytes.len() <= 300);
        add(&mut bytes, &added.to_le_bytes(), 300).unwrap();
        added += 1;
    }
    assert_eq!(bytes.len(), DENSE_BYTES);
    assert!(added > 100);

    let mut bytes = EMPTY.to_vec();
    let mut place = sparse::Place::default();
    assert_eq!(raise_sparse(&mut bytes, 77, 32, 3000, &mut place), Ok(true));
    let mut place = sparse::Place::default();
    assert_eq!(raise_sparse(&mut bytes, 78, 33, 3000, &mut place), Ok(true));
    assert_eq!(View::of(&bytes).unwrap().encoding(), Encoding::Dense);
    assert_eq!(&registers_of(&bytes)[76..80], [0, 32, 33, 0]);
}

#[test]
fn the_self_test_passes() {
    for seed in [0, 1, 7_000_000_007] {
        assert_eq!(self_test(seed, SPARSE_BYTES_MAX), Ok(()));
    }
}

#[test]
fn foreign_strings_are_refused() {
    for bytes in
        [&b""[..], b"HYLL", b"HYLL\x01\0\0\0\0\0\0\0\0\0\0", b"HYLX\x01\0\0\0\0\0\0\0\0\0\0\0\x7f\xff"]
    {
        assert_eq!(View::of(bytes).err(), Some(Flaw::Foreign));
    }
    let mut bytes = EMPTY.to_vec();
    bytes[ENCODING] = 2;
    assert_eq!(View::of(&bytes).err(), Some(Flaw::Foreign));
    bytes[ENCODING] = 0;
    assert_eq!(View::of(&bytes).err(), Some(Flaw::Foreign));
    bytes.resize(DENSE_BYTES, 0);
    assert!(View::of(&bytes).is_ok());
}

proptest! {
    #[test]
    fn any_bytes_are_read_or_refused(
        mut bytes in prop::collection::vec(any::<u8>(), 0..60), whole: bool, element: u64, limit in 0..80usize,
    ) {
        let mut string = EMPTY[..HEADER_BYTES].to_vec();
        if whole {
            bytes.truncate(50);
            // So many zeros that the registers are often complete.
            let run: usize = sparse::opcodes(&bytes).map(|(_, opcode)| run_of(opcode)).sum();
            if let Some(rest @ 1..) = REGISTERS.checked_sub(run) {
                bytes.extend([0x40 | ((rest - 1) >> 8) as u8, (rest - 1) as u8]);
            }
        }
        string.extend_from_slice(&bytes);
        let view = View::of(&string).unwrap();
        let (check, estimate) = (view.check(), view.estimate());
        prop_assert_eq!(check.is_ok(), estimate.is_ok());
        let mut merged = [0; REGISTERS];
        prop_assert_eq!(view.merge_into(&mut merged).is_ok(), check.is_ok());
        let before = string.clone();
        match add(&mut string, &element.to_le_bytes(), limit) {
            Ok(changed) => prop_assert_eq!(changed, string != before),
            Err(flaw) => {
                prop_assert_eq!(flaw, Flaw::Corrupted);
                prop_assert_eq!(&string, &before);
            }
        }
        if check.is_ok() {
            let (register, level) = hash::register_and_level(&element.to_le_bytes());
            merged[register] = merged[register].max(level);
            prop_assert!(registers_of(&string) == merged);
        }
    }

    #[test]
    fn registers_are_raised_one_by_one_and_all_at_once(
        levels in prop::collection::vec((0..300usize, 1..34u8), 1..200), limit in 20..400usize,
    ) {
        let mut one = EMPTY.to_vec();
        let mut model = [0; REGISTERS];
        for (register, level) in levels {
            let mut place = sparse::Place::default();
            let sparse = View::of(&one).unwrap().encoding() == Encoding::Sparse;
            let raised = model[register] < level;
            model[register] = level.max(model[register]);
            if sparse {
                prop_assert_eq!(raise_sparse(&mut one, register, level, limit, &mut place), Ok(raised));
                prop_assert!(registers_of(&one) == model);
                prop_assert!(one.len() <= limit.max(EMPTY.len()) || one.len() == DENSE_BYTES);
            }
        }
        // All at once is one after the other, each searched from the start.
        let mut all = EMPTY.to_vec();
        raise_all(&mut all, &model, false, limit).unwrap();
        let mut each = EMPTY.to_vec();
        for (register, &level) in model.iter().enumerate().filter(|&(_, &level)| level > 0) {
            if View::of(&each).unwrap().encoding() == Encoding::Dense {
                dense::set(&mut each[HEADER_BYTES..], register, level);
            } else {
                raise_sparse(&mut each, register, level, limit, &mut sparse::Place::default()).unwrap();
            }
        }
        forget_estimate(&mut each);
        prop_assert_eq!(&all, &each);
        prop_assert!(registers_of(&all) == model);
        let mut dense = all.clone();
        make_dense(&mut dense).unwrap();
        prop_assert!(registers_of(&dense) == model);
        prop_assert_eq!(estimate_of(&all), estimate_of(&dense));
        prop_assert_eq!(estimate_of(&all), estimate(&model));
    }

    #[test]
    fn the_union_is_what_both_were_added_to(
        first in prop::collection::vec(any::<u32>(), 0..3000), second in prop::collection::vec(any::<u32>(), 0..30),
    ) {
        let add_all = |bytes: &mut Vec<u8>, elements: &[u32]| {
            for element in elements {
                add(bytes, &element.to_le_bytes(), SPARSE_BYTES_MAX).unwrap();
            }
        };
        let (mut left, mut right, mut both) = (EMPTY.to_vec(), EMPTY.to_vec(), EMPTY.to_vec());
        add_all(&mut left, &first);
        add_all(&mut right, &second);
        add_all(&mut both, &first);
        add_all(&mut both, &second);
        let mut registers = registers_of(&left);
        View::of(&right).unwrap().merge_into(&mut registers).unwrap();
        prop_assert!(registers == registers_of(&both));
        let different: HashSet<&u32> = first.iter().chain(&second).collect();
        let error = estimate_of(&both) as f64 - different.len() as f64;
        prop_assert!(error.abs() <= 2.0 + different.len() as f64 * 0.06, "{} of {}", error, different.len());
    }
}

fn run_of(opcode: Opcode) -> usize {
    match opcode {
        Opcode::Zeros(run) | Opcode::ManyZeros(run) | Opcode::Value { run, .. } => run,
    }
}
