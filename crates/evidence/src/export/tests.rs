use super::*;
use crate::check::{Checked, check};
use crate::run::{BundleRun, GatewayRun, ImageRun, ModelRun, PolicyRef, Run, ServiceRun};
use proptest::prelude::*;
use sovai_signing::{Algorithm, PrivateKey};

const VERSION: &str = "9.9.9";
/// What hostile text may try: markup, addresses, a terminal, the direction of text, a path.
const HOSTILE: &str = "\"><script src=http://evil/x.js>alert(1)</script></svg></style><!--\x1b[2J\u{202e}gpj.\u{200b}http://a ../../etc";

struct Site {
    dir: tempfile::TempDir,
    store: Store,
    key: PrivateKey,
}

impl Site {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(&dir.path().join("store")).unwrap();
        // The same key each time: the bytes are to be the same, too.
        sovai_store::atomic::write(&store.trust().join("site.key"), include_bytes!("tests/key.pem"), 0o600)
            .unwrap();
        let key = site_key(&store).unwrap();
        Self { dir, store, key }
    }

    fn append(&self, command: &str, run: Run) {
        Log::open(&self.store).append(&run.statement(command).unwrap(), &self.key).unwrap();
    }

    fn out(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn export(&self, name: &str, stack: Option<&str>) -> Result<Exported, EvidenceError> {
        let stack = stack.map(|stack| Name::new(stack).unwrap());
        export(&self.store, &self.out(name), stack.as_ref(), &[], VERSION)
    }

    fn check(&self, name: &str) -> Checked {
        check(&self.out(name), &[self.key.public().clone()], VERSION).unwrap()
    }
}

fn run(stack: &str, at: u64) -> Run {
    let mut run = Run {
        stack: Some(stack.to_owned()),
        place: "operator-7".to_owned(),
        version: "0.1.0".to_owned(),
        result: "done".to_owned(),
        milliseconds: 1000 + at * 310,
        ..Run::default()
    };
    run.ended(1_764_028_800 + at * 60);
    run.about(format!("{stack}.yaml"), &Sha256::from_bytes([u8::try_from(at % 251).unwrap(); 32]));
    run
}

fn model(byte: u8, trust: &str) -> ModelRun {
    ModelRun {
        digest: Some(Sha256::from_bytes([byte; 32]).to_string()),
        source: Some("hf:HuggingFaceTB/SmolLM2-135M-Instruct".to_owned()),
        revision: Some("12fd25f77366fa6b3b4b768ec3050bf629380bac".to_owned()),
        license: Some("Apache-2.0".to_owned()),
        files: Some(1),
        bytes: Some(98_362_432 * u64::from(byte)),
        matches: Some(true),
        trust: Some(trust.to_owned()),
        signers: vec![Sha256::from_bytes([0xab; 32]).to_string()],
        ..ModelRun::default()
    }
}

