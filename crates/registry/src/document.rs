//! Manifests and indexes, as they come from a registry.

use crate::RegistryError;
use serde::Deserialize;
use serde::de::IgnoredAny;
use sha2::Digest as _;
use sovai_core::{Platform, Sha256};
use sovai_store::Descriptor;
use sovai_store::image::{DOCKER_INDEX, DOCKER_MANIFEST, OCI_INDEX, OCI_MANIFEST};
use std::collections::BTreeMap;

/// Largest manifest, index or config that is read, in bytes: what the distribution specification asks registries to take.
pub const MANIFEST_LIMIT: usize = 4 << 20;

/// What a registry is asked for.
pub(crate) const ACCEPT: &str = "application/vnd.oci.image.index.v1+json, \
    application/vnd.oci.image.manifest.v1+json, application/vnd.docker.distribution.manifest.list.v2+json, \
    application/vnd.docker.distribution.manifest.v2+json";

/// Bytes that came from a registry, or go to one, with what refers to them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Content {
    /// Media type, digest and size.
    pub descriptor: Descriptor,
    /// The bytes themselves.
    pub bytes: Vec<u8>,
}

impl Content {
    /// Bytes of a media type; the digest is computed.
    pub fn new(media_type: &str, bytes: Vec<u8>) -> Self {
        Self { descriptor: descriptor(media_type, sha256(&bytes), bytes.len() as u64), bytes }
    }
}

/// A manifest of an image or an artifact.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Manifest {
    /// Type of the artifact, where it says.
    pub artifact_type: Option<String>,
    /// The config.
    pub config: Descriptor,
    /// The layers, in order.
    pub layers: Vec<Descriptor>,
    /// Free text by key.
    pub annotations: BTreeMap<String, String>,
}

/// An entry of an index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) descriptor: Descriptor,
    /// Nothing where it has none, or one that names no machine (`unknown/unknown`, of attestations).
    pub(crate) platform: Option<Platform>,
}

