//! Arguments of `pull` and `push`.

use clap::Args;
use std::path::PathBuf;

/// Arguments of `pull`.
#[derive(Debug, Args)]
pub(crate) struct PullArgs {
    /// The manifest
    #[arg(value_name = "MANIFEST")]
    pub(crate) manifest: PathBuf,
}

/// Arguments of `push`.
#[derive(Debug, Args)]
pub(crate) struct PushArgs {
    /// The manifest
    #[arg(value_name = "MANIFEST")]
    pub(crate) manifest: PathBuf,
    /// Where to, as in `oci://registry.example/ai/stack`
    #[arg(value_name = "REPOSITORY")]
    pub(crate) to: String,
}
