//! The kinds of sources, one file each. A new kind is a file here, and its word in the list below.

use crate::{Source, SourceError};
use sovai_http::{Client, Env, Retry};
use std::sync::Arc;

/// What an adapter is made from.
#[derive(Debug, Clone)]
pub struct Surroundings {
    /// The HTTP client.
    pub http: Client,
    /// Endpoints and tokens.
    pub env: Env,
    /// How often a list is asked for again.
    pub retry: Retry,
}

/// Makes a source from the text after its scheme.
type Open = fn(origin: &str, rest: &str, surroundings: &Surroundings) -> Result<Arc<dyn Source>, SourceError>;

macro_rules! adapters {
    ($($module:ident = $scheme:literal),* $(,)?) => {
        $(mod $module;)*
        /// The schemes, each with how its source is made.
        const ADAPTERS: &[(&str, Open)] = &[$(($scheme, $module::open as Open)),*];
    };
}

adapters! {
    file = "file",
    hf = "hf",
    https = "https",
    modelscope = "modelscope",
    oci = "oci",
    s3 = "s3",
}

pub use oci::blobs as oci_blobs;

/// The schemes of sources that this crate reads.
pub fn schemes() -> impl Iterator<Item = &'static str> {
    ADAPTERS.iter().map(|(scheme, _)| *scheme)
}

/// The source behind a scheme and the text after it, as the manifest writes both.
pub fn open(scheme: &str, rest: &str, surroundings: &Surroundings) -> Result<Arc<dyn Source>, SourceError> {
    let origin = format!("{scheme}:{rest}");
    if let Some((_, make)) = ADAPTERS.iter().find(|(known, _)| *known == scheme) {
        return make(&origin, rest, surroundings);
    }
    let known: Vec<&str> = schemes().collect();
    let reason = format!("unknown scheme; known are {}", known.join(", "));
    Err(SourceError::Invalid { origin, reason })
}

/// A secret; never shown.
struct Token(String);

impl Token {
    /// A token without the line's end that a file or variable may have; `None` where nothing is left.
    fn new(text: &str) -> Option<Self> {
        let text = text.trim();
        (!text.is_empty()).then(|| Self(text.to_owned()))
    }

    fn secret(&self) -> &str {
        &self.0
    }

    /// For `Authorization`.
    fn bearer(&self) -> String {
        format!("Bearer {}", self.0)
    }
}

impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Token")
    }
}

/// Whether a revision is a whole commit, which cannot change.
fn is_commit(text: &str) -> bool {
    text.len() == 40 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}

/// What to do where a hub has no such revision; `page` shows those that it has.
fn no_revision(revision: &str, page: &str) -> String {
    if is_commit(revision) {
        format!(
            "a commit that is gone does not come back: where the lock names it, the lock is stale, and `sovai lock MANIFEST` makes it again; where the manifest names it, name another: {page}"
        )
    } else {
        format!("name a branch, a tag or a commit: {page}")
    }
}

/// `ORG/NAME[@REVISION]` of a hub.
fn hub_id(rest: &str) -> Option<(String, String, Option<String>)> {
    let (id, revision) = match rest.split_once('@') {
        Some((id, revision)) => (id, Some(revision)),
        None => (rest, None),
    };
    // The manifest has checked more; here it matters that no part leads to another address.
    let part = |part: &str| {
        !part.is_empty()
            && !part.starts_with('.')
            && part.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-'))
    };
    let (organisation, name) = id.split_once('/')?;
    if !part(organisation) || !part(name) || revision.is_some_and(|text| matches!(text, "" | "." | "..")) {
        return None;
    }
    Some((organisation.to_owned(), name.to_owned(), revision.map(ToOwned::to_owned)))
}

#[cfg(test)]
mod tests;
