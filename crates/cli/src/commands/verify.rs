//! `sovai verify`: bytes against pins, signatures or a passport; then trust, formats and policy. Contacts no container
//! engine; writes nothing but receipts and a line of evidence in the store, and what its options name.

mod against;
mod arguments;
mod base;
mod folder;
mod outputs;
mod plain;
mod report;
mod setup;
mod signed;
mod stack;
mod vsa;

use super::record::Recorder;
use crate::args::{VerifyArgs, VolumesArgs};
use crate::ctx::Ctx;
use crate::error::CliError;
use crate::exit::Exit;
use crate::output::safe_line;
use sovai_core::Name;
use sovai_verifier::Passport;
use std::path::Path;

/// Runs the command.
pub(crate) fn run(args: &VerifyArgs, ctx: &Ctx) -> Result<Exit, CliError> {
    let is_manifest = args.target.extension().is_some_and(|end| end == "yaml" || end == "yml");
    if !is_manifest && super::bundle::is_bundle(&args.target) {
        return bundle(args, ctx);
    }
    arguments::check(args, is_manifest)?;
    let mut recorder = Recorder::new("verify");
    let result = if is_manifest {
        stack::run(args, ctx, &mut recorder)
    } else {
        folder::run(args, ctx, &mut recorder)
    };
    recorder.finish(&result, ctx);
    result
}

/// A bundle: what `bundle verify` does. Options of models have no meaning there.
fn bundle(args: &VerifyArgs, ctx: &Ctx) -> Result<Exit, CliError> {
    let (signed, passport) = (&args.signed, &args.passport);
    let given = [
        (args.pins.is_some(), "--pins"),
        (signed.key.is_some(), "--key"),
        (!signed.ca.is_empty(), "--ca"),
        (passport.out.is_some(), "--passport"),
        (passport.against.is_some(), "--against"),
        (args.policy.is_some(), "--policy"),
        (args.scan, "--scan"),
        (args.base.is_some(), "--base"),
    ];
    if let Some((_, option)) = given.iter().find(|(given, _)| *given) {
        return Err(CliError::new(Exit::Usage, format!("{option} is for models, and this is a bundle")).hint(
            "a bundle is judged by its index and by the keys that the store trusts: `sovai bundle verify`",
        ));
    }
    let volumes = VolumesArgs {
        volumes: vec![args.target.clone()],
        signature: signed.signature.clone().into_iter().collect(),
        decision: Vec::new(),
    };
    super::bundle::verify::run(&volumes, args.reading.threads, ctx)
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

/// Writes a passport; a file there that is none is left alone.
pub(crate) fn write_passport(path: &Path, passport: &Passport) -> Result<(), CliError> {
    outputs::write(path, outputs::Kind::Passport, &passport.to_json())
}
