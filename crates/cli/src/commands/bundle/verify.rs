//! `sovai bundle verify`: every chunk of the volumes that are here, what is missing, who signed.

use super::signers::{self, Signers, State};
use super::{RESULT, grouped, label, listed, open};
use crate::args::VolumesArgs;
use crate::commands::record::Recorder;
use crate::ctx::Ctx;
use crate::error::CliError;
use crate::exit::Exit;
use crate::manifest::count;
use crate::output::{Outcome, hint_line, safe_line, style};
use serde::Serialize;
use serde_json::{Value, json};
use sovai_bundle::{
    BadChunks, BundleReport, Index, Repair, VerifyOptions, VolumeId, VolumeReport, VolumeSet, VolumeState,
    Weight, verify_bundle,
};
use sovai_core::{Name, Sha256, format_bytes};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::num::NonZeroUsize;

/// More bad runs of chunks of a volume than this are counted, not listed; the JSON result has them all.
const MAX_LISTED: usize = 20;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Body<'a> {
    action: &'static str,
    bundle: String,
    stack: &'a Name,
    sequence: u64,
    index: Sha256,
    volumes: &'a [VolumeReport],
    missing: &'a [VolumeId],
    bytes: u64,
    repair: &'a Repair,
    signatures: &'a Signers,
}

/// What checking a set came to, of its bytes and its signatures.
pub(super) struct Checked {
    pub(super) report: BundleReport,
    pub(super) signers: Signers,
    /// What is wrong with signatures beyond what opening found.
    wrong: Vec<Value>,
}

impl Checked {
    /// How the command ends.
    pub(super) fn exit(&self) -> Exit {
        let weight = self.report.weight();
        if weight == Some(Weight::Bytes) {
            Exit::Mismatch
        } else if weight == Some(Weight::Signature)
            || self.report.findings.iter().any(|finding| finding.weight == Weight::Signature)
            || !self.wrong.is_empty()
            || self.signers.refused()
        {
            Exit::Refused
        } else if weight == Some(Weight::Missing) {
            Exit::Resources
        } else {
            Exit::Done
        }
    }

    /// All of it as data.
    pub(super) fn findings(&self) -> Vec<Value> {
        let mut all: Vec<Value> =
            self.report.findings.iter().filter_map(|finding| serde_json::to_value(finding).ok()).collect();
        for volume in &self.report.volumes {
            for bad in &volume.bad {
                all.push(json!({
                    "type": "chunks-damaged", "weight": Weight::Bytes, "volume": volume.volume,
                    "path": volume.path, "first": bad.first, "last": bad.last, "offset": bad.offset,
                    "length": bad.length, "detail": bad.reason, "files": bad.files,
                }));
            }
        }
        for volume in &self.report.missing {
            all.push(json!({ "type": "volume-missing", "weight": Weight::Missing, "volume": volume }));
        }
        all.extend(self.wrong.iter().cloned());
        match self.signers.state {
            State::Unsigned => all.push(json!({ "type": "unsigned", "weight": Weight::Signature })),
            State::Insufficient => {
                all.push(json!({ "type": "signers-insufficient", "weight": Weight::Signature }));
            }
            State::Trusted | State::Unknown => {}
        }
        all
    }
}

/// Checks a set.
pub(super) fn check(set: &VolumeSet, threads: Option<NonZeroUsize>, ctx: &Ctx) -> Result<Checked, CliError> {
    let options = VerifyOptions { threads: ctx.threads(threads), cancel: ctx.interrupt()?.cancel() };
    let reporter = ctx.reporter();
    let report = verify_bundle(set, &options, &*reporter).map_err(|_| crate::signals::interrupted())?;
    drop(reporter);
    let (signers, wrong) = signers::judge(set, &signers::trust(ctx)?);
    Ok(Checked { report, signers, wrong })
}

