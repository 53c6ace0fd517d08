//! `sovai sign`: signatures over models and statements.

pub(super) mod model;
pub(super) mod output;
mod statement;

use crate::args::{SignArgs, SignCommand};
use crate::ctx::Ctx;
use crate::error::CliError;
use crate::exit::Exit;

/// Runs the command.
pub(crate) fn run(args: &SignArgs, ctx: &Ctx) -> Result<Exit, CliError> {
    match &args.command {
        SignCommand::Model { dir, signer, signature, certificate, chain, ignore, threads } => {
            let job = model::Job {
                dir,
                signer,
                signature,
                certificate: certificate.as_deref(),
                chain,
                ignore,
                threads: *threads,
            };
            model::run(&job, ctx)
        }
        SignCommand::Passport { passport, signer, signature } => {
            statement::passport(passport, signer, signature, ctx)
        }
        SignCommand::Bundle { volumes, signer, out } => {
            super::bundle::sign(volumes, signer, out.as_deref(), ctx)
        }
        SignCommand::Revocations { list, signer, out } => statement::revocations(list, signer, out, ctx),
    }
}
