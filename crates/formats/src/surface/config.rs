//! Code and chat templates that JSON configurations name, read as a stream: nothing else is kept.

use super::{CodeEntry, SurfaceItem, SurfaceKind};
use crate::error::{ContentError, FormatError};
use crate::safetensors::short;
use crate::template::{MAX_TEMPLATE, Template, TemplatePlace};
use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use std::borrow::Cow;
use std::fmt;

/// Longest configuration in bytes that is read.
pub const MAX_CONFIG: u64 = 16 << 20;
/// Deepest nesting that is looked at.
const MAX_DEPTH: usize = 64;
/// Most entries of one kind in one file.
const MAX_ENTRIES: usize = 1000;
/// Longest text of an entry, in bytes.
const MAX_TEXT: usize = 1024;
/// Most templates of one file.
const MAX_TEMPLATES: usize = 100;

/// What a configuration holds of the executable surface.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Config {
    /// Code that it names, without templates.
    pub items: Vec<SurfaceItem>,
    /// Chat templates.
    pub templates: Vec<Template>,
}

/// Looks through a JSON file for `auto_map`, `custom_pipelines`, `trust_remote_code` and `chat_template`, at any depth.
///
/// Where a key stands twice, both are told: readers differ on which counts. `NaN` and `Infinity`, which Python writes
/// and reads, are taken.
pub fn config(path: &str, json: &[u8]) -> Result<Config, FormatError> {
    if json.len() as u64 > MAX_CONFIG {
        let found = json.len() as u64;
        return Err(ContentError::TooLarge { what: "a configuration", limit: MAX_CONFIG, found }.into());
    }
    let found = match collect(json) {
        Ok(found) => found,
        Err(error) => match python_numbers(json) {
            Cow::Borrowed(_) => return Err(error.into()),
            Cow::Owned(json) => collect(&json)?,
        },
    };
    let mut config = Config::default();
    if !found.auto_map.is_empty() {
        config.items.push(SurfaceItem::entries(path, SurfaceKind::AutoMap { entries: found.auto_map }));
    }
    if !found.pipelines.is_empty() {
        config
            .items
            .push(SurfaceItem::entries(path, SurfaceKind::CustomPipelines { entries: found.pipelines }));
    }
    if found.trusts {
        config.items.push(SurfaceItem::entries(path, SurfaceKind::TrustRemoteCode));
    }
    let name = path.rsplit_once('/').map_or(path, |(_, name)| name);
    let place =
        if name == "chat_template.json" { TemplatePlace::JsonFile } else { TemplatePlace::TokenizerConfig };
    for (name, text) in found.templates {
        config.templates.push(Template::new(path, place, name.as_deref(), text));
    }
    Ok(config)
}

#[derive(Default)]
struct Found {
    auto_map: Vec<CodeEntry>,
    pipelines: Vec<CodeEntry>,
    trusts: bool,
    templates: Vec<(Option<String>, String)>,
    template_bytes: u64,
    failed: Option<ContentError>,
}

impl Found {
    fn fail<E: serde::de::Error>(&mut self, error: ContentError) -> E {
        self.failed.get_or_insert(error);
        E::custom("refused")
    }

    fn too_many<E: serde::de::Error>(&mut self, what: &'static str, limit: u64) -> E {
        self.fail(ContentError::TooLarge { what, limit, found: limit.saturating_add(1) })
    }

    fn template<E: serde::de::Error>(&mut self, name: Option<&str>, text: &str) -> Result<(), E> {
        self.template_bytes = self.template_bytes.saturating_add(text.len() as u64);
        if self.templates.len() == MAX_TEMPLATES || self.template_bytes > MAX_TEMPLATE {
            return Err(self.too_many("the chat templates of a file", MAX_TEMPLATE));
        }
        self.templates.push((name.map(|name| name.chars().take(MAX_TEXT).collect()), text.to_owned()));
        Ok(())
    }
}

fn collect(json: &[u8]) -> Result<Found, ContentError> {
    let mut found = Found::default();
    let mut reader = serde_json::Deserializer::from_slice(json);
    let look = Look { found: &mut found, depth: 0, role: Role::Plain, key: None };
    let read = look.deserialize(&mut reader).and_then(|()| reader.end());
    match (found.failed.take(), read) {
        (Some(error), _) => Err(error),
        (None, Err(error)) => Err(ContentError::Json { reason: short(&error.to_string()) }),
        (None, Ok(())) => Ok(found),
    }
}

/// What a value means by the keys above it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Role {
    Plain,
    AutoMap,
    Pipelines,
    Trust,
    /// A chat template, a list of named ones, or a map of them.
    Template,
    /// `name` and `template` of a list of templates.
    NamedTemplate,
}

