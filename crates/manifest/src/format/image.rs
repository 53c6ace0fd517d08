//! References of images: the grammar is [`sovai_core::Reference`]'s, the hints for people are here.

use super::{Problem, check_text, parse_digest};
use crate::ImageSource;
use crate::diagnostic::quoted;
use crate::shape::Format;
use sovai_core::{Reference, ReferenceError, Sha256};
use std::path::PathBuf;

/// Longest name of an image inside a layout or an archive: the longest reference with its tag.
const MAX_NAME: usize = 255 + 129;

/// Splits a reference into its name (with tag) and its digest.
pub(crate) fn parse_image(text: &str) -> Result<(&str, Option<Sha256>), Problem> {
    // A malformed digest has its own code and hints, wherever it stands.
    let (name, digest) = match text.split_once('@') {
        Some((name, digest)) if !text.starts_with("sha256:") => (name, Some(parse_digest(digest)?)),
        _ => (text, None),
    };
    match Reference::new(text) {
        Ok(_) => Ok((name, digest)),
        Err(ReferenceError::Id) => Err(malformed(text, &ReferenceError::Id.to_string())
            .hint("write `{ name: NAME, id: sha256:... }`, so that people know what it is")),
        Err(ReferenceError::Part(part)) => {
            let problem = malformed(text, &format!("{} cannot be a part of its name", quoted(&part)));
            Err(if part.chars().any(|c| c.is_ascii_uppercase()) {
                problem.hint("names of images are lower case")
            } else {
                problem.hint("as in `vllm/vllm-openai:v0.25.0`")
            })
        }
        Err(error) => Err(malformed(text, &error.to_string())),
    }
}

/// Reads where an image comes from. The last `@` of a path begins the name.
pub(crate) fn parse_image_source(text: &str) -> Result<ImageSource, Problem> {
    let bad = |why: String| {
        Problem::new("SOV0068", format!("malformed source of an image {}: {why}", quoted(text)))
            .hint("`engine`, `registry`, `oci-layout:PATH[@NAME]` or `docker-archive:PATH[@NAME]`")
    };
    let (kind, rest) = match (text, text.split_once(':')) {
        ("engine", _) => return Ok(ImageSource::Engine),
        ("registry", _) => return Ok(ImageSource::Registry),
        (_, Some((kind @ ("oci-layout" | "docker-archive"), rest))) => (kind, rest),
        _ => return Err(bad("it is of no known kind".to_owned())),
    };
    let (path, name) = match rest.rsplit_once('@') {
        Some((path, name)) => (path, Some(name)),
        None => (rest, None),
    };
    check_text(Format::HostPath, path).map_err(|problem| bad(problem.message))?;
    if let Some(name) = name
        && (name.is_empty()
            || name.len() > MAX_NAME
            || !name
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-' | '/' | ':' | '+')))
    {
        return Err(bad(format!("{} cannot be a name in it", quoted(name))));
    }
    let (path, name) = (PathBuf::from(path), name.map(str::to_owned));
    Ok(match kind {
        "oci-layout" => ImageSource::OciLayout { path, name },
        _ => ImageSource::DockerArchive { path, name },
    })
}

fn malformed(text: &str, why: &str) -> Problem {
    Problem::new("SOV0064", format!("{} is not an image reference: {why}", quoted(text)))
}
