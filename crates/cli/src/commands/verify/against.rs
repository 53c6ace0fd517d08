//! `sovai verify FOLDER --against PASSPORT`: every chunk of every file, and where it is damaged.

use super::folder::{Found, trusted_by_option};
use super::report::{Against, PassportFact};
use super::setup::Setup;
use super::signed::refusal;
use crate::args::VerifyArgs;
use crate::error::CliError;
use crate::facts::Pinned;
use crate::input::read_bounded;
use crate::judge::{Refused, Verdict, digest, rules};
use crate::keys;
use sovai_signing::json::Limits;
use sovai_signing::passport::SignedPassport;
use sovai_signing::{KeyId, PublicKey};
use sovai_trust::Role;
use sovai_verifier::{Passport, TrustedPassport, verify_against, verify_against_trusted};
use std::path::Path;

/// Roles whose keys vouch for passports.
const ROLES: [Role; 3] = [Role::Publisher, Role::Countersigner, Role::Site];

/// Judges the passport; if nothing speaks against it, compares the files.
pub(super) fn run(args: &VerifyArgs, path: &Path, setup: &Setup) -> Result<Found, CliError> {
    let text = read_bounded(path, Limits::BUNDLE.bytes, "passport")?;
    let mut found = Found::new(args, Against::Passport);
    found.named = !trusted_by_option(args);
    found.subject = digest(&text);
    let mut fact = PassportFact { file: path.display().to_string(), sha256: digest(&text), signed: false };
    let passport = match Passport::parse(&text) {
        Ok(passport) => passport,
        Err(error) => {
            let message = format!("the passport {} cannot be used: {error}", path.display());
            refusal(Refused::new(rules::PASSPORT, message, None), &mut found);
            found.passport = Some(fact);
            return Ok(found);
        }
    };
    if let Some(signature) = &args.passport.passport_signature {
        let signature_text = read_bounded(signature, Limits::BUNDLE.bytes, "signature")?;
        let key = args.signed.key.as_deref().map(keys::public).transpose()?;
        match signers(&signature_text, fact.sha256, &passport, key.as_ref(), setup) {
            Ok(keys) => {
                fact.signed = true;
                let files = passport.files().len();
                let verdict = Verdict::passport(signature, &signature_text, &keys, passport.model(), files);
                found.signatures.push(verdict);
            }
            Err(refused) => {
                found.signatures.push(Verdict::refuse(signature, &signature_text, refused));
                found.passport = Some(fact);
                return Ok(found);
            }
        }
    }
    drop(text);
    let (store, reporter) = (setup.store.as_ref(), &*setup.reporter);
    let report = if fact.signed {
        let trusted = TrustedPassport::judged_by_caller(&passport);
        verify_against_trusted(&args.target, trusted, &setup.options, store, reporter)?
    } else {
        verify_against(&args.target, &passport, &setup.options, reporter)?
    };
    found.report = Some(report);
    found.pins = passport.pins();
    found.pinned = Pinned::of(&found.pins);
    found.files = Some(found.pins.clone());
    found.digest = Some(passport.model());
    found.subject = passport.model();
    found.unsigned_passport = !fact.signed;
    found.passport = Some(fact);
    Ok(found)
}

/// Who signed the passport: the key that was named, or keys that the store trusts and that count today.
fn signers(
    text: &[u8],
    file: sovai_core::Sha256,
    passport: &Passport,
    key: Option<&PublicKey>,
    setup: &Setup,
) -> Result<Vec<KeyId>, Refused> {
    let refuse = |error: &dyn std::error::Error| Refused::new(rules::PASSPORT, error.to_string(), None);
    let signed = SignedPassport::parse(text).map_err(|error| refuse(&error))?;
    signed.is_over(file, passport.model()).map_err(|error| refuse(&error))?;
    let judge = &setup.judge;
    let trusted = || ROLES.iter().flat_map(|role| judge.trust.keys(*role, judge.system)).collect();
    let keys: Vec<PublicKey> = key.map_or_else(trusted, |key| vec![key.clone()]);
    let by: Vec<KeyId> = signed.envelope.verified_by(&keys).into_iter().collect();
    match (by.is_empty(), key) {
        (false, _) => Ok(by),
        (true, Some(key)) => Err(Refused::new(
            rules::PASSPORT,
            format!("the signature over the passport is not by the key {}", key.id()),
            None,
        )),
        (true, None) => Err(Refused::new(
            rules::PASSPORT,
            "no key that this store trusts fits the signature over the passport",
            None,
        )),
    }
}
