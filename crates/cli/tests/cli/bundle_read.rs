//! `bundle verify`, `inspect`, `approve` and `reject` on small bundles.

#[expect(dead_code, reason = "shared with the tests of the bundle crate")]
#[path = "../../../bundle/tests/it/common.rs"]
pub(crate) mod common;

use crate::env::TestEnv;
use common::Builder;
use sovai_bundle::VolumeId;
use sovai_signing::{Algorithm, PrivateKey};

const V2: &str = "disks/demo-7.v002/demo-7.v002.tar";

/// Writes a bundle into `disks`; gives back its signer.
fn bundle(env: &TestEnv, builder: Builder) -> PrivateKey {
    let mut made = builder.make();
    fs_err::rename(made.path(), env.path("disks")).unwrap();
    env.write("signer.pub", made.keys[0].public().to_pem());
    made.keys.remove(0)
}

fn flip(env: &TestEnv, path: &str, at: usize) {
    let mut bytes = fs_err::read(env.path(path)).unwrap();
    bytes[at] ^= 1;
    env.write(path, bytes);
}

/// A key for an officer: `officer` and `officer.pub`.
fn officer(env: &TestEnv) -> PrivateKey {
    let key = PrivateKey::generate(Algorithm::Ed25519).unwrap();
    env.write("officer", key.to_pkcs8_pem(None).unwrap().as_bytes());
    env.write("officer.pub", key.public().to_pem());
    key
}

#[test]
fn a_whole_bundle_by_an_unknown_signer_is_exit_0_and_says_so() {
    let env = TestEnv::new();
    bundle(&env, Builder::default());
    let ran = env.run("bundle verify disks");
    assert_eq!(ran.code, 0, "{}{}", ran.stdout, ran.stderr);
    assert!(ran.stdout.contains("volume 2 of 3: whole"), "{}", ran.stdout);
    assert!(ran.stdout.contains("signer: unknown"), "{}", ran.stdout);
    assert!(!env.root().join("store").exists(), "looking makes no store");
    let ran = env.run("verify disks/demo-7.v001");
    assert_eq!(ran.code, 7, "one disk at a time: {}", ran.stdout);
    assert!(ran.stdout.contains("missing: volume 2, 3 of 3"), "{}", ran.stdout);
    assert_eq!(env.run("verify disks --scan").code, 2);
}

#[test]
fn a_bad_chunk_is_named_with_its_volume_and_its_place() {
    let env = TestEnv::new();
    bundle(&env, Builder::with_parity(1));
    flip(&env, V2, 4096 * 3 + 5);
    let ran = env.run("bundle verify disks");
    assert_eq!(ran.code, 4);
    assert!(ran.stdout.contains("volume 2 of 3: chunk 4 at 12.0 KiB is bad"), "{}", ran.stdout);
    assert!(ran.stdout.contains("  in weights.gguf of model assistant, blobs/sha256/"), "{}", ran.stdout);
    assert!(ran.stdout.contains("repair: possible"), "{}", ran.stdout);
    let json = env.json("bundle verify disks");
    assert_eq!(json["repair"]["state"], "possible");
    assert_eq!(json["volumes"][1]["bad"][0]["first"], 4);
    assert_eq!(json["findings"][0]["type"], "chunks-damaged");
    assert_eq!(json["findings"][0]["volume"], "v002");
}

