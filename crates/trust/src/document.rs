//! The documents of the `trust/` folder.

use crate::day::Day;
use crate::role::Role;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use sovai_evidence::{parse_rfc3339, rfc3339};
use sovai_signing::json::{Limits, from_slice};
use sovai_signing::{KeyId, PublicKey};
use sovai_store::{StoreError, atomic, read_bounded};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// Bounds of a document.
const LIMITS: Limits = Limits { bytes: 8 << 20, depth: 8, values: 200_000 };
/// Most keys that a store trusts.
pub(crate) const MAX_KEYS: usize = 1000;
/// Most keys that a store remembers as revoked.
pub(crate) const MAX_REVOKED: usize = 20_000;
/// Highest threshold.
pub(crate) const MAX_THRESHOLD: u32 = 64;
const API_VERSION: &str = "sovai/v1";

/// A key that a store trusts in one role.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TrustedKey {
    /// SHA-256 of its SPKI DER.
    pub id: KeyId,
    /// What it may do.
    pub role: Role,
    /// SPKI PEM.
    pub pem: String,
    /// A name for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Of a publisher: the only one for whose models it counts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub publisher: Option<String>,
    /// Last day on which it is trusted, in UTC.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires: Option<Day>,
    /// When it was added, in seconds since 1970.
    #[serde(with = "time")]
    pub added: u64,
}

/// A key that is never trusted again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RevokedKey {
    /// SHA-256 of its SPKI DER.
    pub id: KeyId,
    /// Why.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// From when on it is not to be trusted, as far as that is known; in seconds since 1970. For people: a revoked key
    /// counts for nothing, whatever a signature says of its own time.
    #[serde(with = "optional_time", skip_serializing_if = "Option::is_none", default)]
    pub since: Option<u64>,
    /// Number of the list that revoked it; nothing when it was revoked here.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub list: Option<u64>,
}

/// `trust/trust.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Document {
    api_version: String,
    kind: String,
    /// Sorted by role and id.
    pub(crate) keys: Vec<TrustedKey>,
    /// Sorted by id.
    pub(crate) revoked: Vec<RevokedKey>,
    /// Those that are not 1.
    pub(crate) thresholds: BTreeMap<Role, u32>,
    /// Number of the newest list of revocations that was taken in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) list: Option<u64>,
}

impl Default for Document {
    fn default() -> Self {
        Self {
            api_version: API_VERSION.to_owned(),
            kind: "Trust".to_owned(),
            keys: Vec::new(),
            revoked: Vec::new(),
            thresholds: BTreeMap::new(),
            list: None,
        }
    }
}

impl Document {
    /// Reads the document and what its keys are; an empty one when there is no file.
    pub(crate) fn read(path: &Path) -> Result<(Self, BTreeMap<KeyId, PublicKey>), StoreError> {
        let document: Self = read(path)?.unwrap_or_default();
        let keys = document.check().map_err(|reason| corrupt(path, reason))?;
        Ok((document, keys))
    }

    /// Puts its lists in order and writes it.
    pub(crate) fn write(&mut self, path: &Path) -> Result<(), StoreError> {
        self.keys.sort_by_key(|key| (key.role, key.id));
        self.revoked.sort_by_key(|key| key.id);
        write(path, self)
    }

    fn check(&self) -> Result<BTreeMap<KeyId, PublicKey>, String> {
        if self.api_version != API_VERSION || self.kind != "Trust" {
            return Err(format!(
                "expected `{API_VERSION}` `Trust`, found `{}` `{}`",
                self.api_version.escape_debug(),
                self.kind.escape_debug()
            ));
        }
        if self.keys.len() > MAX_KEYS || self.revoked.len() > MAX_REVOKED {
            return Err(format!("expected at most {MAX_KEYS} keys and {MAX_REVOKED} revoked ones"));
        }
        let mut keys = BTreeMap::new();
        let mut seen = BTreeSet::new();
        for entry in &self.keys {
            let key = PublicKey::from_pem(entry.pem.as_bytes())
                .map_err(|error| format!("key {}: {error}", entry.id))?;
            if key.id() != entry.id {
                return Err(format!("key {} has the id {}", entry.id, key.id()));
            }
            if !seen.insert((entry.id, entry.role)) {
                return Err(format!("key {} stands twice with the role {}", entry.id, entry.role));
            }
            keys.insert(entry.id, key);
        }
        let mut revoked = BTreeSet::new();
        if let Some(twice) = self.revoked.iter().find(|key| !revoked.insert(key.id)) {
            return Err(format!("key {} stands twice as revoked", twice.id));
        }
        match self.thresholds.values().find(|count| !(1..=MAX_THRESHOLD).contains(*count)) {
            Some(count) => Err(format!("a threshold is 1 to {MAX_THRESHOLD}, found {count}")),
            None => Ok(keys),
        }
    }
}

/// Reads a document strictly; nothing when it is not there.
pub(crate) fn read<T: DeserializeOwned>(path: &Path) -> Result<Option<T>, StoreError> {
    let Some(bytes) = read_bounded(path, LIMITS.bytes as u64)? else { return Ok(None) };
    from_slice(&bytes, LIMITS).map(Some).map_err(|error| corrupt(path, error.to_string()))
}

/// Writes a document: the same content gives the same bytes.
pub(crate) fn write(path: &Path, document: &impl Serialize) -> Result<(), StoreError> {
    let mut bytes = serde_json::to_vec_pretty(document).map_err(|error| corrupt(path, error.to_string()))?;
    bytes.push(b'\n');
    atomic::write(path, &bytes, 0o600)
}

pub(crate) fn corrupt(path: &Path, reason: String) -> StoreError {
    StoreError::Corrupt { path: path.to_owned(), reason }
}

/// Serde for times: RFC 3339 in UTC.
pub(crate) mod time {
    use super::{parse_rfc3339, rfc3339};
    use serde::{Deserialize, Deserializer, Serializer};

    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for this signature")]
    pub(crate) fn serialize<S: Serializer>(seconds: &u64, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&rfc3339(*seconds))
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
        parse_rfc3339(&String::deserialize(deserializer)?).map_err(serde::de::Error::custom)
    }
}

/// Serde for times that may be left out.
pub(crate) mod optional_time {
    use super::{parse_rfc3339, rfc3339};
    use serde::{Deserialize, Deserializer, Serializer};

    #[expect(clippy::ref_option, reason = "serde asks for this signature")]
    pub(crate) fn serialize<S: Serializer>(seconds: &Option<u64>, serializer: S) -> Result<S::Ok, S::Error> {
        match seconds {
            Some(seconds) => serializer.serialize_some(&rfc3339(*seconds)),
            None => serializer.serialize_none(),
        }
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u64>, D::Error> {
        Option::<String>::deserialize(deserializer)?
            .map(|text| parse_rfc3339(&text).map_err(serde::de::Error::custom))
            .transpose()
    }
}
