use super::*;
use serde_json::json;
use sovai_signing::statement::Subject;
use sovai_signing::{Algorithm, PublicKey};
use std::collections::BTreeMap;

struct Site {
    _dir: tempfile::TempDir,
    log: Log,
    key: PrivateKey,
}

impl Site {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(&dir.path().join("store")).unwrap();
        let key = crate::site_key(&store).unwrap();
        Self { log: Log::open(&store), key, _dir: dir }
    }

    fn append(&self, text: &str) -> Appended {
        self.log.append(&statement(text), &self.key).unwrap()
    }

    fn keys(&self) -> Vec<PublicKey> {
        vec![self.key.public().clone()]
    }

    fn flaws(&self) -> Vec<(u64, Flaw)> {
        let walked = self.log.verify(&self.keys()).unwrap();
        walked.problems.into_iter().map(|problem| (problem.line, problem.flaw)).collect()
    }

    fn lines(&self) -> Vec<String> {
        fs_err::read_to_string(self.log.path()).unwrap().lines().map(str::to_owned).collect()
    }

    fn put(&self, lines: &[String]) {
        let text = lines.join("\n") + "\n";
        fs_err::write(self.log.path(), text).unwrap();
    }
}

fn statement(text: &str) -> Statement {
    Statement {
        subject: vec![Subject {
            name: "x".to_owned(),
            digest: BTreeMap::from([("sha256".to_owned(), "00".repeat(32))]),
        }],
        predicate_type: "https://sovai.dev/test/v1".to_owned(),
        predicate: json!({ "text": text }),
    }
}

#[test]
fn lines_are_numbered_chained_and_read_back() {
    let site = Site::new();
    assert_eq!(site.log.verify(&site.keys()).unwrap(), Walked::default());
    let first = site.append("one");
    let second = site.append("two");
    assert_eq!((first.seq, second.seq), (1, 2));
    let mut seen = Vec::new();
    let walked = site.log.walk(&site.keys(), |entry| seen.push(entry)).unwrap();
    assert!(walked.intact() && walked.problems.is_empty());
    assert_eq!((walked.lines, walked.last), (2, Some(second.digest)));
    assert_eq!(seen[0].statement.predicate, json!({ "text": "one", "seq": 1, "previous": null }));
    assert_eq!(
        seen[1].statement.predicate,
        json!({ "text": "two", "seq": 2, "previous": first.digest.to_string() })
    );
    assert_eq!(sha256(site.lines()[0].as_bytes()), first.digest);
}

#[test]
fn what_was_removed_changed_reordered_or_forged_is_found() {
    let site = Site::new();
    for text in ["one", "two", "three", "four"] {
        site.append(text);
    }
    let good = site.lines();
    let of = |lines: &[usize]| lines.iter().map(|line| good[*line].clone()).collect::<Vec<_>>();
    let first = |flaws: Vec<(u64, Flaw)>| flaws.into_iter().next().unwrap();

    site.put(&of(&[0, 2, 3]));
    assert_eq!(first(site.flaws()), (2, Flaw::Number { expected: 2, found: 3 }));
    site.put(&of(&[1, 2, 3]));
    assert_eq!(first(site.flaws()), (1, Flaw::Number { expected: 1, found: 2 }));
    site.put(&of(&[0, 2, 1, 3]));
    assert_eq!(first(site.flaws()), (2, Flaw::Number { expected: 2, found: 3 }));
    site.put(&of(&[0, 1, 1, 2, 3]));
    assert_eq!(first(site.flaws()), (3, Flaw::Number { expected: 3, found: 2 }));
    site.put(&of(&[0, 1, 2]));
    assert_eq!(site.flaws(), [(3, Flaw::CutOff { expected: 4 })]);

    // One byte of the second line's payload.
    let mut changed = good.clone();
    let at = changed[1].find("payload\":\"").unwrap() + 20;
    let other = if changed[1].as_bytes()[at] == b'A' { "B" } else { "A" };
    changed[1].replace_range(at..=at, other);
    site.put(&changed);
    let flaws = site.flaws();
    assert!(flaws.iter().any(|(line, _)| *line == 2), "{flaws:?}");

    // The whole last line anew, by a key that this site does not know.
    let stranger = Site::new();
    stranger.put(&of(&[0, 1, 2]));
    fs_err::write(
        stranger.log.head_path(),
        serde_json::to_vec(&Head { seq: 3, sha256: sha256(good[2].as_bytes()), log: None }).unwrap(),
    )
    .unwrap();
    stranger.append("forged");
    site.put(&stranger.lines());
    assert_eq!(first(site.flaws()), (4, Flaw::Signature));

    // Nothing is appended to a log that was tampered with at its end.
    site.put(&of(&[0, 1]));
    assert!(matches!(site.log.append(&statement("x"), &site.key), Err(EvidenceError::Damaged { .. })));
    fs_err::write(site.log.path(), "").unwrap();
    assert!(matches!(site.log.append(&statement("x"), &site.key), Err(EvidenceError::Damaged { .. })));

    site.put(&good);
    assert_eq!(site.flaws(), []);
    fs_err::remove_file(site.log.head_path()).unwrap();
    assert_eq!(site.flaws(), [(4, Flaw::NoHead)]);
    assert!(matches!(site.log.append(&statement("x"), &site.key), Err(EvidenceError::Damaged { .. })));
}

