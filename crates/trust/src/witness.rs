//! Witnesses: digests of a model that were seen at a source, kept as statements in the evidence log.

use crate::error::TrustError;
use crate::listing::{Listing, ListingKind, Seen};
use crate::role::Role;
use crate::source::{Source, SourceError};
use crate::store::TrustStore;
use serde::{Deserialize, Serialize};
use sovai_core::{FilePin, RelPath, Sha256};
use sovai_evidence::{Log, parse_rfc3339, rfc3339};
use sovai_listing::GitBlob;
use sovai_signing::statement::{Statement, Subject};
use sovai_signing::{KeyId, PublicKey};
use std::collections::{BTreeMap, BTreeSet};

/// Predicate type of a witness.
pub(crate) const PREDICATE_TYPE: &str = "https://sovai.dev/witness/v1";
/// in-toto's name for git's id of a file (in-toto attestation, `digest_set.md`).
const GIT_BLOB: &str = "gitBlob";
/// Most sources that are remembered while a log is read.
const MAX_SOURCES: usize = 10_000;
/// Longest name of a place, in bytes.
const MAX_PLACE: usize = 255;

/// One record: a list of digests, where it was seen, when, and on which machine it was recorded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Where the digests were seen.
    pub source: Source,
    /// When they were recorded, in seconds since 1970.
    pub time: u64,
    /// Host name of the machine on which they were recorded.
    pub place: String,
    /// SHA-256 of the list as it was read; nothing for a folder.
    pub list: Option<Sha256>,
    /// What was seen.
    pub listing: Listing,
}

/// Why a statement is no record.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "each message says what its variant means")]
pub enum RecordError {
    #[error("malformed record of a witness: {0}")]
    Predicate(String),
    #[error(transparent)]
    Source(#[from] SourceError),
    #[error("malformed record of a witness: subject `{}`", .0.escape_debug())]
    Subject(String),
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Predicate {
    source: String,
    /// The scheme of the hub in whose place it was asked.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    stands_for: Option<String>,
    time: String,
    place: String,
    list: ListOf,
}

#[derive(Serialize, Deserialize)]
struct ListOf {
    kind: String,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    sha256: Option<Sha256>,
}

impl Record {
    /// The record as a statement; the same record gives the same one.
    pub fn to_statement(&self) -> Statement {
        let subject = self
            .listing
            .files
            .iter()
            .map(|(path, seen)| {
                let sha256 = seen.sha256.map(|digest| ("sha256".to_owned(), digest.hex()));
                let git_blob = seen.git_blob.map(|id| (GIT_BLOB.to_owned(), id.to_string()));
                Subject {
                    name: path.as_str().to_owned(),
                    digest: sha256.into_iter().chain(git_blob).collect(),
                }
            })
            .collect();
        let place: String = self.place.chars().filter(|c| !c.is_control()).take(MAX_PLACE / 4).collect();
        let mut statement = Statement {
            subject,
            predicate_type: PREDICATE_TYPE.to_owned(),
            predicate: serde_json::json!({
                "source": self.source.address(),
                "time": rfc3339(self.time),
                "place": place,
                "list": match &self.list {
                    Some(sha256) => serde_json::json!({ "kind": self.listing.kind.as_str(), "sha256": sha256 }),
                    None => serde_json::json!({ "kind": self.listing.kind.as_str() }),
                },
            }),
        };
        if let (Some(scheme), Some(members)) = (self.source.stands_for(), statement.predicate.as_object_mut())
        {
            members.insert("standsFor".to_owned(), scheme.into());
        }
        statement
    }

    /// Reads a record back.
    pub fn from_statement(statement: Statement) -> Result<Self, RecordError> {
        let wrong = |what: &str| RecordError::Predicate(what.to_owned());
        // The log adds its own members, and later versions may add theirs.
        let predicate: Predicate = serde_json::from_value(statement.predicate)
            .map_err(|error| RecordError::Predicate(error.to_string()))?;
        if predicate.place.len() > MAX_PLACE {
            return Err(wrong("`place` is too long"));
        }
        let kind = ListingKind::ALL
            .into_iter()
            .find(|kind| kind.as_str() == predicate.list.kind)
            .ok_or_else(|| wrong("`list.kind`"))?;
        let mut files = BTreeMap::new();
        for subject in statement.subject {
            let seen = seen(&subject);
            match RelPath::new(&subject.name).ok().zip(seen) {
                Some((path, seen)) => files.insert(path, seen),
                None => return Err(RecordError::Subject(subject.name.chars().take(80).collect())),
            };
        }
        let source: Source = predicate.source.parse()?;
        Ok(Self {
            source: match &predicate.stands_for {
                Some(scheme) => source.standing_for(scheme),
                None => source,
            },
            time: parse_rfc3339(&predicate.time).map_err(|_| wrong("`time`"))?,
            place: predicate.place,
            list: predicate.list.sha256,
            listing: Listing { kind, files, without: Vec::new() },
        })
    }
}

fn seen(subject: &Subject) -> Option<Seen> {
    let sha256 = match subject.digest.get("sha256") {
        Some(hex) => Some(Sha256::from_hex(hex).ok()?),
        None => None,
    };
    let git_blob = match subject.digest.get(GIT_BLOB) {
        Some(hex) => Some(GitBlob::from_hex(hex)?),
        None => None,
    };
    (sha256.is_some() || git_blob.is_some()).then_some(Seen { sha256, git_blob })
}

/// What one source says of a model's files, from all its records: of each file the newest one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sighting {
    /// The source.
    pub source: Source,
    /// When its newest record was made.
    pub time: u64,
    /// Where that was recorded.
    pub place: String,
    /// Who signed that record.
    pub recorder: KeyId,
    /// In which forms its digests were read, over all its records.
    pub kinds: BTreeSet<ListingKind>,
    files: BTreeMap<RelPath, Seen>,
}

/// How what a source says compares with pins.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Compared {
    /// Files with equal digests.
    pub(crate) equal: usize,
    /// Files with other digests there.
    pub(crate) differs: Vec<RelPath>,
    /// Files of which it says nothing that can be compared.
    pub(crate) not_witnessed: Vec<RelPath>,
}

