//! What the files of a bundle are, beyond their digests: names that people know them by, and kinds.

use crate::index::{Item, Part, Role};
use crate::set::VolumeSet;
use crate::volume::VolumeId;
use serde::Serialize;
use sovai_core::{FilePin, Name, Sha256};
use sovai_formats::{ContentType, HEAD, sniff};
use std::collections::BTreeMap;
use std::os::unix::fs::FileExt as _;

/// A file of a model, as its first bytes tell.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ModelFile {
    /// The model.
    pub model: Name,
    /// Its path in the model.
    pub path: String,
    /// Its bytes.
    pub size: u64,
    /// Its SHA-256.
    pub sha256: Sha256,
    /// What it is by its first bytes; nothing when those are not on a volume that is here.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub content: Option<ContentType>,
}

impl VolumeSet {
    /// The files of each model, where its manifest lies on volumes that are here. What is read are manifests and the first
    /// 8 KiB of each file; of what is further in, nothing is known.
    pub fn model_files(&self) -> Vec<ModelFile> {
        let mut all = Vec::new();
        for (name, model) in &self.index().models {
            let pins = self.blob_item(&model.digest).and_then(|item| self.read_item(item));
            let pins = pins.and_then(|bytes| sovai_store::model_files(&bytes).ok()).unwrap_or_default();
            for FilePin { path, size, sha256 } in pins {
                let head = self.blob_item(&sha256).and_then(|item| self.head(item));
                let content = head.map(|head| sniff(&head, size, path.file_name()));
                all.push(ModelFile {
                    model: name.clone(),
                    path: path.as_str().to_owned(),
                    size,
                    sha256,
                    content,
                });
            }
        }
        all
    }

    /// What people call each blob: `FILE of model NAME`, `manifest of image REF`.
    pub fn blob_names(&self) -> BTreeMap<Sha256, String> {
        let mut names = BTreeMap::new();
        for (name, model) in &self.index().models {
            names.insert(model.digest, format!("the manifest of model {name}"));
        }
        for (name, image) in &self.index().images {
            names.insert(image.manifest, format!("the manifest of image {name}"));
        }
        for (name, model) in &self.index().models {
            let read = self.blob_item(&model.digest).and_then(|item| self.read_item(item));
            for pin in read.and_then(|bytes| sovai_store::model_files(&bytes).ok()).unwrap_or_default() {
                names.entry(pin.sha256).or_insert_with(|| format!("{} of model {name}", pin.path));
            }
        }
        names
    }

    fn blob_item(&self, digest: &Sha256) -> Option<&Item> {
        let item = self.index().item(&format!("blobs/sha256/{}", digest.hex()))?;
        (item.role == Role::Blob).then_some(item)
    }

    /// The first bytes of a file, as they lie on its first volume.
    fn head(&self, item: &Item) -> Option<Vec<u8>> {
        let Some(Part::Carried { volume, offset, length }) = item.parts.first().copied() else { return None };
        let file = self.volume(VolumeId::Data(volume))?.open_payload().ok()?;
        let mut head = vec![0; usize::try_from(length).unwrap_or(HEAD).min(HEAD)];
        file.read_exact_at(&mut head, offset).ok()?;
        Some(head)
    }
}
