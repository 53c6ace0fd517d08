use super::*;
use proptest::prelude::*;
use std::time::{Duration, Instant};

/// What a bad file may cost at most. A build without optimisation is some five times slower, and runs beside others.
const BUDGET: Duration = Duration::from_secs(if cfg!(debug_assertions) { 5 } else { 1 });

const GOOD: &str = include_str!("../../../manifests/offline-gateway.yaml");

/// Every shipped manifest.
pub(crate) fn examples() -> Vec<(String, Vec<u8>)> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../manifests");
    let mut out = Vec::new();
    for entry in fs_err::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if path.extension().is_some_and(|ending| ending == "yaml") && !name.contains(".lock.") {
            out.push((name, fs_err::read(path).unwrap()));
        }
    }
    assert!(out.len() >= 4, "{out:?}");
    out
}

fn codes(bytes: &[u8]) -> Vec<&'static str> {
    let start = Instant::now();
    let parsed = parse(bytes);
    let shown = render(&parsed.diagnostics, "m.yaml", bytes, Color::Always);
    let took = start.elapsed();
    assert!(took < BUDGET, "{took:?} for {} bytes", bytes.len());
    assert!(shown.len() < 200_000, "{} bytes shown", shown.len());
    let errors = parsed.diagnostics.iter().any(|diagnostic| diagnostic.severity == Severity::Error);
    assert_eq!(parsed.manifest.is_none(), errors);
    parsed.diagnostics.iter().map(|diagnostic| diagnostic.code).collect()
}

#[test]
fn shipped_manifests_have_no_problems() {
    for (path, bytes) in examples() {
        let parsed = parse(&bytes);
        assert_eq!(parsed.diagnostics, [], "{path}");
        assert!(parsed.manifest.is_some(), "{path}");
    }
}

#[test]
fn two_words_for_one_revision_agree() {
    let text = |source: &str| {
        format!(
            "apiVersion: sovai/v1\nkind: Stack\nmetadata: {{ name: a }}\nspec:\n  models:\n    m: {{ source: \"{source}\", revision: v1, include: [\"*.json\"] }}\n  services:\n    s: {{ image: {{ name: web, source: registry }}, model: m }}\n"
        )
    };
    for source in ["hf:org/name", "hf:org/name@v1"] {
        let parsed = parse(text(source).as_bytes());
        assert_eq!(parsed.diagnostics, []);
        let manifest = parsed.manifest.unwrap();
        let model = &manifest.models["m"];
        assert_eq!((model.wanted_revision(), &*model.include), (Some("v1"), &["*.json".to_owned()][..]));
        assert_eq!(manifest.services["s"].image.source, Some(ImageSource::Registry));
    }
    let codes: Vec<_> =
        parse(text("hf:org/name@v2").as_bytes()).diagnostics.iter().map(|found| found.code).collect();
    assert_eq!(codes, ["SOV0063"]);
}

