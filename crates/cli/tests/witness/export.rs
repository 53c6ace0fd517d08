//! `sovai export checks` of what the witness signed: its JSON is indented and escapes all that is not ASCII.

use crate::{Witness, openssl};
use std::process::Command;

const NAMES: &[&str] =
    &["config.json", "käse.txt", "模型/权重.bin", "🦀 \"x\".bin", "-n", "a  b", "it's", "empty"];

#[test]
fn the_script_reads_what_the_witness_signed() {
    let Some(witness) = Witness::find() else { return };
    for curve in ["prime256v1", "secp384r1", "secp521r1"] {
        let work = tempfile::tempdir().unwrap();
        let at = |name: &str| work.path().join(name);
        for name in NAMES {
            let path = at("model").join(name);
            fs_err::create_dir_all(path.parent().unwrap()).unwrap();
            fs_err::write(path, if *name == "empty" { "" } else { name }).unwrap();
        }
        openssl(work.path(), &["ecparam", "-name", curve, "-genkey", "-noout", "-out", "key"]);
        openssl(work.path(), &["ec", "-in", "key", "-pubout", "-out", "key.pub"]);
        let path = |name: &str| at(name).into_os_string();
        witness.must([
            "sign".into(),
            "key".into(),
            path("model"),
            "--signature".into(),
            path("model.sig"),
            "--private_key".into(),
            path("key"),
        ]);
        let status = Command::new(env!("CARGO_BIN_EXE_sovai"))
            .args([
                "export",
                "checks",
                "model",
                "--signature",
                "model.sig",
                "--key",
                "key.pub",
                "--out",
                "out",
            ])
            .current_dir(work.path())
            .output()
            .unwrap();
        assert!(status.status.success(), "{}", String::from_utf8_lossy(&status.stderr));
        let script = || {
            let output = Command::new("sh").arg(at("out/check.sh")).arg(at("model")).output().unwrap();
            (output.status.code().unwrap(), String::from_utf8_lossy(&output.stderr).into_owned())
        };
        let (code, said) = script();
        assert_eq!(code, 0, "{said}");
        for name in NAMES {
            let path = at("model").join(name);
            let old = fs_err::read(&path).unwrap();
            fs_err::write(&path, "changed").unwrap();
            let (code, said) = script();
            assert_eq!((code, said.contains("differs")), (4, true), "{said}");
            fs_err::write(&path, old).unwrap();
        }
        assert_eq!(script().0, 0);
    }
}
