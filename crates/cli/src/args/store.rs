//! Arguments of `store`.

use clap::{Args, Subcommand};
use std::num::{NonZeroU64, NonZeroUsize};
use std::path::PathBuf;

/// Arguments of `store`.
#[derive(Debug, Args)]
pub(crate) struct StoreArgs {
    #[command(subcommand)]
    pub(crate) command: StoreCommand,
}

/// What to do with the store.
#[derive(Debug, Subcommand)]
pub(crate) enum StoreCommand {
    /// List models, images, unfinished downloads, and what nothing names
    List,
    /// Read every blob again, and look whether everything is there and whole
    Verify {
        /// Threads that hash [default: one for each CPU]
        #[arg(long, value_name = "N", value_parser = super::threads)]
        threads: Option<NonZeroUsize>,
        /// Read from the disk and not from the system's cache
        #[arg(long)]
        from_disk: bool,
        /// Lower the priority, 0 to 19, so that others go first
        #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(0..=19))]
        nice: Option<u8>,
        /// Read at most so many bytes a second: 200MiB
        #[arg(long, value_name = "BYTES", value_parser = super::verify::rate)]
        limit_rate: Option<NonZeroU64>,
        /// Remove blobs that are damaged, so that `sovai pull` brings them again
        #[arg(long)]
        remove_damaged: bool,
    },
    /// Remove what no lock, no deployed stack and no bundle in the making names
    Prune {
        /// Change nothing; say what would go
        #[arg(long)]
        dry_run: bool,
        /// Remove unfinished downloads too, also those that a lock names
        #[arg(long)]
        partial: bool,
        /// What this manifest names counts no longer; for one whose folder is gone for good
        #[arg(long, value_name = "MANIFEST")]
        forget: Vec<PathBuf>,
    },
    /// Write which blobs the store has, for `bundle create --base` on the other side
    ExportList {
        /// File of the list
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
    },
    /// Print where a model lies, or how other tools name an image of the store
    Path {
        /// STACK/MODEL, the name of a model, a model digest; or the name or ID of an image
        name: String,
    },
}
