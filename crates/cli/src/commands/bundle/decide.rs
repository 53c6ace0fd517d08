//! `sovai bundle approve` and `reject`: a signed decision about a bundle, made after it was checked.

use super::signers;
use super::verify::{self, Checked};
use super::{open, page};
use crate::args::DecisionArgs;
use crate::commands::record::Recorder;
use crate::commands::trust::{now, place};
use crate::ctx::Ctx;
use crate::error::CliError;
use crate::exit::Exit;
use crate::keys;
use crate::manifest::count;
use crate::output::{Outcome, safe_line, style};
use serde::Serialize;
use sha2::Digest as _;
use sovai_bundle::{
    Decision, Inspected, MAX_REASON, Ruling, Standing, VolumeSet, VolumeState, Weight, decision_name,
};
use sovai_core::Sha256;
use sovai_signing::{KeyId, PrivateKey};
use sovai_trust::{Role, TrustStore};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

/// Most findings that a decision keeps in words.
const MAX_FINDINGS: usize = 50;
/// Permission bits of a decision and of a page: they are public.
const MODE: u32 = 0o644;
/// How every page begins, so that nothing else is written over.
const PAGE_START: &str = "<!DOCTYPE html>";

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Body<'a> {
    action: &'static str,
    bundle: String,
    index: Sha256,
    decision: &'a Decision,
    key_id: KeyId,
    /// SHA-256 of the decision's file.
    sha256: Sha256,
    written: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    page: Option<String>,
    border: &'a Standing,
}

/// Runs the command.
pub(super) fn run(args: &DecisionArgs, ruling: Ruling, ctx: &Ctx) -> Result<Exit, CliError> {
    let mut recorder = Recorder::new(match ruling {
        Ruling::Approved => "bundle-approve",
        Ruling::Rejected => "bundle-reject",
    });
    let result = work(args, ruling, ctx, &mut recorder);
    recorder.finish(&result, ctx);
    result
}

fn work(args: &DecisionArgs, ruling: Ruling, ctx: &Ctx, recorder: &mut Recorder) -> Result<Exit, CliError> {
    let reason = args.reason.trim();
    if reason.is_empty() || reason.len() > MAX_REASON {
        let what = format!("--reason has {} bytes; expected 1 to {MAX_REASON}", reason.len());
        return Err(CliError::new(Exit::Usage, what));
    }
    let key = keys::private(&args.signer.key, args.signer.passphrase_file.as_deref())?;
    if let Some(page) = &args.page {
        is_free(page, "page", |bytes| bytes.starts_with(PAGE_START.as_bytes()))?;
    }
    if let Some(out) = &args.out {
        is_free(out, "decision", |bytes| sovai_signing::dsse::Envelope::parse(bytes).is_ok())?;
    }
    let set = open(&args.volumes)?;
    recorder.begin_where_there(ctx);
    recorder.bundle(set.index(), &set.digest(), Vec::new());
    let checked = verify::check(&set, args.threads, ctx)?;
    recorder.bundle(set.index(), &set.digest(), checked.signers.key_ids());
    if ruling == Ruling::Approved {
        may_pass(&set, &checked, args.incomplete)?;
    }
    let decision = Decision {
        decision: ruling,
        reason: reason.to_owned(),
        decided: now(),
        previous: set.custody_heads(),
        inspected: inspected(&set, &checked),
    };
    let bytes = decision.sign(set.index(), set.digest(), &key).to_json().into_bytes();
    let written = write(args, &set, &decision, &key, &bytes)?;
    recorder.run.about("decision", &digest(&bytes));
    if let Some(bundle) = &mut recorder.run.bundle {
        bundle.decision = Some(ruling.to_string());
        bundle.reason = Some(reason.to_owned());
    }
    recorder.found(&checked.findings());
    let trust = signers::trust(ctx)?;
    if let Some(path) = &args.page {
        let page = page::render(&page::Facts {
            set: &set,
            checked: &checked,
            decision: &decision,
            key: key.public(),
            name: signers::name_of(&trust, key.public().id()),
            sha256: digest(&bytes),
        });
        sovai_store::atomic::write(path, page.as_bytes(), MODE).map_err(|error| unwritten(path, &error))?;
    }
    let standing = standing(args, &trust)?;
    let key_id = key.public().id();
    let text = text(&set, &decision, key_id, &written, args.page.as_deref(), &standing);
    let is_trusted = trust.keys(Role::Border, now()).iter().any(|trusted| trusted.id() == key_id);
    if !is_trusted {
        ctx.out.say("note: this store does not trust the key at the border; whoever imports needs `sovai trust add K.pub --role border`");
    }
    let body = Body {
        action: if ruling == Ruling::Approved { "approve" } else { "reject" },
        bundle: set.index().name(),
        index: set.digest(),
        decision: &decision,
        key_id,
        sha256: digest(&bytes),
        written: written.iter().map(|path| path.display().to_string()).collect(),
        page: args.page.as_ref().map(|path| path.display().to_string()),
        border: &standing,
    };
    ctx.finish(Outcome { exit: Exit::Done, findings: checked.findings(), body, text })
}

