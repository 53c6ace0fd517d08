//! Arguments of `pull` and `push`.

use super::NetArgs;
use clap::Args;
use sovai_core::Name;
use std::num::{NonZeroU64, NonZeroUsize};
use std::path::PathBuf;

/// Arguments of `pull`.
#[derive(Debug, Args)]
pub(crate) struct PullArgs {
    /// The manifest
    #[arg(value_name = "MANIFEST")]
    pub(crate) manifest: PathBuf,
    /// Take everything from this repository, to which `push` brought it, as in `oci://registry.example/ai/stack`
    #[arg(long, value_name = "REPOSITORY")]
    pub(crate) from: Option<String>,
    /// Only this model; may be given several times. Images are left out then
    #[arg(long, value_name = "NAME", value_parser = name)]
    pub(crate) model: Vec<Name>,
    /// Write a passport of each model into this folder: NAME.passport.json
    #[arg(long, value_name = "DIR")]
    pub(crate) passport: Option<PathBuf>,
    /// Try the quickest of the source and its mirrors first, instead of their order
    #[arg(long)]
    pub(crate) by_speed: bool,
    /// The most bytes a second, over all requests: 20MiB
    #[arg(long, value_name = "SIZE", value_parser = super::verify::rate)]
    pub(crate) limit_rate: Option<NonZeroU64>,
    /// Threads that hash [default: one for each CPU]
    #[arg(long, value_name = "N", value_parser = super::threads)]
    pub(crate) threads: Option<NonZeroUsize>,
    #[command(flatten)]
    pub(crate) net: NetArgs,
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
    /// A repository of the same registry that may have the blobs already; may be given several times
    #[arg(long, value_name = "REPOSITORY")]
    pub(crate) mount_from: Vec<String>,
    /// The most bytes a second, over all requests: 20MiB
    #[arg(long, value_name = "SIZE", value_parser = super::verify::rate)]
    pub(crate) limit_rate: Option<NonZeroU64>,
    #[command(flatten)]
    pub(crate) net: NetArgs,
}

fn name(text: &str) -> Result<Name, String> {
    Name::new(text).map_err(|error| error.to_string())
}
