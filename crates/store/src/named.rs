//! What lies in the store, and by whom it is named: from the index, roots and stacks to single blobs.

use crate::error::{Context as _, StoreError};
use crate::image;
use crate::layout::{MAX_JSON, Store, read_bounded};
use crate::model::{self, Descriptor, FILE_PATH, MODEL_ARTIFACT_TYPE, ModelArtifact, REF_NAME};
use crate::root::{Root, RootImage};
use serde::Deserialize;
use serde_json::Value;
use sovai_core::{FilePin, RelPath, Sha256};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// An index in an index in an index: deeper is refused. Images have one or two.
const MAX_DEPTH: usize = 4;
/// How deep below a stack's folder records are looked for.
const MAX_FOLDERS: usize = 3;
/// Folder of a stack's bundles. In each only the index counts: the other files are as somebody else wrote them.
const BUNDLES: &str = "bundles";
/// The index of a bundle.
const BUNDLE_INDEX: &str = "bundle.json";

/// What an entry of the index is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Content {
    /// A model, as [`ModelArtifact`] describes it.
    Model,
    /// A container image, or something else that is not a model.
    Image,
}

/// An entry of the index and what it leads to.
#[derive(Debug, Clone)]
pub struct Artifact {
    /// Its digest: the model digest, or the digest of the image's manifest or index.
    pub digest: Sha256,
    /// What it is.
    pub content: Content,
    /// The names that the index has for it (`org.opencontainers.image.ref.name`), sorted.
    pub refs: BTreeSet<String>,
    /// The digests by which a lock or an engine may name it: its own; of an image also those of its manifests and configs.
    pub names: BTreeSet<Sha256>,
    /// The configs of an image that are referred to by a manifest that is there.
    pub configs: BTreeSet<Sha256>,
    /// All blobs that belong to it, itself included, with their sizes, whether or not they are there.
    pub blobs: BTreeMap<Sha256, u64>,
    /// Layers: of a model, its files.
    pub layers: u64,
    /// Bytes of the layers.
    pub layer_bytes: u64,
    /// Manifests that an index names and that are not there: those of other platforms.
    pub absent: BTreeSet<Sha256>,
    /// Manifests that cannot be read, with the reason: what they lead to is not known.
    pub broken: Vec<(Sha256, String)>,
}

/// The members of manifests and indexes that lead to other blobs.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct AnyManifest {
    #[serde(default)]
    config: Option<Child>,
    #[serde(default)]
    layers: Vec<Child>,
    #[serde(default)]
    manifests: Vec<Child>,
}

#[derive(Deserialize)]
struct Child {
    digest: Sha256,
    size: u64,
}

#[derive(Deserialize)]
struct ModelLayers {
    layers: Vec<Descriptor>,
}

/// The files of a model, from the bytes of its manifest, sorted by path. The reason when it is no model's manifest.
pub fn model_files(manifest: &[u8]) -> Result<Vec<FilePin>, String> {
    let parsed: ModelLayers = serde_json::from_slice(manifest).map_err(|error| error.to_string())?;
    let mut files = Vec::with_capacity(parsed.layers.len());
    for layer in parsed.layers {
        let path = layer
            .annotations
            .get(FILE_PATH)
            .ok_or_else(|| format!("layer {} has no `{FILE_PATH}`", layer.digest))?;
        let path = RelPath::new(path).map_err(|error| error.to_string())?;
        files.push(FilePin { path, size: layer.size, sha256: layer.digest });
    }
    files.sort();
    Ok(files)
}

impl Store {
    /// The bytes of a small blob; the reason when it is not there, too long, or has other bytes than its name says.
    pub fn read_blob(&self, digest: &Sha256, limit: u64) -> Result<Vec<u8>, String> {
        match read_bounded(&self.blob(digest), limit) {
            Ok(Some(bytes)) if model::sha256(&bytes) == *digest => Ok(bytes),
            Ok(Some(_)) => Err("it has other bytes than its name says".to_owned()),
            Ok(None) => Err("it is not there".to_owned()),
            Err(StoreError::Corrupt { reason, .. }) => Err(reason),
            Err(error) => Err(error.to_string()),
        }
    }

