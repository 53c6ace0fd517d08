//! Serial numbers: the same document has the same one.

use sha2::{Digest as _, Sha256};
use std::fmt::Write as _;

/// `urn:uuid:...` of the SHA-256 of bytes: a UUID of version 8 (RFC 9562, appendix B.2).
pub(crate) fn urn(bytes: &[u8]) -> String {
    let mut uuid = [0; 16];
    uuid.copy_from_slice(&Sha256::digest(bytes)[..16]);
    uuid[6] = uuid[6] & 0x0f | 0x80;
    uuid[8] = uuid[8] & 0x3f | 0x80;
    let mut text = "urn:uuid:".to_owned();
    for (place, byte) in uuid.iter().enumerate() {
        if [4, 6, 8, 10].contains(&place) {
            text.push('-');
        }
        let _ = write!(text, "{byte:02x}");
    }
    text
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_serial_number_is_a_uuid_of_version_8() {
        // `printf abc | sha256sum`: ba7816bf 8f01 cfea 4141 40de5dae2223
        assert_eq!(super::urn(b"abc"), "urn:uuid:ba7816bf-8f01-8fea-8141-40de5dae2223");
        assert_ne!(super::urn(b"abd"), super::urn(b"abc"));
    }
}
