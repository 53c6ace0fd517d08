//! Prints how fast a folder is read:
//!
//! - `throughput THREADS FOLDER [STORE]`: verified, five times. With a store, the folder is also admitted to it, twice; the
//!   second time nothing has changed.
//! - `throughput --mode sha256|both|all THREADS FOLDER`: one read that gives SHA-256 alone, with BLAKE3, or all digests of a
//!   passport.
//! - `throughput --mode tree THREADS FOLDER`: verified against its passport, five times.
//!
//! Made to measure the read buffer and to compare with others; `docs/verification.md` has the results.

use sovai_core::{Name, NullReporter};
use sovai_store::Store;
use sovai_verifier::{
    Digests, Options, Reread, admit, digest_files, digest_source, make_passport, verify, verify_against,
};
use std::path::{Path, PathBuf};
use std::time::Instant;

const USAGE: &str = "usage: throughput [--mode sha256|both|all|tree] THREADS FOLDER [STORE]";
const ROUNDS: usize = 5;

#[expect(clippy::print_stdout, reason = "a program for people")]
fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1).peekable();
    let mode = match arguments.next_if(|argument| argument == "--mode") {
        Some(_) => Some(arguments.next().ok_or(USAGE)?),
        None => None,
    };
    let threads = arguments.next().ok_or(USAGE)?.parse()?;
    let folder = PathBuf::from(arguments.next().ok_or(USAGE)?);
    let options = Options { reread: Reread::Full, ..Options::new(threads) };
    let alone = Digests { blake3: false, git_blob: false, fsverity: false };
    let digests = match mode.as_deref() {
        None => return verified(&folder, arguments.next(), &options),
        Some("tree") => return tree(&folder, &options),
        Some("sha256") => alone,
        Some("both") => Digests { blake3: true, ..alone },
        Some("all") => Digests::ALL,
        Some(_) => return Err(USAGE.into()),
    };
    let start = Instant::now();
    let files = digest_files(&folder, digests, &options, &NullReporter)?;
    let bytes: u64 = files.iter().map(|file| file.size).sum();
    println!("{bytes} bytes in {:?}", start.elapsed());
    Ok(())
}

#[expect(clippy::print_stdout, reason = "a program for people")]
fn verified(
    folder: &Path,
    store: Option<String>,
    options: &Options,
) -> Result<(), Box<dyn std::error::Error>> {
    let pins = digest_source(folder, options, &NullReporter)?;
    for _ in 0..ROUNDS {
        let report = verify(folder, &pins, options, None, &NullReporter)?;
        assert!(report.findings.is_empty(), "{:?}", report.findings);
        println!("{} bytes in {:?}", report.hashed, report.elapsed);
    }
    let Some(store) = store else { return Ok(()) };
    let store = Store::open(Path::new(&store))?;
    let options = Options { reread: Reread::UseReceipts, ..options.clone() };
    for _ in 0..2 {
        let admission = admit(&Name::new("model")?, folder, &pins, &store, &options, &NullReporter)?;
        assert!(admission.receipt.is_some(), "{:?}", admission.report.findings);
        println!("admitted: {} bytes in {:?}", admission.report.hashed, admission.report.elapsed);
    }
    Ok(())
}

#[expect(clippy::print_stdout, reason = "a program for people")]
fn tree(folder: &Path, options: &Options) -> Result<(), Box<dyn std::error::Error>> {
    let passport = make_passport(folder, options, None, &NullReporter)?;
    for _ in 0..ROUNDS {
        let report = verify_against(folder, &passport, options, &NullReporter)?;
        assert!(report.findings.is_empty(), "{:?}", report.findings);
        println!("{} bytes in {:?}", report.hashed, report.elapsed);
    }
    Ok(())
}
