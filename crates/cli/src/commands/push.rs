//! `sovai push`: models and images of a stack from the store into one repository of an OCI registry.

use super::pull::repository;
use crate::args::PushArgs;
use crate::ctx::Ctx;
use crate::error::CliError;
use crate::exit::Exit;
use crate::net::Net;
use crate::output::{Outcome, safe_line};
use crate::signals::interrupted;
use crate::stack::Pinned;
use serde::Serialize;
use sovai_core::{FilePin, Name, Reference, Sha256, format_bytes};
use sovai_manifest::{ImagePin, ResolvedImage};
use sovai_registry::{Artifact, Content, PushOptions, PushPlan, Pushed, index_artifact, push};
use sovai_store::{Descriptor, ModelArtifact, Store, StoredImage, layer_media_type};
use std::fmt::Write as _;

/// Media type of a manifest.
const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Body<'a> {
    stack: &'a Name,
    repository: String,
    tags: Vec<TagBody<'a>>,
    /// Blobs that were sent, and their bytes.
    sent: usize,
    sent_bytes: u64,
    /// Blobs that were there.
    present: usize,
    /// Blobs that the registry took from another of its repositories.
    mounted: usize,
}

#[derive(Serialize)]
struct TagBody<'a> {
    what: &'a str,
    tag: &'a str,
    digest: Sha256,
}

/// The tag of an image by the digest of its configuration.
pub(super) fn image_tag(config: &Sha256) -> String {
    format!("image-{}", config.hex())
}

/// Runs the command.
pub(crate) fn run(args: &PushArgs, ctx: &Ctx) -> Result<Exit, CliError> {
    let pinned = Pinned::load(&args.manifest, ctx)?;
    let target = repository(&args.to)?;
    let net = Net::new(&args.net, &format!("{target} is not on this host"), ctx)?;
    let store = ctx.open_store()?;
    // What is being sent is not pruned.
    let hold = store.hold("sovai push")?;
    let plan = PushPlan { target: target.clone(), artifacts: artifacts(&pinned, &store)? };
    let options = PushOptions {
        jobs: args.net.jobs.get(),
        rate: args.limit_rate.map(Into::into),
        mount_from: args.mount_from.iter().map(|text| mount_from(text, &target)).collect::<Result<_, _>>()?,
        ..PushOptions::default()
    };
    let registry = net.registry(&target)?;
    let interrupt = ctx.interrupt()?;
    let reporter = ctx.reporter();
    let pushed = ctx.block_on(async {
        tokio::select! {
            pushed = push(&registry, &store, &plan, &options, &*reporter) => pushed.map_err(CliError::from),
            () = interrupt.wait() => Err(interrupted()),
        }
    })??;
    drop((reporter, hold));
    finish(&pinned, &target, &plan, &pushed, ctx)
}

/// A repository of the same registry, by its path or its whole name.
fn mount_from(text: &str, target: &Reference) -> Result<String, CliError> {
    let rest = text.strip_prefix("oci://").or_else(|| text.strip_prefix("oci:")).unwrap_or(text);
    let reference = crate::net::parse(rest)?;
    if reference.host().is_some() && reference.host() != target.host() {
        return Err(CliError::new(
            Exit::Usage,
            format!("--mount-from {}: it is in another registry", safe_line(text)),
        )
        .hint("a registry can only take blobs from its own repositories"));
    }
    Ok(reference.path().to_owned())
}

fn artifacts(pinned: &Pinned, store: &Store) -> Result<Vec<Artifact>, CliError> {
    let mut artifacts = Vec::new();
    let mut lacking: Vec<String> = Vec::new();
    let mut hints: Vec<String> = Vec::new();
    for (name, pins) in &pinned.resolved.models {
        if pins.iter().all(|pin| store.has_blob(&pin.sha256)) {
            artifacts.push(model(pinned.name(), name, pins));
        } else {
            lacking.push(format!("model {name}"));
        }
    }
    for (name, image) in &pinned.resolved.images {
        let digest = match image.pin {
            ImagePin::Digest(digest) => digest,
            ImagePin::Id(id) => id.0,
        };
        let locked = pinned.lock.as_ref().and_then(|lock| lock.images.get(name));
        let digest = locked.map_or(digest, |locked| locked.config.0);
        if let Some(found) = stored(pinned, name, image, &digest, store)? {
            artifacts.extend(image_artifacts(name, &found, store)?);
        } else {
            lacking.push(format!("image {}", safe_line(name)));
            hints.extend(by_name_alone(name, store)?);
        }
    }
    if lacking.is_empty() {
        return Ok(artifacts);
    }
    let manifest = safe_line(&pinned.file.path.display().to_string());
    let error = CliError::new(Exit::Unreachable, format!("not in the store: {}", lacking.join(", ")))
        .hint(format!("bring it in first: sovai pull {manifest}"));
    Err(hints.into_iter().fold(error, CliError::hint))
}

