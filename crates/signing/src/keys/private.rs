//! Private keys: PKCS#8 and SEC1, plain or encrypted. Secrets are wiped from memory when they are dropped.

use super::{Algorithm, KeyError, PublicKey, algorithm_of, name_of};
use crate::pem;
use ed25519_dalek::pkcs8::KeypairBytes;
use p256::ecdsa::signature::Signer as _;
use p256::pkcs8::EncodePrivateKey as _;
use pkcs8::pkcs5::EncryptionScheme;
use pkcs8::pkcs5::pbes2::Kdf;
use pkcs8::{EncryptedPrivateKeyInfoRef, PrivateKeyInfoRef};
use sec1::EcPrivateKey;
use std::fmt;
use zeroize::Zeroizing;

/// Most rounds of PBKDF2 that a file may ask for: some seconds.
const MAX_PBKDF2_ROUNDS: u32 = 10_000_000;
/// Most memory that scrypt may be asked for.
const MAX_SCRYPT_BYTES: u64 = 128 << 20;

/// A private key with its public one.
pub struct PrivateKey {
    inner: Inner,
    public: PublicKey,
}

enum Inner {
    Ed25519(ed25519_dalek::SigningKey),
    P256(p256::ecdsa::SigningKey),
    P384(p384::ecdsa::SigningKey),
    P521(p521::ecdsa::SigningKey),
}

impl PrivateKey {
    /// Makes a key pair from the system's random numbers.
    pub fn generate(algorithm: Algorithm) -> Result<Self, KeyError> {
        // A scalar out of range is as good as impossible except on P-521, whose top byte has seven bits too many.
        for _ in 0..64 {
            let mut secret = Zeroizing::new([0u8; 66]);
            let secret = match algorithm {
                Algorithm::Ed25519 | Algorithm::P256 => &mut secret[..32],
                Algorithm::P384 => &mut secret[..48],
                Algorithm::P521 => &mut secret[..],
            };
            getrandom::fill(secret).map_err(|_| KeyError::Random)?;
            if algorithm == Algorithm::P521 {
                secret[0] &= 1;
            }
            if let Ok(key) = Self::from_secret(algorithm, secret) {
                return Ok(key);
            }
        }
        Err(KeyError::Random)
    }

    /// A seed of ed25519, or a scalar in big-endian order at its curve's full length.
    fn from_secret(algorithm: Algorithm, secret: &[u8]) -> Result<Self, KeyError> {
        const BAD: KeyError = KeyError::Malformed("private key");
        let inner = match algorithm {
            Algorithm::Ed25519 => Inner::Ed25519(secret.try_into().map_err(|_| BAD)?),
            Algorithm::P256 => Inner::P256(p256::ecdsa::SigningKey::from_slice(secret).map_err(|_| BAD)?),
            Algorithm::P384 => Inner::P384(p384::ecdsa::SigningKey::from_slice(secret).map_err(|_| BAD)?),
            Algorithm::P521 => Inner::P521(p521::ecdsa::SigningKey::from_slice(secret).map_err(|_| BAD)?),
        };
        Self::from_inner(inner)
    }

    fn from_inner(inner: Inner) -> Result<Self, KeyError> {
        let public = match &inner {
            Inner::Ed25519(key) => PublicKey::ed25519(key.verifying_key()),
            Inner::P256(key) => PublicKey::p256(*key.verifying_key()),
            Inner::P384(key) => PublicKey::p384(*key.verifying_key()),
            Inner::P521(key) => PublicKey::p521(*key.verifying_key()),
        }?;
        Ok(Self { inner, public })
    }

    /// Reads one private key: `PRIVATE KEY`, `ENCRYPTED PRIVATE KEY` (PKCS#8) or `EC PRIVATE KEY` (SEC1), the last
    /// also behind the `EC PARAMETERS` that OpenSSL writes. A passphrase is used only where the key is encrypted.
    pub fn from_pem(text: &[u8], passphrase: Option<&[u8]>) -> Result<Self, KeyError> {
        let mut blocks = pem::blocks(text)?;
        blocks.retain(|block| block.label != "EC PARAMETERS");
        let [block] = &*blocks else { return Err(KeyError::Several(blocks.len())) };
        match block.label.as_str() {
            "PRIVATE KEY" => Self::from_pkcs8(&block.der),
            "EC PRIVATE KEY" => Self::from_sec1(&block.der),
            "ENCRYPTED PRIVATE KEY" => {
                Self::from_encrypted(&block.der, passphrase.ok_or(KeyError::Encrypted)?)
            }
            "RSA PRIVATE KEY" => Err(KeyError::Algorithm { found: "RSA".to_owned() }),
            "DSA PRIVATE KEY" => Err(KeyError::Algorithm { found: "DSA".to_owned() }),
            other => Err(KeyError::Label {
                expected: "a private key (PKCS#8 or SEC1 PEM)",
                found: other.to_owned(),
            }),
        }
    }

    fn from_pkcs8(der: &[u8]) -> Result<Self, KeyError> {
        let malformed = |_| KeyError::Malformed("private key");
        let info = PrivateKeyInfoRef::try_from(der).map_err(malformed)?;
        let inner = match algorithm_of(&info.algorithm)? {
            Algorithm::Ed25519 => Inner::Ed25519(info.try_into().map_err(malformed)?),
            Algorithm::P256 => Inner::P256(info.try_into().map_err(malformed)?),
            Algorithm::P384 => Inner::P384(info.try_into().map_err(malformed)?),
            Algorithm::P521 => Inner::P521(info.try_into().map_err(malformed)?),
        };
        Self::from_inner(inner)
    }