    /// The files of a model of the store, sorted by path; the reason when its manifest cannot be read.
    pub fn model_files(&self, model: &Sha256) -> Result<Vec<FilePin>, String> {
        model_files(&self.read_blob(model, MAX_JSON)?)
    }

    /// Everything that the index refers to, sorted by digest; entries of one digest are one artifact.
    ///
    /// Manifests are read and hashed, other blobs are not looked at.
    pub fn artifacts(&self) -> Result<Vec<Artifact>, StoreError> {
        let mut found: BTreeMap<Sha256, Artifact> = BTreeMap::new();
        for entry in self.index()? {
            let name = entry.annotations.get(REF_NAME).cloned();
            let artifact = found.entry(entry.digest).or_insert_with(|| self.artifact(&entry));
            artifact.refs.extend(name);
            for index in image::indexes_of(&entry) {
                // The entry does not say how long an index is.
                let size = fs_err::symlink_metadata(self.blob(&index)).map_or(0, |meta| meta.len());
                artifact.names.insert(index);
                artifact.blobs.insert(index, size);
            }
        }
        Ok(found.into_values().collect())
    }

    fn artifact(&self, entry: &Descriptor) -> Artifact {
        let is_model = entry.artifact_type.as_deref() == Some(MODEL_ARTIFACT_TYPE);
        let mut artifact =
            Artifact::new(entry.digest, if is_model { Content::Model } else { Content::Image });
        artifact.blobs.insert(entry.digest, entry.size);
        self.walk(entry.digest, 0, &mut artifact);
        artifact
    }

    fn walk(&self, digest: Sha256, depth: usize, artifact: &mut Artifact) {
        let parsed = if depth > MAX_DEPTH {
            Err("an index in an index, too deep".to_owned())
        } else {
            self.read_blob(&digest, MAX_JSON).and_then(|bytes| {
                serde_json::from_slice::<AnyManifest>(&bytes).map_err(|error| error.to_string())
            })
        };
        let manifest = match parsed {
            Ok(manifest) => manifest,
            Err(reason) => {
                artifact.broken.push((digest, reason));
                return;
            }
        };
        if let Some(config) = manifest.config {
            artifact.blobs.insert(config.digest, config.size);
            if artifact.content == Content::Image {
                artifact.names.insert(config.digest);
                artifact.configs.insert(config.digest);
            }
        }
        for layer in manifest.layers {
            artifact.layers += 1;
            artifact.layer_bytes = artifact.layer_bytes.saturating_add(layer.size);
            artifact.blobs.insert(layer.digest, layer.size);
        }
        for child in manifest.manifests {
            if !artifact.names.insert(child.digest) {
                continue;
            }
            if fs_err::symlink_metadata(self.blob(&child.digest)).is_err() {
                artifact.absent.insert(child.digest);
                continue;
            }
            artifact.blobs.insert(child.digest, child.size);
            self.walk(child.digest, depth + 1, artifact);
        }
    }

    /// Every digest that stands in a record of a stack (`stacks/NAME/**.json`), with the names of the stacks.
    ///
    /// What a record means is the deployer's; here each text in it that is a digest counts, so that nothing that runs, or
    /// ran and can be returned to, is missed. A record that cannot be read is an error.
    pub fn named_by_stacks(&self) -> Result<BTreeMap<Sha256, BTreeSet<String>>, StoreError> {
        let mut named = BTreeMap::new();
        for stack in self.stacks()? {
            let folder = self.stack(&stack).path().to_owned();
            let mut found = |value: &Value| collect(value, stack.as_str(), &mut named);
            records(&folder, MAX_FOLDERS, &mut found)?;
            for bundle in self.stack(&stack).list(BUNDLES)? {
                record(&folder.join(BUNDLES).join(bundle).join(BUNDLE_INDEX), &mut found)?;
            }
        }
        Ok(named)
    }
}

