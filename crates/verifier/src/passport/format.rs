//! A passport as bytes, and back.

use super::{GitBlobId, MAX_GIT_BLOB, Passport, PassportFile, chunk_size_for};
use crate::tree::{Blake3, ChunkValue, chunk_count, root};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize, Serializer};
use sha2::Digest as _;
use sovai_core::{FilePin, PathSet, RelPath, Sha256};
use sovai_store::model_manifest;
use std::fmt::Display;
use std::io::{self, Write};

const API_VERSION: &str = "sovai/v1";
const KIND: &str = "Passport";
/// Largest passport that is read or made, in bytes: some 150,000 files. Reading one takes some 200 MiB of memory, its own
/// bytes included, and less than a second.
const MAX_BYTES: usize = 48 << 20;
/// Between the body and its digest.
const SEAL: &str = ",\"digest\":\"sha256:";
/// After the digest.
const END: &str = "\"}\n";

/// Why bytes are not a passport.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PassportError {
    /// Longer than is read.
    #[error("a passport has at most {MAX_BYTES} bytes, found {found}")]
    TooLarge {
        /// How long it is.
        found: usize,
    },
    /// It does not end as a passport does, with the digest of what stands before it.
    #[error(
        "it does not end with `,\"digest\":\"sha256:...\"}}` and a line feed: it is no passport, or was cut off"
    )]
    Unsealed,
    /// The digest at its end is not that of what stands before it.
    #[error("it is damaged: its own digest says {expected}, its bytes have {found}")]
    Damaged {
        /// The digest at its end.
        expected: Sha256,
        /// The digest of its bytes.
        found: Sha256,
    },
    /// Not the JSON of a passport.
    #[error("it is not the JSON of a passport: {reason}")]
    Json {
        /// What the parser says.
        reason: String,
    },
    /// A version or kind that is not known here.
    #[error("expected `{API_VERSION}` and `{KIND}`, found `{}` and `{}`", .version.escape_debug(), .kind.escape_debug())]
    Kind {
        /// Its `apiVersion`.
        version: String,
        /// Its `kind`.
        kind: String,
    },
    /// A member that contradicts the others.
    #[error("`{member}` of `{}`: expected {expected}, found {found}", .path.escape_debug())]
    Inconsistent {
        /// The file, or `the passport`.
        path: String,
        /// Which member.
        member: &'static str,
        /// What it must be.
        expected: String,
        /// What it is.
        found: String,
    },
    /// The same content, written in another way than the only one.
    #[error("it is not written in the one form that a passport has (order, spaces, escapes)")]
    NotCanonical,
}

/// The members in their order.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Document {
    api_version: String,
    kind: String,
    model: Sha256,
    chunk_size: u64,
    files: Vec<DocumentFile>,
    /// Checked before the rest is looked at.
    #[serde(rename = "digest")]
    _digest: Sha256,
}

/// The members that are written, up to the digest of them.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Body<'a> {
    api_version: &'static str,
    kind: &'static str,
    model: Sha256,
    chunk_size: u64,
    #[serde(serialize_with = "each")]
    files: &'a [PassportFile],
}

