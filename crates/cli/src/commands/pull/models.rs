//! The models of a pull: those on this host are admitted as `deploy` does it, others are fetched first.

use super::{Models, Pull, not_in};
use crate::error::CliError;
use crate::findings;
use crate::output::safe_line;
use sovai_core::{FilePin, Name, Reporter};
use sovai_manifest::Source;
use sovai_sources::{FetchOptions, Job, SourceError, Wanted, fetch};
use sovai_store::ModelArtifact;
use sovai_verifier::VerifyError;
use std::sync::Arc;

pub(super) fn pull(pull: &Pull<'_>, reporter: &dyn Reporter) -> Result<Models, CliError> {
    let mut models = Models::default();
    let wanted: Vec<(&Name, &Vec<FilePin>)> = pull
        .pinned
        .resolved
        .models
        .iter()
        .filter(|(name, _)| pull.args.model.is_empty() || pull.args.model.contains(name))
        .collect();
    let (mut remote, mut jobs) = (Vec::new(), Vec::new());
    for (name, pins) in wanted {
        if !pull.pinned.is_remote(name) && !comes_from_elsewhere(pull, name)? {
            admit_local(pull, name, pins, reporter, &mut models)?;
            continue;
        }
        // The small documents lead a later prune to what a pull that was cut off has got.
        let artifact = ModelArtifact::new(pins);
        pull.store.put(&artifact.config)?;
        pull.store.put(&artifact.manifest)?;
        jobs.extend(jobs_of(pull, name, pins)?);
        remote.push((name, pins));
    }
    let options = FetchOptions {
        connections: pull.args.net.jobs,
        limit_rate: pull.args.limit_rate,
        by_speed: pull.args.by_speed,
        cancel: pull.options.cancel.clone(),
        ..FetchOptions::new(pull.options.threads)
    };
    let fetched = pull.ctx.block_on(fetch(&jobs, pull.store, &options, reporter))?;
    let fetched = fetched.map_err(|error| failed(pull, &remote, error))?;
    let mut files = fetched.files.into_iter();
    for (name, pins) in remote {
        models.fetched.insert(name.clone(), files.by_ref().take(pins.len()).collect());
        let admission = sovai_verifier::admit_stored(name, pins, pull.store, pull.options, reporter)?;
        match admission.receipt {
            Some(receipt) => drop(models.receipts.insert(name.clone(), receipt)),
            None => drop(models.found.insert(name.clone(), admission.report.findings)),
        }
    }
    Ok(models)
}

/// Why the files did not come; of a repository that lacks them, what is to be done about it.
fn failed(pull: &Pull<'_>, remote: &[(&Name, &Vec<FilePin>)], error: SourceError) -> CliError {
    let (Some(from), SourceError::Refused { reason, .. }) = (&pull.from, &error) else { return error.into() };
    let lacking =
        |(_, pins): &&(&Name, &Vec<FilePin>)| !pins.iter().all(|pin| pull.store.has_blob(&pin.sha256));
    match remote.iter().find(lacking) {
        Some((name, _)) => not_in(pull, &format!("model {name}"), from, reason),
        None => error.into(),
    }
}

/// Whether a model of a `file:` source that is not there is to come from the repository of `--from`.
fn comes_from_elsewhere(pull: &Pull<'_>, name: &Name) -> Result<bool, CliError> {
    Ok(pull.from.is_some() && !pull.pinned.file.local_source(name)?.exists())
}

fn admit_local(
    pull: &Pull<'_>,
    name: &Name,
    pins: &[FilePin],
    reporter: &dyn Reporter,
    models: &mut Models,
) -> Result<(), CliError> {
    let source = pull.pinned.file.local_source(name)?;
    let admission = sovai_verifier::admit(name, &source, pins, pull.store, pull.options, reporter);
    let found = match (admission, findings::missing_single(&source, pins)) {
        (Err(VerifyError::Unfit { findings, .. }), _) => findings,
        (Err(VerifyError::SourceMissing { .. }), Some(missing)) => vec![missing],
        (admission, _) => {
            let admission = admission?;
            if let Some(receipt) = admission.receipt {
                models.receipts.insert(name.clone(), receipt);
                return Ok(());
            }
            admission.report.findings
        }
    };
    models.found.insert(name.clone(), found);
    Ok(())
}

/// One job for each file. A blob that is there may turn out damaged: so its sources are named, where they can be; where not
/// (`--offline`), a model that is all there needs none.
fn jobs_of(pull: &Pull<'_>, name: &Name, pins: &[FilePin]) -> Result<Vec<Job>, CliError> {
    let is_here = pins.iter().all(|pin| pull.store.has_blob(&pin.sha256));
    let from = match sources(pull, name) {
        Err(_) if is_here => Vec::new(),
        found => found?,
    };
    let locked = pull.pinned.locked(name);
    let revision = locked.and_then(|locked| locked.revision.clone());
    let revision = revision.or_else(|| {
        let model = pull.pinned.manifest().models.get(name)?;
        model.wanted_revision().map(ToOwned::to_owned)
    });
    let job = |pin: &FilePin| Job {
        subject: format!("{name}/{}", pin.path),
        wanted: Wanted {
            path: pin.path.clone(),
            size: Some(pin.size),
            sha256: Some(pin.sha256),
            revision: revision.clone(),
        },
        from: from.clone(),
    };
    Ok(pins.iter().map(job).collect())
}

/// The source and its mirrors; with `--from` that repository alone.
fn sources(pull: &Pull<'_>, name: &Name) -> Result<Vec<Arc<dyn sovai_sources::Source>>, CliError> {
    let Some(model) = pull.pinned.manifest().models.get(name) else { return Ok(Vec::new()) };
    let source = model.source.to_string();
    let net = pull.net(&format!("model {name}: source {} is not on this host", safe_line(&source)))?;
    if let Some(from) = &pull.from {
        return Ok(vec![net.blobs(from)?]);
    }
    [&model.source]
        .into_iter()
        .chain(&model.mirrors)
        .map(|source| match source {
            Source::File(path) => net.folder(&pull.pinned.file.resolve(path)),
            remote @ Source::Remote { .. } => net.source(remote),
        })
        .collect()
}
