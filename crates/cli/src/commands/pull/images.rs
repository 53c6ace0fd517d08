//! The images of a pull: from the container engine, a registry, a layout or an archive, with unchanged digests.

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
use sovai_manifest::{Image, ImagePin, ImageSource, ResolvedImage};
use sovai_registry::ImageManifests;
use sovai_sources::{FetchOptions, Job, Wanted, fetch};
use sovai_store::{Descriptor, NewImage, StoredImage};
use std::collections::{BTreeMap, BTreeSet};

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
}

pub(super) fn pull(pull: &Pull<'_>, reporter: &dyn Reporter) -> Result<Vec<ImageBody>, CliError> {
    let named: BTreeMap<&str, &Image> = pull
        .pinned
        .manifest()
        .services
        .values()
        .map(|service| (service.image.name.as_str(), &service.image))
        .collect();
    let interrupt = pull.ctx.interrupt()?;
    let mut pulled = Vec::new();
    for (name, image) in named {
        let Some(resolved) = pull.pinned.resolved.images.get(name) else { continue };
        let work = async {
            tokio::select! {
                done = one(pull, name, image, resolved, reporter) => done,
                () = interrupt.wait() => Err(interrupted()),
            }
        };
        pulled.push(pull.ctx.block_on(work)??);
    }
    Ok(pulled)
}

/// The digest that an image is pinned to, whatever it is the digest of.
const fn pinned_digest(pin: ImagePin) -> Sha256 {
    match pin {
        ImagePin::Digest(digest) => digest,
        ImagePin::Id(id) => id.0,
    }
}

async fn one(
    pull: &Pull<'_>,
    name: &str,
    image: &Image,
    resolved: &ResolvedImage,
    reporter: &dyn Reporter,
) -> Result<ImageBody, CliError> {
    let digest = pinned_digest(resolved.pin);
    let platform = crate::net::platform(resolved.platform.as_deref().or(image.platform.as_deref()))?;
    let here = pull.store.images_by(&digest)?;
    if let Some(found) = here.into_iter().find(|found| found.platform.serves(&platform).is_some()) {
        // A name that led elsewhere leads here from now on.
        if !found.names.iter().any(|known| known == name) {
            let manifest = pull.store.document(&found.manifest.digest)?;
            let new = NewImage { name: Some(name), index: None, manifest: &manifest };
            pull.store.add_image(&pull.store.lock_unswept("sovai pull")?, &new)?;
        }
        return Ok(body(name, &found, "in the store".to_owned(), 0));
    }
    if let Some(from) = &pull.from {
        return from_repository(pull, name, resolved, from, reporter).await;
    }
    if matches!(image.source, None | Some(ImageSource::Engine))
        && let Some(found) = from_engine(pull, name, image, resolved).await?
    {
        return Ok(found);
    }
    match &image.source {
        Some(source @ (ImageSource::OciLayout { .. } | ImageSource::DockerArchive { .. })) => {
            let staged = staged(source, image, &pull.pinned.file, pull.ctx)?;
            commit(pull, name, resolved, staged, source.to_string())
        }
        Some(ImageSource::Engine) => Err(missing(pull, name, digest)),
        None | Some(ImageSource::Registry) => {
            let net = pull.net(&format!("image {} is to come from its registry", safe_line(name)))?;
            let reference = net.reference(name)?;
            let locked = pull.pinned.lock.as_ref().and_then(|lock| lock.images.get(name));
            let at = match (resolved.pin, locked.and_then(|locked| locked.manifest)) {
                (_, Some(manifest)) => reference.at_digest(manifest),
                (ImagePin::Digest(digest), None) => reference.at_digest(digest),
                // Pinned by its ID alone: the tag may lead to it.
                (ImagePin::Id(_), None) => reference,
            };
            from_registry(pull, name, resolved, &at, reporter).await
        }
    }
}

