//! SHA-256 digests and image IDs, parsed strictly.

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;
use std::str::FromStr;

/// A SHA-256 digest (FIPS 180-4): 32 bytes.
///
/// `Display` and serde use `sha256:<64 lower-case hex digits>`; [`Sha256::hex`] gives the bare digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Sha256([u8; 32]);

/// Why a text is not a digest.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DigestError {
    /// The `sha256:` prefix is not there.
    #[error("a digest starts with `sha256:`, found `{0}`")]
    Prefix(String),
    /// Wrong number of digits.
    #[error("a SHA-256 digest has 64 hexadecimal digits, found {0}")]
    Length(usize),
    /// A character that is not a lower-case hexadecimal digit.
    #[error("a digest is lower-case hexadecimal, found `{}` at position {at}", .found.escape_default())]
    Digit {
        /// The character that was found.
        found: char,
        /// Its place, counted in characters from 1.
        at: usize,
    },
}

impl Sha256 {
    /// Wraps the 32 bytes that a hash function gave.
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The 32 bytes.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// Reads 64 bare lower-case hexadecimal digits.
    pub fn from_hex(text: &str) -> Result<Self, DigestError> {
        if let Some((at, found)) = text.chars().enumerate().find(|(_, c)| !matches!(c, '0'..='9' | 'a'..='f'))
        {
            return Err(DigestError::Digit { found, at: at + 1 });
        }
        if text.len() != 64 {
            return Err(DigestError::Length(text.len()));
        }
        let mut bytes = [0u8; 32];
        for (byte, pair) in bytes.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
            *byte = (nibble(pair[0]) << 4) | nibble(pair[1]);
        }
        Ok(Self(bytes))
    }

    /// The 64 bare lower-case hexadecimal digits.
    pub fn hex(&self) -> String {
        use fmt::Write as _;
        let mut text = String::with_capacity(64);
        for byte in self.0 {
            let _ = write!(text, "{byte:02x}");
        }
        text
    }

    /// The first 12 hexadecimal digits, for people to read; never compare by it.
    pub fn short(&self) -> String {
        self.hex()[..12].to_owned()
    }
}

/// Value of a digit that `from_hex` has already checked.
const fn nibble(digit: u8) -> u8 {
    match digit {
        b'0'..=b'9' => digit - b'0',
        _ => digit.wrapping_sub(b'a').wrapping_add(10),
    }
}

impl fmt::Display for Sha256 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "sha256:{}", self.hex())
    }
}

impl fmt::Debug for Sha256 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Sha256 {
    type Err = DigestError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.strip_prefix("sha256:") {
            Some(hex) => Self::from_hex(hex),
            None => Err(DigestError::Prefix(text.chars().take(16).collect())),
        }
    }
}

impl Serialize for Sha256 {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Sha256 {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// Serde for fields whose key already names the algorithm: bare hex, no prefix.
pub mod bare_hex {
    use super::Sha256;
    use serde::{Deserialize, Deserializer, Serializer};

    /// Writes the digits.
    pub fn serialize<S: Serializer>(digest: &Sha256, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&digest.hex())
    }

    /// Reads strict lower-case digits.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Sha256, D::Error> {
        Sha256::from_hex(&String::deserialize(deserializer)?).map_err(serde::de::Error::custom)
    }
}

/// The ID under which a container engine keeps an image.
///
/// The digest of the image's configuration; on engines with the containerd store, of its manifest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ImageId(pub Sha256);

impl fmt::Display for ImageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for ImageId {
    type Err = DigestError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.parse().map(Self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `printf '' | sha256sum`, by coreutils.
    const EMPTY: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    #[test]
    fn a_digest_survives_a_round_trip() {
        let digest = Sha256::from_hex(EMPTY).unwrap();
        assert_eq!(digest.hex(), EMPTY);
        assert_eq!(digest.to_string().parse::<Sha256>().unwrap(), digest);
        assert_eq!(serde_json::to_string(&digest).unwrap(), format!("\"sha256:{EMPTY}\""));
        assert_eq!(digest.short(), "e3b0c44298fc");
    }

    #[test]
    fn only_64_lower_case_digits_are_a_digest() {
        assert_eq!(Sha256::from_hex(&EMPTY[1..]), Err(DigestError::Length(63)));
        assert_eq!(Sha256::from_hex(&format!("{EMPTY}0")), Err(DigestError::Length(65)));
        assert_eq!(Sha256::from_hex(&EMPTY.to_uppercase()), Err(DigestError::Digit { found: 'E', at: 1 }));
        assert_eq!(Sha256::from_hex(&EMPTY.replace('4', "٤")), Err(DigestError::Digit { found: '٤', at: 6 }));
        assert!(matches!(EMPTY.parse::<Sha256>(), Err(DigestError::Prefix(_))));
        assert!(matches!(format!("sha512:{EMPTY}").parse::<Sha256>(), Err(DigestError::Prefix(_))));
    }
}
