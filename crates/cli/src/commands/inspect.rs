//! `sovai inspect`: what model files are, from their headers. Reads no tensor, and writes nothing.

mod templates;
mod text;
mod trust_files;

use crate::args::{InspectArgs, VolumesArgs};
use crate::ctx::Ctx;
use crate::error::{CliError, as_data};
use crate::exit::Exit;
use crate::input::kind_of;
use crate::output::Outcome;
use serde::Serialize;
use serde_json::Value;
use sovai_core::{RelPath, Sha256};
use sovai_formats::index::numbered;
use sovai_formats::{SurfaceItem, TemplatePlace};
use sovai_verifier::{Examination, FileFact, Options, examine};
use std::path::Path;

/// What it is, of a target that is a model's folder or file.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Body<'a> {
    target: String,
    target_kind: &'static str,
    files: &'a [FileFact],
    surface: &'a [SurfaceItem],
    templates: Vec<TemplateBody<'a>>,
    licenses: Vec<LicenseBody<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tensors: Vec<TensorsBody>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct TemplateBody<'a> {
    path: &'a str,
    place: TemplatePlace,
    name: Option<&'a str>,
    sha256: Sha256,
    bytes: usize,
    /// With `--base` only.
    #[serde(skip_serializing_if = "Option::is_none")]
    base: Option<templates::Compared>,
}

#[derive(Serialize)]
struct LicenseBody<'a> {
    path: &'a str,
    sha256: Sha256,
}

/// The tensors of one file.
#[derive(Serialize)]
struct TensorsBody {
    path: String,
    tensors: Vec<TensorBody>,
}

#[derive(Serialize)]
struct TensorBody {
    name: String,
    dtype: &'static str,
    shape: Vec<u64>,
    /// First byte in the file, and the one after the last.
    start: u64,
    end: u64,
}

/// Runs the command.
pub(crate) fn run(args: &InspectArgs, ctx: &Ctx) -> Result<Exit, CliError> {
    let kind = kind_of(&args.path, "target")?;
    if super::bundle::is_bundle(&args.path) {
        let volumes =
            VolumesArgs { volumes: vec![args.path.clone()], signature: Vec::new(), decision: Vec::new() };
        return super::bundle::inspect::run(&volumes, ctx);
    }
    if kind == "file"
        && let Some(exit) = trust_files::run(&args.path, ctx)?
    {
        return Ok(exit);
    }
    let options = Options { cancel: ctx.interrupt()?.cancel(), ..Options::new(ctx.threads(None)) };
    let found = examine(&args.path, &options)?;
    let compared = match &args.base {
        None => None,
        Some(base) => {
            kind_of(base, "base")?;
            Some(templates::compare(&found.templates, &examine(base, &options)?.templates))
        }
    };
    if kind == "file"
        && let Some((_, number, count, _)) = args.path.file_name().and_then(|name| numbered(name.to_str()?))
        && count > 1
    {
        ctx.out.say(&format!("note: part {number} of {count}; the others were not looked at"));
    }
    let tensors = if args.tensors { tensors(&args.path, &found)? } else { Vec::new() };
    let mut text = text::render(&args.path, kind, &found);
    text.push_str(&text::tensors(&tensors));
    text.push_str(&templates::render(&found.templates, compared.as_deref()));
    text.push_str(&text::verdict(&found));
    let mut compared = compared.unwrap_or_default().into_iter();
    let templates = found.templates.iter().map(|template| TemplateBody {
        path: &template.path,
        place: template.place,
        name: template.name.as_deref(),
        sha256: template.sha256,
        bytes: template.text.len(),
        base: compared.next(),
    });
    let body = Body {
        target: args.path.display().to_string(),
        target_kind: kind,
        files: &found.files,
        surface: &found.surface,
        templates: templates.collect(),
        licenses: found
            .licenses
            .iter()
            .map(|license| LicenseBody { path: &license.path, sha256: license.sha256 })
            .collect(),
        tensors,
    };
    let exit = if found.has_errors() { Exit::Refused } else { Exit::Done };
    ctx.finish(Outcome { exit, findings: findings(&found), body, text })
}

/// The tensors of every file of weights whose header is sound.
fn tensors(source: &Path, found: &Examination) -> Result<Vec<TensorsBody>, CliError> {
    let mut told = Vec::new();
    for file in found.files.iter().filter(|file| file.weights.is_some()) {
        let path = RelPath::new(&file.path).map_err(CliError::internal)?;
        let map =
            sovai_verifier::tensors(source, &path).map_err(|error| CliError::wrap(Exit::Refused, &error))?;
        let tensors = map.iter().map(|tensor| TensorBody {
            name: tensor.name().to_owned(),
            dtype: tensor.dtype(),
            shape: tensor.shape(),
            start: tensor.range().start,
            end: tensor.range().end,
        });
        told.push(TensorsBody { path: file.path.clone(), tensors: tensors.collect() });
    }
    Ok(told)
}

/// Findings of the walk, then broken rules.
fn findings(found: &Examination) -> Vec<Value> {
    let mut findings = as_data(&found.findings);
    for problem in &found.problems {
        // Texts alone: that cannot fail.
        if let Ok(Value::Object(mut members)) = serde_json::to_value(problem) {
            members.insert("type".to_owned(), "format".into());
            findings.push(Value::Object(members));
        }
    }
    findings
}
