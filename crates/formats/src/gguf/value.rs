//! Keys and their values.

use super::reader::Reader;
use super::{
    DEFAULT_ALIGNMENT, MAX_ALIGNMENT, MAX_ARRAY, MAX_KEY, MAX_KEY_BYTES, MAX_NESTING, MAX_STRING, template,
    template_name,
};
use crate::error::GgufError;
use crate::template::Template;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::io::{Read, Seek};

/// Longest text of the metadata that is kept, in bytes.
const MAX_KEPT_TEXT: u64 = 4 << 10;
/// Metadata that is kept, in bytes.
const MAX_KEPT: usize = 4 << 20;
/// Most bytes of templates that are kept.
const MAX_TEMPLATES: u64 = 32 << 20;

/// A value of the metadata. Elements of arrays are not kept.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Value {
    /// An unsigned number.
    Unsigned(u64),
    /// A signed number.
    Signed(i64),
    /// A number with a point, as text: JSON has no infinity.
    Float(String),
    /// Yes or no.
    Bool(bool),
    /// A text of at most 4 KiB.
    Text(String),
    /// A longer text, of which only the length is kept.
    LongText {
        /// Its length in bytes.
        bytes: u64,
    },
    /// A list, of which only the length is kept.
    Array {
        /// How many elements it has.
        elements: u64,
    },
}

impl Value {
    const fn kind(&self) -> &'static str {
        match self {
            Self::Unsigned(_) | Self::Signed(_) => "a number",
            Self::Float(_) => "a number with a point",
            Self::Bool(_) => "a truth value",
            Self::Text(_) | Self::LongText { .. } => "a text",
            Self::Array { .. } => "a list",
        }
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unsigned(value) => write!(f, "{value}"),
            Self::Signed(value) => write!(f, "{value}"),
            Self::Float(value) | Self::Text(value) => f.write_str(value),
            Self::Bool(value) => write!(f, "{value}"),
            Self::LongText { bytes } => write!(f, "a text of {bytes} bytes"),
            Self::Array { elements } => write!(f, "a list of {elements}"),
        }
    }
}

/// All that is kept of the metadata.
pub(super) struct Values {
    pub(super) kept: BTreeMap<String, Value>,
    pub(super) templates: Vec<Template>,
    /// Elements of arrays that may still be looked at one by one.
    elements: u64,
}

/// Bytes of a value by the number of its kind; nothing for texts and arrays.
const fn fixed(kind: u32) -> Option<u64> {
    match kind {
        0 | 1 | 7 => Some(1),
        2 | 3 => Some(2),
        4..=6 => Some(4),
        10..=12 => Some(8),
        _ => None,
    }
}

const TEXT: u32 = 8;
const ARRAY: u32 = 9;

impl Values {
    pub(super) fn read<R: Read + Seek>(reader: &mut Reader<'_, R>, count: u64) -> Result<Self, GgufError> {
        let mut values = Self { kept: BTreeMap::new(), templates: Vec::new(), elements: MAX_ARRAY };
        let mut seen = BTreeSet::new();
        let (mut key_bytes, mut kept_bytes, mut template_bytes) = (0u64, 0usize, 0u64);
        for _ in 0..count {
            let key = reader.text("a key", MAX_KEY)?;
            key_bytes = key_bytes.saturating_add(key.len() as u64);
            if key_bytes > MAX_KEY_BYTES {
                let (limit, found) = (MAX_KEY_BYTES, key_bytes);
                return Err(GgufError::TooLong { what: "all keys together", limit, found });
            }
            let kind = reader.u32()?;
            if let Some(name) = template_name(&key) {
                let found = values.template(reader, &key, kind, name)?;
                template_bytes = template_bytes.saturating_add(found);
                if template_bytes > MAX_TEMPLATES {
                    let (limit, found) = (MAX_TEMPLATES, template_bytes);
                    return Err(GgufError::TooLong { what: "all templates together", limit, found });
                }
            } else {
                let value = values.value(reader, &key, kind)?;
                let size = key.len() + if let Value::Text(text) = &value { text.len() + 64 } else { 64 };
                if kept_bytes + size <= MAX_KEPT || is_needed(&key) {
                    kept_bytes += size;
                    values.kept.insert(key.clone(), value);
                }
            }
            let name = key.as_str().into();
            if !seen.insert(key) {
                return Err(GgufError::Duplicate { what: "key", name });
            }
        }
        Ok(values)
    }

    fn template<R: Read + Seek>(
        &mut self,
        reader: &mut Reader<'_, R>,
        key: &str,
        kind: u32,
        name: &str,
    ) -> Result<u64, GgufError> {
        if kind != TEXT {
            let found = self.value(reader, key, kind)?.kind().to_owned();
            return Err(GgufError::ValueType { key: key.into(), expected: "a text", found });
        }
        let text = reader.text("a chat template", MAX_STRING)?;
        let bytes = text.len() as u64;
        self.templates.push(template(name, text));
        Ok(bytes)
    }

