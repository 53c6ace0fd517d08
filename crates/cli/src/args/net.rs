//! Arguments of commands that reach outside: registries, certificates, how many requests at once.

use clap::Args;
use std::num::NonZeroUsize;
use std::path::PathBuf;

/// How to reach outside.
#[derive(Debug, Args)]
#[command(next_help_heading = "Network")]
pub(crate) struct NetArgs {
    /// Requests at once, over all files
    #[arg(short = 'j', long = "jobs", value_name = "N", default_value = "8", value_parser = jobs)]
    pub(crate) jobs: NonZeroUsize,
    /// Further certificate authorities, PEM
    #[arg(long, value_name = "FILE")]
    pub(crate) ca_cert: Vec<PathBuf>,
    /// The registry of images whose names begin with none, as HOST[:PORT]
    #[arg(long, value_name = "HOST", value_parser = host)]
    pub(crate) registry: Option<String>,
}

/// More connections than this are a slip of the keyboard.
const MAX_JOBS: usize = 256;

fn jobs(text: &str) -> Result<NonZeroUsize, String> {
    let wrong = || format!("expected a number from 1 to {MAX_JOBS}");
    text.parse().ok().filter(|number: &NonZeroUsize| number.get() <= MAX_JOBS).ok_or_else(wrong)
}

fn host(text: &str) -> Result<String, String> {
    if sovai_core::is_registry_host(text) {
        Ok(text.to_owned())
    } else {
        Err("expected HOST or HOST:PORT, without a scheme".to_owned())
    }
}
