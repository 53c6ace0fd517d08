//! Passports: made, signed, compared with, damaged.

use crate::env::TestEnv;
use serde_json::Value;

/// A safetensors file of two tensors, the second of 2 MiB.
fn safetensors() -> Vec<u8> {
    let header = br#"{"small":{"dtype":"U8","shape":[8],"data_offsets":[0,8]},"large":{"dtype":"U8","shape":[2097152],"data_offsets":[8,2097160]}}"#;
    let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
    bytes.extend_from_slice(header);
    bytes.resize(bytes.len() + 2_097_160, 7);
    bytes
}

fn ready() -> TestEnv {
    let env = TestEnv::new();
    env.write("m/config.json", "{}\n").write("m/model.safetensors", safetensors());
    assert_eq!(env.run("keys generate --out k").code, 0);
    assert_eq!(env.run("keys generate --out other").code, 0);
    let ran = env.run("verify m --passport p.json");
    assert_eq!((ran.code, ran.stdout.lines().count()), (0, 2), "{ran}");
    assert_eq!(env.run("sign passport p.json --key k --signature p.sig").code, 0);
    env
}

fn damage(env: &TestEnv) {
    let mut bytes = safetensors();
    let at = bytes.len() - 10;
    bytes[at] ^= 1;
    env.write("m/model.safetensors", bytes);
}

fn codes(value: &Value) -> Vec<&str> {
    let findings = value["findings"].as_array().unwrap();
    findings.iter().filter(|f| f["severity"] == "refuse").map(|f| f["code"].as_str().unwrap()).collect()
}

#[test]
fn a_signed_passport_verifies_and_damage_is_named_to_the_tensor() {
    let env = ready();
    let line = "verify m --against p.json --passport-signature p.sig --key k.pub";
    let value = env.json(line);
    assert_eq!((value["exitCode"].as_i64(), value["trust"].as_str()), (Some(0), Some("digest")), "{value}");
    assert_eq!(value["models"][0]["passport"]["signed"], true);
    damage(&env);
    let ran = env.run(line);
    assert_eq!(ran.code, 4, "{ran}");
    assert!(ran.stdout.contains("damaged file: model.safetensors"), "{ran}");
    assert!(ran.stdout.contains("tensor `large`") && ran.stdout.contains("bytes 2,097,152-"), "{ran}");
}

#[test]
fn an_unsigned_passport_proves_integrity_and_no_trust() {
    let env = ready();
    let ran = env.run("verify m --against p.json");
    assert_eq!(ran.code, 0, "{ran}");
    assert!(ran.stdout.contains("trust level unknown"), "{ran}");
    assert!(ran.stdout.contains("why: the passport itself is not signed"), "{ran}");
    damage(&env);
    assert_eq!(env.run("verify m --against p.json").code, 4);
}

#[test]
fn a_passport_by_somebody_else_or_a_damaged_one_is_refused() {
    let env = ready();
    let with = |more: &str| env.json(&format!("verify m --against p.json --passport-signature p.sig {more}"));
    assert_eq!(codes(&with("--key other.pub")), ["SOV3011"], "wrong key");
    assert_eq!(codes(&with("")), ["SOV3011"], "nobody is trusted");
    assert_eq!(env.run("trust add k.pub --role countersigner").code, 0);
    let value = with("");
    assert_eq!((value["exitCode"].as_i64(), value["trust"].as_str()), (Some(0), Some("countersigned")));
    assert_eq!(env.run("trust revoke k.pub").code, 0);
    assert_eq!(with("")["exitCode"], 5);
    assert_eq!(codes(&with("--key k.pub")), ["SOV3103"], "a revoked key, also where it is named");

    let env = ready();
    env.write("p.sig", "{}");
    let line = "verify m --against p.json --passport-signature p.sig --key k.pub";
    assert_eq!(codes(&env.json(line)), ["SOV3011"], "malformed signature");
    let env = ready();
    env.write("p.json", env.read("p.json").replace("config.json", "konfig.json"));
    assert_eq!(codes(&env.json(line)), ["SOV3011"], "changed passport");
    // A passport of another model, whole, with the signature of this one.
    let env = ready();
    env.write("n/config.json", "{}\n");
    assert_eq!(env.run("verify n --passport p.json").code, 0);
    assert_eq!(codes(&env.json(line)), ["SOV3011"], "signature over another passport");
}

#[test]
fn a_passport_is_written_only_where_the_bytes_are_right() {
    let env = ready();
    assert_eq!(env.run("keys generate --algorithm p256 --out e").code, 0);
    assert_eq!(env.run("sign model m --key e --signature s").code, 0);
    assert_eq!(env.run("verify m --signature s --key e.pub --passport q.json").code, 0);
    assert_eq!(env.read("q.json"), env.read("p.json"), "the same model, the same passport");
    damage(&env);
    assert_eq!(env.run("verify m --signature s --key e.pub --passport r.json").code, 4);
    assert!(!env.path("r.json").exists());
}
