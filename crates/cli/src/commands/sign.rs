//! `sovai sign`: signatures over models and statements.

use crate::args::SignArgs;
use crate::ctx::Ctx;
use crate::error::CliError;
use crate::exit::Exit;

/// Runs the command.
pub(crate) fn run(_args: &SignArgs, _ctx: &Ctx) -> Result<Exit, CliError> {
    Err(CliError::new(Exit::Internal, "not built yet"))
}
