//! Manifest, index and configuration of a container image, as bytes from outside.

use crate::model::Descriptor;
use serde::Deserialize;
use sovai_core::{Platform, Sha256};
use std::collections::BTreeMap;

/// Manifest of an image (image-spec 1.1, `manifest.md`).
pub const OCI_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
/// The same in Docker's words (distribution, `manifest-v2-2.md`).
pub const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
/// Index of images for several platforms (image-spec 1.1, `image-index.md`).
pub const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";
/// The same in Docker's words.
pub const DOCKER_INDEX: &str = "application/vnd.docker.distribution.manifest.list.v2+json";
/// Configuration of an image.
pub const OCI_CONFIG: &str = "application/vnd.oci.image.config.v1+json";
/// The same in Docker's words.
pub const DOCKER_CONFIG: &str = "application/vnd.docker.container.image.v1+json";

/// Longest manifest, index or configuration that is read, in bytes: the limit of Docker's registry for manifests.
pub const MAX_DOCUMENT: u64 = 4 << 20;
/// Most layers of an image. Docker's overlay driver mounts at most 128.
const MAX_LAYERS: usize = 512;
/// Most entries of an index.
const MAX_ENTRIES: usize = 1024;

/// Why bytes are no manifest, index or configuration of an image.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ImageFault {
    /// Too long.
    #[error("it has {0} bytes; at most {MAX_DOCUMENT} are read")]
    TooLong(u64),
    /// Not the JSON that it should be.
    #[error("it cannot be read")]
    Json(#[source] serde_json::Error),
    /// Neither what OCI nor what Docker calls this.
    #[error("it is of type `{}`, which is not that of {expected}", .found.escape_debug())]
    Type {
        /// The type that it says it has.
        found: String,
        /// What was looked for.
        expected: &'static str,
    },
    /// It could be read as a manifest and as an index.
    #[error("it has both `manifests` and `layers` or `config`")]
    Ambiguous,
    /// Too many layers or entries.
    #[error("it lists {found} {what}; at most {limit} are read")]
    TooMany {
        /// Layers or entries.
        what: &'static str,
        /// How many there are.
        found: usize,
        /// How many are read.
        limit: usize,
    },
    /// Its layers are not those of its configuration.
    #[error("it has {layers} layers, and its configuration names {diff_ids}")]
    Layers {
        /// Layers in the manifest.
        layers: usize,
        /// Layers in the configuration.
        diff_ids: usize,
    },
    /// An operating system or architecture that cannot be one.
    #[error("`{}` is not a platform", .0.escape_debug())]
    Platform(String),
    /// An index that does not name the manifest.
    #[error("it does not name the manifest {0}")]
    NotInIndex(Sha256),
    /// A name that cannot be one of an image.
    #[error("`{}` cannot be the name of an image", .0.escape_debug())]
    Name(String),
}

/// A manifest: which configuration and which layers make the image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageManifest {
    /// Its own media type.
    pub media_type: String,
    /// The configuration.
    pub config: Descriptor,
    /// The layers, lowest first.
    pub layers: Vec<Descriptor>,
}

/// What counts of a configuration here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageConfig {
    /// What the image runs on.
    pub platform: Platform,
    /// Digests of the layers, not compressed, lowest first.
    pub diff_ids: Vec<Sha256>,
    /// Paths that it declares as volumes, sorted.
    pub volumes: Vec<String>,
}

/// One entry of an index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IndexEntry {
    /// What it refers to.
    pub descriptor: Descriptor,
    /// What that runs on, where the index says it.
    pub platform: Option<Platform>,
}

/// The keys of a manifest and of an index, read as one so that no text is both.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Raw {
    schema_version: u32,
    media_type: Option<String>,
    artifact_type: Option<String>,
    config: Option<Descriptor>,
    layers: Option<Vec<Descriptor>>,
    manifests: Option<Vec<RawEntry>>,
}

#[derive(Deserialize)]
struct RawEntry {
    #[serde(flatten)]
    descriptor: Descriptor,
    platform: Option<RawPlatform>,
}

#[derive(Deserialize)]
struct RawPlatform {
    #[serde(default)]
    os: String,
    #[serde(default)]
    architecture: String,
    variant: Option<String>,
}

#[derive(Deserialize)]
struct RawConfig {
    os: String,
    architecture: String,
    variant: Option<String>,
    rootfs: RawRootFs,
    config: Option<RawRun>,
}

#[derive(Default, Deserialize)]
struct RawRun {
    #[serde(rename = "Volumes")]
    volumes: Option<BTreeMap<String, serde_json::Value>>,
}

#[derive(Deserialize)]
struct RawRootFs {
    r#type: String,
    diff_ids: Option<Vec<Sha256>>,
}

