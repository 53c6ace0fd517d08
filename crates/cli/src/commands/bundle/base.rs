//! `bundle create --base OLD`: what the other side has already is not carried.

use crate::ctx::Ctx;
use crate::error::CliError;
use crate::exit::Exit;
use crate::input::read_bounded;
use crate::manifest::count;
use crate::output::safe_line;
use sovai_bundle::delta::{self, BlobList, Cutting, DeltaError, Reuse, Segment};
use sovai_bundle::plan::{Contents, NewItem, Origin, Run};
use sovai_bundle::{Base, BaseBlob, Role, VolumeSet};
use sovai_core::{FilePin, Sha256, format_bytes};
use sovai_manifest::Lock;
use sovai_store::{ModelArtifact, Store};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// Largest list or lock that is read, in bytes.
const MAX_OLD: usize = 128 << 20;
/// Files below this are carried as they are, in bytes: what could be saved is not worth a part in the index.
const SMALL: u64 = 64 << 10;
/// How much of a file must be saved for it to be put together from an old one: one part in so many.
const WORTH: u64 = 50;

/// What `--base` may be.
const WHAT: &str = "give the folder of an older bundle, the lock that the other side was given, or what \
                    `sovai store export-list` wrote there";

/// What the other side has.
#[derive(Debug)]
pub(super) struct OldSide {
    kind: &'static str,
    digest: Sha256,
    blobs: BTreeMap<Sha256, u64>,
}

/// What of a stack's files the other side has.
#[derive(Debug, Clone)]
pub(super) struct Delta {
    base: Base,
    runs: BTreeMap<Sha256, Vec<Run>>,
}

impl OldSide {
    /// Reads what `--base` names: a bundle (its volumes' folder, or one of them), a list of `store export-list`, or a lock.
    pub(super) fn read(path: &Path, store: &Store, ctx: &Ctx) -> Result<Self, CliError> {
        let shown = safe_line(&path.display().to_string());
        if path.is_dir() {
            return Self::bundle(path);
        }
        let bytes = read_bounded(path, MAX_OLD, "base")?;
        if bytes.starts_with(b"{") {
            return Self::bundle(path);
        }
        let digest = crate::judge::digest(&bytes);
        if BlobList::is_list(&bytes) {
            let wrong = |why: String| {
                CliError::new(Exit::Usage, format!("{shown} is a damaged list of blobs: {why}"))
                    .hint("write it again on the other side: sovai store export-list --out FILE")
            };
            let text = std::str::from_utf8(&bytes).map_err(|error| wrong(error.to_string()))?;
            let list = BlobList::parse(text).map_err(|error| wrong(error.to_string()))?;
            return Ok(Self { kind: "list", digest, blobs: list.blobs });
        }
        match Lock::parse(&bytes) {
            (Some(lock), _) => Ok(Self { kind: "lock", digest, blobs: of_lock(&lock, store, ctx)? }),
            (None, _) => {
                Err(CliError::new(Exit::Usage, format!("{shown} is no bundle, no lock and no list of blobs"))
                    .hint(WHAT))
            }
        }
    }

    fn bundle(path: &Path) -> Result<Self, CliError> {
        let set = VolumeSet::open(&[path.to_owned()], &[], &[])
            .map_err(|error| CliError::wrap(Exit::Usage, &error).hint(WHAT))?;
        let blobs = set.index().items.iter().filter(|item| item.role == Role::Blob);
        let blobs = blobs.map(|item| (item.sha256, item.size)).collect();
        Ok(Self { kind: "bundle", digest: set.digest(), blobs })
    }

    /// What of these files it has: whole ones, and pieces of weights that were changed. For pieces the old files must be in
    /// this store, too; they are read, and so are the new ones.
    pub(super) fn compare(&self, items: &[NewItem], store: &Store, ctx: &Ctx) -> Result<Delta, CliError> {
        let mut runs = BTreeMap::new();
        let mut used = BTreeSet::new();
        let mut changed = Vec::new();
        for item in items.iter().filter(|item| item.role == Role::Blob && item.size > 0) {
            if self.blobs.get(&item.sha256) == Some(&item.size) {
                let whole = Run::Based { base: item.sha256, offset: 0, length: item.size };
                runs.insert(item.sha256, vec![whole]);
                used.insert(item.sha256);
            } else if item.size >= SMALL && item.origin == Origin::Blob {
                changed.push(BaseBlob { digest: item.sha256, size: item.size });
            }
        }
        // A dry run brings nothing into the store.
        let all = changed.len();
        changed.retain(|blob| store.has_blob(&blob.digest));
        if changed.len() < all {
            let files = count(all - changed.len(), "file");
            ctx.out.warn(&format!(
                "{files} not in the store yet: not compared with the base, so less is saved here"
            ));
        }
        let reuse = if changed.is_empty() { None } else { self.old_pieces(&used, store, ctx)? };
        for blob in reuse.iter().flat_map(|_| &changed) {
            let Some(reuse) = &reuse else { break };
            let segments = reuse.split(*blob, &open(store, &blob.digest)?).map_err(|error| failed(&error))?;
            if blob.size - delta::carried(&segments).min(blob.size) < blob.size / WORTH {
                continue;
            }
            used.extend(segments.iter().filter_map(|segment| match segment {
                Segment::Based { base, .. } => Some(*base),
                Segment::Carried { .. } => None,
            }));
            runs.insert(blob.digest, segments.into_iter().map(run).collect());
        }
        let blobs = used.iter().filter_map(|digest| {
            self.blobs.get(digest).map(|size| BaseBlob { digest: *digest, size: *size })
        });
        let base = Base { kind: self.kind.to_owned(), digest: self.digest, blobs: blobs.collect() };
        Ok(Delta { base, runs })
    }

