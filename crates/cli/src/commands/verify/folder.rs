//! `sovai verify FOLDER|FILE`: its digests, or the comparison with a manifest's pins.

use super::{NO_SIGNATURE, Signatures, Trust, effort, heading, receipts, split_pins};
use crate::args::VerifyArgs;
use crate::ctx::Ctx;
use crate::error::{CliError, as_data};
use crate::exit::Exit;
use crate::findings;
use crate::manifest::{ManifestFile, count};
use crate::output::{Outcome, safe_line};
use serde::Serialize;
use sovai_core::{FilePin, Name, format_bytes};
use sovai_manifest::resolve;
use std::fmt::Write as _;
use std::io::ErrorKind;
use std::path::Path;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Body {
    target: String,
    target_kind: &'static str,
    trust: Trust,
    #[serde(skip_serializing_if = "Option::is_none")]
    model: Option<Name>,
    files: Vec<FilePin>,
    bytes: u64,
    signatures: Signatures,
}

pub(super) fn run(args: &VerifyArgs, ctx: &Ctx) -> Result<Exit, CliError> {
    let kind = kind_of(&args.target)?;
    match &args.pins {
        Some(pins) => compare(args, pins, kind, ctx),
        None => list(args, kind, ctx),
    }
}

fn kind_of(target: &Path) -> Result<&'static str, CliError> {
    let shown = safe_line(&target.display().to_string());
    match fs_err::metadata(target) {
        Ok(metadata) if metadata.is_dir() => Ok("folder"),
        // What is neither is the verifier's to refuse.
        Ok(_) => Ok("file"),
        Err(error) if error.kind() == ErrorKind::NotFound => {
            Err(CliError::new(Exit::Usage, format!("target {shown} is not there"))
                .hint("check the path; a relative one starts at the working folder"))
        }
        Err(error) => {
            Err(CliError::new(Exit::Usage, format!("target {shown} cannot be read")).source(&error))
        }
    }
}

/// Digests in the form that `sha256sum --check` reads.
fn list(args: &VerifyArgs, kind: &'static str, ctx: &Ctx) -> Result<Exit, CliError> {
    let options = args.reading.options(ctx)?;
    let reporter = ctx.reporter();
    let files = sovai_verifier::digest_source(&args.target, &options, &*reporter)?;
    drop(reporter);
    let mut text = String::new();
    for file in &files {
        let _ = writeln!(text, "{}  {}", file.sha256.hex(), safe_line(file.path.as_str()));
    }
    let bytes = FilePin::total(&files);
    ctx.out.say(&format!(
        "{}, {}; trust level unknown: nothing says what these bytes must be",
        count(files.len(), "file"),
        format_bytes(bytes)
    ));
    let body = Body {
        target: args.target.display().to_string(),
        target_kind: kind,
        trust: Trust::Unknown,
        model: None,
        files,
        bytes,
        signatures: Signatures { checked: false },
    };
    ctx.finish(Outcome { exit: Exit::Done, findings: Vec::new(), body, text })
}

fn compare(args: &VerifyArgs, pins: &Path, kind: &'static str, ctx: &Ctx) -> Result<Exit, CliError> {
    let (manifest, model) = split_pins(pins)?;
    let file = ManifestFile::load(manifest, ctx.out)?;
    let model = pick(&file, model)?;
    let resolved = resolve(&file.manifest, file.lock()?.as_ref());
    let Some(pinned) = resolved.models.get(&model) else {
        let why = resolved.unpinned.iter().find(|unpinned| unpinned.name == model.as_str());
        let why = why.map_or_else(|| format!("model `{model}` is not pinned"), ToString::to_string);
        return Err(CliError::new(Exit::Refused, why)
            .hint(format!("sovai lock {}", safe_line(&manifest.display().to_string()))));
    };
    let options = args.reading.options(ctx)?;
    let store = receipts(ctx)?;
    let reporter = ctx.reporter();
    let report = sovai_verifier::verify(&args.target, pinned, &options, store.as_ref(), &*reporter)?;
    drop(reporter);
    let clean = report.findings.is_empty();
    let trust = if clean { Trust::Digest } else { Trust::Unknown };
    let facts =
        [count(pinned.len(), "file"), format_bytes(report.bytes), format!("trust level {}", trust.word())];
    let mut text = heading(&format!("model {model}"), clean, &facts);
    text.push_str(&findings::text(&report.findings));
    text.push('\n');
    let _ = if clean {
        writeln!(text, "verified: {}; {NO_SIGNATURE}", effort(&[&report]))
    } else {
        writeln!(text, "failed: {}", count(report.findings.len(), "finding"))
    };
    let findings = findings::of_model(&model, as_data(&report.findings));
    let body = Body {
        target: args.target.display().to_string(),
        target_kind: kind,
        trust,
        model: Some(model),
        files: pinned.clone(),
        bytes: report.bytes,
        signatures: Signatures { checked: false },
    };
    let exit = if clean { Exit::Done } else { Exit::Mismatch };
    ctx.finish(Outcome { exit, findings, body, text })
}

/// The model that was named, or the only one there is.
fn pick(file: &ManifestFile, model: Option<Name>) -> Result<Name, CliError> {
    let names: Vec<&str> = file.manifest.models.keys().map(Name::as_str).collect();
    match model {
        Some(name) if file.manifest.models.contains_key(&name) => Ok(name),
        Some(name) => {
            let error = CliError::new(Exit::Usage, format!("--pins: the manifest has no model `{name}`"));
            Err(match sovai_catalog::suggest(name.as_str(), names.iter().copied()) {
                Some(near) => error.hint(format!("did you mean `{near}`?")),
                None => error.hint(format!("its models are {}", names.join(", "))),
            })
        }
        None => match file.manifest.models.keys().next() {
            Some(only) if names.len() == 1 => Ok(only.clone()),
            _ => Err(CliError::new(Exit::Usage, "--pins: say which model's pins are meant")
                .hint(format!("write --pins MANIFEST#MODEL with one of {}", names.join(", ")))),
        },
    }
}
