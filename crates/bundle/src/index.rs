//! The index of a bundle: what it holds and where each byte lies. It is what is signed.

mod check;

use crate::chunk;
use crate::volume::VolumeId;
use serde::{Deserialize, Serialize};
use sovai_core::{ImageId, Name, Platform, RelPath, Sha256, TrustLevel};
use sovai_signing::json::{JsonError, Limits};
use std::collections::BTreeMap;

/// Largest index that is read, in bytes.
pub const MAX_INDEX: usize = 64 << 20;
/// `kind` of an index.
const KIND: &str = "Bundle";
/// Version of the format that is written, and the only one that is read.
const FORMAT: u32 = 1;

/// What a bundle holds. Written as JSON in one way only, see [`Self::to_json`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Index {
    /// The stack.
    pub stack: Name,
    /// Its place in the row of the stack's bundles: a later one replaces an earlier one.
    pub sequence: u64,
    /// When it was made: seconds since 1970, UTC.
    pub created: u64,
    /// What its images run on.
    pub platform: Platform,
    /// What made it.
    pub tool: Tool,
    /// Path of the manifest among the files.
    pub manifest: RelPath,
    /// The models, by their name in the manifest.
    pub models: BTreeMap<Name, Model>,
    /// The images, by their reference in the manifest.
    pub images: BTreeMap<String, Image>,
    /// The bundle, lock or list that the other side must have; without one the bundle is whole.
    pub base: Option<Base>,
    /// Bytes of a chunk of a payload; the last chunk of each is what is left.
    pub chunk_size: u32,
    /// SHA-256 of the table of chunks.
    pub chunks: Sha256,
    /// The volumes of data, in order.
    pub volumes: Vec<Volume>,
    /// The volumes of parity.
    pub parity: Option<Parity>,
    /// All files, sorted by path.
    pub items: Vec<Item>,
}

/// A program and its version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tool {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
}

/// What a stranger wants to know of a model; its bytes are among the items.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Model {
    /// The model digest: that of its manifest blob.
    pub digest: Sha256,
    /// Bytes of its files.
    pub bytes: u64,
    /// Where the preparer had it from, as the manifest writes it.
    pub source: String,
    /// Its licence, as the manifest writes it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub license: Option<String>,
    /// How strongly the preparer found its origin proven. The other side judges for itself.
    pub trust: TrustLevel,
}

/// What a stranger wants to know of an image; its bytes are among the items.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Image {
    /// Its ID: the digest of its configuration.
    pub id: ImageId,
    /// Digest of its manifest blob.
    pub manifest: Sha256,
    /// Digest of the index of platforms that it came by.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub index: Option<Sha256>,
    /// Bytes of its blobs.
    pub bytes: u64,
}

/// What the other side must have, for a bundle that carries only what it does not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Base {
    /// What it is: `bundle`, `lock` or `list`.
    pub kind: String,
    /// SHA-256 of it: of a bundle's index, of a lock's or list's bytes.
    pub digest: Sha256,
    /// The blobs of it that are needed, sorted by digest.
    pub blobs: Vec<BaseBlob>,
}

/// A blob that the other side must have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BaseBlob {
    /// Its digest.
    pub digest: Sha256,
    /// Its bytes.
    pub size: u64,
}

/// A volume of data.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Volume {
    /// Its payload.
    pub payload: Payload,
    /// The other files of its folder that the index speaks for, by name: the README, on the first also the program.
    pub files: BTreeMap<String, VolumeFile>,
}

/// The payload of a volume; its name follows from the volume.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Payload {
    /// Its bytes.
    pub size: u64,
    /// Its SHA-256; in the JSON its digits alone.
    #[serde(with = "sovai_core::bare_hex")]
    pub sha256: Sha256,
}

/// A file beside a payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct VolumeFile {
    /// Its bytes.
    pub size: u64,
    /// Its SHA-256; in the JSON its digits alone.
    #[serde(with = "sovai_core::bare_hex")]
    pub sha256: Sha256,
}

/// The volumes of parity: any as many lost volumes are made again from the others.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Parity {
    /// The code: `reed-solomon-leopard-gf16`, see docs/bundle-format.md.
    pub code: String,
    /// The volumes, in order.
    pub volumes: Vec<Volume>,
}

/// One file of a bundle.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Item {
    /// Where it lies when all payloads were unpacked into one folder: `blobs/sha256/HEX`, `stack/manifest.yaml`.
    pub path: RelPath,
    /// What it is for.
    pub role: Role,
    /// Its bytes.
    pub size: u64,
    /// Its SHA-256; in the JSON its digits alone.
    #[serde(with = "sovai_core::bare_hex")]
    pub sha256: Sha256,
    /// What it is made of, in order. Together they are `size` bytes; a file of no bytes has none.
    pub parts: Vec<Part>,
}

/// A run of bytes of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Part {
    /// In a payload.
    Carried {
        /// Which volume of data, from 1.
        volume: u16,
        /// Where in its payload, in bytes.
        offset: u64,
        /// How many bytes.
        length: u64,
    },
    /// In a blob that the other side has: [`Base::blobs`] names it.
    Based {
        /// The blob.
        base: Sha256,
        /// Where in it, in bytes.
        offset: u64,
        /// How many bytes.
        length: u64,
    },
}

impl Part {
    /// How many bytes it has.
    pub const fn length(&self) -> u64 {
        match self {
            Self::Carried { length, .. } | Self::Based { length, .. } => *length,
        }
    }
}

