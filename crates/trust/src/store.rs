//! The store's `trust/` folder: what is trusted, and how that changes.
//!
//! `trust.json` (keys, revoked keys, thresholds), `revocations.json` (the newest signed list), `clock.json` (the newest
//! signed time), `site.key` (the store's own). Each is written whole, under the lock of the folder.

mod change;
#[cfg(test)]
mod tests;

pub use change::{Added, Applied, Details};

use crate::clock::{Clock, Now};
use crate::document::{Document, RevokedKey, TrustedKey, corrupt};
use crate::error::TrustError;
use crate::quorum::{Quorum, Uncounted, Why};
use crate::revocation::{ListedModel, MAX_LIST, RevocationList};
use crate::role::Role;
use sovai_core::Sha256;
use sovai_signing::dsse::Envelope;
use sovai_signing::{KeyId, PublicKey};
use sovai_store::{Store, StoreError, StoreLock, read_bounded};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Threshold of a role for which none was set.
const DEFAULT_THRESHOLD: u32 = 1;
/// How often, and how long apart, the lock is asked for: whoever holds it writes one small file.
const LOCK_TRIES: u32 = 100;
const LOCK_PAUSE: Duration = Duration::from_millis(20);

/// Whom a store trusts, as its `trust/` folder said when it was opened.
#[derive(Debug, Clone)]
pub struct TrustStore {
    /// Nothing where there is no folder.
    store: Option<Store>,
    document: Document,
    material: BTreeMap<KeyId, PublicKey>,
    list: Option<(Envelope, RevocationList)>,
    clock: Clock,
    site: Option<PublicKey>,
}

impl TrustStore {
    /// Reads the folder. A document that is damaged is an error, never an empty one.
    pub fn open(store: &Store) -> Result<Self, TrustError> {
        let folder = store.trust();
        for name in ["trust.json", "revocations.json", "clock.json"] {
            guarded(store, &folder.join(name))?;
        }
        let own = folder.join("trust.json");
        let is_there = own.exists();
        let (document, material) = Document::read(&own)?;
        let path = folder.join("revocations.json");
        let list = match read_bounded(&path, MAX_LIST as u64)? {
            None => None,
            // It was verified when it was taken in. Its signers may have expired since; it holds all the same.
            Some(bytes) => Some(
                RevocationList::parse_envelope(&bytes).map_err(|error| corrupt(&path, error.to_string()))?,
            ),
        };
        // What was revoked does not come back by losing a file.
        let number = list.as_ref().map(|(_, list): &(Envelope, RevocationList)| list.number);
        if let Some(expected) =
            document.list.filter(|expected| number.is_none_or(|number| number < *expected))
        {
            let found =
                number.map_or_else(|| "it is gone".to_owned(), |number| format!("it has list {number}"));
            return Err(corrupt(&path, format!("{found}, but list {expected} was taken in")).into());
        }
        if number.is_some() && !is_there {
            let reason =
                "it is gone, but a list of revocations was taken in, which needs a trusted key".to_owned();
            return Err(corrupt(&own, reason).into());
        }
        let clock = Clock::read(&folder.join("clock.json"))?;
        let site = sovai_evidence::site_public(store)?;
        Ok(Self { store: Some(store.clone()), document, material, list, clock, site })
    }

    /// Trusts nobody, and cannot be changed: for who has no store.
    pub fn empty() -> Self {
        Self {
            store: None,
            document: Document::default(),
            material: BTreeMap::new(),
            list: None,
            clock: Clock::default(),
            site: None,
        }
    }

    /// Every trusted key, sorted by role and id; also those that have expired or were revoked.
    pub fn list(&self) -> &[TrustedKey] {
        &self.document.keys
    }

    /// Every key that is never trusted again, sorted by id.
    pub fn revoked_keys(&self) -> Vec<RevokedKey> {
        let mut all: BTreeMap<KeyId, RevokedKey> = self.listed_keys().map(|key| (key.id, key)).collect();
        all.extend(self.document.revoked.iter().map(|key| (key.id, key.clone())));
        all.into_values().collect()
    }

    fn listed_keys(&self) -> impl Iterator<Item = RevokedKey> {
        self.list.iter().flat_map(|(_, list)| {
            list.keys.iter().map(|key| RevokedKey {
                id: key.id,
                reason: Some(key.reason.clone()),
                since: key.since,
                list: Some(list.number),
            })
        })
    }

    /// Why a key was revoked; nothing when it was not.
    pub fn revoked_key(&self, id: KeyId) -> Option<RevokedKey> {
        let own = self.document.revoked.iter().find(|key| key.id == id).cloned();
        own.or_else(|| self.listed_keys().find(|key| key.id == id))
    }

