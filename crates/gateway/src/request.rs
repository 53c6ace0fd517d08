//! The one thing the gateway reads in a request: the top-level `model`.
//!
//! Everything else stays byte for byte as the client wrote it: no parsing and printing again, which would change numbers,
//! drop duplicate keys, or read a text otherwise than the engine does.

use bytes::{Bytes, BytesMut};
use serde::de::{self, Deserialize, DeserializeSeed, Deserializer as _, MapAccess, Visitor};
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::fmt;
use std::ops::Range;

/// Deepest nesting that is passed on: what `serde_json` itself would read. Engines parse with recursion.
const MAX_DEPTH: usize = 128;

/// Why a body is not passed on. The text never quotes the body.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum BadBody {
    #[error("the request body is not UTF-8 text")]
    NotUtf8,
    #[error("the request body is nested deeper than {MAX_DEPTH} levels")]
    TooDeep,
    #[error("the request body is not a JSON object (line {line}, column {column})")]
    NotJson { line: usize, column: usize },
    #[error("you must provide a model parameter")]
    NoModel,
    #[error("`model` must be a string")]
    ModelType,
    #[error("`model` is given more than once")]
    ModelTwice,
}

/// The model that a request names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Asked {
    /// Its name, unescaped.
    pub(crate) model: String,
    /// Where its JSON string stands in the body, quotes included.
    span: Range<usize>,
}

/// Finds the top-level `model` of a JSON object.
pub(crate) fn read_model(body: &[u8]) -> Result<Asked, BadBody> {
    let text = std::str::from_utf8(body).map_err(|_| BadBody::NotUtf8)?;
    check_depth(body)?;
    let mut json = serde_json::Deserializer::from_str(text);
    let not_json = |e: &serde_json::Error| BadBody::NotJson { line: e.line(), column: e.column() };
    let found = json.deserialize_map(TopLevel).map_err(|e| not_json(&e))?;
    json.end().map_err(|e| not_json(&e))?;
    let raw = match found {
        Found::None => return Err(BadBody::NoModel),
        Found::Twice => return Err(BadBody::ModelTwice),
        Found::Once(raw) => raw.get(),
    };
    let model: String = serde_json::from_str(raw).map_err(|_| BadBody::ModelType)?;
    // `raw` is borrowed from `text`, so the difference of their addresses is its place.
    let start = raw.as_ptr().addr() - text.as_ptr().addr();
    Ok(Asked { model, span: start..start + raw.len() })
}

impl Asked {
    /// The body for an engine that knows the model under `name`; the same bytes when that is what the client wrote.
    pub(crate) fn rename(&self, body: Bytes, name: &str) -> Bytes {
        if self.model == name {
            return body;
        }
        let quoted = serde_json::Value::from(name).to_string();
        let mut renamed = BytesMut::with_capacity(body.len() - self.span.len() + quoted.len());
        renamed.extend_from_slice(&body[..self.span.start]);
        renamed.extend_from_slice(quoted.as_bytes());
        renamed.extend_from_slice(&body[self.span.end..]);
        renamed.freeze()
    }
}

/// Counts brackets outside strings, in one pass without recursion.
fn check_depth(body: &[u8]) -> Result<(), BadBody> {
    let mut depth = 0usize;
    let mut bytes = body.iter();
    while let Some(byte) = bytes.next() {
        match byte {
            b'[' | b'{' => {
                depth += 1;
                if depth > MAX_DEPTH {
                    return Err(BadBody::TooDeep);
                }
            }
            b']' | b'}' => depth = depth.saturating_sub(1),
            b'"' => loop {
                match bytes.next() {
                    Some(b'\\') => {
                        bytes.next();
                    }
                    Some(b'"') | None => break,
                    Some(_) => {}
                }
            },
            _ => {}
        }
    }
    Ok(())
}

enum Found<'de> {
    None,
    Once(&'de RawValue),
    Twice,
}

struct TopLevel;

impl<'de> Visitor<'de> for TopLevel {
    type Value = Found<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut found = Found::None;
        while let Some(is_model) = map.next_key_seed(IsModel)? {
            let value: &'de RawValue = map.next_value()?;
            if is_model {
                found = match found {
                    Found::None => Found::Once(value),
                    Found::Once(_) | Found::Twice => Found::Twice,
                };
            }
        }
        Ok(found)
    }
}

/// Reads a key and says whether it is `model`, however it is escaped.
struct IsModel;

impl<'de> DeserializeSeed<'de> for IsModel {
    type Value = bool;

