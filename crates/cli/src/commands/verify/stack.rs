//! `sovai verify MANIFEST`: every model of a stack against its pins.

use super::{License, NO_SIGNATURE, Signatures, Trust, effort, heading, receipts};
use crate::args::VerifyArgs;
use crate::ctx::Ctx;
use crate::error::{CliError, as_data};
use crate::exit::Exit;
use crate::findings;
use crate::manifest::{ManifestFile, count};
use crate::output::{Outcome, hint_line, safe_line, style};
use serde::Serialize;
use sovai_core::{FilePin, Name, format_bytes};
use sovai_manifest::{ImagePin, Resolved, Unpinned, UnpinnedKind, Why, resolve};
use sovai_verifier::{Finding, Remainders, Report, VerifyError};
use std::fmt::Write as _;
use std::time::Duration;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Body<'a> {
    target: String,
    target_kind: &'static str,
    stack: &'a Name,
    models: Vec<ModelBody<'a>>,
    images: Vec<ImageBody<'a>>,
    unpinned: &'a [Unpinned],
    signatures: Signatures,
}

#[derive(Serialize)]
struct ModelBody<'a> {
    name: &'a Name,
    source: String,
    pinned: bool,
    trust: Trust,
    license: Option<License>,
    files: u64,
    bytes: u64,
    /// Bytes that were really read.
    hashed: u64,
    findings: usize,
}

#[derive(Serialize)]
struct ImageBody<'a> {
    name: &'a str,
    pin: Option<String>,
}

pub(super) fn run(args: &VerifyArgs, ctx: &Ctx) -> Result<Exit, CliError> {
    let file = ManifestFile::load(&args.target, ctx.out)?;
    let resolved = resolve(&file.manifest, file.lock()?.as_ref());
    let reports = check(&file, &resolved, args, ctx)?;

    let mut text = format!("{}stack {}{}\n", style::BOLD, file.manifest.name, style::RESET);
    let mut data = Vec::new();
    let mut models = Vec::new();
    for (name, model) in &file.manifest.models {
        let report = reports.iter().find(|(of, _)| *of == name).map(|(_, report)| report);
        let license = model.license.as_deref().map(License::new);
        let clean = report.is_some_and(|report| report.findings.is_empty());
        let trust = if clean { Trust::Digest } else { Trust::Unknown };
        let mut facts = Vec::new();
        if let Some(report) = report {
            facts.push(count(usize::try_from(report.files).unwrap_or(usize::MAX), "file"));
            facts.push(format_bytes(report.bytes));
        }
        facts.push(format!("trust level {}", trust.word()));
        facts.push(
            license.as_ref().map_or("no licence stated".to_owned(), |l| format!("licence {}", l.shown())),
        );
        match report {
            Some(report) => {
                text.push_str(&heading(&format!("model {name}"), clean, &facts));
                text.push_str(&findings::text(&report.findings));
                data.extend(findings::of_model(name, as_data(&report.findings)));
            }
            None => {
                let _ = writeln!(
                    text,
                    "model {name}: {}not pinned{}  {}",
                    style::WARNING,
                    style::RESET,
                    facts.join(", ")
                );
            }
        }
        models.push(ModelBody {
            name,
            source: model.source.to_string(),
            pinned: report.is_some(),
            trust,
            license,
            files: report.map_or(0, |report| report.files),
            bytes: report.map_or(0, |report| report.bytes),
            hashed: report.map_or(0, |report| report.hashed),
            findings: report.map_or(0, |report| report.findings.len()),
        });
    }
    let images = image_bodies(&file, &resolved);
    for image in &images {
        let name = safe_line(image.name);
        let _ = match &image.pin {
            Some(pin) => writeln!(text, "image {name}: pinned to {pin}"),
            None => writeln!(text, "image {name}: {}not pinned{}", style::WARNING, style::RESET),
        };
    }
    warn(&resolved, &file, ctx);

    let conflict = resolved.unpinned.iter().any(|unpinned| matches!(unpinned.why, Why::Conflict { .. }));
    let exit = match (data.is_empty(), conflict) {
        (false, _) => Exit::Mismatch,
        (true, true) => Exit::Refused,
        (true, false) => Exit::Done,
    };
    let all: Vec<&Report> = reports.iter().map(|(_, report)| report).collect();
    text.push('\n');
    if !data.is_empty() {
        let _ = writeln!(text, "failed: {}; the source is not what was pinned", count(data.len(), "finding"));
    } else if conflict {
        let _ = writeln!(text, "refused: the manifest and its lock do not agree");
    } else if all.is_empty() {
        let _ = writeln!(text, "nothing was verified: no model is pinned");
    } else {
        let _ = writeln!(text, "verified: {}; {NO_SIGNATURE}", effort(&all));
    }
    data.extend(resolved.unpinned.iter().map(as_warning));
    let body = Body {
        target: args.target.display().to_string(),
        target_kind: "manifest",
        stack: &file.manifest.name,
        models,
        images,
        unpinned: &resolved.unpinned,
        signatures: Signatures { checked: false },
    };
    ctx.finish(Outcome { exit, findings: data, body, text })
}

