//! Prints how fast a folder is verified: `throughput THREADS FOLDER [STORE]`. With a store, the folder is also admitted
//! to it, twice; the second time nothing has changed.
//!
//! Made to measure the read buffer and to compare with `openssl dgst -sha256`; `docs/verification.md` has the results.

use sovai_core::{Name, NullReporter};
use sovai_store::Store;
use sovai_verifier::{Options, Reread, admit, digest_source, verify};
use std::path::{Path, PathBuf};

#[expect(clippy::print_stdout, reason = "a program for people")]
fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let threads = arguments.next().ok_or("usage: throughput THREADS FOLDER [STORE]")?.parse()?;
    let folder = PathBuf::from(arguments.next().ok_or("usage: throughput THREADS FOLDER [STORE]")?);
    let options = Options { reread: Reread::Full, ..Options::new(threads) };
    let pins = digest_source(&folder, &options, &NullReporter)?;
    for _ in 0..5 {
        let report = verify(&folder, &pins, &options, None, &NullReporter)?;
        assert!(report.findings.is_empty(), "{:?}", report.findings);
        println!("{} bytes in {:?}", report.hashed, report.elapsed);
    }
    if let Some(store) = arguments.next() {
        let store = Store::open(Path::new(&store))?;
        let options = Options { reread: Reread::UseReceipts, ..options };
        for _ in 0..2 {
            let admission = admit(&Name::new("model")?, &folder, &pins, &store, &options, &NullReporter)?;
            assert!(admission.receipt.is_some(), "{:?}", admission.report.findings);
            println!("admitted: {} bytes in {:?}", admission.report.hashed, admission.report.elapsed);
        }
    }
    Ok(())
}
