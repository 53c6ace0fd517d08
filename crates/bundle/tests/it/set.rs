//! Opening volumes: any of them, in any order, and whatever else lies there.

use crate::common::{Builder, Made, sha256};
use sovai_bundle::{Index, SetError, VolumeId, VolumeSet, Weight, names};
use sovai_signing::{Algorithm, PrivateKey};
use std::os::unix::fs::symlink;
use std::path::PathBuf;

const V1: VolumeId = VolumeId::Data(1);
const V2: VolumeId = VolumeId::Data(2);

fn open(made: &Made) -> VolumeSet {
    VolumeSet::open(&[made.path().to_owned()], &[], &[]).unwrap()
}

/// Kinds of what weighs more than a note, with their volumes.
fn flaws(set: &VolumeSet) -> Vec<(&'static str, Option<VolumeId>)> {
    let heavy = set.findings().iter().filter(|finding| finding.weight > Weight::Note);
    heavy.map(|finding| (finding.kind, finding.volume)).collect()
}

#[test]
fn a_whole_bundle_is_opened_by_its_folder_its_volumes_or_a_file_in_one() {
    let made = Builder::with_parity(1).make();
    let set = open(&made);
    assert_eq!(set.findings(), []);
    assert!(made.index.volumes.len() >= 3);
    assert_eq!(set.digest(), made.digest);
    assert_eq!(set.index(), &made.index);
    assert_eq!(sha256(set.index_bytes()), made.digest);
    assert!(set.missing().is_empty());
    assert_eq!(set.signatures().len(), 1, "copies count once");
    assert_eq!(set.signatures()[0].volumes.len(), made.ids().len());
    assert_eq!(set.signed_by(&[made.keys[0].public().clone()]).len(), 1);
    let other = PrivateKey::generate(Algorithm::Ed25519).unwrap();
    assert!(!set.is_signed_by(&set.signatures()[0], other.public()));
    assert_eq!(set.table().unwrap().of(V1).len(), 10);
    let manifest = set.index().item("stack/demo.yaml").unwrap();
    assert_eq!(set.read_item(manifest).unwrap(), b"apiVersion: sovai/v1\n");
    let weights = set.index().items.iter().find(|item| item.size == 100_000).unwrap();
    assert_eq!(set.read_item(weights).map(|bytes| sha256(&bytes)), Some(weights.sha256));

    let some = [made.payload(V2), made.folder(V1).join(names::INDEX), made.folder(V2)];
    let set = VolumeSet::open(&some, &[], &[]).unwrap();
    assert_eq!(set.present().map(|volume| volume.id).collect::<Vec<_>>(), [V1, V2]);
    assert_eq!(set.missing().first(), Some(&VolumeId::Data(3)));
    assert!(set.read_item(weights).is_none(), "a piece of it is not here");
}

#[test]
fn a_volume_whose_folder_was_renamed_is_known_by_its_payload() {
    let made = Builder::default().make();
    let renamed = made.path().join("usb-stick");
    fs_err::rename(made.folder(V2), &renamed).unwrap();
    assert_eq!(open(&made).volume(V2).unwrap().path, renamed);
    fs_err::remove_file(made.payload(V1)).unwrap();
    let set = open(&made);
    assert_eq!(flaws(&set), [("payload-missing", Some(V1))]);
    assert_eq!(set.missing(), [V1]);
}

#[test]
fn one_damaged_index_among_good_ones_is_a_finding_about_its_volume() {
    let made = Builder::default().make();
    let path = made.folder(V2).join(names::INDEX);
    let good = fs_err::read_to_string(&path).unwrap();
    // Not JSON, another bundle by one digit, a hole.
    for (bad, kind) in [
        (good.replace("\"stack\"", "\"stuck\""), "index-damaged"),
        (good.replace("\"sequence\": 7", "\"sequence\": 6"), "index-differs"),
        (good.replace("weights.gguf", "weighed.gguf"), "index-differs"),
    ] {
        fs_err::write(&path, bad).unwrap();
        let set = open(&made);
        assert_eq!(flaws(&set), [(kind, Some(V2))]);
        assert_eq!(set.digest(), made.digest);
    }
    fs_err::remove_file(&path).unwrap();
    assert_eq!(flaws(&open(&made)), [("file-missing", Some(V2))]);
    // Without a signature that tells, the other two volumes outweigh.
    fs_err::write(&path, good.replace("weights.gguf", "weighed.gguf")).unwrap();
    for id in made.ids() {
        fs_err::remove_dir_all(made.folder(id).join(names::SIGNATURES)).unwrap();
    }
    assert_eq!(flaws(&open(&made)), [("index-differs", Some(V2))]);
    // One against one: neither is believed.
    let two = [made.folder(V1), made.folder(V2)];
    let error = VolumeSet::open(&two, &[], &[]).unwrap_err();
    assert!(matches!(&error, SetError::Mixed { bundles } if bundles.len() == 2), "{error}");
}

#[test]
fn two_bundles_mixed_are_told_with_their_folders() {
    let (first, second) = (Builder::default().make(), Builder { sequence: 8, ..Builder::default() }.make());
    let both = [first.folder(V1), second.folder(V2)];
    let error = VolumeSet::open(&both, &[], &[]).unwrap_err().to_string();
    assert!(error.contains("demo-7 (index"), "{error}");
    assert!(error.contains(&second.folder(V2).display().to_string()), "{error}");
    // The same name and sequence, signed by somebody else.
    let forged = Builder { change: |index| index.created += 1, ..Builder::default() }.make();
    let error = VolumeSet::open(&[first.path().to_owned(), forged.folder(V2)], &[], &[]).unwrap_err();
    assert!(matches!(error, SetError::Twice { .. } | SetError::Mixed { .. }), "{error}");
}

