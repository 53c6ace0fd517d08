use crate::env::{IMAGE_PIN, TestEnv, WEIGHTS, manifest};
use std::fmt::Write as _;
use std::io::Read as _;
use std::process::Stdio;
use std::time::{Duration, Instant};

const DOCS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/commands.md");

/// Every command with a page.
const COMMANDS: [&str; 24] = [
    "init",
    "validate",
    "lock",
    "pull",
    "push",
    "verify",
    "inspect",
    "catalog",
    "store",
    "keys",
    "sign",
    "trust",
    "policy",
    "export",
    "plan",
    "deploy",
    "status",
    "logs",
    "down",
    "doctor",
    "schema",
    "completions",
    "man",
    "gateway",
];

#[test]
fn help_of_every_command() {
    let env = TestEnv::new();
    let mut all = String::new();
    for command in std::iter::once("").chain(COMMANDS) {
        let ran = env.run(&format!("{command} --help"));
        assert_eq!((ran.code, ran.stderr.as_str()), (0, ""), "{command}");
        let mut help = ran.stdout;
        // The same everywhere: shown once.
        if let (false, Some(at)) = (command.is_empty(), help.find("Global options:")) {
            let last = "a wrong digest is never a question\n";
            let end = help.find(last).map_or(help.len(), |begin| begin + last.len());
            help.replace_range(at..end, "...\n");
        }
        let _ = writeln!(all, "$ sovai {command} --help\n{help}");
    }
    insta::assert_snapshot!("help", all);
}

#[test]
fn every_command_is_documented() {
    let docs = fs_err::read_to_string(DOCS).unwrap();
    let env = TestEnv::new();
    for command in COMMANDS {
        assert!(
            docs.contains(&format!("\n## `sovai {command}")),
            "{command} has no section in docs/commands.md"
        );
        let help = env.run(&format!("{command} --help")).stdout;
        let flags = help.split_whitespace().filter(|word| word.starts_with("--"));
        for flag in flags.map(|word| word.trim_end_matches([',', '.', ')', ']'])) {
            assert!(docs.contains(flag), "{command}: {flag} is not in docs/commands.md");
        }
    }
    for exit in sovai::Exit::ALL {
        assert!(
            env.run("--help").stdout.contains(&format!("{:>3}  {}", exit.code(), &exit.meaning()[..4])),
            "{exit:?}"
        );
    }
}

