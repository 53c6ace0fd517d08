//! Our digests beside those of other programs: `fsverity` (fsverity-utils), `b3sum`, `git`. A program that is not there is
//! named on one line; with `CI=true` a missing `fsverity` fails.

use crate::common::{Model, bytes, options};
use sovai_core::NullReporter;
use sovai_verifier::{PassportFile, Reread, make_passport};
use std::io::ErrorKind;
use std::path::Path;
use std::process::Command;

/// Lengths around a block, a block of digests, a leaf of BLAKE3, a chunk.
const SIZES: [usize; 11] = [0, 1, 1024, 4095, 4096, 4097, 524_288, 524_289, 1_048_576, 1_048_577, 3_000_000];

/// What a program says, or nothing when it is not there.
#[expect(clippy::print_stderr, reason = "a test that does less must say so")]
fn ask(program: &str, arguments: &[&str], file: &Path) -> Option<String> {
    match Command::new(program).args(arguments).arg(file).output() {
        Ok(output) => {
            assert!(output.status.success(), "{program}: {}", String::from_utf8_lossy(&output.stderr));
            Some(String::from_utf8(output.stdout).unwrap())
        }
        Err(error) if error.kind() == ErrorKind::NotFound => {
            eprintln!("SKIPPED: {program} is missing: nothing is compared with it");
            None
        }
        Err(error) => panic!("{program}: {error}"),
    }
}

/// Each file and what the program says of it; false when there is no such program.
fn compare(program: &str, arguments: &[&str], of: impl Fn(&PassportFile) -> String) -> bool {
    let files: Vec<(String, Vec<u8>)> = SIZES.iter().map(|&n| (format!("{n}"), bytes(n, n as u64))).collect();
    let files: Vec<(&str, &[u8])> =
        files.iter().map(|(path, bytes)| (path.as_str(), bytes.as_slice())).collect();
    let model = Model::new(&files);
    let passport = make_passport(&model.source(), &options(Reread::Full), None, &NullReporter).unwrap();
    assert_eq!(passport.files().len(), SIZES.len());
    for file in passport.files() {
        let Some(said) = ask(program, arguments, &model.path(file.path.as_str())) else { return false };
        let said = said.split_whitespace().next().unwrap_or_default().to_owned();
        assert_eq!(said, of(file), "{program} of {} bytes", file.size);
    }
    true
}

#[test]
fn fsverity_says_the_same() {
    let is_there = compare("fsverity", &["digest"], |file| file.fsverity.to_string());
    let must = std::env::var_os("CI").is_some_and(|ci| ci == "true");
    assert!(is_there || !must, "CI must have fsverity-utils");
}

#[test]
fn b3sum_says_the_same() {
    compare("b3sum", &[], |file| file.blake3.to_string());
}

#[test]
fn git_says_the_same() {
    compare("git", &["hash-object"], |file| file.git_blob.unwrap().to_string());
}