impl ImageManifest {
    /// Reads a manifest; of artifacts that are no images (a model) it is an [`ImageFault::Type`].
    pub fn parse(bytes: &[u8]) -> Result<Self, ImageFault> {
        const EXPECTED: &str = "an image's manifest";
        let raw: Raw = json(bytes)?;
        let media_type = raw.media_type.unwrap_or_else(|| OCI_MANIFEST.to_owned());
        let of_type = |found: String| ImageFault::Type { found, expected: EXPECTED };
        if raw.manifests.is_some() && (raw.config.is_some() || raw.layers.is_some()) {
            return Err(ImageFault::Ambiguous);
        }
        if raw.schema_version != 2 || ![OCI_MANIFEST, DOCKER_MANIFEST].contains(&media_type.as_str()) {
            return Err(of_type(media_type));
        }
        let (Some(config), Some(layers)) = (raw.config, raw.layers) else { return Err(of_type(media_type)) };
        if let Some(artifact) = raw.artifact_type {
            return Err(of_type(artifact));
        }
        if ![OCI_CONFIG, DOCKER_CONFIG].contains(&config.media_type.as_str()) {
            return Err(of_type(config.media_type));
        }
        if config.size > MAX_DOCUMENT {
            return Err(ImageFault::TooLong(config.size));
        }
        bounded("layers", layers.len(), MAX_LAYERS)?;
        Ok(Self { media_type, config, layers })
    }

    /// The manifest that sovai writes for an image that came without one. The same configuration and layers give the
    /// same bytes.
    #[expect(
        clippy::expect_used,
        clippy::missing_panics_doc,
        reason = "strings and numbers always serialise"
    )]
    pub fn write(config: &Descriptor, layers: &[Descriptor]) -> Vec<u8> {
        #[derive(serde::Serialize)]
        #[serde(rename_all = "camelCase")]
        struct Written<'a> {
            schema_version: u32,
            media_type: &'static str,
            config: &'a Descriptor,
            layers: &'a [Descriptor],
        }
        serde_json::to_vec(&Written { schema_version: 2, media_type: OCI_MANIFEST, config, layers })
            .expect("plain data serialises")
    }
}

impl ImageConfig {
    /// Reads a configuration.
    pub fn parse(bytes: &[u8]) -> Result<Self, ImageFault> {
        let raw: RawConfig = json(bytes)?;
        let platform = Platform::new(&raw.os, &raw.architecture, raw.variant.as_deref())
            .map_err(|_| ImageFault::Platform(format!("{}/{}", raw.os, raw.architecture)))?;
        if raw.rootfs.r#type != "layers" {
            return Err(ImageFault::Type { found: raw.rootfs.r#type, expected: "a list of layers" });
        }
        let diff_ids = raw.rootfs.diff_ids.unwrap_or_default();
        bounded("layers", diff_ids.len(), MAX_LAYERS)?;
        let volumes = raw.config.and_then(|run| run.volumes).unwrap_or_default();
        Ok(Self { platform, diff_ids, volumes: volumes.into_keys().collect() })
    }
}

/// Reads an index of images; also the `index.json` of a layout.
pub fn parse_index(bytes: &[u8]) -> Result<Vec<IndexEntry>, ImageFault> {
    const EXPECTED: &str = "an index of images";
    let raw: Raw = json(bytes)?;
    let media_type = raw.media_type.unwrap_or_else(|| OCI_INDEX.to_owned());
    if raw.manifests.is_some() && (raw.config.is_some() || raw.layers.is_some()) {
        return Err(ImageFault::Ambiguous);
    }
    let Some(entries) = raw.manifests else {
        return Err(ImageFault::Type { found: media_type, expected: EXPECTED });
    };
    if raw.schema_version != 2 || ![OCI_INDEX, DOCKER_INDEX].contains(&media_type.as_str()) {
        return Err(ImageFault::Type { found: media_type, expected: EXPECTED });
    }
    bounded("entries", entries.len(), MAX_ENTRIES)?;
    let entry = |raw: RawEntry| IndexEntry {
        // `unknown/unknown` is how build records are marked: no platform at all.
        platform: raw
            .platform
            .filter(|platform| platform.os != "unknown")
            .and_then(|p| Platform::new(&p.os, &p.architecture, p.variant.as_deref()).ok()),
        descriptor: raw.descriptor,
    };
    Ok(entries.into_iter().map(entry).collect())
}

/// What an entry of the store's index says of an image beside its descriptor.
pub(super) fn platform_json(platform: &Platform) -> serde_json::Value {
    let mut fields = BTreeMap::from([("architecture", platform.architecture()), ("os", platform.os())]);
    if let Some(variant) = platform.variant() {
        fields.insert("variant", variant);
    }
    serde_json::json!(fields)
}

fn json<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> Result<T, ImageFault> {
    if bytes.len() as u64 > MAX_DOCUMENT {
        return Err(ImageFault::TooLong(bytes.len() as u64));
    }
    serde_json::from_slice(bytes).map_err(ImageFault::Json)
}

const fn bounded(what: &'static str, found: usize, limit: usize) -> Result<(), ImageFault> {
    if found > limit {
        return Err(ImageFault::TooMany { what, found, limit });
    }
    Ok(())
}