impl Artifact {
    fn new(digest: Sha256, content: Content) -> Self {
        Self {
            digest,
            content,
            refs: BTreeSet::new(),
            names: BTreeSet::from([digest]),
            configs: BTreeSet::new(),
            blobs: BTreeMap::new(),
            layers: 0,
            layer_bytes: 0,
            absent: BTreeSet::new(),
            broken: Vec::new(),
        }
    }

    /// Bytes of all its blobs, each counted once.
    pub fn bytes(&self) -> u64 {
        self.blobs.values().fold(0, |sum, size| sum.saturating_add(*size))
    }
}

fn records(folder: &Path, depth: usize, found: &mut impl FnMut(&Value)) -> Result<(), StoreError> {
    for entry in fs_err::read_dir(folder).context("read the folder", folder)? {
        let entry = entry.context("read the folder", folder)?;
        let path = entry.path();
        let kind = match entry.file_type() {
            // A record that was replaced or removed while the folder was read.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
            kind => kind.context("look at", &path)?,
        };
        let is_bundles = depth == MAX_FOLDERS && entry.file_name() == BUNDLES;
        if kind.is_dir() && depth > 0 && !is_bundles {
            records(&path, depth - 1, found)?;
        } else if kind.is_file() && path.extension().is_some_and(|end| end == "json") {
            record(&path, found)?;
        }
    }
    Ok(())
}

/// One record; fine when it is not there.
fn record(path: &Path, found: &mut impl FnMut(&Value)) -> Result<(), StoreError> {
    let bytes = match read_bounded(path, MAX_JSON) {
        // A file where a folder of a bundle should be.
        Err(StoreError::NotAFolder { .. }) => None,
        read => read?,
    };
    let Some(bytes) = bytes else { return Ok(()) };
    match serde_json::from_slice(&bytes) {
        Ok(value) => {
            found(&value);
            Ok(())
        }
        Err(error) => Err(StoreError::Corrupt { path: path.to_owned(), reason: error.to_string() }),
    }
}

