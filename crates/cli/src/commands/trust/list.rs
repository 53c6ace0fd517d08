//! `sovai trust list`.

use super::{clock_warnings, now};
use crate::ctx::Ctx;
use crate::error::CliError;
use crate::exit::Exit;
use crate::manifest::count;
use crate::output::{Outcome, safe_line};
use serde::Serialize;
use sovai_core::Sha256;
use sovai_evidence::{rfc3339, site_public_path};
use sovai_signing::{KeyId, PublicKey};
use sovai_store::Store;
use sovai_trust::{Day, Fingerprint, ListedModel, Role, TrustStore};
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// Seconds of a day.
const DAY: u64 = 86_400;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Body {
    action: &'static str,
    keys: Vec<Key>,
    thresholds: BTreeMap<Role, u32>,
    revoked: Vec<Revoked>,
    revocations: Option<Revocations>,
    clock: Option<Clock>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Key {
    id: KeyId,
    role: Role,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    publisher: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    expires: Option<Day>,
    code: String,
    /// `trusted`, `expired`, `revoked`.
    status: &'static str,
    /// Whether it is the store's own.
    own: bool,
    /// Where its public key lies, of the store's own.
    #[serde(skip_serializing_if = "Option::is_none")]
    file: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Revoked {
    id: KeyId,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    since: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    list: Option<u64>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Revocations {
    number: u64,
    issued: String,
    age_seconds: u64,
    models: usize,
    revoked_models: Vec<RevokedModel>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct RevokedModel {
    digest: Sha256,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    reason: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Clock {
    system: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    newest_signed: Option<String>,
    behind_seconds: u64,
}

pub(super) fn run(ctx: &Ctx) -> Result<Exit, CliError> {
    // Looking does not make a store.
    let store = match ctx.store_path()? {
        path if path.join("oci-layout").exists() => Some(Store::open(path)?),
        _ => None,
    };
    let trust =
        store.as_ref().map(|store| Ok::<_, CliError>((TrustStore::open(store)?, store))).transpose()?;
    let system = now();
    let body = trust.as_ref().map_or_else(Body::nothing, |(trust, store)| Body::new(trust, store, system));
    let text = body.text();
    if let Some((trust, _)) = &trust {
        clock_warnings(trust, system, ctx);
    }
    ctx.finish(Outcome { exit: Exit::Done, findings: Vec::new(), body, text })
}

impl Body {
    fn nothing() -> Self {
        Self {
            action: "list",
            keys: Vec::new(),
            thresholds: Role::ALL.into_iter().map(|role| (role, 1)).collect(),
            revoked: Vec::new(),
            revocations: None,
            clock: None,
        }
    }

    fn new(trust: &TrustStore, store: &Store, system: u64) -> Self {
        let now = trust.now(system);
        let status = |id: KeyId, expires: Option<Day>| {
            if trust.revoked_key(id).is_some() {
                "revoked"
            } else if expires.is_some_and(|day| day.has_passed(now.effective)) {
                "expired"
            } else {
                "trusted"
            }
        };
        let code = |key: Option<&PublicKey>| key.map(|key| Fingerprint::of(key).code).unwrap_or_default();
        let mut keys: Vec<Key> = trust
            .list()
            .iter()
            .map(|entry| Key {
                id: entry.id,
                role: entry.role,
                name: entry.name.clone(),
                publisher: entry.publisher.clone(),
                expires: entry.expires,
                code: code(trust.key(entry.id)),
                status: status(entry.id, entry.expires),
                own: false,
                file: None,
            })
            .collect();
        if let Some(site) = trust.site() {
            keys.push(Key {
                id: site.id(),
                role: Role::Site,
                name: None,
                publisher: None,
                expires: None,
                code: code(Some(site)),
                status: status(site.id(), None),
                own: true,
                file: Some(site_public_path(store))
                    .filter(|path| path.exists())
                    .map(|path| path.display().to_string()),
            });
        }
        keys.sort_by_key(|key| (key.role, key.id));
        Self {
            action: "list",
            keys,
            thresholds: Role::ALL.into_iter().map(|role| (role, trust.threshold(role))).collect(),
            revoked: trust
                .revoked_keys()
                .into_iter()
                .map(|key| Revoked {
                    id: key.id,
                    reason: key.reason,
                    since: key.since.map(rfc3339),
                    list: key.list,
                })
                .collect(),
            revocations: trust.revocation_knowledge(system).map(|known| Revocations {
                number: known.number,
                issued: rfc3339(known.issued),
                age_seconds: known.age,
                models: trust.revocation_list().map_or(0, |list| list.models.len()),
                revoked_models: trust.revocation_list().map_or_else(Vec::new, |list| {
                    let model = |model: &ListedModel| RevokedModel {
                        digest: model.digest,
                        name: model.name.clone(),
                        reason: model.reason.clone(),
                    };
                    list.models.iter().map(model).collect()
                }),
            }),
            clock: Some(Clock {
                system: rfc3339(now.system),
                newest_signed: now.high_water.map(rfc3339),
                behind_seconds: now.behind,
            }),
        }
    }

    fn text(&self) -> String {
        let mut text = String::new();
        for role in Role::ALL {
            let keys: Vec<&Key> = self.keys.iter().filter(|key| key.role == role).collect();
            let needed = self.thresholds.get(&role).copied().unwrap_or(1);
            if keys.is_empty() && needed == 1 {
                continue;
            }
            let verb = if needed == 1 { "key" } else { "distinct keys" };
            let _ = writeln!(text, "{role}: {needed} {verb} must sign");
            for key in keys {
                let _ = writeln!(text, "  {}", key.line());
            }
        }
        if self.keys.is_empty() {
            text.push_str("this store trusts no key\n");
        }
        for key in &self.revoked {
            let reason =
                key.reason.as_deref().map(|reason| format!(": {}", safe_line(reason))).unwrap_or_default();
            let _ = writeln!(text, "revoked {}{reason}", key.id);
        }
        match &self.revocations {
            Some(list) => {
                let _ = writeln!(
                    text,
                    "revocations: list {} of {}, {} old, {} revoked",
                    list.number,
                    list.issued,
                    count(usize::try_from(list.age_seconds / DAY).unwrap_or(usize::MAX), "day"),
                    count(list.models, "model")
                );
                for model in &list.revoked_models {
                    let name = model
                        .name
                        .as_deref()
                        .map(|name| format!(" ({})", safe_line(name)))
                        .unwrap_or_default();
                    let _ = writeln!(text, "  model {}{name}: {}", model.digest, safe_line(&model.reason));
                }
            }
            None => text.push_str("revocations: no list was taken in\n"),
        }
        text
    }
}

impl Key {
    fn line(&self) -> String {
        let mut line = self.id.to_string();
        if self.own {
            line.push_str("  this store's own key");
        }
        if let Some(file) = &self.file {
            let _ = write!(line, ", its public key in {}", safe_line(file));
        }
        for (what, value) in [("", &self.name), ("publisher ", &self.publisher)] {
            if let Some(value) = value {
                let _ = write!(line, "  {what}{}", safe_line(value));
            }
        }
        if let Some(day) = self.expires {
            let _ = write!(line, "  until {day}");
        }
        if self.status != "trusted" {
            let _ = write!(line, "  {}", self.status.to_uppercase());
        }
        line
    }
}
