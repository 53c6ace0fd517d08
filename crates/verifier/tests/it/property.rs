//! Any single fault in any tree is found.

use crate::common::{Model, flip, trees};
use proptest::prelude::*;
use std::collections::BTreeMap;

#[derive(Debug, Clone)]
enum Fault {
    Flip(usize),
    Truncate,
    Grow,
    Remove,
    Add,
    Link,
    Swap,
}

fn files() -> impl Strategy<Value = BTreeMap<String, Vec<u8>>> {
    // Folders and files never share a name, so that any set of paths is a tree.
    let path = "(d[a-c]/){0,2}f[a-f]";
    proptest::collection::btree_map(path, proptest::collection::vec(any::<u8>(), 0..400), 1..8)
}

fn fault() -> impl Strategy<Value = Fault> {
    prop_oneof![
        any::<usize>().prop_map(Fault::Flip),
        Just(Fault::Truncate),
        Just(Fault::Grow),
        Just(Fault::Remove),
        Just(Fault::Add),
        Just(Fault::Link),
        Just(Fault::Swap),
    ]
}

/// Does the fault; says whether it changed anything.
fn inject(model: &Model, path: &str, bytes: &[u8], other: &[u8], fault: &Fault) -> bool {
    let file = model.path(path);
    match fault {
        Fault::Flip(_) | Fault::Truncate if bytes.is_empty() => return false,
        Fault::Swap if bytes == other => return false,
        Fault::Flip(at) => flip(&file, at % bytes.len()),
        Fault::Truncate => model.write(path, &bytes[..bytes.len() - 1]),
        Fault::Grow => model.write(path, &[bytes, b"\0"].concat()),
        Fault::Remove => fs_err::remove_file(&file).unwrap(),
        Fault::Add => model.write(&format!("{path}.more"), b""),
        Fault::Swap => model.write(path, other),
        Fault::Link => {
            let target = model.dir.path().join("target");
            fs_err::rename(&file, &target).unwrap();
            std::os::unix::fs::symlink(&target, &file).unwrap();
        }
    }
    true
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_fault_is_found(files in files(), fault in fault(), which in any::<prop::sample::Index>(), admit_first: bool) {
        let list: Vec<(&str, &[u8])> = files.iter().map(|(p, b)| (p.as_str(), b.as_slice())).collect();
        let model = Model::new(&list);
        prop_assert_eq!(model.verify().findings, vec![]);
        if admit_first {
            model.admitted();
        }
        let at = which.index(list.len());
        let (path, bytes) = list[at];
        let other = list[(at + 1) % list.len()].1;
        if inject(&model, path, bytes, other, &fault) {
            prop_assert!(!model.verify().findings.is_empty());
            // Receipts of an earlier admission must not hide it.
            let admission = model.admit();
            prop_assert!(!admission.report.findings.is_empty());
            prop_assert!(admission.receipt.is_none());
            prop_assert_eq!(trees(&model.store()), usize::from(admit_first));
        }
    }
}
