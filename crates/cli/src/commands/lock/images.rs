//! The images that a manifest does not pin: looked up in the container engine, in their registry, or on disk.

use crate::args::LockArgs;
use crate::ctx::Ctx;
use crate::error::CliError;
use crate::exit::Exit;
use crate::manifest::ManifestFile;
use crate::net::{self, Net};
use crate::output::safe_line;
use sovai_core::{ImageId, Platform, Reporter};
use sovai_deployer::docker::Docker;
use sovai_deployer::engine::{ContainerEngine as _, ImageInfo};
use sovai_images::{StagedImage, Wanted};
use sovai_manifest::{Image, ImageSource, LockedImage};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

/// Images as they are to be locked, and where they were looked up.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// By their name as the manifest writes it.
    pub(super) locked: BTreeMap<String, LockedImage>,
    /// In words, by the same name; images of the container engine are not here.
    pub(super) looked_up: BTreeMap<String, String>,
}

/// Looks up the images that the manifest does not pin; nobody is asked when it pins every one.
pub(super) fn look_up(file: &ManifestFile, args: &LockArgs, ctx: &Ctx) -> Result<Found, CliError> {
    let wanted: BTreeMap<&str, &Image> = file
        .manifest
        .services
        .values()
        .map(|service| &service.image)
        .filter(|image| image.pin.is_none())
        .map(|image| (image.name.as_str(), image))
        .collect();
    if wanted.is_empty() {
        return Ok(Found::default());
    }
    let interrupt = ctx.interrupt()?;
    let work = async {
        tokio::select! {
            found = ask(&wanted, file, args, ctx) => found,
            () = interrupt.wait() => Err(crate::signals::interrupted()),
        }
    };
    ctx.block_on(work)?
}

async fn ask(
    wanted: &BTreeMap<&str, &Image>,
    file: &ManifestFile,
    args: &LockArgs,
    ctx: &Ctx,
) -> Result<Found, CliError> {
    let host = &ctx.settings.host;
    let mut found = Found::default();
    let mut missing = Vec::new();
    let asks_engine = |image: &Image| matches!(image.source, None | Some(ImageSource::Engine));
    let reporter: Arc<dyn Reporter> = Arc::from(ctx.reporter());
    let (mut engine, mut unreached) = (None, None);
    if wanted.values().any(|image| asks_engine(image)) {
        match Docker::connect(Some(host)).await {
            Ok(docker) => engine = Some(docker),
            // A registry may have the images all the same.
            Err(error) => unreached = Some(CliError::from(error)),
        }
    }
    for (name, image) in wanted {
        let mut locked = None;
        if let Some(engine) = engine.as_ref().filter(|_| asks_engine(image))
            && let Some(info) = engine.image(name).await?
        {
            locked = Some(of_engine(name, image, &info)?);
        }
        if locked.is_none() {
            match &image.source {
                Some(ImageSource::Engine) => {}
                None if !may_ask_registry(name, args, ctx) => {}
                None | Some(ImageSource::Registry) => {
                    let what = format!("image {} is to be looked up in its registry", safe_line(name));
                    let net = Net::telling(&args.net, &what, ctx, &reporter)?;
                    let (image, place) = of_registry(name, image, &net).await?;
                    found.looked_up.insert((*name).to_owned(), place);
                    locked = Some(image);
                }
                Some(source @ (ImageSource::OciLayout { .. } | ImageSource::DockerArchive { .. })) => {
                    let staged = staged(source, image, file, ctx)?;
                    locked = Some(LockedImage {
                        platform: plain(staged.platform()),
                        index: staged.index(),
                        manifest: Some(staged.manifest()),
                        config: ImageId(staged.config()),
                    });
                    found.looked_up.insert((*name).to_owned(), source.to_string());
                }
            }
        }
        match locked {
            Some(locked) => {
                found.locked.insert((*name).to_owned(), locked);
            }
            None => missing.push(safe_line(name)),
        }
    }
    match (missing.is_empty(), unreached) {
        (true, _) => Ok(found),
        (false, Some(error)) => Err(error),
        (false, None) => {
            let (noun, verb) = if missing.len() == 1 { ("image", "is") } else { ("images", "are") };
            let names = missing.join(", ");
            let message = format!("{noun} {names} {verb} not in the container engine at {}", safe_line(host));
            Err(CliError::new(Exit::Unreachable, message).hint(
                "build or load it there first, or name its registry: in front of its name, or with --registry HOST",
            ))
        }
    }
}

