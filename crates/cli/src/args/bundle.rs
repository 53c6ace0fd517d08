//! Arguments of `bundle`, `sign bundle` and `evidence`.

use super::SignerArgs;
use clap::{Args, Subcommand};
use std::num::{NonZeroU64, NonZeroUsize};
use std::path::PathBuf;

/// Arguments of `bundle`.
#[derive(Debug, Args)]
pub(crate) struct BundleArgs {
    #[command(subcommand)]
    pub(crate) command: BundleCommand,
}

/// What to do with a bundle.
#[derive(Debug, Subcommand)]
pub(crate) enum BundleCommand {
    /// Write a stack, whole and signed, onto volumes
    Create(Box<BundleCreateArgs>),
    /// Tell what a bundle holds and who signed it; needs no key and no space
    Inspect {
        #[command(flatten)]
        volumes: VolumesArgs,
    },
    /// Check volumes, any of them and in any order: damage is named by volume and chunk
    Verify {
        #[command(flatten)]
        volumes: VolumesArgs,
        /// Threads that hash [default: one for each CPU]
        #[arg(long, value_name = "N", value_parser = super::threads)]
        threads: Option<NonZeroUsize>,
    },
    /// Bring a bundle into the store, one volume after the other or all at once
    Import {
        #[command(flatten)]
        volumes: VolumesArgs,
        /// The policy that decides about it, instead of the one that it brings
        #[arg(long, value_name = "FILE")]
        policy: Option<PathBuf>,
        /// Folder into which the manifest and what belongs to it are written, besides the store
        #[arg(long, value_name = "DIR")]
        out: Option<PathBuf>,
        /// Forget what was brought in of a bundle that is not whole, and leave nothing of it
        #[arg(long)]
        abort: bool,
        /// Threads that hash [default: one for each CPU]
        #[arg(long, value_name = "N", value_parser = super::threads)]
        threads: Option<NonZeroUsize>,
    },
    /// Make lost or damaged volumes again from the others and from parity
    Repair {
        /// The folder that the volumes lie in, and patches beside them
        folder: PathBuf,
        /// Folder into which every volume that is not whole is written, instead of mending it where it lies
        #[arg(long, value_name = "DIR")]
        out: Option<PathBuf>,
        /// A patch that the other side sent, when it does not lie in the folder
        #[arg(long, value_name = "PATCH")]
        patch: Vec<PathBuf>,
        /// Threads that compute [default: one for each CPU]
        #[arg(long, value_name = "N", value_parser = super::threads)]
        threads: Option<NonZeroUsize>,
    },
    /// Print what must be sent again, to be read over a telephone
    Request {
        #[command(flatten)]
        volumes: VolumesArgs,
        /// Write its QR code to a file, too: an SVG picture
        #[arg(long, value_name = "FILE")]
        svg: Option<PathBuf>,
        /// Threads that hash [default: one for each CPU]
        #[arg(long, value_name = "N", value_parser = super::threads)]
        threads: Option<NonZeroUsize>,
    },
    /// Let a bundle pass the border: a signed decision
    Approve(DecisionArgs),
    /// Hold a bundle back at the border: a signed decision
    Reject(DecisionArgs),
}

/// Volumes of a bundle.
#[derive(Debug, Args)]
pub(crate) struct VolumesArgs {
    /// Volumes: their folders, a payload or `bundle.json` in one, or one folder that holds them
    #[arg(required = true, value_name = "VOLUME")]
    pub(crate) volumes: Vec<PathBuf>,
    /// A further signature over the index, as `sign bundle` wrote it
    #[arg(long, value_name = "FILE")]
    pub(crate) signature: Vec<PathBuf>,
    /// A further decision of a border officer, as `bundle approve` wrote it
    #[arg(long, value_name = "FILE")]
    pub(crate) decision: Vec<PathBuf>,
}

/// Arguments of `bundle create`.
#[derive(Debug, Args)]
pub(crate) struct BundleCreateArgs {
    /// The manifest
    pub(crate) manifest: PathBuf,
    /// Folder into which the volumes are written
    #[arg(long, value_name = "DIR")]
    pub(crate) out: PathBuf,
    /// Bound of a whole volume: 4GiB, 2TB, or a medium: cd, dvd, dvd-dl, bd25, bd50, bd100, fat32 [default: one volume]
    #[arg(long, value_name = "SIZE")]
    pub(crate) volume_size: Option<String>,
    /// Volumes of parity: any as many lost volumes can be made again
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = clap::value_parser!(u16).range(0..=255))]
    pub(crate) parity: u16,
    /// What the other side has: a bundle, a lock, or the list that `store export-list` wrote there
    #[arg(long, value_name = "OLD")]
    pub(crate) base: Option<PathBuf>,
    /// Place in the row of this stack's bundles [default: seconds since 1970]
    #[arg(long, value_name = "N")]
    pub(crate) sequence: Option<NonZeroU64>,
    /// Write only what this request names, as `bundle request` printed it: a file, or - for standard input. The bundle lies in
    /// --out
    #[arg(long, value_name = "REQUEST")]
    pub(crate) only: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) signer: SignerArgs,
    /// A passport, a signature over a model, or another statement that goes along
    #[arg(long, value_name = "FILE")]
    pub(crate) attach: Vec<PathBuf>,
    /// The program that goes along, where the other side needs that of another architecture [default: this one]
    #[arg(long, value_name = "FILE")]
    pub(crate) program: Option<PathBuf>,
    /// Say what would be written, and on which media; write nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Threads that hash [default: one for each CPU]
    #[arg(long, value_name = "N", value_parser = super::threads)]
    pub(crate) threads: Option<NonZeroUsize>,
}

/// Arguments of `bundle approve` and `bundle reject`.
#[derive(Debug, Args)]
pub(crate) struct DecisionArgs {
    #[command(flatten)]
    pub(crate) volumes: VolumesArgs,
    /// Why
    #[arg(long, value_name = "TEXT")]
    pub(crate) reason: String,
    #[command(flatten)]
    pub(crate) signer: SignerArgs,
    /// Approve although volumes are missing: the decision says which ones were here
    #[arg(long)]
    pub(crate) incomplete: bool,
    /// Write the decision here instead of onto the volumes, which may be read-only
    #[arg(long, value_name = "FILE")]
    pub(crate) out: Option<PathBuf>,
    /// Write the page to print here, HTML
    #[arg(long, value_name = "FILE")]
    pub(crate) page: Option<PathBuf>,
    /// Threads that hash [default: one for each CPU]
    #[arg(long, value_name = "N", value_parser = super::threads)]
    pub(crate) threads: Option<NonZeroUsize>,
}

/// Arguments of `evidence`.
#[derive(Debug, Args)]
pub(crate) struct EvidenceArgs {
    #[command(subcommand)]
    pub(crate) command: EvidenceCommand,
}

/// What to do with the evidence log.
#[derive(Debug, Subcommand)]
pub(crate) enum EvidenceCommand {
    /// Write the log, reports as JSON and one page for an auditor into a folder
    Export {
        /// The folder; it must not be there, or be empty
        #[arg(long, value_name = "DIR")]
        out: PathBuf,
        /// Only what is about this stack
        #[arg(long, value_name = "STACK")]
        stack: Option<sovai_core::Name>,
    },
    /// Find any change, removal or reordering
    Verify {
        /// A folder that `evidence export` wrote; the store's own log when left out
        folder: Option<PathBuf>,
        /// Public key of the site that wrote it, SPKI PEM; more than once where it had others before [default: this store's]
        #[arg(long, value_name = "FILE")]
        key: Vec<PathBuf>,
    },
}
