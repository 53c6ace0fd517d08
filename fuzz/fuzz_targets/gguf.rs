//! Headers of GGUF files.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sovai_formats::gguf;
use std::io::Cursor;

fuzz_target!(|bytes: &[u8]| {
    let size = bytes.len() as u64;
    let Ok(parsed) = gguf::parse(&mut Cursor::new(bytes), size) else { return };
    // What is accepted lies in the file, in order.
    let mut end = parsed.tensors.header().end;
    for tensor in parsed.tensors.iter() {
        assert!(tensor.range().start >= end && tensor.range().end <= size);
        end = tensor.range().end;
    }
});