/// Whether an image that the engine lacks has a registry that may be asked.
fn may_ask_registry(name: &str, args: &LockArgs, ctx: &Ctx) -> bool {
    let has_host = net::parse(name).is_ok_and(|reference| reference.host().is_some());
    !ctx.settings.offline && (has_host || args.net.registry.is_some() || ctx.settings.registry.is_some())
}

fn of_engine(name: &str, image: &Image, info: &ImageInfo) -> Result<LockedImage, CliError> {
    let platform = format!("{}/{}", info.os, info.arch);
    if let Some(wanted) = image.platform.as_ref().filter(|wanted| **wanted != platform) {
        return Err(CliError::new(
            Exit::Resources,
            format!("image {}: expected platform {wanted}, found {}", safe_line(name), safe_line(&platform)),
        )
        .hint("build or load the image for that platform, or change `platform` in the manifest"));
    }
    let manifest = info.repo_digests.iter().find_map(|reference| {
        let (repository, digest) = reference.split_once('@')?;
        name.starts_with(repository).then(|| digest.parse().ok())?
    });
    Ok(LockedImage { platform, index: None, manifest, config: info.id })
}

async fn of_registry(name: &str, image: &Image, net: &Net) -> Result<(LockedImage, String), CliError> {
    let reference = net.reference(name)?;
    let registry = net.registry(&reference)?;
    let wanted = net::platform(image.platform.as_deref())?;
    let found = registry.resolve_image(&reference, &wanted).await?;
    let locked = LockedImage {
        platform: plain(&found.platform),
        index: found.index.as_ref().map(|index| index.descriptor.digest),
        manifest: Some(found.manifest.descriptor.digest),
        config: ImageId(found.config.descriptor.digest),
    };
    Ok((locked, format!("registry {}", registry.host())))
}

/// A platform as the lock writes it: without its variant.
fn plain(platform: &Platform) -> String {
    format!("{}/{}", platform.os(), platform.architecture())
}

/// Reads an image of a layout or an archive into the store's temporary folder. What is dropped leaves nothing there.
pub(crate) fn staged(
    source: &ImageSource,
    image: &Image,
    file: &ManifestFile,
    ctx: &Ctx,
) -> Result<StagedImage, CliError> {
    let platform = image.platform.as_deref().map(|text| net::platform(Some(text))).transpose()?;
    let store = ctx.open_store()?;
    let wanted = |name: &Option<String>| Wanted { name: name.clone(), platform: platform.clone() };
    match source {
        ImageSource::OciLayout { path, name } => {
            Ok(sovai_images::read_layout(&store, &file.resolve(path), &wanted(name))?)
        }
        ImageSource::DockerArchive { path, name } => {
            let archive = open(&file.resolve(path))?;
            Ok(sovai_images::read_archive(&store, archive, &wanted(name))?)
        }
        other => Err(CliError::new(Exit::Internal, format!("{other} is not on this disk"))),
    }
}

fn open(path: &Path) -> Result<std::fs::File, CliError> {
    let shown = safe_line(&path.display().to_string());
    if !path.is_file() {
        return Err(CliError::new(Exit::Unreachable, format!("the docker archive {shown} is not there"))
            .hint("a relative path starts at the manifest's folder"));
    }
    let file = fs_err::File::open(path).map_err(|error| {
        CliError::new(Exit::Unreachable, format!("the docker archive {shown} cannot be read")).source(&error)
    })?;
    Ok(file.into_parts().0)
}
