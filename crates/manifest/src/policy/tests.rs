use super::*;
use crate::Severity;
use proptest::prelude::*;
use std::fmt::Write as _;
use std::time::{Duration, Instant};

const HEAD: &str = "apiVersion: sovai/v1\nkind: Policy\nmetadata: { name: example }\n";

/// Every shipped policy, the built-in one too.
pub(crate) fn examples() -> Vec<(String, Vec<u8>)> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../manifests/policies");
    let mut out = vec![("built-in".to_owned(), BUILT_IN_POLICY.as_bytes().to_vec())];
    for entry in fs_err::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        out.push((path.display().to_string(), fs_err::read(path).unwrap()));
    }
    assert!(out.len() >= 3, "{out:?}");
    out
}

fn parse(spec: &str) -> Policy {
    let (policy, diagnostics) = parse_policy(format!("{HEAD}spec: {spec}\n").as_bytes());
    policy.unwrap_or_else(|| panic!("{spec}: {diagnostics:#?}"))
}

fn codes(text: &[u8]) -> Vec<&'static str> {
    let start = Instant::now();
    let (policy, diagnostics) = parse_policy(text);
    let budget = Duration::from_secs(if cfg!(debug_assertions) { 5 } else { 1 });
    assert!(start.elapsed() < budget, "{:?} for {} bytes", start.elapsed(), text.len());
    let errors = diagnostics.iter().any(|diagnostic| diagnostic.severity == Severity::Error);
    assert_eq!(policy.is_none(), errors, "{diagnostics:?}");
    diagnostics.iter().map(|diagnostic| diagnostic.code).collect()
}

#[test]
fn shipped_policies_have_no_problems() {
    for (path, bytes) in examples() {
        let (policy, diagnostics) = parse_policy(&bytes);
        assert_eq!(diagnostics, [], "{path}");
        assert!(policy.is_some(), "{path}");
    }
}

#[test]
fn what_is_left_out_is_as_in_the_built_in_policy() {
    let mut empty = parse("{}");
    empty.name = Policy::built_in().name.clone();
    assert_eq!(&empty, Policy::built_in());
    // And part by part, so that a part that is there does not bring other defaults with it.
    for part in [
        "trust",
        "licenses",
        "usage",
        "formats",
        "origins",
        "lineage",
        "images",
        "trust: { revocations: {} }",
    ] {
        let spec = if part.contains(':') { format!("{{ {part} }}") } else { format!("{{ {part}: {{}} }}") };
        let mut policy = parse(&spec);
        policy.name = Policy::built_in().name.clone();
        assert_eq!(&policy, Policy::built_in(), "{part}");
    }
}

#[test]
fn the_built_in_policy_is_strict() {
    let policy = Policy::built_in();
    assert_eq!(policy.trust.minimum, TrustLevel::Digest);
    assert_eq!(policy.remote_code, RemoteCode::Refuse);
    assert_eq!(policy.formats.problems, Reaction::Refuse);
    assert_eq!(policy.remainder, RemainderRule::Refuse);
    for word in ["pickle", "torch-zip", "zip", "elf", "llamafile", "script", "git-lfs-pointer"] {
        assert!(FORMAT_WORDS.contains(&word), "{word}");
        assert!(!policy.formats.allow.iter().any(|allowed| allowed == word), "{word}");
    }
}

#[test]
fn every_key_reaches_the_typed_policy() {
    let digest = format!("sha256:{}", "ab".repeat(32));
    let text = format!(
        "{HEAD}spec:
  trust:
    minimum: hub-pinned
    models: {{ assistant: publisher }}
    roles:
      publisher: {{ keys: ['{digest}'], threshold: 1 }}
      border: {{ threshold: 3 }}
    corroboration: 3
    certificates:
      - role: publisher
        anchors: [ca.pem]
        intermediates: [inter.pem]
        subject: CN=Model release
        san: release@example.org
        spki: '{digest}'
        crls: [ca.crl]
        timestampAnchors: [tsa.pem]
        codeSigning: waived
    revocations: {{ maxAgeDays: 30, stale: refuse }}
  licenses:
    allow: [MIT, LicenseRef-Ours]
    deny: [GPL-3.0-only]
    unknown: refuse
    text: required
    mismatch: warn
    texts: [{{ id: LicenseRef-Ours, sha256: {} }}]
  usage: {{ acknowledged: [No medical advice.], unacknowledged: refuse }}
  formats: {{ allow: [gguf], deny: [pickle], unknown: ignore, problems: warn }}
  origins:
    publishers: {{ allow: [deepseek-ai], deny: ['*-mirror'] }}
    sources: {{ allow: ['hf:*'], deny: ['https:*'] }}
  lineage: {{ base: proven, quantisedBy: declared, distilledFrom: refuse }}
  images: {{ registries: {{ allow: ['registry.example/*'], deny: ['docker.io/*'] }} }}
  remoteCode: pinned
  templates: {{ digests: ['{digest}'] }}
  remainder: report
",
        "cd".repeat(32)
    );
    let (policy, diagnostics) = parse_policy(text.as_bytes());
    assert_eq!(diagnostics, []);
    let policy = policy.unwrap();
    let ab = Sha256::from_bytes([0xab; 32]);
    assert_eq!(policy.minimum(Some("assistant")), TrustLevel::Publisher);
    assert_eq!(policy.minimum(Some("other")), TrustLevel::HubPinned);
    assert_eq!(policy.minimum(None), TrustLevel::HubPinned);
    let publisher = &policy.trust.roles[&Role::Publisher];
    assert_eq!((publisher.keys.as_deref(), publisher.threshold), (Some(&[ab][..]), Some(1)));
    assert_eq!(policy.trust.roles[&Role::Border].threshold, Some(3));
    let rule = &policy.trust.certificates[0];
    assert_eq!((rule.spki, rule.waive_code_signing, rule.crls.len()), (Some(ab), true, 1));
    assert_eq!(policy.trust.revocations.max_age_days, Some(30));
    assert_eq!(policy.licenses.texts[&Sha256::from_bytes([0xcd; 32])], "LicenseRef-Ours");
    assert_eq!(policy.templates, Templates::Digests(vec![ab]));
    assert_eq!(policy.lineage.base, ClaimRule::Proven);
    let json = serde_json::to_value(&policy).unwrap();
    assert_eq!(json["origins"]["publishers"]["deny"][0], "*-mirror");
    assert_eq!(json["remoteCode"], "pinned");
    assert_eq!(policy.line("spec.remoteCode"), Some(37));
    assert_eq!(policy.line("spec.trust.certificates[0].san"), Some(17));
    assert_eq!(policy.line("spec.licenses.allow[1]"), Some(24));
    assert_eq!(policy.line("spec.remotecode"), None);
}

