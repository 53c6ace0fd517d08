//! The judgement itself: each level in turn, strongest first.

use super::{DEFAULT_SOURCES, Level, LevelInput, Refusal, SignedBy, Voucher, WitnessedAt, code_of, codes};
use crate::listing::ListingKind;
use crate::quorum::{Quorum, Uncounted, Why};
use crate::role::Role;
use crate::store::TrustStore;
use crate::witness::Sighting;
use sovai_catalog::{Publisher, SignsWeights};
use sovai_core::{RelPath, TrustLevel};
use sovai_evidence::rfc3339;
use sovai_signing::KeyId;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

/// Most files that a line names.
const MAX_NAMED: usize = 3;

pub(super) fn judge(trust: &TrustStore, input: &LevelInput<'_>) -> Level {
    let mut level = Level {
        level: TrustLevel::Unknown,
        why: Vec::new(),
        vouchers: Vec::new(),
        missing: Vec::new(),
        notes: Vec::new(),
        refusals: Vec::new(),
        sources: Vec::new(),
        revocations: trust.revocation_knowledge(input.system),
    };
    clock(trust, input, &mut level);
    publisher_note(input, &mut level);
    compare_sources(input, &mut level);

    let revoked = trust.revoked_model(input.digests.iter().chain(input.pins.iter().map(|pin| &pin.sha256)));
    if let Some(model) = revoked {
        let name = model.name.as_deref().map(|name| format!(", listed as {name},")).unwrap_or_default();
        level.refusals.push(Refusal {
            code: codes::MODEL_REVOKED,
            subject: model.digest.to_string(),
            message: format!("what has the digest {}{name} is revoked: {}", model.digest, model.reason),
        });
        level.why.push("it is revoked".to_owned());
        return level;
    }
    if input.pins.is_empty() && input.signatures.is_empty() {
        level.why.push("nothing says what its bytes must be".to_owned());
        level.missing.push(input.basis.missing().to_owned());
        return level;
    }
    if !input.matches {
        level.why.push(format!("its bytes are not {}", input.basis.listed()));
        return level;
    }

    let signers: BTreeSet<KeyId> = input.signatures.iter().map(|signature| signature.key).collect();
    let publisher = asked(trust.quorum(Role::Publisher, input.publisher, &signers, input.system), input);
    let countersigner = asked(trust.quorum(Role::Countersigner, None, &signers, input.system), input);
    uncounted(trust, &publisher, &countersigner, &mut level);
    vouchers(trust, input, &[&publisher, &countersigner], &mut level);

    let proofs = [
        (TrustLevel::Publisher, by_keys(&publisher, input.publisher)),
        (TrustLevel::Countersigned, by_keys(&countersigner, None)),
        (TrustLevel::Corroborated, by_sources(input, &level)),
        (TrustLevel::HubPinned, by_hub(input, &level)),
        (TrustLevel::Digest, Ok(format!("every byte is {}", input.basis.listed()))),
    ];
    // A threshold that some keys reach in part is said whatever the next level is.
    let mut begun = Vec::new();
    for (candidate, proof) in proofs {
        match proof {
            Ok(why) => {
                level.level = candidate;
                level.why.push(why);
                break;
            }
            // Of the levels above, the one that was tried last is the next one.
            Err(missing) => {
                let line = format!("for `{candidate}`: {missing}");
                let of = |level, quorum: &Quorum| candidate == level && !quorum.counted.is_empty();
                if of(TrustLevel::Publisher, &publisher) || of(TrustLevel::Countersigned, &countersigner) {
                    begun.push(line.clone());
                }
                level.missing = vec![line];
            }
        }
    }
    begun.retain(|line| !level.missing.contains(line));
    level.missing.splice(..0, begun);
    if level.level == TrustLevel::Publisher {
        own_publisher(input, &mut level);
    }
    level
}