#[test]
fn a_missing_volume_is_exit_7_and_signatures_are_judged_by_the_store() {
    let env = TestEnv::new();
    let signer = bundle(&env, Builder::with_parity(1));
    assert_eq!(env.run("trust add signer.pub --role bundle --name vendor").code, 0);
    let json = env.json("bundle verify disks");
    assert_eq!((json["exitCode"].as_i64(), json["signatures"]["state"].as_str()), (Some(0), Some("trusted")));
    assert_eq!(json["signatures"]["list"][0]["name"], "vendor");
    fs_err::remove_dir_all(env.path("disks/demo-7.v002")).unwrap();
    let json = env.json("bundle verify disks");
    assert_eq!((json["exitCode"].as_i64(), &json["missing"]), (Some(7), &serde_json::json!(["v002"])));
    assert_eq!(json["repair"]["state"], "possible");

    // A signature that says it is by a key that the store has, and is not.
    let name = sovai_bundle::envelope_name(signer.public().id());
    for id in [VolumeId::Data(1), VolumeId::Data(3), VolumeId::Parity(1)] {
        let path = env.path(&format!("disks/demo-7.{id}/signatures/{name}"));
        let text = fs_err::read_to_string(&path).unwrap();
        let at = text.find("\"sig\":\"").unwrap() + 10;
        let other = if &text[at..=at] == "A" { "B" } else { "A" };
        fs_err::write(&path, format!("{}{other}{}", &text[..at], &text[at + 1..])).unwrap();
    }
    let json = env.json("bundle verify disks");
    assert_eq!(json["exitCode"], 5, "{json}");
    assert!(json["findings"].to_string().contains("signature-wrong"), "{json}");
}

#[test]
fn no_signature_too_few_or_a_revoked_key_are_exit_5() {
    let env = TestEnv::new();
    bundle(&env, Builder::default());
    officer(&env);
    assert_eq!(env.run("trust add officer.pub --role bundle").code, 0);
    assert_eq!(env.json("bundle verify disks")["signatures"]["state"], "insufficient");
    assert_eq!(env.run("bundle verify disks").code, 5);
    assert_eq!(env.run("trust add signer.pub --role bundle").code, 0);
    assert_eq!(env.run("bundle verify disks").code, 0);
    assert_eq!(env.run("trust threshold bundle 2").code, 0);
    assert_eq!(env.run("bundle verify disks").code, 5);
    for volume in 1..=3 {
        fs_err::remove_dir_all(env.path(&format!("disks/demo-7.v00{volume}/signatures"))).unwrap();
    }
    let other = TestEnv::new();
    fs_err::rename(env.path("disks"), other.path("disks")).unwrap();
    let json = other.json("bundle verify disks");
    assert_eq!(
        (json["exitCode"].as_i64(), json["signatures"]["state"].as_str()),
        (Some(5), Some("unsigned"))
    );
}

#[test]
fn what_is_no_bundle_or_two_is_told() {
    let env = TestEnv::new();
    bundle(&env, Builder::default());
    let other = Builder { sequence: 8, ..Builder::default() }.make();
    fs_err::rename(other.folder(VolumeId::Data(1)), env.path("disks/demo-8.v001")).unwrap();
    let ran = env.run("bundle verify disks");
    assert_eq!(ran.code, 2);
    assert!(
        ran.stderr.contains("demo-7 (index") && ran.stderr.contains("disks/demo-8.v001"),
        "{}",
        ran.stderr
    );
    assert_eq!(env.run("bundle verify none").code, 2);
    env.write("empty/x", "x");
    assert_eq!(env.run("bundle verify empty").code, 2);
    env.write("bad/bundle.json", "{}");
    assert_eq!(env.run("bundle verify bad").code, 4);
}

#[test]
fn inspect_tells_what_is_in_it_without_a_store() {
    let env = TestEnv::new();
    bundle(&env, Builder::with_parity(2));
    // Damage in a payload is not looked for.
    flip(&env, V2, 4096);
    let ran = env.run("bundle inspect disks/demo-7.v001");
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    for part in [
        "bundle demo-7",
        "missing   volume 2, 3 of 3; parity volume 1, 2 of 2",
        "2 volumes: any 2 that are lost",
        "model assistant: 97.6 KiB, Apache-2.0, trust digest",
        "from file:./weights.gguf",
        "  weights.gguf: 97.6 KiB, unknown",
        "signer: unknown",
        "border: no decision",
    ] {
        assert!(ran.stdout.contains(part), "{part}: {}", ran.stdout);
    }
    let json = env.json("inspect disks");
    assert_eq!((json["kind"].as_str(), json["action"].as_str()), (Some("BundleResult"), Some("inspect")));
    assert_eq!(json["models"]["assistant"]["license"], "Apache-2.0");
    assert!(!env.root().join("store").exists());
}

