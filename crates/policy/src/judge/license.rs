//! Licences: the text in the model first, then what the manifest declares, then a hub's label.

use super::{Court, quoted, severity};
use crate::{LicenseFact, ModelFacts, Severity};
use sovai_catalog::{TextMatch, hub_label, license_ids, license_test};
use sovai_manifest::Reaction;

const ALLOW: &str = "spec.licenses.allow";
const DENY: &str = "spec.licenses.deny";
const TEXT: &str = "spec.licenses.text";
const MISMATCH: &str = "spec.licenses.mismatch";

/// A licence text with the ids that it stands for; none where it is not known.
struct Text<'a> {
    fact: &'a LicenseFact,
    ids: Vec<&'a str>,
}

pub(super) fn license(model: &ModelFacts, court: &mut Court<'_>) {
    let policy = court.policy;
    let texts: Vec<Text<'_>> = model
        .licenses
        .iter()
        .map(|fact| {
            // What the operator has read counts before what the catalogue knows.
            let own = policy.licenses.texts.get(&fact.text.sha256()).map(String::as_str);
            let ids = match (own, &fact.text) {
                (Some(id), _) => vec![id],
                (None, TextMatch::Known { ids, .. }) => ids.iter().map(String::as_str).collect(),
                (None, _) => Vec::new(),
            };
            Text { fact, ids }
        })
        .collect();
    let declared = model.declared_license.as_deref();
    let declared_ids = declared.map(license_ids).unwrap_or_default();
    let label = model.hub_license.as_deref().and_then(hub_label);

    unknown(model, &texts, &declared_ids, label.as_deref(), court);
    let unread = unread(&texts, &declared_ids, label.as_deref());
    for text in texts.iter().filter(|text| !text.ids.is_empty()) {
        // Texts that two licences share: what was declared says which one is meant.
        let meant: Vec<&str> =
            text.ids.iter().copied().filter(|id| declared_ids.iter().any(|other| other == id)).collect();
        let ids = if meant.is_empty() { &text.ids } else { &meant };
        let what = format!("the text {} is {}", quoted(&text.fact.path), ids.join(" or "));
        one(ids, &what, court);
    }
    if texts.iter().all(|text| text.ids.is_empty()) {
        match (declared, &label) {
            (Some(text), _) if !declared_ids.is_empty() => {
                expression(text, &declared_ids, court);
            }
            // A label beside a text that nobody has read allows nothing; it can still be denied.
            (_, Some(label)) if unread.is_some() && !court.policy.licenses.deny.contains(label) => {}
            (_, Some(label)) => one(&[label], &format!("the hub's label is {label}"), court),
            _ => {}
        }
    }
    if let Some(found) = unread {
        let hint = texts.first().map(|text| pin_hint(&text.fact.text)).unwrap_or_default();
        court.react("SOV1010", court.policy.licenses.unknown, "spec.licenses.unknown", found, hint);
    }
    text_rule(model, &texts, court);
    mismatch(&texts, &declared_ids, label.as_deref(), court);
}

