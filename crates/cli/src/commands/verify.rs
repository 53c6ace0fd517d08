//! `sovai verify`: bytes against pins. Contacts no container engine; writes nothing but receipts in the store.

mod folder;
mod stack;

use crate::args::VerifyArgs;
use crate::ctx::Ctx;
use crate::error::CliError;
use crate::exit::Exit;
use crate::output::{safe_line, style};
use serde::Serialize;
use sovai_catalog::LicenseCheck;
use sovai_core::{Name, format_bytes};
use sovai_store::{Store, StoreError};
use sovai_verifier::Report;
use std::path::Path;

/// Said wherever a trust level is: what it does not rest on.
const NO_SIGNATURE: &str = "no signature was checked";

/// How strongly a model's origin is proven, as far as this version can tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
enum Trust {
    /// Every byte is what was pinned.
    Digest,
    /// Nothing says what the bytes must be, or they are not that.
    Unknown,
}

impl Trust {
    const fn word(self) -> &'static str {
        match self {
            Self::Digest => "digest",
            Self::Unknown => "unknown",
        }
    }
}

/// What was said about signatures: nothing, in this version.
#[derive(Debug, Serialize)]
struct Signatures {
    checked: bool,
}

/// A licence as the manifest has it.
#[derive(Debug, Serialize)]
struct License {
    text: String,
    /// `spdx`, `known` or `unknown`.
    status: &'static str,
}

impl License {
    fn new(text: &str) -> Self {
        let status = match sovai_catalog::license(text) {
            LicenseCheck::Spdx => "spdx",
            LicenseCheck::Known(_) => "known",
            LicenseCheck::Unknown { .. } => "unknown",
        };
        Self { text: text.to_owned(), status }
    }

    fn shown(&self) -> String {
        let note = if self.status == "unknown" { " (not a known licence)" } else { "" };
        format!("{}{note}", safe_line(&self.text))
    }
}

/// Runs the command.
pub(crate) fn run(args: &VerifyArgs, ctx: &Ctx) -> Result<Exit, CliError> {
    let is_manifest = args.target.extension().is_some_and(|end| end == "yaml" || end == "yml");
    if !is_manifest {
        return folder::run(args, ctx);
    }
    if args.pins.is_some() {
        return Err(CliError::new(
            Exit::Usage,
            "--pins is for folders and files: a manifest has its own pins",
        ));
    }
    stack::run(args, ctx)
}

/// The store, for receipts. A person who may not write one can verify all the same, just not quicker the next time.
fn receipts(ctx: &Ctx) -> Result<Option<Store>, CliError> {
    let Ok(path) = ctx.store_path() else { return Ok(None) };
    match Store::open(path) {
        Ok(store) => Ok(Some(store)),
        Err(error @ (StoreError::NotWritable { .. } | StoreError::NoSpace { .. })) => {
            ctx.out.detail(&format!("no receipts are kept: {}", safe_line(&error.to_string())));
            Ok(None)
        }
        Err(error) => Err(error.into()),
    }
}

/// `model assistant: verified` and so on, with its facts.
fn heading(what: &str, ok: bool, facts: &[String]) -> String {
    let (color, word) = if ok { (style::OK, "verified") } else { (style::ERROR, "FAILED") };
    let facts = if facts.is_empty() { String::new() } else { format!("  {}", facts.join(", ")) };
    format!("{what}: {color}{word}{}{facts}\n", style::RESET)
}

/// `93.8 MiB read in 0.1 s`, or that receipts answered.
fn effort(reports: &[&Report]) -> String {
    let hashed: u64 = reports.iter().map(|report| report.hashed).sum();
    let bytes: u64 = reports.iter().map(|report| report.bytes).sum();
    let seconds: f64 = reports.iter().map(|report| report.elapsed.as_secs_f64()).sum();
    match hashed {
        0 if bytes > 0 => "unchanged since it was last read (--full reads all again)".to_owned(),
        _ => format!("{} read in {seconds:.1} s", format_bytes(hashed)),
    }
}

/// `MANIFEST` or `MANIFEST#MODEL`.
fn split_pins(pins: &Path) -> Result<(&Path, Option<Name>), CliError> {
    let Some((manifest, model)) = pins.to_str().and_then(|text| text.rsplit_once('#')) else {
        return Ok((pins, None));
    };
    let name = Name::new(model).map_err(|error| {
        CliError::new(Exit::Usage, format!("--pins: `{}` is not the name of a model", safe_line(model)))
            .source(&error)
    })?;
    Ok((Path::new(manifest), Some(name)))
}
