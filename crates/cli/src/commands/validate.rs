//! `sovai validate`: reads the manifest and nothing else; what it finds is its result.

use crate::args::ValidateArgs;
use crate::ctx::Ctx;
use crate::error::CliError;
use crate::exit::Exit;
use crate::manifest::{count, findings, read, render, tally};
use crate::output::Outcome;
use serde::Serialize;
use sovai_core::Name;
use sovai_manifest::Severity;
use std::fmt::Write as _;

#[derive(Serialize)]
struct Body {
    manifest: String,
    valid: bool,
    errors: usize,
    warnings: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    stack: Option<Name>,
    #[serde(skip_serializing_if = "Option::is_none")]
    models: Option<Vec<Name>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    services: Option<Vec<Name>>,
}

/// Runs the command.
pub(crate) fn run(args: &ValidateArgs, ctx: &Ctx) -> Result<Exit, CliError> {
    let bytes = read(&args.manifest)?;
    let parsed = sovai_manifest::parse(&bytes);
    let errors = parsed.diagnostics.iter().filter(|found| found.severity == Severity::Error).count();
    let mut text = render(&parsed.diagnostics, &args.manifest, &bytes);
    if !text.is_empty() {
        text.push('\n');
    }
    match &parsed.manifest {
        Some(manifest) => {
            let models = count(manifest.models.len(), "model");
            let services = count(manifest.services.len(), "service");
            let _ = write!(text, "valid: stack {}, {models}, {services}", manifest.name);
            if !parsed.diagnostics.is_empty() {
                let _ = write!(text, "; {}", tally(&parsed.diagnostics));
            }
        }
        None => {
            let _ = write!(text, "invalid: {}", tally(&parsed.diagnostics));
        }
    }
    text.push('\n');
    let manifest = parsed.manifest.as_ref();
    ctx.finish(Outcome {
        exit: if manifest.is_some() { Exit::Done } else { Exit::Invalid },
        findings: findings(&parsed.diagnostics, &args.manifest),
        body: Body {
            manifest: args.manifest.display().to_string(),
            valid: manifest.is_some(),
            errors,
            warnings: parsed.diagnostics.len() - errors,
            stack: manifest.map(|manifest| manifest.name.clone()),
            models: manifest.map(|manifest| manifest.models.keys().cloned().collect()),
            services: manifest.map(|manifest| manifest.services.keys().cloned().collect()),
        },
        text,
    })
}
