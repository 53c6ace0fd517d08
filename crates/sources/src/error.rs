//! Why a source did not give what was asked.

use sovai_core::Sha256;
use sovai_http::HttpError;
use sovai_store::StoreError;
use sovai_verifier::VerifyError;
use std::path::PathBuf;
use std::time::Duration;

/// Why a source did not give what was asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SourceError {
    /// The text names no source that this version knows, or a setting of it cannot be used.
    #[error("source `{origin}`: {reason}")]
    Invalid {
        /// The source as the manifest writes it.
        origin: String,
        /// What is wrong.
        reason: String,
    },
    /// A glob of `include` or `exclude` that cannot be read.
    #[error("glob `{glob}`: {reason}")]
    Glob {
        /// The glob, its beginning.
        glob: String,
        /// What is wrong.
        reason: String,
    },
    /// A request failed.
    #[error("source `{origin}`")]
    Http {
        /// The source as the manifest writes it.
        origin: String,
        /// Why.
        #[source]
        source: HttpError,
    },
    /// The source answered, and said no: gated, private, not there, or asking for credentials.
    #[error("source `{origin}`: {reason}")]
    Refused {
        /// The source as the manifest writes it.
        origin: String,
        /// What it said, in our words.
        reason: String,
        /// What to do next.
        hint: String,
    },
    /// The source has no such branch, tag or commit (any more).
    #[error("source `{origin}`: there is no revision `{revision}` ({said})")]
    NoRevision {
        /// The source as the manifest writes it.
        origin: String,
        /// What was asked for.
        revision: String,
        /// What it answered.
        said: String,
        /// What to do next.
        hint: String,
    },
    /// The answer is not what this kind of source gives, or breaks a bound.
    #[error("source `{origin}`: {reason}")]
    Malformed {
        /// The source as the manifest writes it.
        origin: String,
        /// What is wrong with it.
        reason: String,
    },
    /// Bytes that are not what was pinned, or that the source itself says two things about.
    #[error("`{path}` from `{origin}`: expected {expected}, found {found}")]
    Mismatch {
        /// The source as the manifest writes it.
        origin: String,
        /// The file.
        path: String,
        /// What was pinned.
        expected: String,
        /// What came.
        found: String,
    },
    /// The connection was lost too often without a byte in between.
    #[error("`{path}` ({sha256}): given up after {tries} tries in a row that brought nothing")]
    GivenUp {
        /// The file.
        path: String,
        /// Its digest.
        sha256: Sha256,
        /// How many.
        tries: u32,
        /// The last failure.
        #[source]
        last: Box<Self>,
    },
    /// Not enough space on the store's disk.
    #[error("`{}` needs {} of free space and has {}", .path.display(), sovai_core::format_bytes(*.needed), sovai_core::format_bytes(*.free))]
    NoSpace {
        /// Bytes needed.
        needed: u64,
        /// Bytes free.
        free: u64,
        /// The store.
        path: PathBuf,
    },
    /// Stopped from outside.
    #[error("interrupted")]
    Cancelled,
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The verifier.
    #[error(transparent)]
    Verify(#[from] VerifyError),
}

impl SourceError {
    /// How long the source asked to wait.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Http { source, .. } => source.retry_after(),
            _ => None,
        }
    }

    /// Whether bytes came, and too few of them: no sign that the next try brings more.
    pub const fn is_slow(&self) -> bool {
        matches!(self, Self::Http { source, .. } if source.is_slow())
    }

    /// Whether the same request may succeed a little later.
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Http { source, .. } if source.is_transient())
    }
}
