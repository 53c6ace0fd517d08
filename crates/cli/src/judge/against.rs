//! What speaks against a model, as findings.

use super::{Verdict, rules};
use serde_json::{Value, json};
use sovai_trust::{Level, codes};

/// What speaks against a model or its signatures, whatever the policy says, as findings. Those with `severity`
/// `refuse` end in exit code 5.
///
/// `named` says that somebody asked for just these signatures: then one by a key that does not count is refused. A
/// revoked key and a revoked model are refused always.
pub(crate) fn against(level: &Level, signatures: &[Verdict], named: bool) -> Vec<Value> {
    let mut findings = refused_signatures(signatures);
    for refusal in &level.refusals {
        let severity = match refusal.code {
            codes::MODEL_REVOKED | codes::KEY_REVOKED => "refuse",
            codes::KEY_UNKNOWN | codes::KEY_EXPIRED | codes::KEY_OF_OTHER_PUBLISHER if named => "refuse",
            _ => "warn",
        };
        findings.push(json!({
            "type": "trust", "severity": severity, "code": refusal.code, "subject": refusal.subject,
            "message": refusal.message, "hint": rules::hint(refusal.code),
        }));
    }
    findings
}

/// Signatures that count for nothing, as findings that refuse.
pub(crate) fn refused_signatures(signatures: &[Verdict]) -> Vec<Value> {
    let refused = signatures.iter().filter_map(|verdict| verdict.refused().map(|why| (verdict, why)));
    refused
        .map(|(verdict, why)| {
            json!({
                "type": "signature", "severity": "refuse", "code": why.code, "path": verdict.file,
                "message": format!("{}: {}", verdict.file, why.message), "hint": why.hint,
            })
        })
        .collect()
}

/// Whether one of these findings refuses.
pub(crate) fn refuses(findings: &[Value]) -> bool {
    findings.iter().any(|finding| finding["severity"] == "refuse")
}
