//! `sovai keys`: key pairs.

use crate::args::KeysArgs;
use crate::ctx::Ctx;
use crate::error::CliError;
use crate::exit::Exit;

/// Runs the command.
pub(crate) fn run(_args: &KeysArgs, _ctx: &Ctx) -> Result<Exit, CliError> {
    Err(CliError::new(Exit::Internal, "not built yet"))
}
