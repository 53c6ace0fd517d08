//! Whether a bundle may be brought in: by whom it is signed, what the border said, how old it is.

use crate::error::CliError;
use crate::exit::Exit;
use crate::judge::quorum;
use crate::output::safe_line;
use crate::policy::{self, PolicyFile};
use sovai_bundle::import::{Unfinished, installed, unfinished};
use sovai_bundle::{Found, Index, Role as ItemRole, VolumeSet, Weight};
use sovai_core::Sha256;
use sovai_manifest::{MAX_BYTES, Policy, parse_policy};
use sovai_policy::{BundleFact, Judgement, Severity, VoteFact, judge_bundle};
use sovai_signing::{KeyId, PublicKey};
use sovai_store::Store;
use sovai_trust::{Quorum, Role, TrustStore};
use std::borrow::Cow;
use std::collections::BTreeSet;
use std::path::PathBuf;

const SIGNATURES: &str = "signatures";
const DECISIONS: &str = "decisions";

/// A bundle that may be brought in.
pub(super) struct Admitted {
    /// The keys of signers that count.
    pub(super) signers: Vec<KeyId>,
    /// The keys of those who let it pass at the border.
    pub(super) approvals: Vec<KeyId>,
    /// What else is to be known, one line each.
    pub(super) warnings: Vec<String>,
    /// What the policy has to say, for people.
    pub(super) text: String,
    /// Which policy.
    pub(super) policy: String,
}

/// Judges a bundle by the operator's policy, and by the one that it brings as far as that asks for more.
pub(super) fn admit(
    set: &VolumeSet,
    store: Option<&Store>,
    policy: &PolicyFile,
) -> Result<Admitted, CliError> {
    let trust = match store {
        Some(store) => TrustStore::open(store)?,
        None => TrustStore::empty(),
    };
    let system = crate::commands::trust::now();
    let known = trust.list().iter().filter_map(|entry| trust.key(entry.id)).cloned();
    let known: Vec<PublicKey> = known.collect();
    let signers = set.signed_by(&known);
    let (approved, rejected) = decided(set, &trust, &known, system);
    let newest = match store {
        Some(store) => installed(store, &set.index().stack, set.index().sequence)?.0,
        None => None,
    };
    let votes = |policy: &Policy| {
        let signed = quorum(&trust, policy, Role::Bundle, &signers, system);
        (signed, quorum(&trust, policy, Role::Border, &approved, system))
    };
    let fact = |signed: &Quorum, approved: &Quorum| BundleFact {
        stack: set.index().stack.to_string(),
        sequence: set.index().sequence,
        digest: set.digest(),
        signed: vote(signed, unknown(set, &known)),
        approved: vote(approved, Vec::new()),
        rejected: rejected.clone(),
        installed: newest.as_ref().map(|newest| (newest.sequence, newest.digest)),
    };
    let (signed, approvals) = votes(&policy.policy);
    let judgement = judge_bundle(&policy.policy, &fact(&signed, &approvals));
    refuse(set, &judgement, policy)?;
    if let Some(own) = own_policy(set, store)? {
        // How far back one may go is for who operates it to say.
        let (signed, approvals) = votes(&own.policy);
        let fact = BundleFact { installed: None, ..fact(&signed, &approvals) };
        refuse(set, &judge_bundle(&own.policy, &fact), &own)?;
    }
    let heavy = set.findings().iter().filter(|finding| finding.weight > Weight::Note);
    Ok(Admitted {
        signers: signed.counted,
        approvals: approvals.counted,
        warnings: heavy.map(|finding| safe_line(&finding.to_string())).collect(),
        text: policy::text(&judgement, policy, false),
        policy: policy.shown(),
    })
}

fn refuse(set: &VolumeSet, judgement: &Judgement, policy: &PolicyFile) -> Result<(), CliError> {
    if !judgement.is_refused() {
        return Ok(());
    }
    let message = format!("bundle {} is refused by {}", set.index().name(), policy.shown());
    let mut error = CliError::new(Exit::Refused, message)
        .with_details(policy::text(judgement, policy, false))
        .with_findings(policy::data(judgement));
    for made in judgement.decisions.iter().filter(|made| made.severity == Severity::Refuse) {
        error = error.cause(format!("{}: {}", made.code, safe_line(&made.message)));
        if let Some(hint) = &made.hint {
            error = error.hint(safe_line(hint));
        }
    }
    Err(error)
}

