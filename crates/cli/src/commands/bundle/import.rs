//! `sovai bundle import`: a bundle into the store, one volume after the other or all at once.
//!
//! Who signed it, what the border decided and how old it is are judged before the first byte is written. What comes in is
//! verified in the same pass; nothing can be deployed of it before it is whole.

mod abort;
mod judge;
mod report;

use crate::args::VolumesArgs;
use crate::commands::record::Recorder;
use crate::ctx::Ctx;
use crate::error::CliError;
use crate::exit::Exit;
use crate::output::safe_line;
use crate::policy::PolicyFile;
use crate::stack::Pinned;
use report::{Read, Report, VolumeRead};
use sovai_bundle::import::{Import, ImportOptions, Installed, installed, is_complete};
use sovai_bundle::{Index, VolumeId, VolumeSet};
use sovai_manifest::ImagePin;
use sovai_store::{Store, StoreHold, model_manifest};
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

/// Who holds the store and the stack meanwhile.
const HOLDER: &str = "sovai bundle import";
/// The operator's own policy about bundles, in the store's folder of trust.
const OWN_POLICY: &str = "policy.yaml";

/// What was asked for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wish<'a> {
    pub(super) volumes: &'a VolumesArgs,
    pub(super) policy: Option<&'a Path>,
    pub(super) out: Option<&'a Path>,
    pub(super) abort: bool,
    pub(super) threads: Option<NonZeroUsize>,
}

/// Runs the command.
pub(super) fn run(wish: &Wish<'_>, ctx: &Ctx) -> Result<Exit, CliError> {
    let mut recorder = Recorder::new("bundle-import");
    let result = work(wish, ctx, &mut recorder);
    recorder.finish(&result, ctx);
    result
}

fn work(wish: &Wish<'_>, ctx: &Ctx, recorder: &mut Recorder) -> Result<Exit, CliError> {
    let set = open(wish.volumes, &[], &[])?;
    if wish.abort {
        return abort::run(set.index(), set.digest(), ctx);
    }
    // A store that is not there yet is not made to write down that something was refused.
    recorder.begin_where_there(ctx);
    recorder.bundle(set.index(), &set.digest(), Vec::new());
    recorder.carried(set.index());
    let looked = Store::look(ctx.store_path()?)?;
    let policy = policy(wish.policy, looked.as_ref(), ctx)?;
    recorder.policy(Some(&policy));
    // What the volumes of earlier days had of signatures and decisions counts too.
    let set = match &looked {
        Some(store) => {
            let (signatures, decisions) = judge::kept(store, set.index(), set.digest())?;
            open(wish.volumes, &signatures, &decisions)?
        }
        None => set,
    };
    // Before the store is made, or its lock is taken: a refused bundle leaves nothing.
    judge::admit(&set, looked.as_ref(), &policy)?;
    let store = ctx.open_store()?;
    recorder.begin(&store);
    let stack = store.stack(&set.index().stack).lock(HOLDER)?;
    let hold = store.hold(HOLDER)?;
    // Once more, now that nobody else changes what is installed.
    let admitted = judge::admit(&set, Some(&store), &policy)?;
    for line in &admitted.warnings {
        ctx.out.warn(line);
    }
    let (_, same) = installed(&store, &set.index().stack, set.index().sequence)?;
    if same.is_some_and(|same| same.digest == set.digest()) && is_complete(&store, set.index()) {
        let folder = Installed::folder(&store, &set.index().stack, set.index().sequence);
        record(&store, &hold, &folder, set.index(), ctx)?;
        let read = Read::default();
        return Report {
            set: &set,
            admitted: &admitted,
            read: &read,
            folder: Some(&folder),
            was_there: true,
        }
        .finish(wish.out, ctx);
    }
    let table = set.table().ok_or_else(|| {
        CliError::new(Exit::Mismatch, "no volume that is here has its table of chunks whole")
            .hint("bring another volume along: each has a copy in `chunks.txt`")
    })?;
    let options = ImportOptions { threads: ctx.threads(wish.threads), cancel: ctx.interrupt()?.cancel() };
    let reporter = ctx.reporter();
    let bundle = (set.index(), set.index_bytes());
    let import = Import::begin(&store, &stack, bundle, table, options, &*reporter)?;
    judge::keep(&store, &set)?;
    let read = take(&import, &set)?;
    let folder = if import.is_whole() {
        let check = |folder: &Path| fits(folder, set.index(), ctx);
        let folder = import.install(check)?;
        record(&store, &hold, &folder, set.index(), ctx)?;
        Some(folder)
    } else {
        None
    };
    drop(import);
    drop((reporter, hold, stack));
    Report { set: &set, admitted: &admitted, read: &read, folder: folder.as_deref(), was_there: false }
        .finish(wish.out, ctx)
}

