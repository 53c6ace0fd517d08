//! File lists as hubs and other people publish them: the answers of Hugging Face and `ModelScope`, and `SHA256SUMS`.
//!
//! Witnesses of digests (`sovai-trust`) and sources of models (`sovai-sources`) read the same texts, here. Every text is
//! hostile input: bounded, strict JSON, paths that cannot leave their root, digests of the right length.
//!
//! This crate does no I/O and never prints.

mod blob;
pub mod hub;
mod sums;

pub use blob::GitBlob;
pub use sums::sums;

use sovai_core::{PathError, RelPath, Sha256};
use sovai_signing::json::JsonError;

/// Bounds of a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// Most bytes of the text.
    pub bytes: usize,
    /// Most files.
    pub files: usize,
}

/// What a list says of one file. Nothing but the path is always there.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Entry {
    /// Path in the model.
    pub path: RelPath,
    /// Length in bytes, at most `i64::MAX`.
    pub size: Option<u64>,
    /// SHA-256 of the bytes.
    pub sha256: Option<Sha256>,
    /// Git's id of the bytes; hubs give it alone for files that are not in LFS.
    pub git_blob: Option<GitBlob>,
}

/// Why a list was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "each message says what its variant means")]
pub enum ListingError {
    #[error("a list of files has at most {most} bytes, found {found}")]
    TooLong { most: usize, found: usize },
    #[error("a list of files has at most {most} files, found {found}")]
    TooMany { most: usize, found: usize },
    #[error("the list names no file with a digest")]
    Empty,
    #[error("malformed file list of a hub: {0}")]
    Json(#[from] JsonError),
    #[error(
        "the JSON is no file list of a hub: expected a list of files, `siblings`, or `Data` with `Files`"
    )]
    Form,
    #[error("the hub answered that it failed: expected `Success: true`")]
    Failed,
    #[error(
        "the list has exactly {0} entries, which is where this hub silently cuts off: save one list for each folder"
    )]
    PossiblyCut(usize),
    #[error("line {line}: expected `<SHA-256>  <file>`, found `{}`", .found.escape_debug())]
    Line { line: usize, found: String },
    #[error("the list is not UTF-8 from byte {0} on")]
    NotText(usize),
    #[error("`{}` cannot be a file of a model", .path.escape_debug())]
    Path {
        path: String,
        #[source]
        source: PathError,
    },
    #[error("`{}`: {what}, found `{}`", .path, .found.escape_debug())]
    Digest { path: RelPath, what: &'static str, found: String },
    #[error("`{path}`: a file has at most {} bytes, found {found}", i64::MAX)]
    Size { path: RelPath, found: u64 },
    #[error("`{path}` stands twice in the list")]
    Twice { path: RelPath },
    #[error("`{path}` has type `{}`, expected `file`, `blob`, `directory` or `tree`", .found.escape_debug())]
    Type { path: RelPath, found: String },
    #[error("`{path}` has two SHA-256 digests that differ")]
    Contradiction { path: RelPath },
    #[error("`{path}` has two sizes that differ: {one} and {other}")]
    Sizes { path: RelPath, one: u64, other: u64 },
}

/// A path of a list; a leading `./`, as `find` writes it, is left out.
fn path(text: &str) -> Result<RelPath, ListingError> {
    let text = text.strip_prefix("./").unwrap_or(text);
    RelPath::new(text).map_err(|source| ListingError::Path { path: text.chars().take(200).collect(), source })
}

/// A bare SHA-256 of a list.
fn sha256(path: &RelPath, text: &str) -> Result<Sha256, ListingError> {
    Sha256::from_hex(text).map_err(|_| ListingError::Digest {
        path: path.clone(),
        what: "a SHA-256 has 64 lower-case hexadecimal digits",
        found: text.chars().take(80).collect(),
    })
}

/// A length that a file of this system can have.
fn size(path: &RelPath, found: u64) -> Result<u64, ListingError> {
    if i64::try_from(found).is_ok() {
        Ok(found)
    } else {
        Err(ListingError::Size { path: path.clone(), found })
    }
}

/// An error where a list has more files than it may.
fn count(found: usize, bounds: Bounds) -> Result<(), ListingError> {
    if found > bounds.files { Err(ListingError::TooMany { most: bounds.files, found }) } else { Ok(()) }
}

#[cfg(test)]
mod tests;