/// A log as a small site has it.
fn site() -> Site {
    let site = Site::new();
    let models = || {
        [("assistant".to_owned(), model(1, "corroborated")), ("embedder".to_owned(), model(3, "digest"))]
            .into()
    };
    site.append("lock", Run { models: models(), ..run("helpdesk", 0) });
    site.append("pull", Run { models: models(), ..run("helpdesk", 9) });
    let mut refused =
        Run { models: models(), exit_code: 5, result: "refused".to_owned(), ..run("helpdesk", 12) };
    refused.policy = Some(PolicyRef { uri: "file:ministry.yaml".to_owned(), sha256: "77".repeat(32) });
    refused.message =
        Some("stack helpdesk is refused by policy ministry: 1 reason; nothing was started".to_owned());
    refused.found(&[
        json!({ "type": "decision", "severity": "refuse", "code": "SOV1001", "subject": { "kind": "model", "name": "embedder" },
                "message": "trust level digest, expected at least hub-pinned" }),
        json!({ "type": "decision", "severity": "warn", "code": "SOV1032", "subject": { "kind": "model", "name": "assistant" },
                "message": "no list of revocations is known" }),
    ]);
    site.append("verify", refused);
    let bundle = BundleRun {
        sequence: 1_764_030_000,
        index: Sha256::from_bytes([0x5c; 32]).to_string(),
        volumes: Some(3),
        parity: Some(1),
        bytes: Some(9 << 30),
        signers: vec![Sha256::from_bytes([0xab; 32]).to_string()],
        ..BundleRun::default()
    };
    site.append("bundle-create", Run { bundle: Some(bundle.clone()), ..run("helpdesk", 13) });
    let approved = BundleRun {
        decision: Some("approved".to_owned()),
        reason: Some("licences and signatures were read".to_owned()),
        ..bundle
    };
    site.append("bundle-approve", Run { bundle: Some(approved), ..run("helpdesk", 14) });
    let image =
        |byte| ImageRun { id: Some(Sha256::from_bytes([byte; 32]).to_string()), ..ImageRun::default() };
    let service = |engine: &str, model: &str| ServiceRun {
        engine: Some(engine.to_owned()),
        image: format!("registry.example/{engine}:1"),
        model: Some(model.to_owned()),
    };
    let deploy = Run {
        models: models(),
        images: [
            ("registry.example/llama.cpp:1".to_owned(), image(0x21)),
            ("registry.example/tei:1".to_owned(), image(0x22)),
            ("sovai/gateway:0.1.0".to_owned(), image(0x23)),
        ]
        .into(),
        services: [
            ("chat".to_owned(), service("llama.cpp", "assistant")),
            ("search".to_owned(), service("tei", "embedder")),
        ]
        .into(),
        gateway: Some(GatewayRun {
            listen: "10.20.0.7:8443".to_owned(),
            tls: true,
            keys: true,
            routes: [
                ("assistant".to_owned(), "chat".to_owned()),
                ("embeddings".to_owned(), "search".to_owned()),
            ]
            .into(),
        }),
        generation: Some(4),
        changed: Some(true),
        ..run("helpdesk", 15)
    };
    site.append("deploy", deploy);
    site.append("deploy", Run { models: [("m".to_owned(), model(2, "unknown"))].into(), ..run("other", 17) });
    site.append("down", run("other", 19));
    site
}

#[test]
fn the_same_log_gives_the_same_folder_and_it_holds() {
    let site = site();
    let exported = site.export("a", None).unwrap();
    assert_eq!((exported.lines, exported.told, exported.files.len()), (8, 8, 13));
    site.export("b", None).unwrap();
    for name in exported.files.keys() {
        assert_eq!(
            fs_err::read(site.out("a").join(name)).unwrap(),
            fs_err::read(site.out("b").join(name)).unwrap(),
            "{name}"
        );
    }
    assert_eq!(
        fs_err::read(site.out("a/log.jsonl")).unwrap(),
        fs_err::read(Log::open(&site.store).path()).unwrap(),
        "line for line"
    );
    let checked = site.check("a");
    assert_eq!(checked.troubles, []);
    assert!(
        checked.known && checked.by_other.is_none() && checked.lines == 8 && checked.last == exported.last
    );
    // Without a key it only agrees with itself, and that is said.
    let alone = check(&site.out("a"), &[], VERSION).unwrap();
    assert!(alone.intact() && !alone.known && alone.key == Some(site.key.public().id()));
    // Another version makes another page: its seal speaks for it.
    assert_eq!(check(&site.out("a"), &[], "1").unwrap().by_other.as_deref(), Some(VERSION));

    let reports: Value =
        serde_json::from_slice(&fs_err::read(site.out("a/reports/deploy.json")).unwrap()).unwrap();
    assert_eq!(reports.as_array().unwrap().len(), 2);
    assert_eq!((&reports[0]["line"], &reports[0]["predicate"]["generation"]), (&json!(6), &json!(4)));
    // A folder with something in it is left alone; one that was cut off is completed.
    assert!(matches!(site.export("a", None), Err(EvidenceError::Occupied { .. })));
    fs_err::remove_file(site.out("a").join(SEAL)).unwrap();
    fs_err::remove_file(site.out("a").join(PAGE)).unwrap();
    fs_err::write(site.out("a/.part-index.html"), "half").unwrap();
    assert!(!site.check("a").intact());
    site.export("a", None).unwrap();
    assert_eq!(site.check("a").troubles, []);
    fs_err::create_dir(site.out("c")).unwrap();
    fs_err::write(site.out("c/letter.txt"), "mine").unwrap();
    assert!(matches!(site.export("c", None), Err(EvidenceError::Occupied { .. })));
    assert_eq!(fs_err::read(site.out("c/letter.txt")).unwrap(), b"mine");
}

