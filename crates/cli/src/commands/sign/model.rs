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
use sovai_signing::oms::{self, Bundle, Compat, OmsError, SignRequest, Signed};
use sovai_signing::{KeyId, PrivateKey, PublicKey};
use sovai_verifier::{Links, Options, Reason, Remainder, Reread, SignedList};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

/// Most bytes of a file of certificates.
const MAX_CERTIFICATES: usize = 1 << 20;

/// Where `--local-dir` of a hub's tool keeps notes about the files beside them.
const HUB_NOTES: &str = ".cache/huggingface";
/// How many files that are not covered are named.
const FEW: usize = 3;

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
    /// Files that lie there and that the signature does not speak for.
    uncovered: Vec<Remainder>,
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
    let _ = writeln!(text, "root: {}", signed.root);
    let _ = writeln!(text, "key id: {}", key.public().id());
    let ignored: Vec<String> = signed.ignored.iter().map(|path| safe_line(path.as_str())).collect();
    if !ignored.is_empty() {
        let _ = writeln!(text, "ignored: {}", ignored.join(", "));
    }
    let uncovered = signed.unsigned(job, ctx)?;
    for (reason, found) in &uncovered.counts {
        let _ = writeln!(
            text,
            "not covered: {}, {reason}: {}",
            count(usize::try_from(*found).unwrap_or(usize::MAX), "file"),
            uncovered.named(*reason)
        );
    }
    if !uncovered.counts.is_empty() {
        ctx.out.warn(
            "`verify` refuses files that lie in the folder and are not covered (SOV3009): take them out before the \
             model is handed on, or verify with `--compat`, which reports them and goes on",
        );
    }
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
        uncovered: uncovered.items,
    };
    ctx.finish(Outcome { exit: Exit::Done, findings: Vec::new(), body, text })
}

/// What was signed.
pub(in crate::commands) struct Done {
    pins: Vec<FilePin>,
    root: Sha256,
    ignored: Vec<RelPath>,
    signed: Signed,
}

/// Files that `verify` will find and refuse.
struct Unsigned {
    counts: BTreeMap<Reason, u64>,
    items: Vec<Remainder>,
}

impl Done {
    fn unsigned(&self, job: &Job<'_>, ctx: &Ctx) -> Result<Unsigned, CliError> {
        let list = SignedList { signed: &self.signed, signature: Some(job.signature), links: Links::Refuse };
        let options = Options::new(ctx.threads(job.threads));
        let mut all = sovai_verifier::uncovered(job.dir, &list, &options)?;
        all.counts.retain(|reason, _| reason.is_unsigned());
        all.items.retain(|item| item.reason.is_unsigned());
        Ok(Unsigned { counts: all.counts, items: all.items })
    }
}

impl Unsigned {
    /// The first few files of a reason.
    fn named(&self, reason: Reason) -> String {
        let of = || self.items.iter().filter(|item| item.reason == reason);
        let mut names: Vec<String> = of().take(FEW).map(|item| safe_line(&item.path)).collect();
        let all = self.counts.get(&reason).copied().unwrap_or(0);
        match all.saturating_sub(names.len() as u64) {
            0 => {}
            more => names.push(format!("and {more} more")),
        }
        names.join(", ")
    }
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
    let with_chain = request.chain.is_some();
    let bundle = oms::sign(request)?;
    let read = Bundle::parse(&bundle, Compat::Strict)?;
    let signed = if with_chain { read.verify_leaf(key.public()) } else { read.verify_key(key.public()) }?;
    output::write(job.signature, &bundle)?;
    Ok(Done { root: oms::root_digest(&files), pins, ignored, signed })
}

/// The base name of the model, also of `.` and of a path that ends in `..`.
fn model_name(dir: &Path) -> Result<String, CliError> {
    let whole = fs_err::canonicalize(dir)
        .map_err(|error| CliError::new(Exit::Unreachable, "the model cannot be looked at").source(&error))?;
    let name = whole.file_name().map(|name| name.to_string_lossy().into_owned());
    Ok(name.unwrap_or_else(|| "model".to_owned()))
}

/// What the signature says that it leaves out: what every signer leaves out, a hub's notes, the signature's own file, what
/// was asked for.
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
        // Without it the reference implementation takes a hub's notes, which no signature covers, for files too many.
        if job.dir.join(HUB_NOTES).is_dir() {
            all.push(rel(HUB_NOTES)?);
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
