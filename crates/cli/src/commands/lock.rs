//! `sovai lock`: resolves `file:` sources and local images to sizes and digests, into the lock beside the manifest.

mod compare;

use crate::args::LockArgs;
use crate::ctx::Ctx;
use crate::error::{CliError, as_data};
use crate::exit::Exit;
use crate::findings;
use crate::manifest::{ManifestFile, count};
use crate::output::{Outcome, hint_line, safe_line, style};
use compare::Change;
use serde::Serialize;
use serde_json::Value;
use sovai_core::{FilePin, Name, format_bytes};
use sovai_deployer::docker::Docker;
use sovai_deployer::engine::ContainerEngine as _;
use sovai_manifest::{Image, Lock, LockedFile, LockedImage, LockedModel, Source};
use sovai_verifier::{Finding, Options, Reread};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

/// Permission bits of a lock: as public as its manifest.
const MODE: u32 = 0o644;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Body<'a> {
    manifest: String,
    lock: String,
    stack: &'a Name,
    /// `written`, `unchanged`, `current` or `changed` (both by `--check`), `refused`.
    state: &'static str,
    models: Vec<ModelBody<'a>>,
    images: Vec<ImageBody<'a>>,
}

#[derive(Serialize)]
struct ModelBody<'a> {
    name: &'a Name,
    files: usize,
    bytes: u64,
}

#[derive(Serialize)]
struct ImageBody<'a> {
    name: &'a str,
    id: String,
    platform: &'a str,
}

/// Runs the command.
pub(crate) fn run(args: &LockArgs, ctx: &Ctx) -> Result<Exit, CliError> {
    let file = ManifestFile::load(&args.manifest, ctx.out)?;
    let lock_path = file.lock_path()?;
    refuse_remote(&file)?;
    // What is no lock is not overwritten: it may be somebody's work.
    let old = file.lock()?;
    let (models, mismatches) = hash_models(&file, args, ctx)?;
    if !mismatches.is_empty() {
        return refuse(&file, &lock_path, &mismatches, ctx);
    }
    let images = look_up_images(&file, ctx)?;
    let lock = Lock { models, images };
    let text = lock.to_yaml();
    if args.check {
        let changes = compare::compare(old.as_ref(), &lock);
        return finish_check(&file, &lock_path, &lock, &changes, ctx);
    }
    let unchanged = fs_err::read(&lock_path).is_ok_and(|old| old == text.as_bytes());
    if !unchanged {
        sovai_store::atomic::write(&lock_path, text.as_bytes(), MODE).map_err(|error| {
            CliError::new(Exit::Resources, format!("lock {} cannot be written", shown(&lock_path)))
                .source(&error)
        })?;
    }
    let state = if unchanged { "unchanged" } else { "written" };
    let mut text = String::new();
    if old.is_some() {
        for change in compare::compare(old.as_ref(), &lock) {
            // A new lock vouches for other bytes than the old one: that is never said in passing.
            ctx.out.warn(&change.text());
        }
    }
    for (name, model) in &lock.models {
        let bytes: u64 = model.files.iter().map(|file| file.size).sum();
        let _ = writeln!(text, "model {name}: {}, {}", count(model.files.len(), "file"), format_bytes(bytes));
    }
    for (name, image) in &lock.images {
        let _ =
            writeln!(text, "image {}: {} ({})", safe_line(name), image.config, safe_line(&image.platform));
    }
    let _ = writeln!(text, "{state}: {}", shown(&lock_path));
    finish(&file, &lock_path, &lock, state, Exit::Done, Vec::new(), text, ctx)
}

fn shown(path: &Path) -> String {
    safe_line(&path.display().to_string())
}

/// Names every model whose source cannot be read yet.
fn refuse_remote(file: &ManifestFile) -> Result<(), CliError> {
    let mut remote = file
        .manifest
        .models
        .iter()
        .filter(|(_, model)| matches!(model.source, Source::Remote { .. }))
        .filter_map(|(name, _)| file.local_source(name).err());
    let Some(first) = remote.next() else { return Ok(()) };
    Err(remote.fold(first, |error, more| error.cause(format!("also {}", more.message()))))
}

/// Hashes every source. Files that the manifest pins are compared with it; what differs is given back per model.
#[expect(clippy::type_complexity, reason = "two maps, used once")]
fn hash_models(
    file: &ManifestFile,
    args: &LockArgs,
    ctx: &Ctx,
) -> Result<(BTreeMap<Name, LockedModel>, BTreeMap<Name, Vec<Finding>>), CliError> {
    let options = Options {
        cancel: ctx.interrupt()?.cancel(),
        // A lock is made of the bytes that are there now.
        reread: Reread::Full,
        ..Options::new(ctx.threads(args.threads))
    };
    let reporter = ctx.reporter();
    let (mut models, mut mismatches) = (BTreeMap::new(), BTreeMap::new());
    for (name, model) in &file.manifest.models {
        let source = file.local_source(name)?;
        let files: Vec<FilePin> = if model.files.is_empty() {
            sovai_verifier::digest_source(&source, &options, &*reporter)?
        } else {
            let report = sovai_verifier::verify(&source, &model.files, &options, None, &*reporter)?;
            if !report.findings.is_empty() {
                mismatches.insert(name.clone(), report.findings);
                continue;
            }
            model.files.clone()
        };
        let origin = model.source.to_string();
        let files = files
            .into_iter()
            .map(|pin| LockedFile {
                path: pin.path,
                size: pin.size,
                sha256: pin.sha256,
                source: origin.clone(),
            })
            .collect();
        let locked = LockedModel {
            revision: model.revision.clone(),
            license: model.license.clone(),
            license_files: Vec::new(),
            files,
        };
        models.insert(name.clone(), locked);
    }
    Ok((models, mismatches))
}

