//! Headers of safetensors files, and looking into what they describe.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sovai_formats::{safetensors, scan::Scan};

fuzz_target!(|bytes: &[u8]| {
    let Ok(parsed) = safetensors::parse(bytes, bytes.len() as u64) else { return };
    // What is accepted describes every byte of the file.
    let map = parsed.tensors;
    assert_eq!(map.header().end + map.bytes(), bytes.len() as u64);
    let mut scan = Scan::new(&map);
    for (at, piece) in bytes.chunks(13).enumerate() {
        scan.update(at as u64 * 13, piece);
    }
    let _ = scan.finish().warnings(&map);
});
