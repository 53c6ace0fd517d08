use super::*;
use crate::{Lock, parse};

/// A good manifest with one change.
fn shown(from: &str, to: &str) -> String {
    let good = include_str!("../../../../manifests/quickstart.yaml");
    assert!(good.contains(from), "{from}");
    let text = good.replace(from, to);
    render(&parse(text.as_bytes()).diagnostics, "m.yaml", text.as_bytes(), Color::Never)
}

#[test]
fn an_unknown_key() {
    insta::assert_snapshot!(shown("license:", "licence:"), @r#"
error[SOV0020]: unknown key `licence` in a model
  --> m.yaml:12:7
   |
12 |       licence: Apache-2.0
   |       ^^^^^^^
   |
   = hint: did you mean `license`?
"#);
}

#[test]
fn a_key_that_is_given_twice() {
    insta::assert_snapshot!(shown("context: 4096", "context: 4096\n      context: 8192"), @r#"
error[SOV0010]: the key `context` is given twice
  --> m.yaml:24:7
   |
24 |       context: 8192 # tokens
   |       ^^^^^^^
   |
   = hint: it was first given in line 23
"#);
}

#[test]
fn a_wrong_type() {
    insta::assert_snapshot!(shown("model: assistant", "model: 7"), @r#"
error[SOV0022]: expected a name, found a whole number `7`
  --> m.yaml:22:14
   |
22 |       model: 7
   |              ^
   |
   = hint: put it in quotes: "7"
"#);
}

#[test]
fn a_bad_digest() {
    insta::assert_snapshot!(shown("sha256: b179", "sha256: B179"), @r#"
error[SOV0031]: a digest is lower-case hexadecimal, found `B` at position 1
  --> m.yaml:16:19
   |
16 |           sha256: B179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53
   |                   ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
   |
   = hint: write it in lower case
"#);
}

#[test]
fn a_path_that_leaves() {
    insta::assert_snapshot!(shown("- path: Smol", "- path: ../Smol"), @r#"
error[SOV0044]: a path cannot have a `..` part: `../SmolLM2-135M-Instruct.Q4_1.gguf`
  --> m.yaml:14:17
   |
14 |         - path: ../SmolLM2-135M-Instruct.Q4_1.gguf
   |                 ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
   |
   = hint: a path cannot leave the model's folder
"#);
}

#[test]
fn a_missing_key() {
    insta::assert_snapshot!(shown("      image: sovai/engine-llama-cpp:local", ""), @r#"
error[SOV0021]: a service needs the key `image`
  --> m.yaml:19:5
   |
19 |     engine:
   |     ^^^^^^
   |
   = hint: image: `NAME`, `NAME@sha256:...`, or a mapping
"#);
}

#[test]
fn an_open_door() {
    insta::assert_snapshot!(shown("listen: 127.0.0.1:8080", "listen: 0.0.0.0:8080"), @r#"
error[SOV0090]: 0.0.0.0 is not a loopback address and there is no TLS
  --> m.yaml:28:13
   |
28 |     listen: 0.0.0.0:8080
   |             ^^^^^^^^^^^^
   |
   = hint: add `tls: { cert, key }`; or write `plaintext: allowed` if something in front speaks TLS
"#);
}

#[test]
fn an_unknown_engine_and_a_warning() {
    insta::assert_snapshot!(shown("license: Apache-2.0", "license: apache-2.0"), @r#"
warning[SOV0100]: unknown licence `apache-2.0`
  --> m.yaml:12:16
   |
12 |       license: apache-2.0
   |                ^^^^^^^^^^
   |
   = hint: did you mean `Apache-2.0`?
"#);
    insta::assert_snapshot!(shown("engine: llama.cpp", "engine: lama.cpp"), @r#"
error[SOV0073]: unknown engine `lama.cpp`
  --> m.yaml:20:15
   |
20 |       engine: lama.cpp # a profile: how this server is run, probed and measured
   |               ^^^^^^^^
   |
   = hint: did you mean `llama.cpp`?
"#);
}

#[test]
fn secrets_are_not_shown_again() {
    let good = include_str!("../../../../manifests/quickstart.yaml");
    let text = good
        .replace(
            "      context: 4096",
            "      env: { DB_PASSWORD: hunter2, API_KEY: hunter3 }\n      args: [--api-key=hunter4]",
        )
        .replace("file:./weights", "https://me:hunter5@host/weights");
    let out = render(&parse(text.as_bytes()).diagnostics, "m.yaml", text.as_bytes(), Color::Never);
    for code in ["SOV0067", "SOV0081", "SOV0082"] {
        assert!(out.contains(code), "{out}");
    }
    assert!(!out.contains("hunter"), "{out}");
    assert!(out.contains("API_KEY"), "{out}");
}

#[test]
fn a_tab() {
    insta::assert_snapshot!(shown("  name: quickstart", "\tname: quickstart"), @r#"
error[SOV0005]: not YAML: tabs disallowed within this context (block indentation)
 --> m.yaml:6:1
  |
6 |     name: quickstart
  | ^
  |
  = hint: YAML indents with spaces, never with tabs
"#);
}

#[test]
fn a_second_document() {
    insta::assert_snapshot!(shown("      assistant: engine", "      assistant: engine\n---\nx: y #"), @r#"
error[SOV0006]: a second document starts here; a file has one
  --> m.yaml:31:1
   |
31 | ---
   | ^^^
   |
   = hint: put it into a file of its own
"#);
}

#[test]
fn bytes_that_are_not_text() {
    let bytes = b"apiVersion: sovai/v1\nkind: \"St\xe9ack\" # caf\xe9\n";
    insta::assert_snapshot!(render(&parse(bytes).diagnostics, "m.yaml", bytes, Color::Never), @r#"
error[SOV0001]: the file is not UTF-8: found 0xe9
 --> m.yaml:2:10
  |
2 | kind: "St�ack" # caf�
  |          ^
  |
  = hint: save it as UTF-8
"#);
}

#[test]
fn a_character_that_hides_another_text() {
    let bytes = "apiVersion: sovai/v1 # \u{202e}ok\n".as_bytes();
    insta::assert_snapshot!(render(&parse(bytes).diagnostics, "m.yaml", bytes, Color::Never), @r#"
error[SOV0004]: found the bidirectional control character U+202E
 --> m.yaml:1:24
  |
1 | apiVersion: sovai/v1 # �ok
  |                        ^
  |
  = hint: delete it, or write it as an escape in double quotes
"#);
}

#[test]
fn a_lock() {
    let bytes =
        b"apiVersion: sovai/v1\nkind: Lock\nimages:\n  \"web\": { platform: linux/amd64, config: 12 }\n";
    insta::assert_snapshot!(render(&Lock::parse(bytes).1, "m.lock.yaml", bytes, Color::Never), @r#"
error[SOV0022]: expected `sha256:` and 64 hexadecimal digits, found a whole number `12`
 --> m.lock.yaml:4:43
  |
4 |   "web": { platform: linux/amd64, config: 12 }
  |                                           ^^
  |
  = hint: `sha256sum FILE` prints it
"#);
}

#[test]
fn places_far_into_long_lines_are_cut_out() {
    let text = format!(
        "apiVersion: sovai/v1\nx-a: '{}'\nx-b: {{ {}sorce: b }}\nkind: Stak # {}\n",
        "é".repeat(500),
        "é: 1, ",
        "y".repeat(5000)
    );
    let out = render(&parse(text.as_bytes()).diagnostics, "m.yaml", text.as_bytes(), Color::Never);
    assert!(out.contains(" --> m.yaml:4:7\n"), "{out}");
    let late = format!("{{ x-a: '{}', kind: Stak }}", "é".repeat(3000));
    for color in [Color::Never, Color::Always] {
        let out = render(&parse(late.as_bytes()).diagnostics, "m.yaml", late.as_bytes(), color);
        assert!(out.contains("m.yaml:1:3018") && out.contains("kind: Stak") && !out.contains(":::"), "{out}");
        assert!(out.len() < 6000, "{}", out.len());
    }
}

#[test]
fn nothing_in_a_text_reaches_the_terminal_as_a_command() {
    let bytes = b"apiVersion: sovai/v1\nkind: Stack \x1b[2J\x07\n\xff";
    let out = render(&parse(bytes).diagnostics, "m.yaml", bytes, Color::Never);
    assert!(!out.contains(['\x1b', '\x07']), "{out:?}");
    let bytes = b"apiVersion: \"\\e[2J\"\nx: y\n";
    let out = render(&parse(bytes).diagnostics, "m.yaml", bytes, Color::Never);
    assert!(!out.contains('\x1b') && out.contains("\\u{1b}"), "{out:?}");
    assert!(render(&parse(bytes).diagnostics, "m.yaml", bytes, Color::Always).contains("\x1b["), "colours");
}

#[test]
fn spans_beyond_the_text_are_borne() {
    let parsed = parse(b"kind: Lock\n");
    for text in [&b""[..], b"k", b"\xff\xff\xff\xff\xff\xff\xff\xff"] {
        assert!(render(&parsed.diagnostics, "m.yaml", text, Color::Never).contains("SOV0027"));
    }
    assert_eq!(render(&[], "m.yaml", b"", Color::Never), "");
}