fn digest(bytes: &[u8]) -> Sha256 {
    Sha256::from_bytes(sha2::Sha256::digest(bytes).into())
}

/// Refuses to let pass what is not what the index says, or is not all there.
fn may_pass(set: &VolumeSet, checked: &Checked, incomplete: bool) -> Result<(), CliError> {
    let exit = checked.exit();
    let refuse = |what: &str| {
        CliError::new(exit, format!("bundle {} is not approved: {what}", set.index().name()))
            .with_details(verify::text(set, checked))
            .with_findings(checked.findings())
    };
    match exit {
        Exit::Done => Ok(()),
        Exit::Mismatch => Err(refuse("bytes are not what the index says")
            .hint("have it sent again or repaired; `sovai bundle reject` records what was found")),
        Exit::Refused => Err(refuse("its signatures are not what they must be")
            .hint("sovai trust list")
            .hint("`sovai bundle reject` records what was found")),
        Exit::Resources if incomplete => Ok(()),
        _ => Err(refuse("volumes are missing")
            .hint("name all volumes, or decide about those that are here with --incomplete")),
    }
}

fn inspected(set: &VolumeSet, checked: &Checked) -> Inspected {
    let report = &checked.report;
    let state = |state| match state {
        VolumeState::Whole => "whole",
        VolumeState::Damaged => "damaged",
        VolumeState::Missing => "missing",
    };
    let mut findings: Vec<String> = Vec::new();
    for volume in &report.volumes {
        for bad in &volume.bad {
            findings.push(format!("{}: chunks {} to {}: {}", volume.volume, bad.first, bad.last, bad.reason));
        }
    }
    let heavy = report.findings.iter().filter(|finding| finding.weight > Weight::Note);
    findings.extend(heavy.map(ToString::to_string));
    if findings.len() > MAX_FINDINGS {
        let more = findings.len() - MAX_FINDINGS;
        findings.truncate(MAX_FINDINGS);
        findings.push(format!("and {more} more"));
    }
    let mut formats: BTreeMap<String, u64> = BTreeMap::new();
    for file in set.model_files() {
        let word = file.content.map_or("not seen", |content| content.word());
        *formats.entry(word.to_owned()).or_default() += 1;
    }
    let licenses = set.index().models.iter();
    let here = report.volumes.iter().filter(|volume| volume.state != VolumeState::Missing);
    Inspected {
        tool: format!("sovai {}", env!("CARGO_PKG_VERSION")),
        host: place(),
        volumes: report.volumes.iter().map(|v| (v.volume.to_string(), state(v.state).to_owned())).collect(),
        chunks: here.map(|volume| volume.chunks).sum(),
        bytes: report.bytes,
        findings,
        licenses: licenses
            .map(|(name, model)| (name.to_string(), model.license.clone().unwrap_or_default()))
            .collect(),
        formats,
        signers: checked.signers.summary(),
    }
}

