//! The files of models: hashed where they lie on this host, else as their source lists them.

use super::upstream::{self, AtLocked, Upstream};
use crate::args::LockArgs;
use crate::ctx::Ctx;
use crate::error::CliError;
use crate::manifest::ManifestFile;
use crate::net::Net;
use crate::output::safe_line;
use crate::signals::interrupted;
use sovai_core::{FilePin, Name, Reporter};
use sovai_http::Retry;
use sovai_manifest::{LicenseFile, Lock, LockedFile, LockedModel, Model, Source};
use sovai_sources::{ResolveOptions, ResolvedModel, Selection, SourceError, resolve};
use sovai_verifier::{Finding, Options, Reread};
use std::collections::BTreeMap;
use std::sync::Arc;

/// What came of looking up every model.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// The models as they are to be locked.
    pub(super) models: BTreeMap<Name, LockedModel>,
    /// Files that are not what the manifest pins.
    pub(super) mismatches: BTreeMap<Name, Vec<Finding>>,
    /// What is new at remote sources since the old lock.
    pub(super) upstream: Vec<Upstream>,
    /// What remote sources said.
    pub(super) looked_up: BTreeMap<Name, LookedUp>,
}

/// What a remote source said of a model.
#[derive(Debug)]
pub(super) struct LookedUp {
    /// The source as the manifest writes it.
    pub(super) source: Source,
    /// What it said.
    pub(super) resolved: ResolvedModel,
}

/// Looks up every model.
pub(super) fn look_up(
    file: &ManifestFile,
    old: Option<&Lock>,
    args: &LockArgs,
    ctx: &Ctx,
) -> Result<Found, CliError> {
    let options = Options {
        cancel: ctx.interrupt()?.cancel(),
        // A lock is made of the bytes that are there now.
        reread: Reread::Full,
        ..Options::new(ctx.threads(args.threads))
    };
    let reporter: Arc<dyn Reporter> = Arc::from(ctx.reporter());
    let remote = |model: &Model| matches!(model.source, Source::Remote { .. });
    // Whether it can be reached at all is said before anything is hashed.
    let net = match file.manifest.models.iter().find(|(_, model)| remote(model)) {
        Some((name, model)) => {
            let what =
                format!("model {name}: source {} is not on this host", safe_line(&model.source.to_string()));
            Some(Net::telling(&args.net, &what, ctx, &reporter)?)
        }
        None => None,
    };
    let mut found = Found::default();
    for (name, model) in &file.manifest.models {
        match &net {
            Some(net) if remote(model) => {
                let old = old.and_then(|lock| lock.models.get(name));
                from_source(name, model, old, net, ctx, &*reporter, &mut found)?;
            }
            _ => from_host(file, name, model, &options, &*reporter, &mut found)?,
        }
    }
    Ok(found)
}

/// A model on this host. Files that the manifest pins are compared with it.
fn from_host(
    file: &ManifestFile,
    name: &Name,
    model: &Model,
    options: &Options,
    reporter: &dyn Reporter,
    found: &mut Found,
) -> Result<(), CliError> {
    let source = file.local_source(name)?;
    let files: Vec<FilePin> = if model.files.is_empty() {
        sovai_verifier::digest_source(&source, options, reporter)?
    } else {
        let report = sovai_verifier::verify(&source, &model.files, options, None, reporter)?;
        if !report.findings.is_empty() {
            found.mismatches.insert(name.clone(), report.findings);
            return Ok(());
        }
        model.files.clone()
    };
    let locked = LockedModel {
        revision: model.revision.clone(),
        license: model.license.clone(),
        license_files: license_files(&files),
        files: locked_files(&model.source, &files),
    };
    found.models.insert(name.clone(), locked);
    Ok(())
}

