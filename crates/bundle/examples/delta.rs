//! Measures what a delta carries: `cargo run --release -p sovai-bundle --example delta -- OLD NEW`.
//!
//! Prints, for each way of cutting and for several sizes of pieces, which share of NEW is not in OLD, in how many segments.
#![expect(clippy::print_stdout, reason = "a measuring program")]

use sha2::Digest as _;
use sovai_bundle::BaseBlob;
use sovai_bundle::delta::{Cutting, Reuse, carried};
use sovai_core::Sha256;
use std::fs::File;
use std::time::Instant;

fn open(path: &str) -> Result<(File, BaseBlob), Box<dyn std::error::Error>> {
    let bytes = fs_err::read(path)?;
    let digest = Sha256::from_bytes(sha2::Sha256::digest(&bytes).into());
    Ok((fs_err::File::open(path)?.into_parts().0, BaseBlob { digest, size: bytes.len() as u64 }))
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let paths: Vec<String> = std::env::args().skip(1).collect();
    let [old, new] = paths.as_slice() else { return Err("usage: delta OLD NEW".into()) };
    let ((old, old_blob), (new, new_blob)) = (open(old)?, open(new)?);
    println!("old {} bytes, new {} bytes", old_blob.size, new_blob.size);
    for how in [Cutting::Tensors, Cutting::Content, Cutting::Both] {
        for shift in [14, 16, 18, 20, 22] {
            if how == Cutting::Tensors && shift > 14 {
                continue;
            }
            let begin = Instant::now();
            let mut reuse = Reuse::new(how, 1 << shift);
            reuse.add(old_blob, &old)?;
            let segments = reuse.split(new_blob, &new)?;
            let share = carried(&segments) * 100_000 / new_blob.size.max(1);
            let (percent, rest) = (share / 1000, share % 1000);
            println!(
                "{how:?} of {} KiB: {percent}.{rest:03} % in {} segments, {} ms",
                (1 << shift) >> 10,
                segments.len(),
                begin.elapsed().as_millis()
            );
        }
    }
    Ok(())
}
