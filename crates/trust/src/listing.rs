//! Lists of digests as others publish them, read as hostile input.
//!
//! `SHA256SUMS` (GNU coreutils, text and `*` binary marks, escaped names, also BSD tags), the file lists of hubs as JSON
//! saved to a file, and pins that the caller has already read.

mod hub;
mod sums;
#[cfg(test)]
mod tests;

use crate::blob::GitBlob;
use sovai_core::{FilePin, PathError, RelPath, Sha256};
use sovai_signing::json::JsonError;
use std::collections::BTreeMap;

/// Longest list that is read, in bytes.
pub const MAX_LISTING: usize = 16 << 20;
/// Most files of one list: what one in-toto statement may have as subjects.
pub const MAX_FILES: usize = 10_000;

/// Which form a list has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum ListingKind {
    /// `sha256sum`'s text.
    Sums,
    /// Hugging Face, `GET /api/models/{id}/tree/{rev}`.
    HubTree,
    /// Hugging Face, `GET /api/models/{id}/revision/{rev}?blobs=true`.
    HubSiblings,
    /// `ModelScope`, `GET /api/v1/models/{id}/repo/files`.
    ModelScope,
    /// Digests of a passport.
    Passport,
    /// Digests of files that were read here.
    Folder,
}

impl ListingKind {
    /// Every form.
    pub const ALL: [Self; 6] =
        [Self::Sums, Self::HubTree, Self::HubSiblings, Self::ModelScope, Self::Passport, Self::Folder];

    /// The form's word, as records of witnesses have it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Sums => "sha256sums",
            Self::HubTree => "hub-tree",
            Self::HubSiblings => "hub-siblings",
            Self::ModelScope => "modelscope-files",
            Self::Passport => "passport",
            Self::Folder => "folder",
        }
    }
}

/// What a list says of one file: at least one digest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Seen {
    /// SHA-256 of the file.
    pub sha256: Option<Sha256>,
    /// Git's id of the file's bytes; hubs give it alone for small files.
    pub git_blob: Option<GitBlob>,
}

/// A list of digests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listing {
    /// Its form.
    pub kind: ListingKind,
    /// Files by path.
    pub files: BTreeMap<RelPath, Seen>,
    /// Files that are named without any digest; they are not witnessed.
    pub without: Vec<RelPath>,
}

/// Why a list was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "each message says what its variant means")]
pub enum ListingError {
    #[error("a list of digests has at most {MAX_LISTING} bytes, found {0}")]
    TooLong(usize),
    #[error("a list of digests has at most {MAX_FILES} files, found {0}")]
    TooMany(usize),
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
    #[error("`{path}` stands twice in the list")]
    Twice { path: RelPath },
    #[error("`{path}` has type `{}`, expected `file`, `blob`, `directory` or `tree`", .found.escape_debug())]
    Type { path: RelPath, found: String },
    #[error("`{path}` has two SHA-256 digests that differ")]
    Contradiction { path: RelPath },
}

impl Listing {
    /// Reads a list in any of the forms; which one it has is told from its first byte and its members.
    pub fn parse(bytes: &[u8]) -> Result<Self, ListingError> {
        if bytes.len() > MAX_LISTING {
            return Err(ListingError::TooLong(bytes.len()));
        }
        let first = bytes.iter().find(|byte| !byte.is_ascii_whitespace());
        let listing = match first {
            Some(b'[' | b'{') => hub::parse(bytes)?,
            _ => sums::parse(bytes)?,
        };
        listing.checked()
    }

    /// A list of pins: those of a passport, or of files that were read here.
    pub fn of_pins(kind: ListingKind, pins: &[FilePin]) -> Result<Self, ListingError> {
        let mut listing = Self::new(kind);
        for pin in pins {
            listing.add(pin.path.clone(), Seen { sha256: Some(pin.sha256), git_blob: None })?;
        }
        listing.checked()
    }

    const fn new(kind: ListingKind) -> Self {
        Self { kind, files: BTreeMap::new(), without: Vec::new() }
    }

    fn add(&mut self, path: RelPath, seen: Seen) -> Result<(), ListingError> {
        if self.files.len() + self.without.len() >= MAX_FILES {
            return Err(ListingError::TooMany(MAX_FILES + 1));
        }
        if self.files.contains_key(&path) {
            return Err(ListingError::Twice { path });
        }
        if seen == Seen::default() {
            self.without.push(path);
        } else {
            self.files.insert(path, seen);
        }
        Ok(())
    }

    fn checked(self) -> Result<Self, ListingError> {
        if self.files.is_empty() { Err(ListingError::Empty) } else { Ok(self) }
    }
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