/// What certificates add to a quorum, and what a policy asks of it.
fn asked(mut quorum: Quorum, input: &LevelInput<'_>) -> Quorum {
    let certified = |key: KeyId| {
        let is = |of: &SignedBy<'_>| {
            of.key == key && of.certified.is_some_and(|certified| certified.role == quorum.role)
        };
        input.signatures.iter().any(is)
    };
    let (taken, rest): (Vec<Uncounted>, Vec<Uncounted>) = quorum
        .uncounted
        .iter()
        .cloned()
        .partition(|entry| matches!(entry.why, Why::Unknown | Why::Role) && certified(entry.key));
    quorum.uncounted = rest;
    quorum.counted.extend(taken.into_iter().map(|entry| entry.key));
    quorum.counted.sort_unstable();
    for demand in input.demands.iter().filter(|demand| demand.role == quorum.role) {
        quorum.needed = quorum.needed.max(demand.threshold);
        if let Some(keys) = &demand.keys {
            let (counted, not) = quorum.counted.iter().partition(|key| keys.contains(key));
            quorum.counted = counted;
            let not: Vec<KeyId> = not;
            quorum.uncounted.extend(not.into_iter().map(|key| Uncounted { key, why: Why::Policy }));
        }
    }
    quorum
}

fn clock(trust: &TrustStore, input: &LevelInput<'_>, level: &mut Level) {
    let now = trust.now(input.system);
    if now.behind > 0 {
        level.refusals.push(Refusal {
            code: codes::CLOCK_BEHIND,
            subject: "clock".to_owned(),
            message: format!(
                "this host's clock says {}, but {} has been signed: expiry is judged by the later time",
                rfc3339(now.system),
                rfc3339(now.effective)
            ),
        });
    }
    if let Some(doubt) = now.doubt {
        level.refusals.push(Refusal {
            code: codes::TIME_AHEAD,
            subject: doubt.from.clone(),
            message: format!(
                "{} carries the time {}, more than a day ahead of this host's clock: one of the two is wrong",
                doubt.from,
                rfc3339(doubt.time)
            ),
        });
    }
}

