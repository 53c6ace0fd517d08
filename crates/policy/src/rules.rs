//! Every rule of policies with its stable code.

use std::fmt::Write as _;

/// A rule that a policy judges by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rule {
    /// Stable code: `SOV1011`. A code is never used again for another rule.
    pub code: &'static str,
    /// What must hold, in one line.
    pub title: &'static str,
    /// Why.
    pub explanation: &'static str,
    /// What to do when it does not hold.
    pub fix: &'static str,
    /// Keys of the policy that steer it.
    pub source: &'static str,
}

/// The rule with this code.
pub fn explain(code: &str) -> Option<&'static Rule> {
    RULES.iter().find(|rule| rule.code == code)
}

/// Every rule, ordered by code.
pub fn rules() -> &'static [Rule] {
    &RULES
}

/// The table of rules, as Markdown, for `docs/policy.md`.
pub fn rules_markdown() -> String {
    let mut out = String::from("| code | rule | why | what to do | keys |\n|---|---|---|---|---|\n");
    for rule in rules() {
        let _ = writeln!(
            out,
            "| {} | {} | {} | {} | {} |",
            rule.code, rule.title, rule.explanation, rule.fix, rule.source
        );
    }
    out
}

static RULES: [Rule; 25] = [
    Rule {
        code: "SOV1001",
        title: "The trust level is high enough",
        explanation: "The level says how strongly a model's origin is proven: `digest` (every byte is what was pinned), `hub-pinned` (the pins are those of a commit at a hub), `corroborated` (independent sources show the same digests), `countersigned` (somebody whom this store trusts signed them), `publisher` (the publisher did).",
        fix: "Bring the proof that is missing: pins, sources, or a signature by a trusted key.",
        source: "`trust.minimum`, `trust.models`, `trust.roles`",
    },
    Rule {
        code: "SOV1002",
        title: "Knowledge of revocations is new enough",
        explanation: "A key that was revoked after the newest list that is here still looks good. It matters only where the trust level rests on a key.",
        fix: "Bring the newest signed list of revocations to this store.",
        source: "`trust.revocations`",
    },
    Rule {
        code: "SOV1010",
        title: "Some licence is known",
        explanation: "Without one nothing may be done with a model. A text that nobody has read, beside a declared licence whose text is not known, is none.",
        fix: "Declare the licence in the manifest, once you have read its text, and pin the text under `licenses.texts`.",
        source: "`licenses.unknown`",
    },
    Rule {
        code: "SOV1011",
        title: "The licence is among those allowed",
        explanation: "Every licence text in the model is judged; where none is known, what the manifest declares; and last a hub's label. An expression holds when enough of its licences are allowed.",
        fix: "Add the licence to `licenses.allow`, if it may be used here.",
        source: "`licenses.allow`",
    },
    Rule {
        code: "SOV1012",
        title: "The licence is not denied",
        explanation: "As for SOV1011; `deny` beats `allow`.",
        fix: "Use another model, or take the licence off `licenses.deny`.",
        source: "`licenses.deny`",
    },
    Rule {
        code: "SOV1013",
        title: "The licence's text is in the model, and known",
        explanation: "A label says what somebody called a licence; the text is the licence. Texts are known by the digest of their normalised form, so that one added clause is another text.",
        fix: "Read the text, and name it under `licenses.texts` with the digest that the message shows.",
        source: "`licenses.text`, `licenses.texts`",
    },
    Rule {
        code: "SOV1014",
        title: "Text, declaration and label name the same licence",
        explanation: "Labels are often wrong: MiniMax-M2.7 was labelled `modified-mit` in a catalogue while its text forbids commercial use without written permission.",
        fix: "The text counts. Correct `license` in the manifest.",
        source: "`licenses.mismatch`",
    },
    Rule {
        code: "SOV1020",
        title: "Every limit of use is acknowledged",
        explanation: "Model cards limit use beyond what the licence says: no medical or legal advice, no surveillance. An operator should have read them.",
        fix: "Add the limit to `usage.acknowledged`, word for word as the manifest has it.",
        source: "`usage`",
    },
    Rule {
        code: "SOV1030",
        title: "Files are of allowed kinds",
        explanation: "The content decides, whatever the name says. Reading a pickle, also one inside a ZIP archive or named .safetensors, can run any code.",
        fix: "Leave the file out of the model, or use weights in safetensors or GGUF.",
        source: "`formats.allow`",
    },
    Rule {
        code: "SOV1031",
        title: "No file is of a denied kind",
        explanation: "As for SOV1030; `deny` beats `allow`.",
        fix: "Leave the file out of the model.",
        source: "`formats.deny`",
    },
    Rule {
        code: "SOV1032",
        title: "Every file is of a known kind",
        explanation: "What nobody recognises, nobody has judged.",
        fix: "Leave the file out of the model, if no engine needs it.",
        source: "`formats.unknown`",
    },
    Rule {
        code: "SOV1033",
        title: "Files keep the rules of their format",
        explanation: "Engines read damaged or cunning headers in different ways: some crash, some load garbage in silence. The rules are SOV2xxx.",
        fix: "Get the file again from its publisher.",
        source: "`formats.problems`",
    },
    Rule {
        code: "SOV1040",
        title: "The publisher is allowed",
        explanation: "What the manifest states under `publisher`; it is believed only as far as the trust level goes.",
        fix: "Add the publisher to the list, if its models may be used here.",
        source: "`origins.publishers`",
    },
    Rule {
        code: "SOV1041",
        title: "The source is allowed",
        explanation: "The source as the manifest writes it, with its scheme: `file:*` is what lies on this host, `hf:ORG/*` what one organisation has at a hub.",
        fix: "Add the source to the list, if it may be used here.",
        source: "`origins.sources`",
    },
    Rule {
        code: "SOV1050",
        title: "The base model is declared or proven",
        explanation: "A fine-tuned model inherits licence and limits of its base.",
        fix: "Add `lineage.base` to the model in the manifest.",
        source: "`lineage.base`",
    },
    Rule {
        code: "SOV1051",
        title: "Who quantised the model is declared or proven",
        explanation: "Weights that somebody else quantised are another file than the publisher's, and nothing but trust in that person connects the two.",
        fix: "Add `lineage.quantisedBy` to the model in the manifest.",
        source: "`lineage.quantisedBy`",
    },
    Rule {
        code: "SOV1052",
        title: "What is said about distillation is as the operator wants it",
        explanation: "Distillation is a common technique, and whether it was fair in one case is disputed. The manifest's notes are shown with their dates; sovai gives no verdict.",
        fix: "Decide: `lineage.distilledFrom: allow`, `note` or `refuse`.",
        source: "`lineage.distilledFrom`",
    },
    Rule {
        code: "SOV1060",
        title: "The image comes from an allowed registry",
        explanation: "The name as the manifest has it, and also with the registry that container engines put before it.",
        fix: "Mirror the image into an allowed registry, or add its name to the list.",
        source: "`images.registries`",
    },
    Rule {
        code: "SOV1070",
        title: "A model brings no code, or only pinned code",
        explanation: "Engines import Python files that `auto_map` names, and flags that should prevent it were bypassed several times (CVE-2025-66448, CVE-2026-22807, CVE-2026-27893).",
        fix: "Leave the files out of the model; or read the code, pin it, and write `remoteCode: pinned`.",
        source: "`remoteCode`",
    },
    Rule {
        code: "SOV1071",
        title: "Chat templates are pinned or listed",
        explanation: "A template is a program that runs on every request. A changed one can change answers while all weights are as published.",
        fix: "Pin the file that holds it; or read the template, and list its digest.",
        source: "`templates`",
    },
    Rule {
        code: "SOV1080",
        title: "A signature covers everything",
        explanation: "Paths that a signature ignores, version control data and other remainders can hold anything.",
        fix: "Take the files out of the folder, or have the model signed with them.",
        source: "`remainder`",
    },
    Rule {
        code: "SOV1090",
        title: "The files were looked at",
        explanation: "Where the bytes are not on this host, only what the manifest declares can be judged; formats, code, templates and licence texts are unknown. Links, special files and what cannot be read are never looked at, so that they are refused.",
        fix: "Bring the files here, and judge again.",
        source: "",
    },
    Rule {
        code: "SOV1100",
        title: "Enough keys signed the bundle",
        explanation: "Whoever brings a bundle in takes all that is in it. Different keys of the role `bundle` are counted, as many as the store asks for, or the policy where it asks for more.",
        fix: "Trust the signer's key, if that is right: `sovai trust add FILE.pub --role bundle`; or have the bundle signed by another one too.",
        source: "`trust.roles.bundle`",
    },
    Rule {
        code: "SOV1101",
        title: "The border let the bundle pass",
        explanation: "A decision by a key of the role `border` speaks of one bundle. One that holds it back counts always, one that lets it pass where the policy asks for it.",
        fix: "Take the bundle to whoever decides at the border: `sovai bundle approve`.",
        source: "`bundle.approval`, `trust.roles.border`",
    },
    Rule {
        code: "SOV1102",
        title: "The bundle is not older than the one that is here",
        explanation: "An old bundle is signed as well as a new one, with the weaknesses that the new one mends.",
        fix: "Ask for the newest bundle; or write `rollback: allow`, if going back is what is wanted.",
        source: "`bundle.rollback`",
    },
];
