//! Roots: which manifests, and which bundles being made, name what lies in the store.
//!
//! One small file a root in `roots/`, named by the SHA-256 of the manifest's path, so that there is one for each manifest
//! and the same manifest always has the same. `store prune` reads the manifests and locks again that they lead to.

use crate::error::{Context as _, StoreError};
use crate::layout::{MAX_JSON, Store, own_folder, read_bounded};
use crate::lock::StoreHold;
use crate::{atomic, model, temp};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sovai_core::{Name, Sha256};
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

const API_VERSION: &str = "sovai/v1";
/// More roots than this are refused.
const MAX_ROOTS: usize = 10_000;

/// What a root stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RootKind {
    /// A manifest and its lock. Counts as long as one of the two is there, or their folder is not.
    Stack,
    /// A bundle that is being made or taken in. Counts until whoever wrote it removes it.
    Bundle,
}

/// What names things in the store.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Root {
    /// What it stands for.
    pub kind: RootKind,
    /// The manifest, an absolute path; of a bundle, where that is. Names the root.
    #[serde(with = "any_path")]
    pub manifest: PathBuf,
    /// The lock, an absolute path, whether or not it is there; a bundle has none.
    #[serde(with = "any_path_option", skip_serializing_if = "Option::is_none", default)]
    pub lock: Option<PathBuf>,
    /// The stack's name.
    pub stack: Name,
    /// The model digest of each model, by its name in the manifest.
    pub models: BTreeMap<Name, Sha256>,
    /// Images, by their name as the manifest writes it.
    pub images: BTreeMap<String, RootImage>,
    /// The repository that it was last pulled from in place of its sources, as `oci://HOST/REPOSITORY`.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub from: Option<String>,
    /// Blobs that are kept though no manifest in the store leads to them.
    #[serde(skip_serializing_if = "BTreeSet::is_empty", default)]
    pub blobs: BTreeSet<Sha256>,
}

/// The digests of an image; whichever the store has it under keeps it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RootImage {
    /// Its ID: the digest of its configuration, or of its manifest on engines with the containerd store.
    pub config: Sha256,
    /// Digest of its manifest.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub manifest: Option<Sha256>,
    /// Digest of the index that its manifest stands in.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub index: Option<Sha256>,
}

/// A root as it lies in the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptRoot {
    /// Its file.
    pub file: PathBuf,
    /// What it says.
    pub root: Root,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Written<'a> {
    api_version: &'static str,
    #[serde(flatten)]
    root: &'a Root,
}

impl Root {
    /// The root of a manifest, which must be there: its path is made absolute, and links to its folder are followed, so that
    /// one manifest is one root. `lock` is the lock's path beside it.
    pub fn stack(
        manifest: &Path,
        lock: &Path,
        stack: Name,
        models: BTreeMap<Name, Sha256>,
        images: BTreeMap<String, RootImage>,
    ) -> Result<Self, StoreError> {
        Ok(Self {
            kind: RootKind::Stack,
            manifest: absolute(manifest)?,
            lock: Some(absolute(lock)?),
            stack,
            models,
            images,
            from: None,
            blobs: BTreeSet::new(),
        })
    }

    /// The path by which a manifest has its root, also one that is not there any more.
    pub fn path_of(manifest: &Path) -> Result<PathBuf, StoreError> {
        absolute(manifest)
    }

    /// Every digest that it names.
    pub fn digests(&self) -> impl Iterator<Item = Sha256> {
        let images = self.images.values().flat_map(|image| [Some(image.config), image.manifest, image.index]);
        self.models.values().copied().chain(images.flatten()).chain(self.blobs.iter().copied())
    }
}

/// An absolute path without links in its folders; the last part may be a link, and need not be there.
fn absolute(path: &Path) -> Result<PathBuf, StoreError> {
    let full = std::path::absolute(path).context("find", path)?;
    match (full.parent().map(fs_err::canonicalize), full.file_name()) {
        (Some(Ok(parent)), Some(name)) => Ok(parent.join(name)),
        _ => Ok(full),
    }
}

impl Store {
    /// Writes down that a manifest (or a bundle) names these models and images, in place of what was written down for it
    /// before. Nothing of it is pruned from then on, for as long as the manifest or its lock is there.
    ///
    /// For `pull` and `deploy`: take [`Store::hold`] first, then write down the root, then look what is there and bring in
    /// the rest. So a prune comes before, or finds the root. A pull also puts the small manifest blobs ([`Store::put`] of
    /// [`crate::ModelArtifact`]'s `manifest` and `config`, and those of images) in before the large ones: they lead a later
    /// prune to the blobs of a pull that was cut off, also where the lock is on a disk that is not mounted then.
    ///
    /// A root that names no repository keeps the one that was written down before.
    ///
    /// What was named before and is not now loses its root; call it once the new is decided, for a pull that is with the
    /// lock that it pulls. Writes nothing when nothing changed.
    pub fn record_root(&self, _hold: &StoreHold, root: &Root) -> Result<(), StoreError> {
        own_folder(&self.roots_folder())?;
        let path = self.root_file(&root.manifest);
        // One that cannot be read is replaced.
        let old = read_bounded(&path, MAX_JSON).ok().flatten();
        let before = || parse(path.clone(), old.as_deref()?).ok()?.root.from;
        let root = &Root { from: root.from.clone().or_else(before), ..root.clone() };
        let mut bytes = serde_json::to_vec_pretty(&Written { api_version: API_VERSION, root })
            .map_err(|error| StoreError::Corrupt { path: path.clone(), reason: error.to_string() })?;
        bytes.push(b'\n');
        if old.as_ref() == Some(&bytes) {
            return Ok(());
        }
        atomic::write(&path, &bytes, 0o600)
    }

