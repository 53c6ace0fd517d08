//! Facts: a value, where it was found, and when; or that it is not known.

use serde::de::value::MapAccessDeserializer;
use serde::de::{Error, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;
use std::marker::PhantomData;

/// What a source begins with when the value was worked out from other facts; its formula follows.
pub const COMPUTED: &str = "computed: ";

/// What a source begins with when this project measured the value; how follows.
pub const MEASURED: &str = "measured here: ";

/// A value with its source and date.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sourced<T> {
    /// The value.
    pub value: T,
    /// Where it was found: an `https://` address with what to look at, or text that begins with [`COMPUTED`] or [`MEASURED`].
    pub source: String,
    /// When (`YYYY-MM-DD`).
    pub date: String,
}

/// A fact, or `"unknown"`: nothing is ever filled in by guessing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Known<T> {
    /// The value and where it was found.
    Is(Sourced<T>),
    /// Looked for and not found.
    Unknown,
}

/// How [`Known::Unknown`] is written.
const UNKNOWN: &str = "unknown";

impl<T> Known<T> {
    /// The value, if it is known.
    pub const fn value(&self) -> Option<&T> {
        match self {
            Self::Is(fact) => Some(&fact.value),
            Self::Unknown => None,
        }
    }

    /// The fact, if it is known.
    pub const fn fact(&self) -> Option<&Sourced<T>> {
        match self {
            Self::Is(fact) => Some(fact),
            Self::Unknown => None,
        }
    }
}

impl<T: Serialize> Serialize for Known<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Is(fact) => fact.serialize(serializer),
            Self::Unknown => serializer.serialize_str(UNKNOWN),
        }
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Known<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either<T>(PhantomData<T>);

        impl<'de, T: Deserialize<'de>> Visitor<'de> for Either<T> {
            type Value = Known<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "`{{ value, source, date }}` or \"{UNKNOWN}\"")
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Self::Value, E> {
                if text == UNKNOWN { Ok(Known::Unknown) } else { Err(E::custom(format!("a bare `{text}`"))) }
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
                Sourced::deserialize(MapAccessDeserializer::new(map)).map(Known::Is)
            }
        }

        deserializer.deserialize_any(Either(PhantomData))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Deserialize)]
    struct One {
        fact: Known<u32>,
    }

    #[test]
    fn a_fact_is_whole_or_unknown() {
        let read = |text: &str| toml::from_str::<One>(text).map(|one| one.fact);
        let whole = read("fact = { value = 7, source = 'https://a.example', date = '2026-11-25' }").unwrap();
        assert_eq!(whole.value(), Some(&7));
        assert_eq!(read("fact = 'unknown'").unwrap(), Known::Unknown);
        for bad in [
            "fact = 7",
            "fact = 'seven'",
            "",
            "fact = { value = 7 }",
            "fact = { value = 7, source = 's', date = 'd', sauce = 's' }",
            "fact = { value = 'unknown', source = 's', date = 'd' }",
        ] {
            assert!(read(bad).is_err(), "{bad}");
        }
    }
}
