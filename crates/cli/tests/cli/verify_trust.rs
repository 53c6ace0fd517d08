//! `verify MANIFEST`: signatures, trust levels, policy, summaries.

use crate::env::{FILES, FLIPPED, IMAGE_PIN, TestEnv, WEIGHTS, manifest};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

/// A stack whose one model names the signature `s` by `k`.
fn signed() -> TestEnv {
    let env = TestEnv::new();
    let more = format!("{FILES}\n      publisher: DeepSeek\n      signatures: [s]");
    env.write("weights/m.gguf", WEIGHTS).write("stack.yaml", manifest("", &more, IMAGE_PIN));
    assert_eq!(env.run("keys generate --algorithm p256 --out k").code, 0);
    assert_eq!(env.run("sign model weights/m.gguf --key k --signature s").code, 0);
    env
}

fn codes(value: &Value) -> Vec<&str> {
    let findings = value["findings"].as_array().unwrap();
    findings.iter().filter(|f| f["severity"] == "refuse").map(|f| f["code"].as_str().unwrap()).collect()
}

fn level(env: &TestEnv) -> (i64, String) {
    let value = env.json("verify stack.yaml");
    (value["exitCode"].as_i64().unwrap(), value["models"][0]["trust"].as_str().unwrap().to_owned())
}

#[test]
fn trust_rises_step_by_step_and_falls_with_a_revocation() {
    let env = TestEnv::new();
    env.pinned();
    assert_eq!(level(&env), (0, "digest".to_owned()));
    let sums = format!("{}  m.gguf\n", crate::env::WEIGHTS_SHA256);
    env.write("SHA256SUMS", sums);
    for at in ["https://a.example/list", "https://b.example.org/list"] {
        let ran = env.run(&format!("trust witness SHA256SUMS --at {at}"));
        assert_eq!(ran.code, 0, "{ran}");
    }
    assert_eq!(level(&env), (0, "corroborated".to_owned()));

    let env = signed();
    let value = env.json("verify stack.yaml");
    assert_eq!(codes(&value), ["SOV3006"], "a manifest's signature must count");
    assert_eq!(env.run("trust add k.pub --role countersigner --name Ministry").code, 0);
    assert_eq!(level(&env), (0, "countersigned".to_owned()));
    let ran = env.run("verify stack.yaml");
    assert!(ran.stdout.contains("vouched for by: Ministry"), "{ran}");
    assert!(ran.stdout.contains("note: no publisher signature is known for weights of DeepSeek"), "{ran}");
    assert_eq!(env.run("trust add k.pub --role publisher --publisher DeepSeek").code, 0);
    assert_eq!(level(&env), (0, "publisher".to_owned()));
    assert_eq!(env.run("trust revoke k.pub --reason stolen").code, 0);
    let value = env.json("verify stack.yaml");
    assert_eq!(codes(&value), ["SOV3103"]);
    assert_eq!(value["models"][0]["trust"], "digest");
}

#[test]
fn a_signature_of_a_manifest_must_be_there_be_whole_and_cover_the_pins() {
    let env = signed();
    assert_eq!(env.run("trust add k.pub").code, 0);
    assert_eq!(level(&env).0, 0);
    env.write("weights/m.gguf", FLIPPED);
    assert_eq!(level(&env), (4, "unknown".to_owned()), "bytes count more than signatures");
    env.write("weights/m.gguf", WEIGHTS).write("other/m.gguf", FLIPPED);
    assert_eq!(env.run("sign model other/m.gguf --key k --signature s").code, 0);
    assert_eq!(codes(&env.json("verify stack.yaml")), ["SOV3008"], "it signs other bytes");
    env.write("s", "{}");
    assert_eq!(codes(&env.json("verify stack.yaml")), ["SOV3002"]);
    fs_err::remove_file(env.path("s")).unwrap();
    assert_eq!(codes(&env.json("verify stack.yaml")), ["SOV3001"]);
    // The same pins, with the folder named.
    assert_eq!(env.run("verify weights/m.gguf --pins stack.yaml").code, 5);
}

