//! Value types that every sovai crate speaks.
//!
//! Parsed once, at the border, and carried as types from there on: [`Sha256`], [`Name`], [`RelPath`], [`ByteSize`],
//! [`FilePin`], [`Reference`], [`Platform`], [`TrustLevel`]. Also the [`Event`] stream that feeds the human view, the JSON
//! lines and the report.
//!
//! This crate does no I/O, knows no async runtime and never prints.

mod digest;
mod event;
mod name;
mod path;
mod platform;
mod reference;
mod size;
mod text;
mod trust;
mod words;

pub use digest::{DigestError, ImageId, Sha256, bare_hex};
pub use event::{Event, EventKind, NullReporter, RecordingReporter, Reporter, Step};
pub use name::{Name, NameError};
pub use path::{PathError, PathSet, RelPath};
pub use platform::{Platform, PlatformError};
pub use reference::{Reference, ReferenceError, is_registry_host};
pub use size::{ByteSize, SizeError, format_bytes};
pub use text::is_hidden;
pub use trust::{TrustLevel, TrustLevelError};
pub use words::{WordError, spell, unspell};

use serde::{Deserialize, Serialize};

/// Endings of files that hold a whole model or a part of one.
const MODEL_FILE_ENDINGS: [&str; 6] = [".gguf", ".safetensors", ".onnx", ".bin", ".pt", ".pth"];

/// Whether a name is that of a file that holds a whole model or a part of one. A source with such a name is one file,
/// another one a folder; neither disk nor network is asked, so that a manifest means the same everywhere.
pub fn is_model_file(name: &str) -> bool {
    MODEL_FILE_ENDINGS.iter().any(|ending| name.ends_with(ending))
}

/// One file of a model as it is pinned: where it lies in the model, how long it is, what its bytes hash to.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FilePin {
    /// Path inside the model's folder.
    pub path: RelPath,
    /// Exact length in bytes.
    pub size: u64,
    /// SHA-256 of the whole file, written as bare lower-case hex.
    #[serde(with = "digest::bare_hex")]
    pub sha256: Sha256,
}

impl FilePin {
    /// Total length of a set of files in bytes; saturates at `u64::MAX`.
    pub fn total<'a>(files: impl IntoIterator<Item = &'a Self>) -> u64 {
        files.into_iter().fold(0, |sum, file| sum.saturating_add(file.size))
    }
}
