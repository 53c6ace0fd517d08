//! Container images on disk: docker archives, OCI layouts, and the store.
//!
//! Two ways in, [`read_archive`] and [`read_layout`], and one way out, [`write_docker_archive`]. What comes in is staged,
//! hashed and checked before the store's lock is taken: a [`StagedImage`] that is dropped leaves nothing behind, one that
//! is committed is an image with the very digests that it had where it came from.
//!
//! Invariants: every byte is hashed while it is written; configurations, manifests and indexes are kept byte for byte;
//! layers are never held in memory; everything that is read is bounded. Synchronous: who has a stream gives a reader.

mod archive;
mod error;
mod files;
mod gate;
mod layer;
mod layout;
mod oci;
mod piece;
mod staged;
mod write;

pub use archive::read_archive;
pub use error::{EntryFault, ImageError};
pub use files::{Seen, read_files};
pub use layout::{read_layout, size_in_layout};
pub use staged::StagedImage;
pub use write::{Tags, write_docker_archive};

use sovai_core::{Platform, Sha256};

/// Which image is wanted of an archive or layout that may hold several.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Wanted {
    /// A reference that it carries there (`engine:1`), or a digest of it. Without one there must be one image only.
    pub name: Option<String>,
    /// What it is to run on. Without it, whatever there is.
    pub platform: Option<Platform>,
}

impl Wanted {
    /// Whether a name that an archive or layout has for an image is the one that is wanted.
    ///
    /// Docker and containerd write a registry before names that have none, and `latest` behind those without a tag.
    fn is_called(&self, found: &str) -> bool {
        let Some(wanted) = &self.name else { return true };
        let tagged = if has_tag(wanted) { wanted.clone() } else { format!("{wanted}:latest") };
        let same = |name: &str| {
            found.strip_suffix(name).is_some_and(|before| before.is_empty() || before.ends_with('/'))
        };
        same(wanted) || same(&tagged)
    }

    /// Whether it is asked for by this digest.
    fn is_digest(&self, digest: &Sha256) -> bool {
        let name = self.name.as_deref().unwrap_or_default();
        name.parse().ok().or_else(|| Sha256::from_hex(name).ok()) == Some(*digest)
    }
}

/// Whether a reference ends with a tag: a `:` before the last `/` belongs to a port.
fn has_tag(reference: &str) -> bool {
    reference.rsplit('/').next().is_some_and(|last| last.contains(':'))
}

#[cfg(test)]
mod tests;