#[test]
fn an_officer_approves_and_a_page_is_printed() {
    let env = TestEnv::new();
    bundle(&env, Builder::default());
    let key = officer(&env);
    assert_eq!(env.run("trust add officer.pub --role border --name border-1").code, 0);
    let mut command = env.command(&["bundle", "approve", "disks", "--key", "officer", "--page", "page.html"]);
    let ran = env.finish(command.args(["--reason", "looked at <b>all</b> of it, see http://example.org"]));
    assert_eq!(ran.code, 0, "{}{}", ran.stdout, ran.stderr);
    let page = env.read("page.html");
    for part in [
        "approved",
        "demo-7",
        "Apache-2.0",
        "volume 3 of 3",
        "&lt;b&gt;all",
        "Register of media",
        "Name, signature",
    ] {
        assert!(page.contains(part), "{part}: {page}");
    }
    for part in ["<script", "http", "<b>all"] {
        assert!(!page.contains(part), "{part}");
    }
    let json = env.json("bundle inspect disks/demo-7.v003");
    assert_eq!(json["border"]["approved"], serde_json::json!([key.public().id().to_string()]));
    assert_eq!(json["decisions"][0]["inspected"]["volumes"]["v002"], "whole");
    assert_eq!(json["decisions"][0]["name"], "border-1");
    // The next one names it, and outweighs it.
    let json = env.json("bundle reject disks --reason no --key officer");
    assert_eq!(json["decision"]["previous"].as_array().map(Vec::len), Some(1), "{json}");
    assert_eq!(json["border"]["rejected"].as_array().map(Vec::len), Some(1), "{json}");
    let ran = env.run("bundle inspect disks");
    assert!(ran.stdout.contains("border: REJECTED by 1 key"), "{}", ran.stdout);
    assert_eq!(env.run("bundle verify disks").code, 0, "decisions are no damage");
    // What was done is in the evidence log.
    assert_eq!(env.run("evidence verify").code, 0);
    assert_eq!(env.run("evidence export --out exported").code, 0);
    let reports: String = env
        .everything_below("work/exported")
        .iter()
        .filter(|path| path.extension().is_some_and(|end| end == "json"))
        .map(|path| fs_err::read_to_string(path).unwrap())
        .collect();
    for part in ["bundle-approve", "bundle-reject", "bundle-verify", "looked at <b>all</b>"] {
        assert!(reports.contains(part), "{part}: {reports}");
    }
}

#[test]
fn what_is_damaged_or_missing_is_not_approved_and_can_be_rejected() {
    let env = TestEnv::new();
    bundle(&env, Builder::default());
    officer(&env);
    let ran = env.run("bundle approve disks/demo-7.v001 --reason ok --key officer");
    assert_eq!(ran.code, 7, "{}", ran.stderr);
    assert_eq!(
        env.run("bundle approve disks/demo-7.v001 --reason ok --key officer --incomplete --out one.json")
            .code,
        0
    );
    assert!(!env.path("disks/demo-7.v001/decisions").exists(), "it was written beside");
    assert_eq!(env.json("bundle inspect disks --decision one.json")["decisions"][0]["decision"], "approved");
    flip(&env, V2, 700);
    let ran = env.run("bundle approve disks --reason ok --key officer");
    assert_eq!(ran.code, 4, "{}", ran.stderr);
    assert!(ran.stderr.contains("chunk 1 at 0 B is"), "{}", ran.stderr);
    assert!(!env.path("disks/demo-7.v001/decisions").exists());
    assert_eq!(env.run("bundle reject disks --reason damaged --key officer").code, 0);
    let json = env.json("bundle inspect disks");
    assert!(
        json["decisions"][0]["inspected"]["findings"][0].as_str().unwrap().contains("chunks 1 to 1"),
        "{json}"
    );
    assert_eq!(env.run("bundle approve disks --key officer --reason ").code, 2);
    // A link in the place of the folder leads nowhere.
    let made = Builder::default().make();
    std::os::unix::fs::symlink(env.path("."), made.folder(VolumeId::Data(1)).join("decisions")).unwrap();
    let path = made.path().display().to_string();
    assert_eq!(env.run(&format!("bundle reject {path} --reason no --key officer")).code, 7);
}
