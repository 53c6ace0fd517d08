//! What is decided about a bundle at the border: signed, and carried along with it.
//!
//! Each decision is a line of custody, too: it says who had the bundle in hand, when, and in which state, and names the
//! decisions that lay beside it, so that a line that was taken away between two others is missed.

use crate::index::Index;
use crate::set::{Found, VolumeSet, sha256};
use crate::signed::{Unfit, statement_of};
use serde::{Deserialize, Serialize};
use sovai_core::Sha256;
use sovai_signing::dsse::Envelope;
use sovai_signing::statement::{PAYLOAD_TYPE, Statement, Subject};
use sovai_signing::{KeyId, PrivateKey, PublicKey};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// `predicateType` of a decision about a bundle.
pub const DECISION_PREDICATE: &str = "https://sovai.dev/border-decision/v1";
/// Longest reason, in bytes.
pub const MAX_REASON: usize = 4000;

/// What was decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Ruling {
    /// It may pass.
    Approved,
    /// It is held back.
    Rejected,
}

impl fmt::Display for Ruling {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Approved => "approved",
            Self::Rejected => "rejected",
        })
    }
}

/// A decision, as its signer wrote it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Decision {
    /// What was decided.
    pub decision: Ruling,
    /// Why.
    pub reason: String,
    /// When: seconds since 1970, UTC, by the clock of whoever decided.
    pub decided: u64,
    /// SHA-256 of the files of the decisions that were there and that no other one named: the line of custody so far.
    #[serde(default)]
    pub previous: Vec<Sha256>,
    /// What was looked at, and what was found.
    pub inspected: Inspected,
}

/// What somebody looked at before they decided.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Inspected {
    /// With what: `sovai 0.1.0`.
    pub tool: String,
    /// On which host.
    pub host: String,
    /// Each volume of the bundle, and how it was: `whole`, `damaged`, `missing`.
    pub volumes: BTreeMap<String, String>,
    /// Chunks that were compared.
    pub chunks: u64,
    /// Bytes of payloads that were read.
    pub bytes: u64,
    /// What was found to be wrong, in words; at most some.
    #[serde(default)]
    pub findings: Vec<String>,
    /// Licences by model, as the index has them.
    #[serde(default)]
    pub licenses: BTreeMap<String, String>,
    /// How many files of models there are of each kind, by their first bytes.
    #[serde(default)]
    pub formats: BTreeMap<String, u64>,
    /// Whose signatures lie there: key id, or what the signer calls its key, and `trusted`, `unknown` and so on.
    #[serde(default)]
    pub signers: BTreeMap<String, String>,
}

impl Decision {
    /// The decision as a statement about the bundle whose index has this digest.
    pub fn statement(&self, index: &Index, digest: Sha256) -> Statement {
        Statement {
            subject: vec![Subject {
                name: index.name(),
                digest: BTreeMap::from([("sha256".to_owned(), digest.hex())]),
            }],
            predicate_type: DECISION_PREDICATE.to_owned(),
            // Strings, numbers and maps with keys of text can always be written.
            predicate: serde_json::to_value(self).unwrap_or_default(),
        }
    }

    /// Signs it.
    pub fn sign(&self, index: &Index, digest: Sha256, key: &PrivateKey) -> Envelope {
        let statement = self.statement(index, digest).to_json().into_bytes();
        Envelope::sign(PAYLOAD_TYPE, statement, &[key])
    }

    /// Reads the decision in an envelope, whoever signed it. Which bundle it is about is for [`VolumeSet::decisions`].
    pub fn read(envelope: &Envelope) -> Result<Self, Unfit> {
        let (statement, _) = statement_of(envelope)?;
        let read: Self = serde_json::from_value(statement.predicate)
            .map_err(|error| Unfit::Malformed(format!("the decision cannot be read: {error}")))?;
        if read.reason.len() > MAX_REASON {
            return Err(Unfit::Malformed(format!("a reason of more than {MAX_REASON} bytes")));
        }
        Ok(read)
    }
}

/// Name of the file of a decision: its time, and the beginnings of the key's id and of its own digest.
pub fn decision_name(decision: &Decision, key: KeyId, bytes: &[u8]) -> String {
    let short = |digits: String| digits.get(..16).unwrap_or(&digits).to_owned();
    format!(
        "{:012}-{}-{}{}",
        decision.decided,
        short(key.0.hex()),
        short(sha256(bytes).hex()),
        crate::signed::ENVELOPE_SUFFIX
    )
}

/// Whether an envelope is a decision about the bundle whose index has this digest, whoever signed it.
pub(crate) fn check(envelope: &Envelope, digest: Sha256) -> Result<(), Unfit> {
    let (statement, subject) = statement_of(envelope)?;
    if statement.predicate_type != DECISION_PREDICATE {
        return Err(Unfit::Other {
            expected: DECISION_PREDICATE,
            found: statement.predicate_type.chars().take(80).collect(),
        });
    }
    if subject != digest.hex() {
        return Err(Unfit::Subject { expected: digest.hex(), found: subject });
    }
    Decision::read(envelope).map(drop)
}

