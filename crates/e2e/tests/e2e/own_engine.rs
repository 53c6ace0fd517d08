//! A container engine of the test's own: it dies in mid-deploy, and its host has a resolver of its own.
//!
//! It runs in network, process and mount namespaces of its own, so that it touches nothing of the
//! host's and all of it ends with the first process in there.

use crate::process::{LIMIT, poll, run};
use crate::setup::{Setup, beside, import, say};
use crate::stack::{MANIFEST, Stack};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use std::io::{BufRead as _, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

/// The host's own resolver, as dnsmasq or unbound are: it writes every question into a file and answers none.
const RESOLVER: &str = r#"
import socket, sys
server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
server.bind(("127.0.0.53", 53))
with open(sys.argv[1], "wb", buffering=0) as queries:
    while True:
        queries.write(server.recvfrom(512)[0])
"#;

/// An engine of the test's own, started again each time that it ends.
struct OwnEngine {
    first: Child,
    folder: tempfile::TempDir,
}

impl OwnEngine {
    /// `None`: this machine cannot run one; said on a line.
    fn start() -> Option<Self> {
        for program in ["dockerd", "fuse-overlayfs", "unshare", "python3"] {
            if run(Command::new("sh").args(["-c", &format!("command -v {program}")])).code != Some(0) {
                say(&format!(
                    "SKIPPED: {program} is missing: the death of the container engine is not tested"
                ));
                return None;
            }
        }
        // A short path: that of a socket has at most 107 bytes.
        let folder = tempfile::Builder::new().prefix("sovai-e2e-engine-").tempdir().unwrap();
        fs_err::write(folder.path().join("engine.json"), "{}").unwrap();
        let script = r#"
            ip link set lo up
            echo 'nameserver 127.0.0.53' >"$T/resolv.conf"
            mount --bind "$T/resolv.conf" /etc/resolv.conf
            python3 -c "$RESOLVER" "$T/queries" &
            while :; do
                rm -f "$T/pid" "$T/exec/containerd/containerd.pid"
                dockerd --config-file "$T/engine.json" --data-root "$T/data" --exec-root "$T/exec" \
                    --host "unix://$T/s.sock" --pidfile "$T/pid" --storage-driver fuse-overlayfs >>"$T/log" 2>&1 || :
                while [ -e "$T/stay-down" ]; do sleep 0.1; done
            done"#;
        let first = Command::new("unshare")
            .args(["--net", "--mount", "--pid", "--fork", "--mount-proc", "--kill-child", "sh", "-c", script])
            .env("T", folder.path())
            .env("RESOLVER", RESOLVER)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let engine = Self { first, folder };
        engine.wait();
        Some(engine)
    }

    fn host(&self) -> String {
        format!("unix://{}", self.folder.path().join("s.sock").display())
    }

    /// Waits until it answers.
    fn wait(&self) {
        let log = self.folder.path().join("log");
        poll(&format!("the test's own engine answers, see {}", log.display()), LIMIT, || {
            let ran = run(Command::new("docker").args(["--host", &self.host(), "version"]));
            (ran.code == Some(0)).then_some(())
        });
    }

    fn docker(&self, args: &[&str]) -> String {
        run(Command::new("docker").args(["--host", &self.host()]).args(args))
            .expect(0)
            .stdout
            .trim()
            .to_owned()
    }

    /// Kills the engine; it stays down until `revive`.
    fn kill(&self) {
        fs_err::write(self.stay_down(), "").unwrap();
        let pid = poll("the engine's process", LIMIT, || {
            let shell = *children(self.first.id()).first()?;
            children(shell).into_iter().find(|pid| {
                fs_err::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|name| name.trim() == "dockerd")
            })
        });
        kill_process(Pid::from_raw(i32::try_from(pid).unwrap()).unwrap(), Signal::KILL).unwrap();
        poll("the engine is dead", LIMIT, || {
            let ran = run(Command::new("docker").args(["--host", &self.host(), "version"]));
            (ran.code != Some(0)).then_some(())
        });
    }

    fn revive(&self) {
        fs_err::remove_file(self.stay_down()).unwrap();
        self.wait();
    }

    fn stay_down(&self) -> PathBuf {
        self.folder.path().join("stay-down")
    }
}

impl Drop for OwnEngine {
    fn drop(&mut self) {
        // The first process inside ends with it, and with that one all others.
        let _gone = self.first.kill();
        let _status = self.first.wait();
    }
}

