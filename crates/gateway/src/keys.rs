//! Who is let in: digests of keys, read from a file and read again when it changes.
//!
//! The file holds SHA-256 digests, so whoever reads it learns no key. A presented key is hashed and its digest looked up in
//! a map: how long the look-up takes depends on a digest that nobody can choose without inverting SHA-256, so it
//! tells nothing about the keys.

use crate::GatewayError;
use crate::config::read_bounded;
use http::header::{AUTHORIZATION, HeaderMap};
use sha2::{Digest as _, Sha256 as Hasher};
use sovai_core::Sha256;
use std::collections::HashMap;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

/// Longest keys file in bytes: some ten thousand keys.
const MAX_FILE: u64 = 1 << 20;
/// Longest key that is hashed, in bytes.
const MAX_KEY: usize = 512;

/// The keys in force, each with the name of who holds it.
pub(crate) type KeySet = HashMap<Sha256, Option<Arc<str>>>;

/// Why a request is not let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// No key was presented.
    Missing,
    /// What was presented is no key in force.
    Wrong,
}

/// The keys of a gateway.
#[derive(Debug)]
pub(crate) struct Keys {
    path: PathBuf,
    set: RwLock<Arc<KeySet>>,
    stamp: std::sync::Mutex<Option<Stamp>>,
}

/// What changes when a file does.
type Stamp = (u64, u64, u64, i64, i64, i64, i64);

fn stamp(path: &Path) -> Option<Stamp> {
    let meta = fs_err::metadata(path).ok()?;
    Some((
        meta.dev(),
        meta.ino(),
        meta.size(),
        meta.mtime(),
        meta.mtime_nsec(),
        meta.ctime(),
        meta.ctime_nsec(),
    ))
}

impl Keys {
    /// Reads the keys file for the first time; a file without a key is an error then.
    pub(crate) fn load(path: &Path) -> Result<Self, GatewayError> {
        let stamp = stamp(path);
        let set = read(path)?;
        Ok(Self {
            path: path.to_owned(),
            set: RwLock::new(Arc::new(set)),
            stamp: std::sync::Mutex::new(stamp),
        })
    }

    /// Number of keys in force.
    pub(crate) fn count(&self) -> usize {
        self.current().len()
    }

