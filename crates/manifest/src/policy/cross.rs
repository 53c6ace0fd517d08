//! Rules between the values of a policy.

use crate::diagnostic::{Sink, quoted};
use crate::node::{Entry, Node};
use std::collections::HashSet;

/// Checks a policy whose single values were checked already.
pub(crate) fn policy(root: &Node, sink: &mut Sink<'_>) {
    let Some(spec) = root.get("spec") else { return };
    if let Some(trust) = spec.get("trust") {
        for role in trust.get("roles").map_or(&[] as &[Entry], Node::entries) {
            keys(role, sink);
        }
        for rule in items(trust, "certificates") {
            certificate(rule, sink);
        }
    }
    if let Some(licenses) = spec.get("licenses") {
        texts(licenses, sink);
        both(licenses, sink);
    }
    let pairs = [("formats", None), ("origins", Some("publishers")), ("origins", Some("sources"))];
    for (part, inner) in pairs.into_iter().chain([("images", Some("registries"))]) {
        let node = spec.get(part);
        let node = inner.map_or(node, |inner| node.and_then(|node| node.get(inner)));
        if let Some(node) = node {
            both(node, sink);
        }
    }
    if let Some(templates) = spec.get("templates") {
        twice(items(templates, "digests"), "digest", sink);
    }
}

fn items<'a>(node: &'a Node, key: &str) -> impl Iterator<Item = &'a Node> + use<'a> {
    node.get(key).map_or(&[] as &[_], Node::items).iter().map(|item| &**item)
}

/// A threshold counts different keys, so that one more than there are can never be met.
fn keys(role: &Entry, sink: &mut Sink<'_>) {
    let listed: HashSet<&str> = items(&role.value, "keys").filter_map(Node::text).collect();
    twice(items(&role.value, "keys"), "key", sink);
    let Some(threshold) = role.value.get("threshold") else { return };
    let wanted: Option<usize> = threshold.text().and_then(|text| text.parse().ok());
    if role.value.get("keys").is_some() && wanted.is_some_and(|wanted| wanted > listed.len()) {
        sink.error_hint(
            "SOV0112",
            &threshold.span,
            format!(
                "{} keys of the role {} are wanted, {} listed",
                wanted.unwrap_or_default(),
                quoted(&role.key),
                listed.len()
            ),
            "list more keys, or lower the threshold".to_owned(),
        );
    }
}

/// A name on both lists: it is denied, and whoever reads only `allow` is misled.
fn both(node: &Node, sink: &mut Sink<'_>) {
    let denied: HashSet<&str> = items(node, "deny").filter_map(Node::text).collect();
    for item in items(node, "allow") {
        if let Some(text) = item.text().filter(|text| denied.contains(text)) {
            sink.warning(
                "SOV0113",
                &item.span,
                format!("{} is allowed and denied: it is denied", quoted(text)),
                "delete it from one of the lists".to_owned(),
            );
        }
    }
}

/// An authority signs many certificates: without a name, every one of them would be taken.
fn certificate(rule: &Node, sink: &mut Sink<'_>) {
    if ["subject", "san", "spki"].iter().all(|key| rule.get(key).is_none()) {
        sink.error_hint(
            "SOV0114",
            &rule.span,
            "nothing says who the signer is: every certificate under the anchors would be taken",
            "give `subject`, `san` or `spki`".to_owned(),
        );
    }
}

/// One text is one licence.
fn texts(licenses: &Node, sink: &mut Sink<'_>) {
    twice(items(licenses, "texts").filter_map(|entry| entry.get("sha256")), "text", sink);
}

fn twice<'a>(nodes: impl Iterator<Item = &'a Node>, what: &str, sink: &mut Sink<'_>) {
    let mut seen = HashSet::new();
    for node in nodes {
        if let Some(text) = node.text().filter(|text| !seen.insert(*text)) {
            sink.error_hint(
                "SOV0115",
                &node.span,
                format!("the {what} {} is given twice", quoted(text)),
                "delete one of the two".to_owned(),
            );
        }
    }
}