/// A decision about this bundle, with those of the given keys that signed it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signed {
    /// What it says.
    pub decision: Decision,
    /// Which of the keys signed it; none when it is by somebody else.
    pub by: BTreeSet<KeyId>,
    /// What its signers call their keys. It proves nothing.
    pub hints: Vec<String>,
    /// SHA-256 of its file.
    pub digest: Sha256,
    /// Those of [`Decision::previous`] that are not here: lines that were taken away.
    pub lost: Vec<Sha256>,
}

/// What the border says of a bundle.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Standing {
    /// Keys whose word it is that it may pass.
    pub approved: BTreeSet<KeyId>,
    /// Keys whose word it is that it may not.
    pub rejected: BTreeSet<KeyId>,
}

impl Standing {
    /// Whether at least `needed` keys let it pass, and none holds it back.
    pub fn lets_pass(&self, needed: usize) -> bool {
        self.rejected.is_empty() && self.approved.len() >= needed
    }
}

impl VolumeSet {
    /// Every decision about this bundle, in the order of the line of custody: none before one that it names, else by time. By
    /// whom is asked of `keys` alone.
    pub fn decisions_by(&self, keys: &[PublicKey]) -> Vec<Signed> {
        let fit = self.decisions().iter().filter(|found| found.fit.is_ok());
        let all: BTreeMap<Sha256, (&Found, Decision)> = fit
            .filter_map(|found| Some((sha256(&found.bytes), (found, Decision::read(&found.envelope).ok()?))))
            .collect();
        let mut left: Vec<Sha256> = all.keys().copied().collect();
        left.sort_by_key(|digest| all.get(digest).map(|(_, decision)| (decision.decided, *digest)));
        let mut done = BTreeSet::new();
        let mut ordered = Vec::new();
        while !left.is_empty() {
            let is_next = |digest: &Sha256| {
                all.get(digest).is_some_and(|(_, decision)| {
                    decision.previous.iter().all(|before| done.contains(before) || !all.contains_key(before))
                })
            };
            // A digest cannot be in what it is made of: there is always one.
            let next = left.iter().position(is_next).unwrap_or(0);
            let digest = left.remove(next);
            done.insert(digest);
            let Some((found, decision)) = all.get(&digest) else { continue };
            ordered.push(Signed {
                lost: decision.previous.iter().filter(|before| !all.contains_key(before)).copied().collect(),
                decision: decision.clone(),
                by: found.envelope.verified_by(keys),
                hints: found.hints(),
                digest,
            });
        }
        ordered
    }

    /// What keys of border officers say of this bundle. Of each key the last word counts: the one that comes after its others
    /// in the line of custody, which a clock that was set back does not change; of two that do not name each other the later
    /// one, and of two of the same second the rejection. A rejection is lifted by a later approval of the same key only.
    pub fn standing(&self, keys: &[PublicKey]) -> Standing {
        let all = self.decisions_by(keys);
        let mut standing = Standing::default();
        let signers: BTreeSet<KeyId> = all.iter().flat_map(|signed| signed.by.iter().copied()).collect();
        for key in signers {
            let own: Vec<&Signed> = all.iter().filter(|signed| signed.by.contains(&key)).collect();
            let is_last = |signed: &&&Signed| !own.iter().any(|other| comes_after(&all, other, signed));
            let last = own
                .iter()
                .filter(is_last)
                .max_by_key(|signed| (signed.decision.decided, signed.decision.decision));
            match last.map(|signed| signed.decision.decision) {
                Some(Ruling::Approved) => standing.approved.insert(key),
                Some(Ruling::Rejected) => standing.rejected.insert(key),
                None => false,
            };
        }
        standing
    }

    /// Digests of the decisions that no other one names: what the next one names.
    pub fn custody_heads(&self) -> Vec<Sha256> {
        let all = self.decisions_by(&[]);
        let named: BTreeSet<Sha256> =
            all.iter().flat_map(|signed| signed.decision.previous.iter().copied()).collect();
        let mut heads: Vec<Sha256> =
            all.iter().map(|signed| signed.digest).filter(|digest| !named.contains(digest)).collect();
        heads.sort_unstable();
        heads
    }
}

/// Whether `later` names `earlier`, itself or through others. At most 256 decisions are looked at.
fn comes_after(all: &[Signed], later: &Signed, earlier: &Signed) -> bool {
    let mut seen = BTreeSet::new();
    let mut open = later.decision.previous.clone();
    while let Some(digest) = open.pop() {
        if digest == earlier.digest {
            return true;
        }
        if seen.insert(digest)
            && let Some(next) = all.iter().find(|signed| signed.digest == digest)
        {
            open.extend(&next.decision.previous);
        }
    }
    false
}
