//! How strongly a model's origin is proven, why, and what is missing for more.

mod judge;
#[cfg(test)]
mod tests;

use crate::quorum::Why;
use crate::role::Role;
use crate::store::TrustStore;
use crate::witness::Witnesses;
use serde::{Serialize, Serializer};
use sovai_core::{FilePin, RelPath, Sha256, TrustLevel};
use sovai_evidence::rfc3339;
use sovai_listing::GitBlob;
use sovai_signing::KeyId;
use std::collections::{BTreeMap, BTreeSet};

/// Codes of what the judgement of a level says besides the level.
pub mod codes {
    /// A model, or one of its files, is revoked by the newest list of revocations.
    pub const MODEL_REVOKED: &str = "SOV3101";
    /// A signature by a key that this store does not trust, or not in a role that vouches for models.
    pub const KEY_UNKNOWN: &str = "SOV3102";
    /// A signature by a revoked key.
    pub const KEY_REVOKED: &str = "SOV3103";
    /// A signature by a key whose last day has passed.
    pub const KEY_EXPIRED: &str = "SOV3104";
    /// A signature by a key of another publisher than the one that the manifest names.
    pub const KEY_OF_OTHER_PUBLISHER: &str = "SOV3105";
    /// The system's clock is behind the newest signed time.
    pub const CLOCK_BEHIND: &str = "SOV3106";
    /// A signed time lies more than a day ahead of all that is known.
    pub const TIME_AHEAD: &str = "SOV3107";
    /// A source shows other digests than the pinned ones.
    pub const SOURCE_DIFFERS: &str = "SOV3108";
    /// The evidence log is not what was written; it witnesses nothing.
    pub const EVIDENCE_DAMAGED: &str = "SOV3109";
}

/// How many independent sources make a model corroborated, unless a policy asks for more.
pub const DEFAULT_SOURCES: u32 = 2;

/// A signature that holds, and that covers every pinned file with its pinned digest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SignedBy<'a> {
    /// The key that signed; of a certificate, the leaf's.
    pub key: KeyId,
    /// What it stands in, for people: the signature's file name.
    pub what: &'a str,
    /// When it signed, in seconds since 1970, where that is proven by a time stamp.
    pub when: Option<u64>,
    /// The certificate of the key, where one was judged by the operator's rules.
    pub certified: Option<Certified<'a>>,
}

/// A certificate that the operator's rules take: its key counts without being in the store, unless it is revoked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Certified<'a> {
    /// The role in which it counts.
    pub role: Role,
    /// Its subject, for people.
    pub subject: &'a str,
}

/// What a policy asks of a role beyond what the store asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Demand {
    /// The role.
    pub role: Role,
    /// Only these keys count; nothing: all that the store trusts.
    pub keys: Option<BTreeSet<KeyId>>,
    /// How many must sign; the store's threshold holds where it is higher.
    pub threshold: u32,
}

/// What the bytes were compared with: the words for why a level is what it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Basis {
    /// Nothing.
    Nothing,
    /// Pins of a manifest or its lock.
    #[default]
    Pins,
    /// The list of a signature.
    Signature,
    /// A passport.
    Passport,
}

impl Basis {
    /// `every byte is ...`, `its bytes are not ...`.
    const fn listed(self) -> &'static str {
        match self {
            Self::Nothing | Self::Pins => "what was pinned",
            Self::Signature => "what was signed",
            Self::Passport => "what the passport says",
        }
    }

    /// What there must be for a level at all.
    const fn missing(self) -> &'static str {
        match self {
            Self::Nothing => "something to compare with: pins, a signature or a passport",
            Self::Pins => "pins for every file, in the manifest or its lock",
            Self::Signature => "a signature that holds, by a key or a certificate that is trusted",
            Self::Passport => "a passport that holds, signed by a key that is trusted",
        }
    }
}

/// What a level is judged by.
#[derive(Debug, Clone, Copy)]
pub struct LevelInput<'a> {
    /// What the bytes were compared with.
    pub basis: Basis,
    /// Whether every byte is what was pinned, as the verifier found.
    pub matches: bool,
    /// The files that are pinned or signed, by their SHA-256; empty when nothing is pinned, or a signature uses another
    /// hash function.
    pub pins: &'a [FilePin],
    /// The model digest, and the root digests of its signatures.
    pub digests: &'a [Sha256],
    /// Git's ids of pinned files, computed from the same bytes (a passport has them); may be empty.
    pub git_blobs: &'a BTreeMap<RelPath, GitBlob>,
    /// The publisher that the manifest names.
    pub publisher: Option<&'a str>,
    /// The source that the manifest names, and its revision: `hf:ORG/NAME`, `file:./weights`.
    pub source: Option<&'a str>,
    /// The revision that the manifest or its lock names.
    pub revision: Option<&'a str>,
    /// Whether the lock took the digests from the hub's own list at that revision.
    pub resolved_at_hub: bool,
    /// Signatures that hold.
    pub signatures: &'a [SignedBy<'a>],
    /// What was seen elsewhere, from [`TrustStore::witnesses`].
    pub witnesses: &'a Witnesses,
    /// How many independent sources make a model corroborated; at least 2 is used.
    pub sources: u32,
    /// What a policy asks of roles.
    pub demands: &'a [Demand],
    /// The system's clock, in seconds since 1970.
    pub system: u64,
}