fn missing(pull: &Pull<'_>, name: &str, digest: Sha256) -> CliError {
    let host = safe_line(&pull.ctx.settings.host);
    let message = format!("image {} ({digest}) is not in the container engine at {host}", safe_line(name));
    CliError::new(Exit::Unreachable, message)
        .hint("build or load it there, or say in the manifest where it is: `source` of the image")
}

/// From the engine, if it has it; an engine that is not there has nothing, unless it was named as the source.
async fn from_engine(
    pull: &Pull<'_>,
    name: &str,
    image: &Image,
    resolved: &ResolvedImage,
) -> Result<Option<ImageBody>, CliError> {
    let engine = match Docker::connect(Some(&pull.ctx.settings.host)).await {
        Ok(engine) => engine,
        Err(error) if image.source.is_some() => return Err(error.into()),
        Err(_) => return Ok(None),
    };
    let reference = match resolved.pin {
        ImagePin::Id(id) => id.to_string(),
        ImagePin::Digest(digest) => format!("{name}@{digest}"),
    };
    let brought = bring_from_engine(&engine, &reference, pull.store).await?;
    brought
        .map(|(_, staged)| commit(pull, name, resolved, staged, "from the container engine".to_owned()))
        .transpose()
}

/// Makes a staged image one of the store, when it is the one that is pinned.
fn commit(
    pull: &Pull<'_>,
    name: &str,
    resolved: &ResolvedImage,
    staged: StagedImage,
    origin: String,
) -> Result<ImageBody, CliError> {
    let own = [Some(staged.config()), Some(staged.manifest()), staged.index()];
    // A digest of a registry is unknown to an engine's archive; that the engine had the image under it, it said itself.
    let by_engine = matches!(resolved.pin, ImagePin::Digest(_)) && origin.contains("engine");
    if !by_engine && !own.contains(&Some(pinned_digest(resolved.pin))) {
        return Err(other(name, pinned_digest(resolved.pin), staged.config(), &origin));
    }
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

/// From the repository to which `push` brought it, by the tag that it made.
async fn from_repository(
    pull: &Pull<'_>,
    name: &str,
    resolved: &ResolvedImage,
    from: &Reference,
    reporter: &dyn Reporter,
) -> Result<ImageBody, CliError> {
    let locked = pull.pinned.lock.as_ref().and_then(|lock| lock.images.get(name));
    let config = locked.map_or_else(|| pinned_digest(resolved.pin), |locked| locked.config.0);
    let tagged = from.at_tag(&super::super::push::image_tag(&config));
    let tagged = tagged.map_err(|error| CliError::wrap(Exit::Internal, &error))?;
    // What is pinned by the digest of its manifest has a configuration that nobody wrote down.
    let at = match (locked, resolved.pin) {
        (None, ImagePin::Digest(digest)) => from.at_digest(digest),
        _ => tagged,
    };
    from_registry(pull, name, resolved, &at, reporter).await
}

async fn from_registry(
    pull: &Pull<'_>,
    name: &str,
    resolved: &ResolvedImage,
    at: &Reference,
    reporter: &dyn Reporter,
) -> Result<ImageBody, CliError> {
    let net = pull.net(&format!("image {} is to come from {at}", safe_line(name)))?;
    let registry = net.registry(at)?;
    let platform = crate::net::platform(resolved.platform.as_deref())?;
    let found = registry.resolve_image(at, &platform).await?;
    let own = [
        Some(found.config.descriptor.digest),
        Some(found.manifest.descriptor.digest),
        found.index.as_ref().map(|index| index.descriptor.digest),
    ];
    let locked = pull.pinned.lock.as_ref().and_then(|lock| lock.images.get(name));
    let expected = locked.map_or_else(|| pinned_digest(resolved.pin), |locked| locked.config.0);
    if !own.contains(&Some(expected)) {
        return Err(other(name, expected, found.config.descriptor.digest, &format!("from {at}")));
    }
    let (stored, fetched) = bring(pull, name, at, &found, reporter).await?;
    Ok(body(name, &stored, format!("from {at}"), fetched))
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
    }
}