/// One by one, so that a large passport is not held twice.
fn each<S: Serializer>(files: &[PassportFile], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(files.iter().map(DocumentFile::from))
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct DocumentFile {
    path: RelPath,
    size: u64,
    sha256: String,
    blake3: String,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    git_blob: Option<String>,
    fsverity: String,
    /// Base64 of the values, one after the other.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    chunks: Option<String>,
}

impl From<&PassportFile> for DocumentFile {
    fn from(file: &PassportFile) -> Self {
        Self {
            path: file.path.clone(),
            size: file.size,
            sha256: file.sha256.hex(),
            blake3: file.blake3.hex(),
            git_blob: file.git_blob.as_ref().map(ToString::to_string),
            fsverity: file.fsverity.hex(),
            chunks: (!file.chunks.is_empty()).then(|| STANDARD.encode(file.chunks.as_flattened())),
        }
    }
}

impl Passport {
    /// Puts files together; sorts them.
    pub(super) fn new(chunk_size: u64, mut files: Vec<PassportFile>) -> Self {
        files.sort_by(|a, b| a.path.cmp(&b.path));
        let passport = Self { chunk_size, files, model: Sha256::from_bytes([0; 32]) };
        let (_, model) = model_manifest(&passport.pins());
        Self { model, ..passport }
    }

    /// The one form in which a passport is written, and signed.
    pub fn to_json(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        // Structs of strings and numbers always serialise, and memory takes all that is written.
        drop(self.write_to(&mut bytes));
        bytes
    }

    fn write_to(&self, to: &mut impl Write) -> io::Result<()> {
        let body = Body {
            api_version: API_VERSION,
            kind: KIND,
            model: self.model,
            chunk_size: self.chunk_size,
            files: &self.files,
        };
        let mut sealing = Sealing { to, hasher: sha2::Sha256::new(), last: None };
        serde_json::to_writer(&mut sealing, &body)?;
        let Sealing { to, mut hasher, last } = sealing;
        hasher.update(last.as_slice());
        let digest = Sha256::from_bytes(hasher.finalize().into()).hex();
        to.write_all([SEAL, &digest, END].concat().as_bytes())
    }

    /// Reads a passport and checks all that it says about itself: its own digest, that it is written in the one form,
    /// that counts fit sizes, that the chunk values of each file merge to its BLAKE3, and that the model digest is that of
    /// the files. Bounds: 48 MiB, and some 200 MiB of memory. Says nothing about who made it.
    pub fn parse(bytes: &[u8]) -> Result<Self, PassportError> {
        if bytes.len() > MAX_BYTES {
            return Err(PassportError::TooLarge { found: bytes.len() });
        }
        check_seal(bytes)?;
        let document: Document = serde_json::from_slice(bytes)
            .map_err(|error| PassportError::Json { reason: error.to_string() })?;
        if document.api_version != API_VERSION || document.kind != KIND {
            let cut = |text: &str| text.chars().take(64).collect();
            return Err(PassportError::Kind {
                version: cut(&document.api_version),
                kind: cut(&document.kind),
            });
        }
        let total = document.files.iter().fold(0u64, |sum, file| sum.saturating_add(file.size));
        let chunk_size = chunk_size_for(total);
        if document.chunk_size != chunk_size {
            return Err(inconsistent("the passport", "chunkSize", chunk_size, document.chunk_size));
        }
        let mut paths = PathSet::default();
        let mut files: Vec<PassportFile> = Vec::with_capacity(document.files.len());
        for file in document.files {
            let path = file.path.as_str().to_owned();
            if paths.insert(&file.path).is_err() {
                return Err(inconsistent(&path, "path", "names that differ in more than case", &path));
            }
            if files.last().is_some_and(|last| last.path >= file.path) {
                return Err(inconsistent(&path, "path", "files sorted by path", &path));
            }
            files.push(parse_file(file, chunk_size)?);
        }
        drop(paths);
        let passport = Self::new(chunk_size, files);
        if passport.model != document.model {
            return Err(inconsistent("the passport", "model", passport.model, document.model));
        }
        let mut same = Same { rest: Some(bytes) };
        if passport.write_to(&mut same).is_err() || same.rest != Some(&[]) {
            return Err(PassportError::NotCanonical);
        }
        Ok(passport)
    }

    /// Refuses one that no reader would take.
    pub(super) fn fits(self) -> Result<Self, PassportError> {
        match self.to_json().len() {
            found if found > MAX_BYTES => Err(PassportError::TooLarge { found }),
            _ => Ok(self),
        }
    }
}

/// Passes on all but the last byte, the brace before which the digest is put, and hashes all.
struct Sealing<'a, W> {
    to: &'a mut W,
    hasher: sha2::Sha256,
    last: Option<u8>,
}