/// The publisher of a model, where the catalogue knows it.
fn known_publisher(input: &LevelInput<'_>) -> Option<&'static Publisher> {
    let by_source = input.source.and_then(|source| {
        let (scheme, rest) = source.split_once(':')?;
        sovai_catalog::hub_of_scheme(scheme)?;
        sovai_catalog::publisher(&format!("{scheme}:{}", rest.split('/').next()?))
    });
    input.publisher.and_then(sovai_catalog::publisher).or(by_source)
}

/// Where a key counts as the publisher's and the catalogue knows of no signature by it, the operator's word is what counts.
fn own_publisher(input: &LevelInput<'_>, level: &mut Level) {
    let Some(publisher) = known_publisher(input) else { return };
    if publisher.signs_weights != SignsWeights::Yes {
        level.notes = vec![format!(
            "that the key is one of {} is the word of whoever added it to this store: the catalogue knows none",
            publisher.name
        )];
    }
}

/// What is known of signatures by the publisher.
fn publisher_note(input: &LevelInput<'_>, level: &mut Level) {
    let Some(publisher) = known_publisher(input) else { return };
    let name = &publisher.name;
    level.notes.push(match publisher.signs_weights {
        SignsWeights::Unknown => format!("no publisher signature is known for weights of {name}"),
        SignsWeights::No => format!("{name} says that it does not sign its weights"),
        SignsWeights::Yes => {
            let note = publisher.note.as_deref().map(|note| format!(": {note}")).unwrap_or_default();
            format!("{name} signs weights{note}")
        }
    });
}

fn compare_sources(input: &LevelInput<'_>, level: &mut Level) {
    if let Some(damage) = &input.witnesses.damage {
        level.refusals.push(Refusal {
            code: codes::EVIDENCE_DAMAGED,
            subject: "evidence".to_owned(),
            message: format!("the evidence log is not what was written, nothing in it counts: {damage}"),
        });
    }
    for sighting in &input.witnesses.sightings {
        let compared = sighting.compare(input.pins, input.git_blobs);
        let address = sighting.source.address();
        let own = input.source.is_some_and(|source| {
            address == source || address.strip_prefix(source).is_some_and(|rest| rest.starts_with('@'))
        });
        // Records of other models share a `config.json` by name, but no digest.
        if compared.equal == 0 && !own {
            continue;
        }
        if !compared.differs.is_empty() {
            level.refusals.push(Refusal {
                code: codes::SOURCE_DIFFERS,
                subject: address.to_owned(),
                message: format!("{address} shows other digests for {}", named(&compared.differs)),
            });
        }
        level.sources.push(WitnessedAt {
            source: address.to_owned(),
            group: sighting.source.group().to_owned(),
            behind: sighting.source.behind(),
            when: sighting.time,
            place: sighting.place.clone(),
            equal: compared.equal,
            differs: compared.differs,
            not_witnessed: compared.not_witnessed,
        });
    }
}

/// Signatures that count for nothing, each once, with the strongest reason.
fn uncounted(trust: &TrustStore, publisher: &Quorum, countersigner: &Quorum, level: &mut Level) {
    let mut whys: BTreeMap<KeyId, Why> = BTreeMap::new();
    for entry in publisher.uncounted.iter().chain(&countersigner.uncounted) {
        let known = whys.entry(entry.key).or_insert_with(|| entry.why.clone());
        if *known == Why::Role {
            *known = entry.why.clone();
        }
    }
    for (key, why) in whys {
        if publisher.counted.contains(&key) || countersigner.counted.contains(&key) {
            continue;
        }
        let name = name_of(trust, key);
        level.refusals.push(Refusal {
            code: code_of(&why),
            subject: key.to_string(),
            message: format!("a signature by {name} does not count: {why}"),
        });
    }
}

fn vouchers(trust: &TrustStore, input: &LevelInput<'_>, quorums: &[&Quorum], level: &mut Level) {
    for quorum in quorums {
        for &key in &quorum.counted {
            for signature in input.signatures.iter().filter(|signature| signature.key == key) {
                let certified = signature.certified.filter(|certified| certified.role == quorum.role);
                level.vouchers.push(Voucher {
                    name: certified.map_or_else(|| name_of(trust, key), |of| of.subject.to_owned()),
                    key: Some(key),
                    role: Some(quorum.role),
                    when: signature.when,
                    whereabouts: signature.what.to_owned(),
                });
            }
        }
    }
    for source in level.sources.iter().filter(|source| whole(source)) {
        let sighting =
            input.witnesses.sightings.iter().find(|sighting| sighting.source.address() == source.source);
        level.vouchers.push(Voucher {
            name: source.source.clone(),
            key: sighting.map(|sighting| sighting.recorder),
            role: None,
            when: Some(source.when),
            whereabouts: source.place.clone(),
        });
    }
}

/// The name of a key, and its id for certain.
fn name_of(trust: &TrustStore, key: KeyId) -> String {
    let name = trust.list().iter().filter(|entry| entry.id == key).find_map(|entry| entry.name.as_deref());
    let short = key.0.short();
    name.map_or_else(|| format!("key {short}"), |name| format!("{name} (key {short})"))
}

fn by_keys(quorum: &Quorum, publisher: Option<&str>) -> Result<String, String> {
    let of = match (quorum.role, publisher) {
        (Role::Publisher, Some(name)) => format!("publisher {name}"),
        (Role::Publisher, None) => "a publisher".to_owned(),
        (role, _) => format!("role {role}"),
    };
    let counted = quorum.counted.len();
    if quorum.satisfied() {
        let keys = if counted == 1 { "1 key".to_owned() } else { format!("{counted} keys") };
        return Ok(
            format!("signed by {keys} of the {of}, of {} needed", quorum.needed).replace("the a ", "a ")
        );
    }
    let missing = quorum.missing();
    let reached =
        if counted > 0 { format!("{counted} of {} keys signed; ", quorum.needed) } else { String::new() };
    let signatures = if missing == 1 { "a signature" } else { "signatures" };
    Err(format!(
        "{reached}{signatures} by {missing}{} trusted key{} of the {of}",
        if counted > 0 { " more" } else { "" },
        if missing == 1 { "" } else { "s" },
    )
    .replace("the a ", "a "))
}

/// Whether a source shows every pinned file with its pinned digest.
fn whole(source: &WitnessedAt) -> bool {
    source.equal > 0 && source.differs.is_empty() && source.not_witnessed.is_empty()
}

/// How many of the sources are independent of each other. Those that stand in for a hub come last, and count where neither
/// they nor that hub was counted: so a mirror beside its hub is one source, and so is one mirror of two hubs.
fn independent<'a>(sources: impl Iterator<Item = &'a WitnessedAt>) -> usize {
    let (mirrors, own): (Vec<&WitnessedAt>, Vec<&WitnessedAt>) =
        sources.partition(|source| source.behind.is_some());
    let mut used: BTreeSet<&str> = own.iter().map(|source| source.group.as_str()).collect();
    let mut count = used.len();
    for mirror in mirrors {
        let behind = mirror.behind.as_deref().unwrap_or_default();
        if !used.contains(mirror.group.as_str()) && !used.contains(behind) {
            used.extend([mirror.group.as_str(), behind]);
            count += 1;
        }
    }
    count
}