/// Runs the command.
pub(in crate::commands) fn run(
    volumes: &VolumesArgs,
    threads: Option<NonZeroUsize>,
    ctx: &Ctx,
) -> Result<Exit, CliError> {
    let mut recorder = Recorder::new("bundle-verify");
    let result = work(volumes, threads, ctx, &mut recorder);
    recorder.finish(&result, ctx);
    result
}

fn work(
    volumes: &VolumesArgs,
    threads: Option<NonZeroUsize>,
    ctx: &Ctx,
    recorder: &mut Recorder,
) -> Result<Exit, CliError> {
    let set = open(volumes)?;
    recorder.begin_where_there(ctx);
    recorder.bundle(set.index(), &set.digest(), Vec::new());
    let checked = check(&set, threads, ctx)?;
    recorder.bundle(set.index(), &set.digest(), checked.signers.key_ids());
    recorder.found(&checked.findings());
    let exit = checked.exit();
    let index = set.index();
    let body = Body {
        action: "verify",
        bundle: index.name(),
        stack: &index.stack,
        sequence: index.sequence,
        index: set.digest(),
        volumes: &checked.report.volumes,
        missing: &checked.report.missing,
        bytes: checked.report.bytes,
        repair: &checked.report.repair,
        signatures: &checked.signers,
    };
    let mut text = text(&set, &checked);
    text.push_str(&verdict(&checked, exit));
    // `verify` and `inspect` end here, too: a bundle's result is a bundle's, whichever command found it.
    ctx.out.result(RESULT, Outcome { exit, findings: checked.findings(), body, text })
}

/// What was found, for people.
pub(super) fn text(set: &VolumeSet, checked: &Checked) -> String {
    let index = set.index();
    let names = if checked.report.bad.is_empty() { BTreeMap::new() } else { set.blob_names() };
    let mut text = format!("bundle {}, index {}\n", index.name(), set.digest());
    for volume in checked.report.volumes.iter().filter(|volume| volume.state != VolumeState::Missing) {
        let label = label(index, volume.volume);
        match volume.state {
            VolumeState::Whole => {
                let size = format_bytes(volume.bytes);
                let _ = writeln!(
                    text,
                    "{label}: {}whole{}, {}, {size}",
                    style::OK,
                    style::RESET,
                    chunks(volume.chunks)
                );
            }
            _ if volume.bad.is_empty() => {
                let _ =
                    writeln!(text, "{label}: {}damaged{}, its chunks are good", style::ERROR, style::RESET);
            }
            _ => {}
        }
        for bad in volume.bad.iter().take(MAX_LISTED) {
            text.push_str(&bad_text(&label, bad, &names));
        }
        if volume.bad.len() > MAX_LISTED {
            let _ = writeln!(text, "{label}: and {} more; -o json lists all", volume.bad.len() - MAX_LISTED);
        }
        for finding in checked.report.findings.iter().filter(|finding| finding.volume == Some(volume.volume))
        {
            let _ = writeln!(text, "{label}: {}: {}", safe_line(&finding.path), safe_line(&finding.detail));
        }
    }
    for finding in checked.report.findings.iter().filter(|finding| finding.volume.is_none()) {
        let _ = writeln!(text, "{}: {}", safe_line(&finding.path), safe_line(&finding.detail));
    }
    if !checked.report.missing.is_empty() {
        let _ = writeln!(text, "missing: {}", missing_text(index, &checked.report.missing));
    }
    text.push_str(&checked.signers.text());
    for wrong in &checked.wrong {
        let part = |name: &str| wrong.get(name).and_then(Value::as_str).unwrap_or_default();
        let _ = writeln!(text, "{}: {}", safe_line(part("path")), safe_line(part("detail")));
    }
    text.push_str(&repair_text(&checked.report.repair));
    text
}

