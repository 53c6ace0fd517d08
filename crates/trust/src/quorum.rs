//! Whether enough distinct keys of a role signed.

use crate::role::Role;
use serde::Serialize;
use sovai_signing::KeyId;
use std::fmt;

/// Who of a role signed, and whether that is enough.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Quorum {
    /// The role.
    pub role: Role,
    /// How many distinct keys must sign.
    pub needed: u32,
    /// Those that did and count; distinct key material.
    pub counted: Vec<KeyId>,
    /// Those that signed and do not count.
    pub uncounted: Vec<Uncounted>,
}

impl Quorum {
    /// Whether enough keys signed.
    pub fn satisfied(&self) -> bool {
        self.missing() == 0
    }

    /// How many more keys must sign.
    pub fn missing(&self) -> u32 {
        self.needed.saturating_sub(u32::try_from(self.counted.len()).unwrap_or(u32::MAX))
    }
}

/// A key whose signature does not count.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Uncounted {
    /// The key.
    pub key: KeyId,
    /// Why not.
    pub why: Why,
}

/// Why a key's signature does not count.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Why {
    /// This store does not know it.
    Unknown,
    /// It is trusted in other roles only.
    Role,
    /// It was revoked.
    Revoked,
    /// Its last day has passed.
    Expired,
    /// It belongs to another publisher.
    Publisher,
    /// The policy counts other keys.
    Policy,
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unknown => "this store does not trust it",
            Self::Role => "it is trusted in other roles only",
            Self::Revoked => "it was revoked",
            Self::Expired => "its last day has passed",
            Self::Publisher => "it belongs to another publisher",
            Self::Policy => "the policy counts other keys only",
        })
    }
}