#[test]
fn one_stack_has_its_own_page_and_the_whole_chain() {
    let site = site();
    let exported = site.export("a", Some("other")).unwrap();
    assert_eq!((exported.lines, exported.told), (8, 2));
    let page = fs_err::read_to_string(site.out("a/index.html")).unwrap();
    assert!(!page.contains("embedder") && page.contains("Lines about other stacks"), "{page}");
    let checked = site.check("a");
    assert_eq!((checked.troubles.as_slice(), checked.stack.as_deref()), ([].as_slice(), Some("other")));
}

/// Every change of one byte, of every file: all of small ones, some of large ones.
#[test]
fn every_change_of_a_byte_is_found() {
    let site = site();
    let exported = site.export("a", None).unwrap();
    let mut state = 7u64;
    let mut random = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        state >> 33
    };
    for name in exported.files.keys() {
        let path = site.out("a").join(name);
        let good = fs_err::read(&path).unwrap();
        for _ in 0..5 {
            let mut bad = good.clone();
            let at = usize::try_from(random()).unwrap() % bad.len();
            bad[at] ^= 1 << (random() % 8);
            fs_err::write(&path, &bad).unwrap();
            let checked = site.check("a");
            assert!(!checked.intact(), "{name} at {at}");
            if name != SEAL {
                assert!(checked.is_changed(), "{name} at {at}: {:?}", checked.troubles);
            }
        }
        for cut in [0, good.len() / 2, good.len() - 1] {
            fs_err::write(&path, &good[..cut]).unwrap();
            assert!(!site.check("a").intact(), "{name} cut to {cut}");
        }
        fs_err::remove_file(&path).unwrap();
        assert!(site.check("a").is_changed(), "{name} removed");
        std::os::unix::fs::symlink("/dev/zero", &path).unwrap();
        assert!(
            check(&site.out("a"), &[], VERSION).map_or(true, |checked| !checked.intact()),
            "{name} a link"
        );
        fs_err::remove_file(&path).unwrap();
        fs_err::write(&path, &good).unwrap();
    }
    assert_eq!(site.check("a").troubles, []);
    fs_err::write(site.out("a/reports/extra.json"), "[]").unwrap();
    assert_eq!(site.check("a").troubles.len(), 1, "what was added is found too");
}

#[test]
fn lines_that_were_removed_moved_or_repeated_are_named() {
    let site = site();
    site.export("a", None).unwrap();
    let path = site.out("a").join(LOG);
    let good: Vec<String> = fs_err::read_to_string(&path).unwrap().lines().map(str::to_owned).collect();
    let put = |lines: &[usize]| {
        let text: String = lines.iter().flat_map(|line| [good[*line].as_str(), "\n"]).collect();
        fs_err::write(&path, text).unwrap();
        site.check("a")
    };
    for (lines, first) in [
        (vec![0, 2, 3, 4, 5, 6, 7], "log.jsonl, line 2"),
        (vec![1, 2, 3, 4, 5, 6, 7], "log.jsonl, line 1"),
        (vec![0, 1, 2, 3, 4, 6, 5, 7], "log.jsonl, line 6"),
        (vec![0, 1, 1, 2, 3, 4, 5, 6, 7], "log.jsonl, line 3"),
        (vec![0, 1, 2, 3, 4, 5, 6], "log.jsonl, line 7"),
        (vec![], "log.jsonl, line 0"),
    ] {
        let checked = put(&lines);
        assert_eq!(checked.troubles[0].place, first, "{lines:?}: {:?}", checked.troubles);
        assert!(checked.is_changed());
    }
    // Cut off together with the head, so that the log agrees with itself: the seal knows better.
    put(&[0, 1, 2]);
    let head = Head {
        seq: 3,
        sha256: Sha256::from_bytes(sha2::Sha256::digest(good[2].as_bytes()).into()),
        log: None,
    };
    fs_err::write(site.out("a").join(HEAD), serde_json::to_vec(&head).unwrap()).unwrap();
    let checked = site.check("a");
    assert!(
        checked.is_changed() && checked.troubles[0].what.contains("the 8 that were written"),
        "{checked:?}"
    );
}

