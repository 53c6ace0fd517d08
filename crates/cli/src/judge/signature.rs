//! Signatures over models: read, judged by a key or a certificate, and compared with pins in memory.

use super::{CertificateFact, CertificateTrust, Judge, rules};
use crate::input::read_bounded;
use crate::manifest::count;
use crate::output::safe_line;
use serde::{Serialize, Serializer};
use sha2::Digest as _;
use sovai_core::{FilePin, Sha256};
use sovai_signing::dsse::Envelope;
use sovai_signing::json::Limits;
use sovai_signing::oms::{Bundle, Compat, Material, OmsError, Resource, Signed, Tolerated};
use sovai_signing::passport::SignedPassport;
use sovai_signing::{KeyId, PublicKey};
use sovai_store::model_manifest;
use sovai_trust::Role;
use std::collections::BTreeMap;
use std::path::Path;

/// Roles whose keys vouch for models.
const VOUCHING: [Role; 2] = [Role::Publisher, Role::Countersigner];

/// Whose signature is taken.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Signers<'a> {
    /// This key's.
    Key(&'a PublicKey),
    /// That of a certificate.
    Certificate(&'a CertificateTrust),
    /// Those of the keys that the store trusts, and of certificates that the policy takes.
    Trusted,
}

/// Who signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct By {
    /// The key; of a certificate, the leaf's.
    pub(crate) key: KeyId,
    /// When, where a time stamp proves it.
    pub(crate) when: Option<u64>,
    /// The certificate.
    pub(crate) certificate: Option<CertificateFact>,
    /// What the certificate counts as, by the policy.
    pub(crate) role: Option<Role>,
}

/// A bundle whose signature holds.
#[derive(Debug)]
pub(crate) struct Opened {
    /// What it says.
    pub(crate) signed: Signed,
    /// Who says it.
    pub(crate) by: By,
}

/// Why a signature counts for nothing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Refused {
    /// One of [`rules`].
    pub(crate) code: &'static str,
    pub(crate) message: String,
    pub(crate) hint: Option<String>,
}

impl Refused {
    pub(crate) fn new(code: &'static str, message: impl Into<String>, hint: Option<&str>) -> Self {
        Self { code, message: message.into(), hint: hint.or(rules::hint(code)).map(str::to_owned) }
    }

    /// What an error of a bundle means.
    pub(crate) fn of(error: &OmsError) -> Self {
        let code = match error {
            OmsError::Keyless => rules::KEYLESS,
            OmsError::WrongMethod { .. } => rules::METHOD,
            OmsError::WrongHint { .. }
            | OmsError::WrongKeyBytes
            | OmsError::KeyKind(_)
            | OmsError::Signature(_) => rules::WRONG_KEY,
            OmsError::NeedsCompat { .. } => rules::OLD_FORM,
            _ => rules::MALFORMED,
        };
        let hint = match error {
            OmsError::WrongMethod { expected: "key", .. } => {
                Some("name the trust anchors of its certificates (--ca) instead of a key")
            }
            OmsError::WrongMethod { .. } => {
                Some("name the signer's public key (--key) instead of trust anchors")
            }
            _ => None,
        };
        Self::new(code, error.to_string(), hint)
    }
}

/// Takes a bundle apart and judges its signature.
pub(crate) fn opened(
    text: &[u8],
    compat: Compat,
    signers: Signers<'_>,
    judge: &Judge,
) -> Result<Opened, Refused> {
    let bundle = Bundle::parse(text, compat).map_err(|error| Refused::of(&error))?;
    if *bundle.material() == Material::Keyless {
        return Err(Refused::of(&OmsError::Keyless));
    }
    match signers {
        Signers::Key(key) => by_key(&bundle, key),
        Signers::Certificate(trust) => {
            let Material::Chain(chain) = bundle.material() else {
                return Err(Refused::of(&OmsError::WrongMethod { expected: "certificate", found: "key" }));
            };
            by_certificate(&bundle, chain, trust, None, judge)
        }
        Signers::Trusted => match bundle.material() {
            Material::Chain(chain) => by_policy(&bundle, chain, judge),
            Material::Key { hint: Some(hint) } => {
                let keys = known_keys(judge);
                let Some(key) = keys.values().find(|key| key.oms_hint() == *hint) else {
                    let shown: String = hint.chars().take(80).collect();
                    return Err(untrusted(&format!("it is by the key with the hint `{shown}`"), keys.len()));
                };
                by_key(&bundle, key)
            }
            // The bundle does not say whose it is, or says it in a way that proves nothing: each known key is tried.
            _ => {
                let keys = known_keys(judge);
                keys.values()
                    .find_map(|key| by_key(&bundle, key).ok())
                    .ok_or_else(|| untrusted("no key that this store trusts fits", keys.len()))
            }
        },
    }
}

