//! See `checks/structures.rs`.
#![no_main]

#[path = "../checks/mod.rs"]
#[allow(dead_code, reason = "every target calls one of the checks")]
mod checks;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    checks::structures::check(data);
});