impl Sighting {
    /// Compares with pins. `git_blobs` are ids that were computed from the pinned bytes; a file of which the source has
    /// only such an id is compared by it, and not witnessed where it is not given.
    pub(crate) fn compare(&self, pins: &[FilePin], git_blobs: &BTreeMap<RelPath, GitBlob>) -> Compared {
        let mut compared = Compared::default();
        for pin in pins {
            let seen = self.files.get(&pin.path).copied().unwrap_or_default();
            let by_sha256 = seen.sha256.map(|digest| digest == pin.sha256);
            let by_git = seen.git_blob.zip(git_blobs.get(&pin.path)).map(|(seen, own)| seen == *own);
            match (by_sha256, by_git) {
                (None, None) => compared.not_witnessed.push(pin.path.clone()),
                (Some(false), _) | (_, Some(false)) => compared.differs.push(pin.path.clone()),
                _ => compared.equal += 1,
            }
        }
        compared
    }
}

/// What the evidence log of a store says was seen elsewhere.
#[derive(Debug, Clone, Default)]
pub struct Witnesses {
    /// By source, sorted by address.
    pub sightings: Vec<Sighting>,
    /// Why nothing in the log counts: it is not what was written.
    pub damage: Option<String>,
}

impl TrustStore {
    /// What was witnessed, from the store's evidence log: records signed by this site's key, or by another with the role
    /// `site` that counts at the system time `system`. A log that is damaged witnesses nothing.
    pub fn witnesses(&self, system: u64) -> Result<Witnesses, TrustError> {
        let Ok(store) = self.store() else { return Ok(Witnesses::default()) };
        let counting: Vec<KeyId> = self.keys(Role::Site, system).iter().map(PublicKey::id).collect();
        let mut sources: BTreeMap<String, Sighting> = BTreeMap::new();
        let walked = Log::open(store).walk(&self.all_keys(Role::Site), |entry| {
            let recorder = entry.signers.iter().find(|id| counting.contains(id)).copied();
            let Some(recorder) = recorder.filter(|_| entry.statement.predicate_type == PREDICATE_TYPE) else {
                return;
            };
            let Ok(record) = Record::from_statement(entry.statement) else { return };
            let address = record.source.address().to_owned();
            if sources.len() >= MAX_SOURCES && !sources.contains_key(&address) {
                return;
            }
            let sighting = sources.entry(address).or_insert_with(|| Sighting {
                source: record.source.clone(),
                time: record.time,
                place: record.place.clone(),
                recorder,
                kinds: BTreeSet::new(),
                files: BTreeMap::new(),
            });
            // Once it stood in for a hub, it is no place of its own any more.
            if record.source.stands_for().is_some() {
                sighting.source = record.source;
            }
            (sighting.time, sighting.place, sighting.recorder) = (record.time, record.place, recorder);
            sighting.kinds.insert(record.listing.kind);
            sighting.files.extend(record.listing.files);
        })?;
        if walked.intact() {
            return Ok(Witnesses { sightings: sources.into_values().collect(), damage: None });
        }
        let first = walked.problems.iter().find(|problem| !problem.flaw.harmless());
        let damage = first.map(|problem| format!("line {}: {}", problem.line, problem.flaw));
        Ok(Witnesses { sightings: Vec::new(), damage })
    }
}

#[cfg(test)]
mod tests;
