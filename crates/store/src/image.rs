//! Container images in the store: blobs with the digests that they have everywhere, and one entry a name in `index.json`.
//!
//! The entry is the manifest's descriptor with the platform, and with the reference in
//! `org.opencontainers.image.ref.name`, which is what `skopeo` and `podman` look for in `oci:STORE:REFERENCE`. Of an image
//! that came by an index (several platforms under one name) the index is kept as a blob too, and the entry names it.

mod document;

pub use document::{
    DOCKER_CONFIG, DOCKER_INDEX, DOCKER_MANIFEST, ImageConfig, ImageFault, ImageManifest, IndexEntry,
    MAX_DOCUMENT, OCI_CONFIG, OCI_INDEX, OCI_MANIFEST, parse_index,
};

use crate::atomic;
use crate::error::StoreError;
use crate::layout::{Store, read_bounded};
use crate::lock::StoreLock;
use crate::model::{Descriptor, REF_NAME, sha256};
use serde::Deserialize as _;
use serde_json::{Value, json};
use sovai_core::{Platform, Sha256};
use std::collections::{BTreeMap, BTreeSet};

/// Annotation of an entry of the index: digests of the indexes of platforms by which the image came, with spaces between.
const INDEX_DIGESTS: &str = "sovai.indexes";
/// Longest name of an image in bytes.
const MAX_NAME: usize = 512;

/// An image that is in the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredImage {
    /// References that lead to it, sorted; none when its last one went to another image.
    pub names: Vec<String>,
    /// What it runs on.
    pub platform: Platform,
    /// Paths that it declares as volumes, sorted.
    pub volumes: Vec<String>,
    /// Digests of the indexes by which it came, sorted; each is a blob.
    pub indexes: Vec<Sha256>,
    /// The manifest.
    pub manifest: Descriptor,
    /// The configuration; its digest is the image's ID, except on engines with the containerd store.
    pub config: Descriptor,
    /// The layers, lowest first.
    pub layers: Vec<Descriptor>,
}

impl StoredImage {
    /// Every blob that belongs to it.
    pub fn blobs(&self) -> impl Iterator<Item = Sha256> {
        let documents = [self.manifest.digest, self.config.digest];
        documents
            .into_iter()
            .chain(self.indexes.iter().copied())
            .chain(self.layers.iter().map(|layer| layer.digest))
    }

    /// Length of configuration and layers in bytes.
    pub fn size(&self) -> u64 {
        self.layers.iter().fold(self.config.size, |sum, layer| sum.saturating_add(layer.size))
    }

    /// Whether this is the digest of its configuration, its manifest, or an index by which it came.
    pub fn goes_by(&self, digest: &Sha256) -> bool {
        self.config.digest == *digest || self.manifest.digest == *digest || self.indexes.contains(digest)
    }
}

/// An image of the store, or why it cannot be read.
pub type ReadImage = Result<StoredImage, StoreError>;

/// An image whose configuration and layers are blobs already.
#[derive(Debug, Clone, Copy)]
pub struct NewImage<'a> {
    /// The reference under which it is known.
    pub name: Option<&'a str>,
    /// The index by which it came, byte for byte.
    pub index: Option<&'a [u8]>,
    /// Its manifest, byte for byte.
    pub manifest: &'a [u8],
}

/// What the entries of the store's index say of one image.
struct Entry {
    descriptor: Descriptor,
    names: Vec<String>,
    indexes: Vec<Sha256>,
}

