//! `sovai bundle create`: a stack, whole and signed, on volumes.

use super::base::{Delta, OldSide};
use super::gather::{self, Gathered};
use crate::args::BundleCreateArgs;
use crate::commands::deploy;
use crate::commands::record::Recorder;
use crate::ctx::Ctx;
use crate::error::CliError;
use crate::exit::Exit;
use crate::judge::Judge;
use crate::judge::stack::{judge_admitted, refuse_early};
use crate::keys;
use crate::manifest::{count, is_there};
use crate::output::{Outcome, safe_line};
use crate::policy::PolicyFile;
use crate::signals::interrupted;
use crate::stack::Pinned;
use serde::Serialize;
use sovai_bundle::create::{Created, Options, Workshop};
use sovai_bundle::plan::{Plan, Program, plan};
use sovai_bundle::{Part, VolumeId, VolumeSize, VolumeSizeError};
use sovai_core::{Name, Platform, Sha256, TrustLevel, format_bytes};
use sovai_evidence::run::BundleRun;
use sovai_signing::{KeyId, PrivateKey};
use sovai_store::{Root, RootKind, Store, StoredImage};
use std::cell::OnceCell;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

/// Who holds locks, for others.
const COMMAND: &str = "sovai bundle create";
/// Seconds since 1970 that stand for "now", so that two people write the same bytes (reproducible-builds.org).
const SOURCE_DATE: &str = "SOURCE_DATE_EPOCH";

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Body<'a> {
    stack: &'a Name,
    sequence: u64,
    created: u64,
    /// What volumes to have at hand.
    media: String,
    /// Bytes of all volumes, signatures aside.
    bytes: u64,
    volumes: Vec<VolumeBody>,
    /// SHA-256 of the index; nothing when nothing was written.
    #[serde(skip_serializing_if = "Option::is_none")]
    digest: Option<Sha256>,
    key_id: KeyId,
    /// Bytes that an earlier run had written.
    resumed: u64,
    /// What the manifest names and a bundle does not carry.
    left_out: &'a [String],
    /// What the other side must have.
    #[serde(skip_serializing_if = "Option::is_none")]
    base: Option<BaseBody<'a>>,
}

#[derive(Serialize)]
struct BaseBody<'a> {
    kind: &'a str,
    digest: Sha256,
    /// Blobs of it that are needed.
    blobs: usize,
    /// Bytes that are not carried.
    saved: u64,
}

#[derive(Serialize)]
struct VolumeBody {
    volume: VolumeId,
    /// Bytes of its folder, signatures aside.
    bytes: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    folder: Option<String>,
}

/// The times that a bundle carries.
#[derive(Debug, Clone, Copy)]
pub(super) struct Times {
    pub(super) sequence: u64,
    pub(super) created: u64,
}

/// What was read before the folder is touched.
struct Job<'a> {
    args: &'a BundleCreateArgs,
    ctx: &'a Ctx,
    limit: Option<VolumeSize>,
    pinned: Pinned,
    key: PrivateKey,
    store: Store,
    judge: Judge,
    images: BTreeMap<String, StoredImage>,
    program: Program,
    /// What the other side has.
    old: Option<OldSide>,
    /// What of this stack that is; found out when it is first planned.
    delta: OnceCell<Delta>,
}

/// Runs the command.
pub(super) fn run(args: &BundleCreateArgs, ctx: &Ctx) -> Result<Exit, CliError> {
    let mut recorder = Recorder::new("bundle-create");
    let result = work(args, ctx, &mut recorder);
    recorder.finish(&result, ctx);
    result
}

fn work(args: &BundleCreateArgs, ctx: &Ctx, recorder: &mut Recorder) -> Result<Exit, CliError> {
    let limit = volume_size(args.volume_size.as_deref())?;
    let pinned = Pinned::load(&args.manifest, ctx)?;
    let key = keys::private(&args.signer.key, args.signer.passphrase_file.as_deref())?;
    let store = ctx.open_store()?;
    let policy = PolicyFile::of(Some(&pinned.file), None, ctx.out)?;
    if !args.dry_run {
        recorder.begin(&store);
        recorder.pinned(&pinned);
        recorder.policy(Some(&policy));
    }
    let judge = Judge::new(Some(&store), Some(policy))?;
    refuse_early(&judge, &pinned, Some(store.root()))?;
    let hold = store.hold(COMMAND)?;
    deploy::stored(&pinned, &store)?;
    let images = gather::images(&pinned, &store)?;
    let program = gather::program(args.program.as_deref())?;
    let old = args.base.as_deref().map(|path| OldSide::read(path, &store, ctx)).transpose()?;
    let delta = OnceCell::new();
    let job = Job { args, ctx, limit, pinned, key, store, judge, images, program, old, delta };
    if args.dry_run {
        let (plan, left_out) = job.plan(&BTreeMap::new(), job.now()?)?;
        tell(&plan, &left_out, args.program.is_some(), ctx);
        return finish(&plan, &left_out, None, &job.key, ctx);
    }
    let workshop = Workshop::open(&args.out, COMMAND)?;
    let work = workshop.work().to_owned();
    // Whatever comes, what this bundle needs stays until it is written.
    job.store.record_root(&hold, &job.root(&work)?)?;
    let done = job.create(workshop, recorder);
    // A run that was cut off leaves the hidden folder, and the root with it.
    if !work.exists() {
        job.store.forget_root(&hold, &work)?;
    }
    done
}

