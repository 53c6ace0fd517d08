//! Admission.
use crate::run::Report;
use crate::{Options, VerifyError};
use sovai_core::{FilePin, Name, Reporter, Sha256};
use sovai_store::Store;
use std::path::{Path, PathBuf};

/// What came of an admission.
#[derive(Debug)]
pub struct Admission {
    /// What was found.
    pub report: Report,
    /// There exactly when the report has no findings.
    pub receipt: Option<Receipt>,
}

/// Proof that the bytes of a model were verified and lie in the store. Only this crate makes one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Receipt {
    model: Name,
    model_digest: Sha256,
    tree: PathBuf,
    files: Vec<FilePin>,
}

impl Receipt {
    /// The model's name in the manifest.
    pub const fn model(&self) -> &Name {
        &self.model
    }

    /// The digest of the model's manifest in the store.
    pub const fn model_digest(&self) -> Sha256 {
        self.model_digest
    }

    /// The read-only folder to mount, an absolute path.
    pub fn tree(&self) -> &Path {
        &self.tree
    }

    /// The files that were verified, sorted by path.
    pub fn files(&self) -> &[FilePin] {
        &self.files
    }
}

/// Verifies a source and brings its bytes into the store.
pub fn admit(
    model: &Name,
    source: &Path,
    pins: &[FilePin],
    store: &Store,
    options: &Options,
    reporter: &dyn Reporter,
) -> Result<Admission, VerifyError> {
    let _ = (model, pins, store, options, reporter);
    Err(VerifyError::SourceMissing { path: source.to_owned() })
}
