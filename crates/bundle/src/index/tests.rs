use super::*;

fn digest(byte: u8) -> Sha256 {
    Sha256::from_bytes([byte; 32])
}

fn blob(byte: u8, size: u64, parts: Vec<Part>) -> Item {
    let path = RelPath::new(&format!("blobs/sha256/{}", digest(byte).hex())).unwrap();
    Item { path, role: Role::Blob, size, sha256: digest(byte), parts }
}

/// An index with one model of one blob in two pieces, and a manifest.
fn example() -> Index {
    let carried = |volume, offset, length| Part::Carried { volume, offset, length };
    let readme = BTreeMap::from([("README.txt".to_owned(), VolumeFile { size: 5, sha256: digest(7) })]);
    let volume = |size| Volume { payload: Payload { size, sha256: digest(8) }, files: readme.clone() };
    Index {
        stack: Name::new("demo").unwrap(),
        sequence: 7,
        created: 1_700_000_000,
        platform: Platform::new("linux", "amd64", None).unwrap(),
        tool: Tool { name: "sovai".to_owned(), version: "0.1.0".to_owned() },
        manifest: RelPath::new("stack/demo.yaml").unwrap(),
        models: BTreeMap::from([(
            Name::new("m").unwrap(),
            Model {
                digest: digest(1),
                bytes: 300,
                source: "file:./m.gguf".to_owned(),
                license: Some("Apache-2.0".to_owned()),
                trust: TrustLevel::Digest,
            },
        )]),
        images: BTreeMap::new(),
        base: None,
        chunk_size: 4 << 20,
        chunks: digest(9),
        volumes: vec![volume(4096), volume(2048)],
        parity: Some(Parity { code: "reed-solomon-leopard-gf16".to_owned(), volumes: vec![volume(4096)] }),
        items: vec![
            blob(1, 300, vec![carried(1, 1536, 100), carried(2, 512, 200)]),
            Item {
                path: RelPath::new("stack/demo.yaml").unwrap(),
                role: Role::Manifest,
                size: 10,
                sha256: digest(2),
                parts: vec![carried(1, 512, 10)],
            },
        ],
    }
}

#[test]
fn an_index_is_read_as_it_was_written_and_in_no_other_form() {
    let index = example();
    let text = index.to_json();
    assert_eq!(Index::parse(text.as_bytes()).as_ref(), Ok(&index));
    assert!(text.contains(&format!("\"sha256\": \"{}\"", "01".repeat(32))), "{text}");
    let forms = [
        text.trim_end().to_owned(),
        text.replace("  ", " "),
        text.replace("\"sequence\": 7", "\"sequence\": 7.0"),
        text.replacen("\"format\": 1", "\"format\": 2", 1),
        text.replacen("Bundle", "Stack", 1),
        text.replacen("\"tool\"", "\"tool\": {}, \"tool\"", 1),
        text.replacen("\"stack\"", "\"Stack\"", 1),
        format!("{text} "),
    ];
    for text in forms {
        assert!(Index::parse(text.as_bytes()).is_err(), "{text}");
    }
}

#[test]
fn an_index_that_contradicts_itself_is_refused() {
    type Change = fn(&mut Index);
    let changes: &[(&str, Change)] = &[
        ("reaches beyond", |index| index.volumes[1].payload.size = 600),
        ("no volume 3", |index| {
            index.items[0].parts[1] = Part::Carried { volume: 3, offset: 0, length: 200 }
        }),
        ("has 301 bytes", |index| index.items[0].size = 301),
        ("share bytes", |index| {
            index.items[1].parts[0] = Part::Carried { volume: 1, offset: 1630, length: 10 }
        }),
        ("not sorted", |index| index.items.swap(0, 1)),
        ("role", |index| index.items[0].role = Role::Document),
        ("role", |index| index.items[0].sha256 = digest(5)),
        ("chunks of 3 bytes", |index| index.chunk_size = 3),
        ("is not among the files", |index| {
            index.models.values_mut().for_each(|model| model.digest = digest(5));
        }),
        ("the manifest", |index| index.manifest = RelPath::new("stack/other.yaml").unwrap()),
        ("no bytes", |index| {
            index.items[0].parts.push(Part::Carried { volume: 2, offset: 0, length: 0 });
        }),
        ("overflow", |index| {
            index.items[0].parts[0] = Part::Carried { volume: 1, offset: u64::MAX, length: 100 };
        }),
        ("a file `../x`", |index| {
            let file = VolumeFile { size: 1, sha256: digest(1) };
            index.volumes[0].files.insert("../x".to_owned(), file);
        }),
        ("the base has no blob", |index| {
            index.items[0].parts[0] = Part::Based { base: digest(4), offset: 0, length: 100 };
        }),
        ("0 volumes", |index| index.volumes.clear()),
        ("most", |index| index.chunk_size = 4096_u32.max(index.chunk_size / 1024)),
    ];
    for (what, change) in changes {
        let mut index = example();
        change(&mut index);
        if *what == "most" {
            index.volumes[0].payload.size = 1 << 40;
        }
        let error = Index::parse(index.to_json().as_bytes()).unwrap_err();
        assert!(matches!(error, IndexError::Contradiction(_)), "{what}: {error}");
        let told = error.to_string();
        assert!(told.contains(what) || *what == "overflow" && told.contains("beyond"), "{what}: {told}");
    }
}
