//! Indexes of shards.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sovai_formats::index::{Check, Index};

fuzz_target!(|bytes: &[u8]| {
    let Ok(check) = Index::parse(bytes).and_then(Check::new) else { return };
    assert!(check.shards().iter().all(|file| !file.contains('/') && file != ".."));
    let _ = check.finish(|_| false, ["model.safetensors"]);
});
