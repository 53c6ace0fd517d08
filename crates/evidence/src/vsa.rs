//! SLSA verification summaries (VSA v1): what was verified, by whom, against which policy, with which result.
//!
//! Field names are those of <https://slsa.dev/spec/v1.1/verification_summary>. A summary is a statement of its own; in
//! the evidence log it gets the members `seq` and `previous` too, which other readers must ignore.

use crate::time::rfc3339;
use serde_json::{Value, json};
use sovai_core::{Sha256, TrustLevel};
use sovai_signing::statement::{Statement, Subject};
use std::collections::BTreeMap;

/// Predicate type of a verification summary.
pub const PREDICATE_TYPE: &str = "https://slsa.dev/verification_summary/v1";
/// Version of the SLSA specification that these summaries follow.
pub const SLSA_VERSION: &str = "1.1";
/// How sovai names itself as a verifier.
pub const VERIFIER_ID: &str = "https://sovai.dev/verifier";

/// How a verification ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Everything that the policy asks for holds.
    Passed,
    /// Something does not.
    Failed,
}

/// Something that is named by an address and the digest of its bytes: a policy, a signature, a passport.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Named {
    /// A URI.
    pub uri: String,
    /// SHA-256 of its bytes.
    pub digest: Sha256,
}

/// One verification of one model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Summary {
    /// The model's name.
    pub name: String,
    /// The model digest.
    pub digest: Sha256,
    /// Version of sovai.
    pub version: String,
    /// When, in seconds since 1970, UTC.
    pub time_verified: u64,
    /// Where the model comes from, for example `hf:ORG/NAME@REVISION`.
    pub resource_uri: String,
    /// The policy that was applied.
    pub policy: Named,
    /// All the signatures and passports that were used.
    pub input_attestations: Vec<Named>,
    /// How it ended.
    pub result: Outcome,
    /// How strongly the model's origin is proven; written only when the result is [`Outcome::Passed`].
    pub trust: TrustLevel,
}

impl Summary {
    /// The statement. The same summary gives the same statement.
    ///
    /// `verifiedLevels` is one custom level, `SOVAI_TRUST_PUBLISHER` and so on (the prefix `SLSA_` is for the levels of
    /// SLSA's own tracks, none of which sovai judges), or `FAILED`.
    pub fn statement(&self) -> Statement {
        let (result, levels) = match self.result {
            Outcome::Passed => ("PASSED", level_name(self.trust)),
            Outcome::Failed => ("FAILED", "FAILED".to_owned()),
        };
        let mut inputs: Vec<&Named> = self.input_attestations.iter().collect();
        inputs.sort();
        inputs.dedup();
        let inputs: Vec<Value> = inputs.into_iter().map(descriptor).collect();
        Statement {
            subject: vec![Subject {
                name: self.name.clone(),
                digest: BTreeMap::from([("sha256".to_owned(), self.digest.hex())]),
            }],
            predicate_type: PREDICATE_TYPE.to_owned(),
            predicate: json!({
                "verifier": { "id": VERIFIER_ID, "version": { "sovai": self.version } },
                "timeVerified": rfc3339(self.time_verified),
                "resourceUri": self.resource_uri,
                "policy": descriptor(&self.policy),
                "inputAttestations": inputs,
                "verificationResult": result,
                "verifiedLevels": [levels],
                "slsaVersion": SLSA_VERSION,
            }),
        }
    }
}

/// `SOVAI_TRUST_HUB_PINNED`: a trust level as a custom level of a summary.
pub fn level_name(level: TrustLevel) -> String {
    format!("SOVAI_TRUST_{}", level.as_str().to_uppercase().replace('-', "_"))
}

/// An in-toto `ResourceDescriptor`.
fn descriptor(named: &Named) -> Value {
    json!({ "uri": named.uri, "digest": { "sha256": named.digest.hex() } })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn summary() -> Summary {
        let digest = |byte| Sha256::from_bytes([byte; 32]);
        Summary {
            name: "assistant".to_owned(),
            digest: digest(1),
            version: "0.1.0".to_owned(),
            time_verified: 1_764_028_800,
            resource_uri: "file:./weights".to_owned(),
            policy: Named { uri: "sovai:policy/built-in".to_owned(), digest: digest(2) },
            input_attestations: vec![
                Named { uri: "file:b.sig".to_owned(), digest: digest(4) },
                Named { uri: "file:a.sig".to_owned(), digest: digest(3) },
                Named { uri: "file:b.sig".to_owned(), digest: digest(4) },
            ],
            result: Outcome::Passed,
            trust: TrustLevel::HubPinned,
        }
    }

    #[test]
    fn a_summary_has_the_fields_of_the_specification() {
        let statement = summary().statement();
        assert_eq!(statement.predicate_type, "https://slsa.dev/verification_summary/v1");
        assert_eq!(
            statement.predicate,
            json!({
                "verifier": { "id": "https://sovai.dev/verifier", "version": { "sovai": "0.1.0" } },
                "timeVerified": "2025-11-25T00:00:00Z",
                "resourceUri": "file:./weights",
                "policy": { "uri": "sovai:policy/built-in", "digest": { "sha256": "02".repeat(32) } },
                "inputAttestations": [
                    { "uri": "file:a.sig", "digest": { "sha256": "03".repeat(32) } },
                    { "uri": "file:b.sig", "digest": { "sha256": "04".repeat(32) } },
                ],
                "verificationResult": "PASSED",
                "verifiedLevels": ["SOVAI_TRUST_HUB_PINNED"],
                "slsaVersion": "1.1",
            })
        );
    }

    #[test]
    fn what_failed_names_no_level() {
        let statement = Summary { result: Outcome::Failed, ..summary() }.statement();
        assert_eq!(statement.predicate["verificationResult"], "FAILED");
        assert_eq!(statement.predicate["verifiedLevels"], json!(["FAILED"]));
    }

    #[test]
    fn no_level_has_the_prefix_of_slsa() {
        for level in TrustLevel::ALL {
            assert!(level_name(level).starts_with("SOVAI_TRUST_"), "{level}");
        }
    }
}
