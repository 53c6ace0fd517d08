//! `sovai bundle inspect`: what a bundle holds, as its index says. Needs no key and no space, and reads no payload.

use super::signers::{self, Signers};
use super::verify::missing_text;
use super::{RESULT, label, open};
use crate::args::VolumesArgs;
use crate::ctx::Ctx;
use crate::error::CliError;
use crate::exit::Exit;
use crate::manifest::count;
use crate::output::{Outcome, safe_line};
use serde::Serialize;
use sovai_bundle::{
    Base, Decision, Image, Index, Model, ModelFile, Role, SetFinding, Standing, VolumeId, VolumeSet, Weight,
};
use sovai_core::{Name, Platform, Sha256, format_bytes};
use sovai_evidence::rfc3339;
use sovai_signing::KeyId;
use sovai_trust::{Role as TrustRole, TrustStore};
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// More files of a model than this are counted, not listed; the JSON result has them all.
const MAX_LISTED: usize = 12;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Body<'a> {
    action: &'static str,
    bundle: String,
    stack: &'a Name,
    sequence: u64,
    created: String,
    tool: String,
    platform: &'a Platform,
    index: Sha256,
    manifest: &'a str,
    bytes: u64,
    volumes: Vec<VolumeBody>,
    missing: Vec<VolumeId>,
    parity: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    base: Option<BaseBody<'a>>,
    models: &'a BTreeMap<Name, Model>,
    images: &'a BTreeMap<String, Image>,
    model_files: &'a [ModelFile],
    /// Files by role: how many, and their bytes.
    files: BTreeMap<Role, Files>,
    signatures: &'a Signers,
    decisions: &'a [DecisionBody],
    border: &'a Standing,
}

#[derive(Serialize)]
struct VolumeBody {
    volume: VolumeId,
    bytes: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    path: Option<String>,
}

#[derive(Serialize)]
struct BaseBody<'a> {
    kind: &'a str,
    digest: Sha256,
    blobs: usize,
    bytes: u64,
}

#[derive(Default, Serialize)]
struct Files {
    files: usize,
    bytes: u64,
}

/// A decision and whose it is.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct DecisionBody {
    #[serde(flatten)]
    decision: Decision,
    sha256: Sha256,
    /// Keys of this store that signed it.
    by: Vec<KeyId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    /// Whether one of them is trusted at the border.
    trusted: bool,
    claims: Vec<String>,
    /// Decisions that it names and that are not here.
    lost: Vec<Sha256>,
}

/// Runs the command.
pub(in crate::commands) fn run(volumes: &VolumesArgs, ctx: &Ctx) -> Result<Exit, CliError> {
    let set = open(volumes)?;
    let trust = signers::trust(ctx)?;
    let index = set.index();
    let (signatures, wrong) = signers::judge(&set, &trust);
    let border = trust.keys(TrustRole::Border, crate::commands::trust::now());
    let standing = set.standing(&border);
    let decisions = decisions(&set, &trust, &border);
    let model_files = set.model_files();
    let mut files: BTreeMap<Role, Files> = BTreeMap::new();
    for item in &index.items {
        let of = files.entry(item.role).or_default();
        of.files += 1;
        of.bytes += item.size;
    }
    let volumes = index.all_volumes().map(|(volume, of)| VolumeBody {
        volume,
        bytes: of.payload.size,
        path: set.volume(volume).map(|here| here.path.display().to_string()),
    });
    let body = Body {
        action: "inspect",
        bundle: index.name(),
        stack: &index.stack,
        sequence: index.sequence,
        created: rfc3339(index.created),
        tool: format!("{} {}", index.tool.name, index.tool.version),
        platform: &index.platform,
        index: set.digest(),
        manifest: index.manifest.as_str(),
        bytes: index.payload_bytes(),
        volumes: volumes.collect(),
        missing: set.missing(),
        parity: index.parity.as_ref().map_or(0, |parity| parity.volumes.len()),
        base: index.base.as_ref().map(base_body),
        models: &index.models,
        images: &index.images,
        model_files: &model_files,
        files,
        signatures: &signatures,
        decisions: &decisions,
        border: &standing,
    };
    let mut text = head(&set);
    text.push_str(&contents(index, &model_files, &body.files));
    text.push_str(&signatures.text());
    text.push_str(&custody(&decisions, &standing));
    for finding in set.findings() {
        text.push_str(&finding_text(index, finding));
    }
    let mut findings: Vec<_> =
        set.findings().iter().filter_map(|finding| serde_json::to_value(finding).ok()).collect();
    findings.extend(wrong);
    text.push_str("nothing of the payloads was compared: `sovai bundle verify` does that\n");
    // `verify` and `inspect` end here, too: a bundle's result is a bundle's, whichever command found it.
    ctx.out.result(RESULT, Outcome { exit: Exit::Done, findings, body, text })
}

fn base_body(base: &Base) -> BaseBody<'_> {
    BaseBody {
        kind: &base.kind,
        digest: base.digest,
        blobs: base.blobs.len(),
        bytes: base.blobs.iter().map(|blob| blob.size).fold(0, u64::saturating_add),
    }
}

