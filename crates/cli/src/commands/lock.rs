//! `sovai lock`: resolves sources and images to sizes and digests, into the lock beside the manifest.

mod compare;
mod evidence;
mod images;
mod models;
mod upstream;

use super::record::Recorder;
use crate::args::LockArgs;
use crate::ctx::Ctx;
use crate::error::{CliError, as_data};
use crate::exit::Exit;
use crate::findings;
use crate::manifest::{ManifestFile, count};
use crate::output::{Outcome, hint_line, safe_line, style};
use compare::Change;
pub(crate) use images::staged;
use serde::Serialize;
use serde_json::Value;
use sovai_core::{Name, format_bytes};
use sovai_manifest::Lock;
use sovai_verifier::Finding;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;
use upstream::Upstream;

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
    /// The commit, or the digest of a manifest in a registry.
    #[serde(skip_serializing_if = "Option::is_none")]
    revision: Option<&'a str>,
}

#[derive(Serialize)]
struct ImageBody<'a> {
    name: &'a str,
    id: String,
    platform: &'a str,
}

/// Runs the command.
pub(crate) fn run(args: &LockArgs, ctx: &Ctx) -> Result<Exit, CliError> {
    let mut recorder = Recorder::new("lock");
    let result = work(args, ctx, &mut recorder);
    recorder.finish(&result, ctx);
    result
}

fn work(args: &LockArgs, ctx: &Ctx, recorder: &mut Recorder) -> Result<Exit, CliError> {
    let file = ManifestFile::load(&args.manifest, ctx.out)?;
    let lock_path = file.lock_path()?;
    // What is no lock is not overwritten: it may be somebody's work.
    let old = file.lock()?;
    let found = models::look_up(&file, old.as_ref(), args, ctx)?;
    recorder.manifest(&file);
    if !found.mismatches.is_empty() {
        if !args.check {
            evidence::begin(&found.looked_up, &BTreeMap::new(), recorder, ctx);
            for (name, found) in &found.mismatches {
                recorder.model(name).matches = Some(false);
                recorder.found(&findings::of_model(name, as_data(found)));
            }
        }
        return refuse(&file, &lock_path, &found.mismatches, ctx);
    }
    let images = images::look_up(&file, args, ctx)?;
    let lock = Lock { models: found.models, images: images.locked };
    let text = lock.to_yaml();
    if args.check {
        let changes = compare::compare(old.as_ref(), &lock);
        return finish_check(&file, &lock_path, &lock, &changes, &found.upstream, ctx);
    }
    evidence::begin(&found.looked_up, &images.looked_up, recorder, ctx);
    if let Some(changed) = found.upstream.iter().find(|changed| changed.is_contradiction()) {
        let said: Vec<Value> =
            found.upstream.iter().filter_map(|found| serde_json::to_value(found).ok()).collect();
        recorder.found(&said);
        return contradicted(&file, &lock_path, &found.upstream, changed.model(), ctx);
    }
    for gone in found.upstream.iter().filter(|found| found.is_gone()) {
        ctx.out.warn(&gone.text());
    }
    let unchanged = fs_err::read(&lock_path).is_ok_and(|old| old == text.as_bytes());
    if !unchanged {
        sovai_store::atomic::write(&lock_path, text.as_bytes(), MODE).map_err(|error| {
            CliError::new(Exit::Resources, format!("lock {} cannot be written", shown(&lock_path)))
                .source(&error)
        })?;
    }
    recorder.run.about(super::record::base_name(&lock_path), &crate::judge::digest(text.as_bytes()));
    evidence::locked(&lock, &file.manifest, recorder);
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
        let at = model.revision.as_ref().map_or_else(String::new, |at| format!(" at {}", safe_line(at)));
        let _ =
            writeln!(text, "model {name}: {}, {}{at}", count(model.files.len(), "file"), format_bytes(bytes));
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

fn finish_check(
    file: &ManifestFile,
    lock_path: &Path,
    lock: &Lock,
    changes: &[Change],
    upstream: &[Upstream],
    ctx: &Ctx,
) -> Result<Exit, CliError> {
    let mut text = String::new();
    for found in upstream {
        let _ = writeln!(text, "{}", found.text());
    }
    for change in changes {
        let _ = writeln!(text, "{}", change.text());
    }
    let contradicted = upstream.iter().any(Upstream::is_contradiction);
    let (state, exit) = match (contradicted, changes.is_empty() && upstream.is_empty()) {
        (true, _) => ("contradicted", Exit::Mismatch),
        (false, false) => ("changed", Exit::Drift),
        (false, true) => ("current", Exit::Done),
    };
    if contradicted {
        let _ = writeln!(
            text,
            "failed: a source has other files than before under a revision that cannot change"
        );
        text.push_str(&hint_line(
            "do not lock again before you know why: somebody rewrote the revision, or the source lies",
        ));
    } else if exit == Exit::Done {
        let _ = writeln!(text, "current: {}", shown(lock_path));
    } else {
        let _ = writeln!(text, "changed: {} in {}", count(changes.len(), "difference"), shown(lock_path));
        if upstream.iter().any(Upstream::is_gone) {
            text.push_str(&hint_line(&format!("make the lock again: sovai lock {}", shown(&file.path))));
        }
    }
    let found = upstream.iter().filter_map(|found| serde_json::to_value(found).ok());
    let findings =
        found.chain(changes.iter().filter_map(|change| serde_json::to_value(change).ok())).collect();
    finish(file, lock_path, lock, state, exit, findings, text, ctx)
}

/// A source has other bytes than the old lock says under the very revision that it names: no lock is written.
fn contradicted(
    file: &ManifestFile,
    lock_path: &Path,
    upstream: &[Upstream],
    model: &Name,
    ctx: &Ctx,
) -> Result<Exit, CliError> {
    let mut text = String::new();
    for found in upstream.iter().filter(|found| found.is_contradiction()) {
        let _ = writeln!(text, "{}", found.text());
    }
    let _ = writeln!(
        text,
        "\nrefused: model {model} has other files than before under a revision that cannot change; the lock was not written"
    );
    text.push_str(&hint_line("find out who changed them; to take them all the same, remove the lock first"));
    let data = upstream.iter().filter_map(|found| serde_json::to_value(found).ok()).collect();
    let lock = Lock { models: BTreeMap::new(), images: BTreeMap::new() };
    finish(file, lock_path, &lock, "refused", Exit::Mismatch, data, text, ctx)
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
        revision: model.revision.as_deref(),
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
