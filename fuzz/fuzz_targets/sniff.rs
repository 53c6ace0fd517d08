//! What a file is, and what in a configuration can run.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sovai_formats::{external_data, sniff, surface};

fuzz_target!(|bytes: &[u8]| {
    let _ = sniff(bytes, bytes.len() as u64, "model.bin");
    let _ = surface::config("tokenizer_config.json", bytes);
    let _ = external_data(bytes);
});
