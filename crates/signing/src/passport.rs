//! A signature over a passport: a DSSE envelope with an in-toto statement that names the passport's own SHA-256 and the
//! model digest. The passport itself stays a file of its own.

use crate::dsse::{Envelope, EnvelopeError};
use crate::keys::PrivateKey;
use crate::statement::{PAYLOAD_TYPE, Statement, StatementError, Subject};
use crate::text::shorten;
use serde_json::json;
use sovai_core::{DigestError, Sha256};
use std::collections::BTreeMap;

/// Predicate type of the statement. The predicate is empty: the subjects say it all.
pub const PREDICATE_TYPE: &str = "https://sovai.dev/passport/v1";

/// A signature over a passport, read; nothing in it is believed yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedPassport {
    /// The signatures: see [`Envelope::verified_by`].
    pub envelope: Envelope,
    /// SHA-256 of the passport's file.
    pub file: Sha256,
    /// The model digest.
    pub model: Sha256,
}

/// Why a text is not a signature over a passport.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PassportSignatureError {
    /// Not an envelope, or of another payload type.
    #[error(transparent)]
    Envelope(#[from] EnvelopeError),
    /// Not a statement.
    #[error(transparent)]
    Statement(#[from] StatementError),
    /// A statement of another kind.
    #[error("expected a statement of type `{PREDICATE_TYPE}`, found `{}`", .0.escape_debug())]
    Type(String),
    /// Not the two subjects.
    #[error("a signature over a passport has the subjects `passport` and `model`, found {0} others")]
    Subjects(usize),
    /// A subject without a good digest.
    #[error("the subject `{subject}` has no good SHA-256: {error}")]
    Digest {
        /// Which one.
        subject: &'static str,
        /// In what way.
        error: DigestError,
    },
    /// It is about another passport.
    #[error("the signature is over another passport: expected {expected}, found {found}")]
    Other {
        /// SHA-256 of the file, or the model digest, that is at hand.
        expected: Sha256,
        /// What the statement names.
        found: Sha256,
    },
}

/// The statement over a passport's file and the model digest in it.
fn statement(file: Sha256, model: Sha256) -> Statement {
    let subject = |name: &str, digest: Sha256| Subject {
        name: name.to_owned(),
        digest: BTreeMap::from([("sha256".to_owned(), digest.hex())]),
    };
    Statement {
        subject: vec![subject("passport", file), subject("model", model)],
        predicate_type: PREDICATE_TYPE.to_owned(),
        predicate: json!({}),
    }
}

impl SignedPassport {
    /// Signs. The same input gives the same bytes.
    pub fn sign(file: Sha256, model: Sha256, keys: &[&PrivateKey]) -> Envelope {
        Envelope::sign(PAYLOAD_TYPE, statement(file, model).to_json().into_bytes(), keys)
    }

    /// Reads a signature.
    pub fn parse(text: &[u8]) -> Result<Self, PassportSignatureError> {
        let envelope = Envelope::parse(text)?;
        let statement = Statement::parse(envelope.payload_of(PAYLOAD_TYPE)?)?;
        if statement.predicate_type != PREDICATE_TYPE {
            return Err(PassportSignatureError::Type(shorten(&statement.predicate_type, 80)));
        }
        let [file, model] = &*statement.subject else {
            return Err(PassportSignatureError::Subjects(statement.subject.len()));
        };
        if file.name != "passport" || model.name != "model" {
            return Err(PassportSignatureError::Subjects(2));
        }
        let digest = |subject: &Subject, name| {
            Sha256::from_hex(subject.digest.get("sha256").map_or("", String::as_str))
                .map_err(|error| PassportSignatureError::Digest { subject: name, error })
        };
        Ok(Self { file: digest(file, "passport")?, model: digest(model, "model")?, envelope })
    }

    /// Whether it is about this passport: the SHA-256 of its file, and the model digest in it.
    pub fn is_over(&self, file: Sha256, model: Sha256) -> Result<(), PassportSignatureError> {
        for (expected, found) in [(file, self.file), (model, self.model)] {
            if expected != found {
                return Err(PassportSignatureError::Other { expected, found });
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::Algorithm;

    #[test]
    fn a_signature_is_over_one_passport() {
        let key = PrivateKey::generate(Algorithm::Ed25519).unwrap();
        let [file, model] = [1, 2].map(|byte| Sha256::from_bytes([byte; 32]));
        let text = SignedPassport::sign(file, model, &[&key]).to_json();
        let read = SignedPassport::parse(text.as_bytes()).unwrap();
        read.is_over(file, model).unwrap();
        assert_eq!(read.envelope.verified_by(&[key.public().clone()]), [key.public().id()].into());
        assert!(matches!(read.is_over(model, model), Err(PassportSignatureError::Other { .. })));
        assert!(matches!(read.is_over(file, file), Err(PassportSignatureError::Other { .. })));
    }

    #[test]
    fn other_statements_are_not_taken_for_one() {
        let key = PrivateKey::generate(Algorithm::Ed25519).unwrap();
        let good = statement(Sha256::from_bytes([1; 32]), Sha256::from_bytes([2; 32]));
        let read = |statement: &Statement, payload_type: &str| {
            let envelope = Envelope::sign(payload_type, statement.to_json().into_bytes(), &[&key]);
            SignedPassport::parse(envelope.to_json().as_bytes())
        };
        assert!(read(&good, PAYLOAD_TYPE).is_ok());
        assert!(matches!(read(&good, "text/plain"), Err(PassportSignatureError::Envelope(_))));
        let other =
            Statement { predicate_type: "https://sovai.dev/revocations/v1".to_owned(), ..good.clone() };
        assert!(matches!(read(&other, PAYLOAD_TYPE), Err(PassportSignatureError::Type(_))));
        let mut swapped = good.clone();
        swapped.subject.reverse();
        assert!(matches!(read(&swapped, PAYLOAD_TYPE), Err(PassportSignatureError::Subjects(2))));
        let mut one = good.clone();
        one.subject.pop();
        assert!(matches!(read(&one, PAYLOAD_TYPE), Err(PassportSignatureError::Subjects(1))));
        let mut bare = good;
        bare.subject[0].digest.clear();
        assert!(matches!(read(&bare, PAYLOAD_TYPE), Err(PassportSignatureError::Digest { .. })));
    }
}
