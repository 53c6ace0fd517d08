//! The strict JSON reader: what it takes, it takes again when it is written.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sovai_signing::json::{Limits, parse};

fuzz_target!(|bytes: &[u8]| {
    let Ok(value) = parse(bytes, Limits::STATEMENT) else { return };
    // Not compared: a floating-point number may come back as its neighbour.
    assert!(parse(value.to_string().as_bytes(), Limits::STATEMENT).is_ok());
});