#[test]
fn the_log_of_another_site_is_told_from_a_changed_one() {
    let site = site();
    site.export("a", None).unwrap();
    let stranger = PrivateKey::generate(Algorithm::Ed25519).unwrap();
    let checked = check(&site.out("a"), &[stranger.public().clone()], VERSION).unwrap();
    assert!(!checked.intact() && !checked.is_changed(), "signatures alone: {:?}", checked.troubles);
    assert!(checked.troubles.iter().any(|trouble| trouble.place == KEY));
}

#[test]
fn a_damaged_log_is_not_exported_and_an_empty_store_has_none() {
    let site = site();
    let path = Log::open(&site.store).path();
    let good = fs_err::read_to_string(&path).unwrap();
    fs_err::write(&path, good.replacen("payload", "paylaod", 1)).unwrap();
    let error = site.export("a", None).unwrap_err();
    assert!(matches!(error, EvidenceError::Damaged { line: 1, .. }), "{error}");
    assert_eq!(names(&site.out("a")).unwrap(), Vec::<String>::new(), "nothing is left of it");
    // Half a line at its end is what a kill leaves: it is no part of the log.
    fs_err::write(&path, format!("{good}{{\"pay")).unwrap();
    site.export("b", None).unwrap();
    assert_eq!(fs_err::read_to_string(site.out("b/log.jsonl")).unwrap(), good);
    let empty = Site::new();
    assert!(matches!(empty.export("a", None), Err(EvidenceError::NoLog { .. })));
}

#[test]
fn text_from_outside_stays_text() {
    let site = Site::new();
    let mut hostile = Run {
        models: [(
            HOSTILE.to_owned(),
            ModelRun {
                source: Some(HOSTILE.to_owned()),
                license: Some(HOSTILE.to_owned()),
                ..model(1, HOSTILE)
            },
        )]
        .into(),
        services: [(
            HOSTILE.to_owned(),
            ServiceRun {
                engine: Some(HOSTILE.to_owned()),
                image: HOSTILE.to_owned(),
                model: Some(HOSTILE.to_owned()),
            },
        )]
        .into(),
        gateway: Some(GatewayRun {
            listen: HOSTILE.to_owned(),
            routes: [(HOSTILE.to_owned(), HOSTILE.to_owned())].into(),
            ..GatewayRun::default()
        }),
        place: HOSTILE.to_owned(),
        message: Some(HOSTILE.to_owned()),
        ..run(HOSTILE, 1)
    };
    hostile.found(&[json!({ "type": HOSTILE, "severity": HOSTILE, "code": HOSTILE, "model": HOSTILE, "message": HOSTILE })]);
    site.append("deploy", hostile.clone());
    hostile.exit_code = 4;
    hostile.bundle = Some(BundleRun {
        index: HOSTILE.to_owned(),
        reason: Some(HOSTILE.to_owned()),
        ..BundleRun::default()
    });
    site.append("bundle-import", hostile);
    site.export("a", None).unwrap();
    assert_eq!(site.check("a").troubles, []);
    let page = fs_err::read_to_string(site.out("a/index.html")).unwrap();
    let lower = page.to_ascii_lowercase();
    for never in ["http", "<script", "<!--", "\x1b", "\u{202e}", "\u{200b}", "href", "url("] {
        assert!(!lower.contains(never), "{never:?}");
    }
    assert_eq!((page.matches("</style>").count(), page.matches("</html>").count()), (1, 1));
    assert!(page.contains("&lt;script"), "it is shown");
}

#[test]
fn a_long_log_is_told_by_its_newest_lines() {
    let site = Site::new();
    // The chain is made here: appending reads the log through each time.
    let (mut text, mut previous) = (String::new(), None::<Sha256>);
    for seq in 1..=450u64 {
        let mut statement = Run {
            models: [(format!("m{seq}"), model(u8::try_from(seq % 250).unwrap(), "digest"))].into(),
            ..run(&format!("s{}", seq % 70), seq)
        }
        .statement(if seq % 3 == 0 { "verify" } else { "deploy" })
        .unwrap();
        statement.predicate["seq"] = seq.into();
        statement.predicate["previous"] = previous.map(|digest| digest.to_string()).into();
        let line =
            Envelope::sign(statement::PAYLOAD_TYPE, statement.to_json().into_bytes(), &[&site.key]).to_json();
        previous = Some(Sha256::from_bytes(sha2::Sha256::digest(line.as_bytes()).into()));
        text.push_str(&line);
        text.push('\n');
    }
    fs_err::write(Log::open(&site.store).path(), text).unwrap();
    let head = Head { seq: 450, sha256: previous.unwrap(), log: None };
    fs_err::write(site.store.evidence().join(HEAD), serde_json::to_vec(&head).unwrap()).unwrap();
    let exported = site.export("a", None).unwrap();
    assert_eq!(exported.lines, 450);
    let (length, _) = exported.files[PAGE];
    assert!(length < 500_000, "{length}");
    let page = fs_err::read_to_string(site.out("a/index.html")).unwrap();
    assert!(page.contains("The newest 200 of 450 lines are shown"));
    assert!(page.contains(&previous.unwrap().hex()) && page.contains("older runs are not shown here"));
    assert_eq!(site.check("a").troubles, []);
}