/// Writes the decision where it was asked for, else onto every volume that is here.
fn write(
    args: &DecisionArgs,
    set: &VolumeSet,
    decision: &Decision,
    key: &PrivateKey,
    bytes: &[u8],
) -> Result<Vec<PathBuf>, CliError> {
    if let Some(out) = &args.out {
        sovai_store::atomic::write(out, bytes, MODE).map_err(|error| unwritten(out, &error))?;
        return Ok(vec![out.clone()]);
    }
    let name = decision_name(decision, key.public().id(), bytes);
    let mut written = Vec::new();
    for volume in set.present() {
        let folder = volume.decisions_folder().map_err(|error| {
            let shown = safe_line(&volume.path.display().to_string());
            CliError::new(Exit::Resources, format!("the decision cannot be written onto {shown}"))
                .source(&error)
                .hint("a volume that is read-only takes none: write it beside with --out FILE; it is given along with --decision FILE")
        })?;
        let path = folder.join(&name);
        sovai_store::atomic::write(&path, bytes, MODE).map_err(|error| unwritten(&path, &error))?;
        written.push(path);
    }
    Ok(written)
}

fn unwritten(path: &Path, error: &sovai_store::StoreError) -> CliError {
    let shown = safe_line(&path.display().to_string());
    CliError::new(Exit::Resources, format!("{shown} cannot be written"))
        .source(error)
        .hint("a volume that is read-only takes no decision: write it beside with --out FILE")
}

/// Refuses to write over what is not of its kind: a slip in an option must not cost a file.
fn is_free(path: &Path, what: &str, is_own: impl Fn(&[u8]) -> bool) -> Result<(), CliError> {
    let Ok(found) = fs_err::symlink_metadata(path) else { return Ok(()) };
    let limit = 16 << 20;
    let own = found.is_file()
        && found.len() <= limit as u64
        && is_own(&crate::input::read_bounded(path, limit, "file")?);
    if own {
        return Ok(());
    }
    let shown = safe_line(&path.display().to_string());
    Err(CliError::new(Exit::Usage, format!("{shown} is there and is no {what}; it is not overwritten"))
        .hint("name another file"))
}

/// What the border says now, with the new decision.
fn standing(args: &DecisionArgs, trust: &TrustStore) -> Result<Standing, CliError> {
    let volumes = &args.volumes;
    let mut decisions = volumes.decision.clone();
    decisions.extend(args.out.clone());
    let set = VolumeSet::open(&volumes.volumes, &volumes.signature, &decisions)?;
    Ok(set.standing(&trust.keys(Role::Border, now())))
}

fn text(
    set: &VolumeSet,
    decision: &Decision,
    key: KeyId,
    written: &[PathBuf],
    page: Option<&Path>,
    standing: &Standing,
) -> String {
    let colour = if decision.decision == Ruling::Approved { style::OK } else { style::ERROR };
    let mut text = format!(
        "bundle {} {colour}{}{}: {}\n",
        set.index().name(),
        decision.decision,
        style::RESET,
        safe_line(&decision.reason)
    );
    let _ = writeln!(text, "  index   {}", set.digest());
    let _ = writeln!(text, "  key id  {key}");
    for path in written {
        let _ = writeln!(text, "  written {}", safe_line(&path.display().to_string()));
    }
    if let Some(page) = page {
        let _ = writeln!(text, "  page    {}", safe_line(&page.display().to_string()));
    }
    if decision.decision == Ruling::Approved && !standing.rejected.is_empty() {
        let _ = writeln!(
            text,
            "held back all the same: {} that this store trusts at the border rejected it, and only the same key lifts that",
            count(standing.rejected.len(), "key")
        );
    }
    text
}
