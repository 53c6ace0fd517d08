//! Method `certificate`.

use crate::{Witness, openssl};

#[test]
fn the_witness_signs_with_a_certificate() {
    let Some(witness) = Witness::find() else { return };
    let work = tempfile::tempdir().unwrap();
    let at = |name: &str| work.path().join(name);
    fs_err::create_dir(at("model")).unwrap();
    fs_err::write(at("model/config.json"), "{}\n").unwrap();
    openssl(
        work.path(),
        &[
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:P-256",
            "-nodes",
            "-keyout",
            "leaf.key",
            "-out",
            "leaf.pem",
            "-subj",
            "/CN=Leaf",
            "-days",
            "30",
        ],
    );
    witness.must([
        "sign".into(),
        "certificate".into(),
        at("model"),
        "--signature".into(),
        at("model.sig"),
        "--private_key".into(),
        at("leaf.key"),
        "--signing_certificate".into(),
        at("leaf.pem"),
        "--certificate_chain".into(),
        at("leaf.pem"),
    ]);
    assert!(at("model.sig").is_file());
}