/// Commands that the page and the documentation print: they must do what is said.
#[test]
fn the_log_is_checked_without_sovai() {
    let site = site();
    site.export("a", None).unwrap();
    let shell = |script: &str| {
        let output = std::process::Command::new("sh")
            .arg("-c")
            .arg(script)
            .current_dir(site.out("a"))
            .output()
            .unwrap();
        let text =
            format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        (output.status.success(), text)
    };
    let (good, text) = shell("sha256sum -c --quiet SHA256SUMS");
    assert!(good, "{text}");
    let (_, text) = shell(crate::page::KEY_ID);
    assert!(text.starts_with(&site.key.public().id().0.hex()), "{text}");
    let (good, text) = shell(crate::page::EACH_LINE);
    let last = site.check("a").last.unwrap();
    assert!(good && text == format!("last line: \"{last}\"\n"), "{text}");
    let docs = fs_err::read_to_string("../../docs/evidence.md").unwrap();
    for command in [crate::page::EACH_LINE, crate::page::KEY_ID] {
        let indented: String = command.lines().flat_map(|line| ["    ", line, "\n"]).collect();
        assert!(docs.contains(&indented), "docs/evidence.md prints the same: {indented}");
    }
    // It finds a line that is not signed, and one that is gone.
    let lines: Vec<String> =
        fs_err::read_to_string(site.out("a").join(LOG)).unwrap().lines().map(str::to_owned).collect();
    fs_err::write(site.out("a").join(LOG), format!("{}\n{}\n", lines[0], lines[2])).unwrap();
    assert!(shell(crate::page::EACH_LINE).1.contains("CHAIN BROKEN"));
    let other = lines[1].replacen("\"sig\":\"", "\"sig\":\"AAAA", 1);
    fs_err::write(site.out("a").join(LOG), format!("{}\n{other}\n", lines[0])).unwrap();
    assert!(shell(crate::page::EACH_LINE).1.contains("NOT SIGNED"));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever a signed line says, the page is one page without anything that runs or leads away.
    #[test]
    fn any_text_stays_text(text in "(\\PC|[<>\"'&\\x00-\\x1f]|http|script|\\x{202e}){0,60}") {
        let mut story = Story::default();
        let mut statement = Run { place: text.clone(), message: Some(text.clone()), exit_code: 1, ..run(&text, 1) }.statement("deploy").unwrap();
        statement.predicate["models"] = json!({ &text: { "digest": "sha256:00", "source": text } });
        let entry = Entry { seq: 1, digest: Sha256::from_bytes([1; 32]), signers: std::collections::BTreeSet::default(), statement };
        let told = Told::of(&entry);
        story.add(&entry, told, true);
        let key = PrivateKey::from_pem(include_bytes!("tests/key.pem"), None).unwrap().public().id();
        let page = page::write(&story, &Frame { stack: Some(&text), key, last: None });
        let lower = page.to_ascii_lowercase();
        prop_assert!(!lower.contains("http") && !lower.contains("<script"));
        let known = ["html", "head", "meta", "title", "style", "body", "main", "h1", "h2", "h3", "p", "b", "br", "div", "span", "code",
            "pre", "section", "table", "thead", "tbody", "tr", "th", "td", "svg", "text", "rect", "path"];
        for tag in page.split('<').skip(1).filter(|tag| !tag.starts_with('!')) {
            let name: String = tag.trim_start_matches('/').chars().take_while(char::is_ascii_alphanumeric).collect();
            prop_assert!(known.contains(&name.as_str()), "<{}", name);
        }
        prop_assert!(page.chars().all(|c| c == '\n' || !(c.is_control() || sovai_core::is_hidden(c))));
    }
}
