//! Signers who show a certificate: named on the command line, or taken by a policy.

use crate::env::{FILES, IMAGE_PIN, TestEnv, WEIGHTS, manifest};
use serde_json::Value;

const CONFIG: &str = "[req]
distinguished_name = name
[name]
[authority]
basicConstraints = critical, CA:TRUE
keyUsage = critical, keyCertSign, cRLSign
[code]
keyUsage = critical, digitalSignature
extendedKeyUsage = codeSigning
[tls]
keyUsage = critical, digitalSignature
extendedKeyUsage = serverAuth
";

fn openssl(env: &TestEnv, line: &str) {
    let args: Vec<&str> = line.split(' ').collect();
    let output = env.process("openssl", &args).output().unwrap();
    assert!(output.status.success(), "{line}: {}", String::from_utf8_lossy(&output.stderr));
}

/// A stack whose model `w` is signed by `leaf`, certified by `root`; `other` is an authority that nobody asked.
fn certified(purpose: &str) -> TestEnv {
    let env = TestEnv::new();
    env.write("ca.cnf", CONFIG);
    for name in ["root", "other", "leaf"] {
        openssl(&env, &format!("ecparam -name prime256v1 -genkey -noout -out {name}.key"));
    }
    for name in ["root", "other"] {
        openssl(
            &env,
            &format!(
                "req -x509 -new -key {name}.key -subj /CN={name} -days 3650 -config ca.cnf -extensions authority -out {name}.pem"
            ),
        );
    }
    openssl(&env, "req -new -key leaf.key -subj /CN=Release -config ca.cnf -out leaf.csr");
    openssl(
        &env,
        &format!(
            "x509 -req -in leaf.csr -CA root.pem -CAkey root.key -CAcreateserial -days 3650 -extfile ca.cnf -extensions {purpose} -out leaf.pem"
        ),
    );
    let more = format!("{FILES}\n      signatures: [s]");
    env.write("weights/m.gguf", WEIGHTS).write("stack.yaml", manifest("", &more, IMAGE_PIN));
    let ran = env.run("sign model weights/m.gguf --key leaf.key --certificate leaf.pem --signature s");
    assert_eq!(ran.code, 0, "{ran}");
    env
}

fn codes(value: &Value) -> Vec<&str> {
    let findings = value["findings"].as_array().unwrap();
    findings.iter().filter(|f| f["severity"] == "refuse").map(|f| f["code"].as_str().unwrap()).collect()
}

#[test]
fn a_certificate_needs_anchors_and_a_pin_that_fits() {
    let env = certified("code");
    let line = |more: &str| format!("verify weights/m.gguf --signature s {more}");
    let ran = env.run(&line("--ca root.pem --subject CN=Release"));
    assert_eq!(ran.code, 0, "{ran}");
    assert!(ran.stdout.contains("by the certificate of CN=Release"), "{ran}");
    assert!(ran.stdout.contains("(now: nothing says when it was signed)"), "{ran}");
    assert!(ran.stdout.contains("no revocation list was given"), "{ran}");
    assert_eq!(env.run(&line("--ca root.pem")).code, 2, "a pin is needed");
    assert_eq!(env.run(&line("--ca root.pem --spki zz")).code, 2);
    assert_eq!(env.run(&line("--ca root.pem --subject CN=Release --signed-at yesterday")).code, 2);
    for more in [
        "--ca other.pem --subject CN=Release",
        "--ca root.pem --subject CN=Somebody",
        "--ca root.pem --san release@example.org",
        "--ca leaf.pem --subject CN=Release",
        "--ca root.pem --subject CN=Release --signed-at 2020-01-01T00:00:00Z",
        "--ca root.pem --subject CN=Release --signed-at 2199-01-01T00:00:00Z",
    ] {
        let value = env.json(&line(more));
        assert_eq!(codes(&value), ["SOV3007"], "{more}: {value}");
    }
    let env = certified("tls");
    let value = env.json("verify weights/m.gguf --signature s --ca root.pem --subject CN=Release");
    assert_eq!(codes(&value), ["SOV3007"], "not for code signing");
}