/// What helps where the store has an image under the name, and nothing proves that it is the one of the pinned digest.
fn by_name_alone(name: &str, store: &Store) -> Result<Option<String>, CliError> {
    let found = store.image_entries()?.into_iter().filter_map(|(_, image)| image.ok());
    let mut found = found.filter(|image| image.names.iter().any(|known| known == name));
    Ok(found.next().map(|image| {
        let name = safe_line(name);
        format!(
            "the store has an image under the name {name} that nobody but the container engine vouches for: to use it, \
             pin it by its ID, `id: {}`",
            image.config.digest
        )
    }))
}

/// A model as its model-spec artifact; each file is a layer under its own SHA-256.
fn model(stack: &Name, name: &Name, pins: &[FilePin]) -> Artifact {
    let artifact = ModelArtifact::new(pins);
    let layer = |pin: &FilePin| Descriptor {
        media_type: layer_media_type(pin.path.file_name()).to_owned(),
        artifact_type: None,
        digest: pin.sha256,
        size: pin.size,
        annotations: std::collections::BTreeMap::new(),
    };
    Artifact {
        subject: format!("model {name}"),
        tag: format!("{stack}-{name}"),
        blobs: pins.iter().map(layer).collect(),
        contents: vec![Content::new(sovai_store::MODEL_CONFIG_TYPE, artifact.config)],
        manifests: vec![Content::new(MANIFEST, artifact.manifest)],
    }
}

/// The image of a digest that the stack's platform takes: an index leads to several.
fn stored(
    pinned: &Pinned,
    name: &str,
    image: &ResolvedImage,
    digest: &Sha256,
    store: &Store,
) -> Result<Option<StoredImage>, CliError> {
    let mut services = pinned.manifest().services.values().map(|service| &service.image);
    let own = services.find(|image| image.name == name).and_then(|image| image.platform.as_deref());
    let platform = crate::net::platform(image.platform.as_deref().or(own))?;
    let found = store.images_by(digest)?.into_iter();
    let fitting = found.filter_map(|image| Some((image.platform.serves(&platform)?, image)));
    Ok(fitting.min_by_key(|(distance, _)| *distance).map(|(_, image)| image))
}

/// An image by its ID, and the bytes of each index by which it came: a registry takes no index that names what is not there.
fn image_artifacts(name: &str, image: &StoredImage, store: &Store) -> Result<Vec<Artifact>, CliError> {
    let manifest = store.document(&image.manifest.digest)?;
    let own = Artifact {
        subject: format!("image {name}"),
        tag: image_tag(&image.config.digest),
        blobs: std::iter::once(&image.config).chain(&image.layers).cloned().collect(),
        contents: Vec::new(),
        manifests: vec![Content::new(&image.manifest.media_type, manifest)],
    };
    let index = |digest| Ok(index_artifact(format!("index of image {name}"), store.document(digest)?));
    std::iter::once(Ok(own)).chain(image.indexes.iter().map(index)).collect()
}

fn finish(
    pinned: &Pinned,
    target: &Reference,
    plan: &PushPlan,
    pushed: &Pushed,
    ctx: &Ctx,
) -> Result<Exit, CliError> {
    let tags: Vec<TagBody<'_>> = plan
        .artifacts
        .iter()
        .zip(&pushed.tags)
        .map(|(artifact, (tag, digest))| TagBody { what: &artifact.subject, tag, digest: *digest })
        .collect();
    let mut text = String::new();
    for tag in &tags {
        let _ = writeln!(text, "{}: {}:{} ({})", safe_line(tag.what), target, tag.tag, tag.digest);
    }
    let bytes = format_bytes(pushed.sent_bytes);
    let _ = writeln!(
        text,
        "pushed: {} sent ({bytes}), {} were there, {} taken from other repositories",
        crate::manifest::count(pushed.sent, "blob"),
        pushed.present,
        pushed.mounted
    );
    let manifest = safe_line(&pinned.file.path.display().to_string());
    let _ = writeln!(text, "elsewhere: sovai pull {manifest} --from oci://{target}");
    let body = Body {
        stack: pinned.name(),
        repository: target.to_string(),
        tags,
        sent: pushed.sent,
        sent_bytes: pushed.sent_bytes,
        present: pushed.present,
        mounted: pushed.mounted,
    };
    ctx.finish(Outcome { exit: Exit::Done, findings: Vec::new(), body, text })
}
