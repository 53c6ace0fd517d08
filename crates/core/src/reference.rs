//! References of images and artifacts: `[HOST[:PORT]/]PATH[:TAG][@sha256:...]`, after the grammar of
//! github.com/distribution/reference.

use crate::{DigestError, Sha256};
use std::fmt;
use std::str::FromStr;

/// Longest name in bytes, by that grammar.
const MAX_NAME: usize = 255;
/// Longest tag in bytes, by that grammar.
const MAX_TAG: usize = 128;

/// A reference. A name without a host has no registry: none is built in.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Reference {
    host: Option<String>,
    path: String,
    tag: Option<String>,
    digest: Option<Sha256>,
}

/// Why a text is no reference.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReferenceError {
    /// An image ID.
    #[error("it is an ID, not a name")]
    Id,
    /// Nothing before the tag or digest.
    #[error("the name is empty")]
    Empty,
    /// Longer than 255 bytes.
    #[error("the name is longer than {MAX_NAME} bytes")]
    TooLong,
    /// Host or port.
    #[error("the host is malformed")]
    Host,
    /// A part of the path.
    #[error("`{}` cannot be a part of its name", .0.escape_debug())]
    Part(String),
    /// The tag.
    #[error("the tag is malformed")]
    Tag,
    /// The digest.
    #[error("its digest is malformed")]
    Digest(#[source] DigestError),
}

impl Reference {
    /// Reads a reference.
    pub fn new(text: &str) -> Result<Self, ReferenceError> {
        if text.starts_with("sha256:") {
            return Err(ReferenceError::Id);
        }
        let (name, digest) = match text.split_once('@') {
            Some((name, digest)) => (name, Some(digest.parse().map_err(ReferenceError::Digest)?)),
            None => (text, None),
        };
        let (whole, tag) = match name.rsplit_once(':') {
            // A `:` before the last `/` belongs to a port.
            Some((whole, tag)) if !tag.contains('/') => (whole, Some(tag)),
            _ => (name, None),
        };
        if whole.is_empty() {
            return Err(ReferenceError::Empty);
        }
        if whole.len() > MAX_NAME {
            return Err(ReferenceError::TooLong);
        }
        let (host, path) = match whole.split_once('/') {
            Some((first, rest)) if first.contains(['.', ':']) || first == "localhost" => (Some(first), rest),
            _ => (None, whole),
        };
        if host.is_some_and(|host| !is_registry_host(host)) {
            return Err(ReferenceError::Host);
        }
        if let Some(part) = path.split('/').find(|part| !is_part(part)) {
            return Err(ReferenceError::Part(part.to_owned()));
        }
        if tag.is_some_and(|tag| !is_tag(tag)) {
            return Err(ReferenceError::Tag);
        }
        Ok(Self {
            host: host.map(ToOwned::to_owned),
            path: path.to_owned(),
            tag: tag.map(ToOwned::to_owned),
            digest,
        })
    }

    /// The registry, as `HOST[:PORT]`.
    pub fn host(&self) -> Option<&str> {
        self.host.as_deref()
    }

    /// The repository in its registry.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The tag, as written.
    pub fn tag(&self) -> Option<&str> {
        self.tag.as_deref()
    }

    /// The digest of its manifest or index.
    pub const fn digest(&self) -> Option<&Sha256> {
        self.digest.as_ref()
    }

    /// The same with this registry where none is named.
    pub fn or_host(self, host: &str) -> Result<Self, ReferenceError> {
        if self.host.is_some() {
            return Ok(self);
        }
        if !is_registry_host(host) {
            return Err(ReferenceError::Host);
        }
        Ok(Self { host: Some(host.to_owned()), ..self })
    }

    /// The same repository at another tag, without a digest.
    pub fn at_tag(&self, tag: &str) -> Result<Self, ReferenceError> {
        if !is_tag(tag) {
            return Err(ReferenceError::Tag);
        }
        Ok(Self { tag: Some(tag.to_owned()), digest: None, ..self.clone() })
    }

    /// The same repository at a digest, without a tag.
    #[must_use]
    pub fn at_digest(&self, digest: Sha256) -> Self {
        Self { tag: None, digest: Some(digest), ..self.clone() }
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(host) = &self.host {
            write!(f, "{host}/")?;
        }
        f.write_str(&self.path)?;
        if let Some(tag) = &self.tag {
            write!(f, ":{tag}")?;
        }
        match &self.digest {
            Some(digest) => write!(f, "@{digest}"),
            None => Ok(()),
        }
    }
}

