//! One model's result, as data and for people.

use super::base::Difference;
use crate::commands::record::{Recorder, signers};
use crate::error::as_data;
use crate::exit::Exit;
use crate::findings;
use crate::judge::{self, ModelJudgement, Verdict, level_text, remainder_text, rules, signature_text};
use crate::manifest::count;
use crate::output::{Talk, safe_line, style};
use crate::policy::PolicyFile;
use serde::Serialize;
use serde_json::{Value, json};
use sovai_catalog::{LicenseCheck, TextMatch};
use sovai_core::{Name, Sha256, TrustLevel, format_bytes};
use sovai_trust::Level;
use sovai_verifier::{Examination, Remainder, Remainders, Report};
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// A licence as the manifest has it.
#[derive(Debug, Clone, Serialize)]
pub(super) struct License {
    text: String,
    /// `spdx`, `known` or `unknown`.
    status: &'static str,
}

impl License {
    pub(super) fn new(text: &str) -> Self {
        let status = match sovai_catalog::license(text) {
            LicenseCheck::Spdx => "spdx",
            LicenseCheck::Known(_) => "known",
            LicenseCheck::Unknown { .. } => "unknown",
        };
        Self { text: text.to_owned(), status }
    }

    pub(super) fn shown(&self) -> String {
        let note = if self.status == "unknown" { " (not a known licence)" } else { "" };
        format!("{}{note}", safe_line(&self.text))
    }
}

/// What a model was compared with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Against {
    /// Nothing.
    Nothing,
    /// Pins of a manifest or its lock.
    Pins,
    /// The list of an OpenSSF signature.
    Signature,
    /// A passport.
    Passport,
}

/// The passport that a model was compared with.
#[derive(Debug, Clone, Serialize)]
pub(super) struct PassportFact {
    pub(super) file: String,
    pub(super) sha256: Sha256,
    /// Whether a signature over it holds.
    pub(super) signed: bool,
}

/// Files that were read and compared with nothing.
pub(super) struct Listed {
    pub(super) files: u64,
    /// All of them, and all were read.
    pub(super) bytes: u64,
    pub(super) remainder: Remainders,
}

/// Everything that was found out about one model.
pub(super) struct Checked {
    /// Its name in the manifest; `None` for a bare folder.
    pub(super) name: Option<Name>,
    /// Where it comes from, as the manifest writes it or as it was named.
    pub(super) source: String,
    pub(super) against: Against,
    /// What comparing its bytes came to; `None` where there was nothing to compare with.
    pub(super) report: Option<Report>,
    /// What was read where there was nothing to compare with.
    pub(super) listed: Option<Listed>,
    pub(super) license: Option<License>,
    pub(super) judgement: Option<ModelJudgement>,
    pub(super) signatures: Vec<Verdict>,
    /// Whether just these signatures were asked for, so that each must count.
    pub(super) named: bool,
    pub(super) examination: Option<Examination>,
    /// Whether broken rules of formats are findings of their own; where there is a policy, it decides.
    pub(super) tell_formats: bool,
    pub(super) passport: Option<PassportFact>,
    /// Files that nobody vouches for, although a signature was asked for.
    pub(super) unsigned: Vec<Remainder>,
    /// Whether those are only reported.
    pub(super) compat: bool,
    /// What speaks against it besides: of passports.
    pub(super) refusals: Vec<judge::Refused>,
    pub(super) differences: Vec<Difference>,
    /// What a look into the tensors found: code, file, message.
    pub(super) scan: Vec<(&'static str, String, String)>,
}

/// One model in the JSON result.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ModelBody<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a Name>,
    source: &'a str,
    against: Against,
    pinned: bool,
    trust: TrustLevel,
    #[serde(skip_serializing_if = "Option::is_none")]
    level: Option<&'a Level>,
    #[serde(skip_serializing_if = "Option::is_none")]
    digest: Option<Sha256>,
    license: Option<&'a License>,
    files: u64,
    bytes: u64,
    /// Bytes that were really read.
    hashed: u64,
    findings: usize,
    signatures: &'a [Verdict],
    #[serde(skip_serializing_if = "Option::is_none")]
    passport: Option<&'a PassportFact>,
    remainder: Option<&'a Remainders>,
    #[serde(skip_serializing_if = "Option::is_none")]
    examination: Option<ExaminationBody<'a>>,
    template_differences: &'a [Difference],
}

