//! The commands of docs/first-trust.md, as they stand there, on a bundle.

use crate::bundle_create::ready;
use crate::env::TestEnv;

/// The blocks of shell in the document, in order. The one that names what is checked is replaced.
fn blocks() -> Vec<String> {
    let text = include_str!("../../../../docs/first-trust.md");
    let mut blocks = Vec::new();
    for part in text.split("```sh\n").skip(1) {
        let block = part.split("```").next().unwrap();
        if block.starts_with("key=") {
            continue;
        }
        blocks.push(format!("set -e\nkey=key.pub\nvolume=out/demo-7.v001\n{block}"));
    }
    blocks
}

/// Runs the blocks in order; the number of the first that fails, from 1.
fn first_failure(env: &TestEnv) -> Option<usize> {
    let failed = |block: &String| {
        // The plainest shell that a machine has.
        let output = env.process("dash", &["-c", block]).output().unwrap();
        !output.status.success()
    };
    blocks().iter().position(failed).map(|at| at + 1)
}

#[test]
fn the_documented_commands_check_a_first_disk_and_notice_what_was_changed() {
    let env = ready(5000);
    let ran = env.run("bundle create deploy/stack.yaml --key k --out out --sequence 7");
    assert_eq!(ran.code, 0, "{ran}");
    fs_err::copy(env.path("k.pub"), env.path("key.pub")).unwrap();
    assert_eq!(blocks().len(), 5, "key, list, signature, index, program");
    assert_eq!(first_failure(&env), None);

    // One byte of the program: the list says so; with a list made anew, the index does.
    let volume = env.path("out/demo-7.v001");
    let changed = |name: &str, change: &dyn Fn(&mut Vec<u8>)| {
        let path = volume.join(name);
        let good = fs_err::read(&path).unwrap();
        let mut bad = good.clone();
        change(&mut bad);
        fs_err::remove_file(&path).unwrap();
        fs_err::write(&path, bad).unwrap();
        good
    };
    let relist = || {
        let line = "cd out/demo-7.v001 && sha256sum README.txt bundle.json chunks.txt sovai *.tar > list && \
                    rm -f SHA256SUMS && mv list SHA256SUMS";
        assert!(env.process("dash", &["-c", line]).status().unwrap().success());
    };
    let flip = |bytes: &mut Vec<u8>| *bytes.last_mut().unwrap() ^= 1;
    let good = changed("sovai", &flip);
    assert_eq!(first_failure(&env), Some(2));
    relist();
    assert_eq!(first_failure(&env), Some(5));
    changed("sovai", &|bytes| good.clone_into(bytes));
    // Another index, with the changed program's digest in it and a list that fits: nobody signed that.
    changed("bundle.json", &|bytes| {
        let text = String::from_utf8(bytes.clone()).unwrap();
        *bytes = text.replace("\"sequence\": 7", "\"sequence\": 8").into_bytes();
    });
    relist();
    assert_eq!(first_failure(&env), Some(4));
    // Another key's signature under the name of the trusted one.
    let other = env.run("keys generate --out other");
    assert_eq!(other.code, 0, "{other}");
    fs_err::copy(env.path("other.pub"), env.path("key.pub")).unwrap();
    assert_eq!(first_failure(&env), Some(3));
}
