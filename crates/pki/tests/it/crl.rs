//! Revocation lists.

use crate::{Case, SUMMER, assert_refused, der, ders, fixture};
use sovai_pki::PkiError;

fn with(crls: &[&str]) -> Case {
    let mut case = Case::good();
    case.crls = ders(crls);
    case
}

#[test]
fn lists_that_cover_the_chain_say_how_old_they_are() {
    let judged = with(&["crl-root", "crl-sub"]).judge().unwrap();
    // 2026-06-01
    assert_eq!(judged.revocation, Some(1_780_272_000));
    let mut pem = with(&["crl-root"]);
    pem.crls.push(fixture("crl-sub.pem"));
    assert_eq!(pem.judge().unwrap().revocation, Some(1_780_272_000));
}

#[test]
fn python_accepts_a_revoked_leaf() {
    let error = with(&["crl-root", "crl-sub-revoked"]).refused();
    assert!(matches!(error, PkiError::Revoked { .. }), "{error:?}");
    let text = error.to_string();
    assert!(text.contains("`CN=Model release,O=Example`, serial 10"), "{text}");
}

#[test]
fn a_revoked_intermediate_is_refused() {
    let error = with(&["crl-root-revoked", "crl-sub"]).refused();
    assert!(error.to_string().contains("`CN=Issuing,O=Example`"), "{error}");
    assert!(matches!(error, PkiError::Revoked { .. }), "{error:?}");
}

#[test]
fn the_newest_list_counts_in_whatever_order() {
    assert_refused!(with(&["crl-sub", "crl-root", "crl-sub-revoked"]), PkiError::Revoked { .. });
    assert_refused!(with(&["crl-sub-revoked", "crl-root", "crl-sub"]), PkiError::Revoked { .. });
}

#[test]
fn what_was_revoked_later_than_it_was_used_is_refused_too() {
    let mut case = with(&["crl-root", "crl-sub-revoked"]);
    case.signed_at = Some(SUMMER - 100 * 86_400);
    assert_refused!(case, PkiError::Revoked { .. });
}

#[test]
fn a_stale_list_is_refused() {
    assert_refused!(with(&["crl-root", "crl-sub-old"]), PkiError::CrlExpired { .. });
    let mut late = with(&["crl-root", "crl-sub"]);
    late.now = SUMMER + 60 * 86_400;
    assert_refused!(late, PkiError::CrlExpired { .. });
}

#[test]
fn a_list_that_is_not_yet_in_force_is_refused() {
    let mut early = with(&["crl-root", "crl-sub"]);
    early.now = SUMMER - 60 * 86_400;
    assert_refused!(early, PkiError::Crl { .. });
}

#[test]
fn a_list_that_somebody_else_signed_is_refused() {
    let mut case = with(&["crl-root", "crl-impostor"]);
    case.now = SUMMER + 10 * 86_400;
    assert_refused!(case, PkiError::Crl { .. });
    let mut changed = with(&["crl-root", "crl-sub"]);
    *changed.crls[1].last_mut().unwrap() ^= 1;
    assert_refused!(changed, PkiError::Crl { .. });
}

#[test]
fn every_certificate_must_be_covered() {
    assert_refused!(with(&["crl-root"]), PkiError::RevocationUnknown { .. });
    assert_refused!(with(&["crl-sub"]), PkiError::RevocationUnknown { .. });
}

#[test]
fn what_is_no_list_is_refused() {
    let mut case = with(&["root"]);
    assert_refused!(case, PkiError::Crl { .. });
    case.crls = vec![b"hello".to_vec()];
    assert_refused!(case, PkiError::Crl { .. });
    case.crls = vec![der("crl-sub"); 65];
    assert_refused!(case, PkiError::TooMany { .. });
    case.crls = vec![vec![0x30; 25 * 1024 * 1024]];
    assert_refused!(case, PkiError::TooLarge { .. });
}

/// The revoking list, made to look as old as the good one: its signature holds no more, so that it is refused wherever it is
/// believed to be the newest.
fn as_old(number: Option<u8>) -> Vec<u8> {
    let mut der = der("crl-sub-revoked");
    let at = der.windows(13).position(|part| part == b"260615000000Z").unwrap();
    der[at..at + 6].copy_from_slice(b"260601");
    if let Some(number) = number {
        // cRLNumber: the identifier, then OCTET STRING of INTEGER.
        let at = der.windows(5).position(|part| part == [6, 3, 0x55, 0x1d, 20]).unwrap();
        assert_eq!(der[at + 5..at + 9], [4, 3, 2, 1]);
        der[at + 9] = number;
    }
    der
}

#[test]
fn of_two_lists_of_one_time_the_number_says_which_is_newer() {
    for turned in [false, true] {
        let order = |newer: Vec<u8>| {
            let mut crls = vec![der("crl-root"), der("crl-sub"), newer];
            if turned {
                crls.reverse();
            }
            Case { crls, ..Case::good() }
        };
        // Number 4 beside number 2: it is looked at first, and its broken signature is seen.
        let error = order(as_old(None)).refused();
        assert!(matches!(&error, PkiError::Crl { reason } if !reason.contains("newer")), "{error:?}");
        // The same number twice, and a number that falls while the time rises, say nothing.
        let error = order(as_old(Some(2))).refused();
        assert!(matches!(&error, PkiError::Crl { reason } if reason.contains("newer")), "{error:?}");
        let mut falling = der("crl-sub-revoked");
        let at = falling.windows(5).position(|part| part == [6, 3, 0x55, 0x1d, 20]).unwrap();
        falling[at + 9] = 1;
        let error = order(falling).refused();
        assert!(matches!(&error, PkiError::Crl { reason } if reason.contains("newer")), "{error:?}");
    }
    // The same list twice is one.
    assert!(with(&["crl-root", "crl-sub", "crl-sub"]).judge().is_ok());
}
