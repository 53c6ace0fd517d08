//! Who names what in the store: the locks that the roots lead to, read again, and the records of stacks.

use crate::error::CliError;
use crate::exit::Exit;
use crate::input::read_bounded;
use crate::manifest::{self, ManifestFile};
use crate::output::safe_line;
use serde::Serialize;
use serde_json::Value;
use sovai_core::{FilePin, Name, Sha256};
use sovai_manifest::{ImagePin, Lock, MAX_LOCK_BYTES, resolve};
use sovai_store::{Artifact, Content, KeptRoot, Root, RootImage, RootKind, Store, StoreError, Wanted};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// What became of the manifest that a root was written for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum RootState {
    /// Its manifest or its lock is there: what they name counts, and what was named when it was last pulled or deployed.
    There,
    /// Its folder cannot be seen, or is empty as the mount point of a disk is that is not mounted: what was named last counts.
    Away,
    /// Neither is there, though their folder is: it counts no longer. So does one that is to be forgotten.
    Gone,
    /// A bundle that is being made or taken in.
    Bundle,
    /// Its manifest or its lock cannot be read: what it names is not known.
    Broken,
}

/// A root and what became of it.
pub(super) struct Looked {
    pub(super) kept: KeptRoot,
    pub(super) state: RootState,
}

/// All that is named, and by whom.
pub(super) struct Named {
    pub(super) wanted: Wanted,
    pub(super) roots: Vec<Looked>,
    /// `STACK/MODEL` by model digest.
    pub(super) models: BTreeMap<Sha256, BTreeSet<String>>,
    /// References by each digest of an image.
    pub(super) images: BTreeMap<Sha256, BTreeSet<String>>,
    /// The manifests that name a model or an image, by each of its digests.
    pub(super) manifests: BTreeMap<Sha256, BTreeSet<String>>,
    /// `STACK/MODEL/PATH` by the digest of a file, as manifests and their locks name it.
    pub(super) files: BTreeMap<Sha256, BTreeSet<String>>,
    /// Why it is not known what one of the roots names.
    pub(super) broken: Option<CliError>,
}

/// Reads every root, and the manifest and lock that it leads to; then the records of stacks. What the manifests in `forget`
/// name does not count.
pub(super) fn look(store: &Store, forget: &[PathBuf]) -> Result<Named, CliError> {
    let mut named = Named {
        wanted: Wanted::default(),
        roots: Vec::new(),
        models: BTreeMap::new(),
        images: BTreeMap::new(),
        manifests: BTreeMap::new(),
        files: BTreeMap::new(),
        broken: None,
    };
    for kept in store.roots()? {
        let state =
            if forget.contains(&kept.root.manifest) { RootState::Gone } else { named.take(&kept.root) };
        named.roots.push(Looked { kept, state });
    }
    named.wanted.names.extend(store.named_by_stacks()?.into_keys());
    named.deployed(store)?;
    Ok(named)
}

impl Named {
    fn take(&mut self, root: &Root) -> RootState {
        let state = match root.kind {
            RootKind::Bundle => RootState::Bundle,
            RootKind::Stack => state_of(root),
        };
        if state == RootState::Gone {
            return state;
        }
        self.wanted.root(root);
        for (model, digest) in &root.models {
            self.model(&root.stack, model, *digest, &root.manifest);
        }
        for (reference, image) in &root.images {
            self.image(reference, image, &root.manifest);
        }
        if state == RootState::There
            && let Err(error) = self.read(root)
        {
            self.broken.get_or_insert(error.into_exit(Exit::Invalid));
            return RootState::Broken;
        }
        state
    }

    /// What manifest and lock name now. A lock whose manifest is gone counts too, and all of a lock counts, also what the
    /// manifest does not ask for any more.
    fn read(&mut self, root: &Root) -> Result<(), CliError> {
        let lock = match &root.lock {
            Some(path) if is_there(path) => Some(read_lock(path)?),
            _ => None,
        };
        if let Some(lock) = &lock {
            for (name, model) in &lock.models {
                let pins: Vec<_> = model
                    .files
                    .iter()
                    .map(|file| FilePin { path: file.path.clone(), size: file.size, sha256: file.sha256 })
                    .collect();
                let digest = self.wanted.model(&pins);
                self.model(&root.stack, name, digest, &root.manifest);
                self.files(&root.stack, name, &pins);
            }
            for (reference, image) in &lock.images {
                let image =
                    RootImage { config: image.config.0, manifest: image.manifest, index: image.index };
                self.wanted.image(&image);
                self.image(reference, &image, &root.manifest);
            }
        }
        if !is_there(&root.manifest) {
            return Ok(());
        }
        let bytes = manifest::read(&root.manifest)?;
        let parsed = sovai_manifest::parse(&bytes);
        let Some(read) = parsed.manifest else {
            return Err(manifest::invalid("manifest", &root.manifest, &parsed.diagnostics, &bytes));
        };
        let sha256 = crate::judge::digest(&bytes);
        let file = ManifestFile { path: root.manifest.clone(), manifest: read, sha256 };
        let resolved = resolve(&file.manifest, lock.as_ref());
        for (name, pins) in &resolved.models {
            let digest = self.wanted.model(pins);
            self.model(&file.manifest.name, name, digest, &root.manifest);
            self.files(&file.manifest.name, name, pins);
        }
        for (reference, image) in &resolved.images {
            let digest = match image.pin {
                ImagePin::Digest(digest) => digest,
                ImagePin::Id(id) => id.0,
            };
            let image = RootImage { config: digest, manifest: None, index: None };
            self.wanted.image(&image);
            self.image(reference, &image, &root.manifest);
        }
        Ok(())
    }

