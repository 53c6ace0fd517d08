use crate::env::{FLIPPED, IMAGE_PIN, OTHER, TestEnv, WEIGHTS, WEIGHTS_SHA256, manifest};
use rustix::fs::{CWD, Mode, mkfifoat};
use rustix::process::{Pid, Signal, kill_process};
use std::fmt::Write as _;
use std::io::{BufRead as _, BufReader};
use std::process::Stdio;

/// A fault's name, and what brings it about.
type Fault = (&'static str, fn(&TestEnv));

/// A model of a folder with two files, pinned in its manifest.
fn folder() -> TestEnv {
    let env = TestEnv::new();
    let files = format!(
        "
      files:
        - {{ path: a.bin, size: 24, sha256: {WEIGHTS_SHA256} }}
        - {{ path: sub/b.bin, size: 24, sha256: {WEIGHTS_SHA256} }}"
    );
    let text = manifest("", &files, IMAGE_PIN)
        .replace("file:./weights/m.gguf", "file:weights")
        .replace("engine: llama.cpp", "engine: vllm");
    env.write("weights/a.bin", WEIGHTS).write("weights/sub/b.bin", WEIGHTS).write("stack.yaml", text);
    env
}

#[test]
fn a_clean_stack_is_verified() {
    let env = TestEnv::new();
    env.pinned();
    let ran = env.run("verify stack.yaml");
    let stdout = ran.stdout.replace("read in 0.0 s", "read in N s").replace("read in 0.1 s", "read in N s");
    insta::assert_snapshot!(format!("exit {}\n{stdout}{}", ran.code, ran.stderr), @r"
    exit 0
    stack demo
    model assistant: verified  1 file, 24 B, trust level digest, licence Apache-2.0
      why: every byte is what was pinned
      missing for `hub-pinned`: the digests that a hub lists for a full commit; record them with `sovai trust witness`
      never covered: owners and groups, times, extended attributes and access-control lists, permission bits, where on the disk the bytes lie, and holes in files
    image example/engine:1: pinned to registry digest sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa

    verified: 24 B read in N s; no signature was checked
    ");
    let value = env.json("verify stack.yaml");
    assert_eq!(value["kind"], "VerifyResult");
    assert_eq!(value["signatures"]["checked"], false);
    assert_eq!(value["models"][0]["license"]["status"], "spdx");
    assert_eq!(value["models"][0]["hashed"], 0, "the receipt answers the second time");
    assert_eq!(env.json("verify --full stack.yaml")["models"][0]["hashed"], 24);
}

#[test]
fn what_is_pinned_nowhere_is_a_warning() {
    let env = TestEnv::new();
    env.write("weights/m.gguf", WEIGHTS).write("stack.yaml", manifest("", "", ""));
    insta::assert_snapshot!(env.run("verify stack.yaml"), @r"
    exit 0
    --- stdout
    stack demo
    model assistant: not pinned  trust level unknown, licence Apache-2.0
    image example/engine:1: not pinned

    nothing was verified: no model is pinned
    --- stderr
    warning: model `assistant` is pinned neither in the manifest nor in its lock
    warning: image `example/engine:1` is pinned neither in the manifest nor in its lock
    hint: sovai lock stack.yaml
    ");
    let value = env.json("verify stack.yaml");
    assert_eq!(value["models"][0]["trust"], "unknown");
    assert_eq!(value["findings"][0]["severity"], "warning");
    assert_eq!(value["unpinned"].as_array().unwrap().len(), 2);
}

#[test]
fn a_manifest_and_a_lock_that_do_not_agree_are_exit_5() {
    let env = TestEnv::new();
    env.pinned();
    assert_eq!(env.run("lock stack.yaml").code, 0);
    env.write("stack.lock.yaml", env.read("stack.lock.yaml").replace(WEIGHTS_SHA256, &"0".repeat(64)));
    let ran = env.run("verify stack.yaml");
    assert_eq!(ran.code, 5, "{ran}");
    assert!(ran.stdout.ends_with("\nrefused: the manifest and its lock do not agree\n"), "{ran}");
    assert!(ran.stderr.contains("model `assistant` is pinned to two things"), "{ran}");
}

#[test]
fn each_fault_of_a_folder_is_named_with_expected_and_found() {
    let faults: [Fault; 8] = [
        ("flipped byte", |env| {
            env.write("weights/sub/b.bin", FLIPPED);
        }),
        ("truncated", |env| {
            env.write("weights/sub/b.bin", &WEIGHTS[..23]);
        }),
        ("grown", |env| {
            env.write("weights/sub/b.bin", [WEIGHTS, b"\n"].concat());
        }),
        ("missing", |env| fs_err::remove_file(env.path("weights/sub/b.bin")).unwrap()),
        ("extra", |env| {
            env.write("weights/c.bin", "");
        }),
        ("symlink", |env| {
            fs_err::remove_file(env.path("weights/a.bin")).unwrap();
            fs_err::os::unix::fs::symlink("/etc/passwd", env.path("weights/a.bin")).unwrap();
        }),
        ("fifo", |env| {
            fs_err::remove_file(env.path("weights/a.bin")).unwrap();
            mkfifoat(CWD, env.path("weights/a.bin"), Mode::from_raw_mode(0o600)).unwrap();
        }),
        ("swapped", |env| {
            env.write("weights/a.bin", OTHER);
        }),
    ];
    let mut all = String::new();
    for (name, fault) in faults {
        let env = folder();
        assert_eq!(env.run("verify stack.yaml").code, 0, "{name}: clean before");
        fault(&env);
        let ran = env.run("verify stack.yaml");
        assert_eq!(ran.code, 4, "{name}: {ran}");
        let findings: Vec<&str> = ran
            .stdout
            .lines()
            .take_while(|line| !line.starts_with("  why: "))
            .filter(|line| line.starts_with("  "))
            .collect();
        let _ = writeln!(all, "{name}\n{}", findings.join("\n"));
        let value = env.json("verify stack.yaml");
        assert_eq!(value["findings"][0]["model"], "assistant", "{name}");
        assert_eq!(value["models"][0]["trust"], "unknown", "{name}");
    }
    insta::assert_snapshot!(all, @r"
    flipped byte
      wrong bytes: sub/b.bin
        expected  sha256:a4e5e156ddec27e286f75328784d7106b60a4eb1d246e950a001a3f944fbda99
        found     sha256:43de774c29670f74011b680d8a721e8f9af76e9b30f308742bf3f53ffa1454ec
    truncated
      truncated file: sub/b.bin
        expected  24 bytes
        found     23 bytes
    grown
      file that is too long: sub/b.bin
        expected  24 bytes
        found     25 bytes
    missing
      missing file: sub/b.bin
        expected  a pinned file
        found     nothing
    extra
      file that is not pinned: c.bin
        expected  nothing
        found     a file
    symlink
      symbolic link: a.bin
        expected  a regular file
        found     a symbolic link to /etc/passwd
    fifo
      not a regular file: a.bin
        expected  a regular file
        found     a FIFO
    swapped
      wrong bytes: a.bin
        expected  sha256:a4e5e156ddec27e286f75328784d7106b60a4eb1d246e950a001a3f944fbda99
        found     sha256:a7b06a2dec92a72fd8306bfbab567e331200383633e0992bca86b59eac2a5fdc
    ");
}

#[test]
fn each_fault_of_a_single_file_is_exit_4() {
    for content in [Some(FLIPPED.to_vec()), Some(b"GGUF".to_vec()), Some([WEIGHTS, b" more"].concat()), None]
    {
        let env = TestEnv::new();
        env.pinned();
        match &content {
            Some(content) => drop(env.write("weights/m.gguf", content)),
            None => fs_err::remove_file(env.path("weights/m.gguf")).unwrap(),
        }
        let ran = env.run("verify stack.yaml");
        assert_eq!(ran.code, 4, "{content:?}: {ran}");
        assert!(ran.stdout.contains("m.gguf\n    expected "), "{ran}");
    }
}

#[test]
fn names_from_outside_cannot_drive_the_terminal() {
    let env = folder();
    env.write("weights/\x1b[2J\nhint: trust me.bin", "");
    let ran = env.run("verify stack.yaml");
    assert_eq!(ran.code, 4);
    assert!(!ran.stdout.contains('\x1b') && !ran.stdout.contains("\nhint: trust"), "{ran}");
}

#[test]
fn a_folder_is_listed_as_sha256sum_reads_it() {
    let env = folder();
    insta::assert_snapshot!(env.run("verify weights"), @r"
    exit 0
    --- stdout
    a4e5e156ddec27e286f75328784d7106b60a4eb1d246e950a001a3f944fbda99  a.bin
    a4e5e156ddec27e286f75328784d7106b60a4eb1d246e950a001a3f944fbda99  sub/b.bin
    --- stderr
      never covered: owners and groups, times, extended attributes and access-control lists, permission bits, where on the disk the bytes lie, and holes in files
    2 files, 48 B; trust level unknown: nothing says what these bytes must be
    ");
    env.write("list", env.run("verify weights").stdout);
    let checked =
        env.process("sha256sum", &["--check", "../list"]).current_dir(env.path("weights")).output().unwrap();
    assert!(checked.status.success(), "{checked:?}");
    let value = env.json("verify weights");
    assert_eq!((&value["targetKind"], &value["trust"]), (&"folder".into(), &"unknown".into()));
    assert_eq!(value["files"][0]["sha256"], WEIGHTS_SHA256);
    assert_eq!(env.json("verify weights/a.bin")["targetKind"], "file");
}

#[test]
fn a_folder_is_compared_with_the_pins_of_a_model() {
    let env = folder();
    assert_eq!(env.run("verify weights --pins stack.yaml").code, 0);
    assert_eq!(env.run("verify weights --pins stack.yaml#assistant").code, 0);
    env.write("weights/a.bin", FLIPPED);
    assert_eq!(env.json("verify weights --pins stack.yaml")["findings"][0]["type"], "digest");
    insta::assert_snapshot!(env.run("verify weights --pins stack.yaml#asistant"), @r"
    exit 2
    --- stdout
    --- stderr
    error: --pins: the manifest has no model `asistant`

    hint: did you mean `assistant`?
    ");
    assert_eq!(env.run("verify stack.yaml --pins stack.yaml").code, 2);
    env.write("open.yaml", manifest("", "", IMAGE_PIN));
    insta::assert_snapshot!(env.run("verify weights --pins open.yaml"), @r"
    exit 5
    --- stdout
    --- stderr
    error: model `assistant` is pinned neither in the manifest nor in its lock

    hint: sovai lock open.yaml
    ");
}

#[test]
fn a_target_that_is_not_there_is_exit_2() {
    let env = TestEnv::new();
    assert_eq!(env.run("verify nothing").code, 2);
    assert_eq!(env.run("verify nothing.yaml").code, 2);
}

#[test]
fn no_engine_is_asked() {
    let env = TestEnv::new();
    env.pinned();
    // The engine's address is one that nobody answers: it would be exit 6.
    assert_eq!(env.run("verify stack.yaml").code, 0);
}

#[test]
fn a_signal_ends_it_with_130() {
    for signal in [Signal::INT, Signal::TERM] {
        let env = TestEnv::new();
        env.write("huge", "");
        // A hole: no disk is used, and hashing it takes minutes.
        fs_err::OpenOptions::new().write(true).open(env.path("huge")).unwrap().set_len(1 << 40).unwrap();
        let mut child = env
            .process(env!("CARGO_BIN_EXE_sovai"), &["verify", "huge", "--progress", "json"])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stderr = BufReader::new(child.stderr.take().unwrap());
        let mut line = String::new();
        stderr.read_line(&mut line).unwrap();
        let event: serde_json::Value = serde_json::from_str(&line).unwrap();
        assert_eq!((&event["v"], &event["seq"]), (&1.into(), &0.into()), "{event}");
        kill_process(Pid::from_child(&child), signal).unwrap();
        let rest: Vec<String> = stderr.lines().map(Result::unwrap).collect();
        assert_eq!(child.wait().unwrap().code(), Some(130));
        assert_eq!(rest.last().map(String::as_str), Some("error: interrupted"));
    }
}

#[test]
fn a_run_can_be_gentle_and_still_finds_what_is_wrong() {
    let env = folder();
    let command = "verify stack.yaml --nice 1 --limit-rate 1MiB --from-disk --threads 2";
    assert_eq!(env.run(command).code, 0);
    assert_eq!(env.json("verify stack.yaml")["models"][0]["hashed"], 0);
    // What the disk has is read, whatever receipts say.
    assert_eq!(env.json(command)["models"][0]["hashed"], 48);
    env.write("weights/a.bin", FLIPPED);
    assert_eq!(env.run(command).code, 4);
}

#[test]
fn a_priority_and_a_rate_that_make_no_sense_are_exit_2() {
    let env = folder();
    for wrong in ["--nice 20", "--nice -1", "--limit-rate 0", "--limit-rate 5parsecs"] {
        assert_eq!(env.run(&format!("verify stack.yaml {wrong}")).code, 2, "{wrong}");
    }
}

#[test]
fn the_process_is_as_nice_as_it_was_asked_to_be() {
    let env = TestEnv::new();
    env.write("huge", "");
    fs_err::OpenOptions::new().write(true).open(env.path("huge")).unwrap().set_len(1 << 40).unwrap();
    let mut child = env
        .process(env!("CARGO_BIN_EXE_sovai"), &["verify", "huge", "--progress", "json", "--nice", "7"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(child.stderr.take().unwrap()).read_line(&mut line).unwrap();
    let before = rustix::process::getpriority_process(None).unwrap();
    // Of every thread: on Linux each has its own.
    let mut seen = 0;
    for thread in fs_err::read_dir(format!("/proc/{}/task", child.id())).unwrap() {
        let id = thread.unwrap().file_name().to_str().unwrap().parse().unwrap();
        let priority = rustix::process::getpriority_process(Pid::from_raw(id)).unwrap();
        assert_eq!(priority, (before + 7).min(19));
        seen += 1;
    }
    assert!(seen >= 2, "{seen} threads");
    kill_process(Pid::from_child(&child), Signal::TERM).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(130));
}
