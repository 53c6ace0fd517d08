//! `sovai evidence`: the signed log of what was done.

use crate::args::{EvidenceArgs, EvidenceCommand};
use crate::ctx::Ctx;
use crate::error::CliError;
use crate::exit::Exit;

/// Runs the command.
pub(crate) fn run(args: &EvidenceArgs, _ctx: &Ctx) -> Result<Exit, CliError> {
    match &args.command {
        EvidenceCommand::Export { .. } | EvidenceCommand::Verify { .. } => {
            Err(CliError::new(Exit::Internal, "this part of sovai is not built yet"))
        }
    }
}