/// What a manifest's bytes are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Document {
    Manifest(Manifest),
    Index(Vec<Entry>),
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Wire {
    schema_version: Option<u64>,
    media_type: Option<String>,
    artifact_type: Option<String>,
    config: Option<WireDescriptor>,
    layers: Option<Vec<WireDescriptor>>,
    manifests: Option<Vec<WireDescriptor>>,
    annotations: Option<BTreeMap<String, String>>,
    fs_layers: Option<IgnoredAny>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct WireDescriptor {
    #[serde(default)]
    media_type: String,
    artifact_type: Option<String>,
    digest: String,
    size: u64,
    urls: Option<Vec<IgnoredAny>>,
    annotations: Option<BTreeMap<String, String>>,
    platform: Option<WirePlatform>,
}

#[derive(Deserialize)]
struct WirePlatform {
    #[serde(default)]
    os: String,
    #[serde(default)]
    architecture: String,
    variant: Option<String>,
}

impl Document {
    /// Reads the bytes that came for `what` with this `Content-Type`; gives the media type too.
    pub(crate) fn read(
        what: &str,
        content_type: Option<&str>,
        bytes: &[u8],
    ) -> Result<(String, Self), RegistryError> {
        let malformed = |reason: String| RegistryError::Malformed { what: what.to_owned(), reason };
        let said =
            content_type.and_then(|text| text.split(';').next()).map(|text| text.trim().to_ascii_lowercase());
        let wire: Wire = serde_json::from_slice(bytes).map_err(|error| {
            malformed(format!("the manifest is no JSON of the kind that is expected: {error}"))
        })?;
        let old = said.as_deref().is_some_and(|said| said.contains("docker.distribution.manifest.v1+"));
        if wire.schema_version == Some(1) || wire.fs_layers.is_some() || old {
            let reason = "it is a Docker schema 1 manifest, whose digest does not cover the image; push it again with \
                          a client of this decade"
                .to_owned();
            return Err(RegistryError::Unsupported { what: what.to_owned(), reason });
        }
        if wire.schema_version != Some(2) {
            return Err(malformed("`schemaVersion` is not 2".to_owned()));
        }
        // One document must not be an index to one reader and an image to another (CVE-2021-41190).
        let is_index = match (wire.manifests.is_some(), wire.config.is_some() || wire.layers.is_some()) {
            (true, false) => true,
            (false, true) => false,
            (true, true) => {
                return Err(malformed("it has both `manifests` and `layers` or `config`".to_owned()));
            }
            (false, false) => return Err(malformed("it has neither `manifests` nor `config`".to_owned())),
        };
        let known = [OCI_INDEX, DOCKER_INDEX, OCI_MANIFEST, DOCKER_MANIFEST];
        let said = said.filter(|said| known.contains(&said.as_str()));
        let media_type = match (wire.media_type, said) {
            (Some(own), Some(said)) if own != said => {
                return Err(malformed(format!(
                    "it came as `{said}` and says that it is `{}`",
                    own.escape_debug()
                )));
            }
            (Some(own), _) => own,
            (None, Some(said)) => said,
            (None, None) => if is_index { OCI_INDEX } else { OCI_MANIFEST }.to_owned(),
        };
        if !known.contains(&media_type.as_str()) {
            let reason = format!("the media type `{}` is not known", media_type.escape_debug());
            return Err(RegistryError::Unsupported { what: what.to_owned(), reason });
        }
        if is_index != [OCI_INDEX, DOCKER_INDEX].contains(&media_type.as_str()) {
            return Err(malformed(format!("its content is not that of `{media_type}`")));
        }
        let document = if is_index {
            Self::Index(entries(wire.manifests.unwrap_or_default()))
        } else {
            let Some(config) = wire.config else { return Err(malformed("it has no `config`".to_owned())) };
            let layers = wire.layers.unwrap_or_default();
            Self::Manifest(Manifest {
                artifact_type: wire.artifact_type,
                config: config.check(what)?,
                layers: layers.into_iter().map(|layer| layer.check(what)).collect::<Result<_, _>>()?,
                annotations: wire.annotations.unwrap_or_default(),
            })
        };
        Ok((media_type, document))
    }
}

/// Those entries that can be asked for. One with another kind of digest is of no use to anybody here, and no harm.
fn entries(manifests: Vec<WireDescriptor>) -> Vec<Entry> {
    let entry = |wire: WireDescriptor| {
        let platform = wire.platform.as_ref().and_then(|platform| {
            Platform::new(&platform.os, &platform.architecture, platform.variant.as_deref()).ok()
        });
        let platform = platform.filter(|platform| platform.os() != "unknown");
        Some(Entry { descriptor: wire.check("").ok()?, platform })
    };
    manifests.into_iter().filter_map(entry).collect()
}

impl WireDescriptor {
    fn check(self, what: &str) -> Result<Descriptor, RegistryError> {
        let unsupported = |reason: String| Err(RegistryError::Unsupported { what: what.to_owned(), reason });
        if self.urls.is_some_and(|urls| !urls.is_empty())
            || self.media_type.contains(".foreign.")
            || self.media_type.contains("nondistributable")
        {
            return unsupported(format!(
                "a part of it ({}) is to be fetched elsewhere: foreign layers are not taken",
                self.digest.escape_debug().take(100).collect::<String>()
            ));
        }
        let Ok(digest) = self.digest.parse() else {
            let digest: String = self.digest.escape_debug().take(100).collect();
            return unsupported(format!("`{digest}` is no SHA-256 digest"));
        };
        Ok(Descriptor {
            artifact_type: self.artifact_type,
            annotations: self.annotations.unwrap_or_default(),
            ..descriptor(&self.media_type, digest, self.size)
        })
    }
}

pub(crate) fn descriptor(media_type: &str, digest: Sha256, size: u64) -> Descriptor {
    Descriptor {
        media_type: media_type.to_owned(),
        artifact_type: None,
        digest,
        size,
        annotations: BTreeMap::new(),
    }
}

pub(crate) fn sha256(bytes: &[u8]) -> Sha256 {
    Sha256::from_bytes(sha2::Sha256::digest(bytes).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: &str = "sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";

    fn read(content_type: &str, text: &str) -> Result<(String, Document), String> {
        Document::read("r.example/a:1", Some(content_type), text.as_bytes())
            .map_err(|error| error.to_string())
    }

    fn manifest(layer: &str) -> String {
        format!(
            r#"{{"schemaVersion":2,"config":{{"mediaType":"c","digest":"{A}","size":1}},"layers":[{layer}]}}"#
        )
    }

    #[test]
    fn a_manifest_is_read_whatever_plain_type_it_came_as() {
        let text = manifest(&format!(
            r#"{{"mediaType":"l","digest":"{A}","size":2,"urls":null,"annotations":null}}"#
        ));
        for (came, is) in [
            ("application/vnd.docker.distribution.manifest.v2+json; charset=utf-8", DOCKER_MANIFEST),
            ("application/vnd.oci.image.manifest.v1+json", OCI_MANIFEST),
            ("application/json", OCI_MANIFEST),
        ] {
            let (media_type, document) = read(came, &text).unwrap();
            assert_eq!(media_type, is);
            let Document::Manifest(manifest) = document else { panic!("an index") };
            assert_eq!((manifest.config.size, manifest.layers[0].size), (1, 2));
        }
    }

    #[test]
    fn what_is_ambiguous_old_or_foreign_is_refused_by_name() {
        let layer = |digest: &str, more: &str| {
            manifest(&format!(r#"{{"mediaType":"l{more}","digest":"{digest}","size":2}}"#))
        };
        let sha512 = format!("sha512:{}", "a".repeat(128));
        let cases = [
            (OCI_MANIFEST, "{}".to_owned(), "`schemaVersion` is not 2"),
            (OCI_MANIFEST, "[".to_owned(), "no JSON"),
            (OCI_MANIFEST, r#"{"schemaVersion":2}"#.to_owned(), "neither"),
            (OCI_MANIFEST, r#"{"schemaVersion":2,"manifests":[],"layers":[]}"#.to_owned(), "both"),
            (OCI_MANIFEST, r#"{"schemaVersion":2,"layers":[]}"#.to_owned(), "has no `config`"),
            (OCI_MANIFEST, r#"{"schemaVersion":2,"manifests":[]}"#.to_owned(), "its content is not"),
            (OCI_INDEX, layer(A, ""), "its content is not"),
            (
                OCI_MANIFEST,
                format!(r#"{{"schemaVersion":2,"mediaType":"{DOCKER_MANIFEST}","layers":[]}}"#),
                "and says that it is",
            ),
            (OCI_MANIFEST, r#"{"schemaVersion":1}"#.to_owned(), "schema 1"),
            (
                "application/vnd.docker.distribution.manifest.v1+prettyjws",
                r#"{"fsLayers":[]}"#.to_owned(),
                "schema 1",
            ),
            (OCI_MANIFEST, layer(&sha512, ""), "no SHA-256 digest"),
            (OCI_MANIFEST, layer("sha256:../../x", ""), "no SHA-256 digest"),
            (OCI_MANIFEST, layer(A, ".foreign."), "foreign"),
            (
                OCI_MANIFEST,
                manifest(&format!(r#"{{"digest":"{A}","size":2,"urls":["https://x.example"]}}"#)),
                "foreign",
            ),
            (OCI_MANIFEST, manifest(&format!(r#"{{"digest":"{A}","size":-2}}"#)), "no JSON"),
        ];
        for (came, text, why) in cases {
            let error = read(came, &text).unwrap_err();
            assert!(error.contains(why), "{text}: {error}");
        }
    }

    #[test]
    fn an_index_offers_what_names_a_machine() {
        let entry = |digest: &str, platform: &str| {
            format!(r#"{{"digest":"{digest}","size":2,"platform":{platform}}}"#)
        };
        let list = [
            entry(A, r#"{"os":"linux","architecture":"arm64","variant":"v8"}"#),
            entry(A, r#"{"os":"unknown","architecture":"unknown"}"#),
            entry("sha512:00", r#"{"os":"linux","architecture":"amd64"}"#),
            entry(A, "null"),
        ];
        let text = format!(r#"{{"schemaVersion":2,"manifests":[{}]}}"#, list.join(","));
        let (media_type, Document::Index(entries)) = read("", &text).unwrap() else { panic!("a manifest") };
        assert_eq!(media_type, OCI_INDEX);
        let platforms: Vec<_> =
            entries.iter().map(|entry| entry.platform.as_ref().map(ToString::to_string)).collect();
        assert_eq!(platforms, [Some("linux/arm64".to_owned()), None, None]);
    }
}
