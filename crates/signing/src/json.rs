//! A strict JSON reader (RFC 8259): no duplicate keys, no byte order mark, no bytes behind the value, bounded depth,
//! size and count. What JSON leaves to each reader is how two readers come to see two things in one signature.

use serde::de::value::MapAccessDeserializer;
use serde::de::{DeserializeSeed, Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::collections::HashSet;
use std::fmt;
use std::marker::PhantomData;

/// Most members of one object: the objects that are read here have a few dozen.
const MAX_MEMBERS: usize = 4096;

/// Bounds of a document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Most bytes of the whole text.
    pub bytes: usize,
    /// Most containers inside each other; the outermost counts as 1.
    pub depth: usize,
    /// Most values, counting each scalar, list and object. As a [`serde_json::Value`] one takes about 80 bytes.
    pub values: usize,
}

impl Limits {
    /// For signature bundles and envelopes: 64 MiB (200,000 signed files are 31 MB), depth 32.
    pub const BUNDLE: Self = Self { bytes: 64 << 20, depth: 32, values: 4_000_000 };
    /// For statements that are held as one tree in memory: 8 MiB, depth 32.
    pub const STATEMENT: Self = Self { bytes: 8 << 20, depth: 32, values: 400_000 };
}

/// Why a text was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum JsonError {
    /// Beyond [`Limits::bytes`].
    #[error("the JSON has {found} bytes, at most {most} are read")]
    TooLong {
        /// Its size.
        found: usize,
        /// The bound.
        most: usize,
    },
    /// Starts with a byte order mark.
    #[error("the JSON starts with a byte order mark")]
    ByteOrderMark,
    /// Not UTF-8.
    #[error("the JSON is not UTF-8 from byte {0} on")]
    NotUtf8(usize),
    /// Not JSON, a duplicate key, too deep, or not the expected shape: the message says which and where.
    #[error("{0}")]
    Invalid(String),
}

impl From<serde_json::Error> for JsonError {
    fn from(error: serde_json::Error) -> Self {
        let what = crate::text::shorten(&error.to_string(), 300);
        // "expected value at line 1 column 1" alone does not say of what.
        Self::Invalid(if what.starts_with("expected value") { format!("no JSON: {what}") } else { what })
    }
}

/// Checks the whole text against `limits` without keeping any of it; memory does not grow with it.
pub fn check(text: &[u8], limits: Limits) -> Result<&str, JsonError> {
    if text.len() > limits.bytes {
        return Err(JsonError::TooLong { found: text.len(), most: limits.bytes });
    }
    if text.starts_with(b"\xef\xbb\xbf") {
        return Err(JsonError::ByteOrderMark);
    }
    let text = std::str::from_utf8(text).map_err(|error| JsonError::NotUtf8(error.valid_up_to()))?;
    let mut reader = serde_json::Deserializer::from_str(text);
    let mut values = limits.values;
    Check { depth: limits.depth, values: &mut values }.deserialize(&mut reader)?;
    reader.end()?;
    Ok(text)
}

/// Checks the text, then reads it as a tree.
pub fn parse(text: &[u8], limits: Limits) -> Result<serde_json::Value, JsonError> {
    from_slice(text, limits)
}

/// Checks the text, then reads it as `T`, which may borrow from it.
pub fn from_slice<'a, T: Deserialize<'a>>(text: &'a [u8], limits: Limits) -> Result<T, JsonError> {
    Ok(serde_json::from_str(check(text, limits)?)?)
}

/// An object read as `T`. serde itself would also take a list of the members' values, in the order of their declaration:
/// a second way to write what is signed, which no other reader knows.
#[derive(Debug, Serialize)]
#[serde(transparent)]
pub(crate) struct Object<T>(pub(crate) T);

impl<T> std::ops::Deref for Object<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(reader: D) -> Result<Self, D::Error> {
        struct Members<T>(PhantomData<T>);

        impl<'de, T: Deserialize<'de>> Visitor<'de> for Members<T> {
            type Value = Object<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, members: A) -> Result<Self::Value, A::Error> {
                T::deserialize(MapAccessDeserializer::new(members)).map(Object)
            }
        }

        reader.deserialize_map(Members(PhantomData))
    }
}

/// Walks a document and keeps nothing but the keys of the objects that it is inside of.
struct Check<'a> {
    depth: usize,
    values: &'a mut usize,
}

impl Check<'_> {
    fn deeper<E: serde::de::Error>(&mut self) -> Result<Check<'_>, E> {
        let depth = self.depth.checked_sub(1).ok_or_else(|| E::custom("nested too deep"))?;
        Ok(Check { depth, values: self.values })
    }
}

