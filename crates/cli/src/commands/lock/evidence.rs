//! What was looked up where, when and by whom goes into the evidence log: a lock has no times in it.

use super::models::LookedUp;
use crate::commands::trust::{now, place};
use crate::ctx::Ctx;
use crate::error::CliError;
use crate::manifest::ManifestFile;
use crate::output::safe_line;
use serde_json::json;
use sovai_core::Name;
use sovai_evidence::{EvidenceError, Log, rfc3339, site_key};
use sovai_manifest::Source;
use sovai_signing::statement::{Statement, Subject};
use sovai_sources::Basis;
use sovai_trust::{Listing, ListingKind, Record};
use std::collections::BTreeMap;
use std::path::Path;

/// Predicate type of the statement about one run of `lock`.
const PREDICATE_TYPE: &str = "https://sovai.dev/lock/v1";

/// Writes it down, where anything outside was asked. A lock is good without; so what fails is said and no more.
pub(super) fn record(
    file: &ManifestFile,
    lock_path: &Path,
    lock: &[u8],
    models: &BTreeMap<Name, LookedUp>,
    images: &BTreeMap<String, String>,
    ctx: &Ctx,
) {
    if models.is_empty() && images.is_empty() {
        return;
    }
    if let Err(error) = write(file, lock_path, lock, models, images, ctx) {
        ctx.out
            .warn(&format!("what was looked up is not in the evidence log: {}", safe_line(error.message())));
    }
}

fn write(
    file: &ManifestFile,
    lock_path: &Path,
    lock: &[u8],
    models: &BTreeMap<Name, LookedUp>,
    images: &BTreeMap<String, String>,
    ctx: &Ctx,
) -> Result<(), CliError> {
    let store = ctx.open_store()?;
    let (log, key, time) = (Log::open(&store), site_key(&store).map_err(evidence)?, now());
    let name = lock_path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let digest = [("sha256".to_owned(), crate::judge::digest(lock).hex())].into();
    let of = |(name, found): (&Name, &LookedUp)| {
        let hashed = found.resolved.files.iter().filter(|file| file.basis != Basis::Listed).count();
        let entry = json!({
            "source": found.source.to_string(),
            "revision": found.resolved.revision,
            "files": found.resolved.files.len(),
            "hashedHere": hashed,
            "endpoint": endpoint(&found.source),
        });
        (name.to_string(), entry)
    };
    let statement = Statement {
        subject: vec![Subject { name, digest }],
        predicate_type: PREDICATE_TYPE.to_owned(),
        predicate: json!({
            "stack": file.manifest.name,
            "time": rfc3339(time),
            "place": place(),
            "models": models.iter().map(of).collect::<BTreeMap<_, _>>(),
            "images": images,
        }),
    };
    log.append(&statement, &key).map_err(evidence)?;
    for found in models.values() {
        if let Some(record) = witnessed(found, time) {
            log.append(&record.to_statement(), &key).map_err(evidence)?;
        }
    }
    Ok(())
}

/// The variable that leads a hub's name to another address, and what it says, where it is set.
fn endpoint(source: &Source) -> Option<String> {
    let Source::Remote { scheme, .. } = source else { return None };
    let variable = match scheme.as_str() {
        "hf" => "HF_ENDPOINT",
        "modelscope" => "MODELSCOPE_ENDPOINT",
        _ => return None,
    };
    let value = std::env::var(variable).ok().filter(|value| !value.is_empty())?;
    // A name and a password before the host are nobody's business.
    let Some((protocol, rest)) = value.split_once("://") else { return Some(value) };
    let (authority, path) = rest.find('/').map_or((rest, ""), |at| rest.split_at(at));
    let host = authority.rsplit('@').next().unwrap_or_default();
    Some(format!("{protocol}://{host}{}", path.trim_end_matches('/')))
}

/// Where a list was read: at the hub, or at the other host that stands in for it. That one speaks for itself alone, so its
/// record bears its own name; it is written with `https:` also where it is this host.
fn seen_at(scheme: &str, endpoint: Option<&str>, repository: &str, revision: &str) -> String {
    let rest = endpoint.and_then(|endpoint| Some(endpoint.split_once("://")?.1));
    let Some(rest) = rest else { return format!("{scheme}:{repository}@{revision}") };
    let host = rest.split(['/', ':']).next().unwrap_or_default().to_ascii_lowercase();
    if sovai_catalog::hub_of_scheme(scheme).is_some_and(|hub| hub.is_own_host(host.trim_end_matches('.'))) {
        return format!("{scheme}:{repository}@{revision}");
    }
    format!("https://{rest}/{repository}@{revision}")
}

/// A hub's own list of one commit, as a witness of its digests. Files of which it has no digest are not in it, and a list too
/// long for a witness is none.
fn witnessed(found: &LookedUp, time: u64) -> Option<Record> {
    let Source::Remote { scheme, rest } = &found.source else { return None };
    let kind = match scheme.as_str() {
        "hf" => ListingKind::HubSiblings,
        "modelscope" => ListingKind::ModelScope,
        _ => return None,
    };
    let repository = rest.split('@').next()?;
    let revision = found.resolved.revision.as_deref()?;
    let at = seen_at(scheme, endpoint(&found.source).as_deref(), repository, revision);
    let source: sovai_trust::Source = at.parse().ok()?;
    let is_commit = revision.len() == 40 && revision.bytes().all(|byte| byte.is_ascii_hexdigit());
    let pins: Vec<_> = found
        .resolved
        .files
        .iter()
        .filter(|file| file.basis != Basis::Hashed)
        .map(|file| file.pin.clone())
        .collect();
    let listing = Listing::of_pins(kind, &pins).ok()?;
    (is_commit || source.names_a_commit()).then(|| Record {
        source,
        time,
        place: place(),
        list: None,
        listing,
    })
}

fn evidence(error: EvidenceError) -> CliError {
    error.into()
}

#[cfg(test)]
mod tests {
    use super::seen_at;

    #[test]
    fn only_the_hub_s_own_hosts_speak_as_the_hub() {
        let at = |endpoint| seen_at("hf", endpoint, "org/name", "c0");
        for own in [None, Some("https://huggingface.co"), Some("https://HUGGINGFACE.co:443")] {
            assert_eq!(at(own), "hf:org/name@c0", "{own:?}");
        }
        for (other, expected) in [
            ("https://mirror.example/hf", "https://mirror.example/hf/org/name@c0"),
            ("https://hf-mirror.com", "https://hf-mirror.com/org/name@c0"),
            ("http://127.0.0.1:99", "https://127.0.0.1:99/org/name@c0"),
            ("https://huggingface.co.mirror.example", "https://huggingface.co.mirror.example/org/name@c0"),
            ("https://www.modelscope.cn", "https://www.modelscope.cn/org/name@c0"),
        ] {
            assert_eq!(at(Some(other)), expected);
        }
    }
}
