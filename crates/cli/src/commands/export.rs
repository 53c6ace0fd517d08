//! `sovai export`: what others need to check without sovai.

mod sbom;
mod script;

use crate::args::{ExportArgs, ExportCommand};
use crate::ctx::Ctx;
use crate::error::{CliError, as_data};
use crate::exit::Exit;
use crate::findings;
use crate::input::read_bounded;
use crate::manifest::count;
use crate::output::{Outcome, safe_line};
use script::{Checks, NoChecks};
use serde::Serialize;
use sovai_signing::PublicKey;
use sovai_signing::json::Limits;
use sovai_signing::oms::{Bundle, Compat, Material};
use sovai_store::atomic;
use sovai_verifier::{Links, Options, SignedList, verify_signed};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// Bytes of a public key's file that are read.
const MAX_KEY: usize = 64 << 10;

/// Runs the command.
pub(crate) fn run(args: &ExportArgs, ctx: &Ctx) -> Result<Exit, CliError> {
    match &args.command {
        ExportCommand::Checks { dir, signature, key, out } => checks(dir, signature, key, out, ctx),
        ExportCommand::Sbom { manifest, own: _, out } => sbom::run(manifest.as_deref(), out, ctx),
        ExportCommand::Provenance { out } => sbom::provenance(out, ctx),
    }
}

#[derive(Serialize)]
struct Body {
    out: String,
    files: usize,
    /// SHA-256 of the key's SPKI in hex: what is to be compared over another channel.
    key: String,
}

fn checks(dir: &Path, signature: &Path, key: &Path, out: &Path, ctx: &Ctx) -> Result<Exit, CliError> {
    place(dir, out)?;
    let refused = |error: &(dyn std::error::Error + 'static)| CliError::wrap(Exit::Refused, error);
    let bundle = read_bounded(signature, Limits::BUNDLE.bytes, "signature")?;
    let pem = read_bounded(key, MAX_KEY, "public key")?;
    let key = PublicKey::from_pem(&pem).map_err(|error| refused(&error))?;
    let parsed = Bundle::parse(&bundle, Compat::Strict).map_err(|error| refused(&error))?;
    // A certificate is not judged here: whoever names a key says that it is the one.
    let signed = match parsed.material() {
        Material::Chain(_) => parsed.verify_leaf(&key),
        _ => parsed.verify_key(&key),
    };
    let signed = signed.map_err(|error| refused(&error))?;
    let checks = Checks::new(&bundle, &parsed, &signed, &key).map_err(|error: NoChecks| refused(&error))?;

    let options = Options { cancel: ctx.interrupt()?.cancel(), ..Options::new(ctx.threads(None)) };
    let reporter = ctx.reporter();
    let list = SignedList { signed: &signed, signature: Some(signature), links: Links::Refuse };
    let report = verify_signed(dir, &list, &options, None, &*reporter)?;
    drop(reporter);
    if !report.report.findings.is_empty() {
        let found = &report.report.findings;
        return Err(CliError::new(Exit::Mismatch, "the folder is not what was signed; nothing was written")
            .with_details(findings::text(found))
            .with_findings(as_data(found)));
    }
    if let Some(first) = report.unsigned.first() {
        return Err(CliError::new(
            Exit::Refused,
            "the folder holds files that nobody signed; nothing was written",
        )
        .cause(safe_line(&first.to_string()))
        .hint("move them away"));
    }

    fs_err::create_dir_all(out)
        .map_err(|error| CliError::new(Exit::Usage, "no folder to write to").source(&error))?;
    for (name, bytes, mode) in checks.files() {
        atomic::write(&out.join(name), bytes, mode)?;
    }
    let shown = safe_line(&out.display().to_string());
    let text = format!(
        "checks of {} are in {shown}: sh {shown}/check.sh FOLDER\nkey {}: compare it over another channel\n",
        count(signed.resources.len(), "file"),
        checks.key()
    );
    let body =
        Body { out: out.display().to_string(), files: signed.resources.len(), key: checks.key().to_owned() };
    ctx.finish(Outcome { exit: Exit::Done, findings: Vec::new(), body, text })
}

/// The model is a folder; what is written lies beside it, where nothing else is.
fn place(dir: &Path, out: &Path) -> Result<(), CliError> {
    let shown = |path: &Path| safe_line(&path.display().to_string());
    let model = fs_err::canonicalize(dir).map_err(|error| {
        CliError::new(Exit::Usage, format!("model {} cannot be read", shown(dir))).source(&error)
    })?;
    if !model.is_dir() {
        return Err(CliError::new(Exit::Usage, format!("model {} is not a folder", shown(dir)))
            .hint("checks are written for folders; put the file into one and sign that"));
    }
    match fs_err::read_dir(out) {
        Ok(mut entries) => {
            if entries.next().is_some() {
                return Err(CliError::new(Exit::Usage, format!("{} is not empty", shown(out)))
                    .hint("name a folder that is empty or not there yet"));
            }
        }
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        Err(error) => {
            return Err(CliError::new(Exit::Usage, format!("{} cannot be read", shown(out))).source(&error));
        }
    }
    // The nearest folder that is there says where the new ones would be.
    let absolute = std::path::absolute(out).unwrap_or_else(|_| out.to_owned());
    let above = absolute.ancestors().find_map(|folder| fs_err::canonicalize(folder).ok());
    if above.is_some_and(|folder: PathBuf| folder.starts_with(&model)) {
        return Err(CliError::new(Exit::Usage, format!("{} lies in the model's folder", shown(out)))
            .hint("what lies there would be files of the model"));
    }
    Ok(())
}
