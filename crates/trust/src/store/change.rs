//! How what a store trusts changes.

use super::TrustStore;
use crate::day::Day;
use crate::document::{MAX_KEYS, MAX_REVOKED, MAX_THRESHOLD, RevokedKey, TrustedKey};
use crate::error::TrustError;
use crate::revocation::RevocationList;
use crate::role::Role;
use sovai_signing::{KeyId, PublicKey};
use sovai_store::atomic;

/// Longest name, in bytes.
const MAX_NAME: usize = 200;
/// Longest reason, in bytes.
const MAX_REASON: usize = 500;
/// Fewest digits that name a key.
const MIN_DIGITS: usize = 8;

/// What is said of a key besides its role.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Details {
    /// A name for people.
    pub name: Option<String>,
    /// Of a publisher: the only one for whose models it counts.
    pub publisher: Option<String>,
    /// Last day on which it is trusted, in UTC.
    pub expires: Option<Day>,
}

/// What adding a key did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Added {
    /// It is trusted now.
    New,
    /// It was trusted in this role; name, publisher or last day are new.
    Changed,
    /// It was trusted in this role, with the same details.
    Unchanged,
}

/// What taking in a list of revocations did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Applied {
    /// The list.
    pub list: RevocationList,
    /// Number of the list before; the same one when nothing is new.
    pub before: Option<u64>,
    /// Trusted keys that count no longer because of it.
    pub lost: Vec<KeyId>,
}

impl TrustStore {
    /// Trusts a key in a role. A key may have several roles, each once: the same role again changes its details.
    ///
    /// `system` is the time in seconds since 1970.
    pub fn add(
        &mut self,
        key: &PublicKey,
        role: Role,
        details: &Details,
        system: u64,
    ) -> Result<Added, TrustError> {
        if let Some(name) = &details.name {
            check_text("a name", MAX_NAME, name)?;
        }
        if let Some(publisher) = &details.publisher {
            check_text("a publisher", MAX_NAME, publisher)?;
            if role != Role::Publisher {
                return Err(TrustError::PublisherOfOther { role });
            }
        }
        let _lock = self.lock()?;
        let id = key.id();
        if let Some(revoked) = self.revoked_key(id) {
            return Err(TrustError::Revoked { id, reason: revoked.reason });
        }
        if let Some(day) = details.expires.filter(|day| day.has_passed(self.now(system).effective)) {
            return Err(TrustError::Expired { day });
        }
        let new = TrustedKey {
            id,
            role,
            pem: key.to_pem(),
            name: details.name.clone(),
            publisher: details.publisher.clone(),
            expires: details.expires,
            added: system,
        };
        let full = self.document.keys.len() >= MAX_KEYS;
        let before = self.document.keys.iter_mut().find(|entry| entry.id == id && entry.role == role);
        let added = match before {
            Some(entry) => {
                let new = TrustedKey { added: entry.added, ..new };
                if *entry == new {
                    return Ok(Added::Unchanged);
                }
                *entry = new;
                Added::Changed
            }
            None if full => return Err(TrustError::TooMany(MAX_KEYS)),
            None => {
                self.document.keys.push(new);
                Added::New
            }
        };
        self.save()?;
        self.material.insert(id, key.clone());
        Ok(added)
    }

