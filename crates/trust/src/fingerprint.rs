//! A key's fingerprint, for people to compare over another channel.

use serde::Serialize;
use sovai_signing::{KeyId, PublicKey};

/// What identifies a public key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Fingerprint {
    /// SHA-256 of its SPKI DER.
    pub id: KeyId,
    /// `publicKey.hint` of OpenSSF Model Signing: SHA-256 of the PEM text, lower-case hex.
    pub oms_hint: String,
    /// The first 128 bits of the key id in eight groups of four digits, to be read aloud. Nobody can make a second key
    /// with the code of a given one: that takes 2^128 tries.
    pub code: String,
    /// The same 128 bits as sixteen words, with spaces between: see [`sovai_core::spell`].
    pub words: String,
}

impl Fingerprint {
    /// The fingerprint of a key.
    pub fn of(key: &PublicKey) -> Self {
        let id = key.id();
        let text = id.to_string();
        let digits = text.strip_prefix("sha256:").unwrap_or(&text);
        let groups: Vec<&str> = (0..8).filter_map(|group| digits.get(4 * group..4 * group + 4)).collect();
        let bytes = groups.iter().flat_map(|group| [&group[..2], &group[2..]]);
        let bytes = bytes.filter_map(|byte| u8::from_str_radix(byte, 16).ok());
        let words: Vec<&str> = sovai_core::spell(bytes).collect();
        Self { id, oms_hint: key.oms_hint(), code: groups.join(" "), words: words.join(" ") }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sovai_signing::{Algorithm, PrivateKey};

    #[test]
    fn a_code_is_the_beginning_of_the_id() {
        let key = PrivateKey::generate(Algorithm::P256).unwrap();
        let print = Fingerprint::of(key.public());
        let digits = print.code.replace(' ', "");
        assert_eq!((print.code.len(), digits.len()), (39, 32));
        assert!(print.id.to_string().starts_with(&format!("sha256:{digits}")));
        assert_eq!(print.oms_hint.len(), 64);
        let spelled = sovai_core::unspell(&print.words).unwrap();
        assert_eq!(format!("{:032x}", u128::from_be_bytes(spelled.try_into().unwrap())), digits);
    }
}