fn vote(quorum: &Quorum, more: Vec<String>) -> VoteFact {
    let uncounted = quorum.uncounted.iter().map(|one| format!("key {}: {}", one.key, one.why));
    VoteFact {
        counted: u32::try_from(quorum.counted.len()).unwrap_or(u32::MAX),
        needed: quorum.needed,
        uncounted: uncounted.chain(more).collect(),
    }
}

/// Signatures that no known key made, and those that speak of something else.
fn unknown(set: &VolumeSet, known: &[PublicKey]) -> Vec<String> {
    if set.signatures().is_empty() {
        return vec!["the volumes that are here have no signature".to_owned()];
    }
    let why = |found: &Found| match &found.fit {
        Err(why) => Some(format!("{}: {why}", found.name)),
        Ok(()) if found.envelope.verified_by(known).is_empty() => {
            Some(format!("{}: this store does not know its key ({})", found.name, found.hints().join(", ")))
        }
        Ok(()) => None,
    };
    set.signatures().iter().filter_map(why).collect()
}

/// Who let it pass at the border, and who held it back.
fn decided(
    set: &VolumeSet,
    trust: &TrustStore,
    known: &[PublicKey],
    system: u64,
) -> (BTreeSet<KeyId>, Vec<String>) {
    let standing = set.standing(known);
    // Whoever is not trusted to decide holds nothing back.
    let counted = trust.quorum(Role::Border, None, &standing.rejected, system).counted;
    if counted.is_empty() {
        return (standing.approved, Vec::new());
    }
    let all = set.decisions_by(known);
    let reason = |key: &KeyId| {
        let last = all.iter().rev().find(|signed| signed.by.contains(key));
        last.map_or_else(String::new, |signed| signed.decision.reason.chars().take(200).collect())
    };
    (standing.approved, counted.iter().map(|key| format!("key {key} says: {}", reason(key))).collect())
}

/// The policy that the bundle brings, once it can be read: from the volume, or from the store where an earlier run has it.
fn own_policy(set: &VolumeSet, store: Option<&Store>) -> Result<Option<PolicyFile>, CliError> {
    let item = set.index().items.iter().find(|item| item.role == ItemRole::Policy);
    let Some(item) = item else { return Ok(None) };
    let stored = || store.and_then(|store| store.read_blob(&item.sha256, MAX_BYTES as u64).ok());
    let Some(bytes) = set.read_item(item).or_else(stored) else { return Ok(None) };
    let path = PathBuf::from(item.path.as_str());
    match parse_policy(&bytes) {
        (Some(policy), _) => {
            Ok(Some(PolicyFile { path: Some(path), policy: Cow::Owned(policy), sha256: item.sha256 }))
        }
        (None, diagnostics) => {
            Err(crate::manifest::invalid("the bundle's policy", &path, &diagnostics, &bytes))
        }
    }
}

/// Signatures and decisions that earlier volumes of this bundle had.
pub(super) fn kept(
    store: &Store,
    index: &Index,
    digest: Sha256,
) -> Result<(Vec<PathBuf>, Vec<PathBuf>), CliError> {
    let is_this = |found: &Unfinished| found.sequence == index.sequence && found.digest == digest;
    if !unfinished(store, &index.stack)?.iter().any(is_this) {
        return Ok((Vec::new(), Vec::new()));
    }
    let stack = store.stack(&index.stack);
    let all = |name: &str| -> Result<Vec<PathBuf>, CliError> {
        let place = format!("{}/{name}", Unfinished::folder(index.sequence));
        let names = stack.list(&place)?;
        Ok(names.iter().map(|file| stack.path().join(&place).join(file)).collect())
    };
    Ok((all(SIGNATURES)?, all(DECISIONS)?))
}

/// Keeps them for the volumes to come, and with the bundle.
pub(super) fn keep(store: &Store, set: &VolumeSet) -> Result<(), CliError> {
    let stack = store.stack(&set.index().stack);
    let folder = Unfinished::folder(set.index().sequence);
    for (name, all) in [(SIGNATURES, set.signatures()), (DECISIONS, set.decisions())] {
        for found in all.iter().filter(|found| found.fit.is_ok()) {
            // The same envelope has the same name, whatever its own was.
            let digest = crate::judge::digest(&found.bytes).hex();
            let short = digest.get(..16).unwrap_or(&digest);
            stack.put(&format!("{folder}/{name}/{short}.dsse.json"), &found.bytes, 0o444)?;
        }
    }
    Ok(())
}
