//! Lists of digests as others publish them, read as hostile input.
//!
//! `SHA256SUMS` (GNU coreutils, text and `*` binary marks, escaped names, also BSD tags), the file lists of hubs as JSON
//! saved to a file, and pins that the caller has already read.

#[cfg(test)]
mod tests;

use sovai_core::{FilePin, RelPath, Sha256};
use sovai_listing::hub::{self, Answer, MODELSCOPE_CAP};
use sovai_listing::{Bounds, Entry, GitBlob, ListingError};
use std::collections::BTreeMap;

/// Longest list that is read, in bytes.
pub const MAX_LISTING: usize = 16 << 20;
/// Most files of one list: what one in-toto statement may have as subjects.
pub const MAX_FILES: usize = 10_000;
const BOUNDS: Bounds = Bounds { bytes: MAX_LISTING, files: MAX_FILES };

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

impl Listing {
    /// Reads a list in any of the forms; which one it has is told from its first byte and its members.
    pub fn parse(bytes: &[u8]) -> Result<Self, ListingError> {
        if bytes.len() > MAX_LISTING {
            return Err(ListingError::TooLong { most: MAX_LISTING, found: bytes.len() });
        }
        let first = bytes.iter().find(|byte| !byte.is_ascii_whitespace());
        let (kind, entries) = match first {
            Some(b'[' | b'{') => match hub::parse(bytes, BOUNDS)? {
                Answer::Tree(files) => (ListingKind::HubTree, files),
                Answer::Model(model) => (ListingKind::HubSiblings, model.files),
                Answer::ModelScope(folder) => {
                    // A longer list was put together by somebody from several.
                    if folder.files.len() + folder.folders.len() == MODELSCOPE_CAP {
                        return Err(ListingError::PossiblyCut(MODELSCOPE_CAP));
                    }
                    (ListingKind::ModelScope, folder.files)
                }
            },
            _ => (ListingKind::Sums, sovai_listing::sums(bytes, BOUNDS)?),
        };
        let mut listing = Self::new(kind);
        for Entry { path, sha256, git_blob, .. } in entries {
            listing.add(path, Seen { sha256, git_blob })?;
        }
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
            return Err(ListingError::TooMany { most: MAX_FILES, found: MAX_FILES + 1 });
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
