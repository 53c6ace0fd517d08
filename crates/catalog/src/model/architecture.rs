//! What an estimate of a model's KV cache needs, and the exact number of bytes that follows from it.

use crate::{Known, Sourced};
use serde::{Deserialize, Serialize};

/// Kind of attention; it decides how a token's share of the KV cache is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Attention {
    /// Keys and values of each KV head, in every layer (also plain multi-head attention).
    Gqa,
    /// The same, and some layers keep a window of fixed size instead.
    GqaWindow,
    /// The same in some layers; the others keep a linear-attention state of fixed size.
    GqaLinear,
    /// One compressed vector a layer.
    Mla,
    /// The same, with an index for sparse attention.
    MlaSparse,
    /// DeepSeek-V4: one record for every 4 or 128 tokens by layer, and a window of fixed size in every layer.
    #[serde(rename = "deepseek-v4")]
    DeepSeekV4,
}

/// How the KV cache is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CacheFormat {
    /// Two bytes a number.
    Bf16,
    /// One byte a number.
    Fp8,
    /// vLLM's `fp8_ds_mla`: a record of fixed size a layer.
    Fp8DsMla,
    /// DeepSeek-V4's own records.
    #[serde(rename = "deepseek-v4")]
    DeepSeekV4,
}

/// Numbers of a model's architecture. What does not apply to its kind of attention is left out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all(serialize = "camelCase"))]
pub struct Architecture {
    /// Kind of attention.
    pub attention: Known<Attention>,
    /// Layers.
    pub layers: Known<u32>,
    /// Size of the hidden state.
    pub hidden: Known<u32>,
    /// Attention heads.
    pub heads: Known<u32>,
    /// Heads of keys and values.
    pub kv_heads: Known<u32>,
    /// Numbers in one head.
    pub head_dim: Known<u32>,
    /// Layers with full attention, where not all have it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub full_layers: Option<Known<u32>>,
    /// Tokens in a window.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub window: Option<Known<u32>>,
    /// Rank of the compressed vector.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kv_lora_rank: Option<Known<u32>>,
    /// Numbers beside it that carry the position.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rope_dim: Option<Known<u32>>,
    /// Numbers of the sparse index's head.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub index_head_dim: Option<Known<u32>>,
    /// Tokens that sparse attention picks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub index_topk: Option<Known<u32>>,
    /// Bytes of one token's record in a layer (`fp8-ds-mla`), or of one compressed record (`deepseek-v4`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub record_bytes: Option<Known<u32>>,
    /// Bytes of the index beside it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub index_bytes: Option<Known<u32>>,
    /// Layers that keep one record for 4 tokens.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub layers_by_4: Option<Known<u32>>,
    /// Layers that keep one record for 128 tokens.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub layers_by_128: Option<Known<u32>>,
    /// Layers with linear attention.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub linear_layers: Option<Known<u32>>,
    /// Their value heads.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub linear_heads: Option<Known<u32>>,
    /// Numbers in one of their key heads.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub linear_key_dim: Option<Known<u32>>,
    /// Numbers in one of their value heads.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub linear_value_dim: Option<Known<u32>>,
    /// Experts that tokens are routed to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub experts: Option<Known<u32>>,
    /// Those of them that one token goes to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub experts_active: Option<Known<u32>>,
}

/// Bytes of KV cache in one format, as the catalogue states them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all(serialize = "camelCase"))]
pub struct KvCache {
    /// The format.
    pub format: CacheFormat,
    /// Bytes that `tokens` tokens take, in one copy: a rank that holds a share holds less, and MLA is copied to each rank.
    pub bytes: Sourced<u64>,
    /// How many tokens these are: 1, but for caches that keep one record for several.
    #[serde(default = "one")]
    pub tokens: u32,
    /// Bytes that each sequence takes beside that, however long it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sequence_bytes: Option<Sourced<u64>>,
}

/// Bytes of KV cache as they follow from an architecture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KvBytes {
    /// Bytes that `tokens` tokens take.
    pub bytes: u64,
    /// How many tokens these are.
    pub tokens: u32,
    /// Bytes that each sequence takes beside that.
    pub sequence_bytes: u64,
}

const fn one() -> u32 {
    1
}

impl Architecture {
    /// Bytes of KV cache in one format; `None` where a number that is needed is not known, or the format is another kind's.
    ///
    /// With 2 bytes a number in `bf16` and 1 in `fp8`:
    /// - `gqa`: 2 x layers x KV heads x head size; `gqa-window` and `gqa-linear` count the layers with full attention, and
    ///   each sequence keeps the windows, or the states of 4-byte numbers (value heads x key size x value size a layer);
    /// - `mla`: layers x (rank + position); with `fp8-ds-mla`, layers x (record + index);
    /// - `deepseek-v4`: for 128 tokens, 32 x (record + index) in a layer that keeps one for 4, one record in a layer that
    ///   keeps one for 128; each sequence keeps `window` records in every layer.
    pub fn kv(&self, format: CacheFormat) -> Option<KvBytes> {
        let of = |number: &Known<u32>| number.value().copied().map(u64::from);
        let maybe = |number: &Option<Known<u32>>| number.as_ref().and_then(of);
        let token = |bytes| KvBytes { bytes, tokens: 1, sequence_bytes: 0 };
        let number_bytes = match format {
            CacheFormat::Bf16 => Some(2),
            CacheFormat::Fp8 => Some(1),
            CacheFormat::Fp8DsMla | CacheFormat::DeepSeekV4 => None,
        };
        let layers = of(&self.layers)?;
        let in_layer = || Some(2 * of(&self.kv_heads)? * of(&self.head_dim)? * number_bytes?);
        Some(match self.attention.value()? {
            Attention::Gqa => token(layers * in_layer()?),
            Attention::GqaWindow => {
                let full = maybe(&self.full_layers)?;
                let windows = (layers - full) * maybe(&self.window)? * in_layer()?;
                KvBytes { sequence_bytes: windows, ..token(full * in_layer()?) }
            }
            Attention::GqaLinear => {
                let state = maybe(&self.linear_heads)?
                    * maybe(&self.linear_key_dim)?
                    * maybe(&self.linear_value_dim)?
                    * 4;
                let states = maybe(&self.linear_layers)? * state;
                KvBytes { sequence_bytes: states, ..token(maybe(&self.full_layers)? * in_layer()?) }
            }
            Attention::Mla | Attention::MlaSparse if format == CacheFormat::Fp8DsMla => {
                token(layers * (maybe(&self.record_bytes)? + maybe(&self.index_bytes)?))
            }
            Attention::Mla | Attention::MlaSparse => {
                token(layers * (maybe(&self.kv_lora_rank)? + maybe(&self.rope_dim)?) * number_bytes?)
            }
            Attention::DeepSeekV4 if format == CacheFormat::DeepSeekV4 => {
                let record = maybe(&self.record_bytes)?;
                let by_4 = maybe(&self.layers_by_4)? * 32 * (record + maybe(&self.index_bytes)?);
                KvBytes {
                    bytes: by_4 + maybe(&self.layers_by_128)? * record,
                    tokens: 128,
                    sequence_bytes: layers * maybe(&self.window)? * record,
                }
            }
            Attention::DeepSeekV4 => return None,
        })
    }
}
