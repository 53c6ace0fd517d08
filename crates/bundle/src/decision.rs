//! What is decided about a bundle at the border: signed, and carried along with it.

use crate::signed::{Unfit, statement_of};
use sovai_core::Sha256;
use sovai_signing::dsse::Envelope;

/// `predicateType` of a decision about a bundle.
pub const DECISION_PREDICATE: &str = "https://sovai.dev/border-decision/v1";

/// Whether an envelope is a decision about the bundle whose index has this digest, whoever signed it.
pub(crate) fn check(envelope: &Envelope, digest: Sha256) -> Result<(), Unfit> {
    let (statement, subject) = statement_of(envelope)?;
    if statement.predicate_type != DECISION_PREDICATE {
        return Err(Unfit::Kind(statement.predicate_type.chars().take(80).collect()));
    }
    if subject != digest.hex() {
        return Err(Unfit::Subject { expected: digest.hex(), found: subject });
    }
    Ok(())
}
