//! How strongly a model is vouched for, and what a policy says of it: what `verify` and `deploy` have in common.
//!
//! A [`Judge`] is made once a run. [`Judge::signatures`] reads the signatures that a manifest names and compares their
//! lists with the pins, in memory; [`Judge::model`] adds the trust level; [`Judge::decide`] asks the policy. Bytes are
//! compared elsewhere: whoever calls says whether they are what was pinned.

mod against;
mod certificate;
pub(crate) mod rules;
mod signature;
pub(crate) mod stack;
mod text;

pub(crate) use against::{against, refused_signatures, refuses};
pub(crate) use certificate::{CertificateFact, CertificateTrust, Files as CertificateFiles};
pub(crate) use signature::{Refused, Signers, Verdict, digest, opened};
pub(crate) use text::{level_text, remainder_text, signature_text};

use crate::error::CliError;
use crate::facts::{self, Pinned};
use crate::manifest::ManifestFile;
use crate::policy::PolicyFile;
use sovai_core::{FilePin, Name, RelPath, Reporter, Sha256, TrustLevel};
use sovai_manifest::{LockedModel, Policy, Role as PolicyRole, RoleRules};
use sovai_policy::{Facts, Judgement, ModelFacts, RemainderFact, RevocationFact, Subject, TrustFact};
use sovai_signing::KeyId;
use sovai_signing::oms::Compat;
use sovai_store::{Store, model_manifest};
use sovai_trust::{
    Basis, Certified, DEFAULT_SOURCES, Demand, GitBlob, Level, LevelInput, Quorum, Role, SignedBy,
    TrustStore, Uncounted, Why, Witnesses,
};
use sovai_verifier::{Examination, Options, Remainder};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

/// What a store trusts, what a policy asks, and what time it is.
#[derive(Debug)]
pub(crate) struct Judge {
    /// The policy; `None` where none is asked.
    pub(crate) policy: Option<PolicyFile>,
    /// Whom the store trusts.
    pub(crate) trust: TrustStore,
    witnesses: Witnesses,
    /// Whose certificates the policy takes.
    certificates: Vec<(Role, CertificateTrust)>,
    demands: Vec<Demand>,
    sources: u32,
    /// The system's clock, in seconds since 1970.
    pub(crate) system: u64,
}

/// A model, and what was found out about its bytes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ModelInput<'a> {
    /// What the bytes were compared with.
    pub(crate) basis: Basis,
    /// Whether every byte is what was pinned or signed.
    pub(crate) matches: bool,
    /// The pinned or signed files.
    pub(crate) pins: &'a [FilePin],
    /// Which files count: of a signature, also those of which it lists no SHA-256.
    pub(crate) pinned: &'a Pinned,
    /// The model digest; `None` where lengths of files are not known.
    pub(crate) digest: Option<Sha256>,
    /// Where the files lie.
    pub(crate) folder: &'a Path,
    /// What they are; `None` where nobody looked.
    pub(crate) examination: Option<&'a Examination>,
    /// Files that a signature or a passport was asked for and does not cover.
    pub(crate) unsigned: &'a [Remainder],
    /// Signatures, as they were judged.
    pub(crate) signatures: &'a [Verdict],
    /// The revision that the manifest or its lock names.
    pub(crate) revision: Option<&'a str>,
    /// Whether the pins are those that a hub listed for that revision.
    pub(crate) resolved_at_hub: bool,
    /// Git's ids of files, from the same bytes.
    pub(crate) git_blobs: &'a BTreeMap<RelPath, GitBlob>,
}

/// A model as it was judged.
#[derive(Debug)]
pub(crate) struct ModelJudgement {
    /// How strongly its origin is proven.
    pub(crate) level: Level,
    /// What the policy is to judge by.
    pub(crate) facts: ModelFacts,
    /// The model digest.
    pub(crate) digest: Option<Sha256>,
}

impl ModelJudgement {
    /// Takes the level back: what it rests on is vouched for by nobody.
    pub(crate) fn unknown(&mut self, why: &str) {
        self.level.level = TrustLevel::Unknown;
        self.level.why = vec![why.to_owned()];
        self.level.vouchers.clear();
        self.level.missing = vec!["for `digest`: pins, or a signature by somebody who is trusted".to_owned()];
        self.facts.trust = Some(TrustFact {
            level: TrustLevel::Unknown,
            why: self.level.why.clone(),
            revocations: RevocationFact::NotNeeded,
        });
    }
}

/// A model of a manifest, judged.
#[derive(Debug)]
pub(crate) struct Judged {
    /// Its level, and what the policy judges by.
    pub(crate) judgement: ModelJudgement,
    /// Its signatures.
    pub(crate) signatures: Vec<Verdict>,
    /// What its files are.
    pub(crate) examination: Examination,
}

