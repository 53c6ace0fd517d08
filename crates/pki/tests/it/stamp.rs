//! RFC 3161 time stamps.

use crate::{Case, assert_refused, der, ders, fixture};
use sovai_pki::{Judged, PkiError, StampError, TimeFrom};

/// 2036-01-01: the stamped leaf is long out of date.
const LATER: u64 = 2_082_758_400;

fn made() -> u64 {
    String::from_utf8(fixture("made.txt")).unwrap().trim().parse().unwrap()
}

fn stamped(stamps: &[&str]) -> Case {
    let mut case = Case::new(&["leaf-long", "sub"], &["root"]);
    case.timestamps = ders(stamps);
    case.tsa_anchors = ders(&["tsa-root"]);
    case.now = LATER;
    case
}

fn holds(case: &Case, authority: &str) -> Judged {
    let judged = case.judge().unwrap();
    assert_eq!(judged.time_from, TimeFrom::Timestamp { authority: authority.to_owned() });
    assert!(judged.time.abs_diff(made()) <= 60, "{} {}", judged.time, made());
    judged
}

#[test]
fn a_time_stamp_proves_the_time() {
    assert_refused!(stamped(&[]), PkiError::Expired { .. });
    let judged = holds(&stamped(&["stamp"]), "CN=TSA");
    assert!(judged.notes.iter().any(|note| note.contains("not now")), "{:?}", judged.notes);
    holds(&stamped(&["stamp-token"]), "CN=TSA");
    holds(&stamped(&["stamp-ec"]), "CN=TSA EC");
    holds(&stamped(&["stamp-deep"]), "CN=Deep TSA");
    holds(&stamped(&["stamp-resigned"]), "CN=TSA");
    holds(&stamped(&["stamp-keyid"]), "CN=TSA");
}

#[test]
fn it_goes_before_a_stated_time() {
    let mut case = stamped(&["stamp"]);
    case.signed_at = Some(made() - 5_000_000);
    let judged = holds(&case, "CN=TSA");
    assert!(judged.notes.iter().any(|note| note.contains("not the stated time")), "{:?}", judged.notes);
}

#[test]
fn without_anchors_it_counts_for_nothing() {
    let mut case = stamped(&["stamp"]);
    case.tsa_anchors.clear();
    assert_refused!(case, PkiError::Expired { .. });
    case.now = made();
    let judged = case.judge().unwrap();
    assert_eq!(judged.time_from, TimeFrom::Now);
    assert!(judged.notes.iter().any(|note| note.contains("counts for nothing")), "{:?}", judged.notes);
}

#[test]
fn one_that_does_not_hold_is_refused_even_if_it_is_not_needed() {
    let mut case = stamped(&["stamp-other"]);
    case.now = made();
    assert_refused!(case, PkiError::Stamp(StampError::Imprint { .. }));
    case.timestamps.push(der("stamp"));
    let judged = holds(&case, "CN=TSA");
    assert!(judged.notes.iter().any(|note| note.contains("does not hold")), "{:?}", judged.notes);
}

#[test]
fn it_is_over_this_signature() {
    assert_refused!(stamped(&["stamp-other"]), PkiError::Stamp(StampError::Imprint { .. }));
    let mut case = stamped(&["stamp"]);
    case.signature.push(0);
    assert_refused!(case, PkiError::Stamp(StampError::Imprint { .. }));
}

#[test]
fn its_authority_is_judged() {
    let mut case = stamped(&["stamp"]);
    case.tsa_anchors = ders(&["root"]);
    assert_refused!(case, PkiError::Stamp(StampError::Authority(_)));
    for (name, word) in [
        ("stamp-wrong-eku", "not for time stamping"),
        ("stamp-soft-eku", "not critical"),
        ("stamp-expired", "expired at 2026-01-01"),
        ("stamp-deep-alone", "no chain leads"),
    ] {
        let error = stamped(&[name]).refused();
        assert!(matches!(error, PkiError::Stamp(StampError::Authority(_))), "{name}: {error:?}");
        assert!(error.to_string().contains(word), "{name}: {error}");
    }
    let mut deep = stamped(&["stamp-deep-alone"]);
    deep.tsa_anchors = ders(&["tsa-root", "tsa-sub"]);
    assert_refused!(deep, PkiError::Stamp(StampError::Authority(_)));
}

#[test]
fn weak_and_loose_ones_are_refused() {
    assert_refused!(stamped(&["stamp-sha1"]), PkiError::Stamp(StampError::Algorithm(_)));
    assert_refused!(stamped(&["stamp-ess-sha1"]), PkiError::Stamp(StampError::Malformed(_)));
    assert_refused!(stamped(&["stamp-unbound"]), PkiError::Stamp(StampError::Malformed(_)));
    assert_refused!(stamped(&["stamp-two"]), PkiError::Stamp(StampError::Malformed(_)));
}

#[test]
fn one_from_the_future_is_refused() {
    assert_refused!(stamped(&["stamp-future"]), PkiError::Stamp(StampError::Future { .. }));
    let mut case = stamped(&["stamp"]);
    case.now = made() - 3600;
    assert_refused!(case, PkiError::Stamp(StampError::Future { .. }));
}

#[test]
fn another_time_breaks_its_signature() {
    let mut stamp = der("stamp");
    let year = made_year();
    let at = stamp.windows(5).position(|bytes| bytes == [0x18, 15, year[0], year[1], year[2]]).unwrap();
    stamp[at + 5] ^= 1;
    let mut case = stamped(&[]);
    case.timestamps = vec![stamp];
    assert_refused!(case, PkiError::Stamp(StampError::Signature { .. }));
}

fn made_year() -> [u8; 4] {
    // The fixtures are made in the first half of this century.
    let year = 1970 + made() / 31_556_952;
    year.to_string().into_bytes().try_into().unwrap()
}

/// Each bit of a token: the signature covers the content, its attributes cover the certificate; what is left over is the
/// wrapping, which may be changed only so that it says the same.
#[test]
fn no_changed_byte_gives_another_time_or_authority() {
    for name in ["stamp", "stamp-ec"] {
        let good = holds(&stamped(&[name]), if name == "stamp" { "CN=TSA" } else { "CN=TSA EC" });
        let token = der(name);
        for at in 0..token.len() {
            let mut case = stamped(&[]);
            let mut changed = token.clone();
            changed[at] ^= 1 << (at % 8);
            case.timestamps = vec![changed];
            if let Ok(judged) = case.judge() {
                assert_eq!(
                    (judged.time, judged.time_from),
                    (good.time, good.time_from.clone()),
                    "{name} {at}"
                );
            }
        }
        for end in 0..token.len() {
            let mut case = stamped(&[]);
            case.timestamps = vec![token[..end].to_vec()];
            case.refused();
        }
    }
}

#[test]
fn limits() {
    let mut case = stamped(&["stamp"; 9]);
    assert_refused!(case, PkiError::TooMany { .. });
    case.timestamps = vec![vec![0x30; 65 * 1024]];
    assert_refused!(case, PkiError::Stamp(StampError::Malformed(_)));
}