/// Verifies every model that is pinned, all of them, also after one that failed.
fn check<'a>(
    file: &'a ManifestFile,
    resolved: &'a Resolved,
    args: &VerifyArgs,
    ctx: &Ctx,
) -> Result<Vec<(&'a Name, Report)>, CliError> {
    let sources: Vec<_> = resolved
        .models
        .iter()
        .map(|(name, pins)| Ok((name, pins, file.local_source(name)?)))
        .collect::<Result<_, CliError>>()?;
    if sources.is_empty() {
        return Ok(Vec::new());
    }
    let options = args.reading.options(ctx)?;
    let store = receipts(ctx)?;
    let reporter = ctx.reporter();
    sources
        .into_iter()
        .map(|(name, pins, source): (&Name, &Vec<FilePin>, _)| {
            let report = sovai_verifier::verify(&source, pins, &options, store.as_ref(), &*reporter);
            match (report, findings::missing_single(&source, pins)) {
                (Err(VerifyError::SourceMissing { .. }), Some(missing)) => Ok((name, unread(missing, pins))),
                (report, _) => Ok((name, report?)),
            }
        })
        .collect()
}

/// The report of a model of which nothing could be read.
fn unread(missing: Finding, pins: &[FilePin]) -> Report {
    Report {
        findings: vec![missing],
        files: pins.len() as u64,
        bytes: FilePin::total(pins),
        hashed: 0,
        elapsed: Duration::ZERO,
        remainder: Remainders::default(),
    }
}

fn image_bodies<'a>(file: &'a ManifestFile, resolved: &Resolved) -> Vec<ImageBody<'a>> {
    let mut names: Vec<&str> =
        file.manifest.services.values().map(|service| service.image.name.as_str()).collect();
    names.sort_unstable();
    names.dedup();
    let pin = |name| resolved.images.get(name).map(|image| shown_pin(image.pin));
    names.into_iter().map(|name| ImageBody { name, pin: pin(name) }).collect()
}

fn shown_pin(pin: ImagePin) -> String {
    match pin {
        ImagePin::Digest(digest) => format!("registry digest {digest}"),
        ImagePin::Id(id) => format!("image ID {id}"),
    }
}

fn warn(resolved: &Resolved, file: &ManifestFile, ctx: &Ctx) {
    for unpinned in &resolved.unpinned {
        ctx.out.warn(&safe_line(&unpinned.to_string()));
    }
    if !resolved.unpinned.is_empty() {
        let manifest = safe_line(&file.path.display().to_string());
        ctx.out.say(hint_line(&format!("sovai lock {manifest}")).trim_end());
    }
}

/// What is pinned nowhere, as a finding that is a warning.
fn as_warning(unpinned: &Unpinned) -> serde_json::Value {
    let kind = match unpinned.kind {
        UnpinnedKind::Model => "model",
        UnpinnedKind::Image => "image",
    };
    serde_json::json!({
        "type": "unpinned", "severity": "warning", "kind": kind, "name": unpinned.name, "message": unpinned.to_string()
    })
}
