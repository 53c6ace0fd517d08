//! The images of a pull: from the container engine, a registry, a layout or an archive, with unchanged digests.

mod way;

pub(super) use way::Planned;

use super::Pull;
use crate::commands::lock::staged;
use crate::error::CliError;
use crate::exit::Exit;
use crate::output::safe_line;
use crate::signals::interrupted;
use serde::Serialize;
use sovai_core::{FilePin, Reference, RelPath, Reporter, Sha256};
use sovai_deployer::bring_from_engine;
use sovai_deployer::docker::Docker;
use sovai_images::StagedImage;
use sovai_manifest::ImageSource;
use sovai_registry::ImageManifests;
use sovai_sources::{FetchOptions, Job, Wanted, fetch};
use sovai_store::{Descriptor, NewImage, StoredImage};
use std::collections::{BTreeMap, BTreeSet};
use way::{Asked, Way, Word};

/// An image that is in the store now.
#[derive(Debug, Serialize)]
pub(super) struct ImageBody {
    pub(super) name: String,
    /// Its ID: the digest of its configuration.
    pub(super) id: Sha256,
    pub(super) manifest: Sha256,
    /// Where it came from, in words.
    pub(super) origin: String,
    /// Bytes that came over the network.
    pub(super) fetched: u64,
    /// What nobody but the container engine vouches for, in words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) warning: Option<String>,
}

/// Finds out where each image is to come from, before anything long begins.
pub(super) fn plan<'a>(pull: &Pull<'a>) -> Result<Vec<Planned<'a>>, CliError> {
    let interrupt = pull.ctx.interrupt()?;
    let work = async {
        tokio::select! {
            planned = way::plan(pull) => planned,
            () = interrupt.wait() => Err(interrupted()),
        }
    };
    pull.ctx.block_on(work)?
}