/// Somebody who vouches for a model.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Voucher {
    /// Name for people: the key's, or the source's address.
    pub name: String,
    /// The key; of a source, the one that signed the record.
    pub key: Option<KeyId>,
    /// The key's role: `publisher`, `countersigner`; nothing for a source.
    pub role: Option<Role>,
    /// When, in seconds since 1970, where that is known; serialised as RFC 3339.
    #[serde(serialize_with = "time_if_known")]
    pub when: Option<u64>,
    /// In which signature, or on which machine it was recorded.
    pub whereabouts: String,
}

/// Something that speaks against a model, a signature or a source.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Refusal {
    /// One of [`codes`].
    pub code: &'static str,
    /// What it is about: a key id, a source, a digest.
    pub subject: String,
    /// In words.
    pub message: String,
}

/// A source that was compared with the pins.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct WitnessedAt {
    /// Its address.
    pub source: String,
    /// Sources with the same word are not independent.
    pub group: String,
    /// The group of the hub in whose place it was asked: it is independent of that one neither.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub behind: Option<String>,
    /// When its newest record was made, in seconds since 1970; serialised as RFC 3339.
    #[serde(serialize_with = "time")]
    pub when: u64,
    /// The machine on which that was recorded.
    pub place: String,
    /// How many files have equal digests.
    pub equal: usize,
    /// Files with other digests there.
    pub differs: Vec<RelPath>,
    /// Files of which it says nothing that can be compared.
    pub not_witnessed: Vec<RelPath>,
}

/// How old the knowledge of revocations is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RevocationKnowledge {
    /// Number of the newest list.
    pub number: u64,
    /// When it was made, in seconds since 1970; serialised as RFC 3339.
    #[serde(serialize_with = "time")]
    pub issued: u64,
    /// Seconds since then.
    pub age: u64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes references")]
fn time<S: Serializer>(seconds: &u64, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&rfc3339(*seconds))
}

#[expect(clippy::ref_option, reason = "serde passes references")]
fn time_if_known<S: Serializer>(seconds: &Option<u64>, serializer: S) -> Result<S::Ok, S::Error> {
    seconds.map(rfc3339).serialize(serializer)
}

/// A level with its reasons.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Level {
    /// The level.
    pub level: TrustLevel,
    /// Why it is that, one line each.
    pub why: Vec<String>,
    /// Who vouches, strongest first.
    pub vouchers: Vec<Voucher>,
    /// What is missing for the next level.
    pub missing: Vec<String>,
    /// What else is to be known, without effect on the level.
    pub notes: Vec<String>,
    /// What speaks against it. A revoked model is refused; what the others mean is the policy's to say.
    pub refusals: Vec<Refusal>,
    /// The sources that were compared.
    pub sources: Vec<WitnessedAt>,
    /// How old the knowledge of revocations is; nothing when no list was ever taken in.
    pub revocations: Option<RevocationKnowledge>,
}

impl Level {
    /// The revocation of the model, when it is revoked: then it must be refused, whatever the policy says.
    pub fn revoked(&self) -> Option<&Refusal> {
        self.refusals.iter().find(|refusal| refusal.code == codes::MODEL_REVOKED)
    }
}

impl TrustStore {
    /// Judges how strongly a model's origin is proven.
    pub fn level(&self, input: &LevelInput<'_>) -> Level {
        judge::judge(self, input)
    }

    /// How old the knowledge of revocations is.
    pub fn revocation_knowledge(&self, system: u64) -> Option<RevocationKnowledge> {
        let list = self.revocation_list()?;
        let age = self.now(system).effective.saturating_sub(list.issued);
        Some(RevocationKnowledge { number: list.number, issued: list.issued, age })
    }
}

/// The code of a signature that does not count.
const fn code_of(why: &Why) -> &'static str {
    match why {
        Why::Unknown | Why::Role | Why::Policy => codes::KEY_UNKNOWN,
        Why::Revoked => codes::KEY_REVOKED,
        Why::Expired => codes::KEY_EXPIRED,
        Why::Publisher => codes::KEY_OF_OTHER_PUBLISHER,
    }
}
