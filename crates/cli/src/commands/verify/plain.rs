//! `sovai verify FOLDER`: its digests, in the form that `sha256sum --check` reads.

use super::folder::Found;
use super::report::{Against, Listed};
use super::setup::Setup;
use crate::args::VerifyArgs;
use crate::error::CliError;
use crate::facts::Pinned;
use crate::output::safe_line;
use sovai_core::FilePin;
use sovai_store::model_manifest;
use std::fmt::Write as _;

/// Reads every file.
pub(super) fn run(args: &VerifyArgs, setup: &Setup) -> Result<Found, CliError> {
    let mut found = Found::new(args, Against::Nothing);
    found.pinned = Pinned::Nothing;
    let (passport, options) = setup.passport(args)?;
    let files = match &passport {
        Some(passport) => passport.pins(),
        None => sovai_verifier::digest_source(&args.target, &options, &*setup.reporter)?,
    };
    let (_, digest) = model_manifest(&files);
    found.listed = Some(Listed {
        files: files.len() as u64,
        bytes: FilePin::total(&files),
        remainder: sovai_verifier::remainder_unpinned(&args.target, &options)?,
    });
    found.digest = Some(digest);
    found.subject = digest;
    found.files = Some(files);
    found.made = passport;
    Ok(found)
}

/// `DIGEST  PATH`, a line for each file.
pub(super) fn list(files: &[FilePin]) -> String {
    let mut text = String::new();
    for file in files {
        let _ = writeln!(text, "{}  {}", file.sha256.hex(), safe_line(file.path.as_str()));
    }
    text
}