#[test]
fn a_policy_says_whose_certificates_a_stack_takes_and_as_what() {
    let env = certified("code");
    assert_eq!(codes(&env.json("verify stack.yaml")), ["SOV3007"], "no rule takes it");
    let policy = |more: &str| {
        format!(
            "apiVersion: sovai/v1\nkind: Policy\nmetadata: {{ name: strict }}\nspec:\n  trust:\n    minimum: publisher\n    \
             certificates:\n      - role: publisher\n        anchors: [../root.pem]\n        {more}\n"
        )
    };
    // Paths start at the policy's folder.
    env.write("rules/policy.yaml", policy("subject: CN=Release"));
    let value = env.json("verify stack.yaml --policy rules/policy.yaml");
    assert_eq!((codes(&value), value["models"][0]["trust"].as_str()), (vec![], Some("publisher")), "{value}");
    let by = &value["models"][0]["signatures"][0]["by"][0];
    assert_eq!(by["certificate"]["subject"], "CN=Release");
    // The key of a certificate can be revoked too.
    openssl(&env, "ec -in leaf.key -pubout -out leaf.pub");
    assert_eq!(env.run("trust add leaf.pub").code, 0);
    assert_eq!(env.run("trust revoke leaf.pub").code, 0);
    let value = env.json("verify stack.yaml --policy rules/policy.yaml");
    assert_eq!(codes(&value), ["SOV3103", "SOV1001"]);
    env.write("rules/policy.yaml", policy("subject: CN=Somebody"));
    let value = env.json("verify stack.yaml --policy rules/policy.yaml");
    assert_eq!(codes(&value), ["SOV3007", "SOV1001"]);
    fs_err::remove_file(env.path("root.pem")).unwrap();
    assert_eq!(
        env.run("verify stack.yaml --policy rules/policy.yaml").code,
        3,
        "a file of the policy is gone"
    );
}

#[test]
fn a_revoked_model_is_refused_whatever_signs_it() {
    let env = certified("code");
    assert_eq!(env.run("keys generate --out r").code, 0);
    assert_eq!(env.run("trust add r.pub --role revocation").code, 0);
    let digest = env.json("verify weights/m.gguf")["models"][0]["digest"].as_str().unwrap().to_owned();
    let list = serde_json::json!({
        "number": 1, "issued": "2026-01-01T00:00:00Z", "keys": [],
        "models": [{ "digest": digest, "name": "demo", "reason": "poisoned" }]
    });
    env.write("list", list.to_string());
    let ran = env.run("sign revocations list --key r --out list.json");
    assert_eq!(ran.code, 0, "{ran}");
    let ran = env.run("trust revoke --list list.json");
    assert_eq!(ran.code, 0, "{ran}");
    let value = env.json("verify stack.yaml");
    assert!(codes(&value).contains(&"SOV3101"), "{value}");
    assert_eq!(codes(&env.json("verify weights/m.gguf")), ["SOV3101"], "also where nothing is pinned");
}

#[test]
fn what_a_hub_lists_by_git_ids_is_compared_with_the_bytes() {
    let env = TestEnv::new();
    env.pinned();
    let size = WEIGHTS.len();
    // `git hash-object weights/m.gguf`
    let id = "def4dffc777741d0c39e37dc05816e45e7c329ce";
    env.write("list.json", format!(r#"[{{"type":"file","oid":"{id}","size":{size},"path":"m.gguf"}}]"#));
    let commit = "0123456789abcdef0123456789abcdef01234567";
    let ran = env.run(&format!("trust witness list.json --at hf:ORG/NAME@{commit}"));
    assert_eq!(ran.code, 0, "{ran}");
    let value = env.json("verify stack.yaml");
    assert_eq!(value["models"][0]["trust"], "hub-pinned", "{value}");
    // Another id there is said, and proves nothing.
    env.write("list.json", env.read("list.json").replace("def4", "0000"));
    assert_eq!(env.run(&format!("trust witness list.json --at hf:ORG/NAME@{commit}")).code, 0);
    let value = env.json("verify stack.yaml");
    assert_eq!(value["models"][0]["trust"], "digest", "{value}");
    // Nothing of that source agrees any more, so that it could be a record of another model.
    assert_eq!(value["exitCode"], 0);
}

/// Two lists of one authority and one day: what either revokes is revoked, whichever is named first.
#[test]
fn a_list_that_revokes_counts_beside_one_that_does_not() {
    let env = certified("code");
    env.write(
        "crl.cnf",
        "[ca]\ndefault_ca = main\n[main]\ndatabase = index.txt\ncrlnumber = crlnumber\ndefault_md = sha256\n\
         default_crl_days = 30\ncrl_extensions = ext\n[ext]\nauthorityKeyIdentifier = keyid\n",
    );
    env.write("index.txt", "").write("crlnumber", "01\n");
    let make = |list: &str| {
        openssl(
            &env,
            &format!(
                "ca -gencrl -config crl.cnf -cert root.pem -keyfile root.key -crl_lastupdate 20260101000000Z \
                 -crl_nextupdate 20991231000000Z -out {list}"
            ),
        );
    };
    make("empty.crl");
    openssl(&env, "ca -config crl.cnf -cert root.pem -keyfile root.key -revoke leaf.pem");
    make("revoking.crl");
    let line = "verify weights/m.gguf --signature s --ca root.pem --subject CN=Release";
    let ran = env.run(&format!("{line} --crl empty.crl"));
    assert_eq!(ran.code, 0, "{ran}");
    for both in ["--crl empty.crl --crl revoking.crl", "--crl revoking.crl --crl empty.crl"] {
        let ran = env.run(&format!("{line} {both}"));
        assert_eq!(ran.code, 5, "{both}: {ran}");
        assert!(ran.stdout.contains("revoked"), "{ran}");
    }
}
