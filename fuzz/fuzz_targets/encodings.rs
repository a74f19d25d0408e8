//! See `checks/encodings.rs`.
#![no_main]

#[path = "../checks/mod.rs"]
#[allow(dead_code, reason = "every target calls one of the checks")]
mod checks;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let _ = checks::encodings::check(data);
});
