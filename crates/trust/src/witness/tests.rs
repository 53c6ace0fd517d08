use super::*;
use sovai_store::Store;

const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";

fn record(address: &str, files: &[(&str, u8)], time: u64) -> Record {
    let mut listing = Listing { kind: ListingKind::HubTree, files: BTreeMap::new(), without: Vec::new() };
    for (path, byte) in files {
        let seen = Seen { sha256: Some(Sha256::from_bytes([*byte; 32])), git_blob: None };
        listing.files.insert(RelPath::new(path).unwrap(), seen);
    }
    Record {
        source: address.parse().unwrap(),
        time,
        place: "desk-7".to_owned(),
        list: Some(Sha256::from_bytes([9; 32])),
        listing,
    }
}

#[test]
fn a_record_survives_the_log() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(&dir.path().join("store")).unwrap();
    let key = sovai_evidence::site_key(&store).unwrap();
    let log = Log::open(&store);
    let address = format!("hf:org/name@{COMMIT}");
    let mut first = record(&address, &[("a", 1), ("b", 2)], 100);
    let blob = Seen { sha256: None, git_blob: GitBlob::from_hex(COMMIT) };
    first.listing.files.insert(RelPath::new("c").unwrap(), blob);
    assert_eq!(Record::from_statement(first.to_statement()).unwrap(), first);
    log.append(&first.to_statement(), &key).unwrap();
    // Of each file the newest record counts: lists can come in pages.
    log.append(&record(&address, &[("b", 3), ("d", 4)], 200).to_statement(), &key).unwrap();
    let trust = TrustStore::open(&store).unwrap();
    let witnesses = trust.witnesses(300).unwrap();
    let [sighting] = &*witnesses.sightings else { panic!("{witnesses:?}") };
    assert_eq!(
        (sighting.time, sighting.place.as_str(), sighting.recorder),
        (200, "desk-7", key.public().id())
    );
    let pin = |path: &str, byte| FilePin {
        path: RelPath::new(path).unwrap(),
        size: 1,
        sha256: Sha256::from_bytes([byte; 32]),
    };
    let pins = [pin("a", 1), pin("b", 2), pin("c", 3), pin("d", 4), pin("e", 5)];
    let path = |text: &str| RelPath::new(text).unwrap();
    let compared = sighting.compare(&pins, &BTreeMap::new());
    assert_eq!(
        compared,
        Compared { equal: 2, differs: vec![path("b")], not_witnessed: vec![path("c"), path("e")] }
    );
    let own = BTreeMap::from([(path("c"), GitBlob::from_hex(COMMIT).unwrap())]);
    assert_eq!(sighting.compare(&pins, &own).equal, 3);
    let other = BTreeMap::from([(path("c"), GitBlob::from_bytes([0; 20]))]);
    assert_eq!(sighting.compare(&pins, &other).differs, [path("b"), path("c")]);

    // A log that was tampered with witnesses nothing.
    let text = fs_err::read_to_string(log.path()).unwrap();
    let (_, second) = text.split_once('\n').unwrap();
    fs_err::write(log.path(), second).unwrap();
    let witnesses = trust.witnesses(300).unwrap();
    assert!(witnesses.sightings.is_empty());
    assert!(witnesses.damage.unwrap().contains("line 1"));
}

#[test]
fn a_revoked_recorder_witnesses_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(&dir.path().join("store")).unwrap();
    let key = sovai_evidence::site_key(&store).unwrap();
    Log::open(&store).append(&record("hf:a/b@main", &[("a", 1)], 1).to_statement(), &key).unwrap();
    let mut trust = TrustStore::open(&store).unwrap();
    assert_eq!(trust.witnesses(2).unwrap().sightings.len(), 1);
    trust.revoke(key.public().id(), None, 2).unwrap();
    let witnesses = trust.witnesses(2).unwrap();
    assert_eq!((witnesses.sightings.len(), witnesses.damage), (0, None));
}

#[test]
fn malformed_records_are_refused() {
    let good = record("hf:a/b@main", &[("a", 1)], 1).to_statement();
    for (member, value) in [
        ("source", serde_json::json!("ftp://x")),
        ("time", serde_json::json!("noon")),
        ("place", serde_json::json!("x".repeat(300))),
        ("list", serde_json::json!({ "kind": "rumour" })),
    ] {
        let mut bad = good.clone();
        bad.predicate[member] = value;
        assert!(Record::from_statement(bad).is_err(), "{member}");
    }
    let mut bad = good.clone();
    bad.subject[0].name = "../a".to_owned();
    assert!(Record::from_statement(bad).is_err());
    let mut bad = good;
    bad.subject[0].digest = BTreeMap::from([("md5".to_owned(), "00".to_owned())]);
    assert!(Record::from_statement(bad).is_err());
}
