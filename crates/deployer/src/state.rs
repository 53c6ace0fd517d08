//! What a stack's folder in the store remembers: which generation serves, and which one is being made.

use serde::{Deserialize, Serialize};
use sovai_core::{ImageId, Sha256};
use std::collections::{BTreeMap, BTreeSet};

/// File that names the generation that serves.
pub(crate) const CURRENT: &str = "current.json";
/// File that is there while a deploy is under way; left behind only by a deploy that was killed.
pub(crate) const PENDING: &str = "pending.json";

/// The generation that serves: it became ready and answered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Current {
    /// Its number.
    pub generation: u32,
    /// Names of its containers; those that did not change keep the name of the generation that made them.
    pub containers: BTreeSet<String>,
    /// Names of its networks.
    pub networks: BTreeSet<String>,
    /// The image of each service, by ID; also the gateway's.
    pub images: BTreeMap<String, ImageId>,
    /// The digest of each model.
    pub models: BTreeMap<String, Sha256>,
    /// Inode of the tree of each model that was mounted: a tree that is replaced later has another one.
    #[serde(default)]
    pub trees: BTreeMap<String, u64>,
}

/// A deploy that is under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Pending {
    /// The generation that it makes.
    pub generation: u32,
}
