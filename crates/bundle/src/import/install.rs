//! What a bundle becomes once it is whole: models, images, and the stack's files in `stacks/NAME/bundles/SEQUENCE/`.

use super::state::{self, BUNDLES};
use super::{HOLDER, Import, ImportError};
use crate::index::{Image, Index, Item, MAX_INDEX, Role};
use crate::volume::names;
use serde::{Deserialize, Serialize};
use sovai_core::{Name, Sha256};
use sovai_store::{NewImage, Store, StoreError};
use sovai_verifier::admit_stored;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Which bundle of a stack was the newest that was ever installed.
const NEWEST: &str = "newest.json";
/// Largest file beside the blobs that is written out, in bytes.
const MAX_FILE: u64 = 64 << 20;
/// Folders of a bundle that are written out; the rest stays in the store by its digest.
const WRITTEN: [&str; 4] = ["stack/", "sbom/", "catalog/", "docs/"];
/// How long the store's lock is waited for.
const PATIENCE: Duration = Duration::from_secs(30);

/// A bundle that was brought in whole.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Installed {
    /// Its number.
    pub sequence: u64,
    /// Digest of its index.
    pub digest: Sha256,
}

impl Installed {
    /// Its folder in a store, which has the files of the stack under `stack/`.
    pub fn folder(store: &Store, stack: &Name, sequence: u64) -> PathBuf {
        store.stack(stack).path().join(BUNDLES).join(sequence.to_string())
    }
}

/// The newest bundle of a stack that was ever installed, also when its folder was removed since; and the one with the number
/// `sequence`, if it is there.
pub fn installed(
    store: &Store,
    stack: &Name,
    sequence: u64,
) -> Result<(Option<Installed>, Option<Installed>), StoreError> {
    let folder = store.stack(stack);
    let read = |sequence: u64| -> Result<Option<Installed>, StoreError> {
        let text = folder.get(&format!("{BUNDLES}/{sequence}/{}", names::INDEX), MAX_INDEX as u64)?;
        Ok(text.map(|text| Installed { sequence, digest: state::digest(&text) }))
    };
    let mut newest: Option<Installed> = folder.read(&format!("{BUNDLES}/{NEWEST}"))?;
    let highest = folder.list(BUNDLES)?.iter().filter_map(|name| name.parse().ok()).max();
    if let Some(highest) = highest
        && newest.as_ref().is_none_or(|newest| newest.sequence < highest)
        && let Some(found) = read(highest)?
    {
        newest = Some(found);
    }
    Ok((newest, read(sequence)?))
}

impl Import<'_> {
    /// Makes models and images of the bundle's blobs, and writes out the files of the stack. Gives the folder of the bundle.
    ///
    /// `check` looks at the files of the stack before anything is made of them; they lie in the folder that it is given.
    pub fn install<E: From<ImportError>>(
        &self,
        check: impl FnOnce(&Path) -> Result<(), E>,
    ) -> Result<PathBuf, E> {
        if !self.is_whole() {
            return Err(ImportError::NotWhole.into());
        }
        let partial = state::partial_folder(self.index.sequence);
        self.write_files(&partial)?;
        check(&self.store.stack(&self.index.stack).path().join(&partial))?;
        self.make().map_err(E::from)?;
        Ok(self.give_name(&partial)?)
    }

    fn write_files(&self, folder: &str) -> Result<(), ImportError> {
        let stack = self.store.stack(&self.index.stack);
        let is_written = |item: &&Item| {
            let path = item.path.as_str();
            item.role != Role::Blob && WRITTEN.iter().any(|start| path.starts_with(start))
        };
        for item in self.index.items.iter().filter(is_written) {
            let path = &item.path;
            let bytes = self.read(path.as_str(), item.sha256, MAX_FILE)?;
            stack.put(&format!("{folder}/{path}"), &bytes, 0o444)?;
        }
        Ok(())
    }

    fn read(&self, what: &str, digest: Sha256, limit: u64) -> Result<Vec<u8>, ImportError> {
        let read = self.store.read_blob(&digest, limit);
        read.map_err(|why| ImportError::Contradiction(format!("{what} ({digest}): {why}")))
    }

    fn make(&self) -> Result<(), ImportError> {
        for (name, model) in &self.index.models {
            let wrong = |why: String| ImportError::Contradiction(format!("model {name}: {why}"));
            let pins = self.store.model_files(&model.digest).map_err(wrong)?;
            let admission = admit_stored(name, &pins, self.store, &self.options.verify(), self.reporter)?;
            let digest = admission.receipt.as_ref().map(sovai_verifier::Receipt::model_digest);
            if digest != Some(model.digest) {
                return Err(wrong(format!("its files make another model than {}", model.digest)));
            }
        }
        for (name, image) in &self.index.images {
            self.make_image(name, image)?;
        }
        Ok(())
    }

    fn make_image(&self, name: &str, image: &Image) -> Result<(), ImportError> {
        let document = |digest| self.store.document(&digest);
        let (manifest, index) = (document(image.manifest)?, image.index.map(document).transpose()?);
        let new = NewImage { name: Some(name), index: index.as_deref(), manifest: &manifest };
        let lock = self.store.lock_patiently(HOLDER, PATIENCE)?;
        let stored = self.store.add_image(&lock, &new)?;
        if stored.config.digest != image.id.0 {
            let what = format!(
                "image {}: the index says {}, its manifest {}",
                name.escape_debug(),
                image.id,
                stored.config.digest
            );
            return Err(ImportError::Contradiction(what));
        }
        Ok(())
    }

    /// From here on it is there.
    fn give_name(&self, partial: &str) -> Result<PathBuf, ImportError> {
        let (stack, index) = (self.store.stack(&self.index.stack), self.index);
        let text = index.to_json();
        let new = Installed { sequence: index.sequence, digest: state::digest(text.as_bytes()) };
        let (newest, _) = installed(self.store, &index.stack, index.sequence)?;
        state::end(self.store, index)?;
        let folder = stack.rename(partial, &format!("{BUNDLES}/{}", index.sequence))?;
        if newest.is_none_or(|newest| newest.sequence <= new.sequence) {
            stack.write(&format!("{BUNDLES}/{NEWEST}"), &new)?;
        }
        Ok(folder)
    }
}

/// Whether an installed bundle still has all of its files: so that bringing it in again would change nothing.
pub fn is_complete(store: &Store, index: &Index) -> bool {
    let has = |item: &Item| {
        fs_err::symlink_metadata(store.blob(&item.sha256))
            .is_ok_and(|meta| meta.is_file() && meta.len() == item.size)
    };
    index.items.iter().all(has)
}
