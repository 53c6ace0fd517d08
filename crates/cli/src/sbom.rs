//! Bills of materials: what is known of a stack's models and images, for `export sbom` and for bundles.

use crate::error::CliError;
use crate::exit::Exit;
use crate::output::safe_line;
use crate::stack::Pinned;
use sovai_catalog::{TextMatch, identify_license_text};
use sovai_core::{FilePin, Name, Sha256, TrustLevel};
use sovai_evidence::rfc3339;
use sovai_images::{ImageError, Seen, read_files};
use sovai_manifest::ImagePin;
use sovai_sbom::{
    ImageFacts, ModelFacts, ModelSeen, Packages, PackagesRead, StackFacts, Tool, is_package_file, own_bom,
    stack_bom,
};
use sovai_store::{Store, StoredImage, model_manifest, read_bounded};
use sovai_verifier::{Examination, Options, Scope, examine_scope};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// The running version.
const VERSION: &str = env!("CARGO_PKG_VERSION");
/// Longest `config.json` that is read, and longest name of an architecture that is taken from it.
const MAX_CONFIG: u64 = 1 << 20;
const MAX_ARCHITECTURE: usize = 128;

/// What bills of materials are made from.
pub(crate) struct Bills<'a> {
    /// The stack.
    pub(crate) pinned: &'a Pinned,
    /// Where its bytes are, if anywhere: without them everything is declared.
    pub(crate) store: Option<&'a Store>,
    /// Its images, those that the store has, by their name in the manifest.
    pub(crate) images: &'a BTreeMap<String, StoredImage>,
    /// Trust levels, where they were judged.
    pub(crate) levels: &'a BTreeMap<Name, TrustLevel>,
    /// Number of the bundle.
    pub(crate) sequence: Option<u64>,
    /// What stands for now, in seconds since 1970.
    pub(crate) created: Option<u64>,
    /// SHA-256 of the running program.
    pub(crate) program: Option<Sha256>,
}

impl Bills<'_> {
    /// Of the stack. Reads headers of model files, and the package databases in the layers of images.
    pub(crate) fn stack(&self, options: &Options) -> Result<Vec<u8>, CliError> {
        let resolved = &self.pinned.resolved;
        let mut seen = BTreeMap::new();
        for (name, files) in &resolved.models {
            seen.insert(name, self.seen(name, files, options)?);
        }
        let models = resolved.models.iter().filter_map(|(name, files)| {
            Some(ModelFacts {
                name,
                model: self.pinned.manifest().models.get(name)?,
                locked: self.pinned.lock.as_ref().and_then(|lock| lock.models.get(name)),
                files,
                digest: model_manifest(files).1,
                seen: seen.get(name)?,
            })
        });
        let images: Result<Vec<_>, CliError> = resolved.images.keys().map(|name| self.image(name)).collect();
        let facts = StackFacts {
            manifest: self.pinned.manifest(),
            models: models.collect(),
            images: images?,
            sequence: self.sequence,
            timestamp: self.created.map(rfc3339),
            tool: Tool { version: VERSION, digest: self.program },
        };
        Ok(stack_bom(&facts).to_json())
    }

    /// What the store's copy of a model tells. What lies elsewhere is not looked at: its bytes may have changed since they
    /// were hashed.
    fn seen(&self, name: &Name, files: &[FilePin], options: &Options) -> Result<ModelSeen, CliError> {
        let mut seen = ModelSeen { trust: self.levels.get(name).copied(), ..ModelSeen::default() };
        let Some(store) = self.store else { return Ok(seen) };
        seen.hashed = files.iter().all(|file| store.has_blob(&file.sha256));
        let digest = model_manifest(files).1;
        if !seen.hashed || !store.tree_is_whole(&digest, files) {
            return Ok(seen);
        }
        let tree = store.tree(&digest);
        let covered: BTreeSet<String> = files.iter().map(|file| file.path.as_str().to_owned()).collect();
        let scope = Scope { covered: Some(&covered), is_model: true };
        let found = examine_scope(&tree, scope, options)?;
        seen.architecture = architecture(&found, &covered, &tree)?;
        seen.licenses = licenses(&found);
        seen.contents =
            found.files.into_iter().map(|file| (file.path, file.content.word().to_owned())).collect();
        Ok(seen)
    }

    fn image(&self, name: &str) -> Result<ImageFacts, CliError> {
        let locked = self.pinned.lock.as_ref().and_then(|lock| lock.images.get(name));
        let resolved = self.pinned.resolved.images.get(name);
        let stored = self.images.get(name);
        let (pinned_id, pinned_digest) = match resolved.map(|image| image.pin) {
            Some(ImagePin::Id(id)) => (Some(id.0), None),
            Some(ImagePin::Digest(digest)) => (None, Some(digest)),
            None => (None, None),
        };
        let at_registry = locked.and_then(|locked| locked.manifest).or(pinned_digest);
        let packages = match (self.store, stored) {
            (Some(store), Some(image)) => packages(store, image)?,
            _ => PackagesRead::default(),
        };
        Ok(ImageFacts {
            name: name.to_owned(),
            platform: stored
                .map(|image| image.platform.to_string())
                .or_else(|| locked.map(|locked| locked.platform.clone()))
                .or_else(|| resolved.and_then(|image| image.platform.clone())),
            id: stored
                .map(|image| image.config.digest)
                .or_else(|| locked.map(|locked| locked.config.0))
                .or(pinned_id),
            manifest: at_registry.or_else(|| stored.map(|image| image.manifest.digest)),
            at_registry: at_registry.is_some(),
            layers: stored.iter().flat_map(|image| &image.layers).map(|layer| layer.digest).collect(),
            packages,
        })
    }
}

