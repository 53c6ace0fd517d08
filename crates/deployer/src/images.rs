//! Images between the store and the container engine: where a pinned one is taken from, how it is loaded, and how one of
//! the engine comes into the store.

mod stream;

use crate::engine::{ContainerEngine, EngineInfo, ImageInfo};
use crate::error::DeployError;
use sovai_core::{Event, ImageId, Platform, Reporter, Sha256, Step};
use sovai_images::{ImageError, StagedImage, Tags, Wanted, read_archive};
use sovai_manifest::ImagePin;
use sovai_store::{Store, StoredImage};
use sovai_verifier::Cancel;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// How often it is told how far a load is.
const TICK: Duration = Duration::from_millis(250);

/// Where a pinned image is to be taken from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// The container engine has it.
    Engine(Box<ImageInfo>),
    /// The engine lacks it, the store has it.
    Store(Box<StoredImage>),
    /// It is only there for other platforms.
    Elsewhere(Platform),
    /// Neither has it.
    Nowhere,
}

/// Says where an image is to be taken from. Pure.
///
/// `in_engine` is what the engine has under the pin; `stored` are the images that go by the pin in the store, each with
/// what the engine has under the ID that it would get there.
pub fn origin(
    in_engine: Option<ImageInfo>,
    stored: Vec<(StoredImage, Option<ImageInfo>)>,
    host: &Platform,
) -> Origin {
    if let Some(found) = in_engine {
        return Origin::Engine(Box::new(found));
    }
    let other = stored.first().map(|(image, _)| image.platform.clone());
    let fitting = stored
        .into_iter()
        .filter_map(|(image, found)| Some((image.platform.serves(host)?, image, found)))
        .min_by_key(|(rank, image, _)| (*rank, image.manifest.digest));
    match (fitting, other) {
        // Loaded before, from an archive: the engine knows it by its ID only.
        (Some((_, _, Some(found))), _) => Origin::Engine(Box::new(found)),
        (Some((_, image, None)), _) => Origin::Store(Box::new(image)),
        (None, Some(platform)) => Origin::Elsewhere(platform),
        (None, None) => Origin::Nowhere,
    }
}

/// Looks for an image by its pin: in the engine first, then in the store.
///
/// A registry's digest is found in the engine only where the image was pulled there: an archive brings no such digest
/// along. The store knows which ID belongs to it, by documents that hash to their names.
pub async fn look_for<E: ContainerEngine>(
    engine: &E,
    info: &EngineInfo,
    store: Option<&Store>,
    name: &str,
    pin: &ImagePin,
) -> Result<Origin, DeployError> {
    let (reference, digest) = match pin {
        ImagePin::Id(id) => (id.to_string(), id.0),
        ImagePin::Digest(digest) => (format!("{name}@{digest}"), *digest),
    };
    let in_engine = engine.image(&reference).await?;
    let mut stored = Vec::new();
    if let (None, Some(store)) = (&in_engine, store) {
        for image in store.images_by(&digest)? {
            let found = engine.image(&info.id_of(&image).to_string()).await?;
            stored.push((image, found));
        }
    }
    let host = Platform::new(&info.os, &info.arch, None).unwrap_or_else(|_| Platform::host());
    Ok(origin(in_engine, stored, &host))
}

/// An image of the store that is to be loaded into the engine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredRef {
    /// The ID that it must have in the engine.
    pub id: ImageId,
    /// Its name in the manifest.
    pub name: String,
    /// Its manifest in the store.
    pub manifest: Sha256,
}

/// Loads an image of the store into the engine, unless it is there.
///
/// It gets its name as a tag unless that stands for another image in the engine: then it is found by its ID alone. An
/// image that has another ID than the pin is removed again.
pub async fn load_from_store<E: ContainerEngine>(
    engine: &E,
    store: &Store,
    wanted: &StoredRef,
    cancel: &Cancel,
    reporter: &dyn Reporter,
) -> Result<(), DeployError> {
    let id = wanted.id.to_string();
    if engine.image(&id).await?.is_some() {
        return Ok(());
    }
    let Some(image) = store.image_by(&wanted.manifest)? else {
        return Err(DeployError::NotStored { name: wanted.name.clone(), digest: wanted.manifest });
    };
    let taken = engine.image(&wanted.name).await?.is_some();
    let tags = Tags::of((!taken).then_some(wanted.name.as_str()));
    let (total, done) = (image.size(), Arc::new(AtomicU64::new(0)));
    let (archive, writing) = stream::archive(store.clone(), image, tags, cancel.clone(), Arc::clone(&done));
    let loading = engine.load_image(archive);
    let mut loading = std::pin::pin!(loading);
    let mut ticks = tokio::time::interval(TICK);
    let loaded = loop {
        tokio::select! {
            loaded = &mut loading => break loaded,
            _ = ticks.tick() => {
                let done = done.load(Ordering::Relaxed).min(total);
                reporter.report(Event::progress(Step::LoadImage, wanted.name.as_str(), done, total));
            }
        }
    };
    match writing.await {
        _ if cancel.is_cancelled() => return Err(DeployError::Interrupted),
        // The engine hung up first: it says why.
        Ok(Ok(()) | Err(ImageError::Write(_))) => {}
        Ok(Err(error)) => return Err(DeployError::Image(error)),
        Err(_) => return Err(DeployError::Interrupted),
    }
    let loaded = loaded?;
    if engine.image(&id).await?.is_some() {
        reporter.report(Event::progress(Step::LoadImage, wanted.name.as_str(), total, total));
        return Ok(());
    }
    let mut found = None;
    for reference in loaded {
        if let Some(other) = engine.image(&reference).await? {
            found = Some(other.id);
            engine.remove_image(&reference).await?;
        }
    }
    Err(DeployError::OtherImage { name: wanted.name.clone(), expected: wanted.id, found })
}

/// Takes an image out of the engine into the store's temporary folder, checked; [`None`] when the engine lacks it. The
/// image keeps its ID.
///
/// It is looked up once, and exported by its ID: a tag may move meanwhile.
pub async fn bring_from_engine<E: ContainerEngine>(
    engine: &E,
    reference: &str,
    store: &Store,
) -> Result<Option<(ImageInfo, StagedImage)>, DeployError> {
    let Some(found) = engine.image(reference).await? else { return Ok(None) };
    let archive = engine.export_image(&found.id.to_string()).await?;
    let (reader, feeding) = stream::reader(archive);
    // The index of an engine with the containerd store may name platforms that it does not have.
    let platform = Platform::new(&found.os, &found.arch, None).ok();
    let wanted = Wanted { name: Some(found.id.to_string()), platform };
    let store = store.clone();
    let reading = tokio::task::spawn_blocking(move || read_archive(&store, reader, &wanted));
    let (staged, ()) = tokio::join!(reading, feeding);
    let staged = staged.map_err(|_| DeployError::Interrupted)?.map_err(DeployError::Image)?;
    let ids = [Some(staged.config()), Some(staged.manifest()), staged.index()];
    if !ids.contains(&Some(found.id.0)) {
        let (name, other) = (reference.to_owned(), Some(ImageId(staged.config())));
        return Err(DeployError::OtherImage { name, expected: found.id, found: other });
    }
    Ok(Some((found, staged)))
}

#[cfg(test)]
mod tests;