impl Store {
    /// Refers to an image from the store's index.
    ///
    /// Its configuration and all its layers must be blobs, and fit together: the configuration is read and hashed; of a
    /// layer the length is compared (whoever brought it in has hashed it). A name that led to another image leads to this
    /// one from now on; the other stays, by its digests, until it is pruned.
    pub fn add_image(&self, _lock: &StoreLock, image: &NewImage<'_>) -> Result<StoredImage, StoreError> {
        let fault = |what| move |fault| StoreError::Image { what, fault };
        let manifest = ImageManifest::parse(image.manifest).map_err(fault("its manifest"))?;
        let digest = sha256(image.manifest);
        if let Some(name) = image.name
            && !is_name(name)
        {
            return Err(fault("its name")(ImageFault::Name(name.to_owned())));
        }
        if let Some(index) = image.index {
            let entries = parse_index(index).map_err(fault("its index"))?;
            if !entries.iter().any(|entry| entry.descriptor.digest == digest) {
                return Err(fault("its index")(ImageFault::NotInIndex(digest)));
            }
        }
        let config = self.image_config(&manifest)?;
        for layer in &manifest.layers {
            let path = self.blob(&layer.digest);
            match fs_err::symlink_metadata(&path) {
                Ok(meta) if meta.is_file() && meta.len() == layer.size => {}
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    return Err(StoreError::io("look at", path, error));
                }
                _ => return Err(StoreError::NoBlob { digest: layer.digest, what: "a layer of an image" }),
            }
        }
        self.put(image.manifest)?;
        let index = image.index.map(|index| self.put(index)).transpose()?;
        let descriptor = Descriptor {
            media_type: manifest.media_type,
            artifact_type: None,
            digest,
            size: image.manifest.len() as u64,
            annotations: BTreeMap::new(),
        };
        self.enter_image(&descriptor, &config.platform, image.name, index)?;
        self.image_by(&digest)?.ok_or(StoreError::NoBlob { digest, what: "the manifest of an image" })
    }

    /// The images of the store, sorted by the digests of their manifests. An image whose manifest or configuration is gone
    /// or damaged is an error; see [`Store::image_entries`].
    pub fn images(&self) -> Result<Vec<StoredImage>, StoreError> {
        self.image_entries()?.into_iter().map(|(_, image)| image).collect()
    }

    /// Each image that the index names, by the digest of its manifest; or why it cannot be read.
    pub fn image_entries(&self) -> Result<Vec<(Sha256, ReadImage)>, StoreError> {
        let entries = self.grouped_entries()?;
        let read = |(digest, entry)| {
            let image = self.read_image(entry);
            // An artifact that is no image, and whose entry does not say so.
            let other = matches!(&image, Err(StoreError::Image { fault: ImageFault::Type { .. }, .. }));
            (!other).then_some((digest, image))
        };
        Ok(entries.into_iter().filter_map(read).collect())
    }

    /// The image that goes by this digest: of its configuration (its ID), of its manifest, or of an index by which it came.
    /// Images that are damaged are passed over, so that one that cannot be read is one that is not there.
    ///
    /// Of several images of one index, the one whose manifest has the lowest digest; see [`Store::images_by`].
    pub fn image_by(&self, digest: &Sha256) -> Result<Option<StoredImage>, StoreError> {
        Ok(self.images_by(digest)?.into_iter().next())
    }

    /// All images that go by this digest: several where they came by one index for several platforms.
    pub fn images_by(&self, digest: &Sha256) -> Result<Vec<StoredImage>, StoreError> {
        let readable = self.image_entries()?.into_iter().filter_map(|(_, image)| image.ok());
        Ok(readable.filter(|image| image.goes_by(digest)).collect())
    }

    /// The bytes of a manifest, index or configuration, which hash to its digest.
    pub fn document(&self, digest: &Sha256) -> Result<Vec<u8>, StoreError> {
        let path = self.blob(digest);
        let Some(bytes) = read_bounded(&path, MAX_DOCUMENT)? else {
            return Err(StoreError::NoBlob { digest: *digest, what: "a document of an image" });
        };
        let found = sha256(&bytes);
        if found == *digest {
            return Ok(bytes);
        }
        Err(StoreError::Corrupt { path, reason: format!("its bytes hash to {found}") })
    }

    /// The configuration of an image, which must fit to its manifest.
    pub fn image_config(&self, manifest: &ImageManifest) -> Result<ImageConfig, StoreError> {
        let bytes = self.document(&manifest.config.digest)?;
        let fault = |fault| StoreError::Image { what: "its configuration", fault };
        if bytes.len() as u64 != manifest.config.size {
            return Err(StoreError::NoBlob { digest: manifest.config.digest, what: "the configuration" });
        }
        let config = ImageConfig::parse(&bytes).map_err(fault)?;
        let (layers, diff_ids) = (manifest.layers.len(), config.diff_ids.len());
        if layers != diff_ids {
            return Err(fault(ImageFault::Layers { layers, diff_ids }));
        }
        Ok(config)
    }

    fn read_image(&self, entry: Entry) -> Result<StoredImage, StoreError> {
        let bytes = self.document(&entry.descriptor.digest)?;
        let manifest = ImageManifest::parse(&bytes)
            .map_err(|fault| StoreError::Image { what: "its manifest", fault })?;
        let config = self.image_config(&manifest)?;
        Ok(StoredImage {
            names: entry.names,
            platform: config.platform,
            volumes: config.volumes,
            indexes: entry.indexes,
            manifest: Descriptor {
                media_type: manifest.media_type,
                artifact_type: None,
                digest: entry.descriptor.digest,
                size: bytes.len() as u64,
                annotations: BTreeMap::new(),
            },
            config: manifest.config,
            layers: manifest.layers,
        })
    }

    /// The entries that can be images, one for each manifest.
    fn grouped_entries(&self) -> Result<BTreeMap<Sha256, Entry>, StoreError> {
        let mut entries: BTreeMap<Sha256, Entry> = BTreeMap::new();
        for descriptor in self.index()?.into_iter().filter(can_be_image) {
            let name = descriptor.annotations.get(REF_NAME).cloned();
            let indexes: Vec<_> = indexes_of(&descriptor).collect();
            let entry = entries.entry(descriptor.digest).or_insert_with(|| Entry {
                descriptor,
                names: Vec::new(),
                indexes: Vec::new(),
            });
            entry.names.extend(name);
            entry.indexes.extend(indexes);
        }
        for entry in entries.values_mut() {
            entry.names.sort_unstable();
            entry.names.dedup();
            entry.indexes.sort_unstable();
            entry.indexes.dedup();
        }
        Ok(entries)
    }

    /// Writes an image's entries into the index, one for each name, and takes `name` from other images.
    fn enter_image(
        &self,
        descriptor: &Descriptor,
        platform: &Platform,
        name: Option<&str>,
        index: Option<Sha256>,
    ) -> Result<(), StoreError> {
        let path = self.root().join("index.json");
        let mut value = self.read_index()?;
        let Some(entries) = value.get_mut("manifests").and_then(Value::as_array_mut) else {
            return Err(StoreError::Corrupt { path, reason: "it has no list `manifests`".to_owned() });
        };
        let before = entries.clone();
        let image = |entry: &Value| Descriptor::deserialize(entry).ok().filter(can_be_image);
        let (mut names, mut indexes): (BTreeSet<_>, BTreeSet<_>) =
            (name.map(ToOwned::to_owned).into_iter().collect(), index.into_iter().collect());
        let mut at = None;
        let mut kept = Vec::with_capacity(entries.len() + 1);
        for mut entry in entries.drain(..) {
            match image(&entry) {
                Some(known) if known.digest == descriptor.digest => {
                    at.get_or_insert(kept.len());
                    indexes.extend(indexes_of(&known));
                    names.extend(known.annotations.get(REF_NAME).cloned());
                    continue;
                }
                Some(known)
                    if name.is_some() && known.annotations.get(REF_NAME).map(String::as_str) == name =>
                {
                    if let Some(annotations) = entry.get_mut("annotations").and_then(Value::as_object_mut) {
                        annotations.remove(REF_NAME);
                    }
                }
                _ => {}
            }
            kept.push(entry);
        }
        let entry = |name: Option<&String>| {
            let mut annotations = BTreeMap::new();
            annotations.extend(name.map(|name| (REF_NAME, name.clone())));
            if !indexes.is_empty() {
                let digests: Vec<_> = indexes.iter().map(ToString::to_string).collect();
                annotations.insert(INDEX_DIGESTS, digests.join(" "));
            }
            json!({
                "mediaType": descriptor.media_type,
                "digest": descriptor.digest,
                "size": descriptor.size,
                "platform": document::platform_json(platform),
                "annotations": annotations,
            })
        };
        let own: Vec<_> = if names.is_empty() {
            vec![entry(None)]
        } else {
            names.iter().map(|name| entry(Some(name))).collect()
        };
        let at = at.unwrap_or(kept.len());
        kept.splice(at..at, own);
        if kept == before {
            return Ok(());
        }
        *entries = kept;
        atomic::write(&path, value.to_string().as_bytes(), 0o644)
    }
}

/// The indexes by which an image came, as its entry names them.
pub(crate) fn indexes_of(entry: &Descriptor) -> impl Iterator<Item = Sha256> {
    let text = entry.annotations.get(INDEX_DIGESTS).map_or("", String::as_str);
    text.split(' ').filter_map(|digest| digest.parse().ok())
}

/// Whether an entry of the index can be an image: models say what they are.
fn can_be_image(descriptor: &Descriptor) -> bool {
    descriptor.artifact_type.is_none()
        && [OCI_MANIFEST, DOCKER_MANIFEST].contains(&descriptor.media_type.as_str())
}

/// Whether a text can name an image in the index. The names of models there are 64 hexadecimal digits.
fn is_name(name: &str) -> bool {
    (1..=MAX_NAME).contains(&name.len())
        && name.bytes().all(|byte| byte.is_ascii_graphic())
        && Sha256::from_hex(name).is_err()
}

#[cfg(test)]
mod tests;