    /// The trusted key whose id is `text`, or begins with it: at least 8 digits, with or without `sha256:`.
    pub fn find(&self, text: &str) -> Result<KeyId, TrustError> {
        let digits = text.strip_prefix("sha256:").unwrap_or(text);
        let unknown = || TrustError::Unknown(text.chars().take(80).collect());
        if digits.len() < MIN_DIGITS || !digits.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')) {
            return Err(unknown());
        }
        let trusted = self.document.keys.iter().map(|entry| entry.id);
        let own = self.site.iter().map(PublicKey::id);
        let revoked = self.revoked_keys().into_iter().map(|key| key.id);
        let mut found: Vec<KeyId> =
            trusted.chain(own).chain(revoked).filter(|id| id.0.hex().starts_with(digits)).collect();
        found.sort_unstable();
        found.dedup();
        match &*found {
            [] => Err(unknown()),
            [id] => Ok(*id),
            several => {
                Err(TrustError::Ambiguous { text: text.chars().take(80).collect(), count: several.len() })
            }
        }
    }

    /// Revokes a key for good, in all its roles; also one that was never trusted. Says whether that is new.
    pub fn revoke(&mut self, id: KeyId, reason: Option<&str>, system: u64) -> Result<bool, TrustError> {
        if let Some(reason) = reason {
            check_text("a reason", MAX_REASON, reason)?;
        }
        let _lock = self.lock()?;
        if self.revoked_key(id).is_some() {
            return Ok(false);
        }
        if self.document.revoked.len() >= MAX_REVOKED {
            return Err(TrustError::TooMany(MAX_REVOKED));
        }
        let reason = reason.map(str::to_owned);
        self.document.revoked.push(RevokedKey { id, reason, since: Some(system), list: None });
        self.save()?;
        Ok(true)
    }

    /// Sets how many distinct keys of a role must sign.
    pub fn set_threshold(&mut self, role: Role, keys: u32) -> Result<(), TrustError> {
        if !(1..=MAX_THRESHOLD).contains(&keys) {
            return Err(TrustError::Threshold { most: MAX_THRESHOLD, found: keys });
        }
        let _lock = self.lock()?;
        self.document.thresholds.insert(role, keys);
        self.save()
    }

    /// Takes in a signed list of revocations: signed by the threshold of the role `revocation`, and newer than the last.
    ///
    /// Its keys are revoked for good, also when a later list leaves them out; of models the newest list alone counts.
    pub fn apply_list(&mut self, bytes: &[u8], system: u64) -> Result<Applied, TrustError> {
        let envelope = RevocationList::envelope(bytes)?;
        let _lock = self.lock()?;
        let signers = envelope.verified_by(&self.keys(Role::Revocation, system));
        let quorum = self.quorum(Role::Revocation, None, &signers, system);
        if !quorum.satisfied() {
            let found = quorum.needed.saturating_sub(quorum.missing());
            return Err(TrustError::Unsigned { needed: quorum.needed, found });
        }
        let given = RevocationList::of_envelope(&envelope)?;
        let known = self.list.as_ref().map(|(_, list)| list);
        let before = known.map(|known| known.number);
        match known {
            Some(known) if known.number > given.number => {
                return Err(TrustError::Older { known: known.number, found: given.number });
            }
            Some(known) if known.number == given.number && *known != given => {
                return Err(TrustError::SameNumber { number: given.number });
            }
            _ => {}
        }
        let no_longer = self.trusted_in(&given);
        // Keys first: a kill between the two writes leaves them revoked, and the same command completes.
        self.remember_revoked(&given)?;
        self.save()?;
        atomic::write(&self.path("revocations.json")?, envelope.to_json().as_bytes(), 0o600)?;
        self.document.list = Some(given.number);
        self.save()?;
        let from = format!("list of revocations {}", given.number);
        self.list = Some((envelope, given.clone()));
        if self.clock.saw(given.issued, &from, system) {
            self.clock.write(&self.path("clock.json")?)?;
        }
        Ok(Applied { list: given, before, lost: no_longer })
    }

    /// Takes in a time that somebody whom this store trusts has signed: of a time-stamp authority, of another site's
    /// statement. `from` names it for warnings. See [`crate::Now`] for what becomes of it.
    pub fn saw_time(&mut self, signed: u64, from: &str, system: u64) -> Result<(), TrustError> {
        let from: String = from.chars().filter(|c| !c.is_control()).take(MAX_NAME).collect();
        // Most times are old news, and then nothing is written.
        if !self.clock.clone().saw(signed, &from, system) {
            return Ok(());
        }
        let _lock = self.lock()?;
        if self.clock.saw(signed, &from, system) {
            self.clock.write(&self.path("clock.json")?)?;
        }
        Ok(())
    }

    /// Keys of a list that this store trusted until now.
    fn trusted_in(&self, list: &RevocationList) -> Vec<KeyId> {
        let trusted = |id: KeyId| self.key(id).is_some() && self.revoked_key(id).is_none();
        list.keys.iter().map(|key| key.id).filter(|id| trusted(*id)).collect()
    }

    fn remember_revoked(&mut self, list: &RevocationList) -> Result<(), TrustError> {
        let mut all: std::collections::BTreeMap<KeyId, RevokedKey> =
            self.revoked_keys().into_iter().map(|key| (key.id, key)).collect();
        for key in &list.keys {
            all.entry(key.id).or_insert_with(|| RevokedKey {
                id: key.id,
                reason: Some(key.reason.clone()),
                since: key.since,
                list: Some(list.number),
            });
        }
        if all.len() > MAX_REVOKED {
            return Err(TrustError::TooMany(MAX_REVOKED));
        }
        self.document.revoked = all.into_values().collect();
        Ok(())
    }

    fn save(&mut self) -> Result<(), TrustError> {
        let path = self.path("trust.json")?;
        Ok(self.document.write(&path)?)
    }
}

fn check_text(what: &'static str, most: usize, text: &str) -> Result<(), TrustError> {
    let hidden = |c: char| {
        c.is_control()
            || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
    };
    if text.is_empty() || text.len() > most || text.chars().any(hidden) {
        return Err(TrustError::Text { what, most, found: text.chars().take(80).collect() });
    }
    Ok(())
}
