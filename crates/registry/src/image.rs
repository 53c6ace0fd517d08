//! What a container image consists of.

use crate::document::{Content, Document, Entry, Manifest};
use crate::{Registry, RegistryError};
use sovai_core::{Platform, Reference};
use sovai_store::Descriptor;
use sovai_store::image::{DOCKER_CONFIG, ImageConfig, ImageFault, OCI_CONFIG};

/// An image for one platform: everything but the layers' bytes, as it is in its registry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageManifests {
    /// The index that the reference named, if it named one.
    pub index: Option<Content>,
    /// The manifest.
    pub manifest: Content,
    /// The config; its digest is the image's ID.
    pub config: Content,
    /// The layers, in order. One digest may stand here twice.
    pub layers: Vec<Descriptor>,
    /// The platform that the config names.
    pub platform: Platform,
}

impl Registry {
    /// What the image behind a reference consists of, for a platform. Of an index the entry is taken that fits best; a
    /// single image must fit.
    pub async fn resolve_image(
        &self,
        reference: &Reference,
        wanted: &Platform,
    ) -> Result<ImageManifests, RegistryError> {
        let (top, document) = self.document(reference).await?;
        self.resolve_document(reference, top, document, wanted).await
    }

    /// The same of a manifest or index that is at hand; `reference` names the repository.
    pub(crate) async fn resolve_document(
        &self,
        reference: &Reference,
        top: Content,
        document: Document,
        wanted: &Platform,
    ) -> Result<ImageManifests, RegistryError> {
        let what = reference.to_string();
        let (index, manifest, document) = match document {
            Document::Manifest(manifest) => (None, top, manifest),
            Document::Index(entries) => {
                let entry = choose(&what, &entries, wanted)?;
                let at = reference.at_digest(entry.digest);
                let (content, Document::Manifest(manifest)) = self.document(&at).await? else {
                    let reason = "its index leads to a further index".to_owned();
                    return Err(RegistryError::Unsupported { what, reason });
                };
                if content.descriptor.size != entry.size {
                    let expected = format!("{} bytes", entry.size);
                    let found = format!("{} bytes", content.descriptor.size);
                    return Err(RegistryError::Mismatch { what: at.to_string(), expected, found });
                }
                (Some(top), content, manifest)
            }
        };
        let config = self.image_config(reference, &document).await?;
        let platform = read_config(&what, &config, &document)?;
        let fits = match &index {
            None => platform.serves(wanted).is_some(),
            // Variants are often left out of configs; the index has said which it is.
            Some(_) => platform.os() == wanted.os() && platform.architecture() == wanted.architecture(),
        };
        if !fits {
            let (wanted, offered) = (wanted.clone(), vec![platform]);
            return Err(RegistryError::Platform { what, wanted, offered });
        }
        Ok(ImageManifests { index, manifest, config, layers: document.layers, platform })
    }

    async fn image_config(
        &self,
        reference: &Reference,
        manifest: &Manifest,
    ) -> Result<Content, RegistryError> {
        let kind = manifest.config.media_type.as_str();
        if kind != OCI_CONFIG && kind != DOCKER_CONFIG {
            let kind = manifest.artifact_type.as_deref().unwrap_or(kind);
            let reason = format!("it is no container image but `{}`", kind.escape_debug());
            return Err(RegistryError::Unsupported { what: reference.to_string(), reason });
        }
        self.small_blob(reference, &manifest.config).await
    }
}

fn choose<'a>(what: &str, entries: &'a [Entry], wanted: &Platform) -> Result<&'a Descriptor, RegistryError> {
    let fitting = entries
        .iter()
        .filter_map(|entry| Some((entry.platform.as_ref()?.serves(wanted)?, &entry.descriptor)))
        // The first of those that fit alike.
        .min_by_key(|(distance, _)| *distance);
    fitting.map(|(_, descriptor)| descriptor).ok_or_else(|| {
        let mut offered: Vec<Platform> = entries.iter().filter_map(|entry| entry.platform.clone()).collect();
        offered.sort();
        offered.dedup();
        offered.truncate(20);
        RegistryError::Platform { what: what.to_owned(), wanted: wanted.clone(), offered }
    })
}

fn read_config(what: &str, content: &Content, manifest: &Manifest) -> Result<Platform, RegistryError> {
    let malformed = |reason: String| RegistryError::Malformed { what: what.to_owned(), reason };
    let config = ImageConfig::parse(&content.bytes)
        .map_err(|fault| malformed(format!("its config is not that of an image: {fault}")))?;
    if config.diff_ids.len() != manifest.layers.len() {
        let (layers, diff_ids) = (manifest.layers.len(), config.diff_ids.len());
        return Err(malformed(ImageFault::Layers { layers, diff_ids }.to_string()));
    }
    Ok(config.platform)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::document::descriptor;
    use sovai_core::Sha256;

    #[test]
    fn the_entry_that_fits_best_is_taken_and_else_what_there_is_is_told() {
        let entry = |byte, platform: Option<&str>| Entry {
            descriptor: descriptor("m", Sha256::from_bytes([byte; 32]), 1),
            platform: platform.map(|text| text.parse().unwrap()),
        };
        let entries = [
            entry(1, None),
            entry(2, Some("linux/arm/v6")),
            entry(3, Some("linux/arm/v7")),
            entry(4, Some("linux/amd64/v3")),
            entry(5, Some("linux/amd64")),
            entry(6, Some("linux/amd64")),
            entry(7, Some("linux/arm64/v8")),
        ];
        let chosen = |wanted: &str| {
            choose("a:1", &entries, &wanted.parse().unwrap()).map(|found| found.digest.as_bytes()[0])
        };
        assert_eq!(chosen("linux/arm/v7").unwrap(), 3);
        assert_eq!(chosen("linux/arm/v6").unwrap(), 2);
        assert_eq!(chosen("linux/amd64").unwrap(), 5);
        assert_eq!(chosen("linux/amd64/v2").unwrap(), 5);
        assert_eq!(chosen("linux/arm64").unwrap(), 7);
        assert_eq!(
            chosen("linux/s390x").unwrap_err().to_string(),
            "`a:1` has no image for linux/s390x; it has linux/amd64, linux/amd64/v3, linux/arm/v6, linux/arm/v7, \
             linux/arm64"
        );
    }
}
