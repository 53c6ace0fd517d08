//! Files of an image, through layers that override and hide.

use super::support::{Entry, archive, commit, config, docker, docker_with, file, gzip, read, store};
use crate::{ImageError, Seen, read_files};
use std::collections::BTreeMap;

/// What is at the wanted paths of an image with these layers.
fn seen(layers: &[Vec<u8>], packed: bool) -> Result<BTreeMap<String, Seen>, ImageError> {
    let (_dir, store) = store();
    let plain: Vec<&[u8]> = layers.iter().map(Vec::as_slice).collect();
    let zipped: Vec<Vec<u8>> = layers.iter().map(|layer| gzip(layer)).collect();
    let zipped: Vec<&[u8]> = zipped.iter().map(Vec::as_slice).collect();
    let entries =
        if packed { docker_with("a:1", &config("amd64", &plain), &zipped) } else { docker("a:1", &plain) };
    let image = commit(&store, read(&store, &entries).unwrap(), "a:1");
    read_files(&store, &image, &|path| path.starts_with("var/lib/") || path == "etc/os-release")
}

fn bytes(text: &str) -> Seen {
    Seen::Bytes(text.into())
}

#[test]
fn upper_layers_override_and_whiteouts_hide() {
    let long = "x".repeat(100_000);
    let layers = [
        archive(&[
            file("./etc/os-release", "one"),
            file("var/lib/dpkg/status", "old"),
            file("var/lib/gone", "1"),
            file("var/lib/folder/a", "2"),
            file("var/lib/opaque/lower", "3"),
            file("var/lib/link/below", "4"),
            file("usr/bin/large", long.as_str()),
        ]),
        archive(&[
            // The whiteout of this very layer stands before and after what it does not touch.
            file("var/lib/opaque/.wh..wh..opq", ""),
            file("var/lib/opaque/upper", "5"),
            file("var/lib/.wh.gone", ""),
            file("var/lib/.wh.folder", ""),
            file("/var/lib/dpkg/status", "new"),
            Entry::Link("var/lib/link".to_owned(), "elsewhere".to_owned()),
            file("var/lib/../lib/hidden", "no"),
        ]),
        archive(&[file("var/lib/gone", "again")]),
    ];
    let expected = BTreeMap::from(
        [
            ("etc/os-release", bytes("one")),
            ("var/lib/dpkg/status", bytes("new")),
            ("var/lib/gone", bytes("again")),
            ("var/lib/link", Seen::NotRead),
            ("var/lib/opaque/upper", bytes("5")),
        ]
        .map(|(path, seen)| (path.to_owned(), seen)),
    );
    for packed in [false, true] {
        assert_eq!(seen(&layers, packed).unwrap(), expected, "packed: {packed}");
    }
}

#[test]
fn a_file_that_is_too_long_is_told_of_and_not_read() {
    let layers = [archive(&[
        file("var/lib/a", vec![b'x'; 16 << 20]),
        file("var/lib/b", vec![b'x'; (8 << 20) + 1]),
        file("var/lib/c", vec![b'x'; 8 << 20]),
    ])];
    let seen = seen(&layers, true).unwrap();
    let read: Vec<bool> = seen.values().map(|seen| matches!(seen, Seen::Bytes(_))).collect();
    assert_eq!(read, [true, false, true]);
}

#[test]
fn a_layer_that_is_no_archive_and_a_name_without_end_are_errors() {
    let error = seen(&[vec![7; 2000]], false).unwrap_err();
    assert!(matches!(error, ImageError::Read { .. }), "{error}");
    // A GNU long name of 2 MiB.
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(tar::EntryType::GNULongName);
    header.set_size(2 << 20);
    header.set_cksum();
    let mut layer = header.as_bytes().to_vec();
    layer.extend(vec![b'a'; 2 << 20]);
    layer.extend(archive(&[file("x", "")]));
    for packed in [false, true] {
        let error = seen(std::slice::from_ref(&layer), packed).unwrap_err();
        assert!(matches!(error, ImageError::Read { .. }), "{error}");
    }
}
