//! A model as an OCI artifact: CNCF model-spec manifest, raw layers of one file each.
//!
//! Pure and deterministic: the same pins give the same bytes, and so the same *model digest* (the digest of the
//! manifest), on every machine and at every time.

use serde::{Deserialize, Serialize, Serializer};
use sha2::Digest as _;
use sovai_core::{FilePin, Sha256};
use std::collections::BTreeMap;
use std::sync::OnceLock;

const MANIFEST_MEDIA_TYPE: &str = "application/vnd.oci.image.manifest.v1+json";
/// Type of the artifacts that are models (model-spec).
pub const MODEL_ARTIFACT_TYPE: &str = "application/vnd.cncf.model.manifest.v1+json";
/// Media type of their configs.
pub const MODEL_CONFIG_TYPE: &str = "application/vnd.cncf.model.config.v1+json";
/// Annotation of a layer: where its file lies in the model.
pub const FILE_PATH: &str = "org.cncf.model.filepath";
/// Annotation of an entry of the index: the name by which `skopeo copy oci:STORE:NAME` takes it.
pub(crate) const REF_NAME: &str = "org.opencontainers.image.ref.name";

/// An OCI content descriptor (image-spec 1.1, `descriptor.md`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Descriptor {
    /// Media type of the content.
    pub media_type: String,
    /// Type of the artifact, where the content is a manifest of one.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub artifact_type: Option<String>,
    /// Digest of the content.
    pub digest: Sha256,
    /// Length of the content in bytes.
    pub size: u64,
    /// Free text by key, sorted.
    #[serde(skip_serializing_if = "BTreeMap::is_empty", default)]
    pub annotations: BTreeMap<String, String>,
}

/// The manifest and the config of a model, as bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelArtifact {
    /// The manifest.
    pub manifest: Vec<u8>,
    /// The model digest: SHA-256 of `manifest`.
    pub digest: Sha256,
    /// The config blob.
    pub config: Vec<u8>,
    /// SHA-256 of `config`.
    pub config_digest: Sha256,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Manifest<'a> {
    schema_version: u32,
    media_type: &'static str,
    artifact_type: &'static str,
    config: Descriptor,
    #[serde(serialize_with = "layers")]
    layers: &'a [&'a FilePin],
}

/// One by one: descriptors of a hundred thousand files would take a hundred megabytes.
fn layers<S: Serializer>(pins: &&[&FilePin], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(pins.iter().map(|pin| Descriptor {
        media_type: layer_media_type(pin.path.file_name()).to_owned(),
        artifact_type: None,
        digest: pin.sha256,
        size: pin.size,
        annotations: BTreeMap::from([(FILE_PATH.to_owned(), pin.path.as_str().to_owned())]),
    }))
}

#[derive(Serialize)]
struct Config {
    descriptor: Empty,
    #[serde(rename = "config")]
    technical: Empty,
    modelfs: ModelFs,
}

/// `{}`: the specification asks for the objects, and names, dates and makers are no part of a model's identity here.
#[derive(Serialize)]
struct Empty {}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ModelFs {
    r#type: &'static str,
    diff_ids: Vec<Sha256>,
}

impl ModelArtifact {
    /// Describes a model by its pins; their order does not matter.
    pub fn new(pins: &[FilePin]) -> Self {
        let mut pins: Vec<&FilePin> = pins.iter().collect();
        pins.sort();
        let config = Config {
            descriptor: Empty {},
            technical: Empty {},
            modelfs: ModelFs { r#type: "layers", diff_ids: pins.iter().map(|pin| pin.sha256).collect() },
        };
        let config = json(&config);
        let config_digest = sha256(&config);
        let manifest = json(&Manifest {
            schema_version: 2,
            media_type: MANIFEST_MEDIA_TYPE,
            artifact_type: MODEL_ARTIFACT_TYPE,
            config: Descriptor {
                media_type: MODEL_CONFIG_TYPE.to_owned(),
                artifact_type: None,
                digest: config_digest,
                size: config.len() as u64,
                annotations: BTreeMap::new(),
            },
            layers: &pins,
        });
        Self { digest: sha256(&manifest), manifest, config, config_digest }
    }

    /// The entry of the store's index that refers to the model; its name there is the model digest in hex.
    pub fn descriptor(&self) -> Descriptor {
        Descriptor {
            media_type: MANIFEST_MEDIA_TYPE.to_owned(),
            artifact_type: Some(MODEL_ARTIFACT_TYPE.to_owned()),
            digest: self.digest,
            size: self.manifest.len() as u64,
            annotations: BTreeMap::from([(REF_NAME.to_owned(), self.digest.hex())]),
        }
    }
}

/// The manifest of a model and its digest, the model digest. See [`ModelArtifact::new`].
pub fn model_manifest(pins: &[FilePin]) -> (Vec<u8>, Sha256) {
    let artifact = ModelArtifact::new(pins);
    (artifact.manifest, artifact.digest)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct LayerTypes {
    #[expect(dead_code, reason = "read by people, and checked to be there")]
    version: u32,
    #[expect(dead_code, reason = "read by people, and checked to be there")]
    source: String,
    #[expect(dead_code, reason = "read by people, and checked to be there")]
    date: String,
    rule: Vec<LayerRule>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct LayerRule {
    media_type: String,
    #[serde(default)]
    names: Vec<String>,
    #[serde(default)]
    suffixes: Vec<String>,
}

/// The rules, parsed once.
fn layer_types() -> &'static LayerTypes {
    static TYPES: OnceLock<LayerTypes> = OnceLock::new();
    #[expect(clippy::expect_used, reason = "the file is compiled in, and a test reads it")]
    TYPES.get_or_init(|| {
        toml::from_str(include_str!("../data/layer-types.toml")).expect("data/layer-types.toml is valid")
    })
}

/// The media type of a layer by the name of its file; the rules are in `data/layer-types.toml`.
pub fn layer_media_type(file_name: &str) -> &'static str {
    let types = layer_types();
    let name = file_name.to_ascii_lowercase();
    let stem = name.split_once('.').map_or(name.as_str(), |(stem, _)| stem);
    types
        .rule
        .iter()
        .find(|rule| {
            rule.names.iter().any(|known| known == stem)
                || rule.suffixes.iter().any(|suffix| name.ends_with(suffix.as_str()))
        })
        .map_or("application/vnd.cncf.model.weight.v1.raw", |rule| rule.media_type.as_str())
}

pub(crate) fn sha256(bytes: &[u8]) -> Sha256 {
    Sha256::from_bytes(sha2::Sha256::digest(bytes).into())
}

#[expect(clippy::expect_used, reason = "structs of strings and numbers always serialise")]
fn json(value: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(value).expect("plain data serialises")
}

#[cfg(test)]
mod tests;