#[test]
fn a_signed_passport_is_a_signature_of_a_manifest_too() {
    let env = signed();
    assert_eq!(env.run("verify stack.yaml --passport p.json").code, 5, "its signature does not count yet");
    assert_eq!(env.run("verify weights/m.gguf --passport p.json").code, 0);
    assert_eq!(env.run("keys generate --out c").code, 0);
    assert_eq!(
        env.run("sign passport p.json --key c --signature s").code,
        2,
        "no passport's signature lies there"
    );
    fs_err::remove_file(env.path("s")).unwrap();
    assert_eq!(env.run("sign passport p.json --key c --signature s").code, 0);
    assert_eq!(codes(&env.json("verify stack.yaml")), ["SOV3006"]);
    assert_eq!(env.run("trust add c.pub").code, 0);
    assert_eq!(level(&env), (0, "countersigned".to_owned()));
}

#[test]
fn the_policy_of_a_stack_refuses_and_says_where_it_says_so() {
    let env = TestEnv::new();
    env.pinned().write(
        "policy.yaml",
        "apiVersion: sovai/v1\nkind: Policy\nmetadata: { name: strict }\nspec:\n  trust:\n    minimum: publisher\n",
    );
    let ran = env.run("verify stack.yaml --policy policy.yaml");
    assert_eq!(ran.code, 5, "{ran}");
    assert!(ran.stdout.contains("refused SOV1001") && ran.stdout.contains("policy.yaml:6"), "{ran}");
    let value = env.json("verify stack.yaml --policy policy.yaml");
    assert_eq!((codes(&value), value["policy"]["name"].as_str()), (vec!["SOV1001"], Some("strict")));
    env.write("policy.yaml", "kind: Nonsense\n");
    assert_eq!(env.run("verify stack.yaml --policy policy.yaml").code, 3);
    assert_eq!(env.run("verify stack.yaml --policy gone.yaml").code, 2);
    assert_eq!(env.run("verify stack.yaml").code, 0, "the built-in one takes it");
}

#[test]
fn a_summary_is_signed_and_says_also_what_was_refused() {
    let env = signed();
    let ran = env.run("verify stack.yaml --vsa v.json");
    assert_eq!(ran.code, 5, "{ran}");
    assert_eq!(statement(&env, "v.json")["predicate"]["verificationResult"], "FAILED");
    assert_eq!(env.run("trust add k.pub").code, 0);
    assert_eq!(env.run("keys generate --algorithm p256 --out site").code, 0);
    let value = env.json("verify stack.yaml --vsa v.json --site-key site");
    assert_eq!(
        (value["exitCode"].as_i64(), value["summaries"][0]["result"].as_str()),
        (Some(0), Some("PASSED"))
    );
    assert_eq!(value["summaries"][0]["sequence"], 3, "each run writes its own line after its summary");
    let statement = statement(&env, "v.json");
    assert_eq!(statement["predicate"]["verifiedLevels"][0], "SOVAI_TRUST_COUNTERSIGNED");
    assert_eq!(statement["predicate"]["policy"]["uri"], "sovai:policy/built-in");
    assert_eq!(statement["subject"][0]["name"], "assistant");
    let inputs = statement["predicate"]["inputAttestations"].as_array().unwrap();
    assert!(inputs.iter().any(|input| input["uri"].as_str().unwrap().ends_with("/s")), "{inputs:?}");

    // OpenSSL agrees that the site's key signed it.
    let envelope: Value = serde_json::from_str(&env.read("v.json")).unwrap();
    let decode = |value: &Value| STANDARD.decode(value.as_str().unwrap()).unwrap();
    let payload = decode(&envelope["payload"]);
    let kind = envelope["payloadType"].as_str().unwrap();
    let mut signed = format!("DSSEv1 {} {kind} {} ", kind.len(), payload.len()).into_bytes();
    signed.extend_from_slice(&payload);
    env.write("pae", signed).write("sig", decode(&envelope["signatures"][0]["sig"]));
    let args = ["dgst", "-sha256", "-verify", "site.pub", "-signature", "sig", "pae"];
    assert!(env.process("openssl", &args).output().unwrap().status.success());

    // So it does of the store's own key, an ed25519 one, by the lines that docs/trust.md has.
    assert_eq!(env.run("verify stack.yaml --vsa own.json").code, 0);
    let script = r#"
        sed 's/.*"payload":"\([^"]*\)".*/\1/' own.json | base64 -d > payload
        sed 's/.*"sig":"\([^"]*\)".*/\1/' own.json | base64 -d > sig
        { printf 'DSSEv1 28 application/vnd.in-toto+json %s ' "$(wc -c < payload)"; cat payload; } > signed
        openssl pkeyutl -verify -rawin -pubin -inkey "$1" -in signed -sigfile sig"#;
    let public = env.root().join("store/trust/site.pub");
    let checks = || {
        let args = ["-c", script, "sh", public.to_str().unwrap()];
        env.process("sh", &args).output().unwrap().status.success()
    };
    assert!(checks());
    env.write("own.json", env.read("v.json"));
    assert!(!checks(), "another key's");

    // Damage is exit 4, and the summary says so.
    env.write("weights/m.gguf", FLIPPED);
    assert_eq!(env.run("verify stack.yaml --vsa v.json").code, 4);
    assert_eq!(self::statement(&env, "v.json")["predicate"]["verifiedLevels"][0], "FAILED");
}

