//! Where digests were seen, and which places are independent of each other.

use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

/// Longest address, in bytes.
const MAX_ADDRESS: usize = 1024;

/// Where digests were seen: `hf:ORG/NAME@REVISION`, `modelscope:ORG/NAME@REVISION`, `https://HOST/PATH`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Source {
    address: String,
    group: String,
    hub: Option<&'static str>,
    revision: Option<String>,
    stands_for: Option<String>,
}

/// Why a text is no source.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "each message says what its variant means")]
pub enum SourceError {
    #[error("a source has at most {MAX_ADDRESS} bytes, found {0}")]
    TooLong(usize),
    #[error("a source is printable ASCII without blanks, found `{}`", .0.escape_unicode())]
    Character(char),
    #[error("a source is hf:ORG/NAME@REVISION, modelscope:ORG/NAME@REVISION or https://HOST/PATH, found `{}`", .0.escape_debug())]
    Form(String),
    #[error("a repository at a hub is ORG/NAME@REVISION, found `{}`", .0.escape_debug())]
    Repository(String),
    #[error("`{}` is no host name", .0.escape_debug())]
    Host(String),
}

impl Source {
    /// The address as it was given.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Who runs the place: sources with the same word are not independent.
    ///
    /// Hubs and their hosts are one each, as the catalogue's table says. Other hosts are told apart by the last two
    /// labels of their names: hosts of one domain count as one, and so do all hosts of a public suffix of two labels;
    /// that counts too few sources rather than too many.
    pub fn group(&self) -> &str {
        &self.group
    }

    /// The same, read in the place of a hub: by `HF_ENDPOINT` and the like. `scheme` is the hub's in a manifest; one that no
    /// hub has changes nothing, and neither does one for a hub's own address.
    #[must_use]
    pub fn standing_for(mut self, scheme: &str) -> Self {
        if self.hub.is_none() && sovai_catalog::hub_of_scheme(scheme).is_some() {
            self.stands_for = Some(scheme.to_owned());
        }
        self
    }

    /// The scheme of the hub that the place stands in for.
    pub fn stands_for(&self) -> Option<&str> {
        self.stands_for.as_deref()
    }

    /// The group of the hub that the place stands in for. What it shows is that hub's as well as its own: it is independent of
    /// neither.
    pub fn behind(&self) -> Option<String> {
        sovai_catalog::hub_of_scheme(self.stands_for()?).map(|hub| format!("hub:{}", hub.id))
    }

    /// The hub's name for people, where it is one that the catalogue knows.
    pub fn hub(&self) -> Option<&'static str> {
        self.hub
    }

    /// The revision of a repository at a hub.
    pub fn revision(&self) -> Option<&str> {
        self.revision.as_deref()
    }

    /// Whether it names a commit of a repository at a hub: 40 lower-case hexadecimal digits, not a branch or a tag.
    pub fn names_a_commit(&self) -> bool {
        self.hub.is_some()
            && self.revision().is_some_and(|revision| {
                revision.len() == 40 && revision.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
            })
    }
}

impl FromStr for Source {
    type Err = SourceError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.len() > MAX_ADDRESS {
            return Err(SourceError::TooLong(text.len()));
        }
        if let Some(c) = text.chars().find(|c| !c.is_ascii_graphic()) {
            return Err(SourceError::Character(c));
        }
        let address = text.to_owned();
        if let Some(rest) = text.strip_prefix("https://") {
            let host = host(rest)?;
            let hub = sovai_catalog::hub_of_host(&host);
            let group = hub.map_or_else(|| domain(&host), |hub| format!("hub:{}", hub.id));
            return Ok(Self { address, group, hub: None, revision: None, stands_for: None });
        }
        let form = || SourceError::Form(text.to_owned());
        let (scheme, repository) = text.split_once(':').ok_or_else(form)?;
        let hub = sovai_catalog::hub_of_scheme(scheme).ok_or_else(form)?;
        let wrong = || SourceError::Repository(repository.to_owned());
        let (name, revision) = repository.split_once('@').ok_or_else(wrong)?;
        let part = |part: &str| {
            !part.is_empty()
                && !part.starts_with('.')
                && part.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'))
        };
        // A revision can be a branch with slashes.
        let good_revision = revision.split('/').all(part);
        if !good_revision || name.split('/').count() != 2 || !name.split('/').all(part) {
            return Err(wrong());
        }
        Ok(Self {
            address,
            group: format!("hub:{}", hub.id),
            hub: Some(&hub.name),
            revision: Some(revision.to_owned()),
            stands_for: None,
        })
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.address)
    }
}

