//! References of images: `[HOST[:PORT]/]PATH[:TAG][@sha256:...]`, after the grammar of github.com/distribution/reference.

use super::{Problem, parse_digest};
use crate::diagnostic::quoted;
use sovai_core::Sha256;

/// Longest name in bytes, by the same grammar.
const MAX_NAME: usize = 255;

/// Splits a reference into its name (with tag) and its digest.
pub(crate) fn parse_image(text: &str) -> Result<(&str, Option<Sha256>), Problem> {
    if text.starts_with("sha256:") {
        return Err(malformed(text, "it is an ID, not a name")
            .hint("write `{ name: NAME, id: sha256:... }`, so that people know what it is"));
    }
    let (name, digest) = match text.split_once('@') {
        Some((name, digest)) => (name, Some(parse_digest(digest)?)),
        None => (text, None),
    };
    let (path, tag) = match name.rsplit_once(':') {
        // A `:` before the last `/` belongs to a port.
        Some((path, tag)) if !tag.contains('/') => (path, Some(tag)),
        _ => (name, None),
    };
    if path.is_empty() {
        return Err(malformed(text, "the name is empty"));
    }
    if path.len() > MAX_NAME {
        return Err(malformed(text, "the name is longer than 255 bytes"));
    }
    let (host, path) = match path.split_once('/') {
        Some((first, rest)) if first.contains(['.', ':']) || first == "localhost" => (Some(first), rest),
        _ => (None, path),
    };
    if host.is_some_and(|host| !is_host(host)) {
        return Err(malformed(text, "the host is malformed"));
    }
    if let Some(part) = path.split('/').find(|part| !is_part(part)) {
        let problem = malformed(text, &format!("{} cannot be a part of its name", quoted(part)));
        return Err(if part.chars().any(|c| c.is_ascii_uppercase()) {
            problem.hint("names of images are lower case")
        } else {
            problem.hint("as in `vllm/vllm-openai:v0.25.0`")
        });
    }
    if tag.is_some_and(|tag| !is_tag(tag)) {
        return Err(malformed(text, "the tag is malformed"));
    }
    Ok((name, digest))
}

fn malformed(text: &str, why: &str) -> Problem {
    Problem::new("SOV0064", format!("{} is not an image reference: {why}", quoted(text)))
}

fn is_host(host: &str) -> bool {
    let (name, port) = match host.rsplit_once(':') {
        Some((name, port)) => (name, Some(port)),
        None => (host, None),
    };
    let label = |label: &str| {
        !label.is_empty()
            && label.chars().all(|c| c.is_ascii_alphanumeric() || c == '-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    name.split('.').all(label) && port.is_none_or(|port| port.parse::<u16>().is_ok_and(|port| port > 0))
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
    tag.len() <= 128 && tag.starts_with(word) && tag.chars().all(|c| word(c) || matches!(c, '.' | '-'))
}