/// What the files are, without their texts.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ExaminationBody<'a> {
    /// How many files of each kind of content.
    contents: BTreeMap<&'static str, usize>,
    problems: usize,
    /// All that can run.
    surface: &'a [sovai_formats::SurfaceItem],
    templates: Vec<Value>,
    licenses: Vec<Value>,
}

impl<'a> ExaminationBody<'a> {
    fn new(of: &'a Examination) -> Self {
        let mut contents = BTreeMap::new();
        for file in &of.files {
            *contents.entry(file.content.word()).or_insert(0) += 1;
        }
        let template = |template: &sovai_formats::Template| {
            json!({
                "path": template.path, "place": template.place, "name": template.name, "sha256": template.sha256
            })
        };
        let license =
            |text: &sovai_verifier::LicenseText| json!({ "path": text.path, "sha256": text.sha256 });
        Self {
            contents,
            problems: of.problems.len(),
            surface: &of.surface,
            templates: of.templates.iter().map(template).collect(),
            licenses: of.licenses.iter().map(license).collect(),
        }
    }
}

impl Checked {
    /// Whether the bytes are what they were compared with.
    pub(super) fn matches(&self) -> bool {
        self.report.as_ref().is_some_and(|report| report.findings.is_empty())
    }

    /// Whether bytes differ.
    pub(super) fn differs(&self) -> bool {
        self.report.as_ref().is_some_and(|report| !report.findings.is_empty())
    }

    pub(super) fn trust(&self) -> TrustLevel {
        self.judgement.as_ref().map_or(TrustLevel::Unknown, |judgement| judgement.level.level)
    }

    /// What is wrong or worth saying besides bytes: signatures, trust, remainder, formats. Each with a `severity`.
    pub(super) fn remarks(&self) -> Vec<Value> {
        let mut all: Vec<Value> = self
            .refusals
            .iter()
            .map(|why| {
                json!({
                    "type": "passport", "severity": "refuse", "code": why.code, "message": why.message,
                    "hint": why.hint
                })
            })
            .collect();
        match &self.judgement {
            Some(judgement) => all.extend(judge::against(&judgement.level, &self.signatures, self.named)),
            None => all.extend(judge::refused_signatures(&self.signatures)),
        }
        let severity = if self.compat { "warn" } else { "refuse" };
        all.extend(self.unsigned.iter().map(|left| {
            json!({
                "type": "remainder", "severity": severity, "code": rules::REMAINDER, "path": left.path,
                "message": format!("{} is not signed: {}", left.path, left.reason),
                "hint": rules::hint(rules::REMAINDER),
            })
        }));
        if self.tell_formats
            && let Some(examination) = &self.examination
        {
            all.extend(examination.problems.iter().map(|problem| {
                json!({
                    "type": "format", "severity": "warn", "code": problem.code, "path": problem.path,
                    "message": format!("{}: {}", problem.path, problem.message),
                })
            }));
        }
        all.extend(self.scan.iter().map(|(code, path, message)| {
            json!({
                "type": "format", "severity": "warn", "code": code, "path": path,
                "message": format!("{path}: {message}"),
            })
        }));
        all
    }

    /// All findings as data: bytes first.
    pub(super) fn findings(&self) -> Vec<Value> {
        let mut all = self.report.as_ref().map_or_else(Vec::new, |report| as_data(&report.findings));
        all.extend(self.remarks());
        match &self.name {
            Some(name) => findings::of_model(name, all),
            None => all,
        }
    }

    /// How this model alone ends the command.
    pub(super) fn exit(&self) -> Exit {
        if self.differs() {
            Exit::Mismatch
        } else if judge::refuses(&self.remarks()) {
            Exit::Refused
        } else {
            Exit::Done
        }
    }