/// The host of what follows `https://`, in lower case, without port and final dot. User names are no part of an address.
fn host(rest: &str) -> Result<String, SourceError> {
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let wrong = || SourceError::Host(authority.to_owned());
    let (host, port) = match authority.strip_prefix('[') {
        Some(rest) => {
            let (address, port) = rest.split_once(']').ok_or_else(wrong)?;
            address.parse::<Ipv6Addr>().map_err(|_| wrong())?;
            (address, port.strip_prefix(':').or((port.is_empty()).then_some("443")).ok_or_else(wrong)?)
        }
        None => authority.split_once(':').unwrap_or((authority, "443")),
    };
    if port.parse::<u16>().is_err() {
        return Err(wrong());
    }
    if authority.starts_with('[') {
        return Ok(host.parse::<Ipv6Addr>().map_err(|_| wrong())?.to_string());
    }
    let host = host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase();
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
    };
    if host.len() > 253 || !host.split('.').all(label) {
        return Err(wrong());
    }
    Ok(host)
}

/// The last two labels of a host's name; an address as it is.
fn domain(host: &str) -> String {
    if host.parse::<Ipv4Addr>().is_ok() || host.contains(':') {
        return format!("host:{host}");
    }
    let labels: Vec<&str> = host.rsplitn(3, '.').take(2).collect();
    let labels: Vec<&str> = labels.into_iter().rev().collect();
    format!("host:{}", labels.join("."))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn group(text: &str) -> String {
        text.parse::<Source>().unwrap().group().to_owned()
    }

    #[test]
    fn mirrors_and_hosts_of_one_hub_are_one_source() {
        let hub = group("hf:org/name@main");
        assert_eq!(hub, "hub:huggingface");
        assert_eq!(group("https://HuggingFace.co/org/name"), hub);
        assert_eq!(group("https://cdn.hf.co:443/x"), hub);
        assert_eq!(group("https://hf-mirror.com/org/name"), hub);
        assert_eq!(group("https://cdn.hf-mirror.com/org/name"), hub);
        assert_eq!(group("modelscope:org/name@master"), group("https://www.modelscope.cn./x"));
        assert_ne!(group("modelscope:org/name@master"), hub);
        assert_eq!(group("https://a.mirror.example/x"), group("https://b.mirror.example:8443/y"));
        assert_ne!(group("https://mirror.example/x"), group("https://other.example2/x"));
        assert_eq!(group("https://192.0.2.7/x"), "host:192.0.2.7");
        assert_eq!(group("https://[2001:DB8:0::1]/x"), group("https://[2001:db8::1]:443/"));
    }

    #[test]
    fn a_commit_is_told_from_a_branch() {
        let commit = format!("hf:org/name@{}", "0123456789abcdef0123456789abcdef01234567");
        assert!(commit.parse::<Source>().unwrap().names_a_commit());
        for text in ["hf:org/name@main", "modelscope:org/name@master", "https://hub.example/0123"] {
            assert!(!text.parse::<Source>().unwrap().names_a_commit(), "{text}");
        }
        assert!(!commit.to_uppercase().replace("HF:", "hf:").parse::<Source>().unwrap().names_a_commit());
    }

    #[test]
    fn other_texts_are_refused() {
        for text in [
            "",
            "hf:",
            "hf:org/name",
            "hf:org@main",
            "hf:../name@main",
            "hf:org/na me@main",
            "hf:org/n\u{430}me@x",
            "hf:org/name@",
            "hf:a/b/c@main",
            "s3:bucket/x@1",
            "http://host/x",
            "https://",
            "https://user@host/x",
            "https://host:port/x",
            "https://-host/x",
            "https://ho..st/x",
            "https://[::1",
            "https://[x]/",
            "file:x",
        ] {
            assert!(text.parse::<Source>().is_err(), "{text}");
        }
        assert!(format!("https://host.example/{}", "x".repeat(2000)).parse::<Source>().is_err());
    }
}
