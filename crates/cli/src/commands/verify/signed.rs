//! `sovai verify FOLDER --signature S`: a folder against the list of an OpenSSF signature.

use super::folder::{Found, trusted_by_option};
use super::report::Against;
use super::setup::Setup;
use crate::args::VerifyArgs;
use crate::error::CliError;
use crate::exit::Exit;
use crate::facts::Pinned;
use crate::input::read_bounded;
use crate::judge::{CertificateFiles, CertificateTrust, Refused, Signers, Verdict, digest, opened};
use crate::keys;
use crate::output::safe_line;
use sovai_core::{FilePin, Sha256};
use sovai_evidence::parse_rfc3339;
use sovai_pki::Pin;
use sovai_signing::json::Limits;
use sovai_signing::oms::Signed;
use sovai_store::model_manifest;
use sovai_verifier::{Links, Reason, SignedList, verify_signed};
use std::path::Path;

/// Judges the signature; if it holds, compares the files.
pub(super) fn run(args: &VerifyArgs, signature: &Path, setup: &Setup) -> Result<Found, CliError> {
    let text = read_bounded(signature, Limits::BUNDLE.bytes, "signature")?;
    let certificates = (!args.signed.ca.is_empty()).then(|| of_options(args)).transpose()?;
    let key = args.signed.key.as_deref().map(keys::public).transpose()?;
    let signers = match (&key, &certificates) {
        (Some(key), _) => Signers::Key(key),
        (None, Some(trust)) => Signers::Certificate(trust),
        (None, None) => Signers::Trusted,
    };
    let mut found = Found::new(args, Against::Signature);
    // A key that the operator names need not be in the store; what the store trusts must count.
    found.named = !trusted_by_option(args);
    found.subject = digest(&text);
    let opened = match opened(&text, setup.compat, signers, &setup.judge) {
        Ok(opened) => opened,
        Err(refused) => {
            found.signatures.push(Verdict::refuse(signature, &text, refused));
            return Ok(found);
        }
    };
    found.signatures.push(Verdict::opened(signature, &text, &opened));
    found.subject = opened.signed.root;
    drop(text);
    let (passport, options) = setup.passport(args)?;
    let list = SignedList { signed: &opened.signed, signature: Some(signature), links: Links::Refuse };
    let store = setup.store.as_ref();
    let compared = verify_signed(&args.target, &list, &options, store, &*setup.reporter)?;
    found.unsigned = compared.unsigned;
    // The signature itself lies in the folder, and is no file of the model.
    found.unsigned.retain(|left| left.reason != Reason::Signature);
    found.report = Some(compared.report);
    found.pins = pins(&opened.signed);
    found.pinned = Pinned::Paths(compared.covered);
    found.digest = passport.as_ref().map(|passport| model_manifest(&passport.pins()).1);
    found.made = passport;
    Ok(found)
}

/// The signed files whose SHA-256 is listed. Their lengths are not: it is 0 here, and nothing compares it.
fn pins(signed: &Signed) -> Vec<FilePin> {
    let whole = signed.resources.iter().filter_map(|resource| match &resource.pieces[..] {
        [piece] if piece.start == 0 => Some((resource, piece.digest.sha256()?)),
        _ => None,
    });
    whole.map(|(resource, sha256)| FilePin { path: resource.name.clone(), size: 0, sha256 }).collect()
}

/// `--ca` and the options that go with it.
fn of_options(args: &VerifyArgs) -> Result<CertificateTrust, CliError> {
    let signed = &args.signed;
    let files = CertificateFiles {
        anchors: &signed.ca,
        intermediates: &signed.intermediate,
        crls: &signed.crl,
        tsa_anchors: &signed.tsa_ca,
    };
    let spki = signed.spki.as_deref().map(spki).transpose()?;
    let signed_at = signed
        .signed_at
        .as_deref()
        .map(|text| {
            parse_rfc3339(text).map_err(|error| {
                CliError::new(Exit::Usage, format!("--signed-at {} is no time", safe_line(text)))
                    .source(&error)
                    .hint("write it as 2026-11-24T12:00:00Z")
            })
        })
        .transpose()?;
    let trust = CertificateTrust::read(files, Path::new(""))?;
    Ok(CertificateTrust {
        pin: Pin::new(signed.subject.clone(), signed.san.clone(), spki),
        signed_at,
        ..trust
    })
}

/// 64 hexadecimal digits, perhaps with `sha256:` before them.
fn spki(text: &str) -> Result<Sha256, CliError> {
    Sha256::from_hex(text.strip_prefix("sha256:").unwrap_or(text)).map_err(|error| {
        CliError::new(Exit::Usage, format!("--spki {} is no SHA-256", safe_line(text)))
            .source(&error)
            .hint("sovai trust fingerprint FILE.pub prints it")
    })
}

/// What a refusal is when nothing can be compared.
pub(super) fn refusal(refused: Refused, found: &mut Found) {
    found.refusals.push(refused);
}
