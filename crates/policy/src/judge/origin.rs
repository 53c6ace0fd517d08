//! Where a model comes from, who vouches for it, what it may be used for; and where images come from.

use super::{Court, quoted, severity};
use crate::pattern::{Listed, look_up};
use crate::{ImageFact, ModelFacts, RevocationFact, Severity, Subject};
use sovai_manifest::{Claim, ClaimRule, DistilledRule, LineageLink, Patterns};
use std::fmt::Write as _;

/// Rules 1001 and 1002: the trust level, and what is known of revocations.
pub(super) fn trust(model: &ModelFacts, court: &mut Court<'_>) {
    let name = match &model.subject {
        Subject::Model(name) => Some(name.as_str()),
        _ => None,
    };
    let minimum = court.policy.minimum(name);
    let own = name.is_some_and(|name| court.policy.trust.models.keys().any(|key| key.as_str() == name));
    let key = if own { "spec.trust.models" } else { "spec.trust.minimum" };
    let Some(found) = &model.trust else {
        let message = format!(
            "the trust level was not judged, at least {minimum} is wanted: nothing here says what the bytes must be"
        );
        let hint = "name a manifest with pins, or a signature".to_owned();
        return court.decide("SOV1001", Severity::Note, key, message, hint);
    };
    let why = if found.why.is_empty() { String::new() } else { format!(": {}", found.why.join("; ")) };
    if found.level < minimum {
        court.decide(
            "SOV1001",
            Severity::Refuse,
            key,
            format!("the trust level is {}, at least {minimum} is wanted{why}", found.level),
            match minimum {
                sovai_core::TrustLevel::Digest => "pin every file: `sovai lock MANIFEST`",
                sovai_core::TrustLevel::Publisher | sovai_core::TrustLevel::Countersigned => {
                    "bring a signature by a key that this store trusts: `signatures` of the model, `sovai trust list`"
                }
                _ => "a stronger proof of origin is needed; `sovai policy explain SOV1001` says which there are",
            }
            .to_owned(),
        );
    } else {
        court.allow(
            "SOV1001",
            key,
            format!("the trust level is {}, at least {minimum} is wanted{why}", found.level),
        );
    }
    let rules = court.policy.trust.revocations;
    let stale = match (found.revocations, rules.max_age_days) {
        (RevocationFact::NotNeeded, _) => return,
        (RevocationFact::NoList, _) => Some("there is no list of revocations".to_owned()),
        (RevocationFact::Days(age), Some(most)) if age > most => {
            Some(format!("the newest list of revocations is {age} days old, at most {most} are wanted"))
        }
        (RevocationFact::Days(_), _) => None,
    };
    match stale {
        Some(message) => court.react(
            "SOV1002",
            rules.stale,
            "spec.trust.revocations",
            message,
            "bring the newest list here: `sovai trust revoke --list FILE`".to_owned(),
        ),
        None => court.allow("SOV1002", "spec.trust.revocations", "the list of revocations is new enough"),
    }
}

/// Rule 1020: limits of use.
pub(super) fn usage(model: &ModelFacts, court: &mut Court<'_>) {
    let rules = &court.policy.usage;
    for limit in &model.usage {
        if rules.acknowledged.iter().any(|known| known.trim() == limit.trim()) {
            court.allow(
                "SOV1020",
                "spec.usage.acknowledged",
                format!("the limit {} is acknowledged", quoted(limit)),
            );
        }
    }
    let open = model
        .usage
        .iter()
        .filter(|limit| !rules.acknowledged.iter().any(|known| known.trim() == limit.trim()));
    if let Some(severity) = severity(rules.unacknowledged) {
        court.many(
            "SOV1020",
            severity,
            "spec.usage.unacknowledged",
            open.map(|limit| format!("the limit of use {} is not acknowledged", quoted(limit))),
            "read it; if you keep it, add it to `usage.acknowledged` word for word",
        );
    }
}

/// Rules 1040 and 1041: publisher and source.
pub(super) fn origins(model: &ModelFacts, court: &mut Court<'_>) {
    let rules = &court.policy.origins;
    let sides = [
        Side {
            code: "SOV1040",
            what: "the publisher",
            found: model.publisher.as_deref(),
            rules: &rules.publishers,
            keys: ["spec.origins.publishers.deny", "spec.origins.publishers.allow"],
        },
        Side {
            code: "SOV1041",
            what: "the source",
            found: model.source.as_deref(),
            rules: &rules.sources,
            keys: ["spec.origins.sources.deny", "spec.origins.sources.allow"],
        },
    ];
    for side in sides {
        side.judge(court);
    }
}