/// What all of them will take in the store, as far as it is known before they are read: layers of registries go to `blobs`
/// with their sizes, the bytes of the others are given back.
pub(super) fn needed(
    pull: &Pull<'_>,
    planned: &[Planned<'_>],
    blobs: &mut BTreeMap<Sha256, u64>,
) -> Result<u64, CliError> {
    let mut bytes = 0u64;
    for Planned { asked, way } in planned {
        let own = match way {
            Way::Here(_) => 0,
            Way::Registry(_, found) => {
                blobs.extend(found.layers.iter().map(|layer| (layer.digest, layer.size)));
                0
            }
            Way::Engine { size, .. } => *size,
            Way::Disk => asked.on_disk(pull)?,
        };
        bytes = bytes.saturating_add(own);
    }
    Ok(bytes)
}

/// Brings them into the store.
pub(super) fn pull(
    pull: &Pull<'_>,
    planned: Vec<Planned<'_>>,
    reporter: &dyn Reporter,
) -> Result<Vec<ImageBody>, CliError> {
    let interrupt = pull.ctx.interrupt()?;
    let mut pulled = Vec::new();
    for Planned { asked, way } in planned {
        let work = async {
            tokio::select! {
                done = one(pull, &asked, way, reporter) => done,
                () = interrupt.wait() => Err(interrupted()),
            }
        };
        pulled.push(pull.ctx.block_on(work)??);
    }
    Ok(pulled)
}

async fn one(
    pull: &Pull<'_>,
    asked: &Asked<'_>,
    way: Way,
    reporter: &dyn Reporter,
) -> Result<ImageBody, CliError> {
    let name = asked.name;
    match way {
        Way::Here(found) => {
            // A name that led elsewhere leads here from now on.
            if !found.names.iter().any(|known| known == name) {
                let manifest = pull.store.document(&found.manifest.digest)?;
                let new = NewImage { name: Some(name), index: None, manifest: &manifest };
                pull.store.add_image(&pull.store.lock_unswept("sovai pull")?, &new)?;
            }
            Ok(body(name, &found, "in the store".to_owned(), 0))
        }
        Way::Registry(at, found) => {
            let (stored, fetched) = bring(pull, name, &at, &found, reporter).await?;
            Ok(body(name, &stored, format!("from {at}"), fetched))
        }
        Way::Engine { reference, word, .. } => {
            let engine = Docker::connect(Some(&pull.ctx.settings.host)).await?;
            let brought = bring_from_engine(&engine, &reference, pull.store).await?;
            // Removed from the engine since it was looked up.
            let (_, staged) = brought.ok_or_else(|| missing(pull, name, asked.pinned()))?;
            of_engine(pull, asked, staged, word)
        }
        Way::Disk => {
            let Some(source) = &asked.image.source else { return Err(missing(pull, name, asked.pinned())) };
            let (staged, origin) =
                (staged(source, asked.image, &pull.pinned.file, pull.ctx)?, source.to_string());
            if !goes_by(&staged, &asked.known()) {
                return Err(other(name, asked.known(), staged.config(), &origin));
            }
            commit(pull, name, staged, origin)
        }
    }
}

fn missing(pull: &Pull<'_>, name: &str, digest: Sha256) -> CliError {
    let host = safe_line(&pull.ctx.settings.host);
    let message = format!("image {} ({digest}) is not in the container engine at {host}", safe_line(name));
    CliError::new(Exit::Unreachable, message)
        .hint("build or load it there, or say in the manifest where it is: `source` of the image")
}

/// Whether this is the digest of its configuration, its manifest, or the index by which it came.
fn goes_by(staged: &StagedImage, digest: &Sha256) -> bool {
    [Some(staged.config()), Some(staged.manifest()), staged.index()].contains(&Some(*digest))
}

/// An image that the engine gave, when it is the one that is pinned, or when nothing but the engine can say so.
fn of_engine(
    pull: &Pull<'_>,
    asked: &Asked<'_>,
    staged: StagedImage,
    word: Word,
) -> Result<ImageBody, CliError> {
    let (name, origin) = (asked.name, "from the container engine");
    // An engine with the containerd store gives the registry's own manifest along.
    let is_pinned = goes_by(&staged, &asked.pinned());
    let warning = match word {
        Word::Id(id) if !goes_by(&staged, &id.0) => {
            return Err(other(name, id.0, staged.config(), origin));
        }
        Word::Engine(why) if !is_pinned => Some(format!(
            "only the container engine says that this is {}; {why}. Pin it by its ID (`id: {}`), or pull it where its \
             registry can be asked",
            asked.pinned(),
            staged.config()
        )),
        Word::Id(_) | Word::Engine(_) => None,
    };
    Ok(ImageBody { warning, ..commit(pull, name, staged, origin.to_owned())? })
}

/// Makes a staged image one of the store.
fn commit(pull: &Pull<'_>, name: &str, staged: StagedImage, origin: String) -> Result<ImageBody, CliError> {
    let lock = pull.store.lock_unswept("sovai pull")?;
    let stored = staged.commit(pull.store, &lock, Some(name))?;
    Ok(body(name, &stored, origin, 0))
}

fn other(name: &str, expected: Sha256, found: Sha256, origin: &str) -> CliError {
    CliError::new(
        Exit::Mismatch,
        format!("image {} {}: expected {expected}, found {found}", safe_line(name), safe_line(origin)),
    )
    .hint("if that is the image you want, make the lock again with `sovai lock`")
}

/// Layers first, through the engine of downloads; then the documents, and the name.
async fn bring(
    pull: &Pull<'_>,
    name: &str,
    at: &Reference,
    found: &ImageManifests,
    reporter: &dyn Reporter,
) -> Result<(StoredImage, u64), CliError> {
    let source = pull.net("an image's layers")?.blobs(at)?;
    pull.store.put(&found.config.bytes)?;
    pull.store.put(&found.manifest.bytes)?;
    let mut seen = BTreeSet::new();
    let jobs: Vec<Job> = found
        .layers
        .iter()
        .filter(|layer| seen.insert(layer.digest))
        .map(|layer| Ok(Job { subject: name.to_owned(), wanted: wanted(layer)?, from: vec![source.clone()] }))
        .collect::<Result<_, CliError>>()?;
    let options = FetchOptions {
        connections: pull.args.net.jobs,
        limit_rate: pull.args.limit_rate,
        cancel: pull.options.cancel.clone(),
        ..FetchOptions::new(pull.options.threads)
    };
    let fetched = fetch(&jobs, pull.store, &options, reporter).await?;
    let bytes = fetched.files.iter().map(|file| file.fetched).sum();
    let index = found.index.as_ref().map(|index| index.bytes.as_slice());
    let new = NewImage { name: Some(name), index, manifest: &found.manifest.bytes };
    let lock = pull.store.lock_unswept("sovai pull")?;
    Ok((pull.store.add_image(&lock, &new)?, bytes))
}

fn wanted(layer: &Descriptor) -> Result<Wanted, CliError> {
    let path = RelPath::new(&layer.digest.hex()).map_err(|error| CliError::wrap(Exit::Internal, &error))?;
    let FilePin { path, size, sha256 } = FilePin { path, size: layer.size, sha256: layer.digest };
    Ok(Wanted { path, size: Some(size), sha256: Some(sha256), revision: None })
}

fn body(name: &str, image: &StoredImage, origin: String, fetched: u64) -> ImageBody {
    ImageBody {
        name: name.to_owned(),
        id: image.config.digest,
        manifest: image.manifest.digest,
        origin,
        fetched,
        warning: None,
    }
}

impl Asked<'_> {
    /// Bytes of an image on this disk, as its manifest or its archive has them.
    fn on_disk(&self, pull: &Pull<'_>) -> Result<u64, CliError> {
        let file = &pull.pinned.file;
        Ok(match &self.image.source {
            // One that is not there is told when it is read.
            Some(ImageSource::DockerArchive { path, .. }) => {
                fs_err::metadata(file.resolve(path)).map_or(0, |meta| meta.len())
            }
            Some(ImageSource::OciLayout { path, name }) => {
                let platform = self.image.platform.as_deref();
                let platform = platform.map(|text| crate::net::platform(Some(text))).transpose()?;
                let wanted = sovai_images::Wanted { name: name.clone(), platform };
                sovai_images::size_in_layout(pull.store, &file.resolve(path), &wanted)?
            }
            _ => 0,
        })
    }
}
