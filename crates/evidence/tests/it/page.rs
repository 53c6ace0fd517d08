use sovai_core::Sha256;
use sovai_evidence::run::{BundleRun, GatewayRun, ImageRun, ModelRun, Run, ServiceRun};
use sovai_evidence::{Log, export, site_key};
use sovai_store::Store;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Markup, addresses, and what hides text.
const HOSTILE: &str = "</svg><script src=http://a></script>\"'&\u{202e}x\u{0}";

/// A page of everything that a page can have, and the folder that it lies in.
fn page() -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(&dir.path().join("store")).unwrap();
    let (log, key) = (Log::open(&store), site_key(&store).unwrap());
    let id = |byte: u8| Some(Sha256::from_bytes([byte; 32]).to_string());
    for (at, command) in (0u8..).zip(["lock", "pull", "verify", "deploy", "bundle-approve", "deploy"]) {
        let model = |byte| ModelRun {
            digest: id(byte),
            source: Some("https://models.example/tiny".to_owned()),
            bytes: Some(u64::from(byte) << 20),
            matches: Some(true),
            ..ModelRun::default()
        };
        let mut run = Run {
            stack: Some(if at == 5 { "second" } else { "demo" }.to_owned()),
            milliseconds: 700 * u64::from(at),
            place: HOSTILE.to_owned(),
            result: if at == 2 { "refused" } else { "done" }.to_owned(),
            exit_code: if at == 2 { 5 } else { 0 },
            message: (at == 2).then(|| HOSTILE.to_owned()),
            models: [("m".to_owned(), model(1)), (HOSTILE.to_owned(), model(2))].into(),
            images: [("registry.example/engine:1".to_owned(), ImageRun { id: id(9), ..ImageRun::default() })]
                .into(),
            services: ["chat", HOSTILE]
                .map(|name| {
                    let service = ServiceRun {
                        engine: Some("llama.cpp".to_owned()),
                        image: "registry.example/engine:1".to_owned(),
                        model: Some(if name == "chat" { "m" } else { HOSTILE }.to_owned()),
                    };
                    (name.to_owned(), service)
                })
                .into(),
            gateway: Some(GatewayRun {
                listen: "127.0.0.1:8080".to_owned(),
                routes: [("m".to_owned(), "chat".to_owned())].into(),
                ..GatewayRun::default()
            }),
            bundle: (at == 4).then(|| BundleRun {
                index: id(7).unwrap(),
                decision: Some("approved".to_owned()),
                reason: Some(HOSTILE.to_owned()),
                ..BundleRun::default()
            }),
            ..Run::default()
        };
        run.ended(1_764_028_800 + 60 * u64::from(at));
        let refused = serde_json::json!({ "type": "decision", "severity": "refuse", "code": "SOV1001", "message": HOSTILE });
        run.found(&[refused]);
        log.append(&run.statement(command).unwrap(), &key).unwrap();
    }
    let out = dir.path().join("out");
    export(&store, &out, None, &[], "1").unwrap();
    (dir, out.join("index.html"))
}

#[test]
fn a_parser_finds_one_well_formed_page_without_script_or_address() {
    let (_dir, page) = page();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/structure.py");
    let output = Command::new("python3").arg("-B").arg(script).arg(&page).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    let told = String::from_utf8_lossy(&output.stdout);
    assert_eq!(told.trim(), "headings 10, tables 13, drawings 4, sections 9", "{said}");
}

#[test]
fn a_browser_prints_it_on_a_few_pages_and_complains_of_nothing() {
    let (dir, page) = page();
    let (pdf, profile) = (dir.path().join("page.pdf"), dir.path().join("profile"));
    let output = Command::new("chromium")
        .args([
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-dev-shm-usage",
            "--enable-logging=stderr",
        ])
        .args(["--no-pdf-header-footer", "--host-resolver-rules=MAP * ~NOTFOUND"])
        .arg(format!("--user-data-dir={}", profile.display()))
        .arg(format!("--print-to-pdf={}", pdf.display()))
        .arg(format!("file://{}", page.display()))
        .output()
        .expect("Debian's package `chromium` has it");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    assert!(!said.contains("CONSOLE"), "{said}");
    let bytes = fs_err::read(&pdf).unwrap();
    let pages = bytes.windows(12).filter(|at| at.starts_with(b"/Type /Page") && at[11] != b's').count();
    assert!((3..=12).contains(&pages), "{pages} pages");
}
