//! Arguments of `catalog` and `init`.

use clap::{Args, Subcommand};
use std::path::PathBuf;

/// Arguments of `catalog`.
#[derive(Debug, Args)]
pub(crate) struct CatalogArgs {
    #[command(subcommand)]
    pub(crate) command: CatalogCommand,
}

/// What to do with the catalogue.
#[derive(Debug, Subcommand)]
pub(crate) enum CatalogCommand {
    /// List the models
    List,
}

/// Arguments of `init`.
#[derive(Debug, Args)]
pub(crate) struct InitArgs {
    /// The manifest to write
    #[arg(default_value = "manifest.yaml", value_name = "MANIFEST")]
    pub(crate) manifest: PathBuf,
}
