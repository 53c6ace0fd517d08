//! Files that are about a model and not of it: OpenSSF signatures and passports.

use crate::ctx::Ctx;
use crate::error::CliError;
use crate::exit::Exit;
use crate::input::read_bounded;
use crate::manifest::count;
use crate::output::{Outcome, safe_line};
use serde::Serialize;
use serde_json::json;
use sovai_core::format_bytes;
use sovai_signing::oms::{Bundle, Compat, Material};
use sovai_verifier::Passport;
use std::error::Error;
use std::fmt::Write as _;
use std::fs::File;
use std::io::Read as _;
use std::path::Path;

/// Largest file that is looked at, in bytes: the bound of a signature.
const MAX: usize = 64 << 20;
/// Bytes in which a signature names its kind. Its members stand in any order, so all of them may have to be looked at.
const BUNDLE: &[u8] = b"application/vnd.dev.sigstore.bundle";
/// What a passport says of itself.
const PASSPORT: &[u8] = b"\"kind\":\"Passport\"";

/// Says what the file is, if it is one of these.
pub(super) fn run(path: &Path, ctx: &Ctx) -> Result<Option<Exit>, CliError> {
    if !begins_json(path) {
        return Ok(None);
    }
    let bytes = read_bounded(path, MAX, "target")?;
    if bytes.len() > MAX {
        return Ok(None);
    }
    if let Ok(passport) = Passport::parse(&bytes) {
        return passport_told(path, &passport, ctx).map(Some);
    }
    let has = |wanted: &[u8]| bytes.windows(wanted.len()).any(|window| window == wanted);
    if has(BUNDLE) {
        return bundle_told(path, &bytes, ctx).map(Some);
    }
    if has(PASSPORT)
        && let Err(error) = Passport::parse(&bytes)
    {
        return Err(refused(path, "passport", &error));
    }
    Ok(None)
}

/// Whether a regular file begins as a JSON object does. What cannot be read here is told later.
fn begins_json(path: &Path) -> bool {
    let is_file = fs_err::metadata(path).is_ok_and(|metadata| metadata.is_file());
    let mut head = [0u8; 16];
    let read =
        is_file.then(|| fs_err::File::open(path).map(File::from).and_then(|mut file| file.read(&mut head)));
    let count = read.and_then(Result::ok).unwrap_or_default();
    let head = head.get(..count).unwrap_or_default();
    head.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b'{')
}

fn passport_told(path: &Path, passport: &Passport, ctx: &Ctx) -> Result<Exit, CliError> {
    let mut text = format!(
        "{}: passport of {}, {}\n",
        safe_line(&path.display().to_string()),
        count(passport.files().len(), "file"),
        format_bytes(passport.bytes())
    );
    let _ = writeln!(text, "  model      {}", passport.model());
    let _ = writeln!(text, "  chunks of  {}", format_bytes(passport.chunk_size()));
    text.push_str("no signature was checked: a passport counts for as much as whoever signed it\n");
    let body = json!({
        "target": path.display().to_string(), "targetKind": "passport", "model": passport.model(),
        "chunkSize": passport.chunk_size(), "bytes": passport.bytes(), "files": passport.pins(),
    });
    ctx.finish(Outcome { exit: Exit::Done, findings: Vec::new(), body, text })
}

/// How the signer of a bundle is named.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Signer {
    method: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    hint: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    certificates: Option<usize>,
}

fn bundle_told(path: &Path, bytes: &[u8], ctx: &Ctx) -> Result<Exit, CliError> {
    let bundle = match Bundle::parse(bytes, Compat::Compat) {
        Ok(bundle) => bundle,
        Err(error) => return Err(refused(path, "signature", &error)),
    };
    let signer = match bundle.material() {
        Material::Key { hint } => Signer { method: "key", hint: hint.clone(), certificates: None },
        Material::KeyBytes { .. } => Signer { method: "key", hint: None, certificates: None },
        Material::Chain(chain) => {
            Signer { method: "certificate", hint: None, certificates: Some(chain.len()) }
        }
        Material::Keyless => Signer { method: "keyless", hint: None, certificates: None },
    };
    let mut text = format!("{}: OpenSSF model signature\n", safe_line(&path.display().to_string()));
    let _ = writeln!(text, "  method      {}", signer.method);
    if let Some(hint) = &signer.hint {
        let _ = writeln!(text, "  key hint    {}", safe_line(hint));
    }
    if let Some(certificates) = signer.certificates {
        let _ = writeln!(text, "  chain       {}", count(certificates, "certificate"));
    }
    let _ = writeln!(text, "  time stamps {}", bundle.timestamps().len());
    let _ = writeln!(text, "  payload     {}", format_bytes(bundle.payload().len() as u64));
    text.push_str("it was not verified: sovai verify DIR --signature FILE --key KEY\n");
    let body = json!({
        "target": path.display().to_string(), "targetKind": "signature", "signer": signer,
        "timestamps": bundle.timestamps().len(), "payloadBytes": bundle.payload().len(),
    });
    ctx.finish(Outcome { exit: Exit::Done, findings: Vec::new(), body, text })
}

/// A file that says that it is one of these and cannot be read as one.
fn refused(path: &Path, what: &str, error: &(dyn Error + 'static)) -> CliError {
    let shown = safe_line(&path.display().to_string());
    CliError::new(Exit::Refused, format!("{shown} is no {what} that can be read")).source(error)
}