    /// The pieces of the old files that are here and are not in the new stack as they are.
    fn old_pieces(
        &self,
        used: &BTreeSet<Sha256>,
        store: &Store,
        ctx: &Ctx,
    ) -> Result<Option<Reuse>, CliError> {
        let is_here = |digest: &Sha256, size: u64| {
            fs_err::symlink_metadata(store.blob(digest))
                .is_ok_and(|meta| meta.is_file() && meta.len() == size)
        };
        let old: Vec<BaseBlob> = self
            .blobs
            .iter()
            .filter(|(digest, size)| **size >= SMALL && !used.contains(*digest) && is_here(digest, **size))
            .map(|(digest, size)| BaseBlob { digest: *digest, size: *size })
            .collect();
        let bytes = old.iter().map(|blob| blob.size).fold(0_u64, u64::saturating_add);
        if old.is_empty() {
            return Ok(None);
        }
        ctx.out.say(&format!("comparing with {} of what the other side has", format_bytes(bytes)));
        let mut reuse = Reuse::new(Cutting::Both, delta::average(bytes));
        for blob in old {
            reuse.add(blob, &open(store, &blob.digest)?).map_err(|error| failed(&error))?;
        }
        Ok(Some(reuse))
    }
}

impl Delta {
    /// Says of the files of a bundle what is not carried.
    pub(super) fn apply(&self, contents: &mut Contents) {
        contents.base = Some(self.base.clone());
        for item in contents.items.iter_mut().filter(|item| item.role == Role::Blob) {
            if let Some(runs) = self.runs.get(&item.sha256) {
                item.runs.clone_from(runs);
            }
        }
    }
}

const fn run(segment: Segment) -> Run {
    match segment {
        Segment::Carried { length, .. } => Run::Carried { length },
        Segment::Based { base, offset, length } => Run::Based { base, offset, length },
    }
}

fn open(store: &Store, digest: &Sha256) -> Result<std::fs::File, CliError> {
    let file = fs_err::File::open(store.blob(digest)).map_err(CliError::internal)?;
    Ok(file.into_parts().0)
}

fn failed(error: &DeltaError) -> CliError {
    match error {
        DeltaError::Read { .. } => CliError::wrap(Exit::Internal, error),
        DeltaError::Changed { .. } => CliError::wrap(Exit::Mismatch, error).hint(
            "find what else is damaged with `sovai store verify`, and bring it again with `sovai pull`",
        ),
    }
}

/// The blobs that a lock leads to: models wholly; of images what this store knows of them.
fn of_lock(lock: &Lock, store: &Store, ctx: &Ctx) -> Result<BTreeMap<Sha256, u64>, CliError> {
    let mut blobs = BTreeMap::new();
    for model in lock.models.values() {
        let pins: Vec<FilePin> = model
            .files
            .iter()
            .map(|file| FilePin { path: file.path.clone(), size: file.size, sha256: file.sha256 })
            .collect();
        let artifact = ModelArtifact::new(&pins);
        for document in [&artifact.manifest, &artifact.config] {
            blobs.insert(crate::judge::digest(document), document.len() as u64);
        }
        blobs.extend(pins.iter().map(|pin| (pin.sha256, pin.size)));
    }
    for (name, image) in &lock.images {
        match store.image_by(&image.config.0)? {
            Some(image) => {
                let parts = std::iter::once(&image.manifest).chain([&image.config]).chain(&image.layers);
                blobs.extend(parts.map(|part| (part.digest, part.size)));
            }
            None => ctx.out.warn(&format!(
                "image {} of the base is not in this store: its layers are carried again",
                safe_line(name)
            )),
        }
    }
    Ok(blobs)
}