fn statement(env: &TestEnv, name: &str) -> Value {
    let envelope: Value = serde_json::from_str(&env.read(name)).unwrap();
    serde_json::from_slice(&STANDARD.decode(envelope["payload"].as_str().unwrap()).unwrap()).unwrap()
}

#[test]
fn a_summary_of_a_stack_without_pins_is_wrong_usage() {
    let env = TestEnv::new();
    env.write("weights/m.gguf", WEIGHTS).write("bare.yaml", manifest("", "", ""));
    let ran = env.run("verify bare.yaml --vsa v.json");
    assert_eq!(ran.code, 2, "{ran}");
    assert!(
        ran.stderr.contains("no model is pinned") && ran.stderr.contains("sovai lock bare.yaml"),
        "{ran}"
    );
    assert!(!env.path("v.json").exists());
}

#[test]
fn the_heading_is_the_last_word_and_what_was_written_is_said() {
    let env = TestEnv::new();
    env.pinned();
    env.write(
        "policy.yaml",
        "apiVersion: sovai/v1\nkind: Policy\nmetadata: { name: strict }\nspec: { trust: { minimum: publisher } }\n",
    );
    let ran = env.run("verify stack.yaml --policy policy.yaml");
    assert_eq!(ran.code, 5, "{ran}");
    assert!(ran.stdout.contains("model assistant: REFUSED by policy strict  1 file"), "{ran}");
    assert!(ran.stdout.contains("\n  every byte is as pinned"), "{ran}");
    assert!(!ran.stdout.contains("verified"), "{ran}");
    let ran = env.run("verify weights/m.gguf --pins stack.yaml --policy policy.yaml");
    assert!(ran.stdout.contains("REFUSED by policy strict") && !ran.stdout.contains("verified"), "{ran}");
    let ran = env.run("verify stack.yaml --scan --passport p.json --vsa v.json");
    assert_eq!(ran.code, 0, "{ran}");
    let value = env.json("verify stack.yaml --vsa v.json");
    let key = value["summaries"][0]["keyId"].as_str().unwrap();
    for line in [
        "scanned: model assistant, tensors of 1 file (safetensors and GGUF); 0 warnings\n".to_owned(),
        "written: p.json (passport)\n".to_owned(),
        format!("written: v.json (summary: PASSED, by key {key}, line 3 of the evidence log)\n"),
    ] {
        assert!(ran.stdout.contains(&line), "{line}: {ran}");
    }
    let ran = env.run("verify weights --scan --passport q.json");
    assert!(
        ran.stderr.contains("scanned: tensors of 1 file") && ran.stderr.contains("written: q.json"),
        "{ran}"
    );
    assert_eq!(ran.stdout.lines().count(), 1, "{ran}");
}

#[test]
fn who_may_not_write_a_store_can_verify() {
    let env = TestEnv::new();
    env.pinned();
    for store in ["/proc/none", "/dev/null/x"] {
        let ran = env.run(&format!("verify stack.yaml --store {store}"));
        assert_eq!(ran.code, 0, "{store}: {ran}");
        assert!(ran.stderr.contains("warning: nobody is trusted"), "{store}: {ran}");
    }
    let before = env.everything_below("work");
    assert_eq!(env.run("verify stack.yaml").code, 0);
    assert_eq!(env.everything_below("work"), before, "nothing is written beside the manifest");
}
