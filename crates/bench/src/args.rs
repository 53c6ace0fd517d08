//! The command line.

use clap::{Parser, Subcommand};
use std::net::SocketAddr;
use std::path::PathBuf;

/// Measure sovai side by side with its peers
#[derive(Debug, Parser)]
#[command(name = "sovai-bench", version, disable_help_subcommand = true)]
pub(crate) struct Cli {
    /// The program under test, a release build
    #[arg(
        long,
        global = true,
        env = "SOVAI_BIN",
        value_name = "FILE",
        default_value = "target/x86_64-unknown-linux-gnu/release/sovai"
    )]
    pub(crate) sovai: PathBuf,
    /// Where temporary folders are made; about 4.5 GiB are needed, on a disk that the container engine sees too
    #[arg(
        long,
        global = true,
        value_name = "DIR",
        help = "Where temporary folders are made, 4.5 GiB [default: $TMPDIR]"
    )]
    pub(crate) dir: Option<PathBuf>,
    /// Image of the inference engine
    #[arg(
        long,
        global = true,
        env = "SOVAI_ENGINE_IMAGE",
        value_name = "IMAGE",
        default_value = "sovai/engine-llama-cpp:local"
    )]
    pub(crate) image: String,
    /// Weights that it loads
    #[arg(
        long,
        global = true,
        value_name = "FILE",
        default_value = "manifests/weights/SmolLM2-135M-Instruct.Q4_1.gguf"
    )]
    pub(crate) weights: PathBuf,
    /// Python with `model_signing`
    #[arg(long, global = true, env = "SOVAI_WITNESS", value_name = "FILE", default_value = "python3")]
    pub(crate) witness: PathBuf,
    /// The program `b3sum`
    #[arg(long, global = true, value_name = "FILE", default_value = "b3sum")]
    pub(crate) b3sum: PathBuf,
    /// The verifier's example `throughput`, a release build
    #[arg(
        long,
        global = true,
        value_name = "FILE",
        default_value = "target/x86_64-unknown-linux-gnu/release/examples/throughput"
    )]
    pub(crate) throughput: PathBuf,
    /// Rounds behind each median
    #[arg(long, global = true, value_name = "N", default_value_t = 5, value_parser = rounds)]
    pub(crate) rounds: usize,
    /// Longest wait for an idle machine before each round
    #[arg(long, global = true, value_name = "SECONDS", default_value_t = 60)]
    pub(crate) wait_idle: u64,
    /// Small and short: show that it works, measure nothing
    #[arg(long, global = true)]
    pub(crate) quick: bool,
    /// Write the figures as JSON
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,
    /// Rewrite the block of figures in this page
    #[arg(long, global = true, value_name = "FILE", num_args = 0..=1, default_missing_value = "docs/benchmarks.md")]
    pub(crate) docs: Option<PathBuf>,
    #[command(subcommand)]
    pub(crate) part: Part,
}

/// What is measured.
#[derive(Debug, Subcommand)]
pub(crate) enum Part {
    /// Verification against `openssl dgst -sha256`
    Verify,
    /// A model signature against the reference implementation
    Signed,
    /// Chunks of one large file against `b3sum`; two digests in one read
    Tree,
    /// A folder of 149 GiB, and one of 200,000 files
    Shape,
    /// A deploy against `docker-compose up -d`
    Deploy,
    /// The gateway against nginx
    Gateway,
    /// A lock of 595 GB in 62 shards, as a hub lists it
    Lock,
    /// A pull from nginx against `curl` and `sync`
    Pull,
    /// Size and start of the binary
    Start,
    /// Everything
    All,
    /// The server behind the gateways
    #[command(hide = true)]
    Upstream {
        /// Where it listens
        #[arg(long)]
        listen: SocketAddr,
    },
}

fn rounds(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(rounds @ 1..=1000) => Ok(rounds),
        _ => Err("a number from 1 to 1000".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;

    #[test]
    fn the_definition_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn docs_have_a_usual_place() {
        let cli = Cli::try_parse_from(["sovai-bench", "all", "--docs"]).unwrap();
        assert_eq!(cli.docs.unwrap(), PathBuf::from("docs/benchmarks.md"));
        assert!(Cli::try_parse_from(["sovai-bench", "all", "--rounds", "0"]).is_err());
    }
}
