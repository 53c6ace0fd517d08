//! What was looked up where, when and by whom goes into the evidence log: a lock has no times in it.

use super::models::LookedUp;
use crate::commands::record::{Recorder, declare, pinned_model};
use crate::commands::trust::{now, place};
use crate::ctx::Ctx;
use crate::error::CliError;
use crate::output::safe_line;
use sovai_core::{FilePin, Name};
use sovai_evidence::{Log, site_key};
use sovai_manifest::{Lock, Manifest, Source};
use sovai_sources::Basis;
use sovai_store::Store;
use sovai_trust::{Listing, ListingKind, Record};
use std::collections::BTreeMap;

/// From here on the run is recorded. A store is made for it only where something outside was asked: otherwise a lock has
/// no need of one. A lock is good without its line, so what fails is said and no more.
pub(super) fn begin(
    models: &BTreeMap<Name, LookedUp>,
    images: &BTreeMap<String, String>,
    recorder: &mut Recorder,
    ctx: &Ctx,
) {
    let asked = !models.is_empty() || !images.is_empty();
    let is_there = || ctx.store_path().is_ok_and(|path| path.join("oci-layout").exists());
    if !asked && !is_there() {
        return;
    }
    let store = match ctx.open_store() {
        Ok(store) => store,
        Err(error) => return not_recorded(&error, ctx),
    };
    recorder.begin(&store);
    for (name, found) in models {
        let hashed = found.resolved.files.iter().filter(|file| file.basis != Basis::Listed).count();
        let model = recorder.model(name);
        model.source = Some(found.source.to_string());
        model.revision.clone_from(&found.resolved.revision);
        model.files = Some(found.resolved.files.len() as u64);
        model.hashed_here = Some(hashed as u64);
        model.endpoint = endpoint(&found.source);
    }
    for (name, place) in images {
        recorder.image(name).origin = Some(place.clone());
    }
    if let Err(error) = witness(models, &store) {
        not_recorded(&error, ctx);
    }
}

/// What a lock that was written pins.
pub(super) fn locked(lock: &Lock, manifest: &Manifest, recorder: &mut Recorder) {
    for (name, locked) in &lock.models {
        let pin = |file: &sovai_manifest::LockedFile| FilePin {
            path: file.path.clone(),
            size: file.size,
            sha256: file.sha256,
        };
        let pins: Vec<FilePin> = locked.files.iter().map(pin).collect();
        let pinned = pinned_model(&pins);
        let model = recorder.model(name);
        (model.digest, model.files, model.bytes) = (pinned.digest, pinned.files, pinned.bytes);
        declare(model, manifest, name, Some(locked));
    }
    for (name, locked) in &lock.images {
        recorder.image(name).id = Some(locked.config.to_string());
    }
}

fn not_recorded(error: &CliError, ctx: &Ctx) {
    ctx.out.warn(&format!("what was looked up is not in the evidence log: {}", safe_line(error.message())));
}

/// What hubs listed goes into the log for itself, so that it can be a witness.
fn witness(models: &BTreeMap<Name, LookedUp>, store: &Store) -> Result<(), CliError> {
    let records: Vec<Record> = models.values().filter_map(|found| witnessed(found, now())).collect();
    if records.is_empty() {
        return Ok(());
    }
    let (log, key) = (Log::open(store), site_key(store)?);
    for record in records {
        log.append(&record.to_statement(), &key)?;
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
    // A host that was asked in the hub's place is no second source beside the hub.
    let source = source.standing_for(scheme);
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