    /// Every root, sorted by file. One that cannot be read or is of an unknown kind is an error: it may name anything.
    pub fn roots(&self) -> Result<Vec<KeptRoot>, StoreError> {
        let folder = self.roots_folder();
        let entries = match fs_err::read_dir(&folder) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries.context("read the folder", &folder)?,
        };
        let mut roots = Vec::new();
        for entry in entries {
            let path = entry.context("read the folder", &folder)?.path();
            let is_root = path.extension() == Some(OsStr::new("json"));
            if is_root && let Some(bytes) = read_bounded(&path, MAX_JSON)? {
                roots.push(parse(path, &bytes)?);
            }
            if roots.len() > MAX_ROOTS {
                let reason = format!("it has more than {MAX_ROOTS} roots");
                return Err(StoreError::Corrupt { path: folder, reason });
            }
        }
        roots.sort_by(|a, b| a.file.cmp(&b.file));
        Ok(roots)
    }

    /// Forgets the root of a manifest or a bundle; says whether there was one.
    pub fn forget_root(&self, _hold: &StoreHold, manifest: &Path) -> Result<bool, StoreError> {
        let path = self.root_file(&absolute(manifest)?);
        let is_there = fs_err::symlink_metadata(&path).is_ok();
        remove(&path)?;
        Ok(is_there)
    }

    /// Removes a root that counts no longer.
    pub fn remove_root(&self, _hold: &StoreHold, kept: &KeptRoot) -> Result<(), StoreError> {
        remove(&kept.file)
    }

    fn roots_folder(&self) -> PathBuf {
        self.root().join("roots")
    }

    fn root_file(&self, manifest: &Path) -> PathBuf {
        let key = model::sha256(manifest.as_os_str().as_bytes()).hex();
        self.roots_folder().join(format!("{}.json", &key[..32]))
    }
}

fn remove(path: &Path) -> Result<(), StoreError> {
    temp::remove_any(path)?;
    match path.parent() {
        Some(parent) if parent.is_dir() => temp::sync_folder(parent),
        _ => Ok(()),
    }
}

fn parse(path: PathBuf, bytes: &[u8]) -> Result<KeptRoot, StoreError> {
    let read = || -> Result<Root, String> {
        let mut value: serde_json::Value =
            serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
        let version = value.as_object_mut().and_then(|object| object.remove("apiVersion"));
        if version.as_ref().and_then(serde_json::Value::as_str) != Some(API_VERSION) {
            return Err(format!("it has no `apiVersion: {API_VERSION}`: another version of sovai wrote it"));
        }
        serde_json::from_value(value).map_err(|error| error.to_string())
    };
    match read() {
        Ok(root) => Ok(KeptRoot { file: path, root }),
        Err(reason) => Err(StoreError::Corrupt { path, reason }),
    }
}

/// A path as text where it is text, else as a row of bytes.
#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum AnyPath {
    Text(String),
    Bytes(Vec<u8>),
}

impl From<&Path> for AnyPath {
    fn from(path: &Path) -> Self {
        path.to_str().map_or_else(
            || Self::Bytes(path.as_os_str().as_bytes().to_vec()),
            |text| Self::Text(text.to_owned()),
        )
    }
}

impl From<AnyPath> for PathBuf {
    fn from(path: AnyPath) -> Self {
        match path {
            AnyPath::Text(text) => Self::from(text),
            AnyPath::Bytes(bytes) => Self::from(OsStr::from_bytes(&bytes)),
        }
    }
}

mod any_path {
    use super::{AnyPath, Deserialize as _, Deserializer, Path, PathBuf, Serialize as _, Serializer};

    pub(super) fn serialize<S: Serializer>(path: &Path, serializer: S) -> Result<S::Ok, S::Error> {
        AnyPath::from(path).serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<PathBuf, D::Error> {
        AnyPath::deserialize(deserializer).map(PathBuf::from)
    }
}

mod any_path_option {
    use super::{AnyPath, Deserialize as _, Deserializer, PathBuf, Serialize as _, Serializer};

    #[expect(clippy::ref_option, reason = "serde gives the field as it is")]
    pub(super) fn serialize<S: Serializer>(path: &Option<PathBuf>, serializer: S) -> Result<S::Ok, S::Error> {
        path.as_deref().map(AnyPath::from).serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<PathBuf>, D::Error> {
        Ok(Option::<AnyPath>::deserialize(deserializer)?.map(PathBuf::from))
    }
}

#[cfg(test)]
mod tests;
