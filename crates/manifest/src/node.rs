//! The spanned tree that every rule looks at.

use std::ops::Range;
use std::rc::Rc;

/// A value with its place in the text.
#[derive(Debug)]
pub(crate) struct Node {
    /// Bytes of the text. Of a collection: where it starts.
    pub(crate) span: Range<usize>,
    pub(crate) value: Value,
}

#[derive(Debug)]
pub(crate) enum Value {
    Scalar(Scalar),
    List(Vec<Rc<Node>>),
    Map(Vec<Entry>),
}

/// A key with its value.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) key: String,
    pub(crate) key_span: Range<usize>,
    pub(crate) value: Rc<Node>,
}

/// A scalar just as it was written.
#[derive(Debug)]
pub(crate) struct Scalar {
    pub(crate) text: String,
    /// Written without quotes.
    pub(crate) plain: bool,
}

/// What YAML 1.2's core schema takes a scalar for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ScalarType {
    Null,
    Bool,
    Int,
    Float,
    Text,
}

impl Scalar {
    /// Type by the core schema (YAML 1.2.2, 10.3.2). `no`, `off` and `yes` are text there.
    pub(crate) fn scalar_type(&self) -> ScalarType {
        if !self.plain {
            return ScalarType::Text;
        }
        match self.text.as_str() {
            "" | "~" | "null" | "Null" | "NULL" => ScalarType::Null,
            "true" | "True" | "TRUE" | "false" | "False" | "FALSE" => ScalarType::Bool,
            text if is_int(text) => ScalarType::Int,
            text if is_float(text) => ScalarType::Float,
            _ => ScalarType::Text,
        }
    }
}

fn is_int(text: &str) -> bool {
    let all = |digits: &str, test: fn(u8) -> bool| !digits.is_empty() && digits.bytes().all(test);
    if let Some(digits) = text.strip_prefix("0o") {
        return all(digits, |byte| matches!(byte, b'0'..=b'7'));
    }
    if let Some(digits) = text.strip_prefix("0x") {
        return all(digits, |byte| byte.is_ascii_hexdigit());
    }
    all(text.strip_prefix(['-', '+']).unwrap_or(text), |byte| byte.is_ascii_digit())
}

/// `[-+]? ( \. [0-9]+ | [0-9]+ ( \. [0-9]* )? ) ( [eE] [-+]? [0-9]+ )?`, infinities and not-a-number.
fn is_float(text: &str) -> bool {
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    if matches!(unsigned, ".inf" | ".Inf" | ".INF") || matches!(text, ".nan" | ".NaN" | ".NAN") {
        return true;
    }
    let digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    let (number, exponent) = match unsigned.split_once(['e', 'E']) {
        Some((number, exponent)) => (number, Some(exponent.strip_prefix(['-', '+']).unwrap_or(exponent))),
        None => (unsigned, None),
    };
    if exponent.is_some_and(|exponent| exponent.is_empty() || !digits(exponent)) {
        return false;
    }
    match number.split_once('.') {
        Some((whole, part)) => digits(whole) && digits(part) && !(whole.is_empty() && part.is_empty()),
        None => !number.is_empty() && digits(number),
    }
}

impl Node {
    /// The value of a key.
    pub(crate) fn get(&self, key: &str) -> Option<&Self> {
        self.entries().iter().find(|entry| entry.key == key).map(|entry| &*entry.value)
    }

    /// The entry of a key.
    pub(crate) fn entry(&self, key: &str) -> Option<&Entry> {
        self.entries().iter().find(|entry| entry.key == key)
    }

    /// The entries of a mapping; none of anything else.
    pub(crate) fn entries(&self) -> &[Entry] {
        match &self.value {
            Value::Map(entries) => entries,
            _ => &[],
        }
    }

    /// The items of a list; none of anything else.
    pub(crate) fn items(&self) -> &[Rc<Self>] {
        match &self.value {
            Value::List(items) => items,
            _ => &[],
        }
    }

    /// The text of a scalar, whatever its type.
    pub(crate) fn text(&self) -> Option<&str> {
        match &self.value {
            Value::Scalar(scalar) => Some(&scalar.text),
            _ => None,
        }
    }

    /// The text of a scalar that is text to every YAML reader, for looking names up.
    pub(crate) fn name(&self) -> Option<&str> {
        match &self.value {
            Value::Scalar(scalar) if scalar.scalar_type() == ScalarType::Text => Some(&scalar.text),
            _ => None,
        }
    }

    /// What a person calls this value.
    pub(crate) fn describe(&self) -> &'static str {
        match &self.value {
            Value::Scalar(scalar) => match scalar.scalar_type() {
                ScalarType::Null => "nothing",
                ScalarType::Bool => "true or false",
                ScalarType::Int => "a whole number",
                ScalarType::Float => "a number",
                ScalarType::Text => "text",
            },
            Value::List(_) => "a list",
            Value::Map(_) => "a mapping",
        }
    }
}

/// Whether a key is the author's own.
pub(crate) fn is_free(key: &str) -> bool {
    key.starts_with("x-")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scalars_are_typed_as_yaml_1_2_says() {
        use ScalarType::{Bool, Float, Int, Null, Text};
        let cases = [
            ("", Null),
            ("~", Null),
            ("null", Null),
            ("true", Bool),
            ("FALSE", Bool),
            ("no", Text),
            ("off", Text),
            ("yes", Text),
            ("0", Int),
            ("-12", Int),
            ("0x1F", Int),
            ("0o17", Int),
            ("0x", Text),
            ("1_000", Text),
            ("1.5", Float),
            (".5", Float),
            ("5.", Float),
            ("1e9", Float),
            ("123e", Text),
            ("-.inf", Float),
            (".nan", Float),
            (".", Text),
            ("+", Text),
            ("1.2.3", Text),
            ("2026-11-24", Text),
            ("12:30", Text),
            ("e5", Text),
            ("1e+", Text),
        ];
        for (text, expected) in cases {
            let scalar = Scalar { text: text.into(), plain: true };
            assert_eq!(scalar.scalar_type(), expected, "{text:?}");
            assert_eq!(Scalar { text: text.into(), plain: false }.scalar_type(), Text);
        }
    }
}