struct Look<'a> {
    found: &'a mut Found,
    depth: usize,
    role: Role,
    /// The key that led here, of code and templates.
    key: Option<&'a str>,
}

impl<'de> DeserializeSeed<'de> for Look<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl Look<'_> {
    fn deeper<E: serde::de::Error>(&mut self) -> Result<(), E> {
        if self.depth >= MAX_DEPTH {
            return Err(self.found.too_many("the nesting of a configuration", MAX_DEPTH as u64));
        }
        self.depth += 1;
        Ok(())
    }
}

impl<'de> Visitor<'de> for Look<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_bool<E>(self, value: bool) -> Result<(), E> {
        self.found.trusts |= value && self.role == Role::Trust;
        Ok(())
    }

    fn visit_i64<E>(self, value: i64) -> Result<(), E> {
        self.found.trusts |= value != 0 && self.role == Role::Trust;
        Ok(())
    }

    fn visit_u64<E>(self, value: u64) -> Result<(), E> {
        self.found.trusts |= value != 0 && self.role == Role::Trust;
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        self.found.trusts |= self.role == Role::Trust;
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<(), E> {
        let entry = || CodeEntry {
            key: self.key.unwrap_or_default().chars().take(MAX_TEXT).collect(),
            value: text.chars().take(MAX_TEXT).collect(),
        };
        match self.role {
            Role::Plain | Role::NamedTemplate => {}
            // Any text is true to Python.
            Role::Trust => self.found.trusts |= !text.is_empty(),
            Role::Template => return self.found.template(self.key, text),
            Role::AutoMap | Role::Pipelines => {
                let entry = entry();
                let list = if self.role == Role::AutoMap {
                    &mut self.found.auto_map
                } else {
                    &mut self.found.pipelines
                };
                if list.len() == MAX_ENTRIES {
                    return Err(self
                        .found
                        .too_many("the code that a configuration names", MAX_ENTRIES as u64));
                }
                list.push(entry);
            }
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut list: A) -> Result<(), A::Error> {
        self.deeper()?;
        let role = if self.role == Role::Template { Role::NamedTemplate } else { self.role };
        loop {
            let next = Look { found: &mut *self.found, depth: self.depth, role, key: self.key };
            if list.next_element_seed(next)?.is_none() {
                return Ok(());
            }
        }
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<(), A::Error> {
        self.deeper()?;
        if self.role == Role::NamedTemplate {
            return named_template(self.found, map);
        }
        while let Some(key) = map.next_key::<String>()? {
            let role = match key.as_str() {
                "auto_map" => Role::AutoMap,
                "custom_pipelines" => Role::Pipelines,
                "trust_remote_code" => Role::Trust,
                "chat_template" => Role::Template,
                _ => self.role,
            };
            // A template under its own key has no name; in a map of templates the key is its name.
            let kept = match (role, self.role) {
                (Role::Plain, _) => None,
                (_, Role::Plain) if role == Role::Template => None,
                _ => Some(key.as_str()),
            };
            let name = match (self.key, kept, role) {
                (Some(outer), Some(inner), Role::Pipelines)
                    if self.role == role && outer != "custom_pipelines" =>
                {
                    Some(Cow::Owned(format!("{outer}.{inner}")))
                }
                (_, kept, _) => kept.map(Cow::Borrowed),
            };
            let next = Look { found: &mut *self.found, depth: self.depth, role, key: name.as_deref() };
            map.next_value_seed(next)?;
        }
        Ok(())
    }
}

/// An entry of a list of templates: `{"name": ..., "template": ...}`.
fn named_template<'de, A: MapAccess<'de>>(found: &mut Found, mut map: A) -> Result<(), A::Error> {
    let (mut name, mut templates) = (None::<String>, Vec::<String>::new());
    while let Some(key) = map.next_key::<String>()? {
        match key.as_str() {
            "name" => name = Some(map.next_value()?),
            "template" if templates.len() < MAX_TEMPLATES => templates.push(map.next_value()?),
            _ => {
                let look = Look { found: &mut *found, depth: MAX_DEPTH / 2, role: Role::Plain, key: None };
                map.next_value_seed(look)?;
            }
        }
    }
    templates.iter().try_for_each(|text| found.template(name.as_deref(), text))
}

/// JSON with Python's `NaN`, `Infinity` and `-Infinity` outside of texts made `null`.
fn python_numbers(json: &[u8]) -> Cow<'_, [u8]> {
    let mut out: Option<Vec<u8>> = None;
    let (mut at, mut in_text) = (0, false);
    while let Some(&byte) = json.get(at) {
        if in_text {
            let step = if byte == b'\\' { 2 } else { 1 };
            in_text = byte != b'"';
            if let Some(out) = &mut out {
                out.extend_from_slice(json.get(at..at + step).unwrap_or(&json[at..]));
            }
            at += step;
            continue;
        }
        in_text = byte == b'"';
        let rest = &json[at..];
        let word = [&b"NaN"[..], b"Infinity", b"-Infinity"].into_iter().find(|word| rest.starts_with(word));
        if let Some(word) = word {
            out.get_or_insert_with(|| json[..at].to_vec()).extend_from_slice(b"null");
            at += word.len();
        } else {
            if let Some(out) = &mut out {
                out.push(byte);
            }
            at += 1;
        }
    }
    out.map_or(Cow::Borrowed(json), Cow::Owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn look(path: &str, json: &str) -> Config {
        config(path, json.as_bytes()).unwrap()
    }

    fn entries(config: &Config) -> Vec<(String, String)> {
        let entries = config.items.iter().flat_map(|item| match &item.kind {
            SurfaceKind::AutoMap { entries } | SurfaceKind::CustomPipelines { entries } => entries.clone(),
            _ => Vec::new(),
        });
        entries.map(|entry| (entry.key, entry.value)).collect()
    }

    #[test]
    fn code_is_found_at_any_depth() {
        let config = look(
            "config.json",
            r#"{"auto_map": {"AutoConfig": "configuration_x.XConfig", "AutoTokenizer": ["a.Slow", null, "b.Fast"]},
                "text_config": {"auto_map": {"AutoModel": "evil/repo--m.X"}, "trust_remote_code": true},
                "custom_pipelines": {"p": {"impl": "pipe.P", "pt": ["AutoModel"]}}, "time_step_limit": [0.0, Infinity]}"#,
        );
        let pair = |key: &str, value: &str| (key.to_owned(), value.to_owned());
        assert_eq!(
            entries(&config),
            [
                pair("AutoConfig", "configuration_x.XConfig"),
                pair("AutoTokenizer", "a.Slow"),
                pair("AutoTokenizer", "b.Fast"),
                pair("AutoModel", "evil/repo--m.X"),
                pair("p.impl", "pipe.P"),
                pair("p.pt", "AutoModel"),
            ]
        );
        assert!(config.items.iter().any(|item| item.kind == SurfaceKind::TrustRemoteCode));
        let other = look("config.json", r#"{"auto_map": {"AutoConfig": "configuration_x.YConfig"}}"#);
        assert_ne!(config.items[0].sha256, other.items[0].sha256);
    }

    #[test]
    fn both_of_a_key_that_stands_twice_are_told() {
        let config = look("config.json", r#"{"auto_map": {"A": "evil.X"}, "auto_map": {}}"#);
        assert_eq!(entries(&config).len(), 1);
        assert_eq!(look("config.json", r#"{"auto_map_x": {"A": "b"}, "x": "auto_map"}"#), Config::default());
    }

    #[test]
    fn templates_are_found_in_all_their_forms() {
        let names = |config: Config| {
            let templates = config.templates.into_iter();
            templates.map(|template| (template.place, template.name, template.text)).collect::<Vec<_>>()
        };
        let text = |text: &str| text.to_owned();
        assert_eq!(
            names(look("tokenizer_config.json", r#"{"chat_template": "{{ a }}", "x": "NaN"}"#)),
            [(TemplatePlace::TokenizerConfig, None, text("{{ a }}"))]
        );
        assert_eq!(
            names(look(
                "tokenizer_config.json",
                r#"{"chat_template": [{"name": "default", "template": "a"}, {"template": "b", "name": "rag"}]}"#
            )),
            [
                (TemplatePlace::TokenizerConfig, Some(text("default")), text("a")),
                (TemplatePlace::TokenizerConfig, Some(text("rag")), text("b"))
            ]
        );
        assert_eq!(
            names(look("sub/chat_template.json", r#"{"chat_template": {"x": "a"}}"#)),
            [(TemplatePlace::JsonFile, Some(text("x")), text("a"))]
        );
    }

    #[test]
    fn what_cannot_be_read_is_refused() {
        let code = |json: &[u8]| config("config.json", json).unwrap_err().code();
        assert_eq!(code(b"{"), "SOV2303");
        assert_eq!(code(b"{\"a\": \"\xff\"}"), "SOV2303");
        assert_eq!(code(b"{} x"), "SOV2303");
        assert_eq!(code("[".repeat(100).as_bytes()), "SOV2305");
        assert_eq!(code(&vec![b' '; 17 << 20]), "SOV2305");
        let many = format!("{{\"auto_map\": [{}\"x\"]}}", "\"x\",".repeat(2000));
        assert_eq!(code(many.as_bytes()), "SOV2305");
    }
}
