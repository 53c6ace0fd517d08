//! What the files of a model are and bring.

use super::{Court, quoted, severity};
use crate::{ModelFacts, Severity};
use sovai_manifest::{Reaction, RemainderRule, RemoteCode, Templates};
use std::collections::BTreeSet;

const CODE: &str = "spec.remoteCode";
const TEMPLATES: &str = "spec.templates";

/// Rules 1030 to 1033: kinds of content, and the rules of formats.
pub(super) fn formats(model: &ModelFacts, court: &mut Court<'_>) {
    let rules = &court.policy.formats;
    let denied = |word: &str| rules.deny.iter().any(|denied| denied == word);
    let allowed = |word: &str| rules.allow.iter().any(|allowed| allowed == word);
    let line = |path: &str, word: &str, how: &str| {
        format!("the file {} is {word} by its content{how}", quoted(path))
    };

    let found = model.files.iter().filter(|file| file.content != "unknown" && denied(file.content));
    court.many(
        "SOV1031",
        Severity::Refuse,
        "spec.formats.deny",
        found.map(|file| line(&file.path, file.content, ", which is denied")),
        "leave it out of the model",
    );
    let found = model
        .files
        .iter()
        .filter(|file| file.content != "unknown" && !denied(file.content) && !allowed(file.content));
    court.many(
        "SOV1030",
        Severity::Refuse,
        "spec.formats.allow",
        found.map(|file| line(&file.path, file.content, ", which is not among the allowed formats")),
        "leave it out of the model, or use weights in safetensors or GGUF",
    );
    if let Some(severity) = severity(rules.unknown) {
        let found = model.files.iter().filter(|file| file.content == "unknown");
        court.many(
            "SOV1032",
            severity,
            "spec.formats.unknown",
            found.map(|file| format!("the file {} is of no known kind", quoted(&file.path))),
            "leave it out of the model if no engine needs it",
        );
    }
    if let Some(severity) = severity(rules.problems) {
        for (warning, severity) in [(false, severity), (true, Severity::Warn)] {
            court.many(
                "SOV1033",
                severity,
                "spec.formats.problems",
                model.problems.iter().filter(|found| found.warning == warning).map(|found| {
                    format!("the file {} breaks rule {}: {}", quoted(&found.path), found.code, found.message)
                }),
                "get the file again from its publisher; `sovai policy explain CODE` explains the rule",
            );
        }
    }
    let kinds: BTreeSet<&str> = model
        .files
        .iter()
        .map(|file| file.content)
        .filter(|word| *word != "unknown" && allowed(word) && !denied(word))
        .collect();
    if !kinds.is_empty() {
        let kinds: Vec<&str> = kinds.into_iter().collect();
        court.allow("SOV1030", "spec.formats.allow", format!("files are {}", kinds.join(", ")));
    }
    if model.examined && model.problems.is_empty() && rules.problems != Reaction::Ignore {
        court.allow("SOV1033", "spec.formats.problems", "no file breaks the rules of its format");
    }
}

/// Rule 1070: code that an engine could run.
pub(super) fn code(model: &ModelFacts, court: &mut Court<'_>) {
    let (refused, why): (Vec<_>, &str) = match court.policy.remote_code {
        RemoteCode::Refuse => (model.code.iter().collect(), "no code is taken"),
        RemoteCode::Pinned => {
            (model.code.iter().filter(|code| !code.pinned).collect(), "its bytes are pinned nowhere")
        }
    };
    let hint = match court.policy.remote_code {
        RemoteCode::Refuse => {
            "leave the file out of the model; or read the code, pin it, and write `remoteCode: pinned`"
        }
        RemoteCode::Pinned => {
            "pin the file that holds it in the manifest; code in another place cannot be pinned"
        }
    };
    court.many(
        "SOV1070",
        Severity::Refuse,
        CODE,
        refused.iter().map(|code| format!("{} in {}: {why}", code.what, quoted(&code.path))),
        hint,
    );
    if refused.is_empty() && model.examined {
        let what = match model.code.len() {
            0 => "the model brings no code".to_owned(),
            n => format!("code in {n} places, all of it pinned"),
        };
        court.allow("SOV1070", CODE, what);
    }
}

/// Rule 1071: chat templates.
pub(super) fn templates(model: &ModelFacts, court: &mut Court<'_>) {
    let policy = court.policy;
    let refused: Vec<_> = model
        .templates
        .iter()
        .filter(|template| match &policy.templates {
            Templates::Any => false,
            Templates::Pinned => !template.pinned,
            Templates::Digests(digests) => !digests.contains(&template.sha256),
        })
        .collect();
    let (key, why, hint) = match &policy.templates {
        Templates::Digests(_) => (
            "spec.templates.digests",
            "its digest is not listed",
            "read the template, and add its digest to `templates.digests`",
        ),
        _ => (TEMPLATES, "its bytes are pinned nowhere", "pin the file that holds it in the manifest"),
    };
    court.many(
        "SOV1071",
        Severity::Refuse,
        key,
        refused.iter().map(|template| {
            format!(
                "chat template {} in {} ({}): {why}",
                quoted(&template.place),
                quoted(&template.path),
                template.sha256
            )
        }),
        hint,
    );
    if refused.is_empty() && !model.templates.is_empty() {
        let how = match policy.templates {
            Templates::Any => "any is taken",
            Templates::Pinned => "all in files that are pinned",
            Templates::Digests(_) => "all of them listed",
        };
        court.allow("SOV1071", key, format!("chat templates: {}, {how}", model.templates.len()));
    }
}

/// Rule 1080: what a signature does not cover.
pub(super) fn remainder(model: &ModelFacts, court: &mut Court<'_>) {
    let severity = match court.policy.remainder {
        RemainderRule::Refuse => Severity::Refuse,
        RemainderRule::Report => Severity::Note,
    };
    court.many(
        "SOV1080",
        severity,
        "spec.remainder",
        model
            .remainder
            .iter()
            .map(|left| format!("the signature does not cover {}: {}", quoted(&left.path), left.reason)),
        "take it out of the folder, or have the model signed with it",
    );
}