#[test]
fn all_problems_show_in_one_run() {
    let text = "\
apiVersion: sovai/v1
kind: Polcy
metadata: { name: Ministry }
spec:
  trust: { minimum: digests, corroboration: 1, roles: { publsher: { threshold: 1 } } }
  licences: { allow: [MIT] }
  licenses: { deny: [Apache 2.0], text: yes }
  formats: { allow: [safetensor] }
  remoteCode: true
  templates: { digests: [abc] }
";
    let (policy, diagnostics) = parse_policy(text.as_bytes());
    assert_eq!(policy, None);
    let lines: Vec<_> = diagnostics
        .iter()
        .map(|found| {
            let span = found.span.unwrap();
            let hint = found.hint.as_deref().unwrap_or_default();
            format!("{}:{} {} {} ({hint})", span.line, span.column, found.code, found.message)
        })
        .collect();
    insta::assert_snapshot!(lines.join("\n"), @r#"
2:7 SOV0027 expected `Policy`, found `Polcy` (write `Policy`)
3:19 SOV0030 a name has only a-z, 0-9 and `-`, found `M`: `Ministry` (write `ministry`)
5:21 SOV0024 unknown value `digests` (did you mean `digest`?)
5:45 SOV0023 1 is less than 2 ()
5:57 SOV0020 unknown key `publsher` in `roles` (did you mean `publisher`?)
6:3 SOV0020 unknown key `licences` in `spec` (known: `trust`, `licenses`, `usage`, `formats`, `origins`, `lineage`, `images`, `remoteCode`, `templates`, `remainder`, `bundle`; keys that start with `x-` are free)
7:22 SOV0110 `Apache 2.0` is not the id of a licence (did you mean `Apache-2.0`?)
7:41 SOV0024 unknown value `yes` (known: `required`, `warn`, `ignore`)
8:22 SOV0024 unknown value `safetensor` (did you mean `safetensors`?)
9:15 SOV0022 expected `refuse` or `pinned`, found true or false `true` (put it in quotes: "true")
10:26 SOV0031 a digest starts with `sha256:`, found `abc` (`sha256sum FILE` prints it)
"#);
}

#[test]
fn hostile_policies_are_refused_within_their_bounds() {
    assert_eq!(codes(b""), ["SOV0025"]);
    assert_eq!(codes(b"\xff\xfe"), ["SOV0001"]);
    assert_eq!(codes(&vec![b'#'; crate::MAX_BYTES + 1]), ["SOV0002"]);
    assert_eq!(codes(format!("{HEAD}kind: Policy\nspec: {{}}\n").as_bytes()), ["SOV0010"]);
    assert_eq!(
        codes(format!("{HEAD}spec: {{ remoteCode: refuse, remoteCode: pinned }}\n").as_bytes()),
        ["SOV0010"]
    );
    assert_eq!(codes(format!("{HEAD}spec: {{}}\nx-deep: {}\n", "[".repeat(4000)).as_bytes()), ["SOV0007"]);
    let mut bomb = format!("{HEAD}spec: {{}}\nx-0: &a0 [x, x, x, x, x, x, x, x, x]\n");
    for level in 1..9 {
        let _ = writeln!(bomb, "x-{level}: &a{level} [{}]", vec![format!("*a{}", level - 1); 9].join(", "));
    }
    assert_eq!(codes(bomb.as_bytes()), ["SOV0008"]);
    let many = format!("{HEAD}spec: {{ licenses: {{ deny: [{}] }} }}\n", "MIT, ".repeat(60_000));
    assert_eq!(codes(many.as_bytes()), ["SOV0008"]);
    let stars = format!("{HEAD}spec: {{ origins: {{ sources: {{ deny: ['{}'] }} }} }}\n", "*".repeat(200));
    assert_eq!(codes(stars.as_bytes()), ["SOV0111"]);
    let manifest = include_bytes!("../../../../manifests/quickstart.yaml");
    assert!(codes(manifest).contains(&"SOV0027"), "a manifest is no policy");
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(256) })]

    #[test]
    fn mutations_never_panic_or_hang(
        edits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>(), 0..3u8), 1..6),
    ) {
        let mut bytes = BUILT_IN_POLICY.as_bytes().to_vec();
        for (at, byte, what) in edits {
            let at = at.index(bytes.len());
            match what {
                0 => bytes[at] = byte,
                1 => bytes.insert(at, byte),
                _ => drop(bytes.remove(at)),
            }
        }
        codes(&bytes);
    }
}