/// Of sovai itself: `program` is the digest of the running file, `created` stands for now.
pub(crate) fn own(created: Option<u64>, program: Option<Sha256>) -> Vec<u8> {
    own_bom(&Tool { version: VERSION, digest: program }, created.map(rfc3339)).to_json()
}

/// The images of a stack that the store has.
pub(crate) fn stored_images(
    pinned: &Pinned,
    store: &Store,
) -> Result<BTreeMap<String, StoredImage>, CliError> {
    let mut found = BTreeMap::new();
    for (name, resolved) in &pinned.resolved.images {
        let locked = pinned.lock.as_ref().and_then(|lock| lock.images.get(name));
        let digest = match (locked, resolved.pin) {
            (Some(locked), _) => locked.config.0,
            (None, ImagePin::Digest(digest)) => digest,
            (None, ImagePin::Id(id)) => id.0,
        };
        let fits = |image: &StoredImage| {
            resolved.platform.as_ref().is_none_or(|platform| image.platform.to_string() == *platform)
        };
        if let Some(image) = store.images_by(&digest)?.into_iter().find(fits) {
            found.insert(name.clone(), image);
        }
    }
    Ok(found)
}

/// The packages of an image. A layer that cannot be looked into is no reason not to tell the rest.
fn packages(store: &Store, image: &StoredImage) -> Result<PackagesRead, CliError> {
    match read_files(store, image, &is_package_file) {
        Ok(files) => Ok(PackagesRead::Read(Packages::read(files.iter().map(|(path, seen)| {
            let bytes = match seen {
                Seen::Bytes(bytes) => Some(bytes.as_slice()),
                Seen::NotRead => None,
            };
            (path.as_str(), bytes)
        })))),
        Err(ImageError::Zstd { number }) => {
            Ok(PackagesRead::Not(format!("layer {number} is compressed with zstd")))
        }
        Err(error @ ImageError::Read { .. }) => {
            Ok(PackagesRead::Not(safe_line(&format!("{error}: its layers are no archives that sovai reads"))))
        }
        Err(error) => Err(error.into()),
    }
}

/// What a header or `config.json` says. Both lie in the store, and were hashed.
fn architecture(
    found: &Examination,
    covered: &BTreeSet<String>,
    tree: &Path,
) -> Result<Option<String>, CliError> {
    let header = found.files.iter().find_map(|file| file.weights.as_ref()?.architecture.clone());
    if header.is_some() || !covered.contains("config.json") {
        return Ok(header.filter(|text| text.len() <= MAX_ARCHITECTURE));
    }
    let Some(config) = read_bounded(&tree.join("config.json"), MAX_CONFIG)? else { return Ok(None) };
    let config: serde_json::Value = serde_json::from_slice(&config).unwrap_or_default();
    let named = config.get("architectures").and_then(|all| all.get(0)).and_then(|one| one.as_str());
    Ok(named.filter(|text| text.len() <= MAX_ARCHITECTURE).map(str::to_owned))
}

/// The licences whose very texts are among the files.
fn licenses(found: &Examination) -> Vec<String> {
    let mut ids: Vec<String> = Vec::new();
    for license in &found.licenses {
        if let TextMatch::Known { ids: known, .. } = identify_license_text(&license.text) {
            ids.extend(known.iter().cloned());
        }
    }
    ids.sort();
    ids.dedup();
    ids
}

/// Seconds since 1970 in `SOURCE_DATE_EPOCH`, which stand for now so that two people write the same bytes
/// (reproducible-builds.org).
pub(crate) fn source_date() -> Result<Option<u64>, CliError> {
    let Some(text) = std::env::var_os("SOURCE_DATE_EPOCH").filter(|text| !text.is_empty()) else {
        return Ok(None);
    };
    let seconds = text.to_str().and_then(|text| text.parse().ok());
    seconds.map(Some).ok_or_else(|| {
        CliError::new(Exit::Usage, "SOURCE_DATE_EPOCH is no number of seconds since 1970")
            .hint("SOURCE_DATE_EPOCH=$(git log -1 --format=%ct), or unset it")
    })
}
