//! Arguments of `keys`, `sign`, `trust`, `policy`, `export` and `oms-conformance`.

use clap::{Args, Subcommand, ValueEnum};
use std::ffi::OsString;
use std::path::PathBuf;

#[derive(Debug, Args)]
pub(crate) struct KeysArgs {
    #[command(subcommand)]
    pub(crate) command: KeysCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum KeysCommand {
    /// Make a key pair: OUT (PKCS#8 PEM, mode 0600) and OUT.pub (SPKI PEM)
    Generate {
        /// File of the private key; it must not be there yet
        #[arg(long, value_name = "K")]
        out: PathBuf,
        /// Kind of key
        #[arg(long, value_enum, default_value = "ed25519")]
        algorithm: KeyKind,
        /// Encrypt the private key with the passphrase in this file (its first line)
        #[arg(long, value_name = "FILE")]
        passphrase_file: Option<PathBuf>,
    },
}

/// Kind of a key pair.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum KeyKind {
    /// For sovai's own statements
    Ed25519,
    /// For statements and for OpenSSF model signatures
    P256,
}

/// A private key and what opens it.
#[derive(Debug, Args)]
pub(crate) struct SignerArgs {
    /// Private key: PKCS#8 or SEC1 PEM
    #[arg(long, value_name = "K")]
    pub(crate) key: PathBuf,
    /// The passphrase of an encrypted key: the first line of this file
    #[arg(long, value_name = "FILE")]
    pub(crate) passphrase_file: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct SignArgs {
    #[command(subcommand)]
    pub(crate) command: SignCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum SignCommand {
    /// Sign a model's folder as OpenSSF Model Signing v1.0 has it
    Model {
        /// The model's folder, or its one file
        dir: PathBuf,
        #[command(flatten)]
        signer: SignerArgs,
        /// File of the signature; it may lie in the folder, which then does not count it
        #[arg(long, value_name = "OUT")]
        signature: PathBuf,
        /// Certificate of the key, PEM; the signature then carries it
        #[arg(long, value_name = "CERT")]
        certificate: Option<PathBuf>,
        /// Intermediate certificates, PEM, nearest to the leaf first
        #[arg(long, value_name = "CERT", requires = "certificate")]
        chain: Vec<PathBuf>,
        /// A path under the folder that is not to be signed; verifiers report what lies there as an unsigned remainder
        #[arg(long, value_name = "PATH")]
        ignore: Vec<String>,
        /// Threads that hash [default: one for each CPU]
        #[arg(long, value_name = "N", value_parser = super::threads)]
        threads: Option<std::num::NonZeroUsize>,
    },
    /// Sign a passport: a DSSE envelope with an in-toto statement
    Passport {
        /// The passport, as `verify --passport` wrote it
        passport: PathBuf,
        #[command(flatten)]
        signer: SignerArgs,
        /// File of the signature
        #[arg(long, value_name = "OUT")]
        signature: PathBuf,
    },
    /// Sign a bundle's index, besides who signed it before; no volume is written anew
    Bundle {
        #[command(flatten)]
        volumes: super::VolumesArgs,
        #[command(flatten)]
        signer: SignerArgs,
        /// Write the signature here instead of onto the volumes, which may be read-only
        #[arg(long = "out", value_name = "OUT")]
        out: Option<PathBuf>,
    },
    /// Sign a list of revoked keys and models, for `trust revoke --list`
    Revocations {
        /// The list: JSON, as docs/trust.md shows; or a signed list, to which this signature is added
        list: PathBuf,
        #[command(flatten)]
        signer: SignerArgs,
        /// File of the signed list
        #[arg(long, value_name = "OUT")]
        out: PathBuf,
    },
}

#[derive(Debug, Args)]
pub(crate) struct TrustArgs {
    #[command(subcommand)]
    pub(crate) command: TrustCommand,
}

/// What a trusted key may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum RoleArg {
    /// Publishes models: its signatures give the level `publisher`
    Publisher,
    /// Vouches for models that somebody else published: `countersigned`
    Countersigner,
    /// Signs bundles
    Bundle,
    /// Decides at the border
    Border,
    /// Signs this site's own evidence and verification summaries
    Site,
    /// Signs lists of revocations
    Revocation,
}

#[derive(Debug, Subcommand)]
pub(crate) enum TrustCommand {
    /// Trust a public key in a role; the same key and role again changes its details
    Add {
        /// Public key, SPKI PEM
        file: PathBuf,
        /// What the key may do
        #[arg(long, value_enum, default_value = "countersigner")]
        role: RoleArg,
        /// A name for people
        #[arg(long)]
        name: Option<String>,
        /// Of a publisher: only for models whose manifest names this publisher
        #[arg(long, value_name = "NAME")]
        publisher: Option<String>,
        /// Last day on which the key is trusted, YYYY-MM-DD
        #[arg(long, value_name = "DATE")]
        expires: Option<String>,
    },
    /// List whom this store trusts
    List,
    /// Revoke a key for good, or take in a signed list of revocations
    #[command(group = clap::ArgGroup::new("what").required(true).args(["key", "list"]))]
    Revoke {
        /// Key id, or its first 8 digits at least, or a public key file
        key: Option<String>,
        /// Why, for the list
        #[arg(long, requires = "key")]
        reason: Option<String>,
        /// A list signed by a key with the role `revocation`; one older than the last is refused
        #[arg(long, value_name = "FILE")]
        list: Option<PathBuf>,
    },
    /// How many distinct keys of a role must sign
    Threshold {
        /// The role
        #[arg(value_enum)]
        role: RoleArg,
        /// How many
        #[arg(value_parser = clap::value_parser!(u32).range(1..=16))]
        keys: u32,
    },
    /// Record that a model's digests were seen at a source, for the level `corroborated`
    Witness {
        /// A model's folder, or a list of digests (SHA256SUMS, a hub's file list as JSON, a passport)
        seen: PathBuf,
        /// Where they were seen: hf:ORG/NAME@REV, modelscope:ORG/NAME@REV, or an https address
        #[arg(long, value_name = "SOURCE")]
        at: String,
        #[command(flatten)]
        reading: super::ReadingArgs,
    },
    /// Print the fingerprint of a public key, to compare over another channel
    Fingerprint {
        /// Public key, SPKI PEM
        file: PathBuf,
        /// Write the QR code into this file too, as SVG
        #[arg(long, value_name = "FILE")]
        svg: Option<PathBuf>,
    },
}

#[derive(Debug, Args)]
pub(crate) struct PolicyArgs {
    #[command(subcommand)]
    pub(crate) command: PolicyCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum PolicyCommand {
    /// Check a policy file; with a manifest or a model's folder also what it decides about it
    Check {
        /// The policy; the built-in one when left out
        #[arg(long, value_name = "FILE")]
        policy: Option<PathBuf>,
        /// A manifest, or a model's folder
        target: Option<PathBuf>,
    },
    /// Explain a rule's code, or print the built-in policy
    Explain {
        /// The code: SOV1001; the built-in policy when left out
        code: Option<String>,
    },
}

#[derive(Debug, Args)]
pub(crate) struct ExportArgs {
    #[command(subcommand)]
    pub(crate) command: ExportCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ExportCommand {
    /// Write SHA256SUMS and a shell script that verify a signed model without sovai
    Checks {
        /// The model's folder
        dir: PathBuf,
        /// Its OpenSSF signature
        #[arg(long, value_name = "S")]
        signature: PathBuf,
        /// The signer's public key
        #[arg(long, value_name = "P")]
        key: PathBuf,
        /// Folder for SHA256SUMS, check.sh and copies of signature and key
        #[arg(long, value_name = "DIR")]
        out: PathBuf,
    },
    /// Write the bill of materials of a stack, or of sovai itself: CycloneDX 1.6
    #[expect(clippy::doc_markdown, reason = "it is shown to people, without marks")]
    #[command(group = clap::ArgGroup::new("what").required(true).args(["manifest", "own"]))]
    Sbom {
        /// The manifest
        manifest: Option<PathBuf>,
        /// Of this program instead
        #[arg(long = "self")]
        own: bool,
        /// The file
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
    },
    /// Write where this program comes from: a statement of SLSA provenance v1 about it
    Provenance {
        /// The file
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
    },
}

/// What the conformance suite of OpenSSF Model Signing calls; its own contract, passed on as it is.
#[derive(Debug, Args)]
pub(crate) struct ConformanceArgs {
    /// sign-model, verify-model or capabilities, and their options
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    pub(crate) arguments: Vec<OsString>,
}

#[derive(Debug, Args)]
pub(crate) struct InspectArgs {
    /// A safetensors or GGUF file, a model's folder, a signature or a passport
    pub(crate) path: PathBuf,
    /// List every tensor
    #[arg(long)]
    pub(crate) tensors: bool,
    /// Compare chat templates with those of this model or file
    #[arg(long, value_name = "PATH")]
    pub(crate) base: Option<PathBuf>,
}