/// The volumes that are missing: of those of data their numbers, of parity their ids.
pub(super) fn missing_text(index: &Index, missing: &[VolumeId]) -> String {
    let numbers: Vec<u64> =
        missing.iter().filter(|id| !id.is_parity()).map(|id| u64::from(id.number())).collect();
    let parity: Vec<u64> =
        missing.iter().filter(|id| id.is_parity()).map(|id| u64::from(id.number())).collect();
    let mut parts = Vec::new();
    if !numbers.is_empty() {
        parts.push(format!("volume {} of {}", listed(&numbers), index.volumes.len()));
    }
    if !parity.is_empty() {
        let all = index.parity.as_ref().map_or(0, |parity| parity.volumes.len());
        parts.push(format!("parity volume {} of {all}", listed(&parity)));
    }
    parts.join("; ")
}

fn chunks(n: u64) -> String {
    if n == 1 { "1 chunk".to_owned() } else { format!("{} chunks", grouped(n)) }
}

fn bad_text(label: &str, bad: &BadChunks, names: &BTreeMap<Sha256, String>) -> String {
    let which = if bad.first == bad.last {
        format!("chunk {} at {} is", grouped(bad.first), format_bytes(bad.offset))
    } else {
        format!("chunks {} to {} at {} are", grouped(bad.first), grouped(bad.last), format_bytes(bad.offset))
    };
    let mut text =
        format!("{label}: {which} {}bad{}: {}\n", style::ERROR, style::RESET, safe_line(&bad.reason));
    for path in &bad.files {
        let name = path.strip_prefix("blobs/sha256/").and_then(|hex| Sha256::from_hex(hex).ok());
        let name = name.and_then(|digest| names.get(&digest)).map(|name| format!("{name}, "));
        let _ = writeln!(text, "  in {}{}", safe_line(&name.unwrap_or_default()), safe_line(path));
    }
    if bad.file_count > bad.files.len() {
        let _ = writeln!(text, "  and in {} more", bad.file_count - bad.files.len());
    }
    text
}

fn repair_text(repair: &Repair) -> String {
    match repair {
        Repair::NotNeeded => String::new(),
        Repair::NoParity => "repair: not possible, the bundle has no parity\n".to_owned(),
        Repair::Possible { parity, lost } => format!(
            "repair: possible, at most {lost} of the chunks of a column {} lost and parity makes good {parity}\n",
            if *lost == 1 { "is" } else { "are" },
        ),
        Repair::Impossible { parity, lost, columns, column_count } => format!(
            "repair: not possible, {lost} of the chunks of a column are lost and parity makes good {parity}; too many in {}, the first is {}\n",
            count(usize::try_from(*column_count).unwrap_or(usize::MAX), "column"),
            columns.first().map(|column| grouped(*column)).unwrap_or_default(),
        ),
    }
}

/// The last line, and the next step.
fn verdict(checked: &Checked, exit: Exit) -> String {
    let (colour, words) = match exit {
        Exit::Mismatch => (style::ERROR, "DAMAGED: bytes are not what the index says"),
        Exit::Refused => (style::ERROR, "REFUSED: the signatures are not what they must be"),
        Exit::Resources => (style::WARNING, "INCOMPLETE: what is here is whole, and volumes are missing"),
        _ if checked.signers.state == State::Unknown => (style::OK, "whole; by whom is not known"),
        _ => (style::OK, "whole, and signed by trusted keys"),
    };
    let mut text = format!("{colour}{words}{}\n", style::RESET);
    let repairable = matches!(checked.report.repair, Repair::Possible { .. });
    for hint in match exit {
        Exit::Mismatch | Exit::Resources if repairable => {
            &["bring the missing volumes, or make them again: `sovai bundle repair FOLDER`"][..]
        }
        Exit::Mismatch => &["`sovai bundle request` prints what must be sent again"][..],
        Exit::Refused => &[
            "`sovai trust list` shows whom this store trusts; a further signature is named with --signature FILE",
        ][..],
        Exit::Resources => &["verify the missing volumes, too; one at a time is enough"][..],
        _ if checked.signers.state == State::Unknown => &[
            "compare the signer's fingerprint over another channel, then `sovai trust add FILE.pub --role bundle`",
        ][..],
        _ => &[][..],
    } {
        text.push_str(&hint_line(hint));
    }
    text
}