/// What a file of a bundle is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// The manifest.
    Manifest,
    /// Its lock.
    Lock,
    /// Its policy.
    Policy,
    /// A signature over a model.
    Signature,
    /// A passport of a model.
    Passport,
    /// A statement about a model or the stack: a verification summary, provenance.
    Attestation,
    /// A bill of materials.
    Sbom,
    /// What is known of the models: entries of the catalogue.
    Catalog,
    /// For people to read.
    Document,
    /// What makes the unpacked payloads an OCI layout.
    Layout,
    /// A blob of a model or image.
    Blob,
}

/// Why a text is no index.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IndexError {
    /// Not strict JSON of the right shape.
    #[error("malformed index: {0}")]
    Json(#[from] JsonError),
    /// Another kind of document, or another version of the format.
    #[error("this is {found}; expected a sovai/v1 {KIND} of format {FORMAT}")]
    Kind {
        /// What stands there.
        found: String,
    },
    /// Written in another way than the one there is.
    #[error("the index is not written in its one form, from byte {at} on")]
    Form {
        /// Where it is different.
        at: usize,
    },
    /// It contradicts itself.
    #[error("the index contradicts itself: {0}")]
    Contradiction(String),
}

/// The index as it is written.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Written {
    api_version: String,
    kind: String,
    format: u32,
    stack: Name,
    sequence: u64,
    created: u64,
    platform: Platform,
    tool: Tool,
    manifest: RelPath,
    models: BTreeMap<Name, Model>,
    images: BTreeMap<String, Image>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    base: Option<Base>,
    chunk_size: u32,
    chunks: Sha256,
    volumes: Vec<Volume>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    parity: Option<Parity>,
    items: Vec<Item>,
}

/// What says whether the rest can be understood.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Head {
    #[serde(default)]
    api_version: String,
    #[serde(default)]
    kind: String,
    #[serde(default)]
    format: u32,
}

impl Index {
    /// The index as JSON: members in the order of docs/bundle-format.md, two spaces of indentation, one line feed at the
    /// end. The same index always gives the same bytes.
    pub fn to_json(&self) -> String {
        let index = self.clone();
        let written = Written {
            api_version: "sovai/v1".to_owned(),
            kind: KIND.to_owned(),
            format: FORMAT,
            stack: index.stack,
            sequence: index.sequence,
            created: index.created,
            platform: index.platform,
            tool: index.tool,
            manifest: index.manifest,
            models: index.models,
            images: index.images,
            base: index.base,
            chunk_size: index.chunk_size,
            chunks: index.chunks,
            volumes: index.volumes,
            parity: index.parity,
            items: index.items,
        };
        // Strings, numbers and maps with keys of text can always be written.
        let mut text = serde_json::to_string_pretty(&written).unwrap_or_default();
        text.push('\n');
        text
    }

    /// Reads an index: strict JSON of at most [`MAX_INDEX`] bytes, in its one form, that does not contradict itself.
    ///
    /// It says nothing of who made it: that is for the signatures over its bytes.
    pub fn parse(text: &[u8]) -> Result<Self, IndexError> {
        let limits = Limits { bytes: MAX_INDEX, depth: 8, values: 4_000_000 };
        let checked = sovai_signing::json::check(text, limits)?;
        let head: Head = serde_json::from_str(checked).map_err(JsonError::from)?;
        if (head.api_version.as_str(), head.kind.as_str(), head.format) != ("sovai/v1", KIND, FORMAT) {
            let words = [head.api_version, head.kind].map(|word| word.chars().take(40).collect::<String>());
            let found = format!("`{}` of format {}", words.join(" ").trim().escape_debug(), head.format);
            return Err(IndexError::Kind { found });
        }
        let written: Written = serde_json::from_str(checked).map_err(JsonError::from)?;
        let index = Self {
            stack: written.stack,
            sequence: written.sequence,
            created: written.created,
            platform: written.platform,
            tool: written.tool,
            manifest: written.manifest,
            models: written.models,
            images: written.images,
            base: written.base,
            chunk_size: written.chunk_size,
            chunks: written.chunks,
            volumes: written.volumes,
            parity: written.parity,
            items: written.items,
        };
        let again = index.to_json();
        if again.as_bytes() != text {
            let at = again.bytes().zip(text).take_while(|(a, b)| a == *b).count();
            return Err(IndexError::Form { at });
        }
        index.check().map_err(IndexError::Contradiction)?;
        Ok(index)
    }

    /// The item at a path.
    pub fn item(&self, path: &str) -> Option<&Item> {
        self.items
            .binary_search_by(|item| item.path.as_str().cmp(path))
            .ok()
            .and_then(|at| self.items.get(at))
    }

    /// Every volume, those of data first.
    pub fn all_volumes(&self) -> impl Iterator<Item = (VolumeId, &Volume)> {
        let data = (1..).map(VolumeId::Data).zip(&self.volumes);
        let parity = self.parity.iter().flat_map(|parity| (1..).map(VolumeId::Parity).zip(&parity.volumes));
        data.chain(parity)
    }

    /// A volume by its id.
    pub fn volume(&self, id: VolumeId) -> Option<&Volume> {
        let volumes = if id.is_parity() { &self.parity.as_ref()?.volumes } else { &self.volumes };
        volumes.get(usize::from(id.number()).checked_sub(1)?)
    }

    /// How many chunks the payload of a volume has.
    pub fn chunk_count(&self, payload: &Payload) -> u64 {
        payload.size.div_ceil(u64::from(self.chunk_size.max(1)))
    }

    /// Bytes of all payloads of data.
    pub fn payload_bytes(&self) -> u64 {
        self.volumes.iter().map(|volume| volume.payload.size).fold(0, u64::saturating_add)
    }

    /// Name of the bundle: `STACK-SEQUENCE`.
    pub fn name(&self) -> String {
        format!("{}-{}", self.stack, self.sequence)
    }

    const fn largest_chunk() -> u32 {
        chunk::LARGEST
    }
}

#[cfg(test)]
mod tests;
