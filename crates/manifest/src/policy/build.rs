//! From a tree that passed every rule to the typed policy. Gives `None` only where a rule is missing.

use super::lines::Lines;
use super::{
    ApprovalRule, BundleRules, CertificateRules, ClaimRule, DistilledRule, FormatRules, LicenseRules,
    LineageRules, OriginRules, Patterns, Policy, Reaction, RemainderRule, RemoteCode, RevocationRules, Role,
    RoleRules, RollbackRule, Templates, TrustRules, UsageRules,
};
use crate::build::{count, list, map, maybe, path, text};
use crate::format::{parse_digest, parse_name, parse_sha256};
use crate::node::Node;
use sovai_core::{Name, Sha256, TrustLevel};
use std::collections::BTreeMap;

/// A part of the document that may be left out.
type Part<'a> = Option<&'a Node>;

/// Builds the typed policy; what is left out is as in `data/policy.yaml`, which a test compares.
pub(super) fn policy(root: &Node, bytes: &[u8]) -> Option<Policy> {
    let spec = root.get("spec")?;
    Some(Policy {
        name: parse_name(root.get("metadata")?.get("name")?.text()?).ok()?,
        trust: trust(spec.get("trust"))?,
        licenses: licenses(spec.get("licenses"))?,
        usage: usage(spec.get("usage"))?,
        formats: formats(spec.get("formats"))?,
        origins: OriginRules {
            publishers: patterns(key(spec.get("origins"), "publishers"))?,
            sources: patterns(key(spec.get("origins"), "sources"))?,
        },
        lineage: lineage(spec.get("lineage"))?,
        registries: patterns(key(spec.get("images"), "registries"))?,
        remote_code: match word(Some(spec), "remoteCode") {
            None | Some("refuse") => RemoteCode::Refuse,
            Some("pinned") => RemoteCode::Pinned,
            Some(_) => return None,
        },
        templates: match spec.get("templates") {
            None => Templates::Pinned,
            Some(node) => match (node.get("digests"), node.text()) {
                (Some(digests), _) => Templates::Digests(list(Some(digests), digest)?),
                (None, Some("any")) => Templates::Any,
                (None, Some("pinned")) => Templates::Pinned,
                _ => return None,
            },
        },
        remainder: match word(Some(spec), "remainder") {
            None | Some("refuse") => RemainderRule::Refuse,
            Some("report") => RemainderRule::Report,
            Some(_) => return None,
        },
        bundle: bundle(spec.get("bundle"))?,
        lines: Lines::of(root, bytes),
    })
}

fn key<'a>(node: Part<'a>, name: &str) -> Part<'a> {
    node?.get(name)
}

fn word<'a>(node: Part<'a>, name: &str) -> Option<&'a str> {
    key(node, name)?.text()
}

fn reaction(node: Part<'_>, name: &str, default: Reaction) -> Option<Reaction> {
    match word(node, name) {
        None => Some(default),
        Some("refuse" | "required") => Some(Reaction::Refuse),
        Some("warn") => Some(Reaction::Warn),
        Some("ignore") => Some(Reaction::Ignore),
        Some(_) => None,
    }
}

fn digest(node: &Node) -> Option<Sha256> {
    parse_digest(node.text()?).ok()
}

/// A list that may be left out, which is another thing than an empty one.
#[expect(clippy::option_option, reason = "absent and malformed are two things; `?` tells them apart")]
fn texts(node: Part<'_>) -> Option<Option<Vec<String>>> {
    maybe(node, |node| list(Some(node), text))
}

fn patterns(node: Part<'_>) -> Option<Patterns> {
    Some(Patterns { allow: texts(key(node, "allow"))?, deny: list(key(node, "deny"), text)? })
}

fn level(node: &Node) -> Option<TrustLevel> {
    node.text()?.parse().ok()
}

