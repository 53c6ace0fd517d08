//! `sovai store prune`.

use super::named::{self, Named, RootState, unmarked};
use crate::ctx::Ctx;
use crate::error::CliError;
use crate::exit::Exit;
use crate::manifest::count;
use crate::output::{Outcome, hint_line, safe_line};
use crate::signals::interrupted;
use serde::Serialize;
use sovai_core::{Sha256, format_bytes};
use sovai_store::{Artifact, Content, Marked, Removed, Root, Store};
use sovai_verifier::Options;
use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

/// Who holds the store meanwhile.
const HOLDER: &str = "sovai store prune";

/// What was asked for.
pub(super) struct Wish<'a> {
    pub(super) dry_run: bool,
    pub(super) partial: bool,
    pub(super) forget: &'a [PathBuf],
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Body {
    action: &'static str,
    dry_run: bool,
    /// Models that went, or would go.
    models: BTreeSet<Sha256>,
    images: BTreeSet<Sha256>,
    trees: usize,
    blobs: usize,
    partials: usize,
    /// Bytes that nothing takes any more.
    bytes: u64,
    /// Manifests that count no longer.
    forgotten: BTreeSet<String>,
    /// Manifests that are out of sight; what they named last stayed.
    away: BTreeSet<String>,
}

/// Runs the command.
pub(super) fn run(wish: &Wish<'_>, ctx: &Ctx) -> Result<Exit, CliError> {
    let store = named::open(ctx)?;
    let forget = known(&store, wish.forget)?;
    if wish.dry_run {
        let named = look(&store, &forget)?;
        let marked = store.mark(&named.wanted).map_err(unmarked)?;
        let artifacts = store.artifacts()?;
        let kept = if wish.partial { BTreeSet::new() } else { marked.kept.clone() };
        let partials = store.unnamed_partials(&kept)?;
        let removed = Removed {
            entries: marked.entries.len(),
            trees: marked.trees.len(),
            blobs: marked.blobs.len(),
            partials: partials.len(),
            bytes: partials.iter().fold(marked.bytes(), |sum, (_, bytes)| sum.saturating_add(*bytes)),
            stopped: false,
        };
        return finish(wish, &named, &artifacts, &marked, &removed, ctx);
    }
    let alone = store.hold_alone(HOLDER)?;
    let named = look(&store, &forget)?;
    let marked = store.mark(&named.wanted).map_err(unmarked)?;
    let artifacts = store.artifacts()?;
    let options = Options { cancel: ctx.interrupt()?.cancel(), ..Options::new(ctx.threads(None)) };
    // First the roots: a root must never name what is gone.
    for looked in named.roots.iter().filter(|looked| looked.state == RootState::Gone) {
        store.remove_root(&alone, &looked.kept)?;
    }
    let mut removed = sovai_verifier::prune_store(&store, &alone, &marked, &options)?;
    if removed.stopped {
        return Err(interrupted().cause(format!("{} freed", format_bytes(removed.bytes))));
    }
    store.remove_partials(&alone, &marked.kept, wish.partial, &mut removed)?;
    finish(wish, &named, &artifacts, &marked, &removed, ctx)
}

/// The manifests that are to be forgotten, as their roots have them. One without a root is a slip of the keyboard.
fn known(store: &Store, forget: &[PathBuf]) -> Result<Vec<PathBuf>, CliError> {
    let roots = store.roots()?;
    let mut found = Vec::new();
    for manifest in forget {
        let path = Root::path_of(manifest)?;
        if !roots.iter().any(|kept| kept.root.manifest == path) {
            let error = CliError::new(
                Exit::Usage,
                format!("the store knows no manifest {}", safe_line(&path.display().to_string())),
            );
            return Err(roots.iter().fold(error, |error, kept| {
                error.hint(format!("it knows {}", safe_line(&kept.root.manifest.display().to_string())))
            }));
        }
        found.push(path);
    }
    Ok(found)
}

/// What is named. A manifest or lock that cannot be read stops a prune: it may name anything.
fn look(store: &Store, forget: &[PathBuf]) -> Result<Named, CliError> {
    let mut named = named::look(store, forget)?;
    let Some(broken) = named.broken.take() else { return Ok(named) };
    let manifest = named.roots.iter().find(|looked| looked.state == RootState::Broken);
    let broken = broken.hint("nothing was removed: what it names is not known until it is mended");
    Err(match manifest {
        Some(looked) => broken.hint(format!(
            "if it counts no longer: sovai store prune --forget {}",
            shown(&looked.kept.root.manifest)
        )),
        None => broken,
    })
}

fn shown(path: &Path) -> String {
    safe_line(&path.display().to_string())
}

fn finish(
    wish: &Wish<'_>,
    named: &Named,
    artifacts: &[Artifact],
    marked: &Marked,
    removed: &Removed,
    ctx: &Ctx,
) -> Result<Exit, CliError> {
    let gone: Vec<&Artifact> = artifacts.iter().filter(|it| marked.entries.contains(&it.digest)).collect();
    let of = |content| gone.iter().filter(|it| it.content == content).map(|it| it.digest).collect();
    let in_state = |state| {
        let roots = named.roots.iter().filter(move |looked| looked.state == state);
        roots.map(|looked| looked.kept.root.manifest.display().to_string()).collect()
    };
    let body = Body {
        action: "prune",
        dry_run: wish.dry_run,
        models: of(Content::Model),
        images: of(Content::Image),
        trees: removed.trees,
        blobs: removed.blobs,
        partials: removed.partials,
        bytes: removed.bytes,
        forgotten: in_state(RootState::Gone),
        away: in_state(RootState::Away),
    };
    let text = text(wish, named, &gone, &body);
    ctx.finish(Outcome { exit: Exit::Done, findings: Vec::new(), body, text })
}

fn text(wish: &Wish<'_>, named: &Named, gone: &[&Artifact], body: &Body) -> String {
    let would = if wish.dry_run { "would be " } else { "" };
    let mut text = String::new();
    for artifact in gone {
        let called = named.called(artifact);
        let _ = writeln!(text, "{would}removed: {called}, {}", format_bytes(artifact.bytes()));
    }
    let partials = match body.partials {
        0 => String::new(),
        n => format!(", {}", count(n, "unfinished download")),
    };
    let _ = writeln!(
        text,
        "{would}freed: {} ({}{partials})",
        format_bytes(body.bytes),
        count(body.blobs, "blob")
    );
    for manifest in &body.forgotten {
        let _ = writeln!(text, "counts no longer: {}", safe_line(manifest));
    }
    for manifest in &body.away {
        let manifest = safe_line(manifest);
        let _ = writeln!(text, "{manifest} is out of sight: what it named stays");
        text.push_str(&hint_line(&format!("if it is gone for good: sovai store prune --forget {manifest}")));
    }
    text
}
