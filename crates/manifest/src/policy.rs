//! The typed policy: what an operator takes, and what not.
//!
//! Values here are already checked; only [`crate::parse_policy`] makes them. What a file leaves out has the value of the
//! built-in policy, `data/policy.yaml`.

mod build;
mod cross;
mod lines;

use crate::Diagnostic;
use crate::shape::POLICY;
use lines::Lines;
use serde::Serialize;
use sovai_core::{Name, Sha256, TrustLevel};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::OnceLock;

pub(crate) use cross::policy as check;

/// Words for kinds of content, as `formats.allow` and `formats.deny` name them: those of `sovai_formats::ContentType`
/// but `unknown`, for which `formats.unknown` is.
pub const FORMAT_WORDS: &[&str] = &[
    "empty",
    "safetensors",
    "gguf",
    "json",
    "text",
    "jinja",
    "python",
    "pickle",
    "torch-zip",
    "zip",
    "seven-zip",
    "rar",
    "tar",
    "gzip",
    "bzip2",
    "xz",
    "zstd",
    "elf",
    "pe",
    "mach-o",
    "wasm",
    "llamafile",
    "onnx",
    "tf-lite",
    "hdf5",
    "keras",
    "npy",
    "npz",
    "sentence-piece",
    "git-lfs-pointer",
    "script",
    "image",
    "pdf",
];

/// The text of the built-in policy.
pub const BUILT_IN_POLICY: &str = include_str!("../data/policy.yaml");

/// A whole policy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Policy {
    /// `metadata.name`.
    pub name: Name,
    /// `spec.trust`.
    pub trust: TrustRules,
    /// `spec.licenses`.
    pub licenses: LicenseRules,
    /// `spec.usage`.
    pub usage: UsageRules,
    /// `spec.formats`.
    pub formats: FormatRules,
    /// `spec.origins`.
    pub origins: OriginRules,
    /// `spec.lineage`.
    pub lineage: LineageRules,
    /// `spec.images.registries`.
    pub registries: Patterns,
    /// `spec.remoteCode`.
    pub remote_code: RemoteCode,
    /// `spec.templates`.
    pub templates: Templates,
    /// `spec.remainder`.
    pub remainder: RemainderRule,
    /// `spec.bundle`.
    pub bundle: BundleRules,
    /// Where each key stands in the file.
    #[serde(skip)]
    lines: Lines,
}

/// What follows when something is not as it should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reaction {
    /// Nothing.
    Ignore,
    /// It is said, and taken.
    Warn,
    /// It is refused.
    Refuse,
}

/// How strongly a model's origin must be proven, and by whom.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TrustRules {
    /// Lowest trust level of a model.
    pub minimum: TrustLevel,
    /// The same for single models, in place of `minimum`.
    pub models: BTreeMap<Name, TrustLevel>,
    /// What is asked of each role beyond what the store asks.
    pub roles: BTreeMap<Role, RoleRules>,
    /// Independent sources needed for the level `corroborated`; at least 2.
    pub corroboration: u32,
    /// Whose certificates are taken.
    pub certificates: Vec<CertificateRules>,
    /// How old the knowledge of revocations may be.
    pub revocations: RevocationRules,
}

/// What a key may do, as `sovai trust add --role` names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// Publishes models.
    Publisher,
    /// Vouches for models that somebody else published.
    Countersigner,
    /// Signs bundles.
    Bundle,
    /// Decides at the border.
    Border,
    /// Signs this site's own evidence.
    Site,
    /// Signs lists of revocations.
    Revocation,
}

impl Role {
    /// All roles.
    pub const ALL: [Self; 6] =
        [Self::Publisher, Self::Countersigner, Self::Bundle, Self::Border, Self::Site, Self::Revocation];

    /// The role's word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Publisher => "publisher",
            Self::Countersigner => "countersigner",
            Self::Bundle => "bundle",
            Self::Border => "border",
            Self::Site => "site",
            Self::Revocation => "revocation",
        }
    }
}

/// What a policy asks of one role. It raises what the store asks, and never lowers it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct RoleRules {
    /// Ids of keys (SHA-256 of the SPKI DER): only these count. `None`: all that the store trusts in this role.
    pub keys: Option<Vec<Sha256>>,
    /// Different keys that must have signed; the store's own threshold holds where it is higher.
    pub threshold: Option<u32>,
}

/// One signer who shows a certificate. Paths are relative to the policy file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CertificateRules {
    /// What the signature counts as: `publisher` or `countersigner`.
    pub role: Role,
    /// PEM files with the trusted certificates; at least one.
    pub anchors: Vec<PathBuf>,
    /// PEM files with further certificates.
    pub intermediates: Vec<PathBuf>,
    /// The signer's subject (RFC 4514).
    pub subject: Option<String>,
    /// An alternative name of the signer.
    pub san: Option<String>,
    /// SHA-256 of the signer's SPKI DER.
    pub spki: Option<Sha256>,
    /// Files with certificate revocation lists.
    pub crls: Vec<PathBuf>,
    /// PEM files with the trusted certificates of time stamps.
    pub timestamp_anchors: Vec<PathBuf>,
    /// Whether the certificate need not be for code signing.
    pub waive_code_signing: bool,
}

