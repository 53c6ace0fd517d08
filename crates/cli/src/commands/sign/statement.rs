//! `sovai sign passport` and `sovai sign revocations`: statements in DSSE envelopes.

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
use sha2::Digest as _;
use sovai_core::Sha256;
use sovai_signing::dsse::Envelope;
use sovai_signing::json::Limits;
use sovai_signing::passport::SignedPassport;
use sovai_signing::statement::PAYLOAD_TYPE;
use sovai_signing::{KeyId, PrivateKey};
use sovai_trust::{MAX_LIST, RevocationList};
use sovai_verifier::Passport;
use std::path::Path;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Body {
    signed: String,
    signature: String,
    key_id: KeyId,
    #[serde(skip_serializing_if = "Option::is_none")]
    model: Option<Sha256>,
    #[serde(skip_serializing_if = "Option::is_none")]
    number: Option<u64>,
}

/// Signs a passport.
pub(super) fn passport(
    path: &Path,
    signer: &SignerArgs,
    signature: &Path,
    ctx: &Ctx,
) -> Result<Exit, CliError> {
    let key = private(signer)?;
    let text = read_bounded(path, Limits::BUNDLE.bytes, "passport")?;
    let passport = Passport::parse(&text).map_err(|error| invalid("passport", path).source(&error))?;
    let file = Sha256::from_bytes(sha2::Sha256::digest(&text).into());
    let envelope = SignedPassport::sign(file, passport.model(), &[&key]);
    let body = Body {
        signed: path.display().to_string(),
        signature: signature.display().to_string(),
        key_id: key.public().id(),
        model: Some(passport.model()),
        number: None,
    };
    finish(&envelope, signature, body, &format!("model: {}", passport.model()), ctx)
}

/// Signs a list of revocations.
pub(super) fn revocations(path: &Path, signer: &SignerArgs, out: &Path, ctx: &Ctx) -> Result<Exit, CliError> {
    let key = private(signer)?;
    let text = read_bounded(path, MAX_LIST, "list of revocations")?;
    let refuse = |error| invalid("list of revocations", path).source(&error);
    let (envelope, list) = if Envelope::parse(&text).is_ok() {
        // A list that others have signed: this key signs the same bytes, and joins them.
        let (mut envelope, list) = RevocationList::parse_envelope(&text).map_err(refuse)?;
        if envelope.verified_by(std::slice::from_ref(key.public())).is_empty() {
            let own = Envelope::sign(PAYLOAD_TYPE, envelope.payload.clone(), &[&key]);
            envelope.signatures.extend(own.signatures);
        }
        (envelope, list)
    } else {
        let list = RevocationList::parse_source(&text).map_err(refuse)?;
        let payload = list.to_statement().map_err(refuse)?.to_json().into_bytes();
        (Envelope::sign(PAYLOAD_TYPE, payload, &[&key]), list)
    };
    // What is written is what `trust revoke --list` will read.
    RevocationList::parse_envelope(envelope.to_json().as_bytes()).map_err(refuse)?;
    let body = Body {
        signed: path.display().to_string(),
        signature: out.display().to_string(),
        key_id: key.public().id(),
        model: None,
        number: Some(list.number),
    };
    let what = format!(
        "list {}: {}, {}",
        list.number,
        count(list.keys.len(), "key"),
        count(list.models.len(), "model")
    );
    finish(&envelope, out, body, &what, ctx)
}

fn private(signer: &SignerArgs) -> Result<PrivateKey, CliError> {
    keys::private(&signer.key, signer.passphrase_file.as_deref())
}

fn invalid(what: &str, path: &Path) -> CliError {
    CliError::new(Exit::Refused, format!("{what} {} is refused", safe_line(&path.display().to_string())))
}

fn finish(envelope: &Envelope, out: &Path, body: Body, what: &str, ctx: &Ctx) -> Result<Exit, CliError> {
    output::check(out, |bytes| Envelope::parse(bytes).is_ok())?;
    output::write(out, format!("{}\n", envelope.to_json()).as_bytes())?;
    let text = format!("signed: {}\n{what}\nkey id: {}\n", safe_line(&body.signature), body.key_id);
    ctx.finish(Outcome { exit: Exit::Done, findings: Vec::new(), body, text })
}
