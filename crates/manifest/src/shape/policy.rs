//! The table of policies.

use super::tables::{API_VERSION, list, one, optional, required};
use super::{Format, Object, Shape};
use crate::policy::FORMAT_WORDS;

const LEVELS: Format =
    Format::OneOf(&["unknown", "digest", "hub-pinned", "corroborated", "countersigned", "publisher"]);
const REACTION: Format = Format::OneOf(&["refuse", "warn", "ignore"]);
const CLAIMS: Format = Format::OneOf(&["ignore", "declared", "proven"]);

/// A whole policy.
pub(crate) static POLICY: Object = Object {
    name: "policy",
    noun: "a policy",
    doc: "What an operator takes, and what not. A key that is left out has the value of the built-in policy.",
    fields: &[
        API_VERSION,
        required("kind", one(Format::Const { text: "Policy", code: "SOV0027" }), "`Policy`."),
        required("metadata", Shape::Object(&METADATA), "What the policy is called."),
        required("spec", Shape::Object(&SPEC), "Its rules."),
    ],
};

static METADATA: Object = Object {
    name: "policyMetadata",
    noun: "`metadata`",
    doc: "What the policy is called.",
    fields: &[required("name", one(Format::Name), "Name of the policy, for reports.")],
};

static SPEC: Object = Object {
    name: "policySpec",
    noun: "`spec`",
    doc: "The rules of a policy.",
    fields: &[
        optional(
            "trust",
            Shape::Object(&TRUST),
            "How strongly a model's origin must be proven, and by whom.",
        ),
        optional("licenses", Shape::Object(&LICENSES), "Which licences are taken."),
        optional("usage", Shape::Object(&USAGE), "Limits of use, from model cards."),
        optional(
            "formats",
            Shape::Object(&FORMATS),
            "What files of a model may be, judged by their content.",
        ),
        optional("origins", Shape::Object(&ORIGINS), "Where models may come from."),
        optional("lineage", Shape::Object(&LINEAGE), "What must be known of a model's descent."),
        optional("images", Shape::Object(&IMAGES), "Where container images may come from."),
        optional(
            "remoteCode",
            one(Format::OneOf(&["refuse", "pinned"])),
            "Python files and `auto_map` of a model. `refuse`: none. `pinned`: only in files whose digest was verified.",
        ),
        optional(
            "templates",
            Shape::Either(Format::OneOf(&["any", "pinned"]), &TEMPLATES),
            "Chat templates. `any`; `pinned`: only in files whose digest was verified; or a mapping that lists their digests.",
        ),
        optional(
            "remainder",
            one(Format::OneOf(&["refuse", "report"])),
            "What a signature does not cover: `refuse` it, or only `report` it.",
        ),
        optional("bundle", Shape::Object(&BUNDLE), "Which bundles may be brought in."),
    ],
};

static BUNDLE: Object = Object {
    name: "policyBundle",
    noun: "`bundle`",
    doc: "Which bundles may be brought in. How many must have signed one is said by `trust.roles.bundle`, how many must have let it pass by `trust.roles.border`.",
    fields: &[
        optional(
            "approval",
            one(Format::OneOf(&["required", "optional"])),
            "Whether somebody at the border must have let it pass: `sovai bundle approve` by a key of the role `border`.",
        ),
        optional(
            "rollback",
            one(Format::OneOf(&["refuse", "allow"])),
            "A bundle that is older than the newest one of its stack that was brought in, or another one with the same number.",
        ),
    ],
};

static TRUST: Object = Object {
    name: "policyTrust",
    noun: "`trust`",
    doc: "How strongly a model's origin must be proven, and by whom. A policy raises what the store asks for; it never lowers it.",
    fields: &[
        optional("minimum", one(LEVELS), "Lowest trust level of a model."),
        optional(
            "models",
            Shape::Map { key: Format::Name, value: &Shape::Scalar(LEVELS), min: 0 },
            "The same for single models, by their name in the manifest; it takes the place of `minimum`.",
        ),
        optional(
            "roles",
            Shape::Object(&ROLES),
            "Which of the store's keys count, and how many of them are needed.",
        ),
        optional(
            "corroboration",
            one(Format::Count { min: 2, max: 16 }),
            "Independent sources that must have shown the same digests for the level `corroborated`.",
        ),
        optional(
            "certificates",
            list(&Shape::Object(&CERTIFICATE)),
            "Whose certificates are taken for signatures over models. Without any, none is.",
        ),
        optional("revocations", Shape::Object(&REVOCATIONS), "How old the knowledge of revocations may be."),
    ],
};