    fn value<R: Read + Seek>(
        &mut self,
        reader: &mut Reader<'_, R>,
        key: &str,
        kind: u32,
    ) -> Result<Value, GgufError> {
        Ok(match kind {
            0 => Value::Unsigned(u64::from(u8::from_le_bytes(reader.bytes()?))),
            1 => Value::Signed(i64::from(i8::from_le_bytes(reader.bytes()?))),
            2 => Value::Unsigned(u64::from(short(reader)?)),
            3 => Value::Signed(i64::from(short(reader)?.cast_signed())),
            4 => Value::Unsigned(u64::from(reader.u32()?)),
            5 => Value::Signed(i64::from(reader.u32()?.cast_signed())),
            6 => Value::Float(f32::from_bits(reader.u32()?).to_string()),
            7 => match reader.bytes::<1>()? {
                [0] => Value::Bool(false),
                [1] => Value::Bool(true),
                [other] => {
                    let found = other.to_string();
                    return Err(GgufError::ValueType { key: key.into(), expected: "0 or 1", found });
                }
            },
            TEXT => Self::text_value(reader, key)?,
            ARRAY => Value::Array { elements: self.array(reader, key, 1)? },
            10 => Value::Unsigned(reader.u64()?),
            11 => Value::Signed(reader.u64()?.cast_signed()),
            12 => Value::Float(f64::from_bits(reader.u64()?).to_string()),
            kind => return Err(GgufError::ValueKind { key: key.into(), kind }),
        })
    }

    fn text_value<R: Read + Seek>(reader: &mut Reader<'_, R>, key: &str) -> Result<Value, GgufError> {
        let len = reader.length("a text", MAX_STRING)?;
        if len > MAX_KEPT_TEXT {
            reader.skip(len)?;
            return Ok(Value::LongText { bytes: len });
        }
        let at = reader.position();
        match String::from_utf8(reader.raw(len)?) {
            Ok(text) => Ok(Value::Text(text)),
            // Vocabularies and the like need not be UTF-8; what the checks rest on must.
            Err(error) if !is_needed(key) => {
                Ok(Value::Text(String::from_utf8_lossy(error.as_bytes()).into_owned()))
            }
            Err(_) => Err(GgufError::Utf8 { what: "a text", at }),
        }
    }

    /// Passes over an array; gives its length.
    fn array<R: Read + Seek>(
        &mut self,
        reader: &mut Reader<'_, R>,
        key: &str,
        depth: usize,
    ) -> Result<u64, GgufError> {
        if depth > MAX_NESTING {
            return Err(GgufError::Nesting { key: key.into(), limit: MAX_NESTING });
        }
        let kind = reader.u32()?;
        let count = reader.u64()?;
        if count > MAX_ARRAY {
            return Err(GgufError::Array { key: key.into(), limit: MAX_ARRAY, found: count });
        }
        if let Some(size) = fixed(kind) {
            reader.skip(count.saturating_mul(size))?;
            return Ok(count);
        }
        if kind != TEXT && kind != ARRAY {
            return Err(GgufError::ValueKind { key: key.into(), kind });
        }
        let Some(left) = self.elements.checked_sub(count) else {
            let found = (MAX_ARRAY - self.elements).saturating_add(count);
            return Err(GgufError::Array { key: key.into(), limit: MAX_ARRAY, found });
        };
        self.elements = left;
        for _ in 0..count {
            if kind == TEXT {
                let len = reader.length("a text", MAX_STRING)?;
                reader.skip(len)?;
            } else {
                self.array(reader, key, depth + 1)?;
            }
        }
        Ok(count)
    }

    /// `general.alignment`, or the default.
    pub(super) fn alignment(&self) -> Result<u64, GgufError> {
        match self.kept.get("general.alignment") {
            None => Ok(DEFAULT_ALIGNMENT),
            Some(Value::Unsigned(found)) if found.is_power_of_two() && *found <= MAX_ALIGNMENT => Ok(*found),
            Some(Value::Unsigned(found)) => Err(GgufError::Alignment { found: *found, limit: MAX_ALIGNMENT }),
            Some(other) => Err(wrong("general.alignment", "an unsigned number", other)),
        }
    }

    /// A text of the metadata.
    pub(super) fn text(&self, key: &str) -> Result<Option<String>, GgufError> {
        match self.kept.get(key) {
            None => Ok(None),
            Some(Value::Text(text)) => Ok(Some(text.clone())),
            Some(other) => Err(wrong(key, "a short text", other)),
        }
    }

    /// Which part of how many.
    pub(super) fn split(&self) -> Result<Option<(u64, u64)>, GgufError> {
        let number = |key: &str| match self.kept.get(key) {
            None => Ok(None),
            Some(Value::Unsigned(value)) => Ok(Some(*value)),
            Some(other) => Err(wrong(key, "an unsigned number", other)),
        };
        match (number("split.no")?, number("split.count")?) {
            // Tools write a count of 0 or 1 into files that are not split.
            (_, None) | (None | Some(0), Some(0 | 1)) => Ok(None),
            (Some(no), Some(count)) if no < count => Ok(Some((no, count))),
            (no, Some(count)) => Err(GgufError::Split { no: no.unwrap_or_default(), count }),
        }
    }
}

/// Keys that the checks themselves need.
fn is_needed(key: &str) -> bool {
    matches!(key, "general.alignment" | "general.architecture" | "split.no" | "split.count")
}

fn wrong(key: &str, expected: &'static str, found: &Value) -> GgufError {
    let found = match found {
        Value::Text(_) => found.kind().to_owned(),
        other => format!("{} ({other})", other.kind()),
    };
    GgufError::ValueType { key: key.into(), expected, found }
}

fn short<R: Read + Seek>(reader: &mut Reader<'_, R>) -> Result<u16, GgufError> {
    let bytes = reader.bytes()?;
    Ok(if reader.big_endian { u16::from_be_bytes(bytes) } else { u16::from_le_bytes(bytes) })
}
