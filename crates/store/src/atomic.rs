//! Files that are either the old ones or the new ones, never something between.

use crate::error::{Context as _, StoreError};
use crate::temp::Temp;
use rustix::fs::Mode;
use std::io::Write as _;
use std::path::Path;

/// Writes a file in one step: temporary file beside it, `fsync`, rename, `fsync` of the folder.
///
/// `mode` is the permission bits, for example `0o600`. The folder must exist.
pub fn write(path: &Path, bytes: &[u8], mode: u32) -> Result<(), StoreError> {
    filled(path, bytes)?.persist(path, Mode::from_raw_mode(mode))
}

/// Like [`write`], but leaves a file that is there already as it is; says whether it wrote one.
pub fn write_new(path: &Path, bytes: &[u8], mode: u32) -> Result<bool, StoreError> {
    filled(path, bytes)?.persist_new(path, Mode::from_raw_mode(mode))
}

fn filled(path: &Path, bytes: &[u8]) -> Result<Temp, StoreError> {
    let folder = match path.parent() {
        Some(parent) if parent != Path::new("") => parent,
        _ => Path::new("."),
    };
    let mut temp = Temp::file(folder)?;
    temp.handle_mut().write_all(bytes).context("write", path)?;
    Ok(temp)
}
