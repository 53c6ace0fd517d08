//! Bytes on their way into the store.

use crate::error::StoreError;
use crate::temp::Temp;
use rustix::fs::Mode;
use sovai_core::Sha256;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

/// A temporary file in the store that becomes a blob. Dropped before that, it is gone.
///
/// Whoever writes it hashes the bytes as it writes them: `commit` takes the digest on trust, so it is only ever called
/// with a digest that was computed from the very bytes that were written.
#[derive(Debug)]
pub struct Stage {
    temp: Temp,
    blobs: PathBuf,
}

impl Stage {
    pub(crate) fn new(tmp: &Path, blobs: PathBuf) -> Result<Self, StoreError> {
        Ok(Self { temp: Temp::file(tmp)?, blobs })
    }

    /// The open file, for a reflink or to read back; readable and writable.
    pub const fn file(&self) -> &File {
        self.temp.handle()
    }

    /// Where the bytes lie until they are committed.
    pub fn path(&self) -> &Path {
        self.temp.path()
    }

    /// Makes the bytes the blob `digest`: mode 0444, on the disk, under its name. A blob that has that name is replaced.
    pub fn commit(self, digest: &Sha256) -> Result<PathBuf, StoreError> {
        let target = self.blobs.join(digest.hex());
        self.temp.persist(&target, Mode::RUSR | Mode::RGRP | Mode::ROTH)?;
        Ok(target)
    }

    /// Like [`Stage::commit`], but leaves a blob that has that name already as it is; says whether there was none. Then
    /// nothing is known of the bytes that are there.
    pub fn commit_new(self, digest: &Sha256) -> Result<bool, StoreError> {
        self.temp.persist_new(&self.blobs.join(digest.hex()), Mode::RUSR | Mode::RGRP | Mode::ROTH)
    }

    /// The error of a failed write to this stage, with its place and kind.
    pub fn write_error(&self, source: io::Error) -> StoreError {
        StoreError::io("write", self.temp.path(), source)
    }
}

impl io::Write for Stage {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.temp.handle_mut().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