static ROLES: Object = Object {
    name: "policyRoles",
    noun: "`roles`",
    doc: "Roles of keys, as `sovai trust add --role` names them.",
    fields: &[
        optional("publisher", Shape::Object(&ROLE), "Publishes models."),
        optional("countersigner", Shape::Object(&ROLE), "Vouches for models that somebody else published."),
        optional("bundle", Shape::Object(&ROLE), "Signs bundles."),
        optional("border", Shape::Object(&ROLE), "Decides at the border."),
        optional("site", Shape::Object(&ROLE), "Signs this site's own evidence."),
        optional("revocation", Shape::Object(&ROLE), "Signs lists of revocations."),
    ],
};

static ROLE: Object = Object {
    name: "policyRole",
    noun: "a role",
    doc: "What a policy asks of one role, beyond what the store asks.",
    fields: &[
        optional(
            "keys",
            Shape::List { item: &Shape::Scalar(Format::Digest), min: 1 },
            "Ids of keys. Only these count; the store must trust them too.",
        ),
        optional(
            "threshold",
            one(Format::Count { min: 1, max: 64 }),
            "Different keys that must have signed. The store's own threshold holds where it is higher.",
        ),
    ],
};

static CERTIFICATE: Object = Object {
    name: "policyCertificate",
    noun: "a certificate rule",
    doc: "One signer who shows a certificate. At least one of `subject`, `san` and `spki` says who it is.",
    fields: &[
        required(
            "role",
            one(Format::OneOf(&["publisher", "countersigner"])),
            "What the signature counts as.",
        ),
        required(
            "anchors",
            Shape::List { item: &Shape::Scalar(Format::HostPath), min: 1 },
            "PEM files with the trusted certificates, relative to the policy.",
        ),
        optional(
            "intermediates",
            list(&Shape::Scalar(Format::HostPath)),
            "PEM files with further certificates between anchor and signer.",
        ),
        optional("subject", one(Format::Text), "The signer's subject, as RFC 4514 writes it."),
        optional(
            "san",
            one(Format::Text),
            "An alternative name of the signer: DNS name, URI or mail address.",
        ),
        optional("spki", one(Format::Digest), "Digest of the signer's public key (SPKI, DER)."),
        optional("crls", list(&Shape::Scalar(Format::HostPath)), "Files with certificate revocation lists."),
        optional(
            "timestampAnchors",
            list(&Shape::Scalar(Format::HostPath)),
            "PEM files with the trusted certificates of time stamps (RFC 3161).",
        ),
        optional(
            "codeSigning",
            one(Format::OneOf(&["required", "waived"])),
            "Whether the certificate must be for code signing. Default: `required`.",
        ),
    ],
};

static REVOCATIONS: Object = Object {
    name: "policyRevocations",
    noun: "`revocations`",
    doc: "How old the knowledge of revocations may be. Matters only where a trust level rests on a signature.",
    fields: &[
        optional(
            "maxAgeDays",
            one(Format::Count { min: 1, max: 3650 }),
            "Days since the newest list was made. No bound when left out.",
        ),
        optional("stale", one(REACTION), "What follows when it is older, or when there is none."),
    ],
};

static LICENSES: Object = Object {
    name: "policyLicenses",
    noun: "`licenses`",
    doc: "Which licences are taken. The licence text that lies in the model counts, then what the manifest declares, then a hub's label.",
    fields: &[
        optional(
            "allow",
            Shape::List { item: &Shape::Scalar(Format::LicenseId), min: 1 },
            "Only these: SPDX ids and `LicenseRef-...`. Everything that is not denied when left out.",
        ),
        optional("deny", list(&Shape::Scalar(Format::LicenseId)), "Never these, also when `allow` has them."),
        optional(
            "unknown",
            one(REACTION),
            "What follows when no licence is known. Where `allow` is given and this is not: `refuse`.",
        ),
        optional(
            "text",
            one(Format::OneOf(&["required", "warn", "ignore"])),
            "Whether the licence's text must lie in the model and be known by its digest.",
        ),
        optional(
            "mismatch",
            one(REACTION),
            "What follows when text, declaration and label name different licences.",
        ),
        optional(
            "texts",
            list(&Shape::Object(&LICENSE_TEXT)),
            "Further texts, by the digest of their normalised form; `sovai policy check FOLDER` prints it.",
        ),
    ],
};

