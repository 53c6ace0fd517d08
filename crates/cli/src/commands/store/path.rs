//! `sovai store path NAME`.

use super::named::{self, Named};
use crate::ctx::Ctx;
use crate::error::CliError;
use crate::exit::Exit;
use crate::output::{Outcome, safe_line};
use serde::Serialize;
use sovai_catalog::suggest;
use sovai_core::Sha256;
use sovai_store::{Artifact, Content, Store};
use std::collections::{BTreeMap, BTreeSet};

/// Fewest digits of a digest that are taken for one.
const MIN_DIGITS: usize = 8;

#[derive(Serialize)]
struct Body {
    action: &'static str,
    /// `model` or `image`.
    what: &'static str,
    digest: Sha256,
    /// The folder of a model, or `oci:STORE:NAME` of an image.
    path: String,
}

/// Runs the command.
pub(super) fn run(name: &str, ctx: &Ctx) -> Result<Exit, CliError> {
    let store = named::open(ctx)?;
    let named = named::look(&store, &[])?;
    let artifacts = store.artifacts()?;
    let found = find(name, &named, &artifacts);
    let mut found = found.into_iter();
    let (Some((digest, words)), None) = (found.next(), found.next()) else {
        return Err(not_one(name, &named, &artifacts));
    };
    let artifact = artifacts.iter().find(|artifact| artifact.digest == digest);
    let (what, path) = match artifact {
        Some(artifact) if artifact.content == Content::Image => {
            ("image", image_path(&store, artifact, &words)?)
        }
        Some(_) => ("model", model_path(&store, digest, &words, &named)?),
        None => return Err(not_here(digest, &words, &named)),
    };
    let text = format!("{}\n", safe_line(&path));
    ctx.finish(Outcome {
        exit: Exit::Done,
        findings: Vec::new(),
        body: Body { action: "path", what, digest, path },
        text,
    })
}

/// What a name may mean: digests, each with how it is known.
fn find(name: &str, named: &Named, artifacts: &[Artifact]) -> BTreeMap<Sha256, String> {
    let mut found = BTreeMap::new();
    let digits = name.strip_prefix("sha256:").unwrap_or(name);
    let is_digest =
        digits.len() >= MIN_DIGITS && digits.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    for (digest, names) in &named.models {
        let by_name = names
            .iter()
            .any(|known| known == name || known.split_once('/').is_some_and(|(_, model)| model == name));
        if by_name || (is_digest && digest.hex().starts_with(digits)) {
            found.insert(*digest, words(*digest, names));
        }
    }
    for artifact in artifacts {
        let references = named.references(artifact);
        let by_name = references.contains(name) || artifact.refs.contains(name);
        let by_digest = is_digest && artifact.names.iter().any(|known| known.hex().starts_with(digits));
        if by_name || by_digest {
            found.entry(artifact.digest).or_insert_with(|| words(artifact.digest, &references));
        }
    }
    found
}

fn words(digest: Sha256, names: &BTreeSet<String>) -> String {
    let names: Vec<_> = names.iter().map(|name| safe_line(name)).collect();
    if names.is_empty() { digest.to_string() } else { format!("{} ({digest})", names.join(", ")) }
}

fn not_one(name: &str, named: &Named, artifacts: &[Artifact]) -> CliError {
    let found = find(name, named, artifacts);
    let shown = safe_line(name);
    if found.is_empty() {
        let error = CliError::new(Exit::Usage, format!("the store knows no model and no image `{shown}`"));
        let models = named.models.values().flatten();
        let images = named.images.values().flatten().chain(artifacts.iter().flat_map(|it| &it.refs));
        let all: BTreeSet<&str> = models
            .map(String::as_str)
            .flat_map(|name| [Some(name), name.split_once('/').map(|(_, model)| model)])
            .flatten()
            .chain(images.map(String::as_str))
            .collect();
        let error = match suggest(name, all) {
            Some(near) => error.hint(format!("did you mean `{}`?", safe_line(near))),
            None => error,
        };
        return error.hint("sovai store list");
    }
    let error = CliError::new(Exit::Usage, format!("`{shown}` means more than one"));
    let error = found.values().fold(error, |error, words| error.cause(words.clone()));
    error.hint("name it as STACK/MODEL, or by its digest")
}

/// Known by its name, but not brought in.
fn not_here(digest: Sha256, words: &str, named: &Named) -> CliError {
    let error = CliError::new(Exit::Unreachable, format!("{words} is not in the store"));
    with_manifests(error, digest, named)
}

fn with_manifests(error: CliError, digest: Sha256, named: &Named) -> CliError {
    match named.manifests.get(&digest).and_then(|manifests| manifests.first()) {
        Some(manifest) => error.hint(format!("sovai pull {}", safe_line(manifest))),
        None => error.hint("sovai pull MANIFEST"),
    }
}

fn model_path(store: &Store, digest: Sha256, words: &str, named: &Named) -> Result<String, CliError> {
    let broken = |reason: String| {
        let error = CliError::new(Exit::Mismatch, format!("{words} is not whole")).cause(reason);
        with_manifests(error, digest, named).hint("sovai store verify")
    };
    let files = store
        .model_files(&digest)
        .map_err(|reason| broken(format!("its manifest cannot be used: {}", safe_line(&reason))))?;
    let tree = store.tree(&digest);
    if !store.tree_is_whole(&digest, &files) {
        return Err(broken(format!(
            "its folder {} lacks files or has others",
            safe_line(&tree.display().to_string())
        )));
    }
    Ok(tree.display().to_string())
}

/// How `skopeo` and `podman` name an image of an OCI image layout.
fn image_path(store: &Store, artifact: &Artifact, words: &str) -> Result<String, CliError> {
    let missing = artifact.blobs.keys().find(|digest| !store.has_blob(digest));
    if let Some(digest) = missing.or(artifact.broken.first().map(|(digest, _)| digest)) {
        return Err(CliError::new(Exit::Mismatch, format!("{words} is not whole"))
            .cause(format!("blob {digest} is missing or damaged"))
            .hint("sovai store verify"));
    }
    match artifact.refs.first() {
        Some(name) => Ok(format!("oci:{}:{name}", store.root().display())),
        None => Err(CliError::new(Exit::Mismatch, format!("{words} has no name in the store's index"))
            .hint("`sovai pull MANIFEST` gives it one")),
    }
}
