//! In-toto statements v1 (in-toto/attestation, `spec/v1/statement.md`).

use crate::json::{self, JsonError, Limits, Object};
use crate::text::shorten;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;

/// Media type of a statement in a DSSE envelope.
pub const PAYLOAD_TYPE: &str = "application/vnd.in-toto+json";

/// `_type` of a statement.
pub const STATEMENT_TYPE: &str = "https://in-toto.io/Statement/v1";

/// Most subjects of one statement.
const MAX_SUBJECTS: usize = 10_000;

/// What a statement is about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Subject {
    /// A name for people.
    pub name: String,
    /// Algorithm and digest, lower-case hex.
    pub digest: BTreeMap<String, String>,
}

/// A statement: something (the predicate) about things (the subjects).
#[derive(Debug, Clone, PartialEq)]
pub struct Statement {
    /// What it is about.
    pub subject: Vec<Subject>,
    /// URI that says what the predicate means.
    pub predicate_type: String,
    /// What is said.
    pub predicate: Value,
}

/// Why a text is not a statement.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StatementError {
    /// Not strict JSON of the right shape.
    #[error("malformed in-toto statement: {0}")]
    Json(#[from] JsonError),
    /// Another `_type`.
    #[error("expected an in-toto statement of type `{STATEMENT_TYPE}`, found `{}`", .0.escape_debug())]
    Type(String),
    /// No subject, or too many.
    #[error("an in-toto statement has 1 to {MAX_SUBJECTS} subjects, found {0}")]
    Subjects(usize),
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Raw<'a> {
    #[serde(rename = "_type")]
    kind: String,
    subject: Vec<Object<Subject>>,
    predicate_type: String,
    predicate: std::borrow::Cow<'a, Value>,
}

impl Statement {
    /// Reads a statement: strict JSON within [`Limits::STATEMENT`]. Unknown fields are ignored, as in-toto asks.
    pub fn parse(text: &[u8]) -> Result<Self, StatementError> {
        let Object(raw): Object<Raw<'_>> = json::from_slice(text, Limits::STATEMENT)?;
        if raw.kind != STATEMENT_TYPE {
            return Err(StatementError::Type(shorten(&raw.kind, 80)));
        }
        if raw.subject.is_empty() || raw.subject.len() > MAX_SUBJECTS {
            return Err(StatementError::Subjects(raw.subject.len()));
        }
        Ok(Self {
            subject: raw.subject.into_iter().map(|Object(subject)| subject).collect(),
            predicate_type: raw.predicate_type,
            predicate: raw.predicate.into_owned(),
        })
    }

    /// The statement as JSON on one line; the same statement always gives the same bytes.
    pub fn to_json(&self) -> String {
        let raw = Raw {
            kind: STATEMENT_TYPE.to_owned(),
            subject: self.subject.iter().cloned().map(Object).collect(),
            predicate_type: self.predicate_type.clone(),
            predicate: std::borrow::Cow::Borrowed(&self.predicate),
        };
        // Strings and trees of JSON values can always be written.
        serde_json::to_string(&raw).unwrap_or_default()
    }
}