impl Judge {
    /// Reads what the store trusts and what the policy's files say. Without a store nobody is trusted.
    pub(crate) fn new(store: Option<&Store>, policy: Option<PolicyFile>) -> Result<Self, CliError> {
        let system = SystemTime::now().duration_since(UNIX_EPOCH).map_err(CliError::internal)?.as_secs();
        let trust = match store {
            Some(store) => TrustStore::open(store).map_err(trust_error)?,
            None => TrustStore::empty(),
        };
        let witnesses = trust.witnesses(system).map_err(trust_error)?;
        let mut judge = Self {
            policy,
            trust,
            witnesses,
            certificates: Vec::new(),
            demands: Vec::new(),
            sources: DEFAULT_SOURCES,
            system,
        };
        if let Some(file) = &judge.policy {
            let rules = &file.policy.trust;
            judge.sources = rules.corroboration;
            judge.certificates = CertificateTrust::of_policy(file)?;
            judge.demands = demands(&file.policy);
        }
        Ok(judge)
    }

    /// The later of the system's clock and the newest signed time: by this, certificates are judged.
    pub(crate) fn now(&self) -> u64 {
        self.trust.now(self.system).effective
    }

    /// Judges the signatures that a manifest names for a model: each must be readable, by a key or certificate that is
    /// trusted here, and cover every pinned file with its pinned SHA-256.
    pub(crate) fn signatures(
        &self,
        file: &ManifestFile,
        model: &Name,
        pins: &[FilePin],
        compat: Compat,
    ) -> Vec<Verdict> {
        let Some(named) = file.manifest.models.get(model) else { return Vec::new() };
        let own: Vec<&Path> = named.signatures.iter().map(std::path::PathBuf::as_path).collect();
        let folder = file.local_source(model).ok();
        // A signature that lies in the model and is pinned cannot cover itself.
        let is_signature = |pin: &FilePin| {
            folder.as_deref().is_some_and(|folder| {
                own.iter().any(|path| file.resolve(path) == folder.join(pin.path.as_str()))
            })
        };
        let pins: Vec<FilePin> = pins.iter().filter(|pin| !is_signature(pin)).cloned().collect();
        named
            .signatures
            .iter()
            .map(|path| signature::of_manifest(self, path, &file.resolve(path), &pins, compat))
            .collect()
    }

    /// The trust level of a model, and the facts for the policy. `declared` is what is known of it besides its files.
    pub(crate) fn model(&self, mut declared: ModelFacts, input: &ModelInput<'_>) -> ModelJudgement {
        let signed: Vec<SignedBy<'_>> = input
            .signatures
            .iter()
            .flat_map(|verdict| verdict.by().iter().map(move |by| (verdict, by)))
            .map(|(verdict, by)| SignedBy {
                key: by.key,
                what: &verdict.file,
                when: by.when,
                certified: by
                    .role
                    .zip(by.certificate.as_ref())
                    .map(|(role, of)| Certified { role, subject: &of.subject }),
            })
            .collect();
        let digests: Vec<Sha256> =
            input.signatures.iter().filter_map(Verdict::root).chain(input.digest).collect();
        let level = self.trust.level(&LevelInput {
            basis: input.basis,
            matches: input.matches,
            pins: input.pins,
            digests: &digests,
            git_blobs: input.git_blobs,
            publisher: declared.publisher.as_deref(),
            source: declared.source.as_deref(),
            revision: input.revision,
            resolved_at_hub: input.resolved_at_hub,
            signatures: &signed,
            witnesses: &self.witnesses,
            sources: self.sources,
            demands: &self.demands,
            system: self.system,
        });
        declared.trust = (!input.pins.is_empty() || !signed.is_empty()).then(|| TrustFact {
            level: level.level,
            why: level.why.clone(),
            revocations: revocations(&level),
        });
        if declared.hub_license.is_none() {
            declared.hub_license = facts::hub_label(input.folder, input.pinned);
        }
        if let Some(examination) = input.examination {
            facts::add_examination(&mut declared, examination, input.pinned);
        }
        declared.remainder = input
            .unsigned
            .iter()
            .map(|left| RemainderFact { path: left.path.clone(), reason: left.reason.to_string() })
            .collect();
        ModelJudgement { level, facts: declared, digest: input.digest }
    }

