//! A look into the tensors of a model's weights: hints, never findings.

use crate::Options;
use crate::error::VerifyError;
use crate::examine::tensors;
use crate::hash::{Outcome, Progress, Reading, pieces, pool};
use crate::run::{largest_entries, steady};
use crate::walk::{Entry, Source};
use serde::Serialize;
use sovai_core::Reporter;
use sovai_formats::scan::Scan;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

/// Headers above this size are held one at a time, in bytes.
const LARGE_HEADER: u64 = 4 << 20;
/// Most hints about one file.
const MAX_HINTS: usize = 100;

/// Something in a file of weights that somebody should look at.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Hint {
    /// The file, relative to the model.
    pub path: String,
    /// The rule: `SOV24xx` of [`sovai_formats::rules()`].
    pub code: &'static str,
    /// What it is; names in it are escaped.
    pub message: String,
}

/// Reads every safetensors and GGUF file of a source to its end, and tells of pages of zeros, NaN and infinite values and
/// constant tensors; at most 100 hints a file, sorted by path. Files that break the rules of their format are passed
/// over: [`crate::examine`] tells of them.
///
/// # Errors
///
/// Where the source is not there or cannot be opened, or when the run is stopped.
pub fn scan(source: &Path, options: &Options, reporter: &dyn Reporter) -> Result<Vec<Hint>, VerifyError> {
    let opened = Source::open(source)?;
    let files: Vec<Entry> = opened
        .walk(&options.cancel)?
        .files
        .into_values()
        .filter(|entry| {
            let name = entry.path.file_name();
            let end = name.rsplit_once('.').map_or("", |(_, end)| end);
            ["safetensors", "gguf"].iter().any(|known| end.eq_ignore_ascii_case(known))
        })
        .collect();
    let jobs = largest_entries(&files);
    let total = jobs.iter().fold(0, |sum: u64, entry| sum.saturating_add(entry.size));
    let progress = Progress::new(reporter, total);
    let large = Mutex::new(());
    let found = pool(&jobs, options, |entry, buffer| {
        let guard = large.lock().unwrap_or_else(PoisonError::into_inner);
        let Ok(tensors) = tensors(source, &entry.path) else { return Ok(Vec::new()) };
        // A large one keeps others from being read beside it.
        let _guard = (tensors.header().end > LARGE_HEADER).then_some(guard);
        let mut scan = Scan::new(&tensors);
        let reading = Reading { options, progress: &progress, subject: entry.path.as_str() };
        let read = steady(&opened, &entry.path, entry.size, |file| {
            let mut at = 0u64;
            let outcome = pieces(file, entry.size, buffer, reading, |bytes| {
                scan.update(at, bytes);
                at = at.saturating_add(bytes.len() as u64);
                Ok(())
            })?;
            Ok(match outcome {
                Outcome::Digest(()) => Outcome::Digest(()),
                Outcome::OtherLength => Outcome::OtherLength,
                Outcome::Failed(error) => Outcome::Failed(error),
            })
        })?;
        if read.is_err() {
            return Ok(Vec::new());
        }
        let warnings = scan.finish().warnings(&tensors).into_iter().take(MAX_HINTS);
        let path = entry.path.as_str();
        Ok(warnings.map(|(code, message)| Hint { path: path.to_owned(), code, message }).collect())
    })?;
    progress.finish(&source.to_string_lossy());
    let mut hints: Vec<Hint> = found.into_iter().flatten().collect();
    hints.sort();
    Ok(hints)
}

#[cfg(test)]
mod tests {
    use super::*;
    use sovai_core::NullReporter;
    use std::num::NonZeroUsize;

    #[test]
    fn zeros_and_nan_are_told_with_their_tensor() {
        let dir = tempfile::tempdir().unwrap();
        let header = br#"{"a":{"dtype":"F32","shape":[4096],"data_offsets":[0,16384]},"b":{"dtype":"F32","shape":[1],"data_offsets":[16384,16388]}}"#;
        let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
        bytes.extend_from_slice(header);
        bytes.extend_from_slice(&[0; 16384]);
        bytes.extend_from_slice(&f32::NAN.to_le_bytes());
        fs_err::write(dir.path().join("m.safetensors"), &bytes).unwrap();
        fs_err::write(dir.path().join("bad.gguf"), "no").unwrap();
        let options = Options::new(NonZeroUsize::MIN);
        let hints = scan(dir.path(), &options, &NullReporter).unwrap();
        let codes: Vec<&str> = hints.iter().map(|hint| hint.code).collect();
        assert!(codes.contains(&"SOV2401") && codes.contains(&"SOV2402"), "{hints:?}");
        assert!(hints.iter().all(|hint| hint.path == "m.safetensors"));
    }
}
