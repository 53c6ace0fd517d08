//! `sovai bundle`: one stack, whole and signed, on volumes that cross a gap.

mod base;
mod create;
mod gather;
mod sign;

use crate::args::{BundleArgs, BundleCommand, SignerArgs, VolumesArgs};
use crate::ctx::Ctx;
use crate::error::CliError;
use crate::exit::Exit;
use std::path::Path;

/// Runs the command.
pub(crate) fn run(args: &BundleArgs, ctx: &Ctx) -> Result<Exit, CliError> {
    match &args.command {
        BundleCommand::Create(args) => create::run(args, ctx),
        BundleCommand::Inspect { .. }
        | BundleCommand::Verify { .. }
        | BundleCommand::Import { .. }
        | BundleCommand::Repair { .. }
        | BundleCommand::Request { .. }
        | BundleCommand::Approve(_)
        | BundleCommand::Reject(_) => Err(not_built()),
    }
}

/// `sovai sign bundle`: a further signature over an index.
pub(super) fn sign(
    volumes: &VolumesArgs,
    signer: &SignerArgs,
    out: Option<&Path>,
    ctx: &Ctx,
) -> Result<Exit, CliError> {
    sign::run(volumes, signer, out, ctx)
}

fn not_built() -> CliError {
    CliError::new(Exit::Internal, "this part of sovai is not built yet")
}