#[test]
fn a_torn_line_is_kept_aside_and_said_in_the_next_one() {
    let site = Site::new();
    site.append("one");
    let whole = fs_err::read(site.log.path()).unwrap();
    let line = {
        site.append("two");
        site.lines()[1].clone()
    };
    // As a kill -9 in the middle of a write would leave it: the head still names the first line.
    let head = Head { seq: 1, sha256: sha256(whole.strip_suffix(b"\n").unwrap()), log: None };
    for cut in [1, line.len() / 2, line.len()] {
        let torn = &line.as_bytes()[..cut];
        fs_err::write(site.log.path(), [&whole[..], torn].concat()).unwrap();
        fs_err::write(site.log.head_path(), serde_json::to_vec(&head).unwrap()).unwrap();
        assert_eq!(site.flaws(), [(2, Flaw::Torn(cut as u64))]);
        assert!(site.log.verify(&site.keys()).unwrap().intact());

        let appended = site.append("three");
        assert_eq!(appended.seq, 2);
        let mended = appended.mended.unwrap();
        assert_eq!(fs_err::read(&mended.kept).unwrap(), torn);
        let mut seen = Vec::new();
        site.log.walk(&site.keys(), |entry| seen.push(entry.statement.predicate)).unwrap();
        assert_eq!(seen[1]["mended"], json!({ "bytes": cut, "sha256": sha256(torn).to_string() }));
        assert_eq!(site.flaws(), []);
    }
}

#[test]
fn a_kill_between_the_line_and_the_head_loses_nothing() {
    let site = Site::new();
    site.append("one");
    let head = fs_err::read(site.log.head_path()).unwrap();
    site.append("two");
    fs_err::write(site.log.head_path(), &head).unwrap();
    assert_eq!(site.flaws(), []);
    assert_eq!(site.append("three").seq, 3);
    assert_eq!(site.flaws(), []);

    // Twice in a row: the head is one line behind, never two.
    let head = fs_err::read(site.log.head_path()).unwrap();
    site.append("four");
    fs_err::write(site.log.head_path(), &head).unwrap();
    // Killed after the head was mended and the next line was written, before its head was.
    site.append("five");
    let four = sha256(site.lines()[3].as_bytes());
    fs_err::write(
        site.log.head_path(),
        serde_json::to_vec(&Head { seq: 4, sha256: four, log: None }).unwrap(),
    )
    .unwrap();
    assert_eq!(site.append("six").seq, 6);
    assert_eq!(site.flaws(), []);

    let site = Site::new();
    site.append("one");
    fs_err::remove_file(site.log.head_path()).unwrap();
    assert_eq!(site.flaws(), []);
    assert_eq!(site.append("two").seq, 2);
}

