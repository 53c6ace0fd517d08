//! What `deploy` asks of a model beyond its digests: signatures, trust, policy.

use crate::setup::beside;
use crate::stack::{MANIFEST, MODEL, Stack, model, pin, sha256};
use serde_json::json;

/// A key pair, and a signature over the stack's model by it.
fn sign(stack: &Stack, key: &str, signature: &str) {
    stack.sovai(&["keys", "generate", "--out", key, "--algorithm", "p256"]).expect(0);
    stack.sovai(&["sign", "model", MODEL, "--key", key, "--signature", signature]).expect(0);
}

fn policy(stack: &Stack, minimum: &str) {
    let text = format!(
        "apiVersion: sovai/v1\nkind: Policy\nmetadata: {{name: e2e}}\nspec:\n  trust: {{minimum: {minimum}}}\n"
    );
    fs_err::write(stack.path("policy.yaml"), text).unwrap();
}

#[test]
fn a_policy_that_asks_for_a_countersignature_is_kept_until_there_is_one_and_again_when_its_key_is_revoked() {
    let Some(setup) = beside() else { return };
    let stack = Stack::new(&setup);
    policy(&stack, "countersigned");
    let mut manifest = stack.manifest();
    manifest["spec"]["policy"] = json!("policy.yaml");
    let stored = stack.store().join("blobs/sha256").join(sha256(&model()));
    stack.write(&manifest).deploy().expect(5).says(&["assistant", "countersigned", "digest"]);
    assert!(!stored.exists(), "nothing is brought in for what is refused anyway");
    stack.sovai(&["plan", MANIFEST]).expect(5);

    sign(&stack, "site.key", "model.sig");
    manifest["spec"]["models"]["assistant"]["signatures"] = json!(["model.sig"]);
    // Whoever signed it, this store does not know them.
    stack.write(&manifest).deploy().expect(5).says(&["assistant"]);
    stack.gone();

    stack.sovai(&["trust", "add", "site.key.pub", "--role", "countersigner", "--name", "site"]).expect(0);
    let deployed = stack.sovai(&["-o", "json", "deploy", MANIFEST]).expect(0).json();
    assert_eq!(deployed["models"][0]["trust"], "countersigned", "{deployed}");
    stack.answers();

    stack.sovai(&["trust", "revoke", "site.key.pub", "--reason", "lost"]).expect(0);
    stack.deploy().expect(5).says(&["revoked"]);
    // What serves was admitted when the key was good, and goes on.
    stack.whole();
    stack.answers();
}

#[test]
fn a_signature_that_does_not_hold_or_speaks_of_other_bytes_is_5() {
    let Some(setup) = beside() else { return };
    let stack = Stack::new(&setup);
    sign(&stack, "site.key", "model.sig");
    stack.sovai(&["trust", "add", "site.key.pub", "--role", "publisher"]).expect(0);
    let mut manifest = stack.manifest();
    manifest["spec"]["models"]["assistant"]["signatures"] = json!(["model.sig"]);
    stack.write(&manifest);

    let good = fs_err::read(stack.path("model.sig")).unwrap();
    let mut bad = good.clone();
    let middle = bad.len() / 2;
    bad[middle] = if bad[middle] == b'A' { b'B' } else { b'A' };
    for (what, bytes) in [("flipped", bad.as_slice()), ("cut", &good[..middle]), ("empty", &[])] {
        fs_err::write(stack.path("model.sig"), bytes).unwrap();
        let ran = stack.deploy();
        assert_eq!(ran.code, Some(5), "{what}: {ran}");
    }
    fs_err::remove_file(stack.path("model.sig")).unwrap();
    stack.deploy().expect(5).says(&["model.sig"]);
    stack.gone();

    // A good signature, by a trusted key, over a model that is not the pinned one.
    let mut other = model();
    let last = other.len() - 1;
    other[last] ^= 1;
    fs_err::write(stack.path(MODEL), &other).unwrap();
    stack.sovai(&["sign", "model", MODEL, "--key", "site.key", "--signature", "model.sig"]).expect(0);
    fs_err::write(stack.path(MODEL), model()).unwrap();
    stack.deploy().expect(5).says(&["model.sig", MODEL]);
    stack.gone();

    fs_err::write(stack.path("model.sig"), good).unwrap();
    stack.deploy().expect(0);
    stack.answers();
}

#[test]
fn a_pickle_is_refused_whatever_it_is_called_and_pinned() {
    let Some(setup) = beside() else { return };
    let stack = Stack::new(&setup);
    // Protocol 2: `import os` and a call, as any pickle may.
    let pickle = b"\x80\x02cos\nsystem\nq\x00X\x02\x00\x00\x00idq\x01\x85q\x02Rq\x03.".to_vec();
    fs_err::create_dir(stack.path("folder")).unwrap();
    fs_err::write(stack.path("folder").join(MODEL), model()).unwrap();
    fs_err::write(stack.path("folder/extra.safetensors"), &pickle).unwrap();
    let mut manifest = stack.manifest();
    manifest["spec"]["models"]["assistant"]["source"] = json!("file:./folder");
    manifest["spec"]["models"]["assistant"]["files"] =
        json!([pin("extra.safetensors", &pickle), pin(MODEL, &model())]);
    stack.write(&manifest).deploy().expect(5).says(&["extra.safetensors", "pickle"]);
    stack.gone();
}

#[test]
fn a_policy_that_cannot_be_read_is_3_and_one_that_is_not_there_is_refused() {
    let Some(setup) = beside() else { return };
    let stack = Stack::new(&setup);
    let mut manifest = stack.manifest();
    manifest["spec"]["policy"] = json!("policy.yaml");
    let ran = stack.write(&manifest).deploy();
    assert!(matches!(ran.code, Some(2 | 3)), "{ran}");
    policy(&stack, "countersinged");
    stack.deploy().expect(3).says(&["policy.yaml", "countersigned"]);
    stack.gone();
}