/// Asks the engine for the IDs of the images that the manifest does not pin; not asked at all when it pins every one.
fn look_up_images(file: &ManifestFile, ctx: &Ctx) -> Result<BTreeMap<String, LockedImage>, CliError> {
    let wanted: BTreeMap<&str, &Image> = file
        .manifest
        .services
        .values()
        .map(|service| &service.image)
        .filter(|image| image.pin.is_none())
        .map(|image| (image.name.as_str(), image))
        .collect();
    if wanted.is_empty() {
        return Ok(BTreeMap::new());
    }
    let interrupt = ctx.interrupt()?;
    ctx.block_on(async {
        tokio::select! {
            found = ask_engine(&wanted, &ctx.settings.host) => found,
            () = interrupt.wait() => Err(crate::signals::interrupted()),
        }
    })?
}

async fn ask_engine(
    wanted: &BTreeMap<&str, &Image>,
    host: &str,
) -> Result<BTreeMap<String, LockedImage>, CliError> {
    let engine = Docker::connect(Some(host)).await?;
    let mut found = BTreeMap::new();
    let mut missing = Vec::new();
    for (name, image) in wanted {
        let Some(info) = engine.image(name).await? else {
            missing.push(safe_line(name));
            continue;
        };
        let platform = format!("{}/{}", info.os, info.arch);
        if let Some(wanted) = image.platform.as_ref().filter(|wanted| **wanted != platform) {
            return Err(CliError::new(
                Exit::Resources,
                format!(
                    "image {}: expected platform {wanted}, found {}",
                    safe_line(name),
                    safe_line(&platform)
                ),
            )
            .hint("build or load the image for that platform, or change `platform` in the manifest"));
        }
        let manifest = info.repo_digests.iter().find_map(|reference| {
            let (repository, digest) = reference.split_once('@')?;
            name.starts_with(repository).then(|| digest.parse().ok())?
        });
        found.insert((*name).to_owned(), LockedImage { platform, index: None, manifest, config: info.id });
    }
    if missing.is_empty() {
        return Ok(found);
    }
    let (noun, verb) = if missing.len() == 1 { ("image", "is") } else { ("images", "are") };
    Err(CliError::new(
        Exit::Unreachable,
        format!("{noun} {} {verb} not in the container engine at {}", missing.join(", "), safe_line(host)),
    )
    .hint("build or load it there first; sovai never pulls an image by itself"))
}

fn finish_check(
    file: &ManifestFile,
    lock_path: &Path,
    lock: &Lock,
    changes: &[Change],
    ctx: &Ctx,
) -> Result<Exit, CliError> {
    let mut text = String::new();
    for change in changes {
        let _ = writeln!(text, "{}", change.text());
    }
    let (state, exit) = if changes.is_empty() { ("current", Exit::Done) } else { ("changed", Exit::Drift) };
    if changes.is_empty() {
        let _ = writeln!(text, "current: {}", shown(lock_path));
    } else {
        let _ = writeln!(text, "changed: {} in {}", count(changes.len(), "difference"), shown(lock_path));
    }
    let findings = changes.iter().filter_map(|change| serde_json::to_value(change).ok()).collect();
    finish(file, lock_path, lock, state, exit, findings, text, ctx)
}

/// The manifest pins something else than the source has: no lock is written.
fn refuse(
    file: &ManifestFile,
    lock_path: &Path,
    mismatches: &BTreeMap<Name, Vec<Finding>>,
    ctx: &Ctx,
) -> Result<Exit, CliError> {
    let mut text = String::new();
    let mut data = Vec::new();
    for (name, found) in mismatches {
        let _ = writeln!(text, "model {name}: {}FAILED{}", style::ERROR, style::RESET);
        text.push_str(&findings::text(found));
        data.extend(findings::of_model(name, as_data(found)));
    }
    let _ = writeln!(text, "\nrefused: the source is not what the manifest pins; the lock was not written");
    text.push_str(&hint_line("bring the pinned files again, or change `files` in the manifest"));
    let lock = Lock { models: BTreeMap::new(), images: BTreeMap::new() };
    finish(file, lock_path, &lock, "refused", Exit::Mismatch, data, text, ctx)
}

#[expect(clippy::too_many_arguments, reason = "the one place where all parts of the result meet")]
fn finish(
    file: &ManifestFile,
    lock_path: &Path,
    lock: &Lock,
    state: &'static str,
    exit: Exit,
    findings: Vec<Value>,
    text: String,
    ctx: &Ctx,
) -> Result<Exit, CliError> {
    let models = lock.models.iter().map(|(name, model)| ModelBody {
        name,
        files: model.files.len(),
        bytes: model.files.iter().map(|file| file.size).sum(),
    });
    let images = lock.images.iter().map(|(name, image)| ImageBody {
        name,
        id: image.config.to_string(),
        platform: &image.platform,
    });
    let body = Body {
        manifest: file.path.display().to_string(),
        lock: lock_path.display().to_string(),
        stack: &file.manifest.name,
        state,
        models: models.collect(),
        images: images.collect(),
    };
    ctx.finish(Outcome { exit, findings, body, text })
}
