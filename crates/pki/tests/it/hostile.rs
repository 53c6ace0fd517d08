//! What must neither hang nor panic nor be believed.

use crate::{Case, assert_refused, der};
use sovai_pki::PkiError;
use std::time::{Duration, Instant};

#[test]
fn ten_thousand_certificates_are_refused_at_once() {
    let start = Instant::now();
    let mut case = Case::good();
    case.chain = vec![der("leaf"); 10_000];
    assert_refused!(case, PkiError::TooMany { found: 10_000, .. });
    let mut case = Case::good();
    case.intermediates = vec![der("sub"); 10_000];
    assert_refused!(case, PkiError::TooMany { found: 10_000, .. });
    assert!(start.elapsed() < Duration::from_secs(1));
}

#[test]
fn as_many_issuers_as_are_read_of_one_name_take_no_time() {
    let start = Instant::now();
    let mut case = Case::new(&["leaf"], &["other-root"]);
    case.intermediates = std::iter::repeat_n([der("impostor"), der("sub"), der("loop-a"), der("loop-b")], 16)
        .flatten()
        .collect();
    case.refused();
    assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
}

#[test]
fn large_certificates_are_refused() {
    let mut case = Case::good();
    case.chain[0].resize(64 * 1024 + 1, 0);
    assert_refused!(case, PkiError::TooLarge { .. });
}

#[test]
fn no_changed_bit_of_a_chain_is_believed() {
    let good = Case::good();
    for certificate in 0..2 {
        for at in 0..good.chain[certificate].len() {
            let mut case = Case::good();
            case.chain[certificate][at] ^= 1 << (at % 8);
            case.refused();
        }
    }
    for end in 0..good.chain[0].len() {
        let mut case = Case::good();
        case.chain[0].truncate(end);
        case.refused();
    }
}
