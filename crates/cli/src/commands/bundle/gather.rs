//! What goes into a bundle: everything that the manifest names, as files with their places.

mod docs;
mod known;
mod stack;

use super::create::Times;
use crate::error::CliError;
use crate::exit::Exit;
use crate::judge::Judge;
use crate::output::safe_line;
use crate::provenance::{self, BUILD};
use crate::sbom::{self, Bills};
use crate::stack::Pinned;
use serde_json::json;
use sha2::Digest as _;
use sovai_bundle::plan::{Contents, NewItem, Origin, Program};
use sovai_bundle::{Image, Model, Role, Tool};
use sovai_core::{FilePin, ImageId, Name, Platform, RelPath, Sha256, TrustLevel, format_bytes};
use sovai_manifest::ImagePin;
use sovai_store::{ModelArtifact, Store, StoredImage};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::Read as _;
use std::path::{Path, PathBuf};

/// What is gathered from.
pub(super) struct Source<'a> {
    pub(super) pinned: &'a Pinned,
    pub(super) store: &'a Store,
    /// The images, by their reference in the manifest.
    pub(super) images: &'a BTreeMap<String, StoredImage>,
    pub(super) judge: &'a Judge,
    /// The trust level of each model; without one it is `digest`.
    pub(super) levels: &'a BTreeMap<Name, TrustLevel>,
    /// SHA-256 of the running program, if it goes along; of another one nothing more is known.
    pub(super) program: Option<Sha256>,
    /// How files are looked at.
    pub(super) options: &'a sovai_verifier::Options,
}

/// What was gathered.
pub(super) struct Gathered {
    pub(super) contents: Contents,
    /// What the manifest names and a bundle does not carry, in words.
    pub(super) left_out: Vec<String>,
}

/// The images of a stack, from the store.
pub(super) fn images(pinned: &Pinned, store: &Store) -> Result<BTreeMap<String, StoredImage>, CliError> {
    let (mut found, mut lacking) = (BTreeMap::new(), Vec::new());
    for (name, image) in &pinned.resolved.images {
        let digest = pinned_digest(image.pin);
        let locked = pinned.lock.as_ref().and_then(|lock| lock.images.get(name));
        let by_lock = locked.map(|locked| store.image_by(&locked.config.0)).transpose()?.flatten();
        let platform = crate::net::platform(image.platform.as_deref())?;
        let by_pin = || -> Result<Option<StoredImage>, CliError> {
            let all = store.images_by(&digest)?;
            Ok(all.into_iter().find(|image| image.platform.serves(&platform).is_some()))
        };
        match by_lock.map_or_else(by_pin, |image| Ok(Some(image)))? {
            Some(image) => drop(found.insert(name.clone(), image)),
            None => lacking.push(format!("image {} ({digest})", safe_line(name))),
        }
    }
    if lacking.is_empty() {
        return Ok(found);
    }
    let manifest = safe_line(&pinned.file.path.display().to_string());
    Err(CliError::new(Exit::Unreachable, format!("not in the store: {}", lacking.join(", ")))
        .hint(format!("bring it in first: sovai pull {manifest}")))
}

const fn pinned_digest(pin: ImagePin) -> Sha256 {
    match pin {
        ImagePin::Digest(digest) => digest,
        ImagePin::Id(id) => id.0,
    }
}

/// The program that goes along, with its digest: the one that was named, else the running one.
pub(super) fn program(named: Option<&Path>) -> Result<Program, CliError> {
    let Some(path) = named else {
        let size = fs_err::metadata(provenance::OWN_PROGRAM).map_err(CliError::internal)?.len();
        return Ok(Program {
            path: PathBuf::from(provenance::OWN_PROGRAM),
            size,
            sha256: provenance::program()?,
        });
    };
    let fail = |error: std::io::Error| {
        let shown = safe_line(&path.display().to_string());
        CliError::new(Exit::Usage, format!("program {shown} cannot be read")).source(&error)
    };
    if crate::input::kind_of(path, "program")? != "file" {
        return Err(fail(std::io::ErrorKind::IsADirectory.into()));
    }
    let mut file = fs_err::File::open(path).map_err(fail)?;
    let mut hash = sha2::Sha256::new();
    let mut size = 0;
    let mut buffer = vec![0; 128 << 10];
    loop {
        let read = file.read(&mut buffer).map_err(fail)?;
        if read == 0 {
            break;
        }
        size += read as u64;
        hash.update(buffer.get(..read).unwrap_or_default());
    }
    let sha256 = Sha256::from_bytes(hash.finalize().into());
    Ok(Program { path: path.to_owned(), size, sha256 })
}