fn untrusted(what: &str, known: usize) -> Refused {
    Refused::new(
        rules::UNTRUSTED,
        format!("{what}; this store trusts {} for models, and that is none of them", count(known, "key")),
        None,
    )
}

/// Distinct keys that vouch for models, also those that have expired or were revoked: what became of them is said with
/// the trust level.
fn known_keys(judge: &Judge) -> BTreeMap<KeyId, &PublicKey> {
    let entries = judge.trust.list().iter().filter(|entry| VOUCHING.contains(&entry.role));
    entries.filter_map(|entry| Some((entry.id, judge.trust.key(entry.id)?))).collect()
}

fn by_key(bundle: &Bundle, key: &PublicKey) -> Result<Opened, Refused> {
    let signed = bundle.verify_key(key).map_err(|error| Refused::of(&error))?;
    Ok(Opened { signed, by: By { key: key.id(), when: None, certificate: None, role: None } })
}

fn by_certificate(
    bundle: &Bundle,
    chain: &[Vec<u8>],
    trust: &CertificateTrust,
    role: Option<Role>,
    judge: &Judge,
) -> Result<Opened, Refused> {
    let (signed, key, fact) = trust.open(bundle, chain, judge.now())?;
    let by = By { key: key.id(), when: fact.proven, certificate: Some(fact), role };
    Ok(Opened { signed, by })
}

/// By the first of the policy's rules that takes it.
fn by_policy(bundle: &Bundle, chain: &[Vec<u8>], judge: &Judge) -> Result<Opened, Refused> {
    let mut last = None;
    for (role, trust) in &judge.certificates {
        match by_certificate(bundle, chain, trust, Some(*role), judge) {
            Ok(opened) => return Ok(opened),
            Err(refused) => last = Some(refused),
        }
    }
    Err(last.unwrap_or_else(|| {
        Refused::new(
            rules::CERTIFICATE,
            "it is by a certificate, and nothing says whose certificates are taken",
            Some("name its anchors and its signer: `trust.certificates` of a policy, or --ca with --subject, --san or --spki"),
        )
    }))
}

/// What a signature over a model came to.
#[derive(Debug, Clone)]
pub(crate) struct Verdict {
    /// The file, as it was named.
    pub(crate) file: String,
    /// SHA-256 of its bytes; `None` where it cannot be read.
    pub(crate) sha256: Option<Sha256>,
    outcome: Result<Good, Refused>,
}

/// A signature that holds.
#[derive(Debug, Clone)]
struct Good {
    /// `openssf` or `passport`.
    kind: &'static str,
    /// Who signed: one of a bundle, all whom the store knows of an envelope.
    by: Vec<By>,
    /// What it names as the model.
    root: Sha256,
    /// How many files it covers.
    files: usize,
    tolerated: Vec<Tolerated>,
}

impl Verdict {
    /// A signature that was opened.
    pub(crate) fn opened(file: &Path, text: &[u8], opened: &Opened) -> Self {
        Self::new(
            file,
            text,
            Ok(Good {
                kind: "openssf",
                by: vec![opened.by.clone()],
                root: opened.signed.root,
                files: opened.signed.resources.len(),
                tolerated: opened.signed.tolerated.clone(),
            }),
        )
    }

    /// A passport's signature that holds.
    pub(crate) fn passport(file: &Path, text: &[u8], keys: &[KeyId], model: Sha256, files: usize) -> Self {
        let by = keys.iter().map(|key| By { key: *key, when: None, certificate: None, role: None }).collect();
        Self::new(file, text, Ok(Good { kind: "passport", by, root: model, files, tolerated: Vec::new() }))
    }

    /// One that is refused.
    pub(crate) fn refuse(file: &Path, text: &[u8], why: Refused) -> Self {
        Self::new(file, text, Err(why))
    }

    fn new(file: &Path, text: &[u8], outcome: Result<Good, Refused>) -> Self {
        Self { file: file.display().to_string(), sha256: Some(digest(text)), outcome }
    }

    /// Who signed; nobody where it is refused.
    pub(crate) fn by(&self) -> &[By] {
        self.outcome.as_ref().map_or(&[], |good| &good.by)
    }

    /// The root digest or model digest that it is over.
    pub(crate) fn root(&self) -> Option<Sha256> {
        self.outcome.as_ref().ok().map(|good| good.root)
    }

    /// How many files it covers.
    pub(crate) fn files(&self) -> usize {
        self.outcome.as_ref().map_or(0, |good| good.files)
    }

    /// What `--compat` let pass.
    pub(crate) fn tolerated(&self) -> &[Tolerated] {
        self.outcome.as_ref().map_or(&[], |good| &good.tolerated)
    }