    /// What came of it, for the evidence log. Under the model's name, or the folder's.
    pub(super) fn record(&self, recorder: &mut Recorder) {
        if self.against == Against::Nothing {
            return;
        }
        let name = self.name.as_ref().map_or_else(|| base_name(&self.source), ToString::to_string);
        let model = recorder.run.models.entry(name).or_default();
        model.source = model.source.take().or_else(|| Some(self.source.clone()));
        let digest = self.judgement.as_ref().and_then(|judgement| judgement.digest);
        model.digest = digest.map(|digest| digest.to_string()).or_else(|| model.digest.take());
        let against = match self.against {
            Against::Nothing => "nothing",
            Against::Pins => "pins",
            Against::Signature => "signature",
            Against::Passport => "passport",
        };
        model.against = Some(against.to_owned());
        if let Some(report) = &self.report {
            (model.files, model.bytes) = (Some(report.files), Some(report.bytes));
            (model.hashed, model.matches) = (Some(report.hashed), Some(report.findings.is_empty()));
        }
        model.license = model.license.take().or_else(|| self.license.as_ref().map(|of| of.text.clone()));
        model.trust = Some(self.trust().to_string());
        model.signers = signers(&self.signatures);
    }

    pub(super) fn body(&self) -> ModelBody<'_> {
        let report = self.report.as_ref();
        let listed = self.listed.as_ref();
        let read = listed.map_or(0, |listed| listed.bytes);
        ModelBody {
            name: self.name.as_ref(),
            source: &self.source,
            against: self.against,
            pinned: report.is_some(),
            trust: self.trust(),
            level: self.judgement.as_ref().map(|judgement| &judgement.level),
            digest: self.judgement.as_ref().and_then(|judgement| judgement.digest),
            license: self.license.as_ref(),
            files: report.map_or(listed.map_or(0, |listed| listed.files), |report| report.files),
            bytes: report.map_or(read, |report| report.bytes),
            hashed: report.map_or(read, |report| report.hashed),
            findings: report.map_or(0, |report| report.findings.len()),
            signatures: &self.signatures,
            passport: self.passport.as_ref(),
            remainder: report.map(|report| &report.remainder).or(listed.map(|listed| &listed.remainder)),
            examination: self.examination.as_ref().map(ExaminationBody::new),
            template_differences: &self.differences,
        }
    }

    /// For people: heading, what is wrong, who vouches, what was not covered. `refused_by` is the policy that refuses
    /// this model: the heading is the last word on it.
    pub(super) fn text(&self, what: &str, refused_by: Option<&PolicyFile>, talk: Talk) -> String {
        let mut facts = Vec::new();
        if let Some(report) = &self.report {
            facts.push(count(usize::try_from(report.files).unwrap_or(usize::MAX), "file"));
            facts.push(format_bytes(report.bytes));
        }
        facts.push(format!("trust level {}", self.trust()));
        facts.extend(self.license_shown());
        let (color, word) = match (self.exit(), refused_by) {
            (Exit::Done, Some(policy)) => {
                let name = if policy.path.is_some() {
                    format!("policy {}", policy.policy.name)
                } else {
                    policy.shown()
                };
                (style::ERROR, format!("REFUSED by {name}"))
            }
            (Exit::Done, None) if self.report.is_none() => (style::WARNING, "not compared".to_owned()),
            (Exit::Done, None) => (style::OK, "verified".to_owned()),
            (Exit::Refused, _) => (style::ERROR, "REFUSED".to_owned()),
            _ => (style::ERROR, "FAILED".to_owned()),
        };
        let mut text = format!("{what}: {color}{word}{}  {}\n", style::RESET, facts.join(", "));
        if color == style::ERROR && self.matches() {
            let as_what = match self.against {
                Against::Signature => "signed",
                Against::Passport => "the passport says",
                Against::Pins | Against::Nothing => "pinned",
            };
            let _ = writeln!(text, "  every byte is as {as_what}; what refuses it stands below");
        }
        if let Some(report) = &self.report {
            text.push_str(&findings::text(&report.findings));
        }
        text.push_str(&remarks_text(&self.remarks(), talk));
        for signature in &self.signatures {
            text.push_str(&signature_text(signature));
        }
        if let Some(judgement) = &self.judgement {
            text.push_str(&level_text(&judgement.level, talk));
        }
        if let Some(report) = &self.report {
            text.push_str(&remainder_text(&report.remainder, talk));
        }
        for difference in &self.differences {
            text.push_str(&difference.text());
        }
        text
    }
}

