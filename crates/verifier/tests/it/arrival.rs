//! Bytes that come from outside: hashed on arrival, admitted without a source.

use crate::common::{Model, flip, name, options};
use sovai_core::{FilePin, NullReporter};
use sovai_store::{Store, StoreError};
use sovai_verifier::{
    Arrival, Finding, Hasher, Reread, Stored, VerifyError, admit_stored, check_stored, record_arrivals,
};
use std::io::Write as _;

/// Brings the model's files into the store as a download does.
fn arrive(model: &Model, store: &Store) -> Vec<Arrival> {
    let mut arrivals = Vec::new();
    for pin in &model.pins {
        let bytes = fs_err::read(model.path(pin.path.as_str())).unwrap();
        let mut hasher = Hasher::new();
        for piece in bytes.chunks(1000) {
            hasher.update(piece);
        }
        let proof = hasher.finish();
        assert_eq!((proof.sha256(), proof.bytes()), (pin.sha256, pin.size));
        let mut stage = store.stage().unwrap();
        stage.write_all(&bytes).unwrap();
        stage.commit(&proof.sha256()).unwrap();
        arrivals.push(Arrival::new(store, &proof));
    }
    arrivals
}

fn found(model: &Model, store: &Store, reread: Reread) -> Vec<Stored> {
    let found = check_stored(store, &model.pins, &options(reread), &NullReporter).unwrap();
    model.pins.iter().map(|pin| found[&pin.sha256]).collect()
}

#[test]
fn what_was_hashed_on_arrival_is_not_read_again() {
    let model = Model::usual();
    let store = model.store();
    let arrivals = arrive(&model, &store);
    record_arrivals(&store, &arrivals).unwrap();
    assert_eq!(found(&model, &store, Reread::UseReceipts), [Stored::Good; 4]);
    let options = options(Reread::UseReceipts);
    for _ in 0..2 {
        let admission = admit_stored(&name(), &model.pins, &store, &options, &NullReporter).unwrap();
        assert_eq!((admission.report.findings.as_slice(), admission.report.hashed), ([].as_slice(), 0));
        model.assert_tree(admission.receipt.unwrap().tree());
    }
}

#[test]
fn what_nobody_recorded_is_read_once() {
    let model = Model::usual();
    let store = model.store();
    arrive(&model, &store);
    assert_eq!(found(&model, &store, Reread::UseReceipts), [Stored::Good; 4]);
    let options = options(Reread::UseReceipts);
    let admission = admit_stored(&name(), &model.pins, &store, &options, &NullReporter).unwrap();
    assert_eq!(admission.report.hashed, 0, "the look at the store wrote receipts");
}

#[test]
fn a_blob_that_changed_after_it_arrived_gets_no_receipt() {
    let model = Model::usual();
    let store = model.store();
    let arrivals = arrive(&model, &store);
    flip(&store.blob(&model.pins[1].sha256), 7);
    record_arrivals(&store, &arrivals).unwrap();
    let all = found(&model, &store, Reread::UseReceipts);
    assert_eq!(all, [Stored::Good, Stored::Damaged, Stored::Good, Stored::Good]);
    let options = options(Reread::UseReceipts);
    let admission = admit_stored(&name(), &model.pins, &store, &options, &NullReporter).unwrap();
    assert!(admission.receipt.is_none());
    assert!(matches!(admission.report.findings[..], [Finding::StoredDamaged { .. }]));
}

#[test]
fn files_that_are_not_in_the_store_are_named() {
    let model = Model::usual();
    let store = model.store();
    record_arrivals(&store, &arrive(&model, &store)).unwrap();
    for pin in &model.pins[..2] {
        fs_err::remove_file(store.blob(&pin.sha256)).unwrap();
    }
    assert_eq!(found(&model, &store, Reread::UseReceipts)[..2], [Stored::Missing; 2]);
    let options = options(Reread::UseReceipts);
    let error = admit_stored(&name(), &model.pins, &store, &options, &NullReporter).unwrap_err();
    let VerifyError::NotStored { missing, .. } = &error else { panic!("{error}") };
    assert_eq!(missing.len(), 2);
    let text = error.to_string();
    assert!(text.contains("2 files of model `assistant`") && text.contains("`config.json`"), "{text}");
}

#[test]
fn one_digest_with_two_sizes_is_no_pin() {
    let model = Model::usual();
    let other = FilePin { size: 1, path: model.pins[1].path.clone(), ..model.pins[0].clone() };
    let pins = [model.pins[0].clone(), other];
    let options = options(Reread::UseReceipts);
    let error = check_stored(&model.store(), &pins, &options, &NullReporter).unwrap_err();
    assert!(matches!(error, VerifyError::Pins { .. }), "{error}");
}

#[test]
fn receipts_wait_for_nobody() {
    let model = Model::usual();
    let store = model.store();
    let arrivals = arrive(&model, &store);
    let lock = store.lock("another").unwrap();
    let error = record_arrivals(&store, &arrivals).unwrap_err();
    assert!(matches!(error, VerifyError::Store(StoreError::Busy { .. })), "{error}");
    assert_eq!(found(&model, &store, Reread::UseReceipts), [Stored::Good; 4]);
    drop(lock);
    record_arrivals(&store, &arrivals).unwrap();
}
