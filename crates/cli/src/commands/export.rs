//! `sovai export`: what others need to check without sovai.

use crate::args::ExportArgs;
use crate::ctx::Ctx;
use crate::error::CliError;
use crate::exit::Exit;

/// Runs the command.
pub(crate) fn run(_args: &ExportArgs, _ctx: &Ctx) -> Result<Exit, CliError> {
    Err(CliError::new(Exit::Internal, "not built yet"))
}
