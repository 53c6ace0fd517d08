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
use crate::args::VerifyArgs;
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
