//! The JSON of a safetensors header, read as a stream: nothing is kept but names, shapes and ranges.

use super::{MAX_METADATA, MAX_RANK, Safetensors, check_tensor};
use crate::error::{Quoted, SafetensorsError};
use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use std::collections::BTreeSet;
use std::fmt;

/// Parses the JSON of a header; ranges are still relative to the data, unsorted, and not compared with one another.
pub(super) fn parse(json: &[u8]) -> Result<Safetensors, SafetensorsError> {
    if json.first() != Some(&b'{') {
        return Err(SafetensorsError::Json { reason: "it does not start with `{`".to_owned() });
    }
    let mut builder =
        Builder { found: Safetensors::new(), failed: None, shape: Vec::new(), kept: 0, metadata: false };
    let mut reader = serde_json::Deserializer::from_slice(json);
    let parsed = (&mut builder).deserialize(&mut reader).and_then(|()| reader.end());
    match (builder.failed, parsed) {
        (Some(error), _) => Err(error),
        (None, Err(error)) => Err(SafetensorsError::Json { reason: short(&error.to_string()) }),
        (None, Ok(())) => Ok(builder.found),
    }
}

/// Messages of the JSON parser may quote the file.
pub(crate) fn short(reason: &str) -> String {
    let quoted = Quoted::new(reason).to_string();
    quoted.trim_matches('`').to_owned()
}

struct Builder {
    found: Safetensors,
    /// Why the header is refused, where it is not the JSON itself.
    failed: Option<SafetensorsError>,
    /// The shape of the tensor that is being read.
    shape: Vec<u64>,
    /// Bytes of metadata that are kept.
    kept: usize,
    /// Whether metadata was there already.
    metadata: bool,
}

impl Builder {
    fn fail<E: serde::de::Error>(&mut self, error: SafetensorsError) -> E {
        self.failed.get_or_insert(error);
        E::custom("refused")
    }
}

/// The whole header.
impl<'de> DeserializeSeed<'de> for &mut Builder {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for &mut Builder {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a map of tensors")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(key) = map.next_key_seed(Key(self))? {
            match key {
                Some(name) => map.next_value_seed(Tensor { builder: self, name })?,
                None => map.next_value_seed(Metadata(self))?,
            }
        }
        Ok(())
    }
}

/// A key of the header: the place of a tensor's name, or nothing for the metadata.
struct Key<'a>(&'a mut Builder);

impl<'de> DeserializeSeed<'de> for Key<'_> {
    type Value = Option<(u32, u32)>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for Key<'_> {
    type Value = Option<(u32, u32)>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the name of a tensor")
    }

    fn visit_str<E: serde::de::Error>(self, name: &str) -> Result<Self::Value, E> {
        if name == "__metadata__" {
            if self.0.metadata {
                return Err(self.0.fail(SafetensorsError::Duplicate { name: name.into() }));
            }
            self.0.metadata = true;
            return Ok(None);
        }
        match self.0.found.tensors.push_name(name) {
            Some(place) => Ok(Some(place)),
            None => Err(self.0.fail(SafetensorsError::Overflow { name: name.into() })),
        }
    }
}

/// The map of texts under `__metadata__`.
struct Metadata<'a>(&'a mut Builder);

impl<'de> DeserializeSeed<'de> for Metadata<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Metadata<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("`__metadata__` as a map of texts")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        // Keys beyond what is kept are compared too: they are few, or short, because the header is bounded.
        let mut seen = BTreeSet::new();
        while let Some(key) = map.next_key::<String>()? {
            let value = match map.next_value::<String>() {
                Ok(value) => value,
                Err(error) => {
                    let reason = short(&error.to_string());
                    return Err(self.0.fail(SafetensorsError::Metadata { reason }));
                }
            };
            if seen.contains(&key) {
                return Err(self.0.fail(SafetensorsError::Duplicate { name: key.as_str().into() }));
            }
            let size = key.len().saturating_add(value.len());
            if self.0.kept.saturating_add(size) <= MAX_METADATA {
                self.0.kept += size;
                self.0.found.metadata.insert(key.clone(), value);
            }
            if seen.len() >= MAX_KEYS {
                let reason = format!("more than {MAX_KEYS} entries");
                return Err(self.0.fail(SafetensorsError::Metadata { reason }));
            }
            seen.insert(key);
        }
        Ok(())
    }
}