fn by_sources(input: &LevelInput<'_>, level: &Level) -> Result<String, String> {
    let needed = usize::try_from(input.sources.max(DEFAULT_SOURCES)).unwrap_or(usize::MAX);
    let found = independent(level.sources.iter().filter(|source| whole(source)));
    if found >= needed {
        return Ok(format!("the same digests were seen at {found} independent sources"));
    }
    let mut text = format!(
        "the same digests of all files at {needed} independent sources, seen at {found}; record one with `sovai trust witness`"
    );
    for source in level.sources.iter().filter(|source| !source.not_witnessed.is_empty()) {
        let files = named(&source.not_witnessed);
        let _ = write!(text, "; not witnessed at {}: {files}", source.source);
    }
    Err(text)
}

fn by_hub(input: &LevelInput<'_>, level: &Level) -> Result<String, String> {
    let hub = input.source.and_then(|source| sovai_catalog::hub_of_scheme(source.split_once(':')?.0));
    let commit = input.revision.filter(|text| is_commit(text));
    if let (Some(hub), Some(commit), true) = (hub, commit, input.resolved_at_hub) {
        let through =
            through(input, level, commit).map(|host| format!(" through {host}")).unwrap_or_default();
        return Ok(format!(
            "the lock took the pins from the list of commit {commit} at {}{through}",
            hub.name
        ));
    }
    let witnessed = input.witnesses.sightings.iter().find(|sighting| {
        sighting.source.names_a_commit()
            && level.sources.iter().any(|source| source.source == sighting.source.address() && whole(source))
    });
    match witnessed {
        Some(sighting) => Ok(format!(
            "the pins are those recorded for {} on {}, {}, from {}",
            sighting.source.address(),
            sighting.place,
            rfc3339(sighting.time),
            forms(sighting)
        )),
        None => Err("the digests that a hub lists for a full commit; record them with `sovai trust witness`"
            .to_owned()),
    }
}

/// The host that stood in for the hub when the list was read, where the evidence log tells of it and of no list of the hub.
fn through<'a>(input: &LevelInput<'_>, level: &'a Level, commit: &str) -> Option<&'a str> {
    let source = input.source?.split('@').next()?;
    let (_, repository) = source.split_once(':')?;
    let (own, end) = (format!("{source}@{commit}"), format!("/{repository}@{commit}"));
    let mut seen = level.sources.iter().filter(|source| whole(source) || source.source == own);
    if seen.clone().any(|source| source.source == own) {
        return None;
    }
    let other = seen.find(|source| source.source.ends_with(&end))?;
    other.source.strip_prefix("https://")?.split('/').next()
}

/// In which forms a source's digests were seen. A hub's own list is the hub's word; of the others it is whose list it is.
fn forms(sighting: &Sighting) -> String {
    let forms: Vec<&str> = sighting
        .kinds
        .iter()
        .map(|kind| match kind {
            ListingKind::HubTree | ListingKind::HubSiblings | ListingKind::ModelScope => {
                "the hub's own list, as it was saved"
            }
            ListingKind::Sums => "a list of SHA256SUMS, not the hub's own",
            ListingKind::Passport => "a passport, not the hub's own list",
            ListingKind::Folder => "a folder that was said to come from there",
        })
        .collect::<BTreeSet<&str>>()
        .into_iter()
        .collect();
    forms.join(" and ")
}

/// A full git commit.
fn is_commit(text: &str) -> bool {
    text.len() == 40 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}

/// The first few paths of a list, and how many more.
fn named(paths: &[RelPath]) -> String {
    let first: Vec<&str> = paths.iter().take(MAX_NAMED).map(RelPath::as_str).collect();
    let more = paths.len().saturating_sub(MAX_NAMED);
    let rest = if more > 0 { format!(" and {more} more") } else { String::new() };
    format!("{}{rest}", first.join(", "))
}
