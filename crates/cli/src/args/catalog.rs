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
    /// All that is known of a model, each fact with its source and date
    Show {
        /// Id of the model, as `catalog list` shows it
        id: String,
    },
    /// Find models by words of their name, family, publisher, licence, precision, engine or accelerator
    Search {
        /// The words; all of them are wanted
        #[arg(required = true, value_name = "TEXT")]
        text: Vec<String>,
    },
}

/// Arguments of `init`.
#[derive(Debug, Args)]
pub(crate) struct InitArgs {
    /// The manifest to write
    #[arg(default_value = "manifest.yaml", value_name = "MANIFEST")]
    pub(crate) manifest: PathBuf,
    /// A model of the catalogue; without one a skeleton is written
    #[arg(long, value_name = "ID")]
    pub(crate) model: Option<String>,
    /// Accelerators of the host, a count and a card: 8xH200
    #[arg(long, value_name = "COUNTxCARD", requires = "model")]
    pub(crate) accelerators: Option<String>,
    /// Which checkpoint of the model [default: the first that fits the accelerators]
    #[arg(long, value_name = "VARIANT", requires = "model")]
    pub(crate) variant: Option<String>,
    /// Which engine serves it [default: the first that the catalogue has for it]
    #[arg(long, value_name = "ENGINE", requires = "model")]
    pub(crate) engine: Option<String>,
    /// Write over a file that is there
    #[arg(long)]
    pub(crate) force: bool,
}