    fn current(&self) -> Arc<KeySet> {
        Arc::clone(&self.set.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Reads the file again when it changed. A file that cannot be used leaves no key in force: a key that was struck
    /// from it must not live on because of a mistake in another line.
    pub(crate) fn refresh(&self) -> Option<Result<usize, GatewayError>> {
        let now = stamp(&self.path);
        {
            let mut last = self.stamp.lock().unwrap_or_else(PoisonError::into_inner);
            if *last == now {
                return None;
            }
            *last = now;
        }
        let result = read(&self.path);
        let (set, result) = match result {
            Ok(set) => {
                let count = set.len();
                (set, Ok(count))
            }
            Err(error) => (KeySet::new(), Err(error)),
        };
        *self.set.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(set);
        Some(result)
    }

    /// Looks for the key that a request presents; gives the name of who holds it.
    pub(crate) fn admit(&self, headers: &HeaderMap) -> Result<Option<Arc<str>>, Refusal> {
        let mut values = headers.get_all(AUTHORIZATION).iter();
        let value = values.next().ok_or(Refusal::Missing)?;
        if values.next().is_some() {
            return Err(Refusal::Wrong);
        }
        let (scheme, key) = value.to_str().ok().and_then(|v| v.split_once(' ')).ok_or(Refusal::Wrong)?;
        let key = key.trim_matches(' ');
        if !scheme.eq_ignore_ascii_case("bearer") || key.is_empty() || key.len() > MAX_KEY {
            return Err(Refusal::Wrong);
        }
        let digest = Sha256::from_bytes(Hasher::digest(key.as_bytes()).into());
        self.current().get(&digest).cloned().ok_or(Refusal::Wrong)
    }
}

fn read(path: &Path) -> Result<KeySet, GatewayError> {
    let set = parse(path, &read_bounded("keys file", path, MAX_FILE)?)?;
    if set.is_empty() {
        return Err(GatewayError::NoKeys { path: path.to_owned() });
    }
    Ok(set)
}

/// One digest a line, with a name after it if wanted; empty lines and lines that start with `#` are passed over.
fn parse(path: &Path, bytes: &[u8]) -> Result<KeySet, GatewayError> {
    let mut set = KeySet::new();
    for (at, line) in bytes.split(|b| *b == b'\n').enumerate() {
        let wrong = |problem: &str| GatewayError::Key {
            path: path.to_owned(),
            line: at + 1,
            problem: problem.to_owned(),
        };
        let line = std::str::from_utf8(line).map_err(|_| wrong("expected UTF-8 text"))?.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let (digest, name) = line.split_once([' ', '\t']).map_or((line, ""), |(d, n)| (d, n.trim()));
        // The reason stays out of the message: it would quote what may be a key.
        let digest = Sha256::from_hex(digest)
            .map_err(|_| wrong("expected the 64 lower-case hexadecimal digits of a SHA-256"))?;
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-' | '@');
        if name.len() > 64 || !name.chars().all(plain) {
            return Err(wrong("a name has at most 64 characters of a-z, A-Z, 0-9, `.`, `_`, `-` and `@`"));
        }
        set.insert(digest, (!name.is_empty()).then(|| Arc::from(name)));
    }
    Ok(set)
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    /// `printf sk-one | sha256sum`, by coreutils.
    const ONE: &str = "456f1612bd25c6c8455039437bf441f43aa3b7d1c0b0047c712d5036dfebef0d";

    fn digest(key: &str) -> String {
        Sha256::from_bytes(Hasher::digest(key.as_bytes()).into()).hex()
    }

    fn headers(values: &[&str]) -> HeaderMap {
        let mut map = HeaderMap::new();
        for value in values {
            map.append(AUTHORIZATION, HeaderValue::from_str(value).unwrap());
        }
        map
    }

    #[test]
    fn only_a_whole_key_in_force_is_let_in() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("keys");
        fs_err::write(&path, format!("# keys\n\n{} team-a\n{}\n", digest("sk-one"), digest("sk-two")))
            .unwrap();
        let keys = Keys::load(&path).unwrap();
        assert_eq!(keys.count(), 2);
        assert_eq!(keys.admit(&headers(&["Bearer sk-one"])).unwrap().as_deref(), Some("team-a"));
        assert_eq!(keys.admit(&headers(&["bearer  sk-two "])).unwrap(), None);
        assert_eq!(keys.admit(&headers(&[])), Err(Refusal::Missing));
        let long = format!("Bearer {}", "x".repeat(MAX_KEY + 1));
        for wrong in ["Bearer sk-on", "Bearer sk-one2", "Bearer", "Bearer ", "Basic sk-one", "sk-one", &long]
        {
            assert_eq!(keys.admit(&headers(&[wrong])), Err(Refusal::Wrong), "{wrong}");
        }
        assert_eq!(keys.admit(&headers(&[&format!("Bearer {}", digest("sk-one"))])), Err(Refusal::Wrong));
        assert_eq!(keys.admit(&headers(&["Bearer sk-one", "Bearer sk-one"])), Err(Refusal::Wrong));
    }

    #[test]
    fn the_digest_is_that_of_coreutils() {
        assert_eq!(digest("sk-one"), ONE);
    }

    #[test]
    fn a_bad_line_is_named_but_never_quoted() {
        let path = Path::new("/etc/keys");
        for (text, expected) in [
            ("sk-sovai-secret\n", "line 1: expected the 64"),
            (&format!("{ONE}\n{}\n", ONE.to_uppercase()), "line 2: expected the 64"),
            (&format!("{ONE} a\u{7}b\n"), "line 1: a name has"),
        ] {
            let found = parse(path, text.as_bytes()).unwrap_err().to_string();
            assert!(found.contains(expected) && !found.contains("secret"), "{found}");
        }
        assert!(parse(path, b"\xff\n").is_err());
    }

    #[test]
    fn a_change_is_seen_and_a_broken_file_lets_nobody_in() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("keys");
        fs_err::write(&path, "").unwrap();
        assert!(matches!(Keys::load(&path), Err(GatewayError::NoKeys { .. })));
        fs_err::write(&path, digest("a")).unwrap();
        let keys = Keys::load(&path).unwrap();
        assert!(keys.refresh().is_none());
        fs_err::write(&path, format!("{}\n{}\n", digest("b"), digest("c"))).unwrap();
        assert_eq!(keys.refresh().unwrap().unwrap(), 2);
        assert_eq!(keys.admit(&headers(&["Bearer a"])), Err(Refusal::Wrong));
        assert!(keys.admit(&headers(&["Bearer b"])).is_ok());
        fs_err::write(&path, format!("{}\nnonsense\n", digest("b"))).unwrap();
        assert!(keys.refresh().unwrap().is_err());
        assert_eq!(keys.admit(&headers(&["Bearer b"])), Err(Refusal::Wrong));
        fs_err::remove_file(&path).unwrap();
        assert!(keys.refresh().unwrap().is_err());
        assert!(keys.refresh().is_none());
        fs_err::write(&path, digest("b")).unwrap();
        assert!(keys.refresh().unwrap().is_ok());
        assert!(keys.admit(&headers(&["Bearer b"])).is_ok());
    }
}
