//! Arguments of `verify`, and of every command that reads models.

use clap::Args;
use sovai_core::{ByteSize, SizeError};
use std::num::{NonZeroU64, NonZeroUsize};
use std::path::PathBuf;

/// How bytes are read.
#[derive(Debug, Args)]
pub(crate) struct ReadingArgs {
    /// Threads that hash [default: one for each CPU]
    #[arg(long, value_name = "N", value_parser = super::threads)]
    pub(crate) threads: Option<NonZeroUsize>,
    /// Read every byte again, also of files that are unchanged since they were verified
    #[arg(long)]
    pub(crate) full: bool,
    /// Read from the disk and not from the system's cache; implies --full
    #[arg(long)]
    pub(crate) from_disk: bool,
    /// Lower the priority, 0 to 19, so that others go first
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(0..=19))]
    pub(crate) nice: Option<u8>,
    /// Read at most so many bytes a second: 200MiB
    #[arg(long, value_name = "BYTES", value_parser = rate)]
    pub(crate) limit_rate: Option<NonZeroU64>,
}

/// A number of bytes that is not 0.
pub(super) fn rate(text: &str) -> Result<NonZeroU64, String> {
    let ByteSize(bytes) = text.parse().map_err(|error: SizeError| error.to_string())?;
    NonZeroU64::new(bytes).ok_or_else(|| "at 0 bytes a second nothing is ever read".to_owned())
}

#[derive(Debug, Args)]
#[command(
    after_long_help = "A target that ends in .yaml or .yml is a manifest: each of its models is compared with its \
    pins, its signatures and its policy. Anything else is a model's folder or file: its digests are listed, or compared \
    with --pins, with an OpenSSF --signature, or with a passport (--against)."
)]
pub(crate) struct VerifyArgs {
    /// A manifest, or a model's folder or file
    pub(crate) target: PathBuf,
    /// Compare a folder or file with the pins of this manifest's model
    #[arg(long, value_name = "MANIFEST[#MODEL]", conflicts_with_all = ["signature", "against"])]
    pub(crate) pins: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) signed: SignedArgs,
    #[command(flatten)]
    pub(crate) passport: PassportArgs,
    /// Judge by this policy
    #[arg(long, value_name = "FILE")]
    pub(crate) policy: Option<PathBuf>,
    /// Look into the tensors: pages of zeros, NaN and infinite values; warnings only
    #[arg(long)]
    pub(crate) scan: bool,
    /// Compare chat templates with those of this model or file, and show the difference
    #[arg(long, value_name = "PATH")]
    pub(crate) base: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) summary: SummaryArgs,
    #[command(flatten)]
    pub(crate) reading: ReadingArgs,
}

/// Verification of an OpenSSF signature over a folder.
#[derive(Debug, Args)]
#[command(next_help_heading = "OpenSSF model signature")]
pub(crate) struct SignedArgs {
    /// Verify this OpenSSF model signature
    #[arg(long, value_name = "S")]
    pub(crate) signature: Option<PathBuf>,
    /// The signer's public key, PEM
    #[arg(long, value_name = "P", conflicts_with = "ca")]
    pub(crate) key: Option<PathBuf>,
    /// Trust anchors of the signer's certificate, PEM
    #[arg(long, value_name = "CERT")]
    pub(crate) ca: Vec<PathBuf>,
    /// Further intermediate certificates, PEM
    #[arg(long, value_name = "CERT", requires = "ca")]
    pub(crate) intermediate: Vec<PathBuf>,
    /// The signer's certificate must have this subject, as RFC 4514 writes it: CN=Model release,O=Ministry
    #[arg(long, value_name = "NAME", requires = "ca")]
    pub(crate) subject: Option<String>,
    /// The signer's certificate must have this alternative name: a DNS name, URI or mail address
    #[arg(long, value_name = "NAME", requires = "ca")]
    pub(crate) san: Option<String>,
    /// The signer's certificate must have this key: SHA-256 of its SPKI, in hex
    #[arg(long, value_name = "HEX", requires = "ca")]
    pub(crate) spki: Option<String>,
    /// Certificate revocation lists, PEM or DER
    #[arg(long, value_name = "FILE", requires = "ca")]
    pub(crate) crl: Vec<PathBuf>,
    /// When it was signed, if you know it from elsewhere: 2026-11-24T12:00:00Z
    #[arg(long, value_name = "TIME", requires = "ca")]
    pub(crate) signed_at: Option<String>,
    /// Trust anchors of time stamps (RFC 3161), PEM
    #[arg(long, value_name = "CERT", requires = "ca")]
    pub(crate) tsa_ca: Vec<PathBuf>,
    /// Take old and odd forms of signatures too, and unsigned remainders; each is named
    #[arg(long)]
    pub(crate) compat: bool,
}

/// Passports.
#[derive(Debug, Args)]
#[command(next_help_heading = "Passport")]
pub(crate) struct PassportArgs {
    /// Write all digests of the model, from one read, into this file
    #[arg(long = "passport", value_name = "OUT")]
    pub(crate) out: Option<PathBuf>,
    /// Compare with this passport: parallel inside files, and damage is named to the tensor
    #[arg(long, value_name = "PASSPORT")]
    pub(crate) against: Option<PathBuf>,
    /// The passport's signature; its key is trusted by this store, or named with --key
    #[arg(long, value_name = "FILE", requires = "against")]
    pub(crate) passport_signature: Option<PathBuf>,
}

/// A signed summary of the verification.
#[derive(Debug, Args)]
#[command(next_help_heading = "Summary")]
pub(crate) struct SummaryArgs {
    /// Write a signed SLSA verification summary (VSA v1) into this file
    #[arg(long, value_name = "OUT")]
    pub(crate) vsa: Option<PathBuf>,
    /// The site's private key [default: the store's own, made when it is first needed]
    #[arg(long, value_name = "K", requires = "vsa")]
    pub(crate) site_key: Option<PathBuf>,
    /// The passphrase of an encrypted site key: the first line of this file
    #[arg(long, value_name = "FILE", requires = "site_key")]
    pub(crate) site_passphrase_file: Option<PathBuf>,
}