fn children(pid: u32) -> Vec<u32> {
    fs_err::read_to_string(format!("/proc/{pid}/task/{pid}/children"))
        .unwrap_or_default()
        .split_whitespace()
        .filter_map(|pid| pid.parse().ok())
        .collect()
}

/// A stack whose test server is in the test's own engine.
fn stack_in(setup: &Setup, engine: &OwnEngine, env: &[(&str, &str)]) -> (Stack, Value) {
    let stack = Stack::new(setup);
    let (name, id) = import(&setup.shared.stub, &["--host", &engine.host()]);
    let mut manifest = stack.manifest_with(env);
    manifest["spec"]["services"]["engine"]["image"] = json!({ "name": name, "id": id });
    (stack, manifest)
}

#[test]
fn an_engine_that_dies_in_mid_deploy_is_told_honestly_and_the_same_command_completes() {
    let Some(setup) = beside() else { return };
    let Some(engine) = OwnEngine::start() else { return };
    let (stack, manifest) = stack_in(&setup, &engine, &[("STUB_DELAY_MS", "2000")]);
    stack.write(&manifest);
    let host = engine.host();
    for step in ["create-container", "wait-ready"] {
        let mut deploy = stack
            .command(&["--host", &host, "deploy", MANIFEST, "--progress", "json"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(deploy.stderr.take().unwrap()).lines().map_while(Result::ok);
        let reached = lines.any(|line| {
            serde_json::from_str::<Value>(&line)
                .is_ok_and(|event| event["type"] == "started" && event["step"] == step)
        });
        assert!(reached, "the deploy never came to {step}");
        engine.kill();
        let rest: Vec<String> = lines.collect();
        let rest = rest.join("\n");
        let code = deploy.wait().unwrap().code();
        // What was made could not be taken away: nobody is told that all is as before.
        assert_eq!(code, Some(9), "killed in {step}: {rest}");
        assert!(rest.contains("not undone") && rest.contains("run the same command again"), "{rest}");
        engine.revive();
        let ran = stack.sovai(&["--host", &host, "deploy", MANIFEST]).expect(0);
        assert!(ran.stdout.contains("answered: stub: assistant"), "{ran}");
        let label = format!("label=sovai.stack={}", stack.name);
        let containers =
            engine.docker(&["ps", "--all", "--filter", &label, "--format", "{{.Names}} {{.State}}"]);
        assert_eq!(containers.lines().filter(|line| line.ends_with(" running")).count(), 2, "{containers}");
        assert_eq!(containers.lines().count(), 2, "{containers}");
        assert_eq!(engine.docker(&["network", "ls", "-q", "--filter", &label]).lines().count(), 2);
        stack.sovai(&["--host", &host, "down", &stack.name]).expect(0);
        assert_eq!(engine.docker(&["ps", "--all", "--quiet"]), "");
        assert_eq!(engine.docker(&["network", "ls", "-q", "--filter", &label]), "");
    }
}

#[test]
fn names_of_the_outside_do_not_reach_the_host_s_resolver() {
    let Some(setup) = beside() else { return };
    let Some(engine) = OwnEngine::start() else { return };
    let (stack, manifest) = stack_in(&setup, &engine, &[]);
    let host = engine.host();
    stack.write(&manifest).sovai(&["--host", &host, "deploy", MANIFEST]).expect(0);
    let queries =
        || String::from_utf8_lossy(&fs_err::read(engine.folder.path().join("queries")).unwrap()).into_owned();
    // A container like any other asks the host's resolver, also in an internal network.
    let (image, _) = &setup.shared.stub_image;
    engine.docker(&["network", "create", "--internal", "control"]);
    engine.docker(&["run", "--rm", "--network", "control", image, "dns", "control-question.example"]);
    assert!(queries().contains("control-question"), "the resolver sees nothing at all: {:?}", queries());
    // Those of a stack do not, and still find each other.
    let label = format!("label=sovai.stack={}", stack.name);
    let service = "label=sovai.service=engine";
    let container = engine.docker(&["ps", "--quiet", "--filter", &label, "--filter", service]);
    let seen = engine.docker(&["exec", &container, "/stub", "dns", "secret-question.example", "gateway"]);
    let findings: Vec<Value> = seen.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(findings[0]["addresses"], json!([]), "{seen}");
    assert_ne!(findings[1]["addresses"], json!([]), "{seen}");
    assert!(!queries().contains("secret-question"), "a question got out: {:?}", queries());
    stack.sovai(&["--host", &host, "down", &stack.name]).expect(0);
}