impl<'de> DeserializeSeed<'de> for Check<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, reader: D) -> Result<(), D::Error> {
        *self.values = self.values.checked_sub(1).ok_or_else(|| D::Error::custom("too many values"))?;
        reader.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Check<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut list: A) -> Result<(), A::Error> {
        let inside = self.deeper()?;
        while list.next_element_seed(Check { depth: inside.depth, values: &mut *inside.values })?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut object: A) -> Result<(), A::Error> {
        let inside = self.deeper()?;
        let mut keys = Keys::default();
        while let Some(Key(key)) = object.next_key()? {
            if keys.len() >= MAX_MEMBERS {
                return Err(A::Error::custom(format_args!("an object has at most {MAX_MEMBERS} members")));
            }
            if !keys.insert(key.clone()) {
                let key = crate::text::shorten(&key, 40);
                return Err(A::Error::custom(format_args!("duplicate key `{}`", key.escape_default())));
            }
            object.next_value_seed(Check { depth: inside.depth, values: &mut *inside.values })?;
        }
        Ok(())
    }
}

/// The keys of one object: a list while there are few, which is nearly always.
#[derive(Default)]
struct Keys<'a> {
    few: Vec<Cow<'a, str>>,
    many: HashSet<Cow<'a, str>>,
}

impl<'a> Keys<'a> {
    fn len(&self) -> usize {
        self.few.len() + self.many.len()
    }

    /// Whether the key is new.
    fn insert(&mut self, key: Cow<'a, str>) -> bool {
        if self.few.contains(&key) {
            return false;
        }
        if self.few.len() < 16 {
            self.few.push(key);
            return true;
        }
        self.many.insert(key)
    }
}

/// The names of an object's members, whose values are skipped; for a text that [`check`] has seen.
pub(crate) fn members(text: &str) -> Result<Vec<Cow<'_, str>>, JsonError> {
    struct Names;

    impl<'de> Visitor<'de> for Names {
        type Value = Vec<Cow<'de, str>>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an object")
        }

        fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<Self::Value, A::Error> {
            let mut names = Vec::new();
            while let Some((Key(name), IgnoredAny)) = object.next_entry()? {
                names.push(name);
            }
            Ok(names)
        }
    }

    let mut reader = serde_json::Deserializer::from_str(text);
    Ok(reader.deserialize_map(Names)?)
}

/// A key, borrowed where it has no escapes.
#[derive(Deserialize)]
#[serde(transparent)]
struct Key<'a>(#[serde(borrow)] Cow<'a, str>);

#[cfg(test)]
mod tests {
    use super::*;

    const SMALL: Limits = Limits { bytes: 1000, depth: 4, values: 50 };

    fn refused(text: &str) -> String {
        check(text.as_bytes(), SMALL).unwrap_err().to_string()
    }

    #[test]
    fn what_two_readers_could_see_differently_is_refused() {
        assert!(refused(r#"{"a":1,"a":2}"#).starts_with("duplicate key `a`"));
        assert_eq!(refused("junk"), "no JSON: expected value at line 1 column 1");
        assert!(refused(r#"{"a":1,"\u0061":2}"#).starts_with("duplicate key `a`"));
        assert!(refused(r#"{"x":[{"a":1,"b":2,"a":2}]}"#).starts_with("duplicate key `a`"));
        assert!(refused("[NaN]").starts_with("no JSON: expected value"));
        assert!(refused("[1e999]").starts_with("number out of range"));
        assert!(refused("{} x").starts_with("trailing characters"));
        assert!(refused("{}{}").starts_with("trailing characters"));
        assert_eq!(check(b"\xef\xbb\xbf{}", SMALL), Err(JsonError::ByteOrderMark));
        assert_eq!(check(b"[\"\xff\"]", SMALL), Err(JsonError::NotUtf8(2)));
        assert!(refused("").starts_with("EOF"));
        assert!(refused(r#"["\ud800"]"#).contains("hex escape"));
    }

    #[test]
    fn depth_size_and_counts_are_bounded() {
        assert!(check(b"[[[[1]]]]", SMALL).is_ok());
        assert!(refused("[[[[[1]]]]]").starts_with("nested too deep"));
        assert!(check(format!("[{}1]", "1,".repeat(48)).as_bytes(), SMALL).is_ok());
        assert!(refused(&format!("[{}1]", "1,".repeat(49))).starts_with("too many values"));
        assert_eq!(check(&[b' '; 1001], SMALL), Err(JsonError::TooLong { found: 1001, most: 1000 }));
        let deep = "[".repeat(100_000);
        assert!(check(deep.as_bytes(), Limits::BUNDLE).is_err());
        let members = |count: u32| (0..count).map(|n| format!("\"{n}\":0")).collect::<Vec<_>>().join(",");
        let many = format!("{{{}}}", members(5000));
        let error = check(many.as_bytes(), Limits::BUNDLE).unwrap_err();
        assert!(error.to_string().starts_with("an object has at most 4096 members"));
        let repeated = format!("{{{},\"20\":0}}", members(100));
        assert!(
            check(repeated.as_bytes(), Limits::BUNDLE)
                .unwrap_err()
                .to_string()
                .contains("duplicate key `20`")
        );
    }

    #[test]
    fn good_documents_are_read() {
        let value = parse(br#" {"a":[1,-2,0.5,"x\n",null,true],"b":{}} "#, SMALL).unwrap();
        assert_eq!(value["a"][3], "x\n");
        let text: Cow<'_, str> = from_slice(b"\"plain\"", SMALL).unwrap();
        assert_eq!(text, "plain");
    }
}
