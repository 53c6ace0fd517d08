//! Why a model signature is refused.

use super::{HashAlgorithm, MAX_RESOURCES, MEDIA_TYPE, PREDICATE_TYPE};
use crate::json::JsonError;
use crate::keys::{Algorithm, SignatureError};
use crate::statement::PAYLOAD_TYPE;
use sovai_core::{PathError, Sha256};

/// Why a model signature is refused. Every one of these ends a command with exit code 5: nothing is known about files.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "each message says what its variant means")]
pub enum OmsError {
    #[error("malformed model signature: {place}: {error}")]
    Json { place: &'static str, error: JsonError },
    #[error("malformed model signature: {place}: {what}")]
    Malformed { place: String, what: String },
    #[error("expected a bundle of media type `{MEDIA_TYPE}`, found `{}`", .0.escape_debug())]
    MediaType(String),
    #[error("expected a payload of type `{PAYLOAD_TYPE}`, found `{}`", .0.escape_debug())]
    PayloadType(String),
    #[error("expected a predicate of type `{PREDICATE_TYPE}`, found `{}`", .0.escape_debug())]
    PredicateType(String),
    #[error(
        "the signature is keyless (a short-lived certificate and a transparency log), which is not verified yet"
    )]
    Keyless,
    #[error("expected a signature by a {expected}, found one by a {found}")]
    WrongMethod { expected: &'static str, found: &'static str },
    #[error("the model signature has no signature in its envelope")]
    NoSignature,
    #[error("the model signature names another key: expected hint {expected}, found `{}`", .found.escape_debug())]
    WrongHint { expected: String, found: String },
    #[error("the model signature carries another public key than the one that is trusted")]
    WrongKeyBytes,
    #[error("OpenSSF Model Signing takes keys of P-256, P-384 or P-521, found {0}")]
    KeyKind(Algorithm),
    #[error("the model signature does not hold: {0}")]
    Signature(#[from] SignatureError),
    #[error("{found}; this is read only with --compat ({code})")]
    NeedsCompat { code: &'static str, found: String },
    #[error("a model signature has exactly one subject, found {0}")]
    Subjects(usize),
    #[error("unknown serialization method `{}`", .0.escape_debug())]
    Method(String),
    #[error("unknown hash algorithm `{}`", .0.escape_debug())]
    Hash(String),
    #[error(
        "resource `{}` has the algorithm `{}`, but the signature's hash type is {expected}",
        .name.escape_debug(), .found.escape_debug()
    )]
    HashMismatch { name: String, expected: HashAlgorithm, found: String },
    #[error("the digest of `{}` is not hexadecimal of {expected} bytes", .name.escape_debug())]
    DigestText { name: String, expected: usize },
    #[error("the signature lists no file")]
    NoResources,
    #[error("a signature lists at most {MAX_RESOURCES} resources")]
    TooManyResources,
    #[error("resource name `{}`: {error}", .name.escape_debug())]
    Name { name: String, error: PathError },
    #[error("`{}` is listed twice", .0.escape_debug())]
    Duplicate(String),
    #[error("`{}` is listed as a file and as the folder of `{}`", .file.escape_debug(), .inside.escape_debug())]
    FileAndFolder { file: String, inside: String },
    #[error("shard `{}`: {what}", .name.escape_debug())]
    Shard { name: String, what: String },
    #[error("ignored path `{}`: {what}", .path.escape_debug())]
    IgnoredPath { path: String, what: String },
    #[error("the root digest is not that of the listed resources: expected {expected}, found {found}")]
    Root { expected: Sha256, found: Sha256 },
    #[error("a signature cannot be written: {0}")]
    Write(String),
}

impl OmsError {
    pub(super) fn malformed(place: impl Into<String>, what: impl Into<String>) -> Self {
        Self::Malformed { place: place.into(), what: what.into() }
    }

    pub(super) fn json(place: &'static str) -> impl Fn(JsonError) -> Self {
        move |error| Self::Json { place, error }
    }
}