impl<W: Write> Write for Sealing<'_, W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let Some((last, first)) = bytes.split_last() else { return Ok(0) };
        for part in [self.last.as_slice(), first] {
            self.hasher.update(part);
            self.to.write_all(part)?;
        }
        self.last = Some(*last);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Compares what is written with what is expected to be; keeps what is still to come, nothing after a difference.
struct Same<'a> {
    rest: Option<&'a [u8]>,
}

impl Write for Same<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.rest = self.rest.and_then(|rest| rest.strip_prefix(bytes));
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Whether the digest at the end is that of what stands before it.
fn check_seal(bytes: &[u8]) -> Result<(), PassportError> {
    let rest = bytes.strip_suffix(END.as_bytes()).ok_or(PassportError::Unsealed)?;
    let (rest, digest) = rest.split_last_chunk::<64>().ok_or(PassportError::Unsealed)?;
    let rest = rest.strip_suffix(SEAL.as_bytes()).ok_or(PassportError::Unsealed)?;
    let expected = std::str::from_utf8(digest).ok().and_then(|hex| Sha256::from_hex(hex).ok());
    let expected = expected.ok_or(PassportError::Unsealed)?;
    let mut hasher = sha2::Sha256::new();
    hasher.update(rest);
    hasher.update(b"}");
    let found = Sha256::from_bytes(hasher.finalize().into());
    if found == expected { Ok(()) } else { Err(PassportError::Damaged { expected, found }) }
}

fn parse_file(file: DocumentFile, chunk: u64) -> Result<PassportFile, PassportError> {
    let path = file.path.as_str();
    let digest = |member, text: &str| {
        Sha256::from_hex(text)
            .map_err(|error| inconsistent(path, member, "64 hexadecimal digits", error.to_string()))
    };
    let sha256 = digest("sha256", &file.sha256)?;
    let blake3 = Blake3::from_bytes(*digest("blake3", &file.blake3)?.as_bytes());
    let fsverity = digest("fsverity", &file.fsverity)?;
    let git_blob = match &file.git_blob {
        Some(text) => Some(
            git_blob(text)
                .ok_or_else(|| inconsistent(path, "gitBlob", "40 hexadecimal digits", text.len()))?,
        ),
        None => None,
    };
    if git_blob.is_some() != (file.size <= MAX_GIT_BLOB) {
        let expected = format!("an ID for a file of at most {MAX_GIT_BLOB} bytes, and only for that");
        return Err(inconsistent(path, "gitBlob", expected, format!("{} bytes", file.size)));
    }
    let count = chunk_count(file.size, chunk);
    let values = STANDARD
        .decode(file.chunks.as_deref().unwrap_or_default())
        .map_err(|error| inconsistent(path, "chunks", "base64", error.to_string()))?;
    let (values, rest): (&[ChunkValue], &[u8]) = values.as_chunks();
    if !rest.is_empty() || values.len() as u64 != count {
        return Err(inconsistent(path, "chunks", format!("{count} values of 32 bytes"), values.len()));
    }
    if count > 0 {
        let merged = root(values, file.size, chunk);
        if merged != blake3 {
            return Err(inconsistent(path, "blake3", format!("{merged}, to which the chunks merge"), blake3));
        }
    }
    Ok(PassportFile {
        size: file.size,
        sha256,
        blake3,
        chunks: values.to_vec(),
        git_blob,
        fsverity,
        path: file.path,
    })
}

fn git_blob(text: &str) -> Option<GitBlobId> {
    // The rule of the digits is that of every digest here; 24 more make up the length.
    let padded = Sha256::from_hex(&format!("{text}{}", "0".repeat(24))).ok()?;
    padded.as_bytes().first_chunk().copied().map(GitBlobId)
}

fn inconsistent(
    path: &str,
    member: &'static str,
    expected: impl Display,
    found: impl Display,
) -> PassportError {
    PassportError::Inconsistent {
        path: path.to_owned(),
        member,
        expected: expected.to_string(),
        found: found.to_string(),
    }
}

impl PassportFile {
    /// As a pin.
    pub fn pin(&self) -> FilePin {
        FilePin { path: self.path.clone(), size: self.size, sha256: self.sha256 }
    }
}
