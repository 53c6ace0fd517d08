//! Where each image of a pull is to come from, found out before anything long begins: a registry is asked for documents only.

use super::{Pull, missing, other};
use crate::commands::pull::not_in;
use crate::error::CliError;
use crate::exit::Exit;
use crate::output::safe_line;
use sovai_core::{ImageId, Platform, Reference, Sha256};
use sovai_deployer::docker::Docker;
use sovai_deployer::engine::ContainerEngine as _;
use sovai_http::Retry;
use sovai_manifest::{Image, ImagePin, ImageSource, LockedImage, ResolvedImage};
use sovai_registry::{ImageManifests, RegistryError};
use sovai_store::StoredImage;
use std::collections::BTreeMap;

/// An image of the manifest with its pin.
#[derive(Clone, Copy)]
pub(super) struct Asked<'a> {
    pub(super) name: &'a str,
    pub(super) image: &'a Image,
    pub(super) resolved: &'a ResolvedImage,
    /// Its entry in the lock.
    pub(super) locked: Option<&'a LockedImage>,
}

/// Where an image is to come from.
pub(super) enum Way {
    /// The store has it.
    Here(Box<StoredImage>),
    /// A registry, at this reference; the documents are here already.
    Registry(Reference, Box<ImageManifests>),
    /// The container engine, by this reference.
    Engine {
        reference: String,
        /// Bytes of its layers, as the engine says.
        size: u64,
        word: Word,
    },
    /// A layout or an archive.
    Disk,
}

/// What proves that the engine's image is the one that is pinned. An archive of the engine has its ID, and not the digest
/// that a registry has for it.
#[derive(Clone, PartialEq, Eq)]
pub(super) enum Word {
    /// It must have this ID, which is pinned, or which the documents of the registry name.
    Id(ImageId),
    /// Only what the engine says, and why nobody else could be asked.
    Engine(String),
}

/// An image and its way.
pub(crate) struct Planned<'a> {
    pub(super) asked: Asked<'a>,
    pub(super) way: Way,
}

/// The way of each image of the manifest.
pub(super) async fn plan<'a>(pull: &Pull<'a>) -> Result<Vec<Planned<'a>>, CliError> {
    let services = pull.pinned.manifest().services.values();
    let named: BTreeMap<&str, &Image> =
        services.map(|service| (service.image.name.as_str(), &service.image)).collect();
    let mut planned = Vec::new();
    for (name, image) in named {
        let Some(resolved) = pull.pinned.resolved.images.get(name) else { continue };
        let locked = pull.pinned.lock.as_ref().and_then(|lock| lock.images.get(name));
        let asked = Asked { name, image, resolved, locked };
        planned.push(Planned { asked, way: asked.way(pull).await? });
    }
    Ok(planned)
}