    fn deserialize<D: de::Deserializer<'de>>(self, deserializer: D) -> Result<bool, D::Error> {
        Cow::<str>::deserialize(deserializer).map(|key| key == "model")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    type Expected = fn(&BadBody) -> bool;

    fn renamed(body: &str, name: &str) -> String {
        let body = Bytes::copy_from_slice(body.as_bytes());
        let asked = read_model(&body).unwrap();
        String::from_utf8(asked.rename(body, name).to_vec()).unwrap()
    }

    #[test]
    fn only_the_name_is_replaced() {
        let body = r#" {"n":1.0e0, "model" : "pub" ,"a":{"model":"inner"},"a":2,"z":"\u00e9"} "#;
        assert_eq!(
            renamed(body, "engine"),
            r#" {"n":1.0e0, "model" : "engine" ,"a":{"model":"inner"},"a":2,"z":"\u00e9"} "#
        );
        assert_eq!(renamed(body, "pub"), body);
        assert_eq!(renamed(r#"{"\u006dodel":"a"}"#, "b"), r#"{"\u006dodel":"b"}"#);
        assert_eq!(read_model(br#"{"model":"\u0061b"}"#).unwrap().model, "ab");
    }

    #[test]
    fn the_same_bytes_are_passed_on_when_nothing_is_renamed() {
        let body = Bytes::from_static(br#"{"model":"a"}"#);
        let same = read_model(&body).unwrap().rename(body.clone(), "a");
        assert_eq!(same.as_ptr(), body.as_ptr());
    }

    #[test]
    fn what_is_not_one_object_with_one_model_is_refused() {
        let deep = format!("{{\"model\":\"a\",\"x\":{}{}}}", "[".repeat(200), "]".repeat(200));
        let cases: &[(&[u8], Expected)] = &[
            (b"", |e| matches!(e, BadBody::NotJson { .. })),
            (b"[]", |e| matches!(e, BadBody::NotJson { .. })),
            (b"{\"model\":\"a\"", |e| matches!(e, BadBody::NotJson { .. })),
            (b"{\"model\":\"a\"}{}", |e| matches!(e, BadBody::NotJson { .. })),
            (b"\xef\xbb\xbf{\"model\":\"a\"}", |e| matches!(e, BadBody::NotJson { .. })),
            (b"{\"model\":\"\xff\"}", |e| *e == BadBody::NotUtf8),
            (b"{}", |e| *e == BadBody::NoModel),
            (b"{\"Model\":\"a\"}", |e| *e == BadBody::NoModel),
            (b"{\"a\":{\"model\":\"x\"}}", |e| *e == BadBody::NoModel),
            (b"{\"model\":1}", |e| *e == BadBody::ModelType),
            (b"{\"model\":null}", |e| *e == BadBody::ModelType),
            (b"{\"model\":[\"a\"]}", |e| *e == BadBody::ModelType),
            (b"{\"model\":\"a\",\"model\":\"b\"}", |e| *e == BadBody::ModelTwice),
            (b"{\"model\":\"a\",\"mod\\u0065l\":\"a\"}", |e| *e == BadBody::ModelTwice),
            (deep.as_bytes(), |e| *e == BadBody::TooDeep),
        ];
        for (body, expected) in cases {
            let found = read_model(body).unwrap_err();
            assert!(expected(&found), "{}: {found:?}", String::from_utf8_lossy(body));
        }
    }

    #[test]
    fn brackets_in_strings_are_not_depth() {
        let body = format!(r#"{{"x":"{}\"[","model":"a"}}"#, "[{".repeat(500));
        assert_eq!(read_model(body.as_bytes()).unwrap().model, "a");
    }

    proptest! {
        #[test]
        fn whatever_stands_around_it_the_name_is_found_and_replaced(
            name in "[ -~]{0,12}", other in "\\PC{0,24}", key in "[a-z]{1,8}", space in "[ \t\r\n]{0,3}"
        ) {
            prop_assume!(key != "model");
            let quote = |s: &str| serde_json::Value::from(s).to_string();
            let body = format!("{{{}:{}{space},\"model\"{space}:{}{space}}}", quote(&key), quote(&other), quote(&name));
            let changed = renamed(&body, "engine");
            let value: serde_json::Value = serde_json::from_str(&changed).unwrap();
            prop_assert_eq!(&value["model"], "engine");
            prop_assert_eq!(value[&key].as_str().unwrap(), other);
            prop_assert_eq!(renamed(&changed, &name), if name == "engine" { changed } else { body });
        }

        #[test]
        fn no_bytes_make_it_panic(body in proptest::collection::vec(any::<u8>(), 0..64)) {
            drop(read_model(&body));
        }
    }
}
