//! Bundles that another program wrote from docs/bundle-format.md: `tests/vectors/make.py`.

use sovai_bundle::{VerifyOptions, VolumeId, VolumeSet, verify_bundle};
use sovai_core::NullReporter;
use sovai_signing::PublicKey;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

fn vector(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors").join(name)
}

#[test]
fn what_another_program_wrote_from_the_document_is_read() {
    let folder = vector("whole");
    let set = VolumeSet::open(std::slice::from_ref(&folder), &[], &[]).unwrap();
    let options = VerifyOptions { threads: NonZeroUsize::MIN, cancel: sovai_verifier::Cancel::default() };
    let report = verify_bundle(&set, &options, &NullReporter).unwrap();
    assert_eq!(report.weight(), None, "{report:?}");
    let key = PublicKey::from_pem(&fs_err::read(folder.join("key.pub")).unwrap()).unwrap();
    assert_eq!(set.signed_by(std::slice::from_ref(&key)), [key.id()].into());
    assert_eq!(set.index().name(), "vector-20261130");
    assert_eq!(set.index().to_json().as_bytes(), set.index_bytes());
    let empty = set.index().item("docs/empty.txt").unwrap();
    assert_eq!((empty.size, empty.parts.len()), (0, 0));
    let split = set.index().items.iter().find(|item| item.parts.len() == 2).unwrap();
    assert_eq!(set.read_item(split).map(|bytes| bytes.len()), Some(20_000));
}

#[test]
fn its_damage_is_found_where_it_is() {
    let set = VolumeSet::open(&[vector("damaged")], &[], &[]).unwrap();
    let options = VerifyOptions { threads: NonZeroUsize::MIN, cancel: sovai_verifier::Cancel::default() };
    let report = verify_bundle(&set, &options, &NullReporter).unwrap();
    assert_eq!(report.bad, [(VolumeId::Data(2), vec![2])].into(), "{report:?}");
}