#[test]
fn a_volume_twice_is_refused_and_a_folder_named_twice_is_not() {
    let made = Builder::default().make();
    let copy = made.path().join("copy");
    fs_err::create_dir(&copy).unwrap();
    for entry in fs_err::read_dir(made.folder(V2)).unwrap() {
        let entry = entry.unwrap();
        if entry.path().is_file() {
            fs_err::copy(entry.path(), copy.join(entry.file_name())).unwrap();
        }
    }
    let error = VolumeSet::open(&[made.path().to_owned()], &[], &[]).unwrap_err();
    assert!(matches!(error, SetError::Twice { volume: V2, .. }), "{error}");
    let same = [made.folder(V1), made.folder(V1).join("."), made.payload(V1)];
    assert_eq!(VolumeSet::open(&same, &[], &[]).unwrap().present().count(), 1);
}

#[test]
fn links_pipes_and_devices_are_not_read() {
    let made = Builder::default().make();
    let payload = made.payload(V1);
    let aside = made.path().join("aside");
    fs_err::rename(&payload, &aside).unwrap();
    symlink(&aside, &payload).unwrap();
    let pipe = made.payload(V2);
    fs_err::remove_file(&pipe).unwrap();
    let bits = rustix::fs::Mode::from_raw_mode(0o644);
    rustix::fs::mknodat(rustix::fs::CWD, &pipe, rustix::fs::FileType::Fifo, bits, 0).unwrap();
    let index = made.folder(V2).join(names::INDEX);
    fs_err::remove_file(&index).unwrap();
    symlink("/dev/zero", &index).unwrap();
    let signatures = made.folder(V2).join(names::SIGNATURES);
    fs_err::remove_dir_all(&signatures).unwrap();
    symlink("/etc", &signatures).unwrap();
    let set = open(&made);
    assert_eq!(
        flaws(&set),
        [
            ("unreadable", Some(V1)),
            ("unreadable", Some(V2)),
            ("unreadable", Some(V2)),
            ("unreadable", Some(V2)),
        ]
    );
    assert_eq!(set.missing(), [V1, V2]);
    assert!(set.volume(V2).unwrap().open_payload().is_err());
}

#[test]
fn an_index_or_table_of_absurd_size_is_not_read() {
    let made = Builder::default().make();
    for name in [names::INDEX, names::CHUNKS] {
        let file = fs_err::OpenOptions::new().write(true).open(made.folder(V1).join(name)).unwrap();
        // Sparse: it takes no space.
        file.set_len(1 << 40).unwrap();
    }
    let set = open(&made);
    assert_eq!(flaws(&set), [("unreadable", Some(V1)), ("unreadable", Some(V1))]);
    assert!(set.table().is_some());
    let error = VolumeSet::open(&[made.folder(V1)], &[], &[]).unwrap_err();
    assert!(matches!(&error, SetError::NoIndex { reasons } if reasons[0].contains("longer")), "{error}");
}

#[test]
fn signatures_that_are_none_or_speak_of_something_else_are_findings() {
    let made = Builder::default().make();
    let other = Builder { change: |index| index.created += 1, ..Builder::default() }.make();
    let folder = made.folder(V1).join(names::SIGNATURES);
    fs_err::write(folder.join("0123456789abcdef.dsse.json"), "{}").unwrap();
    fs_err::write(folder.join("Thumbs.db"), "x").unwrap();
    let theirs = fs_err::read_dir(other.folder(V1).join(names::SIGNATURES)).unwrap().next().unwrap().unwrap();
    let set = VolumeSet::open(&[made.path().to_owned()], &[theirs.path()], &[]).unwrap();
    assert_eq!(flaws(&set), [("malformed", Some(V1)), ("unfit", None)]);
    assert!(set.findings().iter().any(|finding| finding.kind == "foreign"));
    assert!(set.signed_by(&[other.keys[0].public().clone()]).is_empty());
    // A copy with another signature in it: no key is needed to see that.
    let own =
        fs_err::read_dir(made.folder(V2).join(names::SIGNATURES)).unwrap().next().unwrap().unwrap().path();
    let text = fs_err::read_to_string(&own).unwrap();
    let at = text.find("\"sig\":\"").unwrap() + 8;
    let changed = if &text[at..=at] == "A" { "B" } else { "A" };
    fs_err::write(&own, format!("{}{changed}{}", &text[..at], &text[at + 1..])).unwrap();
    assert!(flaws(&open(&made)).iter().any(|(kind, _)| *kind == "copies-differ"));
    let missing = VolumeSet::open(&[made.path().to_owned()], &[PathBuf::from("/nowhere")], &[]).unwrap_err();
    assert!(matches!(missing, SetError::NotThere { .. }), "{missing}");
}

#[test]
fn a_table_with_other_counts_than_the_index_is_not_believed() {
    let made = Builder { change: |index: &mut Index| index.chunk_size = 8192, ..Builder::default() }.make();
    let set = open(&made);
    assert!(set.table().is_none());
    assert!(flaws(&set).iter().all(|(kind, _)| *kind == "table-contradicts"));
}

#[test]
fn what_is_no_volume_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let open = |path: PathBuf| VolumeSet::open(&[path], &[], &[]).unwrap_err();
    assert!(matches!(open(dir.path().to_owned()), SetError::NoVolume { .. }));
    assert!(matches!(open(dir.path().join("none")), SetError::NotThere { .. }));
    fs_err::write(dir.path().join("x.v001.tar"), "x").unwrap();
    assert!(matches!(open(dir.path().to_owned()), SetError::NoIndex { .. }));
    fs_err::write(dir.path().join(names::INDEX), "{\"apiVersion\": \"../../x\"}").unwrap();
    assert!(matches!(open(dir.path().to_owned()), SetError::NoIndex { .. }));
}
