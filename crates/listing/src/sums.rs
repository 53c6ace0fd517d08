//! `SHA256SUMS`: what `sha256sum` of GNU coreutils writes, and the tagged form of BSD.

use super::{Bounds, Entry, ListingError, count, path, sha256};

/// Digits of a SHA-256.
const DIGITS: usize = 64;

/// Reads a `SHA256SUMS`. Entries are in the order of the text, and a path may stand there twice: that is the caller's to
/// refuse.
pub fn sums(bytes: &[u8], bounds: Bounds) -> Result<Vec<Entry>, ListingError> {
    if bytes.len() > bounds.bytes {
        return Err(ListingError::TooLong { most: bounds.bytes, found: bytes.len() });
    }
    let text = std::str::from_utf8(bytes).map_err(|error| ListingError::NotText(error.valid_up_to()))?;
    let mut files = Vec::new();
    for (number, line) in text.split('\n').enumerate() {
        let line = line.strip_suffix('\r').unwrap_or(line);
        // coreutils skips lines that begin with `#`.
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let wrong = || ListingError::Line { line: number + 1, found: line.chars().take(80).collect() };
        // An escaped name is marked at the start of its line (coreutils, "cksum common options").
        let (escaped, rest) = line.strip_prefix('\\').map_or((false, line), |rest| (true, rest));
        let (digest, name) = split(rest).ok_or_else(wrong)?;
        let name = if escaped { unescape(name).ok_or_else(wrong)? } else { name.to_owned() };
        let path = path(&name)?;
        let sha256 = sha256(&path, digest)?;
        files.push(Entry { path, size: None, sha256: Some(sha256), git_blob: None });
        count(files.len(), bounds)?;
    }
    Ok(files)
}

/// Digest and name of `<digest>  <name>`, `<digest> *<name>` or `SHA256 (<name>) = <digest>`.
fn split(line: &str) -> Option<(&str, &str)> {
    if let Some(rest) = line.strip_prefix("SHA256 (") {
        let (name, digest) = rest.rsplit_once(") = ")?;
        return Some((digest, name));
    }
    let (digest, rest) = line.split_at_checked(DIGITS)?;
    let name = rest.strip_prefix("  ").or_else(|| rest.strip_prefix(" *"))?;
    Some((digest, name))
}

/// `\\`, `\n` and `\r`, the escapes of coreutils.
fn unescape(name: &str) -> Option<String> {
    let mut plain = String::with_capacity(name.len());
    let mut chars = name.chars();
    while let Some(c) = chars.next() {
        plain.push(match c {
            '\\' => match chars.next()? {
                '\\' => '\\',
                'n' => '\n',
                'r' => '\r',
                _ => return None,
            },
            c => c,
        });
    }
    Some(plain)
}
