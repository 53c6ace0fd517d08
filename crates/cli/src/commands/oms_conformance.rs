//! `sovai oms-conformance`: the adapter that the conformance suite of OpenSSF Model Signing calls
//! (ossf/model-signing-spec). Exit code only; what is said is for people.
//!
//! The suite's contract is laxer than `sovai verify` in three ways, which hold here and nowhere else: old forms of bundles
//! are read, files under the signed list of ignored paths are not held against a model, and a certificate is believed
//! whoever it is for, because the contract has no argument that names the signer.

mod verify;

use super::sign::model::{self, Job, certificates};
use crate::args::{ConformanceArgs, SignerArgs};
use crate::ctx::Ctx;
use crate::error::CliError;
use crate::exit::Exit;
use crate::keys;
use clap::{Parser, Subcommand, ValueEnum};
use serde_json::json;
use std::path::{Path, PathBuf};

/// The suite's own command line.
#[derive(Debug, Parser)]
#[command(name = "sovai oms-conformance", no_binary_name = true, disable_version_flag = true)]
struct Adapter {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Sign a model
    SignModel {
        /// Kind of signature
        #[arg(long, value_enum)]
        method: Method,
        /// The model
        #[arg(long)]
        model_path: PathBuf,
        /// File of the signature
        #[arg(long)]
        output_bundle: PathBuf,
        /// Private key
        #[arg(long)]
        private_key: Option<PathBuf>,
        /// Certificate of the key
        #[arg(long)]
        signing_cert: Option<PathBuf>,
        /// Further certificates
        #[arg(long, num_args = 1..)]
        cert_chain: Vec<PathBuf>,
        /// Paths that are not signed, absolute or relative to the working folder
        #[arg(long, num_args = 1..)]
        ignore_paths: Vec<PathBuf>,
        #[command(flatten)]
        keyless: Keyless,
    },
    /// Verify a model
    VerifyModel(verify::Args),
    /// Say what this adapter can do
    Capabilities,
}

/// Kinds of signatures.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Method {
    Key,
    Certificate,
    /// Keyless; always refused.
    Sigstore,
}

/// What the suite says about keyless signatures; taken, so that the refusal names the reason.
#[derive(Debug, clap::Args)]
struct Keyless {
    #[arg(long, hide = true)]
    identity_token: Option<String>,
    #[arg(long, hide = true)]
    identity: Option<String>,
    #[arg(long, hide = true)]
    identity_provider: Option<String>,
    #[arg(long, hide = true)]
    use_staging: bool,
}

/// Runs the command.
pub(crate) fn run(args: &ConformanceArgs, ctx: &Ctx) -> Result<Exit, CliError> {
    let adapter = match Adapter::try_parse_from(&args.arguments) {
        Ok(adapter) => adapter,
        Err(help) if !help.use_stderr() => {
            ctx.out.data(help.to_string().as_bytes())?;
            return Ok(Exit::Done);
        }
        Err(error) => {
            let message = error.to_string();
            let first = message.lines().next().unwrap_or_default().trim_start_matches("error: ");
            return Err(CliError::new(Exit::Usage, first.to_owned()).hint("sovai oms-conformance --help"));
        }
    };
    match adapter.command {
        Command::SignModel {
            method,
            model_path,
            output_bundle,
            private_key,
            signing_cert,
            cert_chain,
            ignore_paths,
            keyless: _,
        } => {
            if method == Method::Sigstore {
                return Err(keyless());
            }
            let key_path = private_key.ok_or_else(|| missing("--private-key"))?;
            let key = keys::private(&key_path, None)?;
            let chain = match method {
                Method::Certificate => {
                    let leaf = signing_cert.as_deref().ok_or_else(|| missing("--signing-cert"))?;
                    Some(chain(leaf, &cert_chain)?)
                }
                _ => None,
            };
            let ignore =
                ignore_paths.iter().map(|path| under(&model_path, path)).collect::<Result<Vec<_>, _>>()?;
            let job = Job {
                dir: &model_path,
                signer: &SignerArgs { key: key_path, passphrase_file: None },
                signature: &output_bundle,
                certificate: None,
                chain: &[],
                ignore: &ignore,
                threads: None,
            };
            model::sign(&job, &key, chain, ctx)?;
            Ok(Exit::Done)
        }
        Command::VerifyModel(args) => verify::run(&args, ctx),
        Command::Capabilities => {
            ctx.out.json_line(&json!({
                "methods": ["key", "certificate"],
                "hash_algorithms": ["sha256"],
                "serialization_methods": ["files"],
                "benchmark_model": false,
            }))?;
            Ok(Exit::Done)
        }
    }
}

/// The signer's certificates; one that stands in both places is taken once.
fn chain(leaf: &Path, more: &[PathBuf]) -> Result<Vec<Vec<u8>>, CliError> {
    let mut all = certificates(leaf)?;
    for path in more {
        for der in certificates(path)? {
            if !all.contains(&der) {
                all.push(der);
            }
        }
    }
    Ok(all)
}

/// The path under the model, as names in signatures are.
fn under(model: &Path, path: &Path) -> Result<String, CliError> {
    let whole = |path: &Path| {
        std::path::absolute(path)
            .map_err(|error| CliError::new(Exit::Usage, "a path is of no use").source(&error))
    };
    let (model, path) = (whole(model)?, whole(path)?);
    let inside = path.strip_prefix(&model).ok().and_then(Path::to_str).filter(|inside| !inside.is_empty());
    inside.map(str::to_owned).ok_or_else(|| {
        CliError::new(Exit::Usage, "an ignored path is not under the model")
            .hint("name a path inside --model-path")
    })
}

fn missing(option: &str) -> CliError {
    CliError::new(Exit::Usage, format!("{option} is needed for this method"))
}

fn keyless() -> CliError {
    sovai_signing::oms::OmsError::Keyless.into()
}
