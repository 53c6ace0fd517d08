//! Why a registry did not give or take what was asked.

use sovai_core::{Platform, ReferenceError};
use sovai_http::{HttpError, StatusCode};
use sovai_store::StoreError;

/// Why a registry did not give or take what was asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RegistryError {
    /// A text that is no reference.
    #[error("`{}` is no reference", text.escape_debug())]
    Reference {
        /// What was written.
        text: String,
        /// Which rule it breaks.
        source: ReferenceError,
    },
    /// A reference without a registry.
    #[error("`{what}` names no registry")]
    NoHost {
        /// The reference.
        what: String,
    },
    /// A request failed.
    #[error("`{what}`")]
    Http {
        /// What was asked for.
        what: String,
        /// Why.
        #[source]
        source: HttpError,
    },
    /// The registry, or the token service that it named, wants other credentials.
    #[error("`{what}`: {reason}")]
    Refused {
        /// What was asked for.
        what: String,
        /// What it said, in our words.
        reason: String,
    },
    /// It is not there, or not for everybody to see: registries answer alike.
    #[error("`{what}` is not there, or not visible without credentials")]
    NotFound {
        /// What was asked for.
        what: String,
    },
    /// An answer that breaks the specification or a bound.
    #[error("`{what}`: {reason}")]
    Malformed {
        /// What was asked for.
        what: String,
        /// What is wrong.
        reason: String,
    },
    /// Something that is well-formed and not taken here.
    #[error("`{what}`: {reason}")]
    Unsupported {
        /// What was asked for.
        what: String,
        /// What it is.
        reason: String,
    },
    /// No image for the platform.
    #[error("`{what}` has no image for {wanted}; it has {}", list(offered))]
    Platform {
        /// What was asked for.
        what: String,
        /// The platform that was asked for.
        wanted: Platform,
        /// What there is.
        offered: Vec<Platform>,
    },
    /// Bytes that are not what was asked for.
    #[error("`{what}`: expected {expected}, found {found}")]
    Mismatch {
        /// What was asked for.
        what: String,
        /// The digest, or size, that was asked for.
        expected: String,
        /// That of what came.
        found: String,
    },
    /// Credentials that cannot be read.
    #[error("the credentials for `{host}` cannot be read: {reason}")]
    Credentials {
        /// The registry.
        host: String,
        /// Why not.
        reason: String,
    },
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
}

fn list(platforms: &[Platform]) -> String {
    if platforms.is_empty() {
        return "none that names a platform".to_owned();
    }
    platforms.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

impl RegistryError {
    /// Whether the same request may succeed a little later.
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Http { source, .. } if source.is_transient())
    }

    /// The status of an answer that was no success.
    pub fn status(&self) -> Option<StatusCode> {
        match self {
            Self::Http { source, .. } => source.status(),
            _ => None,
        }
    }

    /// Sorts the failure of a request about `what`.
    pub(crate) fn http(what: &str, source: HttpError) -> Self {
        let what = what.to_owned();
        match source.status() {
            Some(StatusCode::NOT_FOUND) => Self::NotFound { what },
            Some(StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) => {
                Self::Refused { what, reason: source.to_string() }
            }
            _ => Self::Http { what, source },
        }
    }
}