    fn from_sec1(der: &[u8]) -> Result<Self, KeyError> {
        let malformed = || KeyError::Malformed("private key");
        let key = EcPrivateKey::try_from(der).map_err(|_| malformed())?;
        let curve = key.parameters.and_then(sec1::EcParameters::named_curve);
        let algorithm = match curve.map(|curve| curve.to_string()).as_deref() {
            Some("1.2.840.10045.3.1.7") => Algorithm::P256,
            Some("1.3.132.0.34") => Algorithm::P384,
            Some("1.3.132.0.35") => Algorithm::P521,
            curve => return Err(KeyError::Algorithm { found: name_of("1.2.840.10045.2.1", curve) }),
        };
        let private = Self::from_secret(algorithm, key.private_key)?;
        // The file may carry the public key as well; one that is not this key's would sign for somebody else.
        if let Some(point) = key.public_key {
            let same = match &private.inner {
                Inner::Ed25519(_) => false,
                Inner::P256(own) => p256::ecdsa::VerifyingKey::from_sec1_bytes(point)
                    .is_ok_and(|key| key == *own.verifying_key()),
                Inner::P384(own) => p384::ecdsa::VerifyingKey::from_sec1_bytes(point)
                    .is_ok_and(|key| key == *own.verifying_key()),
                Inner::P521(own) => p521::ecdsa::VerifyingKey::from_sec1_bytes(point)
                    .is_ok_and(|key| key == *own.verifying_key()),
            };
            if !same {
                return Err(malformed());
            }
        }
        Ok(private)
    }

    fn from_encrypted(der: &[u8], passphrase: &[u8]) -> Result<Self, KeyError> {
        let info = EncryptedPrivateKeyInfoRef::try_from(der)
            .map_err(|_| KeyError::Encryption("a scheme other than PBES2 of PKCS#5".to_owned()))?;
        match &info.encryption_algorithm {
            EncryptionScheme::Pbes2(parameters) => match &parameters.kdf {
                Kdf::Pbkdf2(kdf) if kdf.iteration_count > MAX_PBKDF2_ROUNDS => {
                    return Err(KeyError::Encryption(format!("{} rounds of PBKDF2", kdf.iteration_count)));
                }
                Kdf::Scrypt(kdf) => {
                    let bytes = u64::from(kdf.block_size)
                        .saturating_mul(128)
                        .saturating_mul(kdf.cost_parameter)
                        .saturating_mul(u64::from(kdf.parallelization));
                    if bytes > MAX_SCRYPT_BYTES {
                        return Err(KeyError::Encryption(format!("scrypt at a cost of {bytes} bytes")));
                    }
                }
                _ => {}
            },
            _ => return Err(KeyError::Encryption("a scheme other than PBES2 of PKCS#5".to_owned())),
        }
        let plain = info.decrypt(passphrase).map_err(|_| KeyError::Passphrase)?;
        Self::from_pkcs8(plain.as_bytes()).map_err(|error| match error {
            // A wrong passphrase can decrypt to something that ends like padding.
            KeyError::Malformed(_) => KeyError::Passphrase,
            other => other,
        })
    }

    /// PKCS#8 PEM; with a passphrase encrypted by PBES2 (scrypt, AES-256-CBC), which OpenSSL 3 reads too.
    pub fn to_pkcs8_pem(&self, passphrase: Option<&[u8]>) -> Result<Zeroizing<String>, KeyError> {
        const BAD: KeyError = KeyError::Malformed("private key");
        let der = match &self.inner {
            // Without the public key, as RFC 8410 has it: with it the file is PKCS#8 v2 (RFC 5958), which OpenSSL 3.0 and
            // others cannot read.
            Inner::Ed25519(key) => {
                let pair = KeypairBytes { secret_key: key.to_bytes(), public_key: None };
                pair.to_pkcs8_der()
            }
            Inner::P256(key) => key.to_pkcs8_der(),
            Inner::P384(key) => key.to_pkcs8_der(),
            Inner::P521(key) => key.to_pkcs8_der(),
        };
        let der = der.map_err(|_| BAD)?;
        let Some(passphrase) = passphrase else {
            return Ok(Zeroizing::new(pem::encode("PRIVATE KEY", der.as_bytes())));
        };
        let info = PrivateKeyInfoRef::try_from(der.as_bytes()).map_err(|_| BAD)?;
        let encrypted =
            info.encrypt_with_rng(&mut getrandom::SysRng, passphrase).map_err(|_| KeyError::Random)?;
        Ok(Zeroizing::new(pem::encode("ENCRYPTED PRIVATE KEY", encrypted.as_bytes())))
    }

    /// The public key.
    pub fn public(&self) -> &PublicKey {
        &self.public
    }

    /// Signs a message: 64 bytes for ed25519, DER of `(r, s)` for ECDSA. Both are deterministic (RFC 8032, RFC 6979).
    pub fn sign(&self, message: &[u8]) -> Vec<u8> {
        match &self.inner {
            Inner::Ed25519(key) => key.sign(message).to_bytes().to_vec(),
            Inner::P256(key) => {
                let signature: p256::ecdsa::Signature = key.sign(message);
                signature.to_der().as_bytes().to_vec()
            }
            Inner::P384(key) => {
                let signature: p384::ecdsa::Signature = key.sign(message);
                signature.to_der().as_bytes().to_vec()
            }
            Inner::P521(key) => {
                let signature: p521::ecdsa::Signature = key.sign(message);
                signature.to_der().as_bytes().to_vec()
            }
        }
    }
}

impl fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PrivateKey({} {}, secret)", self.public.algorithm(), self.public.id())
    }
}
