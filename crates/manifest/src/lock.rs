//! The lock: every file and image of a manifest resolved to size and digest.

use crate::Diagnostic;
use serde::Serialize;
use sovai_core::{ImageId, Name, RelPath, Sha256};
use std::collections::BTreeMap;

/// What a manifest's sources and images were resolved to.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Lock {
    /// Files of each model.
    pub models: BTreeMap<Name, LockedModel>,
    /// Images, by their name as the manifest writes it (without digest).
    pub images: BTreeMap<String, LockedImage>,
}

/// A model as it was resolved.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct LockedModel {
    /// The commit at a hub.
    pub revision: Option<String>,
    /// The licence that the source states.
    pub license: Option<String>,
    /// Its files, sorted by path.
    pub files: Vec<LockedFile>,
}

/// A file as it was resolved.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct LockedFile {
    /// Path inside the model's folder.
    pub path: RelPath,
    /// Exact length in bytes.
    pub size: u64,
    /// SHA-256 of the whole file.
    pub sha256: Sha256,
    /// The model's source as the manifest writes it; the entry is stale when that changes.
    pub source: String,
}

/// An image as it was resolved.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LockedImage {
    /// `linux/amd64`.
    pub platform: String,
    /// Digest of its manifest in a registry; `None` for a local image.
    pub manifest: Option<Sha256>,
    /// ID in a container engine.
    pub config: ImageId,
}
