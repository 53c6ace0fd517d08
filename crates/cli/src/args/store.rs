//! Arguments of `store`.

use clap::{Args, Subcommand};

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
    /// Print where a model lies, or how other tools name an image of the store
    Path {
        /// STACK/MODEL, the name of a model, a model digest; or the name or ID of an image
        name: String,
    },
}
