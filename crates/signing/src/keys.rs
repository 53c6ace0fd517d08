//! Key pairs: ed25519 and the NIST curves that OpenSSF Model Signing takes.

mod private;
mod public;

pub use private::PrivateKey;
pub(crate) use public::Prehash;
pub use public::PublicKey;

use crate::pem::PemError;
use serde::{Deserialize, Serialize};
use sovai_core::{DigestError, Sha256};
use std::fmt;
use std::str::FromStr;

/// Identifies key material: the SHA-256 of the public key's SPKI DER, in its one canonical form.
///
/// `Display`, `FromStr` and serde use `sha256:<64 hex digits>`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct KeyId(pub Sha256);

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for KeyId {
    type Err = DigestError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.parse().map(Self)
    }
}

/// Kind of a key; it fixes the hash function too.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Algorithm {
    /// Ed25519 (RFC 8032), for sovai's own statements.
    Ed25519,
    /// ECDSA on P-256 with SHA-256.
    P256,
    /// ECDSA on P-384 with SHA-384.
    P384,
    /// ECDSA on P-521 with SHA-512.
    P521,
}

impl Algorithm {
    /// Whether OpenSSF Model Signing takes such a key.
    pub const fn is_oms(self) -> bool {
        !matches!(self, Self::Ed25519)
    }
}

impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Ed25519 => "ed25519",
            Self::P256 => "P-256",
            Self::P384 => "P-384",
            Self::P521 => "P-521",
        })
    }
}

/// Why a key cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// Not PEM.
    #[error(transparent)]
    Pem(#[from] PemError),
    /// A PEM block of another kind: a certificate, a private key for a public one, an OpenSSH key.
    #[error("expected {expected}, found a PEM block `{found}`")]
    Label {
        /// What was asked for.
        expected: &'static str,
        /// The label that stands there.
        found: String,
    },
    /// More than one key in one file.
    #[error("expected one key, found {0} PEM blocks")]
    Several(usize),
    /// A kind of key that sovai does not use.
    #[error("expected a key of ed25519, P-256, P-384 or P-521, found {found}")]
    Algorithm {
        /// Its name, or its object identifier.
        found: String,
    },
    /// The bytes are no key of the kind that they claim: not DER, a point off the curve, a scalar out of range.
    #[error("the {0} is malformed or not valid")]
    Malformed(&'static str),
    /// A public key with which anybody could sign (a point of small order).
    #[error("the ed25519 public key is weak: signatures by it prove nothing")]
    Weak,
    /// The private key is encrypted and no passphrase was given.
    #[error("the private key is encrypted: a passphrase is needed")]
    Encrypted,
    /// Wrong passphrase, or damaged.
    #[error("the private key cannot be decrypted: wrong passphrase, or the file is damaged")]
    Passphrase,
    /// Encrypted in a way that is not read, or at a cost beyond the bounds.
    #[error("the private key is encrypted with {0}, which is not read")]
    Encryption(String),
    /// The system gives no random bytes.
    #[error("the system gives no random numbers")]
    Random,
}

/// Why a signature does not hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SignatureError {
    /// Not a signature of this kind: wrong length, not DER, a number out of range.
    #[error("malformed {0} signature")]
    Malformed(Algorithm),
    /// Well formed, but not by this key over these bytes.
    #[error("the {0} signature is not by this key over these bytes")]
    Invalid(Algorithm),
    /// The key cannot sign in this format.
    #[error("a key of {0} cannot be used here")]
    Unsupported(Algorithm),
}

/// Names for what is often met and never used; anything else is shown by its object identifier.
fn name_of(oid: &str, curve: Option<&str>) -> String {
    match (oid, curve) {
        ("1.2.840.113549.1.1.1", _) => "RSA".to_owned(),
        ("1.2.840.113549.1.1.10", _) => "RSA-PSS".to_owned(),
        ("1.2.840.10040.4.1", _) => "DSA".to_owned(),
        ("1.3.101.110", _) => "X25519".to_owned(),
        ("1.3.101.113", _) => "ed448".to_owned(),
        ("1.2.840.10045.2.1", Some("1.3.132.0.10")) => "secp256k1".to_owned(),
        ("1.2.840.10045.2.1", Some("1.3.36.3.3.2.8.1.1.7")) => "brainpoolP256r1".to_owned(),
        ("1.2.840.10045.2.1", Some("1.2.156.10197.1.301")) => "SM2".to_owned(),
        ("1.2.840.10045.2.1", Some(curve)) => format!("an elliptic curve {curve}"),
        ("1.2.840.10045.2.1", None) => "an elliptic curve that is not named".to_owned(),
        (oid, _) => format!("algorithm {oid}"),
    }
}

/// The kind of key that an algorithm identifier names.
fn algorithm_of(algorithm: &spki::AlgorithmIdentifierRef<'_>) -> Result<Algorithm, KeyError> {
    let oid = algorithm.oid.to_string();
    let curve = algorithm.parameters.and_then(|any| any.decode_as::<spki::ObjectIdentifier>().ok());
    let curve = curve.map(|oid| oid.to_string());
    match (oid.as_str(), curve.as_deref()) {
        ("1.3.101.112", None) => Ok(Algorithm::Ed25519),
        ("1.2.840.10045.2.1", Some("1.2.840.10045.3.1.7")) => Ok(Algorithm::P256),
        ("1.2.840.10045.2.1", Some("1.3.132.0.34")) => Ok(Algorithm::P384),
        ("1.2.840.10045.2.1", Some("1.3.132.0.35")) => Ok(Algorithm::P521),
        (oid, curve) => Err(KeyError::Algorithm { found: name_of(oid, curve) }),
    }
}