fn open(volumes: &VolumesArgs, signatures: &[PathBuf], decisions: &[PathBuf]) -> Result<VolumeSet, CliError> {
    let signatures: Vec<PathBuf> = volumes.signature.iter().chain(signatures).cloned().collect();
    let decisions: Vec<PathBuf> = volumes.decision.iter().chain(decisions).cloned().collect();
    Ok(VolumeSet::open(&volumes.volumes, &signatures, &decisions)?)
}

/// The operator's policy: the one of the command line, else the store's own, else the built-in one.
fn policy(flag: Option<&Path>, store: Option<&Store>, ctx: &Ctx) -> Result<PolicyFile, CliError> {
    let own = store.map(|store| store.trust().join(OWN_POLICY)).filter(|path| path.exists());
    match (flag, own) {
        (Some(path), _) => PolicyFile::load(path, ctx.out),
        (None, Some(path)) => PolicyFile::load(&path, ctx.out),
        (None, None) => Ok(PolicyFile::built_in()),
    }
}

/// Reads the payloads that are here, one after the other.
fn take(import: &Import<'_>, set: &VolumeSet) -> Result<Read, CliError> {
    let mut volumes = Vec::new();
    for number in 1..=set.index().volumes.len() {
        let number = u16::try_from(number).map_err(CliError::internal)?;
        let id = VolumeId::Data(number);
        let Some(volume) = set.volume(id).filter(|volume| volume.size.is_some()) else { continue };
        let path = volume.payload_path();
        let taken = match volume.open_payload() {
            Ok(payload) => Ok(import.take(number, &payload)?),
            Err(error) => Err(error.to_string()),
        };
        volumes.push(VolumeRead { volume: id, path, taken });
    }
    Ok(Read { volumes, progress: Some(import.progress()), missing: import.missing() })
}

/// Whether the manifest of the bundle names what the index says, and nothing that is not there.
fn fits(folder: &Path, index: &Index, ctx: &Ctx) -> Result<(), CliError> {
    let pinned = Pinned::load(&folder.join(index.manifest.as_path()), ctx)?;
    let wrong = |what: String| {
        CliError::new(Exit::Mismatch, format!("the bundle contradicts itself: {what}"))
            .hint("tell whoever made it; `sovai bundle import --abort` forgets what was brought in")
    };
    if *pinned.name() != index.stack {
        return Err(wrong(format!(
            "its manifest is of the stack {}, its index of {}",
            pinned.name(),
            index.stack
        )));
    }
    for (name, pins) in &pinned.resolved.models {
        let (expected, found) = (model_manifest(pins).1, index.models.get(name).map(|model| model.digest));
        if found != Some(expected) {
            return Err(wrong(format!(
                "its manifest pins the model {name} as {expected}, which it does not bring"
            )));
        }
    }
    for (name, image) in &pinned.resolved.images {
        let found = index.images.get(name);
        let fits = found.is_some_and(|found| match image.pin {
            ImagePin::Id(id) => found.id == id || found.manifest == id.0,
            ImagePin::Digest(digest) => found.manifest == digest || found.index == Some(digest),
        });
        if !fits {
            let name = safe_line(name);
            return Err(wrong(format!(
                "its manifest pins the image {name} to another than it brings, or to none"
            )));
        }
    }
    Ok(())
}

/// Nothing of it is pruned from now on.
fn record(store: &Store, hold: &StoreHold, folder: &Path, index: &Index, ctx: &Ctx) -> Result<(), CliError> {
    let pinned = Pinned::load(&folder.join(index.manifest.as_path()), ctx)?;
    Ok(store.record_root(hold, &pinned.root()?)?)
}
