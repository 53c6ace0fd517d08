//! Who signed a bundle, and whom of them this store trusts.

use crate::commands::trust::now;
use crate::ctx::Ctx;
use crate::error::CliError;
use crate::output::safe_line;
use serde::Serialize;
use serde_json::{Value, json};
use sovai_bundle::VolumeSet;
use sovai_signing::{KeyId, PublicKey};
use sovai_store::Store;
use sovai_trust::{Role, TrustStore, Why};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

/// The store's trust; nobody is trusted where there is no store. Looking makes none.
pub(in crate::commands) fn trust(ctx: &Ctx) -> Result<TrustStore, CliError> {
    match ctx.store_path() {
        Ok(path) if path.join("oci-layout").exists() => Ok(TrustStore::open(&Store::open(path)?)?),
        _ => Ok(TrustStore::empty()),
    }
}

/// Every key that the store has, each once, also those that expired or were revoked.
pub(in crate::commands) fn all_keys(trust: &TrustStore) -> Vec<PublicKey> {
    let ids: BTreeSet<KeyId> = trust.list().iter().map(|entry| entry.id).collect();
    ids.into_iter().filter_map(|id| trust.key(id).cloned()).collect()
}

/// The name that the store has for a key.
pub(in crate::commands) fn name_of(trust: &TrustStore, id: KeyId) -> Option<String> {
    trust
        .list()
        .iter()
        .find(|entry| entry.id == id && entry.name.is_some())
        .and_then(|entry| entry.name.clone())
}

/// How the signatures over a bundle are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(in crate::commands) enum State {
    /// Enough keys that this store trusts signed.
    Trusted,
    /// This store trusts no key for bundles, so it cannot tell.
    Unknown,
    /// This store trusts keys for bundles, and too few of them signed; or a revoked key signed.
    Insufficient,
    /// There is no signature.
    Unsigned,
}

/// Who signed.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(in crate::commands) struct Signers {
    pub(in crate::commands) state: State,
    /// How many distinct keys must sign.
    needed: u32,
    pub(in crate::commands) list: Vec<Signer>,
}

/// One signature.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(in crate::commands) struct Signer {
    /// The key that signed, where this store has it.
    #[serde(skip_serializing_if = "Option::is_none")]
    key_id: Option<KeyId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    /// `trusted`, `unknown`, `role`, `revoked`, `expired`.
    status: String,
    /// What the signer calls its key; proves nothing.
    claims: Vec<String>,
    file: String,
}

/// Judges the signatures. What is wrong with one beyond what opening the volumes found is a finding.
pub(in crate::commands) fn judge(set: &VolumeSet, trust: &TrustStore) -> (Signers, Vec<Value>) {
    let keys = all_keys(trust);
    let system = now();
    let has_keys = !trust.keys(Role::Bundle, system).is_empty();
    let quorum = trust.quorum(Role::Bundle, None, &set.signed_by(&keys), system);
    let why: BTreeMap<KeyId, &Why> = quorum.uncounted.iter().map(|key| (key.key, &key.why)).collect();
    let (mut signers, mut findings) = (Vec::new(), Vec::new());
    for found in set.signatures().iter().filter(|found| found.fit.is_ok()) {
        let by = found.envelope.verified_by(&keys);
        let file = found.paths.first().map(|path| path.display().to_string()).unwrap_or_default();
        let claims = found.hints();
        let signer = |key_id, name, status: &str| Signer {
            key_id,
            name,
            status: status.to_owned(),
            claims: claims.clone(),
            file: file.clone(),
        };
        for id in &by {
            let status = why.get(id).map_or("trusted".to_owned(), |why| word(why));
            signers.push(signer(Some(*id), name_of(trust, *id), &status));
        }
        let known =
            |hint: &&String| hint.parse().is_ok_and(|id: KeyId| trust.key(id).is_some() && !by.contains(&id));
        if let Some(claimed) = claims.iter().find(known) {
            let detail = format!("it says that it is by key {claimed}, and is not");
            findings.push(
                json!({ "type": "signature-wrong", "weight": "signature", "path": file, "detail": detail }),
            );
        } else if by.is_empty() {
            signers.push(signer(None, None, "unknown"));
        }
    }
    let is_revoked = quorum.uncounted.iter().any(|key| key.why == Why::Revoked);
    let state = if signers.is_empty() && findings.is_empty() {
        State::Unsigned
    } else if has_keys && quorum.satisfied() {
        State::Trusted
    } else if has_keys || is_revoked {
        State::Insufficient
    } else {
        State::Unknown
    };
    (Signers { state, needed: quorum.needed, list: signers }, findings)
}

/// Why a key does not count, in the word of reports.
fn word(why: &Why) -> String {
    serde_json::to_value(why).ok().and_then(|word| word.as_str().map(str::to_owned)).unwrap_or_default()
}

impl Signers {
    /// Whether trust refuses the bundle.
    pub(in crate::commands) fn refused(&self) -> bool {
        matches!(self.state, State::Insufficient | State::Unsigned)
    }

    /// Ids of the keys that this store has and whose signatures hold, also of those that it does not trust for bundles.
    pub(in crate::commands) fn key_ids(&self) -> Vec<String> {
        self.list.iter().filter_map(|signer| signer.key_id).map(|id| id.to_string()).collect()
    }

    /// Each signer and its status, for a decision.
    pub(in crate::commands) fn summary(&self) -> BTreeMap<String, String> {
        let signers = self.list.iter().map(|signer| {
            let key = signer.key_id.map(|id| id.to_string());
            (key.or_else(|| signer.claims.first().cloned()).unwrap_or_default(), signer.status.clone())
        });
        signers.collect()
    }

    pub(in crate::commands) fn text(&self) -> String {
        let mut text = match self.state {
            State::Trusted => format!("signer: trusted ({} needed)\n", self.needed),
            State::Unknown => "signer: unknown; this store trusts no key for bundles\n".to_owned(),
            State::Insufficient => format!(
                "signer: NOT trusted ({} needed by keys that this store trusts for bundles)\n",
                self.needed
            ),
            State::Unsigned => "signer: NONE; the bundle has no signature\n".to_owned(),
        };
        for signer in &self.list {
            let key = match (&signer.key_id, signer.claims.first()) {
                (Some(id), _) => id.to_string(),
                (None, Some(claim)) => format!("a key that calls itself {}", safe_line(claim)),
                (None, None) => "a key without a name".to_owned(),
            };
            let name =
                signer.name.as_deref().map(|name| format!(" ({})", safe_line(name))).unwrap_or_default();
            let _ = writeln!(text, "  {}: {key}{name}", signer.status);
        }
        text
    }
}