impl Job<'_> {
    fn create(&self, workshop: Workshop, recorder: &mut Recorder) -> Result<Exit, CliError> {
        let interrupt = self.ctx.interrupt()?;
        let options = sovai_verifier::Options {
            cancel: interrupt.cancel(),
            ..sovai_verifier::Options::new(self.ctx.threads(self.args.threads))
        };
        let reporter = self.ctx.reporter();
        let receipts = match deploy::admit(&self.pinned, &self.store, &options, &*reporter)? {
            Ok(receipts) => receipts,
            Err(_) if interrupt.is_set() => return Err(interrupted()),
            Err(found) => return Err(deploy::mismatch(&self.pinned, &found, "no bundle was written")),
        };
        let (judged, findings) =
            judge_admitted(&self.judge, &self.pinned, &receipts, &options, &*reporter, self.ctx.out)?;
        recorder.judged(&judged);
        recorder.found(&findings);
        let levels =
            judged.iter().map(|(name, judged)| (name.clone(), judged.judgement.level.level)).collect();
        // A run that was cut off is gone on with, if it was for the same bundle: then its number and time hold.
        let now = self.now()?;
        let begun = workshop.begun().map(|begun| Times {
            sequence: self.args.sequence.map_or(begun.sequence, Into::into),
            created: if source_date_is_set() { now.created } else { begun.created },
        });
        let (mut plan, mut left_out) = self.plan(&levels, begun.unwrap_or(now))?;
        if begun.is_some() && !workshop.is_begun(&plan, &self.key) {
            (plan, left_out) = self.plan(&levels, now)?;
        }
        tell(&plan, &left_out, self.args.program.is_some(), self.ctx);
        let threads = self.ctx.threads(self.args.threads);
        let options = Options { cancel: interrupt.cancel(), threads, ..Options::new(&self.key) };
        let created = workshop.write(&plan, &self.store, &options, &*reporter)?;
        recorder.run.bundle = Some(BundleRun {
            sequence: plan.contents.sequence,
            index: created.digest.to_string(),
            volumes: Some((plan.ids().count() as u64).saturating_sub(self.args.parity.into())),
            parity: Some(self.args.parity.into()),
            bytes: Some(plan.total()),
            signers: vec![self.key.public().id().to_string()],
            ..BundleRun::default()
        });
        drop(reporter);
        finish(&plan, &left_out, Some(&created), &self.key, self.ctx)
    }

    fn plan(
        &self,
        levels: &BTreeMap<Name, TrustLevel>,
        times: Times,
    ) -> Result<(Plan, Vec<String>), CliError> {
        let source = gather::Source {
            pinned: &self.pinned,
            store: &self.store,
            images: &self.images,
            judge: &self.judge,
            levels,
            program: self.args.program.is_none().then_some(self.program.sha256),
            options: &sovai_verifier::Options {
                cancel: self.ctx.interrupt()?.cancel(),
                ..sovai_verifier::Options::new(self.ctx.threads(self.args.threads))
            },
        };
        let Gathered { mut contents, left_out } = gather::gather(&source, &self.args.attach, times)?;
        if let Some(old) = &self.old {
            let delta = if let Some(delta) = self.delta.get() {
                delta
            } else {
                let new = old.compare(&contents.items, &self.store, self.ctx)?;
                self.delta.get_or_init(|| new)
            };
            delta.apply(&mut contents);
        }
        let made = plan(contents, self.limit.clone(), self.args.parity, Some(self.program.clone()))?;
        Ok((made, left_out))
    }

    /// The times of a bundle that is begun now.
    fn now(&self) -> Result<Times, CliError> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_err(CliError::internal)?.as_secs();
        let created = match std::env::var(SOURCE_DATE) {
            Ok(text) => text.parse().map_err(|_| {
                let shown = safe_line(&text);
                CliError::new(Exit::Usage, format!("{SOURCE_DATE} is `{shown}`, no number of seconds"))
            })?,
            Err(_) => now,
        };
        Ok(Times { sequence: self.args.sequence.map_or_else(|| self.free(now), Into::into), created })
    }

    /// The first number from this one on that no bundle in the folder has: two may be made in one second.
    fn free(&self, from: u64) -> u64 {
        let first = |number: u64| VolumeId::Data(1).folder(self.pinned.name(), number);
        let is_taken = |number: &u64| is_there(&self.args.out.join(first(*number)));
        (from..from.saturating_add(1000)).find(|number| !is_taken(number)).unwrap_or(from)
    }

    fn root(&self, work: &Path) -> Result<Root, CliError> {
        let stack = self.pinned.root()?;
        Ok(Root { kind: RootKind::Bundle, manifest: work.to_owned(), lock: None, ..stack })
    }
}