fn trust(node: Part<'_>) -> Option<TrustRules> {
    let revocations = key(node, "revocations");
    let mut roles = BTreeMap::new();
    for role in Role::ALL {
        if let Some(rules) = key(key(node, "roles"), role.as_str()) {
            let keys = maybe(rules.get("keys"), |node| list(Some(node), digest))?;
            roles.insert(role, RoleRules { keys, threshold: maybe(rules.get("threshold"), count)? });
        }
    }
    Some(TrustRules {
        minimum: maybe(key(node, "minimum"), level)?.unwrap_or(TrustLevel::Digest),
        models: map(key(node, "models"), |name, node| Some((Name::new(name).ok()?, level(node)?)))?,
        roles,
        corroboration: maybe(key(node, "corroboration"), count)?.unwrap_or(2),
        certificates: list(key(node, "certificates"), certificate)?,
        revocations: RevocationRules {
            max_age_days: maybe(key(revocations, "maxAgeDays"), count)?,
            stale: reaction(revocations, "stale", Reaction::Warn)?,
        },
    })
}

fn certificate(node: &Node) -> Option<CertificateRules> {
    let paths = |name| list(node.get(name), path);
    Some(CertificateRules {
        role: match node.get("role")?.text()? {
            "publisher" => Role::Publisher,
            "countersigner" => Role::Countersigner,
            _ => return None,
        },
        anchors: paths("anchors")?,
        intermediates: paths("intermediates")?,
        subject: maybe(node.get("subject"), text)?,
        san: maybe(node.get("san"), text)?,
        spki: maybe(node.get("spki"), digest)?,
        crls: paths("crls")?,
        timestamp_anchors: paths("timestampAnchors")?,
        waive_code_signing: match word(Some(node), "codeSigning") {
            None | Some("required") => false,
            Some("waived") => true,
            Some(_) => return None,
        },
    })
}

fn licenses(node: Part<'_>) -> Option<LicenseRules> {
    let known = list(key(node, "texts"), |entry| {
        Some((parse_sha256(entry.get("sha256")?.text()?).ok()?, text(entry.get("id")?)?))
    })?;
    let allow = texts(key(node, "allow"))?;
    // Where only some are allowed, none at all is not.
    let unknown = if allow.is_some() { Reaction::Refuse } else { Reaction::Warn };
    Some(LicenseRules {
        allow,
        deny: list(key(node, "deny"), text)?,
        unknown: reaction(node, "unknown", unknown)?,
        text: reaction(node, "text", Reaction::Ignore)?,
        mismatch: reaction(node, "mismatch", Reaction::Refuse)?,
        texts: known.into_iter().collect(),
    })
}

fn usage(node: Part<'_>) -> Option<UsageRules> {
    Some(UsageRules {
        acknowledged: list(key(node, "acknowledged"), text)?,
        unacknowledged: reaction(node, "unacknowledged", Reaction::Warn)?,
    })
}

fn bundle(node: Part<'_>) -> Option<BundleRules> {
    Some(BundleRules {
        approval: match word(node, "approval") {
            None | Some("optional") => ApprovalRule::Optional,
            Some("required") => ApprovalRule::Required,
            Some(_) => return None,
        },
        rollback: match word(node, "rollback") {
            None | Some("refuse") => RollbackRule::Refuse,
            Some("allow") => RollbackRule::Allow,
            Some(_) => return None,
        },
    })
}

/// What engines here load, and the text that comes with it.
const USUAL_FORMATS: [&str; 10] =
    ["safetensors", "gguf", "json", "text", "jinja", "python", "sentence-piece", "image", "pdf", "empty"];

fn formats(node: Part<'_>) -> Option<FormatRules> {
    Some(FormatRules {
        allow: texts(key(node, "allow"))?.unwrap_or_else(|| USUAL_FORMATS.map(str::to_owned).to_vec()),
        deny: list(key(node, "deny"), text)?,
        unknown: reaction(node, "unknown", Reaction::Refuse)?,
        problems: reaction(node, "problems", Reaction::Refuse)?,
    })
}

fn lineage(node: Part<'_>) -> Option<LineageRules> {
    let claim = |name| match word(node, name) {
        None | Some("ignore") => Some(ClaimRule::Ignore),
        Some("declared") => Some(ClaimRule::Declared),
        Some("proven") => Some(ClaimRule::Proven),
        Some(_) => None,
    };
    Some(LineageRules {
        base: claim("base")?,
        quantised_by: claim("quantisedBy")?,
        distilled_from: match word(node, "distilledFrom") {
            Some("allow") => DistilledRule::Allow,
            None | Some("note") => DistilledRule::Note,
            Some("refuse") => DistilledRule::Refuse,
            Some(_) => return None,
        },
    })
}
