//! `SHA256SUMS`: what `sha256sum` of GNU coreutils writes, and the tagged form of BSD.

use super::{Listing, ListingError, ListingKind, Seen, path, sha256};

/// Digits of a SHA-256.
const DIGITS: usize = 64;

pub(super) fn parse(bytes: &[u8]) -> Result<Listing, ListingError> {
    let text = std::str::from_utf8(bytes).map_err(|error| ListingError::NotText(error.valid_up_to()))?;
    let mut listing = Listing::new(ListingKind::Sums);
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
        listing.add(path, Seen { sha256: Some(sha256), git_blob: None })?;
    }
    Ok(listing)
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
