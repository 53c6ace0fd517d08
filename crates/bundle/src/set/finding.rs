//! What is to be said of a set of volumes, as data; and why there is no set at all.

use super::folder::FolderError;
use crate::volume::VolumeId;
use serde::Serialize;
use sovai_core::Sha256;
use std::fmt;
use std::path::PathBuf;

/// How much a finding weighs. The order is that of weight.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Weight {
    /// To be known; nothing is wrong.
    Note,
    /// Something is not there.
    Missing,
    /// A signature or decision that is malformed or speaks of something else.
    Signature,
    /// Bytes that are not what the index says, or cannot be read.
    Bytes,
}

/// One thing that is to be said of a volume or of a file that was named.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SetFinding {
    /// How much it weighs.
    pub weight: Weight,
    /// What it is: one stable word, as `payload-missing`.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// The volume, where it is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub volume: Option<VolumeId>,
    /// The file or folder. From outside: pass it through a filter before it reaches a terminal.
    pub path: String,
    /// A sentence without its first word and last stop. From outside, too.
    pub detail: String,
}

impl SetFinding {
    pub(crate) fn new(
        weight: Weight,
        kind: &'static str,
        volume: Option<VolumeId>,
        path: impl AsRef<std::path::Path>,
        detail: impl fmt::Display,
    ) -> Self {
        let path = path.as_ref().display().to_string();
        Self { weight, kind, volume, path, detail: detail.to_string() }
    }
}

impl fmt::Display for SetFinding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(volume) = self.volume {
            write!(f, "{volume}: ")?;
        }
        write!(f, "{}: {}", self.path, self.detail)
    }
}

/// Why there is no set of volumes.
#[derive(Debug, thiserror::Error)]
pub enum SetError {
    /// A path that was named is not there.
    #[error("{} is not there", .path.display())]
    NotThere {
        /// The path.
        path: PathBuf,
    },
    /// A path that was named cannot be read.
    #[error("{} cannot be read: {source}", .path.display())]
    Read {
        /// The path.
        path: PathBuf,
        /// Why.
        source: FolderError,
    },
    /// A path that was named is no volume, and no folder of volumes.
    #[error("{} is no volume of a bundle, and no folder that holds one", .path.display())]
    NoVolume {
        /// The path.
        path: PathBuf,
    },
    /// No index can be read in any of the volumes.
    #[error("no index of a bundle can be read: {}", .reasons.join("; "))]
    NoIndex {
        /// Of each copy, why.
        reasons: Vec<String>,
    },
    /// Two bundles, or one whose copies of the index say different things and none of them outweighs.
    #[error("the volumes are of different bundles: {}", list(.bundles))]
    Mixed {
        /// Of each bundle its name, the digest of its index, and the folders that have it.
        bundles: Vec<(String, Sha256, Vec<PathBuf>)>,
    },
    /// One volume twice.
    #[error("{volume} was given twice: {} and {}", .first.display(), .second.display())]
    Twice {
        /// The volume.
        volume: VolumeId,
        /// One of its folders.
        first: PathBuf,
        /// The other.
        second: PathBuf,
    },
    /// More folders or envelopes than a bundle has.
    #[error("{what}: more than {limit}")]
    TooMany {
        /// Of what.
        what: String,
        /// How many there may be.
        limit: usize,
    },
}

fn list(bundles: &[(String, Sha256, Vec<PathBuf>)]) -> String {
    let bundles = bundles.iter().map(|(name, digest, folders)| {
        let mut shown: Vec<String> = folders.iter().take(4).map(|path| path.display().to_string()).collect();
        match folders.len().saturating_sub(shown.len()) {
            0 => {}
            more => shown.push(format!("{more} more")),
        }
        format!("{name} (index {}) in {}", digest.short(), shown.join(", "))
    });
    bundles.collect::<Vec<_>>().join("; ")
}