    /// Why it counts for nothing.
    pub(crate) fn refused(&self) -> Option<&Refused> {
        self.outcome.as_ref().err()
    }
}

impl Serialize for Verdict {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut value = serde_json::json!({
            "file": self.file, "sha256": self.sha256, "holds": self.outcome.is_ok()
        });
        match &self.outcome {
            Ok(good) => {
                let tolerated: Vec<_> = good
                    .tolerated
                    .iter()
                    .map(|one| serde_json::json!({ "code": one.code, "text": one.text }))
                    .collect();
                value["type"] = good.kind.into();
                value["root"] = good.root.to_string().into();
                value["files"] = good.files.into();
                value["tolerated"] = tolerated.into();
                let by = good.by.iter().map(|by| {
                    serde_json::json!({
                        "key": by.key, "time": by.when.map(sovai_evidence::rfc3339), "certificate": by.certificate
                    })
                });
                value["by"] = by.collect();
            }
            Err(refused) => value["refused"] = serde_json::to_value(refused).unwrap_or_default(),
        }
        value.serialize(serializer)
    }
}

pub(crate) fn digest(text: &[u8]) -> Sha256 {
    Sha256::from_bytes(sha2::Sha256::digest(text).into())
}

/// A signature that a manifest names as `named`, against the model's pins.
pub(super) fn of_manifest(
    judge: &Judge,
    named: &Path,
    file: &Path,
    pins: &[FilePin],
    compat: Compat,
) -> Verdict {
    let text = match read_bounded(file, Limits::BUNDLE.bytes, "signature") {
        Ok(text) => text,
        Err(error) => {
            let why = error.causes().first().map(|cause| format!(": {cause}")).unwrap_or_default();
            let refused = Refused::new(rules::UNREADABLE, format!("{}{why}", error.message()), None);
            return Verdict { file: named.display().to_string(), sha256: None, outcome: Err(refused) };
        }
    };
    if let Ok(envelope) = Envelope::parse(&text) {
        return match of_passport(judge, &text, &envelope, pins) {
            Ok((keys, model)) => Verdict::passport(named, &text, &keys, model, pins.len()),
            Err(refused) => Verdict::refuse(named, &text, refused),
        };
    }
    let judged = opened(&text, compat, Signers::Trusted, judge).and_then(|opened| {
        covers(&opened.signed, pins)?;
        Ok(opened)
    });
    match judged {
        Ok(opened) => Verdict::opened(named, &text, &opened),
        Err(refused) => Verdict::refuse(named, &text, refused),
    }
}

/// A signature over a passport: it names the model digest, which is that of the pins.
fn of_passport(
    judge: &Judge,
    text: &[u8],
    envelope: &Envelope,
    pins: &[FilePin],
) -> Result<(Vec<KeyId>, Sha256), Refused> {
    let signed = SignedPassport::parse(text)
        .map_err(|error| Refused::new(rules::MALFORMED, error.to_string(), None))?;
    let known: Vec<PublicKey> = known_keys(judge).into_values().cloned().collect();
    let by: Vec<KeyId> = envelope.verified_by(&known).into_iter().collect();
    if by.is_empty() {
        return Err(untrusted("no key that this store trusts fits", known.len()));
    }
    let (_, model) = model_manifest(pins);
    if model != signed.model {
        return Err(Refused::new(
            rules::NOT_COVERED,
            format!("it is over another model: the pins are {model}, it names {}", signed.model),
            None,
        ));
    }
    Ok((by, model))
}

/// Whether a signed list has every pin with its SHA-256.
pub(crate) fn covers(signed: &Signed, pins: &[FilePin]) -> Result<(), Refused> {
    let listed: BTreeMap<&str, &Resource> =
        signed.resources.iter().map(|resource| (resource.name.as_str(), resource)).collect();
    let whole = |resource: &Resource| match &resource.pieces[..] {
        [piece] if piece.start == 0 => piece.digest.sha256(),
        _ => None,
    };
    for pin in pins {
        let path = safe_line(pin.path.as_str());
        let resource = match (&signed.resources[..], pins) {
            ([only], [_]) if signed.single_file => Some(only),
            _ => listed.get(pin.path.as_str()).copied(),
        };
        let wrong = match resource.map(whole) {
            Some(Some(sha256)) if sha256 == pin.sha256 => continue,
            Some(Some(sha256)) => format!("it lists `{path}` with {sha256}, the pin is {}", pin.sha256),
            Some(None) => format!(
                "it lists `{path}` by {} in pieces or by another hash function, which cannot be compared with a pin",
                signed.hash
            ),
            None => format!("it does not list `{path}`, which is pinned"),
        };
        return Err(Refused::new(rules::NOT_COVERED, wrong, None));
    }
    Ok(())
}
