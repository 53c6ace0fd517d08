//! An image that was read and checked, and is not yet in the store.

use crate::error::ImageError;
use crate::oci::sha256;
use crate::piece::Piece;
use sovai_core::{Platform, Sha256};
use sovai_store::image::{ImageConfig, ImageManifest};
use sovai_store::{NewImage, Store, StoreError, StoreLock, StoredImage};
use std::collections::{BTreeMap, BTreeSet};

/// An image whose bytes lie in the store's temporary folder, checked. Dropped, it leaves nothing there.
#[derive(Debug)]
pub struct StagedImage {
    names: BTreeSet<String>,
    index: Option<Vec<u8>>,
    manifest: Vec<u8>,
    parsed: ImageManifest,
    config: ImageConfig,
    pieces: BTreeMap<Sha256, Piece>,
}

impl StagedImage {
    pub(crate) fn new(
        names: BTreeSet<String>,
        index: Option<Vec<u8>>,
        manifest: Vec<u8>,
        parsed: ImageManifest,
        config: ImageConfig,
        pieces: BTreeMap<Sha256, Piece>,
    ) -> Result<Self, ImageError> {
        // The long part of a commit; the store's lock is not held yet.
        pieces.values().try_for_each(Piece::sync)?;
        Ok(Self { names, index, manifest, parsed, config, pieces })
    }

    /// Names that it had where it came from.
    pub const fn names(&self) -> &BTreeSet<String> {
        &self.names
    }

    /// What it runs on.
    pub const fn platform(&self) -> &Platform {
        &self.config.platform
    }

    /// Digest of its configuration: the image ID.
    pub const fn config(&self) -> Sha256 {
        self.parsed.config.digest
    }

    /// Digest of its manifest.
    pub fn manifest(&self) -> Sha256 {
        sha256(&self.manifest)
    }

    /// Digest of the index by which it came.
    pub fn index(&self) -> Option<Sha256> {
        self.index.as_deref().map(sha256)
    }

    /// Makes it an image of the store, under this name. Short: the bytes are on the disk already.
    pub fn commit(
        self,
        store: &Store,
        lock: &StoreLock,
        name: Option<&str>,
    ) -> Result<StoredImage, StoreError> {
        for piece in self.pieces.into_values() {
            piece.commit(store)?;
        }
        let index = self.index.as_deref();
        store.add_image(lock, &NewImage { name, index, manifest: &self.manifest })
    }
}
