//! Models: what is known of them, each fact with its source, from `manifests/catalog/`.

mod architecture;
mod files;
mod find;
mod layout;

pub use architecture::{Architecture, Attention, CacheFormat, KvBytes, KvCache};
pub use find::{model, models, search_models, suggest_model};
pub use layout::{EngineUse, Layout, Verdict};

use crate::{Known, Sourced, Tested};
use serde::{Deserialize, Serialize};
use sovai_core::FilePin;

/// One model of the catalogue.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all(serialize = "camelCase"))]
pub struct CatalogModel {
    /// What is typed after `catalog show` and `init --model`: a DNS label but for dots.
    pub id: String,
    /// As its publisher writes it.
    pub name: String,
    /// The family that it belongs to.
    pub family: String,
    /// Who made it.
    pub publisher: String,
    /// Where a model of this entry has really been run.
    pub tested: Tested,
    /// Day of release (`YYYY-MM-DD`).
    pub released: Known<String>,
    /// SPDX expression, or the id of a known licence outside SPDX. Its duties stand with the licence.
    pub license: Known<String>,
    /// What others call its licence, where that is wrong, or where nothing better is known.
    #[serde(default)]
    pub license_labels: Vec<Sourced<String>>,
    /// Limits of use that the model's card adds to the licence.
    #[serde(default)]
    pub usage_limits: Vec<Sourced<String>>,
    /// How many parameters it has.
    pub parameters: Parameters,
    /// Longest context in tokens.
    pub context: Known<u32>,
    /// What an estimate of the KV cache needs.
    pub architecture: Architecture,
    /// Bytes of KV cache, by format; computed from `architecture`.
    #[serde(default)]
    pub kv: Vec<KvCache>,
    /// Checkpoints of it: by precision, and by who quantised them. The first is the usual one.
    pub variants: Vec<Variant>,
    /// Engines that serve it, and how.
    #[serde(default)]
    pub engines: Vec<EngineUse>,
    /// Accelerators that are known to work, or known not to.
    #[serde(default)]
    pub layouts: Vec<Layout>,
    /// What it needs that an air-gapped host lacks.
    #[serde(default)]
    pub offline: Vec<Sourced<String>>,
    /// Ready manifests of it, files under `manifests/`.
    #[serde(default)]
    pub manifests: Vec<String>,
    /// Further facts.
    #[serde(default)]
    pub notes: Vec<Sourced<String>>,
}

/// Numbers of parameters.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Parameters {
    /// All of them, rounded as published.
    pub total: Known<u64>,
    /// Those that take part in one token; the same as `total` in a dense model.
    pub active: Known<u64>,
}

/// One checkpoint of a model.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all(serialize = "camelCase"))]
pub struct Variant {
    /// Its name within the model.
    pub id: String,
    /// Repository at Hugging Face, `ORG/NAME`.
    pub hf: Known<String>,
    /// The same at `ModelScope`.
    pub modelscope: Known<String>,
    /// Precision of its weights: `bf16`, `fp8`, `int8`, ...
    pub precision: Known<String>,
    /// Who made these bytes.
    pub made_by: Known<String>,
    /// Bytes of the whole repository, rounded as published.
    pub disk_bytes: Known<u64>,
    /// Least memory of all accelerators together in GB (10^9 bytes), as published.
    pub memory_gb: Known<u32>,
    /// The one file that it is, where it is at no hub that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<Sourced<FilePin>>,
    /// Engine that reads it, where it is not one that reads folders of safetensors.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub engine: Option<String>,
}

impl CatalogModel {
    /// The variant of that id.
    pub fn variant(&self, id: &str) -> Option<&Variant> {
        self.variants.iter().find(|variant| variant.id == id)
    }
}

#[cfg(test)]
mod tests;
