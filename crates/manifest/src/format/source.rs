//! Sources: `file:PATH`, `hf:ORG/NAME`, `modelscope:ORG/NAME`, `https://...`, `s3://BUCKET/KEY`, `oci:REFERENCE`.

use super::{Problem, check_text, parse_image};
use crate::Source;
use crate::diagnostic::quoted;
use crate::model::HUBS;
use crate::shape::Format;
use std::path::PathBuf;

const SCHEMES: [&str; 6] = ["file", "hf", "modelscope", "https", "s3", "oci"];

/// Reads a source.
pub(crate) fn parse_source(text: &str) -> Result<Source, Problem> {
    let Some((scheme, rest)) = text.split_once(':') else {
        return Err(Problem::new("SOV0060", format!("the source {} has no scheme", quoted(text))).hint(
            format!("a file or folder is written `file:{}`", text.chars().take(80).collect::<String>()),
        ));
    };
    if !SCHEMES.contains(&scheme) {
        let problem = Problem::new("SOV0060", format!("unknown scheme {} of a source", quoted(scheme)));
        return Err(match scheme {
            "http" => problem.hint("plain http is not taken: use `https:`"),
            "huggingface" | "hub" => problem.hint("write `hf:ORG/NAME`"),
            "ms" => problem.hint("write `modelscope:ORG/NAME`"),
            "docker" => problem.hint("write `oci:REFERENCE`"),
            _ => match sovai_catalog::suggest(scheme, SCHEMES) {
                Some(near) => problem.hint(format!("did you mean `{near}:`?")),
                None => problem.hint("known: `file:`, `hf:`, `modelscope:`, `https:`, `s3:`, `oci:`"),
            },
        });
    }
    if let Some(c) = text.chars().find(|c| c.is_control() || c.is_whitespace() && scheme != "file") {
        return Err(malformed(
            text,
            &format!("it has the character U+{:04X}", u32::from(c)),
            "write it as %XX",
        ));
    }
    if scheme == "file" {
        if rest.starts_with("//") {
            let path = rest.trim_start_matches('/');
            let path: String = path.chars().take(80).collect();
            return Err(malformed(text, "a file has no host", &format!("write `file:/{path}`")));
        }
        return match check_text(Format::HostPath, rest) {
            Ok(()) => Ok(Source::File(PathBuf::from(rest))),
            Err(problem) => Err(malformed(text, &problem.message, "as in `file:./weights/model.gguf`")),
        };
    }
    match scheme {
        "https" => https(text, rest)?,
        "s3" => s3(text, rest)?,
        "oci" => parse_image(rest).map(drop).map_err(|problem| {
            malformed(text, &problem.message, "as in `oci:registry.example/models/name:tag`")
        })?,
        _ => hub(text, rest)?,
    }
    Ok(Source::Remote { scheme: scheme.to_owned(), rest: rest.to_owned() })
}

fn malformed(text: &str, why: &str, hint: &str) -> Problem {
    Problem::new("SOV0061", format!("malformed source {}: {why}", quoted(text))).hint(hint)
}

fn https(text: &str, rest: &str) -> Result<(), Problem> {
    let Some(rest) = rest.strip_prefix("//") else {
        return Err(malformed(text, "`//` is missing", "as in `https://host.example/model.gguf`"));
    };
    let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
    if host.contains('@') {
        // The text is not shown: it has somebody's password in it.
        return Err(Problem::new("SOV0067", "the source has credentials in it")
            .hint("secrets never stand in a manifest: delete the part before `@`"));
    }
    if host.is_empty() || path.is_empty() {
        return Err(malformed(text, "host or path is missing", "as in `https://host.example/model.gguf`"));
    }
    Ok(())
}

fn s3(text: &str, rest: &str) -> Result<(), Problem> {
    let parts = rest.strip_prefix("//").and_then(|rest| rest.split_once('/'));
    match parts {
        Some((bucket, key)) if !bucket.is_empty() && !key.is_empty() => Ok(()),
        _ => Err(malformed(text, "bucket or key is missing", "as in `s3://bucket/models/name`")),
    }
}

/// `ORG/NAME`, and `@REVISION` if wanted.
fn hub(text: &str, rest: &str) -> Result<(), Problem> {
    let (id, revision) = match rest.split_once('@') {
        Some((id, revision)) => (id, Some(revision)),
        None => (rest, None),
    };
    // The hubs' own limit is 96 characters a part.
    let part = |part: &str| {
        (1..=96).contains(&part.len())
            && part.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-'))
            && !part.starts_with(['.', '-'])
    };
    let whole = id.split_once('/').is_some_and(|(org, name)| part(org) && part(name));
    if !whole {
        return Err(malformed(text, "expected ORG/NAME", "as in `hf:HuggingFaceTB/SmolLM2-135M-Instruct`"));
    }
    match revision {
        Some(revision) => check_text(Format::Revision, revision),
        None => Ok(()),
    }
}

/// Name of the one file that a source is; `None` where it is a folder or a repository.
pub(crate) fn file_name_of(source: &Source) -> Option<&str> {
    let path = match source {
        Source::File(path) => path.to_str()?,
        Source::Remote { scheme, .. } if HUBS.contains(&scheme.as_str()) || scheme == "oci" => return None,
        Source::Remote { rest, .. } => rest.split(['?', '#']).next()?,
    };
    let name = path.rsplit('/').next()?;
    sovai_core::is_model_file(name).then_some(name)
}
