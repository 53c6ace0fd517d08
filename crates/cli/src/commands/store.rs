//! `sovai store`: what lies in the store, whether it is right, and what can go. Needs no container engine.

mod list;
mod named;
mod path;

use crate::args::{StoreArgs, StoreCommand};
use crate::ctx::Ctx;
use crate::error::CliError;
use crate::exit::Exit;

/// Runs the command.
pub(crate) fn run(args: &StoreArgs, ctx: &Ctx) -> Result<Exit, CliError> {
    match &args.command {
        StoreCommand::List => list::run(ctx),
        StoreCommand::Path { name } => path::run(name, ctx),
    }
}