/// One kind of origin with its lists.
struct Side<'a> {
    code: &'static str,
    what: &'static str,
    found: Option<&'a str>,
    rules: &'a Patterns,
    /// Keys of `deny` and `allow`.
    keys: [&'static str; 2],
}

impl Side<'_> {
    fn judge(self, court: &mut Court<'_>) {
        let Self { code, what, found, rules, keys: [deny, allow] } = self;
        let Some(name) = found else {
            if rules.allow.is_some() {
                let message = format!("{what} is not stated, and only some are allowed");
                court.decide(code, Severity::Refuse, allow, message, "state it in the manifest".to_owned());
            }
            return;
        };
        listed(code, &format!("{what} {}", quoted(name)), look_up(rules, &[name]), [deny, allow], court);
    }
}

fn listed(
    code: &'static str,
    what: &str,
    listed: Listed<'_>,
    [deny, allow]: [&'static str; 2],
    court: &mut Court<'_>,
) {
    match listed {
        Listed::Denied(at, pattern) => court.decide_item(
            code,
            Severity::Refuse,
            (deny, at),
            format!("{what} is denied by the pattern {}", quoted(pattern)),
            None,
        ),
        Listed::Unlisted => court.decide(
            code,
            Severity::Refuse,
            allow,
            format!("{what} is not among those allowed"),
            "add it to the list if it may be used here".to_owned(),
        ),
        Listed::Allowed(_, pattern) => {
            court.allow(code, allow, format!("{what} is allowed by the pattern {}", quoted(pattern)));
        }
        Listed::Free => court.allow(code, deny, format!("{what} is not denied")),
    }
}

/// Rules 1050 to 1052: what is known of a model's descent.
pub(super) fn lineage(model: &ModelFacts, court: &mut Court<'_>) {
    let rules = court.policy.lineage;
    let links = [
        ("SOV1050", "spec.lineage.base", "the base model", rules.base, &model.lineage.base),
        (
            "SOV1051",
            "spec.lineage.quantisedBy",
            "who quantised it",
            rules.quantised_by,
            &model.lineage.quantised_by,
        ),
    ];
    for (code, key, what, wanted, link) in links {
        let claim = link.as_ref().map(|link| match link.claim {
            Claim::Declared => ClaimRule::Declared,
            Claim::Proven => ClaimRule::Proven,
        });
        let shown = |link: &LineageLink| format!("{what} is {} ({})", quoted(&link.name), word(link.claim));
        match (wanted, claim, link) {
            (ClaimRule::Ignore, _, _) => {}
            (_, Some(claim), Some(link)) if claim >= wanted => court.allow(code, key, shown(link)),
            (_, _, Some(link)) => court.decide(
                code,
                Severity::Refuse,
                key,
                format!("{}, and it must be proven", shown(link)),
                "show it by digests or a signature, and write `claim: proven`".to_owned(),
            ),
            (_, _, None) => court.decide(
                code,
                Severity::Refuse,
                key,
                format!("{what} is not declared"),
                "add it under `lineage` of the model".to_owned(),
            ),
        }
    }
    let Some(link) = &model.lineage.distilled_from else { return };
    let mut message = format!("distilled from {} ({})", quoted(&link.name), word(link.claim));
    for note in &link.notes {
        let _ = write!(message, "; {}: {}", note.date, quoted(&note.text));
    }
    let key = "spec.lineage.distilledFrom";
    match rules.distilled_from {
        DistilledRule::Allow => court.allow("SOV1052", key, message),
        DistilledRule::Note => court.decide("SOV1052", Severity::Note, key, message, None),
        DistilledRule::Refuse => court.decide(
            "SOV1052",
            Severity::Refuse,
            key,
            message,
            "the policy takes no model with such a link; sovai gives no verdict on it".to_owned(),
        ),
    }
}

const fn word(claim: Claim) -> &'static str {
    match claim {
        Claim::Declared => "declared",
        Claim::Proven => "proven",
    }
}

/// Rule 1060: where an image comes from.
pub(super) fn image(image: &ImageFact, court: &mut Court<'_>) {
    let full = with_registry(&image.name);
    let rules = &court.policy.registries;
    let keys = ["spec.images.registries.deny", "spec.images.registries.allow"];
    listed("SOV1060", "its name", look_up(rules, &[&image.name, &full]), keys, court);
}

/// The name with its registry, as container engines complete it: the first part is a registry when it has a dot or a
/// colon or is `localhost`.
fn with_registry(name: &str) -> String {
    match name.split_once('/') {
        Some((first, _)) if first.contains(['.', ':']) || first == "localhost" => name.to_owned(),
        Some(_) => format!("docker.io/{name}"),
        None => format!("docker.io/library/{name}"),
    }
}
