//! Lists of revocations: which keys and which models are not to be trusted any more.

use crate::document::{optional_time, time};
use serde::{Deserialize, Serialize};
use sha2::Digest as _;
use sovai_core::Sha256;
use sovai_signing::KeyId;
use sovai_signing::dsse::{Envelope, EnvelopeError};
use sovai_signing::json::{JsonError, Limits, from_slice};
use sovai_signing::statement::{PAYLOAD_TYPE, Statement, StatementError, Subject};
use std::collections::{BTreeMap, BTreeSet};

/// Predicate type of a list.
pub(crate) const PREDICATE_TYPE: &str = "https://sovai.dev/revocations/v1";
/// Largest list that is read, signed or not, in bytes.
pub const MAX_LIST: usize = 8 << 20;
/// Most keys, and most models, of one list.
const MAX_ENTRIES: usize = 10_000;
/// Longest reason or name, in bytes.
const MAX_TEXT: usize = 500;
const LIMITS: Limits = Limits { bytes: MAX_LIST, depth: 8, values: 200_000 };

/// Which keys and models are revoked, with a number that rises from list to list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RevocationList {
    /// Number of the list, from 1; a later list has a higher one.
    pub number: u64,
    /// When it was made, in seconds since 1970; written as RFC 3339.
    #[serde(with = "time")]
    pub issued: u64,
    /// Keys, sorted by id.
    #[serde(default)]
    pub keys: Vec<ListedKey>,
    /// Models, sorted by digest.
    #[serde(default)]
    pub models: Vec<ListedModel>,
}

/// A revoked key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ListedKey {
    /// SHA-256 of its SPKI DER.
    pub id: KeyId,
    /// Why.
    pub reason: String,
    /// From when on, as far as that is known.
    #[serde(with = "optional_time", skip_serializing_if = "Option::is_none", default)]
    pub since: Option<u64>,
}

/// A revoked model.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ListedModel {
    /// The model digest, the root digest of its signature, or the digest of one of its files.
    pub digest: Sha256,
    /// A name for people.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub name: Option<String>,
    /// Why.
    pub reason: String,
}

/// Why a list was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "each message says what its variant means")]
pub enum RevocationError {
    #[error("malformed list of revocations: {0}")]
    Json(#[from] JsonError),
    #[error("a list of revocations has at most {MAX_LIST} bytes, found {0}")]
    TooLong(usize),
    #[error(transparent)]
    Envelope(#[from] EnvelopeError),
    #[error(transparent)]
    Statement(#[from] StatementError),
    #[error("expected a statement of type `{PREDICATE_TYPE}`, found `{}`", .0.escape_debug())]
    Type(String),
    #[error("malformed list of revocations: {0}")]
    Predicate(String),
    #[error("the statement's subject is not the digest of its list: expected {expected}")]
    Subject { expected: Sha256 },
    #[error(
        "the number of a list of revocations is 1 to {issued}, the second in which it was issued, found {found}: no later list could have a higher one"
    )]
    Number { found: u64, issued: u64 },
    #[error("a list of revocations has at most {MAX_ENTRIES} keys and as many models, found {0}")]
    TooMany(usize),
    #[error("{0} stands twice in the list")]
    Twice(String),
    #[error("a reason or a name has 1 to {MAX_TEXT} bytes and no control characters, found `{}`", .0.escape_debug())]
    Text(String),
}

impl RevocationList {
    /// Reads the unsigned source of a list: JSON with the members of the signed one.
    ///
    /// The order of its entries does not matter: the same content gives the same statement.
    pub fn parse_source(bytes: &[u8]) -> Result<Self, RevocationError> {
        from_slice::<Self>(bytes, LIMITS)?.checked()
    }

    /// The list as a statement, to be signed. Its subject is the SHA-256 of the predicate as it is written here.
    pub fn to_statement(&self) -> Result<Statement, RevocationError> {
        let list = self.clone().checked()?;
        let predicate =
            serde_json::to_value(&list).map_err(|error| RevocationError::Predicate(error.to_string()))?;
        let digest = BTreeMap::from([("sha256".to_owned(), sha256(predicate.to_string().as_bytes()).hex())]);
        Ok(Statement {
            subject: vec![Subject { name: "revocations".to_owned(), digest }],
            predicate_type: PREDICATE_TYPE.to_owned(),
            predicate,
        })
    }

    /// Reads a signed list. Says nothing about its signatures.
    pub fn parse_envelope(bytes: &[u8]) -> Result<(Envelope, Self), RevocationError> {
        let envelope = Self::envelope(bytes)?;
        let list = Self::of_envelope(&envelope)?;
        Ok((envelope, list))
    }

    /// The envelope of a signed list.
    pub(crate) fn envelope(bytes: &[u8]) -> Result<Envelope, RevocationError> {
        if bytes.len() > MAX_LIST {
            return Err(RevocationError::TooLong(bytes.len()));
        }
        Ok(Envelope::parse(bytes)?)
    }

    /// The list in an envelope.
    pub(crate) fn of_envelope(envelope: &Envelope) -> Result<Self, RevocationError> {
        let statement = Statement::parse(envelope.payload_of(PAYLOAD_TYPE)?)?;
        if statement.predicate_type != PREDICATE_TYPE {
            return Err(RevocationError::Type(statement.predicate_type.chars().take(200).collect()));
        }
        let list: Self = serde_json::from_value(statement.predicate)
            .map_err(|error| RevocationError::Predicate(error.to_string()))?;
        let list = list.checked()?;
        let expected = list.to_statement()?.subject;
        if statement.subject != expected {
            let digest = expected.first().and_then(|subject| subject.digest.get("sha256"));
            let expected = digest.and_then(|hex| Sha256::from_hex(hex).ok());
            return Err(RevocationError::Subject {
                expected: expected.unwrap_or(Sha256::from_bytes([0; 32])),
            });
        }
        Ok(list)
    }

    fn checked(mut self) -> Result<Self, RevocationError> {
        if self.number == 0 || self.number > self.issued {
            return Err(RevocationError::Number { found: self.number, issued: self.issued });
        }
        let most = self.keys.len().max(self.models.len());
        if most > MAX_ENTRIES {
            return Err(RevocationError::TooMany(most));
        }
        let texts = self.keys.iter().map(|key| &key.reason);
        let texts =
            texts.chain(self.models.iter().flat_map(|model| [&model.reason].into_iter().chain(&model.name)));
        for text in texts {
            if text.is_empty() || text.len() > MAX_TEXT || text.chars().any(char::is_control) {
                return Err(RevocationError::Text(text.chars().take(80).collect()));
            }
        }
        let mut keys = BTreeSet::new();
        if let Some(twice) = self.keys.iter().find(|key| !keys.insert(key.id)) {
            return Err(RevocationError::Twice(format!("key {}", twice.id)));
        }
        let mut models = BTreeSet::new();
        if let Some(twice) = self.models.iter().find(|model| !models.insert(model.digest)) {
            return Err(RevocationError::Twice(format!("model {}", twice.digest)));
        }
        self.keys.sort_by_key(|key| key.id);
        self.models.sort_by_key(|model| model.digest);
        Ok(self)
    }
}

fn sha256(bytes: &[u8]) -> Sha256 {
    Sha256::from_bytes(sha2::Sha256::digest(bytes).into())
}

#[cfg(test)]
mod tests;