impl Asked<'_> {
    /// The digest that it is pinned to, whatever it is the digest of.
    pub(super) const fn pinned(&self) -> Sha256 {
        match self.resolved.pin {
            ImagePin::Digest(digest) => digest,
            ImagePin::Id(id) => id.0,
        }
    }

    /// The digest by which it is known for certain: the ID that the lock names, else the pin.
    pub(super) fn known(&self) -> Sha256 {
        self.locked.map_or_else(|| self.pinned(), |locked| locked.config.0)
    }

    /// What it is to run on.
    pub(super) fn platform(&self) -> Result<Platform, CliError> {
        crate::net::platform(self.resolved.platform.as_deref().or(self.image.platform.as_deref()))
    }

    async fn way(self, pull: &Pull<'_>) -> Result<Way, CliError> {
        let platform = self.platform()?;
        let here = pull.store.images_by(&self.known())?;
        if let Some(found) = here.into_iter().find(|found| found.platform.serves(&platform).is_some()) {
            return Ok(Way::Here(Box::new(found)));
        }
        if let Some(from) = &pull.from {
            return self.in_repository(pull, from, &platform).await;
        }
        match &self.image.source {
            Some(ImageSource::OciLayout { .. } | ImageSource::DockerArchive { .. }) => Ok(Way::Disk),
            Some(ImageSource::Registry) => self.in_registry(pull, &platform).await,
            Some(ImageSource::Engine) => {
                let word = match self.need_to_ask() {
                    None => self.id(),
                    Some(digest) => match self.ask(pull, digest, &platform).await? {
                        Ok((_, found)) => Word::Id(ImageId(found.config.descriptor.digest)),
                        Err(why) => Word::Engine(why),
                    },
                };
                let found = self.in_engine(pull, word).await?;
                found.ok_or_else(|| missing(pull, self.name, self.pinned()))
            }
            None => match self.need_to_ask() {
                None => match self.in_engine(pull, self.id()).await? {
                    Some(found) => Ok(found),
                    None => self.in_registry(pull, &platform).await,
                },
                Some(digest) => match self.ask(pull, digest, &platform).await? {
                    Ok((at, found)) => Ok(Way::Registry(at, Box::new(found))),
                    Err(why) => match self.in_engine(pull, Word::Engine(why)).await? {
                        Some(found) => Ok(found),
                        None => self.in_registry(pull, &platform).await,
                    },
                },
            },
        }
    }

    /// A registry's digest whose image nothing else names: then the engine's copy is what the engine says it is.
    const fn need_to_ask(&self) -> Option<Sha256> {
        match (self.resolved.pin, self.locked) {
            (ImagePin::Digest(digest), None) => Some(digest),
            _ => None,
        }
    }

    fn id(&self) -> Word {
        Word::Id(ImageId(self.known()))
    }

    /// Asks the registry once what a digest stands for; or says why it could not be asked. Bytes that are not those of the
    /// digest are an error all the same.
    async fn ask(
        &self,
        pull: &Pull<'_>,
        digest: Sha256,
        platform: &Platform,
    ) -> Result<Result<(Reference, ImageManifests), String>, CliError> {
        if pull.ctx.settings.offline {
            return Ok(Err("this run is offline".to_owned()));
        }
        let net = pull.net("an image is to be looked up in its registry")?;
        let Ok(reference) = net.reference(self.name) else {
            return Ok(Err("its name begins with no registry, and none is set".to_owned()));
        };
        let at = reference.at_digest(digest);
        let registry = net.registry(&at)?.with_retry(Retry::ONCE);
        match registry.resolve_image(&at, platform).await {
            Ok(found) => Ok(Ok((at, found))),
            Err(error @ (RegistryError::Mismatch { .. } | RegistryError::Platform { .. })) => {
                Err(error.into())
            }
            Err(error) => Ok(Err(format!("its registry could not be asked ({})", chain(&error)))),
        }
    }

    /// In the engine, if it has it; an engine that is not there has nothing, unless it was named as the source.
    async fn in_engine(&self, pull: &Pull<'_>, word: Word) -> Result<Option<Way>, CliError> {
        let engine = match Docker::connect(Some(&pull.ctx.settings.host)).await {
            Ok(engine) => engine,
            Err(error) if self.image.source.is_some() => return Err(error.into()),
            Err(_) => return Ok(None),
        };
        let reference = match self.resolved.pin {
            ImagePin::Id(id) => id.to_string(),
            ImagePin::Digest(digest) => format!("{}@{digest}", self.name),
        };
        let found = engine.image(&reference).await.map_err(CliError::from)?;
        Ok(found.map(|info| Way::Engine { reference, size: info.size, word }))
    }

    /// In the registry that its name begins with, or that the settings name.
    async fn in_registry(&self, pull: &Pull<'_>, platform: &Platform) -> Result<Way, CliError> {
        let net = pull.net(&format!("image {} is to come from its registry", safe_line(self.name)))?;
        let reference = net.reference(self.name)?;
        let at = match (self.resolved.pin, self.locked.and_then(|locked| locked.manifest)) {
            (_, Some(manifest)) => reference.at_digest(manifest),
            (ImagePin::Digest(digest), None) => reference.at_digest(digest),
            // Pinned by its ID alone: the tag may lead to it.
            (ImagePin::Id(_), None) => reference,
        };
        let found = net.registry(&at)?.resolve_image(&at, platform).await?;
        self.checked(at, found)
    }

    /// In the repository to which `push` brought it. What is pinned by a registry's digest has an ID that nobody wrote down:
    /// it is looked for by that digest, as a manifest, and as an index that is kept beside it.
    async fn in_repository(
        &self,
        pull: &Pull<'_>,
        from: &Reference,
        platform: &Platform,
    ) -> Result<Way, CliError> {
        let net = pull.net(&format!("image {} is to come from {from}", safe_line(self.name)))?;
        let registry = net.registry(from)?;
        let what = format!("image {}", safe_line(self.name));
        let absent = |error: RegistryError| match error {
            RegistryError::NotFound { .. } | RegistryError::Refused { .. } => {
                not_in(pull, &what, from, &error.to_string())
            }
            error => error.into(),
        };
        if let Some(digest) = self.need_to_ask() {
            let at = from.at_digest(digest);
            let found = match registry.resolve_image(&at, platform).await {
                Err(RegistryError::NotFound { .. }) => {
                    // By the index that `push` put there as it is.
                    match registry.resolve_pushed_index(from, &digest, platform).await {
                        Err(RegistryError::NotFound { .. }) => {
                            let why = format!(
                                "it has neither a manifest {digest} nor what belongs to an index of that digest for {platform}"
                            );
                            return Err(not_in(pull, &what, from, &why));
                        }
                        found => found,
                    }
                }
                found => found,
            };
            return self.checked(at, found.map_err(absent)?);
        }
        let tag = crate::commands::push::image_tag(&self.known());
        let at = from.at_tag(&tag).map_err(|error| CliError::wrap(Exit::Internal, &error))?;
        let found = registry.resolve_image(&at, platform).await.map_err(absent)?;
        self.checked(at, found)
    }

    /// What a registry gave, when it is what is pinned.
    fn checked(&self, at: Reference, found: ImageManifests) -> Result<Way, CliError> {
        let own = [
            Some(found.config.descriptor.digest),
            Some(found.manifest.descriptor.digest),
            found.index.as_ref().map(|index| index.descriptor.digest),
        ];
        if own.contains(&Some(self.known())) {
            return Ok(Way::Registry(at, Box::new(found)));
        }
        Err(other(self.name, self.known(), found.config.descriptor.digest, &format!("from {at}")))
    }
}

/// An error and its causes in one line.
fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |cause| cause.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}
