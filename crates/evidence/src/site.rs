//! The site's key: what a store signs its own evidence and summaries with.

use crate::error::EvidenceError;
use sovai_signing::{Algorithm, PrivateKey, PublicKey};
use sovai_store::{Store, StoreError, atomic, read_bounded};
use std::path::PathBuf;

/// Largest key file that is read, in bytes.
const MAX_KEY: u64 = 16 << 10;

/// The site's key, `trust/site.key` in the store; made (ed25519, mode 0600) when it is not there.
///
/// It is not encrypted: it protects the log against those who cannot read the store, which has mode 0700. The public key is
/// put beside it, see [`site_public_path`].
pub fn site_key(store: &Store) -> Result<PrivateKey, EvidenceError> {
    let key = match read(store)? {
        Some(key) => key,
        None => make(store)?,
    };
    publish(store, key.public());
    Ok(key)
}

fn make(store: &Store) -> Result<PrivateKey, EvidenceError> {
    let path = path(store);
    let wrong = |source: Box<dyn std::error::Error + Send + Sync>| EvidenceError::SiteKey {
        path: path.clone(),
        source,
    };
    let new = PrivateKey::generate(Algorithm::Ed25519).map_err(|error| wrong(error.into()))?;
    let pem = new.to_pkcs8_pem(None).map_err(|error| wrong(error.into()))?;
    if atomic::write_new(&path, pem.as_bytes(), 0o600)? {
        return Ok(new);
    }
    // Another process was first.
    read(store)?.ok_or_else(|| wrong("it was there and is gone".into()))
}

/// The public part of the site's key; nothing when there is none yet.
pub fn site_public(store: &Store) -> Result<Option<PublicKey>, EvidenceError> {
    let Some(key) = read(store)? else { return Ok(None) };
    publish(store, key.public());
    Ok(Some(key.public().clone()))
}

/// Where the site's public key lies as PEM, for those who check what the store signed: `trust/site.pub`. It is for handing
/// on; the store itself never believes it.
pub fn site_public_path(store: &Store) -> PathBuf {
    store.trust().join("site.pub")
}

/// Writes the public key beside the private one when it is not there, or is another. Best effort: a store that can only be
/// read is as good as it was without.
fn publish(store: &Store, key: &PublicKey) {
    let path = site_public_path(store);
    let pem = key.to_pem();
    if !matches!(read_bounded(&path, MAX_KEY), Ok(Some(found)) if found == pem.as_bytes()) {
        drop(atomic::write(&path, pem.as_bytes(), 0o644));
    }
}

fn path(store: &Store) -> PathBuf {
    store.trust().join("site.key")
}

fn read(store: &Store) -> Result<Option<PrivateKey>, EvidenceError> {
    use std::os::unix::fs::PermissionsExt as _;
    let path = path(store);
    let Some(bytes) = read_bounded(&path, MAX_KEY)? else { return Ok(None) };
    let mode = fs_err::metadata(&path)
        .map_err(|error| StoreError::io("look at", &path, error))?
        .permissions()
        .mode();
    if mode & 0o077 != 0 {
        let reason = format!("its mode is {:04o}, expected 0600", mode & 0o7777);
        return Err(StoreError::Corrupt { path, reason }.into());
    }
    match PrivateKey::from_pem(&bytes, None) {
        Ok(key) => Ok(Some(key)),
        Err(error) => Err(EvidenceError::SiteKey { path, source: error.into() }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_is_made_once_and_only_its_owner_can_read_it() {
        use std::os::unix::fs::PermissionsExt as _;
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(&dir.path().join("store")).unwrap();
        assert!(site_public(&store).unwrap().is_none());
        let first = site_key(&store).unwrap().public().id();
        assert_eq!(site_key(&store).unwrap().public().id(), first);
        assert_eq!(site_public(&store).unwrap().unwrap().id(), first);
        let public = || fs_err::read(site_public_path(&store)).ok();
        assert_eq!(PublicKey::from_pem(&public().unwrap()).unwrap().id(), first);
        // A store of before, which has none, or another's: it is written anew.
        fs_err::remove_file(site_public_path(&store)).unwrap();
        site_public(&store).unwrap();
        assert_eq!(PublicKey::from_pem(&public().unwrap()).unwrap().id(), first);
        fs_err::write(site_public_path(&store), "another").unwrap();
        site_key(&store).unwrap();
        assert_eq!(PublicKey::from_pem(&public().unwrap()).unwrap().id(), first);
        let path = store.trust().join("site.key");
        assert_eq!(fs_err::metadata(&path).unwrap().permissions().mode() & 0o7777, 0o600);

        fs_err::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
        let error = site_key(&store).unwrap_err();
        assert!(error.to_string().contains("0644"), "{error}");
        fs_err::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
        fs_err::write(&path, "no key").unwrap();
        assert!(matches!(site_key(&store), Err(EvidenceError::SiteKey { .. })));
    }
}
