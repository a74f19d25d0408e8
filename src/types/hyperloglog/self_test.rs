//! What PFSELFTEST runs: registers keep what they are given, and estimates are as good as they are said to be.

use super::{EMPTY, Encoding, REGISTERS, Registers, View, add, dense, make_dense};

/// How often all registers are set.
const REGISTER_ROUNDS: usize = 20;

/// Different elements that are added, a power of ten.
const ELEMENTS: u64 = 1_000_000;

/// Standard errors that an estimate may be off.
const ERRORS_MAX: f64 = 6.0;

/// What a self-test found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    Register { register: usize, expected: u8, found: u8 },
    NotSparse,
    FormsDisagree,
    TooFarOff { elements: u64, error: u64 },
}

/// Some tens of milliseconds; other elements with every seed.
pub fn self_test(seed: u64, sparse_bytes_max: usize) -> Result<(), Failure> {
    test_registers(seed)?;
    test_estimates(seed, sparse_bytes_max)
}

fn test_registers(seed: u64) -> Result<(), Failure> {
    let mut state = seed | 1;
    let mut bytes = vec![0; dense::BYTES];
    for _ in 0..REGISTER_ROUNDS {
        let mut expected: Registers = [0; REGISTERS];
        for (register, level) in expected.iter_mut().enumerate() {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            *level = (state >> 58) as u8;
            dense::set(&mut bytes, register, *level);
        }
        for (register, &expected) in expected.iter().enumerate() {
            let found = dense::get(&bytes, register);
            if found != expected {
                return Err(Failure::Register { register, expected, found });
            }
        }
    }
    Ok(())
}

fn test_estimates(seed: u64, sparse_bytes_max: usize) -> Result<(), Failure> {
    let mut sparse = EMPTY.to_vec();
    let mut dense = EMPTY.to_vec();
    // What was just made has no flaw.
    let _ = make_dense(&mut dense);
    let estimate = |bytes: &Vec<u8>| View::of(bytes).and_then(View::estimate).unwrap_or(u64::MAX);
    let mut checkpoint = 1;
    for element in 1..=ELEMENTS {
        let bytes = (element ^ seed).to_le_bytes();
        let _ = add(&mut sparse, &bytes, sparse_bytes_max);
        let _ = add(&mut dense, &bytes, sparse_bytes_max);
        if element != checkpoint {
            continue;
        }
        let is_sparse = View::of(&sparse).is_ok_and(|view| view.encoding() == Encoding::Sparse);
        if element < sparse_bytes_max as u64 / 2 && !is_sparse {
            return Err(Failure::NotSparse);
        }
        let estimated = estimate(&dense);
        if estimated != estimate(&sparse) {
            return Err(Failure::FormsDisagree);
        }
        let error = estimated.abs_diff(element);
        let standard_error = 1.04 / (REGISTERS as f64).sqrt();
        if error > (standard_error * ERRORS_MAX * element as f64).ceil() as u64 {
            return Err(Failure::TooFarOff { elements: element, error });
        }
        checkpoint *= 10;
    }
    Ok(())
}