/// Most entries of the metadata. Real files have fewer than ten.
const MAX_KEYS: usize = 100_000;

/// One tensor.
struct Tensor<'a> {
    builder: &'a mut Builder,
    name: (u32, u32),
}

impl<'de> DeserializeSeed<'de> for Tensor<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

#[derive(serde::Deserialize)]
#[serde(field_identifier, rename_all = "snake_case")]
enum Field {
    Dtype,
    Shape,
    DataOffsets,
}

impl<'de> Visitor<'de> for Tensor<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a tensor with `dtype`, `shape` and `data_offsets`")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let Self { builder, name } = self;
        let (mut dtype, mut shape, mut offsets) = (None::<Short>, false, None::<(u64, u64)>);
        while let Some(field) = map.next_key::<Field>()? {
            let twice = match field {
                Field::Dtype => dtype.replace(map.next_value()?).is_some(),
                Field::Shape => {
                    let name: Quoted = builder.found.tensors.name_at(name).into();
                    map.next_value_seed(Shape { builder, name })?;
                    std::mem::replace(&mut shape, true)
                }
                Field::DataOffsets => offsets.replace(map.next_value()?).is_some(),
            };
            if twice {
                let name: Quoted = match field {
                    Field::Dtype => "dtype".into(),
                    Field::Shape => "shape".into(),
                    Field::DataOffsets => "data_offsets".into(),
                };
                return Err(builder.fail(SafetensorsError::Duplicate { name }));
            }
        }
        let (Some(dtype), true, Some((begin, end))) = (dtype, shape, offsets) else {
            let name: Quoted = builder.found.tensors.name_at(name).into();
            return Err(A::Error::custom(format!("tensor {name} needs `dtype`, `shape` and `data_offsets`")));
        };
        let text = builder.found.tensors.name_at(name);
        let index = match check_tensor(text, &dtype.0, &builder.shape, begin, end) {
            Ok(index) => index,
            Err(error) => return Err(builder.fail(error)),
        };
        let map = &mut builder.found.tensors;
        let rank = u8::try_from(builder.shape.len()).ok();
        let (Some(place), Some(rank)) = (map.shape_place(), rank) else {
            let name = map.name_at(name).into();
            return Err(builder.fail(SafetensorsError::Overflow { name }));
        };
        for &side in &builder.shape {
            map.push_dimension(side);
        }
        map.push(name, (place, rank), index, begin..end);
        Ok(())
    }
}

/// A text of which no more than 32 characters are kept.
struct Short(String);

impl<'de> serde::Deserialize<'de> for Short {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ShortVisitor;
        impl Visitor<'_> for ShortVisitor {
            type Value = Short;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text")
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Short, E> {
                Ok(Short(text.chars().take(32).collect()))
            }
        }
        deserializer.deserialize_str(ShortVisitor)
    }
}

/// A shape, into the builder's list.
struct Shape<'a> {
    builder: &'a mut Builder,
    name: Quoted,
}

impl<'de> DeserializeSeed<'de> for Shape<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for Shape<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of numbers")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        self.builder.shape.clear();
        while let Some(side) = list.next_element::<u64>()? {
            if self.builder.shape.len() == MAX_RANK {
                return Err(self
                    .builder
                    .fail(SafetensorsError::Dimensions { name: self.name, limit: MAX_RANK }));
            }
            self.builder.shape.push(side);
        }
        Ok(())
    }
}