    /// Looks at a model of a manifest, judges its signatures and its trust level. `folder` is where its files lie, of
    /// `deploy` the store's tree; `matches` says whether their bytes are what is pinned.
    #[expect(clippy::too_many_arguments, reason = "each is one plain thing, and both callers have them all")]
    pub(crate) fn stack_model(
        &self,
        file: &ManifestFile,
        name: &Name,
        locked: Option<&LockedModel>,
        pins: &[FilePin],
        folder: &Path,
        matches: bool,
        compat: Compat,
        options: &Options,
        reporter: &dyn Reporter,
    ) -> Result<Judged, CliError> {
        let model = file.manifest.models.get(name);
        let pinned = Pinned::of(pins);
        let examination = pinned.examine(folder, true, options)?;
        let signatures = self.signatures(file, name, pins, compat);
        let git_blobs = self.git_blobs(folder, pins, options, reporter)?;
        let (revision, resolved_at_hub) = facts::at_hub(model, locked, pins);
        let declared = match model {
            Some(model) => facts::declared(name, model, locked),
            None => ModelFacts::new(Subject::Model(name.as_str().to_owned())),
        };
        let input = ModelInput {
            basis: Basis::Pins,
            matches,
            pins,
            pinned: &pinned,
            digest: Some(model_manifest(pins).1),
            folder,
            examination: Some(&examination),
            unsigned: &[],
            signatures: &signatures,
            revision,
            resolved_at_hub,
            git_blobs: &git_blobs,
        };
        let judgement = self.model(declared, &input);
        Ok(Judged { judgement, signatures, examination })
    }

    /// Git's ids of small files, where something was witnessed that may have nothing else of them.
    pub(crate) fn git_blobs(
        &self,
        folder: &Path,
        pins: &[FilePin],
        options: &Options,
        reporter: &dyn Reporter,
    ) -> Result<BTreeMap<RelPath, GitBlob>, CliError> {
        if self.witnesses.sightings.is_empty() {
            return Ok(BTreeMap::new());
        }
        let ids = sovai_verifier::git_blobs(folder, pins, options, reporter)?;
        Ok(ids
            .into_iter()
            .filter_map(|(path, id)| Some((path, GitBlob::from_hex(&id.to_string())?)))
            .collect())
    }

    /// Whether nothing was ever seen elsewhere, so that no witness can raise a level.
    pub(crate) fn has_no_witness(&self) -> bool {
        self.witnesses.sightings.is_empty()
    }

    /// Asks the policy; no decisions where there is none.
    pub(crate) fn decide(&self, facts: &Facts) -> Judgement {
        self.policy.as_ref().map_or_else(Judgement::default, |file| sovai_policy::judge(&file.policy, facts))
    }
}

fn revocations(level: &Level) -> RevocationFact {
    if level.vouchers.iter().all(|voucher| voucher.role.is_none()) {
        return RevocationFact::NotNeeded;
    }
    match level.revocations {
        None => RevocationFact::NoList,
        Some(known) => RevocationFact::Days(u32::try_from(known.age / 86_400).unwrap_or(u32::MAX)),
    }
}

/// What a policy asks of roles.
fn demands(policy: &Policy) -> Vec<Demand> {
    let demand = |(role, rules): (&PolicyRole, &RoleRules)| Demand {
        role: trust_role(*role),
        keys: rules.keys.as_ref().map(|keys| keys.iter().copied().map(KeyId).collect()),
        threshold: rules.threshold.unwrap_or(1),
    };
    policy.trust.roles.iter().map(demand).collect()
}

/// Who of `signers` counts for a role, by the store and by the policy, and how many of them are needed.
pub(crate) fn quorum(
    trust: &TrustStore,
    policy: &Policy,
    role: Role,
    signers: &BTreeSet<KeyId>,
    system: u64,
) -> Quorum {
    let mut quorum = trust.quorum(role, None, signers, system);
    for demand in demands(policy).into_iter().filter(|demand| demand.role == role) {
        quorum.needed = quorum.needed.max(demand.threshold);
        let Some(keys) = demand.keys else { continue };
        let counted = std::mem::take(&mut quorum.counted);
        for key in counted {
            if keys.contains(&key) {
                quorum.counted.push(key);
            } else {
                quorum.uncounted.push(Uncounted { key, why: Why::Policy });
            }
        }
    }
    quorum
}

/// The store's word for a role of a policy.
fn trust_role(role: PolicyRole) -> Role {
    match role {
        PolicyRole::Publisher => Role::Publisher,
        PolicyRole::Countersigner => Role::Countersigner,
        PolicyRole::Bundle => Role::Bundle,
        PolicyRole::Border => Role::Border,
        PolicyRole::Site => Role::Site,
        PolicyRole::Revocation => Role::Revocation,
    }
}

/// What went wrong while the store's trust was read.
fn trust_error(error: sovai_trust::TrustError) -> CliError {
    match error {
        sovai_trust::TrustError::Store(error) => error.into(),
        error => CliError::wrap(crate::exit::Exit::Mismatch, &error),
    }
}