#[test]
fn wrong_usage_is_exit_2_also_as_json() {
    let env = TestEnv::new();
    insta::assert_snapshot!(env.run("validat x"), @r"
    exit 2
    --- stdout
    --- stderr
    error: unrecognized subcommand 'validat'

      tip: a similar subcommand exists: 'validate'

    Usage: sovai [OPTIONS] <COMMAND>

    For more information, try '--help'.
    ");
    for line in
        ["", "validate", "validate a b", "--nonsense", "-q -v schema", "lock --threads 0 x", "man nonsense"]
    {
        let ran = env.run(line);
        assert_eq!((ran.code, ran.stdout.as_str()), (2, ""), "{line}: {ran}");
    }
    let value = env.json("validate");
    assert_eq!((&value["kind"], &value["exitCode"]), (&"UsageError".into(), &2.into()));
    assert_eq!(env.json("validate none.yaml")["error"]["message"], "manifest none.yaml is not there");
}

#[test]
fn every_result_has_its_kind() {
    let env = TestEnv::new();
    env.pinned();
    let engineless: [(&str, &str, u8); 10] = [
        ("validate stack.yaml", "ValidateResult", 0),
        ("lock stack.yaml", "LockResult", 0),
        ("lock --check stack.yaml", "LockResult", 0),
        ("verify stack.yaml", "VerifyResult", 0),
        ("verify weights", "VerifyResult", 0),
        ("doctor", "DoctorResult", 6),
        ("schema", "SchemaResult", 0),
        ("completions bash", "CompletionsResult", 0),
        ("man", "ManResult", 0),
        ("gateway --config none.json", "GatewayResult", 2),
    ];
    let docs = fs_err::read_to_string(DOCS).unwrap();
    for (line, kind, code) in engineless {
        assert!(docs.contains(&format!("`kind: {kind}`")), "{kind} is not in docs/commands.md");
        let value = env.json(line);
        assert_eq!((&value["kind"], &value["exitCode"]), (&kind.into(), &code.into()), "{line}: {value}");
    }
}

#[test]
fn a_json_error_also_tells_a_person_unless_quiet() {
    let env = TestEnv::new();
    assert!(
        env.run("-o json validate none.yaml").stderr.starts_with("error: manifest none.yaml is not there\n")
    );
    assert_eq!(env.run("-q -o json validate none.yaml").stderr, "");
    assert!(env.run("-q validate none.yaml").stderr.starts_with("error: "));
}

#[test]
fn verbose_says_where_things_are() {
    let env = TestEnv::new();
    let ran = env.run("-v schema");
    assert_eq!(ran.stderr, "store [ROOT]/store; container engine unix://[ROOT]/no-engine.sock\n");
    assert_eq!(env.run("schema").stderr, "");
}

#[test]
fn quiet_leaves_the_result() {
    let env = TestEnv::new();
    env.write("weights/m.gguf", WEIGHTS).write("stack.yaml", manifest("", "", IMAGE_PIN));
    assert!(env.run("verify stack.yaml").stderr.contains("warning: "));
    let ran = env.run("-q verify stack.yaml");
    assert_eq!(ran.stderr, "");
    assert!(ran.stdout.starts_with("stack demo\n"));
}

#[test]
fn the_schema_is_json() {
    let env = TestEnv::new();
    let ran = env.run("schema");
    let schema: serde_json::Value = serde_json::from_str(&ran.stdout).unwrap();
    assert!(schema["$schema"].is_string());
    assert_eq!(env.json("schema")["schema"], schema);
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/schema/");
    for (flag, file) in
        [("--policy", "sovai-policy-v1"), ("--lock", "sovai-lock-v1"), ("--result", "sovai-verify-result-v1")]
    {
        let stored = fs_err::read_to_string(format!("{folder}{file}.schema.json")).unwrap();
        let stored: serde_json::Value = serde_json::from_str(&stored).unwrap();
        let printed: serde_json::Value =
            serde_json::from_str(&env.run(&format!("schema {flag}")).stdout).unwrap();
        assert_eq!(printed, stored, "{flag}");
    }
    assert_eq!(env.run("schema --lock --result").code, 2);
}

#[test]
fn completions_and_pages_are_made_for_every_command() {
    let env = TestEnv::new();
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        let ran = env.run(&format!("completions {shell}"));
        assert_eq!(ran.code, 0);
        assert!(COMMANDS.iter().all(|command| ran.stdout.contains(command)), "{shell}");
    }
    for command in COMMANDS {
        let page = env.run(&format!("man {command}")).stdout;
        assert!(page.contains(&format!("sovai\\-{command}")), "{command}: {page}");
    }
    assert_eq!(env.run("man --dir pages").code, 0);
    for command in COMMANDS {
        let page = env.read(&format!("pages/sovai-{command}.1"));
        assert_eq!(page, env.run(&format!("man {command}")).stdout);
    }
    assert!(env.path("pages/sovai.1").exists());
    assert_eq!(env.run("man verfy").stderr, "error: no command `verfy`\n\nhint: did you mean `verify`?\n");
    // Each page that a page refers to is there.
    for entry in fs_err::read_dir(env.path("pages")).unwrap() {
        let text = fs_err::read_to_string(entry.unwrap().path()).unwrap().replace("\\-", "-");
        for word in text.split(|c: char| !(c.is_ascii_alphanumeric() || "-()".contains(c))) {
            if let Some(page) = word.strip_suffix("(1)").filter(|page| page.starts_with("sovai")) {
                if page.ends_with("-help") {
                    continue;
                }
                assert!(env.path(&format!("pages/{page}.1")).exists(), "{page}");
            }
        }
    }
    let page = env.run("man trust witness").stdout;
    assert!(page.contains("\\-\\-at"), "{page}");
    assert_eq!(page, env.run("man trust-witness").stdout);
    assert_eq!(page, env.read("pages/sovai-trust-witness.1"));
    assert!(env.run("man trust witnes").stderr.contains("did you mean `trust witness`?"));
}

