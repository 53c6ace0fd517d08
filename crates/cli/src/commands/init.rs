//! `sovai init`: writes a manifest, from the catalogue or from scratch.

mod choose;
mod skeleton;
mod wanted;
mod write;

use crate::args::InitArgs;
use crate::commands::catalog;
use crate::ctx::Ctx;
use crate::error::CliError;
use crate::exit::Exit;
use crate::output::{Outcome, hint_line, safe_line};
use serde::Serialize;
use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::Path;
use wanted::Wanted;

/// Permission bits of a manifest.
const MODE: u32 = 0o644;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Body {
    manifest: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    model: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    variant: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    engine: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    accelerators: Option<String>,
    /// Whether a source says that the model was run on just these accelerators.
    #[serde(skip_serializing_if = "Option::is_none")]
    known_to_work: Option<bool>,
    warnings: Vec<String>,
}

/// Runs the command.
pub(crate) fn run(args: &InitArgs, ctx: &Ctx) -> Result<Exit, CliError> {
    let shown = args.manifest.display().to_string();
    let mut body = Body {
        manifest: shown.clone(),
        model: None,
        variant: None,
        engine: None,
        accelerators: None,
        known_to_work: None,
        warnings: Vec::new(),
    };
    let text = if let Some(id) = &args.model {
        let model = catalog::wanted(id)?;
        let wanted = args.accelerators.as_deref().map(Wanted::parse).transpose()?;
        let choice = choose::choose(model, wanted, args.variant.as_deref(), args.engine.as_deref())?;
        body.model = Some(&model.id);
        body.variant = Some(&choice.variant.id);
        body.engine = Some(choice.engine);
        body.accelerators = choice.wanted.map(|wanted| wanted.to_string());
        body.known_to_work = choice.wanted.map(|_| choice.layout.is_some());
        body.warnings.clone_from(&choice.warnings);
        write::manifest(&choice)
    } else {
        skeleton::TEXT.to_owned()
    };
    put(&args.manifest, text.as_bytes(), args.force)?;
    for warning in &body.warnings {
        ctx.out.warn(&safe_line(warning));
    }
    let mut said = format!("written: {}\n", safe_line(&shown));
    let _ = writeln!(said, "next: read it, then `sovai lock {}`", safe_line(&shown));
    // The skeleton's image is made on this host.
    let images = if body.model.is_some() { without_registry(&text, ctx) } else { BTreeSet::new() };
    for image in images {
        said.push_str(&hint_line(&format!(
            "image {} names no registry: load it into the container engine, or say `sovai lock {} --registry HOST` (SOVAI_REGISTRY, `registry` in sovai.toml)",
            safe_line(&image),
            safe_line(&shown)
        )));
    }
    ctx.finish(Outcome { exit: Exit::Done, findings: Vec::new(), body, text: said })
}

/// The images of a manifest whose names begin with no registry, where no setting says which one is meant.
fn without_registry(text: &str, ctx: &Ctx) -> BTreeSet<String> {
    let Some(manifest) = sovai_manifest::parse(text.as_bytes()).manifest else { return BTreeSet::new() };
    let has_host = |name: &str| crate::net::parse(name).is_ok_and(|reference| reference.host().is_some());
    let images = manifest.services.into_values().map(|service| service.image.name);
    images.filter(|name| ctx.settings.registry.is_none() && !has_host(name)).collect()
}

/// Writes a new file; over one that is there only with `--force`.
fn put(path: &Path, bytes: &[u8], force: bool) -> Result<(), CliError> {
    let shown = safe_line(&path.display().to_string());
    let failed = |error: &(dyn std::error::Error + 'static)| {
        CliError::new(Exit::Resources, format!("manifest {shown} cannot be written")).source(error)
    };
    let folder = path.parent().filter(|folder| *folder != Path::new(""));
    if let Some(folder) = folder
        && !folder.is_dir()
    {
        let folder = safe_line(&folder.display().to_string());
        return Err(CliError::new(Exit::Usage, format!("folder {folder} is not there")).hint("make it first"));
    }
    // A folder, a device or a pipe is nobody's old manifest.
    if fs_err::symlink_metadata(path).is_ok_and(|found| !found.is_file()) {
        return Err(CliError::new(Exit::Usage, format!("{shown} is there and is no regular file")));
    }
    if force {
        return sovai_store::atomic::write(path, bytes, MODE).map_err(|error| failed(&error));
    }
    match sovai_store::atomic::write_new(path, bytes, MODE) {
        Ok(true) => Ok(()),
        Ok(false) => Err(CliError::new(Exit::Usage, format!("{shown} is there, and is not overwritten"))
            .hint("name another file, or say --force")),
        Err(error) => Err(failed(&error)),
    }
}

#[cfg(test)]
mod tests;
