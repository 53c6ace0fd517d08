//! What a signature over a bundle says: an in-toto statement about the digest of its index.

use crate::index::Index;
use serde_json::{Value, json};
use sovai_core::Sha256;
use sovai_signing::dsse::Envelope;
use sovai_signing::statement::{PAYLOAD_TYPE, Statement, Subject};
use sovai_signing::{KeyId, PrivateKey, PublicKey};
use std::collections::BTreeMap;

/// `predicateType` of a signature over a bundle.
pub const BUNDLE_PREDICATE: &str = "https://sovai.dev/bundle/v1";
/// How the file of an envelope ends.
pub const ENVELOPE_SUFFIX: &str = ".dsse.json";

/// Why an envelope is no signature over this bundle, whoever signed it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unfit {
    /// Not a DSSE envelope, or not one with an in-toto statement.
    #[error("{0}")]
    Malformed(String),
    /// A statement of another kind.
    #[error("it is a statement of another kind, `{}`; expected `{expected}`", .found.escape_debug())]
    Other {
        /// The kind that is asked for.
        expected: &'static str,
        /// The kind that it is.
        found: String,
    },
    /// A statement about another index.
    #[error("it speaks of the index sha256:{found}; this one is sha256:{expected}")]
    Subject {
        /// Digits of this index' SHA-256.
        expected: String,
        /// What it speaks of.
        found: String,
    },
    /// It says something else of the bundle than the index does.
    #[error("it says other things of the bundle than the index does: {found}; expected {expected}")]
    Predicate {
        /// What the index says.
        expected: String,
        /// What the statement says, shortened.
        found: String,
    },
}

/// The statement that a signature over a bundle carries. `digest` is the SHA-256 of the index' bytes.
pub fn bundle_statement(index: &Index, digest: Sha256) -> Statement {
    Statement {
        subject: vec![Subject {
            name: index.name(),
            digest: BTreeMap::from([("sha256".to_owned(), digest.hex())]),
        }],
        predicate_type: BUNDLE_PREDICATE.to_owned(),
        predicate: predicate(index),
    }
}

fn predicate(index: &Index) -> Value {
    json!({
        "stack": index.stack,
        "sequence": index.sequence,
        "created": index.created,
        "volumes": index.volumes.len(),
        "parity": index.parity.as_ref().map_or(0, |parity| parity.volumes.len()),
    })
}

/// Signs a bundle. `digest` is the SHA-256 of the index' bytes.
pub fn sign_bundle(index: &Index, digest: Sha256, key: &PrivateKey) -> Envelope {
    let statement = bundle_statement(index, digest).to_json().into_bytes();
    Envelope::sign(PAYLOAD_TYPE, statement, &[key])
}

/// Name of the file of an envelope by this key: the first 16 digits of the key's id.
pub fn envelope_name(key: KeyId) -> String {
    let digits = key.0.hex();
    format!("{}{ENVELOPE_SUFFIX}", digits.get(..16).unwrap_or(&digits))
}

/// The statement in an envelope, and the SHA-256 digits of its one subject.
pub(crate) fn statement_of(envelope: &Envelope) -> Result<(Statement, String), Unfit> {
    let malformed = |error: String| Unfit::Malformed(error);
    let payload = envelope.payload_of(PAYLOAD_TYPE).map_err(|error| malformed(error.to_string()))?;
    let statement = Statement::parse(payload).map_err(|error| malformed(error.to_string()))?;
    let [subject] = statement.subject.as_slice() else {
        return Err(malformed(format!("a statement about {} things; expected one", statement.subject.len())));
    };
    let digest = subject.digest.get("sha256").filter(|digits| Sha256::from_hex(digits).is_ok()).cloned();
    let digest = digest.ok_or_else(|| malformed("its subject has no SHA-256".to_owned()))?;
    Ok((statement, digest))
}

/// Whether what an envelope says is what the index says. Who signed it is for [`Envelope::verified_by`].
pub fn check_statement(envelope: &Envelope, index: &Index, digest: Sha256) -> Result<(), Unfit> {
    let (statement, subject) = statement_of(envelope)?;
    if statement.predicate_type != BUNDLE_PREDICATE {
        let found = statement.predicate_type.chars().take(80).collect();
        return Err(Unfit::Other { expected: BUNDLE_PREDICATE, found });
    }
    if subject != digest.hex() {
        return Err(Unfit::Subject { expected: digest.hex(), found: subject });
    }
    let named = statement.subject.first().map(|subject| subject.name.as_str());
    let expected = predicate(index);
    if statement.predicate != expected || named != Some(index.name().as_str()) {
        let found: String = statement.predicate.to_string().chars().take(200).collect();
        return Err(Unfit::Predicate { expected: expected.to_string(), found });
    }
    Ok(())
}

/// Whether this key signed this bundle with this envelope.
pub fn is_signed_by(envelope: &Envelope, index: &Index, digest: Sha256, key: &PublicKey) -> bool {
    check_statement(envelope, index, digest).is_ok()
        && !envelope.verified_by(std::slice::from_ref(key)).is_empty()
}
