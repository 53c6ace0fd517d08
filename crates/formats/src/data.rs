//! The tables of this crate: types of tensors and magic numbers, from `data/`.

use crate::content::ContentType;
use serde::Deserialize;
use std::sync::OnceLock;

/// Floating-point forms whose elements can be looked at without unpacking, little-endian.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Plain {
    /// IEEE 754 binary64.
    F64,
    /// IEEE 754 binary32.
    F32,
    /// IEEE 754 binary16.
    F16,
    /// The upper half of binary32.
    Bf16,
    /// OCP FP8 E4M3: no infinity; NaN is all ones but the sign.
    #[serde(rename = "f8_e4m3")]
    F8E4M3,
    /// OCP FP8 E5M2: infinity and NaN as in IEEE 754.
    #[serde(rename = "f8_e5m2")]
    F8E5M2,
}

/// A type of a safetensors header.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Dtype {
    pub(crate) name: String,
    pub(crate) bits: u64,
    #[serde(default)]
    pub(crate) plain: Option<Plain>,
}

/// A type of a GGUF header.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct GgmlType {
    pub(crate) id: u32,
    pub(crate) name: String,
    /// Elements in a block.
    pub(crate) block: u64,
    /// Bytes of a block.
    pub(crate) bytes: u64,
    #[serde(default)]
    pub(crate) plain: Option<Plain>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Table<T> {
    #[serde(rename = "source")]
    _source: String,
    #[serde(rename = "date")]
    _date: String,
    r#type: Vec<T>,
}

/// The types of safetensors; a place in this list is a type's index.
pub(crate) fn dtypes() -> &'static [Dtype] {
    static TABLE: OnceLock<Vec<Dtype>> = OnceLock::new();
    TABLE.get_or_init(|| {
        // These texts are part of the binary and tests read them, so this cannot fail on a user's machine.
        toml::from_str::<Table<Dtype>>(include_str!("../data/dtypes.toml"))
            .map_or_else(|error| unreachable!("data/dtypes.toml: {error}"), |table| table.r#type)
    })
}

/// The types of GGUF; a place in this list is a type's index.
pub(crate) fn ggml_types() -> &'static [GgmlType] {
    static TABLE: OnceLock<Vec<GgmlType>> = OnceLock::new();
    TABLE.get_or_init(|| {
        toml::from_str::<Table<GgmlType>>(include_str!("../data/ggml.toml"))
            .map_or_else(|error| unreachable!("data/ggml.toml: {error}"), |table| table.r#type)
    })
}

/// Bytes at a place that say what a file is.
#[derive(Debug)]
pub(crate) struct Magic {
    pub(crate) content: ContentType,
    pub(crate) offset: usize,
    /// `None` stands for any byte.
    pub(crate) bytes: Vec<Option<u8>>,
}

/// What kind of ZIP archive it is, by the name of its first member.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ZipKind {
    #[serde(rename = "type")]
    pub(crate) content: ContentType,
    /// The first member's name ends so.
    pub(crate) ends: String,
    #[serde(rename = "source")]
    _source: String,
    #[serde(rename = "date")]
    _date: String,
}

/// Kinds of content by magic number.
#[derive(Debug)]
pub(crate) struct Magics {
    pub(crate) magic: Vec<Magic>,
    pub(crate) zip: Vec<ZipKind>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawMagic {
    r#type: ContentType,
    #[serde(default)]
    offset: usize,
    /// Hexadecimal bytes with blanks between them; `??` is any byte.
    hex: String,
    #[serde(rename = "source")]
    _source: String,
    #[serde(rename = "date")]
    _date: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawMagics {
    magic: Vec<RawMagic>,
    zip: Vec<ZipKind>,
}

/// The magic numbers, in the order in which they are tried.
pub(crate) fn magics() -> &'static Magics {
    static TABLE: OnceLock<Magics> = OnceLock::new();
    TABLE.get_or_init(|| {
        let raw: RawMagics = toml::from_str(include_str!("../data/magic.toml"))
            .unwrap_or_else(|error| unreachable!("data/magic.toml: {error}"));
        let magic = raw.magic.iter().map(|raw| {
            let byte = |text: &str| match text {
                "??" => None,
                text => Some(
                    u8::from_str_radix(text, 16)
                        .unwrap_or_else(|error| unreachable!("data/magic.toml: {text}: {error}")),
                ),
            };
            Magic {
                content: raw.r#type,
                offset: raw.offset,
                bytes: raw.hex.split_whitespace().map(byte).collect(),
            }
        });
        Magics { magic: magic.collect(), zip: raw.zip }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_entry_is_whole_and_used_once() {
        let names: BTreeSet<&str> = dtypes().iter().map(|entry| entry.name.as_str()).collect();
        assert_eq!((names.len(), dtypes().len()), (22, 22));
        assert!(dtypes().iter().all(|entry| (1..=64).contains(&entry.bits)));
        let ids: BTreeSet<u32> = ggml_types().iter().map(|entry| entry.id).collect();
        let names: BTreeSet<&str> = ggml_types().iter().map(|entry| entry.name.as_str()).collect();
        assert_eq!((ids.len(), names.len()), (ggml_types().len(), ggml_types().len()));
        // The well-known sizes: F32, Q4_0, Q6_K.
        let block =
            |id| ggml_types().iter().find(|entry| entry.id == id).map(|entry| (entry.block, entry.bytes));
        assert_eq!([block(0), block(2), block(14)], [Some((1, 4)), Some((32, 18)), Some((256, 210))]);
        assert_eq!(block(4), None);
        for magic in &magics().magic {
            assert!(magic.bytes.iter().flatten().count() >= 2, "{magic:?}");
            assert!(magic.offset + magic.bytes.len() <= crate::HEAD);
        }
        assert!(!magics().zip.is_empty());
    }
}
