//! Decisions at the border: whose word counts, and which is the last.

use crate::common::{Builder, Made, sha256};
use sovai_bundle::{Decision, Inspected, Ruling, VolumeId, VolumeSet, decision_name, names};
use sovai_core::Sha256;
use sovai_signing::{Algorithm, PrivateKey, PublicKey};

fn key() -> PrivateKey {
    PrivateKey::generate(Algorithm::Ed25519).unwrap()
}

fn publics(keys: &[&PrivateKey]) -> Vec<PublicKey> {
    keys.iter().map(|key| key.public().clone()).collect()
}

fn open(made: &Made) -> VolumeSet {
    VolumeSet::open(&[made.path().to_owned()], &[], &[]).unwrap()
}

/// Writes a decision beside a volume; gives back its digest.
fn decide(made: &Made, key: &PrivateKey, decision: Ruling, decided: u64, previous: Vec<Sha256>) -> Sha256 {
    let decision = Decision {
        decision,
        reason: "looked at".to_owned(),
        decided,
        previous,
        inspected: Inspected::default(),
    };
    let bytes = decision.sign(&made.index, made.digest, key).to_json().into_bytes();
    let folder = made.folder(VolumeId::Data(1)).join(names::DECISIONS);
    fs_err::create_dir_all(&folder).unwrap();
    fs_err::write(folder.join(decision_name(&decision, key.public().id(), &bytes)), &bytes).unwrap();
    sha256(&bytes)
}

#[test]
fn a_rejection_outweighs_approvals_until_its_own_key_lifts_it() {
    let made = Builder::default().make();
    let (first, second, stranger) = (key(), key(), key());
    let border = publics(&[&first, &second]);
    assert!(!open(&made).standing(&border).lets_pass(1));
    decide(&made, &first, Ruling::Approved, 100, Vec::new());
    decide(&made, &stranger, Ruling::Rejected, 110, Vec::new());
    assert!(open(&made).standing(&border).lets_pass(1), "a stranger's word is none");
    assert!(!open(&made).standing(&border).lets_pass(2));
    decide(&made, &second, Ruling::Rejected, 90, Vec::new());
    assert!(!open(&made).standing(&border).lets_pass(1), "also when it came first");
    decide(&made, &first, Ruling::Approved, 120, Vec::new());
    assert!(!open(&made).standing(&border).lets_pass(1));
    decide(&made, &second, Ruling::Approved, 130, Vec::new());
    assert!(open(&made).standing(&border).lets_pass(2));
    // Of the same second the rejection counts.
    decide(&made, &second, Ruling::Rejected, 130, Vec::new());
    let standing = open(&made).standing(&border);
    assert_eq!(standing.rejected.iter().copied().collect::<Vec<_>>(), [second.public().id()]);
}

#[test]
fn a_clock_that_was_set_back_does_not_make_an_approval_the_last_word() {
    let made = Builder::default().make();
    let officer = key();
    let border = publics(&[&officer]);
    let approved = decide(&made, &officer, Ruling::Approved, 500, Vec::new());
    let rejected = decide(&made, &officer, Ruling::Rejected, 100, vec![approved]);
    let set = open(&made);
    assert!(!set.standing(&border).lets_pass(1));
    assert_eq!(set.custody_heads(), [rejected]);
    let order: Vec<_> = set.decisions_by(&border).iter().map(|signed| signed.digest).collect();
    assert_eq!(order, [approved, rejected]);
}

#[test]
fn a_line_of_custody_that_was_taken_away_is_missed() {
    let made = Builder::default().make();
    let officer = key();
    let first = decide(&made, &officer, Ruling::Approved, 1, Vec::new());
    let second = decide(&made, &officer, Ruling::Approved, 2, vec![first]);
    decide(&made, &officer, Ruling::Approved, 3, vec![second]);
    assert!(open(&made).decisions_by(&[]).iter().all(|signed| signed.lost.is_empty()));
    let folder = made.folder(VolumeId::Data(1)).join(names::DECISIONS);
    let gone = fs_err::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .find(|path| sha256(&fs_err::read(path).unwrap()) == second)
        .unwrap();
    fs_err::remove_file(gone).unwrap();
    let lost: Vec<_> = open(&made).decisions_by(&[]).iter().map(|signed| signed.lost.clone()).collect();
    assert_eq!(lost, [vec![], vec![second]]);
}

#[test]
fn a_decision_about_another_bundle_or_without_its_members_is_a_finding() {
    let made = Builder::default().make();
    let other = Builder { sequence: 8, ..Builder::default() }.make();
    let officer = key();
    decide(&other, &officer, Ruling::Approved, 1, Vec::new());
    let theirs = other.folder(VolumeId::Data(1)).join(names::DECISIONS);
    let path = fs_err::read_dir(theirs).unwrap().next().unwrap().unwrap().path();
    let set = VolumeSet::open(&[made.path().to_owned()], &[], &[path]).unwrap();
    assert!(set.findings().iter().any(|finding| finding.kind == "unfit"));
    assert!(set.decisions_by(&publics(&[&officer])).is_empty());
    assert!(!set.standing(&publics(&[&officer])).lets_pass(1));
}
