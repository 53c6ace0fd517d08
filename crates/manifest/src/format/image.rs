//! References of images: the grammar is [`sovai_core::Reference`]'s, the hints for people are here.

use super::{Problem, parse_digest};
use crate::diagnostic::quoted;
use sovai_core::{Reference, ReferenceError, Sha256};

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

fn malformed(text: &str, why: &str) -> Problem {
    Problem::new("SOV0064", format!("{} is not an image reference: {why}", quoted(text)))
}