fn collect(value: &Value, stack: &str, named: &mut BTreeMap<Sha256, BTreeSet<String>>) {
    let mut note = |text: &str| {
        if let Ok(digest) = Sha256::from_hex(text.strip_prefix("sha256:").unwrap_or(text)) {
            named.entry(digest).or_default().insert(stack.to_owned());
        }
    };
    match value {
        Value::String(text) => note(text),
        Value::Array(values) => values.iter().for_each(|value| collect(value, stack, named)),
        Value::Object(members) => {
            members.keys().for_each(|key| note(key));
            members.values().for_each(|value| collect(value, stack, named));
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// What is to stay: digests that somebody names, and single blobs.
#[derive(Debug, Clone, Default)]
pub struct Wanted {
    /// Digests of models and of images (of index, manifest or config).
    pub names: BTreeSet<Sha256>,
    /// Blobs that stay whatever leads to them.
    pub blobs: BTreeSet<Sha256>,
    /// Those of `names` that are models all of whose blobs are in `blobs`.
    complete: BTreeSet<Sha256>,
}

impl Wanted {
    /// A model by its pins, which name all its blobs. Gives its digest.
    pub fn model(&mut self, files: &[FilePin]) -> Sha256 {
        let artifact = ModelArtifact::new(files);
        self.names.insert(artifact.digest);
        self.complete.insert(artifact.digest);
        self.blobs
            .extend(files.iter().map(|pin| pin.sha256).chain([artifact.digest, artifact.config_digest]));
        artifact.digest
    }

    /// An image.
    pub fn image(&mut self, image: &RootImage) {
        self.names.insert(image.config);
        self.names.extend(image.manifest.iter().chain(&image.index));
    }

    /// All that a root names.
    pub fn root(&mut self, root: &Root) {
        self.names.extend(root.digests());
        self.blobs.extend(&root.blobs);
    }
}

/// What stays and what goes.
#[derive(Debug, Clone, Default)]
pub struct Marked {
    /// Blobs that belong to something that is named, whether or not they are there.
    pub kept: BTreeSet<Sha256>,
    /// Entries of the index that nothing names.
    pub entries: BTreeSet<Sha256>,
    /// Trees of models that nothing names, by model digest.
    pub trees: BTreeSet<Sha256>,
    /// Blobs that belong to nothing that is named, with the bytes that they take.
    pub blobs: BTreeMap<Sha256, u64>,
    /// Names in `blobs/sha256` and `trees` that are not a digest in hex: nobody's business here, and left alone.
    pub foreign: BTreeSet<String>,
}

impl Marked {
    /// Bytes of the blobs that go.
    pub fn bytes(&self) -> u64 {
        self.blobs.values().fold(0, |sum, size| sum.saturating_add(*size))
    }

    /// Whether nothing goes.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty() && self.trees.is_empty() && self.blobs.is_empty()
    }
}

impl Store {
    /// Divides what is in the store into what is wanted and what is not. Changes nothing.
    ///
    /// Something that is named, or may be, and whose manifest cannot be read is an error: then nobody knows which blobs
    /// belong to it.
    pub fn mark(&self, wanted: &Wanted) -> Result<Marked, StoreError> {
        let mut marked =
            Marked { kept: wanted.blobs.union(&wanted.names).copied().collect(), ..Marked::default() };
        let mut indexed = BTreeSet::new();
        for artifact in self.artifacts()? {
            indexed.insert(artifact.digest);
            let is_named = !artifact.names.is_disjoint(&wanted.names);
            let is_known = artifact.content == Content::Model
                && (!is_named || wanted.complete.contains(&artifact.digest));
            if let (Some((digest, reason)), false) = (artifact.broken.first(), is_known) {
                return Err(StoreError::Corrupt { path: self.blob(digest), reason: reason.clone() });
            }
            if is_named {
                marked.kept.extend(artifact.blobs.keys());
            } else {
                marked.entries.insert(artifact.digest);
            }
        }
        // What a pull that was cut off has brought in so far has no entry yet.
        for name in wanted.names.difference(&indexed) {
            let is_small = fs_err::symlink_metadata(self.blob(name))
                .is_ok_and(|meta| meta.is_file() && meta.len() <= MAX_JSON);
            if is_small {
                let mut artifact = Artifact::new(*name, Content::Image);
                self.walk(*name, 0, &mut artifact);
                marked.kept.extend(artifact.blobs.keys());
            }
        }
        self.digests_in("trees", &mut marked, |marked, digest, _| {
            if !wanted.names.contains(&digest) {
                marked.trees.insert(digest);
            }
        })?;
        self.digests_in("blobs/sha256", &mut marked, |marked, digest, size| {
            if !marked.kept.contains(&digest) {
                marked.blobs.insert(digest, size);
            }
        })?;
        Ok(marked)
    }

    /// Every blob, with its size in bytes. Only looked at: that they are what they are called is for others to find out.
    pub fn blobs(&self) -> Result<BTreeMap<Sha256, u64>, StoreError> {
        let mut all = Marked::default();
        self.digests_in("blobs/sha256", &mut all, |all, digest, size| {
            all.blobs.insert(digest, size);
        })?;
        Ok(all.blobs)
    }

    fn digests_in(
        &self,
        folder: &str,
        marked: &mut Marked,
        mut each: impl FnMut(&mut Marked, Sha256, u64),
    ) -> Result<(), StoreError> {
        let path = self.root().join(folder);
        for entry in fs_err::read_dir(&path).context("read the folder", &path)? {
            let entry = entry.context("read the folder", &path)?;
            let name = entry.file_name();
            match name.to_str().map(Sha256::from_hex) {
                Some(Ok(digest)) => {
                    let size = entry.metadata().map_or(0, |meta| if meta.is_file() { meta.len() } else { 0 });
                    each(marked, digest, size);
                }
                _ if name.to_string_lossy().starts_with(crate::temp::PREFIX) => {}
                _ => {
                    marked.foreign.insert(format!("{folder}/{}", name.to_string_lossy()));
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
