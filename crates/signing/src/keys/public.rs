//! Public keys.

use super::{Algorithm, KeyError, KeyId, SignatureError, algorithm_of};
use crate::pem;
use crate::text::to_hex;
use p256::ecdsa::signature::hazmat::PrehashVerifier as _;
use p256::pkcs8::EncodePublicKey as _;
use sha2::{Digest as _, Sha256 as Sha256Hasher, Sha384, Sha512};
use sovai_core::Sha256;
use spki::SubjectPublicKeyInfoRef;
use std::fmt;

/// Most bytes of an SPKI DER: P-521 has 158.
const MAX_SPKI: usize = 1024;

/// A public key that is valid on its curve.
#[derive(Clone)]
pub struct PublicKey {
    inner: Inner,
    /// SPKI DER with the uncompressed point, whatever form was read, so that one key has one id.
    der: Vec<u8>,
    id: KeyId,
}

#[derive(Clone)]
enum Inner {
    Ed25519(ed25519_dalek::VerifyingKey),
    P256(p256::ecdsa::VerifyingKey),
    P384(p384::ecdsa::VerifyingKey),
    P521(p521::ecdsa::VerifyingKey),
}

/// Which hash function goes before ECDSA.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Prehash {
    /// The curve's own.
    Curve,
    /// SHA-256 whatever the curve, as model-signing 0.2.0 did.
    Sha256,
}

impl PublicKey {
    /// Reads one `PUBLIC KEY` block (SPKI PEM).
    pub fn from_pem(text: &[u8]) -> Result<Self, KeyError> {
        let blocks = pem::blocks(text)?;
        if let Some(other) = blocks.iter().find(|block| block.label != "PUBLIC KEY") {
            return Err(KeyError::Label { expected: "a public key (SPKI PEM)", found: other.label.clone() });
        }
        match &*blocks {
            [block] => Self::from_spki_der(&block.der),
            several => Err(KeyError::Several(several.len())),
        }
    }

    /// Reads an SPKI structure (RFC 5280, DER).
    pub fn from_spki_der(der: &[u8]) -> Result<Self, KeyError> {
        if der.len() > MAX_SPKI {
            // RSA keys are longer than that; name them where it can be done.
            let found = SubjectPublicKeyInfoRef::try_from(der).map(|spki| algorithm_of(&spki.algorithm));
            return Err(found.ok().and_then(Result::err).unwrap_or(KeyError::Malformed("public key")));
        }
        let malformed = |_| KeyError::Malformed("public key");
        let spki = SubjectPublicKeyInfoRef::try_from(der).map_err(malformed)?;
        let inner = match algorithm_of(&spki.algorithm)? {
            Algorithm::Ed25519 => {
                let key = ed25519_dalek::VerifyingKey::try_from(spki).map_err(malformed)?;
                if key.is_weak() {
                    return Err(KeyError::Weak);
                }
                Inner::Ed25519(key)
            }
            Algorithm::P256 => Inner::P256(spki.try_into().map_err(malformed)?),
            Algorithm::P384 => Inner::P384(spki.try_into().map_err(malformed)?),
            Algorithm::P521 => Inner::P521(spki.try_into().map_err(malformed)?),
        };
        Self::from_inner(inner)
    }

    pub(super) fn ed25519(key: ed25519_dalek::VerifyingKey) -> Result<Self, KeyError> {
        Self::from_inner(Inner::Ed25519(key))
    }

    pub(super) fn p256(key: p256::ecdsa::VerifyingKey) -> Result<Self, KeyError> {
        Self::from_inner(Inner::P256(key))
    }

    pub(super) fn p384(key: p384::ecdsa::VerifyingKey) -> Result<Self, KeyError> {
        Self::from_inner(Inner::P384(key))
    }

    pub(super) fn p521(key: p521::ecdsa::VerifyingKey) -> Result<Self, KeyError> {
        Self::from_inner(Inner::P521(key))
    }

