//! Prints how fast files are verified: `throughput THREADS FILE...`, in bytes for each second of CPU and of wall time.
//!
//! Made to measure the read buffer and to compare with `openssl dgst -sha256`; `docs/verification.md` has the results.

use sovai_core::NullReporter;
use sovai_verifier::{Cancel, Options, Reread, digest_source, verify};
use std::path::PathBuf;

#[expect(clippy::print_stdout, reason = "a program for people")]
fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let threads = arguments.next().ok_or("usage: throughput THREADS FOLDER")?.parse()?;
    let folder = PathBuf::from(arguments.next().ok_or("usage: throughput THREADS FOLDER")?);
    let options = Options { threads, cancel: Cancel::default(), reread: Reread::Full };
    let pins = digest_source(&folder, &options, &NullReporter)?;
    for _ in 0..5 {
        let report = verify(&folder, &pins, &options, None, &NullReporter)?;
        assert!(report.findings.is_empty(), "{:?}", report.findings);
        println!("{} bytes in {:?}", report.hashed, report.elapsed);
    }
    Ok(())
}
