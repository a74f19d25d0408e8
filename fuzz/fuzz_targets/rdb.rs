//! Any bytes as a value of a snapshot, see `checks/value.rs`.
//!
//! The first byte says how long the parts are that the decoder gets, the second how large a budget is.
#![no_main]

#[path = "../checks/mod.rs"]
#[allow(dead_code, reason = "every target calls one of the checks")]
mod checks;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let [part, budget, bytes @ ..] = data else { return };
    checks::value::check(bytes, usize::from(*part) * 8 + 1, usize::from(*budget) + 1);
});
