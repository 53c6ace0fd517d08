//! OpenSSF Model Signing v1.0 (`model.sig`): a Sigstore bundle around a DSSE envelope around an in-toto statement
//! around a list of files.
//!
//! Read in two steps: [`Bundle::parse`] takes the file apart, [`Bundle::verify_key`] or [`Bundle::verify_leaf`]
//! checks the signature and only then reads what was signed. Files themselves are not looked at here.

mod bundle;
mod error;
mod ignore;
mod legacy;
mod names;
mod payload;
mod resource;
mod write;

pub use bundle::{Bundle, Material};
pub use error::OmsError;
pub use write::{SignRequest, root_digest, sign};

use crate::text::to_hex;
use sovai_core::{RelPath, Sha256};
use std::fmt;

/// The one media type of a bundle.
pub const MEDIA_TYPE: &str = "application/vnd.dev.sigstore.bundle.v0.3+json";
/// Predicate of OpenSSF Model Signing v1.0.
pub const PREDICATE_TYPE: &str = "https://model_signing/signature/v1.0";
/// Predicate that model-signing 0.2.0 wrote.
pub const PREDICATE_TYPE_V0_1: &str = "https://model_signing/Digests/v0.1";
/// What every signer leaves out at the root of a model (the specification's section on default exclusions).
pub const DEFAULT_IGNORES: [&str; 4] = [".git", ".gitattributes", ".github", ".gitignore"];
/// Most resources of one signature.
pub const MAX_RESOURCES: usize = 250_000;

/// How strictly a bundle is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compat {
    /// What the specification and the current tools write.
    Strict,
    /// Also what older tools wrote; each thing that was let pass is named in [`Signed::tolerated`].
    Compat,
}

/// A hash function of resources.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum HashAlgorithm {
    /// SHA-256, 32 bytes.
    Sha256,
    /// `BLAKE2b`, 64 bytes.
    Blake2b,
    /// `BLAKE3`, 32 bytes.
    Blake3,
}

impl HashAlgorithm {
    /// The identifier of OMS' algorithm registry.
    pub const fn id(self) -> &'static str {
        match self {
            Self::Sha256 => "sha256",
            Self::Blake2b => "blake2b",
            Self::Blake3 => "blake3",
        }
    }

    /// Bytes of a digest.
    pub const fn digest_len(self) -> usize {
        match self {
            Self::Sha256 | Self::Blake3 => 32,
            Self::Blake2b => 64,
        }
    }

    fn from_id(id: &str) -> Option<Self> {
        [Self::Sha256, Self::Blake2b, Self::Blake3].into_iter().find(|algorithm| algorithm.id() == id)
    }
}

impl fmt::Display for HashAlgorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.id())
    }
}

/// How files were hashed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// Each file whole.
    Files,
    /// Each file in pieces.
    Shards {
        /// Bytes of each piece but a file's last, which may be shorter.
        size: u64,
    },
}

/// A digest with its algorithm.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Digest {
    /// Which hash function.
    pub algorithm: HashAlgorithm,
    /// [`HashAlgorithm::digest_len`] bytes.
    pub bytes: Vec<u8>,
}

impl Digest {
    /// The digest as SHA-256, if it is one.
    pub fn sha256(&self) -> Option<Sha256> {
        let bytes = self.bytes.as_slice().try_into().ok()?;
        (self.algorithm == HashAlgorithm::Sha256).then(|| Sha256::from_bytes(bytes))
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.algorithm, to_hex(&self.bytes))
    }
}

/// Bytes of a file with their digest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Piece {
    /// First byte.
    pub start: u64,
    /// The byte behind the last; `None` for a whole file of whatever length.
    pub end: Option<u64>,
    /// The digest of these bytes.
    pub digest: Digest,
}

/// A signed file. Its pieces are in order and lie gapless from byte 0; where the last one has an `end`, that is the
/// file's exact length, and a file that goes on behind it is not what was signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resource {
    /// The path under the model's root.
    pub name: RelPath,
    /// One for [`Method::Files`], at least one for [`Method::Shards`].
    pub pieces: Vec<Piece>,
}

/// Something that only [`Compat::Compat`] lets pass.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tolerated {
    /// A stable name: `key-bytes`, `predicate-v0.1`.
    pub code: &'static str,
    /// What was found, in words.
    pub text: String,
}

/// What a good signature says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signed {
    /// The name that the signer gave the model; for people only. Empty where the format has none (v0.1).
    pub model_name: String,
    /// The signed files: at least one, no name twice, none another's folder. In the bundle's order.
    pub resources: Vec<Resource>,
    /// How they were hashed.
    pub method: Method,
    /// With what.
    pub hash: HashAlgorithm,
    /// Whether the signer followed symbolic links.
    pub allow_symlinks: bool,
    /// Paths that the signer left out: relative, never a signed file or a folder of one. As in the bundle.
    pub ignore_paths: Vec<String>,
    /// SHA-256 over the digests in the bundle's order: OMS' identity of the model.
    pub root: Sha256,
    /// The model is one file, and its own name was not signed (`"."`): the one resource bears the model's name.
    pub single_file: bool,
    /// What [`Compat::Compat`] let pass; empty when strict.
    pub tolerated: Vec<Tolerated>,
}

/// What is tolerated so far, or that nothing is.
#[derive(Debug, Clone)]
struct Leniency {
    compat: Compat,
    tolerated: Vec<Tolerated>,
}

impl Leniency {
    const fn new(compat: Compat) -> Self {
        Self { compat, tolerated: Vec::new() }
    }

    fn is_compat(&self) -> bool {
        self.compat == Compat::Compat
    }

    /// Lets `text` pass under `code`, or refuses it when strict. Each code is noted once.
    fn allow(&mut self, code: &'static str, text: impl FnOnce() -> String) -> Result<(), OmsError> {
        if !self.is_compat() {
            return Err(OmsError::NeedsCompat { code, found: text() });
        }
        if !self.tolerated.iter().any(|one| one.code == code) {
            self.tolerated.push(Tolerated { code, text: text() });
        }
        Ok(())
    }
}
