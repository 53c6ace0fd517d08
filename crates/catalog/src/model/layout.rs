//! How a model is served: engines, arguments, and accelerators that are known to work or not to.

use crate::{Known, Sourced, Tested};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// How one engine serves a model on some accelerators.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all(serialize = "camelCase"))]
pub struct EngineUse {
    /// Name of the engine's profile.
    pub engine: String,
    /// Ids of vendors or cards that this holds for; empty for any, also for CPUs.
    #[serde(default)]
    pub accelerators: Vec<String>,
    /// Ids of variants that this holds for; empty for all.
    #[serde(default)]
    pub variants: Vec<String>,
    /// Least version of the engine.
    pub minimum_version: Known<String>,
    /// An image that has it. `registry.example/...` stands for a registry that is not the container engine's own.
    pub image: Known<String>,
    /// Arguments after those of the profile.
    pub args: Known<Vec<String>>,
    /// Variables beside those of the profile.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub env: Option<Sourced<BTreeMap<String, String>>>,
    /// Where this has been run.
    pub tested: Tested,
}

/// What is known of a layout.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// Its source says that it was run.
    Works,
    /// Its source says that it does not work.
    Fails,
}

/// Accelerators for a model.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all(serialize = "camelCase"))]
pub struct Layout {
    /// Id of the card.
    pub card: String,
    /// Devices in one host; left out where the verdict holds for any number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub count: Option<u32>,
    /// Least number of devices that the verdict holds for, where it is one of `fails`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from_count: Option<u32>,
    /// Hosts that work together; a stack of sovai runs on one.
    #[serde(default = "one")]
    pub hosts: u32,
    /// Ids of variants that this holds for; empty for all.
    #[serde(default)]
    pub variants: Vec<String>,
    /// Engine that this holds for; left out for any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub engine: Option<String>,
    /// Whether it works.
    pub verdict: Verdict,
    /// What its source says; of one that fails, why.
    pub says: Sourced<String>,
    /// What to do instead of one that fails.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instead: Option<String>,
    /// Tensor parallel size.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tensor: Option<u32>,
    /// Pipeline parallel size.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pipeline: Option<u32>,
    /// Data parallel size.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data: Option<u32>,
    /// Context in tokens that it was run with, or must be capped to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub context: Option<u32>,
    /// Sequences served at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sequences: Option<u32>,
    /// Arguments after those of the engine's entry.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub args: Vec<String>,
}

const fn one() -> u32 {
    1
}

impl EngineUse {
    /// Whether this holds for a variant on a card of a vendor.
    pub fn holds_for(&self, variant: &str, card: Option<(&str, &str)>) -> bool {
        let variant_fits = self.variants.is_empty() || self.variants.iter().any(|id| id == variant);
        let card_fits = self.accelerators.is_empty()
            || card
                .is_some_and(|(card, vendor)| self.accelerators.iter().any(|id| id == card || id == vendor));
        variant_fits && card_fits
    }
}

impl Layout {
    /// Whether this speaks of so many devices of a card with a variant under an engine.
    pub fn speaks_of(&self, card: &str, count: u32, variant: &str, engine: &str) -> bool {
        self.card == card
            && self.count.is_none_or(|known| known == count)
            && self.from_count.is_none_or(|least| count >= least)
            && (self.variants.is_empty() || self.variants.iter().any(|id| id == variant))
            && self.engine.as_deref().is_none_or(|known| known == engine)
    }
}