/// How old the knowledge of revocations may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RevocationRules {
    /// Days since the newest list was made; `None` is no bound.
    pub max_age_days: Option<u32>,
    /// What follows when it is older, or when there is none.
    pub stale: Reaction,
}

/// Which licences are taken.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LicenseRules {
    /// Only these ids; `None`: all that are not denied.
    pub allow: Option<Vec<String>>,
    /// Never these ids, also when `allow` has them.
    pub deny: Vec<String>,
    /// What follows when no licence is known.
    pub unknown: Reaction,
    /// What follows when no licence text lies in the model, or none that is known.
    pub text: Reaction,
    /// What follows when text, declaration and label name different licences.
    pub mismatch: Reaction,
    /// Further texts: SHA-256 of the normalised text, and the licence that it is.
    pub texts: BTreeMap<Sha256, String>,
}

/// Limits of use, from model cards.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct UsageRules {
    /// Limits that the operator has read and keeps.
    pub acknowledged: Vec<String>,
    /// What follows when a limit is not among them.
    pub unacknowledged: Reaction,
}

/// What files of a model may be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FormatRules {
    /// Only these kinds of content, each one of [`FORMAT_WORDS`].
    pub allow: Vec<String>,
    /// Never these, also when `allow` has them.
    pub deny: Vec<String>,
    /// What follows when the content is of no known kind.
    pub unknown: Reaction,
    /// What follows when a file breaks the rules of its format.
    pub problems: Reaction,
}

/// Where models may come from.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct OriginRules {
    /// Publishers.
    pub publishers: Patterns,
    /// Sources, as manifests write them.
    pub sources: Patterns,
}

/// Names that are taken and names that are not; `*` stands for any text.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Patterns {
    /// Only these; `None`: all that are not denied.
    pub allow: Option<Vec<String>>,
    /// Never these.
    pub deny: Vec<String>,
}

/// What must be known of a model's descent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct LineageRules {
    /// The base model.
    pub base: ClaimRule,
    /// Who quantised it.
    pub quantised_by: ClaimRule,
    /// A model that says it was distilled from another one.
    pub distilled_from: DistilledRule,
}

/// How strongly a link of a lineage must be known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum ClaimRule {
    /// It need not be there.
    Ignore,
    /// Somebody must say so.
    Declared,
    /// It must be shown by digests or signatures.
    Proven,
}

/// What follows from a `distilledFrom` link.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum DistilledRule {
    /// Nothing.
    Allow,
    /// The result says so, with the manifest's notes.
    Note,
    /// The model is refused.
    Refuse,
}

/// Whether a model may bring code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum RemoteCode {
    /// No code at all.
    Refuse,
    /// Only in files whose digest was verified.
    Pinned,
}

/// Which chat templates are taken.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Templates {
    /// Any.
    Any,
    /// Those in files whose digest was verified.
    Pinned,
    /// Those with these digests.
    Digests(Vec<Sha256>),
}

/// What follows from files that a signature does not cover.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum RemainderRule {
    /// The model is refused.
    Refuse,
    /// They are listed.
    Report,
}

/// Which bundles may be brought in. How many must have signed is said in [`TrustRules::roles`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct BundleRules {
    /// Whether somebody at the border must have let it pass.
    pub approval: ApprovalRule,
    /// A bundle that is older than the newest one of its stack that was brought in.
    pub rollback: RollbackRule,
}

/// Whether somebody at the border must have let a bundle pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum ApprovalRule {
    /// It need not be there.
    Optional,
    /// As many keys of the role `border` as the store asks for.
    Required,
}

/// What follows when a bundle is older than the newest one of its stack that was brought in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum RollbackRule {
    /// It is taken.
    Allow,
    /// It is refused.
    Refuse,
}

impl Policy {
    /// The policy that holds where none is named.
    pub fn built_in() -> &'static Self {
        static BUILT_IN: OnceLock<Policy> = OnceLock::new();
        BUILT_IN.get_or_init(|| match parse_policy(BUILT_IN_POLICY.as_bytes()) {
            (Some(policy), _) => policy,
            // The text is part of the binary and a test reads it, so this cannot fail on a user's machine.
            (None, diagnostics) => unreachable!("data/policy.yaml: {diagnostics:?}"),
        })
    }

    /// The lowest trust level of a model with this name in the manifest; `None` for a model without a name.
    pub fn minimum(&self, model: Option<&str>) -> TrustLevel {
        let own = |name| self.trust.models.iter().find(|(key, _)| key.as_str() == name);
        model.and_then(own).map_or(self.trust.minimum, |(_, level)| *level)
    }

    /// Line of a key in the policy file, from 1: `spec.licenses.deny`, `spec.licenses.deny[2]`. `None` where the file
    /// leaves the key out, so that the built-in policy's value holds.
    pub fn line(&self, key: &str) -> Option<u32> {
        self.lines.get(key)
    }
}

/// Reads a policy; diagnostics are as good as a manifest's. `Some` unless one of them is an error.
///
/// Pure: files that the policy names are not looked at. At most [`crate::MAX_BYTES`] are taken.
pub fn parse_policy(bytes: &[u8]) -> (Option<Policy>, Vec<Diagnostic>) {
    crate::read(bytes, crate::yaml::Limits::WRITTEN, &POLICY, check, |root| build::policy(root, bytes))
}

#[cfg(test)]
pub(crate) mod tests;
