//! `sovai store list`.

use super::named::{self, Named, RootState, unmarked};
use crate::ctx::Ctx;
use crate::error::CliError;
use crate::exit::Exit;
use crate::manifest::count;
use crate::output::{Outcome, safe_line};
use serde::{Deserialize, Serialize};
use sovai_core::{Sha256, format_bytes};
use sovai_store::{Artifact, Content, Store};
use std::collections::BTreeSet;
use std::fmt::Write as _;

/// Largest image config that is read for its platform, in bytes; the largest seen are some 100 KiB.
const MAX_CONFIG: u64 = 8 << 20;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Body {
    action: &'static str,
    store: String,
    models: Vec<Model>,
    images: Vec<Image>,
    /// Downloads that are not finished.
    partial: Vec<Partial>,
    roots: Vec<RootLine>,
    /// What nothing names; `null` when that is not known.
    unnamed: Option<Unnamed>,
}

#[derive(Serialize)]
struct Model {
    digest: Sha256,
    /// `STACK/MODEL`.
    names: BTreeSet<String>,
    files: u64,
    bytes: u64,
    state: State,
}

/// Whether something can be used; its bytes are not read for it.
#[derive(Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
enum State {
    /// All blobs are there, of a model also the tree.
    Whole,
    /// A blob or the tree is missing, or has another length.
    Incomplete,
}

impl State {
    const fn note(self) -> &'static str {
        match self {
            Self::Whole => "",
            Self::Incomplete => "  incomplete",
        }
    }
}

#[derive(Serialize)]
struct Image {
    /// Digest of its index or manifest.
    digest: Sha256,
    references: BTreeSet<String>,
    /// Digests of its configs: the image IDs.
    ids: BTreeSet<Sha256>,
    platforms: BTreeSet<String>,
    bytes: u64,
    state: State,
}

/// An unfinished download.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Partial {
    digest: Sha256,
    /// `STACK/MODEL/PATH`.
    names: BTreeSet<String>,
    /// Bytes that are there.
    have: u64,
    /// Bytes that it is to have, where that is known.
    size: Option<u64>,
    /// Who writes it now.
    held_by: Option<String>,
}

#[derive(Serialize)]
struct RootLine {
    manifest: String,
    stack: String,
    state: RootState,
}

#[derive(Serialize)]
struct Unnamed {
    models: usize,
    images: usize,
    blobs: usize,
    bytes: u64,
}

/// Runs the command.
pub(super) fn run(ctx: &Ctx) -> Result<Exit, CliError> {
    let store = named::open(ctx)?;
    let named = named::look(&store, &[])?;
    let artifacts = store.artifacts()?;
    let models: Vec<Model> =
        of(&artifacts, Content::Model).map(|model| model_line(&store, &named, model)).collect();
    let images: Vec<Image> =
        of(&artifacts, Content::Image).map(|image| image_line(&store, &named, image)).collect();
    let unnamed = unnamed(&store, &named, &artifacts, ctx)?;
    let partial = store.downloads()?.into_iter().map(|download| Partial {
        digest: download.sha256,
        names: named.files.get(&download.sha256).cloned().unwrap_or_default(),
        have: download.have,
        size: download.size,
        held_by: download.holder,
    });
    let partial = partial.collect();
    let roots = named.roots.iter().map(|looked| RootLine {
        manifest: looked.kept.root.manifest.display().to_string(),
        stack: looked.kept.root.stack.to_string(),
        state: looked.state,
    });
    let body = Body {
        action: "list",
        store: store.root().display().to_string(),
        models,
        images,
        partial,
        roots: roots.collect(),
        unnamed,
    };
    let text = text(&body);
    ctx.finish(Outcome { exit: Exit::Done, findings: Vec::new(), body, text })
}

fn of(artifacts: &[Artifact], content: Content) -> impl Iterator<Item = &Artifact> {
    artifacts.iter().filter(move |artifact| artifact.content == content)
}

fn unnamed(
    store: &Store,
    named: &Named,
    artifacts: &[Artifact],
    ctx: &Ctx,
) -> Result<Option<Unnamed>, CliError> {
    if let Some(error) = &named.broken {
        ctx.out.warn(&format!("what nothing names is not known: {}", safe_line(error.message())));
        return Ok(None);
    }
    let marked = store.mark(&named.wanted).map_err(unmarked)?;
    let count = |content| of(artifacts, content).filter(|it| marked.entries.contains(&it.digest)).count();
    Ok(Some(Unnamed {
        models: count(Content::Model),
        images: count(Content::Image),
        blobs: marked.blobs.len(),
        bytes: marked.bytes(),
    }))
}

