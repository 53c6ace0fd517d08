//! Codes of what speaks against signatures and trust: `SOV3xxx`.

use sovai_trust::codes;

/// A rule, for `policy explain` and the documentation.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rule {
    pub(crate) code: &'static str,
    pub(crate) title: &'static str,
    pub(crate) explanation: &'static str,
    /// What to do.
    pub(crate) fix: &'static str,
}

pub(crate) const UNREADABLE: &str = "SOV3001";
pub(crate) const MALFORMED: &str = "SOV3002";
pub(crate) const KEYLESS: &str = "SOV3003";
pub(crate) const METHOD: &str = "SOV3004";
pub(crate) const WRONG_KEY: &str = "SOV3005";
pub(crate) const UNTRUSTED: &str = "SOV3006";
pub(crate) const CERTIFICATE: &str = "SOV3007";
pub(crate) const NOT_COVERED: &str = "SOV3008";
pub(crate) const REMAINDER: &str = "SOV3009";
pub(crate) const OLD_FORM: &str = "SOV3010";
pub(crate) const PASSPORT: &str = "SOV3011";

/// Every rule, by code.
pub(crate) const RULES: &[Rule] = &[
    Rule {
        code: UNREADABLE,
        title: "A signature that is named can be read",
        explanation: "A manifest names a file as a signature, and it is not there or cannot be read.",
        fix: "bring the file there, or take its name out of `signatures`",
    },
    Rule {
        code: MALFORMED,
        title: "A signature is well-formed",
        explanation: "The file is no strict signature bundle or statement: nothing that it says is believed.",
        fix: "get the signature again from its signer",
    },
    Rule {
        code: KEYLESS,
        title: "A signature is by a key or a certificate",
        explanation: "A keyless signature (a short-lived certificate and a transparency log) is recognised, and not verified yet.",
        fix: "ask the signer for a signature by a key or a certificate",
    },
    Rule {
        code: METHOD,
        title: "A signature is of the kind that was asked for",
        explanation: "A key was named and the signature is by a certificate, or the other way round.",
        fix: "name what it was signed with",
    },
    Rule {
        code: WRONG_KEY,
        title: "A signature holds",
        explanation: "The signature is by another key, or something in it was changed.",
        fix: "check that the public key is the signer's; get the signature again",
    },
    Rule {
        code: UNTRUSTED,
        title: "A signature is by a key that this store trusts",
        explanation: "No key with the role `publisher` or `countersigner` fits the signature.",
        fix: "if the signer is to be trusted: `sovai trust add FILE.pub --role ROLE`, after its fingerprint was compared",
    },
    Rule {
        code: CERTIFICATE,
        title: "A signer's certificate is judged and is the expected one",
        explanation: "The chain must lead to a named anchor, at the time of signing, for code signing, and to the pinned signer.",
        fix: "check anchors, pin and time; `docs/certificates.md` says what each of them means",
    },
    Rule {
        code: NOT_COVERED,
        title: "A signature covers every pinned file",
        explanation: "The signed list lacks a pinned file, or has other bytes for it: it vouches for another model.",
        fix: "have the model signed as it is pinned, or pin what was signed",
    },
    Rule {
        code: REMAINDER,
        title: "Nothing lies beside what was signed",
        explanation: "Paths that a signature says to ignore can hold anything, and engines read all that lies there.",
        fix: "take it out of the folder, or verify with `--compat`, which reports it and goes on",
    },
    Rule {
        code: OLD_FORM,
        title: "A signature has the form of OpenSSF Model Signing v1.0",
        explanation: "Older tools wrote other forms, some of them broken. They are read with `--compat`, and each is named.",
        fix: "have the model signed anew, or read it with `--compat`",
    },
    Rule {
        code: PASSPORT,
        title: "A passport is whole, and by somebody who is trusted",
        explanation: "The passport is damaged, its signature is over another one, or no trusted key fits it.",
        fix: "get the passport and its signature again; trust its signer with `sovai trust add FILE.pub`",
    },
    Rule {
        code: codes::MODEL_REVOKED,
        title: "The model is not revoked",
        explanation: "The newest signed list of revocations names the model or one of its files.",
        fix: "do not use it; `sovai trust list` shows the list's reason",
    },
    Rule {
        code: codes::KEY_UNKNOWN,
        title: "Signers are trusted in a role that vouches for models",
        explanation: "The signature holds, and its key counts for nothing here.",
        fix: "sovai trust add FILE.pub --role countersigner",
    },
    Rule {
        code: codes::KEY_REVOKED,
        title: "Signers are not revoked",
        explanation: "A revoked key never counts again, whenever it signed.",
        fix: "have the model signed by another key",
    },
    Rule {
        code: codes::KEY_EXPIRED,
        title: "Signers have not expired",
        explanation: "The last day on which this store trusts the key has passed.",
        fix: "have the model signed by a key that is trusted now",
    },
    Rule {
        code: codes::KEY_OF_OTHER_PUBLISHER,
        title: "A publisher's key signs that publisher's models",
        explanation: "The key is bound to another publisher than the one that the manifest names.",
        fix: "check `publisher` in the manifest",
    },
    Rule {
        code: codes::CLOCK_BEHIND,
        title: "The clock is not behind what was signed",
        explanation: "Expiry is judged by the newest signed time, since a clock that was set back makes old keys look good.",
        fix: "set the clock",
    },
    Rule {
        code: codes::TIME_AHEAD,
        title: "Signed times do not lie in the future",
        explanation: "A signed time lies more than a day ahead of all that is known; it moves nothing until the clock comes near.",
        fix: "check this host's clock, and the signer's",
    },
    Rule {
        code: codes::SOURCE_DIFFERS,
        title: "Other sources show the same digests",
        explanation: "A recorded source has other bytes for a file of the same name.",
        fix: "find out which of the two is the publisher's",
    },
    Rule {
        code: codes::EVIDENCE_DAMAGED,
        title: "The evidence log is whole",
        explanation: "Nothing in a log that was changed counts.",
        fix: "restore `evidence/` from a copy",
    },
];

/// What to do about a code.
pub(crate) fn hint(code: &str) -> Option<&'static str> {
    RULES.iter().find(|rule| rule.code == code).map(|rule| rule.fix)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_sorted_and_each_has_a_rule() {
        assert!(RULES.is_sorted_by(|a, b| a.code < b.code));
        assert!(RULES.iter().all(|rule| rule.code.starts_with("SOV3") && !rule.fix.is_empty()));
        assert!(hint(codes::KEY_REVOKED).is_some() && hint("SOV9999").is_none());
    }
}
