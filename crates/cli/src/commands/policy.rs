//! `sovai policy`: what a policy decides, and why.

use crate::args::PolicyArgs;
use crate::ctx::Ctx;
use crate::error::CliError;
use crate::exit::Exit;

/// Runs the command.
pub(crate) fn run(_args: &PolicyArgs, _ctx: &Ctx) -> Result<Exit, CliError> {
    Err(CliError::new(Exit::Internal, "not built yet"))
}