fn has_blobs(store: &Store, artifact: &Artifact) -> bool {
    artifact.broken.is_empty()
        && artifact.blobs.iter().all(|(digest, size)| {
            fs_err::symlink_metadata(store.blob(digest))
                .is_ok_and(|meta| meta.is_file() && meta.len() == *size)
        })
}

fn model_line(store: &Store, named: &Named, model: &Artifact) -> Model {
    let is_whole = has_blobs(store, model)
        && store.model_files(&model.digest).is_ok_and(|files| store.tree_is_whole(&model.digest, &files));
    Model {
        digest: model.digest,
        names: named.models.get(&model.digest).cloned().unwrap_or_default(),
        files: model.layers,
        bytes: model.layer_bytes,
        state: if is_whole { State::Whole } else { State::Incomplete },
    }
}

fn image_line(store: &Store, named: &Named, image: &Artifact) -> Image {
    let platforms = image.configs.iter().filter_map(|config| platform(store, config));
    // An index none of whose platforms is there is no image.
    let is_whole = has_blobs(store, image) && !image.configs.is_empty();
    Image {
        digest: image.digest,
        references: named.references(image),
        ids: image.configs.clone(),
        platforms: platforms.collect(),
        bytes: image.bytes(),
        state: if is_whole { State::Whole } else { State::Incomplete },
    }
}

/// `linux/amd64`, `linux/arm64/v8`, from an image's config (OCI image-spec 1.1, `config.md`).
fn platform(store: &Store, config: &Sha256) -> Option<String> {
    #[derive(Deserialize)]
    struct Config {
        os: String,
        architecture: String,
        #[serde(default)]
        variant: Option<String>,
    }
    let config: Config = serde_json::from_slice(&store.read_blob(config, MAX_CONFIG).ok()?).ok()?;
    let variant = config.variant.map(|variant| format!("/{variant}")).unwrap_or_default();
    Some(format!("{}/{}{variant}", config.os, config.architecture))
}

fn text(body: &Body) -> String {
    let mut text = String::new();
    let none = |text: &mut String, what: &str| {
        let _ = writeln!(text, "no {what}");
    };
    if body.models.is_empty() {
        none(&mut text, "models");
    }
    for model in &body.models {
        let names = words(&model.names, "named by nothing");
        let files = count(usize::try_from(model.files).unwrap_or(usize::MAX), "file");
        let _ = writeln!(
            text,
            "model {}  {names}  {files}, {}{}",
            model.digest.short(),
            format_bytes(model.bytes),
            model.state.note()
        );
    }
    if body.images.is_empty() {
        none(&mut text, "images");
    }
    for image in &body.images {
        let names = words(&image.references, "without a name");
        let ids = words(&image.ids.iter().map(Sha256::short).collect(), "no config");
        let _ = writeln!(
            text,
            "image {}  {names}  {}  ID {ids}  {}{}",
            image.digest.short(),
            words(&image.platforms, "unknown platform"),
            format_bytes(image.bytes),
            image.state.note()
        );
    }
    for partial in &body.partial {
        let names = words(&partial.names, "named by nothing");
        let of = partial.size.map_or_else(|| "unknown".to_owned(), format_bytes);
        let held = match &partial.held_by {
            Some(holder) => format!("  held by {}", safe_line(holder)),
            None => String::new(),
        };
        let _ = writeln!(
            text,
            "partial {}  {names}  {} of {of}{held}",
            partial.digest.short(),
            format_bytes(partial.have)
        );
    }
    for root in body.roots.iter().filter(|root| root.state == RootState::Away) {
        let _ = writeln!(text, "{} is out of sight: what it named stays", safe_line(&root.manifest));
    }
    match &body.unnamed {
        Some(unnamed) if unnamed.blobs > 0 => {
            let _ = writeln!(
                text,
                "named by nothing: {}, {}: `sovai store prune` removes them",
                count(unnamed.blobs, "blob"),
                format_bytes(unnamed.bytes)
            );
        }
        _ => {}
    }
    text
}

/// Words for people, or `none` when there are none.
fn words(words: &BTreeSet<String>, none: &str) -> String {
    if words.is_empty() {
        return none.to_owned();
    }
    words.iter().map(|word| safe_line(word)).collect::<Vec<_>>().join(", ")
}
