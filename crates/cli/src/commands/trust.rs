//! `sovai trust`: whom a store trusts.

use crate::args::TrustArgs;
use crate::ctx::Ctx;
use crate::error::CliError;
use crate::exit::Exit;

/// Runs the command.
pub(crate) fn run(_args: &TrustArgs, _ctx: &Ctx) -> Result<Exit, CliError> {
    Err(CliError::new(Exit::Internal, "not built yet"))
}
