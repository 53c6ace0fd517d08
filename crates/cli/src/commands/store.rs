//! `sovai store`: what lies in the store, whether it is right, and what can go. Needs no container engine.

mod export_list;
mod list;
mod named;
mod path;
mod prune;
mod verify;

use crate::args::{ReadingArgs, StoreArgs, StoreCommand};
use crate::ctx::Ctx;
use crate::error::CliError;
use crate::exit::Exit;
use sovai_core::Sha256;
use sovai_store::Store;
use std::collections::BTreeSet;

/// Runs the command.
pub(crate) fn run(args: &StoreArgs, ctx: &Ctx) -> Result<Exit, CliError> {
    match &args.command {
        StoreCommand::List => list::run(ctx),
        StoreCommand::Verify { threads, from_disk, nice, limit_rate, remove_damaged } => {
            let (threads, from_disk, nice, limit_rate) = (*threads, *from_disk, *nice, *limit_rate);
            let reading = ReadingArgs { threads, full: true, from_disk, nice, limit_rate };
            verify::run(&reading, *remove_damaged, ctx)
        }
        StoreCommand::Prune { dry_run, partial, forget } => {
            prune::run(&prune::Wish { dry_run: *dry_run, partial: *partial, forget }, ctx)
        }
        StoreCommand::ExportList { out } => export_list::run(out, ctx),
        StoreCommand::Path { name } => path::run(name, ctx),
    }
}

/// Blobs that belong to something that a manifest, a record of a stack or a bundle names.
pub(super) fn kept_blobs(store: &Store) -> Result<BTreeSet<Sha256>, CliError> {
    let mut named = named::look(store, &[])?;
    match named.broken.take() {
        Some(broken) => Err(broken),
        None => Ok(store.mark(&named.wanted).map_err(named::unmarked)?.kept),
    }
}