    fn from_inner(inner: Inner) -> Result<Self, KeyError> {
        let der = match &inner {
            Inner::Ed25519(key) => key.to_public_key_der(),
            Inner::P256(key) => key.to_public_key_der(),
            Inner::P384(key) => key.to_public_key_der(),
            Inner::P521(key) => key.to_public_key_der(),
        };
        let der = der.map_err(|_| KeyError::Malformed("public key"))?.as_bytes().to_vec();
        let id = KeyId(Sha256::from_bytes(Sha256Hasher::digest(&der).into()));
        Ok(Self { inner, der, id })
    }

    /// The SPKI DER, with the point uncompressed.
    pub fn spki_der(&self) -> &[u8] {
        &self.der
    }

    /// SPKI PEM as OpenSSL writes it: lines of 64 characters, a newline at the end.
    pub fn to_pem(&self) -> String {
        pem::encode("PUBLIC KEY", &self.der)
    }

    /// SHA-256 of [`PublicKey::spki_der`].
    pub fn id(&self) -> KeyId {
        self.id
    }

    /// Kind of the key.
    pub fn algorithm(&self) -> Algorithm {
        match &self.inner {
            Inner::Ed25519(_) => Algorithm::Ed25519,
            Inner::P256(_) => Algorithm::P256,
            Inner::P384(_) => Algorithm::P384,
            Inner::P521(_) => Algorithm::P521,
        }
    }

    /// `publicKey.hint` of OpenSSF Model Signing: lower-case hex of the SHA-256 of the PEM text.
    pub fn oms_hint(&self) -> String {
        to_hex(&Sha256Hasher::digest(self.to_pem().as_bytes()))
    }

    /// Checks a signature: 64 bytes for ed25519 (the strict rules of `verify_strict`), DER of `(r, s)` for ECDSA.
    pub fn verify(&self, message: &[u8], signature: &[u8]) -> Result<(), SignatureError> {
        if let Inner::Ed25519(key) = &self.inner {
            let signature = ed25519_dalek::Signature::from_slice(signature)
                .map_err(|_| SignatureError::Malformed(Algorithm::Ed25519))?;
            return key
                .verify_strict(message, &signature)
                .map_err(|_| SignatureError::Invalid(Algorithm::Ed25519));
        }
        self.verify_parts(&[message], signature, Prehash::Curve)
    }

    /// Checks an ECDSA signature over the concatenation of `parts`, without a copy of them.
    pub(crate) fn verify_parts(
        &self,
        parts: &[&[u8]],
        signature: &[u8],
        prehash: Prehash,
    ) -> Result<(), SignatureError> {
        let algorithm = self.algorithm();
        let malformed = |_| SignatureError::Malformed(algorithm);
        let invalid = |_| SignatureError::Invalid(algorithm);
        match &self.inner {
            Inner::Ed25519(_) => Err(SignatureError::Unsupported(algorithm)),
            Inner::P256(key) => {
                let signature = p256::ecdsa::Signature::from_der(signature).map_err(malformed)?;
                key.verify_prehash(&hash::<Sha256Hasher>(parts), &signature).map_err(invalid)
            }
            Inner::P384(key) => {
                let signature = p384::ecdsa::Signature::from_der(signature).map_err(malformed)?;
                let digest = match prehash {
                    Prehash::Curve => hash::<Sha384>(parts),
                    Prehash::Sha256 => hash::<Sha256Hasher>(parts),
                };
                key.verify_prehash(&digest, &signature).map_err(invalid)
            }
            Inner::P521(key) => {
                let signature = p521::ecdsa::Signature::from_der(signature).map_err(malformed)?;
                let digest = match prehash {
                    Prehash::Curve => hash::<Sha512>(parts),
                    Prehash::Sha256 => hash::<Sha256Hasher>(parts),
                };
                key.verify_prehash(&digest, &signature).map_err(invalid)
            }
        }
    }
}

fn hash<D: sha2::Digest>(parts: &[&[u8]]) -> Vec<u8> {
    let mut hasher = D::new();
    for part in parts {
        hasher.update(part);
    }
    hasher.finalize().to_vec()
}

impl PartialEq for PublicKey {
    fn eq(&self, other: &Self) -> bool {
        self.der == other.der
    }
}

impl Eq for PublicKey {}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({} {})", self.algorithm(), self.id)
    }
}
