use crate::env::{FILES, IMAGE_PIN, TestEnv, manifest};
use std::fmt::Write as _;
use std::time::{Duration, Instant};

#[test]
fn a_good_manifest_says_what_it_is() {
    let env = TestEnv::new();
    env.pinned();
    insta::assert_snapshot!(env.run("validate stack.yaml"), @r"
    exit 0
    --- stdout
    valid: stack demo, 1 model, 1 service
    --- stderr
    ");
}

#[test]
fn every_problem_is_shown_in_one_run() {
    let env = TestEnv::new();
    let text =
        manifest("", FILES, IMAGE_PIN).replace("license:", "licence:").replace("size: 24", "size: many");
    env.write("stack.yaml", text);
    insta::assert_snapshot!(env.run("validate stack.yaml"), @r"
    exit 3
    --- stdout
    error[SOV0020]: unknown key `licence` in a model
     --> stack.yaml:8:7
      |
    8 |       licence: Apache-2.0
      |       ^^^^^^^
      |
      = hint: did you mean `license`?

    error[SOV0022]: expected a whole number, found text `many`
      --> stack.yaml:11:17
       |
    11 |           size: many
       |                 ^^^^

    invalid: 2 errors
    --- stderr
    ");
}

#[test]
fn a_broken_manifest_of_another_command_is_an_error_with_its_diagnostics() {
    let env = TestEnv::new();
    env.write("stack.yaml", manifest("", FILES, IMAGE_PIN).replace("license:", "licence:"));
    insta::assert_snapshot!(env.run("verify stack.yaml"), @r"
    exit 3
    --- stdout
    --- stderr
    error[SOV0020]: unknown key `licence` in a model
     --> stack.yaml:8:7
      |
    8 |       licence: Apache-2.0
      |       ^^^^^^^
      |
      = hint: did you mean `license`?

    error: manifest stack.yaml is invalid: 1 error
    ");
    let value = env.json("verify stack.yaml");
    assert_eq!(value["findings"][0]["type"], "diagnostic");
    assert_eq!(value["findings"][0]["line"], 8);
}

/// Text that stands for the good manifest with one thing changed, and the place where the fault is shown.
fn faults() -> Vec<(&'static str, Vec<u8>, Option<u32>)> {
    let good = || manifest("", FILES, IMAGE_PIN);
    let swap = |from: &str, to: &str| {
        assert!(good().contains(from), "{from}");
        good().replacen(from, to, 1).into_bytes()
    };
    let path = |to: &str| swap("path: m.gguf", &format!("path: {to}"));
    let mut not_utf8 = good().into_bytes();
    not_utf8.extend(b"# \xff\xfe\n");
    let mut bomb = String::from("a: &a [x,x,x,x,x,x,x,x,x]\n");
    for (this, last) in ('b'..='i').zip('a'..='h') {
        let line = vec![format!("*{last}"); 9].join(",");
        let _ = writeln!(bomb, "{this}: &{this} [{line}]");
    }
    vec![
        ("unknown key", swap("license:", "licence:"), Some(8)),
        ("duplicate key", swap("kind: Stack", "kind: Stack\nkind: Stack"), Some(3)),
        ("wrong type", swap("size: 24", "size: thirteen"), Some(11)),
        ("bad digest", swap("sha256: ", "sha256: xyz"), Some(12)),
        ("upper-case digest", swap("@sha256:aaaa", "@sha256:AAAA"), Some(16)),
        ("absolute path", path("/etc/passwd"), Some(10)),
        ("path that leaves", path("../m.gguf"), Some(10)),
        ("path with a dot", path("./m.gguf"), Some(10)),
        ("path with an empty part", path("a//m.gguf"), Some(10)),
        ("path with a backslash", path(r"'a\m.gguf'"), Some(10)),
        ("path with a control character", path(r#""a\x07m.gguf""#), Some(10)),
        ("path with a bidirectional character", path(r#""a\u202em.gguf""#), Some(10)),
        ("path not in NFC", path(r#""e\u0301.gguf""#), Some(10)),
        ("path too long", path(&"x".repeat(256)), Some(10)),
        ("bad name", swap("name: demo", "name: Demo"), Some(3)),
        ("name too long", swap("name: demo", &format!("name: {}", "x".repeat(64))), Some(3)),
        ("two documents", format!("{}---\n{}", good(), good()).into_bytes(), None),
        ("billion laughs", bomb.into_bytes(), None),
        ("not UTF-8", not_utf8, None),
        ("deep nesting", "[".repeat(100_000).into_bytes(), None),
        ("empty", Vec::new(), None),
        ("not YAML", b"\x00\x01\x02".to_vec(), None),
        ("other kind", swap("kind: Stack", "kind: Lock"), Some(2)),
        ("100 MB of YAML", "a: b\n".repeat(20_000_000).into_bytes(), None),
    ]
}

#[test]
fn each_fault_is_exit_3_at_its_line_and_soon() {
    let env = TestEnv::new();
    for (name, text, line) in faults() {
        env.write("bad.yaml", text);
        let begin = Instant::now();
        let value = env.json("validate bad.yaml");
        let took = begin.elapsed();
        assert_eq!(value["exitCode"], 3, "{name}: {value}");
        assert_eq!(value["kind"], "ValidateResult", "{name}");
        let findings = value["findings"].as_array().unwrap();
        let errors: Vec<_> = findings.iter().filter(|finding| finding["severity"] == "error").collect();
        assert!(!errors.is_empty(), "{name}");
        if let Some(line) = line {
            assert!(errors.iter().any(|finding| finding["line"] == line), "{name}: line {line}: {value}");
        }
        for finding in errors {
            assert!(finding["code"].as_str().unwrap().starts_with("SOV"), "{name}: {finding}");
        }
        // The bar is a second for the release program; a debug build on a busy machine is given ten.
        assert!(took < Duration::from_secs(10), "{name} took {took:?}");
        let ran = env.run("validate bad.yaml");
        assert_eq!(ran.code, 3, "{name}");
        assert!(!ran.stdout.contains('\x1b') && !ran.stdout.contains('\x07'), "{name}: {ran}");
    }
}

#[test]
fn what_is_no_regular_file_is_refused_without_waiting() {
    let env = TestEnv::new();
    fs_err::create_dir(env.path("folder.yaml")).unwrap();
    rustix::fs::mkfifoat(rustix::fs::CWD, env.path("pipe.yaml"), rustix::fs::Mode::from_raw_mode(0o600))
        .unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(env.path("socket.yaml")).unwrap();
    let lines = ["none.yaml", "folder.yaml", "pipe.yaml", "socket.yaml", "/dev/zero", "none/none.yaml"];
    let ran: Vec<String> = lines
        .iter()
        .map(|name| {
            let ran = env.run(&format!("validate {name}"));
            format!("{}: {}", ran.code, ran.stderr.lines().next().unwrap())
        })
        .collect();
    insta::assert_snapshot!(ran.join("\n"), @r"
    2: error: manifest none.yaml is not there
    2: error: manifest folder.yaml is a folder, not a regular file
    2: error: manifest pipe.yaml is a named pipe, not a regular file
    2: error: manifest socket.yaml is a socket, not a regular file
    2: error: manifest /dev/zero is a device, not a regular file
    2: error: manifest none/none.yaml is not there
    ");
}