/// Whether the time of creation is given from outside.
fn source_date_is_set() -> bool {
    std::env::var_os(SOURCE_DATE).is_some()
}

fn volume_size(text: Option<&str>) -> Result<Option<VolumeSize>, CliError> {
    let parsed = text.map(str::parse).transpose();
    parsed.map_err(|error: VolumeSizeError| CliError::wrap(Exit::Usage, &error))
}

/// Says what will be written, before a byte is.
fn tell(plan: &Plan, left_out: &[String], has_program: bool, ctx: &Ctx) {
    let files = count(plan.contents.items.len(), "file");
    ctx.out.say(&format!("bundle {}: {files}, {} in all", plan.name(), format_bytes(plan.total())));
    ctx.out.say(&format!("media: {}", plan.media()));
    if let Some(base) = &plan.contents.base {
        let (blobs, saved) = (count(base.blobs.len(), "blob"), format_bytes(saved(plan)));
        ctx.out.say(&format!("base: {} {}; {saved} of {blobs} are not carried", base.kind, base.digest));
    }
    let other = plan.contents.platform.architecture() != Platform::host().architecture();
    if other && !has_program {
        ctx.out.warn(&format!(
            "the program that goes along is for {}, and the images are for {}: name another one with --program",
            Platform::host(),
            plan.contents.platform
        ));
    }
    for left in left_out {
        ctx.out.warn(&format!("not carried: {}", safe_line(left)));
    }
}

/// Bytes of a plan that the other side has.
fn saved(plan: &Plan) -> u64 {
    let based = plan.parts.iter().flatten().map(|part| match part {
        Part::Based { length, .. } => *length,
        Part::Carried { .. } => 0,
    });
    based.sum()
}

fn base_body(plan: &Plan) -> Option<BaseBody<'_>> {
    let base = plan.contents.base.as_ref()?;
    let (kind, digest, blobs) = (base.kind.as_str(), base.digest, base.blobs.len());
    Some(BaseBody { kind, digest, blobs, saved: saved(plan) })
}

fn finish(
    plan: &Plan,
    left_out: &[String],
    created: Option<&Created>,
    key: &PrivateKey,
    ctx: &Ctx,
) -> Result<Exit, CliError> {
    let key_id = key.public().id();
    let folder = |at: usize| created.and_then(|created| created.volumes.get(at)).map(|path| path.display());
    let volumes: Vec<VolumeBody> = plan
        .ids()
        .zip(plan.folder_sizes())
        .enumerate()
        .map(|(at, (volume, bytes))| VolumeBody {
            volume,
            bytes,
            folder: folder(at).map(|path| path.to_string()),
        })
        .collect();
    let mut text = String::new();
    for volume in &volumes {
        let at = volume.folder.as_deref().map_or_else(|| volume.volume.to_string(), safe_line);
        let _ = writeln!(text, "{at}: {}", format_bytes(volume.bytes));
    }
    let _ = match created {
        Some(created) => writeln!(
            text,
            "bundle {}: written and signed\nindex: {}\nkey id: {key_id}\nmedia: {}",
            plan.name(),
            created.digest,
            plan.media()
        ),
        None => writeln!(text, "bundle {}: nothing was written\nmedia: {}", plan.name(), plan.media()),
    };
    let body = Body {
        stack: &plan.contents.stack,
        sequence: plan.contents.sequence,
        created: plan.contents.created,
        media: plan.media(),
        bytes: plan.total(),
        volumes,
        digest: created.map(|created| created.digest),
        key_id,
        resumed: created.map_or(0, |created| created.resumed),
        left_out,
        base: base_body(plan),
    };
    ctx.finish(Outcome { exit: Exit::Done, findings: Vec::new(), body, text })
}
