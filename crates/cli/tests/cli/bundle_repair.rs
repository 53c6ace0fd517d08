//! `bundle repair`, `bundle request` and `bundle create --only` on small bundles.

use crate::bundle_read::common::Builder;
use crate::env::TestEnv;

const V2: &str = "disks/demo-7.v002/demo-7.v002.tar";

/// Writes a bundle into `disks`, and a copy of it into `there`.
fn bundle(env: &TestEnv, parity: u16) {
    let made = Builder::with_parity(parity).make();
    fs_err::rename(made.path(), env.path("disks")).unwrap();
    let copied = std::process::Command::new("cp")
        .args(["-r", env.path("disks").to_str().unwrap(), env.path("there").to_str().unwrap()])
        .status()
        .unwrap();
    assert!(copied.success());
}

fn flip(env: &TestEnv, path: &str, at: usize) {
    let mut bytes = fs_err::read(env.path(path)).unwrap();
    bytes[at] ^= 1;
    env.write(path, bytes);
}

#[test]
fn lost_and_damaged_volumes_are_made_again_and_told() {
    let env = TestEnv::new();
    bundle(&env, 2);
    let good = fs_err::read(env.path(V2)).unwrap();
    fs_err::remove_dir_all(env.path("disks/demo-7.v003")).unwrap();
    flip(&env, V2, 5);
    let ran = env.run("bundle request disks");
    assert_eq!(ran.code, 0, "{}{}", ran.stdout, ran.stderr);
    assert!(ran.stdout.contains("nothing must be sent: parity can make good what is lost"), "{}", ran.stdout);
    let ran = env.run("bundle repair disks");
    assert_eq!(ran.code, 0, "{}{}", ran.stdout, ran.stderr);
    assert!(ran.stdout.contains("volume 2 of 3: 1 chunk computed in "), "{}", ran.stdout);
    assert!(ran.stdout.contains("volume 3 of 3: "), "{}", ran.stdout);
    assert!(ran.stdout.contains("signer: unknown"), "who signed is said, and not asked for: {}", ran.stdout);
    assert!(ran.stdout.ends_with("whole again\n"), "{}", ran.stdout);
    assert_eq!(env.run("bundle verify disks").code, 0);
    assert_eq!(fs_err::read(env.path(V2)).unwrap(), good);
    let json = env.json("bundle repair disks");
    assert_eq!((json["exitCode"].as_i64(), &json["volumes"]), (Some(0), &serde_json::json!([])));
}

#[test]
fn too_much_is_refused_with_what_is_missing_and_comes_back_by_request_and_answer() {
    let env = TestEnv::new();
    bundle(&env, 1);
    let good = fs_err::read(env.path(V2)).unwrap();
    fs_err::remove_dir_all(env.path("disks/demo-7.v003")).unwrap();
    flip(&env, V2, 5);
    flip(&env, V2, 4096 * 3);
    let ran = env.run("bundle repair disks");
    assert_eq!(ran.code, 7, "{}{}", ran.stdout, ran.stderr);
    assert!(ran.stderr.contains("volume 2 of 3: bad are the chunks 1, 4"), "{}", ran.stderr);
    assert!(ran.stderr.contains("sovai bundle request disks"), "{}", ran.stderr);

    let ran = env.run("bundle request disks --svg code.svg");
    assert_eq!(ran.code, 0, "{}{}", ran.stdout, ran.stderr);
    assert!(ran.stdout.starts_with("SOVAI REQUEST DEMO 7 "), "{}", ran.stdout);
    assert!(ran.stdout.contains("\nV002 1 4 CHECK "), "{}", ran.stdout);
    assert!(ran.stdout.contains('\u{2588}'), "a QR code: {}", ran.stdout);
    assert!(fs_err::read_to_string(env.path("code.svg")).unwrap().contains("<svg"));
    let json = env.json("bundle request disks");
    assert_eq!((&json["needed"], &json["chunks"]), (&true.into(), &2.into()));
    let text = json["text"].as_str().unwrap().to_lowercase();

    // What was heard wrong is told by line; what was heard right is answered.
    env.write(
        "key",
        sovai_signing::PrivateKey::generate(sovai_signing::Algorithm::Ed25519)
            .unwrap()
            .to_pkcs8_pem(None)
            .unwrap()
            .as_bytes(),
    );
    env.write("heard.txt", text.replace("v002 1 4", "v002 1 5"));
    let ran = env.run("bundle create demo.yaml --out there --only heard.txt --key key");
    assert_eq!(ran.code, 2, "{}", ran.stderr);
    assert!(ran.stderr.contains("the line V002 and its check words do not go together"), "{}", ran.stderr);
    env.write("heard.txt", &text);
    let ran = env.run("bundle create demo.yaml --out there --only heard.txt --key key");
    assert_eq!(ran.code, 0, "{}{}", ran.stdout, ran.stderr);
    assert!(ran.stdout.contains("demo-7.r001: 2 chunks"), "{}", ran.stdout);
    let ran = env.run("bundle create demo.yaml --out elsewhere --only heard.txt --key key");
    assert_eq!(ran.code, 2, "{}", ran.stderr);
    assert!(ran.stderr.contains("--sequence 7"), "{}", ran.stderr);

    fs_err::rename(env.path("there/demo-7.r001"), env.path("disks/demo-7.r001")).unwrap();
    assert!(env.run("bundle request disks").stdout.contains("nothing must be sent: parity and the patches"));
    let ran = env.run("bundle repair disks");
    assert_eq!(ran.code, 0, "{}{}", ran.stdout, ran.stderr);
    assert!(ran.stdout.contains("2 chunks taken from a patch"), "{}", ran.stdout);
    assert_eq!(fs_err::read(env.path(V2)).unwrap(), good);
    assert_eq!(env.run("bundle verify disks").code, 0);
}

#[test]
fn what_is_made_again_can_go_into_another_folder() {
    let env = TestEnv::new();
    bundle(&env, 1);
    flip(&env, V2, 5);
    let bad = fs_err::read(env.path(V2)).unwrap();
    let ran = env.run("bundle repair disks --out new");
    assert_eq!(ran.code, 0, "{}{}", ran.stdout, ran.stderr);
    assert_eq!(fs_err::read(env.path(V2)).unwrap(), bad);
    assert_eq!(
        env.run("bundle verify new/demo-7.v002 disks/demo-7.v001 disks/demo-7.v003 disks/demo-7.p001").code,
        0
    );
    assert_eq!(env.run("bundle repair nothing").code, 2);
}
