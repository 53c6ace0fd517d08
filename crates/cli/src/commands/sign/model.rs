//! `sovai sign model`: OpenSSF Model Signing v1.0 over a folder or a file.

use super::output;
use crate::args::SignerArgs;
use crate::ctx::Ctx;
use crate::error::CliError;
use crate::exit::Exit;
use crate::input::read_bounded;
use crate::keys;
use crate::manifest::count;
use crate::output::{Outcome, safe_line};
use serde::Serialize;
use sovai_core::{FilePin, RelPath, Sha256, format_bytes};
use sovai_signing::oms::{self, Bundle, Compat, OmsError, SignRequest};
use sovai_signing::{KeyId, PrivateKey, PublicKey};
use sovai_verifier::{Options, Reread};
use std::fmt::Write as _;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

/// Most bytes of a file of certificates.
const MAX_CERTIFICATES: usize = 1 << 20;

/// What to sign and how.
pub(in crate::commands) struct Job<'a> {
    pub(in crate::commands) dir: &'a Path,
    pub(in crate::commands) signer: &'a SignerArgs,
    pub(in crate::commands) signature: &'a Path,
    pub(in crate::commands) certificate: Option<&'a Path>,
    pub(in crate::commands) chain: &'a [PathBuf],
    pub(in crate::commands) ignore: &'a [String],
    pub(in crate::commands) threads: Option<NonZeroUsize>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Body {
    model: String,
    signature: String,
    files: usize,
    bytes: u64,
    /// OMS' identity of the model.
    root: Sha256,
    key_id: KeyId,
    hint: String,
    certificate: bool,
    ignored: Vec<RelPath>,
}

/// Runs the command.
pub(super) fn run(job: &Job<'_>, ctx: &Ctx) -> Result<Exit, CliError> {
    let key = keys::private(&job.signer.key, job.signer.passphrase_file.as_deref())?;
    if !key.public().algorithm().is_oms() {
        return Err(CliError::from(OmsError::KeyKind(key.public().algorithm()))
            .hint("sovai keys generate --algorithm p256 --out K"));
    }
    let chain = chain(job, &key)?;
    let signed = sign(job, &key, chain, ctx)?;
    let mut text = String::new();
    let _ = writeln!(
        text,
        "signed: {}, {} of {}",
        safe_line(&job.signature.display().to_string()),
        count(signed.pins.len(), "file"),
        format_bytes(FilePin::total(&signed.pins)),
    );
    let _ = writeln!(text, "model: {}", signed.root);
    let _ = writeln!(text, "key id: {}", key.public().id());
    let ignored: Vec<String> = signed.ignored.iter().map(|path| safe_line(path.as_str())).collect();
    let _ = writeln!(text, "not covered: {}", ignored.join(", "));
    let body = Body {
        model: job.dir.display().to_string(),
        signature: job.signature.display().to_string(),
        files: signed.pins.len(),
        bytes: FilePin::total(&signed.pins),
        root: signed.root,
        key_id: key.public().id(),
        hint: key.public().oms_hint(),
        certificate: job.certificate.is_some(),
        ignored: signed.ignored,
    };
    ctx.finish(Outcome { exit: Exit::Done, findings: Vec::new(), body, text })
}

/// What was signed.
pub(in crate::commands) struct Done {
    pins: Vec<FilePin>,
    root: Sha256,
    ignored: Vec<RelPath>,
}

