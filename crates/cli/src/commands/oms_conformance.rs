//! `sovai oms-conformance`: the adapter of the conformance suite of OpenSSF Model Signing.

use crate::args::ConformanceArgs;
use crate::ctx::Ctx;
use crate::error::CliError;
use crate::exit::Exit;

/// Runs the command.
pub(crate) fn run(_args: &ConformanceArgs, _ctx: &Ctx) -> Result<Exit, CliError> {
    Err(CliError::new(Exit::Internal, "not built yet"))
}
