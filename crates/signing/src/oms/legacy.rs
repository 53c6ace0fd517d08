//! The signed encoding of model-signing 0.2.0: instead of the payload it holds Python's `repr` of the payload's bytes,
//! and its first word is misspelt. It still names exactly one payload, so it is safe to read, if asked for.

use crate::keys::{Prehash, PublicKey};
use crate::statement::PAYLOAD_TYPE;

/// Whether the signature is over the broken encoding, with the curve's hash function or with SHA-256.
pub(super) fn verify(key: &PublicKey, payload: &[u8], signature: &[u8]) -> bool {
    let head = format!("DSSEV1 {} {PAYLOAD_TYPE} {} ", PAYLOAD_TYPE.len(), payload.len());
    let shown = python_repr(payload);
    let parts = [head.as_bytes(), &shown];
    [Prehash::Curve, Prehash::Sha256]
        .into_iter()
        .any(|prehash| key.verify_parts(&parts, signature, prehash).is_ok())
}

/// `repr(bytes)` of Python 3.
fn python_repr(bytes: &[u8]) -> Vec<u8> {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    let quote = if bytes.contains(&b'\'') && !bytes.contains(&b'"') { b'"' } else { b'\'' };
    let mut shown = Vec::with_capacity(bytes.len() + bytes.len() / 8 + 3);
    shown.extend([b'b', quote]);
    for &byte in bytes {
        match byte {
            b'\\' => shown.extend(b"\\\\"),
            b'\n' => shown.extend(b"\\n"),
            b'\r' => shown.extend(b"\\r"),
            b'\t' => shown.extend(b"\\t"),
            byte if byte == quote => shown.extend([b'\\', quote]),
            b' '..=b'~' => shown.push(byte),
            byte => {
                shown.extend(b"\\x");
                shown.extend([HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]]);
            }
        }
    }
    shown.push(quote);
    shown
}

#[cfg(test)]
mod tests {
    #[test]
    fn bytes_are_shown_as_python_shows_them() {
        let shown = |bytes: &[u8]| String::from_utf8(super::python_repr(bytes)).unwrap();
        assert_eq!(shown(b"{\n\"a\": 1}"), r#"b'{\n"a": 1}'"#);
        assert_eq!(shown(b"it's"), r#"b"it's""#);
        assert_eq!(shown(b"'\""), r#"b'\'"'"#);
        assert_eq!(shown(b"\\\r\t\0\x7f\xff~"), r"b'\\\r\t\x00\x7f\xff~'");
    }
}