static LICENSE_TEXT: Object = Object {
    name: "policyLicenseText",
    noun: "a licence text",
    doc: "A licence text that the operator has read.",
    fields: &[
        required("id", one(Format::LicenseId), "The licence."),
        required("sha256", one(Format::Sha256), "SHA-256 of its normalised text."),
    ],
};

static USAGE: Object = Object {
    name: "policyUsage",
    noun: "`usage`",
    doc: "Limits of use, from model cards.",
    fields: &[
        optional(
            "acknowledged",
            list(&Shape::Scalar(Format::Text)),
            "Limits that the operator has read and keeps, word for word as the manifest has them under `usage`.",
        ),
        optional("unacknowledged", one(REACTION), "What follows when a limit is not acknowledged."),
    ],
};

static FORMATS: Object = Object {
    name: "policyFormats",
    noun: "`formats`",
    doc: "What files of a model may be, judged by their content and never by their name.",
    fields: &[
        optional(
            "allow",
            Shape::List { item: &Shape::Scalar(Format::OneOf(FORMAT_WORDS)), min: 1 },
            "Only these kinds of content.",
        ),
        optional(
            "deny",
            list(&Shape::Scalar(Format::OneOf(FORMAT_WORDS))),
            "Never these, also when `allow` has them.",
        ),
        optional("unknown", one(REACTION), "What follows when the content is of no known kind."),
        optional(
            "problems",
            one(REACTION),
            "What follows when a file breaks the rules of its format (SOV2xxx).",
        ),
    ],
};

static ORIGINS: Object = Object {
    name: "policyOrigins",
    noun: "`origins`",
    doc: "Where models may come from.",
    fields: &[
        optional("publishers", Shape::Object(&PATTERNS), "Publishers, as manifests name them."),
        optional(
            "sources",
            Shape::Object(&PATTERNS),
            "Sources, as manifests write them: `file:*`, `hf:ORG/*`.",
        ),
    ],
};

static PATTERNS: Object = Object {
    name: "policyPatterns",
    noun: "a pair of lists",
    doc: "Names that are taken and names that are not. In a name `*` stands for any text.",
    fields: &[
        optional(
            "allow",
            Shape::List { item: &Shape::Scalar(Format::Pattern), min: 1 },
            "Only these. Everything that is not denied when left out.",
        ),
        optional("deny", list(&Shape::Scalar(Format::Pattern)), "Never these, also when `allow` has them."),
    ],
};

static LINEAGE: Object = Object {
    name: "policyLineage",
    noun: "`lineage`",
    doc: "What must be known of a model's descent. Notes are shown as the manifest has them; sovai gives no verdict on them.",
    fields: &[
        optional(
            "base",
            one(CLAIMS),
            "The base model: need not be known, must be `declared`, or must be `proven`.",
        ),
        optional("quantisedBy", one(CLAIMS), "Who quantised it, in the same way."),
        optional(
            "distilledFrom",
            one(Format::OneOf(&["allow", "note", "refuse"])),
            "A model with a `distilledFrom` link: `allow` it, `note` it in the result, or `refuse` it.",
        ),
    ],
};

static IMAGES: Object = Object {
    name: "policyImages",
    noun: "`images`",
    doc: "Where container images may come from.",
    fields: &[optional(
        "registries",
        Shape::Object(&PATTERNS),
        "Names of images with their registry: `registry.example/*`. A name without a registry is also seen as `docker.io/...`.",
    )],
};

static TEMPLATES: Object = Object {
    name: "policyTemplates",
    noun: "`templates`",
    doc: "Chat templates by digest.",
    fields: &[required(
        "digests",
        Shape::List { item: &Shape::Scalar(Format::Digest), min: 1 },
        "Digests of templates, as `sovai inspect` prints them. Only these are taken.",
    )],
};
