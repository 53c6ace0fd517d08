//! The end of the log, read backwards: its cost does not grow with the log.

use super::MAX_LINE;
use crate::error::EvidenceError;
use sovai_store::StoreError;
use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::path::Path;

/// How much is read at once, in bytes.
const BLOCK: u64 = 64 << 10;

/// The half of a line at the end of the log.
pub(super) struct Torn {
    /// Where it begins.
    pub(super) start: u64,
    /// Its bytes.
    pub(super) bytes: Vec<u8>,
}

/// What stands after the last line break; nothing when that is the end.
pub(super) fn torn(file: &File, path: &Path) -> Result<Option<Torn>, EvidenceError> {
    let end = length(file, path)?;
    let start = line_start(file, path, end)?;
    if start == end {
        return Ok(None);
    }
    Ok(Some(Torn { start, bytes: slice(file, path, start, end)? }))
}

/// The last line without its line break; the log must end with one. Nothing when the log is empty.
pub(super) fn last_line(file: &File, path: &Path) -> Result<Option<Vec<u8>>, EvidenceError> {
    let Some(end) = length(file, path)?.checked_sub(1) else { return Ok(None) };
    let start = line_start(file, path, end)?;
    slice(file, path, start, end).map(Some)
}

/// The place after the last line break before `end`.
pub(super) fn line_start(file: &File, path: &Path, end: u64) -> Result<u64, EvidenceError> {
    let mut to = end;
    while to > 0 {
        if end - to > MAX_LINE {
            let reason = format!("its last line has more than {MAX_LINE} bytes");
            return Err(StoreError::Corrupt { path: path.to_owned(), reason }.into());
        }
        let from = to.saturating_sub(BLOCK);
        let block = slice(file, path, from, to)?;
        if let Some(at) = block.iter().rposition(|byte| *byte == b'\n') {
            return Ok(from + at as u64 + 1);
        }
        to = from;
    }
    Ok(0)
}

fn slice(file: &File, path: &Path, from: u64, to: u64) -> Result<Vec<u8>, EvidenceError> {
    let mut bytes = vec![0; usize::try_from(to.saturating_sub(from)).unwrap_or(usize::MAX)];
    file.read_exact_at(&mut bytes, from).map_err(|error| StoreError::io("read", path, error))?;
    Ok(bytes)
}

fn length(file: &File, path: &Path) -> Result<u64, EvidenceError> {
    Ok(file.metadata().map_err(|error| StoreError::io("look at", path, error))?.len())
}
