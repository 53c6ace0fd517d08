//! `verify-model` of the suite's contract.

use super::{Keyless, Method, keyless, missing, under};
use crate::commands::sign::model::certificates;
use crate::ctx::Ctx;
use crate::error::{CliError, as_data};
use crate::exit::Exit;
use crate::findings;
use crate::input::read_bounded;
use crate::keys;
use crate::output::safe_line;
use sovai_pki::Pin;
use sovai_signing::PublicKey;
use sovai_signing::json::Limits;
use sovai_signing::oms::{Bundle, Compat, Material, OmsError, Signed};
use sovai_verifier::{Finding, Links, Options, Reread, SignedList, verify_signed};
use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};

/// The suite's arguments.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Kind of signature
    #[arg(long, value_enum)]
    method: Method,
    /// The model
    #[arg(long)]
    model_path: PathBuf,
    /// The signature
    #[arg(long)]
    bundle: PathBuf,
    /// The signer's public key
    #[arg(long)]
    public_key: Option<PathBuf>,
    /// Trust anchors and intermediate certificates
    #[arg(long, num_args = 1..)]
    cert_chain: Vec<PathBuf>,
    /// Paths that need not be signed
    #[arg(long, num_args = 1..)]
    ignore_paths: Vec<PathBuf>,
    /// Files that are not signed do not count
    #[arg(long)]
    ignore_unsigned_files: bool,
    #[command(flatten)]
    keyless: Keyless,
}

/// Runs it.
pub(super) fn run(args: &Args, ctx: &Ctx) -> Result<Exit, CliError> {
    let text = read_bounded(&args.bundle, Limits::BUNDLE.bytes, "signature")?;
    let bundle = Bundle::parse(&text, Compat::Compat)?;
    drop(text);
    let signed = match args.method {
        Method::Sigstore => return Err(keyless()),
        Method::Key => {
            let key = keys::public(args.public_key.as_deref().ok_or_else(|| missing("--public-key"))?)?;
            bundle.verify_key(&key)?
        }
        Method::Certificate => by_certificate(args, &bundle)?,
    };
    for tolerated in &signed.tolerated {
        ctx.out.say(&safe_line(&format!("tolerated ({}): {}", tolerated.code, tolerated.text)));
    }
    let ignored =
        args.ignore_paths.iter().map(|path| under(&args.model_path, path)).collect::<Result<Vec<_>, _>>()?;
    let list = SignedList { signed: &signed, signature: Some(&args.bundle), links: Links::InsideRoot };
    let options = Options {
        cancel: ctx.interrupt()?.cancel(),
        reread: Reread::Full,
        ..Options::new(ctx.threads(None))
    };
    let reporter = ctx.reporter();
    let report = verify_signed(&args.model_path, &list, &options, None, &*reporter)?.report;
    drop(reporter);
    let is_excused = |path: &str| {
        args.ignore_unsigned_files
            || ignored.iter().any(|at| {
                path.strip_prefix(at.as_str()).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
            })
    };
    let wrong: Vec<Finding> = report
        .findings
        .into_iter()
        .filter(|finding| !matches!(finding, Finding::Extra { path } if is_excused(path)))
        .collect();
    if wrong.is_empty() {
        return Ok(Exit::Done);
    }
    Err(CliError::new(Exit::Mismatch, "the model is not what was signed")
        .with_details(findings::text(&wrong))
        .with_findings(as_data(&wrong)))
}

fn by_certificate(args: &Args, bundle: &Bundle) -> Result<Signed, CliError> {
    let chain = match bundle.material() {
        Material::Chain(chain) => chain,
        Material::Keyless => return Err(keyless()),
        Material::Key { .. } | Material::KeyBytes { .. } => {
            return Err(OmsError::WrongMethod { expected: "certificate", found: "key" }.into());
        }
    };
    let mut given = Vec::new();
    for path in &args.cert_chain {
        given.extend(certificates(path)?);
    }
    let parted = sovai_pki::split_roots(given)?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_err(CliError::internal)?.as_secs();
    let judged = sovai_pki::verify(&sovai_pki::Request {
        chain,
        anchors: &parted.roots,
        intermediates: &parted.intermediates,
        // The contract has no argument that says whose certificate it must be.
        pin: &Pin::waived(),
        crls: &[],
        timestamps: bundle.timestamps(),
        tsa_anchors: &[],
        signature: bundle.signature(),
        signed_at: None,
        now,
        waive_code_signing: false,
    })?;
    let key = PublicKey::from_spki_der(&judged.spki_der).map_err(|error| {
        CliError::new(Exit::Refused, "the certificate's key cannot be used").source(&error)
    })?;
    Ok(bundle.verify_leaf(&key)?)
}
