//! The script, and what it reads.

use sha2::{Digest as _, Sha256};
use sovai_signing::oms::{Bundle, HashAlgorithm, Method, Signed};
use sovai_signing::{Algorithm, PublicKey};
use std::fmt::Write as _;

const SCRIPT: &str = include_str!("check.sh");

/// Why the script cannot check what sovai can.
#[derive(Debug, thiserror::Error)]
pub(super) enum NoChecks {
    #[error("check.sh knows whole files with SHA-256; the signature has {hash}, {method}")]
    Form { hash: HashAlgorithm, method: &'static str },
    #[error("check.sh knows folders; the signature is of one file without a name")]
    SingleFile,
    #[error("check.sh knows no escapes in a signature's JSON, found a backslash")]
    Escapes,
    #[error("check.sh knows P-256, P-384 and P-521, found {0:?}")]
    Key(Algorithm),
    #[error("check.sh knows file names without a backslash or a control character, found `{}`", .0.escape_debug())]
    Name(String),
}

/// What is written.
#[derive(Debug)]
pub(super) struct Checks {
    sums: String,
    script: String,
    bundle: Vec<u8>,
    pem: String,
    key: String,
}

impl Checks {
    /// Of a signature that holds.
    pub(super) fn new(
        bytes: &[u8],
        bundle: &Bundle,
        signed: &Signed,
        key: &PublicKey,
    ) -> Result<Self, NoChecks> {
        let method = match signed.method {
            Method::Files => "whole files",
            Method::Shards { .. } => "pieces of files",
        };
        if signed.hash != HashAlgorithm::Sha256 || signed.method != Method::Files {
            return Err(NoChecks::Form { hash: signed.hash, method });
        }
        if signed.single_file {
            return Err(NoChecks::SingleFile);
        }
        if bytes.contains(&b'\\') {
            return Err(NoChecks::Escapes);
        }
        let hash = match key.algorithm() {
            Algorithm::P256 => "sha256",
            Algorithm::P384 => "sha384",
            Algorithm::P521 => "sha512",
            other @ Algorithm::Ed25519 => return Err(NoChecks::Key(other)),
        };
        let id = key.id().0.hex();
        let payload = sovai_core::Sha256::from_bytes(Sha256::digest(bundle.payload()).into()).hex();
        let script = SCRIPT.replace("@KEY@", &id).replace("@PAYLOAD@", &payload).replace("@HASH@", hash);
        Ok(Self { sums: sums(signed)?, script, bundle: bytes.to_vec(), pem: key.to_pem(), key: id })
    }

    /// The key's fingerprint, hex.
    pub(super) fn key(&self) -> &str {
        &self.key
    }

    /// Names, bytes and permission bits. The script is the last, so that what is not whole cannot be run.
    pub(super) fn files(&self) -> [(&'static str, &[u8], u32); 4] {
        [
            ("SHA256SUMS", self.sums.as_bytes(), 0o644),
            ("model.sig", &self.bundle, 0o644),
            ("key.pem", self.pem.as_bytes(), 0o644),
            ("check.sh", self.script.as_bytes(), 0o755),
        ]
    }
}

/// In the form of coreutils, sorted by path. Its escapes for a backslash or the end of a line are never needed: a path of
/// a model has neither, which is looked at once more here, because the script relies on it.
fn sums(signed: &Signed) -> Result<String, NoChecks> {
    let mut lines = Vec::with_capacity(signed.resources.len());
    for resource in &signed.resources {
        let name = resource.name.as_str();
        if name.contains(|c: char| c == '\\' || c.is_control()) {
            return Err(NoChecks::Name(name.to_owned()));
        }
        let digest = match resource.pieces.as_slice() {
            [piece] if piece.start == 0 && piece.end.is_none() => piece.digest.sha256(),
            _ => None,
        };
        let form = NoChecks::Form { hash: signed.hash, method: "pieces of files" };
        lines.push((name, digest.ok_or(form)?));
    }
    lines.sort_unstable();
    Ok(lines.iter().fold(String::new(), |mut text, (name, digest)| {
        let _ = writeln!(text, "{}  {name}", digest.hex());
        text
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_script_is_short_enough_to_be_read() {
        assert!(SCRIPT.lines().count() <= 80, "{}", SCRIPT.lines().count());
        assert_eq!(SCRIPT.lines().map(str::len).max().filter(|longest| *longest > 160), None);
    }
}