#[test]
fn many_writers_at_once_make_one_chain() {
    let site = Site::new();
    std::thread::scope(|scope| {
        for writer in 0..4 {
            let site = &site;
            scope.spawn(move || {
                for number in 0..5 {
                    site.append(&format!("{writer}/{number}"));
                }
            });
        }
    });
    let walked = site.log.verify(&site.keys()).unwrap();
    assert_eq!((walked.lines, walked.problems.len()), (20, 0));
}

#[test]
fn a_held_lock_is_busy_and_a_statement_cannot_number_itself() {
    let site = Site::new();
    let lock = site.log.store.lock_evidence("somebody").unwrap();
    let error = site.log.append(&statement("x"), &site.key).unwrap_err();
    assert!(matches!(error, EvidenceError::Store(StoreError::Busy { .. })), "{error}");
    drop(lock);
    for predicate in [json!({ "seq": 7 }), json!({ "previous": null }), json!([1]), json!(null)] {
        let statement = Statement { predicate, ..statement("x") };
        assert!(matches!(site.log.append(&statement, &site.key), Err(EvidenceError::Statement { .. })));
    }
    assert_eq!(site.log.verify(&site.keys()).unwrap(), Walked::default());
}

#[test]
fn other_algorithms_sign_lines_too() {
    let site = Site::new();
    let key = PrivateKey::generate(Algorithm::P256).unwrap();
    site.log.append(&statement("x"), &key).unwrap();
    assert_eq!(site.flaws(), [(1, Flaw::Signature)]);
    assert!(site.log.verify(&[key.public().clone()]).unwrap().problems.is_empty());
}

#[test]
fn nothing_is_appended_to_a_log_that_is_not_what_was_written() {
    let site = Site::new();
    for text in ["one", "two", "three", "four"] {
        site.append(text);
    }
    let good = site.lines();
    let refused = |lines: &[String], at: u64| {
        site.put(lines);
        let before = fs_err::read(site.log.path()).unwrap();
        let error = site.log.append(&statement("five"), &site.key).unwrap_err();
        assert!(matches!(error, EvidenceError::Damaged { line, .. } if line == at), "{error}");
        assert_eq!(fs_err::read(site.log.path()).unwrap(), before);
    };
    let changed = |at: usize| {
        let mut lines = good.clone();
        // Within the signature, so that the line is still well-formed.
        lines[at] = lines[at].replacen("\"sig\":\"", "\"sig\":\"AAAA", 1);
        lines
    };
    let removed = [&good[..1], &good[2..]].concat();
    let swapped = vec![good[0].clone(), good[2].clone(), good[1].clone(), good[3].clone()];
    let doubled = [&good[..2], &good[1..]].concat();
    // Also where the head is one of before whole digests were kept.
    for old in [false, true] {
        if old {
            let path = site.log.head_path();
            let mut head: Value = serde_json::from_slice(&fs_err::read(&path).unwrap()).unwrap();
            head.as_object_mut().unwrap().remove("log").unwrap();
            fs_err::write(&path, head.to_string()).unwrap();
        }
        refused(&changed(0), 2);
        refused(&changed(1), 3);
        refused(&removed, 2);
        refused(&swapped, 2);
        refused(&doubled, 3);
        refused(&good[..3], 4);
    }
    site.put(&good);
    assert_eq!(site.append("five").seq, 5);
    assert_eq!(site.append("six").seq, 6);
    assert!(site.log.verify(&site.keys()).unwrap().intact());
}

#[test]
fn lines_between_the_head_and_the_last_line_are_no_line_of_a_killed_writer() {
    let site = Site::new();
    site.append("one");
    let head = fs_err::read(site.log.head_path()).unwrap();
    site.append("two");
    let good = site.lines();
    fs_err::write(site.log.head_path(), head).unwrap();
    site.put(&[good[0].clone(), good[0].clone(), good[1].clone()]);
    let error = site.log.append(&statement("three"), &site.key).unwrap_err();
    assert!(matches!(error, EvidenceError::Damaged { line: 2, .. }), "{error}");
    site.put(&good);
    assert_eq!(site.append("three").seq, 3);
}
