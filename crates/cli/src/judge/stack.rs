//! The judgement of a whole stack, for `plan` and `deploy`: once before a byte is read, and once about what was admitted.

use super::{Judge, Judged, ModelInput, refuses};
use crate::error::CliError;
use crate::exit::Exit;
use crate::facts;
use crate::findings::of_model;
use crate::manifest::count;
use crate::output::{Printer, safe_line};
use crate::policy;
use crate::stack::Pinned;
use serde::Serialize;
use serde_json::Value;
use sovai_core::{Name, Reporter, TrustLevel};
use sovai_manifest::LockedModel;
use sovai_policy::{Facts, ModelFacts, Subject};
use sovai_signing::oms::Compat;
use sovai_store::model_manifest;
use sovai_trust::Basis;
use sovai_verifier::{Options, Receipt};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

/// How strongly the origin of a deployed model is proven.
#[derive(Debug, Serialize)]
pub(crate) struct ModelTrust<'a> {
    /// The model.
    pub(crate) model: &'a Name,
    /// The level.
    pub(crate) trust: TrustLevel,
    /// Why it is that.
    pub(crate) why: &'a [String],
}

/// Refuses what will be refused whatever the bytes are: by declarations, signatures and revocations. Reads no weights, and
/// takes for granted that every byte is what was pinned.
pub(crate) fn refuse_early(judge: &Judge, pinned: &Pinned, store: Option<&Path>) -> Result<(), CliError> {
    let mut all = Facts { models: Vec::new(), images: facts::images(pinned.manifest()) };
    let mut findings = Vec::new();
    for (name, pins) in &pinned.resolved.models {
        let signatures = judge.signatures(&pinned.file, name, pins, Compat::Strict);
        let locked = pinned.locked(name);
        let model = pinned.manifest().models.get(name);
        let (revision, resolved_at_hub) = facts::at_hub(model, locked, pins);
        let input = ModelInput {
            basis: Basis::Pins,
            matches: true,
            pins,
            pinned: &facts::Pinned::of(pins),
            digest: Some(model_manifest(pins).1),
            folder: &pinned.file.place(name, pins, store).unwrap_or_else(|_| PathBuf::new()),
            examination: None,
            unsigned: &[],
            signatures: &signatures,
            revision,
            resolved_at_hub,
            // A hub that lists git ids alone for some files can only be compared when they were read.
            git_blobs: &BTreeMap::new(),
        };
        let judged = judge.model(declared(pinned, name, locked), &input);
        findings.extend(of_model(name, super::against(&judged.level, &signatures, true)));
        all.models.push(judged.facts);
    }
    // A level that witnesses can still raise is judged when they can be compared.
    let judgement = judge.decide(&all);
    findings.extend(policy::data(&judgement).into_iter().filter(|_| judge.has_no_witness()));
    if refuses(&findings) { Err(refusal(judge, pinned, findings)) } else { Ok(()) }
}

/// Judges the models as they lie in the store, where nobody can change them any more; refuses, or says what there is to
/// say, which it gives, too.
pub(crate) fn judge_admitted(
    judge: &Judge,
    pinned: &Pinned,
    receipts: &BTreeMap<Name, Receipt>,
    options: &Options,
    reporter: &dyn Reporter,
    out: Printer,
) -> Result<(BTreeMap<Name, Judged>, Vec<Value>), CliError> {
    let mut models = BTreeMap::new();
    for (name, receipt) in receipts {
        let judged = judge.stack_model(
            &pinned.file,
            name,
            pinned.locked(name),
            receipt.files(),
            receipt.tree(),
            true,
            Compat::Strict,
            options,
            reporter,
        )?;
        models.insert(name.clone(), judged);
    }
    let facts = Facts {
        models: models.values().map(|model| model.judgement.facts.clone()).collect(),
        images: facts::images(pinned.manifest()),
    };
    let mut findings: Vec<Value> = models
        .iter()
        .flat_map(|(name, model)| {
            of_model(name, super::against(&model.judgement.level, &model.signatures, true))
        })
        .collect();
    findings.extend(policy::data(&judge.decide(&facts)));
    if refuses(&findings) {
        return Err(refusal(judge, pinned, findings));
    }
    for finding in findings.iter().filter(|finding| finding["severity"] == "warn") {
        out.warn(&line(finding));
    }
    Ok((models, findings))
}

/// The levels of admitted models, for the result.
pub(crate) fn levels(models: &BTreeMap<Name, Judged>) -> Vec<ModelTrust<'_>> {
    models
        .iter()
        .map(|(model, judged)| ModelTrust {
            model,
            trust: judged.judgement.level.level,
            why: &judged.judgement.level.why,
        })
        .collect()
}

fn declared(pinned: &Pinned, name: &Name, locked: Option<&LockedModel>) -> ModelFacts {
    match pinned.manifest().models.get(name) {
        Some(model) => facts::declared(name, model, locked),
        None => ModelFacts::new(Subject::Model(name.as_str().to_owned())),
    }
}

/// Nothing was started: what was refused, by which rule, and what to do.
fn refusal(judge: &Judge, pinned: &Pinned, findings: Vec<Value>) -> CliError {
    let refused: Vec<&Value> = findings.iter().filter(|finding| finding["severity"] == "refuse").collect();
    let mut details = String::new();
    for finding in &refused {
        let _ = writeln!(details, "  {}", line(finding));
        if let Some(hint) = finding["hint"].as_str() {
            let _ = writeln!(details, "    {}", safe_line(hint));
        }
    }
    let by = judge.policy.as_ref().map_or_else(|| "trust".to_owned(), policy::PolicyFile::shown);
    let message = format!(
        "stack {} is refused by {by}: {}; nothing was started",
        pinned.name(),
        count(refused.len(), "reason")
    );
    let code = refused.iter().find_map(|finding| finding["code"].as_str()).unwrap_or("CODE").to_owned();
    CliError::new(Exit::Refused, message)
        .with_details(details)
        .with_findings(findings)
        .hint(format!("sovai policy explain {code} says what the rule is for"))
}

/// `SOV1003 model assistant: ...`.
fn line(finding: &Value) -> String {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    // Decisions of a policy name their subject, other findings their model.
    let subject = match (&finding["model"], &finding["subject"]) {
        (Value::String(model), _) => format!("model {model}: "),
        (_, Value::Object(subject)) => {
            let part = |name: &str| subject.get(name).map(text).unwrap_or_default();
            format!("{} {}: ", part("kind"), part("name"))
        }
        _ => String::new(),
    };
    safe_line(&format!("{} {subject}{}", text(&finding["code"]), text(&finding["message"])))
}

impl Pinned {
    /// What the lock says of a model.
    pub(crate) fn locked(&self, name: &Name) -> Option<&LockedModel> {
        self.lock.as_ref().and_then(|lock| lock.models.get(name))
    }
}
