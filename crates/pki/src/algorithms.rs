//! Signature algorithms: what *ring* has, and what it lacks for elliptic curves.
//!
//! SHA-1, MD5, DSA and RSA below 2048 bits are not here: a signature that rests on them is refused as unknown.

use ::p256::ecdsa::signature::hazmat::PrehashVerifier;
use rustls_pki_types::{AlgorithmIdentifier, InvalidSignature, SignatureVerificationAlgorithm, alg_id};
use sha2::{Digest, Sha256, Sha384, Sha512};

/// Everything that is believed, the common ones first.
pub(crate) const ALL: &[&dyn SignatureVerificationAlgorithm] = &[
    webpki::ring::ECDSA_P256_SHA256,
    webpki::ring::ECDSA_P384_SHA384,
    &P521_SHA512,
    webpki::ring::RSA_PKCS1_2048_8192_SHA256,
    webpki::ring::RSA_PKCS1_2048_8192_SHA384,
    webpki::ring::RSA_PKCS1_2048_8192_SHA512,
    webpki::ring::ECDSA_P256_SHA384,
    webpki::ring::ECDSA_P384_SHA256,
    webpki::ring::ED25519,
    webpki::ring::RSA_PSS_2048_8192_SHA256_LEGACY_KEY,
    webpki::ring::RSA_PSS_2048_8192_SHA384_LEGACY_KEY,
    webpki::ring::RSA_PSS_2048_8192_SHA512_LEGACY_KEY,
    &P256_SHA512,
    &P384_SHA512,
    &P521_SHA256,
    &P521_SHA384,
];

const P256_SHA512: Own = Own { curve: Curve::P256, hash: Hash::Sha512 };
const P384_SHA512: Own = Own { curve: Curve::P384, hash: Hash::Sha512 };
const P521_SHA256: Own = Own { curve: Curve::P521, hash: Hash::Sha256 };
const P521_SHA384: Own = Own { curve: Curve::P521, hash: Hash::Sha384 };
const P521_SHA512: Own = Own { curve: Curve::P521, hash: Hash::Sha512 };

/// A hash function that is believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Hash {
    Sha256,
    Sha384,
    Sha512,
}

impl Hash {
    pub(crate) fn digest(self, message: &[u8]) -> Vec<u8> {
        match self {
            Self::Sha256 => Sha256::digest(message).to_vec(),
            Self::Sha384 => Sha384::digest(message).to_vec(),
            Self::Sha512 => Sha512::digest(message).to_vec(),
        }
    }

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Sha256 => "SHA-256",
            Self::Sha384 => "SHA-384",
            Self::Sha512 => "SHA-512",
        }
    }

    /// RSA with PKCS#1 padding and this hash, for signers that name their algorithm in two parts.
    pub(crate) fn rsa(self) -> &'static dyn SignatureVerificationAlgorithm {
        match self {
            Self::Sha256 => webpki::ring::RSA_PKCS1_2048_8192_SHA256,
            Self::Sha384 => webpki::ring::RSA_PKCS1_2048_8192_SHA384,
            Self::Sha512 => webpki::ring::RSA_PKCS1_2048_8192_SHA512,
        }
    }
}

#[derive(Debug, Clone, Copy)]
enum Curve {
    P256,
    P384,
    P521,
}

/// ECDSA of the `RustCrypto` crates, in webpki's terms.
#[derive(Debug)]
struct Own {
    curve: Curve,
    hash: Hash,
}

impl SignatureVerificationAlgorithm for Own {
    fn public_key_alg_id(&self) -> AlgorithmIdentifier {
        match self.curve {
            Curve::P256 => alg_id::ECDSA_P256,
            Curve::P384 => alg_id::ECDSA_P384,
            Curve::P521 => alg_id::ECDSA_P521,
        }
    }

    fn signature_alg_id(&self) -> AlgorithmIdentifier {
        match self.hash {
            Hash::Sha256 => alg_id::ECDSA_SHA256,
            Hash::Sha384 => alg_id::ECDSA_SHA384,
            Hash::Sha512 => alg_id::ECDSA_SHA512,
        }
    }

    fn verify_signature(&self, key: &[u8], message: &[u8], signature: &[u8]) -> Result<(), InvalidSignature> {
        let mut digest = self.hash.digest(message);
        let holds = match self.curve {
            Curve::P256 => p256(key, &digest, signature),
            Curve::P384 => p384(key, &digest, signature),
            Curve::P521 => {
                // The crate takes no digest shorter than half a field. One that is shorter than the order is read as a
                // number, which zeros in front do not change (FIPS 186-5, 6.4.2).
                let mut padded = vec![0; 66 - digest.len()];
                padded.append(&mut digest);
                p521(key, &padded, signature)
            }
        };
        holds.ok_or(InvalidSignature)
    }
}

macro_rules! ecdsa {
    ($curve:ident) => {
        /// `Some` when the DER signature holds over the digest.
        fn $curve(key: &[u8], digest: &[u8], signature: &[u8]) -> Option<()> {
            let key = ::$curve::ecdsa::VerifyingKey::from_sec1_bytes(key).ok()?;
            let signature = ::$curve::ecdsa::Signature::from_der(signature).ok()?;
            key.verify_prehash(digest, &signature).ok()
        }
    };
}
ecdsa!(p256);
ecdsa!(p384);
ecdsa!(p521);