#[test]
fn every_page_that_the_sources_name_exists() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut folders = vec![root.join("crates")];
    let mut seen = 0;
    while let Some(folder) = folders.pop() {
        for entry in fs_err::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                // Tests may name pages of others.
                folders.extend(Some(path).filter(|path| !path.ends_with("tests")));
            } else if path.extension().is_some_and(|end| end == "rs") {
                let text = fs_err::read_to_string(&path).unwrap();
                // What stands in backticks is ours; addresses of others have a path before it.
                for rest in text.split("`docs/").skip(1) {
                    let name = |c: char| c.is_ascii_alphanumeric() || "-_/.".contains(c);
                    let page: &str = &rest[..rest.find(|c| !name(c)).unwrap_or(rest.len())];
                    // That of a format's own authors.
                    if page.rsplit('.').next() == Some("md") && page != "gguf.md" {
                        assert!(root.join("docs").join(page).exists(), "{}: docs/{page}", path.display());
                        seen += 1;
                    }
                }
            }
        }
    }
    assert!(seen > 1, "{seen}");
}

#[test]
fn a_reader_that_goes_away_ends_it_quietly() {
    let env = TestEnv::new();
    for line in [
        vec!["schema"],
        vec!["man"],
        vec!["completions", "bash"],
        vec!["--help"],
        vec!["-o", "json", "schema"],
    ] {
        let mut child = env
            .process(env!("CARGO_BIN_EXE_sovai"), &line)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        // Closed before anything is read: whatever is written meets a broken pipe, or the pipe's buffer.
        drop(child.stdout.take());
        let mut stderr = String::new();
        child.stderr.take().unwrap().read_to_string(&mut stderr).unwrap();
        assert_eq!((child.wait().unwrap().code(), stderr.as_str()), (Some(0), ""), "{line:?}");
    }
    let head = env.process(
        "sh",
        &["-c", "\"$0\" man | head -c1; \"$0\" schema | head -n1", env!("CARGO_BIN_EXE_sovai")],
    );
    let output = { head }.output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
    assert_eq!(String::from_utf8_lossy(&output.stdout), ".{\n");
}

#[test]
fn a_full_disk_behind_stdout_is_exit_1() {
    let env = TestEnv::new();
    let full = fs_err::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let output =
        env.process(env!("CARGO_BIN_EXE_sovai"), &["schema"]).stdout(full.into_file()).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(
        stderr.starts_with("error: standard output cannot be written\n  caused by: No space left"),
        "{stderr}"
    );
}

#[test]
fn colours_only_where_they_are_wanted() {
    let env = TestEnv::new();
    let script = |more: &str| {
        // `script` gives the command a terminal.
        let line = format!("{more} '{}' validate none.yaml", env!("CARGO_BIN_EXE_sovai"));
        let mut command = env.process("script", &["--quiet", "--return", "--command", &line, "/dev/null"]);
        let output = command.env("TERM", "xterm").stdin(Stdio::null()).output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    assert!(script("").contains("\x1b[1;31merror:"), "{:?}", script(""));
    assert!(!script("NO_COLOR=1").contains('\x1b'));
    assert!(!env.run("validate none.yaml").stderr.contains('\x1b'));
}

#[test]
fn events_of_every_form() {
    let env = TestEnv::new();
    env.pinned();
    let json = env.run("verify --progress json stack.yaml");
    assert!(json.stderr.lines().count() >= 2, "{json}");
    for (seq, line) in json.stderr.lines().enumerate() {
        let event: serde_json::Value = serde_json::from_str(line).unwrap();
        assert_eq!(
            (&event["v"], &event["seq"], &event["step"]),
            (&1.into(), &seq.into(), &"verify".into()),
            "{line}"
        );
        assert!(
            event["time"].is_string() && event["type"].is_string() && event["subject"].is_string(),
            "{line}"
        );
    }
    for form in ["none", "plain", "auto"] {
        assert_eq!(env.run(&format!("verify --full --progress {form} stack.yaml")).stderr, "", "{form}");
    }
}

#[test]
fn the_version_comes_at_once() {
    let env = TestEnv::new();
    let begin = Instant::now();
    let ran = env.run("--version");
    assert_eq!(ran.stdout, format!("sovai {}\n", env!("CARGO_PKG_VERSION")));
    // The bar is 10 ms for the release program; this only finds something that waits.
    assert!(begin.elapsed() < Duration::from_secs(5));
}