/// Rule 1010: some licence is known.
fn unknown(
    model: &ModelFacts,
    texts: &[Text<'_>],
    declared: &[String],
    label: Option<&str>,
    court: &mut Court<'_>,
) {
    if !declared.is_empty() || label.is_some() || texts.iter().any(|text| !text.ids.is_empty()) {
        return;
    }
    let found = match (&model.declared_license, &model.hub_license, texts) {
        (Some(text), _, _) => format!("the declared licence {} is not known", quoted(text)),
        (None, Some(text), _) => format!("the hub's label {} is no licence", quoted(text)),
        (None, None, [text, ..]) => {
            format!("no licence is declared, and the text {} is not known", quoted(&text.fact.path))
        }
        (None, None, []) => "no licence is declared".to_owned(),
    };
    court.react(
        "SOV1010",
        court.policy.licenses.unknown,
        "spec.licenses.unknown",
        found,
        "declare it in the manifest: `license: SPDX-ID` or `LicenseRef-NAME`".to_owned(),
    );
}

/// Rule 1010 where a text lies here that nobody has read, and what is declared is a licence whose text nobody knows
/// either: whether the one is the other cannot be told, so that neither is taken for the other.
fn unread(texts: &[Text<'_>], declared: &[String], label: Option<&str>) -> Option<String> {
    let text = texts.first()?;
    let (who, id) = match (declared.iter().find(|id| !is_known(id)), label) {
        (Some(id), _) => ("the manifest declares", id.as_str()),
        (None, Some(label)) if declared.is_empty() && !is_known(label) => ("the hub's label says", label),
        _ => return None,
    };
    texts.iter().all(|text| text.ids.is_empty()).then(|| {
        format!("{who} {id}, and the text {} is {}", quoted(&text.fact.path), describe(&text.fact.text))
    })
}

/// Whether the catalogue has a text of this licence.
fn is_known(id: &str) -> bool {
    sovai_catalog::known_texts().iter().any(|text| text.ids.iter().any(|known| known == id))
}

/// Rules 1011 and 1012 for one licence, of which one of these ids is meant.
fn one(ids: &[&str], what: &str, court: &mut Court<'_>) {
    let rules = &court.policy.licenses;
    if let Some(at) = rules.deny.iter().position(|denied| ids.contains(&denied.as_str())) {
        return court.decide_item(
            "SOV1012",
            Severity::Refuse,
            (DENY, at),
            format!("{what}, which is denied"),
            None,
        );
    }
    match &rules.allow {
        None => court.allow("SOV1012", DENY, format!("{what}, which is not denied")),
        Some(allow) if allow.iter().any(|allowed| ids.contains(&allowed.as_str())) => {
            court.allow("SOV1011", ALLOW, format!("{what}, which is allowed"));
        }
        Some(_) => court.decide(
            "SOV1011",
            Severity::Refuse,
            ALLOW,
            format!("{what}, which is not among the allowed licences"),
            "add it to `licenses.allow` if it may be used here".to_owned(),
        ),
    }
}

/// The same for what the manifest declares, which may be an expression.
fn expression(text: &str, ids: &[String], court: &mut Court<'_>) {
    let rules = &court.policy.licenses;
    let shown = quoted(text);
    let denied = |id: &str| rules.deny.iter().any(|denied| denied == id);
    if license_test(text, |id| !denied(id)) == Some(false) {
        let at = rules.deny.iter().position(|denied| ids.contains(denied)).unwrap_or_default();
        let message = format!("the declared licence {shown} is denied");
        return court.decide_item("SOV1012", Severity::Refuse, (DENY, at), message, None);
    }
    let Some(allow) = &rules.allow else {
        return court.allow("SOV1012", DENY, format!("the declared licence {shown} is not denied"));
    };
    if license_test(text, |id| !denied(id) && allow.iter().any(|allowed| allowed == id)) == Some(true) {
        return court.allow("SOV1011", ALLOW, format!("the declared licence {shown} is allowed"));
    }
    court.decide(
        "SOV1011",
        Severity::Refuse,
        ALLOW,
        format!("the declared licence {shown} is not among the allowed licences"),
        "add it to `licenses.allow` if it may be used here".to_owned(),
    );
}

/// Rule 1013: each licence text is known, and there is one.
fn text_rule(model: &ModelFacts, texts: &[Text<'_>], court: &mut Court<'_>) {
    if !model.examined {
        return;
    }
    let reaction = court.policy.licenses.text;
    if texts.is_empty() {
        return court.react(
            "SOV1013",
            reaction,
            TEXT,
            "no licence text lies in the model; expected a file such as LICENSE",
            "add the text from the publisher's repository to the model, and pin it".to_owned(),
        );
    }
    for text in texts {
        if text.ids.is_empty() {
            // A text that nobody has read is worth saying, also where the policy asks for none.
            court.decide(
                "SOV1013",
                severity(reaction).unwrap_or(Severity::Note),
                TEXT,
                format!("the licence text {} is {}", quoted(&text.fact.path), describe(&text.fact.text)),
                pin_hint(&text.fact.text),
            );
        } else if reaction != Reaction::Ignore {
            let what = format!("the licence text {} is known", quoted(&text.fact.path));
            court.allow("SOV1013", TEXT, what);
        }
    }
}

fn describe(text: &TextMatch) -> String {
    match text {
        TextMatch::Known { ids, .. } => format!("{} as it is known", ids.join(" or ")),
        TextMatch::Similar { id, .. } => format!("not {id}, although it has its words: it was changed"),
        TextMatch::Unknown { .. } => "not a known one".to_owned(),
    }
}

fn pin_hint(text: &TextMatch) -> String {
    format!(
        "read it, and name it in the policy: `licenses.texts: [{{ id: LicenseRef-NAME, sha256: {} }}]`",
        text.sha256().hex()
    )
}

/// Rule 1014: text, declaration and label name the same licence.
fn mismatch(texts: &[Text<'_>], declared: &[String], label: Option<&str>, court: &mut Court<'_>) {
    let reaction = court.policy.licenses.mismatch;
    let label: Vec<String> = label.map(str::to_owned).into_iter().collect();
    let sides = [("the manifest declares", declared), ("the hub's label says", &label[..])];
    let mut agreed = false;
    for (who, ids) in sides.into_iter().filter(|(_, ids)| !ids.is_empty()) {
        match contradiction(ids, texts) {
            Some(found) => court.react(
                "SOV1014",
                reaction,
                MISMATCH,
                format!("{who} {}, but {found}", ids.join(" and ")),
                "the text counts: read it, and correct `license` in the manifest".to_owned(),
            ),
            None => agreed |= texts.iter().any(|text| ids.iter().any(|id| text.ids.contains(&id.as_str()))),
        }
    }
    if texts.is_empty() && !declared.is_empty() && !label.is_empty() && !declared.contains(&label[0]) {
        let message = format!(
            "the manifest declares {}, but the hub's label says {}",
            declared.join(" and "),
            label[0]
        );
        let hint = "read the licence text, and correct `license` in the manifest".to_owned();
        return court.react("SOV1014", reaction, MISMATCH, message, hint);
    }
    if agreed
        && !court.out.decisions.iter().any(|made| made.code == "SOV1014" && &made.subject == court.subject)
    {
        let paths: Vec<&str> = texts.iter().map(|text| text.fact.path.as_str()).collect();
        let what = format!("nothing contradicts the text {}", quoted(&paths.join(", ")));
        court.allow("SOV1014", MISMATCH, what);
    }
}

/// What the texts say against these ids; `None` where one of them agrees, or where they cannot know.
fn contradiction(ids: &[String], texts: &[Text<'_>]) -> Option<String> {
    if texts.iter().any(|text| text.ids.iter().any(|id| ids.iter().any(|other| other == id))) {
        return None;
    }
    // A known text is another licence.
    if let Some(text) = texts.iter().find(|text| !text.ids.is_empty()) {
        return Some(format!("the text {} is {}", quoted(&text.fact.path), text.ids.join(" or ")));
    }
    // The text of what is named is known, and none of those that lie here is it.
    let text = texts.first()?;
    ids.iter()
        .all(|id| is_known(id))
        .then(|| format!("the text {} is {}", quoted(&text.fact.path), describe(&text.fact.text)))
}
