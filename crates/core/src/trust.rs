//! How strongly a model's origin is proven.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// How strongly a model's origin is proven; a later one is stronger. The words are those of manifests, policies and reports.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TrustLevel {
    /// Nothing says what the bytes must be, or they are not that.
    Unknown,
    /// Every byte is what was pinned; nobody vouches for the pins.
    Digest,
    /// The pins are those of a commit at a hub.
    HubPinned,
    /// The same digests were seen at several independent sources.
    Corroborated,
    /// Somebody whom this store trusts, other than the publisher, signed the digests.
    Countersigned,
    /// The publisher signed the digests, with a key that this store trusts in that role.
    Publisher,
}

impl TrustLevel {
    /// All levels, weakest first.
    pub const ALL: [Self; 6] = [
        Self::Unknown,
        Self::Digest,
        Self::HubPinned,
        Self::Corroborated,
        Self::Countersigned,
        Self::Publisher,
    ];

    /// The level's word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Digest => "digest",
            Self::HubPinned => "hub-pinned",
            Self::Corroborated => "corroborated",
            Self::Countersigned => "countersigned",
            Self::Publisher => "publisher",
        }
    }
}

impl fmt::Display for TrustLevel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// A word that is no trust level.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrustLevelError(String);

impl fmt::Display for TrustLevelError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` is no trust level; expected one of ", self.0.escape_debug())?;
        for (i, level) in TrustLevel::ALL.into_iter().enumerate() {
            write!(f, "{}`{level}`", if i == 0 { "" } else { ", " })?;
        }
        Ok(())
    }
}

impl std::error::Error for TrustLevelError {}

impl FromStr for TrustLevel {
    type Err = TrustLevelError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|level| level.as_str() == text)
            .ok_or_else(|| TrustLevelError(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_are_in_the_order_of_the_contract_and_read_their_own_words() {
        assert!(TrustLevel::ALL.is_sorted());
        for level in TrustLevel::ALL {
            assert_eq!(level.as_str().parse(), Ok(level));
        }
        assert!("Publisher".parse::<TrustLevel>().is_err());
    }
}