    /// The entry of the newest list for a model with one of these digests: of the model, of its signature's root, of a file.
    pub fn revoked_model<'a>(&self, digests: impl IntoIterator<Item = &'a Sha256>) -> Option<&ListedModel> {
        let models = &self.list.as_ref()?.1.models;
        digests.into_iter().find_map(|digest| {
            models.binary_search_by_key(digest, |model| model.digest).ok().and_then(|at| models.get(at))
        })
    }

    /// The newest list of revocations that was taken in.
    pub fn revocation_list(&self) -> Option<&RevocationList> {
        self.list.as_ref().map(|(_, list)| list)
    }

    /// How many distinct keys of a role must sign.
    pub fn threshold(&self, role: Role) -> u32 {
        self.document.thresholds.get(&role).copied().unwrap_or(DEFAULT_THRESHOLD)
    }

    /// What time it is, given the system's clock in seconds since 1970.
    pub fn now(&self, system: u64) -> Now {
        self.clock.now(system)
    }

    /// The public part of this store's own key; nothing before the first statement is signed.
    pub fn site(&self) -> Option<&PublicKey> {
        self.site.as_ref()
    }

    /// The key with this id, in whatever role.
    pub fn key(&self, id: KeyId) -> Option<&PublicKey> {
        self.material.get(&id).or_else(|| self.site.as_ref().filter(|site| site.id() == id))
    }

    /// The distinct keys of a role that count at the system time `system`: not revoked, not expired. Of the role `site`
    /// the store's own key is one, without being added.
    pub fn keys(&self, role: Role, system: u64) -> Vec<PublicKey> {
        self.all_keys(role)
            .into_iter()
            .filter(|key| self.judge(key.id(), role, None, system).is_none())
            .collect()
    }

    /// Like [`TrustStore::keys`], with those that have expired or were revoked: to read what they once signed.
    pub fn all_keys(&self, role: Role) -> Vec<PublicKey> {
        let ids: BTreeSet<KeyId> = self.with_role(role).map(|entry| entry.id).collect();
        let own = self.site.iter().filter(|site| role == Role::Site && !ids.contains(&site.id()));
        ids.iter().filter_map(|id| self.material.get(id)).chain(own).cloned().collect()
    }

    fn with_role(&self, role: Role) -> impl Iterator<Item = &TrustedKey> {
        self.document.keys.iter().filter(move |entry| entry.role == role)
    }

    /// Who of `signers` counts for a role, and whether that is enough. For the role `publisher` only keys of `publisher`
    /// count, and keys that are bound to none.
    pub fn quorum(
        &self,
        role: Role,
        publisher: Option<&str>,
        signers: &BTreeSet<KeyId>,
        system: u64,
    ) -> Quorum {
        let mut quorum =
            Quorum { role, needed: self.threshold(role), counted: Vec::new(), uncounted: Vec::new() };
        // A set of ids is a set of key material: the id is the digest of the one form in which a key is kept.
        for &key in signers {
            match self.judge(key, role, publisher, system) {
                None => quorum.counted.push(key),
                Some(why) => quorum.uncounted.push(Uncounted { key, why }),
            }
        }
        quorum
    }

    /// Why a key does not count for a role; nothing when it does.
    fn judge(&self, id: KeyId, role: Role, publisher: Option<&str>, system: u64) -> Option<Why> {
        if self.revoked_key(id).is_some() {
            return Some(Why::Revoked);
        }
        let own = role == Role::Site && self.site.as_ref().is_some_and(|site| site.id() == id);
        let Some(entry) = self.with_role(role).find(|entry| entry.id == id) else {
            let known = self.document.keys.iter().any(|entry| entry.id == id);
            return match (own, known) {
                (true, _) => None,
                (false, true) => Some(Why::Role),
                (false, false) => Some(Why::Unknown),
            };
        };
        if entry.expires.is_some_and(|day| day.has_passed(self.now(system).effective)) {
            return Some(Why::Expired);
        }
        match (role, &entry.publisher) {
            (Role::Publisher, Some(own)) if !publisher.is_some_and(|other| same_publisher(own, other)) => {
                Some(Why::Publisher)
            }
            _ => None,
        }
    }

    fn path(&self, name: &str) -> Result<PathBuf, TrustError> {
        Ok(self.store()?.trust().join(name))
    }

    /// Takes the folder's lock, and reads again what is in it: another process may have changed it.
    fn lock(&mut self) -> Result<StoreLock, TrustError> {
        let store = self.store()?.clone();
        let mut tries = 0;
        let lock = loop {
            match store.lock_trust("trust") {
                Err(StoreError::Busy { .. }) if tries < LOCK_TRIES => {
                    tries += 1;
                    std::thread::sleep(LOCK_PAUSE);
                }
                taken => break taken?,
            }
        };
        *self = Self::open(&store)?;
        Ok(lock)
    }

    pub(crate) fn store(&self) -> Result<&Store, TrustError> {
        self.store.as_ref().ok_or(TrustError::NoStore)
    }
}

/// A document that somebody else could have written is not believed.
fn guarded(store: &Store, path: &Path) -> Result<(), StoreError> {
    use std::os::unix::fs::MetadataExt as _;
    let look = |error| StoreError::io("look at", path, error);
    let meta = match fs_err::symlink_metadata(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        found => found.map_err(look)?,
    };
    if !meta.is_file() {
        return Err(corrupt(path, "it is not a regular file".to_owned()));
    }
    // The store's root belongs to whoever runs this, or it would not be open.
    let expected = fs_err::metadata(store.root()).map_err(look)?.uid();
    if meta.uid() != expected {
        return Err(StoreError::Owner { path: path.to_owned(), expected, found: meta.uid() });
    }
    if meta.mode() & 0o022 != 0 {
        let mode = meta.mode() & 0o7777;
        return Err(corrupt(
            path,
            format!("its mode is {mode:04o}, expected 0600: others could have changed it"),
        ));
    }
    Ok(())
}

/// Whether two names mean one publisher: the same words, or names of one entry of the catalogue.
fn same_publisher(one: &str, other: &str) -> bool {
    one.eq_ignore_ascii_case(other)
        || sovai_catalog::publisher(one)
            .zip(sovai_catalog::publisher(other))
            .is_some_and(|(one, other)| one == other)
}
