//! How far each thing that is said is known to be so.

use crate::cdx::{Acknowledgement, Property};
use std::fmt;

/// How far something is known to be so.
///
/// It stands beside what it is about, as the property `sovai:claim:WHAT`, and where that was taken from as
/// `sovai:source:WHAT`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Claim {
    /// Somebody says so: a manifest, a hub, a package database, the catalogue.
    Declared,
    /// sovai computed it from bytes whose digest it computed too.
    Verified,
}

impl Claim {
    /// Verified if that is so.
    pub fn verified_if(verified: bool) -> Self {
        if verified { Self::Verified } else { Self::Declared }
    }

    pub(crate) const fn acknowledgement(self) -> Acknowledgement {
        match self {
            Self::Declared => Acknowledgement::Declared,
            Self::Verified => Acknowledgement::Concluded,
        }
    }
}

impl fmt::Display for Claim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Declared => "declared",
            Self::Verified => "verified",
        })
    }
}

/// Gathers properties.
#[derive(Debug, Default)]
pub(crate) struct Properties(pub(crate) Vec<Property>);

impl Properties {
    /// `sovai:NAME`.
    pub(crate) fn fact(&mut self, name: &str, value: impl fmt::Display) {
        self.0.push(Property { name: format!("sovai:{name}"), value: value.to_string() });
    }

    /// What is known of `what`, and where it was taken from.
    pub(crate) fn claim(&mut self, what: &str, claim: Claim, source: impl fmt::Display) {
        self.fact(&format!("claim:{what}"), claim);
        self.fact(&format!("source:{what}"), source);
    }
}