fn finding_text(index: &Index, finding: &SetFinding) -> String {
    let word = if finding.weight == Weight::Note { "note" } else { "finding" };
    let label = finding.volume.map(|id| format!("{}: ", label(index, id))).unwrap_or_default();
    format!("{word}: {label}{}: {}\n", safe_line(&finding.path), safe_line(&finding.detail))
}

fn decisions(set: &VolumeSet, trust: &TrustStore, border: &[sovai_signing::PublicKey]) -> Vec<DecisionBody> {
    let all = set.decisions_by(&signers::all_keys(trust)).into_iter().map(|signed| DecisionBody {
        decision: signed.decision,
        sha256: signed.digest,
        name: signed.by.iter().find_map(|id| signers::name_of(trust, *id)),
        trusted: border.iter().any(|key| signed.by.contains(&key.id())),
        by: signed.by.into_iter().collect(),
        claims: signed.hints,
        lost: signed.lost,
    });
    all.collect()
}

fn head(set: &VolumeSet) -> String {
    let index = set.index();
    let mut text = format!("bundle {}\n", index.name());
    let mut fact = |name: &str, value: String| {
        let _ = writeln!(text, "  {name:<10}{value}");
    };
    let tool = safe_line(&format!("{} {}", index.tool.name, index.tool.version));
    fact("made", format!("{} by {tool}, for {}", rfc3339(index.created), index.platform));
    fact("index", set.digest().to_string());
    fact(
        "volumes",
        format!("{}, {}", count(index.volumes.len(), "volume"), format_bytes(index.payload_bytes())),
    );
    let missing = set.missing();
    if !missing.is_empty() {
        fact("missing", missing_text(index, &missing));
    }
    match index.parity.as_ref().map_or(0, |parity| parity.volumes.len()) {
        0 => fact("parity", "none".to_owned()),
        1 => fact("parity", "1 volume: any one that is lost can be made again".to_owned()),
        parity => fact("parity", format!("{parity} volumes: any {parity} that are lost can be made again")),
    }
    if let Some(base) = index.base.as_ref().map(base_body) {
        let blobs = count(base.blobs, "blob");
        fact("base", format!("{} {}, {blobs} of it are needed", safe_line(base.kind), base.digest));
    }
    text
}

fn contents(index: &Index, model_files: &[ModelFile], files: &BTreeMap<Role, Files>) -> String {
    let mut text = String::new();
    for (name, model) in &index.models {
        let license = model.license.as_deref().unwrap_or("no licence is named");
        let _ = writeln!(
            text,
            "model {name}: {}, {}, trust {} (as its preparer found)",
            format_bytes(model.bytes),
            safe_line(license),
            model.trust
        );
        let _ = writeln!(text, "  from {}", safe_line(&model.source));
        let own: Vec<&ModelFile> = model_files.iter().filter(|file| file.model == *name).collect();
        for file in own.iter().take(MAX_LISTED) {
            let content = file.content.map(|content| format!(", {content}")).unwrap_or_default();
            let _ = writeln!(text, "  {}: {}{content}", safe_line(&file.path), format_bytes(file.size));
        }
        if own.len() > MAX_LISTED {
            let _ = writeln!(text, "  and {} more; -o json lists all", own.len() - MAX_LISTED);
        }
    }
    for (name, image) in &index.images {
        let _ = writeln!(text, "image {}: {}, {}", safe_line(name), format_bytes(image.bytes), image.id);
    }
    let rest: Vec<String> = files
        .iter()
        .map(|(role, of)| {
            let word = serde_json::to_value(role).ok().and_then(|word| word.as_str().map(str::to_owned));
            format!("{} {}", of.files, word.unwrap_or_default())
        })
        .collect();
    let _ = writeln!(text, "files: {}", rest.join(", "));
    text
}

/// The line of custody.
fn custody(decisions: &[DecisionBody], standing: &Standing) -> String {
    if decisions.is_empty() {
        return "border: no decision\n".to_owned();
    }
    let mut text = match (standing.approved.len(), standing.rejected.len()) {
        (0, 0) => "border: no decision by a key that this store trusts at the border\n".to_owned(),
        (_, 1..) => format!("border: REJECTED by {}\n", count(standing.rejected.len(), "key")),
        (approved, 0) => format!("border: approved by {}\n", count(approved, "key")),
    };
    for decision in decisions {
        let who = match (decision.by.first(), decision.claims.first()) {
            (Some(id), _) => id.to_string(),
            (None, Some(claim)) => format!("a key that calls itself {}", safe_line(claim)),
            (None, None) => "a key without a name".to_owned(),
        };
        let name = decision.name.as_deref().map(|name| format!(" ({})", safe_line(name))).unwrap_or_default();
        let trusted = if decision.trusted { "" } else { ", not trusted at the border" };
        let said = &decision.decision;
        let _ = writeln!(
            text,
            "  {} {} by {who}{name}{trusted}: {}",
            rfc3339(said.decided),
            said.decision,
            safe_line(&said.reason)
        );
        for lost in &decision.lost {
            let _ = writeln!(text, "    the decision before it is not here: {lost}");
        }
    }
    text
}