impl FromStr for Reference {
    type Err = ReferenceError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::new(text)
    }
}

/// Whether a text is `HOST[:PORT]`: a name, an IPv4 address, or an IPv6 address in brackets.
pub fn is_registry_host(host: &str) -> bool {
    let (name, port) = match host.rsplit_once(':') {
        Some((name, port)) if !port.ends_with(']') => (name, Some(port)),
        _ => (host, None),
    };
    let label = |label: &str| {
        !label.is_empty()
            && label.chars().all(|c| c.is_ascii_alphanumeric() || c == '-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    let name_is_good = match name.strip_prefix('[') {
        Some(rest) => {
            rest.strip_suffix(']').is_some_and(|address| address.parse::<std::net::Ipv6Addr>().is_ok())
        }
        None => name.split('.').all(label),
    };
    name_is_good
        && port.is_none_or(|port| {
            port.bytes().all(|b| b.is_ascii_digit()) && port.parse::<u16>().is_ok_and(|port| port > 0)
        })
}

/// `[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*`
fn is_part(part: &str) -> bool {
    let alphanumeric = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    if !part.starts_with(alphanumeric) || !part.ends_with(alphanumeric) {
        return false;
    }
    part.split(alphanumeric)
        .filter(|separator| !separator.is_empty())
        .all(|separator| matches!(separator, "." | "_" | "__") || separator.bytes().all(|byte| byte == b'-'))
}

/// `[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}`
fn is_tag(tag: &str) -> bool {
    let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    tag.len() <= MAX_TAG && tag.starts_with(word) && tag.chars().all(|c| word(c) || matches!(c, '.' | '-'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_of_a_reference_are_told_apart() {
        let of = |text: &str| {
            let reference = Reference::new(text).unwrap();
            assert_eq!(reference.to_string(), text);
            (reference.host.clone(), reference.path.clone(), reference.tag.clone())
        };
        let some = |text: &str| Some(text.to_owned());
        assert_eq!(of("vllm/vllm-openai:v0.25.0"), (None, "vllm/vllm-openai".into(), some("v0.25.0")));
        assert_eq!(of("registry.example/a/b"), (some("registry.example"), "a/b".into(), None));
        assert_eq!(of("localhost/a"), (some("localhost"), "a".into(), None));
        assert_eq!(of("registry.example:5000/a:1"), (some("registry.example:5000"), "a".into(), some("1")));
        assert_eq!(of("127.0.0.1:5000/a"), (some("127.0.0.1:5000"), "a".into(), None));
        assert_eq!(of("[::1]:5000/a:1"), (some("[::1]:5000"), "a".into(), some("1")));
        assert_eq!(of("[::1]/a"), (some("[::1]"), "a".into(), None));
        let pinned = Reference::new(&format!("a/b:1@sha256:{}", "ab".repeat(32))).unwrap();
        assert_eq!((pinned.tag(), pinned.digest().unwrap().hex()), (Some("1"), "ab".repeat(32)));
    }

    #[test]
    fn what_is_no_reference_is_refused() {
        let cases = [
            ("sha256:00", ReferenceError::Id),
            ("", ReferenceError::Empty),
            (":tag", ReferenceError::Empty),
            ("-x.y/a", ReferenceError::Host),
            ("a.b:0/c", ReferenceError::Host),
            ("a.b:+1/c", ReferenceError::Host),
            ("[::g]/a", ReferenceError::Host),
            ("[::1]x/a", ReferenceError::Host),
            ("a/B", ReferenceError::Part("B".into())),
            ("a.b/../c", ReferenceError::Part("..".into())),
            ("a//b", ReferenceError::Part(String::new())),
            ("a:.t", ReferenceError::Tag),
        ];
        for (text, error) in cases {
            assert_eq!(Reference::new(text), Err(error), "{text}");
        }
        assert_eq!(Reference::new(&"a".repeat(256)), Err(ReferenceError::TooLong));
        assert!(matches!(Reference::new("a@sha512:00"), Err(ReferenceError::Digest(_))));
    }

    #[test]
    fn a_registry_is_added_only_where_none_is_named() {
        let named =
            |text: &str| Reference::new(text).unwrap().or_host("registry.example").unwrap().to_string();
        assert_eq!(named("a/b:1"), "registry.example/a/b:1");
        assert_eq!(named("other.example/a"), "other.example/a");
        assert_eq!(Reference::new("a").unwrap().or_host("x/y"), Err(ReferenceError::Host));
    }
}
