//! The passport of a model: all digests of all files, from one read, in one file that always has the same bytes for the
//! same model and so can be signed. `docs/passport.md` describes the format.

mod against;
mod damage;
mod format;
mod make;

pub use against::{TrustedPassport, verify_against, verify_against_trusted};
pub use format::PassportError;
pub use make::{Digests, FileDigests, digest_files, git_blobs, make_passport};

use crate::tree::Blake3;
use sovai_core::{FilePin, RelPath, Sha256};
use std::fmt;

/// Longest file for which a passport has a git blob ID, in bytes. Hubs keep larger files outside of git, and list a
/// SHA-256 for them.
pub const MAX_GIT_BLOB: u64 = crate::layout::MAX_GIT_BLOB;
/// Smallest chunk, in bytes.
const MIN_CHUNK: u64 = 1 << 20;
/// About how many chunks a passport has at most: their values take 2.7 MiB then, however large the model is.
const CHUNKS: u64 = 65_536;

/// The ID that git gives a file's content: SHA-1 of `blob LENGTH\0` and the bytes (`git hash-object FILE`). An index to
/// find a file by, and no proof: SHA-1 is broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GitBlobId(pub [u8; 20]);

impl fmt::Display for GitBlobId {
    /// 40 lower-case hexadecimal digits.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// All digests of one file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PassportFile {
    /// Where it lies in the model.
    pub path: RelPath,
    /// Its length in bytes.
    pub size: u64,
    /// SHA-256 of its bytes.
    pub sha256: Sha256,
    /// BLAKE3 of its bytes.
    pub blake3: Blake3,
    /// BLAKE3 chaining values of its chunks, in order; none when the file is no longer than one chunk.
    pub chunks: Vec<[u8; 32]>,
    /// The git blob ID of a file of at most [`MAX_GIT_BLOB`] bytes.
    pub git_blob: Option<GitBlobId>,
    /// The fs-verity digest: SHA-256, blocks of 4096 bytes, no salt.
    pub fsverity: Sha256,
}

/// All digests of a model. One that exists is consistent: it was made here, or parsed with every check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Passport {
    chunk_size: u64,
    files: Vec<PassportFile>,
    model: Sha256,
}

impl Passport {
    /// Length of a chunk in bytes: the smallest power of two, from 1 MiB, of which the model has at most 65,536.
    pub const fn chunk_size(&self) -> u64 {
        self.chunk_size
    }

    /// The files, sorted by path.
    pub fn files(&self) -> &[PassportFile] {
        &self.files
    }

    /// The model digest: that of the model's manifest in the store.
    pub const fn model(&self) -> Sha256 {
        self.model
    }

    /// The files as pins.
    pub fn pins(&self) -> Vec<FilePin> {
        self.files
            .iter()
            .map(|file| FilePin { path: file.path.clone(), size: file.size, sha256: file.sha256 })
            .collect()
    }

    /// Total length of the files in bytes.
    pub fn bytes(&self) -> u64 {
        self.files.iter().fold(0, |sum, file| sum.saturating_add(file.size))
    }
}

/// The chunk size of a model of so many bytes.
fn chunk_size_for(total: u64) -> u64 {
    let mut chunk = MIN_CHUNK;
    while total.div_ceil(chunk) > CHUNKS {
        chunk <<= 1;
    }
    chunk
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_grow_with_the_model() {
        for (total, chunk) in [
            (0, 1 << 20),
            (64 << 30, 1 << 20),
            ((64 << 30) + 1, 2 << 20),
            (149 << 30, 4 << 20),
            (1 << 40, 16 << 20),
            (u64::MAX, 1 << 48),
        ] {
            assert_eq!(chunk_size_for(total), chunk, "{total} bytes");
        }
    }
}