    /// The names of models that stacks serve; a generation may be older than what its lock says now.
    fn deployed(&mut self, store: &Store) -> Result<(), CliError> {
        for stack in store.stacks()? {
            let folder = store.stack(&stack);
            let mut records = vec!["current.json".to_owned()];
            records.extend(folder.list("generations")?.into_iter().map(|name| format!("generations/{name}")));
            for record in
                records.iter().filter(|name| Path::new(name).extension().is_some_and(|e| e == "json"))
            {
                let value: Option<Value> = folder.read(record)?;
                let models = value.as_ref().and_then(|value| value.get("models")).and_then(Value::as_object);
                for (model, digest) in models.into_iter().flatten() {
                    if let Some(Ok(digest)) = digest.as_str().map(str::parse::<Sha256>) {
                        self.models.entry(digest).or_default().insert(format!("{stack}/{model}"));
                    }
                }
            }
        }
        Ok(())
    }

    fn model(&mut self, stack: &Name, model: &Name, digest: Sha256, manifest: &Path) {
        self.models.entry(digest).or_default().insert(format!("{stack}/{model}"));
        self.manifests.entry(digest).or_default().insert(manifest.display().to_string());
    }

    fn files(&mut self, stack: &Name, model: &Name, pins: &[FilePin]) {
        for pin in pins {
            self.files.entry(pin.sha256).or_default().insert(format!("{stack}/{model}/{}", pin.path));
        }
    }

    fn image(&mut self, reference: &str, image: &RootImage, manifest: &Path) {
        for digest in [Some(image.config), image.manifest, image.index].into_iter().flatten() {
            self.images.entry(digest).or_default().insert(reference.to_owned());
            self.manifests.entry(digest).or_default().insert(manifest.display().to_string());
        }
    }

    /// The repository that a manifest was last pulled from, where that was not its sources.
    pub(super) fn pulled_from(&self, manifest: &str) -> Option<&str> {
        let root =
            self.roots.iter().find(|looked| looked.kept.root.manifest.display().to_string() == manifest)?;
        root.kept.root.from.as_deref()
    }

    /// What a model or an image is called, for people.
    pub(super) fn called(&self, artifact: &Artifact) -> String {
        let (what, names) = match artifact.content {
            Content::Model => ("model", self.models.get(&artifact.digest).cloned().unwrap_or_default()),
            Content::Image => ("image", self.references(artifact)),
        };
        let names: Vec<_> = names.iter().map(|name| safe_line(name)).collect();
        if names.is_empty() {
            format!("{what} {}", artifact.digest.short())
        } else {
            format!("{what} {}", names.join(", "))
        }
    }

    /// The references by which an image of the store is known: of roots, else of the index.
    pub(super) fn references(&self, artifact: &Artifact) -> BTreeSet<String> {
        let known: BTreeSet<String> =
            artifact.names.iter().filter_map(|digest| self.images.get(digest)).flatten().cloned().collect();
        if known.is_empty() { artifact.refs.clone() } else { known }
    }
}

/// Whether there is something under the name. What cannot be looked at for want of rights counts as there: then reading it
/// fails, and nobody takes it for gone.
fn is_there(path: &Path) -> bool {
    path.try_exists().unwrap_or(true) || fs_err::symlink_metadata(path).is_ok()
}

fn state_of(root: &Root) -> RootState {
    if is_there(&root.manifest) || root.lock.as_deref().is_some_and(is_there) {
        return RootState::There;
    }
    let Some(Ok(mut entries)) = root.manifest.parent().map(fs_err::read_dir) else {
        return RootState::Away;
    };
    if entries.next().is_none() { RootState::Away } else { RootState::Gone }
}

fn read_lock(path: &Path) -> Result<Lock, CliError> {
    let bytes = read_bounded(path, MAX_LOCK_BYTES, "lock")?;
    match Lock::parse(&bytes) {
        (Some(lock), _) => Ok(lock),
        (None, diagnostics) => Err(manifest::invalid("lock", path, &diagnostics, &bytes)),
    }
}

/// The store, if there is one: looking makes none.
pub(super) fn open(ctx: &crate::ctx::Ctx) -> Result<Store, CliError> {
    let path = ctx.store_path()?;
    match Store::look(path)? {
        Some(store) => Ok(store),
        None => Err(CliError::new(
            Exit::Usage,
            format!("there is no store in {}", safe_line(&path.display().to_string())),
        )
        .hint("name one with --store DIR or SOVAI_STORE")
        .hint("`sovai pull MANIFEST` and `sovai deploy MANIFEST` make it")),
    }
}

/// An error of the store about what leads to blobs, with the next step.
pub(super) fn unmarked(error: StoreError) -> CliError {
    let is_corrupt = matches!(error, StoreError::Corrupt { .. });
    let error = CliError::from(error);
    if is_corrupt {
        error.hint("`sovai store verify` says who uses it; `sovai pull MANIFEST` brings it again")
    } else {
        error
    }
}