/// A model at a remote source; what the old lock says of it is compared with what the source says now.
fn from_source(
    name: &Name,
    model: &Model,
    old: Option<&LockedModel>,
    net: &Net,
    ctx: &Ctx,
    reporter: &dyn Reporter,
    found: &mut Found,
) -> Result<(), CliError> {
    let source = net.source(&model.source)?;
    let selection = selection(model)?;
    let options = ResolveOptions { requests: net.jobs, retry: Retry::default() };
    let interrupt = ctx.interrupt()?;
    // A lock that was made for another source says nothing of this one.
    let origin = model.source.to_string();
    let old = old.filter(|old| old.files.iter().all(|file| file.source == origin));
    let (now, locked) = ctx.block_on(async {
        let work = async {
            let now = resolve(&*source, model.wanted_revision(), &selection, &options, reporter).await?;
            // A branch that went on says nothing of the commit that is locked.
            let locked = match old.and_then(|old| old.revision.as_deref()) {
                Some(revision) if now.revision.as_deref() != Some(revision) => {
                    match resolve(&*source, Some(revision), &selection, &options, reporter).await {
                        Ok(found) => AtLocked::Found(found),
                        // Branches are rewritten, and their old commits thrown away: then the lock is stale.
                        Err(SourceError::NoRevision { .. }) => AtLocked::Gone,
                        Err(error) => return Err(error.into()),
                    }
                }
                _ => AtLocked::Same,
            };
            Ok::<_, CliError>((now, locked))
        };
        tokio::select! {
            found = work => found,
            () = interrupt.wait() => Err(interrupted()),
        }
    })??;
    if let Some(old) = old {
        found.upstream.extend(upstream::compare(name, old, &now, &locked, &selection));
    }
    let mut pins = now.pins();
    if !model.files.is_empty() {
        let differing = differing(&model.files, &pins);
        if !differing.is_empty() {
            found.mismatches.insert(name.clone(), differing);
            return Ok(());
        }
        pins.clone_from(&model.files);
    }
    let license = license(name, model, now.license.as_deref(), ctx);
    let license_files = now
        .license_files
        .iter()
        .map(|file| LicenseFile { path: file.path.clone(), sha256: file.sha256 })
        .collect();
    let files = locked_files(&model.source, &pins);
    let locked = LockedModel { revision: now.revision.clone(), license, license_files, files };
    found.models.insert(name.clone(), locked);
    found.looked_up.insert(name.clone(), LookedUp { source: model.source.clone(), resolved: now });
    Ok(())
}

/// Which files are wanted: by the manifest's patterns, or just those that it pins.
fn selection(model: &Model) -> Result<Selection, CliError> {
    // The most patterns that a selection takes.
    if model.files.is_empty() || model.files.len() > 1000 {
        return Ok(Selection::new(&model.include, &model.exclude)?);
    }
    let plain = |path: &str| {
        path.chars().fold(String::new(), |mut glob, c| {
            match c {
                '*' | '?' | '[' => glob.extend(['[', c, ']']),
                c => glob.push(c),
            }
            glob
        })
    };
    let include: Vec<String> = model.files.iter().map(|pin| plain(pin.path.as_str())).collect();
    Ok(Selection::new(&include, &[])?)
}

/// Pins of the manifest that the source does not have so.
fn differing(pins: &[FilePin], found: &[FilePin]) -> Vec<Finding> {
    let by_path: BTreeMap<_, _> = found.iter().map(|pin| (&pin.path, pin)).collect();
    pins.iter()
        .filter_map(|pin| {
            let path = pin.path.to_string();
            match by_path.get(&pin.path) {
                None => Some(Finding::Missing { path }),
                Some(found) if found.size != pin.size => {
                    Some(Finding::Size { path, expected: pin.size, found: found.size })
                }
                Some(found) if found.sha256 != pin.sha256 => {
                    Some(Finding::Digest { path, expected: pin.sha256, found: found.sha256 })
                }
                Some(_) => None,
            }
        })
        .collect()
}

/// The licence that the source states, as it states it, else the manifest's. Where both speak and differ, that is said: the
/// policy sees both.
fn license(name: &Name, model: &Model, stated: Option<&str>, ctx: &Ctx) -> Option<String> {
    if let (Some(own), Some(stated)) = (&model.license, stated) {
        let known = sovai_catalog::hub_label(stated);
        if !own.eq_ignore_ascii_case(stated) && known.as_ref() != Some(own) {
            ctx.out.warn(&format!(
                "model {name}: the manifest says licence {}, its source {}",
                safe_line(own),
                safe_line(stated)
            ));
        }
    }
    stated.map(ToOwned::to_owned).or_else(|| model.license.clone())
}

/// Files of a folder that bear a licence's text, by their names.
fn license_files(files: &[FilePin]) -> Vec<LicenseFile> {
    files
        .iter()
        .filter(|file| sovai_sources::is_license_file(&file.path))
        .map(|file| LicenseFile { path: file.path.clone(), sha256: file.sha256 })
        .collect()
}

fn locked_files(source: &Source, pins: &[FilePin]) -> Vec<LockedFile> {
    let origin = source.to_string();
    pins.iter()
        .map(|pin| LockedFile {
            path: pin.path.clone(),
            size: pin.size,
            sha256: pin.sha256,
            source: origin.clone(),
        })
        .collect()
}