/// Gathers everything. Reads small files whole, and of the store's blobs the small documents alone.
pub(super) fn gather(source: &Source<'_>, attach: &[PathBuf], times: Times) -> Result<Gathered, CliError> {
    let mut items = Items::default();
    let stack = stack::files(source, attach, &mut items)?;
    let mut listing = String::from("What the blobs of this bundle are: where, bytes, file\n");
    let models = models(source, &mut items, &mut listing)?;
    let images = blobs_of_images(source, &mut items, &mut listing)?;
    let layout = r#"{"imageLayoutVersion":"1.0.0"}"#;
    items.add("oci-layout", Role::Layout, layout.as_bytes().to_vec())?;
    items.add("index.json", Role::Layout, oci_index(source).into_bytes())?;
    for (path, role, bytes) in sboms(source, times)? {
        items.add(&path, role, bytes)?;
    }
    docs::add(&mut items)?;
    known::add(source, &mut items)?;
    items.add("docs/CONTENTS.txt", Role::Document, listing.into_bytes())?;
    let contents = Contents {
        stack: source.pinned.name().clone(),
        sequence: times.sequence,
        created: times.created,
        platform: platform(source)?,
        tool: Tool { name: "sovai".to_owned(), version: env!("CARGO_PKG_VERSION").to_owned() },
        manifest: stack.manifest,
        models,
        images,
        base: None,
        items: items.into_items(),
    };
    Ok(Gathered { contents, left_out: stack.left_out })
}

/// The bills of materials of the stack and of sovai itself, and where the program comes from: path among the files, role,
/// bytes. They are the same whenever `times`, the stack and the program are.
fn sboms(source: &Source<'_>, times: Times) -> Result<Vec<(String, Role, Vec<u8>)>, CliError> {
    let bills = Bills {
        pinned: source.pinned,
        store: Some(source.store),
        images: source.images,
        levels: source.levels,
        sequence: Some(times.sequence),
        created: Some(times.created),
        program: source.program,
    };
    let stack = format!("sbom/{}.cdx.json", source.pinned.name());
    let mut all = vec![(stack, Role::Sbom, bills.stack(source.options)?)];
    if let Some(program) = source.program {
        let own = sbom::own(Some(times.created), Some(program));
        all.push(("sbom/sovai.cdx.json".to_owned(), Role::Sbom, own));
        all.push(("sbom/sovai.provenance.json".to_owned(), Role::Attestation, BUILD.bytes(program)?));
    }
    Ok(all)
}

/// Files, each path once.
#[derive(Default)]
pub(super) struct Items {
    items: BTreeMap<RelPath, NewItem>,
}

impl Items {
    /// Adds small bytes.
    pub(super) fn add(&mut self, path: &str, role: Role, bytes: Vec<u8>) -> Result<(), CliError> {
        let path = RelPath::new(path).map_err(|error| {
            CliError::new(Exit::Usage, format!("`{}` cannot be a path in a bundle", safe_line(path)))
                .source(&error)
        })?;
        let sha256 = crate::judge::digest(&bytes);
        let size = bytes.len() as u64;
        let item = NewItem {
            path: path.clone(),
            role,
            size,
            sha256,
            origin: Origin::Bytes(bytes),
            runs: Vec::new(),
        };
        match self.items.get(&path) {
            Some(known) if known.sha256 != sha256 => {
                Err(CliError::new(Exit::Usage, format!("two files go to `{path}` in the bundle"))
                    .hint("rename one of them"))
            }
            _ => {
                self.items.insert(path, item);
                Ok(())
            }
        }
    }

    /// Adds a blob of the store.
    fn blob(&mut self, sha256: Sha256, size: u64) -> Result<(), CliError> {
        let path = blob_path(&sha256)?;
        let (role, origin) = (Role::Blob, Origin::Blob);
        self.items.entry(path.clone()).or_insert(NewItem {
            path,
            role,
            size,
            sha256,
            origin,
            runs: Vec::new(),
        });
        Ok(())
    }

    /// Adds a document as a blob.
    fn document(&mut self, bytes: Vec<u8>) -> Result<(), CliError> {
        let path = blob_path(&crate::judge::digest(&bytes))?;
        self.add(path.as_str(), Role::Blob, bytes)
    }

    fn into_items(self) -> Vec<NewItem> {
        self.items.into_values().collect()
    }
}

fn blob_path(digest: &Sha256) -> Result<RelPath, CliError> {
    RelPath::new(&format!("blobs/sha256/{}", digest.hex())).map_err(CliError::internal)
}

