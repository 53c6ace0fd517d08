//! An index of platforms in a repository that lacks most of what it names.
//!
//! A registry refuses an index while a manifest that it names is not there, and a store has the image of one platform only.
//! So the bytes of the index go in as they are, as the one layer of an artifact, under a tag that follows from its digest.
//! Whoever knows that digest gets the very bytes back, and by them the manifest of the platform.

use crate::document::{Content, Document};
use crate::{Artifact, ImageManifests, Registry, RegistryError};
use sovai_core::{Platform, Reference, Sha256};
use sovai_store::image::OCI_MANIFEST;

/// Type of the artifact (image-spec 1.1, `manifest.md`, `artifactType`).
pub const INDEX_ARTIFACT: &str = "application/vnd.sovai.image.index.v1";
/// Media type of its layer: not that of an index, or registries would look for what it names.
const INDEX_LAYER: &str = "application/vnd.sovai.image.index.v1+json";
/// The config of artifacts that need none (image-spec 1.1, "Guidance for an Empty Descriptor").
const EMPTY_TYPE: &str = "application/vnd.oci.empty.v1+json";
const EMPTY: &[u8] = b"{}";

/// The tag under which [`index_artifact`] keeps the index of this digest.
pub fn index_tag(index: &Sha256) -> String {
    format!("index-{}", index.hex())
}

/// The artifact that carries the bytes of an index. The same bytes give the same artifact.
pub fn index_artifact(subject: String, index: Vec<u8>) -> Artifact {
    let layer = Content::new(INDEX_LAYER, index);
    let config = Content::new(EMPTY_TYPE, EMPTY.to_vec());
    let manifest = serde_json::json!({
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "artifactType": INDEX_ARTIFACT,
        "config": config.descriptor,
        "layers": [layer.descriptor],
    });
    Artifact {
        subject,
        tag: index_tag(&layer.descriptor.digest),
        blobs: Vec::new(),
        contents: vec![config, layer],
        manifests: vec![Content::new(OCI_MANIFEST, manifest.to_string().into_bytes())],
    }
}

impl Registry {
    /// What the image behind an index consists of, for a platform, where the index is in the repository as
    /// [`index_artifact`] puts it there. The index is the one with this digest, and the manifest one that it names;
    /// anything else is a [`RegistryError::Mismatch`].
    pub async fn resolve_pushed_index(
        &self,
        repository: &Reference,
        index: &Sha256,
        wanted: &Platform,
    ) -> Result<ImageManifests, RegistryError> {
        let tag = index_tag(index);
        let at = repository
            .at_tag(&tag)
            .map_err(|source| RegistryError::Reference { text: tag.clone(), source })?;
        let what = at.to_string();
        let (_, manifest) = self.artifact(&at).await?;
        let [layer] = manifest.layers.as_slice() else {
            let reason = format!("an index is one layer; it has {}", manifest.layers.len());
            return Err(RegistryError::Malformed { what, reason });
        };
        if layer.digest != *index {
            let (expected, found) = (index.to_string(), layer.digest.to_string());
            return Err(RegistryError::Mismatch { what, expected, found });
        }
        let bytes = self.small_blob(&at, layer).await?.bytes;
        let (media_type, document) = Document::read(&what, None, &bytes)?;
        if matches!(document, Document::Manifest(_)) {
            let reason = "it holds the manifest of one image, not an index".to_owned();
            return Err(RegistryError::Unsupported { what, reason });
        }
        self.resolve_document(&at, Content::new(&media_type, bytes), document, wanted).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_artifact_is_the_bytes_under_a_tag_of_their_digest() {
        let bytes = br#"{"schemaVersion":2,"manifests":[]}"#.to_vec();
        let artifact = index_artifact("index of x".to_owned(), bytes.clone());
        let digest = crate::document::sha256(&bytes);
        assert_eq!(artifact.tag, format!("index-{}", digest.hex()));
        assert_eq!(artifact.contents[1].bytes, bytes);
        let (kind, document) = Document::read("x", None, &artifact.manifests[0].bytes).unwrap();
        let Document::Manifest(manifest) = document else { panic!("an index") };
        assert_eq!((kind.as_str(), manifest.artifact_type.as_deref()), (OCI_MANIFEST, Some(INDEX_ARTIFACT)));
        assert_eq!((manifest.layers.len(), manifest.layers[0].digest), (1, digest));
        assert_eq!(manifest.config.digest, artifact.contents[0].descriptor.digest);
        assert_eq!(artifact, index_artifact("index of x".to_owned(), bytes));
    }
}