/// Hashes, signs, writes.
pub(in crate::commands) fn sign(
    job: &Job<'_>,
    key: &PrivateKey,
    chain: Option<Vec<Vec<u8>>>,
    ctx: &Ctx,
) -> Result<Done, CliError> {
    output::check(job.signature, |bytes| Bundle::parse(bytes, Compat::Compat).is_ok())?;
    let ignored = ignored(job)?;
    let options = Options {
        cancel: ctx.interrupt()?.cancel(),
        reread: Reread::Full,
        ..Options::new(ctx.threads(job.threads))
    };
    let reporter = ctx.reporter();
    let pins = sovai_verifier::digest_source_except(job.dir, &ignored, &options, &*reporter)?;
    drop(reporter);
    let files: Vec<(RelPath, Sha256)> = pins.iter().map(|pin| (pin.path.clone(), pin.sha256)).collect();
    let request = SignRequest {
        model_name: model_name(job.dir)?,
        files: &files,
        ignore_paths: ignored.clone(),
        key,
        chain,
    };
    let bundle = oms::sign(request)?;
    output::write(job.signature, &bundle)?;
    Ok(Done { root: oms::root_digest(&files), pins, ignored })
}

/// The base name of the model, also of `.` and of a path that ends in `..`.
fn model_name(dir: &Path) -> Result<String, CliError> {
    let whole = fs_err::canonicalize(dir)
        .map_err(|error| CliError::new(Exit::Unreachable, "the model cannot be looked at").source(&error))?;
    let name = whole.file_name().map(|name| name.to_string_lossy().into_owned());
    Ok(name.unwrap_or_else(|| "model".to_owned()))
}

/// What the signature says that it leaves out: what every signer leaves out, the signature's own file, what was asked for.
fn ignored(job: &Job<'_>) -> Result<Vec<RelPath>, CliError> {
    let mut all = Vec::new();
    let rel = |text: &str| {
        RelPath::new(text).map_err(|error| {
            CliError::new(Exit::Usage, format!("--ignore {}: {error}", safe_line(text)))
                .hint("name it as it stands under the model's folder: `logs`, `dir/file`")
        })
    };
    if job.dir.is_dir() {
        for name in oms::DEFAULT_IGNORES {
            all.push(rel(name)?);
        }
        if let Some(inside) = inside(job.dir, job.signature) {
            all.push(rel(&inside)?);
        }
    }
    for path in job.ignore {
        all.push(rel(path)?);
    }
    all.sort();
    all.dedup();
    Ok(all)
}

/// The path of `file`, which may not be there yet, under `folder`, if it is there.
fn inside(folder: &Path, file: &Path) -> Option<String> {
    let parent = match file.parent() {
        Some(parent) if parent != Path::new("") => parent,
        _ => Path::new("."),
    };
    let folder = fs_err::canonicalize(folder).ok()?;
    let file = fs_err::canonicalize(parent).ok()?.join(file.file_name()?);
    file.strip_prefix(folder).ok()?.to_str().map(str::to_owned)
}

/// The certificates that the signature is to carry, the key's own first.
fn chain(job: &Job<'_>, key: &PrivateKey) -> Result<Option<Vec<Vec<u8>>>, CliError> {
    let Some(certificate) = job.certificate else { return Ok(None) };
    let mut chain = certificates(certificate)?;
    let leaf = chain.first().map(|leaf| sovai_pki::public_key(leaf)).transpose()?.unwrap_or_default();
    let shown = safe_line(&certificate.display().to_string());
    match PublicKey::from_spki_der(&leaf) {
        Ok(found) if found == *key.public() => {}
        Ok(found) => {
            return Err(CliError::new(
                Exit::Refused,
                format!("certificate {shown} is not for this private key"),
            )
            .cause(format!("expected key {}, found {}", key.public().id(), found.id())));
        }
        Err(error) => {
            return Err(CliError::new(
                Exit::Refused,
                format!("certificate {shown} is not for this private key"),
            )
            .source(&error));
        }
    }
    for path in job.chain {
        chain.extend(certificates(path)?);
    }
    Ok(Some(chain))
}

/// Every certificate of a PEM file.
pub(in crate::commands) fn certificates(path: &Path) -> Result<Vec<Vec<u8>>, CliError> {
    let text = read_bounded(path, MAX_CERTIFICATES, "certificate")?;
    Ok(sovai_pki::read_certificates(&text, &safe_line(&path.display().to_string()))?)
}