fn models(
    source: &Source<'_>,
    items: &mut Items,
    listing: &mut String,
) -> Result<BTreeMap<Name, Model>, CliError> {
    let mut models = BTreeMap::new();
    for (name, pins) in &source.pinned.resolved.models {
        let artifact = ModelArtifact::new(pins);
        let digest = artifact.digest;
        let _ = writeln!(listing, "\nmodel {name}, {}", format_bytes(FilePin::total(pins)));
        items.document(artifact.manifest)?;
        items.document(artifact.config)?;
        for pin in pins {
            items.blob(pin.sha256, pin.size)?;
            // Paths are free of line breaks and of what moves a cursor.
            let _ = writeln!(listing, "blobs/sha256/{}  {}  {}", pin.sha256.hex(), pin.size, pin.path);
        }
        let named = source.pinned.manifest().models.get(name);
        let locked = source.pinned.locked(name).and_then(|locked| locked.license.clone());
        let model = Model {
            digest,
            bytes: FilePin::total(pins),
            source: named.map(|model| model.source.to_string()).unwrap_or_default(),
            license: named.and_then(|model| model.license.clone()).or(locked),
            trust: source.levels.get(name).copied().unwrap_or(TrustLevel::Digest),
        };
        models.insert(name.clone(), model);
    }
    Ok(models)
}

fn blobs_of_images(
    source: &Source<'_>,
    items: &mut Items,
    listing: &mut String,
) -> Result<BTreeMap<String, Image>, CliError> {
    let mut images = BTreeMap::new();
    for (name, image) in source.images {
        let _ = writeln!(listing, "\nimage {}, {}", safe_line(name), format_bytes(image.size()));
        for (what, part) in [("manifest", &image.manifest), ("configuration", &image.config)]
            .into_iter()
            .chain(image.layers.iter().map(|layer| ("layer", layer)))
        {
            items.blob(part.digest, part.size)?;
            let _ = writeln!(listing, "blobs/sha256/{}  {}  {what}", part.digest.hex(), part.size);
        }
        for index in &image.indexes {
            items.document(source.store.document(index)?)?;
            let _ = writeln!(listing, "blobs/sha256/{}  index of platforms", index.hex());
        }
        let bytes = image.size().saturating_add(image.manifest.size);
        let (id, manifest) = (ImageId(image.config.digest), image.manifest.digest);
        images.insert(name.clone(), Image { id, manifest, index: index_of(source, name, image), bytes });
    }
    Ok(images)
}

/// The index by which an image is known on the other side: the one that it is pinned to, else any.
fn index_of(source: &Source<'_>, name: &str, image: &StoredImage) -> Option<Sha256> {
    let locked = source.pinned.lock.as_ref().and_then(|lock| lock.images.get(name)?.index);
    let pinned = source.pinned.resolved.images.get(name).map(|image| pinned_digest(image.pin));
    let is_named = |index: &&Sha256| Some(**index) == locked || Some(**index) == pinned;
    image.indexes.iter().find(is_named).or(image.indexes.first()).copied()
}

/// `index.json` of the OCI layout that the unpacked payloads are.
fn oci_index(source: &Source<'_>) -> String {
    let models =
        source.pinned.resolved.models.values().map(|pins| json!(ModelArtifact::new(pins).descriptor()));
    let images = source.images.iter().map(|(name, image)| {
        let mut platform =
            json!({ "architecture": image.platform.architecture(), "os": image.platform.os() });
        if let (Some(variant), Some(members)) = (image.platform.variant(), platform.as_object_mut()) {
            members.insert("variant".to_owned(), variant.into());
        }
        json!({
            "mediaType": image.manifest.media_type,
            "digest": image.manifest.digest,
            "size": image.manifest.size,
            "platform": platform,
            "annotations": { "org.opencontainers.image.ref.name": name },
        })
    });
    let index = json!({
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.index.v1+json",
        "manifests": images.chain(models).collect::<Vec<_>>(),
    });
    format!("{index}\n")
}

/// What all images run on.
fn platform(source: &Source<'_>) -> Result<Platform, CliError> {
    let mut images = source.images.iter();
    let Some((first, image)) = images.next() else { return Ok(Platform::host()) };
    match images.find(|(_, other)| other.platform != image.platform) {
        None => Ok(image.platform.clone()),
        Some((name, other)) => Err(CliError::new(
            Exit::Resources,
            format!(
                "image {} is for {}, image {} for {}: a bundle is for one platform",
                safe_line(first),
                image.platform,
                safe_line(name),
                other.platform
            ),
        )
        .hint("give the images the same `platform` in the manifest, and run sovai lock")),
    }
}

/// A file that a person or the manifest names, whole.
fn read(path: &Path, what: &str) -> Result<Vec<u8>, CliError> {
    /// Largest file beside models and images: passports of many files are the largest.
    const MOST: usize = 64 << 20;
    let bytes = crate::input::read_bounded(path, MOST, what)?;
    if bytes.len() > MOST {
        let shown = safe_line(&path.display().to_string());
        return Err(CliError::new(Exit::Usage, format!("{what} {shown} has more than {MOST} bytes")));
    }
    Ok(bytes)
}
