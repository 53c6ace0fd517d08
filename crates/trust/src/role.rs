//! What a trusted key may do.

use serde::{Deserialize, Serialize};
use std::fmt;

/// What a trusted key may do. The words are those of the command line and of reports.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// Publishes models: its signatures give the level `publisher`.
    Publisher,
    /// Vouches for models that somebody else published: `countersigned`.
    Countersigner,
    /// Signs bundles.
    Bundle,
    /// Decides at the border.
    Border,
    /// Signs a site's own evidence and verification summaries.
    Site,
    /// Signs lists of revocations.
    Revocation,
}

impl Role {
    /// Every role.
    pub const ALL: [Self; 6] =
        [Self::Publisher, Self::Countersigner, Self::Bundle, Self::Border, Self::Site, Self::Revocation];

    /// The role's word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Publisher => "publisher",
            Self::Countersigner => "countersigner",
            Self::Bundle => "bundle",
            Self::Border => "border",
            Self::Site => "site",
            Self::Revocation => "revocation",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}