impl Checked {
    /// On what its licence rests: the manifest's word, a text that is known, or only a hub's label.
    fn license_shown(&self) -> Option<String> {
        if let Some(license) = &self.license {
            return Some(format!("licence {}", license.shown()));
        }
        let facts = self.judgement.as_ref().map(|judgement| &judgement.facts);
        let text = facts.and_then(|facts| {
            facts.licenses.iter().find_map(|fact| match &fact.text {
                TextMatch::Known { ids, .. } => Some((&fact.path, ids.join(" or "))),
                _ => None,
            })
        });
        match (text, facts.and_then(|facts| facts.hub_license.as_deref())) {
            (Some((path, ids)), _) => Some(format!("licence {ids} by the text {}", safe_line(path))),
            (None, Some(label)) => {
                Some(format!("no licence stated but the hub's label {}", safe_line(label)))
            }
            (None, None) => self.name.is_some().then(|| "no licence stated".to_owned()),
        }
    }
}

/// The last part of a folder or an address.
pub(super) fn base_name(source: &str) -> String {
    let last = source.trim_end_matches('/').rsplit(['/', ':']).next();
    last.filter(|name| !name.is_empty()).unwrap_or("model").to_owned()
}

/// Most remarks of one severity that are listed, unless more is asked for.
const MAX_REMARKS: usize = 20;

/// Remarks as lines, what refuses first.
pub(super) fn remarks_text(remarks: &[Value], talk: Talk) -> String {
    let mut text = String::new();
    for (severity, color, word) in [("refuse", style::ERROR, "refused"), ("warn", style::WARNING, "warning")]
    {
        let of: Vec<&Value> = remarks.iter().filter(|remark| remark["severity"] == severity).collect();
        let most = if talk >= Talk::Verbose { of.len() } else { MAX_REMARKS };
        let mut hinted = None;
        for remark in of.iter().take(most) {
            let (code, message) = (word_of(remark, "code"), safe_line(word_of(remark, "message")));
            let _ = writeln!(text, "  {color}{word}{} {code} {message}", style::RESET);
            let hint = remark["hint"].as_str().filter(|hint| hinted != Some(*hint));
            if let Some(hint) = hint {
                let _ = writeln!(text, "          {}hint:{} {}", style::HINT, style::RESET, safe_line(hint));
                hinted = Some(hint);
            }
        }
        if of.len() > most {
            let _ = writeln!(text, "  and {} more; -v lists them", of.len() - most);
        }
    }
    text
}

fn word_of<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key].as_str().unwrap_or_default()
}

/// `93.8 MiB read in 0.1 s`, or that receipts answered.
pub(super) fn effort(reports: &[&Report]) -> String {
    let hashed: u64 = reports.iter().map(|report| report.hashed).sum();
    let bytes: u64 = reports.iter().map(|report| report.bytes).sum();
    let seconds: f64 = reports.iter().map(|report| report.elapsed.as_secs_f64()).sum();
    match hashed {
        0 if bytes > 0 => "unchanged since it was last read (--full reads all again)".to_owned(),
        _ => format!("{} read in {seconds:.1} s", format_bytes(hashed)),
    }
}

/// What was said about signatures.
#[derive(Debug, Serialize)]
pub(super) struct Signatures {
    /// Whether there were any.
    pub(super) checked: bool,
    /// How many of them hold.
    pub(super) hold: usize,
    /// How many do not.
    pub(super) refused: usize,
}

impl Signatures {
    pub(super) fn of<'a>(all: impl IntoIterator<Item = &'a Checked>) -> Self {
        let (mut hold, mut refused) = (0, 0);
        for verdict in all.into_iter().flat_map(|checked| &checked.signatures) {
            match verdict.refused() {
                None => hold += 1,
                Some(_) => refused += 1,
            }
        }
        Self { checked: hold + refused > 0, hold, refused }
    }

    /// The end of a good report.
    pub(super) fn shown(&self) -> String {
        if self.checked { count(self.hold, "good signature") } else { "no signature was checked".to_owned() }
    }
}

/// The policy that judged.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct PolicyBody {
    pub(super) name: String,
    /// `None`: the built-in one.
    pub(super) file: Option<String>,
    pub(super) refused: usize,
    pub(super) warnings: usize,
}