#[test]
fn every_field_reaches_the_typed_manifest() {
    let text = GOOD.replace(
        "      model: assistant\n",
        "      model: assistant\n      accelerators: { vendor: nvidia, ids: ['0'] }\n",
    );
    let manifest = parse(text.as_bytes()).manifest.unwrap();
    insta::assert_snapshot!(serde_json::to_string(&manifest.models).unwrap(), @r#"{"assistant":{"source":{"file":"./weights/SmolLM2-135M-Instruct.Q4_1.gguf"},"mirrors":[],"revision":null,"include":[],"exclude":[],"license":"Apache-2.0","publisher":"HuggingFaceTB","signatures":[],"lineage":{"base":{"name":"HuggingFaceTB/SmolLM2-135M-Instruct","claim":"declared","notes":[{"date":"2026-11-24","text":"The file's name says so; no signature links the two."}]},"quantised_by":null,"distilled_from":null},"usage":["Small model for tests; its answers are often wrong."],"files":[{"path":"SmolLM2-135M-Instruct.Q4_1.gguf","size":98362432,"sha256":"b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"}]}}"#);
    insta::assert_snapshot!(serde_json::to_string(&manifest.services).unwrap(), @r#"{"chat":{"engine":null,"image":{"name":"example.internal/chat/ui:1.4","pin":null,"platform":null,"source":null},"model":null,"args":[],"env":{"SESSION_SECRET_FILE":"/run/secrets/session","UPSTREAM":"http://engine:8080"},"secrets":[{"name":"session","file":"./secrets/session"}],"depends":["engine"],"resources":{"memory":536870912,"millicpus":500,"pids":null,"shm":null},"accelerators":null,"context":null,"parallelism":{"tensor":null,"pipeline":null,"data":null,"sequences":null}},"engine":{"engine":"llama.cpp","image":{"name":"sovai/engine-llama-cpp:local","pin":null,"platform":null,"source":null},"model":"assistant","args":["--threads","2"],"env":{},"secrets":[],"depends":[],"resources":{"memory":2147483648,"millicpus":2000,"pids":256,"shm":null},"accelerators":{"vendor":"nvidia","wanted":{"ids":["0"]}},"context":8192,"parallelism":{"tensor":null,"pipeline":null,"data":null,"sequences":2}}}"#);
    insta::assert_snapshot!(serde_json::to_string(&manifest.gateway).unwrap(), @r#"{"listen":"0.0.0.0:8443","auth":"keys","tls":{"cert":"./tls/cert.pem","key":"./tls/key.pem","client_ca":"./tls/clients.pem"},"routes":{"assistant":"engine"}}"#);
}

#[test]
fn all_problems_show_in_one_run() {
    let text = "\
apiVersion: sovai/v1
kind: Stack
metadata: { name: Quick_start }
spec:
  models:
    assistant:
      sorce: file:./weights/model.gguf
      files:
        - { path: ../model.gguf, size: -1, sha256: ABC }
        - { path: model.gguf, sise: 1, sha256: 1234 }
  services:
    engine:
      engine: llamacpp
      model: asistant
      env: { API_KEY: abc, PORT: 8080 }
      depends: [engine]
  gateway:
    listen: 0.0.0.0:8080
    routes: { assistant: engin }
";
    let lines: Vec<_> = parse(text.as_bytes())
        .diagnostics
        .iter()
        .map(|diagnostic| {
            let span = diagnostic.span.unwrap();
            format!("{}:{} {} {}", span.line, span.column, diagnostic.code, diagnostic.message)
        })
        .collect();
    insta::assert_snapshot!(lines.join("\n"), @r#"
3:19 SOV0030 a name has only a-z, 0-9 and `-`, found `Q`: `Quick_start`
7:7 SOV0020 unknown key `sorce` in a model
9:19 SOV0044 a path cannot have a `..` part: `../model.gguf`
9:40 SOV0023 -1 is less than 0
9:52 SOV0031 a digest is lower-case hexadecimal, found `A` at position 1
10:31 SOV0020 unknown key `sise` in a file
10:48 SOV0022 expected 64 hexadecimal digits, found a whole number `1234`
12:5 SOV0021 a service needs the key `image`
13:15 SOV0073 unknown engine `llamacpp`
14:14 SOV0070 there is no model `asistant`
15:14 SOV0081 the variable `API_KEY` looks like a secret
15:34 SOV0022 expected text, found a whole number `8080`
16:17 SOV0072 services wait for each other: `engine -> engine`
18:13 SOV0090 0.0.0.0 is not a loopback address and there is no TLS
19:26 SOV0071 there is no service `engin`
"#);
}

#[test]
fn free_keys_and_aliases_are_taken() {
    let text = "\
x-limits: &limits { memory: 1GiB, cpus: 1.5 }
apiVersion: sovai/v1
kind: Stack
metadata: { name: a, x-owner: { team: [1, 2.5, null, yes] } }
spec:
  services:
    x-ray: { image: web, resources: *limits }
    b: { image: web, resources: *limits, env: { DEBUG: no, EMPTY: '' } }
";
    let parsed = parse(text.as_bytes());
    assert_eq!(parsed.diagnostics, []);
    let manifest = parsed.manifest.unwrap();
    assert_eq!(manifest.services.len(), 2, "`x-ray` is a name, not a free key");
    let service = &manifest.services["b"];
    assert_eq!(service.resources.memory.unwrap().0, 1 << 30);
    assert_eq!(service.resources.millicpus, Some(1500));
    assert_eq!(service.env["DEBUG"], "no", "no is text in YAML 1.2");
}

#[test]
fn yaml_pitfalls() {
    assert_eq!(codes(b""), ["SOV0025"]);
    assert_eq!(codes(b"# nothing\n"), ["SOV0025"]);
    assert_eq!(codes(b"- a\n"), ["SOV0022"]);
    assert_eq!(codes(b"just text\n"), ["SOV0022"]);
    assert_eq!(codes(format!("\u{feff}{GOOD}").as_bytes()), [""; 0], "a mark at the start is taken");
    assert_eq!(codes(format!("{GOOD}\n\u{feff}").as_bytes()), ["SOV0003"]);
    assert_eq!(codes(GOOD.replace('\n', "\r\n").as_bytes()), [""; 0]);
    assert_eq!(codes(GOOD.replace("\n  models", "\n\tmodels").as_bytes()), ["SOV0005"]);
    assert_eq!(codes(format!("{GOOD}---\n{GOOD}").as_bytes()), ["SOV0006"]);
    assert_eq!(codes(format!("---\n{GOOD}...\n").as_bytes()), [""; 0]);
    assert_eq!(codes(format!("{GOOD}spec: {{}}\n").as_bytes()), ["SOV0010"]);
    assert_eq!(codes(format!("{GOOD}[a]: b\n").as_bytes()), ["SOV0022"]);
    assert_eq!(codes(format!("{GOOD}<<: {{ a: b }}\n").as_bytes()), ["SOV0020"]);
    assert_eq!(codes(format!("{GOOD}x-a: *none\n").as_bytes()), ["SOV0009"]);
    assert_eq!(codes(b"a: \xff\n"), ["SOV0001"]);
    assert_eq!(codes(&[0xff, 0xfe, b'a', 0]), ["SOV0001"], "UTF-16");
    assert_eq!(codes(b"a: \x1b[31m\n"), ["SOV0003"]);
    let pin = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53";
    assert_eq!(
        codes(GOOD.replace(pin, &"1".repeat(64)).as_bytes()),
        ["SOV0022"],
        "digits only: a number to others"
    );
    assert_eq!(codes(GOOD.replace(pin, &format!("'{}'", "1".repeat(64))).as_bytes()), [""; 0]);
    assert_eq!(codes(GOOD.replace("98362432", "0o10").as_bytes()), ["SOV0023"]);
    assert_eq!(codes(GOOD.replace("98362432", "1e3").as_bytes()), ["SOV0022"]);
    assert_eq!(codes(GOOD.replace("98362432", "99999999999999999999").as_bytes()), ["SOV0023"]);
}

#[test]
fn hostile_files_are_refused_at_once() {
    let mut large = vec![b'a'; 100 << 20];
    assert_eq!(codes(&large), ["SOV0002"]);
    for at in (0..large.len()).step_by(50) {
        large[at] = b'\n';
    }
    assert_eq!(codes(&large), ["SOV0002"]);
    let line = |level: usize| {
        let alias = format!("*a{}", level.wrapping_sub(1));
        let items = if level == 0 { ["x"; 9].join(", ") } else { vec![alias; 9].join(", ") };
        format!("x-{level}: &a{level} [{items}]\n")
    };
    let bomb = (0..30).map(line).collect::<Vec<_>>().concat();
    assert_eq!(codes(bomb.as_bytes()), ["SOV0008"]);
    assert_eq!(codes(b"x-0: &a [x]\nx-1: &a [*a]\n"), ["SOV0009"], "the inner `a` is the one that is open");
    let wide = format!("x-a: &a '{}'\nx-b: [{}]\n", "x".repeat(500_000), "*a, ".repeat(400));
    assert_eq!(codes(wide.as_bytes()), ["SOV0008"]);
    // Each line stands for one that is five levels deeper than the one before.
    let deep = |lines: usize| {
        let next = |line: usize| format!("x-{line}: &a{line} [[[[[*a{}]]]]]\n", line - 1);
        format!("x-0: &a0 [x]\n{}", (1..lines).map(next).collect::<String>())
    };
    assert!(!codes(deep(7).as_bytes()).contains(&"SOV0007"), "31 levels in a mapping");
    assert_eq!(codes(deep(8).as_bytes()), ["SOV0007"]);
    assert_eq!(codes(format!("x-a: &a 1\nx-b: [{}]\n", "*a, ".repeat(501)).as_bytes()), ["SOV0009"]);
}

#[test]
fn a_mebibyte_of_anything_is_read_in_time() {
    let fill = |piece: &str| piece.repeat(MAX_BYTES / piece.len());
    let numbered = |make: fn(usize) -> String| {
        let mut out = String::new();
        for number in 0.. {
            let next = make(number);
            if out.len() + next.len() > MAX_BYTES {
                return out;
            }
            out.push_str(&next);
        }
        out
    };
    let texts = [
        fill("["),
        fill("{"),
        fill("- "),
        fill("? "),
        fill("a: "),
        fill("&a "),
        fill("!a "),
        fill("\""),
        fill("'"),
        fill("#"),
        fill("# a\n"),
        fill("|\n"),
        fill("- a\n"),
        fill("a\n"),
        fill("a: b\n"),
        fill(" "),
        fill("\n"),
        fill("\\"),
        fill(","),
        fill("[]"),
        fill("[],"),
        fill("{},"),
        fill("%a\n"),
        fill("---\n"),
        fill("*a "),
        fill("&a a\n"),
        fill("- - - a\n"),
        fill("é"),
        fill("\u{10ffff}"),
        fill(": "),
        fill("a: &a\n"),
        fill("- !!str a\n"),
        fill("x-a: 'b\n"),
        numbered(|number| format!("k{number}: v\n")),
        numbered(|number| format!("x{number}: &a{number} [1]\n")),
        numbered(|number| format!("{:width$}a:\n", "", width = number)),
        format!("apiVersion: '{}'\n", "a".repeat(MAX_BYTES - 20)),
        format!("metadata: {{ name: '{}' }}\n", "É".repeat(MAX_BYTES / 2 - 20)),
        format!("spec: {{ services: {{ a: {{ depends: [{}] }} }} }}", "a, ".repeat(300_000)),
    ];
    for text in texts {
        assert!(text.len() <= MAX_BYTES);
        let start: String = text.chars().take(30).collect();
        let start_time = Instant::now();
        let parsed = parse(text.as_bytes());
        let shown = render(&parsed.diagnostics, "m.yaml", text.as_bytes(), Color::Never);
        let took = start_time.elapsed();
        assert!(took < BUDGET, "{took:?} for {start:?}");
        assert!(parsed.manifest.is_none() && shown.len() < 200_000, "{start:?}");
    }
}

#[test]
fn many_services_and_files_are_taken_in_time() {
    let files: String = (0..3000)
        .flat_map(|number| {
            [format!("        - {{ path: f/{number}, size: 1, sha256: "), "ab".repeat(32), " }\n".into()]
        })
        .collect();
    let services: String = (1..1000)
        .flat_map(|number| {
            [format!("    s{number}: {{ image: web, depends: [s"), (number - 1).to_string(), "] }\n".into()]
        })
        .collect();
    let text = format!(
        "apiVersion: sovai/v1\nkind: Stack\nmetadata: {{ name: a }}\nspec:\n  models:\n    m:\n      source: hf:a/b\n\
         {space}files:\n{files}  services:\n    s0: {{ engine: vllm, image: web, model: m }}\n{services}",
        space = " ".repeat(6)
    );
    assert_eq!(codes(text.as_bytes()), [""; 0]);
    let circle = text.replace("model: m }", "model: m, depends: [s999] }");
    assert_eq!(codes(circle.as_bytes()), ["SOV0072"]);
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        codes(&bytes);
        Lock::parse(&bytes);
    }

    #[test]
    fn no_yaml_soup_makes_it_panic(text in "[\\[\\]{}:,&*!|>'\"%#?@`a\n \t-]{0,120}") {
        codes(text.as_bytes());
    }

    #[test]
    fn no_change_of_a_good_manifest_makes_it_panic(
        edits in proptest::collection::vec((any::<prop::sample::Index>(), 0usize..20, "[\\[\\]{}:,&*'\"a-z0-9\n -]{0,8}|\u{202e}|é"), 1..5)
    ) {
        let mut text: Vec<char> = GOOD.chars().collect();
        for (at, cut, insert) in edits {
            let at = at.index(text.len());
            let end = (at + cut).min(text.len());
            text.splice(at..end, insert.chars());
        }
        let text: String = text.into_iter().collect();
        for diagnostic in parse(text.as_bytes()).diagnostics {
            if let Some(span) = diagnostic.span {
                prop_assert!(text.get(span.start..span.end).is_some(), "{diagnostic:?}");
                prop_assert!(!diagnostic.message.is_empty());
            }
        }
        codes(text.as_bytes());
    }

    #[test]
    fn no_line_left_out_makes_it_panic(left_out in proptest::collection::vec(any::<prop::sample::Index>(), 1..4)) {
        let mut lines: Vec<&str> = GOOD.lines().collect();
        for index in left_out {
            lines.remove(index.index(lines.len()));
        }
        codes(lines.join("\n").as_bytes());
    }
}
